use std::collections::HashSet;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use belvedere_kernel::{
    Actor, AuditSink, Clock, Entry, KeyOwner, ManualClock, Organisation, Outcome, ProjectId, ProjectOwners,
    Target, User, Vault, VaultError,
};
use belvedere_storage::testing::TestDatabase;
use belvedere_storage::{Cursor, Id, PageRequest, StorageError, Timestamp, Tx};
use sea_orm::{ConnectionTrait, EntityTrait};
use serde_json::json;
use tokio::task::JoinSet;

use crate::entity::entry;
use crate::{AuditError, AuditLog, AuditService, EntryFilter, Leaf};

belvedere_storage::database_tests!(
    entries_are_numbered_without_gaps_and_listed_newest_first,
    an_act_that_fails_leaves_no_entry_and_no_gap,
    a_write_that_fails_at_any_statement_leaves_nothing,
    entries_are_found_by_action_actor_project_and_time,
    another_organisations_entries_are_not_shown,
    what_names_only_a_project_is_in_the_log_of_its_organisation,
    a_destroyed_key_hides_the_detail_and_every_hash_still_holds,
    an_altered_detail_is_shown_as_damaged,
    a_detail_beyond_the_limit_is_replaced_by_its_length,
    concurrent_acts_are_numbered_without_gaps,
    a_cursor_of_another_list_is_refused,
    text_that_no_entry_can_hold_finds_nothing,
);

const ORGANISATION: Id<Organisation> = Id::from_bytes([1; 16]);
const ADA: Id<User> = Id::from_bytes([2; 16]);

/// Seals by turning every bit over and naming the owner.
#[derive(Default)]
struct FakeVault {
    destroyed: Mutex<HashSet<KeyOwner>>,
}

#[async_trait]
impl Vault for FakeVault {
    async fn seal_in(&self, _: &Tx, owner: KeyOwner, plain: &[u8]) -> Result<Vec<u8>, VaultError> {
        let mut sealed = vec![if owner == KeyOwner::System { 0 } else { 1 }];
        sealed.extend(plain.iter().map(|byte| !byte));
        Ok(sealed)
    }

    async fn open(&self, owner: KeyOwner, sealed: &[u8]) -> Result<Vec<u8>, VaultError> {
        if self.destroyed.lock().unwrap().contains(&owner) {
            return Err(VaultError::Destroyed);
        }
        assert_eq!(sealed[0], if owner == KeyOwner::System { 0 } else { 1 });
        Ok(sealed[1..].iter().map(|byte| !byte).collect())
    }
}

struct Log {
    db: TestDatabase,
    clock: Arc<ManualClock>,
    vault: Arc<FakeVault>,
    service: Arc<AuditService>,
}

impl Log {
    fn new(db: TestDatabase) -> Self {
        let clock = Arc::new(ManualClock::new("2026-11-23T12:00:00Z".parse().unwrap()));
        let vault = Arc::new(FakeVault::default());
        let service = AuditService::new(db.database(), clock.clone(), vault.clone());
        Self { db, clock, vault, service: Arc::new(service) }
    }

    async fn record(&self, entry: Entry) {
        self.db.write(async |tx| self.service.record(tx, entry).await).await.unwrap();
    }

    async fn seqs(&self, filter: EntryFilter) -> Vec<u64> {
        let page = self.service.list_entries(ORGANISATION, filter, PageRequest::first(50)).await.unwrap();
        page.items.iter().map(|row| row.seq).collect()
    }
}

fn act(actor: Actor, action: &'static str) -> Entry {
    Entry { organisation: Some(ORGANISATION), ..Entry::new(actor, action) }
}

async fn entries_are_numbered_without_gaps_and_listed_newest_first(db: TestDatabase) {
    let log = Log::new(db);
    for number in 1..=5 {
        let target = Some(Target { kind: "issue", id: number.to_string() });
        log.record(Entry {
            target,
            detail: json!({ "n": number }),
            ..act(Actor::User(ADA), "issue_resolved")
        })
        .await;
    }
    let first =
        log.service.list_entries(ORGANISATION, EntryFilter::default(), PageRequest::first(3)).await.unwrap();
    assert_eq!(first.items.iter().map(|row| row.seq).collect::<Vec<_>>(), [5, 4, 3]);
    let row = &first.items[0];
    assert_eq!(row.actor_id.as_deref(), Some(ADA.to_string().as_str()));
    assert_eq!((row.actor_kind.as_str(), row.outcome.as_str()), ("user", "success"));
    assert_eq!((row.target_kind.as_deref(), row.target_id.as_deref()), (Some("issue"), Some("5")));
    assert_eq!(row.detail, Some(json!({ "n": 5 })));
    assert_eq!(row.leaf_hash.len(), 64);
    let rest = PageRequest::new(3, first.next);
    let second = log.service.list_entries(ORGANISATION, EntryFilter::default(), rest).await.unwrap();
    assert_eq!(second.items.iter().map(|row| row.seq).collect::<Vec<_>>(), [2, 1]);
    assert_eq!(second.next, None);
    assert_eq!(log.service.count_entries().await.unwrap(), 5);
}

