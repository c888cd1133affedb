//! An ingest key; `allowed_origins` is a JSON array of strings.

use belvedere_kernel::IngestKey;
use belvedere_storage::{Id, Timestamp};
use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "accounts_ingest_key")]
pub(crate) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) id: Id<IngestKey>,
    pub(crate) project_id: i64,
    pub(crate) public_key: String,
    pub(crate) label: String,
    pub(crate) rate_limit_per_minute: Option<i64>,
    pub(crate) allowed_origins: String,
    pub(crate) created_at: Timestamp,
    pub(crate) revoked_at: Option<Timestamp>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub(crate) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
