//! From a prediction to the chance that learners without help have: logistic recalibration (Cox, 1958), by practice as
//! well. No I/O.

use super::interval::{Difference, LEARNERS_MIN, Sums, difference};

/// With fewer cases without help than this, predictions stay as they are.
pub const REFERENCE_MIN: usize = 50;
/// What it says beforehand that predictions are right, as an inverse variance of each weight.
const PRIOR: f64 = 1.0;
const STEPS_MAX: usize = 30;

/// What was predicted of a learner before something.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Predicted {
    /// The log-odds of a right answer.
    pub(super) logit: f64,
    /// How much the skills were practised: the logarithm of one more than the attempts at them, in the mean.
    pub(super) practice: f64,
}

impl Predicted {
    fn terms(&self) -> [f64; 3] {
        [1.0, self.logit, self.practice]
    }
}

/// What was predicted of a learner, and what came of it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Case {
    pub(super) learner: u32,
    pub(super) predicted: Predicted,
    pub(super) is_right: bool,
}

impl Case {
    fn outcome(&self) -> f64 {
        f64::from(u8::from(self.is_right))
    }
}

type Matrix = [[f64; 3]; 3];

/// Weights of a constant, of the log-odds of a prediction and of practice, with how sure they are. Practice is among them
/// because help is mostly asked for when more was practised than at most attempts without it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Calibration {
    weights: [f64; 3],
    covariance: Matrix,
    /// How many cases without help it rests on; 0 where predictions stay as they are.
    pub(super) reference: u64,
}

impl Calibration {
    const NONE: Self = Self { weights: [0.0, 1.0, 0.0], covariance: [[0.0; 3]; 3], reference: 0 };

    /// Fitted to cases without help, those of one learner after those of another.
    pub(super) fn fit(cases: &[Case]) -> Self {
        let learners = cases.chunk_by(|left, right| left.learner == right.learner).count() as u64;
        let right = cases.iter().filter(|case| case.is_right).count();
        if cases.len() < REFERENCE_MIN || learners < LEARNERS_MIN || right == 0 || right == cases.len() {
            return Self::NONE;
        }
        let mut fitted = Self { reference: cases.len() as u64, ..Self::NONE };
        let mut inverse = [[0.0; 3]; 3];
        for _ in 0..STEPS_MAX {
            let mut gradient = [0, 1, 2].map(|at| PRIOR * (Self::NONE.weights[at] - fitted.weights[at]));
            let mut hessian = [[PRIOR, 0.0, 0.0], [0.0, PRIOR, 0.0], [0.0, 0.0, PRIOR]];
            for case in cases {
                let (terms, chance) = (case.predicted.terms(), fitted.chance(&case.predicted));
                for (row, term) in terms.iter().enumerate() {
                    gradient[row] += term * (case.outcome() - chance);
                    for (column, other) in terms.iter().enumerate() {
                        hessian[row][column] += chance * (1.0 - chance) * term * other;
                    }
                }
            }
            inverse = invert(hessian);
            let step = inverse.map(|row| dot(&row, &gradient));
            for (weight, step) in fitted.weights.iter_mut().zip(step) {
                *weight += step;
            }
            if step.iter().all(|step| step.abs() < 1e-9) {
                break;
            }
        }
        fitted.covariance = fitted.sandwich(cases, &inverse, learners as f64);
        fitted
    }

    /// The variance by learner (Huber, 1967): the inverse, the squares of each learner's gradient, the inverse.
    fn sandwich(&self, cases: &[Case], inverse: &Matrix, learners: f64) -> Matrix {
        let mut covariance = [[0.0; 3]; 3];
        for of_learner in cases.chunk_by(|left, right| left.learner == right.learner) {
            let mut gradient = [0.0; 3];
            for case in of_learner {
                let rest = case.outcome() - self.chance(&case.predicted);
                for (sum, term) in gradient.iter_mut().zip(case.predicted.terms()) {
                    *sum += rest * term;
                }
            }
            let step = inverse.map(|row| dot(&row, &gradient));
            for (row, left) in step.iter().enumerate() {
                for (column, right) in step.iter().enumerate() {
                    covariance[row][column] += learners / (learners - 1.0) * left * right;
                }
            }
        }
        covariance
    }

    /// The chance that a prediction stands for.
    pub(super) fn chance(&self, predicted: &Predicted) -> f64 {
        1.0 / (1.0 + (-dot(&self.weights, &predicted.terms())).exp())
    }

