//! Error tracking: tags that all events of an issue have are not counted one by one; how much an issue rises is kept;
//! counting issues by status reads an index alone.

use std::collections::HashMap;

use sea_orm_migration::prelude::*;
use sea_orm_migration::sea_orm::{DbBackend, Statement};

use crate::column::{id, integer, nullable, text, timestamp};

pub(crate) struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &str {
        "m20261128_000017_tag_counts"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let new = [
            // The decayed sums of events by forward decay, as logarithms in units of 2^-32, and the order made of them.
            integer("heat_day").default(0).take(),
            integer("heat_week").default(0).take(),
            integer("trend").default(0).take(),
            // The tags that all events of the issue have, `tag:key`, divided by spaces.
            text("common_tags").default("").take(),
        ];
        for column in new {
            manager.alter_table(Table::alter().table("error_issue").add_column(column).take()).await?;
        }
        let connection = manager.get_connection();
        connection
            .execute_unprepared("CREATE TABLE error_issue_tag_before AS SELECT * FROM error_issue_tag")
            .await?;
        manager.drop_table(Table::drop().table("error_issue_tag").take()).await?;
        create(manager, issue_tag()).await?;
        for statement in COPY {
            connection.execute_unprepared(statement).await?;
        }
        connection.execute_unprepared("DROP TABLE error_issue_tag_before").await?;
        heat(manager).await?;
        connection.execute_unprepared("DROP INDEX error_issue_last_seen").await?;
        let index = issue_index().col("trend").col("assigned_to").col("substatus").take();
        manager.create_index(index).await?;
        // Counted by status, and not touched by new events.
        connection.execute_unprepared("DROP INDEX error_issue_status").await?;
        manager.create_index(status_index().col("substatus").take()).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let connection = manager.get_connection();
        connection.execute_unprepared("DROP INDEX error_issue_last_seen").await?;
        manager.create_index(issue_index()).await?;
        connection.execute_unprepared("DROP INDEX error_issue_status").await?;
        manager.create_index(status_index().col("last_seen").col("id").take()).await?;
        connection
            .execute_unprepared("CREATE TABLE error_issue_tag_after AS SELECT * FROM error_issue_tag")
            .await?;
        manager.drop_table(Table::drop().table("error_issue_tag").take()).await?;
        create(manager, issue_tag_before()).await?;
        for statement in COPY_BACK {
            connection.execute_unprepared(statement).await?;
        }
        connection.execute_unprepared("DROP TABLE error_issue_tag_after").await?;
        for column in ["heat_day", "heat_week", "trend", "common_tags"] {
            manager.alter_table(Table::alter().table("error_issue").drop_column(column).take()).await?;
        }
        Ok(())
    }
}

async fn create(manager: &SchemaManager<'_>, mut table: TableCreateStatement) -> Result<(), DbErr> {
    if manager.get_database_backend() == DbBackend::Sqlite {
        table.extra("WITHOUT ROWID");
    }
    manager.create_table(table).await?;
    let index = Index::create().name("error_issue_tag_tag").table("error_issue_tag").col("project_id").take();
    manager.create_index(index.clone().col("tag_id").col("issue_id").take()).await
}

fn issue_tag() -> TableCreateStatement {
    Table::create()
        .table("error_issue_tag")
        .col(integer("project_id"))
        .col(id("issue_id"))
        .col(integer("key_id"))
        // The key itself stands for those of its values that are not counted one by one.
        .col(integer("tag_id"))
        // None: as many as the issue has, because all of its events have the tag.
        .col(nullable(integer("event_count")))
        .col(nullable(timestamp("first_seen")))
        .col(nullable(timestamp("last_seen")))
        .primary_key(Index::create().col("project_id").col("issue_id").col("key_id").col("tag_id"))
        .take()
}

fn issue_tag_before() -> TableCreateStatement {
    Table::create()
        .table("error_issue_tag")
        .col(integer("project_id"))
        .col(id("issue_id"))
        .col(integer("tag_id"))
        .col(integer("event_count"))
        .col(integer("value_count"))
        .col(timestamp("first_seen"))
        .col(timestamp("last_seen"))
        .primary_key(Index::create().col("project_id").col("issue_id").col("tag_id"))
        .take()
}

/// With all that lists filter and sort by, so that finding a page reads no row that is not on it.
fn issue_index() -> IndexCreateStatement {
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
        .take()
}

