//! The same state whatever the order, however often, in whatever batches; and the state is that of the log.

use std::collections::BTreeSet;

use belvedere_event_store::EventStore;
use belvedere_kernel::{ProjectId, SubjectId};
use belvedere_storage::database_tests;
use belvedere_storage::testing::TestDatabase;

use super::*;
use crate::history::ItemKey;
use crate::log::read_log;
use crate::milestones::Rule;
use crate::rebuild::{Kept, follow, read_kept};
use crate::store;
use crate::structure::{CourseStructure, ExercisePlan, LessonPlan};

database_tests!(
    any_order_batches_and_duplicates_give_the_state_of_the_log,
    a_state_that_was_changed_is_made_anew_from_the_log,
    a_failure_at_any_statement_leaves_nothing,
    statements_do_not_grow_with_events,
);

/// Numbers that look random and are the same every time (xorshift64*).
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % bound
    }

    pub(crate) fn shuffle<T>(&mut self, items: &mut [T]) {
        for place in (1..items.len()).rev() {
            items.swap(place, self.below(place as u64 + 1) as usize);
        }
    }
}

fn structure() -> CourseStructure {
    let exercise = |id: u64| ExercisePlan {
        id: format!("e{id}"),
        skills: vec![format!("s{}", id % 2)],
        ..ExercisePlan::default()
    };
    let lesson = |id: u64| LessonPlan {
        id: format!("l{id}"),
        is_optional: id == 2,
        exercises: (0..2).map(|number| exercise(id * 2 + number)).collect(),
        ..LessonPlan::default()
    };
    CourseStructure {
        title: "C".to_owned(),
        lessons: (0..3).map(lesson).collect(),
        ..CourseStructure::default()
    }
}

fn random_events(random: &mut Random, count: u64) -> Vec<LearningEvent> {
    let mut events = Vec::new();
    for number in 0..count {
        let kind = EventType::ALL[random.below(10) as usize];
        let at = START.minus(std::time::Duration::from_secs(random.below(4 * 86_400)));
        let user = if random.below(5) == 0 { "x1".to_owned() } else { format!("u{}", random.below(2)) };
        let mut event = LearningEvent {
            id: format!("event-{number}"),
            lesson_id: Some(format!("l{}", random.below(3))),
            exercise_id: Some(format!("e{}", random.below(6))),
            metadata: Metadata {
                success: Some(random.below(3) > 0),
                score: Some(random.below(101) as f64),
                duration: Some(random.below(90_000) as f64 / 1_000.0),
                position: Some(random.below(300) as f64),
                length: Some(300.0),
                ..Metadata::default()
            },
            ..LearningEvent::new(kind, &user, &format!("c{}", random.below(2)), at)
        };
        if random.below(3) == 0 {
            event.skills = vec!["s9".to_owned()];
        }
        events.push(event);
    }
    events
}

async fn kept(world: &World, project: ProjectId, subject: SubjectId) -> Kept {
    read_kept(world.db.read(), project, subject).await.unwrap()
}

