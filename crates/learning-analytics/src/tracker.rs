//! What a Rust service tracks with, in the same process: events wait in memory and are written fifty at a time, or after
//! five seconds.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use belvedere_kernel::{BatchWriter, Batching, Clock, ProjectId, Tasks};

use crate::event::{EventType, LearningEvent, Metadata, check_event};
use crate::service::name_events;
use crate::{LearningError, LearningService};

/// The most events that wait; further ones are refused, so that whoever tracks knows of it.
pub const TRACKED_MAX: usize = Batching::<Writer>::WAITING_MAX;

/// Writes into a project.
struct Writer {
    service: LearningService,
    project: ProjectId,
}

#[async_trait]
impl BatchWriter for Writer {
    type Item = LearningEvent;
    type Error = LearningError;
    const ITEMS: &'static str = "learning events";

    async fn write(&self, batch: Vec<LearningEvent>) -> Result<(), LearningError> {
        self.service.record_events(self.project, batch).await.map(drop)
    }
}

/// Tracks the events of a project.
pub struct Tracker {
    clock: Arc<dyn Clock>,
    project: ProjectId,
    batching: Batching<Writer>,
}

impl Tracker {
    /// A tracker for a project; [`Tracker::run`] must run beside it for events to be written by themselves.
    #[must_use]
    pub fn new(service: LearningService, project: ProjectId) -> Self {
        Self { clock: service.clock(), project, batching: Batching::new(Writer { service, project }) }
    }

    /// Tracks an event; one without an id gets its own, by which it counts once.
    ///
    /// # Errors
    /// [`LearningError::Invalid`] for what the door would refuse, [`LearningError::Full`] when [`TRACKED_MAX`] events wait;
    /// then it is not taken.
    pub fn track_event(&self, event: LearningEvent) -> Result<(), LearningError> {
        let event = check_event(&event, self.clock.now());
        let mut event = [event.map_err(|why| LearningError::invalid("event", why))?];
        name_events(&mut event, self.clock.now());
        let [event] = event;
        self.batching.add(event).map_err(LearningError::Full)
    }

    /// Tracks that a learner opens a lesson.
    ///
    /// # Errors
    /// As [`Tracker::track_event`].
    pub fn track_lesson_start(&self, user: &str, course: &str, lesson: &str) -> Result<(), LearningError> {
        let lesson_id = Some(lesson.to_owned());
        self.track_event(LearningEvent { lesson_id, ..self.event(EventType::LessonStart, user, course) })
    }

    /// Tracks that a learner completes a lesson, after so long and with so many points of 100.
    ///
    /// # Errors
    /// As [`Tracker::track_event`].
    pub fn track_lesson_complete(
        &self,
        user: &str,
        course: &str,
        lesson: &str,
        duration: Duration,
        score: Option<f64>,
    ) -> Result<(), LearningError> {
        let duration = Some((duration.as_secs_f64() * 1_000.0).round() / 1_000.0);
        self.track_event(LearningEvent {
            lesson_id: Some(lesson.to_owned()),
            metadata: Metadata { duration, score: score.map(points), ..Metadata::default() },
            ..self.event(EventType::LessonComplete, user, course)
        })
    }

    /// Tracks that a learner tries an exercise; the score is 100 or 0.
    ///
    /// # Errors
    /// As [`Tracker::track_event`].
    pub fn track_exercise_attempt(
        &self,
        user: &str,
        course: &str,
        exercise: &str,
        success: bool,
        attempts: u64,
        code_submitted: Option<&str>,
    ) -> Result<(), LearningError> {
        self.track_event(LearningEvent {
            exercise_id: Some(exercise.to_owned()),
            metadata: Metadata {
                success: Some(success),
                score: Some(if success { 100.0 } else { 0.0 }),
                attempts: Some(attempts),
                code_submitted: code_submitted.map(str::to_owned),
                ..Metadata::default()
            },
            ..self.event(EventType::ExerciseAttempt, user, course)
        })
    }

    fn event(&self, kind: EventType, user: &str, course: &str) -> LearningEvent {
        LearningEvent::new(kind, user, course, self.clock.now())
    }

    /// How many events wait.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.batching.waiting()
    }

    /// Writes everything that waits, batch by batch.
    ///
    /// # Errors
    /// That of the first batch that fails; it is in front again, and nothing behind it was taken.
    pub async fn flush(&self) -> Result<(), LearningError> {
        self.batching.flush().await
    }

    /// Writes what is tracked until `tasks` are told to stop, and then the rest.
    pub async fn run(self: Arc<Self>, tasks: Tasks) {
        self.batching.run(tasks).await;
    }
}

/// Points within 0 to 100, to the thousandth.
fn points(score: f64) -> f64 {
    if score.is_finite() { (score.clamp(0.0, 100.0) * 1_000.0).round() / 1_000.0 } else { 0.0 }
}

impl std::fmt::Debug for Tracker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tracker").field("project", &self.project).finish_non_exhaustive()
    }
}
