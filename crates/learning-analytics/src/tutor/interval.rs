//! 95 % intervals of shares, means and differences where what one learner does is alike. No I/O.
//!
//! Learners are independent of each other, their conversations are not. Variances are therefore those of sums by learner
//! (Liang and Zeger, 1986), and a share has the interval of Wilson (1927) with as many observations as independent ones
//! would say the same (Kish, 1965).

use serde::Serialize;

/// Standard normal quantile of 0.975.
const Z: f64 = 1.959_963_984_540_054;
/// With fewer learners than this there is no interval of a mean or a difference, and no difference.
pub const LEARNERS_MIN: u64 = 20;

/// How many of how many, and the 95 % interval of the share.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize)]
pub struct Share {
    /// Those that are meant.
    pub part: u64,
    /// All of them.
    pub whole: u64,
    /// Their learners.
    pub learners: u64,
    /// `part` of `whole`, 0 to 1; none of nothing.
    pub rate: Option<f64>,
    /// The lower end of the interval.
    pub low: Option<f64>,
    /// The upper end of it.
    pub high: Option<f64>,
}

/// A mean with its 95 % interval.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize)]
pub struct Mean {
    /// The mean; none of nothing.
    pub value: Option<f64>,
    /// The lower end of the interval; none for fewer than [`LEARNERS_MIN`] learners.
    pub low: Option<f64>,
    /// The upper end of it.
    pub high: Option<f64>,
    /// How many numbers it is the mean of.
    pub count: u64,
    /// Their learners.
    pub learners: u64,
}

/// A difference with its 95 % interval.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Difference {
    /// The difference.
    pub value: f64,
    /// The lower end of the interval.
    pub low: f64,
    /// The upper end of it.
    pub high: f64,
}

/// A quantile with its 95 % interval.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Quantile {
    /// The quantile: one of the numbers.
    pub value: f64,
    /// The lower end of the interval: another one of them.
    pub low: f64,
    /// The upper end of it.
    pub high: f64,
}

/// For each learner, how many there are and the sum of them.
#[derive(Debug, Clone, Default)]
pub(super) struct Sums {
    by_learner: Vec<(f64, f64)>,
    last: Option<u32>,
}

impl Sums {
    /// The sums of some numbers, the numbers of one learner after those of another.
    pub(super) fn of(numbers: impl IntoIterator<Item = (u32, f64)>) -> Self {
        let mut sums = Self::default();
        for (learner, number) in numbers {
            sums.add(learner, 1.0, number);
        }
        sums
    }

    /// Adds `sum` as that of `count` things of a learner.
    pub(super) fn add(&mut self, learner: u32, count: f64, sum: f64) {
        match self.by_learner.last_mut().filter(|_| self.last == Some(learner)) {
            Some(known) => *known = (known.0 + count, known.1 + sum),
            None => self.by_learner.push((count, sum)),
        }
        self.last = Some(learner);
    }

    pub(super) fn learners(&self) -> u64 {
        self.by_learner.len() as u64
    }

    pub(super) fn count(&self) -> f64 {
        self.by_learner.iter().map(|(count, _)| count).sum()
    }

    pub(super) fn sum(&self) -> f64 {
        self.by_learner.iter().map(|(_, sum)| sum).sum()
    }

    /// The sum, and the sum of the squares of each learner's sum.
    pub(super) fn squares(&self) -> (f64, f64) {
        (self.sum(), self.by_learner.iter().map(|(_, sum)| sum * sum).sum())
    }

    /// The sum by the count.
    pub(super) fn ratio(&self) -> Option<f64> {
        let count = self.count();
        (count > 0.0).then(|| self.sum() / count)
    }

    /// The variance of the ratio; none for fewer than two learners.
    pub(super) fn variance(&self) -> Option<f64> {
        let (ratio, learners) = (self.ratio()?, self.by_learner.len() as f64);
        let squares: f64 = self.by_learner.iter().map(|(count, sum)| (sum - ratio * count).powi(2)).sum();
        (learners > 1.0).then(|| learners / (learners - 1.0) * squares / self.count().powi(2))
    }

