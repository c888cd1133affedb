use belvedere_kernel::{ProjectId, SubjectId};
use belvedere_storage::testing::TestDatabase;
use belvedere_storage::{StorageError, database_tests};

use super::fixtures::{Bench, Counted, PROJECT, append, at, content, event, events, files};
use crate::{Event, EventStore, EventStoreError, Fields, Select, TextField};

database_tests!(
    what_is_appended_is_read_back_from_the_tail_and_from_segments,
    an_id_counts_once,
    ids_of_a_transaction_that_is_rolled_back_are_not_known,
    numbers_of_subjects_are_remembered_as_long_as_they_hold,
    a_filter_of_ids_that_is_lost_or_damaged_is_made_anew,
    invalid_events_and_a_full_tail_leave_nothing,
    columns_times_names_and_subjects_are_read_apart,
    projects_are_apart,
);

async fn what_is_appended_is_read_back_from_the_tail_and_from_segments(db: TestDatabase) {
    let bench = Bench::new(db);
    assert_eq!(bench.content().await, []);
    assert_eq!(bench.append(&[]).await.unwrap(), Counted::default());
    assert_eq!(bench.append(&events(0..30)).await.unwrap(), Counted { stored: 30, duplicates: 0 });
    assert_eq!(bench.append(&events(30..100)).await.unwrap(), Counted { stored: 70, duplicates: 0 });
    assert_eq!(bench.content().await, events(0..100));
    let sealed = bench.store.seal(PROJECT).await.unwrap();
    assert_eq!(sealed.events, 100);
    assert_eq!(bench.content().await, events(0..100));
    bench.append(&events(100..110)).await.unwrap();
    assert_eq!(bench.content().await, events(0..110));
    let stats = bench.store.stats(PROJECT).await.unwrap();
    assert_eq!((stats.tail_batches, stats.tail_events, stats.sealed_events), (1, 10, 100));
    assert_eq!((stats.segments, stats.subjects), (sealed.segments, 4));
    let times: Vec<_> = events(0..110).into_iter().map(|event| event.at).collect();
    assert_eq!((stats.first_at, stats.last_at), (times.iter().min().copied(), times.iter().max().copied()));
}

async fn an_id_counts_once(db: TestDatabase) {
    let bench = Bench::new(db);
    let mut twice = events(0..10);
    twice.extend(events(5..15));
    assert_eq!(bench.append(&twice).await.unwrap(), Counted { stored: 15, duplicates: 5 });
    assert_eq!(bench.append(&events(10..20)).await.unwrap(), Counted { stored: 5, duplicates: 5 });
    let other = bench.another();
    assert_eq!(append(&other, &events(0..25)).await.unwrap(), Counted { stored: 5, duplicates: 20 });
    assert_eq!(bench.append(&events(20..26)).await.unwrap(), Counted { stored: 1, duplicates: 5 });
    bench.store.seal(PROJECT).await.unwrap();
    for store in [&bench.store, &other, &bench.another()] {
        assert_eq!(append(store, &events(0..26)).await.unwrap(), Counted { stored: 0, duplicates: 26 });
    }
    // The same id is the same event, whatever else it says.
    let mut changed = event(3);
    changed.at = at("2025-01-01T00:00:00Z");
    assert_eq!(bench.append(&[changed]).await.unwrap(), Counted { stored: 0, duplicates: 1 });
    bench.clock.set(at("2027-02-01T00:00:00Z"));
    assert!(bench.store.compact(PROJECT).await.unwrap().merged > 0);
    assert_eq!(append(&other, &events(0..27)).await.unwrap(), Counted { stored: 1, duplicates: 26 });
    let both: Result<_, EventStoreError> = bench
        .db
        .write(async |tx| {
            let first = bench.store.append_in(tx, PROJECT, &events(20..30)).await?;
            Ok((first, bench.store.append_in(tx, PROJECT, &events(25..35)).await?))
        })
        .await;
    let (first, second) = both.unwrap();
    assert_eq!((first.stored, second.stored, second.duplicates), (3, 5, 5));
    // Who folds events is told which ones, in the order in which they were handed in.
    assert_eq!(first.is_new, (20..30).map(|number| number >= 27).collect::<Vec<_>>());
    assert_eq!(second.is_new, (25..35).map(|number| number >= 30).collect::<Vec<_>>());
    assert_eq!(bench.content().await, events(0..35));
}

