//! Logs: what programs wrote down, kept in compressed blocks and searched by reading them.
//!
//! Invariants:
//! - The records of one intake batch, project and hour are one row; small rows of an hour are joined later.
//! - Counts per hour and level change in the transaction that writes the records, and are exact.
//! - Bodies and attributes are scrubbed before they are packed; a person is a subject, and no attribute.
//! - A search reads a limited number of blocks, and says so when that was not all.

mod block;
mod filter;
mod intake;
mod item;
mod model;
mod otlp;
mod pack;
mod scan;
mod service;
mod store;
mod sweep;
mod trigram;

use async_trait::async_trait;
use belvedere_kernel::ProjectId;

use crate::ErrorTrackingError;
use crate::monitors::ChangedBy;

pub(crate) use intake::{LogBatch, LogsHandler, records_messages};
pub(crate) use item::{LogArrival, RECORDS_MAX, ReadRecord, read_container};

pub use filter::LogFilter;
pub use model::{LogCounts, LogHour, LogLevel, LogPage, LogRecord, LogSettings, SearchLogs, SweptLogs};
pub use service::LogsService;

/// What other code may ask of logs.
#[async_trait]
pub trait Logs: Send + Sync {
    /// Records that match, newest first.
    async fn search_logs(&self, query: SearchLogs) -> Result<LogPage, ErrorTrackingError>;

    /// How many records match, by hour and level.
    async fn count_logs(&self, query: SearchLogs) -> Result<LogCounts, ErrorTrackingError>;

    /// How long logs of a project are kept, and how much of them there is.
    async fn find_log_settings(&self, project: ProjectId) -> Result<LogSettings, ErrorTrackingError>;

    /// Sets how long logs are kept (1 to 365 days) and how many bytes of them (1 MiB to 1 TiB, compressed).
    async fn change_log_settings(
        &self,
        by: ChangedBy,
        days: u32,
        bytes_max: u64,
    ) -> Result<(), ErrorTrackingError>;
}
