//! Every statement about events.

use std::collections::HashMap;

use belvedere_kernel::{ProjectId, SubjectId};
use belvedere_storage::{Dialect, Sql, StorageError, Timestamp, Tx, bulk, execute_sql, query_sql};
use sea_orm::{ConnectionTrait, QueryResult, Value};

use crate::batch::Batch;
use crate::segment::SegmentMeta;
use crate::{RollupCheck, SegmentId};

/// What a project's events are counted by; whoever writes holds a lock on the row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ProjectRow {
    /// Rises whenever segments change or batches are rewritten, not when a batch is appended.
    pub(crate) generation: i64,
    pub(crate) last_sequence: i64,
    pub(crate) sealed_to: i64,
    pub(crate) next_subject: i64,
    pub(crate) tail_count: i64,
}

impl ProjectRow {
    /// The row of a project that has had no events.
    pub(crate) const NEW: Self =
        Self { generation: 0, last_sequence: 0, sealed_to: 0, next_subject: 1, tail_count: 0 };
}

/// The columns of [`project_row`], of the table under the name `p`.
const PROJECT: &str = "p.generation, p.last_sequence, p.sealed_to, p.next_subject, p.tail_count";

fn project_row(row: &QueryResult) -> Result<ProjectRow, StorageError> {
    Ok(ProjectRow {
        generation: row.try_get_by_index(0)?,
        last_sequence: row.try_get_by_index(1)?,
        sealed_to: row.try_get_by_index(2)?,
        next_subject: row.try_get_by_index(3)?,
        tail_count: row.try_get_by_index(4)?,
    })
}

fn number(count: u64) -> Value {
    i64::try_from(count).unwrap_or(i64::MAX).into()
}

fn count(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}

pub(crate) async fn find_project(
    connection: &impl ConnectionTrait,
    project: ProjectId,
) -> Result<ProjectRow, StorageError> {
    let sql = format!("SELECT {PROJECT} FROM event_project p WHERE p.project_id = $1");
    let rows = query_sql(connection, &sql, [project.0.into()]).await?;
    rows.first().map_or(Ok(ProjectRow::NEW), project_row)
}

/// The row of a project, made if need be, and locked until the transaction ends.
pub(crate) async fn lock_project(tx: &Tx, project: ProjectId) -> Result<ProjectRow, StorageError> {
    let lock = match Dialect::of(tx) {
        Dialect::Sqlite => "",
        Dialect::Postgres => " FOR UPDATE",
    };
    let select = format!("SELECT {PROJECT} FROM event_project p WHERE p.project_id = $1{lock}");
    if let Some(row) = query_sql(tx, &select, [project.0.into()]).await?.first() {
        return project_row(row);
    }
    let insert = "INSERT INTO event_project (project_id, generation, last_sequence, sealed_to, next_subject, tail_count) \
                  VALUES ($1, 0, 0, 0, 1, 0) ON CONFLICT (project_id) DO NOTHING";
    execute_sql(tx, insert, [project.0.into()]).await?;
    let rows = query_sql(tx, &select, [project.0.into()]).await?;
    rows.first().map_or_else(|| Err(StorageError::corrupt("event_project lost a row")), project_row)
}

pub(crate) async fn update_project(tx: &Tx, project: ProjectId, row: ProjectRow) -> Result<(), StorageError> {
    let sql = "UPDATE event_project SET generation = $2, last_sequence = $3, sealed_to = $4, next_subject = $5, \
               tail_count = $6 WHERE project_id = $1";
    let values =
        [project.0, row.generation, row.last_sequence, row.sealed_to, row.next_subject, row.tail_count];
    execute_sql(tx, sql, values.map(Value::from)).await?;
    Ok(())
}

pub(crate) async fn list_projects(connection: &impl ConnectionTrait) -> Result<Vec<ProjectId>, StorageError> {
    let rows = query_sql(connection, "SELECT project_id FROM event_project ORDER BY project_id", []).await?;
    rows.iter().map(|row| Ok(ProjectId(row.try_get_by_index(0)?))).collect()
}

