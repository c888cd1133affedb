//! Funnels by their definitions: every way to choose events is tried.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use crate::columns::{Columns, Dimension, Row};
use crate::kernel::bucket::Buckets;
use crate::kernel::filter::Filter;
use crate::kernel::funnel::{
    Exclusion, Funnel, FunnelBreakdown, FunnelGroup, FunnelMode, FunnelQuery, FunnelRules, FunnelStep, Touch,
    WINDOW_MS, funnel,
};
use crate::kernel::group::{Field, Group};
use crate::kernel::testing::{Case, NAMES, Random, answer, holds, size, text_of};

/// An event of one subject.
struct Visit {
    ms: i64,
    /// The steps that it can serve, the first only within the time of entries.
    serves: Vec<bool>,
    /// The exclusions that it is of.
    excluded: Vec<bool>,
    /// Whether it lies before the time of entries, within it or after.
    is_before: bool,
    is_entry: bool,
    /// The steps that it can serve at any time.
    serves_ever: Vec<bool>,
}

/// All ways to reach steps in their order, as the times of the steps.
fn ways(
    visits: &[Visit],
    steps: &[usize],
    rules: &FunnelRules,
    window_ms: i64,
    chosen: &mut Vec<usize>,
    found: &mut Vec<Vec<i64>>,
) {
    let times: Vec<i64> = chosen.iter().map(|&at| visits[at].ms).collect();
    let is_ended = rules.exclusions.iter().enumerate().any(|(exclusion, it)| {
        let place = |step: usize| steps.iter().position(|other| *other == step).unwrap_or(usize::MAX);
        let Some(after) = times.get(place(it.after)) else { return false };
        let before = times.get(place(it.before)).or(times.last()).unwrap();
        visits.iter().any(|visit| visit.excluded[exclusion] && *after < visit.ms && visit.ms < *before)
    });
    if is_ended {
        return;
    }
    if !times.is_empty() {
        found.push(times.clone());
    }
    let Some(step) = steps.get(times.len()) else { return };
    for (at, visit) in visits.iter().enumerate() {
        let (first, last) = (*times.first().unwrap_or(&visit.ms), *times.last().unwrap_or(&visit.ms));
        let fits = visit.serves[*step] && visit.ms >= last && visit.ms - first <= window_ms;
        if fits && !chosen.contains(&at) {
            chosen.push(at);
            ways(visits, steps, rules, window_ms, chosen, found);
            chosen.pop();
        }
    }
}

/// The times of the steps that a subject reaches in their order.
fn ordered(visits: &[Visit], steps: &[usize], rules: &FunnelRules, window_ms: i64) -> Vec<i64> {
    let mut found = Vec::new();
    ways(visits, steps, rules, window_ms, &mut Vec::new(), &mut found);
    // The most steps, the first to get there, of those the last to begin, and then the earliest from the back.
    let key = |times: &Vec<i64>| {
        let back: Vec<i64> = times.iter().rev().skip(1).copied().collect();
        (Reverse(times.len()), *times.last().unwrap(), Reverse(times[0]), back)
    };
    found.into_iter().min_by_key(key).unwrap_or_default()
}

fn strict(visits: &[Visit], steps: usize, window_ms: i64) -> Vec<i64> {
    let mut best: Vec<i64> = Vec::new();
    for end in 0..visits.len() {
        for count in 1..=steps.min(end + 1) {
            let run = &visits[end + 1 - count..=end];
            let serves = run.iter().enumerate().all(|(step, visit)| visit.serves[step]);
            if serves && run[count - 1].ms - run[0].ms <= window_ms && count > best.len() {
                best = run.iter().map(|visit| visit.ms).collect();
            }
        }
    }
    best
}

/// How many steps different events can serve: by the deficiency form of Hall's theorem.
fn served(visits: &[&Visit], steps: usize) -> usize {
    let sets = 0..1_u32 << steps;
    let bound = |set: u32| {
        let serves = |visit: &&&Visit| (0..steps).any(|step| set >> step & 1 == 1 && visit.serves_ever[step]);
        steps - set.count_ones() as usize + visits.iter().filter(serves).count()
    };
    sets.map(bound).min().unwrap()
}

fn unordered(visits: &[Visit], steps: usize, window_ms: i64) -> Vec<i64> {
    let of_steps: Vec<&Visit> =
        visits.iter().filter(|visit| !visit.is_before && visit.serves_ever.contains(&true)).collect();
    let mut found = Vec::new();
    for entry in of_steps.iter().filter(|visit| visit.is_entry) {
        let mut times = Vec::new();
        for end in of_steps.iter().filter(|it| it.ms >= entry.ms && it.ms - entry.ms <= window_ms) {
            let within = of_steps.iter().filter(|it| it.ms >= entry.ms && it.ms <= end.ms);
            let within: Vec<&Visit> = within.copied().collect();
            while times.len() < served(&within, steps) {
                times.push(end.ms);
            }
            if let Some(&last) = times.last() {
                found.push((Reverse(times.len()), last, Reverse(entry.ms), times.clone()));
            }
        }
    }
    found.into_iter().min().map(|(.., times)| times).unwrap_or_default()
}

