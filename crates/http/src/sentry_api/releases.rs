//! Releases as `sentry-cli` makes, finishes, reads and deletes them.
//!
//! There a release belongs to an organisation and has projects; here each project has its own. An address of the
//! organisation means the projects that the body names, or else all that have the release.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse, Response};
use belvedere_accounts::{OrganisationInfo, Project};
use belvedere_error_tracking::release_order::compare_releases;
use belvedere_error_tracking::{
    Acting, Commit, Deploy, ListReleases, NewCommit, NewDeploy, ReleaseChange, ReleaseSort, ReleaseSummary,
};
use belvedere_storage::{PageRequest, Timestamp};
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};

use super::scene::{self, Body};
use crate::problem::Problem;
use crate::routes::Caller;
use crate::state::Shared;

/// How many releases of each project are listed.
const LISTED_MAX: u16 = 100;

/// What is told of a release. Fields that are not here, such as `status`, change nothing.
#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Told {
    version: Option<String>,
    projects: Vec<String>,
    #[serde(rename = "ref")]
    reference: Option<String>,
    url: Option<String>,
    date_started: Option<String>,
    date_released: Option<String>,
    commits: Option<Vec<ToldCommit>>,
    refs: Option<Vec<ToldRef>>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct ToldCommit {
    id: String,
    repository: Option<String>,
    message: Option<String>,
    timestamp: Option<String>,
    author_name: Option<String>,
    author_email: Option<String>,
}

#[derive(Deserialize)]
struct ToldRef {
    repository: Option<String>,
    commit: String,
}

/// What is told of a deploy.
#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct ToldDeploy {
    environment: String,
    name: Option<String>,
    url: Option<String>,
    date_started: Option<String>,
    date_finished: Option<String>,
    projects: Vec<String>,
}

/// Which releases are to be listed.
#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct Wanted {
    query: Option<String>,
}

fn instant(field: &'static str, text: Option<&String>) -> Result<Option<Timestamp>, Problem> {
    let parsed = text.map(|text| text.parse::<Timestamp>()).transpose();
    parsed.map_err(|_| Problem::invalid(field, "must be an instant such as 2026-11-23T12:00:00Z"))
}

impl Told {
    fn change(&self) -> Result<ReleaseChange, Problem> {
        Ok(ReleaseChange {
            reference: self.reference.clone(),
            url: self.url.clone(),
            started_at: instant("dateStarted", self.date_started.as_ref())?,
            released_at: instant("dateReleased", self.date_released.as_ref())?,
        })
    }

    /// The commits that are told, as such or as the last ones of repositories; `None` if neither.
    fn commits(&self) -> Option<Vec<NewCommit>> {
        if let Some(commits) = &self.commits {
            let commit = |told: &ToldCommit| NewCommit {
                revision: told.id.clone(),
                repository: told.repository.clone(),
                message: told.message.clone(),
                committed_at: told.timestamp.as_ref().and_then(|text| text.parse().ok()),
                author_name: told.author_name.clone(),
                author_email: told.author_email.clone(),
            };
            return Some(commits.iter().map(commit).collect());
        }
        let refs = self.refs.as_ref().filter(|refs| !refs.is_empty())?;
        let commit = |told: &ToldRef| NewCommit {
            revision: told.commit.clone(),
            repository: told.repository.clone(),
            ..NewCommit::default()
        };
        Some(refs.iter().map(commit).collect())
    }
}

/// Where an address leads: to the organisation, or to one of its projects.
#[derive(Deserialize)]
pub(super) struct Place {
    organisation: String,
    project: Option<String>,
    version: Option<String>,
}

/// The organisation of an address and the projects that it can mean.
struct Scope {
    organisation: OrganisationInfo,
    projects: Vec<Project>,
    /// Whether the address or the body has named them.
    are_named: bool,
    version: String,
}

impl Scope {
    async fn open(shared: &Shared, caller: &Caller, place: Place, named: &[String]) -> Result<Self, Problem> {
        let organisation = scene::organisation(shared, caller, &place.organisation).await?;
        let mut all = shared.accounts.list_projects(&caller.principal).await?;
        let named: Vec<&str> = match &place.project {
            Some(project) => vec![project],
            None => named.iter().map(String::as_str).collect(),
        };
        let projects = if named.is_empty() {
            all
        } else {
            named.iter().map(|named| scene::take_project(&mut all, named)).collect::<Result<_, _>>()?
        };
        let version = place.version.unwrap_or_default();
        Ok(Self { organisation, projects, are_named: !named.is_empty(), version })
    }

    /// The release in each project that has it.
    async fn find(&self, shared: &Shared) -> Result<Vec<(&Project, ReleaseSummary)>, Problem> {
        let mut found = Vec::new();
        for project in &self.projects {
            if let Some(release) = shared.releases.find_release(project.id, &self.version).await? {
                found.push((project, release));
            }
        }
        if found.is_empty() { Err(Problem::not_found("release")) } else { Ok(found) }
    }
}

fn acting(caller: &Caller, project: &Project) -> Acting {
    Acting {
        actor: caller.principal.actor,
        organisation: caller.principal.organisation,
        project: project.id,
        request_id: caller.client.request_id.clone(),
    }
}

