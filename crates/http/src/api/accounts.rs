//! Projects, ingest keys and API tokens.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use belvedere_accounts::{IngestKeyChange, NewApiToken, NewIngestKey, NewProject, ProjectChange};
use http::StatusCode;
use serde::{Deserialize, Deserializer};
use utoipa::{IntoParams, ToSchema};

use super::answer::{ApiTokenAnswer, IngestKeyAnswer, List, NewApiTokenAnswer, ProjectAnswer, TokenScope};
use super::input::{JsonBody, Parameters, PathText, instant, page, project};
use crate::problem::Problem;
use crate::routes::Caller;
use crate::state::Shared;

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct KeysWanted {
    /// The project's number or slug; may be left out while there is only one.
    pub(super) project: Option<String>,
    /// Rows on a page, 1 to 200; 50 if left out.
    pub(super) limit: Option<u16>,
    /// `next` of the page before.
    pub(super) cursor: Option<String>,
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct TokensWanted {
    /// Rows on a page, 1 to 200; 50 if left out.
    limit: Option<u16>,
    /// `next` of the page before.
    cursor: Option<String>,
}

/// A project to be made.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewProjectBody {
    /// Its name for people, 1 to 100 characters.
    name: String,
    /// Its name in addresses; made from the name if left out.
    slug: Option<String>,
    /// IANA time zone; `UTC` if left out.
    time_zone: Option<String>,
    /// Whether it holds generated data.
    #[serde(default)]
    is_demo: bool,
}

/// New values for a project; what is left out stays as it is.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ProjectChangeBody {
    /// Its name for people, 1 to 100 characters.
    name: Option<String>,
    /// Its name in addresses.
    slug: Option<String>,
    /// IANA time zone.
    time_zone: Option<String>,
}

/// An ingest key to be made.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewIngestKeyBody {
    /// The project's number or slug; may be left out while there is only one.
    project: Option<String>,
    /// What people call it, 1 to 100 characters.
    label: String,
    /// The most requests per minute; null is unlimited.
    rate_limit_per_minute: Option<u32>,
    /// Origins from which browsers may send; empty allows all.
    #[serde(default)]
    allowed_origins: Vec<String>,
}

/// New values for an ingest key; what is left out stays as it is.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct IngestKeyChangeBody {
    /// What people call it, 1 to 100 characters.
    label: Option<String>,
    /// The most requests per minute; null takes the limit away.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<u32>)]
    rate_limit_per_minute: Option<Option<u32>>,
    /// Origins from which browsers may send; empty allows all.
    allowed_origins: Option<Vec<String>>,
}

/// An API token to be made.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewApiTokenBody {
    /// What people call it, 1 to 100 characters.
    label: String,
    /// What it may do; at least one.
    scopes: Vec<TokenScope>,
    /// When it stops working by itself; null is never.
    #[schema(format = DateTime)]
    expires_at: Option<String>,
}

/// Tells null from a field that is left out.
pub(super) fn given<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    deserializer: D,
) -> Result<Option<Option<T>>, D::Error> {
    Option::<T>::deserialize(deserializer).map(Some)
}

/// List the organisation's projects
#[utoipa::path(get, path = "/api/v1/projects", tag = "projects",
    responses((status = 200, description = "All projects by number", body = List<ProjectAnswer>)))]
pub(super) async fn list_projects(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
) -> Result<Json<List<ProjectAnswer>>, Problem> {
    let projects = shared.accounts.list_projects(&caller.principal).await?;
    Ok(Json(List { items: projects.into_iter().map(ProjectAnswer::from).collect(), next: None }))
}

/// Make a project
#[utoipa::path(post, path = "/api/v1/projects", tag = "projects", request_body = NewProjectBody,
    responses((status = 201, description = "The new project, without keys", body = ProjectAnswer)))]
pub(super) async fn create_project(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    JsonBody(body): JsonBody<NewProjectBody>,
) -> Result<(StatusCode, Json<ProjectAnswer>), Problem> {
    let new = NewProject {
        name: body.name,
        slug: body.slug,
        time_zone: body.time_zone.unwrap_or_else(|| "UTC".to_owned()),
        is_demo: body.is_demo,
    };
    let project = shared.accounts.create_project(&caller.principal, new, &caller.client).await?;
    Ok((StatusCode::CREATED, Json(project.into())))
}

/// Read a project
#[utoipa::path(get, path = "/api/v1/projects/{project}", tag = "projects",
    params(("project" = String, Path, description = "The project's number or slug")),
    responses((status = 200, description = "The project", body = ProjectAnswer)))]
pub(super) async fn find_project(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    PathText(named): PathText,
) -> Result<Json<ProjectAnswer>, Problem> {
    Ok(Json(project(&shared, &caller, Some(&named)).await?.into()))
}

/// Change a project
#[utoipa::path(put, path = "/api/v1/projects/{project}", tag = "projects", request_body = ProjectChangeBody,
    params(("project" = String, Path, description = "The project's number or slug")),
    responses((status = 200, description = "The project after the change", body = ProjectAnswer)))]
pub(super) async fn update_project(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    PathText(named): PathText,
    JsonBody(body): JsonBody<ProjectChangeBody>,
) -> Result<Json<ProjectAnswer>, Problem> {
    let project = project(&shared, &caller, Some(&named)).await?;
    let change =
        ProjectChange { project: project.id, name: body.name, slug: body.slug, time_zone: body.time_zone };
    Ok(Json(shared.accounts.update_project(&caller.principal, change, &caller.client).await?.into()))
}

