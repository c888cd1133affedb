use std::time::Duration;

use belvedere_kernel::{SubjectId, Tasks};
use belvedere_storage::database_tests;
use belvedere_storage::testing::TestDatabase;

use super::*;
use crate::event::EventType;

database_tests!(
    what_is_tracked_is_written_by_fifty_and_at_the_end,
    a_batch_that_fails_is_in_front_again_and_counts_once,
    what_the_door_would_refuse_and_what_is_too_much_is_not_taken,
);

async fn what_is_tracked_is_written_by_fifty_and_at_the_end(db: TestDatabase) {
    let world = World::new(db);
    let tracker = Arc::new(Tracker::new(world.service.clone(), PROJECT));
    let tasks = Tasks::default();
    tasks.spawn("tracker", Arc::clone(&tracker).run(tasks.clone()));
    for _ in 0..49 {
        tracker.track_exercise_attempt("u1", "rust", "e1", true, 1, Some("fn main() {}")).unwrap();
    }
    tracker.track_lesson_start("u1", "rust", "one").unwrap();
    while tracker.waiting() > 0 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    tracker.track_lesson_complete("u1", "rust", "one", Duration::from_millis(90_500), Some(70.0)).unwrap();
    tasks.stop();
    tasks.ended().await;
    let learner = world.service.find_learner(PROJECT, SubjectId(1)).await.unwrap().unwrap();
    assert_eq!((learner.events, learner.attempts, learner.successes), (51, 49, 49));
    let one = &learner.courses[0].lessons[0].progress;
    assert_eq!((one.stated_seconds, one.best_score), (90.5, Some(70.0)));
}

async fn a_batch_that_fails_is_in_front_again_and_counts_once(db: TestDatabase) {
    let world = World::new(db);
    let tracker = Tracker::new(world.service.clone(), PROJECT);
    for _ in 0..120 {
        tracker.track_lesson_start("u1", "rust", "one").unwrap();
    }
    world.db.faults().fail_after(3);
    assert!(tracker.flush().await.is_err());
    assert_eq!(tracker.waiting(), 120);
    tracker.flush().await.unwrap();
    assert_eq!(tracker.waiting(), 0);
    let learner = world.service.find_learner(PROJECT, SubjectId(1)).await.unwrap().unwrap();
    assert_eq!(learner.events, 120);
}

async fn what_the_door_would_refuse_and_what_is_too_much_is_not_taken(db: TestDatabase) {
    let world = World::new(db);
    let tracker = Tracker::new(world.service.clone(), PROJECT);
    let refused = tracker.track_lesson_start("", "rust", "one").unwrap_err();
    assert_eq!(refused.to_string(), "event: user_id is missing");
    let refused = tracker.track_event(event(EventType::ExerciseAttempt, 1, 1)).unwrap_err();
    assert_eq!(refused.to_string(), "event: exercise_id is missing");
    for _ in 0..TRACKED_MAX {
        tracker.track_lesson_start("u1", "rust", "one").unwrap();
    }
    assert!(matches!(tracker.track_lesson_start("u1", "rust", "one"), Err(LearningError::Full(TRACKED_MAX))));
}
