//! Who may do what: organisations, members, projects, ingest keys, API tokens and sessions.
//!
//! Invariants:
//! - No secret is stored: passwords as Argon2id, tokens, links and session cookies as SHA-256 of 256 random bits.
//! - Every change and every sign-in, refused ones included, is an audit entry in the same transaction.
//! - What a role or scope allows is decided in `permission.rs` and nowhere else.
//! - Another organisation's project, key, token or member is answered as if it did not exist.
//! - Names and e-mail addresses of the people who sign in are sealed by the [`belvedere_kernel::Vault`].
//!
//! A service that embeds Belvedere connects, migrates and asks:
//!
//! ```no_run
//! use std::sync::Arc;
//!
//! use belvedere_accounts::{Accounts as _, AccountsError, AccountsService, IngestKeys as _, SignIn as _};
//! use belvedere_kernel::{AuditSink, SystemClock, Vault};
//! use belvedere_storage::{Database, DatabaseConfig};
//!
//! # async fn start(audit: Arc<dyn AuditSink>, vault: Arc<dyn Vault>, lookup_key: [u8; 32]) -> Result<(), AccountsError> {
//! let db = Database::connect(&DatabaseConfig::new("sqlite://belvedere.db?mode=rwc")).await?;
//! db.migrate().await?;
//! let accounts = AccountsService::new(db, Arc::new(SystemClock), audit, vault, lookup_key);
//! let first = accounts.first_steps().await?;
//! let link = accounts.create_sign_in_link(first.owner).await?;
//! println!("sign in at /sign-in/link/{} and send to project {}", link.0, first.project.id);
//! assert!(accounts.find_ingest_key(&first.key.public_key).await?.is_some());
//! # Ok(())
//! # }
//! ```

mod arguments;
mod entity;
mod error;
mod fields;
mod key_cache;
mod model;
mod origin;
mod password;
mod permission;
mod secret;
mod service;
mod store;
#[cfg(test)]
mod tests;
mod throttle;

use std::sync::Arc;

use async_trait::async_trait;
use belvedere_kernel::{ApiToken, IngestKey, Organisation, ProjectId, User, XapiKey};
use belvedere_storage::{Id, Page, PageRequest};

pub use arguments::{
    AcceptInvite, IngestKeyChange, NewApiToken, NewIngestKey, NewInvite, NewOrganisation, NewProject,
    NewXapiKey, OrganisationChange, PasswordChange, ProfileChange, ProjectChange, RoleChange,
};
pub use error::{AccountsError, Conflict};
pub use model::{
    ApiTokenInfo, ClientInfo, FirstSteps, IngestKeyInfo, InviteInfo, InviteLink, Member, NewSession,
    OrganisationInfo, Principal, Project, Rights, Role, Scope, Secret, XapiKeyInfo, XapiScope,
};
pub use permission::Permission;
pub use service::{AccountsService, OWN_PROJECT, OwnersOfProjects};

/// Organisations and their projects.
#[async_trait]
pub trait Accounts: Send + Sync {
    /// Makes the first organisation, project, ingest key and owner if there is no organisation yet; otherwise finds
    /// the first ones. Safe to call from several processes at once.
    async fn first_steps(&self) -> Result<FirstSteps, AccountsError>;

    /// Makes an organisation with its owner, for the operator of the installation; not to be offered to clients.
    async fn create_organisation(
        &self,
        new: NewOrganisation,
    ) -> Result<(OrganisationInfo, Id<User>), AccountsError>;

    /// The organisation that `principal` acts in.
    async fn find_organisation(
        &self,
        principal: &Principal,
    ) -> Result<Option<OrganisationInfo>, AccountsError>;

    /// The organisations that the signed-in person is a member of, oldest membership first, at most 100.
    async fn list_organisations(&self, principal: &Principal)
    -> Result<Vec<OrganisationInfo>, AccountsError>;

    /// Renames the organisation; [`Permission::ManageOrganisation`].
    async fn update_organisation(
        &self,
        principal: &Principal,
        change: OrganisationChange,
        client: &ClientInfo,
    ) -> Result<OrganisationInfo, AccountsError>;

    /// The organisation's projects by number, all of them: at most 1,000; [`Permission::ViewProjects`].
    async fn list_projects(&self, principal: &Principal) -> Result<Vec<Project>, AccountsError>;

    /// One project; `None` also if it belongs to another organisation; [`Permission::ViewProjects`].
    async fn find_project(
        &self,
        principal: &Principal,
        project: ProjectId,
    ) -> Result<Option<Project>, AccountsError>;

    /// Makes a project, without keys; [`Permission::ManageProjects`].
    async fn create_project(
        &self,
        principal: &Principal,
        new: NewProject,
        client: &ClientInfo,
    ) -> Result<Project, AccountsError>;

