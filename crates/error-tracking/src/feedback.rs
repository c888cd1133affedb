//! What people say: feedback of Sentry's widgets and the user reports of older SDKs, beside the errors they belong to.
//!
//! Invariants:
//! - The name and the e-mail address that somebody gives are stored sealed under that person's key, or not at all
//!   where the project says so; whoever wants to see them needs the permission and leaves an entry in the audit log.
//!   They are typed to be answered, so they are kept without consent to analytics too; nothing else of the person is.
//! - The message is scrubbed like an event, and free of the person's own identifiers.
//! - A report may come before its event: it is found beside it as soon as the event is there.

mod item;
mod model;
mod service;
mod store;

use async_trait::async_trait;
use belvedere_kernel::ProjectId;
use belvedere_storage::Page;

pub(crate) use item::{NewFeedback, read_feedback, read_user_report};
pub use model::{
    ChangeFeedback, Contact, FeedbackAct, FeedbackDetail, FeedbackId, FeedbackKey, FeedbackStatus,
    FeedbackSummary, ListFeedback, RevealContact,
};
pub(crate) use store::{associate_in, delete_old_in, length_of, store_in};

use crate::ErrorTrackingError;

/// The longest message, in characters.
pub const MESSAGE_CHARS_MAX: usize = 4_096;

/// What may be asked of feedback.
#[async_trait]
pub trait Feedback: Send + Sync {
    /// A page of feedback, newest first.
    async fn list_feedback(&self, query: ListFeedback) -> Result<Page<FeedbackSummary>, ErrorTrackingError>;

    /// How many of `project` are in `status`.
    async fn count_feedback(
        &self,
        project: ProjectId,
        status: FeedbackStatus,
    ) -> Result<u64, ErrorTrackingError>;

    /// One feedback with all that came with it.
    async fn find_feedback(
        &self,
        project: ProjectId,
        feedback: FeedbackId,
    ) -> Result<Option<FeedbackDetail>, ErrorTrackingError>;

    /// Changes or deletes feedback, with one audit entry for each that was another; says how many those were. What
    /// does not exist in the project is passed over.
    async fn change_feedback(&self, change: ChangeFeedback) -> Result<u64, ErrorTrackingError>;

    /// Name and e-mail address as the person gave them; nothing if they gave none or their key was destroyed. An
    /// audit entry `sensitive_read` is written either way, unless there is no such feedback.
    async fn reveal_contact(&self, reveal: RevealContact) -> Result<Option<Contact>, ErrorTrackingError>;
}
