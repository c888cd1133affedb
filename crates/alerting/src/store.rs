//! All statements on `alerting_*`.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use belvedere_kernel::{NoticeKind, ProjectId, SubjectId};
use belvedere_storage::{
    Cursor, Dialect, Id, Page, PageRequest, Sql, StorageError, Timestamp, Tx, bulk, execute_sql, query_sql,
};
use sea_orm::sea_query::Value;
use sea_orm::{ConnectionTrait, DbErr, QueryResult};

use crate::model::{Delivery, DeliveryId, DeliveryState, Endpoint, EndpointId};

/// More endpoints than a project can have.
const ENDPOINT_ROWS_MAX: usize = 100;

/// Rows that one statement of a sweep removes.
const SWEPT_ROWS: u64 = 1_000;

fn count(row: &QueryResult, column: &str) -> Result<u64, DbErr> {
    row.try_get::<i64>("", column).map(|count| u64::try_from(count).unwrap_or(0))
}

fn whole(number: u64) -> Value {
    i64::try_from(number).unwrap_or(i64::MAX).into()
}

fn kinds_of(row: &QueryResult) -> Result<Vec<NoticeKind>, DbErr> {
    let kinds: String = row.try_get("", "kinds")?;
    // A kind that a later version knew is not told of.
    Ok(kinds.split(',').filter_map(|kind| kind.parse().ok()).collect())
}

pub(crate) fn kinds_text(kinds: &[NoticeKind]) -> String {
    kinds.iter().map(|kind| kind.as_str()).collect::<Vec<_>>().join(",")
}

const ENDPOINT: &str =
    "SELECT id, project_id, url, kinds, is_enabled, dropped, created_at FROM alerting_endpoint";

fn endpoint_of(row: &QueryResult) -> Result<Endpoint, DbErr> {
    Ok(Endpoint {
        id: row.try_get("", "id")?,
        project: ProjectId(row.try_get("", "project_id")?),
        url: row.try_get("", "url")?,
        kinds: kinds_of(row)?,
        is_enabled: row.try_get("", "is_enabled")?,
        waiting: 0,
        dead: 0,
        dropped: count(row, "dropped")?,
        created_at: row.try_get("", "created_at")?,
    })
}

pub(crate) struct NewRow<'a> {
    pub(crate) id: EndpointId,
    pub(crate) project: ProjectId,
    pub(crate) url: &'a str,
    pub(crate) kinds: &'a [NoticeKind],
    pub(crate) secret_sealed: Vec<u8>,
    pub(crate) now: Timestamp,
}

pub(crate) async fn insert_endpoint(tx: &Tx, row: NewRow<'_>) -> Result<(), StorageError> {
    let sql = "INSERT INTO alerting_endpoint (id, project_id, url, kinds, secret_sealed, old_secret_until, is_enabled, \
               dropped, created_at) VALUES ($1, $2, $3, $4, $5, 0, $6, 0, $7)";
    let values = [
        row.id.into(),
        row.project.0.into(),
        row.url.into(),
        kinds_text(row.kinds).into(),
        row.secret_sealed.into(),
        true.into(),
        row.now.into(),
    ];
    execute_sql(tx, sql, values).await.map(drop)
}

pub(crate) async fn count_endpoints(tx: &Tx, project: ProjectId) -> Result<u64, StorageError> {
    let sql = "SELECT COUNT(*) AS endpoints FROM alerting_endpoint WHERE project_id = $1";
    let rows = query_sql(tx, sql, [project.0.into()]).await?;
    Ok(rows.first().map(|row| count(row, "endpoints")).transpose()?.unwrap_or(0))
}

