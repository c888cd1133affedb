//! A one-time link, deleted when it is used: `purpose` is `sign_in` or `invite`.

use belvedere_kernel::{Organisation, User};
use belvedere_storage::{Id, Timestamp};
use sea_orm::entity::prelude::*;

use crate::InviteInfo;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "accounts_link")]
pub(crate) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) id: Id<InviteInfo>,
    pub(crate) secret_hash: Vec<u8>,
    pub(crate) purpose: String,
    pub(crate) user_id: Id<User>,
    pub(crate) organisation_id: Option<Id<Organisation>>,
    pub(crate) role: Option<String>,
    pub(crate) email_lookup: Option<Vec<u8>>,
    pub(crate) email_sealed: Option<Vec<u8>>,
    pub(crate) created_by: Option<Id<User>>,
    pub(crate) created_at: Timestamp,
    pub(crate) expires_at: Timestamp,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub(crate) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
