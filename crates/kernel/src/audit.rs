use async_trait::async_trait;
use belvedere_storage::{Id, StorageError, Tx};
use serde_json::Value;

use crate::{Actor, Organisation, ProjectId, SubjectId};

/// How an act ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It was done.
    Success,
    /// The actor was not allowed to.
    Denied,
    /// It was tried and failed.
    Failure,
}

impl Outcome {
    /// The outcome as a word: `success`, `denied`, `failure`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Denied => "denied",
            Self::Failure => "failure",
        }
    }
}

/// What an act was done to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// The kind of thing, such as `issue` or `ingest_key`.
    pub kind: &'static str,
    /// Its id as text. Never a personal identifier.
    pub id: String,
}

/// One act, to be written into the audit log.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// Whose log it belongs to; `None` for that of the project's owner, and before anybody is known, as with a failed
    /// sign-in.
    pub organisation: Option<Id<Organisation>>,
    /// The project concerned, if one is.
    pub project: Option<ProjectId>,
    /// Who acted.
    pub actor: Actor,
    /// What was done, in the OWASP logging vocabulary: `authn_login_success`, `authz_fail`, `privilege_permissions_changed`,
    /// `sensitive_read`, `sys_startup`, `project_created`, ..
    pub action: &'static str,
    /// What it was done to.
    pub target: Option<Target>,
    /// How it ended.
    pub outcome: Outcome,
    /// The id of the HTTP request, if there was one.
    pub request_id: Option<String>,
    /// Anything else worth keeping. May hold personal data: it is stored encrypted under a key that erasure destroys.
    pub detail: Value,
}

impl Entry {
    /// An entry of a successful act without target or detail; fill in the rest with struct update syntax.
    #[must_use]
    pub fn new(actor: Actor, action: &'static str) -> Self {
        Self {
            organisation: None,
            project: None,
            actor,
            action,
            target: None,
            outcome: Outcome::Success,
            request_id: None,
            detail: Value::Null,
        }
    }

    /// The entry of a part of the system that erased what it kept of a subject.
    #[must_use]
    pub fn of_erasure(
        (system, action): (&'static str, &'static str),
        project: ProjectId,
        subject: SubjectId,
        detail: Value,
    ) -> Self {
        Self {
            project: Some(project),
            target: Some(Target { kind: "subject", id: subject.to_string() }),
            detail,
            ..Self::new(Actor::System(system), action)
        }
    }
}

/// Where acts are written down, in the transaction of the act itself.
#[async_trait]
pub trait AuditSink: Send + Sync {
    /// Appends `entry`; if the transaction fails, neither the act nor its entry exists.
    async fn record(&self, tx: &Tx, entry: Entry) -> Result<(), StorageError>;
}

/// Whose a project is, for entries of what happens by itself in a project.
#[async_trait]
pub trait ProjectOwners: Send + Sync {
    /// The organisation of a project; `None` if there is no such project.
    async fn organisation_of(
        &self,
        tx: &Tx,
        project: ProjectId,
    ) -> Result<Option<Id<Organisation>>, StorageError>;
}
