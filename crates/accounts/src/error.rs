use std::time::Duration;

use belvedere_kernel::VaultError;
use belvedere_storage::StorageError;

use crate::Permission;

/// What can go wrong with accounts.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AccountsError {
    /// The principal's role or scopes do not include the permission. Whoever answers the request writes it into the
    /// audit log by [`crate::SignIn::record_denied`].
    #[error("not allowed without the permission {}", .0.as_str())]
    Forbidden(Permission),
    /// There is no such thing in this organisation.
    #[error("there is no such {0} here")]
    NotFound(&'static str),
    /// Too many guesses, or too many sign-ins at once: not even looked at.
    #[error("too many attempts; try again in {} s", .retry_after.as_secs().max(1))]
    Throttled {
        /// When the next attempt will be looked at.
        retry_after: Duration,
    },
    /// The account does not exist or the password is wrong; which of them is not told.
    #[error("e-mail address or password is wrong")]
    WrongCredentials,
    /// A one-time link was used before, is too old, was withdrawn or never existed.
    #[error("the link was used before or has expired")]
    LinkExpired,
    /// A value is not acceptable.
    #[error("{field}: {why}")]
    Invalid {
        /// The field, as the argument structs name it.
        field: &'static str,
        /// What is wrong with it, without repeating the value.
        why: String,
    },
    /// The value is acceptable, but not together with what exists.
    #[error(transparent)]
    Conflict(#[from] Conflict),
    /// A name or e-mail address could not be sealed or opened.
    #[error("cannot read or write a person's name or e-mail address")]
    Vault(#[source] VaultError),
    /// A password could not be hashed.
    #[error("cannot hash a password: {0}")]
    PasswordHash(String),
    /// The database failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

impl AccountsError {
    pub(crate) fn invalid(field: &'static str, why: impl Into<String>) -> Self {
        Self::Invalid { field, why: why.into() }
    }
}

impl From<VaultError> for AccountsError {
    fn from(error: VaultError) -> Self {
        match error {
            VaultError::Storage(error) => Self::Storage(error),
            error => Self::Vault(error),
        }
    }
}

/// What stands in the way of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Conflict {
    /// The slug is in use in this place.
    #[error("slug: already in use")]
    SlugTaken,
    /// The person is a member already.
    #[error("email: already a member")]
    AlreadyMember,
    /// Another account has that e-mail address.
    #[error("email: already in use")]
    EmailTaken,
    /// An organisation always has an owner.
    #[error("the last owner can neither leave nor be given another role")]
    LastOwner,
    /// As many as there may be.
    #[error("there are {max} {what} already, which is the most there may be")]
    TooMany {
        /// What there are too many of, in the plural.
        what: &'static str,
        /// How many there may be.
        max: u64,
    },
}