/// The segments of a project, and its row at the same instant.
pub(crate) async fn list_segments(
    connection: &impl ConnectionTrait,
    project: ProjectId,
) -> Result<(ProjectRow, Vec<SegmentMeta>), StorageError> {
    let sql = format!(
        "SELECT {PROJECT}, s.id, s.week, s.week_count, s.first_at, s.last_at, s.event_count, s.byte_count, s.checksum, \
         s.names FROM event_project p LEFT JOIN event_segment s ON s.project_id = p.project_id \
         WHERE p.project_id = $1 ORDER BY s.week, s.id"
    );
    let rows = query_sql(connection, &sql, [project.0.into()]).await?;
    let row = rows.first().map_or(Ok(ProjectRow::NEW), project_row)?;
    let mut segments = Vec::with_capacity(rows.len());
    for row in &rows {
        if let Some(id) = row.try_get_by_index::<Option<sea_orm::prelude::Uuid>>(5)? {
            let names: String = row.try_get_by_index(13)?;
            segments.push(SegmentMeta {
                id: SegmentId::from_bytes(id.into_bytes()),
                week: row.try_get_by_index(6)?,
                week_count: row.try_get_by_index(7)?,
                first_at: row.try_get_by_index(8)?,
                last_at: row.try_get_by_index(9)?,
                count: count(row.try_get_by_index(10)?),
                bytes: count(row.try_get_by_index(11)?),
                checksum: u32::try_from(row.try_get_by_index::<i64>(12)?)
                    .map_err(|_| StorageError::corrupt("checksum of a segment"))?,
                names: serde_json::from_str(&names)
                    .map_err(|_| StorageError::corrupt("names of a segment"))?,
            });
        }
    }
    Ok((row, segments))
}

/// Sequence and revision of the batches of a project, and its row at the same instant.
pub(crate) async fn list_batches(
    connection: &impl ConnectionTrait,
    project: ProjectId,
) -> Result<(ProjectRow, Vec<(i64, i64)>), StorageError> {
    let sql = format!(
        "SELECT {PROJECT}, b.sequence, b.revision FROM event_project p \
         LEFT JOIN event_batch b ON b.project_id = p.project_id WHERE p.project_id = $1 ORDER BY b.sequence"
    );
    let rows = query_sql(connection, &sql, [project.0.into()]).await?;
    let row = rows.first().map_or(Ok(ProjectRow::NEW), project_row)?;
    let mut batches = Vec::with_capacity(rows.len());
    for row in &rows {
        if let Some(sequence) = row.try_get_by_index(5)? {
            batches.push((sequence, row.try_get_by_index(6)?));
        }
    }
    Ok((row, batches))
}

/// A batch as it lies in the database.
pub(crate) struct StoredBatch {
    pub(crate) sequence: i64,
    pub(crate) revision: i64,
    pub(crate) count: u64,
    /// Earliest and latest time in microseconds.
    pub(crate) span: (i64, i64),
    /// The different names, sorted.
    pub(crate) names: Vec<String>,
    pub(crate) payload: Vec<u8>,
}

/// The batches behind a sequence, and the project's row at the same instant.
pub(crate) async fn fetch_batches(
    connection: &impl ConnectionTrait,
    project: ProjectId,
    behind: i64,
) -> Result<(ProjectRow, Vec<StoredBatch>), StorageError> {
    let sql = format!(
        "SELECT {PROJECT}, b.sequence, b.revision, b.event_count, b.first_at, b.last_at, b.names, b.payload \
         FROM event_project p LEFT JOIN event_batch b ON b.project_id = p.project_id AND b.sequence > $2 \
         WHERE p.project_id = $1 ORDER BY b.sequence"
    );
    let rows = query_sql(connection, &sql, [project.0.into(), behind.into()]).await?;
    let row = rows.first().map_or(Ok(ProjectRow::NEW), project_row)?;
    let mut batches = Vec::with_capacity(rows.len());
    for row in &rows {
        if let Some(sequence) = row.try_get_by_index(5)? {
            let names: String = row.try_get_by_index(10)?;
            batches.push(StoredBatch {
                sequence,
                revision: row.try_get_by_index(6)?,
                count: count(row.try_get_by_index(7)?),
                span: (row.try_get_by_index(8)?, row.try_get_by_index(9)?),
                names: serde_json::from_str(&names)
                    .map_err(|_| StorageError::corrupt("names of a batch of events"))?,
                payload: row.try_get_by_index(11)?,
            });
        }
    }
    Ok((row, batches))
}

