//! How many subjects get through steps, and how long each step takes.

mod chains;
mod gather;
mod matching;
mod rules;
mod strict;
mod tracker;
#[cfg(test)]
mod twin;
mod unordered;

use std::borrow::Cow;
use std::cmp::Reverse;
use std::ops::Range;

use crate::columns::Columns;
use crate::kernel::bucket::Buckets;
use crate::kernel::filter::Filter;
use crate::kernel::funnel::chains::Chains;
use crate::kernel::funnel::tracker::{Trackers, Visit};
use crate::kernel::group::{Field, Group, Groups};
use crate::kernel::plan::Plan;
use crate::kernel::quantile::median;
use crate::kernel::walk::Order;
use crate::kernel::{Cancel, Cancelled, Kernel, Partial, QueryError, ensure_within, make_each, run};

pub use rules::{EXCLUSIONS_MAX, Exclusion, FunnelMode, FunnelRules};

/// Steps that a funnel can have.
pub const STEPS_MAX: usize = 20;

/// The usual window, in milliseconds: 7 days.
pub const WINDOW_MS: i64 = 7 * 24 * 60 * 60 * 1000;

/// How many subjects reach each step within a window from the first?
///
/// In the mode [`FunnelMode::Ordered`] a subject reaches step `k` if it has `k` different events, one for each step from
/// the first to that one, whose times never go back, the last at most `window_ms` after the first. So
/// - the window begins at step 1, not at each step, and its end belongs to it;
/// - a later event of step 1 starts again: any of them may be the first event;
/// - one event serves one step, even if the filters of several select it;
/// - among events of the same millisecond the order of the steps decides, not that in which they came;
/// - other events may lie between;
/// - a subject counts once, at the furthest step that it reaches.
///
/// Its times are those of the attempt with which it first reached that step: of the first events from which it
/// is reached at that moment the latest, and then each step at the earliest moment.
///
/// [`FunnelRules`] say what the other modes, optional steps and exclusions change.
#[derive(Clone, Debug)]
pub struct FunnelQuery {
    /// Which events serve each step; 1 to [`STEPS_MAX`].
    pub steps: Vec<Filter>,
    /// Milliseconds from the first step to the last, at least 0; usually [`WINDOW_MS`].
    pub window_ms: i64,
    /// When step 1 must happen, in microseconds since 1970 UTC; the others may happen later, as far as the
    /// segments reach.
    pub entries_micros: Range<i64>,
    /// In which order, which steps may be left out, and what must not happen between.
    pub rules: FunnelRules,
    /// Whether to answer the subjects of each text of a field by themselves.
    pub breakdown: Option<FunnelBreakdown>,
}

/// Groups subjects by the texts of their events in the segments, of any kind; each subject is in one group.
#[derive(Clone, Debug)]
pub struct FunnelBreakdown {
    /// A dimension or property; an event always has a name, so by names there is nothing to attribute.
    pub field: Field,
    /// Which text is that of a subject.
    pub touch: Touch,
    /// How many groups are answered by themselves: those with the most subjects at step 1, equals by text.
    pub limit: usize,
}

/// Which of the texts that a subject's events have is its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Touch {
    /// That of its first event that has one, before or after the steps.
    First,
    /// That of the last event that has one up to the moment at which it reached its furthest step.
    Last,
}

/// The subjects that reached one step.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FunnelStep {
    /// Number of subjects.
    pub subjects: u64,
    /// Median time since the step before in milliseconds, by nearest rank; none for the first. Of the steps before,
    /// optional ones do not count.
    pub median_ms: Option<i64>,
}

/// The steps of a group of subjects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FunnelGroup {
    /// Which subjects.
    pub group: Group,
    /// One item per step.
    pub steps: Vec<FunnelStep>,
}

