use std::sync::Arc;

use async_trait::async_trait;
use belvedere_kernel::{AuditSink, Clock, Entry, ProjectId, Scrubber, Target, User};
use belvedere_storage::{Database, Id, Tx};
use serde_json::json;

use super::event_filter::EventFilter;
use super::parse::QUERY_CHARS_MAX;
use super::query::{Filter, Pattern};
use super::similar::rank;
use super::{
    CountsCover, EventsFound, IssuesFound, SaveSearch, SavedSearch, SavedSearchId, Search, SearchEditor,
    SearchEvents, SearchIssues, SearchOwner, SimilarIssue, TagDistribution, TagKey, TagValue,
};
use crate::store::search::{self as store, EventsOf, IssueSearch};
use crate::{ErrorTrackingError, IssueId};

/// How far back a list may be limited in time.
const SINCE_HOURS_MAX: u64 = 90 * 24;

/// The longest name of a saved search, in characters.
const NAME_CHARS_MAX: usize = 60;

/// How many searches a project shares, and how many one person keeps in it.
const SAVED_MAX: i64 = 100;

/// Search on a database.
pub struct SearchService {
    db: Database,
    clock: Arc<dyn Clock>,
    scrubber: Arc<dyn Scrubber>,
    audit: Arc<dyn AuditSink>,
}

impl SearchService {
    /// The service over a migrated database. The scrubber tells which queries hold personal data and cannot be kept.
    #[must_use]
    pub fn new(
        db: Database,
        clock: Arc<dyn Clock>,
        scrubber: Arc<dyn Scrubber>,
        audit: Arc<dyn AuditSink>,
    ) -> Self {
        Self { db, clock, scrubber, audit }
    }

    async fn record(
        &self,
        tx: &Tx,
        editor: &SearchEditor,
        action: &'static str,
        search: &SavedSearch,
    ) -> Result<(), ErrorTrackingError> {
        let is_shared = search.owner == SearchOwner::Shared;
        let entry = Entry {
            organisation: Some(editor.organisation),
            project: Some(editor.project),
            target: Some(Target { kind: "saved_search", id: search.id.to_string() }),
            request_id: editor.request_id.clone(),
            detail: json!({ "name": search.name, "query": search.query, "is_shared": is_shared }),
            ..Entry::new(editor.actor, action)
        };
        Ok(self.audit.record(tx, entry).await?)
    }

    /// Nothing that a project's rules call personal data is kept in the clear.
    async fn check_text(&self, search: &SaveSearch) -> Result<(), ErrorTrackingError> {
        let invalid = |why: String| Err(ErrorTrackingError::InvalidQuery(why));
        let name = search.name.trim();
        if name.is_empty() || name.chars().count() > NAME_CHARS_MAX || name.chars().any(char::is_control) {
            return invalid(format!("name: must have 1 to {NAME_CHARS_MAX} characters on one line"));
        }
        if search.query.chars().count() > QUERY_CHARS_MAX || search.query.contains('\0') {
            return invalid(format!("query: must have at most {QUERY_CHARS_MAX} characters"));
        }
        let project = search.editor.project;
        let mut text = json!({ "name": name, "query": search.query });
        let rules = self.scrubber.load(&[project]).await?;
        if !rules.scrub(project, &mut text).is_empty() {
            return invalid(
                "query: holds what the project's rules call personal data; it is not kept".to_owned(),
            );
        }
        Ok(())
    }
}

impl std::fmt::Debug for SearchService {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SearchService({:?})", self.db)
    }
}

/// Whether the editor may change a search of this owner.
fn may_change(editor: &SearchEditor, owner: SearchOwner) -> bool {
    match owner {
        SearchOwner::Shared => editor.may_share,
        SearchOwner::Personal(user) => editor.user == Some(user),
    }
}

/// The one tag that decides which events are counted: the environment, or the only tag that the query asks for.
fn counted_tag(search: &SearchIssues) -> Option<(&str, &str)> {
    if let Some(environment) = &search.environment {
        return Some(("environment", environment));
    }
    let mut tags =
        search.query.terms.iter().filter(|term| !term.is_negated).filter_map(|term| match &term.filter {
            Filter::Tag(key, patterns) => Some((key.as_str(), patterns.as_slice())),
            _ => None,
        });
    match (tags.next(), tags.next()) {
        (Some((key, [Pattern::Exact(value)])), None) => Some((key, value)),
        _ => None,
    }
}

#[async_trait]
impl Search for SearchService {
    async fn search_issues(&self, search: SearchIssues) -> Result<IssuesFound, ErrorTrackingError> {
        let now = self.clock.now();
        let oldest = now.minus(std::time::Duration::from_secs(SINCE_HOURS_MAX * 3_600));
        if search.since.is_some_and(|since| since < oldest.start_of_hour()) {
            return Err(ErrorTrackingError::InvalidQuery(
                "since: must be within the last 90 days".to_owned(),
            ));
        }
        let environment = search.environment.as_deref();
        if environment.is_some_and(|environment| environment.contains('\0')) {
            return Err(ErrorTrackingError::InvalidQuery("environment: cannot contain NUL".to_owned()));
        }
        let connection = self.db.read();
        let (counts, events_of) = match (search.since, counted_tag(&search)) {
            (Some(since), _) => {
                let from = since.start_of_hour();
                (CountsCover::Since { from, environment: search.environment.clone() }, EventsOf::Since)
            }
            (None, Some((key, value))) => {
                let events_of = if key == "environment" {
                    EventsOf::Environment(value)
                } else {
                    let tag = store::find_tag_id(connection, search.project, key, value).await?;
                    tag.map_or(EventsOf::Nothing, EventsOf::Tag)
                };
                (CountsCover::Tag { key: key.to_owned(), value: value.to_owned() }, events_of)
            }
            (None, None) => (CountsCover::AllEvents, EventsOf::Issue),
        };
        let wanted = IssueSearch {
            project: search.project,
            terms: &search.query.terms,
            environment,
            since: search.since,
            sort: search.sort,
            events_of,
            now,
        };
        // On two connections, so that neither waits for the other.
        let (page, matching) = tokio::join!(
            store::search_issues(connection, &wanted, &search.page),
            store::count_matching(connection, &wanted)
        );
        let (page, matching) = (page?, matching?);
        Ok(IssuesFound { page, matching, counts })
    }

