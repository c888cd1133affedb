//! What Belvedere does by itself, by the clock: one schedule, one job and one handler each.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use belvedere_alerting::{AlertingService, DELIVERY_JOB};
use belvedere_error_tracking::logs::LogsService;
use belvedere_error_tracking::monitors::MonitorsService;
use belvedere_error_tracking::{
    ASSEMBLE_JOB, BundleId, ErrorTrackingError, ErrorTrackingService, MOVE_EVENTS_JOB, REMAP_JOB, Releases,
    SWEEP_JOB, SourceMapError, SourceMapService, SourceMaps, TriageService,
};
use belvedere_event_store::{Embedded, EventStore, EventStoreError};
use belvedere_intake::IntakeLogService;
use belvedere_jobs::{
    JobError, JobHandler, JobRunner, JobRunnerConfig, NewJob, RunningJob, Schedule, Scheduler, When,
};
use belvedere_kernel::{Clock, Organisation, ProjectId, Tasks};
use belvedere_learning_analytics::LearningService;
use belvedere_privacy::{Privacy, PrivacyError, PrivacyService};
use belvedere_storage::Id;
use belvedere_xapi::WITHDRAW_JOB;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::settled::Settled;
use crate::{App, sweep};

const HOUR: Duration = Duration::from_secs(3_600);
const MINUTE: Duration = Duration::from_secs(60);

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

struct MoveEvents(Arc<TriageService>, Tasks);

#[async_trait]
impl JobHandler for MoveEvents {
    async fn run(&self, _: &RunningJob) -> Result<(), JobError> {
        self.0.move_events(|| self.1.is_stopped()).await.map(drop).map_err(JobError::Storage)
    }
}

struct WakeIssues(Arc<TriageService>);

#[async_trait]
impl JobHandler for WakeIssues {
    async fn run(&self, _: &RunningJob) -> Result<(), JobError> {
        self.0.wake_due().await.map(drop).map_err(JobError::Storage)
    }
}

struct AssembleSourceMaps(Arc<SourceMapService>);

#[async_trait]
impl JobHandler for AssembleSourceMaps {
    async fn run(&self, job: &RunningJob) -> Result<(), JobError> {
        #[derive(Deserialize)]
        struct Wish {
            organisation: Id<Organisation>,
            key: String,
        }
        let wish: Wish = read_payload(job)?;
        self.0.run_assembly(wish.organisation, &wish.key).await.map_err(source_map_failure)
    }
}

struct RemapEvents(Arc<SourceMapService>);

#[async_trait]
impl JobHandler for RemapEvents {
    async fn run(&self, job: &RunningJob) -> Result<(), JobError> {
        #[derive(Deserialize)]
        struct Wish {
            project: ProjectId,
            bundle: BundleId,
        }
        let wish: Wish = read_payload(job)?;
        let done = self.0.remap(wish.project, wish.bundle).await.map_err(source_map_failure)?;
        if done.looked_at > 0 {
            tracing::info!(project = %wish.project, ?done, "events were mapped anew after an upload");
        }
        Ok(())
    }
}

struct SweepSourceMaps(Arc<SourceMapService>, Tasks);

#[async_trait]
impl JobHandler for SweepSourceMaps {
    async fn run(&self, _: &RunningJob) -> Result<(), JobError> {
        let tasks = self.1.clone();
        self.0.sweep(&move || tasks.is_stopped()).await.map_err(source_map_failure)
    }
}

fn read_payload<T: DeserializeOwned>(job: &RunningJob) -> Result<T, JobError> {
    serde_json::from_value(job.payload.clone()).map_err(|error| JobError::GiveUp(error.to_string()))
}

fn source_map_failure(error: SourceMapError) -> JobError {
    match error {
        SourceMapError::Storage(error) => JobError::Storage(error),
        other => JobError::Failed(other.to_string()),
    }
}

/// Judges the deadlines of monitored jobs.
struct JudgeMonitors {
    monitors: Arc<MonitorsService>,
    settled: Settled,
    tasks: Tasks,
}

#[async_trait]
impl JobHandler for JudgeMonitors {
    async fn run(&self, _: &RunningJob) -> Result<(), JobError> {
        let settled = self.settled.until().await.map_err(JobError::Storage)?;
        let door = self.settled.door_open_since();
        self.monitors
            .judge(settled, door, || self.tasks.is_stopped())
            .await
            .map(drop)
            .map_err(JobError::Storage)
    }
}

struct SweepMonitors(Arc<MonitorsService>, Tasks);

#[async_trait]
impl JobHandler for SweepMonitors {
    async fn run(&self, _: &RunningJob) -> Result<(), JobError> {
        self.0.sweep(|| self.1.is_stopped()).await.map(drop).map_err(JobError::Storage)
    }
}

