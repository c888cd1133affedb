use std::collections::BTreeMap;
use std::time::Duration;

use belvedere_accounts::Scope;
use belvedere_error_tracking::envelope::parse_outline;
use belvedere_error_tracking::limits::Category;
use belvedere_storage::testing::run;
use http::{Method, StatusCode};
use serde_json::{Value, json};

use super::codecs::CODECS;
use super::house::{Answer, EVENT_ID, House, request, with_token};

async fn set(house: &House, quotas: Value) -> Answer {
    let token = house.token(&[Scope::Admin]).await;
    let uri = format!("/api/v1/projects/{}/limits", house.project());
    let mut limits = house.send(with_token(Method::GET, &uri, &token, "")).await.json();
    limits["quotas"] = quotas;
    house.send(with_token(Method::PUT, &uri, &token, limits.to_string())).await
}

async fn post(house: &House, body: impl Into<axum::body::Body>, headers: &[(&str, &str)]) -> Answer {
    let uri = format!("/api/{}/envelope/?sentry_key={}", house.project(), house.key());
    house.send(request(Method::POST, &uri, headers, body)).await
}

fn envelope(kinds: &[&str]) -> String {
    let item = |kind: &&str| format!("{{\"type\":\"{kind}\"}}\n{{\"of\":\"{kind}\"}}\n");
    format!("{{\"event_id\":\"{EVENT_ID}\"}}\n{}", kinds.iter().map(item).collect::<String>())
}

/// Lets the door know the project and its limits.
async fn introduced(house: &House) {
    let _ = house.state.quotas.admit(house.project(), &BTreeMap::from([(Category::Transaction, 1)]));
    house.state.quotas.refresh().await.unwrap();
}

async fn kinds(house: &House) -> Vec<Vec<String>> {
    let deliveries = house.deliveries().await;
    let of = |body: &[u8]| parse_outline(body).unwrap().items.into_iter().map(|item| item.kind).collect();
    deliveries
        .iter()
        .filter(|delivery| delivery.encoding.is_none())
        .map(|delivery| of(&delivery.body))
        .collect()
}

#[test]
fn a_category_over_its_quota_is_left_out_and_named_while_all_others_are_taken() {
    run(async {
        let house = House::new().await;
        assert_eq!(set(&house, json!({ "error": { "per_minute": 1 } })).await.status, StatusCode::OK);
        introduced(&house).await;
        let mixed = envelope(&["event", "attachment", "check_in", "session", "hologram"]);
        let taken = post(&house, mixed.clone(), &[]).await;
        assert_eq!((taken.status, taken.header("x-sentry-rate-limits")), (StatusCode::OK, ""));

        let taken = post(&house, mixed.clone(), &[]).await;
        assert_eq!(taken.status, StatusCode::OK, "{taken:?}");
        assert_eq!(taken.json(), json!({ "id": EVENT_ID }));
        assert_eq!(taken.header("x-sentry-rate-limits"), "60:error:project:rate_limited");
        assert_eq!(taken.header("retry-after"), "60");
        assert_eq!(
            taken.header("access-control-expose-headers"),
            "x-sentry-error,x-sentry-rate-limits,retry-after"
        );
        for (token, encode) in CODECS {
            let body = encode(&mut mixed.as_bytes());
            assert_eq!(
                post(&house, body, &[("content-encoding", token)]).await.status,
                StatusCode::OK,
                "{token}"
            );
        }
        let all = ["event", "attachment", "check_in", "session", "hologram"].map(str::to_owned).to_vec();
        let rest = ["check_in", "session", "hologram"].map(str::to_owned).to_vec();
        let mut expected = vec![all];
        expected.extend(std::iter::repeat_n(rest, 1 + CODECS.len()));
        assert_eq!(kinds(&house).await, expected);

        let refused = post(&house, envelope(&["event", "attachment"]), &[]).await;
        assert_eq!(refused.status, StatusCode::TOO_MANY_REQUESTS);
        assert_eq!(refused.header("x-sentry-rate-limits"), "60:error:project:rate_limited");
        assert_eq!(
            refused.json()["detail"],
            "the project takes no more of these for now: error (rate_limited)"
        );
        let dropped = 2 + CODECS.len() as u64;
        assert_eq!(
            house.noted().await,
            [
                ("attachment".to_owned(), "rate_limited".to_owned(), dropped),
                ("event".to_owned(), "rate_limited".to_owned(), dropped)
            ]
        );
        house.clock.advance(Duration::from_secs(60));
        assert_eq!(post(&house, envelope(&["event"]), &[]).await.status, StatusCode::OK);
    });
}