/// By step the time since the step before, for the steps that a subject reaches; and when it reached the furthest.
type Reached = (Vec<Option<Option<i64>>>, i64);

fn reached_by(visits: &[Visit], query: &FunnelQuery) -> Option<Reached> {
    let (steps, window_ms, rules) = (query.steps.len(), query.window_ms, &query.rules);
    let required: Vec<usize> = (0..steps).filter(|step| !rules.optional.contains(step)).collect();
    let times = match rules.mode {
        FunnelMode::Ordered => ordered(visits, &required, rules, window_ms),
        FunnelMode::Strict => strict(visits, steps, window_ms),
        FunnelMode::Unordered => unordered(visits, steps, window_ms),
    };
    let mut reached = vec![None; steps];
    let since = |times: &[i64], at: usize| at.checked_sub(1).map(|before| times[at] - times[before]);
    for (at, step) in required.iter().enumerate().take(times.len()) {
        reached[*step] = Some(since(&times, at));
    }
    for &step in &rules.optional {
        let own: Vec<usize> = required.iter().copied().filter(|it| *it < step).chain([step]).collect();
        let times = ordered(visits, &own, rules, window_ms);
        if times.len() == own.len() {
            reached[step] = Some(since(&times, times.len() - 1));
        }
    }
    Some((reached, *times.last()?))
}

fn summarize(group: Group, subjects: &[Reached], steps: usize) -> FunnelGroup {
    let steps = (0..steps).map(|step| {
        let reached: Vec<_> = subjects.iter().filter_map(|it| it.0[step]).collect();
        let mut times: Vec<i64> = reached.iter().flatten().copied().collect();
        times.sort_unstable();
        let median_ms = times.len().checked_sub(1).map(|last| times[last / 2]);
        FunnelStep { subjects: reached.len() as u64, median_ms }
    });
    FunnelGroup { group, steps: steps.collect() }
}

fn twin(case: &Case, query: &FunnelQuery) -> Vec<FunnelGroup> {
    let steps = query.steps.len();
    let mut by_group: BTreeMap<Group, Vec<Reached>> = BTreeMap::new();
    for rows in case.rows_by_subject() {
        let visit = |row: &Row<'static>| {
            let micros = row.time_ms() * 1000;
            let serves_ever: Vec<bool> = query.steps.iter().map(|step| holds(step, row)).collect();
            let mut serves = serves_ever.clone();
            serves[0] &= query.entries_micros.contains(&micros);
            let excluded = query.rules.exclusions.iter().map(|it| holds(&it.events, row)).collect();
            let is_before = micros < query.entries_micros.start;
            let is_entry = query.entries_micros.contains(&micros);
            Visit { ms: row.time_ms(), serves, excluded, is_before, is_entry, serves_ever }
        };
        let visits: Vec<Visit> = rows.iter().map(visit).collect();
        let Some(reached) = reached_by(&visits, query) else { continue };
        let touch = query.breakdown.as_ref().and_then(|it| {
            let text = |row| text_of(&it.field, row);
            match it.touch {
                Touch::First => rows.iter().find_map(text),
                Touch::Last => rows.iter().rev().filter(|row| row.time_ms() <= reached.1).find_map(text),
            }
        });
        let group = touch.map_or(Group::NotSet, |text| Group::Text(text.into()));
        by_group.entry(group).or_default().push(reached);
    }
    let all: Vec<_> = by_group.values().flatten().cloned().collect();
    let mut answers = vec![summarize(Group::All, &all, steps)];
    if let Some(breakdown) = &query.breakdown {
        let mut groups: Vec<_> = by_group.into_iter().collect();
        groups.sort_by_key(|(_, subjects)| Reverse(subjects.len()));
        let others: Vec<_> = groups.iter().skip(breakdown.limit).flat_map(|it| it.1.clone()).collect();
        groups.truncate(breakdown.limit);
        answers.extend(groups.into_iter().map(|(group, subjects)| summarize(group, &subjects, steps)));
        if !others.is_empty() {
            answers.push(summarize(Group::Other, &others, steps));
        }
    }
    answers
}