/// Endpoints with how many deliveries wait and are dead.
pub(crate) async fn list_endpoints(
    db: &impl ConnectionTrait,
    project: ProjectId,
    only: Option<EndpointId>,
) -> Result<Vec<Endpoint>, StorageError> {
    let mut sql = Sql::new(db, ENDPOINT);
    sql.push(" WHERE project_id = ").bind(project.0);
    if let Some(only) = only {
        sql.push(" AND id = ").bind(only);
    }
    sql.push(" ORDER BY id LIMIT ").bind(ENDPOINT_ROWS_MAX as i64);
    let rows = sql.fetch(db).await?;
    let mut endpoints = rows.iter().map(endpoint_of).collect::<Result<Vec<_>, _>>()?;
    let ids: Vec<EndpointId> = endpoints.iter().map(|endpoint| endpoint.id).collect();
    if ids.is_empty() {
        return Ok(endpoints);
    }
    let mut sql = Sql::new(
        db,
        "SELECT endpoint_id, state, COUNT(*) AS deliveries FROM alerting_delivery WHERE state <> ",
    );
    sql.bind(DeliveryState::Delivered.as_str()).push(" AND endpoint_id IN ").bind_set(&ids);
    sql.push(" GROUP BY endpoint_id, state");
    let mut counts: HashMap<(EndpointId, String), u64> = HashMap::new();
    for row in sql.fetch(db).await? {
        let key = (row.try_get("", "endpoint_id")?, row.try_get("", "state")?);
        counts.insert(key, count(&row, "deliveries")?);
    }
    for endpoint in &mut endpoints {
        let of = |state: DeliveryState| {
            counts.get(&(endpoint.id, state.as_str().to_owned())).copied().unwrap_or(0)
        };
        (endpoint.waiting, endpoint.dead) = (of(DeliveryState::Pending), of(DeliveryState::Dead));
    }
    Ok(endpoints)
}

/// Changes what is declared of an endpoint; whether there is such a one.
pub(crate) async fn update_endpoint(tx: &Tx, endpoint: &Endpoint) -> Result<bool, StorageError> {
    let sql = "UPDATE alerting_endpoint SET url = $3, kinds = $4, is_enabled = $5 WHERE project_id = $1 AND id = $2";
    let values = [
        endpoint.project.0.into(),
        endpoint.id.into(),
        endpoint.url.as_str().into(),
        kinds_text(&endpoint.kinds).into(),
        endpoint.is_enabled.into(),
    ];
    Ok(execute_sql(tx, sql, values).await? == 1)
}

/// Gives an endpoint a new secret and keeps the one before until an instant; whether there is such an endpoint.
pub(crate) async fn replace_secret(
    tx: &Tx,
    project: ProjectId,
    endpoint: EndpointId,
    sealed: Vec<u8>,
    until: Timestamp,
) -> Result<bool, StorageError> {
    let sql = "UPDATE alerting_endpoint SET old_secret_sealed = secret_sealed, old_secret_until = $4, secret_sealed = $3 \
               WHERE project_id = $1 AND id = $2";
    let values = [project.0.into(), endpoint.into(), sealed.into(), until.into()];
    Ok(execute_sql(tx, sql, values).await? == 1)
}

/// Removes an endpoint with its deliveries; whether there was one.
pub(crate) async fn delete_endpoint(
    tx: &Tx,
    project: ProjectId,
    endpoint: EndpointId,
) -> Result<bool, StorageError> {
    let sql = "DELETE FROM alerting_endpoint WHERE project_id = $1 AND id = $2";
    Ok(execute_sql(tx, sql, [project.0.into(), endpoint.into()]).await? == 1)
}

/// An endpoint that is told, and of what.
pub(crate) struct Listener {
    pub(crate) id: EndpointId,
    pub(crate) kinds: Vec<NoticeKind>,
}

/// The endpoints of a project that are told; they cannot be deleted before the transaction ends.
pub(crate) async fn list_listeners(tx: &Tx, project: ProjectId) -> Result<Vec<Listener>, StorageError> {
    let mut sql = Sql::new(tx, "SELECT id, kinds FROM alerting_endpoint WHERE project_id = ");
    sql.bind(project.0).push(" AND is_enabled = ").bind(true);
    sql.push(" ORDER BY id LIMIT ").bind(ENDPOINT_ROWS_MAX as i64);
    if sql.dialect() == Dialect::Postgres {
        sql.push(" FOR KEY SHARE");
    }
    let rows = sql.fetch(tx).await?;
    let listener = |row: &QueryResult| Ok(Listener { id: row.try_get("", "id")?, kinds: kinds_of(row)? });
    Ok(rows.iter().map(listener).collect::<Result<_, DbErr>>()?)
}

