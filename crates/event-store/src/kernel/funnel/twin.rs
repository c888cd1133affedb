//! The funnel by its definition: every way to choose events is tried.

use std::collections::BTreeMap;

use crate::columns::{Columns, Dimension, Row};
use crate::kernel::bucket::Buckets;
use crate::kernel::filter::Filter;
use crate::kernel::funnel::{Funnel, FunnelBreakdown, FunnelGroup, FunnelQuery, FunnelStep, funnel};
use crate::kernel::group::Group;
use crate::kernel::testing::{Case, NAMES, Random, answer, holds};

/// Events of one subject as (time, the steps that each can serve).
type Events = Vec<(i64, Vec<bool>)>;

/// The earliest time at which different events serve the steps from `step` to `last`, from `now` to `until`.
fn earliest(
    events: &Events,
    used: &mut Vec<bool>,
    step: usize,
    last: usize,
    now: i64,
    until: i64,
) -> Option<i64> {
    if step > last {
        return Some(now);
    }
    let mut best = None;
    for at in 0..events.len() {
        let (time, serves) = &events[at];
        if !used[at] && serves[step] && *time >= now && *time <= until {
            used[at] = true;
            let found = earliest(events, used, step + 1, last, *time, until);
            used[at] = false;
            best = [best, found].into_iter().flatten().min();
        }
    }
    best
}

/// When an attempt that begins at `entry` reaches step `last` at the earliest.
fn reaches(events: &Events, entry: i64, last: usize, window_ms: i64) -> Option<i64> {
    let first = (0..events.len()).filter(|&at| events[at].0 == entry && events[at].1[0]);
    let mut used = vec![false; events.len()];
    let ends = first.filter_map(|at| {
        used[at] = true;
        let end = earliest(events, &mut used, 1, last, entry, entry.saturating_add(window_ms));
        used[at] = false;
        end
    });
    ends.min()
}

/// The times of the steps that a subject reaches.
fn attempt(events: &Events, steps: usize, window_ms: i64) -> Vec<i64> {
    for last in (0..steps).rev() {
        let attempts =
            events.iter().filter_map(|(entry, _)| Some((reaches(events, *entry, last, window_ms)?, *entry)));
        let Some(end) = attempts.clone().map(|it| it.0).min() else { continue };
        let entry = attempts.filter(|it| it.0 == end).map(|it| it.1).max().unwrap();
        return (0..=last).map(|step| reaches(events, entry, step, window_ms).unwrap()).collect();
    }
    Vec::new()
}

fn summarize(group: Group, attempts: &[Vec<i64>], steps: usize) -> FunnelGroup {
    let steps = (0..steps).map(|step| {
        let reached: Vec<_> = attempts.iter().filter(|times| times.len() > step).collect();
        let mut times: Vec<i64> =
            reached.iter().filter(|_| step > 0).map(|times| times[step] - times[step - 1]).collect();
        times.sort_unstable();
        let median_ms = times.len().checked_sub(1).map(|last| times[last / 2]);
        FunnelStep { subjects: reached.len() as u64, median_ms }
    });
    FunnelGroup { group, steps: steps.collect() }
}

fn twin(case: &Case, query: &FunnelQuery) -> Vec<FunnelGroup> {
    let steps = query.steps.len();
    let mut by_group: BTreeMap<Group, Vec<Vec<i64>>> = BTreeMap::new();
    for rows in case.rows_by_subject() {
        let serves = |row: &Row<'_>| -> Vec<bool> {
            let mut serves: Vec<bool> = query.steps.iter().map(|step| holds(step, row)).collect();
            serves[0] &= query.entries_micros.contains(&(row.time_ms() * 1000));
            serves
        };
        let events: Events = rows.iter().map(|row| (row.time_ms(), serves(row))).collect();
        let events = events.into_iter().filter(|event| event.1.contains(&true)).collect();
        let touch =
            query.breakdown.and_then(|it| rows.iter().find_map(|row| row.dimensions[it.dimension.index()]));
        let group = touch.map_or(Group::NotSet, |text| Group::Text(text.into()));
        let times = attempt(&events, steps, query.window_ms);
        if !times.is_empty() {
            by_group.entry(group).or_default().push(times);
        }
    }
    let all: Vec<_> = by_group.values().flatten().cloned().collect();
    let mut answers = vec![summarize(Group::All, &all, steps)];
    if let Some(breakdown) = query.breakdown {
        let mut groups: Vec<_> = by_group.into_iter().collect();
        groups.sort_by_key(|(_, attempts)| std::cmp::Reverse(attempts.len()));
        let others: Vec<_> = groups.iter().skip(breakdown.limit).flat_map(|it| it.1.clone()).collect();
        groups.truncate(breakdown.limit);
        answers.extend(groups.into_iter().map(|(group, attempts)| summarize(group, &attempts, steps)));
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

#[test]
fn steps_are_reached_exactly_when_some_choice_of_events_reaches_them() {
    let mut random = Random::new(11);
    for _ in 0..4_000 {
        let case = Case::generate(&mut random);
        let starts = &case.starts_micros;
        let breakdown = FunnelBreakdown { dimension: Dimension::Course, limit: random.range(0, 4) };
        let query = FunnelQuery {
            steps: (0..random.range(1, 5)).map(|_| step(&mut random)).collect(),
            window_ms: random.pick(&[0, 30, 100, 400, i64::MAX]),
            entries_micros: starts[0] - 100_000..starts[case.buckets()],
            breakdown: random.pick(&[None, Some(breakdown)]),
        };
        let segments = case.segments();
        let kernel = Funnel::try_new(&query, &segments).unwrap();
        assert_eq!(answer(&mut random, &kernel), twin(&case, &query), "{query:?}");
    }
}

fn reached(events: &[(i64, &'static str)], steps: &[&str], window_ms: i64) -> Vec<u64> {
    let rows = events.iter().map(|&(ms, name)| Row::new(0, ms * 1000, name));
    let columns = Columns::from_rows(rows).unwrap();
    let steps = steps.iter().map(|names| Filter::Or(names.split('|').map(Filter::name).collect())).collect();
    let query = FunnelQuery { steps, window_ms, entries_micros: 0..i64::MAX, breakdown: None };
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
    let query = FunnelQuery { steps: vec![], window_ms: 0, entries_micros: 0..1, breakdown: None };
    assert!(Funnel::try_new(&query, &[]).is_err());
    let query = FunnelQuery { steps: vec![Filter::all()], window_ms: -1, ..query };
    assert!(Funnel::try_new(&query, &[]).is_err());
    assert!(Buckets::try_new(vec![3, 2]).is_err());
}
