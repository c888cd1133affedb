//! Sums of movements and charges by period, for all periods at once.

use std::collections::BTreeMap;

use belvedere_kernel::ProjectId;
use belvedere_storage::{StorageError, Timestamp, bulk, query_sql};
use sea_orm::{ConnectionTrait, Value};

use super::{currency, get};
use crate::revenue::currency::Currency;
use crate::revenue::ledger::MovementKind;
use crate::revenue::metrics::{ChargeKind, ChargeSum, Levels, MovementSum, Standing};

/// What is paid for a plan each month.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PlanLevel {
    pub(crate) plan: String,
    pub(crate) currency: Currency,
    pub(crate) mrr_minor: i64,
    pub(crate) subscribers: i64,
}

/// By how much what a cohort pays each month changed in a period.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct CohortSum {
    pub(crate) cohort: usize,
    pub(crate) period: usize,
    pub(crate) currency: Currency,
    pub(crate) delta_minor: i64,
    pub(crate) customers: i64,
}

/// A row for each period between the cuts: the project, the number of the period, its ends, and the currency of which days
/// do not matter.
fn periods(project: ProjectId, cuts: &[Timestamp], to: Currency) -> Vec<[Value; 5]> {
    let numbered = (0_i64..).zip(cuts.windows(2));
    let rows = numbered.map(|(number, cut)| {
        let (from, until) = (cut.first().copied(), cut.last().copied());
        [project.0.into(), number.into(), from.into(), until.into(), to.as_str().into()]
    });
    rows.collect()
}

fn number(row: &sea_orm::QueryResult, index: usize) -> Result<usize, StorageError> {
    let number: i64 = get(row, index)?;
    usize::try_from(number).map_err(|_| StorageError::corrupt("a period has no number"))
}

/// The movements of each period between the cuts, added up by kind and currency; in currencies other than `to` also by day.
pub(crate) async fn sum_movements(
    connection: &impl ConnectionTrait,
    project: ProjectId,
    cuts: &[Timestamp],
    to: Currency,
) -> Result<Vec<MovementSum>, StorageError> {
    let head = "SELECT b.column2, m.kind, m.currency, \
                CASE WHEN m.currency = b.column5 THEN 0 ELSE m.at / 86400000000 END, \
                CAST(SUM(m.delta_minor) AS BIGINT), CAST(SUM(m.customers) AS BIGINT), \
                CAST(SUM(m.movements) AS BIGINT) FROM (VALUES ";
    let tail = ") AS b JOIN bi_movement m ON m.project_id = b.column1 AND m.at >= b.column3 AND m.at < b.column4 \
                GROUP BY 1, 2, 3, 4";
    let rows = bulk(connection, head, periods(project, cuts, to), tail).await?;
    let sums = rows.iter().map(|row| {
        let kind = MovementKind::of_code(get(row, 1)?);
        Ok(MovementSum {
            period: number(row, 0)?,
            kind: kind.ok_or_else(|| StorageError::corrupt("a movement is of no kind"))?,
            currency: currency(row, 2)?,
            day: get(row, 3)?,
            delta_minor: get(row, 4)?,
            customers: get(row, 5)?,
            movements: get(row, 6)?,
        })
    });
    sums.collect()
}

/// The charges of each period between the cuts, likewise.
pub(crate) async fn sum_charges(
    connection: &impl ConnectionTrait,
    project: ProjectId,
    cuts: &[Timestamp],
    to: Currency,
) -> Result<Vec<ChargeSum>, StorageError> {
    let head = "SELECT b.column2, c.kind, c.currency, \
                CASE WHEN c.currency = b.column5 THEN 0 ELSE c.at / 86400000000 END, \
                CAST(SUM(c.amount_minor) AS BIGINT), CAST(SUM(c.charges) AS BIGINT) FROM (VALUES ";
    let tail = ") AS b JOIN bi_charge c ON c.project_id = b.column1 AND c.at >= b.column3 AND c.at < b.column4 \
                GROUP BY 1, 2, 3, 4";
    let rows = bulk(connection, head, periods(project, cuts, to), tail).await?;
    let sums = rows.iter().map(|row| {
        let kind = ChargeKind::of_code(get(row, 1)?);
        Ok(ChargeSum {
            period: number(row, 0)?,
            kind: kind.ok_or_else(|| StorageError::corrupt("a charge is of no kind"))?,
            currency: currency(row, 2)?,
            day: get(row, 3)?,
            amount_minor: get(row, 4)?,
            charges: get(row, 5)?,
        })
    });
    sums.collect()
}

