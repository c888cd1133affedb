//! The slice through its traits, on both databases.

mod asked;
mod company;
mod flags;
mod insights;
mod plain;
mod records;

use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use belvedere_event_store::query::{QueryLimits, QueryService};
use belvedere_event_store::{Embedded, Event, EventStore, EventStoreError, Limits, ProjectZones};
use belvedere_kernel::{
    Actor, AuditSink, Clock, Entry, LearningNumbers, ManualClock, PersonRegister, ProjectId, RawPerson,
    Removal, ScrubRules, Scrubber, StrugglingNumbers, SubjectId, TutorNumbers,
};
use belvedere_storage::testing::TestDatabase;
use belvedere_storage::{Id, StorageError, Timestamp, Tx};

use crate::*;

pub(crate) const PROJECT: ProjectId = ProjectId(1);

pub(crate) fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// `u7` is the subject 7, anybody else nobody.
struct Register;

#[async_trait]
impl PersonRegister for Register {
    async fn register(&self, _: &Tx, people: &[RawPerson]) -> Result<Vec<Option<SubjectId>>, StorageError> {
        self.find(people).await
    }

    async fn find(&self, people: &[RawPerson]) -> Result<Vec<Option<SubjectId>>, StorageError> {
        let number = |person: &RawPerson| {
            let id = person.identity.id.as_deref().unwrap();
            id.strip_prefix('u').and_then(|it| it.parse().ok()).map(SubjectId)
        };
        Ok(people.iter().map(number).collect())
    }
}

#[derive(Default)]
pub(crate) struct Entries(Mutex<Vec<Entry>>);

impl Entries {
    pub(crate) fn actions(&self) -> Vec<&'static str> {
        self.0.lock().unwrap().iter().map(|entry| entry.action).collect()
    }
}

#[async_trait]
impl AuditSink for Entries {
    async fn record(&self, _: &Tx, entry: Entry) -> Result<(), StorageError> {
        self.0.lock().unwrap().push(entry);
        Ok(())
    }
}

/// Texts with an @ are personal data.
struct NoAddresses;

#[async_trait]
impl Scrubber for NoAddresses {
    async fn load(&self, _: &[ProjectId]) -> Result<Arc<dyn ScrubRules>, StorageError> {
        Ok(Arc::new(Self))
    }
}

impl ScrubRules for NoAddresses {
    fn scrub(&self, _: ProjectId, value: &mut serde_json::Value) -> Vec<Removal> {
        let found = value.to_string().contains('@');
        found.then(|| Removal { path: "/".to_owned(), rule: "email".to_owned() }).into_iter().collect()
    }
}

struct Amsterdam;

#[async_trait]
impl ProjectZones for Amsterdam {
    async fn time_zone(&self, _: ProjectId) -> Result<Option<String>, StorageError> {
        Ok(Some("Europe/Amsterdam".to_owned()))
    }
}

/// Seven learners struggle, and a tutor has as many conversations as a period has days.
struct Learners;

#[async_trait]
impl LearningNumbers for Learners {
    async fn find_struggling(&self, _: ProjectId) -> Result<StrugglingNumbers, StorageError> {
        Ok(StrugglingNumbers { learners: 7, ..StrugglingNumbers::default() })
    }

    async fn find_tutor(
        &self,
        _: ProjectId,
        from: Timestamp,
        until: Timestamp,
    ) -> Result<Option<TutorNumbers>, StorageError> {
        let conversations = until.since(from).as_secs() / 86_400;
        Ok((conversations > 0).then(|| TutorNumbers { conversations, ..TutorNumbers::default() }))
    }
}

pub(crate) struct World {
    pub(crate) db: TestDatabase,
    pub(crate) service: BusinessService,
    pub(crate) events: Embedded,
    pub(crate) entries: Arc<Entries>,
    pub(crate) clock: Arc<ManualClock>,
    directory: PathBuf,
}

impl Drop for World {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

impl World {
    pub(crate) fn new(db: TestDatabase, now: &str) -> Self {
        let clock = Arc::new(ManualClock::new(at(now)));
        let entries = Arc::new(Entries::default());
        let directory =
            std::env::temp_dir().join(format!("belvedere-business-{}", Id::<()>::generate(clock.now())));
        let events = Embedded::new(db.database(), directory.clone(), clock.clone(), Limits::default())
            .with_zones(Arc::new(Amsterdam));
        // A build for tests is slow.
        let limits = QueryLimits { time_max: std::time::Duration::from_secs(120), ..QueryLimits::default() };
        let queries = QueryService::new(Arc::new(events.clone()), 64 << 20, 2, limits);
        let service = BusinessService::new(BusinessParts {
            db: db.database(),
            clock: clock.clone(),
            register: Arc::new(Register),
            audit: entries.clone(),
            queries: Arc::new(queries),
            events: Arc::new(events.clone()),
            scrubber: Arc::new(NoAddresses),
            zones: Some(Arc::new(Amsterdam)),
            learning: Some(Arc::new(Learners)),
        });
        Self { db, service, events, entries, clock, directory }
    }

    pub(crate) fn by(&self) -> ChangedBy {
        ChangedBy { actor: Actor::User(Id::from_bytes([3; 16])), request_id: None }
    }

    pub(crate) async fn import(&self, lines: &[&str]) -> Recorded {
        let header = "id,customer,subscription,kind,at,plan,amount,currency";
        let text = format!("{header}\n{}\n", lines.join("\n"));
        self.service.import_csv(PROJECT, &text, &self.by()).await.unwrap()
    }

    /// Appends tracked events as the door does, and takes from them what they tell of revenue.
    pub(crate) async fn track(&self, events: &[Event]) -> TrackedRevenue {
        let tracked = self.db.write(async |tx| {
            let tracked = self.service.record_tracked_in(tx, PROJECT, events).await?;
            self.events.append_in(tx, PROJECT, events).await?;
            Ok::<_, EventStoreError>(tracked)
        });
        tracked.await.unwrap()
    }
}
