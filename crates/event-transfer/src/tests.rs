use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use belvedere_event_store::{Batch, Embedded, Event, EventStore, Limits, Select};
use belvedere_kernel::{Admitted, Clock, ConsentGate, ProjectId, RawPerson, SubjectId, SystemClock};
use belvedere_storage::testing::{TestDatabase, run};
use belvedere_storage::{Id, StorageError, Timestamp, Tx};

use crate::{Export, Format, Import, Imported, TransferError, export, import};

const PROJECT: ProjectId = ProjectId(3);
const FORMATS: [(Format, &str); 3] =
    [(Format::Parquet, "parquet"), (Format::Csv, "csv"), (Format::Ndjson, "ndjson")];

/// Lets everybody in whose id is a number, those above 100 without consent.
struct Gate;

#[async_trait]
impl ConsentGate for Gate {
    async fn admit(&self, _: &Tx, people: &[RawPerson]) -> Result<Vec<Admitted>, StorageError> {
        let admit = |person: &RawPerson| {
            let number: i64 = person.identity.id.as_deref().unwrap().parse().unwrap();
            let is_known = number <= 100;
            let subject = Some(SubjectId(number));
            Admitted { subject, analytics: is_known, detailed: is_known, location: is_known }
        };
        Ok(people.iter().map(admit).collect())
    }
}

struct House {
    db: TestDatabase,
    store: Embedded,
    directory: PathBuf,
}

impl Drop for House {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

impl House {
    async fn new() -> Self {
        let db = TestDatabase::sqlite().await;
        let name = format!("belvedere-transfer-{}", Id::<()>::generate(SystemClock.now()));
        let directory = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&directory).unwrap();
        let limits = Limits { row_group_rows: 100, ..Limits::default() };
        let store = Embedded::new(db.database(), directory.join("events"), Arc::new(SystemClock), limits);
        Self { db, store, directory }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    async fn import(&self, path: &Path, stop_after: usize) -> Result<Imported, TransferError> {
        let format = Format::of(path).unwrap();
        let db = self.db.database();
        let wanted =
            Import { path, format, project: PROJECT, db: &db, store: &self.store, gate: Arc::new(Gate) };
        let mut told = 0;
        // An import that is interrupted is a future that is dropped.
        let (sender, mut stopped) = tokio::sync::mpsc::channel(1);
        let work = import(&wanted, |_| {
            told += 1;
            if told == stop_after {
                let _ = sender.try_send(());
            }
        });
        tokio::select! {
            biased;
            _ = stopped.recv() => Ok(Imported::default()),
            done = work => done,
        }
    }

    async fn export(&self, path: &Path, from: Timestamp, until: Timestamp) -> u64 {
        let format = Format::of(path).unwrap();
        let wanted = Export { path, format, project: PROJECT, from, until, store: &self.store };
        export(&wanted, |_| {}).await.unwrap().events
    }

