use std::time::Duration;

use belvedere_storage::testing::TestDatabase;
use belvedere_storage::{Page, PageRequest, database_tests};

use super::{ANN, BOB, Bench, CLEO, DORA, PROJECT, at, span, story};
use crate::columns::{Dimension, PropName};
use crate::kernel::filter::Filter;
use crate::kernel::group::Field;
use crate::kernel::top::{Rank, TopItem};
use crate::query::{
    AskActive, AskTop, Explore, Queries, QueryLimits, QueryService, ReadTimeline, RollupUse, TimelineEvent,
};
use crate::{Event, EventStore, PartKey};

database_tests!(
    decoded_columns_of_who_is_erased_leave_the_cache_at_once,
    rollups_that_were_made_anew_leave_the_cache_with_their_segments,
    a_further_column_is_decoded_alone_and_only_once,
    what_is_read_ahead_is_read_once_and_changes_no_answer,
    the_newest_events_of_a_segment_are_kept_and_the_older_ones_found,
    what_comes_is_decoded_for_those_who_asked_lately,
    texts_are_ranked_by_events_and_by_subjects,
    a_version_changes_with_what_is_stored,
);

fn ask_active() -> AskActive {
    AskActive { span: span("2026-09-01T00:00:00Z", "2026-11-12T00:00:00Z"), filter: Filter::all() }
}

fn ask_top(rank: Rank) -> AskTop {
    AskTop {
        span: ask_active().span,
        filter: Filter::all(),
        goal: Some(Filter::name("completed")),
        field: Field::Dimension(Dimension::Course),
        rank,
        limit: 10,
    }
}

/// Questions that read events, not rollups.
fn scanning(bench: &Bench) -> QueryService {
    Bench::service(&bench.store, QueryLimits { rollups: RollupUse::Never, ..QueryLimits::default() })
}

async fn decoded_columns_of_who_is_erased_leave_the_cache_at_once(db: TestDatabase) {
    let bench = Bench::new(db);
    let queries = scanning(&bench);
    bench.append(&story()).await;
    bench.store.seal(PROJECT).await.unwrap();
    queries.active(ask_active()).await.unwrap();
    let mut before = queries.cached_bytes();
    assert!(before > 0);
    for subject in [ANN, BOB, CLEO, DORA] {
        bench.store.erase_subject(PROJECT, subject).await.unwrap();
        let after = queries.cached_bytes();
        assert!(after <= before, "{after} bytes after {before}");
        before = after;
    }
    // Every segment had one of them.
    assert_eq!(before, 0);
    // The tail too, and by another process.
    let mut again = story();
    again.iter_mut().for_each(|event| event.id[0] = 99);
    bench.append(&again).await;
    queries.active(ask_active()).await.unwrap();
    let before = queries.cached_bytes();
    let another = bench.another();
    another.erase_subject(PROJECT, ANN).await.unwrap();
    bench.store.snapshot(crate::Select::all(PROJECT)).await.unwrap();
    assert!(queries.cached_bytes() < before);
}

async fn rollups_that_were_made_anew_leave_the_cache_with_their_segments(db: TestDatabase) {
    let bench = Bench::new(db);
    let limits = QueryLimits { rollups: RollupUse::Always, ..QueryLimits::default() };
    let queries = Bench::service(&bench.store, limits);
    bench.append(&story()).await;
    bench.store.seal(PROJECT).await.unwrap();
    let parts = bench.store.snapshot(crate::Select::all(PROJECT)).await.unwrap().parts;
    for part in &parts {
        let PartKey::Segment(segment) = part.key else { panic!("{:?} is not sealed", part.key) };
        std::fs::remove_file(bench.store.inner.directory.rollup(PROJECT, segment)).unwrap();
    }
    let renewed = bench.store.renew_rollups(PROJECT, || false).await.unwrap();
    assert_eq!(renewed, parts.len() as u64);
    let mut ask = ask_active();
    ask.span.time_zone = "UTC".to_owned();
    queries.active(ask).await.unwrap();
    assert!(queries.cached_bytes() > 0);
    assert_eq!(queries.cached_columns(), 0);
    for subject in [ANN, BOB, CLEO, DORA] {
        bench.store.erase_subject(PROJECT, subject).await.unwrap();
    }
    // Every segment had one of them.
    assert_eq!(queries.cached_bytes(), 0);
}

