//! Work that outlives the request that asked for it: durable jobs, schedules, and live messages between processes.
//!
//! A job is enqueued in the transaction that makes it necessary ([`JobQueue::enqueue_in`]) and done by a
//! [`JobRunner`] in any process. The row is the truth; the message that wakes a runner may be lost.
//!
//! Invariants:
//! - A job exists if and only if the transaction that enqueued it was committed.
//! - A job is done at least once, and never by two workers whose claim stands: a handler whose effect must happen
//!   exactly once ends its own transaction with [`RunningJob::finish_in`].
//! - A job that keeps failing is tried ever less often, then kept as dead (the newest 10,000), to be looked at and revived.
//! - A schedule enqueues its job once per slot, whatever the number of processes and wherever the clock jumps; see [`Scheduler`].
//! - Without Redis everything works within one process, and with a delay of at most a second between several.
//!
//! ```
//! # use std::sync::Arc;
//! # use async_trait::async_trait;
//! # use belvedere_jobs::{JobError, JobHandler, JobQueue, JobRunner, JobRunnerConfig, NewJob, RunningJob};
//! # use belvedere_kernel::{InProcessBus, SystemClock, Tasks};
//! # use belvedere_storage::{Database, StorageError};
//! struct Greet;
//!
//! #[async_trait]
//! impl JobHandler for Greet {
//!     async fn run(&self, job: &RunningJob) -> Result<(), JobError> {
//!         println!("good day, project {}", job.payload["project"]);
//!         Ok(())
//!     }
//! }
//!
//! # async fn example(db: Database) -> Result<(), belvedere_jobs::JobsError> {
//! let queue = JobQueue::new(db.clone(), Arc::new(SystemClock), Arc::new(InProcessBus::default()));
//! let mut runner = JobRunner::new(queue.clone(), JobRunnerConfig::default());
//! runner.register("greet", Arc::new(Greet));
//! let tasks = Tasks::default();
//! tasks.spawn("jobs", runner.run(tasks.clone()));
//!
//! db.write(async |tx| queue.enqueue_in(tx, NewJob::new("greet", serde_json::json!({"project": 1}))).await).await?;
//! # Ok(())
//! # }
//! ```

mod error;
mod model;
mod queue;
mod runner;
mod schedule;
mod store;
#[cfg(test)]
mod tests;
mod wakeup;

pub use error::{JobError, JobsError};
pub use model::{DeadJob, Job, JobCounts, NewJob, PAYLOAD_BYTES_MAX, Schedule, ScheduleState, When};
pub use queue::JobQueue;
pub use runner::{JobHandler, JobRunner, JobRunnerConfig, RunningJob};
pub use schedule::Scheduler;
pub use wakeup::RedisBus;

/// The topic that wakes runners when a job was enqueued.
pub const WAKE_TOPIC: &str = "wake.jobs";
