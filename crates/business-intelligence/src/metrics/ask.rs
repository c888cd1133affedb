//! Which questions to the events give which numbers.

use std::time::Duration;

use belvedere_event_store::columns::{Dimension, PropName};
use belvedere_event_store::kernel::adoption::AdoptionAnswer;
use belvedere_event_store::kernel::filter::{Filter, TextTest};
use belvedere_event_store::kernel::funnel::FunnelRules;
use belvedere_event_store::kernel::group::{Field, Group};
use belvedere_event_store::kernel::lifecycle::LifecyclePeriod;
use belvedere_event_store::kernel::retention::{CohortBy, RetentionMode};
use belvedere_event_store::kernel::session::GAP_MS;
use belvedere_event_store::kernel::top::Rank;
use belvedere_event_store::kernel::trend::Measures;
use belvedere_event_store::query::{
    AskActive, AskAdoption, AskFunnel, AskLifecycle, AskRetention, AskSession, AskTop, AskTrend, LIST_MAX,
    Queries, QueriesError, RetentionTable, Span, Unit,
};
use belvedere_event_store::{NAME_BYTES_MAX, TIME_MIN};
use belvedere_kernel::ProjectId;
use belvedere_storage::Timestamp;

use super::{FEATURE_USED, NO_ACTIVITY, PAGE_VIEW, SIGNED_UP, SUBSCRIPTION_STARTED, TRIAL_STARTED};
use crate::BusinessError;
use crate::calendar::{Calendar, PeriodUnit};
use crate::model::{
    Acquisition, ActivePoint, AdoptionCohort, BusinessMetrics, Compared, ConversionFunnel, CourseMetrics,
    EngagementMetrics, Feature, LearningMetrics, Number,
};

/// Who converts does so within this time.
pub(super) const WINDOW_MS: i64 = 30 * 86_400_000;
/// The most channels, campaigns, pages or features.
pub(super) const ROWS_MAX: usize = 20;
/// The most courses that are popular.
const COURSES_MAX: usize = 10;
/// Days of the small charts.
const CHART_DAYS: u64 = 30;
/// Weeks of cohorts.
const COHORT_WEEKS: u32 = 8;

const DAY: Duration = Duration::from_secs(86_400);
pub(super) const MICRO: Duration = Duration::from_micros(1);

/// Events of these names; there need not be any.
pub(super) fn named(names: &[&str]) -> Filter {
    let not = |name: &&str| Filter::Name(TextTest::IsNot((*name).to_owned()));
    Filter::Not(Box::new(Filter::And(names.iter().map(not).collect())))
}

/// Every event of somebody who does something.
pub(super) fn activity() -> Filter {
    Filter::Name(TextTest::In(NO_ACTIVITY.map(str::to_owned).to_vec())).negated()
}

pub(super) trait Negated {
    fn negated(self) -> Self;
}

impl Negated for Filter {
    fn negated(self) -> Self {
        Self::Not(Box::new(self))
    }
}

/// Questions about one project, by one calendar.
pub(crate) struct Asker<'a> {
    pub(crate) queries: &'a dyn Queries,
    pub(crate) project: ProjectId,
    pub(crate) calendar: &'a Calendar,
}

/// The event that channels convert by.
pub(crate) fn goal_of(asked: Option<&str>) -> Result<&str, BusinessError> {
    let goal = asked.unwrap_or(SIGNED_UP);
    match (1..=NAME_BYTES_MAX).contains(&goal.len()) {
        true => Ok(goal),
        false => Err(BusinessError::invalid("goal", format!("must have 1 to {NAME_BYTES_MAX} bytes"))),
    }
}

