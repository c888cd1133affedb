//! The audit slice: one log of entries for the installation, and its head.

use sea_orm_migration::prelude::*;

use crate::column::{blob, id, integer, nullable, text, timestamp};

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.create_table(entries()).await?;
        for (name, columns) in [
            ("audit_entry_organisation", &["organisation_id", "seq"][..]),
            ("audit_entry_action", &["organisation_id", "action", "seq"]),
            ("audit_entry_actor", &["organisation_id", "actor_id", "seq"]),
            ("audit_entry_project", &["project_id", "seq"]),
        ] {
            let mut index = Index::create().name(name).table("audit_entry").take();
            for column in columns {
                index.col(*column);
            }
            manager.create_index(index).await?;
        }
        manager
            .create_table(
                Table::create()
                    .table("audit_head")
                    .col(integer("id").primary_key())
                    .col(integer("entries"))
                    .take(),
            )
            .await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.drop_table(Table::drop().table("audit_head").take()).await?;
        manager.drop_table(Table::drop().table("audit_entry").take()).await
    }

    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }
}

fn entries() -> TableCreateStatement {
    Table::create()
        .table("audit_entry")
        .col(integer("seq").primary_key())
        .col(timestamp("at"))
        .col(nullable(id("organisation_id")))
        .col(nullable(integer("project_id")))
        .col(text("actor_kind"))
        .col(nullable(text("actor_id")))
        .col(text("action"))
        .col(nullable(text("target_kind")))
        .col(nullable(text("target_id")))
        .col(text("outcome"))
        .col(nullable(text("request_id")))
        .col(blob("detail"))
        .col(blob("detail_hash"))
        .col(blob("nonce"))
        .col(blob("leaf_hash"))
        .take()
}
