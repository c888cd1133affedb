//! All statements on `jobs_*`. Placeholders are `$n`, which both databases understand.

use belvedere_storage::{Dialect, Id, StorageError, Timestamp, execute_sql as execute, query_sql as query};
use sea_orm::sea_query::Value;
use sea_orm::{ConnectionTrait, DbErr, QueryResult};

use crate::model::{DeadJob, Job, JobCounts, ScheduleState};

/// A lease that ends later than this from now was taken under a clock that has since been set back; it does not count.
const LEASE_SANE_MAX: std::time::Duration = std::time::Duration::from_secs(600);

pub(crate) struct JobRow<'a> {
    pub(crate) id: Id<Job>,
    pub(crate) kind: &'a str,
    pub(crate) payload: &'a str,
    pub(crate) key: Option<&'a str>,
    pub(crate) run_at: Timestamp,
    pub(crate) attempts_max: u32,
    pub(crate) now: Timestamp,
}

pub(crate) struct ClaimedRow {
    pub(crate) id: Id<Job>,
    pub(crate) kind: String,
    pub(crate) payload: String,
    pub(crate) attempt: u32,
    pub(crate) attempts_max: u32,
    pub(crate) run_at: Timestamp,
}

fn count(row: &QueryResult, column: &str) -> Result<u64, DbErr> {
    row.try_get::<i64>("", column).map(|count| u64::try_from(count).unwrap_or(0))
}

fn small_count(row: &QueryResult, column: &str) -> Result<u32, DbErr> {
    row.try_get::<i64>("", column).map(|count| u32::try_from(count).unwrap_or(u32::MAX))
}

/// Adds a job, or brings forward the one that waits under the same key; returns which of them it is.
pub(crate) async fn insert_job(db: &impl ConnectionTrait, job: JobRow<'_>) -> Result<Id<Job>, StorageError> {
    let sql = "INSERT INTO jobs_job (id, kind, payload, dedup_key, run_at, attempts, attempts_max, claimed_until, created_at) \
               VALUES ($1, $2, $3, $4, $5, 0, $6, 0, $7) \
               ON CONFLICT (dedup_key) DO UPDATE SET run_at = CASE WHEN excluded.run_at < jobs_job.run_at \
               THEN excluded.run_at ELSE jobs_job.run_at END RETURNING id";
    let values = [
        job.id.into(),
        job.kind.into(),
        job.payload.into(),
        job.key.map(str::to_owned).into(),
        job.run_at.into(),
        i64::from(job.attempts_max).into(),
        job.now.into(),
    ];
    let rows = query(db, sql, values).await?;
    let row = rows.first().ok_or_else(|| StorageError::corrupt("an inserted job returned no id"))?;
    Ok(row.try_get("", "id")?)
}

fn kind_list(kinds: &[&str], first: usize) -> String {
    (first..first + kinds.len()).map(|n| format!("${n}")).collect::<Vec<_>>().join(", ")
}

/// Jobs that may be claimed: waiting, or held by a worker that has not renewed its claim.
const CLAIMABLE: &str = "dead_at IS NULL AND run_at <= $1 AND (claimed_until <= $1 OR claimed_until > $2)";

/// When the next job of these kinds may be claimed; `None` if there is none.
pub(crate) async fn find_next_due(
    db: &impl ConnectionTrait,
    kinds: &[&str],
    now: Timestamp,
) -> Result<Option<Timestamp>, StorageError> {
    let sql = format!(
        "SELECT MIN(CASE WHEN claimed_until > $1 THEN $2 WHEN claimed_until > run_at THEN claimed_until ELSE run_at END) AS due \
         FROM jobs_job WHERE dead_at IS NULL AND kind IN ({})",
        kind_list(kinds, 3)
    );
    let mut values: Vec<Value> = vec![now.plus(LEASE_SANE_MAX).into(), now.into()];
    values.extend(kinds.iter().map(|kind| Value::from(*kind)));
    let rows = query(db, &sql, values).await?;
    Ok(match rows.first() {
        Some(row) => row.try_get("", "due")?,
        None => None,
    })
}

