use belvedere_jobs::JobsError;
use belvedere_kernel::VaultError;
use belvedere_storage::StorageError;

/// What can go wrong with alerting.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AlertingError {
    /// A field of a request is wrong.
    #[error("{field}: {why}")]
    Invalid {
        /// Which one.
        field: &'static str,
        /// What is wrong with it, without its value.
        why: String,
    },
    /// There is no such thing in this project.
    #[error("there is no such {0} here")]
    NotFound(&'static str),
    /// A secret could not be sealed or opened.
    #[error("the secret of an endpoint cannot be read or written")]
    Vault(#[source] VaultError),
    /// The database failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

impl AlertingError {
    pub(crate) fn invalid(field: &'static str, why: impl Into<String>) -> Self {
        Self::Invalid { field, why: why.into() }
    }

    /// Whether the same call can succeed later.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Storage(error) if error.is_transient())
    }
}

impl From<VaultError> for AlertingError {
    fn from(error: VaultError) -> Self {
        match error {
            VaultError::Storage(error) => Self::Storage(error),
            error => Self::Vault(error),
        }
    }
}

/// The storage error of a job that is too small to be refused for anything else.
pub(crate) fn enqueue_failure(error: JobsError) -> StorageError {
    match error {
        JobsError::Storage(error) => error,
        error => StorageError::corrupt(error.to_string()),
    }
}
