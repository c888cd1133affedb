use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use belvedere_kernel::{
    Actor, AuditSink, Delivery, Entry, HandlerError, InProcessBus, IntakeHandler, ItemOutcome, KeyOwner,
    LiveMessage, ManualClock, Prepared, PreparedBatch, ProjectId, Rejected, Stored, Tally, Tasks, Vault,
    VaultError,
};
use belvedere_storage::spool::{Spool, SpoolConfig, SpoolError};
use belvedere_storage::testing::TestDatabase;
use belvedere_storage::{Id, PageRequest, StorageError, Timestamp, Tx};
use bytes::Bytes;
use sea_orm::{ConnectionTrait, DbErr, RuntimeErr, Statement};
use serde_json::json;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::set_aside::{NewSetAside, set_aside_in};
use crate::{
    Intake, IntakeConfig, IntakeError, IntakeLog, IntakeLogService, IntakeParts, IntakeRunner, IntakeStats,
    Outcome, Requester, SetAside, Shipper, store,
};

belvedere_storage::database_tests!(
    accepted_deliveries_are_stored_once_counted_and_announced,
    every_failing_statement_leaves_each_delivery_stored_once,
    killed_again_and_again_each_delivery_is_stored_once,
    delivery_at_fault_is_set_aside_and_the_rest_stored,
    panic_and_rejection_and_unknown_kind_are_set_aside,
    bytes_that_are_no_delivery_are_set_aside_without_a_project,
    database_that_is_away_delays_and_loses_nothing,
    conflict_with_another_writer_is_tried_again_before_the_batch_is_split,
    batch_consumed_by_another_process_is_not_stored_again,
    shipped_batches_are_shared_by_workers_exactly_once,
    batch_of_a_vanished_worker_is_taken_over_where_it_stood,
    delivery_set_aside_is_replayed_once_and_discarded,
    set_aside_of_another_project_is_not_found,
    oldest_delivery_makes_room_beyond_the_limit,
    notes_are_counted_exactly_and_survive_a_failing_flush,
    too_many_different_items_are_counted_as_other,
    old_counts_and_deliveries_set_aside_are_swept,
);

const NOON: &str = "2026-11-23T12:00:00Z";

/// Not a cipher: it only shows that what is stored was sealed.
struct FlippingVault;

#[async_trait]
impl Vault for FlippingVault {
    async fn seal_in(&self, _: &Tx, owner: KeyOwner, plain: &[u8]) -> Result<Vec<u8>, VaultError> {
        assert_eq!(owner, KeyOwner::System);
        Ok(plain.iter().map(|byte| !byte).collect())
    }

    async fn open(&self, _: KeyOwner, sealed: &[u8]) -> Result<Vec<u8>, VaultError> {
        Ok(sealed.iter().map(|byte| !byte).collect())
    }
}

#[derive(Default, Clone)]
struct RecordingAudit(Arc<Mutex<Vec<Entry>>>);

#[async_trait]
impl AuditSink for RecordingAudit {
    async fn record(&self, tx: &Tx, entry: Entry) -> Result<(), StorageError> {
        let entries = Arc::clone(&self.0);
        tx.after_commit(move || entries.lock().unwrap().push(entry));
        Ok(())
    }
}

/// Stores numbers in the table `seen`, and misbehaves as the body says: `<what>:<number>`.
#[derive(Default)]
struct Numbers {
    /// Deliveries that say `away` or `conflict` fail while this is above zero.
    failures_left: Arc<AtomicU32>,
    /// Whether deliveries that say `bad` are good by now.
    is_mended: Arc<AtomicBool>,
    /// Runs before each preparation.
    hook: Mutex<Option<Hook>>,
    /// How many deliveries each preparation was given.
    prepared: Mutex<Vec<usize>>,
}

type Hook = Box<dyn FnOnce() -> std::pin::Pin<Box<dyn Future<Output = ()> + Send>> + Send>;

struct NumbersBatch {
    bodies: Vec<(ProjectId, String)>,
    failures_left: Arc<AtomicU32>,
    is_mended: Arc<AtomicBool>,
}

#[async_trait]
impl IntakeHandler for Numbers {
    fn kind(&self) -> &'static str {
        "numbers"
    }

    async fn prepare(&self, deliveries: Vec<Delivery>) -> Result<Prepared, HandlerError> {
        let hook = self.hook.lock().unwrap().take();
        if let Some(hook) = hook {
            hook().await;
        }
        self.prepared.lock().unwrap().push(deliveries.len());
        let mut bodies = Vec::new();
        let mut rejected = Vec::new();
        for (index, delivery) in deliveries.iter().enumerate() {
            let body = String::from_utf8(delivery.body.to_vec()).unwrap();
            match body.split(':').next() {
                Some("panic") => panic!("unforeseen"),
                Some("internal") => return Err(HandlerError::Internal("a table is missing".to_owned())),
                Some("reject") => {
                    rejected.push(Rejected { index, reason: "line 3 is not a header\0".to_owned() })
                }
                _ => bodies.push((delivery.project, body)),
            }
        }
        let (failures_left, is_mended) = (Arc::clone(&self.failures_left), Arc::clone(&self.is_mended));
        Ok(Prepared { batch: Box::new(NumbersBatch { bodies, failures_left, is_mended }), rejected })
    }
}

