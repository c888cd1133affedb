//! What subjects do next, or did before, step by step from an anchor.

use std::cmp::Reverse;
use std::ops::Range;

use crate::columns::Columns;
use crate::kernel::bucket::Buckets;
use crate::kernel::filter::Filter;
use crate::kernel::group::{Field, Groups};
use crate::kernel::plan::Plan;
use crate::kernel::walk::Order;
use crate::kernel::{Cancel, Cancelled, Kernel, Partial, QueryError, ensure_within, run};

/// Steps that a path can have.
pub const STEPS_MAX: usize = 20;

/// Which way a path goes from its anchor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// To later events.
    Next,
    /// To earlier events.
    Previous,
}

/// Along which names do paths lead from an anchor?
///
/// Every anchor event in the time range begins a path: the subject's events after it (or before it), one step
/// each, as far as `steps` and `gap_ms` allow. Paths may overlap: an anchor on the path of another counts for both.
#[derive(Clone, Debug)]
pub struct PathQuery {
    /// Events that paths begin at.
    pub anchor: Filter,
    /// Events that are steps; anchors always are.
    pub events: Filter,
    /// When anchors happen, in microseconds since 1970 UTC; steps may lie outside, as far as the segments reach.
    pub anchors_micros: Range<i64>,
    /// Which way.
    pub direction: Direction,
    /// Steps from the anchor; 1 to [`STEPS_MAX`].
    pub steps: usize,
    /// The longest time from one step to the next in milliseconds; a longer one ends the path.
    pub gap_ms: Option<i64>,
    /// How many edges are answered at most for each step: those of the most paths, equals by names.
    pub limit: usize,
}

/// From one name to the next.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PathEdge {
    /// Number of the step that the edge leads to; the first is 1.
    pub step: usize,
    /// Name of the step before, at first of the anchor.
    pub from: String,
    /// Name of the step; none where the path ends before it.
    pub to: Option<String>,
    /// Number of paths with this edge at this step.
    pub paths: u64,
    /// Number of different subjects with such a path.
    pub subjects: u64,
}

/// Answer of a [`PathQuery`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathAnswer {
    /// Number of paths.
    pub paths: u64,
    /// Number of different subjects with a path.
    pub subjects: u64,
    /// The edges, by step and then by rank.
    pub edges: Vec<PathEdge>,
}

/// Answers a [`PathQuery`].
pub fn path(
    query: &PathQuery,
    segments: &[&Columns],
    threads: usize,
    cancel: Cancel<'_>,
) -> Result<PathAnswer, QueryError> {
    Ok(run(&Path::try_new(query, segments)?, threads, cancel)?)
}

/// A planned [`PathQuery`].
pub struct Path<'a> {
    query: &'a PathQuery,
    plan: Plan<'a>,
    names: Groups,
}

impl<'a> Path<'a> {
    /// Plans a query for some segments.
    pub fn try_new(query: &'a PathQuery, segments: &[&'a Columns]) -> Result<Self, QueryError> {
        ensure_within("number of steps", query.steps, 1, STEPS_MAX as u64)?;
        let time = Buckets::try_new(vec![query.anchors_micros.start, query.anchors_micros.end])?;
        let plan = Plan::new(&[&query.anchor, &query.events], &time, segments);
        let names = Groups::new(Field::Name, &plan.segments);
        Ok(Self { query, plan, names })
    }

    /// Adds the paths of one subject, whose events are given from the first to the last in the query's direction.
    fn add(&self, events: &[Step], keys: &mut Vec<u64>, part: &mut PathPart) {
        keys.clear();
        for (at, anchor) in events.iter().enumerate().filter(|(_, event)| event.is_anchor) {
            part.paths += 1;
            let mut before = anchor;
            for step in 1..=self.query.steps {
                let next = events.get(at + step);
                let next = next.filter(|next| {
                    self.query.gap_ms.is_none_or(|gap| next.time_ms.abs_diff(before.time_ms) as i64 <= gap)
                });
                keys.push(key(step, before.name, next.map_or(0, |next| next.name)));
                match next {
                    Some(next) => before = next,
                    None => break,
                }
            }
        }
        part.subjects += u64::from(!keys.is_empty());
        keys.sort_unstable();
        part.edges.extend(keys.chunk_by(|a, b| a == b).map(|same| (same[0], same.len() as u64, 1)));
        if part.edges.len() > part.compact_at {
            part.compact();
        }
    }
}

/// An edge in one word, ordered by step: 8 bits for the step, 28 for each name, 0 for the end of the path.
const fn key(step: usize, from: u32, to: u32) -> u64 {
    (step as u64) << 56 | (from as u64) << 28 | to as u64
}

struct Step {
    time_ms: i64,
    name: u32,
    is_anchor: bool,
}

/// What was read for a [`Path`] from some subjects.
#[derive(Clone, Debug)]
pub struct PathPart {
    paths: u64,
    subjects: u64,
    /// Key, paths and subjects of edges, some of them repeated.
    edges: Vec<(u64, u64, u64)>,
    /// Number of edges at which repeated ones are put together.
    compact_at: usize,
}

impl PathPart {
    fn compact(&mut self) {
        self.edges.sort_unstable();
        self.edges.dedup_by(|from, into| {
            let same = from.0 == into.0;
            if same {
                (into.1, into.2) = (into.1 + from.1, into.2 + from.2);
            }
            same
        });
        self.compact_at = (2 * self.edges.len()).max(1 << 16);
    }
}