#[test]
fn check_ins_and_client_reports_are_never_refused() {
    run(async {
        let house = House::new().await;
        let none = json!({ "per_minute": 0 });
        set(&house, json!({ "monitor": none, "default": none, "session": none })).await;
        introduced(&house).await;
        let check_in = post(&house, envelope(&["check_in"]), &[]).await;
        assert_eq!(check_in.status, StatusCode::OK);
        assert_eq!(check_in.header("x-sentry-rate-limits"), "60:monitor:project:rate_limited");
        // Neither is a job that checks in by a plain request.
        let uri = format!("/api/{}/cron/nightly/{}?status=ok", house.project(), house.key());
        let check_in = house.send(request(Method::GET, &uri, &[], "")).await;
        assert_eq!(check_in.status, StatusCode::ACCEPTED);
        assert_eq!(house.noted().await, [("check_in".to_owned(), "rate_limited".to_owned(), 2)]);
        let report = post(&house, envelope(&["client_report", "session"]), &[]).await;
        assert_eq!(report.status, StatusCode::OK);
        assert_eq!(kinds(&house).await, [["client_report"]]);
    });
}

#[test]
fn the_single_event_of_an_old_client_is_refused_by_its_category() {
    run(async {
        let house = House::new().await;
        set(&house, json!({ "error": { "per_month": 0 }, "attachment": { "per_minute": 5 } })).await;
        introduced(&house).await;
        let uri = format!("/api/{}/store/?sentry_key={}", house.project(), house.key());
        let refused = house.send(request(Method::POST, &uri, &[], "{\"message\":\"x\"}")).await;
        assert_eq!(refused.status, StatusCode::TOO_MANY_REQUESTS);
        assert_eq!(refused.header("x-sentry-rate-limits"), "3600:error:project:quota");
        assert_eq!(house.noted().await, [("event".to_owned(), "quota".to_owned(), 1)]);
    });
}

#[test]
fn limits_are_read_by_all_and_set_by_administrators_within_bounds() {
    run(async {
        let house = House::new().await;
        let uri = format!("/api/v1/projects/{}/limits", house.project());
        let reader = house.token(&[Scope::Read]).await;
        let limits = house.send(with_token(Method::GET, &uri, &reader, "")).await.json();
        assert_eq!((&limits["event_days"], &limits["quotas"]), (&json!(90), &json!({})));
        let denied = house.send(with_token(Method::PUT, &uri, &reader, limits.to_string())).await;
        assert_eq!(denied.status, StatusCode::FORBIDDEN);
        let admin = house.token(&[Scope::Admin]).await;
        let put = async |change: fn(&mut Value)| {
            let mut limits = limits.clone();
            change(&mut limits);
            house.send(with_token(Method::PUT, &uri, &admin, limits.to_string())).await
        };
        for (change, why) in [
            (
                (|limits| limits["event_days"] = json!(0)) as fn(&mut Value),
                "event_days: must be from 1 to 3650",
            ),
            (|limits| limits["quotas"] = json!({"errors": {}}), "has a name that is not a category of items"),
            (|limits| limits["more"] = json!(1), "unknown field `more`"),
        ] {
            let refused = put(change).await;
            assert_eq!(refused.status, StatusCode::BAD_REQUEST, "{refused:?}");
            assert!(refused.text.contains(why), "{}", refused.text);
        }
        let kept = put(|limits| limits["event_days"] = json!(7)).await;
        assert_eq!(kept.json()["event_days"], json!(7));
        assert_eq!(house.audit_entries("limits_changed").await.len(), 1);
        let stranger = house.stranger().await;
        let foreign = house.token_of(&stranger, &[Scope::Admin]).await;
        assert_eq!(
            house.send(with_token(Method::GET, &uri, &foreign, "")).await.status,
            StatusCode::NOT_FOUND
        );
    });
}

#[test]
fn storage_is_told_by_the_api_and_by_metrics() {
    run(async {
        let house = House::new().await;
        let body = format!(
            "{{\"event_id\":\"{EVENT_ID}\"}}\n{{\"type\":\"event\"}}\n{{\"message\":\"x\"}}\n\
             {{\"type\":\"attachment\",\"length\":3}}\nabc\n"
        );
        post(&house, body, &[]).await;
        house.state.quotas.refresh().await.unwrap();
        house.digest().await;
        let token = house.token(&[Scope::Read]).await;
        let uri = format!("/api/v1/projects/{}/storage", house.project());
        let storage = house.send(with_token(Method::GET, &uri, &token, "")).await.json();
        assert_eq!(storage["kinds"][1], json!({ "kind": "attachment", "items": 1, "bytes": 3 }));
        assert_eq!(storage["days"][0]["day"], "2026-11-23T00:00:00Z");
        assert_eq!(storage["usage"], json!({ "error": 1, "attachment": 3 }));
        let state = crate::HttpState { metrics_token: Some("m".to_owned()), ..house.state.clone() };
        let metrics =
            super::house::send(&crate::router(state), with_token(Method::GET, "/metrics", "m", "")).await;
        let line =
            format!("belvedere_storage_bytes{{project=\"{}\",kind=\"attachment\"}} 3\n", house.project());
        assert!(metrics.text.contains(&line), "{}", metrics.text);
    });
}
