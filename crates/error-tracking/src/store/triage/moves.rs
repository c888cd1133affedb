//! Events that change their issue, or leave, batch by batch.

use std::collections::{BTreeMap, BTreeSet};

use belvedere_kernel::ProjectId;
use belvedere_storage::{Id, Sql, StorageError, Timestamp, Tx, bulk};
use sea_orm::{ConnectionTrait, QueryResult, Value};

use super::seize_project;
use super::tables::{COUNT_TABLES, OTHER_TABLES};
use super::tags::{count_common_tags, split_tags};
use super::trend::recount_trend;
use crate::IssueId;
use crate::event_id::EventKey;
use crate::limits::StorageChange;
use crate::retention::delete_events_in;
use crate::store::KEYS_MAX;
use crate::store::write::hour_of;

/// How many rows one transaction moves or deletes.
pub(crate) const MOVED_ROWS: usize = 1_000;

/// Marks ids of moves.
#[derive(Debug)]
pub(crate) enum MoveKey {}

/// Events on their way from one issue to another, or out of the database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Move {
    pub(crate) id: Id<MoveKey>,
    pub(crate) project: ProjectId,
    pub(crate) from: IssueId,
    pub(crate) to: Option<IssueId>,
    /// Only the events of these hashes; of all if there are none.
    pub(crate) hashes: Vec<[u8; 16]>,
}

pub(crate) async fn insert_moves(tx: &Tx, moves: &[Move]) -> Result<(), StorageError> {
    let rows = moves
        .iter()
        .map(|of| {
            let hashes: Vec<String> = of.hashes.iter().map(|hash| hash_text(*hash)).collect();
            let hashes = Some(hashes.join("\n")).filter(|text| !text.is_empty());
            [of.id.into(), of.project.0.into(), of.from.into(), of.to.into(), hashes.into()]
        })
        .collect();
    let head = "INSERT INTO error_issue_move (id, project_id, from_issue, to_issue, hashes) VALUES ";
    bulk(tx, head, rows, "").await?;
    Ok(())
}

/// A hash as 32 hexadecimal digits.
pub(crate) fn hash_text(hash: [u8; 16]) -> String {
    format!("{:032x}", u128::from_be_bytes(hash))
}

/// The reverse of [`hash_text`].
pub(crate) fn parse_hash(text: &str) -> Option<[u8; 16]> {
    let is_hash = text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_hash.then(|| u128::from_str_radix(text, 16).ok().map(u128::to_be_bytes)).flatten()
}

fn move_of(row: &QueryResult) -> Result<Move, StorageError> {
    let hashes: Option<String> = row.try_get_by_index(4)?;
    Ok(Move {
        id: row.try_get_by_index(0)?,
        project: ProjectId(row.try_get_by_index(1)?),
        from: row.try_get_by_index(2)?,
        to: row.try_get_by_index(3)?,
        hashes: hashes.iter().flat_map(|text| text.lines()).filter_map(parse_hash).collect(),
    })
}

/// The oldest move of all projects that is not finished.
pub(crate) async fn find_next_move(connection: &impl ConnectionTrait) -> Result<Option<Move>, StorageError> {
    let text =
        "SELECT id, project_id, from_issue, to_issue, hashes FROM error_issue_move ORDER BY id LIMIT 1";
    let rows = Sql::new(connection, text).fetch(connection).await?;
    rows.first().map(move_of).transpose()
}

/// Where events of an issue that is gone are on their way to.
pub(crate) async fn find_destination(
    connection: &impl ConnectionTrait,
    project: ProjectId,
    from: IssueId,
) -> Result<Option<IssueId>, StorageError> {
    let mut sql = Sql::new(connection, "SELECT to_issue FROM error_issue_move WHERE project_id = ");
    sql.bind(project.0).push(" AND from_issue = ").bind(from).push(" AND hashes IS NULL");
    let rows = sql.fetch(connection).await?;
    Ok(rows.first().map(|row| row.try_get_by_index::<Option<IssueId>>(0)).transpose()?.flatten())
}

