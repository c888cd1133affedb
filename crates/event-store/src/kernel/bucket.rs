//! Stretches of time that events are counted in, such as days in a project's time zone.

use crate::columns::Columns;
use crate::kernel::{QueryError, ensure_within};

/// Buckets that a query can have.
pub const BUCKETS_MAX: usize = 65_536;

/// Adjoining stretches of time; the caller cuts them in the project's time zone, so their lengths may differ.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Buckets {
    starts_micros: Vec<i64>,
}

impl Buckets {
    /// Takes the start of each bucket and, as last item, the end of the last, in microseconds since 1970 UTC.
    ///
    /// The times ascend, and there are 1 to [`BUCKETS_MAX`] buckets.
    pub fn try_new(starts_micros: Vec<i64>) -> Result<Self, QueryError> {
        ensure_within("number of buckets", starts_micros.len().saturating_sub(1), 1, BUCKETS_MAX as u64)?;
        if starts_micros.is_sorted_by(|a, b| a < b) {
            Ok(Self { starts_micros })
        } else {
            Err(QueryError::BucketsNotAscending)
        }
    }

    /// Number of buckets.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "there is always a bucket")]
    pub fn len(&self) -> usize {
        self.starts_micros.len() - 1
    }

    /// Start of each bucket and end of the last.
    #[must_use]
    pub fn starts_micros(&self) -> &[i64] {
        &self.starts_micros
    }
}

/// Buckets on the clock of one segment.
///
/// Regions number all of time: 0 is before the first bucket, bucket `n` is region `n + 1`, and the one after the
/// last bucket is the last.
#[derive(Clone, Debug)]
pub(crate) enum Regions {
    /// All events lie in this one.
    One(u32),
    /// Buckets of one length, as days are while clocks are not changed.
    Even(Even),
    /// Buckets of any lengths.
    Any(Steps),
}

impl Regions {
    pub(crate) fn new(buckets: &Buckets, columns: &Columns) -> Self {
        let never = 1_i64 << 32;
        // An event lies at or after a start if its whole milliseconds do.
        let relative = |micros: i64| -> u64 {
            let ms = micros.div_euclid(1000) + i64::from(micros.rem_euclid(1000) != 0);
            ms.saturating_sub(columns.base_ms).clamp(0, never) as u64
        };
        let starts: Vec<u64> = buckets.starts_micros.iter().map(|&micros| relative(micros)).collect();
        let first = starts.partition_point(|&start| start == 0);
        let end = starts.partition_point(|&start| start <= u64::from(columns.span_ms));
        let within = &starts[first..end.max(first)];
        if within.is_empty() {
            return Self::One(first as u32);
        }
        match Even::new(within, first as u32) {
            Some(even) => Self::Even(even),
            None => Self::Any(Steps::new(starts, columns.span_ms)),
        }
    }

    /// The region of an event by its milliseconds after the segment's base.
    #[inline]
    pub(crate) fn of(&self, time: u32) -> u32 {
        match self {
            Self::One(region) => *region,
            Self::Even(even) => even.of(time),
            Self::Any(steps) => steps.of(time),
        }
    }

    /// Where in ascending times each of so many buckets begins, and the last one ends.
    pub(crate) fn bounds(&self, times: &[u32], buckets: usize) -> Vec<usize> {
        let region = |time: Option<&u32>| time.map_or(0, |&time| self.of(time));
        let (first, last) = (region(times.first()), region(times.last()));
        let mut from = 0;
        let bound = |before: u32| match before {
            _ if before < first => 0,
            _ if before >= last => times.len(),
            _ => {
                from += times[from..].partition_point(|&time| self.of(time) <= before);
                from
            }
        };
        (0..=buckets as u32).map(bound).collect()
    }

    /// Hands the region of each time to `take`, in their order, with the other item of the pair.
    #[inline]
    pub(crate) fn each<T: Copy>(&self, of: impl Iterator<Item = (T, u32)>, mut take: impl FnMut(T, u32)) {
        match self {
            Self::One(region) => of.for_each(|(item, _)| take(item, *region)),
            Self::Even(even) => of.for_each(|(item, time)| take(item, even.of(time))),
            Self::Any(steps) => of.for_each(|(item, time)| take(item, steps.of(time))),
        }
    }
}

/// Buckets of one length: a region is a multiplication.
///
/// The quotient by an odd divisor `d` of a number below `2^b` is `x * ceil(2^s / d) >> s` if `2^s` is at least `2^b * d`
/// (Granlund and Montgomery, 1994); factors of two are shifted away before.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Even {
    /// What is added and then taken off, so that the first start within the segment is one length after 0.
    before: u64,
    behind: u64,
    twos: u32,
    multiplier: u64,
    shift: u32,
    /// Region at the base.
    first: u32,
    last: u32,
}

