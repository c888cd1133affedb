//! Statements move what is kept of learners exactly as native events do.

use std::collections::BTreeSet;

use belvedere_kernel::{Actor, Delivery, Identity, LiveMessage, PersonRegister, RawPerson};
use belvedere_learning_analytics::event::{EventType, LearningEvent, Metadata};
use belvedere_learning_analytics::milestones::Rule;
use belvedere_learning_analytics::structure::{CourseStructure, ExercisePlan, LessonPlan};
use belvedere_learning_analytics::{
    ChangeRules, ChangedBy, DELIVERY_KIND, Learning, LearningReports, LearningSettings, ListLearners,
    ListStatements, StatementHome,
};
use belvedere_privacy::{ChangeSettings, ConsentDefault, Privacy, PrivacySettings};
use belvedere_storage::testing::TestDatabase;
use belvedere_storage::{PageRequest, query_sql};
use serde_json::{Value, json};

use super::*;

belvedere_storage::database_tests!(
    statements_and_native_events_give_the_same_learners_in_any_order,
    a_statement_counts_once_and_once_with_the_event_of_its_id,
    what_is_voided_leaves_events_and_progress,
    voiding_reaches_statements_only,
    without_consent_a_statement_counts_for_a_number_of_the_day,
    while_learning_is_off_nothing_is_folded,
    writers_of_the_same_learners_do_not_block_each_other,
    whoever_was_erased_does_not_come_back_by_what_waits,
    what_cannot_be_folded_waits_by_itself,
    a_learner_read_as_statements_and_told_again_is_the_same,
);

const VERBS: &str = "http://adlnet.gov/expapi/verbs/";

/// Numbers that look random and are the same every time (xorshift64*).
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % bound
    }

    fn shuffle<T>(&mut self, items: &mut [T]) {
        for place in (1..items.len()).rev() {
            items.swap(place, self.below(place as u64 + 1) as usize);
        }
    }
}

/// The same act as the product and as an xAPI tool tell it.
#[derive(Clone)]
struct Act {
    native: LearningEvent,
    statement: Value,
}

impl Act {
    fn id(&self) -> [u8; 16] {
        crate::value::uuid(&self.native.id).unwrap()
    }
}

fn kind_of(word: &str) -> String {
    format!("http://adlnet.gov/expapi/activities/{word}")
}

fn activity(id: &str, kind: &str) -> Value {
    json!({ "id": id, "definition": { "type": kind_of(kind) } })
}

