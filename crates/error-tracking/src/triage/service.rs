use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use belvedere_jobs::JobQueue;
use belvedere_kernel::{
    AuditSink, Clock, Entry, LiveBus, LiveMessage, Membership, ProjectId, Scrubber, Target, User,
};
use belvedere_storage::{Database, Id, Page, PageRequest, StorageError, Timestamp, Tx};
use serde_json::{Value, json};

use super::{
    Act, Activity, ActivityKind, CHANGED_ISSUES_MAX, ChangeComment, ChangeIssues, Condition, Counted,
    Discard, Ignoring, IssueChange, IssueHash, LiftDiscard, MergeIssues, NewComment, Ownership, Resolution,
    SetOwnership, StatusCounts, Substatus, Triage, UnmergeIssue,
};
use crate::release_order::sort_releases;
use crate::store::{self, Former, IssueState, NewActivity};
use crate::{ErrorTrackingError, IssueId, IssueStatus};

/// The longest time for which an issue can be ignored.
const UNTIL_MAX: Duration = Duration::from_hours(10 * 365 * 24);

/// The most events or subjects to wait for.
const COUNT_MAX: u64 = 1_000_000;

/// The most subjects within minutes: each of them is kept and looked at.
const SUBJECTS_WITHIN_MAX: u64 = 1_000;

/// The most minutes within which something is counted.
const MINUTES_MAX: u32 = 1_440;

/// Within how many minutes an archived issue escalates.
const ESCALATION_MINUTES: u32 = 60;

/// How much more frequent than in its busiest hour it must be for that, and how many events it takes at least.
const ESCALATION_FACTOR: u64 = 5;
const ESCALATION_EVENTS_MIN: u64 = 10;

/// How far the busiest hour may lie back.
const BUSIEST_HOURS: i64 = 7 * 24;

/// Triage on a database; see [`crate::ErrorTrackingService::triage`].
pub struct TriageService {
    pub(crate) db: Database,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) audit: Arc<dyn AuditSink>,
    pub(crate) scrubber: Arc<dyn Scrubber>,
    pub(crate) members: Arc<dyn Membership>,
    pub(crate) jobs: JobQueue,
    pub(crate) bus: Option<Arc<dyn LiveBus>>,
}

impl TriageService {
    /// Wakes the ignored issues of all projects whose time has come; how many those were. To be called every minute.
    ///
    /// # Errors
    /// A storage error.
    pub async fn wake_due(&self) -> Result<usize, StorageError> {
        let now = self.clock.now();
        let mut woken = 0;
        loop {
            let reopened = self
                .db
                .write(async |tx| {
                    let reopened = store::wake_due_in(tx, now).await?;
                    for issue in &reopened {
                        self.announce(tx, issue.project, &[issue.id]);
                    }
                    Ok::<_, StorageError>(reopened)
                })
                .await?;
            if reopened.is_empty() {
                return Ok(woken);
            }
            woken += reopened.len();
        }
    }

    /// Tells open pages that issues changed, once the transaction is committed.
    pub(super) fn announce(&self, tx: &Tx, project: ProjectId, issues: &[IssueId]) {
        let named: Vec<_> = issues.iter().take(50).map(|id| json!({ "id": id })).collect();
        let data = json!({ "issues": named, "events": 0 });
        let message = LiveMessage { project: Some(project), topic: "issue.changed".to_owned(), data };
        if let Some(bus) = self.bus.clone() {
            tx.after_commit(move || bus.publish(message));
        }
    }

    pub(super) async fn record(
        &self,
        tx: &Tx,
        act: &Act,
        action: &'static str,
        issue: IssueId,
        detail: Value,
    ) -> Result<(), StorageError> {
        let entry = Entry {
            organisation: Some(act.organisation),
            project: Some(act.project),
            target: Some(Target { kind: "issue", id: issue.to_string() }),
            request_id: act.request_id.clone(),
            detail,
            ..Entry::new(act.actor, action)
        };
        self.audit.record(tx, entry).await
    }

    async fn set_state(
        &self,
        tx: &Tx,
        change: &ChangeIssues,
        now: Timestamp,
    ) -> Result<u64, ErrorTrackingError> {
        let act = &change.act;
        let found = store::find_states_in(tx, act.project, &change.issues).await?;
        let states = self.states_after(tx, act.project, &found, &change.change, now).await?;
        let changed: Vec<(&Former, IssueState)> =
            found.iter().zip(states).filter(|(former, state)| former.state != *state).collect();
        if changed.is_empty() {
            return Ok(0);
        }
        let states: Vec<_> = changed.iter().map(|(former, state)| (former.id, state.clone())).collect();
        store::set_states_in(tx, act.project, &states).await?;
        let mut entries = Vec::with_capacity(changed.len());
        for (former, state) in &changed {
            let mut detail = json!({ "from": former.state.status.as_str(), "to": state.status.as_str() });
            if let Some(condition) = &state.condition {
                detail["condition"] = json!(condition);
            }
            if let Some(until) = state.until {
                detail["until"] = json!(until);
            }
            self.record(tx, act, "issue_status_changed", former.id, detail.clone()).await?;
            let entry = NewActivity::new(act.project, former.id, ActivityKind::Status, act.actor);
            entries.push(NewActivity { detail, ..entry });
        }
        store::insert_activities(tx, entries, now).await?;
        let ids: Vec<IssueId> = changed.iter().map(|(former, _)| former.id).collect();
        self.announce(tx, act.project, &ids);
        Ok(u64::try_from(changed.len()).unwrap_or(u64::MAX))
    }

