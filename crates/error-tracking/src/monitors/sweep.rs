//! Deadlines that have passed, and what is kept too long.
//!
//! Whoever judges does it monitor by monitor: under the lock of the monitor its deadlines are read again, judged and
//! moved in one transaction, so that two workers, or one that starts again, find nothing left to judge twice.
//!
//! Runs of which nothing could be heard are told from missed ones in two ways. What the intake has accepted and not
//! digested yet is waited for: deadlines are judged up to the instant until which everything accepted is digested. And
//! when Belvedere was away itself (no judging for more than three minutes, or the door opened only after the last
//! judging), that time is written down; a run whose time to report lies in it, even in part, is `unknown`.

use std::time::Duration;

use belvedere_kernel::ProjectId;
use belvedere_storage::{Id, StorageError, Timestamp, Tx};

use super::check_in::id_of_missed;
use super::failure::Failures;
use super::intake::{TakenIn, track_issues_in, wait_for};
use super::judge::due_until;
use super::model::{CheckInStatus, Monitor, Swept};
use super::service::MonitorsService;
use super::store::{self, EnvironmentRow, RunRow};
use crate::limits::StorageChange;
use crate::store::{admit_in, store_events_in};

/// A longer time between two judgings means that Belvedere was away. (It judges every minute.)
const AWAY_MIN: Duration = Duration::from_secs(180);

/// How long absences are remembered: longer than any deadline.
const ABSENCES_KEPT: Duration = Duration::from_secs(40 * 86_400);

/// How many deadlines are looked at together.
const DEADLINES: i64 = 200;

/// Of a longer pause only the runs of its last days are told, each at most once.
const TOLD_DAYS: Duration = Duration::from_secs(7 * 86_400);

/// The most runs that are told of one environment at once; of more, the newest.
const TOLD_MAX: usize = 100;

/// How long runs are kept.
const KEPT: Duration = Duration::from_secs(90 * 86_400);

/// How many runs of an environment are kept, the newest.
const KEPT_MAX: i64 = 10_000;

/// How many runs one transaction deletes.
const DELETED_AT_ONCE: i64 = 500;

impl MonitorsService {
    /// Judges all deadlines up to `settled`, until which everything that was accepted is digested. `door_open_since`
    /// is when this process began to accept, where it has the only door.
    ///
    /// # Errors
    /// When the database fails; what was judged until then stays.
    pub async fn judge(
        &self,
        settled: Timestamp,
        door_open_since: Option<Timestamp>,
        is_stopped: impl Fn() -> bool + Send,
    ) -> Result<Swept, StorageError> {
        let now = self.clock.now();
        self.db.write(async |tx| note_absence_in(tx, now, door_open_since).await).await?;
        let absences = store::list_absences(self.db.read(), now.minus(ABSENCES_KEPT)).await?;
        let mut swept = Swept::default();
        let mut judged: Vec<(ProjectId, String)> = Vec::new();
        while !is_stopped() {
            let mut due = store::list_due(self.db.read(), settled, DEADLINES).await?;
            // Every monitor once: what is due again by then waits for the next minute.
            due.retain(|key| !judged.contains(key));
            if due.is_empty() {
                break;
            }
            for (project, slug) in due {
                let found = self.judge_monitor(project, &slug, settled, &absences).await?;
                swept.missed += found.missed;
                swept.timed_out += found.timed_out;
                swept.unknown += found.unknown;
                judged.push((project, slug));
            }
        }
        Ok(swept)
    }

    async fn judge_monitor(
        &self,
        project: ProjectId,
        slug: &str,
        settled: Timestamp,
        absences: &[(Timestamp, Timestamp)],
    ) -> Result<Swept, StorageError> {
        let now = self.clock.now();
        let rules = self.scrubber.load(&[project]).await?;
        self.db
            .write(async |tx| {
                let Some(monitor) = store::lock_monitor(tx, project, slug).await? else {
                    return Ok(Swept::default());
                };
                let mut bench = Bench {
                    tx,
                    environments: store::list_environments(tx, project, monitor.id).await?,
                    monitor,
                    settled,
                    absences,
                    taken: TakenIn::default(),
                    swept: Swept::default(),
                };
                let mut failures = Failures::new(&*rules, now);
                bench.end_late_runs(&mut failures).await?;
                bench.tell_missed_runs(now, &mut failures).await?;
                let Bench { taken, swept, .. } = bench;
                taken.finish_in(tx).await?;
                if !taken.events.is_empty() {
                    let people = taken.events.iter().map(|event| (event.project, &event.identity));
                    let subjects = admit_in(tx, &*self.gate, people).await?;
                    let written = store_events_in(tx, &taken.events, &subjects, now).await?;
                    let mut storage = StorageChange::default();
                    written.add_storage(&taken.events, &mut storage);
                    storage.store_in(tx).await?;
                    track_issues_in(tx, &taken, &written.issues_of, now).await?;
                    let projects: Vec<ProjectId> =
                        written.issues_of.iter().flatten().map(|_| project).collect();
                    let messages = crate::intake::live_messages(&written.touched, &projects);
                    let bus = self.bus.clone();
                    tx.after_commit(move || messages.into_iter().for_each(|message| bus.publish(message)));
                }
                if swept != Swept::default() {
                    self.announce_in(tx, project);
                }
                Ok(swept)
            })
            .await
    }

