//! Which questions to the events give which numbers.

use std::sync::Arc;
use std::time::Duration;

use belvedere_event_store::columns::{Dimension, PropName};
use belvedere_event_store::kernel::cohort::Did;
use belvedere_event_store::kernel::filter::{Filter, TextTest};
use belvedere_event_store::kernel::funnel::{FunnelBreakdown, FunnelGroup, FunnelRules, Touch};
use belvedere_event_store::kernel::group::{Field, Group};
use belvedere_event_store::kernel::session::GAP_MS;
use belvedere_event_store::kernel::top::Rank;
use belvedere_event_store::kernel::trend::Measures;
use belvedere_event_store::query::{
    AskActive, AskCohort, AskFunnel, AskLifecycle, AskSession, AskTop, AskTrend, BREAKDOWN_MAX, LIST_MAX,
    Queries, QueriesError, RANGE_DAYS_MAX, Span, Unit,
};
use belvedere_event_store::{NAME_BYTES_MAX, TIME_MIN};
use belvedere_kernel::ProjectId;
use belvedere_storage::Timestamp;

use super::{FEATURE_USED, NO_ACTIVITY, PAGE_VIEW, SIGNED_UP, SUBSCRIPTION_STARTED, TRIAL_STARTED};
use crate::BusinessError;
use crate::calendar::{Calendar, PeriodUnit};
use crate::model::{
    Acquisition, ActivePoint, AskMetrics, BusinessMetrics, Channel, Compared, ConversionFunnel,
    CourseMetrics, EngagementMetrics, Feature, LearningMetrics, Number,
};
use crate::service::BusinessService;

/// Who converts does so within this time.
const WINDOW_MS: i64 = 30 * 86_400_000;
/// The most channels, campaigns, pages or features.
const ROWS_MAX: usize = 20;
/// The most courses that are popular.
const COURSES_MAX: usize = 10;
/// Days of the small charts.
const CHART_DAYS: u64 = 30;

const DAY: Duration = Duration::from_secs(86_400);
const MICRO: Duration = Duration::from_micros(1);

/// Events of these names; there need not be any.
fn named(names: &[&str]) -> Filter {
    let not = |name: &&str| Filter::Name(TextTest::IsNot((*name).to_owned()));
    Filter::Not(Box::new(Filter::And(names.iter().map(not).collect())))
}

fn activity() -> Filter {
    Filter::Name(TextTest::In(NO_ACTIVITY.map(str::to_owned).to_vec())).negated()
}

trait Negated {
    fn negated(self) -> Self;
}

impl Negated for Filter {
    fn negated(self) -> Self {
        Self::Not(Box::new(self))
    }
}

/// Questions about one project, by one calendar.
struct Asker<'a> {
    queries: &'a dyn Queries,
    project: ProjectId,
    calendar: &'a Calendar,
}

/// All numbers about a period.
pub(crate) async fn measure(
    service: &BusinessService,
    ask: &AskMetrics,
    period: Compared,
    calendar: &Calendar,
) -> Result<BusinessMetrics, BusinessError> {
    let goal = ask.goal.as_deref().unwrap_or(SIGNED_UP);
    if !(1..=NAME_BYTES_MAX).contains(&goal.len()) {
        return Err(BusinessError::invalid("goal", format!("must have 1 to {NAME_BYTES_MAX} bytes")));
    }
    let asker = Asker { queries: &*service.parts.queries, project: ask.project, calendar };
    let now = (period.from, period.until);
    let before = (period.before_from, period.before_until);
    let new = asker.new_by_day(&period).await?;
    let active = asker.active_by_day(&period).await?;
    let last_day = |until: Timestamp| calendar.start(PeriodUnit::Day, until.minus(MICRO));
    let (day_now, day_before) = (last_day(period.until)?, last_day(period.before_until)?);
    let of_day = |day: Timestamp| active.iter().find(|point| point.0 == day).copied();
    let number = |find: fn(ActiveCounts) -> u64| Number {
        now: Some(of_day(day_now).map_or(0, find) as f64),
        before: Some(of_day(day_before).map_or(0, find) as f64),
    };
    let (daily, monthly) = (number(|it| it.1), number(|it| it.3));
    let users = asker.both(now, before, |it| asker.users(it)).await?;
    let chart_from = calendar.start(PeriodUnit::Day, day_now.minus(DAY * (CHART_DAYS as u32 - 1)))?;
    let chart = active.iter().filter(|it| it.0 >= chart_from && it.0 <= day_now).map(|it| ActivePoint {
        from: it.0,
        daily: it.1,
        monthly: it.3,
        new: new.iter().find(|(day, _)| *day == it.0).map_or(0, |(_, new)| *new),
    });
    let (courses, completion) = asker.courses(now).await?;
    let (_, completion_before) = asker.courses(before).await?;
    let revenue = match ask.has_revenue {
        true => service.report(ask.project, &period, ask.currency).await?,
        false => None,
    };
    Ok(BusinessMetrics {
        period,
        time_zone: calendar.name().to_owned(),
        acquisition: Acquisition {
            total_users: asker.total(period.until, period.before_until).await?,
            new_users: added(&new, now, before),
            new_users_today: asker.added_in(PeriodUnit::Day, day_now, &new)?,
            new_users_this_week: asker.added_in(PeriodUnit::Week, day_now, &new)?,
            new_users_this_month: asker.added_in(PeriodUnit::Month, day_now, &new)?,
            channels: asker.channels(now, goal, Touch::First).await?,
            channels_last_touch: asker.channels(now, goal, Touch::Last).await?,
            campaigns: asker.by_property(now, goal, activity(), "utm_campaign").await?,
            landing_pages: asker.by_property(now, goal, named(&[PAGE_VIEW]), "path").await?,
        },
        engagement: EngagementMetrics {
            daily_active_users: daily,
            weekly_active_users: number(|it| it.2),
            monthly_active_users: monthly,
            stickiness: Number {
                now: share(daily.now, monthly.now),
                before: share(daily.before, monthly.before),
            },
            average_session_duration: Number {
                now: asker.session_seconds(now).await?,
                before: asker.session_seconds(before).await?,
            },
            course_completion_rate: Number { now: completion, before: completion_before },
            feature_adoption: asker.features(now, users.now).await?,
        },
        learning: LearningMetrics {
            lessons_completed: asker.both(now, before, |it| asker.lessons(it)).await?,
            average_time_to_complete: Number {
                now: asker.lesson_seconds(now).await?,
                before: asker.lesson_seconds(before).await?,
            },
            popular_courses: courses,
        },
        revenue,
        funnel: asker.funnel(now).await?,
        funnel_before: asker.funnel(before).await?,
        active: chart.collect(),
    })
}

