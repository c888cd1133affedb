//! Plain data of the traits.

use belvedere_event_store::query::RetentionTable;
use belvedere_kernel::{Actor, ProjectId, StrugglingNumbers, TutorNumbers};
use belvedere_storage::Timestamp;

use crate::calendar::PeriodUnit;
use crate::revenue::csv::Refused;
use crate::revenue::currency::Currency;
use crate::revenue::metrics::RevenuePeriod;

/// Who changes something, for the audit log.
#[derive(Debug, Clone)]
pub struct ChangedBy {
    /// Who.
    pub actor: Actor,
    /// By which request.
    pub request_id: Option<String>,
}

/// What was taken of revenue that somebody told.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Recorded {
    /// How many entries are new.
    pub taken: u64,
    /// How many were known.
    pub repeated: u64,
    /// Those that were not taken; `line` is the number in the file, or from 1 in the list.
    pub refused: Vec<Refused>,
}

/// Which period.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AskPeriod {
    /// The day, week, month or quarter of this moment, up to it; compared with the one before up to the same point.
    Current(PeriodUnit),
    /// From one instant to before another, compared with the same length before it.
    Range {
        /// From here on.
        from: Timestamp,
        /// Before this.
        until: Timestamp,
    },
}

/// A period and the one that it is compared with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Compared {
    /// From here on.
    pub from: Timestamp,
    /// Before this.
    pub until: Timestamp,
    /// The one before, from here on.
    pub before_from: Timestamp,
    /// Before this.
    pub before_until: Timestamp,
}

/// What is asked about revenue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AskRevenue {
    /// The project.
    pub project: ProjectId,
    /// Which period.
    pub period: AskPeriod,
    /// The currency of the answer; may be left out where there is only one.
    pub currency: Option<Currency>,
}

/// What is asked about revenue over time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AskSeries {
    /// The project.
    pub project: ProjectId,
    /// The length of a period.
    pub unit: PeriodUnit,
    /// How many periods up to this moment, 1 to [`PERIODS_MAX`].
    pub periods: usize,
    /// The currency of the answer; may be left out where there is only one.
    pub currency: Option<Currency>,
}

/// The most periods of a series.
pub const PERIODS_MAX: usize = 120;
/// The most cohorts.
pub const COHORTS_MAX: usize = 24;

/// What revenue did in a period and the one before.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RevenueReport {
    /// In which currency.
    pub currency: Currency,
    /// In the period.
    pub now: RevenuePeriod,
    /// In the period before.
    pub before: RevenuePeriod,
}

/// What revenue did in periods that follow each other.
#[derive(Debug, Clone, PartialEq)]
pub struct RevenueSeries {
    /// In which currency; none where there is no revenue.
    pub currency: Option<Currency>,
    /// The periods; the last one is not over.
    pub periods: Vec<RevenuePeriod>,
}

/// What is paid for a plan each month.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlanRevenue {
    /// The plan; empty where subscriptions name none.
    pub plan: String,
    /// Monthly recurring revenue in minor units.
    pub mrr_minor: i64,
    /// Customers who pay for it; one who pays in two currencies counts twice.
    pub subscribers: i64,
}

/// What is paid for each plan each month.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PlanTable {
    /// In which currency; none where there is no revenue.
    pub currency: Option<Currency>,
    /// The greatest first, at most 1,000.
    pub plans: Vec<PlanRevenue>,
}

/// Customers who began to pay in the same month.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RevenueCohort {
    /// When the month begins.
    pub from: Timestamp,
    /// Monthly recurring revenue at the end of that month and each after it, in minor units.
    pub mrr_minor: Vec<i64>,
    /// How many of them pay at those times.
    pub customers: Vec<i64>,
}

/// Cohorts by month.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CohortTable {
    /// In which currency; none where there is no revenue.
    pub currency: Option<Currency>,
    /// The oldest first; the last month is not over.
    pub cohorts: Vec<RevenueCohort>,
}

