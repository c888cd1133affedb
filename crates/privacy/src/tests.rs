mod consent;
mod link;

use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use belvedere_kernel::{
    Actor, Admitted, AuditSink, ConsentGate, Entry, Identity, KeyOwner, ManualClock, Organisation, Outcome,
    ProjectId, RawPerson, Removal, Scrubber, SubjectId, User, Vault, VaultError,
};
use belvedere_storage::testing::TestDatabase;
use belvedere_storage::{Database, Id, StorageError, Tx};
use sea_orm::{ConnectionTrait, DbBackend, Statement};
use serde_json::json;
use tokio::task::JoinSet;

use crate::{
    ChangeSettings, ConsentDefault, MasterKey, Privacy, PrivacyError, PrivacyService, PrivacySettings,
    RevealSubject, VaultService,
};

belvedere_storage::database_tests!(
    people_become_dense_numbers_per_project,
    the_same_person_is_the_same_subject_in_any_spelling_and_process,
    a_rolled_back_subject_is_not_remembered,
    an_admission_that_fails_at_any_statement_leaves_nothing,
    concurrent_admissions_make_one_subject_a_person,
    a_batch_of_known_people_needs_no_statement,
    five_hundred_new_people_need_few_statements,
    without_consent_a_person_is_another_every_day_and_nothing_is_stored_of_them,
    salts_are_destroyed_after_48_hours,
    news_about_a_person_are_taken_over_and_the_rest_is_kept,
    an_ip_address_is_kept_with_consent_to_location_or_if_it_is_all_there_is,
    revealing_a_subject_is_audited,
    a_destroyed_key_makes_a_subject_unknown_for_ever,
    the_database_holds_no_raw_identity,
    settings_are_checked_audited_and_in_force_at_once,
    settings_changed_by_another_process_are_in_force_after_five_seconds,
    a_projects_rules_scrub_its_payloads_only,
    the_vault_opens_for_its_owner_and_under_its_master_key_only,
    a_key_that_was_rolled_back_seals_nothing,
);

const ORGANISATION: Id<Organisation> = Id::from_bytes([1; 16]);
const OFFICER: Actor = Actor::User(Id::from_bytes([2; 16]));
const P1: ProjectId = ProjectId(1);
const P2: ProjectId = ProjectId(2);

/// Remembers the entries of transactions that committed.
#[derive(Default)]
struct FakeAudit(Arc<Mutex<Vec<Entry>>>);

#[async_trait]
impl AuditSink for FakeAudit {
    async fn record(&self, tx: &Tx, entry: Entry) -> Result<(), StorageError> {
        let entries = self.0.clone();
        tx.after_commit(move || entries.lock().unwrap().push(entry));
        Ok(())
    }
}

struct House {
    db: TestDatabase,
    clock: Arc<ManualClock>,
    audit: Arc<FakeAudit>,
    privacy: Arc<PrivacyService>,
}

impl House {
    fn new(db: TestDatabase) -> Self {
        let clock = Arc::new(ManualClock::new("2026-11-23T12:00:00Z".parse().unwrap()));
        let audit = Arc::new(FakeAudit::default());
        let privacy = Arc::new(process(db.database(), &clock, &audit));
        Self { db, clock, audit, privacy }
    }

    /// One in which every person may be recognised.
    async fn with_consent(db: TestDatabase) -> Self {
        let house = Self::new(db);
        for project in [P1, P2] {
            house.consent(project, ConsentDefault { analytics: true, ..ConsentDefault::default() }).await;
        }
        house.audit.0.lock().unwrap().clear();
        house
    }

    async fn consent(&self, project: ProjectId, consent_default: ConsentDefault) {
        let settings = PrivacySettings { consent_default, ..PrivacySettings::default() };
        self.privacy.change_settings(change(project, settings)).await.unwrap();
    }

    /// The same database seen by another process.
    fn other_process(&self) -> PrivacyService {
        process(self.db.database(), &self.clock, &self.audit)
    }