    /// The ratio with its interval.
    pub(super) fn mean(&self) -> Mean {
        let value = self.ratio();
        let learners = self.learners();
        let half = self
            .variance()
            .filter(|_| learners >= LEARNERS_MIN)
            .map(|variance| student(learners as f64 - 1.0) * variance.sqrt());
        let end = |sign: f64| Some(value? + sign * half?);
        Mean { value, low: end(-1.0), high: end(1.0), count: self.count().round() as u64, learners }
    }
}

/// A share of yes and no, those of one learner after those of another.
pub(super) fn share(answers: impl IntoIterator<Item = (u32, bool)>) -> Share {
    let sums = Sums::of(answers.into_iter().map(|(learner, is_yes)| (learner, f64::from(u8::from(is_yes)))));
    let (whole, learners) = (sums.count(), sums.learners());
    let Some(rate) = sums.ratio() else { return Share::default() };
    let alone = rate * (1.0 - rate) / whole;
    // What is always or never so says nothing of how alike learners are: each of them counts once.
    let independent = match sums.variance() {
        Some(variance) if alone > 0.0 => whole / (variance / alone).max(1.0),
        _ => learners as f64,
    };
    let (low, high) = wilson(rate, independent.max(1.0));
    Share {
        part: sums.sum().round() as u64,
        whole: whole.round() as u64,
        learners,
        rate: Some(rate),
        low: Some(low),
        high: Some(high),
    }
}

/// The interval of a rate among `count` independent observations.
fn wilson(rate: f64, count: f64) -> (f64, f64) {
    let square = Z * Z / count;
    let middle = rate + square / 2.0;
    let half = Z * (rate * (1.0 - rate) / count + square / (4.0 * count)).sqrt();
    let end = |sign: f64| ((middle + sign * half) / (1.0 + square)).clamp(0.0, 1.0);
    (end(-1.0), end(1.0))
}

/// A mean that has a variance and degrees of freedom, from which a difference is made.
#[derive(Debug, Clone, Copy)]
pub(super) struct Measured {
    pub(super) value: f64,
    pub(super) variance: f64,
    pub(super) freedom: f64,
}

impl Measured {
    /// The ratio of sums; none for fewer than [`LEARNERS_MIN`] learners.
    pub(super) fn of(sums: &Sums) -> Option<Self> {
        let learners = Some(sums.learners()).filter(|learners| *learners >= LEARNERS_MIN)?;
        Some(Self { value: sums.ratio()?, variance: sums.variance()?, freedom: learners as f64 - 1.0 })
    }
}

/// What the first is more than the second, with the interval of Welch (1947).
pub(super) fn welch(first: Measured, second: Measured) -> Difference {
    let variance = first.variance + second.variance;
    let rest = first.variance.powi(2) / first.freedom + second.variance.powi(2) / second.freedom;
    let freedom = if rest > 0.0 { variance.powi(2) / rest } else { first.freedom + second.freedom };
    difference(first.value - second.value, variance, freedom)
}

/// A difference with the variance and the degrees of freedom that it has.
pub(super) fn difference(value: f64, variance: f64, freedom: f64) -> Difference {
    let half = student(freedom) * variance.sqrt();
    Difference { value, low: value - half, high: value + half }
}

/// The quantile of 0.975 of Student's distribution (Abramowitz and Stegun, 26.7.5).
fn student(freedom: f64) -> f64 {
    let freedom = freedom.max(1.0);
    let terms = [
        (Z.powi(3) + Z) / 4.0,
        (5.0 * Z.powi(5) + 16.0 * Z.powi(3) + 3.0 * Z) / 96.0,
        (3.0 * Z.powi(7) + 19.0 * Z.powi(5) + 17.0 * Z.powi(3) - 15.0 * Z) / 384.0,
        (79.0 * Z.powi(9) + 776.0 * Z.powi(7) + 1_482.0 * Z.powi(5) - 1_920.0 * Z.powi(3) - 945.0 * Z)
            / 92_160.0,
    ];
    terms.iter().rev().fold(0.0, |sum, term| (sum + term) / freedom) + Z
}

