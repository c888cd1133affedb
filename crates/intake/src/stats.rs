use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Counters of this process since its start, cheap to count and to read, for `/metrics` and `/readyz`.
#[derive(Debug, Default)]
pub struct IntakeStats {
    accepted: AtomicU64,
    refused: AtomicU64,
    digested: AtomicU64,
    batches: AtomicU64,
    retries: AtomicU64,
    set_aside: AtomicU64,
    shipped: AtomicU64,
    tallies_lost: AtomicU64,
    lag_micros: AtomicU64,
    stalled_loops: AtomicU64,
}

/// The counters at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct IntakeStatsSnapshot {
    /// Deliveries that are safely in the spool.
    pub accepted: u64,
    /// Deliveries that the spool did not take.
    pub refused: u64,
    /// Deliveries whose results are committed, those set aside included.
    pub digested: u64,
    /// Transactions in which that happened.
    pub batches: u64,
    /// Attempts that failed and were repeated.
    pub retries: u64,
    /// Deliveries set aside.
    pub set_aside: u64,
    /// Deliveries moved from the spool to the shared database.
    pub shipped: u64,
    /// Items noted at the door that were not counted, because too many different ones waited for the database.
    pub tallies_lost: u64,
    /// Age of the newest delivery when it was last digested.
    pub lag: Duration,
    /// Whether digestion fails at the moment and is being retried.
    pub is_stalled: bool,
}

impl IntakeStats {
    /// The counters as they are now.
    #[must_use]
    pub fn snapshot(&self) -> IntakeStatsSnapshot {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        IntakeStatsSnapshot {
            accepted: get(&self.accepted),
            refused: get(&self.refused),
            digested: get(&self.digested),
            batches: get(&self.batches),
            retries: get(&self.retries),
            set_aside: get(&self.set_aside),
            shipped: get(&self.shipped),
            tallies_lost: get(&self.tallies_lost),
            lag: Duration::from_micros(get(&self.lag_micros)),
            is_stalled: self.is_stalled(),
        }
    }

    /// Whether digestion fails at the moment and is being retried.
    #[must_use]
    pub fn is_stalled(&self) -> bool {
        self.stalled_loops.load(Ordering::Relaxed) > 0
    }

    pub(crate) fn count_accepted(&self) {
        self.accepted.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn count_refused(&self) {
        self.refused.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn count_batch(&self, deliveries: usize, set_aside: usize, lag: Duration) {
        self.digested.fetch_add(deliveries as u64, Ordering::Relaxed);
        self.set_aside.fetch_add(set_aside as u64, Ordering::Relaxed);
        self.batches.fetch_add(1, Ordering::Relaxed);
        self.lag_micros.store(u64::try_from(lag.as_micros()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    pub(crate) fn count_retry(&self) {
        self.retries.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn count_shipped(&self, deliveries: usize) {
        self.shipped.fetch_add(deliveries as u64, Ordering::Relaxed);
    }

    pub(crate) fn count_tallies_lost(&self, quantity: u64) {
        self.tallies_lost.fetch_add(quantity, Ordering::Relaxed);
    }

    /// Counts the loops that cannot go on at the moment.
    pub(crate) fn set_stalled(&self, is_stalled: bool) {
        if is_stalled {
            self.stalled_loops.fetch_add(1, Ordering::Relaxed);
        } else {
            self.stalled_loops.fetch_sub(1, Ordering::Relaxed);
        }
    }
}
