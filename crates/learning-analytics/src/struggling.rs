//! Who is stuck on which skill: wheel-spinning by its definition, and a score of which every part is in words.
//!
//! Wheel-spinning is that of Beck and Gong ("Wheel-spinning: students who fail to master a skill", AIED 2013): a learner has
//! mastered a skill with three right answers in a row, and spins their wheels if ten opportunities to practise went by
//! without; with fewer opportunities and no mastery it is indeterminate. An opportunity is the first attempt at an
//! exercise; an answer after a hint is not right.

use serde::{Deserialize, Serialize};

use crate::history::{EventKey, Step};
use crate::mastery::{Items, SkillHistory, expectations};
use crate::milestones::ActiveDays;

/// Right answers in a row that make a skill mastered.
pub const MASTERY_IN_ROW: usize = 3;
/// Opportunities after which a skill that is not mastered is one that the learner spins their wheels on.
pub const OPPORTUNITIES: usize = 10;
/// From this score on a learner is struggling.
pub const STRUGGLING_FROM: f64 = 1.0;
/// With fewer attempts, hints and errors at a skill than this, the score says nothing.
pub const STEPS_MIN: usize = 4;
/// The most event ids of the evidence of one factor.
const EVIDENCE_MAX: usize = 10;
/// Whoever came on fewer days a week than this cannot be said to come less often.
const OFTEN: f64 = 2.0;
/// Errors within this time are a burst.
const BURST_MICROS: i64 = 10 * 60 * 1_000_000;

/// Whether a skill was mastered within its first ten opportunities.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WheelSpinning {
    /// Three right in a row, the last of them at this opportunity, counted from 1.
    Mastered {
        /// Which opportunity.
        at_opportunity: usize,
    },
    /// Ten opportunities went by without.
    Spinning,
    /// So many opportunities, and none of the two.
    Indeterminate {
        /// How many.
        opportunities: usize,
    },
}

/// What is said of a learner and a skill.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Stuck.
    Struggling,
    /// Not stuck.
    Fine,
    /// Too little is known.
    Indeterminate,
}

impl Verdict {
    /// The verdict as a word: `struggling`, `fine`, `indeterminate`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Struggling => "struggling",
            Self::Fine => "fine",
            Self::Indeterminate => "indeterminate",
        }
    }
}

/// In what a factor shows itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Area {
    /// Wheel-spinning.
    Mastery,
    /// Failing more than is to be expected.
    Failure,
    /// Taking longer and longer.
    Time,
    /// Not getting on without hints.
    Hints,
    /// Errors in a burst.
    Errors,
    /// Coming less often.
    Activity,
}

/// One reason for or against.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Factor {
    /// In what it shows.
    pub area: Area,
    /// What it adds to the score; negative where it speaks against struggling.
    pub weight: f64,
    /// The reason as a sentence.
    pub reason: String,
    /// The events that say so, the latest last; at most 10. Coming less often has none, as it is told by days.
    pub evidence: Vec<EventKey>,
}

/// A verdict and all that led to it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Struggle {
    /// What is said.
    pub verdict: Verdict,
    /// The sum of the factors' weights.
    pub score: f64,
    /// Wheel-spinning by its definition.
    pub wheel_spinning: WheelSpinning,
    /// The reasons, the weightiest first.
    pub factors: Vec<Factor>,
    /// For a struggling learner, when it began, in microseconds since 1970.
    pub onset_micros: Option<i64>,
}

/// Whether a learner spins their wheels.
#[must_use]
pub fn wheel_spinning(history: &SkillHistory) -> WheelSpinning {
    let opportunities = &history.first.steps()[..history.first.steps().len().min(OPPORTUNITIES)];
    let mut in_row = 0;
    for (index, step) in opportunities.iter().enumerate() {
        in_row = if step.is_correct && !history.was_hinted(step) { in_row + 1 } else { 0 };
        if in_row == MASTERY_IN_ROW {
            return WheelSpinning::Mastered { at_opportunity: index + 1 };
        }
    }
    match opportunities.len() {
        OPPORTUNITIES => WheelSpinning::Spinning,
        opportunities => WheelSpinning::Indeterminate { opportunities },
    }
}

