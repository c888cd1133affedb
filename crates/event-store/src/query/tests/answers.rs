use belvedere_storage::testing::TestDatabase;
use belvedere_storage::{PageRequest, database_tests};

use super::{ANN, BOB, Bench, PROJECT, at, span, story, two_days};
use crate::columns::Dimension;
use crate::kernel::active::ActiveDay;
use crate::kernel::adoption::AdoptionItem;
use crate::kernel::filter::Filter;
use crate::kernel::funnel::{FunnelBreakdown, FunnelRules, FunnelStep, Touch};
use crate::kernel::group::{Field, Group};
use crate::kernel::lifecycle::LifecyclePeriod;
use crate::kernel::path::{Direction, PathEdge};
use crate::kernel::retention::{Cohort, CohortBy, RetentionAverage, RetentionMode};
use crate::kernel::session::SessionBucket;
use crate::kernel::trend::{Breakdown, Measures, Series};
use crate::query::{
    AskActive, AskAdoption, AskFunnel, AskLifecycle, AskPath, AskPercentile, AskRetention, AskSession,
    AskTrend, Explore, ListNames, ListValues, NameVolume, Queries, QueryLimits, ReadTimeline, RollupUse,
    Unit, ValueVolume,
};
use crate::{EventStore, TIME_END, TIME_MIN};

database_tests!(
    answers_are_the_same_in_the_tail_sealed_and_merged,
    answers_are_the_same_half_sealed_and_half_in_the_tail,
    who_is_erased_is_in_no_answer,
);

async fn answers_are_the_same_in_the_tail_sealed_and_merged(db: TestDatabase) {
    let bench = Bench::new(db);
    let story = story();
    // Late events come in later batches.
    for batch in [&story[5..9], &story[9..], &story[..1], &story[1..5]] {
        bench.append(batch).await;
    }
    check_all(&bench).await;
    assert_eq!(bench.store.seal(PROJECT).await.unwrap().events, 14);
    check_all(&bench).await;
    bench.clock.set(at("2027-02-01T00:00:00Z"));
    assert!(bench.store.compact(PROJECT).await.unwrap().merged > 0);
    check_all(&bench).await;
}

async fn answers_are_the_same_half_sealed_and_half_in_the_tail(db: TestDatabase) {
    let bench = Bench::new(db);
    let story = story();
    let (even, odd): (Vec<_>, Vec<_>) = story.into_iter().partition(|event| event.id[0] % 2 == 0);
    bench.append(&even).await;
    bench.store.seal(PROJECT).await.unwrap();
    for event in odd {
        bench.append(&[event]).await;
    }
    check_all(&bench).await;
}

async fn who_is_erased_is_in_no_answer(db: TestDatabase) {
    let bench = Bench::new(db);
    bench.append(&story()[..7]).await;
    bench.store.seal(PROJECT).await.unwrap();
    bench.append(&story()[7..]).await;
    check_all(&bench).await;
    bench.store.erase_subject(PROJECT, BOB).await.unwrap();
    let names = bench.queries.list_names(list_names()).await.unwrap();
    let volumes: Vec<_> = names.iter().map(|it| (it.name.as_str(), it.events, it.subjects)).collect();
    assert_eq!(volumes, [("opened", 5, 2), ("completed", 2, 2), ("started", 2, 2)]);
}

/// Asks twice, so that the second answer comes from the cache, and once without any cache.
async fn check_all(bench: &Bench) {
    let fresh = Bench::service(&bench.store, QueryLimits::default());
    let [rolled, read] = [RollupUse::Always, RollupUse::Never]
        .map(|rollups| Bench::service(&bench.store, QueryLimits { rollups, ..QueryLimits::default() }));
    for queries in [&bench.queries, &bench.queries, &fresh, &rolled, &rolled, &read] {
        trends(queries).await;
        percentiles(queries).await;
        active(queries).await;
        funnel(queries).await;
        retention(queries).await;
        lifecycle(queries).await;
        adoption(queries).await;
        path(queries).await;
        session(queries).await;
        lists(queries).await;
        timelines(queries).await;
    }
}

fn numbers(series: &Series) -> Vec<(u64, u64)> {
    series.points.iter().map(|point| (point.events, point.subjects)).collect()
}

