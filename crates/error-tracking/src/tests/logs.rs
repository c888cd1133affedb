use std::sync::Arc;

use belvedere_kernel::{Actor, ProjectId};
use belvedere_storage::database_tests;
use belvedere_storage::testing::TestDatabase;
use belvedere_storage::{Id, PageRequest};
use serde_json::{Value, json};

use super::fakes::{Bench, OTHER_PROJECT, PROJECT, at, delivery, tallies};
use crate::limits::{Limits, StoredKind};
use crate::logs::{LogCounts, LogFilter, LogLevel, LogPage, Logs, LogsService, SearchLogs, SweptLogs};
use crate::monitors::ChangedBy;

database_tests!(
    records_are_found_by_text_level_trace_and_attribute,
    counts_are_exact_with_and_without_a_filter,
    pages_follow_each_other_without_gap_or_repetition,
    people_are_subjects_and_never_attributes,
    small_blocks_are_joined_and_nothing_is_lost,
    what_is_too_old_or_too_much_is_swept,
    another_project_sees_nothing,
    records_of_opentelemetry_are_stored,
    damaged_records_are_counted,
    settings_are_audited,
);

struct Desk {
    bench: Bench,
    logs: Arc<LogsService>,
}

impl Desk {
    fn new(db: TestDatabase) -> Self {
        let bench = Bench::new(db);
        let logs = LogsService::new(bench.db.database(), bench.clock.clone(), bench.audit.clone());
        Self { bench, logs: Arc::new(logs) }
    }

    /// Takes one container in; what was counted.
    async fn take(&self, project: ProjectId, items: Value) -> Vec<(String, String, u64)> {
        let body = format!("{{}}\n{{\"type\":\"log\"}}\n{}", json!({"version": 2, "items": items}));
        let mut delivery = delivery("sentry.envelope", body.as_bytes());
        delivery.project = project;
        let (stored, rejected) = self.bench.take_in("sentry.envelope", vec![delivery]).await.unwrap();
        assert_eq!(rejected, []);
        let counted = tallies(&stored).into_iter();
        counted
            .map(|(item, outcome, reason, count)| (format!("{item} {outcome}"), reason.to_owned(), count))
            .collect()
    }

    async fn search(&self, search: &str) -> LogPage {
        self.logs.search_logs(query(search)).await.unwrap()
    }

    async fn bodies(&self, search: &str) -> Vec<String> {
        self.search(search).await.records.into_iter().map(|record| record.body).collect()
    }

    async fn count(&self, search: &str) -> LogCounts {
        self.logs.count_logs(query(search)).await.unwrap()
    }
}

fn query(search: &str) -> SearchLogs {
    SearchLogs {
        project: PROJECT,
        from: at("2026-11-22T12:00:00Z"),
        to: at("2026-11-23T13:00:00Z"),
        filter: LogFilter::parse(search).unwrap(),
        page: PageRequest::first(50),
    }
}

fn record(time: &str, level: &str, body: &str) -> Value {
    json!({"timestamp": time, "level": level, "body": body, "trace_id": "80f65fc60f924d95b3291e97e1a13f61",
        "attributes": {"sentry.release": {"value": "shop@1", "type": "string"}, "tries": {"value": 3, "type": "integer"}}})
}

fn sample() -> Value {
    let mut items = vec![
        record("2026-11-23T11:59:58Z", "info", "basket loaded"),
        record("2026-11-23T12:00:01Z", "error", "Voucher REJECTED"),
        record("2026-11-23T12:00:02Z", "warn", "checkout is slow"),
    ];
    items[2]["trace_id"] = json!("00000000000000000000000000000007");
    items[2]["attributes"] = json!({"logger.name": {"value": "shop.pay", "type": "string"}, "tries": {"value": "4", "type": "string"}});
    Value::Array(items)
}

