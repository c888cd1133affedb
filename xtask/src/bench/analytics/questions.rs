//! What is asked, and how the answer is written so that answers of several engines can be compared.

use serde_json::{Map, Value, json};

use super::super::issues::rfc3339;

const DAY_SECONDS: u64 = 86_400;

/// A question to the HTTP API.
pub(super) struct Question {
    /// Its letter.
    pub(super) key: &'static str,
    pub(super) title: &'static str,
    pub(super) path: &'static str,
    pub(super) body: Value,
    /// From the API's answer to the common form.
    pub(super) read: fn(&Value) -> Value,
}

/// The questions about the days before an instant, in seconds since 1970.
pub(super) fn questions(end: u64) -> Vec<Question> {
    let last = |days: u64| json!({ "from": rfc3339(end - days * DAY_SECONDS), "until": rfc3339(end), "time_zone": "UTC" });
    let steps = ["course_viewed", "lesson_started", "exercise_answered", "lesson_completed"];
    let funnel = |days| json!({ "range": last(days), "steps": steps.map(|name| json!({ "name": name })) });
    vec![
        Question {
            key: "a",
            title: "a. daily counts by name, 90 days",
            path: "/api/v1/query/trend",
            body: json!({ "range": last(90), "unit": "day", "breakdown": { "by": "name", "limit": 40 } }),
            read: counts,
        },
        Question {
            key: "b",
            title: "b. daily, weekly and monthly active subjects, 30 days",
            path: "/api/v1/query/active",
            body: json!({ "range": last(30) }),
            read: active,
        },
        Question {
            key: "c",
            title: "c. funnel of 4 steps in 7 days, 30 days",
            path: "/api/v1/query/funnel",
            body: funnel(30),
            read: reached,
        },
        Question {
            key: "c180",
            title: "c. the same, 180 days",
            path: "/api/v1/query/funnel",
            body: funnel(180),
            read: reached,
        },
        Question {
            key: "d",
            title: "d. weekly retention by first event, 12 weeks",
            path: "/api/v1/query/retention",
            body: json!({ "range": last(84), "unit": "week", "start": {} }),
            read: returned,
        },
        Question {
            key: "e",
            title: "e. top 10 courses by subjects, with completion, 180 days",
            path: "/api/v1/query/top",
            body: json!({
                "range": last(180), "by": "course", "rank": "subjects", "goal": { "name": "course_completed" }
            }),
            read: top,
        },
        Question {
            key: "f",
            title: "f. p50, p95 and p99 of the value by day, 180 days",
            path: "/api/v1/query/percentile",
            body: json!({ "range": last(180), "unit": "day" }),
            read: percentiles,
        },
    ]
}

/// How many events there are in the year from an instant on.
pub(super) fn count_from(start: u64) -> Question {
    let range = json!({
        "from": rfc3339(start), "until": rfc3339(start + 365 * DAY_SECONDS), "time_zone": "UTC"
    });
    let body = json!({ "range": range, "unit": "month" });
    Question { key: "", title: "events", path: "/api/v1/query/trend", body, read: counts }
}

fn items<'a>(answer: &'a Value, key: &str) -> impl Iterator<Item = &'a Value> {
    answer[key].as_array().into_iter().flatten()
}

fn counts(answer: &Value) -> Value {
    let series = items(answer, "series").filter_map(|series| {
        let name = series["group"]["text"].as_str()?.to_owned();
        Some((name, items(series, "points").map(|point| point["events"].clone()).collect()))
    });
    Value::Object(series.collect::<Map<String, Value>>())
}

fn active(answer: &Value) -> Value {
    items(answer, "days").map(|day| json!([day["daily"], day["weekly"], day["monthly_30"]])).collect()
}

fn reached(answer: &Value) -> Value {
    items(&answer["groups"][0], "steps").map(|step| step["subjects"].clone()).collect()
}

fn returned(answer: &Value) -> Value {
    items(answer, "cohorts").map(|cohort| cohort["returned"].clone()).collect()
}

fn top(answer: &Value) -> Value {
    items(answer, "items")
        .map(|item| json!([item["text"], item["subjects"], item["goal_subjects"]]))
        .collect()
}

fn percentiles(answer: &Value) -> Value {
    let of = |point: &Value| {
        let percentiles = &point["percentiles"];
        json!([percentiles["p50"], percentiles["p95"], percentiles["p99"]])
    };
    items(&answer["series"][0], "points").map(of).collect()
}
