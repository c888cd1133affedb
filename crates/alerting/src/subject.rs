//! The deliveries about people, for whoever exports and erases them.

use std::sync::Arc;

use async_trait::async_trait;
use belvedere_kernel::{Entry, ProjectId, SubjectData, SubjectDataError, SubjectId, SubjectRecords};
use belvedere_storage::StorageError;
use serde_json::{Value, json};

use crate::model::DeliveryId;
use crate::service::Core;
use crate::store;

const NAME: &str = "webhook deliveries";

/// Records of one page of an export.
const PAGE: usize = 100;

/// What was told of people, or is about to be. What receivers were told they keep or not; nobody can take that back.
pub(crate) struct DeliveryData(pub(crate) Arc<Core>);

fn failed(error: StorageError) -> SubjectDataError {
    SubjectDataError { what: NAME, is_transient: error.is_transient(), why: error.to_string() }
}

#[async_trait]
impl SubjectData for DeliveryData {
    fn name(&self) -> &'static str {
        NAME
    }

    async fn export(
        &self,
        project: ProjectId,
        subject: SubjectId,
        after: Option<String>,
    ) -> Result<SubjectRecords, SubjectDataError> {
        let after = match after {
            None => DeliveryId::from_bytes([0; 16]),
            Some(text) => {
                text.parse().map_err(|_| failed(StorageError::corrupt("not a place in this list")))?
            }
        };
        let db = self.0.parts.db.read();
        let rows = store::list_of_subject(db, project, subject, after, PAGE + 1).await.map_err(failed)?;
        let next = rows.get(PAGE - 1).filter(|_| rows.len() > PAGE).map(|(id, _)| id.to_string());
        let records = rows.iter().take(PAGE).map(|(id, body)| {
            let body: Value = serde_json::from_str(body).unwrap_or(Value::Null);
            json!({ "kind": "delivery", "id": id, "body": body })
        });
        Ok(SubjectRecords { records: records.collect(), next })
    }

    async fn erase(&self, project: ProjectId, subject: SubjectId) -> Result<u64, SubjectDataError> {
        let erased = self.0.parts.db.write(async |tx| {
            let rows = store::erase_subject(tx, project, subject).await?;
            if rows > 0 {
                let of = ("webhooks", "webhook_subject_erased");
                let detail = json!({ "rows_deleted": rows });
                let entry = Entry::of_erasure(of, project, subject, detail);
                self.0.parts.audit.record(tx, entry).await?;
            }
            Ok::<u64, StorageError>(rows)
        });
        erased.await.map_err(failed)
    }

    async fn count(&self, project: ProjectId, subject: SubjectId) -> Result<u64, SubjectDataError> {
        store::count_subject(self.0.parts.db.read(), project, subject).await.map_err(failed)
    }
}