async fn a_further_column_is_decoded_alone_and_only_once(db: TestDatabase) {
    let bench = Bench::new(db);
    let queries = scanning(&bench);
    bench.append(&story()).await;
    bench.store.seal(PROJECT).await.unwrap();
    let keys = || queries.cached_columns();
    let parts = bench.store.snapshot(crate::Select::all(PROJECT)).await.unwrap().parts;
    let segments: Vec<PartKey> = parts.iter().map(|part| part.key).collect();
    queries.active(ask_active()).await.unwrap();
    assert_eq!(keys(), segments.len());
    queries.top(ask_top(Rank::Events)).await.unwrap();
    assert_eq!(keys(), 2 * segments.len());
    queries.top(ask_top(Rank::Subjects)).await.unwrap();
    queries.active(ask_active()).await.unwrap();
    assert_eq!(keys(), 2 * segments.len());
}

async fn what_is_read_ahead_is_read_once_and_changes_no_answer(db: TestDatabase) {
    let bench = Bench::new(db);
    let (ahead, plain) = (scanning(&bench), scanning(&bench));
    let mut told = story();
    for (event, attempt) in told.iter_mut().zip([1, 2].into_iter().cycle()) {
        event.props = format!("{{\"attempt\":{attempt},\"hint\":\"{}\"}}", event.name);
    }
    bench.append(&told).await;
    bench.store.seal(PROJECT).await.unwrap();
    let prop = |name| Field::Prop(PropName::try_new(name).unwrap());
    let fields = [Field::Dimension(Dimension::Course), prop("attempt"), prop("hint")];
    ahead.read_ahead(&ask_active().span, &fields).await.unwrap();
    let before = ahead.cached_bytes();
    for field in fields {
        let ask = AskTop { field, ..ask_top(Rank::Events) };
        let answer = ahead.top(ask.clone()).await.unwrap();
        assert_eq!(answer, plain.top(ask).await.unwrap());
        assert!(!answer.is_empty());
    }
    assert_eq!(ahead.cached_bytes(), before);
    assert_eq!(plain.cached_bytes(), before);
    // Too much for one question is nothing to read ahead.
    let small = Bench::service(&bench.store, QueryLimits { bytes_max: 1, ..QueryLimits::default() });
    small.read_ahead(&ask_active().span, &[prop("hint")]).await.unwrap();
    assert_eq!(small.cached_bytes(), 0);
}

