use std::collections::BTreeMap;
use std::time::Duration;

use belvedere_event_store::EventStore;
use belvedere_kernel::SubjectId;
use belvedere_storage::database_tests;
use belvedere_storage::testing::TestDatabase;

use super::*;
use crate::milestones::Rule;
use crate::structure::{CourseStructure, ExercisePlan, LessonPlan};

database_tests!(
    a_learner_has_progress_by_course_and_lesson,
    a_course_says_where_learners_stop,
    learners_of_a_course_come_page_by_page,
    exercises_mastery_and_what_comes_next,
    errors_at_exercises_are_counted_by_type,
    declarations_are_checked_and_written_down,
    projects_are_apart,
);

fn course() -> CourseStructure {
    let lesson = |id: &str, exercises: &[&str]| LessonPlan {
        id: id.to_owned(),
        title: format!("Lesson {id}"),
        exercises: exercises
            .iter()
            .map(|id| ExercisePlan { id: (*id).to_owned(), ..ExercisePlan::default() })
            .collect(),
        ..LessonPlan::default()
    };
    CourseStructure {
        title: "Rust".to_owned(),
        lessons: vec![lesson("one", &["e1"]), lesson("two", &["e2"])],
        ..CourseStructure::default()
    }
}

async fn a_learner_has_progress_by_course_and_lesson(db: TestDatabase) {
    let world = World::new(db);
    world.service.set_structure(PROJECT, "rust", course(), &world.by()).await.unwrap();
    let mut complete = in_lesson(EventType::LessonComplete, 1, 7, "one");
    complete.metadata = Metadata { score: Some(80.0), duration: Some(200.5), ..Metadata::default() };
    let mut video = in_lesson(EventType::VideoProgress, 1, 30, "two");
    video.metadata = Metadata { position: Some(30.0), length: Some(120.0), ..Metadata::default() };
    let events = [
        event(EventType::CourseEnrol, 1, 0),
        in_lesson(EventType::LessonStart, 1, 2, "one"),
        in_lesson(EventType::LessonStart, 1, 4, "one"),
        complete,
        video,
    ];
    world.record(&events).await;
    let learner = world.service.find_learner(PROJECT, SubjectId(1)).await.unwrap().unwrap();
    assert_eq!((learner.events, learner.streak_days, learner.courses.len()), (5, 1, 1));
    let of_course = &learner.courses[0];
    assert_eq!((of_course.title.as_str(), of_course.progress.completion), ("Rust", Some(0.5)));
    assert_eq!(of_course.enrolled_at, Some(event(EventType::CourseEnrol, 1, 0).timestamp));
    // Seven minutes without a gap over five; twenty-three idle ones.
    assert_eq!(of_course.progress.active_seconds, 420.0);
    let [one, two] = &of_course.lessons[..] else { panic!("{:?}", of_course.lessons) };
    assert_eq!((one.title.as_str(), one.progress.completion), ("Lesson one", Some(1.0)));
    assert_eq!((one.progress.best_score, one.progress.stated_seconds), (Some(80.0), 200.5));
    assert_eq!((two.progress.completion, two.progress.completed_at), (Some(0.25), None));
    let page = PageRequest::first(10);
    let query = ListLearners { project: PROJECT, course: "rust".to_owned(), page };
    let listed = world.service.list_learners(query).await.unwrap().items;
    assert_eq!(listed[0].progress, of_course.progress);
    // The last required lesson completes the course, and that is a milestone.
    world.record(&[in_lesson(EventType::LessonComplete, 1, 40, "two")]).await;
    let learner = world.service.find_learner(PROJECT, SubjectId(1)).await.unwrap().unwrap();
    let at = in_lesson(EventType::LessonComplete, 1, 40, "two").timestamp;
    assert_eq!(learner.courses[0].progress.completed_at, Some(at));
    let told = world.told();
    let last = told.iter().rfind(|(topic, _)| topic == "learning.milestones").unwrap();
    assert_eq!(
        (&last.1["milestones"][0]["rule"], &last.1["milestones"][0]["course"]),
        (&"course_complete".into(), &"rust".into())
    );
}

