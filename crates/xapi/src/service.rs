use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use belvedere_kernel::{ProjectId, SubjectData, Tasks};
use belvedere_storage::{StorageError, Timestamp, query_sql};
use bytes::Bytes;
use sha2::{Digest, Sha224, Sha256, Sha384, Sha512};
use tokio::sync::{mpsc, oneshot};

use crate::commit::{Command, Outcome, Work};
use crate::core::{Core, XapiParts};
use crate::documents::{AGENT_PROFILE, STATE};
use crate::json::{Json, write_text};
use crate::model::{
    ChangeDocument, Client, Document, DocumentChange, DocumentOwner, FoundStatements, OneStatement, Reader,
    StatementQuery, StoreStatements, StoredStatements,
};
use crate::more::Plan;
use crate::prepare::{check_all, prepare};
use crate::statement::{Ifi, Statement};
use crate::subject::{DocumentData, StatementData};
use crate::{RecordStore, Version, XapiError, documents, signature, value, writer};

/// The most wordings of a person that are looked at.
const WORDINGS_MAX: i64 = 200;

/// The most statements of an answer with their files, which are held in memory.
const PAGE_WITH_FILES_MAX: usize = 10;

/// The record store in a database.
pub struct XapiService {
    core: Arc<Core>,
    commands: mpsc::Sender<Command>,
    waiting: Mutex<Option<mpsc::Receiver<Command>>>,
}

impl XapiService {
    /// The store over a migrated database; it writes once [`XapiService::run`] runs.
    #[must_use]
    pub fn new(parts: XapiParts) -> Self {
        let (commands, waiting) = mpsc::channel(writer::WAITING_MAX);
        Self { core: Arc::new(Core::new(parts)), commands, waiting: Mutex::new(Some(waiting)) }
    }

    /// Writes what requests bring, many in one transaction, until `tasks` are told to stop; to be called once.
    pub async fn run(self: Arc<Self>, tasks: Tasks) {
        let waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(waiting) = waiting {
            writer::run(Arc::clone(&self.core), waiting, tasks).await;
        }
    }

    /// What the store keeps of people: statements, states, profiles.
    #[must_use]
    pub fn subject_data(&self) -> Vec<Arc<dyn SubjectData>> {
        let core = || Arc::clone(&self.core);
        vec![
            Arc::new(StatementData { core: core() }),
            Arc::new(DocumentData { core: core(), kind: STATE, name: "xapi states" }),
            Arc::new(DocumentData { core: core(), kind: AGENT_PROFILE, name: "xapi agent profiles" }),
        ]
    }

    async fn ask(&self, client: Client, work: Work) -> Result<Outcome, XapiError> {
        let (reply, answer) = oneshot::channel();
        self.commands.send(Command { client, work, reply }).await.map_err(|_| XapiError::Closed)?;
        answer.await.unwrap_or(Err(XapiError::Closed))
    }

    /// Checks that files and claims belong together, and signatures.
    fn check_files(
        &self,
        statements: &[Statement],
        files: &HashMap<String, Bytes>,
        version: Version,
    ) -> Result<(), XapiError> {
        let limits = &self.core.parts.limits;
        if files.len() > limits.attachments_max {
            return Err(XapiError::TooLarge { what: "attachments", max: limits.attachments_max });
        }
        for (sha2, content) in files {
            if content.len() > limits.attachment_bytes_max {
                return Err(XapiError::TooLarge {
                    what: "bytes of an attachment",
                    max: limits.attachment_bytes_max,
                });
            }
            if !is_sha2_of(sha2, content) {
                return Err(XapiError::invalid("X-Experience-API-Hash", "is not the SHA-2 of its part"));
            }
        }
        let mut claimed = 0;
        let mut seen = std::collections::HashSet::new();
        for statement in statements {
            for claim in statement.claims() {
                match files.get(&claim.sha2) {
                    Some(content) => {
                        claimed += usize::from(seen.insert(claim.sha2.clone()));
                        if claim.is_signature {
                            let kind = &claim.content_type;
                            signature::check(&statement.json, kind, content, version, limits.depth_max)?;
                        }
                    }
                    None if claim.has_url && !claim.is_signature => {}
                    None => {
                        return Err(XapiError::invalid(
                            "attachments",
                            "a part with the SHA-2 of a claim is missing",
                        ));
                    }
                }
            }
        }
        if claimed < files.len() {
            return Err(XapiError::invalid("attachments", "no statement claims the SHA-2 of a part"));
        }
        Ok(())
    }
}

/// Whether `sha2` is a digest of `content`, in hexadecimal digits, by the SHA-2 of its length.
fn is_sha2_of(sha2: &str, content: &[u8]) -> bool {
    let digest = match sha2.len() {
        56 => Sha224::digest(content).to_vec(),
        64 => Sha256::digest(content).to_vec(),
        96 => Sha384::digest(content).to_vec(),
        128 => Sha512::digest(content).to_vec(),
        _ => return false,
    };
    let digits = digest.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    let digits = digits.map(|digit| char::from(b"0123456789abcdef"[usize::from(digit)]));
    digits.eq(sha2.chars().map(|digit| digit.to_ascii_lowercase()))
}

