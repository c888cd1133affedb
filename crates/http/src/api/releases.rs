//! Releases, their deploys, commits, health and comparison.

mod answer;

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use belvedere_accounts::Project;
use belvedere_error_tracking::{
    Acting, HealthQuery, HealthStep, ListReleases, NewCommit, NewDeploy, ReleaseChange,
};
use http::StatusCode;
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};

use super::answer::List;
use super::input::{InProject, JsonBody, Parameters, PathText, instant, page, project};
use crate::problem::Problem;
use crate::routes::Caller;
use crate::state::Shared;

use answer::{Commit, Comparison, Deploy, Release, ReleaseHealth, ReleaseIssues, ReleaseSummary};

pub(super) use answer::{ReleaseIssuesKind, ReleaseSort};

/// How far back health goes unless the request says otherwise.
const HEALTH_SPAN: Duration = Duration::from_secs(14 * 86_400);

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ReleasesWanted {
    /// The project's number or slug; may be left out while there is only one.
    project: Option<String>,
    /// Only releases whose name contains this text.
    query: Option<String>,
    /// Only releases used in this environment in the last 90 days, with the numbers from there.
    environment: Option<String>,
    /// In this order; `first_seen` if left out.
    sort: Option<ReleaseSort>,
    /// Rows on a page, 1 to 200; 50 if left out.
    limit: Option<u16>,
    /// `next` of the page before.
    cursor: Option<String>,
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct HealthWanted {
    /// The project's number or slug; may be left out while there is only one.
    project: Option<String>,
    /// Only of this environment.
    environment: Option<String>,
    /// From this instant on; 14 days ago if left out.
    from: Option<String>,
    /// Up to this instant; now if left out.
    to: Option<String>,
    /// `hour` (at most 7 days) or `day` (at most 90 days); `day` if left out.
    step: Option<StepWord>,
}

#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum StepWord {
    Hour,
    Day,
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct IssuesOfReleaseWanted {
    /// The project's number or slug; may be left out while there is only one.
    project: Option<String>,
    /// Which of its issues; `all` if left out.
    kind: Option<ReleaseIssuesKind>,
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ComparisonWanted {
    /// The project's number or slug; may be left out while there is only one.
    project: Option<String>,
    /// The release to compare with.
    base: String,
    /// Only numbers of this environment.
    environment: Option<String>,
}

/// A release to be made, or more about one that exists; what is left out stays as it is.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ReleaseBody {
    /// The project's number or slug; may be left out while there is only one.
    project: Option<String>,
    /// Its name, 1 to 200 characters, such as `shop@2.14.0`.
    version: String,
    /// The branch, tag or commit that it is made of.
    reference: Option<String>,
    /// Where to read about it: http or https.
    url: Option<String>,
    /// When work on it began, RFC 3339.
    started_at: Option<String>,
    /// When it was released, RFC 3339.
    released_at: Option<String>,
}

/// A deploy.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct DeployBody {
    /// The project's number or slug; may be left out while there is only one.
    project: Option<String>,
    /// Where it went, 1 to 64 characters, such as `production`.
    environment: String,
    /// What people call it.
    name: Option<String>,
    /// Where to read about it: http or https.
    url: Option<String>,
    /// When it began, RFC 3339.
    started_at: Option<String>,
    /// When it was done, RFC 3339; now if left out.
    finished_at: Option<String>,
}

/// The commits of a release.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct CommitsBody {
    /// The project's number or slug; may be left out while there is only one.
    project: Option<String>,
    /// Newest first, at most 1,000; they replace those that are known.
    commits: Vec<CommitBody>,
}

/// A commit. Its author becomes a subject; name and address are kept sealed, and only with consent.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct CommitBody {
    /// Its hash.
    revision: String,
    /// Where it is.
    repository: Option<String>,
    /// Its message, of which the first line is kept.
    message: Option<String>,
    /// When it was made, RFC 3339.
    committed_at: Option<String>,
    /// Its author's name.
    author_name: Option<String>,
    /// Its author's e-mail address.
    author_email: Option<String>,
}

fn acting(caller: &Caller, project: &Project) -> Acting {
    Acting {
        actor: caller.principal.actor,
        organisation: caller.principal.organisation,
        project: project.id,
        request_id: caller.client.request_id.clone(),
    }
}

fn missing() -> Problem {
    Problem::not_found("release")
}

/// List releases
#[utoipa::path(get, path = "/api/v1/releases", tag = "releases", params(ReleasesWanted),
    responses((status = 200, description = "A page of releases with the last 24 hours of each", body = List<ReleaseSummary>)))]