    async fn admit(&self, people: &[RawPerson]) -> Vec<Admitted> {
        admit(&self.db, &self.privacy, people).await.unwrap()
    }

    async fn subjects(&self, people: &[RawPerson]) -> Vec<i64> {
        self.admit(people).await.iter().map(|admitted| admitted.subject.unwrap().0).collect()
    }

    async fn reveal(&self, subject: i64) -> Option<Identity> {
        let subject = SubjectId(subject);
        let reveal = RevealSubject {
            actor: OFFICER,
            organisation: ORGANISATION,
            project: P1,
            subject,
            request_id: None,
        };
        self.privacy.reveal_subject(reveal).await.unwrap()
    }

    async fn count(&self, sql: &str) -> i64 {
        let statement = Statement::from_string(self.db.read().get_database_backend(), sql);
        self.db.read().query_one_raw(statement).await.unwrap().unwrap().try_get_by_index(0).unwrap()
    }
}

fn process(db: Database, clock: &Arc<ManualClock>, audit: &Arc<FakeAudit>) -> PrivacyService {
    PrivacyService::new(db, clock.clone(), &MasterKey::from_bytes([7; 32]), audit.clone())
}

async fn admit(
    db: &Database,
    privacy: &PrivacyService,
    people: &[RawPerson],
) -> Result<Vec<Admitted>, StorageError> {
    db.write(async |tx| privacy.admit(tx, people).await).await
}

fn change(project: ProjectId, settings: PrivacySettings) -> ChangeSettings {
    ChangeSettings {
        actor: OFFICER,
        organisation: ORGANISATION,
        project,
        settings,
        request_id: Some("r-1".to_owned()),
    }
}

fn person(project: ProjectId, id: &str) -> RawPerson {
    RawPerson::new(project, Identity { id: Some(id.to_owned()), ..Identity::default() })
}

fn text(value: &str) -> Option<String> {
    Some(value.to_owned())
}

async fn people_become_dense_numbers_per_project(db: TestDatabase) {
    let house = House::with_consent(db).await;
    let nobody = RawPerson::new(P1, Identity::default());
    let people = [person(P1, "ada"), person(P2, "ada"), person(P1, "bob"), nobody, person(P1, "ada")];
    let admitted = house.admit(&people).await;
    let subjects: Vec<_> = admitted.iter().map(|admitted| admitted.subject).collect();
    let [one, two] = [Some(SubjectId(1)), Some(SubjectId(2))];
    assert_eq!(subjects, [one, one, two, None, one]);
    assert!(admitted.iter().all(|admitted| admitted.analytics && !admitted.detailed && !admitted.location));
    assert_eq!(house.subjects(&[person(P1, "eve"), person(P1, "bob")]).await, [3, 2]);
    assert_eq!(house.privacy.count_subjects(P1).await.unwrap(), 3);
    assert_eq!(house.privacy.count_subjects(P2).await.unwrap(), 1);
}

async fn the_same_person_is_the_same_subject_in_any_spelling_and_process(db: TestDatabase) {
    let house = House::with_consent(db).await;
    let by_email = |email: &str| RawPerson::new(P1, Identity { email: text(email), ..Identity::default() });
    assert_eq!(house.subjects(&[by_email("Ada@Example.com "), by_email("ada@example.com")]).await, [1, 1]);
    let other = house.other_process();
    let people = [person(P1, "bob"), by_email("ADA@example.com")];
    let admitted = admit(&house.db, &other, &people).await.unwrap();
    assert_eq!(admitted[1].subject, Some(SubjectId(1)));
    assert_eq!(admitted[0].subject, Some(SubjectId(2)));
    // An id and an e-mail address of the same letters are two people.
    assert_eq!(house.subjects(&[person(P1, "ada@example.com")]).await, [3]);
}