fn status_index() -> IndexCreateStatement {
    let index = Index::create().name("error_issue_status").table("error_issue").col("project_id").take();
    index.clone().col("status").take()
}

const COPY: [&str; 2] = [
    "INSERT INTO error_issue_tag (project_id, issue_id, key_id, tag_id, event_count, first_seen, last_seen)
     SELECT c.project_id, c.issue_id, k.id, t.id, c.event_count, c.first_seen, c.last_seen
     FROM error_issue_tag_before c JOIN error_tag t ON t.id = c.tag_id AND t.value <> ''
     JOIN error_tag k ON k.project_id = t.project_id AND k.key = t.key AND k.value = ''",
    "INSERT INTO error_issue_tag (project_id, issue_id, key_id, tag_id, event_count, first_seen, last_seen)
     SELECT c.project_id, c.issue_id, k.id, k.id, c.event_count - COALESCE(v.events, 0), c.first_seen, c.last_seen
     FROM error_issue_tag_before c JOIN error_tag k ON k.id = c.tag_id AND k.value = ''
     LEFT JOIN (SELECT issue_id, key_id, SUM(event_count) AS events FROM error_issue_tag GROUP BY issue_id, key_id) AS v
       ON v.issue_id = c.issue_id AND v.key_id = k.id
     WHERE c.event_count > COALESCE(v.events, 0)",
];

const COPY_BACK: [&str; 2] = [
    "INSERT INTO error_issue_tag (project_id, issue_id, tag_id, event_count, value_count, first_seen, last_seen)
     SELECT c.project_id, c.issue_id, c.tag_id, COALESCE(c.event_count, i.event_count), 0,
       COALESCE(c.first_seen, i.first_seen), COALESCE(c.last_seen, i.last_seen)
     FROM error_issue_tag_after c JOIN error_issue i ON i.id = c.issue_id WHERE c.tag_id <> c.key_id",
    "INSERT INTO error_issue_tag (project_id, issue_id, tag_id, event_count, value_count, first_seen, last_seen)
     SELECT c.project_id, c.issue_id, c.key_id, SUM(COALESCE(c.event_count, i.event_count)),
       SUM(CASE WHEN c.tag_id = c.key_id THEN 0 ELSE 1 END),
       MIN(COALESCE(c.first_seen, i.first_seen)), MAX(COALESCE(c.last_seen, i.last_seen))
     FROM error_issue_tag_after c JOIN error_issue i ON i.id = c.issue_id
     GROUP BY c.project_id, c.issue_id, c.key_id",
];

/// Counts the events of all issues by forward decay: an event of the hour `t` weighs `2^(t / half-life)`, with half-lives
/// of a day and a week; the trend is the one sum against the other to the power of 0.75.
async fn heat(manager: &SchemaManager<'_>) -> Result<(), DbErr> {
    let connection = manager.get_connection();
    let query = "SELECT issue_id, hour, CAST(SUM(event_count) AS bigint) FROM error_issue_hour GROUP BY issue_id, hour";
    let mut heats: HashMap<sea_orm_migration::sea_orm::prelude::Uuid, [f64; 2]> = HashMap::new();
    for row in
        connection.query_all_raw(Statement::from_string(connection.get_database_backend(), query)).await?
    {
        let (hour, events): (i64, i64) = (row.try_get_by_index(1)?, row.try_get_by_index(2)?);
        let heat = heats.entry(row.try_get_by_index(0)?).or_default();
        for (kept, half_life) in heat.iter_mut().zip([24.0, 168.0]) {
            let added = Ord::max(hour, 0) as f64 / half_life + (Ord::max(events, 1) as f64).log2();
            let (larger, smaller) = (kept.max(added), kept.min(added));
            *kept = larger + (smaller - larger).exp2().ln_1p() * std::f64::consts::LOG2_E;
        }
    }
    for (issue, heat) in heats {
        let [day, week] = heat.map(|heat| (heat * 4_294_967_296.0) as i64);
        let trend = day - (week as f64 * 0.75) as i64;
        let update = Query::update()
            .table("error_issue")
            .value("heat_day", day)
            .value("heat_week", week)
            .value("trend", trend)
            .and_where(Expr::col("id").eq(issue))
            .take();
        manager.exec_stmt(update).await?;
    }
    Ok(())
}
