//! What is answered about a period.

use belvedere_business_intelligence::metrics::definitions::definition;
use belvedere_business_intelligence::revenue::metrics::RevenuePeriod;
use belvedere_business_intelligence::{
    AdoptionCohort, BusinessMetrics, Channel, ConversionFunnel, CourseMetrics, Feature, Number, RevenueReport,
};
use belvedere_storage::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use super::learning::{StrugglingNumbersAnswer, TutorNumbersAnswer};

/// A number, its value in the period before, and what it means.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
pub(in crate::api) struct NumberAnswer {
    /// In the period; null where it has no value, such as a share of nobody.
    pub(super) value: Option<f64>,
    /// In the period before.
    pub(super) before: Option<f64>,
    /// The change against it: 0.1 is a tenth more; null from nothing.
    pub(super) change: Option<f64>,
    /// How it is computed, in which unit.
    pub(super) definition: &'static str,
}

fn number(key: &str, number: Number) -> NumberAnswer {
    NumberAnswer {
        value: number.now,
        before: number.before,
        change: number.change(),
        definition: definition(key),
    }
}

/// A period.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::api) struct PeriodAnswer {
    /// From here on.
    #[schema(value_type = String, format = DateTime)]
    from: Timestamp,
    /// Before this.
    #[schema(value_type = String, format = DateTime)]
    until: Timestamp,
}

/// Where people come from.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::api) struct ChannelAnswer {
    /// The source, referring host, campaign or page; `direct` where there is none, `others` for all further ones.
    source: String,
    /// People.
    count: u64,
    /// Those of them who reached the goal.
    converted: u64,
    /// Their share, 0 to 1.
    conversion_rate: Option<f64>,
}

fn channels(channels: Vec<Channel>) -> Vec<ChannelAnswer> {
    let answer = |channel: Channel| ChannelAnswer {
        count: channel.count,
        converted: channel.converted,
        conversion_rate: channel.conversion_rate(),
        source: channel.source,
    };
    channels.into_iter().map(answer).collect()
}

/// Who comes.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::api) struct AcquisitionAnswer {
    total_users: NumberAnswer,
    new_users: NumberAnswer,
    new_users_today: NumberAnswer,
    new_users_this_week: NumberAnswer,
    new_users_this_month: NumberAnswer,
    /// By first touch, at most 20.
    acquisition_channels: Vec<ChannelAnswer>,
    /// By last touch, at most 20.
    acquisition_channels_last_touch: Vec<ChannelAnswer>,
    /// At most 20.
    campaigns: Vec<ChannelAnswer>,
    /// At most 20.
    landing_pages: Vec<ChannelAnswer>,
}

/// A feature.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::api) struct FeatureAnswer {
    /// Its name.
    feature: String,
    /// People who used it.
    users: u64,
    /// Their share of all active people, 0 to 1.
    adoption_rate: Option<f64>,
    /// Of the people who came in the 8 weeks up to the end of the period, those who used it in the period for the first time.
    adopters: u64,
    /// The median of the seconds from their first activity to that use; null without any.
    seconds_to_adopt: Option<f64>,
}

/// People who came in the same week.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::api) struct AdoptionCohortAnswer {
    /// When the week begins.
    #[schema(value_type = String, format = DateTime)]
    from: Timestamp,
    /// How many came.
    people: u64,
    /// How many of them have used each feature, in the order of `feature_adoption`.
    adopted: Vec<u64>,
}

/// What people do.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::api) struct EngagementAnswer {
    daily_active_users: NumberAnswer,
    weekly_active_users: NumberAnswer,
    monthly_active_users: NumberAnswer,
    stickiness: NumberAnswer,
    average_session_duration: NumberAnswer,
    course_completion_rate: NumberAnswer,
    /// At most 20.
    feature_adoption: Vec<FeatureAnswer>,
    /// The 8 weeks up to the end of the period; empty where no feature was used in it.
    adoption_by_cohort: Vec<AdoptionCohortAnswer>,
}

/// A course.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::api) struct CourseAnswer {
    /// Its id.
    course_id: String,
    /// People who enrolled or began.
    enrolments: u64,
    /// Those of them who completed it.
    completed: u64,
    /// Their share, 0 to 1.
    completion: Option<f64>,
}

/// What people learn.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::api) struct BusinessLearningAnswer {
    total_lessons_completed: NumberAnswer,
    average_time_to_complete: NumberAnswer,
    /// At most 10.
    most_popular_courses: Vec<CourseAnswer>,
    /// Who struggles at this moment; null where learning is switched off.
    struggling: Option<StrugglingNumbersAnswer>,
    /// Null where no tutor was asked in the period.
    ai_tutor_effectiveness: Option<TutorNumbersAnswer>,
}

/// From a visit to a subscription.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::api) struct BusinessFunnelAnswer {
    visitors: NumberAnswer,
    signups: NumberAnswer,
    free_trials: NumberAnswer,
    paid_subscriptions: NumberAnswer,
}

