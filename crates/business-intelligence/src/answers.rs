//! What is asked about the business.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use belvedere_kernel::{ProjectId, TutorNumbers};
use belvedere_storage::{StorageError, Timestamp};
use jiff::tz::TimeZone;

use crate::calendar::{Calendar, PeriodUnit};
use crate::feature_flag::{Remembered, remembered};
use crate::insight::{CohortId, CohortSize};
use crate::kept::{Kept, Pace};
use crate::looks::{Look, Looks};
use crate::metrics::{Asker, changes, goal_of, measure};
use crate::model::{
    AskMetrics, AskPeriod, AskRevenue, AskSeries, BusinessMetrics, COHORTS_MAX, Change, Changes, CohortTable,
    Compared, PERIODS_MAX, PlanRevenue, PlanTable, RevenueCohort, RevenueReport, RevenueSeries,
};
use crate::revenue::currency::Currency;
use crate::revenue::metrics::{Levels, RevenuePeriod, periods, standing};
use crate::revenue::rates::{Rates, rate_day};
use crate::service::{BusinessService, within};
use crate::store::{self, Settings};
use crate::{Business, BusinessError};

/// Who was active in so many minutes is present.
pub const PRESENT_MINUTES: u32 = 5;

/// Numbers are no older than this.
const METRICS_KEPT: Duration = Duration::from_secs(60);
/// Nor are what changed within a week, and how a tutor does.
const REPORTS_KEPT: Duration = Duration::from_secs(600);

/// No period is shorter, so that none is empty where one begins at this moment.
const MOMENT: Duration = Duration::from_millis(1);

/// Which numbers: the project, its time zone, the period with its begin, and the goal.
type MetricsKey = (ProjectId, String, AskPeriod, Timestamp, String);

/// What was answered not long ago.
pub(crate) struct Answers {
    metrics: Kept<MetricsKey, Arc<BusinessMetrics>>,
    tutors: Kept<(ProjectId, AskPeriod, Timestamp), Option<TutorNumbers>>,
    changes: Kept<(ProjectId, String), Arc<Changes>>,
    revenue_changes: Kept<(ProjectId, Option<Currency>, Timestamp), Option<Change>, i64>,
    reports: Kept<ReportKey, Option<RevenueReport>, i64>,
    series: Kept<SeriesKey, RevenueSeries, i64>,
    plans: Kept<(ProjectId, Option<Currency>), PlanTable, i64>,
    cohorts: Kept<SeriesKey, CohortTable, i64>,
    pub(crate) sizes: Kept<(ProjectId, CohortId, Timestamp), Vec<CohortSize>>,
    pub(crate) looks: Looks,
    pub(crate) flags: Remembered,
}

/// The project, the period with its begin, and the currency.
type ReportKey = (ProjectId, AskPeriod, Timestamp, Option<Currency>);
/// The project, the unit and number of periods, and the currency.
type SeriesKey = (ProjectId, PeriodUnit, usize, Option<Currency>);

#[cfg(test)]
impl Answers {
    /// How many answers are kept of metrics, changes and revenue.
    pub(crate) fn ready(&self) -> usize {
        self.metrics.len()
            + self.changes.len()
            + self.revenue_changes.len()
            + self.reports.len()
            + self.series.len()
    }
}

impl Default for Answers {
    fn default() -> Self {
        Self {
            metrics: Kept::new(METRICS_KEPT, 30),
            tutors: Kept::new(REPORTS_KEPT, 300),
            changes: Kept::new(REPORTS_KEPT, 300),
            // About a week that does not move: as good as new until something changes.
            revenue_changes: Kept::new(REPORTS_KEPT, 30),
            reports: Kept::new(METRICS_KEPT, 30),
            series: Kept::new(METRICS_KEPT, 30),
            plans: Kept::new(METRICS_KEPT, 30),
            cohorts: Kept::new(METRICS_KEPT, 30),
            sizes: Kept::new(REPORTS_KEPT, 300),
            looks: Looks::default(),
            flags: remembered(),
        }
    }
}

