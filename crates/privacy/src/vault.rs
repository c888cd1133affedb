use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use belvedere_kernel::{Clock, KeyOwner, ProjectId, SubjectId, Vault, VaultError};
use belvedere_storage::{Database, Timestamp, Tx};

use crate::MasterKey;
use crate::cache::Cache;
use crate::sealing::{self, KeyBytes, Purpose};
use crate::store::{self, KeyState};

/// How many owners' keys are kept unwrapped in memory.
const CACHED_KEYS_MAX: usize = 10_000;

/// How long an unwrapped key is used without asking whether it still exists: so long may a key that another process
/// destroyed go on working in this one.
const CACHED_KEY_MAX_AGE: Duration = Duration::from_secs(60);

/// The [`Vault`]: a random 256-bit key for each owner, wrapped by the master key in `privacy_key`.
#[derive(Clone)]
pub struct VaultService {
    db: Database,
    clock: Arc<dyn Clock>,
    wrapping_key: KeyBytes,
    cache: Arc<Cache<KeyOwner, CachedKey>>,
}

#[derive(Clone, Copy)]
struct CachedKey {
    key: KeyBytes,
    read_at: Timestamp,
}

impl VaultService {
    /// A vault over `db`.
    #[must_use]
    pub fn new(db: Database, clock: Arc<dyn Clock>, master_key: &MasterKey) -> Self {
        let wrapping_key = master_key.derive("vault");
        Self { db, clock, wrapping_key, cache: Arc::new(Cache::new(CACHED_KEYS_MAX)) }
    }

    /// Finds out whether this is the master key under which the database was filled so far; to be called at the start,
    /// before anything is sealed under a wrong one.
    ///
    /// # Errors
    /// [`VaultError::Tampered`] if it is not.
    pub async fn check_master_key(&self) -> Result<(), VaultError> {
        self.db.write(async |tx| self.key_in(tx, KeyOwner::System).await).await.map(|_| ())
    }

    /// Destroys the owner's key, for ever; returns whether there was one. In force in this process with the commit, in
    /// others within 60 s.
    ///
    /// # Errors
    /// [`VaultError::Storage`] when the database fails.
    pub async fn destroy_in(&self, tx: &Tx, owner: KeyOwner) -> Result<bool, VaultError> {
        let existed = store::destroy_key(tx, owner, self.clock.now()).await?;
        let cache = Arc::clone(&self.cache);
        tx.after_commit(move || cache.remove(&owner));
        Ok(existed)
    }

    /// Makes the keys of subjects that are being made in this transaction.
    pub(crate) async fn make_keys_in(
        &self,
        tx: &Tx,
        project: ProjectId,
        subjects: impl Iterator<Item = SubjectId>,
    ) -> Result<HashMap<SubjectId, KeyBytes>, VaultError> {
        let mut keys = HashMap::new();
        let mut rows = Vec::new();
        for subject in subjects {
            let owner = KeyOwner::Subject(project, subject);
            let key = sealing::random();
            rows.push((owner, self.wrap(owner, &key)?));
            keys.insert(subject, key);
        }
        store::insert_keys(tx, rows, self.clock.now(), false).await?;
        Ok(keys)
    }

    /// The keys of those subjects that have one; a destroyed key is left out.
    pub(crate) async fn subject_keys_in(
        &self,
        tx: &Tx,
        project: ProjectId,
        subjects: &[SubjectId],
    ) -> Result<HashMap<SubjectId, KeyBytes>, VaultError> {
        let mut keys = HashMap::new();
        for (subject, wrapped) in store::find_subject_keys(tx, project, subjects).await? {
            keys.insert(subject, self.unwrap(KeyOwner::Subject(project, subject), &wrapped)?);
        }
        Ok(keys)
    }

    fn wrap(&self, owner: KeyOwner, key: &KeyBytes) -> Result<Vec<u8>, VaultError> {
        sealing::seal(&self.wrapping_key, &sealing::associated_data(Purpose::WrappedKey, owner), key)
    }

    fn unwrap(&self, owner: KeyOwner, wrapped: &[u8]) -> Result<KeyBytes, VaultError> {
        sealing::open_key(&self.wrapping_key, &sealing::associated_data(Purpose::WrappedKey, owner), wrapped)
    }

