//! One transaction for the work of many requests.
//!
//! Locks are taken in one order: projects by number, in each the row that orders its writers, then subjects; then the audit
//! log; the event store last. Two transactions therefore wait for each other, but never in a circle.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use belvedere_event_store::{Event, LearnerFold};
use belvedere_jobs::{JobsError, NewJob};
use belvedere_kernel::{Actor, Entry, ProjectId, SubjectId, Target, XapiKey};
use belvedere_storage::{Dialect, Id, Sql, StorageError, Timestamp, Tx, bulk, execute_sql, query_sql};
use bytes::Bytes;
use sea_orm::Value;
use serde_json::json;
use tokio::sync::oneshot;

use crate::core::Core;
use crate::documents::Overlay;
use crate::model::{ChangeDocument, Client, StoredStatements};
use crate::packing::bytes16;
use crate::prepare::Prepared;
use crate::recent::MERGED_FROM;
use crate::statement::Ifi;
use crate::{XapiError, value};

pub(crate) const IS_VOIDED: i64 = 1;
pub(crate) const IS_TIMED_BY_STORE: i64 = 2;
pub(crate) const IS_COMPRESSED: i64 = 4;
pub(crate) const IS_VOIDING: i64 = 8;

/// The job that takes the events of voided statements out of the event store, and out of what follows from them. Its
/// payload is `{"project": 1, "events": [..]}` with ids of events.
pub const WITHDRAW_JOB: &str = "xapi.withdraw_events";

/// The most events of one such job.
const WITHDRAWN_MAX: usize = 500;

/// The most request ids of one audit entry.
const REQUESTS_NAMED_MAX: usize = 64;

/// What one request wants to have written.
#[derive(Debug)]
pub(crate) enum Work {
    Statements { prepared: Vec<Prepared>, files: Vec<(String, Bytes)> },
    Document(Box<ChangeDocument>),
}

/// What became of it.
#[derive(Debug)]
pub(crate) enum Outcome {
    Statements(StoredStatements),
    Document,
}

pub(crate) type Answer = Result<Outcome, XapiError>;

#[derive(Debug)]
pub(crate) struct Command {
    pub(crate) client: Client,
    pub(crate) work: Work,
    pub(crate) reply: oneshot::Sender<Answer>,
}

/// The row that orders the writers of a project.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ProjectRow {
    pub(crate) last_stored: i64,
    pub(crate) next_agent: i64,
    pub(crate) generation: i64,
    /// Statements of which the postings are not merged.
    pub(crate) recent: i64,
}

/// A statement that is new.
pub(crate) struct Accepted<'a> {
    pub(crate) statement: &'a Prepared,
    pub(crate) client: &'a Client,
    pub(crate) stored: i64,
}

#[derive(Clone, Copy)]
struct Known {
    digest: [u8; 16],
    is_timed_by_store: bool,
}

impl Known {
    fn is_same(&self, new: &Prepared) -> bool {
        self.digest == new.digest
            || self.is_timed_by_store && new.has_timestamp && self.digest == new.digest_without_time
    }
}

/// What a key did in a transaction, for the audit log.
#[derive(Default)]
struct Done {
    requests: Vec<String>,
    statements: usize,
    voided: Vec<String>,
    documents: usize,
}

pub(crate) async fn lock_project(tx: &Tx, project: ProjectId) -> Result<ProjectRow, StorageError> {
    let sql = "INSERT INTO xapi_project (project_id, last_stored, next_agent, generation, recent) \
               VALUES ($1, 0, 1, 0, 0) \
               ON CONFLICT (project_id) DO UPDATE SET last_stored = xapi_project.last_stored \
               RETURNING last_stored, next_agent, generation, recent";
    let rows = query_sql(tx, sql, [project.0.into()]).await?;
    let row = rows.first().ok_or_else(|| StorageError::corrupt("xapi_project returned no row"))?;
    Ok(ProjectRow {
        last_stored: row.try_get_by_index(0)?,
        next_agent: row.try_get_by_index(1)?,
        generation: row.try_get_by_index(2)?,
        recent: row.try_get_by_index(3)?,
    })
}

