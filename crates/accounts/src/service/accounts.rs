use std::sync::Arc;

use async_trait::async_trait;
use belvedere_kernel::{Actor, Entry, IngestKey, Organisation, ProjectId, User};
use belvedere_storage::{Id, Tx};
use sea_orm::ConnectionTrait;
use serde_json::json;

use super::{AccountsService, entry, limit, target, user_of};
use crate::entity::{organisation, user};
use crate::secret::random_public_key;
use crate::store::{ingest_keys, organisations, people};
use crate::{
    Accounts, AccountsError, ClientInfo, Conflict, FirstSteps, IngestKeyInfo, NewOrganisation, NewProject,
    OrganisationChange, OrganisationInfo, Permission, Principal, Project, ProjectChange, Role, fields,
};

const PROJECTS_MAX: u64 = 1_000;
const ORGANISATIONS_LISTED_MAX: u64 = 100;

/// Who makes the first organisation.
const FIRST_START: Actor = Actor::System("first_start");
const OPERATOR: Actor = Actor::System("operator");

#[async_trait]
impl Accounts for AccountsService {
    async fn first_steps(&self) -> Result<FirstSteps, AccountsError> {
        if let Some(found) = self.find_first_steps(self.db.read()).await? {
            return Ok(found);
        }
        self.db
            .write(async |tx| {
                organisations::lock_projects_in(tx).await?;
                match self.find_first_steps(tx).await? {
                    Some(found) => Ok(found),
                    None => self.take_first_steps_in(tx).await,
                }
            })
            .await
    }

    async fn create_organisation(
        &self,
        new: NewOrganisation,
    ) -> Result<(OrganisationInfo, Id<User>), AccountsError> {
        let name = fields::name("name", &new.name)?;
        let slug = fields::slug(new.slug.as_deref(), &name, "organisation")?;
        let owner_name = fields::name("owner_name", &new.owner_name)?;
        let email = fields::email("owner_email", &new.owner_email)?;
        self.db
            .write(async |tx| {
                if !organisations::is_slug_free(tx, &slug).await? {
                    return Err(Conflict::SlugTaken.into());
                }
                let organisation = self.insert_organisation_in(tx, OPERATOR, name, slug).await?;
                let owner = match people::find_user_by_email(tx, &self.lookup.email(&email)).await? {
                    Some(user) => user.id,
                    None => self.insert_user_in(tx, None, &owner_name, Some(&email), None).await?,
                };
                self.add_member_in(tx, OPERATOR, organisation.id, owner, Role::Owner).await?;
                Ok((organisation, owner))
            })
            .await
    }

    async fn find_organisation(
        &self,
        principal: &Principal,
    ) -> Result<Option<OrganisationInfo>, AccountsError> {
        Ok(organisations::find(self.db.read(), principal.organisation).await?)
    }

    async fn list_organisations(
        &self,
        principal: &Principal,
    ) -> Result<Vec<OrganisationInfo>, AccountsError> {
        match user_of(principal) {
            Some(user) => {
                Ok(organisations::list_of_user(self.db.read(), user, ORGANISATIONS_LISTED_MAX).await?)
            }
            None => Ok(self.find_organisation(principal).await?.into_iter().collect()),
        }
    }

    async fn update_organisation(
        &self,
        principal: &Principal,
        change: OrganisationChange,
        client: &ClientInfo,
    ) -> Result<OrganisationInfo, AccountsError> {
        principal.require(Permission::ManageOrganisation)?;
        let name = change.name.map(|name| fields::name("name", &name)).transpose()?;
        let slug = change.slug.map(|slug| fields::slug(Some(&slug), "", "")).transpose()?;
        self.db
            .write(async |tx| {
                organisations::lock_in(tx, principal.organisation).await?;
                let Some(old) = organisations::find(tx, principal.organisation).await? else {
                    return Err(AccountsError::NotFound("organisation"));
                };
                let new = OrganisationInfo {
                    id: old.id,
                    slug: slug.unwrap_or_else(|| old.slug.clone()),
                    name: name.unwrap_or_else(|| old.name.clone()),
                };
                if new.slug != old.slug && !organisations::is_slug_free(tx, &new.slug).await? {
                    return Err(Conflict::SlugTaken.into());
                }
                organisations::update_in(tx, &new).await?;
                let detail = json!({"from": {"slug": old.slug, "name": old.name}, "to": {"slug": new.slug, "name": new.name}});
                let target = target("organisation", new.id);
                let entry = Entry { target, detail, ..entry(principal, client, "organisation_updated") };
                self.record_in(tx, entry).await?;
                Ok(new)
            })
            .await
    }