async fn any_order_batches_and_duplicates_give_the_state_of_the_log(db: TestDatabase) {
    let world = World::new(db);
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let subjects = [SubjectId(0), SubjectId(1), SubjectId(1_001)];
    let rules = vec![
        Rule::FirstLesson,
        Rule::StreakDays { days: 3 },
        Rule::ExercisesWithoutHint { exercises: 3 },
        Rule::CourseComplete,
    ];
    let mut project = ProjectId(0);
    for case in 0..4 {
        let events = random_events(&mut random, 20 + case * 25);
        let mut expected: Option<(Vec<Kept>, Vec<_>)> = None;
        for order in 0..4 {
            project = ProjectId(project.0 + 1);
            world.service.set_structure(project, "c0", structure(), &world.by()).await.unwrap();
            let change = ChangeRules { project, rules: rules.clone() };
            world.service.set_rules(change, &world.by()).await.unwrap();
            // In order the first time, then shuffled with every third event twice.
            let mut arriving = events.clone();
            if order == 0 {
                arriving.sort_by_key(|event| event.timestamp);
            } else {
                arriving.extend(events.iter().step_by(3).cloned());
                random.shuffle(&mut arriving);
            }
            let mut new = 0;
            while !arriving.is_empty() {
                let size = (1 + random.below(40) as usize).min(arriving.len());
                let batch = arriving.drain(..size).collect();
                new += world.service.record_events(project, batch).await.unwrap();
            }
            assert_eq!(new, events.len() as u64);
            let mut states = Vec::new();
            for subject in subjects {
                let live = kept(&world, project, subject).await;
                let log = read_log(&world.events, project, subject).await.unwrap();
                let structures = store::list_structures(world.db.read(), project).await.unwrap();
                assert_eq!(follow(subject, &log, &structures, &rules), live, "case {case}, order {order}");
                states.push(live);
            }
            let keys: BTreeSet<ItemKey> = (0..2)
                .flat_map(|course| {
                    (0..6).map(move |number| ItemKey::exercise(&format!("c{course}"), &format!("e{number}")))
                })
                .chain(["s0", "s1", "s9"].map(ItemKey::skill))
                .chain([ItemKey::ALL])
                .collect();
            let counts = store::load_counts(world.db.read(), project, &keys).await.unwrap();
            let mut counts: Vec<_> = counts.into_iter().collect();
            counts.sort_by_key(|(key, _)| *key);
            match &expected {
                None => expected = Some((states, counts)),
                Some(expected) => assert_eq!(*expected, (states, counts), "case {case}, order {order}"),
            }
        }
    }
}

async fn a_state_that_was_changed_is_made_anew_from_the_log(db: TestDatabase) {
    let world = World::new(db);
    let mut random = Random(7);
    world.service.record_events(PROJECT, random_events(&mut random, 60)).await.unwrap();
    // Sealed events are read as well.
    world.events.seal(PROJECT).await.unwrap();
    world.service.record_events(PROJECT, random_events(&mut random, 70)).await.unwrap();
    let subject = SubjectId(1);
    let before = kept(&world, PROJECT, subject).await;
    let unchanged = world.service.rebuild_learner(PROJECT, subject).await.unwrap();
    assert!(!unchanged.is_changed && unchanged.events > 0);
    world
        .db
        .write(async |tx| {
            belvedere_storage::execute_sql(
                tx,
                "DELETE FROM learning_skill WHERE project_id = $1",
                [1_i64.into()],
            )
            .await
        })
        .await
        .unwrap();
    assert_ne!(kept(&world, PROJECT, subject).await, before);
    assert!(world.service.rebuild_learner(PROJECT, subject).await.unwrap().is_changed);
    assert_eq!(kept(&world, PROJECT, subject).await, before);
}

async fn a_failure_at_any_statement_leaves_nothing(db: TestDatabase) {
    let world = World::new(db);
    let events = random_events(&mut Random(11), 40);
    let mut failures = 0;
    loop {
        world.db.faults().fail_after(failures);
        let stored = world.service.record_events(PROJECT, events.clone()).await;
        if world.db.faults().take_unused() {
            assert_eq!(stored.unwrap(), 40);
            break;
        }
        assert!(stored.is_err(), "statement {failures}");
        for subject in [SubjectId(0), SubjectId(1)] {
            assert!(kept(&world, PROJECT, subject).await.sheet.learners.is_empty(), "statement {failures}");
            assert_eq!(read_log(&world.events, PROJECT, subject).await.unwrap(), []);
        }
        failures += 1;
    }
    assert!(failures > 8, "only {failures} statements");
    assert_eq!(world.service.record_events(PROJECT, events).await.unwrap(), 0);
}

async fn statements_do_not_grow_with_events(db: TestDatabase) {
    let world = World::new(db);
    let events = |minutes: std::ops::Range<u64>| -> Vec<LearningEvent> {
        minutes.map(|minute| attempt(1, minute, &format!("e{}", minute % 8), true)).collect()
    };
    world.record(&events(0..10)).await;
    world.db.faults().fail_after(45);
    world.record(&events(10..1_000)).await;
    assert!(world.db.faults().take_unused(), "a thousand events took more than 45 statements");
}
