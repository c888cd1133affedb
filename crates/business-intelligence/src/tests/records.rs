use belvedere_event_store::Event;
use belvedere_kernel::{ProjectId, SubjectId};
use belvedere_storage::database_tests;
use belvedere_storage::testing::TestDatabase;

use super::*;
use crate::calendar::PeriodUnit;
use crate::revenue::currency::Currency;
use crate::revenue::ledger::{ChurnAt, LedgerRules};
use crate::revenue::rates::{Rate, read_day, read_rate};

database_tests!(
    what_is_imported_becomes_movements_and_numbers,
    late_and_repeated_lines_give_the_same_numbers,
    wrong_lines_are_named_and_the_others_taken,
    several_currencies_need_their_rates,
    tracked_events_become_movements_of_their_subscription,
    other_rules_write_the_ledger_anew,
    who_is_erased_leaves_sums,
    a_failed_write_changes_nothing,
    projects_are_apart,
    what_another_process_takes_shows_at_once,
    what_was_looked_at_is_ready_after_a_restart,
);

const NOW: &str = "2026-04-15T12:00:00Z";

const LINES: [&str; 8] = [
    "1,u1,s1,started,2026-01-10T10:00:00Z,basic,10,EUR",
    "2,u2,s2,started,2026-01-20T10:00:00Z,pro,30,EUR",
    "3,u1,s1,updated,2026-02-05T10:00:00Z,pro,30,EUR",
    "4,u3,s3,started,2026-02-10T10:00:00Z,basic,10,EUR",
    "5,u2,s2,cancelled,2026-03-03T10:00:00Z,,,",
    "6,u1,s1,updated,2026-03-10T10:00:00Z,basic,10,EUR",
    "7,u2,s4,started,2026-04-10T10:00:00Z,basic,10,EUR",
    "8,u3,,order,2026-03-05T10:00:00Z,,7.50,EUR",
];

fn euro() -> Option<Currency> {
    Currency::find("EUR")
}

fn last(unit: PeriodUnit, periods: usize) -> AskSeries {
    AskSeries { project: PROJECT, unit, periods, currency: None }
}

async fn series(world: &World) -> Vec<(i64, i64)> {
    let series = world.service.list_revenue(last(PeriodUnit::Month, 4)).await.unwrap();
    series.periods.iter().map(|period| (period.end.mrr_minor, period.end.customers)).collect()
}

async fn what_is_imported_becomes_movements_and_numbers(db: TestDatabase) {
    let world = World::new(db, NOW);
    assert_eq!(world.service.list_revenue(last(PeriodUnit::Month, 4)).await.unwrap().currency, None);
    let recorded = world.import(&LINES).await;
    assert_eq!((recorded.taken, recorded.repeated, recorded.refused), (8, 0, Vec::new()));
    assert_eq!(world.entries.actions(), ["business_revenue_imported"]);
    let series = world.service.list_revenue(last(PeriodUnit::Month, 4)).await.unwrap();
    assert_eq!(series.currency, euro());
    let [january, february, march, april] = series.periods[..] else { panic!("{series:?}") };
    assert_eq!(january.from, at("2025-12-31T23:00:00Z"));
    assert_eq!((january.new.amount_minor, january.new.movements, january.end.mrr_minor), (4_000, 2, 4_000));
    assert_eq!((february.expansion.amount_minor, february.new.amount_minor), (2_000, 1_000));
    assert_eq!((march.churn.amount_minor, march.contraction.amount_minor), (3_000, 2_000));
    assert_eq!((march.start.customers, march.churned_customers, march.end.customers), (3, 1, 2));
    assert_eq!((march.customer_churn(), march.quick_ratio()), (Some(1.0 / 3.0), Some(0.0)));
    assert_eq!((april.reactivation.amount_minor, april.end.mrr_minor), (1_000, 3_000));
    assert_eq!((march.orders.amount_minor, january.subscriptions.amount_minor), (750, 4_000));
    let ask =
        AskRevenue { project: PROJECT, period: AskPeriod::Current(PeriodUnit::Month), currency: euro() };
    let report = world.service.find_revenue(ask).await.unwrap().unwrap();
    assert_eq!((report.now, report.before.until), (april, at("2026-03-15T13:00:00Z")));
    let plans = world.service.list_plans(PROJECT, None).await.unwrap().plans;
    assert_eq!(plans, [PlanRevenue { plan: "basic".to_owned(), mrr_minor: 3_000, subscribers: 3 }]);
    let cohorts = world.service.list_cohorts(last(PeriodUnit::Month, 4)).await.unwrap().cohorts;
    assert_eq!(cohorts[0].mrr_minor, [4_000, 6_000, 1_000, 2_000]);
    assert_eq!(cohorts[0].customers, [2, 2, 1, 2]);
    assert_eq!(
        (cohorts[1].mrr_minor.as_slice(), cohorts[2].mrr_minor.as_slice()),
        (&[1_000; 3][..], &[0; 2][..])
    );
}

