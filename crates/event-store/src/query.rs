//! Questions to the events of a project, with a limit on everything: the typed service above the kernels.
//!
//! An answer does not depend on where events lie: in the tail, in segments or in what they were merged to. Events
//! without a subject count as events and as nobody: they are in no number of subjects, funnel, path or session.
//! Times are looked at to the millisecond. Among events of one subject in the same millisecond that came in different
//! batches, the order of a path is the one in which they are stored.

mod adoption;
mod answer;
mod ask;
pub(crate) mod calendar;
mod check;
mod cut;
mod decode;
mod error;
mod explore;
mod formula;
mod load;
mod privacy;
mod properties;
mod props;
mod rolled;
mod segment;
mod service;
mod subjects;
#[cfg(test)]
mod tests;
mod timeline;
mod trend;
mod warm;
mod work;

use std::sync::Arc;

use async_trait::async_trait;
use belvedere_kernel::ProjectId;
use belvedere_storage::Page;

pub use answer::{
    FormulaAnswer, FunnelAnswer, LifecycleAnswer, NameVolume, PropertyVolume, RetentionTable, SessionTable,
    SubjectPage, SubjectVolume, TimelineEvent, TrendAnswer, ValueVolume,
};
pub use ask::{
    AskActive, AskAdoption, AskCohort, AskFormula, AskFunnel, AskInterval, AskLifecycle, AskPath,
    AskPercentile, AskRetention, AskSession, AskTop, AskTrend, FormulaSeries, ListNames, ListProperties,
    ListSubjects, ListValues, Measure, ReadTimeline, Span, Unit,
};
pub use check::{
    BREAKDOWN_MAX, BUCKETS_MAX, CONDITIONS_MAX, EDGES_MAX, GAP_MAX, LIST_MAX, NESTING_MAX, PROPS_MAX,
    RANGE_DAYS_MAX, STEPS_MAX, TEXTS_MAX, WINDOW_MAX,
};
pub(crate) use decode::text_field;
pub use error::QueriesError;
pub use rolled::RollupUse;
pub use service::{QueryLimits, QueryService};

use crate::StoreVersion;
use crate::kernel::active::ActiveAnswer;
use crate::kernel::adoption::AdoptionAnswer;
use crate::kernel::group::Field;
use crate::kernel::interval::IntervalAnswer;
use crate::kernel::path::PathAnswer;
use crate::kernel::subject_set::SubjectSet;
use crate::kernel::top::TopItem;

/// What can be asked about the events of a project.
///
/// Dropping the future of a call ends its work soon after.
///
/// # Errors
/// Every call: [`QueriesError::Invalid`] with the field that is beyond its limit or names what there is not,
/// [`QueriesError::TooSlow`] beyond the time limit, or what the store says.
#[async_trait]
pub trait Queries: Explore {
    /// Numbers over time: events, subjects, and what their values add up to.
    async fn trend(&self, ask: AskTrend) -> Result<TrendAnswer, QueriesError>;

    /// Daily, weekly and monthly active subjects.
    async fn active(&self, ask: AskActive) -> Result<ActiveAnswer, QueriesError>;

    /// How many subjects get through ordered steps.
    async fn funnel(&self, ask: AskFunnel) -> Result<FunnelAnswer, QueriesError>;

    /// Whether subjects that started something came back.
    async fn retention(&self, ask: AskRetention) -> Result<RetentionTable, QueriesError>;

    /// New, returning, resurrecting and dormant subjects.
    async fn lifecycle(&self, ask: AskLifecycle) -> Result<LifecycleAnswer, QueriesError>;

    /// What subjects do next, or did before.
    async fn path(&self, ask: AskPath) -> Result<PathAnswer, QueriesError>;

    /// Sessions: how many, how long, where they begin and end.
    async fn session(&self, ask: AskSession) -> Result<SessionTable, QueriesError>;

    /// Percentiles of values over time; its points have values and percentiles.
    async fn percentile(&self, ask: AskPercentile) -> Result<TrendAnswer, QueriesError>;

    /// The texts of a field with the most events or subjects, and how many of these reach a goal.
    async fn top(&self, ask: AskTop) -> Result<Vec<TopItem>, QueriesError>;

    /// Numbers that are computed from several series.
    async fn formula(&self, ask: AskFormula) -> Result<FormulaAnswer, QueriesError>;

    /// How long it takes from one event to the next of another kind.
    async fn interval(&self, ask: AskInterval) -> Result<IntervalAnswer, QueriesError>;

    /// How many of those who came together have used each text of a field since, and how long that took them.
    async fn adoption(&self, ask: AskAdoption) -> Result<AdoptionAnswer, QueriesError>;
}

/// What there is to ask about, and what lies behind a number.
///
/// # Errors
/// As [`Queries`].
#[async_trait]
pub trait Explore: Send + Sync {
    /// How far a project is: answers about the same time are the same for as long as this is.
    async fn version(&self, project: ProjectId) -> Result<StoreVersion, QueriesError>;

    /// Reads what several questions about a span will ask for, all at once; they give the same answers without it, later.
    /// What is too much for one question is left to them.
    async fn read_ahead(&self, span: &Span, fields: &[Field]) -> Result<(), QueriesError>;

    /// The names of events with their volumes, greatest first.
    async fn list_names(&self, list: ListNames) -> Result<Vec<NameVolume>, QueriesError>;

    /// The properties of events with their volumes, greatest first.
    async fn list_properties(&self, list: ListProperties) -> Result<Vec<PropertyVolume>, QueriesError>;

    /// The texts of a dimension or property with their volumes, greatest first.
    async fn list_values(&self, list: ListValues) -> Result<Vec<ValueVolume>, QueriesError>;

    /// The subjects that did something, or did not: a set to filter by in any question.
    async fn cohort(&self, ask: AskCohort) -> Result<Arc<SubjectSet>, QueriesError>;

    /// The same subjects one by one.
    async fn list_subjects(&self, list: ListSubjects) -> Result<SubjectPage, QueriesError>;

    /// Events as they came, newest first.
    async fn timeline(&self, read: ReadTimeline) -> Result<Page<TimelineEvent>, QueriesError>;
}
