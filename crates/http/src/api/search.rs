//! Tags of issues and projects, similar issues, and saved searches.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use belvedere_accounts::Project;
use belvedere_error_tracking::search::{
    QueryContext, SaveSearch, SavedSearchId, SearchEditor, SearchOwner, parse_query,
};
use belvedere_error_tracking::{ErrorTrackingError, IssueId};
use belvedere_kernel::Actor;
use http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::answer::IssueSort;
use super::input::{InProject, JsonBody, Parameters, PathText, project};
use super::search_answer::{
    SavedSearchAnswer, SimilarIssueAnswer, TagDistributionAnswer, TagKeyAnswer, TagValueAnswer,
};
use crate::problem::Problem;
use crate::routes::Caller;
use crate::state::Shared;

/// Everything of a short list that is never paged.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct All<T> {
    /// The rows.
    items: Vec<T>,
}

fn all<M, T: From<M>>(rows: Vec<M>) -> Json<All<T>> {
    Json(All { items: rows.into_iter().map(T::from).collect() })
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ValuesWanted {
    /// The project's number or slug; may be left out while there is only one.
    project: Option<String>,
    /// Only values that begin with this text.
    prefix: Option<String>,
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct TagsWanted {
    /// The project's number or slug; may be left out while there is only one.
    project: Option<String>,
    /// All counted values of this key, instead of the five commonest of every key.
    key: Option<String>,
}

/// A search to keep.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct SearchToSave {
    /// What people call it; at most 60 characters, once per project.
    name: String,
    /// The text of the query; at most 1,000 characters.
    query: String,
    /// The order; `last_seen` if left out.
    sort: Option<IssueSort>,
    /// Whether the list of issues opens with it.
    #[serde(default)]
    is_default: bool,
}

/// What a query is read against when a program asks.
pub(super) fn context(shared: &Shared) -> QueryContext {
    QueryContext { now: shared.clock.now(), ..QueryContext::default() }
}

/// List the keys of tags
#[utoipa::path(get, path = "/api/v1/tags", tag = "search", params(InProject),
    responses((status = 200, description = "The keys, the commonest first; the first 500", body = All<TagKeyAnswer>)))]
pub(super) async fn list_tags(
    State(shared): State<Arc<Shared>>,
    InProject(project): InProject,
) -> Result<Json<All<TagKeyAnswer>>, Problem> {
    Ok(all(shared.search.list_tag_keys(project.id).await?))
}

/// List values of a tag
#[utoipa::path(get, path = "/api/v1/tags/{key}/values", tag = "search",
    params(("key" = String, Path, description = "The key"), ValuesWanted),
    responses((status = 200, description = "Values, the commonest first; the first 100", body = All<TagValueAnswer>)))]
pub(super) async fn list_tag_values(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    PathText(key): PathText,
    Parameters(wanted): Parameters<ValuesWanted>,
) -> Result<Json<All<TagValueAnswer>>, Problem> {
    let project = project(&shared, &caller, wanted.project.as_deref()).await?;
    let prefix = wanted.prefix.unwrap_or_default();
    Ok(all(shared.search.list_tag_values(project.id, &key, &prefix).await?))
}

/// List an issue's tags with how its events are distributed over them
#[utoipa::path(get, path = "/api/v1/issues/{id}/tags", tag = "search",
    params(("id" = String, Path, description = "The issue's id"), TagsWanted),
    responses((status = 200, description = "The keys, the commonest first; the first 60", body = All<TagDistributionAnswer>)))]
pub(super) async fn list_issue_tags(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    path: PathText,
    Parameters(wanted): Parameters<TagsWanted>,
) -> Result<Json<All<TagDistributionAnswer>>, Problem> {
    let issue: IssueId = path.id("issue")?;
    let project = project(&shared, &caller, wanted.project.as_deref()).await?;
    let tags = match &wanted.key {
        Some(key) => shared.search.find_tag(project.id, issue, key).await?.into_iter().collect(),
        None => shared.search.summarise_tags(project.id, issue).await?,
    };
    if tags.is_empty() {
        require_issue(&shared, &project, issue).await?;
    }
    Ok(all(tags))
}

/// List issues that look like this one
#[utoipa::path(get, path = "/api/v1/issues/{id}/similar", tag = "search",
    params(("id" = String, Path, description = "The issue's id"), InProject),
    responses((status = 200, description = "The most alike first; the first 5", body = All<SimilarIssueAnswer>)))]
