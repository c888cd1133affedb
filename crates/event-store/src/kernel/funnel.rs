//! How many subjects get through ordered steps, and how long each step takes.

mod candidates;
mod chains;
#[cfg(test)]
mod twin;

use std::cmp::Reverse;
use std::ops::Range;

use crate::columns::{Columns, Dimension, NOT_SET};
use crate::kernel::bucket::Buckets;
use crate::kernel::filter::Filter;
use crate::kernel::funnel::candidates::each_candidate;
use crate::kernel::funnel::chains::Chains;
use crate::kernel::group::{Field, Group, Groups};
use crate::kernel::plan::Plan;
use crate::kernel::quantile::median;
use crate::kernel::walk::{Order, Run, merge_in_time};
use crate::kernel::{Cancel, Cancelled, Kernel, Partial, QueryError, ensure_within, run};

/// Steps that a funnel can have.
pub const STEPS_MAX: usize = 16;

/// The usual window, in milliseconds: 7 days.
pub const WINDOW_MS: i64 = 7 * 24 * 60 * 60 * 1000;

/// How many subjects reach each step, in order, within a window from the first?
///
/// A subject reaches step `k` if it has `k` different events, one for each step from the first to that one, whose
/// times never go back, the last at most `window_ms` after the first. So
/// - the window begins at step 1, not at each step, and its end belongs to it;
/// - a later event of step 1 starts again: any of them may be the first event;
/// - one event serves one step, even if the filters of several select it;
/// - among events of the same millisecond the order of the steps decides, not that in which they came;
/// - other events may lie between;
/// - a subject counts once, at the furthest step that it reaches.
///
/// Its times are those of the attempt with which it first reached that step: of the first events from which it
/// is reached at that moment the latest, and then each step at the earliest moment.
#[derive(Clone, Debug)]
pub struct FunnelQuery {
    /// Which events serve each step; 1 to [`STEPS_MAX`].
    pub steps: Vec<Filter>,
    /// Milliseconds from the first step to the last, at least 0; usually [`WINDOW_MS`].
    pub window_ms: i64,
    /// When step 1 must happen, in microseconds since 1970 UTC; the others may happen later, as far as the
    /// segments reach.
    pub entries_micros: Range<i64>,
    /// Whether to answer the subjects of each text of a dimension by themselves.
    pub breakdown: Option<FunnelBreakdown>,
}

/// Groups subjects by first touch: the text of their first event in the segments, of any kind, that has one.
#[derive(Clone, Copy, Debug)]
pub struct FunnelBreakdown {
    /// The dimension.
    pub dimension: Dimension,
    /// How many groups are answered by themselves: those with the most subjects at step 1, equals by text.
    pub limit: usize,
}

/// The subjects that reached one step.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FunnelStep {
    /// Number of subjects.
    pub subjects: u64,
    /// Median time since the step before in milliseconds, by nearest rank; none for the first.
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
    groups: Option<(Dimension, Groups)>,
}

impl<'a> Funnel<'a> {
    /// Plans a query for some segments.
    pub fn try_new(query: &'a FunnelQuery, segments: &[&'a Columns]) -> Result<Self, QueryError> {
        ensure_within("number of steps", query.steps.len(), 1, STEPS_MAX as u64)?;
        let window = usize::try_from(query.window_ms).unwrap_or(usize::MAX);
        ensure_within("window in milliseconds", window, 0, i64::MAX as u64)?;
        let entries = Buckets::try_new(vec![query.entries_micros.start, query.entries_micros.end])?;
        let all = Filter::all();
        let touch = query.breakdown.map(|_| &all);
        let filters: Vec<_> = query.steps.iter().chain(touch).collect();
        let plan = Plan::new(&filters, &entries, segments);
        let groups = query.breakdown.map(|FunnelBreakdown { dimension, .. }| {
            (dimension, Groups::new(Field::Dimension(dimension), &plan.segments))
        });
        Ok(Self { query, plan, groups })
    }
}

impl Funnel<'_> {
    /// Whether all events of each run are earlier than those of the next.
    fn are_apart(&self, runs: &[Run]) -> bool {
        let time = |run: &Run, row: usize| self.plan.segments[run.segment].time_ms(row);
        runs.windows(2).all(|pair| time(&pair[0], pair[0].rows.end - 1) < time(&pair[1], pair[1].rows.start))
    }

    /// Takes the events of a subject, given in runs in time order, whose names decide the filters.
    fn take_all(&self, runs: &[Run], chains: &mut Chains) {
        self.plan.events(0, runs, |event| {
            let mask = event.mask & !u32::from(event.region != 1);
            if mask != 0 {
                chains.take(event.time_ms(), mask);
            }
            !chains.is_done()
        });
    }

    /// Takes the events of a subject, given in runs that are apart, by their names, and passes over those that move
    /// nothing on: before the first step is reached all but it, then all but the first two, and so on.
    fn follow(&self, runs: &[Run], chains: &mut Chains) {
        for run in runs {
            let (columns, compiled) = (self.plan.segments[run.segment], self.plan.compiled(run.segment));
            let (names, times) = (&columns.names[run.rows.clone()], &columns.times[run.rows.clone()]);
            let mut row = 0;
            loop {
                let wanted = chains.wanted();
                let next = names[row..].iter().position(|&name| compiled.names.mask(name) & wanted != 0);
                let Some(passed) = next else { break };
                row += passed;
                // Of the events of that millisecond, those that were passed over may move on what this one does.
                let time = times[row];
                while row > 0 && times[row - 1] == time {
                    row -= 1;
                }
                while row < times.len() && times[row] == time {
                    let mut mask = compiled.names.mask(names[row]);
                    // Step 1 only counts within its range, which is region 1.
                    mask &= !u32::from(mask & 1 == 1 && compiled.regions.of(time) != 1);
                    if mask != 0 {
                        chains.take(columns.base_ms + i64::from(time), mask);
                    }
                    row += 1;
                }
                chains.settle();
                if chains.is_done() {
                    return;
                }
            }
        }
    }
}

