use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use belvedere_jobs::JobQueue;
use belvedere_kernel::{
    Actor, Admitted, AuditSink, ConsentGate, Delivery, Entry, HandlerError, InProcessBus, ManualClock,
    Membership, Notice, Notifier, Organisation, ProjectId, RawPerson, Rejected, Removal, ScrubRules,
    Scrubber, Stored, SubjectId, User,
};
use belvedere_storage::testing::TestDatabase;
use belvedere_storage::{Id, StorageError, Timestamp, Tx};
use bytes::Bytes;
use serde_json::Value;

use crate::search::SearchService;
use crate::{Act, ErrorTrackingService, TriageService};

pub(super) const PROJECT: ProjectId = ProjectId(1);
pub(super) const OTHER_PROJECT: ProjectId = ProjectId(2);

pub(super) fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// When the tests take place.
pub(super) fn now() -> Timestamp {
    at("2026-11-23T12:34:56Z")
}

/// Gives everybody a number made of their identifier: the same for the same person, whichever worker asks.
pub(super) struct FakeGate;

#[async_trait]
impl ConsentGate for FakeGate {
    async fn admit(&self, _: &Tx, people: &[RawPerson]) -> Result<Vec<Admitted>, StorageError> {
        let admit = |person: &RawPerson| {
            let subject = person.identity.key().map(|(_, value)| {
                SubjectId(value.bytes().fold(7, |number, byte| (number * 31 + i64::from(byte)) % 1_000_003))
            });
            Admitted { subject, analytics: true, detailed: true, location: false }
        };
        Ok(people.iter().map(admit).collect())
    }
}

/// Removes `/extra/password`, queries that are one, and the word `s3cret` from comments and rules.
pub(super) struct FakeScrubber;

#[async_trait]
impl Scrubber for FakeScrubber {
    async fn load(&self, _: &[ProjectId]) -> Result<Arc<dyn ScrubRules>, StorageError> {
        Ok(Arc::new(Self))
    }
}

impl ScrubRules for FakeScrubber {
    fn scrub(&self, _: ProjectId, payload: &mut Value) -> Vec<Removal> {
        if payload.get("query").is_some_and(|query| query == "hunter2") {
            return vec![Removal { path: "/query".to_owned(), rule: "password".to_owned() }];
        }
        for path in ["/comment", "/rules"] {
            if let Some(Value::String(text)) = payload.pointer_mut(path)
                && text.contains("s3cret")
            {
                *text = text.replace("s3cret", "[removed]");
                return vec![Removal { path: path.to_owned(), rule: "password".to_owned() }];
            }
        }
        match payload.pointer_mut("/extra/password") {
            Some(secret) => {
                *secret = "[removed]".into();
                vec![Removal { path: "/extra/password".to_owned(), rule: "password".to_owned() }]
            }
            None => Vec::new(),
        }
    }
}

/// Remembers what was recorded.
#[derive(Default)]
pub(super) struct FakeAudit(pub(super) Mutex<Vec<Entry>>);

#[async_trait]
impl AuditSink for FakeAudit {
    async fn record(&self, _: &Tx, entry: Entry) -> Result<(), StorageError> {
        self.0.lock().unwrap().push(entry);
        Ok(())
    }
}

/// Who changes issues in the tests.
pub(super) fn act() -> Act {
    Act {
        actor: Actor::User(anna()),
        organisation: Id::from_bytes([9; 16]),
        project: PROJECT,
        request_id: Some("r-1".to_owned()),
    }
}

pub(super) fn anna() -> Id<User> {
    Id::from_bytes([0x0a; 16])
}

pub(super) fn tom() -> Id<User> {
    Id::from_bytes([0x0b; 16])
}

/// Anna and Tom are the members of the organisation.
pub(super) struct FakeMembers;

#[async_trait]
impl Membership for FakeMembers {
    async fn is_member(&self, organisation: Id<Organisation>, user: Id<User>) -> Result<bool, StorageError> {
        Ok(organisation == Id::from_bytes([9; 16]) && [anna(), tom()].contains(&user))
    }

    async fn find_member(&self, _: Id<Organisation>, email: &str) -> Result<Option<Id<User>>, StorageError> {
        Ok(match email {
            "anna@example.com" => Some(anna()),
            "tom@example.com" => Some(tom()),
            _ => None,
        })
    }
}