async fn ids_of_a_transaction_that_is_rolled_back_are_not_known(db: TestDatabase) {
    let bench = Bench::new(db);
    bench.append(&events(0..3)).await.unwrap();
    let rolled_back: Result<(), EventStoreError> = bench
        .db
        .write(async |tx| {
            assert_eq!(bench.store.append_in(tx, PROJECT, &events(0..10)).await?.stored, 7);
            assert_eq!(bench.store.append_in(tx, PROJECT, &events(0..12)).await?.stored, 2);
            Err(StorageError::corrupt("changed my mind").into())
        })
        .await;
    assert!(rolled_back.is_err());
    assert_eq!(bench.content().await, events(0..3));
    assert_eq!(bench.append(&events(0..10)).await.unwrap(), Counted { stored: 7, duplicates: 3 });
    assert_eq!(bench.content().await, events(0..10));
}

async fn a_filter_of_ids_that_is_lost_or_damaged_is_made_anew(db: TestDatabase) {
    let bench = Bench::new(db);
    bench.append(&events(0..40)).await.unwrap();
    bench.store.seal(PROJECT).await.unwrap();
    let directory = bench.directory.join("7");
    let filters: Vec<String> = bench.files().into_iter().filter(|name| name.ends_with(".ids")).collect();
    assert!(filters.len() >= 2);
    std::fs::remove_file(directory.join(&filters[0])).unwrap();
    std::fs::write(directory.join(&filters[1]), b"BVI1 nonsense").unwrap();
    let before = bench.files().len();
    assert_eq!(
        append(&bench.another(), &events(0..41)).await.unwrap(),
        Counted { stored: 1, duplicates: 40 }
    );
    assert_eq!(files(&directory).len(), before + 1);
}

async fn invalid_events_and_a_full_tail_leave_nothing(db: TestDatabase) {
    let bench = Bench::new(db);
    let mut three = events(0..3);
    three[2].course = Some("x".repeat(201));
    let error = bench.append(&three).await.unwrap_err();
    assert_eq!(error.to_string(), "event 2: course has 201 bytes, at most 200 are allowed");
    assert!(!error.is_transient());
    for start in (0..10_000).step_by(5_000) {
        bench.append(&events(start..start + 5_000)).await.unwrap();
    }
    let error = bench.append(&[event(20_000)]).await.unwrap_err();
    assert!(matches!(error, EventStoreError::TailFull(PROJECT)) && error.is_transient());
    assert_eq!(bench.store.stats(PROJECT).await.unwrap().tail_events, 10_000);
    bench.store.seal(PROJECT).await.unwrap();
    assert_eq!(bench.append(&[event(20_000)]).await.unwrap().stored, 1);
}

