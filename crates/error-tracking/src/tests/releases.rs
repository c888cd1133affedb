//! Releases as events make them.

use belvedere_kernel::Delivery;
use belvedere_storage::database_tests;
use belvedere_storage::testing::TestDatabase;
use sea_orm::{ConnectionTrait, Statement};
use serde_json::{Value, json};

use super::fakes::{Bench, OTHER_PROJECT, at, delivery, envelope, event_id};

database_tests!(
    a_release_is_made_by_its_first_event_and_follows_the_later_ones,
    a_known_release_is_written_at_most_once_a_minute,
    events_of_a_release_are_counted_by_hour_environment_and_issue,
    the_release_seen_longest_ago_makes_room_at_the_limit,
);

fn event(number: u32, release: &str, timestamp: &str) -> Value {
    json!({"event_id": event_id(number), "platform": "python", "exception": [{"type": "A"}],
        "release": release, "environment": "production", "timestamp": timestamp})
}

/// All rows of a query as texts.
pub(super) async fn rows(bench: &Bench, sql: &str) -> Vec<String> {
    let connection = bench.db.read();
    let statement = Statement::from_string(connection.get_database_backend(), sql.to_owned());
    let rows = connection.query_all_raw(statement).await.unwrap();
    rows.iter().map(|row| row.try_get_by_index::<String>(0).unwrap()).collect()
}

const SEEN: &str = "SELECT project_id || ' ' || version || ' ' || (first_seen / 1000000 - 1795435200) || ' ' || \
                    (last_seen / 1000000 - 1795435200) || ' ' || (first_event_at / 1000000 - 1795435200) FROM \
                    error_release ORDER BY project_id, version";

async fn a_release_is_made_by_its_first_event_and_follows_the_later_ones(db: TestDatabase) {
    let bench = Bench::new(db);
    let foreign = Delivery {
        project: OTHER_PROJECT,
        ..delivery("sentry.envelope", envelope(&event(9, "shop@1.0.0", "2026-11-23T12:00:09Z")).as_bytes())
    };
    bench.take_in("sentry.envelope", vec![foreign]).await.unwrap();
    bench
        .take_in_envelopes(&[
            envelope(&event(1, "shop@1.0.0", "2026-11-23T12:10:00Z")),
            envelope(&event(2, "shop@1.0.0", "2026-11-23T12:05:00Z")),
            envelope(&event(3, "shop@1.1.0", "2026-11-23T12:11:00Z")),
            envelope(&json!({"event_id": event_id(4), "message": "no release"})),
        ])
        .await;
    assert_eq!(
        rows(&bench, SEEN).await,
        ["1 shop@1.0.0 300 600 300", "1 shop@1.1.0 660 660 660", "2 shop@1.0.0 9 9 9"]
    );
    bench
        .take_in_envelopes(&[
            envelope(&event(5, "shop@1.0.0", "2026-11-23T12:01:00Z")),
            envelope(&event(6, "shop@1.0.0", "2026-11-23T12:20:00Z")),
        ])
        .await;
    assert_eq!(rows(&bench, SEEN).await[0], "1 shop@1.0.0 60 1200 60");
}

async fn a_known_release_is_written_at_most_once_a_minute(db: TestDatabase) {
    let bench = Bench::new(db);
    for (number, time, last) in
        [(1, "12:10:00", 600), (2, "12:10:59", 600), (3, "12:11:00", 660), (4, "12:10:30", 660)]
    {
        bench.take_in_envelopes(&[envelope(&event(number, "a", &format!("2026-11-23T{time}Z")))]).await;
        assert_eq!(rows(&bench, SEEN).await, [format!("1 a 600 {last} 600")], "{time}");
    }
}

async fn events_of_a_release_are_counted_by_hour_environment_and_issue(db: TestDatabase) {
    let bench = Bench::new(db);
    let mut events = [
        event(1, "a", "2026-11-23T12:10:00Z"),
        event(2, "a", "2026-11-23T12:20:00Z"),
        event(3, "a", "2026-11-23T11:20:00Z"),
        event(4, "a", "2026-11-23T12:20:00Z"),
        event(5, "b", "2026-11-23T12:20:00Z"),
        event(2, "a", "2026-11-23T12:20:00Z"),
    ];
    events[3]["environment"] = "staging".into();
    events[4]["exception"] = json!([{"type": "B"}]);
    let bodies: Vec<String> = events.iter().map(envelope).collect();
    bench.take_in_envelopes(&bodies).await;
    // A delivery that comes once more counts nothing.
    bench.take_in_envelopes(&bodies).await;
    let hours = "SELECT version || ' ' || environment || ' ' || (hour - 498732) || ' ' || event_count FROM \
                 error_release_hour ORDER BY version, environment, hour";
    assert_eq!(
        rows(&bench, hours).await,
        ["a production -1 1", "a production 0 2", "a staging 0 1", "b production 0 1"]
    );
    let issues = "SELECT r.version || ' ' || i.title || ' ' || r.event_count FROM error_issue_release r JOIN \
                  error_issue i ON i.id = r.issue_id ORDER BY r.version";
    assert_eq!(rows(&bench, issues).await, ["a A 4", "b B 1"]);
    assert_eq!(at("2026-11-23T12:00:00Z").as_seconds() / 3_600, 498_732);
}

async fn the_release_seen_longest_ago_makes_room_at_the_limit(db: TestDatabase) {
    let bench = Bench::new(db);
    let fill = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 10000) INSERT INTO \
                error_release (project_id, version, created_at, first_seen, last_seen, is_declared) \
                SELECT 1, 'r' || i, i, i, i, i = 1 FROM n";
    bench
        .db
        .write(async |tx| tx.execute_unprepared(fill).await.map_err(belvedere_storage::StorageError::from))
        .await
        .unwrap();
    bench
        .take_in_envelopes(&[
            envelope(&event(1, "new-1", "2026-11-23T12:10:00Z")),
            envelope(&event(2, "new-2", "2026-11-23T12:10:00Z")),
            envelope(&event(3, "r3", "2026-11-23T12:10:00Z")),
        ])
        .await;
    let oldest = "SELECT version FROM error_release ORDER BY last_seen, version LIMIT 3";
    assert_eq!(rows(&bench, oldest).await, ["r1", "r5", "r6"]);
    let count = "SELECT CAST(COUNT(*) AS text) FROM error_release";
    assert_eq!(rows(&bench, count).await, ["10000"]);
    // Where the API has spoken of all, a new one is left out, and its events are not.
    bench
        .db
        .write(async |tx| {
            tx.execute_unprepared("UPDATE error_release SET is_declared = TRUE")
                .await
                .map_err(belvedere_storage::StorageError::from)
        })
        .await
        .unwrap();
    let (stored, _) = bench.take_in_envelopes(&[envelope(&event(4, "new-3", "2026-11-23T12:10:00Z"))]).await;
    assert_eq!(super::fakes::tallies(&stored), [("event", "stored", "", 1)]);
    assert_eq!(
        rows(&bench, "SELECT version FROM error_release WHERE version LIKE 'new%' ORDER BY version").await,
        ["new-1", "new-2"]
    );
    assert_eq!(
        rows(&bench, "SELECT version FROM error_release_hour WHERE version = 'new-3'").await,
        Vec::<String>::new()
    );
}
