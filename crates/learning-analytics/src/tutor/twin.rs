//! The figures by plain loops over everything, without order, places or windows that are searched.

use std::collections::{BTreeMap, BTreeSet};

use super::act::{About, Act, Acts, Message, Names, What};
use super::simulator::Random;
use super::{Period, report};
use crate::history::{EventKey, ItemKey};

const MINUTE: i64 = 60_000_000;
const DAY: i64 = 24 * 60 * MINUTE;

fn random_acts(random: &mut Random) -> Acts {
    let mut names = Names::default();
    let sets = [
        names.set(&[]),
        names.set(&["a".into()]),
        names.set(&["a".into(), "b".into()]),
        names.set(&["b".into()]),
    ];
    let errors = [0, names.name("type"), names.name("borrow")];
    let mut acts = Vec::new();
    for number in 0..random.below(400) {
        let exercise = random.below(4);
        let about = About {
            exercise: (exercise > 0).then_some(ItemKey(exercise as i64)),
            skills: sets[random.below(4) as usize],
        };
        let error = errors[random.below(3) as usize];
        let yes_or_no = |random: &mut Random| [None, Some(false), Some(true)][random.below(3) as usize];
        let what = match random.below(6) {
            0 | 1 => What::Attempt { is_right: random.is(0.5), error },
            2 => What::Error { error },
            3 => {
                What::Feedback { rating: Some(1.0 + random.below(5) as f64), is_resolved: yes_or_no(random) }
            }
            _ => What::Message(Box::new(Message {
                conversation: random.is(0.4).then(|| EventKey(u128::from(random.below(3)))),
                error,
                latency: random.is(0.5).then(|| random.below(90) as f64),
                cost: random.is(0.5).then_some(0.25),
                is_leaked: yes_or_no(random),
                is_abusive: yes_or_no(random),
                is_handed_over: yes_or_no(random),
                is_withheld: yes_or_no(random),
                withhold_share: Some(0.5),
            })),
        };
        // Often at the same minute, often close together, over twelve days.
        let at_micros = random.below(12) as i64 * DAY + random.below(12) as i64 * 10 * MINUTE;
        acts.push(Act {
            learner: 1 + random.below(8) as u32,
            at_micros,
            key: EventKey(number.into()),
            about,
            what,
        });
    }
    acts.sort_by_key(Act::order);
    Acts { acts, names, one_of: 1 }
}

/// A conversation by plain loops.
struct Plain<'a> {
    messages: Vec<&'a Act>,
    about: About,
}

fn is_wanted(act: &Act, is_draw: bool) -> bool {
    let Some(message) = act.message() else { return false };
    if is_draw { message.is_withheld.is_some() } else { message.is_withheld != Some(true) }
}

fn plain_conversations(acts: &[Act], is_draw: bool) -> Vec<Plain<'_>> {
    let mut found: Vec<Plain<'_>> = Vec::new();
    for act in acts.iter().filter(|act| is_wanted(act, is_draw)) {
        let id = act.message().unwrap().conversation;
        let same = found.iter_mut().rfind(|known| {
            known.messages[0].learner == act.learner
                && known.messages[0].message().unwrap().conversation == id
        });
        let same = same.filter(|known| {
            let silence = act.at_micros - known.messages.last().unwrap().at_micros;
            let named: BTreeSet<_> =
                [known.about.exercise, act.about.exercise].into_iter().flatten().collect();
            if id.is_some() { silence <= DAY } else { silence <= 30 * MINUTE && named.len() < 2 }
        });
        match same {
            Some(known) => {
                known.messages.push(act);
                known.about.exercise = known.about.exercise.or(act.about.exercise);
                if known.about.skills == 0 {
                    known.about.skills = act.about.skills;
                }
            }
            None => found.push(Plain { messages: vec![act], about: act.about }),
        }
    }
    found
}

impl Plain<'_> {
    /// Attempts of the learner at the same thing after an act, from one time to another after it.
    fn attempts(&self, acts: &Acts, after: &Act, (least, most): (i64, i64), is_exact: bool) -> Vec<bool> {
        let mut found = Vec::new();
        for act in &acts.acts {
            let since = act.at_micros - after.at_micros;
            let is_after = act.order() > after.order() && (least..=most).contains(&since);
            let is_own = act.learner == after.learner && acts.names.is_same(act.about, self.about);
            let is_there =
                !is_exact || self.about.exercise.is_none() || act.about.exercise == self.about.exercise;
            if let What::Attempt { is_right, .. } = act.what
                && is_there
                && is_after
                && is_own
            {
                found.push(is_right);
            }
        }
        found
    }

    fn is_resolved(&self, acts: &Acts, period: &Period) -> Option<bool> {
        let last = self.messages.last().unwrap();
        if last.at_micros + DAY > period.until_micros || self.is_about_nothing() {
            return None;
        }
        let again = acts.acts.iter().any(|act| {
            act.learner == last.learner
                && act.message().is_some()
                && act.order() > last.order()
                && act.at_micros <= last.at_micros + DAY
                && acts.names.is_same(act.about, self.about)
        });
        Some(!again && self.attempts(acts, last, (0, period.solve_micros), false).contains(&true))
    }

    fn is_about_nothing(&self) -> bool {
        self.about == About::default()
    }
}

