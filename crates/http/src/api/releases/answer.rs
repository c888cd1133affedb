//! How releases are answered.

use belvedere_error_tracking as errors;
use belvedere_error_tracking::IssueId;
use belvedere_kernel::SubjectId;
use belvedere_storage::{Id, Timestamp};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::api::answer::{IssueStatus, Level, answer, words};

words! {
    /// The order of a list of releases.
    ReleaseSort of errors::ReleaseSort { LastSeen, FirstSeen }
}

words! {
    /// Which issues of a release: whose first event was in it, that came back in it, or that had an event in it.
    ReleaseIssuesKind of errors::ReleaseIssuesKind { New, Regressed, All }
}

answer! {
    /// A version of a product.
    Release of errors::Release {
        /// Its name.
        version: String,
        /// When Belvedere heard of it first.
        #[schema(value_type = String, format = DateTime)]
        created_at: Timestamp,
        /// Its earliest event or session, or its making.
        #[schema(value_type = String, format = DateTime)]
        first_seen: Timestamp,
        /// Its latest event or session, up to a minute behind.
        #[schema(value_type = String, format = DateTime)]
        last_seen: Timestamp,
        /// Its earliest event.
        #[schema(value_type = Option<String>, format = DateTime)]
        first_event_at: Option<Timestamp>,
        /// Its latest event, up to a minute behind.
        #[schema(value_type = Option<String>, format = DateTime)]
        last_event_at: Option<Timestamp>,
        /// When work on it began.
        #[schema(value_type = Option<String>, format = DateTime)]
        started_at: Option<Timestamp>,
        /// When it was released.
        #[schema(value_type = Option<String>, format = DateTime)]
        released_at: Option<Timestamp>,
        /// The branch, tag or commit that it is made of.
        reference: Option<String>,
        /// Where to read about it.
        url: Option<String>,
    }
}

answer! {
    /// How sessions and people fared. Crash-free are those that neither crashed nor met an unhandled error.
    Health of errors::Health {
        /// Sessions that started; the following five are all of them, each in one.
        sessions: u64,
        /// Nothing went wrong.
        healthy: u64,
        /// Errors were caught and reported.
        errored: u64,
        /// Ended in an unusual way.
        abnormal: u64,
        /// Met an error that nobody caught.
        unhandled: u64,
        /// Crashed.
        crashed: u64,
        /// Different people.
        users: u64,
        /// Of those, people with a session that crashed or met an error that nobody caught.
        users_crashed: u64,
    }
}

answer! {
    /// A release on its way to an environment.
    Deploy of errors::Deploy {
        /// Its key.
        #[schema(value_type = String)]
        id: Id<errors::DeployKey>,
        /// The release.
        version: String,
        /// Where it went.
        environment: String,
        /// What people call it.
        name: Option<String>,
        /// Where to read about it.
        url: Option<String>,
        /// When it began.
        #[schema(value_type = Option<String>, format = DateTime)]
        started_at: Option<Timestamp>,
        /// When it was done.
        #[schema(value_type = String, format = DateTime)]
        finished_at: Timestamp,
    }
}

answer! {
    /// A commit of a release.
    Commit of errors::Commit {
        /// Its hash.
        revision: String,
        /// Where it is.
        repository: Option<String>,
        /// The first line of its message, scrubbed.
        message: Option<String>,
        /// When it was made.
        #[schema(value_type = Option<String>, format = DateTime)]
        committed_at: Option<Timestamp>,
        /// Who wrote it: a subject's number.
        #[schema(value_type = Option<i64>)]
        author: Option<SubjectId>,
    }
}

