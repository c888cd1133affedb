use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use belvedere_migrations::Migrator;
use sea_orm::sqlx::Connection;
use sea_orm::sqlx::sqlite::{SqliteJournalMode, SqliteSynchronous};
use sea_orm::{
    ConnectOptions, ConnectionTrait, DatabaseConnection, DbErr, RuntimeErr, SqliteTransactionMode,
    TransactionOptions, TransactionTrait,
};
use sea_orm_migration::MigratorTrait;

use crate::checkpoint::Checkpoints;
use crate::{Dialect, StorageError, Tx};

/// The key of the PostgreSQL advisory lock under which migrations run, so that two starting processes do not race.
const MIGRATION_LOCK: i64 = 0x42_45_4c_56;

/// Pages of 4 KiB in the log of SQLite from which on a writer moves them into the database file itself, if they are not
/// there already.
const LOG_PAGES_MAX: u32 = 16_000;

/// How often whoever stands back looks whether others still write.
const LOOK_EVERY: Duration = Duration::from_millis(1);

/// Where the database is and how many connections it may have.
#[derive(Debug, Clone)]
pub struct DatabaseConfig {
    /// `sqlite:///path/to/file.db` or `postgres://user:password@host/database`.
    pub url: String,
    /// The most connections that this process opens (readers, for SQLite).
    pub connections_max: u32,
    /// How long to wait for a free connection before the database counts as unavailable.
    pub acquire_timeout: Duration,
    /// How long a write transaction may take on PostgreSQL before the server counts as unavailable; unused on SQLite.
    /// A server that vanishes without a word (a failover, a cut cable) otherwise leaves its callers waiting for ever.
    pub write_timeout: Duration,
    /// Looked up before `public` on PostgreSQL; unused on SQLite.
    pub schema: Option<String>,
}

impl DatabaseConfig {
    /// The configuration for `url`, with 8 connections, 5 s of patience for one and 120 s for a transaction.
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            connections_max: 8,
            acquire_timeout: Duration::from_secs(5),
            write_timeout: Duration::from_secs(120),
            schema: None,
        }
    }

    /// The embedded database in the file at `path`, which is created if it does not exist.
    #[must_use]
    pub fn sqlite_file(path: &Path) -> Self {
        Self::new(format!("sqlite://{}?mode=rwc", path.display()))
    }
}

/// A connected database: any number of readers, and writers one transaction at a time each.
///
/// SQLite has one writing connection whose transactions begin IMMEDIATE, beside readers that see the last
/// committed state (write-ahead log, synchronous = FULL, secure_delete = ON).
#[derive(Clone)]
pub struct Database {
    reader: DatabaseConnection,
    writer: DatabaseConnection,
    pub(crate) checkpoints: Option<Arc<Checkpoints>>,
    /// Transactions that have begun or wait for that.
    writing: Arc<AtomicUsize>,
    url: Arc<str>,
    write_timeout: Duration,
    #[cfg(feature = "testing")]
    pub(crate) faults: crate::testing::Faults,
}

impl Database {
    /// Opens the database.
    ///
    /// # Errors
    /// [`StorageError::Unavailable`] when it cannot be reached.
    pub async fn connect(config: &DatabaseConfig) -> Result<Self, StorageError> {
        let (reader, writer, checkpoints) = if config.url.starts_with("sqlite:") {
            let writer = sea_orm::Database::connect(sqlite_options(config, 1)).await?;
            let reader = sea_orm::Database::connect(sqlite_options(config, config.connections_max)).await?;
            let mover = sea_orm::Database::connect(sqlite_options(config, 1)).await?;
            (reader, writer, Some(Arc::new(Checkpoints::new(mover))))
        } else {
            let connection = sea_orm::Database::connect(postgres_options(config)).await?;
            (connection.clone(), connection, None)
        };
        Ok(Self {
            reader,
            writer,
            checkpoints,
            writing: Arc::default(),
            url: config.url.as_str().into(),
            write_timeout: config.write_timeout,
            #[cfg(feature = "testing")]
            faults: crate::testing::Faults::default(),
        })
    }