pub(super) async fn list_releases(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Parameters(wanted): Parameters<ReleasesWanted>,
) -> Result<Json<List<ReleaseSummary>>, Problem> {
    let project = project(&shared, &caller, wanted.project.as_deref()).await?;
    let query = ListReleases {
        project: project.id,
        text: wanted.query,
        environment: wanted.environment,
        sort: wanted.sort.map(Into::into).unwrap_or_default(),
        page: page(wanted.limit, wanted.cursor)?,
    };
    Ok(List::of(shared.releases.list_releases(query).await?, ReleaseSummary::from))
}

/// Make or change a release
#[utoipa::path(post, path = "/api/v1/releases", tag = "releases", request_body = ReleaseBody,
    responses((status = 201, description = "The new release", body = Release),
        (status = 200, description = "The release, which existed", body = Release)))]
pub(super) async fn save_release(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    JsonBody(body): JsonBody<ReleaseBody>,
) -> Result<Response, Problem> {
    let project = project(&shared, &caller, body.project.as_deref()).await?;
    let change = ReleaseChange {
        reference: body.reference,
        url: body.url,
        started_at: instant("started_at", body.started_at.as_deref())?,
        released_at: instant("released_at", body.released_at.as_deref())?,
    };
    let saved = shared.releases.save_release(&acting(&caller, &project), &body.version, change).await?;
    let status = if saved.is_new { StatusCode::CREATED } else { StatusCode::OK };
    Ok((status, Json(Release::from(saved.release))).into_response())
}

/// Read a release
#[utoipa::path(get, path = "/api/v1/releases/{version}", tag = "releases",
    params(("version" = String, Path, description = "Its name, percent-encoded"), InProject),
    responses((status = 200, description = "The release with its last 24 hours", body = ReleaseSummary)))]
pub(super) async fn find_release(
    State(shared): State<Arc<Shared>>,
    PathText(version): PathText,
    InProject(project): InProject,
) -> Result<Json<ReleaseSummary>, Problem> {
    let found = shared.releases.find_release(project.id, &version).await?;
    found.map(|release| Json(release.into())).ok_or_else(missing)
}

/// Delete a release with its counts, deploys and commits
#[utoipa::path(delete, path = "/api/v1/releases/{version}", tag = "releases",
    params(("version" = String, Path, description = "Its name, percent-encoded"), InProject),
    responses((status = 204, description = "Done; a new event makes it again")))]
pub(super) async fn delete_release(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    PathText(version): PathText,
    InProject(project): InProject,
) -> Result<StatusCode, Problem> {
    let was_there = shared.releases.delete_release(&acting(&caller, &project), &version).await?;
    if was_there { Ok(StatusCode::NO_CONTENT) } else { Err(missing()) }
}

/// List a release's deploys, newest first
#[utoipa::path(get, path = "/api/v1/releases/{version}/deploys", tag = "releases",
    params(("version" = String, Path, description = "Its name, percent-encoded"), InProject),
    responses((status = 200, description = "At most 100", body = Vec<Deploy>)))]
pub(super) async fn list_deploys(
    State(shared): State<Arc<Shared>>,
    PathText(version): PathText,
    InProject(project): InProject,
) -> Result<Json<Vec<Deploy>>, Problem> {
    shared.releases.find_release(project.id, &version).await?.ok_or_else(missing)?;
    let deploys = shared.releases.list_deploys(project.id, Some(&version)).await?;
    Ok(Json(deploys.into_iter().map(Into::into).collect()))
}

/// Write down a deploy
#[utoipa::path(post, path = "/api/v1/releases/{version}/deploys", tag = "releases", request_body = DeployBody,
    params(("version" = String, Path, description = "The release's name, percent-encoded")),
    responses((status = 201, description = "The deploy", body = Deploy)))]
pub(super) async fn add_deploy(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    PathText(version): PathText,
    JsonBody(body): JsonBody<DeployBody>,
) -> Result<(StatusCode, Json<Deploy>), Problem> {
    let project = project(&shared, &caller, body.project.as_deref()).await?;
    let deploy = NewDeploy {
        environment: body.environment,
        name: body.name,
        url: body.url,
        started_at: instant("started_at", body.started_at.as_deref())?,
        finished_at: instant("finished_at", body.finished_at.as_deref())?,
    };
    let added = shared.releases.add_deploy(&acting(&caller, &project), &version, deploy).await?;
    added.map(|deploy| (StatusCode::CREATED, Json(deploy.into()))).ok_or_else(missing)
}

/// List a release's commits, newest first
#[utoipa::path(get, path = "/api/v1/releases/{version}/commits", tag = "releases",
    params(("version" = String, Path, description = "Its name, percent-encoded"), InProject),
    responses((status = 200, description = "At most 1,000; authors are subjects", body = Vec<Commit>)))]
