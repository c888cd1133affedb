//! How the tutor does: how much it is asked, what it solves, which topics fail, and what its help does.
//!
//! Everything is computed from the events of a period when somebody asks, in the order of learner, time and id: late
//! events and erasures need no thought. An *interaction* is a conversation. What is expected of a learner is the estimate
//! of [`crate::mastery`] before the help, calibrated on attempts after wrong answers that no help came before. What was
//! observed less that is no effect, as who asks differs from who does not in more than the past; an effect is shown for
//! help alone that a draw withheld from some.

mod act;
mod calibration;
mod conversation;
mod effect;
mod interval;
mod outcome;
mod prediction;
mod read;
#[cfg(test)]
mod simulator;
mod topic;
#[cfg(test)]
mod twin;

use std::time::Duration;

use belvedere_event_store::TIME_MIN;
use belvedere_kernel::ProjectId;
use belvedere_storage::Timestamp;
use serde::Serialize;

use crate::LearningError;

use self::act::{About, Act, Acts, Message};
use self::calibration::{Calibration, Case, Predicted};
use self::conversation::{Conversation, conversations};
use self::effect::{Draw, hold_out};
use self::interval::{Sums, quantile, share};
use self::outcome::Followed;
use self::prediction::{Ease, predict, was_helped};
use self::topic::{Asked, topics};

pub use self::calibration::REFERENCE_MIN;
pub use self::effect::{Effect, HoldOut, RatioCheck};
pub use self::interval::{Difference, LEARNERS_MIN, Mean, Quantile, Share};
pub(crate) use self::read::read_acts;
pub use self::read::{ACTS_MAX, EVENTS_LOOKED_AT_MAX};
pub use self::topic::{TOPIC_LEARNERS_MIN, TOPICS_MAX, Topic};

/// The longest period, in days.
pub const DAYS_MAX: u16 = 90;
/// The longest time within which something is solved, in minutes.
pub const SOLVE_MINUTES_MAX: u16 = 1_440;
/// Within how many minutes something is solved unless a question says otherwise.
pub const SOLVE_MINUTES: u16 = 30;
/// A period up to this has a point for each day, a longer one for every seven days.
const DAILY_DAYS_MAX: u16 = 14;
const DAY_MICROS: i64 = 24 * 3_600 * 1_000_000;
/// So many days before a period are what predictions are made of.
const HISTORY_DAYS: u64 = 90;

/// What is asked about the tutor: the conversations that began in the last days.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AskTutor {
    /// The project.
    pub project: ProjectId,
    /// How many days, 1 to [`DAYS_MAX`].
    pub days: u16,
    /// Within how many minutes after help something is solved, 1 to [`SOLVE_MINUTES_MAX`].
    pub solve_minutes: u16,
}

impl AskTutor {
    /// # Errors
    /// [`LearningError::Invalid`] beyond a limit.
    pub(crate) fn check(&self) -> Result<(), LearningError> {
        let ranges =
            [("days", self.days, DAYS_MAX), ("solve_minutes", self.solve_minutes, SOLVE_MINUTES_MAX)];
        for (field, number, most) in ranges {
            if !(1..=most).contains(&number) {
                return Err(LearningError::invalid(field, format!("must be from 1 to {most}")));
            }
        }
        Ok(())
    }

    /// The time of the acts that an answer is made of.
    pub(crate) fn range(&self, now: Timestamp) -> (Timestamp, Timestamp) {
        (history_from(now.minus(Duration::from_secs(u64::from(self.days) * 86_400))), now)
    }
}

/// From where on acts are read for a period that begins at `from`.
pub(crate) fn history_from(from: Timestamp) -> Timestamp {
    from.minus(Duration::from_secs(HISTORY_DAYS * 86_400)).max(TIME_MIN)
}

/// What may come of help.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The first attempt at the exercise within a day is right; at a skill, where no exercise is named.
    NextAttempt,
    /// Something of it is solved within the minutes of the question.
    Solved,
    /// The first attempt at the same thing after a day and within seven is right.
    Delayed,
}

impl Outcome {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::NextAttempt, Self::Solved, Self::Delayed];

    /// The outcome as a word: `next_attempt`, `solved`, `delayed`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NextAttempt => "next_attempt",
            Self::Solved => "solved",
            Self::Delayed => "delayed",
        }
    }
}

