use std::borrow::Cow;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use async_trait::async_trait;
use belvedere_event_store::EventStore;
use belvedere_kernel::{
    AuditSink, Clock, ConsentGate, HandlerError, ItemOutcome, LiveMessage, Notice, NoticeKind, Notifier,
    PreparedBatch, ProjectId, ScrubRules, Stored, SubjectId, Vault,
};
use belvedere_storage::{StorageError, Tx};
use serde_json::json;

use super::Reader;
use super::tally::Tallies;
use crate::attachment::{self, NewAttachment};
use crate::digest::DigestedEvent;
use crate::feedback::{self, NewFeedback};
use crate::grouping::KnownHashes;
use crate::limits::{ProjectLimits, StorageChange};
use crate::logs::{LogBatch, records_messages};
use crate::monitors::{self, CheckInOutcome, ReceivedCheckIn};
use crate::releases::Activity;
use crate::sessions::{SessionCounts, SessionUpdate, record_sessions_in};
use crate::store::{self, TouchedIssue};
use crate::{IssueId, Substatus};

/// How many issues a live message names.
const ISSUES_MAX: usize = 50;

/// What some deliveries held, in the order of their acceptance.
pub(super) struct EventBatch {
    clock: Arc<dyn Clock>,
    gate: Arc<dyn ConsentGate>,
    vault: Option<Arc<dyn Vault>>,
    event_store: Option<Arc<dyn EventStore>>,
    notifier: Option<Arc<dyn Notifier>>,
    limits: Arc<HashMap<ProjectId, Arc<ProjectLimits>>>,
    audit: Arc<dyn AuditSink>,
    rules: Arc<dyn ScrubRules>,
    known_hashes: Arc<KnownHashes>,
    pub(super) events: Vec<DigestedEvent>,
    pub(super) attachments: Vec<NewAttachment>,
    pub(super) feedback: Vec<NewFeedback>,
    pub(super) sessions: Vec<SessionUpdate>,
    pub(super) session_counts: Vec<SessionCounts>,
    pub(super) check_ins: Vec<ReceivedCheckIn>,
    pub(super) logs: LogBatch,
    pub(super) tallies: Tallies,
}