async fn a_rolled_back_subject_is_not_remembered(db: TestDatabase) {
    let house = House::with_consent(db).await;
    let undone = house.db.write(async |tx| {
        let admitted = house.privacy.admit(tx, &[person(P1, "ada")]).await?;
        // Within the transaction the subject is there.
        assert_eq!(house.privacy.admit(tx, &[person(P1, "ada")]).await?, admitted);
        Err::<(), _>(StorageError::corrupt("the batch failed"))
    });
    undone.await.unwrap_err();
    assert_eq!(house.subjects(&[person(P1, "bob"), person(P1, "ada")]).await, [1, 2]);
    assert_eq!(house.count("SELECT COUNT(*) FROM privacy_subject").await, 2);
}

async fn an_admission_that_fails_at_any_statement_leaves_nothing(db: TestDatabase) {
    let house = House::with_consent(db).await;
    house.subjects(&[person(P1, "known")]).await;
    let mut news = person(P1, "known");
    news.identity.name = text("Known");
    let people = [news, person(P1, "ada"), person(P1, "bob")];
    for failures in 0.. {
        house.db.faults().fail_after(failures);
        let result = admit(&house.db, &house.privacy, &people).await;
        if house.db.faults().take_unused() {
            result.unwrap();
            break;
        }
        result.unwrap_err();
        assert_eq!(house.count("SELECT COUNT(*) FROM privacy_subject").await, 1);
        assert_eq!(house.count("SELECT COUNT(*) FROM privacy_key").await, 1);
        assert_eq!(house.count("SELECT subjects FROM privacy_subject_counter WHERE project_id = 1").await, 1);
        assert_eq!(house.reveal(1).await.unwrap().name, None);
    }
    assert_eq!(house.subjects(&people).await, [1, 2, 3]);
    assert_eq!(house.reveal(1).await.unwrap().name, text("Known"));
}

async fn concurrent_admissions_make_one_subject_a_person(db: TestDatabase) {
    let house = House::with_consent(db).await;
    let mut workers = JoinSet::new();
    for worker in 0..4_usize {
        let (db, privacy) = (house.db.database(), house.other_process());
        workers.spawn(async move {
            let mut seen = Vec::new();
            for batch in 0..5_usize {
                // Overlapping batches in different orders.
                let mut ids: Vec<usize> = (batch * 10..batch * 10 + 20).collect();
                ids.rotate_left(worker * 5);
                let people: Vec<_> = ids.iter().map(|id| person(P1, &format!("user-{id}"))).collect();
                let admitted = admit(&db, &privacy, &people).await.unwrap();
                seen.extend(
                    ids.into_iter().zip(admitted.into_iter().map(|admitted| admitted.subject.unwrap().0)),
                );
            }
            seen
        });
    }
    let mut pairs: Vec<(usize, i64)> = workers.join_all().await.into_iter().flatten().collect();
    pairs.sort_unstable();
    pairs.dedup();
    assert_eq!(pairs.len(), 60, "a person has two subjects, or two people share one");
    let mut subjects: Vec<i64> = pairs.into_iter().map(|(_, subject)| subject).collect();
    subjects.sort_unstable();
    assert_eq!(subjects, (1..=60).collect::<Vec<_>>());
}

async fn a_batch_of_known_people_needs_no_statement(db: TestDatabase) {
    let house = House::with_consent(db).await;
    let people: Vec<_> = (0..500).map(|id| person(P1, &format!("user-{id}"))).collect();
    house.admit(&people).await;
    house.db.faults().fail_after(0);
    let result = house
        .db
        .write(async |tx| {
            let admitted = house.privacy.admit(tx, &people).await?;
            assert!(house.db.faults().take_unused());
            Ok::<_, StorageError>(admitted)
        })
        .await;
    assert_eq!(result.unwrap()[499].subject, Some(SubjectId(500)));
}

