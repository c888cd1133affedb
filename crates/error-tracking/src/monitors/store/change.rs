use belvedere_kernel::ProjectId;
use belvedere_storage::{Dialect, Sql, StorageError, Timestamp, Tx};
use sea_orm::ConnectionTrait;

use super::row::{MONITOR, monitor_of};
use crate::monitors::model::{Monitor, MonitorId};

/// The monitor with this slug, held until the end of the transaction: everything about a monitor is written under
/// this lock, and monitors are locked before anything else.
pub(crate) async fn lock_monitor(
    tx: &Tx,
    project: ProjectId,
    slug: &str,
) -> Result<Option<Monitor>, StorageError> {
    let mut sql = Sql::new(tx, &format!("SELECT {MONITOR} FROM error_monitor WHERE project_id = "));
    sql.bind(project.0).push(" AND slug = ").bind(slug);
    if Dialect::of(tx) == Dialect::Postgres {
        sql.push(" FOR UPDATE");
    }
    sql.fetch(tx).await?.first().map(monitor_of).transpose()
}

pub(crate) async fn find_monitor(
    connection: &impl ConnectionTrait,
    project: ProjectId,
    slug: &str,
) -> Result<Option<Monitor>, StorageError> {
    let mut sql = Sql::new(connection, &format!("SELECT {MONITOR} FROM error_monitor WHERE project_id = "));
    sql.bind(project.0).push(" AND slug = ").bind(slug);
    sql.fetch(connection).await?.first().map(monitor_of).transpose()
}

pub(crate) async fn count_monitors(
    connection: &impl ConnectionTrait,
    project: ProjectId,
) -> Result<u64, StorageError> {
    let mut sql = Sql::new(connection, "SELECT COUNT(*) FROM error_monitor WHERE project_id = ");
    sql.bind(project.0);
    let rows = sql.fetch(connection).await?;
    let count: i64 = rows.first().map_or(Ok(0), |row| row.try_get_by_index(0))?;
    Ok(u64::try_from(count).unwrap_or(0))
}

/// Inserts a monitor; whether its slug was free.
pub(crate) async fn insert_monitor(tx: &Tx, monitor: &Monitor) -> Result<bool, StorageError> {
    let config = &monitor.config;
    let mut sql = Sql::new(tx, &format!("INSERT INTO error_monitor ({MONITOR}) VALUES "));
    let row: [sea_orm::Value; 13] = [
        monitor.id.into(),
        monitor.project.0.into(),
        monitor.slug.as_str().into(),
        monitor.name.as_str().into(),
        config.schedule.to_stored().into(),
        config.time_zone.as_str().into(),
        i64::from(config.margin_minutes).into(),
        i64::from(config.max_runtime_minutes).into(),
        i64::from(config.failure_threshold).into(),
        i64::from(config.recovery_threshold).into(),
        monitor.is_paused.into(),
        monitor.is_muted.into(),
        monitor.created_at.into(),
    ];
    sql.bind_row(row).push(" ON CONFLICT (project_id, slug) DO NOTHING RETURNING id");
    Ok(!sql.fetch(tx).await?.is_empty())
}

pub(crate) async fn update_monitor(tx: &Tx, monitor: &Monitor) -> Result<(), StorageError> {
    let config = &monitor.config;
    let mut sql = Sql::new(tx, "UPDATE error_monitor SET name = ");
    sql.bind(monitor.name.as_str()).push(", schedule = ").bind(config.schedule.to_stored());
    sql.push(", time_zone = ").bind(config.time_zone.as_str());
    sql.push(", margin_minutes = ").bind(i64::from(config.margin_minutes));
    sql.push(", max_runtime_minutes = ").bind(i64::from(config.max_runtime_minutes));
    sql.push(", failure_threshold = ").bind(i64::from(config.failure_threshold));
    sql.push(", recovery_threshold = ").bind(i64::from(config.recovery_threshold));
    sql.push(", is_paused = ").bind(monitor.is_paused).push(", is_muted = ").bind(monitor.is_muted);
    sql.push(" WHERE project_id = ").bind(monitor.project.0).push(" AND id = ").bind(monitor.id);
    sql.run(tx).await
}

/// Deletes a locked monitor with everything that is kept of it.
pub(crate) async fn delete_monitor(
    tx: &Tx,
    project: ProjectId,
    monitor: MonitorId,
) -> Result<(), StorageError> {
    let mut sql = Sql::new(tx, "DELETE FROM error_monitor_hour WHERE project_id = ");
    sql.bind(project.0)
        .push(" AND environment_id IN (SELECT id FROM error_monitor_environment WHERE monitor_id = ")
        .bind(monitor)
        .push(")");
    sql.run(tx).await?;
    for table in ["error_check_in", "error_monitor_environment"] {
        let mut sql = Sql::new(tx, &format!("DELETE FROM {table} WHERE project_id = "));
        sql.bind(project.0).push(" AND monitor_id = ").bind(monitor);
        sql.run(tx).await?;
    }
    let mut sql = Sql::new(tx, "DELETE FROM error_monitor WHERE project_id = ");
    sql.bind(project.0).push(" AND id = ").bind(monitor);
    sql.run(tx).await
}

/// Notes when deadlines were last judged; when they were before that, if ever.
pub(crate) async fn move_clock(tx: &Tx, now: Timestamp) -> Result<Option<Timestamp>, StorageError> {
    let lock = if Dialect::of(tx) == Dialect::Postgres { " FOR UPDATE" } else { "" };
    let sql = Sql::new(tx, &format!("SELECT judged_until FROM error_monitor_clock WHERE id = 1{lock}"));
    let rows = sql.fetch(tx).await?;
    let former = rows.first().map(|row| row.try_get_by_index(0)).transpose()?;
    let mut sql = Sql::new(tx, "INSERT INTO error_monitor_clock (id, judged_until) VALUES (1, ");
    sql.bind(now).push(") ON CONFLICT (id) DO UPDATE SET judged_until = excluded.judged_until");
    sql.run(tx).await?;
    Ok(former)
}

/// Notes that Belvedere was away, and forgets absences before `oldest`.
pub(crate) async fn insert_absence(
    tx: &Tx,
    from: Timestamp,
    until: Timestamp,
    oldest: Timestamp,
) -> Result<(), StorageError> {
    let mut sql = Sql::new(tx, "INSERT INTO error_monitor_absence (from_at, until_at) VALUES (");
    sql.bind(from).push(", ").bind(until).push(") ON CONFLICT (from_at) DO NOTHING");
    sql.run(tx).await?;
    let mut sql = Sql::new(tx, "DELETE FROM error_monitor_absence WHERE until_at < ");
    sql.bind(oldest);
    sql.run(tx).await
}
