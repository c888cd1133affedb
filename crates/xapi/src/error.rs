use std::sync::Arc;

use belvedere_kernel::VaultError;
use belvedere_storage::StorageError;

use crate::json::JsonError;
use crate::statement::Invalid;

/// What can go wrong with the record store.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum XapiError {
    /// A statement breaks a rule.
    #[error(transparent)]
    Statement(#[from] Invalid),
    /// A body is no JSON.
    #[error(transparent)]
    Json(#[from] JsonError),
    /// A parameter, header or part is wrong.
    #[error("{what}: {why}")]
    Invalid {
        /// Which one.
        what: &'static str,
        /// What is wrong with it, without its value.
        why: String,
    },
    /// A statement of this id exists, and is another one.
    #[error("there is another statement with the id {0}")]
    Conflict(String),
    /// A document exists and was to be replaced without a word on which version of it is meant.
    #[error(
        "the document exists: say by If-Match which version of it is to be replaced, or by If-None-Match that none is"
    )]
    Unconditional,
    /// A document is not the one that was meant.
    #[error("the document is not the one that If-Match or If-None-Match name")]
    PreconditionFailed,
    /// There is no such thing for this key.
    #[error("there is no such {0} here")]
    NotFound(&'static str),
    /// More than is taken at once.
    #[error("{what} are more than {max}")]
    TooLarge {
        /// What there is too much of.
        what: &'static str,
        /// How much of it is taken.
        max: usize,
    },
    /// The process ends.
    #[error("the record store is closing")]
    Closed,
    /// What people are called could not be sealed or opened.
    #[error("cannot read or write what identifies people")]
    Vault(#[source] Arc<VaultError>),
    /// The database failed.
    #[error(transparent)]
    Storage(Arc<StorageError>),
}

impl XapiError {
    pub(crate) fn invalid(what: &'static str, why: impl Into<String>) -> Self {
        Self::Invalid { what, why: why.into() }
    }

    /// Whether the same call can succeed later.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Storage(error) => error.is_transient(),
            Self::Closed => true,
            _ => false,
        }
    }
}

impl From<StorageError> for XapiError {
    fn from(error: StorageError) -> Self {
        Self::Storage(Arc::new(error))
    }
}

impl From<VaultError> for XapiError {
    fn from(error: VaultError) -> Self {
        match error {
            VaultError::Storage(error) => error.into(),
            error => Self::Vault(Arc::new(error)),
        }
    }
}
