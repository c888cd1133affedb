use belvedere_kernel::{ProjectId, SubjectId};
use belvedere_storage::{PageRequest, Timestamp};

use crate::columns::PropName;
use crate::kernel::cohort::Did;
use crate::kernel::filter::Filter;
use crate::kernel::funnel::{FunnelBreakdown, FunnelRules};
use crate::kernel::group::Field;
use crate::kernel::path::Direction;
use crate::kernel::retention::{CohortBy, RetentionMode};
use crate::kernel::top::Rank;
use crate::kernel::trend::{Breakdown, Measures, Point};

/// What time is cut into: the calendar's hours, days, ISO weeks and months in the time zone of a [`Span`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// From one whole hour of the local clock to the next.
    Hour,
    /// From midnight to midnight: 23 to 25 hours where clocks are changed.
    Day,
    /// From Monday.
    Week,
    /// From the first.
    Month,
}

/// Which project, when, and by whose calendar.
#[derive(Debug, Clone, PartialEq)]
pub struct Span {
    /// The project.
    pub project: ProjectId,
    /// From here on.
    pub from: Timestamp,
    /// Before this.
    pub until: Timestamp,
    /// The name of an IANA time zone, such as `Europe/Amsterdam` or `UTC`.
    pub time_zone: String,
}

/// See [`crate::kernel::trend::TrendQuery`]; the first and the last bucket are cut off at the ends of the span.
#[derive(Debug, Clone)]
pub struct AskTrend {
    /// When.
    pub span: Span,
    /// The length of a bucket.
    pub unit: Unit,
    /// Events that count.
    pub filter: Filter,
    /// What to answer besides the number of events.
    pub measures: Measures,
    /// The property whose numbers are the values; the values of the events if there is none.
    pub values_of: Option<PropName>,
    /// One series per text of a field.
    pub breakdown: Option<Breakdown>,
}

/// Numbers that are computed from series bucket by bucket, such as a rate; buckets are those of [`AskTrend`].
#[derive(Debug, Clone)]
pub struct AskFormula {
    /// When.
    pub span: Span,
    /// The length of a bucket.
    pub unit: Unit,
    /// The series A, B, ..; 1 to [`crate::kernel::formula::SERIES_MAX`].
    pub series: Vec<FormulaSeries>,
    /// See [`crate::kernel::formula`].
    pub formula: String,
}

/// One series of a formula.
#[derive(Debug, Clone)]
pub struct FormulaSeries {
    /// Events that count.
    pub filter: Filter,
    /// What counts about them.
    pub measure: Measure,
    /// The property whose numbers are the values; the values of the events if there is none.
    pub values_of: Option<PropName>,
}

/// One number about the events of a bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Measure {
    /// How many.
    Events,
    /// Of how many different subjects.
    Subjects,
    /// The sum of their values, 0 without any.
    Sum,
    /// The average of their values; none without any, as those that follow.
    Average,
    /// The least value.
    Min,
    /// The greatest value.
    Max,
    /// The value at a percentile, by its place in [`crate::kernel::quantile::PERCENTILES`].
    Percentile(usize),
}

impl Measure {
    /// What a trend must be asked for it.
    pub(crate) fn measures(self) -> Measures {
        let (subjects, percentiles) = (self == Self::Subjects, matches!(self, Self::Percentile(_)));
        Measures { subjects, percentiles, values: !matches!(self, Self::Events | Self::Subjects) }
    }

    /// The number about a point of a trend that was asked for it.
    #[must_use]
    pub fn of(self, point: &Point) -> Option<f64> {
        match self {
            Self::Events => Some(point.events as f64),
            Self::Subjects => Some(point.subjects as f64),
            Self::Sum => Some(point.sum),
            Self::Average => point.average(),
            Self::Min => point.min,
            Self::Max => point.max,
            Self::Percentile(place) => point.percentiles.and_then(|values| values.get(place).copied()),
        }
    }
}

/// See [`crate::kernel::interval::IntervalQuery`].
#[derive(Debug, Clone)]
pub struct AskInterval {
    /// When start events happen.
    pub span: Span,
    /// Start events.
    pub start: Filter,
    /// End events.
    pub end: Filter,
    /// The longest interval in milliseconds.
    pub window_ms: i64,
}

/// See [`crate::kernel::adoption::AdoptionQuery`]; who came before all cohorts, and what lies at the end of the span or
/// after it, does not count.
#[derive(Debug, Clone)]
pub struct AskAdoption {
    /// When first uses lie that are counted as adopters.
    pub span: Span,
    /// Events that a subject is seen by.
    pub seen: Filter,
    /// Events that use a text.
    pub used: Filter,
    /// The field whose texts are used.
    pub field: Field,
    /// From where on cohorts are made, whole, up to the end of the span.
    pub cohorts_from: Timestamp,
    /// The length of a cohort's period.
    pub unit: Unit,
    /// How many texts are answered at most.
    pub limit: usize,
}

/// See [`crate::kernel::cohort::CohortQuery`].
#[derive(Debug, Clone)]
pub struct AskCohort {
    /// When.
    pub span: Span,
    /// The events.
    pub filter: Filter,
    /// How many of them.
    pub did: Did,
}

/// The subjects of a cohort, by the numbers that stand for them in the store.
#[derive(Debug, Clone)]
pub struct ListSubjects {
    /// Which subjects.
    pub cohort: AskCohort,
    /// Only those with a greater number: where the page before ended.
    pub after: Option<u32>,
    /// How many at most.
    pub limit: usize,
}

