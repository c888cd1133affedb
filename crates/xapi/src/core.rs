//! What reading and writing share.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use belvedere_event_store::{EventStore, LearnerEvents};
use belvedere_jobs::JobQueue;
use belvedere_kernel::{
    AuditSink, Clock, ConsentGate, KeyOwner, PersonRegister, ProjectId, RawPerson, SubjectId, Vault,
    VaultError, XapiKey,
};
use belvedere_storage::{Database, Id, Sql, StorageError};
use sea_orm::ConnectionTrait;

use crate::json::{Json, write_text};
use crate::prepare::raw_person;
use crate::recent::Recents;
use crate::secrets::Secrets;
use crate::statement::Ifi;
use crate::{Limits, XapiError};

/// The most wordings of people, and definitions of activities, that are remembered.
const REMEMBERED_MAX: usize = 20_000;

/// Everything that the record store needs from the rest of Belvedere.
#[derive(Clone)]
pub struct XapiParts {
    /// State.
    pub db: Database,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Whom events may be about.
    pub gate: Arc<dyn ConsentGate>,
    /// Whom records are about.
    pub register: Arc<dyn PersonRegister>,
    /// Seals what identifies people.
    pub vault: Arc<dyn Vault>,
    /// Who did what.
    pub audit: Arc<dyn AuditSink>,
    /// Where statements go as events as well.
    pub events: Option<Arc<dyn EventStore>>,
    /// Who keeps what follows from those events.
    pub learners: Option<Arc<dyn LearnerEvents>>,
    /// What takes events of voided statements out again.
    pub jobs: Option<JobQueue>,
    /// What bounds requests.
    pub limits: Limits,
    /// The address of this installation, the home page of authorities.
    pub home_page: String,
    /// A secret of this installation that never changes.
    pub secret: [u8; 32],
}

pub(crate) struct Core {
    pub(crate) parts: XapiParts,
    pub(crate) secrets: Secrets,
    pub(crate) memory: Arc<Mutex<Memory>>,
    pub(crate) recents: Arc<Recents>,
}

/// What is known of the database without asking it.
#[derive(Default)]
pub(crate) struct Memory {
    /// The numbers of wordings of people.
    pub(crate) agents: HashMap<[u8; 16], i64>,
    /// Definitions of activities.
    pub(crate) definitions: HashMap<(ProjectId, String), Json>,
    /// The generation of each project to which that belongs.
    pub(crate) generations: HashMap<ProjectId, i64>,
    /// The names of keys.
    pub(crate) authorities: HashMap<(ProjectId, Id<XapiKey>), Arc<str>>,
}

impl Memory {
    /// Forgets what is older than `generation` of a project, and everything when there is too much.
    pub(crate) fn renew(&mut self, project: ProjectId, generation: i64) {
        let is_stale = self.generations.insert(project, generation).is_some_and(|known| known != generation);
        if is_stale || self.agents.len() > REMEMBERED_MAX {
            self.agents.clear();
        }
        if is_stale || self.definitions.len() > REMEMBERED_MAX {
            self.definitions.clear();
        }
        if self.authorities.len() > REMEMBERED_MAX {
            self.authorities.clear();
        }
    }
}

impl Core {
    pub(crate) fn new(parts: XapiParts) -> Self {
        let secrets = Secrets::new(parts.secret);
        Self { parts, secrets, memory: Arc::default(), recents: Arc::default() }
    }

    pub(crate) fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn raw_person(&self, project: ProjectId, ifi: &Ifi) -> RawPerson {
        raw_person(project, ifi, &self.parts.home_page)
    }

    /// The subject of somebody who is registered.
    pub(crate) async fn find_subject(
        &self,
        project: ProjectId,
        ifi: &Ifi,
    ) -> Result<Option<SubjectId>, XapiError> {
        let found = self.parts.register.find(&[self.raw_person(project, ifi)]).await?;
        Ok(found.into_iter().next().flatten())
    }

    /// How people are worded, as JSON objects by their numbers; an account that names nobody where that was erased.
    pub(crate) async fn wordings(
        &self,
        connection: &impl ConnectionTrait,
        project: ProjectId,
        agents: Vec<i64>,
    ) -> Result<HashMap<i64, String>, XapiError> {
        let mut sql = Sql::new(
            connection,
            "SELECT agent_id, subject_id, is_group, sealed FROM xapi_agent WHERE project_id = ",
        );
        sql.bind(project.0).push(" AND agent_id");
        let rows = sql.fetch_in(connection, &agents).await?;
        let storage = StorageError::from;
        let mut wordings = HashMap::with_capacity(rows.len());
        for row in rows {
            let (agent, subject): (i64, i64) =
                (row.try_get_by_index(0).map_err(storage)?, row.try_get_by_index(1).map_err(storage)?);
            let is_group: bool = row.try_get_by_index(2).map_err(storage)?;
            let sealed: Option<Vec<u8>> = row.try_get_by_index(3).map_err(storage)?;
            if wordings.contains_key(&agent) {
                continue;
            }
            let text = match sealed {
                None => self.nobody(subject, is_group),
                Some(sealed) => self.open(project, SubjectId(subject), is_group, &sealed).await?,
            };
            wordings.insert(agent, text);
        }
        Ok(wordings)
    }

    async fn open(
        &self,
        project: ProjectId,
        subject: SubjectId,
        is_group: bool,
        sealed: &[u8],
    ) -> Result<String, XapiError> {
        match self.parts.vault.open(KeyOwner::Subject(project, subject), sealed).await {
            Ok(text) => Ok(String::from_utf8(text).map_err(|_| StorageError::corrupt("xapi_agent.sealed"))?),
            Err(VaultError::Destroyed) => Ok(self.nobody(subject.0, is_group)),
            Err(error) => Err(error.into()),
        }
    }

    /// The account that stands for somebody who was erased.
    pub(crate) fn nobody(&self, subject: i64, is_group: bool) -> String {
        let mut text =
            format!("{{\"objectType\":\"{}\",\"account\":", if is_group { "Group" } else { "Agent" });
        self.account(&format!("erased-{subject}"), &mut text);
        text.push('}');
        text
    }

    /// The authority of what a key of this name stored.
    pub(crate) fn authority(&self, name: &str) -> String {
        let mut text = "{\"objectType\":\"Agent\",\"name\":".to_owned();
        write_text(name, &mut text);
        text.push_str(",\"account\":");
        self.account(name, &mut text);
        text.push('}');
        text
    }

    fn account(&self, name: &str, out: &mut String) {
        out.push_str("{\"homePage\":");
        write_text(&self.parts.home_page, out);
        out.push_str(",\"name\":");
        write_text(name, out);
        out.push('}');
    }
}
