use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use belvedere_kernel::ProjectId;
use belvedere_storage::{StorageError, Timestamp};

use super::AccountsService;
use crate::store::organisations;

/// How long a time zone that was read is taken for true: every append of events asks for it. A change in this process is
/// seen at once.
const FRESH: Duration = Duration::from_secs(5);

/// The most projects of which it is remembered.
const REMEMBERED_MAX: usize = 10_000;

/// The time zones of projects that were read lately, and when.
#[derive(Default)]
pub(super) struct Zones(Mutex<HashMap<ProjectId, (Timestamp, Option<String>)>>);

impl Zones {
    pub(super) fn forget(&self, project: ProjectId) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&project);
    }

    fn find(&self, project: ProjectId, now: Timestamp) -> Option<Option<String>> {
        let zones = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (read_at, zone) = zones.get(&project)?;
        (now >= *read_at && now < read_at.plus(FRESH)).then(|| zone.clone())
    }

    fn remember(&self, project: ProjectId, now: Timestamp, zone: Option<String>) {
        let mut zones = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if zones.len() >= REMEMBERED_MAX {
            zones.clear();
        }
        zones.insert(project, (now, zone));
    }
}

impl AccountsService {
    /// The time zone of a project, whosever it is, for work that nobody asked for; `None` if it does not exist. A change
    /// that another process made is seen within 5 s.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn time_zone(&self, project: ProjectId) -> Result<Option<String>, StorageError> {
        let now = self.clock.now();
        if let Some(known) = self.zones.find(project, now) {
            return Ok(known);
        }
        let zone = organisations::find_time_zone(self.db.read(), project).await?;
        self.zones.remember(project, now, zone.clone());
        Ok(zone)
    }
}
