//! All statements on `intake_*`. Placeholders are `$n`, which both databases understand.

use std::collections::BTreeSet;
use std::time::Duration;

use belvedere_kernel::{ItemOutcome, ProjectId};
use belvedere_storage::{
    Dialect, Id, StorageError, Timestamp, bulk, execute_sql as execute, query_sql as query,
};
use sea_orm::sea_query::Value;
use sea_orm::{ConnectionTrait, QueryResult};

use crate::model::{HourTally, Outcome, SetAside};
use crate::tally::Tallies;

/// A claim that ends later than this from now was made under a clock that has since been set back; it does not count.
const CLAIM_SANE_MAX: Duration = Duration::from_secs(600);

/// Marks ids of batches in the shared database.
pub(crate) enum BatchRow {}

pub(crate) struct ClaimedBatch {
    pub(crate) id: Id<BatchRow>,
    pub(crate) records: u64,
    pub(crate) consumed: u64,
    pub(crate) sealed: Vec<u8>,
}

fn unsigned(row: &QueryResult, column: &str) -> Result<u64, StorageError> {
    Ok(row.try_get::<i64>("", column).map(|number| u64::try_from(number).unwrap_or(0))?)
}

fn signed(number: u64) -> Value {
    i64::try_from(number).unwrap_or(i64::MAX).into()
}

fn spool_value(spool: [u8; 16]) -> Value {
    Id::<()>::from_bytes(spool).into()
}

/// The highest number of this spool whose delivery has been consumed; 0 before the first.
pub(crate) async fn find_position(db: &impl ConnectionTrait, spool: [u8; 16]) -> Result<u64, StorageError> {
    let rows = query(db, "SELECT seq FROM intake_position WHERE spool_id = $1", [spool_value(spool)]).await?;
    rows.first().map_or(Ok(0), |row| unsigned(row, "seq"))
}

/// Moves the position from `from` to `to`; returns whether it still stood there.
pub(crate) async fn move_position(
    db: &impl ConnectionTrait,
    spool: [u8; 16],
    from: u64,
    to: u64,
    now: Timestamp,
) -> Result<bool, StorageError> {
    let sql = "UPDATE intake_position SET seq = $3, updated_at = $4 WHERE spool_id = $1 AND seq = $2";
    if execute(db, sql, [spool_value(spool), signed(from), signed(to), now.into()]).await? == 1 {
        return Ok(true);
    }
    if from > 0 {
        return Ok(false);
    }
    let sql = "INSERT INTO intake_position (spool_id, seq, updated_at) VALUES ($1, $2, $3) ON CONFLICT (spool_id) DO NOTHING";
    Ok(execute(db, sql, [spool_value(spool), signed(to), now.into()]).await? == 1)
}

/// When the oldest batch was made that has not been consumed whole.
pub(crate) async fn oldest_waiting(db: &impl ConnectionTrait) -> Result<Option<Timestamp>, StorageError> {
    let rows = query(db, "SELECT created_at FROM intake_batch ORDER BY id LIMIT 1", []).await?;
    Ok(rows.first().map(|row| row.try_get("", "created_at")).transpose()?)
}

/// Adds a batch for any worker.
pub(crate) async fn insert_batch(
    db: &impl ConnectionTrait,
    id: Id<BatchRow>,
    spool: [u8; 16],
    first_seq: u64,
    records: usize,
    sealed: Vec<u8>,
    now: Timestamp,
) -> Result<(), StorageError> {
    let sql = "INSERT INTO intake_batch (id, spool_id, first_seq, records, consumed, claimed_until, created_at, sealed) \
               VALUES ($1, $2, $3, $4, 0, 0, $5, $6)";
    let values =
        [id.into(), spool_value(spool), signed(first_seq), signed(records as u64), now.into(), sealed.into()];
    execute(db, sql, values).await.map(drop)
}

/// How many batches wait; counts no further than `max`.
pub(crate) async fn count_batches(db: &impl ConnectionTrait, max: u64) -> Result<u64, StorageError> {
    let sql = "SELECT COUNT(*) AS batches FROM (SELECT id FROM intake_batch LIMIT $1) AS waiting";
    let rows = query(db, sql, [signed(max)]).await?;
    rows.first().map_or(Ok(0), |row| unsigned(row, "batches"))
}

const CLAIMABLE: &str = "(claimed_until <= $1 OR claimed_until > $2)";

