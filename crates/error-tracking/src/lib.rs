//! Error tracking: what a Sentry SDK sends becomes grouped issues with exact counts.
//!
//! Invariants:
//! - An event id counts once per project, however often it is delivered.
//! - Counts per issue and hour, and subjects per issue, change in the transaction that stores the event.
//! - A payload is scrubbed and its user replaced by a subject before it is stored.

mod encoding;
pub mod envelope;
mod event;
mod event_id;
pub mod grouping;
mod model;
mod parameterize;
mod timestamp;

use async_trait::async_trait;
use belvedere_kernel::ProjectId;
use belvedere_storage::{Page, PageRequest, Timestamp};
use serde_json::Value;

pub use model::{
    Event, EventSummary, HourCount, IssueDetail, IssueId, IssueKey, IssueSort, IssueStatus, IssueSummary,
    Level, ListIssues, ParseIssueStatusError, Recorded, SetStatus,
};

/// The slice's boundary: what other code may ask of error tracking.
#[async_trait]
pub trait ErrorTracking: Send + Sync {
    /// Stores one event (Sentry's event JSON) for `project` at once, in its own transaction.
    async fn record_event(&self, project: ProjectId, payload: Value) -> Result<Recorded, ErrorTrackingError>;

    /// A page of issues with exact counts.
    async fn list_issues(&self, query: ListIssues) -> Result<Page<IssueSummary>, ErrorTrackingError>;

    /// How many issues of `project` are in `status`.
    async fn count_issues(&self, project: ProjectId, status: IssueStatus) -> Result<u64, ErrorTrackingError>;

    /// One issue.
    async fn find_issue(
        &self,
        project: ProjectId,
        issue: IssueId,
    ) -> Result<Option<IssueDetail>, ErrorTrackingError>;

    /// An issue's events, newest first.
    async fn list_events(
        &self,
        project: ProjectId,
        issue: IssueId,
        page: PageRequest,
    ) -> Result<Page<EventSummary>, ErrorTrackingError>;

    /// One event by its 32 hexadecimal digits (hyphens allowed).
    async fn find_event(
        &self,
        project: ProjectId,
        event_id: &str,
    ) -> Result<Option<Event>, ErrorTrackingError>;

    /// Puts issues into a state, with one audit entry for each that was in another; says how many those were. Issues
    /// that do not exist in the project are passed over.
    async fn set_status(&self, change: SetStatus) -> Result<u64, ErrorTrackingError>;

    /// The environments that the project's events came from, in alphabetical order; the first 100.
    async fn list_environments(&self, project: ProjectId) -> Result<Vec<String>, ErrorTrackingError>;

    /// Events per UTC hour of `project` in `from..to`, hours without events left out; at most 24 x 90 hours.
    async fn count_events_by_hour(
        &self,
        project: ProjectId,
        from: Timestamp,
        to: Timestamp,
    ) -> Result<Vec<HourCount>, ErrorTrackingError>;
}

/// What can go wrong in error tracking.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ErrorTrackingError {
    /// The payload is not an event.
    #[error("not an event: {0}")]
    InvalidEvent(String),
    /// The question cannot be answered as it was asked.
    #[error("{0}")]
    InvalidQuery(String),
    /// The database failed.
    #[error(transparent)]
    Storage(#[from] belvedere_storage::StorageError),
}