pub(crate) async fn update_project(tx: &Tx, project: ProjectId, row: ProjectRow) -> Result<(), StorageError> {
    let sql = "UPDATE xapi_project SET last_stored = $2, next_agent = $3, generation = $4, recent = $5 \
               WHERE project_id = $1";
    let ProjectRow { last_stored, next_agent, generation, recent } = row;
    let values = [project.0.into(), last_stored.into(), next_agent.into(), generation.into(), recent.into()];
    execute_sql(tx, sql, values).await.map(drop)
}

impl Core {
    /// Does the work of `commands` in one transaction; an answer for each, in their order.
    pub(crate) async fn commit(&self, commands: &[Command]) -> Result<Vec<Answer>, XapiError> {
        let mut of_projects: BTreeMap<ProjectId, Vec<usize>> = BTreeMap::new();
        for (index, command) in commands.iter().enumerate() {
            of_projects.entry(command.client.project).or_default().push(index);
        }
        let now = self.parts.clock.now();
        let tells = |index: &usize| matches!(commands[*index].work, Work::Statements { .. });
        let telling = of_projects.iter().filter(|(_, indices)| indices.iter().any(tells));
        let projects: Vec<ProjectId> = telling.map(|(project, _)| *project).collect();
        let fold = match &self.parts.learners {
            Some(learners) => Some(learners.load(&projects).await?),
            None => None,
        };
        let fold = fold.as_deref();
        self.parts
            .db
            .write(async |tx| {
                let mut answers: Vec<Option<Answer>> = commands.iter().map(|_| None).collect();
                let (mut done, mut written) = (BTreeMap::new(), Vec::new());
                for (project, indices) in &of_projects {
                    let work = ProjectWork { core: self, tx, project: *project, now };
                    let of_project = work.run(commands, indices, &mut answers, &mut done).await?;
                    self.withdraw(tx, *project, &of_project.voided).await?;
                    written.push((*project, of_project.events));
                }
                written.retain(|(_, events)| !events.is_empty());
                if let Some(fold) = fold {
                    for (project, events) in &mut written {
                        fold.complete_in(tx, *project, events).await?;
                    }
                }
                self.record(tx, commands, done).await?;
                for (project, events) in &written {
                    self.append(tx, *project, events, fold).await?;
                }
                Ok(answers.into_iter().map(|answer| answer.unwrap_or(Err(XapiError::Closed))).collect())
            })
            .await
    }

    /// Appends the events of a project, and folds those that are new.
    async fn append(
        &self,
        tx: &Tx,
        project: ProjectId,
        events: &[Event],
        fold: Option<&dyn LearnerFold>,
    ) -> Result<(), StorageError> {
        let Some(store) = &self.parts.events else { return Ok(()) };
        let appended = store.append_in(tx, project, events).await?;
        let new = events.iter().zip(&appended.is_new).filter(|(_, is_new)| **is_new);
        let new: Vec<&Event> = new.map(|(event, _)| event).collect();
        match fold {
            Some(fold) if !new.is_empty() => fold.fold_in(tx, project, &new).await,
            _ => Ok(()),
        }
    }

    /// Has the events of statements taken out that were voided after they had become events.
    async fn withdraw(
        &self,
        tx: &Tx,
        project: ProjectId,
        statements: &[[u8; 16]],
    ) -> Result<(), StorageError> {
        let Some(jobs) = self.parts.jobs.as_ref().filter(|_| self.parts.events.is_some()) else {
            return Ok(());
        };
        for ids in statements.chunks(WITHDRAWN_MAX) {
            let ids: Vec<String> = ids.iter().map(|id| Id::<()>::from_bytes(*id).to_string()).collect();
            let job = NewJob::new(WITHDRAW_JOB, json!({ "project": project, "events": ids }));
            jobs.enqueue_in(tx, job).await.map_err(|error| match error {
                JobsError::Storage(error) => error,
                error => StorageError::corrupt(error.to_string()),
            })?;
        }
        Ok(())
    }