/// Judges a learner and a skill by what is remembered, and by the days on which the learner did anything at all.
#[must_use]
pub fn judge(items: &impl Items, history: &SkillHistory, days: &ActiveDays) -> Struggle {
    let (steps, wheel_spinning) = (history.recent.steps(), wheel_spinning(history));
    let factors = factors(items, (history, days), steps, wheel_spinning, i64::MAX);
    let score = score(&factors);
    let known = steps.len() + history.hints.steps().len() + history.errors.steps().len();
    let verdict = if known < STEPS_MIN {
        Verdict::Indeterminate
    } else if score >= STRUGGLING_FROM {
        Verdict::Struggling
    } else if score <= 0.0 || matches!(wheel_spinning, WheelSpinning::Mastered { .. }) && score < 0.5 {
        Verdict::Fine
    } else {
        Verdict::Indeterminate
    };
    let onset_micros = (verdict == Verdict::Struggling).then(|| onset(items, history, days)).flatten();
    Struggle { verdict, score, wheel_spinning, factors, onset_micros }
}

fn score(factors: &[Factor]) -> f64 {
    // Without factors it is 0, where a sum of nothing is -0.
    factors.iter().fold(0.0, |score, factor| score + factor.weight)
}

/// The step from which on the score stayed where it makes a learner struggling.
fn onset(items: &impl Items, history: &SkillHistory, days: &ActiveDays) -> Option<i64> {
    let mut times: Vec<i64> = [history.recent.steps(), history.hints.steps(), history.errors.steps()]
        .concat()
        .iter()
        .map(|step| step.at_micros)
        .collect();
    times.sort_unstable();
    times.dedup();
    let mut onset = None;
    for at in times.into_iter().rev() {
        let steps = history.recent.steps();
        let steps = &steps[..steps.partition_point(|step| step.at_micros <= at)];
        let opportunities = history.first.steps();
        let is_spinning = wheel_spinning(history) == WheelSpinning::Spinning
            && opportunities.last().is_some_and(|tenth| tenth.at_micros <= at);
        let spinning = if is_spinning {
            WheelSpinning::Spinning
        } else {
            WheelSpinning::Indeterminate { opportunities: 0 }
        };
        if score(&factors(items, (history, days), steps, spinning, at)) < STRUGGLING_FROM {
            break;
        }
        onset = Some(at);
    }
    onset
}

/// The reasons as they were at a time; `steps` are the attempts until then.
fn factors(
    items: &impl Items,
    (history, days): (&SkillHistory, &ActiveDays),
    steps: &[Step],
    wheel_spinning: WheelSpinning,
    until: i64,
) -> Vec<Factor> {
    let mut factors = Vec::new();
    factors.extend(by_mastery(history, wheel_spinning));
    factors.extend(by_failure(items, history, steps));
    factors.extend(by_time(steps));
    factors.extend(by_hints(history, steps));
    factors.extend(by_errors(history, until));
    factors.extend(by_activity(days, until));
    factors.sort_by(|left, right| right.weight.abs().total_cmp(&left.weight.abs()));
    factors
}

fn evidence(steps: &[Step]) -> Vec<EventKey> {
    steps[steps.len().saturating_sub(EVIDENCE_MAX)..].iter().map(|step| step.event).collect()
}

fn by_mastery(history: &SkillHistory, wheel_spinning: WheelSpinning) -> Option<Factor> {
    let (weight, reason) = match wheel_spinning {
        WheelSpinning::Spinning => {
            (1.0, "ten exercises were tried without three right answers in a row".to_owned())
        }
        WheelSpinning::Mastered { at_opportunity } => {
            (-0.25, format!("three right answers in a row by exercise {at_opportunity}"))
        }
        WheelSpinning::Indeterminate { .. } => return None,
    };
    Some(Factor { area: Area::Mastery, weight, reason, evidence: evidence(history.first.steps()) })
}

