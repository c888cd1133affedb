//! A company that is made up, with all that its people do and pay in two years: every number against plain loops.

use std::collections::BTreeMap;

use belvedere_event_store::{Event, EventStore};
use belvedere_kernel::SubjectId;
use belvedere_storage::Timestamp;
use belvedere_storage::database_tests;
use belvedere_storage::testing::TestDatabase;

use super::plain::{Ends, Plain, channel, day, prop};
use super::*;
use crate::calendar::PeriodUnit;

database_tests!(every_number_is_that_of_plain_loops);

const NOW: &str = "2026-11-29T15:00:00Z";
const DAYS: u64 = 730;
const MINUTE: i64 = 60_000_000;

/// A sequence that is the same in every run (Knuth's MMIX).
struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % end
    }

    fn is(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    fn pick<'a>(&mut self, from: &[&'a str]) -> &'a str {
        from[self.below(from.len() as u64) as usize]
    }
}

/// What a customer pays each month from an instant on.
type Payment = (Timestamp, i64, i64);

#[derive(Default)]
struct Company {
    events: Vec<Event>,
    payments: Vec<Payment>,
}

impl Company {
    fn add(&mut self, person: u64, at: Timestamp, name: &str, props: &str) -> &mut Event {
        let number = self.events.len() as u128 + 1;
        let mut event = Event::new(number.to_be_bytes(), at, name);
        event.subject = Some(SubjectId(person as i64 + 1));
        event.props = props.to_owned();
        self.events.push(event);
        self.events.last_mut().unwrap()
    }

    fn generate(people: u64) -> Self {
        let (mut company, mut random) = (Self::default(), Random(people));
        let now = at(NOW).as_micros();
        let first = now - DAYS as i64 * 1_440 * MINUTE;
        for person in 0..people {
            let came = random.below(DAYS);
            // Within the working hours of a day.
            let moment = |days: u64, random: &mut Random| {
                let minute = random.below(600) as i64 - 360;
                Timestamp::from_micros(first + (days as i64 * 1_440 + minute) * MINUTE)
            };
            let signs_up = random.is(60);
            let visits = 1 + random.below(if signs_up { 25 } else { 3 });
            let mut days = came;
            for visit in 0..visits {
                if days >= DAYS {
                    break;
                }
                company.visit(person, moment(days, &mut random), visit == 1 && signs_up, &mut random);
                days += 1 + random.below(14);
            }
            if signs_up && random.is(60) {
                company.subscribe(person, came + random.below(35), &mut random, first);
            }
        }
        company.events.retain(|event| event.at.as_micros() < now);
        company.payments.retain(|payment| payment.0.as_micros() < now);
        company
    }

