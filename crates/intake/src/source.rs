use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use belvedere_kernel::{KeyOwner, LiveMessage, Tasks, woken};
use belvedere_storage::spool::{Record, Spool};
use belvedere_storage::{Id, StorageError, Timestamp, Tx};
use tokio::sync::broadcast;
use tokio::time::Instant;

use crate::store::{self, BatchRow};
use crate::{IntakeConfig, IntakeError, IntakeParts, WAKE_TOPIC};

/// The least time between two batches that are not full: where deliveries come one after the other, what a transaction
/// costs once is shared by all that come meanwhile, and the first after a pause waits for nothing.
const GATHER: Duration = Duration::from_millis(20);

/// Deliveries as bytes, in order, with marks that say how far consumption has come.
pub(crate) struct Batch {
    /// Where it comes from, if that is the shared database.
    shared: Option<SharedPlace>,
    /// The mark before the first record.
    pub(crate) after: u64,
    /// Each record with the mark that stands behind it.
    pub(crate) records: Vec<(u64, Vec<u8>)>,
}

struct SharedPlace {
    id: Id<BatchRow>,
    claim: Id<()>,
    records: u64,
}

/// What came of waiting for a batch.
pub(crate) enum Next {
    /// There it is.
    Batch(Batch),
    /// Nothing yet, though everything works.
    Idle,
    /// There will be no more, or the tasks were told to stop.
    End,
}

/// Where batches come from.
#[async_trait]
pub(crate) trait Source: Send + Sync {
    /// Waits a while for a batch.
    async fn next(&self, tasks: &Tasks) -> Result<Next, IntakeError>;

    /// Moves the mark of consumption from `from` to `to` in the transaction that stores the results; `false` if somebody
    /// else has moved it, so that the transaction must not be committed.
    async fn consume_in(&self, tx: &Tx, batch: &Batch, from: u64, to: u64) -> Result<bool, StorageError>;

    /// Told that the mark of `batch` stands at `to` now.
    async fn consumed(&self, batch: &Batch, to: u64);

    /// Told that `batch` will not be consumed further for now.
    async fn abandon(&self, batch: &Batch);
}

/// The spool of this process.
pub(crate) struct LocalSpool {
    spool: Spool,
    parts: IntakeParts,
    config: IntakeConfig,
    /// How far consumption has come; `None` until it is read from the database.
    position: Mutex<Option<u64>>,
    /// When the last batch was taken.
    taken_at: Mutex<Option<Instant>>,
}

impl LocalSpool {
    pub(crate) fn new(spool: Spool, parts: IntakeParts, config: IntakeConfig) -> Self {
        Self { spool, parts, config, position: Mutex::default(), taken_at: Mutex::default() }
    }

    /// Takes what lies behind `after`, once there is something.
    async fn take(&self, after: u64) -> Result<Vec<Record>, IntakeError> {
        let (records_max, bytes_max) = (self.config.batch_records_max, self.config.batch_bytes_max);
        let depth = self.spool.depth();
        let is_full = depth.records >= records_max as u64 || depth.bytes >= bytes_max as u64;
        let before = *self.taken_at.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(before) = before.filter(|_| !is_full) {
            tokio::time::sleep_until(before + GATHER).await;
        }
        let records = self.spool.take(after, records_max, bytes_max).await?;
        *self.taken_at.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
        Ok(records)
    }

    fn position(&self) -> Option<u64> {
        *self.position.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set_position(&self, position: Option<u64>) {
        *self.position.lock().unwrap_or_else(PoisonError::into_inner) = position;
    }
}

#[async_trait]
impl Source for LocalSpool {
    async fn next(&self, tasks: &Tasks) -> Result<Next, IntakeError> {
        let Some(after) = self.position() else {
            let position = store::find_position(self.parts.db.read(), self.spool.id()).await?;
            self.spool.ack(position).await?;
            self.set_position(Some(position));
            return Ok(Next::Idle);
        };
        let taken = tokio::select! {
            () = tasks.stopped() => return Ok(Next::End),
            taken = self.take(after) => taken,
        };
        match taken {
            Ok(records) => {
                let records = records.into_iter().map(|record| (record.seq, record.payload)).collect();
                Ok(Next::Batch(Batch { shared: None, after, records }))
            }
            Err(IntakeError::Closed) => Ok(Next::End),
            Err(error) => Err(error),
        }
    }

    async fn consume_in(&self, tx: &Tx, _: &Batch, from: u64, to: u64) -> Result<bool, StorageError> {
        store::move_position(tx, self.spool.id(), from, to, self.parts.clock.now()).await
    }

    async fn consumed(&self, _: &Batch, to: u64) {
        self.set_position(Some(to));
        if let Err(error) = self.spool.ack(to).await {
            // The position is stored: it is acknowledged again with the next batch or after the next start.
            tracing::warn!(%error, "consumed deliveries were not removed from the spool");
        }
    }

