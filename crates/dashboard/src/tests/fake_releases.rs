//! Made-up releases behind their trait.

use std::time::Duration;

use async_trait::async_trait;
use belvedere_error_tracking::{
    Acting, Commit, ComparedRelease, Comparison, Deploy, ErrorTrackingError, Health, HealthPoint,
    HealthQuery, IssueStatus, Level, ListReleases, NewCommit, NewDeploy, Release, ReleaseChange,
    ReleaseHealth, ReleaseIssue, ReleaseIssues, ReleaseIssuesKind, ReleaseSummary, Releases, SavedRelease,
};
use belvedere_kernel::{ProjectId, SubjectId};
use belvedere_storage::{Id, Page, Timestamp};

use super::fakes::{Fake, PROJECT, issue_id};

/// The names of the releases, newest first.
const VERSIONS: [&str; 3] = ["shop@2.14.0", "shop@2.13.1", "8fea2d6"];

impl Fake {
    fn release(&self, index: u64) -> Release {
        let at = |days: u64| self.clock.now().minus(Duration::from_secs(86_400 * days + 600));
        Release {
            version: format!("{}{}", VERSIONS[index as usize], self.suffix),
            created_at: at(index * 9 + 1),
            first_seen: at(index * 9 + 1),
            last_seen: at(index),
            first_event_at: Some(at(index * 9 + 1)),
            last_event_at: Some(at(index)),
            started_at: None,
            released_at: Some(at(index * 9 + 1)),
            reference: Some(format!("main{}", self.suffix)),
            url: Some(format!("javascript://example.org/{}", self.suffix)),
        }
    }

    fn deploy(&self, index: u64) -> Deploy {
        Deploy {
            id: Id::from_bytes([9; 16]),
            version: self.release(index).version,
            environment: format!("production{}", self.suffix),
            name: Some(format!("green{}", self.suffix)),
            url: Some(format!("https://ci.example/1{}", self.suffix)),
            started_at: None,
            finished_at: self.clock.now().minus(Duration::from_secs(7_200)),
        }
    }

    fn summary(&self, index: u64) -> ReleaseSummary {
        ReleaseSummary {
            release: self.release(index),
            events: 1_240 / (index + 1),
            new_issues: 3 - index,
            regressed_issues: 1,
            health: health(9_000 / (index + 1)),
            health_before: health(8_000 / (index + 1)),
            sessions_of_all: 16_500,
            users_of_all: 8_250,
            hourly: (0..24).map(|hour| hour * 7 % 40).collect(),
            deploys: if index == 0 { vec![self.deploy(0)] } else { Vec::new() },
            commits: 2,
        }
    }

    fn issues(&self, is_pair: bool) -> ReleaseIssues {
        let issue = ReleaseIssue {
            id: issue_id(1),
            number: 1,
            title: format!("TypeError: x is undefined{}", self.suffix),
            culprit: format!("load in app.js{}", self.suffix),
            level: Level::Error,
            status: IssueStatus::Resolved,
            events: 12,
            events_in_base: if is_pair { 4 } else { 0 },
            last_seen: self.clock.now(),
        };
        ReleaseIssues { items: vec![issue], total: 1 }
    }

    fn find(&self, project: ProjectId, version: &str) -> Option<u64> {
        let found = (0..3).find(|index| self.release(*index).version == version);
        found.filter(|_| project.0 == PROJECT)
    }
}

fn health(sessions: u64) -> Health {
    Health {
        sessions,
        healthy: sessions - 100,
        errored: 60,
        abnormal: 4,
        unhandled: 30,
        crashed: 6,
        users: sessions / 2,
        users_crashed: 30,
    }
}

#[async_trait]
impl Releases for Fake {
    async fn list_releases(&self, query: ListReleases) -> Result<Page<ReleaseSummary>, ErrorTrackingError> {
        let all = if query.project.0 == PROJECT && query.text.is_none() { 3 } else { 0 };
        Ok(Page { items: (0..all).map(|index| self.summary(index)).collect(), next: None })
    }

    async fn find_release(
        &self,
        project: ProjectId,
        version: &str,
    ) -> Result<Option<ReleaseSummary>, ErrorTrackingError> {
        Ok(self.find(project, version).map(|index| self.summary(index)))
    }

    async fn save_release(
        &self,
        _: &Acting,
        _: &str,
        _: ReleaseChange,
    ) -> Result<SavedRelease, ErrorTrackingError> {
        Ok(SavedRelease { release: self.release(0), is_new: false })
    }

    async fn delete_release(&self, _: &Acting, _: &str) -> Result<bool, ErrorTrackingError> {
        Ok(false)
    }

    async fn list_deploys(&self, _: ProjectId, _: Option<&str>) -> Result<Vec<Deploy>, ErrorTrackingError> {
        Ok(vec![self.deploy(0)])
    }

    async fn add_deploy(
        &self,
        _: &Acting,
        _: &str,
        _: NewDeploy,
    ) -> Result<Option<Deploy>, ErrorTrackingError> {
        Ok(None)
    }

    async fn list_commits(&self, _: ProjectId, _: &str) -> Result<Vec<Commit>, ErrorTrackingError> {
        let commit = Commit {
            revision: format!("8fea2d6{}", self.suffix),
            repository: Some(format!("shop/web{}", self.suffix)),
            message: Some(format!("Fix the till{}", self.suffix)),
            committed_at: Some(self.clock.now()),
            author: Some(SubjectId(41)),
        };
        Ok(vec![commit; 2])
    }

    async fn set_commits(&self, _: &Acting, _: &str, _: Vec<NewCommit>) -> Result<bool, ErrorTrackingError> {
        Ok(false)
    }

    async fn release_health(&self, query: HealthQuery) -> Result<ReleaseHealth, ErrorTrackingError> {
        let step = if query.to.since(query.from) < Duration::from_secs(86_400) { 3_600 } else { 86_400 };
        let steps = query.to.since(query.from).as_secs() / step + 1;
        let points = (0..steps).map(|index| HealthPoint {
            at: Timestamp::from_micros(query.from.as_micros() + (index * step * 1_000_000) as i64),
            events: index,
            health: health(120 + index * 37 % 400),
            sessions_of_all: 600,
        });
        Ok(ReleaseHealth {
            points: points.collect(),
            total: health(9_000),
            events: 400,
            sessions_of_all: 16_500,
        })
    }

    async fn list_release_issues(
        &self,
        _: ProjectId,
        _: &str,
        kind: ReleaseIssuesKind,
    ) -> Result<ReleaseIssues, ErrorTrackingError> {
        Ok(if kind == ReleaseIssuesKind::Regressed { ReleaseIssues::default() } else { self.issues(false) })
    }

    async fn compare_releases(
        &self,
        project: ProjectId,
        base: &str,
        other: &str,
        _: Option<&str>,
    ) -> Result<Option<Comparison>, ErrorTrackingError> {
        let Some((base, other)) = self.find(project, base).zip(self.find(project, other)) else {
            return Ok(None);
        };
        let side = |index: u64| ComparedRelease {
            release: self.release(index),
            health: health(20_000 / (index + 1)),
            events: 900 * (index + 1),
            sessions_of_all: 50_000,
            issues: 12,
        };
        Ok(Some(Comparison {
            base: side(base),
            other: side(other),
            new: self.issues(true),
            gone: ReleaseIssues::default(),
            common: self.issues(true),
        }))
    }

    async fn sweep_releases(&self, _: &(dyn Fn() -> bool + Sync)) -> Result<(), ErrorTrackingError> {
        Ok(())
    }
}
