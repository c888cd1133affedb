//! Keeping what a page shows: saving it under a name, pinning it to a dashboard.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::response::{IntoResponse, Redirect, Response};
use belvedere_accounts::Permission;
use belvedere_business_intelligence::ChangedBy;
use belvedere_business_intelligence::insight::{
    BoardId, Insight, InsightChange, InsightId, NewInsight, Question, Tile, TileWidth,
};
use http::StatusCode;

use super::question::{Kind, href, query, read};
use crate::form::{CheckedForm, Pairs};
use crate::layout::Scene;
use crate::pages::done;
use crate::refusal::Refusal;
use crate::session::Visitor;
use crate::state::DashboardState;

/// What a page offers to do with its question.
pub(super) struct Keep {
    pub(super) base: String,
    /// The word of the page's address, and the page's name and address.
    pub(super) kind: &'static str,
    pub(super) title: &'static str,
    pub(super) path: String,
    /// The question as a query string.
    pub(super) question: String,
    pub(super) is_complete: bool,
    pub(super) may_keep: bool,
    pub(super) saved: Vec<SavedRow>,
    pub(super) current: Option<Current>,
    pub(super) downloads: [Download; 3],
    /// Why it was not kept, and the name that it was to have.
    pub(super) error: String,
    pub(super) name: String,
}

pub(super) struct SavedRow {
    pub(super) name: String,
    pub(super) href: String,
    pub(super) is_current: bool,
}

/// The insight that the page was opened with.
pub(super) struct Current {
    pub(super) id: String,
    pub(super) name: String,
    /// Whether the page asks something else by now.
    pub(super) is_changed: bool,
    pub(super) boards: Vec<BoardChoice>,
}

pub(super) struct BoardChoice {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) has_it: bool,
}

pub(super) struct Download {
    pub(super) label: &'static str,
    pub(super) href: String,
}

/// Who changes something.
pub(in crate::pages) fn by(scene: &Scene) -> ChangedBy {
    ChangedBy { actor: scene.principal().actor, request_id: scene.client().request_id.clone() }
}

impl Keep {
    /// None where business intelligence is switched off.
    pub(super) async fn of(
        scene: &Scene,
        question: &Question,
        pairs: &Pairs,
        error: String,
    ) -> Result<Option<Self>, Refusal> {
        if scene.state.business.is_none() {
            return Ok(None);
        }
        let (base, kind) = (scene.base(), Kind::of(question));
        let current: Option<InsightId> = pairs.text("insight").parse().ok();
        let saved = scene.state.insights.list_insights(scene.id()).await?;
        let found = saved.iter().find(|insight| Some(insight.id) == current);
        let found = found.filter(|insight| Kind::of(&insight.question) == kind);
        let current = match found {
            Some(insight) => Some(Current {
                id: insight.id.to_string(),
                name: insight.name.clone(),
                is_changed: insight.question != *question,
                boards: boards(scene, insight.id).await?,
            }),
            None => None,
        };
        let of_kind = saved.iter().filter(|insight| Kind::of(&insight.question) == kind);
        let row = |insight: &Insight| SavedRow {
            name: insight.name.clone(),
            href: href_of(&base, insight),
            is_current: current.as_ref().is_some_and(|it| it.id == insight.id.to_string()),
        };
        let path = format!("{base}/insights/{}", kind.word());
        let download = |label: &'static str, format: &str| Download {
            label,
            href: format!("{path}/table?{}", query(question, &[("format", format)])),
        };
        Ok(Some(Self {
            kind: kind.word(),
            title: kind.title(),
            question: query(question, &[]),
            is_complete: question.is_complete(),
            may_keep: scene.may(Permission::ManageInsights),
            saved: of_kind.map(row).collect(),
            downloads: [download("CSV", "csv"), download("JSON", "json"), download("Parquet", "parquet")],
            current,
            error,
            name: pairs.text("name").to_owned(),
            path,
            base,
        }))
    }
}

async fn boards(scene: &Scene, insight: InsightId) -> Result<Vec<BoardChoice>, Refusal> {
    let boards = scene.state.boards.list_boards(scene.id()).await?;
    let choice = |board: belvedere_business_intelligence::insight::Board| BoardChoice {
        id: board.id.to_string(),
        has_it: board.tiles.iter().any(|tile| tile.insight == insight),
        name: board.name,
    };
    Ok(boards.into_iter().map(choice).collect())
}

/// The address of the page that shows an insight.
pub(in crate::pages) fn href_of(base: &str, insight: &Insight) -> String {
    href(base, &insight.question, &[("insight", &insight.id.to_string())])
}

/// To the page of an insight after something was done to it.
fn back(scene: &Scene, insight: &Insight, word: &str) -> Response {
    let id = insight.id.to_string();
    let href = href(&scene.base(), &insight.question, &[("insight", &id), ("done", word)]);
    Redirect::to(&href).into_response()
}

