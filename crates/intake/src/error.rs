use belvedere_kernel::{DeliveryError, VaultError};
use belvedere_storage::StorageError;
use belvedere_storage::spool::SpoolError;

/// What can go wrong between the door and the slices.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IntakeError {
    /// The spool holds as much as it may, because digestion is behind: try again later.
    #[error("the intake queue is full")]
    Full,
    /// The spool's disk has no room: try again later.
    #[error("the intake queue's disk is full")]
    DiskFull,
    /// The delivery can never be accepted.
    #[error("delivery of {len} bytes is larger than {max}")]
    TooLarge {
        /// Its encoded length.
        len: usize,
        /// The spool's limit.
        max: u32,
    },
    /// The process is shutting down: try again, it will be another process.
    #[error("the intake queue is closed")]
    Closed,
    /// The spool's disk failed otherwise: try again later.
    #[error("the intake queue's disk failed")]
    Spool(#[source] SpoolError),
    /// The delivery's head does not serialise.
    #[error(transparent)]
    Delivery(#[from] DeliveryError),
    /// No delivery of this project is set aside under this id.
    #[error("no such delivery is set aside")]
    NotFound,
    /// The question cannot be answered as it was asked.
    #[error("{0}")]
    InvalidQuery(String),
    /// A sealed delivery could not be sealed or opened.
    #[error("delivery could not be sealed or opened")]
    Vault(#[source] VaultError),
    /// The database failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

impl IntakeError {
    /// Whether the same call can succeed later without any change to its input.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Full | Self::DiskFull | Self::Closed | Self::Spool(_) => true,
            Self::Storage(error) => error.is_transient(),
            _ => false,
        }
    }
}

impl From<SpoolError> for IntakeError {
    fn from(error: SpoolError) -> Self {
        match error {
            SpoolError::Full { .. } => Self::Full,
            SpoolError::DiskFull => Self::DiskFull,
            SpoolError::TooLarge { len, max } => Self::TooLarge { len, max },
            SpoolError::Closed => Self::Closed,
            other => Self::Spool(other),
        }
    }
}

impl From<VaultError> for IntakeError {
    fn from(error: VaultError) -> Self {
        match error {
            VaultError::Storage(error) => Self::Storage(error),
            other => Self::Vault(other),
        }
    }
}