/// Puts what people said about one of the issues beside another issue, or beside none.
pub(crate) async fn set_feedback(
    tx: &Tx,
    project: ProjectId,
    issues: &[IssueId],
    to: Option<IssueId>,
) -> Result<(), StorageError> {
    let mut sql = Sql::new(tx, "UPDATE error_feedback SET issue_id = ");
    sql.bind(to).push(" WHERE project_id = ").bind(project.0).push(" AND issue_id IN ").bind_set(issues);
    sql.run(tx).await
}

/// Whether events are being split off one of the issues, or, with `any`, moved from or to them in any way.
pub(crate) async fn are_moving(
    tx: &Tx,
    project: ProjectId,
    issues: &[IssueId],
    any: bool,
) -> Result<bool, StorageError> {
    let mut sql = Sql::new(tx, "SELECT id FROM error_issue_move WHERE project_id = ");
    sql.bind(project.0)
        .push(" AND (from_issue IN ")
        .bind_set(issues)
        .push(" OR to_issue IN ")
        .bind_set(issues);
    sql.push(if any { ")" } else { ") AND hashes IS NOT NULL" });
    sql.push(" LIMIT 1");
    Ok(!sql.fetch(tx).await?.is_empty())
}

/// Sends what is on its way to one of `issues` to another issue instead, or out.
pub(crate) async fn redirect_moves(
    tx: &Tx,
    project: ProjectId,
    issues: &[IssueId],
    to: Option<IssueId>,
) -> Result<(), StorageError> {
    let mut sql = Sql::new(tx, "UPDATE error_issue_move SET to_issue = ");
    sql.bind(to).push(" WHERE project_id = ").bind(project.0).push(" AND to_issue IN ").bind_set(issues);
    sql.run(tx).await
}

/// Does the next part of a move; whether that was the last.
pub(crate) async fn step_in(tx: &Tx, of: &Move) -> Result<bool, StorageError> {
    seize_project(tx, of.project).await?;
    // Where it goes may have changed since it was found.
    let text =
        "SELECT id, project_id, from_issue, to_issue, hashes FROM error_issue_move WHERE project_id = ";
    let mut sql = Sql::new(tx, text);
    sql.bind(of.project.0).push(" AND id = ").bind(of.id);
    let Some(of) = sql.fetch(tx).await?.first().map(move_of).transpose()? else { return Ok(true) };
    let is_done = match of.to {
        None => delete_some(tx, &of).await?,
        Some(to) if of.hashes.is_empty() => move_some(tx, &of, to).await?,
        Some(to) => split_some(tx, &of, to).await?,
    };
    if is_done {
        let mut sql = Sql::new(tx, "DELETE FROM error_issue_move WHERE project_id = ");
        sql.bind(of.project.0).push(" AND id = ").bind(of.id);
        sql.run(tx).await?;
    }
    Ok(is_done)
}

fn rows_max() -> i64 {
    i64::try_from(MOVED_ROWS).unwrap_or(i64::MAX)
}

async fn delete_some(tx: &Tx, of: &Move) -> Result<bool, StorageError> {
    let mut sql = Sql::new(tx, "SELECT id FROM error_event WHERE project_id = ");
    sql.bind(of.project.0).push(" AND issue_id = ").bind(of.from);
    sql.push(" ORDER BY occurred_at, id LIMIT ").bind(rows_max());
    let mut ids: Vec<i64> = Vec::new();
    for row in sql.fetch(tx).await? {
        ids.push(row.try_get_by_index(0)?);
    }
    let mut storage = StorageChange::default();
    for chunk in ids.chunks(KEYS_MAX) {
        delete_events_in(tx, of.project, chunk, &mut storage).await?;
    }
    storage.store_in(tx).await?;
    if ids.len() == MOVED_ROWS {
        return Ok(false);
    }
    set_feedback(tx, of.project, &[of.from], None).await?;
    for table in COUNT_TABLES.iter().chain(&OTHER_TABLES) {
        let keys = table.keys.join(", ");
        let mut sql = Sql::new(tx, &format!("DELETE FROM {} WHERE project_id = ", table.name));
        sql.bind(of.project.0).push(" AND issue_id = ").bind(of.from);
        sql.push(&format!(" AND ({keys}) IN (SELECT {keys} FROM {} WHERE project_id = ", table.name));
        sql.bind(of.project.0).push(" AND issue_id = ").bind(of.from).push(" LIMIT ").bind(rows_max());
        sql.push(") RETURNING project_id");
        if sql.fetch(tx).await?.len() == MOVED_ROWS {
            return Ok(false);
        }
    }
    Ok(true)
}

