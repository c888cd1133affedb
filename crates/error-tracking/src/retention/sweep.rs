use std::collections::BTreeSet;
use std::time::Duration;

use async_trait::async_trait;
use belvedere_kernel::ProjectId;
use belvedere_storage::{StorageError, Timestamp};

use super::store::{self, IssueRow, Place};
use super::{Retention, Swept};
use crate::limits::{ProjectLimits, StorageChange};
use crate::{ErrorTrackingService, IssueId, attachment, feedback, quota};

/// How many events one transaction deletes: a tenth of a second on SQLite, where nobody else can write meanwhile.
const EVENTS_PER_STEP: usize = 200;

/// How many events one sweep deletes at most.
const EVENTS_PER_SWEEP: u64 = 100_000;

/// How many events of an issue are looked at in one query.
const EVENTS_PER_LOOK: usize = 2_000;

const ISSUES_PER_LOOK: i64 = 200;
const PROJECTS_PER_LOOK: i64 = 500;

/// How many attachments or feedback one transaction deletes.
const OTHERS_PER_STEP: usize = 100;

/// How long an attachment waits for its event.
const HELD: Duration = Duration::from_secs(3_600);

const DAY: Duration = Duration::from_secs(86_400);

/// What was let in is known for two months: quotas are by month.
const USAGE_DAYS: u32 = 62;

#[async_trait]
impl Retention for ErrorTrackingService {
    async fn sweep(&self, is_stopped: &(dyn Fn() -> bool + Send + Sync)) -> Result<Swept, StorageError> {
        let mut sweep = Sweep { service: self, is_stopped, now: self.clock.now(), swept: Swept::default() };
        sweep.associate().await?;
        let mut projects =
            BTreeSet::from_iter(store::list_projects_with_feedback(self.db.read(), PROJECTS_PER_LOOK).await?);
        let mut after = 0;
        loop {
            let page = store::list_projects(self.db.read(), after, PROJECTS_PER_LOOK).await?;
            let Some(last) = page.last() else { break };
            after = last.0;
            projects.extend(page);
        }
        for project in projects {
            if sweep.is_over() {
                break;
            }
            sweep.project(project).await?;
        }
        sweep.orphans().await?;
        Ok(sweep.swept)
    }
}

struct Sweep<'a> {
    service: &'a ErrorTrackingService,
    is_stopped: &'a (dyn Fn() -> bool + Send + Sync),
    now: Timestamp,
    swept: Swept,
}