/// A release of some projects as the tools read it; the dates are those of the first.
fn release_json(found: &[(&Project, ReleaseSummary)], last_commit: Option<&Commit>) -> Value {
    let Some((_, first)) = found.first() else { return Value::Null };
    let release = &first.release;
    let projects = found.iter().map(|(project, release)| {
        json!({ "id": project.id.0, "slug": project.slug, "name": project.name, "newGroups": release.new_issues })
    });
    json!({
        "id": release.version,
        "version": release.version,
        "shortVersion": release.version,
        "status": "open",
        "ref": release.reference,
        "url": release.url,
        "dateCreated": release.created_at,
        "dateStarted": release.started_at,
        "dateReleased": release.released_at,
        "firstEvent": release.first_event_at,
        "lastEvent": found.iter().filter_map(|(_, release)| release.release.last_event_at).max(),
        "newGroups": found.iter().map(|(_, release)| release.new_issues).sum::<u64>(),
        "commitCount": found.iter().map(|(_, release)| release.commits).max(),
        "deployCount": found.iter().map(|(_, release)| release.deploys.len()).max(),
        "lastDeploy": first.deploys.first().map(deploy_json),
        "lastCommit": last_commit.map(commit_json),
        "projects": projects.collect::<Vec<_>>(),
        "authors": [],
        "data": {},
    })
}

fn deploy_json(deploy: &Deploy) -> Value {
    json!({
        "id": deploy.id,
        "environment": deploy.environment,
        "name": deploy.name,
        "url": deploy.url,
        "dateStarted": deploy.started_at,
        "dateFinished": deploy.finished_at,
    })
}

/// Authors are people, whom a tool need not know.
fn commit_json(commit: &Commit) -> Value {
    json!({
        "id": commit.revision,
        "message": commit.message,
        "dateCreated": commit.committed_at,
        "repository": commit.repository.as_ref().map(|name| json!({ "name": name })),
        "author": null,
    })
}

/// Saves a release and the commits that are told of it in one project; whether it is new there.
async fn save(
    shared: &Shared,
    caller: &Caller,
    project: &Project,
    version: &str,
    told: &Told,
) -> Result<bool, Problem> {
    let acting = acting(caller, project);
    let saved = shared.releases.save_release(&acting, version, told.change()?).await?;
    if let Some(commits) = told.commits() {
        shared.releases.set_commits(&acting, &saved.release.version, commits).await?;
    }
    Ok(saved.is_new)
}

/// `POST .../releases/`: 201 for a new release, 208 for one that is there already, as Sentry has it.
pub(super) async fn create(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Path(place): Path<Place>,
    Body(told): Body<Told>,
) -> Result<Response, Problem> {
    let version = told.version.clone().ok_or_else(|| Problem::invalid("version", "must be given"))?;
    let scope = Scope::open(&shared, &caller, place, &told.projects).await?;
    if !scope.are_named && scope.projects.len() != 1 {
        return Err(Problem::invalid("projects", "must name at least one project"));
    }
    let mut is_new = false;
    for project in &scope.projects {
        is_new |= save(&shared, &caller, project, &version, &told).await?;
    }
    let scope = Scope { version: version.trim().to_owned(), ..scope };
    let status = if is_new { StatusCode::CREATED } else { StatusCode::ALREADY_REPORTED };
    Ok((status, Json(release_json(&scope.find(&shared).await?, None))).into_response())
}

/// `PUT .../releases/{version}/`: finishes a release, or tells its commits. In projects that are named it is made if
/// it is not there, so that the order of a script's commands does not matter.
pub(super) async fn update(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Path(place): Path<Place>,
    Body(told): Body<Told>,
) -> Result<Json<Value>, Problem> {
    let scope = Scope::open(&shared, &caller, place, &told.projects).await?;
    if scope.are_named {
        for project in &scope.projects {
            save(&shared, &caller, project, &scope.version, &told).await?;
        }
    } else {
        for (project, _) in scope.find(&shared).await? {
            save(&shared, &caller, project, &scope.version, &told).await?;
        }
    }
    Ok(Json(release_json(&scope.find(&shared).await?, None)))
}

/// `GET .../releases/`: the newest of each project.
pub(super) async fn list(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Path(place): Path<Place>,
    Query(wanted): Query<Wanted>,
) -> Result<Json<Vec<Value>>, Problem> {
    let scope = Scope::open(&shared, &caller, place, &[]).await?;
    let mut found: Vec<(&Project, ReleaseSummary)> = Vec::new();
    for project in &scope.projects {
        let query = ListReleases {
            project: project.id,
            text: wanted.query.clone().filter(|text| !text.is_empty()),
            environment: None,
            sort: ReleaseSort::FirstSeen,
            page: PageRequest::first(LISTED_MAX),
        };
        let page = shared.releases.list_releases(query).await?;
        found.extend(page.items.into_iter().map(|release| (project, release)));
    }
    // The same name in several projects is one release, with the date of its first making.
    found.sort_by(|(_, left), (_, right)| {
        left.release
            .version
            .cmp(&right.release.version)
            .then(left.release.created_at.cmp(&right.release.created_at))
    });
    let mut groups: Vec<&[(&Project, ReleaseSummary)]> =
        found.chunk_by(|(_, left), (_, right)| left.release.version == right.release.version).collect();
    groups
        .sort_by_key(|group| std::cmp::Reverse(group.first().map(|(_, release)| release.release.created_at)));
    groups.truncate(usize::from(LISTED_MAX));
    Ok(Json(groups.into_iter().map(|group| release_json(group, None)).collect()))
}

