//! From a prediction to the chance that learners without help have: logistic recalibration (Cox, 1958). No I/O.

use super::interval::{Difference, LEARNERS_MIN, Sums, difference};

/// With fewer cases without help than this, predictions stay as they are.
pub const REFERENCE_MIN: usize = 50;
/// What it says beforehand that predictions are right, as an inverse variance of intercept and slope.
const PRIOR: f64 = 1.0;
const STEPS_MAX: usize = 30;

/// A learner's chance before something, as log-odds, and what came of it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Case {
    pub(super) learner: u32,
    pub(super) logit: f64,
    pub(super) is_right: bool,
}

impl Case {
    fn outcome(&self) -> f64 {
        f64::from(u8::from(self.is_right))
    }
}

/// Intercept and slope on the log-odds of a prediction, with how sure they are.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Calibration {
    intercept: f64,
    slope: f64,
    /// Variances of the intercept, of both together, of the slope.
    covariance: [f64; 3],
    /// How many cases without help it rests on; 0 where predictions stay as they are.
    pub(super) reference: u64,
}

impl Calibration {
    const NONE: Self = Self { intercept: 0.0, slope: 1.0, covariance: [0.0; 3], reference: 0 };

    /// Fitted to cases without help, those of one learner after those of another.
    pub(super) fn fit(cases: &[Case]) -> Self {
        let learners = cases.chunk_by(|left, right| left.learner == right.learner).count() as u64;
        let right = cases.iter().filter(|case| case.is_right).count();
        if cases.len() < REFERENCE_MIN || learners < LEARNERS_MIN || right == 0 || right == cases.len() {
            return Self::NONE;
        }
        let mut fitted = Self { reference: cases.len() as u64, ..Self::NONE };
        let mut inverse = [0.0; 3];
        for _ in 0..STEPS_MAX {
            let mut gradient = (-PRIOR * fitted.intercept, -PRIOR * (fitted.slope - 1.0));
            let mut hessian = [PRIOR, 0.0, PRIOR];
            for case in cases {
                let chance = fitted.chance(case.logit);
                let (rest, weight) = (case.outcome() - chance, chance * (1.0 - chance));
                gradient = (gradient.0 + rest, gradient.1 + rest * case.logit);
                hessian[0] += weight;
                hessian[1] += weight * case.logit;
                hessian[2] += weight * case.logit * case.logit;
            }
            let determinant = hessian[0] * hessian[2] - hessian[1] * hessian[1];
            inverse = [hessian[2] / determinant, -hessian[1] / determinant, hessian[0] / determinant];
            let step = (
                inverse[0] * gradient.0 + inverse[1] * gradient.1,
                inverse[1] * gradient.0 + inverse[2] * gradient.1,
            );
            fitted.intercept += step.0;
            fitted.slope += step.1;
            if step.0.abs() + step.1.abs() < 1e-9 {
                break;
            }
        }
        fitted.covariance = fitted.sandwich(cases, inverse, learners as f64);
        fitted
    }

    /// The variance by learner (Huber, 1967): the inverse, the squares of each learner's gradient, the inverse.
    fn sandwich(&self, cases: &[Case], inverse: [f64; 3], learners: f64) -> [f64; 3] {
        let mut squares = [0.0; 3];
        for of_learner in cases.chunk_by(|left, right| left.learner == right.learner) {
            let gradient = of_learner.iter().fold((0.0, 0.0), |sum: (f64, f64), case| {
                let rest = case.outcome() - self.chance(case.logit);
                (sum.0 + rest, sum.1 + rest * case.logit)
            });
            squares[0] += gradient.0 * gradient.0;
            squares[1] += gradient.0 * gradient.1;
            squares[2] += gradient.1 * gradient.1;
        }
        let [a, b, c] = inverse;
        let [p, q, r] = squares;
        let more = learners / (learners - 1.0);
        [
            more * (a * a * p + 2.0 * a * b * q + b * b * r),
            more * (a * b * p + (a * c + b * b) * q + b * c * r),
            more * (b * b * p + 2.0 * b * c * q + c * c * r),
        ]
    }

