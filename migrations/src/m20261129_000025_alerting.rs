//! Alerting: who is told of what, and what they are told.

use sea_orm_migration::prelude::*;

use crate::column::{blob, boolean, id, integer, nullable, text, timestamp};

pub(crate) struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &str {
        "m20261129_000025_alerting"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.create_table(endpoint()).await?;
        manager.create_table(delivery()).await?;
        for index in indexes() {
            manager.create_index(index).await?;
        }
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for table in ["alerting_delivery", "alerting_endpoint"] {
            manager.drop_table(Table::drop().table(table).take()).await?;
        }
        Ok(())
    }
}

fn endpoint() -> TableCreateStatement {
    Table::create()
        .table("alerting_endpoint")
        .col(id("id").primary_key().take())
        .col(integer("project_id"))
        .col(text("url"))
        // Words with commas between them.
        .col(text("kinds"))
        .col(blob("secret_sealed"))
        // The secret before the last change, which signs as well until the instant beside it.
        .col(nullable(blob("old_secret_sealed")))
        .col(timestamp("old_secret_until"))
        .col(boolean("is_enabled"))
        // Deliveries that were given up because too many waited, or that were too large.
        .col(integer("dropped"))
        .col(timestamp("created_at"))
        .take()
}

fn delivery() -> TableCreateStatement {
    Table::create()
        .table("alerting_delivery")
        .col(id("id").primary_key().take())
        .col(id("endpoint_id"))
        .col(integer("project_id"))
        .col(text("kind"))
        // 16 bytes of the SHA-256 of kind and key.
        .col(blob("notice_hash"))
        .col(nullable(integer("subject_id")))
        .col(text("body"))
        // pending, delivered or dead.
        .col(text("state"))
        .col(integer("attempts"))
        .col(timestamp("next_at"))
        // While a worker sends it; 0 otherwise.
        .col(timestamp("claimed_until"))
        .col(nullable(integer("last_status")))
        .col(nullable(text("last_answer")))
        .col(timestamp("created_at"))
        .col(nullable(timestamp("settled_at")))
        .foreign_key(
            ForeignKey::create()
                .from("alerting_delivery", "endpoint_id")
                .to("alerting_endpoint", "id")
                .on_delete(ForeignKeyAction::Cascade),
        )
        .take()
}

fn indexes() -> [IndexCreateStatement; 5] {
    let of_delivery = |name: &'static str| Index::create().name(name).table("alerting_delivery").take();
    [
        Index::create().name("alerting_endpoint_project").table("alerting_endpoint").col("project_id").take(),
        of_delivery("alerting_delivery_notice").col("endpoint_id").col("notice_hash").unique().take(),
        of_delivery("alerting_delivery_next").col("endpoint_id").col("state").col("next_at").take(),
        of_delivery("alerting_delivery_newest").col("endpoint_id").col("id").take(),
        of_delivery("alerting_delivery_subject").col("project_id").col("subject_id").take(),
    ]
}
