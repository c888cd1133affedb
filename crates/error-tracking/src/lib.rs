//! Error tracking: what a Sentry SDK sends becomes grouped issues with exact counts.
//!
//! Invariants:
//! - An event id counts once per project, however often it is delivered.
//! - Counts per issue and hour, and subjects per issue, change in the transaction that stores the event.
//! - A payload is scrubbed and its user replaced by a subject before it is stored.
//! - A batch is written whole or not at all; writing it again after a rollback gives the same state.
//!
//! Embedded in a Rust service, with the consent gate, the scrubber and the audit log of the installation (or, as here,
//! with ones that have nothing to say):
//!
//! ```
//! use std::sync::Arc;
//!
//! use belvedere_error_tracking::{ErrorTracking, ErrorTrackingService, ListIssues};
//! use belvedere_kernel::{ProjectId, SystemClock};
//! use belvedere_storage::{Database, DatabaseConfig};
//! use serde_json::json;
//! # use belvedere_kernel::*;
//! # use belvedere_storage::*;
//! # struct Quiet;
//! # #[async_trait::async_trait]
//! # impl ConsentGate for Quiet {
//! #     async fn admit(&self, _: &Tx, people: &[RawPerson]) -> Result<Vec<Admitted>, StorageError> {
//! #         let nobody = Admitted { subject: None, analytics: false, detailed: false, location: false };
//! #         Ok(vec![nobody; people.len()])
//! #     }
//! # }
//! # #[async_trait::async_trait]
//! # impl Scrubber for Quiet {
//! #     async fn load(&self, _: &[ProjectId]) -> Result<Arc<dyn ScrubRules>, StorageError> { Ok(Arc::new(Quiet)) }
//! # }
//! # impl ScrubRules for Quiet {
//! #     fn scrub(&self, _: ProjectId, _: &mut serde_json::Value) -> Vec<Removal> { Vec::new() }
//! # }
//! # #[async_trait::async_trait]
//! # impl AuditSink for Quiet {
//! #     async fn record(&self, _: &Tx, _: Entry) -> Result<(), StorageError> { Ok(()) }
//! # }
//!
//! # #[tokio::main]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let (gate, scrubber, audit) = (Arc::new(Quiet), Arc::new(Quiet), Arc::new(Quiet));
//! # let directory = std::env::temp_dir().join(format!("belvedere-doc-{}", std::process::id()));
//! # std::fs::create_dir_all(&directory)?;
//! let db = Database::connect(&DatabaseConfig::sqlite_file(&directory.join("errors.db"))).await?;
//! db.migrate().await?;
//! let errors = ErrorTrackingService::new(db, Arc::new(SystemClock), gate, scrubber, audit);
//!
//! let event = json!({"platform": "rust", "exception": [{"type": "Overdraft", "value": "account 4711 is empty"}]});
//! let recorded = errors.record_event(ProjectId(1), event).await?;
//! assert!(recorded.is_new_issue);
//!
//! let all = ListIssues::first(ProjectId(1));
//! let issues = errors.list_issues(all).await?;
//! assert_eq!(issues.items[0].title, "Overdraft: account 4711 is empty");
//! # std::fs::remove_dir_all(&directory)?;
//! # Ok(())
//! # }
//! ```

pub mod attachment;
#[cfg(feature = "client")]
pub mod client;
mod digest;
mod encoding;
mod entity;
pub mod envelope;
mod error;
mod event;
mod event_id;
pub mod feedback;
pub mod grouping;
pub mod grouping_rules;
mod intake;
pub mod limits;
pub mod logs;
mod model;
pub mod monitors;
mod occurrence;
mod parameterize;
pub mod quota;
pub mod release_order;
mod releases;
pub mod retention;
pub mod search;
mod security;
mod service;
mod sessions;
mod source_maps;
mod store;
mod tags;
#[cfg(test)]
mod tests;
mod timestamp;
mod trend;
mod triage;

use async_trait::async_trait;
use belvedere_kernel::ProjectId;
use belvedere_storage::{Page, PageRequest, Timestamp};
use serde_json::Value;

pub use error::ErrorTrackingError;
pub use model::{
    Event, EventSummary, HourCount, IssueDetail, IssueId, IssueKey, IssueSort, IssueStatus, IssueSummary,
    Level, ListIssues, ParseIssueSortError, ParseIssueStatusError, Recorded,
};
pub use occurrence::ERROR_EVENT;
pub use releases::{
    Acting, Commit, ComparedRelease, Comparison, Deploy, DeployKey, Health, HealthPoint, HealthQuery,
    HealthStep, ListReleases, NewCommit, NewDeploy, Release, ReleaseChange, ReleaseHealth, ReleaseIssue,
    ReleaseIssues, ReleaseIssuesKind, ReleaseSort, ReleaseSummary, Releases, SavedRelease,
};
pub use service::ErrorTrackingService;
pub use source_maps::{
    ASSEMBLE_JOB, AssembleBundle, Assembly, AssemblyState, Bundle, BundleDetail, BundleFile, BundleId,
    BundleKey, CHUNK_BYTES_MAX, DebugId, DeleteBundle, FileKind, ListBundles, NewChunk, ParseDebugIdError,
    REMAP_JOB, Remapped, SWEEP_JOB, SourceMapError, SourceMapLimits, SourceMapService, SourceMapStorage,
    SourceMaps,
};
pub use triage::{
    Act, Activity, ActivityKey, ActivityKind, CHANGED_ISSUES_MAX, ChangeComment, ChangeIssues, Condition,
    Counted, Discard, DiscardKey, Ignoring, IssueChange, IssueHash, LiftDiscard, MOVE_EVENTS_JOB,
    MergeIssues, NewComment, Ownership, Resolution, SetOwnership, StatusCounts, Substatus, Triage,
    TriageService, Triaged, UnmergeIssue,
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

    /// The environments that the project's events came from, in alphabetical order; the first 100.
    async fn list_environments(&self, project: ProjectId) -> Result<Vec<String>, ErrorTrackingError>;

    /// Events per UTC hour of `project`, of every hour of which `from..to` has a part, hours without events left out; at most 24 x 90 hours.
    async fn count_events_by_hour(
        &self,
        project: ProjectId,
        from: Timestamp,
        to: Timestamp,
    ) -> Result<Vec<HourCount>, ErrorTrackingError>;
}
