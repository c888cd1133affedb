//! The texts of a field with the most events or subjects.

mod sets;

use std::cmp::Reverse;
use std::ops::Range;

use crate::columns::Columns;
use crate::kernel::bucket::Buckets;
use crate::kernel::filter::Filter;
use crate::kernel::group::{Field, Group, Groups};
use crate::kernel::plan::Plan;
use crate::kernel::walk::Order;
use crate::kernel::{Cancel, Cancelled, Kernel, Partial, QueryError, run};

/// By what texts are ranked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rank {
    /// Number of events.
    Events,
    /// Number of different subjects.
    Subjects,
}

/// Which texts of a field have the most events or subjects, and what share of these reached a goal?
#[derive(Clone, Debug)]
pub struct TopQuery {
    /// Events that count.
    pub filter: Filter,
    /// Events that a subject reaches the goal of a text with, such as completing a course.
    pub goal: Option<Filter>,
    /// When, in microseconds since 1970 UTC; both kinds of events must lie in it.
    pub time_micros: Range<i64>,
    /// The field.
    pub field: Field,
    /// By what texts are ranked; equals by text.
    pub rank: Rank,
    /// How many texts are answered at most.
    pub limit: usize,
}

impl TopQuery {
    /// The first of some items by rank, equals by text.
    pub(crate) fn first(&self, mut items: Vec<TopItem>) -> Vec<TopItem> {
        let rank = |item: &TopItem| match self.rank {
            Rank::Events => item.events,
            Rank::Subjects => item.subjects,
        };
        items.sort_by(|a, b| (Reverse(rank(a)), &a.group).cmp(&(Reverse(rank(b)), &b.group)));
        items.truncate(self.limit);
        items
    }
}

/// One text of a field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopItem {
    /// The text, or that there is none.
    pub group: Group,
    /// Events that count.
    pub events: u64,
    /// Different subjects with such an event.
    pub subjects: u64,
    /// How many of these subjects also have an event of the goal with the same text, before or after.
    pub goal_subjects: u64,
}

impl TopItem {
    /// The share of the subjects that reached the goal; none without subjects.
    #[must_use]
    pub fn goal_share(&self) -> Option<f64> {
        (self.subjects > 0).then(|| self.goal_subjects as f64 / self.subjects as f64)
    }
}

/// Answers a [`TopQuery`]: the first texts by rank, without those that have no event.
pub fn top(
    query: &TopQuery,
    segments: &[&Columns],
    threads: usize,
    cancel: Cancel<'_>,
) -> Result<Vec<TopItem>, QueryError> {
    Ok(run(&Top::try_new(query, segments)?, threads, cancel)?)
}

/// A planned [`TopQuery`].
pub struct Top<'a> {
    query: &'a TopQuery,
    plan: Plan<'a>,
    groups: Groups,
}

impl<'a> Top<'a> {
    /// Plans a query for some segments.
    pub fn try_new(query: &'a TopQuery, segments: &[&'a Columns]) -> Result<Self, QueryError> {
        let time = Buckets::try_new(vec![query.time_micros.start, query.time_micros.end])?;
        let filters: Vec<_> = std::iter::once(&query.filter).chain(&query.goal).collect();
        let plan = Plan::new(&filters, &time, segments);
        let groups = Groups::new(query.field.clone(), &plan.segments);
        Ok(Self { query, plan, groups })
    }
}

/// The filter of events that count.
const COUNTS: u32 = 1;
/// The filter of events that reach the goal.
const GOAL: u32 = 2;

#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    events: u64,
    subjects: u64,
    goal_subjects: u64,
}

/// What was read for a [`Top`] from some subjects.
#[derive(Clone, Debug)]
pub struct TopPart {
    /// By number of the text.
    counts: Vec<Counts>,
}

impl Partial for TopPart {
    fn merge(&mut self, later: Self) {
        for (into, from) in self.counts.iter_mut().zip(later.counts) {
            into.events += from.events;
            into.subjects += from.subjects;
            into.goal_subjects += from.goal_subjects;
        }
    }
}

