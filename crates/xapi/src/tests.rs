//! The store through its trait, on both databases.

mod documents;
mod people;
mod statements;

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use belvedere_event_store::{Embedded, EventStore, Limits as StoreLimits, Select};
use belvedere_kernel::{AuditSink, Entry, ManualClock, ProjectId, SubjectId, Tasks};
use belvedere_privacy::{MasterKey, PrivacyService, VaultService};
use belvedere_storage::testing::TestDatabase;
use belvedere_storage::{Id, StorageError, Timestamp, Tx};

use crate::json::Json;
use crate::statement::Ifi;
use crate::*;

const HOME: &str = "https://belvedere.example";

/// 2026-11-28T12:00:00Z
const START: Timestamp = Timestamp::from_micros(1_795_867_200_000_000);

#[derive(Default)]
struct Entries(Mutex<Vec<Entry>>);

#[async_trait]
impl AuditSink for Entries {
    async fn record(&self, _: &Tx, entry: Entry) -> Result<(), StorageError> {
        self.0.lock().unwrap().push(entry);
        Ok(())
    }
}

struct World {
    db: TestDatabase,
    service: Arc<XapiService>,
    events: Embedded,
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

impl World {
    fn new(db: TestDatabase) -> Self {
        let clock = Arc::new(ManualClock::new(START));
        let entries = Arc::new(Entries::default());
        let master_key = MasterKey::from_bytes([9; 32]);
        let privacy =
            Arc::new(PrivacyService::new(db.database(), clock.clone(), &master_key, entries.clone()));
        let name = crate::value::uuid_text(&crate::value::random_uuid());
        let directory = std::env::temp_dir().join(format!("belvedere-xapi-{name}"));
        let events = Embedded::new(db.database(), directory.clone(), clock.clone(), StoreLimits::default());
        let service = Arc::new(XapiService::new(XapiParts {
            db: db.database(),
            clock: clock.clone(),
            gate: privacy.clone(),
            register: privacy,
            vault: Arc::new(VaultService::new(db.database(), clock.clone(), &master_key)),
            audit: entries.clone(),
            events: Some(Arc::new(events.clone())),
            limits: Limits { page_max: 100, ..Limits::default() },
            home_page: HOME.to_owned(),
            secret: [3; 32],
        }));
        let tasks = Tasks::default();
        tasks.spawn("writer", Arc::clone(&service).run(tasks.clone()));
        Self { db, service, events, entries, clock, directory, tasks }
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
