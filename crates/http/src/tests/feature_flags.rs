//! Feature flags: made through the API, asked for as PostHog's clients do.

use belvedere_accounts::Scope;
use belvedere_storage::testing::run;
use http::{Method, StatusCode};
use serde_json::{Value, json};

use super::house::{Answer, House, request, with_token};

async fn send(house: &House, method: Method, token: &str, path: &str, body: Value) -> Answer {
    let body = if body.is_null() { String::new() } else { body.to_string() };
    house.send(with_token(method, &format!("/api/v1/{path}"), token, body)).await
}

/// What a client hears.
async fn ask(house: &House, question: Value) -> Value {
    let mut question = question;
    question["token"] = house.key().into();
    let answer = house.send(request(Method::POST, "/flags/?v=2", &[], question.to_string())).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
    answer.json()
}

fn editor() -> Value {
    json!({
        "key": "new-editor", "note": "For teams", "share_percent": 100, "payload": {"colour": "green"},
        "conditions": [{"property": "plan", "op": "is", "value": "team"}],
    })
}

#[test]
fn a_flag_is_made_and_whoever_it_is_for_has_it() {
    run(async {
        let house = House::new().await;
        let token = house.token(&[Scope::Read, Scope::Write]).await;
        let config = async || {
            let path = format!("/array/{}/config", house.key());
            house.send(request(Method::GET, &path, &[], "")).await.json()["hasFeatureFlags"].clone()
        };
        assert_eq!(config().await, false);
        let made = send(&house, Method::POST, &token, "feature_flags", editor()).await;
        assert_eq!(made.status, StatusCode::CREATED, "{}", made.text);
        assert_eq!((&made.json()["version"], &made.json()["is_active"]), (&json!(1), &json!(true)));
        assert_eq!(config().await, true);

        let on = ask(&house, json!({"distinct_id": "ada", "person_properties": {"plan": "Team"}})).await;
        assert_eq!(on["featureFlags"], json!({"new-editor": true}));
        assert_eq!(on["featureFlagPayloads"], json!({"new-editor": "{\"colour\":\"green\"}"}));
        let detail = &on["flags"]["new-editor"];
        assert_eq!(
            (&detail["enabled"], &detail["reason"]["code"]),
            (&json!(true), &json!("condition_match"))
        );
        assert_eq!((&detail["metadata"]["id"], &detail["metadata"]["version"]), (&json!(1), &json!(1)));
        let off = ask(&house, json!({"distinct_id": "ada"})).await;
        assert_eq!(
            (&off["featureFlags"], &off["featureFlagPayloads"]),
            (&json!({"new-editor": false}), &json!({}))
        );
        assert_eq!(off["flags"]["new-editor"]["reason"]["code"], "no_condition_match");
        // Nobody asks, or for others.
        assert_eq!(ask(&house, json!({})).await["flags"], json!({}));
        let others = json!({"distinct_id": "ada", "flag_keys_to_evaluate": ["other"]});
        assert_eq!(ask(&house, others).await["flags"], json!({}));

        let change = json!({"share_percent": 0, "conditions": [], "payload": null});
        let changed = send(&house, Method::PUT, &token, "feature_flags/new-editor", change).await;
        assert_eq!((changed.status, &changed.json()["payload"]), (StatusCode::OK, &Value::Null));
        let out = ask(&house, json!({"distinct_id": 7})).await;
        assert_eq!(out["flags"]["new-editor"]["reason"]["code"], "out_of_rollout_bound");
        send(&house, Method::PUT, &token, "feature_flags/new-editor", json!({"is_active": false})).await;
        assert_eq!(ask(&house, json!({"distinct_id": "ada"})).await["flags"], json!({}));
        let listed = send(&house, Method::GET, &token, "feature_flags", Value::Null).await.json();
        assert_eq!((&listed[0]["note"], &listed[0]["version"]), (&json!("For teams"), &json!(3)));
        let gone = send(&house, Method::DELETE, &token, "feature_flags/new-editor", Value::Null).await;
        assert_eq!(gone.status, StatusCode::NO_CONTENT);
        let missing = send(&house, Method::GET, &token, "feature_flags/new-editor", Value::Null).await;
        assert_eq!(missing.status, StatusCode::NOT_FOUND);
        // Nothing of a question is kept.
        assert_eq!(house.deliveries().await.len(), 0);
    });
}

