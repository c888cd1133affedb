//! How long subjects take from one event to another.

use std::ops::Range;

use crate::columns::Columns;
use crate::kernel::bucket::Buckets;
use crate::kernel::filter::Filter;
use crate::kernel::plan::Plan;
use crate::kernel::quantile::nearest_rank;
use crate::kernel::walk::Order;
use crate::kernel::{Cancel, Cancelled, Kernel, Partial, QueryError, ensure_within, run};

/// Where the bars of the distribution end, in milliseconds: 1 and 10 s, 1, 5 and 15 min, 1 and 6 h, 1, 7 and 30 days.
///
/// A bar holds what is shorter than its end and not shorter than that of the bar before; one more holds the rest.
pub const BAR_ENDS_MS: [i64; 10] =
    [1_000, 10_000, 60_000, 300_000, 900_000, 3_600_000, 21_600_000, 86_400_000, 604_800_000, 2_592_000_000];

/// The shares that are answered, in thousandths: p50, p75, p90, p95 and p99.
const PER_MILLE: [u16; 5] = crate::kernel::quantile::PERCENTILES;

/// How long does it take from an event to the subject's next event of another kind?
///
/// Every start event in the time range is paired with the first end event of its subject after it, if that comes within
/// the window. Several start events before the same end event are all paired with it. An event is not paired with
/// itself, so that both kinds may be the same. Among events of the same millisecond the order in which they are stored
/// decides which comes after.
#[derive(Clone, Debug)]
pub struct IntervalQuery {
    /// Start events.
    pub start: Filter,
    /// End events.
    pub end: Filter,
    /// When start events happen, in microseconds since 1970 UTC; end events may come later, as far as the segments
    /// reach.
    pub starts_micros: Range<i64>,
    /// The longest interval in milliseconds, at least 0.
    pub window_ms: i64,
}

/// Answer of an [`IntervalQuery`].
#[derive(Clone, Debug, PartialEq)]
pub struct IntervalAnswer {
    /// Number of start events.
    pub starts: u64,
    /// How many of them are paired.
    pub intervals: u64,
    /// Number of different subjects with a pair.
    pub subjects: u64,
    /// The average interval in milliseconds; none without pairs.
    pub average_ms: Option<f64>,
    /// The shortest and the longest interval.
    pub extremes_ms: Option<(i64, i64)>,
    /// The intervals at p50, p75, p90, p95 and p99, by nearest rank.
    pub percentiles_ms: Option<[i64; 5]>,
    /// How many intervals are in each bar of [`BAR_ENDS_MS`], and in the one after them.
    pub bars: [u64; BAR_ENDS_MS.len() + 1],
}

/// Answers an [`IntervalQuery`].
pub fn interval(
    query: &IntervalQuery,
    segments: &[&Columns],
    threads: usize,
    cancel: Cancel<'_>,
) -> Result<IntervalAnswer, QueryError> {
    Ok(run(&Interval::try_new(query, segments)?, threads, cancel)?)
}

/// A planned [`IntervalQuery`].
pub struct Interval<'a> {
    query: &'a IntervalQuery,
    plan: Plan<'a>,
}

impl<'a> Interval<'a> {
    /// Plans a query for some segments.
    pub fn try_new(query: &'a IntervalQuery, segments: &[&'a Columns]) -> Result<Self, QueryError> {
        let window = usize::try_from(query.window_ms).unwrap_or(usize::MAX);
        ensure_within("window in milliseconds", window, 0, i64::MAX as u64)?;
        let time = Buckets::try_new(vec![query.starts_micros.start, query.starts_micros.end])?;
        Ok(Self { query, plan: Plan::new(&[&query.start, &query.end], &time, segments) })
    }
}

/// What was read for an [`Interval`] from some subjects.
#[derive(Clone, Debug)]
pub struct IntervalPart {
    starts: u64,
    subjects: u64,
    /// Milliseconds, 8 bytes for each pair.
    intervals: Vec<i64>,
}

impl Partial for IntervalPart {
    fn merge(&mut self, later: Self) {
        self.starts += later.starts;
        self.subjects += later.subjects;
        self.intervals.extend(later.intervals);
    }
}

