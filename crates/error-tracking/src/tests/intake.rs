use belvedere_kernel::Delivery;
use belvedere_storage::database_tests;
use belvedere_storage::testing::TestDatabase;
use serde_json::{Value, json};

use super::fakes::{Bench, OTHER_PROJECT, PROJECT, delivery, envelope, event_id, tallies};
use crate::{ErrorTracking, ListIssues};

database_tests!(
    every_item_of_an_envelope_is_counted,
    events_of_an_envelope_beyond_the_limit_are_counted_as_too_many,
    reports_of_clients_are_counted_by_category,
    what_is_no_envelope_is_rejected_and_the_rest_stored,
    repetitions_within_and_between_batches_count_once,
    the_id_that_was_answered_is_the_id_that_is_stored,
    single_events_of_old_clients_are_stored,
    a_batch_announces_its_issues_once_per_project,
    a_batch_of_several_projects_keeps_them_apart,
    a_large_batch_is_divided_and_stays_in_order,
    who_it_happened_to_is_stored_nowhere,
);

fn event(number: u32, kind: &str) -> Value {
    json!({"event_id": event_id(number), "platform": "python", "exception": [{"type": kind}]})
}

async fn every_item_of_an_envelope_is_counted(db: TestDatabase) {
    let bench = Bench::new(db);
    let body = [
        "{}",
        "{\"type\":\"session\"}",
        "{}",
        "{\"type\":\"hologram\"}",
        "{}",
        "{\"type\":\"event\"}",
        "{\"exception\":[{\"type\":\"A\"}],\"event_id\":\"00000000000000000000000000000001\"}",
        "{\"type\":\"event\"}",
        "this is no JSON",
        "{\"no\":\"type\"}",
        "payload",
        "{\"type\":\"attachment\",\"length\":100}",
        "short",
    ];
    let (stored, rejected) = bench.take_in_envelopes(&[body.join("\n")]).await;
    assert_eq!(rejected, []);
    assert_eq!(
        tallies(&stored),
        [
            ("attachment", "dropped", "invalid", 1),
            ("event", "dropped", "invalid", 1),
            ("event", "stored", "", 1),
            ("hologram", "dropped", "unknown_type", 1),
            ("other", "dropped", "invalid", 1),
            ("session", "dropped", "invalid", 1),
        ]
    );
}

async fn events_of_an_envelope_beyond_the_limit_are_counted_as_too_many(db: TestDatabase) {
    let bench = Bench::new(db);
    let items: Vec<String> =
        (1..=13).map(|number| format!("{{\"type\":\"event\"}}\n{}\n", event(number, "A"))).collect();
    let bodies = [format!("{{}}\n{}", items.concat()), envelope(&event(14, "A"))];
    let (stored, rejected) = bench.take_in_envelopes(&bodies).await;
    assert_eq!(rejected, []);
    assert_eq!(tallies(&stored), [("event", "dropped", "too_many_items", 3), ("event", "stored", "", 11)]);
}

async fn reports_of_clients_are_counted_by_category(db: TestDatabase) {
    let bench = Bench::new(db);
    let report = json!({"timestamp": 1, "discarded_events": [
        {"reason": "before_send", "category": "error", "quantity": 3},
        {"reason": "before_send", "category": "error", "quantity": 2},
        {"reason": "moon phase", "category": "moonbeam", "quantity": 1},
        {"reason": "sample_rate", "category": "transaction", "quantity": 0},
    ]});
    let bodies = [report.to_string(), "[]x".to_owned()]
        .map(|report| format!("{{}}\n{{\"type\":\"client_report\"}}\n{report}"));
    let (stored, _) = bench.take_in_envelopes(&bodies).await;
    assert_eq!(
        tallies(&stored),
        [
            ("client:error", "dropped", "before_send", 5),
            ("client:other", "dropped", "other", 1),
            ("client_report", "dropped", "invalid", 1),
            ("client_report", "stored", "", 1),
        ]
    );
}

async fn what_is_no_envelope_is_rejected_and_the_rest_stored(db: TestDatabase) {
    let bench = Bench::new(db);
    let mut damaged = delivery("sentry.envelope", b"not gzip");
    damaged.encoding = Some("gzip".to_owned());
    let deliveries = vec![
        delivery("sentry.envelope", b"not an envelope"),
        delivery("sentry.envelope", envelope(&event(1, "A")).as_bytes()),
        damaged,
    ];
    let (stored, rejected) = bench.take_in("sentry.envelope", deliveries).await.unwrap();
    let reasons: Vec<_> =
        rejected.iter().map(|rejected| (rejected.index, rejected.reason.as_str())).collect();
    assert_eq!(
        reasons,
        [(0, "envelope headers are not a JSON object (column 2)"), (2, "body is not valid gzip")]
    );
    assert_eq!(tallies(&stored), [("event", "stored", "", 1)]);
}

