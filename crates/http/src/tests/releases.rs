//! Releases through the API of our own.

use axum::body::Body;
use belvedere_accounts::Scope;
use belvedere_storage::testing::run;
use http::{Method, StatusCode};
use serde_json::{Value, json};

use super::house::{Answer, House, with_token};

async fn send(house: &House, token: &str, method: Method, uri: &str, body: Value) -> Answer {
    let body = if body.is_null() { Body::empty() } else { Body::from(body.to_string()) };
    house.send(with_token(method, uri, token, body)).await
}

#[test]
fn releases_are_made_read_and_compared() {
    run(async {
        let house = House::new().await;
        let token = house.token(&[Scope::Read, Scope::Write]).await;
        let ask =
            async |method: Method, uri: &str, body: Value| send(&house, &token, method, uri, body).await;
        for (version, status) in [("shop@1.0.0", 201), ("shop@2.0.0", 201), ("shop@2.0.0", 200)] {
            let made = ask(
                Method::POST,
                "/api/v1/releases",
                json!({"version": version, "url": "https://example.org/n"}),
            )
            .await;
            assert_eq!(made.status.as_u16(), status, "{made:?}");
            assert_eq!(made.json()["url"], "https://example.org/n");
        }
        let listed = ask(Method::GET, "/api/v1/releases?sort=last_seen&query=2.0", Value::Null).await.json();
        assert_eq!(
            (&listed["items"][0]["version"], listed["items"].as_array().unwrap().len()),
            (&json!("shop@2.0.0"), 1)
        );
        assert_eq!(listed["items"][0]["health"]["sessions"], 0);

        let deploys = "/api/v1/releases/shop%402.0.0/deploys";
        let deploy = ask(Method::POST, deploys, json!({"environment": "production"})).await;
        assert_eq!(
            (deploy.status, &deploy.json()["finished_at"]),
            (StatusCode::CREATED, &json!("2026-11-23T12:04:05Z"))
        );
        assert_eq!(ask(Method::GET, deploys, Value::Null).await.json().as_array().unwrap().len(), 1);
        let commits = json!({"commits": [{"revision": "c1", "message": "One\n\nTwo", "author_email": "m@example.org"}]});
        let commits = ask(Method::POST, "/api/v1/releases/shop%402.0.0/commits", commits).await.json();
        assert_eq!((&commits[0]["message"], commits[0]["author"].is_number()), (&json!("One"), true));

        let found = ask(Method::GET, "/api/v1/releases/shop%402.0.0", Value::Null).await.json();
        assert_eq!(
            (&found["deploys"][0]["environment"], &found["commits"]),
            (&json!("production"), &json!(1))
        );
        let health = ask(
            Method::GET,
            "/api/v1/releases/shop%402.0.0/health?step=hour&from=2026-11-23T10:00:00Z",
            Value::Null,
        )
        .await
        .json();
        assert_eq!(health["points"].as_array().unwrap().len(), 3);
        let issues =
            ask(Method::GET, "/api/v1/releases/shop%402.0.0/issues?kind=new", Value::Null).await.json();
        assert_eq!(issues, json!({"items": [], "total": 0}));
        let compared =
            ask(Method::GET, "/api/v1/releases/shop%402.0.0/compare?base=shop%401.0.0", Value::Null)
                .await
                .json();
        assert_eq!(
            (&compared["base"]["release"]["version"], &compared["new"]["total"]),
            (&json!("shop@1.0.0"), &json!(0))
        );
        assert_eq!(
            ask(Method::DELETE, "/api/v1/releases/shop%402.0.0", Value::Null).await.status,
            StatusCode::NO_CONTENT
        );
        assert_eq!(
            ask(Method::GET, "/api/v1/releases/shop%402.0.0", Value::Null).await.status,
            StatusCode::NOT_FOUND
        );
    });
}

#[test]
fn releases_of_others_are_not_found_and_writing_needs_the_scope() {
    run(async {
        let house = House::new().await;
        let writer = house.token(&[Scope::Write]).await;
        let reader = house.token(&[Scope::Read]).await;
        let foreign = house.token_of(&house.stranger().await, &[Scope::Read, Scope::Write]).await;
        let number = house.project();
        let body = json!({"version": "a", "project": number.to_string()});
        assert_eq!(
            send(&house, &writer, Method::POST, "/api/v1/releases", body.clone()).await.status,
            StatusCode::CREATED
        );
        assert_eq!(
            send(&house, &reader, Method::POST, "/api/v1/releases", body.clone()).await.status,
            StatusCode::FORBIDDEN
        );
        assert_eq!(
            send(&house, &foreign, Method::POST, "/api/v1/releases", body).await.status,
            StatusCode::NOT_FOUND
        );
        for path in ["", "/a", "/a/deploys", "/a/commits", "/a/health", "/a/issues", "/a/compare"] {
            let base = if path == "/a/compare" { "&base=a" } else { "" };
            let uri = format!("/api/v1/releases{path}?project={number}{base}");
            assert_eq!(
                send(&house, &reader, Method::GET, &uri, Value::Null).await.status,
                StatusCode::OK,
                "{uri}"
            );
            assert_eq!(
                send(&house, &foreign, Method::GET, &uri, Value::Null).await.status,
                StatusCode::NOT_FOUND,
                "{uri}"
            );
        }
        for (field, body) in [
            ("version", json!({"version": ".."})),
            ("url", json!({"version": "a", "url": "javascript:alert(1)"})),
            ("started_at", json!({"version": "a", "started_at": "noon"})),
        ] {
            let answer = send(&house, &writer, Method::POST, "/api/v1/releases", body).await;
            assert_eq!((answer.status, &answer.json()["field"]), (StatusCode::BAD_REQUEST, &json!(field)));
        }
    });
}