impl BusinessService {
    pub(crate) async fn calendar(&self, project: ProjectId) -> Result<Calendar, StorageError> {
        let name = match &self.parts.zones {
            Some(zones) => zones.time_zone(project).await?,
            None => None,
        };
        Ok(Calendar::new(name.and_then(|name| TimeZone::get(&name).ok()).unwrap_or(TimeZone::UTC)))
    }

    async fn settings(&self, project: ProjectId) -> Result<Settings, StorageError> {
        store::find_settings(self.parts.db.read(), project).await
    }

    /// The rates that amounts between two instants are converted at; none are needed for a single currency.
    async fn rates(
        &self,
        project: ProjectId,
        (to, settings): (Currency, &Settings),
        (from, until): (Timestamp, Timestamp),
    ) -> Result<Rates, StorageError> {
        if settings.currencies.iter().all(|currency| *currency == to) {
            return Ok(Rates::new(to, []));
        }
        let days = (rate_day(from.as_micros().saturating_sub(1)), rate_day(until.as_micros()));
        Ok(Rates::new(to, store::load_rates(self.parts.db.read(), project, to, days).await?))
    }

    /// What revenue did between cuts.
    async fn between(
        &self,
        project: ProjectId,
        currency: (Currency, &Settings),
        cuts: &[Timestamp],
    ) -> Result<Vec<RevenuePeriod>, BusinessError> {
        let (Some(first), Some(last)) = (cuts.first().copied(), cuts.last().copied()) else {
            return Ok(Vec::new());
        };
        let db = self.parts.db.read();
        let levels = store::read_levels(db, project, first).await?;
        let movements = store::sum_movements(db, project, cuts, currency.0).await?;
        let charges = store::sum_charges(db, project, cuts, currency.0).await?;
        let rates = self.rates(project, currency, (first, last)).await?;
        Ok(periods(cuts, levels, &movements, &charges, &rates)?)
    }

    async fn report(
        &self,
        ask: &AskRevenue,
        period: &Compared,
        pace: Pace,
    ) -> Result<Option<RevenueReport>, BusinessError> {
        let settings = self.settings(ask.project).await?;
        let key = (ask.project, ask.period, period.from, ask.currency);
        let made = async {
            let Some(currency) = currency_of(ask.currency, &settings)? else { return Ok(None) };
            let of = async |ends: [Timestamp; 2]| {
                let periods = self.between(ask.project, (currency, &settings), &ends).await?;
                Ok::<_, BusinessError>(periods.first().copied().unwrap_or_default())
            };
            let now = of([period.from, period.until]).await?;
            let before = of([period.before_from, period.before_until]).await?;
            Ok(Some(RevenueReport { currency, now, before }))
        };
        let (key, version) = ((&key, pace), Some(settings.version));
        self.answers.reports.find(key, version, &*self.parts.clock, made).await
    }

    /// By how much revenue changed, if by more than noise and if it can be told in one currency.
    async fn revenue_change(
        &self,
        project: ProjectId,
        asked: Option<Currency>,
        (from, until): (Timestamp, Timestamp),
        pace: Pace,
    ) -> Result<Option<Change>, BusinessError> {
        let settings = self.settings(project).await?;
        let told = async {
            let Some(currency) = currency_of(asked, &settings)? else { return Ok(None) };
            let periods = self.between(project, (currency, &settings), &[from, until]).await?;
            let change = periods.first().and_then(changes::revenue_change);
            Ok(change.map(|change| Change { currency: Some(currency), ..change }))
        };
        let made = async {
            match told.await {
                Err(BusinessError::Currencies(_) | BusinessError::MissingRate(_)) => Ok(None),
                told => told,
            }
        };
        let (key, version) = ((project, asked, until), Some(settings.version));
        self.answers.revenue_changes.find((&key, pace), version, &*self.parts.clock, made).await
    }

    /// The begins of the last periods, and this moment.
    async fn cuts(&self, ask: &AskSeries) -> Result<Vec<Timestamp>, BusinessError> {
        let now = self.parts.clock.now();
        let mut cuts = self.calendar(ask.project).await?.last(ask.unit, now, ask.periods)?;
        if let Some(last) = cuts.last_mut() {
            *last = now;
        }
        Ok(cuts)
    }
}

