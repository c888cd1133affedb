//! What is asked, as JSON.

use belvedere_accounts::Project;
use belvedere_event_store::columns::PropName;
use belvedere_event_store::kernel::funnel::{FunnelBreakdown, Touch};
use belvedere_event_store::kernel::trend::{Breakdown, Measures};
use belvedere_event_store::query::{Span, Unit};
use serde::Deserialize;
use utoipa::ToSchema;

use super::super::input::instant;
use super::condition::{Condition, EventsBody, field, prop};
use crate::problem::Problem;

/// How many groups a breakdown answers by themselves unless the request says otherwise.
const GROUPS: usize = 10;

/// When, and by whose calendar.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "from": "2026-11-01T00:00:00Z", "until": "2026-12-01T00:00:00Z" }))]
pub(crate) struct RangeBody {
    /// From this instant on.
    #[schema(format = DateTime)]
    from: String,
    /// Before this instant; at most 732 days after `from`.
    #[schema(format = DateTime)]
    until: String,
    /// The IANA name of the time zone whose days, weeks and months are meant; the project's if left out.
    time_zone: Option<String>,
}

impl RangeBody {
    pub(super) fn span(self, project: &Project) -> Result<Span, Problem> {
        let given = |field, text: &str| {
            instant(field, Some(text))?.ok_or_else(|| Problem::invalid(field, "must be given"))
        };
        Ok(Span {
            project: project.id,
            from: given("from", &self.from)?,
            until: given("until", &self.until)?,
            time_zone: self.time_zone.unwrap_or_else(|| project.time_zone.clone()),
        })
    }
}

/// By which property an answer is broken down.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "by": "course", "limit": 5 }))]
pub(crate) struct BreakdownBody {
    /// `name`, which a funnel does not take, `course`, `lesson`, `exercise`, `country`, `browser`, `os`, `device`,
    /// `referrer`, `utm_source`, `plan`, or a property in `props`.
    by: String,
    /// How many of its texts are answered by themselves, 1 to 50; 10 if left out.
    limit: Option<usize>,
}

impl BreakdownBody {
    pub(super) fn breakdown(self) -> Result<Breakdown, Problem> {
        Ok(Breakdown { field: field("breakdown", &self.by)?, limit: self.limit.unwrap_or(GROUPS) })
    }
}

/// By which property the subjects of a funnel are grouped, each in one group.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "by": "utm_source", "touch": "last" }))]
pub(crate) struct FunnelBreakdownBody {
    /// As in a trend, but for `name`.
    by: String,
    /// Which of the texts of a subject's events in the range is its own: `first`, or `last` up to the moment at which it
    /// reached its furthest step; `first` if left out.
    touch: Option<String>,
    /// How many of its texts are answered by themselves, 1 to 50; 10 if left out.
    limit: Option<usize>,
}

impl FunnelBreakdownBody {
    pub(super) fn breakdown(self) -> Result<FunnelBreakdown, Problem> {
        let touches = [("first", Touch::First), ("last", Touch::Last)];
        Ok(FunnelBreakdown {
            field: field("breakdown", &self.by)?,
            touch: word("touch", self.touch.as_deref().unwrap_or("first"), &touches)?,
            limit: self.limit.unwrap_or(GROUPS),
        })
    }
}

/// The property in `props` whose numbers are the values.
pub(super) fn values_of(name: Option<&str>) -> Result<Option<PropName>, Problem> {
    name.filter(|name| *name != "value").map(|name| prop("values_of", name)).transpose()
}

/// The meaning of a word, one of a few.
pub(super) fn word<T: Copy>(field: &'static str, text: &str, words: &[(&str, T)]) -> Result<T, Problem> {
    let found = words.iter().find(|(word, _)| *word == text);
    found.map(|(_, meaning)| *meaning).ok_or_else(|| {
        let known: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
        Problem::invalid(field, format!("must be one of {}", known.join(", ")))
    })
}

/// The unit that buckets are cut by.
pub(super) fn unit(text: &str) -> Result<Unit, Problem> {
    let units = [("hour", Unit::Hour), ("day", Unit::Day), ("week", Unit::Week), ("month", Unit::Month)];
    word("unit", text, &units)
}

pub(super) fn milliseconds(seconds: u32) -> i64 {
    i64::from(seconds) * 1000
}

