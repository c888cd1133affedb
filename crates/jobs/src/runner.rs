use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use belvedere_kernel::{Tasks, error_chain, woken};
use belvedere_storage::{Id, StorageError, Timestamp, Tx};
use futures_util::FutureExt;
use serde_json::Value;
use tokio::sync::Notify;
use tokio::task::JoinSet;

use crate::model::Job;
use crate::{JobError, JobQueue, WAKE_TOPIC, store};

/// Dead jobs that are kept.
const DEAD_MAX: u64 = 10_000;
/// Characters of an error that are kept.
const ERROR_CHARS_MAX: usize = 1_000;

/// Does the jobs of one kind.
#[async_trait]
pub trait JobHandler: Send + Sync {
    /// Does `job`. It may have been done before by a worker that died before it could say so.
    async fn run(&self, job: &RunningJob) -> Result<(), JobError>;
}

/// A job in the hands of its handler.
#[derive(Debug)]
pub struct RunningJob {
    /// Its key.
    pub id: Id<Job>,
    /// Which handler it is for.
    pub kind: String,
    /// What the handler needs to know.
    pub payload: Value,
    /// Which attempt this is, from 1.
    pub attempt: u32,
    /// The last attempt's number.
    pub attempts_max: u32,
    /// When it was to be run.
    pub run_at: Timestamp,
    claim: Id<()>,
    is_finished: AtomicBool,
}

impl RunningJob {
    /// Marks the job as done in the handler's own transaction, so that its effect happens exactly once.
    ///
    /// # Errors
    /// [`JobError::Failed`] if another worker holds the job by now: the transaction must be given up.
    pub async fn finish_in(&self, tx: &Tx) -> Result<(), JobError> {
        if store::delete_claimed(tx, self.id, self.claim).await? {
            self.is_finished.store(true, Ordering::Relaxed);
            return Ok(());
        }
        Err(JobError::Failed("another worker has taken the job over".to_owned()))
    }
}

/// How jobs are run.
#[derive(Debug, Clone)]
pub struct JobRunnerConfig {
    /// How many run at the same time in this process.
    pub concurrency: usize,
    /// How long a claim stands without being renewed; at most 5 minutes. A job of a vanished worker is taken over after that.
    pub lease: Duration,
    /// How long one attempt may take.
    pub timeout: Duration,
    /// The longest pause before the second attempt; it doubles with every further one. The actual pause is a random
    /// part of it (full jitter), so that jobs that failed together do not come back together.
    pub backoff_min: Duration,
    /// The longest pause of all.
    pub backoff_max: Duration,
    /// How often to look for due jobs when nobody wakes the runner.
    pub poll: Duration,
    /// How long running jobs may go on after the process was told to stop.
    pub grace: Duration,
}

impl Default for JobRunnerConfig {
    fn default() -> Self {
        Self {
            concurrency: 4,
            lease: Duration::from_secs(60),
            timeout: Duration::from_secs(900),
            backoff_min: Duration::from_secs(5),
            backoff_max: Duration::from_secs(3_600),
            poll: Duration::from_secs(1),
            grace: Duration::from_secs(20),
        }
    }
}

/// Claims due jobs and runs them, in as many processes as one likes.
pub struct JobRunner {
    queue: JobQueue,
    config: JobRunnerConfig,
    handlers: BTreeMap<String, Arc<dyn JobHandler>>,
}

impl JobRunner {
    /// A runner that knows no kind of job yet.
    #[must_use]
    pub fn new(queue: JobQueue, config: JobRunnerConfig) -> Self {
        let lease = config.lease.clamp(Duration::from_millis(10), Duration::from_secs(300));
        let config = JobRunnerConfig { concurrency: config.concurrency.max(1), lease, ..config };
        Self { queue, config, handlers: BTreeMap::new() }
    }

    /// Jobs of `kind` go to `handler`; kinds that nobody registered wait for a process that did.
    pub fn register(&mut self, kind: impl Into<String>, handler: Arc<dyn JobHandler>) {
        self.handlers.insert(kind.into(), handler);
    }

