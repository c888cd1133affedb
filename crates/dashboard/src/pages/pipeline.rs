//! What became of everything that arrived, and what can be done about what was set aside.

use std::sync::Arc;
use std::time::Duration;

use askama::Template;
use axum::extract::{Path, State};
use axum::response::Response;
use belvedere_accounts::Permission;
use belvedere_event_store::query::QueriesError;
use belvedere_intake::{Requester, SetAside};
use belvedere_storage::Id;

use crate::form::{CheckedForm, Pairs, address};
use crate::layout::{Layout, Scene, Section};
use crate::pages::{done, page_request};
use crate::refusal::Refusal;
use crate::respond;
use crate::session::Visitor;
use crate::state::DashboardState;
use crate::views::pipeline::{TallyTable, table_start, tally_table, totals};
use crate::views::rollups::{RollupsView, rollups_view};
use crate::wording::{At, Count};

const ROWS_PER_PAGE: u16 = 25;

/// What changes while one looks.
struct PipelineView {
    stored: Count,
    dropped: Count,
    set_aside_count: Count,
    waiting: Count,
    waiting_note: String,
    table: TallyTable,
    /// None before the first check.
    rollups: Option<RollupsView>,
    unresolved: Count,
    /// Whether errors of this hour were dropped by spike protection.
    is_spiking: bool,
}

/// A delivery that was set aside.
struct SetAsideRow {
    id: String,
    href: String,
    kind: String,
    reason: String,
    tries: u32,
    received_at: At,
    set_aside_at: At,
    replayed_at: Option<At>,
    is_replayed: bool,
    size_bytes: Count,
}

#[derive(Template)]
#[template(path = "pipeline.html")]
struct PipelinePage {
    layout: Layout,
    view: PipelineView,
    is_spiking: bool,
    limits_href: String,
    set_aside: Vec<SetAsideRow>,
    may_replay: bool,
    first_href: Option<String>,
    next_href: Option<String>,
}

#[derive(Template)]
#[template(path = "fragments_pipeline.html")]
struct PipelineFragment {
    view: PipelineView,
}

#[derive(Template)]
#[template(path = "set_aside.html")]
struct SetAsidePage {
    layout: Layout,
    base: String,
    row: SetAsideRow,
}

/// `GET /projects/{project}/pipeline`
pub(crate) async fn show(
    State(state): State<Arc<DashboardState>>,
    visitor: Visitor,
    Path(project): Path<String>,
    pairs: Pairs,
) -> Result<Response, Refusal> {
    let scene = Scene::open(state, visitor, &project, Permission::ViewIssues).await?;
    let view = read(&scene).await?;
    if pairs.text("fragment") == "rows" {
        return Ok(respond::page(&PipelineFragment { view }));
    }
    let list = scene.state.intake_log.list_set_aside(scene.id(), page_request(&pairs, ROWS_PER_PAGE)).await?;
    let path = format!("{}/pipeline", scene.base());
    Ok(respond::page(&PipelinePage {
        layout: scene.layout(Section::Pipeline, &pairs).await?,
        is_spiking: view.is_spiking,
        view,
        limits_href: format!("{}/settings/limits", scene.base()),
        set_aside: list.items.iter().map(|item| row(&scene, item)).collect(),
        may_replay: scene.may(Permission::ReplaySetAside),
        first_href: pairs.some("after").map(|_| path.clone()),
        next_href: list.next.map(|next| address(&path, &[("after", next.as_str())])),
    }))
}

async fn read(scene: &Scene) -> Result<PipelineView, Refusal> {
    let now = scene.now;
    let log = &scene.state.intake_log;
    let (tallies, set_aside, unresolved, check) = tokio::join!(
        log.list_tallies(scene.id(), table_start(now), now.plus(Duration::from_secs(1))),
        log.count_set_aside(scene.id()),
        scene.count_unresolved(),
        scene.state.rollup_checks.find_rollup_check(scene.id()),
    );
    let tallies = tallies?;
    let today = totals(&tallies, now.start_of_day());
    let (waiting, waiting_note) = waiting(scene);
    Ok(PipelineView {
        stored: Count(today.stored),
        dropped: Count(today.dropped),
        set_aside_count: Count(set_aside?),
        waiting,
        waiting_note,
        table: tally_table(&tallies, now),
        rollups: check.map_err(QueriesError::from)?.as_ref().map(rollups_view),
        unresolved: Count(unresolved?.unwrap_or(0)),
        is_spiking: tallies
            .iter()
            .any(|tally| tally.hour >= now.start_of_hour() && tally.reason == "spike_protection"),
    })
}

