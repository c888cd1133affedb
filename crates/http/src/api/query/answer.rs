//! What is answered, as JSON.

use belvedere_event_store::kernel::group::Group;
use belvedere_event_store::kernel::path::PathEdge;
use belvedere_event_store::kernel::session::SessionBucket;
use belvedere_event_store::kernel::{active, funnel, path, retention, top};
use belvedere_event_store::query as model;
use belvedere_storage::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use super::super::answer::answer;
use super::series::GroupAnswer;

fn micros(micros: i64) -> Timestamp {
    Timestamp::from_micros(micros)
}

/// Active subjects.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ActiveAnswer {
    /// One per day.
    days: Vec<ActiveDayAnswer>,
    /// Item `n` counts the subjects that were active on exactly `n` of the days; item 0 is 0.
    subjects_by_active_days: Vec<u64>,
}

/// Subjects that were active up to a day.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ActiveDayAnswer {
    /// Start of the day.
    #[schema(value_type = String, format = DateTime)]
    start: Timestamp,
    /// On the day.
    daily: u64,
    /// In its 7 days.
    weekly: u64,
    /// In its 28 days.
    monthly_28: u64,
    /// In its 30 days.
    monthly_30: u64,
    /// `daily` / `monthly_28`; null without subjects.
    stickiness_28: Option<f64>,
    /// `daily` / `monthly_30`; null without subjects.
    stickiness_30: Option<f64>,
}

impl From<active::ActiveAnswer> for ActiveAnswer {
    fn from(answer: active::ActiveAnswer) -> Self {
        let days = answer.days.iter().map(|day| ActiveDayAnswer {
            start: micros(day.start_micros),
            daily: day.daily,
            weekly: day.weekly,
            monthly_28: day.monthly_28,
            monthly_30: day.monthly_30,
            stickiness_28: day.stickiness_28(),
            stickiness_30: day.stickiness_30(),
        });
        Self { days: days.collect(), subjects_by_active_days: answer.subjects_by_active_days }
    }
}

/// A funnel's steps.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct FunnelAnswer {
    /// First all subjects, then the groups of the breakdown with the most subjects first, all others together last.
    groups: Vec<FunnelGroupAnswer>,
}

/// The steps of some subjects.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct FunnelGroupAnswer {
    /// Which subjects.
    group: GroupAnswer,
    /// One per step.
    steps: Vec<FunnelStepAnswer>,
}

/// Who reached a step.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct FunnelStepAnswer {
    /// Number of subjects.
    subjects: u64,
    /// Median time since the step before, in milliseconds; null for the first.
    median_ms: Option<i64>,
}

impl From<model::FunnelAnswer> for FunnelAnswer {
    fn from(answer: model::FunnelAnswer) -> Self {
        let step = |step: funnel::FunnelStep| FunnelStepAnswer {
            subjects: step.subjects,
            median_ms: step.median_ms,
        };
        let groups = answer.groups.into_iter().map(|group| FunnelGroupAnswer {
            group: group.group.into(),
            steps: group.steps.into_iter().map(step).collect(),
        });
        Self { groups: groups.collect() }
    }
}

/// Who came back.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RetentionAnswer {
    /// One per period.
    cohorts: Vec<CohortAnswer>,
    /// By periods since the cohort's own, over all cohorts for which that period is over.
    average: Vec<RetentionAverageAnswer>,
}

/// The subjects that started in one period.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct CohortAnswer {
    /// Start of the period.
    #[schema(value_type = String, format = DateTime)]
    start: Timestamp,
    /// Number of subjects.
    subjects: u64,
    /// How many of them returned, by periods since.
    returned: Vec<u64>,
}

/// How many returned after so many periods.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RetentionAverageAnswer {
    /// Subjects of the cohorts for which the period is over.
    subjects: u64,
    /// How many of them returned.
    returned: u64,
    /// `returned` / `subjects`; null without subjects.
    share: Option<f64>,
}

impl From<retention::RetentionAnswer> for RetentionAnswer {
    fn from(answer: retention::RetentionAnswer) -> Self {
        let cohorts = answer.cohorts.into_iter().map(|cohort| CohortAnswer {
            start: micros(cohort.start_micros),
            subjects: cohort.subjects,
            returned: cohort.returned,
        });
        let average = answer.average.into_iter().map(|average| RetentionAverageAnswer {
            subjects: average.subjects,
            returned: average.returned,
            share: average.share(),
        });
        Self { cohorts: cohorts.collect(), average: average.collect() }
    }
}

/// The first texts of a property.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct TopAnswer {
    /// One per text, the first first.
    items: Vec<TopItemAnswer>,
}

/// One text of a property.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct TopItemAnswer {
    /// The text.
    text: String,
    /// Events that count.
    events: u64,
    /// Different subjects with such an event.
    subjects: u64,
    /// How many of these subjects have an event of the goal with the same text.
    goal_subjects: u64,
    /// `goal_subjects` / `subjects`; null without subjects.
    goal_share: Option<f64>,
}