fn act(random: &mut Random, number: u64) -> Act {
    let mut id = [0x40; 16];
    id[8..].copy_from_slice(&(random.below(1 << 20) << 20 | number).to_be_bytes());
    id[8] = 0x80;
    let id = crate::value::uuid_text(&id);
    let user = ["ada", "bob"][random.below(2) as usize];
    let course = format!("http://c/{}", random.below(2));
    let lesson = format!("http://l/{}", random.below(3));
    let exercise = format!("http://e/{}", random.below(6));
    let at = START.minus(std::time::Duration::from_secs(random.below(4 * 86_400)));
    let native = |kind: EventType| LearningEvent {
        id: id.clone(),
        lesson_id: Some(lesson.clone()),
        ..LearningEvent::new(kind, user, &course, at)
    };
    let in_course = json!({ "grouping": [activity(&course, "course")] });
    let in_lesson =
        json!({ "parent": [activity(&lesson, "lesson")], "grouping": [activity(&course, "course")] });
    let (native, verb, object, around, result, extensions) = match random.below(8) {
        0 => {
            let native = native(EventType::LessonStart);
            (native, "initialized", activity(&lesson, "lesson"), in_course, json!({}), json!({}))
        }
        1 => {
            let native = native(EventType::LessonComplete);
            (native, "completed", activity(&lesson, "lesson"), in_course, json!({}), json!({}))
        }
        2 => {
            let native = LearningEvent { lesson_id: None, ..native(EventType::CourseEnrol) };
            (native, "registered", activity(&course, "course"), json!({}), json!({}), json!({}))
        }
        3 => {
            let native = LearningEvent { lesson_id: None, ..native(EventType::CourseComplete) };
            (native, "completed", activity(&course, "course"), json!({}), json!({}), json!({}))
        }
        4 => {
            let native = LearningEvent { exercise_id: Some(exercise.clone()), ..native(EventType::HintUsed) };
            let object = activity(&exercise, "cmi.interaction");
            (native, "hinted", object, in_lesson, json!({}), json!({}))
        }
        5 => {
            let position = random.below(120) as f64;
            let metadata = Metadata { position: Some(position), length: Some(120.0), ..Metadata::default() };
            let native = LearningEvent { metadata, ..native(EventType::VideoProgress) };
            let result = json!({ "extensions": { "https://w3id.org/xapi/video/extensions/time": position } });
            let extensions = json!({ "https://w3id.org/xapi/video/extensions/length": 120 });
            (native, "paused", activity(&lesson, "video"), in_course, result, extensions)
        }
        _ => {
            let (score, millis, success) = (
                random.below(101),
                random.below(90_000),
                [None, Some(true), Some(false)][random.below(3) as usize],
            );
            let metadata = Metadata {
                score: Some(score as f64),
                duration: Some(millis as f64 / 1_000.0),
                success,
                ..Metadata::default()
            };
            let exercise_id = Some(exercise.clone());
            let native = LearningEvent { exercise_id, metadata, ..native(EventType::ExerciseAttempt) };
            let mut result = json!({
                "score": { "scaled": score as f64 / 100.0 },
                "duration": format!("PT{}.{:03}S", millis / 1_000, millis % 1_000),
            });
            if let Some(success) = success {
                result["success"] = json!(success);
            }
            let object = activity(&exercise, "cmi.interaction");
            (native, "answered", object, in_lesson, result, json!({}))
        }
    };
    let mut context = json!({});
    for (name, value) in [("contextActivities", around), ("extensions", extensions)] {
        if value.as_object().is_some_and(|it| !it.is_empty()) {
            context[name] = value;
        }
    }
    let statement = json!({
        "id": id, "actor": { "account": { "homePage": HOME, "name": user } },
        "verb": { "id": format!("{VERBS}{verb}") }, "object": object, "result": result, "context": context,
        "timestamp": at.to_string(),
    });
    Act { native, statement }
}

fn acts(random: &mut Random, count: u64) -> Vec<Act> {
    (0..count).map(|number| act(random, number)).collect()
}

fn client_of(project: ProjectId) -> Client {
    Client { project, ..client(1) }
}

async fn store_in(
    service: &XapiService,
    project: ProjectId,
    statements: &Value,
) -> Result<StoredStatements, XapiError> {
    let body = Json::parse(statements.to_string().as_bytes(), 32).unwrap();
    let files = Default::default();
    let client = client_of(project);
    service.store_statements(StoreStatements { client, version: Version::Two, body, id: None, files }).await
}

fn statements_of(acts: &[Act]) -> Value {
    acts.iter().map(|act| act.statement.clone()).collect()
}

fn natives_of(acts: &[Act]) -> Vec<LearningEvent> {
    acts.iter().map(|act| act.native.clone()).collect()
}

fn by() -> ChangedBy {
    ChangedBy { actor: Actor::System("test"), request_id: None }
}

