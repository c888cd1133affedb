//! What a batch says about releases, added up so that it is written with one statement a table.

use std::collections::BTreeMap;

use belvedere_kernel::ProjectId;
use belvedere_storage::Timestamp;

use crate::IssueId;
use crate::digest::DigestedEvent;

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
}

/// What a batch says about releases.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Activity {
    pub(crate) releases: BTreeMap<ReleaseKey, Sighting>,
    /// By release, environment (empty for none) and hour since 1970.
    pub(crate) hours: BTreeMap<(ReleaseKey, String, i64), HourActivity>,
    /// Events by release and issue.
    pub(crate) issues: BTreeMap<(ReleaseKey, IssueId), i64>,
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
