//! Releases: which versions of a product there are, and how each of them fares.
//!
//! - A release is made by the first event or session that names it, or by the API before that.
//! - Counts of events and sessions are exact per hour and environment for 90 days; who used a release, per hour for 3
//!   days and per day for 90.
//! - A session is free of crashes if it neither crashed nor met an error that nobody caught; a person is, if all their
//!   sessions of the period are.
//! - Authors of commits are people: their names and addresses go through the consent gate and are subjects from then
//!   on, and of a message only the first line is kept, scrubbed like events.

mod activity;
mod check;
mod model;
mod service;
mod store;

use async_trait::async_trait;
use belvedere_kernel::ProjectId;
use belvedere_storage::Page;

use crate::ErrorTrackingError;

pub(crate) use activity::Activity;
pub use model::{
    Acting, Commit, ComparedRelease, Comparison, Deploy, DeployKey, Health, HealthPoint, HealthQuery,
    HealthStep, ListReleases, NewCommit, NewDeploy, Release, ReleaseChange, ReleaseHealth, ReleaseIssue,
    ReleaseIssues, ReleaseIssuesKind, ReleaseSort, ReleaseSummary, SavedRelease,
};
pub(crate) use store::record_activity_in;

/// Releases, their sessions, deploys and commits: what other code may ask of them.
///
/// Names of releases are at most 200 characters without control characters. Changes are audit entries.
#[async_trait]
pub trait Releases: Send + Sync {
    /// A page of releases with how each fares in the last 24 hours.
    async fn list_releases(&self, query: ListReleases) -> Result<Page<ReleaseSummary>, ErrorTrackingError>;

    /// One release.
    async fn find_release(
        &self,
        project: ProjectId,
        version: &str,
    ) -> Result<Option<ReleaseSummary>, ErrorTrackingError>;

    /// Makes a release or changes one; [`ErrorTrackingError::Invalid`] names the field at fault. Beyond 10,000 releases
    /// that the API has spoken of, no new one is made.
    async fn save_release(
        &self,
        acting: &Acting,
        version: &str,
        change: ReleaseChange,
    ) -> Result<SavedRelease, ErrorTrackingError>;

    /// Deletes a release with its counts, deploys and commits; whether there was one. A new event makes it again.
    async fn delete_release(&self, acting: &Acting, version: &str) -> Result<bool, ErrorTrackingError>;

    /// The newest 100 deploys of a release, or of the whole project.
    async fn list_deploys(
        &self,
        project: ProjectId,
        version: Option<&str>,
    ) -> Result<Vec<Deploy>, ErrorTrackingError>;

    /// Writes down that a release was brought to an environment; `None` if there is no such release.
    async fn add_deploy(
        &self,
        acting: &Acting,
        version: &str,
        deploy: NewDeploy,
    ) -> Result<Option<Deploy>, ErrorTrackingError>;

    /// The commits of a release, newest first; at most 1,000.
    async fn list_commits(
        &self,
        project: ProjectId,
        version: &str,
    ) -> Result<Vec<Commit>, ErrorTrackingError>;

    /// Replaces the commits of a release, newest first, at most 1,000; whether there is such a release.
    async fn set_commits(
        &self,
        acting: &Acting,
        version: &str,
        commits: Vec<NewCommit>,
    ) -> Result<bool, ErrorTrackingError>;

    /// Events, sessions and users over time; at most 90 days, by hour at most 7.
    async fn release_health(&self, query: HealthQuery) -> Result<ReleaseHealth, ErrorTrackingError>;

    /// The 50 issues of a release with the most events in it, and how many there are.
    async fn list_release_issues(
        &self,
        project: ProjectId,
        version: &str,
        kind: ReleaseIssuesKind,
    ) -> Result<ReleaseIssues, ErrorTrackingError>;

    /// Two releases side by side, over the last 30 days; `None` if one of them does not exist.
    async fn compare_releases(
        &self,
        project: ProjectId,
        base: &str,
        other: &str,
        environment: Option<&str>,
    ) -> Result<Option<Comparison>, ErrorTrackingError>;

    /// Forgets what is too old, in small transactions, until nothing is left or `stop` says so. To be called once an
    /// hour.
    async fn sweep_releases(&self, stop: &(dyn Fn() -> bool + Sync)) -> Result<(), ErrorTrackingError>;
}
