//! Dashboards, and the links to them.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use belvedere_business_intelligence::insight::{
    Board, BoardChange, BoardId, InsightId, Link, LinkId, Tile, TileWidth,
};
use belvedere_storage::Timestamp;
use http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::changed_by;
use crate::api::input::{InProject, JsonBody, PathPair, PathText, instant, project};
use crate::problem::Problem;
use crate::routes::Caller;
use crate::state::Shared;

/// An insight on a dashboard.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::api) struct TileAnswer {
    /// The insight's id.
    #[schema(value_type = String)]
    insight: InsightId,
    /// `half` or `full`.
    width: &'static str,
}

/// Insights that are looked at together.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::api) struct DashboardAnswer {
    /// A ULID.
    #[schema(value_type = String)]
    id: BoardId,
    /// What people call it.
    name: String,
    /// In their order.
    tiles: Vec<TileAnswer>,
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    /// When it, or its tiles, were changed.
    #[schema(value_type = String, format = DateTime)]
    changed_at: Timestamp,
}

impl From<Board> for DashboardAnswer {
    fn from(board: Board) -> Self {
        let tile = |tile: Tile| TileAnswer { insight: tile.insight, width: tile.width.as_str() };
        Self {
            id: board.id,
            name: board.name,
            tiles: board.tiles.into_iter().map(tile).collect(),
            created_at: board.created_at,
            changed_at: board.changed_at,
        }
    }
}

/// An insight for a dashboard.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::api) struct TileBody {
    /// The insight's id.
    insight: String,
    /// `half` (if left out) or `full`.
    width: Option<String>,
}

/// A dashboard to be made.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::api) struct NewDashboardBody {
    /// The project's number or slug; may be left out while there is only one.
    project: Option<String>,
    /// What people call it: 1 to 100 characters, no two of a project the same.
    name: String,
    /// At most 24 insights in their order, none twice.
    #[serde(default)]
    tiles: Vec<TileBody>,
}

/// What changes about a dashboard; what is left out stays.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::api) struct DashboardChangeBody {
    /// What people call it.
    name: Option<String>,
    /// All its tiles: at most 24 insights in their order, none twice.
    tiles: Option<Vec<TileBody>>,
}

/// A link without its secret.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::api) struct LinkAnswer {
    /// A ULID.
    #[schema(value_type = String)]
    id: LinkId,
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    /// From when on it shows nothing; null for never.
    #[schema(value_type = Option<String>, format = DateTime)]
    expires_at: Option<Timestamp>,
}

impl From<Link> for LinkAnswer {
    fn from(link: Link) -> Self {
        Self { id: link.id, created_at: link.created_at, expires_at: link.expires_at }
    }
}

/// A new link.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::api) struct NewLinkAnswer {
    #[serde(flatten)]
    link: LinkAnswer,
    /// Its address; shown this once.
    url: String,
}

/// A link to be made.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::api) struct NewLinkBody {
    /// From when on it shows nothing; never if left out.
    expires_at: Option<String>,
}

fn tiles(bodies: Vec<TileBody>) -> Result<Vec<Tile>, Problem> {
    let tile = |body: TileBody| {
        let insight = body.insight.parse();
        let insight =
            insight.map_err(|_| Problem::invalid("tiles", "must each have the id of an insight"))?;
        let width = body.width.as_deref().map_or(Some(TileWidth::Half), TileWidth::find);
        let width = width.ok_or_else(|| Problem::invalid("width", "must be half or full"))?;
        Ok(Tile { insight, width })
    };
    bodies.into_iter().map(tile).collect()
}

/// List a project's dashboards by name
#[utoipa::path(get, path = "/api/v1/dashboards", tag = "insights", params(InProject),
    responses((status = 200, description = "At most 50 dashboards", body = Vec<DashboardAnswer>)))]
pub(in crate::api) async fn list_dashboards(
    State(shared): State<Arc<Shared>>,
    InProject(project): InProject,
) -> Result<Json<Vec<DashboardAnswer>>, Problem> {
    let boards = shared.boards.list_boards(project.id).await?;
    Ok(Json(boards.into_iter().map(DashboardAnswer::from).collect()))
}

/// Make a dashboard
#[utoipa::path(post, path = "/api/v1/dashboards", tag = "insights", request_body = NewDashboardBody,
    responses((status = 201, description = "The new dashboard", body = DashboardAnswer)))]
pub(in crate::api) async fn create_dashboard(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    JsonBody(body): JsonBody<NewDashboardBody>,
) -> Result<(StatusCode, Json<DashboardAnswer>), Problem> {
    let project = project(&shared, &caller, body.project.as_deref()).await?;
    let tiles = tiles(body.tiles)?;
    let by = changed_by(&caller);
    let board = shared.boards.create_board(project.id, &body.name, tiles, &by).await?;
    Ok((StatusCode::CREATED, Json(board.into())))
}