/// How much waits in this process's spool, and what that means.
pub(crate) fn waiting(scene: &Scene) -> (Count, String) {
    let Some(depth) = scene.state.spool_depth.as_ref().map(|depth| depth()) else {
        return (Count(0), "this process has no queue of its own".to_owned());
    };
    let percent = depth.bytes.saturating_mul(100) / depth.bytes_max.max(1);
    let note = match depth.records {
        0 => "everything accepted is digested".to_owned(),
        _ if percent == 0 => "less than 1 % of the queue's size".to_owned(),
        _ => format!("{percent} % of the queue's size"),
    };
    (Count(depth.records), note)
}

/// `GET /projects/{project}/pipeline/set-aside/{id}`
pub(crate) async fn show_set_aside(
    State(state): State<Arc<DashboardState>>,
    visitor: Visitor,
    Path((project, id)): Path<(String, String)>,
    pairs: Pairs,
) -> Result<Response, Refusal> {
    let scene = Scene::open(state, visitor, &project, Permission::ReplaySetAside).await?;
    let item =
        scene.state.intake_log.find_set_aside(scene.id(), parse(&id)?).await?.ok_or(Refusal::NotFound)?;
    let layout = scene.layout(Section::Pipeline, &pairs).await?;
    Ok(respond::page(&SetAsidePage { layout, base: scene.base(), row: row(&scene, &item) }))
}

/// `POST /projects/{project}/pipeline/set-aside/{id}/replay`
pub(crate) async fn replay(
    State(state): State<Arc<DashboardState>>,
    visitor: Visitor,
    Path((project, id)): Path<(String, String)>,
    _: CheckedForm,
) -> Result<Response, Refusal> {
    let scene = Scene::open(state, visitor, &project, Permission::ReplaySetAside).await?;
    scene.state.intake_log.replay_set_aside(requester(&scene), scene.id(), parse(&id)?).await?;
    Ok(done(&format!("{}/pipeline", scene.base()), "replayed"))
}

/// `POST /projects/{project}/pipeline/set-aside/{id}/discard`
pub(crate) async fn discard(
    State(state): State<Arc<DashboardState>>,
    visitor: Visitor,
    Path((project, id)): Path<(String, String)>,
    _: CheckedForm,
) -> Result<Response, Refusal> {
    let scene = Scene::open(state, visitor, &project, Permission::ReplaySetAside).await?;
    scene.state.intake_log.discard_set_aside(requester(&scene), scene.id(), parse(&id)?).await?;
    Ok(done(&format!("{}/pipeline", scene.base()), "discarded"))
}

fn requester(scene: &Scene) -> Requester {
    Requester {
        actor: scene.principal().actor,
        organisation: Some(scene.principal().organisation),
        request_id: scene.client().request_id.clone(),
    }
}

fn parse(id: &str) -> Result<Id<SetAside>, Refusal> {
    id.parse().map_err(|_| Refusal::NotFound)
}

fn row(scene: &Scene, item: &SetAside) -> SetAsideRow {
    SetAsideRow {
        id: item.id.to_string(),
        href: format!("{}/pipeline/set-aside/{}", scene.base(), item.id),
        kind: item.kind.clone(),
        reason: item.reason.clone(),
        tries: item.tries,
        received_at: At(item.received_at),
        set_aside_at: At(item.set_aside_at),
        replayed_at: item.replayed_at.map(At),
        is_replayed: item.replayed_at.is_some(),
        size_bytes: Count(item.size_bytes),
    }
}
