//! Issues become one, a part of one becomes its own, issues go; their events follow in batches.

use belvedere_jobs::NewJob;
use belvedere_storage::{Id, StorageError, Tx};
use serde_json::{Value, json};

use super::{Act, ActivityKind, ChangeIssues, LiftDiscard, MergeIssues, TriageService, UnmergeIssue};
use crate::digest::unpack;
use crate::entity::issue;
use crate::event::describe;
use crate::grouping::group;
use crate::grouping_rules::Ruling;
use crate::store::{self, Move, NewActivity, SplitOff};
use crate::{ErrorTrackingError, IssueId};

/// The job that moves the events of merged, split and deleted issues.
pub const MOVE_EVENTS_JOB: &str = "error-tracking.move_events";

/// The most issues of one merge.
const MERGED_ISSUES_MAX: usize = 50;

/// The most subjects that one merge moves: they change their issue in one transaction.
const MERGED_SUBJECTS_MAX: i64 = 200_000;

/// The most hashes that are split off at once.
const HASHES_MAX: usize = 200;

/// How many names of merged issues the timeline keeps.
const NAMED_MAX: usize = 10;

fn refuse<T>(why: impl Into<String>) -> Result<T, ErrorTrackingError> {
    Err(ErrorTrackingError::InvalidQuery(why.into()))
}

fn busy<T>() -> Result<T, ErrorTrackingError> {
    refuse("events of this issue are being moved at the moment; try again in a minute")
}

impl TriageService {
    /// Does what is left to do of merges, splits and deletions, in transactions of at most 1,000 events, until nothing
    /// is left or `is_stopped` says so; how many transactions that took.
    ///
    /// # Errors
    /// A storage error; what was done so far stays done.
    pub async fn move_events(&self, is_stopped: impl Fn() -> bool) -> Result<u64, StorageError> {
        let mut steps = 0;
        while !is_stopped() {
            let Some(next) = store::find_next_move(self.db.read()).await? else { break };
            self.db
                .write(async |tx| {
                    if store::step_in(tx, &next).await? {
                        let issues: Vec<IssueId> = [Some(next.from), next.to].into_iter().flatten().collect();
                        self.announce(tx, next.project, &issues);
                    }
                    Ok::<_, StorageError>(())
                })
                .await?;
            steps += 1;
        }
        Ok(steps)
    }

    /// Writes the moves down and does the first part of each at once, so that small issues are moved whole.
    async fn begin_moves(&self, tx: &Tx, moves: &[Move]) -> Result<(), ErrorTrackingError> {
        store::insert_moves(tx, moves).await?;
        let mut is_done = moves.len() <= 5;
        if is_done {
            for of in moves {
                is_done &= store::step_in(tx, of).await?;
            }
        }
        if !is_done {
            let job =
                NewJob { key: Some(MOVE_EVENTS_JOB.to_owned()), ..NewJob::new(MOVE_EVENTS_JOB, Value::Null) };
            let enqueued = self.jobs.enqueue_in(tx, job).await;
            enqueued.map_err(|error| ErrorTrackingError::Internal(error.to_string()))?;
        }
        Ok(())
    }

    pub(super) async fn delete(
        &self,
        tx: &Tx,
        change: &ChangeIssues,
        discards: bool,
    ) -> Result<u64, ErrorTrackingError> {
        let (act, now) = (&change.act, self.clock.now());
        store::seize_project(tx, act.project).await?;
        let found = store::find_states_in(tx, act.project, &change.issues).await?;
        if found.is_empty() {
            return Ok(0);
        }
        let ids: Vec<IssueId> = found.iter().map(|issue| issue.id).collect();
        if store::are_moving(tx, act.project, &ids, false).await? {
            return busy();
        }
        store::remove_in(tx, act.project, &found, discards, now).await?;
        store::redirect_moves(tx, act.project, &ids, None).await?;
        for issue in &found {
            let detail = json!({ "number": issue.number, "events": issue.events, "discards": discards });
            self.record(tx, act, "issue_deleted", issue.id, detail).await?;
        }
        let moves: Vec<Move> = ids.iter().map(|id| self.new_move(act, *id, None, Vec::new())).collect();
        self.begin_moves(tx, &moves).await?;
        self.announce(tx, act.project, &ids);
        Ok(u64::try_from(ids.len()).unwrap_or(u64::MAX))
    }

    fn new_move(&self, act: &Act, from: IssueId, to: Option<IssueId>, hashes: Vec<[u8; 16]>) -> Move {
        Move { id: Id::generate(self.clock.now()), project: act.project, from, to, hashes }
    }

