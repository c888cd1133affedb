//! Files that came with an event or with somebody's feedback.
//!
//! Invariants:
//! - A file is seen only while its event (or feedback) is stored. One that arrives before it waits for an hour; what
//!   belongs to nothing then is swept, as are the files of events that retention or somebody deletes.
//! - What a client says of a file (name, type) is shown and never believed: what may be looked at in place is decided
//!   by the file's first bytes.
//! - Text and JSON of up to 1 MiB are scrubbed by the project's rules before they are stored, unless the project says
//!   otherwise. Larger and other files are stored as they came.

mod item;
mod model;
mod name;
mod service;
mod sniff;
mod store;

use async_trait::async_trait;
use belvedere_kernel::ProjectId;

pub(crate) use item::{AttachmentOrigin, AttachmentReader, NewAttachment};
pub use model::{
    AttachmentContent, AttachmentFormat, AttachmentId, AttachmentInfo, AttachmentKey, DeleteAttachment,
};
pub(crate) use store::{delete_of_owners_in, store_in, sweep_orphans_in};

use crate::ErrorTrackingError;

/// The largest attachment, in bytes.
pub const ATTACHMENT_BYTES_MAX: usize = 20 << 20;

/// The most attachments of one event.
pub const ATTACHMENTS_MAX: usize = 20;

/// The largest text that is scrubbed, in bytes.
pub const SCRUBBED_BYTES_MAX: usize = 1 << 20;

/// What may be asked of attachments.
#[async_trait]
pub trait Attachments: Send + Sync {
    /// The files of an event or of a feedback, by its 32 hexadecimal digits, in order of arrival; at most
    /// [`ATTACHMENTS_MAX`]. None while neither is stored.
    async fn list_attachments(
        &self,
        project: ProjectId,
        event_id: &str,
    ) -> Result<Vec<AttachmentInfo>, ErrorTrackingError>;

    /// One file whole.
    async fn read_attachment(
        &self,
        project: ProjectId,
        attachment: AttachmentId,
    ) -> Result<Option<AttachmentContent>, ErrorTrackingError>;

    /// Deletes a file, with an audit entry; whether there was one.
    async fn delete_attachment(&self, delete: DeleteAttachment) -> Result<bool, ErrorTrackingError>;
}
