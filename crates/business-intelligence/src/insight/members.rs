//! Who is in static cohorts, for whoever exports and erases a subject.

use std::sync::Arc;

use async_trait::async_trait;
use belvedere_kernel::{Entry, ProjectId, SubjectData, SubjectDataError, SubjectId, SubjectRecords};
use belvedere_storage::StorageError;
use serde_json::json;

use crate::service::BusinessParts;
use crate::store::{self, cohorts as rows};

const NAME: &str = "cohorts";

/// The static cohorts that a subject is in. They hold the numbers of the event store, so they are erased from before
/// the event store forgets whose number it was; what is left of a number afterwards stands for nobody.
pub(crate) struct CohortData(pub(crate) Arc<BusinessParts>);

fn failed(error: &StorageError) -> SubjectDataError {
    SubjectDataError { what: NAME, why: error.to_string(), is_transient: error.is_transient() }
}

impl CohortData {
    async fn number(&self, project: ProjectId, subject: SubjectId) -> Result<Option<u32>, SubjectDataError> {
        self.0.events.find_subject(project, subject).await.map_err(|error| SubjectDataError {
            what: NAME,
            why: error.to_string(),
            is_transient: error.is_transient(),
        })
    }

    /// The names of the cohorts with that number.
    async fn names(&self, project: ProjectId, number: u32) -> Result<Vec<String>, StorageError> {
        let (db, mut names) = (self.0.db.read(), Vec::new());
        for (id, name) in rows::list_static(db, project).await? {
            let members = rows::find_members(db, project, id).await?;
            names.extend(members.is_some_and(|members| members.contains(number)).then_some(name));
        }
        Ok(names)
    }
}

#[async_trait]
impl SubjectData for CohortData {
    fn name(&self) -> &'static str {
        NAME
    }

    async fn export(
        &self,
        project: ProjectId,
        subject: SubjectId,
        _after: Option<String>,
    ) -> Result<SubjectRecords, SubjectDataError> {
        let Some(number) = self.number(project, subject).await? else { return Ok(SubjectRecords::default()) };
        let names = self.names(project, number).await.map_err(|error| failed(&error))?;
        let records = names.into_iter().map(|name| json!({ "cohort": name })).collect();
        Ok(SubjectRecords { records, next: None })
    }

    async fn erase(&self, project: ProjectId, subject: SubjectId) -> Result<u64, SubjectDataError> {
        let Some(number) = self.number(project, subject).await? else { return Ok(0) };
        let erased = self.0.db.write(async |tx| {
            // Nobody freezes another one meanwhile.
            store::lock_project(tx, project).await?;
            let mut left = 0;
            for (id, _) in rows::list_static(tx, project).await? {
                let Some(mut members) = rows::find_members(tx, project, id).await? else { continue };
                if members.remove(number) {
                    rows::update_members(tx, project, id, &members).await?;
                    left += 1;
                }
            }
            if left > 0 {
                let detail = json!({ "cohorts_left": left });
                let entry =
                    Entry::of_erasure(("business", "cohort_subject_erased"), project, subject, detail);
                self.0.audit.record(tx, entry).await?;
            }
            Ok::<u64, StorageError>(left)
        });
        erased.await.map_err(|error| failed(&error))
    }

    async fn count(&self, project: ProjectId, subject: SubjectId) -> Result<u64, SubjectDataError> {
        let Some(number) = self.number(project, subject).await? else { return Ok(0) };
        let names = self.names(project, number).await.map_err(|error| failed(&error))?;
        Ok(names.len() as u64)
    }
}
