//! A person who may sign in; name and e-mail address sealed under their own key.

use belvedere_kernel::User;
use belvedere_storage::{Id, Timestamp};
use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "accounts_user")]
pub(crate) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) id: Id<User>,
    pub(crate) email_lookup: Option<Vec<u8>>,
    pub(crate) email_sealed: Option<Vec<u8>>,
    pub(crate) name_sealed: Vec<u8>,
    pub(crate) password_hash: Option<String>,
    pub(crate) created_at: Timestamp,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub(crate) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
