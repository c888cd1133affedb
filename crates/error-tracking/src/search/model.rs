//! What searches ask and answer.

use belvedere_kernel::{Actor, Organisation, ProjectId, User};
use belvedere_storage::{Id, Page, PageRequest, Timestamp};
use serde::Serialize;

use super::query::Query;
use crate::{EventSummary, IssueId, IssueSort, IssueSummary};

/// Marks ids of saved searches.
#[derive(Debug)]
pub enum SavedSearchKey {}

/// The key of a saved search.
pub type SavedSearchId = Id<SavedSearchKey>;

/// Which issues are wanted.
#[derive(Debug, Clone, PartialEq)]
pub struct SearchIssues {
    /// The project to look in.
    pub project: ProjectId,
    /// What they must be like.
    pub query: Query,
    /// Only those with an event in this environment.
    pub environment: Option<String>,
    /// Only those with an event since then, to the UTC hour; at most 90 days ago.
    pub since: Option<Timestamp>,
    /// In this order.
    pub sort: IssueSort,
    /// Which page.
    pub page: PageRequest,
}

/// A page of the issues that match.
#[derive(Debug, Clone, PartialEq)]
pub struct IssuesFound {
    /// The page.
    pub page: Page<IssueSummary>,
    /// How many issues match in all.
    pub matching: Matching,
    /// What the events of each issue are the number of.
    pub counts: CountsCover,
}

/// How many there are, counted up to a limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Matching {
    /// How many, or the limit.
    pub count: u64,
    /// Whether there are no more than that.
    pub is_exact: bool,
}

/// What the number of events beside an issue covers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CountsCover {
    /// All of the issue's events.
    AllEvents,
    /// Those with this tag, exactly.
    Tag {
        /// Its key.
        key: String,
        /// Its value.
        value: String,
    },
    /// Those since the start of this hour, in the environment if one is named, exactly.
    Since {
        /// The start of the hour.
        from: Timestamp,
        /// The environment.
        environment: Option<String>,
    },
}

/// Which events of an issue are wanted.
#[derive(Debug, Clone, PartialEq)]
pub struct SearchEvents {
    /// The project to look in.
    pub project: ProjectId,
    /// The issue.
    pub issue: IssueId,
    /// What they must be like: tags, traces, ids, levels and text of titles. What only issues can be asked is refused.
    pub query: Query,
    /// Only those in this environment.
    pub environment: Option<String>,
    /// Which page.
    pub page: PageRequest,
}

/// An event with what it was tagged with.
#[derive(Debug, Clone, PartialEq)]
pub struct TaggedEvent {
    /// What every list of events shows.
    pub summary: EventSummary,
    /// The trace in which it happened: 32 hexadecimal digits.
    pub trace: Option<String>,
    /// Keys and values.
    pub tags: Vec<(String, String)>,
}

/// A page of the events that match, newest first.
#[derive(Debug, Clone, PartialEq)]
pub struct EventsFound {
    /// The page. It may hold fewer events than asked for, and none, where many were looked through; then `next` goes
    /// on looking.
    pub page: Page<TaggedEvent>,
    /// How many events were looked through for it.
    pub looked_through: u64,
}

/// A key of a project's tags.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TagKey {
    /// The key.
    pub key: String,
    /// Exact number of events with it.
    pub events: u64,
    /// How many values are known.
    pub values: u64,
}

/// A value of a tag.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TagValue {
    /// The value.
    pub value: String,
    /// Events with it that are counted.
    pub events: u64,
    /// When it was first seen.
    pub first_seen: Timestamp,
    /// When it was last seen.
    pub last_seen: Timestamp,
}

/// How an issue's events are distributed over the values of a key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TagDistribution {
    /// The key.
    pub key: String,
    /// Exact number of the issue's events that have the key.
    pub events: u64,
    /// The commonest values, the commonest first.
    pub values: Vec<TagValue>,
    /// How many values are counted one by one.
    pub values_known: u64,
    /// Events with any other value than those of `values`.
    pub others: u64,
}

/// An issue that looks like another.
#[derive(Debug, Clone, PartialEq)]
pub struct SimilarIssue {
    /// Its key.
    pub id: IssueId,
    /// Its number within the project.
    pub number: i64,
    /// Its title.
    pub title: String,
    /// Its number of events.
    pub events: u64,
    /// When it was last seen.
    pub last_seen: Timestamp,
    /// How alike, from 0 to 100.
    pub percent: u8,
    /// In words, what they have in common.
    pub reason: String,
}

/// Whose a saved search is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SearchOwner {
    /// Everybody's in the project.
    Shared,
    /// One person's.
    Personal(Id<User>),
}

/// A search worth keeping.
#[derive(Debug, Clone, PartialEq)]
pub struct SavedSearch {
    /// Its key.
    pub id: SavedSearchId,
    /// Whose it is.
    pub owner: SearchOwner,
    /// What people call it; at most 60 characters.
    pub name: String,
    /// The text of the query.
    pub query: String,
    /// The order.
    pub sort: IssueSort,
    /// Whether the list of issues opens with it.
    pub is_default: bool,
    /// When it was made.
    pub created_at: Timestamp,
}

/// A new search to keep, or the new state of one.
#[derive(Debug, Clone, PartialEq)]
pub struct SaveSearch {
    /// Who saves it.
    pub editor: SearchEditor,
    /// Which one is changed; `None` makes a new one.
    pub id: Option<SavedSearchId>,
    /// Whose it is; a change keeps it as it was.
    pub owner: SearchOwner,
    /// What people call it.
    pub name: String,
    /// The text of the query.
    pub query: String,
    /// The order.
    pub sort: IssueSort,
    /// Whether the list of issues opens with it, instead of any other of the same owner.
    pub is_default: bool,
}

/// Who changes saved searches, and where.
#[derive(Debug, Clone, PartialEq)]
pub struct SearchEditor {
    /// Who.
    pub actor: Actor,
    /// The person behind the actor, whose personal searches can be changed.
    pub user: Option<Id<User>>,
    /// Whether shared searches may be changed too.
    pub may_share: bool,
    /// The organisation of the project, for the audit log.
    pub organisation: Id<Organisation>,
    /// The project.
    pub project: ProjectId,
    /// The id of the HTTP request, if there was one.
    pub request_id: Option<String>,
}
