use axum::body::Body;
use belvedere_accounts::Scope;
use belvedere_error_tracking::search::{QueryContext, SavedSearchId, SearchOwner, parse_query};
use belvedere_error_tracking::{IssueChange, IssueSort, Resolution};
use belvedere_storage::testing::run;
use http::{Method, StatusCode};
use serde_json::json;

use super::house::{Answer, EVENT_ID, House, issue_id, request, with_token};
use crate::{Access, openapi};

async fn get(house: &House, token: &str, uri: &str) -> Answer {
    house.send(with_token(Method::GET, uri, token, "")).await
}

async fn send_json(house: &House, method: Method, token: &str, uri: &str, body: serde_json::Value) -> Answer {
    house.send(with_token(method, uri, token, Body::from(body.to_string()))).await
}

#[test]
fn every_route_that_is_not_public_asks_for_credentials() {
    run(async {
        let house = House::new().await;
        let routes = house.routes();
        assert!(routes.len() > 60, "{}", routes.len());
        for route in routes {
            let uri = route.path.replace("{key}", "none").replace("{project}", "1");
            let uri = uri.replace(['{', '}'], "");
            let answer = house.send(request(route.method.clone(), &uri, &[], "")).await;
            match route.access {
                Access::Public(reason) => {
                    assert!(!reason.is_empty());
                    assert!(answer.status.is_success(), "{route:?}: {answer:?}");
                }
                // A key in the path is a credential; a wrong one is refused.
                Access::IngestKey if route.path.contains("{key}") => {
                    assert_eq!(answer.status, StatusCode::FORBIDDEN, "{route:?}: {answer:?}");
                }
                _ => assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{route:?}: {answer:?}"),
            }
        }
    });
}

#[test]
fn the_description_has_exactly_the_routes_of_the_api() {
    run(async {
        let house = House::new().await;
        let mut routes: Vec<_> = house
            .routes()
            .into_iter()
            .filter(|route| route.path.starts_with("/api/v1/") || route.path.starts_with("/xapi/"))
            .filter(|route| route.method != Method::OPTIONS)
            .map(|route| format!("{} {}", route.method.as_str().to_lowercase(), route.path))
            .collect();
        let description = house.send(request(Method::GET, "/api/v1/openapi.json", &[], "")).await.json();
        let mut described: Vec<_> = description["paths"]
            .as_object()
            .unwrap()
            .iter()
            .flat_map(|(path, item)| {
                item.as_object().unwrap().keys().map(move |method| format!("{method} {path}"))
            })
            .collect();
        routes.sort();
        described.sort();
        assert_eq!(described, routes);
        assert_eq!(description["openapi"], "3.1.0");
        assert_eq!(description["components"]["securitySchemes"]["token"]["scheme"], "bearer");
        assert_eq!(description["components"]["securitySchemes"]["xapi_key"]["scheme"], "basic");
    });
}

#[test]
fn every_reference_in_the_description_leads_somewhere() {
    let text = openapi().to_json().unwrap();
    let description: serde_json::Value = serde_json::from_str(&text).unwrap();
    let mut count = 0;
    for part in text.split("\"$ref\":\"#").skip(1) {
        let pointer = part.split('"').next().unwrap();
        assert!(description.pointer(pointer).is_some(), "{pointer}");
        count += 1;
    }
    assert!(count > 20, "{count}");
}

