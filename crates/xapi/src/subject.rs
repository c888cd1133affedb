//! What the store keeps of people, for whoever exports and erases it.

use std::collections::BTreeSet;
use std::sync::Arc;

use async_trait::async_trait;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use belvedere_kernel::{
    Entry, KeyOwner, ProjectId, SubjectData, SubjectDataError, SubjectId, SubjectRecords,
};
use belvedere_storage::{Sql, StorageError, Tx, execute_sql, query_sql};
use serde_json::json;

use crate::XapiError;
use crate::commit::{lock_project, update_project};
use crate::core::Core;
use crate::posting::{Range, Term, Union, next_common};
use crate::value::random_uuid;

/// Records of one page of an export.
const PAGE: usize = 100;

/// Statements: an erasure leaves them and takes away whom they are about, so that courses keep their numbers.
pub(crate) struct StatementData {
    pub(crate) core: Arc<Core>,
}

/// Documents of one kind: an erasure removes them.
pub(crate) struct DocumentData {
    pub(crate) core: Arc<Core>,
    pub(crate) kind: i64,
    pub(crate) name: &'static str,
}

fn failed(what: &'static str) -> impl Fn(XapiError) -> SubjectDataError {
    move |error| SubjectDataError { what, why: error.to_string(), is_transient: error.is_transient() }
}

fn entry(project: ProjectId, subject: SubjectId, detail: serde_json::Value) -> Entry {
    Entry::of_erasure(("xapi", "xapi_subject_erased"), project, subject, detail)
}

impl StatementData {
    /// When statements were stored that name a subject, from `first` on; at most `limit`.
    async fn instants(
        &self,
        project: ProjectId,
        terms: &[Term<'_>],
        first: i64,
        limit: usize,
    ) -> Result<Vec<i64>, XapiError> {
        let keys: Vec<i64> = terms.iter().map(|term| term.key()).collect();
        let (db, range) = (self.core.parts.db.read(), Range { project, ascending: true });
        self.core.recents.renew(db, project).await?;
        let mut conditions = [Union::new(range, &keys, first, &self.core.recents)];
        let (mut instants, mut from) = (Vec::new(), first);
        while instants.len() < limit {
            let Some(at) = next_common(db, range, &mut conditions, from).await? else { break };
            instants.push(at);
            from = at + 1;
        }
        Ok(instants)
    }

    /// The wordings of a subject that can still be read.
    async fn wordings(&self, project: ProjectId, subject: SubjectId) -> Result<Vec<i64>, XapiError> {
        let sql = "SELECT agent_id FROM xapi_agent WHERE project_id = $1 AND subject_id = $2 AND sealed IS NOT NULL";
        let rows = query_sql(self.core.parts.db.read(), sql, [project.0.into(), subject.0.into()]).await?;
        Ok(rows
            .iter()
            .map(|row| row.try_get_by_index(0))
            .collect::<Result<_, _>>()
            .map_err(StorageError::from)?)
    }

    async fn count_named(&self, project: ProjectId, subject: SubjectId) -> Result<u64, XapiError> {
        if self.wordings(project, subject).await?.is_empty() {
            return Ok(0);
        }
        let terms = [Term::Agent(subject), Term::RelatedAgent(subject)];
        Ok(self.instants(project, &terms, i64::MIN, usize::MAX).await?.len() as u64)
    }

    async fn forget(&self, project: ProjectId, subject: SubjectId) -> Result<u64, XapiError> {
        let count = self.count_named(project, subject).await?;
        let own = self.instants(project, &[Term::Agent(subject)], i64::MIN, usize::MAX).await?;
        let memory = self.core.memory.clone();
        self.core
            .parts
            .db
            .write(async |tx| {
                let mut row = lock_project(tx, project).await?;
                let sql = "SELECT agent_id FROM xapi_agent WHERE project_id = $1 AND subject_id = $2 AND sealed IS NOT NULL";
                let agents = query_sql(tx, sql, [project.0.into(), subject.0.into()]).await?;
                for agent in &agents {
                    let agent: i64 = agent.try_get_by_index(0).map_err(StorageError::from)?;
                    let sql = "UPDATE xapi_agent SET sealed = NULL, form = $3 WHERE project_id = $1 AND agent_id = $2";
                    execute_sql(tx, sql, [project.0.into(), agent.into(), random_uuid().to_vec().into()]).await?;
                }
                let files = forget_files(tx, project, &own).await?;
                if agents.is_empty() && files == 0 {
                    return Ok(());
                }
                row.generation += 1;
                update_project(tx, project, row).await?;
                let detail = json!({ "statements_pseudonymised": count, "attachments_deleted": files });
                self.core.parts.audit.record(tx, entry(project, subject, detail)).await?;
                tx.after_commit(move || {
                    memory.lock().unwrap_or_else(std::sync::PoisonError::into_inner).agents.clear();
                });
                Ok::<_, XapiError>(())
            })
            .await?;
        Ok(count)
    }
}

/// Removes the files of statements that nobody else's statement claims; how many.
async fn forget_files(tx: &Tx, project: ProjectId, instants: &[i64]) -> Result<u64, XapiError> {
    let mut sql = Sql::new(tx, "SELECT sha2 FROM xapi_attachment_use WHERE project_id = ");
    sql.bind(project.0).push(" AND stored");
    let rows = sql.fetch_in(tx, instants).await?;
    let claimed = rows.iter().map(|row| row.try_get_by_index(0)).collect::<Result<BTreeSet<String>, _>>();
    let claimed = claimed.map_err(StorageError::from)?;
    let mut sql = Sql::new(tx, "DELETE FROM xapi_attachment_use WHERE project_id = ");
    sql.bind(project.0).push(" AND stored");
    sql.execute_in(tx, instants).await?;
    let mut count = 0;
    for sha2 in claimed {
        let sql = "DELETE FROM xapi_attachment WHERE project_id = $1 AND sha2 = $2 AND NOT EXISTS \
                   (SELECT 1 FROM xapi_attachment_use WHERE project_id = $1 AND sha2 = $2)";
        count += execute_sql(tx, sql, [project.0.into(), sha2.into()]).await?;
    }
    Ok(count)
}

#[async_trait]
impl SubjectData for StatementData {
    fn name(&self) -> &'static str {
        "xapi statements"
    }