/// What is paid each month before an instant, by currency.
pub(crate) async fn read_levels(
    connection: &impl ConnectionTrait,
    project: ProjectId,
    before: Timestamp,
) -> Result<Levels, StorageError> {
    let sql = "SELECT currency, CAST(SUM(delta_minor) AS BIGINT), CAST(SUM(customers) AS BIGINT) FROM bi_movement \
               WHERE project_id = $1 AND at < $2 GROUP BY 1";
    let rows = query_sql(connection, sql, [project.0.into(), before.into()]).await?;
    let levels = rows.iter().map(|row| {
        let standing = Standing { mrr_minor: get(row, 1)?, customers: get(row, 2)? };
        Ok((currency(row, 0)?, standing))
    });
    levels.collect::<Result<BTreeMap<_, _>, StorageError>>()
}

/// The same by plan; plans that nobody pays for any more are left out.
pub(crate) async fn read_plans(
    connection: &impl ConnectionTrait,
    project: ProjectId,
    before: Timestamp,
) -> Result<Vec<PlanLevel>, StorageError> {
    // The greatest first; more than a thousand are no plans.
    let sql = "SELECT plan, currency, CAST(SUM(delta_minor) AS BIGINT), CAST(SUM(subscribers) AS BIGINT) \
               FROM bi_movement WHERE project_id = $1 AND at < $2 GROUP BY 1, 2 HAVING SUM(delta_minor) <> 0 \
               ORDER BY 3 DESC, 1, 2 LIMIT 1000";
    let rows = query_sql(connection, sql, [project.0.into(), before.into()]).await?;
    let plans = rows.iter().map(|row| {
        Ok(PlanLevel {
            plan: get(row, 0)?,
            currency: currency(row, 1)?,
            mrr_minor: get(row, 2)?,
            subscribers: get(row, 3)?,
        })
    });
    plans.collect()
}

/// By how much what each cohort pays changed in its own period and each after it. Cohorts and periods are cut alike.
pub(crate) async fn read_cohorts(
    connection: &impl ConnectionTrait,
    project: ProjectId,
    cuts: &[Timestamp],
) -> Result<Vec<CohortSum>, StorageError> {
    let cut: Vec<(i64, Value, Value)> = (0_i64..)
        .zip(cuts.windows(2))
        .map(|(number, cut)| (number, cut.first().copied().into(), cut.last().copied().into()))
        .collect();
    let mut pairs: Vec<[Value; 7]> = Vec::new();
    for (cohort, begins, ends) in &cut {
        for (period, from, until) in cut.iter().filter(|(period, ..)| period >= cohort) {
            let [begins, ends, from, until] = [begins, ends, from, until].map(Clone::clone);
            pairs.push([project.0.into(), (*cohort).into(), (*period).into(), begins, ends, from, until]);
        }
    }
    let head = "SELECT b.column2, b.column3, m.currency, CAST(SUM(m.delta_minor) AS BIGINT), \
                CAST(SUM(m.customers) AS BIGINT) FROM (VALUES ";
    let tail = ") AS b JOIN bi_movement m ON m.project_id = b.column1 AND m.cohort_at >= b.column4 \
                AND m.cohort_at < b.column5 AND m.at >= b.column6 AND m.at < b.column7 GROUP BY 1, 2, 3";
    let rows = bulk(connection, head, pairs, tail).await?;
    let sums = rows.iter().map(|row| {
        Ok(CohortSum {
            cohort: number(row, 0)?,
            period: number(row, 1)?,
            currency: currency(row, 2)?,
            delta_minor: get(row, 3)?,
            customers: get(row, 4)?,
        })
    });
    sums.collect()
}
