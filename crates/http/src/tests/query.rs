use axum::body::Body;
use belvedere_accounts::Scope;
use belvedere_event_store::Event;
use belvedere_kernel::SubjectId;
use belvedere_storage::testing::run;
use http::{Method, StatusCode};
use serde_json::{Value, json};

use super::house::{Answer, House, with_token};

const KINDS: [&str; 8] =
    ["trend", "active", "funnel", "retention", "lifecycle", "path", "session", "percentile"];

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

#[test]
fn what_is_wrong_with_a_question_is_named() {
    run(async {
        let house = House::new().await;
        house.append(house.project(), &events()).await;
        let token = house.token(&[Scope::Read]).await;
        let wrong_range = |key: &str, value: &str| {
            let mut range = range();
            range[key] = json!(value);
            range
        };
        let where_ = |condition: Value| json!({ "where": condition });
        let is = |property: &str, op: &str, value: Value| {
            where_(json!({ "property": property, "op": op, "value": value }))
        };
        let deep =
            (0..9).fold(json!({ "property": "plan", "op": "set" }), |inner, _| json!({ "not": inner }));
        for (kind, body, field, detail) in [
            (
                "trend",
                with("trend", "range", wrong_range("from", "yesterday")),
                "from",
                "from: must be an instant such as",
            ),
            (
                "trend",
                with("trend", "range", wrong_range("from", "2020-01-01T00:00:00Z")),
                "from",
                "from: must be at most 732 days before until",
            ),
            (
                "active",
                with("active", "range", wrong_range("until", "2026-11-01T00:00:00Z")),
                "until",
                "until: must be later than from",
            ),
            (
                "path",
                with("path", "range", wrong_range("time_zone", "Mars")),
                "time_zone",
                "time_zone: must be the name of an IANA",
            ),
            (
                "session",
                with("session", "unit", json!("fortnight")),
                "unit",
                "unit: must be one of hour, day, week, month",
            ),
            (
                "trend",
                with("trend", "measures", json!(["sums"])),
                "measures",
                "measures: must be one of subjects, values, percentiles",
            ),
            (
                "trend",
                with("trend", "breakdown", json!({ "by": "colour" })),
                "breakdown",
                "breakdown: there is no \"colour\"; there are course",
            ),
            (
                "percentile",
                with("percentile", "breakdown", json!({ "by": "name", "limit": 51 })),
                "breakdown",
                "breakdown: must be from 1 to 50",
            ),
            (
                "funnel",
                with("funnel", "breakdown", json!({ "by": "name" })),
                "breakdown",
                "breakdown: there is no \"name\"",
            ),
            ("funnel", with("funnel", "steps", json!([])), "steps", "steps: must be from 1 to 16"),
            (
                "funnel",
                with("funnel", "steps", json!([{ "name": "opend" }])),
                "steps",
                "steps: no event is named \"opend\"",
            ),
            (
                "funnel",
                with("funnel", "window_seconds", json!(40_000_000)),
                "window",
                "window: must be from 0 to",
            ),
            ("path", with("path", "steps", json!(17)), "steps", "steps: must be from 1 to 16"),
            (
                "path",
                with("path", "anchor", json!({ "name": "opend" })),
                "anchor",
                "anchor: no event is named \"opend\"",
            ),
            (
                "path",
                with("path", "direction", json!("up")),
                "direction",
                "direction: must be one of next, previous",
            ),
            (
                "session",
                with("session", "gap_seconds", json!(86_401)),
                "gap",
                "gap: must be from 0 to 86400000 ms",
            ),
            (
                "retention",
                with("retention", "mode", json!("strict")),
                "mode",
                "mode: must be one of classic, rolling, unbounded",
            ),
            (
                "retention",
                with("retention", "cohort_by", json!("last")),
                "cohort_by",
                "cohort_by: must be one of first, any",
            ),
            (
                "lifecycle",
                with("lifecycle", "events", json!({ "name": "opend" })),
                "events",
                "events: no event is named",
            ),
            (
                "active",
                with("active", "events", is("colour", "is", json!("red"))),
                "property",
                "property: there is no \"colour\"",
            ),
            (
                "active",
                with("active", "events", is("course", "like", json!("a"))),
                "op",
                "op: must be is, is_not",
            ),
            (
                "active",
                with("active", "events", is("course", "is", json!(5))),
                "value",
                "value: must be a text here",
            ),
            (
                "active",
                with("active", "events", is("course", "in", json!("a"))),
                "value",
                "value: must be a list of texts here",
            ),
            (
                "active",
                with("active", "events", is("value", "less", json!("a"))),
                "value",
                "value: must be a number here",
            ),
            (
                "active",
                with("active", "events", is("value", "contains", json!(1))),
                "op",
                "op: must be is, greater",
            ),
            (
                "active",
                with("active", "events", where_(json!({}))),
                "where",
                "where: must have one of and, or, not and property",
            ),
            (
                "active",
                with("active", "events", where_(json!({ "property": "plan" }))),
                "op",
                "op: must be given with a property",
            ),
            (
                "active",
                with("active", "events", where_(deep)),
                "where",
                "where: nests conditions deeper than 8",
            ),
        ] {
            let answer = ask(&house, &token, kind, &body).await;
            assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{kind} {body}: {answer:?}");
            let problem = answer.json();
            assert_eq!(problem["field"], field, "{problem}");
            assert!(problem["detail"].as_str().unwrap().starts_with(detail), "{problem}");
        }
        for (kind, body, part) in [
            ("trend", with("trend", "colour", json!(1)), "unknown field `colour`"),
            ("trend", json!({ "unit": "day" }), "missing field `range`"),
            ("funnel", with("funnel", "window_seconds", json!("long")), "invalid type: string"),
        ] {
            let answer = ask(&house, &token, kind, &body).await;
            assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{answer:?}");
            assert!(answer.json()["detail"].as_str().unwrap().contains(part), "{answer:?}");
        }
        for (uri, field) in [
            ("/api/v1/events/names?limit=0", "limit"),
            ("/api/v1/events/values?property=course&limit=1001", "limit"),
            ("/api/v1/events/values", "property"),
            ("/api/v1/events/values?property=name", "property"),
            ("/api/v1/events/values?property=course&name=opend", "name"),
        ] {
            let answer = get(&house, &token, uri).await;
            assert_eq!(
                (answer.status, &answer.json()["field"]),
                (StatusCode::BAD_REQUEST, &json!(field)),
                "{uri}"
            );
        }
    });
}

