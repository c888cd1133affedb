//! Feature flags: who gets what.

use sea_orm_migration::prelude::*;

use crate::column::{boolean, id, integer, nullable, text, timestamp};

pub(crate) struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &str {
        "m20261129_000040_flags"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let flags = Table::create()
            .table("bi_feature_flag")
            .col(integer("project_id"))
            // What programs ask for.
            .col(text("flag"))
            // From 1 in a project; clients want a number.
            .col(integer("number"))
            .col(text("note"))
            .col(boolean("is_active"))
            // 0 to 100.
            .col(integer("share_percent"))
            // What must hold, as JSON.
            .col(text("conditions"))
            // JSON that those are given who have it.
            .col(nullable(text("payload")))
            .col(integer("version"))
            .col(nullable(id("created_by")))
            .col(timestamp("created_at"))
            .col(timestamp("changed_at"))
            .primary_key(Index::create().col("project_id").col("flag"))
            .take();
        manager.create_table(flags).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.drop_table(Table::drop().table("bi_feature_flag").take()).await
    }
}
