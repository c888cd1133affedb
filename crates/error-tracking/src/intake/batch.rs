use std::cmp::Reverse;
use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use belvedere_kernel::{
    Clock, ConsentGate, HandlerError, LiveMessage, PreparedBatch, ProjectId, Stored, SubjectId, Vault,
};
use belvedere_storage::{StorageError, Tx};
use serde_json::json;

use super::tally::Tallies;
use crate::IssueId;
use crate::attachment::{self, NewAttachment};
use crate::digest::DigestedEvent;
use crate::feedback::{self, NewFeedback};
use crate::grouping::KnownHashes;
use crate::limits::{ProjectLimits, StorageChange};
use crate::releases::Activity;
use crate::sessions::{SessionCounts, SessionUpdate, record_sessions_in};
use crate::store::{self, TouchedIssue};

/// How many issues a live message names.
const ISSUES_MAX: usize = 50;

/// What some deliveries held, in the order of their acceptance.
pub(super) struct EventBatch {
    clock: Arc<dyn Clock>,
    gate: Arc<dyn ConsentGate>,
    vault: Option<Arc<dyn Vault>>,
    limits: Arc<HashMap<ProjectId, Arc<ProjectLimits>>>,
    known_hashes: Arc<KnownHashes>,
    pub(super) events: Vec<DigestedEvent>,
    pub(super) attachments: Vec<NewAttachment>,
    pub(super) feedback: Vec<NewFeedback>,
    pub(super) sessions: Vec<SessionUpdate>,
    pub(super) session_counts: Vec<SessionCounts>,
    pub(super) tallies: Tallies,
}

impl EventBatch {
    pub(super) fn new(
        clock: Arc<dyn Clock>,
        gate: Arc<dyn ConsentGate>,
        vault: Option<Arc<dyn Vault>>,
        limits: Arc<HashMap<ProjectId, Arc<ProjectLimits>>>,
        known_hashes: Arc<KnownHashes>,
    ) -> Self {
        Self {
            clock,
            gate,
            vault,
            limits,
            known_hashes,
            events: Vec::new(),
            attachments: Vec::new(),
            feedback: Vec::new(),
            sessions: Vec::new(),
            session_counts: Vec::new(),
            tallies: Tallies::default(),
        }
    }

    /// Writes feedback, then files, which belong to it or to the events.
    async fn store_rest(
        &self,
        tx: &Tx,
        subjects: &[Option<SubjectId>],
        storage: &mut StorageChange,
        tallies: &mut Tallies,
    ) -> Result<(), StorageError> {
        let now = self.clock.now();
        if !self.feedback.is_empty() {
            let vault = self.vault.as_deref();
            let new = feedback::store_in(tx, vault, &self.feedback, subjects, now, storage).await?;
            for (feedback, is_new) in self.feedback.iter().zip(new) {
                tallies.add_written(
                    feedback.project,
                    feedback.item(),
                    is_new.then_some(()).ok_or("duplicate"),
                );
            }
        }
        if !self.attachments.is_empty() {
            let bytes_max = |project| {
                self.limits.get(&project).map_or_else(
                    || ProjectLimits::default().attachment_bytes_max,
                    |limits| limits.attachment_bytes_max,
                )
            };
            let outcomes = attachment::store_in(tx, &self.attachments, bytes_max, now, storage).await?;
            for (file, outcome) in self.attachments.iter().zip(outcomes) {
                tallies.add_written(file.project, "attachment", outcome);
            }
        }
        Ok(())
    }

    /// The subjects of events, sessions, counts of sessions and feedback, one after the other.
    async fn admit_in(&self, tx: &Tx) -> Result<Vec<Option<SubjectId>>, StorageError> {
        let events = self.events.iter().map(|event| (event.project, &event.identity));
        let sessions = self.sessions.iter().map(|session| (session.project, &session.identity));
        let counts = self.session_counts.iter().map(|counts| (counts.project, &counts.identity));
        let feedback = self.feedback.iter().map(|feedback| (feedback.project, &feedback.identity));
        let people = events.chain(sessions).chain(counts).chain(feedback);
        store::admit_in(tx, &*self.gate, people).await
    }
}