impl Even {
    /// Of the starts within a segment, all after its base, and the region at the base.
    fn new(within: &[u64], first: u32) -> Option<Self> {
        let start = *within.first()?;
        // A single start needs some length that is neither reached before nor after it.
        let length = within.get(1).map_or(1 << 33, |second| second - start);
        if within.windows(2).any(|pair| pair[1] - pair[0] != length) {
            return None;
        }
        let twos = length.trailing_zeros();
        let divisor = length >> twos;
        // Whatever is divided is less than the greatest time and a length.
        let bits = u64::BITS - (((1_u64 << 32) + length) >> twos).leading_zeros();
        let shift = bits + (u64::BITS - divisor.leading_zeros());
        if 2 * bits + 1 >= u64::BITS || shift >= u64::BITS {
            return None;
        }
        let multiplier = (1_u64 << shift).div_ceil(divisor);
        let last = first + within.len() as u32;
        let (before, behind) = (length.saturating_sub(start), start.saturating_sub(length));
        Some(Self { before, behind, twos, multiplier, shift, first, last })
    }

    #[inline]
    pub(crate) fn of(&self, time: u32) -> u32 {
        let since = (u64::from(time) + self.before).saturating_sub(self.behind);
        let quotient = ((since >> self.twos) * self.multiplier) >> self.shift;
        (self.first + quotient as u32).min(self.last)
    }
}

/// A table of even steps finds the region at once where no boundary falls in the step.
#[derive(Clone, Debug)]
pub(crate) struct Steps {
    /// Milliseconds after the segment's base at which regions 1, 2, .. begin; ends with one that is never reached.
    starts: Vec<u64>,
    shift: u32,
    /// Region at the start of each step.
    table: Vec<u32>,
}

impl Steps {
    fn new(mut starts: Vec<u64>, span_ms: u32) -> Self {
        const STEPS_LOG2: u32 = 12;
        let shift = (u32::BITS - span_ms.leading_zeros()).saturating_sub(STEPS_LOG2);
        let steps = u64::from(span_ms >> shift) + 1;
        let table =
            (0..steps).map(|step| starts.partition_point(|&start| start <= step << shift) as u32).collect();
        starts.push(u64::MAX);
        Self { starts, shift, table }
    }

    #[inline]
    fn of(&self, time: u32) -> u32 {
        let mut region = self.table[(time >> self.shift) as usize];
        while self.starts[region as usize] <= u64::from(time) {
            region += 1;
        }
        region
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::columns::{Row, SPAN_MS_MAX};
    use crate::kernel::testing::{Case, Random};

    #[test]
    fn a_region_is_the_number_of_starts_up_to_the_event() {
        let mut random = Random::new(3);
        for _ in 0..2_000 {
            let case = Case::generate(&mut random);
            let buckets = Buckets::try_new(case.starts_micros.clone()).unwrap();
            for columns in case.segments() {
                let regions = Regions::new(&buckets, columns);
                for (at, row) in columns.rows().enumerate() {
                    let expected =
                        case.starts_micros.iter().filter(|&&start| start <= row.time_micros).count();
                    assert_eq!(regions.of(columns.times[at]) as usize, expected);
                }
            }
        }
    }

    #[test]
    fn buckets_of_one_length_are_told_apart_at_their_ends() {
        let mut random = Random::new(31);
        for _ in 0..300 {
            let length: i64 = random.pick(&[3_600_000, 86_400_000, 604_800_000, 900_000, 1_000, 7, 1 << 20]);
            let base: i64 = random.range(-400, 400);
            let span = random.range::<i64>(1, SPAN_MS_MAX);
            let rows = [Row::new(0, base * 1000, "a"), Row::new(0, (base + span) * 1000, "a")];
            let columns = Columns::from_rows(rows).unwrap();
            let first = base + random.range::<i64>(-3, 9) * length / 2 + random.range::<i64>(-5, 5);
            let starts: Vec<i64> = (0..random.range(2, 70)).map(|at: i64| first + at * length).collect();
            let buckets = Buckets::try_new(starts.iter().map(|ms| ms * 1000).collect()).unwrap();
            let regions = Regions::new(&buckets, &columns);
            let near = starts.iter().flat_map(|start| [start - base - 1, start - base, start - base + 1]);
            for time in near.chain([0, span]).filter(|time| (0..=span).contains(time)) {
                let expected = starts.iter().filter(|start| **start <= base + time).count();
                assert_eq!(regions.of(time as u32) as usize, expected, "{length} {regions:?}");
            }
        }
    }

    #[test]
    fn the_longest_segment_and_far_buckets_are_within_reach() {
        let rows = [Row::new(0, 0, "a"), Row::new(0, SPAN_MS_MAX * 1000, "a")];
        let columns = Columns::from_rows(rows).unwrap();
        let regions = |starts: &[i64]| {
            let regions = Regions::new(&Buckets::try_new(starts.to_vec()).unwrap(), &columns);
            [regions.of(0), regions.of(u32::MAX)]
        };
        assert_eq!(regions(&[i64::MIN, i64::MAX]), [1, 1]);
        assert_eq!(regions(&[1, SPAN_MS_MAX * 1000]), [0, 2]);
        assert_eq!(regions(&[i64::MIN, 0]), [2, 2]);
        assert_eq!(regions(&[SPAN_MS_MAX * 1000 + 1, i64::MAX]), [0, 0]);
    }

    #[test]
    fn starts_that_do_not_ascend_are_refused() {
        assert_eq!(Buckets::try_new(vec![0, 0]), Err(QueryError::BucketsNotAscending));
        assert!(matches!(Buckets::try_new(vec![0]), Err(QueryError::OutOfRange { .. })));
    }
}
