use std::time::Duration;

use belvedere_storage::testing::TestDatabase;
use belvedere_storage::{PageRequest, database_tests};

use super::{Bench, PROJECT, at, span, story, two_days};
use crate::columns::Dimension;
use crate::kernel::filter::{Filter, TextTest, ValueTest};
use crate::kernel::funnel::{FunnelBreakdown, FunnelMode, FunnelRules, Touch};
use crate::kernel::group::Field;
use crate::kernel::path::Direction;
use crate::kernel::trend::{Breakdown, Measures};
use crate::query::{
    AskActive, AskFunnel, AskPath, AskSession, AskTrend, Explore, ListNames, Queries, QueriesError,
    QueryLimits, ReadTimeline, RollupUse, Span, Unit,
};
use crate::{EventStore, TIME_END, TIME_MIN};

database_tests!(
    what_is_beyond_a_limit_is_refused_by_the_name_of_its_field,
    a_name_that_no_event_ever_had_is_refused,
    questions_that_take_too_long_or_too_much_are_refused,
    questions_that_nobody_waits_for_leave_room_for_others,
    another_project_has_none_of_the_events,
);

fn ask_trend() -> AskTrend {
    AskTrend {
        span: two_days(),
        unit: Unit::Day,
        filter: Filter::all(),
        measures: Measures::default(),
        values_of: None,
        breakdown: None,
    }
}

fn ask_funnel() -> AskFunnel {
    let rules = FunnelRules::default();
    AskFunnel { span: two_days(), steps: vec![Filter::all()], window_ms: 1, rules, breakdown: None }
}

fn why<T: std::fmt::Debug>(outcome: Result<T, QueriesError>) -> String {
    let error = outcome.unwrap_err();
    assert!(!error.is_transient());
    error.to_string()
}

async fn what_is_beyond_a_limit_is_refused_by_the_name_of_its_field(db: TestDatabase) {
    let bench = Bench::new(db);
    let queries = &bench.queries;
    let nested = (0..9).fold(Filter::all(), |filter, _| Filter::Not(Box::new(filter)));
    let long = Filter::Dimension(Dimension::Plan, TextTest::In(vec![String::new(); 1_001]));
    let breakdown = |limit| Some(Breakdown { field: Field::Name, limit });
    let cases = [
        (
            AskTrend { span: span("2026-11-02T00:00:00Z", "2026-11-02T00:00:00Z"), ..ask_trend() },
            "until: must be later than from",
        ),
        (
            AskTrend { span: span("2024-01-01T00:00:00Z", "2026-11-02T00:00:00Z"), ..ask_trend() },
            "from: must be at most 732 days before until",
        ),
        (
            AskTrend { span: span("1999-01-01T00:00:00Z", "2026-11-02T00:00:00Z"), ..ask_trend() },
            "from: must be between 2000-01-01T00:00:00Z and 2100-01-01T00:00:00Z",
        ),
        (
            AskTrend { span: Span { time_zone: "Mars".to_owned(), ..two_days() }, ..ask_trend() },
            "time_zone: must be the name of an IANA time zone such as Europe/Berlin or UTC",
        ),
        (
            AskTrend {
                unit: Unit::Hour,
                span: span("2026-01-01T00:00:00Z", "2026-11-02T00:00:00Z"),
                ..ask_trend()
            },
            "unit: cuts the range into more than 1000 pieces",
        ),
        (AskTrend { breakdown: breakdown(51), ..ask_trend() }, "breakdown: must be from 1 to 50"),
        (AskTrend { breakdown: breakdown(0), ..ask_trend() }, "breakdown: must be from 1 to 50"),
        (AskTrend { filter: nested, ..ask_trend() }, "events: nests conditions deeper than 8"),
        (
            AskTrend { filter: Filter::Or(vec![Filter::all(); 100]), ..ask_trend() },
            "events: has more than 100 conditions",
        ),
        (AskTrend { filter: long, ..ask_trend() }, "events: lists more than 1000 texts"),
        (
            AskTrend { filter: Filter::Value(ValueTest::Less(f64::NAN)), ..ask_trend() },
            "events: compares with a number that is not finite",
        ),
        (
            AskTrend {
                filter: Filter::Dimension(Dimension::Os, TextTest::Is("x".repeat(201))),
                ..ask_trend()
            },
            "events: has a text of more than 200 bytes",
        ),
    ];
    for (ask, expected) in cases {
        assert_eq!(why(queries.trend(ask).await), expected);
    }
    let cases = [
        (AskFunnel { steps: vec![], ..ask_funnel() }, "steps: must be from 1 to 20"),
        (AskFunnel { steps: vec![Filter::all(); 21], ..ask_funnel() }, "steps: must be from 1 to 20"),
        (AskFunnel { window_ms: -1, ..ask_funnel() }, "window: must be from 0 to 31622400000 ms"),
        (
            AskFunnel {
                breakdown: Some(FunnelBreakdown {
                    field: Field::Dimension(Dimension::Os),
                    touch: Touch::Last,
                    limit: 51,
                }),
                ..ask_funnel()
            },
            "breakdown: must be from 1 to 50",
        ),
        (
            AskFunnel {
                breakdown: Some(FunnelBreakdown { field: Field::Name, touch: Touch::First, limit: 5 }),
                ..ask_funnel()
            },
            "breakdown: must be a property, not the name",
        ),
        (
            AskFunnel {
                rules: FunnelRules { optional: vec![0], mode: FunnelMode::Ordered, exclusions: vec![] },
                ..ask_funnel()
            },
            "optional: the first step cannot be left out",
        ),
    ];
    for (ask, expected) in cases {
        assert_eq!(why(queries.funnel(ask).await), expected);
    }
    let path = AskPath {
        span: two_days(),
        anchor: Filter::all(),
        events: Filter::all(),
        direction: Direction::Next,
        steps: 1,
        gap_ms: 1,
        limit: 1,
    };
    let gap = "gap: must be from 0 to 86400000 ms";
    assert_eq!(why(queries.path(AskPath { gap_ms: 86_400_001, ..path.clone() }).await), gap);
    assert_eq!(
        why(queries.path(AskPath { limit: 201, ..path.clone() }).await),
        "limit: must be from 1 to 200"
    );
    assert_eq!(why(queries.path(AskPath { steps: 21, ..path }).await), "steps: must be from 1 to 20");
    let session =
        AskSession { span: two_days(), unit: Unit::Day, filter: Filter::all(), gap_ms: -1, limit: 1 };
    assert_eq!(why(queries.session(session).await), gap);
    let active =
        AskActive { span: span("2000-01-05T00:00:00Z", "2000-01-09T00:00:00Z"), filter: Filter::all() };
    assert_eq!(queries.active(active).await.unwrap().days.len(), 5);
    let names = ListNames { project: PROJECT, until: at("2026-11-12T00:00:00Z"), limit: 1_001 };
    assert_eq!(why(queries.list_names(names).await), "limit: must be from 1 to 1000");
    let read = ReadTimeline {
        project: PROJECT,
        subject: None,
        filter: Filter::all(),
        from: TIME_MIN,
        until: TIME_END,
        page: PageRequest::new(5, Some("nonsense".to_owned().into())),
    };
    assert_eq!(why(queries.timeline(read).await), "cursor: is not one that a page gave");
}