/// How the tutor does in a period. Intervals are those of 95 %.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TutorReport {
    /// Conversations that began from here on.
    pub from: Timestamp,
    /// And before this.
    pub until: Timestamp,
    /// One learner of so many was looked at; 1 unless there are more than [`ACTS_MAX`] acts.
    pub one_of: u64,
    /// Conversations with help.
    pub conversations: u64,
    /// Messages in them.
    pub messages: u64,
    /// Conversations of a learner who has any.
    pub per_learner: Mean,
    /// Conversations whose problem was solved in time and did not come again within a day, of those that are a day old.
    pub resolution: Share,
    /// Ratings of 4 and 5.
    pub satisfaction: Share,
    /// Ratings.
    pub rating: Mean,
    /// What learners said: whether the problem is solved.
    pub said_resolved: Share,
    /// Conversations that went to a person, of those of which it is said either way.
    pub handed_over: Share,
    /// Conversations in which the answer was given away, of those of which it is said either way.
    pub answer_leaked: Share,
    /// Conversations in which the tutor was abused, of those of which it is said either way.
    pub abusive: Share,
    /// How long answers took, in seconds; none where events do not say.
    pub latency: Option<Latency>,
    /// What messages cost; none where events do not say.
    pub cost: Option<Cost>,
    /// The next and the delayed attempt after help.
    pub comparisons: Vec<Comparison>,
    /// Help that a draw gave or withheld; none where no draw is sent.
    pub hold_out: Option<HoldOut>,
    /// The resolution day by day or by seven days, the earliest first.
    pub series: Vec<Point>,
    /// Skills with types of error, those that fail first; at most [`TOPICS_MAX`].
    pub topics: Vec<Topic>,
    /// Topics of fewer than [`TOPIC_LEARNERS_MIN`] learners, of which nothing is shown.
    pub topics_withheld: u64,
}

/// How long answers took, in seconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Latency {
    /// The median.
    pub half: Quantile,
    /// Nineteen of twenty took less.
    pub most: Quantile,
    /// Messages that say how long.
    pub count: u64,
}

/// What messages cost, in the currency in which they are sent.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Cost {
    /// All together.
    pub total: f64,
    /// Messages that say what they cost.
    pub messages: u64,
    /// What conversations cost whose resolution is known, by those that were resolved.
    pub per_resolved: Mean,
}

/// What was observed after help, and what was expected before it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Comparison {
    /// Of which attempt.
    pub outcome: Outcome,
    /// Right ones.
    pub observed: Share,
    /// The mean of the chances before the help.
    pub expected: Option<f64>,
    /// What was observed less what was expected; none for fewer than 20 learners.
    pub difference: Option<Difference>,
    /// How many attempts without help the expectation is calibrated on; 0 if there are too few, and it is the estimate alone.
    pub reference: u64,
}

/// A part of the period.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Point {
    /// Its begin.
    pub at: Timestamp,
    /// Conversations that began in it.
    pub conversations: u64,
    /// Those that were resolved, of those of which it is known.
    pub resolution: Share,
}

/// The period of a question, in microseconds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Period {
    pub(crate) from_micros: i64,
    pub(crate) until_micros: i64,
    pub(crate) solve_micros: i64,
    pub(crate) point_micros: i64,
}

impl Period {
    pub(crate) fn of(question: &AskTutor, now: Timestamp) -> Self {
        let from = now.minus(Duration::from_secs(u64::from(question.days) * 86_400));
        Self::between(from, now, question.solve_minutes)
    }

    pub(crate) fn between(from: Timestamp, until: Timestamp, solve_minutes: u16) -> Self {
        let is_short = until.as_micros() - from.as_micros() <= i64::from(DAILY_DAYS_MAX) * DAY_MICROS;
        Self {
            from_micros: from.as_micros(),
            until_micros: until.as_micros(),
            solve_micros: i64::from(solve_minutes) * 60_000_000,
            point_micros: if is_short { DAY_MICROS } else { 7 * DAY_MICROS },
        }
    }

    fn has(&self, act: &Act) -> bool {
        (self.from_micros..self.until_micros).contains(&act.at_micros)
    }
}

/// A conversation with help, and what came of it.
#[derive(Debug, Clone, PartialEq)]
struct Talk {
    learner: u32,
    at_micros: i64,
    about: About,
    error: u32,
    predicted: Option<Predicted>,
    next: Option<bool>,
    delayed: Option<bool>,
    is_resolved: Option<bool>,
    is_leaked: Option<bool>,
    is_abusive: Option<bool>,
    is_handed_over: Option<bool>,
    messages: u64,
    cost: Option<f64>,
}

/// Everything that the figures are made of; learner by learner.
#[derive(Debug, Default)]
struct Gathered {
    talks: Vec<Talk>,
    draws: Vec<Draw>,
    /// Next and delayed attempts without help, after wrong ones.
    reference: [Vec<Case>; 2],
    ratings: Vec<(u32, f64)>,
    said: Vec<(u32, bool)>,
    latencies: Vec<f64>,
    costs: Vec<f64>,
}

