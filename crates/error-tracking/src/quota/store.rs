use std::collections::{BTreeMap, HashMap};

use belvedere_kernel::ProjectId;
use belvedere_storage::{Sql, StorageError, Tx, bulk};
use sea_orm::ConnectionTrait;

use super::spike::HOURS;
use crate::limits::Category;

/// Counts by project, category and hour.
pub(super) type Usage = BTreeMap<(ProjectId, Category, i64), u64>;

/// How many projects one statement asks for.
const PROJECTS_PER_LOOKUP: usize = 64;

pub(super) async fn add_usage_in(tx: &Tx, usage: &Usage) -> Result<(), StorageError> {
    let rows = usage
        .iter()
        .map(|((project, category, hour), quantity)| {
            let quantity = i64::try_from(*quantity).unwrap_or(i64::MAX);
            [project.0.into(), category.to_number().into(), (*hour).into(), quantity.into()]
        })
        .collect();
    let head = "INSERT INTO error_usage_hour (project_id, category, hour, quantity) VALUES ";
    let tail = " ON CONFLICT (project_id, category, hour) DO UPDATE SET \
                quantity = error_usage_hour.quantity + excluded.quantity";
    bulk(tx, head, rows, tail).await.map(drop)
}

/// What was let in from `first_hour` on.
pub(super) async fn sum_usage(
    connection: &impl ConnectionTrait,
    projects: &[ProjectId],
    first_hour: i64,
) -> Result<HashMap<(ProjectId, Category), u64>, StorageError> {
    let mut sums = HashMap::new();
    for chunk in projects.chunks(PROJECTS_PER_LOOKUP) {
        let numbers: Vec<i64> = chunk.iter().map(|project| project.0).collect();
        let mut sql = Sql::new(
            connection,
            "SELECT project_id, category, CAST(SUM(quantity) AS BIGINT) FROM error_usage_hour WHERE project_id IN ",
        );
        sql.bind_set(&numbers).push(" AND hour >= ").bind(first_hour).push(" GROUP BY project_id, category");
        for row in sql.fetch(connection).await? {
            let (number, sum): (i64, i64) = (row.try_get_by_index(1)?, row.try_get_by_index(2)?);
            if let Some(category) = Category::from_number(number) {
                sums.insert((ProjectId(row.try_get_by_index(0)?), category), u64::try_from(sum).unwrap_or(0));
            }
        }
    }
    Ok(sums)
}

/// The errors that a project let in, hour by hour, in the week before `hour`, oldest first.
pub(super) async fn list_hourly_errors(
    connection: &impl ConnectionTrait,
    project: ProjectId,
    hour: i64,
) -> Result<Vec<u64>, StorageError> {
    let first = hour - i64::try_from(HOURS).unwrap_or(0);
    let mut sql = Sql::new(connection, "SELECT hour, quantity FROM error_usage_hour WHERE project_id = ");
    sql.bind(project.0).push(" AND category = ").bind(Category::Error.to_number());
    sql.push(" AND hour >= ").bind(first).push(" AND hour < ").bind(hour);
    let mut hourly = vec![0; HOURS];
    for row in sql.fetch(connection).await? {
        let (of_row, quantity): (i64, i64) = (row.try_get_by_index(0)?, row.try_get_by_index(1)?);
        if let Some(errors) = usize::try_from(of_row - first).ok().and_then(|index| hourly.get_mut(index)) {
            *errors = u64::try_from(quantity).unwrap_or(0);
        }
    }
    Ok(hourly)
}

/// Forgets what was let in before `hour`.
pub(crate) async fn sweep_usage_in(tx: &Tx, project: ProjectId, hour: i64) -> Result<(), StorageError> {
    let mut sql = Sql::new(tx, "DELETE FROM error_usage_hour WHERE project_id = ");
    sql.bind(project.0).push(" AND hour < ").bind(hour);
    sql.run(tx).await
}
