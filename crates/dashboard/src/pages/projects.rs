//! Where visitors begin, and making projects.

use std::sync::Arc;

use askama::Template;
use axum::extract::State;
use axum::response::{IntoResponse, Redirect, Response};
use belvedere_accounts::{NewIngestKey, NewProject, Permission};
use http::StatusCode;

use crate::form::CheckedForm;
use crate::layout::{Layout, frame};
use crate::pages::done;
use crate::refusal::Refusal;
use crate::respond;
use crate::session::Visitor;
use crate::state::DashboardState;

/// Time zones that forms suggest; every IANA name is accepted.
pub(crate) const ZONES: [&str; 16] = [
    "UTC",
    "Europe/London",
    "Europe/Berlin",
    "Europe/Paris",
    "Europe/Madrid",
    "Europe/Warsaw",
    "Europe/Istanbul",
    "America/New_York",
    "America/Chicago",
    "America/Los_Angeles",
    "America/Sao_Paulo",
    "Africa/Lagos",
    "Asia/Kolkata",
    "Asia/Shanghai",
    "Asia/Tokyo",
    "Australia/Sydney",
];

#[derive(Template)]
#[template(path = "settings/new_project.html")]
struct NewProjectPage<'a> {
    layout: Layout,
    error: Option<String>,
    name: &'a str,
    time_zone: &'a str,
    zones: &'static [&'static str],
}

/// `GET /`: to the first project, and there to the first section that the visitor may see.
pub(crate) async fn start(
    State(state): State<Arc<DashboardState>>,
    visitor: Visitor,
) -> Result<Response, Refusal> {
    let projects = state.accounts.list_projects(&visitor.principal).await?;
    let rights = &visitor.principal.rights;
    let Some(project) = projects.iter().find(|project| !project.is_demo).or(projects.first()) else {
        visitor.principal.require(Permission::ManageProjects)?;
        return Ok(Redirect::to("/projects/new").into_response());
    };
    let section = match () {
        () if rights.allows(Permission::ViewIssues) => "",
        () if rights.allows(Permission::ViewAudit) => "/audit",
        () => "/settings",
    };
    Ok(Redirect::to(&format!("/projects/{}{section}", project.id)).into_response())
}

/// `GET /projects/new`
pub(crate) async fn new(
    State(state): State<Arc<DashboardState>>,
    visitor: Visitor,
) -> Result<Response, Refusal> {
    visitor.principal.require(Permission::ManageProjects)?;
    form(&state, &visitor, None, "", "UTC").await
}

/// `POST /projects/new`
pub(crate) async fn create(
    State(state): State<Arc<DashboardState>>,
    visitor: Visitor,
    CheckedForm(pairs): CheckedForm,
) -> Result<Response, Refusal> {
    let (name, time_zone) = (pairs.text("name"), pairs.text("time_zone"));
    let new =
        NewProject { name: name.to_owned(), slug: None, time_zone: time_zone.to_owned(), is_demo: false };
    match state.accounts.create_project(&visitor.principal, new, &visitor.client).await {
        Ok(project) => {
            let key = NewIngestKey {
                project: project.id,
                label: "default".to_owned(),
                rate_limit_per_minute: None,
                allowed_origins: Vec::new(),
            };
            state.ingest_keys.create_ingest_key(&visitor.principal, key, &visitor.client).await?;
            Ok(done(&format!("/projects/{}", project.id), "project"))
        }
        Err(error) => {
            let text = Refusal::from(error).into_form_error()?;
            let mut response = form(&state, &visitor, Some(text), name, time_zone).await?;
            *response.status_mut() = StatusCode::UNPROCESSABLE_ENTITY;
            Ok(response)
        }
    }
}

async fn form(
    state: &DashboardState,
    visitor: &Visitor,
    error: Option<String>,
    name: &str,
    time_zone: &str,
) -> Result<Response, Refusal> {
    let projects = state.accounts.list_projects(&visitor.principal).await?;
    let organisations = state.accounts.list_organisations(&visitor.principal).await?;
    let layout = frame(visitor, state.clock.now(), &projects, &organisations, None);
    Ok(respond::page(&NewProjectPage { layout, error, name, time_zone, zones: &ZONES }))
}
