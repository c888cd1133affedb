//! Insights worth keeping, the boards that show them, and the links by which others see a board.

use sea_orm_migration::prelude::*;

use crate::column::{blob, id, integer, nullable, text, timestamp};

pub(crate) struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &str {
        "m20261129_000028_insights"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for table in [insight(), board(), tile(), link()] {
            manager.create_table(table).await?;
        }
        for (name, table, column) in [
            ("bi_insight_project", "bi_insight", "project_id"),
            ("bi_board_project", "bi_board", "project_id"),
            ("bi_tile_insight", "bi_tile", "insight_id"),
            ("bi_board_link_board", "bi_board_link", "board_id"),
        ] {
            manager.create_index(Index::create().name(name).table(table).col(column).take()).await?;
        }
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for table in ["bi_board_link", "bi_tile", "bi_board", "bi_insight"] {
            manager.drop_table(Table::drop().table(table).take()).await?;
        }
        Ok(())
    }
}

fn insight() -> TableCreateStatement {
    Table::create()
        .table("bi_insight")
        .col(id("id").primary_key().take())
        .col(integer("project_id"))
        .col(text("name"))
        // What it asks, as JSON.
        .col(text("question"))
        // None for a program.
        .col(nullable(id("created_by")))
        .col(timestamp("created_at"))
        .col(timestamp("changed_at"))
        .take()
}

fn board() -> TableCreateStatement {
    Table::create()
        .table("bi_board")
        .col(id("id").primary_key().take())
        .col(integer("project_id"))
        .col(text("name"))
        .col(nullable(id("created_by")))
        .col(timestamp("created_at"))
        .col(timestamp("changed_at"))
        .take()
}

fn to(table: &'static str, column: &'static str, of: &'static str) -> ForeignKeyCreateStatement {
    ForeignKey::create().from(table, column).to(of, "id").on_delete(ForeignKeyAction::Cascade).take()
}

fn tile() -> TableCreateStatement {
    Table::create()
        .table("bi_tile")
        .col(id("board_id"))
        .col(id("insight_id"))
        // From 0, in the order of the board.
        .col(integer("position"))
        // half or full.
        .col(text("width"))
        .primary_key(Index::create().col("board_id").col("insight_id"))
        .foreign_key(&mut to("bi_tile", "board_id", "bi_board"))
        .foreign_key(&mut to("bi_tile", "insight_id", "bi_insight"))
        .take()
}

fn link() -> TableCreateStatement {
    Table::create()
        .table("bi_board_link")
        .col(id("id").primary_key().take())
        .col(id("board_id"))
        .col(integer("project_id"))
        // SHA-256.
        .col(blob("secret_hash"))
        .col(nullable(id("created_by")))
        .col(timestamp("created_at"))
        // None for never.
        .col(nullable(timestamp("expires_at")))
        .foreign_key(&mut to("bi_board_link", "board_id", "bi_board"))
        .take()
}
