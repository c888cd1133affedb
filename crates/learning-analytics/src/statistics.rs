//! Means and their differences, with how sure they are. No I/O.
//!
//! Differences are those of Welch ("The generalization of 'Student's' problem when several different population variances
//! are involved", Biometrika 1947); ratios are made linear by the delta method, with the learner as the unit; several
//! tests at once are adjusted after Benjamini and Hochberg ("Controlling the false discovery rate", JRSS B 1995).

use serde::Serialize;

/// How often intervals miss, and what is a false discovery.
pub const ALPHA: f64 = 0.05;

/// Numbers by what is needed of them.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sample {
    /// How many, at least 2.
    pub count: u64,
    /// Their mean.
    pub mean: f64,
    /// Their variance, by `count - 1`.
    pub variance: f64,
}

impl Sample {
    /// The sample of some numbers, whatever their order; none for fewer than two.
    #[must_use]
    pub fn of(mut values: Vec<f64>) -> Option<Self> {
        // Sums of sorted numbers: their order must not show, not even in the last digit.
        values.sort_by(f64::total_cmp);
        let count = values.len() as f64;
        let mean = values.iter().sum::<f64>() / count;
        let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
        (values.len() > 1).then(|| Self {
            count: values.len() as u64,
            mean,
            variance: squares / (count - 1.0),
        })
    }

    /// The ratio of two sums over units that have a numerator and a denominator each; none for fewer than two units and
    /// for denominators of nothing. The variance is that of `(numerator - ratio * denominator) / mean denominator`.
    #[must_use]
    pub fn of_ratio(units: &[(f64, f64)]) -> Option<Self> {
        let mut sorted = units.to_vec();
        sorted.sort_by(|left, right| left.0.total_cmp(&right.0).then(left.1.total_cmp(&right.1)));
        let (above, below) = sorted.iter().fold((0.0, 0.0), |sum, unit| (sum.0 + unit.0, sum.1 + unit.1));
        if below <= 0.0 {
            return None;
        }
        let (ratio, mean_below) = (above / below, below / sorted.len() as f64);
        let linear = sorted.iter().map(|(above, below)| (above - ratio * below) / mean_below);
        Self::of(linear.collect()).map(|sample| Self { mean: ratio, ..sample })
    }

    /// The interval that has the mean nineteen times of twenty, by Student's t.
    #[must_use]
    pub fn interval(&self) -> (f64, f64) {
        let error = (self.variance / self.count as f64).sqrt();
        let reach = if error > 0.0 { t_quantile(self.count as f64 - 1.0) * error } else { 0.0 };
        (self.mean - reach, self.mean + reach)
    }
}

/// The difference of two means.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Difference {
    /// The later mean less the earlier one.
    pub difference: f64,
    /// The lower end of the interval that has it nineteen times of twenty.
    pub low: f64,
    /// The upper end of it.
    pub high: f64,
    /// How often chance alone makes a difference as great as this, 0 to 1.
    pub p: f64,
}

/// The difference of two means by Welch's test; none where nothing varies in either sample.
#[must_use]
pub fn welch(before: &Sample, after: &Sample) -> Option<Difference> {
    let of = |sample: &Sample| sample.variance / sample.count as f64;
    let (left, right) = (of(before), of(after));
    let squared = left + right;
    if squared <= 0.0 || before.count < 2 || after.count < 2 {
        return None;
    }
    let freedom = squared.powi(2)
        / (left.powi(2) / (before.count as f64 - 1.0) + right.powi(2) / (after.count as f64 - 1.0));
    let difference = after.mean - before.mean;
    let reach = t_quantile(freedom) * squared.sqrt();
    let p = two_sided(difference / squared.sqrt(), freedom);
    Some(Difference { difference, low: difference - reach, high: difference + reach, p })
}

/// What the chances of several tests amount to when all are looked at: calling those at most 0.05 discoveries makes one of
/// twenty discoveries a false one. In the order of the tests.
#[must_use]
pub fn benjamini_hochberg(chances: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..chances.len()).collect();
    order.sort_by(|left, right| chances[*right].total_cmp(&chances[*left]));
    let (mut adjusted, mut least) = (vec![1.0; chances.len()], 1.0_f64);
    for (place, test) in order.into_iter().enumerate() {
        let rank = (chances.len() - place) as f64;
        least = least.min(chances[test] * chances.len() as f64 / rank);
        adjusted[test] = least;
    }
    adjusted
}

/// How often Student's t is as far from nothing as this, on either side.
fn two_sided(t: f64, freedom: f64) -> f64 {
    incomplete_beta(freedom / (freedom + t * t), freedom / 2.0, 0.5)
}

/// What Student's t exceeds once in twenty, on either side.
fn t_quantile(freedom: f64) -> f64 {
    let (mut low, mut high) = (0.0, 2.0);
    while two_sided(high, freedom) > ALPHA && high < 1e6 {
        high *= 2.0;
    }
    for _ in 0..60 {
        let middle = f64::midpoint(low, high);
        if two_sided(middle, freedom) > ALPHA {
            low = middle;
        } else {
            high = middle;
        }
    }
    f64::midpoint(low, high)
}

/// The regularised incomplete beta function, by Lentz's continued fraction (Press et al., "Numerical Recipes", 6.4).
fn incomplete_beta(x: f64, a: f64, b: f64) -> f64 {
    if x <= 0.0 || x >= 1.0 {
        return x.clamp(0.0, 1.0);
    }
    let front = (ln_gamma(a + b) - ln_gamma(a) - ln_gamma(b) + a * x.ln() + b * (1.0 - x).ln()).exp();
    if x < (a + 1.0) / (a + b + 2.0) {
        front * beta_fraction(x, a, b) / a
    } else {
        1.0 - front * beta_fraction(1.0 - x, b, a) / b
    }
}

