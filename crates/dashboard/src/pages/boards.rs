//! Dashboards: insights that are looked at together, and the links by which others see them.

mod links;
mod shared;

use std::sync::Arc;

use askama::Template;
use axum::Router;
use axum::extract::{Path, State};
use axum::response::Response;
use axum::routing::{get, post};
use belvedere_accounts::Permission;
use belvedere_business_intelligence::calendar::Calendar;
use belvedere_business_intelligence::insight::{
    Board, BoardChange, BoardId, Insight, InsightId, Tile, TileWidth,
};
use futures_util::future::join_all;

use super::insights::Asker;
use super::insights::keep::{by, href_of, open};
use super::insights::question::{Kind, query};
use crate::form::{CheckedForm, Pairs};
use crate::layout::{Layout, Scene, Section};
use crate::pages::done;
use crate::pages::settings::with_status_of;
use crate::refusal::Refusal;
use crate::respond;
use crate::session::Visitor;
use crate::state::DashboardState;
use crate::views::insights::InsightView;
use crate::wording::{Ago, counted};

pub(super) use shared::{Openings, download as download_shared, show as show_shared};

pub(super) fn routes() -> Router<Arc<DashboardState>> {
    Router::new()
        .route("/dashboards", get(list).post(create))
        .route("/dashboards/{id}", get(show).post(rename))
        .route("/dashboards/{id}/delete", post(delete))
        .route("/dashboards/{id}/tiles", post(arrange))
        .route("/dashboards/{id}/links", get(links::list).post(links::create))
        .route("/dashboards/{id}/links/{link}/revoke", post(links::revoke))
}

/// A dashboard in the list.
struct BoardRow {
    name: String,
    href: String,
    insights: String,
    changed_at: Ago,
}

#[derive(Template)]
#[template(path = "boards/list.html")]
struct ListPage {
    layout: Layout,
    base: String,
    rows: Vec<BoardRow>,
    may_manage: bool,
    error: String,
    name: String,
}

/// An insight on a dashboard.
struct TileCard {
    name: String,
    /// The page that asks it; empty for whoever has a link.
    href: String,
    is_full: bool,
    basis: String,
    /// None where it has no answer.
    view: Option<InsightView>,
    trouble: String,
    /// Where its numbers are as files.
    files: Option<Files>,
    controls: Option<Controls>,
}

/// The addresses of a table as files.
struct Files {
    csv: String,
    json: String,
    parquet: String,
}

/// What can be done with a tile.
struct Controls {
    action: String,
    csrf: String,
    insight: String,
    is_first: bool,
    is_last: bool,
    may_manage: bool,
}

#[derive(Template)]
#[template(path = "boards/board.html")]
struct BoardPage {
    layout: Layout,
    base: String,
    href: String,
    name: String,
    tiles: Vec<TileCard>,
    /// Insights that are not on it.
    others: Vec<Other>,
    may_manage: bool,
    may_share: bool,
    error: String,
}

struct Other {
    id: String,
    name: String,
    kind: &'static str,
}

fn board_href(scene: &Scene, id: BoardId) -> String {
    format!("{}/dashboards/{id}", scene.base())
}

fn parse(id: &str) -> Result<BoardId, Refusal> {
    id.parse().map_err(|_| Refusal::NotFound)
}

/// The tiles of a board, computed at once; one that fails says so in its place.
async fn tiles(asker: Asker<'_>, board: &Board, insights: &[Insight]) -> Vec<TileCard> {
    let known = board.tiles.iter().filter_map(|tile| {
        let insight = insights.iter().find(|insight| insight.id == tile.insight)?;
        Some((tile, insight))
    });
    join_all(known.map(|(tile, insight)| card(asker, *tile, insight))).await
}

