//! Files: looked at as escaped text or as images, downloaded inert, deleted.

use std::sync::Arc;

use askama::Template;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use belvedere_accounts::Permission;
use belvedere_error_tracking::attachment::{
    AttachmentContent, AttachmentFormat, AttachmentId, DeleteAttachment,
};
use http::header::{CONTENT_DISPOSITION, CONTENT_SECURITY_POLICY, CONTENT_TYPE};

use crate::form::{CheckedForm, Pairs};
use crate::layout::{Layout, Scene, Section};
use crate::pages::done;
use crate::refusal::Refusal;
use crate::respond;
use crate::session::Visitor;
use crate::state::DashboardState;
use crate::views::attachments::AttachmentRow;
use crate::views::issues::event_href;
use crate::wording::At;

/// How much of a text is shown, in bytes; the rest is in the download.
const SHOWN_BYTES_MAX: usize = 256 << 10;

#[derive(Template)]
#[template(path = "attachment.html")]
struct AttachmentPage {
    layout: Layout,
    base: String,
    file: AttachmentRow,
    received_at: At,
    /// The event that it belongs to, or the feedback's page.
    owner_href: String,
    owner_label: String,
    text: Option<String>,
    is_cut: bool,
    may_manage: bool,
}

/// Where a file is.
type Place = Path<(String, String, String)>;

async fn find(scene: &Scene, event: &str, id: &str) -> Result<AttachmentContent, Refusal> {
    scene.errors()?;
    let id: AttachmentId = id.parse().map_err(|_| Refusal::NotFound)?;
    let found = scene.state.attachments.read_attachment(scene.id(), id).await?.ok_or(Refusal::NotFound)?;
    if found.info.event_id == event { Ok(found) } else { Err(Refusal::NotFound) }
}

/// `GET /projects/{project}/events/{event}/attachments/{id}`
pub(crate) async fn show(
    State(state): State<Arc<DashboardState>>,
    visitor: Visitor,
    Path((project, event, id)): Place,
    pairs: Pairs,
) -> Result<Response, Refusal> {
    let scene = Scene::open(state, visitor, &project, Permission::ViewIssues).await?;
    let found = find(&scene, &event, &id).await?;
    let is_cut = found.bytes.len() > SHOWN_BYTES_MAX;
    let text = found.info.format.is_text().then(|| readable(&found));
    let is_of_event = scene.errors()?.find_event(scene.id(), &event).await?.is_some();
    let base = scene.base();
    let (owner_href, owner_label) = if is_of_event {
        (event_href(scene.id(), &event), format!("event {}", event.chars().take(8).collect::<String>()))
    } else {
        (format!("{base}/feedback"), "feedback".to_owned())
    };
    Ok(respond::page(&AttachmentPage {
        layout: scene.layout(Section::Issues, &pairs).await?,
        base,
        file: AttachmentRow::new(scene.id(), &found.info),
        received_at: At(found.info.received_at),
        owner_href,
        owner_label,
        is_cut: is_cut && text.is_some(),
        text,
        may_manage: scene.may(Permission::ManageIssues),
    }))
}

/// The beginning of a text; JSON with its lines and indentation.
fn readable(found: &AttachmentContent) -> String {
    let bytes = &found.bytes[..found.bytes.len().min(SHOWN_BYTES_MAX)];
    if found.info.format == AttachmentFormat::Json
        && bytes.len() == found.bytes.len()
        && let Ok(value) = serde_json::from_slice::<serde_json::Value>(bytes)
        && let Ok(pretty) = serde_json::to_string_pretty(&value)
    {
        return pretty;
    }
    String::from_utf8_lossy(bytes).into_owned()
}

/// `GET /projects/{project}/events/{event}/attachments/{id}/download`
pub(crate) async fn download(
    State(state): State<Arc<DashboardState>>,
    visitor: Visitor,
    Path((project, event, id)): Place,
) -> Result<Response, Refusal> {
    let scene = Scene::open(state, visitor, &project, Permission::ViewIssues).await?;
    let found = find(&scene, &event, &id).await?;
    Ok((found.info.download_headers(), found.bytes).into_response())
}

/// `GET /projects/{project}/events/{event}/attachments/{id}/image`: only what is an image by its first bytes, under
/// the type of those.
pub(crate) async fn image(
    State(state): State<Arc<DashboardState>>,
    visitor: Visitor,
    Path((project, event, id)): Place,
) -> Result<Response, Refusal> {
    let scene = Scene::open(state, visitor, &project, Permission::ViewIssues).await?;
    let found = find(&scene, &event, &id).await?;
    let kind = found.info.format.image_type().ok_or(Refusal::NotFound)?;
    let headers = [
        (CONTENT_TYPE, kind),
        (CONTENT_DISPOSITION, "inline"),
        (CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'; sandbox"),
    ];
    Ok((headers, found.bytes).into_response())
}

/// `POST /projects/{project}/events/{event}/attachments/{id}/delete`
pub(crate) async fn delete(
    State(state): State<Arc<DashboardState>>,
    visitor: Visitor,
    Path((project, event, id)): Place,
    CheckedForm(_): CheckedForm,
) -> Result<Response, Refusal> {
    let scene = Scene::open(state, visitor, &project, Permission::ManageIssues).await?;
    let found = find(&scene, &event, &id).await?;
    let delete = DeleteAttachment {
        actor: scene.principal().actor,
        organisation: scene.principal().organisation,
        project: scene.id(),
        attachment: found.info.id,
        request_id: scene.client().request_id.clone(),
    };
    scene.state.attachments.delete_attachment(delete).await?;
    let is_of_event = scene.errors()?.find_event(scene.id(), &event).await?.is_some();
    let back =
        if is_of_event { event_href(scene.id(), &event) } else { format!("{}/feedback", scene.base()) };
    Ok(done(&back, "gone"))
}
