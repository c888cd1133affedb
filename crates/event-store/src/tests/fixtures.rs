use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use belvedere_kernel::{Clock, ManualClock, ProjectId, SubjectId};
use belvedere_storage::testing::TestDatabase;
use belvedere_storage::{Id, StorageError, Timestamp};

use crate::columns::Dimension;
use crate::{
    Batch, Embedded, Event, EventStore, EventStoreError, Limits, NO_SUBJECT, ProjectZones, RollupLimits,
    Select, TextField,
};

pub(crate) const PROJECT: ProjectId = ProjectId(7);
pub(crate) const SUBJECTS: i64 = 6;

/// Small enough that a few dozen events make several row groups and seals.
pub(crate) fn limits() -> Limits {
    Limits {
        tail_events_max: 10_000,
        seal_events_max: 40,
        row_group_rows: 7,
        segment_events_max: 100_000,
        filter_bytes_max: 600,
        open_files_max: 3,
        // Few enough cells that some days have more.
        rollups: RollupLimits { cells_max: 9, ..RollupLimits::of(&[Dimension::Course, Dimension::Os]) },
    }
}

/// A store on a database and a directory of its own, with a clock that the test moves.
pub(crate) struct Bench {
    pub(crate) store: Embedded,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) directory: PathBuf,
    pub(crate) db: TestDatabase,
    pub(crate) zones: Arc<Zones>,
}

/// One time zone for all projects.
pub(crate) struct Zones(Mutex<String>);

impl Zones {
    pub(crate) fn set(&self, zone: &str) {
        zone.clone_into(&mut self.0.lock().unwrap());
    }
}

#[async_trait::async_trait]
impl ProjectZones for Zones {
    async fn time_zone(&self, _: ProjectId) -> Result<Option<String>, StorageError> {
        Ok(Some(self.0.lock().unwrap().clone()))
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

pub(crate) fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

impl Bench {
    pub(crate) fn new(db: TestDatabase) -> Self {
        let clock = Arc::new(ManualClock::new(at("2026-11-28T12:00:00Z")));
        let directory =
            std::env::temp_dir().join(format!("belvedere-events-{}", Id::<()>::generate(clock.now())));
        let zones = Arc::new(Zones(Mutex::new("Europe/Amsterdam".to_owned())));
        let store = Embedded::new(db.database(), &directory, clock.clone(), limits());
        let store = store.with_zones(zones.clone());
        Self { store, clock, directory, db, zones }
    }

    /// Another process, or this one after a restart.
    pub(crate) fn another(&self) -> Embedded {
        let store = Embedded::new(self.db.database(), &self.directory, self.clock.clone(), limits());
        store.with_zones(self.zones.clone())
    }

    pub(crate) async fn append(&self, events: &[Event]) -> Result<Counted, EventStoreError> {
        append(&self.store, events).await
    }

    /// All events of the store, sorted by id, as another process reads them and as this one does.
    pub(crate) async fn content(&self) -> Vec<Event> {
        let mine = content(&self.store, Select::all(PROJECT)).await;
        assert_eq!(content(&self.another(), Select::all(PROJECT)).await, mine, "two processes differ");
        mine
    }

    /// The names of the files of segments, sorted.
    pub(crate) fn files(&self) -> Vec<String> {
        files(&self.directory.join(PROJECT.to_string()))
    }
}

pub(crate) fn files(directory: &Path) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(directory) else { return Vec::new() };
    let mut files: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    files.sort();
    files
}

/// How many events were new and how many were not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Counted {
    pub(crate) stored: u64,
    pub(crate) duplicates: u64,
}

pub(crate) async fn append(store: &Embedded, events: &[Event]) -> Result<Counted, EventStoreError> {
    let appended = store.inner.db.write(async |tx| store.append_in(tx, PROJECT, events).await).await?;
    assert_eq!(appended.is_new.len(), events.len());
    assert_eq!(appended.is_new.iter().filter(|is_new| **is_new).count() as u64, appended.stored);
    Ok(Counted { stored: appended.stored, duplicates: appended.duplicates })
}

pub(crate) async fn content(store: &Embedded, select: Select) -> Vec<Event> {
    let mut subjects = HashMap::from([(NO_SUBJECT, None)]);
    for subject in (0..SUBJECTS).map(SubjectId) {
        if let Some(number) = store.find_subject(select.project, subject).await.unwrap() {
            subjects.insert(number, Some(subject));
        }
    }
    let batches = store.load(select).await.unwrap();
    let rows = batches.iter().flat_map(|batch| (0..batch.count).map(|row| event_of(batch, row, &subjects)));
    let mut events: Vec<Event> = rows.collect();
    events.sort_by_key(|event| event.id);
    events
}

fn event_of(batch: &Batch, row: usize, subjects: &HashMap<u32, Option<SubjectId>>) -> Event {
    let text = |field| batch.text(field, row).map(str::to_owned);
    Event {
        id: batch.ids[row],
        at: Timestamp::from_micros(batch.times[row]),
        name: batch.name(row).to_owned(),
        subject: *subjects.get(&batch.subjects[row]).expect("a number without a subject"),
        session: text(TextField::Session),
        course: text(TextField::Course),
        lesson: text(TextField::Lesson),
        exercise: text(TextField::Exercise),
        value: Some(batch.values[row]).filter(|value| !value.is_nan()),
        country: text(TextField::Country),
        browser: text(TextField::Browser),
        os: text(TextField::Os),
        device: text(TextField::Device),
        referrer: text(TextField::Referrer),
        utm_source: text(TextField::UtmSource),
        plan: text(TextField::Plan),
        props: batch.props.get(row).to_owned(),
    }
}

pub(crate) fn id(number: u64) -> [u8; 16] {
    let mut id = [9; 16];
    id[8..].copy_from_slice(&number.to_be_bytes());
    id
}

/// The event of that number: everything about it follows from the number.
pub(crate) fn event(number: u64) -> Event {
    let text =
        |of: &str, many: u64| Some(format!("{of}-{}", number / 3 % many)).filter(|_| number % many != 1);
    // Over nine weeks, mostly the last two.
    let days = if number.is_multiple_of(5) { number * 7 % 63 } else { number * 3 % 14 };
    let seconds = days * 86_400 + number * 7_919 % 86_400;
    Event {
        id: id(number),
        at: Timestamp::from_micros(
            at("2026-11-28T11:00:00Z").as_micros() - seconds.cast_signed() * 1_000_000 + 7,
        ),
        name: format!("name-{}", number % 4),
        subject: Some(SubjectId((number * number % 7).cast_signed())).filter(|subject| subject.0 < SUBJECTS),
        session: text("sitzung-ß", 1_000),
        course: text("course", 5),
        lesson: None,
        exercise: text("exercise", 9),
        value: Some(number as f64 / 4.0).filter(|_| number.is_multiple_of(3)),
        country: text("country", 3),
        browser: text("browser", 4),
        os: text("os", 2),
        device: text("device", 6),
        referrer: text("referrer", 7),
        utm_source: None,
        plan: text("plan", 8),
        props: if number.is_multiple_of(2) { format!("{{\"number\":{number}}}") } else { String::new() },
    }
}

pub(crate) fn events(numbers: std::ops::Range<u64>) -> Vec<Event> {
    numbers.map(event).collect()
}

/// A sequence of numbers that look random and are the same in every run.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 20) % end
    }
}