/// Takes at most `limit` due jobs of `kinds` under the token `claim`, the longest due first.
///
/// MATERIALIZED, because PostgreSQL may otherwise evaluate a limited subquery with SKIP LOCKED more than once.
pub(crate) async fn claim_jobs(
    db: &impl ConnectionTrait,
    kinds: &[&str],
    limit: usize,
    claim: Id<()>,
    now: Timestamp,
    until: Timestamp,
) -> Result<Vec<ClaimedRow>, StorageError> {
    let sql = format!(
        "WITH due AS MATERIALIZED (SELECT id FROM jobs_job WHERE {CLAIMABLE} AND attempts < attempts_max \
         AND kind IN ({}) ORDER BY run_at, id LIMIT $5{}) \
         UPDATE jobs_job SET claimed_until = $3, claim = $4, attempts = attempts + 1, dedup_key = NULL \
         WHERE id IN (SELECT id FROM due) RETURNING id, kind, payload, attempts, attempts_max, run_at",
        kind_list(kinds, 6),
        Dialect::of(db).skip_locked(),
    );
    let mut values: Vec<Value> = vec![
        now.into(),
        now.plus(LEASE_SANE_MAX).into(),
        until.into(),
        claim.into(),
        i64::try_from(limit).unwrap_or(i64::MAX).into(),
    ];
    values.extend(kinds.iter().map(|kind| Value::from(*kind)));
    let mut rows = Vec::new();
    for row in query(db, &sql, values).await? {
        rows.push(ClaimedRow {
            id: row.try_get("", "id")?,
            kind: row.try_get("", "kind")?,
            payload: row.try_get("", "payload")?,
            attempt: small_count(&row, "attempts")?,
            attempts_max: small_count(&row, "attempts_max")?,
            run_at: row.try_get("", "run_at")?,
        });
    }
    // RETURNING has no order of its own.
    rows.sort_by_key(|row| (row.run_at, row.id));
    Ok(rows)
}

/// Gives up jobs whose worker vanished during the last attempt.
pub(crate) async fn bury_abandoned(db: &impl ConnectionTrait, now: Timestamp) -> Result<u64, StorageError> {
    let sql = format!(
        "UPDATE jobs_job SET dead_at = $1, claim = NULL, claimed_until = 0, dedup_key = NULL, \
         last_error = 'the worker vanished during the last attempt' WHERE {CLAIMABLE} AND attempts >= attempts_max"
    );
    execute(db, &sql, [now.into(), now.plus(LEASE_SANE_MAX).into()]).await
}

/// Returns whether the claim still stood.
pub(crate) async fn renew_claim(
    db: &impl ConnectionTrait,
    id: Id<Job>,
    claim: Id<()>,
    until: Timestamp,
) -> Result<bool, StorageError> {
    let sql = "UPDATE jobs_job SET claimed_until = $3 WHERE id = $1 AND claim = $2";
    Ok(execute(db, sql, [id.into(), claim.into(), until.into()]).await? == 1)
}

/// Removes a job that was done; returns whether the claim still stood.
pub(crate) async fn delete_claimed(
    db: &impl ConnectionTrait,
    id: Id<Job>,
    claim: Id<()>,
) -> Result<bool, StorageError> {
    let sql = "DELETE FROM jobs_job WHERE id = $1 AND claim = $2";
    Ok(execute(db, sql, [id.into(), claim.into()]).await? == 1)
}

