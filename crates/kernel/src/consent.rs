use async_trait::async_trait;
use belvedere_storage::{StorageError, Tx};

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
}

impl Identity {
    /// Whether nothing at all is known.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// The part that identifies: id, else username, else e-mail, else IP address, with its kind as a word.
    /// (The order of Sentry's event user attributes.)
    #[must_use]
    pub fn key(&self) -> Option<(&'static str, &str)> {
        [("id", &self.id), ("username", &self.username), ("email", &self.email), ("ip", &self.ip_address)]
            .into_iter()
            .find_map(|(kind, value)| {
                value.as_deref().filter(|value| !value.is_empty()).map(|value| (kind, value))
            })
    }
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
