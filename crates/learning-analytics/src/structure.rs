//! What people declare: the lessons and exercises of courses, and what counts as a milestone. No I/O.

use std::collections::HashSet;

use belvedere_storage::Timestamp;
use serde::{Deserialize, Serialize};

use crate::LearningError;
use crate::event::{ID_BYTES_MAX, SKILL_BYTES_MAX, SKILLS_MAX};
use crate::milestones::{Rule, STREAK_DAYS_MAX};

/// The most lessons of a course.
pub const LESSONS_MAX: usize = 500;
/// The most exercises of a course.
pub const EXERCISES_MAX: usize = 2_000;
/// The most bytes of a title.
pub const TITLE_BYTES_MAX: usize = 300;
/// The most versions of a course's content.
pub const VERSIONS_MAX: usize = 20;
/// The most rules of milestones.
pub const RULES_MAX: usize = 20;
/// The most exercises that a rule may ask for.
pub const RULE_EXERCISES_MAX: u32 = 1_000;

/// A course as its makers declare it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CourseStructure {
    /// What people call it.
    #[serde(default)]
    pub title: String,
    /// Its lessons in their order, at most [`LESSONS_MAX`].
    pub lessons: Vec<LessonPlan>,
    /// The exercise that tests what learners know before the course.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pretest: Option<String>,
    /// The exercise that tests what they know after it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub posttest: Option<String>,
    /// The versions of its content in their order, at most [`VERSIONS_MAX`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub versions: Vec<ContentVersion>,
}

/// A version of a course's content.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ContentVersion {
    /// What people call it, once in a course.
    pub version: String,
    /// From when on learners began with it. Those who came before the first one count with it.
    pub since: Timestamp,
}

/// A lesson of a course.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LessonPlan {
    /// Its id in events.
    pub id: String,
    /// What people call it.
    #[serde(default)]
    pub title: String,
    /// Whether the course is complete without it.
    #[serde(default)]
    pub is_optional: bool,
    /// Its exercises in their order.
    #[serde(default)]
    pub exercises: Vec<ExercisePlan>,
}

/// An exercise of a lesson.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExercisePlan {
    /// Its id in events, once in a course.
    pub id: String,
    /// What people call it.
    #[serde(default)]
    pub title: String,
    /// What it is about, for events that do not say so.
    #[serde(default)]
    pub skills: Vec<String>,
}

impl CourseStructure {
    /// Whether it is within all limits.
    ///
    /// # Errors
    /// [`LearningError::Invalid`] with the field.
    pub fn check(&self) -> Result<(), LearningError> {
        check_title(&self.title)?;
        if self.lessons.len() > LESSONS_MAX {
            return Err(LearningError::invalid("lessons", format!("are more than {LESSONS_MAX}")));
        }
        let (mut lessons, mut exercises) = (HashSet::new(), HashSet::new());
        for lesson in &self.lessons {
            check_id("lessons", &lesson.id)?;
            check_title(&lesson.title)?;
            if !lessons.insert(&lesson.id) {
                return Err(LearningError::invalid("lessons", "the id of each must be its own"));
            }
            for exercise in &lesson.exercises {
                check_id("exercises", &exercise.id)?;
                check_title(&exercise.title)?;
                if !exercises.insert(&exercise.id) {
                    return Err(LearningError::invalid(
                        "exercises",
                        "the id of each must be its own in the course",
                    ));
                }
                let is_wrong = |skill: &String| {
                    skill.trim().is_empty()
                        || skill.len() > SKILL_BYTES_MAX
                        || skill.chars().any(char::is_control)
                };
                if exercise.skills.len() > SKILLS_MAX || exercise.skills.iter().any(is_wrong) {
                    let why = format!("are at most {SKILLS_MAX} of 1 to {SKILL_BYTES_MAX} bytes in one line");
                    return Err(LearningError::invalid("skills", why));
                }
            }
        }
        if exercises.len() > EXERCISES_MAX {
            return Err(LearningError::invalid("exercises", format!("are more than {EXERCISES_MAX}")));
        }
        self.check_tests()?;
        self.check_versions()
    }

    fn check_tests(&self) -> Result<(), LearningError> {
        let (Some(pretest), Some(posttest)) = (&self.pretest, &self.posttest) else {
            let is_half = self.pretest.is_some() || self.posttest.is_some();
            let half =
                || LearningError::invalid("posttest", "goes with a pretest, and none without the other");
            return if is_half { Err(half()) } else { Ok(()) };
        };
        check_id("pretest", pretest)?;
        check_id("posttest", posttest)?;
        if pretest == posttest {
            return Err(LearningError::invalid("posttest", "must be another exercise than the pretest"));
        }
        Ok(())
    }

    fn check_versions(&self) -> Result<(), LearningError> {
        if self.versions.len() > VERSIONS_MAX {
            return Err(LearningError::invalid("versions", format!("are more than {VERSIONS_MAX}")));
        }
        let mut seen = HashSet::new();
        for version in &self.versions {
            check_id("versions", &version.version)?;
            if !seen.insert(&version.version) {
                return Err(LearningError::invalid("versions", "the name of each must be its own"));
            }
        }
        if self.versions.windows(2).any(|pair| pair[0].since >= pair[1].since) {
            return Err(LearningError::invalid("versions", "each must be since later than the one before"));
        }
        Ok(())
    }

    /// The exercises that test what learners know before and after the course.
    #[must_use]
    pub fn tests(&self) -> Option<(&str, &str)> {
        self.pretest.as_deref().zip(self.posttest.as_deref())
    }

    /// The ids of the lessons without which the course is not complete.
    pub fn required(&self) -> impl Iterator<Item = &str> {
        self.lessons.iter().filter(|lesson| !lesson.is_optional).map(|lesson| lesson.id.as_str())
    }

