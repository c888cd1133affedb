//! What help does: the difference between help that a draw gave and help that it withheld. No I/O.
//!
//! The draw makes both alike but for the help, so a difference is an effect. What was predicted before the draw explains
//! a part of the outcomes; taking it out (Deng, Xu, Kohavi and Walker, "Improving the sensitivity of online controlled
//! experiments by utilizing pre-experiment data", 2013) narrows the interval and changes nothing else.

use serde::Serialize;

use super::Outcome;
use super::interval::{Difference, Measured, Share, Sums, share, welch};

/// Chi-square of one degree of freedom that chance exceeds once in a thousand draws.
const RATIO_MAX: f64 = 10.83;

/// A request for help of which a draw decided.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Draw {
    pub(super) learner: u32,
    pub(super) is_withheld: bool,
    /// The chance with which it was withheld, as the platform says.
    pub(super) share: Option<f64>,
    /// The chance of a right answer that was predicted before.
    pub(super) predicted: f64,
    /// By [`Outcome`]; none where it is not known.
    pub(super) outcomes: [Option<bool>; 3],
}

/// Help that a draw gave or withheld.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct HoldOut {
    /// Requests whose help was given.
    pub given: u64,
    /// Requests whose help was withheld.
    pub withheld: u64,
    /// Whether as many were withheld as should have been; none where events do not say with which chance.
    pub ratio: Option<RatioCheck>,
    /// By outcome: next attempt, solved, delayed.
    pub effects: Vec<Effect>,
}

/// Whether a draw withheld as often as it should have (sample ratio mismatch).
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct RatioCheck {
    /// How many should have been withheld.
    pub expected: f64,
    /// Chi-square of one degree of freedom, by learner.
    pub chi_square: f64,
    /// Whether chance alone does this less than once in a thousand times: then no effect can be trusted.
    pub is_off: bool,
}

/// What help does to an outcome.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Effect {
    /// Which one.
    pub outcome: Outcome,
    /// With help.
    pub given: Share,
    /// Without.
    pub withheld: Share,
    /// With help less without, what was predicted taken out; none for fewer than 20 learners on either side.
    pub effect: Option<Difference>,
}

/// What came of draws, those of one learner after those of another; none without draws.
pub(super) fn hold_out(draws: &[Draw]) -> Option<HoldOut> {
    let withheld = draws.iter().filter(|draw| draw.is_withheld).count() as u64;
    (!draws.is_empty()).then(|| HoldOut {
        given: draws.len() as u64 - withheld,
        withheld,
        ratio: ratio(draws),
        effects: Outcome::ALL.into_iter().map(|outcome| effect(draws, outcome)).collect(),
    })
}

fn ratio(draws: &[Draw]) -> Option<RatioCheck> {
    let rests = draws.iter().filter_map(|draw| {
        let share = draw.share?;
        Some((draw.learner, f64::from(u8::from(draw.is_withheld)) - share))
    });
    let (sum, squares) = Sums::of(rests).squares();
    let expected = draws.iter().filter_map(|draw| draw.share).sum();
    let chi_square = sum * sum / squares;
    (squares > 0.0).then_some(RatioCheck { expected, chi_square, is_off: chi_square > RATIO_MAX })
}

fn effect(draws: &[Draw], outcome: Outcome) -> Effect {
    let known = |is_withheld: bool| -> Vec<(u32, f64, bool)> {
        let of_arm = draws.iter().filter(|draw| draw.is_withheld == is_withheld);
        let known =
            of_arm.filter_map(|draw| Some((draw.learner, draw.predicted, draw.outcomes[outcome as usize]?)));
        known.collect()
    };
    let arms = [known(false), known(true)];
    let weight = weight(&arms);
    let measured = arms.each_ref().map(|arm| {
        let rests = arm.iter().map(|(learner, predicted, is_right)| {
            (*learner, f64::from(u8::from(*is_right)) - weight * predicted)
        });
        Measured::of(&Sums::of(rests))
    });
    let [given, withheld] =
        arms.each_ref().map(|arm| share(arm.iter().map(|(learner, _, is_right)| (*learner, *is_right))));
    let [with, without] = measured;
    Effect { outcome, given, withheld, effect: with.zip(without).map(|(with, without)| welch(with, without)) }
}