pub(super) async fn list_similar(
    State(shared): State<Arc<Shared>>,
    path: PathText,
    InProject(project): InProject,
) -> Result<Json<All<SimilarIssueAnswer>>, Problem> {
    let issue: IssueId = path.id("issue")?;
    let similar = shared.search.list_similar(project.id, issue).await?;
    if similar.is_empty() {
        require_issue(&shared, &project, issue).await?;
    }
    Ok(all(similar))
}

async fn require_issue(shared: &Shared, project: &Project, issue: IssueId) -> Result<(), Problem> {
    match shared.errors.find_issue(project.id, issue).await? {
        Some(_) => Ok(()),
        None => Err(Problem::not_found("issue")),
    }
}

/// List the project's shared searches
#[utoipa::path(get, path = "/api/v1/saved_searches", tag = "search", params(InProject),
    responses((status = 200, description = "By name; at most 100", body = All<SavedSearchAnswer>)))]
pub(super) async fn list_saved_searches(
    State(shared): State<Arc<Shared>>,
    InProject(project): InProject,
) -> Result<Json<All<SavedSearchAnswer>>, Problem> {
    Ok(all(shared.search.list_saved_searches(project.id, None).await?))
}

/// Keep a search for everybody in the project
#[utoipa::path(post, path = "/api/v1/saved_searches", tag = "search", params(InProject), request_body = SearchToSave,
    responses((status = 201, description = "The saved search", body = SavedSearchAnswer)))]
pub(super) async fn create_saved_search(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    InProject(project): InProject,
    JsonBody(search): JsonBody<SearchToSave>,
) -> Result<(StatusCode, Json<SavedSearchAnswer>), Problem> {
    let saved = save(&shared, &caller, &project, None, search).await?;
    Ok((StatusCode::CREATED, saved))
}

/// Change a shared search
#[utoipa::path(put, path = "/api/v1/saved_searches/{id}", tag = "search", request_body = SearchToSave,
    params(("id" = String, Path, description = "The saved search's id"), InProject),
    responses((status = 200, description = "The saved search after the change", body = SavedSearchAnswer)))]
pub(super) async fn update_saved_search(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    path: PathText,
    InProject(project): InProject,
    JsonBody(search): JsonBody<SearchToSave>,
) -> Result<Json<SavedSearchAnswer>, Problem> {
    let id: SavedSearchId = path.id("saved search")?;
    save(&shared, &caller, &project, Some(id), search).await
}

/// Delete a shared search
#[utoipa::path(delete, path = "/api/v1/saved_searches/{id}", tag = "search",
    params(("id" = String, Path, description = "The saved search's id"), InProject),
    responses((status = 204, description = "Deleted")))]
pub(super) async fn delete_saved_search(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    path: PathText,
    InProject(project): InProject,
) -> Result<StatusCode, Problem> {
    let id: SavedSearchId = path.id("saved search")?;
    if shared.search.delete_search(editor(&caller, &project), id).await? {
        Ok(StatusCode::NO_CONTENT)
    } else {
        Err(Problem::not_found("saved search"))
    }
}

/// A program keeps searches for everybody: it has none of its own.
fn editor(caller: &Caller, project: &Project) -> SearchEditor {
    let user = match caller.principal.actor {
        Actor::User(user) => Some(user),
        _ => None,
    };
    SearchEditor {
        actor: caller.principal.actor,
        user,
        may_share: true,
        organisation: caller.principal.organisation,
        project: project.id,
        request_id: caller.client.request_id.clone(),
    }
}

async fn save(
    shared: &Shared,
    caller: &Caller,
    project: &Project,
    id: Option<SavedSearchId>,
    search: SearchToSave,
) -> Result<Json<SavedSearchAnswer>, Problem> {
    // `assigned:me` means somebody else to everybody who opens it.
    let context = QueryContext { me: Some(belvedere_storage::Id::from_bytes([0; 16])), ..context(shared) };
    parse_query(&search.query, &context).map_err(ErrorTrackingError::from)?;
    let saved = SaveSearch {
        editor: editor(caller, project),
        id,
        owner: SearchOwner::Shared,
        name: search.name,
        query: search.query,
        sort: search.sort.map(Into::into).unwrap_or_default(),
        is_default: search.is_default,
    };
    let saved = shared.search.save_search(saved).await?;
    saved.map(|saved| Json(saved.into())).ok_or_else(|| Problem::not_found("saved search"))
}
