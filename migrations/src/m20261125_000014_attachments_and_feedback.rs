//! Error tracking: files that came with events, and what people said about them.

use sea_orm_migration::prelude::*;
use sea_orm_migration::sea_orm::DbBackend;

use crate::column::{blob, boolean, id, integer, nullable, text, timestamp};

pub(crate) struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &str {
        "m20261125_000014_attachments_and_feedback"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for table in [attachment(), attachment_piece(), feedback()] {
            manager.create_table(table).await?;
        }
        for index in indexes() {
            manager.create_index(index).await?;
        }
        if manager.get_database_backend() == DbBackend::Postgres {
            // What can be compressed is compressed already.
            for column in ["error_attachment_piece ALTER COLUMN bytes", "error_feedback ALTER COLUMN payload"]
            {
                let external = format!("ALTER TABLE {column} SET STORAGE EXTERNAL");
                manager.get_connection().execute_unprepared(&external).await?;
            }
        }
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for table in ["error_feedback", "error_attachment_piece", "error_attachment"] {
            manager.drop_table(Table::drop().table(table).take()).await?;
        }
        Ok(())
    }
}

fn attachment() -> TableCreateStatement {
    Table::create()
        .table("error_attachment")
        .col(id("id").primary_key().take())
        .col(integer("project_id"))
        // Of an event or of a feedback, which may not be there yet.
        .col(id("event_id"))
        .col(text("name"))
        .col(text("content_type"))
        .col(text("kind"))
        .col(integer("format"))
        .col(integer("size_bytes"))
        .col(integer("stored_bytes"))
        .col(blob("sha256"))
        .col(boolean("is_compressed"))
        .col(boolean("is_scrubbed"))
        .col(timestamp("received_at"))
        .take()
}

fn attachment_piece() -> TableCreateStatement {
    Table::create()
        .table("error_attachment_piece")
        .col(id("attachment_id"))
        .col(integer("number"))
        .col(blob("bytes"))
        .primary_key(Index::create().col("attachment_id").col("number"))
        .take()
}

fn feedback() -> TableCreateStatement {
    Table::create()
        .table("error_feedback")
        .col(id("id").primary_key().take())
        .col(integer("project_id"))
        .col(id("event_id"))
        .col(nullable(id("associated_event_id")))
        .col(nullable(id("issue_id")))
        .col(text("source"))
        .col(integer("status"))
        .col(nullable(id("assignee")))
        .col(timestamp("occurred_at"))
        .col(timestamp("received_at"))
        .col(nullable(integer("subject_id")))
        .col(nullable(text("environment")))
        .col(nullable(text("release")))
        .col(text("message"))
        // The message in lower case: SQLite knows the cases of ASCII only.
        .col(text("search_text"))
        .col(nullable(text("url")))
        .col(nullable(text("replay_id")))
        // Name and e-mail address as the person wrote them, sealed under the person's key.
        .col(nullable(blob("contact")))
        .col(blob("payload"))
        .take()
}

fn indexes() -> [IndexCreateStatement; 6] {
    let on = |name: &'static str, table: &'static str| {
        Index::create().name(name).table(table).col("project_id").take()
    };
    [
        on("error_attachment_event", "error_attachment").col("event_id").col("id").take(),
        Index::create().name("error_attachment_received").table("error_attachment").col("received_at").take(),
        on("error_feedback_event", "error_feedback").col("event_id").unique().take(),
        on("error_feedback_status", "error_feedback").col("status").col("id").take(),
        on("error_feedback_issue", "error_feedback").col("issue_id").col("id").take(),
        on("error_feedback_associated", "error_feedback").col("associated_event_id").take(),
    ]
}
