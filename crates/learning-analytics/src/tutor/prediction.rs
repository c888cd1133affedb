//! What was to be expected of a learner before something, by what they and others did before. No I/O.
//!
//! The estimate is that of [`crate::mastery`] at that moment. How easy exercises are, the answers of all *other* learners
//! say, those without help: an answer must not be expected because it was given, nor because the tutor helped.

use std::collections::HashMap;

use super::act::{About, Act, Names};
use super::calibration::Predicted;
use crate::history::ItemKey;
use crate::mastery::{Counts, Items, LearnerHistory, SkillHistory, estimate};

/// For so long after help, an answer is not one without help; in microseconds.
pub(super) const HELPED_MICROS: i64 = 7 * 24 * 3_600 * 1_000_000;

/// How easy exercises and skills are.
#[derive(Debug, Clone, Default)]
pub(super) struct Ease(HashMap<ItemKey, Counts>);

impl Ease {
    /// Takes in the answers of a learner that no help came before.
    pub(super) fn add(&mut self, acts: &[Act], names: &Names) {
        for (place, act) in acts.iter().enumerate() {
            let Some(step) = act.step().filter(|_| !was_helped(acts, place, names)) else { continue };
            let skills = names.skills(act.about.skills).iter().map(|skill| names.skill_key(*skill));
            let exercise = act.about.exercise;
            for key in [ItemKey::ALL].into_iter().chain(exercise).chain(skills) {
                self.0.entry(key).or_default().add(step.is_correct);
            }
        }
    }

    fn of(&self, item: ItemKey) -> Counts {
        self.0.get(&item).copied().unwrap_or_default()
    }
}

/// The answers of all but one learner.
struct Others<'a> {
    all: &'a Ease,
    own: &'a Ease,
}

impl Items for Others<'_> {
    fn counts(&self, item: ItemKey) -> Counts {
        let (all, own) = (self.all.of(item), self.own.of(item));
        Counts {
            attempts: all.attempts.saturating_sub(own.attempts),
            correct: all.correct.saturating_sub(own.correct),
        }
    }
}

/// Whether the tutor helped with the same thing in the seven days before an act.
pub(super) fn was_helped(acts: &[Act], place: usize, names: &Names) -> bool {
    let Some(act) = acts.get(place) else { return false };
    let before = acts[..place].iter().rev().take_while(|it| act.at_micros - it.at_micros <= HELPED_MICROS);
    before.filter(|it| it.is_help()).any(|it| names.is_same(it.about, act.about))
}

/// What is predicted before each of some places among a learner's acts; places ascend. None for what names
/// neither an exercise nor a skill.
pub(super) fn predict(
    acts: &[Act],
    places: &[(usize, About)],
    all: &Ease,
    names: &Names,
) -> Vec<Option<Predicted>> {
    let mut own = Ease::default();
    own.add(acts, names);
    let items = Others { all, own: &own };
    let mut learner = LearnerHistory::default();
    let mut skills: HashMap<u32, SkillHistory> = HashMap::new();
    let (mut predicted, mut next) = (Vec::with_capacity(places.len()), 0);
    let nothing = SkillHistory::default();
    for (place, about) in places {
        for act in acts.get(next..*place).unwrap_or_default() {
            let Some(step) = act.step() else { continue };
            learner.add(step);
            for skill in names.skills(act.about.skills) {
                skills.entry(*skill).or_default().add_attempt(step);
            }
        }
        next = next.max(*place);
        let of_skills: Vec<(ItemKey, &SkillHistory)> = names
            .skills(about.skills)
            .iter()
            .map(|skill| (names.skill_key(*skill), skills.get(skill).unwrap_or(&nothing)))
            .collect();
        let item = about.exercise.or(of_skills.first().map(|(key, _)| *key));
        predicted.push(item.map(|item| {
            let chance = estimate(&items, &learner, &of_skills, item).probability;
            let practised = of_skills.iter().map(|(_, history)| (history.counts.attempts as f64).ln_1p());
            let practice = practised.sum::<f64>() / of_skills.len().max(1) as f64;
            Predicted { logit: (chance / (1.0 - chance)).ln(), practice }
        }));
    }
    predicted
}
