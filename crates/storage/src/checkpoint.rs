//! SQLite's log is moved into the database file beside the writer, whose commits would wait for it otherwise.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use sea_orm::{ConnectionTrait, DatabaseConnection, DbErr, Statement};

/// Pages in the log from which on they are moved.
const PAGES_MIN: i32 = 1_000;

/// How often to look at most.
const LOOK_EVERY: Duration = Duration::from_millis(100);

pub(crate) struct Checkpoints {
    connection: DatabaseConnection,
    looked_at: Mutex<Instant>,
    is_busy: AtomicBool,
}

impl Checkpoints {
    pub(crate) fn new(connection: DatabaseConnection) -> Self {
        Self { connection, looked_at: Mutex::new(Instant::now()), is_busy: AtomicBool::new(false) }
    }

    /// Begins to move the log if it is long and nobody does.
    #[expect(clippy::disallowed_methods, reason = "close() waits for the connection, and so for the task")]
    pub(crate) fn begin_if_due(self: &Arc<Self>) {
        {
            let mut looked_at = self.looked_at.lock().unwrap_or_else(PoisonError::into_inner);
            if looked_at.elapsed() < LOOK_EVERY {
                return;
            }
            *looked_at = Instant::now();
        }
        if self.is_busy.swap(true, Ordering::SeqCst) {
            return;
        }
        let this = Arc::clone(self);
        tokio::spawn(async move {
            if let Err(error) = this.move_long_log().await {
                tracing::debug!(%error, "the log of the database was not moved, a writer will do it");
            }
            this.is_busy.store(false, Ordering::SeqCst);
        });
    }

    async fn move_long_log(&self) -> Result<(), DbErr> {
        if self.waiting_pages().await? >= PAGES_MIN {
            // Passive: it waits for no reader and no writer, and they do not wait for it.
            self.connection.execute_unprepared("PRAGMA wal_checkpoint(PASSIVE)").await?;
        }
        Ok(())
    }

    /// Pages that are in the log only.
    ///
    /// SQLite is asked, which locks nothing for this answer. The files of a database are never opened beside it: closing
    /// one ends every lock that this process holds on it, and another process then takes the database for its own
    /// (<https://www.sqlite.org/howtocorrupt.html>, 2.2).
    async fn waiting_pages(&self) -> Result<i32, DbErr> {
        let ask =
            Statement::from_string(self.connection.get_database_backend(), "PRAGMA wal_checkpoint(NOOP)");
        // Whether it was busy, pages in the log, pages of them that are moved; both -1 without a log.
        let Some(row) = self.connection.query_one_raw(ask).await? else { return Ok(0) };
        Ok(row.try_get_by_index::<i32>(1)? - row.try_get_by_index::<i32>(2)?)
    }

    pub(crate) async fn close(&self) -> Result<(), DbErr> {
        self.connection.clone().close().await
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::{TestDatabase, run};
    use crate::{execute_sql, query_sql};

    use super::*;

    /// Whoever opens the file beside this process (a worker, a tool) sees by a lock on its index that it is in use.
    #[cfg(target_os = "linux")]
    #[test]
    fn the_lock_that_says_the_database_is_in_use_stays() {
        use std::os::unix::fs::MetadataExt;

        run(async {
            let db = TestDatabase::sqlite().await;
            let files = query_sql(db.read(), "PRAGMA database_list", []).await.unwrap();
            let index = format!("{}-shm", files[0].try_get_by_index::<String>(2).unwrap());
            let inode = format!(":{} ", std::fs::metadata(index).unwrap().ino());
            let is_locked = || std::fs::read_to_string("/proc/locks").unwrap().contains(&inode);
            assert!(is_locked());
            let checkpoints = db.checkpoints.as_ref().unwrap();
            checkpoints.move_long_log().await.unwrap();
            assert!(is_locked());
        });
    }

    #[test]
    fn a_long_log_is_moved_beside_the_writer() {
        run(async {
            let db = TestDatabase::sqlite().await;
            let write = async |statement: &str, count: i64| {
                db.write(async |tx| {
                    for number in 0..count {
                        execute_sql(tx, statement, [number.into(), vec![7_u8; 4_000].into()]).await?;
                    }
                    Ok::<_, crate::StorageError>(())
                })
                .await
                .unwrap();
            };
            db.write(async |tx| {
                execute_sql(tx, "CREATE TABLE page (id INTEGER PRIMARY KEY, bytes BLOB)", []).await
            })
            .await
            .unwrap();
            let checkpoints = Arc::clone(db.checkpoints.as_ref().unwrap());
            write("INSERT INTO page VALUES ($1, $2)", 1_500).await;
            assert!(checkpoints.waiting_pages().await.unwrap() >= PAGES_MIN);
            tokio::time::sleep(LOOK_EVERY).await;
            write("UPDATE page SET bytes = $2 WHERE id = $1", 1).await;
            let began = Instant::now();
            while checkpoints.waiting_pages().await.unwrap() >= PAGES_MIN {
                assert!(began.elapsed() < Duration::from_secs(20), "nothing was moved");
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            let rows = query_sql(db.read(), "SELECT COUNT(*) FROM page WHERE length(bytes) = 4000", []).await;
            assert_eq!(rows.unwrap()[0].try_get_by_index::<i64>(0).unwrap(), 1_500);
        });
    }
}
