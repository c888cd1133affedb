use belvedere_kernel::SubjectId;
use proptest::prelude::*;

use super::*;
use crate::revenue::subscription::{
    Coupon, CouponDuration, Interval, IntervalUnit, Off, SubscriptionKind, Terms,
};

fn euro() -> Currency {
    Currency::find("EUR").unwrap()
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn priced(plan: &str, minor: i64) -> Terms {
    Terms {
        plan: Some(plan.to_owned()),
        amount_minor: Some(minor),
        currency: Some(euro()),
        ..Terms::default()
    }
}

fn event(id: u8, time: &str, kind: SubscriptionKind, terms: Terms) -> SubscriptionEvent {
    SubscriptionEvent {
        id: [id; 16],
        customer: SubjectId(1),
        subscription: Key([1; 16]),
        at: at(time),
        kind,
        terms,
        is_trial: None,
        ends_at: None,
    }
}

use MovementKind::{Churn, Contraction, Expansion, New, Reactivation, Transfer};
use SubscriptionKind::{Cancelled, PaymentFailed, Renewed, Started, TrialStarted, Updated};

fn told(ledger: &Ledger) -> Vec<(String, MovementKind, i64)> {
    let told = ledger.movements.iter().map(|it| (it.at.to_string(), it.kind, it.delta_minor));
    told.collect()
}

fn expect(events: &[SubscriptionEvent], rules: &LedgerRules, expected: &[(&str, MovementKind, i64)]) {
    let expected: Vec<_> =
        expected.iter().map(|(at, kind, delta)| ((*at).to_owned(), *kind, *delta)).collect();
    assert_eq!(told(&fold(events, rules)), expected);
}

#[test]
fn a_customer_comes_grows_shrinks_leaves_and_comes_back() {
    let nothing = Terms::default;
    let events = [
        event(1, "2026-01-01T00:00:00Z", TrialStarted, priced("pro", 1_000)),
        event(2, "2026-01-15T00:00:00Z", Started, priced("pro", 1_000)),
        event(3, "2026-02-15T00:00:00Z", Renewed, nothing()),
        event(4, "2026-03-01T00:00:00Z", Updated, Terms { quantity: Some(3), ..nothing() }),
        event(5, "2026-04-01T00:00:00Z", Updated, priced("basic", 500)),
        event(6, "2026-05-01T00:00:00Z", Cancelled, nothing()),
        event(7, "2026-08-01T00:00:00Z", Started, priced("basic", 500)),
    ];
    let rules = LedgerRules::default();
    let expected = [
        ("2026-01-15T00:00:00Z", New, 1_000),
        ("2026-03-01T00:00:00Z", Expansion, 2_000),
        ("2026-04-01T00:00:00Z", Contraction, -1_500),
        ("2026-05-01T00:00:00Z", Churn, -1_500),
        ("2026-08-01T00:00:00Z", Reactivation, 500),
    ];
    expect(&events, &rules, &expected);
    let ledger = fold(&events, &rules);
    assert_eq!(
        ledger.movements[2].parts,
        [
            Part { plan: "basic".to_owned(), delta_minor: 1_500, subscribers: 1 },
            Part { plan: "pro".to_owned(), delta_minor: -3_000, subscribers: -1 },
        ]
    );
    assert!(ledger.movements.iter().all(|it| it.first_at == at("2026-01-15T00:00:00Z")));
    let charged: Vec<_> = ledger.charges.iter().map(|it| (it.event[0], it.amount_minor)).collect();
    assert_eq!(charged, [(2, 1_000), (3, 1_000), (7, 500)]);
    let late = LedgerRules { reactivation_days: Some(30), ..rules };
    assert_eq!(fold(&events, &late).movements[4].kind, New);
}

#[test]
fn churn_is_at_the_cancellation_or_at_the_end_of_what_is_paid_for() {
    let events = [
        event(1, "2026-01-10T00:00:00Z", Started, priced("pro", 1_000)),
        event(2, "2026-02-10T00:00:00Z", Renewed, Terms::default()),
        event(3, "2026-02-20T00:00:00Z", Cancelled, Terms::default()),
    ];
    let new = ("2026-01-10T00:00:00Z", New, 1_000);
    let rules = LedgerRules::default();
    expect(&events, &rules, &[new, ("2026-02-20T00:00:00Z", Churn, -1_000)]);
    let at_end = LedgerRules { churn_at: ChurnAt::PeriodEnd, ..rules };
    expect(&events, &at_end, &[new, ("2026-03-10T00:00:00Z", Churn, -1_000)]);
    let mut said = events.clone();
    said[2].ends_at = Some(at("2026-03-01T00:00:00Z"));
    expect(&said, &at_end, &[new, ("2026-03-01T00:00:00Z", Churn, -1_000)]);
    // Paying again before the end takes the cancellation back.
    let renewed = event(4, "2026-02-25T00:00:00Z", Renewed, Terms::default());
    expect(&[&events[..], &[renewed]].concat(), &at_end, &[new]);
}

#[test]
fn what_is_not_paid_for_ends_after_some_days() {
    let events = [
        event(1, "2026-01-01T00:00:00Z", Started, priced("pro", 1_000)),
        event(2, "2026-02-01T00:00:00Z", PaymentFailed, Terms::default()),
        event(3, "2026-02-05T00:00:00Z", PaymentFailed, Terms::default()),
    ];
    let new = ("2026-01-01T00:00:00Z", New, 1_000);
    let rules = LedgerRules::default();
    expect(&events, &rules, &[new, ("2026-03-03T00:00:00Z", Churn, -1_000)]);
    let never = LedgerRules { delinquency_days: None, ..rules };
    expect(&events, &never, &[new]);
    let paid = event(4, "2026-02-20T00:00:00Z", Renewed, Terms::default());
    expect(&[&events[..], &[paid]].concat(), &rules, &[new]);
    let too_late = event(4, "2026-03-20T00:00:00Z", Renewed, Terms::default());
    let back = ("2026-03-20T00:00:00Z", Reactivation, 1_000);
    expect(
        &[&events[..], &[too_late]].concat(),
        &rules,
        &[new, ("2026-03-03T00:00:00Z", Churn, -1_000), back],
    );
}

#[test]
fn changes_within_an_hour_are_one_movement() {
    let mut second = event(3, "2026-01-01T00:30:00Z", Started, priced("extra", 300));
    second.subscription = Key([2; 16]);
    let events = [
        event(1, "2026-01-01T00:00:00Z", Started, priced("basic", 500)),
        event(2, "2026-01-01T00:20:00Z", Updated, priced("pro", 1_000)),
        second,
        event(4, "2026-01-01T01:00:00Z", Updated, priced("team", 1_000)),
    ];
    let rules = LedgerRules::default();
    expect(&events, &rules, &[("2026-01-01T00:30:00Z", New, 1_300), ("2026-01-01T01:00:00Z", Transfer, 0)]);
    assert_eq!(fold(&events, &rules).movements[0].cause, [3; 16]);
    let single = LedgerRules { group_minutes: 0, ..rules };
    let kinds: Vec<_> = fold(&events, &single).movements.iter().map(|it| it.kind).collect();
    assert_eq!(kinds, [New, Expansion, Expansion, Transfer]);
    // Who comes and goes within the hour was never there.
    let gone = event(9, "2026-01-01T00:10:00Z", Cancelled, Terms::default());
    expect(&[events[0].clone(), gone], &rules, &[]);
}

#[test]
fn another_currency_is_a_movement_of_its_own() {
    let mut dollars = event(2, "2026-02-01T00:00:00Z", Started, priced("pro", 900));
    dollars.subscription = Key([2; 16]);
    dollars.terms.currency = Currency::find("USD");
    let mut both_end = [event(3, "2026-03-01T00:00:00Z", Cancelled, Terms::default()), dollars.clone()];
    both_end[1] = SubscriptionEvent {
        id: [4; 16],
        kind: Cancelled,
        at: at("2026-03-01T00:05:00Z"),
        terms: Terms::default(),
        ..dollars.clone()
    };
    let events =
        [&[event(1, "2026-01-01T00:00:00Z", Started, priced("pro", 1_000)), dollars][..], &both_end].concat();
    let ledger = fold(&events, &LedgerRules::default());
    let told: Vec<_> = ledger
        .movements
        .iter()
        .map(|it| (it.kind, it.currency.to_string(), it.delta_minor, it.customers))
        .collect();
    assert_eq!(
        told,
        [
            (New, "EUR".to_owned(), 1_000, 1),
            (Expansion, "USD".to_owned(), 900, 0),
            (Churn, "EUR".to_owned(), -1_000, -1),
            (Churn, "USD".to_owned(), -900, 0),
        ]
    );
}

const PLANS: [&str; 3] = ["basic", "pro", "team"];

fn any_terms() -> impl Strategy<Value = Terms> {
    let unit = prop_oneof![
        Just(IntervalUnit::Year),
        Just(IntervalUnit::Quarter),
        Just(IntervalUnit::Month),
        Just(IntervalUnit::Week)
    ];
    let coupon = (0_u32..=10_000, prop_oneof![Just(CouponDuration::Once), Just(CouponDuration::Forever)])
        .prop_map(|(off, duration)| Coupon { off: Off::Percent(off), duration });
    let currency = prop_oneof![4 => Just("EUR"), 1 => Just("USD")];
    let price = (0_i64..5_000, currency, (unit, 1_u32..4));
    (
        prop::option::weighted(0.7, price),
        prop::option::of(0_usize..3),
        prop::option::of(0_u32..5),
        prop::option::of(coupon),
    )
        .prop_map(|(price, plan, quantity, coupon)| Terms {
            plan: plan.map(|plan| PLANS[plan].to_owned()),
            amount_minor: price.map(|it| it.0),
            currency: price.and_then(|it| Currency::find(it.1)),
            interval: price.map(|it| Interval { unit: it.2.0, count: it.2.1 }),
            quantity,
            coupon,
            ..Terms::default()
        })
}

prop_compose! {
    fn any_event(customers: i64)(
        customer in 0..customers,
        subscription in 0_u8..2,
        // Minutes of a hundred days; many fall into the same hour.
        at in prop_oneof![0_i64..144_000, (0_i64..100).prop_map(|day| day * 1_440), 0_i64..300],
        kind in 0_usize..6,
        terms in any_terms(),
        is_trial in prop::option::weighted(0.2, any::<bool>()),
        ends_in in prop::option::of(0_i64..50_000),
    ) -> SubscriptionEvent {
        let at = Timestamp::from_micros(1_767_225_600_000_000 + at * MINUTE_MICROS);
        SubscriptionEvent {
            id: [0; 16],
            customer: SubjectId(customer),
            subscription: Key([subscription + 10 * customer as u8; 16]),
            at,
            kind: SubscriptionKind::ALL[kind],
            terms,
            is_trial,
            ends_at: ends_in.map(|minutes| Timestamp::from_micros(at.as_micros() + minutes * MINUTE_MICROS)),
        }
    }
}

fn any_events(customers: i64) -> impl Strategy<Value = Vec<SubscriptionEvent>> {
    prop::collection::vec(any_event(customers), 0..24).prop_map(|mut events| {
        for (number, event) in (0_u128..).zip(&mut events) {
            event.id = number.to_be_bytes();
        }
        events
    })
}

fn any_rules() -> impl Strategy<Value = LedgerRules> {
    let churn_at = prop_oneof![Just(ChurnAt::Cancellation), Just(ChurnAt::PeriodEnd)];
    let days = prop::option::of(0_u32..40);
    (churn_at, days.clone(), days, prop_oneof![Just(0_u32), Just(60)]).prop_map(
        |(churn_at, delinquency_days, reactivation_days, group_minutes)| LedgerRules {
            churn_at,
            delinquency_days,
            reactivation_days,
            group_minutes,
            ..LedgerRules::default()
        },
    )
}

/// What a customer pays each month at an instant, from the states of the subscriptions alone: each is played up to the
/// instant as if nothing came later, and looked at.
fn monthly_at(
    events: &[SubscriptionEvent],
    rules: &LedgerRules,
    at: Timestamp,
) -> BTreeMap<(Currency, String), i64> {
    let mut sums = BTreeMap::new();
    let keys: BTreeSet<Key> = events.iter().map(|event| event.subscription).collect();
    for key in keys {
        let mut own: Vec<&SubscriptionEvent> =
            events.iter().filter(|event| event.subscription == key && event.at <= at).collect();
        own.sort_by_key(|event| (event.at, event.kind, event.id));
        let points = live(&own, rules).points;
        let last = points.iter().rfind(|point| point.at_micros <= at.as_micros());
        if let Some(level) = last.and_then(|point| point.level.as_ref()) {
            *sums.entry((level.currency, level.plan.clone())).or_default() += level.monthly_minor;
        }
    }
    sums
}

/// The instants at which groups of changes are complete, worked out from the changes of all subscriptions.
fn settled(events: &[SubscriptionEvent], rules: &LedgerRules) -> Vec<i64> {
    let keys: BTreeSet<Key> = events.iter().map(|event| event.subscription).collect();
    let mut changes: Vec<i64> = keys
        .into_iter()
        .flat_map(|key| {
            let mut own: Vec<_> = events.iter().filter(|event| event.subscription == key).collect();
            own.sort_by_key(|event| (event.at, event.kind, event.id));
            live(&own, rules).points.into_iter().map(|point| point.at_micros)
        })
        .collect();
    changes.sort_unstable();
    let mut ends: Vec<i64> = Vec::new();
    let mut first = None;
    for at in changes {
        match first {
            Some(begun) if at == begun || at < begun + i64::from(rules.group_minutes) * MINUTE_MICROS => {
                ends.pop();
            }
            _ => first = Some(at),
        }
        ends.push(at);
    }
    ends
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn movements_add_up_to_what_is_paid_at_every_instant(
        events in any_events(1),
        rules in any_rules(),
    ) {
        let ledger = fold(&events, &rules);
        let ends = settled(&events, &rules);
        let mut before = BTreeMap::new();
        for end in &ends {
            let end = Timestamp::from_micros(*end);
            let paid = monthly_at(&events, &rules, end);
            for code in ["EUR", "USD"] {
                let currency = Currency::find(code).unwrap();
                let expected: i64 = paid.iter().filter(|((of, _), _)| *of == currency).map(|(_, sum)| sum).sum();
                prop_assert_eq!(ledger.monthly_minor(currency, end), expected, "{} at {}", code, end);
                // And it stays so until the next group.
                let until = ends.iter().find(|next| **next > end.as_micros()).map_or(i64::MAX, |next| next - 1);
                prop_assert_eq!(ledger.monthly_minor(currency, Timestamp::from_micros(until)), expected);
            }
            // Kinds say what happened to the customer as a whole; parts say where.
            let here: Vec<_> = ledger.movements.iter().filter(|it| it.at == end).collect();
            for movement in &here {
                let parts: i64 = movement.parts.iter().map(|part| part.delta_minor).sum();
                prop_assert_eq!(movement.delta_minor, parts);
                let is_true = match movement.kind {
                    New | Reactivation => before.is_empty() && movement.delta_minor > 0,
                    Churn => paid.is_empty() && movement.delta_minor < 0,
                    Expansion => movement.delta_minor > 0 && !before.is_empty() && !paid.is_empty(),
                    Contraction => movement.delta_minor < 0 && !before.is_empty() && !paid.is_empty(),
                    Transfer => movement.delta_minor == 0,
                };
                prop_assert!(is_true, "{:?}", movement);
            }
            let customers: i64 = here.iter().map(|it| it.customers).sum();
            prop_assert_eq!(customers, i64::from(!paid.is_empty()) - i64::from(!before.is_empty()));
            before = paid;
        }
        prop_assert!(ledger.movements.iter().all(|it| ends.contains(&it.at.as_micros())));
    }

    #[test]
    fn order_and_repetition_do_not_matter(
        (events, mixed) in any_events(1).prop_flat_map(|events| {
            let doubled = [events.clone(), events.clone()].concat();
            (Just(events), Just(doubled).prop_shuffle())
        }),
        rules in any_rules(),
    ) {
        prop_assert_eq!(fold(&events, &rules), fold(&mixed, &rules));
    }

    #[test]
    fn the_movements_of_all_customers_add_up_to_what_all_pay(
        events in any_events(4),
        rules in any_rules(),
        minute in 0_i64..200_000,
    ) {
        let at = Timestamp::from_micros(1_767_225_600_000_000 + minute * MINUTE_MICROS);
        let rules = LedgerRules { group_minutes: 0, ..rules };
        let (mut moved, mut paid, mut customers, mut paying) = (0, 0, 0, 0);
        for customer in 0..4 {
            let own: Vec<_> = events.iter().filter(|it| it.customer.0 == customer).cloned().collect();
            let until = fold(&own, &rules).movements.into_iter().filter(|it| it.at <= at);
            for movement in until {
                moved += movement.delta_minor;
                customers += movement.customers;
            }
            let levels = monthly_at(&own, &rules, at);
            paid += levels.values().sum::<i64>();
            paying += i64::from(!levels.is_empty());
        }
        prop_assert_eq!((moved, customers), (paid, paying));
    }
}
