//! Learning events through the door, and what the API says of learners.

use axum::body::Body;
use belvedere_accounts::Scope;
use belvedere_kernel::SubjectId;
use belvedere_storage::testing::run;
use http::{Method, StatusCode};
use serde_json::{Value, json};

use super::codecs::CODECS;
use super::house::{Answer, House, request, send, with_token};

async fn post(house: &House, body: impl Into<Body>, headers: &[(&str, &str)]) -> Answer {
    let uri = format!("/api/{}/learning/events?sentry_key={}", house.project(), house.key());
    house.send(request(Method::POST, &uri, headers, body)).await
}

fn attempt(number: u32, success: bool) -> Value {
    json!({
        "id": format!("a{number}"), "event_type": "exercise_attempt", "user_id": "ada", "course_id": "rust/1",
        "lesson_id": "loops", "exercise_id": format!("e{number}"), "skills": ["loops"],
        "timestamp": format!("2026-11-23T11:{number:02}:00Z"), "metadata": {"success": success, "duration": 20},
    })
}

/// Brings what the door put on disk into the slice.
async fn digest(house: &House) {
    let deliveries = house.deliveries().await;
    assert!(deliveries.iter().all(|delivery| delivery.kind == "learning.events"));
    let prepared = house.learning.intake_handler().prepare(deliveries).await.unwrap();
    assert_eq!(prepared.rejected, []);
    house.db.write(async |tx| prepared.batch.store(tx).await).await.unwrap();
}

#[test]
fn events_are_taken_and_bad_ones_are_named() {
    run(async {
        let house = House::new().await;
        let mut wrong = attempt(3, true);
        wrong["metadata"]["score"] = json!(101);
        let body = json!({"events": [attempt(1, true), wrong, 5, attempt(2, false)]}).to_string();
        let answer = post(&house, body, &[]).await;
        assert_eq!(answer.status, StatusCode::OK);
        assert_eq!(
            answer.json(),
            json!({"accepted": 2, "errors": [
                {"index": 1, "field": "metadata.score", "reason": "must be from 0 to 100"},
                {"index": 2, "field": "", "reason": "is not an object"},
            ]})
        );
        assert_eq!(answer.header("access-control-allow-origin"), "*");
        let (_, encode) = CODECS.iter().find(|(token, _)| *token == "gzip").unwrap();
        let compressed = encode(&mut json!([attempt(4, true)]).to_string().as_bytes());
        let answer = post(&house, compressed, &[("content-encoding", "gzip")]).await;
        assert_eq!(answer.json(), json!({"accepted": 1, "errors": []}));
        digest(&house).await;
        let learner =
            house.state.learning.find_learner(house.project(), SubjectId(1)).await.unwrap().unwrap();
        assert_eq!((learner.events, learner.successes), (3, 2));
        assert_eq!(house.noted().await, [("learning_event".to_owned(), "invalid".to_owned(), 2)]);
    });
}

#[test]
fn a_request_of_which_nothing_can_be_taken_is_refused() {
    run(async {
        let mut house = House::new().await;
        for (body, expected) in [
            (json!([{"event_type": "x"}]).to_string(), "\"field\":\"event_type\""),
            ("{".to_owned(), "the body is not JSON"),
            ("[]".to_owned(), "must be an event, an array"),
            (Value::Array(vec![attempt(1, true); 1_001]).to_string(), "there are 1001 events"),
        ] {
            let answer = post(&house, body, &[]).await;
            assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{expected}");
            assert!(answer.json().to_string().contains(expected), "{}", answer.json());
        }
        let uri = format!("/api/{}/learning/events/", house.project());
        let body = attempt(1, true).to_string();
        let nobody = house.send(request(Method::POST, &uri, &[], body.clone())).await;
        assert_eq!(nobody.status, StatusCode::UNAUTHORIZED);
        let headers = [("x-sentry-auth", "Sentry sentry_key=00000000000000000000000000000000")];
        let stranger = house.send(request(Method::POST, &uri, &headers, body.clone())).await;
        assert_eq!(stranger.status, StatusCode::FORBIDDEN);
        let limited = house.limited_key(Some(1), &[]).await;
        let uri = format!("/api/{}/learning/events?sentry_key={}", house.project(), limited.public_key);
        // The limit is remembered by one router.
        let router = house.router();
        let mut statuses = Vec::new();
        for _ in 0..2 {
            statuses.push(send(&router, request(Method::POST, &uri, &[], body.clone())).await.status);
        }
        assert_eq!(statuses, [StatusCode::OK, StatusCode::TOO_MANY_REQUESTS]);
        house.state.features.learning = false;
        assert_eq!(post(&house, body, &[]).await.status, StatusCode::NOT_FOUND);
        let noted = house.noted().await;
        assert!(noted.contains(&("learning_event".to_owned(), "switched_off".to_owned(), 1)), "{noted:?}");
        assert!(noted.contains(&("learning_event".to_owned(), "rate_limited".to_owned(), 1)), "{noted:?}");
        let token = house.token(&[Scope::Read]).await;
        let gone = house.send(with_token(Method::GET, "/api/v1/learning/courses", &token, "")).await;
        assert_eq!(gone.status, StatusCode::NOT_FOUND);
    });
}

