//! Privacy: what people say they consent to. Business intelligence: how often what revenue follows from was changed, and
//! when somebody last looked.

use sea_orm_migration::prelude::*;

use crate::column::{integer, text, timestamp};

pub(crate) struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &str {
        "m20261129_000030_consents"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.create_table(consent()).await?;
        for mut column in [integer("version"), timestamp("looked_at")] {
            let column = column.default(0).take();
            manager.alter_table(Table::alter().table("bi_project").add_column(column).take()).await?;
        }
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for column in ["looked_at", "version"] {
            manager.alter_table(Table::alter().table("bi_project").drop_column(column).take()).await?;
        }
        manager.drop_table(Table::drop().table("privacy_consent").take()).await
    }
}

fn consent() -> TableCreateStatement {
    Table::create()
        .table("privacy_consent")
        .col(integer("project_id"))
        .col(integer("subject_id"))
        // analytics, marketing, detailed, location.
        .col(text("purpose"))
        // When they said it.
        .col(timestamp("at"))
        // given, refused, withdrawn.
        .col(text("state"))
        // By what they said it.
        .col(text("source"))
        .col(timestamp("recorded_at"))
        .primary_key(Index::create().col("project_id").col("subject_id").col("purpose").col("at"))
        .take()
}
