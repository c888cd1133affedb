//! What questions and rules are as JSON, for the description of the API; business intelligence reads and checks them.
#![expect(dead_code, reason = "only describes")]

use serde::Serialize;
use utoipa::ToSchema;

/// What an insight asks.
#[derive(Serialize, ToSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[schema(example = json!({ "kind": "funnel", "steps": ["page_view", "Signed Up"], "window_days": 7, "days": 30 }))]
pub(in crate::api) enum QuestionSchema {
    /// How often something happens, or how much, over time.
    Trend(TrendSchema),
    /// How many people get through the steps of a way.
    Funnel(FunnelSchema),
    /// Whether people come again.
    Retention(RetentionSchema),
    /// What people do next, or did before.
    Path(PathSchema),
}

/// What a series of a formula counts.
#[derive(Serialize, ToSchema)]
pub(in crate::api) struct SeriesSchema {
    /// The name of the events; all if left out.
    event: Option<String>,
    /// As of a trend.
    measure: Option<String>,
    /// As of a trend.
    of: Option<String>,
}

/// How often something happens, or how much, over time.
#[derive(Serialize, ToSchema)]
pub(in crate::api) struct TrendSchema {
    /// The name of the events; all if left out.
    event: Option<String>,
    /// `events` (if left out) or `people`; of values `sum`, `average`, `min`, `max`, `median`, `p75`, `p90`, `p95` or `p99`.
    measure: Option<String>,
    /// The property whose numbers are the values; the value of the events if left out.
    of: Option<String>,
    /// The series B, C, .. of a formula; the one above is A. At most 4.
    more: Option<Vec<SeriesSchema>>,
    /// What is computed from the series, such as `A / B * 100`; then there is no breakdown.
    formula: Option<String>,
    /// `day` (if left out), `week` or `month`.
    unit: Option<String>,
    /// The last so many days: 7, 30 (if left out), 90 or 180.
    days: Option<u16>,
    /// The property that the events are divided by.
    by: Option<String>,
    /// The id of a cohort: only its people.
    cohort: Option<String>,
}

/// How many people get through the steps of a way.
#[derive(Serialize, ToSchema)]
pub(in crate::api) struct FunnelSchema {
    /// The names of the events in their order: 2 to 8.
    steps: Vec<String>,
    /// Within how many days of the first step all of them happen: 1, 7 (if left out), 14, 30 or 90.
    window_days: Option<u16>,
    /// When the first step happens, in the last so many days: 7, 30 (if left out), 90 or 180.
    days: Option<u16>,
    /// The property that people are divided by.
    by: Option<String>,
    /// The id of a cohort: only its people.
    cohort: Option<String>,
}

/// Whether people come again.
#[derive(Serialize, ToSchema)]
pub(in crate::api) struct RetentionSchema {
    /// The name of the events that people begin with; any if left out.
    start: Option<String>,
    /// Which beginnings count: `first` (if left out) of all, or the first in `any` period.
    beginning: Option<String>,
    /// The name of the events that people come again with; any if left out.
    returned: Option<String>,
    /// When they must come again: `classic` (if left out) in that period, `rolling` in it or later, `unbounded` after.
    mode: Option<String>,
    /// `day`, `week` (if left out) or `month`.
    unit: Option<String>,
    /// The id of a cohort: only its people.
    cohort: Option<String>,
}

/// What people do next, or did before.
#[derive(Serialize, ToSchema)]
pub(in crate::api) struct PathSchema {
    /// The name of the events that paths begin at.
    event: String,
    /// `next` (if left out) or `previous`.
    direction: Option<String>,
    /// When they begin, in the last so many days: 7, 30 (if left out), 90 or 180.
    days: Option<u16>,
    /// The id of a cohort: only its people.
    cohort: Option<String>,
}

/// What the people of a cohort have in common.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({ "match": "all", "conditions": [
    { "kind": "did", "event": "Signed Up", "op": "at_least", "times": 1, "days": 30 },
    { "kind": "did_not", "event": "Subscription Started", "days": 30 },
    { "kind": "property", "property": "plan", "op": "is", "value": "free", "days": 30 }] }))]
pub(in crate::api) struct RuleSchema {
    /// `all` conditions hold, or `any`.
    r#match: String,
    /// 1 to 10.
    conditions: Vec<ConditionSchema>,
}

/// Something about a person, in the last `days`, 1 to 365.
#[derive(Serialize, ToSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub(in crate::api) enum ConditionSchema {
    /// They did something so often.
    Did {
        /// The name of the events; any if it is empty.
        event: String,
        /// `at_least` so many times; or `at_most`, 0 as well, of the people who did anything in that time.
        op: String,
        /// How many times, 1 to 100,000.
        times: u32,
        days: u16,
    },
    /// They did not do something, but anything else.
    DidNot {
        /// The name of the events.
        event: String,
        days: u16,
    },
    /// They have an event with such a property.
    Property {
        /// A column of texts, `value`, or the name of a property.
        property: String,
        /// `is`, `is_not`, `contains`, `greater`, `less`, `set` or `not_set`.
        op: String,
        /// With what it is compared; not with `set` and `not_set`.
        value: Option<String>,
        days: u16,
    },
}
