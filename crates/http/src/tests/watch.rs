//! Check-ins and logs: their doors and their part of the API.

use axum::body::Body;
use belvedere_accounts::Scope;
use belvedere_storage::testing::run;
use http::{Method, StatusCode};
use serde_json::{Value, json};

use super::house::{Answer, House, request, with_token};

async fn send_json(house: &House, method: Method, token: &str, uri: &str, body: Value) -> Answer {
    house.send(with_token(method, uri, token, Body::from(body.to_string()))).await
}

/// The payloads of the check-ins that were accepted.
async fn accepted(house: &House) -> Vec<Value> {
    let deliveries = house.deliveries().await;
    let items = deliveries.iter().filter(|delivery| delivery.kind == "sentry.envelope");
    items
        .map(|delivery| {
            let text = std::str::from_utf8(&delivery.body).unwrap();
            assert!(text.starts_with("{}\n{\"type\":\"check_in\"}\n"), "{text}");
            serde_json::from_str(text.lines().nth(2).unwrap()).unwrap()
        })
        .collect()
}

#[test]
fn check_ins_come_by_plain_requests_and_are_never_limited() {
    run(async {
        let house = House::new().await;
        let key = house.limited_key(Some(1), &[]).await.public_key;
        let project = house.project();
        let base = format!("/api/{project}/cron/nightly");
        let id = "341452de085b401a993aaeffe75ad7ab";
        let requests = [
            (Method::GET, format!("{base}/{key}?status=ok"), String::new()),
            (Method::GET, format!("{base}/{key}/?status=in_progress&check_in_id={id}&environment=staging"), String::new()),
            (Method::POST, format!("{base}?sentry_key={key}&status=error&duration=2.5"), "log of the job".to_owned()),
            (
                Method::POST,
                format!("{base}/?sentry_key={key}"),
                json!({"status": "ok", "monitor_slug": "other", "monitor_config": {"schedule": {"type": "interval", "value": 1, "unit": "day"}}}).to_string(),
            ),
        ];
        for (method, uri, body) in requests {
            let answer = house.send(request(method, &uri, &[], body)).await;
            assert_eq!(answer.status, StatusCode::ACCEPTED, "{uri}: {answer:?}");
        }
        let begun =
            house.send(request(Method::GET, &format!("{base}/{key}?status=in_progress"), &[], "")).await;
        let begun = begun.json()["id"].as_str().unwrap().to_owned();
        assert_eq!(begun.len(), 32);
        assert_eq!(
            accepted(&house).await,
            [
                json!({"monitor_slug": "nightly", "status": "ok"}),
                json!({"monitor_slug": "nightly", "status": "in_progress", "check_in_id": id, "environment": "staging"}),
                json!({"monitor_slug": "nightly", "status": "error", "duration": "2.5"}),
                json!({"monitor_slug": "nightly", "status": "ok", "monitor_config": {"schedule": {"type": "interval", "value": 1, "unit": "day"}}}),
                json!({"monitor_slug": "nightly", "status": "in_progress", "check_in_id": begun}),
            ]
        );
        for (uri, status) in [
            (format!("{base}/{key}"), StatusCode::BAD_REQUEST),
            (format!("{base}/{key}?status=missed"), StatusCode::BAD_REQUEST),
            (format!("{base}/wrong?status=ok"), StatusCode::FORBIDDEN),
            (format!("/api/{}/cron/nightly/{key}?status=ok", project.0 + 1), StatusCode::FORBIDDEN),
        ] {
            let answer = house.send(request(Method::GET, &uri, &[], "")).await;
            assert_eq!(answer.status, status, "{uri}: {answer:?}");
        }
        assert_eq!(accepted(&house).await.len(), 5);
    });
}

