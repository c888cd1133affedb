//! Files of events and feedback.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use belvedere_error_tracking::attachment::{AttachmentId, AttachmentInfo, DeleteAttachment};
use belvedere_storage::Timestamp;
use http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;

use super::answer::List;
use super::input::{InProject, PathText};
use crate::problem::Problem;
use crate::routes::Caller;
use crate::state::Shared;

/// A file without its content.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Attachment {
    /// A ULID.
    #[schema(value_type = String)]
    id: AttachmentId,
    /// The event or feedback that it belongs to.
    event_id: String,
    /// Its name as the client gave it, without path and control characters.
    name: String,
    /// The media type as the client gave it; not to be believed.
    content_type: String,
    /// `event.attachment`, `event.view_hierarchy`, ..
    kind: String,
    /// What its first bytes say that it is: `other`, `text`, `json`, `png`, `jpeg`, `gif` or `webp`.
    format: &'static str,
    /// Its size.
    size_bytes: u64,
    /// SHA-256 in hexadecimal digits.
    sha256: String,
    /// Whether rules for personal data changed it.
    is_scrubbed: bool,
    /// When it was received.
    #[schema(value_type = String, format = DateTime)]
    received_at: Timestamp,
}

impl From<AttachmentInfo> for Attachment {
    fn from(info: AttachmentInfo) -> Self {
        Self {
            id: info.id,
            event_id: info.event_id,
            name: info.name,
            content_type: info.content_type,
            kind: info.kind,
            format: info.format.as_str(),
            size_bytes: info.size_bytes,
            sha256: info.sha256,
            is_scrubbed: info.is_scrubbed,
            received_at: info.received_at,
        }
    }
}

/// List the files of an event or of a feedback
#[utoipa::path(get, path = "/api/v1/events/{event_id}/attachments", tag = "issues",
    params(("event_id" = String, Path, description = "32 hexadecimal digits, hyphens allowed"), InProject),
    responses((status = 200, description = "All of them", body = List<Attachment>)))]
pub(super) async fn list_attachments(
    State(shared): State<Arc<Shared>>,
    PathText(event_id): PathText,
    InProject(project): InProject,
) -> Result<Json<List<Attachment>>, Problem> {
    let files = shared.attachments.list_attachments(project.id, &event_id).await?;
    Ok(Json(List { items: files.into_iter().map(Attachment::from).collect(), next: None }))
}

/// Download a file
///
/// Always as something to be saved: nothing in it runs, whatever it is.
#[utoipa::path(get, path = "/api/v1/events/{event_id}/attachments/{id}", tag = "issues",
    params(("event_id" = String, Path, description = "32 hexadecimal digits"),
        ("id" = String, Path, description = "The file's id"), InProject),
    responses((status = 200, description = "The file", content_type = "application/octet-stream")))]
pub(super) async fn read_attachment(
    State(shared): State<Arc<Shared>>,
    Path((event_id, id)): Path<(String, String)>,
    InProject(project): InProject,
) -> Result<Response, Problem> {
    let missing = || Problem::not_found("attachment");
    let id: AttachmentId = id.parse().map_err(|_| missing())?;
    let found = shared.attachments.read_attachment(project.id, id).await?.ok_or_else(missing)?;
    if found.info.event_id != event_id {
        return Err(missing());
    }
    Ok((found.info.download_headers(), found.bytes).into_response())
}

/// Delete a file
#[utoipa::path(delete, path = "/api/v1/events/{event_id}/attachments/{id}", tag = "issues",
    params(("event_id" = String, Path, description = "32 hexadecimal digits"),
        ("id" = String, Path, description = "The file's id"), InProject),
    responses((status = 204, description = "It is gone")))]
pub(super) async fn delete_attachment(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Path((event_id, id)): Path<(String, String)>,
    InProject(project): InProject,
) -> Result<StatusCode, Problem> {
    let missing = || Problem::not_found("attachment");
    let attachment: AttachmentId = id.parse().map_err(|_| missing())?;
    let files = shared.attachments.list_attachments(project.id, &event_id).await?;
    if files.iter().all(|file| file.id != attachment) {
        return Err(missing());
    }
    let delete = DeleteAttachment {
        actor: caller.principal.actor,
        organisation: caller.principal.organisation,
        project: project.id,
        attachment,
        request_id: caller.client.request_id.clone(),
    };
    if shared.attachments.delete_attachment(delete).await? {
        Ok(StatusCode::NO_CONTENT)
    } else {
        Err(missing())
    }
}