    /// The mean chance of some cases; and what came of them less that, unless they are of too few learners. The interval
    /// has the uncertainty of the calibration as well.
    pub(super) fn compare(&self, cases: &[Case]) -> (Option<f64>, Option<Difference>) {
        let count = cases.len() as f64;
        let (mut expected, mut slope) = (0.0, [0.0; 3]);
        for case in cases {
            let chance = self.chance(&case.predicted);
            expected += chance;
            for (sum, term) in slope.iter_mut().zip(case.predicted.terms()) {
                *sum += chance * (1.0 - chance) * term / count;
            }
        }
        let rest = |case: &Case| (case.learner, case.outcome() - self.chance(&case.predicted));
        let rests = Sums::of(cases.iter().map(rest));
        let fitted = dot(&slope, &self.covariance.map(|row| dot(&row, &slope)));
        let learners = rests.learners();
        let found = rests.ratio().zip(rests.variance()).filter(|_| learners >= LEARNERS_MIN);
        let found =
            found.map(|(value, variance)| difference(value, variance + fitted, learners as f64 - 1.0));
        (rests.ratio().map(|_| expected / count), found)
    }
}

fn dot(left: &[f64; 3], right: &[f64; 3]) -> f64 {
    left.iter().zip(right).map(|(left, right)| left * right).sum()
}

/// The inverse of a symmetric matrix whose determinants are positive, by its cofactors.
fn invert(m: Matrix) -> Matrix {
    let minor = |row: usize, column: usize| {
        let ([r1, r2], [c1, c2]) = (others(row), others(column));
        let sign = if (row + column).is_multiple_of(2) { 1.0 } else { -1.0 };
        sign * (m[r1][c1] * m[r2][c2] - m[r1][c2] * m[r2][c1])
    };
    let determinant = m[0][0] * minor(0, 0) + m[0][1] * minor(0, 1) + m[0][2] * minor(0, 2);
    [0, 1, 2].map(|row| [0, 1, 2].map(|column| minor(column, row) / determinant))
}

fn others(index: usize) -> [usize; 2] {
    match index {
        0 => [1, 2],
        1 => [0, 2],
        _ => [0, 1],
    }
}

#[cfg(test)]
mod tests {
    use super::super::simulator::Random;
    use super::*;

    /// Cases whose log-odds are those of a constant, a prediction and practice, with these weights.
    fn cases(random: &mut Random, learners: u32, each: u32, weights: [f64; 3]) -> Vec<Case> {
        let mut cases = Vec::new();
        for number in 0..learners * each {
            let predicted = Predicted { logit: random.normal(), practice: 3.0 * random.unit() };
            let is_right = random.is(1.0 / (1.0 + (-dot(&weights, &predicted.terms())).exp()));
            cases.push(Case { learner: number / each, predicted, is_right });
        }
        cases
    }

    #[test]
    fn weights_are_recovered_and_too_few_cases_change_nothing() {
        let mut random = Random::new(5);
        let many = cases(&mut random, 2_000, 4, [-0.7, 1.4, 0.5]);
        let fitted = Calibration::fit(&many);
        for (found, weight) in fitted.weights.iter().zip([-0.7, 1.4, 0.5]) {
            assert!((found - weight).abs() < 0.15, "{fitted:?}");
        }
        assert_eq!(fitted.reference, 8_000);
        // At the fit, the residuals of the reference itself are nought but for the prior.
        let (expected, difference) = fitted.compare(&many);
        let right = many.iter().filter(|case| case.is_right).count() as f64 / 8_000.0;
        assert!((expected.unwrap() - right).abs() < 1e-3);
        assert!(difference.unwrap().value.abs() < 1e-3);
        for few in [&many[..49], &many[..76]] {
            assert_eq!(Calibration::fit(few), Calibration::NONE, "{}", few.len());
        }
        assert!((Calibration::NONE.chance(&Predicted { logit: 0.5, practice: 2.0 }) - 0.6225).abs() < 1e-4);
    }

    #[test]
    fn the_interval_has_the_uncertainty_of_the_fit() {
        let mut random = Random::new(9);
        let (mut held, runs) = (0, 200);
        for _ in 0..runs {
            // As few without help as with it: without the variance of the fit, one of six intervals would miss.
            let fitted = Calibration::fit(&cases(&mut random, 40, 3, [0.4, 0.8, -0.3]));
            let helped = cases(&mut random, 40, 3, [0.4, 0.8, -0.3]);
            let (_, difference) = fitted.compare(&helped);
            held += u32::from(difference.is_some_and(|it| it.low <= 0.0 && 0.0 <= it.high));
        }
        assert!(held >= 184, "{held} of {runs}");
    }
}