/// A delivery to be written.
pub(crate) struct NewDelivery {
    pub(crate) id: DeliveryId,
    pub(crate) endpoint: EndpointId,
    pub(crate) kind: String,
    pub(crate) notice_hash: Vec<u8>,
    pub(crate) subject: Option<SubjectId>,
    pub(crate) body: String,
}

/// Writes deliveries whose notices their endpoints do not know yet; the endpoints that got some.
pub(crate) async fn insert_deliveries(
    tx: &Tx,
    project: ProjectId,
    deliveries: Vec<NewDelivery>,
    now: Timestamp,
) -> Result<BTreeSet<EndpointId>, StorageError> {
    let head = "INSERT INTO alerting_delivery (id, endpoint_id, project_id, kind, notice_hash, subject_id, body, state, \
                attempts, next_at, claimed_until, created_at) VALUES ";
    let rows = deliveries.into_iter().map(|it| -> [Value; 12] {
        [
            it.id.into(),
            it.endpoint.into(),
            project.0.into(),
            it.kind.into(),
            it.notice_hash.into(),
            it.subject.map(|subject| subject.0).into(),
            it.body.into(),
            DeliveryState::Pending.as_str().into(),
            0_i64.into(),
            now.into(),
            0_i64.into(),
            now.into(),
        ]
    });
    let tail = " ON CONFLICT (endpoint_id, notice_hash) DO NOTHING RETURNING endpoint_id";
    let rows = bulk::<12>(tx, head, rows.collect(), tail).await?;
    Ok(rows.iter().map(|row| row.try_get("", "endpoint_id")).collect::<Result<_, DbErr>>()?)
}

/// Removes the oldest waiting deliveries beyond `keep`; how many.
pub(crate) async fn drop_oldest(tx: &Tx, endpoint: EndpointId, keep: u64) -> Result<u64, StorageError> {
    let sql = "SELECT COUNT(*) AS waiting FROM alerting_delivery WHERE endpoint_id = $1 AND state = $2";
    let pending = DeliveryState::Pending.as_str();
    let rows = query_sql(tx, sql, [endpoint.into(), pending.into()]).await?;
    let waiting = rows.first().map(|row| count(row, "waiting")).transpose()?.unwrap_or(0);
    if waiting <= keep {
        return Ok(0);
    }
    let sql = "DELETE FROM alerting_delivery WHERE id IN (SELECT id FROM alerting_delivery WHERE endpoint_id = $1 \
               AND state = $2 ORDER BY id LIMIT $3)";
    execute_sql(tx, sql, [endpoint.into(), pending.into(), whole(waiting - keep)]).await
}

pub(crate) async fn count_dropped(tx: &Tx, endpoint: EndpointId, dropped: u64) -> Result<(), StorageError> {
    let sql = "UPDATE alerting_endpoint SET dropped = dropped + $2 WHERE id = $1";
    execute_sql(tx, sql, [endpoint.into(), whole(dropped)]).await.map(drop)
}

/// Where an enabled endpoint is, and its sealed secrets.
pub(crate) struct Recipient {
    pub(crate) project: ProjectId,
    pub(crate) url: String,
    pub(crate) secret_sealed: Vec<u8>,
    pub(crate) old_secret_sealed: Option<Vec<u8>>,
}

/// An endpoint if it is enabled; its row is the transaction's until it ends, so that one worker after the other claims.
pub(crate) async fn lock_recipient(
    tx: &Tx,
    endpoint: EndpointId,
    now: Timestamp,
) -> Result<Option<Recipient>, StorageError> {
    let mut sql = Sql::new(
        tx,
        "SELECT project_id, url, secret_sealed, old_secret_sealed, old_secret_until FROM alerting_endpoint WHERE id = ",
    );
    sql.bind(endpoint).push(" AND is_enabled = ").bind(true);
    if sql.dialect() == Dialect::Postgres {
        // Not FOR UPDATE, for which new deliveries would have to wait.
        sql.push(" FOR NO KEY UPDATE");
    }
    let rows = sql.fetch(tx).await?;
    let Some(row) = rows.first() else { return Ok(None) };
    let until: Timestamp = row.try_get("", "old_secret_until")?;
    let old: Option<Vec<u8>> = row.try_get("", "old_secret_sealed")?;
    Ok(Some(Recipient {
        project: ProjectId(row.try_get("", "project_id")?),
        url: row.try_get("", "url")?,
        secret_sealed: row.try_get("", "secret_sealed")?,
        old_secret_sealed: old.filter(|_| until > now),
    }))
}

