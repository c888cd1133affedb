use belvedere_kernel::{Actor, Organisation, ProjectId};
use belvedere_storage::{Id, PageRequest, StorageError, Timestamp};

use super::schedule::{Schedule, Zone};
use crate::IssueId;

/// Marks ids of monitors.
#[derive(Debug)]
pub enum MonitorKey {}

/// The key of a monitor.
pub type MonitorId = Id<MonitorKey>;

/// How a run stands or ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CheckInStatus {
    /// It has begun.
    InProgress,
    /// It ended well.
    Ok,
    /// It failed.
    Error,
    /// It did not begin in time.
    Missed,
    /// It did not end in time.
    Timeout,
    /// Nobody can tell: Belvedere was away when it should have reported.
    Unknown,
}

impl CheckInStatus {
    /// Every status.
    pub const ALL: [Self; 6] =
        [Self::InProgress, Self::Ok, Self::Error, Self::Missed, Self::Timeout, Self::Unknown];

    /// The status as a word: `in_progress`, `ok`, `error`, `missed`, `timeout`, `unknown`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::InProgress => "in_progress",
            Self::Ok => "ok",
            Self::Error => "error",
            Self::Missed => "missed",
            Self::Timeout => "timeout",
            Self::Unknown => "unknown",
        }
    }

    /// Whether it counts against the job.
    #[must_use]
    pub fn is_failure(self) -> bool {
        matches!(self, Self::Error | Self::Missed | Self::Timeout)
    }

    pub(super) fn to_number(self) -> i64 {
        match self {
            Self::InProgress => 0,
            Self::Ok => 1,
            Self::Error => 2,
            Self::Missed => 3,
            Self::Timeout => 4,
            Self::Unknown => 5,
        }
    }

    pub(super) fn from_number(number: i64) -> Result<Self, StorageError> {
        let found = Self::ALL.into_iter().find(|status| status.to_number() == number);
        found.ok_or_else(|| StorageError::corrupt(format!("status {number} of a check-in")))
    }
}

/// When a job runs, and what counts as a failure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MonitorConfig {
    /// How often it runs.
    pub schedule: Schedule,
    /// The IANA time zone of the schedule, such as `Europe/Amsterdam`.
    pub time_zone: String,
    /// How many minutes late it may begin; 1 to 1,440.
    pub margin_minutes: u32,
    /// How many minutes it may take; 1 to 40,320.
    pub max_runtime_minutes: u32,
    /// After how many failures in a row there is an issue; 1 to 100.
    pub failure_threshold: u32,
    /// After how many successes in a row the issue is resolved; 1 to 100.
    pub recovery_threshold: u32,
}

impl MonitorConfig {
    /// The schedule with the usual settings: UTC, one minute late, 30 minutes long, an issue at the first failure.
    #[must_use]
    pub fn new(schedule: Schedule) -> Self {
        Self {
            schedule,
            time_zone: "UTC".to_owned(),
            margin_minutes: 1,
            max_runtime_minutes: 30,
            failure_threshold: 1,
            recovery_threshold: 1,
        }
    }

    /// The times at which the next `count` runs after `from` are due; at most 20.
    #[must_use]
    pub fn next_runs(&self, from: Timestamp, count: usize) -> Vec<Timestamp> {
        let zone = self.zone();
        let next = |at: &Timestamp| self.schedule.next_after(*at, &zone);
        std::iter::successors(next(&from), next).take(count.min(20)).collect()
    }

    pub(super) fn zone(&self) -> Zone {
        // Names are checked before they are stored; one that a newer database dropped is read as UTC.
        Zone::find(&self.time_zone).unwrap_or_else(Zone::utc)
    }
}

/// A monitored job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Monitor {
    /// Its key.
    pub id: MonitorId,
    /// The project it belongs to.
    pub project: ProjectId,
    /// Its name in check-ins: lower-case letters, digits, `_` and `-`; at most 50.
    pub slug: String,
    /// Its name for people; at most 128 characters.
    pub name: String,
    /// Its settings.
    pub config: MonitorConfig,
    /// Whether nobody waits for its runs.
    pub is_paused: bool,
    /// Whether its failures make no issues.
    pub is_muted: bool,
    /// When it was made.
    pub created_at: Timestamp,
}