    /// The state of each of the issues after the change.
    async fn states_after(
        &self,
        tx: &Tx,
        project: ProjectId,
        found: &[Former],
        change: &IssueChange,
        now: Timestamp,
    ) -> Result<Vec<IssueState>, ErrorTrackingError> {
        let plain =
            |status| IssueState { status, substatus: Substatus::Ongoing, condition: None, until: None };
        let ids: Vec<IssueId> = found.iter().map(|former| former.id).collect();
        Ok(match change {
            IssueChange::Resolve(resolution) => {
                let anchors = anchors(tx, project, found, resolution, now).await?;
                let resolved = |condition| IssueState { condition, ..plain(IssueStatus::Resolved) };
                anchors.into_iter().map(resolved).collect()
            }
            IssueChange::Ignore(ignoring) => {
                let ignored = |former: &Former| IssueState {
                    condition: wait_for(*ignoring, former),
                    until: if let Ignoring::Until(until) = ignoring { Some(*until) } else { None },
                    ..plain(IssueStatus::Ignored)
                };
                found.iter().map(ignored).collect()
            }
            IssueChange::Archive => {
                let first_hour = store::hour_of(now) - BUSIEST_HOURS;
                let busiest = store::busiest_hours(tx, project, &ids, first_hour).await?;
                let archived = |former: &Former| {
                    if former.state.status == IssueStatus::Archived {
                        return former.state.clone();
                    }
                    let usual = busiest.get(&former.id).copied().unwrap_or(0);
                    let at_least = usual.saturating_mul(ESCALATION_FACTOR).max(ESCALATION_EVENTS_MIN);
                    let counted = Counted::Events;
                    let condition = Condition::Within { counted, at_least, minutes: ESCALATION_MINUTES };
                    IssueState { condition: Some(condition), ..plain(IssueStatus::Archived) }
                };
                found.iter().map(archived).collect()
            }
            _ => {
                let reopened = |former: &Former| match former.state.status {
                    IssueStatus::Unresolved => former.state.clone(),
                    _ => plain(IssueStatus::Unresolved),
                };
                found.iter().map(reopened).collect()
            }
        })
    }

    async fn assign(
        &self,
        tx: &Tx,
        change: &ChangeIssues,
        to: Option<Id<User>>,
        now: Timestamp,
    ) -> Result<u64, ErrorTrackingError> {
        let act = &change.act;
        let found = store::find_states_in(tx, act.project, &change.issues).await?;
        let changed: Vec<&Former> = found.iter().filter(|former| former.assigned_to != to).collect();
        let ids: Vec<IssueId> = changed.iter().map(|former| former.id).collect();
        if ids.is_empty() {
            return Ok(0);
        }
        store::assign_in(tx, act.project, &ids, to).await?;
        let mut entries = Vec::with_capacity(ids.len());
        for former in changed {
            let detail = json!({ "from": former.assigned_to, "to": to });
            self.record(tx, act, "issue_assigned", former.id, detail).await?;
            let entry = NewActivity::new(act.project, former.id, ActivityKind::Assignment, act.actor);
            entries.push(NewActivity { detail: json!({ "user": to }), ..entry });
        }
        store::insert_activities(tx, entries, now).await?;
        self.announce(tx, act.project, &ids);
        Ok(u64::try_from(ids.len()).unwrap_or(u64::MAX))
    }
}

impl std::fmt::Debug for TriageService {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "TriageService({:?})", self.db)
    }
}

/// What ignored issues wait for.
fn wait_for(ignoring: Ignoring, former: &Former) -> Option<Condition> {
    let Ignoring::More { counted, count, minutes } = ignoring else { return None };
    let so_far = match counted {
        Counted::Events => former.events,
        Counted::Subjects => former.subjects,
    };
    Some(match minutes {
        Some(minutes) => Condition::Within { counted, at_least: count, minutes },
        None => Condition::Total { counted, at_least: so_far.saturating_add(count), more: count },
    })
}

