//! How the business does: one page for all, and one for revenue.

use std::sync::Arc;

use askama::Template;
use axum::Router;
use axum::extract::{Path, State};
use axum::response::Response;
use axum::routing::get;
use belvedere_accounts::Permission;
use belvedere_business_intelligence::calendar::PeriodUnit;
use belvedere_business_intelligence::metrics::definitions::{DEFINITIONS, Definition};
use belvedere_business_intelligence::revenue::currency::Currency;
use belvedere_business_intelligence::{
    AskMetrics, AskPeriod, AskRevenue, AskSeries, Business, BusinessError,
};
use belvedere_event_store::kernel::filter::{Filter, TextTest};
use belvedere_event_store::kernel::retention::{CohortBy, RetentionMode};
use belvedere_event_store::query::{AskRetention, Span, Unit};

use crate::form::{Pairs, address};
use crate::layout::{Layout, Scene, Section};
use crate::refusal::Refusal;
use crate::respond;
use crate::session::Visitor;
use crate::state::DashboardState;
use crate::views::business::{ExecutiveView, HeatTable, RevenueView};

/// Months of the charts of revenue.
const MONTHS: usize = 12;
/// Weeks of the table of retention.
const WEEKS: u64 = 8;

pub(super) fn routes() -> Router<Arc<DashboardState>> {
    Router::new().route("/business", get(show_executive)).route("/business/revenue", get(show_revenue))
}

/// A period that can be chosen.
struct Choice {
    label: String,
    href: String,
    is_current: bool,
}

#[derive(Template)]
#[template(path = "executive.html")]
struct ExecutivePage {
    layout: Layout,
    base: String,
    view: ExecutiveView,
    retention: HeatTable,
    periods: Vec<Choice>,
    currencies: Vec<Choice>,
    /// Why there is no revenue although there is some.
    trouble: Option<String>,
    definitions: &'static [Definition],
}

#[derive(Template)]
#[template(path = "revenue.html")]
struct RevenuePage {
    layout: Layout,
    /// None where there is no revenue.
    view: Option<RevenueView>,
    periods: Vec<Choice>,
    currencies: Vec<Choice>,
    trouble: Option<String>,
    public_url: String,
    project: String,
    definitions: Vec<Definition>,
}

/// What an address asks for.
struct Wanted {
    unit: PeriodUnit,
    currency: Option<Currency>,
}

impl Wanted {
    fn of(pairs: &Pairs) -> Self {
        Self {
            unit: PeriodUnit::find(pairs.text("period")).unwrap_or(PeriodUnit::Month),
            currency: Currency::find(pairs.text("currency")),
        }
    }

    fn periods(&self, path: &str) -> Vec<Choice> {
        let code = self.currency.map(|currency| currency.to_string());
        let choice = |unit: PeriodUnit| {
            let mut pairs = vec![("period", unit.as_str())];
            pairs.extend(code.as_deref().map(|code| ("currency", code)));
            let label = format!("This {}", unit.as_str());
            Choice { label, href: address(path, &pairs), is_current: unit == self.unit }
        };
        PeriodUnit::ALL.map(choice).into_iter().collect()
    }

    fn currencies(&self, path: &str, all: &[Currency]) -> Vec<Choice> {
        let choice = |currency: &Currency| Choice {
            label: currency.to_string(),
            href: address(path, &[("period", self.unit.as_str()), ("currency", currency.as_str())]),
            is_current: self.currency == Some(*currency),
        };
        all.iter().map(choice).collect()
    }
}

/// The currency that is meant, all that can be, and what is in the way. Where there are several, the first one is taken.
async fn settle(
    business: &dyn Business,
    ask: AskRevenue,
) -> Result<(Option<Currency>, Vec<Currency>, Option<String>), Refusal> {
    let all = match business.find_revenue(AskRevenue { currency: None, ..ask.clone() }).await {
        Err(BusinessError::Currencies(currencies)) => currencies,
        // There is one at most, and nothing in the way of it.
        Ok(_) if ask.currency.is_none() => return Ok((None, Vec::new(), None)),
        _ => Vec::new(),
    };
    let currency = ask.currency.or_else(|| all.first().copied());
    match business.find_revenue(AskRevenue { currency, ..ask }).await {
        Ok(_) => Ok((currency, all, None)),
        Err(error @ BusinessError::MissingRate(_)) => Ok((currency, all, Some(error.to_string()))),
        Err(error) => Err(error.into()),
    }
}