/// Project 7 is that of the organisation.
struct Seven;

#[async_trait]
impl ProjectOwners for Seven {
    async fn organisation_of(
        &self,
        _: &Tx,
        project: ProjectId,
    ) -> Result<Option<Id<Organisation>>, StorageError> {
        Ok((project == ProjectId(7)).then_some(ORGANISATION))
    }
}

async fn what_names_only_a_project_is_in_the_log_of_its_organisation(db: TestDatabase) {
    let mut log = Log::new(db);
    let service = AuditService::new(log.db.database(), log.clock.clone(), log.vault.clone());
    log.service = Arc::new(service.with_owners(Arc::new(Seven)));
    let other = Some(Id::from_bytes([9; 16]));
    for (organisation, project) in [(None, 7), (None, 8), (other, 7), (Some(ORGANISATION), 8)] {
        let entry = Entry::new(Actor::System("check_in"), "monitor_created");
        log.record(Entry { organisation, project: Some(ProjectId(project)), ..entry }).await;
    }
    assert_eq!(log.seqs(EntryFilter::default()).await, [4, 1]);
}

async fn an_act_that_fails_leaves_no_entry_and_no_gap(db: TestDatabase) {
    let log = Log::new(db);
    log.record(act(Actor::User(ADA), "first")).await;
    let failed = log.db.write(async |tx| {
        log.service.record(tx, act(Actor::User(ADA), "undone")).await?;
        Err::<(), _>(StorageError::corrupt("the act failed"))
    });
    failed.await.unwrap_err();
    log.record(act(Actor::User(ADA), "second")).await;
    let page =
        log.service.list_entries(ORGANISATION, EntryFilter::default(), PageRequest::first(9)).await.unwrap();
    let rows: Vec<_> = page.items.iter().map(|row| (row.seq, row.action.as_str())).collect();
    assert_eq!(rows, [(2, "second"), (1, "first")]);
}

async fn a_write_that_fails_at_any_statement_leaves_nothing(db: TestDatabase) {
    let log = Log::new(db);
    let mut failures = 0;
    loop {
        log.db.faults().fail_after(failures);
        let entry = act(Actor::System("test"), "sys_startup");
        let result = log.db.write(async |tx| log.service.record(tx, entry).await).await;
        if log.db.faults().take_unused() {
            result.unwrap();
            break;
        }
        result.unwrap_err();
        assert_eq!(log.service.count_entries().await.unwrap(), 0);
        assert!(log.seqs(EntryFilter::default()).await.is_empty());
        failures += 1;
    }
    // The number, the row, the commit.
    assert_eq!(failures, 3);
    assert_eq!(log.seqs(EntryFilter::default()).await, [1]);
}

async fn entries_are_found_by_action_actor_project_and_time(db: TestDatabase) {
    let log = Log::new(db);
    let start = log.clock.now();
    log.record(act(Actor::User(ADA), "sensitive_read")).await;
    log.clock.set("2026-11-23T13:00:00Z".parse().unwrap());
    log.record(Entry { project: Some(ProjectId(7)), ..act(Actor::User(ADA), "project_created") }).await;
    log.clock.set("2026-11-23T14:00:00Z".parse().unwrap());
    log.record(Entry { outcome: Outcome::Denied, ..act(Actor::System("jobs"), "sensitive_read") }).await;

    let all = EntryFilter::default;
    assert_eq!(log.seqs(EntryFilter { action: Some("sensitive_read".to_owned()), ..all() }).await, [3, 1]);
    assert_eq!(log.seqs(EntryFilter { actor: Some(ADA.to_string()), ..all() }).await, [2, 1]);
    assert_eq!(log.seqs(EntryFilter { project: Some(ProjectId(7)), ..all() }).await, [2]);
    let one = "2026-11-23T13:00:00Z".parse::<Timestamp>().unwrap();
    assert_eq!(log.seqs(EntryFilter { from: Some(one), ..all() }).await, [3, 2]);
    assert_eq!(log.seqs(EntryFilter { from: Some(start), to: Some(one), ..all() }).await, [1]);
    let both =
        EntryFilter { action: Some("sensitive_read".to_owned()), actor: Some("jobs".to_owned()), ..all() };
    assert_eq!(log.seqs(both).await, [3]);
}

async fn another_organisations_entries_are_not_shown(db: TestDatabase) {
    let log = Log::new(db);
    log.record(Entry { organisation: Some(Id::from_bytes([9; 16])), ..act(Actor::User(ADA), "theirs") })
        .await;
    log.record(Entry { organisation: None, ..act(Actor::Anonymous, "nobodys") }).await;
    log.record(act(Actor::User(ADA), "ours")).await;
    assert_eq!(log.seqs(EntryFilter::default()).await, [3]);
}

