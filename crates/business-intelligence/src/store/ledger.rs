//! Events of subscriptions as they are kept, and the ledgers that follow from them.

use std::collections::{BTreeMap, HashMap, HashSet};

use belvedere_kernel::{ProjectId, SubjectId};
use belvedere_storage::{Sql, StorageError, Timestamp, Tx, bulk, query_sql};
use sea_orm::{ConnectionTrait, QueryResult, Value};
use serde::{Deserialize, Serialize};

use super::{get, key};
use crate::revenue::OneOff;
use crate::revenue::ledger::Ledger;
use crate::revenue::metrics::ChargeKind;
use crate::revenue::subscription::{Key, SubscriptionEvent, SubscriptionKind, Terms};

/// The most events of subscriptions of one customer: all of them are folded for each new one.
pub(crate) const EVENTS_OF_CUSTOMER_MAX: u64 = 2_000;

/// What an event says, as it is stored.
#[derive(Serialize, Deserialize)]
struct State {
    kind: SubscriptionKind,
    terms: Terms,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    is_trial: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ends_at: Option<Timestamp>,
}

fn bytes(key: [u8; 16]) -> Value {
    key.to_vec().into()
}

/// Whose subscriptions are known.
pub(crate) async fn find_customers(
    tx: &Tx,
    project: ProjectId,
    subscriptions: &[Key],
) -> Result<HashMap<Key, SubjectId>, StorageError> {
    let mut sql = Sql::new(
        tx,
        "SELECT DISTINCT subscription, subject_id FROM bi_subscription_event WHERE project_id = ",
    );
    sql.bind(project.0).push(" AND subscription");
    let keys: Vec<Value> = subscriptions.iter().map(|key| bytes(key.0)).collect();
    let rows = sql.fetch_in(tx, &keys).await?;
    rows.iter().map(|row| Ok((Key(key(row, 0)?), SubjectId(get(row, 1)?)))).collect()
}

/// How many events there are of some customers; those without any are left out.
pub(crate) async fn count_events(
    tx: &Tx,
    project: ProjectId,
    customers: &[SubjectId],
) -> Result<HashMap<SubjectId, u64>, StorageError> {
    let mut counts = HashMap::new();
    for some in customers.chunks(256) {
        let mut sql =
            Sql::new(tx, "SELECT subject_id, COUNT(*) FROM bi_subscription_event WHERE project_id = ");
        sql.bind(project.0).push(" AND subject_id IN ");
        sql.bind_set(&some.iter().map(|customer| customer.0).collect::<Vec<_>>())
            .push(" GROUP BY subject_id");
        for row in sql.fetch(tx).await? {
            counts.insert(SubjectId(get(&row, 0)?), u64::try_from(get::<i64>(&row, 1)?).unwrap_or(0));
        }
    }
    Ok(counts)
}

/// Keeps events; the ids of those that are new.
pub(crate) async fn insert_events(
    tx: &Tx,
    project: ProjectId,
    events: &[SubscriptionEvent],
) -> Result<HashSet<[u8; 16]>, StorageError> {
    let mut rows = Vec::with_capacity(events.len());
    let mut seen = HashSet::new();
    for event in events.iter().filter(|event| seen.insert(event.id)) {
        let state = State {
            kind: event.kind,
            terms: event.terms.clone(),
            is_trial: event.is_trial,
            ends_at: event.ends_at,
        };
        let state =
            serde_json::to_string(&state).map_err(|error| StorageError::corrupt(error.to_string()))?;
        rows.push([
            project.0.into(),
            bytes(event.id),
            event.customer.0.into(),
            bytes(event.subscription.0),
            event.at.into(),
            state.into(),
        ]);
    }
    let head =
        "INSERT INTO bi_subscription_event (project_id, id, subject_id, subscription, at, state) VALUES ";
    let tail = " ON CONFLICT (project_id, id) DO NOTHING RETURNING id";
    bulk(tx, head, rows, tail).await?.iter().map(|row| key(row, 0)).collect()
}

/// All events of some customers.
pub(crate) async fn load_events(
    connection: &impl ConnectionTrait,
    project: ProjectId,
    customers: &[SubjectId],
) -> Result<BTreeMap<SubjectId, Vec<SubscriptionEvent>>, StorageError> {
    let mut sql = Sql::new(
        connection,
        "SELECT subject_id, id, subscription, at, state FROM bi_subscription_event WHERE project_id = ",
    );
    sql.bind(project.0).push(" AND subject_id");
    let numbers: Vec<i64> = customers.iter().map(|customer| customer.0).collect();
    let mut loaded: BTreeMap<SubjectId, Vec<SubscriptionEvent>> = BTreeMap::new();
    for row in sql.fetch_in(connection, &numbers).await? {
        let event = event(&row)?;
        loaded.entry(event.customer).or_default().push(event);
    }
    Ok(loaded)
}

