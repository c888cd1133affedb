use belvedere_event_store::{EventStore, Select, TextField};
use belvedere_kernel::{Delivery, ItemOutcome, LearningNumbers, NoticeKind, StrugglingNumbers, SubjectId};
use belvedere_storage::database_tests;
use belvedere_storage::testing::TestDatabase;

use super::*;
use crate::event::Location;

database_tests!(
    deliveries_are_stored_counted_and_told_of,
    where_a_browser_is_counts_where_the_event_does_not_say,
    milestones_are_told_once_in_the_batch_that_makes_them_true,
    struggling_is_told_once_and_cleared_and_feedback_gives_precision,
    what_became_true_is_noticed_once_and_with_its_reasons,
    who_consents_to_nothing_is_somebody_else,
    an_erased_learner_leaves_nothing_but_sums,
);

fn body(events: &[LearningEvent]) -> Vec<u8> {
    serde_json::to_vec(events).unwrap()
}

fn delivery(body: Vec<u8>) -> Delivery {
    Delivery {
        kind: DELIVERY_KIND.to_owned(),
        project: PROJECT,
        key: Id::from_bytes([1; 16]),
        received_at: START,
        encoding: None,
        remote_ip: None,
        user_agent: None,
        assigned_id: None,
        body: body.into(),
    }
}

async fn deliveries_are_stored_counted_and_told_of(db: TestDatabase) {
    let world = World::new(db);
    let handler = world.service.intake_handler();
    let mut secret = attempt(1, 3, "e1", true);
    secret.metadata.code_submitted = Some("let secret = 4711;".to_owned());
    let events = [in_lesson(EventType::LessonStart, 1, 1, "one"), secret];
    let deliveries = vec![delivery(body(&events)), delivery(b"{}".to_vec()), delivery(body(&events[..1]))];
    let prepared = handler.prepare(deliveries).await.unwrap();
    assert_eq!(prepared.rejected.len(), 1);
    assert_eq!(prepared.rejected[0].index, 1);
    let stored = world.db.write(async |tx| prepared.batch.store(tx).await).await.unwrap();
    let counts: Vec<_> = stored.tallies.iter().map(|it| (it.outcome, it.reason, it.quantity)).collect();
    assert_eq!(counts, [(ItemOutcome::Stored, "", 2), (ItemOutcome::Dropped, "duplicate", 1)]);
    assert_eq!(stored.messages[0].topic, "learning.events");
    assert_eq!(stored.messages[0].data["events"], 2);
    let batches = world.events.load(Select::all(PROJECT)).await.unwrap();
    let props: Vec<&str> =
        batches.iter().flat_map(|batch| (0..batch.count).map(|row| batch.props.get(row))).collect();
    assert!(props.iter().any(|props| props.contains("[removed]")), "{props:?}");
    assert!(!props.iter().any(|props| props.contains("4711")), "{props:?}");
}

