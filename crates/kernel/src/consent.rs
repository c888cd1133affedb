use async_trait::async_trait;
use belvedere_storage::{StorageError, Timestamp, Tx};

use crate::{ProjectId, SubjectId};

/// What a client says about who a person is; every part optional.
#[derive(Clone, PartialEq, Eq, Hash, Default)]
pub struct Identity {
    /// The product's own user id.
    pub id: Option<String>,
    /// The name they sign in with.
    pub username: Option<String>,
    /// Their e-mail address.
    pub email: Option<String>,
    /// Their IP address.
    pub ip_address: Option<String>,
    /// Their display name.
    pub name: Option<String>,
    /// The id that a client made for somebody who has not signed in, such as a visitor of a page.
    pub anonymous_id: Option<String>,
}

impl Identity {
    /// Whether nothing at all is known.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// The part that identifies: id, else username, else e-mail, else anonymous id, else IP address, with its kind as a
    /// word. (The order of Sentry's event user attributes.)
    #[must_use]
    pub fn key(&self) -> Option<(&'static str, &str)> {
        let parts = [
            ("id", &self.id),
            ("username", &self.username),
            ("email", &self.email),
            (Self::ANONYMOUS, &self.anonymous_id),
            ("ip", &self.ip_address),
        ];
        parts.into_iter().find_map(|(kind, value)| {
            value.as_deref().filter(|value| !value.is_empty()).map(|value| (kind, value))
        })
    }

    /// The kind of an anonymous id.
    pub const ANONYMOUS: &str = "anonymous";
}

/// Shows which parts are present, never what they are.
impl std::fmt::Debug for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Identity(by {})", self.key().map_or("nothing", |(kind, _)| kind))
    }
}

/// A person as they arrive at the door, before the gate.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct RawPerson {
    /// The project that observes them.
    pub project: ProjectId,
    /// What the client says of them.
    pub identity: Identity,
    /// Whether the client says that they refuse analytics; then they are treated so, whatever the project's default is.
    pub refuses_analytics: bool,
}

impl RawPerson {
    /// A person of whom the client says nothing about consent.
    #[must_use]
    pub fn new(project: ProjectId, identity: Identity) -> Self {
        Self { project, identity, refuses_analytics: false }
    }
}

/// What the gate makes of a person.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Admitted {
    /// The only name by which anything else may know them; `None` if the client said nothing that identifies.
    pub subject: Option<SubjectId>,
    /// Consent to analytics: without it, `subject` is an unlinkable number that changes every day, and user agent
    /// and IP address must not be kept.
    pub analytics: bool,
    /// Consent to details beyond duration and outcome.
    pub detailed: bool,
    /// Consent to location.
    pub location: bool,
}

/// The one place where a raw identity becomes a [`SubjectId`].
#[async_trait]
pub trait ConsentGate: Send + Sync {
    /// Resolves `people` in their order, making subjects that do not exist yet.
    async fn admit(&self, tx: &Tx, people: &[RawPerson]) -> Result<Vec<Admitted>, StorageError>;
}

/// What somebody can consent to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ConsentPurpose {
    /// What they do may be linked over time.
    Analytics,
    /// They may be contacted for marketing.
    Marketing,
    /// More than duration and outcome may be kept.
    Detailed,
    /// Where they are may be kept.
    Location,
}

impl ConsentPurpose {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Analytics, Self::Marketing, Self::Detailed, Self::Location];

    /// The purpose as a word: `analytics`, `marketing`, `detailed`, `location`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Analytics => "analytics",
            Self::Marketing => "marketing",
            Self::Detailed => "detailed",
            Self::Location => "location",
        }
    }

    /// The purpose that a word names.
    #[must_use]
    pub fn find(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|purpose| purpose.as_str() == word)
    }
}

/// What somebody said they consent to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConsentStatement {
    /// The project that they said it to.
    pub project: ProjectId,
    /// Who; one of the [`PersonRegister`].
    pub subject: SubjectId,
    /// To what.
    pub purpose: ConsentPurpose,
    /// Whether they do.
    pub is_granted: bool,
    /// When they said it.
    pub at: Timestamp,
    /// By what they said it, such as `context.consent`.
    pub source: &'static str,
}

/// Where people say what they consent to.
#[async_trait]
pub trait ConsentRecords: Send + Sync {
    /// Takes statements; how many of them are news. One that says the same as the last one, or that is no later, changes
    /// nothing. They hold for what the [`ConsentGate`] admits in later transactions, in other processes within 5 s. To be
    /// called after everybody of the transaction was admitted: it writes into the audit log.
    async fn record_consents_in(&self, tx: &Tx, statements: &[ConsentStatement])
    -> Result<u64, StorageError>;
}

/// A client's word that a visitor who was anonymous is a person with a user id.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct IdentityLink {
    /// The project that observes them.
    pub project: ProjectId,
    /// The id that the client made for the visitor.
    pub anonymous_id: String,
    /// The product's own user id.
    pub user_id: String,
}

/// Shows nothing that identifies.
impl std::fmt::Debug for IdentityLink {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "IdentityLink(project {})", self.project)
    }
}

/// Where anonymous visitors become known people.
#[async_trait]
pub trait IdentityLinks: Send + Sync {
    /// Lets anonymous ids lead to the subjects of user ids, from then on and for all that the gate admits, in the order
    /// of `links`. Where a project allows no analytics, nothing is linked.
    ///
    /// A user id without a subject takes over the one of the anonymous id, with all that it did; one that has a subject
    /// keeps it, and what the visitor did before stays with the visitor's own. An anonymous id is linked once: a
    /// later link to another user id changes nothing, and that user is a person of their own.
    ///
    /// To be called before the [`ConsentGate`] in a transaction, for one project after the other in the order of their
    /// ids.
    async fn link_in(&self, tx: &Tx, links: &[IdentityLink]) -> Result<(), StorageError>;
}

/// Lasting subjects for records that a product keeps by name, as a learning record store does: such records are found
/// again by whom they name, whether or not the person lets themselves be counted. What is counted or analysed of them
/// goes through the [`ConsentGate`] like everything else.
#[async_trait]
pub trait PersonRegister: Send + Sync {
    /// Resolves `people` in their order, making subjects that do not exist yet; `None` for who has no identifier.
    async fn register(&self, tx: &Tx, people: &[RawPerson]) -> Result<Vec<Option<SubjectId>>, StorageError>;

    /// The subjects of those who are registered, in their order; makes none.
    async fn find(&self, people: &[RawPerson]) -> Result<Vec<Option<SubjectId>>, StorageError>;
}
