use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::{Mutex as Turn, Notify};

use crate::{Tasks, error_chain};

/// The most items that wait; further ones are refused, so that whoever adds them knows of it.
const WAITING_MAX: usize = 10_000;
/// Items of one batch.
const BATCH: usize = 50;
/// The longest that an item waits for others.
const WAIT_MAX: Duration = Duration::from_secs(5);
/// How often the last items are tried when the process ends, and the pause between.
const LAST_TRIES: u32 = 5;
const LAST_PAUSE: Duration = Duration::from_millis(200);

/// Writes items of a [`Batching`].
#[async_trait]
pub trait BatchWriter: Send + Sync {
    /// What is written.
    type Item: Clone + Send + Sync;
    /// Why it could not be.
    type Error: std::error::Error + Send + 'static;
    /// What items are called in the log, such as `learning events`.
    const ITEMS: &'static str;

    /// Writes a batch whole or not at all; an item that is written twice must count once.
    async fn write(&self, batch: Vec<Self::Item>) -> Result<(), Self::Error>;
}

/// Items that wait in memory and are written fifty at a time, or after five seconds.
///
/// What cannot be written is in front again, in its order.
pub struct Batching<W: BatchWriter> {
    writer: W,
    waiting: Mutex<VecDeque<W::Item>>,
    /// One batch at a time, so that what failed is in front again before the next one is taken.
    turn: Turn<()>,
    is_full_batch: Notify,
}

impl<W: BatchWriter> Batching<W> {
    /// The most items that wait.
    pub const WAITING_MAX: usize = WAITING_MAX;

    /// Nothing waits yet; [`Batching::run`] must run beside it for items to be written by themselves.
    #[must_use]
    pub fn new(writer: W) -> Self {
        Self { writer, waiting: Mutex::default(), turn: Turn::default(), is_full_batch: Notify::new() }
    }

    /// Adds an item.
    ///
    /// # Errors
    /// How many items wait when there are [`Batching::WAITING_MAX`]; then it is not taken.
    pub fn add(&self, item: W::Item) -> Result<(), usize> {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.len() >= WAITING_MAX {
            return Err(waiting.len());
        }
        waiting.push_back(item);
        if waiting.len() >= BATCH {
            self.is_full_batch.notify_one();
        }
        Ok(())
    }

    /// How many items wait.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// Writes everything that waits, batch by batch.
    ///
    /// # Errors
    /// That of the first batch that fails; it is in front again, and nothing behind it was taken.
    pub async fn flush(&self) -> Result<(), W::Error> {
        let _turn = self.turn.lock().await;
        loop {
            let batch: Vec<W::Item> = {
                let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
                let count = waiting.len().min(BATCH);
                waiting.drain(..count).collect()
            };
            if batch.is_empty() {
                return Ok(());
            }
            if let Err(error) = self.writer.write(batch.clone()).await {
                let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
                for item in batch.into_iter().rev() {
                    waiting.push_front(item);
                }
                return Err(error);
            }
        }
    }

    /// Writes what is added until `tasks` are told to stop, and then the rest.
    pub async fn run(&self, tasks: Tasks) {
        let items = W::ITEMS;
        while !tasks.is_stopped() {
            tokio::select! {
                () = self.is_full_batch.notified() => {}
                () = tokio::time::sleep(WAIT_MAX) => {}
                () = tasks.stopped() => break,
            }
            if let Err(error) = self.flush().await {
                let (error, waiting) = (error_chain(&error), self.waiting());
                tracing::warn!(error, waiting, "{items} were not written, they are tried again");
                tokio::select! {
                    () = tokio::time::sleep(LAST_PAUSE) => {}
                    () = tasks.stopped() => {}
                }
            }
        }
        for _ in 0..LAST_TRIES {
            match self.flush().await {
                Ok(()) => return,
                Err(error) => {
                    tracing::warn!(error = error_chain(&error), "the last {items} were not written")
                }
            }
            tokio::time::sleep(LAST_PAUSE).await;
        }
        tracing::error!(lost = self.waiting(), "{items} are lost: the database stayed away");
    }
}

impl<W: BatchWriter> std::fmt::Debug for Batching<W> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Batching").field("waiting", &self.waiting()).finish_non_exhaustive()
    }
}