/// List a project's ingest keys, newest first
#[utoipa::path(get, path = "/api/v1/ingest_keys", tag = "keys", params(KeysWanted),
    responses((status = 200, description = "A page of keys, revoked ones included", body = List<IngestKeyAnswer>)))]
pub(super) async fn list_ingest_keys(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Parameters(wanted): Parameters<KeysWanted>,
) -> Result<Json<List<IngestKeyAnswer>>, Problem> {
    let project = project(&shared, &caller, wanted.project.as_deref()).await?;
    let page = page(wanted.limit, wanted.cursor)?;
    let keys = shared.ingest_keys.list_ingest_keys(&caller.principal, project.id, page).await?;
    Ok(List::of(keys, |key| IngestKeyAnswer::new(&shared.public_url, key)))
}

/// Make an ingest key
#[utoipa::path(post, path = "/api/v1/ingest_keys", tag = "keys", request_body = NewIngestKeyBody,
    responses((status = 201, description = "The new key", body = IngestKeyAnswer)))]
pub(super) async fn create_ingest_key(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    JsonBody(body): JsonBody<NewIngestKeyBody>,
) -> Result<(StatusCode, Json<IngestKeyAnswer>), Problem> {
    let project = project(&shared, &caller, body.project.as_deref()).await?;
    let new = NewIngestKey {
        project: project.id,
        label: body.label,
        rate_limit_per_minute: body.rate_limit_per_minute,
        allowed_origins: body.allowed_origins,
    };
    let key = shared.ingest_keys.create_ingest_key(&caller.principal, new, &caller.client).await?;
    Ok((StatusCode::CREATED, Json(IngestKeyAnswer::new(&shared.public_url, key))))
}

/// Change an ingest key
#[utoipa::path(put, path = "/api/v1/ingest_keys/{id}", tag = "keys", request_body = IngestKeyChangeBody,
    params(("id" = String, Path, description = "The key's id")),
    responses((status = 200, description = "The key after the change", body = IngestKeyAnswer)))]
pub(super) async fn update_ingest_key(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    path: PathText,
    JsonBody(body): JsonBody<IngestKeyChangeBody>,
) -> Result<Json<IngestKeyAnswer>, Problem> {
    let change = IngestKeyChange {
        key: path.id("ingest key")?,
        label: body.label,
        rate_limit_per_minute: body.rate_limit_per_minute,
        allowed_origins: body.allowed_origins,
    };
    let key = shared.ingest_keys.update_ingest_key(&caller.principal, change, &caller.client).await?;
    Ok(Json(IngestKeyAnswer::new(&shared.public_url, key)))
}

/// Make an ingest key stop working for good
#[utoipa::path(delete, path = "/api/v1/ingest_keys/{id}", tag = "keys",
    params(("id" = String, Path, description = "The key's id")),
    responses((status = 204, description = "It does not work any more")))]
pub(super) async fn revoke_ingest_key(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    path: PathText,
) -> Result<StatusCode, Problem> {
    let key = path.id("ingest key")?;
    shared.ingest_keys.revoke_ingest_key(&caller.principal, key, &caller.client).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// List the organisation's API tokens, newest first
#[utoipa::path(get, path = "/api/v1/api_tokens", tag = "keys", params(TokensWanted),
    responses((status = 200, description = "A page of tokens, revoked ones included", body = List<ApiTokenAnswer>)))]
pub(super) async fn list_api_tokens(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Parameters(wanted): Parameters<TokensWanted>,
) -> Result<Json<List<ApiTokenAnswer>>, Problem> {
    let page = page(wanted.limit, wanted.cursor)?;
    let tokens = shared.api_tokens.list_api_tokens(&caller.principal, page).await?;
    Ok(List::of(tokens, ApiTokenAnswer::from))
}

/// Make an API token
#[utoipa::path(post, path = "/api/v1/api_tokens", tag = "keys", request_body = NewApiTokenBody,
    responses((status = 201, description = "The new token with its secret", body = NewApiTokenAnswer)))]
pub(super) async fn create_api_token(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    JsonBody(body): JsonBody<NewApiTokenBody>,
) -> Result<(StatusCode, Json<NewApiTokenAnswer>), Problem> {
    let new = NewApiToken {
        label: body.label,
        scopes: body.scopes.into_iter().map(Into::into).collect(),
        expires_at: instant("expires_at", body.expires_at.as_deref())?,
    };
    let (token, secret) = shared.api_tokens.create_api_token(&caller.principal, new, &caller.client).await?;
    Ok((StatusCode::CREATED, Json(NewApiTokenAnswer { token: token.into(), secret: secret.0 })))
}

/// Make an API token stop working for good
#[utoipa::path(delete, path = "/api/v1/api_tokens/{id}", tag = "keys",
    params(("id" = String, Path, description = "The token's id")),
    responses((status = 204, description = "It does not work any more")))]
pub(super) async fn revoke_api_token(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    path: PathText,
) -> Result<StatusCode, Problem> {
    let token = path.id("API token")?;
    shared.api_tokens.revoke_api_token(&caller.principal, token, &caller.client).await?;
    Ok(StatusCode::NO_CONTENT)
}