impl NumbersBatch {
    fn fails(&self) -> bool {
        self.failures_left.try_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok()
    }
}

#[async_trait]
impl PreparedBatch for NumbersBatch {
    async fn store(&self, tx: &Tx) -> Result<Stored, HandlerError> {
        let mut stored = Stored::default();
        for (project, body) in &self.bodies {
            let (what, number) = body.split_once(':').unwrap();
            match what {
                "bad" if !self.is_mended.load(Ordering::SeqCst) => {
                    tx.execute_unprepared("INSERT INTO no_such_table VALUES (1)")
                        .await
                        .map_err(StorageError::from)?;
                }
                "away" if self.fails() => {
                    let lost = DbErr::Conn(RuntimeErr::Internal("connection lost".to_owned()));
                    return Err(StorageError::Unavailable(lost).into());
                }
                "conflict" if self.fails() => {
                    let taken = DbErr::Exec(RuntimeErr::Internal("taken".to_owned()));
                    return Err(StorageError::Conflict(taken).into());
                }
                "stumble" => panic!("unforeseen with {number}"),
                _ => {}
            }
            let number: i64 = number.parse().unwrap();
            let insert = Statement::from_sql_and_values(
                tx.get_database_backend(),
                "INSERT INTO seen (project_id, n) VALUES ($1, $2)",
                [project.0.into(), number.into()],
            );
            tx.execute_raw(insert).await.map_err(StorageError::from)?;
            let item = "number".to_owned();
            stored.tallies.push(Tally {
                project: *project,
                item,
                outcome: ItemOutcome::Stored,
                reason: "",
                quantity: 1,
            });
            stored.messages.push(LiveMessage {
                project: Some(*project),
                topic: "number".to_owned(),
                data: json!(number),
            });
        }
        Ok(stored)
    }
}

/// The same under another name.
struct Others(Arc<Numbers>);

#[async_trait]
impl IntakeHandler for Others {
    fn kind(&self) -> &'static str {
        "others"
    }

    async fn prepare(&self, deliveries: Vec<Delivery>) -> Result<Prepared, HandlerError> {
        self.0.prepare(deliveries).await
    }
}

/// An installation with a spool directory and a table for results.
struct House {
    parts: IntakeParts,
    clock: Arc<ManualClock>,
    handler: Arc<Numbers>,
    directory: PathBuf,
    config: IntakeConfig,
}

impl House {
    async fn new(db: &TestDatabase) -> Self {
        let clock = Arc::new(ManualClock::new(NOON.parse().unwrap()));
        let parts = IntakeParts {
            db: db.database(),
            clock: clock.clone(),
            bus: Arc::new(InProcessBus::default()),
            vault: Arc::new(FlippingVault),
            stats: Arc::default(),
        };
        let create = async |tx: &Tx| {
            tx.execute_unprepared("CREATE TABLE seen (project_id BIGINT NOT NULL, n BIGINT NOT NULL)")
                .await?;
            Ok(())
        };
        parts.db.write::<_, StorageError, _>(create).await.unwrap();
        let name: Id<()> = Id::generate(Timestamp::EPOCH);
        let directory = std::env::temp_dir().join(format!("belvedere-intake-{name}"));
        let config = IntakeConfig {
            backoff_min: Duration::from_millis(1),
            backoff_max: Duration::from_millis(20),
            poll: Duration::from_millis(20),
            ..IntakeConfig::default()
        };
        Self { parts, clock, handler: Arc::default(), directory, config }
    }

    fn spool(&self, name: &str) -> Spool {
        Spool::open(SpoolConfig::new(self.directory.join(name))).unwrap()
    }

    /// Opens a spool as soon as a blocking call that the kill left behind has let go of it, as a dead process has at once.
    async fn spool_after_kill(&self, name: &str) -> Spool {
        for _ in 0..1_000 {
            match Spool::open(SpoolConfig::new(self.directory.join(name))) {
                Err(SpoolError::Locked { .. }) => tokio::time::sleep(Duration::from_millis(5)).await,
                opened => return opened.unwrap(),
            }
        }
        panic!("the spool stays locked");
    }

    fn door(&self, spool: &Spool) -> Intake {
        Intake::new(spool.clone(), self.parts.clone())
    }

    fn runner(&self) -> IntakeRunner {
        let handlers: Vec<Arc<dyn IntakeHandler>> =
            vec![self.handler.clone(), Arc::new(Others(self.handler.clone()))];
        IntakeRunner::new(self.parts.clone(), self.config.clone(), handlers)
    }

