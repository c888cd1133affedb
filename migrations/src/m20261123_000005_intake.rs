//! Intake: positions in spools, shipped batches, counts per hour, deliveries set aside.

use sea_orm_migration::prelude::*;

use crate::column::{blob, id, integer, nullable, text, timestamp};

pub(crate) struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &str {
        "m20261123_000005_intake"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let position = Table::create()
            .table("intake_position")
            .col(id("spool_id").primary_key().take())
            .col(integer("seq"))
            .col(timestamp("updated_at"))
            .take();
        manager.create_table(position).await?;
        manager.create_table(batch()).await?;
        let source = Index::create()
            .name("intake_batch_source")
            .table("intake_batch")
            .col("spool_id")
            .col("first_seq")
            .unique()
            .take();
        manager.create_index(source).await?;
        let tally = Table::create()
            .table("intake_tally")
            .col(integer("project_id"))
            .col(timestamp("hour"))
            .col(text("item"))
            .col(text("outcome"))
            .col(text("reason"))
            .col(integer("quantity"))
            .primary_key(
                Index::create().col("project_id").col("hour").col("item").col("outcome").col("reason"),
            )
            .take();
        manager.create_table(tally).await?;
        manager.create_table(set_aside()).await?;
        let of_project = Index::create()
            .name("intake_set_aside_project")
            .table("intake_set_aside")
            .col("project_id")
            .col("id")
            .take();
        manager.create_index(of_project).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for table in ["intake_set_aside", "intake_tally", "intake_batch", "intake_position"] {
            manager.drop_table(Table::drop().table(table).take()).await?;
        }
        Ok(())
    }
}

fn batch() -> TableCreateStatement {
    Table::create()
        .table("intake_batch")
        .col(id("id").primary_key().take())
        .col(id("spool_id"))
        .col(integer("first_seq"))
        .col(integer("records"))
        .col(integer("consumed"))
        .col(timestamp("claimed_until"))
        .col(nullable(id("claim")))
        .col(timestamp("created_at"))
        .col(blob("sealed"))
        .take()
}

fn set_aside() -> TableCreateStatement {
    Table::create()
        .table("intake_set_aside")
        .col(id("id").primary_key().take())
        .col(integer("project_id"))
        .col(text("kind"))
        .col(text("reason"))
        .col(integer("tries"))
        .col(timestamp("received_at"))
        .col(timestamp("set_aside_at"))
        .col(nullable(timestamp("replayed_at")))
        .col(integer("size_bytes"))
        .col(blob("sealed"))
        .take()
}
