//! Revenue: a period, movements over time, plans and cohorts.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use belvedere_business_intelligence::revenue::metrics::{Moved, RevenuePeriod};
use belvedere_business_intelligence::table::{Cell, Table};
use belvedere_business_intelligence::{AskRevenue, AskSeries};
use belvedere_storage::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::answer::RevenueAnswer;
use super::table::Format;
use super::{PeriodWanted, currency, unit, wanted_project};
use crate::api::input::Parameters;
use crate::problem::Problem;
use crate::routes::Caller;
use crate::state::Shared;

/// How many periods are answered unless the request says otherwise.
const PERIODS: usize = 12;

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(in crate::api) struct SeriesWanted {
    /// The project's number or slug; may be left out while there is only one.
    project: Option<String>,
    /// The length of a period: `day`, `week`, `month` (if left out) or `quarter`.
    unit: Option<String>,
    /// How many periods up to now, 1 to 120 (cohorts: to 24); 12 if left out.
    periods: Option<usize>,
    /// The currency of the answer as an ISO 4217 code; may be left out while there is only one.
    currency: Option<String>,
    /// `json`, or `csv` or `parquet` for a file.
    format: Option<String>,
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(in crate::api) struct PlansWanted {
    /// The project's number or slug; may be left out while there is only one.
    pub(super) project: Option<String>,
    /// The currency of the answer as an ISO 4217 code; may be left out while there is only one.
    pub(super) currency: Option<String>,
    /// `json`, or `csv` or `parquet` for a file.
    pub(super) format: Option<String>,
}

/// Find what revenue did in a period, compared with the one before
#[utoipa::path(get, path = "/api/v1/business/revenue", tag = "business", params(PeriodWanted),
    responses((status = 200, description = "The numbers; null where there is no revenue", body = Option<RevenueAnswer>)))]
pub(in crate::api) async fn find_revenue(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Parameters(wanted): Parameters<PeriodWanted>,
) -> Result<Response, Problem> {
    let format = Format::find(wanted.format.as_deref())?;
    let (period, margin) = (wanted.period()?, wanted.gross_margin()?);
    if wanted.table.is_some() {
        return Err(Problem::invalid(
            "table",
            "is for the numbers of the business; revenue has addresses of its own",
        ));
    }
    let project = wanted_project(&shared, &caller, wanted.project.as_deref()).await?;
    let ask = AskRevenue { project: project.id, period, currency: currency(wanted.currency.as_deref())? };
    let report = shared.business.find_revenue(ask).await?;
    let answer = report.map(|report| RevenueAnswer::of(&report, margin));
    let mut table = Table::new(["number", "value", "before", "change", "definition"]);
    for (name, number) in answer.iter().flat_map(RevenueAnswer::numbers) {
        let [value, before, change] = [number.value, number.before, number.change].map(Cell::from);
        table.row([name.into(), value, before, change, number.definition.into()]);
    }
    Ok(format.answer(&answer, &table, "revenue"))
}

/// Movements of one kind.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::api) struct MovedAnswer {
    /// By how much, in minor units; never negative.
    amount_minor: i64,
    /// How many movements.
    movements: i64,
}

impl From<Moved> for MovedAnswer {
    fn from(moved: Moved) -> Self {
        Self { amount_minor: moved.amount_minor, movements: moved.movements }
    }
}

/// What revenue did in a period; the end is the start, all movements and the exchange rates.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::api) struct RevenuePeriodAnswer {
    /// From here on.
    #[schema(value_type = String, format = DateTime)]
    from: Timestamp,
    /// Before this.
    #[schema(value_type = String, format = DateTime)]
    until: Timestamp,
    /// Monthly recurring revenue before the period, in minor units.
    start_mrr_minor: i64,
    /// At its end.
    end_mrr_minor: i64,
    /// Customers who pay at its end.
    customers: i64,
    new: MovedAnswer,
    expansion: MovedAnswer,
    contraction: MovedAnswer,
    churn: MovedAnswer,
    reactivation: MovedAnswer,
    /// New + reactivation + expansion - contraction - churn.
    net_new_minor: i64,
    /// What rates of exchange did.
    fx_minor: i64,
    /// Billed in the period, less refunds.
    total_minor: i64,
}

impl From<RevenuePeriod> for RevenuePeriodAnswer {
    fn from(period: RevenuePeriod) -> Self {
        Self {
            from: period.from,
            until: period.until,
            start_mrr_minor: period.start.mrr_minor,
            end_mrr_minor: period.end.mrr_minor,
            customers: period.end.customers,
            new: period.new.into(),
            expansion: period.expansion.into(),
            contraction: period.contraction.into(),
            churn: period.churn.into(),
            reactivation: period.reactivation.into(),
            net_new_minor: period.net_new_minor(),
            fx_minor: period.fx_minor,
            total_minor: period.total_minor(),
        }
    }
}