/// `GET /projects/{project}/business`: for those who may see analytics.
async fn show_executive(
    State(state): State<Arc<DashboardState>>,
    visitor: Visitor,
    Path(project): Path<String>,
    pairs: Pairs,
) -> Result<Response, Refusal> {
    let scene = Scene::open(state, visitor, &project, Permission::ViewAnalytics).await?;
    let business = scene.business()?;
    let (mut wanted, path) = (Wanted::of(&pairs), format!("{}/business", scene.base()));
    let (id, period) = (scene.id(), AskPeriod::Current(wanted.unit));
    let ask = AskRevenue { project: id, period, currency: wanted.currency };
    let (currency, all, trouble) = settle(business, ask).await?;
    wanted.currency = currency.filter(|_| !all.is_empty());
    let metrics = AskMetrics { project: id, period, goal: None, currency, has_revenue: trouble.is_none() };
    let series = AskSeries { project: id, unit: PeriodUnit::Month, periods: MONTHS, currency };
    let metrics = business.find_metrics(metrics).await?;
    let series = match trouble {
        None => Some(business.list_revenue(series).await?),
        Some(_) => None,
    };
    Ok(respond::page(&ExecutivePage {
        layout: scene.layout(Section::Executive, &pairs).await?,
        base: scene.base(),
        retention: retention(&scene, &metrics.time_zone).await?,
        view: ExecutiveView::new(&metrics, series.as_ref()),
        periods: wanted.periods(&path),
        currencies: wanted.currencies(&path, &all),
        trouble,
        definitions: &DEFINITIONS,
    }))
}

/// Of the people who came first in a week, the share that came again in each week after it.
async fn retention(scene: &Scene, time_zone: &str) -> Result<HeatTable, Refusal> {
    let from = scene.now.minus(std::time::Duration::from_secs((WEEKS - 1) * 7 * 86_400));
    let billing = belvedere_business_intelligence::metrics::NO_ACTIVITY.map(str::to_owned).to_vec();
    let activity = Filter::Not(Box::new(Filter::Name(TextTest::In(billing))));
    let ask = AskRetention {
        span: Span { project: scene.id(), from, until: scene.now, time_zone: time_zone.to_owned() },
        unit: Unit::Week,
        start: activity.clone(),
        returned: activity,
        cohort_by: CohortBy::FirstStart,
        mode: RetentionMode::Classic,
        complete_until: scene.now,
    };
    Ok(HeatTable::retention(&scene.state.queries.retention(ask).await?, "week"))
}

/// `GET /projects/{project}/business/revenue`: for those who may see analytics.
async fn show_revenue(
    State(state): State<Arc<DashboardState>>,
    visitor: Visitor,
    Path(project): Path<String>,
    pairs: Pairs,
) -> Result<Response, Refusal> {
    let scene = Scene::open(state, visitor, &project, Permission::ViewAnalytics).await?;
    let business = scene.business()?;
    let (mut wanted, path) = (Wanted::of(&pairs), format!("{}/business/revenue", scene.base()));
    let (id, period) = (scene.id(), AskPeriod::Current(wanted.unit));
    let ask = AskRevenue { project: id, period, currency: wanted.currency };
    let (currency, all, mut trouble) = settle(business, ask.clone()).await?;
    wanted.currency = currency.filter(|_| !all.is_empty());
    let mut view = None;
    if trouble.is_none() {
        match read_revenue(business, AskRevenue { currency, ..ask }).await {
            Ok(read) => view = read,
            Err(error @ BusinessError::MissingRate(_)) => trouble = Some(error.to_string()),
            Err(error) => return Err(error.into()),
        }
    }
    Ok(respond::page(&RevenuePage {
        layout: scene.layout(Section::Revenue, &pairs).await?,
        view,
        periods: wanted.periods(&path),
        currencies: wanted.currencies(&path, &all),
        trouble,
        public_url: scene.state.public_url.clone(),
        project: id.to_string(),
        definitions: DEFINITIONS.into_iter().skip_while(|it| it.key != "total_revenue").collect(),
    }))
}

async fn read_revenue(
    business: &dyn Business,
    ask: AskRevenue,
) -> Result<Option<RevenueView>, BusinessError> {
    let Some(report) = business.find_revenue(ask.clone()).await? else { return Ok(None) };
    let (project, currency) = (ask.project, Some(report.currency));
    let series = AskSeries { project, unit: PeriodUnit::Month, periods: MONTHS, currency };
    let (months, plans, cohorts) = tokio::join!(
        business.list_revenue(series.clone()),
        business.list_plans(project, currency),
        business.list_cohorts(series),
    );
    Ok(Some(RevenueView::new(&report, &months?, &plans?, &cohorts?)))
}
