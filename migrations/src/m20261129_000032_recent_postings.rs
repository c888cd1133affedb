//! The xAPI record store: what the last statements are found by, a row for each commit.

use sea_orm_migration::prelude::*;
use sea_orm_migration::sea_orm::DbBackend;

use crate::column::{blob, integer, timestamp};

pub(crate) struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &str {
        "m20261129_000032_recent_postings"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.create_table(recent()).await?;
        // Statements of which the postings are in xapi_recent only.
        let column = integer("recent").default(0).take();
        manager.alter_table(Table::alter().table("xapi_project").add_column(column).take()).await?;
        if manager.get_database_backend() == DbBackend::Postgres {
            let external = "ALTER TABLE xapi_recent ALTER COLUMN postings SET STORAGE EXTERNAL";
            manager.get_connection().execute_unprepared(external).await?;
        }
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.alter_table(Table::alter().table("xapi_project").drop_column("recent").take()).await?;
        manager.drop_table(Table::drop().table("xapi_recent").take()).await
    }
}

fn recent() -> TableCreateStatement {
    Table::create()
        .table("xapi_recent")
        .col(integer("project_id"))
        // When the first statement of the commit was stored, and how many it has.
        .col(timestamp("first_stored"))
        .col(integer("statements"))
        // Keys and instants as variable-length integers.
        .col(blob("postings"))
        .primary_key(Index::create().col("project_id").col("first_stored"))
        .take()
}