impl Kernel for Interval<'_> {
    type Partial = IntervalPart;
    type Answer = IntervalAnswer;

    fn segments(&self) -> &[&Columns] {
        &self.plan.segments
    }

    fn part(&self, subjects: Range<u32>, cancel: Cancel<'_>) -> Result<IntervalPart, Cancelled> {
        const START: u32 = 1;
        const END: u32 = 2;
        let start = self.plan.clamp(subjects.clone()).start;
        let mut part = IntervalPart { starts: 0, subjects: 0, intervals: Vec::new() };
        let mut waiting: Vec<i64> = Vec::new();
        self.plan.walk(Order::TogetherInTime, subjects, cancel, |local, runs| {
            waiting.clear();
            let before = part.intervals.len();
            self.plan.events(start + local, runs, |event| {
                let time_ms = event.time_ms();
                if event.mask & END != 0 {
                    let intervals = waiting.drain(..).map(|started| time_ms - started);
                    part.intervals.extend(intervals.filter(|interval| *interval <= self.query.window_ms));
                }
                if event.mask & START != 0 && event.region == 1 {
                    part.starts += 1;
                    waiting.push(time_ms);
                }
                true
            });
            part.subjects += u64::from(part.intervals.len() > before);
        })?;
        Ok(part)
    }

    fn finish(&self, mut partial: IntervalPart, _threads: usize) -> IntervalAnswer {
        let intervals = &mut partial.intervals;
        intervals.sort_unstable();
        let count = intervals.len();
        let at = |per_mille| nearest_rank(count, per_mille).and_then(|rank| intervals.get(rank)).copied();
        let sum: i128 = intervals.iter().map(|interval| i128::from(*interval)).sum();
        let mut bars = [0; BAR_ENDS_MS.len() + 1];
        for interval in intervals.iter() {
            bars[BAR_ENDS_MS.partition_point(|end| end <= interval)] += 1;
        }
        IntervalAnswer {
            starts: partial.starts,
            intervals: count as u64,
            subjects: partial.subjects,
            average_ms: (count > 0).then(|| sum as f64 / count as f64),
            extremes_ms: intervals.first().copied().zip(intervals.last().copied()),
            percentiles_ms: at(500).map(|_| PER_MILLE.map(|per_mille| at(per_mille).unwrap_or(0))),
            bars,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::columns::Row;
    use crate::kernel::testing::{Case, NAMES, Random, answer, holds};

    fn twin(case: &Case, query: &IntervalQuery) -> IntervalAnswer {
        let (mut starts, mut subjects, mut intervals) = (0, 0, Vec::new());
        for rows in case.rows_by_subject() {
            let mut own = Vec::new();
            for (at, row) in rows.iter().enumerate() {
                if !holds(&query.start, row) || !query.starts_micros.contains(&(row.time_ms() * 1000)) {
                    continue;
                }
                starts += 1;
                let next = rows[at + 1..].iter().find(|row| holds(&query.end, row));
                own.extend(
                    next.map(|next| next.time_ms() - row.time_ms()).filter(|it| *it <= query.window_ms),
                );
            }
            subjects += u64::from(!own.is_empty());
            intervals.extend(own);
        }
        intervals.sort_unstable();
        let count = intervals.len();
        let percentile = |percent: usize| intervals[(count * percent).div_ceil(100).max(1) - 1];
        let mut bars = [0; 11];
        for interval in &intervals {
            let bar = BAR_ENDS_MS.iter().filter(|end| *interval >= **end).count();
            bars[bar] += 1;
        }
        IntervalAnswer {
            starts,
            intervals: count as u64,
            subjects,
            average_ms: (count > 0).then(|| intervals.iter().sum::<i64>() as f64 / count as f64),
            extremes_ms: (count > 0).then(|| (intervals[0], intervals[count - 1])),
            percentiles_ms: (count > 0).then(|| [50, 75, 90, 95, 99].map(percentile)),
            bars,
        }
    }

    #[test]
    fn intervals_are_those_of_a_plain_search() {
        let mut random = Random::new(15);
        for _ in 0..4_000 {
            let case = Case::generate(&mut random);
            let query = IntervalQuery {
                start: Filter::name(random.pick(&NAMES)),
                end: random.loose_filter(),
                starts_micros: case.starts_micros[0]..case.starts_micros[case.buckets()],
                window_ms: random.pick(&[0, 40, 300, i64::MAX]),
            };
            let segments = case.segments();
            let kernel = Interval::try_new(&query, &segments).unwrap();
            assert_eq!(answer(&mut random, &kernel), twin(&case, &query), "{query:?}");
        }
    }

    #[test]
    fn repeated_starts_share_an_end_and_an_event_is_not_its_own() {
        let rows = [(0, "a"), (1_000, "a"), (3_000, "b"), (9_000, "b"), (20_000, "a")];
        let columns = Columns::from_rows(rows.map(|(ms, name)| Row::new(1, ms * 1000, name))).unwrap();
        let ask = |start: &str, end: &str| {
            let query = IntervalQuery {
                start: Filter::name(start),
                end: Filter::name(end),
                starts_micros: 0..i64::MAX,
                window_ms: i64::MAX,
            };
            let answer = interval(&query, &[&columns], 1, &|| false).unwrap();
            (answer.starts, answer.intervals, answer.average_ms)
        };
        assert_eq!(ask("a", "b"), (3, 2, Some(2_500.0)));
        assert_eq!(ask("a", "a"), (3, 2, Some(10_000.0)));
        assert_eq!(ask("b", "c"), (2, 0, None));
    }
}
