//! Events, sessions and people of releases, added up.

use std::collections::{BTreeMap, HashMap};

use belvedere_kernel::ProjectId;
use belvedere_storage::{Sql, StorageError};
use sea_orm::{ConnectionTrait, QueryResult};

use super::record::{DAY_WIDTH, HOUR_WIDTH};
use crate::releases::Health;
use crate::sessions::SessionState;

/// The longest span, in hours, whose people are counted by the hour; longer ones are counted by whole days.
const BY_HOUR_MAX: i64 = 48;

/// The hours that numbers are wanted of.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Window<'a> {
    pub(crate) project: ProjectId,
    /// All together if `None`.
    pub(crate) environment: Option<&'a str>,
    /// Hours since 1970.
    pub(crate) from: i64,
    /// The first hour after it.
    pub(crate) to: i64,
}

impl Window<'_> {
    /// ` FROM error_release_hour WHERE ..`
    fn push_hours(&self, sql: &mut Sql, versions: Versions<'_>) {
        sql.push(" FROM error_release_hour WHERE project_id = ").bind(self.project.0);
        self.push_conditions(sql, versions, self.from);
    }

    /// ` FROM error_release_user WHERE ..`, by rows of `width` hours.
    fn push_users(&self, sql: &mut Sql, versions: Versions<'_>, width: i64) {
        sql.push(" FROM error_release_user WHERE project_id = ").bind(self.project.0);
        sql.push(" AND width_hours = ").bind(width);
        self.push_conditions(sql, versions, self.from.div_euclid(width) * width);
    }

    fn push_conditions(&self, sql: &mut Sql, versions: Versions<'_>, from: i64) {
        sql.push(" AND hour >= ").bind(from).push(" AND hour < ").bind(self.to);
        if let Versions::These(versions) = versions {
            sql.push(" AND version IN ").bind_set(versions);
        }
        if let Some(environment) = self.environment {
            sql.push(" AND environment = ").bind(environment);
        }
    }

    fn width_of_users(&self) -> i64 {
        if self.to - self.from > BY_HOUR_MAX { DAY_WIDTH } else { HOUR_WIDTH }
    }
}

/// Of which releases numbers are wanted.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Versions<'a> {
    All,
    These(&'a [String]),
}

/// The columns that [`read_sums`] reads.
const SUMS: &str = "CAST(SUM(event_count) AS bigint), CAST(SUM(session_count) AS bigint), \
                    CAST(SUM(errored_count) AS bigint), CAST(SUM(abnormal_count) AS bigint), \
                    CAST(SUM(unhandled_count) AS bigint), CAST(SUM(crashed_count) AS bigint)";

/// Events, and sessions by state, from column `first` on.
fn read_sums(row: &QueryResult, first: usize) -> Result<(u64, Health), StorageError> {
    let column = |index: usize| -> Result<u64, StorageError> {
        let sum: Option<i64> = row.try_get_by_index(first + index)?;
        Ok(u64::try_from(sum.unwrap_or(0)).unwrap_or(0))
    };
    let mut health = Health {
        sessions: column(1)?,
        errored: column(2)?,
        abnormal: column(3)?,
        unhandled: column(4)?,
        crashed: column(5)?,
        ..Health::default()
    };
    let others = health.errored + health.abnormal + health.unhandled + health.crashed;
    health.healthy = health.sessions.saturating_sub(others);
    Ok((column(0)?, health))
}

/// The columns that [`read_users`] reads.
fn users_columns() -> String {
    let worst = SessionState::Unhandled.to_number();
    format!(
        "COUNT(DISTINCT subject_id), COUNT(DISTINCT CASE WHEN state >= {worst} THEN subject_id ELSE NULL END)"
    )
}

fn read_users(row: &QueryResult, first: usize, health: &mut Health) -> Result<(), StorageError> {
    let column = |index: usize| -> Result<u64, StorageError> {
        Ok(u64::try_from(row.try_get_by_index::<i64>(first + index)?).unwrap_or(0))
    };
    health.users = column(0)?;
    health.users_crashed = column(1)?;
    Ok(())
}