/// What people pay; amounts in minor units of the currency.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::api) struct RevenueAnswer {
    /// ISO 4217.
    currency: String,
    total_revenue: NumberAnswer,
    one_off_revenue: NumberAnswer,
    monthly_recurring_revenue: NumberAnswer,
    annual_recurring_revenue: NumberAnswer,
    average_revenue_per_user: NumberAnswer,
    customers: NumberAnswer,
    new_mrr: NumberAnswer,
    expansion_mrr: NumberAnswer,
    contraction_mrr: NumberAnswer,
    churn_mrr: NumberAnswer,
    reactivation_mrr: NumberAnswer,
    net_new_mrr: NumberAnswer,
    fx_mrr: NumberAnswer,
    net_revenue_retention: NumberAnswer,
    gross_revenue_retention: NumberAnswer,
    customer_churn: NumberAnswer,
    revenue_churn: NumberAnswer,
    lifetime_value: NumberAnswer,
    quick_ratio: NumberAnswer,
}

impl RevenueAnswer {
    pub(super) fn of(report: &RevenueReport, margin: f64) -> Self {
        let of = |key: &str, read: &dyn Fn(&RevenuePeriod) -> Option<f64>| {
            number(key, Number { now: read(&report.now), before: read(&report.before) })
        };
        let minor = |key: &str, read: fn(&RevenuePeriod) -> i64| of(key, &|period| Some(read(period) as f64));
        Self {
            currency: report.currency.to_string(),
            total_revenue: minor("total_revenue", RevenuePeriod::total_minor),
            one_off_revenue: minor("one_off_revenue", |it| it.orders.amount_minor - it.refunds.amount_minor),
            monthly_recurring_revenue: minor("monthly_recurring_revenue", |it| it.end.mrr_minor),
            annual_recurring_revenue: minor("annual_recurring_revenue", RevenuePeriod::arr_minor),
            average_revenue_per_user: of("average_revenue_per_user", &RevenuePeriod::arpu_minor),
            customers: minor("customers", |it| it.end.customers),
            new_mrr: minor("new_mrr", |it| it.new.amount_minor),
            expansion_mrr: minor("expansion_mrr", |it| it.expansion.amount_minor),
            contraction_mrr: minor("contraction_mrr", |it| it.contraction.amount_minor),
            churn_mrr: minor("churn_mrr", |it| it.churn.amount_minor),
            reactivation_mrr: minor("reactivation_mrr", |it| it.reactivation.amount_minor),
            net_new_mrr: minor("net_new_mrr", RevenuePeriod::net_new_minor),
            fx_mrr: minor("fx_mrr", |it| it.fx_minor),
            net_revenue_retention: of("net_revenue_retention", &RevenuePeriod::net_retention),
            gross_revenue_retention: of("gross_revenue_retention", &RevenuePeriod::gross_retention),
            customer_churn: of("customer_churn", &RevenuePeriod::customer_churn),
            revenue_churn: of("revenue_churn", &RevenuePeriod::revenue_churn),
            lifetime_value: of("lifetime_value", &|period| period.ltv_minor(margin)),
            quick_ratio: of("quick_ratio", &RevenuePeriod::quick_ratio),
        }
    }

    pub(super) fn numbers(&self) -> Vec<(&'static str, NumberAnswer)> {
        vec![
            ("total_revenue", self.total_revenue),
            ("one_off_revenue", self.one_off_revenue),
            ("monthly_recurring_revenue", self.monthly_recurring_revenue),
            ("annual_recurring_revenue", self.annual_recurring_revenue),
            ("average_revenue_per_user", self.average_revenue_per_user),
            ("customers", self.customers),
            ("new_mrr", self.new_mrr),
            ("expansion_mrr", self.expansion_mrr),
            ("contraction_mrr", self.contraction_mrr),
            ("churn_mrr", self.churn_mrr),
            ("reactivation_mrr", self.reactivation_mrr),
            ("net_new_mrr", self.net_new_mrr),
            ("fx_mrr", self.fx_mrr),
            ("net_revenue_retention", self.net_revenue_retention),
            ("gross_revenue_retention", self.gross_revenue_retention),
            ("customer_churn", self.customer_churn),
            ("revenue_churn", self.revenue_churn),
            ("lifetime_value", self.lifetime_value),
            ("quick_ratio", self.quick_ratio),
        ]
    }
}

/// How the business does in a period.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::api) struct MetricsAnswer {
    /// The period.
    period: PeriodAnswer,
    /// What it is compared with.
    before: PeriodAnswer,
    /// Whose days they are.
    time_zone: String,
    user_acquisition: AcquisitionAnswer,
    engagement: EngagementAnswer,
    learning: BusinessLearningAnswer,
    /// Null where there is no revenue.
    revenue: Option<RevenueAnswer>,
    conversion_funnel: BusinessFunnelAnswer,
}