impl Sweep<'_> {
    fn is_over(&self) -> bool {
        (self.is_stopped)() || self.swept.events >= EVENTS_PER_SWEEP
    }

    async fn associate(&mut self) -> Result<(), StorageError> {
        while !self.is_over() {
            let limit = OTHERS_PER_STEP as i64;
            let associated: Result<u64, StorageError> =
                self.service.db.write(async |tx| feedback::associate_in(tx, limit).await).await;
            let associated = associated?;
            self.swept.associated += associated;
            if associated < OTHERS_PER_STEP as u64 {
                break;
            }
        }
        Ok(())
    }

    async fn project(&mut self, project: ProjectId) -> Result<(), StorageError> {
        let db = &self.service.db;
        let limits = self.service.limits.load(db.read(), &[project], self.now).await?;
        let limits = limits.get(&project).cloned().unwrap_or_default();
        let before = self.now.minus(DAY * limits.event_days);
        let mut after = None;
        while !self.is_over() {
            let issues = store::list_issues(db.read(), project, after, ISSUES_PER_LOOK).await?;
            let Some(last) = issues.last() else { break };
            after = Some(last.id);
            for issue in issues {
                self.issue(project, &issue, &limits, before).await?;
            }
        }
        self.feedback(project, before).await?;
        let first_hour = self.now.minus(DAY * USAGE_DAYS).as_seconds().div_euclid(3_600);
        let swept: Result<(), StorageError> = db
            .write(async |tx| {
                quota::sweep_usage_in(tx, project, first_hour).await?;
                store::sweep_storage_in(tx, project).await
            })
            .await;
        swept
    }

    async fn issue(
        &mut self,
        project: ProjectId,
        issue: &IssueRow,
        limits: &ProjectLimits,
        before: Timestamp,
    ) -> Result<(), StorageError> {
        if issue.first_seen < before {
            self.delete(project, issue.id, (before, i64::MIN), false).await?;
        }
        if issue.events > u64::from(limits.events_in_full) {
            let db = self.service.db.read();
            let oldest = store::find_nth_newest(db, project, issue.id, limits.events_in_full).await?;
            if let Some(oldest) = oldest {
                self.delete(project, issue.id, oldest, true).await?;
            }
        }
        Ok(())
    }

    /// Deletes an issue's events before a place, all of them or all but the first of each hour.
    async fn delete(
        &mut self,
        project: ProjectId,
        issue: IssueId,
        before: Place,
        keeps_sample: bool,
    ) -> Result<(), StorageError> {
        let (mut after, mut kept_hour) = (None, None);
        while !self.is_over() {
            let db = &self.service.db;
            let page =
                store::list_events_between(db.read(), project, issue, after, before, EVENTS_PER_LOOK).await?;
            let is_last = page.len() < EVENTS_PER_LOOK;
            after = page.last().copied();
            let doomed = if keeps_sample {
                surplus(&page, &mut kept_hour)
            } else {
                page.into_iter().map(|(_, id)| id).collect()
            };
            for step in doomed.chunks(EVENTS_PER_STEP) {
                let deleted: Result<u64, StorageError> = db
                    .write(async |tx| {
                        let mut storage = StorageChange::default();
                        let deleted = store::delete_events_in(tx, project, step, &mut storage).await?;
                        storage.store_in(tx).await?;
                        Ok(deleted)
                    })
                    .await;
                self.swept.events += deleted?;
                if self.is_over() {
                    return Ok(());
                }
            }
            if is_last {
                break;
            }
        }
        Ok(())
    }

    async fn feedback(&mut self, project: ProjectId, before: Timestamp) -> Result<(), StorageError> {
        while !self.is_over() {
            let deleted: Result<usize, StorageError> = self
                .service
                .db
                .write(async |tx| {
                    let mut storage = StorageChange::default();
                    let deleted =
                        feedback::delete_old_in(tx, project, before, OTHERS_PER_STEP, &mut storage).await?;
                    storage.store_in(tx).await?;
                    Ok(deleted)
                })
                .await;
            let deleted = deleted?;
            self.swept.feedback += deleted as u64;
            if deleted < OTHERS_PER_STEP {
                break;
            }
        }
        Ok(())
    }

    async fn orphans(&mut self) -> Result<(), StorageError> {
        let before = self.now.minus(HELD);
        let mut after = None;
        while !(self.is_stopped)() {
            let step: Result<_, StorageError> = self
                .service
                .db
                .write(async |tx| {
                    let mut storage = StorageChange::default();
                    let step = attachment::sweep_orphans_in(tx, before, after, OTHERS_PER_STEP, &mut storage)
                        .await?;
                    storage.store_in(tx).await?;
                    Ok(step)
                })
                .await;
            let (deleted, next) = step?;
            self.swept.attachments += deleted as u64;
            if next.is_none() {
                break;
            }
            after = next;
        }
        Ok(())
    }
}

/// The keys of those events that are not the first of their hour; `kept_hour` is the hour of the last one kept.
fn surplus(events: &[Place], kept_hour: &mut Option<i64>) -> Vec<i64> {
    let mut doomed = Vec::new();
    for (at, id) in events {
        let hour = at.as_seconds().div_euclid(3_600);
        if *kept_hour == Some(hour) {
            doomed.push(*id);
        } else {
            *kept_hour = Some(hour);
        }
    }
    doomed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_event_of_each_hour_stays_across_pages() {
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let mut kept = None;
        let first = [
            (at("2026-11-23T11:00:00Z"), 1),
            (at("2026-11-23T11:59:59Z"), 2),
            (at("2026-11-23T12:00:00Z"), 3),
        ];
        assert_eq!(surplus(&first, &mut kept), [2]);
        let second = [(at("2026-11-23T12:30:00Z"), 4), (at("2026-11-23T14:30:00Z"), 5)];
        assert_eq!(surplus(&second, &mut kept), [4]);
    }
}
