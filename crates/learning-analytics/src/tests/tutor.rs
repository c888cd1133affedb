use std::time::Duration;

use belvedere_event_store::EventStore;
use belvedere_kernel::{Clock, LearningNumbers, ProjectId, SubjectId};
use belvedere_storage::database_tests;
use belvedere_storage::testing::TestDatabase;

use super::*;
use crate::tutor::{AskTutor, Share, TutorReport, read_acts};

database_tests!(
    conversations_become_figures_whatever_is_sealed_or_late,
    help_that_is_withheld_is_no_help_even_without_consent_to_details,
    erased_learners_and_other_projects_are_not_in_a_report,
    a_report_has_limits,
    others_see_numbers_of_five_learners_and_more,
);

const DAYS: AskTutor = AskTutor { project: PROJECT, days: 7, solve_minutes: 30 };

fn message(user: u32, minute: u64, metadata: Metadata) -> LearningEvent {
    LearningEvent {
        exercise_id: Some("e1".to_owned()),
        skills: vec!["loops".to_owned()],
        metadata,
        ..event(EventType::TutorMessage, user, minute)
    }
}

fn feedback(user: u32, minute: u64, rating: f64, resolved: bool) -> LearningEvent {
    let metadata = Metadata { rating: Some(rating), resolved: Some(resolved), ..Metadata::default() };
    LearningEvent { metadata, ..event(EventType::TutorFeedback, user, minute) }
}

fn counts(share: &Share) -> (u64, u64, u64) {
    (share.part, share.whole, share.learners)
}

async fn report(world: &World) -> TutorReport {
    world.service.report_tutor(DAYS).await.unwrap()
}

/// Six learners fail, ask twice within minutes, and try again: the first four solve it, of whom one asks again.
fn asked() -> Vec<LearningEvent> {
    let mut events = Vec::new();
    for user in 1..=6 {
        let error = Metadata { error_type: Some("borrow".to_owned()), ..Metadata::default() };
        events.push(LearningEvent {
            exercise_id: Some("e1".to_owned()),
            metadata: error,
            ..event(EventType::ErrorEncountered, user, 0)
        });
        events.push(attempt(user, 1, "e1", false));
        let said = Metadata {
            latency: Some(f64::from(user)),
            cost: Some(0.01),
            answer_leaked: Some(user == 6),
            abusive: Some(false),
            handed_over: (user < 3).then_some(user == 1),
            ..Metadata::default()
        };
        events.push(message(user, 2, said.clone()));
        events.push(message(user, 30, said));
        events.push(attempt(user, 40, "e1", user <= 4));
        events.push(feedback(user, 41, f64::from(user.min(5)), user < 4));
    }
    events.push(message(4, 300, Metadata::default()));
    events
}

async fn conversations_become_figures_whatever_is_sealed_or_late(db: TestDatabase) {
    let world = World::new(db);
    let mut events = asked();
    let late = events.split_off(20);
    world.record(&late).await;
    world.events.seal(PROJECT).await.unwrap();
    world.record(&events).await;
    // A day later all is known.
    let before = report(&world).await;
    assert_eq!((before.conversations, before.resolution), (7, Share::default()));
    world.clock.advance(Duration::from_secs(86_400));
    let found = report(&world).await;
    assert_eq!((found.conversations, found.messages, found.one_of), (7, 13, 1));
    assert_eq!((found.per_learner.value, found.per_learner.learners), (Some(7.0 / 6.0), 6));
    // Three of seven: the fourth asked again, and what they asked again was not solved.
    assert_eq!(counts(&found.resolution), (3, 7, 6));
    assert_eq!(counts(&found.satisfaction), (3, 6, 6));
    assert_eq!(found.rating.value, Some(20.0 / 6.0));
    assert_eq!(counts(&found.said_resolved), (3, 6, 6));
    assert_eq!(counts(&found.handed_over), (1, 2, 2));
    assert_eq!(counts(&found.answer_leaked), (1, 6, 6));
    assert_eq!(counts(&found.abusive), (0, 6, 6));
    let (latency, cost) = (found.latency.unwrap(), found.cost.unwrap());
    assert_eq!((latency.half.value, latency.most.value, latency.count), (3.0, 6.0, 12));
    assert!((cost.total - 0.12).abs() < 1e-9 && cost.messages == 12);
    assert!((cost.per_resolved.value.unwrap() - 0.04).abs() < 1e-9 && cost.per_resolved.count == 3);
    assert_eq!(counts(&found.comparisons[0].observed), (4, 6, 6));
    assert_eq!((found.comparisons[0].difference, &found.hold_out), (None, &None));
    let expected = found.comparisons[0].expected.unwrap();
    assert!(0.05 < expected && expected < 0.6, "{expected}");
    // The type of error is that of the error before the message; the one who asked again asked without one.
    let [topic] = &found.topics[..] else { panic!("{:?}", found.topics) };
    assert_eq!((topic.skill.as_str(), topic.error_type.as_str()), ("loops", "borrow"));
    assert_eq!((counts(&topic.resolution), topic.is_failing, found.topics_withheld), ((3, 6, 6), false, 1));
    assert_eq!(found.series.len(), 7);
    assert_eq!(found.series.iter().map(|point| point.resolution.whole).sum::<u64>(), 7);
    // In the order in which it happened and unsealed, it is the same.
    let plain = World::new(TestDatabase::sqlite().await);
    plain.record(&asked()).await;
    plain.clock.advance(Duration::from_secs(86_400));
    assert_eq!(
        rounded(serde_json::to_value(report(&plain).await).unwrap()),
        rounded(serde_json::to_value(found).unwrap())
    );
}