/// The start of a day, and the people active on it, in its 7 and in its 30 days.
type ActiveCounts = (Timestamp, u64, u64, u64);
type Ends = (Timestamp, Timestamp);

fn share(part: Option<f64>, whole: Option<f64>) -> Option<f64> {
    let (part, whole) = (part?, whole?);
    (whole > 0.0).then(|| part / whole)
}

/// People of days that begin in a stretch.
fn sum(new: &[(Timestamp, u64)], (from, until): Ends) -> f64 {
    new.iter().filter(|(day, _)| *day >= from && *day < until).map(|(_, new)| *new).sum::<u64>() as f64
}

fn added(new: &[(Timestamp, u64)], now: Ends, before: Ends) -> Number {
    Number { now: Some(sum(new, now)), before: Some(sum(new, before)) }
}

/// No rows where no recent event has the property that is asked for.
fn or_none<T>(answer: Result<Vec<T>, QueriesError>, field: &str) -> Result<Vec<T>, QueriesError> {
    match answer {
        Err(QueriesError::Invalid { field: at, .. }) if at == field => Ok(Vec::new()),
        answer => answer,
    }
}

impl Asker<'_> {
    fn span(&self, (from, until): Ends) -> Span {
        Span {
            project: self.project,
            from: from.max(TIME_MIN),
            until,
            time_zone: self.calendar.name().to_owned(),
        }
    }

    /// A number of two stretches.
    async fn both<F: Future<Output = Result<f64, BusinessError>>>(
        &self,
        now: Ends,
        before: Ends,
        count: impl Fn(Ends) -> F,
    ) -> Result<Number, BusinessError> {
        Ok(Number { now: Some(count(now).await?), before: Some(count(before).await?) })
    }

    async fn counted(&self, ends: Ends, filter: Filter, subjects: bool) -> Result<(u64, u64), BusinessError> {
        let measures = Measures { subjects, ..Measures::default() };
        let (span, unit) = (self.span(ends), Unit::Month);
        let ask = AskTrend { span, unit, filter, measures, values_of: None, breakdown: None };
        let answer = self.queries.trend(ask).await?;
        Ok(answer.series.first().map_or((0, 0), |series| (series.events, series.subjects)))
    }

    async fn users(&self, ends: Ends) -> Result<f64, BusinessError> {
        Ok(self.counted(ends, activity(), true).await?.1 as f64)
    }

    async fn lessons(&self, ends: Ends) -> Result<f64, BusinessError> {
        Ok(self.counted(ends, named(&["lesson_complete"]), false).await?.0 as f64)
    }

    async fn total(&self, until: Timestamp, before: Timestamp) -> Result<Number, BusinessError> {
        let range = DAY * (RANGE_DAYS_MAX as u32 - 1);
        let of = |until: Timestamp| (until.minus(range), until);
        self.both(of(until), of(before), |ends| self.users(ends)).await
    }

    /// People active for the first time by day, from before everything that is compared.
    async fn new_by_day(&self, period: &Compared) -> Result<Vec<(Timestamp, u64)>, BusinessError> {
        let last = period.until.minus(MICRO);
        let month = self.calendar.shifted(PeriodUnit::Month, last, -1)?;
        let from = month.min(period.before_from).min(last.minus(DAY * CHART_DAYS as u32));
        let span = self.span((from, period.until));
        let answer =
            self.queries.lifecycle(AskLifecycle { span, unit: Unit::Day, filter: activity() }).await?;
        let days = answer.periods.iter();
        Ok(days.map(|period| (Timestamp::from_micros(period.start_micros), period.new)).collect())
    }

    /// People active for the first time in the calendar's stretch of a day, and in the one before.
    fn added_in(
        &self,
        unit: PeriodUnit,
        day: Timestamp,
        new: &[(Timestamp, u64)],
    ) -> Result<Number, BusinessError> {
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

    async fn features(&self, ends: Ends, users: Option<f64>) -> Result<Vec<Feature>, BusinessError> {
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
            Group::Text(feature) => {
                let adoption_rate = share(Some(item.subjects as f64), users);
                Some(Feature { feature, users: item.subjects, adoption_rate })
            }
            _ => None,
        });
        Ok(features.collect())
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

    /// People with events of a kind, and of them those who reach the goal, by the texts of a field that they touched.
    async fn touched(
        &self,
        ends: Ends,
        (filter, goal): (Filter, &str),
        (field, touch): (Field, Touch),
    ) -> Result<Vec<FunnelGroup>, QueriesError> {
        let ask = AskFunnel {
            span: self.span(ends),
            steps: vec![filter, named(&[goal])],
            window_ms: WINDOW_MS,
            rules: FunnelRules::default(),
            breakdown: Some(FunnelBreakdown { field, touch, limit: BREAKDOWN_MAX }),
        };
        or_none(self.queries.funnel(ask).await.map(|answer| answer.groups), "breakdown")
    }

    async fn channels(&self, ends: Ends, goal: &str, touch: Touch) -> Result<Vec<Channel>, BusinessError> {
        let source = Field::Dimension(Dimension::UtmSource);
        let by_source = self.touched(ends, (activity(), goal), (source, touch)).await?;
        let mut channels = rows(&by_source);
        // The referrer is that of people who have no source at all.
        let has_source = Filter::Dimension(Dimension::UtmSource, TextTest::Set);
        // A source counts up to the end of the window, as it does in the question above.
        let window = Duration::from_millis(WINDOW_MS.unsigned_abs());
        let span = self.span((ends.0, ends.1.plus(window)));
        let ask = AskCohort { span, filter: has_source, did: Did::AtLeast(1) };
        let with_source: Arc<_> = self.queries.cohort(ask).await?;
        let others = Filter::And(vec![activity(), Filter::Subjects(with_source).negated()]);
        let referrer = Field::Dimension(Dimension::Referrer);
        let by_referrer = self.touched(ends, (others, goal), (referrer, touch)).await?;
        channels.extend(rows(&by_referrer));
        // All others: who touched neither, and with the last touch who found a source only later.
        let all = by_source.first().map(|group| channel("direct", group));
        if let Some(mut direct) = all {
            for channel in &channels {
                direct.count = direct.count.saturating_sub(channel.count);
                direct.converted = direct.converted.saturating_sub(channel.converted);
            }
            channels.push(direct);
        }
        channels.retain(|channel| channel.count > 0);
        Ok(first(channels))
    }

    async fn by_property(
        &self,
        ends: Ends,
        goal: &str,
        filter: Filter,
        property: &str,
    ) -> Result<Vec<Channel>, BusinessError> {
        let Some(name) = PropName::try_new(property) else { return Ok(Vec::new()) };
        let groups = self.touched(ends, (filter, goal), (Field::Prop(name), Touch::First)).await?;
        Ok(first(rows(&groups)))
    }
}

fn channel(source: &str, group: &FunnelGroup) -> Channel {
    let people = |place: usize| group.steps.get(place).map_or(0, |step| step.subjects);
    Channel { source: source.to_owned(), count: people(0), converted: people(1) }
}

/// The groups of texts; one host may be a source and a referrer, and is one channel.
fn rows(groups: &[FunnelGroup]) -> Vec<Channel> {
    let named = groups.iter().filter_map(|group| match &group.group {
        Group::Text(text) => Some(channel(text, group)),
        Group::Other => Some(channel("others", group)),
        Group::All | Group::NotSet => None,
    });
    named.filter(|channel| channel.count > 0).collect()
}

fn first(mut channels: Vec<Channel>) -> Vec<Channel> {
    channels.sort_by(|a, b| a.source.cmp(&b.source));
    channels.dedup_by(|later, earlier| {
        let is_same = later.source == earlier.source;
        if is_same {
            earlier.count += later.count;
            earlier.converted += later.converted;
        }
        is_same
    });
    channels.sort_by(|a, b| (b.count, &a.source).cmp(&(a.count, &b.source)));
    channels.truncate(ROWS_MAX);
    channels
}
