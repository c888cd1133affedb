//! Check-ins into runs: what the digestion of a batch does with them.

use std::collections::{BTreeMap, HashSet};

use belvedere_kernel::{Actor, AuditSink, Entry, ProjectId, ScrubRules, Target};
use belvedere_storage::{Id, StorageError, Timestamp, Tx};
use serde_json::{Value, json};

use super::check_in::ReceivedCheckIn;
use super::failure::Failures;
use super::judge::{Consequence, due_until, is_early_for, next_expected, runs_until};
use super::model::{CheckInStatus, Monitor, MonitorConfig};
use super::store::{self, EnvironmentId, EnvironmentRow, RunRow};
use crate::digest::DigestedEvent;
use crate::store::{IssueState, NewActivity, find_states_in, insert_activities, set_states_in};
use crate::triage::{ActivityKind, Substatus};
use crate::{IssueId, IssueStatus};

/// The most monitors of a project.
pub(super) const MONITORS_MAX: u64 = 500;

/// The most environments of a monitor.
const ENVIRONMENTS_MAX: usize = 20;

/// What became of a check-in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CheckInOutcome {
    Stored,
    Dropped(&'static str),
}

/// What some check-ins or deadlines amounted to.
#[derive(Default)]
pub(crate) struct TakenIn {
    /// Of each check-in, in their order.
    pub(crate) outcomes: Vec<CheckInOutcome>,
    /// Events of failures, to be stored in the same transaction.
    pub(crate) events: Vec<DigestedEvent>,
    /// The environments that these events are of.
    environments: Vec<EnvironmentId>,
    /// Environments that recovered and have not failed again, with their issues as known before.
    recovered: BTreeMap<EnvironmentId, (ProjectId, Option<IssueId>)>,
    rates: BTreeMap<(ProjectId, EnvironmentId, i64), (i64, i64)>,
}

impl TakenIn {
    /// Counts the end of a run and does what follows from it.
    pub(super) fn end_run(
        &mut self,
        monitor: &Monitor,
        environment: &mut EnvironmentRow,
        run: &RunRow,
        ended_at: Timestamp,
        failures: &mut Failures<'_>,
    ) {
        let hour = ended_at.as_seconds().div_euclid(3_600);
        let is_failure = run.status.is_failure();
        if is_failure || run.status == CheckInStatus::Ok {
            let rate = self.rates.entry((monitor.project, environment.id, hour)).or_default();
            if is_failure { rate.1 += 1 } else { rate.0 += 1 }
        }
        if monitor.is_paused {
            return;
        }
        match environment.standing.count(run.status, &monitor.config) {
            Consequence::Nothing => {}
            Consequence::Report => {
                self.recovered.remove(&environment.id);
                if !monitor.is_muted
                    && let Some(event) = failures.digest(monitor, environment, run, ended_at)
                {
                    self.events.push(event);
                    self.environments.push(environment.id);
                }
            }
            Consequence::Recover => {
                self.recovered.insert(environment.id, (monitor.project, environment.issue));
            }
        }
    }

    /// Writes what was counted.
    pub(super) async fn finish_in(&self, tx: &Tx) -> Result<(), StorageError> {
        store::add_rates(tx, &self.rates).await
    }
}

/// Writes check-ins, in their order, and says what follows. Monitors are locked by project and slug, before
/// anything else of a batch.
pub(crate) async fn take_in(
    tx: &Tx,
    audit: &dyn AuditSink,
    rules: &dyn ScrubRules,
    check_ins: &[ReceivedCheckIn],
    now: Timestamp,
) -> Result<TakenIn, StorageError> {
    let mut taken = TakenIn { outcomes: vec![CheckInOutcome::Stored; check_ins.len()], ..TakenIn::default() };
    let mut failures = Failures::new(rules, now);
    let mut groups: BTreeMap<(ProjectId, &str), Vec<usize>> = BTreeMap::new();
    for (index, check_in) in check_ins.iter().enumerate() {
        groups.entry((check_in.project, &check_in.slug)).or_default().push(index);
    }
    for ((project, slug), indexes) in groups {
        let config = indexes.iter().find_map(|index| check_ins[*index].config.as_ref());
        let Some(monitor) = find_or_create(tx, audit, project, slug, config, now).await? else {
            let reason = if config.is_some() { "too_many_monitors" } else { "unknown_monitor" };
            for index in indexes {
                taken.outcomes[index] = CheckInOutcome::Dropped(reason);
            }
            continue;
        };
        let environments = store::list_environments(tx, project, monitor.id).await?;
        let mut desk = Desk { tx, audit, monitor, environments, changed: HashSet::new(), now };
        for index in indexes {
            taken.outcomes[index] = desk.take(&check_ins[index], &mut taken, &mut failures).await?;
        }
        for environment in desk.environments.iter().filter(|row| desk.changed.contains(&row.id)) {
            store::update_environment(tx, project, environment).await?;
        }
    }
    taken.finish_in(tx).await?;
    Ok(taken)
}