/// Whether a batch waits for a worker.
pub(crate) async fn has_claimable(db: &impl ConnectionTrait, now: Timestamp) -> Result<bool, StorageError> {
    let sql = format!("SELECT 1 AS one FROM intake_batch WHERE {CLAIMABLE} LIMIT 1");
    Ok(!query(db, &sql, [now.into(), now.plus(CLAIM_SANE_MAX).into()]).await?.is_empty())
}

/// Takes the oldest waiting batch under the token `claim`.
///
/// MATERIALIZED, because PostgreSQL may otherwise evaluate a limited subquery with SKIP LOCKED more than once.
pub(crate) async fn claim_batch(
    db: &impl ConnectionTrait,
    claim: Id<()>,
    now: Timestamp,
    until: Timestamp,
) -> Result<Option<ClaimedBatch>, StorageError> {
    let sql = format!(
        "WITH oldest AS MATERIALIZED (SELECT id FROM intake_batch WHERE {CLAIMABLE} ORDER BY id LIMIT 1{}) \
         UPDATE intake_batch SET claimed_until = $3, claim = $4 WHERE id IN (SELECT id FROM oldest) \
         RETURNING id, records, consumed, sealed",
        Dialect::of(db).skip_locked(),
    );
    let rows =
        query(db, &sql, [now.into(), now.plus(CLAIM_SANE_MAX).into(), until.into(), claim.into()]).await?;
    let Some(row) = rows.first() else { return Ok(None) };
    Ok(Some(ClaimedBatch {
        id: row.try_get("", "id")?,
        records: unsigned(row, "records")?,
        consumed: unsigned(row, "consumed")?,
        sealed: row.try_get("", "sealed")?,
    }))
}

/// Consumes records of a claimed batch from `from` to before `to` and renews the claim; returns whether it still stood.
pub(crate) async fn move_in_batch(
    db: &impl ConnectionTrait,
    id: Id<BatchRow>,
    claim: Id<()>,
    (from, to): (u64, u64),
    until: Timestamp,
) -> Result<bool, StorageError> {
    let sql = "UPDATE intake_batch SET consumed = $4, claimed_until = $5 WHERE id = $1 AND claim = $2 AND consumed = $3";
    Ok(execute(db, sql, [id.into(), claim.into(), signed(from), signed(to), until.into()]).await? == 1)
}

/// Removes a claimed batch whose records from `from` on were its last; returns whether the claim still stood.
pub(crate) async fn delete_batch(
    db: &impl ConnectionTrait,
    id: Id<BatchRow>,
    claim: Id<()>,
    from: u64,
) -> Result<bool, StorageError> {
    let sql = "DELETE FROM intake_batch WHERE id = $1 AND claim = $2 AND consumed = $3";
    Ok(execute(db, sql, [id.into(), claim.into(), signed(from)]).await? == 1)
}

/// Gives a claimed batch back to the others.
pub(crate) async fn release_batch(
    db: &impl ConnectionTrait,
    id: Id<BatchRow>,
    claim: Id<()>,
) -> Result<(), StorageError> {
    let sql = "UPDATE intake_batch SET claimed_until = 0, claim = NULL WHERE id = $1 AND claim = $2";
    execute(db, sql, [id.into(), claim.into()]).await.map(drop)
}

/// Adds to counts, in the order of their keys, so that two writers never wait for each other in a circle.
pub(crate) async fn add_tallies(db: &impl ConnectionTrait, tallies: &Tallies) -> Result<(), StorageError> {
    let rows = tallies.iter().map(|(key, quantity)| {
        [
            key.project.0.into(),
            key.hour.into(),
            key.item.as_str().into(),
            key.outcome.as_str().into(),
            key.reason.into(),
            signed(*quantity),
        ]
    });
    let head = "INSERT INTO intake_tally (project_id, hour, item, outcome, reason, quantity) VALUES ";
    let tail = " ON CONFLICT (project_id, hour, item, outcome, reason) \
                DO UPDATE SET quantity = intake_tally.quantity + excluded.quantity";
    bulk(db, head, rows.collect(), tail).await.map(drop)
}