#[test]
fn issues_and_events_are_read_as_they_are() {
    run(async {
        let house = House::new().await;
        let token = house.token(&[Scope::Read]).await;
        let list = get(
            &house,
            &token,
            "/api/v1/issues?status=unresolved&query=type&environment=prod&since=2026-11-20T00:00:00Z&sort=events&limit=7&cursor=abc",
        )
        .await;
        assert_eq!(list.status, StatusCode::OK, "{list:?}");
        let issue = json!({
            "id": issue_id().to_string(), "number": 1, "title": "TypeError: x is undefined", "culprit": "load in app.js",
            "level": "error", "status": "unresolved", "substatus": "ongoing", "assigned_to": null, "platform": "javascript", "events": 1, "subjects": 1,
            "first_seen": "2026-11-23T12:04:05Z", "last_seen": "2026-11-23T12:04:05Z", "hourly": vec![0; 24],
        });
        assert_eq!(
            list.json(),
            json!({ "items": [issue], "next": "next", "matching": 1, "matching_is_exact": true, "events_of": "environment:prod" })
        );
        {
            let asked = house.errors.asked.lock().unwrap();
            let asked = asked.last().unwrap();
            assert_eq!(asked.project, house.project());
            let query = parse_query("type is:unresolved", &QueryContext::default()).unwrap();
            assert_eq!((&asked.query, asked.sort), (&query, IssueSort::Events));
            assert_eq!(asked.environment.as_deref(), Some("prod"));
            assert_eq!(asked.since.unwrap().to_string(), "2026-11-20T00:00:00Z");
            assert_eq!((asked.page.limit(), asked.page.after.as_ref().unwrap().as_str()), (7, "abc"));
        }
        let detail = get(&house, &token, &format!("/api/v1/issues/{}", issue_id())).await.json();
        assert_eq!(
            (&detail["title"], &detail["grouping_version"]),
            (&json!("TypeError: x is undefined"), &json!(1))
        );
        let events = get(&house, &token, &format!("/api/v1/issues/{}/events", issue_id())).await.json();
        assert_eq!(events["items"][0]["event_id"], EVENT_ID);
        assert_eq!(events["items"][0]["subject"], 3);
        assert_eq!(events["items"][0]["tags"], json!([["plan", "pro"]]));
        let event = get(&house, &token, &format!("/api/v1/events/{EVENT_ID}")).await.json();
        assert_eq!(event["payload"], json!({ "event_id": EVENT_ID }));
        assert_eq!(event["removals"], json!([{ "path": "/request/headers/Cookie", "rule": "cookie" }]));
    });
}

#[test]
fn an_issue_is_resolved_by_who_may() {
    run(async {
        let house = House::new().await;
        let uri = format!("/api/v1/issues/{}", issue_id());
        let reader = house.token(&[Scope::Read]).await;
        let refused = send_json(&house, Method::PUT, &reader, &uri, json!({ "status": "resolved" })).await;
        assert_eq!(refused.status, StatusCode::FORBIDDEN);
        assert_eq!(refused.header("content-type"), "application/problem+json");
        assert_eq!(refused.json()["detail"], "not allowed without the permission manage_issues");
        let entries = house.audit_entries("authz_fail").await;
        assert_eq!(entries.len(), 1);
        assert_eq!(entries[0].request_id.as_deref(), Some(refused.header("x-request-id")));
        assert!(house.errors.changes.lock().unwrap().is_empty());

        let writer = house.token(&[Scope::Read, Scope::Write]).await;
        let done = send_json(&house, Method::PUT, &writer, &uri, json!({ "status": "resolved" })).await;
        assert_eq!(done.status, StatusCode::OK, "{done:?}");
        let changes = house.errors.changes.lock().unwrap();
        assert_eq!(changes.len(), 1);
        assert_eq!(changes[0].change, IssueChange::Resolve(Resolution::Now));
        assert_eq!(
            (changes[0].issues.as_slice(), changes[0].act.project),
            ([issue_id()].as_slice(), house.project())
        );
        assert_eq!(changes[0].act.request_id.as_deref(), Some(done.header("x-request-id")));
    });
}