/// After the events of `taken` are stored: links environments with their issues, and resolves those of environments
/// that recovered. `issues_of` are the issues of its events, in their order.
pub(crate) async fn track_issues_in(
    tx: &Tx,
    taken: &TakenIn,
    issues_of: &[Option<IssueId>],
    now: Timestamp,
) -> Result<(), StorageError> {
    let mut issues: BTreeMap<EnvironmentId, (ProjectId, IssueId)> = BTreeMap::new();
    for ((environment, event), issue) in taken.environments.iter().zip(&taken.events).zip(issues_of) {
        if let Some(issue) = issue {
            issues.insert(*environment, (event.project, *issue));
        }
    }
    for (environment, (project, issue)) in &issues {
        store::set_issue(tx, *project, *environment, *issue).await?;
    }
    for (environment, (project, known)) in &taken.recovered {
        if let Some(issue) = issues.get(environment).map(|(_, issue)| *issue).or(*known) {
            resolve_in(tx, *project, issue, now).await?;
        }
    }
    Ok(())
}

/// Resolves an issue that is unresolved, with an entry on its timeline.
async fn resolve_in(tx: &Tx, project: ProjectId, issue: IssueId, now: Timestamp) -> Result<(), StorageError> {
    let found = find_states_in(tx, project, &[issue]).await?;
    if found.first().is_none_or(|former| former.state.status != IssueStatus::Unresolved) {
        return Ok(());
    }
    let state = IssueState {
        status: IssueStatus::Resolved,
        substatus: Substatus::default(),
        condition: None,
        until: None,
    };
    set_states_in(tx, project, &[(issue, state)]).await?;
    let detail = json!({ "from": IssueStatus::Unresolved.as_str(), "to": IssueStatus::Resolved.as_str() });
    let entry = NewActivity::new(project, issue, ActivityKind::Status, Actor::System("monitors"));
    insert_activities(tx, vec![NewActivity { detail, ..entry }], now).await?;
    Ok(())
}

async fn find_or_create(
    tx: &Tx,
    audit: &dyn AuditSink,
    project: ProjectId,
    slug: &str,
    config: Option<&MonitorConfig>,
    now: Timestamp,
) -> Result<Option<Monitor>, StorageError> {
    if let Some(monitor) = store::lock_monitor(tx, project, slug).await? {
        return Ok(Some(monitor));
    }
    let Some(config) = config else { return Ok(None) };
    if store::count_monitors(tx, project).await? >= MONITORS_MAX {
        return Ok(None);
    }
    let monitor = Monitor {
        id: Id::generate(now),
        project,
        slug: slug.to_owned(),
        name: slug.to_owned(),
        config: config.clone(),
        is_paused: false,
        is_muted: false,
        created_at: now,
    };
    if store::insert_monitor(tx, &monitor).await? {
        audit.record(tx, upserted(&monitor, "monitor_created", settings(config))).await?;
    }
    store::lock_monitor(tx, project, slug).await
}

/// Waits in `environment` for a run that is due at `next`.
pub(super) fn wait_for(monitor: &Monitor, environment: &mut EnvironmentRow, next: Option<Timestamp>) {
    environment.next_expected_at = next;
    environment.due_until = next.filter(|_| !monitor.is_paused).map(|next| due_until(&monitor.config, next));
}

/// The settings of a monitor for the audit log.
pub(super) fn settings(config: &MonitorConfig) -> Value {
    json!({
        "schedule": config.schedule.to_string(),
        "timezone": config.time_zone,
        "checkin_margin": config.margin_minutes,
        "max_runtime": config.max_runtime_minutes,
        "failure_issue_threshold": config.failure_threshold,
        "recovery_threshold": config.recovery_threshold,
    })
}

fn upserted(monitor: &Monitor, action: &'static str, detail: Value) -> Entry {
    Entry {
        project: Some(monitor.project),
        target: Some(Target { kind: "monitor", id: monitor.slug.clone() }),
        detail,
        ..Entry::new(Actor::System("check_in"), action)
    }
}

/// One monitor while check-ins are entered.
struct Desk<'a> {
    tx: &'a Tx,
    audit: &'a dyn AuditSink,
    monitor: Monitor,
    environments: Vec<EnvironmentRow>,
    changed: HashSet<EnvironmentId>,
    now: Timestamp,
}