/// Answers a [`FunnelQuery`]: first all subjects, then with a breakdown the groups, and last the other groups.
pub fn funnel(
    query: &FunnelQuery,
    segments: &[&Columns],
    threads: usize,
    cancel: Cancel<'_>,
) -> Result<Vec<FunnelGroup>, QueryError> {
    Ok(run(&Funnel::try_new(query, segments)?, threads, cancel)?)
}

/// A planned [`FunnelQuery`].
pub struct Funnel<'a> {
    query: &'a FunnelQuery,
    plan: Plan<'a>,
    groups: Option<(Touch, Groups)>,
}

impl<'a> Funnel<'a> {
    /// Plans a query for some segments.
    pub fn try_new(query: &'a FunnelQuery, segments: &[&'a Columns]) -> Result<Self, QueryError> {
        ensure_within("number of steps", query.steps.len(), 1, STEPS_MAX as u64)?;
        let window = usize::try_from(query.window_ms).unwrap_or(usize::MAX);
        ensure_within("window in milliseconds", window, 0, i64::MAX as u64)?;
        query.rules.check(query.steps.len()).map_err(|(_, why)| QueryError::Contradiction(why))?;
        let entries = Buckets::try_new(vec![query.entries_micros.start, query.entries_micros.end])?;
        let all = Filter::all();
        // What is not a step matters where it has a text, or where it must not lie between.
        let sees_all = query.breakdown.is_some() || query.rules.mode == FunnelMode::Strict;
        let excluded = query.rules.exclusions.iter().map(|exclusion| &exclusion.events);
        let filters: Vec<_> = query.steps.iter().chain(excluded).chain(sees_all.then_some(&all)).collect();
        let plan = Plan::new(&filters, &entries, segments);
        let groups = query
            .breakdown
            .as_ref()
            .map(|breakdown| (breakdown.touch, Groups::new(breakdown.field.clone(), &plan.segments)));
        Ok(Self { query, plan, groups })
    }
}

impl Funnel<'_> {
    /// Whether names and times alone decide it, so that only the events of its steps are read.
    fn is_plain(&self) -> bool {
        self.query.rules == FunnelRules::default()
            && self.groups.is_none()
            && self.plan.is_decided_by_names()
            && gather::fits(&self.plan)
    }
}

/// What was read for a [`Funnel`] from some subjects.
#[derive(Clone, Debug)]
pub struct FunnelPart {
    /// Subjects by group and step.
    reached: Vec<u64>,
    /// By step, milliseconds since the step before of each subject that reached it.
    since_before: Vec<Vec<i64>>,
    /// The groups of those subjects; empty without a breakdown.
    groups: Vec<Vec<u32>>,
}

impl FunnelPart {
    /// Adds the times of the steps that a subject reached, without groups.
    fn add(&mut self, times: &[i64]) {
        for (step, reached) in self.reached.iter_mut().enumerate().take(times.len()) {
            *reached += 1;
            if let Some(before) = step.checked_sub(1) {
                self.since_before[step].push(times[step] - times[before]);
            }
        }
    }
}

impl Partial for FunnelPart {
    fn merge(&mut self, later: Self) {
        for (into, from) in self.reached.iter_mut().zip(later.reached) {
            *into += from;
        }
        for (into, from) in self.since_before.iter_mut().zip(later.since_before) {
            into.extend(from);
        }
        for (into, from) in self.groups.iter_mut().zip(later.groups) {
            into.extend(from);
        }
    }
}

