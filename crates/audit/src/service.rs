use std::sync::Arc;

use async_trait::async_trait;
use belvedere_kernel::{
    AuditSink, Clock, Entry, KeyOwner, Organisation, ProjectId, ProjectOwners, Vault, VaultError,
};
use belvedere_storage::{Cursor, Database, Id, Page, PageRequest, StorageError, Tx};
use sea_orm::Set;
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::entity::entry;
use crate::leaf::Leaf;
use crate::{AuditError, AuditLog, AuditRow, EntryFilter, store};

/// The most bytes of a detail as JSON; a longer one is replaced by a note of its length.
const DETAIL_LEN_MAX: usize = 16 * 1_024;

/// The most characters of a target's or request's id.
const ID_LEN_MAX: usize = 200;

/// The audit slice over a database: [`AuditLog`], and the kernel's [`AuditSink`].
pub struct AuditService {
    db: Database,
    clock: Arc<dyn Clock>,
    vault: Arc<dyn Vault>,
    owners: Option<Arc<dyn ProjectOwners>>,
}

impl AuditService {
    /// The slice over `db`; `vault` seals the details.
    #[must_use]
    pub fn new(db: Database, clock: Arc<dyn Clock>, vault: Arc<dyn Vault>) -> Self {
        Self { db, clock, vault, owners: None }
    }

    /// The same, which asks `owners` for the organisation of entries that name only a project.
    #[must_use]
    pub fn with_owners(self, owners: Arc<dyn ProjectOwners>) -> Self {
        Self { owners: Some(owners), ..self }
    }

    async fn organisation_of(
        &self,
        tx: &Tx,
        entry: &Entry,
    ) -> Result<Option<Id<Organisation>>, StorageError> {
        match (entry.organisation, entry.project, &self.owners) {
            (None, Some(project), Some(owners)) => owners.organisation_of(tx, project).await,
            (named, ..) => Ok(named),
        }
    }

    async fn opened(&self, row: entry::Model) -> Result<AuditRow, AuditError> {
        let is_intact = Sha256::digest(&row.detail)[..] == row.detail_hash[..];
        let opened = if is_intact {
            self.vault.open(owner_of(&row.actor_kind, row.actor_id.as_deref()), &row.detail).await
        } else {
            Err(VaultError::Tampered)
        };
        let (detail, detail_is_damaged) = match opened.map(|json| serde_json::from_slice::<Value>(&json)) {
            Ok(Ok(detail)) => (Some(detail), false),
            Err(VaultError::Destroyed) => (None, false),
            Err(VaultError::Storage(error)) => return Err(error.into()),
            Ok(Err(_)) | Err(_) => (None, true),
        };
        Ok(AuditRow {
            seq: u64::try_from(row.seq).map_err(|_| StorageError::corrupt("audit_entry.seq is negative"))?,
            at: row.at,
            organisation: row.organisation_id,
            project: row.project_id.map(ProjectId),
            actor_kind: row.actor_kind,
            actor_id: row.actor_id,
            action: row.action,
            target_kind: row.target_kind,
            target_id: row.target_id,
            outcome: row.outcome,
            request_id: row.request_id,
            detail,
            detail_is_damaged,
            leaf_hash: row.leaf_hash.iter().map(|byte| format!("{byte:02x}")).collect(),
        })
    }
}

