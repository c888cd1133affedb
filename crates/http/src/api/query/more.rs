//! Formulas, times between events, the subjects behind a number, and events one by one.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use belvedere_event_store::kernel::cohort::Did;
use belvedere_event_store::kernel::interval::{BAR_ENDS_MS, IntervalAnswer as Intervals};
use belvedere_event_store::query::{
    AskCohort, AskFormula, AskInterval, FormulaSeries, ListSubjects, Measure, ReadTimeline, SubjectVolume,
    TimelineEvent,
};
use belvedere_kernel::SubjectId;
use belvedere_storage::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::super::answer::{List, answer};
use super::super::input::{InProject, page};
use super::asked::{Asked, Asking};
use super::body::{RangeBody, milliseconds, unit, values_of, word};
use super::condition::EventsBody;
use super::explore::list_limit;
use super::{WINDOW_SECONDS, count_of};
use crate::problem::Problem;
use crate::state::Shared;

/// A formula between series.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({
    "range": { "from": "2026-11-01T00:00:00Z", "until": "2026-12-01T00:00:00Z" }, "unit": "day",
    "series": [
        { "events": { "name": "completed" }, "measure": "subjects" },
        { "events": { "name": "opened" }, "measure": "subjects" }
    ],
    "formula": "A / B * 100"
}))]
pub(crate) struct FormulaBody {
    /// When.
    range: RangeBody,
    /// `hour`, `day`, `week` (from Monday) or `month`; at most 1,000 of them in the range.
    unit: String,
    /// The series A, B, .., 1 to 10.
    series: Vec<FormulaSeriesBody>,
    /// Numbers, the letters of series, `+ - * /` and parentheses; at most 200 bytes. Where something is divided by zero or
    /// a series has no value the formula has none.
    formula: String,
}

/// One series of a formula.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct FormulaSeriesBody {
    /// Which events count; all if left out.
    events: Option<EventsBody>,
    /// `events`, `subjects`, or of their values `sum`, `average`, `min`, `max`, `p50`, `p75`, `p90`, `p95` or `p99`;
    /// `events` if left out.
    measure: Option<String>,
    /// The property in `props` whose numbers are the values; the events' own values if left out.
    values_of: Option<String>,
}

/// What a formula comes to.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct FormulaAnswer {
    /// The start of each bucket.
    #[schema(value_type = Vec<String>)]
    starts: Vec<Timestamp>,
    /// The value of the formula in each bucket; null where it has none.
    points: Vec<Option<f64>>,
    /// By series and bucket, the numbers that it was computed from.
    series: Vec<Vec<Option<f64>>>,
}

/// Formulas
///
/// Numbers that are computed from several series, bucket by bucket, such as a rate.
#[utoipa::path(post, path = "/api/v1/query/formula", tag = "query", params(InProject), request_body = FormulaBody,
    responses((status = 200, description = "One value per bucket", body = FormulaAnswer)))]
pub(crate) async fn formula(
    State(shared): State<Arc<Shared>>,
    Asked { project, body }: Asked<FormulaBody>,
) -> Result<Json<FormulaAnswer>, Problem> {
    const MEASURES: [(&str, Measure); 11] = [
        ("events", Measure::Events),
        ("subjects", Measure::Subjects),
        ("sum", Measure::Sum),
        ("average", Measure::Average),
        ("min", Measure::Min),
        ("max", Measure::Max),
        ("p50", Measure::Percentile(0)),
        ("p75", Measure::Percentile(1)),
        ("p90", Measure::Percentile(2)),
        ("p95", Measure::Percentile(3)),
        ("p99", Measure::Percentile(4)),
    ];
    let asking = Asking::new(&shared, &project);
    count_of("series", body.series.len(), belvedere_event_store::kernel::formula::SERIES_MAX)?;
    let mut series = Vec::new();
    for one in body.series {
        series.push(FormulaSeries {
            filter: asking.filter(one.events).await?,
            measure: word("measure", one.measure.as_deref().unwrap_or("events"), &MEASURES)?,
            values_of: values_of(one.values_of.as_deref())?,
        });
    }
    let span = body.range.span(&project)?;
    let ask = AskFormula { span, unit: unit(&body.unit)?, series, formula: body.formula };
    let answer = shared.queries.formula(ask).await?;
    Ok(Json(FormulaAnswer { starts: answer.starts, points: answer.points, series: answer.series }))
}

