//! New, returning, resurrecting and dormant subjects.

use std::ops::Range;
use std::sync::Arc;

use crate::columns::Columns;
use crate::kernel::activity::{Activity, has_bit, set_bits};
use crate::kernel::bucket::Buckets;
use crate::kernel::filter::Filter;
use crate::kernel::plan::Plan;
use crate::kernel::subject_set::SubjectSet;
use crate::kernel::{Cancel, Cancelled, Kernel, Partial, QueryError, ensure_within, run};

/// What became of the subjects from each period to the next?
///
/// A subject is active in a period in which it has an event that the filter selects. In a period it is
/// - new, if it is active and never was before;
/// - returning, if it is active and was in the period before;
/// - resurrecting, if it is active, was not in the period before, but earlier;
/// - dormant, if it is not active, but was in the period before.
///
/// "Before" reaches back to the first event in the segments, and to `known` for those that were left out.
#[derive(Clone, Debug)]
pub struct LifecycleQuery {
    /// Events that count as activity.
    pub filter: Filter,
    /// The periods; the first only leads in and has no answer of its own, so there are at least two.
    pub periods: Buckets,
    /// Subjects that were active before the segments begin, if these do not hold everything.
    pub known: Option<Arc<SubjectSet>>,
}

/// Subjects by what became of them in a period.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LifecyclePeriod {
    /// Start of the period in microseconds since 1970 UTC.
    pub start_micros: i64,
    /// Active for the first time.
    pub new: u64,
    /// Active, as in the period before.
    pub returning: u64,
    /// Active again after at least one period without.
    pub resurrecting: u64,
    /// Active in the period before only.
    pub dormant: u64,
    /// Active in it or at any time before.
    pub ever: u64,
}

/// Answers a [`LifecycleQuery`]: one item per period after the first.
pub fn lifecycle(
    query: &LifecycleQuery,
    segments: &[&Columns],
    threads: usize,
    cancel: Cancel<'_>,
) -> Result<Vec<LifecyclePeriod>, QueryError> {
    Ok(run(&Lifecycle::try_new(query, segments)?, threads, cancel)?)
}

/// A planned [`LifecycleQuery`].
pub struct Lifecycle<'a> {
    query: &'a LifecycleQuery,
    plan: Plan<'a>,
}

impl<'a> Lifecycle<'a> {
    /// Plans a query for some segments.
    pub fn try_new(query: &'a LifecycleQuery, segments: &[&'a Columns]) -> Result<Self, QueryError> {
        ensure_within("number of periods", query.periods.len(), 2, u64::MAX)?;
        Ok(Self { query, plan: Plan::new(&[&query.filter], &query.periods, segments) })
    }
}

/// What was read for a [`Lifecycle`] from some subjects.
#[derive(Clone, Debug)]
pub struct LifecyclePart {
    periods: Vec<LifecyclePeriod>,
    /// Active before all periods, and not among those that are known.
    before: u64,
}

impl Partial for LifecyclePart {
    fn merge(&mut self, later: Self) {
        for (into, from) in self.periods.iter_mut().zip(later.periods) {
            into.new += from.new;
            into.returning += from.returning;
            into.resurrecting += from.resurrecting;
            into.dormant += from.dormant;
        }
        self.before += later.before;
    }
}

impl Kernel for Lifecycle<'_> {
    type Partial = LifecyclePart;
    type Answer = Vec<LifecyclePeriod>;

    fn segments(&self) -> &[&Columns] {
        &self.plan.segments
    }

    fn part(&self, subjects: Range<u32>, cancel: Cancel<'_>) -> Result<LifecyclePart, Cancelled> {
        let count = self.query.periods.len();
        let start = self.plan.clamp(subjects.clone()).start;
        let activity = Activity::read(&self.plan, 1, count, subjects, cancel)?;
        let starts = &self.query.periods.starts_micros()[..count];
        let mut periods: Vec<_> = starts
            .iter()
            .map(|&start_micros| LifecyclePeriod { start_micros, ..Default::default() })
            .collect();
        let mut earlier = 0;
        for (subject, bits) in (start..).zip(activity.subjects()) {
            let mut known = self.query.known.as_ref().is_some_and(|known| known.contains(subject));
            // Region 0 is before the first period, and period `n` is region `n + 1`.
            earlier += u64::from(has_bit(bits, 0) && !known);
            for region in set_bits(bits).take_while(|&region| region <= count) {
                if let Some(period) = region.checked_sub(1).and_then(|place| periods.get_mut(place)) {
                    let before = region > 1 && has_bit(bits, region - 1);
                    let number = match (before, known) {
                        (true, _) => &mut period.returning,
                        (false, true) => &mut period.resurrecting,
                        (false, false) => &mut period.new,
                    };
                    *number += 1;
                    if !has_bit(bits, region + 1)
                        && let Some(next) = periods.get_mut(region)
                    {
                        next.dormant += 1;
                    }
                }
                known = true;
            }
        }
        Ok(LifecyclePart { periods, before: earlier })
    }

    fn finish(&self, mut partial: LifecyclePart, _threads: usize) -> Vec<LifecyclePeriod> {
        let mut ever = partial.before + self.query.known.as_ref().map_or(0, |known| known.len());
        for period in &mut partial.periods {
            ever += period.new;
            period.ever = ever;
        }
        partial.periods.into_iter().skip(1).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::testing::{Case, Random, answer, holds};

    fn twin(case: &Case, query: &LifecycleQuery) -> Vec<LifecyclePeriod> {
        let rows: Vec<_> = case.rows_in_order().into_iter().filter(|row| holds(&query.filter, row)).collect();
        let mut periods = Vec::new();
        for period in 1..case.buckets() {
            let mut numbers =
                LifecyclePeriod { start_micros: case.starts_micros[period], ..Default::default() };
            for subject in 0..10 {
                let own: Vec<_> = rows.iter().filter(|row| row.subject == subject).collect();
                let active = |period: usize| own.iter().any(|row| case.bucket(row) == Some(period));
                let earlier = own.iter().any(|row| row.time_ms() * 1000 < case.starts_micros[period])
                    || query.known.as_ref().is_some_and(|known| known.contains(subject));
                numbers.ever += u64::from(earlier || active(period));
                if active(period) {
                    numbers.returning += u64::from(active(period - 1));
                    numbers.resurrecting += u64::from(!active(period - 1) && earlier);
                    numbers.new += u64::from(!earlier);
                } else {
                    numbers.dormant += u64::from(active(period - 1));
                }
            }
            periods.push(numbers);
        }
        periods
    }

    #[test]
    fn subjects_are_sorted_as_a_plain_look_sorts_them() {
        let mut random = Random::new(6);
        for _ in 0..3_000 {
            let case = Case::generate(&mut random);
            let periods = Buckets::try_new(case.starts_micros.clone()).unwrap();
            let known = (0..10).filter(|_| random.range::<u8>(0, 3) == 0).collect();
            let known = random.pick(&[true, false]).then(|| Arc::new(known));
            let query = LifecycleQuery { filter: random.loose_filter(), periods, known };
            let segments = case.segments();
            match Lifecycle::try_new(&query, &segments) {
                Ok(kernel) => assert_eq!(answer(&mut random, &kernel), twin(&case, &query), "{query:?}"),
                Err(_) => assert_eq!(query.periods.len(), 1),
            }
        }
    }
}
