//! What is done to issues: in bulk, and one by one; their timelines.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use belvedere_accounts::Project;
use belvedere_error_tracking as errors;
use belvedere_error_tracking::search::SearchIssues;
use belvedere_error_tracking::{
    Act, ActivityKey, CHANGED_ISSUES_MAX, ChangeComment, ChangeIssues, Ignoring, IssueChange, IssueId,
    IssueStatus, MergeIssues, NewComment, Resolution, Substatus, UnmergeIssue,
};
use belvedere_kernel::User;
use belvedere_storage::{Id, PageRequest, Timestamp};
use http::StatusCode;
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};

use super::accounts::given;
use super::answer::{Activity, IssueDetail, List};
use super::input::{InProject, JsonBody, Parameters, PathPair, PathText, page, project};
use super::issues::{find_answer, parse};
use crate::problem::Problem;
use crate::routes::Caller;
use crate::state::Shared;

/// The most issues that match and are changed at once.
const MATCHING_MAX: usize = 10_000;

/// New values for issues; what is left out stays as it is.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct IssueChangeBody {
    /// Their state from now on.
    status: Option<super::answer::IssueStatus>,
    /// With `resolved`: only an event of a later release than this one is a regression; `latest` stands for the release
    /// of the issue's newest event.
    in_release: Option<String>,
    /// With `resolved`: only an event of a later release than the project's newest is a regression.
    #[serde(default)]
    in_next_release: bool,
    /// With `ignored`: until this instant.
    #[schema(value_type = Option<String>, format = DateTime)]
    until: Option<Timestamp>,
    /// With `ignored`: until there are so many more events, at most 1,000,000.
    events: Option<u64>,
    /// With `ignored`: until there are so many more subjects, at most 1,000,000.
    subjects: Option<u64>,
    /// With `events` or `subjects`: only if these come within so many minutes, at most 1,440.
    minutes: Option<u32>,
    /// The id of the member who is to look at them; null for nobody.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<String>)]
    assigned_to: Option<Option<Id<User>>>,
}

impl IssueChangeBody {
    fn changes(&self) -> Result<Vec<IssueChange>, Problem> {
        let status = self.status.map(IssueStatus::from);
        let is_resolving = self.in_release.is_some() || self.in_next_release;
        if is_resolving && status != Some(IssueStatus::Resolved) {
            return Err(Problem::invalid("in_release", "belongs to the status resolved"));
        }
        if self.in_release.is_some() && self.in_next_release {
            return Err(Problem::invalid("in_next_release", "cannot go with in_release"));
        }
        let ignoring = [self.until.is_some(), self.events.is_some(), self.subjects.is_some()];
        let ends = ignoring.into_iter().filter(|is_given| *is_given).count();
        if ends > 0 && status != Some(IssueStatus::Ignored) {
            return Err(Problem::invalid("status", "must be ignored for until, events and subjects"));
        }
        if ends > 1 {
            return Err(Problem::invalid("until", "only one of until, events and subjects can be given"));
        }
        if self.minutes.is_some() && self.events.or(self.subjects).is_none() {
            return Err(Problem::invalid("minutes", "belongs to events or subjects"));
        }
        let mut changes = Vec::new();
        changes.extend(self.assigned_to.map(IssueChange::Assign));
        changes.extend(status.map(|status| match status {
            IssueStatus::Unresolved => IssueChange::Reopen,
            IssueStatus::Archived => IssueChange::Archive,
            IssueStatus::Resolved => IssueChange::Resolve(self.resolution()),
            IssueStatus::Ignored => IssueChange::Ignore(self.ignoring()),
        }));
        Ok(changes)
    }

    fn resolution(&self) -> Resolution {
        match self.in_release.as_deref() {
            Some("latest") => Resolution::InRelease(None),
            Some(version) => Resolution::InRelease(Some(version.to_owned())),
            None if self.in_next_release => Resolution::InNextRelease,
            None => Resolution::Now,
        }
    }

    fn ignoring(&self) -> Ignoring {
        let more = |counted, count| Ignoring::More { counted, count, minutes: self.minutes };
        match (self.until, self.events, self.subjects) {
            (Some(until), ..) => Ignoring::Until(until),
            (_, Some(events), _) => more(errors::Counted::Events, events),
            (_, _, Some(subjects)) => more(errors::Counted::Subjects, subjects),
            _ => Ignoring::ForEver,
        }
    }
}

/// Which issues are meant by what they have in common, as in the list of issues.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Matching {
    /// Only issues in this state.
    status: Option<super::answer::IssueStatus>,
    /// Only issues that match this query, as in the list of issues.
    query: Option<String>,
    /// Only issues with an event in this environment.
    environment: Option<String>,
    /// How many these are, as it is known to whoever asks; if it is not so any more, nothing is changed. At most
    /// 10,000.
    count: usize,
}

