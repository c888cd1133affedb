use std::sync::Arc;

use belvedere_storage::StorageError;

/// What can go wrong with product events.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum TrackError {
    /// A field of an event is wrong.
    #[error("event {index}: {field} {why}")]
    Invalid {
        /// The place of the event among those of the call.
        index: usize,
        /// Which field, as Segment calls it.
        field: &'static str,
        /// What is wrong with it, without its value.
        why: String,
    },
    /// More events wait than are kept in memory.
    #[error("{0} events wait to be written, more are not taken")]
    Full(usize),
    /// The database or the event store failed.
    #[error(transparent)]
    Storage(Arc<StorageError>),
}

impl TrackError {
    /// Whether the same call can succeed later.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Invalid { .. } => false,
            Self::Full(_) => true,
            Self::Storage(error) => error.is_transient(),
        }
    }
}

impl From<StorageError> for TrackError {
    fn from(error: StorageError) -> Self {
        Self::Storage(Arc::new(error))
    }
}
