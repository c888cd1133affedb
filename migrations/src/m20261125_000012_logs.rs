//! Logs: compressed blocks of records, exact counts per hour and level, and how long they are kept.

use sea_orm_migration::prelude::*;
use sea_orm_migration::sea_orm::DbBackend;

use crate::column::{blob, id, integer, text, timestamp};

pub(crate) struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &str {
        "m20261125_000012_logs"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.create_table(block()).await?;
        for index in indexes() {
            manager.create_index(index).await?;
        }
        if manager.get_database_backend() == DbBackend::Postgres {
            // Compressed already, or random; PostgreSQL would try again in vain.
            for column in ["filter", "head", "attributes"] {
                let external =
                    format!("ALTER TABLE error_log_block ALTER COLUMN {column} SET STORAGE EXTERNAL");
                manager.get_connection().execute_unprepared(&external).await?;
            }
        }
        for mut table in [hour(), settings()] {
            if manager.get_database_backend() == DbBackend::Sqlite {
                table.extra("WITHOUT ROWID");
            }
            manager.create_table(table).await?;
        }
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for table in ["error_log_settings", "error_log_hour", "error_log_block"] {
            manager.drop_table(Table::drop().table(table).take()).await?;
        }
        Ok(())
    }
}

fn block() -> TableCreateStatement {
    Table::create()
        .table("error_log_block")
        .col(id("id").primary_key().take())
        .col(integer("project_id"))
        .col(integer("hour"))
        .col(timestamp("first_at"))
        .col(timestamp("last_at"))
        .col(integer("record_count"))
        .col(integer("byte_count"))
        // Subjects by their place, a dash for none.
        .col(text("people"))
        // In the order in which a search needs them.
        .col(blob("filter"))
        .col(blob("head"))
        .col(blob("attributes"))
        .take()
}

fn indexes() -> [IndexCreateStatement; 2] {
    let on =
        |name: &'static str| Index::create().name(name).table("error_log_block").col("project_id").take();
    [
        on("error_log_block_last").col("last_at").col("id").take(),
        on("error_log_block_hour").col("hour").col("record_count").col("byte_count").take(),
    ]
}

fn hour() -> TableCreateStatement {
    Table::create()
        .table("error_log_hour")
        .col(integer("project_id"))
        .col(integer("hour"))
        .col(integer("level"))
        .col(integer("record_count"))
        .primary_key(Index::create().col("project_id").col("hour").col("level"))
        .take()
}

fn settings() -> TableCreateStatement {
    Table::create()
        .table("error_log_settings")
        .col(integer("project_id").primary_key().take())
        .col(integer("days"))
        .col(integer("bytes_max"))
        .take()
}
