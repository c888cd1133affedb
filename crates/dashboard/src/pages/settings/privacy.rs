//! What a project may keep about people.

use std::sync::Arc;

use askama::Template;
use axum::extract::{Path, State};
use axum::response::Response;
use belvedere_accounts::Permission;
use belvedere_privacy::{ChangeSettings, ConsentDefault, PrivacySettings};

use super::{SettingsTab, tabs, with_status_of};
use crate::form::{CheckedForm, Pairs};
use crate::layout::{Layout, Scene, Section};
use crate::pages::done;
use crate::refusal::Refusal;
use crate::respond;
use crate::session::Visitor;
use crate::state::DashboardState;

#[derive(Template)]
#[template(path = "settings/privacy.html")]
struct PrivacyPage {
    layout: Layout,
    tabs: Vec<SettingsTab>,
    error: Option<String>,
    may_manage: bool,
    analytics: bool,
    marketing: bool,
    detailed: bool,
    location: bool,
    scrub_keys: String,
    safe_keys: String,
}

/// `GET /projects/{project}/settings/privacy`
pub(crate) async fn show(
    State(state): State<Arc<DashboardState>>,
    visitor: Visitor,
    Path(project): Path<String>,
    pairs: Pairs,
) -> Result<Response, Refusal> {
    let scene = Scene::open(state, visitor, &project, Permission::ViewProjects).await?;
    let settings = scene.state.privacy.settings(scene.id()).await?;
    page(&scene, &pairs, &settings, None).await
}

/// `POST /projects/{project}/settings/privacy`
pub(crate) async fn change(
    State(state): State<Arc<DashboardState>>,
    visitor: Visitor,
    Path(project): Path<String>,
    CheckedForm(form): CheckedForm,
) -> Result<Response, Refusal> {
    let scene = Scene::open(state, visitor, &project, Permission::ManagePrivacy).await?;
    let settings = PrivacySettings {
        consent_default: ConsentDefault {
            analytics: form.is_ticked("analytics"),
            marketing: form.is_ticked("marketing"),
            detailed: form.is_ticked("detailed"),
            location: form.is_ticked("location"),
        },
        scrub_keys: form.lines("scrub_keys"),
        safe_keys: form.lines("safe_keys"),
    };
    let change = ChangeSettings {
        actor: scene.principal().actor,
        organisation: scene.principal().organisation,
        project: scene.id(),
        settings: settings.clone(),
        request_id: scene.client().request_id.clone(),
    };
    match scene.state.privacy.change_settings(change).await {
        Ok(_) => Ok(done(&format!("{}/settings/privacy", scene.base()), "saved")),
        Err(error) => {
            let error = Refusal::from(error).into_form_error()?;
            page(&scene, &Pairs::default(), &settings, Some(error)).await
        }
    }
}

async fn page(
    scene: &Scene,
    pairs: &Pairs,
    settings: &PrivacySettings,
    error: Option<String>,
) -> Result<Response, Refusal> {
    let has_error = error.is_some();
    let consent = settings.consent_default;
    let page = PrivacyPage {
        layout: scene.layout(Section::Settings, pairs).await?,
        tabs: tabs(scene, "/privacy"),
        error,
        may_manage: scene.may(Permission::ManagePrivacy),
        analytics: consent.analytics,
        marketing: consent.marketing,
        detailed: consent.detailed,
        location: consent.location,
        scrub_keys: settings.scrub_keys.join("\n"),
        safe_keys: settings.safe_keys.join("\n"),
    };
    Ok(with_status_of(has_error, respond::page(&page)))
}
