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
        if id < 3 {
            event.props = r#"{"tier":"gold","took":{"minutes":4.5}}"#.to_owned();
        }
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
        "formula" => json!({ "range": range(), "unit": "day", "series": [{}], "formula": "A" }),
        "interval" => json!({ "range": range(), "start": opened, "end": { "name": "completed" } }),
        "subjects" | "timeline" => json!({ "range": range() }),
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
        let properties = get(&house, &token, "/api/v1/events/properties?limit=3").await.json();
        let property = |name: &str, is_column, events| json!({ "property": name, "is_column": is_column, "events": events });
        assert_eq!(
            properties["items"],
            json!([
                property("course", true, 4),
                property("tier", false, 2),
                property("took.minutes", false, 2)
            ])
        );
        let values = get(&house, &token, "/api/v1/events/values?property=tier").await.json();
        assert_eq!(
            values["items"],
            json!([{ "value": null, "events": 2, "subjects": 1 }, { "value": "gold", "events": 2, "subjects": 1 }])
        );
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

#[test]
fn formulas_intervals_subjects_and_events_are_answered() {
    run(async {
        let house = House::new().await;
        house.append(house.project(), &events()).await;
        let token = house.token(&[Scope::Read]).await;
        let opened = json!({ "name": "opened" });
        let cases = [
            (
                "formula",
                json!({ "range": range(), "unit": "week", "formula": "A / B * 100",
                    "series": [{ "events": { "name": "completed" } }, { "events": opened, "measure": "events" }] }),
                json!({ "starts": ["2026-11-21T23:00:00Z", "2026-11-22T23:00:00Z"], "points": [100.0, 0.0],
                    "series": [[1.0, 0.0], [1.0, 2.0]] }),
            ),
            (
                "formula",
                json!({ "range": range(), "unit": "week", "formula": "A * B",
                    "series": [{ "measure": "sum", "values_of": "took.minutes" }, { "measure": "max" }] }),
                json!({ "starts": ["2026-11-21T23:00:00Z", "2026-11-22T23:00:00Z"], "points": [724.5, null],
                    "series": [[9.0, 0.0], [80.5, null]] }),
            ),
            (
                "interval",
                body("interval"),
                json!({ "starts": 2, "intervals": 1, "subjects": 1, "average_ms": 600_000.0, "min_ms": 600_000, "max_ms": 600_000,
                    "p50_ms": 600_000, "p75_ms": 600_000, "p90_ms": 600_000, "p95_ms": 600_000, "p99_ms": 600_000,
                    "bars": [
                        { "shorter_than_ms": 1_000, "intervals": 0 }, { "shorter_than_ms": 10_000, "intervals": 0 },
                        { "shorter_than_ms": 60_000, "intervals": 0 }, { "shorter_than_ms": 300_000, "intervals": 0 },
                        { "shorter_than_ms": 900_000, "intervals": 1 }, { "shorter_than_ms": 3_600_000, "intervals": 0 },
                        { "shorter_than_ms": 21_600_000, "intervals": 0 }, { "shorter_than_ms": 86_400_000, "intervals": 0 },
                        { "shorter_than_ms": 604_800_000, "intervals": 0 }, { "shorter_than_ms": 2_592_000_000_i64, "intervals": 0 },
                        { "shorter_than_ms": null, "intervals": 0 }
                    ] }),
            ),
            (
                "subjects",
                json!({ "range": range(), "events": opened, "limit": 1 }),
                json!({ "total": 2, "items": [{ "number": 1, "subject": 1, "events": 1 }], "next": "1" }),
            ),
            (
                "subjects",
                json!({ "range": range(), "events": { "name": "completed" }, "less_than": 1, "cursor": "1" }),
                json!({ "total": 1, "items": [{ "number": 2, "subject": 2, "events": 0 }], "next": null }),
            ),
            (
                "timeline",
                json!({ "range": range(), "subject": 1, "limit": 1 }),
                json!({ "items": [{ "id": "02".repeat(16), "at": "2026-11-22T08:10:00Z", "name": "completed", "subject": 1, "value": 80.5,
                    "texts": { "course": "algebra" }, "props": { "tier": "gold", "took": { "minutes": 4.5 } } }],
                    "next": "1795335000000000~02020202020202020202020202020202" }),
            ),
            (
                "timeline",
                json!({ "range": range(), "events": { "where": { "property": "tier", "op": "not_set" } }, "limit": 1 }),
                json!({ "items": [{ "id": "04".repeat(16), "at": "2026-11-23T08:00:00Z", "name": "opened", "subject": null, "value": null,
                    "texts": { "course": "algebra" }, "props": {} }],
                    "next": "1795420800000000~04040404040404040404040404040404" }),
            ),
        ];
        for (kind, body, expected) in cases {
            let answer = ask(&house, &token, kind, &body).await;
            assert_eq!((answer.status, answer.json()), (StatusCode::OK, expected), "{kind}");
        }
        let counted = async |condition: Value| {
            let body = with("trend", "events", json!({ "where": condition }));
            let answer = ask(&house, &token, "trend", &body).await;
            assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
            answer.json()["series"][0]["events"].as_u64().unwrap()
        };
        let tier = |op: &str, value: Value| json!({ "property": "tier", "op": op, "value": value });
        let minutes =
            |op: &str, value: Value| json!({ "property": "props.took.minutes", "op": op, "value": value });
        assert_eq!(counted(tier("is", json!("gold"))).await, 2);
        assert_eq!(counted(tier("is_not", json!("gold"))).await, 2);
        assert_eq!(counted(tier("contains", json!("ol"))).await, 2);
        assert_eq!(counted(tier("in", json!(["gold", 5]))).await, 2);
        assert_eq!(counted(minutes("is", json!(4.50))).await, 2);
        assert_eq!(counted(minutes("greater", json!(4.5))).await, 0);
        assert_eq!(counted(minutes("less", json!(5))).await, 2);
        let completed = json!({ "cohort": { "range": range(), "events": { "name": "completed" } } });
        assert_eq!(counted(completed.clone()).await, 2);
        assert_eq!(counted(json!({ "not": completed })).await, 2);
        let often = json!({ "cohort": { "range": range(), "at_least": 3 } });
        assert_eq!(counted(often).await, 0);
        let mut body = with("funnel", "breakdown", json!({ "by": "tier", "touch": "last" }));
        body["steps"] = json!([opened, { "name": "started", "optional": true }, { "name": "completed" }]);
        body["exclusions"] = json!([{ "name": "opened", "after": 1, "before": 3 }]);
        house
            .append(
                house.project(),
                &[Event::new([9; 16], "2026-11-20T08:00:00Z".parse().unwrap(), "started")],
            )
            .await;
        let answer = ask(&house, &token, "funnel", &body).await;
        assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
        let answer = answer.json();
        let subjects: Vec<u64> =
            (0..3).map(|step| answer["groups"][0]["steps"][step]["subjects"].as_u64().unwrap()).collect();
        assert_eq!(subjects, [2, 0, 1]);
        assert_eq!(answer["groups"][2]["group"], json!({ "kind": "text", "text": "gold" }));
    });
}
