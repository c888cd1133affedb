//! The privacy slice: keys, subjects, daily salts and each project's settings.

use sea_orm_migration::prelude::*;

use crate::column::{blob, integer, nullable, text, timestamp};

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.create_table(keys()).await?;
        manager.create_table(subjects()).await?;
        manager
            .create_index(
                Index::create()
                    .name("privacy_subject_lookup")
                    .table("privacy_subject")
                    .col("project_id")
                    .col("lookup")
                    .unique()
                    .take(),
            )
            .await?;
        manager
            .create_table(
                Table::create()
                    .table("privacy_subject_counter")
                    .col(integer("project_id").primary_key())
                    .col(integer("subjects"))
                    .take(),
            )
            .await?;
        manager
            .create_table(
                Table::create()
                    .table("privacy_salt")
                    .col(timestamp("day").primary_key())
                    .col(blob("sealed"))
                    .take(),
            )
            .await?;
        manager
            .create_table(
                Table::create()
                    .table("privacy_settings")
                    .col(integer("project_id").primary_key())
                    .col(text("settings"))
                    .col(timestamp("changed_at"))
                    .take(),
            )
            .await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for table in
            ["privacy_settings", "privacy_salt", "privacy_subject_counter", "privacy_subject", "privacy_key"]
        {
            manager.drop_table(Table::drop().table(table).take()).await?;
        }
        Ok(())
    }

    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }
}

/// One key an owner: `owner_kind` 1 subject, 2 user, 3 system; `owner_id` the subject's number (8 bytes), the user's
/// id (16 bytes), or nothing; `project_id` 0 where there is no project. A destroyed key keeps its row without `wrapped`.
fn keys() -> TableCreateStatement {
    Table::create()
        .table("privacy_key")
        .col(integer("project_id"))
        .col(integer("owner_kind"))
        .col(blob("owner_id"))
        .col(nullable(blob("wrapped")))
        .col(timestamp("created_at"))
        .col(nullable(timestamp("destroyed_at")))
        .primary_key(Index::create().col("project_id").col("owner_kind").col("owner_id"))
        .take()
}

/// `kind`: 1 identified, 2 anonymous of one day (without identity and fingerprint).
fn subjects() -> TableCreateStatement {
    Table::create()
        .table("privacy_subject")
        .col(integer("project_id"))
        .col(integer("subject_id"))
        .col(integer("kind"))
        .col(blob("lookup"))
        .col(nullable(blob("identity")))
        .col(nullable(blob("fingerprint")))
        .col(timestamp("created_at"))
        .primary_key(Index::create().col("project_id").col("subject_id"))
        .take()
}