    /// A connection for queries. On SQLite it refuses to write.
    #[must_use]
    pub fn read(&self) -> &DatabaseConnection {
        &self.reader
    }

    /// Which database this is.
    #[must_use]
    pub fn dialect(&self) -> Dialect {
        Dialect::of(&self.writer)
    }

    /// Runs `work` in one transaction: committed if it returns `Ok`, rolled back if it returns `Err` or is dropped.
    ///
    /// One attempt: retrying belongs to the caller that knows whether its work can be repeated.
    ///
    /// # Errors
    /// Whatever `work` returns, or the storage error of beginning or committing; [`StorageError::Unavailable`] when
    /// PostgreSQL takes longer than [`DatabaseConfig::write_timeout`], and then it may have been committed or not.
    pub async fn write<T, E, F>(&self, work: F) -> Result<T, E>
    where
        F: AsyncFnOnce(&Tx) -> Result<T, E> + Send,
        E: From<StorageError>,
    {
        match self.dialect() {
            Dialect::Sqlite => self.write_unbounded(work).await,
            Dialect::Postgres => tokio::time::timeout(self.write_timeout, self.write_unbounded(work))
                .await
                .unwrap_or_else(|_| Err(StorageError::Unavailable(no_answer()).into())),
        }
    }

    /// Waits until nobody writes or waits to write, but at most for `longest`: before a transaction for which others should
    /// not wait. PostgreSQL has many writers: there it is over at once.
    pub async fn stand_back(&self, longest: Duration) {
        if self.dialect() != Dialect::Sqlite {
            return;
        }
        let begun = Instant::now();
        while self.writing.load(Ordering::Relaxed) > 0 && begun.elapsed() < longest {
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    async fn write_unbounded<T, E, F>(&self, work: F) -> Result<T, E>
    where
        F: AsyncFnOnce(&Tx) -> Result<T, E> + Send,
        E: From<StorageError>,
    {
        let _writing = Writing::begin(&self.writing);
        let options = TransactionOptions {
            sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate),
            ..TransactionOptions::default()
        };
        let transaction = self.writer.begin_with_options(options).await.map_err(StorageError::from)?;
        let tx = Tx::new(
            transaction,
            #[cfg(feature = "testing")]
            self.faults.clone(),
        );
        match work(&tx).await {
            Ok(value) => {
                tx.commit().await.map_err(StorageError::from)?;
                if let Some(checkpoints) = &self.checkpoints {
                    checkpoints.begin_if_due();
                }
                Ok(value)
            }
            Err(error) => {
                if let Err(rollback) = tx.rollback().await {
                    tracing::warn!(error = %rollback, "rollback failed; the connection is discarded");
                }
                Err(error)
            }
        }
    }

    /// Applies every pending migration, each in a transaction of its own, under a lock.
    ///
    /// # Errors
    /// The storage error of the first migration that fails; those before it stay applied.
    pub async fn migrate(&self) -> Result<(), StorageError> {
        // One connection, so that the advisory lock and the migrations share a session.
        let mut config = DatabaseConfig::new(&*self.url);
        config.schema = self.schema().await?;
        let connection = match self.dialect() {
            Dialect::Sqlite => self.writer.clone(),
            Dialect::Postgres => {
                let mut options = postgres_options(&config);
                options.max_connections(1);
                let connection = sea_orm::Database::connect(options).await?;
                connection.execute_unprepared(&format!("SELECT pg_advisory_lock({MIGRATION_LOCK})")).await?;
                connection
            }
        };
        Migrator::up(&connection, None).await?;
        if self.dialect() == Dialect::Postgres {
            connection.close().await?;
        }
        Ok(())
    }

    /// The names of the migrations that this binary knows and the database has not applied.
    ///
    /// # Errors
    /// A storage error when the database cannot be asked.
    pub async fn list_pending_migrations(&self) -> Result<Vec<String>, StorageError> {
        let pending = Migrator::get_pending_migrations(&self.writer).await?;
        Ok(pending.iter().map(|migration| migration.name().to_owned()).collect())
    }

    /// Undoes the newest `count` migrations; for development.
    ///
    /// # Errors
    /// The storage error of the first step that fails.
    pub async fn migrate_down(&self, count: u32) -> Result<(), StorageError> {
        Ok(Migrator::down(&self.writer, Some(count)).await?)
    }

    /// Answers when the database does.
    ///
    /// # Errors
    /// [`StorageError::Unavailable`] when it does not.
    pub async fn ping(&self) -> Result<(), StorageError> {
        self.reader.execute_unprepared("SELECT 1").await?;
        Ok(())
    }

    /// Waits for open statements and closes every connection.
    ///
    /// # Errors
    /// A storage error when the database does not answer any more.
    pub async fn close(&self) -> Result<(), StorageError> {
        self.reader.clone().close().await?;
        self.writer.clone().close().await?;
        if let Some(checkpoints) = &self.checkpoints {
            checkpoints.close().await?;
        }
        Ok(())
    }

    async fn schema(&self) -> Result<Option<String>, StorageError> {
        if self.dialect() == Dialect::Sqlite {
            return Ok(None);
        }
        let statement =
            sea_orm::Statement::from_string(self.writer.get_database_backend(), "SELECT current_schema()");
        let row = self.writer.query_one_raw(statement).await?;
        Ok(match row {
            Some(row) => row.try_get_by_index::<Option<String>>(0)?,
            None => None,
        })
    }
}

/// One more writes for as long as this is there.
struct Writing<'a>(&'a AtomicUsize);

