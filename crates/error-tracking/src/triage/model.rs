use std::str::FromStr;

use belvedere_kernel::{Actor, Organisation, ProjectId, User};
use belvedere_storage::{Id, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{IssueId, IssueStatus};

/// Marks ids of entries on the timeline of an issue.
#[derive(Debug)]
pub enum ActivityKey {}

/// Marks ids of discards.
#[derive(Debug)]
pub enum DiscardKey {}

/// How an unresolved issue came to be so.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Substatus {
    /// By being new, or by a person or the end of being ignored.
    #[default]
    Ongoing,
    /// It was resolved, and came back.
    Regressed,
    /// It was archived, and became far more frequent than before.
    Escalating,
}

impl Substatus {
    /// Every substatus.
    pub const ALL: [Self; 3] = [Self::Ongoing, Self::Regressed, Self::Escalating];

    /// The substatus as a word: `ongoing`, `regressed`, `escalating`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ongoing => "ongoing",
            Self::Regressed => "regressed",
            Self::Escalating => "escalating",
        }
    }

    pub(crate) fn to_number(self) -> i64 {
        match self {
            Self::Ongoing => 0,
            Self::Regressed => 1,
            Self::Escalating => 2,
        }
    }

    pub(crate) fn from_number(number: i64) -> Option<Self> {
        Self::ALL.into_iter().find(|substatus| substatus.to_number() == number)
    }
}

/// What is counted of an issue's events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Counted {
    /// The events themselves.
    Events,
    /// The different subjects whom they happened to.
    Subjects,
}

impl Counted {
    /// The word for more than one: `events`, `subjects`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Events => "events",
            Self::Subjects => "subjects",
        }
    }
}

/// What new events of an issue that is not unresolved must amount to for it to become so again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Condition {
    /// One of them comes from a release that is later than this one. Events without a release do not.
    AfterRelease {
        /// The release.
        version: String,
        /// When it was first seen.
        first_seen: Timestamp,
    },
    /// There have been so many since the issue was first seen.
    Total {
        /// Of what.
        counted: Counted,
        /// How many in all.
        at_least: u64,
        /// How many more than there were.
        more: u64,
    },
    /// So many are received within some minutes, whole minutes UTC.
    Within {
        /// Of what.
        counted: Counted,
        /// How many.
        at_least: u64,
        /// Within how many minutes.
        minutes: u32,
    },
}

impl Condition {
    /// The same condition of an issue that got so many events and subjects from elsewhere.
    pub(crate) fn after_growth(self, events: i64, subjects: i64) -> Self {
        match self {
            Self::Total { counted, at_least, more } => {
                let growth = if counted == Counted::Events { events } else { subjects };
                let at_least = at_least.saturating_add(u64::try_from(growth).unwrap_or(0));
                Self::Total { counted, at_least, more }
            }
            other => other,
        }
    }
}

/// From when on a problem that was fixed counts as come back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Resolution {
    /// With any new event.
    Now,
    /// With an event of a later release than this one; `None` stands for the release of the issue's newest event, or
    /// the project's newest where that has none.
    InRelease(Option<String>),
    /// With an event of a later release than the project's newest.
    InNextRelease,
}

/// How long an issue is not worth attention.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ignoring {
    /// For ever.
    ForEver,
    /// Until this instant, which must lie ahead, at most ten years.
    Until(Timestamp),
    /// Until there are so many more.
    More {
        /// Of what.
        counted: Counted,
        /// How many: 1 to 1,000,000.
        count: u64,
        /// Within how many minutes, 1 to 1,440; then at most 1,000 subjects. `None`: however long it takes.
        minutes: Option<u32>,
    },
}

/// What is done to issues.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum IssueChange {
    /// The problem is fixed.
    Resolve(Resolution),
    /// It is not worth attention for some time.
    Ignore(Ignoring),
    /// It is known and lived with: out of the list unless it escalates, which is when within 60 minutes five times as
    /// many events come as in the busiest hour of the last 7 days, and at least 10.
    Archive,
    /// It needs attention.
    Reopen,
    /// Somebody of the organisation is to look at it, or nobody in particular.
    Assign(Option<Id<User>>),
    /// It goes, with its events and counts.
    Delete {
        /// Whether its future events are dropped too, counted as `discarded`.
        discards: bool,
    },
}

