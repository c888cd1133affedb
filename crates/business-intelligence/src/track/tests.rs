//! Product events through the service and its handler, with the real consent gate, on both databases.

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use belvedere_event_store::query::{QueryLimits, QueryService};
use belvedere_event_store::{Batch, Embedded, EventStore, Limits, Select, TextField};
use belvedere_kernel::{
    Actor, AuditSink, Clock, Delivery, Entry, Identity, InProcessBus, ItemOutcome, LiveBus, ManualClock,
    Organisation, PersonRegister, Place, Places, ProjectId, RawPerson, SubjectId, Tasks,
};
use belvedere_privacy::{
    ChangeSettings, ConsentDefault, MasterKey, Privacy, PrivacyService, PrivacySettings, RevealSubject,
};
use belvedere_storage::testing::TestDatabase;
use belvedere_storage::{Id, StorageError, Timestamp, Tx};
use serde_json::{Value, json};

use super::event::{AnalyticsEvent, EventKind, name_events};
use super::{
    DELIVERY_KIND, SegmentCall, TRACKED_MAX, TrackError, TrackParts, TrackService, Tracker, read_plausible,
    read_posthog, read_segment,
};
use crate::revenue::currency::Currency;
use crate::{AskPeriod, AskRevenue, Business, BusinessParts, BusinessService};

belvedere_storage::database_tests!(
    deliveries_are_stored_counted_and_told_of,
    a_message_counts_once,
    a_visitor_becomes_a_user_in_one_batch_and_across_batches,
    a_known_user_keeps_what_it_did_and_a_second_identify_steals_nobody,
    who_somebody_is_reaches_neither_the_events_nor_who_looks,
    consent_in_the_context_is_respected,
    consent_of_a_known_person_is_kept_and_holds_for_what_they_do_later,
    where_somebody_is_follows_from_their_address_with_consent_only,
    who_is_known_by_an_address_is_a_visitor_of_a_day,
    without_consent_nobody_is_followed,
    what_is_paid_is_one_customers_whatever_they_consent_to,
    statements_do_not_grow_with_events,
    what_is_tracked_is_written_by_fifty_and_at_the_end,
    a_batch_that_fails_is_in_front_again_and_counts_once,
    what_a_door_would_refuse_and_what_is_too_much_is_not_taken,
);

/// 2026-11-28T12:00:00Z
const START: Timestamp = Timestamp::from_micros(1_795_867_200_000_000);
const PROJECT: ProjectId = ProjectId(1);
const ORGANISATION: Id<Organisation> = Id::from_bytes([1; 16]);
const OFFICER: Actor = Actor::User(Id::from_bytes([2; 16]));

/// Knows of one address.
struct Tyrol;

impl Places for Tyrol {
    fn find(&self, address: IpAddr) -> Option<Place> {
        let place = Place { country: "AT".to_owned(), region: Some("Tyrol".to_owned()) };
        (address.to_string() == "203.0.113.9").then_some(place)
    }
}

struct NoAudit;

#[async_trait]
impl AuditSink for NoAudit {
    async fn record(&self, _: &Tx, _: Entry) -> Result<(), StorageError> {
        Ok(())
    }
}

struct World {
    db: TestDatabase,
    service: TrackService,
    business: Arc<BusinessService>,
    events: Embedded,
    privacy: Arc<PrivacyService>,
    clock: Arc<ManualClock>,
    bus: Arc<InProcessBus>,
    directory: PathBuf,
}

