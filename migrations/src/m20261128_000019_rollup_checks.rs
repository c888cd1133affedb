//! The event store: what the last comparison of each project's rollups with its events found.

use sea_orm_migration::prelude::*;
use sea_orm_migration::sea_orm::DbBackend;

use crate::column::{boolean, id, integer, nullable, text, timestamp};

pub(crate) struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &str {
        "m20261128_000019_rollup_checks"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let mut table = check();
        if manager.get_database_backend() == DbBackend::Sqlite {
            table.extra("WITHOUT ROWID");
        }
        manager.create_table(table).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.drop_table(Table::drop().table("event_rollup_check").take()).await
    }
}

fn check() -> TableCreateStatement {
    Table::create()
        .table("event_rollup_check")
        .col(integer("project_id").primary_key().take())
        .col(timestamp("checked_at"))
        .col(boolean("is_complete"))
        .col(integer("segment_count"))
        // Segments that have no rollup.
        .col(integer("without_count"))
        .col(integer("day_count"))
        .col(integer("event_count"))
        .col(integer("difference_count"))
        .col(integer("rebuilt_count"))
        // A JSON array of the first ones.
        .col(text("differences"))
        // The last segment that was compared, where time ran out.
        .col(nullable(id("resume_after")))
        .take()
}
