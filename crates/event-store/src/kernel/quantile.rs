//! Exact quantiles by the nearest-rank method.
//!
//! The quantile `p` of `n` values is the one at rank `ceil(p * n)` in ascending order (the first is rank 1, and
//! rank 0 is taken as 1): always a value that occurred, never one between two. This is method R-1 of Hyndman and
//! Fan (1996). Shares are given in thousandths, so that ranks are exact integers: 0.95 of 20 values is the 19th.

/// The shares that a [trend](crate::kernel::trend) answers: p50, p75, p90, p95 and p99, in thousandths.
pub const PERCENTILES: [u16; 5] = [500, 750, 900, 950, 990];

/// Place of a quantile among so many values in ascending order; none if there is no value.
#[must_use]
pub fn nearest_rank(count: usize, per_mille: u16) -> Option<usize> {
    let rank = (count as u128 * u128::from(per_mille.min(1000))).div_ceil(1000) as usize;
    (count > 0).then(|| rank.max(1) - 1)
}

/// The quantiles of values that lie in several places; none if there is no value.
///
/// The shares ascend. NaN ranks above all.
#[must_use]
pub fn quantiles<const N: usize>(places: &[&[f64]], per_milles: [u16; N]) -> Option<[f64; N]> {
    let count = places.iter().map(|values| values.len()).sum();
    let mut ranks = ranks_of(count, per_milles)?;
    select(narrow(places, count, &mut ranks, ordered), ranks)
}

/// Places of quantiles among so many values in ascending order; none if there is no value.
fn ranks_of<const N: usize>(count: usize, per_milles: [u16; N]) -> Option<[usize; N]> {
    let mut ranks = [0; N];
    for (rank, per_mille) in ranks.iter_mut().zip(per_milles) {
        *rank = nearest_rank(count, per_mille)?;
    }
    Some(ranks)
}

/// The first 16 bits of a value in the order of [`f64::total_cmp`]: its sign, its exponent and four bits more.
#[must_use]
pub fn code_of(value: f64) -> u16 {
    (ordered(value) >> 48) as u16
}

/// The greatest codes that are told apart, which is 64 powers of two; those below are taken together.
const CODES_MAX: u16 = 1_024;

/// The same of values that have their codes beside them and are not greater than `most`, where zeros of both signs may stand
/// for each other: two passes over two bytes for each value.
#[must_use]
pub(crate) fn quantiles_by_code<const N: usize>(
    places: &[(&[f64], &[u16])],
    most: f64,
    per_milles: [u16; N],
) -> Option<[f64; N]> {
    let count = places.iter().map(|(values, _)| values.len()).sum();
    if count < NARROWED_FROM {
        return quantiles(&places.iter().map(|(values, _)| *values).collect::<Vec<_>>(), per_milles);
    }
    let before = code_of(if most == 0.0 { 0.0 } else { most }).saturating_sub(CODES_MAX - 1);
    let bin = |code: &u16| usize::from(code.saturating_sub(before) % CODES_MAX);
    let mut ranks = ranks_of(count, per_milles)?;
    let mut counts = [0_u32; CODES_MAX as usize];
    for (_, codes) in places {
        codes.iter().for_each(|code| counts[bin(code)] += 1);
    }
    let (is_left, kept) = bins_of(&counts, &mut ranks);
    let mut left = Gathered::new(kept);
    for (values, codes) in places {
        values.iter().zip(*codes).for_each(|(&value, code)| left.put(value, is_left[bin(code)]));
    }
    select(left.finish(), ranks)
}

/// The values of ascending ranks.
fn select<const N: usize>(mut values: Vec<f64>, ranks: [usize; N]) -> Option<[f64; N]> {
    let (mut found, mut below) = ([0.0; N], 0);
    for (found, rank) in found.iter_mut().zip(ranks) {
        let (_, value, _) = values.get_mut(below..)?.select_nth_unstable_by(rank - below, f64::total_cmp);
        (*found, below) = (*value, rank);
    }
    Some(found)
}

/// The median of whole numbers; none if there is none.
#[must_use]
pub fn median(values: &[i64]) -> Option<i64> {
    let key = |value: i64| value.cast_unsigned() ^ (1 << 63);
    let mut rank = [nearest_rank(values.len(), 500)?];
    let mut left = narrow(&[values], values.len(), &mut rank, key);
    Some(*left.select_nth_unstable(rank[0]).1)
}

/// Fewer values are looked through as they are.
const NARROWED_FROM: usize = 256;

/// A share of this many is what is left of values that are spread evenly.
const BINS_LOG2: u32 = 10;

/// Only values near some ranks, in any order; the ranks, which ascend, become theirs.
///
/// Values are counted by the first bits in which their keys differ, and all bins without a rank are left out: three
/// passes without a branch that depends on a value. `key` is in the order of the values.
fn narrow<T: Copy + Default>(
    places: &[&[T]],
    count: usize,
    ranks: &mut [usize],
    key: impl Fn(T) -> u64,
) -> Vec<T> {
    if count < NARROWED_FROM {
        return places.concat();
    }
    let (mut least, mut most) = (u64::MAX, 0);
    for &value in places.iter().copied().flatten() {
        let key = key(value);
        (least, most) = (least.min(key), most.max(key));
    }
    let shift = (u64::BITS - (most - least).leading_zeros()).saturating_sub(BINS_LOG2);
    let bin = |value: T| ((key(value) - least) >> shift) as usize % (1 << BINS_LOG2);
    let mut counts = [0_u32; 1 << BINS_LOG2];
    for values in places {
        values.iter().for_each(|&value| counts[bin(value)] += 1);
    }
    let (is_left, kept) = bins_of(&counts, ranks);
    let mut left = Gathered::new(kept);
    for values in places {
        values.iter().for_each(|&value| left.put(value, is_left[bin(value)]));
    }
    left.finish()
}

