use std::sync::Arc;

use belvedere_event_store::EventStoreError;
use belvedere_storage::StorageError;

/// What can go wrong with learning analytics.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum LearningError {
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
    /// More events wait than are kept in memory.
    #[error("{0} events wait to be written, more are not taken")]
    Full(usize),
    /// The event store failed.
    #[error(transparent)]
    Events(Arc<EventStoreError>),
    /// The database failed.
    #[error(transparent)]
    Storage(Arc<StorageError>),
}

impl LearningError {
    pub(crate) fn invalid(field: &'static str, why: impl Into<String>) -> Self {
        Self::Invalid { field, why: why.into() }
    }

    /// Whether the same call can succeed later.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Full(_) => true,
            Self::Events(error) => error.is_transient(),
            Self::Storage(error) => error.is_transient(),
            _ => false,
        }
    }
}

impl From<StorageError> for LearningError {
    fn from(error: StorageError) -> Self {
        Self::Storage(Arc::new(error))
    }
}

impl From<EventStoreError> for LearningError {
    fn from(error: EventStoreError) -> Self {
        match error {
            EventStoreError::Storage(error) => error.into(),
            error => Self::Events(Arc::new(error)),
        }
    }
}
