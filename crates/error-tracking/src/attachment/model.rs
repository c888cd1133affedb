use belvedere_kernel::{Actor, Organisation, ProjectId};
use belvedere_storage::{Id, Timestamp};
use serde::Serialize;

use super::name;

/// Marks ids of attachments.
#[derive(Debug)]
pub enum AttachmentKey {}

/// The key of an attachment.
pub type AttachmentId = Id<AttachmentKey>;

/// What a file's first bytes say that it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum AttachmentFormat {
    /// Anything; only to be downloaded.
    Other,
    /// UTF-8 text, markup of every kind included.
    Text,
    /// JSON of up to 1 MiB.
    Json,
    /// An image in the format of the same name.
    Png,
    /// An image in the format of the same name.
    Jpeg,
    /// An image in the format of the same name.
    Gif,
    /// An image in the format of the same name.
    Webp,
}

impl AttachmentFormat {
    const ALL: [Self; 7] =
        [Self::Other, Self::Text, Self::Json, Self::Png, Self::Jpeg, Self::Gif, Self::Webp];

    /// The format as a word: `other`, `text`, `json`, `png`, `jpeg`, `gif`, `webp`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Other => "other",
            Self::Text => "text",
            Self::Json => "json",
            Self::Png => "png",
            Self::Jpeg => "jpeg",
            Self::Gif => "gif",
            Self::Webp => "webp",
        }
    }

    /// The media type of an image that a browser may show in place; nothing for all else.
    #[must_use]
    pub fn image_type(self) -> Option<&'static str> {
        match self {
            Self::Png => Some("image/png"),
            Self::Jpeg => Some("image/jpeg"),
            Self::Gif => Some("image/gif"),
            Self::Webp => Some("image/webp"),
            Self::Other | Self::Text | Self::Json => None,
        }
    }

    /// Whether it may be shown as escaped text.
    #[must_use]
    pub fn is_text(self) -> bool {
        matches!(self, Self::Text | Self::Json)
    }

    pub(super) fn to_number(self) -> i64 {
        self as i64
    }

    pub(super) fn from_number(number: i64) -> Option<Self> {
        usize::try_from(number).ok().and_then(|number| Self::ALL.get(number)).copied()
    }
}

/// A file without its content.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AttachmentInfo {
    /// Its key.
    pub id: AttachmentId,
    /// The event or feedback that it belongs to: 32 hexadecimal digits.
    pub event_id: String,
    /// The last part of its name as the client gave it, without control characters, at most 200 characters.
    pub name: String,
    /// The media type as the client gave it, at most 100 characters; not to be believed.
    pub content_type: String,
    /// What the client says that it is for, such as `event.attachment` or `event.view_hierarchy`.
    pub kind: String,
    /// What it really is.
    pub format: AttachmentFormat,
    /// Its size in bytes as stored before compression.
    pub size_bytes: u64,
    /// SHA-256 of the same bytes, in hexadecimal digits.
    pub sha256: String,
    /// Whether rules for personal data changed it.
    pub is_scrubbed: bool,
    /// When it was received.
    pub received_at: Timestamp,
}

impl AttachmentInfo {
    /// The headers with which a file is handed out: a browser saves it under its name and runs nothing in it, whatever
    /// it is. Only an image, by its first bytes, has a type of its own.
    #[must_use]
    pub fn download_headers(&self) -> [(&'static str, String); 5] {
        let kind = self.format.image_type().unwrap_or("application/octet-stream");
        [
            ("content-type", kind.to_owned()),
            ("content-disposition", name::disposition(&self.name)),
            ("x-content-type-options", "nosniff".to_owned()),
            ("content-security-policy", "default-src 'none'; frame-ancestors 'none'; sandbox".to_owned()),
            ("cache-control", "private, no-store".to_owned()),
        ]
    }
}

/// A file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttachmentContent {
    /// What is known of it.
    pub info: AttachmentInfo,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

/// Who deletes which file.
#[derive(Debug, Clone)]
pub struct DeleteAttachment {
    /// Who deletes.
    pub actor: Actor,
    /// Whose audit log it is written to.
    pub organisation: Id<Organisation>,
    /// The project.
    pub project: ProjectId,
    /// The file.
    pub attachment: AttachmentId,
    /// The HTTP request, for the audit log.
    pub request_id: Option<String>,
}
