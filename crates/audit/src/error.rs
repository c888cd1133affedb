use belvedere_storage::StorageError;

/// What can go wrong in the audit slice.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AuditError {
    /// The cursor is not one that a page of this list gave.
    #[error("cursor is not a place in the audit log: {0:?}")]
    InvalidCursor(String),
    /// The database failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
}
