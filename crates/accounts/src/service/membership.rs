use async_trait::async_trait;
use belvedere_kernel::{Membership, Organisation, User};
use belvedere_storage::{Id, StorageError};

use super::AccountsService;
use crate::store::people;

#[async_trait]
impl Membership for AccountsService {
    async fn is_member(&self, organisation: Id<Organisation>, user: Id<User>) -> Result<bool, StorageError> {
        Ok(people::find_role(self.db.read(), organisation, user).await?.is_some())
    }

    async fn find_member(
        &self,
        organisation: Id<Organisation>,
        email: &str,
    ) -> Result<Option<Id<User>>, StorageError> {
        let found = people::find_user_by_email(self.db.read(), &self.lookup.email(email)).await?;
        let Some(user) = found.map(|user| user.id) else { return Ok(None) };
        Ok(self.is_member(organisation, user).await?.then_some(user))
    }
}