    async fn list_projects(&self, principal: &Principal) -> Result<Vec<Project>, AccountsError> {
        principal.require(Permission::ViewProjects)?;
        Ok(organisations::list_projects(self.db.read(), principal.organisation, PROJECTS_MAX).await?)
    }

    async fn find_project(
        &self,
        principal: &Principal,
        project: ProjectId,
    ) -> Result<Option<Project>, AccountsError> {
        principal.require(Permission::ViewProjects)?;
        Ok(organisations::find_project(self.db.read(), project, principal.organisation).await?)
    }

    async fn create_project(
        &self,
        principal: &Principal,
        new: NewProject,
        client: &ClientInfo,
    ) -> Result<Project, AccountsError> {
        principal.require(Permission::ManageProjects)?;
        let name = fields::name("name", &new.name)?;
        let slug = fields::slug(new.slug.as_deref(), &name, "project")?;
        let time_zone = fields::time_zone(&new.time_zone)?;
        self.db
            .write(async |tx| {
                organisations::lock_in(tx, principal.organisation).await?;
                if organisations::find(tx, principal.organisation).await?.is_none() {
                    return Err(AccountsError::NotFound("organisation"));
                }
                let count = organisations::count_projects(tx, principal.organisation).await?;
                limit("projects", PROJECTS_MAX, count)?;
                if !organisations::is_project_slug_free(tx, principal.organisation, &slug).await? {
                    return Err(Conflict::SlugTaken.into());
                }
                let project = Project {
                    id: organisations::next_project_in(tx).await?,
                    organisation: principal.organisation,
                    slug,
                    name,
                    time_zone,
                    is_demo: new.is_demo,
                    created_at: self.clock.now(),
                };
                organisations::insert_project_in(tx, &project).await?;
                self.record_in(tx, project_entry(entry(principal, client, "project_created"), &project))
                    .await?;
                Ok(project)
            })
            .await
    }

    async fn update_project(
        &self,
        principal: &Principal,
        change: ProjectChange,
        client: &ClientInfo,
    ) -> Result<Project, AccountsError> {
        principal.require(Permission::ManageProjects)?;
        let name = change.name.map(|name| fields::name("name", &name)).transpose()?;
        let slug = change.slug.map(|slug| fields::slug(Some(&slug), "", "")).transpose()?;
        let time_zone = change.time_zone.map(|zone| fields::time_zone(&zone)).transpose()?;
        self.db
            .write(async |tx| {
                organisations::lock_in(tx, principal.organisation).await?;
                let Some(old) =
                    organisations::find_project(tx, change.project, principal.organisation).await?
                else {
                    return Err(AccountsError::NotFound("project"));
                };
                let new = Project {
                    name: name.unwrap_or_else(|| old.name.clone()),
                    slug: slug.unwrap_or_else(|| old.slug.clone()),
                    time_zone: time_zone.unwrap_or_else(|| old.time_zone.clone()),
                    ..old.clone()
                };
                let is_slug_new = new.slug != old.slug;
                if is_slug_new
                    && !organisations::is_project_slug_free(tx, new.organisation, &new.slug).await?
                {
                    return Err(Conflict::SlugTaken.into());
                }
                organisations::update_project_in(tx, &new).await?;
                let mut entry = project_entry(entry(principal, client, "project_updated"), &new);
                entry.detail = json!({"from": shown(&old), "to": shown(&new)});
                self.record_in(tx, entry).await?;
                let (zones, project) = (Arc::clone(&self.zones), new.id);
                tx.after_commit(move || zones.forget(&project));
                Ok(new)
            })
            .await
    }
}

impl AccountsService {
    async fn find_first_steps(
        &self,
        connection: &impl ConnectionTrait,
    ) -> Result<Option<FirstSteps>, AccountsError> {
        let Some(organisation) = organisations::find_first(connection).await? else { return Ok(None) };
        let owner = people::find_first_owner(connection, organisation.id).await?;
        let project = organisations::list_projects(connection, organisation.id, 1).await?.pop();
        let (Some(owner), Some(project)) = (owner, project) else { return Ok(None) };
        let key = ingest_keys::find_first(connection, project.id).await?;
        Ok(key.map(|key| FirstSteps { organisation, project, key, owner, is_new: false }))
    }

