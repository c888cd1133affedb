use std::time::Duration;

use belvedere_kernel::SubjectId;
use belvedere_storage::testing::TestDatabase;
use belvedere_storage::{StorageError, database_tests};

use super::fixtures::{Bench, PROJECT, at, events};
use crate::{Embedded, Event, EventStore, EventStoreError};

database_tests!(
    an_append_that_fails_at_any_statement_leaves_nothing,
    a_seal_that_fails_at_any_statement_leaves_the_tail_or_segments,
    a_compaction_that_fails_at_any_statement_leaves_all_or_one,
    an_erasure_that_fails_at_any_statement_leaves_all_or_nothing_of_the_subject,
    an_erasure_that_is_not_committed_leaves_no_file,
    a_change_by_another_process_is_noticed_and_leaves_no_file,
    orphans_are_swept_when_they_are_old_enough,
);

const HOUR: Duration = Duration::from_secs(3_600);

/// Fails `work` at each of its statements in turn: the content is as before, until it does not fail, and is as after.
async fn fail_everywhere(
    bench: &Bench,
    after: Vec<Event>,
    statements_min: u32,
    work: impl AsyncFn(&Embedded) -> Result<(), EventStoreError>,
) {
    let before = bench.content().await;
    let mut failures = 0;
    loop {
        bench.db.faults().fail_after(failures);
        let result = work(&bench.store).await;
        if bench.db.faults().take_unused() {
            result.unwrap();
            break;
        }
        assert!(matches!(result, Err(EventStoreError::Storage(StorageError::Other(_)))), "{result:?}");
        assert_eq!(bench.content().await, before, "after a failure at statement {failures}");
        failures += 1;
    }
    assert!(failures >= statements_min, "only {failures} statements");
    assert_eq!(bench.content().await, after);
    // What failed after its files were written left them behind; nothing else is.
    bench.clock.advance(2 * HOUR);
    bench.store.sweep_orphans(PROJECT, HOUR).await.unwrap();
    let segments = bench.store.stats(PROJECT).await.unwrap().segments;
    assert_eq!(bench.files().len() as u64, segments * 3);
    assert_eq!(bench.content().await, after);
}

async fn an_append_that_fails_at_any_statement_leaves_nothing(db: TestDatabase) {
    let bench = Bench::new(db);
    fail_everywhere(&bench, events(0..20), 7, async |store| {
        store.inner.db.write(async |tx| store.append_in(tx, PROJECT, &events(0..20)).await).await.map(|_| ())
    })
    .await;
    bench.store.seal(PROJECT).await.unwrap();
    // The numbers of the subjects are remembered.
    fail_everywhere(&bench, events(0..30), 4, async |store| {
        store.inner.db.write(async |tx| store.append_in(tx, PROJECT, &events(10..30)).await).await.map(|_| ())
    })
    .await;
}

async fn a_seal_that_fails_at_any_statement_leaves_the_tail_or_segments(db: TestDatabase) {
    let bench = Bench::new(db);
    bench.append(&events(0..20)).await.unwrap();
    bench.append(&events(20..35)).await.unwrap();
    fail_everywhere(&bench, events(0..35), 8, async |store| store.seal(PROJECT).await.map(|_| ())).await;
    assert_eq!(bench.store.stats(PROJECT).await.unwrap().tail_batches, 0);
}

async fn a_compaction_that_fails_at_any_statement_leaves_all_or_one(db: TestDatabase) {
    let bench = Bench::new(db);
    for start in [0, 40] {
        bench.append(&events(start..start + 40)).await.unwrap();
        bench.store.seal(PROJECT).await.unwrap();
    }
    bench.clock.set(at("2027-02-01T00:00:00Z"));
    let before = bench.store.stats(PROJECT).await.unwrap();
    fail_everywhere(&bench, events(0..80), 6, async |store| store.compact(PROJECT).await.map(|_| ())).await;
    let after = bench.store.stats(PROJECT).await.unwrap();
    // The events go back 56 days, into October, which begins with the week of September 28.
    assert!(before.segments > 10, "{before:?}");
    assert_eq!((after.segments, after.sealed_events), (2, 80));
}

