//! What came after something: the next attempt, the delayed one, whether it was solved. No I/O.

use super::act::{About, Act, Names};
use super::conversation::Conversation;

/// The next attempt is one within a day, and a question that comes again does so within a day; in microseconds.
pub(super) const DAY_MICROS: i64 = 24 * 3_600 * 1_000_000;
/// The delayed attempt is one after a day and within seven.
pub(super) const DELAYED_MICROS: i64 = 7 * DAY_MICROS;

/// The acts of a learner, and until when they are known.
#[derive(Clone, Copy)]
pub(super) struct Followed<'a> {
    pub(super) acts: &'a [Act],
    pub(super) names: &'a Names,
    pub(super) until_micros: i64,
    /// Within which time after help something is solved.
    pub(super) solve_micros: i64,
}

impl<'a> Followed<'a> {
    /// The acts after a place that are at least and at most so long after it; none where not all of them are known yet.
    fn after(&self, place: usize, least: i64, most: i64) -> Option<impl Iterator<Item = &'a Act>> {
        let from = self.acts.get(place)?.at_micros;
        if from + most > self.until_micros {
            return None;
        }
        let rest = self.acts.get(place + 1..).unwrap_or_default();
        let rest = &rest[rest.partition_point(|act| act.at_micros < from + least)..];
        Some(rest.iter().take_while(move |act| act.at_micros <= from + most))
    }

    /// Whether the first attempt of some acts at the same thing was right.
    fn first(&self, about: About, mut acts: impl Iterator<Item = &'a Act>) -> Option<bool> {
        acts.find_map(|act| act.step().filter(|_| self.names.is_same(about, act.about)))
            .map(|step| step.is_correct)
    }

    /// The same of the exercise, where one is named: what is predicted is the chance at that one.
    fn first_at(&self, about: About, acts: impl Iterator<Item = &'a Act>) -> Option<bool> {
        let is_there = |act: &&Act| about.exercise.is_none() || act.about.exercise == about.exercise;
        self.first(about, acts.filter(is_there))
    }

    /// Whether the next attempt after a place was right: the first at the exercise within a day, or at a skill where no
    /// exercise is named.
    pub(super) fn next(&self, place: usize, about: About) -> Option<bool> {
        self.first_at(about, self.after(place, 0, DAY_MICROS)?)
    }

    /// Whether the delayed attempt was right: the first at the same thing after a day and within seven.
    pub(super) fn delayed(&self, place: usize, about: About) -> Option<bool> {
        self.first(about, self.after(place, DAY_MICROS, DELAYED_MICROS)?)
    }

    /// Whether something was solved within the time that solving may take.
    pub(super) fn is_solved(&self, place: usize, about: About) -> Option<bool> {
        let mut attempts =
            self.after(place, 0, self.solve_micros)?.filter_map(|act| Some((act.about, act.step()?)));
        Some(attempts.any(|(of, step)| step.is_correct && self.names.is_same(about, of)))
    }

    /// Whether a conversation solved its problem, and the learner did not ask again within a day.
    pub(super) fn is_resolved(&self, conversation: &Conversation) -> Option<bool> {
        let (last, about) = (*conversation.messages.last()?, conversation.about);
        let mut later = self.after(last, 0, DAY_MICROS)?;
        let asks_again = later.any(|act| act.message().is_some() && self.names.is_same(about, act.about));
        Some(self.is_solved(last, about)? && !asks_again)
    }

    /// The next and the delayed attempt, each only if no help with the same thing came before it.
    pub(super) fn without_help(&self, place: usize, about: About) -> [Option<bool>; 2] {
        let until_help = |act: &&Act| !(act.is_help() && self.names.is_same(about, act.about));
        let next = self.after(place, 0, DAY_MICROS).map(|acts| acts.take_while(until_help));
        let helped = self.after(place, 0, DELAYED_MICROS).map(|mut acts| acts.find(|act| !until_help(act)));
        let delayed = self.after(place, DAY_MICROS, DELAYED_MICROS).map(|acts| {
            let end = helped.flatten().map_or(i64::MAX, |act| act.at_micros);
            acts.take_while(move |act| act.at_micros < end)
        });
        [next.and_then(|acts| self.first_at(about, acts)), delayed.and_then(|acts| self.first(about, acts))]
    }
}