async fn trends(queries: &dyn Queries) {
    let ask = AskTrend {
        span: two_days(),
        unit: Unit::Day,
        filter: Filter::name("opened"),
        measures: Measures { subjects: true, ..Measures::default() },
        values_of: None,
        breakdown: None,
    };
    let answer = queries.trend(ask.clone()).await.unwrap();
    assert_eq!(answer.starts, [at("2026-11-01T23:00:00Z"), at("2026-11-02T23:00:00Z")]);
    assert_eq!(answer.series.len(), 1);
    assert_eq!(numbers(&answer.series[0]), [(2, 2), (3, 2)]);
    assert_eq!((answer.series[0].events, answer.series[0].subjects), (5, 3));

    let field = Field::Dimension(Dimension::Course);
    let by_course = AskTrend { breakdown: Some(Breakdown { field, limit: 1 }), ..ask.clone() };
    let answer = queries.trend(by_course).await.unwrap();
    let groups: Vec<_> =
        answer.series.iter().map(|it| (it.group.clone(), it.subjects, numbers(it))).collect();
    let algebra = (Group::Text("algebra".to_owned()), 2, vec![(1, 1), (2, 2)]);
    assert_eq!(groups, [algebra, (Group::Other, 1, vec![(1, 1), (1, 0)])]);

    let by_name = AskTrend {
        filter: Filter::all(),
        breakdown: Some(Breakdown { field: Field::Name, limit: 50 }),
        ..ask
    };
    let answer = queries.trend(by_name).await.unwrap();
    let groups: Vec<_> = answer.series.iter().map(|it| (it.group.clone(), numbers(it))).collect();
    let named = |name: &str| Group::Text(name.to_owned());
    assert_eq!(
        groups,
        [
            (named("opened"), vec![(2, 2), (3, 2)]),
            (named("started"), vec![(2, 2), (0, 0)]),
            (named("completed"), vec![(1, 1), (0, 0)])
        ]
    );
}

async fn percentiles(queries: &dyn Queries) {
    let ask = AskPercentile {
        span: span("2026-10-31T23:00:00Z", "2026-11-30T23:00:00Z"),
        unit: Unit::Month,
        filter: Filter::name("completed"),
        values_of: None,
        breakdown: None,
    };
    let answer = queries.percentile(ask).await.unwrap();
    let points = &answer.series[0].points;
    assert_eq!((answer.starts.len(), points.len()), (1, 1));
    assert_eq!((points[0].values, points[0].sum), (3, 240.0));
    assert_eq!((points[0].min, points[0].max), (Some(60.0), Some(100.0)));
    assert_eq!(points[0].percentiles, Some([80.0, 100.0, 100.0, 100.0, 100.0]));
}

async fn active(queries: &dyn Queries) {
    let ask = AskActive { span: span("2026-11-08T23:00:00Z", "2026-11-10T20:00:00Z"), filter: Filter::all() };
    let answer = queries.active(ask).await.unwrap();
    let day = |start, daily, weekly, monthly| ActiveDay {
        start_micros: at(start).as_micros(),
        daily,
        weekly,
        monthly_28: monthly,
        monthly_30: monthly,
    };
    assert_eq!(answer.days, [day("2026-11-08T23:00:00Z", 1, 3, 3), day("2026-11-09T23:00:00Z", 2, 3, 4)]);
    assert_eq!(answer.subjects_by_active_days, [0, 3, 0]);
}

fn step(subjects: u64, median_ms: impl Into<Option<i64>>) -> FunnelStep {
    FunnelStep { subjects, median_ms: median_ms.into() }
}

async fn funnel(queries: &dyn Queries) {
    let ask = AskFunnel {
        span: two_days(),
        steps: ["opened", "started", "completed"].map(Filter::name).into(),
        window_ms: 7 * 86_400_000,
        rules: FunnelRules::default(),
        breakdown: Some(FunnelBreakdown {
            field: Field::Dimension(Dimension::Course),
            touch: Touch::First,
            limit: 50,
        }),
    };
    let answer = queries.funnel(ask.clone()).await.unwrap();
    let groups: Vec<_> = answer.groups.into_iter().map(|it| (it.group, it.steps)).collect();
    let all = [step(3, None), step(2, 600_000), step(1, 600_000)];
    let algebra = [step(2, None), step(1, 600_000), step(1, 600_000)];
    let botany = [step(1, None), step(1, 3_600_000), step(0, None)];
    let named = |name: &str| Group::Text(name.to_owned());
    assert_eq!(
        groups,
        [
            (Group::All, all.to_vec()),
            (named("algebra"), algebra.to_vec()),
            (named("botany"), botany.to_vec())
        ]
    );
    // Bob completed five minutes after the seventh day.
    let longer = AskFunnel { window_ms: 7 * 86_400_000 + 300_000, breakdown: None, ..ask };
    let answer = queries.funnel(longer).await.unwrap();
    assert_eq!(answer.groups.iter().map(|it| it.steps[2].subjects).collect::<Vec<_>>(), [2]);
}