#[test]
fn tags_similar_issues_and_events_are_read_as_json() {
    run(async {
        let house = House::new().await;
        let token = house.token(&[Scope::Read]).await;
        let issue = format!("/api/v1/issues/{}", issue_id());
        let value = json!({
            "value": "pro", "events": 1, "first_seen": "2026-11-23T12:04:05Z", "last_seen": "2026-11-23T12:04:05Z",
        });
        let plan = json!({ "key": "plan", "events": 2, "values": [value], "values_known": 1, "others": 1 });
        for (uri, expected) in [
            ("/api/v1/tags".to_owned(), json!([{ "key": "plan", "events": 1, "values": 1 }])),
            ("/api/v1/tags/plan/values?prefix=p".to_owned(), json!([value])),
            ("/api/v1/tags/plan/values?prefix=x".to_owned(), json!([])),
            (format!("{issue}/tags"), json!([plan])),
            (format!("{issue}/tags?key=plan"), json!([plan])),
            (format!("{issue}/tags?key=os"), json!([])),
            ("/api/v1/saved_searches".to_owned(), json!([])),
        ] {
            let answer = get(&house, &token, &uri).await;
            assert_eq!(
                (answer.status, answer.json()),
                (StatusCode::OK, json!({ "items": expected })),
                "{uri}"
            );
        }
        let similar = get(&house, &token, &format!("{issue}/similar")).await.json();
        assert_eq!(similar["items"][0]["percent"], 75);
        assert_eq!(similar["items"][0]["reason"], "the same type TypeError");

        get(&house, &token, &format!("{issue}/events?query=plan:pro&environment=prod")).await;
        let asked = house.errors.asked_events.lock().unwrap();
        let query = parse_query("plan:pro", &QueryContext::default()).unwrap();
        assert_eq!((&asked[0].query, asked[0].environment.as_deref()), (&query, Some("prod")));
    });
}

#[test]
fn searches_are_kept_by_who_may_manage_issues() {
    run(async {
        let house = House::new().await;
        let body = json!({ "name": "Crashes", "query": "level:fatal assigned:me", "sort": "trend" });
        let reader = house.token(&[Scope::Read]).await;
        let refused = send_json(&house, Method::POST, &reader, "/api/v1/saved_searches", body.clone()).await;
        assert_eq!(refused.status, StatusCode::FORBIDDEN);
        let writer = house.token(&[Scope::Read, Scope::Write]).await;
        let made = send_json(&house, Method::POST, &writer, "/api/v1/saved_searches", body.clone()).await;
        assert_eq!((made.status, &made.json()["sort"]), (StatusCode::CREATED, &json!("trend")), "{made:?}");
        assert_eq!(house.errors.saved.lock().unwrap()[0].owner, SearchOwner::Shared);
        let id = made.json()["id"].as_str().unwrap().to_owned();
        let uri = format!("/api/v1/saved_searches/{id}");
        let wrong = json!({ "name": "x", "query": "is:open" });
        let wrong = send_json(&house, Method::PUT, &writer, &uri, wrong).await;
        assert_eq!(wrong.status, StatusCode::BAD_REQUEST, "{wrong:?}");
        let changed = send_json(&house, Method::PUT, &writer, &uri, body).await;
        assert_eq!(changed.status, StatusCode::OK, "{changed:?}");
        let deleted = house.send(with_token(Method::DELETE, &uri, &writer, "")).await;
        assert_eq!(deleted.status, StatusCode::NO_CONTENT);
        let unknown = format!("/api/v1/saved_searches/{}", issue_id());
        let unknown = house.send(with_token(Method::DELETE, &unknown, &writer, "")).await;
        assert_eq!(unknown.status, StatusCode::NOT_FOUND);
    });
}