/// Find a dashboard
#[utoipa::path(get, path = "/api/v1/dashboards/{id}", tag = "insights",
    params(("id" = String, Path, description = "The dashboard's id"), InProject),
    responses((status = 200, description = "The dashboard", body = DashboardAnswer)))]
pub(in crate::api) async fn find_dashboard(
    State(shared): State<Arc<Shared>>,
    path: PathText,
    InProject(project): InProject,
) -> Result<Json<DashboardAnswer>, Problem> {
    Ok(Json(shared.boards.find_board(project.id, path.id("dashboard")?).await?.into()))
}

/// Change the name of a dashboard, or its tiles all at once
#[utoipa::path(put, path = "/api/v1/dashboards/{id}", tag = "insights", request_body = DashboardChangeBody,
    params(("id" = String, Path, description = "The dashboard's id"), InProject),
    responses((status = 200, description = "The dashboard as it is now", body = DashboardAnswer)))]
pub(in crate::api) async fn update_dashboard(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    path: PathText,
    InProject(project): InProject,
    JsonBody(body): JsonBody<DashboardChangeBody>,
) -> Result<Json<DashboardAnswer>, Problem> {
    let change = BoardChange { name: body.name, tiles: body.tiles.map(tiles).transpose()? };
    let (id, by) = (path.id("dashboard")?, changed_by(&caller));
    Ok(Json(shared.boards.change_board(project.id, id, change, &by).await?.into()))
}

/// Delete a dashboard and its links; the insights stay
#[utoipa::path(delete, path = "/api/v1/dashboards/{id}", tag = "insights",
    params(("id" = String, Path, description = "The dashboard's id"), InProject),
    responses((status = 204, description = "It is gone")))]
pub(in crate::api) async fn delete_dashboard(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    path: PathText,
    InProject(project): InProject,
) -> Result<StatusCode, Problem> {
    shared.boards.delete_board(project.id, path.id("dashboard")?, &changed_by(&caller)).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// List the links to a dashboard, the oldest first
#[utoipa::path(get, path = "/api/v1/dashboards/{id}/links", tag = "insights",
    params(("id" = String, Path, description = "The dashboard's id"), InProject),
    responses((status = 200, description = "At most 10 links", body = Vec<LinkAnswer>)))]
pub(in crate::api) async fn list_links(
    State(shared): State<Arc<Shared>>,
    path: PathText,
    InProject(project): InProject,
) -> Result<Json<Vec<LinkAnswer>>, Problem> {
    let links = shared.boards.list_links(project.id, path.id("dashboard")?).await?;
    Ok(Json(links.into_iter().map(LinkAnswer::from).collect()))
}

/// Make a link by which whoever has it sees a dashboard's numbers, and nothing else
#[utoipa::path(post, path = "/api/v1/dashboards/{id}/links", tag = "insights", request_body = NewLinkBody,
    params(("id" = String, Path, description = "The dashboard's id"), InProject),
    responses((status = 201, description = "The new link with its address", body = NewLinkAnswer)))]
pub(in crate::api) async fn create_link(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    path: PathText,
    InProject(project): InProject,
    JsonBody(body): JsonBody<NewLinkBody>,
) -> Result<(StatusCode, Json<NewLinkAnswer>), Problem> {
    let expires_at = instant("expires_at", body.expires_at.as_deref())?;
    let (id, by) = (path.id("dashboard")?, changed_by(&caller));
    let (link, secret) = shared.boards.create_link(project.id, id, expires_at, &by).await?;
    let url = format!("{}/shared/{}/{}", shared.public_url, link.id, secret.reveal());
    Ok((StatusCode::CREATED, Json(NewLinkAnswer { link: link.into(), url })))
}

/// Revoke a link to a dashboard: it shows nothing from now on
#[utoipa::path(delete, path = "/api/v1/dashboards/{id}/links/{link}", tag = "insights",
    params(("id" = String, Path, description = "The dashboard's id"),
        ("link" = String, Path, description = "The link's id"), InProject),
    responses((status = 204, description = "It is revoked")))]
pub(in crate::api) async fn revoke_link(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    PathPair(board, link): PathPair,
    InProject(project): InProject,
) -> Result<StatusCode, Problem> {
    let board: BoardId = board.parse().map_err(|_| Problem::not_found("dashboard"))?;
    let link: LinkId = link.parse().map_err(|_| Problem::not_found("link"))?;
    shared.boards.revoke_link(project.id, board, link, &changed_by(&caller)).await?;
    Ok(StatusCode::NO_CONTENT)
}
