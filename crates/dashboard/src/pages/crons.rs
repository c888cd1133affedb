//! Monitored jobs: how they stand, one of them with its runs, and the forms to make and change them.

use std::sync::Arc;

use askama::Template;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Redirect, Response};
use belvedere_accounts::Permission;
use belvedere_error_tracking::monitors::{
    ChangeMonitor, ChangedBy, ListCheckIns, ListMonitors, MonitorConfig, MonitorOverview, MonitorSwitches,
    Monitors,
};

use crate::charts::BarChart;
use crate::form::{CheckedForm, Pairs, address};
use crate::layout::{Layout, Scene, Section};
use crate::pages::overview::find_dsn;
use crate::pages::{done, page_request};
use crate::refusal::Refusal;
use crate::respond;
use crate::session::Visitor;
use crate::state::DashboardState;
use crate::views::monitors::{
    FormView, MonitorRow, RunRow, Snippet, cron_snippets, duration_chart, environments_of,
};
use crate::wording::{At, Count};

const MONITORS_PER_PAGE: u16 = 50;

const RUNS_PER_PAGE: u16 = 50;

/// How many runs ahead a monitor's page names.
const NEXT_RUNS: usize = 3;

/// The list with its changing parts.
struct CronList {
    rows: Vec<MonitorRow>,
    unresolved: Count,
}

#[derive(Template)]
#[template(path = "crons.html")]
struct CronsPage {
    layout: Layout,
    view: CronList,
    base: String,
    may_manage: bool,
    is_empty: bool,
    snippets: Vec<Snippet>,
    first_href: Option<String>,
    next_href: Option<String>,
}

#[derive(Template)]
#[template(path = "fragments_crons.html")]
struct CronsFragment {
    view: CronList,
}

/// One monitor with its runs.
struct CronView {
    rows: Vec<MonitorRow>,
    runs: Vec<RunRow>,
    durations: Option<BarChart>,
    unresolved: Count,
}

#[derive(Template)]
#[template(path = "cron.html")]
struct CronPage {
    layout: Layout,
    view: CronView,
    base: String,
    href: String,
    name: String,
    slug: String,
    is_paused: bool,
    is_muted: bool,
    schedule: String,
    time_zone: String,
    margin_minutes: u32,
    max_runtime_minutes: u32,
    failure_threshold: u32,
    recovery_threshold: u32,
    next_runs: Vec<At>,
    created_at: At,
    environments: Vec<(String, String, bool)>,
    may_manage: bool,
    snippets: Vec<Snippet>,
    first_href: Option<String>,
    next_href: Option<String>,
}

#[derive(Template)]
#[template(path = "fragments_cron.html")]
struct CronFragment {
    view: CronView,
}

#[derive(Template)]
#[template(path = "cron_form.html")]
struct CronFormPage {
    layout: Layout,
    title: String,
    back_href: String,
    is_new: bool,
    form: FormView,
    error: Option<String>,
}

fn monitors(scene: &Scene) -> Result<&dyn Monitors, Refusal> {
    scene.errors()?;
    Ok(&*scene.state.monitors)
}

fn href(scene: &Scene, slug: &str) -> String {
    format!("{}/crons/{slug}", scene.base())
}

/// `GET /projects/{project}/crons`
pub(crate) async fn list(
    State(state): State<Arc<DashboardState>>,
    visitor: Visitor,
    Path(project): Path<String>,
    pairs: Pairs,
) -> Result<Response, Refusal> {
    let scene = Scene::open(state, visitor, &project, Permission::ViewIssues).await?;
    let query = ListMonitors {
        project: scene.id(),
        environment: pairs.some("environment"),
        page: page_request(&pairs, MONITORS_PER_PAGE),
    };
    let found = monitors(&scene)?.list_monitors(query).await?;
    let rows =
        found.items.iter().flat_map(|overview| MonitorRow::all(scene.id(), overview, scene.now)).collect();
    let view = CronList { rows, unresolved: Count(scene.count_unresolved().await?.unwrap_or(0)) };
    if pairs.text("fragment") == "rows" {
        return Ok(respond::page(&CronsFragment { view }));
    }
    let path = format!("{}/crons", scene.base());
    let mut layout = scene.layout(Section::Crons, &pairs).await?;
    layout.live_topic = "monitor.runs";
    Ok(respond::page(&CronsPage {
        layout,
        is_empty: view.rows.is_empty(),
        snippets: if view.rows.is_empty() { snippets(&scene, "nightly-backup").await? } else { Vec::new() },
        view,
        base: scene.base(),
        may_manage: scene.may(Permission::ManageIssues),
        first_href: pairs.some("after").map(|_| path.clone()),
        next_href: found.next.map(|next| address(&path, &[("after", next.as_str())])),
    }))
}