async fn an_erasure_that_fails_at_any_statement_leaves_all_or_nothing_of_the_subject(db: TestDatabase) {
    let bench = Bench::new(db);
    bench.append(&events(0..60)).await.unwrap();
    bench.store.seal(PROJECT).await.unwrap();
    bench.append(&events(60..90)).await.unwrap();
    bench.append(&events(90..100)).await.unwrap();
    let subject = SubjectId(1);
    let mut after = events(0..100);
    after.retain(|event| event.subject != Some(subject));
    fail_everywhere(&bench, after, 15, async |store| store.erase_subject(PROJECT, subject).await.map(|_| ()))
        .await;
    let erased = bench.store.erase_subject(PROJECT, subject).await.unwrap();
    assert_eq!(erased, crate::Erased::default());
    // Who comes back is somebody else, and was not there before.
    let before = bench.store.stats(PROJECT).await.unwrap().subjects;
    bench.append(&events(0..100)).await.unwrap();
    assert_eq!(bench.content().await, events(0..100));
    assert_eq!(bench.store.stats(PROJECT).await.unwrap().subjects, before + 1);
    assert_eq!(bench.store.find_subject(PROJECT, subject).await.unwrap(), Some(5));
}

async fn an_erasure_that_is_not_committed_leaves_no_file(db: TestDatabase) {
    let bench = Bench::new(db);
    bench.append(&events(0..40)).await.unwrap();
    bench.store.seal(PROJECT).await.unwrap();
    let files = bench.files();
    let prepared = bench.store.prepare_erasure(PROJECT, SubjectId(1)).await.unwrap();
    assert!(bench.files().len() > files.len());
    drop(prepared);
    assert_eq!(bench.files(), files);
    assert_eq!(bench.content().await, events(0..40));
}

async fn a_change_by_another_process_is_noticed_and_leaves_no_file(db: TestDatabase) {
    let bench = Bench::new(db);
    bench.append(&events(0..40)).await.unwrap();
    bench.store.seal(PROJECT).await.unwrap();
    let prepared = bench.store.prepare_erasure(PROJECT, SubjectId(1)).await.unwrap();
    // What is appended meanwhile is erased as well; what is sealed meanwhile would be missed.
    bench.append(&events(40..60)).await.unwrap();
    bench.another().seal(PROJECT).await.unwrap();
    let committed: Result<_, EventStoreError> = bench.db.write(async |tx| prepared.commit_in(tx).await).await;
    assert!(matches!(committed, Err(EventStoreError::Changed(PROJECT))));
    assert_eq!(bench.content().await, events(0..60));
    let segments = bench.store.stats(PROJECT).await.unwrap().segments;
    assert_eq!(bench.files().len() as u64, segments * 3);

    bench.append(&events(60..70)).await.unwrap();
    let prepared = bench.store.prepare_erasure(PROJECT, SubjectId(1)).await.unwrap();
    bench.append(&events(70..80)).await.unwrap();
    let committed: Result<_, EventStoreError> = bench.db.write(async |tx| prepared.commit_in(tx).await).await;
    let mut after = events(0..80);
    after.retain(|event| event.subject != Some(SubjectId(1)));
    assert_eq!(committed.unwrap().events, 80 - after.len() as u64);
    assert_eq!(bench.content().await, after);
}

async fn orphans_are_swept_when_they_are_old_enough(db: TestDatabase) {
    let bench = Bench::new(db);
    bench.append(&events(0..40)).await.unwrap();
    // A seal that stops between the names of its files and its transaction.
    bench.db.faults().fail_after(0);
    bench.store.seal(PROJECT).await.unwrap_err();
    assert!(!bench.db.faults().take_unused());
    let orphans = bench.files().len() as u64;
    assert!(orphans > 2);
    let directory = bench.directory.join("7");
    let piece = format!("{}.parquet.part", bench.files()[0].split('.').next().unwrap());
    std::fs::write(directory.join(piece), "PAR1").unwrap();
    std::fs::write(directory.join("README"), "not ours").unwrap();
    bench.clock.advance(HOUR);
    bench.store.seal(PROJECT).await.unwrap();
    assert_eq!(bench.store.sweep_orphans(PROJECT, 2 * HOUR).await.unwrap(), 0);
    assert_eq!(bench.store.sweep_orphans(PROJECT, HOUR / 2).await.unwrap(), orphans + 1);
    bench.clock.advance(3 * HOUR);
    assert_eq!(bench.store.sweep_orphans(PROJECT, HOUR).await.unwrap(), 0);
    assert_eq!(bench.content().await, events(0..40));
    assert_eq!(bench.files().last().unwrap(), "README");
}
