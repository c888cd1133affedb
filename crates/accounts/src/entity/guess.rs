//! How many guesses an account or an address has made lately; `bucket` says which only to those who hold the lookup key.

use belvedere_storage::Timestamp;
use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "accounts_guess")]
pub(crate) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) bucket: Vec<u8>,
    pub(crate) failures: i64,
    pub(crate) refused: i64,
    pub(crate) blocked_until: Timestamp,
    pub(crate) forget_at: Timestamp,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub(crate) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
