//! One event by its id.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use belvedere_accounts::Permission;
use belvedere_error_tracking::Event;
use http::header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE};

use crate::form::Pairs;
use crate::layout::Scene;
use crate::pages::issues::issue_page;
use crate::refusal::Refusal;
use crate::session::Visitor;
use crate::state::DashboardState;
use crate::views::event::EventView;

/// The most characters of an event id in an address: 32 digits and their hyphens.
const ID_CHARS_MAX: usize = 36;

/// `GET /projects/{project}/events/{event}`
pub(crate) async fn show(
    State(state): State<Arc<DashboardState>>,
    visitor: Visitor,
    Path((project, event)): Path<(String, String)>,
    pairs: Pairs,
) -> Result<Response, Refusal> {
    let scene = Scene::open(state, visitor, &project, Permission::ViewIssues).await?;
    let event = find(&scene, &event).await?;
    let issue = scene.errors()?.find_issue(scene.id(), event.issue).await?.ok_or(Refusal::NotFound)?;
    issue_page(&scene, &pairs, &issue, Some(EventView::new(&event)), true).await
}

/// `GET /projects/{project}/events/{event}/raw`: the payload as it is stored.
pub(crate) async fn raw(
    State(state): State<Arc<DashboardState>>,
    visitor: Visitor,
    Path((project, event)): Path<(String, String)>,
) -> Result<Response, Refusal> {
    let scene = Scene::open(state, visitor, &project, Permission::ViewIssues).await?;
    let event = find(&scene, &event).await?;
    let text =
        serde_json::to_string_pretty(&event.payload).map_err(|error| Refusal::Failed(error.to_string()))?;
    let headers = [
        (CONTENT_TYPE, "application/json; charset=utf-8"),
        // Whatever a browser makes of it, nothing in it runs or loads.
        (CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'; sandbox"),
    ];
    Ok((headers, text).into_response())
}

async fn find(scene: &Scene, event: &str) -> Result<Event, Refusal> {
    let is_id = event.len() <= ID_CHARS_MAX && event.chars().all(|c| c.is_ascii_hexdigit() || c == '-');
    if !is_id {
        return Err(Refusal::NotFound);
    }
    scene.errors()?.find_event(scene.id(), event).await?.ok_or(Refusal::NotFound)
}