    /// The chance that a prediction stands for.
    pub(super) fn chance(&self, logit: f64) -> f64 {
        1.0 / (1.0 + (-(self.intercept + self.slope * logit)).exp())
    }

    /// The mean chance of some cases; and what came of them less that, unless they are of too few learners. The interval
    /// has the uncertainty of the calibration as well.
    pub(super) fn compare(&self, cases: &[Case]) -> (Option<f64>, Option<Difference>) {
        let count = cases.len() as f64;
        let (mut expected, mut slope) = (0.0, (0.0, 0.0));
        for case in cases {
            let chance = self.chance(case.logit);
            let weight = chance * (1.0 - chance);
            expected += chance;
            slope = (slope.0 + weight, slope.1 + weight * case.logit);
        }
        let rests =
            Sums::of(cases.iter().map(|case| (case.learner, case.outcome() - self.chance(case.logit))));
        let slope = (slope.0 / count, slope.1 / count);
        let [a, b, c] = self.covariance;
        let fitted = slope.0 * slope.0 * a + 2.0 * slope.0 * slope.1 * b + slope.1 * slope.1 * c;
        let learners = rests.learners();
        let found = rests.ratio().zip(rests.variance()).filter(|_| learners >= LEARNERS_MIN);
        let found =
            found.map(|(value, variance)| difference(value, variance + fitted, learners as f64 - 1.0));
        (rests.ratio().map(|_| expected / count), found)
    }
}

#[cfg(test)]
mod tests {
    use super::super::simulator::Random;
    use super::*;

    /// Cases whose chance is that of `intercept + slope * logit`.
    fn cases(random: &mut Random, learners: u32, each: u32, intercept: f64, slope: f64) -> Vec<Case> {
        let mut cases = Vec::new();
        for number in 0..learners * each {
            let logit = random.normal();
            let is_right = random.is(1.0 / (1.0 + (-(intercept + slope * logit)).exp()));
            cases.push(Case { learner: number / each, logit, is_right });
        }
        cases
    }

    #[test]
    fn intercept_and_slope_are_recovered_and_too_few_cases_change_nothing() {
        let mut random = Random::new(5);
        let many = cases(&mut random, 2_000, 4, -0.7, 1.4);
        let fitted = Calibration::fit(&many);
        assert!((fitted.intercept + 0.7).abs() < 0.08 && (fitted.slope - 1.4).abs() < 0.1, "{fitted:?}");
        assert_eq!(fitted.reference, 8_000);
        // At the fit, the residuals of the reference itself are nought but for the prior.
        let (expected, difference) = fitted.compare(&many);
        let right = many.iter().filter(|case| case.is_right).count() as f64 / 8_000.0;
        assert!((expected.unwrap() - right).abs() < 1e-3);
        assert!(difference.unwrap().value.abs() < 1e-3);
        for few in [&many[..49], &many[..76]] {
            assert_eq!(Calibration::fit(few), Calibration::NONE, "{}", few.len());
        }
        assert!((Calibration::NONE.chance(0.5) - 0.6225).abs() < 1e-4);
    }

    #[test]
    fn the_interval_has_the_uncertainty_of_the_fit() {
        let mut random = Random::new(9);
        let (mut held, runs) = (0, 200);
        for _ in 0..runs {
            // As few without help as with it: without the variance of the fit, one of six intervals would miss.
            let fitted = Calibration::fit(&cases(&mut random, 40, 3, 0.4, 0.8));
            let helped = cases(&mut random, 40, 3, 0.4, 0.8);
            let (_, difference) = fitted.compare(&helped);
            held += u32::from(difference.is_some_and(|it| it.low <= 0.0 && 0.0 <= it.high));
        }
        assert!(held >= 184, "{held} of {runs}");
    }
}