    /// One entry for each key: what all its requests of this transaction did.
    async fn record(
        &self,
        tx: &Tx,
        commands: &[Command],
        done: BTreeMap<Id<XapiKey>, Done>,
    ) -> Result<(), StorageError> {
        for (key, done) in done {
            let Some(command) = commands.iter().find(|command| command.client.key == key) else { continue };
            let detail = json!({
                "requests": done.requests, "statements": done.statements, "voided": done.voided,
                "documents": done.documents,
            });
            let entry = Entry {
                organisation: Some(command.client.organisation),
                project: Some(command.client.project),
                target: Some(Target { kind: "xapi_key", id: key.to_string() }),
                request_id: done.requests.first().cloned(),
                detail,
                ..Entry::new(Actor::System("xapi"), "xapi_records_written")
            };
            self.parts.audit.record(tx, entry).await?;
        }
        Ok(())
    }
}

/// What the work of a project leaves to be done.
#[derive(Default)]
struct Written {
    events: Vec<Event>,
    /// Statements of earlier transactions that are voided from now on.
    voided: Vec<[u8; 16]>,
}

pub(crate) struct ProjectWork<'a> {
    pub(crate) core: &'a Core,
    pub(crate) tx: &'a Tx,
    pub(crate) project: ProjectId,
    now: Timestamp,
}

