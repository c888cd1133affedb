use belvedere_kernel::{Actor, NoticeKind, ProjectId};
use belvedere_storage::{Id, Timestamp};

/// The key of an endpoint.
pub type EndpointId = Id<Endpoint>;

/// The key of a delivery; as text, behind `msg_`, what its receiver knows it by.
pub type DeliveryId = Id<Delivery>;

/// Where a project's notices go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// Its key.
    pub id: EndpointId,
    /// Whose it is.
    pub project: ProjectId,
    /// Where it is.
    pub url: String,
    /// What it is told of.
    pub kinds: Vec<NoticeKind>,
    /// Whether it is told.
    pub is_enabled: bool,
    /// Deliveries that wait to be sent, or to be sent again.
    pub waiting: u64,
    /// Deliveries that were given up after their last attempt.
    pub dead: u64,
    /// Deliveries that were dropped because more than 10,000 waited, or because they were larger than 64 KiB.
    pub dropped: u64,
    /// When it was made.
    pub created_at: Timestamp,
}

/// An endpoint to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewEndpoint {
    /// Where it is: https, and a public address unless the operator allows others.
    pub url: String,
    /// What it is told of; at least one kind.
    pub kinds: Vec<NoticeKind>,
}

/// What changes about an endpoint; `None` for what stays.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EndpointChange {
    /// As [`NewEndpoint::url`].
    pub url: Option<String>,
    /// As [`NewEndpoint::kinds`].
    pub kinds: Option<Vec<NoticeKind>>,
    /// Whether it is told.
    pub is_enabled: Option<bool>,
}

/// Who changes something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChangedBy {
    /// Who.
    pub actor: Actor,
    /// The HTTP request.
    pub request_id: Option<String>,
}

/// How a delivery stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeliveryState {
    /// It waits for its first or next attempt.
    Pending,
    /// Its receiver took it.
    Delivered,
    /// It was given up.
    Dead,
}

impl DeliveryState {
    pub(crate) const ALL: [Self; 3] = [Self::Pending, Self::Delivered, Self::Dead];

    /// The state as a word: `pending`, `delivered`, `dead`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Delivered => "delivered",
            Self::Dead => "dead",
        }
    }
}

/// A notice on its way to an endpoint, or behind it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// Its key.
    pub id: DeliveryId,
    /// What it tells of: a kind of notice, or `ping`.
    pub kind: String,
    /// How it stands.
    pub state: DeliveryState,
    /// How often it was tried.
    pub attempts: u32,
    /// The status of the last answer; `None` where there was none.
    pub last_status: Option<u16>,
    /// The beginning of the last answer, or why there was none; at most 500 characters.
    pub last_answer: Option<String>,
    /// When it was written.
    pub created_at: Timestamp,
    /// When it is tried next, while it waits.
    pub next_at: Option<Timestamp>,
    /// When it was delivered or given up.
    pub settled_at: Option<Timestamp>,
}