async fn where_a_browser_is_counts_where_the_event_does_not_say(db: TestDatabase) {
    let world = World::new(db);
    let mut told = attempt(1, 2, "e2", true);
    told.location = Some(Location { country: Some("NL".to_owned()), ..Location::default() });
    let sent = [
        ("Mozilla/5.0 (X11; Linux x86_64)", vec![attempt(1, 1, "e1", true), told]),
        ("python-requests/2.32", vec![attempt(1, 3, "e3", true)]),
    ];
    let deliveries = sent.map(|(agent, events)| Delivery {
        remote_ip: Some("203.0.113.9".to_owned()),
        user_agent: Some(agent.to_owned()),
        ..delivery(body(&events))
    });
    let prepared = world.service.intake_handler().prepare(deliveries.into()).await.unwrap();
    world.db.write(async |tx| prepared.batch.store(tx).await).await.unwrap();
    let mut places = Vec::new();
    for batch in world.events.load(Select::all(PROJECT)).await.unwrap() {
        for row in 0..batch.count {
            let text = |field| batch.text(field, row).unwrap_or_default().to_owned();
            let props = batch.props.get(row);
            assert!(!props.contains("203.0.113"), "{props}");
            let is_in_tyrol = props.contains(r#""region":"Tyrol""#);
            places.push((text(TextField::Exercise), text(TextField::Country), is_in_tyrol));
        }
    }
    places.sort();
    let places: Vec<_> = places.iter().map(|(of, country, region)| (&**of, &**country, *region)).collect();
    assert_eq!(places, [("e1", "AT", true), ("e2", "NL", false), ("e3", "", false)]);
}

async fn milestones_are_told_once_in_the_batch_that_makes_them_true(db: TestDatabase) {
    let world = World::new(db);
    let told = |world: &World| -> Vec<Value> {
        let told = world.told().into_iter().filter(|(topic, _)| topic == "learning.milestones");
        told.flat_map(|(_, data)| data["milestones"].as_array().unwrap().clone()).collect()
    };
    world.record(&[in_lesson(EventType::LessonStart, 1, 1, "one")]).await;
    assert_eq!(told(&world), [] as [Value; 0]);
    let complete = in_lesson(EventType::LessonComplete, 1, 9, "one");
    world.record(std::slice::from_ref(&complete)).await;
    let first = told(&world);
    assert_eq!(first.len(), 1);
    assert_eq!((first[0]["subject"].clone(), first[0]["rule"].clone()), (1.into(), "first_lesson".into()));
    // Neither again, nor for an earlier completion that arrives later; but that is when it was reached.
    world.record(&[complete, in_lesson(EventType::LessonComplete, 1, 5, "two")]).await;
    assert_eq!(told(&world), [] as [Value; 0]);
    let query =
        ListMilestones { project: PROJECT, subject: Some(SubjectId(1)), page: PageRequest::first(10) };
    let listed = world.service.list_milestones(query.clone()).await.unwrap().items;
    assert_eq!(listed.len(), 1);
    assert_eq!(listed[0].reached_at, event(EventType::LessonComplete, 1, 5).timestamp);
    // Ten exercises without a hint; a hint that arrives late takes it back, and one more solution gives it again.
    let solved: Vec<_> = (0..10).map(|number| attempt(1, 20 + number, &format!("e{number}"), true)).collect();
    world.record(&solved).await;
    assert_eq!(told(&world)[0]["rule"], "exercises_without_hint:10");
    let mut hint = event(EventType::HintUsed, 1, 15);
    hint.exercise_id = Some("e3".to_owned());
    world.record(&[hint]).await;
    assert_eq!(world.service.list_milestones(query.clone()).await.unwrap().items.len(), 1);
    world.record(&[attempt(1, 40, "e11", true)]).await;
    assert_eq!(told(&world), [] as [Value; 0]);
    assert_eq!(world.service.list_milestones(query).await.unwrap().items.len(), 2);
}

async fn what_became_true_is_noticed_once_and_with_its_reasons(db: TestDatabase) {
    let world = World::new(db);
    let complete = in_lesson(EventType::LessonComplete, 7, 9, "one");
    world.record(std::slice::from_ref(&complete)).await;
    world.record(&[complete.clone(), in_lesson(EventType::LessonComplete, 7, 5, "two")]).await;
    let notices = world.notices();
    assert_eq!(notices.len(), 1, "{notices:?}");
    assert_eq!((notices[0].kind, notices[0].subject), (NoticeKind::MilestoneReached, Some(SubjectId(7))));
    let reached_at = complete.timestamp;
    let expected =
        serde_json::json!({"subject": 7, "rule": "first_lesson", "course": "", "reached_at": reached_at});
    assert_eq!(notices[0].data, expected);
    let right: Vec<_> = (0..5).map(|number| attempt(7, number, &format!("a{number}"), true)).collect();
    world.record(&right).await;
    let wrong: Vec<_> = (0..8).map(|number| attempt(7, 10 + number, &format!("b{number}"), false)).collect();
    world.record(&wrong).await;
    world.record(&[attempt(7, 30, "b9", false)]).await;
    let notices = world.notices();
    assert_eq!(notices.len(), 1, "{notices:?}");
    assert_eq!((notices[0].kind, notices[0].subject), (NoticeKind::LearnerStruggling, Some(SubjectId(7))));
    let data = &notices[0].data;
    assert_eq!((&data["subject"], &data["skill"]), (&7.into(), &"loops".into()));
    assert!(data["score"].as_f64().unwrap() >= 1.0 && data["factors"][0]["reason"].is_string(), "{data}");
    let evidence = data["factors"][0]["evidence"].as_array().unwrap();
    assert!(evidence.iter().any(|id| id.as_str().unwrap().len() == 32), "{data}");
}

async fn struggling_is_told_once_and_cleared_and_feedback_gives_precision(db: TestDatabase) {
    let world = World::new(db);
    let told =
        |world: &World| world.told().into_iter().filter(|(topic, _)| topic == "learning.struggling").count();
    let right: Vec<_> = (0..5).map(|number| attempt(1, number, &format!("a{number}"), true)).collect();
    world.record(&right).await;
    assert_eq!(told(&world), 0);
    let wrong: Vec<_> = (0..8).map(|number| attempt(1, 10 + number, &format!("b{number}"), false)).collect();
    world.record(&wrong).await;
    assert_eq!(told(&world), 1);
    world.record(&[attempt(1, 30, "b9", false)]).await;
    assert_eq!(told(&world), 0);
    let query =
        |with_cleared| ListStruggling { project: PROJECT, with_cleared, page: PageRequest::first(10) };
    let struggling = world.service.list_struggling(query(false)).await.unwrap().items;
    assert_eq!((struggling[0].subject, struggling[0].skill.as_str()), (SubjectId(1), "loops"));
    assert_eq!(struggling[0].struggle.verdict, crate::struggling::Verdict::Struggling);
    assert!(struggling[0].onset_at < START && !struggling[0].struggle.factors.is_empty());
    let numbers = world.service.find_struggling(PROJECT).await.unwrap();
    let loops = || vec!["loops".to_owned()];
    // A skill of one learner is not named for all.
    assert_eq!((numbers.learners, numbers.areas), (1, Vec::new()));
    assert_eq!(numbers.latest, [(SubjectId(1), loops())]);
    let wrong = FlagFeedback::NotStruggling;
    world.service.give_feedback(PROJECT, SubjectId(1), "loops", wrong, &world.by()).await.unwrap();
    let precision = world.service.find_precision(PROJECT).await.unwrap();
    assert_eq!((precision.flags, precision.open, precision.precision), (1, 1, Some(0.0)));
    let nobody = world.service.give_feedback(PROJECT, SubjectId(2), "loops", wrong, &world.by()).await;
    assert!(matches!(nobody, Err(LearningError::NotFound("flag"))));
    assert_eq!(world.entries.actions(), ["learning_feedback_given"]);
    // Right answers end it.
    let right: Vec<_> = (0..12).map(|number| attempt(1, 40 + number, &format!("c{number}"), true)).collect();
    world.record(&right).await;
    assert_eq!(world.service.list_struggling(query(false)).await.unwrap().items, []);
    let all = world.service.list_struggling(query(true)).await.unwrap().items;
    assert_eq!((all[0].cleared_at, all[0].feedback), (Some(START), Some(wrong)));
    assert_eq!(world.service.find_struggling(PROJECT).await.unwrap(), StrugglingNumbers::default());
    for user in 2..=6 {
        let right = (0..5).map(|number| attempt(user, number, &format!("a{user}-{number}"), true));
        let wrong = (0..8).map(|number| attempt(user, 10 + number, &format!("b{user}-{number}"), false));
        world.record(&right.chain(wrong).collect::<Vec<_>>()).await;
    }
    let numbers = world.service.find_struggling(PROJECT).await.unwrap();
    assert_eq!((numbers.learners, numbers.areas), (5, vec![("loops".to_owned(), 5)]));
    assert_eq!(numbers.latest.first(), Some(&(SubjectId(6), loops())));
    assert_eq!(numbers.latest.len(), 5);
}

async fn who_consents_to_nothing_is_somebody_else(db: TestDatabase) {
    let world = World::new(db);
    let anonymous = LearningEvent {
        user_id: "x1".to_owned(),
        session_id: Some("visit".to_owned()),
        user_agent: Some("Firefox".to_owned()),
        ..attempt(1, 5, "e1", true)
    };
    assert_eq!(world.record(std::slice::from_ref(&anonymous)).await, 1);
    assert_eq!(world.record(&[anonymous]).await, 0);
    assert_eq!(world.service.find_learner(PROJECT, SubjectId(1)).await.unwrap(), None);
    let learner = world.service.find_learner(PROJECT, SubjectId(1_001)).await.unwrap().unwrap();
    assert_eq!((learner.events, learner.successes), (1, 1));
    let batches = world.events.load(Select::all(PROJECT)).await.unwrap();
    let props = batches[0].props.get(0);
    assert_eq!(props, r#"{"learning_day":20784,"skills":["loops"],"duration":30.0,"success":true}"#);
    assert_eq!(batches[0].text(belvedere_event_store::TextField::Session, 0), None);
}

async fn an_erased_learner_leaves_nothing_but_sums(db: TestDatabase) {
    let world = World::new(db);
    let mut events = vec![in_lesson(EventType::LessonComplete, 1, 1, "one")];
    events.extend((0..12).map(|number| attempt(1, 10 + number, &format!("b{number}"), false)));
    events.push(attempt(2, 5, "b1", true));
    world.record(&events).await;
    let data = world.service.subject_data();
    let count = data.count(PROJECT, SubjectId(1)).await.unwrap();
    let exported = data.export(PROJECT, SubjectId(1), None).await.unwrap().records;
    assert_eq!(exported.len() as u64, count);
    for kind in ["learner", "progress", "exercise", "skill", "milestone", "struggling"] {
        assert!(exported.iter().any(|record| record["kind"] == kind), "{kind}");
    }
    assert_eq!(data.erase(PROJECT, SubjectId(1)).await.unwrap(), count);
    assert_eq!(data.count(PROJECT, SubjectId(1)).await.unwrap(), 0);
    assert_eq!(data.erase(PROJECT, SubjectId(1)).await.unwrap(), 0);
    assert_eq!(world.entries.actions(), ["learning_subject_erased"]);
    assert_eq!(world.service.find_learner(PROJECT, SubjectId(1)).await.unwrap(), None);
    assert!(world.service.find_learner(PROJECT, SubjectId(2)).await.unwrap().is_some());
    let key = crate::history::ItemKey::exercise("rust", "b1");
    let counts = crate::store::load_counts(world.db.read(), PROJECT, &[key].into()).await.unwrap();
    assert_eq!((counts[&key].attempts, counts[&key].correct), (2, 1));
}