async fn repetitions_within_and_between_batches_count_once(db: TestDatabase) {
    let bench = Bench::new(db);
    let bodies = [1, 2, 1, 1].map(|number| envelope(&event(number, "A")));
    let (stored, _) = bench.take_in_envelopes(&bodies).await;
    assert_eq!(tallies(&stored), [("event", "dropped", "duplicate", 2), ("event", "stored", "", 2)]);
    let (stored, _) = bench.take_in_envelopes(&bodies).await;
    assert_eq!(tallies(&stored), [("event", "dropped", "duplicate", 4)]);
    assert_eq!(stored.messages, []);
    let page = bench.errors.list_issues(ListIssues::first(PROJECT)).await.unwrap();
    assert_eq!((page.items.len(), page.items[0].events, page.items[0].hourly[23]), (1, 2, 2));
}

async fn the_id_that_was_answered_is_the_id_that_is_stored(db: TestDatabase) {
    let bench = Bench::new(db);
    let body = "{\"event_id\":\"00000000-0000-0000-0000-00000000000a\"}\n{\"type\":\"event\"}\n{\"message\":\"x\",\"event_id\":\"0000000000000000000000000000000b\"}";
    let headed = delivery("sentry.envelope", body.as_bytes());
    let assigned = Delivery {
        assigned_id: Some(event_id(12)),
        ..delivery("sentry.envelope", envelope(&json!({"message": "x"})).as_bytes())
    };
    bench.take_in("sentry.envelope", vec![headed, assigned]).await.unwrap();
    for (number, exists) in [(10, true), (11, false), (12, true)] {
        let found = bench.errors.find_event(PROJECT, &event_id(number)).await.unwrap();
        assert_eq!(found.is_some(), exists, "{number}");
    }
}

async fn single_events_of_old_clients_are_stored(db: TestDatabase) {
    use base64::Engine;
    use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
    use std::io::Write;

    let bench = Bench::new(db);
    let mut zlib = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
    zlib.write_all(event(3, "A").to_string().as_bytes()).unwrap();
    let deliveries = vec![
        delivery("sentry.store", event(1, "A").to_string().as_bytes()),
        delivery("sentry.store", STANDARD.encode(event(2, "A").to_string()).as_bytes()),
        delivery("sentry.store", STANDARD_NO_PAD.encode(zlib.finish().unwrap()).as_bytes()),
        delivery("sentry.store", b"?!"),
        delivery("sentry.store", b"{\"message\": }"),
        Delivery { assigned_id: Some(event_id(6)), ..delivery("sentry.store", b"{\"message\":\"x\"}") },
    ];
    let (stored, rejected) = bench.take_in("sentry.store", deliveries).await.unwrap();
    let reasons: Vec<_> =
        rejected.iter().map(|rejected| (rejected.index, rejected.reason.as_str())).collect();
    assert_eq!(reasons, [(3, "body is neither JSON nor base64"), (4, "not JSON (line 1, column 13)")]);
    assert_eq!(tallies(&stored), [("event", "stored", "", 4)]);
    assert!(bench.errors.find_event(PROJECT, &event_id(6)).await.unwrap().is_some());
}

async fn a_batch_announces_its_issues_once_per_project(db: TestDatabase) {
    let bench = Bench::new(db);
    bench.take_in_envelopes(&[envelope(&event(1, "A"))]).await;
    let (stored, _) = bench
        .take_in_envelopes(
            &[2, 3, 4].map(|number| envelope(&event(number, if number == 4 { "B" } else { "A" }))),
        )
        .await;
    let page = bench.errors.list_issues(ListIssues::first(PROJECT)).await.unwrap();
    let id = |title: &str| page.items.iter().find(|issue| issue.title == title).unwrap().id;
    assert_eq!(stored.messages.len(), 1);
    assert_eq!(
        (stored.messages[0].project, stored.messages[0].topic.as_str()),
        (Some(PROJECT), "issue.events")
    );
    assert_eq!(
        stored.messages[0].data,
        json!({"events": 3, "issues": [
            {"id": id("A"), "title": "A", "is_new": false, "events": 3, "last_seen": "2026-11-23T12:34:56Z", "level": "error", "reopened": null},
            {"id": id("B"), "title": "B", "is_new": true, "events": 1, "last_seen": "2026-11-23T12:34:56Z", "level": "error", "reopened": null},
        ]})
    );
}

