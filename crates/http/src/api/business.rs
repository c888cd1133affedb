//! How the business does: people, engagement, learning and revenue, compared with the period before; and what is told of
//! revenue. Amounts are integers of minor units.

mod answer;
mod learning;
mod records;
mod revenue;
pub(super) mod table;
mod week;

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use belvedere_accounts::{Permission, Project};
use belvedere_business_intelligence::calendar::PeriodUnit;
use belvedere_business_intelligence::revenue::currency::Currency;
use belvedere_business_intelligence::table::Table;
use belvedere_business_intelligence::{AskMetrics, AskPeriod, ChangedBy, METRICS_TABLES};
use serde::Deserialize;
use utoipa::IntoParams;

use self::answer::MetricsAnswer;
pub(super) use self::records::{
    __path_find_rules, __path_import_subscriptions, __path_record_subscriptions, __path_set_rates,
    __path_set_rules, find_rules, import_subscriptions, record_subscriptions, set_rates, set_rules,
};
pub(super) use self::revenue::{
    __path_find_revenue, __path_list_cohorts, __path_list_movements, __path_list_plans, find_revenue,
    list_cohorts, list_movements, list_plans,
};
use self::table::Format;
pub(super) use self::week::{__path_count_present, __path_find_changes, count_present, find_changes};
use super::input::{Parameters, instant, project};
use crate::problem::Problem;
use crate::routes::{Access, Caller, Routes};
use crate::state::Shared;

/// Who changes something of the business.
pub(super) fn changed_by(caller: &Caller) -> ChangedBy {
    ChangedBy { actor: caller.principal.actor, request_id: caller.client.request_id.clone() }
}

pub(super) fn routes(routes: Routes) -> Routes {
    let view = Access::Needs(Permission::ViewAnalytics);
    let change = Access::Needs(Permission::ManageProjects);
    routes
        .get("/api/v1/business/metrics", view, find_metrics)
        .get("/api/v1/business/changes", view, find_changes)
        .get("/api/v1/business/now", view, count_present)
        .get("/api/v1/business/revenue", view, find_revenue)
        .get("/api/v1/business/revenue/movements", view, list_movements)
        .get("/api/v1/business/revenue/plans", view, list_plans)
        .get("/api/v1/business/revenue/cohorts", view, list_cohorts)
        .get("/api/v1/business/rules", view, find_rules)
        .put("/api/v1/business/rules", change, set_rules)
        .post("/api/v1/business/subscriptions", change, record_subscriptions)
        .post("/api/v1/business/subscriptions/import", change, import_subscriptions)
        .post("/api/v1/business/rates", change, set_rates)
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct PeriodWanted {
    /// The project's number or slug; may be left out while there is only one.
    project: Option<String>,
    /// The one of this moment: `day`, `week`, `month` (if left out) or `quarter`; not with `from` and `until`.
    period: Option<String>,
    /// From this instant on; with `until`, at most 366 days before it.
    from: Option<String>,
    /// Before this instant.
    until: Option<String>,
    /// The currency of revenue as an ISO 4217 code; may be left out while there is only one.
    currency: Option<String>,
    /// The event that channels convert by; `Signed Up` if left out.
    goal: Option<String>,
    /// Gross margin as a share from 0 to 1, for the lifetime value; 1 if left out.
    gross_margin: Option<f64>,
    /// `json`, or `csv` or `parquet` for a file.
    format: Option<String>,
    /// Which table a file of the business's numbers has: `numbers` (if left out), `channels`, `channels_last_touch`,
    /// `campaigns`, `landing_pages`, `active`, `funnel`, `courses`, `features`, `features_by_cohort` or `retention`.
    table: Option<String>,
}

impl PeriodWanted {
    fn period(&self) -> Result<AskPeriod, Problem> {
        let (from, until) =
            (instant("from", self.from.as_deref())?, instant("until", self.until.as_deref())?);
        match (self.period.as_deref(), from, until) {
            (None, Some(from), Some(until)) => Ok(AskPeriod::Range { from, until }),
            (word, None, None) => Ok(AskPeriod::Current(unit("period", word)?)),
            (Some(_), ..) => Err(Problem::invalid("period", "must not be given with from and until")),
            (None, Some(_), None) => Err(Problem::invalid("until", "must be given with from")),
            (None, None, Some(_)) => Err(Problem::invalid("from", "must be given with until")),
        }
    }

    fn gross_margin(&self) -> Result<f64, Problem> {
        let margin = self.gross_margin.unwrap_or(1.0);
        if (0.0..=1.0).contains(&margin) {
            return Ok(margin);
        }
        Err(Problem::invalid("gross_margin", "must be from 0 to 1"))
    }
}

fn unit(field: &'static str, word: Option<&str>) -> Result<PeriodUnit, Problem> {
    let unit = PeriodUnit::find(word.unwrap_or("month"));
    unit.ok_or_else(|| Problem::invalid(field, "must be day, week, month or quarter"))
}

fn currency(code: Option<&str>) -> Result<Option<Currency>, Problem> {
    let wrong = || Problem::invalid("currency", "must be an ISO 4217 code such as EUR");
    code.map(|code| Currency::find(code).ok_or_else(wrong)).transpose()
}

async fn wanted_project(shared: &Shared, caller: &Caller, named: Option<&str>) -> Result<Project, Problem> {
    project(shared, caller, named).await
}

/// Find how the business does in a period, each number compared with the period before and defined
#[utoipa::path(get, path = "/api/v1/business/metrics", tag = "business", params(PeriodWanted),
    responses((status = 200, description = "The numbers; as a file one line for each", body = MetricsAnswer)))]
pub(super) async fn find_metrics(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Parameters(wanted): Parameters<PeriodWanted>,
) -> Result<Response, Problem> {
    let format = Format::find(wanted.format.as_deref())?;
    let (period, margin) = (wanted.period()?, wanted.gross_margin()?);
    let project = wanted_project(&shared, &caller, wanted.project.as_deref()).await?;
    let (goal, currency) = (wanted.goal.clone(), currency(wanted.currency.as_deref())?);
    let ask = AskMetrics { project: project.id, period, goal, currency, has_revenue: true };
    let metrics = shared.business.find_metrics(ask).await?;
    let named = wanted.table.as_deref().filter(|name| *name != "numbers");
    let named = named.map(|name| {
        let table = metrics.table(name);
        table.ok_or_else(|| {
            Problem::invalid("table", format!("must be numbers, {}", METRICS_TABLES.join(", ")))
        })
    });
    let named = named.transpose()?;
    let answer = MetricsAnswer::of(metrics, margin);
    if let Some(table) = named {
        let name = format!("business-{}", wanted.table.as_deref().unwrap_or_default().replace('_', "-"));
        return Ok(format.answer(&table.json(), &table, &name));
    }
    let mut table = Table::new(["number", "value", "before", "change", "definition"]);
    for (name, number) in answer.numbers() {
        table.row([
            name.into(),
            number.value.into(),
            number.before.into(),
            number.change.into(),
            number.definition.into(),
        ]);
    }
    Ok(format.answer(&answer, &table, "business-metrics"))
}
