//! Properties in the JSON of events, and what else was asked of the same few events.

use std::sync::Arc;

use belvedere_kernel::{InProcessBus, LiveBus, SubjectData};
use belvedere_storage::testing::TestDatabase;
use belvedere_storage::{PageRequest, database_tests};

use super::{ANN, BOB, Bench, CLEO, PROJECT, at, span, story};
use crate::columns::PropName;
use crate::kernel::cohort::Did;
use crate::kernel::filter::{Filter, PropTest, TextTest, ValueTest};
use crate::kernel::funnel::{Exclusion, FunnelBreakdown, FunnelMode, FunnelRules, Touch};
use crate::kernel::group::{Field, Group};
use crate::kernel::trend::{Breakdown, Measures};
use crate::query::{
    AskCohort, AskFormula, AskFunnel, AskInterval, AskTrend, FormulaSeries, ListProperties, ListSubjects,
    ListValues, Measure, Queries, QueryLimits, ReadTimeline, Span, Unit,
};
use crate::{Event, EventStore, TIME_END, TIME_MIN};

database_tests!(
    properties_answer_alike_in_the_tail_sealed_and_merged,
    an_erased_subject_leaves_the_store_its_export_and_the_caches,
    appended_events_are_told_of_once_they_are_committed,
);

/// The story, with JSON: a tier of each subject, and the minutes that some events took.
fn told() -> Vec<Event> {
    let mut events = story();
    for event in &mut events {
        let number = event.id[0];
        let tier = match event.subject {
            Some(ANN) => "gold",
            Some(BOB) if number < 6 => "gold",
            Some(BOB) => "silver",
            _ => "",
        };
        let mut json = format!(r#"{{"plan":{{"tier":"{tier}"}}"#);
        if number.is_multiple_of(3) {
            json.push_str(&format!(r#","minutes":{number}.5"#));
        }
        event.props = if number == 7 { String::new() } else { json + "}" };
    }
    events
}

fn prop(name: &str) -> PropName {
    PropName::try_new(name).unwrap()
}

fn tier_is(tier: &str) -> Filter {
    Filter::Prop(prop("plan.tier"), PropTest::Text(TextTest::Is(tier.to_owned())))
}

fn november() -> Span {
    span("2026-11-01T23:00:00Z", "2026-11-11T23:00:00Z")
}

fn ask_trend(filter: Filter) -> AskTrend {
    AskTrend {
        span: november(),
        unit: Unit::Month,
        filter,
        measures: Measures { subjects: true, values: true, percentiles: false },
        values_of: Some(prop("minutes")),
        breakdown: None,
    }
}

async fn properties_answer_alike_in_the_tail_sealed_and_merged(db: TestDatabase) {
    let bench = Bench::new(db);
    let told = told();
    for batch in [&told[5..9], &told[9..], &told[..1], &told[1..5]] {
        bench.append(batch).await;
    }
    check_all(&bench).await;
    assert_eq!(bench.store.seal(PROJECT).await.unwrap().events, 14);
    check_all(&bench).await;
    bench.clock.set(at("2027-02-01T00:00:00Z"));
    assert!(bench.store.compact(PROJECT).await.unwrap().merged > 0);
    check_all(&bench).await;
}

async fn check_all(bench: &Bench) {
    let fresh = Bench::service(&bench.store, QueryLimits::default());
    for queries in [&bench.queries, &bench.queries, &fresh] {
        trends(queries).await;
        funnels(queries).await;
        formulas(queries).await;
        subjects(queries).await;
        lists(queries).await;
    }
}

async fn trends(queries: &dyn Queries) {
    let answer = queries.trend(ask_trend(tier_is("gold"))).await.unwrap();
    // Ann's four events, and Bob's first two; 3.5 is the only number of minutes among them.
    let [series] = answer.series.as_slice() else { panic!("{answer:?}") };
    assert_eq!((series.events, series.subjects), (6, 2));
    assert_eq!((series.points[0].values, series.points[0].sum), (1, 3.5));

    let field = Field::Prop(prop("plan.tier"));
    let by_tier = AskTrend { breakdown: Some(Breakdown { field, limit: 1 }), ..ask_trend(Filter::all()) };
    let answer = queries.trend(by_tier).await.unwrap();
    let groups: Vec<_> = answer.series.iter().map(|it| (it.group.clone(), it.events, it.subjects)).collect();
    // Without a tier: Cleo's two, Dora's one and two of nobody; of the others two are silver.
    assert_eq!(groups, [(Group::Text("gold".to_owned()), 6, 2), (Group::Other, 7, 3)]);

    let long = Filter::Prop(prop("minutes"), PropTest::Number(ValueTest::Greater(9.0)));
    let answer = queries.trend(ask_trend(long)).await.unwrap();
    assert_eq!((answer.series[0].events, answer.series[0].points[0].sum), (2, 22.0));

    let unknown = Filter::Prop(prop("colour"), PropTest::Text(TextTest::Set));
    let error = queries.trend(ask_trend(unknown)).await.unwrap_err();
    assert_eq!(error.to_string(), "events: no recent event has a property \"colour\"");
    // A property that only other events have is known.
    let none = AskTrend {
        span: span("2026-09-01T00:00:00Z", "2026-09-03T00:00:00Z"),
        values_of: None,
        ..ask_trend(tier_is("gold"))
    };
    assert_eq!(queries.trend(none).await.unwrap().series[0].events, 0);
    let many = Filter::Or(
        (0..9).map(|at| Filter::Prop(prop(&format!("p{at}")), PropTest::Text(TextTest::Set))).collect(),
    );
    let error = queries.trend(ask_trend(many)).await.unwrap_err();
    assert_eq!(error.to_string(), "events: asks for more than 8 different properties");
}

async fn funnels(queries: &dyn Queries) {
    let ask = |steps: &[&str], rules, breakdown| AskFunnel {
        span: november(),
        steps: steps.iter().map(|name| Filter::name(*name)).collect(),
        window_ms: 8 * 86_400_000,
        rules,
        breakdown,
    };
    let by_tier = |touch| Some(FunnelBreakdown { field: Field::Prop(prop("plan.tier")), touch, limit: 5 });
    let steps = ["opened", "started", "completed"];
    for (touch, groups) in [
        (Touch::First, vec![("all", [3, 2, 2]), ("gold", [2, 2, 2]), ("", [1, 0, 0])]),
        (Touch::Last, vec![("all", [3, 2, 2]), ("", [1, 0, 0]), ("gold", [1, 1, 1]), ("silver", [1, 1, 1])]),
    ] {
        let answer = queries.funnel(ask(&steps, FunnelRules::default(), by_tier(touch))).await.unwrap();
        let found: Vec<_> = answer
            .groups
            .iter()
            .map(|it| {
                let name = match &it.group {
                    Group::All => "all",
                    Group::Text(text) => text,
                    _ => "",
                };
                (name, [0, 1, 2].map(|step| it.steps[step].subjects))
            })
            .collect();
        assert_eq!(found, groups, "{touch:?}");
    }
    let subjects = async |rules: FunnelRules| {
        let answer = queries.funnel(ask(&steps, rules, None)).await.unwrap();
        answer.groups[0].steps.iter().map(|step| step.subjects).collect::<Vec<_>>()
    };
    let optional = FunnelRules { optional: vec![1], ..FunnelRules::default() };
    assert_eq!(subjects(optional).await, [3, 2, 3]);
    let excluded = Exclusion { events: Filter::name("opened"), after: 1, before: 2 };
    let excluding = FunnelRules { exclusions: vec![excluded], ..FunnelRules::default() };
    // Bob opened again before he completed.
    assert_eq!(subjects(excluding).await, [3, 2, 1]);
    let strict = FunnelRules { mode: FunnelMode::Strict, ..FunnelRules::default() };
    assert_eq!(subjects(strict).await, [3, 2, 1]);
    // Dora started, which is one of the steps.
    let unordered = FunnelRules { mode: FunnelMode::Unordered, ..FunnelRules::default() };
    assert_eq!(subjects(unordered).await, [4, 3, 2]);
}

async fn formulas(queries: &dyn Queries) {
    let series = |name: &str, measure| FormulaSeries { filter: Filter::name(name), measure, values_of: None };
    let ask = AskFormula {
        span: november(),
        unit: Unit::Week,
        series: vec![
            series("completed", Measure::Subjects),
            series("opened", Measure::Subjects),
            series("completed", Measure::Average),
        ],
        formula: "A / B * 100 + C * 0".to_owned(),
    };
    let answer = queries.formula(ask.clone()).await.unwrap();
    // Of three who opened one completed in the first week, of one two in the second.
    assert_eq!(answer.series, [[Some(1.0), Some(2.0)], [Some(3.0), Some(1.0)], [Some(80.0), Some(80.0)]]);
    assert_eq!(answer.points, [Some(1.0 / 3.0 * 100.0), Some(200.0)]);
    let error = queries.formula(AskFormula { formula: "A / D".to_owned(), ..ask }).await.unwrap_err();
    assert_eq!(error.to_string(), "formula: at character 5: there is no series D");

    let ask = AskInterval {
        span: november(),
        start: Filter::name("opened"),
        end: Filter::name("completed"),
        window_ms: 86_400_000,
    };
    let answer = queries.interval(ask).await.unwrap();
    // Ann took 20 minutes, Bob 5 on another day; Cleo and the rest longer than a day.
    assert_eq!((answer.starts, answer.intervals, answer.subjects), (5, 2, 2));
    assert_eq!((answer.average_ms, answer.extremes_ms), (Some(750_000.0), Some((300_000, 1_200_000))));
}

async fn subjects(queries: &dyn Queries) {
    let cohort = |name: &str, did| AskCohort { span: november(), filter: Filter::name(name), did };
    let list = |cohort, after, limit| ListSubjects { cohort, after, limit };
    let page = queries.list_subjects(list(cohort("opened", Did::AtLeast(2)), None, 1)).await.unwrap();
    assert_eq!((page.total, page.subjects.len()), (2, 1));
    let rest = queries.list_subjects(list(cohort("opened", Did::AtLeast(2)), page.next, 10)).await.unwrap();
    assert_eq!((rest.total, rest.next), (2, None));
    let mut found: Vec<_> =
        page.subjects.iter().chain(&rest.subjects).map(|it| (it.subject.unwrap(), it.events)).collect();
    found.sort_by_key(|(subject, _)| subject.0);
    assert_eq!(found, [(ANN, 2), (BOB, 2)]);
    let fewer = queries.list_subjects(list(cohort("opened", Did::LessThan(2)), None, 10)).await.unwrap();
    assert_eq!(fewer.total, 2);
    // Those who completed, and what else they did.
    let completed = queries.cohort(cohort("completed", Did::AtLeast(1))).await.unwrap();
    assert_eq!(completed.len(), 3);
    let others = Filter::Not(Box::new(Filter::Subjects(completed)));
    let answer = queries.trend(ask_trend(others)).await.unwrap();
    // Dora's one, and two of nobody.
    assert_eq!(answer.series[0].events, 3);
    let error = queries.cohort(cohort("opened", Did::AtLeast(0))).await.unwrap_err();
    assert_eq!(error.to_string(), "times: must be from 1 to 1000000");
    let page = queries.list_subjects(list(cohort("opened", Did::AtLeast(1)), None, 0)).await.unwrap_err();
    assert_eq!(page.to_string(), "limit: must be from 1 to 1000");
}

async fn lists(queries: &dyn Queries) {
    let list = ListProperties { project: PROJECT, name: None, until: at("2026-11-12T00:00:00Z"), limit: 10 };
    let found = queries.list_properties(list.clone()).await.unwrap();
    let found: Vec<_> = found.iter().map(|it| (it.property.as_str(), it.is_column, it.events)).collect();
    let expected = [("course", true, 12), ("plan.tier", false, 8), ("minutes", false, 4), ("value", true, 3)];
    assert_eq!(found, expected);
    let named = ListProperties { name: Some("completed".to_owned()), limit: 1, ..list };
    assert_eq!(queries.list_properties(named).await.unwrap()[0].events, 3);
    let values = ListValues {
        project: PROJECT,
        name: None,
        property: Field::Prop(prop("plan.tier")),
        until: at("2026-11-12T00:00:00Z"),
        limit: 10,
    };
    let found = queries.list_values(values).await.unwrap();
    let found: Vec<_> = found.iter().map(|it| (it.value.as_deref(), it.events, it.subjects)).collect();
    assert_eq!(found, [(Some("gold"), 6, 2), (None, 5, 2), (Some("silver"), 2, 1)]);
    let read = ReadTimeline {
        project: PROJECT,
        subject: None,
        filter: tier_is("silver"),
        from: TIME_MIN,
        until: TIME_END,
        page: PageRequest::first(10),
    };
    let page = queries.timeline(read).await.unwrap();
    let found: Vec<_> = page.items.iter().map(|it| (it.id[0], it.subject)).collect();
    assert_eq!(found, [(10, Some(BOB)), (9, Some(BOB))]);
}

async fn an_erased_subject_leaves_the_store_its_export_and_the_caches(db: TestDatabase) {
    let bench = Bench::new(db);
    let told = told();
    bench.append(&told[..8]).await;
    bench.store.seal(PROJECT).await.unwrap();
    bench.append(&told[8..]).await;
    let data: &dyn SubjectData = &bench.queries;
    assert_eq!(data.count(PROJECT, BOB).await.unwrap(), 4);
    let exported = data.export(PROJECT, BOB, None).await.unwrap();
    assert_eq!((exported.records.len(), exported.next), (4, None));
    assert_eq!(exported.records[0]["name"], "completed");
    assert_eq!(exported.records[0]["value"], 60.0);
    assert_eq!(exported.records[3]["props"]["plan"]["tier"], "gold");
    bench.queries.trend(ask_trend(tier_is("gold"))).await.unwrap();
    let before = bench.queries.cached_bytes();
    assert!(before > 0);

    assert_eq!(data.erase(PROJECT, BOB).await.unwrap(), 4);
    assert_eq!(data.count(PROJECT, BOB).await.unwrap(), 0);
    assert!(data.export(PROJECT, BOB, None).await.unwrap().records.is_empty());
    // The segment and the batch that were asked had events of Bob, so nothing that was made of them is left.
    assert_eq!(bench.queries.cached_bytes(), 0);
    let answer = bench.queries.trend(ask_trend(tier_is("gold"))).await.unwrap();
    assert_eq!((answer.series[0].events, answer.series[0].subjects), (4, 1));
    assert_eq!(data.erase(PROJECT, BOB).await.unwrap(), 0);
    assert_eq!(data.count(PROJECT, CLEO).await.unwrap(), 2);
}

async fn appended_events_are_told_of_once_they_are_committed(db: TestDatabase) {
    let bench = Bench::new(db);
    let bus = Arc::new(InProcessBus::default());
    let mut messages = bus.subscribe();
    let _ = bench.store.clone().with_bus(bus.clone());
    bench.append(&told()[..3]).await;
    let message = messages.try_recv().unwrap();
    assert_eq!((message.project, message.topic.as_str()), (Some(PROJECT), "event.appended"));
    assert_eq!(message.data, serde_json::json!({ "events": 3 }));
    assert!(messages.try_recv().is_err());
}
