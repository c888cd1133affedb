//! Who is away, and how a learner works in a course: as plain loops over the events say.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use belvedere_kernel::SubjectId;
use belvedere_storage::database_tests;
use belvedere_storage::testing::TestDatabase;

use super::order::Random;
use super::*;
use crate::at_risk::{AWAY_DAYS, Away, Hazard, RETURN_DAYS};
use crate::engagement::WEEKS;
use crate::structure::{CourseStructure, LessonPlan};

database_tests!(
    who_is_away_is_that_of_plain_loops_whatever_the_order,
    engagement_is_that_of_plain_loops_over_the_last_weeks,
);

const DAY: i64 = 86_400 * 1_000_000;
const LESSONS: i64 = 4;

fn course() -> CourseStructure {
    let lesson = |number: i64| LessonPlan { id: format!("l{number}"), ..LessonPlan::default() };
    CourseStructure { lessons: (0..LESSONS).map(lesson).collect(), ..CourseStructure::default() }
}

/// Learners who come on some days of half a year, and complete lessons one after the other.
fn visits(random: &mut Random, users: u64) -> Vec<LearningEvent> {
    let mut events = Vec::new();
    for user in 0..users {
        let (mut day, mut lesson) = (random.below(175) as i64, 0);
        while day < 180 && random.below(6) > 0 {
            let begun = START.as_micros() - (180 - day) * DAY + random.below(3_600) as i64 * 1_000_000;
            for number in 0..1 + random.below(4) as i64 {
                let completes = random.below(4) == 0 && lesson < LESSONS;
                let kind = if completes { EventType::LessonComplete } else { EventType::LessonStart };
                let at =
                    Timestamp::from_micros(begun + number * (60 + random.below(1_200) as i64) * 1_000_000);
                events.push(LearningEvent {
                    id: format!("{user}-{}", events.len()),
                    lesson_id: Some(format!("l{}", lesson.min(LESSONS - 1))),
                    ..LearningEvent::new(kind, &format!("u{user}"), "rust", at)
                });
                lesson += i64::from(completes);
            }
            day += 1 + [1, 2, 5, 10, 20, 45][random.below(6) as usize];
        }
    }
    events
}

/// Times of a learner's events, sorted, and when they completed lessons.
fn ways(events: &[LearningEvent]) -> BTreeMap<i64, (Vec<i64>, Vec<i64>)> {
    let mut ways: BTreeMap<i64, (Vec<i64>, Vec<i64>)> = BTreeMap::new();
    for event in events {
        let way = ways.entry(event.user_id[1..].parse().unwrap()).or_default();
        way.0.push(event.timestamp.as_micros());
        if event.event_type == EventType::LessonComplete {
            way.1.push(event.timestamp.as_micros());
        }
    }
    for way in ways.values_mut() {
        way.0.sort_unstable();
        way.1.sort_unstable();
    }
    ways
}

fn by_loops(events: &[LearningEvent]) -> Vec<Away> {
    let (now, ways) = (START.as_micros(), ways(events));
    let stage = |done: &[i64], at: i64| done.iter().filter(|it| **it <= at).count().min(3);
    let hazard = |wanted: usize, days: i64| {
        let mut hazard = Hazard::default();
        for (times, done) in ways.values() {
            // The first moment at this stage at which nothing was done for so many days.
            let is_moment = |at: &i64| {
                !times.iter().any(|time| *time > at - days * DAY && *time <= *at)
                    && at + RETURN_DAYS * DAY <= now
                    && (done.len() < 4 || done[3] > *at)
                    && stage(done, *at) == wanted
            };
            if let Some(at) = times.iter().map(|time| time + days * DAY).find(is_moment) {
                hazard.learners += 1;
                hazard.lost +=
                    u64::from(!times.iter().any(|time| *time > at && *time <= at + RETURN_DAYS * DAY));
            }
        }
        hazard
    };
    let mut away = Vec::new();
    for (learner, (times, done)) in &ways {
        let days = (now - times.last().unwrap()) / DAY;
        let Some(compared_days) = AWAY_DAYS.into_iter().rfind(|away| *away <= days) else { continue };
        if done.len() < LESSONS as usize {
            let stage = stage(done, now);
            let hazard = hazard(stage, compared_days);
            away.push(Away { learner: *learner, days, stage, compared_days, hazard });
        }
    }
    let share =
        |it: &Away| (it.hazard.learners >= 20).then(|| it.hazard.lost as f64 / it.hazard.learners as f64);
    away.sort_by(|left, right| share(right).partial_cmp(&share(left)).unwrap());
    away
}

async fn who_is_away_is_that_of_plain_loops_whatever_the_order(db: TestDatabase) {
    let world = World::new(db);
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let events = visits(&mut random, 200);
    let expected = by_loops(&events);
    for order in 0..2 {
        let project = ProjectId(1 + order);
        world.service.set_structure(project, "rust", course(), &world.by()).await.unwrap();
        let mut arriving = events.clone();
        random.shuffle(&mut arriving);
        for batch in arriving.chunks(200) {
            world.service.record_events(project, batch.to_vec()).await.unwrap();
        }
        let (mut found, mut after) = (Vec::new(), None);
        loop {
            let page = PageRequest::new(30, after);
            let query = ListLearners { project, course: "rust".to_owned(), page };
            let page = world.service.list_away(query).await.unwrap();
            found.extend(page.items);
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        assert_eq!(found, expected, "order {order}");
    }
    let verdicts: BTreeSet<Option<bool>> = expected.iter().map(Away::is_at_risk).collect();
    assert!(verdicts.len() > 1, "{verdicts:?}");
    let page = PageRequest::first(10);
    let query = ListLearners { project: ProjectId(9), course: "rust".to_owned(), page };
    assert_eq!(world.service.list_away(query).await.unwrap().items, []);
}

async fn engagement_is_that_of_plain_loops_over_the_last_weeks(db: TestDatabase) {
    let world = World::new(db);
    let events = visits(&mut Random(77), 12);
    world.record(&events).await;
    let mut seen = 0;
    for user in 0..12 {
        let Some(learner) = world.service.find_learner(PROJECT, SubjectId(user)).await.unwrap() else {
            continue;
        };
        let since = START.minus(Duration::from_secs(WEEKS as u64 * 7 * 86_400)).as_micros();
        let ways = ways(&events);
        let times: Vec<i64> = ways[&user].0.iter().copied().filter(|at| *at >= since).collect();
        let mut sessions = 0;
        let mut last = i64::MIN;
        for at in &times {
            sessions += u64::from(at.saturating_sub(last) > 30 * 60 * 1_000_000);
            last = *at;
        }
        let days: BTreeSet<i64> = times.iter().map(|at| at.div_euclid(DAY)).collect();
        let found = learner.courses[0].engagement;
        assert_eq!((found.actions, found.sessions), (times.len() as u64, sessions), "{user}");
        assert_eq!((found.active_days, found.sessions_per_week), (days.len() as u64, sessions as f64 / 8.0));
        seen += sessions;
    }
    assert!(seen > 10, "{seen}");
}
