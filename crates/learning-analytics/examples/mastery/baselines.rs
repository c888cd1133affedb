//! The models beside ours.

use std::collections::HashMap;

use crate::Attempt;

fn logistic(logit: f64) -> f64 {
    1.0 / (1.0 + (-logit).exp())
}

fn outcome(attempt: &Attempt) -> f64 {
    if attempt.is_correct { 1.0 } else { 0.0 }
}

/// Elo with user and item, steps of 1.8 / (1 + 0.05 n) (Pelánek, 2016).
pub(crate) fn elo(attempts: &[Attempt]) -> Vec<f64> {
    let mut users: HashMap<usize, (f64, f64)> = HashMap::new();
    let mut items: HashMap<usize, (f64, f64)> = HashMap::new();
    let predict = |attempt: &Attempt| {
        let user = users.entry(attempt.user).or_default();
        let item = items.entry(attempt.item).or_default();
        let chance = logistic(user.0 - item.0);
        let surprise = outcome(attempt) - chance;
        *user = (user.0 + 1.8 / (1.0 + 0.05 * user.1) * surprise, user.1 + 1.0);
        *item = (item.0 - 1.8 / (1.0 + 0.05 * item.1) * surprise, item.1 + 1.0);
        chance
    };
    attempts.iter().map(predict).collect()
}

/// Performance Factors Analysis: for each skill a constant and weights of the right and wrong answers before, fitted by
/// stochastic descent.
pub(crate) fn pfa(attempts: &[Attempt]) -> Vec<f64> {
    let mut weights: HashMap<usize, [f64; 3]> = HashMap::new();
    let mut predictions = Vec::new();
    for epoch in 0..6 {
        let is_last = epoch == 5;
        let mut practised: HashMap<(usize, usize), [f64; 2]> = HashMap::new();
        for attempt in attempts {
            let features: Vec<(usize, [f64; 3])> = attempt
                .skills
                .iter()
                .map(|skill| {
                    let [right, wrong] = *practised.entry((attempt.user, *skill)).or_default();
                    (*skill, [1.0, right.ln_1p(), wrong.ln_1p()])
                })
                .collect();
            let terms = features.iter().map(|(skill, features)| {
                let weights = weights.get(skill).unwrap_or(&[0.6, 0.3, -0.2]);
                features.iter().zip(weights).map(|(feature, weight)| feature * weight).sum::<f64>()
            });
            let chance = logistic(terms.sum());
            if is_last {
                predictions.push(chance);
            } else if attempt.is_for_fitting() {
                for (skill, features) in &features {
                    let weights = weights.entry(*skill).or_insert([0.6, 0.3, -0.2]);
                    for (weight, feature) in weights.iter_mut().zip(features) {
                        *weight += 0.05 / (1.0 + f64::from(epoch)) * feature * (outcome(attempt) - chance);
                    }
                }
            }
            for skill in &attempt.skills {
                practised.entry((attempt.user, *skill)).or_default()[usize::from(!attempt.is_correct)] += 1.0;
            }
        }
    }
    predictions
}

/// Bayesian Knowledge Tracing: known before, learnt, guessed, slipped; by skill, the best of a grid.
pub(crate) fn bkt(attempts: &[Attempt]) -> Vec<f64> {
    let mut sequences: HashMap<usize, HashMap<usize, Vec<bool>>> = HashMap::new();
    for attempt in attempts.iter().filter(|attempt| attempt.is_for_fitting()) {
        for skill in &attempt.skills {
            let of_skill = sequences.entry(*skill).or_default();
            of_skill.entry(attempt.user).or_default().push(attempt.is_correct);
        }
    }
    let fitted: HashMap<usize, Bkt> =
        sequences.into_iter().map(|(skill, sequences)| (skill, Bkt::fit(sequences.values()))).collect();
    let mut known: HashMap<(usize, usize), f64> = HashMap::new();
    let mut predictions = Vec::with_capacity(attempts.len());
    for attempt in attempts {
        let (mut chance, skills) = (0.0, attempt.skills.len().max(1) as f64);
        for skill in &attempt.skills {
            let model = fitted.get(skill).copied().unwrap_or_default();
            let known = known.entry((attempt.user, *skill)).or_insert(model.known);
            chance += model.chance(*known) / skills;
            *known = model.after(*known, attempt.is_correct);
        }
        predictions.push(if attempt.skills.is_empty() { 0.65 } else { chance });
    }
    predictions
}

#[derive(Clone, Copy)]
struct Bkt {
    known: f64,
    learns: f64,
    guesses: f64,
    slips: f64,
}

impl Default for Bkt {
    fn default() -> Self {
        Self { known: 0.5, learns: 0.1, guesses: 0.3, slips: 0.1 }
    }
}

impl Bkt {
    fn chance(&self, known: f64) -> f64 {
        known * (1.0 - self.slips) + (1.0 - known) * self.guesses
    }

    fn after(&self, known: f64, is_correct: bool) -> f64 {
        let (if_known, if_unknown) =
            if is_correct { (1.0 - self.slips, self.guesses) } else { (self.slips, 1.0 - self.guesses) };
        let posterior = known * if_known / (known * if_known + (1.0 - known) * if_unknown);
        posterior + (1.0 - posterior) * self.learns
    }

    fn fit<'a>(sequences: impl Iterator<Item = &'a Vec<bool>>) -> Self {
        let sequences: Vec<&Vec<bool>> = sequences.take(200).collect();
        let loss = |model: &Self| {
            let mut loss = 0.0;
            for sequence in &sequences {
                let mut known = model.known;
                for is_correct in sequence.iter().take(60) {
                    let chance = model.chance(known);
                    loss -= if *is_correct { chance.ln() } else { (1.0 - chance).ln() };
                    known = model.after(known, *is_correct);
                }
            }
            loss
        };
        let mut best = (f64::INFINITY, Self::default());
        for known in [0.1, 0.25, 0.4, 0.55, 0.7, 0.85] {
            for learns in [0.01, 0.05, 0.12, 0.25] {
                for guesses in [0.1, 0.2, 0.3, 0.4, 0.5] {
                    for slips in [0.03, 0.08, 0.15, 0.25, 0.35] {
                        let model = Self { known, learns, guesses, slips };
                        let loss = loss(&model);
                        if loss < best.0 {
                            best = (loss, model);
                        }
                    }
                }
            }
        }
        best.1
    }
}
