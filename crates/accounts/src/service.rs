mod accounts;
mod api_tokens;
mod guesses;
mod ingest_keys;
mod members;
mod membership;
mod own_project;
mod project_owners;
mod proof;
mod sign_in;
mod time_zone;
mod xapi_keys;

pub use self::own_project::OWN_PROJECT;
pub use self::project_owners::OwnersOfProjects;

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use belvedere_kernel::{
    Actor, AuditSink, Clock, Entry, KeyOwner, Organisation, ProjectId, Target, User, Vault, VaultError,
};
use belvedere_storage::{Database, Id, StorageError, Tx};
use serde_json::{Value, json};

use self::time_zone::Zones;
use crate::entity::user;
use crate::key_cache::KeyCache;
use crate::password::Passwords;
use crate::secret::LookupKey;
use crate::store::organisations;
use crate::store::xapi_keys::KnownXapiKey;
use crate::{AccountsError, ClientInfo, Conflict, IngestKeyInfo, Member, Principal, Role};

/// What stands in the place of a name or an e-mail address whose key was destroyed.
const ERASED: &str = "(erased)";

/// Accounts in a database.
pub struct AccountsService {
    db: Database,
    clock: Arc<dyn Clock>,
    audit: Arc<dyn AuditSink>,
    vault: Arc<dyn Vault>,
    lookup: LookupKey,
    passwords: Passwords,
    keys: Arc<KeyCache<IngestKeyInfo>>,
    xapi_keys: Arc<KeyCache<KnownXapiKey>>,
    zones: Arc<Zones>,
    guesses_made: AtomicU64,
}

impl AccountsService {
    /// Accounts in `db`. `lookup_key` is secret, belongs to the installation and never changes: by it users are found
    /// by e-mail address, and guesses counted, without the database saying whose they are.
    #[must_use]
    pub fn new(
        db: Database,
        clock: Arc<dyn Clock>,
        audit: Arc<dyn AuditSink>,
        vault: Arc<dyn Vault>,
        lookup_key: [u8; 32],
    ) -> Self {
        Self {
            db,
            clock,
            audit,
            vault,
            lookup: LookupKey(lookup_key),
            passwords: Passwords::default(),
            keys: Arc::default(),
            xapi_keys: Arc::default(),
            zones: Arc::new(time_zone::zones()),
            guesses_made: AtomicU64::new(0),
        }
    }

    /// Whether there is a project of that number, for programs that an operator runs.
    ///
    /// # Errors
    /// A storage error.
    pub async fn has_project(&self, project: ProjectId) -> Result<bool, AccountsError> {
        Ok(organisations::has_project(self.db.read(), project).await?)
    }

    async fn record_in(&self, tx: &Tx, entry: Entry) -> Result<(), AccountsError> {
        Ok(self.audit.record(tx, entry).await?)
    }

    /// Seals `plain` under the user's own key.
    async fn seal_in(&self, tx: &Tx, user: Id<User>, plain: &str) -> Result<Vec<u8>, AccountsError> {
        Ok(self.vault.seal_in(tx, KeyOwner::User(user), plain.as_bytes()).await?)
    }

    /// What [`Self::seal_in`] sealed, or a placeholder after the person was erased.
    async fn open(&self, user: Id<User>, sealed: &[u8]) -> Result<String, AccountsError> {
        match self.vault.open(KeyOwner::User(user), sealed).await {
            Ok(plain) => {
                Ok(String::from_utf8(plain).map_err(|_| StorageError::corrupt("sealed text is not UTF-8"))?)
            }
            Err(VaultError::Destroyed) => Ok(ERASED.to_owned()),
            Err(error) => Err(error.into()),
        }
    }

    async fn member_of(&self, row: &user::Model, role: Role) -> Result<Member, AccountsError> {
        let name = self.open(row.id, &row.name_sealed).await?;
        let email = match &row.email_sealed {
            Some(sealed) => self.open(row.id, sealed).await?,
            None => String::new(),
        };
        Ok(Member { user: row.id, name, email, role })
    }
}

impl std::fmt::Debug for AccountsService {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AccountsService").field("db", &self.db).finish_non_exhaustive()
    }
}

/// An entry of what `principal` does in its organisation.
fn entry(principal: &Principal, client: &ClientInfo, action: &'static str) -> Entry {
    Entry {
        organisation: Some(principal.organisation),
        request_id: client.request_id.clone(),
        ..Entry::new(principal.actor, action)
    }
}

/// An entry of what `actor`, not yet or not any more a principal, does at the door.
fn door_entry(
    actor: Actor,
    organisation: Option<Id<Organisation>>,
    client: &ClientInfo,
    action: &'static str,
    mut detail: Value,
) -> Entry {
    if let Value::Object(detail) = &mut detail {
        if let Some(address) = &client.address {
            detail.insert("address".to_owned(), json!(address.chars().take(100).collect::<String>()));
        }
        if let Some(user_agent) = &client.user_agent {
            detail.insert("user_agent".to_owned(), json!(user_agent.chars().take(200).collect::<String>()));
        }
    }
    Entry { organisation, request_id: client.request_id.clone(), detail, ..Entry::new(actor, action) }
}

fn target(kind: &'static str, id: impl ToString) -> Option<Target> {
    Some(Target { kind, id: id.to_string() })
}

fn limit(what: &'static str, max: u64, count: u64) -> Result<(), Conflict> {
    if count < max { Ok(()) } else { Err(Conflict::TooMany { what, max }) }
}

/// The person behind a principal, if it is one.
fn user_of(principal: &Principal) -> Option<Id<User>> {
    match principal.actor {
        Actor::User(user) => Some(user),
        _ => None,
    }
}
