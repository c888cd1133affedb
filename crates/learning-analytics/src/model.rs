//! What others see of learners, courses and exercises. Learners are numbers of subjects, never names.

use belvedere_kernel::{Actor, ProjectId, SubjectId};
use belvedere_storage::{PageRequest, Timestamp};
use serde::Serialize;

use crate::comparison::Measure;
use crate::engagement::Engagement;
use crate::items::Item;
use crate::mastery::Estimate;
use crate::milestones::Rule;
use crate::statement::StatementHome;
use crate::struggling::Struggle;

/// A learner over all courses.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LearnerProgress {
    /// Who.
    pub subject: SubjectId,
    /// Events in all.
    pub events: u64,
    /// The first event.
    pub first_at: Option<Timestamp>,
    /// The last event.
    pub last_at: Option<Timestamp>,
    /// Days on which something was done, of the last 400 such days.
    pub active_days: u64,
    /// Days in a row up to the last one.
    pub streak_days: u32,
    /// Attempts at exercises.
    pub attempts: u64,
    /// Right ones.
    pub successes: u64,
    /// Their courses by id.
    pub courses: Vec<CourseProgress>,
}

/// A learner in a course.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CourseProgress {
    /// The course's id.
    pub course: String,
    /// Its declared title; empty for none.
    pub title: String,
    /// When they enrolled.
    pub enrolled_at: Option<Timestamp>,
    /// How far they are.
    pub progress: PlaceProgress,
    /// How they worked in it in the last eight weeks.
    pub engagement: Engagement,
    /// The lessons that they have been in, by id.
    pub lessons: Vec<LessonProgress>,
}

/// A learner in a lesson.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LessonProgress {
    /// The lesson's id.
    pub lesson: String,
    /// Its declared title; empty for none.
    pub title: String,
    /// How far they are.
    pub progress: PlaceProgress,
}

/// How far a learner is in a course or a lesson.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct PlaceProgress {
    /// The first event that is more than enrolling.
    pub started_at: Option<Timestamp>,
    /// When it was completed.
    pub completed_at: Option<Timestamp>,
    /// The last event.
    pub last_at: Option<Timestamp>,
    /// How much of it is done, 0 to 1: of a course, the share of its required lessons that are complete; of a lesson, what
    /// its video says. None for a course that is not complete and has no declared lessons.
    pub completion: Option<f64>,
    /// Time between events, without gaps over five minutes.
    pub active_seconds: f64,
    /// Time that the client measured itself.
    pub stated_seconds: f64,
    /// Attempts at exercises.
    pub attempts: u64,
    /// Right ones.
    pub successes: u64,
    /// Hints that were asked for.
    pub hints: u64,
    /// The best score, 0 to 100.
    pub best_score: Option<f64>,
    /// The latest score, 0 to 100.
    pub last_score: Option<f64>,
}

/// Which learners of a course are wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListLearners {
    /// The project.
    pub project: ProjectId,
    /// The course.
    pub course: String,
    /// Which page, in the order of their numbers.
    pub page: PageRequest,
}

/// A learner of a course.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LearnerOfCourse {
    /// Who.
    pub subject: SubjectId,
    /// When they enrolled.
    pub enrolled_at: Option<Timestamp>,
    /// How far they are.
    pub progress: PlaceProgress,
}

/// A course in a list.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CourseRow {
    /// Its id.
    pub course: String,
    /// Its declared title; empty for none.
    pub title: String,
    /// Learners with an event.
    pub learners: u64,
    /// Those who enrolled.
    pub enrolled: u64,
    /// Those who did more than enrol.
    pub started: u64,
    /// Those who completed it.
    pub completed: u64,
    /// Those with an event in the last 14 days.
    pub active: u64,
    /// The lower median of the active time of those who completed it.
    pub median_seconds: Option<f64>,
}

/// How a course does.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CourseSummary {
    /// Its id.
    pub course: String,
    /// Its declared title; empty for none.
    pub title: String,
    /// Learners with an event.
    pub learners: u64,
    /// Learners who enrolled.
    pub enrolled: u64,
    /// Learners who did more than enrol.
    pub started: u64,
    /// Learners who completed it.
    pub completed: u64,
    /// Of those who started, the share that completed it.
    pub completion_rate: Option<f64>,
    /// The lower median of the active time of those who completed it.
    pub median_seconds: Option<f64>,
    /// The normalised gain from the declared test before the course to the one after it; none where no tests are declared,
    /// or fewer than five learners took both.
    pub gain: Option<Measure>,
    /// Its lessons: declared ones in their order, then the others by id; at most 500.
    pub lessons: Vec<LessonSummary>,
}

/// How a lesson does.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct LessonSummary {
    /// Its id.
    pub lesson: String,
    /// Its declared title; empty for none.
    pub title: String,
    /// Learners who did something in it.
    pub started: u64,
    /// Learners who completed it.
    pub completed: u64,
    /// Of those who started it, the share that did not complete it.
    pub drop_off: Option<f64>,
    /// Learners who did not complete the course, have done nothing in it for 14 days, and were here last.
    pub stopped_here: u64,
    /// The lower median of the active time of those who completed it.
    pub median_seconds: Option<f64>,
}

/// The exercises of a course.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ItemTable {
    /// By id.
    pub items: Vec<Item>,
    /// Whether there are more answers than are looked at, 200,000.
    pub is_cut: bool,
}

/// What a learner can do.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SkillMastery {
    /// The skill.
    pub skill: String,
    /// The chance of a right answer at an average exercise of it.
    pub estimate: Estimate,
    /// Attempts.
    pub attempts: u64,
    /// Right ones.
    pub successes: u64,
    /// Whether they struggle with it, and why.
    pub struggle: Struggle,
}