/// What revenue did in periods that follow each other.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::api) struct RevenueSeriesAnswer {
    /// ISO 4217; null where there is no revenue.
    currency: Option<String>,
    /// The periods; the last one is not over.
    periods: Vec<RevenuePeriodAnswer>,
}

/// List the movements of monthly recurring revenue by period
#[utoipa::path(get, path = "/api/v1/business/revenue/movements", tag = "business", params(SeriesWanted),
    responses((status = 200, description = "The periods", body = RevenueSeriesAnswer)))]
pub(in crate::api) async fn list_movements(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Parameters(wanted): Parameters<SeriesWanted>,
) -> Result<Response, Problem> {
    let format = Format::find(wanted.format.as_deref())?;
    let series = shared.business.list_revenue(ask_series(&shared, &caller, &wanted).await?).await?;
    let table = series.table();
    let currency = series.currency.map(|currency| currency.to_string());
    let periods = series.periods.into_iter().map(RevenuePeriodAnswer::from).collect();
    let answer = RevenueSeriesAnswer { currency, periods };
    Ok(format.answer(&answer, &table, "revenue-movements"))
}

async fn ask_series(shared: &Shared, caller: &Caller, wanted: &SeriesWanted) -> Result<AskSeries, Problem> {
    let (unit, currency) = (unit("unit", wanted.unit.as_deref())?, currency(wanted.currency.as_deref())?);
    let project = wanted_project(shared, caller, wanted.project.as_deref()).await?;
    Ok(AskSeries { project: project.id, unit, periods: wanted.periods.unwrap_or(PERIODS), currency })
}

/// What is paid for a plan.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::api) struct PlanAnswer {
    /// The plan; empty where subscriptions name none.
    plan: String,
    /// Monthly recurring revenue in minor units.
    mrr_minor: i64,
    /// Customers who pay for it; in two currencies they count twice.
    subscribers: i64,
}

/// What is paid for each plan at this moment.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::api) struct PlansAnswer {
    /// ISO 4217; null where there is no revenue.
    currency: Option<String>,
    /// The greatest first, at most 1,000.
    plans: Vec<PlanAnswer>,
}

/// List monthly recurring revenue by plan
#[utoipa::path(get, path = "/api/v1/business/revenue/plans", tag = "business", params(PlansWanted),
    responses((status = 200, description = "The plans", body = PlansAnswer)))]
pub(in crate::api) async fn list_plans(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Parameters(wanted): Parameters<PlansWanted>,
) -> Result<Response, Problem> {
    let format = Format::find(wanted.format.as_deref())?;
    let currency = currency(wanted.currency.as_deref())?;
    let project = wanted_project(&shared, &caller, wanted.project.as_deref()).await?;
    let plans = shared.business.list_plans(project.id, currency).await?;
    let table = plans.table();
    let currency = plans.currency.map(|currency| currency.to_string());
    let plans = plans.plans.into_iter().map(|it| PlanAnswer {
        plan: it.plan,
        mrr_minor: it.mrr_minor,
        subscribers: it.subscribers,
    });
    Ok(format.answer(&PlansAnswer { plans: plans.collect(), currency }, &table, "revenue-plans"))
}

/// Customers who began to pay in the same period.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::api) struct CohortAnswer {
    /// When the period begins.
    #[schema(value_type = String, format = DateTime)]
    from: Timestamp,
    /// Monthly recurring revenue at the end of that period and each after it, in minor units.
    mrr_minor: Vec<i64>,
    /// Customers who pay at those times.
    customers: Vec<i64>,
}

/// What customers who began together pay later.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::api) struct CohortsAnswer {
    /// ISO 4217; null where there is no revenue.
    currency: Option<String>,
    /// The oldest first.
    cohorts: Vec<CohortAnswer>,
}

/// List what customers pay later by when they began to pay
#[utoipa::path(get, path = "/api/v1/business/revenue/cohorts", tag = "business", params(SeriesWanted),
    responses((status = 200, description = "The cohorts", body = CohortsAnswer)))]
pub(in crate::api) async fn list_cohorts(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Parameters(wanted): Parameters<SeriesWanted>,
) -> Result<Response, Problem> {
    let format = Format::find(wanted.format.as_deref())?;
    let cohorts = shared.business.list_cohorts(ask_series(&shared, &caller, &wanted).await?).await?;
    let table = cohorts.table();
    let currency = cohorts.currency.map(|currency| currency.to_string());
    let cohorts = cohorts.cohorts.into_iter().map(|it| CohortAnswer {
        from: it.from,
        mrr_minor: it.mrr_minor,
        customers: it.customers,
    });
    Ok(format.answer(&CohortsAnswer { cohorts: cohorts.collect(), currency }, &table, "revenue-cohorts"))
}
