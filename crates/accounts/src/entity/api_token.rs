//! An API token; `scopes` are words parted by spaces.

use belvedere_kernel::{ApiToken, Organisation, User};
use belvedere_storage::{Id, Timestamp};
use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "accounts_api_token")]
pub(crate) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) id: Id<ApiToken>,
    pub(crate) organisation_id: Id<Organisation>,
    pub(crate) secret_hash: Vec<u8>,
    pub(crate) prefix: String,
    pub(crate) label: String,
    pub(crate) scopes: String,
    pub(crate) created_by: Option<Id<User>>,
    pub(crate) created_at: Timestamp,
    pub(crate) last_used_at: Option<Timestamp>,
    pub(crate) expires_at: Option<Timestamp>,
    pub(crate) revoked_at: Option<Timestamp>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub(crate) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