fn batch_values(batch: &Batch, payload: Vec<u8>) -> [Value; 5] {
    let (first, last) = batch.time_span();
    let names = serde_json::Value::from(batch.names()).to_string();
    [first.into(), last.into(), number(batch.count as u64), names.into(), payload.into()]
}

pub(crate) async fn insert_batch(
    tx: &Tx,
    project: ProjectId,
    sequence: i64,
    batch: &Batch,
    payload: Vec<u8>,
) -> Result<(), StorageError> {
    let sql = "INSERT INTO event_batch (project_id, sequence, revision, first_at, last_at, event_count, names, payload) \
               VALUES ($1, $2, 0, $3, $4, $5, $6, $7)";
    let values = [project.0.into(), sequence.into()].into_iter().chain(batch_values(batch, payload));
    execute_sql(tx, sql, values).await?;
    Ok(())
}

/// Puts another content into a batch; one without events is deleted.
pub(crate) async fn rewrite_batch(
    tx: &Tx,
    project: ProjectId,
    (sequence, revision): (i64, i64),
    batch: &Batch,
    payload: Vec<u8>,
) -> Result<(), StorageError> {
    let key = [Value::from(project.0), sequence.into()];
    if batch.count == 0 {
        let sql = "DELETE FROM event_batch WHERE project_id = $1 AND sequence = $2";
        execute_sql(tx, sql, key).await?;
        return Ok(());
    }
    let sql = "UPDATE event_batch SET first_at = $3, last_at = $4, event_count = $5, names = $6, payload = $7, \
               revision = $8 WHERE project_id = $1 AND sequence = $2";
    let values = key.into_iter().chain(batch_values(batch, payload)).chain([revision.into()]);
    execute_sql(tx, sql, values).await?;
    Ok(())
}

pub(crate) async fn delete_batches_to(
    tx: &Tx,
    project: ProjectId,
    sequence: i64,
) -> Result<(), StorageError> {
    let sql = "DELETE FROM event_batch WHERE project_id = $1 AND sequence <= $2";
    execute_sql(tx, sql, [project.0.into(), sequence.into()]).await?;
    Ok(())
}

pub(crate) async fn insert_segment(
    tx: &Tx,
    project: ProjectId,
    segment: &SegmentMeta,
) -> Result<(), StorageError> {
    let sql = "INSERT INTO event_segment (id, project_id, week, week_count, first_at, last_at, event_count, byte_count, \
               checksum, names) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)";
    let values: [Value; 10] = [
        segment.id.into(),
        project.0.into(),
        segment.week.into(),
        segment.week_count.into(),
        segment.first_at.into(),
        segment.last_at.into(),
        number(segment.count),
        number(segment.bytes),
        i64::from(segment.checksum).into(),
        serde_json::Value::from(segment.names.as_slice()).to_string().into(),
    ];
    execute_sql(tx, sql, values).await?;
    Ok(())
}

/// Whether it was there.
pub(crate) async fn delete_segment(
    tx: &Tx,
    project: ProjectId,
    segment: SegmentId,
) -> Result<bool, StorageError> {
    let sql = "DELETE FROM event_segment WHERE project_id = $1 AND id = $2";
    Ok(execute_sql(tx, sql, [project.0.into(), segment.into()]).await? == 1)
}

/// The dense numbers of those subjects that have one.
pub(crate) async fn find_subjects(
    connection: &impl ConnectionTrait,
    project: ProjectId,
    subjects: &[SubjectId],
) -> Result<HashMap<SubjectId, u32>, StorageError> {
    let mut found = HashMap::with_capacity(subjects.len());
    for row in find_pairs(connection, project, "subject_id", subjects.iter().map(|it| it.0)).await? {
        found.insert(row.0, row.1);
    }
    Ok(found)
}

