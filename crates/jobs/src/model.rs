use std::time::Duration;

use belvedere_storage::{Id, Timestamp};
use serde::Serialize;
use serde_json::Value;

/// Marks ids of jobs.
#[derive(Debug)]
pub enum Job {}

/// The largest payload of a job, as JSON text.
pub const PAYLOAD_BYTES_MAX: usize = 64 << 10;

/// Work to be done after the transaction that asks for it.
#[derive(Debug, Clone, PartialEq)]
pub struct NewJob {
    /// Which [`crate::JobHandler`] does it, such as `privacy.rotate_salts`.
    pub kind: String,
    /// What the handler needs to know: ids and numbers, at most 64 KiB of JSON, never personal data.
    pub payload: Value,
    /// Not before this instant; `None` for as soon as possible.
    pub run_at: Option<Timestamp>,
    /// How often it is tried before it counts as dead; at least 1.
    pub attempts_max: u32,
    /// While a job with this key waits for its first attempt, no second one is added: the waiting one then runs at the earlier of the
    /// two times, with its own payload. Kinds share the space of keys.
    pub key: Option<String>,
}

impl NewJob {
    /// A job to be done as soon as possible, in at most 10 attempts.
    pub fn new(kind: impl Into<String>, payload: Value) -> Self {
        Self { kind: kind.into(), payload, run_at: None, attempts_max: 10, key: None }
    }
}

/// A job that failed for the last time, or was given up.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct DeadJob {
    /// Its key.
    pub id: Id<Job>,
    /// Which handler it was for.
    pub kind: String,
    /// What the handler was told.
    pub payload: Value,
    /// How often it was tried.
    pub attempts: u32,
    /// What went wrong the last time.
    pub last_error: String,
    /// When it was enqueued.
    pub created_at: Timestamp,
    /// When it was given up.
    pub dead_at: Timestamp,
}

/// How many jobs there are, for metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct JobCounts {
    /// Jobs that wait for their time or a free worker.
    pub waiting: u64,
    /// Jobs that a worker holds.
    pub running: u64,
    /// Jobs that failed for the last time.
    pub dead: u64,
}

/// When a schedule runs, in UTC: local time, and with it daylight saving, never enters into it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// At every multiple of this duration since 1970-01-01T00:00:00 UTC; at least one second.
    Every(Duration),
    /// Once a day at this time.
    DailyAtUtc {
        /// 0 to 23.
        hour: u8,
        /// 0 to 59.
        minute: u8,
    },
}

/// A job that is enqueued again and again.
#[derive(Debug, Clone, PartialEq)]
pub struct Schedule {
    /// Its name, unique in the installation: it is what the database remembers it by.
    pub name: &'static str,
    /// When.
    pub when: When,
    /// What; [`NewJob::run_at`] is ignored.
    pub job: NewJob,
}

/// Where a schedule stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ScheduleState {
    /// Its name.
    pub name: String,
    /// The newest slot that has been used, or skipped when the schedule was new.
    pub slot: Timestamp,
    /// When it will enqueue its job next.
    pub next_run_at: Timestamp,
}
