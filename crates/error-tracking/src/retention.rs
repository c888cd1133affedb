//! What is not kept any longer, deleted in small steps.
//!
//! The rule, for each issue: events older than the project's days go; of the rest the newest N stay in full, and of
//! older ones the first of each hour (UTC). Counts per issue, hour, environment and person are never touched, so they
//! stay exact. Feedback goes by its age, attachments go with their events or feedback.
//!
//! SQLite is set to overwrite what is deleted and uses the space again; the file does not shrink.

mod store;
mod sweep;

use async_trait::async_trait;
use belvedere_storage::StorageError;

pub(crate) use store::delete_events_in;

/// What one sweep did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Swept {
    /// Events deleted for their age or because others stand for them.
    pub events: u64,
    /// Attachments deleted because they belong to nothing.
    pub attachments: u64,
    /// Feedback deleted for its age.
    pub feedback: u64,
    /// Reports that were brought together with events that came after them.
    pub associated: u64,
}

/// What the schedule asks of retention.
#[async_trait]
pub trait Retention: Send + Sync {
    /// Deletes what is not kept any longer, in transactions of at most 200 events, until nothing is left to delete,
    /// 100,000 events are deleted or `is_stopped` says so; the next sweep goes on.
    async fn sweep(&self, is_stopped: &(dyn Fn() -> bool + Send + Sync)) -> Result<Swept, StorageError>;
}