#[test]
fn who_may_not_read_is_refused_and_other_projects_are_not_seen() {
    run(async {
        let house = House::new().await;
        house.append(house.project(), &events()).await;
        let second = house.second_project().await;
        let stranger = house.stranger().await;
        let theirs = house.project_of(&stranger).await;
        let (reader, writer) = (house.token(&[Scope::Read]).await, house.token(&[Scope::Write]).await);
        let foreign = house.token_of(&stranger, &[Scope::Read, Scope::Write, Scope::Admin]).await;
        let ours = house.project();
        let requests =
            KINDS.map(|kind| (Method::POST, format!("/api/v1/query/{kind}"), body(kind).to_string()));
        let lists = ["names?", "values?property=course&"];
        let lists = lists.map(|list| (Method::GET, format!("/api/v1/events/{list}"), String::new()));
        for (method, uri, body) in requests.into_iter().chain(lists) {
            let separator = if uri.ends_with('&') || uri.ends_with('?') { "" } else { "?" };
            let send = async |token: &str, project: String| {
                let uri = format!("{uri}{separator}project={project}");
                house.send(with_token(method.clone(), &uri, token, body.clone())).await
            };
            assert_eq!(send(&reader, ours.to_string()).await.status, StatusCode::OK, "{uri}");
            let refused = send(&writer, ours.to_string()).await;
            assert_eq!(refused.status, StatusCode::FORBIDDEN, "{uri}");
            assert_eq!(refused.json()["detail"], "not allowed without the permission view_analytics");
            assert_eq!(send(&foreign, ours.to_string()).await.status, StatusCode::NOT_FOUND, "{uri}");
            // Of another project only what names nothing is answered, with nothing.
            for (token, project) in [(&reader, &second), (&foreign, &theirs)] {
                let answer = send(token, project.id.to_string()).await;
                assert!(
                    !answer.text.contains("algebra") && !answer.text.contains("completed\":"),
                    "{answer:?}"
                );
                match answer.status {
                    StatusCode::OK => assert!(!answer.text.contains("\"opened\""), "{answer:?}"),
                    _ => assert!(answer.text.contains("no event is named"), "{answer:?}"),
                }
            }
        }
        let trend = house
            .send(with_token(
                Method::POST,
                &format!("/api/v1/query/trend?project={}", second.id),
                &reader,
                body("trend").to_string(),
            ))
            .await;
        assert_eq!(trend.json()["series"][0]["events"], 0);
    });
}