    async fn search_events(&self, search: SearchEvents) -> Result<EventsFound, ErrorTrackingError> {
        let filter = EventFilter::try_new(&search.query, search.environment.as_deref())?;
        store::search_events(self.db.read(), search.project, search.issue, &filter, &search.page).await
    }

    async fn list_tag_keys(&self, project: ProjectId) -> Result<Vec<TagKey>, ErrorTrackingError> {
        Ok(store::list_tag_keys(self.db.read(), project).await?)
    }

    async fn list_tag_values(
        &self,
        project: ProjectId,
        key: &str,
        prefix: &str,
    ) -> Result<Vec<TagValue>, ErrorTrackingError> {
        if key.contains('\0') || prefix.contains('\0') {
            return Ok(Vec::new());
        }
        Ok(store::list_tag_values(self.db.read(), project, key, prefix).await?)
    }

    async fn summarise_tags(
        &self,
        project: ProjectId,
        issue: IssueId,
    ) -> Result<Vec<TagDistribution>, ErrorTrackingError> {
        Ok(store::summarise_tags(self.db.read(), project, issue).await?)
    }

    async fn find_tag(
        &self,
        project: ProjectId,
        issue: IssueId,
        key: &str,
    ) -> Result<Option<TagDistribution>, ErrorTrackingError> {
        if key.contains('\0') {
            return Ok(None);
        }
        Ok(store::find_issue_tag(self.db.read(), project, issue, key).await?)
    }

    async fn list_similar(
        &self,
        project: ProjectId,
        issue: IssueId,
    ) -> Result<Vec<SimilarIssue>, ErrorTrackingError> {
        let connection = self.db.read();
        let Some((issue, kind)) = store::find_candidate(connection, project, issue).await? else {
            return Ok(Vec::new());
        };
        let tag = kind.as_ref().map(|(id, _)| *id);
        let candidates = store::list_candidates(connection, project, &issue, tag).await?;
        Ok(rank(&issue, candidates, kind.as_ref().map(|(_, kind)| kind.as_str())))
    }

    async fn list_saved_searches(
        &self,
        project: ProjectId,
        user: Option<Id<User>>,
    ) -> Result<Vec<SavedSearch>, ErrorTrackingError> {
        Ok(store::list_saved(self.db.read(), project, user, 2 * SAVED_MAX).await?)
    }

    async fn save_search(&self, search: SaveSearch) -> Result<Option<SavedSearch>, ErrorTrackingError> {
        self.check_text(&search).await?;
        let (editor, now) = (&search.editor, self.clock.now());
        self.db
            .write(async |tx| {
                let former = match search.id {
                    Some(id) => store::find_saved_in(tx, editor.project, id).await?,
                    None => None,
                };
                let owner = former.as_ref().map_or(search.owner, |former| former.owner);
                if (search.id.is_some() && former.is_none()) || !may_change(editor, owner) {
                    return Ok(None);
                }
                let name = search.name.trim().to_owned();
                let (count, is_taken) =
                    store::count_saved_in(tx, editor.project, owner, &name, search.id).await?;
                if is_taken {
                    let why = format!("name: there is a saved search {name:?} already");
                    return Err(ErrorTrackingError::InvalidQuery(why));
                }
                if former.is_none() && count >= SAVED_MAX {
                    let why = format!("there are {SAVED_MAX} saved searches already; delete one first");
                    return Err(ErrorTrackingError::InvalidQuery(why));
                }
                if search.is_default {
                    store::clear_default_in(tx, editor.project, owner).await?;
                }
                let saved = SavedSearch {
                    id: search.id.unwrap_or_else(|| Id::generate(now)),
                    owner,
                    name,
                    query: search.query.trim().to_owned(),
                    sort: search.sort,
                    is_default: search.is_default,
                    created_at: former.as_ref().map_or(now, |former| former.created_at),
                };
                let action = if former.is_some() {
                    store::update_saved_in(tx, editor.project, &saved, now).await?;
                    "saved_search_changed"
                } else {
                    store::insert_saved_in(tx, editor.project, &saved).await?;
                    "saved_search_created"
                };
                self.record(tx, editor, action, &saved).await?;
                Ok(Some(saved))
            })
            .await
    }

    async fn delete_search(
        &self,
        editor: SearchEditor,
        id: SavedSearchId,
    ) -> Result<bool, ErrorTrackingError> {
        self.db
            .write(async |tx| {
                let found = store::find_saved_in(tx, editor.project, id).await?;
                let Some(search) = found.filter(|search| may_change(&editor, search.owner)) else {
                    return Ok(false);
                };
                store::delete_saved_in(tx, editor.project, id).await?;
                self.record(tx, &editor, "saved_search_deleted", &search).await?;
                Ok(true)
            })
            .await
    }
}