    /// Runs jobs until `tasks` are told to stop and those that are running have ended, or used up their grace.
    pub async fn run(self, tasks: Tasks) {
        if self.handlers.is_empty() {
            return;
        }
        let mut messages = self.queue.bus.subscribe();
        let mut running = JoinSet::new();
        let mut is_stalled = false;
        while !tasks.is_stopped() {
            let free = self.config.concurrency - running.len();
            let claimed = if free == 0 { Ok(Claimed::Nothing) } else { self.claim(free).await };
            if is_stalled != claimed.is_err() {
                is_stalled = claimed.is_err();
                match &claimed {
                    Err(error) => {
                        tracing::warn!(error = error_chain(error), "jobs cannot be claimed, trying on")
                    }
                    Ok(_) => tracing::info!("jobs can be claimed again"),
                }
            }
            let pause = match claimed {
                Ok(Claimed::Jobs(jobs)) => {
                    for job in jobs {
                        running.spawn(self.attempt(job));
                    }
                    continue;
                }
                Ok(Claimed::NextIn(pause)) => pause.min(self.config.poll),
                Ok(Claimed::Nothing) | Err(_) => self.config.poll,
            };
            tokio::select! {
                () = tasks.stopped() => {}
                _ = running.join_next(), if !running.is_empty() => {}
                () = woken(&mut messages, WAKE_TOPIC) => {}
                () = tokio::time::sleep(pause) => {}
            }
        }
        let rest = async { while running.join_next().await.is_some() {} };
        if tokio::time::timeout(self.config.grace, rest).await.is_err() {
            tracing::warn!("jobs were still running at shutdown; another worker will take them over");
        }
    }

    async fn claim(&self, free: usize) -> Result<Claimed, StorageError> {
        let kinds: Vec<&str> = self.handlers.keys().map(String::as_str).collect();
        let now = self.queue.clock.now();
        // Looking costs no transaction, and most looks find nothing.
        match store::find_next_due(self.queue.db.read(), &kinds, now).await? {
            None => return Ok(Claimed::Nothing),
            Some(due) if due > now => return Ok(Claimed::NextIn(due.since(now))),
            Some(_) => {}
        }
        let claim = Id::generate(now);
        let until = now.plus(self.config.lease);
        let work = async |tx: &Tx| {
            store::bury_abandoned(tx, now).await?;
            store::claim_jobs(tx, &kinds, free, claim, now, until).await
        };
        let rows = self.queue.db.write::<_, StorageError, _>(work).await?;
        if rows.is_empty() {
            return Ok(Claimed::Nothing);
        }
        Ok(Claimed::Jobs(rows.into_iter().map(|row| (row, claim)).collect()))
    }

    /// One attempt at a claimed job, from parsing its payload to settling its outcome.
    fn attempt(
        &self,
        (row, claim): (store::ClaimedRow, Id<()>),
    ) -> impl Future<Output = ()> + Send + 'static {
        let handler = self.handlers.get(&row.kind).cloned();
        let (queue, config) = (self.queue.clone(), self.config.clone());
        async move {
            let payload = serde_json::from_str(&row.payload);
            let job = RunningJob {
                id: row.id,
                kind: row.kind,
                payload: payload.unwrap_or_default(),
                attempt: row.attempt,
                attempts_max: row.attempts_max,
                run_at: row.run_at,
                claim,
                is_finished: AtomicBool::new(false),
            };
            let outcome = match handler {
                Some(handler) => run_guarded(&*handler, &job, &queue, &config).await,
                None => Err(JobError::Failed("no handler is registered for this kind".to_owned())),
            };
            settle(&queue, &config, &job, outcome).await;
        }
    }
}

enum Claimed {
    Jobs(Vec<(store::ClaimedRow, Id<()>)>),
    NextIn(Duration),
    Nothing,
}

/// Runs the handler within its time, keeping the claim alive beside it, and turns a panic into an error.
async fn run_guarded(
    handler: &dyn JobHandler,
    job: &RunningJob,
    queue: &JobQueue,
    config: &JobRunnerConfig,
) -> Result<(), JobError> {
    let ended = Notify::new();
    let work = async {
        let work = AssertUnwindSafe(handler.run(job)).catch_unwind();
        let outcome = match tokio::time::timeout(config.timeout, work).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(panic)) => Err(JobError::Failed(format!("the handler panicked: {}", panic_text(&*panic)))),
            Err(_) => Err(JobError::Failed(format!("the attempt took longer than {:?}", config.timeout))),
        };
        ended.notify_one();
        outcome
    };
    // Joined and not awaited in turn: a handler that holds the one writer of SQLite must be able to go on while the
    // renewal waits for it.
    tokio::join!(work, keep_claim(job, queue, config, &ended)).0
}