/// A change of many issues.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct BulkChangeBody {
    /// The project's number or slug; may be left out while there is only one.
    project: Option<String>,
    /// The issues, at most 200. Those that do not exist in the project are passed over.
    #[schema(value_type = Option<Vec<String>>)]
    ids: Option<Vec<IssueId>>,
    /// All issues that match, instead of `ids`.
    matching: Option<Matching>,
    /// What is changed.
    change: Option<IssueChangeBody>,
    /// Delete them instead, with their events.
    #[serde(default)]
    delete: bool,
    /// When they are deleted: drop their future events, counted as `discarded`.
    #[serde(default)]
    discard: bool,
}

/// How many issues were otherwise before.
#[derive(Debug, serde::Serialize, ToSchema)]
pub(super) struct Changed {
    /// So many.
    changed: u64,
}

/// Issues that are one.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct MergeBody {
    /// The project's number or slug; may be left out while there is only one.
    project: Option<String>,
    /// 2 to 50 issues; they become the one with the most events, or the oldest of those.
    #[schema(value_type = Vec<String>)]
    ids: Vec<IssueId>,
}

/// A part of an issue that is to be its own.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct UnmergeBody {
    /// Hashes of the issue, as `GET /api/v1/issues/{id}/hashes` lists them; not all of them.
    hashes: Vec<String>,
}

/// A comment.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct CommentBody {
    /// Plain text, 1 to 4,096 bytes; personal data is removed from it as from events.
    text: String,
}

/// What an issue that is deleted leaves behind.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct DeletionWanted {
    /// The project's number or slug; may be left out while there is only one.
    project: Option<String>,
    /// Whether its future events are dropped, counted as `discarded`.
    #[serde(default)]
    discard: bool,
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ActivityWanted {
    /// The project's number or slug; may be left out while there is only one.
    project: Option<String>,
    /// Rows on a page, 1 to 200; 50 if left out.
    limit: Option<u16>,
    /// `next` of the page before.
    cursor: Option<String>,
}

pub(super) fn act(caller: &Caller, project: &Project) -> Act {
    Act {
        actor: caller.principal.actor,
        organisation: caller.principal.organisation,
        project: project.id,
        request_id: caller.client.request_id.clone(),
    }
}

/// Resolve, ignore, archive, assign or delete many issues
#[utoipa::path(put, path = "/api/v1/issues", tag = "issues", request_body = BulkChangeBody,
    responses((status = 200, description = "How many issues were changed", body = Changed)))]
pub(super) async fn update_issues(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    JsonBody(body): JsonBody<BulkChangeBody>,
) -> Result<Json<Changed>, Problem> {
    let project = project(&shared, &caller, body.project.as_deref()).await?;
    let changes = match &body.change {
        Some(_) if body.delete => return Err(Problem::invalid("change", "cannot go with delete")),
        Some(change) => change.changes()?,
        None if body.delete => vec![IssueChange::Delete { discards: body.discard }],
        None => Vec::new(),
    };
    if changes.is_empty() {
        return Err(Problem::invalid("change", "must say what is changed"));
    }
    let issues = match (body.ids, &body.matching) {
        (Some(ids), None) if ids.len() <= CHANGED_ISSUES_MAX => ids,
        (Some(_), None) => return Err(Problem::invalid("ids", "must be at most 200")),
        (None, Some(matching)) => find_matching(&shared, &project, matching).await?,
        _ => return Err(Problem::invalid("ids", "or matching must be given, and not both")),
    };
    let mut changed = 0;
    for change in changes {
        for part in issues.chunks(CHANGED_ISSUES_MAX) {
            let change =
                ChangeIssues { act: act(&caller, &project), issues: part.to_vec(), change: change.clone() };
            changed += shared.triage.change_issues(change).await?;
        }
    }
    Ok(Json(Changed { changed }))
}