async fn records_are_found_by_text_level_trace_and_attribute(db: TestDatabase) {
    let desk = Desk::new(db);
    assert_eq!(desk.take(PROJECT, sample()).await, [("log stored".to_owned(), String::new(), 3)]);
    assert_eq!(desk.bodies("").await, ["checkout is slow", "Voucher REJECTED", "basket loaded"]);
    for (search, expected) in [
        ("rejected", vec!["Voucher REJECTED"]),
        ("\"is slow\"", vec!["checkout is slow"]),
        ("is basket", vec![]),
        ("level:warn", vec!["checkout is slow", "Voucher REJECTED"]),
        ("trace:80f65fc60f924d95b3291e97e1a13f61", vec!["Voucher REJECTED", "basket loaded"]),
        ("trace:80f65fc60f924d95b3291e97e1a13f62", vec![]),
        ("release:shop@1", vec!["Voucher REJECTED", "basket loaded"]),
        ("logger:shop.pay", vec!["checkout is slow"]),
        ("environment:production", vec![]),
        ("tries:3", vec!["Voucher REJECTED", "basket loaded"]),
        ("tries:4 slow", vec!["checkout is slow"]),
        ("tries:5", vec![]),
        ("nowhere", vec![]),
    ] {
        assert_eq!(desk.bodies(search).await, expected, "{search}");
    }
    let newest = desk.search("").await.records.remove(0);
    assert_eq!((newest.level, newest.at), (LogLevel::Warn, at("2026-11-23T12:00:02Z")));
    assert_eq!(newest.trace_id.as_deref(), Some("00000000000000000000000000000007"));
    assert_eq!(Value::Object(newest.attributes), json!({"tries": "4"}));
}

async fn counts_are_exact_with_and_without_a_filter(db: TestDatabase) {
    let desk = Desk::new(db);
    desk.take(PROJECT, sample()).await;
    desk.take(PROJECT, json!([record("2026-11-23T12:10:00Z", "error", "voucher again")])).await;
    let hours = |counts: LogCounts| {
        assert_eq!(counts.counted_to, None);
        counts.hours.into_iter().map(|hour| (hour.hour.to_string(), hour.levels)).collect::<Vec<_>>()
    };
    let (eleven, twelve) = ("2026-11-23T11:00:00Z".to_owned(), "2026-11-23T12:00:00Z".to_owned());
    let all = [(eleven.clone(), [0, 0, 1, 0, 0, 0]), (twelve.clone(), [0, 0, 0, 1, 2, 0])];
    assert_eq!(hours(desk.count("").await), all);
    assert_eq!(hours(desk.count("level:error").await), [(twelve.clone(), [0, 0, 0, 0, 2, 0])]);
    assert_eq!(hours(desk.count("voucher").await), [(twelve.clone(), [0, 0, 0, 0, 2, 0])]);
    assert_eq!(desk.count("tries:3").await.total(), 3);
    // Parts of hours are counted record by record.
    let part = SearchLogs { from: at("2026-11-23T12:00:01.5Z"), ..query("") };
    assert_eq!(desk.logs.count_logs(part).await.unwrap().total(), 2);
    let many = SearchLogs { from: at("2025-01-01T00:00:00Z"), ..query("") };
    assert_eq!(desk.logs.count_logs(many).await.unwrap_err().to_string(), "more than 366 days at once");
}

async fn pages_follow_each_other_without_gap_or_repetition(db: TestDatabase) {
    let desk = Desk::new(db);
    for batch in 0..12_u32 {
        let items: Vec<Value> = (0..25_u32)
            // Batches overlap in time, and some instants are the same everywhere.
            .map(|number| {
                let time = format!("2026-11-23T12:{:02}:{:02}Z", number % 30, (batch * 7 + number) % 5);
                record(&time, "info", &format!("line {batch} {number}"))
            })
            .collect();
        desk.take(PROJECT, Value::Array(items)).await;
    }
    for (search, expected) in [("", 300), ("\"line 3\"", 25), ("tries:3", 300)] {
        let mut query = query(search);
        query.page = PageRequest::first(17);
        let mut seen = Vec::new();
        loop {
            let page = desk.logs.search_logs(query.clone()).await.unwrap();
            assert_eq!(page.searched_to, None);
            seen.extend(page.records.into_iter().map(|record| (record.at, record.sequence, record.body)));
            let Some(next) = page.next else { break };
            query.page = PageRequest::new(17, Some(next));
        }
        assert!(seen.is_sorted_by(|left, right| (left.0, left.1) >= (right.0, right.1)), "{search}");
        let mut bodies: Vec<_> = seen.into_iter().map(|(_, _, body)| body).collect();
        bodies.sort();
        bodies.dedup();
        assert_eq!(bodies.len(), expected, "{search}");
    }
    let foreign = SearchLogs { page: PageRequest::new(5, Some("a~b".to_owned().into())), ..query("") };
    assert!(desk.logs.search_logs(foreign).await.is_err());
}

