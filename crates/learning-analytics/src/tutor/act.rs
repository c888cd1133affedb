//! What learners did, as far as the tutor's figures ask for it: small, and sorted by learner and time. No I/O.

use std::collections::HashMap;

use crate::history::{EventKey, ItemKey, Step};

/// Something that a learner did.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Act {
    /// The learner's number among all events.
    pub(crate) learner: u32,
    pub(crate) at_micros: i64,
    pub(crate) key: EventKey,
    pub(crate) about: About,
    pub(crate) what: What,
}

/// What an act is about: an exercise, and the skills as a set of [`Names`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct About {
    pub(crate) exercise: Option<ItemKey>,
    pub(crate) skills: u32,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum What {
    Attempt { is_right: bool, error: u32 },
    Error { error: u32 },
    Message(Box<Message>),
    Feedback { rating: Option<f64>, is_resolved: Option<bool> },
}

/// A message to the tutor, with what the platform says of it.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Message {
    pub(crate) conversation: Option<EventKey>,
    /// The type of error as a name; 0 for none.
    pub(crate) error: u32,
    pub(crate) latency: Option<f64>,
    pub(crate) cost: Option<f64>,
    pub(crate) is_leaked: Option<bool>,
    pub(crate) is_abusive: Option<bool>,
    pub(crate) is_handed_over: Option<bool>,
    /// Whether a draw withheld help; none where no draw decided.
    pub(crate) is_withheld: Option<bool>,
    pub(crate) withhold_share: Option<f64>,
}

impl Act {
    pub(crate) fn order(&self) -> (u32, i64, EventKey) {
        (self.learner, self.at_micros, self.key)
    }

    /// The attempt; none for other acts.
    pub(super) fn step(&self) -> Option<Step> {
        let What::Attempt { is_right, .. } = self.what else { return None };
        let item = self.about.exercise.unwrap_or(ItemKey::ALL);
        Some(Step { at_micros: self.at_micros, event: self.key, item, is_correct: is_right, seconds: None })
    }

    pub(super) fn message(&self) -> Option<&Message> {
        match &self.what {
            What::Message(message) => Some(message),
            _ => None,
        }
    }

    /// Whether the tutor helped.
    pub(super) fn is_help(&self) -> bool {
        self.message().is_some_and(|message| message.is_withheld != Some(true))
    }
}

/// Names of skills and errors, and sets of skills, as numbers; 0 is the empty name and the empty set.
#[derive(Debug, Clone)]
pub(crate) struct Names {
    texts: Vec<String>,
    by_text: HashMap<String, u32>,
    skill_keys: HashMap<u32, ItemKey>,
    sets: Vec<Vec<u32>>,
    by_set: HashMap<Vec<u32>, u32>,
}

impl Default for Names {
    fn default() -> Self {
        Self {
            texts: vec![String::new()],
            by_text: HashMap::from([(String::new(), 0)]),
            skill_keys: HashMap::new(),
            sets: vec![Vec::new()],
            by_set: HashMap::from([(Vec::new(), 0)]),
        }
    }
}

impl Names {
    /// The number of a name.
    pub(crate) fn name(&mut self, text: &str) -> u32 {
        if let Some(known) = self.by_text.get(text) {
            return *known;
        }
        let number = self.texts.len() as u32;
        self.texts.push(text.to_owned());
        self.by_text.insert(text.to_owned(), number);
        number
    }

    /// The number of a set of skills.
    pub(crate) fn set(&mut self, skills: &[String]) -> u32 {
        let mut set: Vec<u32> = skills.iter().map(|skill| self.name(skill)).collect();
        set.sort_unstable();
        set.dedup();
        if let Some(known) = self.by_set.get(&set) {
            return *known;
        }
        for skill in &set {
            let key = ItemKey::skill(self.text(*skill));
            self.skill_keys.insert(*skill, key);
        }
        let number = self.sets.len() as u32;
        self.sets.push(set.clone());
        self.by_set.insert(set, number);
        number
    }

    pub(super) fn text(&self, name: u32) -> &str {
        self.texts.get(name as usize).map_or("", String::as_str)
    }

    pub(super) fn skills(&self, set: u32) -> &[u32] {
        self.sets.get(set as usize).map_or(&[], Vec::as_slice)
    }

    pub(super) fn skill_key(&self, name: u32) -> ItemKey {
        self.skill_keys.get(&name).copied().unwrap_or(ItemKey::ALL)
    }

    /// Whether two acts are about the same exercise or share a skill.
    pub(super) fn is_same(&self, left: About, right: About) -> bool {
        if left.exercise.is_some() && left.exercise == right.exercise {
            return true;
        }
        let other = self.skills(right.skills);
        self.skills(left.skills).iter().any(|skill| other.contains(skill))
    }
}

/// Acts sorted by learner, time and id, with their names.
#[derive(Debug, Clone, Default)]
pub(crate) struct Acts {
    pub(crate) acts: Vec<Act>,
    pub(crate) names: Names,
    /// One learner of so many was looked at.
    pub(crate) one_of: u64,
}

impl Acts {
    /// The acts of each learner.
    pub(super) fn by_learner(&self) -> impl Iterator<Item = &[Act]> {
        self.acts.chunk_by(|left, right| left.learner == right.learner)
    }
}
