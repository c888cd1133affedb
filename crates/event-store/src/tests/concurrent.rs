use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use belvedere_storage::database_tests;
use belvedere_storage::testing::TestDatabase;

use super::fixtures::{Bench, PROJECT, append, at, event, events};
use crate::{EventStore, Fields, Select};

database_tests!(no_reader_sees_half_a_swap, the_same_events_at_once_from_many_sides_count_once,);

async fn no_reader_sees_half_a_swap(db: TestDatabase) {
    let bench = Arc::new(Bench::new(db));
    let is_done = Arc::new(AtomicBool::new(false));
    let mut readers = tokio::task::JoinSet::new();
    for store in [bench.store.clone(), bench.another()] {
        let is_done = Arc::clone(&is_done);
        readers.spawn(async move {
            let (mut reads, mut last) = (0_u64, 0);
            while !is_done.load(Ordering::SeqCst) {
                let select = Select { fields: Fields::ID, ..Select::all(PROJECT) };
                let batches = store.load(select).await.unwrap();
                let ids: Vec<_> = batches.iter().flat_map(|batch| batch.ids.iter().copied()).collect();
                let different: std::collections::HashSet<_> = ids.iter().collect();
                assert_eq!(different.len(), ids.len(), "an event was seen twice");
                assert!(ids.len() % 20 == 0, "{} events are a part of an append", ids.len());
                assert!(ids.len() >= last, "{} events after {last}", ids.len());
                last = ids.len();
                reads += 1;
            }
            reads
        });
    }
    let other = bench.another();
    for round in 0..40 {
        bench.append(&events(round * 20..round * 20 + 20)).await.unwrap();
        if round % 2 == 0 {
            bench.store.seal(PROJECT).await.unwrap();
        }
        if round == 30 {
            bench.clock.set(at("2027-02-01T00:00:00Z"));
        }
        if round % 5 == 0 {
            other.compact(PROJECT).await.unwrap();
        }
    }
    is_done.store(true, Ordering::SeqCst);
    let reads: u64 = readers.join_all().await.into_iter().sum();
    assert!(reads > 20, "only {reads} reads");
    assert_eq!(bench.content().await, events(0..800));
}

async fn the_same_events_at_once_from_many_sides_count_once(db: TestDatabase) {
    let bench = Arc::new(Bench::new(db));
    let mut writers = tokio::task::JoinSet::new();
    for worker in 0..6_u64 {
        let store = if worker % 2 == 0 { bench.store.clone() } else { bench.another() };
        writers.spawn(async move {
            let mut stored = 0;
            for round in 0..6 {
                let batch: Vec<_> =
                    (0..30).map(|step| event((worker * 7 + round * 13 + step * 3) % 120)).collect();
                stored += append(&store, &batch).await.unwrap().stored;
                if worker == 0 && round % 2 == 1 {
                    store.seal(PROJECT).await.unwrap();
                }
            }
            stored
        });
    }
    let stored: u64 = writers.join_all().await.into_iter().sum();
    let mut numbers = std::collections::BTreeSet::new();
    for (worker, round, step) in
        (0..6).flat_map(|worker| (0..6).flat_map(move |round| (0..30).map(move |step| (worker, round, step))))
    {
        numbers.insert((worker * 7 + round * 13 + step * 3) % 120);
    }
    assert_eq!(stored, numbers.len() as u64);
    let expected: Vec<_> = numbers.into_iter().map(event).collect();
    assert_eq!(bench.content().await, expected);
}
