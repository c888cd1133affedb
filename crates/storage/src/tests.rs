use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use sea_orm::{ConnectionTrait, Statement, Value};

use crate::testing::TestDatabase;
use crate::{
    Cursor, Database, DatabaseConfig, Dialect, Id, Page, PageRequest, Sql, StorageError, Timestamp, Tx, bulk,
};

crate::database_tests!(
    a_failed_write_leaves_nothing_and_a_good_one_is_seen_by_readers,
    hooks_run_only_after_a_commit,
    a_violated_key_is_a_conflict,
    a_failing_statement_or_commit_leaves_the_state_as_before,
    migrating_twice_changes_nothing,
    ids_and_timestamps_come_back_as_they_went_in,
    every_migration_can_be_undone_and_applied_again,
    lists_of_any_length_go_into_statements,
    whoever_stands_back_waits_for_those_who_write,
);

async fn with_table(db: &TestDatabase) {
    db.write(async |tx| execute(tx, "CREATE TABLE thing (number BIGINT PRIMARY KEY, name TEXT)").await)
        .await
        .unwrap();
}

async fn execute(tx: &Tx, sql: &str) -> Result<(), StorageError> {
    tx.execute_unprepared(sql).await?;
    Ok(())
}

async fn count(db: &Database) -> i64 {
    let statement = Statement::from_string(db.read().get_database_backend(), "SELECT COUNT(*) FROM thing");
    db.read().query_one_raw(statement).await.unwrap().unwrap().try_get_by_index(0).unwrap()
}

async fn whoever_stands_back_waits_for_those_who_write(db: TestDatabase) {
    // Nobody writes.
    db.stand_back(Duration::from_secs(600)).await;
    let longest = Duration::from_millis(20);
    let stood = db
        .write(async |_| {
            let begun = Instant::now();
            db.stand_back(longest).await;
            Ok::<_, StorageError>(begun.elapsed())
        })
        .await
        .unwrap();
    assert!(stood >= longest || db.dialect() == Dialect::Postgres);
    let failed = db.write(async |_| Err::<(), _>(StorageError::corrupt("by the test"))).await;
    assert!(failed.is_err());
    db.stand_back(Duration::from_secs(600)).await;
}

async fn a_failed_write_leaves_nothing_and_a_good_one_is_seen_by_readers(db: TestDatabase) {
    with_table(&db).await;
    let failed: Result<(), StorageError> = db
        .write(async |tx| {
            execute(tx, "INSERT INTO thing VALUES (1, 'one')").await?;
            Err(StorageError::corrupt("on purpose"))
        })
        .await;
    assert!(matches!(failed, Err(StorageError::Corrupt(why)) if why == "on purpose"));
    assert_eq!(count(&db).await, 0);
    db.write(async |tx| execute(tx, "INSERT INTO thing VALUES (1, 'one')").await).await.unwrap();
    assert_eq!(count(&db).await, 1);
}

async fn hooks_run_only_after_a_commit(db: TestDatabase) {
    with_table(&db).await;
    let ran = Arc::new(AtomicU32::new(0));
    let write = async |fails: bool| {
        let ran = Arc::clone(&ran);
        db.write(async move |tx| {
            tx.after_commit(move || {
                ran.fetch_add(1, Ordering::SeqCst);
            });
            if fails { Err(StorageError::corrupt("on purpose")) } else { Ok(()) }
        })
        .await
    };
    write(true).await.unwrap_err();
    assert_eq!(ran.load(Ordering::SeqCst), 0);
    write(false).await.unwrap();
    assert_eq!(ran.load(Ordering::SeqCst), 1);
}

