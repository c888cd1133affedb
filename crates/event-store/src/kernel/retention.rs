//! Whether subjects that started something came back.

use std::ops::Range;

use crate::columns::Columns;
use crate::kernel::activity::{Activity, has_bit, set_bits};
use crate::kernel::bucket::Buckets;
use crate::kernel::filter::Filter;
use crate::kernel::plan::Plan;
use crate::kernel::{Cancel, Cancelled, Kernel, Partial, QueryError, ensure_within, run};

/// Periods that a [`RetentionQuery`] can have; the answer grows with their square.
pub const PERIODS_MAX: usize = 1_000;

/// Which start events put a subject into a cohort.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CohortBy {
    /// The first one only; a subject whose first start event lies before the periods is in no cohort.
    FirstStart,
    /// Each one: a subject is in the cohort of every period in which it has a start event.
    AnyStart,
}

/// When a subject counts as returned in period `n` after that of its cohort.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RetentionMode {
    /// It has a return event in that period.
    Classic,
    /// It has a return event in that period or in a later one of the query.
    Rolling,
    /// It has a return event in that period or at any time after, beyond the last period of the query too.
    Unbounded,
}

/// Of the subjects that started in a period, how many returned in the periods after it?
///
/// Cohorts and returns are cut by the same periods of the calendar: a subject whose start event lies in period
/// `c` is returned in period `n` by a return event in period `c + n`. Within a period order means nothing, so
/// period 0 counts those that have a return event in the period of their start, even before it.
#[derive(Clone, Debug)]
pub struct RetentionQuery {
    /// Events that start.
    pub start: Filter,
    /// Events that return.
    pub returned: Filter,
    /// Days, weeks or months; at most [`PERIODS_MAX`].
    pub periods: Buckets,
    /// Which start events count.
    pub cohort_by: CohortBy,
    /// Which return events count.
    pub mode: RetentionMode,
    /// Until when events are complete, in microseconds since 1970 UTC, such as now; see [`RetentionAnswer::average`].
    pub complete_until_micros: i64,
}

/// The subjects that started in one period.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cohort {
    /// Start of the period in microseconds since 1970 UTC.
    pub start_micros: i64,
    /// Number of subjects.
    pub subjects: u64,
    /// How many of them returned, by periods since the cohort's own, up to the last period of the query.
    pub returned: Vec<u64>,
}

/// How many returned after so many periods, over all cohorts that are old enough.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RetentionAverage {
    /// Subjects of the cohorts for which the period is over.
    pub subjects: u64,
    /// How many of them returned.
    pub returned: u64,
}

impl RetentionAverage {
    /// The share that returned; none without subjects.
    #[must_use]
    pub fn share(&self) -> Option<f64> {
        (self.subjects > 0).then(|| self.returned as f64 / self.subjects as f64)
    }
}

/// Answer of a [`RetentionQuery`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RetentionAnswer {
    /// One cohort per period.
    pub cohorts: Vec<Cohort>,
    /// By periods since the cohort's own: all cohorts together, so larger ones weigh more, but only those whose
    /// period is mature, that is over at `complete_until_micros`.
    pub average: Vec<RetentionAverage>,
}

/// Answers a [`RetentionQuery`].
pub fn retention(
    query: &RetentionQuery,
    segments: &[&Columns],
    threads: usize,
    cancel: Cancel<'_>,
) -> Result<RetentionAnswer, QueryError> {
    Ok(run(&Retention::try_new(query, segments)?, threads, cancel)?)
}

/// A planned [`RetentionQuery`].
pub struct Retention<'a> {
    query: &'a RetentionQuery,
    plan: Plan<'a>,
}

impl<'a> Retention<'a> {
    /// Plans a query for some segments.
    pub fn try_new(query: &'a RetentionQuery, segments: &[&'a Columns]) -> Result<Self, QueryError> {
        ensure_within("number of periods", query.periods.len(), 1, PERIODS_MAX as u64)?;
        Ok(Self { query, plan: Plan::new(&[&query.start, &query.returned], &query.periods, segments) })
    }

    fn count(&self) -> usize {
        self.query.periods.len()
    }

    /// Adds one subject, given the regions of its start and return events.
    fn add(&self, part: &mut RetentionPart, starts: &[u64], returns: &[u64]) {
        let count = self.count();
        // Region 0 is before the first period, period `n` is region `n + 1`, the last region is after all.
        let cohorts = set_bits(starts).take_while(|&region| region <= count);
        let cohorts = cohorts.take(match self.query.cohort_by {
            CohortBy::FirstStart => 1,
            CohortBy::AnyStart => usize::MAX,
        });
        for cohort in cohorts.filter_map(|region| region.checked_sub(1)) {
            part.subjects[cohort] += 1;
            let row = &mut part.returned[cohort * count..][..count - cohort];
            let later = set_bits(returns).filter(|&region| region > cohort && region <= count);
            match self.query.mode {
                RetentionMode::Classic => later.for_each(|region| row[region - 1 - cohort] += 1),
                RetentionMode::Unbounded if has_bit(returns, count + 1) => row[count - 1 - cohort] += 1,
                // Only the last return is noted; `finish` spreads it over the periods before.
                RetentionMode::Rolling | RetentionMode::Unbounded => {
                    if let Some(last) = later.last() {
                        row[last - 1 - cohort] += 1;
                    }
                }
            }
        }
    }
}

/// What was read for a [`Retention`] from some subjects.
#[derive(Clone, Debug)]
pub struct RetentionPart {
    subjects: Vec<u64>,
    /// By cohort and periods since.
    returned: Vec<u64>,
}