async fn move_some(tx: &Tx, of: &Move, to: IssueId) -> Result<bool, StorageError> {
    let mut sql = Sql::new(tx, "UPDATE error_event SET issue_id = ");
    sql.bind(to).push(" WHERE project_id = ").bind(of.project.0);
    sql.push(" AND id IN (SELECT id FROM error_event WHERE project_id = ").bind(of.project.0);
    sql.push(" AND issue_id = ").bind(of.from).push(" ORDER BY occurred_at, id LIMIT ").bind(rows_max());
    sql.push(") RETURNING id");
    Ok(sql.fetch(tx).await?.len() < MOVED_ROWS)
}

/// What is counted of an event that is split off.
struct Counted {
    id: i64,
    event_id: Id<EventKey>,
    occurred_at: Timestamp,
    level: i64,
    subject: Option<i64>,
    release: Option<String>,
    environment: String,
    /// As [`crate::tags::pack_tags`] packs them.
    tags: Option<String>,
}

async fn split_some(tx: &Tx, of: &Move, to: IssueId) -> Result<bool, StorageError> {
    count_common_tags(tx, of.project, &[of.from]).await?;
    let hashes: Vec<Id<()>> = of.hashes.iter().map(|hash| Id::from_bytes(*hash)).collect();
    let mut sql = Sql::new(
        tx,
        "SELECT id, event_id, occurred_at, level, subject_id, release, environment, tags FROM error_event \
         WHERE project_id = ",
    );
    sql.bind(of.project.0).push(" AND issue_id = ").bind(of.from).push(" AND hash IN ").bind_set(&hashes);
    sql.push(" ORDER BY occurred_at, id LIMIT ").bind(rows_max());
    let mut events = Vec::new();
    for row in sql.fetch(tx).await? {
        let environment: Option<String> = row.try_get_by_index(6)?;
        events.push(Counted {
            id: row.try_get_by_index(0)?,
            event_id: row.try_get_by_index(1)?,
            occurred_at: row.try_get_by_index(2)?,
            level: row.try_get_by_index(3)?,
            subject: row.try_get_by_index(4)?,
            release: row.try_get_by_index(5)?,
            environment: environment.unwrap_or_default(),
            tags: row.try_get_by_index(7)?,
        });
    }
    let rows = events.iter().map(|event| [event.id.into(), to.into()]).collect();
    let head = "UPDATE error_event SET issue_id = v.column2 FROM (VALUES ";
    bulk(tx, head, rows, ") AS v WHERE error_event.id = v.column1").await?;
    let mut sql = Sql::new(tx, "UPDATE error_issue SET event_count = event_count - ");
    sql.bind(i64::try_from(events.len()).unwrap_or(0)).push(" WHERE project_id = ").bind(of.project.0);
    sql.push(" AND id = ").bind(of.from);
    sql.run(tx).await?;
    shift_counts(tx, of, to, &events).await?;
    let moved: Vec<Id<EventKey>> = events.iter().map(|event| event.event_id).collect();
    let mut sql = Sql::new(tx, "UPDATE error_feedback SET issue_id = ");
    sql.bind(to).push(" WHERE project_id = ").bind(of.project.0).push(" AND associated_event_id");
    sql.execute_in(tx, &moved).await?;
    let tags = events.iter().filter_map(|event| Some((event.tags.as_deref()?, event.occurred_at)));
    split_tags(tx, of.project, of.from, to, tags).await?;
    if let (Some(first), Some(last)) = (events.first(), events.last()) {
        add_to_issue(tx, of.project, to, &events, (first, last)).await?;
    }
    if events.len() == MOVED_ROWS {
        return Ok(false);
    }
    settle(tx, of, to).await?;
    Ok(true)
}

