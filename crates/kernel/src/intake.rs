use async_trait::async_trait;
use belvedere_storage::{Id, StorageError, Timestamp, Tx};
use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::{IngestKey, LiveMessage, ProjectId};

/// One accepted request on its way from the door to the slice that understands it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delivery {
    /// Which [`IntakeHandler`] it is for, such as `sentry.envelope`.
    pub kind: String,
    /// The project that its key belongs to.
    pub project: ProjectId,
    /// The ingest key that let it in.
    pub key: Id<IngestKey>,
    /// When the door received it.
    pub received_at: Timestamp,
    /// Content-Encoding of `body` as a lower-case token; `None` for identity. The door has checked that it decodes
    /// within the size limit.
    pub encoding: Option<String>,
    /// The sender's address, for payloads that ask the server to fill it in (`{{auto}}`). Personal data.
    pub remote_ip: Option<String>,
    /// The sender's User-Agent header, at most 512 bytes.
    pub user_agent: Option<String>,
    /// An id that the door gave in its answer, for payloads that carry none.
    pub assigned_id: Option<String>,
    /// The body as it was received.
    #[serde(skip)]
    pub body: Bytes,
}

/// Why spooled bytes are not a delivery.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DeliveryError {
    /// Fewer bytes than the frame announces.
    #[error("spooled delivery is truncated: {len} bytes")]
    Truncated {
        /// How many bytes there are.
        len: usize,
    },
    /// The head is not the JSON that was written.
    #[error("spooled delivery has an unreadable head")]
    Head(#[from] serde_json::Error),
}

impl Delivery {
    /// The delivery as one run of bytes: length of the head (u32, little endian), head as JSON, body.
    ///
    /// # Errors
    /// [`DeliveryError::Head`] if the head does not serialise.
    pub fn encode(&self) -> Result<Vec<u8>, DeliveryError> {
        let mut bytes = Vec::with_capacity(self.body.len() + 384);
        bytes.extend_from_slice(&[0; 4]);
        serde_json::to_writer(&mut bytes, self)?;
        let head = u32::try_from(bytes.len() - 4).unwrap_or(u32::MAX);
        bytes[..4].copy_from_slice(&head.to_le_bytes());
        bytes.extend_from_slice(&self.body);
        Ok(bytes)
    }

    /// The reverse of [`Delivery::encode`].
    ///
    /// # Errors
    /// [`DeliveryError`] when the bytes are not what `encode` makes.
    pub fn decode(bytes: Vec<u8>) -> Result<Self, DeliveryError> {
        let bytes = Bytes::from(bytes);
        let truncated = || DeliveryError::Truncated { len: bytes.len() };
        let head =
            bytes.first_chunk::<4>().map(|head| u32::from_le_bytes(*head) as usize).ok_or_else(truncated)?;
        let end = head.checked_add(4).filter(|end| *end <= bytes.len()).ok_or_else(truncated)?;
        let delivery: Self = serde_json::from_slice(&bytes[4..end])?;
        Ok(Self { body: bytes.slice(end..), ..delivery })
    }
}

/// What became of items of one type: nothing that arrives vanishes without being counted here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ItemOutcome {
    /// Processed and stored.
    Stored,
    /// Left out for the given reason, by choice or because it was no use.
    Dropped,
    /// Set aside as undigestible, to be looked at and replayed.
    SetAside,
}

impl ItemOutcome {
    /// The outcome as a word: `stored`, `dropped`, `set_aside`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Stored => "stored",
            Self::Dropped => "dropped",
            Self::SetAside => "set_aside",
        }
    }
}

/// A count of items of one type with one outcome.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Tally {
    /// The project concerned.
    pub project: ProjectId,
    /// The item's type as its protocol names it, at most 64 characters: `event`, `session`, `replay_event`, ..
    pub item: String,
    /// What became of it.
    pub outcome: ItemOutcome,
    /// Why, as a word: empty for stored, else `duplicate`, `not_yet_supported`, `unknown_type`, `invalid`, `rate_limited`, ..
    pub reason: &'static str,
    /// How many items.
    pub quantity: u64,
}

/// A delivery that cannot be digested, however often it is tried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejected {
    /// Which delivery of the batch.
    pub index: usize,
    /// What is wrong with it, and where; at most 1,000 characters, without personal data.
    pub reason: String,
}

/// A batch after its computation, before its transaction.
pub struct Prepared {
    /// What is to be stored.
    pub batch: Box<dyn PreparedBatch>,
    /// The deliveries that are to be set aside.
    pub rejected: Vec<Rejected>,
}

/// What a stored batch amounted to.
#[derive(Debug, Default)]
pub struct Stored {
    /// What became of each item.
    pub tallies: Vec<Tally>,
    /// To be published after the commit.
    pub messages: Vec<LiveMessage>,
}

/// Why a batch could not be stored or prepared.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HandlerError {
    /// The database failed. If the error is transient the batch is tried again for as long as it takes; otherwise it
    /// is split until the delivery at fault is alone, which is set aside.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The computation failed in a way that the handler did not foresee.
    #[error("intake handler failed: {0}")]
    Internal(String),
}

/// A slice's reader of one kind of delivery.
#[async_trait]
pub trait IntakeHandler: Send + Sync {
    /// The deliveries it understands, as [`Delivery::kind`] names them.
    fn kind(&self) -> &'static str;

    /// Decodes, scrubs and computes whatever needs no transaction. Blocking work is moved off the runtime's threads.
    /// `deliveries` are in order of acceptance.
    async fn prepare(&self, deliveries: Vec<Delivery>) -> Result<Prepared, HandlerError>;
}

/// A batch that can be written, any number of times until one attempt commits.
#[async_trait]
pub trait PreparedBatch: Send + Sync {
    /// Writes the batch; a repeated write after a rollback must give the same state.
    async fn store(&self, tx: &Tx) -> Result<Stored, HandlerError>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_delivery_survives_the_spool_and_damage_is_an_error() {
        let delivery = Delivery {
            kind: "sentry.envelope".to_owned(),
            project: ProjectId(7),
            key: Id::from_bytes([1; 16]),
            received_at: Timestamp::from_micros(1_795_435_445_250_001),
            encoding: Some("gzip".to_owned()),
            remote_ip: None,
            user_agent: Some("sentry.python/2.75.0".to_owned()),
            assigned_id: None,
            body: Bytes::from_static(b"\x1f\x8b\x00body"),
        };
        let bytes = delivery.encode().unwrap();
        assert_eq!(Delivery::decode(bytes.clone()).unwrap(), delivery);
        assert!(matches!(Delivery::decode(bytes[..40].to_vec()), Err(DeliveryError::Truncated { len: 40 })));
        assert!(matches!(Delivery::decode(vec![1]), Err(DeliveryError::Truncated { len: 1 })));
        assert!(matches!(Delivery::decode(vec![2, 0, 0, 0, b'{', b'{']), Err(DeliveryError::Head(_))));
    }
}
