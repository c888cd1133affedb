//! Every statement about logs.

use belvedere_kernel::{ProjectId, SubjectId};
use belvedere_storage::{Dialect, Id, Sql, StorageError, Timestamp, Tx, bulk};
use sea_orm::{ConnectionTrait, QueryResult, Value};

use super::block::Packed;
use super::model::{LogHour, LogLevel, LogSettings};

/// Marks ids of blocks.
#[derive(Debug)]
pub(super) enum BlockKey {}

pub(super) type BlockId = Id<BlockKey>;

type NewRow<'a> = (ProjectId, &'a Packed, Vec<Option<SubjectId>>);

pub(super) async fn insert_blocks(
    tx: &Tx,
    blocks: &[NewRow<'_>],
    now: Timestamp,
) -> Result<(), StorageError> {
    let rows = blocks
        .iter()
        .map(|(project, packed, people)| {
            let row: [Value; 11] = [
                BlockId::generate(now).into(),
                project.0.into(),
                packed.first_at.as_seconds().div_euclid(3_600).into(),
                packed.first_at.into(),
                packed.last_at.into(),
                number(packed.records as u64).into(),
                number((packed.head.len() + packed.attributes.len() + packed.filter.len()) as u64).into(),
                people_text(people).into(),
                packed.filter.clone().into(),
                packed.head.clone().into(),
                packed.attributes.clone().into(),
            ];
            row
        })
        .collect();
    let head = "INSERT INTO error_log_block (id, project_id, hour, first_at, last_at, record_count, byte_count, people, \
                filter, head, attributes) VALUES ";
    bulk(tx, head, rows, "").await?;
    Ok(())
}

fn number(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// Subjects by their place, a dash for none.
fn people_text(people: &[Option<SubjectId>]) -> String {
    let words: Vec<String> = people
        .iter()
        .map(|subject| subject.map_or_else(|| "-".to_owned(), |subject| subject.to_string()))
        .collect();
    words.join(" ")
}

fn people_of(text: &str) -> Vec<Option<SubjectId>> {
    text.split_ascii_whitespace().map(|word| word.parse().ok().map(SubjectId)).collect()
}

pub(super) async fn add_counts<'a>(
    tx: &Tx,
    blocks: impl Iterator<Item = (ProjectId, &'a Packed)>,
) -> Result<(), StorageError> {
    let mut counts: std::collections::BTreeMap<(ProjectId, i64, u8), u64> = std::collections::BTreeMap::new();
    for (project, packed) in blocks {
        let hour = packed.first_at.as_seconds().div_euclid(3_600);
        for (level, count) in LogLevel::ALL.into_iter().zip(packed.levels).filter(|(_, count)| *count > 0) {
            *counts.entry((project, hour, level.to_number())).or_default() += count;
        }
    }
    let rows = counts
        .into_iter()
        .map(|((project, hour, level), count)| {
            [project.0.into(), hour.into(), i64::from(level).into(), number(count).into()]
        })
        .collect();
    let head = "INSERT INTO error_log_hour (project_id, hour, level, record_count) VALUES ";
    let tail = " ON CONFLICT (project_id, hour, level) DO UPDATE SET \
                record_count = error_log_hour.record_count + excluded.record_count";
    bulk(tx, head, rows, tail).await?;
    Ok(())
}

/// Records by hour and level, of whole hours.
pub(super) async fn count_hours(
    connection: &impl ConnectionTrait,
    project: ProjectId,
    hours: std::ops::Range<i64>,
    least: LogLevel,
) -> Result<Vec<LogHour>, StorageError> {
    let mut sql =
        Sql::new(connection, "SELECT hour, level, record_count FROM error_log_hour WHERE project_id = ");
    sql.bind(project.0).push(" AND hour >= ").bind(hours.start).push(" AND hour < ").bind(hours.end);
    sql.push(" AND level >= ").bind(i64::from(least.to_number())).push(" ORDER BY hour, level");
    let mut counts: Vec<LogHour> = Vec::new();
    for row in sql.fetch(connection).await? {
        let (hour, level, count): (i64, i64, i64) =
            (row.try_get_by_index(0)?, row.try_get_by_index(1)?, row.try_get_by_index(2)?);
        let hour = Timestamp::from_micros(hour.saturating_mul(3_600_000_000));
        if counts.last().is_none_or(|last| last.hour != hour) {
            counts.push(LogHour { hour, levels: [0; 6] });
        }
        let place = usize::try_from(level - 1).unwrap_or(0);
        if let Some(slot) = counts.last_mut().and_then(|last| last.levels.get_mut(place)) {
            *slot = u64::try_from(count).unwrap_or(0);
        }
    }
    Ok(counts)
}

/// What is known of a block without reading it.
#[derive(Debug, Clone)]
pub(super) struct Outline {
    pub(super) id: BlockId,
    pub(super) last_at: Timestamp,
    pub(super) records: i64,
    pub(super) filter: Vec<u8>,
}

/// Blocks with records in the time from `from` to before `to`, by their newest record, the newest first.
pub(super) async fn list_outlines(
    connection: &impl ConnectionTrait,
    project: ProjectId,
    from: Timestamp,
    to: Timestamp,
    limit: i64,
) -> Result<Vec<Outline>, StorageError> {
    let mut sql = Sql::new(
        connection,
        "SELECT id, last_at, record_count, filter FROM error_log_block WHERE project_id = ",
    );
    // A block lies within an hour, so what ends much later begins too late.
    let latest = Timestamp::from_micros(to.as_micros().saturating_add(3_600_000_000));
    sql.bind(project.0).push(" AND last_at >= ").bind(from).push(" AND last_at < ").bind(latest);
    sql.push(" AND first_at < ").bind(to).push(" ORDER BY last_at DESC, id DESC LIMIT ").bind(limit);
    let mut outlines = Vec::new();
    for row in sql.fetch(connection).await? {
        outlines.push(Outline {
            id: row.try_get_by_index(0)?,
            last_at: row.try_get_by_index(1)?,
            records: row.try_get_by_index(2)?,
            filter: row.try_get_by_index(3)?,
        });
    }
    Ok(outlines)
}

/// A block as it is stored.
pub(super) struct Stored {
    pub(super) id: BlockId,
    pub(super) people: Vec<Option<SubjectId>>,
    pub(super) head: Vec<u8>,
    /// Empty unless asked for.
    pub(super) attributes: Vec<u8>,
}

/// The blocks with these ids, at most 256.
pub(super) async fn find_blocks(
    connection: &impl ConnectionTrait,
    project: ProjectId,
    ids: &[BlockId],
    with_attributes: bool,
) -> Result<Vec<Stored>, StorageError> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let attributes = if with_attributes { ", attributes" } else { "" };
    let mut sql = Sql::new(
        connection,
        &format!("SELECT id, people, head{attributes} FROM error_log_block WHERE project_id = "),
    );
    sql.bind(project.0).push(" AND id IN ").bind_set(ids);
    sql.fetch(connection).await?.iter().map(|row| stored_of(row, with_attributes)).collect()
}

fn stored_of(row: &QueryResult, with_attributes: bool) -> Result<Stored, StorageError> {
    let people: String = row.try_get_by_index(1)?;
    Ok(Stored {
        id: row.try_get_by_index(0)?,
        people: people_of(&people),
        head: row.try_get_by_index(2)?,
        attributes: if with_attributes { row.try_get_by_index(3)? } else { Vec::new() },
    })
}

/// Projects and hours with more than `rows` blocks that are smaller than `records`; at most 50.
pub(super) async fn list_crumbled(
    connection: &impl ConnectionTrait,
    rows: i64,
    records: i64,
) -> Result<Vec<(ProjectId, i64)>, StorageError> {
    let mut sql = Sql::new(connection, "SELECT project_id, hour FROM error_log_block WHERE record_count < ");
    sql.bind(records).push(" GROUP BY project_id, hour HAVING COUNT(*) > ").bind(rows);
    sql.push(" ORDER BY project_id, hour LIMIT 50");
    let mut found = Vec::new();
    for row in sql.fetch(connection).await? {
        found.push((ProjectId(row.try_get_by_index(0)?), row.try_get_by_index(1)?));
    }
    Ok(found)
}

/// The small blocks of an hour, held until the end of the transaction; the oldest 64.
pub(super) async fn take_small_blocks(
    tx: &Tx,
    project: ProjectId,
    hour: i64,
    records: i64,
) -> Result<Vec<Stored>, StorageError> {
    let lock = if Dialect::of(tx) == Dialect::Postgres { " FOR UPDATE" } else { "" };
    let mut sql =
        Sql::new(tx, "SELECT id, people, head, attributes FROM error_log_block WHERE project_id = ");
    sql.bind(project.0).push(" AND hour = ").bind(hour).push(" AND record_count < ").bind(records);
    sql.push(" ORDER BY id LIMIT 64").push(lock);
    sql.fetch(tx).await?.iter().map(|row| stored_of(row, true)).collect()
}

pub(super) async fn delete_blocks(tx: &Tx, project: ProjectId, ids: &[BlockId]) -> Result<(), StorageError> {
    let mut sql = Sql::new(tx, "DELETE FROM error_log_block WHERE project_id = ");
    sql.bind(project.0).push(" AND id IN ").bind_set(ids);
    sql.run(tx).await
}

/// Deletes the blocks of hours before `hour`, at most 500 of them, and the counts of those hours; how many blocks.
pub(super) async fn delete_before(tx: &Tx, project: ProjectId, hour: i64) -> Result<u64, StorageError> {
    let mut sql = Sql::new(
        tx,
        "DELETE FROM error_log_block WHERE id IN (SELECT id FROM error_log_block WHERE project_id = ",
    );
    sql.bind(project.0).push(" AND hour < ").bind(hour).push(" ORDER BY hour LIMIT 500) RETURNING id");
    let deleted = sql.fetch(tx).await?.len() as u64;
    let mut sql = Sql::new(tx, "DELETE FROM error_log_hour WHERE project_id = ");
    sql.bind(project.0).push(" AND hour < ").bind(hour);
    sql.run(tx).await?;
    Ok(deleted)
}

/// The hours of a project with their bytes, the newest first.
pub(super) async fn list_hour_bytes(
    connection: &impl ConnectionTrait,
    project: ProjectId,
) -> Result<Vec<(i64, u64)>, StorageError> {
    let mut sql = Sql::new(
        connection,
        "SELECT hour, CAST(SUM(byte_count) AS bigint) FROM error_log_block WHERE project_id = ",
    );
    sql.bind(project.0).push(" GROUP BY hour ORDER BY hour DESC");
    let mut hours = Vec::new();
    for row in sql.fetch(connection).await? {
        hours.push((row.try_get_by_index(0)?, u64::try_from(row.try_get_by_index::<i64>(1)?).unwrap_or(0)));
    }
    Ok(hours)
}

/// Projects that have logs.
pub(super) async fn list_projects(connection: &impl ConnectionTrait) -> Result<Vec<ProjectId>, StorageError> {
    let sql = Sql::new(connection, "SELECT DISTINCT project_id FROM error_log_hour ORDER BY project_id");
    sql.fetch(connection).await?.iter().map(|row| Ok(ProjectId(row.try_get_by_index(0)?))).collect()
}

pub(super) async fn find_settings(
    connection: &impl ConnectionTrait,
    project: ProjectId,
) -> Result<(u32, u64), StorageError> {
    let mut sql = Sql::new(connection, "SELECT days, bytes_max FROM error_log_settings WHERE project_id = ");
    sql.bind(project.0);
    let rows = sql.fetch(connection).await?;
    let Some(row) = rows.first() else { return Ok((LogSettings::DAYS, LogSettings::BYTES_MAX)) };
    let (days, bytes_max): (i64, i64) = (row.try_get_by_index(0)?, row.try_get_by_index(1)?);
    Ok((u32::try_from(days).unwrap_or(LogSettings::DAYS), u64::try_from(bytes_max).unwrap_or(0)))
}

pub(super) async fn set_settings(
    tx: &Tx,
    project: ProjectId,
    days: u32,
    bytes_max: u64,
) -> Result<(), StorageError> {
    let mut sql = Sql::new(tx, "INSERT INTO error_log_settings (project_id, days, bytes_max) VALUES ");
    let row: [Value; 3] = [project.0.into(), i64::from(days).into(), number(bytes_max).into()];
    sql.bind_row(row)
        .push(" ON CONFLICT (project_id) DO UPDATE SET days = excluded.days, bytes_max = excluded.bytes_max");
    sql.run(tx).await
}

/// Bytes and records of a project.
pub(super) async fn sums(
    connection: &impl ConnectionTrait,
    project: ProjectId,
) -> Result<(u64, u64), StorageError> {
    let mut sql = Sql::new(
        connection,
        "SELECT CAST(COALESCE(SUM(byte_count), 0) AS bigint), CAST(COALESCE(SUM(record_count), 0) AS bigint) \
         FROM error_log_block WHERE project_id = ",
    );
    sql.bind(project.0);
    let rows = sql.fetch(connection).await?;
    let Some(row) = rows.first() else { return Ok((0, 0)) };
    let (bytes, records): (i64, i64) = (row.try_get_by_index(0)?, row.try_get_by_index(1)?);
    Ok((u64::try_from(bytes).unwrap_or(0), u64::try_from(records).unwrap_or(0)))
}
