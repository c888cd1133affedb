//! How exercises do: difficulty, discrimination, hints, time, and which of them are suspicious and why.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::ErrorType;

/// With fewer learners than this, nothing is said about discrimination and suspicion.
pub const LEARNERS_MIN: usize = 20;
/// Below this discrimination an exercise does not tell those who can from those who cannot.
pub const DISCRIMINATION_MIN: f64 = 0.1;
/// An exercise that fewer of the best third solve at first is too hard.
pub const BEST_THIRD_MIN: f64 = 0.4;
/// An exercise that more solve at first tells nothing.
pub const EASE_MAX: f64 = 0.97;
/// An exercise for which more need a hint is suspicious.
pub const HINT_RATE_MAX: f64 = 0.6;

/// What a learner did at an exercise.
#[derive(Debug, Clone, PartialEq)]
pub struct Response {
    /// The learner, as a number.
    pub learner: i64,
    /// The exercise.
    pub exercise: String,
    /// Whether the first attempt was right; none if there was no attempt.
    pub is_first_correct: Option<bool>,
    /// How long the first attempt took.
    pub first_seconds: Option<f64>,
    /// Attempts in all.
    pub attempts: u64,
    /// Whether a hint was asked for.
    pub was_hinted: bool,
}

/// Why an exercise deserves a look.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(tag = "reason", rename_all = "snake_case")]
pub enum Suspicion {
    /// Those who do well elsewhere do no better here, or worse: the key may be wrong or the question misleading.
    DiscriminatesBadly {
        /// The discrimination.
        discrimination: f64,
    },
    /// Even those who do best elsewhere fail.
    TooHardForTheBest {
        /// The rate of right first attempts of the best third.
        rate: f64,
    },
    /// Nearly everybody is right.
    TooEasy {
        /// The rate of right first attempts.
        rate: f64,
    },
    /// Most need a hint.
    NeedsHints {
        /// The share of learners with a hint.
        rate: f64,
    },
}

/// How an exercise does.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Item {
    /// The exercise.
    pub exercise: String,
    /// Learners with an attempt.
    pub learners: usize,
    /// Attempts in all.
    pub attempts: u64,
    /// The share of first attempts that were wrong; none without attempts.
    pub difficulty: Option<f64>,
    /// Corrected point-biserial correlation: that of the first attempt with the learner's rate of right first attempts at
    /// the other exercises. None for fewer than 20 learners, and where one of the two does not vary.
    pub discrimination: Option<f64>,
    /// The share of learners who asked for a hint.
    pub hint_rate: Option<f64>,
    /// The median time of first attempts in seconds.
    pub median_seconds: Option<f64>,
    /// Learners who did not complete the course, have done nothing in it for 14 days, and did this exercise last.
    pub stopped_here: u64,
    /// The errors that were met at it in the last [`ERROR_DAYS`](crate::ERROR_DAYS) days, the most frequent ones.
    pub error_types: Vec<ErrorType>,
    /// What is suspicious about it.
    pub suspicions: Vec<Suspicion>,
}

/// The exercises that some responses are about, sorted by name. Each learner and exercise comes once.
#[must_use]
pub fn analyse(responses: &[Response]) -> Vec<Item> {
    let mut totals: BTreeMap<i64, (u64, u64)> = BTreeMap::new();
    let mut by_exercise: BTreeMap<&str, Vec<&Response>> = BTreeMap::new();
    for response in responses {
        by_exercise.entry(&response.exercise).or_default().push(response);
        if let Some(is_correct) = response.is_first_correct {
            let total = totals.entry(response.learner).or_default();
            *total = (total.0 + u64::from(is_correct), total.1 + 1);
        }
    }
    by_exercise.into_iter().map(|(exercise, responses)| item(exercise, &responses, &totals)).collect()
}