#[test]
fn logs_of_opentelemetry_are_accepted_in_json_only() {
    run(async {
        let house = House::new().await;
        let uri = format!("/api/{}/integration/otlp/v1/logs", house.project());
        let auth = format!("Sentry sentry_key={}", house.key());
        let send = |kind: &'static str, body: &'static str| {
            let headers = [("x-sentry-auth", auth.as_str()), ("content-type", kind)];
            house.send(request(Method::POST, &uri, &headers, body))
        };
        let good = send("application/json; charset=utf-8", r#"{"resourceLogs":[]}"#).await;
        assert_eq!((good.status, good.text.as_str()), (StatusCode::OK, "{}"));
        assert_eq!(send("application/json", "[]").await.status, StatusCode::BAD_REQUEST);
        assert_eq!(send("application/x-protobuf", "\n\0").await.status, StatusCode::UNSUPPORTED_MEDIA_TYPE);
        let deliveries = house.deliveries().await;
        assert_eq!(deliveries.len(), 1);
        assert_eq!(deliveries[0].kind, "otlp.logs");
        let noted = house.noted().await;
        let expected = [("log", "invalid", 1), ("log", "unsupported_encoding", 1)];
        assert_eq!(noted, expected.map(|(item, reason, count)| (item.to_owned(), reason.to_owned(), count)));
    });
}

#[test]
fn monitors_are_made_read_changed_and_deleted_by_their_own_organisation() {
    run(async {
        let house = House::new().await;
        let writer = house.token(&[Scope::Read, Scope::Write]).await;
        let body = json!({"slug": "sync", "schedule": {"type": "crontab", "value": "*/5 * * * *"}, "timezone": "Europe/Berlin", "is_muted": true});
        let made = send_json(&house, Method::POST, &writer, "/api/v1/monitors", body.clone()).await;
        assert_eq!(made.status, StatusCode::CREATED, "{made:?}");
        assert_eq!(made.json()["name"], "sync");
        assert_eq!(made.json()["is_muted"], true);
        let again = send_json(&house, Method::POST, &writer, "/api/v1/monitors", body).await;
        assert_eq!(again.status, StatusCode::BAD_REQUEST);
        let change = json!({"name": "Sync", "schedule": {"type": "interval", "value": 2, "unit": "hour"}, "is_paused": true});
        let changed =
            send_json(&house, Method::PUT, &writer, "/api/v1/monitors/sync", change.clone()).await.json();
        assert_eq!(changed["schedule"], json!({"type": "interval", "value": 2, "unit": "hour"}));
        assert_eq!((&changed["is_paused"], &changed["is_muted"]), (&json!(true), &json!(true)));
        for (schedule, why) in [
            (
                json!({"type": "crontab", "value": "61 * * * *"}),
                "schedule: minute: \"61\" is not from 0 to 59",
            ),
            (
                json!({"type": "interval", "value": 0, "unit": "hour"}),
                "schedule: an interval is from 1 to 10000 of its unit",
            ),
        ] {
            let body = json!({"slug": "odd", "schedule": schedule});
            let odd = send_json(&house, Method::POST, &writer, "/api/v1/monitors", body).await;
            assert_eq!((odd.status, odd.json()["detail"].as_str()), (StatusCode::BAD_REQUEST, Some(why)));
        }
        let list = house.send(with_token(Method::GET, "/api/v1/monitors", &writer, "")).await.json();
        assert_eq!(list["items"].as_array().unwrap().len(), 1);
        let runs = house.send(with_token(Method::GET, "/api/v1/monitors/sync/check_ins", &writer, "")).await;
        assert_eq!(runs.json(), json!({"items": [], "next": null}));

        let stranger = house.stranger().await;
        house.project_of(&stranger).await;
        let theirs = house.token_of(&stranger, &[Scope::Read, Scope::Write]).await;
        for (method, uri) in [
            (Method::GET, "/api/v1/monitors/sync"),
            (Method::GET, "/api/v1/monitors/sync/check_ins"),
            (Method::DELETE, "/api/v1/monitors/sync"),
        ] {
            let answer = house.send(with_token(method, uri, &theirs, "")).await;
            assert_eq!(answer.status, StatusCode::NOT_FOUND, "{uri}: {answer:?}");
        }
        let answer = send_json(&house, Method::PUT, &theirs, "/api/v1/monitors/sync", change.clone()).await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND);
        let ours = format!("/api/v1/monitors?project={}", house.project());
        assert_eq!(
            house.send(with_token(Method::GET, &ours, &theirs, "")).await.status,
            StatusCode::NOT_FOUND
        );
        let reader = house.token(&[Scope::Read]).await;
        let refused = send_json(&house, Method::PUT, &reader, "/api/v1/monitors/sync", change).await;
        assert_eq!(refused.status, StatusCode::FORBIDDEN);
        let gone = house.send(with_token(Method::DELETE, "/api/v1/monitors/sync", &writer, "")).await;
        assert_eq!(gone.status, StatusCode::NO_CONTENT);
        assert_eq!(house.audit_entries("monitor_deleted").await.len(), 1);
    });
}

#[test]
fn logs_are_searched_by_their_own_organisation() {
    run(async {
        let house = House::new().await;
        let token = house.token(&[Scope::Read]).await;
        let get = |uri: &'static str| house.send(with_token(Method::GET, uri, &token, ""));
        let found = get("/api/v1/logs?query=declined+level:warn").await;
        assert_eq!(found.json(), json!({"items": [], "next": null, "searched_to": null}));
        let counts = get("/api/v1/logs/counts?from=2026-11-01T00:00:00Z&to=2026-11-02T00:00:00Z").await;
        assert_eq!(counts.json(), json!({"hours": [], "counted_to": null}));
        let odd = get("/api/v1/logs?query=level:loud").await;
        assert_eq!(odd.status, StatusCode::BAD_REQUEST);
        assert_eq!(odd.json()["field"], "query");
        let stranger = house.stranger().await;
        house.project_of(&stranger).await;
        let theirs = house.token_of(&stranger, &[Scope::Read]).await;
        for path in ["logs", "logs/counts"] {
            let uri = format!("/api/v1/{path}?project={}", house.project());
            let answer = house.send(with_token(Method::GET, &uri, &theirs, "")).await;
            assert_eq!(answer.status, StatusCode::NOT_FOUND, "{answer:?}");
        }
    });
}