async fn retention(queries: &dyn Queries) {
    let ask = AskRetention {
        span: span("2026-11-03T12:00:00Z", "2026-11-10T12:00:00Z"),
        unit: Unit::Week,
        start: Filter::name("opened"),
        returned: Filter::all(),
        cohort_by: CohortBy::FirstStart,
        mode: RetentionMode::Classic,
        complete_until: at("2026-11-12T00:00:00Z"),
    };
    let answer = queries.retention(ask.clone()).await.unwrap();
    let cohort = |start, subjects, returned: &[u64]| Cohort {
        start_micros: at(start).as_micros(),
        subjects,
        returned: returned.to_vec(),
    };
    // Dora opened weeks before.
    let first = cohort("2026-11-01T23:00:00Z", 3, &[3, 2]);
    assert_eq!(answer.cohorts, [first.clone(), cohort("2026-11-08T23:00:00Z", 0, &[0])]);
    let average = |subjects, returned| RetentionAverage { subjects, returned };
    assert_eq!(answer.average, [average(3, 3), average(0, 0)]);
    let any = AskRetention { cohort_by: CohortBy::AnyStart, mode: RetentionMode::Unbounded, ..ask };
    let answer = queries.retention(any).await.unwrap();
    assert_eq!(answer.cohorts, [first, cohort("2026-11-08T23:00:00Z", 1, &[1])]);
}

async fn lifecycle(queries: &dyn Queries) {
    let ask = AskLifecycle {
        span: span("2026-11-09T12:00:00Z", "2026-11-10T12:00:00Z"),
        unit: Unit::Week,
        filter: Filter::all(),
    };
    let answer = queries.lifecycle(ask).await.unwrap();
    let start_micros = at("2026-11-08T23:00:00Z").as_micros();
    let week = LifecyclePeriod { start_micros, new: 0, returning: 2, resurrecting: 1, dormant: 1, ever: 4 };
    assert_eq!(answer.periods, [week]);
}

async fn adoption(queries: &dyn Queries) {
    let ask = AskAdoption {
        span: span("2026-11-02T23:00:00Z", "2026-11-10T12:00:00Z"),
        seen: Filter::all(),
        used: Filter::Not(Box::new(Filter::name("opened"))),
        field: Field::Name,
        cohorts_from: at("2026-11-02T12:00:00Z"),
        unit: Unit::Week,
        limit: 5,
    };
    let answer = queries.adoption(ask).await.unwrap();
    let weeks = ["2026-11-01T23:00:00Z", "2026-11-08T23:00:00Z"].map(|start| at(start).as_micros());
    // Dora came months before all cohorts.
    assert_eq!(answer.cohorts, [(weeks[0], 3), (weeks[1], 0)]);
    let item = |text: &str, users, adopters, median_ms, in_first| AdoptionItem {
        text: text.to_owned(),
        users,
        adopters,
        median_ms,
        by_cohort: vec![in_first, 0],
    };
    // Bob completed a week after he came, Cleo later.
    let hours = |hours: i64, minutes: i64| (hours * 60 + minutes) * 60_000;
    assert_eq!(
        answer.items,
        [item("completed", 3, 2, Some(hours(7 * 24, 5)), 3), item("started", 2, 0, None, 2),]
    );
}

async fn path(queries: &dyn Queries) {
    let ask = AskPath {
        span: span("2026-11-01T23:00:00Z", "2026-11-02T23:00:00Z"),
        anchor: Filter::name("opened"),
        events: Filter::all(),
        direction: Direction::Next,
        steps: 2,
        gap_ms: 1_800_000,
        limit: 10,
    };
    let answer = queries.path(ask.clone()).await.unwrap();
    assert_eq!((answer.paths, answer.subjects), (2, 2));
    let edge = |step, from: &str, to: Option<&str>| PathEdge {
        step,
        from: from.to_owned(),
        to: to.map(str::to_owned),
        paths: 1,
        subjects: 1,
    };
    assert_eq!(
        answer.edges,
        [edge(1, "opened", None), edge(1, "opened", Some("started")), edge(2, "started", Some("completed"))]
    );
    let before = AskPath { anchor: Filter::name("completed"), direction: Direction::Previous, ..ask };
    let answer = queries.path(before).await.unwrap();
    assert_eq!(answer.edges, [edge(1, "completed", Some("started")), edge(2, "started", Some("opened"))]);
}