/// Renews the claim of `job` until the attempt has `ended`.
async fn keep_claim(job: &RunningJob, queue: &JobQueue, config: &JobRunnerConfig, ended: &Notify) {
    loop {
        tokio::select! {
            () = ended.notified() => return,
            () = tokio::time::sleep(config.lease / 3) => {}
        }
        let until = queue.clock.now().plus(config.lease);
        let renewal = async |tx: &Tx| store::renew_claim(tx, job.id, job.claim, until).await;
        match queue.db.write::<_, StorageError, _>(renewal).await {
            Ok(true) => {}
            Ok(false) if job.is_finished.load(Ordering::Relaxed) => {}
            Ok(false) => {
                tracing::warn!(job = %job.id, kind = job.kind, "the claim of a running job has lapsed");
            }
            Err(error) => {
                tracing::warn!(job = %job.id, kind = job.kind, error = error_chain(&error), "a job's claim was not renewed");
            }
        }
    }
}

/// Writes the outcome down; while the database is away it goes on trying as long as the claim may stand.
async fn settle(queue: &JobQueue, config: &JobRunnerConfig, job: &RunningJob, outcome: Result<(), JobError>) {
    if job.is_finished.load(Ordering::Relaxed) && outcome.is_ok() {
        return;
    }
    let give_up_at = tokio::time::Instant::now() + config.lease;
    loop {
        let work = async |tx: &Tx| settle_in(tx, queue.clock.now(), config, job, &outcome).await;
        match queue.db.write::<_, StorageError, _>(work).await {
            Ok(true) => return,
            Ok(false) => {
                tracing::warn!(job = %job.id, kind = job.kind, "a job ended after another worker had taken it over");
                return;
            }
            Err(error) if error.is_transient() && tokio::time::Instant::now() < give_up_at => {
                tokio::time::sleep(config.poll.min(config.lease / 10)).await;
            }
            Err(error) => {
                let error = error_chain(&error);
                tracing::error!(job = %job.id, kind = job.kind, error, "a job's outcome was not stored, it will run again");
                return;
            }
        }
    }
}

async fn settle_in(
    tx: &Tx,
    now: Timestamp,
    config: &JobRunnerConfig,
    job: &RunningJob,
    outcome: &Result<(), JobError>,
) -> Result<bool, StorageError> {
    let error = match outcome {
        Ok(()) => return store::delete_claimed(tx, job.id, job.claim).await,
        Err(error) => error,
    };
    let text: String = error_chain(error).chars().take(ERROR_CHARS_MAX).collect();
    // An outage of the database says nothing about the job.
    let is_outage = matches!(error, JobError::Storage(error) if error.is_transient());
    let is_last = matches!(error, JobError::GiveUp(_)) || (job.attempt >= job.attempts_max && !is_outage);
    if is_last {
        tracing::error!(job = %job.id, kind = job.kind, attempt = job.attempt, error = text, "a job is dead");
        let stood = store::bury_claimed(tx, job.id, job.claim, now, &text).await?;
        store::trim_dead(tx, DEAD_MAX).await?;
        return Ok(stood);
    }
    tracing::warn!(job = %job.id, kind = job.kind, attempt = job.attempt, error = text, "a job failed and will be tried again");
    let run_at = now.plus(backoff(config, job.attempt, random_unit()));
    let attempts = if is_outage { job.attempt - 1 } else { job.attempt };
    store::release_claimed(tx, job.id, job.claim, run_at, attempts, &text).await
}

/// Exponential backoff with full jitter: the part `unit` (0 to 1) of the pause after this attempt.
fn backoff(config: &JobRunnerConfig, attempt: u32, unit: f64) -> Duration {
    let doubled = config.backoff_min.saturating_mul(2_u32.saturating_pow(attempt.saturating_sub(1).min(31)));
    doubled.min(config.backoff_max).mul_f64(unit.clamp(0.0, 1.0))
}

/// A random number from 0 to 1; without random numbers, 1.
fn random_unit() -> f64 {
    getrandom::u32().map_or(1.0, |random| f64::from(random) / f64::from(u32::MAX))
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_longest_and_are_spread_over_their_whole_length() {
        let config = JobRunnerConfig::default();
        assert_eq!(backoff(&config, 1, 1.0), Duration::from_secs(5));
        assert_eq!(backoff(&config, 4, 1.0), Duration::from_secs(40));
        assert_eq!(backoff(&config, 4, 0.25), Duration::from_secs(10));
        assert_eq!(backoff(&config, 4, 0.0), Duration::ZERO);
        assert_eq!(backoff(&config, u32::MAX, 1.0), Duration::from_secs(3_600));
    }
}