impl Kernel for Funnel<'_> {
    type Partial = FunnelPart;
    type Answer = Vec<FunnelGroup>;

    fn segments(&self) -> &[&Columns] {
        &self.plan.segments
    }

    fn prepare(&self, threads: usize) {
        if self.is_plain() {
            make_each(self.plan.segments.len(), threads, |segment| gather::prepare(&self.plan, segment));
        }
    }

    fn part(&self, subjects: Range<u32>, cancel: Cancel<'_>) -> Result<FunnelPart, Cancelled> {
        let (start, steps) = (self.plan.clamp(subjects.clone()).start, self.query.steps.len());
        let count = self.groups.as_ref().map_or(1, |(_, groups)| groups.len());
        let mut part = FunnelPart {
            reached: vec![0; count * steps],
            since_before: vec![Vec::new(); steps],
            groups: vec![Vec::new(); steps],
        };
        if self.is_plain() {
            let mut chains = Chains::new(steps, self.query.window_ms, Vec::new());
            gather::each_candidate(&self.plan, subjects, cancel, |events| {
                chains.clear();
                chains.follow(events);
                part.add(chains.furthest());
            })?;
            return Ok(part);
        }
        let mut trackers = Trackers::new(steps, self.query.window_ms, &self.query.rules);
        let mut touches: Vec<(i64, u32)> = Vec::new();
        self.plan.walk(Order::TogetherInTime, subjects, cancel, |local, runs| {
            trackers.clear();
            touches.clear();
            self.plan.events(start + local, runs, |event| {
                let time_ms = event.time_ms();
                if let Some((touch, groups)) = &self.groups
                    && (*touch == Touch::Last || touches.is_empty())
                {
                    let number = groups.of(event.segment, event.columns, event.row);
                    if number != 0 {
                        touches.push((time_ms, number));
                    }
                }
                trackers.take(Visit { time_ms, mask: event.mask, region: event.region });
                !trackers.is_done(time_ms)
                    || matches!(self.groups, Some((Touch::First, _)) if touches.is_empty())
            });
            let Some(end_ms) = trackers.finish() else { return };
            let touched = match &self.groups {
                Some((Touch::Last, _)) => touches.iter().rev().find(|(ms, _)| *ms <= end_ms),
                _ => touches.first(),
            };
            let group = touched.map_or(0, |(_, number)| *number);
            trackers.reached(|step, since_before| {
                part.reached[group as usize * steps + step] += 1;
                if let Some(since) = since_before {
                    part.since_before[step].push(since);
                    if self.groups.is_some() {
                        part.groups[step].push(group);
                    }
                }
            });
        })?;
        Ok(part)
    }

    fn finish(&self, partial: FunnelPart, threads: usize) -> Vec<FunnelGroup> {
        let steps = self.query.steps.len();
        let reached: Vec<&[u64]> = partial.reached.chunks_exact(steps).collect();
        let answer = |group: Group, numbers: &[usize], held: Option<&(dyn Fn(u32) -> bool + Sync)>| {
            let step = |step: usize| {
                let times = &partial.since_before[step];
                let times: Cow<'_, [i64]> = match held {
                    None => times.into(),
                    Some(held) => {
                        let pairs = times.iter().zip(&partial.groups[step]);
                        pairs.filter(|(_, group)| held(**group)).map(|(time, _)| *time).collect()
                    }
                };
                let subjects = numbers.iter().map(|&number| reached[number][step]).sum();
                FunnelStep { subjects, median_ms: median(&times) }
            };
            let threads = if held.is_some() { 1 } else { threads };
            FunnelGroup { group, steps: make_each(steps, threads, step) }
        };
        let every: Vec<usize> = (0..reached.len()).collect();
        let mut answers = vec![answer(Group::All, &every, None)];
        if let (Some((_, groups)), Some(breakdown)) = (&self.groups, &self.query.breakdown) {
            let mut ranked: Vec<usize> = every.into_iter().filter(|&number| reached[number][0] > 0).collect();
            ranked.sort_by_cached_key(|&number| (Reverse(reached[number][0]), groups.group(number)));
            let others = ranked.split_off(breakdown.limit.min(ranked.len()));
            for number in ranked {
                let held = |group: u32| group as usize == number;
                answers.push(answer(groups.group(number), &[number], Some(&held)));
            }
            if !others.is_empty() {
                let held = |group: u32| others.contains(&(group as usize));
                answers.push(answer(Group::Other, &others, Some(&held)));
            }
        }
        answers
    }
}