/// Which properties: those of the events of the last 30 days and of today.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListProperties {
    /// The project.
    pub project: ProjectId,
    /// Of events of this name only.
    pub name: Option<String>,
    /// The last day, such as now; days are those of UTC.
    pub until: Timestamp,
    /// How many at most.
    pub limit: usize,
}

/// See [`crate::kernel::active::ActiveQuery`]; the days of the span are answered whole.
#[derive(Debug, Clone)]
pub struct AskActive {
    /// When.
    pub span: Span,
    /// Events that count as activity.
    pub filter: Filter,
}

/// See [`crate::kernel::funnel::FunnelQuery`]; step 1 happens within the span, and so does the first touch.
#[derive(Debug, Clone)]
pub struct AskFunnel {
    /// When step 1 happens.
    pub span: Span,
    /// Which events serve each step.
    pub steps: Vec<Filter>,
    /// From the first step to the last, in milliseconds.
    pub window_ms: i64,
    /// In which order, which steps may be left out, and what must not happen between.
    pub rules: FunnelRules,
    /// The subjects of each text of a dimension or property by themselves.
    pub breakdown: Option<FunnelBreakdown>,
}

/// See [`crate::kernel::retention::RetentionQuery`]; the periods of the span are answered whole.
///
/// First start events are looked for in all that is stored.
#[derive(Debug, Clone)]
pub struct AskRetention {
    /// When cohorts start and return.
    pub span: Span,
    /// The length of a period.
    pub unit: Unit,
    /// Events that start.
    pub start: Filter,
    /// Events that return.
    pub returned: Filter,
    /// Which start events count.
    pub cohort_by: CohortBy,
    /// Which return events count.
    pub mode: RetentionMode,
    /// Until when events are complete, such as now.
    pub complete_until: Timestamp,
}

/// See [`crate::kernel::lifecycle::LifecycleQuery`]; the periods of the span are answered whole.
///
/// Earlier activity is looked for in all that is stored.
#[derive(Debug, Clone)]
pub struct AskLifecycle {
    /// When.
    pub span: Span,
    /// The length of a period.
    pub unit: Unit,
    /// Events that count as activity.
    pub filter: Filter,
}

/// See [`crate::kernel::path::PathQuery`].
#[derive(Debug, Clone)]
pub struct AskPath {
    /// When anchors happen; steps may lie outside.
    pub span: Span,
    /// Events that paths begin at.
    pub anchor: Filter,
    /// Events that are steps.
    pub events: Filter,
    /// Which way.
    pub direction: Direction,
    /// Steps from the anchor.
    pub steps: usize,
    /// The longest time from one step to the next in milliseconds.
    pub gap_ms: i64,
    /// How many edges are answered for each step at most.
    pub limit: usize,
}

/// See [`crate::kernel::session::SessionQuery`]; the first and the last bucket are cut off at the ends of the span.
///
/// What is going on at the end of the span is followed for a day more.
#[derive(Debug, Clone)]
pub struct AskSession {
    /// When sessions begin.
    pub span: Span,
    /// The length of a bucket.
    pub unit: Unit,
    /// Events that sessions consist of.
    pub filter: Filter,
    /// The longest gap within a session in milliseconds.
    pub gap_ms: i64,
    /// How many names of first and of last events are answered at most.
    pub limit: usize,
}

/// Percentiles of values, as a trend of them.
#[derive(Debug, Clone)]
pub struct AskPercentile {
    /// When.
    pub span: Span,
    /// The length of a bucket.
    pub unit: Unit,
    /// Events whose values count.
    pub filter: Filter,
    /// The property whose numbers are the values; the values of the events if there is none.
    pub values_of: Option<PropName>,
    /// One series per text of a field.
    pub breakdown: Option<Breakdown>,
}

/// See [`crate::kernel::top::TopQuery`].
#[derive(Debug, Clone)]
pub struct AskTop {
    /// When; both kinds of events lie in it.
    pub span: Span,
    /// Events that count.
    pub filter: Filter,
    /// Events that a subject reaches the goal of a text with.
    pub goal: Option<Filter>,
    /// The field whose texts are ranked; events without a text are in none.
    pub field: Field,
    /// By what texts are ranked; equals by text.
    pub rank: Rank,
    /// How many texts are answered at most.
    pub limit: usize,
}

/// Which names: those of the last 30 days.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ListNames {
    /// The project.
    pub project: ProjectId,
    /// The end of the 30 days, such as now.
    pub until: Timestamp,
    /// How many at most.
    pub limit: usize,
}

/// Which texts of a dimension or property: those of the last 30 days.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListValues {
    /// The project.
    pub project: ProjectId,
    /// Of events of this name only.
    pub name: Option<String>,
    /// The dimension or property.
    pub property: Field,
    /// The end of the 30 days, such as now.
    pub until: Timestamp,
    /// How many at most.
    pub limit: usize,
}

/// Which events, newest first.
#[derive(Debug, Clone, PartialEq)]
pub struct ReadTimeline {
    /// The project.
    pub project: ProjectId,
    /// Only those of this subject.
    pub subject: Option<SubjectId>,
    /// Only those that match.
    pub filter: Filter,
    /// Only those from here on.
    pub from: Timestamp,
    /// Only those before this.
    pub until: Timestamp,
    /// Which page.
    pub page: PageRequest,
}
