//! The store through its trait, on both databases.

mod documents;
mod learners;
mod people;
mod statements;

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use belvedere_event_store::{Embedded, EventStore, Limits as StoreLimits, Select};
use belvedere_jobs::JobQueue;
use belvedere_kernel::{AuditSink, Entry, InProcessBus, ManualClock, ProjectId, SubjectId, Tasks};
use belvedere_learning_analytics::{LearningParts, LearningService};
use belvedere_privacy::{MasterKey, PrivacyService, VaultService};
use belvedere_storage::testing::TestDatabase;
use belvedere_storage::{Id, StorageError, Timestamp, Tx, execute_sql};

use crate::json::Json;
use crate::statement::Ifi;
use crate::*;

const HOME: &str = "https://belvedere.example";

/// 2026-11-28T12:00:00Z
const START: Timestamp = Timestamp::from_micros(1_795_867_200_000_000);

/// Acts in memory; each waits for the others of the installation as in the real log.
#[derive(Default)]
struct Entries(Mutex<Vec<Entry>>);

#[async_trait]
impl AuditSink for Entries {
    async fn record(&self, tx: &Tx, entry: Entry) -> Result<(), StorageError> {
        let sql = "INSERT INTO audit_head (id, entries) VALUES (1, 1) \
                   ON CONFLICT (id) DO UPDATE SET entries = audit_head.entries + 1";
        execute_sql(tx, sql, []).await?;
        self.0.lock().unwrap().push(entry);
        Ok(())
    }
}

struct World {
    db: TestDatabase,
    service: Arc<XapiService>,
    events: Embedded,
    learning: LearningService,
    privacy: Arc<PrivacyService>,
    entries: Arc<Entries>,
    clock: Arc<ManualClock>,
    directory: std::path::PathBuf,
    tasks: Tasks,
}

impl Drop for World {
    fn drop(&mut self) {
        self.tasks.stop();
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

/// The services of one process.
struct Process {
    service: Arc<XapiService>,
    events: Embedded,
    learning: LearningService,
    privacy: Arc<PrivacyService>,
}

impl World {
    fn new(db: TestDatabase) -> Self {
        Self::of(db, false)
    }

    fn of(db: TestDatabase, has_learning: bool) -> Self {
        let clock = Arc::new(ManualClock::new(START));
        let entries = Arc::new(Entries::default());
        let name = crate::value::uuid_text(&crate::value::random_uuid());
        let directory = std::env::temp_dir().join(format!("belvedere-xapi-{name}"));
        let tasks = Tasks::default();
        let all = (&clock, &entries, directory.as_path(), &tasks);
        let Process { service, events, learning, privacy } = Process::start(&db, all, has_learning);
        Self { db, service, events, learning, privacy, entries, clock, directory, tasks }
    }

    async fn store(&self, body: &str) -> Result<StoredStatements, XapiError> {
        self.store_by(client(1), body).await
    }

    async fn store_by(&self, client: Client, body: &str) -> Result<StoredStatements, XapiError> {
        let body = Json::parse(body.as_bytes(), 32).unwrap();
        let store =
            StoreStatements { client, version: Version::Two, body, id: None, files: Default::default() };
        self.service.store_statements(store).await
    }

    async fn list(&self, query: StatementQuery) -> Vec<Json> {
        let found = self.service.list_statements(&reader(), query).await.unwrap();
        found.statements.iter().map(|text| Json::parse(text.as_bytes(), 64).unwrap()).collect()
    }

    /// The last digits of the ids of what is found.
    async fn ids(&self, query: StatementQuery) -> Vec<u8> {
        let found = self.list(query).await;
        found.iter().map(|it| crate::value::uuid(it.text_of("id").unwrap()).unwrap()[15]).collect()
    }

    async fn find(&self, number: u8, is_voided: bool) -> Option<Json> {
        let one = OneStatement { id: id(number), is_voided, format: Default::default(), attachments: false };
        let found = self.service.find_statement(&reader(), one).await.unwrap()?;
        Some(Json::parse(found.statements[0].as_bytes(), 64).unwrap())
    }

    async fn event_names(&self) -> Vec<String> {
        let batches = self.events.load(Select::all(ProjectId(1))).await.unwrap();
        let mut names = Vec::new();
        for batch in batches {
            for row in 0..batch.count {
                names.push(batch.name(row).to_owned());
            }
        }
        names.sort();
        names
    }
}

impl Process {
    fn start(
        db: &TestDatabase,
        (clock, entries, directory, tasks): (&Arc<ManualClock>, &Arc<Entries>, &std::path::Path, &Tasks),
        has_learning: bool,
    ) -> Self {
        let master_key = MasterKey::from_bytes([9; 32]);
        let privacy =
            Arc::new(PrivacyService::new(db.database(), clock.clone(), &master_key, entries.clone()));
        let events = Embedded::new(db.database(), directory, clock.clone(), StoreLimits::default());
        let bus = Arc::new(InProcessBus::default());
        let learning = LearningService::new(LearningParts {
            db: db.database(),
            clock: clock.clone(),
            gate: privacy.clone(),
            scrubber: privacy.clone(),
            audit: entries.clone(),
            events: Arc::new(events.clone()),
            bus: bus.clone(),
            notifier: None,
            zones: None,
            places: None,
        });
        let service = Arc::new(XapiService::new(XapiParts {
            db: db.database(),
            clock: clock.clone(),
            gate: privacy.clone(),
            register: privacy.clone(),
            vault: Arc::new(VaultService::new(db.database(), clock.clone(), &master_key)),
            audit: entries.clone(),
            events: Some(Arc::new(events.clone())),
            learners: has_learning.then(|| Arc::new(learning.clone()) as _),
            jobs: Some(JobQueue::new(db.database(), clock.clone(), bus)),
            limits: Limits { page_max: 100, ..Limits::default() },
            home_page: HOME.to_owned(),
            secret: [3; 32],
        }));
        tasks.spawn("writer", Arc::clone(&service).run(tasks.clone()));
        Self { service, events, learning, privacy }
    }
}

fn client(key: u8) -> Client {
    Client {
        project: ProjectId(1),
        organisation: Id::from_bytes([1; 16]),
        key: Id::from_bytes([key; 16]),
        name: format!("key {key}"),
        request_id: Some("request".to_owned()),
    }
}

fn reader() -> Reader {
    Reader { client: client(1), only_mine: false, languages: String::new() }
}

fn id(number: u8) -> [u8; 16] {
    let mut id = [0x40; 16];
    id[15] = number;
    id
}

fn id_text(number: u8) -> String {
    crate::value::uuid_text(&id(number))
}

fn mailbox(name: &str) -> Ifi {
    Ifi::Mailbox(format!("mailto:{name}@example.org"))
}

/// A statement of `actor`, `verb` and an activity.
fn statement(number: u8, actor: &str, verb: &str, activity: &str) -> String {
    format!(
        r#"{{"id":"{}","actor":{{"name":"{actor} Name","mbox":"mailto:{actor}@example.org"}},"verb":{{"id":"http://v/{verb}"}},"object":{{"id":"http://a/{activity}"}}}}"#,
        id_text(number)
    )
}

/// A statement about another one.
fn about(number: u8, actor: &str, verb: &str, target: u8) -> String {
    format!(
        r#"{{"id":"{}","actor":{{"mbox":"mailto:{actor}@example.org"}},"verb":{{"id":"{verb}"}},"object":{{"objectType":"StatementRef","id":"{}"}}}}"#,
        id_text(number),
        id_text(target)
    )
}

fn subject(number: i64) -> SubjectId {
    SubjectId(number)
}