/// Time between events.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({
    "range": { "from": "2026-11-01T00:00:00Z", "until": "2026-12-01T00:00:00Z" },
    "start": { "name": "opened" }, "end": { "name": "completed" }
}))]
pub(crate) struct IntervalBody {
    /// When start events happen.
    range: RangeBody,
    /// Start events.
    start: EventsBody,
    /// End events: the first one of the subject after a start event.
    end: EventsBody,
    /// The longest interval, at most 31,622,400; 604,800 (7 days) if left out.
    window_seconds: Option<u32>,
}

/// How long it takes from one event to the next.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct IntervalAnswer {
    /// Number of start events.
    starts: u64,
    /// How many of them have an end event within the window.
    intervals: u64,
    /// Number of different subjects with such a pair.
    subjects: u64,
    /// The average in milliseconds; null without pairs, as those that follow.
    average_ms: Option<f64>,
    /// The shortest.
    min_ms: Option<i64>,
    /// The longest.
    max_ms: Option<i64>,
    /// The median.
    p50_ms: Option<i64>,
    /// 75 % are not longer.
    p75_ms: Option<i64>,
    /// 90 % are not longer.
    p90_ms: Option<i64>,
    /// 95 % are not longer.
    p95_ms: Option<i64>,
    /// 99 % are not longer.
    p99_ms: Option<i64>,
    /// The distribution.
    bars: Vec<IntervalBarAnswer>,
}

/// How many intervals are about as long.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct IntervalBarAnswer {
    /// They are shorter than this; null for all that are longer than those before.
    shorter_than_ms: Option<i64>,
    /// How many.
    intervals: u64,
}

impl From<Intervals> for IntervalAnswer {
    fn from(answer: Intervals) -> Self {
        let percentile = |place: usize| answer.percentiles_ms.and_then(|it| it.get(place).copied());
        let ends = BAR_ENDS_MS.into_iter().map(Some).chain([None]);
        let bars = ends.zip(answer.bars);
        Self {
            starts: answer.starts,
            intervals: answer.intervals,
            subjects: answer.subjects,
            average_ms: answer.average_ms,
            min_ms: answer.extremes_ms.map(|it| it.0),
            max_ms: answer.extremes_ms.map(|it| it.1),
            p50_ms: percentile(0),
            p75_ms: percentile(1),
            p90_ms: percentile(2),
            p95_ms: percentile(3),
            p99_ms: percentile(4),
            bars: bars
                .map(|(shorter_than_ms, intervals)| IntervalBarAnswer { shorter_than_ms, intervals })
                .collect(),
        }
    }
}

/// Time between events
///
/// How long subjects take from each start event to their next end event.
#[utoipa::path(post, path = "/api/v1/query/interval", tag = "query", params(InProject), request_body = IntervalBody,
    responses((status = 200, description = "Its distribution", body = IntervalAnswer)))]
pub(crate) async fn interval(
    State(shared): State<Arc<Shared>>,
    Asked { project, body }: Asked<IntervalBody>,
) -> Result<Json<IntervalAnswer>, Problem> {
    let asking = Asking::new(&shared, &project);
    let ask = AskInterval {
        span: body.range.span(&project)?,
        start: body.start.found(&asking).await?,
        end: body.end.found(&asking).await?,
        window_ms: milliseconds(body.window_seconds.unwrap_or(WINDOW_SECONDS)),
    };
    Ok(Json(shared.queries.interval(ask).await?.into()))
}

/// The subjects behind a number.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({
    "range": { "from": "2026-11-01T00:00:00Z", "until": "2026-12-01T00:00:00Z" },
    "events": { "name": "completed" }, "at_least": 3
}))]
pub(crate) struct SubjectsBody {
    /// When.
    range: RangeBody,
    /// Which events; all if left out.
    events: Option<EventsBody>,
    /// Those with at least so many of the events, 1 to 1,000,000; 1 if both this and `less_than` are left out.
    at_least: Option<u64>,
    /// Those with fewer of the events, but with an event of any kind in the range; 1 for those without.
    less_than: Option<u64>,
    /// Where the page before ended.
    cursor: Option<String>,
    /// How many at most, 1 to 1,000; 100 if left out.
    limit: Option<usize>,
}

answer! {
    /// A subject and its events.
    SubjectAnswer of SubjectVolume {
        /// The number that stands for the subject among events.
        number: u32,
        /// The subject; null if it was erased meanwhile.
        #[schema(value_type = Option<i64>)]
        subject: Option<SubjectId>,
        /// How many of the events it has.
        events: u64,
    }
}