async fn a_name_that_no_event_ever_had_is_refused(db: TestDatabase) {
    let bench = Bench::new(db);
    bench.append(&story()).await;
    for _ in 0..2 {
        let ask = AskTrend { filter: Filter::name("opend"), ..ask_trend() };
        assert_eq!(why(bench.queries.trend(ask).await), "events: no event is named \"opend\"");
        let steps = vec![Filter::name("opened"), Filter::name("finished")];
        let ask = AskFunnel { steps, ..ask_funnel() };
        assert_eq!(why(bench.queries.funnel(ask).await), "steps: no event is named \"finished\"");
        // A name that there is at other times has no events here, and one that is only excluded need not be there.
        let quiet = span("2026-10-10T00:00:00Z", "2026-10-11T00:00:00Z");
        let ask = AskTrend { span: quiet, filter: Filter::name("opened"), ..ask_trend() };
        assert_eq!(bench.queries.trend(ask).await.unwrap().series[0].events, 0);
        let not = Filter::Not(Box::new(Filter::name("opend")));
        let answer = bench.queries.trend(AskTrend { filter: not, ..ask_trend() }).await.unwrap();
        assert_eq!(answer.series[0].events, 8);
        bench.store.seal(PROJECT).await.unwrap();
    }
}

async fn questions_that_take_too_long_or_too_much_are_refused(db: TestDatabase) {
    let bench = Bench::new(db);
    bench.append(&story()).await;
    let hasty = QueryLimits { time_max: Duration::ZERO, ..QueryLimits::default() };
    let error = Bench::service(&bench.store, hasty).trend(ask_trend()).await.unwrap_err();
    assert!(matches!(error, QueriesError::TooSlow { .. }) && error.is_transient(), "{error:?}");
    let small = QueryLimits { bytes_max: 14 * 8 - 1, rollups: RollupUse::Never, ..QueryLimits::default() };
    let all = AskTrend { span: span("2026-08-01T00:00:00Z", "2026-11-12T00:00:00Z"), ..ask_trend() };
    assert_eq!(
        why(Bench::service(&bench.store, small).trend(all.clone()).await),
        "from: is too long ago: 14 events are more than one question may read"
    );
    let enough = QueryLimits { bytes_max: 14 * 8, rollups: RollupUse::Never, ..QueryLimits::default() };
    assert!(Bench::service(&bench.store, enough).trend(all).await.is_ok());
}

async fn questions_that_nobody_waits_for_leave_room_for_others(db: TestDatabase) {
    let bench = Bench::new(db);
    bench.append(&story()).await;
    let one = QueryLimits { at_once_max: 1, ..QueryLimits::default() };
    let queries = Bench::service(&bench.store, one);
    for micros in 0..100 {
        // Dropped at any point: before its turn, while it reads, while it computes, or when it is done.
        let _ = tokio::time::timeout(Duration::from_micros(micros * 20), queries.trend(ask_trend())).await;
    }
    assert_eq!(queries.trend(ask_trend()).await.unwrap().series[0].events, 8);
}

async fn another_project_has_none_of_the_events(db: TestDatabase) {
    let bench = Bench::new(db);
    bench.append(&story()).await;
    let other = Span { project: belvedere_kernel::ProjectId(8), ..two_days() };
    let answer = bench.queries.trend(AskTrend { span: other.clone(), ..ask_trend() }).await.unwrap();
    assert_eq!(answer.series[0].events, 0);
    let named = AskTrend { span: other, filter: Filter::name("opened"), ..ask_trend() };
    assert_eq!(why(bench.queries.trend(named).await), "events: no event is named \"opened\"");
}