async fn a_course_says_where_learners_stop(db: TestDatabase) {
    let world = World::new(db);
    let mut events = vec![event(EventType::CourseEnrol, 9, 0)];
    for user in 1..=4 {
        events.push(event(EventType::CourseEnrol, user, 0));
        events.push(in_lesson(EventType::LessonStart, user, 1, "one"));
        events.push(in_lesson(EventType::LessonComplete, user, u64::from(user) + 1, "one"));
    }
    events.push(in_lesson(EventType::LessonStart, 1, 10, "two"));
    events.push(in_lesson(EventType::LessonComplete, 1, 12, "two"));
    events.push(event(EventType::CourseComplete, 1, 13));
    events.push(in_lesson(EventType::LessonStart, 2, 10, "two"));
    // The third stops at the first exercise, the fourth at the second, and who completed the course stops nowhere.
    for (user, minute, exercise) in [(3, 8, "e1"), (4, 9, "e2"), (4, 8, "e1"), (1, 12, "e2")] {
        events.push(attempt(user, minute, exercise, false));
    }
    world.record(&events).await;
    world.clock.advance(Duration::from_secs(15 * 86_400));
    let summary = world.service.find_course(PROJECT, "rust").await.unwrap().unwrap();
    let numbers = (summary.learners, summary.enrolled, summary.started, summary.completed);
    assert_eq!((numbers, summary.completion_rate), ((5, 5, 4, 1), Some(0.25)));
    let [one, two] = &summary.lessons[..] else { panic!("{:?}", summary.lessons) };
    assert_eq!((one.started, one.completed, one.drop_off, one.stopped_here), (4, 4, Some(0.0), 2));
    assert_eq!((two.started, two.completed, two.drop_off, two.stopped_here), (2, 1, Some(0.5), 1));
    // Times of one, two, three and four minutes: the lower median.
    assert_eq!((one.median_seconds, two.median_seconds), (Some(120.0), Some(120.0)));
    let courses = world.service.list_courses(PROJECT, PageRequest::first(10)).await.unwrap();
    let [row] = &courses.items[..] else { panic!("{courses:?}") };
    assert_eq!((row.learners, row.enrolled, row.started, row.completed), (5, 5, 4, 1));
    assert_eq!(row.median_seconds, summary.median_seconds);
    let items = world.service.list_items(PROJECT, "rust").await.unwrap().items;
    let stopped: Vec<_> = items.iter().map(|item| (item.exercise.as_str(), item.stopped_here)).collect();
    assert_eq!(stopped, [("e1", 1), ("e2", 1)]);
    assert_eq!(row.active, 0, "nobody did anything in the last 14 days");
    assert_eq!(world.service.find_course(PROJECT, "go").await.unwrap(), None);
}

