//! What searches answer, field by field as in `answer`.

use belvedere_error_tracking::IssueId;
use belvedere_error_tracking::search as model;
use belvedere_error_tracking::search::SavedSearchId;
use belvedere_storage::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use super::answer::{EventSummary, Issue, IssueSort, answer};

/// A page of issues that match a query.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct IssuesAnswer {
    /// The rows of this page.
    items: Vec<Issue>,
    /// The `cursor` of the next page; null on the last.
    next: Option<String>,
    /// How many issues match, counted up to 10,000.
    matching: u64,
    /// Whether there are no more than that.
    matching_is_exact: bool,
    /// Which events the `events` of each issue counts: `all`, `key:value` of the only tag asked for, or `since` with an
    /// instant and, where one was chosen, the environment.
    events_of: String,
}

impl From<model::IssuesFound> for IssuesAnswer {
    fn from(found: model::IssuesFound) -> Self {
        let events_of = match &found.counts {
            model::CountsCover::Tag { key, value } => format!("{key}:{value}"),
            model::CountsCover::Since { from, environment: None } => format!("since {from}"),
            model::CountsCover::Since { from, environment: Some(name) } => format!("since {from} in {name}"),
            model::CountsCover::AllEvents => "all".to_owned(),
        };
        Self {
            next: found.page.next.map(|cursor| cursor.as_str().to_owned()),
            items: found.page.items.into_iter().map(Issue::from).collect(),
            matching: found.matching.count,
            matching_is_exact: found.matching.is_exact,
            events_of,
        }
    }
}

/// A page of events that match a query.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct EventsAnswer {
    /// The rows of this page: fewer than asked for where many events were looked through; `next` goes on.
    pub(super) items: Vec<TaggedEventAnswer>,
    /// The `cursor` of the next page; null on the last.
    next: Option<String>,
}

impl From<model::EventsFound> for EventsAnswer {
    fn from(found: model::EventsFound) -> Self {
        Self {
            next: found.page.next.map(|cursor| cursor.as_str().to_owned()),
            items: found.page.items.into_iter().map(TaggedEventAnswer::from).collect(),
        }
    }
}

answer! {
    /// One occurrence with its tags.
    TaggedEventAnswer of model::TaggedEvent {
        #[serde(flatten)]
        summary: EventSummary,
        /// The trace in which it happened: 32 hexadecimal digits.
        trace: Option<String>,
        /// Pairs of key and value.
        #[schema(value_type = Vec<Vec<String>>)]
        tags: Vec<(String, String)>,
    }
}

answer! {
    /// A key of tags.
    TagKeyAnswer of model::TagKey {
        /// The key.
        key: String,
        /// Exact number of events with it.
        events: u64,
        /// How many values are known; at most 10,000 are.
        values: u64,
    }
}

answer! {
    /// A value of a tag.
    TagValueAnswer of model::TagValue {
        /// The value.
        value: String,
        /// Events with it that are counted.
        events: u64,
        /// When it was first seen.
        #[schema(value_type = String, format = DateTime)]
        first_seen: Timestamp,
        /// When it was last seen.
        #[schema(value_type = String, format = DateTime)]
        last_seen: Timestamp,
    }
}

/// How an issue's events are distributed over the values of a key.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct TagDistributionAnswer {
    /// The key.
    key: String,
    /// Exact number of the issue's events that have the key.
    events: u64,
    /// The commonest values.
    values: Vec<TagValueAnswer>,
    /// How many values are counted one by one; at most 100 are.
    values_known: u64,
    /// Events with any other value.
    others: u64,
}

impl From<model::TagDistribution> for TagDistributionAnswer {
    fn from(tag: model::TagDistribution) -> Self {
        Self {
            key: tag.key,
            events: tag.events,
            values: tag.values.into_iter().map(TagValueAnswer::from).collect(),
            values_known: tag.values_known,
            others: tag.others,
        }
    }
}

answer! {
    /// An issue that looks like another.
    SimilarIssueAnswer of model::SimilarIssue {
        /// A ULID.
        #[schema(value_type = String)]
        id: IssueId,
        /// Its number within the project.
        number: i64,
        /// Its title.
        title: String,
        /// Its number of events.
        events: u64,
        /// When it was last seen.
        #[schema(value_type = String, format = DateTime)]
        last_seen: Timestamp,
        /// How alike, from 0 to 100.
        percent: u8,
        /// In words, what they have in common.
        reason: String,
    }
}

answer! {
    /// A search worth keeping.
    SavedSearchAnswer of model::SavedSearch {
        /// A ULID.
        #[schema(value_type = String)]
        id: SavedSearchId,
        /// What people call it.
        name: String,
        /// The text of the query.
        query: String,
        /// The order.
        sort: IssueSort,
        /// Whether the list of issues opens with it.
        is_default: bool,
        /// When it was made.
        #[schema(value_type = String, format = DateTime)]
        created_at: Timestamp,
    }
}
