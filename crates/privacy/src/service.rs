use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use belvedere_kernel::{
    Actor, Admitted, AuditSink, Clock, ConsentGate, ConsentRecords, ConsentStatement, Entry, Identity,
    IdentityLink, IdentityLinks, KeyOwner, Outcome, PersonRegister, ProjectId, RawPerson, ScrubRules,
    Scrubber, SubjectData, SubjectId, Target, Vault, VaultError,
};
use belvedere_storage::{Database, StorageError, Tx};

use crate::consent::ConsentData;
use crate::gate::{self, Gate};
use crate::link::LinkData;
use crate::scrub::Rules;
use crate::settings::{self, SettingsCache};
use crate::{
    ChangeSettings, MasterKey, Privacy, PrivacyError, PrivacySettings, RevealSubject, VaultService, store,
};

/// The privacy slice over a database: [`Privacy`], and the kernel's [`ConsentGate`], [`ConsentRecords`], [`IdentityLinks`],
/// [`PersonRegister`], [`Scrubber`] and [`Vault`].
pub struct PrivacyService {
    db: Database,
    clock: Arc<dyn Clock>,
    audit: Arc<dyn AuditSink>,
    vault: VaultService,
    settings: Arc<SettingsCache>,
    gate: Gate,
}

impl PrivacyService {
    /// The slice over `db`; `audit` hears of changed settings and revealed identities.
    #[must_use]
    pub fn new(
        db: Database,
        clock: Arc<dyn Clock>,
        master_key: &MasterKey,
        audit: Arc<dyn AuditSink>,
    ) -> Self {
        let vault = VaultService::new(db.clone(), Arc::clone(&clock), master_key);
        let settings = Arc::new(SettingsCache::default());
        let gate = Gate::new(vault.clone(), Arc::clone(&settings), master_key);
        Self { db, clock, audit, vault, settings, gate }
    }

    /// What subjects said they consent to.
    #[must_use]
    pub fn consent_data(&self) -> Arc<dyn SubjectData> {
        Arc::new(ConsentData {
            db: self.db.clone(),
            audit: Arc::clone(&self.audit),
            consents: Arc::clone(&self.gate.consents),
        })
    }

    /// Which ids lead to subjects by a link.
    #[must_use]
    pub fn link_data(&self) -> Arc<dyn SubjectData> {
        Arc::new(LinkData {
            db: self.db.clone(),
            audit: Arc::clone(&self.audit),
            remembered: self.gate.remembered.clone(),
        })
    }