async fn card(asker: Asker<'_>, tile: Tile, insight: &Insight) -> TileCard {
    let mut card = TileCard {
        name: insight.name.clone(),
        href: String::new(),
        is_full: tile.width == TileWidth::Full,
        basis: String::new(),
        view: None,
        trouble: String::new(),
        files: None,
        controls: None,
    };
    match asker.answer(&insight.question).await {
        Ok(answer) => {
            card.view = InsightView::new(&insight.question, &answer, asker.calendar, true);
            card.basis = card.view.as_ref().map(InsightView::basis).unwrap_or_default();
        }
        Err(refusal) => card.trouble = trouble(refusal, asker.is_public),
    }
    card
}

/// Why a tile has no answer, as far as whoever looks may know.
fn trouble(refusal: Refusal, is_public: bool) -> String {
    match refusal.into_form_error() {
        Ok(text) if !is_public => text,
        Ok(_) => "This has no answer at the moment.".to_owned(),
        Err(refusal) => {
            tracing::error!(?refusal, "a tile of a dashboard has no answer");
            "This has no answer at the moment.".to_owned()
        }
    }
}

/// `GET /projects/{project}/dashboards`: for those who may see analytics.
async fn list(
    State(state): State<Arc<DashboardState>>,
    visitor: Visitor,
    Path(project): Path<String>,
    pairs: Pairs,
) -> Result<Response, Refusal> {
    let scene = Scene::open(state, visitor, &project, Permission::ViewAnalytics).await?;
    scene.business()?;
    list_page(&scene, &pairs, String::new()).await
}

async fn list_page(scene: &Scene, pairs: &Pairs, error: String) -> Result<Response, Refusal> {
    let boards = scene.state.boards.list_boards(scene.id()).await?;
    let row = |board: Board| BoardRow {
        href: board_href(scene, board.id),
        insights: counted(board.tiles.len(), "insight", "insights"),
        changed_at: Ago { at: board.changed_at, now: scene.now },
        name: board.name,
    };
    let has_error = !error.is_empty();
    let page = ListPage {
        layout: scene.layout(Section::Dashboards, pairs).await?,
        base: scene.base(),
        rows: boards.into_iter().map(row).collect(),
        may_manage: scene.may(Permission::ManageInsights),
        name: pairs.text("name").to_owned(),
        error,
    };
    Ok(with_status_of(has_error, respond::page(&page)))
}

/// `POST /projects/{project}/dashboards`
async fn create(
    State(state): State<Arc<DashboardState>>,
    visitor: Visitor,
    Path(project): Path<String>,
    CheckedForm(form): CheckedForm,
) -> Result<Response, Refusal> {
    let scene = open(state, visitor, &project).await?;
    let made = scene.state.boards.create_board(scene.id(), form.text("name"), Vec::new(), &by(&scene)).await;
    match made {
        Ok(board) => Ok(done(&board_href(&scene, board.id), "saved")),
        Err(error) => list_page(&scene, &form, Refusal::from(error).into_form_error()?).await,
    }
}

/// `GET /projects/{project}/dashboards/{id}`: for those who may see analytics.
async fn show(
    State(state): State<Arc<DashboardState>>,
    visitor: Visitor,
    Path((project, id)): Path<(String, String)>,
    pairs: Pairs,
) -> Result<Response, Refusal> {
    let scene = Scene::open(state, visitor, &project, Permission::ViewAnalytics).await?;
    scene.business()?;
    page(&scene, parse(&id)?, &pairs, String::new()).await
}