impl Drop for World {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

impl World {
    async fn new(db: TestDatabase, consent_default: ConsentDefault) -> Self {
        let clock = Arc::new(ManualClock::new(START));
        let key = MasterKey::from_bytes([7; 32]);
        let privacy = Arc::new(PrivacyService::new(db.database(), clock.clone(), &key, Arc::new(NoAudit)));
        let settings = PrivacySettings { consent_default, ..PrivacySettings::default() };
        let change = ChangeSettings {
            actor: OFFICER,
            organisation: ORGANISATION,
            project: PROJECT,
            settings,
            request_id: None,
        };
        privacy.change_settings(change).await.unwrap();
        let name = Id::<()>::generate(START).to_string();
        let directory = std::env::temp_dir().join(format!("belvedere-track-{name}"));
        let events = Embedded::new(db.database(), directory.clone(), clock.clone(), Limits::default());
        let bus = Arc::new(InProcessBus::default());
        let business = Arc::new(BusinessService::new(BusinessParts {
            db: db.database(),
            clock: clock.clone(),
            register: privacy.clone(),
            audit: Arc::new(NoAudit),
            queries: Arc::new(QueryService::new(
                Arc::new(events.clone()),
                1 << 20,
                1,
                QueryLimits::default(),
            )),
            events: Arc::new(events.clone()),
            scrubber: privacy.clone(),
            zones: None,
            learning: None,
        }));
        let service = TrackService::new(TrackParts {
            db: db.database(),
            clock: clock.clone(),
            gate: privacy.clone(),
            links: privacy.clone(),
            consents: privacy.clone(),
            scrubber: privacy.clone(),
            register: privacy.clone(),
            revenue: Some(business.clone()),
            events: Arc::new(events.clone()),
            places: Some(Arc::new(Tyrol)),
            bus: bus.clone(),
        });
        Self { db, service, business, events, privacy, clock, bus, directory }
    }

    /// The subject of a user id that lasts.
    async fn find(&self, user: &str) -> i64 {
        let identity = Identity { id: Some(user.to_owned()), ..Identity::default() };
        let found = self.privacy.find(&[RawPerson::new(PROJECT, identity)]).await.unwrap();
        found[0].unwrap().0
    }

    async fn with_consent(db: TestDatabase) -> Self {
        Self::new(db, ConsentDefault { analytics: true, location: true, ..ConsentDefault::default() }).await
    }

    /// Brings a Segment batch in as the door and the intake do.
    async fn segment(&self, batch: Value) {
        let body = json!({ "batch": batch }).to_string();
        let mut received = read_segment(body.as_bytes(), SegmentCall::Batch, self.clock.now()).unwrap();
        assert_eq!(received.refused, []);
        name_events(&mut received.events, self.clock.now());
        self.deliver(vec![serde_json::to_vec(&received.events).unwrap()]).await;
    }

    async fn deliver(&self, bodies: Vec<Vec<u8>>) -> Vec<(ItemOutcome, &'static str, u64)> {
        let deliveries = bodies.into_iter().map(delivery).collect();
        let prepared = self.service.intake_handler().prepare(deliveries).await.unwrap();
        let stored = self.db.write(async |tx| prepared.batch.store(tx).await).await.unwrap();
        for message in stored.messages {
            self.bus.publish(message);
        }
        stored.tallies.iter().map(|it| (it.outcome, it.reason, it.quantity)).collect()
    }

    /// Name and subject of each event, in the order of times and names.
    async fn seen(&self) -> Vec<(String, Option<i64>)> {
        let mut seen = Vec::new();
        for batch in self.events.load(Select::all(PROJECT)).await.unwrap() {
            let numbers: Vec<u32> = batch.subjects.to_vec();
            let subjects = self.events.find_subjects(PROJECT, &numbers).await.unwrap();
            for (row, number) in numbers.iter().enumerate() {
                let subject = subjects.get(number).map(|subject| subject.0);
                seen.push((batch.times[row], batch.name(row).to_owned(), subject));
            }
        }
        seen.sort();
        seen.into_iter().map(|(_, name, subject)| (name, subject)).collect()
    }

    async fn batches(&self) -> Vec<Arc<Batch>> {
        self.events.load(Select::all(PROJECT)).await.unwrap()
    }

    async fn props(&self) -> Vec<Value> {
        let batches = self.batches().await;
        let rows = batches.iter().flat_map(|batch| (0..batch.count).map(|row| batch.props.get(row)));
        rows.map(|props| serde_json::from_str(props).unwrap()).collect()
    }

