//! Fills and asks an event store through its typed API; `cargo xtask bench analytics` runs it.
//!
//! `load DATA PROJECT EVENTS END` appends generated events before the microsecond END, then seals and merges them;
//! `load-known` does so with events that the pages of the business know.
//! `ingest DATA PROJECT EVENTS END FIRST SECONDS RATE` goes on from event FIRST at a rate a second, sealing as it goes.
//! Both print one line of JSON. `ask DATA PROJECT END ROUNDS` answers the six questions of the bench, without HTTP.

mod ask;
mod generate;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use belvedere_event_store::{APPEND_EVENTS_MAX, Embedded, Event, EventStore, EventStoreError, Limits};
use belvedere_kernel::{ProjectId, SystemClock};
use belvedere_storage::{Database, DatabaseConfig, Timestamp};
use tokio::task::JoinSet;

use generate::{Generator, Product};

/// How far the making of events stands back, in the steps of `nice`.
#[cfg(target_os = "linux")]
const GENERATOR_NICENESS: i32 = 10;

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Events of one transaction while loading.
const LOAD_BATCH: usize = 50_000;
/// Transactions a second while ingesting at a rate.
const TICKS: u64 = 10;
/// How often it is looked whether to seal.
const SEAL_EVERY: Duration = Duration::from_millis(500);
/// Events in the tail from which on it is sealed.
const SEAL_FROM: u64 = 400_000;

const USAGE: &str = "load DATA PROJECT EVENTS END | load-known DATA PROJECT EVENTS END | ingest DATA PROJECT EVENTS END FIRST SECONDS RATE | \
                     ask DATA PROJECT END ROUNDS";

/// A store and the project that is filled.
struct Target {
    db: Database,
    store: Embedded,
    project: ProjectId,
    directory: PathBuf,
}

fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        match words.as_slice() {
            ["load", data, project, events, end] => {
                let target = Target::open(data, project).await?;
                let generator = Generator::new(events.parse()?, micros(end)?, Product::Platform);
                target.load(events.parse()?, generator).await
            }
            ["load-known", data, project, events, end] => {
                let target = Target::open(data, project).await?;
                let generator = Generator::new(events.parse()?, micros(end)?, Product::Known);
                target.load(events.parse()?, generator).await
            }
            ["ingest", data, project, events, end, first, seconds, rate] => {
                let target = Target::open(data, project).await?;
                let generator = Generator::new(events.parse()?, micros(end)?, Product::Platform);
                target.ingest(generator, first.parse()?, seconds.parse()?, rate.parse()?).await
            }
            ["ask", data, project, end, rounds] => {
                let target = Target::open(data, project).await?;
                ask::run(Arc::new(target.store), target.project, micros(end)?, rounds.parse()?).await
            }
            _ => Err(USAGE.into()),
        }
    })
}

fn micros(text: &str) -> Result<Timestamp, Failure> {
    Ok(Timestamp::from_micros(text.parse()?))
}

impl Target {
    async fn open(data: &str, project: &str) -> Result<Self, Failure> {
        let data = Path::new(data);
        let db = Database::connect(&DatabaseConfig::sqlite_file(&data.join("belvedere.db"))).await?;
        db.migrate().await?;
        let directory = data.join("events");
        let store = Embedded::new(db.clone(), &directory, Arc::new(SystemClock), Limits::default());
        Ok(Self { db, store, project: ProjectId(project.parse()?), directory })
    }

    async fn append(&self, events: &[Event]) -> Result<(), EventStoreError> {
        self.db.write(async |tx| self.store.append_in(tx, self.project, events).await).await.map(drop)
    }

    /// Seals whenever much waits, until told that no more comes.
    fn seal_meanwhile(&self, is_done: &Arc<AtomicBool>) -> JoinSet<Result<(), EventStoreError>> {
        let (store, project, is_done) = (self.store.clone(), self.project, Arc::clone(is_done));
        let mut sealing = JoinSet::new();
        sealing.spawn(async move {
            while !is_done.load(Ordering::Relaxed) {
                if store.stats(project).await?.tail_events >= SEAL_FROM {
                    match store.seal(project).await {
                        // Another process was faster.
                        Err(EventStoreError::Changed(_)) | Ok(_) => {}
                        Err(error) => return Err(error),
                    }
                }
                tokio::time::sleep(SEAL_EVERY).await;
            }
            Ok(())
        });
        sealing
    }

