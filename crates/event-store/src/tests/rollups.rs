//! Rollups of a store: whatever happens to them, answers are those of the events.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use belvedere_kernel::SubjectId;
use belvedere_storage::database_tests;
use belvedere_storage::testing::TestDatabase;

use super::fixtures::{Bench, PROJECT, events};
use super::questions::{Asked, ask_all, daily_by_name, twin};
use crate::query::RollupUse;
use crate::rollup::{Edges, RollupWriter};
use crate::{EventStore, Fields, RollupChecks, SegmentId};

database_tests!(
    segments_without_a_rollup_are_read_and_get_one,
    a_rollup_that_is_wrong_is_found_and_made_anew,
    a_damaged_rollup_is_not_used_and_made_anew,
    another_time_zone_makes_other_rollups,
    who_is_erased_is_in_no_rollup,
    a_check_that_was_stopped_goes_on_where_it_was,
);

async fn sealed(bench: &Bench) -> Asked {
    bench.append(&events(0..120)).await.unwrap();
    bench.store.seal(PROJECT).await.unwrap();
    ask_all(&bench.store, RollupUse::Never).await
}

fn rollups(bench: &Bench) -> Vec<String> {
    bench.files().into_iter().filter(|name| name.ends_with(".rollup")).collect()
}

async fn segments_without_a_rollup_are_read_and_get_one(db: TestDatabase) {
    let bench = Bench::new(db);
    let expected = sealed(&bench).await;
    let files = rollups(&bench);
    assert!(files.len() > 3);
    for file in &files[1..] {
        std::fs::remove_file(bench.directory.join("7").join(file)).unwrap();
    }
    for store in [&bench.store, &bench.another()] {
        assert_eq!(ask_all(store, RollupUse::Always).await, expected);
        assert_eq!(ask_all(store, RollupUse::WhenCheaper).await, expected);
    }
    let check = bench.store.check_rollups(PROJECT, || false).await.unwrap().unwrap();
    assert_eq!((check.segments, check.without), (1, files.len() as u64 - 1));
    assert_eq!(bench.store.renew_rollups(PROJECT, || true).await.unwrap(), 0);
    assert_eq!(bench.store.renew_rollups(PROJECT, || false).await.unwrap(), files.len() as u64 - 1);
    assert_eq!(bench.store.renew_rollups(PROJECT, || false).await.unwrap(), 0);
    assert_eq!(rollups(&bench), files);
    assert_eq!(ask_all(&bench.store, RollupUse::Always).await, expected);
}

async fn a_rollup_that_is_wrong_is_found_and_made_anew(db: TestDatabase) {
    let bench = Bench::new(db);
    let expected = sealed(&bench).await;
    let (_, segments) = crate::tables::list_segments(bench.db.read(), PROJECT).await.unwrap();
    let meta = segments.iter().find(|meta| meta.count > 5).unwrap();
    let inner = &bench.store.inner;
    let whole = inner.open(PROJECT, meta).unwrap().read(Fields::ALL).unwrap();
    // The first event of a subject is left out, as a mistake in counting would leave it out.
    let left_out = (0..whole.count).find(|row| whole.subjects[*row] != 0).unwrap();
    let wrong = whole.filter(|_, row| row != left_out);
    let path = inner.directory.rollup(PROJECT, meta.id);
    let edges = Edges::of_weeks("Europe/Amsterdam", meta.week, meta.week_count).unwrap();
    let day = edges.0[edges.find(whole.times[left_out]).unwrap()];
    let version = SegmentId::from_bytes([5; 16]);
    let mut writer = RollupWriter::create(path.clone(), &path, edges, &inner.limits.rollups).unwrap();
    writer.write(&wrong).unwrap();
    writer.finish(version, meta).unwrap();
    assert_ne!(ask_all(&bench.store, RollupUse::Always).await, expected);

    let check = bench.store.check_rollups(PROJECT, || false).await.unwrap().unwrap();
    assert_eq!((check.rebuilt, check.is_complete, check.without), (1, true, 0));
    assert_eq!(check.events, 120);
    assert!(check.difference_count >= 2 && check.differences.len() as u64 == check.difference_count);
    assert!(check.differences.iter().all(|it| it.segment == meta.id.to_string()));
    let name = whole.name(left_out).to_owned();
    let named = check.differences.iter().find(|it| it.name.as_ref() == Some(&name) && it.dimension.is_none());
    assert_eq!(named.unwrap().day_micros.unwrap_or(day), day);
    let of_day = check.differences.iter().filter(|it| it.day_micros == Some(day)).count();
    assert!(of_day > 0, "{:?}", check.differences);
    assert_eq!(bench.another().find_rollup_check(PROJECT).await.unwrap(), Some(check));

    assert_eq!(ask_all(&bench.store, RollupUse::Always).await, expected);
    let again = bench.store.check_rollups(PROJECT, || false).await.unwrap().unwrap();
    assert_eq!((again.difference_count, again.rebuilt), (0, 0));
    assert_eq!(bench.store.find_rollup_check(PROJECT).await.unwrap(), Some(again));
}

