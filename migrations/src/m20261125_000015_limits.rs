//! Error tracking: each project's limits, what it used of them, and what it takes on disk.

use sea_orm_migration::prelude::*;
use sea_orm_migration::sea_orm::DbBackend;

use crate::column::{integer, text, timestamp};

pub(crate) struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &str {
        "m20261125_000015_limits"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for mut table in [limits(), usage_hour(), storage_day()] {
            if manager.get_database_backend() == DbBackend::Sqlite {
                table.extra("WITHOUT ROWID");
            }
            manager.create_table(table).await?;
        }
        let of_stored = "INSERT INTO error_storage_day (project_id, day, kind, items, bytes) \
                         SELECT project_id, received_at / 86400000000, 0, COUNT(*), SUM(LENGTH(payload)) \
                         FROM error_event GROUP BY project_id, received_at / 86400000000";
        manager.get_connection().execute_unprepared(of_stored).await.map(drop)
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for table in ["error_storage_day", "error_usage_hour", "error_limits"] {
            manager.drop_table(Table::drop().table(table).take()).await?;
        }
        Ok(())
    }
}

/// What a project's people have set, as JSON; no row while everything is as by default.
fn limits() -> TableCreateStatement {
    Table::create()
        .table("error_limits")
        .col(integer("project_id").primary_key().take())
        .col(text("settings"))
        .col(timestamp("changed_at"))
        .take()
}

/// What the doors let in: items, of attachments bytes.
fn usage_hour() -> TableCreateStatement {
    Table::create()
        .table("error_usage_hour")
        .col(integer("project_id"))
        .col(integer("category"))
        .col(integer("hour"))
        .col(integer("quantity"))
        .primary_key(Index::create().col("project_id").col("category").col("hour"))
        .take()
}

/// What is stored, by the day on which it was received.
fn storage_day() -> TableCreateStatement {
    Table::create()
        .table("error_storage_day")
        .col(integer("project_id"))
        .col(integer("day"))
        .col(integer("kind"))
        .col(integer("items"))
        .col(integer("bytes"))
        .primary_key(Index::create().col("project_id").col("day").col("kind"))
        .take()
}
