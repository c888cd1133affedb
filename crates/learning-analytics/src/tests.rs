//! The slice through its traits, on both databases.

mod at_risk;
mod comparison;
mod intake;
mod now;
mod order;
mod reads;
mod tracker;
mod tutor;

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use belvedere_event_store::{Embedded, Limits as StoreLimits};
use belvedere_kernel::{
    Actor, Admitted, AuditSink, ConsentGate, Entry, InProcessBus, LiveBus, LiveMessage, ManualClock, Notice,
    Notifier, Place, Places, ProjectId, RawPerson, Removal, ScrubRules, Scrubber, SubjectId,
};
use belvedere_storage::testing::TestDatabase;
use belvedere_storage::{Id, StorageError, Timestamp, Tx};
use serde_json::Value;
use tokio::sync::broadcast::Receiver;

use crate::event::{EventType, LearningEvent, Metadata};
use crate::*;

/// 2026-11-28T12:00:00Z
pub(crate) const START: Timestamp = Timestamp::from_micros(1_795_867_200_000_000);
pub(crate) const PROJECT: ProjectId = ProjectId(1);

/// `u7` is the subject 7; whose name begins with `x` consents to nothing and is 1,000 and more.
struct Gate;

#[async_trait]
impl ConsentGate for Gate {
    async fn admit(&self, _: &Tx, people: &[RawPerson]) -> Result<Vec<Admitted>, StorageError> {
        let admitted = people.iter().map(|person| {
            let id = person.identity.id.as_deref().unwrap();
            let (kind, number) = id.split_at(1);
            let number: i64 = number.parse().unwrap();
            let yes = kind == "u";
            let subject = Some(SubjectId(if yes { number } else { 1_000 + number }));
            Admitted { subject, analytics: yes, detailed: yes, location: yes }
        });
        Ok(admitted.collect())
    }
}

/// Takes out what somebody calls a secret.
struct NoSecrets;

#[async_trait]
impl Scrubber for NoSecrets {
    async fn load(&self, _: &[ProjectId]) -> Result<Arc<dyn ScrubRules>, StorageError> {
        Ok(Arc::new(Self))
    }
}

impl ScrubRules for NoSecrets {
    fn scrub(&self, _: ProjectId, value: &mut Value) -> Vec<Removal> {
        let code = value.get_mut("code_submitted");
        if let Some(code) = code.filter(|code| code.as_str().is_some_and(|code| code.contains("secret"))) {
            *code = "[removed]".into();
        }
        Vec::new()
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

/// Keeps what others are to be told.
#[derive(Default)]
pub(crate) struct Notices(Mutex<Vec<Notice>>);

#[async_trait]
impl Notifier for Notices {
    async fn notify_in(&self, _: &Tx, _: ProjectId, notices: &[Notice]) -> Result<(), StorageError> {
        self.0.lock().unwrap().extend_from_slice(notices);
        Ok(())
    }
}

/// Every address is there.
struct Tyrol;

impl Places for Tyrol {
    fn find(&self, _: IpAddr) -> Option<Place> {
        Some(Place { country: "AT".to_owned(), region: Some("Tyrol".to_owned()) })
    }
}

pub(crate) struct World {
    pub(crate) db: TestDatabase,
    pub(crate) service: LearningService,
    pub(crate) events: Embedded,
    pub(crate) entries: Arc<Entries>,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) notices: Arc<Notices>,
    messages: Mutex<Receiver<LiveMessage>>,
    directory: PathBuf,
}

impl Drop for World {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

impl World {
    pub(crate) fn new(db: TestDatabase) -> Self {
        let clock = Arc::new(ManualClock::new(START));
        let entries = Arc::new(Entries::default());
        let name = Id::<()>::generate(START).to_string();
        let directory = std::env::temp_dir().join(format!("belvedere-learning-{name}"));
        let events = Embedded::new(db.database(), directory.clone(), clock.clone(), StoreLimits::default());
        let bus = Arc::new(InProcessBus::default());
        let messages = Mutex::new(bus.subscribe());
        let notices = Arc::new(Notices::default());
        let service = LearningService::new(LearningParts {
            db: db.database(),
            clock: clock.clone(),
            gate: Arc::new(Gate),
            scrubber: Arc::new(NoSecrets),
            audit: entries.clone(),
            events: Arc::new(events.clone()),
            bus,
            notifier: Some(notices.clone()),
            zones: None,
            places: Some(Arc::new(Tyrol)),
        });
        Self { db, service, events, entries, clock, notices, messages, directory }
    }

    pub(crate) async fn record(&self, events: &[LearningEvent]) -> u64 {
        self.service.record_events(PROJECT, events.to_vec()).await.unwrap()
    }

    /// Live messages of a topic since the last look.
    pub(crate) fn told(&self) -> Vec<(String, Value)> {
        let mut messages = self.messages.lock().unwrap();
        let mut told = Vec::new();
        while let Ok(message) = messages.try_recv() {
            told.push((message.topic, message.data));
        }
        told
    }

    /// What others were to be told since the last look.
    pub(crate) fn notices(&self) -> Vec<Notice> {
        std::mem::take(&mut self.notices.0.lock().unwrap())
    }

    pub(crate) fn by(&self) -> ChangedBy {
        ChangedBy { actor: Actor::User(Id::from_bytes([3; 16])), request_id: None }
    }
}

/// An event at a minute after the start of the day before.
pub(crate) fn event(kind: EventType, user: u32, minute: u64) -> LearningEvent {
    let at = START.minus(std::time::Duration::from_secs(86_400 - minute * 60));
    LearningEvent {
        id: format!("{}-{user}-{minute}", kind.as_str()),
        ..LearningEvent::new(kind, &format!("u{user}"), "rust", at)
    }
}

pub(crate) fn in_lesson(kind: EventType, user: u32, minute: u64, lesson: &str) -> LearningEvent {
    LearningEvent { lesson_id: Some(lesson.to_owned()), ..event(kind, user, minute) }
}

pub(crate) fn attempt(user: u32, minute: u64, exercise: &str, success: bool) -> LearningEvent {
    LearningEvent {
        exercise_id: Some(exercise.to_owned()),
        skills: vec!["loops".to_owned()],
        metadata: Metadata { success: Some(success), duration: Some(30.0), ..Metadata::default() },
        ..event(EventType::ExerciseAttempt, user, minute)
    }
}
