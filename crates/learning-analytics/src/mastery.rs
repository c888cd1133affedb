//! How likely a learner is to answer right, and how sure that is, from bounded histories.
//!
//! The model has the terms of an Elo rating with learner, skill and item (Pelánek, "Applications of the Elo rating system
//! in adaptive educational systems", 2016), the practice counts of Performance Factors Analysis (Pavlik, Cen and Koedinger,
//! 2009), and recency: the last attempts weigh most. An item's ease is its rate of right answers, drawn to that of its
//! skill while it is rare. An attempt costs a constant number of steps, whatever came before.
//!
//! All that is kept is counts and bounded lists that no order of arrival changes (see [`crate::history`]), and ratings
//! are computed from them when they are asked for: the state after late events is the state of a recomputation.

use serde::{Deserialize, Serialize};

use crate::history::{Firsts, ItemKey, Latest, Step};

/// Attempts of a learner that are remembered one by one.
pub const LEARNER_STEPS_MAX: usize = 40;
/// Attempts at a skill that are remembered one by one.
pub const SKILL_STEPS_MAX: usize = 24;

/// How many attempts there were and how many were right.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Counts {
    /// Attempts.
    pub attempts: u64,
    /// Right ones.
    pub correct: u64,
}

impl Counts {
    /// Counts an attempt.
    pub fn add(&mut self, is_correct: bool) {
        self.attempts += 1;
        self.correct += u64::from(is_correct);
    }

    /// The rate of right answers, as if `weight` answers at the rate `prior` came on top.
    #[must_use]
    pub fn rate(&self, prior: f64, weight: f64) -> f64 {
        (self.correct as f64 + weight * prior) / (self.attempts as f64 + weight)
    }

    /// The counts without those of some steps.
    fn without(&self, steps: &[Step]) -> Self {
        let correct = steps.iter().filter(|step| step.is_correct).count() as u64;
        Self {
            attempts: self.attempts.saturating_sub(steps.len() as u64),
            correct: self.correct.saturating_sub(correct),
        }
    }
}

/// What is remembered of a learner's attempts at all skills together.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct LearnerHistory {
    /// All attempts.
    pub counts: Counts,
    /// The last ones.
    pub recent: Latest<LEARNER_STEPS_MAX>,
}

impl LearnerHistory {
    /// Takes an attempt in; each once.
    pub fn add(&mut self, step: Step) {
        self.counts.add(step.is_correct);
        self.recent.add(step);
    }
}

/// What is remembered of a learner's attempts, hints and errors at one skill.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct SkillHistory {
    /// All attempts.
    pub counts: Counts,
    /// The last attempts.
    pub recent: Latest<SKILL_STEPS_MAX>,
    /// The first attempt at each exercise: the opportunities to practise.
    pub first: Firsts<10>,
    /// The first hint at each exercise.
    pub first_hints: Firsts<64>,
    /// The last hints.
    pub hints: Latest<8>,
    /// The last errors.
    pub errors: Latest<8>,
}

impl SkillHistory {
    /// Takes an attempt in; each once.
    pub fn add_attempt(&mut self, step: Step) {
        self.counts.add(step.is_correct);
        self.recent.add(step);
        self.first.add(step);
    }

    /// Takes in that a hint was asked for.
    pub fn add_hint(&mut self, step: Step) {
        self.first_hints.add(step);
        self.hints.add(step);
    }

    /// Takes in that an error was met.
    pub fn add_error(&mut self, step: Step) {
        self.errors.add(step);
    }

    /// Whether a hint at the exercise came before the attempt.
    #[must_use]
    pub fn was_hinted(&self, step: &Step) -> bool {
        self.first_hints.of(step.item).is_some_and(|hint| hint.at_micros <= step.at_micros)
    }
}

/// What a project's attempts say of its exercises and skills.
pub trait Items {
    /// The attempts of all learners at an exercise, at a skill, or at [`ItemKey::ALL`].
    fn counts(&self, item: ItemKey) -> Counts;
}