/// Whether a worker holds deliveries of an endpoint.
pub(crate) async fn has_claimed(tx: &Tx, endpoint: EndpointId, now: Timestamp) -> Result<bool, StorageError> {
    let sql = "SELECT 1 AS one FROM alerting_delivery WHERE endpoint_id = $1 AND state = $2 AND claimed_until > $3 LIMIT 1";
    let values = [endpoint.into(), DeliveryState::Pending.as_str().into(), now.into()];
    Ok(!query_sql(tx, sql, values).await?.is_empty())
}

/// A delivery in the hands of a worker.
#[derive(Debug, Clone)]
pub(crate) struct Claimed {
    pub(crate) id: DeliveryId,
    pub(crate) body: String,
    /// Which attempt this is, from 1.
    pub(crate) attempt: u32,
}

/// Takes at most `limit` due deliveries of an endpoint, the longest due first.
pub(crate) async fn claim(
    tx: &Tx,
    endpoint: EndpointId,
    limit: u64,
    now: Timestamp,
    until: Timestamp,
) -> Result<Vec<Claimed>, StorageError> {
    let sql = "UPDATE alerting_delivery SET claimed_until = $5, attempts = attempts + 1 WHERE id IN (SELECT id FROM \
               alerting_delivery WHERE endpoint_id = $1 AND state = $2 AND next_at <= $3 ORDER BY next_at, id LIMIT $4) \
               RETURNING id, body, attempts";
    let values =
        [endpoint.into(), DeliveryState::Pending.as_str().into(), now.into(), whole(limit), until.into()];
    let rows = query_sql(tx, sql, values).await?;
    let claimed = |row: &QueryResult| {
        let attempt = u32::try_from(row.try_get::<i64>("", "attempts")?).unwrap_or(u32::MAX);
        Ok(Claimed { id: row.try_get("", "id")?, body: row.try_get("", "body")?, attempt })
    };
    Ok(rows.iter().map(claimed).collect::<Result<_, DbErr>>()?)
}

/// What an attempt came to.
pub(crate) struct Outcome {
    pub(crate) id: DeliveryId,
    pub(crate) attempt: u32,
    pub(crate) state: DeliveryState,
    pub(crate) next_at: Timestamp,
    pub(crate) status: Option<u16>,
    pub(crate) answer: String,
}

/// Writes down what an attempt came to, unless the delivery is gone or another attempt has begun.
pub(crate) async fn settle(
    tx: &Tx,
    endpoint: EndpointId,
    outcome: &Outcome,
    now: Timestamp,
) -> Result<(), StorageError> {
    let sql = "UPDATE alerting_delivery SET state = $4, next_at = $5, claimed_until = 0, last_status = $6, \
               last_answer = $7, settled_at = $8 WHERE endpoint_id = $1 AND id = $2 AND attempts = $3 AND state = $9";
    let is_settled = outcome.state != DeliveryState::Pending;
    let values = [
        endpoint.into(),
        outcome.id.into(),
        i64::from(outcome.attempt).into(),
        outcome.state.as_str().into(),
        outcome.next_at.into(),
        outcome.status.map(i64::from).into(),
        outcome.answer.as_str().into(),
        is_settled.then(|| now.as_micros()).into(),
        DeliveryState::Pending.as_str().into(),
    ];
    execute_sql(tx, sql, values).await.map(drop)
}

/// When something is to be done for an endpoint next.
pub(crate) async fn find_next_due(
    tx: &Tx,
    endpoint: EndpointId,
    now: Timestamp,
) -> Result<Option<Timestamp>, StorageError> {
    let sql = "SELECT MIN(CASE WHEN claimed_until > $3 THEN claimed_until ELSE next_at END) AS due \
               FROM alerting_delivery WHERE endpoint_id = $1 AND state = $2";
    let values = [endpoint.into(), DeliveryState::Pending.as_str().into(), now.into()];
    let rows = query_sql(tx, sql, values).await?;
    Ok(match rows.first() {
        Some(row) => row.try_get("", "due")?,
        None => None,
    })
}

