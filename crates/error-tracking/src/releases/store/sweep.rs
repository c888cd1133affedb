//! What is forgotten of releases and sessions, and when.

use belvedere_kernel::ProjectId;
use belvedere_storage::{Sql, StorageError, Timestamp, Tx};
use sea_orm::ConnectionTrait;

use super::record::{DAY_WIDTH, HOUR_WIDTH};
use crate::sessions::REMEMBERED_HOURS;

/// How long counts per hour and users per day are kept, in hours: 90 days.
pub(crate) const KEPT_HOURS: i64 = 90 * 24;

/// How long users per hour are kept, in hours: enough for the last day and the one before.
const USER_HOURS: i64 = 3 * 24;

/// How many rows one statement deletes.
const ROWS_MAX: i64 = 2_000;

/// What one sweep of a table deletes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sweep {
    table: &'static str,
    key: &'static str,
    width: Option<i64>,
    kept_hours: i64,
}

const USER_KEY: &str = "project_id, version, environment, width_hours, hour, subject_id";

/// Everything that is swept.
pub(crate) const SWEEPS: [Sweep; 4] = [
    Sweep {
        table: "error_session",
        key: "project_id, session_id",
        width: None,
        kept_hours: REMEMBERED_HOURS,
    },
    Sweep { table: "error_release_user", key: USER_KEY, width: Some(HOUR_WIDTH), kept_hours: USER_HOURS },
    Sweep { table: "error_release_user", key: USER_KEY, width: Some(DAY_WIDTH), kept_hours: KEPT_HOURS },
    Sweep {
        table: "error_release_hour",
        key: "project_id, version, environment, hour",
        width: None,
        kept_hours: KEPT_HOURS,
    },
];

/// The projects that have a release.
pub(crate) async fn list_projects(connection: &impl ConnectionTrait) -> Result<Vec<ProjectId>, StorageError> {
    let sql = Sql::new(connection, "SELECT DISTINCT project_id FROM error_release ORDER BY project_id");
    let rows = sql.fetch(connection).await?;
    rows.iter().map(|row| Ok(ProjectId(row.try_get_by_index(0)?))).collect()
}

/// Deletes some rows that are too old; whether there may be more.
pub(crate) async fn sweep_in(
    tx: &Tx,
    project: ProjectId,
    sweep: Sweep,
    now: Timestamp,
) -> Result<bool, StorageError> {
    let oldest = now.as_seconds().div_euclid(3_600) - sweep.kept_hours;
    let Sweep { table, key, .. } = sweep;
    let mut sql = Sql::new(
        tx,
        &format!("DELETE FROM {table} WHERE ({key}) IN (SELECT {key} FROM {table} WHERE project_id = "),
    );
    sql.bind(project.0);
    if let Some(width) = sweep.width {
        sql.push(" AND width_hours = ").bind(width);
    }
    sql.push(" AND hour < ").bind(oldest).push(" LIMIT ").bind(ROWS_MAX).push(")");
    let deleted = sql.execute(tx).await?;
    Ok(i64::try_from(deleted).unwrap_or(0) >= ROWS_MAX)
}
