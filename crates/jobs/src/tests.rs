use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use belvedere_kernel::{Clock, InProcessBus, LiveBus, LiveMessage, ManualClock, SystemClock, Tasks};
use belvedere_storage::testing::{TestDatabase, run, server_url};
use belvedere_storage::{Database, Id, PageRequest, StorageError, Timestamp, Tx};
use serde_json::json;
use tokio::time::timeout;

use crate::{
    Job, JobCounts, JobError, JobHandler, JobQueue, JobRunner, JobRunnerConfig, JobsError, NewJob, RedisBus,
    RunningJob, Schedule, Scheduler, WAKE_TOPIC, When, store,
};

belvedere_storage::database_tests!(
    committed_job_is_done_once_and_rolled_back_job_never,
    failing_job_is_tried_again_then_dead_then_revived,
    handler_that_gives_up_or_panics_does_not_stop_the_runner,
    job_of_a_vanished_worker_is_taken_over,
    job_that_kills_its_worker_each_time_is_given_up,
    long_job_keeps_its_claim,
    job_that_holds_the_writer_goes_on_while_its_claim_waits_to_be_renewed,
    many_runners_do_each_job_once,
    waiting_job_with_the_same_key_is_not_doubled,
    outage_of_the_database_does_not_use_up_attempts,
    failed_statement_leaves_the_job_to_be_done_again,
    finish_in_the_handlers_transaction_is_exactly_once,
    job_of_the_future_waits,
    schedule_runs_once_per_slot_across_processes,
    schedule_catches_up_once_and_never_repeats_a_slot,
    lease_passes_on_when_its_holder_vanishes,
    payload_beyond_the_limit_is_refused,
);

const NOON: &str = "2026-11-23T12:00:00Z";

fn noon() -> Timestamp {
    NOON.parse().unwrap()
}

fn queue(db: &TestDatabase, clock: Arc<dyn Clock>) -> JobQueue {
    JobQueue::new(db.database(), clock, Arc::new(InProcessBus::default()))
}

fn fast() -> JobRunnerConfig {
    JobRunnerConfig {
        poll: Duration::from_millis(10),
        backoff_min: Duration::from_millis(1),
        backoff_max: Duration::from_millis(5),
        lease: Duration::from_millis(300),
        grace: Duration::from_secs(2),
        ..JobRunnerConfig::default()
    }
}

async fn enqueue(queue: &JobQueue, job: NewJob) -> Id<Job> {
    queue.db.write(async |tx| queue.enqueue_in(tx, job).await).await.unwrap()
}

type Script = dyn Fn(&RunningJob, u32) -> Result<(), JobError> + Send + Sync;

/// Counts the attempts at each job by its payload's `n` and answers by script.
struct Scripted {
    seen: Mutex<BTreeMap<i64, u32>>,
    script: Box<Script>,
}

impl Scripted {
    fn new(script: impl Fn(&RunningJob, u32) -> Result<(), JobError> + Send + Sync + 'static) -> Arc<Self> {
        Arc::new(Self { seen: Mutex::default(), script: Box::new(script) })
    }

    fn seen(&self) -> BTreeMap<i64, u32> {
        self.seen.lock().unwrap().clone()
    }
}

#[async_trait]
impl JobHandler for Scripted {
    async fn run(&self, job: &RunningJob) -> Result<(), JobError> {
        let attempts = {
            let mut seen = self.seen.lock().unwrap();
            let attempts = seen.entry(job.payload["n"].as_i64().unwrap()).or_default();
            *attempts += 1;
            *attempts
        };
        (self.script)(job, attempts)
    }
}

fn start(queue: &JobQueue, config: JobRunnerConfig, handler: Arc<dyn JobHandler>) -> Tasks {
    let tasks = Tasks::default();
    let mut runner = JobRunner::new(queue.clone(), config);
    runner.register("test", handler);
    tasks.spawn("jobs", runner.run(tasks.clone()));
    tasks
}

