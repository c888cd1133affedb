//! The slice through its traits, on both databases, with a receiver on a real socket.

mod change;
mod send;

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use axum::Router;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use belvedere_jobs::{JobQueue, JobRunner, JobRunnerConfig};
use belvedere_kernel::{
    Actor, AuditSink, Clock as _, Entry, InProcessBus, KeyOwner, ManualClock, Notice, NoticeKind,
    Notifier as _, ProjectId, SubjectId, Tasks, Vault, VaultError,
};
use belvedere_storage::testing::TestDatabase;
use belvedere_storage::{Id, PageRequest, StorageError, Timestamp, Tx, query_sql};
use http::{HeaderMap, StatusCode};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::*;

/// 2026-11-29T12:00:00Z
const START: Timestamp = Timestamp::from_micros(1_795_953_600_000_000);
const PROJECT: ProjectId = ProjectId(7);
const MILESTONE: NoticeKind = NoticeKind::MilestoneReached;

/// Seals by turning bits over.
struct Turned;

#[async_trait]
impl Vault for Turned {
    async fn seal_in(&self, _: &Tx, owner: KeyOwner, plain: &[u8]) -> Result<Vec<u8>, VaultError> {
        assert_eq!(owner, KeyOwner::System);
        Ok(plain.iter().map(|byte| !byte).collect())
    }

    async fn open(&self, _: KeyOwner, sealed: &[u8]) -> Result<Vec<u8>, VaultError> {
        Ok(sealed.iter().map(|byte| !byte).collect())
    }
}

#[derive(Default)]
struct Entries(Mutex<Vec<Entry>>);

#[async_trait]
impl AuditSink for Entries {
    async fn record(&self, _: &Tx, entry: Entry) -> Result<(), StorageError> {
        self.0.lock().unwrap().push(entry);
        Ok(())
    }
}

/// A request that the receiver got.
#[derive(Debug, Clone)]
struct Received {
    path: String,
    headers: HeaderMap,
    body: String,
}

impl Received {
    fn header(&self, name: &str) -> &str {
        self.headers[name].to_str().unwrap()
    }

    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }
}

/// What the receiver got, what it answers next, 200 in the end, and how many it had in hand at one time.
#[derive(Default)]
struct Desk {
    received: Vec<Received>,
    answers: VecDeque<Response>,
    in_hand: usize,
    in_hand_max: usize,
}

type Receiver = Arc<Mutex<Desk>>;

async fn receive(State(desk): State<Receiver>, request: Request) -> Response {
    {
        let mut desk = desk.lock().unwrap();
        desk.in_hand += 1;
        desk.in_hand_max = desk.in_hand_max.max(desk.in_hand);
    }
    let (parts, body) = request.into_parts();
    let body = axum::body::to_bytes(body, 1 << 20).await.unwrap();
    // Long enough for others to come in.
    tokio::time::sleep(Duration::from_millis(20)).await;
    let mut desk = desk.lock().unwrap();
    desk.in_hand -= 1;
    desk.received.push(Received {
        path: parts.uri.path().to_owned(),
        headers: parts.headers,
        body: String::from_utf8(body.to_vec()).unwrap(),
    });
    desk.answers.pop_front().unwrap_or_else(|| "thanks".into_response())
}

struct World {
    db: TestDatabase,
    clock: Arc<ManualClock>,
    entries: Arc<Entries>,
    jobs: JobQueue,
    alerting: AlertingService,
    receiver: Receiver,
    address: SocketAddr,
    tasks: Tasks,
}

impl Drop for World {
    fn drop(&mut self) {
        self.tasks.stop();
    }
}

impl World {
    async fn new(db: TestDatabase) -> Self {
        let clock = Arc::new(ManualClock::new(START));
        let entries = Arc::new(Entries::default());
        let jobs = JobQueue::new(db.database(), clock.clone(), Arc::new(InProcessBus::default()));
        let (receiver, tasks) = (Receiver::default(), Tasks::default());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = Router::new().fallback(receive).with_state(receiver.clone());
        tasks.spawn("receiver", async move { axum::serve(listener, router).await.unwrap() });
        let alerting = AlertingService::new(AlertingParts {
            db: db.database(),
            clock: clock.clone(),
            vault: Arc::new(Turned),
            audit: entries.clone(),
            jobs: jobs.clone(),
            private_targets: true,
        });
        Self { db, clock, entries, jobs, alerting, receiver, address, tasks }
    }

    /// The same, but to the public network only.
    fn cautious(&self) -> AlertingService {
        let parts = self.alerting.core.parts.clone();
        AlertingService::new(AlertingParts { private_targets: false, ..parts })
    }

    fn url(&self) -> String {
        format!("http://{}/hook", self.address)
    }

    async fn endpoint(&self) -> (EndpointId, SigningSecret) {
        let new = NewEndpoint { url: self.url(), kinds: vec![MILESTONE] };
        let (endpoint, secret) = self.alerting.create_endpoint(PROJECT, new, &by()).await.unwrap();
        (endpoint.id, secret)
    }

    async fn notify(&self, notices: &[Notice]) {
        self.db
            .write::<_, StorageError, _>(async |tx| self.alerting.notify_in(tx, PROJECT, notices).await)
            .await
            .unwrap();
    }

    /// Does all jobs that are due.
    async fn work(&self) {
        self.work_as(&self.alerting).await;
    }

    async fn work_as(&self, alerting: &AlertingService) {
        let config = JobRunnerConfig { poll: Duration::from_millis(10), ..JobRunnerConfig::default() };
        let mut runner = JobRunner::new(self.jobs.clone(), config);
        runner.register(DELIVERY_JOB, alerting.delivery_handler());
        let tasks = Tasks::default();
        tasks.spawn("jobs", runner.run(tasks.clone()));
        let sql =
            "SELECT 1 FROM jobs_job WHERE dead_at IS NULL AND (run_at <= $1 OR claimed_until > $1) LIMIT 1";
        while !query_sql(self.db.read(), sql, [self.clock.now().into()]).await.unwrap().is_empty() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        tasks.stop();
        tasks.ended().await;
    }

    fn pass(&self, seconds: u64) {
        self.clock.advance(Duration::from_secs(seconds));
    }

    fn answer_next(&self, answer: impl IntoResponse) {
        self.receiver.lock().unwrap().answers.push_back(answer.into_response());
    }

    fn received(&self) -> Vec<Received> {
        self.receiver.lock().unwrap().received.clone()
    }

    async fn deliveries(&self, endpoint: EndpointId) -> Vec<Delivery> {
        self.alerting.list_deliveries(PROJECT, endpoint, PageRequest::first(200)).await.unwrap().items
    }

    fn actions(&self) -> Vec<&'static str> {
        self.entries.0.lock().unwrap().iter().map(|entry| entry.action).collect()
    }
}

fn by() -> ChangedBy {
    ChangedBy { actor: Actor::User(Id::from_bytes([3; 16])), request_id: Some("01REQUEST".to_owned()) }
}

fn notice(key: &str, subject: i64) -> Notice {
    let data = json!({ "subject": subject, "rule": "first_lesson" });
    Notice { kind: MILESTONE, key: key.to_owned(), subject: Some(SubjectId(subject)), data }
}