/// Events and health of a window, of one release or of all together.
pub(crate) async fn health_of_window(
    connection: &impl ConnectionTrait,
    window: Window<'_>,
    version: Option<&str>,
) -> Result<(u64, Health), StorageError> {
    let named = version.map(|version| vec![version.to_owned()]);
    let versions = named.as_deref().map_or(Versions::All, Versions::These);
    let mut sql = Sql::new(connection, &format!("SELECT {SUMS}"));
    window.push_hours(&mut sql, versions);
    let (events, mut health) = match sql.fetch(connection).await?.first() {
        Some(row) => read_sums(row, 0)?,
        None => Default::default(),
    };
    let mut sql = Sql::new(connection, &format!("SELECT {}", users_columns()));
    window.push_users(&mut sql, versions, window.width_of_users());
    if let Some(row) = sql.fetch(connection).await?.first() {
        read_users(row, 0, &mut health)?;
    }
    Ok((events, health))
}

/// Health of a window, release by release; those without any number left out.
pub(super) async fn health_by_version(
    connection: &impl ConnectionTrait,
    window: Window<'_>,
    versions: &[String],
) -> Result<HashMap<String, Health>, StorageError> {
    let mut found: HashMap<String, Health> = HashMap::new();
    if versions.is_empty() {
        return Ok(found);
    }
    let these = Versions::These(versions);
    let mut sql = Sql::new(connection, &format!("SELECT version, {SUMS}"));
    window.push_hours(&mut sql, these);
    sql.push(" GROUP BY version");
    for row in sql.fetch(connection).await? {
        found.insert(row.try_get_by_index(0)?, read_sums(&row, 1)?.1);
    }
    let mut sql = Sql::new(connection, &format!("SELECT version, {}", users_columns()));
    window.push_users(&mut sql, these, window.width_of_users());
    sql.push(" GROUP BY version");
    for row in sql.fetch(connection).await? {
        read_users(&row, 1, found.entry(row.try_get_by_index(0)?).or_default())?;
    }
    Ok(found)
}

/// Events and sessions by release and hour; hours without any left out.
pub(super) async fn hours_by_version(
    connection: &impl ConnectionTrait,
    window: Window<'_>,
    versions: &[String],
) -> Result<Vec<(String, i64, u64, u64)>, StorageError> {
    if versions.is_empty() {
        return Ok(Vec::new());
    }
    let mut sql = Sql::new(
        connection,
        "SELECT version, hour, CAST(SUM(event_count) AS bigint), CAST(SUM(session_count) AS bigint)",
    );
    window.push_hours(&mut sql, Versions::These(versions));
    sql.push(" GROUP BY version, hour");
    let mut found = Vec::new();
    for row in sql.fetch(connection).await? {
        let [events, sessions] = [row.try_get_by_index::<i64>(2)?, row.try_get_by_index::<i64>(3)?]
            .map(|sum| u64::try_from(sum).unwrap_or(0));
        found.push((row.try_get_by_index(0)?, row.try_get_by_index(1)?, events, sessions));
    }
    Ok(found)
}

/// Events and health by steps of `step` hours, by the first hour of each; steps without any left out.
pub(crate) async fn points_of_window(
    connection: &impl ConnectionTrait,
    window: Window<'_>,
    version: Option<&str>,
    step: i64,
) -> Result<BTreeMap<i64, (u64, Health)>, StorageError> {
    let named = version.map(|version| vec![version.to_owned()]);
    let versions = named.as_deref().map_or(Versions::All, Versions::These);
    let start = format!("hour - hour % {step}");
    let mut points: BTreeMap<i64, (u64, Health)> = BTreeMap::new();
    let mut sql = Sql::new(connection, &format!("SELECT {start}, {SUMS}"));
    window.push_hours(&mut sql, versions);
    sql.push(&format!(" GROUP BY {start}"));
    for row in sql.fetch(connection).await? {
        points.insert(row.try_get_by_index(0)?, read_sums(&row, 1)?);
    }
    let width = if step == HOUR_WIDTH { HOUR_WIDTH } else { DAY_WIDTH };
    let mut sql = Sql::new(connection, &format!("SELECT {start}, {}", users_columns()));
    window.push_users(&mut sql, versions, width);
    sql.push(&format!(" GROUP BY {start}"));
    for row in sql.fetch(connection).await? {
        read_users(&row, 1, &mut points.entry(row.try_get_by_index(0)?).or_default().1)?;
    }
    Ok(points)
}