async fn five_hundred_new_people_need_few_statements(db: TestDatabase) {
    let house = House::with_consent(db).await;
    let people: Vec<_> = (0..500).map(|id| person(P1, &format!("user-{id}"))).collect();
    // Settings, whether anybody said something, select, lock, select again (PostgreSQL only), keys, subjects, count, commit: a
    // tenth would fail.
    house.db.faults().fail_after(9);
    assert_eq!(house.subjects(&people).await, (1..=500).collect::<Vec<_>>());
    assert!(house.db.faults().take_unused());
}

async fn without_consent_a_person_is_another_every_day_and_nothing_is_stored_of_them(db: TestDatabase) {
    let house = House::new(db);
    let ada = || {
        let mut ada = person(P1, "ada");
        ada.identity.email = text("ada@example.com");
        ada
    };
    let admitted = house.admit(&[ada(), person(P1, "bob")]).await;
    let denied = Admitted { subject: Some(SubjectId(1)), analytics: false, detailed: false, location: false };
    assert_eq!(admitted[0], denied);
    house.clock.advance(Duration::from_secs(11 * 3_600));
    let same_day = admit(&house.db, &house.other_process(), &[ada()]).await.unwrap();
    assert_eq!(same_day[0].subject, Some(SubjectId(1)));
    house.clock.advance(Duration::from_secs(3_600));
    assert_eq!(house.subjects(&[ada(), ada()]).await, [3, 3]);

    assert_eq!(house.reveal(1).await, None);
    assert_eq!(house.count("SELECT COUNT(*) FROM privacy_key").await, 0);
    let stored = "SELECT COUNT(*) FROM privacy_subject WHERE identity IS NOT NULL OR fingerprint IS NOT NULL";
    assert_eq!(house.count(stored).await, 0);
}

async fn salts_are_destroyed_after_48_hours(db: TestDatabase) {
    let house = House::new(db);
    house.admit(&[person(P1, "ada")]).await;
    house.clock.set("2026-11-24T23:59:59Z".parse().unwrap());
    assert_eq!(house.privacy.rotate_salts().await.unwrap(), 0);
    house.admit(&[person(P1, "ada")]).await;
    house.clock.set("2026-11-25T00:00:00Z".parse().unwrap());
    assert_eq!(house.privacy.rotate_salts().await.unwrap(), 1);
    assert_eq!(house.count("SELECT COUNT(*) FROM privacy_salt").await, 1);
    assert_eq!(house.privacy.rotate_salts().await.unwrap(), 0);
    let entries = house.audit.0.lock().unwrap();
    let destroyed: Vec<_> = entries.iter().map(|entry| (entry.action, entry.detail.clone())).collect();
    assert_eq!(destroyed, [("privacy_salts_destroyed", json!({ "salts": 1 }))]);
}

async fn news_about_a_person_are_taken_over_and_the_rest_is_kept(db: TestDatabase) {
    let house = House::with_consent(db).await;
    let say = |email: Option<&str>, name: Option<&str>| {
        let mut ada = person(P1, "ada");
        ada.identity.email = email.map(str::to_owned);
        ada.identity.name = name.map(str::to_owned);
        ada
    };
    house.admit(&[say(Some("old@example.com"), None)]).await;
    house.admit(&[say(None, None), say(None, Some("Ada"))]).await;
    let identity = house.reveal(1).await.unwrap();
    assert_eq!((identity.email, identity.name), (text("old@example.com"), text("Ada")));

    // Another process, which knows nothing of her yet.
    let other = house.other_process();
    admit(&house.db, &other, &[say(Some("New@example.com"), None), person(P1, "bob")]).await.unwrap();
    let identity = house.reveal(1).await.unwrap();
    assert_eq!((identity.email, identity.name), (text("new@example.com"), text("Ada")));
    assert_eq!(identity.id, text("ada"));

    // What is known already is not written again.
    house.db.faults().fail_after(0);
    let repeated = house.db.write(async |tx| {
        let admitted = other.admit(tx, &[say(Some("new@example.com"), Some("Ada"))]).await?;
        assert!(house.db.faults().take_unused());
        Ok::<_, StorageError>(admitted)
    });
    assert_eq!(repeated.await.unwrap()[0].subject, Some(SubjectId(1)));
}

