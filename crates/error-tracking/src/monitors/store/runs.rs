use std::collections::BTreeMap;

use belvedere_kernel::ProjectId;
use belvedere_storage::{Id, Sql, StorageError, Timestamp, Tx, bulk};
use sea_orm::{ConnectionTrait, Value};

use super::row::{ENVIRONMENT, EnvironmentId, EnvironmentRow, RUN, RunRow, environment_of, run_of};
use crate::IssueId;
use crate::monitors::model::{CheckInStatus, Monitor, MonitorId};

/// The environments of a monitor, by name.
pub(crate) async fn list_environments(
    connection: &impl ConnectionTrait,
    project: ProjectId,
    monitor: MonitorId,
) -> Result<Vec<EnvironmentRow>, StorageError> {
    let mut sql = Sql::new(
        connection,
        &format!("SELECT {ENVIRONMENT} FROM error_monitor_environment WHERE project_id = "),
    );
    sql.bind(project.0).push(" AND monitor_id = ").bind(monitor).push(" ORDER BY environment");
    sql.fetch(connection).await?.iter().map(environment_of).collect()
}

pub(crate) async fn insert_environment(
    tx: &Tx,
    project: ProjectId,
    row: &EnvironmentRow,
) -> Result<(), StorageError> {
    let mut sql = Sql::new(
        tx,
        "INSERT INTO error_monitor_environment (id, project_id, monitor_id, environment, is_failing, failures_in_row, \
         successes_in_row) VALUES ",
    );
    let values: [Value; 7] = [
        row.id.into(),
        project.0.into(),
        row.monitor.into(),
        row.name.as_str().into(),
        false.into(),
        0_i64.into(),
        0_i64.into(),
    ];
    sql.bind_row(values);
    sql.run(tx).await
}

pub(crate) async fn update_environment(
    tx: &Tx,
    project: ProjectId,
    row: &EnvironmentRow,
) -> Result<(), StorageError> {
    let mut sql = Sql::new(tx, "UPDATE error_monitor_environment SET is_failing = ");
    sql.bind(row.standing.is_failing).push(", failures_in_row = ").bind(row.standing.failures_in_row);
    sql.push(", successes_in_row = ").bind(row.standing.successes_in_row);
    sql.push(", last_status = ").bind(row.last_status.map(CheckInStatus::to_number));
    sql.push(", last_run_at = ")
        .bind(row.last_run_at)
        .push(", next_expected_at = ")
        .bind(row.next_expected_at);
    sql.push(", due_until = ").bind(row.due_until).push(" WHERE project_id = ").bind(project.0);
    sql.push(" AND id = ").bind(row.id);
    sql.run(tx).await
}

pub(crate) async fn set_issue(
    tx: &Tx,
    project: ProjectId,
    environment: EnvironmentId,
    issue: IssueId,
) -> Result<(), StorageError> {
    let mut sql = Sql::new(tx, "UPDATE error_monitor_environment SET issue_id = ");
    sql.bind(issue).push(" WHERE project_id = ").bind(project.0).push(" AND id = ").bind(environment);
    sql.run(tx).await
}

/// A run of a monitor by the client's id.
pub(crate) async fn find_run(
    tx: &Tx,
    monitor: &Monitor,
    check_in_id: [u8; 16],
) -> Result<Option<RunRow>, StorageError> {
    let mut sql = Sql::new(tx, &format!("SELECT {RUN} FROM error_check_in c WHERE c.project_id = "));
    sql.bind(monitor.project.0).push(" AND c.monitor_id = ").bind(monitor.id);
    sql.push(" AND c.check_in_id = ").bind(Id::<()>::from_bytes(check_in_id));
    sql.fetch(tx).await?.first().map(run_of).transpose()
}

