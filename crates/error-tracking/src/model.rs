use std::str::FromStr;

use belvedere_kernel::{ProjectId, Removal, SubjectId, User};
use belvedere_storage::{Id, PageRequest, Timestamp};
use serde::Serialize;
use serde_json::Value;

use crate::grouping::Explanation;
use crate::{Substatus, Triaged};

/// Marks ids of issues.
#[derive(Debug)]
pub enum IssueKey {}

/// The key of an issue.
pub type IssueId = Id<IssueKey>;

/// How bad an event is, in Sentry's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// For developers.
    Debug,
    /// Worth knowing.
    Info,
    /// Something is not as it should be.
    Warning,
    /// Something failed; the default.
    Error,
    /// The program ended.
    Fatal,
}

impl Level {
    /// Every level, from the least.
    pub const ALL: [Self; 5] = [Self::Debug, Self::Info, Self::Warning, Self::Error, Self::Fatal];

    /// The level as a word: `debug`, `info`, `warning`, `error`, `fatal`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Error => "error",
            Self::Fatal => "fatal",
        }
    }

    pub(crate) fn to_number(self) -> i64 {
        match self {
            Self::Debug => 10,
            Self::Info => 20,
            Self::Warning => 30,
            Self::Error => 40,
            Self::Fatal => 50,
        }
    }

    pub(crate) fn from_number(number: i64) -> Option<Self> {
        Self::ALL.into_iter().find(|level| level.to_number() == number)
    }
}

/// Where an issue is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum IssueStatus {
    /// Needs attention.
    Unresolved,
    /// Said to be fixed.
    Resolved,
    /// Not worth attention for some time.
    Ignored,
    /// Known and lived with.
    Archived,
}

impl IssueStatus {
    /// Every status.
    pub const ALL: [Self; 4] = [Self::Unresolved, Self::Resolved, Self::Ignored, Self::Archived];

    /// The status as a word: `unresolved`, `resolved`, `ignored`, `archived`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unresolved => "unresolved",
            Self::Resolved => "resolved",
            Self::Ignored => "ignored",
            Self::Archived => "archived",
        }
    }

    pub(crate) fn to_number(self) -> i64 {
        match self {
            Self::Unresolved => 0,
            Self::Resolved => 1,
            Self::Ignored => 2,
            Self::Archived => 3,
        }
    }

    pub(crate) fn from_number(number: i64) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.to_number() == number)
    }
}

/// The reverse of [`IssueStatus::as_str`].
impl FromStr for IssueStatus {
    type Err = ParseIssueStatusError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|status| status.as_str() == text).ok_or(ParseIssueStatusError)
    }
}

/// A word that is no status of an issue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a status (unresolved, resolved, ignored or archived)")]
pub struct ParseIssueStatusError;

/// A row of the list of issues.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct IssueSummary {
    /// Its key.
    pub id: IssueId,
    /// Its number within the project, from 1.
    pub number: i64,
    /// `TypeError: cannot read properties of undefined`, or the message; at most 512 characters.
    pub title: String,
    /// Where it happened: the innermost in-app function and file, or the transaction; at most 256 characters.
    pub culprit: String,
    /// The worst level seen.
    pub level: Level,
    /// Where it is in its life.
    pub status: IssueStatus,
    /// If it is unresolved, how it came to be so.
    pub substatus: Substatus,
    /// Who is to look at it.
    pub assigned_to: Option<Id<User>>,
    /// The platform of its newest event: `python`, `javascript`, ..
    pub platform: String,
    /// Exact number of events; in a list filtered by environment, of those from there.
    pub events: u64,
    /// Exact number of different subjects affected.
    pub subjects: u64,
    /// The earliest event's time.
    pub first_seen: Timestamp,
    /// The latest event's time.
    pub last_seen: Timestamp,
    /// Events per hour in the last 24 hours, oldest first; 24 numbers, the last for the current hour. In a list
    /// filtered by environment, of those from there.
    pub hourly: Vec<u64>,
}

/// An issue on its own page.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct IssueDetail {
    /// What the list shows.
    #[serde(flatten)]
    pub summary: IssueSummary,
    /// Events per day in the last 14 days (UTC), oldest first; 14 numbers, the last for today.
    pub daily: Vec<u64>,
    /// The release of its first event.
    pub first_release: Option<String>,
    /// The release of its newest event.
    pub last_release: Option<String>,
    /// Which version of the grouping rules made it.
    pub grouping_version: u16,
    /// In words, what made its events one issue.
    pub grouping_reason: String,
    /// The values that were hashed, one a line.
    pub grouping_values: Vec<String>,
    /// How they were chosen, as far as it was recorded.
    pub grouping_explanation: Explanation,
    /// The event id of its newest event (32 hexadecimal digits).
    pub latest_event: Option<String>,
    /// What has become of it in people's hands.
    #[serde(flatten)]
    pub triaged: Triaged,
}