/// How many standard deviations the last eight attempts lie below what was expected of them.
fn by_failure(items: &impl Items, history: &SkillHistory, steps: &[Step]) -> Option<Factor> {
    let last = &steps[steps.len().saturating_sub(8)..];
    if last.len() < STEPS_MIN {
        return None;
    }
    // By everybody's answers and the attempts before these.
    let expected = expectations(items, &history.counts, history.recent.steps());
    let first = steps.len() - last.len();
    let start = expected.get(first).copied()?;
    let (mut surplus, mut variance) = (0.0, 0.0);
    for (step, expected) in last.iter().zip(expected.iter().skip(first)) {
        // Somebody who always fails is expected to fail: what was expected before the failures is what counts.
        let expected = expected.max(start);
        surplus += expected - if step.is_correct { 1.0 } else { 0.0 };
        variance += expected * (1.0 - expected);
    }
    let deviations = surplus / variance.max(0.25).sqrt();
    let failed = last.iter().filter(|step| !step.is_correct).count();
    let of = last.len();
    let weight = (deviations / 2.0).clamp(-1.0, 1.5);
    let reason = format!(
        "{failed} of the last {of} attempts failed, {:.1} standard deviations {} than expected",
        deviations.abs(),
        if deviations >= 0.0 { "more" } else { "fewer" },
    );
    let tells: Vec<Step> = last.iter().filter(|step| step.is_correct == (weight < 0.0)).copied().collect();
    Some(Factor { area: Area::Failure, weight, reason, evidence: evidence(&tells) })
}

/// The median time of the last three attempts against that of up to seven before.
fn by_time(steps: &[Step]) -> Option<Factor> {
    let timed: Vec<Step> = steps.iter().filter(|step| step.seconds.is_some()).copied().collect();
    let (before, last) = timed.split_at(timed.len().checked_sub(3)?);
    let before = &before[before.len().saturating_sub(7)..];
    if before.len() < 3 {
        return None;
    }
    let (before, after) = (median_seconds(before), median_seconds(last));
    let ratio = after / before.max(1.0);
    // Fast right answers are no sign of struggling, whatever came before.
    if ratio < 1.5 || last.iter().all(|step| step.is_correct) {
        return None;
    }
    let weight = (0.25 * ratio.log2()).min(0.5);
    let reason =
        format!("attempts take {after:.0} s, {ratio:.1} times as long as those before ({before:.0} s)");
    Some(Factor { area: Area::Time, weight, reason, evidence: evidence(last) })
}

fn median_seconds(steps: &[Step]) -> f64 {
    let mut seconds: Vec<f64> = steps.iter().filter_map(|step| step.seconds).collect();
    seconds.sort_by(f64::total_cmp);
    seconds.get(seconds.len() / 2).copied().unwrap_or(0.0)
}

/// How many of the last eight attempts came after a hint.
fn by_hints(history: &SkillHistory, steps: &[Step]) -> Option<Factor> {
    let last = &steps[steps.len().saturating_sub(8)..];
    if last.len() < STEPS_MIN {
        return None;
    }
    let hinted: Vec<Step> = last.iter().filter(|step| history.was_hinted(step)).copied().collect();
    let (count, of) = (hinted.len(), last.len());
    if 2 * count < of {
        return None;
    }
    let weight = 0.5 * count as f64 / of as f64;
    let hints = hinted.iter().filter_map(|step| history.first_hints.of(step.item)).map(|hint| hint.event);
    let mut evidence: Vec<EventKey> = hints.collect();
    evidence.dedup();
    let reason = format!("{count} of the last {of} attempts came after a hint");
    Some(Factor { area: Area::Hints, weight, reason, evidence })
}

/// Three errors or more within ten minutes, the last ones until a time.
fn by_errors(history: &SkillHistory, until: i64) -> Option<Factor> {
    let errors = history.errors.steps();
    let errors = &errors[..errors.partition_point(|step| step.at_micros <= until)];
    let last = errors.last()?;
    let burst = &errors[errors.partition_point(|step| step.at_micros < last.at_micros - BURST_MICROS)..];
    // Right answers after it are its end.
    let later = history.recent.steps().iter().filter(|step| step.at_micros > last.at_micros);
    if burst.len() < 3 || later.filter(|step| step.at_micros <= until && step.is_correct).count() >= 2 {
        return None;
    }
    let weight = 0.1 * burst.len() as f64;
    let reason = format!("{} errors within ten minutes", burst.len());
    Some(Factor { area: Area::Errors, weight, reason, evidence: evidence(burst) })
}

