use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use belvedere_kernel::{Delivery, Tally, Tasks};
use belvedere_storage::spool::{Spool, SpoolDepth};
use belvedere_storage::{StorageError, Tx};

use crate::tally::{Tallies, TallyBook, TallyKey};
use crate::{IntakeError, IntakeParts, IntakeStats};

/// Different counts that may wait for the database.
const NOTES_MAX: usize = 10_000;
/// Counts of `other` items that may wait beside them.
const OTHER_NOTES_MAX: usize = 1_000;
/// How often they are written.
const FLUSH_INTERVAL: Duration = Duration::from_secs(1);

/// The door's side of intake: accepts deliveries and counts what it refuses.
pub struct Intake {
    spool: Spool,
    parts: IntakeParts,
    notes: Mutex<Tallies>,
    /// Held while notes are on their way into the database.
    flushing: tokio::sync::Mutex<()>,
    book: TallyBook,
}

impl Intake {
    /// A door into `spool`. [`Intake::run`] must run beside it for notes to arrive.
    #[must_use]
    pub fn new(spool: Spool, parts: IntakeParts) -> Self {
        Self {
            spool,
            parts,
            notes: Mutex::default(),
            flushing: tokio::sync::Mutex::default(),
            book: TallyBook::default(),
        }
    }

    /// Puts a delivery on disk; when this returns `Ok`, it will be digested whatever happens to this process.
    ///
    /// # Errors
    /// [`IntakeError::Full`], [`IntakeError::DiskFull`], [`IntakeError::Closed`] and [`IntakeError::Spool`] pass;
    /// [`IntakeError::TooLarge`] does not.
    pub async fn accept(&self, delivery: Delivery) -> Result<(), IntakeError> {
        match self.spool.append(delivery.encode()?).await {
            Ok(_) => {
                self.parts.stats.count_accepted();
                Ok(())
            }
            Err(error) => {
                self.parts.stats.count_refused();
                Err(error.into())
            }
        }
    }

    /// Counts what the door did with items that never become a delivery; in the database within about a second.
    ///
    /// At most 10,000 different counts wait for the database; more of them are counted as item `other`, and where
    /// even that is too many, only as lost ([`crate::IntakeStatsSnapshot::tallies_lost`]). A killed process loses the last second.
    pub fn note(&self, tally: Tally) {
        let key = TallyKey::of(&tally, self.parts.clock.now());
        self.add_note(key, tally.quantity);
    }

    /// How much waits in the spool.
    #[must_use]
    pub fn depth(&self) -> SpoolDepth {
        self.spool.depth()
    }

    /// The counters of this process.
    #[must_use]
    pub fn stats(&self) -> &IntakeStats {
        &self.parts.stats
    }

    /// Writes notes every second, and once more when `tasks` are told to stop.
    pub async fn run(self: Arc<Self>, tasks: Tasks) {
        let mut is_failing = false;
        loop {
            tokio::select! {
                () = tasks.stopped() => {}
                () = tokio::time::sleep(FLUSH_INTERVAL) => {}
            }
            let is_last = tasks.is_stopped();
            let flushed = self.flush().await;
            if is_failing != flushed.is_err() {
                is_failing = flushed.is_err();
                match flushed {
                    Err(error) => tracing::warn!(%error, "counts of the door cannot be written, they wait"),
                    Ok(()) => tracing::info!("counts of the door are written again"),
                }
            }
            if is_last {
                return;
            }
        }
    }

    /// Writes all notes now. Those that could not be written wait for the next time.
    ///
    /// # Errors
    /// The storage error of the transaction.
    pub async fn flush(&self) -> Result<(), StorageError> {
        let _flushing = self.flushing.lock().await;
        let notes = std::mem::take(&mut *self.notes.lock().unwrap_or_else(PoisonError::into_inner));
        if notes.is_empty() {
            return Ok(());
        }
        let copy = notes.clone();
        let written = self.parts.db.write(async |tx: &Tx| self.book.add_in(tx, copy).await).await;
        if written.is_err() {
            for (key, quantity) in notes {
                self.add_note(key, quantity);
            }
        }
        written
    }

    /// Refuses further deliveries and writes what is left, for the end of the process.
    pub async fn close(&self) {
        self.spool.close().await;
        if let Err(error) = self.flush().await {
            tracing::warn!(%error, "the door's last counts were not written");
        }
    }

    fn add_note(&self, key: TallyKey, quantity: u64) {
        let mut notes = self.notes.lock().unwrap_or_else(PoisonError::into_inner);
        let is_new = !notes.contains_key(&key);
        let key = if is_new && notes.len() >= NOTES_MAX { key.into_other() } else { key };
        if notes.len() >= NOTES_MAX + OTHER_NOTES_MAX && !notes.contains_key(&key) {
            drop(notes);
            self.parts.stats.count_tallies_lost(quantity);
            return;
        }
        *notes.entry(key).or_default() += quantity;
    }
}
