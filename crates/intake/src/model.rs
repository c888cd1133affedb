use belvedere_kernel::{Actor, ItemOutcome, Organisation, ProjectId};
use belvedere_storage::{Id, Timestamp};
use serde::Serialize;

/// How many items of one type had one outcome in one hour.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct HourTally {
    /// The start of the UTC hour in which they were counted (refused at the door, or digested).
    pub hour: Timestamp,
    /// The item's type as its protocol names it; `other` beyond 500 different counts in the project's hour.
    pub item: String,
    /// What became of them: `stored`, `dropped` or `set_aside`.
    pub outcome: Outcome,
    /// Why, as a word; empty for stored.
    pub reason: String,
    /// How many.
    pub quantity: u64,
}

/// [`ItemOutcome`] as it is read back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Processed and stored.
    Stored,
    /// Left out for the given reason.
    Dropped,
    /// Set aside as undigestible.
    SetAside,
}

impl Outcome {
    /// The outcome as a word: `stored`, `dropped`, `set_aside`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        ItemOutcome::from(self).as_str()
    }
}

impl From<Outcome> for ItemOutcome {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Stored => Self::Stored,
            Outcome::Dropped => Self::Dropped,
            Outcome::SetAside => Self::SetAside,
        }
    }
}

/// A delivery that could not be digested, without its content.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SetAside {
    /// Its key.
    pub id: Id<SetAside>,
    /// The project that it was sent to; number 0 if not even that could be read.
    pub project: ProjectId,
    /// Which handler it was for; `unknown` if that could not be read.
    pub kind: String,
    /// What is wrong with it, at most 1,000 characters.
    pub reason: String,
    /// How often it was tried.
    pub tries: u32,
    /// When the door received it.
    pub received_at: Timestamp,
    /// When it was set aside.
    pub set_aside_at: Timestamp,
    /// When it was handed to digestion once more; its content is kept no longer from then on.
    pub replayed_at: Option<Timestamp>,
    /// Bytes of its content.
    pub size_bytes: u64,
}

/// Who asks for a change, for the audit log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Requester {
    /// Who acts.
    pub actor: Actor,
    /// Whose log it belongs to.
    pub organisation: Option<Id<Organisation>>,
    /// The id of the HTTP request, if there was one.
    pub request_id: Option<String>,
}