    fn visit(&mut self, person: u64, begin: Timestamp, signs_up: bool, random: &mut Random) {
        let at = |minutes: u64| Timestamp::from_micros(begin.as_micros() + minutes as i64 * MINUTE);
        let path = random.pick(&["/", "/pricing", "/blog/rust", "/courses"]);
        let campaign = if random.is(20) { random.pick(&["spring", "autumn"]) } else { "" };
        let props = match campaign {
            "" => format!(r#"{{"path":"{path}"}}"#),
            campaign => format!(r#"{{"path":"{path}","utm_campaign":"{campaign}"}}"#),
        };
        let (source, referrer) = (random.below(5), random.below(3));
        let event = self.add(person, begin, "page_view", &props);
        event.utm_source = ["newsletter", "ads"].get(source as usize).map(|it| (*it).to_owned());
        event.referrer =
            ["search.example", "forum.example"].get(referrer as usize).map(|it| (*it).to_owned());
        if signs_up {
            self.add(person, at(5), "Signed Up", "{}");
        }
        let course = random.pick(&["rust", "sql", "math", "art"]);
        if random.is(50) {
            self.add(person, at(8), "lesson_start", "{}").course = Some(course.to_owned());
            if random.is(60) {
                let props = format!(r#"{{"duration":{}}}"#, 60 + random.below(600));
                self.add(person, at(20), "lesson_complete", &props).course = Some(course.to_owned());
            }
            if random.is(20) {
                self.add(person, at(21), "course_complete", "{}").course = Some(course.to_owned());
            }
        }
        if random.is(30) {
            let props = format!(r#"{{"feature":"{}"}}"#, random.pick(&["notes", "export", "groups"]));
            // After a break: a session of its own.
            self.add(person, at(21 + random.below(60)), "Feature Used", &props);
        }
    }

    fn subscribe(&mut self, person: u64, day: u64, random: &mut Random, first: i64) {
        // At noon, so that what changes later in the day is another movement.
        let noon = |day: u64| Timestamp::from_micros(first + day as i64 * 1_440 * MINUTE);
        let (mut day, mut prices) =
            (day, [900, 2_900, 9_900].into_iter().cycle().skip(random.below(3) as usize));
        let say = |price: i64| {
            let (whole, cents) = (price / 100, price % 100);
            format!(r#"{{"subscription_id":"s{person}","price":{whole}.{cents:02},"currency":"EUR"}}"#)
        };
        let none = format!(r#"{{"subscription_id":"s{person}"}}"#);
        if random.is(50) {
            self.add(person, noon(day), "Trial Started", &none);
            day += 1 + random.below(20);
        }
        let mut name = "Subscription Started";
        while day < DAYS {
            let price = prices.next().unwrap();
            self.add(person, noon(day), name, &say(price));
            self.payments.push((noon(day), person as i64 + 1, price));
            day += 1 + random.below(200);
            name = "Subscription Updated";
            if random.is(40) && day < DAYS {
                self.add(person, noon(day), "Subscription Cancelled", &none);
                self.payments.push((noon(day), person as i64 + 1, 0));
                if random.is(50) {
                    return;
                }
                day += 1 + random.below(100);
                name = "Subscription Started";
            }
        }
    }
}

/// Starts, levels and movements of a period by plain loops: MRR and customers before and after, then by kind.
#[derive(Debug, Default, PartialEq)]
struct Paid {
    start: (i64, i64),
    end: (i64, i64),
    new: (i64, i64),
    expansion: (i64, i64),
    contraction: (i64, i64),
    churn: (i64, i64),
    reactivation: (i64, i64),
}

fn paid(payments: &[Payment], (from, until): Ends) -> Paid {
    let (mut paid, mut levels) = (Paid::default(), BTreeMap::<i64, i64>::new());
    let mut ordered: Vec<&Payment> = payments.iter().collect();
    ordered.sort();
    let mut standing = (0, 0);
    for (at, customer, level) in ordered {
        let is_first = !levels.contains_key(customer);
        let before = levels.insert(*customer, *level).unwrap_or(0);
        standing.0 += level - before;
        standing.1 += i64::from(*level > 0) - i64::from(before > 0);
        if *at >= from && *at < until {
            let kind = match (before, *level) {
                (0, _) if is_first => &mut paid.new,
                (0, _) => &mut paid.reactivation,
                (_, 0) => &mut paid.churn,
                (before, level) if level > before => &mut paid.expansion,
                _ => &mut paid.contraction,
            };
            *kind = (kind.0 + (level - before).abs(), kind.1 + 1);
        }
        if *at < from {
            paid.start = standing;
        }
        if *at < until {
            paid.end = standing;
        }
    }
    paid
}

fn paid_of(period: &crate::revenue::metrics::RevenuePeriod) -> Paid {
    let moved = |moved: crate::revenue::metrics::Moved| (moved.amount_minor, moved.movements);
    Paid {
        start: (period.start.mrr_minor, period.start.customers),
        end: (period.end.mrr_minor, period.end.customers),
        new: moved(period.new),
        expansion: moved(period.expansion),
        contraction: moved(period.contraction),
        churn: moved(period.churn),
        reactivation: moved(period.reactivation),
    }
}

fn channels(channels: &[Channel]) -> BTreeMap<String, (u64, u64)> {
    channels.iter().map(|it| (it.source.clone(), (it.count, it.converted))).collect()
}

/// Numbers that are not what they should be.
#[derive(Default)]
struct Wrong(std::cell::RefCell<Vec<String>>);

impl Wrong {
    fn near(&self, number: Option<f64>, expected: Option<f64>, what: &str) {
        let is_near = match (number, expected) {
            (Some(number), Some(expected)) => (number - expected).abs() <= 1e-9 * expected.abs().max(1.0),
            _ => number == expected,
        };
        if !is_near {
            self.0.borrow_mut().push(format!("{what}: {number:?}, not {expected:?}"));
        }
    }

    fn same<T: PartialEq + std::fmt::Debug>(&self, found: &T, expected: &T, what: &str) {
        if found != expected {
            self.0.borrow_mut().push(format!("{what}: {found:?}, not {expected:?}"));
        }
    }
}

fn compare(company: &Company, plain: &Plain<'_>, metrics: &BusinessMetrics) -> Vec<String> {
    let wrong = Wrong::default();
    let period = metrics.period;
    let (now, before) = ((period.from, period.until), (period.before_from, period.before_until));
    let last = |ends: Ends| day(Timestamp::from_micros(ends.1.as_micros() - 1));
    let (acquisition, engagement) = (&metrics.acquisition, &metrics.engagement);
    let both = |number: Number, count: &dyn Fn(Ends) -> Option<f64>, what: &str| {
        wrong.near(number.now, count(now), what);
        wrong.near(number.before, count(before), &format!("{what} before"));
    };
    both(acquisition.total_users, &|ends| Some(plain.newcomers(i64::MIN, last(ends))), "total users");
    // Whole days: those that begin in the period.
    let new = |ends: Ends| {
        let first = if day(ends.0) == day(Timestamp::from_micros(ends.0.as_micros() - 1)) { 1 } else { 0 };
        Some(plain.newcomers(day(ends.0) + first, last(ends)))
    };
    both(acquisition.new_users, &new, "new users");
    let today = last(now);
    // 1970-01-01 was a Thursday.
    let monday = today - (today + 3).rem_euclid(7);
    let date = jiff::civil::date(1970, 1, 1).checked_add(jiff::Span::new().days(today)).unwrap();
    let month = today - i64::from(date.day()) + 1;
    let month_before = month - i64::from(date.first_of_month().yesterday().unwrap().day());
    wrong.near(acquisition.new_users_today.now, Some(plain.newcomers(today, today)), "new today");
    wrong.near(
        acquisition.new_users_today.before,
        Some(plain.newcomers(today - 1, today - 1)),
        "new yesterday",
    );
    wrong.near(acquisition.new_users_this_week.now, Some(plain.newcomers(monday, today)), "new this week");
    wrong.near(
        acquisition.new_users_this_week.before,
        Some(plain.newcomers(monday - 7, monday - 1)),
        "new last week",
    );
    wrong.near(acquisition.new_users_this_month.now, Some(plain.newcomers(month, today)), "new this month");
    wrong.near(
        acquisition.new_users_this_month.before,
        Some(plain.newcomers(month_before, month - 1)),
        "new last month",
    );
    both(engagement.daily_active_users, &|ends| Some(plain.active(last(ends), last(ends))), "DAU");
    both(engagement.weekly_active_users, &|ends| Some(plain.active(last(ends) - 6, last(ends))), "WAU");
    both(engagement.monthly_active_users, &|ends| Some(plain.active(last(ends) - 29, last(ends))), "MAU");
    let sticky = |ends: Ends| {
        let month = plain.active(last(ends) - 29, last(ends));
        (month > 0.0).then(|| plain.active(last(ends), last(ends)) / month)
    };
    both(engagement.stickiness, &sticky, "stickiness");
    both(engagement.average_session_duration, &|ends| plain.session_seconds(ends), "sessions");
    let completion = |ends: Ends| {
        let courses = plain.courses(ends);
        let (began, completed) = courses.iter().fold((0, 0), |sums, it| (sums.0 + it.1, sums.1 + it.2));
        (began > 0).then(|| completed as f64 / began as f64)
    };
    both(engagement.course_completion_rate, &completion, "completion");
    let popular: Vec<_> = metrics
        .learning
        .popular_courses
        .iter()
        .map(|it| (it.course.clone(), it.enrolments, it.completed))
        .collect();
    wrong.same(&popular, &plain.courses(now), "courses");
    let features: BTreeMap<_, _> =
        engagement.feature_adoption.iter().map(|it| (it.feature.clone(), it.users)).collect();
    wrong.same(&features, &plain.features(now), "features");
    let people = plain.people(now);
    let adopted = plain.adoption(now);
    for feature in &engagement.feature_adoption {
        wrong.near(feature.adoption_rate, Some(feature.users as f64 / people), "adoption");
        let (adopters, seconds) = adopted.get(&feature.feature).copied().unwrap_or_default();
        wrong.same(&feature.adopters, &adopters, "adopters");
        wrong.near(feature.seconds_to_adopt, seconds, "time to adopt");
    }
    let cohorts: Vec<_> = engagement
        .adoption_by_cohort
        .iter()
        .map(|it| (day(it.from), it.people, it.adopted.clone()))
        .collect();
    let names: Vec<&str> = engagement.feature_adoption.iter().map(|it| it.feature.as_str()).collect();
    wrong.same(&cohorts, &plain.adoption_by_cohort(now, &names), "adoption by cohort");
    let retention: Vec<_> = metrics
        .retention
        .cohorts
        .iter()
        .map(|it| (day(Timestamp::from_micros(it.start_micros)), it.subjects, it.returned.clone()))
        .collect();
    wrong.same(&retention, &plain.retention(now), "retention");
    both(metrics.learning.lessons_completed, &|ends| Some(plain.lessons(ends).0), "lessons");
    both(metrics.learning.average_time_to_complete, &|ends| plain.lessons(ends).1, "time to complete");
    for (funnel, ends) in [(metrics.funnel, now), (metrics.funnel_before, before)] {
        let reached = [funnel.visitors, funnel.signups, funnel.free_trials, funnel.paid_subscriptions];
        wrong.same(&reached, &plain.funnel(ends), "funnel");
    }
    let any = |event: &Event| !crate::metrics::NO_ACTIVITY.contains(&event.name.as_str());
    let view = |event: &Event| event.name == "page_view";
    let goal = "Signed Up";
    let by_channel = plain.first_touch(now, (any, goal), |events| Some(channel(events)));
    wrong.same(&channels(&acquisition.channels), &by_channel, "channels");
    let by_prop = |key: &'static str| move |events: &[&Event]| events.iter().find_map(|it| prop(it, key));
    let campaigns = plain.first_touch(now, (any, goal), by_prop("utm_campaign"));
    wrong.same(&channels(&acquisition.campaigns), &campaigns, "campaigns");
    let pages = plain.first_touch(now, (view, goal), by_prop("path"));
    wrong.same(&channels(&acquisition.landing_pages), &pages, "landing pages");
    let last_touch = plain.last_touch(now, goal);
    wrong.same(&channels(&acquisition.channels_last_touch), &last_touch, "channels by last touch");
    // The same people, otherwise.
    let people = |channels: &BTreeMap<String, (u64, u64)>| {
        channels.values().fold((0, 0), |sums, it| (sums.0 + it.0, sums.1 + it.1))
    };
    wrong.same(&people(&last_touch), &people(&by_channel), "people by last touch");
    let revenue = metrics.revenue.unwrap();
    wrong.same(&paid_of(&revenue.now), &paid(&company.payments, now), "revenue");
    wrong.same(&paid_of(&revenue.before), &paid(&company.payments, before), "revenue before");
    wrong.0.into_inner()
}

async fn check(db: TestDatabase, people: u64) {
    let world = World::new(db, NOW);
    let company = Company::generate(people);
    // Half of it sealed, and revenue in an order that is not that of time.
    let (half, rest) = company.events.split_at(company.events.len() / 2);
    for events in rest.chunks(5_000) {
        world.track(events).await;
    }
    world.events.seal(PROJECT).await.unwrap();
    for events in half.chunks(5_000) {
        let tracked = world.track(events).await;
        assert_eq!((tracked.repeated, tracked.refused), (0, Vec::new()));
    }
    let ranges = [
        AskPeriod::Current(PeriodUnit::Day),
        AskPeriod::Current(PeriodUnit::Week),
        AskPeriod::Current(PeriodUnit::Month),
        AskPeriod::Current(PeriodUnit::Quarter),
        AskPeriod::Range { from: at("2025-11-28T23:00:00Z"), until: at("2026-11-28T23:00:00Z") },
        AskPeriod::Range { from: at("2026-01-10T11:30:00Z"), until: at("2026-03-20T17:45:00Z") },
    ];
    let plain = Plain::new(&company.events);
    for period in ranges {
        let ask = AskMetrics { project: PROJECT, period, goal: None, currency: None, has_revenue: true };
        let wrong = compare(&company, &plain, &world.service.find_metrics(ask).await.unwrap());
        assert!(wrong.is_empty(), "{period:?}:\n{}", wrong.join("\n"));
    }
    let ask = AskSeries { project: PROJECT, unit: PeriodUnit::Month, periods: 25, currency: None };
    let series = world.service.list_revenue(ask.clone()).await.unwrap().periods;
    for period in &series {
        assert_eq!(paid_of(period), paid(&company.payments, (period.from, period.until)));
    }
    let cohorts = world.service.list_cohorts(AskSeries { periods: 24, ..ask }).await.unwrap().cohorts;
    // By cohort: who began to pay in a month, and what they pay at the end of each.
    let mut ordered = company.payments.clone();
    ordered.sort();
    let mut firsts: BTreeMap<i64, Timestamp> = BTreeMap::new();
    for (at, customer, _) in &ordered {
        firsts.entry(*customer).or_insert(*at);
    }
    for (number, cohort) in cohorts.iter().enumerate() {
        let until = cohorts.get(number + 1).map_or(at(NOW), |next| next.from);
        let own: Vec<Payment> = ordered
            .iter()
            .copied()
            .filter(|(_, customer, _)| firsts[customer] >= cohort.from && firsts[customer] < until)
            .collect();
        for (month, (mrr_minor, customers)) in cohort.mrr_minor.iter().zip(&cohort.customers).enumerate() {
            let end = series[number + month + 1].until;
            assert_eq!(
                paid(&own, (cohort.from, end)).end,
                (*mrr_minor, *customers),
                "cohort {number}, month {month}"
            );
        }
    }
}

async fn every_number_is_that_of_plain_loops(db: TestDatabase) {
    check(db, 300).await;
}

mod large {
    /// Twenty thousand people, on SQLite; a minute or more.
    #[test]
    #[ignore = "takes minutes without optimisation, seconds with it; run it by name"]
    fn every_number_of_a_large_company_is_that_of_plain_loops() {
        belvedere_storage::testing::run(async {
            super::check(belvedere_storage::testing::TestDatabase::sqlite().await, 20_000).await;
        });
    }
}
