use belvedere_kernel::User;
use belvedere_storage::{Id, Timestamp};
use sea_orm::entity::prelude::*;

use crate::IssueKey;
use crate::event_id::EventKey;

#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "error_issue")]
pub(crate) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) id: Id<IssueKey>,
    pub(crate) project_id: i64,
    pub(crate) number: i64,
    pub(crate) status: i64,
    pub(crate) level: i64,
    pub(crate) event_count: i64,
    pub(crate) subject_count: i64,
    pub(crate) first_seen: Timestamp,
    pub(crate) last_seen: Timestamp,
    pub(crate) latest_event_id: Id<EventKey>,
    pub(crate) title: String,
    pub(crate) culprit: String,
    pub(crate) platform: String,
    pub(crate) first_release: Option<String>,
    pub(crate) last_release: Option<String>,
    pub(crate) substatus: i64,
    pub(crate) assigned_to: Option<Id<User>>,
    pub(crate) suggested_owner: Option<Id<User>>,
    /// A [`crate::Condition`] as JSON.
    pub(crate) condition: Option<String>,
    pub(crate) until_at: Option<Timestamp>,
    pub(crate) regressed_in: Option<String>,
    pub(crate) grouping_version: i64,
    pub(crate) grouping_reason: String,
    /// One value a line.
    pub(crate) grouping_values: String,
    /// [`crate::grouping::Explanation`] as JSON.
    pub(crate) grouping_explanation: String,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub(crate) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