async fn a_destroyed_key_hides_the_detail_and_every_hash_still_holds(db: TestDatabase) {
    let log = Log::new(db);
    let detail = json!({ "email": "ada@example.com" });
    log.record(Entry { detail: detail.clone(), ..act(Actor::User(ADA), "profile_changed") }).await;
    log.record(Entry {
        detail,
        request_id: Some("r-1".to_owned()),
        ..act(Actor::System("x"), "sys_startup")
    })
    .await;
    log.vault.destroyed.lock().unwrap().insert(KeyOwner::User(ADA));

    let page =
        log.service.list_entries(ORGANISATION, EntryFilter::default(), PageRequest::first(9)).await.unwrap();
    assert_eq!(page.items[0].detail, Some(json!({ "email": "ada@example.com" })));
    assert_eq!((&page.items[1].detail, page.items[1].detail_is_damaged), (&None, false));

    for row in entry::Entity::find().all(log.db.read()).await.unwrap() {
        assert!(!row.detail.windows(3).any(|bytes| bytes == b"ada"));
        let leaf = Leaf {
            seq: row.seq.try_into().unwrap(),
            at: row.at.as_micros(),
            organisation: row.organisation_id.map(Id::to_bytes),
            project: row.project_id,
            actor_kind: &row.actor_kind,
            actor_id: row.actor_id.as_deref(),
            action: &row.action,
            target_kind: row.target_kind.as_deref(),
            target_id: row.target_id.as_deref(),
            outcome: &row.outcome,
            request_id: row.request_id.as_deref(),
            detail_hash: row.detail_hash.clone().try_into().unwrap(),
            nonce: row.nonce.clone().try_into().unwrap(),
        };
        assert_eq!(leaf.hash()[..], row.leaf_hash[..], "entry {}", row.seq);
    }
}

async fn an_altered_detail_is_shown_as_damaged(db: TestDatabase) {
    let log = Log::new(db);
    log.record(act(Actor::System("x"), "sys_startup")).await;
    let altered = log.db.write(async |tx| {
        let detail =
            if tx.get_database_backend() == sea_orm::DbBackend::Sqlite { "x'00'" } else { "'\\x00'" };
        tx.execute_unprepared(&format!("UPDATE audit_entry SET detail = {detail}")).await?;
        Ok::<_, StorageError>(())
    });
    altered.await.unwrap();
    let page =
        log.service.list_entries(ORGANISATION, EntryFilter::default(), PageRequest::first(9)).await.unwrap();
    assert_eq!((&page.items[0].detail, page.items[0].detail_is_damaged), (&None, true));
}

async fn a_detail_beyond_the_limit_is_replaced_by_its_length(db: TestDatabase) {
    let log = Log::new(db);
    let target = Some(Target { kind: "file", id: "ä".repeat(500) });
    log.record(Entry {
        detail: json!("x".repeat(20_000)),
        target,
        ..act(Actor::System("x"), "file_uploaded")
    })
    .await;
    let page =
        log.service.list_entries(ORGANISATION, EntryFilter::default(), PageRequest::first(9)).await.unwrap();
    assert_eq!(page.items[0].detail, Some(json!({ "omitted_bytes": 20_002 })));
    assert_eq!(page.items[0].target_id, Some("ä".repeat(200)));
}

async fn concurrent_acts_are_numbered_without_gaps(db: TestDatabase) {
    let log = Log::new(db);
    let mut acts = JoinSet::new();
    for number in 0..24 {
        let (db, service) = (log.db.database(), log.service.clone());
        acts.spawn(async move {
            let recorded = db.write(async |tx| {
                service.record(tx, act(Actor::System("x"), "sys_startup")).await?;
                // Every third act fails after it took a number.
                if number % 3 == 0 { Err(StorageError::corrupt("the act failed")) } else { Ok(()) }
            });
            recorded.await.is_ok()
        });
    }
    let done = acts.join_all().await.into_iter().filter(|done| *done).count();
    assert_eq!(done, 16);
    assert_eq!(log.seqs(EntryFilter::default()).await, (1..=16).rev().collect::<Vec<_>>());
}

async fn a_cursor_of_another_list_is_refused(db: TestDatabase) {
    let log = Log::new(db);
    let page = PageRequest::new(10, Some(Cursor::from("01ARZ~7".to_owned())));
    let error = log.service.list_entries(ORGANISATION, EntryFilter::default(), page).await.unwrap_err();
    assert!(matches!(error, AuditError::InvalidCursor(cursor) if cursor == "01ARZ~7"));
}

async fn text_that_no_entry_can_hold_finds_nothing(db: TestDatabase) {
    let log = Log::new(db);
    log.record(act(Actor::User(ADA), "issue_resolved")).await;
    let nul = || Some("issue_resolved\0".to_owned());
    assert_eq!(log.seqs(EntryFilter { action: nul(), ..EntryFilter::default() }).await, [0; 0]);
    assert_eq!(log.seqs(EntryFilter { actor: nul(), ..EntryFilter::default() }).await, [0; 0]);
}