fn beta_fraction(x: f64, a: f64, b: f64) -> f64 {
    let away = |number: f64| if number.abs() < 1e-300 { 1e-300 } else { number };
    let mut c = 1.0;
    let mut d = 1.0 / away(1.0 - (a + b) * x / (a + 1.0));
    let mut fraction = d;
    for step in 1..500 {
        let m = f64::from(step);
        let even = m * (b - m) * x / ((a + 2.0 * m - 1.0) * (a + 2.0 * m));
        d = 1.0 / away(1.0 + even * d);
        c = away(1.0 + even / c);
        fraction *= d * c;
        let odd = -(a + m) * (a + b + m) * x / ((a + 2.0 * m) * (a + 2.0 * m + 1.0));
        d = 1.0 / away(1.0 + odd * d);
        c = away(1.0 + odd / c);
        fraction *= d * c;
        if (d * c - 1.0).abs() < 1e-14 {
            break;
        }
    }
    fraction
}

/// The logarithm of the gamma function for numbers from 0.5 on (Lanczos 1964, with g = 7).
fn ln_gamma(x: f64) -> f64 {
    const TERMS: [f64; 8] = [
        676.520_368_121_885_1,
        -1_259.139_216_722_402_8,
        771.323_428_777_653_1,
        -176.615_029_162_140_6,
        12.507_343_278_686_905,
        -0.138_571_095_265_720_12,
        9.984_369_578_019_572e-6,
        1.505_632_735_149_311_6e-7,
    ];
    let x = x - 1.0;
    let mut sum = 0.999_999_999_999_809_9;
    for (place, term) in TERMS.iter().enumerate() {
        sum += term / (x + place as f64 + 1.0);
    }
    let base = x + 7.5;
    0.5 * (2.0 * std::f64::consts::PI).ln() + (x + 0.5) * base.ln() - base + sum.ln()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_near(left: f64, right: f64) -> bool {
        (left - right).abs() < 1e-4
    }

    /// Student's sleep data, as in the manual of R: `t.test(extra ~ group)`.
    #[test]
    fn welch_gives_what_is_published_of_the_sleep_data() {
        let first = Sample::of(vec![0.7, -1.6, -0.2, -1.2, -0.1, 3.4, 3.7, 0.8, 0.0, 2.0]).unwrap();
        let second = Sample::of(vec![1.9, 0.8, 1.1, 0.1, -0.1, 4.4, 5.5, 1.6, 4.6, 3.4]).unwrap();
        let found = welch(&first, &second).unwrap();
        assert!(is_near(found.difference, 1.58) && is_near(found.p, 0.079_39), "{found:?}");
        assert!(is_near(found.low, -0.205_48) && is_near(found.high, 3.365_48), "{found:?}");
        let same = Sample::of(vec![1.0, 1.0]).unwrap();
        assert_eq!(welch(&same, &same), None);
        assert_eq!(Sample::of(vec![1.0]), None);
    }

    #[test]
    fn quantiles_are_those_of_the_tables() {
        for (freedom, expected) in [(1.0, 12.7062), (4.0, 2.7764), (10.0, 2.2281), (120.0, 1.9799)] {
            assert!(is_near(t_quantile(freedom), expected), "{freedom}: {}", t_quantile(freedom));
        }
        let (low, high) = Sample::of(vec![1.0, 2.0, 3.0, 4.0, 5.0]).unwrap().interval();
        assert!(is_near(low, 3.0 - 1.9632) && is_near(high, 3.0 + 1.9632), "{low} {high}");
    }

    #[test]
    fn a_ratio_varies_as_its_units_do() {
        // Units with one trial each: the ratio is a mean.
        let ones = [(1.0, 1.0), (0.0, 1.0), (1.0, 1.0), (1.0, 1.0)];
        let mean = Sample::of(ones.iter().map(|unit| unit.0).collect()).unwrap();
        let ratio = Sample::of_ratio(&ones).unwrap();
        assert!(is_near(ratio.mean, mean.mean) && is_near(ratio.variance, mean.variance), "{ratio:?}");
        // A unit that always is as the whole adds nothing to the variance.
        let uneven = Sample::of_ratio(&[(5.0, 10.0), (1.0, 2.0), (2.0, 4.0)]).unwrap();
        assert_eq!((uneven.mean, uneven.variance), (0.5, 0.0));
        assert_eq!(Sample::of_ratio(&[(0.0, 0.0), (0.0, 0.0)]), None);
    }

    #[test]
    fn chances_are_adjusted_for_all_tests() {
        let adjusted = benjamini_hochberg(&[0.01, 0.04, 0.03]);
        assert!(is_near(adjusted[0], 0.03) && is_near(adjusted[1], 0.04) && is_near(adjusted[2], 0.04));
        assert_eq!(benjamini_hochberg(&[]), [0.0; 0]);
    }

    /// 4,000 comparisons of samples of the same: 5 % seem to differ, give or take what chance allows.
    #[test]
    fn of_equal_samples_one_in_twenty_differs() {
        let mut state = 0x2545_f491_4f6c_dd1d_u64;
        let mut number = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 11) as f64 / (1_u64 << 53) as f64
        };
        let mut differing = 0_u32;
        for _ in 0..4_000 {
            // Skewed and of unequal sizes.
            let mut sample =
                |count: usize| Sample::of((0..count).map(|_| number().powi(2)).collect()).unwrap();
            let (left, right) = (sample(30), sample(50));
            differing += u32::from(welch(&left, &right).unwrap().p < ALPHA);
        }
        // Three standard deviations of the binomial are 41.
        assert!((159..=241).contains(&differing), "{differing}");
    }
}
