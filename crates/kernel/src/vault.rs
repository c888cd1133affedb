use async_trait::async_trait;
use belvedere_storage::{Id, StorageError, Tx};

use crate::{ProjectId, SubjectId, User};

/// Whose key seals a secret; destroying the key makes everything sealed with it unreadable for ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum KeyOwner {
    /// A person whom a project observes.
    Subject(ProjectId, SubjectId),
    /// A person who signs in.
    User(Id<User>),
    /// Nobody in particular: the installation.
    System,
}

/// Why something could not be sealed or opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum VaultError {
    /// The owner's key has been destroyed: what it sealed cannot be read any more.
    #[error("the key was destroyed")]
    Destroyed,
    /// The ciphertext was not made with this key, or was altered.
    #[error("the sealed value does not open")]
    Tampered,
    /// The database failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// Encryption of personal values under keys per owner, which themselves are wrapped by the master key.
#[async_trait]
pub trait Vault: Send + Sync {
    /// Encrypts `plain` for `owner`, making the owner's key if there is none yet.
    async fn seal_in(&self, tx: &Tx, owner: KeyOwner, plain: &[u8]) -> Result<Vec<u8>, VaultError>;

    /// Encrypts many values, each for its owner, in their order; `None` for an owner whose key has been destroyed.
    async fn seal_all_in(
        &self,
        tx: &Tx,
        values: &[(KeyOwner, &[u8])],
    ) -> Result<Vec<Option<Vec<u8>>>, VaultError> {
        let mut sealed = Vec::with_capacity(values.len());
        for (owner, plain) in values {
            sealed.push(match self.seal_in(tx, *owner, plain).await {
                Err(VaultError::Destroyed) => None,
                result => Some(result?),
            });
        }
        Ok(sealed)
    }

    /// Decrypts what [`Vault::seal_in`] made for the same owner.
    async fn open(&self, owner: KeyOwner, sealed: &[u8]) -> Result<Vec<u8>, VaultError>;
}