async fn the_newest_events_of_a_segment_are_kept_and_the_older_ones_found(db: TestDatabase) {
    let bench = Bench::new(db);
    let store = bench.another();
    let begin = at("2026-11-02T08:00:00Z");
    let told: Vec<Event> = (0..700_u16)
        .map(|number| {
            let mut id = [0; 16];
            id[..2].copy_from_slice(&number.to_be_bytes());
            // In no order, two in each minute.
            let minutes = u64::from(number) * 331 % 700 / 2;
            let mut event = Event::new(id, begin.plus(Duration::from_secs(60 * minutes)), "opened");
            event.subject = Some([ANN, BOB, CLEO][usize::from(number % 3)]);
            event.props = format!("{{\"number\":{number}}}");
            event
        })
        .collect();
    bench.append_by(&store, &told).await;
    store.seal(PROJECT).await.unwrap();
    let queries = Bench::service(&store, QueryLimits::default());
    let mut expected: Vec<(i64, [u8; 16])> = told.iter().map(|it| (it.at.as_micros(), it.id)).collect();
    expected.sort_unstable_by(|a, b| b.cmp(a));
    let read = |until, after, limit| ReadTimeline {
        project: PROJECT,
        subject: None,
        filter: Filter::all(),
        from: begin,
        until,
        page: PageRequest::new(limit, after),
    };
    let keys = |page: &Page<TimelineEvent>| {
        page.items.iter().map(|it| (it.at.as_micros(), it.id)).collect::<Vec<_>>()
    };
    for _ in 0..2 {
        let (mut found, mut after) = (Vec::new(), None);
        loop {
            let page = queries.timeline(read(at("2026-11-12T00:00:00Z"), after, 90)).await.unwrap();
            found.extend(keys(&page));
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        assert_eq!(found, expected);
    }
    // Before what is kept.
    let until = begin.plus(Duration::from_secs(60 * 40));
    let older: Vec<_> = expected.iter().filter(|(micros, _)| *micros < until.as_micros()).copied().collect();
    let page = queries.timeline(read(until, None, 90)).await.unwrap();
    assert_eq!((keys(&page).len(), keys(&page)), (80, older));
    let before = queries.cached_bytes();
    assert!(before > 0);
    store.erase_subject(PROJECT, ANN).await.unwrap();
    assert_eq!(queries.cached_bytes(), 0);
    let page = queries.timeline(read(at("2026-11-12T00:00:00Z"), None, 90)).await.unwrap();
    assert_eq!(page.items.len(), 90);
    assert!(page.items.iter().all(|it| it.subject != Some(ANN)));
}

async fn what_comes_is_decoded_for_those_who_asked_lately(db: TestDatabase) {
    let bench = Bench::new(db);
    let queries = scanning(&bench);
    let mut told = story();
    let later = told.split_off(9);
    bench.append(&told).await;
    queries.keep_warm().await.unwrap();
    assert_eq!(queries.cached_bytes(), 0, "nobody has asked");
    queries.active(ask_active()).await.unwrap();
    let before = queries.cached_bytes();
    let another = bench.another();
    bench.append_by(&another, &later).await;
    queries.keep_warm().await.unwrap();
    assert!(queries.cached_bytes() > before);
    another.seal(PROJECT).await.unwrap();
    queries.keep_warm().await.unwrap();
    let segments = bench.store.stats(PROJECT).await.unwrap().segments;
    assert_eq!(queries.cached_columns() as u64, segments);
    assert_eq!(
        queries.active(ask_active()).await.unwrap(),
        scanning(&bench).active(ask_active()).await.unwrap()
    );
    assert_eq!(queries.cached_columns() as u64, segments);
}

async fn texts_are_ranked_by_events_and_by_subjects(db: TestDatabase) {
    let bench = Bench::new(db);
    let queries = scanning(&bench);
    bench.append(&story()).await;
    let plain = |items: Vec<TopItem>| -> Vec<(u64, u64, u64)> {
        items.iter().map(|item| (item.events, item.subjects, item.goal_subjects)).collect()
    };
    for _ in 0..2 {
        for rank in [Rank::Events, Rank::Subjects] {
            let items = queries.top(ask_top(rank)).await.unwrap();
            // Of algebra one event is nobody's; what has no course is in no text.
            assert_eq!(plain(items), [(9, 3, 2), (4, 1, 1)]);
        }
        bench.store.seal(PROJECT).await.unwrap();
    }
}

async fn a_version_changes_with_what_is_stored(db: TestDatabase) {
    let bench = Bench::new(db);
    let version = async || bench.queries.version(PROJECT).await.unwrap();
    let mut versions = vec![version().await];
    bench.append(&story()[..5]).await;
    versions.push(version().await);
    bench.append(&story()[5..]).await;
    versions.push(version().await);
    bench.store.seal(PROJECT).await.unwrap();
    versions.push(version().await);
    bench.store.erase_subject(PROJECT, ANN).await.unwrap();
    versions.push(version().await);
    assert!(versions.windows(2).all(|pair| pair[0] != pair[1]), "{versions:?}");
    bench.queries.active(ask_active()).await.unwrap();
    assert_eq!(versions.last(), Some(&version().await));
}