#[async_trait]
impl AuditSink for AuditService {
    async fn record(&self, tx: &Tx, entry: Entry) -> Result<(), StorageError> {
        let organisation = self.organisation_of(tx, &entry).await?;
        let actor_id = entry.actor.id();
        let owner = owner_of(entry.actor.kind(), actor_id.as_deref());
        let detail =
            self.vault.seal_in(tx, owner, &detail_bytes(&entry.detail)).await.map_err(
                |error| match error {
                    VaultError::Storage(error) => error,
                    error => StorageError::corrupt(format!("audit detail cannot be sealed: {error}")),
                },
            )?;
        let (target_kind, target_id) = match entry.target {
            Some(target) => (Some(target.kind.to_owned()), Some(cut(&target.id))),
            None => (None, None),
        };
        let request_id = entry.request_id.as_deref().map(cut);
        let at = self.clock.now();
        // Last, because from here on every other act of the installation waits for this transaction.
        let seq = store::take_seq(tx).await?;
        let leaf = Leaf {
            seq: u64::try_from(seq).map_err(|_| StorageError::corrupt("audit_head.entries is negative"))?,
            at: at.as_micros(),
            organisation: organisation.map(Id::to_bytes),
            project: entry.project.map(|project| project.0),
            actor_kind: entry.actor.kind(),
            actor_id: actor_id.as_deref(),
            action: entry.action,
            target_kind: target_kind.as_deref(),
            target_id: target_id.as_deref(),
            outcome: entry.outcome.as_str(),
            request_id: request_id.as_deref(),
            detail_hash: Sha256::digest(&detail).into(),
            nonce: random(),
        };
        let row = entry::ActiveModel {
            seq: Set(seq),
            at: Set(at),
            organisation_id: Set(organisation),
            project_id: Set(leaf.project),
            actor_kind: Set(leaf.actor_kind.to_owned()),
            actor_id: Set(actor_id.clone()),
            action: Set(leaf.action.to_owned()),
            target_kind: Set(target_kind.clone()),
            target_id: Set(target_id.clone()),
            outcome: Set(leaf.outcome.to_owned()),
            request_id: Set(request_id.clone()),
            detail: Set(detail),
            detail_hash: Set(leaf.detail_hash.to_vec()),
            nonce: Set(leaf.nonce.to_vec()),
            leaf_hash: Set(leaf.hash().to_vec()),
        };
        store::insert_entry(tx, row).await
    }
}

#[async_trait]
impl AuditLog for AuditService {
    async fn list_entries(
        &self,
        organisation: Id<Organisation>,
        filter: EntryFilter,
        page: PageRequest,
    ) -> Result<Page<AuditRow>, AuditError> {
        // PostgreSQL has no text with NUL, so no entry contains it.
        if [&filter.action, &filter.actor].into_iter().flatten().any(|text| text.contains('\0')) {
            return Ok(Page { items: Vec::new(), next: None });
        }
        let before = match &page.after {
            None => None,
            Some(cursor) => Some(seq_of(cursor)?),
        };
        let rows = store::list_entries(self.db.read(), organisation, &filter, &page, before).await?;
        let mut opened = Vec::with_capacity(rows.len());
        for row in rows {
            opened.push(self.opened(row).await?);
        }
        Ok(Page::from_rows(opened, page.limit(), |row| Cursor::of(&[&row.seq])))
    }

    async fn count_entries(&self) -> Result<u64, AuditError> {
        let head = store::find_head(self.db.read()).await?.unwrap_or(0);
        Ok(u64::try_from(head).map_err(|_| StorageError::corrupt("audit_head.entries is negative"))?)
    }
}

/// Whose key seals an entry's detail: the acting person's, so that erasing them erases it; else the installation's.
fn owner_of(actor_kind: &str, actor_id: Option<&str>) -> KeyOwner {
    match actor_id.and_then(|id| id.parse().ok()) {
        Some(user) if actor_kind == "user" => KeyOwner::User(user),
        _ => KeyOwner::System,
    }
}

fn detail_bytes(detail: &Value) -> Vec<u8> {
    let json = detail.to_string().into_bytes();
    if json.len() <= DETAIL_LEN_MAX {
        return json;
    }
    serde_json::json!({ "omitted_bytes": json.len() }).to_string().into_bytes()
}

fn cut(text: &str) -> String {
    text.chars().take(ID_LEN_MAX).collect()
}

fn seq_of(cursor: &Cursor) -> Result<i64, AuditError> {
    let seq = cursor.parts::<1>().and_then(|[seq]| seq.parse().ok());
    seq.ok_or_else(|| AuditError::InvalidCursor(cursor.as_str().chars().take(ID_LEN_MAX).collect()))
}

fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    #[expect(
        clippy::expect_used,
        reason = "without random numbers entries could be guessed; nothing sensible can go on"
    )]
    getrandom::fill(&mut bytes).expect("the operating system provides random numbers");
    bytes
}