impl EventBatch {
    /// Once the batch is committed, the hashes of its events are known to lead to issues.
    fn remember_hashes(&self, tx: &Tx, issues_of: &[Option<IssueId>]) {
        let of_events = self.events.iter().zip(issues_of);
        let new: Vec<_> = of_events
            .filter(|(event, issue)| issue.is_some() && event.grouping.older_hash.is_some())
            .map(|(event, _)| (event.project, event.grouping.hash))
            .collect();
        if !new.is_empty() {
            let known_hashes = Arc::clone(&self.known_hashes);
            tx.after_commit(move || known_hashes.add(new));
        }
    }
}

#[async_trait]
impl PreparedBatch for EventBatch {
    async fn store(&self, tx: &Tx) -> Result<Stored, HandlerError> {
        let mut tallies = self.tallies.clone();
        let mut messages = Vec::new();
        let mut storage = StorageChange::default();
        let subjects = self.admit_in(tx).await?;
        let (of_events, others) = subjects.split_at(self.events.len());
        let (of_sessions, others) = others.split_at(self.sessions.len());
        let (of_counts, of_feedback) = others.split_at(self.session_counts.len());
        if !(self.events.is_empty() && self.sessions.is_empty() && self.session_counts.is_empty()) {
            let mut activity = Activity::default();
            let (sessions, counts) = ((&*self.sessions, of_sessions), (&*self.session_counts, of_counts));
            record_sessions_in(tx, sessions, counts, &mut activity).await?;
            let now = self.clock.now();
            let written = store::store_events_with_in(tx, &self.events, of_events, activity, now).await?;
            let mut projects: Vec<ProjectId> = Vec::new();
            for (index, (event, issue)) in self.events.iter().zip(&written.issues_of).enumerate() {
                let is_discarded = written.is_discarded.get(index).copied().unwrap_or(false);
                let reason = if is_discarded { "discarded" } else { "duplicate" };
                tallies.add_written(event.project, "event", issue.map(drop).ok_or(reason));
                if issue.is_some() {
                    projects.push(event.project);
                }
            }
            written.add_storage(&self.events, &mut storage);
            messages = live_messages(&written.touched, &projects);
            self.remember_hashes(tx, &written.issues_of);
        }
        self.store_rest(tx, of_feedback, &mut storage, &mut tallies).await?;
        storage.store_in(tx).await?;
        Ok(Stored { tallies: tallies.into_vec(), messages })
    }
}

/// One message a project: its touched issues, the latest first, at most 50, and how many of `projects_of_events`
/// (the project of each new event) it is.
pub(crate) fn live_messages(touched: &[TouchedIssue], projects_of_events: &[ProjectId]) -> Vec<LiveMessage> {
    let mut issues: Vec<&TouchedIssue> = touched.iter().collect();
    issues.sort_by_key(|issue| (issue.project, Reverse(issue.last_seen), Reverse(issue.events), issue.id));
    issues
        .chunk_by(|left, right| left.project == right.project)
        .filter_map(|of_project| {
            let project = of_project.first()?.project;
            let named: Vec<_> = of_project
                .iter()
                .take(ISSUES_MAX)
                .map(|issue| {
                    json!({
                        "id": issue.id,
                        "title": issue.title,
                        "is_new": issue.is_new,
                        "reopened": issue.reopened,
                        "events": issue.events,
                        "last_seen": issue.last_seen,
                        "level": issue.level,
                    })
                })
                .collect();
            let events = projects_of_events.iter().filter(|of_event| **of_event == project).count();
            let data = json!({ "issues": named, "events": events });
            Some(LiveMessage { project: Some(project), topic: "issue.events".to_owned(), data })
        })
        .collect()
}