/// The currency to answer in: that which is asked for, or else the only one; none where there is no revenue.
fn currency_of(asked: Option<Currency>, settings: &Settings) -> Result<Option<Currency>, BusinessError> {
    let mut all = settings.currencies.iter().copied();
    match (asked, all.next(), all.next()) {
        (_, None, _) => Ok(None),
        (Some(currency), ..) | (None, Some(currency), None) => Ok(Some(currency)),
        _ => Err(BusinessError::Currencies(settings.currencies.iter().copied().collect())),
    }
}

/// The period that is asked for, and the one that it is compared with.
fn compared(ask: AskPeriod, calendar: &Calendar, now: Timestamp) -> Result<Compared, BusinessError> {
    match ask {
        AskPeriod::Current(unit) => {
            let (from, before_from) = (calendar.start(unit, now)?, calendar.shifted(unit, now, -1)?);
            // The same time into the period; a shorter one ends before.
            let elapsed = now.since(from).max(MOMENT);
            let (until, before_until) = (from.plus(elapsed), before_from.plus(elapsed).min(from));
            Ok(Compared { from, until, before_from, before_until })
        }
        AskPeriod::Range { from, until } => {
            if until <= from {
                return Err(BusinessError::invalid("until", "must be later than from"));
            }
            let length = until.since(from);
            if length.as_secs() > 366 * 86_400 {
                return Err(BusinessError::invalid("from", "must be at most 366 days before until"));
            }
            Ok(Compared { from, until, before_from: from.minus(length), before_until: from })
        }
    }
}

impl BusinessService {
    pub(crate) async fn metrics(
        &self,
        ask: AskMetrics,
        pace: Pace,
    ) -> Result<BusinessMetrics, BusinessError> {
        let project = ask.project;
        let calendar = self.calendar(project).await?;
        let period = compared(ask.period, &calendar, self.parts.clock.now())?;
        let goal = goal_of(ask.goal.as_deref())?;
        let of_revenue = AskRevenue { project, period: ask.period, currency: ask.currency };
        let revenue = match ask.has_revenue {
            true => self.report(&of_revenue, &period, pace).await?,
            false => None,
        };
        let version = Some(self.parts.queries.version(project).await?);
        let asker = Asker { queries: &*self.parts.queries, project, calendar: &calendar };
        let (zone, clock) = (calendar.name().to_owned(), &*self.parts.clock);
        let key = (project, zone, ask.period, period.from, goal.to_owned());
        let measured = async { Ok::<_, BusinessError>(Arc::new(measure(&asker, goal, period).await?)) };
        let measured = self.answers.metrics.find((&key, pace), version, clock, measured).await?;
        let mut metrics = BusinessMetrics { revenue, ..BusinessMetrics::clone(&measured) };
        if let Some(learning) = &self.parts.learning {
            let (from, until) = (period.from, period.until);
            let key = (project, ask.period, from);
            let tutor = learning.find_tutor(project, from, until);
            let tutor = self.answers.tutors.find((&key, pace), version, clock, tutor);
            let (tutor, struggling) = tokio::try_join!(tutor, learning.find_struggling(project))?;
            (metrics.learning.tutor, metrics.learning.struggling) = (tutor, Some(struggling));
        }
        Ok(metrics)
    }

    pub(crate) async fn changes(
        &self,
        project: ProjectId,
        currency: Option<Currency>,
        pace: Pace,
    ) -> Result<Changes, BusinessError> {
        let calendar = self.calendar(project).await?;
        let until = self.parts.clock.now();
        let version = Some(self.parts.queries.version(project).await?);
        let asker = Asker { queries: &*self.parts.queries, project, calendar: &calendar };
        let made = async {
            let changes = changes::changes(&asker, until).await?;
            Ok::<_, BusinessError>(Arc::new(Changes { from: until.minus(changes::WEEK), until, changes }))
        };
        let key = (project, calendar.name().to_owned());
        let found = self.answers.changes.find((&key, pace), version, &*self.parts.clock, made).await?;
        let mut found = Changes::clone(&found);
        let ends = (found.from, found.until);
        if let Some(change) = self.revenue_change(project, currency, ends, pace).await? {
            found.changes.push(change);
            found.changes.sort_by(changes::first);
        }
        Ok(found)
    }

