//! Which topics fail: conversations by skill and type of error. No I/O.

use std::collections::BTreeMap;

use serde::Serialize;

use super::act::{About, Act, Names, What};
use super::conversation::{Conversation, GAP_MICROS};
use super::interval::{Share, share};

/// Of a topic with fewer learners nothing is shown, so that nobody can be told from it.
pub const TOPIC_LEARNERS_MIN: u64 = 5;
/// The most topics of an answer.
pub const TOPICS_MAX: usize = 50;

/// Conversations about a skill with a type of error.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Topic {
    /// The skill.
    pub skill: String,
    /// The type of error; empty where none is known.
    pub error_type: String,
    /// Conversations that were resolved, of those of which it is known.
    pub resolution: Share,
    /// Whether fewer are resolved than of all: the interval lies below that rate.
    pub is_failing: bool,
}

/// A conversation of which is known whether it was resolved.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asked {
    pub(super) learner: u32,
    pub(super) about: About,
    pub(super) error: u32,
    pub(super) is_resolved: bool,
}

/// The type of error of a conversation: what its messages say, else that of the learner's last error or attempt with one
/// at the same thing in the half hour before.
pub(super) fn error_of(acts: &[Act], conversation: &Conversation) -> u32 {
    if conversation.error != 0 {
        return conversation.error;
    }
    let Some(first) = acts.get(conversation.first) else { return 0 };
    let exercise = conversation.about.exercise;
    let before = acts[..conversation.first].iter().rev();
    let mut before = before.take_while(|act| first.at_micros - act.at_micros <= GAP_MICROS);
    let found = before.find_map(|act| match act.what {
        What::Error { error } | What::Attempt { error, .. }
            if error != 0 && (exercise.is_none() || act.about.exercise == exercise) =>
        {
            Some(error)
        }
        _ => None,
    });
    found.unwrap_or(0)
}

/// The topics of conversations, those of one learner after those of another, and how many have too few learners. `rate` is
/// the resolution of all. Those that fail come first, then by the upper end of the interval.
pub(super) fn topics(
    asked: impl Iterator<Item = Asked>,
    names: &Names,
    rate: Option<f64>,
) -> (Vec<Topic>, u64) {
    let mut groups: BTreeMap<(u32, u32), Vec<(u32, bool)>> = BTreeMap::new();
    for it in asked {
        for skill in names.skills(it.about.skills) {
            groups.entry((*skill, it.error)).or_default().push((it.learner, it.is_resolved));
        }
    }
    let (mut shown, mut withheld) = (Vec::new(), 0);
    for ((skill, error), answers) in groups {
        let resolution = share(answers);
        if resolution.learners < TOPIC_LEARNERS_MIN {
            withheld += 1;
            continue;
        }
        shown.push(Topic {
            skill: names.text(skill).to_owned(),
            error_type: names.text(error).to_owned(),
            is_failing: resolution.high.zip(rate).is_some_and(|(high, rate)| high < rate),
            resolution,
        });
    }
    let end = |topic: &Topic| topic.resolution.high.unwrap_or(1.0);
    shown.sort_by(|left, right| {
        let order = right.is_failing.cmp(&left.is_failing).then(end(left).total_cmp(&end(right)));
        order.then_with(|| (&left.skill, &left.error_type).cmp(&(&right.skill, &right.error_type)))
    });
    shown.truncate(TOPICS_MAX);
    (shown, withheld)
}
