//! Files as pages show them.

use belvedere_error_tracking::attachment::AttachmentInfo;
use belvedere_kernel::ProjectId;
use belvedere_storage::Timestamp;

use crate::wording::{Bytes, Count};

/// A file in a list.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct AttachmentRow {
    pub(crate) name: String,
    /// What the client says that it is for, in words.
    pub(crate) kind: String,
    /// What it is by its bytes, and what the client calls it where that is something else.
    pub(crate) format: String,
    pub(crate) size: Bytes,
    pub(crate) size_bytes: Count,
    pub(crate) sha256: String,
    pub(crate) is_scrubbed: bool,
    pub(crate) received_at: Timestamp,
    /// The page of the file.
    pub(crate) href: String,
    pub(crate) is_image: bool,
    pub(crate) is_text: bool,
}

impl AttachmentRow {
    pub(crate) fn new(project: ProjectId, info: &AttachmentInfo) -> Self {
        let told = info.content_type.as_str();
        let is = info.format.as_str();
        let format = match info.format.image_type() {
            _ if told.is_empty() => is.to_owned(),
            Some(image) if image == told => is.to_owned(),
            _ => format!("{is}, sent as {told}"),
        };
        Self {
            name: info.name.clone(),
            kind: info.kind.strip_prefix("event.").unwrap_or(&info.kind).replace('_', " "),
            format,
            size: Bytes(info.size_bytes),
            size_bytes: Count(info.size_bytes),
            sha256: info.sha256.clone(),
            is_scrubbed: info.is_scrubbed,
            received_at: info.received_at,
            href: format!("/projects/{project}/events/{}/attachments/{}", info.event_id, info.id),
            is_image: info.format.image_type().is_some(),
            is_text: info.format.is_text(),
        }
    }
}