async fn learners_of_a_course_come_page_by_page(db: TestDatabase) {
    let world = World::new(db);
    let events: Vec<_> = (1..=5).map(|user| event(EventType::CourseEnrol, user, 0)).collect();
    world.record(&events).await;
    let (mut seen, mut after) = (Vec::new(), None);
    loop {
        let page = PageRequest::new(2, after);
        let query = ListLearners { project: PROJECT, course: "rust".to_owned(), page };
        let page = world.service.list_learners(query).await.unwrap();
        seen.extend(page.items.iter().map(|learner| learner.subject.0));
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    assert_eq!(seen, [1, 2, 3, 4, 5]);
}

async fn exercises_mastery_and_what_comes_next(db: TestDatabase) {
    let world = World::new(db);
    world.service.set_structure(PROJECT, "rust", course(), &world.by()).await.unwrap();
    let mut events = Vec::new();
    for user in 1..=24 {
        events.push(attempt(user, 1, "e1", user % 4 > 0));
        events.push(attempt(user, 2, "e1", true));
        events.push(attempt(user, 3, "x", user % 4 > 0));
    }
    let mut hint = event(EventType::HintUsed, 1, 0);
    hint.exercise_id = Some("e1".to_owned());
    events.push(hint);
    world.record(&events).await;
    let table = world.service.list_items(PROJECT, "rust").await.unwrap();
    assert!(!table.is_cut);
    let [e1, x] = &table.items[..] else { panic!("{:?}", table.items) };
    assert_eq!((e1.learners, e1.attempts, e1.difficulty), (24, 48, Some(0.25)));
    assert_eq!((e1.hint_rate, e1.median_seconds), (Some(1.0 / 24.0), Some(30.0)));
    // Whoever fails at one fails at the other.
    assert!(x.discrimination.unwrap() > 0.99);
    let mastery = world.service.list_mastery(PROJECT, SubjectId(1)).await.unwrap();
    let loops = mastery.iter().find(|it| it.skill == "loops").unwrap();
    assert_eq!((loops.attempts, loops.successes), (3, 3));
    assert!(
        loops.estimate.low < loops.estimate.probability && loops.estimate.probability < loops.estimate.high
    );
    assert!(loops.estimate.probability > 0.6);
    let next = world.service.recommend(PROJECT, SubjectId(1), "rust", 10).await.unwrap();
    // What is solved is not recommended; nobody has tried e2 yet.
    assert_eq!(next.iter().map(|it| it.exercise.as_str()).collect::<Vec<_>>(), ["e2"]);
    assert_eq!(next[0].lesson.as_deref(), Some("two"));
    let unknown = world.service.recommend(PROJECT, SubjectId(99), "rust", 10).await.unwrap();
    assert_eq!(unknown.len(), 3);
}

async fn declarations_are_checked_and_written_down(db: TestDatabase) {
    let world = World::new(db);
    assert_eq!(world.service.find_structure(PROJECT, "rust").await.unwrap(), None);
    world.service.set_structure(PROJECT, "rust", course(), &world.by()).await.unwrap();
    world.service.set_structure(PROJECT, "rust", course(), &world.by()).await.unwrap();
    assert_eq!(world.service.find_structure(PROJECT, "rust").await.unwrap(), Some(course()));
    let refused = world.service.set_structure(PROJECT, "", course(), &world.by()).await;
    assert!(matches!(refused, Err(LearningError::Invalid { field: "course", .. })));
    assert_eq!(world.service.find_rules(PROJECT).await.unwrap(), crate::structure::usual_rules());
    let rules = vec![Rule::StreakDays { days: 5 }];
    world
        .service
        .set_rules(ChangeRules { project: PROJECT, rules: rules.clone() }, &world.by())
        .await
        .unwrap();
    assert_eq!(world.service.find_rules(PROJECT).await.unwrap(), rules);
    let actions = ["learning_structure_changed", "learning_structure_changed", "learning_rules_changed"];
    assert_eq!(world.entries.actions(), actions);
}

async fn projects_are_apart(db: TestDatabase) {
    let world = World::new(db);
    world.record(&[attempt(1, 1, "e1", true)]).await;
    let other = ProjectId(2);
    assert_eq!(world.service.find_learner(other, SubjectId(1)).await.unwrap(), None);
    assert_eq!(world.service.find_course(other, "rust").await.unwrap(), None);
    assert_eq!(world.service.list_items(other, "rust").await.unwrap().items, []);
    assert_eq!(world.service.list_mastery(other, SubjectId(1)).await.unwrap(), []);
    assert_eq!(world.service.subject_data().erase(other, SubjectId(1)).await.unwrap(), 0);
    assert!(world.service.find_learner(PROJECT, SubjectId(1)).await.unwrap().is_some());
}

async fn errors_at_exercises_are_counted_by_type(db: TestDatabase) {
    let world = World::new(db);
    let mut events = vec![attempt(1, 1, "e0", false), attempt(1, 2, "e1", false), attempt(1, 3, "e2", true)];
    for number in 0..60_u64 {
        let mut error = event(EventType::ErrorEncountered, 1 + (number % 3) as u32, 10 + number);
        error.exercise_id = Some(format!("e{}", number % 2));
        let kind = number % 7;
        error.metadata.error_type = (kind > 0).then(|| format!("type {kind}"));
        error.course_id = if number % 10 == 9 { "go".to_owned() } else { error.course_id };
        events.push(error);
    }
    let long_ago = LearningEvent {
        id: "old".to_owned(),
        timestamp: START.minus(Duration::from_secs(ERROR_DAYS * 86_400 + 1)),
        ..events[3].clone()
    };
    world.record(&events[..30]).await;
    world.events.seal(PROJECT).await.unwrap();
    world.record(&events[30..]).await;
    world.record(&[long_ago]).await;

    let table = world.service.list_items(PROJECT, "rust").await.unwrap();
    let ids: Vec<&str> = table.items.iter().map(|item| item.exercise.as_str()).collect();
    assert_eq!(ids, ["e0", "e1", "e2"]);
    for item in &table.items {
        let mut plain: BTreeMap<&str, u64> = BTreeMap::new();
        let of_item = events.iter().filter(|it| {
            it.event_type == EventType::ErrorEncountered
                && it.course_id == "rust"
                && it.exercise_id.as_ref() == Some(&item.exercise)
        });
        for error in of_item {
            *plain.entry(error.metadata.error_type.as_deref().unwrap_or_default()).or_default() += 1;
        }
        let mut plain: Vec<(&str, u64)> = plain.into_iter().collect();
        plain.sort_by_key(|(kind, events)| (std::cmp::Reverse(*events), *kind));
        assert!(item.exercise == "e2" || plain.len() > ERROR_TYPES_MAX, "{plain:?}");
        plain.truncate(ERROR_TYPES_MAX);
        let found: Vec<(&str, u64)> =
            item.error_types.iter().map(|it| (it.error_type.as_str(), it.events)).collect();
        assert_eq!(found, plain, "{}", item.exercise);
    }
}