impl Kernel for Top<'_> {
    type Partial = TopPart;
    type Answer = Vec<TopItem>;

    fn segments(&self) -> &[&Columns] {
        &self.plan.segments
    }

    fn part(&self, subjects: Range<u32>, cancel: Cancel<'_>) -> Result<TopPart, Cancelled> {
        if let Some(counts) = sets::count(&self.plan, &self.groups, subjects.clone(), cancel)? {
            return Ok(TopPart { counts });
        }
        let start = self.plan.clamp(subjects.clone()).start;
        // With each text, the last subject that was seen with either kind of event.
        let mut numbers = vec![(u32::MAX, u32::MAX, Counts::default()); self.groups.len()];
        self.plan.walk(Order::Together, subjects, cancel, |local, runs| {
            let subject = start + local;
            self.plan.events(subject, runs, |event| {
                if event.region != 1 {
                    return true;
                }
                let number = self.groups.of(event.segment, event.columns, event.row) as usize;
                let (counted, reached, counts) = &mut numbers[number];
                let before = *counted == subject && *reached == subject;
                if event.mask & COUNTS != 0 {
                    counts.events += 1;
                    counts.subjects += u64::from(*counted != subject);
                    *counted = subject;
                }
                if event.mask & GOAL != 0 {
                    *reached = subject;
                }
                counts.goal_subjects += u64::from(!before && *counted == subject && *reached == subject);
                true
            });
        })?;
        Ok(TopPart { counts: numbers.into_iter().map(|(_, _, counts)| counts).collect() })
    }

    fn finish(&self, partial: TopPart, _threads: usize) -> Vec<TopItem> {
        let items = partial.counts.iter().enumerate().filter(|(_, counts)| counts.events > 0);
        let items = items.map(|(number, counts)| TopItem {
            group: self.groups.group(number),
            events: counts.events,
            subjects: counts.subjects,
            goal_subjects: counts.goal_subjects,
        });
        self.query.first(items.collect())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;
    use crate::columns::Dimension;
    use crate::kernel::testing::{Case, Random, answer, holds, size, text_of};

    fn twin(case: &Case, query: &TopQuery) -> Vec<TopItem> {
        let mut found: BTreeMap<Group, (u64, BTreeSet<u32>, BTreeSet<u32>)> = BTreeMap::new();
        for row in case.rows_in_order() {
            if !query.time_micros.contains(&(row.time_ms() * 1000)) {
                continue;
            }
            let text = text_of(&query.field, &row);
            let entry = found.entry(text.map_or(Group::NotSet, |text| Group::Text(text.into()))).or_default();
            if holds(&query.filter, &row) {
                entry.0 += 1;
                entry.1.insert(row.subject);
            }
            if query.goal.as_ref().is_some_and(|goal| holds(goal, &row)) {
                entry.2.insert(row.subject);
            }
        }
        let items =
            found.into_iter().filter(|(_, it)| it.0 > 0).map(|(group, (events, subjects, reached))| {
                TopItem {
                    group,
                    events,
                    subjects: subjects.len() as u64,
                    goal_subjects: subjects.intersection(&reached).count() as u64,
                }
            });
        let mut items: Vec<_> = items.collect();
        items.sort_by_key(|it| Reverse(if query.rank == Rank::Events { it.events } else { it.subjects }));
        items.truncate(query.limit);
        items
    }

    #[test]
    fn ranked_texts_are_those_of_a_plain_count() {
        let mut random = Random::new(8);
        for _ in 0..3_000 {
            let case = Case::generate(&mut random);
            let query = TopQuery {
                filter: random.loose_filter(),
                goal: random.pick(&[true, false]).then(|| random.loose_filter()),
                time_micros: case.starts_micros[0]..case.starts_micros[case.buckets()],
                field: random.pick(&[
                    Field::Name,
                    Field::Dimension(Dimension::Course),
                    Field::Dimension(Dimension::Os),
                    Field::Prop(size()),
                ]),
                rank: random.pick(&[Rank::Events, Rank::Subjects]),
                limit: random.range(0, 6),
            };
            let segments = case.segments();
            let kernel = Top::try_new(&query, &segments).unwrap();
            assert_eq!(answer(&mut random, &kernel), twin(&case, &query), "{query:?}");
        }
    }
}
