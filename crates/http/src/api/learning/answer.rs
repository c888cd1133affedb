//! Answers about learning: the slice's models field by field, described for OpenAPI.

use belvedere_kernel::SubjectId;
use belvedere_learning_analytics::engagement::Engagement;
use belvedere_learning_analytics::items::{Item, Suspicion};
use belvedere_learning_analytics::mastery::Estimate;
use belvedere_learning_analytics::struggling::{Area, Factor, Struggle, WheelSpinning};
use belvedere_learning_analytics::{
    CourseProgress, CourseRow, CourseSummary, ErrorType, FlagFeedback, FlagPrecision, ItemTable,
    LearnerOfCourse, LearnerProgress, LessonProgress, LessonSummary, PlaceProgress, ReachedMilestone,
    Recommendation, SkillMastery, StrugglingLearner,
};
use belvedere_storage::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use super::comparison::MeasureAnswer;

fn area_word(area: Area) -> &'static str {
    match area {
        Area::Mastery => "mastery",
        Area::Failure => "failure",
        Area::Time => "time",
        Area::Hints => "hints",
        Area::Errors => "errors",
        Area::Activity => "activity",
    }
}

fn spinning_word(wheel_spinning: WheelSpinning) -> &'static str {
    match wheel_spinning {
        WheelSpinning::Mastered { .. } => "mastered",
        WheelSpinning::Spinning => "spinning",
        WheelSpinning::Indeterminate { .. } => "indeterminate",
    }
}

fn suspicion(suspicion: Suspicion) -> (&'static str, f64) {
    match suspicion {
        Suspicion::DiscriminatesBadly { discrimination } => ("discriminates_badly", discrimination),
        Suspicion::TooHardForTheBest { rate } => ("too_hard_for_the_best", rate),
        Suspicion::TooEasy { rate } => ("too_easy", rate),
        Suspicion::NeedsHints { rate } => ("needs_hints", rate),
    }
}

fn all<M, A: From<M>>(models: Vec<M>) -> Vec<A> {
    models.into_iter().map(A::from).collect()
}

/// The chance of a right answer.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::api) struct EstimateAnswer {
    /// The chance, 0 to 1.
    probability: f64,
    /// The lower end of the interval that has the chance nine times of ten.
    low: f64,
    /// The upper end of it.
    high: f64,
    /// How many attempts at the skill it rests on.
    attempts: u64,
}

impl From<Estimate> for EstimateAnswer {
    fn from(model: Estimate) -> Self {
        Self { probability: model.probability, low: model.low, high: model.high, attempts: model.attempts }
    }
}

/// A reason for or against struggling.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::api) struct FactorAnswer {
    /// In what it shows: `mastery`, `failure`, `time`, `hints`, `errors`, `activity`.
    area: &'static str,
    /// How much it counts; negative where it speaks against struggling.
    weight: f64,
    /// The reason as a sentence.
    reason: String,
    /// The events that say so, the latest last, as 32 hexadecimal digits; at most 10.
    evidence: Vec<String>,
}

impl From<Factor> for FactorAnswer {
    fn from(model: Factor) -> Self {
        Self {
            area: area_word(model.area),
            weight: model.weight,
            reason: model.reason,
            evidence: model.evidence.iter().map(ToString::to_string).collect(),
        }
    }
}

/// A verdict and all that led to it.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::api) struct StruggleAnswer {
    /// `struggling`, `fine` or `indeterminate`.
    verdict: &'static str,
    /// The sum of the factors' weights; 1 and more is struggling.
    score: f64,
    /// `mastered`, `spinning` or `indeterminate`: three right answers in a row within ten opportunities,
    /// none, or too few opportunities.
    wheel_spinning: &'static str,
    /// The reasons, the weightiest first.
    factors: Vec<FactorAnswer>,
    /// For a struggling learner, when it began.
    #[schema(value_type = Option<String>, format = DateTime)]
    onset_at: Option<Timestamp>,
}

impl From<Struggle> for StruggleAnswer {
    fn from(model: Struggle) -> Self {
        Self {
            verdict: model.verdict.as_str(),
            score: model.score,
            wheel_spinning: spinning_word(model.wheel_spinning),
            factors: all(model.factors),
            onset_at: model.onset_micros.map(Timestamp::from_micros),
        }
    }
}

