//! Search of issues: tags counted per issue, the words of issues, traces of events, saved searches.

use sea_orm_migration::prelude::*;
use sea_orm_migration::sea_orm::DbBackend;

use crate::column::{boolean, id, integer, nullable, text, timestamp};

pub(crate) struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &str {
        "m20261125_000009_search"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let is_sqlite = manager.get_database_backend() == DbBackend::Sqlite;
        manager.create_table(tag()).await?;
        manager.create_index(tag_index()).await?;
        let mut issue_tag = issue_tag();
        if is_sqlite {
            issue_tag.extra("WITHOUT ROWID");
        }
        manager.create_table(issue_tag).await?;
        manager.create_index(issue_tag_index()).await?;
        manager.create_table(saved_search()).await?;
        manager.create_index(saved_search_index()).await?;
        for column in [nullable(id("trace_id")), nullable(text("tags"))] {
            alter(manager, "error_event", column).await?;
        }
        for column in [integer("text_hash").default(0).take(), integer("text_variants").default(0).take()] {
            alter(manager, "error_issue", column).await?;
        }
        let connection = manager.get_connection();
        connection.execute_unprepared("DROP INDEX error_issue_last_seen").await?;
        for index in issue_indexes() {
            manager.create_index(index).await?;
        }
        connection.execute_unprepared("ALTER TABLE error_issue DROP COLUMN search_text").await?;
        for index in PARTIAL_INDEXES {
            connection.execute_unprepared(index).await?;
        }
        for statement in if is_sqlite { &SQLITE[..] } else { &POSTGRES[..] } {
            connection.execute_unprepared(statement).await?;
        }
        for statement in FILL {
            connection.execute_unprepared(statement).await?;
        }
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let connection = manager.get_connection();
        let statements: &[&str] = match manager.get_database_backend() {
            DbBackend::Sqlite => &["DROP TRIGGER error_issue_deleted", "DROP TABLE error_issue_text"],
            _ => &[
                "DROP TRIGGER error_issue_deleted ON error_issue",
                "DROP FUNCTION error_issue_deleted()",
                "DROP TABLE error_issue_text",
            ],
        };
        for statement in statements {
            connection.execute_unprepared(statement).await?;
        }
        for index in ["error_event_trace", "error_issue_last_seen", "error_issue_hour_recent"] {
            connection.execute_unprepared(&format!("DROP INDEX {index}")).await?;
        }
        let last_seen =
            Index::create().name("error_issue_last_seen").table("error_issue").col("project_id").take();
        manager.create_index(last_seen.clone().col("last_seen").col("id").take()).await?;
        alter(manager, "error_issue", text("search_text").default("").take()).await?;
        connection
            .execute_unprepared("UPDATE error_issue SET search_text = lower(title || ' ' || culprit)")
            .await?;
        for (table, column) in [
            ("error_event", "trace_id"),
            ("error_event", "tags"),
            ("error_issue", "text_hash"),
            ("error_issue", "text_variants"),
        ] {
            manager.alter_table(Table::alter().table(table).drop_column(column).take()).await?;
        }
        for table in ["error_saved_search", "error_issue_tag", "error_tag"] {
            manager.drop_table(Table::drop().table(table).take()).await?;
        }
        Ok(())
    }
}

async fn alter(manager: &SchemaManager<'_>, table: &'static str, column: ColumnDef) -> Result<(), DbErr> {
    manager.alter_table(Table::alter().table(table).add_column(column).take()).await
}

/// Each key and value of a project once, so that counts per issue are narrow. An empty value stands for the key.
fn tag() -> TableCreateStatement {
    Table::create()
        .table("error_tag")
        .col(ColumnDef::new("id").big_integer().not_null().auto_increment().primary_key().take())
        .col(integer("project_id"))
        .col(text("key"))
        .col(text("value"))
        .col(integer("event_count"))
        // Of a key: how many values it has.
        .col(integer("value_count"))
        .col(timestamp("first_seen"))
        .col(timestamp("last_seen"))
        .take()
}

fn tag_index() -> IndexCreateStatement {
    let index = Index::create().name("error_tag_key_value").table("error_tag").col("project_id").take();
    index.clone().col("key").col("value").unique().take()
}

fn issue_tag() -> TableCreateStatement {
    Table::create()
        .table("error_issue_tag")
        .col(integer("project_id"))
        .col(id("issue_id"))
        .col(integer("tag_id"))
        .col(integer("event_count"))
        // Of a key: how many of its values are counted one by one.
        .col(integer("value_count"))
        .col(timestamp("first_seen"))
        .col(timestamp("last_seen"))
        .primary_key(Index::create().col("project_id").col("issue_id").col("tag_id"))
        .take()
}

fn issue_tag_index() -> IndexCreateStatement {
    let index = Index::create().name("error_issue_tag_tag").table("error_issue_tag").col("project_id").take();
    index.clone().col("tag_id").col("issue_id").take()
}

fn issue_indexes() -> [IndexCreateStatement; 2] {
    [
        // With all that lists filter and sort by, so that finding a page reads no row that is not on it.
        Index::create()
            .name("error_issue_last_seen")
            .table("error_issue")
            .col("project_id")
            .col("last_seen")
            .col("id")
            .col("status")
            .col("level")
            .col("event_count")
            .col("subject_count")
            .col("first_seen")
            .col("number")
            .take(),
        // What happened of late, whichever issue it was.
        Index::create()
            .name("error_issue_hour_recent")
            .table("error_issue_hour")
            .col("project_id")
            .col("hour")
            .col("issue_id")
            .col("environment")
            .col("event_count")
            .take(),
    ]
}

