//! Releases as `sentry-cli` and the plugins of bundlers handle them, with what the real tools sent.

use axum::body::Body;
use belvedere_accounts::Scope;
use belvedere_error_tracking::Releases;
use belvedere_storage::testing::run;
use http::{Method, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};

use super::house::{Answer, House, with_token};

async fn send(house: &House, token: &str, method: Method, uri: &str, body: Value) -> Answer {
    let body = if body.is_null() { Body::empty() } else { Body::from(body.to_string()) };
    house.send(with_token(method, uri, token, body)).await
}

/// A request that a real tool made.
#[derive(Deserialize)]
struct Recorded {
    tool: String,
    method: String,
    path: String,
    body: Value,
    /// What it must be answered.
    status: u16,
}

/// The requests of one run of each version of `sentry-cli`, in their order.
fn recorded() -> Vec<Recorded> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/fixtures/sentry-cli/releases.jsonl");
    let text = std::fs::read_to_string(path).unwrap();
    let requests: Vec<Recorded> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(requests.len() > 20, "only {} requests", requests.len());
    requests
}

#[test]
fn what_real_tools_ask_is_answered_as_they_need_it() {
    run(async {
        let house = House::new().await;
        let token = house.token(&[Scope::Read, Scope::Write]).await;
        let (organisation, project) = (&house.first.organisation.slug, &house.first.project.slug);
        for request in recorded() {
            let path = request.path.replace("ORGANISATION", organisation).replace("PROJECT", project);
            let body = request.body.to_string().replace("\"PROJECT\"", &format!("\"{project}\""));
            let method: Method = request.method.parse().unwrap();
            let answer = send(&house, &token, method, &path, serde_json::from_str(&body).unwrap()).await;
            let about = format!("{} {} {path}: {answer:?}", request.tool, request.method);
            assert_eq!(answer.status.as_u16(), request.status, "{about}");
        }
    });
}

#[test]
fn a_release_is_made_finished_deployed_and_deleted() {
    run(async {
        let house = House::new().await;
        let token = house.token(&[Scope::Write]).await;
        let base = format!("/api/0/organizations/{}/releases/", house.first.organisation.slug);
        let project = house.first.project.slug.as_str();
        let version = "@scope/shop@1.0.0";
        let of = format!("{base}%40scope%2Fshop%401.0.0/");
        let ask =
            async |method: Method, uri: &str, body: Value| send(&house, &token, method, uri, body).await;

        let new =
            json!({"version": version, "projects": [project], "dateStarted": "2026-11-23T12:00:00+01:00"});
        let made = ask(Method::POST, &base, new.clone()).await;
        assert_eq!(made.status, StatusCode::CREATED, "{made:?}");
        assert_eq!(made.json()["dateStarted"], "2026-11-23T11:00:00Z");
        assert_eq!(made.json()["projects"][0]["slug"], project);
        assert_eq!(ask(Method::POST, &base, new).await.status, StatusCode::ALREADY_REPORTED);

        let commits = json!({"commits": [
            {"id": "b2", "message": "Second", "author_email": "m@example.org", "author_name": "M", "patch_set": [{"path": "a", "type": "M"}],
             "repository": "shop/web", "timestamp": "2026-11-22T09:00:00+00:00"},
            {"id": "a1", "message": "First"}]});
        assert_eq!(ask(Method::PUT, &of, commits).await.status, StatusCode::OK);
        let told = ask(Method::GET, &format!("{of}commits/"), Value::Null).await.json();
        assert_eq!(told[0]["id"], "b2");
        assert!(!told.to_string().contains("example.org"), "{told}");

        let finished =
            ask(Method::PUT, &of, json!({"projects": [project], "dateReleased": "2026-11-23T12:01:00Z"}))
                .await;
        assert_eq!(finished.json()["dateReleased"], "2026-11-23T12:01:00Z");
        let deployed =
            ask(Method::POST, &format!("{of}deploys/"), json!({"environment": "production", "name": null}))
                .await;
        assert_eq!(
            (deployed.status, &deployed.json()["environment"]),
            (StatusCode::CREATED, &json!("production"))
        );
        let shown = ask(Method::GET, &of, Value::Null).await.json();
        assert_eq!(
            (&shown["lastCommit"]["id"], &shown["lastDeploy"]["environment"], &shown["commitCount"]),
            (&json!("b2"), &json!("production"), &json!(2))
        );

        let next = json!({"version": "@scope/shop@1.1.0", "projects": [project], "refs": [{"repository": "shop/web", "commit": "c3"}]});
        ask(Method::POST, &base, next).await;
        let previous =
            ask(Method::GET, &format!("{base}%40scope%2Fshop%401.1.0/previous-with-commits/"), Value::Null)
                .await
                .json();
        assert_eq!((&previous["version"], &previous["lastCommit"]["id"]), (&json!(version), &json!("b2")));
        let none = ask(Method::GET, &format!("{of}previous-with-commits/"), Value::Null).await.json();
        assert_eq!(none, json!({}));

        let listed = ask(Method::GET, &base, Value::Null).await.json();
        assert_eq!(listed.as_array().unwrap().len(), 2);
        assert_eq!(ask(Method::DELETE, &of, Value::Null).await.status, StatusCode::NO_CONTENT);
        assert_eq!(ask(Method::DELETE, &of, Value::Null).await.status, StatusCode::NOT_FOUND);
        assert_eq!(ask(Method::GET, &of, Value::Null).await.status, StatusCode::NOT_FOUND);
        assert!(!house.audit_entries("release_deleted").await.is_empty());
    });
}