#[test]
fn another_organisations_things_do_not_exist() {
    run(async {
        let house = House::new().await;
        let stranger = house.stranger().await;
        let theirs = house.project_of(&stranger).await;
        let token = house.token_of(&stranger, &[Scope::Read, Scope::Write, Scope::Admin]).await;
        let ours = house.project();
        let issue = issue_id();
        let saved = SavedSearchId::from_bytes([9; 16]);
        const SAVE: &str = "{\"name\":\"x\",\"query\":\"\"}";
        for (method, uri, body) in [
            (Method::GET, format!("/api/v1/projects/{ours}"), ""),
            (Method::PUT, format!("/api/v1/projects/{ours}"), "{\"name\":\"x\"}"),
            (Method::GET, format!("/api/v1/issues?project={ours}"), ""),
            (Method::GET, format!("/api/v1/issues?project={}", house.first.project.slug), ""),
            (Method::GET, format!("/api/v1/issues/{issue}"), ""),
            (Method::GET, format!("/api/v1/issues/{issue}?project={ours}"), ""),
            (Method::PUT, format!("/api/v1/issues/{issue}"), "{\"status\":\"ignored\"}"),
            (Method::GET, format!("/api/v1/issues/{issue}/events"), ""),
            (Method::GET, format!("/api/v1/issues/{issue}/tags"), ""),
            (Method::GET, format!("/api/v1/issues/{issue}/tags?key=plan"), ""),
            (Method::GET, format!("/api/v1/issues/{issue}/similar"), ""),
            (Method::GET, format!("/api/v1/tags?project={ours}"), ""),
            (Method::GET, format!("/api/v1/tags/plan/values?project={ours}"), ""),
            (Method::GET, format!("/api/v1/saved_searches?project={ours}"), ""),
            (Method::POST, format!("/api/v1/saved_searches?project={ours}"), SAVE),
            (Method::PUT, format!("/api/v1/saved_searches/{saved}"), SAVE),
            (Method::DELETE, format!("/api/v1/saved_searches/{saved}"), ""),
            (Method::GET, format!("/api/v1/events/{EVENT_ID}"), ""),
            (Method::GET, format!("/api/v1/ingest_keys?project={ours}"), ""),
            (Method::PUT, format!("/api/v1/ingest_keys/{}", house.first.key.id), "{\"label\":\"x\"}"),
            (Method::DELETE, format!("/api/v1/ingest_keys/{}", house.first.key.id), ""),
            (Method::GET, format!("/api/v1/insights?project={ours}"), ""),
            (Method::GET, format!("/api/v1/insights/{issue}"), ""),
            (Method::GET, format!("/api/v1/dashboards?project={ours}"), ""),
            (Method::GET, format!("/api/v1/dashboards/{issue}/links"), ""),
            (Method::POST, format!("/api/v1/dashboards/{issue}/links?project={ours}"), "{}"),
            (Method::GET, format!("/api/v1/cohorts?project={ours}"), ""),
            (Method::GET, format!("/api/v1/cohorts/{issue}"), ""),
            (Method::GET, format!("/api/v1/feature_flags?project={ours}"), ""),
            (Method::DELETE, format!("/api/v1/feature_flags/beta?project={ours}"), ""),
            (Method::GET, format!("/flags/definitions?token={}", house.key()), ""),
            (Method::GET, format!("/api/v1/pipeline?project={ours}"), ""),
            (Method::GET, format!("/api/v1/pipeline/set_aside?project={ours}"), ""),
            (Method::POST, format!("/api/v1/pipeline/set_aside/{issue}/replay?project={ours}"), ""),
            (Method::DELETE, format!("/api/v1/pipeline/set_aside/{issue}?project={ours}"), ""),
        ] {
            let answer = house.send(with_token(method.clone(), &uri, &token, body)).await;
            assert_eq!(answer.status, StatusCode::NOT_FOUND, "{method} {uri}: {answer:?}");
            assert_eq!(answer.json()["status"], 404, "{method} {uri}");
        }
        let projects = get(&house, &token, "/api/v1/projects").await.json();
        assert_eq!(projects["items"].as_array().unwrap().len(), 1);
        assert_eq!(projects["items"][0]["id"], theirs.id.0);
    });
}

#[test]
fn the_project_must_be_named_once_there_are_several() {
    run(async {
        let house = House::new().await;
        let token = house.token(&[Scope::Read]).await;
        assert_eq!(get(&house, &token, "/api/v1/issues").await.status, StatusCode::OK);
        let second = house.second_project().await;
        let unnamed = get(&house, &token, "/api/v1/issues").await;
        assert_eq!(unnamed.status, StatusCode::BAD_REQUEST);
        assert_eq!(unnamed.json()["field"], "project");
        for named in [second.id.to_string(), second.slug] {
            let issues = get(&house, &token, &format!("/api/v1/issues?project={named}")).await;
            assert_eq!(issues.json()["items"], json!([]), "{named}");
        }
        assert_eq!(get(&house, &token, "/api/v1/issues?project=nowhere").await.status, StatusCode::NOT_FOUND);
    });
}