/// After which release each of the issues counts as come back.
async fn anchors(
    tx: &Tx,
    project: ProjectId,
    found: &[Former],
    resolution: &Resolution,
    now: Timestamp,
) -> Result<Vec<Option<Condition>>, ErrorTrackingError> {
    if *resolution == Resolution::Now {
        return Ok(vec![None; found.len()]);
    }
    let mut releases = store::newest_releases(tx, project).await?;
    sort_releases(&mut releases, |(version, first_seen)| (version, *first_seen));
    let newest = releases.into_iter().next();
    let mut anchors = Vec::with_capacity(found.len());
    for former in found {
        let named = match resolution {
            Resolution::InRelease(Some(version)) => Some(version),
            Resolution::InRelease(None) => former.last_release.as_ref(),
            _ => None,
        };
        let anchor = match (named, &newest) {
            (Some(version), _) => {
                // A release that is not known yet is taken to begin with this.
                let first_seen = store::first_seen_of(tx, project, version).await?.unwrap_or(now);
                (version.clone(), first_seen)
            }
            (None, Some(newest)) => newest.clone(),
            (None, None) => {
                let why = "release: the project has none yet; its events name none".to_owned();
                return Err(ErrorTrackingError::InvalidQuery(why));
            }
        };
        anchors.push(Some(Condition::AfterRelease { version: anchor.0, first_seen: anchor.1 }));
    }
    Ok(anchors)
}

fn is_version(text: &str) -> bool {
    (1..=250).contains(&text.chars().count()) && !text.chars().any(char::is_control)
}

fn check(change: &ChangeIssues, now: Timestamp) -> Result<(), ErrorTrackingError> {
    let refuse = |why: String| Err(ErrorTrackingError::InvalidQuery(why));
    if change.issues.len() > CHANGED_ISSUES_MAX {
        return refuse(format!("more than {CHANGED_ISSUES_MAX} issues at once"));
    }
    match &change.change {
        IssueChange::Resolve(Resolution::InRelease(Some(version))) if !is_version(version) => {
            return refuse(
                "release: must have 1 to 250 characters, none of them control characters".to_owned(),
            );
        }
        IssueChange::Ignore(Ignoring::Until(until)) if *until <= now || *until > now.plus(UNTIL_MAX) => {
            return refuse("until: must lie ahead, at most ten years".to_owned());
        }
        IssueChange::Ignore(Ignoring::More { counted, count, minutes }) => {
            let is_kept = minutes.is_some() && *counted == Counted::Subjects;
            let most = if is_kept { SUBJECTS_WITHIN_MAX } else { COUNT_MAX };
            if !(1..=most).contains(count) {
                return refuse(format!("{}: must be from 1 to {most}", counted.as_str()));
            }
            if minutes.is_some_and(|minutes| !(1..=MINUTES_MAX).contains(&minutes)) {
                return refuse(format!("minutes: must be from 1 to {MINUTES_MAX}"));
            }
        }
        _ => {}
    }
    Ok(())
}

#[async_trait]
impl Triage for TriageService {
    async fn change_issues(&self, change: ChangeIssues) -> Result<u64, ErrorTrackingError> {
        let now = self.clock.now();
        check(&change, now)?;
        if let IssueChange::Assign(Some(user)) = change.change
            && !self.members.is_member(change.act.organisation, user).await?
        {
            let why = "assigned_to: nobody of the organisation has this id".to_owned();
            return Err(ErrorTrackingError::InvalidQuery(why));
        }
        self.db
            .write(async |tx| match change.change {
                IssueChange::Assign(to) => self.assign(tx, &change, to, now).await,
                IssueChange::Delete { discards } => self.delete(tx, &change, discards).await,
                _ => self.set_state(tx, &change, now).await,
            })
            .await
    }

    async fn merge_issues(&self, merge: MergeIssues) -> Result<IssueId, ErrorTrackingError> {
        self.merge(merge).await
    }

    async fn unmerge_issue(&self, unmerge: UnmergeIssue) -> Result<IssueId, ErrorTrackingError> {
        self.unmerge(unmerge).await
    }

    async fn list_hashes(
        &self,
        project: ProjectId,
        issue: IssueId,
    ) -> Result<Vec<IssueHash>, ErrorTrackingError> {
        Ok(store::list_hashes(self.db.read(), project, issue).await?)
    }

    async fn list_activity(
        &self,
        project: ProjectId,
        issue: IssueId,
        page: PageRequest,
    ) -> Result<Page<Activity>, ErrorTrackingError> {
        self.timeline(project, issue, page).await
    }

    async fn comment(&self, new: NewComment) -> Result<Activity, ErrorTrackingError> {
        self.add_comment(new).await
    }

    async fn change_comment(&self, change: ChangeComment) -> Result<(), ErrorTrackingError> {
        self.alter_comment(change).await
    }

    async fn count_by_status(&self, project: ProjectId) -> Result<StatusCounts, ErrorTrackingError> {
        Ok(store::count_by_status(self.db.read(), project).await?)
    }

    async fn find_ownership(&self, project: ProjectId) -> Result<Ownership, ErrorTrackingError> {
        let mut found = store::find_ownership(self.db.read(), &[project]).await?;
        Ok(found.remove(&project).unwrap_or_default())
    }

    async fn set_ownership(&self, set: SetOwnership) -> Result<Ownership, ErrorTrackingError> {
        self.save_ownership(set).await
    }

    async fn list_discards(
        &self,
        project: ProjectId,
        page: PageRequest,
    ) -> Result<Page<Discard>, ErrorTrackingError> {
        store::list_discards(self.db.read(), project, &page).await
    }

    async fn lift_discard(&self, lift: LiftDiscard) -> Result<(), ErrorTrackingError> {
        self.lift(lift).await
    }
}
