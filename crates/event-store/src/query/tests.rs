//! Every question over the same few events, with answers worked out by hand, wherever the events lie.

mod answers;
mod cached;
mod limits;
mod props;

use std::path::PathBuf;
use std::sync::Arc;

use belvedere_kernel::{Clock, ManualClock, ProjectId, SubjectId};
use belvedere_storage::testing::TestDatabase;
use belvedere_storage::{Id, Timestamp};

use super::{QueryLimits, QueryService, Span};
use crate::{Embedded, Event, EventStore, EventStoreError, Limits};

pub(crate) const PROJECT: ProjectId = ProjectId(7);
pub(crate) const ANN: SubjectId = SubjectId(1);
pub(crate) const BOB: SubjectId = SubjectId(2);
pub(crate) const CLEO: SubjectId = SubjectId(3);
pub(crate) const DORA: SubjectId = SubjectId(4);

pub(crate) fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// In Amsterdam, one hour ahead of UTC in November.
pub(crate) fn span(from: &str, until: &str) -> Span {
    Span { project: PROJECT, from: at(from), until: at(until), time_zone: "Europe/Amsterdam".to_owned() }
}

/// 2 and 3 November.
pub(crate) fn two_days() -> Span {
    span("2026-11-01T23:00:00Z", "2026-11-03T23:00:00Z")
}

/// Mostly two days of one week and two of the next.
pub(crate) fn story() -> Vec<Event> {
    type Told<'a> = (&'a str, Option<SubjectId>, &'a str, &'a str, Option<f64>);
    let told: [Told<'_>; 14] = [
        ("2026-09-01T09:00:00Z", Some(DORA), "opened", "algebra", None),
        ("2026-11-02T08:00:00Z", Some(ANN), "opened", "algebra", None),
        ("2026-11-02T08:10:00Z", Some(ANN), "started", "algebra", None),
        ("2026-11-02T08:20:00Z", Some(ANN), "completed", "algebra", Some(80.0)),
        ("2026-11-02T09:00:00Z", Some(BOB), "opened", "botany", None),
        ("2026-11-02T10:00:00Z", Some(BOB), "started", "botany", None),
        // The 3rd in Amsterdam.
        ("2026-11-02T23:30:00Z", Some(CLEO), "opened", "algebra", None),
        ("2026-11-03T12:00:00Z", None, "opened", "", None),
        ("2026-11-03T08:00:00Z", Some(ANN), "opened", "algebra", None),
        ("2026-11-09T09:00:00Z", Some(BOB), "opened", "botany", None),
        ("2026-11-09T09:05:00Z", Some(BOB), "completed", "botany", Some(60.0)),
        ("2026-11-10T09:00:00Z", Some(CLEO), "completed", "algebra", Some(100.0)),
        ("2026-11-10T12:00:00Z", None, "opened", "algebra", None),
        ("2026-11-10T10:00:00Z", Some(DORA), "started", "algebra", None),
    ];
    let events = (0_u8..).zip(told).map(|(number, (time, subject, name, course, value))| {
        let mut event = Event::new([number; 16], at(time), name);
        (event.subject, event.course, event.value) = (subject, Some(course.to_owned()), value);
        event
    });
    events.collect()
}

/// A store on a database and a directory of its own, and questions to it.
pub(crate) struct Bench {
    pub(crate) store: Embedded,
    pub(crate) queries: QueryService,
    pub(crate) clock: Arc<ManualClock>,
    directory: PathBuf,
    db: TestDatabase,
}

impl Drop for Bench {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

impl Bench {
    pub(crate) fn new(db: TestDatabase) -> Self {
        let clock = Arc::new(ManualClock::new(at("2026-11-12T00:00:00Z")));
        let directory =
            std::env::temp_dir().join(format!("belvedere-queries-{}", Id::<()>::generate(clock.now())));
        let limits = Limits { seal_events_max: 5, row_group_rows: 3, ..Limits::default() };
        let store = Embedded::new(db.database(), &directory, clock.clone(), limits);
        let queries = Self::service(&store, QueryLimits::default());
        Self { store, queries, clock, directory, db }
    }

    pub(crate) fn service(store: &Embedded, limits: QueryLimits) -> QueryService {
        QueryService::new(Arc::new(store.clone()), 1 << 20, 2, limits)
    }

    /// Another process.
    pub(crate) fn another(&self) -> Embedded {
        Embedded::new(self.db.database(), &self.directory, self.clock.clone(), Limits::default())
    }

    pub(crate) async fn append(&self, events: &[Event]) {
        self.append_by(&self.store, events).await;
    }

    pub(crate) async fn append_by(&self, store: &Embedded, events: &[Event]) {
        let appended: Result<_, EventStoreError> =
            self.db.write(async |tx| store.append_in(tx, PROJECT, events).await).await;
        assert_eq!(appended.unwrap().stored, events.len() as u64);
    }
}