/// A page of subjects.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SubjectsAnswer {
    /// How many there are on all pages.
    total: u64,
    /// Those of this page.
    items: Vec<SubjectAnswer>,
    /// The `cursor` of the next page; null on the last.
    next: Option<String>,
}

/// Subjects
///
/// Which subjects did something so many times, or did not.
#[utoipa::path(post, path = "/api/v1/query/subjects", tag = "query", params(InProject), request_body = SubjectsBody,
    responses((status = 200, description = "A page of them", body = SubjectsAnswer)))]
pub(crate) async fn subjects(
    State(shared): State<Arc<Shared>>,
    Asked { project, body }: Asked<SubjectsBody>,
) -> Result<Json<SubjectsAnswer>, Problem> {
    let asking = Asking::new(&shared, &project);
    let did = match (body.at_least, body.less_than) {
        (Some(_), Some(_)) => {
            return Err(Problem::invalid("less_than", "cannot be given together with at_least"));
        }
        (None, Some(limit)) => Did::LessThan(limit),
        (least, None) => Did::AtLeast(least.unwrap_or(1)),
    };
    let after = body.cursor.map(|cursor| {
        cursor.parse::<u32>().map_err(|_| Problem::invalid("cursor", "is not one that a page gave"))
    });
    let list = ListSubjects {
        cohort: AskCohort {
            span: body.range.span(&project)?,
            filter: asking.filter(body.events).await?,
            did,
        },
        after: after.transpose()?,
        limit: list_limit(body.limit)?,
    };
    let found = shared.queries.list_subjects(list).await?;
    Ok(Json(SubjectsAnswer {
        total: found.total,
        items: found.subjects.into_iter().map(SubjectAnswer::from).collect(),
        next: found.next.map(|next| next.to_string()),
    }))
}

/// Events one by one.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({
    "range": { "from": "2026-11-01T00:00:00Z", "until": "2026-12-01T00:00:00Z" }, "subject": 318
}))]
pub(crate) struct TimelineBody {
    /// When.
    range: RangeBody,
    /// Whose; everybody's and nobody's if left out.
    subject: Option<i64>,
    /// Which events; all if left out.
    events: Option<EventsBody>,
    /// Where the page before ended.
    cursor: Option<String>,
    /// How many at most, 1 to 200; 50 if left out.
    limit: Option<u16>,
}

/// An event as it came.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct TimelineEventAnswer {
    /// Its id, 32 hexadecimal digits.
    id: String,
    /// When it happened.
    #[schema(value_type = String, format = DateTime)]
    at: Timestamp,
    /// What happened.
    name: String,
    /// Whose it is; null without a subject.
    #[schema(value_type = Option<i64>)]
    subject: Option<SubjectId>,
    /// Its number.
    value: Option<f64>,
    /// Its texts that are set, `session` and the dimensions, by their names.
    #[schema(value_type = Object)]
    texts: Map<String, Value>,
    /// All else.
    #[schema(value_type = Object)]
    props: Value,
}

impl From<TimelineEvent> for TimelineEventAnswer {
    fn from(event: TimelineEvent) -> Self {
        Self {
            id: format!("{:032x}", u128::from_be_bytes(event.id)),
            at: event.at,
            name: event.name,
            subject: event.subject,
            value: event.value,
            texts: event.texts.into_iter().map(|(key, text)| (key.to_owned(), text.into())).collect(),
            props: serde_json::from_str(&event.props).unwrap_or_else(|_| Map::new().into()),
        }
    }
}

/// Timeline
///
/// Events as they came, newest first: of one subject, or the last of all.
#[utoipa::path(post, path = "/api/v1/query/timeline", tag = "query", params(InProject), request_body = TimelineBody,
    responses((status = 200, description = "A page of them", body = List<TimelineEventAnswer>)))]
pub(crate) async fn timeline(
    State(shared): State<Arc<Shared>>,
    Asked { project, body }: Asked<TimelineBody>,
) -> Result<Json<List<TimelineEventAnswer>>, Problem> {
    let asking = Asking::new(&shared, &project);
    let span = body.range.span(&project)?;
    let read = ReadTimeline {
        project: project.id,
        subject: body.subject.map(SubjectId),
        filter: asking.filter(body.events).await?,
        from: span.from,
        until: span.until,
        page: page(body.limit, body.cursor)?,
    };
    Ok(List::of(shared.queries.timeline(read).await?, TimelineEventAnswer::from))
}
