//! Whose token it is, and which organisation and projects it reaches.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use belvedere_accounts::{OrganisationInfo, Project, Rights, Scope};
use belvedere_storage::Timestamp;
use serde_json::{Value, json};

use super::scene;
use crate::problem::Problem;
use crate::routes::Caller;
use crate::state::Shared;

/// The scopes of Sentry that one of ours stands for.
fn sentry_scopes(scope: Scope) -> &'static [&'static str] {
    match scope {
        Scope::Read => &["org:read", "project:read", "event:read"],
        Scope::Write => &["org:ci", "project:releases", "event:write"],
        Scope::Admin => &["org:admin", "project:admin", "project:write"],
    }
}

/// `GET /api/0/`: what the token may do.
pub(super) async fn show_token(caller: Caller) -> Json<Value> {
    let held = match &caller.principal.rights {
        Rights::Scopes(scopes) => scopes.clone(),
        Rights::Role(_) => Scope::ALL.to_vec(),
    };
    let scopes: Vec<&str> = held.into_iter().flat_map(sentry_scopes).copied().collect();
    Json(json!({ "version": "0", "auth": { "scopes": scopes }, "user": null }))
}

/// `GET /api/0/users/me/`: a token is nobody in particular, so it is shown by its label.
pub(super) async fn show_self(caller: Caller) -> Json<Value> {
    let name = &caller.principal.name;
    Json(json!({
        "id": caller.principal.actor.id(), "name": name, "username": name, "email": "", "isActive": true,
    }))
}

fn organisation_json(organisation: &OrganisationInfo) -> Value {
    json!({
        "id": organisation.id,
        "slug": organisation.slug,
        "name": organisation.name,
        "dateCreated": created_at(organisation),
        "status": { "id": "active", "name": "active" },
        "isEarlyAdopter": false,
        "require2FA": false,
        "requireEmailVerification": false,
        "avatar": { "avatarType": "letter_avatar", "avatarUuid": null },
        "features": [],
    })
}

/// An id begins with the milliseconds of its making.
fn created_at(organisation: &OrganisationInfo) -> Timestamp {
    let millis = i64::try_from(u128::from_be_bytes(organisation.id.to_bytes()) >> 80).unwrap_or(0);
    Timestamp::from_micros(millis * 1_000)
}

pub(super) fn project_json(project: &Project, organisation: &OrganisationInfo) -> Value {
    json!({
        "id": project.id.to_string(),
        "slug": project.slug,
        "name": project.name,
        "dateCreated": project.created_at,
        "status": "active",
        "platform": null,
        "organization": organisation_json(organisation),
        "team": null,
        "teams": [],
        "features": ["releases"],
    })
}

/// `GET /api/0/organizations/`: the token's one.
pub(super) async fn list_organisations(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
) -> Result<Json<Vec<Value>>, Problem> {
    let own = shared.accounts.find_organisation(&caller.principal).await?;
    Ok(Json(own.iter().map(organisation_json).collect()))
}

/// `GET /api/0/organizations/{organisation}/`
pub(super) async fn show_organisation(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Path(organisation): Path<String>,
) -> Result<Json<Value>, Problem> {
    Ok(Json(organisation_json(&scene::organisation(&shared, &caller, &organisation).await?)))
}

/// `GET /api/0/organizations/{organisation}/projects/`
pub(super) async fn list_projects(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Path(organisation): Path<String>,
) -> Result<Json<Vec<Value>>, Problem> {
    let organisation = scene::organisation(&shared, &caller, &organisation).await?;
    let projects = shared.accounts.list_projects(&caller.principal).await?;
    Ok(Json(projects.iter().map(|project| project_json(project, &organisation)).collect()))
}

/// `GET /api/0/projects/`
pub(super) async fn list_projects_of_token(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
) -> Result<Json<Vec<Value>>, Problem> {
    let own = shared.accounts.find_organisation(&caller.principal).await?;
    let own = own.ok_or_else(|| Problem::not_found("organisation"))?;
    let projects = shared.accounts.list_projects(&caller.principal).await?;
    Ok(Json(projects.iter().map(|project| project_json(project, &own)).collect()))
}

/// `GET /api/0/projects/{organisation}/{project}/`
pub(super) async fn show_project(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Path((organisation, project)): Path<(String, String)>,
) -> Result<Json<Value>, Problem> {
    let own = scene::organisation(&shared, &caller, &organisation).await?;
    let project = scene::project(&shared, &caller, &organisation, &project).await?;
    Ok(Json(project_json(&project, &own)))
}

/// `GET /api/0/organizations/{organisation}/repos/`: none, so that the tools read commits from the repository that
/// they are called in.
pub(super) async fn list_repositories(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Path(organisation): Path<String>,
) -> Result<Json<Vec<Value>>, Problem> {
    scene::organisation(&shared, &caller, &organisation).await?;
    Ok(Json(Vec::new()))
}
