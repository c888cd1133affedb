//! Monitored jobs and their runs.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use belvedere_error_tracking::IssueId;
use belvedere_error_tracking::monitors::{
    ChangeMonitor, ChangedBy, CheckInStatus, ListCheckIns, ListMonitors, MonitorConfig, MonitorEnvironment,
    MonitorOverview, MonitorSwitches, RunRate, RunSummary, Schedule,
};
use belvedere_kernel::ProjectId;
use belvedere_storage::{Page, Timestamp};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::answer::List;
use super::input::{InProject, JsonBody, Parameters, PathText, page, project};
use crate::problem::Problem;
use crate::routes::Caller;
use crate::state::Shared;

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct MonitorsWanted {
    /// The project's number or slug; may be left out while there is only one.
    project: Option<String>,
    /// Only what runs in this environment.
    environment: Option<String>,
    /// Rows on a page, 1 to 200; 50 if left out.
    limit: Option<u16>,
    /// `next` of the page before.
    cursor: Option<String>,
}

/// How often a job runs.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum ScheduleWords {
    /// At the times that five fields name.
    Crontab {
        /// `minute hour day month weekday`, or `@daily` and the like.
        value: String,
    },
    /// So long after the run before.
    Interval {
        /// How many units, 1 to 10,000.
        value: u32,
        /// `minute`, `hour`, `day`, `week`, `month` or `year`.
        unit: String,
    },
}

impl ScheduleWords {
    fn of(schedule: &Schedule) -> Self {
        match schedule {
            Schedule::Crontab(crontab) => Self::Crontab { value: crontab.to_string() },
            Schedule::Interval { every, unit } => {
                Self::Interval { value: *every, unit: unit.as_str().to_owned() }
            }
        }
    }

    fn parse(&self) -> Result<Schedule, Problem> {
        let parsed = match self {
            Self::Crontab { value } => {
                belvedere_error_tracking::monitors::Crontab::parse(value).map(Schedule::Crontab)
            }
            Self::Interval { value, unit } => Schedule::interval(*value, unit),
        };
        parsed.map_err(|error| Problem::invalid("schedule", error))
    }
}

/// A monitor that is to be made or changed.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct MonitorBody {
    /// Its name in check-ins: lower-case letters, digits, `_` and `-`; at most 50. Not to be changed later.
    #[serde(default)]
    slug: String,
    /// Its name for people; the slug if left out.
    #[serde(default)]
    name: String,
    /// How often it runs.
    schedule: ScheduleWords,
    /// The IANA time zone of the schedule; UTC if left out.
    timezone: Option<String>,
    /// How many minutes late it may begin, 1 to 1,440; 1 if left out.
    checkin_margin: Option<u32>,
    /// How many minutes it may take, 1 to 40,320; 30 if left out.
    max_runtime: Option<u32>,
    /// After how many failures in a row there is an issue, 1 to 100; 1 if left out.
    failure_issue_threshold: Option<u32>,
    /// After how many successes in a row the issue is resolved, 1 to 100; 1 if left out.
    recovery_threshold: Option<u32>,
    /// Whether nobody waits for its runs; as it was if left out.
    is_paused: Option<bool>,
    /// Whether its failures make no issues; as it was if left out.
    is_muted: Option<bool>,
}

impl MonitorBody {
    fn change(&self) -> Result<ChangeMonitor, Problem> {
        let usual = MonitorConfig::new(self.schedule.parse()?);
        let config = MonitorConfig {
            time_zone: self.timezone.clone().unwrap_or(usual.time_zone),
            margin_minutes: self.checkin_margin.unwrap_or(usual.margin_minutes),
            max_runtime_minutes: self.max_runtime.unwrap_or(usual.max_runtime_minutes),
            failure_threshold: self.failure_issue_threshold.unwrap_or(usual.failure_threshold),
            recovery_threshold: self.recovery_threshold.unwrap_or(usual.recovery_threshold),
            schedule: usual.schedule,
        };
        Ok(ChangeMonitor { slug: self.slug.clone(), name: self.name.clone(), config })
    }

    fn switches(&self) -> MonitorSwitches {
        MonitorSwitches { is_paused: self.is_paused, is_muted: self.is_muted }
    }
}