impl Partial for RetentionPart {
    fn merge(&mut self, later: Self) {
        let pairs = self.subjects.iter_mut().zip(later.subjects);
        for (into, from) in pairs.chain(self.returned.iter_mut().zip(later.returned)) {
            *into += from;
        }
    }
}

impl Kernel for Retention<'_> {
    type Partial = RetentionPart;
    type Answer = RetentionAnswer;

    fn segments(&self) -> &[&Columns] {
        &self.plan.segments
    }

    fn part(&self, subjects: Range<u32>, cancel: Cancel<'_>) -> Result<RetentionPart, Cancelled> {
        let count = self.count();
        let mut part = RetentionPart { subjects: vec![0; count], returned: vec![0; count * count] };
        let activity = Activity::read(&self.plan, 2, count, subjects, cancel)?;
        for bits in activity.subjects() {
            let (starts, returns) = bits.split_at(bits.len() / 2);
            self.add(&mut part, starts, returns);
        }
        Ok(part)
    }

    fn finish(&self, mut partial: RetentionPart, _threads: usize) -> RetentionAnswer {
        let count = self.count();
        if self.query.mode != RetentionMode::Classic {
            for (cohort, row) in partial.returned.chunks_exact_mut(count).enumerate() {
                for period in (1..count - cohort).rev() {
                    row[period - 1] += row[period];
                }
            }
        }
        table_of(self.query, &partial.subjects, &partial.returned)
    }
}

/// The answer, given how many subjects each cohort has, and by cohort and periods since how many of them returned.
pub(crate) fn table_of(query: &RetentionQuery, subjects: &[u64], returned: &[u64]) -> RetentionAnswer {
    let count = query.periods.len();
    let starts = query.periods.starts_micros();
    let mut average = vec![RetentionAverage::default(); count];
    let cohorts = returned.chunks_exact(count).enumerate().map(|(cohort, row)| {
        let returned = row[..count - cohort].to_vec();
        for (period, (average, returned)) in average.iter_mut().zip(&returned).enumerate() {
            if starts[cohort + period + 1] <= query.complete_until_micros {
                average.subjects += subjects[cohort];
                average.returned += returned;
            }
        }
        Cohort { start_micros: starts[cohort], subjects: subjects[cohort], returned }
    });
    RetentionAnswer { cohorts: cohorts.collect(), average }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::testing::{Case, Random, answer, holds};

    fn twin(case: &Case, query: &RetentionQuery) -> RetentionAnswer {
        let count = case.buckets();
        let mut cohorts = Vec::new();
        for cohort in 0..count {
            let mut numbers = Cohort {
                start_micros: case.starts_micros[cohort],
                subjects: 0,
                returned: vec![0; count - cohort],
            };
            for rows in case.rows_by_subject() {
                let mut starts: Vec<_> = rows.iter().filter(|row| holds(&query.start, row)).collect();
                if query.cohort_by == CohortBy::FirstStart {
                    starts.truncate(1);
                }
                if !starts.iter().any(|row| case.bucket(row) == Some(cohort)) {
                    continue;
                }
                numbers.subjects += 1;
                for (period, returned) in numbers.returned.iter_mut().enumerate() {
                    *returned +=
                        u64::from(rows.iter().filter(|row| holds(&query.returned, row)).any(|row| {
                            let time = row.time_ms() * 1000;
                            let from = case.starts_micros[cohort + period];
                            match query.mode {
                                RetentionMode::Classic => case.bucket(row) == Some(cohort + period),
                                RetentionMode::Rolling => time >= from && time < case.starts_micros[count],
                                RetentionMode::Unbounded => time >= from,
                            }
                        }));
                }
            }
            cohorts.push(numbers);
        }
        let average = (0..count).map(|period| {
            let mature = (0..count - period)
                .filter(|cohort| case.starts_micros[cohort + period + 1] <= query.complete_until_micros);
            let mature: Vec<_> =
                mature.map(|cohort| (cohorts[cohort].subjects, cohorts[cohort].returned[period])).collect();
            RetentionAverage {
                subjects: mature.iter().map(|it| it.0).sum(),
                returned: mature.iter().map(|it| it.1).sum(),
            }
        });
        RetentionAnswer { average: average.collect(), cohorts }
    }

    #[test]
    fn cohorts_and_returns_are_those_of_a_plain_look() {
        let mut random = Random::new(7);
        for _ in 0..3_000 {
            let case = Case::generate(&mut random);
            let query = RetentionQuery {
                start: random.loose_filter(),
                returned: random.loose_filter(),
                periods: Buckets::try_new(case.starts_micros.clone()).unwrap(),
                cohort_by: random.pick(&[CohortBy::FirstStart, CohortBy::AnyStart]),
                mode: random.pick(&[
                    RetentionMode::Classic,
                    RetentionMode::Rolling,
                    RetentionMode::Unbounded,
                ]),
                complete_until_micros: random.pick(&case.starts_micros) + random.range::<i64>(-1, 2),
            };
            let segments = case.segments();
            let kernel = Retention::try_new(&query, &segments).unwrap();
            assert_eq!(answer(&mut random, &kernel), twin(&case, &query), "{query:?}");
        }
    }

    #[test]
    fn the_average_is_weighted() {
        assert_eq!(RetentionAverage { subjects: 8, returned: 2 }.share(), Some(0.25));
        assert_eq!(RetentionAverage::default().share(), None);
    }
}
