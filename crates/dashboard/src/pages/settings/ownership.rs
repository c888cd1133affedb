//! Who owns what of a project, and which events are discarded.

use std::sync::Arc;

use askama::Template;
use axum::extract::{Path, State};
use axum::response::Response;
use belvedere_accounts::Permission;
use belvedere_error_tracking::{LiftDiscard, SetOwnership};

use super::{SettingsTab, tabs, with_status_of};
use crate::form::{CheckedForm, Pairs, address};
use crate::layout::{Layout, Scene, Section};
use crate::pages::triage::act;
use crate::pages::{done, page_request};
use crate::people::People;
use crate::refusal::Refusal;
use crate::respond;
use crate::session::Visitor;
use crate::state::DashboardState;
use crate::wording::At;

const ROWS_PER_PAGE: u16 = 50;

/// A discard as it is shown.
struct DiscardRow {
    id: String,
    title: String,
    culprit: String,
    since: At,
}

#[derive(Template)]
#[template(path = "settings/ownership.html")]
struct OwnershipPage {
    layout: Layout,
    tabs: Vec<SettingsTab>,
    error: Option<String>,
    may_manage: bool,
    base: String,
    rules: String,
    assigns: bool,
    example: String,
    discards: Vec<DiscardRow>,
    next_href: Option<String>,
}

/// `GET /projects/{project}/settings/ownership`
pub(crate) async fn show(
    State(state): State<Arc<DashboardState>>,
    visitor: Visitor,
    Path(project): Path<String>,
    pairs: Pairs,
) -> Result<Response, Refusal> {
    let scene = Scene::open(state, visitor, &project, Permission::ViewIssues).await?;
    scene.errors()?;
    let ownership = scene.state.triage.find_ownership(scene.id()).await?;
    let people = People::load(&scene).await?;
    let rules = people.with_addresses(&ownership.rules);
    page(&scene, &pairs, (rules, ownership.assigns), None).await
}

/// `POST /projects/{project}/settings/ownership`
pub(crate) async fn change(
    State(state): State<Arc<DashboardState>>,
    visitor: Visitor,
    Path(project): Path<String>,
    CheckedForm(form): CheckedForm,
) -> Result<Response, Refusal> {
    let scene = Scene::open(state, visitor, &project, Permission::ManageProjects).await?;
    scene.errors()?;
    let (rules, assigns) = (form.raw("rules").replace("\r\n", "\n"), form.is_ticked("assigns"));
    let set = SetOwnership { act: act(&scene), rules: rules.clone(), assigns };
    match scene.state.triage.set_ownership(set).await {
        Ok(_) => Ok(done(&format!("{}/settings/ownership", scene.base()), "saved")),
        Err(error) => {
            let error = Refusal::from(error).into_form_error()?;
            page(&scene, &Pairs::default(), (rules, assigns), Some(error)).await
        }
    }
}

/// `POST /projects/{project}/settings/discards/{discard}/lift`
pub(crate) async fn lift(
    State(state): State<Arc<DashboardState>>,
    visitor: Visitor,
    Path((project, discard)): Path<(String, String)>,
    CheckedForm(_): CheckedForm,
) -> Result<Response, Refusal> {
    let scene = Scene::open(state, visitor, &project, Permission::ManageIssues).await?;
    let discard = discard.parse().map_err(|_| Refusal::NotFound)?;
    scene.state.triage.lift_discard(LiftDiscard { act: act(&scene), discard }).await?;
    Ok(done(&format!("{}/settings/ownership", scene.base()), "lifted"))
}

async fn page(
    scene: &Scene,
    pairs: &Pairs,
    (rules, assigns): (String, bool),
    error: Option<String>,
) -> Result<Response, Refusal> {
    let has_error = error.is_some();
    let discards = scene.state.triage.list_discards(scene.id(), page_request(pairs, ROWS_PER_PAGE)).await?;
    let row = |discard: belvedere_error_tracking::Discard| DiscardRow {
        id: discard.id.to_string(),
        title: discard.title,
        culprit: discard.culprit,
        since: At(discard.created_at),
    };
    let path = format!("{}/settings/ownership", scene.base());
    let page = OwnershipPage {
        layout: scene.layout(Section::Settings, pairs).await?,
        tabs: tabs(scene, "/ownership"),
        error,
        may_manage: scene.may(Permission::ManageProjects),
        base: scene.base(),
        rules,
        assigns,
        example: "path:src/payments/** anna@example.com".to_owned(),
        discards: discards.items.into_iter().map(row).collect(),
        next_href: discards.next.map(|next| address(&path, &[("after", next.as_str())])),
    };
    Ok(with_status_of(has_error, respond::page(&page)))
}