/// Gives a failed job back to be tried again.
pub(crate) async fn release_claimed(
    db: &impl ConnectionTrait,
    id: Id<Job>,
    claim: Id<()>,
    run_at: Timestamp,
    attempts: u32,
    error: &str,
) -> Result<bool, StorageError> {
    let sql = "UPDATE jobs_job SET claimed_until = 0, claim = NULL, run_at = $3, attempts = $4, last_error = $5 \
               WHERE id = $1 AND claim = $2";
    let values = [id.into(), claim.into(), run_at.into(), i64::from(attempts).into(), error.into()];
    Ok(execute(db, sql, values).await? == 1)
}

/// Marks a failed job as dead.
pub(crate) async fn bury_claimed(
    db: &impl ConnectionTrait,
    id: Id<Job>,
    claim: Id<()>,
    now: Timestamp,
    error: &str,
) -> Result<bool, StorageError> {
    let sql = "UPDATE jobs_job SET claimed_until = 0, claim = NULL, dead_at = $3, last_error = $4 \
               WHERE id = $1 AND claim = $2";
    Ok(execute(db, sql, [id.into(), claim.into(), now.into(), error.into()]).await? == 1)
}

/// Removes the dead jobs beyond the newest `keep`.
pub(crate) async fn trim_dead(db: &impl ConnectionTrait, keep: u64) -> Result<u64, StorageError> {
    let sql = "DELETE FROM jobs_job WHERE id IN (SELECT id FROM jobs_job WHERE dead_at IS NOT NULL \
               ORDER BY dead_at DESC, id DESC LIMIT 1000 OFFSET $1)";
    execute(db, sql, [i64::try_from(keep).unwrap_or(i64::MAX).into()]).await
}

/// Dead jobs, newest first, at most `limit`, after the place (dead_at, id).
pub(crate) async fn list_dead(
    db: &impl ConnectionTrait,
    after: Option<(Timestamp, Id<Job>)>,
    limit: usize,
) -> Result<Vec<DeadJob>, StorageError> {
    let (dead_at, id) = after.unwrap_or((Timestamp::from_micros(i64::MAX), Id::from_bytes([0xff; 16])));
    let sql = "SELECT id, kind, payload, attempts, last_error, created_at, dead_at FROM jobs_job \
               WHERE dead_at IS NOT NULL AND (dead_at < $1 OR (dead_at = $1 AND id < $2)) \
               ORDER BY dead_at DESC, id DESC LIMIT $3";
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let mut jobs = Vec::new();
    for row in query(db, sql, [dead_at.into(), id.into(), limit.into()]).await? {
        let payload: String = row.try_get("", "payload")?;
        jobs.push(DeadJob {
            id: row.try_get("", "id")?,
            kind: row.try_get("", "kind")?,
            payload: serde_json::from_str(&payload)
                .map_err(|error| StorageError::corrupt(format!("payload of a job: {error}")))?,
            attempts: small_count(&row, "attempts")?,
            last_error: row.try_get::<Option<String>>("", "last_error")?.unwrap_or_default(),
            created_at: row.try_get("", "created_at")?,
            dead_at: row.try_get("", "dead_at")?,
        });
    }
    Ok(jobs)
}

/// Lets a dead job start over; returns whether there was one.
pub(crate) async fn revive(
    db: &impl ConnectionTrait,
    id: Id<Job>,
    now: Timestamp,
) -> Result<bool, StorageError> {
    let sql =
        "UPDATE jobs_job SET dead_at = NULL, attempts = 0, run_at = $2 WHERE id = $1 AND dead_at IS NOT NULL";
    Ok(execute(db, sql, [id.into(), now.into()]).await? == 1)
}

/// Removes a dead job; returns whether there was one.
pub(crate) async fn delete_dead(db: &impl ConnectionTrait, id: Id<Job>) -> Result<bool, StorageError> {
    Ok(execute(db, "DELETE FROM jobs_job WHERE id = $1 AND dead_at IS NOT NULL", [id.into()]).await? == 1)
}