async fn snippets(scene: &Scene, slug: &str) -> Result<Vec<Snippet>, Refusal> {
    Ok(find_dsn(scene).await?.map(|dsn| cron_snippets(&dsn, slug)).unwrap_or_default())
}

/// `GET /projects/{project}/crons/{slug}`
pub(crate) async fn show(
    State(state): State<Arc<DashboardState>>,
    visitor: Visitor,
    Path((project, slug)): Path<(String, String)>,
    pairs: Pairs,
) -> Result<Response, Refusal> {
    let scene = Scene::open(state, visitor, &project, Permission::ViewIssues).await?;
    let overview = find(&scene, &slug).await?;
    let environment = pairs.some("environment");
    let query = ListCheckIns {
        project: scene.id(),
        slug: slug.clone(),
        environment: environment.clone(),
        page: page_request(&pairs, RUNS_PER_PAGE),
    };
    let runs = monitors(&scene)?.list_check_ins(query).await?;
    let view = CronView {
        rows: MonitorRow::all(scene.id(), &overview, scene.now),
        durations: duration_chart(&overview, environment.as_deref()),
        runs: runs.items.iter().map(|run| RunRow::new(scene.id(), run)).collect(),
        unresolved: Count(scene.count_unresolved().await?.unwrap_or(0)),
    };
    if pairs.text("fragment") == "rows" {
        return Ok(respond::page(&CronFragment { view }));
    }
    let path = href(&scene, &slug);
    let chosen = environment.unwrap_or_default();
    let mut layout = scene.layout(Section::Crons, &pairs).await?;
    layout.live_topic = "monitor.runs";
    let monitor = overview.monitor.clone();
    let config = &monitor.config;
    Ok(respond::page(&CronPage {
        layout,
        view,
        base: scene.base(),
        is_paused: monitor.is_paused,
        is_muted: monitor.is_muted,
        schedule: config.schedule.to_string(),
        time_zone: config.time_zone.clone(),
        margin_minutes: config.margin_minutes,
        max_runtime_minutes: config.max_runtime_minutes,
        failure_threshold: config.failure_threshold,
        recovery_threshold: config.recovery_threshold,
        next_runs: config.next_runs(scene.now, NEXT_RUNS).into_iter().map(At).collect(),
        created_at: At(monitor.created_at),
        environments: environments_of(&overview, &path, &chosen),
        may_manage: scene.may(Permission::ManageIssues),
        snippets: snippets(&scene, &slug).await?,
        first_href: pairs.some("after").map(|_| address(&path, &[("environment", &chosen)])),
        next_href: runs
            .next
            .map(|next| address(&path, &[("environment", &chosen), ("after", next.as_str())])),
        name: monitor.name,
        slug: monitor.slug,
        href: path,
    }))
}

/// `GET /projects/{project}/crons/new`
pub(crate) async fn new(
    State(state): State<Arc<DashboardState>>,
    visitor: Visitor,
    Path(project): Path<String>,
) -> Result<Response, Refusal> {
    let scene = Scene::open(state, visitor, &project, Permission::ManageIssues).await?;
    monitors(&scene)?;
    form_page(&scene, FormView::usual(&scene.project.time_zone), None, None).await
}

/// `POST /projects/{project}/crons/new`
pub(crate) async fn create(
    State(state): State<Arc<DashboardState>>,
    visitor: Visitor,
    Path(project): Path<String>,
    CheckedForm(form): CheckedForm,
) -> Result<Response, Refusal> {
    let scene = Scene::open(state, visitor, &project, Permission::ManageIssues).await?;
    let made = match read_form(&form, form.text("slug")) {
        Ok(new) => monitors(&scene)?.create_monitor(changed_by(&scene), new).await.map_err(Refusal::from),
        Err(refusal) => Err(refusal),
    };
    match made {
        Ok(monitor) => Ok(done(&href(&scene, &monitor.slug), "saved")),
        Err(refusal) => {
            form_page(&scene, FormView::of_form(&form), None, Some(refusal.into_form_error()?)).await
        }
    }
}

/// `GET /projects/{project}/crons/{slug}/edit`
pub(crate) async fn edit(
    State(state): State<Arc<DashboardState>>,
    visitor: Visitor,
    Path((project, slug)): Path<(String, String)>,
) -> Result<Response, Refusal> {
    let scene = Scene::open(state, visitor, &project, Permission::ManageIssues).await?;
    let overview = find(&scene, &slug).await?;
    form_page(&scene, FormView::of_monitor(&overview.monitor), Some(&slug), None).await
}