/// A quantile of sorted numbers, between the numbers whose ranks are the interval of the binomial distribution.
pub(super) fn quantile(sorted: &[f64], at: f64) -> Option<Quantile> {
    let count = sorted.len() as f64;
    let half = Z * (count * at * (1.0 - at)).sqrt();
    let rank = |rank: f64| {
        let place = (rank.ceil() - 1.0).clamp(0.0, (count - 1.0).max(0.0));
        sorted.get(place as usize).copied()
    };
    let middle = count * at;
    Some(Quantile { value: rank(middle)?, low: rank(middle - half)?, high: rank(middle + half + 1.0)? })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(left: f64, right: f64) -> bool {
        (left - right).abs() < 5e-4
    }

    #[test]
    fn intervals_are_those_of_tables() {
        // Newcombe (1998), table I: 81 of 263 and 0 of 20.
        let (low, high) = wilson(81.0 / 263.0, 263.0);
        assert!(close(low, 0.2553) && close(high, 0.3662), "{low} {high}");
        let (low, high) = wilson(0.0, 20.0);
        assert!(close(low, 0.0) && close(high, 0.1611), "{low} {high}");
        for (freedom, expected) in [(4.0, 2.7764), (19.0, 2.0930), (120.0, 1.9799)] {
            assert!((student(freedom) - expected).abs() < 2e-3, "{freedom}: {}", student(freedom));
        }
        let sorted: Vec<f64> = (1..=100).map(f64::from).collect();
        let half = quantile(&sorted, 0.5).unwrap();
        assert_eq!((half.low, half.value, half.high), (41.0, 50.0, 61.0));
        assert_eq!(quantile(&[], 0.5), None);
    }

    #[test]
    fn conversations_of_one_learner_count_less_than_those_of_many() {
        let of_many = share((0..200).map(|learner| (learner, learner % 2 == 0)));
        let of_few = share((0..20).flat_map(|learner| (0..10).map(move |_| (learner, learner % 2 == 0))));
        assert_eq!((of_many.part, of_many.whole, of_many.learners), (100, 200, 200));
        assert_eq!((of_few.part, of_few.whole, of_few.learners), (100, 200, 20));
        let width = |share: Share| share.high.unwrap() - share.low.unwrap();
        assert!(close(width(of_many), 2.0 * 0.0688), "{of_many:?}");
        // As wide as that of about twenty answers.
        assert!(width(of_few) > 2.9 * width(of_many), "{of_few:?}");
        let always = share((0..5).flat_map(|learner| (0..40).map(move |_| (learner, true))));
        assert!(close(always.low.unwrap(), 0.5655), "{always:?}");
    }

    #[test]
    fn means_of_single_numbers_have_the_usual_interval() {
        let numbers: Vec<f64> = (0..30).map(|number| f64::from(number % 5)).collect();
        let sums = Sums::of((0_u32..).zip(numbers.iter().copied()));
        let mean = numbers.iter().sum::<f64>() / 30.0;
        let variance = numbers.iter().map(|number| (number - mean).powi(2)).sum::<f64>() / 29.0 / 30.0;
        let found = sums.mean();
        assert!(close(found.value.unwrap(), 2.0) && close(sums.variance().unwrap(), variance));
        assert!(close(found.high.unwrap() - 2.0, 2.0452 * variance.sqrt()), "{found:?}");
        let few = Sums::of((0..19).map(|learner| (learner, 1.0))).mean();
        assert_eq!((few.value, few.low, few.learners), (Some(1.0), None, 19));
        let measured = Measured::of(&sums).unwrap();
        let welch = welch(measured, measured);
        assert!(close(welch.high, 2.0017 * (2.0 * variance).sqrt()), "{welch:?}");
    }
}
