//! Search: which issues and events match a query, what their tags say, and searches worth keeping.
//!
//! A query is text (see [`parse_query`]) such as `is:unresolved level:>=error release:shop@2.* !plan:free declined`.
//! What is counted is exact or says what it covers.

mod event_filter;
mod listing;
mod model;
mod parse;
mod query;
mod service;
mod similar;
mod text;
mod value;
mod words;

use async_trait::async_trait;
use belvedere_kernel::{ProjectId, User};
use belvedere_storage::Id;

use crate::{ErrorTrackingError, IssueId};

pub use model::{
    CountsCover, EventsFound, IssuesFound, Matching, SaveSearch, SavedSearch, SavedSearchId, SavedSearchKey,
    SearchEditor, SearchEvents, SearchIssues, SearchOwner, SimilarIssue, TagDistribution, TagKey, TagValue,
    TaggedEvent,
};
pub use parse::{KEYS, QueryError, parse_query};
pub use query::{Query, QueryContext};
pub use service::SearchService;

pub(crate) use event_filter::{EventFacts, EventFilter};
pub(crate) use listing::search_by_list;
pub(crate) use query::{Assignee, Column, Field, Filter, IsWord, Pattern, Term};
pub(crate) use similar::Candidate;
pub(crate) use text::EventText;
pub(crate) use words::{Phrase, words_of};

/// What other code may ask of search.
#[async_trait]
pub trait Search: Send + Sync {
    /// A page of the issues that match, how many there are, and what their numbers of events cover.
    async fn search_issues(&self, search: SearchIssues) -> Result<IssuesFound, ErrorTrackingError>;

    /// A page of the events of an issue that match.
    async fn search_events(&self, search: SearchEvents) -> Result<EventsFound, ErrorTrackingError>;

    /// The keys of the project's tags, the commonest first; the first 500.
    async fn list_tag_keys(&self, project: ProjectId) -> Result<Vec<TagKey>, ErrorTrackingError>;

    /// Values of a key that begin with `prefix`, the commonest first; the first 100.
    async fn list_tag_values(
        &self,
        project: ProjectId,
        key: &str,
        prefix: &str,
    ) -> Result<Vec<TagValue>, ErrorTrackingError>;

    /// The keys of an issue's tags, the commonest first, each with its five commonest values; the first 60 keys.
    async fn summarise_tags(
        &self,
        project: ProjectId,
        issue: IssueId,
    ) -> Result<Vec<TagDistribution>, ErrorTrackingError>;

    /// All counted values of one key of an issue's tags; `None` if the issue has no event with it.
    async fn find_tag(
        &self,
        project: ProjectId,
        issue: IssueId,
        key: &str,
    ) -> Result<Option<TagDistribution>, ErrorTrackingError>;

    /// Issues that look like this one, the most alike first; the first 5.
    async fn list_similar(
        &self,
        project: ProjectId,
        issue: IssueId,
    ) -> Result<Vec<SimilarIssue>, ErrorTrackingError>;

    /// The project's shared searches and those of `user`, by name.
    async fn list_saved_searches(
        &self,
        project: ProjectId,
        user: Option<Id<User>>,
    ) -> Result<Vec<SavedSearch>, ErrorTrackingError>;

    /// Keeps a search, or changes one; `None` if the one to change is not there or not the editor's.
    async fn save_search(&self, search: SaveSearch) -> Result<Option<SavedSearch>, ErrorTrackingError>;

    /// Deletes a saved search; whether there was one that the editor may delete.
    async fn delete_search(
        &self,
        editor: SearchEditor,
        id: SavedSearchId,
    ) -> Result<bool, ErrorTrackingError>;
}
