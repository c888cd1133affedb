//! A fresh database for every test, on both backends, and statements that fail on command.
//!
//! ```ignore
//! belvedere_storage::database_tests!(resolved_issue_reopens_on_new_event);
//!
//! async fn resolved_issue_reopens_on_new_event(db: TestDatabase) { .. }
//! ```
//! makes a test `sqlite::resolved_issue_..` and a test `postgres::resolved_issue_..`. PostgreSQL is taken from
//! `TEST_POSTGRES_URL`; without it the test says that it was left out, and fails when `CI` is set.

use std::future::Future;
use std::ops::Deref;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use sea_orm::{ConnectionTrait, DbErr, RuntimeErr};

use crate::{Database, DatabaseConfig, Id};

/// Makes the nth statement of a transaction fail, commit included.
#[derive(Clone, Debug)]
pub struct Faults(Arc<AtomicI64>);

impl Default for Faults {
    fn default() -> Self {
        Self(Arc::new(AtomicI64::new(i64::MIN)))
    }
}

impl Faults {
    /// Lets `n` statements pass and fails the one after them, once.
    pub fn fail_after(&self, n: u32) {
        self.0.store(i64::from(n), Ordering::SeqCst);
    }

    /// Whether the failure that was ordered has not happened yet; forgets it.
    #[must_use]
    pub fn take_unused(&self) -> bool {
        self.0.swap(i64::MIN, Ordering::SeqCst) >= 0
    }

    pub(crate) fn check(&self) -> Result<(), DbErr> {
        if self.0.load(Ordering::SeqCst) < 0 {
            return Ok(());
        }
        if self.0.fetch_sub(1, Ordering::SeqCst) == 0 {
            self.0.store(i64::MIN, Ordering::SeqCst);
            return Err(DbErr::Exec(RuntimeErr::Internal("fault ordered by the test".to_owned())));
        }
        Ok(())
    }
}

/// A migrated, empty database that is this test's own.
pub struct TestDatabase {
    database: Database,
    directory: Option<PathBuf>,
}

impl TestDatabase {
    /// A database in a new temporary file, removed when dropped.
    pub async fn sqlite() -> Self {
        let directory = std::env::temp_dir().join(format!("belvedere-test-{}", random_name()));
        std::fs::create_dir_all(&directory)
            .unwrap_or_else(|error| panic!("cannot create {directory:?}: {error}"));
        let config = DatabaseConfig::sqlite_file(&directory.join("belvedere.db"));
        Self { database: connect(&config).await, directory: Some(directory) }
    }

    /// A new schema on the server of `TEST_POSTGRES_URL`; `None`, said aloud, where that is not set.
    pub async fn postgres() -> Option<Self> {
        let url = server_url("TEST_POSTGRES_URL", "PostgreSQL")?;
        let schema = format!("test_{}", random_name());
        let mut config = DatabaseConfig { connections_max: 4, ..DatabaseConfig::new(url) };
        let server =
            Database::connect(&config).await.unwrap_or_else(|error| panic!("cannot connect: {error:?}"));
        let created = server.read().execute_unprepared(&format!("CREATE SCHEMA {schema}")).await;
        created.unwrap_or_else(|error| panic!("cannot create schema {schema}: {error}"));
        server.close().await.unwrap_or_else(|error| panic!("cannot close: {error}"));
        config.schema = Some(schema);
        Some(Self { database: connect(&config).await, directory: None })
    }

    /// The switch for failing statements of this database.
    #[must_use]
    pub fn faults(&self) -> &Faults {
        &self.database.faults
    }

    /// The database itself, to hand to a service.
    #[must_use]
    pub fn database(&self) -> Database {
        self.database.clone()
    }
}

impl Deref for TestDatabase {
    type Target = Database;

    fn deref(&self) -> &Database {
        &self.database
    }
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        if let Some(directory) = &self.directory {
            let _ = std::fs::remove_dir_all(directory);
        }
    }
}

/// The address of a test server from the environment; `None`, said aloud, where it is not set.
///
/// # Panics
/// Under `CI`, where leaving a suite out is a failure.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "test servers are announced by the environment")]
pub fn server_url(variable: &str, server: &str) -> Option<String> {
    if let Ok(url) = std::env::var(variable) {
        return Some(url);
    }
    assert!(
        std::env::var_os("CI").is_none(),
        "{variable} is not set: the {server} suite may not be left out under CI"
    );
    eprintln!("LEFT OUT: {server} test, because {variable} is not set");
    None
}

/// Runs a test's future to its end.
pub fn run<T>(test: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap_or_else(|error| panic!("cannot start a runtime: {error}"))
        .block_on(test)
}

/// Makes each named `async fn(TestDatabase)` a test on SQLite and a test on PostgreSQL.
#[macro_export]
macro_rules! database_tests {
    ($($name:ident),+ $(,)?) => {
        mod sqlite {
            $(#[test] fn $name() {
                $crate::testing::run(async { super::$name($crate::testing::TestDatabase::sqlite().await).await });
            })+
        }
        mod postgres {
            $(#[test] fn $name() {
                $crate::testing::run(async {
                    if let Some(database) = $crate::testing::TestDatabase::postgres().await {
                        super::$name(database).await;
                    }
                });
            })+
        }
    };
}

async fn connect(config: &DatabaseConfig) -> Database {
    let database =
        Database::connect(config).await.unwrap_or_else(|error| panic!("cannot connect: {error:?}"));
    database.migrate().await.unwrap_or_else(|error| panic!("cannot migrate: {error:?}"));
    database
}

fn random_name() -> String {
    Id::<()>::generate(crate::Timestamp::EPOCH).to_string().to_lowercase()
}
