//! Grouping: how an issue's values were chosen, and the projects' own rules.

use sea_orm_migration::prelude::*;

use crate::column::{integer, text, timestamp};

pub(crate) struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &str {
        "m20261125_000007_grouping"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let explanation = text("grouping_explanation").default("{}").take();
        manager.alter_table(Table::alter().table("error_issue").add_column(explanation).take()).await?;
        manager.create_table(rules()).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.drop_table(Table::drop().table("error_grouping_rules").take()).await?;
        manager
            .alter_table(Table::alter().table("error_issue").drop_column("grouping_explanation").take())
            .await
    }
}

/// One text a project, a rule a line.
fn rules() -> TableCreateStatement {
    Table::create()
        .table("error_grouping_rules")
        .col(integer("project_id").primary_key().take())
        .col(text("rules"))
        // How often they were changed: who changes them says which state they saw.
        .col(integer("revision"))
        .col(timestamp("changed_at"))
        .take()
}