/// All numbers about a period that follow from events. Half of the questions are asked beside the other half.
pub(crate) async fn measure(
    asker: &Asker<'_>,
    goal: &str,
    period: Compared,
) -> Result<BusinessMetrics, BusinessError> {
    let calendar = asker.calendar;
    let now = (period.from, period.until);
    let before = (period.before_from, period.before_until);
    // Of the period before, too few questions read the same.
    asker.read_ahead(now).await;
    let people = async {
        let new = asker.new_by_day(&period).await?;
        let active = asker.active_by_day(&period).await?;
        let users = asker.users(now).await?;
        let channels = asker.channels(now, goal).await?;
        let campaigns = asker.by_property(now, goal, activity(), "utm_campaign").await?;
        let landing_pages = asker.by_property(now, goal, named(&[PAGE_VIEW]), "path").await?;
        let retention = asker.retention(period.until).await?;
        Ok::<_, BusinessError>((new, active, users, channels, campaigns, landing_pages, retention))
    };
    let use_and_learning = async {
        let seconds =
            Number { now: asker.session_seconds(now).await?, before: asker.session_seconds(before).await? };
        let courses = (asker.courses(now).await?, asker.courses(before).await?.1);
        let used = asker.used(now).await?;
        let adoption = match used.is_empty() {
            true => AdoptionAnswer { cohorts: Vec::new(), items: Vec::new() },
            false => asker.adoption(now).await?,
        };
        let lessons =
            Number { now: Some(asker.lessons(now).await?), before: Some(asker.lessons(before).await?) };
        let lesson_seconds =
            Number { now: asker.lesson_seconds(now).await?, before: asker.lesson_seconds(before).await? };
        let funnels = (asker.funnel(now).await?, asker.funnel(before).await?);
        Ok::<_, BusinessError>((seconds, courses, (used, adoption), (lessons, lesson_seconds), funnels))
    };
    let (people, use_and_learning) = tokio::try_join!(people, use_and_learning)?;
    let (new, active, users, channels, campaigns, landing_pages, retention) = people;
    let (seconds, courses, (used, adoption), (lessons, lesson_seconds), funnels) = use_and_learning;

    let last_day = |until: Timestamp| calendar.start(PeriodUnit::Day, until.minus(MICRO));
    let (day_now, day_before) = (last_day(period.until)?, last_day(period.before_until)?);
    let of_day = |day: Timestamp| active.iter().find(|point| point.0 == day).copied();
    let number = |find: fn(ActiveCounts) -> u64| Number {
        now: Some(of_day(day_now).map_or(0, find) as f64),
        before: Some(of_day(day_before).map_or(0, find) as f64),
    };
    let (daily, monthly) = (number(|it| it.1), number(|it| it.3));
    let ever = |day: Timestamp| Some(new.iter().find(|it| it.day == day).map_or(0, |it| it.ever) as f64);
    let chart_from = calendar.start(PeriodUnit::Day, day_now.minus(DAY * (CHART_DAYS as u32 - 1)))?;
    let chart = active.iter().filter(|it| it.0 >= chart_from && it.0 <= day_now).map(|it| ActivePoint {
        from: it.0,
        daily: it.1,
        monthly: it.3,
        new: new.iter().find(|of_day| of_day.day == it.0).map_or(0, |of_day| of_day.new),
    });
    let (feature_adoption, adoption_by_cohort) = features_of(used, users, &adoption);
    Ok(BusinessMetrics {
        period,
        time_zone: calendar.name().to_owned(),
        acquisition: Acquisition {
            total_users: Number { now: ever(day_now), before: ever(day_before) },
            new_users: added(&new, now, before),
            new_users_today: asker.added_in(PeriodUnit::Day, day_now, &new)?,
            new_users_this_week: asker.added_in(PeriodUnit::Week, day_now, &new)?,
            new_users_this_month: asker.added_in(PeriodUnit::Month, day_now, &new)?,
            channels: channels.0,
            channels_last_touch: channels.1,
            campaigns,
            landing_pages,
        },
        engagement: EngagementMetrics {
            daily_active_users: daily,
            weekly_active_users: number(|it| it.2),
            monthly_active_users: monthly,
            stickiness: Number {
                now: share(daily.now, monthly.now),
                before: share(daily.before, monthly.before),
            },
            average_session_duration: seconds,
            course_completion_rate: Number { now: courses.0.1, before: courses.1 },
            feature_adoption,
            adoption_by_cohort,
        },
        learning: LearningMetrics {
            lessons_completed: lessons,
            average_time_to_complete: lesson_seconds,
            popular_courses: courses.0.0,
            struggling: None,
            tutor: None,
        },
        revenue: None,
        funnel: funnels.0,
        funnel_before: funnels.1,
        active: chart.collect(),
        retention,
    })
}

