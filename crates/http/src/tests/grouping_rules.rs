use axum::body::Body;
use belvedere_accounts::Scope;
use belvedere_storage::testing::run;
use http::{Method, StatusCode};
use serde_json::{Value, json};

use super::house::{Answer, House, with_token};

async fn send(house: &House, method: Method, token: &str, uri: &str, body: Value) -> Answer {
    let body = if body.is_null() { Body::empty() } else { Body::from(body.to_string()) };
    house.send(with_token(method, uri, token, body)).await
}

#[test]
fn rules_are_read_changed_and_tried() {
    run(async {
        let house = House::new().await;
        let token = house.token(&[Scope::Read, Scope::Admin]).await;
        let uri = "/api/v1/grouping_rules";
        let none = send(&house, Method::GET, &token, uri, Value::Null).await;
        assert_eq!(
            (none.status, none.json()),
            (StatusCode::OK, json!({"rules": "", "revision": 0, "changed_at": null}))
        );
        let rules = json!({"rules": "level:info -> ignore", "revision": 0});
        let changed = send(&house, Method::PUT, &token, uri, rules.clone()).await;
        assert_eq!((changed.status, &changed.json()["revision"]), (StatusCode::OK, &json!(1)));
        let late = send(&house, Method::PUT, &token, uri, json!({"rules": "", "revision": 0})).await;
        assert_eq!(late.status, StatusCode::CONFLICT, "{late:?}");
        let wrong = send(&house, Method::PUT, &token, uri, json!({"rules": "\nlevel:info -> drop"})).await;
        assert_eq!((wrong.status, &wrong.json()["field"]), (StatusCode::BAD_REQUEST, &json!("rules")));
        let detail = wrong.json()["detail"].as_str().unwrap().to_owned();
        assert!(detail.starts_with("rules: line 2, column 15: there is no action drop"), "{detail}");
        let tried =
            send(&house, Method::POST, &token, "/api/v1/grouping_rules/preview", json!({"rules": ""})).await;
        assert_eq!((tried.status, &tried.json()["events"]), (StatusCode::OK, &json!(0)));
    });
}

#[test]
fn rules_need_the_right_and_the_own_project() {
    run(async {
        let house = House::new().await;
        let token = house.token(&[Scope::Read]).await;
        let denied = send(&house, Method::PUT, &token, "/api/v1/grouping_rules", json!({"rules": ""})).await;
        assert_eq!(denied.status, StatusCode::FORBIDDEN);
        for (method, uri, body) in [
            (Method::GET, "/api/v1/grouping_rules?project=999", Value::Null),
            (Method::POST, "/api/v1/grouping_rules/preview?project=999", json!({"rules": ""})),
        ] {
            assert_eq!(send(&house, method, &token, uri, body).await.status, StatusCode::NOT_FOUND, "{uri}");
        }
    });
}
