//! From a learner's messages to conversations. No I/O.

use std::collections::HashMap;

use super::act::{About, Act, Message};
use crate::history::EventKey;

/// A longer silence ends a conversation that has no id, in microseconds.
pub(super) const GAP_MICROS: i64 = 30 * 60 * 1_000_000;
/// A longer silence ends a conversation that has an id.
pub(super) const NAMED_GAP_MICROS: i64 = 24 * 3_600 * 1_000_000;

/// Messages of a learner that belong together.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Conversation {
    /// Where the first message is among the learner's acts.
    pub(super) first: usize,
    /// All messages, by their places.
    pub(super) messages: Vec<usize>,
    pub(super) last_micros: i64,
    /// The first exercise and the first skills that are named.
    pub(super) about: About,
    /// The first type of error that is named; 0 for none.
    pub(super) error: u32,
}

impl Conversation {
    fn begin(place: usize, act: &Act) -> Self {
        Self { first: place, messages: Vec::new(), last_micros: act.at_micros, about: act.about, error: 0 }
    }

    fn add(&mut self, place: usize, act: &Act, message: &Message) {
        self.messages.push(place);
        self.last_micros = act.at_micros;
        self.about.exercise = self.about.exercise.or(act.about.exercise);
        if self.about.skills == 0 {
            self.about.skills = act.about.skills;
        }
        if self.error == 0 {
            self.error = message.error;
        }
    }

    /// What the messages say either way: yes if one does, none if none says anything.
    pub(super) fn says(&self, acts: &[Act], of: impl Fn(&Message) -> Option<bool>) -> Option<bool> {
        let said = self.messages.iter().filter_map(|place| of(acts.get(*place)?.message()?));
        said.reduce(|left, right| left || right)
    }
}

/// The conversations of some of a learner's messages, by their first messages.
///
/// Messages with the same id belong together while there is no day between two of them. Messages without one belong
/// together while there is no half hour between two of them and they do not name different exercises.
pub(super) fn conversations(acts: &[Act], is_wanted: impl Fn(&Message) -> bool) -> Vec<Conversation> {
    let mut found: Vec<Conversation> = Vec::new();
    let mut open: HashMap<Option<EventKey>, usize> = HashMap::new();
    for (place, act) in acts.iter().enumerate() {
        let Some(message) = act.message().filter(|message| is_wanted(message)) else { continue };
        let goes_on = |known: &Conversation| match message.conversation {
            Some(_) => act.at_micros - known.last_micros <= NAMED_GAP_MICROS,
            None => {
                let other = known.about.exercise.zip(act.about.exercise).is_some_and(|(one, two)| one != two);
                act.at_micros - known.last_micros <= GAP_MICROS && !other
            }
        };
        let known = open.get(&message.conversation).copied();
        let known = known.filter(|known| found.get(*known).is_some_and(goes_on));
        let at = known.unwrap_or_else(|| {
            found.push(Conversation::begin(place, act));
            open.insert(message.conversation, found.len() - 1);
            found.len() - 1
        });
        if let Some(conversation) = found.get_mut(at) {
            conversation.add(place, act, message);
        }
    }
    found
}
