//! What a learner has achieved, by declared rules.

use serde::{Deserialize, Serialize};

/// The most days of a streak that a rule may ask for.
pub const STREAK_DAYS_MAX: u32 = 100;
/// How many active days are remembered.
pub const DAYS_MAX: usize = 400;

/// When something is an achievement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Rule {
    /// A lesson is completed for the first time.
    FirstLesson,
    /// On so many days in a row, in the project's time zone, something was done.
    StreakDays {
        /// 2 to [`STREAK_DAYS_MAX`].
        days: u32,
    },
    /// So many exercises were solved without a hint.
    ExercisesWithoutHint {
        /// At least 1.
        exercises: u32,
    },
    /// A course is completed; each course is an achievement of its own.
    CourseComplete,
}

/// The days on which something was done, numbered since 1970-01-01, with the first event of each.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ActiveDays(Vec<(i64, i64)>);

impl ActiveDays {
    /// Takes in that something was done on a day; the last [`DAYS_MAX`] days are kept.
    pub fn add(&mut self, day: i64, at_micros: i64) {
        match self.0.binary_search_by_key(&day, |(day, _)| *day) {
            Ok(place) => self.0[place].1 = self.0[place].1.min(at_micros),
            Err(place) => self.0.insert(place, (day, at_micros)),
        }
        if self.0.len() > DAYS_MAX {
            self.0.remove(0);
        }
    }

    /// The days, the earliest first.
    pub fn days(&self) -> impl Iterator<Item = i64> {
        self.0.iter().map(|(day, _)| *day)
    }

    /// The days whose first event was at a time or before, the earliest first.
    pub(crate) fn days_until(&self, at_micros: i64) -> impl Iterator<Item = i64> {
        self.0.iter().filter(move |(_, first)| *first <= at_micros).map(|(day, _)| *day)
    }

    /// When so many days in a row were there for the first time, and how many there are in a row up to the last day.
    fn streak(&self, days: u32) -> (Option<i64>, u32) {
        let (mut reached, mut in_row, mut before) = (None, 0, None);
        for (day, at) in &self.0 {
            in_row = if before == Some(day - 1) { in_row + 1 } else { 1 };
            before = Some(*day);
            if in_row >= days && reached.is_none() {
                reached = Some(*at);
            }
        }
        (reached, in_row)
    }

    /// How many days in a row there are up to the last day.
    #[must_use]
    pub fn in_row(&self) -> u32 {
        self.streak(u32::MAX).1
    }
}

/// What milestones are detected from, as of a learner.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Facts {
    /// Completions of lessons: the first.
    pub first_lesson_micros: Option<i64>,
    /// On which days something was done.
    pub days: ActiveDays,
    /// When each exercise was solved for which no hint came before, in any order.
    pub unhinted_micros: Vec<i64>,
    /// Completed courses and when.
    pub courses: Vec<(String, i64)>,
}

/// An achievement of a learner.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Milestone {
    /// Of which rule.
    pub rule: Rule,
    /// Of which course; empty where the rule is about no course.
    pub course: String,
    /// When it was reached.
    pub reached_micros: i64,
}

/// The milestones that the facts amount to; each rule once, or once a course.
#[must_use]
pub fn reached(rules: &[Rule], facts: &Facts) -> Vec<Milestone> {
    let mut unhinted = facts.unhinted_micros.clone();
    unhinted.sort_unstable();
    let mut milestones = Vec::new();
    for rule in rules {
        let at = match *rule {
            Rule::FirstLesson => facts.first_lesson_micros,
            Rule::StreakDays { days } => facts.days.streak(days).0,
            Rule::ExercisesWithoutHint { exercises } => {
                (exercises as usize).checked_sub(1).and_then(|place| unhinted.get(place)).copied()
            }
            Rule::CourseComplete => {
                let completed = facts.courses.iter();
                milestones.extend(completed.map(|(course, at)| Milestone {
                    rule: *rule,
                    course: course.clone(),
                    reached_micros: *at,
                }));
                None
            }
        };
        let of_rule = |reached_micros| Milestone { rule: *rule, course: String::new(), reached_micros };
        milestones.extend(at.map(of_rule));
    }
    milestones.sort_unstable();
    milestones.dedup();
    milestones
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn days(days: &[i64]) -> ActiveDays {
        let mut active = ActiveDays::default();
        days.iter().for_each(|day| active.add(*day, day * 100));
        active
    }

    #[test]
    fn a_streak_is_reached_on_its_last_day_and_only_by_days_in_a_row() {
        let rules = [Rule::StreakDays { days: 3 }];
        let reached_on = |active: &[i64]| {
            let facts = Facts { days: days(active), ..Facts::default() };
            reached(&rules, &facts).first().map(|milestone| milestone.reached_micros)
        };
        assert_eq!(reached_on(&[1, 2, 4, 5, 7]), None);
        assert_eq!(reached_on(&[1, 2, 4, 5, 6, 7]), Some(600));
        // A late event fills the gap: the streak was reached earlier.
        assert_eq!(reached_on(&[1, 2, 4, 5, 6, 7, 3]), Some(300));
        assert_eq!(days(&[1, 2, 4, 5, 6]).in_row(), 3);
        assert_eq!(ActiveDays::default().in_row(), 0);
    }

    #[test]
    fn exercises_without_a_hint_are_counted_in_the_order_of_their_time() {
        let rules = [Rule::ExercisesWithoutHint { exercises: 2 }];
        let facts = Facts { unhinted_micros: vec![50, 10, 30], ..Facts::default() };
        assert_eq!(reached(&rules, &facts)[0].reached_micros, 30);
        assert_eq!(reached(&rules, &Facts { unhinted_micros: vec![50], ..Facts::default() }), []);
    }

    #[test]
    fn every_course_is_a_milestone_of_its_own() {
        let facts = Facts {
            first_lesson_micros: Some(5),
            courses: vec![("rust".to_owned(), 9), ("go".to_owned(), 7)],
            ..Facts::default()
        };
        let milestones = reached(&[Rule::FirstLesson, Rule::CourseComplete], &facts);
        let found: Vec<_> =
            milestones.iter().map(|it| (it.rule, it.course.as_str(), it.reached_micros)).collect();
        assert_eq!(
            found,
            [(Rule::FirstLesson, "", 5), (Rule::CourseComplete, "go", 7), (Rule::CourseComplete, "rust", 9)]
        );
    }

    proptest! {
        #[test]
        fn days_are_the_same_in_any_order(mut acts in prop::collection::vec((0i64..500, 0i64..99), 0..600)) {
            let fold = |acts: &[(i64, i64)]| {
                let mut active = ActiveDays::default();
                acts.iter().for_each(|(day, at)| active.add(*day, *at));
                active
            };
            let active = fold(&acts);
            acts.sort_unstable();
            prop_assert_eq!(fold(&acts), active);
        }
    }
}