#[test]
fn what_is_wrong_with_a_release_is_said() {
    run(async {
        let house = House::new().await;
        let token = house.token(&[Scope::Write]).await;
        let base = format!("/api/0/organizations/{}/releases/", house.first.organisation.slug);
        let project = house.first.project.slug.as_str();
        for (body, status, part) in [
            (json!({"projects": [project]}), 400, "version"),
            (json!({"version": "latest", "projects": [project]}), 400, "version"),
            (json!({"version": "a\nb", "projects": [project]}), 400, "version"),
            (json!({"version": "a", "projects": ["none"]}), 404, "project"),
            (json!({"version": "a", "projects": [project], "url": "javascript:x"}), 400, "url"),
            (json!({"version": "a", "projects": [project], "dateReleased": "noon"}), 400, "dateReleased"),
            (json!("text"), 400, "body"),
        ] {
            let answer = send(&house, &token, Method::POST, &base, body.clone()).await;
            assert_eq!(answer.status.as_u16(), status, "{body}");
            let detail = answer.json()["detail"].as_str().unwrap().to_owned();
            assert!(detail.contains(part), "{body}: {detail}");
        }
        let deploy =
            send(&house, &token, Method::POST, &format!("{base}none/deploys/"), json!({"environment": "p"}))
                .await;
        assert_eq!(deploy.status, StatusCode::NOT_FOUND);
    });
}

#[test]
fn another_organisation_and_a_weaker_token_reach_no_release() {
    run(async {
        let house = House::new().await;
        let writer = house.token(&[Scope::Write]).await;
        let reader = house.token(&[Scope::Read]).await;
        let stranger = house.stranger().await;
        let foreign = house.token_of(&stranger, &[Scope::Read, Scope::Write]).await;
        let base = format!("/api/0/organizations/{}/releases/", house.first.organisation.slug);
        let new = json!({"version": "a", "projects": [house.first.project.slug]});
        assert_eq!(send(&house, &writer, Method::POST, &base, new.clone()).await.status, StatusCode::CREATED);
        assert_eq!(
            send(&house, &reader, Method::POST, &base, new.clone()).await.status,
            StatusCode::FORBIDDEN
        );
        assert_eq!(
            send(&house, &reader, Method::GET, &format!("{base}a/"), Value::Null).await.status,
            StatusCode::OK
        );
        for (method, path, body) in [
            (Method::GET, String::new(), Value::Null),
            (Method::POST, String::new(), new.clone()),
            (Method::GET, "a/".to_owned(), Value::Null),
            (Method::PUT, "a/".to_owned(), json!({})),
            (Method::DELETE, "a/".to_owned(), Value::Null),
            (Method::GET, "a/deploys/".to_owned(), Value::Null),
            (Method::POST, "a/deploys/".to_owned(), json!({"environment": "p"})),
            (Method::GET, "a/commits/".to_owned(), Value::Null),
        ] {
            let answer = send(&house, &foreign, method.clone(), &format!("{base}{path}"), body).await;
            assert_eq!(answer.status, StatusCode::NOT_FOUND, "{method} {path}");
        }
        // In its own organisation there is no such release, and the first one's projects cannot be named.
        let strange =
            send(&house, &foreign, Method::GET, "/api/0/organizations/strangers/releases/a/", Value::Null)
                .await;
        assert_eq!(strange.status, StatusCode::NOT_FOUND);
        let strange =
            send(&house, &foreign, Method::POST, "/api/0/organizations/strangers/releases/", new).await;
        assert_eq!(strange.status, StatusCode::NOT_FOUND);
        assert!(house.releases.find_release(house.project(), "a").await.unwrap().is_some());
    });
}
