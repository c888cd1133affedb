//! What a learning product sends: events as JSON, read field by field, so that what is wrong is named. No I/O.

mod read;

use belvedere_storage::Timestamp;
use serde::{Deserialize, Serialize};

pub(crate) use read::{AHEAD_MAX, SECONDS_MAX, check_event, is_complete, to_thousandth};
pub use read::{ReadError, Received, Refused, read_events};

/// The most events of one request.
pub const EVENTS_MAX: usize = 1_000;
/// The most bytes of the id of an event, user, session, course, lesson or exercise.
pub const ID_BYTES_MAX: usize = 200;
/// The most skills of an event.
pub const SKILLS_MAX: usize = 8;
/// The most bytes of a skill.
pub const SKILL_BYTES_MAX: usize = 100;
/// The most bytes of submitted code, as it stands in JSON.
pub const CODE_BYTES_MAX: usize = 16 << 10;

/// What a learner did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EventType {
    /// Opened a lesson.
    LessonStart,
    /// Finished a lesson.
    LessonComplete,
    /// Tried an exercise.
    ExerciseAttempt,
    /// Asked for a hint.
    HintUsed,
    /// Met an error.
    ErrorEncountered,
    /// Asked the tutor.
    TutorMessage,
    /// Judged the tutor's help.
    TutorFeedback,
    /// Enrolled in a course.
    CourseEnrol,
    /// Finished a course.
    CourseComplete,
    /// Watched a part of a video.
    VideoProgress,
}

impl EventType {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::LessonStart,
        Self::LessonComplete,
        Self::ExerciseAttempt,
        Self::HintUsed,
        Self::ErrorEncountered,
        Self::TutorMessage,
        Self::TutorFeedback,
        Self::CourseEnrol,
        Self::CourseComplete,
        Self::VideoProgress,
    ];

    /// The type as a word, which is the event's name in the event store.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::LessonStart => "lesson_start",
            Self::LessonComplete => "lesson_complete",
            Self::ExerciseAttempt => "exercise_attempt",
            Self::HintUsed => "hint_used",
            Self::ErrorEncountered => "error_encountered",
            Self::TutorMessage => "tutor_message",
            Self::TutorFeedback => "tutor_feedback",
            Self::CourseEnrol => "course_enrol",
            Self::CourseComplete => "course_complete",
            Self::VideoProgress => "video_progress",
        }
    }

    /// The type that a word names.
    #[must_use]
    pub fn find(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == word)
    }
}

/// One event, checked: what the door puts on disk.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LearningEvent {
    /// The client's id, which counts once; one of ours where the client gave none.
    pub id: String,
    /// What happened.
    pub event_type: EventType,
    /// The product's id of the learner. Personal data until the consent gate.
    pub user_id: String,
    /// The visit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_id: Option<String>,
    /// The course.
    pub course_id: String,
    /// The lesson of the course.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lesson_id: Option<String>,
    /// The exercise of the course.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exercise_id: Option<String>,
    /// What the exercise is about: at most [`SKILLS_MAX`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub skills: Vec<String>,
    /// How it went.
    #[serde(default)]
    pub metadata: Metadata,
    /// When it happened.
    pub timestamp: Timestamp,
    /// The learner's browser.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_agent: Option<String>,
    /// Where the learner is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub location: Option<Location>,
}

impl LearningEvent {
    /// An event with nothing but who did what in which course; the id is empty until somebody gives it one.
    #[must_use]
    pub fn new(event_type: EventType, user: &str, course: &str, timestamp: Timestamp) -> Self {
        Self {
            id: String::new(),
            event_type,
            user_id: user.to_owned(),
            session_id: None,
            course_id: course.to_owned(),
            lesson_id: None,
            exercise_id: None,
            skills: Vec::new(),
            metadata: Metadata::default(),
            timestamp,
            user_agent: None,
            location: None,
        }
    }
}

/// How something went. Without consent to details, only `duration`, `success` and `score` are kept, and `withheld` and
/// `withhold_share`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Metadata {
    /// How long it took, in seconds, at most a week.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration: Option<f64>,
    /// Which attempt it is, as the client counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempts: Option<u64>,
    /// Points, 0 to 100.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub score: Option<f64>,
    /// Whether it was right.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub success: Option<bool>,
    /// How hard it is, in the product's words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub difficulty: Option<String>,
    /// The kind of error.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_type: Option<String>,
    /// The kind of hint.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint_type: Option<String>,
    /// What was handed in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code_submitted: Option<String>,
    /// How long it took until it was done, in seconds, at most a week.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_to_complete: Option<f64>,
    /// How good the tutor's help was, 1 to 5.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rating: Option<f64>,
    /// Whether the tutor's help solved the problem.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resolved: Option<bool>,
    /// Where in the video the learner is, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub position: Option<f64>,
    /// How long the video is, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub length: Option<f64>,
    /// Of a message to the tutor, the conversation that it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub conversation: Option<String>,
    /// How long the tutor's answer took, in seconds, at most a day.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latency: Option<f64>,
    /// What the tutor's answer cost, at most 1,000,000 in whatever currency the product sends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost: Option<f64>,
    /// Whether the tutor gave the answer away.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer_leaked: Option<bool>,
    /// Whether the tutor was abused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub abusive: Option<bool>,
    /// Whether the tutor handed over to a person.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub handed_over: Option<bool>,
    /// Where a draw decides whether the tutor helps: whether the help was withheld.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub withheld: Option<bool>,
    /// The chance with which the draw withholds help, 0.01 to 0.99.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub withhold_share: Option<f64>,
}

/// Where somebody is, no finer than a region.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Location {
    /// The country.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub country: Option<String>,
    /// The region.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// The time zone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timezone: Option<String>,
}
