//! Jobs: work that outlives a request, schedules, and leases.

use sea_orm_migration::prelude::*;

use crate::column::{id, integer, nullable, text, timestamp};

pub(crate) struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &str {
        "m20261123_000004_jobs"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager
            .create_table(
                Table::create()
                    .table("jobs_job")
                    .col(id("id").primary_key().take())
                    .col(text("kind"))
                    .col(text("payload"))
                    .col(nullable(text("dedup_key")))
                    .col(timestamp("run_at"))
                    .col(integer("attempts"))
                    .col(integer("attempts_max"))
                    .col(timestamp("claimed_until"))
                    .col(nullable(id("claim")))
                    .col(nullable(text("last_error")))
                    .col(nullable(timestamp("dead_at")))
                    .col(timestamp("created_at"))
                    .take(),
            )
            .await?;
        let keys =
            Index::create().name("jobs_job_dedup_key").table("jobs_job").col("dedup_key").unique().take();
        manager.create_index(keys).await?;
        // Dead jobs sort behind NULL or before it, but never among the waiting ones.
        let due = Index::create().name("jobs_job_due").table("jobs_job").col("dead_at").col("run_at").take();
        manager.create_index(due).await?;
        manager
            .create_table(
                Table::create()
                    .table("jobs_schedule")
                    .col(text("name").primary_key().take())
                    .col(timestamp("slot"))
                    .col(timestamp("next_run_at"))
                    .take(),
            )
            .await?;
        manager
            .create_table(
                Table::create()
                    .table("jobs_lease")
                    .col(text("name").primary_key().take())
                    .col(id("holder"))
                    .col(timestamp("held_until"))
                    .take(),
            )
            .await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for table in ["jobs_lease", "jobs_schedule", "jobs_job"] {
            manager.drop_table(Table::drop().table(table).take()).await?;
        }
        Ok(())
    }
}
