//! Computing beside the asynchronous work, until it is done, too slow or not wanted any more.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::Semaphore;

use super::QueriesError;
use crate::EventStoreError;
use crate::kernel::Cancelled;

/// Tells work whether to go on.
pub(crate) struct Stop {
    is_abandoned: Arc<AtomicBool>,
    deadline: Instant,
}

impl Stop {
    /// Work that nobody abandons, for so long.
    pub(crate) fn after(time_max: Duration) -> Self {
        Self { is_abandoned: Arc::default(), deadline: Instant::now() + time_max }
    }

    /// Whether nobody waits any more.
    pub(crate) fn is_due(&self) -> bool {
        self.is_abandoned.load(Ordering::Relaxed) || Instant::now() >= self.deadline
    }

    /// Fails when nobody waits any more.
    pub(crate) fn check(&self) -> Result<(), Cancelled> {
        if self.is_due() { Err(Cancelled) } else { Ok(()) }
    }
}

/// Abandons work when its future is dropped.
struct Abandon(Arc<AtomicBool>);

impl Drop for Abandon {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// So many pieces of work at once, each for so long, the wait for its turn included.
#[derive(Debug)]
pub(crate) struct Desk {
    turns: Arc<Semaphore>,
    time_max: Duration,
}

impl Desk {
    pub(crate) fn new(at_once_max: usize, time_max: Duration) -> Self {
        Self { turns: Arc::new(Semaphore::new(at_once_max.max(1))), time_max }
    }

    /// Prepares with `first`, then computes with `then` where blocking is allowed.
    pub(crate) async fn work<A: Send + 'static, T: Send + 'static>(
        &self,
        first: impl Future<Output = Result<A, QueriesError>>,
        then: impl FnOnce(A, &Stop) -> Result<T, QueriesError> + Send + 'static,
    ) -> Result<T, QueriesError> {
        let too_slow = || QueriesError::TooSlow { limit: self.time_max };
        let deadline = Instant::now() + self.time_max;
        let prepare = async {
            let turn = Arc::clone(&self.turns).acquire_owned().await.map_err(|_| QueriesError::Cancelled)?;
            Ok::<_, QueriesError>((turn, first.await?))
        };
        let (turn, prepared) =
            tokio::time::timeout_at(deadline.into(), prepare).await.map_err(|_| too_slow())??;
        let abandon = Abandon(Arc::default());
        let stop = Stop { is_abandoned: Arc::clone(&abandon.0), deadline };
        let done = tokio::task::spawn_blocking(move || {
            // The turn is over when the work is, not when nobody waits for it any more.
            let _turn = turn;
            then(prepared, &stop)
        });
        match done.await {
            // As long as this future is there, only the deadline stops work.
            Ok(Err(QueriesError::Cancelled)) => Err(too_slow()),
            Ok(answer) => answer,
            Err(error) => Err(EventStoreError::Internal(error.to_string()).into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use belvedere_storage::testing::run;

    use super::*;

    async fn nothing() -> Result<(), QueriesError> {
        Ok(())
    }

    fn wait(stop: &Stop) -> Result<(), QueriesError> {
        loop {
            stop.check()?;
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    #[test]
    fn work_that_takes_too_long_is_stopped() {
        run(async {
            let desk = Desk::new(1, Duration::from_millis(20));
            let error = desk.work(nothing(), |(), stop| wait(stop)).await.unwrap_err();
            assert_eq!(error.to_string(), "no answer within 20 ms; ask for a shorter range");
            assert_eq!(desk.work(nothing(), |(), _| Ok(5)).await.unwrap(), 5);
        });
    }

    #[test]
    fn work_that_nobody_waits_for_stops_and_gives_up_its_turn() {
        run(async {
            let desk = Desk::new(1, Duration::from_secs(60));
            let (started, starts) = mpsc::channel();
            let (stopped, stops) = mpsc::channel();
            let work = desk.work(nothing(), move |(), stop| {
                started.send(()).unwrap();
                let outcome = wait(stop);
                stopped.send(outcome.is_err()).unwrap();
                outcome
            });
            // The next one waits for its turn while the first is at work.
            let dropped = tokio::time::timeout(Duration::from_millis(50), work).await;
            assert!(dropped.is_err());
            starts.recv().unwrap();
            assert_eq!(desk.work(nothing(), |(), _| Ok(7)).await.unwrap(), 7);
            assert_eq!(stops.recv_timeout(Duration::from_secs(20)), Ok(true));
        });
    }
}
