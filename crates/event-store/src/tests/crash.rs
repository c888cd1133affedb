//! A process that appends, seals, merges, erases and reads at once is killed at random moments, again and again.
//!
//! `BELVEDERE_CRASH_SECONDS` says for how long, 20 if it is not set.

use std::collections::{HashMap, HashSet};
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use belvedere_kernel::{Clock, SubjectId, SystemClock};
use belvedere_storage::{Database, DatabaseConfig, Id};

use super::fixtures::{PROJECT, Random, event, files, id};
use crate::{Embedded, Event, EventStore, EventStoreError, Fields, Limits, Select};

fn limits() -> Limits {
    Limits {
        tail_events_max: 100_000,
        seal_events_max: 150,
        row_group_rows: 40,
        segment_events_max: 100_000,
        filter_bytes_max: 1 << 20,
        open_files_max: 8,
        ..Limits::default()
    }
}

/// Events of one append; their numbers adjoin.
const BATCH: u64 = 20;
/// Numbers from here on are of subjects that are erased, one batch for each.
const TO_ERASE: u64 = BATCH << 40;
/// Kills until a new store begins.
const KILLS: u32 = 12;

fn variable(name: &str) -> Option<String> {
    #[expect(clippy::disallowed_methods, reason = "what the test tells the process that it kills")]
    std::env::var(name).ok()
}

fn batch(first: u64) -> Vec<Event> {
    let subject = (first >= TO_ERASE).then(|| SubjectId(first.cast_signed()));
    let of = |number: u64| {
        let event = event(number % TO_ERASE);
        Event { id: id(number), subject: subject.or(event.subject), ..event }
    };
    (first..first + BATCH).map(of).collect()
}

async fn connect(directory: &Path) -> Embedded {
    let config = DatabaseConfig::sqlite_file(&directory.join("belvedere.db"));
    let db = Database::connect(&config).await.unwrap();
    Embedded::new(db, directory.join("events"), Arc::new(SystemClock), limits())
}

/// How often each event is there, by number.
async fn numbers(store: &Embedded) -> HashMap<u64, u32> {
    let batches = store.load(Select { fields: Fields::ID, ..Select::all(PROJECT) }).await.unwrap();
    let mut numbers = HashMap::new();
    for id in batches.iter().flat_map(|batch| &batch.ids) {
        *numbers.entry(u64::from_be_bytes(id[8..].try_into().unwrap())).or_default() += 1;
    }
    numbers
}

/// No reader may ever see an event twice or a part of an append.
fn assert_whole(numbers: &HashMap<u64, u32>) {
    let mut batches: HashMap<u64, u64> = HashMap::new();
    for (number, count) in numbers {
        assert_eq!(*count, 1, "event {number} is there {count} times");
        *batches.entry(number / BATCH).or_default() += 1;
    }
    for (batch, count) in batches {
        assert_eq!(count, BATCH, "a part of the append from {} is there", batch * BATCH);
    }
}

/// What the process that is killed says, line by line; what was written survives it.
struct Journal(File);

impl Journal {
    fn open(directory: &Path, name: &str) -> Self {
        let path = directory.join(name);
        Self(OpenOptions::new().create(true).append(true).open(path).unwrap())
    }

    fn note(&mut self, first: u64) {
        self.0.write_all(format!("{first}\n").as_bytes()).unwrap();
    }

