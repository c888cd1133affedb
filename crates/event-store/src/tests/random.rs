use std::collections::BTreeMap;
use std::time::Duration;

use belvedere_kernel::{Clock, SubjectId};
use belvedere_storage::database_tests;
use belvedere_storage::testing::TestDatabase;

use super::fixtures::{Bench, PROJECT, Random, SUBJECTS, append, event};
use super::questions::{ask_all, daily_by_name, twin};
use crate::query::RollupUse;
use crate::week::{month_of, start_of, week_of};
use crate::{Embedded, Event, EventStore};

database_tests!(any_sequence_of_operations_keeps_exactly_the_events_of_a_plain_list);

/// What the store must be equal to.
#[derive(Default)]
struct Model(BTreeMap<[u8; 16], Event>);

impl Model {
    fn append(&mut self, events: &[Event]) -> u64 {
        let before = self.0.len();
        for event in events {
            self.0.entry(event.id).or_insert_with(|| event.clone());
        }
        (self.0.len() - before) as u64
    }

    fn remove(&mut self, unwanted: impl Fn(&Event) -> bool) -> u64 {
        let before = self.0.len();
        self.0.retain(|_, event| !unwanted(event));
        (before - self.0.len()) as u64
    }
}

async fn any_sequence_of_operations_keeps_exactly_the_events_of_a_plain_list(db: TestDatabase) {
    let bench = Bench::new(db);
    let mut random = Random(0x1234_5678_9abc_def1);
    let mut model = Model::default();
    let mut other = bench.another();
    for step in 0..150_u32 {
        let store = if random.below(3) == 0 { &other } else { &bench.store };
        match random.below(16) {
            0..=4 => {
                // Mostly new, some known.
                let start = random.below(600);
                let events: Vec<Event> =
                    (0..1 + random.below(25)).map(|_| event(start + random.below(60))).collect();
                assert_eq!(append(store, &events).await.unwrap().stored, model.append(&events));
            }
            5 | 6 => {
                store.seal(PROJECT).await.unwrap();
            }
            7 => {
                store.compact(PROJECT).await.unwrap();
            }
            8 => {
                let subject = SubjectId(random.below(SUBJECTS.unsigned_abs()).cast_signed());
                let erased = store.erase_subject(PROJECT, subject).await.unwrap();
                assert_eq!(
                    erased.events,
                    model.remove(|event| event.subject == Some(subject)),
                    "step {step}"
                );
            }
            9 => bench.clock.advance(Duration::from_secs(86_400 * random.below(4))),
            10 => {
                store.seal(PROJECT).await.unwrap();
                let before = bench.clock.now().minus(Duration::from_secs(86_400 * (40 + random.below(60))));
                let is_over = |event: &Event| start_of(month_of(week_of(event.at.as_micros())).end) <= before;
                let retained = store.retain(PROJECT, before).await.unwrap();
                assert_eq!(retained.events, model.remove(is_over), "step {step}");
            }
            11 => {
                bench.zones.set(["Europe/Amsterdam", "UTC", "America/St_Johns"][random.below(3) as usize]);
            }
            12 => {
                store.renew_rollups(PROJECT, || false).await.unwrap();
            }
            13 => {
                let check = store.check_rollups(PROJECT, || false).await.unwrap();
                let differences = check.map_or(Vec::new(), |check| check.differences);
                // Those that were damaged below cannot be read; none that can be read is wrong.
                assert!(
                    differences.iter().all(|it| it.what.starts_with("cannot be read")),
                    "{differences:?}"
                );
            }
            14 => damage_a_rollup(&bench, &mut random),
            _ => {
                store.sweep_orphans(PROJECT, Duration::ZERO).await.unwrap();
                other = bench.another();
            }
        }
        let expected: Vec<Event> = model.0.values().cloned().collect();
        assert_eq!(bench.content().await, expected, "after step {step}");
        let segments = bench.store.stats(PROJECT).await.unwrap().segments;
        let (rollups, others): (Vec<_>, Vec<_>) =
            bench.files().into_iter().partition(|name| name.ends_with(".rollup"));
        assert_eq!(others.len() as u64, segments * 2, "files after step {step}");
        assert!(rollups.len() as u64 <= segments, "rollups after step {step}");
        let by_day = daily_by_name(store_of(&bench, &other, step), RollupUse::Always).await;
        assert_eq!(by_day, twin(&expected), "after step {step}");
        if step.is_multiple_of(25) {
            let scanned = ask_all(&bench.store, RollupUse::Never).await;
            for usage in [RollupUse::Always, RollupUse::WhenCheaper] {
                assert_eq!(ask_all(&other, usage).await, scanned, "{usage:?} after step {step}");
            }
        }
    }
}

fn store_of<'a>(bench: &'a Bench, other: &'a Embedded, step: u32) -> &'a Embedded {
    if step.is_multiple_of(2) { &bench.store } else { other }
}

/// Changes a byte of a rollup, or removes it.
fn damage_a_rollup(bench: &Bench, random: &mut Random) {
    let mut files = bench.files();
    files.retain(|name| name.ends_with(".rollup"));
    if files.is_empty() {
        return;
    }
    let file = &files[random.below(files.len() as u64) as usize];
    let path = bench.directory.join(PROJECT.to_string()).join(file);
    if random.below(2) == 0 {
        std::fs::remove_file(path).unwrap();
        return;
    }
    let mut bytes = std::fs::read(&path).unwrap();
    let at = random.below(bytes.len() as u64) as usize;
    bytes[at] ^= 1;
    std::fs::write(&path, bytes).unwrap();
}
