use std::collections::BTreeSet;
use std::time::Duration;

use belvedere_event_store::EventStore;
use belvedere_kernel::SubjectId;
use belvedere_storage::database_tests;
use belvedere_storage::testing::TestDatabase;

use super::*;

database_tests!(the_last_half_hour_is_counted_and_what_is_older_is_not);

/// An event so many seconds before the present.
fn ago(kind: EventType, user: u32, seconds: u64, lesson: &str) -> LearningEvent {
    LearningEvent {
        id: format!("{}-{user}-{seconds}-{lesson}", kind.as_str()),
        timestamp: START.minus(Duration::from_secs(seconds)),
        lesson_id: Some(lesson.to_owned()),
        ..event(kind, user, 0)
    }
}

async fn the_last_half_hour_is_counted_and_what_is_older_is_not(db: TestDatabase) {
    let world = World::new(db);
    let mut events = Vec::new();
    for user in 1..=6_u32 {
        for step in 0..12_u64 {
            let seconds = u64::from(user) * 37 + step * 211;
            let mut one =
                ago(EventType::ExerciseAttempt, user, seconds, ["loops", "names"][step as usize % 2]);
            one.exercise_id = Some(format!("e{step}"));
            one.metadata = Metadata { success: Some(step % 3 == 0), ..Metadata::default() };
            events.push(one);
        }
    }
    events.push(ago(EventType::LessonStart, 9, 1_799, "late"));
    events.push(ago(EventType::LessonStart, 9, 1_801, "gone"));
    world.record(&events).await;
    // Whose events are sealed is found as well.
    world.events.seal(PROJECT).await.unwrap();
    world.record(&[ago(EventType::HintUsed, 8, 1, "loops")]).await;
    events.push(ago(EventType::HintUsed, 8, 1, "loops"));

    let now = world.service.find_now(PROJECT).await.unwrap();
    let age = |it: &LearningEvent| START.since(it.timestamp).as_secs();
    let recent: Vec<&LearningEvent> = events.iter().filter(|it| age(it) <= 1_800).collect();
    let users = |of: &dyn Fn(&LearningEvent) -> bool| {
        recent.iter().filter(|it| of(it)).map(|it| it.user_id.clone()).collect::<BTreeSet<_>>().len() as u64
    };
    assert_eq!(now.by_minute.iter().sum::<u64>(), recent.len() as u64);
    assert_eq!(
        (now.by_minute.len(), now.by_minute[29], now.by_minute[0]),
        (NOW_MINUTES, minute(&recent, 0), minute(&recent, 29))
    );
    assert_eq!((now.learners, now.present), (users(&|_| true), users(&|it| age(it) <= 300)));
    let attempts = || recent.iter().filter(|it| it.event_type == EventType::ExerciseAttempt);
    let right = attempts().filter(|it| it.metadata.success == Some(true)).count() as u64;
    assert_eq!((now.attempts, now.successes), (attempts().count() as u64, right));
    let loops = now.places.iter().find(|it| it.lesson == "loops").unwrap();
    let in_loops = |it: &LearningEvent| it.lesson_id.as_deref() == Some("loops");
    assert_eq!(loops.learners, users(&in_loops));
    assert_eq!(loops.events, recent.iter().filter(|it| in_loops(it)).count() as u64);
    assert!(now.places.is_sorted_by_key(|it| std::cmp::Reverse((it.learners, it.events))));
    assert!(now.places.iter().all(|it| it.lesson != "gone"));

    assert_eq!(now.latest.len(), 30);
    assert!(now.latest.is_sorted_by_key(|it| std::cmp::Reverse(it.at)));
    assert_eq!((now.latest[0].event_type, now.latest[0].subject), ("hint_used", Some(SubjectId(8))));
    assert!(now.latest.iter().all(|it| it.subject.is_some()));

    world.clock.advance(Duration::from_secs(3_600));
    let later = world.service.find_now(PROJECT).await.unwrap();
    assert_eq!((later.learners, later.latest.len(), later.places.len()), (0, 0, 0));
}

fn minute(events: &[&LearningEvent], ago: u64) -> u64 {
    let within = |it: &&&LearningEvent| {
        let micros = START.since(it.timestamp).as_micros() as u64;
        (micros - 1) / 60_000_000 == ago
    };
    events.iter().filter(within).count() as u64
}
