use belvedere_accounts::Scope;
use belvedere_storage::testing::run;
use http::{Method, StatusCode};
use serde_json::{Value, json};

use super::super::house::{House, with_token};
use super::{ask, body, events, get, range, with};

const KINDS: [&str; 13] = [
    "trend",
    "active",
    "funnel",
    "retention",
    "lifecycle",
    "path",
    "session",
    "percentile",
    "top",
    "formula",
    "interval",
    "subjects",
    "timeline",
];

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
                "breakdown: no recent event has a property \"colour\"",
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
                "breakdown: must be a property, not the name",
            ),
            ("funnel", with("funnel", "steps", json!([])), "steps", "steps: must be from 1 to 20"),
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
            ("path", with("path", "steps", json!(21)), "steps", "steps: must be from 1 to 20"),
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
                "top",
                with("top", "by", json!("colour")),
                "by",
                "by: no recent event has a property \"colour\"",
            ),
            ("top", with("top", "rank", json!("age")), "rank", "rank: must be one of events, subjects"),
            ("top", with("top", "limit", json!(0)), "limit", "limit: must be from 1 to 1000"),
            ("top", with("top", "goal", json!({ "name": "opend" })), "goal", "goal: no event is named"),
            (
                "lifecycle",
                with("lifecycle", "events", json!({ "name": "opend" })),
                "events",
                "events: no event is named",
            ),
            (
                "active",
                with("active", "events", is("colour", "is", json!("red"))),
                "events",
                "events: no recent event has a property \"colour\"",
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
                "where: must have one of and, or, not, cohort and property",
            ),
            (
                "active",
                with("active", "events", where_(json!({ "property": "plan" }))),
                "op",
                "op: must be given with a property",
            ),
            (
                "active",
                with("active", "events", is("tier", "like", json!("a"))),
                "op",
                "op: must be is, is_not, contains, greater, less, in",
            ),
            (
                "active",
                with("active", "events", is("tier", "is", json!([]))),
                "value",
                "value: must be a text, a number or a truth value here",
            ),
            (
                "active",
                with("active", "events", is("tier\n", "set", json!(null))),
                "property",
                "property: must be a column of texts or a property of 1 to 100 bytes",
            ),
            (
                "active",
                with(
                    "active",
                    "events",
                    where_(json!({ "cohort": { "range": range(), "events": { "where": {
                    "cohort": { "range": range() } } } } })),
                ),
                "cohort",
                "cohort: cannot be within another cohort",
            ),
            (
                "active",
                with(
                    "active",
                    "events",
                    where_(json!({ "or": [
                    { "cohort": { "range": range() } }, { "cohort": { "range": range() } },
                    { "cohort": { "range": range() } }, { "cohort": { "range": range() } } ] })),
                ),
                "cohort",
                "cohort: is there more than 3 times",
            ),
            (
                "active",
                with("active", "events", where_(json!({ "cohort": { "range": range(), "at_least": 0 } }))),
                "times",
                "times: must be from 1 to 1000000",
            ),
            (
                "trend",
                with("trend", "values_of", json!("course")),
                "values_of",
                "values_of: must be a property in props",
            ),
            (
                "funnel",
                with("funnel", "mode", json!("loose")),
                "mode",
                "mode: must be one of ordered, strict, unordered",
            ),
            (
                "funnel",
                with("funnel", "exclusions", json!([{ "name": "opened", "after": 2, "before": 1 }])),
                "exclusions",
                "exclusions: must lie after one step and before a later one",
            ),
            (
                "funnel",
                with("funnel", "exclusions", json!([{ "name": "opened", "after": 0, "before": 1 }])),
                "exclusions",
                "exclusions: steps are counted from 1",
            ),
            (
                "funnel",
                with("funnel", "steps", json!([{ "name": "opened", "optional": true }])),
                "optional",
                "optional: the first step cannot be left out",
            ),
            (
                "funnel",
                with("funnel", "breakdown", json!({ "by": "course", "touch": "best" })),
                "touch",
                "touch: must be one of first, last",
            ),
            (
                "formula",
                with("formula", "formula", json!("A + B")),
                "formula",
                "formula: at character 5: there is no series B",
            ),
            ("formula", with("formula", "series", json!([])), "series", "series: must be from 1 to 10"),
            (
                "formula",
                with("formula", "series", json!([{ "measure": "mode" }])),
                "measure",
                "measure: must be one of events, subjects, sum",
            ),
            (
                "interval",
                with("interval", "window_seconds", json!(40_000_000)),
                "window",
                "window: must be from 0 to",
            ),
            ("subjects", with("subjects", "limit", json!(0)), "limit", "limit: must be from 1 to 1000"),
            (
                "subjects",
                with("subjects", "cursor", json!("x")),
                "cursor",
                "cursor: is not one that a page gave",
            ),
            ("timeline", with("timeline", "limit", json!(0)), "limit", "limit: must be from 1 to"),
            (
                "timeline",
                with("timeline", "cursor", json!("x")),
                "cursor",
                "cursor: is not one that a page gave",
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
            ("/api/v1/events/values?property=value", "property"),
            ("/api/v1/events/values?property=colour", "property"),
            ("/api/v1/events/properties?limit=0", "limit"),
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
        let lists = ["names?", "properties?", "values?property=course&"];
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