async fn columns_times_names_and_subjects_are_read_apart(db: TestDatabase) {
    let bench = Bench::new(db);
    bench.append(&events(0..60)).await.unwrap();
    bench.store.seal(PROJECT).await.unwrap();
    bench.append(&events(60..80)).await.unwrap();
    let all = events(0..80);
    let expected = |wanted: &dyn Fn(&Event) -> bool| -> Vec<Event> {
        all.iter().filter(|event| wanted(event)).cloned().collect()
    };
    let select = Select::all(PROJECT);
    let (from, until) = (event(4).at, event(12).at.max(event(13).at));
    assert!(from < until);
    let found = content(&bench.store, Select { from, until, ..select.clone() }).await;
    assert_eq!(found, expected(&|event| event.at >= from && event.at < until));
    let names = vec!["name-1".to_owned(), "name-3".to_owned(), "name-9".to_owned()];
    let found = content(&bench.store, Select { names: names.clone(), ..select.clone() }).await;
    assert_eq!(found, expected(&|event| names.contains(&event.name)));
    for subject in (0..6).map(SubjectId) {
        let found = content(&bench.store, Select { subject: Some(subject), ..select.clone() }).await;
        assert_eq!(found, expected(&|event| event.subject == Some(subject)), "subject {subject}");
    }
    assert_eq!(content(&bench.store, Select { names: vec!["none".to_owned()], ..select.clone() }).await, []);

    let fields = Fields::VALUE.and(Fields::text(TextField::Course));
    let snapshot = bench.store.snapshot(select).await.unwrap();
    let mut courses = 0;
    for part in &snapshot.parts {
        let batch = part.read(fields).unwrap();
        assert_eq!((batch.count as u64, batch.values.len()), (part.count, batch.count));
        courses += (0..batch.count).filter(|row| batch.text(TextField::Course, *row).is_some()).count();
        assert!(batch.fields == Fields::ALL || batch.ids.is_empty() && batch.times.is_empty());
    }
    assert_eq!(courses, expected(&|event| event.course.is_some()).len());
}

async fn projects_are_apart(db: TestDatabase) {
    let bench = Bench::new(db);
    let other = ProjectId(8);
    for project in [PROJECT, other] {
        let appended: Result<_, EventStoreError> =
            bench.db.write(async |tx| bench.store.append_in(tx, project, &events(0..20)).await).await;
        assert_eq!(appended.unwrap().stored, 20);
    }
    bench.store.seal(other).await.unwrap();
    bench.store.erase_subject(other, SubjectId(1)).await.unwrap();
    assert_eq!(bench.content().await, events(0..20));
    assert_eq!(bench.store.stats(PROJECT).await.unwrap().segments, 0);
    assert_eq!(bench.store.list_projects().await.unwrap(), [PROJECT, other]);
}

async fn numbers_of_subjects_are_remembered_as_long_as_they_hold(db: TestDatabase) {
    let bench = Bench::new(db);
    let other = bench.another();
    let of = |number: u64, subject: i64| [Event { subject: Some(SubjectId(subject)), ..event(number) }];
    let number = async |subject: i64| bench.store.find_subject(PROJECT, SubjectId(subject)).await.unwrap();
    bench.append(&of(0, 101)).await.unwrap();
    let first = number(101).await.unwrap();
    bench.append(&of(1, 101)).await.unwrap();
    assert_eq!(number(101).await.unwrap(), first);
    // What is rolled back was never given.
    let failed: Result<(), EventStoreError> = bench
        .db
        .write(async |tx| {
            bench.store.append_in(tx, PROJECT, &of(2, 102)).await?;
            bench.store.append_in(tx, PROJECT, &of(3, 102)).await?;
            Err(EventStoreError::TailFull(PROJECT))
        })
        .await;
    assert!(failed.is_err());
    append(&other, &of(4, 103)).await.unwrap();
    bench.append(&of(5, 102)).await.unwrap();
    let (second, third) = (number(102).await.unwrap(), number(103).await.unwrap());
    assert!(first != second && second != third && first != third);
    // Another process erases, and so does this one.
    for (step, store) in [(0, &other), (1, &bench.store)] {
        let before = number(101).await.unwrap();
        store.erase_subject(PROJECT, SubjectId(101)).await.unwrap();
        bench.append(&of(6 + step, 101)).await.unwrap();
        let after = number(101).await.unwrap();
        assert!(after > before.max(second).max(third));
        let own = Select { subject: Some(SubjectId(101)), ..Select::all(PROJECT) };
        let found = bench.store.load(own).await.unwrap();
        assert_eq!(found.iter().map(|batch| batch.count).sum::<usize>(), 1);
    }
}
