//! Which subjects did something, and how often.

use std::ops::Range;

use crate::columns::Columns;
use crate::kernel::bucket::Buckets;
use crate::kernel::filter::Filter;
use crate::kernel::plan::Plan;
use crate::kernel::subject_set::SubjectSet;
use crate::kernel::walk::Order;
use crate::kernel::{Cancel, Cancelled, Kernel, Partial, QueryError, run};

/// Which subjects have so many events of a kind?
#[derive(Clone, Debug)]
pub struct CohortQuery {
    /// The events.
    pub filter: Filter,
    /// When, in microseconds since 1970 UTC.
    pub time_micros: Range<i64>,
    /// How many.
    pub did: Did,
}

/// How often a subject did something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Did {
    /// It has at least so many of the events, and at least one.
    AtLeast(u64),
    /// It has fewer of them, but an event of any kind in that time.
    LessThan(u64),
}

/// Subjects with their number of events of the kind, by ascending number of the subject.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cohort(pub Vec<(u32, u64)>);

impl Cohort {
    /// The set of the subjects.
    #[must_use]
    pub fn set(&self) -> SubjectSet {
        self.0.iter().map(|(subject, _)| *subject).collect()
    }
}

/// Answers a [`CohortQuery`].
pub fn cohort(
    query: &CohortQuery,
    segments: &[&Columns],
    threads: usize,
    cancel: Cancel<'_>,
) -> Result<Cohort, QueryError> {
    Ok(run(&CohortKernel::try_new(query, segments)?, threads, cancel)?)
}

/// A planned [`CohortQuery`].
pub struct CohortKernel<'a> {
    did: Did,
    plan: Plan<'a>,
}

impl<'a> CohortKernel<'a> {
    /// Plans a query for some segments.
    pub fn try_new(query: &CohortQuery, segments: &[&'a Columns]) -> Result<Self, QueryError> {
        let time = Buckets::try_new(vec![query.time_micros.start, query.time_micros.end])?;
        let all = Filter::all();
        let any = matches!(query.did, Did::LessThan(_)).then_some(&all);
        let filters: Vec<_> = std::iter::once(&query.filter).chain(any).collect();
        Ok(Self { did: query.did, plan: Plan::new(&filters, &time, segments) })
    }
}

impl Partial for Cohort {
    fn merge(&mut self, later: Self) {
        self.0.extend(later.0);
    }
}

impl Kernel for CohortKernel<'_> {
    type Partial = Cohort;
    type Answer = Cohort;

    fn segments(&self) -> &[&Columns] {
        &self.plan.segments
    }

    fn part(&self, subjects: Range<u32>, cancel: Cancel<'_>) -> Result<Cohort, Cancelled> {
        let start = self.plan.clamp(subjects.clone()).start;
        let mut found = Cohort::default();
        self.plan.walk(Order::Together, subjects, cancel, |local, runs| {
            let (mut events, mut is_there) = (0, false);
            self.plan.events(start + local, runs, |event| {
                if event.region == 1 {
                    is_there = true;
                    events += u64::from(event.mask & 1);
                }
                true
            });
            let belongs = match self.did {
                Did::AtLeast(least) => events >= least.max(1),
                Did::LessThan(limit) => events < limit,
            };
            if is_there && belongs {
                found.0.push((start + local, events));
            }
        })?;
        Ok(found)
    }

    fn finish(&self, partial: Cohort, _threads: usize) -> Cohort {
        partial
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::testing::{Case, Random, answer, holds};

    #[test]
    fn subjects_are_those_of_a_plain_count() {
        let mut random = Random::new(16);
        for _ in 0..3_000 {
            let case = Case::generate(&mut random);
            let number = random.range(0, 5);
            let query = CohortQuery {
                filter: random.loose_filter(),
                time_micros: case.starts_micros[0]..case.starts_micros[case.buckets()],
                did: random.pick(&[Did::AtLeast(number), Did::LessThan(number)]),
            };
            let mut expected = Vec::new();
            for rows in case.rows_by_subject() {
                let rows: Vec<_> =
                    rows.iter().filter(|row| query.time_micros.contains(&(row.time_ms() * 1000))).collect();
                let Some(first) = rows.first() else { continue };
                let events = rows.iter().filter(|row| holds(&query.filter, row)).count() as u64;
                let belongs = match query.did {
                    Did::AtLeast(least) => events > 0 && events >= least,
                    Did::LessThan(limit) => events < limit,
                };
                if belongs {
                    expected.push((first.subject, events));
                }
            }
            let segments = case.segments();
            let kernel = CohortKernel::try_new(&query, &segments).unwrap();
            let found = answer(&mut random, &kernel);
            assert_eq!(found.0, expected, "{query:?}");
            assert_eq!(found.set().len(), expected.len() as u64);
        }
    }
}
