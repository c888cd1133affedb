//! Learning analytics: from what learners do to progress, mastery, milestones, and who is stuck and on what.
//!
//! Invariants:
//! - An event is folded into what is kept of its learner once, however often it is delivered: in the transaction that appends
//!   it to the event store, or within about a second, if another slice appends it and somebody waits for the answer.
//! - What is folded from a set of events does not depend on the order in which they arrive: it can be made anew from the
//!   log of events, and is then the same. Only flags, and when milestones were told, are a record of what was said.
//! - Who a learner is and what may be kept of an event is decided by the consent gate before anything is stored.
//! - A batch costs a number of statements that does not grow with its events one by one.
//! - An event costs a constant number of steps, and what is kept of a learner and a skill has a constant size.
//! - A verdict about a learner comes with its reasons, and with the ids of the events that are the reasons.
//!
//! ```
//! use belvedere_learning_analytics::history::{EventKey, ItemKey, Step};
//! use belvedere_learning_analytics::mastery::{Counts, Items, LearnerHistory, SkillHistory, estimate};
//! use belvedere_learning_analytics::milestones::ActiveDays;
//! use belvedere_learning_analytics::struggling::{Verdict, judge};
//!
//! /// A project of which nothing is known yet.
//! struct New;
//!
//! impl Items for New {
//!     fn counts(&self, _: ItemKey) -> Counts {
//!         Counts::default()
//!     }
//! }
//!
//! let (mut learner, mut loops) = (LearnerHistory::default(), SkillHistory::default());
//! for number in 0..10 {
//!     let attempt = Step {
//!         at_micros: number * 60_000_000,
//!         event: EventKey::of(&format!("attempt-{number}")),
//!         item: ItemKey::exercise("rust", &format!("loop-{number}")),
//!         is_correct: false,
//!         seconds: Some(40.0),
//!     };
//!     learner.add(attempt);
//!     loops.add_attempt(attempt);
//! }
//! let skill = ItemKey::skill("loops");
//! assert!(estimate(&New, &learner, &[(skill, &loops)], skill).probability < 0.25);
//! let struggle = judge(&New, &loops, &ActiveDays::default());
//! assert_eq!(struggle.verdict, Verdict::Struggling);
//! let reasons: Vec<&str> = struggle.factors.iter().map(|factor| factor.reason.as_str()).collect();
//! assert!(reasons.contains(&"ten exercises were tried without three right answers in a row"));
//! ```

pub mod at_risk;
pub mod comparison;
mod digest;
pub mod engagement;
mod entry;
mod error;
mod error_types;
pub mod event;
mod fold;
pub mod history;
mod intake;
pub mod items;
mod log;
pub mod mastery;
pub mod milestones;
mod model;
mod notices;
mod now;
mod numbers;
pub mod progress;
mod rebuild;
mod recommend;
mod service;
mod sheet;
mod statement;
pub mod statistics;
mod store;
pub mod structure;
pub mod struggling;
mod subject;
pub mod suppress;
#[cfg(test)]
mod tests;
mod told;
mod tracker;
pub mod tutor;
mod waiting;

use async_trait::async_trait;
use belvedere_kernel::{ProjectId, SubjectId};
use belvedere_storage::{Page, PageRequest};

pub use entry::RIGHT_FROM;
pub use error::LearningError;
pub use error_types::{ERROR_DAYS, ERROR_TYPES_MAX, ErrorType};
pub use intake::{DELIVERY_KIND, ITEM};
pub use model::{
    BusyPlace, ChangeRules, ChangedBy, CourseProgress, CourseRow, CourseSummary, FlagFeedback, FlagPrecision,
    ItemTable, LatestEvent, LearnerOfCourse, LearnerProgress, LearningNow, LessonProgress, LessonSummary,
    ListLearners, ListMilestones, ListStatements, ListStruggling, PlaceProgress, ReachedMilestone, Rebuilt,
    Recommendation, SkillMastery, StrugglingLearner,
};
pub use now::{NOW_MINUTES, PRESENT_MINUTES};
pub use recommend::TARGET;
pub use service::{LearningParts, LearningService, RECOMMENDED_MAX, name_events};
pub use statement::StatementHome;
pub use tracker::{TRACKED_MAX, Tracker};

/// What is known of learners, courses and exercises.
#[async_trait]
pub trait Learning: LearningReports {
    /// The progress of a learner; none if they did nothing.
    ///
    /// # Errors
    /// A storage error, as everywhere here.
    async fn find_learner(
        &self,
        project: ProjectId,
        subject: SubjectId,
    ) -> Result<Option<LearnerProgress>, LearningError>;

