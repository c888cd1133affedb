use std::collections::HashMap;

use belvedere_kernel::ProjectId;
use belvedere_storage::{Cursor, Id, Page, Sql, StorageError, Timestamp};
use sea_orm::ConnectionTrait;

use super::row::{
    ENVIRONMENT, EnvironmentId, EnvironmentRow, MONITOR, RUN, environment_of, monitor_of, run_of,
};
use crate::ErrorTrackingError;
use crate::monitors::model::{
    ListCheckIns, ListMonitors, Monitor, MonitorEnvironment, MonitorId, MonitorOverview, RunRate, RunSummary,
};

/// How many runs the strip of an environment shows.
const RECENT: i64 = 40;

const HOURS_OF_MONTH: i64 = 30 * 24;

pub(crate) async fn list_monitors(
    connection: &impl ConnectionTrait,
    query: &ListMonitors,
) -> Result<Page<Monitor>, ErrorTrackingError> {
    let mut sql = Sql::new(connection, &format!("SELECT {MONITOR} FROM error_monitor WHERE project_id = "));
    sql.bind(query.project.0);
    if let Some(environment) = &query.environment {
        sql.push(" AND id IN (SELECT monitor_id FROM error_monitor_environment WHERE project_id = ")
            .bind(query.project.0)
            .push(" AND environment = ")
            .bind(environment.as_str())
            .push(")");
    }
    if let Some(after) = &query.page.after {
        let [slug]: [&str; 1] = after.parts().ok_or_else(foreign_cursor)?;
        sql.push(" AND slug > ").bind(slug);
    }
    let limit = query.page.limit();
    sql.push(" ORDER BY slug LIMIT ").bind(i64::try_from(limit).unwrap_or(1) + 1);
    let monitors: Result<Vec<Monitor>, StorageError> =
        sql.fetch(connection).await?.iter().map(monitor_of).collect();
    Ok(Page::from_rows(monitors?, limit, |last| Cursor::of(&[&last.slug])))
}

fn foreign_cursor() -> ErrorTrackingError {
    ErrorTrackingError::InvalidQuery("the cursor does not belong to this list".to_owned())
}

/// How `monitors` stand, with the environments and newest runs of each; only `environment` if one is named.
pub(crate) async fn overviews(
    connection: &impl ConnectionTrait,
    project: ProjectId,
    monitors: Vec<Monitor>,
    environment: Option<&str>,
    now: Timestamp,
) -> Result<Vec<MonitorOverview>, StorageError> {
    if monitors.is_empty() {
        return Ok(Vec::new());
    }
    let ids: Vec<MonitorId> = monitors.iter().map(|monitor| monitor.id).collect();
    let mut sql = Sql::new(
        connection,
        &format!("SELECT {ENVIRONMENT} FROM error_monitor_environment WHERE project_id = "),
    );
    sql.bind(project.0).push(" AND monitor_id IN ").bind_set(&ids);
    if let Some(environment) = environment {
        sql.push(" AND environment = ").bind(environment);
    }
    sql.push(" ORDER BY environment");
    let mut rows = Vec::new();
    for row in sql.fetch(connection).await? {
        rows.push(environment_of(&row)?);
    }
    let rates = rates_of(connection, project, &rows, now).await?;
    let mut of_monitor: HashMap<MonitorId, Vec<MonitorEnvironment>> = HashMap::new();
    for row in rows {
        let (day, month) = rates.get(&row.id).copied().unwrap_or_default();
        let recent = recent_runs(connection, project, &row).await?;
        of_monitor.entry(row.monitor).or_default().push(MonitorEnvironment {
            environment: row.name,
            is_failing: row.standing.is_failing,
            failures_in_row: u32::try_from(row.standing.failures_in_row).unwrap_or(0),
            last_status: row.last_status,
            last_run_at: row.last_run_at,
            next_expected_at: row.next_expected_at,
            issue: row.issue,
            recent,
            day,
            month,
        });
    }
    let overview = |monitor: Monitor| MonitorOverview {
        environments: of_monitor.remove(&monitor.id).unwrap_or_default(),
        monitor,
    };
    Ok(monitors.into_iter().map(overview).collect())
}

type Rates = HashMap<EnvironmentId, (RunRate, RunRate)>;

