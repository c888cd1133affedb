//! What is asked beside the numbers of a period, and for how long answers stay.

use std::time::Duration;

use belvedere_event_store::Event;
use belvedere_kernel::SubjectId;
use belvedere_storage::database_tests;
use belvedere_storage::testing::TestDatabase;

use super::*;
use crate::calendar::PeriodUnit;
use crate::revenue::currency::Currency;

database_tests!(
    what_changed_is_named_with_who_makes_it,
    who_was_active_in_five_minutes_is_there_now,
    numbers_stay_while_nothing_comes_and_a_minute_at_most,
    learners_are_numbers_of_the_slice_of_learning,
);

const NOW: &str = "2026-11-29T15:00:00Z";

/// Events with numbers of their own, of so many people each.
#[derive(Default)]
struct Told(Vec<Event>);

impl Told {
    fn add(&mut self, people: std::ops::Range<i64>, at: Timestamp, name: &str, change: impl Fn(&mut Event)) {
        for person in people {
            let number = self.0.len() as u128 + 1;
            let mut event = Event::new(number.to_be_bytes(), at, name);
            event.subject = Some(SubjectId(person));
            change(&mut event);
            self.0.push(event);
        }
    }
}

async fn changes(world: &World) -> Changes {
    world.service.find_changes(PROJECT, None).await.unwrap()
}

fn segments(by: &ChangeBy) -> Vec<(&str, i64, i64)> {
    by.segments.iter().map(|it| (it.segment.as_str(), it.now, it.before)).collect()
}

async fn what_changed_is_named_with_who_makes_it(db: TestDatabase) {
    let world = World::new(db, NOW);
    assert_eq!(changes(&world).await.changes, []);
    let (week, before) = (at("2026-11-27T10:00:00Z"), at("2026-11-20T10:00:00Z"));
    let mut told = Told::default();
    let of = |country: &'static str, device: &'static str| {
        move |event: &mut Event| {
            (event.country, event.device) = (Some(country.to_owned()), Some(device.to_owned()));
        }
    };
    told.add(1..31, before, "page_view", of("NL", "phone"));
    told.add(1..31, week, "page_view", of("NL", "phone"));
    told.add(41..101, before, "page_view", of("DE", "phone"));
    told.add(41..51, week, "page_view", of("DE", "phone"));
    // Three of Sweden and four of nobody know where are too few: the Dutch go with them.
    told.add(101..104, before, "page_view", of("SE", "phone"));
    told.add(104..108, week, "page_view", |_| {});
    told.add(1..20, week, "Signed Up", of("NL", "phone"));
    // Two weeks ago is not compared.
    told.add(200..400, at("2026-11-14T10:00:00Z"), "page_view", |_| {});
    world.track(&told.0).await;
    let found = changes(&world).await;
    assert_eq!((found.from, found.until), (at("2026-11-22T15:00:00Z"), at(NOW)));
    let keys: Vec<_> = found.changes.iter().map(|it| (it.key, it.now, it.before)).collect();
    assert_eq!(keys, [("active_people", 44, 93), ("visitors", 44, 93)]);
    for change in &found.changes {
        assert!((change.z - 49.0 / 137.0_f64.sqrt()).abs() < 1e-9, "{change:?}");
        assert_eq!(change.change().map(|it| (it * 1_000.0).round()), Some(-527.0));
        // All had phones, but for four of whom it is not known: nothing is told apart.
        let [country] = &change.by[..] else { panic!("{:?}", change.by) };
        assert_eq!(country.dimension, "country");
        assert_eq!(segments(country), [("DE", 10, 60), ("others", 34, 33)]);
    }
    // The next day's sign-ups are a change, from nothing, and come first; so does revenue.
    world.clock.advance(Duration::from_secs(86_400));
    let mut more = Told(told.0);
    let known = more.0.len();
    more.add(20..30, at("2026-11-30T09:00:00Z"), "Signed Up", of("NL", "desktop"));
    world.track(&more.0[known..]).await;
    let lines: Vec<String> = (0..30)
        .map(|number| format!("{number},u{number},s{number},started,2026-11-28T10:00:00Z,pro,10,EUR"))
        .collect();
    world.import(&lines.iter().map(String::as_str).collect::<Vec<_>>()).await;
    let found = changes(&world).await;
    let keys: Vec<_> = found.changes.iter().map(|it| (it.key, it.now, it.before)).collect();
    let revenue = ("monthly_recurring_revenue", 30_000, 0);
    assert_eq!(keys, [revenue, ("signups", 29, 0), ("active_people", 44, 93), ("visitors", 44, 93)]);
    assert_eq!((found.changes[0].currency, found.changes[0].change()), (Currency::find("EUR"), None));
    assert_eq!(segments(&found.changes[0].by[0]), [("new", 30_000, 0)]);
    // They all came with a phone first, from one country.
    assert_eq!(found.changes[1].by, []);
}

