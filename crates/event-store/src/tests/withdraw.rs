//! Single events leave, wherever they lie, together with what somebody keeps of them.

use std::collections::BTreeSet;
use std::sync::Mutex;

use async_trait::async_trait;
use belvedere_kernel::ProjectId;
use belvedere_storage::testing::TestDatabase;
use belvedere_storage::{StorageError, Tx, database_tests};

use super::fixtures::{Bench, PROJECT, Random, event, events, id};
use crate::{Erased, Event, EventStore, EventStoreError, LearnerEvents, LearnerFold};

database_tests!(
    withdrawn_events_are_gone_from_segments_and_tail_and_others_stay,
    who_cannot_follow_keeps_the_events_in_place,
);

/// Remembers what was taken out; may be unable to.
#[derive(Default)]
struct Hearer {
    gone: Mutex<Vec<Event>>,
    fails: bool,
}

#[async_trait]
impl LearnerEvents for Hearer {
    async fn load(&self, _: &[ProjectId]) -> Result<Box<dyn LearnerFold>, StorageError> {
        Err(StorageError::corrupt("nothing is folded here"))
    }

    async fn withdraw_in(&self, _: &Tx, project: ProjectId, gone: &[Event]) -> Result<(), EventStoreError> {
        assert_eq!(project, PROJECT);
        if self.fails {
            return Err(StorageError::corrupt("cannot follow").into());
        }
        self.gone.lock().unwrap().extend_from_slice(gone);
        Ok(())
    }
}

async fn withdrawn_events_are_gone_from_segments_and_tail_and_others_stay(db: TestDatabase) {
    let bench = Bench::new(db);
    let mut random = Random(0x1234_5678);
    bench.append(&events(0..60)).await.unwrap();
    bench.store.seal(PROJECT).await.unwrap();
    bench.append(&events(60..90)).await.unwrap();
    bench.append(&events(90..120)).await.unwrap();
    let mut left: BTreeSet<u64> = (0..120).collect();
    for round in 0..6 {
        // Some are not there, or not any more.
        let numbers: BTreeSet<u64> = (0..8).map(|_| random.below(130)).collect();
        let ids: Vec<[u8; 16]> = numbers.iter().map(|number| id(*number)).collect();
        let expected: Vec<Event> = numbers.intersection(&left).map(|number| event(*number)).collect();
        left.retain(|number| !numbers.contains(number));
        let hearer = Hearer::default();
        let withdrawn = bench.store.withdraw_events(PROJECT, &ids, &hearer).await.unwrap();
        assert_eq!(withdrawn.events, expected.len() as u64, "round {round}");
        let mut gone = hearer.gone.into_inner().unwrap();
        gone.sort_by_key(|event| event.id);
        assert_eq!(gone, expected, "round {round}");
        let kept: Vec<Event> = left.iter().map(|number| event(*number)).collect();
        assert_eq!(bench.content().await, kept, "round {round}");
        if round == 2 {
            bench.another().seal(PROJECT).await.unwrap();
        }
        let stats = bench.store.stats(PROJECT).await.unwrap();
        assert_eq!(stats.tail_events + stats.sealed_events, left.len() as u64);
    }
    let check = bench.store.check_rollups(PROJECT, || false).await.unwrap().unwrap();
    assert_eq!(check.difference_count, 0);
    assert!(left.len() < 100);
    // An id that left is new again.
    let again = (0..120).find(|number| !left.contains(number)).unwrap();
    assert_eq!(bench.append(&[event(again)]).await.unwrap().stored, 1);
    let nobody = bench.store.withdraw_events(PROJECT, &[], &Hearer::default()).await.unwrap();
    assert_eq!(nobody, Erased::default());
}

async fn who_cannot_follow_keeps_the_events_in_place(db: TestDatabase) {
    let bench = Bench::new(db);
    bench.append(&events(0..20)).await.unwrap();
    bench.store.seal(PROJECT).await.unwrap();
    bench.append(&events(20..30)).await.unwrap();
    let hearer = Hearer { fails: true, ..Hearer::default() };
    bench.store.withdraw_events(PROJECT, &[id(3), id(25)], &hearer).await.unwrap_err();
    assert_eq!(bench.content().await, events(0..30));
}