/// Takes the events from the counts of the old issue and adds them to those of the new one.
async fn shift_counts(tx: &Tx, of: &Move, to: IssueId, events: &[Counted]) -> Result<(), StorageError> {
    let mut hours: BTreeMap<(i64, &str), i64> = BTreeMap::new();
    let mut environments: BTreeMap<&str, i64> = BTreeMap::new();
    let mut releases: BTreeMap<&str, i64> = BTreeMap::new();
    for event in events {
        *hours.entry((hour_of(event.occurred_at), &event.environment)).or_default() += 1;
        if !event.environment.is_empty() {
            *environments.entry(&event.environment).or_default() += 1;
        }
        if let Some(release) = &event.release {
            *releases.entry(release).or_default() += 1;
        }
    }
    for (issue, sign) in [(of.from, -1), (to, 1)] {
        let project = of.project.0;
        let mut rows: Vec<[Value; 5]> = Vec::with_capacity(hours.len());
        for ((hour, environment), count) in &hours {
            rows.push([
                project.into(),
                issue.into(),
                (*hour).into(),
                (*environment).into(),
                (sign * count).into(),
            ]);
        }
        let head =
            "INSERT INTO error_issue_hour (project_id, issue_id, hour, environment, event_count) VALUES ";
        let tail = " ON CONFLICT (project_id, issue_id, hour, environment) DO UPDATE SET \
                    event_count = error_issue_hour.event_count + excluded.event_count";
        bulk(tx, head, rows, tail).await?;
        for (table, column, counts) in [
            ("error_issue_environment", "environment", &environments),
            ("error_issue_release", "version", &releases),
        ] {
            let mut rows: Vec<[Value; 4]> = Vec::with_capacity(counts.len());
            for (key, count) in counts {
                rows.push([project.into(), issue.into(), (*key).into(), (sign * count).into()]);
            }
            let head = format!("INSERT INTO {table} (project_id, issue_id, {column}, event_count) VALUES ");
            let tail = format!(
                " ON CONFLICT (project_id, issue_id, {column}) DO UPDATE SET \
                 event_count = {table}.event_count + excluded.event_count"
            );
            bulk(tx, &head, rows, &tail).await?;
        }
    }
    for table in ["error_issue_hour", "error_issue_environment", "error_issue_release"] {
        let mut sql = Sql::new(tx, &format!("DELETE FROM {table} WHERE project_id = "));
        sql.bind(of.project.0).push(" AND issue_id = ").bind(of.from).push(" AND event_count <= 0");
        sql.run(tx).await?;
    }
    Ok(())
}

/// Adds the events, of which the first and the last by time are named, to the row of the new issue.
async fn add_to_issue(
    tx: &Tx,
    project: ProjectId,
    to: IssueId,
    events: &[Counted],
    (first, last): (&Counted, &Counted),
) -> Result<(), StorageError> {
    let subjects: BTreeSet<i64> = events.iter().filter_map(|event| event.subject).collect();
    let rows = subjects.into_iter().map(|subject| [project.0.into(), to.into(), subject.into()]).collect();
    let head = "INSERT INTO error_issue_subject (project_id, issue_id, subject_id) VALUES ";
    let tail = " ON CONFLICT (project_id, issue_id, subject_id) DO NOTHING RETURNING subject_id";
    let added = bulk(tx, head, rows, tail).await?.len();
    let count = |length: usize| i64::try_from(length).unwrap_or(i64::MAX);
    let level = events.iter().map(|event| event.level).max().unwrap_or(0);
    let row: [Value; 9] = [
        to.into(),
        count(events.len()).into(),
        count(added).into(),
        first.occurred_at.into(),
        first.release.clone().into(),
        last.occurred_at.into(),
        last.release.clone().into(),
        last.event_id.into(),
        level.into(),
    ];
    let head = "UPDATE error_issue SET event_count = event_count + v.column2, \
                subject_count = subject_count + v.column3, \
                first_release = CASE WHEN v.column4 < first_seen OR event_count = 0 THEN v.column5 ELSE first_release END, \
                first_seen = CASE WHEN v.column4 < first_seen OR event_count = 0 THEN v.column4 ELSE first_seen END, \
                last_release = CASE WHEN v.column6 >= last_seen OR event_count = 0 THEN v.column7 ELSE last_release END, \
                latest_event_id = CASE WHEN v.column6 >= last_seen OR event_count = 0 THEN v.column8 ELSE latest_event_id END, \
                last_seen = CASE WHEN v.column6 >= last_seen OR event_count = 0 THEN v.column6 ELSE last_seen END, \
                level = CASE WHEN v.column9 > level THEN v.column9 ELSE level END FROM (VALUES ";
    bulk(tx, head, vec![row], ") AS v WHERE error_issue.id = v.column1").await?;
    Ok(())
}