/// The chance of a right answer.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Estimate {
    /// The chance, 0 to 1.
    pub probability: f64,
    /// The lower end of the interval that has the chance nine times of ten.
    pub low: f64,
    /// The upper end of it.
    pub high: f64,
    /// How many attempts at the skill it rests on.
    pub attempts: u64,
}

/// The rate of right answers where nothing is known.
const RATE: f64 = 0.65;
/// How many attempts the rate of a skill weighs in that of its item, and the rate of everything in that of a skill.
const PRIOR_ATTEMPTS: f64 = 5.0;
/// How far a rating moves by an attempt at first, and how fast that becomes less.
const STEP: f64 = 0.8;
const STEP_DECAY: f64 = 0.06;
/// Standard normal quantile of 0.95.
const Z: f64 = 1.645;

/// What each term adds to the log-odds. The constants are those of a logistic regression on the simulated
/// learners of `xtask bench mastery`, those for fitting, of both models together: practice helps, even where it fails.
struct Weights {
    constant: f64,
    ease: f64,
    learner: f64,
    skill: f64,
    successes: f64,
    failures: f64,
    streak: f64,
}

const WEIGHTS: Weights = Weights {
    constant: -0.31,
    ease: 0.74,
    learner: 0.32,
    skill: 0.38,
    successes: 0.21,
    failures: 0.17,
    streak: 0.65,
};

/// The terms of an estimate.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Terms {
    /// Log-odds of the item, by everybody's answers.
    pub ease: f64,
    /// The learner's rating over all skills.
    pub learner: f64,
    /// The learner's rating in the skills.
    pub skill: f64,
    /// Logarithm of one more than the right answers.
    pub successes: f64,
    /// Logarithm of one more than the wrong answers.
    pub failures: f64,
    /// How right the last answers were, -1 to 1, the last one weighing most.
    pub streak: f64,
    /// How much the attempts at the skills say, as Fisher information.
    pub information: f64,
}

impl Terms {
    fn logit(&self) -> f64 {
        WEIGHTS.constant
            + WEIGHTS.ease * self.ease
            + WEIGHTS.learner * self.learner
            + WEIGHTS.skill * self.skill
            + WEIGHTS.successes * self.successes
            + WEIGHTS.failures * self.failures
            + WEIGHTS.streak * self.streak
    }
}

/// The chance that a learner's next attempt at an exercise is right; `skills` are the exercise's, with their names' keys.
///
/// With the key of a skill as `item`, it is the chance at an average exercise of that skill.
#[must_use]
pub fn estimate(
    items: &impl Items,
    learner: &LearnerHistory,
    skills: &[(ItemKey, &SkillHistory)],
    item: ItemKey,
) -> Estimate {
    let terms = terms(items, learner, skills, item);
    let (logit, spread) = (terms.logit(), Z / terms.information.sqrt());
    Estimate {
        probability: logistic(logit),
        low: logistic(logit - spread),
        high: logistic(logit + spread),
        attempts: skills.iter().map(|(_, history)| history.counts.attempts).max().unwrap_or(0),
    }
}

/// What [`estimate`] is made of.
#[must_use]
pub fn terms(
    items: &impl Items,
    learner: &LearnerHistory,
    skills: &[(ItemKey, &SkillHistory)],
    item: ItemKey,
) -> Terms {
    let everything = items.counts(ItemKey::ALL).rate(RATE, PRIOR_ATTEMPTS);
    let rates = skills.iter().map(|(skill, _)| items.counts(*skill).rate(everything, PRIOR_ATTEMPTS));
    let of_skills = mean(rates).unwrap_or(everything);
    let ease = if skills.iter().any(|(skill, _)| *skill == item) {
        of_skills
    } else {
        items.counts(item).rate(of_skills, PRIOR_ATTEMPTS)
    };
    let mut terms = Terms {
        ease: log_odds(ease),
        learner: rate(items, &learner.counts, learner.recent.steps()).value,
        skill: 0.0,
        successes: 0.0,
        failures: 0.0,
        streak: 0.0,
        information: 1.0,
    };
    let share = 1.0 / skills.len().max(1) as f64;
    for (_, history) in skills {
        let rating = rate(items, &history.counts, history.recent.steps());
        let Counts { attempts, correct } = history.counts;
        terms.skill += share * rating.value;
        terms.successes += share * (correct as f64).ln_1p();
        terms.failures += share * (attempts.saturating_sub(correct) as f64).ln_1p();
        terms.streak += share * streak(history.recent.steps());
        terms.information += share * rating.information;
    }
    terms
}