    /// The declared skills of an exercise.
    #[must_use]
    pub fn skills_of(&self, exercise: &str) -> &[String] {
        let mut exercises = self.lessons.iter().flat_map(|lesson| &lesson.exercises);
        exercises.find(|it| it.id == exercise).map_or(&[], |it| &it.skills)
    }
}

fn check_title(title: &str) -> Result<(), LearningError> {
    if title.len() > TITLE_BYTES_MAX || title.chars().any(char::is_control) {
        let why = format!("is one line of at most {TITLE_BYTES_MAX} bytes");
        return Err(LearningError::invalid("title", why));
    }
    Ok(())
}

/// Whether a text can be an id of events.
pub(crate) fn check_id(field: &'static str, id: &str) -> Result<(), LearningError> {
    if id.is_empty() || id.len() > ID_BYTES_MAX || id.chars().any(char::is_control) {
        return Err(LearningError::invalid(
            field,
            format!("an id has 1 to {ID_BYTES_MAX} bytes in one line"),
        ));
    }
    Ok(())
}

/// What counts as a milestone where nothing is declared.
#[must_use]
pub fn usual_rules() -> Vec<Rule> {
    vec![
        Rule::FirstLesson,
        Rule::StreakDays { days: 7 },
        Rule::ExercisesWithoutHint { exercises: 10 },
        Rule::CourseComplete,
    ]
}

/// Whether rules are within all limits.
///
/// # Errors
/// [`LearningError::Invalid`].
pub fn check_rules(rules: &[Rule]) -> Result<(), LearningError> {
    if rules.len() > RULES_MAX {
        return Err(LearningError::invalid("rules", format!("are more than {RULES_MAX}")));
    }
    for rule in rules {
        match *rule {
            Rule::StreakDays { days } if !(2..=STREAK_DAYS_MAX).contains(&days) => {
                return Err(LearningError::invalid("days", format!("must be from 2 to {STREAK_DAYS_MAX}")));
            }
            Rule::ExercisesWithoutHint { exercises } if !(1..=RULE_EXERCISES_MAX).contains(&exercises) => {
                let why = format!("must be from 1 to {RULE_EXERCISES_MAX}");
                return Err(LearningError::invalid("exercises", why));
            }
            _ => {}
        }
    }
    Ok(())
}

/// A rule as a word that only it has, such as `streak_days:7`.
pub(crate) fn rule_word(rule: Rule) -> String {
    match rule {
        Rule::FirstLesson => "first_lesson".to_owned(),
        Rule::StreakDays { days } => format!("streak_days:{days}"),
        Rule::ExercisesWithoutHint { exercises } => format!("exercises_without_hint:{exercises}"),
        Rule::CourseComplete => "course_complete".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn course() -> CourseStructure {
        let exercise = |id: &str| ExercisePlan {
            id: id.to_owned(),
            skills: vec!["loops".to_owned()],
            ..ExercisePlan::default()
        };
        let lesson = |id: &str, is_optional, exercises| LessonPlan {
            id: id.to_owned(),
            is_optional,
            exercises,
            ..LessonPlan::default()
        };
        let lessons =
            vec![lesson("one", false, vec![exercise("a"), exercise("b")]), lesson("two", true, vec![])];
        CourseStructure { title: "Rust".to_owned(), lessons, ..CourseStructure::default() }
    }

    #[test]
    fn a_structure_says_what_is_required_and_what_exercises_are_about() {
        let course = course();
        course.check().unwrap();
        assert_eq!(course.required().collect::<Vec<_>>(), ["one"]);
        assert_eq!(course.skills_of("b"), ["loops"]);
        assert_eq!(course.skills_of("z"), [""; 0]);
    }

    #[test]
    fn what_is_beyond_a_limit_is_refused_by_its_field() {
        let refusal = |change: fn(&mut CourseStructure)| {
            let mut course = course();
            change(&mut course);
            course.check().unwrap_err().to_string()
        };
        assert!(refusal(|it| it.lessons[0].id.clear()).starts_with("lessons: an id has"));
        assert!(refusal(|it| it.lessons[1].id = "one".to_owned()).starts_with("lessons: the id of each"));
        assert!(
            refusal(|it| it.lessons[0].exercises[1].id = "a".to_owned()).starts_with("exercises: the id")
        );
        assert!(
            refusal(|it| it.lessons[0].exercises[0].skills[0].clear()).starts_with("skills: are at most")
        );
        assert!(refusal(|it| it.title = "x".repeat(301)).starts_with("title: is one line"));
        assert!(refusal(|it| it.pretest = Some("a".to_owned())).starts_with("posttest: goes with"));
        let same = |it: &mut CourseStructure| {
            (it.pretest, it.posttest) = (Some("a".to_owned()), Some("a".to_owned()));
        };
        assert!(refusal(same).starts_with("posttest: must be another"));
        let version = |name: &str, second: i64| ContentVersion {
            version: name.to_owned(),
            since: Timestamp::from_micros(second * 1_000_000),
        };
        let refused = |versions| CourseStructure { versions, ..course() }.check().unwrap_err().to_string();
        assert!(refused(vec![version("1", 1), version("1", 2)]).starts_with("versions: the name"));
        assert!(refused(vec![version("1", 2), version("2", 2)]).starts_with("versions: each must"));
        assert!(refused((0..21).map(|n| version(&n.to_string(), n)).collect()).starts_with("versions: are"));
        check_rules(&usual_rules()).unwrap();
        assert!(check_rules(&[Rule::StreakDays { days: 1 }]).is_err());
        assert!(check_rules(&[Rule::ExercisesWithoutHint { exercises: 0 }]).is_err());
        assert!(check_rules(&[Rule::FirstLesson; 21]).is_err());
    }
}
