use std::sync::Arc;
use std::time::Duration;

use belvedere_kernel::{IntakeHandler, Tasks, error_chain};
use belvedere_storage::spool::Spool;

use crate::IntakeParts;
use crate::digest::{Digester, Failure, Item, Lasting, PreparedPart};
use crate::pace::Pace;
use crate::source::{Batch, LocalSpool, Next, SharedBatches, Source};

/// Deliveries in a row that the database refused for no passing reason, from which on it is taken to be the
/// database that is wrong and not the deliveries: they are then set aside ever more slowly.
const REFUSALS_MAX: u32 = 5;
const REFUSAL_PAUSE_MAX: Duration = Duration::from_secs(60);

/// How deliveries are digested.
#[derive(Debug, Clone)]
pub struct IntakeConfig {
    /// The most deliveries in one transaction.
    pub batch_records_max: usize,
    /// The most bytes in one transaction; a single larger delivery makes a batch of its own.
    pub batch_bytes_max: usize,
    /// How often a delivery that fails for a lasting reason is tried before it is set aside.
    pub tries_max: u32,
    /// The pause after a first failure; it doubles up to [`Self::backoff_max`].
    pub backoff_min: Duration,
    /// The longest pause between two attempts.
    pub backoff_max: Duration,
    /// How often to look for batches in the shared database when nobody wakes the runner.
    pub poll: Duration,
    /// How long a claimed batch is left to its worker; at most 5 minutes. It is renewed with every part that is stored.
    pub lease: Duration,
}

impl Default for IntakeConfig {
    fn default() -> Self {
        Self {
            batch_records_max: 500,
            batch_bytes_max: 8 << 20,
            tries_max: 3,
            backoff_min: Duration::from_millis(50),
            backoff_max: Duration::from_secs(5),
            poll: Duration::from_secs(1),
            lease: Duration::from_secs(60),
        }
    }
}

/// Digests what was accepted: one batch at a time, so that the door in the same process keeps its share of the processors.
pub struct IntakeRunner {
    parts: IntakeParts,
    config: IntakeConfig,
    digester: Digester,
}

impl IntakeRunner {
    /// A runner with a handler for each kind of delivery.
    #[must_use]
    pub fn new(parts: IntakeParts, config: IntakeConfig, handlers: Vec<Arc<dyn IntakeHandler>>) -> Self {
        let digester = Digester::new(parts.clone(), handlers);
        Self { parts, config: IntakeConfig { tries_max: config.tries_max.max(1), ..config }, digester }
    }

    /// Starts the loops of a process that digests: one over its own spool, if it has one, and one over the batches in the
    /// shared database, which are other processes' deliveries and replays.
    pub fn start(self, spool: Option<Spool>, tasks: &Tasks) {
        let runner = Arc::new(self);
        if let Some(spool) = spool {
            tasks.spawn("intake of the spool", Arc::clone(&runner).run_spool(spool, tasks.clone()));
        }
        tasks.spawn("intake of shared batches", runner.run_shared(tasks.clone()));
    }

    /// Digests what is in `spool` until `tasks` are told to stop.
    pub async fn run_spool(self: Arc<Self>, spool: Spool, tasks: Tasks) {
        let source = LocalSpool::new(spool, self.parts.clone(), self.config.clone());
        self.run("spool", &source, &tasks).await;
    }

    /// Digests the batches in the shared database until `tasks` are told to stop.
    pub async fn run_shared(self: Arc<Self>, tasks: Tasks) {
        let source = SharedBatches::new(self.parts.clone(), self.config.clone());
        self.run("shared batches", &source, &tasks).await;
    }

    async fn run(&self, name: &'static str, source: &dyn Source, tasks: &Tasks) {
        let pace = Pace::new(name, &self.parts, &self.config);
        Loop { runner: self, source, tasks, pace, refusals: 0 }.run().await;
    }
}

/// How far a part of a batch came.
enum Progress {
    Stored,
    Failed(Lasting),
    /// The rest of the batch is not ours any more, or the process stops.
    Over,
}

/// A batch with its records decoded.
struct Work {
    batch: Batch,
    items: Vec<Item>,
}

/// Records of a batch from `start` to before `end`, and how often they have been tried together.
#[derive(Clone, Copy)]
struct Part {
    start: usize,
    end: usize,
    tries: u32,
}

/// One runner at work on one source.
struct Loop<'a> {
    runner: &'a IntakeRunner,
    source: &'a dyn Source,
    tasks: &'a Tasks,
    pace: Pace<'a>,
    /// Deliveries in a row that the database refused.
    refusals: u32,
}