#[test]
fn a_server_is_given_the_flags_to_decide_by_itself() {
    run(async {
        let house = House::new().await;
        let token = house.token(&[Scope::Read, Scope::Write]).await;
        let mut flag = editor();
        flag["conditions"] = json!([{"property": "seats", "op": "greater", "value": "5"}, {"property": "left", "op": "not_set"}]);
        flag["share_percent"] = json!(40);
        assert_eq!(
            send(&house, Method::POST, &token, "feature_flags", flag).await.status,
            StatusCode::CREATED
        );
        for path in ["/flags/definitions", "/api/feature_flag/local_evaluation/"] {
            let path = format!("{path}?token={}&send_cohorts", house.key());
            let given = house.send(with_token(Method::GET, &path, &token, "")).await;
            assert_eq!(given.status, StatusCode::OK, "{}", given.text);
            let given = given.json();
            assert_eq!((&given["group_type_mapping"], &given["cohorts"]), (&json!({}), &json!({})));
            let filters = &given["flags"][0]["filters"];
            assert_eq!(filters["payloads"], json!({"true": "{\"colour\":\"green\"}"}));
            let property = |key: &str, operator: &str, value: &str| json!({"key": key, "type": "person", "operator": operator, "value": value, "negation": false});
            let group = json!({
                "properties": [property("seats", "gt", "5"), property("left", "is_not_set", "is_not_set")],
                "rollout_percentage": 40, "variant": null,
            });
            assert_eq!(filters["groups"], json!([group]));
            // A key that is in every page does not open them.
            let keyed = house.send(request(Method::GET, &path, &[], "")).await;
            assert_eq!(keyed.status, StatusCode::UNAUTHORIZED);
        }
        let unknown = house.send(with_token(Method::GET, "/flags/definitions?token=00", &token, "")).await;
        assert_eq!(unknown.status, StatusCode::NOT_FOUND);
    });
}

#[test]
fn a_wrong_flag_is_refused_and_reading_does_not_let_change() {
    run(async {
        let house = House::new().await;
        let token = house.token(&[Scope::Write]).await;
        for (field, change) in [
            ("key", json!({"key": "new editor"})),
            ("share_percent", json!({"share_percent": 101})),
            ("conditions", json!({"conditions": [{"property": "plan", "op": "like", "value": "a"}]})),
            ("conditions", json!({"conditions": [{"property": "plan", "op": "is"}]})),
            ("payload", json!({"payload": "x".repeat(9_000)})),
        ] {
            let mut flag = editor();
            for (key, value) in change.as_object().unwrap() {
                flag[key] = value.clone();
            }
            let refused = send(&house, Method::POST, &token, "feature_flags", flag).await;
            assert_eq!((refused.status, &refused.json()["field"]), (StatusCode::BAD_REQUEST, &json!(field)));
        }
        let reader = house.token(&[Scope::Read]).await;
        for (method, path) in [(Method::POST, "feature_flags"), (Method::DELETE, "feature_flags/new-editor")]
        {
            let refused = send(&house, method, &reader, path, editor()).await;
            assert_eq!(refused.status, StatusCode::FORBIDDEN, "{path}");
        }
        let long = json!({"token": house.key(), "distinct_id": "x".repeat(501)}).to_string();
        let refused = house.send(request(Method::POST, "/flags/?v=2", &[], long)).await;
        assert_eq!(refused.status, StatusCode::BAD_REQUEST);
    });
}