impl Partial for PathPart {
    fn merge(&mut self, later: Self) {
        self.paths += later.paths;
        self.subjects += later.subjects;
        self.edges.extend(later.edges);
        if self.edges.len() > self.compact_at {
            self.compact();
        }
    }
}

impl Kernel for Path<'_> {
    type Partial = PathPart;
    type Answer = PathAnswer;

    fn segments(&self) -> &[&Columns] {
        &self.plan.segments
    }

    fn part(&self, subjects: Range<u32>, cancel: Cancel<'_>) -> Result<PathPart, Cancelled> {
        let start = self.plan.clamp(subjects.clone()).start;
        let mut part = PathPart { paths: 0, subjects: 0, edges: Vec::new(), compact_at: 1 << 16 };
        let (mut events, mut keys) = (Vec::new(), Vec::new());
        self.plan.walk(Order::TogetherInTime, subjects, cancel, |local, runs| {
            events.clear();
            let mut anchors = false;
            self.plan.events(start + local, runs, |event| {
                let is_anchor = event.mask & 1 != 0 && event.region == 1;
                anchors |= is_anchor;
                let name = self.names.of(event.segment, event.columns, event.row);
                events.push(Step { time_ms: event.time_ms(), name, is_anchor });
                true
            });
            if anchors {
                if self.query.direction == Direction::Previous {
                    events.reverse();
                }
                self.add(&events, &mut keys, &mut part);
            }
        })?;
        part.compact();
        Ok(part)
    }

    fn finish(&self, mut partial: PathPart, _threads: usize) -> PathAnswer {
        partial.compact();
        let mut edges = Vec::new();
        for step in partial.edges.chunk_by(|a, b| a.0 >> 56 == b.0 >> 56) {
            let name = |bits: u64| Some((bits & ((1 << 28) - 1)) as u32).filter(|&name| name != 0);
            let text = |bits: u64| name(bits).map(|name| self.names.text(name));
            let mut ranked: Vec<_> = step
                .iter()
                .map(|&(key, paths, subjects)| PathEdge {
                    step: (key >> 56) as usize,
                    from: text(key >> 28).unwrap_or_default(),
                    to: text(key),
                    paths,
                    subjects,
                })
                .collect();
            ranked.sort_by(|a, b| (Reverse(a.paths), a).cmp(&(Reverse(b.paths), b)));
            ranked.truncate(self.query.limit);
            edges.extend(ranked);
        }
        PathAnswer { paths: partial.paths, subjects: partial.subjects, edges }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;
    use crate::kernel::testing::{Case, NAMES, Random, answer, holds};

    type Edge = (usize, String, Option<String>);

    fn twin(case: &Case, query: &PathQuery) -> PathAnswer {
        let mut answer = PathAnswer { paths: 0, subjects: 0, edges: Vec::new() };
        let mut found: BTreeMap<Edge, (u64, BTreeSet<u32>)> = BTreeMap::new();
        for mut rows in case.rows_by_subject() {
            rows.retain(|row| holds(&query.anchor, row) || holds(&query.events, row));
            if query.direction == Direction::Previous {
                rows.reverse();
            }
            let mut any = false;
            for start in 0..rows.len() {
                let anchored = query.anchors_micros.contains(&(rows[start].time_ms() * 1000));
                if !anchored || !holds(&query.anchor, &rows[start]) {
                    continue;
                }
                (any, answer.paths) = (true, answer.paths + 1);
                for step in 1..=query.steps {
                    let from = &rows[start + step - 1];
                    let to = rows.get(start + step).filter(|to| {
                        let gap = (to.time_ms() - from.time_ms()).abs();
                        query.gap_ms.is_none_or(|limit| gap <= limit)
                    });
                    let edge =
                        found.entry((step, from.name.into(), to.map(|to| to.name.into()))).or_default();
                    edge.0 += 1;
                    edge.1.insert(from.subject);
                    if to.is_none() {
                        break;
                    }
                }
            }
            answer.subjects += u64::from(any);
        }
        for step in 1..=query.steps {
            let edges = found.iter().filter(|edge| edge.0.0 == step);
            let mut edges: Vec<_> = edges
                .map(|((step, from, to), (paths, subjects))| {
                    let subjects = subjects.len() as u64;
                    PathEdge { step: *step, from: from.clone(), to: to.clone(), paths: *paths, subjects }
                })
                .collect();
            edges.sort_by_key(|edge| Reverse(edge.paths));
            answer.edges.extend(edges.into_iter().take(query.limit));
        }
        answer
    }

    #[test]
    fn edges_are_those_of_a_plain_walk_from_each_anchor() {
        let mut random = Random::new(12);
        for _ in 0..3_000 {
            let case = Case::generate(&mut random);
            let query = PathQuery {
                anchor: Filter::name(random.pick(&NAMES)),
                events: random.loose_filter(),
                anchors_micros: case.starts_micros[0]..case.starts_micros[case.buckets()],
                direction: random.pick(&[Direction::Next, Direction::Previous]),
                steps: random.range(1, 6),
                gap_ms: random.pick(&[None, Some(0), Some(50), Some(300)]),
                limit: random.range(0, 9),
            };
            let segments = case.segments();
            let kernel = Path::try_new(&query, &segments).unwrap();
            assert_eq!(answer(&mut random, &kernel), twin(&case, &query), "{query:?}");
        }
    }
}
