//! Issues and events.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use belvedere_error_tracking::search::{Query, SearchEvents, SearchIssues, parse_query};
use belvedere_error_tracking::{ErrorTrackingError, IssueId};
use belvedere_kernel::{ProjectId, User};
use belvedere_storage::Id;
use serde::Deserialize;
use utoipa::IntoParams;

use super::answer::{Event, IssueDetail, IssueSort, IssueStatus};
use super::input::{InProject, Parameters, PathText, instant, page, project};
use super::search::context;
use super::search_answer::{EventsAnswer, IssuesAnswer};
use super::triage::substatus;
use crate::problem::Problem;
use crate::routes::Caller;
use crate::state::Shared;

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct IssuesWanted {
    /// The project's number or slug; may be left out while there is only one.
    project: Option<String>,
    /// Only issues in this state.
    status: Option<IssueStatus>,
    /// Only unresolved issues that came to be so in this way: `ongoing`, `regressed`, `escalating`.
    substatus: Option<String>,
    /// Only issues that the member with this id is to look at.
    #[param(value_type = Option<String>)]
    assigned_to: Option<Id<User>>,
    /// Only issues that match: terms such as `is:unresolved`, `level:>=error`, `release:shop@2.*`, `!plan:free` and
    /// words of titles, places and messages; at most 1,000 characters.
    query: Option<String>,
    /// Only issues with an event in this environment.
    environment: Option<String>,
    /// Only issues with an event since then, to the UTC hour; at most 90 days ago.
    since: Option<String>,
    /// In this order; `last_seen` if left out.
    sort: Option<IssueSort>,
    /// Rows on a page, 1 to 200; 50 if left out.
    limit: Option<u16>,
    /// `next` of the page before.
    cursor: Option<String>,
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct EventsWanted {
    /// The project's number or slug; may be left out while there is only one.
    project: Option<String>,
    /// Only events that match: tags, `trace:`, `event:`, `level:` and words of titles.
    query: Option<String>,
    /// Only events in this environment.
    environment: Option<String>,
    /// Rows on a page, 1 to 200; 50 if left out.
    limit: Option<u16>,
    /// `next` of the page before.
    cursor: Option<String>,
}

/// List issues
#[utoipa::path(get, path = "/api/v1/issues", tag = "issues", params(IssuesWanted),
    responses((status = 200, description = "A page of issues with exact counts", body = IssuesAnswer)))]
pub(super) async fn list_issues(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Parameters(wanted): Parameters<IssuesWanted>,
) -> Result<Json<IssuesAnswer>, Problem> {
    let project = project(&shared, &caller, wanted.project.as_deref()).await?;
    let mut query = parse(&shared, wanted.query.as_deref())?;
    if let Some(status) = wanted.status {
        query = query.with_status(status.into());
    }
    if let Some(substatus) = substatus(wanted.substatus.as_deref())? {
        query = query.with_substatus(substatus);
    }
    if let Some(user) = wanted.assigned_to {
        query = query.with_assignee(user);
    }
    let search = SearchIssues {
        project: project.id,
        query,
        environment: wanted.environment.filter(|name| !name.is_empty()),
        since: instant("since", wanted.since.as_deref())?,
        sort: wanted.sort.map(Into::into).unwrap_or_default(),
        page: page(wanted.limit, wanted.cursor)?,
    };
    Ok(Json(shared.search.search_issues(search).await?.into()))
}

pub(super) fn parse(shared: &Shared, text: Option<&str>) -> Result<Query, Problem> {
    let query = parse_query(text.unwrap_or_default(), &context(shared)).map_err(ErrorTrackingError::from)?;
    Ok(query)
}

/// Read an issue
#[utoipa::path(get, path = "/api/v1/issues/{id}", tag = "issues",
    params(("id" = String, Path, description = "The issue's id"), InProject),
    responses((status = 200, description = "The issue", body = IssueDetail)))]
pub(super) async fn find_issue(
    State(shared): State<Arc<Shared>>,
    path: PathText,
    InProject(project): InProject,
) -> Result<Json<IssueDetail>, Problem> {
    let issue: IssueId = path.id("issue")?;
    find_answer(&shared, project.id, issue).await
}

/// The answer that shows an issue.
pub(super) async fn find_answer(
    shared: &Shared,
    project: ProjectId,
    issue: IssueId,
) -> Result<Json<IssueDetail>, Problem> {
    let found = shared.errors.find_issue(project, issue).await?;
    found.map(|issue| Json(issue.into())).ok_or_else(|| Problem::not_found("issue"))
}

/// List an issue's events, newest first
#[utoipa::path(get, path = "/api/v1/issues/{id}/events", tag = "issues",
    params(("id" = String, Path, description = "The issue's id"), EventsWanted),
    responses((status = 200, description = "A page of events", body = EventsAnswer)))]
pub(super) async fn list_events(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    path: PathText,
    Parameters(wanted): Parameters<EventsWanted>,
) -> Result<Json<EventsAnswer>, Problem> {
    let issue: IssueId = path.id("issue")?;
    let project = project(&shared, &caller, wanted.project.as_deref()).await?;
    let search = SearchEvents {
        project: project.id,
        issue,
        query: parse(&shared, wanted.query.as_deref())?,
        environment: wanted.environment.filter(|name| !name.is_empty()),
        page: page(wanted.limit, wanted.cursor)?,
    };
    let events = EventsAnswer::from(shared.search.search_events(search).await?);
    // An issue has events, so only an empty page needs the question whether there is such an issue.
    if events.items.is_empty() && shared.errors.find_issue(project.id, issue).await?.is_none() {
        return Err(Problem::not_found("issue"));
    }
    Ok(Json(events))
}

/// Read an event whole
#[utoipa::path(get, path = "/api/v1/events/{event_id}", tag = "issues",
    params(("event_id" = String, Path, description = "32 hexadecimal digits, hyphens allowed"), InProject),
    responses((status = 200, description = "The event with its payload", body = Event)))]
pub(super) async fn find_event(
    State(shared): State<Arc<Shared>>,
    PathText(event_id): PathText,
    InProject(project): InProject,
) -> Result<Json<Event>, Problem> {
    let found = shared.errors.find_event(project.id, &event_id).await?;
    found.map(|event| Json(event.into())).ok_or_else(|| Problem::not_found("event"))
}
