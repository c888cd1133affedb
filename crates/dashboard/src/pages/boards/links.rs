//! The links by which others see a dashboard.

use std::sync::Arc;
use std::time::Duration;

use askama::Template;
use axum::extract::{Path, State};
use axum::response::Response;
use belvedere_accounts::Permission;
use belvedere_business_intelligence::insight::{BoardId, Link, LinkId};

use super::{board_href, parse};
use crate::form::{CheckedForm, Pairs};
use crate::layout::{Layout, Scene, Section};
use crate::pages::done;
use crate::pages::insights::keep::by;
use crate::pages::settings::with_status_of;
use crate::refusal::Refusal;
use crate::respond;
use crate::session::Visitor;
use crate::state::DashboardState;
use crate::wording::At;

/// The longest time that a form can give a link.
const DAYS_MAX: u64 = 3_650;

struct LinkRow {
    id: String,
    created_at: At,
    expires_at: Option<At>,
    is_expired: bool,
}

#[derive(Template)]
#[template(path = "boards/links.html")]
struct LinksPage {
    layout: Layout,
    base: String,
    href: String,
    name: String,
    rows: Vec<LinkRow>,
    /// The address of a link that was just made, this once.
    made: Option<String>,
    error: String,
}

async fn open(
    state: Arc<DashboardState>,
    visitor: Visitor,
    project: &str,
    id: &str,
) -> Result<(Scene, BoardId), Refusal> {
    let scene = Scene::open(state, visitor, project, Permission::ShareDashboards).await?;
    scene.business()?;
    Ok((scene, parse(id)?))
}

/// `GET /projects/{project}/dashboards/{id}/links`: for those who may share dashboards.
pub(super) async fn list(
    State(state): State<Arc<DashboardState>>,
    visitor: Visitor,
    Path((project, id)): Path<(String, String)>,
    pairs: Pairs,
) -> Result<Response, Refusal> {
    let (scene, id) = open(state, visitor, &project, &id).await?;
    page(&scene, id, &pairs, None, String::new()).await
}

async fn page(
    scene: &Scene,
    id: BoardId,
    pairs: &Pairs,
    made: Option<String>,
    error: String,
) -> Result<Response, Refusal> {
    let board = scene.state.boards.find_board(scene.id(), id).await?;
    let links = scene.state.boards.list_links(scene.id(), id).await?;
    let row = |link: Link| LinkRow {
        id: link.id.to_string(),
        created_at: At(link.created_at),
        expires_at: link.expires_at.map(At),
        is_expired: link.expires_at.is_some_and(|end| end <= scene.now),
    };
    let has_error = !error.is_empty();
    let page = LinksPage {
        layout: scene.layout(Section::Dashboards, pairs).await?,
        base: scene.base(),
        href: board_href(scene, id),
        name: board.name,
        rows: links.into_iter().map(row).collect(),
        made,
        error,
    };
    Ok(with_status_of(has_error, respond::page(&page)))
}

/// `POST /projects/{project}/dashboards/{id}/links`: the answer shows the address, this once.
pub(super) async fn create(
    State(state): State<Arc<DashboardState>>,
    visitor: Visitor,
    Path((project, id)): Path<(String, String)>,
    CheckedForm(form): CheckedForm,
) -> Result<Response, Refusal> {
    let (scene, id) = open(state, visitor, &project, &id).await?;
    let none = Pairs::default();
    let days = match form.text("days") {
        "" => None,
        text => match text.parse::<u64>() {
            Ok(days) if (1..=DAYS_MAX).contains(&days) => Some(days),
            _ => {
                let error = "Days must be a number from 1 to 3,650, or nothing.".to_owned();
                return page(&scene, id, &none, None, error).await;
            }
        },
    };
    let end = days.map(|days| scene.now.plus(Duration::from_secs(days * 86_400)));
    match scene.state.boards.create_link(scene.id(), id, end, &by(&scene)).await {
        Ok((link, secret)) => {
            let address = format!("{}/shared/{}/{}", scene.state.public_url, link.id, secret.reveal());
            page(&scene, id, &none, Some(address), String::new()).await
        }
        Err(error) => page(&scene, id, &none, None, Refusal::from(error).into_form_error()?).await,
    }
}

/// `POST /projects/{project}/dashboards/{id}/links/{link}/revoke`
pub(super) async fn revoke(
    State(state): State<Arc<DashboardState>>,
    visitor: Visitor,
    Path((project, id, link)): Path<(String, String, String)>,
    _: CheckedForm,
) -> Result<Response, Refusal> {
    let (scene, id) = open(state, visitor, &project, &id).await?;
    let link: LinkId = link.parse().map_err(|_| Refusal::NotFound)?;
    scene.state.boards.revoke_link(scene.id(), id, link, &by(&scene)).await?;
    Ok(done(&format!("{}/links", board_href(&scene, id)), "revoked"))
}