impl Gathered {
    fn of(acts: &Acts, period: &Period) -> Self {
        let mut ease = Ease::default();
        for of_learner in acts.by_learner() {
            ease.add(of_learner, &acts.names);
        }
        let mut gathered = Self::default();
        for of_learner in acts.by_learner() {
            gathered.add(of_learner, acts, &ease, period);
        }
        gathered.latencies.sort_by(f64::total_cmp);
        gathered
    }

    /// Takes in what a learner did.
    fn add(&mut self, own: &[Act], all: &Acts, ease: &Ease, period: &Period) {
        let names = &all.names;
        let (until_micros, solve_micros) = (period.until_micros, period.solve_micros);
        let followed = Followed { acts: own, names, until_micros, solve_micros };
        let is_in = |it: &Conversation| own.get(it.first).is_some_and(|act| period.has(act));
        let talks = conversations(own, |message| message.is_withheld != Some(true));
        let talks: Vec<Conversation> = talks.into_iter().filter(is_in).collect();
        let draws = conversations(own, |message| message.is_withheld.is_some());
        let draws: Vec<Conversation> = draws.into_iter().filter(is_in).collect();
        let is_unhelped = |(place, act): &(usize, &Act)| {
            act.step().is_some_and(|step| !step.is_correct)
                && period.has(act)
                && !was_helped(own, *place, names)
        };
        let wrong = own.iter().enumerate().filter(is_unhelped).map(|(place, act)| (place, act.about));
        let wrong: Vec<(usize, About)> = wrong.collect();
        let starts = |of: &[Conversation]| of.iter().map(|it| (it.first, it.about)).collect::<Vec<_>>();
        let predictions = predict(own, &starts(&talks), ease, names);
        for (talk, predicted) in talks.iter().zip(predictions) {
            self.talks.push(self::talk(&followed, talk, predicted));
        }
        let predictions = predict(own, &starts(&draws), ease, names);
        self.draws.extend(
            draws.iter().zip(predictions).filter_map(|(it, predicted)| draw(&followed, it, predicted?)),
        );
        let after: Vec<(usize, About)> = wrong.iter().map(|(place, about)| (place + 1, *about)).collect();
        let predictions = predict(own, &after, ease, names);
        for ((place, about), predicted) in wrong.iter().zip(predictions) {
            let outcomes = followed.without_help(*place, *about);
            for (reference, is_right) in self.reference.iter_mut().zip(outcomes) {
                let learner = own.first().map_or(0, |act| act.learner);
                let case = predicted.zip(is_right).map(|(predicted, is_right)| Case {
                    learner,
                    predicted,
                    is_right,
                });
                reference.extend(case);
            }
        }
        for act in own.iter().filter(|act| period.has(act)) {
            self.add_said(act);
        }
    }

    fn add_said(&mut self, act: &Act) {
        match &act.what {
            act::What::Feedback { rating, is_resolved } => {
                self.ratings.extend(rating.map(|rating| (act.learner, rating)));
                self.said.extend(is_resolved.map(|is_resolved| (act.learner, is_resolved)));
            }
            act::What::Message(message) if message.is_withheld != Some(true) => {
                self.latencies.extend(message.latency);
                self.costs.extend(message.cost);
            }
            _ => {}
        }
    }
}

fn talk(followed: &Followed<'_>, of: &Conversation, predicted: Option<Predicted>) -> Talk {
    let acts = followed.acts;
    let first = acts.get(of.first);
    let costs = of.messages.iter().filter_map(|place| acts.get(*place)?.message()?.cost);
    // Of what names nothing, nothing can come.
    let known = |outcome: Option<bool>| outcome.filter(|_| predicted.is_some());
    Talk {
        learner: first.map_or(0, |act| act.learner),
        at_micros: first.map_or(0, |act| act.at_micros),
        about: of.about,
        error: topic::error_of(acts, of),
        predicted,
        next: known(followed.next(of.first, of.about)),
        delayed: known(followed.delayed(of.first, of.about)),
        is_resolved: known(followed.is_resolved(of)),
        is_leaked: of.says(acts, |message| message.is_leaked),
        is_abusive: of.says(acts, |message| message.is_abusive),
        is_handed_over: of.says(acts, |message| message.is_handed_over),
        messages: of.messages.len() as u64,
        cost: costs.reduce(|left, right| left + right),
    }
}

/// What the first draw of a conversation decided, and what came of it whatever was decided later.
fn draw(followed: &Followed<'_>, of: &Conversation, predicted: Predicted) -> Option<Draw> {
    let first = followed.acts.get(of.first)?;
    let message: &Message = first.message()?;
    let outcomes = [
        followed.next(of.first, of.about),
        followed.is_solved(of.first, of.about),
        followed.delayed(of.first, of.about),
    ];
    let predicted = 1.0 / (1.0 + (-predicted.logit).exp());
    let (is_withheld, share) = (message.is_withheld?, message.withhold_share);
    Some(Draw { learner: first.learner, is_withheld, share, predicted, outcomes })
}

