use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use belvedere_kernel::{
    Delivery, HandlerError, IntakeHandler, LiveMessage, Prepared, PreparedBatch, error_chain,
};
use belvedere_storage::{StorageError, Timestamp, Tx};
use futures_util::FutureExt;

use crate::set_aside::{NewSetAside, set_aside_in};
use crate::source::{Batch, Source};
use crate::tally::{Tallies, TallyBook, TallyKey};
use crate::{IntakeError, IntakeParts};

/// One record of a batch.
pub(crate) struct Item {
    /// The mark that stands behind it.
    pub(crate) mark: u64,
    content: Content,
}

enum Content {
    Delivery(Delivery),
    Unreadable { bytes: Vec<u8>, why: String },
}

impl Item {
    pub(crate) fn decode(mark: u64, bytes: Vec<u8>) -> Self {
        // Decoding takes the bytes; the copy is for those that turn out not to be a delivery.
        let content = match Delivery::decode(bytes.clone()) {
            Ok(delivery) => Content::Delivery(delivery),
            Err(error) => Content::Unreadable { bytes, why: error_chain(&error) },
        };
        Self { mark, content }
    }

    pub(crate) fn received_at(&self) -> Option<Timestamp> {
        match &self.content {
            Content::Delivery(delivery) => Some(delivery.received_at),
            Content::Unreadable { .. } => None,
        }
    }

    /// The record as something to be set aside after it failed.
    pub(crate) fn to_set_aside(
        &self,
        reason: &str,
        tries: u32,
        now: Timestamp,
    ) -> Result<NewSetAside, IntakeError> {
        match &self.content {
            Content::Delivery(delivery) => NewSetAside::of(delivery, reason, "failed", tries),
            Content::Unreadable { bytes, why } => Ok(NewSetAside::unreadable(bytes, why, now)),
        }
    }
}

/// Why a part of a batch was not stored; nothing of it was.
#[derive(Debug)]
pub(crate) enum Failure {
    /// Somebody else has consumed it.
    Moved,
    /// The database is away or busy.
    Transient(String),
    /// It will fail again.
    Lasting(Lasting),
}

/// A failure that does not pass by waiting.
#[derive(Debug)]
pub(crate) struct Lasting {
    /// For the page: never the database's own words or a panic's, which may quote what was sent.
    pub(crate) reason: String,
    /// For the log.
    pub(crate) detail: String,
    /// Whether the database failed, not the computation.
    pub(crate) is_storage: bool,
    /// Whether another writer may have been in the way.
    pub(crate) is_conflict: bool,
}

impl From<StorageError> for Failure {
    fn from(error: StorageError) -> Self {
        if error.is_transient() {
            return Self::Transient(error_chain(&error));
        }
        Self::Lasting(Lasting {
            reason: error.to_string(),
            detail: error_chain(&error),
            is_storage: true,
            is_conflict: matches!(error, StorageError::Conflict(_)),
        })
    }
}

impl From<HandlerError> for Failure {
    fn from(error: HandlerError) -> Self {
        match error {
            HandlerError::Storage(error) => error.into(),
            other => Self::computation(other.to_string(), String::new()),
        }
    }
}

impl From<IntakeError> for Failure {
    fn from(error: IntakeError) -> Self {
        match error {
            IntakeError::Storage(error) => error.into(),
            other => Self::Lasting(Lasting {
                reason: other.to_string(),
                detail: error_chain(&other),
                is_storage: true,
                is_conflict: false,
            }),
        }
    }
}

impl Failure {
    fn computation(reason: String, detail: String) -> Self {
        Self::Lasting(Lasting { reason, detail, is_storage: false, is_conflict: false })
    }

    fn panic(during: &str, panic: &(dyn std::any::Any + Send)) -> Self {
        let text = panic.downcast_ref::<&str>().copied();
        let text =
            text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message");
        Self::computation(format!("the intake handler panicked in {during}"), text.to_owned())
    }
}

/// A part of a batch, ready for its transaction.
#[derive(Default)]
pub(crate) struct PreparedPart {
    pub(crate) batches: Vec<Box<dyn PreparedBatch>>,
    pub(crate) set_aside: Vec<NewSetAside>,
}

/// Turns records into committed results.
pub(crate) struct Digester {
    parts: IntakeParts,
    handlers: BTreeMap<&'static str, Arc<dyn IntakeHandler>>,
    book: TallyBook,
}

impl Digester {
    pub(crate) fn new(parts: IntakeParts, handlers: Vec<Arc<dyn IntakeHandler>>) -> Self {
        let handlers = handlers.into_iter().map(|handler| (handler.kind(), handler)).collect();
        Self { parts, handlers, book: TallyBook::default() }
    }

    /// Hands the deliveries of each kind to its handler, in their order.
    pub(crate) async fn prepare(&self, items: &[Item]) -> Result<PreparedPart, Failure> {
        let mut by_kind: BTreeMap<&str, Vec<&Delivery>> = BTreeMap::new();
        let mut part = PreparedPart::default();
        for item in items {
            match &item.content {
                Content::Delivery(delivery) => by_kind.entry(&delivery.kind).or_default().push(delivery),
                Content::Unreadable { bytes, why } => {
                    part.set_aside.push(NewSetAside::unreadable(bytes, why, self.parts.clock.now()));
                }
            }
        }
        for (kind, deliveries) in by_kind {
            let Some(handler) = self.handlers.get(kind) else {
                for delivery in deliveries {
                    let aside = NewSetAside::of(
                        delivery,
                        "nothing here reads this kind of delivery",
                        "no_handler",
                        1,
                    )?;
                    part.set_aside.push(aside);
                }
                continue;
            };
            let prepared = handler.prepare(deliveries.iter().map(|delivery| (*delivery).clone()).collect());
            let prepared = AssertUnwindSafe(prepared).catch_unwind().await;
            let Prepared { batch, rejected } =
                prepared.map_err(|panic| Failure::panic("preparation", &*panic))??;
            part.batches.push(batch);
            for rejected in rejected {
                let delivery = deliveries.get(rejected.index).ok_or_else(|| {
                    let reason =
                        format!("the intake handler of {kind} rejected a delivery that it was not given");
                    Failure::computation(reason, format!("index {}", rejected.index))
                })?;
                part.set_aside.push(NewSetAside::of(delivery, &rejected.reason, "rejected", 1)?);
            }
        }
        Ok(part)
    }

    /// Commits a part together with the mark of consumption; returns what is to be published.
    pub(crate) async fn store(
        &self,
        source: &dyn Source,
        batch: &Batch,
        (from, to): (u64, u64),
        part: &PreparedPart,
    ) -> Result<Vec<LiveMessage>, Failure> {
        let work = async |tx: &Tx| {
            // First, so that of two consumers the later one waits here and then learns that it is late.
            if !source.consume_in(tx, batch, from, to).await? {
                return Err(Failure::Moved);
            }
            let now = self.parts.clock.now();
            let mut messages = Vec::new();
            let mut tallies = Tallies::new();
            for batch in &part.batches {
                let stored = AssertUnwindSafe(batch.store(tx)).catch_unwind().await;
                let stored = stored.map_err(|panic| Failure::panic("storing", &*panic))??;
                messages.extend(stored.messages);
                for tally in &stored.tallies {
                    *tallies.entry(TallyKey::of(tally, now)).or_default() += tally.quantity;
                }
            }
            set_aside_in(tx, &self.parts, &part.set_aside, &mut tallies).await?;
            self.book.add_in(tx, tallies).await?;
            Ok(messages)
        };
        self.parts.db.write(work).await
    }
}
