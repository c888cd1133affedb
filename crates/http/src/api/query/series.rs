//! Series over time, as JSON.

use belvedere_event_store::kernel::group::Group;
use belvedere_event_store::kernel::trend::{Measures, Point, Series};
use belvedere_event_store::query as model;
use belvedere_storage::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

/// Which events or subjects a row is about.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct GroupAnswer {
    /// `all`, `text` for those with a text, `not_set` for those without, or `other` for all further ones.
    kind: &'static str,
    /// The text, where it is `text`.
    text: Option<String>,
}

impl From<Group> for GroupAnswer {
    fn from(group: Group) -> Self {
        let (kind, text) = match group {
            Group::All => ("all", None),
            Group::NotSet => ("not_set", None),
            Group::Text(text) => ("text", Some(text)),
            Group::Other => ("other", None),
        };
        Self { kind, text }
    }
}

/// Series over common buckets.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct TrendAnswer {
    /// The start of each bucket.
    #[schema(value_type = Vec<String>)]
    starts: Vec<Timestamp>,
    /// The series with the most events first, all others together last.
    series: Vec<SeriesAnswer>,
}

/// One line of a trend.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SeriesAnswer {
    /// Which events.
    group: GroupAnswer,
    /// Events in all buckets.
    events: u64,
    /// Different subjects in all buckets together, where asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    subjects: Option<u64>,
    /// One per bucket.
    points: Vec<PointAnswer>,
}

/// The events of one bucket.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PointAnswer {
    /// Number of events.
    events: u64,
    /// Number of different subjects, where asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    subjects: Option<u64>,
    /// What the values say, where asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    values: Option<ValuesAnswer>,
    /// Percentiles of the values, where asked for and where there is a value.
    #[serde(skip_serializing_if = "Option::is_none")]
    percentiles: Option<PercentilesAnswer>,
}

/// What values say.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ValuesAnswer {
    /// Events that have a value.
    count: u64,
    /// Their sum.
    sum: f64,
    /// Their average.
    average: Option<f64>,
    /// The least.
    min: Option<f64>,
    /// The greatest.
    max: Option<f64>,
}

/// Values by nearest rank: each is one that occurred.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PercentilesAnswer {
    /// The median.
    p50: f64,
    /// 75 % of the values are not greater.
    p75: f64,
    /// 90 % of the values are not greater.
    p90: f64,
    /// 95 % of the values are not greater.
    p95: f64,
    /// 99 % of the values are not greater.
    p99: f64,
}

fn values(point: &Point) -> ValuesAnswer {
    let Point { values, sum, min, max, .. } = *point;
    ValuesAnswer { count: values, sum, average: point.average(), min, max }
}

fn percentiles(point: &Point) -> Option<PercentilesAnswer> {
    point.percentiles.map(|[p50, p75, p90, p95, p99]| PercentilesAnswer { p50, p75, p90, p95, p99 })
}

impl TrendAnswer {
    pub(super) fn of(answer: model::TrendAnswer, measures: Measures) -> Self {
        let series = |series: Series| SeriesAnswer {
            events: series.events,
            subjects: measures.subjects.then_some(series.subjects),
            points: series
                .points
                .iter()
                .map(|point| PointAnswer {
                    events: point.events,
                    subjects: measures.subjects.then_some(point.subjects),
                    values: measures.values.then(|| values(point)),
                    percentiles: percentiles(point),
                })
                .collect(),
            group: series.group.into(),
        };
        Self { starts: answer.starts, series: answer.series.into_iter().map(series).collect() }
    }
}

/// Percentiles over time.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PercentileAnswer {
    /// The start of each bucket.
    #[schema(value_type = Vec<String>)]
    starts: Vec<Timestamp>,
    /// The series with the most events first, all others together last.
    series: Vec<PercentileSeriesAnswer>,
}

/// One line of percentiles.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PercentileSeriesAnswer {
    /// Which events.
    group: GroupAnswer,
    /// One per bucket.
    points: Vec<PercentilePointAnswer>,
}

/// The values of one bucket.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PercentilePointAnswer {
    /// What they say together.
    values: ValuesAnswer,
    /// Their percentiles; null without a value.
    percentiles: Option<PercentilesAnswer>,
}

impl From<model::TrendAnswer> for PercentileAnswer {
    fn from(answer: model::TrendAnswer) -> Self {
        let point =
            |point: &Point| PercentilePointAnswer { values: values(point), percentiles: percentiles(point) };
        let series = answer.series.into_iter().map(|series| PercentileSeriesAnswer {
            points: series.points.iter().map(point).collect(),
            group: series.group.into(),
        });
        Self { series: series.collect(), starts: answer.starts }
    }
}
