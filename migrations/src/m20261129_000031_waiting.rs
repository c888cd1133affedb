//! Learning analytics: events that are appended and wait to be folded.

use sea_orm_migration::prelude::*;

use crate::column::{id, integer, text, timestamp};

pub(crate) struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &str {
        "m20261129_000031_waiting"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.create_table(waiting()).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.drop_table(Table::drop().table("learning_waiting").take()).await
    }
}

fn waiting() -> TableCreateStatement {
    Table::create()
        .table("learning_waiting")
        .col(integer("project_id"))
        .col(id("id"))
        // Pairs of a learner's number and what is folded of an event, as JSON.
        .col(text("entries"))
        // How often folding failed, and until when it is not tried again.
        .col(integer("tries"))
        .col(timestamp("due_at"))
        .primary_key(Index::create().col("project_id").col("id"))
        .take()
}
