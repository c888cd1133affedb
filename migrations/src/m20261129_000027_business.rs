//! Business intelligence: what is told of subscriptions, the ledger of movements that follows from it, charges, and rates of
//! exchange.

use sea_orm_migration::prelude::*;

use crate::column::{blob, integer, nullable, text, timestamp};

pub(crate) struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &str {
        "m20261129_000027_business"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for table in [project(), subscription_event(), movement(), charge(), rate()] {
            manager.create_table(table).await?;
        }
        for index in indexes() {
            manager.create_index(index).await?;
        }
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for table in ["bi_rate", "bi_charge", "bi_movement", "bi_subscription_event", "bi_project"] {
            manager.drop_table(Table::drop().table(table).take()).await?;
        }
        Ok(())
    }
}

fn project() -> TableCreateStatement {
    Table::create()
        .table("bi_project")
        // Whoever changes what is known of revenue takes this row first.
        .col(integer("project_id").primary_key().take())
        // The rules of the ledger as JSON; none for the usual ones.
        .col(nullable(text("rules")))
        // The currencies of all charges and subscriptions, with commas between them.
        .col(text("currencies"))
        .take()
}

fn subscription_event() -> TableCreateStatement {
    Table::create()
        .table("bi_subscription_event")
        .col(integer("project_id"))
        .col(blob("id"))
        .col(integer("subject_id"))
        // A hash of the sender's id.
        .col(blob("subscription"))
        .col(timestamp("at"))
        // What it says, as JSON.
        .col(text("state"))
        .primary_key(Index::create().col("project_id").col("id"))
        .take()
}

fn movement() -> TableCreateStatement {
    Table::create()
        .table("bi_movement")
        .col(integer("project_id"))
        // 0 for sums of those who were erased.
        .col(integer("subject_id"))
        .col(timestamp("at"))
        .col(text("currency"))
        .col(text("plan"))
        // 0 new, 1 expansion, 2 contraction, 3 churn, 4 reactivation, 5 transfer.
        .col(integer("kind"))
        // When the customer began to pay.
        .col(timestamp("cohort_at"))
        .col(integer("delta_minor"))
        // By how much the numbers of customers, and of subscribers to the plan, change.
        .col(integer("customers"))
        .col(integer("subscribers"))
        // 1 in the first of the rows that a movement has by plan, else 0.
        .col(integer("movements"))
        // The id of the event.
        .col(blob("cause"))
        .primary_key(
            Index::create()
                .col("project_id")
                .col("subject_id")
                .col("at")
                .col("currency")
                .col("plan")
                .col("kind")
                .col("cohort_at"),
        )
        .take()
}

fn charge() -> TableCreateStatement {
    Table::create()
        .table("bi_charge")
        .col(integer("project_id"))
        .col(blob("id"))
        // 0 for sums of those who were erased.
        .col(integer("subject_id"))
        .col(timestamp("at"))
        // 0 for a subscription, 1 an order, 2 a refund.
        .col(integer("kind"))
        .col(text("currency"))
        .col(integer("amount_minor"))
        .col(integer("charges"))
        .primary_key(Index::create().col("project_id").col("id").col("kind"))
        .take()
}

fn rate() -> TableCreateStatement {
    Table::create()
        .table("bi_rate")
        .col(integer("project_id"))
        .col(text("to_currency"))
        // Of UTC, numbered since 1970-01-01.
        .col(integer("day"))
        .col(text("from_currency"))
        .col(integer("billionths"))
        .primary_key(Index::create().col("project_id").col("to_currency").col("day").col("from_currency"))
        .take()
}

fn indexes() -> [IndexCreateStatement; 6] {
    let index = |name: &'static str, table: &'static str, columns: [&'static str; 2]| {
        Index::create().name(name).table(table).col(columns[0]).col(columns[1]).take()
    };
    [
        index("bi_subscription_event_subject", "bi_subscription_event", ["project_id", "subject_id"]),
        index("bi_subscription_event_subscription", "bi_subscription_event", ["project_id", "subscription"]),
        index("bi_movement_at", "bi_movement", ["project_id", "at"]),
        index("bi_movement_cohort", "bi_movement", ["project_id", "cohort_at"]),
        index("bi_charge_at", "bi_charge", ["project_id", "at"]),
        index("bi_charge_subject", "bi_charge", ["project_id", "subject_id"]),
    ]
}
