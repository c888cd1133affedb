use std::path::{Path, PathBuf};

use belvedere_event_store::EventStoreError;
use belvedere_storage::StorageError;

/// Why a file could not be imported or exported.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TransferError {
    /// The file could not be read or written.
    #[error("{}", .path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file as a whole is not what it should be.
    #[error("{}: {why}", .path.display())]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// The events could not be stored or read.
    #[error(transparent)]
    Store(#[from] EventStoreError),
    /// The database failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

impl TransferError {
    pub(crate) fn file(path: &Path, source: std::io::Error) -> Self {
        Self::File { path: path.to_owned(), source }
    }

    pub(crate) fn unreadable(path: &Path, why: impl ToString) -> Self {
        Self::Unreadable { path: path.to_owned(), why: why.to_string() }
    }
}
