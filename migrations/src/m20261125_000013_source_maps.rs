//! Source maps: chunks on their way up, bundles, their files in pieces, and which events lacked a map.

use sea_orm_migration::prelude::*;
use sea_orm_migration::sea_orm::DbBackend;

use crate::column::{blob, id, integer, nullable, text, timestamp};

pub(crate) struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &str {
        "m20261125_000013_source_maps"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for table in [chunk(), assembly(), bundle(), file(), piece()] {
            manager.create_table(table).await?;
        }
        let mut unmapped = unmapped();
        if manager.get_database_backend() == DbBackend::Sqlite {
            // The key is nearly the whole row: one tree instead of two.
            unmapped.extra("WITHOUT ROWID");
        }
        manager.create_table(unmapped).await?;
        for index in indexes() {
            manager.create_index(index).await?;
        }
        if manager.get_database_backend() == DbBackend::Postgres {
            // Both are compressed already; PostgreSQL would try again in vain.
            for table in ["error_upload_chunk", "error_artifact_piece"] {
                let external = format!("ALTER TABLE {table} ALTER COLUMN content SET STORAGE EXTERNAL");
                manager.get_connection().execute_unprepared(&external).await?;
            }
        }
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let tables = [
            "error_unmapped",
            "error_artifact_piece",
            "error_artifact_file",
            "error_artifact_bundle",
            "error_upload_assembly",
            "error_upload_chunk",
        ];
        for table in tables {
            manager.drop_table(Table::drop().table(table).take()).await?;
        }
        Ok(())
    }
}

fn chunk() -> TableCreateStatement {
    Table::create()
        .table("error_upload_chunk")
        .col(id("organisation_id"))
        .col(text("checksum"))
        .col(integer("size"))
        .col(timestamp("created_at"))
        .col(blob("content"))
        .primary_key(Index::create().col("organisation_id").col("checksum"))
        .take()
}

fn assembly() -> TableCreateStatement {
    Table::create()
        .table("error_upload_assembly")
        .col(id("organisation_id"))
        // A hash of everything that was asked for.
        .col(text("request_key"))
        .col(text("request"))
        .col(integer("state"))
        .col(nullable(text("detail")))
        .col(timestamp("updated_at"))
        .primary_key(Index::create().col("organisation_id").col("request_key"))
        .take()
}

fn bundle() -> TableCreateStatement {
    Table::create()
        .table("error_artifact_bundle")
        .col(id("id").primary_key().take())
        .col(integer("project_id"))
        .col(integer("state"))
        .col(timestamp("uploaded_at"))
        .col(text("checksum"))
        .col(nullable(text("release")))
        .col(nullable(text("dist")))
        .col(integer("file_count"))
        .col(integer("stored_size"))
        .col(text("actor_kind"))
        .col(nullable(text("actor_id")))
        .take()
}

fn file() -> TableCreateStatement {
    Table::create()
        .table("error_artifact_file")
        .col(id("id").primary_key().take())
        .col(integer("project_id"))
        .col(id("bundle_id"))
        .col(integer("kind"))
        .col(nullable(id("debug_id")))
        // A hash of the release, if the bundle is of one.
        .col(nullable(id("release_key")))
        .col(text("url"))
        .col(nullable(text("map_reference")))
        .col(integer("size"))
        .col(integer("stored_size"))
        .take()
}

fn piece() -> TableCreateStatement {
    Table::create()
        .table("error_artifact_piece")
        .col(id("file_id"))
        .col(integer("number"))
        .col(integer("project_id"))
        .col(blob("content"))
        .primary_key(Index::create().col("file_id").col("number"))
        .take()
}

fn unmapped() -> TableCreateStatement {
    Table::create()
        .table("error_unmapped")
        .col(integer("project_id"))
        // A debug id, or a hash of a release.
        .col(id("map_key"))
        .col(id("event_id"))
        .col(timestamp("received_at"))
        .primary_key(Index::create().col("project_id").col("map_key").col("event_id"))
        .take()
}

fn indexes() -> [IndexCreateStatement; 7] {
    let on = |name: &'static str, table: &'static str, column| {
        Index::create().name(name).table(table).col(column).take()
    };
    [
        on("error_upload_chunk_age", "error_upload_chunk", "created_at"),
        on("error_artifact_bundle_newest", "error_artifact_bundle", "project_id")
            .col("state")
            .col("uploaded_at")
            .col("id")
            .take(),
        on("error_artifact_file_bundle", "error_artifact_file", "bundle_id"),
        on("error_artifact_file_debug_id", "error_artifact_file", "project_id").col("debug_id").take(),
        on("error_artifact_file_url", "error_artifact_file", "project_id")
            .col("release_key")
            .col("url")
            .take(),
        on("error_artifact_bundle_state", "error_artifact_bundle", "state"),
        on("error_unmapped_age", "error_unmapped", "received_at"),
    ]
}
