//! Sessions as real SDKs send them.

use std::time::Duration;

use belvedere_kernel::Delivery;
use belvedere_storage::database_tests;
use belvedere_storage::testing::TestDatabase;
use bytes::Bytes;
use serde_json::{Value, json};

use super::fakes::{Bench, OTHER_PROJECT, delivery, tallies};
use super::releases::rows;
use crate::Releases;

database_tests!(
    sessions_of_real_sdks_are_counted_by_what_became_of_them,
    a_session_changes_state_once_however_often_and_in_whatever_order_it_is_told,
    sessions_that_cannot_be_counted_say_why,
    two_workers_count_a_session_once,
    who_used_a_release_is_counted_by_hour_and_by_day,
    what_is_too_old_is_swept,
);

fn fixture(name: &str, encoding: Option<&str>) -> Delivery {
    let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/fixtures/sentry/");
    let body = Bytes::from(std::fs::read(format!("{directory}{name}.body")).unwrap());
    Delivery { encoding: encoding.map(str::to_owned), body, ..delivery("sentry.envelope", b"") }
}

fn session(sid: u32, change: Value) -> String {
    let mut update = json!({"sid": format!("{sid:032x}"), "started": "2026-11-23T12:10:00Z", "status": "ok",
        "attrs": {"release": "shop@1.0.0", "environment": "production"}});
    for (key, value) in change.as_object().unwrap() {
        update[key] = value.clone();
    }
    format!("{{}}\n{{\"type\":\"session\"}}\n{update}")
}

const HOURS: &str = "SELECT version || ' ' || environment || ' ' || (hour - 498732) || ': ' || session_count || ' ' || \
                     errored_count || ' ' || abnormal_count || ' ' || unhandled_count || ' ' || crashed_count \
                     FROM error_release_hour ORDER BY version, environment, hour";

const USERS: &str = "SELECT version || ' ' || width_hours || ' ' || (hour % 24) || ' ' || state FROM error_release_user \
                     ORDER BY version, width_hours, hour, subject_id";

async fn sessions_of_real_sdks_are_counted_by_what_became_of_them(db: TestDatabase) {
    let bench = Bench::new(db);
    let start = bench.take_in("sentry.envelope", vec![fixture("browser_session_start", None)]).await.unwrap();
    assert_eq!(tallies(&start.0), [("session", "stored", "", 1)]);
    assert_eq!(rows(&bench, HOURS).await, ["storefront@4.1.0 production 0: 1 0 0 0 0"]);
    let others = vec![
        fixture("browser_session_unhandled", None),
        fixture("node_session_start", None),
        fixture("node_session_end", None),
        fixture("python_session", Some("gzip")),
        fixture("python_sessions_aggregate", Some("gzip")),
        fixture("rust_event_with_session", None),
    ];
    bench.take_in("sentry.envelope", others).await.unwrap();
    assert_eq!(
        rows(&bench, HOURS).await,
        [
            "depot@0.9.2 production 0: 1 1 0 0 0",
            "importer@1.3.0 staging 0: 1 1 0 0 0",
            "shop@2.14.0 production 0: 1 0 0 0 1",
            "storefront-api@7.2.0 production 0: 1 1 0 0 0",
            "storefront@4.1.0 production 0: 1 0 0 1 0",
        ]
    );
    let releases = "SELECT version || ' ' || COALESCE(CAST((first_event_at - first_seen) / 1000 AS text), 'no event') FROM \
                    error_release ORDER BY version";
    assert_eq!(
        rows(&bench, releases).await,
        [
            "depot@0.9.2 0",
            "importer@1.3.0 no event",
            "shop@2.14.0 no event",
            "storefront-api@7.2.0 no event",
            "storefront@4.1.0 no event",
        ]
    );
}

async fn a_session_changes_state_once_however_often_and_in_whatever_order_it_is_told(db: TestDatabase) {
    let bench = Bench::new(db);
    let updates = [
        session(1, json!({"status": "crashed", "errors": 2})),
        session(1, json!({"init": true})),
        session(1, json!({"errors": 1})),
        session(2, json!({"status": "exited", "errors": 0})),
        session(2, json!({"init": true})),
    ];
    // One by one, then all at once, and again.
    for update in &updates {
        bench.take_in_envelopes(std::slice::from_ref(update)).await;
    }
    bench.take_in_envelopes(&updates).await;
    bench.take_in_envelopes(&updates).await;
    assert_eq!(rows(&bench, HOURS).await, ["shop@1.0.0 production 0: 2 0 0 0 1"]);
    // A session of another project with the same id is another session.
    let foreign = Delivery { project: OTHER_PROJECT, ..delivery("sentry.envelope", updates[3].as_bytes()) };
    bench.take_in("sentry.envelope", vec![foreign]).await.unwrap();
    assert_eq!(rows(&bench, HOURS).await.len(), 2);
}