async fn people_are_subjects_and_never_attributes(db: TestDatabase) {
    let desk = Desk::new(db);
    let about = |user: &str| {
        json!({"timestamp": "2026-11-23T12:00:00Z", "level": "info", "body": format!("about {user}"), "attributes": {
            "user.id": {"value": user, "type": "string"}, "user.email": {"value": "joan@example.com", "type": "string"},
            "client.address": {"value": "198.51.100.7", "type": "string"}}})
    };
    let nobody = json!({"timestamp": "2026-11-23T12:00:00Z", "level": "info", "body": "about nobody"});
    desk.take(PROJECT, json!([about("20117"), nobody, about("20118"), about("20117")])).await;
    let records = desk.search("").await.records;
    let subject = |body: &str| records.iter().find(|record| record.body == body).unwrap().subject;
    assert_eq!(subject("about nobody"), None);
    assert!(subject("about 20117").is_some() && subject("about 20117") != subject("about 20118"));
    assert!(records.iter().all(|record| record.attributes.is_empty()), "{records:?}");
}

async fn small_blocks_are_joined_and_nothing_is_lost(db: TestDatabase) {
    let desk = Desk::new(db);
    for number in 0..20 {
        let mut item = record("2026-11-23T12:00:00Z", "warn", &format!("crumb {number}"));
        item["attributes"]["user.id"] = json!({"value": format!("{}", number % 3), "type": "string"});
        desk.take(PROJECT, json!([item])).await;
    }
    let before = desk.search("").await.records;
    assert_eq!(desk.logs.sweep(|| false).await.unwrap(), SweptLogs { joined: 20, deleted: 0 });
    assert_eq!(desk.logs.sweep(|| false).await.unwrap(), SweptLogs::default());
    assert_eq!(desk.search("").await.records, before);
    assert_eq!(desk.bodies("\"crumb 7\"").await, ["crumb 7"]);
    assert_eq!(desk.count("").await.total(), 20);
    assert_eq!(desk.count("crumb").await.total(), 20);
}

async fn what_is_too_old_or_too_much_is_swept(db: TestDatabase) {
    let desk = Desk::new(db);
    desk.take(PROJECT, json!([record("2026-11-01T12:00:00Z", "info", "old")])).await;
    desk.take(PROJECT, sample()).await;
    let by = || ChangedBy {
        actor: Actor::Anonymous,
        organisation: Id::from_bytes([6; 16]),
        project: PROJECT,
        request_id: None,
    };
    desk.logs.change_log_settings(by(), 7, 1 << 20).await.unwrap();
    let settings = desk.logs.find_log_settings(PROJECT).await.unwrap();
    assert_eq!((settings.days, settings.bytes_max, settings.records), (7, 1 << 20, 4));
    let stored = desk.bench.errors.sum_storage(PROJECT).await.unwrap();
    let stored: Vec<_> = stored.iter().map(|sum| (sum.kind, sum.items, sum.bytes)).collect();
    assert_eq!(stored, [(StoredKind::Log, 4, settings.bytes)]);
    let days = desk.bench.errors.list_storage_days(PROJECT, 30).await.unwrap();
    let days: Vec<_> = days.iter().map(|day| (day.day, day.kind, day.items)).collect();
    let day = |text: &str| at(text);
    assert_eq!(
        days,
        [
            (day("2026-11-01T00:00:00Z"), StoredKind::Log, 1),
            (day("2026-11-23T00:00:00Z"), StoredKind::Log, 3)
        ]
    );
    assert_eq!(desk.logs.sweep(|| false).await.unwrap().deleted, 1);
    assert_eq!(desk.logs.find_log_settings(PROJECT).await.unwrap().records, 3);
    // Random text does not compress: an hour of more than a mebibyte pushes the hours before it out.
    let noise = |seed: u64| -> String {
        let mut state = seed;
        (0..8_000)
            .map(|_| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                char::from(33 + u8::try_from(state >> 33 & 0x3f).unwrap())
            })
            .collect()
    };
    let items: Vec<Value> =
        (0..200).map(|seed| record("2026-11-23T12:30:00Z", "info", &noise(seed))).collect();
    desk.take(PROJECT, Value::Array(items)).await;
    assert!(desk.logs.sweep(|| false).await.unwrap().deleted >= 1);
    assert_eq!(desk.count("level:info").await.hours.len(), 0);
}

