//! Lifecycle and retention from rollups: bitmaps of the subjects of each period.

use super::Rolled;
use super::blocks::{Gathered, Targets, add_up, each_block};
use super::question::{holds, reads_name};
use crate::kernel::filter::Filter;
use crate::kernel::lifecycle::{LifecyclePeriod, LifecycleQuery};
use crate::kernel::retention::{CohortBy, RetentionAnswer, RetentionMode, RetentionQuery, table_of};
use crate::kernel::{Cancel, QueryError, ensure_within};
use crate::rollup::{WORDS, add_set, count_bits};

/// Retention over more periods is answered by reading events: every pair of periods costs a look at all subjects.
pub(crate) const PERIODS_MAX: usize = 60;

/// Bitmaps by stretch of the question.
struct Bitmaps(Vec<u64>);

impl Bitmaps {
    fn new(count: usize) -> Self {
        Self(vec![0; count * WORDS])
    }

    fn fill(&mut self, gathered: &Gathered<'_>) {
        self.0.fill(0);
        for (at, sets) in gathered.each() {
            if let Some(bits) = self.0.get_mut(at * WORDS..(at + 1) * WORDS) {
                sets.iter().for_each(|set| add_set(bits, *set));
            }
        }
    }

    fn get(&self, at: usize) -> &[u64] {
        self.0.get(at * WORDS..(at + 1) * WORDS).unwrap_or_default()
    }
}

fn targets(rolled: &Rolled, filter: &Filter, regions: usize) -> Targets {
    let counted = rolled.counted(reads_name(filter), |name, text| holds(filter, name, text).then_some(0));
    Targets::new(rolled, &counted, regions, |item| Some(item.region as usize))
}

/// How many members both have.
fn count_both(a: &[u64], b: &[u64]) -> u64 {
    a.iter().zip(b).map(|(a, b)| u64::from((a & b).count_ones())).sum()
}

/// Answers a lifecycle.
pub(crate) fn lifecycle_of(
    query: &LifecycleQuery,
    rolled: &Rolled,
    threads: usize,
    cancel: Cancel<'_>,
) -> Result<Vec<LifecyclePeriod>, QueryError> {
    let count = query.periods.len();
    ensure_within("number of periods", count, 2, u64::MAX)?;
    let targets = targets(rolled, &query.filter, count + 1);
    let numbers = each_block(
        rolled,
        threads,
        cancel,
        || (vec![0; count * 5], Bitmaps::new(count + 1), vec![0_u64; WORDS]),
        |(numbers, bitmaps, seen), blocks| {
            bitmaps.fill(&Gathered::of(blocks, &targets));
            seen.copy_from_slice(bitmaps.get(0));
            for (period, numbers) in numbers.chunks_exact_mut(5).enumerate() {
                // Period `n` is stretch `n + 1`.
                let (own, before) = (bitmaps.get(period + 1), bitmaps.get(period));
                let (active, returning) = (count_bits(own), count_both(own, before));
                let known = count_both(own, seen);
                seen.iter_mut().zip(own).for_each(|(seen, own)| *seen |= own);
                let dormant = count_bits(before) - returning;
                let ever = count_bits(seen);
                add_up(numbers, &[active - known, returning, known - returning, dormant, ever]);
            }
        },
        |(into, ..), (from, ..)| add_up(into, &from),
    )?
    .0;
    let periods = query.periods.starts_micros().iter().zip(numbers.chunks_exact(5)).skip(1);
    let periods = periods.filter_map(|(start_micros, numbers)| {
        let &[new, returning, resurrecting, dormant, ever] = numbers else { return None };
        Some(LifecyclePeriod { start_micros: *start_micros, new, returning, resurrecting, dormant, ever })
    });
    Ok(periods.collect())
}

/// Answers retention over at most [`PERIODS_MAX`] periods.
pub(crate) fn retention_of(
    query: &RetentionQuery,
    rolled: &Rolled,
    threads: usize,
    cancel: Cancel<'_>,
) -> Result<RetentionAnswer, QueryError> {
    let count = query.periods.len();
    ensure_within("number of periods", count, 1, PERIODS_MAX as u64)?;
    let (starts, returns) =
        (targets(rolled, &query.start, count + 2), targets(rolled, &query.returned, count + 2));
    let table = each_block(
        rolled,
        threads,
        cancel,
        || (vec![0; count], vec![0; count * count], Bitmaps::new(count + 2), Bitmaps::new(count + 2)),
        |(subjects, returned, started, came), blocks| {
            started.fill(&Gathered::of(blocks, &starts));
            came.fill(&Gathered::of(blocks, &returns));
            let mut seen = started.get(0).to_vec();
            if query.mode != RetentionMode::Classic {
                add_later(came, if query.mode == RetentionMode::Unbounded { count + 1 } else { count });
            }
            for cohort in 0..count {
                let mut own = started.get(cohort + 1).to_vec();
                if query.cohort_by == CohortBy::FirstStart {
                    for (own, seen) in own.iter_mut().zip(&mut seen) {
                        *seen |= std::mem::replace(own, *own & !*seen);
                    }
                }
                if let Some(subjects) = subjects.get_mut(cohort) {
                    *subjects += count_bits(&own);
                }
                for period in 0..count - cohort {
                    if let Some(returned) = returned.get_mut(cohort * count + period) {
                        *returned += count_both(&own, came.get(cohort + period + 1));
                    }
                }
            }
        },
        |into, from| {
            add_up(&mut into.0, &from.0);
            add_up(&mut into.1, &from.1);
        },
    )?;
    Ok(table_of(query, &table.0, &table.1))
}

/// Adds to each stretch up to the last one all that come after it.
fn add_later(bitmaps: &mut Bitmaps, last: usize) {
    for at in (1..last).rev() {
        let (own, next) = bitmaps.0.split_at_mut((at + 1) * WORDS);
        let own = own.get_mut(at * WORDS..).unwrap_or_default();
        own.iter_mut().zip(&*next).for_each(|(own, next)| *own |= next);
    }
}