fn step(random: &mut Random) -> Filter {
    match random.range(0, 4) {
        0 => Filter::Or(vec![Filter::name(random.pick(&NAMES)), Filter::name(random.pick(&NAMES))]),
        1 => Filter::And(vec![Filter::name(random.pick(&NAMES)), random.filter(0)]),
        _ => Filter::name(random.pick(&NAMES)),
    }
}

/// Rules of the ordered mode that fit so many steps.
fn rules(random: &mut Random, steps: usize) -> FunnelRules {
    let optional = (1..steps).filter(|_| random.range::<u8>(0, 4) == 0).collect();
    let mut rules = FunnelRules { optional, ..FunnelRules::default() };
    let required: Vec<usize> = (0..steps).filter(|step| !rules.optional.contains(step)).collect();
    for _ in 0..random.range(0, 3) {
        let (after, before) = (random.pick(&required), random.pick(&required));
        if after < before {
            let events = Filter::name(random.pick(&NAMES));
            rules.exclusions.push(Exclusion { events, after, before });
        }
    }
    rules
}

fn check(seed: u64, cases: usize, rules: impl Fn(&mut Random, usize) -> FunnelRules) {
    let mut random = Random::new(seed);
    for _ in 0..cases {
        let case = Case::generate(&mut random);
        let starts = &case.starts_micros;
        let breakdown = FunnelBreakdown {
            field: random.pick(&[Field::Dimension(Dimension::Course), Field::Prop(size())]),
            touch: random.pick(&[Touch::First, Touch::Last]),
            limit: random.range(0, 4),
        };
        let steps: Vec<Filter> = (0..random.range(1, 5)).map(|_| step(&mut random)).collect();
        let query = FunnelQuery {
            rules: rules(&mut random, steps.len()),
            steps,
            window_ms: random.pick(&[0, 30, 100, 400, i64::MAX]),
            entries_micros: starts[0] - 100_000..starts[case.buckets()],
            breakdown: random.pick(&[Some(breakdown), None]),
        };
        let segments = case.segments();
        let kernel = Funnel::try_new(&query, &segments).unwrap();
        assert_eq!(answer(&mut random, &kernel), twin(&case, &query), "{query:?}");
    }
}

#[test]
fn steps_are_reached_exactly_when_some_choice_of_events_reaches_them() {
    check(11, 4_000, |_, _| FunnelRules::default());
}

#[test]
fn exclusions_and_optional_steps_are_those_of_some_choice_of_events() {
    check(12, 6_000, rules);
}

#[test]
fn strict_steps_are_those_of_events_in_a_row() {
    check(13, 4_000, |_, _| FunnelRules { mode: FunnelMode::Strict, ..FunnelRules::default() });
}

#[test]
fn unordered_steps_are_as_many_as_some_choice_of_events_serves() {
    check(14, 4_000, |_, _| FunnelRules { mode: FunnelMode::Unordered, ..FunnelRules::default() });
}

