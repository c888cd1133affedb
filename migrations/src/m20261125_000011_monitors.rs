//! Monitored jobs: their schedules, how they stand in each environment, their runs, and when nobody could watch.

use sea_orm_migration::prelude::*;
use sea_orm_migration::sea_orm::DbBackend;

use crate::column::{boolean, id, integer, nullable, text, timestamp};

pub(crate) struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &str {
        "m20261125_000011_monitors"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.create_table(monitor()).await?;
        manager.create_table(environment()).await?;
        manager.create_table(check_in()).await?;
        for index in indexes() {
            manager.create_index(index).await?;
        }
        for mut table in [hour(), clock(), absence()] {
            if manager.get_database_backend() == DbBackend::Sqlite {
                table.extra("WITHOUT ROWID");
            }
            manager.create_table(table).await?;
        }
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let tables = [
            "error_monitor_absence",
            "error_monitor_clock",
            "error_monitor_hour",
            "error_check_in",
            "error_monitor_environment",
            "error_monitor",
        ];
        for table in tables {
            manager.drop_table(Table::drop().table(table).take()).await?;
        }
        Ok(())
    }
}

fn monitor() -> TableCreateStatement {
    Table::create()
        .table("error_monitor")
        .col(id("id").primary_key().take())
        .col(integer("project_id"))
        .col(text("slug"))
        .col(text("name"))
        // A crontab, or as in `15 minute`.
        .col(text("schedule"))
        .col(text("time_zone"))
        .col(integer("margin_minutes"))
        .col(integer("max_runtime_minutes"))
        .col(integer("failure_threshold"))
        .col(integer("recovery_threshold"))
        .col(boolean("is_paused"))
        .col(boolean("is_muted"))
        .col(timestamp("created_at"))
        .take()
}

fn environment() -> TableCreateStatement {
    Table::create()
        .table("error_monitor_environment")
        .col(id("id").primary_key().take())
        .col(integer("project_id"))
        .col(id("monitor_id"))
        .col(text("environment"))
        .col(boolean("is_failing"))
        .col(integer("failures_in_row"))
        .col(integer("successes_in_row"))
        .col(nullable(integer("last_status")))
        .col(nullable(timestamp("last_run_at")))
        .col(nullable(timestamp("next_expected_at")))
        // When the expected run counts as missed; NULL while nobody waits for it.
        .col(nullable(timestamp("due_until")))
        .col(nullable(id("issue_id")))
        .take()
}

fn check_in() -> TableCreateStatement {
    Table::create()
        .table("error_check_in")
        .col(id("id").primary_key().take())
        .col(integer("project_id"))
        .col(id("monitor_id"))
        .col(id("environment_id"))
        // The client's id; ours for a run that never reported.
        .col(id("check_in_id"))
        .col(integer("status"))
        .col(timestamp("started_at"))
        .col(nullable(timestamp("expected_at")))
        .col(nullable(integer("duration_ms")))
        // While it is in progress: when it counts as timed out.
        .col(nullable(timestamp("due_until")))
        .col(nullable(text("release")))
        .col(nullable(id("trace_id")))
        .take()
}

fn indexes() -> [IndexCreateStatement; 7] {
    let on = |name: &'static str, table: &'static str| Index::create().name(name).table(table).take();
    [
        on("error_monitor_slug", "error_monitor").col("project_id").col("slug").unique().take(),
        on("error_monitor_environment_name", "error_monitor_environment")
            .col("monitor_id")
            .col("environment")
            .unique()
            .take(),
        on("error_monitor_environment_due", "error_monitor_environment").col("due_until").take(),
        on("error_check_in_client", "error_check_in").col("monitor_id").col("check_in_id").unique().take(),
        on("error_check_in_run", "error_check_in").col("environment_id").col("started_at").col("id").take(),
        on("error_check_in_monitor", "error_check_in").col("monitor_id").col("started_at").col("id").take(),
        on("error_check_in_due", "error_check_in").col("due_until").take(),
    ]
}

fn hour() -> TableCreateStatement {
    Table::create()
        .table("error_monitor_hour")
        .col(integer("project_id"))
        .col(id("environment_id"))
        .col(integer("hour"))
        .col(integer("ok_count"))
        .col(integer("failed_count"))
        .primary_key(Index::create().col("project_id").col("environment_id").col("hour"))
        .take()
}

/// One row: until when all deadlines are judged.
fn clock() -> TableCreateStatement {
    Table::create()
        .table("error_monitor_clock")
        .col(integer("id").primary_key().take())
        .col(timestamp("judged_until"))
        .take()
}

/// Times in which Belvedere itself was away.
fn absence() -> TableCreateStatement {
    Table::create()
        .table("error_monitor_absence")
        .col(timestamp("from_at").primary_key().take())
        .col(timestamp("until_at"))
        .take()
}