pub(crate) async fn count_jobs(db: &impl ConnectionTrait, now: Timestamp) -> Result<JobCounts, StorageError> {
    let sql = "SELECT COUNT(CASE WHEN dead_at IS NULL AND claimed_until <= $1 THEN 1 END) AS waiting, \
               COUNT(CASE WHEN dead_at IS NULL AND claimed_until > $1 THEN 1 END) AS running, COUNT(dead_at) AS dead FROM jobs_job";
    let rows = query(db, sql, [now.into()]).await?;
    let Some(row) = rows.first() else { return Ok(JobCounts::default()) };
    Ok(JobCounts {
        waiting: count(row, "waiting")?,
        running: count(row, "running")?,
        dead: count(row, "dead")?,
    })
}

pub(crate) async fn list_schedules(db: &impl ConnectionTrait) -> Result<Vec<ScheduleState>, StorageError> {
    let mut schedules = Vec::new();
    for row in
        query(db, "SELECT name, slot, next_run_at FROM jobs_schedule ORDER BY name LIMIT 1000", []).await?
    {
        schedules.push(ScheduleState {
            name: row.try_get("", "name")?,
            slot: row.try_get("", "slot")?,
            next_run_at: row.try_get("", "next_run_at")?,
        });
    }
    Ok(schedules)
}

/// Adds a schedule that the database does not know yet.
pub(crate) async fn insert_schedule(
    db: &impl ConnectionTrait,
    state: &ScheduleState,
) -> Result<(), StorageError> {
    let sql = "INSERT INTO jobs_schedule (name, slot, next_run_at) VALUES ($1, $2, $3) ON CONFLICT (name) DO NOTHING";
    let values = [state.name.as_str().into(), state.slot.into(), state.next_run_at.into()];
    execute(db, sql, values).await.map(drop)
}

/// Moves a schedule from the slot `was`; returns whether it still stood there.
pub(crate) async fn move_schedule(
    db: &impl ConnectionTrait,
    was: Timestamp,
    state: &ScheduleState,
) -> Result<bool, StorageError> {
    let sql = "UPDATE jobs_schedule SET slot = $3, next_run_at = $4 WHERE name = $1 AND slot = $2";
    let values = [state.name.as_str().into(), was.into(), state.slot.into(), state.next_run_at.into()];
    Ok(execute(db, sql, values).await? == 1)
}

/// Who holds the lease `name`, and until when.
pub(crate) async fn find_lease(
    db: &impl ConnectionTrait,
    name: &str,
) -> Result<Option<(Id<()>, Timestamp)>, StorageError> {
    let rows = query(db, "SELECT holder, held_until FROM jobs_lease WHERE name = $1", [name.into()]).await?;
    Ok(match rows.first() {
        Some(row) => Some((row.try_get("", "holder")?, row.try_get("", "held_until")?)),
        None => None,
    })
}

/// Takes or renews the lease `name` for `holder`; returns whether it is theirs now.
pub(crate) async fn take_lease(
    db: &impl ConnectionTrait,
    name: &str,
    holder: Id<()>,
    now: Timestamp,
    until: Timestamp,
) -> Result<bool, StorageError> {
    let sql = "INSERT INTO jobs_lease (name, holder, held_until) VALUES ($1, $2, $3) ON CONFLICT (name) DO UPDATE \
               SET holder = excluded.holder, held_until = excluded.held_until WHERE jobs_lease.holder = $2 \
               OR jobs_lease.held_until <= $4 OR jobs_lease.held_until > $5";
    let values = [name.into(), holder.into(), until.into(), now.into(), now.plus(LEASE_SANE_MAX).into()];
    Ok(execute(db, sql, values).await? == 1)
}

/// Gives the lease `name` up, so that another process need not wait for its end.
pub(crate) async fn drop_lease(
    db: &impl ConnectionTrait,
    name: &str,
    holder: Id<()>,
) -> Result<(), StorageError> {
    execute(db, "DELETE FROM jobs_lease WHERE name = $1 AND holder = $2", [name.into(), holder.into()])
        .await
        .map(drop)
}
