use async_trait::async_trait;
use belvedere_kernel::{Entry, Identity, ProjectId, Target};
use belvedere_storage::{Page, Timestamp};
use sea_orm::ConnectionTrait;
use serde_json::{Value, json};

use super::store::{self, Pair, Window};
use super::{
    Acting, Commit, ComparedRelease, Comparison, Deploy, HealthPoint, HealthQuery, HealthStep, ListReleases,
    NewCommit, NewDeploy, Release, ReleaseChange, ReleaseHealth, ReleaseIssues, ReleaseIssuesKind,
    ReleaseSummary, Releases, SavedRelease, check,
};
use crate::store::admit_in;
use crate::{ErrorTrackingError, ErrorTrackingService};

/// The longest text to look for, in characters.
const TEXT_CHARS_MAX: usize = 200;

/// The most points of a chart by hour.
const HOURS_MAX: i64 = 7 * 24;

/// How far back a comparison looks, in hours.
const COMPARED_HOURS: i64 = 30 * 24;

fn entry(acting: &Acting, action: &'static str, version: &str, detail: Value) -> Entry {
    Entry {
        organisation: Some(acting.organisation),
        project: Some(acting.project),
        target: Some(Target { kind: "release", id: version.to_owned() }),
        request_id: acting.request_id.clone(),
        detail,
        ..Entry::new(acting.actor, action)
    }
}

fn hour_of(at: Timestamp) -> i64 {
    at.as_seconds().div_euclid(3_600)
}

#[async_trait]
impl Releases for ErrorTrackingService {
    async fn list_releases(&self, query: ListReleases) -> Result<Page<ReleaseSummary>, ErrorTrackingError> {
        if query.text.as_ref().is_some_and(|text| text.chars().count() > TEXT_CHARS_MAX) {
            let why = format!("the text to look for is longer than {TEXT_CHARS_MAX} characters");
            return Err(ErrorTrackingError::InvalidQuery(why));
        }
        // PostgreSQL has no text with NUL, so nothing contains it.
        if [&query.text, &query.environment].into_iter().flatten().any(|text| text.contains('\0')) {
            return Ok(Page { items: Vec::new(), next: None });
        }
        store::list_releases(self.db.read(), &query, self.clock.now()).await
    }

    async fn find_release(
        &self,
        project: ProjectId,
        version: &str,
    ) -> Result<Option<ReleaseSummary>, ErrorTrackingError> {
        let Some(release) = self.find_plain(project, version).await? else { return Ok(None) };
        let summarised = store::summarise(self.db.read(), project, None, vec![release], self.clock.now());
        Ok(summarised.await?.pop())
    }

    async fn save_release(
        &self,
        acting: &Acting,
        version: &str,
        change: ReleaseChange,
    ) -> Result<SavedRelease, ErrorTrackingError> {
        let (version, change) = (check::version(version)?, check::change(&change)?);
        let now = self.clock.now();
        self.db
            .write(async |tx| {
                let put = store::put_release_in(tx, acting.project, &version, &change, now).await?;
                let before = match put {
                    store::Put::Full => {
                        let why = format!("the project has {} releases already", store::RELEASES_MAX);
                        return Err(ErrorTrackingError::Invalid { field: "version", why });
                    }
                    store::Put::New => None,
                    store::Put::Known(release) => Some(release),
                };
                let release = store::find_release(tx, acting.project, &version).await?;
                let release = release.ok_or_else(|| {
                    ErrorTrackingError::Internal("a release vanished while saved".to_owned())
                })?;
                if before.as_ref() != Some(&release) {
                    let action = if before.is_some() { "release_updated" } else { "release_created" };
                    let detail = json!({ "ref": release.reference, "url": release.url,
                        "started_at": release.started_at, "released_at": release.released_at });
                    self.audit.record(tx, entry(acting, action, &version, detail)).await?;
                }
                Ok(SavedRelease { release, is_new: before.is_none() })
            })
            .await
    }

    async fn delete_release(&self, acting: &Acting, version: &str) -> Result<bool, ErrorTrackingError> {
        if self.find_plain(acting.project, version).await?.is_none() {
            return Ok(false);
        }
        self.db
            .write(async |tx| {
                store::delete_releases_in(tx, acting.project, &[version.to_owned()]).await?;
                self.audit.record(tx, entry(acting, "release_deleted", version, Value::Null)).await?;
                Ok(true)
            })
            .await
    }

    async fn list_deploys(
        &self,
        project: ProjectId,
        version: Option<&str>,
    ) -> Result<Vec<Deploy>, ErrorTrackingError> {
        Ok(store::list_deploys(self.db.read(), project, version).await?)
    }

    async fn add_deploy(
        &self,
        acting: &Acting,
        version: &str,
        deploy: NewDeploy,
    ) -> Result<Option<Deploy>, ErrorTrackingError> {
        let deploy = check::deploy(&deploy)?;
        let now = self.clock.now();
        self.db
            .write(async |tx| {
                let added = store::add_deploy_in(tx, acting.project, version, deploy, now).await?;
                if let Some(deploy) = &added {
                    let detail = json!({ "environment": deploy.environment, "deploy": deploy.id });
                    self.audit.record(tx, entry(acting, "release_deployed", version, detail)).await?;
                }
                Ok(added)
            })
            .await
    }

    async fn list_commits(
        &self,
        project: ProjectId,
        version: &str,
    ) -> Result<Vec<Commit>, ErrorTrackingError> {
        Ok(store::list_commits(self.db.read(), project, version).await?)
    }

