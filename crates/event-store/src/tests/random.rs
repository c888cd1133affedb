use std::collections::BTreeMap;
use std::time::Duration;

use belvedere_kernel::{Clock, SubjectId};
use belvedere_storage::database_tests;
use belvedere_storage::testing::TestDatabase;

use super::fixtures::{Bench, PROJECT, Random, SUBJECTS, append, event};
use crate::week::{month_of, start_of, week_of};
use crate::{Event, EventStore};

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
    for step in 0..150 {
        let store = if random.below(3) == 0 { &other } else { &bench.store };
        match random.below(12) {
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
            _ => {
                store.sweep_orphans(PROJECT, Duration::ZERO).await.unwrap();
                other = bench.another();
            }
        }
        let expected: Vec<Event> = model.0.values().cloned().collect();
        assert_eq!(bench.content().await, expected, "after step {step}");
        let segments = bench.store.stats(PROJECT).await.unwrap().segments;
        assert_eq!(bench.files().len() as u64, segments * 2, "files after step {step}");
    }
}