async fn sessions_that_cannot_be_counted_say_why(db: TestDatabase) {
    let bench = Bench::new(db);
    let many: String =
        (1..103).map(|sid| session(sid, json!({})).strip_prefix("{}\n").unwrap().to_owned() + "\n").collect();
    let bodies = [
        session(1, json!({"attrs": {}})),
        session(1, json!({"started": "2026-11-17T12:00:00Z"})),
        session(1, json!({"sid": 7})),
        format!("{{}}\n{many}"),
    ];
    let (stored, rejected) = bench.take_in_envelopes(&bodies).await;
    assert_eq!(rejected, []);
    assert_eq!(
        tallies(&stored),
        [
            ("session", "dropped", "invalid", 1),
            ("session", "dropped", "no_release", 1),
            ("session", "dropped", "too_many_items", 2),
            ("session", "dropped", "too_old", 1),
            ("session", "stored", "", 100),
        ]
    );
}

async fn two_workers_count_a_session_once(db: TestDatabase) {
    let bench = Bench::new(db);
    let handlers = bench.errors.intake_handlers();
    let prepare = async |status: &str| {
        let bodies: Vec<_> = (1..40)
            .map(|sid| delivery("sentry.envelope", session(sid, json!({"status": status})).as_bytes()))
            .collect();
        handlers[0].prepare(bodies).await.unwrap().batch
    };
    let batches = [prepare("ok").await, prepare("crashed").await, prepare("abnormal").await];
    let store = async |batch: &dyn belvedere_kernel::PreparedBatch| {
        bench.db.write(async |tx| batch.store(tx).await).await.unwrap();
    };
    tokio::join!(store(&*batches[0]), store(&*batches[1]), store(&*batches[2]));
    assert_eq!(rows(&bench, HOURS).await, ["shop@1.0.0 production 0: 39 0 0 0 39"]);
}

async fn who_used_a_release_is_counted_by_hour_and_by_day(db: TestDatabase) {
    let bench = Bench::new(db);
    bench
        .take_in_envelopes(&[
            session(1, json!({"did": "anna"})),
            session(2, json!({"did": "anna", "started": "2026-11-23T11:10:00Z", "status": "crashed"})),
            session(3, json!({"did": "bert", "errors": 1})),
            session(4, json!({})),
        ])
        .await;
    // Who somebody is may become known later; what happened before counts for them.
    bench.take_in_envelopes(&[session(5, json!({"status": "unhandled"}))]).await;
    bench.take_in_envelopes(&[session(5, json!({"did": "carl", "errors": 1}))]).await;
    let mut found = rows(&bench, USERS).await;
    found.sort();
    assert_eq!(
        found,
        [
            "shop@1.0.0 1 11 4",
            "shop@1.0.0 1 12 0",
            "shop@1.0.0 1 12 1",
            "shop@1.0.0 1 12 3",
            "shop@1.0.0 24 0 1",
            "shop@1.0.0 24 0 3",
            "shop@1.0.0 24 0 4",
        ]
    );
    for table in ["error_session", "error_release_user"] {
        let texts = format!("SELECT version || environment FROM {table}");
        assert!(!rows(&bench, &texts).await.iter().any(|text| text.contains("anna")), "{table}");
    }
}

async fn what_is_too_old_is_swept(db: TestDatabase) {
    let bench = Bench::new(db);
    bench.take_in_envelopes(&[session(1, json!({"did": "anna"}))]).await;
    let count = async |table: &str| {
        rows(&bench, &format!("SELECT CAST(COUNT(*) AS text) FROM {table}")).await[0].clone()
    };
    let day = Duration::from_secs(86_400);
    for (days, sessions, users, hours) in
        [(2, "1", "2", "1"), (4, "1", "1", "1"), (7, "0", "1", "1"), (91, "0", "0", "0")]
    {
        bench.clock.set(super::fakes::now().plus(day * days));
        bench.errors.sweep_releases(&|| false).await.unwrap();
        assert_eq!(
            (
                count("error_session").await,
                count("error_release_user").await,
                count("error_release_hour").await
            ),
            (sessions.to_owned(), users.to_owned(), hours.to_owned()),
            "{days}"
        );
    }
    assert_eq!(count("error_release").await, "1");
}