async fn another_project_sees_nothing(db: TestDatabase) {
    let desk = Desk::new(db);
    desk.take(PROJECT, sample()).await;
    desk.take(OTHER_PROJECT, json!([record("2026-11-23T12:00:00Z", "info", "theirs")])).await;
    let theirs = SearchLogs { project: OTHER_PROJECT, ..query("") };
    let bodies: Vec<_> = desk
        .logs
        .search_logs(theirs.clone())
        .await
        .unwrap()
        .records
        .into_iter()
        .map(|record| record.body)
        .collect();
    assert_eq!(bodies, ["theirs"]);
    assert_eq!(desk.logs.count_logs(theirs).await.unwrap().total(), 1);
    assert_eq!(desk.bodies("theirs").await, [""; 0]);
    assert_eq!(desk.logs.find_log_settings(OTHER_PROJECT).await.unwrap().records, 1);
}

async fn records_of_opentelemetry_are_stored(db: TestDatabase) {
    let desk = Desk::new(db);
    let request = json!({"resourceLogs": [{"scopeLogs": [{"logRecords": [
        {"timeUnixNano": "1795435200000000000", "severityNumber": 17, "body": {"stringValue": "from afar"}}
    ]}]}]});
    let good = delivery("otlp.logs", request.to_string().as_bytes());
    let bad = delivery("otlp.logs", b"{}");
    let (stored, rejected) = desk.bench.take_in("otlp.logs", vec![bad, good]).await.unwrap();
    assert_eq!(tallies(&stored), [("log", "stored", "", 1)]);
    assert_eq!((rejected.len(), rejected[0].index), (1, 0));
    assert_eq!(rejected[0].reason, "resourceLogs is missing");
    assert_eq!(stored.messages[0].topic, "log.records");
    assert_eq!(desk.bodies("level:error").await, ["from afar"]);
}

async fn damaged_records_are_counted(db: TestDatabase) {
    let desk = Desk::new(db);
    let counted = desk.take(PROJECT, json!([7, {"level": "info"}, {"body": "good"}])).await;
    assert_eq!(
        counted,
        [("log dropped".to_owned(), "invalid".to_owned(), 2), ("log stored".to_owned(), String::new(), 1)]
    );
    let many: Vec<Value> = (0..5_003).map(|number| json!({"body": format!("{number}")})).collect();
    let counted = desk.take(PROJECT, Value::Array(many)).await;
    assert_eq!(counted.iter().map(|counted| counted.2).sum::<u64>(), 5_003);
    assert!(counted.contains(&("log stored".to_owned(), String::new(), 5_000)), "{counted:?}");
}

async fn settings_are_audited(db: TestDatabase) {
    let desk = Desk::new(db);
    let change = |days, bytes_max| {
        let by = ChangedBy {
            actor: Actor::Anonymous,
            organisation: Id::from_bytes([6; 16]),
            project: PROJECT,
            request_id: None,
        };
        desk.logs.change_log_settings(by, days, bytes_max)
    };
    assert_eq!(change(0, 1 << 30).await.unwrap_err().to_string(), "days: must be from 1 to 365");
    assert_eq!(change(7, 5).await.unwrap_err().to_string(), "bytes_max: must be from 1 MiB to 1 TiB");
    change(7, 1 << 25).await.unwrap();
    let entries = desk.bench.audit.0.lock().unwrap();
    assert_eq!(entries.len(), 1);
    assert_eq!(entries[0].action, "log_retention_changed");
    let expected =
        json!({"from": {"days": 30, "bytes_max": 1 << 30}, "to": {"days": 7, "bytes_max": 1 << 25}});
    assert_eq!(entries[0].detail, expected);
}