fn funnel(now: ConversionFunnel, before: ConversionFunnel) -> BusinessFunnelAnswer {
    let of = |read: fn(&ConversionFunnel) -> u64| {
        let count = |funnel: &ConversionFunnel| Some(read(funnel) as f64);
        number("conversion_funnel", Number { now: count(&now), before: count(&before) })
    };
    BusinessFunnelAnswer {
        visitors: of(|it| it.visitors),
        signups: of(|it| it.signups),
        free_trials: of(|it| it.free_trials),
        paid_subscriptions: of(|it| it.paid_subscriptions),
    }
}

impl MetricsAnswer {
    pub(super) fn of(metrics: BusinessMetrics, margin: f64) -> Self {
        let BusinessMetrics { period, acquisition, engagement, learning, .. } = metrics;
        let feature = |it: Feature| FeatureAnswer {
            feature: it.feature,
            users: it.users,
            adoption_rate: it.adoption_rate,
            adopters: it.adopters,
            seconds_to_adopt: it.seconds_to_adopt,
        };
        let cohort = |it: AdoptionCohort| AdoptionCohortAnswer {
            from: it.from,
            people: it.people,
            adopted: it.adopted,
        };
        let course = |it: CourseMetrics| CourseAnswer {
            enrolments: it.enrolments,
            completed: it.completed,
            completion: it.completion_rate(),
            course_id: it.course,
        };
        Self {
            period: PeriodAnswer { from: period.from, until: period.until },
            before: PeriodAnswer { from: period.before_from, until: period.before_until },
            time_zone: metrics.time_zone,
            user_acquisition: AcquisitionAnswer {
                total_users: number("total_users", acquisition.total_users),
                new_users: number("new_users", acquisition.new_users),
                new_users_today: number("new_users_today", acquisition.new_users_today),
                new_users_this_week: number("new_users_this_week", acquisition.new_users_this_week),
                new_users_this_month: number("new_users_this_month", acquisition.new_users_this_month),
                acquisition_channels: channels(acquisition.channels),
                acquisition_channels_last_touch: channels(acquisition.channels_last_touch),
                campaigns: channels(acquisition.campaigns),
                landing_pages: channels(acquisition.landing_pages),
            },
            engagement: EngagementAnswer {
                daily_active_users: number("daily_active_users", engagement.daily_active_users),
                weekly_active_users: number("weekly_active_users", engagement.weekly_active_users),
                monthly_active_users: number("monthly_active_users", engagement.monthly_active_users),
                stickiness: number("stickiness", engagement.stickiness),
                average_session_duration: number(
                    "average_session_duration",
                    engagement.average_session_duration,
                ),
                course_completion_rate: number("course_completion_rate", engagement.course_completion_rate),
                feature_adoption: engagement.feature_adoption.into_iter().map(feature).collect(),
                adoption_by_cohort: engagement.adoption_by_cohort.into_iter().map(cohort).collect(),
            },
            learning: BusinessLearningAnswer {
                total_lessons_completed: number("lessons_completed", learning.lessons_completed),
                average_time_to_complete: number(
                    "average_time_to_complete",
                    learning.average_time_to_complete,
                ),
                most_popular_courses: learning.popular_courses.into_iter().map(course).collect(),
                struggling: learning.struggling.map(StrugglingNumbersAnswer::from),
                ai_tutor_effectiveness: learning.tutor.map(TutorNumbersAnswer::from),
            },
            revenue: metrics.revenue.map(|report| RevenueAnswer::of(&report, margin)),
            conversion_funnel: funnel(metrics.funnel, metrics.funnel_before),
        }
    }

    /// Its numbers one by one; lists are not among them.
    pub(super) fn numbers(&self) -> Vec<(&'static str, NumberAnswer)> {
        let (acquisition, engagement, learning) = (&self.user_acquisition, &self.engagement, &self.learning);
        let mut numbers = vec![
            ("total_users", acquisition.total_users),
            ("new_users", acquisition.new_users),
            ("new_users_today", acquisition.new_users_today),
            ("new_users_this_week", acquisition.new_users_this_week),
            ("new_users_this_month", acquisition.new_users_this_month),
            ("daily_active_users", engagement.daily_active_users),
            ("weekly_active_users", engagement.weekly_active_users),
            ("monthly_active_users", engagement.monthly_active_users),
            ("stickiness", engagement.stickiness),
            ("average_session_duration", engagement.average_session_duration),
            ("course_completion_rate", engagement.course_completion_rate),
            ("total_lessons_completed", learning.total_lessons_completed),
            ("average_time_to_complete", learning.average_time_to_complete),
            ("visitors", self.conversion_funnel.visitors),
            ("signups", self.conversion_funnel.signups),
            ("free_trials", self.conversion_funnel.free_trials),
            ("paid_subscriptions", self.conversion_funnel.paid_subscriptions),
        ];
        numbers.extend(self.revenue.iter().flat_map(RevenueAnswer::numbers));
        numbers
    }
}