/// The subjects that have those dense numbers.
pub(crate) async fn find_numbers(
    connection: &impl ConnectionTrait,
    project: ProjectId,
    numbers: &[u32],
) -> Result<HashMap<u32, SubjectId>, StorageError> {
    let pairs = find_pairs(connection, project, "dense", numbers.iter().map(|it| i64::from(*it))).await?;
    Ok(pairs.into_iter().map(|(subject, dense)| (dense, subject)).collect())
}

/// Subjects and their dense numbers, of the rows in which a column has one of the values.
async fn find_pairs(
    connection: &impl ConnectionTrait,
    project: ProjectId,
    column: &str,
    values: impl Iterator<Item = i64>,
) -> Result<Vec<(SubjectId, u32)>, StorageError> {
    let values: Vec<i64> = values.collect();
    let mut sql = Sql::new(connection, "SELECT subject_id, dense FROM event_subject WHERE project_id = ");
    sql.bind(project.0).push(" AND ").push(column);
    sql.fetch_in(connection, &values).await?.iter().map(pair).collect()
}

/// A subject with its dense number.
fn pair(row: &QueryResult) -> Result<(SubjectId, u32), StorageError> {
    let dense = u32::try_from(row.try_get_by_index::<i64>(1)?)
        .map_err(|_| StorageError::corrupt("dense number of a subject"))?;
    Ok((SubjectId(row.try_get_by_index(0)?), dense))
}

/// The subjects with their numbers, so many at most, behind one of them.
pub(crate) async fn list_subjects(
    connection: &impl ConnectionTrait,
    project: ProjectId,
    behind: i64,
    limit: u64,
) -> Result<Vec<(SubjectId, u32)>, StorageError> {
    let sql = "SELECT subject_id, dense FROM event_subject WHERE project_id = $1 AND subject_id > $2 \
               ORDER BY subject_id LIMIT $3";
    let rows = query_sql(connection, sql, [project.0.into(), behind.into(), number(limit)]).await?;
    rows.iter().map(pair).collect()
}

pub(crate) async fn insert_subjects(
    tx: &Tx,
    project: ProjectId,
    subjects: &[(SubjectId, u32)],
) -> Result<(), StorageError> {
    let row =
        |(subject, dense): &(SubjectId, u32)| [project.0, subject.0, i64::from(*dense)].map(Value::from);
    let head = "INSERT INTO event_subject (project_id, subject_id, dense) VALUES ";
    bulk(tx, head, subjects.iter().map(row).collect(), "").await.map(drop)
}

pub(crate) async fn delete_subject(
    tx: &Tx,
    project: ProjectId,
    subject: SubjectId,
) -> Result<(), StorageError> {
    let sql = "DELETE FROM event_subject WHERE project_id = $1 AND subject_id = $2";
    execute_sql(tx, sql, [project.0.into(), subject.0.into()]).await?;
    Ok(())
}

/// The last check of a project's rollups, and the segment behind which the next one begins.
pub(crate) async fn find_rollup_check(
    connection: &impl ConnectionTrait,
    project: ProjectId,
) -> Result<Option<(RollupCheck, Option<SegmentId>)>, StorageError> {
    let sql = "SELECT checked_at, is_complete, segment_count, without_count, day_count, event_count, difference_count, \
               rebuilt_count, differences, resume_after FROM event_rollup_check WHERE project_id = $1";
    let rows = query_sql(connection, sql, [project.0.into()]).await?;
    let Some(row) = rows.first() else { return Ok(None) };
    let differences: String = row.try_get_by_index(8)?;
    let resume: Option<sea_orm::prelude::Uuid> = row.try_get_by_index(9)?;
    let check = RollupCheck {
        checked_at: row.try_get_by_index(0)?,
        is_complete: row.try_get_by_index(1)?,
        segments: count(row.try_get_by_index(2)?),
        without: count(row.try_get_by_index(3)?),
        days: count(row.try_get_by_index(4)?),
        events: count(row.try_get_by_index(5)?),
        difference_count: count(row.try_get_by_index(6)?),
        rebuilt: count(row.try_get_by_index(7)?),
        differences: serde_json::from_str(&differences)
            .map_err(|_| StorageError::corrupt("differences of rollups"))?,
    };
    Ok(Some((check, resume.map(|id| SegmentId::from_bytes(id.into_bytes())))))
}

