use belvedere_storage::{Id, Timestamp};
use sea_orm::entity::prelude::*;

use crate::IssueKey;
use crate::event_id::EventKey;

#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "error_event")]
pub(crate) struct Model {
    #[sea_orm(primary_key)]
    pub(crate) id: i64,
    pub(crate) project_id: i64,
    pub(crate) event_id: Id<EventKey>,
    pub(crate) issue_id: Id<IssueKey>,
    pub(crate) occurred_at: Timestamp,
    pub(crate) received_at: Timestamp,
    pub(crate) level: i64,
    pub(crate) subject_id: Option<i64>,
    pub(crate) release: Option<String>,
    pub(crate) environment: Option<String>,
    pub(crate) title: String,
    /// As [`crate::digest`] packs it.
    pub(crate) payload: Vec<u8>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub(crate) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
