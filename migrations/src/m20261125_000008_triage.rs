//! Error tracking: the life of an issue: who is to look at it, what wakes it again, its timeline, who owns what,
//! which events are discarded, and moves of events that are under way.

use sea_orm_migration::prelude::*;
use sea_orm_migration::sea_orm::DbBackend;

use crate::column::{boolean, id, integer, nullable, text, timestamp};

pub(crate) struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &str {
        "m20261125_000008_triage"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for column in issue_columns() {
            manager.alter_table(Table::alter().table("error_issue").add_column(column).take()).await?;
        }
        // The hash that an event was grouped by; unknown of events from before.
        let hash = nullable(id("hash"));
        manager.alter_table(Table::alter().table("error_event").add_column(hash).take()).await?;
        for mut table in [watch(), activity(), ownership(), discard(), movement()] {
            if manager.get_database_backend() == DbBackend::Sqlite {
                table.extra("WITHOUT ROWID");
            }
            manager.create_table(table).await?;
        }
        manager.create_index(hash_index()).await?;
        manager.create_index(release_index()).await?;
        manager.get_connection().execute_unprepared(UNTIL).await?;
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for (index, table) in [
            ("error_issue_until", "error_issue"),
            ("error_issue_hash_issue", "error_issue_hash"),
            ("error_issue_release_issue", "error_issue_release"),
        ] {
            manager.drop_index(Index::drop().name(index).table(table).to_owned()).await?;
        }
        for table in
            ["error_issue_move", "error_discard", "error_ownership", "error_activity", "error_issue_watch"]
        {
            manager.drop_table(Table::drop().table(table).take()).await?;
        }
        let hash = Table::alter().table("error_event").drop_column("hash").take();
        manager.alter_table(hash).await?;
        for column in ["regressed_in", "until_at", "condition", "suggested_owner", "assigned_to", "substatus"]
        {
            manager.alter_table(Table::alter().table("error_issue").drop_column(column).take()).await?;
        }
        Ok(())
    }
}

fn issue_columns() -> [ColumnDef; 6] {
    [
        integer("substatus").default(0).take(),
        nullable(id("assigned_to")),
        nullable(id("suggested_owner")),
        // What a new event must fulfil to wake the issue, as JSON; any event wakes a resolved issue without one.
        nullable(text("condition")),
        // When it wakes by itself.
        nullable(timestamp("until_at")),
        nullable(text("regressed_in")),
    ]
}

/// What issues whose condition asks for so much within some minutes have received lately.
fn watch() -> TableCreateStatement {
    Table::create()
        .table("error_issue_watch")
        .col(integer("project_id"))
        .col(id("issue_id"))
        // A minute since 1970 where events are counted, a subject where subjects are.
        .col(integer("key"))
        // That minute, or the last in which the subject was seen.
        .col(integer("minute"))
        .col(integer("event_count"))
        .primary_key(Index::create().col("project_id").col("issue_id").col("key"))
        .take()
}

/// The timeline of issues, comments included.
fn activity() -> TableCreateStatement {
    Table::create()
        .table("error_activity")
        .col(integer("project_id"))
        .col(id("issue_id"))
        .col(id("id"))
        .col(timestamp("at"))
        .col(text("kind"))
        .col(text("actor_kind"))
        .col(nullable(text("actor_id")))
        .col(text("detail"))
        // Of a comment, scrubbed.
        .col(nullable(text("comment")))
        .col(nullable(timestamp("edited_at")))
        .primary_key(Index::create().col("project_id").col("issue_id").col("id"))
        .take()
}

fn ownership() -> TableCreateStatement {
    Table::create()
        .table("error_ownership")
        .col(integer("project_id").primary_key().take())
        // As they were written, with members' ids in the place of their addresses.
        .col(text("rules"))
        .col(boolean("assigns"))
        .col(timestamp("updated_at"))
        .take()
}

/// Issues that were deleted together with their future events. Their hashes in error_issue_hash lead to the id here.
fn discard() -> TableCreateStatement {
    Table::create()
        .table("error_discard")
        .col(integer("project_id"))
        .col(id("id"))
        .col(text("title"))
        .col(text("culprit"))
        .col(timestamp("created_at"))
        .primary_key(Index::create().col("project_id").col("id"))
        .take()
}

/// Events on their way from one issue to another, or out of the database.
fn movement() -> TableCreateStatement {
    Table::create()
        .table("error_issue_move")
        .col(id("id"))
        .col(integer("project_id"))
        .col(id("from_issue"))
        .col(nullable(id("to_issue")))
        // Only the events of these hashes, in hexadecimal, one a line; all of them where there are none.
        .col(nullable(text("hashes")))
        .primary_key(Index::create().col("project_id").col("id"))
        .take()
}

fn hash_index() -> IndexCreateStatement {
    let index = Index::create().name("error_issue_hash_issue").table("error_issue_hash").take();
    index.clone().col("project_id").col("issue_id").take()
}

fn release_index() -> IndexCreateStatement {
    let index = Index::create().name("error_issue_release_issue").table("error_issue_release").take();
    index.clone().col("project_id").col("issue_id").take()
}

/// Of few issues, so that the others pay nothing for it.
const UNTIL: &str = "CREATE INDEX error_issue_until ON error_issue (until_at) WHERE until_at IS NOT NULL";