/// How far a learner is in a course or a lesson.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::api) struct PlaceAnswer {
    /// The first event that is more than enrolling.
    #[schema(value_type = Option<String>, format = DateTime)]
    started_at: Option<Timestamp>,
    /// When it was completed.
    #[schema(value_type = Option<String>, format = DateTime)]
    completed_at: Option<Timestamp>,
    /// The last event.
    #[schema(value_type = Option<String>, format = DateTime)]
    last_at: Option<Timestamp>,
    /// How much of it is done, 0 to 1; null for a course that is not complete and has no declared lessons.
    completion: Option<f64>,
    /// Time between events in seconds, without gaps over five minutes.
    active_seconds: f64,
    /// Time that the client measured itself, in seconds.
    stated_seconds: f64,
    /// Attempts at exercises.
    attempts: u64,
    /// Right ones.
    successes: u64,
    /// Hints that were asked for.
    hints: u64,
    /// The best score, 0 to 100.
    best_score: Option<f64>,
    /// The latest score, 0 to 100.
    last_score: Option<f64>,
}

impl From<PlaceProgress> for PlaceAnswer {
    fn from(model: PlaceProgress) -> Self {
        Self {
            started_at: model.started_at,
            completed_at: model.completed_at,
            last_at: model.last_at,
            completion: model.completion,
            active_seconds: model.active_seconds,
            stated_seconds: model.stated_seconds,
            attempts: model.attempts,
            successes: model.successes,
            hints: model.hints,
            best_score: model.best_score,
            last_score: model.last_score,
        }
    }
}

/// A learner in a lesson.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::api) struct LessonProgressAnswer {
    /// The lesson's id.
    lesson: String,
    /// Its declared title; empty for none.
    title: String,
    /// How far they are.
    progress: PlaceAnswer,
}

impl From<LessonProgress> for LessonProgressAnswer {
    fn from(model: LessonProgress) -> Self {
        Self { lesson: model.lesson, title: model.title, progress: model.progress.into() }
    }
}

/// How a learner worked in a course in the last eight weeks.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::api) struct EngagementAnswer {
    /// Events.
    actions: u64,
    /// Stretches of events with no gap over half an hour.
    sessions: u64,
    /// Those by week.
    sessions_per_week: f64,
    /// Events by session; null without any.
    actions_per_session: Option<f64>,
    /// Days with an event, in the project's time zone.
    active_days: u64,
    /// The most of them in a row.
    longest_streak_days: u64,
    /// How much the active days keep to the same days of the week, 0 to 1: one less the entropy of their days of the week by
    /// its greatest value; null for fewer than 8 active days.
    regularity: Option<f64>,
}

impl From<Engagement> for EngagementAnswer {
    fn from(model: Engagement) -> Self {
        Self {
            actions: model.actions,
            sessions: model.sessions,
            sessions_per_week: model.sessions_per_week,
            actions_per_session: model.actions_per_session,
            active_days: model.active_days,
            longest_streak_days: model.longest_streak_days,
            regularity: model.regularity,
        }
    }
}

/// A learner in a course.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::api) struct CourseProgressAnswer {
    /// The course's id.
    course: String,
    /// Its declared title; empty for none.
    title: String,
    /// When they enrolled.
    #[schema(value_type = Option<String>, format = DateTime)]
    enrolled_at: Option<Timestamp>,
    /// How far they are.
    progress: PlaceAnswer,
    /// How they worked in it in the last eight weeks.
    engagement: EngagementAnswer,
    /// The lessons that they have been in, by id.
    lessons: Vec<LessonProgressAnswer>,
}

impl From<CourseProgress> for CourseProgressAnswer {
    fn from(model: CourseProgress) -> Self {
        Self {
            course: model.course,
            title: model.title,
            enrolled_at: model.enrolled_at,
            progress: model.progress.into(),
            engagement: model.engagement.into(),
            lessons: all(model.lessons),
        }
    }
}

/// A learner over all courses.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::api) struct LearnerAnswer {
    /// The learner's number.
    #[schema(value_type = i64)]
    subject: SubjectId,
    /// Events in all.
    events: u64,
    /// The first event.
    #[schema(value_type = Option<String>, format = DateTime)]
    first_at: Option<Timestamp>,
    /// The last event.
    #[schema(value_type = Option<String>, format = DateTime)]
    last_at: Option<Timestamp>,
    /// Days on which something was done, of the last 400 such days.
    active_days: u64,
    /// Days in a row up to the last one.
    streak_days: u32,
    /// Attempts at exercises.
    attempts: u64,
    /// Right ones.
    successes: u64,
    /// Their courses by id.
    courses: Vec<CourseProgressAnswer>,
}

impl From<LearnerProgress> for LearnerAnswer {
    fn from(model: LearnerProgress) -> Self {
        Self {
            subject: model.subject,
            events: model.events,
            first_at: model.first_at,
            last_at: model.last_at,
            active_days: model.active_days,
            streak_days: model.streak_days,
            attempts: model.attempts,
            successes: model.successes,
            courses: all(model.courses),
        }
    }
}

/// A learner of a course.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::api) struct LearnerOfCourseAnswer {
    /// The learner's number.
    #[schema(value_type = i64)]
    subject: SubjectId,
    /// When they enrolled.
    #[schema(value_type = Option<String>, format = DateTime)]
    enrolled_at: Option<Timestamp>,
    /// How far they are.
    progress: PlaceAnswer,
}