async fn a_batch_of_several_projects_keeps_them_apart(db: TestDatabase) {
    let bench = Bench::new(db);
    let body = envelope(&event(1, "A"));
    let foreign = Delivery { project: OTHER_PROJECT, ..delivery("sentry.envelope", body.as_bytes()) };
    let (stored, _) = bench
        .take_in("sentry.envelope", vec![delivery("sentry.envelope", body.as_bytes()), foreign])
        .await
        .unwrap();
    assert_eq!(stored.messages.len(), 2);
    for project in [PROJECT, OTHER_PROJECT] {
        let page = bench.errors.list_issues(ListIssues::first(project)).await.unwrap();
        assert_eq!((page.items.len(), page.items[0].number, page.items[0].events), (1, 1, 1));
    }
}

async fn a_large_batch_is_divided_and_stays_in_order(db: TestDatabase) {
    let bench = Bench::new(db);
    let mut bodies: Vec<String> =
        (1..=400).map(|number| envelope(&event(number, &format!("E{}", number % 300)))).collect();
    bodies[250] = "no envelope".to_owned();
    let (stored, rejected) = bench.take_in_envelopes(&bodies).await;
    assert_eq!(rejected.iter().map(|rejected| rejected.index).collect::<Vec<_>>(), [250]);
    assert_eq!(tallies(&stored), [("event", "stored", "", 399)]);
    assert_eq!(stored.messages[0].data["issues"].as_array().unwrap().len(), 50);
    // Numbers follow the order of acceptance; the 251st delivery made none.
    let find = async |kind: &str| {
        let query = ListIssues { text: Some(kind.to_owned()), ..ListIssues::first(PROJECT) };
        let page = bench.errors.list_issues(query).await.unwrap();
        page.items.into_iter().map(|issue| (issue.number, issue.events)).collect::<Vec<_>>()
    };
    assert_eq!(find("e250").await, [(250, 1)]);
    assert_eq!(find("e251").await, []);
    assert_eq!(find("e252").await, [(251, 1)]);
    assert_eq!(find("e33").await, [(33, 2)]);
}

async fn who_it_happened_to_is_stored_nowhere(db: TestDatabase) {
    use sea_orm::{ConnectionTrait, Statement};

    let bench = Bench::new(db);
    let person = json!({
        "event_id": event_id(1), "platform": "javascript",
        "user": {"id": "kund-88412", "email": "m.devries@codeland.example", "username": "mdevries7", "ip_address": "{{auto}}"},
        "tags": {"who": "kund-88412"}, "message": "hello mdevries7 at 198.51.100.7",
        "breadcrumbs": [{"message": "login of m.devries@codeland.example"}],
        "request": {"headers": {"X-Real-Ip": "198.51.100.7", "User-Agent": "Mozilla/5.0 (X11; Linux) Firefox/145.0"}},
        "transaction": "/users/kund-88412",
    });
    bench.take_in_envelopes(&[envelope(&person)]).await;
    let event = bench.errors.find_event(PROJECT, &event_id(1)).await.unwrap().unwrap();
    let mut texts = vec![event.payload.to_string(), event.summary.title];
    let words = match bench.db.dialect() {
        belvedere_storage::Dialect::Sqlite => "title || culprit || message || other",
        belvedere_storage::Dialect::Postgres => "CAST(words AS text)",
    };
    for (table, column) in [
        ("error_issue", "title"),
        ("error_issue", "culprit"),
        ("error_issue_text", words),
        ("error_tag", "value"),
        ("error_event", "tags"),
        ("error_issue", "grouping_values"),
        ("error_event", "title"),
    ] {
        let sql = format!("SELECT {column} FROM {table}");
        let rows = bench
            .db
            .read()
            .query_all_raw(Statement::from_string(bench.db.read().get_database_backend(), sql));
        texts.extend(rows.await.unwrap().iter().map(|row| row.try_get_by_index::<String>(0).unwrap()));
    }
    for secret in ["kund-88412", "m.devries", "mdevries7", "198.51.100.7", "Mozilla"] {
        assert!(!texts.iter().any(|text| text.contains(secret)), "{secret} in {texts:?}");
    }
    assert_eq!(texts[1], "hello [user] at [user]");
}