/// The figures of a period.
pub(crate) fn report(acts: &Acts, period: &Period) -> TutorReport {
    let gathered = Gathered::of(acts, period);
    let talks = &gathered.talks;
    let mut per_learner = Sums::default();
    for of_learner in talks.chunk_by(|left, right| left.learner == right.learner) {
        let learner = of_learner.first().map_or(0, |talk| talk.learner);
        per_learner.add(learner, 1.0, of_learner.len() as f64);
    }
    let share_of = |of: fn(&Talk) -> Option<bool>| {
        share(talks.iter().filter_map(|talk| Some((talk.learner, of(talk)?))))
    };
    let resolution = share_of(|talk| talk.is_resolved);
    let asked = talks.iter().filter_map(|talk| {
        let (learner, about, error) = (talk.learner, talk.about, talk.error);
        Some(Asked { learner, about, error, is_resolved: talk.is_resolved? })
    });
    let (topics, topics_withheld) = topics(asked, &acts.names, resolution.rate);
    TutorReport {
        from: Timestamp::from_micros(period.from_micros),
        until: Timestamp::from_micros(period.until_micros),
        one_of: acts.one_of.max(1),
        conversations: talks.len() as u64,
        messages: talks.iter().map(|talk| talk.messages).sum(),
        per_learner: per_learner.mean(),
        resolution,
        satisfaction: share(gathered.ratings.iter().map(|(learner, rating)| (*learner, *rating >= 4.0))),
        rating: Sums::of(gathered.ratings.iter().copied()).mean(),
        said_resolved: share(gathered.said.iter().copied()),
        handed_over: share_of(|talk| talk.is_handed_over),
        answer_leaked: share_of(|talk| talk.is_leaked),
        abusive: share_of(|talk| talk.is_abusive),
        latency: latency(&gathered.latencies),
        cost: cost(&gathered),
        comparisons: comparisons(&gathered),
        hold_out: hold_out(&gathered.draws),
        series: series(talks, period),
        topics,
        topics_withheld,
    }
}

fn latency(sorted: &[f64]) -> Option<Latency> {
    let (half, most) = (quantile(sorted, 0.5)?, quantile(sorted, 0.95)?);
    Some(Latency { half, most, count: sorted.len() as u64 })
}

fn cost(gathered: &Gathered) -> Option<Cost> {
    let mut sums = Sums::default();
    for talk in &gathered.talks {
        if let Some((cost, is_resolved)) = talk.cost.zip(talk.is_resolved) {
            sums.add(talk.learner, f64::from(u8::from(is_resolved)), cost);
        }
    }
    let costs = &gathered.costs;
    (!costs.is_empty()).then(|| Cost {
        total: costs.iter().sum(),
        messages: costs.len() as u64,
        per_resolved: sums.mean(),
    })
}

fn comparisons(gathered: &Gathered) -> Vec<Comparison> {
    type OfTalk = fn(&Talk) -> Option<bool>;
    let of: [(Outcome, OfTalk); 2] =
        [(Outcome::NextAttempt, |talk| talk.next), (Outcome::Delayed, |talk| talk.delayed)];
    let compared = of.into_iter().zip(&gathered.reference).map(|((outcome, of), reference)| {
        let cases = gathered.talks.iter().filter_map(|talk| {
            Some(Case { learner: talk.learner, predicted: talk.predicted?, is_right: of(talk)? })
        });
        let cases: Vec<Case> = cases.collect();
        let calibration = Calibration::fit(reference);
        let (expected, difference) = calibration.compare(&cases);
        let observed = share(cases.iter().map(|case| (case.learner, case.is_right)));
        Comparison { outcome, observed, expected, difference, reference: calibration.reference }
    });
    compared.collect()
}

/// The period in parts that end with it; the first one may be shorter.
fn series(talks: &[Talk], period: &Period) -> Vec<Point> {
    let length = period.until_micros - period.from_micros;
    let parts = ((length - 1) / period.point_micros + 1).max(1);
    let part_of = |talk: &Talk| parts - 1 - (period.until_micros - 1 - talk.at_micros) / period.point_micros;
    let point = |part: i64| {
        let at = (period.until_micros - (parts - part) * period.point_micros).max(period.from_micros);
        let own = || talks.iter().filter(move |talk| part_of(talk) == part);
        Point {
            at: Timestamp::from_micros(at),
            conversations: own().count() as u64,
            resolution: share(own().filter_map(|talk| Some((talk.learner, talk.is_resolved?)))),
        }
    };
    (0..parts).map(point).collect()
}