/// Opens the project for somebody who may keep insights there.
pub(in crate::pages) async fn open(
    state: Arc<DashboardState>,
    visitor: Visitor,
    project: &str,
) -> Result<Scene, Refusal> {
    let scene = Scene::open(state, visitor, project, Permission::ManageInsights).await?;
    scene.business()?;
    Ok(scene)
}

fn parse(id: &str) -> Result<InsightId, Refusal> {
    id.parse().map_err(|_| Refusal::NotFound)
}

/// The page that a form was sent from.
fn asked(form: &Pairs) -> Result<(Kind, Pairs), Refusal> {
    let kind = Kind::find(form.text("kind")).ok_or(Refusal::NotFound)?;
    Ok((kind, Pairs::of_query(form.raw("question"))?))
}

/// The page again, with why something was not kept.
async fn again(scene: &Scene, form: &Pairs, insight: &str, refusal: Refusal) -> Result<Response, Refusal> {
    let error = refusal.into_form_error()?;
    let (kind, pairs) = asked(form)?;
    let pairs = pairs.with("insight", insight).with("name", form.text("name"));
    let mut response = super::page(scene, kind, &pairs, error).await?;
    *response.status_mut() = StatusCode::UNPROCESSABLE_ENTITY;
    Ok(response)
}

/// `POST /projects/{project}/insights/saved`
pub(super) async fn create(
    State(state): State<Arc<DashboardState>>,
    visitor: Visitor,
    Path(project): Path<String>,
    CheckedForm(form): CheckedForm,
) -> Result<Response, Refusal> {
    let scene = open(state, visitor, &project).await?;
    let (kind, pairs) = asked(&form)?;
    let new = NewInsight { name: form.text("name").to_owned(), question: read(kind, &pairs)? };
    match scene.state.insights.create_insight(scene.id(), new, &by(&scene)).await {
        Ok(insight) => Ok(back(&scene, &insight, "saved")),
        Err(error) => again(&scene, &form, "", error.into()).await,
    }
}

/// `POST /projects/{project}/insights/saved/{id}`: its name, and what the page asks by now.
pub(super) async fn change(
    State(state): State<Arc<DashboardState>>,
    visitor: Visitor,
    Path((project, id)): Path<(String, String)>,
    CheckedForm(form): CheckedForm,
) -> Result<Response, Refusal> {
    let scene = open(state, visitor, &project).await?;
    let (kind, pairs) = asked(&form)?;
    let change =
        InsightChange { name: Some(form.text("name").to_owned()), question: Some(read(kind, &pairs)?) };
    match scene.state.insights.change_insight(scene.id(), parse(&id)?, change, &by(&scene)).await {
        Ok(insight) => Ok(back(&scene, &insight, "saved")),
        Err(error) => again(&scene, &form, &id, error.into()).await,
    }
}

/// `POST /projects/{project}/insights/saved/{id}/delete`
pub(super) async fn delete(
    State(state): State<Arc<DashboardState>>,
    visitor: Visitor,
    Path((project, id)): Path<(String, String)>,
    _: CheckedForm,
) -> Result<Response, Refusal> {
    let scene = open(state, visitor, &project).await?;
    let insight = scene.state.insights.find_insight(scene.id(), parse(&id)?).await?;
    scene.state.insights.delete_insight(scene.id(), insight.id, &by(&scene)).await?;
    let kind = Kind::of(&insight.question);
    Ok(done(&format!("{}/insights/{}", scene.base(), kind.word()), "gone"))
}

/// `POST /projects/{project}/insights/saved/{id}/pin`: to a dashboard, or to a new one of that name.
pub(super) async fn pin(
    State(state): State<Arc<DashboardState>>,
    visitor: Visitor,
    Path((project, id)): Path<(String, String)>,
    CheckedForm(form): CheckedForm,
) -> Result<Response, Refusal> {
    let scene = open(state, visitor, &project).await?;
    let insight = scene.state.insights.find_insight(scene.id(), parse(&id)?).await?;
    let width = match insight.question {
        Question::Retention(_) => TileWidth::Full,
        _ => TileWidth::Half,
    };
    let tile = Tile { insight: insight.id, width };
    let (boards, by) = (&scene.state.boards, by(&scene));
    let pinned = match form.text("board") {
        "" => boards.create_board(scene.id(), form.text("name"), vec![tile], &by).await,
        board => {
            let board: BoardId = board.parse().map_err(|_| Refusal::NotFound)?;
            boards.pin_insight(scene.id(), board, tile, &by).await
        }
    };
    match pinned {
        Ok(board) => Ok(done(&format!("{}/dashboards/{}", scene.base(), board.id), "pinned")),
        Err(error) => {
            let error = Refusal::from(error).into_form_error()?;
            let pairs = Pairs::of_query(&query(&insight.question, &[("insight", &id)]))?;
            let mut response = super::page(&scene, Kind::of(&insight.question), &pairs, error).await?;
            *response.status_mut() = StatusCode::UNPROCESSABLE_ENTITY;
            Ok(response)
        }
    }
}
