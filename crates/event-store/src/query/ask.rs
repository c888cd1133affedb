use belvedere_kernel::{ProjectId, SubjectId};
use belvedere_storage::{PageRequest, Timestamp};

use crate::columns::Dimension;
use crate::kernel::filter::Filter;
use crate::kernel::funnel::FunnelBreakdown;
use crate::kernel::group::Field;
use crate::kernel::path::Direction;
use crate::kernel::retention::{CohortBy, RetentionMode};
use crate::kernel::top::Rank;
use crate::kernel::trend::{Breakdown, Measures};

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
    /// One series per text of a field.
    pub breakdown: Option<Breakdown>,
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
    /// The subjects of each text of a dimension by themselves.
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

/// Which texts of a dimension: those of the last 30 days.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListValues {
    /// The project.
    pub project: ProjectId,
    /// Of events of this name only.
    pub name: Option<String>,
    /// The dimension.
    pub dimension: Dimension,
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
