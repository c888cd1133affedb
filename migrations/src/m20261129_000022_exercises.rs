//! Learning analytics: when a learner was last at an exercise; 0 until they are again.

use sea_orm_migration::prelude::*;

use crate::column::integer;

pub(crate) struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &str {
        "m20261129_000022_exercises"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let column = integer("last_at").default(0).take();
        manager.alter_table(Table::alter().table("learning_exercise").add_column(column).take()).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.alter_table(Table::alter().table("learning_exercise").drop_column("last_at").take()).await
    }
}