    pub(crate) async fn revenue(
        &self,
        ask: &AskRevenue,
        pace: Pace,
    ) -> Result<Option<RevenueReport>, BusinessError> {
        let calendar = self.calendar(ask.project).await?;
        let period = compared(ask.period, &calendar, self.parts.clock.now())?;
        self.report(ask, &period, pace).await
    }

    pub(crate) async fn series(&self, ask: &AskSeries, pace: Pace) -> Result<RevenueSeries, BusinessError> {
        within("periods", ask.periods, PERIODS_MAX)?;
        let settings = self.settings(ask.project).await?;
        let made = async {
            let Some(currency) = currency_of(ask.currency, &settings)? else {
                return Ok(RevenueSeries { currency: None, periods: Vec::new() });
            };
            let cuts = self.cuts(ask).await?;
            let periods = self.between(ask.project, (currency, &settings), &cuts).await?;
            Ok::<_, BusinessError>(RevenueSeries { currency: Some(currency), periods })
        };
        let (key, version) = (series_key(ask), Some(settings.version));
        self.answers.series.find((&key, pace), version, &*self.parts.clock, made).await
    }

    pub(crate) async fn plans(
        &self,
        project: ProjectId,
        asked: Option<Currency>,
        pace: Pace,
    ) -> Result<PlanTable, BusinessError> {
        let settings = self.settings(project).await?;
        let made = async {
            let Some(currency) = currency_of(asked, &settings)? else { return Ok(PlanTable::default()) };
            self.plans_anew(project, (currency, &settings)).await
        };
        let (key, version) = ((project, asked), Some(settings.version));
        self.answers.plans.find((&key, pace), version, &*self.parts.clock, made).await
    }

    async fn plans_anew(
        &self,
        project: ProjectId,
        currency: (Currency, &Settings),
    ) -> Result<PlanTable, BusinessError> {
        let now = self.parts.clock.now();
        let levels = store::read_plans(self.parts.db.read(), project, now).await?;
        let rates = self.rates(project, currency, (now, now)).await?;
        let day = rate_day(now.as_micros().saturating_sub(1));
        let mut plans: BTreeMap<String, PlanRevenue> = BTreeMap::new();
        for level in levels {
            let minor = rates.convert(level.mrr_minor, level.currency, day)?;
            let plan = plans.entry(level.plan.clone()).or_insert_with(|| PlanRevenue {
                plan: level.plan,
                mrr_minor: 0,
                subscribers: 0,
            });
            plan.mrr_minor = plan.mrr_minor.saturating_add(minor);
            plan.subscribers += level.subscribers;
        }
        let mut plans: Vec<PlanRevenue> = plans.into_values().collect();
        plans.sort_by(|a, b| (b.mrr_minor, &a.plan).cmp(&(a.mrr_minor, &b.plan)));
        Ok(PlanTable { currency: Some(currency.0), plans })
    }

    pub(crate) async fn cohorts(&self, ask: &AskSeries, pace: Pace) -> Result<CohortTable, BusinessError> {
        within("periods", ask.periods, COHORTS_MAX)?;
        let settings = self.settings(ask.project).await?;
        let made = async {
            let currency = currency_of(ask.currency, &settings)?;
            let Some(currency) = currency else { return Ok(CohortTable::default()) };
            self.cohorts_anew(ask, (currency, &settings)).await
        };
        let (key, version) = (series_key(ask), Some(settings.version));
        self.answers.cohorts.find((&key, pace), version, &*self.parts.clock, made).await
    }