/// The newest run of an environment, if it is in progress.
pub(crate) async fn find_newest_in_progress(
    tx: &Tx,
    project: ProjectId,
    environment: EnvironmentId,
) -> Result<Option<RunRow>, StorageError> {
    let mut sql = Sql::new(tx, &format!("SELECT {RUN} FROM error_check_in c WHERE c.project_id = "));
    sql.bind(project.0).push(" AND c.environment_id = ").bind(environment);
    sql.push(" ORDER BY c.started_at DESC, c.id DESC LIMIT 1");
    let newest = sql.fetch(tx).await?.first().map(run_of).transpose()?;
    Ok(newest.filter(|run| run.status == CheckInStatus::InProgress))
}

/// Inserts a run; whether its id was free.
pub(crate) async fn insert_run(tx: &Tx, monitor: &Monitor, run: &RunRow) -> Result<bool, StorageError> {
    let mut sql = Sql::new(
        tx,
        "INSERT INTO error_check_in (id, project_id, monitor_id, environment_id, check_in_id, status, started_at, \
         expected_at, duration_ms, due_until, release, trace_id) VALUES ",
    );
    let values: [Value; 12] = [
        run.id.into(),
        monitor.project.0.into(),
        monitor.id.into(),
        run.environment.into(),
        run.check_in_id.into(),
        run.status.to_number().into(),
        run.started_at.into(),
        run.expected_at.into(),
        run.duration_ms.into(),
        run.due_until.into(),
        run.release.clone().into(),
        run.trace_id.into(),
    ];
    sql.bind_row(values).push(" ON CONFLICT (monitor_id, check_in_id) DO NOTHING RETURNING id");
    Ok(!sql.fetch(tx).await?.is_empty())
}

pub(crate) async fn update_run(tx: &Tx, project: ProjectId, run: &RunRow) -> Result<(), StorageError> {
    let mut sql = Sql::new(tx, "UPDATE error_check_in SET status = ");
    sql.bind(run.status.to_number()).push(", duration_ms = ").bind(run.duration_ms);
    sql.push(", due_until = ").bind(run.due_until).push(", release = ").bind(run.release.clone());
    sql.push(" WHERE project_id = ").bind(project.0).push(" AND id = ").bind(run.id);
    sql.run(tx).await
}

/// Adds to the counts of runs per hour: ok and failed by environment and hour.
pub(crate) async fn add_rates(
    tx: &Tx,
    rates: &BTreeMap<(ProjectId, EnvironmentId, i64), (i64, i64)>,
) -> Result<(), StorageError> {
    let rows = rates
        .iter()
        .map(|((project, environment, hour), (ok, failed))| {
            [project.0.into(), (*environment).into(), (*hour).into(), (*ok).into(), (*failed).into()]
        })
        .collect();
    let head =
        "INSERT INTO error_monitor_hour (project_id, environment_id, hour, ok_count, failed_count) VALUES ";
    let tail = " ON CONFLICT (project_id, environment_id, hour) DO UPDATE SET \
                ok_count = error_monitor_hour.ok_count + excluded.ok_count, \
                failed_count = error_monitor_hour.failed_count + excluded.failed_count";
    bulk(tx, head, rows, tail).await?;
    Ok(())
}

/// Monitors of which a deadline has passed, the longest passed first; at most `limit` deadlines are looked at.
pub(crate) async fn list_due(
    connection: &impl ConnectionTrait,
    until: Timestamp,
    limit: i64,
) -> Result<Vec<(ProjectId, String)>, StorageError> {
    let mut found = Vec::new();
    for table in ["error_monitor_environment", "error_check_in"] {
        let mut sql = Sql::new(
            connection,
            &format!(
                "SELECT m.project_id, m.slug FROM (SELECT monitor_id, due_until FROM {table} WHERE due_until <= "
            ),
        );
        sql.bind(until).push(" ORDER BY due_until LIMIT ").bind(limit);
        sql.push(") d JOIN error_monitor m ON m.id = d.monitor_id");
        for row in sql.fetch(connection).await? {
            let key = (ProjectId(row.try_get_by_index(0)?), row.try_get_by_index(1)?);
            if !found.contains(&key) {
                found.push(key);
            }
        }
    }
    Ok(found)
}

