use belvedere_storage::Tx;
use sea_orm::ConnectionTrait;

use super::AccountsService;
use super::accounts::project_entry;
use crate::store::{ingest_keys, organisations};
use crate::{AccountsError, ClientInfo, IngestKeyInfo, Principal, Project};

/// The short name of the project that Belvedere reports its own errors into.
pub const OWN_PROJECT: &str = "belvedere-itself";

/// Who makes it.
const SELF_REPORT: &str = "self_report";

impl AccountsService {
    /// The project of the first organisation that Belvedere reports its own errors into, with its key; made with the
    /// first call. `None` as long as that organisation has no project of its own, and once the key was revoked. Safe to
    /// call from several processes at once.
    ///
    /// # Errors
    /// When the database cannot be read or written.
    pub async fn own_project(&self) -> Result<Option<(Project, IngestKeyInfo)>, AccountsError> {
        let found = match self.find_own_project(self.db.read()).await? {
            Some(found) => Some(found),
            None => self.db.write(async |tx| self.make_own_project_in(tx).await).await?,
        };
        Ok(found.filter(|(_, key)| key.revoked_at.is_none()))
    }

    async fn find_own_project(
        &self,
        connection: &impl ConnectionTrait,
    ) -> Result<Option<(Project, IngestKeyInfo)>, AccountsError> {
        let Some(organisation) = organisations::find_first(connection).await? else { return Ok(None) };
        let found = organisations::find_project_by_slug(connection, organisation.id, OWN_PROJECT).await?;
        let Some(project) = found else { return Ok(None) };
        let key = ingest_keys::find_first(connection, project.id).await?;
        Ok(key.map(|key| (project, key)))
    }

    /// Makes what is missing of the project and its key.
    async fn make_own_project_in(&self, tx: &Tx) -> Result<Option<(Project, IngestKeyInfo)>, AccountsError> {
        let Some(organisation) = organisations::find_first(tx).await? else { return Ok(None) };
        organisations::lock_in(tx, organisation.id).await?;
        if let Some(found) = self.find_own_project(tx).await? {
            return Ok(Some(found));
        }
        // The first project is the one that people make for their service.
        if organisations::count_projects(tx, organisation.id).await? == 0 {
            return Ok(None);
        }
        let principal = Principal::system(SELF_REPORT, organisation.id);
        let found = organisations::find_project_by_slug(tx, organisation.id, OWN_PROJECT).await?;
        let project = match found {
            Some(project) => project,
            None => {
                let project = Project {
                    id: organisations::next_project_in(tx).await?,
                    organisation: organisation.id,
                    slug: OWN_PROJECT.to_owned(),
                    name: "Belvedere itself".to_owned(),
                    time_zone: "UTC".to_owned(),
                    is_demo: false,
                    created_at: self.clock.now(),
                };
                organisations::insert_project_in(tx, &project).await?;
                let entry = super::entry(&principal, &ClientInfo::default(), "project_created");
                self.record_in(tx, project_entry(entry, &project)).await?;
                project
            }
        };
        let key = self.new_key(project.id, "Belvedere itself".to_owned());
        self.insert_key_in(tx, &principal, &key, &ClientInfo::default()).await?;
        Ok(Some((project, key)))
    }
}
