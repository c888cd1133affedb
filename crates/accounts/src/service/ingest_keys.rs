use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use belvedere_kernel::{IngestKey, ProjectId};
use belvedere_storage::{Id, Page, PageRequest, StorageError, Tx};
use sea_orm::{ConnAcquireErr, DbErr};
use serde_json::json;
use subtle::ConstantTimeEq as _;

use super::{AccountsService, entry, limit, target};
use crate::key_cache::{Lookup, Ticket};
use crate::store::{ingest_keys, organisations};
use crate::{
    AccountsError, ClientInfo, IngestKeyChange, IngestKeyInfo, IngestKeys, NewIngestKey, Permission,
    Principal, fields, origin,
};

/// The most working keys of a project.
const KEYS_MAX: u64 = 100;

/// How long the hot path waits for the database before it counts as away.
pub(super) const PATIENCE: Duration = Duration::from_secs(1);

#[async_trait]
impl IngestKeys for AccountsService {
    async fn find_ingest_key(&self, public_key: &str) -> Result<Option<Arc<IngestKeyInfo>>, AccountsError> {
        let is_digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        if public_key.len() != 32 || !public_key.bytes().all(is_digit) {
            return Ok(None);
        }
        match self.keys.look_up(public_key, self.clock.now()) {
            Lookup::Known(answer) => Ok(answer),
            Lookup::Ask(ticket) => self.ask_for_key(ticket, public_key).await,
            Lookup::Away => Err(away().into()),
        }
    }

    async fn list_ingest_keys(
        &self,
        principal: &Principal,
        project: ProjectId,
        page: PageRequest,
    ) -> Result<Page<IngestKeyInfo>, AccountsError> {
        principal.require(Permission::ViewKeys)?;
        if organisations::find_project(self.db.read(), project, principal.organisation).await?.is_none() {
            return Err(AccountsError::NotFound("project"));
        }
        ingest_keys::list(self.db.read(), project, &page).await
    }

    async fn create_ingest_key(
        &self,
        principal: &Principal,
        new: NewIngestKey,
        client: &ClientInfo,
    ) -> Result<IngestKeyInfo, AccountsError> {
        principal.require(Permission::ManageKeys)?;
        fields::rate_limit(new.rate_limit_per_minute)?;
        let key = IngestKeyInfo {
            rate_limit_per_minute: new.rate_limit_per_minute,
            allowed_origins: origin::normalise(&new.allowed_origins)?,
            ..self.new_key(new.project, fields::name("label", &new.label)?)
        };
        self.db
            .write(async |tx| {
                organisations::lock_in(tx, principal.organisation).await?;
                if organisations::find_project(tx, key.project, principal.organisation).await?.is_none() {
                    return Err(AccountsError::NotFound("project"));
                }
                limit("ingest keys", KEYS_MAX, ingest_keys::count_working(tx, key.project).await?)?;
                self.insert_key_in(tx, principal, &key, client).await?;
                Ok(())
            })
            .await?;
        Ok(key)
    }

    async fn update_ingest_key(
        &self,
        principal: &Principal,
        change: IngestKeyChange,
        client: &ClientInfo,
    ) -> Result<IngestKeyInfo, AccountsError> {
        principal.require(Permission::ManageKeys)?;
        let label = change.label.map(|label| fields::name("label", &label)).transpose()?;
        let origins = change.allowed_origins.map(|origins| origin::normalise(&origins)).transpose()?;
        fields::rate_limit(change.rate_limit_per_minute.flatten())?;
        self.db
            .write(async |tx| {
                organisations::lock_in(tx, principal.organisation).await?;
                let Some(old) = ingest_keys::find(tx, change.key, principal.organisation).await? else {
                    return Err(AccountsError::NotFound("ingest key"));
                };
                let new = IngestKeyInfo {
                    label: label.unwrap_or_else(|| old.label.clone()),
                    rate_limit_per_minute: change.rate_limit_per_minute.unwrap_or(old.rate_limit_per_minute),
                    allowed_origins: origins.unwrap_or_else(|| old.allowed_origins.clone()),
                    ..old.clone()
                };
                ingest_keys::update_in(tx, &new).await?;
                let detail = json!({"from": shown(&old), "to": shown(&new)});
                self.record_key_in(tx, principal, (&new, "ingest_key_updated", detail), client).await?;
                Ok(new)
            })
            .await
    }

    async fn revoke_ingest_key(
        &self,
        principal: &Principal,
        key: Id<IngestKey>,
        client: &ClientInfo,
    ) -> Result<(), AccountsError> {
        principal.require(Permission::ManageKeys)?;
        self.db
            .write(async |tx| {
                organisations::lock_in(tx, principal.organisation).await?;
                let Some(found) = ingest_keys::find(tx, key, principal.organisation).await? else {
                    return Err(AccountsError::NotFound("ingest key"));
                };
                if found.revoked_at.is_some() {
                    return Ok(());
                }
                ingest_keys::revoke_in(tx, key, self.clock.now()).await?;
                let detail = json!({"label": found.label});
                self.record_key_in(tx, principal, (&found, "ingest_key_revoked", detail), client).await
            })
            .await
    }
}

impl AccountsService {
    async fn ask_for_key(
        &self,
        ticket: Ticket,
        public_key: &str,
    ) -> Result<Option<Arc<IngestKeyInfo>>, AccountsError> {
        let asked_at = self.clock.now();
        let question = ingest_keys::find_by_public_key(self.db.read(), public_key);
        let answer = tokio::time::timeout(PATIENCE, question).await.unwrap_or_else(|_| Err(away()));
        match answer {
            Ok(found) => {
                // The database compares byte by byte; what it found is compared once more without saying where it
                // differs.
                let working = found.filter(|key| {
                    key.revoked_at.is_none()
                        && bool::from(key.public_key.as_bytes().ct_eq(public_key.as_bytes()))
                });
                Ok(self.keys.remember(ticket, public_key, working, asked_at))
            }
            Err(error) if error.is_transient() => {
                match self.keys.database_is_away(public_key, self.clock.now()) {
                    Some(last_known) => Ok(Some(last_known)),
                    None => Err(error.into()),
                }
            }
            Err(error) => Err(error.into()),
        }
    }

    pub(super) async fn insert_key_in(
        &self,
        tx: &Tx,
        principal: &Principal,
        key: &IngestKeyInfo,
        client: &ClientInfo,
    ) -> Result<(), AccountsError> {
        ingest_keys::insert_in(tx, key).await?;
        self.record_key_in(tx, principal, (key, "ingest_key_created", shown(key)), client).await
    }

    /// Writes the entry, and makes this process forget what it knows of the key once the change is committed.
    async fn record_key_in(
        &self,
        tx: &Tx,
        principal: &Principal,
        (key, action, detail): (&IngestKeyInfo, &'static str, serde_json::Value),
        client: &ClientInfo,
    ) -> Result<(), AccountsError> {
        let (keys, public_key) = (self.keys.clone(), key.public_key.clone());
        tx.after_commit(move || keys.forget(&public_key));
        let mut entry = entry(principal, client, action);
        entry.project = Some(key.project);
        entry.target = target("ingest_key", key.id);
        entry.detail = detail;
        self.record_in(tx, entry).await
    }
}

pub(super) fn away() -> StorageError {
    StorageError::Unavailable(DbErr::ConnectionAcquire(ConnAcquireErr::Timeout))
}

fn shown(key: &IngestKeyInfo) -> serde_json::Value {
    json!({
        "label": key.label,
        "rate_limit_per_minute": key.rate_limit_per_minute,
        "allowed_origins": key.allowed_origins,
    })
}
