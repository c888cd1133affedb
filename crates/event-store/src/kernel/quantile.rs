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

/// The quantiles of values, which change their order; none if there is no value.
///
/// The shares ascend: each is looked for only above the one before. NaN ranks above all.
#[must_use]
pub fn quantiles<const N: usize>(values: &mut [f64], per_milles: [u16; N]) -> Option<[f64; N]> {
    let count = values.len();
    let (mut found, mut below) = ([0.0; N], 0);
    for (found, per_mille) in found.iter_mut().zip(per_milles) {
        let rank = nearest_rank(count, per_mille)?.max(below);
        let (_, value, _) = values.get_mut(below..)?.select_nth_unstable_by(rank - below, f64::total_cmp);
        (*found, below) = (*value, rank);
    }
    Some(found)
}

/// The median of whole numbers, which change their order; none if there is none.
#[must_use]
pub fn median(values: &mut [i64]) -> Option<i64> {
    let rank = nearest_rank(values.len(), 500)?;
    Some(*values.select_nth_unstable(rank).1)
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
            let mut values: Vec<f64> =
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
            let mut whole: Vec<i64> = values.iter().map(|&value| value as i64).collect();
            assert_eq!(median(&mut whole), expected[0].map(|value| value as i64));
            let found = quantiles(&mut values, PERCENTILES);
            assert_eq!(found.map(|found| found.map(Some)), expected[0].map(|_| expected));
        }
    }
}
