use async_trait::async_trait;
use belvedere_kernel::{Organisation, ProjectId, ProjectOwners};
use belvedere_storage::{Id, StorageError, Tx};

use crate::store::organisations;

/// The kernel's [`ProjectOwners`] as this slice's tables say it. It stands apart from the service, which needs the audit
/// log that asks it.
#[derive(Debug, Clone, Copy, Default)]
pub struct OwnersOfProjects;

#[async_trait]
impl ProjectOwners for OwnersOfProjects {
    async fn organisation_of(
        &self,
        tx: &Tx,
        project: ProjectId,
    ) -> Result<Option<Id<Organisation>>, StorageError> {
        organisations::find_owner(tx, project).await
    }
}
