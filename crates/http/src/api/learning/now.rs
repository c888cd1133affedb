//! The answer of what happens at this moment.

use belvedere_kernel::SubjectId;
use belvedere_learning_analytics::{BusyPlace, LatestEvent, LearningNow};
use belvedere_storage::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

/// What learners do at this moment.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::api) struct NowAnswer {
    /// Up to when.
    #[schema(value_type = String, format = DateTime)]
    until: Timestamp,
    /// Events in each of the last 30 minutes, oldest first.
    by_minute: Vec<u64>,
    /// Learners with an event in the last 5 minutes.
    present: u64,
    /// Learners with an event in the last 30 minutes.
    learners: u64,
    /// Attempts at exercises in these minutes.
    attempts: u64,
    /// Right ones.
    successes: u64,
    /// Where learners were, most learners first; at most 30.
    places: Vec<BusyPlaceAnswer>,
    /// The last events, newest first; at most 30.
    latest: Vec<LatestEventAnswer>,
}

/// A lesson, or a course outside of its lessons, with learners in it.
#[derive(Debug, Serialize, ToSchema)]
struct BusyPlaceAnswer {
    /// The course.
    course: String,
    /// The lesson; empty for none.
    lesson: String,
    /// Different learners.
    learners: u64,
    /// Events.
    events: u64,
}

/// An event that just happened.
#[derive(Debug, Serialize, ToSchema)]
struct LatestEventAnswer {
    /// When.
    #[schema(value_type = String, format = DateTime)]
    at: Timestamp,
    /// The learner's number; null of somebody who is not known any more.
    #[schema(value_type = Option<i64>)]
    subject: Option<SubjectId>,
    /// What: `lesson_start`, `exercise_attempt`, ..
    event_type: &'static str,
    /// The course.
    course: String,
    /// The lesson; empty for none.
    lesson: String,
    /// The exercise; empty for none.
    exercise: String,
    /// Of an attempt, whether it was right.
    is_correct: Option<bool>,
}

impl From<LearningNow> for NowAnswer {
    fn from(model: LearningNow) -> Self {
        Self {
            until: model.until,
            by_minute: model.by_minute,
            present: model.present,
            learners: model.learners,
            attempts: model.attempts,
            successes: model.successes,
            places: model.places.into_iter().map(BusyPlaceAnswer::from).collect(),
            latest: model.latest.into_iter().map(LatestEventAnswer::from).collect(),
        }
    }
}

impl From<BusyPlace> for BusyPlaceAnswer {
    fn from(model: BusyPlace) -> Self {
        Self { course: model.course, lesson: model.lesson, learners: model.learners, events: model.events }
    }
}

impl From<LatestEvent> for LatestEventAnswer {
    fn from(model: LatestEvent) -> Self {
        Self {
            at: model.at,
            subject: model.subject,
            event_type: model.event_type,
            course: model.course,
            lesson: model.lesson,
            exercise: model.exercise,
            is_correct: model.is_correct,
        }
    }
}