/// Sums in another order differ in their last digits.
fn rounded(value: Value) -> Value {
    match value {
        Value::Number(number) => (number.as_f64().unwrap() * 1e9).round().into(),
        Value::Array(values) => values.into_iter().map(rounded).collect(),
        Value::Object(fields) => fields.into_iter().map(|(name, value)| (name, rounded(value))).collect(),
        other => other,
    }
}

async fn help_that_is_withheld_is_no_help_even_without_consent_to_details(db: TestDatabase) {
    let world = World::new(db);
    let mut events = Vec::new();
    for user in 1..=50_u32 {
        let is_withheld = user % 2 == 0;
        let metadata =
            Metadata { withheld: Some(is_withheld), withhold_share: Some(0.5), ..Metadata::default() };
        events.push(attempt(user, 1, "e1", false));
        events.push(message(user, 2, metadata));
        events.push(attempt(user, 10, "e1", user % 5 > 0 && !is_withheld));
    }
    for event in events.iter_mut().filter(|event| event.user_id == "u50") {
        event.user_id = "x50".to_owned();
    }
    world.record(&events).await;
    world.clock.advance(Duration::from_secs(86_400));
    let found = report(&world).await;
    assert_eq!(found.conversations, 25);
    let hold_out = found.hold_out.unwrap();
    assert_eq!((hold_out.given, hold_out.withheld, hold_out.ratio.unwrap().is_off), (25, 25, false));
    let effect = &hold_out.effects[0];
    assert_eq!((counts(&effect.given), counts(&effect.withheld)), ((20, 25, 25), (0, 25, 25)));
    let effect = effect.effect.unwrap();
    assert!(effect.low > 0.6 && effect.low < 0.8 && 0.8 < effect.high, "{effect:?}");
    // After a day and within seven nothing is known yet.
    assert_eq!(hold_out.effects[2].effect, None);
}

async fn erased_learners_and_other_projects_are_not_in_a_report(db: TestDatabase) {
    let world = World::new(db);
    world.record(&asked()).await;
    world.clock.advance(Duration::from_secs(86_400));
    let other = AskTutor { project: ProjectId(2), ..DAYS };
    let nothing = world.service.report_tutor(other).await.unwrap();
    assert_eq!((nothing.conversations, nothing.latency, nothing.topics.len()), (0, None, 0));
    world.events.erase_subject(PROJECT, SubjectId(1)).await.unwrap();
    let found = report(&world).await;
    assert_eq!((found.conversations, counts(&found.resolution)), (6, (2, 6, 5)));
    assert_eq!(counts(&found.handed_over), (0, 1, 1));
    // Longer ago than was asked for.
    world.clock.advance(Duration::from_secs(8 * 86_400));
    assert_eq!(report(&world).await.conversations, 0);
}

async fn a_report_has_limits(db: TestDatabase) {
    let world = World::new(db);
    for (question, named) in [
        (AskTutor { days: 0, ..DAYS }, "days"),
        (AskTutor { days: 91, ..DAYS }, "days"),
        (AskTutor { solve_minutes: 1_441, ..DAYS }, "solve_minutes"),
    ] {
        let refused = world.service.report_tutor(question).await;
        assert!(
            matches!(refused, Err(LearningError::Invalid { field, .. }) if field == named),
            "{refused:?}"
        );
    }
    let events: Vec<_> =
        (1..=64).flat_map(|user| (0..4).map(move |at| attempt(user, at, "e1", true))).collect();
    world.record(&events).await;
    let range = DAYS.range(world.clock.now());
    let all = read_acts(&world.events, PROJECT, range, 256).await.unwrap();
    assert_eq!((all.acts.len(), all.one_of), (256, 1));
    let some = read_acts(&world.events, PROJECT, range, 100).await.unwrap();
    assert!(some.acts.len() <= 100 && some.one_of > 1, "{} of {}", some.acts.len(), some.one_of);
    // Whole learners, not parts of them.
    assert!(some.acts.chunk_by(|left, right| left.learner == right.learner).all(|own| own.len() == 4));
}

async fn others_see_numbers_of_five_learners_and_more(db: TestDatabase) {
    let world = World::new(db);
    let period = (START.minus(Duration::from_secs(2 * 86_400)), START.plus(Duration::from_secs(86_400)));
    let find = async || world.service.find_tutor(PROJECT, period.0, period.1).await.unwrap();
    world.record(&[attempt(1, 1, "e1", false)]).await;
    assert_eq!(find().await, None, "nobody asked");
    world.record(&asked()).await;
    world.clock.advance(Duration::from_secs(86_400));
    let found = find().await.unwrap();
    assert_eq!((found.conversations, found.one_of), (7, 1));
    let of = |number: Option<belvedere_kernel::Estimated>| number.map(|it| (it.value, it.count, it.learners));
    assert_eq!(of(found.interactions_per_learner), Some((7.0 / 6.0, 6, 6)));
    assert_eq!(of(found.resolution_rate), Some((3.0 / 7.0, 7, 6)));
    assert_eq!((of(found.satisfaction), found.effect), (Some((0.5, 6, 6)), None));
    assert!(found.resolution_rate.unwrap().interval.is_some());
    // Before anybody asked.
    let early = (period.0.minus(Duration::from_secs(86_400)), period.0);
    assert_eq!(world.service.find_tutor(PROJECT, early.0, early.1).await.unwrap(), None);
    assert_eq!(world.service.find_tutor(ProjectId(2), period.0, period.1).await.unwrap(), None);
    for subject in [1, 2] {
        world.events.erase_subject(PROJECT, SubjectId(subject)).await.unwrap();
    }
    let few = find().await.unwrap();
    assert_eq!((few.conversations, few.resolution_rate, few.interactions_per_learner), (5, None, None));
}
