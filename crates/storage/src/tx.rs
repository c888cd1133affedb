use std::fmt;
use std::pin::pin;
use std::sync::{LazyLock, Mutex, PoisonError};
use std::task::Poll;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use sea_orm::{ConnectionTrait, DatabaseTransaction, DbBackend, DbErr, ExecResult, QueryResult, Statement};

type Hook = Box<dyn FnOnce() + Send>;

/// For how long a small statement to SQLite is waited for awake. Most take less, and falling asleep and waking up again
/// costs more than they do: a transaction of many small ones takes a third less.
const AWAKE_MAX: Duration = Duration::from_micros(60);

/// The most values of a small statement.
const SMALL_VALUES_MAX: usize = 32;

/// Whether SQLite's thread can run while another waits awake.
static HAS_SEVERAL_PROCESSORS: LazyLock<bool> =
    LazyLock::new(|| std::thread::available_parallelism().is_ok_and(|count| count.get() > 1));

/// An open write transaction, lent by [`crate::Database::write`], which alone can commit it.
///
/// Do not use one `Tx` from two futures at once: dropping a transaction while a statement is in flight is
/// undefined in the driver.
pub struct Tx {
    inner: DatabaseTransaction,
    after_commit: Mutex<Vec<Hook>>,
    #[cfg(feature = "testing")]
    faults: crate::testing::Faults,
}

impl Tx {
    pub(crate) fn new(
        inner: DatabaseTransaction,
        #[cfg(feature = "testing")] faults: crate::testing::Faults,
    ) -> Self {
        Self {
            inner,
            after_commit: Mutex::new(Vec::new()),
            #[cfg(feature = "testing")]
            faults,
        }
    }

    /// Runs `hook` once the transaction is committed, and never if it is not: for wake-ups and live messages,
    /// which must not announce what does not exist yet.
    pub fn after_commit(&self, hook: impl FnOnce() + Send + 'static) {
        self.after_commit.lock().unwrap_or_else(PoisonError::into_inner).push(Box::new(hook));
    }

    /// Waits for a statement of so many values.
    async fn answer<T>(&self, values: usize, statement: impl Future<Output = T>) -> T {
        let is_sqlite = self.inner.get_database_backend() == DbBackend::Sqlite;
        if !is_sqlite || values > SMALL_VALUES_MAX || !*HAS_SEVERAL_PROCESSORS {
            return statement.await;
        }
        let mut statement = pin!(statement);
        std::future::poll_fn(|context| {
            let begun = Instant::now();
            loop {
                match statement.as_mut().poll(context) {
                    Poll::Pending if begun.elapsed() < AWAKE_MAX => {
                        (0..50).for_each(|_| std::hint::spin_loop());
                    }
                    state => return state,
                }
            }
        })
        .await
    }

    pub(crate) async fn commit(self) -> Result<(), DbErr> {
        #[cfg(feature = "testing")]
        self.faults.check()?;
        self.inner.commit().await?;
        for hook in self.after_commit.into_inner().unwrap_or_else(PoisonError::into_inner) {
            hook();
        }
        Ok(())
    }

    pub(crate) async fn rollback(self) -> Result<(), DbErr> {
        self.inner.rollback().await
    }
}

impl fmt::Debug for Tx {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tx")
    }
}

#[async_trait]
impl ConnectionTrait for Tx {
    fn get_database_backend(&self) -> DbBackend {
        self.inner.get_database_backend()
    }

    async fn execute_raw(&self, statement: Statement) -> Result<ExecResult, DbErr> {
        #[cfg(feature = "testing")]
        self.faults.check()?;
        let values = statement.values.as_ref().map_or(0, |values| values.0.len());
        self.answer(values, self.inner.execute_raw(statement)).await
    }

    async fn execute_unprepared(&self, sql: &str) -> Result<ExecResult, DbErr> {
        #[cfg(feature = "testing")]
        self.faults.check()?;
        self.inner.execute_unprepared(sql).await
    }

    async fn query_one_raw(&self, statement: Statement) -> Result<Option<QueryResult>, DbErr> {
        #[cfg(feature = "testing")]
        self.faults.check()?;
        let values = statement.values.as_ref().map_or(0, |values| values.0.len());
        self.answer(values, self.inner.query_one_raw(statement)).await
    }

    async fn query_all_raw(&self, statement: Statement) -> Result<Vec<QueryResult>, DbErr> {
        #[cfg(feature = "testing")]
        self.faults.check()?;
        let values = statement.values.as_ref().map_or(0, |values| values.0.len());
        self.answer(values, self.inner.query_all_raw(statement)).await
    }
}