    /// Makes what is missing of an organisation, an owner, a project and a key.
    async fn take_first_steps_in(&self, tx: &Tx) -> Result<FirstSteps, AccountsError> {
        let organisation = match organisations::find_first(tx).await? {
            Some(found) => found,
            None => {
                let (name, slug) = ("My organisation".to_owned(), "my-organisation".to_owned());
                self.insert_organisation_in(tx, FIRST_START, name, slug).await?
            }
        };
        let owner = match people::find_first_owner(tx, organisation.id).await? {
            Some(found) => found,
            None => {
                let owner = self.insert_user_in(tx, None, "Owner", None, None).await?;
                self.add_member_in(tx, FIRST_START, organisation.id, owner, Role::Owner).await?;
                owner
            }
        };
        let principal = Principal::system("first_start", organisation.id);
        let project = match organisations::list_projects(tx, organisation.id, 1).await?.pop() {
            Some(found) => found,
            None => self.insert_first_project_in(tx, &principal).await?,
        };
        let key = match ingest_keys::find_first(tx, project.id).await? {
            Some(found) => found,
            None => {
                let key = self.new_key(project.id, "First key".to_owned());
                self.insert_key_in(tx, &principal, &key, &ClientInfo::default()).await?;
                key
            }
        };
        Ok(FirstSteps { organisation, project, key, owner, is_new: true })
    }

    async fn insert_first_project_in(
        &self,
        tx: &Tx,
        principal: &Principal,
    ) -> Result<Project, AccountsError> {
        let project = Project {
            id: organisations::next_project_in(tx).await?,
            organisation: principal.organisation,
            slug: "my-project".to_owned(),
            name: "My project".to_owned(),
            time_zone: "UTC".to_owned(),
            is_demo: false,
            created_at: self.clock.now(),
        };
        organisations::insert_project_in(tx, &project).await?;
        let entry = entry(principal, &ClientInfo::default(), "project_created");
        self.record_in(tx, project_entry(entry, &project)).await?;
        Ok(project)
    }

    async fn insert_organisation_in(
        &self,
        tx: &Tx,
        actor: Actor,
        name: String,
        slug: String,
    ) -> Result<OrganisationInfo, AccountsError> {
        let now = self.clock.now();
        let row = organisation::Model { id: Id::generate(now), slug, name, created_at: now };
        let organisation = organisations::insert_in(tx, row).await?;
        let entry = Entry {
            organisation: Some(organisation.id),
            target: target("organisation", organisation.id),
            detail: json!({"slug": organisation.slug, "name": organisation.name}),
            ..Entry::new(actor, "organisation_created")
        };
        self.record_in(tx, entry).await?;
        Ok(organisation)
    }

    /// Makes an account with its name and e-mail address sealed; under `id` if that is given.
    pub(super) async fn insert_user_in(
        &self,
        tx: &Tx,
        id: Option<Id<User>>,
        name: &str,
        email: Option<&str>,
        password_hash: Option<String>,
    ) -> Result<Id<User>, AccountsError> {
        let now = self.clock.now();
        let id = id.unwrap_or_else(|| Id::generate(now));
        let name_sealed = self.seal_in(tx, id, name).await?;
        let email_sealed = match email {
            Some(email) => Some(self.seal_in(tx, id, email).await?),
            None => None,
        };
        let email_lookup = email.map(|email| self.lookup.email(email));
        let row = user::Model { id, email_lookup, email_sealed, name_sealed, password_hash, created_at: now };
        people::insert_user_in(tx, row).await?;
        Ok(id)
    }

    /// Makes `user` a member, with the entry that says so.
    pub(super) async fn add_member_in(
        &self,
        tx: &Tx,
        actor: Actor,
        organisation: Id<Organisation>,
        user: Id<User>,
        role: Role,
    ) -> Result<(), AccountsError> {
        people::insert_member_in(tx, organisation, user, role, self.clock.now()).await?;
        let entry = Entry {
            organisation: Some(organisation),
            target: target("user", user),
            detail: json!({"role": role}),
            ..Entry::new(actor, "member_added")
        };
        self.record_in(tx, entry).await
    }

    pub(super) fn new_key(&self, project: ProjectId, label: String) -> IngestKeyInfo {
        let now = self.clock.now();
        IngestKeyInfo {
            id: Id::<IngestKey>::generate(now),
            project,
            public_key: random_public_key(),
            label,
            rate_limit_per_minute: None,
            allowed_origins: Vec::new(),
            created_at: now,
            revoked_at: None,
        }
    }
}

pub(super) fn project_entry(entry: Entry, project: &Project) -> Entry {
    Entry {
        project: Some(project.id),
        target: target("project", project.id),
        detail: shown(project),
        ..entry
    }
}

fn shown(project: &Project) -> serde_json::Value {
    json!({"slug": project.slug, "name": project.name, "time_zone": project.time_zone})
}