    fn cached(&self, owner: KeyOwner) -> Option<KeyBytes> {
        let cached = self.cache.get(&owner)?;
        let now = self.clock.now();
        let is_fresh = cached.read_at <= now && now.since(cached.read_at) < CACHED_KEY_MAX_AGE;
        is_fresh.then_some(cached.key)
    }

    /// The key in `state`; `None` if there is none yet.
    fn usable(&self, owner: KeyOwner, state: KeyState) -> Result<Option<KeyBytes>, VaultError> {
        match state {
            KeyState::Missing => Ok(None),
            KeyState::Destroyed => Err(VaultError::Destroyed),
            KeyState::Wrapped(wrapped) => self.unwrap(owner, &wrapped).map(Some),
        }
    }

    async fn key_in(&self, tx: &Tx, owner: KeyOwner) -> Result<KeyBytes, VaultError> {
        if let Some(key) = self.cached(owner) {
            return Ok(key);
        }
        let read_at = self.clock.now();
        let mut found = self.usable(owner, store::find_key(tx, owner).await?)?;
        if found.is_none() {
            // Another transaction may be making the same key: the insert waits for it and then gives way.
            let wrapped = self.wrap(owner, &sealing::random())?;
            store::insert_keys(tx, vec![(owner, wrapped)], read_at, true).await?;
            found = self.usable(owner, store::find_key(tx, owner).await?)?;
        }
        let key = found.ok_or(VaultError::Tampered)?;
        let cache = Arc::clone(&self.cache);
        tx.after_commit(move || cache.insert(owner, CachedKey { key, read_at }));
        Ok(key)
    }

    async fn key(&self, owner: KeyOwner) -> Result<KeyBytes, VaultError> {
        if let Some(key) = self.cached(owner) {
            return Ok(key);
        }
        let read_at = self.clock.now();
        let state = store::find_key(self.db.read(), owner).await?;
        let key = self.usable(owner, state)?.ok_or(VaultError::Tampered)?;
        self.cache.insert(owner, CachedKey { key, read_at });
        Ok(key)
    }
}

#[async_trait]
impl Vault for VaultService {
    async fn seal_in(&self, tx: &Tx, owner: KeyOwner, plain: &[u8]) -> Result<Vec<u8>, VaultError> {
        let key = self.key_in(tx, owner).await?;
        sealing::seal(&key, &sealing::associated_data(Purpose::Value, owner), plain)
    }

    async fn seal_all_in(
        &self,
        tx: &Tx,
        values: &[(KeyOwner, &[u8])],
    ) -> Result<Vec<Option<Vec<u8>>>, VaultError> {
        let mut unknown: BTreeMap<ProjectId, BTreeSet<SubjectId>> = BTreeMap::new();
        for (owner, _) in values {
            if let KeyOwner::Subject(project, subject) = *owner
                && self.cached(*owner).is_none()
            {
                unknown.entry(project).or_default().insert(subject);
            }
        }
        let read_at = self.clock.now();
        let mut keys: HashMap<KeyOwner, KeyBytes> = HashMap::new();
        for (project, subjects) in unknown {
            let subjects: Vec<SubjectId> = subjects.into_iter().collect();
            let found = self.subject_keys_in(tx, project, &subjects).await?;
            keys.extend(found.into_iter().map(|(subject, key)| (KeyOwner::Subject(project, subject), key)));
        }
        let mut sealed = Vec::with_capacity(values.len());
        for (owner, plain) in values {
            let key = match keys.get(owner) {
                Some(key) => Ok(*key),
                None => self.key_in(tx, *owner).await,
            };
            sealed.push(match key {
                Err(VaultError::Destroyed) => None,
                key => Some(sealing::seal(&key?, &sealing::associated_data(Purpose::Value, *owner), plain)?),
            });
        }
        let cache = Arc::clone(&self.cache);
        tx.after_commit(move || {
            keys.into_iter().for_each(|(owner, key)| cache.insert(owner, CachedKey { key, read_at }));
        });
        Ok(sealed)
    }

    async fn open(&self, owner: KeyOwner, sealed: &[u8]) -> Result<Vec<u8>, VaultError> {
        let key = self.key(owner).await?;
        sealing::open(&key, &sealing::associated_data(Purpose::Value, owner), sealed)
    }
}