/// What others were to be told of.
#[derive(Default)]
pub(super) struct FakeNotices(Mutex<Vec<Notice>>);

impl FakeNotices {
    /// The notices since the last look.
    pub(super) fn take(&self) -> Vec<Notice> {
        std::mem::take(&mut *self.0.lock().unwrap())
    }
}

#[async_trait]
impl Notifier for FakeNotices {
    async fn notify_in(&self, _: &Tx, _: ProjectId, notices: &[Notice]) -> Result<(), StorageError> {
        self.0.lock().unwrap().extend_from_slice(notices);
        Ok(())
    }
}

/// The service with everything around it faked, and its clock.
pub(super) struct Bench {
    pub(super) db: TestDatabase,
    pub(super) clock: Arc<ManualClock>,
    pub(super) audit: Arc<FakeAudit>,
    pub(super) errors: ErrorTrackingService,
    pub(super) search: SearchService,
    pub(super) triage: TriageService,
    pub(super) bus: Arc<InProcessBus>,
    pub(super) notices: Arc<FakeNotices>,
}

impl Bench {
    pub(super) fn new(db: TestDatabase) -> Self {
        let clock = Arc::new(ManualClock::new(now()));
        let audit = Arc::new(FakeAudit::default());
        let errors = ErrorTrackingService::new(
            db.database(),
            clock.clone(),
            Arc::new(FakeGate),
            Arc::new(FakeScrubber),
            audit.clone(),
        );
        let search = SearchService::new(db.database(), clock.clone(), Arc::new(FakeScrubber), audit.clone());
        let bus = Arc::new(InProcessBus::default());
        let notices = Arc::new(FakeNotices::default());
        let errors = errors.with_bus(bus.clone()).with_notifier(notices.clone());
        let jobs = JobQueue::new(db.database(), clock.clone(), bus.clone());
        let triage = errors.triage(Arc::new(FakeMembers), jobs);
        Self { db, clock, audit, errors, search, triage, bus, notices }
    }

    /// The same database as a process finds it that has just started.
    pub(super) fn restarted(self) -> Self {
        Self::new(self.db)
    }

    /// Prepares and stores deliveries of one kind, as the intake does.
    pub(super) async fn take_in(
        &self,
        kind: &str,
        deliveries: Vec<Delivery>,
    ) -> Result<(Stored, Vec<Rejected>), HandlerError> {
        let handlers = self.errors.intake_handlers();
        let handler = handlers.iter().find(|handler| handler.kind() == kind).unwrap();
        let prepared = handler.prepare(deliveries).await?;
        let stored = self.db.write(async |tx| prepared.batch.store(tx).await).await?;
        Ok((stored, prepared.rejected))
    }

    pub(super) async fn take_in_envelopes(&self, bodies: &[String]) -> (Stored, Vec<Rejected>) {
        let deliveries = bodies.iter().map(|body| delivery("sentry.envelope", body.as_bytes())).collect();
        self.take_in("sentry.envelope", deliveries).await.unwrap()
    }
}

pub(super) fn delivery(kind: &str, body: &[u8]) -> Delivery {
    Delivery {
        kind: kind.to_owned(),
        project: PROJECT,
        key: Id::from_bytes([7; 16]),
        received_at: now(),
        encoding: None,
        remote_ip: Some("198.51.100.7".to_owned()),
        user_agent: None,
        assigned_id: None,
        body: Bytes::copy_from_slice(body),
    }
}

/// An envelope with one event in it.
pub(super) fn envelope(event: &Value) -> String {
    format!("{{}}\n{{\"type\":\"event\"}}\n{event}")
}

/// The id that consists of this number.
pub(super) fn event_id(number: u32) -> String {
    format!("{number:032x}")
}

/// The stored tallies as plain tuples, sorted.
pub(super) fn tallies(stored: &Stored) -> Vec<(&str, &str, &str, u64)> {
    let mut plain: Vec<_> = stored
        .tallies
        .iter()
        .map(|tally| (tally.item.as_str(), tally.outcome.as_str(), tally.reason, tally.quantity))
        .collect();
    plain.sort_unstable();
    plain
}