    async fn user_of(&self, subject: i64) -> Option<String> {
        let reveal = RevealSubject {
            actor: OFFICER,
            organisation: ORGANISATION,
            project: PROJECT,
            subject: SubjectId(subject),
            request_id: None,
        };
        self.privacy.reveal_subject(reveal).await.unwrap().and_then(|identity| identity.id)
    }
}

fn delivery(body: Vec<u8>) -> Delivery {
    Delivery {
        kind: DELIVERY_KIND.to_owned(),
        project: PROJECT,
        key: Id::from_bytes([1; 16]),
        received_at: START,
        encoding: None,
        remote_ip: None,
        user_agent: Some("Mozilla/5.0 (X11; Linux x86_64; rv:146.0) Gecko/20100101 Firefox/146.0".to_owned()),
        assigned_id: None,
        body: body.into(),
    }
}

/// An item of a Segment batch, a minute after the one of the number before.
fn item(number: u32, kind: &str, more: Value) -> Value {
    let mut item = json!({
        "type": kind, "messageId": format!("m{number}"),
        "timestamp": format!("2026-11-28T10:{number:02}:00Z"),
    });
    if kind == "track" {
        item["event"] = format!("E{number}").into();
    }
    item.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    item
}

fn names(seen: &[(String, Option<i64>)]) -> Vec<(&str, i64)> {
    seen.iter().map(|(name, subject)| (name.as_str(), subject.unwrap_or_default())).collect()
}

async fn deliveries_are_stored_counted_and_told_of(db: TestDatabase) {
    let world = World::with_consent(db).await;
    let mut messages = world.bus.subscribe();
    let batch = json!({"batch": [
        item(1, "track", json!({"userId": "ada"})),
        item(2, "page", json!({"anonymousId": "v1", "name": "Home"})),
        item(3, "group", json!({"userId": "ada", "groupId": "acme", "traits": {"name": "Acme"}})),
        item(4, "alias", json!({"userId": "ada", "previousId": "v1"})),
    ]});
    let received = read_segment(batch.to_string().as_bytes(), SegmentCall::Batch, START).unwrap();
    let body = serde_json::to_vec(&received.events).unwrap();
    let prepared = world.service.intake_handler().prepare(vec![delivery(b"{}".to_vec())]).await.unwrap();
    assert_eq!(prepared.rejected[0].index, 0);
    let counts = world.deliver(vec![body.clone(), body]).await;
    // The alias is counted twice, as nothing is counted of it.
    assert_eq!(counts, [(ItemOutcome::Stored, "", 5), (ItemOutcome::Dropped, "duplicate", 3)]);
    let message = messages.try_recv().unwrap();
    assert_eq!((message.topic.as_str(), &message.data), ("track.events", &json!({"events": 3})));
    let batches = world.batches().await;
    assert_eq!(batches[0].text(TextField::Browser, 0), Some("Firefox"));
    let groups: Vec<Value> =
        world.props().await.into_iter().filter(|it| it.get("group_id").is_some()).collect();
    assert_eq!(groups, [json!({"name": "Acme", "group_id": "acme"})]);
}

async fn a_message_counts_once(db: TestDatabase) {
    let world = World::with_consent(db).await;
    let mut event = AnalyticsEvent::track("ada", "Signed Up", START);
    event.message_id = "m1".to_owned();
    let other = AnalyticsEvent::track("ada", "Signed Up", START);
    let events = vec![event.clone(), event.clone(), other];
    assert_eq!(world.service.record_events(PROJECT, events).await.unwrap(), 2);
    assert_eq!(world.service.record_events(PROJECT, vec![event.clone()]).await.unwrap(), 0);
    // In another project it is another message.
    assert_eq!(world.service.record_events(ProjectId(2), vec![event]).await.unwrap(), 1);
}

async fn a_visitor_becomes_a_user_in_one_batch_and_across_batches(db: TestDatabase) {
    let world = World::with_consent(db).await;
    world
        .segment(json!([
            item(1, "page", json!({"anonymousId": "v1"})),
            item(2, "identify", json!({"anonymousId": "v1", "userId": "ada"})),
            item(3, "track", json!({"userId": "ada"})),
        ]))
        .await;
    world.segment(json!([item(4, "page", json!({"anonymousId": "v1"}))])).await;
    // Across batches, and again and again.
    world.segment(json!([item(11, "page", json!({"anonymousId": "v2"}))])).await;
    for number in [12, 13] {
        let identify = json!({"anonymousId": "v2", "userId": "bob"});
        world.segment(json!([item(number, "identify", identify)])).await;
    }
    world.segment(json!([item(14, "track", json!({"userId": "bob", "anonymousId": "v2"}))])).await;
    // A second device of Ada's.
    world.segment(json!([item(21, "identify", json!({"anonymousId": "v3", "userId": "ada"}))])).await;
    world.segment(json!([item(22, "page", json!({"anonymousId": "v3"}))])).await;
    let seen = world.seen().await;
    assert_eq!(
        names(&seen),
        [
            ("page_view", 1),
            ("identify", 1),
            ("E3", 1),
            ("page_view", 1),
            ("page_view", 2),
            ("identify", 2),
            ("identify", 2),
            ("E14", 2),
            ("identify", 1),
            ("page_view", 1),
        ]
    );
    assert_eq!(world.user_of(1).await.as_deref(), Some("ada"));
    assert_eq!(world.user_of(2).await.as_deref(), Some("bob"));
}

async fn a_known_user_keeps_what_it_did_and_a_second_identify_steals_nobody(db: TestDatabase) {
    let world = World::with_consent(db).await;
    world
        .segment(json!([
            item(1, "track", json!({"userId": "ada"})),
            item(2, "page", json!({"anonymousId": "v1"})),
        ]))
        .await;
    world.segment(json!([item(3, "alias", json!({"previousId": "v1", "userId": "ada"}))])).await;
    world.segment(json!([item(4, "page", json!({"anonymousId": "v1"}))])).await;
    // Eve signs in where Ada was.
    world.segment(json!([item(5, "identify", json!({"anonymousId": "v1", "userId": "eve"}))])).await;
    world
        .segment(json!([
            item(6, "track", json!({"userId": "eve"})),
            item(7, "track", json!({"userId": "ada"})),
            item(8, "page", json!({"anonymousId": "v1"})),
        ]))
        .await;
    let seen = world.seen().await;
    assert_eq!(
        names(&seen),
        [
            ("E1", 1),
            ("page_view", 2),
            ("page_view", 1),
            ("identify", 3),
            ("E6", 3),
            ("E7", 1),
            ("page_view", 1)
        ]
    );
    // PostHog's client says the same in other words.
    let body = json!({"batch": [
        {"event": "$pageview", "uuid": "p1", "timestamp": "2026-11-28T10:30:00Z",
            "properties": {"distinct_id": "d1", "$device_id": "d1"}},
        {"event": "$identify", "uuid": "p2", "distinct_id": "cem", "timestamp": "2026-11-28T10:31:00Z",
            "properties": {"$anon_distinct_id": "d1", "$device_id": "d1"}},
    ]});
    let received = read_posthog(body.to_string().as_bytes(), START).unwrap();
    world.deliver(vec![serde_json::to_vec(&received.events).unwrap()]).await;
    assert_eq!(names(&world.seen().await)[7..], [("page_view", 4), ("identify", 4)]);
    assert_eq!(world.user_of(4).await.as_deref(), Some("cem"));
}

async fn who_somebody_is_reaches_neither_the_events_nor_who_looks(db: TestDatabase) {
    let world = World::with_consent(db).await;
    let planted = ["planted-user-1", "planted-visitor-1", "planted@example.com", "Planted", "203.0.113.77"];
    world
        .segment(json!([
            item(1, "identify", json!({
                "userId": "planted-user-1", "anonymousId": "planted-visitor-1",
                "traits": {"email": "planted@example.com", "name": "Planted", "phone": "0043 1 234", "plan": "pro"},
                "context": {"ip": "203.0.113.77", "page": {"path": "/u/planted-user-1", "title": "Hello planted-user-1",
                    "referrer": "https://mail.example/?to=planted@example.com"}},
            })),
            item(2, "track", json!({"userId": "planted-user-1", "anonymousId": "planted-visitor-1", "properties": {
                "text": "from planted@example.com for planted-user-1", "userId": "planted-user-1",
                "list": [{"anonymous_id": "planted-visitor-1", "by": "planted-visitor-1"}], "password": "x9"}})),
        ]))
        .await;
    for batch in world.batches().await {
        for row in 0..batch.count {
            let texts = TextField::ALL.iter().filter_map(|field| batch.text(*field, row));
            for text in texts.chain([batch.props.get(row), batch.name(row)]) {
                assert!(!planted.iter().any(|word| text.contains(word)), "{text}");
                assert!(!text.contains("x9") && !text.contains("0043"), "{text}");
            }
        }
    }
    assert!(world.props().await.iter().any(|props| props["plan"] == "pro"));
    assert_eq!(world.user_of(1).await.as_deref(), Some("planted-user-1"));
}

async fn consent_in_the_context_is_respected(db: TestDatabase) {
    let world = World::with_consent(db).await;
    let refusing = |granted: bool| {
        json!({"userId": "ada", "anonymousId": "v1", "properties": {"order_id": "o1", "total": 5},
            "context": {"consent": {"categoryPreferences": {"Analytics": granted}}, "campaign": {"source": "news"}}})
    };
    world
        .segment(json!([
            item(1, "track", refusing(true)),
            item(2, "track", refusing(false)),
            item(3, "identify", refusing(false)),
            item(4, "page", json!({"anonymousId": "v1"})),
        ]))
        .await;
    let seen = world.seen().await;
    assert_eq!(names(&seen), [("E1", 1), ("E2", 2), ("identify", 2), ("page_view", 3)]);
    assert_eq!(world.user_of(2).await, None);
    let props = world.props().await;
    let with_order: Vec<&Value> = props.iter().filter(|props| props.get("order_id").is_some()).collect();
    assert_eq!(with_order.len(), 1, "{props:?}");
}

async fn consent_of_a_known_person_is_kept_and_holds_for_what_they_do_later(db: TestDatabase) {
    // Who has not been asked is not followed.
    let world = World::new(db, ConsentDefault::default()).await;
    let says = |number, user: &str, at: &str, preferences: Value| {
        item(
            number,
            "track",
            json!({"userId": user, "timestamp": at, "context": {"consent": {"categoryPreferences": preferences}}}),
        )
    };
    let does = |number, user: &str| item(number, "track", json!({ "userId": user }));
    world
        .segment(json!([
            says(
                1,
                "ada",
                "2026-11-28T11:00:00Z",
                json!({"Analytics": true, "C0004": false, "Essential": true})
            ),
            says(2, "bob", "2026-11-28T11:00:00Z", json!({"Analytics": false})),
            item(
                3,
                "track",
                json!({"anonymousId": "v1",
                "context": {"consent": {"categoryPreferences": {"Analytics": true}}}})
            ),
        ]))
        .await;
    let data = world.privacy.consent_data();
    let said = async |subject| {
        let records = data.export(PROJECT, SubjectId(subject), None).await.unwrap().records;
        let line = |it: &Value| {
            let word = |name: &str| it[name].as_str().unwrap().to_owned();
            format!("{} {} {} {}", word("at"), word("purpose"), word("state"), word("source"))
        };
        records.iter().map(line).collect::<Vec<_>>()
    };
    let ada = world.find("ada").await;
    let bob = world.find("bob").await;
    assert_eq!(
        said(ada).await,
        [
            "2026-11-28T11:00:00Z analytics given context.consent",
            "2026-11-28T11:00:00Z marketing refused context.consent",
        ]
    );
    assert_eq!(said(bob).await, ["2026-11-28T11:00:00Z analytics refused context.consent"]);
    world.clock.advance(Duration::from_secs(86_400));
    world.segment(json!([does(4, "ada"), does(5, "bob")])).await;
    world.clock.advance(Duration::from_secs(86_400));
    world.segment(json!([does(6, "ada"), does(7, "bob")])).await;
    let seen = world.seen().await;
    let of = |name: &str| seen.iter().find(|(it, _)| it == name).unwrap().1.unwrap();
    assert_eq!((of("E4"), of("E6")), (ada, ada), "what she does is linked over days");
    assert!(of("E5") != of("E7") && of("E5") != bob, "he is another every day");
    // What comes late changes nothing, and a later word does.
    world.segment(json!([says(8, "ada", "2026-11-28T10:00:00Z", json!({"Analytics": false}))])).await;
    world.segment(json!([says(9, "ada", "2026-11-30T11:00:00Z", json!({"Analytics": false}))])).await;
    world.segment(json!([does(10, "ada")])).await;
    assert_eq!(said(ada).await[2..], ["2026-11-30T11:00:00Z analytics withdrawn context.consent"]);
    let seen = world.seen().await;
    assert_ne!(seen.iter().find(|(it, _)| it == "E10").unwrap().1, Some(ada));
    assert_eq!(data.erase(PROJECT, SubjectId(ada)).await.unwrap(), 3);
    assert_eq!(data.count(PROJECT, SubjectId(ada)).await.unwrap(), 0);
}

async fn where_somebody_is_follows_from_their_address_with_consent_only(db: TestDatabase) {
    let all = ConsentDefault { analytics: true, location: true, detailed: true, ..ConsentDefault::default() };
    let world = World::new(db, all).await;
    let batch = json!({"batch": [
        item(1, "track", json!({"userId": "ada"})),
        item(2, "track", json!({"userId": "ada", "context": {"ip": "198.51.100.1"}})),
        item(3, "track", json!({"userId": "ada", "context": {"location": {"country": "NL"}}})),
        item(4, "track", json!({"userId": "ada", "context": {"consent": {"categoryPreferences": {"Analytics": false}}}})),
        item(5, "track", json!({"userId": "bob", "context": {"ip": "203.0.113.9",
            "consent": {"categoryPreferences": {"Location": false}}}})),
    ]});
    let received = read_segment(batch.to_string().as_bytes(), SegmentCall::Batch, START).unwrap();
    let body = serde_json::to_vec(&received.events).unwrap();
    let send = async |agent: &str, body: &[u8]| {
        let delivery = Delivery {
            remote_ip: Some("203.0.113.9".to_owned()),
            user_agent: Some(agent.to_owned()),
            ..delivery(body.to_vec())
        };
        let prepared = world.service.intake_handler().prepare(vec![delivery]).await.unwrap();
        world.db.write(async |tx| prepared.batch.store(tx).await).await.unwrap();
    };
    send("Mozilla/5.0 (X11; Linux x86_64) Firefox/140.0", &body).await;
    // A server's address says nothing of its users; and he said no before.
    let later = json!({"batch": [
        item(6, "track", json!({"userId": "eve"})),
        item(7, "track", json!({"userId": "bob", "context": {"ip": "203.0.113.9"}})),
    ]});
    let received = read_segment(later.to_string().as_bytes(), SegmentCall::Batch, START).unwrap();
    send("analytics-python/2.4.0", &serde_json::to_vec(&received.events).unwrap()).await;
    let mut places = Vec::new();
    for batch in world.batches().await {
        for row in 0..batch.count {
            let text = |field| batch.text(field, row).unwrap_or_default().to_owned();
            let props: Value = serde_json::from_str(batch.props.get(row)).unwrap_or_default();
            let region = props["region"].as_str().unwrap_or_default().to_owned();
            assert!(!props.to_string().contains("203.0.113") && !props.to_string().contains("198.51.100"));
            places.push((text(TextField::Name), text(TextField::Country), region));
        }
    }
    places.sort();
    let places: Vec<_> =
        places.iter().map(|(name, country, region)| (&**name, &**country, &**region)).collect();
    assert_eq!(
        places,
        [
            ("E1", "AT", "Tyrol"),
            ("E2", "", ""),
            ("E3", "NL", ""),
            ("E4", "", ""),
            ("E5", "", ""),
            ("E6", "", ""),
            ("E7", "", ""),
        ]
    );
}

async fn who_is_known_by_an_address_is_a_visitor_of_a_day(db: TestDatabase) {
    let world = World::with_consent(db).await;
    let body = br#"{"n":"pageview","u":"https://shop.example/?utm_source=news","d":"k"}"#;
    let mut numbers = Vec::new();
    for (address, days) in [("203.0.113.7", 0), ("203.0.113.8", 0), ("203.0.113.7", 0), ("203.0.113.7", 1)] {
        world.clock.advance(Duration::from_secs(86_400 * days));
        let mut events = read_plausible(body, START).unwrap().events;
        name_events(&mut events, START);
        let body = serde_json::to_vec(&events).unwrap();
        let delivery = Delivery { remote_ip: Some(address.to_owned()), ..delivery(body) };
        let prepared = world.service.intake_handler().prepare(vec![delivery]).await.unwrap();
        world.db.write(async |tx| prepared.batch.store(tx).await).await.unwrap();
        let mut seen: Vec<i64> = world.seen().await.iter().map(|(_, subject)| subject.unwrap()).collect();
        seen.sort_unstable();
        numbers.push(seen);
    }
    assert_eq!(numbers, [vec![1], vec![1, 2], vec![1, 1, 2], vec![1, 1, 2, 3]]);
    assert!(world.props().await.iter().all(|props| *props == json!({"host": "shop.example", "path": "/"})));
    assert_eq!(world.user_of(1).await, None);
}

async fn without_consent_nobody_is_followed(db: TestDatabase) {
    let world = World::new(db, ConsentDefault::default()).await;
    let visit = |number| {
        json!([item(
            number,
            "identify",
            json!({"anonymousId": "v1", "userId": "ada", "context": {
            "sessionId": "s1", "campaign": {"source": "news"}, "location": {"country": "AT"},
            "page": {"url": "https://shop.example/a", "referrer": "https://search.example/found?q=1"}}})
        )])
    };
    world.segment(visit(1)).await;
    world.clock.advance(Duration::from_secs(86_400));
    world.segment(visit(2)).await;
    assert_eq!(names(&world.seen().await), [("identify", 1), ("identify", 2)]);
    assert_eq!(world.user_of(1).await, None);
    for batch in world.batches().await {
        for row in 0..batch.count {
            let there: Vec<TextField> =
                TextField::ALL.into_iter().filter(|field| batch.text(*field, row).is_some()).collect();
            assert_eq!(there, [TextField::Name, TextField::Referrer]);
            assert_eq!(batch.props.get(row), r#"{"host":"shop.example","path":"/a"}"#);
        }
    }
}

async fn statements_do_not_grow_with_events(db: TestDatabase) {
    let world = World::with_consent(db).await;
    let of = |users: u32, round: &str| {
        let user = |number: u32| format!("{round}-user-{number}");
        let identify = |number: u32| {
            AnalyticsEvent::identify(&user(number), Some(&format!("v-{}", user(number))), START)
        };
        let track = |number: u32| AnalyticsEvent::track(&user(number), "Opened", START);
        (0..users).flat_map(|number| [identify(number), track(number)]).collect::<Vec<_>>()
    };
    world.service.record_events(PROJECT, of(1, "a")).await.unwrap();
    let mut needed = Vec::new();
    for (users, round) in [(2, "b"), (60, "c")] {
        for failures in 1.. {
            world.db.faults().fail_after(failures);
            let result = world.service.record_events(PROJECT, of(users, round)).await;
            if world.db.faults().take_unused() {
                assert_eq!(result.unwrap(), u64::from(users) * 2);
                needed.push(failures);
                break;
            }
            // Nothing was stored, and nothing is remembered.
            result.unwrap_err();
        }
    }
    assert!(needed[1] <= needed[0] + 12 && needed[1] < 45, "{needed:?}");
}

async fn what_is_tracked_is_written_by_fifty_and_at_the_end(db: TestDatabase) {
    let world = World::with_consent(db).await;
    let tracker = Arc::new(Tracker::new(world.service.clone(), PROJECT));
    let tasks = Tasks::default();
    tasks.spawn("tracker", Arc::clone(&tracker).run(tasks.clone()));
    for _ in 0..50 {
        tracker.track(AnalyticsEvent::track("ada", "Opened", START)).unwrap();
    }
    while tracker.waiting() > 0 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    tracker.track(AnalyticsEvent::track("ada", "Paid", START).with("revenue", 12.5)).unwrap();
    tasks.stop();
    tasks.ended().await;
    let seen = world.seen().await;
    assert_eq!(seen.len(), 51);
    assert_eq!(seen.iter().filter(|(name, subject)| name == "Paid" && *subject == Some(1)).count(), 1);
}

async fn a_batch_that_fails_is_in_front_again_and_counts_once(db: TestDatabase) {
    let world = World::with_consent(db).await;
    let tracker = Tracker::new(world.service.clone(), PROJECT);
    for _ in 0..120 {
        tracker.track(AnalyticsEvent::track("ada", "Opened", START)).unwrap();
    }
    world.db.faults().fail_after(3);
    assert!(tracker.flush().await.is_err());
    assert_eq!(tracker.waiting(), 120);
    tracker.flush().await.unwrap();
    assert_eq!((tracker.waiting(), world.seen().await.len()), (0, 120));
}

async fn what_a_door_would_refuse_and_what_is_too_much_is_not_taken(db: TestDatabase) {
    let world = World::with_consent(db).await;
    let tracker = Tracker::new(world.service.clone(), PROJECT);
    let refused = tracker.track(AnalyticsEvent::track("ada", "", START)).unwrap_err();
    assert_eq!(refused.to_string(), "event 0: event is missing");
    let refused = tracker.track(AnalyticsEvent::new(EventKind::Page, START)).unwrap_err();
    assert_eq!(refused.to_string(), "event 0: userId is missing, and so is anonymousId");
    for _ in 0..TRACKED_MAX {
        tracker.track(AnalyticsEvent::track("ada", "Opened", START)).unwrap();
    }
    let full = tracker.track(AnalyticsEvent::track("ada", "Opened", START)).unwrap_err();
    assert!(matches!(full, TrackError::Full(TRACKED_MAX)) && full.is_transient());
}

/// What is paid each month in euros a minute later, in cents, and by how many.
async fn monthly(world: &World) -> (i64, i64) {
    world.clock.advance(Duration::from_secs(60));
    let ask = AskRevenue {
        project: PROJECT,
        period: AskPeriod::Current(crate::calendar::PeriodUnit::Day),
        currency: Currency::find("EUR"),
    };
    let report = world.business.find_revenue(ask).await.unwrap();
    report.map_or((0, 0), |report| (report.now.end.mrr_minor, report.now.end.customers))
}

async fn what_is_paid_is_one_customers_whatever_they_consent_to(db: TestDatabase) {
    let world = World::new(db, ConsentDefault::default()).await;
    let event = |id: &str, name: &str, properties: Value| {
        let timestamp = world.clock.now();
        json!({"type": "track", "event": name, "userId": "u-20117", "messageId": id, "properties": properties,
               "timestamp": timestamp})
    };
    let price = |amount: f64| json!({"plan": "pro", "currency": "EUR", "price": amount, "interval": "month"});
    world
        .segment(json!([
            event("m1", "Subscription Started", price(29.9)),
            event("m2", "Lesson Opened", json!({}))
        ]))
        .await;
    assert_eq!(monthly(&world).await, (2_990, 1));
    // Repeated, it counts once; the next day, under another number of the day, it is the same customer.
    world.segment(json!([event("m1", "Subscription Started", price(29.9))])).await;
    world.clock.advance(Duration::from_secs(86_400));
    world.segment(json!([event("m3", "Subscription Updated", price(49.9))])).await;
    assert_eq!(monthly(&world).await, (4_990, 1));
    world.clock.advance(Duration::from_secs(86_400));
    world.segment(json!([event("m4", "Subscription Cancelled", json!({}))])).await;
    assert_eq!(monthly(&world).await, (0, 0));
    // A visitor who consents to nothing is nobody's customer, and what cannot be read says so; both stay events.
    let visitor = json!({"type": "track", "event": "Order Completed", "anonymousId": "a-1", "messageId": "m5",
                         "properties": {"total": 12.5, "currency": "EUR"}});
    let strange = event("m6", "Subscription Started", json!({"price": 1, "currency": "doubloons"}));
    world.segment(json!([visitor, strange])).await;
    assert_eq!(monthly(&world).await, (0, 0));
}
