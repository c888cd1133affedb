//! All values of one tag of an issue.

use std::sync::Arc;

use askama::Template;
use axum::extract::{Path, State};
use axum::response::Response;
use belvedere_accounts::Permission;

use crate::form::Pairs;
use crate::layout::{Layout, Scene, Section};
use crate::pages::issues::find;
use crate::refusal::Refusal;
use crate::respond;
use crate::session::Visitor;
use crate::state::DashboardState;
use crate::views::issues::IssueRow;
use crate::views::tags::TagView;

#[derive(Template)]
#[template(path = "issue_tag.html")]
struct TagPage {
    layout: Layout,
    base: String,
    issue: IssueRow,
    tag: TagView,
    keys: Vec<(String, String, bool)>,
}

/// `GET /projects/{project}/issues/{issue}/tags/{key}`
pub(crate) async fn show(
    State(state): State<Arc<DashboardState>>,
    visitor: Visitor,
    Path((project, issue, key)): Path<(String, String, String)>,
    pairs: Pairs,
) -> Result<Response, Refusal> {
    let scene = Scene::open(state, visitor, &project, Permission::ViewIssues).await?;
    let issue = find(&scene, &issue).await?;
    let id = issue.summary.id;
    let search = &scene.state.search;
    let (tag, summary) =
        tokio::join!(search.find_tag(scene.id(), id, &key), search.summarise_tags(scene.id(), id));
    let tag = tag?.ok_or(Refusal::NotFound)?;
    let row = IssueRow::new(scene.id(), &issue.summary, scene.now);
    let keys = summary?.into_iter().map(|tag| {
        let href = format!("{}/tags/{}", row.href, tag.key);
        let is_current = tag.key == key;
        (tag.key, href, is_current)
    });
    Ok(respond::page(&TagPage {
        layout: scene.layout(Section::Issues, &pairs).await?,
        base: scene.base(),
        keys: keys.collect(),
        tag: TagView::new(scene.id(), &id.to_string(), &tag, scene.now),
        issue: row,
    }))
}