/// Runs by how they ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RunRate {
    /// Ended well.
    pub ok: u64,
    /// Failed, missed or timed out.
    pub failed: u64,
}

impl RunRate {
    /// The share that ended well in thousandths, rounded down; `None` without runs.
    #[must_use]
    pub fn per_mille(self) -> Option<u64> {
        (self.ok * 1_000).checked_div(self.ok + self.failed)
    }
}

/// One run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunSummary {
    /// The client's id of the check-in, 32 hexadecimal digits; one of ours for a run that never reported.
    pub check_in_id: String,
    /// Where it ran.
    pub environment: String,
    /// How it stands.
    pub status: CheckInStatus,
    /// When its first check-in was received; for a missed run, when it was due.
    pub started_at: Timestamp,
    /// When it was due, where that is known.
    pub expected_at: Option<Timestamp>,
    /// How long it took, in milliseconds.
    pub duration_ms: Option<u64>,
    /// The release that ran.
    pub release: Option<String>,
    /// The trace it belongs to, 32 hexadecimal digits.
    pub trace_id: Option<String>,
}

/// A monitor in one environment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MonitorEnvironment {
    /// `production`, `staging`, ..
    pub environment: String,
    /// Whether it has failed often enough for an issue, and not yet recovered.
    pub is_failing: bool,
    /// Failures since the last success.
    pub failures_in_row: u32,
    /// How its newest run stands.
    pub last_status: Option<CheckInStatus>,
    /// When that was.
    pub last_run_at: Option<Timestamp>,
    /// When the next run is due.
    pub next_expected_at: Option<Timestamp>,
    /// The issue of its failures.
    pub issue: Option<IssueId>,
    /// Its newest runs, oldest first; at most 40.
    pub recent: Vec<RunSummary>,
    /// Runs that ended in the last 24 hours.
    pub day: RunRate,
    /// Runs that ended in the last 30 days.
    pub month: RunRate,
}

/// A monitor with how it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MonitorOverview {
    /// The monitor.
    pub monitor: Monitor,
    /// Its environments, by name; at most 20.
    pub environments: Vec<MonitorEnvironment>,
}

/// Which monitors are wanted.
#[derive(Debug, Clone, PartialEq)]
pub struct ListMonitors {
    /// The project to look in.
    pub project: ProjectId,
    /// Only those that run in this environment, and only that of their environments.
    pub environment: Option<String>,
    /// Which page.
    pub page: PageRequest,
}

/// Which runs are wanted.
#[derive(Debug, Clone, PartialEq)]
pub struct ListCheckIns {
    /// The project to look in.
    pub project: ProjectId,
    /// The monitor.
    pub slug: String,
    /// Only those in this environment.
    pub environment: Option<String>,
    /// Which page.
    pub page: PageRequest,
}

/// Who changes something, for the audit log.
#[derive(Debug, Clone, PartialEq)]
pub struct ChangedBy {
    /// Who.
    pub actor: Actor,
    /// The organisation of the project.
    pub organisation: Id<Organisation>,
    /// The project that the thing belongs to.
    pub project: ProjectId,
    /// The id of the HTTP request, if there was one.
    pub request_id: Option<String>,
}

/// What a monitor is to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChangeMonitor {
    /// Its slug; may not change later.
    pub slug: String,
    /// Its name for people; the slug if empty.
    pub name: String,
    /// Its settings.
    pub config: MonitorConfig,
}

/// What is to be switched; `None` stays as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct MonitorSwitches {
    /// Whether nobody waits for its runs.
    pub is_paused: Option<bool>,
    /// Whether its failures make no issues.
    pub is_muted: Option<bool>,
}

/// What one judging of deadlines found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Swept {
    /// Runs that did not begin in time.
    pub missed: u64,
    /// Runs that did not end in time.
    pub timed_out: u64,
    /// Runs of which nobody can tell.
    pub unknown: u64,
}