/// The active days of the last week, up to the last active day, against those of the four weeks before it. Alone it makes
/// nobody struggling; who is away altogether is another question.
fn by_activity(days: &ActiveDays, until: i64) -> Option<Factor> {
    let days: Vec<i64> = days.days_until(until).collect();
    let week = days.last()? - 6;
    let now = days.len() - days.partition_point(|day| *day < week);
    let before = days.len() - now - days.partition_point(|day| *day < week - 28);
    let (now, a_week) = (now as f64, before as f64 / 4.0);
    if a_week < OFTEN || 2.0 * now > a_week {
        return None;
    }
    let weight = 0.5 * (1.0 - now / a_week);
    let reason = format!(
        "active on {now} {} in a week, after {a_week:.1} a week in the four weeks before",
        if now == 1.0 { "day" } else { "days" }
    );
    Some(Factor { area: Area::Activity, weight, reason, evidence: Vec::new() })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::history::ItemKey;
    use crate::history::tests::step;
    use crate::mastery::Counts;

    struct Nothing;

    impl Items for Nothing {
        fn counts(&self, _: ItemKey) -> Counts {
            Counts::default()
        }
    }

    /// One attempt a minute, each at an exercise of its own; `x` is wrong, `h` is right after a hint.
    fn history(answers: &str) -> SkillHistory {
        let mut history = SkillHistory::default();
        for (number, answer) in answers.chars().enumerate() {
            let (key, second) = (number as u128, number as i64 * 60);
            if answer == 'h' {
                history.add_hint(step(1_000 + key, second - 5, key as i64, false));
            }
            history.add_attempt(step(key, second, key as i64, answer != 'x'));
        }
        history
    }

    #[test]
    fn wheel_spinning_is_as_defined() {
        for (answers, expected) in [
            ("", WheelSpinning::Indeterminate { opportunities: 0 }),
            ("+++", WheelSpinning::Mastered { at_opportunity: 3 }),
            ("x++x+++", WheelSpinning::Mastered { at_opportunity: 7 }),
            ("xxxxxxx+++", WheelSpinning::Mastered { at_opportunity: 10 }),
            // The third right answer in a row comes at the eleventh opportunity.
            ("xxxxxxxx+++", WheelSpinning::Spinning),
            ("++x++x++x+", WheelSpinning::Spinning),
            ("++x++x++x", WheelSpinning::Indeterminate { opportunities: 9 }),
            ("++h++h++h+", WheelSpinning::Spinning),
        ] {
            assert_eq!(wheel_spinning(&history(answers)), expected, "{answers}");
        }
    }

    #[test]
    fn repeating_an_exercise_is_no_opportunity() {
        let mut history = SkillHistory::default();
        for number in 0..12 {
            history.add_attempt(step(number, number as i64, 1, false));
        }
        assert_eq!(wheel_spinning(&history), WheelSpinning::Indeterminate { opportunities: 1 });
    }

    #[test]
    fn failing_against_expectation_is_struggling_from_where_it_began() {
        let struggle = judge(&Nothing, &history("+++++xxxxx"), &ActiveDays::default());
        assert_eq!(struggle.verdict, Verdict::Struggling, "{struggle:?}");
        let failure = struggle.factors.iter().find(|factor| factor.area == Area::Failure).unwrap();
        assert!(failure.reason.starts_with("5 of the last 8 attempts failed"), "{}", failure.reason);
        assert_eq!(failure.evidence, [5, 6, 7, 8, 9].map(EventKey));
        let onset = struggle.onset_micros.unwrap() / 60_000_000;
        assert!((7..=9).contains(&onset), "{onset}");
    }

    #[test]
    fn right_answers_are_fine_and_a_few_attempts_say_nothing() {
        assert_eq!(judge(&Nothing, &history("+x++++"), &ActiveDays::default()).verdict, Verdict::Fine);
        let little = judge(&Nothing, &history("xxx"), &ActiveDays::default());
        assert_eq!((little.verdict, little.onset_micros), (Verdict::Indeterminate, None));
    }

    #[test]
    fn every_factor_says_why_and_has_its_evidence() {
        let mut history = history("x+xh");
        for number in 0..4 {
            let attempt = step(10 + number, 600 + 60 * number as i64, 20 + number as i64, number == 0);
            history.add_attempt(Step { seconds: Some(90.0), ..attempt });
            history.add_hint(step(30 + number, 590 + 60 * number as i64, 20 + number as i64, false));
            history.add_error(step(40 + number, 760 + 10 * number as i64, 23, false));
        }
        for number in 0..4 {
            let early = step(50 + number, number as i64, 50 + number as i64, true);
            history.add_attempt(Step { seconds: Some(20.0), ..early });
        }
        let struggle = judge(&Nothing, &history, &ActiveDays::default());
        let of = |area| struggle.factors.iter().find(|factor| factor.area == area).unwrap();
        assert_eq!(of(Area::Time).reason, "attempts take 90 s, 4.5 times as long as those before (20 s)");
        assert_eq!(of(Area::Hints).reason, "5 of the last 8 attempts came after a hint");
        assert_eq!(of(Area::Hints).evidence.len(), 5);
        assert_eq!(of(Area::Errors).reason, "4 errors within ten minutes");
        assert_eq!(of(Area::Errors).evidence, [40, 41, 42, 43].map(EventKey));
        let sum: f64 = struggle.factors.iter().map(|factor| factor.weight).sum();
        assert_eq!(sum, struggle.score);
    }

    proptest! {
        #[test]
        fn any_history_is_judged_alike_in_any_order(
            acts in prop::collection::vec((0i64..2_000, 0i64..15, 0u8..4), 0..60),
            ranks in prop::collection::vec(any::<u32>(), 60),
        ) {
            let fold = |order: &[(u32, usize)]| {
                let mut history = SkillHistory::default();
                for (_, number) in order {
                    let (second, item, kind) = acts[*number];
                    let step = step(*number as u128, second, item, kind == 0);
                    match kind {
                        0 | 1 => history.add_attempt(step),
                        2 => history.add_hint(step),
                        _ => history.add_error(step),
                    }
                }
                history
            };
            let mut order: Vec<(u32, usize)> = ranks.into_iter().take(acts.len()).zip(0..).collect();
            let first = judge(&Nothing, &fold(&order), &ActiveDays::default());
            order.sort_unstable();
            prop_assert_eq!(&judge(&Nothing, &fold(&order), &ActiveDays::default()), &first);
            prop_assert_eq!(first.onset_micros.is_some(), first.verdict == Verdict::Struggling);
            prop_assert!(first.factors.iter().all(|factor| factor.evidence.len() <= 10));
        }
    }

    fn factor_of(days: impl IntoIterator<Item = i64>, until: i64) -> Option<Factor> {
        let mut active = ActiveDays::default();
        days.into_iter().for_each(|day| active.add(day, day * 100));
        by_activity(&active, until)
    }

    #[test]
    fn coming_less_often_is_a_reason_for_those_who_came_often() {
        // Four days a week for four weeks, then one.
        let often = || (0..28).filter(|day| day % 7 < 4);
        let less = factor_of(often().chain([34]), i64::MAX).unwrap();
        assert_eq!((less.area, less.weight, less.evidence.len()), (Area::Activity, 0.375, 0));
        assert_eq!(less.reason, "active on 1 day in a week, after 4.0 a week in the four weeks before");
        let two = factor_of(often().chain([33, 34]), i64::MAX).unwrap();
        assert_eq!((two.weight, &two.reason[..16]), (0.25, "active on 2 days"));
        // Three of four is no fall, once a week before was not often, and what came later is not known yet.
        assert_eq!(factor_of(often().chain([32, 33, 34]), i64::MAX), None);
        assert_eq!(factor_of([0, 7, 14, 21, 34], i64::MAX), None);
        assert_eq!(factor_of(often().chain([34]), 3_399), None);
        assert_eq!(factor_of([], i64::MAX), None);
    }
}