/// What was read for a [`Funnel`] from some subjects.
#[derive(Clone, Debug)]
pub struct FunnelPart {
    /// Subjects by group and the furthest step that they reached.
    furthest: Vec<u64>,
    /// Milliseconds since the step before, by the place of that step, with the subject's group.
    since_before: Vec<Vec<(u32, i64)>>,
}

impl FunnelPart {
    /// Adds what a subject of a group reached.
    fn add(&mut self, chains: &mut Chains, group: u32) {
        let times = chains.finish();
        if times.is_empty() {
            return;
        }
        let steps = self.since_before.len() + 1;
        self.furthest[group as usize * steps + times.len() - 1] += 1;
        for (into, pair) in self.since_before.iter_mut().zip(times.windows(2)) {
            into.push((group, pair[1] - pair[0]));
        }
    }
}

impl Partial for FunnelPart {
    fn merge(&mut self, later: Self) {
        for (into, from) in self.furthest.iter_mut().zip(later.furthest) {
            *into += from;
        }
        for (into, from) in self.since_before.iter_mut().zip(later.since_before) {
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

    fn part(&self, subjects: Range<u32>, cancel: Cancel<'_>) -> Result<FunnelPart, Cancelled> {
        let (start, steps) = (self.plan.clamp(subjects.clone()).start, self.query.steps.len());
        let count = self.groups.as_ref().map_or(1, |(_, groups)| groups.len());
        let mut part =
            FunnelPart { furthest: vec![0; count * steps], since_before: vec![Vec::new(); steps - 1] };
        let mut chains = Chains::new(steps, self.query.window_ms);
        let of_steps = (1_u32 << steps) - 1;
        let is_plain = self.groups.is_none() && self.plan.is_decided_by_names();
        if is_plain {
            let mut merged = Vec::new();
            each_candidate(&self.plan, subjects, cancel, |runs| {
                chains.clear();
                if self.plan.is_in_time() || self.are_apart(runs) {
                    self.follow(runs, &mut chains);
                } else {
                    merge_in_time(&self.plan.segments, runs, &mut merged);
                    self.take_all(runs, &mut chains);
                }
                part.add(&mut chains, 0);
            })?;
            return Ok(part);
        }
        self.plan.walk(Order::TogetherInTime, subjects, cancel, |local, runs| {
            let mut group = if self.groups.is_some() { None } else { Some(0) };
            chains.clear();
            self.plan.events(start + local, runs, |event| {
                if let (None, Some((dimension, groups))) = (group, &self.groups)
                    && event.columns.text(*dimension).code(event.row) != NOT_SET
                {
                    group = Some(groups.of(event.segment, event.columns, event.row));
                }
                // Step 1 only counts within its range, which is region 1.
                let mask = event.mask & of_steps & !u32::from(event.region != 1);
                if mask != 0 {
                    chains.take(event.time_ms(), mask);
                }
                !chains.is_done() || group.is_none()
            });
            part.add(&mut chains, group.unwrap_or(0));
        })?;
        Ok(part)
    }

    fn finish(&self, partial: FunnelPart, _threads: usize) -> Vec<FunnelGroup> {
        let steps = self.query.steps.len();
        // Who reached a step reached those before.
        let reached: Vec<Vec<u64>> = partial
            .furthest
            .chunks_exact(steps)
            .map(|furthest| (0..steps).map(|step| furthest[step..].iter().sum()).collect())
            .collect();
        let answer = |group: Group, numbers: &[usize], held: &dyn Fn(u32) -> bool| {
            let step = |step: usize| {
                let times = step.checked_sub(1).map_or(&[][..], |before| &partial.since_before[before]);
                let mut times: Vec<i64> =
                    times.iter().filter(|(group, _)| held(*group)).map(|it| it.1).collect();
                let subjects = numbers.iter().map(|&number| reached[number][step]).sum();
                FunnelStep { subjects, median_ms: median(&mut times) }
            };
            FunnelGroup { group, steps: (0..steps).map(step).collect() }
        };
        let every: Vec<usize> = (0..reached.len()).collect();
        let mut answers = vec![answer(Group::All, &every, &|_| true)];
        if let (Some((_, groups)), Some(breakdown)) = (&self.groups, self.query.breakdown) {
            let mut ranked: Vec<usize> = every.into_iter().filter(|&number| reached[number][0] > 0).collect();
            ranked.sort_by_cached_key(|&number| (Reverse(reached[number][0]), groups.group(number)));
            let others = ranked.split_off(breakdown.limit.min(ranked.len()));
            for number in ranked {
                answers.push(answer(groups.group(number), &[number], &|group| group as usize == number));
            }
            if !others.is_empty() {
                answers.push(answer(Group::Other, &others, &|group| others.contains(&(group as usize))));
            }
        }
        answers
    }
}