/// What to do next.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Recommendation {
    /// The exercise.
    pub exercise: String,
    /// Its declared title; empty for none.
    pub title: String,
    /// Its declared lesson.
    pub lesson: Option<String>,
    /// What it is about.
    pub skills: Vec<String>,
    /// The chance that the learner's next attempt is right.
    pub estimate: Estimate,
    /// Why it and not another, as a sentence.
    pub reason: String,
}

/// Which flags are wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListStruggling {
    /// The project.
    pub project: ProjectId,
    /// Those as well of learners who do not struggle any more.
    pub with_cleared: bool,
    /// Which page, the latest first.
    pub page: PageRequest,
}

/// A learner who struggles with a skill, or did.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct StrugglingLearner {
    /// Who.
    pub subject: SubjectId,
    /// With what.
    pub skill: String,
    /// When it was noticed.
    pub flagged_at: Timestamp,
    /// When it began.
    pub onset_at: Timestamp,
    /// When it was over.
    pub cleared_at: Option<Timestamp>,
    /// What somebody said of it.
    pub feedback: Option<FlagFeedback>,
    /// How it is now.
    pub struggle: Struggle,
}

/// What somebody says of a flag.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FlagFeedback {
    /// It was right, and somebody helped.
    Helped,
    /// It was wrong.
    NotStruggling,
}

impl FlagFeedback {
    /// The feedback as a word: `helped`, `not_struggling`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Helped => "helped",
            Self::NotStruggling => "not_struggling",
        }
    }

    /// The feedback that a word names.
    #[must_use]
    pub fn find(word: &str) -> Option<Self> {
        [Self::Helped, Self::NotStruggling].into_iter().find(|it| it.as_str() == word)
    }

    pub(crate) fn to_number(self) -> i64 {
        match self {
            Self::Helped => 1,
            Self::NotStruggling => 2,
        }
    }

    pub(crate) fn from_number(number: i64) -> Option<Self> {
        [Self::Helped, Self::NotStruggling].into_iter().find(|it| it.to_number() == number)
    }
}

/// How often flags were right.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize)]
pub struct FlagPrecision {
    /// Flags in all.
    pub flags: u64,
    /// Of them, those on learners who still struggle.
    pub open: u64,
    /// Flags that somebody called right.
    pub helped: u64,
    /// Flags that somebody called wrong.
    pub not_struggling: u64,
    /// Of those that somebody judged, the share that was right.
    pub precision: Option<f64>,
}

/// Which milestones are wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListMilestones {
    /// The project.
    pub project: ProjectId,
    /// Those of one learner.
    pub subject: Option<SubjectId>,
    /// Which page, the latest first.
    pub page: PageRequest,
}

/// Which statements are wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListStatements {
    /// The project, and where its activities are at home.
    pub home: StatementHome,
    /// The learner.
    pub subject: SubjectId,
    /// Which page, the latest first.
    pub page: PageRequest,
}

/// A milestone that a learner has reached.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ReachedMilestone {
    /// Who.
    pub subject: SubjectId,
    /// By which rule: `first_lesson`, `streak_days:7`, `exercises_without_hint:10`, `course_complete`.
    pub rule: String,
    /// Of which course; empty where the rule is about no course.
    pub course: String,
    /// When.
    pub reached_at: Timestamp,
}

/// What happens at this moment.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LearningNow {
    /// Up to when.
    pub until: Timestamp,
    /// Events in each of the last [`NOW_MINUTES`](crate::NOW_MINUTES) minutes, oldest first.
    pub by_minute: Vec<u64>,
    /// Learners with an event in the last [`PRESENT_MINUTES`](crate::PRESENT_MINUTES) minutes.
    pub present: u64,
    /// Learners with an event in all of these minutes.
    pub learners: u64,
    /// Attempts at exercises.
    pub attempts: u64,
    /// Right ones.
    pub successes: u64,
    /// Where learners were, most learners first; at most 30.
    pub places: Vec<BusyPlace>,
    /// The last events, newest first; at most 30.
    pub latest: Vec<LatestEvent>,
}

/// A lesson, or a course outside of its lessons, with learners in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BusyPlace {
    /// The course.
    pub course: String,
    /// The lesson; empty for none.
    pub lesson: String,
    /// Different learners.
    pub learners: u64,
    /// Events.
    pub events: u64,
}

/// An event that just happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LatestEvent {
    /// The first half of its id in hexadecimal, to tell it from others.
    pub key: String,
    /// When.
    pub at: Timestamp,
    /// Whose; none of somebody who is not known any more.
    pub subject: Option<SubjectId>,
    /// What: `lesson_start`, `exercise_attempt`, ..
    pub event_type: &'static str,
    /// The course.
    pub course: String,
    /// The lesson; empty for none.
    pub lesson: String,
    /// The exercise; empty for none.
    pub exercise: String,
    /// Of an attempt, whether it was right.
    pub is_correct: Option<bool>,
}

/// Who changes something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChangedBy {
    /// Who.
    pub actor: Actor,
    /// The HTTP request.
    pub request_id: Option<String>,
}

/// Rules of milestones to be declared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChangeRules {
    /// The project.
    pub project: ProjectId,
    /// All rules from now on.
    pub rules: Vec<Rule>,
}

/// What came of a rebuild.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rebuilt {
    /// Events in the log.
    pub events: u64,
    /// Whether what was kept was something else.
    pub is_changed: bool,
}
