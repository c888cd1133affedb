//! SQLite's log is moved into the database file beside the writer, whose commits would wait for it otherwise.

use std::fs::File;
use std::io::Read;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use sea_orm::{ConnectionTrait, DatabaseConnection, DbErr};

/// Pages in the log from which on they are moved.
const PAGES_MIN: u32 = 1_000;

/// How often to look at most.
const LOOK_EVERY: Duration = Duration::from_millis(100);

pub(crate) struct Checkpoints {
    connection: DatabaseConnection,
    /// The index of the log.
    index: PathBuf,
    looked_at: Mutex<Instant>,
    is_moving: AtomicBool,
}

impl Checkpoints {
    /// None for a database that is in no file.
    pub(crate) fn new(url: &str, connection: DatabaseConnection) -> Option<Self> {
        let path = url.strip_prefix("sqlite:")?.split('?').next()?.trim_start_matches("//");
        let index = PathBuf::from(format!("{path}-shm"));
        let looked_at = Mutex::new(Instant::now());
        let is_file = !path.is_empty() && path != ":memory:";
        is_file.then_some(Self { connection, index, looked_at, is_moving: AtomicBool::new(false) })
    }

    /// Begins to move the log, if it is long and nobody does.
    #[expect(clippy::disallowed_methods, reason = "close() waits for the connection, and so for the task")]
    pub(crate) fn begin_if_due(self: &Arc<Self>) {
        {
            let mut looked_at = self.looked_at.lock().unwrap_or_else(PoisonError::into_inner);
            if looked_at.elapsed() < LOOK_EVERY {
                return;
            }
            *looked_at = Instant::now();
        }
        if self.waiting_pages().is_none_or(|pages| pages < PAGES_MIN)
            || self.is_moving.swap(true, Ordering::SeqCst)
        {
            return;
        }
        let this = Arc::clone(self);
        tokio::spawn(async move {
            // Passive: it waits for no reader and no writer, and they do not wait for it.
            if let Err(error) = this.connection.execute_unprepared("PRAGMA wal_checkpoint(PASSIVE)").await {
                tracing::debug!(%error, "the log of the database was not moved, a writer will do it");
            }
            this.is_moving.store(false, Ordering::SeqCst);
        });
    }

    /// Pages that are in the log only; none if the index cannot be read. Its header has at byte 16 how many pages the log
    /// has, and at byte 96 how many of them are moved, in the byte order of the machine
    /// (<https://www.sqlite.org/walformat.html>, 2.1).
    fn waiting_pages(&self) -> Option<u32> {
        let mut header = [0; 100];
        File::open(&self.index).and_then(|mut file| file.read_exact(&mut header)).ok()?;
        let number = |at: usize| header.get(at..at + 4)?.try_into().ok().map(u32::from_ne_bytes);
        Some(number(16)?.saturating_sub(number(96)?))
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
            assert!(checkpoints.waiting_pages().unwrap() >= PAGES_MIN);
            tokio::time::sleep(LOOK_EVERY).await;
            write("UPDATE page SET bytes = $2 WHERE id = $1", 1).await;
            let began = Instant::now();
            while checkpoints.waiting_pages().unwrap() >= PAGES_MIN {
                assert!(began.elapsed() < Duration::from_secs(20), "nothing was moved");
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            let rows = query_sql(db.read(), "SELECT COUNT(*) FROM page WHERE length(bytes) = 4000", []).await;
            assert_eq!(rows.unwrap()[0].try_get_by_index::<i64>(0).unwrap(), 1_500);
        });
    }
}