impl<'a> Writing<'a> {
    fn begin(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for Writing<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl std::fmt::Debug for Database {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Database({:?})", self.dialect())
    }
}

fn no_answer() -> DbErr {
    DbErr::Conn(RuntimeErr::Internal("no answer within the time that a transaction may take".to_owned()))
}

fn common_options(config: &DatabaseConfig, connections: u32) -> ConnectOptions {
    let mut options = ConnectOptions::new(&config.url);
    options
        .max_connections(connections)
        .acquire_timeout(config.acquire_timeout)
        .connect_timeout(config.acquire_timeout)
        // Few, and asked whether they live before they are used. What looks for old ones in sqlx 0.9.0 counts those that are
        // idle down below nothing where one is taken while it comes back, and then never ends.
        .idle_timeout(None)
        .max_lifetime(None)
        .sqlx_logging(false)
        .record_stmt_in_spans(false);
    options
}

fn postgres_options(config: &DatabaseConfig) -> ConnectOptions {
    let mut options = common_options(config, config.connections_max);
    options.set_application_name("belvedere");
    if let Some(schema) = &config.schema {
        options.set_schema_search_path(schema);
    }
    options
}

fn sqlite_options(config: &DatabaseConfig, connections: u32) -> ConnectOptions {
    let mut options = common_options(config, connections);
    let is_reader = connections > 1;
    options.test_before_acquire(false).map_sqlx_sqlite_opts(move |sqlite| {
        let sqlite = sqlite
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .busy_timeout(Duration::from_secs(5))
            .foreign_keys(true)
            .pragma("secure_delete", "ON")
            .pragma("temp_store", "MEMORY")
            .pragma("cache_size", if is_reader { "-2000" } else { "-6000" })
            .pragma("wal_autocheckpoint", LOG_PAGES_MAX.to_string())
            .pragma("journal_size_limit", "67108864");
        if is_reader { sqlite.pragma("query_only", "ON") } else { sqlite }
    });
    // SQLite ends a transaction by itself when the disk is full. The driver does not notice: it would nest every
    // later transaction in one that is never committed. Such a connection is replaced.
    options.map_sqlx_sqlite_pool_opts(|pool| {
        pool.before_acquire(|connection, _| {
            let is_clean = !connection.is_in_transaction();
            Box::pin(async move { Ok(is_clean) })
        })
    });
    options
}