    /// Changes a project's name, slug or time zone; [`Permission::ManageProjects`].
    async fn update_project(
        &self,
        principal: &Principal,
        change: ProjectChange,
        client: &ClientInfo,
    ) -> Result<Project, AccountsError>;
}

/// The people of an organisation.
#[async_trait]
pub trait Members: Send + Sync {
    /// The members in order of their accounts' age; [`Permission::ViewMembers`].
    async fn list_members(
        &self,
        principal: &Principal,
        page: PageRequest,
    ) -> Result<Page<Member>, AccountsError>;

    /// The signed-in person; `None` for a token.
    async fn find_self(&self, principal: &Principal) -> Result<Option<Member>, AccountsError>;

    /// Changes one's own name or e-mail address; the latter wants the password, if there is one.
    async fn update_self(
        &self,
        principal: &Principal,
        change: ProfileChange,
        client: &ClientInfo,
    ) -> Result<Member, AccountsError>;

    /// Gives a member another role and ends their sessions; [`Permission::ManageMembers`], and
    /// [`Permission::TransferOrganisation`] where the old or the new role is owner. Only owners may change their own.
    async fn set_role(
        &self,
        principal: &Principal,
        change: RoleChange,
        client: &ClientInfo,
    ) -> Result<(), AccountsError>;

    /// Takes a member out of the organisation, ends their sessions and revokes the tokens that they made. The same
    /// permissions as for [`Members::set_role`]; everybody may leave, except the last owner.
    async fn remove_member(
        &self,
        principal: &Principal,
        user: Id<User>,
        client: &ClientInfo,
    ) -> Result<(), AccountsError>;

    /// Makes a link by which one person can join within 7 days, once; [`Permission::ManageMembers`], and
    /// [`Permission::TransferOrganisation`] to invite an owner. The page behind it is `/join/<secret>`.
    async fn invite(
        &self,
        principal: &Principal,
        new: NewInvite,
        client: &ClientInfo,
    ) -> Result<InviteLink, AccountsError>;

    /// Invitations that can still be accepted, newest first; [`Permission::ManageMembers`].
    async fn list_invites(
        &self,
        principal: &Principal,
        page: PageRequest,
    ) -> Result<Page<InviteInfo>, AccountsError>;

    /// Makes an invitation worthless; [`Permission::ManageMembers`].
    async fn revoke_invite(
        &self,
        principal: &Principal,
        invite: Id<InviteInfo>,
        client: &ClientInfo,
    ) -> Result<(), AccountsError>;
}

/// Proving who one is, and for how long that holds.
#[async_trait]
pub trait SignIn: Send + Sync {
    /// Makes a link that signs `user` in once within 15 minutes, for the operator of the installation; not to be
    /// offered to clients. The page behind it is `/sign-in/link/<secret>`.
    async fn create_sign_in_link(&self, user: Id<User>) -> Result<Secret, AccountsError>;

    /// Signs in by such a link; [`AccountsError::LinkExpired`] if it was used, is too old or never existed.
    async fn sign_in_with_link(&self, secret: &str, client: &ClientInfo)
    -> Result<NewSession, AccountsError>;

    /// Signs in by e-mail address and password.
    ///
    /// Guesses are throttled per account and per client address with exponentially growing pauses
    /// ([`AccountsError::Throttled`]); an unknown account costs the same work as a wrong password and gives the same
    /// answer, [`AccountsError::WrongCredentials`].
    async fn sign_in_with_password(
        &self,
        email: &str,
        password: &str,
        client: &ClientInfo,
    ) -> Result<NewSession, AccountsError>;

    /// What an invitation is to, for the page behind its link; `None` when it cannot be accepted any more.
    async fn find_invite(&self, secret: &str) -> Result<Option<InviteInfo>, AccountsError>;

    /// Joins by an invitation and signs in. Somebody new chooses their password with it; somebody who has an account
    /// with that e-mail address proves it by its password.
    async fn accept_invite(
        &self,
        accept: AcceptInvite,
        client: &ClientInfo,
    ) -> Result<NewSession, AccountsError>;

    /// Sets the signed-in person's password, ends all their sessions and begins a new one. The current password is
    /// wanted if there is one.
    async fn set_password(
        &self,
        principal: &Principal,
        change: PasswordChange,
        client: &ClientInfo,
    ) -> Result<NewSession, AccountsError>;

    /// Begins a new session in another organisation of the signed-in person and ends the one of `secret`.
    async fn switch_organisation(
        &self,
        secret: &str,
        organisation: Id<Organisation>,
        client: &ClientInfo,
    ) -> Result<NewSession, AccountsError>;

    /// Ends the session of `secret`, if there is one.
    async fn sign_out(&self, secret: &str, client: &ClientInfo) -> Result<(), AccountsError>;

    /// Ends every session of the signed-in person.
    async fn sign_out_everywhere(
        &self,
        principal: &Principal,
        client: &ClientInfo,
    ) -> Result<(), AccountsError>;