/// Makes a delivery due again with all its attempts, unless it is being sent at this moment; whether the endpoint has it.
pub(crate) async fn restart(
    tx: &Tx,
    project: ProjectId,
    endpoint: EndpointId,
    delivery: DeliveryId,
    now: Timestamp,
) -> Result<bool, StorageError> {
    let sql = "UPDATE alerting_delivery SET attempts = CASE WHEN claimed_until > $5 THEN attempts ELSE 0 END, \
               next_at = $5, state = $4, settled_at = NULL WHERE project_id = $1 AND endpoint_id = $2 AND id = $3";
    let values = [
        project.0.into(),
        endpoint.into(),
        delivery.into(),
        DeliveryState::Pending.as_str().into(),
        now.into(),
    ];
    Ok(execute_sql(tx, sql, values).await? == 1)
}

fn delivery_of(row: &QueryResult) -> Result<Delivery, DbErr> {
    let word: String = row.try_get("", "state")?;
    let state = DeliveryState::ALL.into_iter().find(|state| state.as_str() == word);
    let state = state.ok_or_else(|| DbErr::Type(format!("a delivery is {word:?}")))?;
    let next_at: Timestamp = row.try_get("", "next_at")?;
    let status: Option<i64> = row.try_get("", "last_status")?;
    Ok(Delivery {
        id: row.try_get("", "id")?,
        kind: row.try_get("", "kind")?,
        state,
        attempts: u32::try_from(row.try_get::<i64>("", "attempts")?).unwrap_or(u32::MAX),
        last_status: status.and_then(|status| u16::try_from(status).ok()),
        last_answer: row.try_get("", "last_answer")?,
        created_at: row.try_get("", "created_at")?,
        next_at: Some(next_at).filter(|_| state == DeliveryState::Pending),
        settled_at: row.try_get("", "settled_at")?,
    })
}

/// The deliveries of an endpoint, the latest first; `None` for a cursor that no page gave.
pub(crate) async fn list_deliveries(
    db: &impl ConnectionTrait,
    project: ProjectId,
    endpoint: EndpointId,
    page: &PageRequest,
) -> Result<Option<Page<Delivery>>, StorageError> {
    let before = match &page.after {
        None => DeliveryId::from_bytes([0xff; 16]),
        Some(cursor) => match cursor.parts().and_then(|[id]: [&str; 1]| id.parse().ok()) {
            Some(id) => id,
            None => return Ok(None),
        },
    };
    let sql = "SELECT id, kind, state, attempts, next_at, last_status, last_answer, created_at, settled_at \
               FROM alerting_delivery WHERE project_id = $1 AND endpoint_id = $2 AND id < $3 ORDER BY id DESC LIMIT $4";
    let values = [project.0.into(), endpoint.into(), before.into(), whole(page.limit() as u64 + 1)];
    let rows = query_sql(db, sql, values).await?;
    let deliveries = rows.iter().map(delivery_of).collect::<Result<Vec<_>, _>>()?;
    Ok(Some(Page::from_rows(deliveries, page.limit(), |delivery| Cursor::of(&[&delivery.id]))))
}

/// The bodies of deliveries about a subject behind `after`, in order; at most `limit`.
pub(crate) async fn list_of_subject(
    db: &impl ConnectionTrait,
    project: ProjectId,
    subject: SubjectId,
    after: DeliveryId,
    limit: usize,
) -> Result<Vec<(DeliveryId, String)>, StorageError> {
    let sql = "SELECT id, body FROM alerting_delivery WHERE project_id = $1 AND subject_id = $2 AND id > $3 \
               ORDER BY id LIMIT $4";
    let values = [project.0.into(), subject.0.into(), after.into(), whole(limit as u64)];
    let rows = query_sql(db, sql, values).await?;
    let pair = |row: &QueryResult| Ok((row.try_get("", "id")?, row.try_get("", "body")?));
    Ok(rows.iter().map(pair).collect::<Result<_, DbErr>>()?)
}