/// All issues that match, if there are as many as was said.
async fn find_matching(
    shared: &Shared,
    project: &Project,
    matching: &Matching,
) -> Result<Vec<IssueId>, Problem> {
    if matching.count > MATCHING_MAX {
        return Err(Problem::invalid("matching.count", format!("must be at most {MATCHING_MAX}")));
    }
    let mut query = parse(shared, matching.query.as_deref())?;
    if let Some(status) = matching.status {
        query = query.with_status(status.into());
    }
    let mut search = SearchIssues {
        project: project.id,
        query,
        environment: matching.environment.clone().filter(|name| !name.is_empty()),
        since: None,
        // First seen does not change under the reader.
        sort: errors::IssueSort::FirstSeen,
        page: PageRequest::first(PageRequest::LIMIT_MAX),
    };
    let mut found = Vec::new();
    loop {
        let page = shared.search.search_issues(search.clone()).await?.page;
        found.extend(page.items.iter().map(|issue| issue.id));
        match page.next {
            Some(next) if found.len() <= matching.count => {
                search.page = PageRequest::new(PageRequest::LIMIT_MAX, Some(next));
            }
            _ => break,
        }
    }
    if found.len() != matching.count {
        let why = format!(
            "matching.count: other issues match by now than the {} that were counted",
            matching.count
        );
        return Err(Problem::new(StatusCode::CONFLICT, why));
    }
    Ok(found)
}

/// Resolve, ignore, archive, assign or reopen an issue
#[utoipa::path(put, path = "/api/v1/issues/{id}", tag = "issues", request_body = IssueChangeBody,
    params(("id" = String, Path, description = "The issue's id"), InProject),
    responses((status = 200, description = "The issue after the change", body = IssueDetail)))]
pub(super) async fn update_issue(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    path: PathText,
    InProject(project): InProject,
    JsonBody(body): JsonBody<IssueChangeBody>,
) -> Result<Json<IssueDetail>, Problem> {
    let issue: IssueId = path.id("issue")?;
    let changes = body.changes()?;
    if changes.is_empty() {
        return Err(Problem::invalid("status", "or assigned_to must be given"));
    }
    for change in changes {
        let change = ChangeIssues { act: act(&caller, &project), issues: vec![issue], change };
        shared.triage.change_issues(change).await?;
    }
    find_answer(&shared, project.id, issue).await
}

/// Delete an issue with its events
#[utoipa::path(delete, path = "/api/v1/issues/{id}", tag = "issues",
    params(("id" = String, Path, description = "The issue's id"), DeletionWanted),
    responses((status = 204, description = "It is gone; its events follow soon")))]
pub(super) async fn delete_issue(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    path: PathText,
    Parameters(wanted): Parameters<DeletionWanted>,
) -> Result<StatusCode, Problem> {
    let issue: IssueId = path.id("issue")?;
    let project = project(&shared, &caller, wanted.project.as_deref()).await?;
    let change = IssueChange::Delete { discards: wanted.discard };
    let change = ChangeIssues { act: act(&caller, &project), issues: vec![issue], change };
    match shared.triage.change_issues(change).await? {
        0 => Err(Problem::not_found("issue")),
        _ => Ok(StatusCode::NO_CONTENT),
    }
}

/// Make issues one
#[utoipa::path(post, path = "/api/v1/issues/merge", tag = "issues", request_body = MergeBody,
    responses((status = 200, description = "The issue that is left", body = IssueDetail)))]
pub(super) async fn merge_issues(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    JsonBody(body): JsonBody<MergeBody>,
) -> Result<Json<IssueDetail>, Problem> {
    let project = project(&shared, &caller, body.project.as_deref()).await?;
    let merge = MergeIssues { act: act(&caller, &project), issues: body.ids };
    let left = shared.triage.merge_issues(merge).await?;
    find_answer(&shared, project.id, left).await
}

/// List the hashes whose events belong to an issue
#[utoipa::path(get, path = "/api/v1/issues/{id}/hashes", tag = "issues",
    params(("id" = String, Path, description = "The issue's id"), InProject),
    responses((status = 200, description = "At most 200, the most frequent ones first", body = Vec<super::answer::IssueHash>)))]
pub(super) async fn list_hashes(
    State(shared): State<Arc<Shared>>,
    path: PathText,
    InProject(project): InProject,
) -> Result<Json<Vec<super::answer::IssueHash>>, Problem> {
    let issue: IssueId = path.id("issue")?;
    let hashes = shared.triage.list_hashes(project.id, issue).await?;
    if hashes.is_empty() && shared.errors.find_issue(project.id, issue).await?.is_none() {
        return Err(Problem::not_found("issue"));
    }
    Ok(Json(hashes.into_iter().map(Into::into).collect()))
}

/// Make an issue of a part of another one
#[utoipa::path(post, path = "/api/v1/issues/{id}/unmerge", tag = "issues", request_body = UnmergeBody,
    params(("id" = String, Path, description = "The issue's id"), InProject),
    responses((status = 200, description = "The new issue", body = IssueDetail)))]
pub(super) async fn unmerge_issue(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    path: PathText,
    InProject(project): InProject,
    JsonBody(body): JsonBody<UnmergeBody>,
) -> Result<Json<IssueDetail>, Problem> {
    let issue: IssueId = path.id("issue")?;
    let unmerge = UnmergeIssue { act: act(&caller, &project), issue, hashes: body.hashes };
    let new = shared.triage.unmerge_issue(unmerge).await?;
    find_answer(&shared, project.id, new).await
}