/// `GET .../releases/{version}/`
pub(super) async fn show(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Path(place): Path<Place>,
) -> Result<Json<Value>, Problem> {
    let scope = Scope::open(&shared, &caller, place, &[]).await?;
    let found = scope.find(&shared).await?;
    let (project, _) = &found[0];
    let commits = shared.releases.list_commits(project.id, &scope.version).await?;
    let mut answer = release_json(&found, commits.first());
    answer["organization"] = scope.organisation.slug.as_str().into();
    Ok(Json(answer))
}

/// `DELETE .../releases/{version}/`
pub(super) async fn delete(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Path(place): Path<Place>,
) -> Result<StatusCode, Problem> {
    let scope = Scope::open(&shared, &caller, place, &[]).await?;
    let mut was_there = false;
    for project in &scope.projects {
        was_there |= shared.releases.delete_release(&acting(&caller, project), &scope.version).await?;
    }
    if was_there { Ok(StatusCode::NO_CONTENT) } else { Err(Problem::not_found("release")) }
}

/// `GET .../releases/{version}/commits/`
pub(super) async fn list_commits(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Path(place): Path<Place>,
) -> Result<Json<Vec<Value>>, Problem> {
    let scope = Scope::open(&shared, &caller, place, &[]).await?;
    for (project, _) in scope.find(&shared).await? {
        let commits = shared.releases.list_commits(project.id, &scope.version).await?;
        if !commits.is_empty() {
            return Ok(Json(commits.iter().map(commit_json).collect()));
        }
    }
    Ok(Json(Vec::new()))
}

/// `GET .../releases/{version}/previous-with-commits/`: the latest release before this one that has commits, or an
/// empty object.
pub(super) async fn show_previous_with_commits(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Path(place): Path<Place>,
) -> Result<Json<Value>, Problem> {
    let scope = Scope::open(&shared, &caller, place, &[]).await?;
    for (project, this) in scope.find(&shared).await? {
        let query = ListReleases {
            project: project.id,
            text: None,
            environment: None,
            sort: ReleaseSort::FirstSeen,
            page: PageRequest::first(LISTED_MAX),
        };
        let page = shared.releases.list_releases(query).await?;
        let placed = |release: &ReleaseSummary| (release.release.version.clone(), release.release.first_seen);
        let (version, first_seen) = placed(&this);
        let earlier = page.items.into_iter().filter(|other| {
            let (other_version, other_seen) = placed(other);
            other.commits > 0
                && compare_releases((&other_version, other_seen), (&version, first_seen)).is_lt()
        });
        let previous = earlier.max_by(|left, right| {
            let (left, right) = (placed(left), placed(right));
            compare_releases((&left.0, left.1), (&right.0, right.1))
        });
        if let Some(previous) = previous {
            let commits = shared.releases.list_commits(project.id, &previous.release.version).await?;
            return Ok(Json(release_json(&[(project, previous)], commits.first())));
        }
    }
    Ok(Json(json!({})))
}

/// `GET .../releases/{version}/deploys/`
pub(super) async fn list_deploys(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Path(place): Path<Place>,
) -> Result<Json<Vec<Value>>, Problem> {
    let scope = Scope::open(&shared, &caller, place, &[]).await?;
    let mut deploys = Vec::new();
    for (project, _) in scope.find(&shared).await? {
        deploys.extend(shared.releases.list_deploys(project.id, Some(&scope.version)).await?);
    }
    deploys.sort_by_key(|deploy| std::cmp::Reverse(deploy.finished_at));
    Ok(Json(deploys.iter().map(deploy_json).collect()))
}

/// `POST .../releases/{version}/deploys/`
pub(super) async fn add_deploy(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Path(place): Path<Place>,
    Body(told): Body<ToldDeploy>,
) -> Result<Response, Problem> {
    let scope = Scope::open(&shared, &caller, place, &told.projects).await?;
    let new = NewDeploy {
        environment: told.environment.clone(),
        name: told.name.clone(),
        url: told.url.clone(),
        started_at: instant("dateStarted", told.date_started.as_ref())?,
        finished_at: instant("dateFinished", told.date_finished.as_ref())?,
    };
    let mut added = None;
    for (project, _) in scope.find(&shared).await? {
        let deploy =
            shared.releases.add_deploy(&acting(&caller, project), &scope.version, new.clone()).await?;
        added = added.or(deploy);
    }
    let added = added.ok_or_else(|| Problem::not_found("release"))?;
    Ok((StatusCode::CREATED, Json(deploy_json(&added))).into_response())
}
