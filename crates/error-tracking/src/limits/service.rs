use std::sync::Arc;

use async_trait::async_trait;
use belvedere_kernel::{Entry, ProjectId, Target};
use serde_json::json;

use super::storage::DAY_SECONDS;
use super::{Category, ChangeLimits, Limits, ProjectLimits, StorageDay, StorageSum, store};
use crate::{ErrorTrackingError, ErrorTrackingService};

/// The most days of storage that are listed.
const DAYS_MAX: u32 = 90;

#[async_trait]
impl Limits for ErrorTrackingService {
    async fn find_limits(&self, project: ProjectId) -> Result<ProjectLimits, ErrorTrackingError> {
        let loaded = self.limits.load(self.db.read(), &[project], self.clock.now()).await?;
        Ok(loaded.get(&project).map(|limits| (**limits).clone()).unwrap_or_default())
    }

    async fn change_limits(&self, change: ChangeLimits) -> Result<(), ErrorTrackingError> {
        let limits = change.limits.checked()?;
        let internal = |error: serde_json::Error| ErrorTrackingError::Internal(error.to_string());
        let settings = serde_json::to_string(&limits).map_err(internal)?;
        self.db
            .write(async |tx| {
                let former = store::find_limits(tx, &[change.project]).await?;
                let former = former.get(&change.project).cloned().unwrap_or_default();
                if former == limits {
                    return Ok(());
                }
                store::set_limits_in(tx, change.project, settings, self.clock.now()).await?;
                let entry = Entry {
                    organisation: Some(change.organisation),
                    project: Some(change.project),
                    target: Some(Target { kind: "project", id: change.project.to_string() }),
                    request_id: change.request_id.clone(),
                    detail: json!({ "from": former, "to": limits }),
                    ..Entry::new(change.actor, "limits_changed")
                };
                self.audit.record(tx, entry).await?;
                let (book, project) = (Arc::clone(&self.limits), change.project);
                tx.after_commit(move || book.forget(project));
                Ok(())
            })
            .await
    }

    async fn sum_storage(&self, project: ProjectId) -> Result<Vec<StorageSum>, ErrorTrackingError> {
        Ok(store::sum_storage(self.db.read(), Some(project)).await?)
    }

    async fn list_storage_days(
        &self,
        project: ProjectId,
        days: u32,
    ) -> Result<Vec<StorageDay>, ErrorTrackingError> {
        let today = self.clock.now().as_seconds().div_euclid(DAY_SECONDS);
        let first = today - i64::from(days.clamp(1, DAYS_MAX)) + 1;
        Ok(store::list_storage_days(self.db.read(), project, first).await?)
    }

    async fn list_storage(&self) -> Result<Vec<StorageSum>, ErrorTrackingError> {
        Ok(store::sum_storage(self.db.read(), None).await?)
    }

    async fn list_usage(&self, project: ProjectId) -> Result<Vec<(Category, u64)>, ErrorTrackingError> {
        let first = crate::quota::month_start(self.clock.now()).as_seconds().div_euclid(3_600);
        Ok(store::list_usage(self.db.read(), project, first).await?)
    }
}