fn item(exercise: &str, responses: &[&Response], totals: &BTreeMap<i64, (u64, u64)>) -> Item {
    // For each learner with an attempt here: right or wrong, and the rate at the other exercises.
    let mut pairs = Vec::new();
    for response in responses {
        let Some(is_correct) = response.is_first_correct else { continue };
        let (correct, attempts) = totals.get(&response.learner).copied().unwrap_or_default();
        let others = attempts.saturating_sub(1);
        let rest = (others > 0).then(|| correct.saturating_sub(u64::from(is_correct)) as f64 / others as f64);
        pairs.push((is_correct, rest));
    }
    let learners = pairs.len();
    let right = pairs.iter().filter(|(is_correct, _)| *is_correct).count();
    let ease = (learners > 0).then(|| right as f64 / learners as f64);
    let hinted = responses.iter().filter(|response| response.was_hinted).count();
    let mut known: Vec<(bool, f64)> =
        pairs.iter().filter_map(|(is_correct, rest)| Some((*is_correct, (*rest)?))).collect();
    let mut item = Item {
        exercise: exercise.to_owned(),
        learners,
        attempts: responses.iter().map(|response| response.attempts).sum(),
        difficulty: ease.map(|ease| 1.0 - ease),
        discrimination: correlation(&known),
        hint_rate: (!responses.is_empty()).then(|| hinted as f64 / responses.len() as f64),
        median_seconds: median(responses.iter().filter_map(|response| response.first_seconds).collect()),
        stopped_here: 0,
        error_types: Vec::new(),
        suspicions: Vec::new(),
    };
    if learners < LEARNERS_MIN {
        return item;
    }
    known.sort_by(|left, right| right.1.total_cmp(&left.1));
    item.suspicions = suspicions(&item, ease.unwrap_or(0.0), &known);
    item
}

fn suspicions(item: &Item, ease: f64, best_first: &[(bool, f64)]) -> Vec<Suspicion> {
    let mut found = Vec::new();
    if let Some(discrimination) = item.discrimination.filter(|value| *value < DISCRIMINATION_MIN) {
        found.push(Suspicion::DiscriminatesBadly { discrimination });
    }
    // All who do as well elsewhere as the last of the best third.
    let third = best_first.len() / 3;
    let cut = third.checked_sub(1).and_then(|last| best_first.get(last)).map_or(f64::INFINITY, |last| last.1);
    let best = &best_first[..best_first.partition_point(|(_, rest)| *rest >= cut)];
    if best.len() >= LEARNERS_MIN / 3 {
        let rate = best.iter().filter(|(is_correct, _)| *is_correct).count() as f64 / best.len() as f64;
        if rate < BEST_THIRD_MIN {
            found.push(Suspicion::TooHardForTheBest { rate });
        }
    }
    if ease > EASE_MAX {
        found.push(Suspicion::TooEasy { rate: ease });
    }
    if let Some(rate) = item.hint_rate.filter(|rate| *rate > HINT_RATE_MAX) {
        found.push(Suspicion::NeedsHints { rate });
    }
    found
}

/// Pearson's correlation of a yes or no with a number.
fn correlation(pairs: &[(bool, f64)]) -> Option<f64> {
    if pairs.len() < LEARNERS_MIN {
        return None;
    }
    let count = pairs.len() as f64;
    let as_number = |is_correct: bool| if is_correct { 1.0 } else { 0.0 };
    // Sums of sorted numbers: the order in which responses come must not show, not even in the last digit.
    let mut sorted = pairs.to_vec();
    sorted.sort_by(|left, right| left.1.total_cmp(&right.1).then(left.0.cmp(&right.0)));
    let mean_x = sorted.iter().map(|pair| as_number(pair.0)).sum::<f64>() / count;
    let mean_y = sorted.iter().map(|pair| pair.1).sum::<f64>() / count;
    let (mut xx, mut yy, mut xy) = (0.0, 0.0, 0.0);
    for (is_correct, y) in sorted {
        let (x, y) = (as_number(is_correct) - mean_x, y - mean_y);
        xx += x * x;
        yy += y * y;
        xy += x * y;
    }
    (xx > 1e-9 && yy > 1e-9).then(|| xy / (xx * yy).sqrt())
}

fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    let upper = values.get(middle).copied()?;
    if values.len() % 2 == 1 { Some(upper) } else { Some((values[middle - 1] + upper) / 2.0) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn response(learner: i64, exercise: &str, is_first_correct: bool) -> Response {
        Response {
            learner,
            exercise: exercise.to_owned(),
            is_first_correct: Some(is_first_correct),
            first_seconds: Some(learner as f64),
            attempts: 2,
            was_hinted: false,
        }
    }

    /// Thirty learners, of whom the first half can do it; one exercise is the wrong way round, one beyond everybody.
    fn class() -> Vec<Response> {
        let mut responses = Vec::new();
        for learner in 0..30 {
            let can = learner < 15;
            for exercise in ["a", "b", "c", "d"] {
                responses.push(response(learner, exercise, can || learner % 4 == 0));
            }
            responses.push(response(learner, "reversed", !can));
            responses.push(Response { was_hinted: true, ..response(learner, "beyond", learner == 2) });
        }
        responses
    }

    #[test]
    fn difficulty_time_and_hints_are_those_of_first_attempts() {
        let items = analyse(&class());
        let names: Vec<&str> = items.iter().map(|item| item.exercise.as_str()).collect();
        assert_eq!(names, ["a", "b", "beyond", "c", "d", "reversed"]);
        assert_eq!((items[0].learners, items[0].attempts), (30, 60));
        assert_eq!(items[5].difficulty, Some(0.5));
        assert_eq!(items[0].median_seconds, Some(14.5));
        assert_eq!(items[2].hint_rate, Some(1.0));
        assert!(items[0].discrimination.unwrap() > 0.5, "{:?}", items[0]);
    }

    #[test]
    fn suspicious_items_are_named_with_the_reason() {
        let items = analyse(&class());
        assert_eq!(items[0].suspicions, []);
        assert!(matches!(
            items[5].suspicions[..],
            [Suspicion::DiscriminatesBadly { discrimination }, Suspicion::TooHardForTheBest { rate }]
                if discrimination < -0.5 && rate < 0.25
        ));
        assert!(matches!(items[2].suspicions[0], Suspicion::TooHardForTheBest { rate } if rate < 0.2));
        assert!(items[2].suspicions.contains(&Suspicion::NeedsHints { rate: 1.0 }));
    }

    #[test]
    fn the_correlation_is_corrected_for_the_item_itself() {
        // Four learners' worth of one pattern: by hand, x = (1,1,0,0), rest = (1, .5, .5, 0), r = 0.5 / (1 * 0.7071).
        let mut responses = Vec::new();
        for round in 0..5 {
            for (learner, x, rest) in [
                (0, true, [true, true]),
                (1, true, [true, false]),
                (2, false, [true, false]),
                (3, false, [false, false]),
            ] {
                let learner = round * 4 + learner;
                responses.push(response(learner, "x", x));
                responses.push(response(learner, "y", rest[0]));
                responses.push(response(learner, "z", rest[1]));
            }
        }
        let discrimination = analyse(&responses)[0].discrimination.unwrap();
        assert!((discrimination - 0.5f64.sqrt()).abs() < 1e-12, "{discrimination}");
    }

    #[test]
    fn few_learners_say_nothing() {
        let item = &analyse(&[response(1, "a", true), response(2, "a", true)])[0];
        assert_eq!((item.discrimination, item.suspicions.len()), (None, 0));
        assert_eq!(analyse(&[]), []);
    }

    proptest! {
        #[test]
        fn the_order_of_responses_does_not_matter(ranks in prop::collection::vec(any::<u32>(), 180)) {
            let mut shuffled: Vec<(u32, Response)> = ranks.into_iter().zip(class()).collect();
            shuffled.sort_by_key(|(rank, _)| *rank);
            let shuffled: Vec<Response> = shuffled.into_iter().map(|(_, response)| response).collect();
            prop_assert_eq!(analyse(&shuffled), analyse(&class()));
        }
    }
}