/// What is asked about the business.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AskMetrics {
    /// The project.
    pub project: ProjectId,
    /// Which period.
    pub period: AskPeriod,
    /// The event that a channel converts by, at most 200 bytes; `Signed Up` if left out.
    pub goal: Option<String>,
    /// The currency of revenue; may be left out where there is only one.
    pub currency: Option<Currency>,
    /// Whether revenue is asked for; what stands in its way is then in the way of all.
    pub has_revenue: bool,
}

/// A number of a period and of the one before; none where it has no value, such as a share of nobody.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Number {
    /// Of the period.
    pub now: Option<f64>,
    /// Of the one before.
    pub before: Option<f64>,
}

impl Number {
    /// The change against the period before: 0.1 is a tenth more; none without a value of both, and from nothing.
    #[must_use]
    pub fn change(&self) -> Option<f64> {
        let (now, before) = (self.now?, self.before?);
        (before != 0.0).then(|| (now - before) / before.abs())
    }
}

/// Where people come from.
#[derive(Debug, Clone, PartialEq)]
pub struct Channel {
    /// A utm_source, else the host of the referrer, else `direct`; or a campaign, or a landing page.
    pub source: String,
    /// How many people.
    pub count: u64,
    /// How many of them reached the goal within 30 days.
    pub converted: u64,
}

impl Channel {
    /// The share that reached the goal; none without people.
    #[must_use]
    pub fn conversion_rate(&self) -> Option<f64> {
        (self.count > 0).then(|| self.converted as f64 / self.count as f64)
    }
}

/// Who comes.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Acquisition {
    /// People who were ever active up to the last day of the period.
    pub total_users: Number,
    /// People who were active for the first time in the period.
    pub new_users: Number,
    /// On its last day, compared with the day before.
    pub new_users_today: Number,
    /// In the week of its last day, compared with the week before.
    pub new_users_this_week: Number,
    /// In the month of its last day, compared with the month before.
    pub new_users_this_month: Number,
    /// By the first touch of the period; the greatest first, at most 20.
    pub channels: Vec<Channel>,
    /// By the last touch before the goal.
    pub channels_last_touch: Vec<Channel>,
    /// By the first `utm_campaign`.
    pub campaigns: Vec<Channel>,
    /// By the first `path` of a page view.
    pub landing_pages: Vec<Channel>,
}

/// A feature and who uses it.
#[derive(Debug, Clone, PartialEq)]
pub struct Feature {
    /// Its name: `feature` of `Feature Used`.
    pub feature: String,
    /// People who used it in the period.
    pub users: u64,
    /// The share of all who were active in the period.
    pub adoption_rate: Option<f64>,
    /// Of the people who came in the 8 weeks up to the end of the period, those who used it in the period for the first time.
    pub adopters: u64,
    /// The median of the seconds from their first activity to that use; none without any.
    pub seconds_to_adopt: Option<f64>,
}

/// People who came in the same week, and what they have used since.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AdoptionCohort {
    /// When the week begins.
    pub from: Timestamp,
    /// How many came.
    pub people: u64,
    /// How many of them have used each of the features, in the order of [`EngagementMetrics::feature_adoption`].
    pub adopted: Vec<u64>,
}

/// What those do who come.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct EngagementMetrics {
    /// People active on the last day of the period.
    pub daily_active_users: Number,
    /// In the 7 days that end with it.
    pub weekly_active_users: Number,
    /// In the 30 days that end with it.
    pub monthly_active_users: Number,
    /// Daily / monthly active users.
    pub stickiness: Number,
    /// Seconds.
    pub average_session_duration: Number,
    /// Of those who enrolled in or began a course in the period, the share that completed it in the period.
    pub course_completion_rate: Number,
    /// The greatest first, at most 20.
    pub feature_adoption: Vec<Feature>,
    /// The 8 weeks up to the end of the period, the oldest first.
    pub adoption_by_cohort: Vec<AdoptionCohort>,
}

/// A course.
#[derive(Debug, Clone, PartialEq)]
pub struct CourseMetrics {
    /// Its id.
    pub course: String,
    /// People who enrolled in it or began a lesson of it in the period.
    pub enrolments: u64,
    /// How many of them completed it in the period.
    pub completed: u64,
}

impl CourseMetrics {
    /// The share that completed it; none without enrolments.
    #[must_use]
    pub fn completion_rate(&self) -> Option<f64> {
        (self.enrolments > 0).then(|| self.completed as f64 / self.enrolments as f64)
    }
}