impl Loop<'_> {
    async fn run(&mut self) {
        while !self.tasks.is_stopped() {
            match self.source.next(self.tasks).await {
                Ok(Next::Batch(batch)) => self.digest(batch).await,
                Ok(Next::Idle) => self.pace.succeeded(),
                Ok(Next::End) => return,
                Err(error) => {
                    self.pace.failed(&error_chain(&error));
                    self.pace.pause(self.tasks).await;
                }
            }
        }
    }

    /// Digests a batch: whole if possible, else in halves, down to the delivery at fault, which is set aside.
    async fn digest(&mut self, mut batch: Batch) {
        let records = std::mem::take(&mut batch.records);
        let items: Vec<Item> = records.into_iter().map(|(mark, bytes)| Item::decode(mark, bytes)).collect();
        let mut todo = vec![Part { start: 0, end: items.len(), tries: 0 }];
        let work = Work { batch, items };
        while let Some(part) = todo.pop() {
            let failure = match self.digest_part(&work, part).await {
                Progress::Stored => {
                    self.refusals = 0;
                    continue;
                }
                Progress::Over => return self.source.abandon(&work.batch).await,
                Progress::Failed(failure) => failure,
            };
            let part = Part { tries: part.tries + 1, ..part };
            let is_exhausted = part.tries >= self.runner.config.tries_max;
            let middle = part.start + (part.end - part.start) / 2;
            if middle == part.start && is_exhausted {
                if !self.set_aside(&work, part, &failure).await {
                    return self.source.abandon(&work.batch).await;
                }
                continue;
            }
            self.runner.parts.stats.count_retry();
            if middle == part.start || (failure.is_conflict && !is_exhausted) {
                tracing::debug!(
                    error = failure.detail,
                    part.tries,
                    "a part of a batch failed, trying it again"
                );
                self.pace.pause_for(self.runner.config.backoff_min * part.tries, self.tasks).await;
                todo.push(part);
            } else {
                tracing::debug!(
                    error = failure.detail,
                    records = part.end - part.start,
                    "a batch failed and is split"
                );
                todo.push(Part { start: middle, tries: 0, ..part });
                todo.push(Part { end: middle, tries: 0, ..part });
            }
        }
    }

    /// Tries a part until it is stored, or fails for another reason than a database that is away.
    async fn digest_part(&mut self, work: &Work, part: Part) -> Progress {
        let mut prepared = None;
        while !self.tasks.is_stopped() {
            let attempt = async {
                let ready = match prepared.take() {
                    Some(ready) => ready,
                    None => self.runner.digester.prepare(&work.items[part.start..part.end]).await?,
                };
                let stored = self.commit(work, part, &ready).await;
                // After a lasting failure it is prepared anew: what it was prepared from may have changed.
                if matches!(stored, Err(Failure::Transient(_))) {
                    prepared = Some(ready);
                }
                stored
            };
            match attempt.await {
                Ok(()) => {
                    self.pace.succeeded();
                    return Progress::Stored;
                }
                Err(Failure::Lasting(failure)) => return Progress::Failed(failure),
                Err(Failure::Moved) => {
                    tracing::warn!(
                        "a batch has been consumed by another process, or by a commit whose answer was lost"
                    );
                    return Progress::Over;
                }
                Err(Failure::Transient(error)) => {
                    self.pace.failed(&error);
                    self.pace.pause(self.tasks).await;
                }
            }
        }
        Progress::Over
    }

    /// Sets a part of one record aside, trying for as long as it takes; returns whether that was done.
    async fn set_aside(&mut self, work: &Work, part: Part, failure: &Lasting) -> bool {
        let tries = part.tries;
        tracing::error!(reason = failure.reason, error = failure.detail, tries, "a delivery is set aside");
        self.refusals = if failure.is_storage { self.refusals + 1 } else { 0 };
        if self.refusals > REFUSALS_MAX {
            self.pace.failed(&failure.detail);
            let doubled = Duration::from_secs(1 << (self.refusals - REFUSALS_MAX).min(10));
            self.pace.pause_for(doubled.min(REFUSAL_PAUSE_MAX), self.tasks).await;
        }
        while !self.tasks.is_stopped() {
            let attempt = async {
                let now = self.runner.parts.clock.now();
                let aside = work.items[part.start].to_set_aside(&failure.reason, tries, now)?;
                let ready = PreparedPart { batches: Vec::new(), set_aside: vec![aside] };
                self.commit(work, part, &ready).await
            };
            match attempt.await {
                Ok(()) => {
                    if self.refusals <= REFUSALS_MAX {
                        self.pace.succeeded();
                    }
                    return true;
                }
                Err(Failure::Moved) => return false,
                Err(Failure::Transient(error)) => self.pace.failed(&error),
                Err(Failure::Lasting(failure)) => self.pace.failed(&failure.detail),
            }
            self.pace.pause(self.tasks).await;
        }
        false
    }

    async fn commit(&self, work: &Work, part: Part, ready: &PreparedPart) -> Result<(), Failure> {
        let from = if part.start == 0 { work.batch.after } else { work.items[part.start - 1].mark };
        let to = work.items[part.end - 1].mark;
        let messages = self.runner.digester.store(self.source, &work.batch, (from, to), ready).await?;
        let parts = &self.runner.parts;
        for message in messages {
            parts.bus.publish(message);
        }
        let newest = work.items[part.start..part.end].iter().filter_map(Item::received_at).max();
        let now = parts.clock.now();
        parts.stats.count_batch(
            part.end - part.start,
            ready.set_aside.len(),
            now.since(newest.unwrap_or(now)),
        );
        self.source.consumed(&work.batch, to).await;
        Ok(())
    }
}