impl From<Vec<top::TopItem>> for TopAnswer {
    fn from(items: Vec<top::TopItem>) -> Self {
        let items = items.into_iter().filter_map(|item| {
            let goal_share = item.goal_share();
            let Group::Text(text) = item.group else { return None };
            let (events, subjects, goal_subjects) = (item.events, item.subjects, item.goal_subjects);
            Some(TopItemAnswer { text, events, subjects, goal_subjects, goal_share })
        });
        Self { items: items.collect() }
    }
}

/// What became of subjects.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct LifecycleAnswer {
    /// One per period.
    periods: Vec<LifecyclePeriodAnswer>,
}

/// What became of subjects in one period.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct LifecyclePeriodAnswer {
    /// Start of the period.
    #[schema(value_type = String, format = DateTime)]
    start: Timestamp,
    /// Active for the first time.
    new: u64,
    /// Active, as in the period before.
    returning: u64,
    /// Active again after at least one period without.
    resurrecting: u64,
    /// Active in the period before only.
    dormant: u64,
}

impl From<model::LifecycleAnswer> for LifecycleAnswer {
    fn from(answer: model::LifecycleAnswer) -> Self {
        let periods = answer.periods.into_iter().map(|period| LifecyclePeriodAnswer {
            start: micros(period.start_micros),
            new: period.new,
            returning: period.returning,
            resurrecting: period.resurrecting,
            dormant: period.dormant,
        });
        Self { periods: periods.collect() }
    }
}

/// Paths from or to an anchor.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PathAnswer {
    /// Number of paths.
    paths: u64,
    /// Number of different subjects with a path.
    subjects: u64,
    /// The edges, by step and then those of the most paths first.
    edges: Vec<PathEdgeAnswer>,
}

answer! {
    /// From one name to the next.
    PathEdgeAnswer of PathEdge {
        /// The number of the step that the edge leads to; the first is 1.
        step: usize,
        /// Name of the step before, at first of the anchor.
        from: String,
        /// Name of the step; null where the path ends.
        to: Option<String>,
        /// Number of paths with this edge at this step.
        paths: u64,
        /// Number of different subjects with such a path.
        subjects: u64,
    }
}

impl From<path::PathAnswer> for PathAnswer {
    fn from(answer: path::PathAnswer) -> Self {
        Self {
            paths: answer.paths,
            subjects: answer.subjects,
            edges: answer.edges.into_iter().map(PathEdgeAnswer::from).collect(),
        }
    }
}

/// Sessions over time.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SessionAnswer {
    /// One per bucket.
    buckets: Vec<SessionBucketAnswer>,
    /// Names of first events, the commonest first.
    entries: Vec<SessionNameAnswer>,
    /// Names of last events likewise.
    exits: Vec<SessionNameAnswer>,
}

/// The sessions that began in one bucket.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SessionBucketAnswer {
    /// Start of the bucket.
    #[schema(value_type = String, format = DateTime)]
    start: Timestamp,
    /// Number of sessions.
    sessions: u64,
    /// Number of their events.
    events: u64,
    /// Number of sessions of one event.
    bounces: u64,
    /// `bounces` / `sessions`; null without sessions.
    bounce_rate: Option<f64>,
    /// Average duration in milliseconds, that of bounces being 0; null without sessions.
    average_duration_ms: Option<f64>,
}

/// A name and how many sessions have it there.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SessionNameAnswer {
    /// The name.
    name: String,
    /// Number of sessions.
    sessions: u64,
}

impl From<model::SessionTable> for SessionAnswer {
    fn from(table: model::SessionTable) -> Self {
        let bucket = |(start, bucket): (Timestamp, &SessionBucket)| SessionBucketAnswer {
            start,
            sessions: bucket.sessions,
            events: bucket.events,
            bounces: bucket.bounces,
            bounce_rate: bucket.bounce_rate(),
            average_duration_ms: bucket.average_duration_ms(),
        };
        let named = |names: Vec<(String, u64)>| {
            names.into_iter().map(|(name, sessions)| SessionNameAnswer { name, sessions }).collect()
        };
        Self {
            buckets: table.starts.into_iter().zip(&table.sessions.buckets).map(bucket).collect(),
            entries: named(table.sessions.entries),
            exits: named(table.sessions.exits),
        }
    }
}

answer! {
    /// How often a name occurs.
    NameAnswer of model::NameVolume {
        /// The name.
        name: String,
        /// Number of events.
        events: u64,
        /// Number of different subjects.
        subjects: u64,
    }
}

answer! {
    /// How often a value of a property occurs.
    ValueAnswer of model::ValueVolume {
        /// The value; null for events without one.
        value: Option<String>,
        /// Number of events.
        events: u64,
        /// Number of different subjects.
        subjects: u64,
    }
}

answer! {
    /// How often a property is set.
    PropertyAnswer of model::PropertyVolume {
        /// The name by which it is asked for.
        property: String,
        /// Whether it is a column of its own, not a part of `props`.
        is_column: bool,
        /// Number of events.
        events: u64,
    }
}
