use belvedere_jobs::JobsError;
use belvedere_storage::StorageError;

/// What can go wrong with source maps.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SourceMapError {
    /// A field of the request is not what it should be.
    #[error("{field}: {why}")]
    Invalid {
        /// The field at fault.
        field: &'static str,
        /// What is wrong with it.
        why: String,
    },
    /// There is no room for more.
    #[error("{0}")]
    Full(String),
    /// The computation ended in a way that was not foreseen.
    #[error("source map could not be processed: {0}")]
    Internal(String),
    /// A job could not be enqueued.
    #[error("job could not be enqueued")]
    Jobs(#[source] JobsError),
    /// The database failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

impl SourceMapError {
    pub(crate) fn invalid(field: &'static str, why: impl Into<String>) -> Self {
        Self::Invalid { field, why: why.into() }
    }
}

impl From<JobsError> for SourceMapError {
    fn from(error: JobsError) -> Self {
        match error {
            JobsError::Storage(error) => Self::Storage(error),
            error => Self::Jobs(error),
        }
    }
}