async fn a_violated_key_is_a_conflict(db: TestDatabase) {
    with_table(&db).await;
    db.write(async |tx| execute(tx, "INSERT INTO thing VALUES (1, 'one')").await).await.unwrap();
    let again = db.write(async |tx| execute(tx, "INSERT INTO thing VALUES (1, 'uno')").await).await;
    assert!(matches!(again, Err(StorageError::Conflict(_))), "{again:?}");
    let nonsense = db.write(async |tx| execute(tx, "INSERT INTO nothing VALUES (1)").await).await;
    assert!(matches!(nonsense, Err(StorageError::Other(_))), "{nonsense:?}");
}

async fn a_failing_statement_or_commit_leaves_the_state_as_before(db: TestDatabase) {
    with_table(&db).await;
    for n in 0..3 {
        db.faults().fail_after(n);
        let result = db
            .write(async |tx| {
                execute(tx, "INSERT INTO thing VALUES (1, 'one')").await?;
                execute(tx, "INSERT INTO thing VALUES (2, 'two')").await
            })
            .await;
        assert!(result.is_err(), "statement {n} did not fail");
        assert_eq!(count(&db).await, 0, "statement {n} failed");
    }
    assert!(!db.faults().take_unused());
}

async fn migrating_twice_changes_nothing(db: TestDatabase) {
    assert_eq!(db.list_pending_migrations().await.unwrap(), Vec::<String>::new());
    db.migrate().await.unwrap();
    assert_eq!(db.list_pending_migrations().await.unwrap(), Vec::<String>::new());
}

async fn every_migration_can_be_undone_and_applied_again(db: TestDatabase) {
    let all = u32::try_from(count_migrations(&db).await).unwrap();
    db.migrate_down(all).await.unwrap();
    assert_eq!(db.list_pending_migrations().await.unwrap().len(), all as usize);
    db.migrate().await.unwrap();
    assert_eq!(count_migrations(&db).await, i64::from(all));
}

async fn count_migrations(db: &Database) -> i64 {
    let statement =
        Statement::from_string(db.read().get_database_backend(), "SELECT COUNT(*) FROM schema_migration");
    db.read().query_one_raw(statement).await.unwrap().unwrap().try_get_by_index(0).unwrap()
}

async fn ids_and_timestamps_come_back_as_they_went_in(db: TestDatabase) {
    let (id_type, at) = match db.dialect() {
        Dialect::Sqlite => ("BLOB", Timestamp::from_micros(-1)),
        Dialect::Postgres => ("UUID", Timestamp::from_micros(i64::MAX)),
    };
    let id = Id::<()>::generate(Timestamp::from_micros(1_795_435_445_250_001));
    db.write(async |tx| {
        execute(tx, &format!("CREATE TABLE pair (id {id_type} PRIMARY KEY, at BIGINT)")).await?;
        let insert = "INSERT INTO pair VALUES ($1, $2)";
        let values = [id.into(), at.into()];
        tx.execute_raw(Statement::from_sql_and_values(tx.get_database_backend(), insert, values)).await?;
        Ok::<_, StorageError>(())
    })
    .await
    .unwrap();
    let statement = Statement::from_string(db.read().get_database_backend(), "SELECT id, at FROM pair");
    let row = db.read().query_one_raw(statement).await.unwrap().unwrap();
    assert_eq!(row.try_get_by_index::<Id<()>>(0).unwrap(), id);
    assert_eq!(row.try_get_by_index::<Timestamp>(1).unwrap(), at);
}

