//! Insights, dashboards, links and cohorts through the API.

use std::time::Duration;

use belvedere_accounts::Scope;
use belvedere_event_store::Event;
use belvedere_kernel::SubjectId;
use belvedere_storage::testing::run;
use http::{Method, StatusCode};
use serde_json::{Value, json};

use super::house::{Answer, House, START, with_token};

async fn send(house: &House, method: Method, token: &str, path: &str, body: Value) -> Answer {
    let body = if body.is_null() { String::new() } else { body.to_string() };
    house.send(with_token(method, &format!("/api/v1/{path}"), token, body)).await
}

async fn get(house: &House, token: &str, path: &str) -> Answer {
    send(house, Method::GET, token, path, Value::Null).await
}

/// Eight people see a page; six of them sign up a minute later.
async fn visitors(house: &House) {
    let mut events = Vec::new();
    for person in 1..=8 {
        for (name, minutes) in [("page_view", 60), ("Signed Up", 59)] {
            if name == "Signed Up" && person > 6 {
                continue;
            }
            let at = START.minus(Duration::from_secs(60 * minutes));
            let mut event = Event::new([events.len() as u8; 16], at, name);
            event.subject = Some(SubjectId(person));
            events.push(event);
        }
    }
    house.append(house.project(), &events).await;
}

fn funnel() -> Value {
    json!({"kind": "funnel", "steps": ["page_view", "Signed Up"], "window_days": 7, "days": 30, "by": null,
        "cohort": null})
}

#[test]
fn an_insight_is_kept_and_answered() {
    run(async {
        let house = House::new().await;
        visitors(&house).await;
        let token = house.token(&[Scope::Read, Scope::Write]).await;
        let body =
            json!({"name": "Way in", "question": {"kind": "funnel", "steps": ["page_view", "Signed Up"]}});
        let made = send(&house, Method::POST, &token, "insights", body.clone()).await;
        assert_eq!(made.status, StatusCode::CREATED, "{}", made.text);
        let id = made.json()["id"].as_str().unwrap().to_owned();
        assert_eq!(made.json()["question"], funnel());
        assert_eq!(get(&house, &token, "insights").await.json()[0]["name"], "Way in");
        let answer = get(&house, &token, &format!("insights/{id}/answer")).await.json();
        assert_eq!(
            answer["rows"],
            json!([[1, "page_view", 8, 1.0, 1.0, null], [2, "Signed Up", 6, 0.75, 0.75, 60.0]])
        );
        let file = get(&house, &token, &format!("insights/{id}/answer?format=csv")).await;
        assert_eq!(file.header("content-type"), "text/csv; charset=utf-8; header=present");
        assert!(file.text.ends_with("2,Signed Up,6,0.75,0.75,60\r\n"), "{}", file.text);
        let change = json!({"question": {"kind": "trend", "event": "=Signed Up"}});
        let changed = send(&house, Method::PUT, &token, &format!("insights/{id}"), change).await;
        assert_eq!((changed.status, &changed.json()["name"]), (StatusCode::OK, &json!("Way in")));
        let unknown = get(&house, &token, &format!("insights/{id}/answer")).await;
        assert_eq!(
            (unknown.status, unknown.json()["field"].as_str()),
            (StatusCode::BAD_REQUEST, Some("events"))
        );
        let again = send(&house, Method::POST, &token, "insights", body).await;
        assert_eq!((again.status, again.json()["field"].as_str()), (StatusCode::BAD_REQUEST, Some("name")));
        let gone = send(&house, Method::DELETE, &token, &format!("insights/{id}"), Value::Null).await;
        assert_eq!(gone.status, StatusCode::NO_CONTENT);
        assert_eq!(get(&house, &token, &format!("insights/{id}")).await.status, StatusCode::NOT_FOUND);
        assert_eq!(house.audit_entries("insight_deleted").await.len(), 1);
    });
}

#[test]
fn a_question_that_cannot_be_read_names_what_is_wrong() {
    run(async {
        let house = House::new().await;
        let token = house.token(&[Scope::Write]).await;
        for (question, field, part) in [
            (json!({"kind": "trend", "measure": "cats"}), "question", "unknown variant `cats`"),
            (json!({"kind": "trend", "stepz": []}), "question", "unknown field `stepz`"),
            (json!({"kind": "dream"}), "question", "unknown variant `dream`"),
            (json!({"kind": "funnel", "steps": ["a"]}), "steps", "must be 2 to 8"),
            (json!({"kind": "trend", "cohort": "01ARZ3NDEKTSV4RRFFQ69G5FAV"}), "cohort", "no such cohort"),
        ] {
            let body = json!({"name": "a", "question": question});
            let answer = send(&house, Method::POST, &token, "insights", body).await;
            assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{}", answer.text);
            let problem = answer.json();
            assert_eq!(problem["field"], field, "{problem}");
            assert!(problem["detail"].as_str().unwrap().contains(part), "{problem}");
        }
    });
}

