//! A project's own rules of grouping.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use belvedere_error_tracking::IssueId;
use belvedere_error_tracking::grouping_rules::{
    ChangeRules, Preview, PreviewGroup, PreviewPart, StoredRules,
};
use belvedere_storage::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::input::{InProject, JsonBody};
use crate::problem::Problem;
use crate::routes::Caller;
use crate::state::Shared;

/// The rules of a project.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct GroupingRulesAnswer {
    /// One rule a line, with comments.
    rules: String,
    /// How often they were changed.
    revision: i64,
    /// When they were changed.
    #[schema(value_type = Option<String>, format = DateTime)]
    changed_at: Option<Timestamp>,
}

impl From<StoredRules> for GroupingRulesAnswer {
    fn from(stored: StoredRules) -> Self {
        Self { rules: stored.rules, revision: stored.revision, changed_at: stored.changed_at }
    }
}

/// New rules for a project.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewGroupingRules {
    /// One rule a line; at most 100 rules and 32 KiB.
    rules: String,
    /// The revision that they are based on; another one is answered 409. Left out, they replace whatever is there.
    revision: Option<i64>,
}

/// Rules to try on stored events.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct DraftGroupingRules {
    /// One rule a line; at most 100 rules and 32 KiB.
    rules: String,
}

/// How the newest stored events of a project, at most 500, would be grouped by other rules.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct GroupingPreview {
    /// How many events were looked at.
    events: u64,
    /// How many issues they are in.
    issues_before: u64,
    /// How many issues they would be in.
    issues_after: u64,
    /// How many of them would have been left out.
    ignored: u64,
    /// How many would come under another issue than they are in.
    moved: u64,
    /// Issues whose events would come together; at most 10.
    joins: Vec<GroupingPreviewGroup>,
    /// Issues whose events would come apart; at most 10.
    splits: Vec<GroupingPreviewGroup>,
    /// Events that would have been left out, by their titles; at most 10.
    ignored_events: Vec<GroupingPreviewPart>,
}

/// An issue and what would come together in it, or what would become of it.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct GroupingPreviewGroup {
    /// The issue; null for one that does not exist yet.
    #[schema(value_type = Option<String>)]
    issue: Option<IssueId>,
    /// Its title.
    title: String,
    /// The issues that it would be made of or fall into; at most 10.
    parts: Vec<GroupingPreviewPart>,
}

/// Some of the events of a preview.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct GroupingPreviewPart {
    /// The issue they are in or would be in; null for one that does not exist yet.
    #[schema(value_type = Option<String>)]
    issue: Option<IssueId>,
    /// The title of one of them.
    title: String,
    /// How many they are.
    events: u64,
}

impl From<PreviewPart> for GroupingPreviewPart {
    fn from(part: PreviewPart) -> Self {
        Self { issue: part.issue, title: part.title, events: part.events }
    }
}

impl From<PreviewGroup> for GroupingPreviewGroup {
    fn from(group: PreviewGroup) -> Self {
        let parts = group.parts.into_iter().map(Into::into).collect();
        Self { issue: group.issue, title: group.title, parts }
    }
}

impl From<Preview> for GroupingPreview {
    fn from(preview: Preview) -> Self {
        Self {
            events: preview.events,
            issues_before: preview.issues_before,
            issues_after: preview.issues_after,
            ignored: preview.ignored,
            moved: preview.moved,
            joins: preview.joins.into_iter().map(Into::into).collect(),
            splits: preview.splits.into_iter().map(Into::into).collect(),
            ignored_events: preview.ignored_events.into_iter().map(Into::into).collect(),
        }
    }
}

/// Read a project's grouping rules
#[utoipa::path(get, path = "/api/v1/grouping_rules", tag = "grouping", params(InProject),
    responses((status = 200, description = "The rules", body = GroupingRulesAnswer)))]
pub(super) async fn find_rules(
    State(shared): State<Arc<Shared>>,
    InProject(project): InProject,
) -> Result<Json<GroupingRulesAnswer>, Problem> {
    Ok(Json(shared.grouping_rules.find_rules(project.id).await?.into()))
}

/// Replace a project's grouping rules
///
/// They hold for events from now on. A line that is no rule is answered 400 with line and column.
#[utoipa::path(put, path = "/api/v1/grouping_rules", tag = "grouping", request_body = NewGroupingRules, params(InProject),
    responses((status = 200, description = "The rules after the change", body = GroupingRulesAnswer)))]
pub(super) async fn change_rules(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    InProject(project): InProject,
    JsonBody(new): JsonBody<NewGroupingRules>,
) -> Result<Json<GroupingRulesAnswer>, Problem> {
    let change = ChangeRules {
        actor: caller.principal.actor,
        organisation: caller.principal.organisation,
        project: project.id,
        rules: new.rules,
        revision: new.revision,
        request_id: caller.client.request_id.clone(),
    };
    Ok(Json(shared.grouping_rules.change_rules(change).await?.into()))
}

/// Try grouping rules on stored events
///
/// Groups the newest 500 events by the rules of the request instead of those that hold, and changes nothing.
#[utoipa::path(post, path = "/api/v1/grouping_rules/preview", tag = "grouping", request_body = DraftGroupingRules,
    params(InProject), responses((status = 200, description = "What would change", body = GroupingPreview)))]
pub(super) async fn preview_rules(
    State(shared): State<Arc<Shared>>,
    InProject(project): InProject,
    JsonBody(draft): JsonBody<DraftGroupingRules>,
) -> Result<Json<GroupingPreview>, Problem> {
    Ok(Json(shared.grouping_rules.preview_rules(project.id, &draft.rules).await?.into()))
}