#[test]
fn wrong_parameters_are_named() {
    run(async {
        let house = House::new().await;
        let token = house.token(&[Scope::Read, Scope::Write, Scope::Admin]).await;
        for (uri, part) in [
            ("/api/v1/issues?limit=0", "limit"),
            ("/api/v1/issues?limit=many", "limit"),
            ("/api/v1/issues?status=open", "unknown variant `open`"),
            ("/api/v1/issues?colour=red", "unknown field `colour`"),
            ("/api/v1/issues?query=level:bad", "query, character 7: expected one of debug"),
            ("/api/v1/issues?query=assigned:me", "nobody is signed in here"),
            ("/api/v1/issues?since=yesterday", "since"),
            ("/api/v1/pipeline?from=yesterday", "from: must be an instant such as"),
        ] {
            let answer = get(&house, &token, uri).await;
            assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{uri}");
            assert!(answer.json()["detail"].as_str().unwrap().contains(part), "{uri}: {answer:?}");
        }
        let uri = format!("/api/v1/issues/{}", issue_id());
        for (body, part) in [("", "EOF"), ("{\"status\":\"gone\"}", "gone"), ("{\"state\":1}", "state")] {
            let answer = house.send(with_token(Method::PUT, &uri, &token, body)).await;
            assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{body}");
            assert!(answer.json()["detail"].as_str().unwrap().contains(part), "{body}: {answer:?}");
        }
        let large = house.send(with_token(Method::PUT, &uri, &token, " ".repeat(300 << 10))).await;
        assert_eq!(large.status, StatusCode::PAYLOAD_TOO_LARGE);
        for uri in ["/api/v1/issues/1", "/api/v1/issues/..%2f", "/api/v1/events/x", "/api/v1/ingest_keys/x"] {
            let method = if uri.contains("keys") { Method::DELETE } else { Method::GET };
            let answer = house.send(with_token(method, uri, &token, "")).await;
            assert_eq!(answer.status, StatusCode::NOT_FOUND, "{uri}: {answer:?}");
        }
    });
}

#[test]
fn unknown_addresses_and_methods_are_problems_too() {
    run(async {
        let house = House::new().await;
        let nothing = house.send(request(Method::GET, "/api/v1/nothing", &[], "")).await;
        assert_eq!(
            nothing.json(),
            json!({
                "type": "about:blank", "title": "Not Found", "status": 404,
                "detail": "there is nothing at this address",
            })
        );
        let method = house.send(request(Method::PATCH, "/api/v1/issues", &[], "")).await;
        assert_eq!(method.status, StatusCode::METHOD_NOT_ALLOWED);
        assert_eq!(method.header("allow"), "GET,HEAD,PUT");
        assert_eq!(method.header("content-type"), "application/problem+json");
        for answer in [nothing, method] {
            assert_eq!(answer.header("x-request-id").len(), 26);
            assert_eq!(answer.header("x-content-type-options"), "nosniff");
            assert_eq!(
                answer.header("content-security-policy"),
                "default-src 'none'; frame-ancestors 'none'"
            );
        }
    });
}

#[test]
fn tokens_that_are_wrong_or_revoked_open_nothing() {
    run(async {
        let house = House::new().await;
        let token = house.token(&[Scope::Read]).await;
        assert_eq!(get(&house, &token, "/api/v1/projects").await.status, StatusCode::OK);
        for header in ["Bearer", "Bearer ", "Bearer wrong", &format!("Basic {token}"), &token] {
            let answer =
                house.send(request(Method::GET, "/api/v1/projects", &[("authorization", header)], "")).await;
            assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{header}");
            assert_eq!(answer.header("www-authenticate"), "Bearer");
        }
    });
}

