use belvedere_kernel::{Actor, Organisation, ProjectId, SubjectId};
use belvedere_storage::{Id, PageRequest, Timestamp};
use serde::Serialize;

use crate::{IssueId, IssueStatus, Level};

/// Who changes releases of which project, for the audit log.
#[derive(Debug, Clone, PartialEq)]
pub struct Acting {
    /// Who acts.
    pub actor: Actor,
    /// The organisation of the project.
    pub organisation: Id<Organisation>,
    /// The project.
    pub project: ProjectId,
    /// The id of the HTTP request, if there was one.
    pub request_id: Option<String>,
}

/// A version of a product.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Release {
    /// Its name, such as `shop@2.14.0` or a commit's hash.
    pub version: String,
    /// When Belvedere heard of it first.
    pub created_at: Timestamp,
    /// When it was first in use, as far as is known: its earliest event or session, or its making.
    pub first_seen: Timestamp,
    /// Its latest event or session, up to a minute behind; its making if there is none.
    pub last_seen: Timestamp,
    /// Its earliest event.
    pub first_event_at: Option<Timestamp>,
    /// Its latest event, up to a minute behind.
    pub last_event_at: Option<Timestamp>,
    /// When work on it began, as the API was told.
    pub started_at: Option<Timestamp>,
    /// When it was released, as the API was told.
    pub released_at: Option<Timestamp>,
    /// The branch, tag or commit that it was made of.
    pub reference: Option<String>,
    /// Where to read about it: an http or https address.
    pub url: Option<String>,
}

/// How sessions and people fared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Health {
    /// Sessions that started; the following five are all of them, each in one.
    pub sessions: u64,
    /// Nothing went wrong.
    pub healthy: u64,
    /// Errors were caught and reported.
    pub errored: u64,
    /// Ended in an unusual way.
    pub abnormal: u64,
    /// Met an error that nobody caught.
    pub unhandled: u64,
    /// Crashed.
    pub crashed: u64,
    /// Different people.
    pub users: u64,
    /// Of those, people with a session that crashed or met an error that nobody caught.
    pub users_crashed: u64,
}

impl Health {
    /// Sessions that neither crashed nor met an error that nobody caught.
    #[must_use]
    pub fn crash_free_sessions(&self) -> u64 {
        self.sessions.saturating_sub(self.crashed + self.unhandled)
    }

    /// People whose sessions are all free of crashes.
    #[must_use]
    pub fn crash_free_users(&self) -> u64 {
        self.users.saturating_sub(self.users_crashed)
    }
}

/// A release as a list shows it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ReleaseSummary {
    /// The release.
    #[serde(flatten)]
    pub release: Release,
    /// All its events; in a list of one environment, those from there in the last 90 days.
    pub events: u64,
    /// Issues whose first event was in it.
    pub new_issues: u64,
    /// Issues that were resolved and came back in it.
    pub regressed_issues: u64,
    /// The last 24 hours.
    pub health: Health,
    /// The 24 hours before.
    pub health_before: Health,
    /// All sessions of the project in the last 24 hours, of which adoption is the share.
    pub sessions_of_all: u64,
    /// All people who used the project in the last 24 hours.
    pub users_of_all: u64,
    /// Sessions per hour in the last 24 hours, oldest first; events where there are no sessions.
    pub hourly: Vec<u64>,
    /// The newest deploy to each environment, newest first, at most 10.
    pub deploys: Vec<Deploy>,
    /// How many commits it has.
    pub commits: u64,
}

/// The order of a list of releases.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ReleaseSort {
    /// Last to be seen first.
    LastSeen,
    /// Newest first.
    #[default]
    FirstSeen,
}

/// Which releases are wanted.
#[derive(Debug, Clone, PartialEq)]
pub struct ListReleases {
    /// The project to look in.
    pub project: ProjectId,
    /// Only those whose name contains this text; at most 200 characters.
    pub text: Option<String>,
    /// Only those with an event or session from this environment in the last 90 days; numbers are those from there.
    pub environment: Option<String>,
    /// In this order.
    pub sort: ReleaseSort,
    /// Which page.
    pub page: PageRequest,
}

/// What is to be known of a release; `None` leaves what is known.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ReleaseChange {
    /// The branch, tag or commit; at most 250 characters.
    pub reference: Option<String>,
    /// Where to read about it: http or https, at most 1,000 characters.
    pub url: Option<String>,
    /// When work on it began.
    pub started_at: Option<Timestamp>,
    /// When it was released.
    pub released_at: Option<Timestamp>,
}

/// A release after it was saved.
#[derive(Debug, Clone, PartialEq)]
pub struct SavedRelease {
    /// As it is now.
    pub release: Release,
    /// Whether it was made by this.
    pub is_new: bool,
}

/// Marks ids of deploys.
#[derive(Debug)]
pub enum DeployKey {}

/// A release on its way to an environment.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Deploy {
    /// Its key.
    pub id: Id<DeployKey>,
    /// The release.
    pub version: String,
    /// Where it went, such as `production`.
    pub environment: String,
    /// What people call it.
    pub name: Option<String>,
    /// Where to read about it.
    pub url: Option<String>,
    /// When it began.
    pub started_at: Option<Timestamp>,
    /// When it was done.
    pub finished_at: Timestamp,
}