/// The bins that have a rank, and how many values are in them; the ranks, which ascend, become those among these values.
fn bins_of(counts: &[u32], ranks: &mut [usize]) -> (Vec<bool>, usize) {
    let mut is_left = vec![false; counts.len()];
    // Values in bins before this one, and those of them that are left.
    let (mut at, mut before, mut kept) = (0, 0, 0);
    for rank in ranks {
        while before + counts[at] as usize <= *rank {
            before += counts[at] as usize;
            kept += if is_left[at] { counts[at] as usize } else { 0 };
            at += 1;
        }
        is_left[at] = true;
        *rank -= before - kept;
    }
    (is_left, kept + counts[at] as usize)
}

/// Values that are put side by side without a branch.
struct Gathered<T> {
    /// One place more than there are values, for what is left out after the last.
    values: Vec<T>,
    next: usize,
}

impl<T: Copy + Default> Gathered<T> {
    fn new(count: usize) -> Self {
        Self { values: vec![T::default(); count + 1], next: 0 }
    }

    #[inline]
    fn put(&mut self, value: T, is_in: bool) {
        self.values[self.next] = value;
        self.next += usize::from(is_in);
    }

    fn finish(mut self) -> Vec<T> {
        self.values.truncate(self.next);
        self.values
    }
}

/// Whole numbers in the order of [`f64::total_cmp`].
fn ordered(value: f64) -> u64 {
    let bits = value.to_bits();
    // A negative number is turned over, so that the largest comes first.
    bits ^ ((bits.cast_signed() >> 63).cast_unsigned() | 1 << 63)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::testing::Random;

    #[test]
    fn ranks_are_those_of_the_definition() {
        let rank = |count, per_mille| nearest_rank(count, per_mille).map(|place| place + 1);
        assert_eq!(rank(20, 950), Some(19));
        assert_eq!(rank(21, 950), Some(20));
        assert_eq!(rank(4, 500), Some(2));
        assert_eq!(rank(5, 500), Some(3));
        assert_eq!(rank(7, 0), Some(1));
        assert_eq!(rank(7, 1000), Some(7));
        assert_eq!(rank(0, 500), None);
    }

    #[test]
    fn selected_quantiles_are_those_of_sorted_values() {
        let mut random = Random::new(4);
        for _ in 0..3_000 {
            let values: Vec<f64> =
                (0..random.range(0, 40)).map(|_| random.range::<i32>(-9, 9).into()).collect();
            let mut sorted = values.clone();
            sorted.sort_by(f64::total_cmp);
            // The least value that at least p of all values do not exceed.
            let expected = PERCENTILES.map(|per_mille| {
                sorted.iter().copied().find(|value| {
                    let share = sorted.iter().filter(|other| *other <= value).count() * 1000;
                    share >= usize::from(per_mille) * sorted.len()
                })
            });
            let whole: Vec<i64> = values.iter().map(|&value| value as i64).collect();
            assert_eq!(median(&whole), expected[0].map(|value| value as i64));
            let (one, other) = values.split_at(values.len() / 3);
            let found = quantiles(&[one, other], PERCENTILES);
            assert_eq!(found.map(|found| found.map(Some)), expected[0].map(|_| expected));
        }
    }

    #[test]
    fn quantiles_of_many_values_are_those_of_sorted_values_however_they_are_spread() {
        let mut random = Random::new(41);
        let odd = [f64::NEG_INFINITY, f64::INFINITY, f64::NAN, f64::MIN, f64::MAX, 0.0, -0.0, 5e-324];
        for round in 0..400 {
            let (count, spread) = (random.range::<usize>(1, 3_000), random.pick(&[1, 3, 900, 1 << 40]));
            let (scale, odd_ones) = (random.pick(&[1.0, 0.01, 1e300, 1e-300]), random.pick(&[0, 0, 9]));
            let mut value = || match random.range::<i64>(0, 10) < odd_ones {
                true => random.pick(&odd),
                false => random.range::<i64>(-spread, spread) as f64 * scale,
            };
            let values: Vec<f64> = (0..count).map(|_| value()).collect();
            let whole: Vec<i64> =
                (0..count).map(|_| random.pick(&[i64::MIN, -1, 7, 7, i64::MAX]) / (round + 1)).collect();
            let (mut sorted, mut sorted_whole) = (values.clone(), whole.clone());
            sorted.sort_by(f64::total_cmp);
            sorted_whole.sort_unstable();
            let expected =
                PERCENTILES.map(|per_mille| sorted[nearest_rank(count, per_mille).unwrap()].to_bits());
            let (one, other) = values.split_at(count / 2);
            assert_eq!(quantiles(&[one, other], PERCENTILES).unwrap().map(f64::to_bits), expected);
            if values.iter().all(|value| !value.is_nan()) {
                let most = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
                let codes: Vec<u16> = values.iter().copied().map(code_of).collect();
                let (codes, more) = codes.split_at(count / 2);
                let found = quantiles_by_code(&[(one, codes), (other, more)], most, PERCENTILES);
                assert_eq!(found.unwrap().map(f64::to_bits), expected);
            }
            assert_eq!(median(&whole), Some(sorted_whole[count.div_ceil(2) - 1]));
        }
    }
}