async fn an_ip_address_is_kept_with_consent_to_location_or_if_it_is_all_there_is(db: TestDatabase) {
    let house = House::with_consent(db).await;
    let mut ada = person(P1, "ada");
    ada.identity.ip_address = text("203.0.113.7");
    let only_ip = RawPerson::new(P1, Identity { id: None, ..ada.identity.clone() });
    house.admit(&[ada.clone(), only_ip]).await;
    assert_eq!(house.reveal(1).await.unwrap().ip_address, None);
    assert_eq!(house.reveal(2).await.unwrap().ip_address, text("203.0.113.7"));
    let consent = ConsentDefault { analytics: true, location: true, ..ConsentDefault::default() };
    house.consent(P1, consent).await;
    assert!(house.admit(&[ada]).await[0].location);
    assert_eq!(house.reveal(1).await.unwrap().ip_address, text("203.0.113.7"));
}

async fn revealing_a_subject_is_audited(db: TestDatabase) {
    let house = House::with_consent(db).await;
    house.admit(&[person(P1, "ada")]).await;
    assert_eq!(house.reveal(1).await.unwrap().id, text("ada"));
    assert_eq!(house.reveal(2).await, None);
    let entries = house.audit.0.lock().unwrap();
    let seen: Vec<_> = entries
        .iter()
        .map(|entry| (entry.action, entry.project, entry.target.as_ref().unwrap().id.as_str(), entry.outcome))
        .collect();
    assert_eq!(
        seen,
        [
            ("sensitive_read", Some(P1), "1", Outcome::Success),
            ("sensitive_read", Some(P1), "2", Outcome::Failure),
        ]
    );
    assert_eq!((entries[0].actor, entries[0].organisation), (OFFICER, Some(ORGANISATION)));
}

async fn a_destroyed_key_makes_a_subject_unknown_for_ever(db: TestDatabase) {
    let house = House::with_consent(db).await;
    house.admit(&[person(P1, "ada")]).await;
    let vault = VaultService::new(house.db.database(), house.clock.clone(), &MasterKey::from_bytes([7; 32]));
    let owner = KeyOwner::Subject(P1, SubjectId(1));
    let destroy = || house.db.write(async |tx| vault.destroy_in(tx, owner).await);
    assert!(destroy().await.unwrap());
    assert!(!destroy().await.unwrap());
    assert_eq!(house.reveal(1).await, None);
    // She is still the same number, but nothing is learned about her any more.
    let mut ada = person(P1, "ada");
    ada.identity.email = text("ada@example.com");
    assert_eq!(house.subjects(&[ada.clone()]).await, [1]);
    assert_eq!(
        admit(&house.db, &house.other_process(), &[ada]).await.unwrap()[0].subject,
        Some(SubjectId(1))
    );
    assert_eq!(house.reveal(1).await, None);
    let sealing = house.db.write(async |tx| vault.seal_in(tx, owner, b"x").await);
    assert!(matches!(sealing.await, Err(VaultError::Destroyed)));
}

async fn the_database_holds_no_raw_identity(db: TestDatabase) {
    let house = House::with_consent(db).await;
    house.consent(P2, ConsentDefault::default()).await;
    let everything = |project| {
        let identity = Identity {
            id: text("planted-user-4711"),
            username: text("planted-name"),
            email: text("planted@example.com"),
            ip_address: text("203.0.113.77"),
            name: text("Planted Person"),
            anonymous_id: text("planted-visitor"),
        };
        RawPerson::new(project, identity)
    };
    house.consent(P1, ConsentDefault { analytics: true, location: true, ..ConsentDefault::default() }).await;
    house.admit(&[everything(P1), everything(P2)]).await;
    assert_eq!(house.reveal(1).await.unwrap().email, text("planted@example.com"));

    let bytes = raw_bytes(&house.db).await;
    assert!(bytes.len() > 1_000);
    for secret in ["planted", "Planted", "203.0.113.77"] {
        assert!(memchr::memmem::find(&bytes, secret.as_bytes()).is_none(), "{secret} is in the database");
    }
}

