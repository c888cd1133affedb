//! A project's own rules of grouping, tried on stored events before they hold.

use std::sync::Arc;

use askama::Template;
use axum::extract::{Path, State};
use axum::response::Response;
use belvedere_accounts::Permission;
use belvedere_error_tracking::grouping_rules::{
    ChangeRules, GroupingRules, Preview, PreviewGroup, PreviewPart, RULES_MAX, StoredRules,
};

use super::{SettingsTab, tabs, with_status_of};
use crate::form::{CheckedForm, Pairs};
use crate::layout::{Layout, Scene, Section};
use crate::pages::done;
use crate::refusal::Refusal;
use crate::respond;
use crate::session::Visitor;
use crate::state::DashboardState;
use crate::wording::Count;

#[derive(Template)]
#[template(path = "settings/grouping.html")]
struct GroupingPage {
    layout: Layout,
    tabs: Vec<SettingsTab>,
    error: Option<String>,
    may_manage: bool,
    rules: String,
    revision: i64,
    rules_max: usize,
    preview: Option<PreviewView>,
}

/// A preview as it is shown.
struct PreviewView {
    events: Count,
    before: Count,
    after: Count,
    ignored: Count,
    moved: Count,
    changes_nothing: bool,
    joins: Vec<GroupView>,
    splits: Vec<GroupView>,
    ignored_events: Vec<PartView>,
}

struct GroupView {
    title: String,
    href: Option<String>,
    parts: Vec<PartView>,
}

struct PartView {
    title: String,
    href: Option<String>,
    events: Count,
}

/// `GET /projects/{project}/settings/grouping`
pub(crate) async fn show(
    State(state): State<Arc<DashboardState>>,
    visitor: Visitor,
    Path(project): Path<String>,
    pairs: Pairs,
) -> Result<Response, Refusal> {
    let scene = Scene::open(state, visitor, &project, Permission::ViewIssues).await?;
    let stored = grouping_rules(&scene)?.find_rules(scene.id()).await?;
    page(&scene, &pairs, stored, None, None).await
}

/// `POST /projects/{project}/settings/grouping`: tries the rules or makes them hold.
pub(crate) async fn change(
    State(state): State<Arc<DashboardState>>,
    visitor: Visitor,
    Path(project): Path<String>,
    CheckedForm(form): CheckedForm,
) -> Result<Response, Refusal> {
    let is_preview = form.text("action") == "preview";
    let permission = if is_preview { Permission::ViewIssues } else { Permission::ManageProjects };
    let scene = Scene::open(state, visitor, &project, permission).await?;
    let rules = form.raw("rules").replace("\r\n", "\n");
    let revision = form.text("revision").parse().unwrap_or(0);
    let draft = StoredRules { rules: rules.clone(), revision, changed_at: None };
    if is_preview {
        return match grouping_rules(&scene)?.preview_rules(scene.id(), &rules).await {
            Ok(preview) => page(&scene, &Pairs::default(), draft, Some(preview), None).await,
            Err(error) => {
                let error = Refusal::from(error).into_form_error()?;
                page(&scene, &Pairs::default(), draft, None, Some(error)).await
            }
        };
    }
    let change = ChangeRules {
        actor: scene.principal().actor,
        organisation: scene.principal().organisation,
        project: scene.id(),
        rules,
        revision: Some(revision),
        request_id: scene.client().request_id.clone(),
    };
    match grouping_rules(&scene)?.change_rules(change).await {
        Ok(_) => Ok(done(&format!("{}/settings/grouping", scene.base()), "saved")),
        Err(error) => {
            let error = Refusal::from(error).into_form_error()?;
            page(&scene, &Pairs::default(), draft, None, Some(error)).await
        }
    }
}

/// The rules, whose page does not exist while error tracking is switched off.
fn grouping_rules(scene: &Scene) -> Result<&dyn GroupingRules, Refusal> {
    scene.errors()?;
    Ok(&*scene.state.grouping_rules)
}

async fn page(
    scene: &Scene,
    pairs: &Pairs,
    stored: StoredRules,
    preview: Option<Preview>,
    error: Option<String>,
) -> Result<Response, Refusal> {
    let has_error = error.is_some();
    let page = GroupingPage {
        layout: scene.layout(Section::Settings, pairs).await?,
        tabs: tabs(scene, "/grouping"),
        error,
        may_manage: scene.may(Permission::ManageProjects),
        rules: stored.rules,
        revision: stored.revision,
        rules_max: RULES_MAX,
        preview: preview.map(|preview| PreviewView::new(scene, preview)),
    };
    Ok(with_status_of(has_error, respond::page(&page)))
}

impl PreviewView {
    fn new(scene: &Scene, preview: Preview) -> Self {
        let part = |part: PreviewPart| PartView {
            href: part.issue.map(|issue| format!("{}/issues/{issue}", scene.base())),
            title: part.title,
            events: Count(part.events),
        };
        let group = |group: PreviewGroup| GroupView {
            href: group.issue.map(|issue| format!("{}/issues/{issue}", scene.base())),
            title: group.title,
            parts: group.parts.into_iter().map(part).collect(),
        };
        Self {
            events: Count(preview.events),
            before: Count(preview.issues_before),
            after: Count(preview.issues_after),
            ignored: Count(preview.ignored),
            moved: Count(preview.moved),
            changes_nothing: preview.moved == 0 && preview.ignored == 0,
            joins: preview.joins.into_iter().map(group).collect(),
            splits: preview.splits.into_iter().map(group).collect(),
            ignored_events: preview.ignored_events.into_iter().map(part).collect(),
        }
    }
}
