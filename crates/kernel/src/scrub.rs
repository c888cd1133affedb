use std::sync::Arc;

use async_trait::async_trait;
use belvedere_storage::StorageError;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::ProjectId;

/// What was taken out of a payload, and where.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Removal {
    /// JSON pointer (RFC 6901) to the value.
    pub path: String,
    /// The rule that removed it, such as `password`, `credit_card`, `email`, `ip`, or `project:<name>`.
    pub rule: String,
}

/// The scrubbing rules of some projects, loaded and ready to apply without I/O.
pub trait ScrubRules: Send + Sync {
    /// Removes what must not be stored from `payload` and says what that was; at most 1,000 removals are listed.
    fn scrub(&self, project: ProjectId, payload: &mut Value) -> Vec<Removal>;
}

/// Where scrubbing rules come from: the built-in ones and each project's own.
#[async_trait]
pub trait Scrubber: Send + Sync {
    /// The rules of these projects as they are now.
    async fn load(&self, projects: &[ProjectId]) -> Result<Arc<dyn ScrubRules>, StorageError>;
}
