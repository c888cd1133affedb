use std::cmp::Reverse;
use std::sync::Arc;

use async_trait::async_trait;
use belvedere_kernel::{
    Clock, ConsentGate, HandlerError, ItemOutcome, LiveMessage, PreparedBatch, ProjectId, Stored,
};
use belvedere_storage::Tx;
use serde_json::json;

use super::tally::Tallies;
use crate::digest::DigestedEvent;
use crate::store::{self, TouchedIssue};

/// How many issues a live message names.
const ISSUES_MAX: usize = 50;

/// Digested events of some deliveries, in the order of their acceptance.
pub(super) struct EventBatch {
    clock: Arc<dyn Clock>,
    gate: Arc<dyn ConsentGate>,
    pub(super) events: Vec<DigestedEvent>,
    pub(super) tallies: Tallies,
}

impl EventBatch {
    pub(super) fn new(clock: Arc<dyn Clock>, gate: Arc<dyn ConsentGate>) -> Self {
        Self { clock, gate, events: Vec::new(), tallies: Tallies::default() }
    }
}

#[async_trait]
impl PreparedBatch for EventBatch {
    async fn store(&self, tx: &Tx) -> Result<Stored, HandlerError> {
        let mut tallies = self.tallies.clone();
        let mut messages = Vec::new();
        if !self.events.is_empty() {
            let subjects = store::admit_in(tx, &*self.gate, &self.events).await?;
            let written = store::store_events_in(tx, &self.events, &subjects, self.clock.now()).await?;
            let mut projects: Vec<ProjectId> = Vec::new();
            for (event, issue) in self.events.iter().zip(&written.issues_of) {
                if issue.is_some() {
                    tallies.add(event.project, "event", ItemOutcome::Stored, "", 1);
                    projects.push(event.project);
                } else {
                    tallies.add(event.project, "event", ItemOutcome::Dropped, "duplicate", 1);
                }
            }
            messages = live_messages(&written.touched, &projects);
        }
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