/// Counts the old issue anew where events that went may have made the difference.
async fn settle(tx: &Tx, of: &Move, to: IssueId) -> Result<(), StorageError> {
    let project = of.project.0;
    for issue in [of.from, to] {
        recount_trend(tx, of.project, issue).await?;
    }
    // Whom its remaining events did not happen to, unless events that are not stored any more did.
    let subject = "SELECT subject_id FROM error_issue_subject WHERE project_id = ";
    let mut sql = Sql::new(tx, "DELETE FROM error_issue_subject WHERE project_id = ");
    sql.bind(project).push(" AND issue_id = ").bind(of.from).push(" AND subject_id IN (").push(subject);
    sql.bind(project)
        .push(" AND issue_id = ")
        .bind(to)
        .push(") AND subject_id NOT IN (SELECT subject_id FROM ");
    sql.push("error_event WHERE project_id = ").bind(project).push(" AND issue_id = ").bind(of.from);
    sql.push(" AND subject_id IS NOT NULL)");
    sql.run(tx).await?;

    let mut sql = Sql::new(
        tx,
        "SELECT COUNT(*), MAX(level), MIN(occurred_at), (SELECT COUNT(*) FROM error_issue_subject \
         WHERE project_id = ",
    );
    sql.bind(project).push(" AND issue_id = ").bind(of.from).push(") FROM error_event WHERE project_id = ");
    sql.bind(project).push(" AND issue_id = ").bind(of.from);
    let rows = sql.fetch(tx).await?;
    let Some(row) = rows.first() else { return Ok(()) };
    let (stored, subjects): (i64, i64) = (row.try_get_by_index(0)?, row.try_get_by_index(3)?);
    let (level, first_seen): (Option<i64>, Option<Timestamp>) =
        (row.try_get_by_index(1)?, row.try_get_by_index(2)?);
    let newest = ends(tx, of, "DESC").await?;
    let oldest = ends(tx, of, "ASC").await?;
    let mut sql = Sql::new(tx, "UPDATE error_issue SET subject_count = ");
    sql.bind(subjects);
    if let Some((event_id, occurred_at, release)) = newest {
        sql.push(", latest_event_id = ").bind(event_id).push(", last_seen = ").bind(occurred_at);
        sql.push(", last_release = ").bind(release);
    }
    // What was first is known only while every event is stored.
    if let (Some(level), Some(first_seen), Some((_, _, release))) = (level, first_seen, oldest) {
        for (column, value) in [
            ("level", Value::from(level)),
            ("first_seen", first_seen.into()),
            ("first_release", release.into()),
        ] {
            sql.push(&format!(", {column} = CASE WHEN event_count = ")).bind(stored);
            sql.push(" THEN ").bind(value).push(&format!(" ELSE {column} END"));
        }
    }
    sql.push(" WHERE project_id = ").bind(project).push(" AND id = ").bind(of.from);
    sql.run(tx).await
}

type End = (Id<EventKey>, Timestamp, Option<String>);

async fn ends(tx: &Tx, of: &Move, order: &str) -> Result<Option<End>, StorageError> {
    let mut sql = Sql::new(tx, "SELECT event_id, occurred_at, release FROM error_event WHERE project_id = ");
    sql.bind(of.project.0).push(" AND issue_id = ").bind(of.from);
    sql.push(&format!(" ORDER BY occurred_at {order}, id {order} LIMIT 1"));
    let rows = sql.fetch(tx).await?;
    let Some(row) = rows.first() else { return Ok(None) };
    Ok(Some((row.try_get_by_index(0)?, row.try_get_by_index(1)?, row.try_get_by_index(2)?)))
}