#[test]
fn figures_are_those_of_plain_loops() {
    let mut random = Random::new(21);
    let (mut resolved, mut topics_seen) = (0, 0);
    for _ in 0..150 {
        let acts = random_acts(&mut random);
        let period = Period {
            from_micros: DAY,
            until_micros: (8 + random.below(8) as i64) * DAY,
            solve_micros: 40 * MINUTE,
            point_micros: DAY,
        };
        let found = report(&acts, &period);
        let is_in =
            |it: &Plain<'_>| (period.from_micros..period.until_micros).contains(&it.messages[0].at_micros);
        let talks: Vec<_> = plain_conversations(&acts.acts, false).into_iter().filter(is_in).collect();
        assert_eq!(found.conversations, talks.len() as u64);
        assert_eq!(found.messages, talks.iter().map(|talk| talk.messages.len() as u64).sum::<u64>());
        let learners: BTreeSet<u32> = talks.iter().map(|talk| talk.messages[0].learner).collect();
        assert_eq!(found.per_learner.learners, learners.len() as u64);
        let counts =
            |answers: &[bool]| (answers.iter().filter(|yes| **yes).count() as u64, answers.len() as u64);
        let solved: Vec<bool> = talks.iter().filter_map(|talk| talk.is_resolved(&acts, &period)).collect();
        assert_eq!((found.resolution.part, found.resolution.whole), counts(&solved));
        resolved += found.resolution.part;
        let points = found.series.iter().map(|point| point.resolution.whole).sum::<u64>();
        assert_eq!(points, found.resolution.whole);
        for (comparison, (least, most)) in found.comparisons.iter().zip([(0, DAY), (DAY, 7 * DAY)]) {
            let first = |talk: &Plain<'_>| {
                let start = talk.messages[0];
                let is_known = start.at_micros + most <= period.until_micros && !talk.is_about_nothing();
                talk.attempts(&acts, start, (least, most), least == 0).first().copied().filter(|_| is_known)
            };
            let firsts: Vec<bool> = talks.iter().filter_map(first).collect();
            assert_eq!((comparison.observed.part, comparison.observed.whole), counts(&firsts));
        }
        let leaked: Vec<bool> = talks
            .iter()
            .filter_map(|talk| {
                let said: Vec<bool> =
                    talk.messages.iter().filter_map(|act| act.message().unwrap().is_leaked).collect();
                (!said.is_empty()).then(|| said.contains(&true))
            })
            .collect();
        assert_eq!((found.answer_leaked.part, found.answer_leaked.whole), counts(&leaked));
        let draws = plain_conversations(&acts.acts, true);
        let arms: Vec<bool> = draws
            .iter()
            .filter(|draw| is_in(draw) && !draw.is_about_nothing())
            .map(|draw| draw.messages[0].message().unwrap().is_withheld.unwrap())
            .collect();
        let hold_out = found.hold_out.map_or((0, 0), |it| (it.withheld, it.withheld + it.given));
        assert_eq!(hold_out, counts(&arms));
        let mut groups: BTreeMap<(String, String), Vec<(u32, bool)>> = BTreeMap::new();
        for talk in &talks {
            let Some(is_resolved) = talk.is_resolved(&acts, &period) else { continue };
            for skill in acts.names.skills(talk.about.skills) {
                let key = (acts.names.text(*skill).to_owned(), plain_error(talk, &acts));
                groups.entry(key).or_default().push((talk.messages[0].learner, is_resolved));
            }
        }
        let learners_of =
            |answers: &[(u32, bool)]| answers.iter().map(|(of, _)| *of).collect::<BTreeSet<_>>().len();
        let shown = groups.iter().filter(|(_, answers)| learners_of(answers) >= 5).count();
        assert_eq!((found.topics.len(), found.topics_withheld), (shown, (groups.len() - shown) as u64));
        topics_seen += shown;
        for topic in &found.topics {
            let answers = &groups[&(topic.skill.clone(), topic.error_type.clone())];
            let answers: Vec<bool> = answers.iter().map(|(_, is_resolved)| *is_resolved).collect();
            assert_eq!((topic.resolution.part, topic.resolution.whole), counts(&answers));
        }
    }
    assert!(resolved > 80 && topics_seen > 50, "{resolved}, {topics_seen}");
}

fn plain_error(talk: &Plain<'_>, acts: &Acts) -> String {
    for act in &talk.messages {
        if act.message().unwrap().error != 0 {
            return acts.names.text(act.message().unwrap().error).to_owned();
        }
    }
    let (first, mut found) = (talk.messages[0], 0);
    for act in &acts.acts {
        let is_before = act.learner == first.learner && act.order() < first.order();
        let is_there = talk.about.exercise.is_none() || act.about.exercise == talk.about.exercise;
        if let What::Error { error } | What::Attempt { error, .. } = act.what
            && is_before
            && is_there
            && error != 0
            && first.at_micros - act.at_micros <= 30 * MINUTE
        {
            found = error;
        }
    }
    acts.names.text(found).to_owned()
}