fn reached(events: &[(i64, &'static str)], steps: &[&str], window_ms: i64) -> Vec<u64> {
    reached_with(events, steps, window_ms, FunnelRules::default())
}

fn reached_with(
    events: &[(i64, &'static str)],
    steps: &[&str],
    window_ms: i64,
    rules: FunnelRules,
) -> Vec<u64> {
    let rows = events.iter().map(|&(ms, name)| Row::new(0, ms * 1000, name));
    let columns = Columns::from_rows(rows).unwrap();
    let steps = steps.iter().map(|names| Filter::Or(names.split('|').map(Filter::name).collect())).collect();
    let query = FunnelQuery { steps, window_ms, entries_micros: 0..i64::MAX, rules, breakdown: None };
    let answer = funnel(&query, &[&columns], 1, &|| false).unwrap();
    answer[0].steps.iter().map(|step| step.subjects).collect()
}

#[test]
fn the_window_begins_at_step_one_and_a_later_start_begins_again() {
    let events = [(0, "a"), (6, "b"), (12, "c")];
    assert_eq!(reached(&events, &["a", "b", "c"], 11), [1, 1, 0]);
    assert_eq!(reached(&events, &["a", "b", "c"], 12), [1, 1, 1]);
    assert_eq!(reached(&[(0, "a"), (5, "a"), (6, "b"), (12, "c")], &["a", "b", "c"], 7), [1, 1, 1]);
}

#[test]
fn one_event_serves_one_step_and_ties_are_in_the_order_of_the_steps() {
    assert_eq!(reached(&[(0, "a")], &["a", "a"], 9), [1, 0]);
    assert_eq!(reached(&[(0, "a"), (0, "a")], &["a", "a"], 9), [1, 1]);
    assert_eq!(reached(&[(0, "c"), (0, "b"), (0, "a")], &["a", "b", "c"], 9), [1, 1, 1]);
    // The first event could serve either step, the second only the first.
    assert_eq!(reached(&[(0, "x"), (0, "a")], &["a|x", "x"], 9), [1, 1]);
}

#[test]
fn a_bulk_of_events_in_one_millisecond_is_no_burden() {
    let events: Vec<_> = (0..100_000).map(|at| (0, NAMES[at % NAMES.len()])).collect();
    assert_eq!(reached(&events, &["pay", "pay", "view|pay", "start"], 0), [1, 1, 1, 1]);
}

#[test]
fn unusable_queries_are_refused() {
    let rules = FunnelRules::default();
    let query = FunnelQuery {
        steps: vec![],
        window_ms: 0,
        entries_micros: 0..1,
        rules: rules.clone(),
        breakdown: None,
    };
    assert!(Funnel::try_new(&query, &[]).is_err());
    let query = FunnelQuery { steps: vec![Filter::all()], window_ms: -1, ..query };
    assert!(Funnel::try_new(&query, &[]).is_err());
    assert!(Buckets::try_new(vec![3, 2]).is_err());
    let exclusion = |after, before| Exclusion { events: Filter::all(), after, before };
    for (odd, why) in [
        (FunnelRules { optional: vec![0], ..rules.clone() }, "the first step cannot be left out"),
        (FunnelRules { optional: vec![3], ..rules.clone() }, "there is no such step"),
        (
            FunnelRules { optional: vec![1], mode: FunnelMode::Strict, ..rules.clone() },
            "steps need the ordered mode",
        ),
        (
            FunnelRules { exclusions: vec![exclusion(1, 1)], ..rules.clone() },
            "must lie after one step and before a later one",
        ),
        (FunnelRules { exclusions: vec![exclusion(0, 3)], ..rules.clone() }, "there is no such step"),
        (FunnelRules { exclusions: vec![exclusion(0, 1); 11], ..rules.clone() }, "are more than 10"),
        (
            FunnelRules { optional: vec![1], exclusions: vec![exclusion(1, 2)], ..rules },
            "cannot begin or end at an optional step",
        ),
    ] {
        assert_eq!(odd.check(3).unwrap_err().1, why);
    }
}

#[test]
fn twenty_steps_are_followed() {
    let names: Vec<&'static str> = "abcdefghijklmnopqrst".split("").filter(|name| !name.is_empty()).collect();
    let events: Vec<_> = (0..).zip(&names).map(|(ms, name)| (ms, *name)).collect();
    assert_eq!(reached(&events, &names, WINDOW_MS), [1; 20]);
    let backwards: Vec<_> = (0..).zip(names.iter().rev()).map(|(ms, name)| (ms, *name)).collect();
    let unordered = FunnelRules { mode: FunnelMode::Unordered, ..FunnelRules::default() };
    assert_eq!(reached_with(&backwards, &names, WINDOW_MS, unordered), [1; 20]);
    let strict = FunnelRules { mode: FunnelMode::Strict, ..FunnelRules::default() };
    assert_eq!(reached_with(&events, &names, WINDOW_MS, strict.clone()), [1; 20]);
    assert_eq!(reached_with(&[(0, "a"), (1, "x"), (2, "b")], &["a", "b"], 9, strict), [1, 0]);
}

#[test]
fn what_is_excluded_between_two_steps_ends_the_attempt_and_not_the_next_one() {
    let rules = |optional: &[usize]| FunnelRules {
        optional: optional.to_vec(),
        exclusions: vec![Exclusion { events: Filter::name("x"), after: 0, before: 2 }],
        ..FunnelRules::default()
    };
    let steps = ["a", "b", "c"];
    assert_eq!(reached_with(&[(0, "a"), (1, "b"), (2, "x"), (3, "c")], &steps, 9, rules(&[])), [1, 1, 0]);
    assert_eq!(reached_with(&[(0, "a"), (1, "x"), (2, "b"), (3, "c")], &steps, 9, rules(&[])), [1, 0, 0]);
    let again = [(0, "a"), (1, "x"), (2, "a"), (3, "b"), (4, "c"), (5, "x")];
    assert_eq!(reached_with(&again, &steps, 9, rules(&[])), [1, 1, 1]);
    // At the moment of a step it lies on no side of it.
    assert_eq!(
        reached_with(&[(0, "x"), (0, "a"), (1, "b"), (2, "c"), (2, "x")], &steps, 9, rules(&[])),
        [1, 1, 1]
    );
    // The optional step is left out, or done.
    assert_eq!(reached_with(&[(0, "a"), (1, "c")], &steps, 9, rules(&[1])), [1, 0, 1]);
    assert_eq!(reached_with(&[(0, "a"), (1, "b"), (2, "c")], &steps, 9, rules(&[1])), [1, 1, 1]);
}
