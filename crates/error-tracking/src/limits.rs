//! What a project keeps, for how long, and how much of it may arrive.
//!
//! Invariants:
//! - What is set holds in the process that set it at once, in others within 5 s.
//! - Storage is counted in the transaction that writes or deletes: payloads of events and feedback, files of
//!   attachments, in bytes as stored (compressed). Indexes and counts per hour are not part of it.

mod book;
mod category;
mod model;
mod service;
mod storage;
mod store;

use async_trait::async_trait;
use belvedere_kernel::ProjectId;

pub(crate) use book::LimitsBook;
pub use category::Category;
pub use model::{ChangeLimits, ProjectLimits, Quota, SpikeProtection, StorageDay, StorageSum, StoredKind};
pub(crate) use storage::{StorageChange, used_bytes};

use crate::ErrorTrackingError;

/// What may be asked of limits.
#[async_trait]
pub trait Limits: Send + Sync {
    /// What a project has set, or the default.
    async fn find_limits(&self, project: ProjectId) -> Result<ProjectLimits, ErrorTrackingError>;

    /// Replaces what a project has set, with an audit entry `limits_changed` that holds what was and what is.
    async fn change_limits(&self, change: ChangeLimits) -> Result<(), ErrorTrackingError>;

    /// What a project takes on disk, by kind.
    async fn sum_storage(&self, project: ProjectId) -> Result<Vec<StorageSum>, ErrorTrackingError>;

    /// What is stored of what a project received on each of the last `days` days (UTC, today included), at most 90;
    /// days without anything left out.
    async fn list_storage_days(
        &self,
        project: ProjectId,
        days: u32,
    ) -> Result<Vec<StorageDay>, ErrorTrackingError>;

    /// What the projects take on disk, for metrics; the first 1,000 rows by project and kind.
    async fn list_storage(&self) -> Result<Vec<StorageSum>, ErrorTrackingError>;

    /// What a project's doors have let in since the beginning of the month (UTC), by category: items, of attachments
    /// bytes.
    async fn list_usage(&self, project: ProjectId) -> Result<Vec<(Category, u64)>, ErrorTrackingError>;
}