impl ProjectWork<'_> {
    async fn run(
        &self,
        commands: &[Command],
        indices: &[usize],
        answers: &mut [Option<Answer>],
        done: &mut BTreeMap<Id<XapiKey>, Done>,
    ) -> Result<Written, XapiError> {
        let mut row = lock_project(self.tx, self.project).await?;
        self.core.memory().renew(self.project, row.generation);
        let mut known = self.known(commands, indices).await?;
        let mut overlay = Overlay::default();
        let mut accepted: Vec<Accepted<'_>> = Vec::new();
        let mut files: Vec<&(String, Bytes)> = Vec::new();
        let mut next_stored = self.now.as_micros().max(row.last_stored + 1);
        for index in indices {
            let command = &commands[*index];
            let answer = match &command.work {
                Work::Document(change) => {
                    self.change_document(change, &mut overlay, self.now).await.map(|()| Outcome::Document)
                }
                Work::Statements { prepared, files: sent } => {
                    let other =
                        prepared.iter().find(|it| known.get(&it.id).is_some_and(|known| !known.is_same(it)));
                    match other {
                        Some(other) => Err(XapiError::Conflict(value::uuid_text(&other.id))),
                        None => {
                            let before = accepted.len();
                            for statement in prepared.iter().filter(|it| !known.contains_key(&it.id)) {
                                accepted.push(Accepted {
                                    statement,
                                    client: &command.client,
                                    stored: next_stored,
                                });
                                next_stored += 1;
                            }
                            for it in prepared {
                                let new = Known { digest: it.digest, is_timed_by_store: !it.has_timestamp };
                                known.entry(it.id).or_insert(new);
                            }
                            files.extend(sent);
                            let ids = prepared.iter().map(|it| value::uuid_text(&it.id)).collect();
                            Ok(Outcome::Statements(StoredStatements { ids, new: accepted.len() - before }))
                        }
                    }
                }
            };
            // A failure of the database ends the transaction; everything else is this request's alone.
            if let Err(error @ (XapiError::Storage(_) | XapiError::Vault(_))) = answer {
                return Err(error);
            }
            note(done, command, &answer, &accepted);
            answers[*index] = Some(answer);
        }
        let Some(last) = accepted.last() else { return Ok(Written::default()) };
        let written = self.write(&accepted, &files, &mut row).await?;
        row.last_stored = last.stored;
        let before = row.recent;
        row.recent += i64::try_from(accepted.len()).unwrap_or(i64::MAX);
        // Once each time that as many have come: a merge that failed is tried again with the next.
        if before / MERGED_FROM < row.recent / MERGED_FROM {
            let (recents, project) = (Arc::clone(&self.core.recents), self.project);
            self.tx.after_commit(move || recents.mark_due(project));
        }
        update_project(self.tx, self.project, row).await?;
        Ok(written)
    }

    /// The statements of the same ids that are there.
    async fn known(
        &self,
        commands: &[Command],
        indices: &[usize],
    ) -> Result<HashMap<[u8; 16], Known>, XapiError> {
        let given = indices.iter().filter_map(|index| match &commands[*index].work {
            Work::Statements { prepared, .. } => Some(prepared),
            Work::Document(_) => None,
        });
        let ids: Vec<Value> = given.flatten().filter(|it| it.is_given_id).map(|it| id_value(it.id)).collect();
        let mut sql = Sql::new(self.tx, "SELECT statement_id, digest, flags FROM ");
        sql.push(by_id(self.tx)).push(" WHERE project_id = ");
        sql.bind(self.project.0).push(" AND statement_id");
        let mut known = HashMap::new();
        for row in sql.fetch_in(self.tx, &ids).await? {
            let id: Id<()> = row.try_get_by_index(0).map_err(StorageError::from)?;
            let digest: Vec<u8> = row.try_get_by_index(1).map_err(StorageError::from)?;
            let flags: i64 = row.try_get_by_index(2).map_err(StorageError::from)?;
            let digest = bytes16(digest, "xapi_statement.digest")?;
            known.insert(id.to_bytes(), Known { digest, is_timed_by_store: flags & IS_TIMED_BY_STORE != 0 });
        }
        Ok(known)
    }

    /// Writes new statements and everything that belongs to them.
    async fn write(
        &self,
        accepted: &[Accepted<'_>],
        files: &[&(String, Bytes)],
        row: &mut ProjectRow,
    ) -> Result<Written, XapiError> {
        let subjects = self.register(accepted).await?;
        let people = self.number_people(accepted, &subjects, row).await?;
        let voided = self.relate(accepted, &subjects).await?;
        self.write_bodies(accepted, &people, &voided.new).await?;
        self.write_authorities(accepted).await?;
        self.write_files(accepted, files).await?;
        self.merge_definitions(accepted, row).await?;
        Ok(Written { events: self.events(accepted, &voided.new).await?, voided: voided.earlier })
    }

    /// The subjects of everybody whom the statements name.
    async fn register(&self, accepted: &[Accepted<'_>]) -> Result<HashMap<Ifi, SubjectId>, XapiError> {
        let mut ifis: Vec<&Ifi> =
            accepted.iter().flat_map(|it| &it.statement.people).map(|it| &it.ifi).collect();
        let mut seen = HashSet::new();
        ifis.retain(|ifi| seen.insert(*ifi));
        self.subjects_of(&ifis).await
    }

    pub(crate) async fn subjects_of(&self, ifis: &[&Ifi]) -> Result<HashMap<Ifi, SubjectId>, XapiError> {
        let raw: Vec<_> = ifis.iter().map(|ifi| self.core.raw_person(self.project, ifi)).collect();
        let subjects = self.core.parts.register.register(self.tx, &raw).await?;
        let pairs = ifis.iter().zip(subjects).filter_map(|(ifi, subject)| Some(((*ifi).clone(), subject?)));
        Ok(pairs.collect())
    }

    async fn write_bodies(
        &self,
        accepted: &[Accepted<'_>],
        people: &[Vec<u8>],
        voided: &HashSet<[u8; 16]>,
    ) -> Result<(), XapiError> {
        let mut rows = Vec::with_capacity(accepted.len());
        for (it, people) in accepted.iter().zip(people) {
            let flag = |is: bool, flag: i64| if is { flag } else { 0 };
            let statement = it.statement;
            let flags = flag(voided.contains(&statement.id), IS_VOIDED)
                | flag(!statement.has_timestamp, IS_TIMED_BY_STORE)
                | flag(statement.is_compressed, IS_COMPRESSED)
                | flag(statement.references.is_voiding, IS_VOIDING);
            rows.push([
                self.project.0.into(),
                it.stored.into(),
                id_value(statement.id),
                statement.digest.to_vec().into(),
                it.client.key.into(),
                flags.into(),
                people.clone().into(),
                statement.body.clone().into(),
            ]);
        }
        let head = "INSERT INTO xapi_statement \
                    (project_id, stored, statement_id, digest, key_id, flags, people, body) VALUES ";
        bulk(self.tx, head, rows, "").await?;
        Ok(())
    }

    async fn write_authorities(&self, accepted: &[Accepted<'_>]) -> Result<(), XapiError> {
        let mut new: BTreeMap<Id<XapiKey>, &str> = BTreeMap::new();
        {
            let memory = self.core.memory();
            for it in accepted {
                if !memory.authorities.contains_key(&(self.project, it.client.key)) {
                    new.insert(it.client.key, &it.client.name);
                }
            }
        }
        for (key, name) in new {
            let sql = "INSERT INTO xapi_authority (project_id, key_id, name) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING";
            execute_sql(self.tx, sql, [self.project.0.into(), key.into(), name.into()]).await?;
            let (memory, project, name) = (self.core.memory.clone(), self.project, name.into());
            self.tx.after_commit(move || {
                let mut memory = memory.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                memory.authorities.insert((project, key), name);
            });
        }
        Ok(())
    }

    async fn write_files(
        &self,
        accepted: &[Accepted<'_>],
        files: &[&(String, Bytes)],
    ) -> Result<(), XapiError> {
        for (sha2, content) in files {
            let sql = "INSERT INTO xapi_attachment (project_id, sha2, content) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING";
            let values = [self.project.0.into(), sha2.as_str().into(), content.to_vec().into()];
            execute_sql(self.tx, sql, values).await?;
        }
        let uses = accepted.iter().flat_map(|it| it.statement.files.iter().map(|sha2| (sha2, it.stored)));
        let rows = uses.map(|(sha2, stored)| [self.project.0.into(), sha2.as_str().into(), stored.into()]);
        let head = "INSERT INTO xapi_attachment_use (project_id, sha2, stored) VALUES ";
        bulk(self.tx, head, rows.collect(), " ON CONFLICT DO NOTHING").await?;
        Ok(())
    }

    /// The events that new statements are, but for those that are voided already.
    async fn events(
        &self,
        accepted: &[Accepted<'_>],
        voided: &HashSet<[u8; 16]>,
    ) -> Result<Vec<Event>, XapiError> {
        if self.core.parts.events.is_none() {
            return Ok(Vec::new());
        }
        let valid = accepted.iter().filter(|it| !voided.contains(&it.statement.id));
        let drafts: Vec<_> = valid.filter_map(|it| Some((it, it.statement.event.clone()?))).collect();
        let actors = drafts.iter().filter_map(|(it, _)| it.statement.actor.as_ref());
        let raw: Vec<_> = actors.map(|ifi| self.core.raw_person(self.project, ifi)).collect();
        let mut admitted = self.core.parts.gate.admit(self.tx, &raw).await?.into_iter();
        let events = drafts.into_iter().filter_map(|(it, draft)| {
            let admitted = it.statement.actor.as_ref().and_then(|_| admitted.next());
            draft.event(it.statement.id, Timestamp::from_micros(it.stored), admitted)
        });
        Ok(events.collect())
    }
}

/// The table of statements, when they are looked for by their ids: SQLite would go through all of a project as soon as it is
/// asked for several, because the order in which they lie begins with the project too.
pub(crate) fn by_id(tx: &Tx) -> &'static str {
    match Dialect::of(tx) {
        Dialect::Sqlite => "xapi_statement INDEXED BY xapi_statement_id",
        Dialect::Postgres => "xapi_statement",
    }
}

fn note(
    done: &mut BTreeMap<Id<XapiKey>, Done>,
    command: &Command,
    answer: &Answer,
    accepted: &[Accepted<'_>],
) {
    let (statements, documents) = match answer {
        Ok(Outcome::Statements(stored)) if stored.new > 0 => (stored.new, 0),
        Ok(Outcome::Document) => (0, 1),
        _ => return,
    };
    let done = done.entry(command.client.key).or_default();
    done.statements += statements;
    done.documents += documents;
    if let Some(id) = command.client.request_id.as_ref().filter(|_| done.requests.len() < REQUESTS_NAMED_MAX)
    {
        done.requests.push(id.clone());
    }
    for it in &accepted[accepted.len() - statements..] {
        if let Some(target) = it.statement.references.target.filter(|_| it.statement.references.is_voiding) {
            done.voided.push(value::uuid_text(&target));
        }
    }
}

pub(crate) fn id_value(id: [u8; 16]) -> Value {
    Id::<()>::from_bytes(id).into()
}