async fn session(queries: &dyn Queries) {
    let ask =
        AskSession { span: two_days(), unit: Unit::Day, filter: Filter::all(), gap_ms: 1_800_000, limit: 10 };
    let answer = queries.session(ask.clone()).await.unwrap();
    let first = SessionBucket { sessions: 3, events: 5, bounces: 2, duration_ms: 1_200_000 };
    let second = SessionBucket { sessions: 2, events: 2, bounces: 2, duration_ms: 0 };
    assert_eq!(answer.starts.len(), 2);
    assert_eq!(answer.sessions.buckets, [first, second]);
    let named = |names: &[(&str, u64)]| -> Vec<(String, u64)> {
        names.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect()
    };
    assert_eq!(answer.sessions.entries, named(&[("opened", 4), ("started", 1)]));
    assert_eq!(answer.sessions.exits, named(&[("opened", 3), ("completed", 1), ("started", 1)]));
    // A session that began five minutes before the span is not in it, although one of its events is.
    let later = AskSession { span: span("2026-11-02T08:05:00Z", "2026-11-02T08:59:00Z"), ..ask };
    let answer = queries.session(later).await.unwrap();
    assert_eq!(answer.sessions.buckets, [SessionBucket::default()]);
}

fn list_names() -> ListNames {
    ListNames { project: PROJECT, until: at("2026-11-12T00:00:00Z"), limit: 100 }
}

async fn lists(queries: &dyn Queries) {
    let volume = |name: &str, events, subjects| NameVolume { name: name.to_owned(), events, subjects };
    let names = queries.list_names(list_names()).await.unwrap();
    assert_eq!(names, [volume("opened", 7, 3), volume("completed", 3, 3), volume("started", 3, 3)]);
    let list = ListValues {
        project: PROJECT,
        name: Some("opened".to_owned()),
        property: Field::Dimension(Dimension::Course),
        until: at("2026-11-12T00:00:00Z"),
        limit: 100,
    };
    let volume = |value: Option<&str>, events, subjects| ValueVolume {
        value: value.map(str::to_owned),
        events,
        subjects,
    };
    let values = queries.list_values(list.clone()).await.unwrap();
    assert_eq!(values, [volume(Some("algebra"), 4, 2), volume(Some("botany"), 2, 1), volume(None, 1, 0)]);
    let first = queries.list_values(ListValues { limit: 1, ..list }).await.unwrap();
    assert_eq!(first, [volume(Some("algebra"), 4, 2)]);
}

async fn timelines(queries: &dyn Queries) {
    let read = |subject, limit| ReadTimeline {
        project: PROJECT,
        subject,
        filter: Filter::all(),
        from: TIME_MIN,
        until: TIME_END,
        page: PageRequest::first(limit),
    };
    let page = queries.timeline(read(Some(BOB), 3)).await.unwrap();
    let ids = |items: &[crate::query::TimelineEvent]| items.iter().map(|it| it.id[0]).collect::<Vec<_>>();
    assert_eq!(ids(&page.items), [10, 9, 5]);
    assert_eq!(page.items[0].subject, Some(BOB));
    assert_eq!((page.items[0].value, page.items[0].name.as_str()), (Some(60.0), "completed"));
    assert_eq!(page.items[0].texts, [("course", "botany".to_owned())]);
    let next = ReadTimeline { page: PageRequest::new(3, page.next), ..read(Some(BOB), 3) };
    let page = queries.timeline(next).await.unwrap();
    assert_eq!((ids(&page.items), page.next), (vec![4], None));

    let mut found = Vec::new();
    let mut after = None;
    loop {
        let page = ReadTimeline { page: PageRequest::new(5, after), ..read(None, 5) };
        let page = queries.timeline(page).await.unwrap();
        found.extend(ids(&page.items));
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    assert_eq!(found, [12, 13, 11, 10, 9, 7, 8, 6, 5, 4, 3, 2, 1, 0]);
    let started = ReadTimeline { filter: Filter::name("started"), ..read(None, 2) };
    let page = queries.timeline(started).await.unwrap();
    assert_eq!(ids(&page.items), [13, 5]);
    assert!(page.items[0].subject_number.is_some() && page.next.is_some());
    let ann = ReadTimeline { until: at("2026-11-02T08:20:00Z"), ..read(Some(ANN), 10) };
    assert_eq!(ids(&queries.timeline(ann).await.unwrap().items), [2, 1]);
}