/// A row of an issue's list of events.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct EventSummary {
    /// 32 hexadecimal digits.
    pub event_id: String,
    /// When it happened, by the client's clock after correction.
    pub occurred_at: Timestamp,
    /// When it was received.
    pub received_at: Timestamp,
    /// Its own title.
    pub title: String,
    /// How bad it is.
    pub level: Level,
    /// The release it came from.
    pub release: Option<String>,
    /// `production`, `staging`, ..
    pub environment: Option<String>,
    /// Whom it happened to.
    pub subject: Option<SubjectId>,
}

/// An event whole.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Event {
    /// What the list shows.
    #[serde(flatten)]
    pub summary: EventSummary,
    /// The issue it belongs to.
    pub issue: IssueId,
    /// `python`, `javascript`, ..
    pub platform: String,
    /// Where it happened.
    pub culprit: String,
    /// The SDK as `name/version`.
    pub sdk: Option<String>,
    /// Whether its time had to be clamped into the accepted window (10 minutes ahead, 30 days back).
    pub time_was_clamped: bool,
    /// Whether the program caught the exception itself, where the SDK says so.
    pub handled: Option<bool>,
    /// What was removed before storage.
    pub removals: Vec<Removal>,
    /// The event id of the one before it in the issue, by time.
    pub previous: Option<String>,
    /// The event id of the one after it in the issue, by time.
    pub next: Option<String>,
    /// The payload as stored: Sentry's event attributes, scrubbed, without user identity.
    pub payload: Value,
}

/// The order of a list of issues.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum IssueSort {
    /// Latest event first.
    #[default]
    LastSeen,
    /// Youngest issue first.
    FirstSeen,
    /// Most events first.
    Events,
    /// Most subjects first.
    Subjects,
    /// What rises most first: by its events of about the last day against those of about the last week, in all
    /// environments. Events count half after a day, and after a week; the one sum is divided by the other to the power
    /// of 0.75.
    Trend,
}

impl IssueSort {
    /// Every order.
    pub const ALL: [Self; 5] = [Self::LastSeen, Self::FirstSeen, Self::Events, Self::Subjects, Self::Trend];

    /// The order as a word: `last_seen`, `first_seen`, `events`, `subjects`, `trend`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::LastSeen => "last_seen",
            Self::FirstSeen => "first_seen",
            Self::Events => "events",
            Self::Subjects => "subjects",
            Self::Trend => "trend",
        }
    }
}

/// The reverse of [`IssueSort::as_str`].
impl FromStr for IssueSort {
    type Err = ParseIssueSortError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|sort| sort.as_str() == text).ok_or(ParseIssueSortError)
    }
}

/// A word that is no order of a list of issues.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an order (last_seen, first_seen, events, subjects or trend)")]
pub struct ParseIssueSortError;

/// Which issues are wanted.
#[derive(Debug, Clone, PartialEq)]
pub struct ListIssues {
    /// The project to look in.
    pub project: ProjectId,
    /// Only those in this state.
    pub status: Option<IssueStatus>,
    /// Only unresolved ones that came to be so in this way.
    pub substatus: Option<Substatus>,
    /// Only those that this person is to look at.
    pub assigned_to: Option<Id<User>>,
    /// Only those whose title or culprit contains this text, without regard to case; at most 200 characters.
    pub text: Option<String>,
    /// Only those with an event in this environment.
    pub environment: Option<String>,
    /// In this order.
    pub sort: IssueSort,
    /// Which page.
    pub page: PageRequest,
}

impl ListIssues {
    /// The first 50 issues of any state, the latest first.
    #[must_use]
    pub fn first(project: ProjectId) -> Self {
        Self {
            project,
            status: None,
            substatus: None,
            assigned_to: None,
            text: None,
            environment: None,
            sort: IssueSort::default(),
            page: PageRequest::first(50),
        }
    }
}

/// Events per hour of a project, for its chart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct HourCount {
    /// Start of the UTC hour.
    pub hour: Timestamp,
    /// Events in it.
    pub events: u64,
}

/// What became of an event that was recorded in process.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Recorded {
    /// 32 hexadecimal digits: the payload's own, or a new one.
    pub event_id: String,
    /// The issue it joined; `None` for a duplicate.
    pub issue: Option<IssueId>,
    /// Whether it made that issue.
    pub is_new_issue: bool,
}