    /// Everything, sorted, as text.
    async fn content(&self) -> Vec<String> {
        let subjects = self.store.list_subjects(PROJECT).await.unwrap();
        let batches = self.store.load(Select::all(PROJECT)).await.unwrap();
        let of = |batch: &Batch, row: usize| {
            let texts: Vec<_> = batch.texts.iter().map(|texts| texts.get(row)).collect();
            let subject = subjects.get(&batch.subjects[row]);
            let (id, time, value) = (batch.ids[row], batch.times[row], batch.values[row]);
            format!("{id:?} {time} {subject:?} {texts:?} {value} {}", batch.props.get(row))
        };
        let rows = batches.iter().flat_map(|batch| (0..batch.count).map(|row| of(batch, row)));
        let mut rows: Vec<String> = rows.collect();
        rows.sort();
        rows
    }
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn events() -> Vec<Event> {
    let names = ["opened", "=cmd()", "-minus", "'quoted'", "with, \"comma\"", "two\nlines"];
    let of = |number: u64| {
        let mut id = [7; 16];
        id[8..].copy_from_slice(&number.to_be_bytes());
        let time = at("2026-11-01T00:00:00Z").as_micros() + number.cast_signed() * 977_000_001;
        let name = names[(number % 6) as usize];
        let mut event = Event::new(id, Timestamp::from_micros(time), name);
        event.subject = (!number.is_multiple_of(5)).then_some(SubjectId((number % 9).cast_signed() - 4));
        event.course = number.is_multiple_of(2).then(|| format!("@course-{}", number % 3));
        event.plan = number.is_multiple_of(7).then(|| "''".to_owned());
        event.value = number.is_multiple_of(3).then_some(-1.25 * number as f64);
        if number.is_multiple_of(4) {
            event.props = format!("{{\"a\":[{number},null],\"b\":\"x\"}}");
        }
        event
    };
    (0..500).map(of).collect()
}

async fn filled() -> House {
    let house = House::new().await;
    let events = events();
    let append = async |events: &[Event]| {
        let db = house.db.database();
        db.write(async |tx| house.store.append_in(tx, PROJECT, events).await).await.unwrap();
    };
    append(&events[..350]).await;
    house.store.seal(PROJECT).await.unwrap();
    append(&events[350..]).await;
    house
}

#[test]
fn what_is_exported_comes_back_the_same_in_every_format() {
    run(async {
        let house = filled().await;
        for (_, ending) in FORMATS {
            let path = house.file(&format!("all.{ending}"));
            assert_eq!(house.export(&path, Timestamp::EPOCH, at("2099-01-01T00:00:00Z")).await, 500);
            let other = House::new().await;
            let done = other.import(&path, 0).await.unwrap();
            let expected = Imported { rows: 500, per_mille: 1_000, stored: 500, ..Imported::default() };
            assert_eq!(done, expected, "{ending}");
            assert_eq!(other.content().await, house.content().await, "{ending}");
            let again = other.import(&path, 0).await.unwrap();
            assert_eq!((again.stored, again.duplicates), (0, 500), "{ending}");
        }
        let csv = std::fs::read_to_string(house.file("all.csv")).unwrap();
        assert!(csv.starts_with("id,time,subject,name,session,course,"));
        assert!(csv.contains(",'=cmd(),") && csv.contains(",'@course-") && !csv.contains(",=cmd"));
        assert!(!house.file("all.csv.part").exists());
    });
}

#[test]
fn a_stretch_of_time_is_exported() {
    run(async {
        let house = filled().await;
        let (from, until) = (at("2026-11-02T00:00:00Z"), at("2026-11-03T00:00:00Z"));
        let span = from.as_micros()..until.as_micros();
        let expected = events().iter().filter(|event| span.contains(&event.at.as_micros())).count() as u64;
        assert_eq!(house.export(&house.file("day.ndjson"), from, until).await, expected);
        let text = std::fs::read_to_string(house.file("day.ndjson")).unwrap();
        assert_eq!(text.lines().count() as u64, expected);
        assert!(text.lines().all(|line| line.contains("\"time\":\"2026-11-02T")));
    });
}

#[test]
fn an_import_that_was_interrupted_goes_on_where_it_was() {
    run(async {
        for ending in ["ndjson", "csv"] {
            let house = House::new().await;
            let path = house.file(&format!("many.{ending}"));
            let line = |number: u32| match (ending, number % 9_999) {
                (_, 7) => "broken\n".to_owned(),
                ("csv", _) => format!("2026-11-20T00:00:00Z,opened,{}\n", number % 50),
                _ => format!(
                    "{{\"time\":\"2026-11-20T00:00:00Z\",\"name\":\"opened\",\"user\":{}}}\n",
                    number % 50
                ),
            };
            let head = if ending == "csv" { "time,name,user\n" } else { "" };
            let text: String = std::iter::once(head.to_owned()).chain((0..35_000).map(line)).collect();
            std::fs::write(&path, text).unwrap();
            assert_eq!(house.import(&path, 2).await.unwrap(), Imported::default());
            let between = house.content().await.len();
            assert!((9_000..35_000).contains(&between), "{between}");
            let progress = house.file(&format!("many.{ending}.progress"));
            assert!(progress.exists());
            let done = house.import(&path, 0).await.unwrap();
            assert_eq!((done.rows, done.stored + done.duplicates, done.rejected), (35_000, 34_996, 4));
            // The transaction that was on its way may have been committed, and is then read again.
            assert!([0, 10_000].contains(&done.duplicates), "{}", done.duplicates);
            assert_eq!(house.content().await.len(), 34_996);
            assert!(!progress.exists());
            let rejected = std::fs::read_to_string(done.rejected_to.unwrap()).unwrap();
            let first = u64::from(ending == "csv");
            let lines: Vec<u64> = rejected
                .lines()
                .map(|line| {
                    serde_json::from_str::<serde_json::Value>(line).unwrap()["line"].as_u64().unwrap()
                })
                .collect();
            assert_eq!(lines, [8, 10_007, 20_006, 30_005].map(|line| line + first), "{ending}");
            let again = house.import(&path, 0).await.unwrap();
            assert_eq!((again.stored, again.duplicates, again.rejected), (0, 34_996, 4));
        }
    });
}

#[test]
fn rows_that_are_no_events_are_set_aside_with_reasons() {
    run(async {
        let house = House::new().await;
        let path = house.file("some.ndjson");
        std::fs::write(
            &path,
            "{\"time\":\"2026-11-20T00:00:00Z\",\"name\":\"a\",\"user\":\"5\",\"browser\":\"Firefox\",\"country\":\"NL\"}\n\
             {\"time\":\"2026-11-20T00:00:00Z\",\"name\":\"a\",\"user\":\"500\",\"browser\":\"Firefox\",\"country\":\"NL\"}\n\
             \n\
             [1]\n\
             {\"time\":\"2026-11-20\",\"name\":\"a\"}\n\
             {\"time\":\"2026-11-20T00:00:00Z\"}",
        )
        .unwrap();
        let done = house.import(&path, 0).await.unwrap();
        assert_eq!((done.rows, done.stored, done.rejected), (6, 2, 4));
        let rejected = std::fs::read_to_string(done.rejected_to.unwrap()).unwrap();
        let why: Vec<String> = rejected
            .lines()
            .map(|line| {
                serde_json::from_str::<serde_json::Value>(line).unwrap()["why"].as_str().unwrap().to_owned()
            })
            .collect();
        assert!(why[0].starts_with("is not JSON") && why[1] == "is not a JSON object", "{why:?}");
        assert!(why[2].starts_with("time is neither") && why[3] == "name is empty", "{why:?}");
        // Without consent neither country nor browser is kept.
        let content = house.content().await.concat();
        assert_eq!((content.matches("Firefox").count(), content.matches("NL").count()), (1, 1));
    });
}

#[test]
fn a_file_that_is_not_what_it_should_be_is_refused() {
    run(async {
        let house = House::new().await;
        for (name, text, why) in [
            ("no.csv", "name,course\na,b\n", "does not name a column time"),
            ("no.parquet", "PAR1", "no.parquet"),
        ] {
            std::fs::write(house.file(name), text).unwrap();
            let error = house.import(&house.file(name), 0).await.unwrap_err().to_string();
            assert!(error.contains(why), "{error}");
        }
        assert!(matches!(house.import(&house.file("none.csv"), 0).await, Err(TransferError::File { .. })));
    });
}