#[test]
fn projects_and_keys_are_made_changed_and_revoked() {
    run(async {
        let house = House::new().await;
        let token = house.token(&[Scope::Admin]).await;
        let made =
            send_json(&house, Method::POST, &token, "/api/v1/projects", json!({ "name": "Web shop" })).await;
        assert_eq!(made.status, StatusCode::CREATED, "{made:?}");
        assert_eq!((&made.json()["slug"], &made.json()["time_zone"]), (&json!("web-shop"), &json!("UTC")));
        let project = made.json()["id"].as_i64().unwrap();
        let uri = format!("/api/v1/projects/{project}");
        let renamed = send_json(&house, Method::PUT, &token, &uri, json!({ "name": "Shop" })).await;
        assert_eq!((&renamed.json()["name"], &renamed.json()["slug"]), (&json!("Shop"), &json!("web-shop")));
        let taken = send_json(
            &house,
            Method::POST,
            &token,
            "/api/v1/projects",
            json!({ "name": "Web", "slug": "web-shop" }),
        )
        .await;
        assert_eq!(taken.status, StatusCode::CONFLICT);

        let body = json!({ "project": "web-shop", "label": "browser", "rate_limit_per_minute": 100 });
        let key = send_json(&house, Method::POST, &token, "/api/v1/ingest_keys", body).await.json();
        let public = key["public_key"].as_str().unwrap();
        assert_eq!(key["dsn"], format!("https://{public}@belvedere.example/{project}"));
        let uri = format!("/api/v1/ingest_keys/{}", key["id"].as_str().unwrap());
        let kept = send_json(&house, Method::PUT, &token, &uri, json!({ "label": "web" })).await.json();
        assert_eq!((&kept["label"], &kept["rate_limit_per_minute"]), (&json!("web"), &json!(100)));
        let unlimited =
            send_json(&house, Method::PUT, &token, &uri, json!({ "rate_limit_per_minute": null })).await;
        assert_eq!(unlimited.json()["rate_limit_per_minute"], json!(null));

        let ingest = format!("/api/{project}/envelope/?sentry_key={public}");
        assert_eq!(house.send(request(Method::POST, &ingest, &[], "{}\n")).await.status, StatusCode::OK);
        assert_eq!(
            house.send(with_token(Method::DELETE, &uri, &token, "")).await.status,
            StatusCode::NO_CONTENT
        );
        assert_eq!(
            house.send(request(Method::POST, &ingest, &[], "{}\n")).await.status,
            StatusCode::FORBIDDEN
        );
        let keys = get(&house, &token, "/api/v1/ingest_keys?project=web-shop").await.json();
        assert_eq!(keys["items"][0]["revoked_at"], "2026-11-23T12:04:05Z");
    });
}

#[test]
fn programs_cannot_make_tokens_or_read_the_audit_log() {
    run(async {
        let house = House::new().await;
        let token = house.token(&[Scope::Read, Scope::Write, Scope::Admin]).await;
        let body = json!({ "label": "more", "scopes": ["admin"] });
        let made = send_json(&house, Method::POST, &token, "/api/v1/api_tokens", body).await;
        assert_eq!(made.status, StatusCode::FORBIDDEN);
        assert_eq!(get(&house, &token, "/api/v1/audit").await.status, StatusCode::FORBIDDEN);
        assert_eq!(house.audit_entries("authz_fail").await.len(), 2);
    });
}

#[test]
fn the_pipeline_shows_counts_and_what_waits() {
    run(async {
        let house = House::new().await;
        let token = house.token(&[Scope::Read, Scope::Admin]).await;
        let ingest = format!("/api/{}/nel/?sentry_key={}", house.project(), house.key());
        house.send(request(Method::POST, &ingest, &[], "[]")).await;
        house.state.intake.flush().await.unwrap();
        let pipeline = get(&house, &token, "/api/v1/pipeline").await;
        assert_eq!(
            pipeline.json()["tallies"],
            json!([{
                "hour": "2026-11-23T12:00:00Z", "item": "nel", "outcome": "dropped", "reason": "not_yet_supported",
                "quantity": 1,
            }])
        );
        assert_eq!(pipeline.json()["set_aside"], 0);
        assert_eq!(pipeline.json()["spool"]["bytes_max"], 64 << 20);
        assert_eq!(
            get(&house, &token, "/api/v1/pipeline/set_aside").await.json(),
            json!({ "items": [], "next": null })
        );
    });
}

#[test]
fn what_failed_inside_is_not_shown() {
    run(async {
        let house = House::new().await;
        let token = house.token(&[Scope::Read]).await;
        house.state.db.close().await.unwrap();
        let answer = get(&house, &token, "/api/v1/projects").await;
        assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(answer.header("retry-after"), "5");
        assert_eq!(
            answer.json(),
            json!({
                "type": "about:blank", "title": "Service Unavailable", "status": 503,
                "detail": "the database is not available at the moment",
            })
        );
    });
}
