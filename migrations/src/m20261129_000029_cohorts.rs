//! Cohorts: rules for sets of subjects, and the sets that are frozen.

use sea_orm_migration::prelude::*;

use crate::column::{blob, id, integer, nullable, text, timestamp};

pub(crate) struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &str {
        "m20261129_000029_cohorts"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.create_table(cohort()).await?;
        let index = Index::create().name("bi_cohort_project").table("bi_cohort").col("project_id").take();
        manager.create_index(index).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.drop_table(Table::drop().table("bi_cohort").take()).await
    }
}

fn cohort() -> TableCreateStatement {
    Table::create()
        .table("bi_cohort")
        .col(id("id").primary_key().take())
        .col(integer("project_id"))
        .col(text("name"))
        // What its subjects have in common, as JSON.
        .col(text("rule"))
        // The numbers of the subjects of a static cohort in the event store: each as the distance from the one before,
        // seven bits a byte, the lowest first, the high bit set on all but the last. None for a live cohort.
        .col(nullable(blob("members")))
        // How many there were when they were last counted, and when that was.
        .col(integer("size"))
        .col(timestamp("counted_at"))
        .col(nullable(id("created_by")))
        .col(timestamp("created_at"))
        .col(timestamp("changed_at"))
        .take()
}
