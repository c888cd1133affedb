use std::str::FromStr;

use belvedere_kernel::{Actor, ApiToken, IngestKey, Organisation, ProjectId, User, XapiKey};
use belvedere_storage::{Id, Timestamp};
use serde::{Deserialize, Serialize};

use crate::AccountsError;

/// What a member may do in an organisation; see [`crate::Permission`] for the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Everything, including handing the organisation on.
    Owner,
    /// Everything except handing the organisation on.
    Admin,
    /// Works with issues and sees the product's numbers.
    Member,
    /// Sees the product's numbers, changes nothing.
    Analyst,
    /// Reads the audit log and reports.
    Auditor,
    /// Handles consents and data-subject requests; may see who a subject is.
    PrivacyOfficer,
}

impl Role {
    /// Every role, the mightiest first.
    pub const ALL: [Self; 6] =
        [Self::Owner, Self::Admin, Self::Member, Self::Analyst, Self::Auditor, Self::PrivacyOfficer];

    /// The role as a word, as in JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Owner => "owner",
            Self::Admin => "admin",
            Self::Member => "member",
            Self::Analyst => "analyst",
            Self::Auditor => "auditor",
            Self::PrivacyOfficer => "privacy_officer",
        }
    }
}

impl FromStr for Role {
    type Err = AccountsError;

    fn from_str(text: &str) -> Result<Self, AccountsError> {
        Self::ALL.into_iter().find(|role| role.as_str() == text).ok_or_else(|| {
            AccountsError::invalid(
                "role",
                "must be owner, admin, member, analyst, auditor or privacy_officer",
            )
        })
    }
}

/// A company or team: the owner of projects.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct OrganisationInfo {
    /// Its key.
    pub id: Id<Organisation>,
    /// Its name in addresses: lower-case letters, digits and hyphens, 1 to 50.
    pub slug: String,
    /// Its name for people, 1 to 100 characters.
    pub name: String,
}

/// A product that is watched.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Project {
    /// Its number, as in its DSN.
    pub id: ProjectId,
    /// Whose it is.
    pub organisation: Id<Organisation>,
    /// Its name in addresses: lower-case letters, digits and hyphens, 1 to 50, unique in the organisation.
    pub slug: String,
    /// Its name for people, 1 to 100 characters.
    pub name: String,
    /// IANA time zone in which its days are cut.
    pub time_zone: String,
    /// Whether what it shows is generated for demonstration.
    pub is_demo: bool,
    /// When it was made.
    pub created_at: Timestamp,
}

/// What lets an SDK send: the public part of a DSN.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct IngestKeyInfo {
    /// Its key in the database.
    pub id: Id<IngestKey>,
    /// The project that it sends to.
    pub project: ProjectId,
    /// 32 hexadecimal digits.
    pub public_key: String,
    /// What people call it.
    pub label: String,
    /// The most requests per minute; `None` is unlimited.
    pub rate_limit_per_minute: Option<u32>,
    /// Origins (`https://app.example`, or `https://*.example`) from which browsers may send; empty allows all.
    pub allowed_origins: Vec<String>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it stopped working.
    pub revoked_at: Option<Timestamp>,
}

/// What a key of the xAPI record store may do (1.0.3, Communication 4.2, in our own words where it has none).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum XapiScope {
    /// Store statements, and void them.
    #[serde(rename = "statements/write")]
    StatementsWrite,
    /// Read the statements that the same key stored.
    #[serde(rename = "statements/read/mine")]
    StatementsReadMine,
    /// Read all statements, activities and agents.
    #[serde(rename = "statements/read")]
    StatementsRead,
    /// Read and change states.
    #[serde(rename = "state")]
    State,
    /// Read and change profiles of activities and agents.
    #[serde(rename = "profile")]
    Profile,
    /// Everything.
    #[serde(rename = "all")]
    All,
}

impl XapiScope {
    /// Every scope.
    pub const ALL: [Self; 6] = [
        Self::StatementsWrite,
        Self::StatementsReadMine,
        Self::StatementsRead,
        Self::State,
        Self::Profile,
        Self::All,
    ];

    /// The scope as a word, as in JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::StatementsWrite => "statements/write",
            Self::StatementsReadMine => "statements/read/mine",
            Self::StatementsRead => "statements/read",
            Self::State => "state",
            Self::Profile => "profile",
            Self::All => "all",
        }
    }
}

impl FromStr for XapiScope {
    type Err = AccountsError;

    fn from_str(text: &str) -> Result<Self, AccountsError> {
        let why = "must be statements/write, statements/read/mine, statements/read, state, profile or all";
        Self::ALL
            .into_iter()
            .find(|scope| scope.as_str() == text)
            .ok_or_else(|| AccountsError::invalid("scopes", why))
    }
}

/// A key of the xAPI record store without its secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct XapiKeyInfo {
    /// Its key in the database.
    pub id: Id<XapiKey>,
    /// The project whose store it opens.
    pub project: ProjectId,
    /// The project's organisation.
    pub organisation: Id<Organisation>,
    /// 32 hexadecimal digits: the user name of Basic authentication.
    pub public_key: String,
    /// What people call it.
    pub label: String,
    /// What it may do.
    pub scopes: Vec<XapiScope>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it stopped working.
    pub revoked_at: Option<Timestamp>,
}