/// A monitored job.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct MonitorAnswer {
    /// Its name in check-ins.
    slug: String,
    /// Its name for people.
    name: String,
    /// How often it runs.
    schedule: ScheduleWords,
    /// The time zone of the schedule.
    timezone: String,
    /// How many minutes late it may begin.
    checkin_margin: u32,
    /// How many minutes it may take.
    max_runtime: u32,
    /// After how many failures in a row there is an issue.
    failure_issue_threshold: u32,
    /// After how many successes in a row the issue is resolved.
    recovery_threshold: u32,
    /// Whether nobody waits for its runs.
    is_paused: bool,
    /// Whether its failures make no issues.
    is_muted: bool,
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    /// How it stands in each environment.
    environments: Vec<EnvironmentAnswer>,
}

/// A monitored job in one environment.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct EnvironmentAnswer {
    /// `production`, `staging`, ..
    environment: String,
    /// Whether it has failed often enough for an issue, and not yet recovered.
    is_failing: bool,
    /// Failures since the last success.
    failures_in_row: u32,
    /// `in_progress`, `ok`, `error`, `missed`, `timeout` or `unknown`.
    last_status: Option<&'static str>,
    /// When its newest run began.
    #[schema(value_type = Option<String>, format = DateTime)]
    last_run_at: Option<Timestamp>,
    /// When the next run is due.
    #[schema(value_type = Option<String>, format = DateTime)]
    next_expected_at: Option<Timestamp>,
    /// The issue of its failures.
    #[schema(value_type = Option<String>)]
    issue: Option<IssueId>,
    /// Runs that ended in the last 24 hours.
    last_day: RateAnswer,
    /// Runs that ended in the last 30 days.
    last_month: RateAnswer,
}

/// Runs by how they ended.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct RateAnswer {
    /// Ended well.
    ok: u64,
    /// Failed, missed or timed out.
    failed: u64,
}

impl From<RunRate> for RateAnswer {
    fn from(rate: RunRate) -> Self {
        Self { ok: rate.ok, failed: rate.failed }
    }
}

/// One run of a monitored job.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct CheckInAnswer {
    /// The client's id, 32 hexadecimal digits; one of ours for a run that never reported.
    check_in_id: String,
    /// Where it ran.
    environment: String,
    /// `in_progress`, `ok`, `error`, `missed`, `timeout` or `unknown`.
    status: &'static str,
    /// When it began; for a missed run, when it was due.
    #[schema(value_type = String, format = DateTime)]
    started_at: Timestamp,
    /// When it was due, where that is known.
    #[schema(value_type = Option<String>, format = DateTime)]
    expected_at: Option<Timestamp>,
    /// How long it took, in milliseconds.
    duration_ms: Option<u64>,
    /// The release that ran.
    release: Option<String>,
    /// The trace it belongs to.
    trace_id: Option<String>,
}

impl From<MonitorOverview> for MonitorAnswer {
    fn from(overview: MonitorOverview) -> Self {
        let monitor = overview.monitor;
        Self {
            schedule: ScheduleWords::of(&monitor.config.schedule),
            slug: monitor.slug,
            name: monitor.name,
            timezone: monitor.config.time_zone,
            checkin_margin: monitor.config.margin_minutes,
            max_runtime: monitor.config.max_runtime_minutes,
            failure_issue_threshold: monitor.config.failure_threshold,
            recovery_threshold: monitor.config.recovery_threshold,
            is_paused: monitor.is_paused,
            is_muted: monitor.is_muted,
            created_at: monitor.created_at,
            environments: overview.environments.into_iter().map(EnvironmentAnswer::from).collect(),
        }
    }
}

impl From<MonitorEnvironment> for EnvironmentAnswer {
    fn from(environment: MonitorEnvironment) -> Self {
        Self {
            environment: environment.environment,
            is_failing: environment.is_failing,
            failures_in_row: environment.failures_in_row,
            last_status: environment.last_status.map(CheckInStatus::as_str),
            last_run_at: environment.last_run_at,
            next_expected_at: environment.next_expected_at,
            issue: environment.issue,
            last_day: environment.day.into(),
            last_month: environment.month.into(),
        }
    }
}

impl From<RunSummary> for CheckInAnswer {
    fn from(run: RunSummary) -> Self {
        Self {
            check_in_id: run.check_in_id,
            environment: run.environment,
            status: run.status.as_str(),
            started_at: run.started_at,
            expected_at: run.expected_at,
            duration_ms: run.duration_ms,
            release: run.release,
            trace_id: run.trace_id,
        }
    }
}

/// List monitored jobs
#[utoipa::path(get, path = "/api/v1/monitors", tag = "monitors", params(MonitorsWanted),
    responses((status = 200, description = "A page of monitors by slug", body = List<MonitorAnswer>)))]