    /// Who the cookie value `secret` belongs to; `None` if to nobody any more. A session ends 14 days after its last
    /// use and 90 days after its beginning.
    async fn authenticate_session(&self, secret: &str) -> Result<Option<Principal>, AccountsError>;

    /// Who the API token `token` belongs to; `None` if it is unknown, revoked or expired.
    async fn authenticate_token(&self, token: &str) -> Result<Option<Principal>, AccountsError>;

    /// Writes into the audit log that `principal` was refused for want of `permission`. The edge that answers a
    /// request calls it for every [`AccountsError::Forbidden`] and every failed [`Principal::require`], once.
    async fn record_denied(
        &self,
        principal: &Principal,
        permission: Permission,
        client: &ClientInfo,
    ) -> Result<(), AccountsError>;
}

/// The keys by which SDKs send.
#[async_trait]
pub trait IngestKeys: Send + Sync {
    /// The working key of these 32 hexadecimal digits; `None` if unknown or revoked.
    ///
    /// For the hot path: answered from memory, at most 5 s behind other processes and at once after a change by this
    /// one. While the database is away, keys that were known before go on working.
    async fn find_ingest_key(&self, public_key: &str) -> Result<Option<Arc<IngestKeyInfo>>, AccountsError>;

    /// A project's keys, newest first, revoked ones included; [`Permission::ViewKeys`].
    async fn list_ingest_keys(
        &self,
        principal: &Principal,
        project: ProjectId,
        page: PageRequest,
    ) -> Result<Page<IngestKeyInfo>, AccountsError>;

    /// Makes a key; at most 100 working ones per project; [`Permission::ManageKeys`].
    async fn create_ingest_key(
        &self,
        principal: &Principal,
        new: NewIngestKey,
        client: &ClientInfo,
    ) -> Result<IngestKeyInfo, AccountsError>;

    /// Changes a key's label, rate limit or origins; [`Permission::ManageKeys`].
    async fn update_ingest_key(
        &self,
        principal: &Principal,
        change: IngestKeyChange,
        client: &ClientInfo,
    ) -> Result<IngestKeyInfo, AccountsError>;

    /// Makes a key stop working for good; again is no error; [`Permission::ManageKeys`].
    async fn revoke_ingest_key(
        &self,
        principal: &Principal,
        key: Id<IngestKey>,
        client: &ClientInfo,
    ) -> Result<(), AccountsError>;
}

/// The tokens by which programs use the API.
#[async_trait]
pub trait ApiTokens: Send + Sync {
    /// The organisation's tokens, newest first, expired and revoked ones included; [`Permission::ManageTokens`].
    async fn list_api_tokens(
        &self,
        principal: &Principal,
        page: PageRequest,
    ) -> Result<Page<ApiTokenInfo>, AccountsError>;

    /// Makes a token and shows its secret this once; at most 200 working ones per organisation;
    /// [`Permission::ManageTokens`].
    async fn create_api_token(
        &self,
        principal: &Principal,
        new: NewApiToken,
        client: &ClientInfo,
    ) -> Result<(ApiTokenInfo, Secret), AccountsError>;

    /// Makes a token stop working for good; again is no error; [`Permission::ManageTokens`].
    async fn revoke_api_token(
        &self,
        principal: &Principal,
        token: Id<ApiToken>,
        client: &ClientInfo,
    ) -> Result<(), AccountsError>;
}

/// The keys by which learning tools use the xAPI record store of a project.
#[async_trait]
pub trait XapiKeys: Send + Sync {
    /// The working key of these 32 hexadecimal digits whose secret this is; `None` if there is none.
    ///
    /// For the hot path: answered from memory as [`IngestKeys::find_ingest_key`] is.
    async fn authenticate_xapi_key(
        &self,
        public_key: &str,
        secret: &str,
    ) -> Result<Option<Arc<XapiKeyInfo>>, AccountsError>;

    /// A project's keys, newest first, revoked ones included; [`Permission::ViewKeys`].
    async fn list_xapi_keys(
        &self,
        principal: &Principal,
        project: ProjectId,
        page: PageRequest,
    ) -> Result<Page<XapiKeyInfo>, AccountsError>;

    /// Makes a key and shows its secret this once; at most 100 working ones per project; [`Permission::ManageKeys`].
    async fn create_xapi_key(
        &self,
        principal: &Principal,
        new: NewXapiKey,
        client: &ClientInfo,
    ) -> Result<(XapiKeyInfo, Secret), AccountsError>;

    /// Makes a key stop working for good; again is no error; [`Permission::ManageKeys`].
    async fn revoke_xapi_key(
        &self,
        principal: &Principal,
        key: Id<XapiKey>,
        client: &ClientInfo,
    ) -> Result<(), AccountsError>;

    /// Writes into the audit log that `key` was refused something for want of a scope.
    async fn record_xapi_denied(&self, key: &XapiKeyInfo, client: &ClientInfo) -> Result<(), AccountsError>;
}
