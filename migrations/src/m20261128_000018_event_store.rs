//! The event store: what a project's events are counted by, batches not sealed yet, the manifest of sealed segments,
//! and the dense numbers of subjects.

use sea_orm_migration::prelude::*;
use sea_orm_migration::sea_orm::DbBackend;

use crate::column::{blob, id, integer, text, timestamp};

pub(crate) struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &str {
        "m20261128_000018_event_store"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for mut table in [project(), subject()] {
            if manager.get_database_backend() == DbBackend::Sqlite {
                table.extra("WITHOUT ROWID");
            }
            manager.create_table(table).await?;
        }
        for table in [batch(), segment()] {
            manager.create_table(table).await?;
        }
        for index in indexes() {
            manager.create_index(index).await?;
        }
        if manager.get_database_backend() == DbBackend::Postgres {
            // Compressed already; PostgreSQL would try again in vain.
            let external = "ALTER TABLE event_batch ALTER COLUMN payload SET STORAGE EXTERNAL";
            manager.get_connection().execute_unprepared(external).await?;
        }
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for table in ["event_segment", "event_batch", "event_subject", "event_project"] {
            manager.drop_table(Table::drop().table(table).take()).await?;
        }
        Ok(())
    }
}

fn project() -> TableCreateStatement {
    Table::create()
        .table("event_project")
        .col(integer("project_id").primary_key().take())
        // Changes whenever segments change or batches are rewritten; not when a batch is appended.
        .col(integer("generation"))
        .col(integer("last_sequence"))
        // All batches up to this one are in segments.
        .col(integer("sealed_to"))
        .col(integer("next_subject"))
        // Events in batches.
        .col(integer("tail_count"))
        .take()
}

fn subject() -> TableCreateStatement {
    Table::create()
        .table("event_subject")
        .col(integer("project_id"))
        .col(integer("subject_id"))
        .col(integer("dense"))
        .primary_key(Index::create().col("project_id").col("subject_id"))
        .take()
}

fn batch() -> TableCreateStatement {
    Table::create()
        .table("event_batch")
        .col(integer("project_id"))
        .col(integer("sequence"))
        // The generation in which it was last rewritten, 0 if never.
        .col(integer("revision"))
        .col(timestamp("first_at"))
        .col(timestamp("last_at"))
        .col(integer("event_count"))
        // A JSON array.
        .col(text("names"))
        .col(blob("payload"))
        .primary_key(Index::create().col("project_id").col("sequence"))
        .take()
}

fn segment() -> TableCreateStatement {
    Table::create()
        .table("event_segment")
        .col(id("id").primary_key().take())
        .col(integer("project_id"))
        // Weeks since the one that began on Monday, 1969-12-29, UTC.
        .col(integer("week"))
        // 1, or those of a month: 4 or 5.
        .col(integer("week_count"))
        .col(timestamp("first_at"))
        .col(timestamp("last_at"))
        .col(integer("event_count"))
        .col(integer("byte_count"))
        // CRC-32 of the file.
        .col(integer("checksum"))
        // A JSON array.
        .col(text("names"))
        .take()
}

fn indexes() -> [IndexCreateStatement; 2] {
    [
        Index::create()
            .name("event_segment_week")
            .table("event_segment")
            .col("project_id")
            .col("week")
            .take(),
        Index::create()
            .name("event_subject_dense")
            .table("event_subject")
            .col("project_id")
            .col("dense")
            .unique()
            .take(),
    ]
}
