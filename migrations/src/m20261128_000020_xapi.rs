//! The xAPI record store: statements, what they are found by, people apart from them, activities, attachments, documents;
//! and the keys by which it is used.

use sea_orm_migration::prelude::*;
use sea_orm_migration::sea_orm::DbBackend;

use crate::column::{blob, boolean, id, integer, nullable, text, timestamp};

pub(crate) struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &str {
        "m20261128_000020_xapi"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for mut table in [project(), statement(), posting(), target(), authority(), attachment_use()] {
            if manager.get_database_backend() == DbBackend::Sqlite {
                table.extra("WITHOUT ROWID");
            }
            manager.create_table(table).await?;
        }
        for table in [agent(), activity(), attachment(), document(), key()] {
            manager.create_table(table).await?;
        }
        for index in indexes() {
            manager.create_index(index).await?;
        }
        if manager.get_database_backend() == DbBackend::Postgres {
            // Compressed already, or not to be compressed; PostgreSQL would try in vain.
            let external = "ALTER TABLE xapi_statement ALTER COLUMN body SET STORAGE EXTERNAL;
                ALTER TABLE xapi_posting ALTER COLUMN others SET STORAGE EXTERNAL;
                ALTER TABLE xapi_attachment ALTER COLUMN content SET STORAGE EXTERNAL";
            manager.get_connection().execute_unprepared(external).await?;
        }
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let tables = [
            "accounts_xapi_key",
            "xapi_document",
            "xapi_attachment",
            "xapi_activity",
            "xapi_agent",
            "xapi_attachment_use",
            "xapi_authority",
            "xapi_target",
            "xapi_posting",
            "xapi_statement",
            "xapi_project",
        ];
        for table in tables {
            manager.drop_table(Table::drop().table(table).take()).await?;
        }
        Ok(())
    }
}

fn project() -> TableCreateStatement {
    Table::create()
        .table("xapi_project")
        .col(integer("project_id").primary_key().take())
        // Whoever writes takes this row first; statements are stored at instants that rise.
        .col(timestamp("last_stored"))
        .col(integer("next_agent"))
        // Changes with every definition of an activity, and with every erasure: what is remembered is stale then.
        .col(integer("generation"))
        .take()
}

fn statement() -> TableCreateStatement {
    Table::create()
        .table("xapi_statement")
        .col(integer("project_id"))
        .col(timestamp("stored"))
        .col(id("statement_id"))
        // 16 bytes of a keyed hash; equal for equal statements.
        .col(blob("digest"))
        .col(id("key_id"))
        // 1 voided, 2 the timestamp is that of storing, 4 compressed, 8 voids another.
        .col(integer("flags"))
        // The numbers in xapi_agent of those whom the body has marks for.
        .col(blob("people"))
        .col(blob("body"))
        .primary_key(Index::create().col("project_id").col("stored"))
        .take()
}

fn posting() -> TableCreateStatement {
    Table::create()
        .table("xapi_posting")
        .col(integer("project_id"))
        // 8 bytes of a hash of what statements are found by.
        .col(integer("posting_key"))
        .col(timestamp("first_stored"))
        // Differences to further ones as variable-length integers; empty for none.
        .col(blob("others"))
        .primary_key(Index::create().col("project_id").col("posting_key").col("first_stored"))
        .take()
}

fn target() -> TableCreateStatement {
    Table::create()
        .table("xapi_target")
        .col(integer("project_id"))
        .col(id("target_id"))
        // The statement whose object the target is.
        .col(timestamp("stored"))
        .col(boolean("is_voiding"))
        .primary_key(Index::create().col("project_id").col("target_id").col("stored"))
        .take()
}

fn authority() -> TableCreateStatement {
    Table::create()
        .table("xapi_authority")
        .col(integer("project_id"))
        .col(id("key_id"))
        .col(text("name"))
        .primary_key(Index::create().col("project_id").col("key_id"))
        .take()
}

fn attachment_use() -> TableCreateStatement {
    Table::create()
        .table("xapi_attachment_use")
        .col(integer("project_id"))
        .col(text("sha2"))
        .col(timestamp("stored"))
        .primary_key(Index::create().col("project_id").col("sha2").col("stored"))
        .take()
}

fn agent() -> TableCreateStatement {
    Table::create()
        .table("xapi_agent")
        .col(integer("project_id"))
        .col(integer("agent_id"))
        .col(integer("subject_id"))
        .col(boolean("is_group"))
        // 16 bytes of a keyed hash of the wording; random after an erasure.
        .col(blob("form"))
        // The wording under the subject's key; none after an erasure.
        .col(nullable(blob("sealed")))
        .primary_key(Index::create().col("project_id").col("agent_id"))
        .take()
}

fn activity() -> TableCreateStatement {
    Table::create()
        .table("xapi_activity")
        .col(integer("project_id"))
        .col(text("activity_id"))
        .col(text("definition"))
        .primary_key(Index::create().col("project_id").col("activity_id"))
        .take()
}

fn attachment() -> TableCreateStatement {
    Table::create()
        .table("xapi_attachment")
        .col(integer("project_id"))
        .col(text("sha2"))
        .col(blob("content"))
        .primary_key(Index::create().col("project_id").col("sha2"))
        .take()
}

fn document() -> TableCreateStatement {
    Table::create()
        .table("xapi_document")
        .col(integer("project_id"))
        // 1 state, 2 profile of an activity, 3 profile of an agent.
        .col(integer("kind"))
        // 0 for profiles of activities.
        .col(integer("subject_id"))
        // Empty for profiles of agents.
        .col(text("activity_id"))
        // A UUID; empty for none.
        .col(text("registration"))
        .col(text("document_id"))
        .col(text("content_type"))
        // Under the subject's key where there is a subject.
        .col(blob("content"))
        .col(timestamp("updated_at"))
        .primary_key(
            Index::create()
                .col("project_id")
                .col("kind")
                .col("subject_id")
                .col("activity_id")
                .col("registration")
                .col("document_id"),
        )
        .take()
}

fn key() -> TableCreateStatement {
    Table::create()
        .table("accounts_xapi_key")
        .col(id("id").primary_key().take())
        .col(integer("project_id"))
        .col(text("public_key").unique_key().take())
        .col(blob("secret_hash"))
        .col(text("label"))
        // Words, parted by spaces.
        .col(text("scopes"))
        .col(timestamp("created_at"))
        .col(nullable(timestamp("revoked_at")))
        .take()
}

fn indexes() -> [IndexCreateStatement; 5] {
    [
        Index::create()
            .name("xapi_statement_id")
            .table("xapi_statement")
            .col("project_id")
            .col("statement_id")
            .unique()
            .take(),
        Index::create()
            .name("xapi_agent_form")
            .table("xapi_agent")
            .col("project_id")
            .col("form")
            .unique()
            .take(),
        Index::create()
            .name("xapi_agent_subject")
            .table("xapi_agent")
            .col("project_id")
            .col("subject_id")
            .take(),
        Index::create()
            .name("xapi_attachment_use_stored")
            .table("xapi_attachment_use")
            .col("project_id")
            .col("stored")
            .take(),
        Index::create().name("accounts_xapi_key_project").table("accounts_xapi_key").col("project_id").take(),
    ]
}
