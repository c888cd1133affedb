//! What people say.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use belvedere_error_tracking::IssueId;
use belvedere_error_tracking::feedback::{
    self as model, ChangeFeedback, FeedbackAct, FeedbackDetail, FeedbackId, FeedbackSummary, ListFeedback,
};
use belvedere_kernel::{Removal, SubjectId, User};
use belvedere_storage::{Id, Timestamp};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

use super::answer::List;
use super::input::{InProject, JsonBody, Parameters, PathText, page, project};
use crate::problem::Problem;
use crate::routes::Caller;
use crate::state::Shared;

/// Where a feedback is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum FeedbackStatus {
    Unresolved,
    Resolved,
    Spam,
}

impl From<FeedbackStatus> for model::FeedbackStatus {
    fn from(status: FeedbackStatus) -> Self {
        match status {
            FeedbackStatus::Unresolved => Self::Unresolved,
            FeedbackStatus::Resolved => Self::Resolved,
            FeedbackStatus::Spam => Self::Spam,
        }
    }
}

impl From<model::FeedbackStatus> for FeedbackStatus {
    fn from(status: model::FeedbackStatus) -> Self {
        match status {
            model::FeedbackStatus::Unresolved => Self::Unresolved,
            model::FeedbackStatus::Resolved => Self::Resolved,
            model::FeedbackStatus::Spam => Self::Spam,
        }
    }
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct FeedbackWanted {
    /// The project's number or slug; may be left out while there is only one.
    project: Option<String>,
    /// Only in this status.
    status: Option<FeedbackStatus>,
    /// Only about events of the issue with this id.
    issue: Option<String>,
    /// Only where the message contains this text, without regard to case.
    query: Option<String>,
    /// Rows on a page, 1 to 200; 50 if left out.
    limit: Option<u16>,
    /// `next` of the page before.
    cursor: Option<String>,
}

/// New values for a feedback.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct FeedbackChange {
    /// Its status from now on.
    status: FeedbackStatus,
}

/// What somebody said. Name and e-mail address are shown on the page only, to those who may know them.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct FeedbackAnswer {
    /// A ULID.
    #[schema(value_type = String)]
    id: FeedbackId,
    /// The id that its attachments know it by.
    event_id: String,
    /// Where it is in its life.
    status: FeedbackStatus,
    /// What was said, scrubbed.
    message: String,
    /// `feedback`, `user_report` or a word of the SDK.
    source: String,
    /// Where the person was; any text.
    url: Option<String>,
    /// The event that it is about.
    associated_event_id: Option<String>,
    /// Whether that event is stored.
    has_event: bool,
    /// The issue of that event.
    #[schema(value_type = Option<String>)]
    issue: Option<IssueId>,
    /// Who said it, as a number that says nothing about who it is.
    #[schema(value_type = Option<i64>)]
    subject: Option<SubjectId>,
    /// Whether a name or an e-mail address was given and kept.
    has_contact: bool,
    /// The member who takes care of it.
    #[schema(value_type = Option<String>)]
    assignee: Option<Id<User>>,
    /// The environment.
    environment: Option<String>,
    /// The release.
    release: Option<String>,
    /// When it was said.
    #[schema(value_type = String, format = DateTime)]
    occurred_at: Timestamp,
    /// When it was received.
    #[schema(value_type = String, format = DateTime)]
    received_at: Timestamp,
}

impl From<FeedbackSummary> for FeedbackAnswer {
    fn from(said: FeedbackSummary) -> Self {
        Self {
            id: said.id,
            event_id: said.event_id,
            status: said.status.into(),
            message: said.message,
            source: said.source,
            url: said.url,
            associated_event_id: said.associated_event_id,
            has_event: said.has_event,
            issue: said.issue,
            subject: said.subject,
            has_contact: said.has_contact,
            assignee: said.assignee,
            environment: said.environment,
            release: said.release,
            occurred_at: said.occurred_at,
            received_at: said.received_at,
        }
    }
}

/// A feedback with all that came with it.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct FeedbackDetailAnswer {
    #[serde(flatten)]
    summary: FeedbackAnswer,
    /// The replay that shows how it came about.
    replay_id: Option<String>,
    /// Tags, contexts and breadcrumbs in the shape of an event, scrubbed.
    #[schema(value_type = Object)]
    payload: Value,
    /// What was removed before storage.
    #[schema(value_type = Vec<Object>)]
    removals: Vec<Removal>,
}

