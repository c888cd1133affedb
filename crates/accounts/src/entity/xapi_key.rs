//! A key of the xAPI record store; `scopes` are words parted by spaces.

use belvedere_kernel::XapiKey;
use belvedere_storage::{Id, Timestamp};
use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "accounts_xapi_key")]
pub(crate) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) id: Id<XapiKey>,
    pub(crate) project_id: i64,
    pub(crate) public_key: String,
    pub(crate) secret_hash: Vec<u8>,
    pub(crate) label: String,
    pub(crate) scopes: String,
    pub(crate) created_at: Timestamp,
    pub(crate) revoked_at: Option<Timestamp>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub(crate) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