/// What was expected of each of some attempts before it was made, by the ones before it.
#[must_use]
pub fn expectations(items: &impl Items, counts: &Counts, steps: &[Step]) -> Vec<f64> {
    let mut expected = Vec::with_capacity(steps.len());
    replay(items, counts, steps, |probability| expected.push(probability));
    expected
}

/// A rating with what it rests on.
struct Rating {
    value: f64,
    information: f64,
}

fn rate(items: &impl Items, counts: &Counts, steps: &[Step]) -> Rating {
    replay(items, counts, steps, |_| {})
}

/// Goes through remembered attempts, from a rating made of the counts of those before.
fn replay(items: &impl Items, counts: &Counts, steps: &[Step], mut expected: impl FnMut(f64)) -> Rating {
    let everything = items.counts(ItemKey::ALL).rate(RATE, PRIOR_ATTEMPTS);
    let older = counts.without(steps);
    let mut rating = Rating {
        value: log_odds(older.rate(everything, PRIOR_ATTEMPTS)) - log_odds(everything),
        information: older.attempts as f64 * everything * (1.0 - everything),
    };
    for (step, practised) in steps.iter().zip(older.attempts..) {
        let ease = log_odds(items.counts(step.item).rate(everything, PRIOR_ATTEMPTS));
        let probability = logistic(ease + rating.value);
        expected(probability);
        let outcome = if step.is_correct { 1.0 } else { 0.0 };
        rating.value += STEP / (1.0 + STEP_DECAY * practised.min(60) as f64) * (outcome - probability);
        rating.information += probability * (1.0 - probability);
    }
    rating
}

fn streak(steps: &[Step]) -> f64 {
    steps.iter().fold(0.0, |streak, step| 0.6 * streak + if step.is_correct { 0.4 } else { -0.4 })
}

fn mean(values: impl ExactSizeIterator<Item = f64>) -> Option<f64> {
    let count = values.len();
    (count > 0).then(|| values.sum::<f64>() / count as f64)
}

fn logistic(logit: f64) -> f64 {
    1.0 / (1.0 + (-logit).exp())
}