/// The different counts that a project has in an hour, at most `max` of them.
pub(crate) async fn list_tally_names(
    db: &impl ConnectionTrait,
    project: ProjectId,
    hour: Timestamp,
    max: usize,
) -> Result<BTreeSet<(String, String, String)>, StorageError> {
    let sql = "SELECT item, outcome, reason FROM intake_tally WHERE project_id = $1 AND hour = $2 LIMIT $3";
    let mut names = BTreeSet::new();
    for row in query(db, sql, [project.0.into(), hour.into(), signed(max as u64)]).await? {
        names.insert((row.try_get("", "item")?, row.try_get("", "outcome")?, row.try_get("", "reason")?));
    }
    Ok(names)
}

pub(crate) async fn list_tallies(
    db: &impl ConnectionTrait,
    project: ProjectId,
    (from, to): (Timestamp, Timestamp),
    limit: usize,
) -> Result<Vec<HourTally>, StorageError> {
    let sql = "SELECT hour, item, outcome, reason, quantity FROM intake_tally WHERE project_id = $1 AND hour >= $2 \
               AND hour < $3 ORDER BY hour, item, outcome, reason LIMIT $4";
    let mut tallies = Vec::new();
    for row in query(db, sql, [project.0.into(), from.into(), to.into(), signed(limit as u64)]).await? {
        let outcome: String = row.try_get("", "outcome")?;
        tallies.push(HourTally {
            hour: row.try_get("", "hour")?,
            item: row.try_get("", "item")?,
            outcome: parse_outcome(&outcome)?,
            reason: row.try_get("", "reason")?,
            quantity: unsigned(&row, "quantity")?,
        });
    }
    Ok(tallies)
}

fn parse_outcome(word: &str) -> Result<Outcome, StorageError> {
    [Outcome::Stored, Outcome::Dropped, Outcome::SetAside]
        .into_iter()
        .find(|outcome| ItemOutcome::from(*outcome).as_str() == word)
        .ok_or_else(|| StorageError::corrupt(format!("outcome of a tally: {word}")))
}

/// Removes at most `limit` of the counts of hours before `before`.
pub(crate) async fn delete_tallies(
    db: &impl ConnectionTrait,
    before: Timestamp,
    limit: u64,
) -> Result<u64, StorageError> {
    // Row values instead of a row id, which PostgreSQL does not have in this form.
    let sql = "DELETE FROM intake_tally WHERE (project_id, hour, item, outcome, reason) IN \
               (SELECT project_id, hour, item, outcome, reason FROM intake_tally WHERE hour < $1 LIMIT $2)";
    execute(db, sql, [before.into(), signed(limit)]).await
}

const SET_ASIDE_COLUMNS: &str =
    "id, project_id, kind, reason, tries, received_at, set_aside_at, replayed_at, size_bytes";

fn to_set_aside(row: &QueryResult) -> Result<SetAside, StorageError> {
    Ok(SetAside {
        id: row.try_get("", "id")?,
        project: ProjectId(row.try_get("", "project_id")?),
        kind: row.try_get("", "kind")?,
        reason: row.try_get("", "reason")?,
        tries: u32::try_from(unsigned(row, "tries")?).unwrap_or(u32::MAX),
        received_at: row.try_get("", "received_at")?,
        set_aside_at: row.try_get("", "set_aside_at")?,
        replayed_at: row.try_get("", "replayed_at")?,
        size_bytes: unsigned(row, "size_bytes")?,
    })
}

pub(crate) async fn insert_set_aside(
    db: &impl ConnectionTrait,
    row: SetAside,
    sealed: Vec<u8>,
) -> Result<(), StorageError> {
    let sql = "INSERT INTO intake_set_aside (id, project_id, kind, reason, tries, received_at, set_aside_at, size_bytes, sealed) \
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)";
    let values = [
        row.id.into(),
        row.project.0.into(),
        row.kind.into(),
        row.reason.into(),
        i64::from(row.tries).into(),
        row.received_at.into(),
        row.set_aside_at.into(),
        signed(row.size_bytes),
        sealed.into(),
    ];
    execute(db, sql, values).await.map(drop)
}

/// How many deliveries of a project are set aside, and their bytes.
pub(crate) async fn measure_set_aside(
    db: &impl ConnectionTrait,
    project: ProjectId,
) -> Result<(u64, u64), StorageError> {
    let sql = "SELECT COUNT(*) AS n, CAST(COALESCE(SUM(size_bytes), 0) AS BIGINT) AS bytes \
               FROM intake_set_aside WHERE project_id = $1";
    let rows = query(db, sql, [project.0.into()]).await?;
    rows.first().map_or(Ok((0, 0)), |row| Ok((unsigned(row, "n")?, unsigned(row, "bytes")?)))
}