/// A trend: numbers over time.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "range": { "from": "2026-11-01T00:00:00Z", "until": "2026-12-01T00:00:00Z" }, "unit": "day", "events": { "name": "opened" }, "measures": ["subjects"], "breakdown": { "by": "course" } }))]
pub(crate) struct TrendBody {
    /// When.
    pub(super) range: RangeBody,
    /// `hour`, `day`, `week` (from Monday) or `month`; at most 1,000 of them in the range.
    pub(super) unit: String,
    /// Which events count; all if left out.
    pub(super) events: Option<EventsBody>,
    /// What to answer besides the number of events: `subjects`, `values`, `percentiles`.
    #[serde(default)]
    measures: Vec<String>,
    /// The property in `props` whose numbers are the values; the events' own values if left out.
    pub(super) values_of: Option<String>,
    /// One series per text of a property.
    pub(super) breakdown: Option<BreakdownBody>,
}

impl TrendBody {
    pub(super) fn measures(&self) -> Result<Measures, Problem> {
        let mut measures = Measures::default();
        for text in &self.measures {
            match word("measures", text, &[("subjects", 0), ("values", 1), ("percentiles", 2)])? {
                0 => measures.subjects = true,
                1 => measures.values = true,
                _ => measures.percentiles = true,
            }
        }
        Ok(measures)
    }
}

/// Active subjects per day.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "range": { "from": "2026-11-01T00:00:00Z", "until": "2026-12-01T00:00:00Z" } }))]
pub(crate) struct ActiveBody {
    /// The days, which are answered whole.
    pub(super) range: RangeBody,
    /// Which events count as activity; all if left out.
    pub(super) events: Option<EventsBody>,
}

/// A funnel.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "range": { "from": "2026-11-01T00:00:00Z", "until": "2026-12-01T00:00:00Z" }, "steps": [{ "name": "opened" }, { "name": "hint_used", "optional": true }, { "name": "completed" }], "exclusions": [{ "name": "cancelled", "after": 1, "before": 3 }] }))]
pub(crate) struct FunnelBody {
    /// When the first step happens.
    pub(super) range: RangeBody,
    /// The steps in their order, 1 to 20.
    pub(super) steps: Vec<StepBody>,
    /// `ordered`: one after the other; `strict`: with no other event of the subject between; `unordered`: in any order,
    /// where step `n` counts those that did `n` of the steps. `ordered` if left out.
    pub(super) mode: Option<String>,
    /// What must not happen between two steps, at most 10; only in the mode `ordered`.
    #[serde(default)]
    pub(super) exclusions: Vec<ExclusionBody>,
    /// From the first step to the last, at most 31,622,400; 604,800 (7 days) if left out.
    pub(super) window_seconds: Option<u32>,
    /// The subjects of each text of a property.
    pub(super) breakdown: Option<FunnelBreakdownBody>,
}

/// A step of a funnel: which events serve it.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "name": "signed_up" }))]
pub(crate) struct StepBody {
    /// The name of the events.
    name: Option<String>,
    /// What else must hold.
    #[serde(rename = "where")]
    condition: Option<Condition>,
    /// Whether the step may be left out: it counts who reaches it after the steps before it that may not, and holds back
    /// none of those after it. Not the first step, and only in the mode `ordered`.
    #[serde(default)]
    pub(super) optional: bool,
}

/// What ends an attempt if it happens after one step and before another.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "name": "cancelled", "after": 1, "before": 2 }))]
pub(crate) struct ExclusionBody {
    /// The name of the events.
    name: Option<String>,
    /// What else must hold.
    #[serde(rename = "where")]
    condition: Option<Condition>,
    /// The number of the step after which; the first is 1.
    pub(super) after: usize,
    /// The number of the step before which.
    pub(super) before: usize,
}

impl StepBody {
    pub(super) fn events(self) -> EventsBody {
        EventsBody { name: self.name, condition: self.condition }
    }
}

impl ExclusionBody {
    pub(super) fn events(self) -> EventsBody {
        EventsBody { name: self.name, condition: self.condition }
    }
}