#[test]
fn the_api_tells_of_learners_courses_and_exercises() {
    run(async {
        let house = House::new().await;
        let events: Vec<Value> = (0..13).map(|number| attempt(number, number == 0)).collect();
        assert_eq!(post(&house, json!(events).to_string(), &[]).await.status, StatusCode::OK);
        digest(&house).await;
        let (read, all) = (house.token(&[Scope::Read]).await, house.token(&Scope::ALL).await);
        let get = async |path: &str| {
            let answer =
                house.send(with_token(Method::GET, &format!("/api/v1/learning{path}"), &read, "")).await;
            assert_eq!(answer.status, StatusCode::OK, "{path}: {}", answer.json());
            answer.json()
        };
        let change = async |method: Method, path: &str, token: &str, body: Value| {
            house
                .send(with_token(method, &format!("/api/v1/learning{path}"), token, body.to_string()))
                .await
                .status
        };
        let learner = get("/learners/1").await;
        assert_eq!((&learner["events"], &learner["courses"][0]["course"]), (&json!(13), &json!("rust/1")));
        assert_eq!(learner["courses"][0]["lessons"][0]["progress"]["attempts"], 13);
        assert_eq!(get("/courses").await["items"][0]["learners"], 1);
        assert_eq!(get("/courses/rust%2F1").await["lessons"][0]["started"], 1);
        assert_eq!(get("/courses/rust%2F1/learners").await["items"][0]["subject"], 1);
        assert_eq!(get("/courses/rust%2F1/items").await["items"][0]["exercise"], "e0");
        let mastery = get("/learners/1/mastery").await;
        assert_eq!(mastery[0]["skill"], "loops");
        assert!(mastery[0]["estimate"]["probability"].as_f64().unwrap() < 0.5);
        let next = get("/learners/1/recommendations?course=rust%2F1&limit=3").await;
        assert_eq!(next.as_array().unwrap().len(), 3);
        assert_ne!(next[0]["exercise"], "e0");
        let struggling = get("/struggling").await;
        assert_eq!(struggling["items"][0]["struggle"]["verdict"], "struggling");
        assert!(struggling["items"][0]["struggle"]["factors"][0]["reason"].is_string());
        let feedback = json!({"subject": 1, "skill": "loops", "feedback": "helped"});
        let path = "/struggling/feedback";
        assert_eq!(change(Method::POST, path, &read, feedback.clone()).await, StatusCode::FORBIDDEN);
        assert_eq!(change(Method::POST, path, &all, feedback).await, StatusCode::NO_CONTENT);
        assert_eq!(get("/struggling/precision").await["precision"], 1.0);
        assert_eq!(get("/milestones?subject=1").await["items"], json!([]));

        let structure = json!({"title": "Rust", "lessons": [{"id": "loops", "title": "Loops", "is_optional": false,
            "exercises": [{"id": "e0", "title": "", "skills": ["loops"]}]}]});
        let path = "/courses/rust%2F1/structure";
        assert_eq!(change(Method::PUT, path, &read, structure.clone()).await, StatusCode::FORBIDDEN);
        assert_eq!(change(Method::PUT, path, &all, structure.clone()).await, StatusCode::NO_CONTENT);
        assert_eq!(get(path).await, structure);
        assert_eq!(get("/courses").await["items"][0]["title"], "Rust");
        let rules = json!({"rules": [{"kind": "streak_days", "days": 3}, {"kind": "first_lesson"}]});
        assert_eq!(
            change(Method::PUT, "/milestone_rules", &all, rules.clone()).await,
            StatusCode::NO_CONTENT
        );
        assert_eq!(get("/milestone_rules").await, rules);
        let wrong = json!({"rules": [{"kind": "streak_days", "days": 1}]});
        assert_eq!(change(Method::PUT, "/milestone_rules", &all, wrong).await, StatusCode::BAD_REQUEST);
        assert_eq!(house.audit_entries("learning_structure_changed").await.len(), 1);
        for path in ["/learners/2", "/learners/ada", "/courses/go", "/courses/go/structure"] {
            let uri = format!("/api/v1/learning{path}");
            let answer = house.send(with_token(Method::GET, &uri, &read, "")).await;
            assert_eq!(answer.status, StatusCode::NOT_FOUND, "{path}");
        }
    });
}