pub(super) async fn list_commits(
    State(shared): State<Arc<Shared>>,
    PathText(version): PathText,
    InProject(project): InProject,
) -> Result<Json<Vec<Commit>>, Problem> {
    shared.releases.find_release(project.id, &version).await?.ok_or_else(missing)?;
    let commits = shared.releases.list_commits(project.id, &version).await?;
    Ok(Json(commits.into_iter().map(Into::into).collect()))
}

/// Replace a release's commits
#[utoipa::path(post, path = "/api/v1/releases/{version}/commits", tag = "releases", request_body = CommitsBody,
    params(("version" = String, Path, description = "The release's name, percent-encoded")),
    responses((status = 200, description = "The commits as they are kept", body = Vec<Commit>)))]
pub(super) async fn set_commits(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    PathText(version): PathText,
    JsonBody(body): JsonBody<CommitsBody>,
) -> Result<Json<Vec<Commit>>, Problem> {
    let project = project(&shared, &caller, body.project.as_deref()).await?;
    let commits = body.commits.into_iter().map(|commit| {
        Ok(NewCommit {
            revision: commit.revision,
            repository: commit.repository,
            message: commit.message,
            committed_at: instant("committed_at", commit.committed_at.as_deref())?,
            author_name: commit.author_name,
            author_email: commit.author_email,
        })
    });
    let commits = commits.collect::<Result<Vec<_>, Problem>>()?;
    if !shared.releases.set_commits(&acting(&caller, &project), &version, commits).await? {
        return Err(missing());
    }
    let commits = shared.releases.list_commits(project.id, &version).await?;
    Ok(Json(commits.into_iter().map(Into::into).collect()))
}

/// Read events, sessions and users of a release over time
#[utoipa::path(get, path = "/api/v1/releases/{version}/health", tag = "releases",
    params(("version" = String, Path, description = "Its name, percent-encoded"), HealthWanted),
    responses((status = 200, description = "Numbers by hour or day, and in all", body = ReleaseHealth)))]
pub(super) async fn read_health(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    PathText(version): PathText,
    Parameters(wanted): Parameters<HealthWanted>,
) -> Result<Json<ReleaseHealth>, Problem> {
    let project = project(&shared, &caller, wanted.project.as_deref()).await?;
    shared.releases.find_release(project.id, &version).await?.ok_or_else(missing)?;
    let to = instant("to", wanted.to.as_deref())?.unwrap_or_else(|| shared.clock.now());
    let query = HealthQuery {
        project: project.id,
        version: Some(version),
        environment: wanted.environment,
        from: instant("from", wanted.from.as_deref())?.unwrap_or_else(|| to.minus(HEALTH_SPAN)),
        to,
        step: if matches!(wanted.step, Some(StepWord::Hour)) { HealthStep::Hour } else { HealthStep::Day },
    };
    Ok(Json(shared.releases.release_health(query).await?.into()))
}

/// List a release's issues
#[utoipa::path(get, path = "/api/v1/releases/{version}/issues", tag = "releases",
    params(("version" = String, Path, description = "Its name, percent-encoded"), IssuesOfReleaseWanted),
    responses((status = 200, description = "The 50 with the most events in it, and how many there are", body = ReleaseIssues)))]
pub(super) async fn list_issues(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    PathText(version): PathText,
    Parameters(wanted): Parameters<IssuesOfReleaseWanted>,
) -> Result<Json<ReleaseIssues>, Problem> {
    let project = project(&shared, &caller, wanted.project.as_deref()).await?;
    shared.releases.find_release(project.id, &version).await?.ok_or_else(missing)?;
    let kind = wanted.kind.unwrap_or(ReleaseIssuesKind::All).into();
    Ok(Json(shared.releases.list_release_issues(project.id, &version, kind).await?.into()))
}

/// Compare a release with another
#[utoipa::path(get, path = "/api/v1/releases/{version}/compare", tag = "releases",
    params(("version" = String, Path, description = "Its name, percent-encoded"), ComparisonWanted),
    responses((status = 200, description = "Both over the last 30 days, and their issues", body = Comparison)))]
pub(super) async fn compare(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    PathText(version): PathText,
    Parameters(wanted): Parameters<ComparisonWanted>,
) -> Result<Json<Comparison>, Problem> {
    let project = project(&shared, &caller, wanted.project.as_deref()).await?;
    let environment = wanted.environment.as_deref();
    let compared = shared.releases.compare_releases(project.id, &wanted.base, &version, environment).await?;
    compared.map(|comparison| Json(comparison.into())).ok_or_else(missing)
}
