//! Logs: searched, counted, followed.

use std::sync::Arc;
use std::time::Duration;

use askama::Template;
use axum::extract::{Path, State};
use axum::response::Response;
use belvedere_accounts::Permission;
use belvedere_error_tracking::logs::{LogFilter, LogLevel, Logs, SearchLogs};
use belvedere_error_tracking::monitors::ChangedBy;
use belvedere_storage::{PageRequest, Timestamp};

use crate::charts::BarChart;
use crate::form::{CheckedForm, Pairs, address};
use crate::layout::{Layout, Scene, Section};
use crate::pages::overview::find_dsn;
use crate::pages::{done, page_request};
use crate::refusal::Refusal;
use crate::respond;
use crate::session::Visitor;
use crate::state::DashboardState;
use crate::views::logs::{LogRow, histogram, log_snippets};
use crate::views::monitors::Snippet;
use crate::wording::{At, Count, bytes};

const ROWS_PER_PAGE: u16 = 100;

/// How many records of the same trace an event's page shows.
pub(crate) const AROUND: u16 = 10;

/// The spans of time to choose from: parameter, name, hours.
const SPANS: [(&str, &str, u64); 5] = [
    ("1h", "Last hour", 1),
    ("24h", "Last 24 hours", 24),
    ("7d", "Last 7 days", 168),
    ("30d", "Last 30 days", 720),
    ("90d", "Last 90 days", 2_160),
];

/// An option of a select.
struct Choice {
    value: String,
    name: String,
    is_chosen: bool,
}

/// The changing parts of the page.
struct LogList {
    rows: Vec<LogRow>,
    chart: BarChart,
    total: Count,
    /// What the numbers leave out, in words.
    counted_to: Option<At>,
    searched_to: Option<At>,
    is_filtered: bool,
    next_href: Option<String>,
    unresolved: Count,
}

#[derive(Template)]
#[template(path = "logs.html")]
struct LogsPage {
    layout: Layout,
    view: LogList,
    base: String,
    error: Option<String>,
    text: String,
    levels: Vec<Choice>,
    spans: Vec<Choice>,
    first_href: Option<String>,
    is_empty: bool,
    snippets: Vec<Snippet>,
    days: u32,
    megabytes: u64,
    stored: String,
    records: Count,
    may_manage: bool,
}

#[derive(Template)]
#[template(path = "fragments_logs.html")]
struct LogsFragment {
    view: LogList,
}

fn logs(scene: &Scene) -> Result<&dyn Logs, Refusal> {
    scene.errors()?;
    Ok(&*scene.state.logs)
}

/// `GET /projects/{project}/logs`
pub(crate) async fn show(
    State(state): State<Arc<DashboardState>>,
    visitor: Visitor,
    Path(project): Path<String>,
    pairs: Pairs,
) -> Result<Response, Refusal> {
    let scene = Scene::open(state, visitor, &project, Permission::ViewIssues).await?;
    let (filter, error) = match read_filter(&pairs) {
        Ok(filter) => (filter, None),
        Err(why) => (LogFilter::default(), Some(why)),
    };
    let view = read(&scene, &pairs, filter).await?;
    if pairs.text("fragment") == "rows" {
        return Ok(respond::page(&LogsFragment { view }));
    }
    let settings = logs(&scene)?.find_log_settings(scene.id()).await?;
    let is_empty = settings.records == 0;
    let path = format!("{}/logs", scene.base());
    let mut layout = scene.layout(Section::Logs, &pairs).await?;
    // Older pages stand still while one reads them.
    layout.live_topic = if pairs.some("after").is_none() { "log.records" } else { "" };
    let has_error = error.is_some();
    let first_href = pairs.some("after").map(|_| {
        address(
            &path,
            &[("q", pairs.text("q")), ("level", pairs.text("level")), ("span", pairs.text("span"))],
        )
    });
    let page = LogsPage {
        layout,
        base: scene.base(),
        error,
        text: pairs.text("q").chars().take(500).collect(),
        levels: levels(&pairs),
        spans: spans(&pairs),
        first_href,
        snippets: if is_empty {
            find_dsn(&scene).await?.map(|dsn| log_snippets(&dsn)).unwrap_or_default()
        } else {
            Vec::new()
        },
        is_empty,
        days: settings.days,
        megabytes: settings.bytes_max >> 20,
        stored: bytes(settings.bytes),
        records: Count(settings.records),
        may_manage: scene.may(Permission::ManageProjects),
        view,
    };
    Ok(crate::pages::settings::with_status_of(has_error, respond::page(&page)))
}

/// The search of the address; the chosen level counts unless the search names one.
fn read_filter(pairs: &Pairs) -> Result<LogFilter, String> {
    let mut filter = LogFilter::parse(pairs.text("q"))?;
    filter.level = filter.level.or_else(|| LogLevel::parse(pairs.text("level")));
    Ok(filter)
}