/// A deploy to be written down.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct NewDeploy {
    /// Where it went; 1 to 64 characters.
    pub environment: String,
    /// What people call it; at most 64 characters.
    pub name: Option<String>,
    /// Where to read about it: http or https, at most 1,000 characters.
    pub url: Option<String>,
    /// When it began.
    pub started_at: Option<Timestamp>,
    /// When it was done; now, if left out.
    pub finished_at: Option<Timestamp>,
}

/// A commit of a release.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Commit {
    /// Its name in version control: a hash.
    pub revision: String,
    /// Where it is, such as `shop/web`.
    pub repository: Option<String>,
    /// The first line of its message, scrubbed.
    pub message: Option<String>,
    /// When it was made.
    pub committed_at: Option<Timestamp>,
    /// Who wrote it; without consent to analytics a number of the day on which it was told.
    pub author: Option<SubjectId>,
}

/// A commit as it is told.
#[derive(Clone, PartialEq, Default)]
pub struct NewCommit {
    /// Its name in version control; 1 to 64 characters.
    pub revision: String,
    /// Where it is; at most 200 characters.
    pub repository: Option<String>,
    /// Its message, of which the first line is kept, at most 200 characters.
    pub message: Option<String>,
    /// When it was made.
    pub committed_at: Option<Timestamp>,
    /// Its author's name. Personal data.
    pub author_name: Option<String>,
    /// Its author's e-mail address. Personal data.
    pub author_email: Option<String>,
}

/// Shows neither author nor message.
impl std::fmt::Debug for NewCommit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "NewCommit({})", self.revision)
    }
}

/// How long a point of a chart is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HealthStep {
    /// A UTC hour.
    Hour,
    /// A UTC day.
    Day,
}

impl HealthStep {
    pub(crate) fn hours(self) -> i64 {
        match self {
            Self::Hour => 1,
            Self::Day => 24,
        }
    }
}

/// Which numbers over time are wanted.
#[derive(Debug, Clone, PartialEq)]
pub struct HealthQuery {
    /// The project.
    pub project: ProjectId,
    /// Of this release; of all together if left out.
    pub version: Option<String>,
    /// Of this environment; of all together if left out.
    pub environment: Option<String>,
    /// From the step in which this lies.
    pub from: Timestamp,
    /// To the step in which this lies.
    pub to: Timestamp,
    /// How long a point is.
    pub step: HealthStep,
}

/// One point of a chart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct HealthPoint {
    /// When it begins.
    pub at: Timestamp,
    /// Events in it.
    pub events: u64,
    /// Sessions that started in it, and who had them.
    pub health: Health,
    /// Sessions of all releases that started in it.
    pub sessions_of_all: u64,
}

/// Numbers over time and for the whole of it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ReleaseHealth {
    /// Oldest first, without gaps.
    pub points: Vec<HealthPoint>,
    /// All points together; people who come back count once.
    pub total: Health,
    /// Events of all points together.
    pub events: u64,
    /// Sessions of all releases of all points together.
    pub sessions_of_all: u64,
}

/// Which issues of a release are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReleaseIssuesKind {
    /// Whose first event was in it.
    New,
    /// That were resolved and came back in it.
    Regressed,
    /// That had an event in it.
    All,
}

/// An issue as a release's page shows it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ReleaseIssue {
    /// Its key.
    pub id: IssueId,
    /// Its number within the project.
    pub number: i64,
    /// What went wrong.
    pub title: String,
    /// Where.
    pub culprit: String,
    /// The worst level seen.
    pub level: Level,
    /// Where it is in its life.
    pub status: IssueStatus,
    /// Its events in the release; in a comparison, in the one that is compared.
    pub events: u64,
    /// In a comparison, its events in the base.
    pub events_in_base: u64,
    /// Its latest event, of any release.
    pub last_seen: Timestamp,
}

/// The first issues of a list, and how many it has.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct ReleaseIssues {
    /// At most 50, most events first.
    pub items: Vec<ReleaseIssue>,
    /// How many there are.
    pub total: u64,
}

/// One side of a comparison.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ComparedRelease {
    /// The release.
    pub release: Release,
    /// Its sessions and people in the last 30 days.
    pub health: Health,
    /// Its events in the last 30 days.
    pub events: u64,
    /// Sessions of all releases in the last 30 days, of which adoption is the share.
    pub sessions_of_all: u64,
    /// Issues that had an event in it, ever.
    pub issues: u64,
}

/// Two releases side by side.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Comparison {
    /// What is compared with.
    pub base: ComparedRelease,
    /// What is compared.
    pub other: ComparedRelease,
    /// Issues that occurred in the other and not in the base.
    pub new: ReleaseIssues,
    /// Issues that occurred in the base and not in the other.
    pub gone: ReleaseIssues,
    /// Issues that occurred in both.
    pub common: ReleaseIssues,
}
