//! Errors as events.

use std::sync::Arc;

use belvedere_event_store::{Embedded, EventStore, Limits, NO_SUBJECT, Select, TextField};
use belvedere_storage::database_tests;
use belvedere_storage::testing::TestDatabase;
use serde_json::{Value, json};

use super::fakes::{Bench, OTHER_PROJECT, PROJECT, at, delivery, envelope, event_id};
use crate::{ERROR_EVENT, ErrorTracking, ListIssues};

database_tests!(errors_are_events_too, a_batch_that_fails_leaves_no_event);

/// A bench whose errors are events, and the store. Nothing is sealed, so that no directory is needed.
fn with_store(db: TestDatabase) -> (Bench, Embedded) {
    let bench = Bench::new(db);
    let directory = std::env::temp_dir().join("belvedere-no-segments");
    let store = Embedded::new(bench.db.database(), directory, bench.clock.clone(), Limits::default());
    let errors = bench.errors.with_event_store(Arc::new(store.clone()));
    (Bench { errors, ..bench }, store)
}

fn error(number: u32, course: &str, user: Option<&str>) -> Value {
    let mut event = json!({
        "event_id": event_id(number),
        "timestamp": format!("2026-11-23T12:00:{number:02}Z"),
        "platform": "python",
        "level": "fatal",
        "release": "shop@2",
        "environment": "production",
        "tags": {"course": course, "plan": "pro"},
        "contexts": {"browser": {"name": "Firefox", "version": "141"}, "os": {"name": "Linux"}},
        "exception": [{"type": "KeyError", "value": "x", "mechanism": {"type": "flask", "handled": false}}],
    });
    if let Some(user) = user {
        event["user"] = json!({ "id": user });
    }
    event
}

async fn errors_are_events_too(db: TestDatabase) {
    let (bench, store) = with_store(db);
    let bodies =
        [error(1, "rust-1", Some("ann")), error(2, &"é".repeat(150), None), error(1, "rust-1", Some("ann"))]
            .map(|event| envelope(&event));
    bench.take_in_envelopes(&bodies).await;
    bench.take_in_envelopes(&bodies[..2]).await;
    let mut elsewhere = delivery("sentry.envelope", bodies[0].as_bytes());
    elsewhere.project = OTHER_PROJECT;
    bench.take_in("sentry.envelope", vec![elsewhere]).await.unwrap();
    bench.errors.record_event(PROJECT, error(4, "rust-2", None)).await.unwrap();

    let issue = bench.errors.list_issues(ListIssues::first(PROJECT)).await.unwrap().items[0].id;
    let batches = store.load(Select::all(PROJECT)).await.unwrap();
    let mut found = Vec::new();
    for batch in &batches {
        for row in 0..batch.count {
            assert_eq!(batch.name(row), ERROR_EVENT);
            let props: Value = serde_json::from_str(batch.props.get(row)).unwrap();
            found.push((
                batch.times[row],
                batch.subjects[row] != NO_SUBJECT,
                batch.text(TextField::Course, row).unwrap().to_owned(),
                props,
            ));
            assert_eq!(batch.text(TextField::Browser, row), Some("Firefox"));
            assert_eq!(batch.text(TextField::Os, row), Some("Linux"));
            assert_eq!(batch.text(TextField::Plan, row), Some("pro"));
        }
    }
    found.sort_by_key(|(time, ..)| *time);
    let props = json!({
        "issue": issue, "level": "fatal", "platform": "python", "release": "shop@2", "environment": "production",
        "error.type": "KeyError", "handled": "no", "mechanism": "flask",
    });
    let time = |text: &str| at(text).as_micros();
    assert_eq!(
        found,
        [
            (time("2026-11-23T12:00:01Z"), true, "rust-1".to_owned(), props.clone()),
            (time("2026-11-23T12:00:02Z"), false, "é".repeat(100), props.clone()),
            (time("2026-11-23T12:00:04Z"), false, "rust-2".to_owned(), props),
        ]
    );
    let elsewhere = store.load(Select::all(OTHER_PROJECT)).await.unwrap();
    assert_eq!(elsewhere.iter().map(|batch| batch.count).sum::<usize>(), 1);
}

async fn a_batch_that_fails_leaves_no_event(db: TestDatabase) {
    let (bench, store) = with_store(db);
    let body = [envelope(&error(1, "rust-1", Some("ann")))];
    let deliveries = || body.iter().map(|body| delivery("sentry.envelope", body.as_bytes())).collect();
    for failures in 0.. {
        bench.db.faults().fail_after(failures);
        let taken = bench.take_in("sentry.envelope", deliveries()).await;
        let is_unharmed = bench.db.faults().take_unused();
        let events = store.stats(PROJECT).await.unwrap().tail_events;
        if is_unharmed {
            taken.unwrap();
            assert_eq!(events, 1);
            assert!(failures > 10, "{failures}");
            return;
        }
        assert!(taken.is_err());
        assert_eq!(events, 0, "statement {failures}");
    }
}