struct SweepLogs(Arc<LogsService>, Tasks);

#[async_trait]
impl JobHandler for SweepLogs {
    async fn run(&self, _: &RunningJob) -> Result<(), JobError> {
        self.0.sweep(|| self.1.is_stopped()).await.map(drop).map_err(JobError::Storage)
    }
}

/// So many events of a project in the tail are sealed soon; fewer within the hour.
const TAIL_EVENTS: u64 = 50_000;

/// As many batches cost a query as much as so many events.
const TAIL_BATCHES: u64 = 500;

/// Segment files without a manifest are older than any transaction by then.
const ORPHANS_AFTER: Duration = HOUR;

/// Moves events from the tail into segments.
struct SealEvents {
    events: Embedded,
    tasks: Tasks,
}

#[async_trait]
impl JobHandler for SealEvents {
    async fn run(&self, _: &RunningJob) -> Result<(), JobError> {
        for project in self.events.list_projects().await.map_err(event_failure)? {
            if self.tasks.is_stopped() {
                break;
            }
            let stats = self.events.stats(project).await.map_err(event_failure)?;
            if stats.tail_events >= TAIL_EVENTS || stats.tail_batches >= TAIL_BATCHES {
                self.events.seal(project).await.map_err(event_failure)?;
            }
        }
        Ok(())
    }
}

/// Seals what is left, merges small segments, drops old months and files that nothing names, and makes rollups that are
/// missing or of another time zone.
struct TidyEvents {
    events: Embedded,
    clock: Arc<dyn Clock>,
    kept: Duration,
    tasks: Tasks,
}

#[async_trait]
impl JobHandler for TidyEvents {
    async fn run(&self, _: &RunningJob) -> Result<(), JobError> {
        let oldest = self.clock.now().minus(self.kept);
        for project in self.events.list_projects().await.map_err(event_failure)? {
            if self.tasks.is_stopped() {
                break;
            }
            self.events.seal(project).await.map_err(event_failure)?;
            self.events.compact(project).await.map_err(event_failure)?;
            self.events.retain(project, oldest).await.map_err(event_failure)?;
            self.events.sweep_orphans(project, ORPHANS_AFTER).await.map_err(event_failure)?;
            let renewed = self.events.renew_rollups(project, || self.tasks.is_stopped()).await;
            renewed.map_err(event_failure)?;
        }
        Ok(())
    }
}

/// How long one check of rollups may take; the next one goes on where it ended.
const CHECK_MAX: Duration = Duration::from_secs(20 * 60);

/// Compares rollups with the events that they count.
struct CheckEvents {
    events: Embedded,
    clock: Arc<dyn Clock>,
    tasks: Tasks,
}

#[async_trait]
impl JobHandler for CheckEvents {
    async fn run(&self, _: &RunningJob) -> Result<(), JobError> {
        let projects = self.events.list_projects().await.map_err(event_failure)?;
        // Each project gets its share of the time, so that a large one does not keep others from being checked.
        let share = CHECK_MAX / u32::try_from(projects.len()).unwrap_or(u32::MAX).max(1);
        for project in projects {
            let (clock, tasks) = (Arc::clone(&self.clock), self.tasks.clone());
            let end = clock.now().plus(share);
            let is_stopped = move || tasks.is_stopped() || clock.now() >= end;
            if self.tasks.is_stopped() {
                break;
            }
            if let Some(check) =
                self.events.check_rollups(project, is_stopped).await.map_err(event_failure)?
            {
                let (segments, days, differences) = (check.segments, check.days, check.difference_count);
                tracing::info!(%project, segments, days, differences, "rollups were compared with events");
            }
        }
        Ok(())
    }
}

/// Takes the events of voided statements out, and out of what is kept of learners: also while that is switched off, so
/// that it fits the events when it is switched on again.
struct WithdrawEvents {
    events: Embedded,
    learning: Arc<LearningService>,
}

#[async_trait]
impl JobHandler for WithdrawEvents {
    async fn run(&self, job: &RunningJob) -> Result<(), JobError> {
        #[derive(Deserialize)]
        struct Wish {
            project: ProjectId,
            events: Vec<Id<()>>,
        }
        let wish: Wish = read_payload(job)?;
        let ids: Vec<[u8; 16]> = wish.events.iter().map(|id| id.to_bytes()).collect();
        let withdrawn = self.events.withdraw_events(wish.project, &ids, &*self.learning).await;
        withdrawn.map(drop).map_err(event_failure)
    }
}