/// Who does something to issues, and where.
#[derive(Debug, Clone, PartialEq)]
pub struct Act {
    /// Who.
    pub actor: Actor,
    /// The organisation of the project, for the audit log.
    pub organisation: Id<Organisation>,
    /// The project that the issues belong to.
    pub project: ProjectId,
    /// The id of the HTTP request, if there was one.
    pub request_id: Option<String>,
}

/// A change of some issues.
#[derive(Debug, Clone, PartialEq)]
pub struct ChangeIssues {
    /// Who does it.
    pub act: Act,
    /// To which issues; at most 200. Those that do not exist in the project are passed over.
    pub issues: Vec<IssueId>,
    /// What.
    pub change: IssueChange,
}

/// A change of what stands on an issue's timeline.
#[derive(Debug, Clone, PartialEq)]
pub struct ChangeComment {
    /// Who does it; only its author may.
    pub act: Act,
    /// The issue.
    pub issue: IssueId,
    /// The comment.
    pub comment: Id<ActivityKey>,
    /// Its text from now on; `None` deletes it.
    pub text: Option<String>,
}

/// Something to be said about an issue.
#[derive(Debug, Clone, PartialEq)]
pub struct NewComment {
    /// Who says it.
    pub act: Act,
    /// About which issue.
    pub issue: IssueId,
    /// What: plain text, 1 to 4,096 bytes; personal data is removed from it as from events.
    pub text: String,
}

/// Issues that are one.
#[derive(Debug, Clone, PartialEq)]
pub struct MergeIssues {
    /// Who says so.
    pub act: Act,
    /// Which: 2 to 50. They become the one with the most events, or the oldest of those.
    pub issues: Vec<IssueId>,
}

/// A part of an issue that is none of it.
#[derive(Debug, Clone, PartialEq)]
pub struct UnmergeIssue {
    /// Who says so.
    pub act: Act,
    /// The issue.
    pub issue: IssueId,
    /// The hashes whose stored events become an issue of their own: not all that it has, at most 200.
    pub hashes: Vec<String>,
}

/// Who is to own what.
#[derive(Debug, Clone, PartialEq)]
pub struct SetOwnership {
    /// Who says so.
    pub act: Act,
    /// The rules, one a line, at most 200 and 32 KiB: `path:src/payments/** anna@example.com`; with `module:`, `url:`
    /// and `tags.<name>:` for other values of an event. `*` stands for anything, in a path for anything within a
    /// folder and `**` across folders. The last rule that fits counts. Owners are members, by address or by id.
    pub rules: String,
    /// Whether new issues are assigned to their owners.
    pub assigns: bool,
}

/// The end of a discard.
#[derive(Debug, Clone, PartialEq)]
pub struct LiftDiscard {
    /// Who ends it.
    pub act: Act,
    /// Which.
    pub discard: Id<DiscardKey>,
}

/// What an entry of a timeline is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ActivityKind {
    /// The state was changed: `{from, to, condition?, until?}`.
    Status,
    /// A resolved issue came back: `{release?, event_id, resolved_in?}`.
    Regression,
    /// An ignored issue woke, by its condition or its time: `{condition?, until?, event_id?}`.
    Woken,
    /// An archived issue became far more frequent: `{condition, event_id}`.
    Escalation,
    /// Somebody was to look at it, or is suggested to: `{user?, rule?, is_suggestion?}`.
    Assignment,
    /// Somebody wrote something.
    Comment,
    /// Other issues became part of it: `{numbers, titles}`.
    Merge,
    /// A part of it became an issue of its own, or it was one: `{number, issue, hashes}`.
    Unmerge,
    /// An event of it came from a release for the first time: `{release}`.
    Release,
    /// It was first seen: `{release?}`. Always the last entry.
    FirstSeen,
}