/// Keeps a check in place of the one before.
pub(crate) async fn put_rollup_check(
    tx: &Tx,
    project: ProjectId,
    check: &RollupCheck,
    resume_after: Option<SegmentId>,
) -> Result<(), StorageError> {
    let sql = "INSERT INTO event_rollup_check (project_id, checked_at, is_complete, segment_count, without_count, \
               day_count, event_count, difference_count, rebuilt_count, differences, resume_after) \
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) ON CONFLICT (project_id) DO UPDATE SET \
               checked_at = excluded.checked_at, is_complete = excluded.is_complete, \
               segment_count = excluded.segment_count, without_count = excluded.without_count, \
               day_count = excluded.day_count, event_count = excluded.event_count, \
               difference_count = excluded.difference_count, rebuilt_count = excluded.rebuilt_count, \
               differences = excluded.differences, resume_after = excluded.resume_after";
    let differences = serde_json::to_string(&check.differences)
        .map_err(|_| StorageError::corrupt("differences of rollups"))?;
    let counts =
        [check.segments, check.without, check.days, check.events, check.difference_count, check.rebuilt];
    let values: Vec<Value> = [Value::from(project.0), check.checked_at.into(), check.is_complete.into()]
        .into_iter()
        .chain(counts.map(number))
        .chain([
            differences.into(),
            resume_after.map(|id| sea_orm::prelude::Uuid::from_bytes(id.to_bytes())).into(),
        ])
        .collect();
    execute_sql(tx, sql, values).await?;
    Ok(())
}

/// Batches with their events, bytes and span, then segments with theirs, then subjects.
pub(crate) async fn stats(
    connection: &impl ConnectionTrait,
    project: ProjectId,
) -> Result<crate::StoreStats, StorageError> {
    let tail = "SELECT COUNT(*), CAST(COALESCE(SUM(event_count), 0) AS bigint), \
                CAST(COALESCE(SUM(LENGTH(payload)), 0) AS bigint), MIN(first_at), MAX(last_at) \
                FROM event_batch WHERE project_id = $1";
    let sealed = "SELECT COUNT(*), CAST(COALESCE(SUM(event_count), 0) AS bigint), \
                  CAST(COALESCE(SUM(byte_count), 0) AS bigint), MIN(first_at), MAX(last_at) \
                  FROM event_segment WHERE project_id = $1";
    let subjects = "SELECT COUNT(*) FROM event_subject WHERE project_id = $1";
    let mut stats = crate::StoreStats::default();
    let mut spans: Vec<(Option<Timestamp>, Option<Timestamp>)> = Vec::new();
    if let Some(row) = query_sql(connection, tail, [project.0.into()]).await?.first() {
        stats.tail_batches = count(row.try_get_by_index(0)?);
        stats.tail_events = count(row.try_get_by_index(1)?);
        stats.tail_bytes = count(row.try_get_by_index(2)?);
        spans.push((row.try_get_by_index(3)?, row.try_get_by_index(4)?));
    }
    if let Some(row) = query_sql(connection, sealed, [project.0.into()]).await?.first() {
        stats.segments = count(row.try_get_by_index(0)?);
        stats.sealed_events = count(row.try_get_by_index(1)?);
        stats.sealed_bytes = count(row.try_get_by_index(2)?);
        spans.push((row.try_get_by_index(3)?, row.try_get_by_index(4)?));
    }
    stats.first_at = spans.iter().filter_map(|span| span.0).min();
    stats.last_at = spans.iter().filter_map(|span| span.1).max();
    if let Some(row) = query_sql(connection, subjects, [project.0.into()]).await?.first() {
        stats.subjects = count(row.try_get_by_index(0)?);
    }
    Ok(stats)
}
