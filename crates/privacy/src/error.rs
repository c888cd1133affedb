use belvedere_kernel::VaultError;
use belvedere_storage::StorageError;

/// What can go wrong in the privacy slice.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PrivacyError {
    /// The master key cannot be read, written or understood.
    #[error("master key: {0}")]
    MasterKey(String),
    /// A setting is outside its limits; names the setting and says what is wrong.
    #[error("{field}: {why}")]
    Invalid {
        /// The setting.
        field: &'static str,
        /// What is wrong with it.
        why: String,
    },
    /// Something sealed does not open.
    #[error(transparent)]
    Vault(VaultError),
    /// The database failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

impl From<VaultError> for PrivacyError {
    fn from(error: VaultError) -> Self {
        match error {
            VaultError::Storage(error) => Self::Storage(error),
            error => Self::Vault(error),
        }
    }
}
