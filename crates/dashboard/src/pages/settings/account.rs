//! Oneself: name, e-mail address, password.

use std::sync::Arc;

use askama::Template;
use axum::extract::{Path, State};
use axum::response::Response;
use belvedere_accounts::{PasswordChange, Permission, ProfileChange, Secret};

use super::{SettingsTab, tabs, with_status_of};
use crate::form::{CheckedForm, Pairs};
use crate::layout::{Layout, Scene, Section};
use crate::pages::done;
use crate::refusal::Refusal;
use crate::respond;
use crate::session::{self, Visitor};
use crate::state::DashboardState;

#[derive(Template)]
#[template(path = "settings/account.html")]
struct AccountPage {
    layout: Layout,
    tabs: Vec<SettingsTab>,
    error: Option<String>,
    base: String,
    name: String,
    email: String,
}

/// `GET /projects/{project}/settings/account`
pub(crate) async fn show(
    State(state): State<Arc<DashboardState>>,
    visitor: Visitor,
    Path(project): Path<String>,
    pairs: Pairs,
) -> Result<Response, Refusal> {
    let scene = Scene::open(state, visitor, &project, Permission::ViewProjects).await?;
    page(&scene, &pairs, None).await
}

/// `POST /projects/{project}/settings/account`
pub(crate) async fn change(
    State(state): State<Arc<DashboardState>>,
    visitor: Visitor,
    Path(project): Path<String>,
    CheckedForm(form): CheckedForm,
) -> Result<Response, Refusal> {
    let scene = Scene::open(state, visitor, &project, Permission::ViewProjects).await?;
    let before = scene.state.members.find_self(scene.principal()).await?.ok_or(Refusal::NotFound)?;
    let change = ProfileChange {
        name: Some(form.text("name").to_owned()).filter(|name| *name != before.name),
        email: form.some("email").filter(|email| *email != before.email),
        password: Some(Secret(form.raw("password").to_owned())).filter(|password| !password.0.is_empty()),
    };
    match scene.state.members.update_self(scene.principal(), change, scene.client()).await {
        Ok(_) => Ok(done(&format!("{}/settings/account", scene.base()), "saved")),
        Err(error) => page(&scene, &Pairs::default(), Some(Refusal::from(error).into_form_error()?)).await,
    }
}

/// `POST /projects/{project}/settings/password`
pub(crate) async fn set_password(
    State(state): State<Arc<DashboardState>>,
    visitor: Visitor,
    Path(project): Path<String>,
    CheckedForm(form): CheckedForm,
) -> Result<Response, Refusal> {
    let scene = Scene::open(state, visitor, &project, Permission::ViewProjects).await?;
    let change = PasswordChange {
        current: Some(Secret(form.raw("current").to_owned())).filter(|current| !current.0.is_empty()),
        new: Secret(form.raw("new").to_owned()),
    };
    match scene.state.sign_in.set_password(scene.principal(), change, scene.client()).await {
        Ok(session) => {
            let response = done(&format!("{}/settings/account", scene.base()), "password");
            Ok(session::begin(&session, scene.now, scene.state.secure_cookies, response))
        }
        Err(error) => page(&scene, &Pairs::default(), Some(Refusal::from(error).into_form_error()?)).await,
    }
}

async fn page(scene: &Scene, pairs: &Pairs, error: Option<String>) -> Result<Response, Refusal> {
    let me = scene.state.members.find_self(scene.principal()).await?.ok_or(Refusal::NotFound)?;
    let has_error = error.is_some();
    let page = AccountPage {
        layout: scene.layout(Section::Settings, pairs).await?,
        tabs: tabs(scene, "/account"),
        error,
        base: scene.base(),
        name: me.name,
        email: me.email,
    };
    Ok(with_status_of(has_error, respond::page(&page)))
}