async fn lists_of_any_length_go_into_statements(db: TestDatabase) {
    with_table(&db).await;
    let of = |number: i64| [Value::from(number), format!("name {number}").into()];
    for count in [0, 1, 5, 256, 700] {
        let numbers: Vec<i64> = (0..count).collect();
        db.write(async |tx| {
            let rows = numbers.iter().map(|number| of(*number)).collect();
            bulk(tx, "INSERT INTO thing (number, name) VALUES ", rows, "").await
        })
        .await
        .unwrap();
        let mut sql = Sql::new(db.read(), "SELECT number FROM thing WHERE name <> ");
        sql.bind("name 3").push(" AND number");
        let mut found: Vec<i64> = Vec::new();
        for row in sql.fetch_in(db.read(), &numbers).await.unwrap() {
            found.push(row.try_get_by_index(0).unwrap());
        }
        found.sort_unstable();
        assert_eq!(found, numbers.iter().copied().filter(|number| *number != 3).collect::<Vec<_>>());
        let deleted = db
            .write(async |tx| Sql::new(tx, "DELETE FROM thing WHERE number").execute_in(tx, &numbers).await);
        assert_eq!(deleted.await.unwrap(), u64::try_from(count).unwrap());
    }
    let rows = vec![of(1), of(2)];
    let returned = db.write(async |tx| {
        bulk(tx, "INSERT INTO thing (number, name) VALUES ", rows.clone(), " RETURNING number").await
    });
    assert_eq!(returned.await.unwrap().len(), 2);
}

#[test]
fn an_absent_server_is_unavailable() {
    crate::testing::run(async {
        let config = DatabaseConfig {
            acquire_timeout: std::time::Duration::from_millis(300),
            ..DatabaseConfig::new("postgres://nobody@127.0.0.1:1/nothing")
        };
        let error = Database::connect(&config).await.unwrap_err();
        assert!(matches!(error, StorageError::Unavailable(_)), "{error:?}");
    });
}

#[test]
fn a_statement_that_the_server_cut_short_or_refused_as_a_standby_is_tried_again() {
    crate::testing::run(async {
        let Some(db) = TestDatabase::postgres().await else { return };
        let slow = async |tx: &Tx| {
            execute(tx, "SET LOCAL statement_timeout = 50").await?;
            execute(tx, "SELECT pg_sleep(5)").await
        };
        let cancelled = db.write(slow).await;
        assert!(matches!(cancelled, Err(StorageError::Busy(_))), "{cancelled:?}");
        let read_only = async |tx: &Tx| {
            execute(tx, "SET TRANSACTION READ ONLY").await?;
            execute(tx, "CREATE TABLE thing (number BIGINT)").await
        };
        let refused = db.write(read_only).await;
        assert!(matches!(refused, Err(StorageError::Unavailable(_))), "{refused:?}");
    });
}

#[test]
fn a_transaction_that_the_server_does_not_answer_ends_and_the_next_one_works() {
    crate::testing::run(async {
        let Some(url) = crate::testing::server_url("TEST_POSTGRES_URL", "PostgreSQL") else { return };
        let write_timeout = std::time::Duration::from_millis(300);
        let db =
            Database::connect(&DatabaseConfig { write_timeout, ..DatabaseConfig::new(url) }).await.unwrap();
        let started = std::time::Instant::now();
        let silent = db.write(async |tx: &Tx| execute(tx, "SELECT pg_sleep(60)").await).await;
        assert!(matches!(silent, Err(StorageError::Unavailable(_))), "{silent:?}");
        db.write(async |tx: &Tx| execute(tx, "SELECT 1").await).await.unwrap();
        assert!(started.elapsed() < std::time::Duration::from_secs(30), "{:?}", started.elapsed());
    });
}

#[test]
fn readers_of_the_embedded_database_cannot_write() {
    crate::testing::run(async {
        let db = TestDatabase::sqlite().await;
        with_table(&db).await;
        assert!(db.read().execute_unprepared("INSERT INTO thing VALUES (1, 'one')").await.is_err());
    });
}

#[test]
fn a_page_knows_where_the_next_one_begins() {
    let cursor = |row: &i64| Cursor::of(&[row, &"key"]);
    let page = Page::from_rows(vec![9, 8, 7], 2, cursor);
    assert_eq!(page.items, [9, 8]);
    assert_eq!(page.next.as_ref().and_then(Cursor::parts), Some(["8", "key"]));
    assert_eq!(Page::from_rows(vec![9, 8], 2, cursor).next, None);
    assert_eq!(PageRequest::first(10_000).limit(), 200);
    assert_eq!(PageRequest::first(0).limit(), 1);
}