#[test]
fn the_api_tells_how_the_tutor_does() {
    run(async {
        let house = House::new().await;
        let event = |kind: &str, day: u32, minute: u32, metadata: Value| {
            json!({
                "id": format!("{kind}-{day}-{minute}"), "event_type": kind, "user_id": "ada", "course_id": "rust",
                "exercise_id": format!("e{day}"), "skills": [format!("s{day}")], "metadata": metadata,
                "timestamp": format!("2026-11-1{day}T11:{minute:02}:00Z"),
            })
        };
        let mut events = Vec::new();
        for day in 0..5 {
            events.push(event("exercise_attempt", day, 1, json!({"success": false})));
            let said = json!({"error_type": "borrow", "latency": 2.5, "cost": 0.0004, "withheld": false,
                "withhold_share": 0.2, "answer_leaked": false, "conversation": format!("c{day}")});
            events.push(event("tutor_message", day, 2, said));
            events.push(event("exercise_attempt", day, 9, json!({"success": day > 0})));
        }
        events.push(event("tutor_message", 9, 3, json!({"withhold_share": 1.5})));
        let answer = post(&house, json!(events).to_string(), &[]).await;
        assert_eq!(answer.json()["errors"][0]["field"], "metadata.withhold_share");
        digest(&house).await;
        let read = house.token(&[Scope::Read]).await;
        let get = async |query: &str| {
            house.send(with_token(Method::GET, &format!("/api/v1/learning/tutor{query}"), &read, "")).await
        };
        let report = get("").await;
        assert_eq!(report.status, StatusCode::OK, "{}", report.json());
        let report = report.json();
        assert_eq!((&report["conversations"], &report["messages"]), (&json!(5), &json!(5)));
        assert_eq!(report["interactions_per_learner"]["value"], 5.0);
        assert_eq!((&report["resolution"]["part"], &report["resolution"]["whole"]), (&json!(4), &json!(5)));
        assert_eq!(
            (&report["latency"]["p95"]["value"], &report["cost"]["messages"]),
            (&json!(2.5), &json!(5))
        );
        assert_eq!(report["comparisons"][0]["outcome"], "next_attempt");
        assert_eq!(report["comparisons"][0]["observed"]["rate"], 0.8);
        assert_eq!(report["comparisons"][0]["observed_less_expected"], Value::Null);
        assert_eq!(report["hold_out"]["given"], 5);
        assert_eq!(report["hold_out"]["effects"][1]["effect"], Value::Null);
        // One learner is too few for a topic.
        assert_eq!((&report["topics"], &report["topics_withheld"]), (&json!([]), &json!(5)));
        assert_eq!(get("?solve_minutes=5").await.json()["resolution"]["part"], 0);
        assert_eq!(get("?days=7").await.json()["conversations"], 0);
        for (query, field) in [("?days=91", "days"), ("?solve_minutes=0", "solve_minutes")] {
            let refused = get(query).await;
            assert_eq!(refused.status, StatusCode::BAD_REQUEST, "{query}");
            assert!(refused.json().to_string().contains(field), "{}", refused.json());
        }
    });
}