impl From<LearnerOfCourse> for LearnerOfCourseAnswer {
    fn from(model: LearnerOfCourse) -> Self {
        Self { subject: model.subject, enrolled_at: model.enrolled_at, progress: model.progress.into() }
    }
}

/// A course in a list.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::api) struct CourseRowAnswer {
    /// Its id.
    course: String,
    /// Its declared title; empty for none.
    title: String,
    /// Learners with an event.
    learners: u64,
    /// Those who completed it.
    completed: u64,
}

impl From<CourseRow> for CourseRowAnswer {
    fn from(model: CourseRow) -> Self {
        Self {
            course: model.course,
            title: model.title,
            learners: model.learners,
            completed: model.completed,
        }
    }
}

/// How a lesson does.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::api) struct LessonSummaryAnswer {
    /// Its id.
    lesson: String,
    /// Its declared title; empty for none.
    title: String,
    /// Learners who did something in it.
    started: u64,
    /// Learners who completed it.
    completed: u64,
    /// Of those who started it, the share that did not complete it.
    drop_off: Option<f64>,
    /// Learners who did not complete the course, have done nothing in it for 14 days, and were here last.
    stopped_here: u64,
    /// The lower median of the active time of those who completed it.
    median_seconds: Option<f64>,
}

impl From<LessonSummary> for LessonSummaryAnswer {
    fn from(model: LessonSummary) -> Self {
        Self {
            lesson: model.lesson,
            title: model.title,
            started: model.started,
            completed: model.completed,
            drop_off: model.drop_off,
            stopped_here: model.stopped_here,
            median_seconds: model.median_seconds,
        }
    }
}

/// How a course does.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::api) struct CourseSummaryAnswer {
    /// Its id.
    course: String,
    /// Its declared title; empty for none.
    title: String,
    /// Learners with an event.
    learners: u64,
    /// Learners who enrolled.
    enrolled: u64,
    /// Learners who did more than enrol.
    started: u64,
    /// Learners who completed it.
    completed: u64,
    /// Of those who started, the share that completed it.
    completion_rate: Option<f64>,
    /// The lower median of the active time of those who completed it.
    median_seconds: Option<f64>,
    /// The normalised gain, (after - before) / (100 - before) of the points of the declared tests; null where no tests are
    /// declared, or fewer than 5 learners took both.
    gain: Option<MeasureAnswer>,
    /// Its lessons: declared ones in their order, then the others by id.
    lessons: Vec<LessonSummaryAnswer>,
}

impl From<CourseSummary> for CourseSummaryAnswer {
    fn from(model: CourseSummary) -> Self {
        Self {
            course: model.course,
            title: model.title,
            learners: model.learners,
            enrolled: model.enrolled,
            started: model.started,
            completed: model.completed,
            completion_rate: model.completion_rate,
            median_seconds: model.median_seconds,
            gain: model.gain.map(MeasureAnswer::from),
            lessons: all(model.lessons),
        }
    }
}

/// Why an exercise deserves a look.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::api) struct SuspicionAnswer {
    /// `discriminates_badly`, `too_hard_for_the_best`, `too_easy` or `needs_hints`.
    reason: &'static str,
    /// The discrimination, or the rate that is out of bounds.
    value: f64,
}

impl From<Suspicion> for SuspicionAnswer {
    fn from(model: Suspicion) -> Self {
        Self { reason: suspicion(model).0, value: suspicion(model).1 }
    }
}

/// How an exercise does.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::api) struct ItemAnswer {
    /// The exercise.
    exercise: String,
    /// Learners with an attempt.
    learners: usize,
    /// Attempts in all.
    attempts: u64,
    /// The share of first attempts that were wrong.
    difficulty: Option<f64>,
    /// How well first attempts tell those who can from those who cannot, -1 to 1; null for fewer than 20 learners.
    discrimination: Option<f64>,
    /// The share of learners who asked for a hint.
    hint_rate: Option<f64>,
    /// The median time of first attempts in seconds.
    median_seconds: Option<f64>,
    /// Learners who did not complete the course, have done nothing in it for 14 days, and did this exercise last.
    stopped_here: u64,
    /// The errors that were met at it in the last 30 days, the five most frequent types.
    error_types: Vec<ErrorTypeAnswer>,
    /// What is suspicious about it.
    suspicions: Vec<SuspicionAnswer>,
}

/// How often an error was met at an exercise.
#[derive(Debug, Serialize, ToSchema)]
struct ErrorTypeAnswer {
    /// The type; empty for none.
    error_type: String,
    /// Events.
    events: u64,
}

impl From<ErrorType> for ErrorTypeAnswer {
    fn from(model: ErrorType) -> Self {
        Self { error_type: model.error_type, events: model.events }
    }
}