    async fn export(
        &self,
        project: ProjectId,
        subject: SubjectId,
        after: Option<String>,
    ) -> Result<SubjectRecords, SubjectDataError> {
        let first = after
            .and_then(|after| after.parse::<i64>().ok())
            .map_or(i64::MIN, |after| after.saturating_add(1));
        let read = async {
            if self.wordings(project, subject).await?.is_empty() {
                return Ok(SubjectRecords::default());
            }
            let terms = [Term::Agent(subject), Term::RelatedAgent(subject)];
            let instants = self.instants(project, &terms, first, PAGE).await?;
            let next = instants.last().filter(|_| instants.len() == PAGE).map(ToString::to_string);
            let texts = self.core.texts_at(project, instants).await?;
            let records = texts.iter().filter_map(|(_, text)| serde_json::from_str(text).ok()).collect();
            Ok(SubjectRecords { records, next })
        };
        read.await.map_err(failed(self.name()))
    }

    async fn erase(&self, project: ProjectId, subject: SubjectId) -> Result<u64, SubjectDataError> {
        self.forget(project, subject).await.map_err(failed(self.name()))
    }

    async fn count(&self, project: ProjectId, subject: SubjectId) -> Result<u64, SubjectDataError> {
        self.count_named(project, subject).await.map_err(failed(self.name()))
    }
}

impl DocumentData {
    async fn page(
        &self,
        project: ProjectId,
        subject: SubjectId,
        offset: i64,
    ) -> Result<SubjectRecords, XapiError> {
        let sql = "SELECT activity_id, registration, document_id, content_type, content, updated_at FROM xapi_document \
                   WHERE project_id = $1 AND kind = $2 AND subject_id = $3 \
                   ORDER BY activity_id, registration, document_id LIMIT $4 OFFSET $5";
        let limit = i64::try_from(PAGE).unwrap_or(i64::MAX);
        let values = [project.0.into(), self.kind.into(), subject.0.into(), limit.into(), offset.into()];
        let rows = query_sql(self.core.parts.db.read(), sql, values).await?;
        let mut records = Vec::with_capacity(rows.len());
        for row in &rows {
            let text = |index: usize| row.try_get_by_index::<String>(index).map_err(StorageError::from);
            let sealed: Vec<u8> = row.try_get_by_index(4).map_err(StorageError::from)?;
            let updated_at: belvedere_storage::Timestamp =
                row.try_get_by_index(5).map_err(StorageError::from)?;
            let content = self.core.parts.vault.open(KeyOwner::Subject(project, subject), &sealed).await?;
            let content = match String::from_utf8(content) {
                Ok(text) => json!({ "text": text }),
                Err(error) => json!({ "base64": BASE64_STANDARD.encode(error.as_bytes()) }),
            };
            records.push(json!({
                "activity": text(0)?, "registration": text(1)?, "id": text(2)?, "content_type": text(3)?,
                "content": content, "updated_at": updated_at,
            }));
        }
        let next = (rows.len() == PAGE).then(|| (offset + limit).to_string());
        Ok(SubjectRecords { records, next })
    }

    async fn remove(&self, project: ProjectId, subject: SubjectId) -> Result<u64, XapiError> {
        self.core
            .parts
            .db
            .write(async |tx| {
                let sql = "DELETE FROM xapi_document WHERE project_id = $1 AND kind = $2 AND subject_id = $3";
                let values = [project.0.into(), self.kind.into(), subject.0.into()];
                let count = execute_sql(tx, sql, values).await?;
                if count > 0 {
                    let detail = json!({ "documents_deleted": count, "of": self.name });
                    self.core.parts.audit.record(tx, entry(project, subject, detail)).await?;
                }
                Ok(count)
            })
            .await
    }

    async fn count_all(&self, project: ProjectId, subject: SubjectId) -> Result<u64, XapiError> {
        let sql =
            "SELECT COUNT(*) FROM xapi_document WHERE project_id = $1 AND kind = $2 AND subject_id = $3";
        let values = [project.0.into(), self.kind.into(), subject.0.into()];
        let rows = query_sql(self.core.parts.db.read(), sql, values).await?;
        let count =
            rows.first().map(|row| row.try_get_by_index::<i64>(0)).transpose().map_err(StorageError::from)?;
        Ok(count.unwrap_or(0).unsigned_abs())
    }
}

#[async_trait]
impl SubjectData for DocumentData {
    fn name(&self) -> &'static str {
        self.name
    }

    async fn export(
        &self,
        project: ProjectId,
        subject: SubjectId,
        after: Option<String>,
    ) -> Result<SubjectRecords, SubjectDataError> {
        let offset = after.and_then(|after| after.parse().ok()).unwrap_or(0);
        self.page(project, subject, offset).await.map_err(failed(self.name))
    }

    async fn erase(&self, project: ProjectId, subject: SubjectId) -> Result<u64, SubjectDataError> {
        self.remove(project, subject).await.map_err(failed(self.name))
    }

    async fn count(&self, project: ProjectId, subject: SubjectId) -> Result<u64, SubjectDataError> {
        self.count_all(project, subject).await.map_err(failed(self.name))
    }
}