/// Read an issue's timeline, the newest entries first
#[utoipa::path(get, path = "/api/v1/issues/{id}/activity", tag = "issues",
    params(("id" = String, Path, description = "The issue's id"), ActivityWanted),
    responses((status = 200, description = "A page of entries", body = List<Activity>)))]
pub(super) async fn list_activity(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    path: PathText,
    Parameters(wanted): Parameters<ActivityWanted>,
) -> Result<Json<List<Activity>>, Problem> {
    let issue: IssueId = path.id("issue")?;
    let project = project(&shared, &caller, wanted.project.as_deref()).await?;
    let page = page(wanted.limit, wanted.cursor)?;
    Ok(List::of(shared.triage.list_activity(project.id, issue, page).await?, Activity::from))
}

/// List an issue's comments, the newest first
#[utoipa::path(get, path = "/api/v1/issues/{id}/comments", tag = "issues",
    params(("id" = String, Path, description = "The issue's id"), ActivityWanted),
    responses((status = 200, description = "The comments among a page of the timeline; there may be more behind an empty one", body = List<Activity>)))]
pub(super) async fn list_comments(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    path: PathText,
    Parameters(wanted): Parameters<ActivityWanted>,
) -> Result<Json<List<Activity>>, Problem> {
    let issue: IssueId = path.id("issue")?;
    let project = project(&shared, &caller, wanted.project.as_deref()).await?;
    let page = page(wanted.limit, wanted.cursor)?;
    let mut entries = shared.triage.list_activity(project.id, issue, page).await?;
    entries.items.retain(|entry| entry.kind == errors::ActivityKind::Comment);
    Ok(List::of(entries, Activity::from))
}

/// Comment on an issue
#[utoipa::path(post, path = "/api/v1/issues/{id}/comments", tag = "issues", request_body = CommentBody,
    params(("id" = String, Path, description = "The issue's id"), InProject),
    responses((status = 201, description = "The comment as it is stored", body = Activity)))]
pub(super) async fn comment(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    path: PathText,
    InProject(project): InProject,
    JsonBody(body): JsonBody<CommentBody>,
) -> Result<(StatusCode, Json<Activity>), Problem> {
    let issue: IssueId = path.id("issue")?;
    let new = NewComment { act: act(&caller, &project), issue, text: body.text };
    let comment = shared.triage.comment(new).await?;
    Ok((StatusCode::CREATED, Json(comment.into())))
}

/// Change one's own comment
#[utoipa::path(put, path = "/api/v1/issues/{id}/comments/{comment}", tag = "issues", request_body = CommentBody,
    params(("id" = String, Path, description = "The issue's id"),
        ("comment" = String, Path, description = "The comment's id"), InProject),
    responses((status = 204, description = "It is changed")))]
pub(super) async fn change_comment(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    path: PathPair,
    InProject(project): InProject,
    JsonBody(body): JsonBody<CommentBody>,
) -> Result<StatusCode, Problem> {
    alter_comment(&shared, act(&caller, &project), &path, Some(body.text)).await
}

/// Delete one's own comment
#[utoipa::path(delete, path = "/api/v1/issues/{id}/comments/{comment}", tag = "issues",
    params(("id" = String, Path, description = "The issue's id"),
        ("comment" = String, Path, description = "The comment's id"), InProject),
    responses((status = 204, description = "It is gone")))]
pub(super) async fn delete_comment(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    path: PathPair,
    InProject(project): InProject,
) -> Result<StatusCode, Problem> {
    alter_comment(&shared, act(&caller, &project), &path, None).await
}

async fn alter_comment(
    shared: &Shared,
    act: Act,
    path: &PathPair,
    text: Option<String>,
) -> Result<StatusCode, Problem> {
    let issue: IssueId = path.0.parse().map_err(|_| Problem::not_found("issue"))?;
    let comment: Id<ActivityKey> = path.1.parse().map_err(|_| Problem::not_found("comment"))?;
    shared.triage.change_comment(ChangeComment { act, issue, comment, text }).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// How an unresolved issue came to be so, as a filter of lists.
pub(super) fn substatus(word: Option<&str>) -> Result<Option<Substatus>, Problem> {
    let find = |word: &str| Substatus::ALL.into_iter().find(|substatus| substatus.as_str() == word);
    let why = "must be ongoing, regressed or escalating";
    word.map(|word| find(word).ok_or_else(|| Problem::invalid("substatus", why))).transpose()
}