/// Everything that is stored: the SQLite file with its log, or every row of every privacy table as text.
async fn raw_bytes(db: &Database) -> Vec<u8> {
    let backend = db.read().get_database_backend();
    let mut bytes = Vec::new();
    if backend == DbBackend::Sqlite {
        let statement =
            Statement::from_string(backend, "SELECT file FROM pragma_database_list WHERE name = 'main'");
        let row = db.read().query_one_raw(statement).await.unwrap().unwrap();
        let file: String = row.try_get_by_index(0).unwrap();
        for path in [file.clone(), format!("{file}-wal")] {
            bytes.extend(std::fs::read(PathBuf::from(path)).unwrap());
        }
        return bytes;
    }
    for table in ["key", "subject", "subject_counter", "salt", "settings"] {
        // Bytes as escaped text, so that readable ones stay readable.
        let sql = format!("SELECT convert_to(t::text, 'UTF8') FROM privacy_{table} t");
        for row in db.read().query_all_raw(Statement::from_string(backend, sql)).await.unwrap() {
            bytes.extend(row.try_get_by_index::<Vec<u8>>(0).unwrap());
        }
        let sql = format!("SELECT count(*) FROM privacy_{table}");
        assert!(db.read().query_one_raw(Statement::from_string(backend, sql)).await.unwrap().is_some());
    }
    for column in ["identity", "lookup", "fingerprint"] {
        let sql = format!("SELECT {column} FROM privacy_subject WHERE {column} IS NOT NULL");
        for row in db.read().query_all_raw(Statement::from_string(backend, sql)).await.unwrap() {
            bytes.extend(row.try_get_by_index::<Vec<u8>>(0).unwrap());
        }
    }
    bytes
}

async fn settings_are_checked_audited_and_in_force_at_once(db: TestDatabase) {
    let house = House::new(db);
    assert_eq!(house.privacy.settings(P1).await.unwrap(), PrivacySettings::default());
    let settings = PrivacySettings {
        scrub_keys: vec!["Matrikel-Nr".to_owned()],
        safe_keys: vec!["auth_level".to_owned()],
        consent_default: ConsentDefault { analytics: true, ..ConsentDefault::default() },
    };
    let stored = house.privacy.change_settings(change(P1, settings)).await.unwrap();
    assert_eq!(
        (&stored.scrub_keys[..], &stored.safe_keys[..]),
        (&["matrikelnr".to_owned()][..], &["authlevel".to_owned()][..])
    );
    assert_eq!(house.privacy.settings(P1).await.unwrap(), stored);
    assert_eq!(house.other_process().settings(P1).await.unwrap(), stored);
    assert_eq!(house.privacy.settings(P2).await.unwrap(), PrivacySettings::default());

    let wrong = PrivacySettings { scrub_keys: vec!["!".to_owned()], ..PrivacySettings::default() };
    let error = house.privacy.change_settings(change(P1, wrong)).await.unwrap_err();
    assert!(matches!(error, PrivacyError::Invalid { field: "scrub_keys", .. }));
    let entries = house.audit.0.lock().unwrap();
    assert_eq!(entries.len(), 1);
    assert_eq!(
        (entries[0].action, entries[0].request_id.as_deref()),
        ("privacy_settings_changed", Some("r-1"))
    );
    assert_eq!(entries[0].detail["scrub_keys"], json!(["matrikelnr"]));
}