    async fn abandon(&self, _: &Batch) {
        self.set_position(None);
    }
}

/// The batches that other processes have put into the shared database.
pub(crate) struct SharedBatches {
    parts: IntakeParts,
    config: IntakeConfig,
    messages: tokio::sync::Mutex<broadcast::Receiver<LiveMessage>>,
}

impl SharedBatches {
    pub(crate) fn new(parts: IntakeParts, config: IntakeConfig) -> Self {
        let messages = tokio::sync::Mutex::new(parts.bus.subscribe());
        Self { parts, config, messages }
    }

    async fn claim(&self) -> Result<Option<Batch>, IntakeError> {
        let now = self.parts.clock.now();
        // Looking costs no transaction, and most looks find nothing.
        if !store::has_claimable(self.parts.db.read(), now).await? {
            return Ok(None);
        }
        let claim = Id::generate(now);
        let until = now.plus(self.config.lease);
        let work = async |tx: &Tx| store::claim_batch(tx, claim, now, until).await;
        let Some(row) = self.parts.db.write::<_, StorageError, _>(work).await? else { return Ok(None) };
        let opened = self.parts.vault.open(KeyOwner::System, &row.sealed).await?;
        let records = unpack(&opened)?;
        if records.len() as u64 != row.records {
            return Err(
                StorageError::corrupt("a shipped batch does not hold the records that it announces").into()
            );
        }
        let records = (1..).zip(records).skip_while(|(mark, _)| *mark <= row.consumed).collect();
        let shared = Some(SharedPlace { id: row.id, claim, records: row.records });
        Ok(Some(Batch { shared, after: row.consumed, records }))
    }

    fn claimed_until(&self) -> Timestamp {
        self.parts.clock.now().plus(self.config.lease)
    }
}

#[async_trait]
impl Source for SharedBatches {
    async fn next(&self, tasks: &Tasks) -> Result<Next, IntakeError> {
        let mut messages = self.messages.lock().await;
        if let Some(batch) = self.claim().await? {
            return Ok(Next::Batch(batch));
        }
        tokio::select! {
            () = tasks.stopped() => Ok(Next::End),
            () = woken(&mut messages, WAKE_TOPIC) => Ok(Next::Idle),
            () = tokio::time::sleep(self.config.poll) => Ok(Next::Idle),
        }
    }

    async fn consume_in(&self, tx: &Tx, batch: &Batch, from: u64, to: u64) -> Result<bool, StorageError> {
        let Some(place) = &batch.shared else { return Ok(false) };
        if to == place.records {
            return store::delete_batch(tx, place.id, place.claim, from).await;
        }
        store::move_in_batch(tx, place.id, place.claim, (from, to), self.claimed_until()).await
    }

    async fn consumed(&self, _: &Batch, _: u64) {}

    async fn abandon(&self, batch: &Batch) {
        let Some(place) = &batch.shared else { return };
        let release = async |tx: &Tx| store::release_batch(tx, place.id, place.claim).await;
        if let Err(error) = self.parts.db.write::<_, StorageError, _>(release).await {
            tracing::debug!(%error, "a batch was not given back, its claim will run out");
        }
    }
}

/// Records as one run of bytes: each with its length (u32, little endian) before it.
pub(crate) fn pack<'a>(records: impl Iterator<Item = &'a [u8]>) -> Vec<u8> {
    let mut packed = Vec::new();
    for record in records {
        // A spool takes no record that is anywhere near 4 GiB.
        packed.extend_from_slice(&u32::try_from(record.len()).unwrap_or(u32::MAX).to_le_bytes());
        packed.extend_from_slice(record);
    }
    packed
}

/// The reverse of [`pack`].
pub(crate) fn unpack(mut packed: &[u8]) -> Result<Vec<Vec<u8>>, StorageError> {
    let mut records = Vec::new();
    while !packed.is_empty() {
        let parts = packed.split_first_chunk::<4>().and_then(|(len, rest)| {
            let len = u32::from_le_bytes(*len) as usize;
            rest.split_at_checked(len)
        });
        let (record, rest) = parts.ok_or_else(|| StorageError::corrupt("a shipped batch is truncated"))?;
        records.push(record.to_vec());
        packed = rest;
    }
    Ok(records)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packed_records_come_back_and_truncated_ones_are_an_error() {
        let packed = pack([&b"one"[..], b"", b"three"].into_iter());
        assert_eq!(packed, b"\x03\0\0\0one\0\0\0\0\x05\0\0\0three");
        assert_eq!(unpack(&packed).unwrap(), [b"one".to_vec(), Vec::new(), b"three".to_vec()]);
        assert!(unpack(&packed[..packed.len() - 1]).is_err());
        assert!(unpack(&packed[..packed.len() - 6]).is_err());
        assert_eq!(unpack(&[]).unwrap(), Vec::<Vec<u8>>::new());
    }
}