async fn rates_of(
    connection: &impl ConnectionTrait,
    project: ProjectId,
    rows: &[EnvironmentRow],
    now: Timestamp,
) -> Result<Rates, StorageError> {
    let ids: Vec<EnvironmentId> = rows.iter().map(|row| row.id).collect();
    if ids.is_empty() {
        return Ok(Rates::new());
    }
    let this_hour = now.as_seconds().div_euclid(3_600);
    let mut sql = Sql::new(
        connection,
        "SELECT environment_id, CAST(SUM(ok_count) AS bigint), CAST(SUM(failed_count) AS bigint), CAST(SUM(CASE WHEN hour > ",
    );
    sql.bind(this_hour - 24)
        .push(" THEN ok_count ELSE 0 END) AS bigint), CAST(SUM(CASE WHEN hour > ")
        .bind(this_hour - 24);
    sql.push(" THEN failed_count ELSE 0 END) AS bigint) FROM error_monitor_hour WHERE project_id = ")
        .bind(project.0);
    sql.push(" AND environment_id IN ").bind_set(&ids).push(" AND hour > ").bind(this_hour - HOURS_OF_MONTH);
    sql.push(" GROUP BY environment_id");
    let mut rates = Rates::new();
    for row in sql.fetch(connection).await? {
        let count = |index: usize| -> Result<u64, StorageError> {
            Ok(u64::try_from(row.try_get_by_index::<i64>(index)?).unwrap_or(0))
        };
        let month = RunRate { ok: count(1)?, failed: count(2)? };
        let day = RunRate { ok: count(3)?, failed: count(4)? };
        rates.insert(row.try_get_by_index(0)?, (day, month));
    }
    Ok(rates)
}

async fn recent_runs(
    connection: &impl ConnectionTrait,
    project: ProjectId,
    environment: &EnvironmentRow,
) -> Result<Vec<RunSummary>, StorageError> {
    let mut sql = Sql::new(connection, &format!("SELECT {RUN} FROM error_check_in c WHERE c.project_id = "));
    sql.bind(project.0).push(" AND c.environment_id = ").bind(environment.id);
    sql.push(" ORDER BY c.started_at DESC, c.id DESC LIMIT ").bind(RECENT);
    let mut runs = Vec::new();
    for row in sql.fetch(connection).await? {
        runs.push(run_of(&row)?.into_summary(environment.name.clone()));
    }
    runs.reverse();
    Ok(runs)
}

/// The environments of a monitor by id, with the monitor's; `None` if there is no such monitor.
pub(crate) async fn find_environment_names(
    connection: &impl ConnectionTrait,
    project: ProjectId,
    slug: &str,
) -> Result<Option<(MonitorId, HashMap<EnvironmentId, String>)>, StorageError> {
    let mut sql = Sql::new(
        connection,
        "SELECT m.id, e.id, e.environment FROM error_monitor m LEFT JOIN error_monitor_environment e ON e.monitor_id = m.id WHERE m.project_id = ",
    );
    sql.bind(project.0).push(" AND m.slug = ").bind(slug);
    let rows = sql.fetch(connection).await?;
    let Some(first) = rows.first() else { return Ok(None) };
    let monitor = first.try_get_by_index(0)?;
    let mut names = HashMap::new();
    for row in &rows {
        if let Some(id) = row.try_get_by_index::<Option<EnvironmentId>>(1)? {
            names.insert(id, row.try_get_by_index(2)?);
        }
    }
    Ok(Some((monitor, names)))
}

pub(crate) async fn list_check_ins(
    connection: &impl ConnectionTrait,
    query: &ListCheckIns,
    monitor: MonitorId,
    names: &HashMap<EnvironmentId, String>,
) -> Result<Page<RunSummary>, ErrorTrackingError> {
    let mut sql = Sql::new(connection, &format!("SELECT {RUN} FROM error_check_in c WHERE c.project_id = "));
    sql.bind(query.project.0).push(" AND c.monitor_id = ").bind(monitor);
    if let Some(environment) = &query.environment {
        let Some((id, _)) = names.iter().find(|(_, name)| *name == environment) else {
            return Ok(Page { items: Vec::new(), next: None });
        };
        sql.push(" AND c.environment_id = ").bind(*id);
    }
    if let Some(after) = &query.page.after {
        let [micros, id]: [&str; 2] = after.parts().ok_or_else(foreign_cursor)?;
        let micros: i64 = micros.parse().map_err(|_| foreign_cursor())?;
        let id: Id<()> = id.parse().map_err(|_| foreign_cursor())?;
        sql.push(" AND (c.started_at, c.id) < (").bind(micros).push(", ").bind(id).push(")");
    }
    let limit = query.page.limit();
    sql.push(" ORDER BY c.started_at DESC, c.id DESC LIMIT ").bind(i64::try_from(limit).unwrap_or(1) + 1);
    let rows: Result<Vec<_>, StorageError> = sql.fetch(connection).await?.iter().map(run_of).collect();
    let page = Page::from_rows(rows?, limit, |last| Cursor::of(&[&last.started_at.as_micros(), &last.id]));
    let name = |id: &EnvironmentId| names.get(id).cloned().unwrap_or_default();
    let items = page.items.into_iter().map(|run| {
        let environment = name(&run.environment);
        run.into_summary(environment)
    });
    Ok(Page { items: items.collect(), next: page.next })
}
