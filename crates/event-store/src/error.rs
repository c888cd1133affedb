use belvedere_kernel::ProjectId;
use belvedere_storage::StorageError;
use sea_orm::DbErr;

use crate::SegmentId;

/// What can go wrong in the event store.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EventStoreError {
    /// A field of an event is not as it may be; nothing of the call was stored.
    #[error("event {index}: {field} {why}")]
    Invalid {
        /// The place of the event among those of the call.
        index: usize,
        /// The field.
        field: &'static str,
        /// What is wrong with it.
        why: String,
    },
    /// As many events wait to be sealed as may; sealing makes room.
    #[error("too many events of project {0} wait to be sealed")]
    TailFull(ProjectId),
    /// A project has had 2^32 - 1 subjects.
    #[error("project {0} has no number left for another subject")]
    SubjectsExhausted(ProjectId),
    /// Segments were swapped by somebody else meanwhile; trying again can succeed.
    #[error("the segments of project {0} were changed by somebody else meanwhile")]
    Changed(ProjectId),
    /// A segment is not what its manifest says.
    #[error("segment {segment} is damaged: {what}")]
    Damaged {
        /// The segment.
        segment: SegmentId,
        /// What does not fit.
        what: String,
    },
    /// A batch of events could not be packed or unpacked.
    #[error("events cannot be packed: {0}")]
    Packing(String),
    /// The data directory failed.
    #[error("data directory failed at {path}")]
    File {
        /// The file or directory.
        path: std::path::PathBuf,
        /// What the operating system says.
        #[source]
        source: std::io::Error,
    },
    /// The computation ended in a way that was not foreseen.
    #[error("event store ended early: {0}")]
    Internal(String),
    /// The database failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// For a transaction of a slice that appends events with its own rows.
impl From<EventStoreError> for StorageError {
    fn from(error: EventStoreError) -> Self {
        match error {
            EventStoreError::Storage(error) => error,
            error if error.is_transient() => Self::Unavailable(DbErr::Custom(error.to_string())),
            error => Self::Other(DbErr::Custom(error.to_string())),
        }
    }
}

impl EventStoreError {
    /// Whether the same call can succeed later without any change to its input.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::TailFull(_) | Self::Changed(_) | Self::File { .. } => true,
            Self::Storage(error) => error.is_transient(),
            _ => false,
        }
    }

    pub(crate) fn file(path: &std::path::Path, source: std::io::Error) -> Self {
        Self::File { path: path.to_owned(), source }
    }

    pub(crate) fn is_not_found(&self) -> bool {
        matches!(self, Self::File { source, .. } if source.kind() == std::io::ErrorKind::NotFound)
    }
}