    async fn cohorts_anew(
        &self,
        ask: &AskSeries,
        currency: (Currency, &Settings),
    ) -> Result<CohortTable, BusinessError> {
        let cuts = self.cuts(ask).await?;
        let (Some(first), Some(last)) = (cuts.first().copied(), cuts.last().copied()) else {
            return Ok(CohortTable::default());
        };
        let sums = store::read_cohorts(self.parts.db.read(), ask.project, &cuts).await?;
        let rates = self.rates(ask.project, currency, (first, last)).await?;
        let mut cohorts = Vec::new();
        for (number, from) in cuts.iter().enumerate().take(ask.periods) {
            let (mut levels, mut mrr_minor, mut customers) = (Levels::new(), Vec::new(), Vec::new());
            for (period, until) in cuts.iter().skip(1).enumerate().skip(number) {
                for sum in sums.iter().filter(|sum| (sum.cohort, sum.period) == (number, period)) {
                    let level = levels.entry(sum.currency).or_default();
                    level.mrr_minor = level.mrr_minor.saturating_add(sum.delta_minor);
                    level.customers += sum.customers;
                }
                let standing = standing(&levels, &rates, *until)?;
                mrr_minor.push(standing.mrr_minor);
                customers.push(standing.customers);
            }
            cohorts.push(RevenueCohort { from: *from, mrr_minor, customers });
        }
        Ok(CohortTable { currency: Some(currency.0), cohorts })
    }
}

fn series_key(ask: &AskSeries) -> SeriesKey {
    (ask.project, ask.unit, ask.periods, ask.currency)
}

#[async_trait]
impl Business for BusinessService {
    async fn find_metrics(&self, ask: AskMetrics) -> Result<BusinessMetrics, BusinessError> {
        // Others are asked by programs.
        if ask.goal.is_none() && matches!(ask.period, AskPeriod::Current(_)) {
            self.look(Look::Metrics(ask.clone())).await;
        }
        self.metrics(ask, Pace::Now).await
    }

    async fn find_changes(
        &self,
        project: ProjectId,
        currency: Option<Currency>,
    ) -> Result<Changes, BusinessError> {
        self.look(Look::Changes(project, currency)).await;
        self.changes(project, currency, Pace::Now).await
    }

    async fn count_present(&self, project: ProjectId) -> Result<u64, BusinessError> {
        let now = self.parts.clock.now();
        let calendar = Calendar::default();
        let asker = Asker { queries: &*self.parts.queries, project, calendar: &calendar };
        asker.users((now.minus(Duration::from_secs(60) * PRESENT_MINUTES), now)).await
    }

    async fn find_revenue(&self, ask: AskRevenue) -> Result<Option<RevenueReport>, BusinessError> {
        if matches!(ask.period, AskPeriod::Current(_)) {
            self.look(Look::Revenue(ask.clone())).await;
        }
        self.revenue(&ask, Pace::Now).await
    }

    async fn list_revenue(&self, ask: AskSeries) -> Result<RevenueSeries, BusinessError> {
        self.look(Look::Series(ask.clone())).await;
        self.series(&ask, Pace::Now).await
    }

    async fn list_plans(
        &self,
        project: ProjectId,
        currency: Option<Currency>,
    ) -> Result<PlanTable, BusinessError> {
        self.look(Look::Plans(project, currency)).await;
        self.plans(project, currency, Pace::Now).await
    }

    async fn list_cohorts(&self, ask: AskSeries) -> Result<CohortTable, BusinessError> {
        self.look(Look::Cohorts(ask.clone())).await;
        self.cohorts(&ask, Pace::Now).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::calendar::PeriodUnit;

    #[test]
    fn a_period_is_compared_with_the_same_part_of_the_one_before() {
        let calendar = Calendar::new(TimeZone::UTC);
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let now = at("2026-03-31T12:00:00Z");
        let month = compared(AskPeriod::Current(PeriodUnit::Month), &calendar, now).unwrap();
        assert_eq!((month.from, month.until), (at("2026-03-01T00:00:00Z"), now));
        // February is shorter: all of it.
        assert_eq!(month.before_from, at("2026-02-01T00:00:00Z"));
        assert_eq!(month.before_until, at("2026-03-01T00:00:00Z"));
        let day = compared(AskPeriod::Current(PeriodUnit::Day), &calendar, now).unwrap();
        assert_eq!(day.before_until, at("2026-03-30T12:00:00Z"));
        let range = AskPeriod::Range { from: at("2026-03-01T00:00:00Z"), until: at("2026-03-08T00:00:00Z") };
        assert_eq!(compared(range, &calendar, now).unwrap().before_from, at("2026-02-22T00:00:00Z"));
        let wrong = AskPeriod::Range { from: now, until: now };
        assert!(compared(wrong, &calendar, now).is_err());
    }
}