impl Desk<'_> {
    async fn take(
        &mut self,
        check_in: &ReceivedCheckIn,
        taken: &mut TakenIn,
        failures: &mut Failures<'_>,
    ) -> Result<CheckInOutcome, StorageError> {
        if let Some(config) = &check_in.config
            && *config != self.monitor.config
        {
            let detail = json!({ "from": settings(&self.monitor.config), "to": settings(config) });
            self.monitor.config = config.clone();
            store::update_monitor(self.tx, &self.monitor).await?;
            for environment in self.environments.iter_mut().filter(|row| row.next_expected_at.is_some()) {
                wait_for(&self.monitor, environment, next_expected(config, check_in.received_at, None));
                self.changed.insert(environment.id);
            }
            self.audit.record(self.tx, upserted(&self.monitor, "monitor_changed", detail)).await?;
        }
        let Some(at) = self.environment(&check_in.environment).await? else {
            return Ok(CheckInOutcome::Dropped("too_many_environments"));
        };
        let existing = match check_in.check_in_id {
            Some(id) => store::find_run(self.tx, &self.monitor, id).await?,
            None if check_in.status == CheckInStatus::InProgress => None,
            None => {
                store::find_newest_in_progress(self.tx, self.monitor.project, self.environments[at].id)
                    .await?
            }
        };
        match existing {
            Some(run) => self.go_on(run, check_in, taken, failures).await,
            None => self.begin(at, check_in, taken, failures).await,
        }
    }

    async fn environment(&mut self, name: &str) -> Result<Option<usize>, StorageError> {
        if let Some(at) = self.environments.iter().position(|row| row.name == name) {
            return Ok(Some(at));
        }
        if self.environments.len() >= ENVIRONMENTS_MAX {
            return Ok(None);
        }
        let row = EnvironmentRow {
            id: Id::generate(self.now),
            monitor: self.monitor.id,
            name: name.to_owned(),
            standing: super::judge::Standing::default(),
            last_status: None,
            last_run_at: None,
            next_expected_at: None,
            due_until: None,
            issue: None,
        };
        store::insert_environment(self.tx, self.monitor.project, &row).await?;
        self.environments.push(row);
        Ok(Some(self.environments.len() - 1))
    }

    /// A run's first check-in.
    async fn begin(
        &mut self,
        at: usize,
        check_in: &ReceivedCheckIn,
        taken: &mut TakenIn,
        failures: &mut Failures<'_>,
    ) -> Result<CheckInOutcome, StorageError> {
        let (monitor, environment) = (&self.monitor, &mut self.environments[at]);
        let is_over = check_in.status != CheckInStatus::InProgress;
        let received_at = check_in.received_at;
        let duration = check_in.duration_ms.filter(|_| is_over);
        let started_at = Timestamp::from_micros(received_at.as_micros() - duration.unwrap_or(0) * 1_000);
        let expected_at = environment.next_expected_at.filter(|expected| {
            *expected <= received_at || is_early_for(&monitor.config, received_at, *expected)
        });
        let run = RunRow {
            id: Id::generate(self.now),
            environment: environment.id,
            check_in_id: Id::from_bytes(
                check_in.check_in_id.unwrap_or(Id::<()>::generate(self.now).to_bytes()),
            ),
            status: check_in.status,
            started_at,
            expected_at,
            duration_ms: duration,
            due_until: (!is_over && !monitor.is_paused).then(|| runs_until(&monitor.config, received_at)),
            release: check_in.release.clone(),
            trace_id: check_in.trace_id.map(Id::from_bytes),
        };
        if !store::insert_run(self.tx, monitor, &run).await? {
            return Ok(CheckInOutcome::Dropped("duplicate"));
        }
        // A check-in that waited for its digestion does not turn the clock back.
        if environment.last_run_at.is_none_or(|last| last <= started_at) {
            environment.last_status = Some(run.status);
            environment.last_run_at = Some(started_at);
        }
        let next = next_expected(&monitor.config, received_at, environment.next_expected_at);
        if next > environment.next_expected_at {
            wait_for(monitor, environment, next);
        }
        if is_over {
            taken.end_run(monitor, environment, &run, received_at, failures);
        }
        self.changed.insert(environment.id);
        Ok(CheckInOutcome::Stored)
    }

    /// A further check-in of a run.
    async fn go_on(
        &mut self,
        mut run: RunRow,
        check_in: &ReceivedCheckIn,
        taken: &mut TakenIn,
        failures: &mut Failures<'_>,
    ) -> Result<CheckInOutcome, StorageError> {
        let monitor = &self.monitor;
        if run.status != CheckInStatus::InProgress {
            return Ok(CheckInOutcome::Dropped("duplicate"));
        }
        let received_at = check_in.received_at;
        run.release = run.release.or_else(|| check_in.release.clone());
        run.status = check_in.status;
        if check_in.status == CheckInStatus::InProgress {
            // Long jobs say again that they run, and get their time anew.
            run.due_until = (!monitor.is_paused).then(|| runs_until(&monitor.config, received_at));
            store::update_run(self.tx, monitor.project, &run).await?;
            return Ok(CheckInOutcome::Stored);
        }
        let passed = received_at.as_micros().saturating_sub(run.started_at.as_micros()).max(0) / 1_000;
        run.duration_ms = Some(check_in.duration_ms.unwrap_or(passed));
        run.due_until = None;
        store::update_run(self.tx, monitor.project, &run).await?;
        if let Some(environment) = self.environments.iter_mut().find(|row| row.id == run.environment) {
            if environment.last_run_at.is_none_or(|last| last <= run.started_at) {
                environment.last_status = Some(run.status);
                environment.last_run_at = Some(run.started_at);
            }
            taken.end_run(monitor, environment, &run, received_at, failures);
            self.changed.insert(environment.id);
        }
        Ok(CheckInOutcome::Stored)
    }
}