/// What they learn.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct LearningMetrics {
    /// Lessons that were completed.
    pub lessons_completed: Number,
    /// Seconds that a completed lesson took, as its event says.
    pub average_time_to_complete: Number,
    /// Those with the most enrolments first, at most 10.
    pub popular_courses: Vec<CourseMetrics>,
    /// Who struggles at this moment; none where there is no learning.
    pub struggling: Option<StrugglingNumbers>,
    /// What a tutor does; none where there is none.
    pub tutor: Option<TutorNumbers>,
}

/// From a visit to a subscription, within 30 days of the visit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ConversionFunnel {
    /// People with a page view.
    pub visitors: u64,
    /// Of them, those who signed up then.
    pub signups: u64,
    /// Of them, those who began a trial then.
    pub free_trials: u64,
    /// Of those who signed up, those who subscribed then, with or without a trial.
    pub paid_subscriptions: u64,
}

/// A point of a small chart.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ActivePoint {
    /// When its day begins.
    pub from: Timestamp,
    /// People active on it.
    pub daily: u64,
    /// In the 30 days that end with it.
    pub monthly: u64,
    /// People active for the first time.
    pub new: u64,
}

/// How the business does.
#[derive(Debug, Clone, PartialEq)]
pub struct BusinessMetrics {
    /// The period and the one before.
    pub period: Compared,
    /// Whose days they are.
    pub time_zone: String,
    /// Who comes.
    pub acquisition: Acquisition,
    /// What they do.
    pub engagement: EngagementMetrics,
    /// What they learn.
    pub learning: LearningMetrics,
    /// What they pay; none where there is no revenue.
    pub revenue: Option<RevenueReport>,
    /// How they come to pay.
    pub funnel: ConversionFunnel,
    /// The same in the period before.
    pub funnel_before: ConversionFunnel,
    /// The last 30 days of the period by day.
    pub active: Vec<ActivePoint>,
    /// Of the people who came in each of the 8 weeks up to the end of the period, how many came again in each week after.
    pub retention: RetentionTable,
}

/// What changed most in the 7 days that end now, against the 7 days before them.
#[derive(Debug, Clone, PartialEq)]
pub struct Changes {
    /// The week, from here on.
    pub from: Timestamp,
    /// Before this: now, or not long ago.
    pub until: Timestamp,
    /// Changes that are more than noise, the greatest relative one first; at most 5.
    pub changes: Vec<Change>,
}

/// A number that changed from the week before by more than noise.
#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    /// Which one: `active_people`, `visitors`, `signups`, `lesson_completers`, `feature_users`, `free_trials`,
    /// `subscribers`, `people_with_errors` or `monthly_recurring_revenue`.
    pub key: &'static str,
    /// People in the week; revenue in minor units at its end.
    pub now: i64,
    /// People in the week before; revenue at its end.
    pub before: i64,
    /// By how many standard deviations the two differ; at least 3.
    pub z: f64,
    /// In which currency; none for people.
    pub currency: Option<Currency>,
    /// Who makes the change, by dimension; that in which segments changed least alike first.
    pub by: Vec<ChangeBy>,
}

impl Change {
    /// The relative change: 0.1 is a tenth more; none from nothing.
    #[must_use]
    pub fn change(&self) -> Option<f64> {
        (self.before != 0).then(|| (self.now - self.before) as f64 / self.before.abs() as f64)
    }
}

/// A change by the segments of a dimension, whose changes add up to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChangeBy {
    /// `channel`, `country`, `plan` or `device`; `movement` of revenue.
    pub dimension: &'static str,
    /// Those that make most of the change first.
    pub segments: Vec<SegmentChange>,
}

/// A part of a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SegmentChange {
    /// Which people; `others` for those that were put together, `not known` for those without a text.
    pub segment: String,
    /// In the week.
    pub now: i64,
    /// In the week before.
    pub before: i64,
}

impl SegmentChange {
    /// What it adds to the change.
    #[must_use]
    pub fn delta(&self) -> i64 {
        self.now - self.before
    }
}