async fn until(queue: &JobQueue, expected: JobCounts) {
    let wait = async {
        while queue.count_jobs().await.unwrap() != expected {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    if timeout(Duration::from_secs(20), wait).await.is_err() {
        panic!("expected {expected:?}, there are {:?}", queue.count_jobs().await);
    }
}

async fn stop(tasks: Tasks) {
    tasks.stop();
    timeout(Duration::from_secs(10), tasks.ended()).await.expect("the runner ends");
}

fn job(n: i64) -> NewJob {
    NewJob::new("test", json!({ "n": n }))
}

const NONE: JobCounts = JobCounts { waiting: 0, running: 0, dead: 0 };

async fn committed_job_is_done_once_and_rolled_back_job_never(db: TestDatabase) {
    let queue = queue(&db, Arc::new(SystemClock));
    let handler = Scripted::new(|_, _| Ok(()));
    // Polling is too slow to help: the commit must wake the runner.
    let tasks = start(&queue, JobRunnerConfig { poll: Duration::from_secs(60), ..fast() }, handler.clone());
    tokio::time::sleep(Duration::from_millis(50)).await;
    let rolled_back = queue.db.write(async |tx| {
        queue.enqueue_in(tx, job(1)).await?;
        Err::<(), _>(JobsError::NotFound)
    });
    assert!(rolled_back.await.is_err());
    enqueue(&queue, job(2)).await;
    until(&queue, NONE).await;
    assert_eq!(handler.seen(), BTreeMap::from([(2, 1)]));
    stop(tasks).await;
}

async fn failing_job_is_tried_again_then_dead_then_revived(db: TestDatabase) {
    let queue = queue(&db, Arc::new(SystemClock));
    let handler = Scripted::new(
        |_, attempt| if attempt < 4 { Err(JobError::Failed("no luck".into())) } else { Ok(()) },
    );
    let tasks = start(&queue, fast(), handler.clone());
    let id = enqueue(&queue, NewJob { attempts_max: 3, ..job(7) }).await;
    until(&queue, JobCounts { dead: 1, ..NONE }).await;
    assert_eq!(handler.seen(), BTreeMap::from([(7, 3)]));

    let dead = queue.list_dead(PageRequest::first(10)).await.unwrap();
    assert_eq!(dead.next, None);
    assert_eq!((dead.items.len(), dead.items[0].id, dead.items[0].attempts), (1, id, 3));
    assert_eq!((dead.items[0].kind.as_str(), dead.items[0].last_error.as_str()), ("test", "no luck"));
    assert_eq!(dead.items[0].payload, json!({"n": 7}));

    queue.db.write(async |tx| queue.requeue_in(tx, id).await).await.unwrap();
    until(&queue, NONE).await;
    assert_eq!(handler.seen(), BTreeMap::from([(7, 4)]));
    let again = queue.db.write(async |tx| queue.requeue_in(tx, id).await).await;
    assert!(matches!(again, Err(JobsError::NotFound)));
    stop(tasks).await;
}

async fn handler_that_gives_up_or_panics_does_not_stop_the_runner(db: TestDatabase) {
    let queue = queue(&db, Arc::new(SystemClock));
    let handler = Scripted::new(|job, _| match job.payload["n"].as_i64() {
        Some(1) => Err(JobError::GiveUp("the project is gone".into())),
        Some(2) => panic!("unforeseen"),
        _ => Ok(()),
    });
    let tasks = start(&queue, fast(), handler.clone());
    for n in 1..=3 {
        enqueue(&queue, NewJob { attempts_max: 2, ..job(n) }).await;
    }
    until(&queue, JobCounts { dead: 2, ..NONE }).await;
    assert_eq!(handler.seen(), BTreeMap::from([(1, 1), (2, 2), (3, 1)]));
    let first = queue.list_dead(PageRequest::first(1)).await.unwrap();
    let rest = queue.list_dead(PageRequest::new(1, first.next)).await.unwrap();
    let mut errors = [first.items[0].last_error.clone(), rest.items[0].last_error.clone()];
    errors.sort();
    assert_eq!(errors, ["the handler panicked: unforeseen", "the project is gone"]);
    assert_eq!(rest.next, None);
    let id = rest.items[0].id;
    queue.db.write(async |tx| queue.discard_in(tx, id).await).await.unwrap();
    assert_eq!(queue.count_jobs().await.unwrap(), JobCounts { dead: 1, ..NONE });
    stop(tasks).await;
}

/// Claims as a worker does that then vanishes.
async fn claim_and_vanish(queue: &JobQueue, lease: Duration) -> usize {
    let now = queue.clock.now();
    let claim =
        async |tx: &_| store::claim_jobs(tx, &["test"], 10, Id::generate(now), now, now.plus(lease)).await;
    queue.db.write::<_, StorageError, _>(claim).await.unwrap().len()
}

async fn job_of_a_vanished_worker_is_taken_over(db: TestDatabase) {
    let clock = Arc::new(ManualClock::new(noon()));
    let queue = queue(&db, clock.clone());
    enqueue(&queue, job(1)).await;
    assert_eq!(claim_and_vanish(&queue, Duration::from_secs(60)).await, 1);
    assert_eq!(claim_and_vanish(&queue, Duration::from_secs(60)).await, 0, "claimed already");
    let handler = Scripted::new(|_, _| Ok(()));
    let tasks = start(&queue, fast(), handler.clone());
    clock.advance(Duration::from_secs(59));
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(queue.count_jobs().await.unwrap(), JobCounts { running: 1, ..NONE });
    clock.advance(Duration::from_secs(1));
    until(&queue, NONE).await;
    assert_eq!(handler.seen(), BTreeMap::from([(1, 1)]));
    stop(tasks).await;
}

async fn job_that_kills_its_worker_each_time_is_given_up(db: TestDatabase) {
    let clock = Arc::new(ManualClock::new(noon()));
    let queue = queue(&db, clock.clone());
    enqueue(&queue, NewJob { attempts_max: 2, ..job(1) }).await;
    for _ in 0..2 {
        assert_eq!(claim_and_vanish(&queue, Duration::from_secs(60)).await, 1);
        clock.advance(Duration::from_secs(61));
    }
    let handler = Scripted::new(|_, _| Ok(()));
    let tasks = start(&queue, fast(), handler.clone());
    until(&queue, JobCounts { dead: 1, ..NONE }).await;
    assert_eq!(handler.seen(), BTreeMap::new());
    let dead = queue.list_dead(PageRequest::first(10)).await.unwrap();
    assert_eq!(dead.items[0].last_error, "the worker vanished during the last attempt");
    stop(tasks).await;
}

/// Takes a second for each job.
struct Slow(AtomicU32);

#[async_trait]
impl JobHandler for Slow {
    async fn run(&self, _: &RunningJob) -> Result<(), JobError> {
        self.0.fetch_add(1, Ordering::SeqCst);
        tokio::time::sleep(Duration::from_secs(1)).await;
        Ok(())
    }
}

async fn long_job_keeps_its_claim(db: TestDatabase) {
    let queue = queue(&db, Arc::new(SystemClock));
    let handler = Arc::new(Slow(AtomicU32::new(0)));
    enqueue(&queue, job(1)).await;
    // The lease of 300 ms would run out three times, and the other runner looks every 10 ms.
    let tasks = [start(&queue, fast(), handler.clone()), start(&queue, fast(), handler.clone())];
    until(&queue, NONE).await;
    assert_eq!(handler.0.load(Ordering::SeqCst), 1);
    for tasks in tasks {
        stop(tasks).await;
    }
}

/// Keeps a write transaction open beyond the moment when its claim is renewed; says how long that took.
struct Writing(Database, Mutex<Duration>);

#[async_trait]
impl JobHandler for Writing {
    async fn run(&self, job: &RunningJob) -> Result<(), JobError> {
        let started = std::time::Instant::now();
        let work = async |tx: &Tx| {
            tokio::time::sleep(Duration::from_millis(250)).await;
            job.finish_in(tx).await
        };
        self.0.write::<_, JobError, _>(work).await?;
        *self.1.lock().unwrap() = started.elapsed();
        Ok(())
    }
}

async fn job_that_holds_the_writer_goes_on_while_its_claim_waits_to_be_renewed(db: TestDatabase) {
    let queue = queue(&db, Arc::new(SystemClock));
    let handler = Arc::new(Writing(db.database(), Mutex::default()));
    enqueue(&queue, job(1)).await;
    // The claim is to be renewed after 100 ms. The only writer of SQLite is waited for in vain for 5 s.
    let tasks = start(&queue, fast(), handler.clone());
    until(&queue, NONE).await;
    stop(tasks).await;
    let took = *handler.1.lock().unwrap();
    assert!(took >= Duration::from_millis(250) && took < Duration::from_millis(4_500), "{took:?}");
}

async fn many_runners_do_each_job_once(db: TestDatabase) {
    let queue = queue(&db, Arc::new(SystemClock));
    let handler = Scripted::new(|_, _| Ok(()));
    let config = JobRunnerConfig { lease: Duration::from_secs(60), ..fast() };
    let tasks = [0; 3].map(|_| start(&queue, config.clone(), handler.clone()));
    for n in 0..30 {
        enqueue(&queue, job(n)).await;
    }
    until(&queue, NONE).await;
    assert_eq!(handler.seen(), (0..30).map(|n| (n, 1)).collect());
    for tasks in tasks {
        stop(tasks).await;
    }
}

async fn waiting_job_with_the_same_key_is_not_doubled(db: TestDatabase) {
    let clock = Arc::new(ManualClock::new(noon()));
    let queue = queue(&db, clock.clone());
    let keyed = |n, seconds| NewJob {
        run_at: Some(noon().plus(Duration::from_secs(seconds))),
        key: Some("recount".to_owned()),
        ..job(n)
    };
    let first = enqueue(&queue, keyed(1, 100)).await;
    assert_eq!(enqueue(&queue, keyed(2, 50)).await, first);
    assert_eq!(enqueue(&queue, keyed(3, 200)).await, first);
    assert_ne!(enqueue(&queue, job(4)).await, first);
    assert_eq!(
        claim_and_vanish(&queue, Duration::from_secs(600)).await,
        1,
        "only the one without a key is due"
    );
    clock.advance(Duration::from_secs(50));
    let claimed = async |tx: &_| {
        let now = clock.now();
        store::claim_jobs(tx, &["test"], 10, Id::generate(now), now, now.plus(Duration::from_secs(600))).await
    };
    let claimed = queue.db.write::<_, StorageError, _>(claimed).await.unwrap();
    assert_eq!((claimed.len(), claimed[0].id, claimed[0].payload.as_str()), (1, first, r#"{"n":1}"#));
    // Now that it runs, it may have looked at the world before the next change: that needs a job of its own.
    assert_ne!(enqueue(&queue, keyed(5, 0)).await, first);
}

async fn outage_of_the_database_does_not_use_up_attempts(db: TestDatabase) {
    let queue = queue(&db, Arc::new(SystemClock));
    let handler = Scripted::new(|_, attempt| {
        if attempt < 5 {
            Err(JobError::Storage(StorageError::Unavailable(connection_lost())))
        } else {
            Ok(())
        }
    });
    let tasks = start(&queue, fast(), handler.clone());
    enqueue(&queue, NewJob { attempts_max: 1, ..job(1) }).await;
    until(&queue, NONE).await;
    assert_eq!(handler.seen(), BTreeMap::from([(1, 5)]));
    stop(tasks).await;
}

fn connection_lost() -> sea_orm::DbErr {
    sea_orm::DbErr::Conn(sea_orm::RuntimeErr::Internal("connection lost".to_owned()))
}

async fn failed_statement_leaves_the_job_to_be_done_again(db: TestDatabase) {
    let queue = queue(&db, Arc::new(SystemClock));
    let mut failures = 0;
    for n in 0.. {
        let handler = Scripted::new(|_, _| Ok(()));
        enqueue(&queue, job(n)).await;
        db.faults().fail_after(u32::try_from(n).unwrap());
        let tasks = start(&queue, JobRunnerConfig { concurrency: 1, ..fast() }, handler.clone());
        until(&queue, NONE).await;
        stop(tasks).await;
        assert!(handler.seen()[&n] >= 1);
        if db.faults().take_unused() {
            break;
        }
        failures += 1;
    }
    // Bury, claim, commit, delete, commit.
    assert_eq!(failures, 5);
}

/// Ends the job in its own transaction, then claims to have failed.
struct Finishing(JobQueue, AtomicU32);

#[async_trait]
impl JobHandler for Finishing {
    async fn run(&self, job: &RunningJob) -> Result<(), JobError> {
        self.0.db.write(async |tx| job.finish_in(tx).await).await?;
        self.1.fetch_add(1, Ordering::SeqCst);
        let again = self.0.db.write(async |tx| job.finish_in(tx).await).await;
        assert!(again.is_err(), "a second transaction finds the job gone");
        Err(JobError::Failed("too late to matter".to_owned()))
    }
}

async fn finish_in_the_handlers_transaction_is_exactly_once(db: TestDatabase) {
    let queue = queue(&db, Arc::new(SystemClock));
    let handler = Arc::new(Finishing(queue.clone(), AtomicU32::new(0)));
    let tasks = start(&queue, fast(), handler.clone());
    enqueue(&queue, job(1)).await;
    until(&queue, NONE).await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    stop(tasks).await;
    assert_eq!(handler.1.load(Ordering::SeqCst), 1);
    assert_eq!(queue.count_jobs().await.unwrap(), NONE);
}

async fn job_of_the_future_waits(db: TestDatabase) {
    let clock = Arc::new(ManualClock::new(noon()));
    let queue = queue(&db, clock.clone());
    let handler = Scripted::new(|_, _| Ok(()));
    let tasks = start(&queue, fast(), handler.clone());
    enqueue(&queue, NewJob { run_at: Some(noon().plus(Duration::from_secs(10))), ..job(1) }).await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(queue.count_jobs().await.unwrap(), JobCounts { waiting: 1, ..NONE });
    clock.advance(Duration::from_secs(10));
    until(&queue, NONE).await;
    stop(tasks).await;
}

fn nightly() -> Vec<Schedule> {
    vec![Schedule { name: "nightly", when: When::DailyAtUtc { hour: 3, minute: 30 }, job: job(1) }]
}

/// Does what waits and says how many jobs that were.
async fn take_all(queue: &JobQueue) -> usize {
    let now = queue.clock.now();
    let taken = async |tx: &_| {
        let claim = Id::generate(now);
        let rows =
            store::claim_jobs(tx, &["test"], 100, claim, now, now.plus(Duration::from_secs(1))).await?;
        for row in &rows {
            assert!(store::delete_claimed(tx, row.id, claim).await?);
        }
        Ok(rows.len())
    };
    queue.db.write::<_, StorageError, _>(taken).await.unwrap()
}

async fn schedule_runs_once_per_slot_across_processes(db: TestDatabase) {
    let clock = Arc::new(ManualClock::new(noon()));
    let queue = queue(&db, clock.clone());
    let (one, other) = (Scheduler::new(queue.clone(), nightly()), Scheduler::new(queue.clone(), nightly()));
    assert_eq!((one.tick().await.unwrap(), other.tick().await.unwrap()), (0, 0), "a new schedule waits");
    let states = queue.list_schedules().await.unwrap();
    assert_eq!(states.len(), 1);
    assert_eq!(states[0].slot.to_string(), "2026-11-23T03:30:00Z");
    assert_eq!(states[0].next_run_at.to_string(), "2026-11-24T03:30:00Z");

    clock.set("2026-11-24T03:29:59.999999Z".parse().unwrap());
    assert_eq!((one.tick().await.unwrap(), other.tick().await.unwrap()), (0, 0));
    clock.set("2026-11-24T03:30:00Z".parse().unwrap());
    let (a, b) = tokio::join!(one.tick(), other.tick());
    assert_eq!(a.unwrap() + b.unwrap(), 1);
    assert_eq!((one.tick().await.unwrap(), other.tick().await.unwrap()), (0, 0));
    assert_eq!(take_all(&queue).await, 1);
}

async fn schedule_catches_up_once_and_never_repeats_a_slot(db: TestDatabase) {
    let clock = Arc::new(ManualClock::new(noon()));
    let queue = queue(&db, clock.clone());
    let every = vec![Schedule { name: "often", when: When::Every(Duration::from_secs(600)), job: job(1) }];
    let scheduler = Scheduler::new(queue.clone(), every);
    assert_eq!(scheduler.tick().await.unwrap(), 0);
    let mut runs = Vec::new();
    for now in [
        "2026-11-23T12:09:59Z", // the slot of 12:00 has been passed over, as the schedule was new
        "2026-11-23T12:10:00Z", // 12:10
        "2026-11-23T13:35:00Z", // down for long: 13:30 only, not eight times
        "2026-11-23T13:05:00Z", // set back by half an hour
        "2026-11-23T13:31:00Z", // in the slot that was used
        "2026-11-23T13:40:00Z", // 13:40
        "2126-11-23T13:40:00Z", // a wrong century: that instant's slot
        "2026-11-23T13:45:00Z", // put right: starts over, passing over 13:40
        "2026-11-23T13:50:00Z", // 13:50
    ] {
        clock.set(now.parse().unwrap());
        runs.push(scheduler.tick().await.unwrap());
        take_all(&queue).await;
    }
    assert_eq!(runs, [0, 1, 1, 0, 0, 1, 1, 0, 1]);
}

async fn lease_passes_on_when_its_holder_vanishes(db: TestDatabase) {
    let clock = Arc::new(ManualClock::new(noon()));
    let queue = queue(&db, clock.clone());
    let (one, other) = (Scheduler::new(queue.clone(), nightly()), Scheduler::new(queue.clone(), nightly()));
    one.tick().await.unwrap();
    clock.set("2026-11-24T03:29:50Z".parse().unwrap());
    one.tick().await.unwrap(); // holds the lease until 03:30:20, and vanishes
    clock.set("2026-11-24T03:30:10Z".parse().unwrap());
    assert_eq!(other.tick().await.unwrap(), 0);
    clock.set("2026-11-24T03:30:20Z".parse().unwrap());
    assert_eq!(other.tick().await.unwrap(), 1);
    assert_eq!(one.tick().await.unwrap(), 0, "it is back, without the lease");
}

async fn payload_beyond_the_limit_is_refused(db: TestDatabase) {
    let queue = queue(&db, Arc::new(SystemClock));
    let enqueue = async |len: usize| {
        let job = NewJob::new("test", json!("x".repeat(len)));
        queue.db.write(async |tx| queue.enqueue_in(tx, job).await).await
    };
    assert!(enqueue(65_534).await.is_ok(), "65,536 bytes with its quotation marks");
    let error = enqueue(65_535).await.unwrap_err();
    assert_eq!(error.to_string(), "payload of job test has 65537 bytes, at most 65536 are allowed");
}

fn message(topic: &str) -> LiveMessage {
    LiveMessage { project: None, topic: topic.to_owned(), data: json!({"issue": 1}) }
}

#[test]
fn redis_bus_reaches_other_processes_and_its_own_subscribers_once() {
    run(async {
        let Some(url) = server_url("TEST_REDIS_URL", "Redis") else { return };
        let prefix = format!("test.{}", Id::<()>::generate(SystemClock.now()));
        let tasks = Tasks::default();
        let one = RedisBus::connect(&url, &prefix, &SystemClock, &tasks).unwrap();
        let other = RedisBus::connect(&url, &prefix, &SystemClock, &tasks).unwrap();
        let stranger = RedisBus::connect(&url, &format!("{prefix}x"), &SystemClock, &tasks).unwrap();
        let connected = async {
            while ![&one, &other, &stranger].iter().all(|bus| bus.is_connected()) {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        timeout(Duration::from_secs(10), connected).await.expect("connected");
        let (mut own, mut others, mut strangers) = (one.subscribe(), other.subscribe(), stranger.subscribe());
        one.publish(message("first"));
        assert_eq!(own.try_recv().unwrap(), message("first"), "at once, without the way through Redis");
        one.publish(message("second"));
        let mut arrived = Vec::new();
        for _ in 0..2 {
            arrived.push(timeout(Duration::from_secs(5), others.recv()).await.unwrap().unwrap());
        }
        assert_eq!(arrived, [message("first"), message("second")]);
        other.publish(message("answer"));
        assert_eq!(timeout(Duration::from_secs(5), own.recv()).await.unwrap().unwrap(), message("second"));
        assert_eq!(timeout(Duration::from_secs(5), own.recv()).await.unwrap().unwrap(), message("answer"));
        tokio::time::sleep(Duration::from_millis(100)).await;
        assert!(own.try_recv().is_err(), "nothing comes back");
        assert!(strangers.try_recv().is_err(), "another channel");
        tasks.stop();
        timeout(Duration::from_secs(10), tasks.ended()).await.unwrap();
    });
}

/// A way to the Redis server that can be cut.
struct Proxy {
    address: std::net::SocketAddr,
    is_cut: Arc<tokio::sync::watch::Sender<bool>>,
}

impl Proxy {
    async fn start(target: String, tasks: &Tasks) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let is_cut = Arc::new(tokio::sync::watch::Sender::new(false));
        let (cut, inner) = (Arc::clone(&is_cut), tasks.clone());
        tasks.spawn("proxy", async move {
            loop {
                let accepted = tokio::select! {
                    () = inner.stopped() => return,
                    accepted = listener.accept() => accepted,
                };
                let (mut client, _) = accepted.unwrap();
                let mut cut = cut.subscribe();
                if *cut.borrow_and_update() {
                    continue;
                }
                let target = target.clone();
                inner.spawn("connection", async move {
                    let mut server = tokio::net::TcpStream::connect(target).await.unwrap();
                    tokio::select! {
                        _ = tokio::io::copy_bidirectional(&mut client, &mut server) => {}
                        _ = cut.wait_for(|cut| *cut) => {}
                    }
                });
            }
        });
        Self { address, is_cut }
    }

    fn cut(&self, is_cut: bool) {
        self.is_cut.send_replace(is_cut);
    }
}

#[test]
fn redis_bus_goes_on_locally_and_comes_back_by_itself() {
    run(async {
        let Some(url) = server_url("TEST_REDIS_URL", "Redis") else { return };
        let host = url.trim_start_matches("redis://").split('/').next().unwrap();
        assert!(!host.contains('@'), "this test needs a server without a password");
        let tasks = Tasks::default();
        let proxy = Proxy::start(host.to_owned(), &tasks).await;
        proxy.cut(true);
        let prefix = format!("test.{}", Id::<()>::generate(SystemClock.now()));
        let through = format!("redis://{}", proxy.address);
        let bus = RedisBus::connect(&through, &prefix, &SystemClock, &tasks).unwrap();
        let other = RedisBus::connect(&url, &prefix, &SystemClock, &tasks).unwrap();
        let mut own = bus.subscribe();
        bus.publish(message("alone"));
        assert_eq!(own.try_recv().unwrap(), message("alone"));
        assert!(!bus.is_connected());
        for _ in 0..2 {
            proxy.cut(false);
            let mut round = 0;
            let mut others = other.subscribe();
            // Both ways work again: what is published until then may be lost.
            let reached = async {
                loop {
                    round += 1;
                    bus.publish(message("there"));
                    other.publish(message("back"));
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    let mut arrived = (false, false);
                    while let Ok(message) = own.try_recv() {
                        arrived.0 |= message.topic == "back";
                    }
                    while let Ok(message) = others.try_recv() {
                        arrived.1 |= message.topic == "there";
                    }
                    if arrived == (true, true) {
                        return;
                    }
                }
            };
            timeout(Duration::from_secs(20), reached).await.expect("connected again");
            assert!(bus.is_connected());
            proxy.cut(true);
            let noticed = async {
                while bus.is_connected() {
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
            };
            timeout(Duration::from_secs(20), noticed).await.expect("the cut is noticed");
            while own.try_recv().is_ok() {}
            bus.publish(message(WAKE_TOPIC));
            assert_eq!(own.try_recv().unwrap(), message(WAKE_TOPIC));
        }
        tasks.stop();
        timeout(Duration::from_secs(10), tasks.ended()).await.unwrap();
    });
}

#[test]
fn redis_address_that_makes_no_sense_is_refused() {
    run(async {
        let refused = RedisBus::connect("not an address", "x", &SystemClock, &Tasks::default());
        assert!(matches!(refused.err(), Some(JobsError::RedisAddress(_))));
    });
}
