//! What is kept of a customer: to be exported, and erased so that sums stay and name nobody.

use std::collections::BTreeMap;

use belvedere_kernel::{ProjectId, SubjectId};
use belvedere_storage::{StorageError, Timestamp, Tx, bulk, execute_sql, query_sql};
use sea_orm::{ConnectionTrait, Value};
use serde_json::{Value as Json, json};

use super::ledger::CHARGE_HEAD;
use super::{currency, get};
use crate::revenue::ledger::MovementKind;
use crate::revenue::metrics::ChargeKind;
use crate::revenue::subscription::Key;

/// Every table with a row of a customer.
const TABLES: [&str; 3] = ["bi_subscription_event", "bi_movement", "bi_charge"];

const HOUR_MICROS: i64 = 3_600_000_000;
const DAY_MICROS: i64 = 24 * HOUR_MICROS;

/// How many rows there are of a customer.
pub(crate) async fn count_subject(
    connection: &impl ConnectionTrait,
    project: ProjectId,
    subject: SubjectId,
) -> Result<u64, StorageError> {
    let counts = TABLES
        .map(|table| format!("(SELECT COUNT(*) FROM {table} WHERE project_id = $1 AND subject_id = $2)"));
    let sql = format!("SELECT {}", counts.join(" + "));
    let rows = query_sql(connection, &sql, [project.0.into(), subject.0.into()]).await?;
    let count: i64 = rows.first().map_or(Ok(0), |row| get(row, 0))?;
    Ok(u64::try_from(count).unwrap_or(0))
}

/// What is kept of a customer besides their events: movements and charges, as JSON.
pub(crate) async fn export_subject(
    connection: &impl ConnectionTrait,
    project: ProjectId,
    subject: SubjectId,
) -> Result<Vec<Json>, StorageError> {
    let mut records = Vec::new();
    for row in rows_of(connection, project, subject).await? {
        records.push(json!({
            "kind": "movement", "at": Timestamp::from_micros(row.at), "movement": row.kind.as_str(),
            "plan": row.plan, "currency": row.currency, "delta_minor": row.delta_minor,
        }));
    }
    let sql = "SELECT at, kind, currency, amount_minor FROM bi_charge WHERE project_id = $1 AND subject_id = $2 \
               ORDER BY at, id";
    for row in query_sql(connection, sql, [project.0.into(), subject.0.into()]).await? {
        let kind = match ChargeKind::of_code(get(&row, 1)?) {
            Some(ChargeKind::Order) => "order",
            Some(ChargeKind::Refund) => "refund",
            _ => "subscription",
        };
        let (at, amount): (Timestamp, i64) = (get(&row, 0)?, get(&row, 3)?);
        records.push(json!({
            "kind": "charge", "at": at, "charge": kind, "currency": currency(&row, 2)?, "amount_minor": amount,
        }));
    }
    Ok(records)
}

/// A part of a movement.
struct Row {
    at: i64,
    currency: String,
    plan: String,
    kind: MovementKind,
    cohort_at: i64,
    delta_minor: i64,
    customers: i64,
    subscribers: i64,
    movements: i64,
}

async fn rows_of(
    connection: &impl ConnectionTrait,
    project: ProjectId,
    subject: SubjectId,
) -> Result<Vec<Row>, StorageError> {
    let sql = "SELECT at, currency, plan, kind, cohort_at, delta_minor, customers, subscribers, movements \
               FROM bi_movement WHERE project_id = $1 AND subject_id = $2 ORDER BY at, currency, plan";
    let rows = query_sql(connection, sql, [project.0.into(), subject.0.into()]).await?;
    let rows = rows.iter().map(|row| {
        let kind = MovementKind::of_code(get(row, 3)?);
        Ok(Row {
            at: get(row, 0)?,
            currency: get(row, 1)?,
            plan: get(row, 2)?,
            kind: kind.ok_or_else(|| StorageError::corrupt("a movement is of no kind"))?,
            cohort_at: get(row, 4)?,
            delta_minor: get(row, 5)?,
            customers: get(row, 6)?,
            subscribers: get(row, 7)?,
            movements: get(row, 8)?,
        })
    });
    rows.collect()
}