async fn a_damaged_rollup_is_not_used_and_made_anew(db: TestDatabase) {
    let bench = Bench::new(db);
    sealed(&bench).await;
    let expected = twin(&events(0..120));
    let file = bench.directory.join("7").join(&rollups(&bench)[0]);
    let whole = std::fs::read(&file).unwrap();
    for place in [0, whole.len() / 3, whole.len() - 20, whole.len() - 9, whole.len() - 1] {
        let mut bytes = whole.clone();
        bytes[place] ^= 0x41;
        std::fs::write(&file, bytes).unwrap();
        assert_eq!(daily_by_name(&bench.another(), RollupUse::Always).await, expected, "byte {place}");
    }
    std::fs::write(&file, &whole[..7]).unwrap();
    let check = bench.another().check_rollups(PROJECT, || false).await.unwrap().unwrap();
    assert_eq!((check.difference_count, check.rebuilt), (1, 1));
    assert_eq!(check.differences[0].what, "cannot be read: too short");
    let again = bench.another().check_rollups(PROJECT, || false).await.unwrap().unwrap();
    assert_eq!((again.difference_count, again.rebuilt), (0, 0));
    assert_eq!(daily_by_name(&bench.another(), RollupUse::Always).await, expected);
}

async fn another_time_zone_makes_other_rollups(db: TestDatabase) {
    let bench = Bench::new(db);
    let expected = sealed(&bench).await;
    let before: BTreeMap<String, Vec<u8>> = contents(&bench);
    bench.zones.set("America/St_Johns");
    assert_eq!(ask_all(&bench.store, RollupUse::Always).await, expected);
    let renewed = bench.store.renew_rollups(PROJECT, || false).await.unwrap();
    assert_eq!(renewed, before.len() as u64);
    let after = contents(&bench);
    assert!(before.iter().all(|(name, bytes)| after.get(name) != Some(bytes)));
    for store in [&bench.store, &bench.another()] {
        assert_eq!(ask_all(store, RollupUse::Always).await, expected);
    }
    bench.zones.set("No/Where");
    assert_eq!(bench.store.renew_rollups(PROJECT, || false).await.unwrap(), before.len() as u64);
    assert_eq!(ask_all(&bench.store, RollupUse::Always).await, expected);
}

fn contents(bench: &Bench) -> BTreeMap<String, Vec<u8>> {
    let read = |name: String| {
        let bytes = std::fs::read(bench.directory.join("7").join(&name)).unwrap();
        (name, bytes)
    };
    rollups(bench).into_iter().map(read).collect()
}

async fn who_is_erased_is_in_no_rollup(db: TestDatabase) {
    let bench = Bench::new(db);
    let before = sealed(&bench).await;
    bench.append(&events(120..150)).await.unwrap();
    bench.store.erase_subject(PROJECT, SubjectId(1)).await.unwrap();
    let expected = ask_all(&bench.store, RollupUse::Never).await;
    assert_ne!(before, expected);
    assert_eq!(ask_all(&bench.store, RollupUse::Always).await, expected);
    let left: Vec<_> = events(0..150).into_iter().filter(|it| it.subject != Some(SubjectId(1))).collect();
    assert_eq!(daily_by_name(&bench.store, RollupUse::Always).await, twin(&left));
    let check = bench.store.check_rollups(PROJECT, || false).await.unwrap().unwrap();
    assert_eq!((check.difference_count, check.without), (0, 0));
}

async fn a_check_that_was_stopped_goes_on_where_it_was(db: TestDatabase) {
    let bench = Bench::new(db);
    assert_eq!(bench.store.check_rollups(PROJECT, || false).await.unwrap(), None);
    sealed(&bench).await;
    let segments = bench.store.stats(PROJECT).await.unwrap().segments;
    let asked = Arc::new(AtomicU32::new(0));
    let mut events = 0;
    let mut checks = 0;
    loop {
        let (asked, start) = (Arc::clone(&asked), asked.load(Ordering::SeqCst));
        let two = move || asked.fetch_add(1, Ordering::SeqCst) >= start + 2;
        let check = bench.store.check_rollups(PROJECT, two).await.unwrap().unwrap();
        checks += 1;
        assert_eq!((check.segments, check.is_complete), (2, false));
        events += check.events;
        if checks * 2 >= segments {
            break;
        }
    }
    // Every segment was compared once, and the first one again if their number is odd.
    assert!(events >= 120, "{events} in {checks} checks of {segments}");
    let all = bench.store.check_rollups(PROJECT, || false).await.unwrap().unwrap();
    assert_eq!((all.segments, all.events, all.is_complete), (segments, 120, true));
}
