//! The privacy slice: look-ups that lead to a subject by a link, from anonymous ids to people with a user id.

use sea_orm_migration::prelude::*;

use crate::column::{blob, integer, timestamp};

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let links = Table::create()
            .table("privacy_link")
            .col(integer("project_id"))
            .col(blob("lookup"))
            .col(integer("subject_id"))
            .col(timestamp("created_at"))
            .primary_key(Index::create().col("project_id").col("lookup"))
            .take();
        manager.create_table(links).await?;
        let by_subject = Index::create()
            .name("privacy_link_subject")
            .table("privacy_link")
            .col("project_id")
            .col("subject_id")
            .take();
        manager.create_index(by_subject).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.drop_table(Table::drop().table("privacy_link").take()).await
    }

    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }
}
