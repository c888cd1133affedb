//! The plain list of issues, as the search that it is.

use belvedere_storage::{Page, Timestamp};
use sea_orm::ConnectionTrait;

use super::query::{Assignee, Field, Filter, IsWord, Term};
use super::words::phrase_of;
use crate::store::search::{EventsOf, IssueSearch, search_issues};
use crate::{ErrorTrackingError, IssueSummary, ListIssues};

/// A page of issues by state, text and environment.
pub(crate) async fn search_by_list(
    connection: &impl ConnectionTrait,
    list: &ListIssues,
    now: Timestamp,
) -> Result<Page<IssueSummary>, ErrorTrackingError> {
    let mut filters = Vec::new();
    filters.extend(list.status.map(|status| Filter::Is(IsWord::Status(status))));
    filters.extend(list.substatus.map(|substatus| Filter::Is(IsWord::Substatus(substatus))));
    filters.extend(list.assigned_to.map(|user| Filter::Assigned(vec![Assignee::User(user)])));
    if let Some(text) = &list.text {
        // Without a letter or a digit there is nothing that could be found.
        let Some(phrase) = phrase_of(text) else { return Ok(Page { items: Vec::new(), next: None }) };
        filters.push(Filter::Text(Field::Anywhere, vec![phrase]));
    }
    let terms: Vec<Term> = filters.into_iter().map(|filter| Term { is_negated: false, filter }).collect();
    let environment = list.environment.as_deref();
    let events_of = environment.map_or(EventsOf::Issue, EventsOf::Environment);
    let (project, sort) = (list.project, list.sort);
    let search = IssueSearch { project, terms: &terms, environment, since: None, sort, events_of, now };
    search_issues(connection, &search, &list.page).await
}