    /// The learners of a course.
    async fn list_learners(&self, query: ListLearners) -> Result<Page<LearnerOfCourse>, LearningError>;

    /// The courses that somebody has been in, by id.
    async fn list_courses(
        &self,
        project: ProjectId,
        page: PageRequest,
    ) -> Result<Page<CourseRow>, LearningError>;

    /// How a course does; none if nobody has been in it and nothing is declared of it.
    async fn find_course(
        &self,
        project: ProjectId,
        course: &str,
    ) -> Result<Option<CourseSummary>, LearningError>;

    /// How the exercises of a course do.
    async fn list_items(&self, project: ProjectId, course: &str) -> Result<ItemTable, LearningError>;

    /// What a learner can do, by skill; at most 1,000.
    async fn list_mastery(
        &self,
        project: ProjectId,
        subject: SubjectId,
    ) -> Result<Vec<SkillMastery>, LearningError>;

    /// The exercises of a course that a learner should try next, the best first; at most [`RECOMMENDED_MAX`].
    async fn recommend(
        &self,
        project: ProjectId,
        subject: SubjectId,
        course: &str,
        limit: usize,
    ) -> Result<Vec<Recommendation>, LearningError>;

    /// Who struggles with what.
    async fn list_struggling(&self, query: ListStruggling) -> Result<Page<StrugglingLearner>, LearningError>;

    /// How often flags were right.
    async fn find_precision(&self, project: ProjectId) -> Result<FlagPrecision, LearningError>;

    /// What learners have reached.
    async fn list_milestones(&self, query: ListMilestones) -> Result<Page<ReachedMilestone>, LearningError>;
}

/// What is computed from the events, or from what is kept of all learners, when somebody asks.
#[async_trait]
pub trait LearningReports: Send + Sync {
    /// How many appends of other slices wait to be folded, in all projects.
    ///
    /// # Errors
    /// A storage error, as everywhere here.
    async fn count_waiting(&self) -> Result<u64, LearningError>;

    /// What happens at this moment: everything that was stored before the call.
    async fn find_now(&self, project: ProjectId) -> Result<LearningNow, LearningError>;

    /// What a learner did, as xAPI statements; made of the log when they are read.
    async fn list_statements(&self, query: ListStatements) -> Result<Page<serde_json::Value>, LearningError>;

    /// How the tutor does; computed from the events of the period and the 90 days before it, one answer at a time.
    ///
    /// # Errors
    /// [`LearningError::Invalid`] for a period or a time beyond the limits, and for one with too many events.
    async fn report_tutor(&self, question: tutor::AskTutor) -> Result<tutor::TutorReport, LearningError>;

    /// The learners of a course who have not completed it and have done nothing in it for three days and more, with what
    /// became of those who were away for as long before; those with the greatest share of dropouts first.
    async fn list_away(&self, query: ListLearners) -> Result<Page<at_risk::Away>, LearningError>;

    /// A course before and after changes of its content; none if nobody has been in it and nothing is declared of it.
    async fn compare_cohorts(
        &self,
        project: ProjectId,
        course: &str,
    ) -> Result<Option<comparison::Comparison>, LearningError>;
}

/// What people declare and say. Every change is an audit entry.
#[async_trait]
pub trait LearningSettings: Send + Sync {
    /// The declared structure of a course.
    ///
    /// # Errors
    /// A storage error, as everywhere here.
    async fn find_structure(
        &self,
        project: ProjectId,
        course: &str,
    ) -> Result<Option<structure::CourseStructure>, LearningError>;

    /// Declares the structure of a course. Learners are judged by it from their next event on.
    ///
    /// # Errors
    /// [`LearningError::Invalid`] beyond a limit.
    async fn set_structure(
        &self,
        project: ProjectId,
        course: &str,
        structure: structure::CourseStructure,
        by: &ChangedBy,
    ) -> Result<(), LearningError>;

    /// The rules of milestones: the usual ones where none are declared.
    async fn find_rules(&self, project: ProjectId) -> Result<Vec<milestones::Rule>, LearningError>;

    /// Declares all rules of milestones. What was reached stays.
    ///
    /// # Errors
    /// [`LearningError::Invalid`] beyond a limit.
    async fn set_rules(&self, change: ChangeRules, by: &ChangedBy) -> Result<(), LearningError>;

    /// Says whether the latest flag of a learner and a skill was right.
    ///
    /// # Errors
    /// [`LearningError::NotFound`] if there is none.
    async fn give_feedback(
        &self,
        project: ProjectId,
        subject: SubjectId,
        skill: &str,
        feedback: FlagFeedback,
        by: &ChangedBy,
    ) -> Result<(), LearningError>;
}
