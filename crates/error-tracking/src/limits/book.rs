use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use belvedere_kernel::ProjectId;
use belvedere_storage::{StorageError, Timestamp};
use sea_orm::ConnectionTrait;

use super::{ProjectLimits, store};

/// How old remembered limits may be: so long may a change by another process go unnoticed.
const MAX_AGE: Duration = Duration::from_secs(5);

/// How many projects are remembered.
const REMEMBERED_MAX: usize = 10_000;

/// The limits of projects, remembered for a few seconds.
#[derive(Default)]
pub(crate) struct LimitsBook(Mutex<HashMap<ProjectId, (Arc<ProjectLimits>, Timestamp)>>);

impl LimitsBook {
    /// The limits of each of `projects`, at most 5 s old.
    pub(crate) async fn load(
        &self,
        connection: &impl ConnectionTrait,
        projects: &[ProjectId],
        now: Timestamp,
    ) -> Result<HashMap<ProjectId, Arc<ProjectLimits>>, StorageError> {
        let mut loaded = HashMap::with_capacity(projects.len());
        let mut missing = Vec::new();
        {
            let remembered = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            for project in projects {
                match remembered.get(project) {
                    Some((limits, at)) if *at <= now && now.since(*at) < MAX_AGE => {
                        loaded.insert(*project, Arc::clone(limits));
                    }
                    _ => missing.push(*project),
                }
            }
        }
        if missing.is_empty() {
            return Ok(loaded);
        }
        let mut stored = store::find_limits(connection, &missing).await?;
        let mut remembered = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if remembered.len() + missing.len() > REMEMBERED_MAX {
            remembered.clear();
        }
        for project in missing {
            let limits = Arc::new(stored.remove(&project).unwrap_or_default());
            remembered.insert(project, (Arc::clone(&limits), now));
            loaded.insert(project, limits);
        }
        Ok(loaded)
    }

    /// Forgets a project whose limits have changed.
    pub(super) fn forget(&self, project: ProjectId) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&project);
    }
}