    async fn set_commits(
        &self,
        acting: &Acting,
        version: &str,
        commits: Vec<NewCommit>,
    ) -> Result<bool, ErrorTrackingError> {
        let (mut commits, authors): (Vec<NewCommit>, Vec<Identity>) =
            check::commits(commits)?.into_iter().unzip();
        let rules = self.scrubber.load(&[acting.project]).await?;
        for commit in &mut commits {
            if let Some(message) = commit.message.take() {
                let mut payload = json!({ "message": message });
                rules.scrub(acting.project, &mut payload);
                commit.message = payload.get("message").and_then(Value::as_str).map(str::to_owned);
            }
        }
        self.db
            .write(async |tx| {
                let people = authors.iter().map(|author| (acting.project, author));
                let authors = admit_in(tx, &*self.gate, people).await?;
                let is_there = store::put_commits_in(tx, acting.project, version, &commits, &authors).await?;
                if is_there {
                    let detail = json!({ "commits": commits.len() });
                    self.audit.record(tx, entry(acting, "release_commits_set", version, detail)).await?;
                }
                Ok(is_there)
            })
            .await
    }

    async fn release_health(&self, query: HealthQuery) -> Result<ReleaseHealth, ErrorTrackingError> {
        let step = query.step.hours();
        let from = hour_of(query.from).div_euclid(step) * step;
        let to = hour_of(query.to).div_euclid(step) * step + step;
        let most = if query.step == HealthStep::Hour { HOURS_MAX } else { store::KEPT_HOURS + 24 };
        if from >= to || to - from > most {
            let why = format!("the time must go forward, and over {most} hours at most");
            return Err(ErrorTrackingError::InvalidQuery(why));
        }
        let environment = query.environment.as_deref();
        let window = Window { project: query.project, environment, from, to };
        let (db, version) = (self.db.read(), query.version.as_deref());
        let points = store::points_of_window(db, window, version, step).await?;
        let of_all = match version {
            Some(_) => store::points_of_window(db, window, None, step).await?,
            None => points.clone(),
        };
        let (events, total) = store::health_of_window(db, window, version).await?;
        let starts = (from..to).step_by(usize::try_from(step).unwrap_or(1));
        let points: Vec<HealthPoint> = starts
            .map(|hour| {
                let (events, health) = points.get(&hour).copied().unwrap_or_default();
                HealthPoint {
                    at: Timestamp::from_micros(hour * 3_600_000_000),
                    events,
                    health,
                    sessions_of_all: of_all.get(&hour).map_or(0, |(_, health)| health.sessions),
                }
            })
            .collect();
        let sessions_of_all = points.iter().map(|point| point.sessions_of_all).sum();
        Ok(ReleaseHealth { points, total, events, sessions_of_all })
    }

    async fn list_release_issues(
        &self,
        project: ProjectId,
        version: &str,
        kind: ReleaseIssuesKind,
    ) -> Result<ReleaseIssues, ErrorTrackingError> {
        Ok(store::list_issues(self.db.read(), project, version, kind).await?)
    }

    async fn compare_releases(
        &self,
        project: ProjectId,
        base: &str,
        other: &str,
        environment: Option<&str>,
    ) -> Result<Option<Comparison>, ErrorTrackingError> {
        let (base, other) = (self.find_plain(project, base).await?, self.find_plain(project, other).await?);
        let (Some(base), Some(other)) = (base, other) else { return Ok(None) };
        let hour = hour_of(self.clock.now());
        let window = Window { project, environment, from: hour + 1 - COMPARED_HOURS, to: hour + 1 };
        let db = self.db.read();
        let (_, of_all) = store::health_of_window(db, window, None).await?;
        let pair =
            async |pair| store::list_issues_of_pair(db, project, &base.version, &other.version, pair).await;
        let (new, gone, common) =
            (pair(Pair::New).await?, pair(Pair::Gone).await?, pair(Pair::Common).await?);
        Ok(Some(Comparison {
            new,
            gone,
            common,
            base: compared(db, window, base, of_all.sessions).await?,
            other: compared(db, window, other, of_all.sessions).await?,
        }))
    }

    async fn sweep_releases(&self, stop: &(dyn Fn() -> bool + Sync)) -> Result<(), ErrorTrackingError> {
        let now = self.clock.now();
        for project in store::list_projects(self.db.read()).await? {
            for sweep in store::SWEEPS {
                while !stop() {
                    let may_have_more =
                        self.db.write(async |tx| store::sweep_in(tx, project, sweep, now).await).await?;
                    if !may_have_more {
                        break;
                    }
                }
            }
        }
        Ok(())
    }
}

impl ErrorTrackingService {
    async fn find_plain(
        &self,
        project: ProjectId,
        version: &str,
    ) -> Result<Option<Release>, ErrorTrackingError> {
        if version.contains('\0') {
            return Ok(None);
        }
        Ok(store::find_release(self.db.read(), project, version).await?)
    }
}

async fn compared(
    connection: &impl ConnectionTrait,
    window: Window<'_>,
    release: Release,
    sessions_of_all: u64,
) -> Result<ComparedRelease, ErrorTrackingError> {
    let (events, health) = store::health_of_window(connection, window, Some(&release.version)).await?;
    let issues = store::count_issues(connection, window.project, &release.version).await?;
    Ok(ComparedRelease { release, health, events, sessions_of_all, issues })
}
