mod refusals;

use axum::body::Body;
use belvedere_accounts::Scope;
use belvedere_event_store::Event;
use belvedere_kernel::SubjectId;
use belvedere_storage::testing::run;
use http::{Method, StatusCode};
use serde_json::{Value, json};

use super::house::{Answer, House, with_token};

/// Two people open, one of them completes ten minutes later with a value; a third event is nobody's.
fn events() -> Vec<Event> {
    let told = [
        (1, "2026-11-22T08:00:00Z", "opened", Some(1), None),
        (2, "2026-11-22T08:10:00Z", "completed", Some(1), Some(80.5)),
        (3, "2026-11-22T23:30:00Z", "opened", Some(2), None),
        (4, "2026-11-23T08:00:00Z", "opened", None, None),
    ];
    let events = told.into_iter().map(|(id, at, name, subject, value)| {
        let mut event = Event::new([id; 16], at.parse().unwrap(), name);
        (event.subject, event.value) = (subject.map(SubjectId), value);
        event.course = Some("algebra".to_owned());
        event
    });
    events.collect()
}

fn range() -> Value {
    json!({ "from": "2026-11-21T23:00:00Z", "until": "2026-11-23T23:00:00Z", "time_zone": "Europe/Amsterdam" })
}

/// The least that each question needs.
fn body(kind: &str) -> Value {
    let opened = json!({ "name": "opened" });
    match kind {
        "trend" | "lifecycle" | "session" | "percentile" => json!({ "range": range(), "unit": "day" }),
        "active" => json!({ "range": range() }),
        "top" => json!({ "range": range(), "by": "course" }),
        "funnel" => json!({ "range": range(), "steps": [opened, { "name": "completed" }] }),
        "retention" => json!({ "range": range(), "unit": "day", "start": opened }),
        _ => json!({ "range": range(), "anchor": opened }),
    }
}

fn with(kind: &str, key: &str, value: Value) -> Value {
    let mut body = body(kind);
    body[key] = value;
    body
}

async fn ask(house: &House, token: &str, kind: &str, body: &Value) -> Answer {
    let uri = format!("/api/v1/query/{kind}");
    house.send(with_token(Method::POST, &uri, token, Body::from(body.to_string()))).await
}

async fn get(house: &House, token: &str, uri: &str) -> Answer {
    house.send(with_token(Method::GET, uri, token, "")).await
}

