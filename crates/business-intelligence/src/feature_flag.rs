//! Feature flags: who gets what, decided from an id and from what is told of it, and kept nowhere.
//!
//! Invariants:
//! - The same id has the same side of a flag for as long as its share does not shrink; a share that grows takes nobody off.
//! - Nothing of a question is kept: neither the id, nor what is told of it, nor the answer.

mod evaluate;
mod model;
mod service;

use std::sync::Arc;

use async_trait::async_trait;
use belvedere_kernel::ProjectId;

use crate::{BusinessError, ChangedBy};

pub use evaluate::{Decided, Reason, Told, decide};
pub use model::{
    CONDITIONS_MAX, FLAGS_MAX, FeatureFlag, FlagChange, FlagCondition, KEY_BYTES_MAX, NOTE_CHARS_MAX,
    NewFlag, PAYLOAD_BYTES_MAX, VALUE_BYTES_MAX,
};
pub(crate) use service::{Remembered, remembered};

/// The flags of projects. Every change is an audit entry.
///
/// # Errors
/// Every call: [`BusinessError::Invalid`] with the field that is wrong or beyond a limit, [`BusinessError::NotFound`] for
/// what is not in the project, or a storage error; then nothing was changed.
#[async_trait]
pub trait FeatureFlags: Send + Sync {
    /// All of a project, by key; at most [`FLAGS_MAX`].
    async fn list_flags(&self, project: ProjectId) -> Result<Vec<FeatureFlag>, BusinessError>;

    /// One of them.
    async fn find_flag(&self, project: ProjectId, key: &str) -> Result<FeatureFlag, BusinessError>;

    /// Makes a flag.
    async fn create_flag(
        &self,
        project: ProjectId,
        new: NewFlag,
        by: &ChangedBy,
    ) -> Result<FeatureFlag, BusinessError>;

    /// Changes a flag; its key stays, as programs ask for it.
    async fn change_flag(
        &self,
        project: ProjectId,
        key: &str,
        change: FlagChange,
        by: &ChangedBy,
    ) -> Result<FeatureFlag, BusinessError>;

    /// Deletes a flag: whoever asks for it does not have it.
    async fn delete_flag(&self, project: ProjectId, key: &str, by: &ChangedBy) -> Result<(), BusinessError>;

    /// All of a project, to be asked for as often as questions come; at most 5 s old.
    async fn flags_now(&self, project: ProjectId) -> Result<Arc<[FeatureFlag]>, BusinessError>;
}