fn event_failure(error: EventStoreError) -> JobError {
    match error {
        EventStoreError::Storage(error) => JobError::Storage(error),
        other => JobError::Failed(other.to_string()),
    }
}

/// Removes old deliveries, and begins anew what lost jobs left.
struct SweepDeliveries(Arc<AlertingService>, Tasks);

#[async_trait]
impl JobHandler for SweepDeliveries {
    async fn run(&self, _: &RunningJob) -> Result<(), JobError> {
        self.0.sweep(|| self.1.is_stopped()).await.map_err(JobError::Storage)
    }
}

/// The runner of deliveries to others, for whom no job of our own should have to wait.
pub(crate) fn delivery_runner(app: &App) -> JobRunner {
    let mut runner = JobRunner::new(app.jobs.clone(), JobRunnerConfig::default());
    runner.register(DELIVERY_JOB, app.alerting.delivery_handler());
    runner
}

/// The runner of this process's jobs.
pub(crate) fn runner(app: &App) -> JobRunner {
    let mut runner = JobRunner::new(app.jobs.clone(), JobRunnerConfig::default());
    runner.register("privacy.rotate_salts", Arc::new(RotateSalts(app.privacy.clone())));
    runner.register(sweep::JOB, Arc::new(sweep::SweepErrors(app.errors.clone(), app.tasks.clone())));
    runner.register("intake.sweep", Arc::new(SweepIntake(app.intake_log.clone(), app.tasks.clone())));
    let releases = SweepReleases(app.errors.clone(), app.tasks.clone());
    runner.register("errors.sweep_releases", Arc::new(releases));
    let maps = || app.source_maps.clone();
    runner.register(ASSEMBLE_JOB, Arc::new(AssembleSourceMaps(maps())));
    runner.register(REMAP_JOB, Arc::new(RemapEvents(maps())));
    runner.register(SWEEP_JOB, Arc::new(SweepSourceMaps(maps(), app.tasks.clone())));
    runner.register(MOVE_EVENTS_JOB, Arc::new(MoveEvents(app.triage.clone(), app.tasks.clone())));
    runner.register("error-tracking.wake_issues", Arc::new(WakeIssues(app.triage.clone())));
    runner.register("logs.sweep", Arc::new(SweepLogs(app.logs.clone(), app.tasks.clone())));
    let judge = JudgeMonitors {
        monitors: app.monitors.clone(),
        settled: Settled::new(app),
        tasks: app.tasks.clone(),
    };
    runner.register("monitors.judge", Arc::new(judge));
    let (events, clock) = (|| app.events.clone(), app.clock.clone());
    runner.register("events.seal", Arc::new(SealEvents { events: events(), tasks: app.tasks.clone() }));
    let withdraw = WithdrawEvents { events: events(), learning: app.learning.clone() };
    runner.register(WITHDRAW_JOB, Arc::new(withdraw));
    let kept = 24 * HOUR * app.config.events.kept_days;
    let check = CheckEvents { events: events(), clock: Arc::clone(&clock), tasks: app.tasks.clone() };
    runner.register("events.check", Arc::new(check));
    let tidy = TidyEvents { events: events(), clock, kept, tasks: app.tasks.clone() };
    runner.register("events.tidy", Arc::new(tidy));
    let deliveries = SweepDeliveries(app.alerting.clone(), app.tasks.clone());
    runner.register("alerting.sweep", Arc::new(deliveries));
    runner.register("monitors.sweep", Arc::new(SweepMonitors(app.monitors.clone(), app.tasks.clone())));
    runner
}

/// What enqueues them, once in the whole installation.
pub(crate) fn scheduler(app: &App) -> Scheduler {
    let every = |name: &'static str, period| Schedule {
        name,
        when: When::Every(period),
        job: NewJob::new(name, Value::Null),
    };
    let hours = [
        "privacy.rotate_salts",
        "intake.sweep",
        "errors.sweep_releases",
        "monitors.sweep",
        "alerting.sweep",
        "events.tidy",
        SWEEP_JOB,
        MOVE_EVENTS_JOB,
        sweep::JOB,
    ];
    let mut schedules = hours.map(|name| every(name, HOUR)).to_vec();
    schedules.push(every("error-tracking.wake_issues", MINUTE));
    schedules.push(every("monitors.judge", MINUTE));
    schedules.push(every("events.seal", MINUTE));
    let night = When::DailyAtUtc { hour: 3, minute: 20 };
    let check = NewJob::new("events.check", Value::Null);
    schedules.push(Schedule { name: "events.check", when: night, job: check });
    // Small blocks are joined soon, so that a search reads few.
    schedules.push(every("logs.sweep", 5 * MINUTE));
    Scheduler::new(app.jobs.clone(), schedules)
}