/// The features that were used, with how they were taken up, and by cohort.
fn features_of(
    used: Vec<(String, u64)>,
    users: u64,
    adoption: &AdoptionAnswer,
) -> (Vec<Feature>, Vec<AdoptionCohort>) {
    let of = |feature: &str| adoption.items.iter().find(|item| item.text == feature);
    let cohort = |(place, (start_micros, people)): (usize, &(i64, u64))| {
        let adopted = |(feature, _): &(String, u64)| {
            of(feature).and_then(|item| item.by_cohort.get(place)).copied().unwrap_or(0)
        };
        let from = Timestamp::from_micros(*start_micros);
        AdoptionCohort { from, people: *people, adopted: used.iter().map(adopted).collect() }
    };
    let cohorts = adoption.cohorts.iter().enumerate().map(cohort).collect();
    let feature = |(feature, users_of): &(String, u64)| {
        let item = of(feature);
        Feature {
            feature: feature.clone(),
            users: *users_of,
            adoption_rate: share(Some(*users_of as f64), Some(users as f64)),
            adopters: item.map_or(0, |item| item.adopters),
            seconds_to_adopt: item.and_then(|item| item.median_ms).map(|ms| ms as f64 / 1_000.0),
        }
    };
    (used.iter().map(feature).collect(), cohorts)
}

/// The start of a day, and the people active on it, in its 7 and in its 30 days.
type ActiveCounts = (Timestamp, u64, u64, u64);
pub(super) type Ends = (Timestamp, Timestamp);

/// What is known of the newcomers of a day.
struct DayOfNew {
    day: Timestamp,
    new: u64,
    /// All who ever came, up to its end.
    ever: u64,
}

fn share(part: Option<f64>, whole: Option<f64>) -> Option<f64> {
    let (part, whole) = (part?, whole?);
    (whole > 0.0).then(|| part / whole)
}

/// People of days that begin in a stretch.
fn sum(new: &[DayOfNew], (from, until): Ends) -> f64 {
    new.iter().filter(|it| it.day >= from && it.day < until).map(|it| it.new).sum::<u64>() as f64
}

fn added(new: &[DayOfNew], now: Ends, before: Ends) -> Number {
    Number { now: Some(sum(new, now)), before: Some(sum(new, before)) }
}

/// No rows where no recent event has the property that is asked for.
pub(super) fn or_none<T>(answer: Result<Vec<T>, QueriesError>, field: &str) -> Result<Vec<T>, QueriesError> {
    match answer {
        Err(QueriesError::Invalid { field: at, .. }) if at == field => Ok(Vec::new()),
        answer => answer,
    }
}

