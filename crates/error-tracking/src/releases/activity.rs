//! What a batch says about releases, added up so that it is written with one statement a table.

use std::collections::BTreeMap;

use belvedere_kernel::{ProjectId, SubjectId};
use belvedere_storage::Timestamp;

use crate::IssueId;
use crate::digest::DigestedEvent;
use crate::sessions::{SessionCounts, SessionRow, SessionState};

/// A release within its project.
pub(crate) type ReleaseKey = (ProjectId, String);

/// When a batch saw a release.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Sighting {
    pub(crate) first: Timestamp,
    pub(crate) last: Timestamp,
    /// The same of events alone.
    pub(crate) events: Option<(Timestamp, Timestamp)>,
}

/// What is counted for a release, an environment and an hour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct HourActivity {
    pub(crate) events: i64,
    /// All sessions, of which the others are parts that do not overlap; a change can be negative.
    pub(crate) sessions: i64,
    pub(crate) errored: i64,
    pub(crate) unhandled: i64,
    pub(crate) abnormal: i64,
    pub(crate) crashed: i64,
}

impl HourActivity {
    /// Adds sessions that are in `state`, which are among all of them already.
    fn add_state(&mut self, state: SessionState, sessions: i64) {
        match state {
            SessionState::Healthy => {}
            SessionState::Errored => self.errored += sessions,
            SessionState::Unhandled => self.unhandled += sessions,
            SessionState::Abnormal => self.abnormal += sessions,
            SessionState::Crashed => self.crashed += sessions,
        }
    }
}

/// What a batch says about releases.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Activity {
    pub(crate) releases: BTreeMap<ReleaseKey, Sighting>,
    /// By release, environment (empty for none) and hour since 1970.
    pub(crate) hours: BTreeMap<(ReleaseKey, String, i64), HourActivity>,
    /// Events by release and issue.
    pub(crate) issues: BTreeMap<(ReleaseKey, IssueId), i64>,
    /// The worst that each person met with, by release, environment and hour.
    pub(crate) users: BTreeMap<(ReleaseKey, String, i64, SubjectId), SessionState>,
}

impl Activity {
    /// Adds an event that was not stored before, if it names a release.
    pub(crate) fn add_event(&mut self, event: &DigestedEvent, issue: IssueId) {
        let Some(version) = &event.release else { return };
        let key = (event.project, version.clone());
        let environment = event.environment.clone().unwrap_or_default();
        let hour = event.occurred_at.as_seconds().div_euclid(3_600);
        self.hours.entry((key.clone(), environment, hour)).or_default().events += 1;
        *self.issues.entry((key.clone(), issue)).or_default() += 1;
        self.see(key, event.occurred_at, true);
    }

    /// Adds a session: a new one, or what has become of a known one.
    pub(crate) fn add_session(
        &mut self,
        project: ProjectId,
        before: Option<&SessionRow>,
        after: &SessionRow,
    ) {
        let key = (project, after.version.clone());
        let counts = self.hours.entry((key.clone(), after.environment.clone(), after.hour)).or_default();
        match before {
            None => counts.sessions += 1,
            Some(before) => counts.add_state(before.state, -1),
        }
        counts.add_state(after.state, 1);
        if let Some(subject) = after.subject {
            self.add_user(&key, &after.environment, after.hour, subject, after.state);
        }
        self.see(key, after.started, false);
    }

    /// Adds sessions that a server has counted.
    pub(crate) fn add_session_counts(&mut self, counted: &SessionCounts, subject: Option<SubjectId>) {
        let key = (counted.project, counted.version.clone());
        let hour = counted.started.as_seconds().div_euclid(3_600);
        let counts = self.hours.entry((key.clone(), counted.environment.clone(), hour)).or_default();
        let mut worst = SessionState::Healthy;
        for (state, quantity) in SessionState::ALL.into_iter().zip(counted.quantities) {
            counts.sessions += quantity;
            counts.add_state(state, quantity);
            if quantity > 0 {
                worst = state;
            }
        }
        if let Some(subject) = subject {
            self.add_user(&key, &counted.environment, hour, subject, worst);
        }
        self.see(key, counted.started, false);
    }

    fn add_user(
        &mut self,
        key: &ReleaseKey,
        environment: &str,
        hour: i64,
        subject: SubjectId,
        state: SessionState,
    ) {
        let worst = self.users.entry((key.clone(), environment.to_owned(), hour, subject)).or_insert(state);
        *worst = (*worst).max(state);
    }

    fn see(&mut self, key: ReleaseKey, at: Timestamp, is_event: bool) {
        let events = is_event.then_some((at, at));
        self.releases
            .entry(key)
            .and_modify(|seen| {
                seen.first = seen.first.min(at);
                seen.last = seen.last.max(at);
                seen.events = match (seen.events, events) {
                    (Some((first, last)), Some(_)) => Some((first.min(at), last.max(at))),
                    (before, now) => before.or(now),
                };
            })
            .or_insert(Sighting { first: at, last: at, events });
    }
}