/// Retention.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "range": { "from": "2026-09-01T00:00:00Z", "until": "2026-12-01T00:00:00Z" }, "unit": "week", "start": { "name": "signed_up" } }))]
pub(crate) struct RetentionBody {
    /// The periods, which are answered whole.
    pub(super) range: RangeBody,
    /// `hour`, `day`, `week` (from Monday) or `month`; at most 1,000 of them in the range.
    pub(super) unit: String,
    /// Events that start.
    pub(super) start: EventsBody,
    /// Events that return; all if left out.
    pub(super) returned: Option<EventsBody>,
    /// `first`: by the first start event that is stored; `any`: by each one. `first` if left out.
    pub(super) cohort_by: Option<String>,
    /// Returned `classic`: in that period; `rolling`: in it or a later one; `unbounded`: in it or ever after.
    /// `classic` if left out.
    pub(super) mode: Option<String>,
}

/// Lifecycle.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "range": { "from": "2026-09-01T00:00:00Z", "until": "2026-12-01T00:00:00Z" }, "unit": "week" }))]
pub(crate) struct LifecycleBody {
    /// The periods, which are answered whole.
    pub(super) range: RangeBody,
    /// `hour`, `day`, `week` (from Monday) or `month`; at most 1,000 of them in the range.
    pub(super) unit: String,
    /// Which events count as activity; all if left out.
    pub(super) events: Option<EventsBody>,
}

/// Paths.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "range": { "from": "2026-11-01T00:00:00Z", "until": "2026-12-01T00:00:00Z" }, "anchor": { "name": "error" }, "direction": "previous" }))]
pub(crate) struct PathBody {
    /// When anchors happen; steps may lie outside.
    pub(super) range: RangeBody,
    /// Events that paths begin at.
    pub(super) anchor: EventsBody,
    /// Events that are steps; all if left out.
    pub(super) events: Option<EventsBody>,
    /// `next` or `previous`; `next` if left out.
    pub(super) direction: Option<String>,
    /// Steps from the anchor, 1 to 20; 3 if left out.
    pub(super) steps: Option<usize>,
    /// The longest time from one step to the next, at most 86,400; 1,800 if left out.
    pub(super) gap_seconds: Option<u32>,
    /// How many edges are answered for each step, 1 to 200; 10 if left out.
    pub(super) limit: Option<usize>,
}

/// Sessions.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "range": { "from": "2026-11-01T00:00:00Z", "until": "2026-12-01T00:00:00Z" }, "unit": "day" }))]
pub(crate) struct SessionBody {
    /// When sessions begin.
    pub(super) range: RangeBody,
    /// `hour`, `day`, `week` (from Monday) or `month`; at most 1,000 of them in the range.
    pub(super) unit: String,
    /// Which events sessions consist of; all if left out.
    pub(super) events: Option<EventsBody>,
    /// The longest gap within a session, at most 86,400; 1,800 if left out.
    pub(super) gap_seconds: Option<u32>,
    /// How many names of first and last events are answered, 1 to 1,000; 10 if left out.
    pub(super) limit: Option<usize>,
}

/// Percentiles of values.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "range": { "from": "2026-11-01T00:00:00Z", "until": "2026-12-01T00:00:00Z" }, "unit": "day", "events": { "name": "completed" }, "values_of": "duration" }))]
pub(crate) struct PercentileBody {
    /// When.
    pub(super) range: RangeBody,
    /// `hour`, `day`, `week` (from Monday) or `month`; at most 1,000 of them in the range.
    pub(super) unit: String,
    /// Which events' values count; all if left out.
    pub(super) events: Option<EventsBody>,
    /// The property in `props` whose numbers are the values; the events' own values if left out.
    pub(super) values_of: Option<String>,
    /// One series per text of a property.
    pub(super) breakdown: Option<BreakdownBody>,
}

/// The first texts of a property.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "range": { "from": "2026-11-01T00:00:00Z", "until": "2026-12-01T00:00:00Z" }, "by": "course", "goal": { "name": "completed" } }))]
pub(crate) struct TopBody {
    /// When.
    pub(super) range: RangeBody,
    /// `name`, `course`, `lesson`, `exercise`, `country`, `browser`, `os`, `device`, `referrer`, `utm_source`, `plan`, or a
    /// property in `props`.
    pub(super) by: String,
    /// Which events count; all if left out.
    pub(super) events: Option<EventsBody>,
    /// Which events reach the goal of their text, such as completing a course.
    pub(super) goal: Option<EventsBody>,
    /// `events` or `subjects`; `events` if left out.
    pub(super) rank: Option<String>,
    /// How many texts are answered, 1 to 1,000; 10 if left out.
    pub(super) limit: Option<usize>,
}
