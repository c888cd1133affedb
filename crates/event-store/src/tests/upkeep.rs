use belvedere_kernel::SubjectId;
use belvedere_storage::database_tests;
use belvedere_storage::testing::TestDatabase;

use super::fixtures::{Bench, PROJECT, at, event, events};
use crate::week::week_of;
use crate::{Event, EventStore, EventStoreError, Fields, PartCache, PartKey, Select};

database_tests!(
    events_lie_in_segments_of_their_own_weeks_sorted_by_subject_and_time,
    late_events_get_a_segment_of_their_own_week,
    months_that_ended_before_the_limit_are_dropped_whole,
    damage_is_found_and_never_sealed_again,
    decoded_parts_are_cached_by_what_they_are,
);

fn on(number: u64, day: &str) -> Event {
    Event { at: at(&format!("{day}T10:00:00Z")), ..event(number) }
}

async fn weeks(bench: &Bench) -> Vec<(i64, i64, u64)> {
    let (_, segments) = crate::tables::list_segments(bench.db.read(), PROJECT).await.unwrap();
    let mut weeks: Vec<_> = segments.iter().map(|it| (it.week, it.week_count, it.count)).collect();
    weeks.sort_unstable();
    weeks
}

async fn events_lie_in_segments_of_their_own_weeks_sorted_by_subject_and_time(db: TestDatabase) {
    let bench = Bench::new(db);
    bench.append(&events(0..40)).await.unwrap();
    bench.store.seal(PROJECT).await.unwrap();
    let snapshot = bench.store.snapshot(Select::all(PROJECT)).await.unwrap();
    assert!(snapshot.parts.len() > 3);
    for part in &snapshot.parts {
        let batch = part.read(Fields::ALL).unwrap();
        let keys: Vec<_> = (0..batch.count).map(|row| batch.sort_key(row)).collect();
        assert!(keys.is_sorted());
        assert_eq!(week_of(part.first_micros), week_of(part.last_micros));
    }
}

async fn late_events_get_a_segment_of_their_own_week(db: TestDatabase) {
    let bench = Bench::new(db);
    let week = week_of(at("2026-11-23T00:00:00Z").as_micros());
    bench.append(&[on(1, "2026-11-24"), on(2, "2026-11-25"), on(3, "2026-11-17")]).await.unwrap();
    bench.store.seal(PROJECT).await.unwrap();
    assert_eq!(weeks(&bench).await, [(week - 1, 1, 1), (week, 1, 2)]);
    bench.append(&[on(4, "2026-11-18"), on(5, "2026-11-26")]).await.unwrap();
    bench.store.seal(PROJECT).await.unwrap();
    assert_eq!(weeks(&bench).await, [(week - 1, 1, 1), (week - 1, 1, 1), (week, 1, 1), (week, 1, 2)]);
    bench.clock.set(at("2026-11-28T00:00:00Z"));
    bench.store.compact(PROJECT).await.unwrap();
    assert_eq!(weeks(&bench).await, [(week - 1, 1, 2), (week, 1, 1), (week, 1, 2)]);
    bench.clock.set(at("2026-12-05T00:00:00Z"));
    bench.store.compact(PROJECT).await.unwrap();
    // November, 2026 begins with the week of its 2nd and ends with that of its 26th.
    assert_eq!(weeks(&bench).await, [(week - 3, 4, 5)]);
    bench.append(&[on(6, "2026-11-17")]).await.unwrap();
    bench.store.seal(PROJECT).await.unwrap();
    bench.store.compact(PROJECT).await.unwrap();
    assert_eq!(weeks(&bench).await, [(week - 3, 4, 6)]);
}

async fn months_that_ended_before_the_limit_are_dropped_whole(db: TestDatabase) {
    let bench = Bench::new(db);
    let all = [on(1, "2026-09-30"), on(2, "2026-10-05"), on(3, "2026-10-30"), on(4, "2026-11-05")];
    bench.append(&all).await.unwrap();
    bench.store.seal(PROJECT).await.unwrap();
    // The week of Monday, 2026-09-28 has its Thursday in October.
    let dropped = bench.store.retain(PROJECT, at("2026-11-01T00:00:00Z")).await.unwrap();
    assert_eq!((dropped.events, bench.content().await.len()), (0, 4));
    let dropped = bench.store.retain(PROJECT, at("2026-11-02T00:00:00Z")).await.unwrap();
    assert_eq!((dropped.events, dropped.segments), (3, 3));
    assert_eq!(bench.content().await, [all[3].clone()]);
    assert_eq!(bench.files().len(), 3);
    // Retention ends what an id is known for.
    assert_eq!(bench.append(&all).await.unwrap().stored, 3);
}

async fn damage_is_found_and_never_sealed_again(db: TestDatabase) {
    let bench = Bench::new(db);
    for start in [0, 4] {
        let week: Vec<Event> = (start..start + 4).map(|number| on(number, "2026-10-06")).collect();
        bench.append(&week).await.unwrap();
        bench.store.seal(PROJECT).await.unwrap();
    }
    let file = bench.files().into_iter().find(|name| name.ends_with(".parquet")).unwrap();
    let path = bench.directory.join("7").join(file);
    let whole = std::fs::read(&path).unwrap();
    let mut bytes = whole.clone();
    bytes[20] ^= 1;
    std::fs::write(&path, &bytes).unwrap();
    let is_damage = |error: EventStoreError| matches!(error, EventStoreError::Damaged { .. });
    assert!(is_damage(bench.another().compact(PROJECT).await.unwrap_err()));
    assert!(is_damage(bench.another().erase_subject(PROJECT, SubjectId(1)).await.unwrap_err()));
    std::fs::write(&path, &whole[..whole.len() - 1]).unwrap();
    assert!(is_damage(bench.another().load(Select::all(PROJECT)).await.unwrap_err()));
    std::fs::write(&path, &whole).unwrap();
    assert_eq!(bench.another().compact(PROJECT).await.unwrap().merged, 2);
    assert_eq!(bench.content().await.len(), 8);
}

async fn decoded_parts_are_cached_by_what_they_are(db: TestDatabase) {
    let bench = Bench::new(db);
    let cache: PartCache<usize> = PartCache::new(1_000);
    let subject = SubjectId(1);
    bench.append(&events(0..20)).await.unwrap();
    bench.store.seal(PROJECT).await.unwrap();
    bench.append(&events(20..30)).await.unwrap();
    let mut decoded = 0;
    let mut keys: Vec<Vec<PartKey>> = Vec::new();
    for _ in 0..2 {
        for _ in 0..2 {
            let snapshot = bench.store.snapshot(Select::all(PROJECT)).await.unwrap();
            for part in &snapshot.parts {
                let count = part.read_cached(&cache, Fields::TIME, |batch| {
                    decoded += 1;
                    Ok::<_, EventStoreError>((batch.count, 10))
                });
                assert_eq!(*count.unwrap() as u64, part.count);
            }
            keys.push(snapshot.parts.iter().map(|part| part.key).collect());
        }
        bench.store.erase_subject(PROJECT, subject).await.unwrap();
    }
    let different: std::collections::HashSet<_> = keys.iter().flatten().collect();
    assert_eq!(decoded, different.len());
    assert!(decoded > keys[0].len() && keys[0] == keys[1] && keys[2] == keys[3]);
}
