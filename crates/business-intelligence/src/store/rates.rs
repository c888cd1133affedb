//! Rates of exchange.

use belvedere_kernel::ProjectId;
use belvedere_storage::{StorageError, Tx, bulk, query_sql};
use sea_orm::ConnectionTrait;

use super::{currency, get};
use crate::revenue::currency::Currency;
use crate::revenue::rates::Rate;

/// The most rates that are read for one answer: forty currencies in two years.
const RATES_MAX: i64 = 30_000;

/// Keeps rates, in place of others of the same days and pairs.
pub(crate) async fn save_rates(tx: &Tx, project: ProjectId, rates: &[Rate]) -> Result<(), StorageError> {
    let rows = rates.iter().map(|rate| {
        [
            project.0.into(),
            rate.to.as_str().into(),
            rate.day.into(),
            rate.from.as_str().into(),
            rate.billionths.into(),
        ]
    });
    let head = "INSERT INTO bi_rate (project_id, to_currency, day, from_currency, billionths) VALUES ";
    let tail = " ON CONFLICT (project_id, to_currency, day, from_currency) DO UPDATE SET billionths = excluded.billionths";
    bulk(tx, head, rows.collect(), tail).await.map(drop)
}

/// The rates to a currency of the days from one to another, both included.
pub(crate) async fn load_rates(
    connection: &impl ConnectionTrait,
    project: ProjectId,
    to: Currency,
    (first, last): (i64, i64),
) -> Result<Vec<Rate>, StorageError> {
    let sql = "SELECT day, from_currency, billionths FROM bi_rate WHERE project_id = $1 AND to_currency = $2 \
               AND day >= $3 AND day <= $4 ORDER BY day DESC LIMIT $5";
    let values = [project.0.into(), to.as_str().into(), first.into(), last.into(), RATES_MAX.into()];
    let rows = query_sql(connection, sql, values).await?;
    let rates = rows
        .iter()
        .map(|row| Ok(Rate { day: get(row, 0)?, from: currency(row, 1)?, to, billionths: get(row, 2)? }));
    rates.collect()
}
