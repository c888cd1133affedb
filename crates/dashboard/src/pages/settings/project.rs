//! A project's name and time zone.

use std::sync::Arc;

use askama::Template;
use axum::extract::{Path, State};
use axum::response::Response;
use belvedere_accounts::{Permission, Project, ProjectChange};

use super::{SettingsTab, tabs, with_status_of};
use crate::form::{CheckedForm, Pairs};
use crate::layout::{Layout, Scene, Section};
use crate::pages::done;
use crate::pages::projects::ZONES;
use crate::refusal::Refusal;
use crate::respond;
use crate::session::Visitor;
use crate::state::DashboardState;
use crate::wording::At;

#[derive(Template)]
#[template(path = "settings/project.html")]
struct ProjectPage {
    layout: Layout,
    tabs: Vec<SettingsTab>,
    error: Option<String>,
    project: Project,
    made_at: At,
    may_manage: bool,
    zones: &'static [&'static str],
}

/// `GET /projects/{project}/settings`
pub(crate) async fn show(
    State(state): State<Arc<DashboardState>>,
    visitor: Visitor,
    Path(project): Path<String>,
    pairs: Pairs,
) -> Result<Response, Refusal> {
    let scene = Scene::open(state, visitor, &project, Permission::ViewProjects).await?;
    page(&scene, &pairs, scene.project.clone(), None).await
}

/// `POST /projects/{project}/settings`
pub(crate) async fn change(
    State(state): State<Arc<DashboardState>>,
    visitor: Visitor,
    Path(project): Path<String>,
    CheckedForm(form): CheckedForm,
) -> Result<Response, Refusal> {
    let scene = Scene::open(state, visitor, &project, Permission::ManageProjects).await?;
    let change = ProjectChange {
        project: scene.id(),
        name: Some(form.text("name").to_owned()),
        slug: Some(form.text("slug").to_owned()),
        time_zone: Some(form.text("time_zone").to_owned()),
    };
    match scene.state.accounts.update_project(scene.principal(), change, scene.client()).await {
        Ok(_) => Ok(done(&format!("{}/settings", scene.base()), "saved")),
        Err(error) => {
            let error = Refusal::from(error).into_form_error()?;
            let text = |name: &str| form.text(name).to_owned();
            let sent = Project {
                name: text("name"),
                slug: text("slug"),
                time_zone: text("time_zone"),
                ..scene.project.clone()
            };
            page(&scene, &Pairs::default(), sent, Some(error)).await
        }
    }
}

async fn page(
    scene: &Scene,
    pairs: &Pairs,
    project: Project,
    error: Option<String>,
) -> Result<Response, Refusal> {
    let has_error = error.is_some();
    let page = ProjectPage {
        layout: scene.layout(Section::Settings, pairs).await?,
        tabs: tabs(scene, ""),
        error,
        made_at: At(project.created_at),
        project,
        may_manage: scene.may(Permission::ManageProjects),
        zones: &ZONES,
    };
    Ok(with_status_of(has_error, respond::page(&page)))
}