async fn who_was_active_in_five_minutes_is_there_now(db: TestDatabase) {
    let world = World::new(db, NOW);
    let mut told = Told::default();
    let ago = |seconds: u64| at(NOW).minus(Duration::from_secs(seconds));
    told.add(1..4, ago(299), "page_view", |_| {});
    told.add(2..5, ago(10), "lesson_start", |_| {});
    told.add(5..9, ago(301), "page_view", |_| {});
    told.add(9..12, ago(20), "Subscription Renewed", |event| {
        event.props = r#"{"subscription_id":"s1"}"#.to_owned();
    });
    world.track(&told.0).await;
    assert_eq!(world.service.count_present(PROJECT).await.unwrap(), 4);
    assert_eq!(world.service.count_present(ProjectId(2)).await.unwrap(), 0);
    world.clock.advance(Duration::from_secs(60));
    assert_eq!(world.service.count_present(PROJECT).await.unwrap(), 3);
}

async fn numbers_stay_while_nothing_comes_and_a_minute_at_most(db: TestDatabase) {
    let world = World::new(db, NOW);
    let ask = |goal: Option<&str>| AskMetrics {
        project: PROJECT,
        period: AskPeriod::Current(PeriodUnit::Day),
        goal: goal.map(str::to_owned),
        currency: None,
        has_revenue: true,
    };
    let total = async |goal: Option<&str>| {
        let metrics = world.service.find_metrics(ask(goal)).await.unwrap();
        (metrics.acquisition.total_users.now, metrics.period.until, metrics.revenue.is_some())
    };
    let mut told = Told::default();
    told.add(1..3, at("2026-11-20T10:00:00Z"), "page_view", |_| {});
    world.track(&told.0).await;
    assert_eq!(total(None).await, (Some(2.0), at(NOW), false));
    world.clock.advance(Duration::from_secs(50));
    assert_eq!(total(None).await, (Some(2.0), at(NOW), false), "the same answer");
    assert_eq!(total(Some("Order Completed")).await.1, at("2026-11-29T15:00:50Z"), "another question");
    // Revenue is not of events, and new after an import.
    world.import(&["1,u1,s1,started,2026-11-10T10:00:00Z,pro,10,EUR"]).await;
    assert_eq!(total(None).await, (Some(2.0), at(NOW), true));
    world.clock.advance(Duration::from_secs(10));
    assert_eq!(total(None).await.1, at("2026-11-29T15:01:00Z"), "a minute is over");
    // What comes shows at once, as the answer took no time here.
    let mut more = Told(told.0);
    more.add(7..8, at("2026-11-21T10:00:00Z"), "page_view", |_| {});
    world.track(&more.0[2..]).await;
    assert_eq!(total(None).await.0, Some(3.0));
    let day_later = at("2026-11-30T15:00:30Z");
    world.clock.set(day_later);
    assert_eq!(total(None).await.1, day_later);
}

async fn learners_are_numbers_of_the_slice_of_learning(db: TestDatabase) {
    let world = World::new(db, NOW);
    let of = async |period| {
        let ask = AskMetrics { project: PROJECT, period, goal: None, currency: None, has_revenue: false };
        let learning = world.service.find_metrics(ask).await.unwrap().learning;
        (learning.struggling.map(|it| it.learners), learning.tutor.map(|it| it.conversations))
    };
    assert_eq!(of(AskPeriod::Current(PeriodUnit::Month)).await, (Some(7), Some(28)));
    assert_eq!(of(AskPeriod::Current(PeriodUnit::Day)).await, (Some(7), None));
    let range = AskPeriod::Range { from: at("2026-11-01T00:00:00Z"), until: at("2026-11-04T00:00:00Z") };
    assert_eq!(of(range).await, (Some(7), Some(3)));
}
