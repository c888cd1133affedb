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
/// last bucket is the last. A table of even steps finds the region at once where no boundary falls in the step.
#[derive(Clone, Debug)]
pub(crate) struct Regions {
    /// Milliseconds after the segment's base at which regions 1, 2, .. begin; ends with one that is never reached.
    starts: Vec<u64>,
    shift: u32,
    /// Region at the start of each step.
    table: Vec<u32>,
}

impl Regions {
    pub(crate) fn new(buckets: &Buckets, columns: &Columns) -> Self {
        const STEPS_LOG2: u32 = 12;
        let never = 1_i64 << 32;
        // An event lies at or after a start if its whole milliseconds do.
        let relative = |micros: i64| -> u64 {
            let ms = micros.div_euclid(1000) + i64::from(micros.rem_euclid(1000) != 0);
            ms.saturating_sub(columns.base_ms).clamp(0, never) as u64
        };
        let mut starts: Vec<u64> = buckets.starts_micros.iter().map(|&micros| relative(micros)).collect();
        let shift = (u32::BITS - columns.span_ms.leading_zeros()).saturating_sub(STEPS_LOG2);
        let steps = u64::from(columns.span_ms >> shift) + 1;
        let table =
            (0..steps).map(|step| starts.partition_point(|&start| start <= step << shift) as u32).collect();
        starts.push(u64::MAX);
        Self { starts, shift, table }
    }

    /// The region of an event by its milliseconds after the segment's base.
    #[inline]
    pub(crate) fn of(&self, time: u32) -> u32 {
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
