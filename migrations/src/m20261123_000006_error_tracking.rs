//! Error tracking: issues, the hashes that lead to them, events, and exact counts.

use sea_orm_migration::prelude::*;
use sea_orm_migration::sea_orm::DbBackend;

use crate::column::{blob, id, integer, nullable, text, timestamp};

pub(crate) struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &str {
        "m20261123_000006_error_tracking"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.create_table(issue()).await?;
        for index in issue_indexes() {
            manager.create_index(index).await?;
        }
        manager.create_table(event()).await?;
        for index in event_indexes() {
            manager.create_index(index).await?;
        }
        if manager.get_database_backend() == DbBackend::Postgres {
            // Payloads are compressed already; PostgreSQL would try again in vain.
            let external = "ALTER TABLE error_event ALTER COLUMN payload SET STORAGE EXTERNAL";
            manager.get_connection().execute_unprepared(external).await?;
        }
        for mut table in counts() {
            if manager.get_database_backend() == DbBackend::Sqlite {
                // The key is nearly the whole row: one tree instead of two.
                table.extra("WITHOUT ROWID");
            }
            manager.create_table(table).await?;
        }
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let tables = [
            "error_project_hour",
            "error_issue_environment",
            "error_issue_subject",
            "error_issue_hour",
            "error_issue_hash",
            "error_issue_counter",
            "error_event",
            "error_issue",
        ];
        for table in tables {
            manager.drop_table(Table::drop().table(table).take()).await?;
        }
        Ok(())
    }
}

fn issue() -> TableCreateStatement {
    Table::create()
        .table("error_issue")
        .col(id("id").primary_key().take())
        .col(integer("project_id"))
        .col(integer("number"))
        .col(integer("status"))
        .col(integer("level"))
        .col(integer("event_count"))
        .col(integer("subject_count"))
        .col(timestamp("first_seen"))
        .col(timestamp("last_seen"))
        .col(id("latest_event_id"))
        .col(text("title"))
        .col(text("culprit"))
        // Title and culprit in lower case: SQLite knows the cases of ASCII only.
        .col(text("search_text"))
        .col(text("platform"))
        .col(nullable(text("first_release")))
        .col(nullable(text("last_release")))
        .col(integer("grouping_version"))
        .col(text("grouping_reason"))
        .col(text("grouping_values"))
        .take()
}

fn issue_indexes() -> [IndexCreateStatement; 3] {
    let on = |name: &'static str| Index::create().name(name).table("error_issue").col("project_id").take();
    [
        on("error_issue_number").col("number").unique().take(),
        on("error_issue_last_seen").col("last_seen").col("id").take(),
        on("error_issue_status").col("status").col("last_seen").col("id").take(),
    ]
}

fn event() -> TableCreateStatement {
    Table::create()
        .table("error_event")
        .col(ColumnDef::new("id").big_integer().not_null().auto_increment().primary_key().take())
        .col(integer("project_id"))
        .col(id("event_id"))
        .col(id("issue_id"))
        .col(timestamp("occurred_at"))
        .col(timestamp("received_at"))
        .col(integer("level"))
        .col(nullable(integer("subject_id")))
        .col(nullable(text("release")))
        .col(nullable(text("environment")))
        .col(text("title"))
        // Last, so that a list of events does not read through it.
        .col(blob("payload"))
        .take()
}

fn event_indexes() -> [IndexCreateStatement; 2] {
    let on = |name: &'static str| Index::create().name(name).table("error_event").col("project_id").take();
    [
        on("error_event_event_id").col("event_id").unique().take(),
        on("error_event_issue").col("issue_id").col("occurred_at").col("id").take(),
    ]
}

fn counts() -> [TableCreateStatement; 6] {
    [
        Table::create()
            .table("error_issue_counter")
            .col(integer("project_id").primary_key().take())
            .col(integer("last_number"))
            .take(),
        Table::create()
            .table("error_issue_hash")
            .col(integer("project_id"))
            .col(integer("version"))
            .col(id("hash"))
            .col(id("issue_id"))
            .primary_key(Index::create().col("project_id").col("version").col("hash"))
            .take(),
        Table::create()
            .table("error_issue_hour")
            .col(integer("project_id"))
            .col(id("issue_id"))
            .col(integer("hour"))
            .col(text("environment"))
            .col(integer("event_count"))
            .primary_key(Index::create().col("project_id").col("issue_id").col("hour").col("environment"))
            .take(),
        Table::create()
            .table("error_issue_subject")
            .col(integer("project_id"))
            .col(id("issue_id"))
            .col(integer("subject_id"))
            .primary_key(Index::create().col("project_id").col("issue_id").col("subject_id"))
            .take(),
        Table::create()
            .table("error_issue_environment")
            .col(integer("project_id"))
            .col(text("environment"))
            .col(id("issue_id"))
            .col(integer("event_count"))
            .primary_key(Index::create().col("project_id").col("environment").col("issue_id"))
            .take(),
        Table::create()
            .table("error_project_hour")
            .col(integer("project_id"))
            .col(integer("hour"))
            .col(integer("event_count"))
            .primary_key(Index::create().col("project_id").col("hour"))
            .take(),
    ]
}
