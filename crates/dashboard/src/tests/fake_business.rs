//! A made-up business.

use std::time::Duration;

use async_trait::async_trait;
use belvedere_business_intelligence::revenue::currency::Currency;
use belvedere_business_intelligence::revenue::metrics::{Charged, Moved, RevenuePeriod, Standing};
use belvedere_business_intelligence::revenue::rates::{MissingRate, read_day};
use belvedere_business_intelligence::{
    Acquisition, ActivePoint, AdoptionCohort, AskMetrics, AskRevenue, AskSeries, Business, BusinessError,
    BusinessMetrics, Change, ChangeBy, Changes, Channel, CohortTable, Compared, ConversionFunnel,
    CourseMetrics, EngagementMetrics, Feature, LearningMetrics, Number, PlanRevenue, PlanTable,
    RevenueCohort, RevenueReport, RevenueSeries, SegmentChange,
};
use belvedere_event_store::kernel::retention::Cohort;
use belvedere_event_store::query::RetentionTable;
use belvedere_kernel::{Estimated, ProjectId, StrugglingNumbers, TutorNumbers};
use belvedere_storage::Timestamp;

/// Texts all end in `suffix`. Project 8 has nothing; `currencies` are those of its revenue, and where there are several, the
/// rate of one is missing for all but the first.
pub(super) struct FakeBusiness {
    now: Timestamp,
    suffix: String,
    currencies: Vec<Currency>,
}

fn day(now: Timestamp, ago: u64) -> Timestamp {
    now.minus(Duration::from_secs(ago * 86_400))
}

impl FakeBusiness {
    pub(super) fn new(now: Timestamp, suffix: &str, currencies: &[&str]) -> Self {
        let currencies = currencies.iter().filter_map(|code| Currency::find(code)).collect();
        Self { now, suffix: suffix.to_owned(), currencies }
    }

    fn currency(
        &self,
        project: ProjectId,
        asked: Option<Currency>,
    ) -> Result<Option<Currency>, BusinessError> {
        match (asked, &self.currencies[..]) {
            _ if project.0 == 8 => Ok(None),
            (_, []) => Ok(None),
            (None, [only]) => Ok(Some(*only)),
            (None, _) => Err(BusinessError::Currencies(self.currencies.clone())),
            (Some(to), [first, ..]) if to != *first => {
                Err(MissingRate { day: read_day("2026-11-22").unwrap_or(0), from: *first, to }.into())
            }
            (Some(currency), _) => Ok(Some(currency)),
        }
    }

    fn period(&self, months_ago: i64) -> RevenuePeriod {
        let level =
            |months: i64| Standing { mrr_minor: 1_234_500 - months * 61_000, customers: 412 - months * 20 };
        let moved = |amount_minor, movements| Moved { amount_minor, movements };
        RevenuePeriod {
            from: day(self.now, 22 + 30 * months_ago.unsigned_abs()),
            until: day(self.now, 30 * months_ago.unsigned_abs()),
            start: level(months_ago + 1),
            end: level(months_ago),
            new: moved(70_000, 24),
            expansion: moved(15_000, 9),
            contraction: moved(6_000, 3),
            churn: moved(20_000, 7),
            reactivation: moved(2_000, 1),
            fx_minor: 0,
            churned_customers: 7,
            subscriptions: Charged { amount_minor: 1_180_000, charges: 400 },
            orders: Charged { amount_minor: 45_000, charges: 12 },
            refunds: Charged { amount_minor: 2_500, charges: 1 },
        }
    }

    /// Of 200 who came so many weeks ago, as many came again in each week as there are parts.
    fn cohort(&self, weeks: u64) -> Cohort {
        Cohort {
            start_micros: day(self.now, weeks * 7).as_micros(),
            subjects: 200,
            returned: (0..=weeks).map(|week| 200 / (week + 1)).collect(),
        }
    }

    fn report(&self, currency: Currency) -> RevenueReport {
        RevenueReport { currency, now: self.period(0), before: self.period(1) }
    }
}

fn number(now: f64, before: f64) -> Number {
    Number { now: Some(now), before: Some(before) }
}