/// How much of a prediction is in the outcome: the slope within both arms.
fn weight(arms: &[Vec<(u32, f64, bool)>; 2]) -> f64 {
    let (mut together, mut squares) = (0.0, 0.0);
    for arm in arms {
        let count = arm.len().max(1) as f64;
        let mean = arm.iter().map(|(_, predicted, _)| predicted).sum::<f64>() / count;
        let rate = arm.iter().filter(|(_, _, is_right)| *is_right).count() as f64 / count;
        for (_, predicted, is_right) in arm {
            together += (predicted - mean) * (f64::from(u8::from(*is_right)) - rate);
            squares += (predicted - mean).powi(2);
        }
    }
    if squares > 1e-9 { together / squares } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::super::simulator::Random;
    use super::*;

    /// Draws of as many learners whose chance is spread around a half, and what help adds to it.
    fn draws(random: &mut Random, learners: u32, effect: f64, share: f64) -> Vec<Draw> {
        let draw = |learner| {
            let is_withheld = random.is(share);
            let predicted = 0.15 + 0.6 * random.unit();
            let is_right = random.is(predicted + if is_withheld { 0.0 } else { effect });
            let outcomes = [Some(is_right), Some(is_right), None];
            Draw { learner, is_withheld, share: Some(0.5), predicted, outcomes }
        };
        (0..learners).map(draw).collect()
    }

    #[test]
    fn what_was_predicted_narrows_the_interval_and_keeps_its_middle() {
        let mut random = Random::new(3);
        let (mut held, mut narrower, mut sum) = (0, 0, 0.0);
        for _ in 0..200 {
            let draws = draws(&mut random, 300, 0.12, 0.5);
            let plain: Vec<Draw> = draws.iter().map(|draw| Draw { predicted: 0.5, ..*draw }).collect();
            let (adjusted, plain) =
                (effect(&draws, Outcome::NextAttempt), effect(&plain, Outcome::NextAttempt));
            let (adjusted, plain) = (adjusted.effect.unwrap(), plain.effect.unwrap());
            sum += adjusted.value / 200.0;
            held += u32::from(adjusted.low <= 0.12 && 0.12 <= adjusted.high);
            narrower += u32::from(adjusted.high - adjusted.low < plain.high - plain.low);
        }
        assert!((sum - 0.12).abs() < 0.012, "{sum}");
        assert!((182..=199).contains(&held) && narrower > 190, "{held}, {narrower}");
    }

    #[test]
    fn a_draw_that_withholds_too_often_is_noticed() {
        let mut random = Random::new(4);
        let fair =
            (0..200).filter(|_| hold_out(&draws(&mut random, 300, 0.0, 0.5)).unwrap().ratio.unwrap().is_off);
        assert!(fair.count() <= 2);
        let off = hold_out(&draws(&mut random, 300, 0.0, 0.65)).unwrap();
        assert!(off.ratio.unwrap().is_off, "{off:?}");
        assert_eq!(off.given + off.withheld, 300);
        // One draw a learner, of whom each asks ten times: thirty learners say little of the ratio.
        let of_few: Vec<Draw> = draws(&mut random, 30, 0.0, 0.5)
            .iter()
            .flat_map(|draw| [Draw { is_withheld: draw.learner % 3 > 0, ..*draw }; 10])
            .collect();
        assert!(!hold_out(&of_few).unwrap().ratio.unwrap().is_off);
        assert_eq!(hold_out(&[]), None);
    }

    #[test]
    fn few_learners_show_shares_and_no_effect() {
        let mut random = Random::new(5);
        let few = hold_out(&draws(&mut random, 30, 0.5, 0.5)).unwrap();
        assert_eq!(few.effects[0].effect, None);
        assert_eq!(few.effects[0].given.whole + few.effects[0].withheld.whole, 30);
        assert_eq!(few.effects[2].given, Share::default());
    }
}
