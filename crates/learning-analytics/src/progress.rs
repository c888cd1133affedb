//! How far a learner is: completion, active time, attempts and scores, folded from events in any order.
//!
//! Every field is a count, an extreme or a set, so the order of arrival has no part in it. Each event is to be folded
//! once: who folds knows which events are new.

use serde::{Deserialize, Serialize};

use crate::history::EventKey;

/// Gaps longer than this are idle and count as no time.
pub const IDLE_AFTER_MICROS: i64 = 5 * 60 * 1_000_000;
/// How many visits are remembered one by one; of older ones, only the time is.
pub const VISITS_MAX: usize = 128;

/// What an event says about progress.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Mark {
    /// When, in microseconds since 1970, UTC.
    pub at_micros: i64,
    /// Which event.
    pub event: EventKey,
    /// It begins a lesson, or enrols in a course.
    pub begins: bool,
    /// It completes the lesson, or the course.
    pub completes: bool,
    /// It is an attempt, and whether it was right.
    pub attempt: Option<bool>,
    /// It asks for a hint.
    pub is_hint: bool,
    /// Points, 0 to 100.
    pub score: Option<f64>,
    /// How much of it is done, 0 to 1, as a video's position says.
    pub done: Option<f64>,
    /// How long it took, as the client measured it, in seconds.
    pub stated_seconds: Option<f64>,
}

/// A score and where it comes from.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Score {
    /// Points, 0 to 100.
    pub points: f64,
    /// When, in microseconds since 1970, UTC.
    pub at_micros: i64,
    /// Which event.
    pub event: EventKey,
}

/// The progress of a learner in a lesson, a course, or all courses.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Progress {
    /// The first event.
    pub first_at_micros: Option<i64>,
    /// The last event.
    pub last_at_micros: Option<i64>,
    /// The first event that begins it.
    pub begun_at_micros: Option<i64>,
    /// The first event that completes it.
    pub completed_at_micros: Option<i64>,
    /// Attempts at exercises.
    pub attempts: u64,
    /// Attempts that were right.
    pub successes: u64,
    /// Hints that were asked for.
    pub hints: u64,
    /// The best score.
    pub best_points: Option<f64>,
    /// The score of the latest event that has one.
    pub last_score: Option<Score>,
    /// The most that was said to be done, 0 to 1.
    pub done: f64,
    /// The time that clients measured themselves, in milliseconds.
    pub stated_ms: u64,
    /// Stretches of events with no gap over [`IDLE_AFTER_MICROS`], first and last event of each, in their order.
    visits: Vec<(i64, i64)>,
    /// The time of visits that are not remembered any more, and up to when those went.
    older_micros: i64,
    older_until: Option<i64>,
}

impl Progress {
    /// Takes an event in.
    pub fn fold(&mut self, mark: &Mark) {
        let earliest = |known: Option<i64>| Some(known.map_or(mark.at_micros, |at| at.min(mark.at_micros)));
        self.first_at_micros = earliest(self.first_at_micros);
        self.last_at_micros = self.last_at_micros.max(Some(mark.at_micros));
        if mark.begins {
            self.begun_at_micros = earliest(self.begun_at_micros);
        }
        if mark.completes {
            self.completed_at_micros = earliest(self.completed_at_micros);
        }
        self.attempts += u64::from(mark.attempt.is_some());
        self.successes += u64::from(mark.attempt == Some(true));
        self.hints += u64::from(mark.is_hint);
        if let Some(points) = mark.score {
            self.best_points = Some(self.best_points.map_or(points, |best| best.max(points)));
            let score = Score { points, at_micros: mark.at_micros, event: mark.event };
            let is_later = |last: &Score| (last.at_micros, last.event) < (score.at_micros, score.event);
            if self.last_score.as_ref().is_none_or(is_later) {
                self.last_score = Some(score);
            }
        }
        self.done = self.done.max(mark.done.unwrap_or(0.0));
        // Whole milliseconds: sums of fractions would depend on their order.
        self.stated_ms += mark.stated_seconds.map_or(0, |seconds| (seconds * 1_000.0).round() as u64);
        self.visit(mark.at_micros);
    }

    fn visit(&mut self, at: i64) {
        if self.older_until.is_some_and(|until| at <= until.saturating_add(IDLE_AFTER_MICROS)) {
            return;
        }
        let from = self.visits.partition_point(|(_, last)| last.saturating_add(IDLE_AFTER_MICROS) < at);
        let until = self.visits.partition_point(|(first, _)| first.saturating_sub(IDLE_AFTER_MICROS) <= at);
        // One visit that it belongs to, or two between which it is the bridge.
        let joined = self.visits[from..until]
            .iter()
            .fold((at, at), |joined, visit| (joined.0.min(visit.0), joined.1.max(visit.1)));
        self.visits.splice(from..until, [joined]);
        if self.visits.len() > VISITS_MAX {
            let (first, last) = self.visits.remove(0);
            self.older_micros += last - first;
            self.older_until = Some(last);
        }
    }

    /// The time between events, without idle gaps, in seconds. Exact for the last [`VISITS_MAX`] visits; events that
    /// arrive later than so many visits add no time.
    #[must_use]
    pub fn active_seconds(&self) -> f64 {
        let micros: i64 = self.visits.iter().map(|(first, last)| last - first).sum();
        (micros + self.older_micros) as f64 / 1e6
    }

    /// The last [`VISITS_MAX`] visits in their order: the first and the last event of each.
    #[must_use]
    pub fn visits(&self) -> &[(i64, i64)] {
        &self.visits
    }