fn log_odds(rate: f64) -> f64 {
    let rate = rate.clamp(0.001, 0.999);
    (rate / (1.0 - rate)).ln()
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;
    use crate::history::tests::step;

    #[derive(Default)]
    struct Known(HashMap<ItemKey, Counts>);

    impl Items for Known {
        fn counts(&self, item: ItemKey) -> Counts {
            self.0.get(&item).copied().unwrap_or_default()
        }
    }

    const SKILL: ItemKey = ItemKey(-1);

    fn after(answers: &[bool]) -> (LearnerHistory, SkillHistory) {
        let (mut learner, mut skill) = (LearnerHistory::default(), SkillHistory::default());
        for (number, answer) in answers.iter().enumerate() {
            let step = step(number as u128, number as i64, number as i64, *answer);
            learner.add(step);
            skill.add_attempt(step);
        }
        (learner, skill)
    }

    fn chance(answers: &[bool]) -> Estimate {
        let (learner, skill) = after(answers);
        estimate(&Known::default(), &learner, &[(SKILL, &skill)], ItemKey(99))
    }

    #[test]
    fn right_answers_raise_the_chance_and_wrong_ones_lower_it() {
        let unknown = chance(&[]);
        assert!((unknown.probability - 0.65).abs() < 0.15, "{unknown:?}");
        assert!(chance(&[true; 5]).probability > 0.85);
        assert!(chance(&[false; 5]).probability < 0.3);
        // The last ones weigh most.
        assert!(
            chance(&[false, false, false, true, true, true]).probability
                > chance(&[true, true, true, false, false, false]).probability
        );
    }

    #[test]
    fn attempts_make_the_estimate_surer() {
        let width = |estimate: Estimate| estimate.high - estimate.low;
        let mixed: Vec<bool> = (0..20).map(|number| number % 3 > 0).collect();
        assert!(width(chance(&mixed)) < 0.7 * width(chance(&mixed[..3])));
        assert!(width(chance(&mixed[..3])) < width(chance(&[])));
        assert_eq!(chance(&mixed).attempts, 20);
    }

    #[test]
    fn a_hard_item_lowers_the_chance() {
        let counts = [
            (ItemKey::ALL, Counts { attempts: 1_000, correct: 700 }),
            (SKILL, Counts { attempts: 500, correct: 350 }),
            (ItemKey(1), Counts { attempts: 100, correct: 20 }),
            (ItemKey(2), Counts { attempts: 100, correct: 95 }),
        ];
        let items = Known(counts.into_iter().collect());
        let (learner, skill) = after(&[true, false, true]);
        let chance = |item| estimate(&items, &learner, &[(SKILL, &skill)], item).probability;
        assert!(chance(ItemKey(1)) < 0.4 && chance(ItemKey(2)) > 0.85);
        let average = chance(SKILL);
        assert!(average > chance(ItemKey(1)) && average < chance(ItemKey(2)));
    }

    #[test]
    fn a_hint_counts_from_its_time_on() {
        let mut skill = SkillHistory::default();
        skill.add_hint(step(9, 50, 1, false));
        assert!(!skill.was_hinted(&step(1, 49, 1, true)));
        assert!(skill.was_hinted(&step(1, 50, 1, true)));
        assert!(!skill.was_hinted(&step(1, 60, 2, true)));
    }

    proptest! {
        #[test]
        fn the_state_is_the_same_in_any_order_and_survives_being_written(
            answers in prop::collection::vec((0i64..200, 0i64..20, any::<bool>()), 0..90),
            ranks in prop::collection::vec(any::<u32>(), 90),
        ) {
            let steps: Vec<Step> = answers
                .iter()
                .enumerate()
                .map(|(number, (second, item, answer))| step(number as u128, *second, *item, *answer))
                .collect();
            let fold = |steps: &[Step]| {
                let (mut learner, mut skill) = (LearnerHistory::default(), SkillHistory::default());
                for step in steps {
                    learner.add(*step);
                    match step.item.0 {
                        0 => skill.add_hint(*step),
                        1 => skill.add_error(*step),
                        _ => skill.add_attempt(*step),
                    }
                }
                (learner, skill)
            };
            let mut shuffled: Vec<(u32, Step)> = ranks.into_iter().zip(steps.iter().copied()).collect();
            shuffled.sort_by_key(|(rank, _)| *rank);
            let shuffled: Vec<Step> = shuffled.into_iter().map(|(_, step)| step).collect();
            let (learner, skill) = fold(&steps);
            prop_assert_eq!(fold(&shuffled), (learner.clone(), skill.clone()));
            let text = serde_json::to_string(&skill).unwrap();
            prop_assert!(text.len() < 12_000);
            prop_assert_eq!(serde_json::from_str::<SkillHistory>(&text).unwrap(), skill.clone());
            let estimate = estimate(&Known::default(), &learner, &[(SKILL, &skill)], ItemKey(3));
            prop_assert!(estimate.low <= estimate.probability && estimate.probability <= estimate.high);
            prop_assert!(estimate.low > 0.0 && estimate.high < 1.0);
        }
    }
}