impl ActivityKind {
    const ALL: [Self; 10] = [
        Self::Status,
        Self::Regression,
        Self::Woken,
        Self::Escalation,
        Self::Assignment,
        Self::Comment,
        Self::Merge,
        Self::Unmerge,
        Self::Release,
        Self::FirstSeen,
    ];

    /// The kind as a word: `status`, `regression`, `woken`, `escalation`, `assignment`, `comment`, `merge`, `unmerge`,
    /// `release`, `first_seen`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Status => "status",
            Self::Regression => "regression",
            Self::Woken => "woken",
            Self::Escalation => "escalation",
            Self::Assignment => "assignment",
            Self::Comment => "comment",
            Self::Merge => "merge",
            Self::Unmerge => "unmerge",
            Self::Release => "release",
            Self::FirstSeen => "first_seen",
        }
    }
}

/// The reverse of [`ActivityKind::as_str`].
impl FromStr for ActivityKind {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text).ok_or(())
    }
}

/// An entry on the timeline of an issue.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Activity {
    /// Its key; `None` for what follows from the issue itself.
    pub id: Option<Id<ActivityKey>>,
    /// When.
    pub at: Timestamp,
    /// What it is about.
    pub kind: ActivityKind,
    /// `user`, `token` or `system`.
    pub actor_kind: String,
    /// The id of the user or token, or the part of Belvedere that acted.
    pub actor_id: Option<String>,
    /// As its kind describes it.
    pub detail: Value,
    /// The text of a comment: plain, at most 4,096 bytes.
    pub comment: Option<String>,
    /// When the comment was last edited.
    pub edited_at: Option<Timestamp>,
}

/// What has become of the triage of one issue, beside its status.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Triaged {
    /// What wakes it, if that is not just any event.
    pub condition: Option<Condition>,
    /// When it wakes by itself.
    pub until: Option<Timestamp>,
    /// Who owns what it is about, by the project's rules.
    pub suggested_owner: Option<Id<User>>,
    /// The release of the event that last brought it back after it was resolved.
    pub regressed_in: Option<String>,
    /// The release before its first one, where it is known.
    pub release_before_first: Option<String>,
    /// The release before the one that it regressed in.
    pub release_before_regression: Option<String>,
}

/// A hash whose events belong to an issue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct IssueHash {
    /// 32 hexadecimal digits.
    pub hash: String,
    /// How many of the issue's newest 10,000 stored events were grouped by it.
    pub recent_events: u64,
    /// The title of the newest of those.
    pub title: Option<String>,
}

/// How many issues of a project there are in each state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct StatusCounts {
    /// Unresolved, the regressed ones included.
    pub unresolved: u64,
    /// Unresolved because they came back.
    pub regressed: u64,
    /// Resolved.
    pub resolved: u64,
    /// Ignored.
    pub ignored: u64,
    /// Archived.
    pub archived: u64,
}

impl StatusCounts {
    pub(crate) fn add(&mut self, status: IssueStatus, substatus: Substatus, count: u64) {
        match status {
            IssueStatus::Unresolved => {
                self.unresolved += count;
                if substatus == Substatus::Regressed {
                    self.regressed += count;
                }
            }
            IssueStatus::Resolved => self.resolved += count,
            IssueStatus::Ignored => self.ignored += count,
            IssueStatus::Archived => self.archived += count,
        }
    }
}

/// Who owns what of a project.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Ownership {
    /// The rules, one a line, with the ids of members in the place of their addresses.
    pub rules: String,
    /// Whether new issues are assigned to their owners.
    pub assigns: bool,
}

/// An issue whose future events are dropped.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Discard {
    /// Its key.
    pub id: Id<DiscardKey>,
    /// The title of the issue that was deleted.
    pub title: String,
    /// Where it happened.
    pub culprit: String,
    /// Since when.
    pub created_at: Timestamp,
}
