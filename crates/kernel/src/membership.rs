use async_trait::async_trait;
use belvedere_storage::{Id, StorageError};

use crate::{Organisation, User};

/// Who belongs to an organisation, for slices that put people in charge of something.
#[async_trait]
pub trait Membership: Send + Sync {
    /// Whether `user` is a member of `organisation`.
    async fn is_member(&self, organisation: Id<Organisation>, user: Id<User>) -> Result<bool, StorageError>;

    /// The member of `organisation` who signs in with this e-mail address.
    async fn find_member(
        &self,
        organisation: Id<Organisation>,
        email: &str,
    ) -> Result<Option<Id<User>>, StorageError>;
}