fn structure() -> CourseStructure {
    let exercise = |id: u64| ExercisePlan {
        id: format!("http://e/{id}"),
        skills: vec![format!("s{}", id % 2)],
        ..ExercisePlan::default()
    };
    let lesson = |id: u64| LessonPlan {
        id: format!("http://l/{id}"),
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

impl World {
    /// A project in which people may be recognised, with a structure and rules.
    async fn found(&self, project: ProjectId) {
        let all = ConsentDefault { analytics: true, marketing: true, detailed: true, location: true };
        let settings = PrivacySettings { consent_default: all, ..PrivacySettings::default() };
        let (actor, organisation) = (Actor::System("test"), Id::from_bytes([1; 16]));
        let change = ChangeSettings { actor, organisation, project, settings, request_id: None };
        self.privacy.change_settings(change).await.unwrap();
        self.learning.set_structure(project, "http://c/0", structure(), &by()).await.unwrap();
        let rules = vec![
            Rule::FirstLesson,
            Rule::StreakDays { days: 3 },
            Rule::ExercisesWithoutHint { exercises: 3 },
            Rule::CourseComplete,
        ];
        self.learning.set_rules(ChangeRules { project, rules }, &by()).await.unwrap();
    }

    async fn subject(&self, project: ProjectId, user: &str) -> Option<SubjectId> {
        let identity = Identity { id: Some(user.to_owned()), ..Identity::default() };
        self.privacy.find(&[RawPerson::new(project, identity)]).await.unwrap()[0]
    }

    async fn fold(&self) {
        self.learning.fold_waiting().await.unwrap();
    }

    /// How many learners' numbers stand at events that wait to be folded.
    async fn waiting(&self) -> usize {
        let rows = query_sql(self.db.read(), "SELECT entries FROM learning_waiting", []).await.unwrap();
        let entries = rows.iter().map(|row| row.try_get_by_index::<String>(0).unwrap());
        let entries = entries.map(|text| serde_json::from_str::<Vec<(Option<i64>, Value)>>(&text).unwrap());
        entries.flatten().filter(|(subject, _)| subject.is_some()).count()
    }

    /// Everything that follows from the events of a project, but for flags and who is which number.
    async fn kept(&self, project: ProjectId) -> Value {
        self.fold().await;
        let mut all = Vec::new();
        for user in ["ada", "bob"] {
            all.extend(self.kept_of(project, user).await);
        }
        for course in ["http://c/0", "http://c/1"] {
            all.push(serde_json::to_value(self.learning.list_items(project, course).await.unwrap()).unwrap());
        }
        all.into()
    }

    async fn kept_of(&self, project: ProjectId, user: &str) -> Option<Value> {
        let subject = self.subject(project, user).await?;
        let records = self.learning.subject_data().export(project, subject, None).await.unwrap().records;
        let records: Vec<Value> =
            records.into_iter().filter(|record| record["kind"] != "struggling").collect();
        let mut mastery =
            serde_json::to_value(self.learning.list_mastery(project, subject).await.unwrap()).unwrap();
        mastery.as_array_mut().unwrap().sort_by_key(|it| it["skill"].to_string());
        Some(json!({ "records": records, "mastery": mastery }))
    }

    /// What is kept is what follows from the log.
    async fn is_that_of_the_log(&self, project: ProjectId) {
        for user in ["ada", "bob"] {
            if let Some(subject) = self.subject(project, user).await {
                let rebuilt = self.learning.rebuild_learner(project, subject).await.unwrap();
                assert!(!rebuilt.is_changed, "{user} in {project}");
            }
        }
    }

    /// Does what jobs are to do; how many events were taken out.
    async fn withdraw(&self) -> u64 {
        let sql = "SELECT payload FROM jobs_job WHERE kind = $1";
        let mut withdrawn = 0;
        for row in query_sql(self.db.read(), sql, [WITHDRAW_JOB.into()]).await.unwrap() {
            let payload: String = row.try_get_by_index(0).unwrap();
            let payload: Value = serde_json::from_str(&payload).unwrap();
            let project: ProjectId = serde_json::from_value(payload["project"].clone()).unwrap();
            let ids: Vec<Id<()>> = serde_json::from_value(payload["events"].clone()).unwrap();
            let ids: Vec<[u8; 16]> = ids.into_iter().map(Id::to_bytes).collect();
            withdrawn += self.events.withdraw_events(project, &ids, &self.learning).await.unwrap().events;
        }
        withdrawn
    }

    async fn event_ids(&self, project: ProjectId) -> BTreeSet<[u8; 16]> {
        let batches = self.events.load(Select::all(project)).await.unwrap();
        batches.iter().flat_map(|batch| batch.ids.iter().copied()).collect()
    }
}

fn voiding(target: &str) -> Value {
    json!({
        "id": crate::value::uuid_text(&crate::value::random_uuid()),
        "actor": { "mbox": "mailto:admin@example.org" }, "verb": { "id": format!("{VERBS}voided") },
        "object": { "objectType": "StatementRef", "id": target },
    })
}

async fn statements_and_native_events_give_the_same_learners_in_any_order(db: TestDatabase) {
    let world = World::of(db, true);
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let mut project = ProjectId(0);
    for case in 0..2 {
        let acts = acts(&mut random, 60 + case * 30);
        let mut expected = None;
        // Native events first, then statements, then some of each.
        for order in 0..4 {
            project = ProjectId(project.0 + 1);
            world.found(project).await;
            let mut arriving = acts.clone();
            if order > 0 {
                arriving.extend(acts.iter().step_by(4).cloned());
                random.shuffle(&mut arriving);
            }
            while !arriving.is_empty() {
                let size = (1 + random.below(25) as usize).min(arriving.len());
                let batch: Vec<Act> = arriving.drain(..size).collect();
                if order == 0 || order == 3 && random.below(2) == 0 {
                    world.learning.record_events(project, natives_of(&batch)).await.unwrap();
                } else {
                    // The ids of one request are different ones.
                    let mut seen = BTreeSet::new();
                    let batch: Vec<Act> = batch.into_iter().filter(|act| seen.insert(act.id())).collect();
                    store_in(&world.service, project, &statements_of(&batch)).await.unwrap();
                }
                if random.below(4) == 0 {
                    world.events.seal(project).await.unwrap();
                }
                if random.below(4) == 0 {
                    world.fold().await;
                }
            }
            // Whatever waits, what is kept is what follows from the rest.
            world.is_that_of_the_log(project).await;
            assert_eq!(world.event_ids(project).await.len(), acts.len());
            let kept = world.kept(project).await;
            match &expected {
                None => expected = Some(kept),
                Some(expected) => {
                    pretty_equal(expected, &kept, &format!("case {case}, order {order}"));
                }
            }
            world.is_that_of_the_log(project).await;
        }
        let learners = expected.unwrap();
        assert!(learners[0]["records"].as_array().unwrap().len() > 10);
        assert!(!learners[0]["mastery"].as_array().unwrap().is_empty());
    }
}

/// Names the first part that differs, as all of it is long.
fn pretty_equal(expected: &Value, kept: &Value, what: &str) {
    match (expected, kept) {
        (Value::Array(one), Value::Array(other)) if one.len() == other.len() => {
            one.iter().zip(other).for_each(|(one, other)| pretty_equal(one, other, what));
        }
        (Value::Object(one), Value::Object(other)) if one.keys().eq(other.keys()) => {
            one.iter().for_each(|(key, one)| pretty_equal(one, &other[key], &format!("{what}, {key}")));
        }
        _ => assert_eq!(expected, kept, "{what}"),
    }
}

async fn a_statement_counts_once_and_once_with_the_event_of_its_id(db: TestDatabase) {
    let world = World::of(db, true);
    let project = ProjectId(1);
    world.found(project).await;
    let acts = acts(&mut Random(5), 8);
    for _ in 0..2 {
        store_in(&world.service, project, &statements_of(&acts)).await.unwrap();
        assert!(world.learning.record_events(project, natives_of(&acts)).await.unwrap() == 0);
    }
    world.fold().await;
    let mut events = 0;
    for user in ["ada", "bob"] {
        let subject = world.subject(project, user).await.unwrap();
        events += world.learning.find_learner(project, subject).await.unwrap().map_or(0, |it| it.events);
    }
    assert_eq!(events, 8);
    world.is_that_of_the_log(project).await;
}

async fn what_is_voided_leaves_events_and_progress(db: TestDatabase) {
    let world = World::of(db, true);
    let (project, twin) = (ProjectId(1), ProjectId(2));
    for project in [project, twin] {
        world.found(project).await;
    }
    let acts = acts(&mut Random(77), 64);
    let target = |place: usize| acts[place].native.id.clone();
    // A third lies in segments, a third in the tail; of the rest, some are voided before they come, or as they come.
    store_in(&world.service, project, &statements_of(&acts[..20])).await.unwrap();
    world.events.seal(project).await.unwrap();
    // What came later waits still when it is withdrawn.
    world.fold().await;
    store_in(&world.service, project, &statements_of(&acts[20..40])).await.unwrap();
    store_in(&world.service, project, &json!([voiding(&target(40))])).await.unwrap();
    let mut last = statements_of(&acts[40..]);
    last.as_array_mut().unwrap().push(voiding(&target(41)));
    store_in(&world.service, project, &last).await.unwrap();
    assert_eq!(world.event_ids(project).await.len(), 62);
    let late = [0, 3, 7, 11, 19, 21, 22, 30, 63];
    let voidings: Vec<Value> = late.iter().map(|place| voiding(&target(*place))).collect();
    store_in(&world.service, project, &voidings.into()).await.unwrap();
    // What voids twice withdraws once.
    store_in(&world.service, project, &json!([voiding(&target(3))])).await.unwrap();
    assert_eq!(world.withdraw().await, 9);
    assert_eq!(world.withdraw().await, 0);
    let is_voided = |place: &usize| late.contains(place) || [40, 41].contains(place);
    let rest: Vec<Act> =
        (0..acts.len()).filter(|place| !is_voided(place)).map(|place| acts[place].clone()).collect();
    store_in(&world.service, twin, &statements_of(&rest)).await.unwrap();
    let ids: BTreeSet<[u8; 16]> = rest.iter().map(Act::id).collect();
    assert_eq!(world.event_ids(project).await, ids);
    pretty_equal(&world.kept(twin).await, &world.kept(project).await, "after voiding");
    world.is_that_of_the_log(project).await;
    // Everything of somebody can be voided.
    let voidings: Vec<Value> = rest.iter().map(|act| voiding(&act.native.id)).collect();
    store_in(&world.service, project, &voidings.into()).await.unwrap();
    assert_eq!(world.withdraw().await, rest.len() as u64);
    assert!(world.event_ids(project).await.is_empty());
    for user in ["ada", "bob"] {
        let subject = world.subject(project, user).await.unwrap();
        assert!(world.learning.find_learner(project, subject).await.unwrap().is_none());
    }
    assert!(world.learning.list_items(project, "http://c/0").await.unwrap().items.is_empty());
}

async fn voiding_reaches_statements_only(db: TestDatabase) {
    let world = World::of(db, true);
    let project = ProjectId(1);
    world.found(project).await;
    let act = act(&mut Random(3), 1);
    world.learning.record_events(project, natives_of(std::slice::from_ref(&act))).await.unwrap();
    store_in(&world.service, project, &json!([voiding(&act.native.id)])).await.unwrap();
    assert_eq!(world.withdraw().await, 0);
    assert_eq!(world.event_ids(project).await, BTreeSet::from([act.id()]));
}

async fn without_consent_a_statement_counts_for_a_number_of_the_day(db: TestDatabase) {
    let world = World::of(db, true);
    let project = ProjectId(1);
    let mut acts = acts(&mut Random(9), 40);
    acts.retain(|act| act.native.user_id == "ada" && act.native.course_id == "http://c/0");
    assert!(acts.len() > 3);
    store_in(&world.service, project, &statements_of(&acts)).await.unwrap();
    world.fold().await;
    let lasting = world.subject(project, "ada").await.unwrap();
    assert!(world.learning.find_learner(project, lasting).await.unwrap().is_none());
    let list = || ListLearners { project, course: "http://c/0".to_owned(), page: PageRequest::first(10) };
    let learners = world.learning.list_learners(list()).await.unwrap().items;
    assert_eq!(learners.len(), 1);
    assert_ne!(learners[0].subject, lasting);
    let learner = world.learning.find_learner(project, learners[0].subject).await.unwrap().unwrap();
    assert_eq!(learner.events, acts.len() as u64);
    // Told by the product, they are acts of the same number.
    world.learning.record_events(project, natives_of(&acts)).await.unwrap();
    assert_eq!(world.learning.list_learners(list()).await.unwrap().items.len(), 1);
    // Nothing leads back to the statement.
    let ids = world.event_ids(project).await;
    assert!(acts.iter().all(|act| !ids.contains(&act.id())));
    for batch in world.events.load(Select::all(project)).await.unwrap() {
        assert!((0..batch.count).all(|row| !batch.props.get(row).contains("verb")));
    }
}

async fn while_learning_is_off_nothing_is_folded(db: TestDatabase) {
    let world = World::of(db, false);
    let project = ProjectId(1);
    world.found(project).await;
    let acts = acts(&mut Random(4), 12);
    store_in(&world.service, project, &statements_of(&acts)).await.unwrap();
    assert_eq!(world.event_ids(project).await.len(), 12);
    for user in ["ada", "bob"] {
        let subject = world.subject(project, user).await.unwrap();
        assert!(world.learning.find_learner(project, subject).await.unwrap().is_none());
        let rebuilt = world.learning.rebuild_learner(project, subject).await.unwrap();
        assert_eq!((rebuilt.events, rebuilt.is_changed), (0, false));
    }
}

async fn a_learner_read_as_statements_and_told_again_is_the_same(db: TestDatabase) {
    let world = World::of(db, true);
    let (project, twin) = (ProjectId(1), ProjectId(2));
    for project in [project, twin] {
        world.found(project).await;
    }
    let mut acts = acts(&mut Random(13), 90);
    acts.retain(|act| act.native.user_id == "ada");
    let count = acts.len();
    let natives = natives_of(&acts).into_iter().enumerate().map(|(place, native)| {
        // An id of the product's own, and every kind of event.
        let id = if place % 2 == 0 { format!("own-{place}") } else { native.id };
        let event_type = match place {
            0 => EventType::ErrorEncountered,
            1 => EventType::TutorMessage,
            2 => EventType::TutorFeedback,
            _ => native.event_type,
        };
        LearningEvent { id, event_type, ..native }
    });
    world.learning.record_events(project, natives.collect()).await.unwrap();
    let subject = world.subject(project, "ada").await.unwrap();
    let (mut told, mut after) = (Vec::new(), None);
    loop {
        let home = StatementHome { url: HOME.to_owned(), project };
        let query = ListStatements { home, subject, page: PageRequest::new(7, after) };
        let page = world.learning.list_statements(query).await.unwrap();
        assert!(page.items.len() <= 7);
        told.extend(page.items);
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    assert_eq!(told.len(), count);
    assert!(told.is_sorted_by_key(|it| std::cmp::Reverse(it["timestamp"].as_str().unwrap().to_owned())));
    store_in(&world.service, twin, &told.clone().into()).await.unwrap();
    world.fold().await;
    let user = format!("learner-{subject}");
    let (one, other) =
        (world.kept_of(project, "ada").await.unwrap(), world.kept_of(twin, &user).await.unwrap());
    pretty_equal(&one, &other, "told again");
    // Where they come from they are known.
    store_in(&world.service, project, &told.into()).await.unwrap();
    world.fold().await;
    assert_eq!(world.event_ids(project).await.len(), count);
    assert_eq!(world.kept_of(project, "ada").await.unwrap(), one);
}

/// A delivery of the door with events of a project.
fn delivery(project: ProjectId, acts: &[Act]) -> Delivery {
    Delivery {
        kind: DELIVERY_KIND.to_owned(),
        project,
        key: Id::from_bytes([1; 16]),
        received_at: START,
        encoding: None,
        remote_ip: None,
        user_agent: None,
        assigned_id: None,
        body: serde_json::to_vec(&natives_of(acts)).unwrap().into(),
    }
}

async fn writers_of_the_same_learners_do_not_block_each_other(db: TestDatabase) {
    let world = Arc::new(World::of(db, true));
    let projects = [ProjectId(1), ProjectId(2)];
    for project in projects {
        world.found(project).await;
    }
    let mut random = Random(21);
    let of_projects = [acts(&mut random, 96), acts(&mut random, 96)];
    let all = (&world.clock, &world.entries, world.directory.as_path(), &world.tasks);
    let other = Process::start(&world.db, all, true);
    let mut writers = tokio::task::JoinSet::new();
    // Two processes commit statements of both projects together, one from the end: their requests share commits.
    for (service, is_reversed) in [(world.service.clone(), false), (other.service.clone(), true)] {
        for (place, acts) in of_projects.iter().enumerate() {
            let mut acts = acts.clone();
            if is_reversed {
                acts.reverse();
            }
            for chunk in acts.chunks(6) {
                let (service, statements) = (service.clone(), statements_of(chunk));
                let project = projects[place];
                writers.spawn(async move { drop(store_in(&service, project, &statements).await.unwrap()) });
            }
        }
    }
    // The door's batches have both projects in them, the later one first.
    for round in 0..16 {
        let deliveries = [1, 0].map(|place| {
            let mut acts = of_projects[place][round * 6..round * 6 + 6].to_vec();
            acts.reverse();
            delivery(projects[place], &acts)
        });
        let handler = other.learning.intake_handler();
        let world = Arc::clone(&world);
        writers.spawn(async move {
            let prepared = handler.prepare(deliveries.to_vec()).await.unwrap();
            let store = async |tx: &Tx| prepared.batch.store(tx).await.map(|stored| stored.messages);
            let _: Vec<LiveMessage> = world.db.write(store).await.unwrap();
        });
    }
    // People change what the same rows are judged by, which is an act.
    for _ in 0..8 {
        let learning = world.learning.clone();
        writers.spawn(async move {
            for project in [ProjectId(2), ProjectId(1)] {
                learning.set_structure(project, "http://c/0", structure(), &by()).await.unwrap();
            }
        });
    }
    // Both processes fold, while there is something and in the end.
    for learning in [world.learning.clone(), other.learning.clone()] {
        writers.spawn(async move {
            for _ in 0..8 {
                learning.fold_waiting().await.unwrap();
            }
        });
    }
    while let Some(ended) = writers.join_next().await {
        ended.unwrap();
    }
    let (one, two) = tokio::join!(world.learning.fold_waiting(), other.learning.fold_waiting());
    one.and(two).unwrap();
    for (project, acts) in projects.into_iter().zip(&of_projects) {
        let ids: BTreeSet<[u8; 16]> = acts.iter().map(Act::id).collect();
        assert_eq!(world.event_ids(project).await, ids);
        let mut events = 0;
        for user in ["ada", "bob"] {
            let subject = world.subject(project, user).await.unwrap();
            events += world.learning.find_learner(project, subject).await.unwrap().map_or(0, |it| it.events);
        }
        assert_eq!(events, 96);
        world.is_that_of_the_log(project).await;
    }
}

async fn whoever_was_erased_does_not_come_back_by_what_waits(db: TestDatabase) {
    let world = World::of(db, true);
    let project = ProjectId(1);
    world.found(project).await;
    let acts = acts(&mut Random(31), 40);
    let own = acts.iter().filter(|act| act.native.user_id == "ada").count();
    store_in(&world.service, project, &statements_of(&acts)).await.unwrap();
    let (ada, learners) = (world.subject(project, "ada").await.unwrap(), world.learning.subject_data());
    assert_eq!(world.waiting().await, 40);
    assert_eq!(learners.count(project, ada).await.unwrap(), own as u64);
    assert_eq!(learners.erase(project, ada).await.unwrap(), own as u64);
    assert_eq!(learners.count(project, ada).await.unwrap(), 0);
    assert_eq!(world.waiting().await, 40 - own);
    world.fold().await;
    assert!(world.learning.find_learner(project, ada).await.unwrap().is_none());
    let bob = world.subject(project, "bob").await.unwrap();
    assert_eq!(world.learning.find_learner(project, bob).await.unwrap().unwrap().events, 40 - own as u64);
    // The sums of everybody have all of it.
    let sql = "SELECT attempts FROM learning_item WHERE project_id = 1 AND item_key = 0";
    let rows = query_sql(world.db.read(), sql, []).await.unwrap();
    let attempts = acts.iter().filter(|act| act.native.event_type == EventType::ExerciseAttempt).count();
    assert_eq!(rows[0].try_get_by_index::<i64>(0).unwrap(), attempts as i64);
}

async fn what_cannot_be_folded_waits_by_itself(db: TestDatabase) {
    let world = World::of(db, true);
    let project = ProjectId(1);
    world.found(project).await;
    let acts = acts(&mut Random(47), 60);
    let of = |user: &str| acts.iter().filter(|act| act.native.user_id == user).cloned().collect::<Vec<_>>();
    let (of_ada, of_bob) = (of("ada"), of("bob"));
    store_in(&world.service, project, &statements_of(&of_ada[..5])).await.unwrap();
    world.fold().await;
    let ada = world.subject(project, "ada").await.unwrap();
    let spoil = "UPDATE learning_learner SET state = 'spoilt' WHERE subject_id = $1";
    world.db.write(async |tx| execute_sql(tx, spoil, [ada.0.into()]).await).await.unwrap();
    store_in(&world.service, project, &statements_of(&of_ada[5..8])).await.unwrap();
    for chunk in of_bob.chunks(3) {
        store_in(&world.service, project, &statements_of(chunk)).await.unwrap();
    }
    world.fold().await;
    let bob = world.subject(project, "bob").await.unwrap();
    assert_eq!(world.learning.find_learner(project, bob).await.unwrap().unwrap().events, of_bob.len() as u64);
    assert_eq!(world.waiting().await, 3);
    // It is tried again, but not at once, and later each time.
    world.clock.advance(std::time::Duration::from_secs(10));
    world.fold().await;
    world
        .db
        .write(async |tx| {
            execute_sql(tx, "DELETE FROM learning_learner WHERE subject_id = $1", [ada.0.into()]).await
        })
        .await
        .unwrap();
    world.clock.advance(std::time::Duration::from_secs(10));
    world.fold().await;
    assert_eq!(world.waiting().await, 3);
    world.clock.advance(std::time::Duration::from_secs(10));
    world.fold().await;
    assert_eq!(world.waiting().await, 0);
    assert_eq!(world.learning.find_learner(project, ada).await.unwrap().unwrap().events, 3);
}