impl Asker<'_> {
    pub(super) fn span(&self, (from, until): Ends) -> Span {
        Span {
            project: self.project,
            from: from.max(TIME_MIN),
            until,
            time_zone: self.calendar.name().to_owned(),
        }
    }

    /// Has what nearly all questions read be read at once: what nobody asked about before lies packed on disk, and each of
    /// them would unpack it for itself.
    async fn read_ahead(&self, ends: Ends) {
        let dimensions = [Dimension::UtmSource, Dimension::Referrer, Dimension::Course];
        let properties =
            ["utm_campaign", "path", "feature", "duration"].into_iter().filter_map(PropName::try_new);
        let fields = dimensions.map(Field::Dimension).into_iter().chain(properties.map(Field::Prop));
        let fields: Vec<Field> = fields.collect();
        // What is in the way of it is in the way of a question, which says so.
        let _ = self.queries.read_ahead(&self.span(ends), &fields).await;
    }

    pub(super) async fn counted(
        &self,
        ends: Ends,
        filter: Filter,
        subjects: bool,
    ) -> Result<(u64, u64), BusinessError> {
        let measures = Measures { subjects, ..Measures::default() };
        let (span, unit) = (self.span(ends), Unit::Month);
        let ask = AskTrend { span, unit, filter, measures, values_of: None, breakdown: None };
        let answer = self.queries.trend(ask).await?;
        Ok(answer.series.first().map_or((0, 0), |series| (series.events, series.subjects)))
    }

    /// People with activity.
    pub(crate) async fn users(&self, ends: Ends) -> Result<u64, BusinessError> {
        Ok(self.counted(ends, activity(), true).await?.1)
    }

    async fn lessons(&self, ends: Ends) -> Result<f64, BusinessError> {
        Ok(self.counted(ends, named(&["lesson_complete"]), false).await?.0 as f64)
    }

    /// People active for the first time by day, from before everything that is compared.
    async fn new_by_day(&self, period: &Compared) -> Result<Vec<DayOfNew>, BusinessError> {
        let last = period.until.minus(MICRO);
        let month = self.calendar.shifted(PeriodUnit::Month, last, -1)?;
        let from = month.min(period.before_from).min(last.minus(DAY * CHART_DAYS as u32));
        let span = self.span((from, period.until));
        let answer =
            self.queries.lifecycle(AskLifecycle { span, unit: Unit::Day, filter: activity() }).await?;
        let day = |period: &LifecyclePeriod| DayOfNew {
            day: Timestamp::from_micros(period.start_micros),
            new: period.new,
            ever: period.ever,
        };
        Ok(answer.periods.iter().map(day).collect())
    }

    /// People active for the first time in the calendar's stretch of a day, and in the one before.
    fn added_in(&self, unit: PeriodUnit, day: Timestamp, new: &[DayOfNew]) -> Result<Number, BusinessError> {
        let start = self.calendar.start(unit, day)?;
        let (before, end) = (self.calendar.shifted(unit, day, -1)?, self.calendar.shifted(unit, day, 1)?);
        Ok(added(new, (start, end), (before, start)))
    }

    async fn active_by_day(&self, period: &Compared) -> Result<Vec<ActiveCounts>, BusinessError> {
        let of_chart = period.until.minus(DAY * CHART_DAYS as u32);
        let span = self.span((period.before_until.minus(MICRO).min(of_chart), period.until));
        let answer = self.queries.active(AskActive { span, filter: activity() }).await?;
        let days = answer
            .days
            .iter()
            .map(|day| (Timestamp::from_micros(day.start_micros), day.daily, day.weekly, day.monthly_30));
        Ok(days.collect())
    }

    async fn session_seconds(&self, ends: Ends) -> Result<Option<f64>, BusinessError> {
        let (span, unit) = (self.span(ends), Unit::Month);
        let ask = AskSession { span, unit, filter: activity(), gap_ms: GAP_MS, limit: 1 };
        let buckets = self.queries.session(ask).await?.sessions.buckets;
        let sessions: u64 = buckets.iter().map(|bucket| bucket.sessions).sum();
        let duration_ms: u64 = buckets.iter().map(|bucket| bucket.duration_ms).sum();
        Ok((sessions > 0).then(|| duration_ms as f64 / 1_000.0 / sessions as f64))
    }

    async fn lesson_seconds(&self, ends: Ends) -> Result<Option<f64>, BusinessError> {
        let (span, unit) = (self.span(ends), Unit::Month);
        let measures = Measures { values: true, ..Measures::default() };
        let filter = named(&["lesson_complete"]);
        let ask = AskTrend {
            span,
            unit,
            filter,
            measures,
            values_of: PropName::try_new("duration"),
            breakdown: None,
        };
        let answer = self.queries.trend(ask).await.map(|answer| answer.series);
        let series = or_none(answer, "values_of")?;
        let points = series.iter().flat_map(|series| &series.points);
        let (values, sum) =
            points.fold((0, 0.0), |(values, sum), point| (values + point.values, sum + point.sum));
        Ok((values > 0).then(|| sum / values as f64))
    }

    /// The most popular courses, and the share of completions of all.
    async fn courses(&self, ends: Ends) -> Result<(Vec<CourseMetrics>, Option<f64>), BusinessError> {
        let ask = AskTop {
            span: self.span(ends),
            filter: named(&["course_enrol", "lesson_start"]),
            goal: Some(named(&["course_complete"])),
            field: Field::Dimension(Dimension::Course),
            rank: Rank::Subjects,
            limit: LIST_MAX,
        };
        let items = self.queries.top(ask).await?;
        let courses: Vec<CourseMetrics> = items
            .into_iter()
            .filter_map(|item| match item.group {
                Group::Text(course) => {
                    Some(CourseMetrics { course, enrolments: item.subjects, completed: item.goal_subjects })
                }
                _ => None,
            })
            .collect();
        let enrolments: u64 = courses.iter().map(|course| course.enrolments).sum();
        let completed: u64 = courses.iter().map(|course| course.completed).sum();
        let rate = (enrolments > 0).then(|| completed as f64 / enrolments as f64);
        Ok((courses.into_iter().take(COURSES_MAX).collect(), rate))
    }

    /// The features with the most users.
    async fn used(&self, ends: Ends) -> Result<Vec<(String, u64)>, BusinessError> {
        let Some(name) = PropName::try_new("feature") else { return Ok(Vec::new()) };
        let ask = AskTop {
            span: self.span(ends),
            filter: named(&[FEATURE_USED]),
            goal: None,
            field: Field::Prop(name),
            rank: Rank::Subjects,
            limit: ROWS_MAX,
        };
        let items = or_none(self.queries.top(ask).await, "by")?;
        let features = items.into_iter().filter_map(|item| match item.group {
            Group::Text(feature) => Some((feature, item.subjects)),
            _ => None,
        });
        Ok(features.collect())
    }

    /// How features were taken up; there are some.
    async fn adoption(&self, ends: Ends) -> Result<AdoptionAnswer, BusinessError> {
        let name = PropName::try_new("feature");
        let Some(name) = name else { return Err(BusinessError::invalid("feature", "is no property")) };
        let ask = AskAdoption {
            span: self.span(ends),
            seen: activity(),
            used: named(&[FEATURE_USED]),
            field: Field::Prop(name),
            cohorts_from: ends.1.minus(DAY * 7 * (COHORT_WEEKS - 1)).max(TIME_MIN),
            unit: Unit::Week,
            limit: LIST_MAX,
        };
        Ok(self.queries.adoption(ask).await?)
    }

    /// Of those who came first in a week, how many came again in each week after it.
    async fn retention(&self, until: Timestamp) -> Result<RetentionTable, BusinessError> {
        let ask = AskRetention {
            span: self.span((until.minus(DAY * 7 * (COHORT_WEEKS - 1)), until)),
            unit: Unit::Week,
            start: activity(),
            returned: activity(),
            cohort_by: CohortBy::FirstStart,
            mode: RetentionMode::Classic,
            complete_until: until,
        };
        Ok(self.queries.retention(ask).await?)
    }

    async fn funnel(&self, ends: Ends) -> Result<ConversionFunnel, BusinessError> {
        let steps =
            [PAGE_VIEW, SIGNED_UP, TRIAL_STARTED, SUBSCRIPTION_STARTED].map(|name| named(&[name])).to_vec();
        let rules = FunnelRules { optional: vec![2], ..FunnelRules::default() };
        let span = self.span(ends);
        let ask = AskFunnel { span, steps, window_ms: WINDOW_MS, rules, breakdown: None };
        let answer = self.queries.funnel(ask).await?;
        let steps = answer.groups.first().map_or(&[][..], |group| &group.steps);
        let people = |place: usize| steps.get(place).map_or(0, |step| step.subjects);
        Ok(ConversionFunnel {
            visitors: people(0),
            signups: people(1),
            free_trials: people(2),
            paid_subscriptions: people(3),
        })
    }
}
