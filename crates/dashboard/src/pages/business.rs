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
    AskMetrics, AskPeriod, AskRevenue, AskSeries, Business, BusinessError, BusinessMetrics, METRICS_TABLES,
    RevenueReport,
};
use belvedere_kernel::ProjectId;

use super::insights::file;
use crate::form::{Pairs, address};
use crate::layout::{Layout, Scene, Section};
use crate::refusal::Refusal;
use crate::respond;
use crate::session::Visitor;
use crate::state::DashboardState;
use crate::views::business::{ExecutiveView, RevenueView};
use crate::views::week::ChangeRow;
use crate::wording::Count;

/// Months of the charts of revenue.
const MONTHS: usize = 12;

pub(super) fn routes() -> Router<Arc<DashboardState>> {
    Router::new()
        .route("/business", get(show_executive))
        .route("/business/table/{name}", get(download))
        .route("/business/revenue", get(show_revenue))
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
    changes: Vec<ChangeRow>,
    present: Present,
    periods: Vec<Choice>,
    currencies: Vec<Choice>,
    downloads: Vec<Download>,
    /// Why there is no revenue although there is some.
    trouble: Option<String>,
    definitions: &'static [Definition],
}

/// A table to take away.
struct Download {
    name: String,
    /// What the file is and where.
    files: [(&'static str, String); 3],
}

/// Tables of the page of revenue.
const REVENUE_TABLES: [&str; 3] = ["movements", "plans", "cohorts"];

/// Who is there now.
struct Present {
    people: Count,
    noun: &'static str,
}

impl Present {
    fn of(people: u64) -> Self {
        Self { people: Count(people), noun: if people == 1 { "person" } else { "people" } }
    }
}

#[derive(Template)]
#[template(path = "fragments_executive.html")]
struct ExecutiveFragment {
    unresolved: Count,
    present: Present,
}

#[derive(Template)]
#[template(path = "revenue.html")]
struct RevenuePage {
    layout: Layout,
    /// None where there is no revenue.
    view: Option<RevenueView>,
    periods: Vec<Choice>,
    currencies: Vec<Choice>,
    downloads: Vec<Download>,
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

    fn downloads(&self, base: &str, names: &[&'static str]) -> Vec<Download> {
        let code = self.currency.map(|currency| currency.to_string()).unwrap_or_default();
        let download = |name: &&'static str| {
            let path = format!("{base}/business/table/{name}");
            let file = |(label, format): (&'static str, &str)| {
                let pairs = [("period", self.unit.as_str()), ("currency", &code), ("format", format)];
                (label, address(&path, &pairs))
            };
            let files = [("CSV", "csv"), ("JSON", "json"), ("Parquet", "parquet")].map(file);
            let (first, rest) = name.split_at(1);
            Download { name: format!("{}{}", first.to_uppercase(), rest.replace('_', " ")), files }
        };
        names.iter().map(download).collect()
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

/// What an answer about revenue is in.
struct Settled {
    /// The currency that is meant.
    currency: Option<Currency>,
    /// All that can be; empty where there is only one.
    all: Vec<Currency>,
    /// What revenue did.
    report: Option<RevenueReport>,
    /// What is in the way of it.
    trouble: Option<String>,
}

/// Where there are several currencies, the first one is taken.
async fn settle(business: &dyn Business, ask: AskRevenue) -> Result<Settled, Refusal> {
    let all = match business.find_revenue(AskRevenue { currency: None, ..ask.clone() }).await {
        Err(BusinessError::Currencies(currencies)) => currencies,
        // There is one at most, and nothing in the way of it.
        Ok(report) if ask.currency.is_none() => {
            return Ok(Settled { currency: None, all: Vec::new(), report, trouble: None });
        }
        _ => Vec::new(),
    };
    let currency = ask.currency.or_else(|| all.first().copied());
    match business.find_revenue(AskRevenue { currency, ..ask }).await {
        Ok(report) => Ok(Settled { currency, all, report, trouble: None }),
        Err(error @ BusinessError::MissingRate(_)) => {
            Ok(Settled { currency, all, report: None, trouble: Some(error.to_string()) })
        }
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
    let id = scene.id();
    if pairs.text("fragment") == "rows" {
        let (unresolved, present) = (scene.count_unresolved().await?, business.count_present(id).await?);
        let (unresolved, present) = (Count(unresolved.unwrap_or(0)), Present::of(present));
        return Ok(respond::page(&ExecutiveFragment { unresolved, present }));
    }
    let (mut wanted, path) = (Wanted::of(&pairs), format!("{}/business", scene.base()));
    let period = AskPeriod::Current(wanted.unit);
    let ask = AskRevenue { project: id, period, currency: wanted.currency };
    let Settled { currency, all, report, trouble } = settle(business, ask).await?;
    wanted.currency = currency.filter(|_| !all.is_empty());
    let metrics = AskMetrics { project: id, period, goal: None, currency, has_revenue: false };
    let series = AskSeries { project: id, unit: PeriodUnit::Month, periods: MONTHS, currency };
    let series = async {
        match report {
            Some(_) => Ok(Some(business.list_revenue(series).await?)),
            None => Ok::<_, Refusal>(None),
        }
    };
    let (metrics, changes, present, series, mut layout) = tokio::try_join!(
        async { Ok::<_, Refusal>(business.find_metrics(metrics).await?) },
        async { Ok(business.find_changes(id, currency).await?) },
        async { Ok(business.count_present(id).await?) },
        series,
        scene.layout(Section::Executive, &pairs),
    )?;
    layout.live_topic = "event.appended";
    let metrics = BusinessMetrics { revenue: report, ..metrics };
    Ok(respond::page(&ExecutivePage {
        layout,
        base: scene.base(),
        view: ExecutiveView::new(&metrics, series.as_ref()),
        changes: ChangeRow::list(&changes),
        present: Present::of(present),
        periods: wanted.periods(&path),
        currencies: wanted.currencies(&path, &all),
        downloads: wanted.downloads(&scene.base(), &[&METRICS_TABLES[..], &["changes"]].concat()),
        trouble,
        definitions: &DEFINITIONS,
    }))
}

/// `GET /projects/{project}/business/table/{name}`: a table of these pages as a file, for those who may see analytics.
async fn download(
    State(state): State<Arc<DashboardState>>,
    visitor: Visitor,
    Path((project, name)): Path<(String, String)>,
    pairs: Pairs,
) -> Result<Response, Refusal> {
    let scene = Scene::open(state, visitor, &project, Permission::ViewAnalytics).await?;
    let business = scene.business()?;
    let (project, Wanted { unit, currency }) = (scene.id(), Wanted::of(&pairs));
    let period = AskPeriod::Current(unit);
    let series = AskSeries { project, unit: PeriodUnit::Month, periods: MONTHS, currency };
    let table = match name.as_str() {
        "changes" => business.find_changes(project, currency).await?.table(),
        "movements" => business.list_revenue(series).await?.table(),
        "plans" => business.list_plans(project, currency).await?.table(),
        "cohorts" => business.list_cohorts(series).await?.table(),
        name => {
            let ask = AskMetrics { project, period, goal: None, currency, has_revenue: false };
            business.find_metrics(ask).await?.table(name).ok_or(Refusal::NotFound)?
        }
    };
    file(&table, pairs.text("format"), &format!("business-{}", name.replace('_', "-")))
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
    let Settled { currency, all, report, mut trouble } = settle(business, ask).await?;
    wanted.currency = currency.filter(|_| !all.is_empty());
    let mut view = None;
    if let Some(report) = report {
        match read_revenue(business, id, &report).await {
            Ok(read) => view = Some(read),
            Err(error @ BusinessError::MissingRate(_)) => trouble = Some(error.to_string()),
            Err(error) => return Err(error.into()),
        }
    }
    Ok(respond::page(&RevenuePage {
        layout: scene.layout(Section::Revenue, &pairs).await?,
        view,
        periods: wanted.periods(&path),
        currencies: wanted.currencies(&path, &all),
        downloads: wanted.downloads(&scene.base(), &REVENUE_TABLES),
        trouble,
        public_url: scene.state.public_url.clone(),
        project: id.to_string(),
        definitions: DEFINITIONS.into_iter().skip_while(|it| it.key != "total_revenue").collect(),
    }))
}

async fn read_revenue(
    business: &dyn Business,
    project: ProjectId,
    report: &RevenueReport,
) -> Result<RevenueView, BusinessError> {
    let currency = Some(report.currency);
    let series = AskSeries { project, unit: PeriodUnit::Month, periods: MONTHS, currency };
    let (months, plans, cohorts) = tokio::join!(
        business.list_revenue(series.clone()),
        business.list_plans(project, currency),
        business.list_cohorts(series),
    );
    Ok(RevenueView::new(report, &months?, &plans?, &cohorts?))
}