    fn read(directory: &Path, name: &str) -> Vec<u64> {
        let text = std::fs::read_to_string(directory.join(name)).unwrap_or_default();
        text.lines().map(|line| line.parse().unwrap()).collect()
    }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

#[test]
#[ignore = "is what the_killed_process_loses_and_doubles_nothing starts and kills"]
fn the_process_that_is_killed() {
    let directory = PathBuf::from(variable("BELVEDERE_CRASH_DIRECTORY").expect("started by the other test"));
    let seed: u64 = variable("BELVEDERE_CRASH_SEED").unwrap().parse().unwrap();
    runtime().block_on(async {
        let store = connect(&directory).await;
        let mut parts = tokio::task::JoinSet::new();
        parts.spawn(append_for_ever(store.clone(), directory.clone(), seed));
        parts.spawn(tidy_for_ever(store.clone(), directory.clone(), seed));
        parts.spawn(async move {
            loop {
                assert_whole(&numbers(&store).await);
            }
        });
        while let Some(part) = parts.join_next().await {
            part.unwrap();
        }
    });
}

async fn append_for_ever(store: Embedded, directory: PathBuf, seed: u64) {
    let mut acknowledged = Journal::open(&directory, "acknowledged");
    for number in 0.. {
        // Every fifth is of a subject that can be erased.
        let first = (seed * 1_000 + number) * BATCH + if number % 5 == 0 { TO_ERASE } else { 0 };
        let events = batch(first);
        let stored = store.inner.db.write(async |tx| store.append_in(tx, PROJECT, &events).await).await;
        assert_eq!(stored.unwrap().stored, BATCH);
        acknowledged.note(first);
        if number % 3 == 0 {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }
}

async fn tidy_for_ever(store: Embedded, directory: PathBuf, seed: u64) {
    let mut random = Random(seed + 1);
    let (mut trying, mut erased) =
        (Journal::open(&directory, "erasing"), Journal::open(&directory, "erased"));
    loop {
        let done = match random.below(4) {
            0 => store.compact(PROJECT).await.map(drop),
            1 => {
                let known = Journal::read(&directory, "acknowledged");
                let gone: HashSet<u64> = Journal::read(&directory, "erasing").into_iter().collect();
                let mut left = known.into_iter().filter(|first| *first >= TO_ERASE && !gone.contains(first));
                match left.next() {
                    Some(first) => {
                        trying.note(first);
                        let done = store.erase_subject(PROJECT, SubjectId(first.cast_signed())).await;
                        if done.is_ok() {
                            erased.note(first);
                        }
                        done.map(drop)
                    }
                    None => Ok(()),
                }
            }
            _ => store.seal(PROJECT).await.map(drop),
        };
        match done {
            Ok(()) | Err(EventStoreError::Changed(_)) => {}
            Err(error) => panic!("{error}"),
        }
        tokio::time::sleep(Duration::from_millis(random.below(6))).await;
    }
}

/// A store that is filled by processes that are killed.
struct Scene {
    directory: PathBuf,
}

impl Drop for Scene {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

impl Scene {
    async fn new() -> Self {
        let name = format!("belvedere-crash-{}", Id::<()>::generate(SystemClock.now()));
        let directory = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&directory).unwrap();
        connect(&directory).await.inner.db.migrate().await.unwrap();
        Self { directory }
    }

    /// Lets a process work for a while and kills it, and reads meanwhile.
    async fn kill_after(&self, seed: u64, time: Duration) {
        let output = File::create(self.directory.join("output")).unwrap();
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--ignored", "--exact", "tests::crash::the_process_that_is_killed", "--nocapture"])
            .env("BELVEDERE_CRASH_DIRECTORY", &self.directory)
            .env("BELVEDERE_CRASH_SEED", seed.to_string())
            .stdout(output.try_clone().unwrap())
            .stderr(output)
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        let before = Journal::read(&self.directory, "acknowledged").len();
        let store = connect(&self.directory).await;
        let mut since = None;
        let begun = Instant::now();
        // The time counts from when it works.
        while since.is_none_or(|since: Instant| since.elapsed() < time) {
            assert_whole(&numbers(&store).await);
            if since.is_none() && Journal::read(&self.directory, "acknowledged").len() > before {
                since = Some(Instant::now());
            }
            assert!(begun.elapsed() < Duration::from_secs(60), "{}", self.output());
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let ended = child.try_wait().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(ended.is_none(), "it ended by itself: {}", self.output());
    }

    fn output(&self) -> String {
        std::fs::read_to_string(self.directory.join("output")).unwrap_or_default()
    }

    /// What a process finds that starts now: every acknowledged event once, and nothing of whom was erased.
    async fn check(&self) -> usize {
        let found = numbers(&connect(&self.directory).await).await;
        assert_whole(&found);
        let erased = Journal::read(&self.directory, "erased");
        let erasing: HashSet<u64> = Journal::read(&self.directory, "erasing").into_iter().collect();
        for first in &erased {
            assert!(!found.contains_key(first), "events of {first} are there again");
        }
        let acknowledged = Journal::read(&self.directory, "acknowledged");
        for first in acknowledged.iter().filter(|first| !erasing.contains(first)) {
            assert!(found.contains_key(first), "the append from {first} is lost");
        }
        acknowledged.len()
    }

    /// What nothing names goes, and what is named stays.
    async fn sweep(&self) {
        let store = connect(&self.directory).await;
        let before = numbers(&store).await;
        store.sweep_orphans(PROJECT, Duration::ZERO).await.unwrap();
        let stats = store.stats(PROJECT).await.unwrap();
        let files = files(&self.directory.join("events").join(PROJECT.to_string()));
        let segments = files.iter().filter(|name| name.ends_with(".parquet")).count() as u64;
        assert_eq!(segments, stats.segments, "{files:?}");
        let named: HashSet<&str> = files.iter().filter_map(|name| name.split('.').next()).collect();
        assert_eq!(named.len() as u64, stats.segments, "{files:?}");
        assert!(!files.iter().any(|name| name.ends_with(".part")), "{files:?}");
        assert_eq!(numbers(&connect(&self.directory).await).await, before);
    }
}

#[test]
fn the_killed_process_loses_and_doubles_nothing() {
    let seconds = variable("BELVEDERE_CRASH_SECONDS").map_or(20, |text| text.parse().unwrap());
    let until = Instant::now() + Duration::from_secs(seconds);
    let mut random = Random(u64::from(std::process::id()) << 20 | 1);
    let (mut kills, mut appends, mut seed) = (0_u32, 0, 0);
    runtime().block_on(async {
        while Instant::now() < until {
            let scene = Scene::new().await;
            let mut acknowledged = 0;
            for _ in 0..KILLS {
                seed += 1;
                scene.kill_after(seed, Duration::from_micros(random.below(150_000))).await;
                acknowledged = scene.check().await;
                kills += 1;
                if Instant::now() >= until {
                    break;
                }
            }
            scene.sweep().await;
            appends += acknowledged;
        }
    });
    assert!(kills >= 4 && appends > 20, "{kills} kills, {appends} appends: too few to show anything");
    println!("{kills} kills, {appends} acknowledged appends");
}