/// `POST /projects/{project}/crons/{slug}/edit`
pub(crate) async fn change(
    State(state): State<Arc<DashboardState>>,
    visitor: Visitor,
    Path((project, slug)): Path<(String, String)>,
    CheckedForm(form): CheckedForm,
) -> Result<Response, Refusal> {
    let scene = Scene::open(state, visitor, &project, Permission::ManageIssues).await?;
    find(&scene, &slug).await?;
    let changed = match read_form(&form, &slug) {
        Ok(new) => {
            monitors(&scene)?.update_monitor(changed_by(&scene), &slug, new).await.map_err(Refusal::from)
        }
        Err(refusal) => Err(refusal),
    };
    match changed {
        Ok(_) => Ok(done(&href(&scene, &slug), "saved")),
        Err(refusal) => {
            let form = FormView { slug: slug.clone(), ..FormView::of_form(&form) };
            form_page(&scene, form, Some(&slug), Some(refusal.into_form_error()?)).await
        }
    }
}

/// `POST /projects/{project}/crons/{slug}/switch`
pub(crate) async fn switch(
    State(state): State<Arc<DashboardState>>,
    visitor: Visitor,
    Path((project, slug)): Path<(String, String)>,
    CheckedForm(form): CheckedForm,
) -> Result<Response, Refusal> {
    let scene = Scene::open(state, visitor, &project, Permission::ManageIssues).await?;
    let (paused, muted) = match form.text("to") {
        "paused" => (Some(true), None),
        "resumed" => (Some(false), None),
        "muted" => (None, Some(true)),
        "unmuted" => (None, Some(false)),
        _ => return Err(Refusal::Invalid("to: must be paused, resumed, muted or unmuted".to_owned())),
    };
    let switches = MonitorSwitches { is_paused: paused, is_muted: muted };
    monitors(&scene)?.switch_monitor(changed_by(&scene), &slug, switches).await?;
    Ok(done(&href(&scene, &slug), "saved"))
}

/// `POST /projects/{project}/crons/{slug}/delete`
pub(crate) async fn delete(
    State(state): State<Arc<DashboardState>>,
    visitor: Visitor,
    Path((project, slug)): Path<(String, String)>,
    _: CheckedForm,
) -> Result<Response, Refusal> {
    let scene = Scene::open(state, visitor, &project, Permission::ManageIssues).await?;
    monitors(&scene)?.delete_monitor(changed_by(&scene), &slug).await?;
    Ok(Redirect::to(&format!("{}/crons", scene.base())).into_response())
}

async fn find(scene: &Scene, slug: &str) -> Result<MonitorOverview, Refusal> {
    monitors(scene)?.find_monitor(scene.id(), slug).await?.ok_or(Refusal::NotFound)
}

fn changed_by(scene: &Scene) -> ChangedBy {
    ChangedBy {
        actor: scene.principal().actor,
        organisation: scene.principal().organisation,
        project: scene.id(),
        request_id: scene.client().request_id.clone(),
    }
}

async fn form_page(
    scene: &Scene,
    form: FormView,
    slug: Option<&str>,
    error: Option<String>,
) -> Result<Response, Refusal> {
    let has_error = error.is_some();
    let page = CronFormPage {
        layout: scene.layout(Section::Crons, &Pairs::default()).await?,
        title: slug.map_or_else(|| "New monitor".to_owned(), |slug| format!("Change {slug}")),
        back_href: slug.map_or_else(|| format!("{}/crons", scene.base()), |slug| href(scene, slug)),
        is_new: slug.is_none(),
        form,
        error,
    };
    Ok(crate::pages::settings::with_status_of(has_error, respond::page(&page)))
}

fn read_form(form: &Pairs, slug: &str) -> Result<ChangeMonitor, Refusal> {
    let schedule = form.text("schedule");
    // `15 minutes` and `every 15 minutes` are as good as `15 minute`.
    let plain = schedule.strip_prefix("every ").unwrap_or(schedule);
    let plain = if plain.split(' ').count() == 2 { plain.trim_end_matches('s') } else { plain };
    let schedule = plain.parse().map_err(|error| Refusal::Invalid(format!("schedule: {error}")))?;
    let number = |name: &str, usual: u32| match form.some(name) {
        None => Ok(usual),
        Some(text) => text.parse().map_err(|_| Refusal::Invalid(format!("{name}: must be a number"))),
    };
    let usual = MonitorConfig::new(schedule);
    let config = MonitorConfig {
        time_zone: form.some("timezone").unwrap_or(usual.time_zone),
        margin_minutes: number("checkin_margin", usual.margin_minutes)?,
        max_runtime_minutes: number("max_runtime", usual.max_runtime_minutes)?,
        failure_threshold: number("failure_issue_threshold", usual.failure_threshold)?,
        recovery_threshold: number("recovery_threshold", usual.recovery_threshold)?,
        schedule: usual.schedule,
    };
    Ok(ChangeMonitor { slug: slug.to_owned(), name: form.text("name").to_owned(), config })
}