/// A release with how it fares.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ReleaseSummary {
    #[serde(flatten)]
    release: Release,
    /// All its events; in a list of one environment, those from there in the last 90 days.
    events: u64,
    /// Issues whose first event was in it.
    new_issues: u64,
    /// Issues that were resolved and came back in it.
    regressed_issues: u64,
    /// The last 24 hours.
    health: Health,
    /// The 24 hours before.
    health_before: Health,
    /// All sessions of the project in the last 24 hours.
    sessions_of_all: u64,
    /// All people who used the project in the last 24 hours.
    users_of_all: u64,
    /// Sessions per hour in the last 24 hours, oldest first; events where there are no sessions.
    hourly: Vec<u64>,
    /// The newest deploy to each environment, newest first, at most 10.
    deploys: Vec<Deploy>,
    /// How many commits it has.
    commits: u64,
}

impl From<errors::ReleaseSummary> for ReleaseSummary {
    fn from(model: errors::ReleaseSummary) -> Self {
        Self {
            release: model.release.into(),
            events: model.events,
            new_issues: model.new_issues,
            regressed_issues: model.regressed_issues,
            health: model.health.into(),
            health_before: model.health_before.into(),
            sessions_of_all: model.sessions_of_all,
            users_of_all: model.users_of_all,
            hourly: model.hourly,
            deploys: model.deploys.into_iter().map(Into::into).collect(),
            commits: model.commits,
        }
    }
}

answer! {
    /// One hour or day.
    HealthPoint of errors::HealthPoint {
        /// When it begins.
        #[schema(value_type = String, format = DateTime)]
        at: Timestamp,
        /// Events in it.
        events: u64,
        /// Sessions that started in it, and who had them.
        health: Health,
        /// Sessions of all releases that started in it.
        sessions_of_all: u64,
    }
}

/// Numbers over time and in all.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ReleaseHealth {
    /// Oldest first, without gaps.
    points: Vec<HealthPoint>,
    /// All points together; people who come back count once.
    total: Health,
    /// Events of all points together.
    events: u64,
    /// Sessions of all releases of all points together.
    sessions_of_all: u64,
}

impl From<errors::ReleaseHealth> for ReleaseHealth {
    fn from(model: errors::ReleaseHealth) -> Self {
        Self {
            points: model.points.into_iter().map(Into::into).collect(),
            total: model.total.into(),
            events: model.events,
            sessions_of_all: model.sessions_of_all,
        }
    }
}

answer! {
    /// An issue of a release.
    ReleaseIssue of errors::ReleaseIssue {
        /// Its key.
        #[schema(value_type = String)]
        id: IssueId,
        /// Its number within the project.
        number: i64,
        /// What went wrong.
        title: String,
        /// Where.
        culprit: String,
        /// The worst level seen.
        level: Level,
        /// Where it is in its life.
        status: IssueStatus,
        /// Its events in the release.
        events: u64,
        /// In a comparison, its events in the base.
        events_in_base: u64,
        /// Its latest event, of any release.
        #[schema(value_type = String, format = DateTime)]
        last_seen: Timestamp,
    }
}

/// The first issues of a list, and how many it has.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ReleaseIssues {
    /// At most 50, most events first.
    items: Vec<ReleaseIssue>,
    /// How many there are.
    total: u64,
}

impl From<errors::ReleaseIssues> for ReleaseIssues {
    fn from(model: errors::ReleaseIssues) -> Self {
        Self { items: model.items.into_iter().map(Into::into).collect(), total: model.total }
    }
}

answer! {
    /// One side of a comparison, over the last 30 days.
    ComparedRelease of errors::ComparedRelease {
        /// The release.
        release: Release,
        /// Its sessions and people.
        health: Health,
        /// Its events.
        events: u64,
        /// Sessions of all releases.
        sessions_of_all: u64,
        /// Issues that had an event in it, ever.
        issues: u64,
    }
}

answer! {
    /// Two releases side by side.
    Comparison of errors::Comparison {
        /// What is compared with.
        base: ComparedRelease,
        /// What is compared.
        other: ComparedRelease,
        /// Issues of the other and not of the base.
        new: ReleaseIssues,
        /// Issues of the base and not of the other.
        gone: ReleaseIssues,
        /// Issues of both.
        common: ReleaseIssues,
    }
}