pub(crate) async fn erase_subject(
    tx: &Tx,
    project: ProjectId,
    subject: SubjectId,
) -> Result<u64, StorageError> {
    let sql = "DELETE FROM alerting_delivery WHERE project_id = $1 AND subject_id = $2";
    execute_sql(tx, sql, [project.0.into(), subject.0.into()]).await
}

pub(crate) async fn count_subject(
    db: &impl ConnectionTrait,
    project: ProjectId,
    subject: SubjectId,
) -> Result<u64, StorageError> {
    let sql =
        "SELECT COUNT(*) AS deliveries FROM alerting_delivery WHERE project_id = $1 AND subject_id = $2";
    let rows = query_sql(db, sql, [project.0.into(), subject.0.into()]).await?;
    Ok(rows.first().map(|row| count(row, "deliveries")).transpose()?.unwrap_or(0))
}

/// Removes some of the deliveries that were written before an instant; how many.
pub(crate) async fn sweep_before(tx: &Tx, oldest: Timestamp) -> Result<u64, StorageError> {
    let mut first = [0; 16];
    let millis = u64::try_from(oldest.as_millis()).unwrap_or(0).to_be_bytes();
    first[..6].copy_from_slice(&millis[2..]);
    let sql = "DELETE FROM alerting_delivery WHERE id IN (SELECT id FROM alerting_delivery WHERE id < $1 ORDER BY id LIMIT $2)";
    execute_sql(tx, sql, [Id::<Delivery>::from_bytes(first).into(), whole(SWEPT_ROWS)]).await
}

/// Endpoints with more than `keep` settled deliveries; at most 1,000.
pub(crate) async fn list_overfull(
    db: &impl ConnectionTrait,
    keep: u64,
) -> Result<Vec<EndpointId>, StorageError> {
    let sql = "SELECT endpoint_id FROM alerting_delivery WHERE state <> $1 GROUP BY endpoint_id HAVING COUNT(*) > $2 LIMIT 1000";
    let rows = query_sql(db, sql, [DeliveryState::Pending.as_str().into(), whole(keep)]).await?;
    Ok(rows.iter().map(|row| row.try_get("", "endpoint_id")).collect::<Result<_, DbErr>>()?)
}

/// Removes some of an endpoint's settled deliveries beyond the newest `keep`; how many.
pub(crate) async fn trim_settled(tx: &Tx, endpoint: EndpointId, keep: u64) -> Result<u64, StorageError> {
    let sql = "DELETE FROM alerting_delivery WHERE id IN (SELECT id FROM alerting_delivery WHERE endpoint_id = $1 \
               AND state <> $2 ORDER BY id DESC LIMIT $3 OFFSET $4)";
    let values = [endpoint.into(), DeliveryState::Pending.as_str().into(), whole(SWEPT_ROWS), whole(keep)];
    execute_sql(tx, sql, values).await
}

/// Enabled endpoints whose deliveries have been due for longer than a job needs to begin; at most 1,000.
pub(crate) async fn list_stalled(
    db: &impl ConnectionTrait,
    now: Timestamp,
) -> Result<Vec<EndpointId>, StorageError> {
    let sql = "SELECT id FROM alerting_endpoint WHERE is_enabled = $1 AND EXISTS (SELECT 1 FROM alerting_delivery \
               WHERE endpoint_id = alerting_endpoint.id AND state = $2 AND next_at <= $3) ORDER BY id LIMIT 1000";
    let due = now.minus(Duration::from_secs(300));
    let rows = query_sql(db, sql, [true.into(), DeliveryState::Pending.as_str().into(), due.into()]).await?;
    Ok(rows.iter().map(|row| row.try_get("", "id")).collect::<Result<_, DbErr>>()?)
}

/// Disables an endpoint; whether it was enabled.
pub(crate) async fn disable(tx: &Tx, endpoint: EndpointId) -> Result<bool, StorageError> {
    let sql = "UPDATE alerting_endpoint SET is_enabled = $2 WHERE id = $1 AND is_enabled = $3";
    Ok(execute_sql(tx, sql, [endpoint.into(), false.into(), true.into()]).await? == 1)
}