pub(super) async fn list_monitors(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Parameters(wanted): Parameters<MonitorsWanted>,
) -> Result<Json<List<MonitorAnswer>>, Problem> {
    let project = project(&shared, &caller, wanted.project.as_deref()).await?;
    let page = page(wanted.limit, wanted.cursor)?;
    let query = ListMonitors { project: project.id, environment: wanted.environment, page };
    let found: Page<MonitorOverview> = shared.monitors.list_monitors(query).await?;
    Ok(List::of(found, MonitorAnswer::from))
}

/// Make a monitored job
#[utoipa::path(post, path = "/api/v1/monitors", tag = "monitors", params(InProject), request_body = MonitorBody,
    responses((status = 201, description = "The monitor", body = MonitorAnswer)))]
pub(super) async fn create_monitor(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    InProject(project): InProject,
    JsonBody(body): JsonBody<MonitorBody>,
) -> Result<(StatusCode, Json<MonitorAnswer>), Problem> {
    let by = changed_by(&caller, project.id);
    let made = shared.monitors.create_monitor(by.clone(), body.change()?).await?;
    if body.switches() != MonitorSwitches::default() {
        shared.monitors.switch_monitor(by, &made.slug, body.switches()).await?;
    }
    Ok((StatusCode::CREATED, Json(read(&shared, project.id, &made.slug).await?)))
}

/// Read a monitored job
#[utoipa::path(get, path = "/api/v1/monitors/{slug}", tag = "monitors",
    params(("slug" = String, Path, description = "The monitor's slug"), InProject),
    responses((status = 200, description = "The monitor", body = MonitorAnswer)))]
pub(super) async fn find_monitor(
    State(shared): State<Arc<Shared>>,
    PathText(slug): PathText,
    InProject(project): InProject,
) -> Result<Json<MonitorAnswer>, Problem> {
    Ok(Json(read(&shared, project.id, &slug).await?))
}

/// Change a monitored job
#[utoipa::path(put, path = "/api/v1/monitors/{slug}", tag = "monitors", request_body = MonitorBody,
    params(("slug" = String, Path, description = "The monitor's slug"), InProject),
    responses((status = 200, description = "The monitor after the change", body = MonitorAnswer)))]
pub(super) async fn update_monitor(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    PathText(slug): PathText,
    InProject(project): InProject,
    JsonBody(body): JsonBody<MonitorBody>,
) -> Result<Json<MonitorAnswer>, Problem> {
    if !body.slug.is_empty() && body.slug != slug {
        return Err(Problem::invalid("slug", "cannot be changed"));
    }
    let by = changed_by(&caller, project.id);
    shared.monitors.update_monitor(by.clone(), &slug, body.change()?).await?;
    shared.monitors.switch_monitor(by, &slug, body.switches()).await?;
    Ok(Json(read(&shared, project.id, &slug).await?))
}

/// Delete a monitored job with its runs
#[utoipa::path(delete, path = "/api/v1/monitors/{slug}", tag = "monitors",
    params(("slug" = String, Path, description = "The monitor's slug"), InProject),
    responses((status = 204, description = "It is gone; its issues stay")))]
pub(super) async fn delete_monitor(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    PathText(slug): PathText,
    InProject(project): InProject,
) -> Result<StatusCode, Problem> {
    shared.monitors.delete_monitor(changed_by(&caller, project.id), &slug).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// List a monitored job's runs, newest first
#[utoipa::path(get, path = "/api/v1/monitors/{slug}/check_ins", tag = "monitors",
    params(("slug" = String, Path, description = "The monitor's slug"), MonitorsWanted),
    responses((status = 200, description = "A page of runs", body = List<CheckInAnswer>)))]
pub(super) async fn list_check_ins(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    PathText(slug): PathText,
    Parameters(wanted): Parameters<MonitorsWanted>,
) -> Result<Json<List<CheckInAnswer>>, Problem> {
    let project = project(&shared, &caller, wanted.project.as_deref()).await?;
    let page = page(wanted.limit, wanted.cursor)?;
    let query = ListCheckIns { project: project.id, slug, environment: wanted.environment, page };
    Ok(List::of(shared.monitors.list_check_ins(query).await?, CheckInAnswer::from))
}

async fn read(shared: &Shared, project: ProjectId, slug: &str) -> Result<MonitorAnswer, Problem> {
    let found = shared.monitors.find_monitor(project, slug).await?;
    found.map(MonitorAnswer::from).ok_or_else(|| Problem::not_found("monitor"))
}

fn changed_by(caller: &Caller, project: ProjectId) -> ChangedBy {
    ChangedBy {
        actor: caller.principal.actor,
        organisation: caller.principal.organisation,
        project,
        request_id: caller.client.request_id.clone(),
    }
}
