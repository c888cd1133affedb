use std::sync::Arc;

use async_trait::async_trait;
use belvedere_kernel::{Actor, Entry, Outcome, ProjectId, XapiKey};
use belvedere_storage::{Id, Page, PageRequest};
use serde_json::json;
use subtle::ConstantTimeEq as _;

use super::ingest_keys::{PATIENCE, away};
use super::{AccountsService, entry, limit, target};
use crate::key_cache::{Lookup, Ticket};
use crate::secret::{hash, random_public_key, random_secret};
use crate::store::xapi_keys::KnownXapiKey;
use crate::store::{organisations, xapi_keys};
use crate::{
    AccountsError, ClientInfo, NewXapiKey, Permission, Principal, Secret, XapiKeyInfo, XapiKeys, XapiScope,
    fields,
};

/// The most working keys of a project.
const KEYS_MAX: u64 = 100;

/// What secrets begin with, so that secret scanners can recognise a leaked one.
const SECRET_PREFIX: &str = "bxs_";

#[async_trait]
impl XapiKeys for AccountsService {
    async fn authenticate_xapi_key(
        &self,
        public_key: &str,
        secret: &str,
    ) -> Result<Option<Arc<XapiKeyInfo>>, AccountsError> {
        let is_digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        if public_key.len() != 32 || !public_key.bytes().all(is_digit) {
            return Ok(None);
        }
        let known = match self.xapi_keys.look_up(public_key, self.clock.now()) {
            Lookup::Known(answer) => answer,
            Lookup::Ask(ticket) => self.ask_for_xapi_key(ticket, public_key).await?,
            Lookup::Away => return Err(away().into()),
        };
        Ok(known
            .filter(|known| hash(secret).ct_eq(&known.secret_hash).into())
            .map(|known| Arc::clone(&known.info)))
    }

    async fn list_xapi_keys(
        &self,
        principal: &Principal,
        project: ProjectId,
        page: PageRequest,
    ) -> Result<Page<XapiKeyInfo>, AccountsError> {
        principal.require(Permission::ViewKeys)?;
        if organisations::find_project(self.db.read(), project, principal.organisation).await?.is_none() {
            return Err(AccountsError::NotFound("project"));
        }
        xapi_keys::list(self.db.read(), project, principal.organisation, &page).await
    }

    async fn create_xapi_key(
        &self,
        principal: &Principal,
        new: NewXapiKey,
        client: &ClientInfo,
    ) -> Result<(XapiKeyInfo, Secret), AccountsError> {
        principal.require(Permission::ManageKeys)?;
        let scopes: Vec<XapiScope> =
            XapiScope::ALL.into_iter().filter(|scope| new.scopes.contains(scope)).collect();
        if scopes.is_empty() {
            return Err(AccountsError::invalid("scopes", "must have at least one"));
        }
        let now = self.clock.now();
        let key = XapiKeyInfo {
            id: Id::generate(now),
            project: new.project,
            organisation: principal.organisation,
            public_key: random_public_key(),
            label: fields::name("label", &new.label)?,
            scopes,
            created_at: now,
            revoked_at: None,
        };
        let secret = random_secret(SECRET_PREFIX);
        self.db
            .write(async |tx| {
                organisations::lock_in(tx, principal.organisation).await?;
                if organisations::find_project(tx, key.project, principal.organisation).await?.is_none() {
                    return Err(AccountsError::NotFound("project"));
                }
                limit("xAPI keys", KEYS_MAX, xapi_keys::count_working(tx, key.project).await?)?;
                xapi_keys::insert_in(tx, &key, hash(&secret.0)).await?;
                let entry = Entry {
                    project: Some(key.project),
                    target: target("xapi_key", key.id),
                    detail: json!({"label": key.label, "scopes": key.scopes}),
                    ..entry(principal, client, "xapi_key_created")
                };
                self.record_in(tx, entry).await
            })
            .await?;
        Ok((key, secret))
    }

    async fn revoke_xapi_key(
        &self,
        principal: &Principal,
        key: Id<XapiKey>,
        client: &ClientInfo,
    ) -> Result<(), AccountsError> {
        principal.require(Permission::ManageKeys)?;
        self.db
            .write(async |tx| {
                organisations::lock_in(tx, principal.organisation).await?;
                let Some(found) = xapi_keys::find(tx, key, principal.organisation).await? else {
                    return Err(AccountsError::NotFound("xAPI key"));
                };
                if found.revoked_at.is_some() {
                    return Ok(());
                }
                xapi_keys::revoke_in(tx, key, self.clock.now()).await?;
                let (keys, public_key) = (self.xapi_keys.clone(), found.public_key.clone());
                tx.after_commit(move || keys.forget(&public_key));
                let entry = Entry {
                    project: Some(found.project),
                    target: target("xapi_key", key),
                    detail: json!({"label": found.label}),
                    ..entry(principal, client, "xapi_key_revoked")
                };
                self.record_in(tx, entry).await
            })
            .await
    }

    async fn record_xapi_denied(&self, key: &XapiKeyInfo, client: &ClientInfo) -> Result<(), AccountsError> {
        let entry = Entry {
            organisation: Some(key.organisation),
            project: Some(key.project),
            target: target("xapi_key", key.id),
            outcome: Outcome::Denied,
            request_id: client.request_id.clone(),
            ..Entry::new(Actor::System("xapi"), "authz_fail")
        };
        self.db.write(async |tx| self.record_in(tx, entry).await).await
    }
}

impl AccountsService {
    async fn ask_for_xapi_key(
        &self,
        ticket: Ticket,
        public_key: &str,
    ) -> Result<Option<Arc<KnownXapiKey>>, AccountsError> {
        let asked_at = self.clock.now();
        let question = xapi_keys::find_by_public_key(self.db.read(), public_key);
        let answer = tokio::time::timeout(PATIENCE, question).await.unwrap_or_else(|_| Err(away()));
        match answer {
            Ok(found) => {
                let working = found.filter(|key| key.info.revoked_at.is_none());
                Ok(self.xapi_keys.remember(ticket, public_key, working, asked_at))
            }
            Err(error) if error.is_transient() => {
                match self.xapi_keys.database_is_away(public_key, self.clock.now()) {
                    Some(last_known) => Ok(Some(last_known)),
                    None => Err(error.into()),
                }
            }
            Err(error) => Err(error.into()),
        }
    }
}
