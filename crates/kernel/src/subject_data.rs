use async_trait::async_trait;
use serde_json::Value;
use thiserror::Error;

use crate::{ProjectId, SubjectId};

/// What a slice keeps about subjects, for whoever exports and erases it.
///
/// An erasure is complete once every slice has erased and then counts nothing.
#[async_trait]
pub trait SubjectData: Send + Sync {
    /// What the records are called in an export and in a certificate of erasure, such as `events`.
    fn name(&self) -> &'static str;

    /// A page of the records of a subject; `after` is where the page before ended.
    ///
    /// # Errors
    /// [`SubjectDataError`]; the same call can succeed later if it is transient.
    async fn export(
        &self,
        project: ProjectId,
        subject: SubjectId,
        after: Option<String>,
    ) -> Result<SubjectRecords, SubjectDataError>;

    /// Removes the records of a subject, in memory too, and returns how many there were. Repeating it does no harm.
    ///
    /// # Errors
    /// As [`SubjectData::export`]; then some may be left.
    async fn erase(&self, project: ProjectId, subject: SubjectId) -> Result<u64, SubjectDataError>;

    /// How many records of a subject there are, looked for where they are kept.
    ///
    /// # Errors
    /// As [`SubjectData::export`].
    async fn count(&self, project: ProjectId, subject: SubjectId) -> Result<u64, SubjectDataError>;
}

/// Some records of a subject.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct SubjectRecords {
    /// JSON objects.
    pub records: Vec<Value>,
    /// What the next page comes after; none on the last one.
    pub next: Option<String>,
}

/// Why the data of a subject could not be read or erased.
#[derive(Debug, Error)]
#[error("{what}: {why}")]
pub struct SubjectDataError {
    /// Whose data.
    pub what: &'static str,
    /// What went wrong.
    pub why: String,
    /// Whether the same call can succeed later.
    pub is_transient: bool,
}
