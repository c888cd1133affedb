//! What is kept of customers, for whoever exports and erases it.

use std::sync::Arc;

use async_trait::async_trait;
use belvedere_kernel::{Entry, ProjectId, SubjectData, SubjectDataError, SubjectId, SubjectRecords};
use serde_json::json;

use crate::service::BusinessParts;
use crate::{BusinessError, store};

const NAME: &str = "revenue";

/// Events of subscriptions, movements and charges. An erasure removes the events; movements and charges are added to sums of
/// an hour that name nobody, so that totals stay.
pub(crate) struct CustomerData(pub(crate) Arc<BusinessParts>);

fn failed(error: impl Into<BusinessError>) -> SubjectDataError {
    let error = error.into();
    SubjectDataError { what: NAME, why: error.to_string(), is_transient: error.is_transient() }
}

#[async_trait]
impl SubjectData for CustomerData {
    fn name(&self) -> &'static str {
        NAME
    }

    async fn export(
        &self,
        project: ProjectId,
        subject: SubjectId,
        _after: Option<String>,
    ) -> Result<SubjectRecords, SubjectDataError> {
        let db = self.0.db.read();
        // The events of a customer are bounded, and what follows from them is as well: one page.
        let mut events = store::load_events(db, project, &[subject]).await.map_err(failed)?;
        let mut own = events.remove(&subject).unwrap_or_default();
        own.sort_by_key(|event| (event.at, event.kind, event.id));
        let mut records: Vec<_> = own
            .into_iter()
            .map(|event| {
                json!({
                    "kind": "subscription_event", "at": event.at, "event": event.kind, "terms": event.terms,
                    "trial": event.is_trial, "ends_at": event.ends_at,
                })
            })
            .collect();
        records.extend(store::export_subject(db, project, subject).await.map_err(failed)?);
        Ok(SubjectRecords { records, next: None })
    }

    async fn erase(&self, project: ProjectId, subject: SubjectId) -> Result<u64, SubjectDataError> {
        let now = self.0.clock.now();
        let erased = self.0.db.write(async |tx| {
            // Nobody folds meanwhile, who would write back what was loaded before.
            store::lock_project(tx, project).await?;
            let rows = store::erase_subject(tx, project, subject, now).await?;
            if rows > 0 {
                let of = ("business", "business_subject_erased");
                let detail = json!({ "rows_deleted": rows });
                let entry = Entry::of_erasure(of, project, subject, detail);
                self.0.audit.record(tx, entry).await?;
            }
            Ok::<u64, BusinessError>(rows)
        });
        erased.await.map_err(failed)
    }

    async fn count(&self, project: ProjectId, subject: SubjectId) -> Result<u64, SubjectDataError> {
        store::count_subject(self.0.db.read(), project, subject).await.map_err(failed)
    }
}
