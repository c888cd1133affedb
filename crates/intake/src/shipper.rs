use belvedere_kernel::{KeyOwner, LiveMessage, Tasks, error_chain};
use belvedere_storage::spool::Spool;
use belvedere_storage::{Id, Tx};
use serde_json::Value;

use crate::digest::Failure;
use crate::pace::Pace;
use crate::source::{Batch, LocalSpool, Next, Source, pack};
use crate::{IntakeConfig, IntakeParts, WAKE_TOPIC, store};

/// Batches in the shared database beyond which deliveries stay in the spool.
const BATCHES_MAX: u64 = 2_000;

/// Moves deliveries from the spool of a process that only accepts into the shared database, for any worker to digest.
pub struct Shipper {
    spool: Spool,
    parts: IntakeParts,
    config: IntakeConfig,
}

impl Shipper {
    /// A shipper of `spool`.
    #[must_use]
    pub fn new(spool: Spool, parts: IntakeParts, config: IntakeConfig) -> Self {
        Self { spool, parts, config }
    }

    /// Ships until `tasks` are told to stop.
    pub async fn run(self, tasks: Tasks) {
        let source = LocalSpool::new(self.spool.clone(), self.parts.clone(), self.config.clone());
        let mut pace = Pace::new("shipping", &self.parts, &self.config);
        while !tasks.is_stopped() {
            let batch = match source.next(&tasks).await {
                Ok(Next::Batch(batch)) => batch,
                Ok(Next::Idle) => {
                    pace.succeeded();
                    continue;
                }
                Ok(Next::End) => return,
                Err(error) => {
                    pace.failed(&error_chain(&error));
                    pace.pause(&tasks).await;
                    continue;
                }
            };
            while !tasks.is_stopped() {
                match self.ship(&source, &batch).await {
                    Ok(()) => {
                        pace.succeeded();
                        break;
                    }
                    Err(Failure::Moved) => {
                        source.abandon(&batch).await;
                        break;
                    }
                    Err(Failure::Transient(error)) => pace.failed(&error),
                    Err(Failure::Lasting(failure)) => pace.failed(&failure.detail),
                }
                pace.pause(&tasks).await;
            }
        }
    }

    async fn ship(&self, source: &LocalSpool, batch: &Batch) -> Result<(), Failure> {
        let (Some((first, _)), Some((last, _))) = (batch.records.first(), batch.records.last()) else {
            return Ok(());
        };
        if store::count_batches(self.parts.db.read(), BATCHES_MAX).await? >= BATCHES_MAX {
            return Err(Failure::Transient("too many batches wait for a worker".to_owned()));
        }
        let packed = pack(batch.records.iter().map(|(_, bytes)| bytes.as_slice()));
        let work = async |tx: &Tx| {
            if !source.consume_in(tx, batch, batch.after, *last).await? {
                return Err(Failure::Moved);
            }
            let now = self.parts.clock.now();
            let sealed = self
                .parts
                .vault
                .seal_in(tx, KeyOwner::System, &packed)
                .await
                .map_err(crate::IntakeError::from)?;
            store::insert_batch(
                tx,
                Id::generate(now),
                self.spool.id(),
                *first,
                batch.records.len(),
                sealed,
                now,
            )
            .await?;
            Ok(())
        };
        self.parts.db.write::<_, Failure, _>(work).await?;
        self.parts.bus.publish(wake_message());
        self.parts.stats.count_shipped(batch.records.len());
        source.consumed(batch, *last).await;
        Ok(())
    }
}

pub(crate) fn wake_message() -> LiveMessage {
    LiveMessage { project: None, topic: WAKE_TOPIC.to_owned(), data: Value::Null }
}