/// What the customer pays from now on is nothing, as far as anybody will know.
fn end(rows: &mut Vec<Row>, now: i64) {
    rows.retain(|row| row.at <= now);
    let mut levels: BTreeMap<(String, String), (i64, i64)> = BTreeMap::new();
    for row in rows.iter() {
        let level = levels.entry((row.currency.clone(), row.plan.clone())).or_default();
        *level = (level.0 + row.delta_minor, level.1 + row.subscribers);
    }
    let mut customers: i64 = rows.iter().map(|row| row.customers).sum();
    let cohort_at = rows.first().map_or(now, |row| row.cohort_at);
    let mut currencies = std::collections::BTreeSet::new();
    for ((currency, plan), (level, subscribers)) in levels.into_iter().filter(|(_, (level, _))| *level != 0) {
        rows.push(Row {
            at: now,
            movements: i64::from(currencies.insert(currency.clone())),
            currency,
            plan,
            kind: MovementKind::Churn,
            cohort_at,
            delta_minor: -level,
            customers: -std::mem::take(&mut customers),
            subscribers: -subscribers,
        });
    }
}

/// Removes the events of a customer, and adds their movements and charges to sums of an hour that name nobody. What they
/// still paid counts as churn of this hour. How many rows there were.
pub(crate) async fn erase_subject(
    tx: &Tx,
    project: ProjectId,
    subject: SubjectId,
    now: Timestamp,
) -> Result<u64, StorageError> {
    let of = [Value::from(project.0), subject.0.into()];
    let mut moved = rows_of(tx, project, subject).await?;
    end(&mut moved, now.as_micros());
    let sql = "SELECT at, kind, currency, amount_minor, charges FROM bi_charge WHERE project_id = $1 AND subject_id = $2";
    let charged = query_sql(tx, sql, of.clone()).await?;
    let mut rows_deleted = 0;
    for table in TABLES {
        let sql = format!("DELETE FROM {table} WHERE project_id = $1 AND subject_id = $2");
        rows_deleted += execute_sql(tx, &sql, of.clone()).await?;
    }
    add_movements(tx, project, moved).await?;
    let mut sums: BTreeMap<(i64, i64, String), (i64, i64)> = BTreeMap::new();
    for row in &charged {
        let at: i64 = get(row, 0)?;
        let sum = sums.entry((at - at.rem_euclid(HOUR_MICROS), get(row, 1)?, get(row, 2)?)).or_default();
        *sum = (sum.0 + get::<i64>(row, 3)?, sum.1 + get::<i64>(row, 4)?);
    }
    let rows = sums.into_iter().map(|((at, kind, currency), (amount, charges))| {
        let id = Key::of(project, "erased", &format!("{at} {kind} {currency}"));
        [
            project.0.into(),
            id.0.to_vec().into(),
            0_i64.into(),
            at.into(),
            kind.into(),
            currency.into(),
            amount.into(),
            charges.into(),
        ]
    });
    let tail = " ON CONFLICT (project_id, id, kind) DO UPDATE SET \
                amount_minor = bi_charge.amount_minor + excluded.amount_minor, \
                charges = bi_charge.charges + excluded.charges";
    bulk(tx, CHARGE_HEAD, rows.collect(), tail).await?;
    Ok(rows_deleted)
}

async fn add_movements(tx: &Tx, project: ProjectId, moved: Vec<Row>) -> Result<(), StorageError> {
    // One row for each key: a statement must not meet the same one twice.
    let mut sums: BTreeMap<(i64, String, String, i64, i64), [i64; 4]> = BTreeMap::new();
    for row in moved {
        let (hour, noon) =
            (row.at - row.at.rem_euclid(HOUR_MICROS), row.cohort_at - row.cohort_at.rem_euclid(DAY_MICROS));
        let key = (hour, row.currency, row.plan, row.kind.code(), noon + DAY_MICROS / 2);
        let sum = sums.entry(key).or_default();
        for (sum, number) in
            sum.iter_mut().zip([row.delta_minor, row.customers, row.subscribers, row.movements])
        {
            *sum += number;
        }
    }
    let rows = sums.into_iter().map(|((at, currency, plan, kind, cohort_at), sum)| {
        let [delta, customers, subscribers, movements] = sum.map(Value::from);
        [
            project.0.into(),
            0_i64.into(),
            at.into(),
            currency.into(),
            plan.into(),
            kind.into(),
            cohort_at.into(),
            delta,
            customers,
            subscribers,
            movements,
            vec![0_u8; 16].into(),
        ]
    });
    let head = "INSERT INTO bi_movement (project_id, subject_id, at, currency, plan, kind, cohort_at, delta_minor, \
                customers, subscribers, movements, cause) VALUES ";
    let tail = " ON CONFLICT (project_id, subject_id, at, currency, plan, kind, cohort_at) DO UPDATE SET \
                delta_minor = bi_movement.delta_minor + excluded.delta_minor, \
                customers = bi_movement.customers + excluded.customers, \
                subscribers = bi_movement.subscribers + excluded.subscribers, \
                movements = bi_movement.movements + excluded.movements";
    bulk(tx, head, rows.collect(), tail).await.map(drop)
}