    async fn load(&self, count: u64, generator: Generator) -> Result<(), Failure> {
        let (sender, batches) = mpsc::sync_channel::<Vec<Event>>(4);
        std::thread::spawn(move || {
            let mut first = 0;
            while first < count {
                let last = count.min(first + LOAD_BATCH as u64);
                if sender.send((first..last).map(|number| generator.event(number)).collect()).is_err() {
                    return;
                }
                first = last;
            }
        });
        let is_done = Arc::new(AtomicBool::new(false));
        let mut sealing = self.seal_meanwhile(&is_done);
        let started = Instant::now();
        while let Ok(batch) = batches.recv() {
            loop {
                match self.append(&batch).await {
                    Err(EventStoreError::TailFull(_)) => tokio::time::sleep(Duration::from_millis(100)).await,
                    done => break done?,
                }
            }
        }
        is_done.store(true, Ordering::Relaxed);
        finish(&mut sealing).await?;
        self.store.seal(self.project).await?;
        let sealed = started.elapsed();
        self.store.compact(self.project).await?;
        let merged = started.elapsed();
        let stats = self.store.stats(self.project).await?;
        println!(
            "{{\"events\":{},\"subjects\":{},\"seconds\":{:.1},\"merging_seconds\":{:.1},\"segments\":{},\"bytes\":{},\
             \"bytes_on_disk\":{}}}",
            stats.sealed_events,
            stats.subjects,
            sealed.as_secs_f64(),
            (merged - sealed).as_secs_f64(),
            stats.segments,
            stats.sealed_bytes,
            bytes_in(&self.directory)?
        );
        Ok(())
    }

    async fn ingest(&self, generator: Generator, first: u64, seconds: u64, rate: u64) -> Result<(), Failure> {
        let each = (rate / TICKS).clamp(1, APPEND_EVENTS_MAX as u64);
        let (sender, batches) = mpsc::sync_channel::<Vec<Event>>(4);
        std::thread::spawn(move || {
            // Whoever makes events does so elsewhere: here it takes what the store and the questions leave.
            #[cfg(target_os = "linux")]
            if let Err(error) = rustix::process::setpriority_process(None, GENERATOR_NICENESS) {
                eprintln!("the generator runs at the priority of questions: {error}");
            }
            for tick in 0..seconds * TICKS {
                let from = first + tick * each;
                if sender.send((from..from + each).map(|number| generator.event(number)).collect()).is_err() {
                    return;
                }
            }
        });
        let is_done = Arc::new(AtomicBool::new(false));
        let mut sealing = self.seal_meanwhile(&is_done);
        let started = Instant::now();
        let (mut appended, mut longest) = (0_u64, Duration::ZERO);
        while let Ok(batch) = batches.recv() {
            let due = Duration::from_millis(1_000 / TICKS * (appended / each));
            tokio::time::sleep(due.saturating_sub(started.elapsed())).await;
            let begun = Instant::now();
            self.append(&batch).await?;
            longest = longest.max(begun.elapsed());
            appended += batch.len() as u64;
        }
        let took = started.elapsed().as_secs_f64();
        is_done.store(true, Ordering::Relaxed);
        finish(&mut sealing).await?;
        println!(
            "{{\"events\":{appended},\"seconds\":{took:.2},\"events_per_second\":{:.0},\"longest_append_ms\":{:.0}}}",
            appended as f64 / took,
            longest.as_secs_f64() * 1e3
        );
        Ok(())
    }
}

async fn finish(sealing: &mut JoinSet<Result<(), EventStoreError>>) -> Result<(), Failure> {
    while let Some(done) = sealing.join_next().await {
        done??;
    }
    Ok(())
}

fn bytes_in(directory: &Path) -> std::io::Result<u64> {
    let mut sum = 0;
    for entry in std::fs::read_dir(directory)? {
        let entry = entry?;
        let metadata = entry.metadata()?;
        sum += if metadata.is_dir() { bytes_in(&entry.path())? } else { metadata.len() };
    }
    Ok(sum)
}