#[async_trait]
impl RecordStore for XapiService {
    async fn store_statements(&self, store: StoreStatements) -> Result<StoredStatements, XapiError> {
        let StoreStatements { client, version, mut body, id, files } = store;
        if let Some(id) = id {
            match (body.members().is_some(), body.get("id")) {
                (false, _) => return Err(XapiError::invalid("body", "must be one statement")),
                (true, None) => body.set("id", Json::of(value::uuid_text(&id))),
                (true, Some(given)) if given.text().and_then(value::uuid) == Some(id) => {}
                (true, Some(_)) => {
                    return Err(XapiError::invalid("statementId", "is not the id of the statement"));
                }
            }
        }
        let statements = check_all(body, version, &self.core.parts.limits)?;
        self.check_files(&statements, &files, version)?;
        if statements.is_empty() {
            return Ok(StoredStatements { ids: Vec::new(), new: 0 });
        }
        let prepared = statements.into_iter().map(|it| prepare(it, version, &self.core.secrets)).collect();
        let files = files.into_iter().collect();
        match self.ask(client, Work::Statements { prepared, files }).await? {
            Outcome::Statements(stored) => Ok(stored),
            Outcome::Document => Err(XapiError::Closed),
        }
    }

    async fn find_statement(
        &self,
        reader: &Reader,
        one: OneStatement,
    ) -> Result<Option<FoundStatements>, XapiError> {
        self.core.find(reader, one).await
    }

    async fn list_statements(
        &self,
        reader: &Reader,
        query: StatementQuery,
    ) -> Result<FoundStatements, XapiError> {
        match self.core.plan(reader, &query).await? {
            Some(mut plan) => {
                if plan.attachments {
                    plan.limit = plan.limit.min(PAGE_WITH_FILES_MAX);
                }
                self.core.list(reader, plan).await
            }
            None => Ok(FoundStatements { attachments: query.attachments, ..FoundStatements::default() }),
        }
    }

    async fn list_more(&self, reader: &Reader, more: &str) -> Result<Option<FoundStatements>, XapiError> {
        match Plan::open(more, &self.core.secrets, reader.client.key) {
            Some(plan) => Ok(Some(self.core.list(reader, plan).await?)),
            None => Ok(None),
        }
    }

    async fn change_document(&self, change: ChangeDocument) -> Result<(), XapiError> {
        let max = self.core.parts.limits.document_bytes_max;
        if let DocumentChange::Put { content, .. } | DocumentChange::Merge { content, .. } = &change.change
            && content.len() > max
        {
            return Err(XapiError::TooLarge { what: "bytes of a document", max });
        }
        if let DocumentChange::Merge { content_type, content } = &change.change {
            let is_object = documents::is_json(content_type)
                && Json::parse(content, self.core.parts.limits.depth_max)?.members().is_some();
            if !is_object {
                return Err(XapiError::invalid("document", "must be a JSON object to be added to one"));
            }
        }
        let client = change.client.clone();
        self.ask(client, Work::Document(Box::new(change))).await.map(drop)
    }

    async fn find_document(
        &self,
        project: ProjectId,
        owner: &DocumentOwner,
        id: &str,
    ) -> Result<Option<Document>, XapiError> {
        self.core.find_document(project, owner, id).await
    }

    async fn list_documents(
        &self,
        project: ProjectId,
        owner: &DocumentOwner,
        since: Option<Timestamp>,
    ) -> Result<(Vec<String>, Option<Timestamp>), XapiError> {
        self.core.list_documents(project, owner, since).await
    }

    async fn find_activity(&self, project: ProjectId, id: &str) -> Result<String, XapiError> {
        let known = self.core.definitions(self.core.parts.db.read(), project, vec![id.to_owned()]).await?;
        let mut activity = Json::object([("objectType", Json::of("Activity")), ("id", Json::of(id))]);
        if let Some(definition) = known.into_values().next() {
            activity.set("definition", definition);
        }
        Ok(activity.to_string())
    }

    async fn find_person(&self, project: ProjectId, agent: &Ifi) -> Result<String, XapiError> {
        let mut names: Vec<String> = Vec::new();
        if let Some(subject) = self.core.find_subject(project, agent).await? {
            let sql = "SELECT agent_id FROM xapi_agent WHERE project_id = $1 AND subject_id = $2 ORDER BY agent_id LIMIT $3";
            let values = [project.0.into(), subject.0.into(), WORDINGS_MAX.into()];
            let rows = query_sql(self.core.parts.db.read(), sql, values).await?;
            let agents = rows.iter().map(|row| row.try_get_by_index::<i64>(0)).collect::<Result<Vec<_>, _>>();
            let agents = agents.map_err(StorageError::from)?;
            let wordings = self.core.wordings(self.core.parts.db.read(), project, agents.clone()).await?;
            for wording in agents.iter().filter_map(|agent| wordings.get(agent)) {
                let name = Json::parse(wording.as_bytes(), 8)
                    .ok()
                    .and_then(|it| it.text_of("name").map(str::to_owned));
                names.extend(name.filter(|name| !names.contains(name)));
            }
        }
        Ok(person(agent, &names))
    }
}

/// The Person object: every property an array.
fn person(agent: &Ifi, names: &[String]) -> String {
    let mut text = "{\"objectType\":\"Person\"".to_owned();
    if !names.is_empty() {
        text.push_str(",\"name\":");
        Json::List(names.iter().map(Json::of).collect()).write(&mut text);
    }
    let mut add = |key: &str, value: &str| {
        text.push_str(",\"");
        text.push_str(key);
        text.push_str("\":[");
        write_text(value, &mut text);
        text.push(']');
    };
    match agent {
        Ifi::Mailbox(mailbox) => add("mbox", mailbox),
        Ifi::MailboxSha1(sum) => add("mbox_sha1sum", sum),
        Ifi::OpenId(id) => add("openid", id),
        Ifi::Account { home_page, name } => {
            let account = Json::object([("homePage", Json::of(home_page)), ("name", Json::of(name))]);
            text.push_str(",\"account\":");
            Json::List(vec![account]).write(&mut text);
        }
    }
    text.push('}');
    text
}