async fn page(scene: &Scene, id: BoardId, pairs: &Pairs, error: String) -> Result<Response, Refusal> {
    let board = scene.state.boards.find_board(scene.id(), id).await?;
    let insights = scene.state.insights.list_insights(scene.id()).await?;
    let calendar = Calendar::find(&scene.project.time_zone).unwrap_or_default();
    let layout = scene.layout(Section::Dashboards, pairs).await?;
    let (base, href) = (scene.base(), board_href(scene, id));
    let may_manage = scene.may(Permission::ManageInsights);
    let mut tiles = tiles(Asker::of(scene, &calendar), &board, &insights).await;
    let last = tiles.len().saturating_sub(1);
    let shown = board.tiles.iter().filter_map(|tile| insights.iter().find(|it| it.id == tile.insight));
    for (place, (tile, insight)) in tiles.iter_mut().zip(shown).enumerate() {
        let table = format!("{base}/insights/{}/table", Kind::of(&insight.question).word());
        let file = |format| format!("{table}?{}", query(&insight.question, &[("format", format)]));
        tile.href = href_of(&base, insight);
        tile.files = Some(Files { csv: file("csv"), json: file("json"), parquet: file("parquet") });
        tile.controls = Some(Controls {
            action: format!("{href}/tiles"),
            csrf: layout.csrf.clone(),
            insight: insight.id.to_string(),
            is_first: place == 0,
            is_last: place == last,
            may_manage,
        });
    }
    let others = insights.iter().filter(|insight| !board.tiles.iter().any(|it| it.insight == insight.id));
    let other = |insight: &Insight| Other {
        id: insight.id.to_string(),
        name: insight.name.clone(),
        kind: insight.question.kind(),
    };
    let has_error = !error.is_empty();
    let page = BoardPage {
        others: others.map(other).collect(),
        name: board.name,
        may_share: scene.may(Permission::ShareDashboards),
        layout,
        base,
        href,
        tiles,
        may_manage,
        error,
    };
    Ok(with_status_of(has_error, respond::page(&page)))
}

/// `POST /projects/{project}/dashboards/{id}`: its name.
async fn rename(
    State(state): State<Arc<DashboardState>>,
    visitor: Visitor,
    Path((project, id)): Path<(String, String)>,
    CheckedForm(form): CheckedForm,
) -> Result<Response, Refusal> {
    let scene = open(state, visitor, &project).await?;
    let change = BoardChange { name: Some(form.text("name").to_owned()), tiles: None };
    apply(&scene, parse(&id)?, change).await
}

async fn apply(scene: &Scene, id: BoardId, change: BoardChange) -> Result<Response, Refusal> {
    match scene.state.boards.change_board(scene.id(), id, change, &by(scene)).await {
        Ok(_) => Ok(done(&board_href(scene, id), "saved")),
        Err(error) => page(scene, id, &Pairs::default(), Refusal::from(error).into_form_error()?).await,
    }
}

/// `POST /projects/{project}/dashboards/{id}/delete`
async fn delete(
    State(state): State<Arc<DashboardState>>,
    visitor: Visitor,
    Path((project, id)): Path<(String, String)>,
    _: CheckedForm,
) -> Result<Response, Refusal> {
    let scene = open(state, visitor, &project).await?;
    scene.state.boards.delete_board(scene.id(), parse(&id)?, &by(&scene)).await?;
    Ok(done(&format!("{}/dashboards", scene.base()), "gone"))
}

/// `POST /projects/{project}/dashboards/{id}/tiles`: adds, moves, widens or removes one.
async fn arrange(
    State(state): State<Arc<DashboardState>>,
    visitor: Visitor,
    Path((project, id)): Path<(String, String)>,
    CheckedForm(form): CheckedForm,
) -> Result<Response, Refusal> {
    let scene = open(state, visitor, &project).await?;
    let id = parse(&id)?;
    let insight: InsightId = form.text("insight").parse().map_err(|_| Refusal::NotFound)?;
    let mut tiles = scene.state.boards.find_board(scene.id(), id).await?.tiles;
    let place = tiles.iter().position(|tile| tile.insight == insight);
    match (form.text("action"), place) {
        ("add", None) => tiles.push(Tile { insight, width: TileWidth::Half }),
        ("up", Some(place)) if place > 0 => tiles.swap(place, place - 1),
        ("down", Some(place)) if place + 1 < tiles.len() => tiles.swap(place, place + 1),
        ("half", Some(place)) => tiles[place].width = TileWidth::Half,
        ("full", Some(place)) => tiles[place].width = TileWidth::Full,
        ("remove", Some(place)) => drop(tiles.remove(place)),
        // Somebody else was faster.
        ("add" | "up" | "down" | "half" | "full" | "remove", _) => {}
        _ => return Err(Refusal::Invalid("the form asks for nothing that can be done".to_owned())),
    }
    apply(&scene, id, BoardChange { name: None, tiles: Some(tiles) }).await
}
