//! A signed-in browser.

use belvedere_kernel::{Organisation, User};
use belvedere_storage::{Id, Timestamp};
use sea_orm::entity::prelude::*;

/// Marks ids of sessions.
#[derive(Debug)]
pub(crate) enum Session {}

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "accounts_session")]
pub(crate) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) id: Id<Session>,
    pub(crate) secret_hash: Vec<u8>,
    pub(crate) user_id: Id<User>,
    pub(crate) organisation_id: Id<Organisation>,
    pub(crate) created_at: Timestamp,
    pub(crate) last_seen_at: Timestamp,
    pub(crate) expires_at: Timestamp,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub(crate) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