    /// Whether it is completed.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.completed_at_micros.is_some()
    }

    /// How much of a lesson is done, 0 to 1: all, once it is completed, else what was said.
    #[must_use]
    pub fn completion(&self) -> f64 {
        if self.is_complete() { 1.0 } else { self.done.clamp(0.0, 1.0) }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;

    fn mark(number: u128, second: i64) -> Mark {
        Mark {
            at_micros: second * 1_000_000,
            event: EventKey(number),
            begins: false,
            completes: false,
            attempt: None,
            is_hint: false,
            score: None,
            done: None,
            stated_seconds: None,
        }
    }

    fn fold(marks: &[Mark]) -> Progress {
        let mut progress = Progress::default();
        marks.iter().for_each(|mark| progress.fold(mark));
        progress
    }

    #[test]
    fn gaps_over_five_minutes_are_no_active_time() {
        let seconds = [0, 60, 360, 661, 700];
        let marks: Vec<Mark> = seconds.iter().map(|second| mark(*second as u128, *second)).collect();
        // 0 to 360 without a gap over 300; 301 to 661 is idle; 661 to 700.
        assert_eq!(fold(&marks).active_seconds(), 399.0);
        assert_eq!(fold(&marks[..1]).active_seconds(), 0.0);
        let bridged = fold(&[mark(1, 0), mark(2, 600), mark(3, 300)]);
        assert_eq!(bridged.active_seconds(), 600.0);
    }

    #[test]
    fn the_last_score_is_that_of_the_latest_event_and_the_best_is_kept() {
        let scored = |number, second, score| Mark { score: Some(score), ..mark(number, second) };
        let progress = fold(&[scored(2, 20, 40.0), scored(1, 10, 90.0), scored(3, 20, 55.0)]);
        assert_eq!(progress.best_points, Some(90.0));
        assert_eq!(progress.last_score.unwrap().points, 55.0);
    }

    #[test]
    fn the_first_completion_counts() {
        let complete = |number, second| Mark { completes: true, done: Some(0.4), ..mark(number, second) };
        let progress = fold(&[complete(1, 90), complete(2, 30), mark(3, 10)]);
        assert_eq!(progress.completed_at_micros, Some(30_000_000));
        assert_eq!((progress.completion(), progress.first_at_micros), (1.0, Some(10_000_000)));
        assert_eq!(fold(&[Mark { done: Some(0.4), ..mark(1, 1) }]).completion(), 0.4);
    }

    #[test]
    fn time_of_visits_beyond_those_remembered_stays() {
        let mut progress = Progress::default();
        for visit in 0..2 * VISITS_MAX as i64 {
            progress.fold(&mark(1, visit * 10_000));
            progress.fold(&mark(2, visit * 10_000 + 100));
        }
        assert_eq!(progress.visits.len(), VISITS_MAX);
        assert_eq!(progress.active_seconds(), 200.0 * VISITS_MAX as f64);
    }

    /// From scratch and another way: sorted, each id once, gap by gap.
    fn active_seconds_of(marks: &[Mark]) -> f64 {
        let mut times: Vec<i64> = marks.iter().map(|mark| mark.at_micros).collect();
        times.sort_unstable();
        let gaps = times.windows(2).map(|pair| pair[1] - pair[0]);
        gaps.filter(|gap| *gap <= IDLE_AFTER_MICROS).sum::<i64>() as f64 / 1e6
    }

    /// As numbers arrive: with so few digits that they are the same after being written and read.
    fn thousandths(number: i32) -> f64 {
        f64::from(number) / 1_000.0
    }

    fn any_mark() -> impl Strategy<Value = Mark> {
        (
            0i64..86_400,
            any::<[bool; 3]>(),
            prop::option::of(any::<bool>()),
            prop::option::of((0..=100_000).prop_map(thousandths)),
            prop::option::of((0..=1_000).prop_map(thousandths)),
            prop::option::of((0..900_000).prop_map(thousandths)),
        )
            .prop_map(
                |(second, [begins, completes, is_hint], attempt, score, done, stated_seconds)| Mark {
                    begins,
                    completes,
                    attempt,
                    is_hint,
                    score,
                    done,
                    stated_seconds,
                    ..mark(0, second)
                },
            )
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

        #[test]
        fn every_permutation_of_a_days_events_gives_the_same(
            marks in prop::collection::vec(any_mark(), 1..80),
            orders in prop::collection::vec(prop::collection::vec(any::<u32>(), 160), 20),
        ) {
            let marks: Vec<Mark> =
                marks.into_iter().enumerate().map(|(n, mark)| Mark { event: EventKey(n as u128), ..mark }).collect();
            let mut sorted = marks.clone();
            sorted.sort_by_key(|mark| (mark.at_micros, mark.event));
            let expected = fold(&sorted);
            prop_assert_eq!(expected.active_seconds(), active_seconds_of(&marks));
            // 200 days with 20 permutations each, every event delivered twice.
            for order in &orders {
                let twice = marks.iter().chain(&marks);
                let mut shuffled: Vec<(u32, Mark)> = order.iter().copied().zip(twice.copied()).collect();
                shuffled.sort_by_key(|(rank, _)| *rank);
                let mut seen = HashSet::new();
                let new: Vec<Mark> =
                    shuffled.into_iter().map(|(_, mark)| mark).filter(|mark| seen.insert(mark.event)).collect();
                prop_assert_eq!(&fold(&new), &expected);
            }
            let text = serde_json::to_string(&expected).unwrap();
            prop_assert_eq!(serde_json::from_str::<Progress>(&text).unwrap(), expected);
        }
    }
}