fn span_of(pairs: &Pairs) -> (&'static str, u64) {
    let chosen = SPANS.into_iter().find(|(word, ..)| *word == pairs.text("span"));
    chosen.map_or(("24h", 24), |(word, _, hours)| (word, hours))
}

async fn read(scene: &Scene, pairs: &Pairs, filter: LogFilter) -> Result<LogList, Refusal> {
    let (_, hours) = span_of(pairs);
    let to = scene.now.plus(Duration::from_secs(600));
    let from = scene.now.minus(Duration::from_secs((hours - 1) * 3_600)).start_of_hour();
    let is_filtered = filter != LogFilter::default();
    let query =
        |page: PageRequest| SearchLogs { project: scene.id(), from, to, filter: filter.clone(), page };
    let logs = logs(scene)?;
    let (found, counts, unresolved) = tokio::join!(
        logs.search_logs(query(page_request(pairs, ROWS_PER_PAGE))),
        logs.count_logs(query(PageRequest::first(1))),
        scene.count_unresolved(),
    );
    let (found, counts) = (found?, counts?);
    let path = format!("{}/logs", scene.base());
    let href = |after: &str| {
        let pairs = [
            ("q", pairs.text("q")),
            ("level", pairs.text("level")),
            ("span", pairs.text("span")),
            ("after", after),
        ];
        address(&path, &pairs)
    };
    Ok(LogList {
        rows: found.records.iter().map(|record| LogRow::new(scene.id(), record)).collect(),
        chart: histogram(&counts, from, scene.now),
        total: Count(counts.total()),
        counted_to: counts.counted_to.map(At),
        searched_to: found.searched_to.map(At),
        is_filtered,
        next_href: found.next.map(|next| href(next.as_str())),
        unresolved: Count(unresolved?.unwrap_or(0)),
    })
}

fn levels(pairs: &Pairs) -> Vec<Choice> {
    let chosen = pairs.text("level");
    LogLevel::ALL
        .into_iter()
        .map(|level| Choice {
            value: if level == LogLevel::Trace { String::new() } else { level.as_str().to_owned() },
            name: if level == LogLevel::Trace {
                "All levels".to_owned()
            } else {
                format!("{} or worse", level.as_str())
            },
            is_chosen: level.as_str() == chosen,
        })
        .collect()
}

fn spans(pairs: &Pairs) -> Vec<Choice> {
    let (chosen, _) = span_of(pairs);
    SPANS
        .into_iter()
        .map(|(word, name, _)| Choice {
            value: word.to_owned(),
            name: name.to_owned(),
            is_chosen: word == chosen,
        })
        .collect()
}

/// The records of a trace within an hour of `at`, newest first, and the address of all of them; nothing without a trace.
pub(crate) async fn around(
    scene: &Scene,
    trace: Option<&str>,
    at: Timestamp,
) -> Result<(Vec<LogRow>, String), Refusal> {
    let Some(trace) = trace else { return Ok((Vec::new(), String::new())) };
    let search = format!("trace:{trace}");
    let Ok(filter) = LogFilter::parse(&search) else { return Ok((Vec::new(), String::new())) };
    let hour = Duration::from_secs(3_600);
    let page = PageRequest::first(AROUND);
    let query = SearchLogs { project: scene.id(), from: at.minus(hour), to: at.plus(hour), filter, page };
    let found = logs(scene)?.search_logs(query).await?;
    let rows = found.records.iter().map(|record| LogRow::new(scene.id(), record)).collect();
    Ok((rows, address(&format!("{}/logs", scene.base()), &[("q", &search), ("span", "30d")])))
}

/// `POST /projects/{project}/logs/settings`
pub(crate) async fn change(
    State(state): State<Arc<DashboardState>>,
    visitor: Visitor,
    Path(project): Path<String>,
    CheckedForm(form): CheckedForm,
) -> Result<Response, Refusal> {
    let scene = Scene::open(state, visitor, &project, Permission::ManageProjects).await?;
    let number = |name: &str| {
        form.text(name).parse::<u64>().map_err(|_| Refusal::Invalid(format!("{name}: must be a number")))
    };
    let days = u32::try_from(number("days")?).unwrap_or(u32::MAX);
    let bytes_max = number("megabytes")?.saturating_mul(1 << 20);
    let by = ChangedBy {
        actor: scene.principal().actor,
        organisation: scene.principal().organisation,
        project: scene.id(),
        request_id: scene.client().request_id.clone(),
    };
    logs(&scene)?.change_log_settings(by, days, bytes_max).await?;
    Ok(done(&format!("{}/logs", scene.base()), "saved"))
}
