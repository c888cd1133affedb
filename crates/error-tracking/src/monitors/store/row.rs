use belvedere_kernel::ProjectId;
use belvedere_storage::{Id, StorageError, Timestamp};
use sea_orm::QueryResult;

use crate::IssueId;
use crate::monitors::judge::Standing;
use crate::monitors::model::{CheckInStatus, Monitor, MonitorConfig, MonitorId, RunSummary};

/// Marks ids of a monitor's environments.
#[derive(Debug)]
pub(crate) enum EnvironmentKey {}

pub(crate) type EnvironmentId = Id<EnvironmentKey>;

pub(super) const MONITOR: &str = "id, project_id, slug, name, schedule, time_zone, margin_minutes, \
     max_runtime_minutes, failure_threshold, recovery_threshold, is_paused, is_muted, created_at";

/// A monitor from the columns of [`MONITOR`].
pub(super) fn monitor_of(row: &QueryResult) -> Result<Monitor, StorageError> {
    let schedule: String = row.try_get_by_index(4)?;
    let number = |index: usize| -> Result<u32, StorageError> {
        Ok(u32::try_from(row.try_get_by_index::<i64>(index)?).unwrap_or(0))
    };
    Ok(Monitor {
        id: row.try_get_by_index(0)?,
        project: ProjectId(row.try_get_by_index(1)?),
        slug: row.try_get_by_index(2)?,
        name: row.try_get_by_index(3)?,
        config: MonitorConfig {
            schedule: schedule
                .parse()
                .map_err(|error| StorageError::corrupt(format!("schedule of a monitor: {error}")))?,
            time_zone: row.try_get_by_index(5)?,
            margin_minutes: number(6)?,
            max_runtime_minutes: number(7)?,
            failure_threshold: number(8)?,
            recovery_threshold: number(9)?,
        },
        is_paused: row.try_get_by_index(10)?,
        is_muted: row.try_get_by_index(11)?,
        created_at: row.try_get_by_index(12)?,
    })
}

pub(super) const ENVIRONMENT: &str = "id, monitor_id, environment, is_failing, failures_in_row, successes_in_row, \
     last_status, last_run_at, next_expected_at, due_until, issue_id";

/// A monitor in one environment.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct EnvironmentRow {
    pub(crate) id: EnvironmentId,
    pub(crate) monitor: MonitorId,
    pub(crate) name: String,
    pub(crate) standing: Standing,
    pub(crate) last_status: Option<CheckInStatus>,
    pub(crate) last_run_at: Option<Timestamp>,
    pub(crate) next_expected_at: Option<Timestamp>,
    pub(crate) due_until: Option<Timestamp>,
    pub(crate) issue: Option<IssueId>,
}

/// From the columns of [`ENVIRONMENT`].
pub(super) fn environment_of(row: &QueryResult) -> Result<EnvironmentRow, StorageError> {
    let last_status: Option<i64> = row.try_get_by_index(6)?;
    Ok(EnvironmentRow {
        id: row.try_get_by_index(0)?,
        monitor: row.try_get_by_index(1)?,
        name: row.try_get_by_index(2)?,
        standing: Standing {
            is_failing: row.try_get_by_index(3)?,
            failures_in_row: row.try_get_by_index(4)?,
            successes_in_row: row.try_get_by_index(5)?,
        },
        last_status: last_status.map(CheckInStatus::from_number).transpose()?,
        last_run_at: row.try_get_by_index(7)?,
        next_expected_at: row.try_get_by_index(8)?,
        due_until: row.try_get_by_index(9)?,
        issue: row.try_get_by_index(10)?,
    })
}

pub(super) const RUN: &str = "c.id, c.environment_id, c.check_in_id, c.status, c.started_at, c.expected_at, \
     c.duration_ms, c.due_until, c.release, c.trace_id";

/// A run.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct RunRow {
    pub(crate) id: Id<()>,
    pub(crate) environment: EnvironmentId,
    pub(crate) check_in_id: Id<()>,
    pub(crate) status: CheckInStatus,
    pub(crate) started_at: Timestamp,
    pub(crate) expected_at: Option<Timestamp>,
    pub(crate) duration_ms: Option<i64>,
    pub(crate) due_until: Option<Timestamp>,
    pub(crate) release: Option<String>,
    pub(crate) trace_id: Option<Id<()>>,
}

impl RunRow {
    pub(super) fn into_summary(self, environment: String) -> RunSummary {
        RunSummary {
            check_in_id: hex(self.check_in_id),
            environment,
            status: self.status,
            started_at: self.started_at,
            expected_at: self.expected_at,
            duration_ms: self.duration_ms.and_then(|ms| u64::try_from(ms).ok()),
            release: self.release,
            trace_id: self.trace_id.map(hex),
        }
    }
}

/// From the columns of [`RUN`].
pub(super) fn run_of(row: &QueryResult) -> Result<RunRow, StorageError> {
    Ok(RunRow {
        id: row.try_get_by_index(0)?,
        environment: row.try_get_by_index(1)?,
        check_in_id: row.try_get_by_index(2)?,
        status: CheckInStatus::from_number(row.try_get_by_index(3)?)?,
        started_at: row.try_get_by_index(4)?,
        expected_at: row.try_get_by_index(5)?,
        duration_ms: row.try_get_by_index(6)?,
        due_until: row.try_get_by_index(7)?,
        release: row.try_get_by_index(8)?,
        trace_id: row.try_get_by_index(9)?,
    })
}

fn hex(id: Id<()>) -> String {
    id.to_bytes().iter().map(|byte| format!("{byte:02x}")).collect()
}
