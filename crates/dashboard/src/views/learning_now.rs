//! What learners do at this moment.

use belvedere_kernel::ProjectId;
use belvedere_learning_analytics::{BusyPlace, LatestEvent, LearningNow};
use belvedere_storage::Timestamp;

use crate::charts::{Bar, BarChart, Caption};
use crate::views::learners::learner_href;
use crate::views::learning::course_href;
use crate::wording::{Ago, Count};

/// How many places are shown.
const PLACES_SHOWN: usize = 12;

/// An event that just happened.
pub(crate) struct LatestRow {
    pub(crate) key: String,
    pub(crate) at: Ago,
    /// The learner's number and page.
    pub(crate) learner: Option<(String, String)>,
    pub(crate) did: &'static str,
    pub(crate) is_right: Option<bool>,
    pub(crate) course: String,
    pub(crate) course_href: String,
    /// Lesson and exercise; empty for neither.
    pub(crate) place: String,
}

impl LatestRow {
    pub(crate) fn new(project: ProjectId, base: &str, event: &LatestEvent, now: Timestamp) -> Self {
        let places = [event.lesson.as_str(), event.exercise.as_str()];
        let place: Vec<&str> = places.into_iter().filter(|place| !place.is_empty()).collect();
        Self {
            key: event.key.clone(),
            at: Ago { at: event.at, now },
            learner: event.subject.map(|subject| {
                let subject = subject.to_string();
                let href = learner_href(base, &subject);
                (subject, href)
            }),
            did: did(event.event_type),
            is_right: event.is_correct,
            course: event.course.clone(),
            course_href: course_href(project, &event.course),
            place: place.join(" / "),
        }
    }
}

/// What somebody did, in words.
fn did(event_type: &'static str) -> &'static str {
    match event_type {
        "lesson_start" => "began a lesson",
        "lesson_complete" => "completed a lesson",
        "exercise_attempt" => "tried an exercise",
        "hint_used" => "took a hint",
        "error_encountered" => "met an error",
        "tutor_message" => "asked the tutor",
        "tutor_feedback" => "judged the tutor",
        "course_enrol" => "enrolled",
        "course_complete" => "completed the course",
        "video_progress" => "watched a video",
        other => other,
    }
}

/// A place with learners.
pub(crate) struct PlaceLine {
    pub(crate) course: String,
    pub(crate) href: String,
    pub(crate) lesson: String,
    pub(crate) learners: Count,
    pub(crate) events: Count,
}

/// The busiest places.
pub(crate) fn places_of(project: ProjectId, places: &[BusyPlace]) -> Vec<PlaceLine> {
    let line = |place: &BusyPlace| PlaceLine {
        course: place.course.clone(),
        href: course_href(project, &place.course),
        lesson: place.lesson.clone(),
        learners: Count(place.learners),
        events: Count(place.events),
    };
    places.iter().take(PLACES_SHOWN).map(line).collect()
}

/// The events of each minute.
pub(crate) fn chart_of(now: &LearningNow) -> BarChart {
    let last = now.by_minute.len().saturating_sub(1);
    let label = |index: usize| match last - index {
        0 => "this minute".to_owned(),
        ago => format!("{ago} min ago"),
    };
    let bars = now.by_minute.iter().enumerate();
    let bars = bars.map(|(index, events)| Bar { label: label(index), quantity: *events }).collect();
    let about = "Learning events per minute in the last 30 minutes";
    BarChart::new(bars, &Caption { about, unit: "events", column: "Minute", is_small: false })
}