/// The runs in progress of a monitor whose time is over, the earliest first; at most 200.
pub(crate) async fn list_due_runs(
    tx: &Tx,
    monitor: &Monitor,
    until: Timestamp,
) -> Result<Vec<RunRow>, StorageError> {
    let mut sql = Sql::new(tx, &format!("SELECT {RUN} FROM error_check_in c WHERE c.project_id = "));
    sql.bind(monitor.project.0).push(" AND c.monitor_id = ").bind(monitor.id);
    sql.push(" AND c.due_until <= ").bind(until).push(" ORDER BY c.due_until, c.id LIMIT 200");
    sql.fetch(tx).await?.iter().map(run_of).collect()
}

/// The absences that reach beyond `after`, as from and until; the newest 1,000.
pub(crate) async fn list_absences(
    connection: &impl ConnectionTrait,
    after: Timestamp,
) -> Result<Vec<(Timestamp, Timestamp)>, StorageError> {
    let mut sql =
        Sql::new(connection, "SELECT from_at, until_at FROM error_monitor_absence WHERE until_at > ");
    sql.bind(after).push(" ORDER BY from_at DESC LIMIT 1000");
    let mut absences = Vec::new();
    for row in sql.fetch(connection).await? {
        absences.push((row.try_get_by_index(0)?, row.try_get_by_index(1)?));
    }
    Ok(absences)
}

/// Environments of all monitors behind `after`, in the order of their ids.
pub(crate) async fn list_environment_ids(
    connection: &impl ConnectionTrait,
    after: Option<EnvironmentId>,
    limit: i64,
) -> Result<Vec<(ProjectId, EnvironmentId)>, StorageError> {
    let mut sql = Sql::new(connection, "SELECT project_id, id FROM error_monitor_environment");
    if let Some(after) = after {
        sql.push(" WHERE id > ").bind(after);
    }
    sql.push(" ORDER BY id LIMIT ").bind(limit);
    let mut found = Vec::new();
    for row in sql.fetch(connection).await? {
        found.push((ProjectId(row.try_get_by_index(0)?), row.try_get_by_index(1)?));
    }
    Ok(found)
}

/// Deletes runs of an environment that are older than `oldest` or not among its newest `keep`; at most `limit`.
pub(crate) async fn delete_old_runs(
    tx: &Tx,
    project: ProjectId,
    environment: EnvironmentId,
    (oldest, keep, limit): (Timestamp, i64, i64),
) -> Result<u64, StorageError> {
    let mut sql = Sql::new(tx, "SELECT started_at FROM error_check_in WHERE project_id = ");
    sql.bind(project.0).push(" AND environment_id = ").bind(environment);
    sql.push(" ORDER BY started_at DESC, id DESC LIMIT 1 OFFSET ").bind(keep);
    let surplus: Option<Timestamp> =
        sql.fetch(tx).await?.first().map(|row| row.try_get_by_index(0)).transpose()?;
    let before =
        surplus.map_or(oldest, |at| oldest.max(Timestamp::from_micros(at.as_micros().saturating_add(1))));
    let mut sql = Sql::new(
        tx,
        "DELETE FROM error_check_in WHERE id IN (SELECT id FROM error_check_in WHERE project_id = ",
    );
    sql.bind(project.0)
        .push(" AND environment_id = ")
        .bind(environment)
        .push(" AND started_at < ")
        .bind(before);
    sql.push(" ORDER BY started_at LIMIT ").bind(limit).push(") RETURNING id");
    Ok(sql.fetch(tx).await?.len() as u64)
}

/// Deletes the counts of an environment before `hour`.
pub(crate) async fn delete_old_hours(
    tx: &Tx,
    project: ProjectId,
    environment: EnvironmentId,
    hour: i64,
) -> Result<(), StorageError> {
    let mut sql = Sql::new(tx, "DELETE FROM error_monitor_hour WHERE project_id = ");
    sql.bind(project.0).push(" AND environment_id = ").bind(environment).push(" AND hour < ").bind(hour);
    sql.run(tx).await
}
