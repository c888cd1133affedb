//! What Belvedere does by itself, by the clock: one schedule, one job and one handler each.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use belvedere_error_tracking::{ErrorTrackingError, ErrorTrackingService, Releases};
use belvedere_intake::IntakeLogService;
use belvedere_jobs::{
    JobError, JobHandler, JobRunner, JobRunnerConfig, NewJob, RunningJob, Schedule, Scheduler, When,
};
use belvedere_kernel::Tasks;
use belvedere_privacy::{Privacy, PrivacyError, PrivacyService};
use serde_json::Value;

use crate::App;

const HOUR: Duration = Duration::from_secs(3_600);

struct RotateSalts(Arc<PrivacyService>);

#[async_trait]
impl JobHandler for RotateSalts {
    async fn run(&self, _: &RunningJob) -> Result<(), JobError> {
        self.0.rotate_salts().await.map(drop).map_err(|error| match error {
            PrivacyError::Storage(error) => JobError::Storage(error),
            other => JobError::Failed(other.to_string()),
        })
    }
}

struct SweepIntake(Arc<IntakeLogService>, Tasks);

#[async_trait]
impl JobHandler for SweepIntake {
    async fn run(&self, _: &RunningJob) -> Result<(), JobError> {
        self.0.sweep(|| self.1.is_stopped()).await.map(drop).map_err(JobError::Storage)
    }
}

struct SweepReleases(Arc<ErrorTrackingService>, Tasks);

#[async_trait]
impl JobHandler for SweepReleases {
    async fn run(&self, _: &RunningJob) -> Result<(), JobError> {
        self.0.sweep_releases(&|| self.1.is_stopped()).await.map_err(|error| match error {
            ErrorTrackingError::Storage(error) => JobError::Storage(error),
            other => JobError::Failed(other.to_string()),
        })
    }
}

/// The runner of this process's jobs.
pub(crate) fn runner(app: &App) -> JobRunner {
    let mut runner = JobRunner::new(app.jobs.clone(), JobRunnerConfig::default());
    runner.register("privacy.rotate_salts", Arc::new(RotateSalts(app.privacy.clone())));
    runner.register("intake.sweep", Arc::new(SweepIntake(app.intake_log.clone(), app.tasks.clone())));
    let releases = SweepReleases(app.errors.clone(), app.tasks.clone());
    runner.register("errors.sweep_releases", Arc::new(releases));
    runner
}

/// What enqueues them, once in the whole installation.
pub(crate) fn scheduler(app: &App) -> Scheduler {
    let hourly =
        |name: &'static str| Schedule { name, when: When::Every(HOUR), job: NewJob::new(name, Value::Null) };
    Scheduler::new(
        app.jobs.clone(),
        ["privacy.rotate_salts", "intake.sweep", "errors.sweep_releases"].map(hourly).to_vec(),
    )
}