    pub(super) async fn merge(&self, merge: MergeIssues) -> Result<IssueId, ErrorTrackingError> {
        let mut ids = merge.issues.clone();
        ids.sort_unstable();
        ids.dedup();
        if !(2..=MERGED_ISSUES_MAX).contains(&ids.len()) {
            return refuse(format!("issues: must be 2 to {MERGED_ISSUES_MAX} different ones"));
        }
        let (act, now) = (&merge.act, self.clock.now());
        self.db
            .write(async |tx| {
                store::seize_project(tx, act.project).await?;
                let mut rows = store::find_rows_in(tx, act.project, &ids).await?;
                if rows.len() < ids.len() {
                    return Err(ErrorTrackingError::NotFound("issue"));
                }
                if store::are_moving(tx, act.project, &ids, false).await? {
                    return busy();
                }
                rows.sort_by_key(|row| (std::cmp::Reverse(row.event_count), row.first_seen, row.number));
                let target = rows.remove(0);
                let subjects: i64 = rows.iter().map(|row| row.subject_count).sum();
                if subjects > MERGED_SUBJECTS_MAX {
                    return refuse(format!(
                        "the issues have more than {MERGED_SUBJECTS_MAX} subjects to move"
                    ));
                }
                store::absorb_in(tx, &target, &rows).await?;
                let sources: Vec<IssueId> = rows.iter().map(|row| row.id).collect();
                store::redirect_moves(tx, act.project, &sources, Some(target.id)).await?;
                let moves: Vec<Move> =
                    sources.iter().map(|id| self.new_move(act, *id, Some(target.id), Vec::new())).collect();
                self.begin_moves(tx, &moves).await?;
                for row in &rows {
                    let detail =
                        json!({ "number": row.number, "into": target.id, "events": row.event_count });
                    self.record(tx, act, "issue_merged", row.id, detail).await?;
                }
                let named = |row: &issue::Model| json!({ "number": row.number, "title": row.title });
                let detail = json!({
                    "count": rows.len(),
                    "issues": rows.iter().take(NAMED_MAX).map(named).collect::<Vec<_>>(),
                });
                let entry = NewActivity::new(act.project, target.id, ActivityKind::Merge, act.actor);
                store::insert_activities(tx, vec![NewActivity { detail, ..entry }], now).await?;
                self.announce(tx, act.project, &ids);
                Ok(target.id)
            })
            .await
    }

    pub(super) async fn unmerge(&self, unmerge: UnmergeIssue) -> Result<IssueId, ErrorTrackingError> {
        let (act, id, now) = (&unmerge.act, unmerge.issue, self.clock.now());
        let parsed: Option<Vec<_>> = unmerge.hashes.iter().map(|hash| store::parse_hash(hash)).collect();
        let Some(mut hashes) = parsed.filter(|hashes| (1..=HASHES_MAX).contains(&hashes.len())) else {
            return refuse(format!("hashes: must be 1 to {HASHES_MAX} times 32 hexadecimal digits"));
        };
        hashes.sort_unstable();
        hashes.dedup();
        // The payload tells what the new issue is called; read and unpacked before the transaction begins.
        let newest = store::find_newest_of(self.db.read(), act.project, id, &hashes).await?;
        let Some((latest, title, payload)) = newest else {
            if store::find_issue(self.db.read(), act.project, id, now).await?.is_none() {
                return Err(ErrorTrackingError::NotFound("issue"));
            }
            return refuse("hashes: no stored event of this issue was grouped by them");
        };
        let event = unpack(&payload)?.event;
        let new = SplitOff {
            id: Id::generate(now),
            latest,
            title,
            culprit: describe(&event).culprit,
            grouping: group(&event, &Ruling::default()),
            hashes,
        };
        self.db.write(async |tx| self.split(tx, act, id, &new).await).await?;
        Ok(new.id)
    }

    async fn split(&self, tx: &Tx, act: &Act, id: IssueId, new: &SplitOff) -> Result<(), ErrorTrackingError> {
        let now = self.clock.now();
        store::seize_project(tx, act.project).await?;
        let known = store::find_hashes(tx, act.project, id).await?;
        if !new.hashes.iter().all(|hash| known.contains(hash)) {
            return Err(ErrorTrackingError::NotFound("hash of this issue"));
        }
        if known.len() == new.hashes.len() {
            return refuse("hashes: at least one must stay with the issue");
        }
        if store::are_moving(tx, act.project, &[id], true).await? {
            return busy();
        }
        // While the project is seized, the order of the other locks does not matter.
        let rows = store::find_rows_in(tx, act.project, &[id]).await?;
        let Some(old) = rows.first() else { return Err(ErrorTrackingError::NotFound("issue")) };
        let number = store::insert_split_in(tx, old, new).await?;
        let of = self.new_move(act, id, Some(new.id), new.hashes.clone());
        self.begin_moves(tx, &[of]).await?;
        let detail = json!({ "into": new.id, "hashes": new.hashes.len() });
        self.record(tx, act, "issue_unmerged", id, detail).await?;
        let entry = |issue, number: i64, other: IssueId, direction: &str| NewActivity {
            detail: json!({ "number": number, "issue": other, "hashes": new.hashes.len(), "direction": direction }),
            ..NewActivity::new(act.project, issue, ActivityKind::Unmerge, act.actor)
        };
        let entries = vec![entry(id, number, new.id, "into"), entry(new.id, old.number, id, "out_of")];
        store::insert_activities(tx, entries, now).await?;
        self.announce(tx, act.project, &[id, new.id]);
        Ok(())
    }

    pub(super) async fn lift(&self, lift: LiftDiscard) -> Result<(), ErrorTrackingError> {
        let act = &lift.act;
        self.db
            .write(async |tx| {
                store::seize_project(tx, act.project).await?;
                if !store::lift_in(tx, act.project, lift.discard).await? {
                    return Err(ErrorTrackingError::NotFound("discard"));
                }
                self.record(tx, act, "discard_lifted", lift.discard.cast(), Value::Null).await?;
                Ok(())
            })
            .await
    }
}
