use std::collections::HashMap;

use belvedere_kernel::ProjectId;
use belvedere_storage::{Sql, StorageError, Timestamp, Tx};
use sea_orm::{ConnectionTrait, QueryResult};

use super::storage::DAY_SECONDS;
use super::{Category, ProjectLimits, StorageDay, StorageSum, StoredKind};

/// How many rows metrics show.
const SUMS_MAX: i64 = 1_000;

pub(super) async fn find_limits(
    connection: &impl ConnectionTrait,
    projects: &[ProjectId],
) -> Result<HashMap<ProjectId, ProjectLimits>, StorageError> {
    let mut found = HashMap::new();
    let numbers: Vec<i64> = projects.iter().map(|project| project.0).collect();
    let sql = Sql::new(connection, "SELECT project_id, settings FROM error_limits WHERE project_id");
    for row in sql.fetch_in(connection, &numbers).await? {
        let settings: String = row.try_get_by_index(1)?;
        let limits = serde_json::from_str(&settings)
            .map_err(|error| StorageError::corrupt(format!("limits of a project: {error}")))?;
        found.insert(ProjectId(row.try_get_by_index(0)?), limits);
    }
    Ok(found)
}

pub(super) async fn set_limits_in(
    tx: &Tx,
    project: ProjectId,
    settings: String,
    now: Timestamp,
) -> Result<(), StorageError> {
    let mut sql = Sql::new(tx, "INSERT INTO error_limits (project_id, settings, changed_at) VALUES (");
    sql.bind(project.0).push(", ").bind(settings).push(", ").bind(now).push(
        ") ON CONFLICT (project_id) DO UPDATE SET settings = excluded.settings, changed_at = excluded.changed_at",
    );
    sql.run(tx).await
}

fn unsigned(row: &QueryResult, index: usize) -> Result<u64, StorageError> {
    let number: i64 = row.try_get_by_index(index)?;
    Ok(u64::try_from(number).unwrap_or(0))
}

fn kind_of(number: i64) -> Result<StoredKind, StorageError> {
    StoredKind::from_number(number).ok_or_else(|| StorageError::corrupt(format!("kind {number} of storage")))
}

/// The sums of one project or of all.
pub(super) async fn sum_storage(
    connection: &impl ConnectionTrait,
    project: Option<ProjectId>,
) -> Result<Vec<StorageSum>, StorageError> {
    let mut sql = Sql::new(
        connection,
        "SELECT project_id, kind, CAST(SUM(items) AS BIGINT), CAST(SUM(bytes) AS BIGINT) FROM (",
    );
    push_stored(&mut sql, project);
    sql.push(") AS stored GROUP BY project_id, kind ORDER BY project_id, kind LIMIT ").bind(SUMS_MAX);
    let sum = |row: &QueryResult| {
        Ok(StorageSum {
            project: ProjectId(row.try_get_by_index(0)?),
            kind: kind_of(row.try_get_by_index(1)?)?,
            items: unsigned(row, 2)?,
            bytes: unsigned(row, 3)?,
        })
    };
    sql.fetch(connection).await?.iter().map(sum).collect()
}

/// What is stored, by project, day and kind: what is counted as it comes and goes, and logs, whose blocks say it.
fn push_stored(sql: &mut Sql, project: Option<ProjectId>) {
    let blocks = format!(
        "SELECT project_id, hour / 24 AS day, {} AS kind, record_count AS items, byte_count AS bytes FROM error_log_block",
        StoredKind::Log.to_number()
    );
    sql.push("SELECT project_id, day, kind, items, bytes FROM error_storage_day");
    push_project(sql, project);
    sql.push(" UNION ALL ").push(&blocks);
    push_project(sql, project);
}

fn push_project(sql: &mut Sql, project: Option<ProjectId>) {
    if let Some(project) = project {
        sql.push(" WHERE project_id = ").bind(project.0);
    }
}

pub(super) async fn list_storage_days(
    connection: &impl ConnectionTrait,
    project: ProjectId,
    first_day: i64,
) -> Result<Vec<StorageDay>, StorageError> {
    let mut sql = Sql::new(
        connection,
        "SELECT day, kind, CAST(SUM(items) AS BIGINT), CAST(SUM(bytes) AS BIGINT) FROM (",
    );
    push_stored(&mut sql, Some(project));
    sql.push(") AS stored WHERE items > 0 AND day >= ").bind(first_day);
    sql.push(" GROUP BY day, kind ORDER BY day, kind LIMIT 300");
    let day = |row: &QueryResult| {
        let day: i64 = row.try_get_by_index(0)?;
        Ok(StorageDay {
            day: Timestamp::from_micros(day * DAY_SECONDS * 1_000_000),
            kind: kind_of(row.try_get_by_index(1)?)?,
            items: unsigned(row, 2)?,
            bytes: unsigned(row, 3)?,
        })
    };
    sql.fetch(connection).await?.iter().map(day).collect()
}

/// What was let in since `first_hour`, by category.
pub(super) async fn list_usage(
    connection: &impl ConnectionTrait,
    project: ProjectId,
    first_hour: i64,
) -> Result<Vec<(Category, u64)>, StorageError> {
    let mut sql = Sql::new(
        connection,
        "SELECT category, CAST(SUM(quantity) AS BIGINT) FROM error_usage_hour WHERE project_id = ",
    );
    sql.bind(project.0).push(" AND hour >= ").bind(first_hour).push(" GROUP BY category ORDER BY category");
    let usage = |row: &QueryResult| {
        let number: i64 = row.try_get_by_index(0)?;
        let category = Category::from_number(number)
            .ok_or_else(|| StorageError::corrupt(format!("category {number} of usage")))?;
        Ok((category, unsigned(row, 1)?))
    };
    sql.fetch(connection).await?.iter().map(usage).collect()
}