#[async_trait]
impl Business for FakeBusiness {
    async fn find_metrics(&self, ask: AskMetrics) -> Result<BusinessMetrics, BusinessError> {
        let currency = if ask.has_revenue { self.currency(ask.project, ask.currency)? } else { None };
        let is_empty = ask.project.0 == 8;
        let channel = |source: &str, count, converted| Channel {
            source: format!("{source}{}", self.suffix),
            count,
            converted,
        };
        let course = |course: &str, enrolments, completed| CourseMetrics {
            course: format!("{course}{}", self.suffix),
            enrolments,
            completed,
        };
        let feature = |feature: &str, users, rate| Feature {
            feature: format!("{feature}{}", self.suffix),
            users,
            adoption_rate: Some(rate),
            adopters: users / 10,
            seconds_to_adopt: Some(users as f64 * 1_000.0),
        };
        let total_users = if is_empty { number(0.0, 0.0) } else { number(18_420.0, 17_900.0) };
        Ok(BusinessMetrics {
            period: Compared {
                from: day(self.now, 22),
                until: self.now,
                before_from: day(self.now, 53),
                before_until: day(self.now, 31),
            },
            time_zone: "UTC".to_owned(),
            acquisition: Acquisition {
                total_users,
                new_users: number(640.0, 512.0),
                channels: vec![channel("newsletter", 310, 93), channel("direct", 200, 20)],
                channels_last_touch: vec![channel("newsletter", 280, 98)],
                campaigns: vec![channel("autumn", 120, 30)],
                landing_pages: vec![channel("/pricing", 90, 45)],
                ..Acquisition::default()
            },
            engagement: EngagementMetrics {
                daily_active_users: number(1_310.0, 1_405.0),
                monthly_active_users: number(9_870.0, 9_870.0),
                stickiness: number(0.1327, 0.1424),
                average_session_duration: number(754.0, 700.0),
                course_completion_rate: Number { now: Some(0.312), before: None },
                feature_adoption: vec![feature("notes", 520, 0.31), feature("export", 90, 0.05)],
                adoption_by_cohort: vec![
                    AdoptionCohort { from: day(self.now, 12), people: 200, adopted: vec![100, 8] },
                    AdoptionCohort { from: day(self.now, 5), people: 0, adopted: vec![0, 0] },
                ],
                ..EngagementMetrics::default()
            },
            learning: LearningMetrics {
                lessons_completed: number(4_200.0, 4_000.0),
                popular_courses: vec![course("rust-101", 420, 131), course("sql", 210, 60)],
                struggling: Some(StrugglingNumbers {
                    learners: 37,
                    areas: vec![(format!("loops{}", self.suffix), 12)],
                    latest: Vec::new(),
                }),
                tutor: Some(TutorNumbers {
                    conversations: 120,
                    resolution_rate: Some(Estimated {
                        value: 0.6,
                        interval: Some((0.5, 0.7)),
                        count: 110,
                        learners: 40,
                    }),
                    ..TutorNumbers::default()
                }),
                ..LearningMetrics::default()
            },
            revenue: currency.map(|currency| self.report(currency)),
            funnel: ConversionFunnel {
                visitors: 5_000,
                signups: 640,
                free_trials: 310,
                paid_subscriptions: 95,
            },
            funnel_before: ConversionFunnel { visitors: 4_000, signups: 512, ..ConversionFunnel::default() },
            active: (0..30)
                .rev()
                .map(|ago| ActivePoint {
                    from: day(self.now, ago),
                    daily: 1_200 + ago * 7 % 190,
                    monthly: 9_800 - ago,
                    new: 20 + ago % 9,
                })
                .collect(),
            retention: RetentionTable {
                cohorts: (0..8).rev().map(|weeks| self.cohort(weeks)).collect(),
                average: Vec::new(),
            },
        })
    }

    async fn find_changes(&self, project: ProjectId, _: Option<Currency>) -> Result<Changes, BusinessError> {
        let segment = |segment: &str, now, before| SegmentChange {
            segment: format!("{segment}{}", self.suffix),
            now,
            before,
        };
        let change = Change {
            key: "signups",
            now: 90,
            before: 180,
            z: 5.5,
            currency: None,
            by: vec![
                ChangeBy {
                    dimension: "country",
                    segments: vec![segment("DE", 10, 82), segment("NL", 80, 98)],
                },
                ChangeBy {
                    dimension: "device",
                    segments: vec![segment("phone", 20, 120), segment("desktop", 70, 60)],
                },
            ],
        };
        let changes = if project.0 == 8 { Vec::new() } else { vec![change] };
        Ok(Changes { from: day(self.now, 7), until: self.now, changes })
    }

    async fn count_present(&self, project: ProjectId) -> Result<u64, BusinessError> {
        Ok(if project.0 == 8 { 0 } else { 1_042 })
    }

    async fn find_revenue(&self, ask: AskRevenue) -> Result<Option<RevenueReport>, BusinessError> {
        Ok(self.currency(ask.project, ask.currency)?.map(|currency| self.report(currency)))
    }

    async fn list_revenue(&self, ask: AskSeries) -> Result<RevenueSeries, BusinessError> {
        let currency = self.currency(ask.project, ask.currency)?;
        let periods = (0..12).rev().map(|ago| self.period(ago)).collect();
        Ok(RevenueSeries { currency, periods: if currency.is_some() { periods } else { Vec::new() } })
    }

    async fn list_plans(
        &self,
        project: ProjectId,
        currency: Option<Currency>,
    ) -> Result<PlanTable, BusinessError> {
        let plan = |plan: &str, mrr_minor, subscribers| PlanRevenue {
            plan: format!("{plan}{}", self.suffix),
            mrr_minor,
            subscribers,
        };
        let plans = vec![plan("pro", 934_500, 250), plan("basic", 300_000, 162)];
        Ok(PlanTable { currency: self.currency(project, currency)?, plans })
    }

    async fn list_cohorts(&self, ask: AskSeries) -> Result<CohortTable, BusinessError> {
        let cohort = |ago: u64| RevenueCohort {
            from: day(self.now, 22 + 30 * ago),
            mrr_minor: (0..=ago as i64).map(|month| 70_000 - month * 6_000).collect(),
            customers: (0..=ago as i64).map(|month| 24 - month * 2).collect(),
        };
        let cohorts = (0..6).rev().map(cohort).collect();
        Ok(CohortTable { currency: self.currency(ask.project, ask.currency)?, cohorts })
    }
}
