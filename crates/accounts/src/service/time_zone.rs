use belvedere_kernel::ProjectId;
use belvedere_storage::StorageError;

use super::AccountsService;
use crate::store::organisations;

impl AccountsService {
    /// The time zone of a project, whosever it is, for work that nobody asked for; `None` if it does not exist.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn time_zone(&self, project: ProjectId) -> Result<Option<String>, StorageError> {
        organisations::find_time_zone(self.db.read(), project).await
    }
}
