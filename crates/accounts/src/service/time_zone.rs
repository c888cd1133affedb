use std::time::Duration;

use belvedere_kernel::{Lately, ProjectId};
use belvedere_storage::StorageError;

use super::AccountsService;
use crate::store::organisations;

/// How long a time zone that was read is taken for true: every append of events asks for it. A change in this process is
/// seen at once.
const FRESH: Duration = Duration::from_secs(5);

/// The most projects of which it is remembered.
const REMEMBERED_MAX: usize = 10_000;

/// The time zones of projects; none of those that do not exist.
pub(super) type Zones = Lately<ProjectId, Option<String>>;

pub(super) fn zones() -> Zones {
    Lately::new(FRESH, REMEMBERED_MAX)
}

impl AccountsService {
    /// The time zone of a project, whosever it is, for work that nobody asked for; `None` if it does not exist. A change
    /// that another process made is seen within 5 s.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn time_zone(&self, project: ProjectId) -> Result<Option<String>, StorageError> {
        let now = self.clock.now();
        if let Some(known) = self.zones.find(&project, now) {
            return Ok(known);
        }
        let zone = organisations::find_time_zone(self.db.read(), project).await?;
        self.zones.keep(project, now, zone.clone());
        Ok(zone)
    }
}