fn event(row: &QueryResult) -> Result<SubscriptionEvent, StorageError> {
    let state: String = get(row, 4)?;
    let state: State = serde_json::from_str(&state)
        .map_err(|error| StorageError::corrupt(format!("an event of a subscription: {error}")))?;
    Ok(SubscriptionEvent {
        id: key(row, 1)?,
        customer: SubjectId(get(row, 0)?),
        subscription: Key(key(row, 2)?),
        at: get(row, 3)?,
        kind: state.kind,
        terms: state.terms,
        is_trial: state.is_trial,
        ends_at: state.ends_at,
    })
}

/// Some customers with events of subscriptions, in their order behind one of them.
pub(crate) async fn list_customers(
    tx: &Tx,
    project: ProjectId,
    after: SubjectId,
    limit: u64,
) -> Result<Vec<SubjectId>, StorageError> {
    let sql = "SELECT DISTINCT subject_id FROM bi_subscription_event WHERE project_id = $1 AND subject_id > $2 \
               ORDER BY subject_id LIMIT $3";
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let rows = query_sql(tx, sql, [project.0.into(), after.0.into(), limit.into()]).await?;
    rows.iter().map(|row| get(row, 0).map(SubjectId)).collect()
}

/// Writes the ledgers of customers in place of those that are there.
pub(crate) async fn replace_ledgers(
    tx: &Tx,
    project: ProjectId,
    ledgers: &[(SubjectId, Ledger)],
) -> Result<(), StorageError> {
    let customers: Vec<i64> = ledgers.iter().map(|(customer, _)| customer.0).collect();
    let mut sql = Sql::new(tx, "DELETE FROM bi_movement WHERE project_id = ");
    sql.bind(project.0).push(" AND subject_id");
    sql.execute_in(tx, &customers).await?;
    let mut sql = Sql::new(tx, "DELETE FROM bi_charge WHERE project_id = ");
    sql.bind(project.0).push(" AND kind = ").bind(ChargeKind::Subscription.code()).push(" AND subject_id");
    sql.execute_in(tx, &customers).await?;

    let (mut rows, mut charges) = (Vec::new(), Vec::new());
    for (customer, ledger) in ledgers {
        for movement in &ledger.movements {
            for (number, part) in movement.parts.iter().enumerate() {
                let of_first = |count: i64| if number == 0 { count } else { 0 };
                rows.push([
                    project.0.into(),
                    customer.0.into(),
                    movement.at.into(),
                    movement.currency.as_str().into(),
                    part.plan.as_str().into(),
                    movement.kind.code().into(),
                    movement.first_at.into(),
                    part.delta_minor.into(),
                    of_first(movement.customers).into(),
                    part.subscribers.into(),
                    of_first(1).into(),
                    bytes(movement.cause),
                ]);
            }
        }
        for charge in &ledger.charges {
            charges.push([
                project.0.into(),
                bytes(charge.event),
                customer.0.into(),
                charge.at.into(),
                ChargeKind::Subscription.code().into(),
                charge.currency.as_str().into(),
                charge.amount_minor.into(),
                1_i64.into(),
            ]);
        }
    }
    let head = "INSERT INTO bi_movement (project_id, subject_id, at, currency, plan, kind, cohort_at, delta_minor, \
                customers, subscribers, movements, cause) VALUES ";
    bulk(tx, head, rows, "").await?;
    bulk(tx, CHARGE_HEAD, charges, "").await.map(drop)
}

pub(super) const CHARGE_HEAD: &str =
    "INSERT INTO bi_charge (project_id, id, subject_id, at, kind, currency, amount_minor, charges) VALUES ";

/// Keeps orders and refunds; how many of them are new.
pub(crate) async fn insert_charges(
    tx: &Tx,
    project: ProjectId,
    charges: &[OneOff],
) -> Result<u64, StorageError> {
    let mut seen = HashSet::new();
    let rows = charges.iter().filter(|charge| seen.insert((charge.id, charge.kind))).map(|charge| {
        [
            project.0.into(),
            bytes(charge.id),
            charge.customer.0.into(),
            charge.at.into(),
            charge.kind.code().into(),
            charge.currency.as_str().into(),
            charge.amount_minor.into(),
            1_i64.into(),
        ]
    });
    let tail = " ON CONFLICT (project_id, id, kind) DO NOTHING RETURNING kind";
    Ok(bulk(tx, CHARGE_HEAD, rows.collect(), tail).await?.len() as u64)
}