#[test]
fn each_question_is_answered() {
    run(async {
        let house = House::new().await;
        house.append(house.project(), &events()).await;
        let token = house.token(&[Scope::Read]).await;
        let starts = json!(["2026-11-21T23:00:00Z", "2026-11-22T23:00:00Z"]);
        let all = json!({ "kind": "all", "text": null });
        let algebra = json!({ "kind": "text", "text": "algebra" });
        let cases = [
            (
                "trend",
                json!({ "range": range(), "unit": "day", "events": { "name": "opened" }, "measures": ["subjects"] }),
                json!({ "starts": starts, "series": [{ "group": all, "events": 3, "subjects": 2, "points": [
                    { "events": 1, "subjects": 1 }, { "events": 2, "subjects": 1 }
                ] }] }),
            ),
            (
                "trend",
                json!({ "range": range(), "unit": "week", "measures": ["values", "percentiles"], "breakdown": { "by": "course" },
                    "events": { "where": { "and": [
                        { "property": "course", "op": "is", "value": "algebra" },
                        { "or": [{ "property": "value", "op": "greater", "value": 80 }, { "property": "plan", "op": "set" }] },
                        { "not": { "property": "name", "op": "in", "value": ["opened"] } }
                    ] } } }),
                json!({ "starts": ["2026-11-21T23:00:00Z", "2026-11-22T23:00:00Z"], "series": [{ "group": algebra, "events": 1, "points": [
                    { "events": 1, "values": { "count": 1, "sum": 80.5, "average": 80.5, "min": 80.5, "max": 80.5 },
                      "percentiles": { "p50": 80.5, "p75": 80.5, "p90": 80.5, "p95": 80.5, "p99": 80.5 } },
                    { "events": 0, "values": { "count": 0, "sum": 0.0, "average": null, "min": null, "max": null } }
                ] }] }),
            ),
            (
                "active",
                body("active"),
                json!({ "days": [
                    { "start": "2026-11-21T23:00:00Z", "daily": 1, "weekly": 1, "monthly_28": 1, "monthly_30": 1, "stickiness_28": 1.0, "stickiness_30": 1.0 },
                    { "start": "2026-11-22T23:00:00Z", "daily": 1, "weekly": 2, "monthly_28": 2, "monthly_30": 2, "stickiness_28": 0.5, "stickiness_30": 0.5 }
                ], "subjects_by_active_days": [0, 2, 0] }),
            ),
            (
                "funnel",
                with("funnel", "breakdown", json!({ "by": "course", "limit": 5 })),
                json!({ "groups": [
                    { "group": all, "steps": [{ "subjects": 2, "median_ms": null }, { "subjects": 1, "median_ms": 600_000 }] },
                    { "group": algebra, "steps": [{ "subjects": 2, "median_ms": null }, { "subjects": 1, "median_ms": 600_000 }] }
                ] }),
            ),
            (
                "retention",
                body("retention"),
                json!({ "cohorts": [
                    { "start": "2026-11-21T23:00:00Z", "subjects": 1, "returned": [1, 0] },
                    { "start": "2026-11-22T23:00:00Z", "subjects": 1, "returned": [1] }
                ], "average": [{ "subjects": 1, "returned": 1, "share": 1.0 }, { "subjects": 0, "returned": 0, "share": null }] }),
            ),
            (
                "lifecycle",
                body("lifecycle"),
                json!({ "periods": [
                    { "start": "2026-11-21T23:00:00Z", "new": 1, "returning": 0, "resurrecting": 0, "dormant": 0 },
                    { "start": "2026-11-22T23:00:00Z", "new": 1, "returning": 0, "resurrecting": 0, "dormant": 1 }
                ] }),
            ),
            (
                "path",
                with("path", "steps", json!(1)),
                json!({ "paths": 2, "subjects": 2, "edges": [
                    { "step": 1, "from": "opened", "to": null, "paths": 1, "subjects": 1 },
                    { "step": 1, "from": "opened", "to": "completed", "paths": 1, "subjects": 1 }
                ] }),
            ),
            (
                "session",
                body("session"),
                json!({ "buckets": [
                    { "start": "2026-11-21T23:00:00Z", "sessions": 1, "events": 2, "bounces": 0, "bounce_rate": 0.0, "average_duration_ms": 600_000.0 },
                    { "start": "2026-11-22T23:00:00Z", "sessions": 1, "events": 1, "bounces": 1, "bounce_rate": 1.0, "average_duration_ms": 0.0 }
                ], "entries": [{ "name": "opened", "sessions": 2 }],
                   "exits": [{ "name": "completed", "sessions": 1 }, { "name": "opened", "sessions": 1 }] }),
            ),
            (
                "percentile",
                with("percentile", "unit", json!("month")),
                json!({ "starts": ["2026-11-21T23:00:00Z"], "series": [{ "group": all, "points": [
                    { "values": { "count": 1, "sum": 80.5, "average": 80.5, "min": 80.5, "max": 80.5 },
                      "percentiles": { "p50": 80.5, "p75": 80.5, "p90": 80.5, "p95": 80.5, "p99": 80.5 } }
                ] }] }),
            ),
            (
                "top",
                with("top", "goal", json!({ "name": "completed" })),
                json!({ "items": [
                    { "text": "algebra", "events": 4, "subjects": 2, "goal_subjects": 1, "goal_share": 0.5 }
                ] }),
            ),
            ("top", with("top", "by", json!("plan")), json!({ "items": [] })),
        ];
        for (kind, body, expected) in cases {
            let answer = ask(&house, &token, kind, &body).await;
            assert_eq!((answer.status, answer.json()), (StatusCode::OK, expected), "{kind}");
        }
        let names = get(&house, &token, "/api/v1/events/names").await.json();
        let volume =
            |name: &str, events, subjects| json!({ "name": name, "events": events, "subjects": subjects });
        assert_eq!(
            names,
            json!({ "items": [volume("opened", 3, 2), volume("completed", 1, 1)], "next": null })
        );
        let values = get(&house, &token, "/api/v1/events/values?property=course&name=opened").await.json();
        assert_eq!(values["items"], json!([{ "value": "algebra", "events": 3, "subjects": 2 }]));
        let first = get(&house, &token, "/api/v1/events/names?limit=1").await.json();
        assert_eq!(first["items"], json!([volume("opened", 3, 2)]));
    });
}
