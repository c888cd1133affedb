//! Monitored jobs (crons): check-ins say that a scheduled job runs and how it ended; what fails, takes too long or
//! does not run becomes an issue.
//!
//! Invariants:
//! - A run is told once, however often its check-in is delivered, and never changes after its end.
//! - A deadline is judged once, in the transaction that moves it, whoever judges.
//! - What Belvedere could not have heard, because it was away itself, is `unknown` and nobody's failure.
//! - An issue's event is written in the transaction of the run that caused it.

mod check_in;
mod crontab;
mod failure;
mod fields;
mod intake;
mod judge;
mod model;
mod schedule;
mod service;
mod store;
mod sweep;

use async_trait::async_trait;
use belvedere_kernel::ProjectId;
use belvedere_storage::Page;

use crate::ErrorTrackingError;

pub(crate) use check_in::{ReceivedCheckIn, parse_check_in};
pub(crate) use intake::{CheckInOutcome, take_in, track_issues_in};
pub(crate) use service::runs_message;

pub use crontab::{Crontab, CrontabError};
pub use model::{
    ChangeMonitor, ChangedBy, CheckInStatus, ListCheckIns, ListMonitors, Monitor, MonitorConfig,
    MonitorEnvironment, MonitorId, MonitorKey, MonitorOverview, MonitorSwitches, RunRate, RunSummary, Swept,
};
pub use schedule::{IntervalUnit, Schedule, Zone};
pub use service::MonitorsService;

/// What other code may ask about monitored jobs.
#[async_trait]
pub trait Monitors: Send + Sync {
    /// Monitors of a project by slug, each with its environments, their newest runs and rates.
    async fn list_monitors(&self, query: ListMonitors) -> Result<Page<MonitorOverview>, ErrorTrackingError>;

    /// One monitor.
    async fn find_monitor(
        &self,
        project: ProjectId,
        slug: &str,
    ) -> Result<Option<MonitorOverview>, ErrorTrackingError>;

    /// Makes a monitor.
    async fn create_monitor(&self, by: ChangedBy, new: ChangeMonitor) -> Result<Monitor, ErrorTrackingError>;

    /// Changes the name and the settings of the monitor with the slug `slug`. Waiting deadlines are computed anew.
    async fn update_monitor(
        &self,
        by: ChangedBy,
        slug: &str,
        change: ChangeMonitor,
    ) -> Result<Monitor, ErrorTrackingError>;

    /// Pauses (nothing is missed any more) or mutes (nothing becomes an issue any more) a monitor, or ends that.
    async fn switch_monitor(
        &self,
        by: ChangedBy,
        slug: &str,
        switches: MonitorSwitches,
    ) -> Result<Monitor, ErrorTrackingError>;

    /// Deletes a monitor with its runs; its issues stay.
    async fn delete_monitor(&self, by: ChangedBy, slug: &str) -> Result<(), ErrorTrackingError>;

    /// Runs of a monitor, newest first.
    async fn list_check_ins(&self, query: ListCheckIns) -> Result<Page<RunSummary>, ErrorTrackingError>;
}