impl XapiKeyInfo {
    /// Whether it may do something for which one of `scopes` is needed.
    #[must_use]
    pub fn allows(&self, scopes: &[XapiScope]) -> bool {
        self.scopes.iter().any(|scope| *scope == XapiScope::All || scopes.contains(scope))
    }
}

/// What an API token may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// Read what members read: issues, events, numbers.
    Read,
    /// Change issues and upload release files.
    Write,
    /// Change projects, keys and members.
    Admin,
}

impl Scope {
    /// Every scope.
    pub const ALL: [Self; 3] = [Self::Read, Self::Write, Self::Admin];

    /// The scope as a word, as in JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Admin => "admin",
        }
    }
}

impl FromStr for Scope {
    type Err = AccountsError;

    fn from_str(text: &str) -> Result<Self, AccountsError> {
        Self::ALL
            .into_iter()
            .find(|scope| scope.as_str() == text)
            .ok_or_else(|| AccountsError::invalid("scopes", "must be read, write or admin"))
    }
}

/// An API token without its secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ApiTokenInfo {
    /// Its key.
    pub id: Id<ApiToken>,
    /// What people call it.
    pub label: String,
    /// The first characters of the secret, to recognise it by.
    pub prefix: String,
    /// What it may do.
    pub scopes: Vec<Scope>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last used, to the minute.
    pub last_used_at: Option<Timestamp>,
    /// When it stops working by itself.
    pub expires_at: Option<Timestamp>,
    /// When it was revoked.
    pub revoked_at: Option<Timestamp>,
}

/// A person who may sign in, as members see each other.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Member {
    /// Their key.
    pub user: Id<User>,
    /// Their display name.
    pub name: String,
    /// Their e-mail address, with which they sign in; empty for a first owner who has not given one.
    pub email: String,
    /// What they may do here.
    pub role: Role,
}

/// Who is asking, established from a session cookie or an API token, with what they may do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Principal {
    /// For the audit log.
    pub actor: Actor,
    /// The organisation they act in.
    pub organisation: Id<Organisation>,
    /// Their name for the page's corner; the token's label for a token.
    pub name: String,
    /// A member's role, or a token's scopes.
    pub rights: Rights,
    /// For a session: the value that forms must send back (anti-CSRF). `None` for tokens, which need none.
    pub csrf: Option<String>,
}

impl Principal {
    /// Belvedere itself at work in `organisation`, with an owner's rights: for commands of the operator, for
    /// demonstration data and for tests. `part` says which part acts.
    #[must_use]
    pub fn system(part: &'static str, organisation: Id<Organisation>) -> Self {
        Self {
            actor: Actor::System(part),
            organisation,
            name: part.to_owned(),
            rights: Rights::Role(Role::Owner),
            csrf: None,
        }
    }
}

/// Where a principal's permissions come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rights {
    /// A member's role.
    Role(Role),
    /// A token's scopes.
    Scopes(Vec<Scope>),
}

/// A secret that is shown once and stored only as a hash.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(pub String);

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// What the first start made, or found again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FirstSteps {
    /// The first organisation.
    pub organisation: OrganisationInfo,
    /// Its first project.
    pub project: Project,
    /// That project's ingest key.
    pub key: IngestKeyInfo,
    /// Its owner.
    pub owner: Id<User>,
    /// Whether they were made just now.
    pub is_new: bool,
}

/// A new session's cookie value and when it ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewSession {
    /// For the cookie.
    pub secret: Secret,
    /// The session ends then at the latest.
    pub expires_at: Timestamp,
}

/// Where a request comes from, as far as it is known; goes into the audit log and throttles guesses.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct ClientInfo {
    /// The client's IP address as text. Personal data.
    pub address: Option<String>,
    /// The client's User-Agent header; only the first 200 characters are kept.
    pub user_agent: Option<String>,
    /// The id of the HTTP request.
    pub request_id: Option<String>,
}

/// Shows the request id only.
impl std::fmt::Debug for ClientInfo {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ClientInfo(request {})", self.request_id.as_deref().unwrap_or("unknown"))
    }
}

/// An invitation without its secret.
#[derive(Clone, PartialEq, Eq, Serialize)]
pub struct InviteInfo {
    /// Its key.
    pub id: Id<InviteInfo>,
    /// The organisation that is joined by it.
    pub organisation: OrganisationInfo,
    /// The e-mail address with which the invited will sign in.
    pub email: String,
    /// What they may do.
    pub role: Role,
    /// When it was made.
    pub created_at: Timestamp,
    /// It can be accepted until then.
    pub expires_at: Timestamp,
}

/// An invitation and the secret of its link, shown this once.
#[derive(Clone, PartialEq, Eq)]
pub struct InviteLink {
    /// The invitation.
    pub invite: InviteInfo,
    /// The last part of its address.
    pub secret: Secret,
}
