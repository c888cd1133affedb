//! What is kept of learners, for whoever exports and erases it.

use std::sync::Arc;

use async_trait::async_trait;
use belvedere_kernel::{Entry, ProjectId, SubjectData, SubjectDataError, SubjectId, SubjectRecords};
use serde_json::{Value, json};

use crate::service::Core;
use crate::store;
use crate::{LearningError, rebuild};

const NAME: &str = "learning progress";

/// Progress, skills, milestones and flags. The events themselves are the event store's.
pub(crate) struct LearnerData(pub(crate) Arc<Core>);

fn failed(error: impl Into<LearningError>) -> SubjectDataError {
    let error = error.into();
    SubjectDataError { what: NAME, why: error.to_string(), is_transient: error.is_transient() }
}

impl LearnerData {
    async fn records(&self, project: ProjectId, subject: SubjectId) -> Result<Vec<Value>, LearningError> {
        let db = self.0.parts.db.read();
        let kept = rebuild::read_kept(db, project, subject).await?;
        let sheet = kept.sheet;
        let mut records = Vec::new();
        records.extend(sheet.learners.values().map(|it| json!({ "kind": "learner", "state": it })));
        records.extend(sheet.places.iter().map(|((_, (course, lesson)), it)| {
            json!({ "kind": "progress", "course": course, "lesson": lesson, "state": it })
        }));
        records.extend(sheet.tried.iter().map(|((_, (course, exercise)), it)| {
            json!({ "kind": "exercise", "course": course, "exercise": exercise, "state": it })
        }));
        records.extend(
            sheet
                .skills
                .iter()
                .map(|((_, skill), it)| json!({ "kind": "skill", "skill": skill, "state": it })),
        );
        records.extend(kept.milestones.iter().map(|it| {
            let reached_at = it.reached_micros.map(belvedere_storage::Timestamp::from_micros);
            json!({ "kind": "milestone", "rule": it.rule, "course": it.course, "reached_at": reached_at })
        }));
        records.extend(store::list_flags_of(db, project, subject).await?.into_iter().map(|flag| {
            json!({
                "kind": "struggling", "skill": flag.skill, "flagged_at": flag.flagged_at,
                "onset_at": flag.onset_at, "cleared_at": flag.cleared_at, "feedback": flag.feedback,
            })
        }));
        Ok(records)
    }
}

#[async_trait]
impl SubjectData for LearnerData {
    fn name(&self) -> &'static str {
        NAME
    }

    async fn export(
        &self,
        project: ProjectId,
        subject: SubjectId,
        _after: Option<String>,
    ) -> Result<SubjectRecords, SubjectDataError> {
        // States are bounded, and as many as a learner has courses, lessons, exercises and skills: one page.
        let records = self.records(project, subject).await.map_err(failed)?;
        Ok(SubjectRecords { records, next: None })
    }

    async fn erase(&self, project: ProjectId, subject: SubjectId) -> Result<u64, SubjectDataError> {
        let erased = self.0.parts.db.write(async |tx| {
            // Nobody folds meanwhile, who would write back what was loaded before.
            store::lock_project(tx, project).await?;
            let mut rows = store::erase_subject(tx, project, subject).await?;
            // What waits counts for the sums of exercises, and for nobody.
            store::change_waiting(tx, project, |waiting| {
                let own = waiting.iter_mut().filter(|(of, _)| *of == Some(subject));
                let count = own.map(|(of, _)| *of = None).count() as u64;
                rows += count;
                count > 0
            })
            .await?;
            if rows > 0 {
                let of = ("learning", "learning_subject_erased");
                let detail = json!({ "rows_deleted": rows });
                let entry = Entry::of_erasure(of, project, subject, detail);
                self.0.parts.audit.record(tx, entry).await?;
            }
            Ok::<u64, LearningError>(rows)
        });
        erased.await.map_err(failed)
    }

    async fn count(&self, project: ProjectId, subject: SubjectId) -> Result<u64, SubjectDataError> {
        let db = self.0.parts.db.read();
        let rows = store::count_subject(db, project, subject).await.map_err(failed)?;
        let waiting = store::list_waiting_of(db, project, subject).await.map_err(failed)?;
        Ok(rows + waiting.len() as u64)
    }
}