    async fn find_identity(
        &self,
        project: ProjectId,
        subject: SubjectId,
    ) -> Result<Option<Identity>, PrivacyError> {
        let row = store::find_subject(self.db.read(), project, subject).await?;
        let Some(sealed) = row.and_then(|row| row.identity) else { return Ok(None) };
        match self.vault.open(KeyOwner::Subject(project, subject), &sealed).await {
            Ok(json) => Ok(Some(gate::parse(&json)?)),
            Err(VaultError::Destroyed) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

#[async_trait]
impl Privacy for PrivacyService {
    async fn settings(&self, project: ProjectId) -> Result<PrivacySettings, PrivacyError> {
        let mut loaded = self.settings.load(self.db.read(), &[project], self.clock.now()).await?;
        Ok(loaded.remove(&project).map(|loaded| loaded.settings.clone()).unwrap_or_default())
    }

    async fn change_settings(&self, change: ChangeSettings) -> Result<PrivacySettings, PrivacyError> {
        let settings = settings::checked(change.settings)?;
        let json =
            serde_json::to_value(&settings).map_err(|error| StorageError::corrupt(error.to_string()))?;
        let entry = Entry {
            organisation: Some(change.organisation),
            project: Some(change.project),
            target: Some(Target { kind: "project", id: change.project.to_string() }),
            request_id: change.request_id,
            detail: json.clone(),
            ..Entry::new(change.actor, "privacy_settings_changed")
        };
        self.db
            .write(async |tx| {
                store::put_settings(tx, change.project, json.to_string(), self.clock.now()).await?;
                self.audit.record(tx, entry).await?;
                let (cache, project) = (Arc::clone(&self.settings), change.project);
                tx.after_commit(move || cache.forget(project));
                Ok::<_, PrivacyError>(())
            })
            .await?;
        Ok(settings)
    }

    async fn reveal_subject(&self, reveal: RevealSubject) -> Result<Option<Identity>, PrivacyError> {
        let identity = self.find_identity(reveal.project, reveal.subject).await?;
        let entry = Entry {
            organisation: Some(reveal.organisation),
            project: Some(reveal.project),
            target: Some(Target { kind: "subject", id: reveal.subject.to_string() }),
            outcome: if identity.is_some() { Outcome::Success } else { Outcome::Failure },
            request_id: reveal.request_id,
            ..Entry::new(reveal.actor, "sensitive_read")
        };
        // Nobody learns anything unless the entry is committed.
        self.db.write(async |tx| self.audit.record(tx, entry).await).await?;
        Ok(identity)
    }

    async fn count_subjects(&self, project: ProjectId) -> Result<u64, PrivacyError> {
        Ok(store::count_subjects(self.db.read(), project).await?)
    }

    async fn rotate_salts(&self) -> Result<u64, PrivacyError> {
        self.db
            .write(async |tx| {
                let destroyed = self.gate.salts().destroy_old_in(tx, self.clock.now()).await?;
                if destroyed > 0 {
                    let detail = serde_json::json!({ "salts": destroyed });
                    let entry =
                        Entry { detail, ..Entry::new(Actor::System("privacy"), "privacy_salts_destroyed") };
                    self.audit.record(tx, entry).await?;
                }
                Ok(destroyed)
            })
            .await
    }
}

#[async_trait]
impl ConsentGate for PrivacyService {
    async fn admit(&self, tx: &Tx, people: &[RawPerson]) -> Result<Vec<Admitted>, StorageError> {
        self.gate.admit(tx, people, self.clock.now()).await.map_err(storage_error)
    }
}

#[async_trait]
impl IdentityLinks for PrivacyService {
    async fn link_in(&self, tx: &Tx, links: &[IdentityLink]) -> Result<(), StorageError> {
        self.gate.link(tx, links, self.clock.now()).await.map_err(storage_error)
    }
}

#[async_trait]
impl ConsentRecords for PrivacyService {
    async fn record_consents_in(
        &self,
        tx: &Tx,
        statements: &[ConsentStatement],
    ) -> Result<u64, StorageError> {
        let recorded = self.gate.consents.record_in(tx, statements, (&*self.audit, self.clock.now())).await?;
        if recorded > 0 {
            let cache = Arc::clone(&self.settings);
            let mut projects: Vec<ProjectId> = statements.iter().map(|statement| statement.project).collect();
            projects.dedup();
            // Whether anybody said something is remembered with them.
            tx.after_commit(move || projects.into_iter().for_each(|project| cache.forget(project)));
        }
        Ok(recorded)
    }
}

#[async_trait]
impl PersonRegister for PrivacyService {
    async fn register(&self, tx: &Tx, people: &[RawPerson]) -> Result<Vec<Option<SubjectId>>, StorageError> {
        self.gate.register(tx, people, self.clock.now()).await.map_err(storage_error)
    }

    async fn find(&self, people: &[RawPerson]) -> Result<Vec<Option<SubjectId>>, StorageError> {
        self.gate.find(self.db.read(), people, self.clock.now()).await
    }
}

#[async_trait]
impl Scrubber for PrivacyService {
    async fn load(&self, projects: &[ProjectId]) -> Result<Arc<dyn ScrubRules>, StorageError> {
        let loaded = self.settings.load(self.db.read(), projects, self.clock.now()).await?;
        let rules: HashMap<_, _> =
            loaded.into_iter().map(|(project, loaded)| (project, Arc::clone(&loaded.rules))).collect();
        Ok(Arc::new(Rules::new(rules)))
    }
}

#[async_trait]
impl Vault for PrivacyService {
    async fn seal_in(&self, tx: &Tx, owner: KeyOwner, plain: &[u8]) -> Result<Vec<u8>, VaultError> {
        self.vault.seal_in(tx, owner, plain).await
    }

    async fn seal_all_in(
        &self,
        tx: &Tx,
        values: &[(KeyOwner, &[u8])],
    ) -> Result<Vec<Option<Vec<u8>>>, VaultError> {
        self.vault.seal_all_in(tx, values).await
    }

    async fn open(&self, owner: KeyOwner, sealed: &[u8]) -> Result<Vec<u8>, VaultError> {
        self.vault.open(owner, sealed).await
    }
}

fn storage_error(error: VaultError) -> StorageError {
    match error {
        VaultError::Storage(error) => error,
        error => StorageError::corrupt(format!("privacy: {error}")),
    }
}
