use belvedere_kernel::{IngestKey, ProjectId, User};
use belvedere_storage::{Id, Timestamp};

use crate::{Role, Scope, Secret, XapiScope};

/// An organisation to be made.
#[derive(Clone, PartialEq, Eq)]
pub struct NewOrganisation {
    /// Its name for people, 1 to 100 characters.
    pub name: String,
    /// Its name in addresses; made from the name if `None`.
    pub slug: Option<String>,
    /// Its owner's name, 1 to 100 characters.
    pub owner_name: String,
    /// Its owner's e-mail address; somebody who has an account with it becomes owner with that account.
    pub owner_email: String,
}

/// New values for an organisation; `None` leaves as it is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct OrganisationChange {
    /// Its name for people, 1 to 100 characters.
    pub name: Option<String>,
    /// Its name in addresses.
    pub slug: Option<String>,
}

/// A project to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewProject {
    /// Its name for people, 1 to 100 characters.
    pub name: String,
    /// Its name in addresses; made from the name if `None`.
    pub slug: Option<String>,
    /// IANA time zone, such as `Europe/Berlin` or `UTC`.
    pub time_zone: String,
    /// Whether it holds generated data.
    pub is_demo: bool,
}

/// New values for a project; `None` leaves as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProjectChange {
    /// Which project.
    pub project: ProjectId,
    /// Its name for people, 1 to 100 characters.
    pub name: Option<String>,
    /// Its name in addresses.
    pub slug: Option<String>,
    /// IANA time zone.
    pub time_zone: Option<String>,
}

/// An ingest key to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewIngestKey {
    /// The project that it sends to.
    pub project: ProjectId,
    /// What people call it, 1 to 100 characters.
    pub label: String,
    /// The most requests per minute, 1 to 1,000,000; `None` is unlimited.
    pub rate_limit_per_minute: Option<u32>,
    /// Origins from which browsers may send, at most 50; empty allows all.
    pub allowed_origins: Vec<String>,
}

/// New values for an ingest key; `None` leaves as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IngestKeyChange {
    /// Which key.
    pub key: Id<IngestKey>,
    /// What people call it, 1 to 100 characters.
    pub label: Option<String>,
    /// The most requests per minute; `Some(None)` takes the limit away.
    pub rate_limit_per_minute: Option<Option<u32>>,
    /// Origins from which browsers may send, at most 50; empty allows all.
    pub allowed_origins: Option<Vec<String>>,
}

/// An API token to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewApiToken {
    /// What people call it, 1 to 100 characters.
    pub label: String,
    /// What it may do; at least one.
    pub scopes: Vec<Scope>,
    /// When it stops working by itself, in the future; `None` is never.
    pub expires_at: Option<Timestamp>,
}

/// A member's new role.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RoleChange {
    /// Which member.
    pub user: Id<User>,
    /// What they may do from now on.
    pub role: Role,
}

/// An invitation to be made.
#[derive(Clone, PartialEq, Eq)]
pub struct NewInvite {
    /// The e-mail address with which the invited will sign in.
    pub email: String,
    /// What they may do.
    pub role: Role,
}

/// The answer to an invitation.
#[derive(Clone, PartialEq, Eq)]
pub struct AcceptInvite {
    /// The last part of the link's address.
    pub secret: Secret,
    /// What to be called, 1 to 100 characters; ignored for those who have an account.
    pub name: String,
    /// The new password, or the present one of those who have an account.
    pub password: Secret,
}

/// One's own new name or e-mail address; `None` leaves as it is.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct ProfileChange {
    /// What to be called, 1 to 100 characters.
    pub name: Option<String>,
    /// The e-mail address with which to sign in.
    pub email: Option<String>,
    /// The present password, wanted for a new e-mail address from those who have one.
    pub password: Option<Secret>,
}

/// One's own new password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PasswordChange {
    /// The present one, wanted from those who have one.
    pub current: Option<Secret>,
    /// The new one, 12 to 200 characters.
    pub new: Secret,
}

/// A key of the xAPI record store to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewXapiKey {
    /// The project whose store it opens.
    pub project: ProjectId,
    /// What people call it, 1 to 100 characters; the authority of what it stores has this name.
    pub label: String,
    /// What it may do; at least one.
    pub scopes: Vec<XapiScope>,
}
