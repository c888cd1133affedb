//! The life of an issue: resolve, ignore, archive, assign, discuss, merge, split, delete; what wakes it again.
//!
//! Invariants:
//! - Every change by a person is an entry on the issue's timeline and in the audit log, in the same transaction.
//! - What wakes an issue is found in the transaction that stores the events, once for each time it wakes.
//! - Merging and splitting change no sum: every event counts in exactly one issue at every moment.

mod comment;
mod model;
mod owners;
mod ownership;
mod regroup;
mod service;
mod watch;

use async_trait::async_trait;
use belvedere_kernel::ProjectId;
use belvedere_storage::{Page, PageRequest};

pub use model::{
    Act, Activity, ActivityKey, ActivityKind, ChangeComment, ChangeIssues, Condition, Counted, Discard,
    DiscardKey, Ignoring, IssueChange, IssueHash, LiftDiscard, MergeIssues, NewComment, Ownership,
    Resolution, SetOwnership, StatusCounts, Substatus, Triaged, UnmergeIssue,
};
pub(crate) use owners::{find_owners, load_owner_rules};
pub(crate) use ownership::Owner;
pub use regroup::MOVE_EVENTS_JOB;
pub use service::TriageService;
pub(crate) use watch::Watch;

use crate::{ErrorTrackingError, IssueId};

/// The most issues of one change.
pub const CHANGED_ISSUES_MAX: usize = 200;

/// What people do with issues.
#[async_trait]
pub trait Triage: Send + Sync {
    /// Changes issues, with one entry in the audit log for each that was otherwise before; says how many those were.
    async fn change_issues(&self, change: ChangeIssues) -> Result<u64, ErrorTrackingError>;

    /// Makes issues one: hashes, counts and timelines at once, their events in batches soon after; which of them is
    /// left. Refused if one of them does not exist in the project, or while a part of one is being split off.
    async fn merge_issues(&self, merge: MergeIssues) -> Result<IssueId, ErrorTrackingError>;

    /// Makes an issue of the stored events of some hashes; at most 1,000 events at once, the others soon after, and
    /// with each its counts. Returns the new issue.
    async fn unmerge_issue(&self, unmerge: UnmergeIssue) -> Result<IssueId, ErrorTrackingError>;

    /// The hashes that lead to an issue, at most 200, the most frequent ones first.
    async fn list_hashes(
        &self,
        project: ProjectId,
        issue: IssueId,
    ) -> Result<Vec<IssueHash>, ErrorTrackingError>;

    /// The timeline of an issue, the newest entries first; it ends with when the issue was first seen.
    async fn list_activity(
        &self,
        project: ProjectId,
        issue: IssueId,
        page: PageRequest,
    ) -> Result<Page<Activity>, ErrorTrackingError>;

    /// Adds a comment; an issue has at most 1,000.
    async fn comment(&self, new: NewComment) -> Result<Activity, ErrorTrackingError>;

    /// Changes or deletes one's own comment.
    async fn change_comment(&self, change: ChangeComment) -> Result<(), ErrorTrackingError>;

    /// How many issues of `project` are in each state.
    async fn count_by_status(&self, project: ProjectId) -> Result<StatusCounts, ErrorTrackingError>;

    /// Who owns what.
    async fn find_ownership(&self, project: ProjectId) -> Result<Ownership, ErrorTrackingError>;

    /// Sets who owns what; the rules as they are stored. What is wrong with them is said with line and column.
    async fn set_ownership(&self, set: SetOwnership) -> Result<Ownership, ErrorTrackingError>;

    /// Whose future events are dropped, the newest first.
    async fn list_discards(
        &self,
        project: ProjectId,
        page: PageRequest,
    ) -> Result<Page<Discard>, ErrorTrackingError>;

    /// Lets future events of a discard become an issue again.
    async fn lift_discard(&self, lift: LiftDiscard) -> Result<(), ErrorTrackingError>;
}