impl EventBatch {
    pub(super) fn new(
        reader: &Reader,
        limits: Arc<HashMap<ProjectId, Arc<ProjectLimits>>>,
        rules: Arc<dyn ScrubRules>,
        known_hashes: Arc<KnownHashes>,
    ) -> Self {
        Self {
            clock: Arc::clone(&reader.clock),
            gate: Arc::clone(&reader.gate),
            vault: reader.vault.clone(),
            event_store: reader.event_store.clone(),
            notifier: reader.notifier.clone(),
            limits,
            audit: Arc::clone(&reader.audit),
            rules,
            known_hashes,
            events: Vec::new(),
            attachments: Vec::new(),
            feedback: Vec::new(),
            sessions: Vec::new(),
            session_counts: Vec::new(),
            check_ins: Vec::new(),
            logs: LogBatch::default(),
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

    /// Counts what became of the check-ins; a message for each project with new runs.
    fn count_runs(&self, outcomes: &[CheckInOutcome], tallies: &mut Tallies) -> Vec<LiveMessage> {
        let mut projects = BTreeSet::new();
        for (check_in, outcome) in self.check_ins.iter().zip(outcomes) {
            let written = match outcome {
                CheckInOutcome::Stored => Ok(()),
                CheckInOutcome::Dropped(reason) => Err(*reason),
            };
            projects.extend(written.ok().map(|()| check_in.project));
            tallies.add_written(check_in.project, "check_in", written);
        }
        projects.into_iter().map(monitors::runs_message).collect()
    }

    /// Writes and counts log records; a message for each project that got some.
    async fn store_logs(&self, tx: &Tx, tallies: &mut Tallies) -> Result<Vec<LiveMessage>, StorageError> {
        let records = self.logs.store_in(tx, &*self.gate, self.clock.now()).await?;
        for (project, count) in &records {
            tallies.add(*project, "log", ItemOutcome::Stored, "", *count);
        }
        Ok(records_messages(&records).collect())
    }

    /// The subjects of events, sessions, counts of sessions and feedback, one after the other.
    async fn admit_in(
        &self,
        tx: &Tx,
        events: &[DigestedEvent],
    ) -> Result<Vec<Option<SubjectId>>, StorageError> {
        let events = events.iter().map(|event| (event.project, &event.identity));
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
        let now = self.clock.now();
        // Monitors are locked before anything else, and their failures are events like others.
        let taken = monitors::take_in(tx, &*self.audit, &*self.rules, &self.check_ins, now).await?;
        let events: Cow<'_, [DigestedEvent]> = if taken.events.is_empty() {
            Cow::Borrowed(&self.events)
        } else {
            Cow::Owned([self.events.as_slice(), taken.events.as_slice()].concat())
        };
        let subjects = self.admit_in(tx, &events).await?;
        let (of_events, others) = subjects.split_at(events.len());
        let (of_sessions, others) = others.split_at(self.sessions.len());
        let (of_counts, of_feedback) = others.split_at(self.session_counts.len());
        let mut written = store::Written::default();
        if !(events.is_empty() && self.sessions.is_empty() && self.session_counts.is_empty()) {
            let mut activity = Activity::default();
            let (sessions, counts) = ((&*self.sessions, of_sessions), (&*self.session_counts, of_counts));
            record_sessions_in(tx, sessions, counts, &mut activity).await?;
            written = store::store_events_with_in(tx, &events, of_events, activity, now).await?;
            let projects: Vec<ProjectId> = events
                .iter()
                .zip(&written.issues_of)
                .filter_map(|(event, issue)| issue.map(|_| event.project))
                .collect();
            // Events of monitors did not arrive, they were made here: only the others are counted.
            for (index, (event, issue)) in self.events.iter().zip(&written.issues_of).enumerate() {
                let is_discarded = written.is_discarded.get(index).copied().unwrap_or(false);
                let reason = if is_discarded { "discarded" } else { "duplicate" };
                tallies.add_written(event.project, "event", issue.map(drop).ok_or(reason));
            }
            written.add_storage(&events, &mut storage);
            messages = live_messages(&written.touched, &projects);
            self.remember_hashes(tx, &written.issues_of);
        }
        let issues_of_failures = written.issues_of.get(self.events.len()..).unwrap_or_default();
        monitors::track_issues_in(tx, &taken, issues_of_failures, now).await?;
        messages.extend(self.count_runs(&taken.outcomes, &mut tallies));
        messages.extend(self.store_logs(tx, &mut tallies).await?);
        self.store_rest(tx, of_feedback, &mut storage, &mut tallies).await?;
        storage.store_in(tx).await?;
        let event_store = self.event_store.as_deref();
        store::add_occurrences_in(tx, event_store, &events, of_events, &written).await?;
        notify_in(tx, self.notifier.as_deref(), &written.touched).await?;
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

/// Tells others of the issues that are new or came back after they were resolved.
pub(crate) async fn notify_in(
    tx: &Tx,
    notifier: Option<&dyn Notifier>,
    touched: &[TouchedIssue],
) -> Result<(), StorageError> {
    let Some(notifier) = notifier else { return Ok(()) };
    let mut notices: BTreeMap<ProjectId, Vec<Notice>> = BTreeMap::new();
    for issue in touched {
        let kind = match issue.reopened {
            _ if issue.is_new => NoticeKind::IssueNew,
            Some(Substatus::Regressed) => NoticeKind::IssueRegressed,
            _ => continue,
        };
        notices.entry(issue.project).or_default().push(Notice {
            kind,
            key: json!([issue.id, issue.last_seen]).to_string(),
            subject: None,
            data: json!({
                "issue": issue.id, "number": issue.number, "level": issue.level, "events": issue.events,
                "last_seen": issue.last_seen,
            }),
        });
    }
    for (project, notices) in notices {
        notifier.notify_in(tx, project, &notices).await?;
    }
    Ok(())
}