    fn start(&self, spool: &Spool) -> Tasks {
        let tasks = Tasks::default();
        self.runner().start(Some(spool.clone()), &tasks);
        tasks
    }

    fn log(&self) -> (IntakeLogService, RecordingAudit) {
        let audit = RecordingAudit::default();
        (IntakeLogService::new(self.parts.clone(), Arc::new(audit.clone())), audit)
    }

    /// The numbers stored, in order of storing, as far as the database knows one.
    async fn seen(&self) -> Vec<i64> {
        let db = self.parts.db.read();
        let select = Statement::from_string(db.get_database_backend(), "SELECT n FROM seen");
        let rows = db.query_all_raw(select).await.unwrap();
        rows.iter().map(|row| row.try_get("", "n").unwrap()).collect()
    }

    async fn seen_sorted(&self) -> Vec<i64> {
        let mut seen = self.seen().await;
        seen.sort_unstable();
        seen
    }

    /// Waits until `deliveries` have been digested by this process since its start.
    async fn digested(&self, deliveries: u64) {
        let wait = async {
            while self.parts.stats.snapshot().digested < deliveries {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        if timeout(Duration::from_secs(30), wait).await.is_err() {
            panic!("expected {deliveries} digested: {:?}", self.parts.stats.snapshot());
        }
    }

    /// All counts as `item outcome reason` with their quantities.
    async fn tallies(&self, project: i64) -> BTreeMap<String, u64> {
        let now = self.parts.clock.now();
        let (from, to) = (now.minus(Duration::from_secs(3_600)), now.plus(Duration::from_secs(3_600)));
        let tallies = self.log().0.list_tallies(ProjectId(project), from, to).await.unwrap();
        let name =
            |item: &str, outcome: Outcome, reason: &str| format!("{item} {} {reason}", outcome.as_str());
        tallies
            .iter()
            .map(|tally| (name(&tally.item, tally.outcome, &tally.reason), tally.quantity))
            .collect()
    }
}

impl Drop for House {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

fn counts<const N: usize>(counts: [(&str, u64); N]) -> BTreeMap<String, u64> {
    counts.map(|(name, quantity)| (name.to_owned(), quantity)).into()
}

fn delivery(kind: &str, body: &str) -> Delivery {
    Delivery {
        kind: kind.to_owned(),
        project: ProjectId(7),
        key: Id::from_bytes([1; 16]),
        received_at: NOON.parse().unwrap(),
        encoding: None,
        remote_ip: Some("192.0.2.7".to_owned()),
        user_agent: None,
        assigned_id: None,
        body: Bytes::copy_from_slice(body.as_bytes()),
    }
}

async fn accept(door: &Intake, bodies: impl IntoIterator<Item = String>) {
    for body in bodies {
        door.accept(delivery("numbers", &body)).await.unwrap();
    }
}

fn good(numbers: std::ops::Range<i64>) -> impl Iterator<Item = String> {
    numbers.map(|n| format!("good:{n}"))
}

async fn stop(tasks: Tasks) {
    tasks.stop();
    timeout(Duration::from_secs(10), tasks.ended()).await.expect("the runner ends");
}

fn requester() -> Requester {
    Requester { actor: Actor::System("test"), organisation: Some(Id::from_bytes([9; 16])), request_id: None }
}

async fn accepted_deliveries_are_stored_once_counted_and_announced(db: TestDatabase) {
    let house = House::new(&db).await;
    let spool = house.spool("a");
    let door = house.door(&spool);
    let mut messages = house.parts.bus.subscribe();
    accept(&door, good(0..100)).await;
    assert_eq!(door.depth().records, 100);
    door.accept(delivery("others", "good:100")).await.unwrap();
    house.clock.advance(Duration::from_secs(2));
    let tasks = house.start(&spool);
    house.digested(101).await;
    assert_eq!(house.seen_sorted().await, (0..101).collect::<Vec<_>>());
    assert_eq!(house.seen().await[..100], (0..100).collect::<Vec<_>>(), "each kind in order of acceptance");
    assert_eq!(house.tallies(7).await, counts([("number stored ", 101)]));
    for n in 0..101 {
        assert_eq!(messages.recv().await.unwrap().data, json!(n));
    }
    let stats = house.parts.stats.snapshot();
    assert_eq!((stats.accepted, stats.digested, stats.batches, stats.set_aside), (101, 101, 1, 0));
    assert_eq!((stats.lag, stats.is_stalled), (Duration::from_secs(2), false));
    accept(&door, good(101..103)).await;
    house.digested(103).await;
    stop(tasks).await;
    assert_eq!(door.depth().records, 0);
    assert_eq!(house.seen_sorted().await, (0..103).collect::<Vec<_>>());
    assert_eq!(house.tallies(7).await, counts([("number stored ", 103)]));
    door.close().await;
    assert!(matches!(door.accept(delivery("numbers", "good:1")).await, Err(IntakeError::Closed)));
}

async fn every_failing_statement_leaves_each_delivery_stored_once(db: TestDatabase) {
    let mut house = House::new(&db).await;
    house.config.batch_records_max = 4;
    let spool = house.spool("a");
    let door = house.door(&spool);
    let mut failures = 0;
    for n in 0_i64.. {
        // A new hour each time, so that the statements that only the first batch of an hour needs are among them.
        house.clock.advance(Duration::from_secs(3_600));
        let first = n * 6;
        accept(&door, good(first..first + 5)).await;
        door.accept(delivery("others", &format!("good:{}", first + 5))).await.unwrap();
        db.faults().fail_after(u32::try_from(n).unwrap());
        let tasks = house.start(&spool);
        house.digested(u64::try_from(first + 6).unwrap()).await;
        let is_unused = db.faults().take_unused();
        stop(tasks).await;
        assert_eq!(house.seen_sorted().await, (0..first + 6).collect::<Vec<_>>(), "statement {n}");
        assert_eq!(house.tallies(7).await.get("number stored "), Some(&6), "statement {n}");
        if is_unused {
            break;
        }
        failures += 1;
    }
    // Of four: position, four rows, names, counts, commit; of two of two kinds: position, two rows, counts, commit.
    assert_eq!(failures, 8 + 5);
    assert_eq!(house.parts.stats.snapshot().set_aside, 0);
}

async fn killed_again_and_again_each_delivery_is_stored_once(db: TestDatabase) {
    let mut house = House::new(&db).await;
    house.config.batch_records_max = 7;
    let mut accepted = 0;
    for round in 0..25_u64 {
        let spool = house.spool_after_kill("a").await;
        let door = house.door(&spool);
        let mut process = JoinSet::new();
        process.spawn(Arc::new(house.runner()).run_spool(spool.clone(), Tasks::default()));
        accept(&door, good(accepted..accepted + 30)).await;
        accepted += 30;
        tokio::time::sleep(Duration::from_micros(round * 700)).await;
        process.shutdown().await; // wherever it is
    }
    let spool = house.spool_after_kill("a").await;
    let tasks = house.start(&spool);
    let empty = async {
        while spool.depth().records > 0 {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    timeout(Duration::from_secs(30), empty).await.expect("everything is consumed");
    stop(tasks).await;
    assert_eq!(house.seen_sorted().await, (0..750).collect::<Vec<_>>());
    assert_eq!(house.tallies(7).await, counts([("number stored ", 750)]));
}

async fn delivery_at_fault_is_set_aside_and_the_rest_stored(db: TestDatabase) {
    let house = House::new(&db).await;
    let spool = house.spool("a");
    let door = house.door(&spool);
    accept(&door, good(0..20)).await;
    accept(&door, ["bad:20".to_owned(), "bad:21".to_owned()]).await;
    accept(&door, good(22..40)).await;
    let tasks = house.start(&spool);
    house.digested(40).await;
    stop(tasks).await;
    assert_eq!(house.seen_sorted().await, (0..20).chain(22..40).collect::<Vec<_>>());
    assert_eq!(house.tallies(7).await, counts([("number stored ", 38), ("numbers set_aside failed", 2)]));

    let (log, _) = house.log();
    assert_eq!(log.count_set_aside(ProjectId(7)).await.unwrap(), 2);
    let first = log.list_set_aside(ProjectId(7), PageRequest::first(1)).await.unwrap();
    let second = log.list_set_aside(ProjectId(7), PageRequest::new(1, first.next.clone())).await.unwrap();
    assert_eq!((first.items.len(), second.items.len(), &second.next), (1, 1, &None));
    let aside = &first.items[0];
    assert_ne!(aside.id, second.items[0].id);
    assert_eq!((aside.kind.as_str(), aside.tries, aside.project), ("numbers", 3, ProjectId(7)));
    assert_eq!(aside.reason, "database refused the statement");
    assert_eq!(aside.received_at.to_string(), NOON);
    assert_eq!(log.find_set_aside(ProjectId(7), aside.id).await.unwrap().as_ref(), Some(aside));
    assert_eq!(aside.size_bytes, delivery("numbers", "bad:20").encode().unwrap().len() as u64);
    let sealed = store::find_sealed(house.parts.db.read(), ProjectId(7), aside.id).await.unwrap().unwrap();
    let address: &[u8] = b"192.0.2.7";
    assert!(!sealed.windows(address.len()).any(|window| window == address), "stored in the clear");
}

async fn panic_and_rejection_and_unknown_kind_are_set_aside(db: TestDatabase) {
    let house = House::new(&db).await;
    let spool = house.spool("a");
    let door = house.door(&spool);
    for body in ["good:1", "panic:2", "good:3", "reject:4", "stumble:5", "internal:6", "good:7"] {
        accept(&door, [body.to_owned()]).await;
    }
    door.accept(delivery("telepathy", "good:8")).await.unwrap();
    let tasks = house.start(&spool);
    house.digested(8).await;
    stop(tasks).await;
    assert_eq!(house.seen_sorted().await, [1, 3, 7]);
    let expected = counts([
        ("number stored ", 3),
        ("numbers set_aside failed", 3),
        ("numbers set_aside rejected", 1),
        ("telepathy set_aside no_handler", 1),
    ]);
    assert_eq!(house.tallies(7).await, expected);
    let page = house.log().0.list_set_aside(ProjectId(7), PageRequest::first(10)).await.unwrap();
    let mut reasons: Vec<(String, u32)> =
        page.items.into_iter().map(|aside| (aside.reason, aside.tries)).collect();
    reasons.sort();
    let expected = [
        ("intake handler failed: a table is missing", 3),
        ("line 3 is not a header\u{fffd}", 1),
        ("nothing here reads this kind of delivery", 1),
        ("the intake handler panicked in preparation", 3),
        ("the intake handler panicked in storing", 3),
    ];
    assert_eq!(reasons, expected.map(|(reason, tries)| (reason.to_owned(), tries)));
}

async fn bytes_that_are_no_delivery_are_set_aside_without_a_project(db: TestDatabase) {
    let house = House::new(&db).await;
    let spool = house.spool("a");
    spool.append(b"\x02\0\0\0{{".to_vec()).await.unwrap();
    accept(&house.door(&spool), good(1..2)).await;
    let tasks = house.start(&spool);
    house.digested(2).await;
    stop(tasks).await;
    assert_eq!(house.seen().await, [1]);
    assert_eq!(house.tallies(0).await, counts([("unknown set_aside undecodable", 1)]));
    let page = house.log().0.list_set_aside(ProjectId(0), PageRequest::first(10)).await.unwrap();
    assert_eq!((page.items.len(), page.items[0].kind.as_str(), page.items[0].size_bytes), (1, "unknown", 6));
    assert!(
        page.items[0].reason.starts_with("spooled delivery has an unreadable head: "),
        "{}",
        page.items[0].reason
    );
}

async fn database_that_is_away_delays_and_loses_nothing(db: TestDatabase) {
    let house = House::new(&db).await;
    let spool = house.spool("a");
    let door = house.door(&spool);
    house.handler.failures_left.store(u32::MAX, Ordering::SeqCst);
    accept(&door, ["good:0".to_owned(), "away:1".to_owned(), "good:2".to_owned()]).await;
    let tasks = house.start(&spool);
    let stalled = async {
        while !house.parts.stats.is_stalled() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    timeout(Duration::from_secs(10), stalled).await.expect("the stall shows");
    accept(&door, good(3..10)).await;
    assert_eq!(house.seen().await, Vec::<i64>::new());
    house.handler.failures_left.store(0, Ordering::SeqCst);
    house.digested(10).await;
    assert!(!house.parts.stats.is_stalled());
    assert!(house.parts.stats.snapshot().retries >= 3);
    stop(tasks).await;
    assert_eq!(house.seen_sorted().await, (0..10).collect::<Vec<_>>());
    assert_eq!(house.tallies(7).await, counts([("number stored ", 10)]));
}

async fn conflict_with_another_writer_is_tried_again_before_the_batch_is_split(db: TestDatabase) {
    let house = House::new(&db).await;
    let spool = house.spool("a");
    house.handler.failures_left.store(2, Ordering::SeqCst);
    accept(&house.door(&spool), ["good:0".to_owned(), "conflict:1".to_owned(), "good:2".to_owned()]).await;
    let tasks = house.start(&spool);
    house.digested(3).await;
    stop(tasks).await;
    assert_eq!(house.seen_sorted().await, [0, 1, 2]);
    assert_eq!(*house.handler.prepared.lock().unwrap(), [3, 3, 3]);
    assert_eq!(house.parts.stats.snapshot().batches, 1);
}

async fn batch_consumed_by_another_process_is_not_stored_again(db: TestDatabase) {
    let house = House::new(&db).await;
    let spool = house.spool("a");
    let door = house.door(&spool);
    accept(&door, good(0..3)).await;
    // Between taking and storing, another consumer commits the first two records.
    let (parts, id) = (house.parts.clone(), spool.id());
    let hook: Hook = Box::new(move || {
        Box::pin(async move {
            let work = async |tx: &Tx| store::move_position(tx, id, 0, 2, parts.clock.now()).await;
            assert!(parts.db.write::<_, StorageError, _>(work).await.unwrap());
        })
    });
    *house.handler.hook.lock().unwrap() = Some(hook);
    let tasks = house.start(&spool);
    house.digested(1).await;
    accept(&door, good(3..4)).await;
    house.digested(2).await;
    stop(tasks).await;
    assert_eq!(house.seen_sorted().await, [2, 3]);
    assert_eq!(house.tallies(7).await, counts([("number stored ", 2)]));
}

async fn shipped_batches_are_shared_by_workers_exactly_once(db: TestDatabase) {
    let mut house = House::new(&db).await;
    house.config.batch_records_max = 5;
    // Only messages wake the workers in time.
    house.config.poll = Duration::from_secs(60);
    let (one, other) = (house.spool("one"), house.spool("other"));
    let tasks = Tasks::default();
    for _ in 0..2 {
        house.runner().start(None, &tasks);
    }
    for spool in [&one, &other] {
        let shipper = Shipper::new(spool.clone(), house.parts.clone(), house.config.clone());
        tasks.spawn("shipper", shipper.run(tasks.clone()));
    }
    let (first, second) = (house.door(&one), house.door(&other));
    for n in 0..60 {
        accept(&first, good(n..n + 1)).await;
        accept(&second, good(100 + n..101 + n)).await;
    }
    accept(&first, ["bad:99".to_owned()]).await;
    house.digested(121).await;
    stop(tasks).await;
    assert_eq!(house.seen_sorted().await, (0..60).chain(100..160).collect::<Vec<_>>());
    assert_eq!(house.tallies(7).await, counts([("number stored ", 120), ("numbers set_aside failed", 1)]));
    let stats = house.parts.stats.snapshot();
    assert_eq!((stats.shipped, stats.digested, stats.set_aside), (121, 121, 1));
    assert_eq!(store::count_batches(house.parts.db.read(), 10).await.unwrap(), 0);
    assert_eq!((first.depth().records, second.depth().records), (0, 0));
}

async fn batch_of_a_vanished_worker_is_taken_over_where_it_stood(db: TestDatabase) {
    let house = House::new(&db).await;
    let records: Vec<Vec<u8>> =
        (0..4).map(|n| delivery("numbers", &format!("good:{n}")).encode().unwrap()).collect();
    let now = house.parts.clock.now();
    let vanished = async |tx: &Tx| {
        let packed = crate::source::pack(records.iter().map(Vec::as_slice));
        let sealed = house.parts.vault.seal_in(tx, KeyOwner::System, &packed).await.unwrap();
        store::insert_batch(tx, Id::from_bytes([1; 16]), [2; 16], 1, 4, sealed, now).await?;
        let until = now.plus(Duration::from_secs(60));
        let claim = Id::from_bytes([3; 16]);
        let batch = store::claim_batch(tx, claim, now, until).await?.unwrap();
        // It has stored the first record, and holds the claim.
        assert!(store::move_in_batch(tx, batch.id, claim, (0, 1), until).await?);
        Ok(())
    };
    house.parts.db.write::<_, StorageError, _>(vanished).await.unwrap();
    let tasks = Tasks::default();
    house.runner().start(None, &tasks);
    house.clock.advance(Duration::from_secs(59));
    tokio::time::sleep(Duration::from_millis(150)).await;
    assert_eq!(house.seen().await, Vec::<i64>::new());
    house.clock.advance(Duration::from_secs(1));
    house.digested(3).await;
    stop(tasks).await;
    assert_eq!(house.seen_sorted().await, [1, 2, 3]);
    // The one that vanished is back, and too late.
    let late =
        async |tx: &Tx| store::delete_batch(tx, Id::from_bytes([1; 16]), Id::from_bytes([3; 16]), 1).await;
    assert!(!house.parts.db.write::<_, StorageError, _>(late).await.unwrap());
}

async fn one_set_aside(house: &House, spool: &Spool, number: i64) -> Id<SetAside> {
    let before = house.parts.stats.snapshot().digested;
    accept(&house.door(spool), [format!("bad:{number}")]).await;
    house.digested(before + 1).await;
    let page = house.log().0.list_set_aside(ProjectId(7), PageRequest::first(1)).await.unwrap();
    page.items[0].id
}

async fn delivery_set_aside_is_replayed_once_and_discarded(db: TestDatabase) {
    let house = House::new(&db).await;
    let spool = house.spool("a");
    let tasks = house.start(&spool);
    let (log, audit) = house.log();
    let project = ProjectId(7);
    let id = one_set_aside(&house, &spool, 5).await;

    house.handler.is_mended.store(true, Ordering::SeqCst);
    log.replay_set_aside(requester(), project, id).await.unwrap();
    house.digested(2).await;
    log.replay_set_aside(requester(), project, id).await.unwrap();
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(house.seen().await, [5]);
    assert_eq!(log.count_set_aside(project).await.unwrap(), 0);
    let aside = log.find_set_aside(project, id).await.unwrap().unwrap();
    assert_eq!((aside.replayed_at, aside.size_bytes), (Some(house.parts.clock.now()), 0));

    log.discard_set_aside(requester(), project, id).await.unwrap();
    assert_eq!(log.find_set_aside(project, id).await.unwrap(), None);
    assert!(matches!(log.discard_set_aside(requester(), project, id).await, Err(IntakeError::NotFound)));
    assert!(matches!(log.replay_set_aside(requester(), project, id).await, Err(IntakeError::NotFound)));
    stop(tasks).await;
    let entries = audit.0.lock().unwrap();
    let actions: Vec<&str> = entries.iter().map(|entry| entry.action).collect();
    assert_eq!(actions, ["set_aside_delivery_replayed", "set_aside_delivery_discarded"]);
    assert_eq!((entries[0].organisation, entries[0].project), (Some(Id::from_bytes([9; 16])), Some(project)));
    assert_eq!(entries[0].target.as_ref().unwrap().id, id.to_string());
}

async fn set_aside_of_another_project_is_not_found(db: TestDatabase) {
    let house = House::new(&db).await;
    let spool = house.spool("a");
    let tasks = house.start(&spool);
    let (log, audit) = house.log();
    let id = one_set_aside(&house, &spool, 5).await;
    stop(tasks).await;
    let other = ProjectId(8);
    assert_eq!(log.find_set_aside(other, id).await.unwrap(), None);
    assert!(log.list_set_aside(other, PageRequest::first(9)).await.unwrap().items.is_empty());
    assert!(matches!(log.replay_set_aside(requester(), other, id).await, Err(IntakeError::NotFound)));
    assert!(matches!(log.discard_set_aside(requester(), other, id).await, Err(IntakeError::NotFound)));
    assert_eq!(log.count_set_aside(ProjectId(7)).await.unwrap(), 1);
    assert_eq!(audit.0.lock().unwrap().len(), 0);
}

async fn oldest_delivery_makes_room_beyond_the_limit(db: TestDatabase) {
    let house = House::new(&db).await;
    let row = |n: u32, project: i64| SetAside {
        id: Id::from_bytes(u128::from(n + 1).to_be_bytes()),
        project: ProjectId(project),
        kind: "numbers".to_owned(),
        reason: "old".to_owned(),
        tries: 3,
        received_at: Timestamp::EPOCH,
        set_aside_at: house.parts.clock.now(),
        replayed_at: None,
        size_bytes: 1,
    };
    let fill = async |tx: &Tx| {
        store::insert_set_aside(tx, row(20_000, 8), vec![1]).await?;
        for n in 0..10_000 {
            store::insert_set_aside(tx, row(n, 7), vec![1]).await?;
        }
        Ok(())
    };
    house.parts.db.write::<_, StorageError, _>(fill).await.unwrap();
    let spool = house.spool("a");
    let tasks = house.start(&spool);
    let newest = one_set_aside(&house, &spool, 5).await;
    stop(tasks).await;
    let (log, _) = house.log();
    assert_eq!(log.count_set_aside(ProjectId(7)).await.unwrap(), 10_000);
    assert_eq!(log.find_set_aside(ProjectId(7), row(0, 7).id).await.unwrap(), None);
    assert!(log.find_set_aside(ProjectId(7), row(1, 7).id).await.unwrap().is_some());
    assert!(log.find_set_aside(ProjectId(7), newest).await.unwrap().is_some());
    assert_eq!(log.count_set_aside(ProjectId(8)).await.unwrap(), 1);
    let expected = counts([("numbers dropped set_aside_overflow", 1), ("numbers set_aside failed", 1)]);
    assert_eq!(house.tallies(7).await, expected);
}

#[test]
fn two_workers_that_make_room_at_once_count_each_delivery_once() {
    belvedere_storage::testing::run(async {
        let Some(db) = TestDatabase::postgres().await else { return };
        let house = House::new(&db).await;
        let at = house.parts.clock.now();
        let row = |n: u32| SetAside {
            id: Id::from_bytes(u128::from(n + 1).to_be_bytes()),
            project: ProjectId(7),
            kind: "numbers".to_owned(),
            reason: "old".to_owned(),
            tries: 3,
            received_at: at,
            set_aside_at: at,
            replayed_at: None,
            size_bytes: 1,
        };
        let fill = async |tx: &Tx| {
            for n in 0..10_000 {
                store::insert_set_aside(tx, row(n), vec![1]).await?;
            }
            Ok(())
        };
        house.parts.db.write::<_, StorageError, _>(fill).await.unwrap();
        let worker = async |begins: u64, lasts: u64| {
            tokio::time::sleep(Duration::from_millis(begins)).await;
            let mut tallies = crate::tally::Tallies::new();
            let new = [NewSetAside {
                project: ProjectId(7),
                kind: "numbers".to_owned(),
                reason: "new".to_owned(),
                word: "failed",
                tries: 3,
                received_at: at,
                bytes: vec![1],
            }];
            let work = async |tx: &Tx| {
                set_aside_in(tx, &house.parts, &new, &mut tallies).await?;
                tokio::time::sleep(Duration::from_millis(lasts)).await;
                Ok(())
            };
            house.parts.db.write::<_, IntakeError, _>(work).await.unwrap();
        };
        // The second looks for the oldest while the first has removed it and not yet committed.
        tokio::join!(worker(0, 1_000), worker(300, 0));
        assert_eq!(house.log().0.count_set_aside(ProjectId(7)).await.unwrap(), 10_000);
    });
}

fn note(item: &str, quantity: u64) -> Tally {
    let reason = "rate_limited";
    Tally { project: ProjectId(7), item: item.to_owned(), outcome: ItemOutcome::Dropped, reason, quantity }
}

async fn notes_are_counted_exactly_and_survive_a_failing_flush(db: TestDatabase) {
    let house = House::new(&db).await;
    let spool = house.spool("a");
    let door = Arc::new(house.door(&spool));
    door.note(note("event", 2));
    door.note(note("event", 3));
    door.note(note("session\0", 1));
    for n in 0..3 {
        // Names, counts, commit.
        db.faults().fail_after(n);
        assert!(door.flush().await.is_err(), "statement {n}");
        door.note(note("event", 10));
    }
    door.flush().await.unwrap();
    door.flush().await.unwrap();
    let expected = counts([("event dropped rate_limited", 35), ("session\u{fffd} dropped rate_limited", 1)]);
    assert_eq!(house.tallies(7).await, expected);

    let tasks = Tasks::default();
    tasks.spawn("door", Arc::clone(&door).run(tasks.clone()));
    door.note(note("event", 100));
    stop(tasks).await;
    assert_eq!(house.tallies(7).await["event dropped rate_limited"], 135, "written at the end");
    door.note(note("event", 1_000));
    door.close().await;
    assert_eq!(house.tallies(7).await["event dropped rate_limited"], 1_135);
}

async fn too_many_different_items_are_counted_as_other(db: TestDatabase) {
    let house = House::new(&db).await;
    let spool = house.spool("a");
    let door = house.door(&spool);
    door.note(note("event", 1));
    door.flush().await.unwrap();
    // More than fit into memory while the database is away.
    for n in 0..10_050 {
        door.note(note(&format!("made up {n}"), 1));
    }
    door.flush().await.unwrap();
    door.note(note("event", 1));
    door.note(note("one more", 1));
    door.flush().await.unwrap();
    let tallies = house.tallies(7).await;
    assert_eq!(tallies.len(), 501, "500 names and the one for all others");
    assert_eq!(tallies["event dropped rate_limited"], 2);
    assert_eq!(tallies["other dropped rate_limited"], 10_053 - 2 - 499);
    assert_eq!(tallies.values().sum::<u64>(), 10_053);
    assert_eq!(house.parts.stats.snapshot().tallies_lost, 0);
}

async fn old_counts_and_deliveries_set_aside_are_swept(db: TestDatabase) {
    let house = House::new(&db).await;
    let spool = house.spool("a");
    let tasks = house.start(&spool);
    let (log, _) = house.log();
    let old = one_set_aside(&house, &spool, 1).await;
    house.clock.advance(Duration::from_secs(90 * 86_400));
    let young = one_set_aside(&house, &spool, 2).await;
    stop(tasks).await;
    assert_eq!(log.sweep(|| false).await.unwrap(), 0, "exactly 90 days old");
    house.clock.advance(Duration::from_secs(3_600));
    assert_eq!(log.sweep(|| true).await.unwrap(), 0, "told to stop");
    assert_eq!(log.sweep(|| false).await.unwrap(), 2);
    assert_eq!(log.find_set_aside(ProjectId(7), old).await.unwrap(), None);
    assert!(log.find_set_aside(ProjectId(7), young).await.unwrap().is_some());
    assert_eq!(house.tallies(7).await, counts([("numbers set_aside failed", 1)]));
    let now = house.parts.clock.now();
    let too_long = log.list_tallies(ProjectId(7), Timestamp::EPOCH, now).await;
    assert!(matches!(too_long, Err(IntakeError::InvalidQuery(_))));
}

#[test]
fn a_full_spool_is_said_to_be_full_and_a_large_delivery_too_large() {
    belvedere_storage::testing::run(async {
        let db = TestDatabase::sqlite().await;
        let house = House::new(&db).await;
        let config = SpoolConfig {
            bytes_max: 8 << 10,
            record_bytes_max: 2_000,
            ..SpoolConfig::new(house.directory.join("small"))
        };
        let door = house.door(&Spool::open(config).unwrap());
        let large = door.accept(delivery("numbers", &"x".repeat(2_000))).await;
        assert!(matches!(large, Err(IntakeError::TooLarge { max: 2_000, .. })));
        let mut accepted = 0;
        let refused = loop {
            match door.accept(delivery("numbers", &"x".repeat(1_000))).await {
                Ok(()) => accepted += 1,
                Err(error) => break error,
            }
        };
        assert!(matches!(refused, IntakeError::Full), "{refused:?}");
        assert!(refused.is_transient());
        assert!((4..=8).contains(&accepted), "{accepted}");
        let stats: &IntakeStats = door.stats();
        assert_eq!((stats.snapshot().accepted, stats.snapshot().refused), (accepted, 2));
    });
}