impl From<FeedbackDetail> for FeedbackDetailAnswer {
    fn from(detail: FeedbackDetail) -> Self {
        Self {
            summary: detail.summary.into(),
            replay_id: detail.replay_id,
            payload: detail.payload,
            removals: detail.removals,
        }
    }
}

/// List feedback, newest first
#[utoipa::path(get, path = "/api/v1/feedback", tag = "feedback", params(FeedbackWanted),
    responses((status = 200, description = "A page of feedback", body = List<FeedbackAnswer>)))]
pub(super) async fn list_feedback(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Parameters(wanted): Parameters<FeedbackWanted>,
) -> Result<Json<List<FeedbackAnswer>>, Problem> {
    let project = project(&shared, &caller, wanted.project.as_deref()).await?;
    let issue = wanted.issue.map(|issue| issue.parse()).transpose();
    let query = ListFeedback {
        project: project.id,
        status: wanted.status.map(Into::into),
        issue: issue.map_err(|_| Problem::invalid("issue", "must be the id of an issue"))?,
        text: wanted.query,
        page: page(wanted.limit, wanted.cursor)?,
    };
    Ok(List::of(shared.feedback.list_feedback(query).await?, FeedbackAnswer::from))
}

/// Read a feedback
#[utoipa::path(get, path = "/api/v1/feedback/{id}", tag = "feedback",
    params(("id" = String, Path, description = "The feedback's id"), InProject),
    responses((status = 200, description = "The feedback", body = FeedbackDetailAnswer)))]
pub(super) async fn find_feedback(
    State(shared): State<Arc<Shared>>,
    path: PathText,
    InProject(project): InProject,
) -> Result<Json<FeedbackDetailAnswer>, Problem> {
    let id: FeedbackId = path.id("feedback")?;
    let found = shared.feedback.find_feedback(project.id, id).await?;
    found.map(|found| Json(found.into())).ok_or_else(|| Problem::not_found("feedback"))
}

/// Resolve, reopen or mark a feedback as spam
#[utoipa::path(put, path = "/api/v1/feedback/{id}", tag = "feedback", request_body = FeedbackChange,
    params(("id" = String, Path, description = "The feedback's id"), InProject),
    responses((status = 200, description = "The feedback after the change", body = FeedbackDetailAnswer)))]
pub(super) async fn update_feedback(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    path: PathText,
    InProject(project): InProject,
    JsonBody(change): JsonBody<FeedbackChange>,
) -> Result<Json<FeedbackDetailAnswer>, Problem> {
    let id: FeedbackId = path.id("feedback")?;
    let act = FeedbackAct::SetStatus(change.status.into());
    shared.feedback.change_feedback(change_of(&caller, project.id, id, act)).await?;
    let found = shared.feedback.find_feedback(project.id, id).await?;
    found.map(|found| Json(found.into())).ok_or_else(|| Problem::not_found("feedback"))
}

/// Delete a feedback and its attachments
#[utoipa::path(delete, path = "/api/v1/feedback/{id}", tag = "feedback",
    params(("id" = String, Path, description = "The feedback's id"), InProject),
    responses((status = 204, description = "It is gone")))]
pub(super) async fn delete_feedback(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    path: PathText,
    InProject(project): InProject,
) -> Result<StatusCode, Problem> {
    let id: FeedbackId = path.id("feedback")?;
    let change = change_of(&caller, project.id, id, FeedbackAct::Delete);
    match shared.feedback.change_feedback(change).await? {
        0 => Err(Problem::not_found("feedback")),
        _ => Ok(StatusCode::NO_CONTENT),
    }
}

fn change_of(
    caller: &Caller,
    project: belvedere_kernel::ProjectId,
    feedback: FeedbackId,
    act: FeedbackAct,
) -> ChangeFeedback {
    ChangeFeedback {
        actor: caller.principal.actor,
        organisation: caller.principal.organisation,
        project,
        feedback: vec![feedback],
        act,
        request_id: caller.client.request_id.clone(),
    }
}