impl From<Item> for ItemAnswer {
    fn from(model: Item) -> Self {
        Self {
            exercise: model.exercise,
            learners: model.learners,
            attempts: model.attempts,
            difficulty: model.difficulty,
            discrimination: model.discrimination,
            hint_rate: model.hint_rate,
            median_seconds: model.median_seconds,
            stopped_here: model.stopped_here,
            error_types: all(model.error_types),
            suspicions: all(model.suspicions),
        }
    }
}

/// The exercises of a course.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::api) struct ItemTableAnswer {
    /// By id.
    items: Vec<ItemAnswer>,
    /// Whether there are more answers than are looked at, 200,000.
    is_cut: bool,
}

impl From<ItemTable> for ItemTableAnswer {
    fn from(model: ItemTable) -> Self {
        Self { items: all(model.items), is_cut: model.is_cut }
    }
}

/// What a learner can do.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::api) struct MasteryAnswer {
    /// The skill.
    skill: String,
    /// The chance of a right answer at an average exercise of it.
    estimate: EstimateAnswer,
    /// Attempts.
    attempts: u64,
    /// Right ones.
    successes: u64,
    /// Whether they struggle with it, and why.
    struggle: StruggleAnswer,
}

impl From<SkillMastery> for MasteryAnswer {
    fn from(model: SkillMastery) -> Self {
        Self {
            skill: model.skill,
            estimate: model.estimate.into(),
            attempts: model.attempts,
            successes: model.successes,
            struggle: model.struggle.into(),
        }
    }
}

/// What to do next.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::api) struct RecommendationAnswer {
    /// The exercise.
    exercise: String,
    /// Its declared title; empty for none.
    title: String,
    /// Its declared lesson.
    lesson: Option<String>,
    /// What it is about.
    skills: Vec<String>,
    /// The chance that the learner's next attempt is right.
    estimate: EstimateAnswer,
    /// Why it and not another.
    reason: String,
}

impl From<Recommendation> for RecommendationAnswer {
    fn from(model: Recommendation) -> Self {
        Self {
            exercise: model.exercise,
            title: model.title,
            lesson: model.lesson,
            skills: model.skills,
            estimate: model.estimate.into(),
            reason: model.reason,
        }
    }
}

/// A learner who struggles with a skill, or did.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::api) struct StrugglingAnswer {
    /// The learner's number.
    #[schema(value_type = i64)]
    subject: SubjectId,
    /// With what.
    skill: String,
    /// When it was noticed.
    #[schema(value_type = String, format = DateTime)]
    flagged_at: Timestamp,
    /// When it began.
    #[schema(value_type = String, format = DateTime)]
    onset_at: Timestamp,
    /// When it was over.
    #[schema(value_type = Option<String>, format = DateTime)]
    cleared_at: Option<Timestamp>,
    /// What somebody said of it: `helped` or `not_struggling`.
    feedback: Option<&'static str>,
    /// How it is now.
    struggle: StruggleAnswer,
}

impl From<StrugglingLearner> for StrugglingAnswer {
    fn from(model: StrugglingLearner) -> Self {
        Self {
            subject: model.subject,
            skill: model.skill,
            flagged_at: model.flagged_at,
            onset_at: model.onset_at,
            cleared_at: model.cleared_at,
            feedback: model.feedback.map(FlagFeedback::as_str),
            struggle: model.struggle.into(),
        }
    }
}

/// How often flags were right.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::api) struct PrecisionAnswer {
    /// Flags in all.
    flags: u64,
    /// Of them, those on learners who still struggle.
    open: u64,
    /// Flags that somebody called right.
    helped: u64,
    /// Flags that somebody called wrong.
    not_struggling: u64,
    /// Of those that somebody judged, the share that was right.
    precision: Option<f64>,
}

impl From<FlagPrecision> for PrecisionAnswer {
    fn from(model: FlagPrecision) -> Self {
        Self {
            flags: model.flags,
            open: model.open,
            helped: model.helped,
            not_struggling: model.not_struggling,
            precision: model.precision,
        }
    }
}

/// A milestone that a learner has reached.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::api) struct MilestoneAnswer {
    /// The learner's number.
    #[schema(value_type = i64)]
    subject: SubjectId,
    /// By which rule: `first_lesson`, `streak_days:7`, `exercises_without_hint:10`, `course_complete`.
    rule: String,
    /// Of which course; empty where the rule is about no course.
    course: String,
    /// When.
    #[schema(value_type = String, format = DateTime)]
    reached_at: Timestamp,
}

impl From<ReachedMilestone> for MilestoneAnswer {
    fn from(model: ReachedMilestone) -> Self {
        Self { subject: model.subject, rule: model.rule, course: model.course, reached_at: model.reached_at }
    }
}