async fn settings_changed_by_another_process_are_in_force_after_five_seconds(db: TestDatabase) {
    let house = House::new(db);
    assert!(!house.admit(&[person(P1, "ada")]).await[0].analytics);
    let settings = PrivacySettings {
        consent_default: ConsentDefault { analytics: true, ..ConsentDefault::default() },
        ..PrivacySettings::default()
    };
    house.other_process().change_settings(change(P1, settings)).await.unwrap();
    house.clock.advance(Duration::from_millis(4_999));
    assert!(!house.admit(&[person(P1, "ada")]).await[0].analytics);
    house.clock.advance(Duration::from_millis(1));
    assert!(house.admit(&[person(P1, "ada")]).await[0].analytics);
}

async fn a_projects_rules_scrub_its_payloads_only(db: TestDatabase) {
    let house = House::new(db);
    let settings = PrivacySettings { scrub_keys: vec!["matrikel".to_owned()], ..PrivacySettings::default() };
    house.privacy.change_settings(change(P1, settings)).await.unwrap();
    let rules = house.privacy.load(&[P1, P2]).await.unwrap();
    let payload = || json!({ "extra": { "Matrikel": "4711", "password": "x" } });
    let (mut ours, mut theirs, mut unknown) = (payload(), payload(), payload());
    let removals = rules.scrub(P1, &mut ours);
    assert_eq!(ours, json!({ "extra": { "Matrikel": "[Filtered]", "password": "[Filtered]" } }));
    let rule = Removal { path: "/extra/Matrikel".to_owned(), rule: "project:matrikel".to_owned() };
    assert_eq!(removals[0], rule);
    for (project, payload) in [(P2, &mut theirs), (ProjectId(99), &mut unknown)] {
        assert_eq!(rules.scrub(project, payload).len(), 1);
        assert_eq!(*payload, json!({ "extra": { "Matrikel": "4711", "password": "[Filtered]" } }));
    }
}

async fn the_vault_opens_for_its_owner_and_under_its_master_key_only(db: TestDatabase) {
    let house = House::new(db);
    let vault = |byte| {
        VaultService::new(house.db.database(), house.clock.clone(), &MasterKey::from_bytes([byte; 32]))
    };
    let (right, wrong) = (vault(7), vault(8));
    let [ada, bob] = [3, 4].map(|byte| KeyOwner::User(Id::<User>::from_bytes([byte; 16])));
    let sealed = house.db.write(async |tx| {
        let bobs = right.seal_in(tx, bob, b"bob").await?;
        Ok::<_, VaultError>((right.seal_in(tx, ada, b"ada").await?, bobs))
    });
    let (adas, bobs) = sealed.await.unwrap();
    assert_eq!(right.open(ada, &adas).await.unwrap(), b"ada");
    assert_eq!(vault(7).open(bob, &bobs).await.unwrap(), b"bob");
    assert!(matches!(right.open(bob, &adas).await, Err(VaultError::Tampered)));
    assert!(matches!(right.open(KeyOwner::System, &adas).await, Err(VaultError::Tampered)));
    assert!(matches!(wrong.open(ada, &adas).await, Err(VaultError::Tampered)));

    right.check_master_key().await.unwrap();
    vault(7).check_master_key().await.unwrap();
    assert!(matches!(wrong.check_master_key().await, Err(VaultError::Tampered)));
}

async fn a_key_that_was_rolled_back_seals_nothing(db: TestDatabase) {
    let house = House::new(db);
    let undone = house.db.write(async |tx| {
        house.privacy.seal_in(tx, KeyOwner::System, b"x").await?;
        Err::<(), VaultError>(VaultError::Tampered)
    });
    undone.await.unwrap_err();
    let sealed =
        house.db.write(async |tx| house.privacy.seal_in(tx, KeyOwner::System, b"x").await).await.unwrap();
    assert_eq!(house.other_process().open(KeyOwner::System, &sealed).await.unwrap(), b"x");
}