/// The oldest deliveries of a project that are set aside: id, kind and bytes.
pub(crate) async fn list_oldest_set_aside(
    db: &impl ConnectionTrait,
    project: ProjectId,
    limit: u64,
) -> Result<Vec<SetAside>, StorageError> {
    let sql = format!(
        "SELECT {SET_ASIDE_COLUMNS} FROM intake_set_aside WHERE project_id = $1 ORDER BY id LIMIT $2"
    );
    query(db, &sql, [project.0.into(), signed(limit)]).await?.iter().map(to_set_aside).collect()
}

/// The deliveries of a project that were set aside before `before`, newest first.
pub(crate) async fn list_set_aside(
    db: &impl ConnectionTrait,
    project: ProjectId,
    before: Id<SetAside>,
    limit: usize,
) -> Result<Vec<SetAside>, StorageError> {
    let sql = format!(
        "SELECT {SET_ASIDE_COLUMNS} FROM intake_set_aside WHERE project_id = $1 AND id < $2 ORDER BY id DESC LIMIT $3"
    );
    query(db, &sql, [project.0.into(), before.into(), signed(limit as u64)])
        .await?
        .iter()
        .map(to_set_aside)
        .collect()
}

pub(crate) async fn count_set_aside(
    db: &impl ConnectionTrait,
    project: ProjectId,
) -> Result<u64, StorageError> {
    let sql = "SELECT COUNT(*) AS n FROM intake_set_aside WHERE project_id = $1 AND replayed_at IS NULL";
    query(db, sql, [project.0.into()]).await?.first().map_or(Ok(0), |row| unsigned(row, "n"))
}

pub(crate) async fn find_set_aside(
    db: &impl ConnectionTrait,
    project: ProjectId,
    id: Id<SetAside>,
) -> Result<Option<SetAside>, StorageError> {
    let sql = format!("SELECT {SET_ASIDE_COLUMNS} FROM intake_set_aside WHERE project_id = $1 AND id = $2");
    query(db, &sql, [project.0.into(), id.into()]).await?.first().map(to_set_aside).transpose()
}

/// The sealed content of a delivery that is set aside and not yet replayed.
pub(crate) async fn find_sealed(
    db: &impl ConnectionTrait,
    project: ProjectId,
    id: Id<SetAside>,
) -> Result<Option<Vec<u8>>, StorageError> {
    let sql = "SELECT sealed FROM intake_set_aside WHERE project_id = $1 AND id = $2 AND replayed_at IS NULL";
    let rows = query(db, sql, [project.0.into(), id.into()]).await?;
    Ok(rows.first().map(|row| row.try_get("", "sealed")).transpose()?)
}

/// Marks a delivery as replayed and drops its content; returns whether it was not before.
pub(crate) async fn mark_replayed(
    db: &impl ConnectionTrait,
    project: ProjectId,
    id: Id<SetAside>,
    now: Timestamp,
) -> Result<bool, StorageError> {
    let sql = "UPDATE intake_set_aside SET replayed_at = $3, size_bytes = 0, sealed = $4 \
               WHERE project_id = $1 AND id = $2 AND replayed_at IS NULL";
    Ok(execute(db, sql, [project.0.into(), id.into(), now.into(), Vec::<u8>::new().into()]).await? == 1)
}

/// Returns whether there was one.
pub(crate) async fn delete_set_aside(
    db: &impl ConnectionTrait,
    project: ProjectId,
    id: Id<SetAside>,
) -> Result<bool, StorageError> {
    let sql = "DELETE FROM intake_set_aside WHERE project_id = $1 AND id = $2";
    Ok(execute(db, sql, [project.0.into(), id.into()]).await? == 1)
}

/// Removes at most `limit` of the deliveries that were set aside before `before`.
pub(crate) async fn delete_old_set_aside(
    db: &impl ConnectionTrait,
    before: Timestamp,
    limit: u64,
) -> Result<u64, StorageError> {
    let sql = "DELETE FROM intake_set_aside WHERE id IN (SELECT id FROM intake_set_aside WHERE set_aside_at < $1 LIMIT $2)";
    execute(db, sql, [before.into(), signed(limit)]).await
}