fn saved_search() -> TableCreateStatement {
    Table::create()
        .table("error_saved_search")
        .col(id("id").primary_key().take())
        .col(integer("project_id"))
        // Whose it is; none if it is shared.
        .col(nullable(id("owner")))
        .col(text("name"))
        .col(text("query"))
        .col(text("sort"))
        .col(boolean("is_default"))
        .col(timestamp("created_at"))
        .col(timestamp("changed_at"))
        .take()
}

fn saved_search_index() -> IndexCreateStatement {
    let index = Index::create().name("error_saved_search_name").table("error_saved_search").take();
    index.clone().col("project_id").col("owner").col("name").take()
}

const PARTIAL_INDEXES: [&str; 2] = [
    "CREATE INDEX error_event_trace ON error_event (project_id, trace_id) WHERE trace_id IS NOT NULL",
    // The keys alone, among their values.
    "CREATE INDEX error_tag_keys ON error_tag (project_id) WHERE value = ''",
];

/// The row of an issue is its project's number in the upper and its own in the lower 32 bits. The words come prepared,
/// divided by spaces, so that the tokeniser has nothing to decide. What is deleted leaves no trace in the index.
const SQLITE: [&str; 4] = [
    "CREATE VIRTUAL TABLE error_issue_text USING fts5 (title, culprit, message, other, tokenize = 'ascii')",
    "INSERT INTO error_issue_text (error_issue_text, rank) VALUES ('secure-delete', 1)",
    "CREATE TRIGGER error_issue_deleted AFTER DELETE ON error_issue BEGIN
        DELETE FROM error_issue_text WHERE rowid = old.project_id * 4294967296 + old.number;
        DELETE FROM error_issue_tag WHERE project_id = old.project_id AND issue_id = old.id;
     END",
    "INSERT INTO error_issue_text (rowid, title, culprit, message, other)
     SELECT project_id * 4294967296 + number, lower(title), lower(culprit), '', '' FROM error_issue",
];

/// The weights A, B, C and D are title, place, messages and the rest.
const POSTGRES: [&str; 5] = [
    "CREATE TABLE error_issue_text (project_id bigint NOT NULL, number bigint NOT NULL, words tsvector NOT NULL,
        PRIMARY KEY (project_id, number))",
    "CREATE INDEX error_issue_text_words ON error_issue_text USING gin (words)",
    "CREATE FUNCTION error_issue_deleted() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        DELETE FROM error_issue_text WHERE project_id = old.project_id AND number = old.number;
        DELETE FROM error_issue_tag WHERE project_id = old.project_id AND issue_id = old.id;
        RETURN NULL;
     END $$",
    "CREATE TRIGGER error_issue_deleted AFTER DELETE ON error_issue FOR EACH ROW
        EXECUTE FUNCTION error_issue_deleted()",
    "INSERT INTO error_issue_text (project_id, number, words)
     SELECT project_id, number, setweight(to_tsvector('simple', title), 'A') || setweight(to_tsvector('simple', culprit), 'B')
     FROM error_issue",
];

/// What earlier events say of release and environment.
const FILL: [&str; 5] = [
    "INSERT INTO error_tag (project_id, key, value, event_count, value_count, first_seen, last_seen)
     SELECT project_id, 'release', release, COUNT(*), 0, MIN(occurred_at), MAX(occurred_at)
     FROM error_event WHERE release IS NOT NULL GROUP BY project_id, release",
    "INSERT INTO error_tag (project_id, key, value, event_count, value_count, first_seen, last_seen)
     SELECT project_id, 'environment', environment, COUNT(*), 0, MIN(occurred_at), MAX(occurred_at)
     FROM error_event WHERE environment IS NOT NULL GROUP BY project_id, environment",
    "INSERT INTO error_tag (project_id, key, value, event_count, value_count, first_seen, last_seen)
     SELECT project_id, key, '', SUM(event_count), COUNT(*), MIN(first_seen), MAX(last_seen)
     FROM error_tag GROUP BY project_id, key",
    "INSERT INTO error_issue_tag (project_id, issue_id, tag_id, event_count, value_count, first_seen, last_seen)
     SELECT e.project_id, e.issue_id, t.id, COUNT(*), 0, MIN(e.occurred_at), MAX(e.occurred_at)
     FROM error_event e JOIN error_tag t ON t.project_id = e.project_id AND t.value <> ''
       AND ((t.key = 'release' AND t.value = e.release) OR (t.key = 'environment' AND t.value = e.environment))
     GROUP BY e.project_id, e.issue_id, t.id",
    "INSERT INTO error_issue_tag (project_id, issue_id, tag_id, event_count, value_count, first_seen, last_seen)
     SELECT c.project_id, c.issue_id, k.id, SUM(c.event_count), COUNT(*), MIN(c.first_seen), MAX(c.last_seen)
     FROM error_issue_tag c JOIN error_tag t ON t.id = c.tag_id
     JOIN error_tag k ON k.project_id = t.project_id AND k.key = t.key AND k.value = ''
     GROUP BY c.project_id, c.issue_id, k.id",
];