async fn late_and_repeated_lines_give_the_same_numbers(db: TestDatabase) {
    let world = World::new(db, NOW);
    for line in LINES.iter().rev() {
        assert_eq!(world.import(&[line]).await.taken, 1);
    }
    let again = world.import(&LINES).await;
    assert_eq!((again.taken, again.repeated), (0, 8));
    assert_eq!(series(&world).await, [(4_000, 2), (7_000, 3), (2_000, 2), (3_000, 3)]);
}

async fn wrong_lines_are_named_and_the_others_taken(db: TestDatabase) {
    let world = World::new(db, NOW);
    let recorded = world
        .import(&[
            LINES[0],
            "x,u2,s2,started,tomorrow,pro,30,EUR",
            "y,nobody,s2,started,2026-01-20T10:00:00Z,pro,30,EUR",
            LINES[1],
        ])
        .await;
    let refused: Vec<_> = recorded.refused.iter().map(|it| (it.line, it.field)).collect();
    assert_eq!((recorded.taken, refused), (2, vec![(3, "at"), (4, "customer")]));
    let refused = world.service.import_csv(PROJECT, "id,kind\n", &world.by()).await;
    assert!(matches!(refused, Err(BusinessError::Invalid { field: "file", .. })));
}

async fn several_currencies_need_their_rates(db: TestDatabase) {
    let world = World::new(db, NOW);
    world.import(&["1,u1,s1,started,2026-04-10T10:00:00Z,pro,10,USD"]).await;
    world.import(&["2,u2,s2,started,2026-04-11T10:00:00Z,pro,10,EUR"]).await;
    let ask = |currency: Option<Currency>| AskRevenue {
        project: PROJECT,
        period: AskPeriod::Range { from: at("2026-04-09T22:00:00Z"), until: at("2026-04-12T22:00:00Z") },
        currency,
    };
    let error = world.service.find_revenue(ask(None)).await.unwrap_err();
    assert_eq!(error.to_string(), "currency: revenue is in EUR, USD; name the one to convert to");
    let error = world.service.find_revenue(ask(euro())).await.unwrap_err();
    assert_eq!(error.to_string(), "there is no rate from USD to EUR for 2026-04-10");
    let rate = |day: &str, rate: &str| Rate {
        day: read_day(day).unwrap(),
        from: Currency::find("USD").unwrap(),
        to: euro().unwrap(),
        billionths: read_rate(rate).unwrap(),
    };
    let rates = vec![rate("2026-04-10", "0.8"), rate("2026-04-12", "0.5"), rate("2026-04-12", "0.9")];
    assert_eq!(world.service.set_rates(PROJECT, rates, &world.by()).await.unwrap(), 2);
    let report = world.service.find_revenue(ask(euro())).await.unwrap().unwrap();
    assert_eq!(
        (report.now.new.amount_minor, report.now.end.mrr_minor, report.now.fx_minor),
        (1_800, 1_900, 100)
    );
    assert_eq!(world.entries.actions().last(), Some(&"business_rates_changed"));
    let own = Rate { from: euro().unwrap(), ..rate("2026-04-10", "1") };
    assert!(world.service.set_rates(PROJECT, vec![own], &world.by()).await.is_err());
}

fn tracked(number: u8, subject: i64, time: &str, name: &str, props: &str) -> Event {
    Event {
        subject: Some(SubjectId(subject)),
        props: props.to_owned(),
        ..Event::new([number; 16], at(time), name)
    }
}