    /// Deletes runs that are older than 90 days or beyond the newest 10,000 of their environment; how many.
    ///
    /// # Errors
    /// When the database fails; what was deleted until then stays so.
    pub async fn sweep(&self, is_stopped: impl Fn() -> bool + Send) -> Result<u64, StorageError> {
        let oldest = self.clock.now().minus(KEPT);
        let mut deleted = 0;
        let mut after = None;
        loop {
            let environments = store::list_environment_ids(self.db.read(), after, DEADLINES).await?;
            let Some((_, last)) = environments.last() else { return Ok(deleted) };
            after = Some(*last);
            for (project, environment) in environments {
                loop {
                    if is_stopped() {
                        return Ok(deleted);
                    }
                    let limits = (oldest, KEPT_MAX, DELETED_AT_ONCE);
                    let gone = self
                        .db
                        .write(async |tx| {
                            let hour = oldest.as_seconds().div_euclid(3_600);
                            store::delete_old_hours(tx, project, environment, hour).await?;
                            store::delete_old_runs(tx, project, environment, limits).await
                        })
                        .await?;
                    deleted += gone;
                    if gone < DELETED_AT_ONCE as u64 {
                        break;
                    }
                }
            }
        }
    }
}

/// Moves the clock of the judging, and writes down the time in which nobody could be heard.
async fn note_absence_in(
    tx: &Tx,
    now: Timestamp,
    door_open_since: Option<Timestamp>,
) -> Result<(), StorageError> {
    let Some(former) = store::move_clock(tx, now).await? else { return Ok(()) };
    let until = if now.since(former) > AWAY_MIN {
        Some(now)
    } else {
        door_open_since.filter(|since| *since > former)
    };
    match until {
        Some(until) => store::insert_absence(tx, former, until, now.minus(ABSENCES_KEPT)).await,
        None => Ok(()),
    }
}

/// One monitor while its deadlines are judged.
struct Bench<'a> {
    tx: &'a Tx,
    monitor: Monitor,
    environments: Vec<EnvironmentRow>,
    settled: Timestamp,
    absences: &'a [(Timestamp, Timestamp)],
    taken: TakenIn,
    swept: Swept,
}

impl Bench<'_> {
    /// Whether Belvedere was away in a part of the time.
    fn was_away(&self, from: Timestamp, until: Timestamp) -> bool {
        self.absences.iter().any(|(away, back)| *away < until && *back > from)
    }

    async fn end_late_runs(&mut self, failures: &mut Failures<'_>) -> Result<(), StorageError> {
        for mut run in store::list_due_runs(self.tx, &self.monitor, self.settled).await? {
            let Some(ended_at) = run.due_until.take() else { continue };
            run.status = if self.monitor.is_paused || self.was_away(run.started_at, ended_at) {
                CheckInStatus::Unknown
            } else {
                CheckInStatus::Timeout
            };
            store::update_run(self.tx, self.monitor.project, &run).await?;
            let Some(environment) = self.environments.iter_mut().find(|row| row.id == run.environment) else {
                continue;
            };
            if environment.last_run_at == Some(run.started_at) {
                environment.last_status = Some(run.status);
            }
            match run.status {
                CheckInStatus::Timeout => self.swept.timed_out += 1,
                _ => self.swept.unknown += 1,
            }
            self.taken.end_run(&self.monitor, environment, &run, ended_at, failures);
            store::update_environment(self.tx, self.monitor.project, environment).await?;
        }
        Ok(())
    }

    async fn tell_missed_runs(
        &mut self,
        now: Timestamp,
        failures: &mut Failures<'_>,
    ) -> Result<(), StorageError> {
        for at in 0..self.environments.len() {
            let due = self.due_times(at);
            if due.is_empty() {
                continue;
            }
            for expected_at in due {
                let deadline = due_until(&self.monitor.config, expected_at);
                let was_away = self.was_away(expected_at, deadline);
                let status = if was_away { CheckInStatus::Unknown } else { CheckInStatus::Missed };
                let environment = &mut self.environments[at];
                let run = RunRow {
                    id: Id::generate(now),
                    environment: environment.id,
                    check_in_id: Id::from_bytes(id_of_missed(
                        Id::from_bytes(environment.id.to_bytes()),
                        expected_at,
                    )),
                    status,
                    started_at: expected_at,
                    expected_at: Some(expected_at),
                    duration_ms: None,
                    due_until: None,
                    release: None,
                    trace_id: None,
                };
                if !store::insert_run(self.tx, &self.monitor, &run).await? {
                    continue;
                }
                environment.last_status = Some(status);
                environment.last_run_at = Some(expected_at);
                if was_away {
                    self.swept.unknown += 1
                } else {
                    self.swept.missed += 1
                }
                self.taken.end_run(&self.monitor, environment, &run, deadline, failures);
            }
            store::update_environment(self.tx, self.monitor.project, &self.environments[at]).await?;
        }
        Ok(())
    }

    /// The times of the runs that are missing now, and moves the environment to the first that may still come.
    fn due_times(&mut self, at: usize) -> Vec<Timestamp> {
        let (monitor, environment) = (&self.monitor, &mut self.environments[at]);
        let config = &monitor.config;
        let zone = config.zone();
        let mut due = std::collections::VecDeque::new();
        let mut next = environment.next_expected_at.filter(|_| environment.due_until.is_some());
        let told_from = self.settled.minus(TOLD_DAYS);
        while let Some(expected_at) = next.filter(|next| due_until(config, *next) <= self.settled) {
            if expected_at < told_from && due.is_empty() {
                // The last run before the days that are told, then straight to those.
                due.push_back(expected_at);
                next = config.schedule.next_after(told_from, &zone);
                continue;
            }
            due.push_back(expected_at);
            if due.len() > TOLD_MAX {
                due.pop_front();
            }
            next = config.schedule.next_after(expected_at, &zone);
        }
        if !due.is_empty() {
            wait_for(monitor, environment, next);
        }
        due.into()
    }
}