#[test]
fn a_dashboard_is_made_arranged_and_shared() {
    run(async {
        let house = House::new().await;
        let token = house.token(&[Scope::Read, Scope::Write, Scope::Admin]).await;
        let mut ids = Vec::new();
        for name in ["First", "Second"] {
            let body = json!({"name": name, "question": {"kind": "retention"}});
            let made = send(&house, Method::POST, &token, "insights", body).await;
            ids.push(made.json()["id"].as_str().unwrap().to_owned());
        }
        let body = json!({"name": "Product", "tiles": [{"insight": ids[0]}]});
        let made = send(&house, Method::POST, &token, "dashboards", body).await;
        assert_eq!(made.status, StatusCode::CREATED, "{}", made.text);
        let path = format!("dashboards/{}", made.json()["id"].as_str().unwrap());
        let tiles = json!([{"insight": ids[1], "width": "full"}, {"insight": ids[0], "width": "half"}]);
        let changed = send(&house, Method::PUT, &token, &path, json!({ "tiles": tiles })).await;
        assert_eq!((changed.status, &changed.json()["tiles"]), (StatusCode::OK, &tiles));
        for (tiles, field) in [
            (json!([{"insight": "nonsense"}]), "tiles"),
            (json!([{"insight": ids[0], "width": "wide"}]), "width"),
            (json!([{"insight": ids[0]}, {"insight": ids[0]}]), "tiles"),
        ] {
            let answer = send(&house, Method::PUT, &token, &path, json!({ "tiles": tiles })).await;
            assert_eq!(
                (answer.status, answer.json()["field"].as_str()),
                (StatusCode::BAD_REQUEST, Some(field))
            );
        }
        let links = format!("{path}/links");
        let end = json!({"expires_at": "2026-12-24T00:00:00Z"});
        let link = send(&house, Method::POST, &token, &links, end).await;
        assert_eq!(link.status, StatusCode::CREATED, "{}", link.text);
        let (id, url) = (link.json()["id"].as_str().unwrap().to_owned(), link.json()["url"].to_string());
        assert!(url.contains(&format!("https://belvedere.example/shared/{id}/")), "{url}");
        let listed = get(&house, &token, &links).await.json();
        assert_eq!(listed[0]["expires_at"], "2026-12-24T00:00:00Z");
        assert!(!listed.to_string().contains("url"), "{listed}");
        // Writing is not sharing.
        let writer = house.token(&[Scope::Read, Scope::Write]).await;
        assert_eq!(
            send(&house, Method::POST, &writer, &links, json!({})).await.status,
            StatusCode::FORBIDDEN
        );
        assert_eq!(get(&house, &writer, &links).await.status, StatusCode::FORBIDDEN);
        let revoked = send(&house, Method::DELETE, &token, &format!("{links}/{id}"), Value::Null).await;
        assert_eq!(revoked.status, StatusCode::NO_CONTENT);
        assert_eq!(get(&house, &token, &links).await.json(), json!([]));
        assert_eq!(
            send(&house, Method::DELETE, &token, &path, Value::Null).await.status,
            StatusCode::NO_CONTENT
        );
        let reader = house.token(&[Scope::Read]).await;
        for (method, path) in
            [(Method::POST, "dashboards"), (Method::POST, "insights"), (Method::POST, "cohorts")]
        {
            let answer = send(&house, method, &reader, path, json!({"name": "a"})).await;
            assert_eq!(answer.status, StatusCode::FORBIDDEN, "{path}");
        }
    });
}

#[test]
fn a_cohort_filters_questions() {
    run(async {
        let house = House::new().await;
        visitors(&house).await;
        let token = house.token(&[Scope::Read, Scope::Write]).await;
        let rule = json!({"match": "all", "conditions": [
            {"kind": "did", "event": "Signed Up", "op": "at_least", "times": 1, "days": 30}]});
        let made = send(&house, Method::POST, &token, "cohorts", json!({"name": "New", "rule": rule})).await;
        assert_eq!(made.status, StatusCode::CREATED, "{}", made.text);
        let id = made.json()["id"].as_str().unwrap().to_owned();
        assert_eq!((&made.json()["size"], &made.json()["rule"]), (&json!(6), &rule));
        let ask = |cohort: Value| {
            json!({"range": {"from": "2026-11-01T00:00:00Z", "until": "2026-11-24T00:00:00Z"}, "unit": "month",
                "events": {"name": "page_view", "where": {"cohort": cohort}}})
        };
        let answer = send(&house, Method::POST, &token, "query/trend", ask(json!({ "id": id }))).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
        assert_eq!(answer.json()["series"][0]["events"], 6, "{}", answer.text);
        for (cohort, status) in [
            (json!({"id": id, "at_least": 2}), StatusCode::BAD_REQUEST),
            (json!({"at_least": 2}), StatusCode::BAD_REQUEST),
            (json!({"id": "nonsense"}), StatusCode::NOT_FOUND),
            (json!({"id": "01ARZ3NDEKTSV4RRFFQ69G5FAV"}), StatusCode::NOT_FOUND),
        ] {
            let answer = send(&house, Method::POST, &token, "query/trend", ask(cohort)).await;
            assert_eq!(answer.status, status, "{}", answer.text);
        }
        let rule =
            json!({"match": "all", "conditions": [{"kind": "did_not", "event": "Signed Up", "days": 30}]});
        let path = format!("cohorts/{id}");
        let changed = send(&house, Method::PUT, &token, &path, json!({ "rule": rule })).await;
        assert_eq!(
            (changed.status, &changed.json()["size"]),
            (StatusCode::OK, &Value::Null),
            "{}",
            changed.text
        );
        assert_eq!(get(&house, &token, &path).await.json()["size"], Value::Null);
        assert_eq!(get(&house, &token, "cohorts").await.json()[0]["name"], "New");
        let gone = send(&house, Method::DELETE, &token, &path, Value::Null).await;
        assert_eq!(gone.status, StatusCode::NO_CONTENT);
        assert_eq!(get(&house, &token, &path).await.status, StatusCode::NOT_FOUND);
    });
}