async fn tracked_events_become_movements_of_their_subscription(db: TestDatabase) {
    let world = World::new(db, NOW);
    let started = r#"{"subscription_id":"s","plan":"pro","price":20,"currency":"EUR"}"#;
    let events = [
        tracked(1, 1, "2026-03-01T10:00:00Z", "Subscription Started", started),
        tracked(2, 1, "2026-03-02T10:00:00Z", "page_view", "{}"),
        tracked(3, 1, "2026-03-03T10:00:00Z", "Order Completed", r#"{"total":5,"currency":"EUR"}"#),
        tracked(4, 1, "2026-03-04T10:00:00Z", "Order Completed", r#"{"total":5}"#),
    ];
    let result = world.track(&events).await;
    assert_eq!((result.taken, result.repeated, result.refused.len()), (2, 0, 1));
    assert_eq!((result.refused[0].0, result.refused[0].1.field), (3, "currency"));
    assert_eq!(world.track(&events).await.repeated, 2);
    // Somebody who is another subject every day still has the same subscription.
    let more = r#"{"subscription_id":"s","price":50,"currency":"EUR"}"#;
    world.track(&[tracked(5, 9, "2026-04-01T10:00:00Z", "Subscription Updated", more)]).await;
    assert_eq!(series(&world).await[2..], [(2_000, 1), (5_000, 1)]);
    // Nobody has revenue in so many currencies; those that are known are still taken.
    let orders: Vec<Event> = (0..50_u8)
        .map(|number| {
            let code = [b'A', b'A' + number / 26, b'A' + number % 26].map(char::from);
            let code: String = code.iter().collect();
            let props = format!(r#"{{"total":1,"currency":"{code}"}}"#);
            tracked(100 + number, 1, "2026-04-02T10:00:00Z", "Order Completed", &props)
        })
        .collect();
    let result = world.track(&orders).await;
    assert_eq!((result.taken, result.refused.len()), (39, 11));
    assert_eq!((result.refused[0].0, result.refused[0].1.field), (39, "currency"));
    let known = tracked(200, 1, "2026-04-03T10:00:00Z", "Order Completed", r#"{"total":1,"currency":"EUR"}"#);
    assert_eq!(world.track(&[known]).await.taken, 1);
}

async fn other_rules_write_the_ledger_anew(db: TestDatabase) {
    let world = World::new(db, NOW);
    world.import(&LINES).await;
    assert_eq!(world.service.find_rules(PROJECT).await.unwrap(), LedgerRules::default());
    let rules = LedgerRules { churn_at: ChurnAt::PeriodEnd, ..LedgerRules::default() };
    world.service.set_rules(PROJECT, rules, &world.by()).await.unwrap();
    assert_eq!(world.service.find_rules(PROJECT).await.unwrap(), rules);
    // What began on 20 January and was cancelled on 3 March ends on 20 March.
    let ask = AskRevenue {
        project: PROJECT,
        period: AskPeriod::Range { from: at("2026-03-20T00:00:00Z"), until: at("2026-03-21T00:00:00Z") },
        currency: None,
    };
    let report = world.service.find_revenue(ask).await.unwrap().unwrap();
    assert_eq!((report.now.churn.amount_minor, report.before.churn.amount_minor), (3_000, 0));
    let wrong = LedgerRules { group_minutes: 5_000, ..rules };
    assert!(world.service.set_rules(PROJECT, wrong, &world.by()).await.is_err());
    assert_eq!(world.entries.actions(), ["business_revenue_imported", "business_rules_changed"]);
}

async fn who_is_erased_leaves_sums(db: TestDatabase) {
    let world = World::new(db, NOW);
    world.import(&LINES).await;
    let before = world.service.list_revenue(last(PeriodUnit::Month, 3)).await.unwrap();
    let data = world.service.subject_data();
    let records = data.export(PROJECT, SubjectId(3), None).await.unwrap().records;
    let kinds: Vec<_> = records.iter().map(|record| record["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["subscription_event", "movement", "charge", "charge"]);
    assert_eq!(records[1]["delta_minor"], 1_000);
    assert_eq!(data.count(PROJECT, SubjectId(3)).await.unwrap(), 4);
    assert_eq!(data.erase(PROJECT, SubjectId(3)).await.unwrap(), 4);
    assert_eq!(data.count(PROJECT, SubjectId(3)).await.unwrap(), 0);
    assert_eq!(data.erase(PROJECT, SubjectId(3)).await.unwrap(), 0);
    data.erase(PROJECT, SubjectId(1)).await.unwrap();
    // January to March as they were; what both still paid is churn of this hour.
    world.clock.advance(std::time::Duration::from_secs(1));
    let after = world.service.list_revenue(last(PeriodUnit::Month, 4)).await.unwrap();
    let series = after.periods;
    let first = |periods: &[crate::revenue::metrics::RevenuePeriod]| periods[..2].to_vec();
    assert_eq!(first(&series[1..]), first(&before.periods));
    assert_eq!((series[3].end.mrr_minor, series[3].end.customers), (1_000, 1));
    assert_eq!((series[3].churn.amount_minor, series[3].churned_customers), (2_000, 2));
    let cohorts = world.service.list_cohorts(last(PeriodUnit::Month, 4)).await.unwrap().cohorts;
    assert_eq!(cohorts[0].mrr_minor, [4_000, 6_000, 1_000, 1_000]);
    // Nothing of the others is touched, and what comes later is folded as before.
    world.import(&["9,u2,s4,cancelled,2026-04-11T10:00:00Z,,,"]).await;
    let last = world.service.list_revenue(last(PeriodUnit::Month, 1)).await.unwrap().periods[0];
    assert_eq!((last.end.mrr_minor, last.end.customers), (0, 0));
}

async fn a_failed_write_changes_nothing(db: TestDatabase) {
    let world = World::new(db, NOW);
    world.import(&LINES[..4]).await;
    let before = series(&world).await;
    let text = format!("id,customer,subscription,kind,at,plan,amount,currency\n{}\n", LINES[4..].join("\n"));
    for passing in 0.. {
        world.db.faults().fail_after(passing);
        let result = world.service.import_csv(PROJECT, &text, &world.by()).await;
        if world.db.faults().take_unused() {
            assert_eq!(result.unwrap().taken, 4);
            break;
        }
        assert!(result.unwrap_err().to_string().contains("database"));
        assert_eq!(series(&world).await, before, "after {passing} statements");
    }
    assert_eq!(series(&world).await, [(4_000, 2), (7_000, 3), (2_000, 2), (3_000, 3)]);
}

async fn projects_are_apart(db: TestDatabase) {
    let world = World::new(db, NOW);
    world.import(&LINES).await;
    let other = ProjectId(2);
    let ask = AskSeries { project: other, ..last(PeriodUnit::Month, 4) };
    assert_eq!(world.service.list_revenue(ask.clone()).await.unwrap().currency, None);
    assert_eq!(world.service.list_cohorts(ask).await.unwrap().cohorts, []);
    assert_eq!(world.service.list_plans(other, None).await.unwrap().plans, []);
    let data = world.service.subject_data();
    assert_eq!(data.erase(other, SubjectId(1)).await.unwrap(), 0);
    assert_eq!(data.count(PROJECT, SubjectId(1)).await.unwrap(), 9);
}

async fn what_another_process_takes_shows_at_once(db: TestDatabase) {
    let world = World::new(db, NOW);
    world.import(&LINES[..2]).await;
    let here = BusinessService::new((*world.service.parts).clone());
    let ask = last(PeriodUnit::Month, 4);
    let mrr = async || here.list_revenue(ask.clone()).await.unwrap().periods[3].end.mrr_minor;
    let plans = async || here.list_plans(PROJECT, None).await.unwrap().plans.len();
    let cohorts = async || here.list_cohorts(ask.clone()).await.unwrap().cohorts[1].customers.clone();
    assert_eq!((mrr().await, plans().await, cohorts().await), (4_000, 2, vec![0, 0, 0]));
    world.import(&LINES[2..]).await;
    assert_eq!((mrr().await, plans().await, cohorts().await), (3_000, 1, vec![1, 1, 1]));
    world.service.subject_data().erase(PROJECT, SubjectId(3)).await.unwrap();
    world.clock.advance(std::time::Duration::from_secs(1));
    assert_eq!(mrr().await, 2_000);
}

async fn what_was_looked_at_is_ready_after_a_restart(db: TestDatabase) {
    let world = World::new(db, NOW);
    world.import(&LINES).await;
    let restarted = || BusinessService::new((*world.service.parts).clone());
    let ready = async |service: &BusinessService| {
        service.recall_looks().await.unwrap();
        service.keep_ready().await.unwrap();
        service.answers.ready()
    };
    assert_eq!(ready(&restarted()).await, 0, "nobody looked");
    world.service.list_revenue(last(PeriodUnit::Month, 12)).await.unwrap();
    assert_eq!(ready(&restarted()).await, 5, "what the page of all numbers shows");
    world.clock.advance(std::time::Duration::from_secs(7 * 86_400 + 1));
    assert_eq!(ready(&restarted()).await, 0, "that was long ago");
}
