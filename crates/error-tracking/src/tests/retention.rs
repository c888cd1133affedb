use std::time::Duration;

use belvedere_kernel::Actor;
use belvedere_storage::testing::TestDatabase;
use belvedere_storage::{Id, PageRequest, Timestamp, database_tests};
use serde_json::json;

use super::fakes::{Bench, OTHER_PROJECT, PROJECT, envelope, event_id, now};
use crate::limits::{ChangeLimits, Limits, ProjectLimits, StoredKind};
use crate::retention::{Retention, Swept};
use crate::{ErrorTracking, ListIssues};

database_tests!(
    old_events_go_and_their_counts_stay,
    beyond_the_newest_one_event_an_hour_stays,
    a_sweep_stops_when_it_is_told_to,
    limits_are_checked_remembered_and_written_down,
    storage_is_counted_by_day_and_follows_deletion,
);

const DAY: Duration = Duration::from_secs(86_400);

fn event(number: u32, at: Timestamp) -> String {
    let event =
        json!({"event_id": event_id(number), "exception": [{"type": "A"}], "timestamp": at.to_string()});
    envelope(&event)
}

async fn set(bench: &Bench, limits: ProjectLimits) -> Result<(), crate::ErrorTrackingError> {
    let change = ChangeLimits {
        actor: Actor::System("test"),
        organisation: Id::from_bytes([1; 16]),
        project: PROJECT,
        limits,
        request_id: None,
    };
    bench.errors.change_limits(change).await
}

async fn stored(bench: &Bench) -> (u64, Vec<String>) {
    let issue = bench.errors.list_issues(ListIssues::first(PROJECT)).await.unwrap().items.remove(0);
    let events = bench.errors.list_events(PROJECT, issue.id, PageRequest::first(200)).await.unwrap();
    let times = events.items.iter().map(|event| event.occurred_at.to_string()[11..16].to_owned());
    (issue.events, times.collect())
}

async fn old_events_go_and_their_counts_stay(db: TestDatabase) {
    let bench = Bench::new(db);
    let bodies: Vec<String> = (0..10).map(|day| event(day + 1, now().minus(DAY * day))).collect();
    bench.take_in_envelopes(&bodies).await;
    set(&bench, ProjectLimits { event_days: 4, ..ProjectLimits::default() }).await.unwrap();
    let swept = bench.errors.sweep(&|| false).await.unwrap();
    assert_eq!(swept, Swept { events: 5, ..Swept::default() });
    let (counted, kept) = stored(&bench).await;
    assert_eq!((counted, kept.len()), (10, 5));
    bench.clock.advance(DAY * 30);
    assert_eq!(bench.errors.sweep(&|| false).await.unwrap().events, 5);
    let issue = bench.errors.list_issues(ListIssues::first(PROJECT)).await.unwrap().items.remove(0);
    let whole = bench.errors.find_issue(PROJECT, issue.id).await.unwrap().unwrap();
    assert_eq!(whole.summary.events, 10);
    assert_eq!(bench.errors.sum_storage(PROJECT).await.unwrap(), []);
}

async fn beyond_the_newest_one_event_an_hour_stays(db: TestDatabase) {
    let bench = Bench::new(db);
    let start: Timestamp = "2026-11-23T06:00:00Z".parse().unwrap();
    let minutes = |n: u32| start.plus(Duration::from_secs(60 * u64::from(n)));
    let bodies: Vec<String> = (0..30).map(|number| event(number + 1, minutes(number * 10))).collect();
    bench.take_in_envelopes(&bodies).await;
    set(&bench, ProjectLimits { events_in_full: 10, ..ProjectLimits::default() }).await.unwrap();
    let swept = bench.errors.sweep(&|| false).await.unwrap();
    assert_eq!(swept.events, 16);
    let (counted, kept) = stored(&bench).await;
    assert_eq!(counted, 30);
    assert_eq!(
        kept,
        [
            "10:50", "10:40", "10:30", "10:20", "10:10", "10:00", "09:50", "09:40", "09:30", "09:20",
            "09:00", "08:00", "07:00", "06:00"
        ]
    );
    assert_eq!(bench.errors.sweep(&|| false).await.unwrap().events, 0);
}

async fn a_sweep_stops_when_it_is_told_to(db: TestDatabase) {
    let bench = Bench::new(db);
    let bodies: Vec<String> = (0..450).map(|number| event(number + 1, now().minus(DAY * 10))).collect();
    bench.take_in_envelopes(&bodies).await;
    set(&bench, ProjectLimits { event_days: 1, ..ProjectLimits::default() }).await.unwrap();
    assert_eq!(bench.errors.sweep(&|| true).await.unwrap(), Swept::default());
    let asked = std::sync::atomic::AtomicU32::new(0);
    // Stops after the first step of 200.
    let stops = || asked.fetch_add(1, std::sync::atomic::Ordering::SeqCst) >= 5;
    let first = bench.errors.sweep(&stops).await.unwrap().events;
    assert!(first > 0 && first < 450 && first.is_multiple_of(200), "{first}");
    assert_eq!(bench.errors.sweep(&|| false).await.unwrap().events, 450 - first);
}

async fn limits_are_checked_remembered_and_written_down(db: TestDatabase) {
    let bench = Bench::new(db);
    assert_eq!(bench.errors.find_limits(PROJECT).await.unwrap(), ProjectLimits::default());
    let limits = ProjectLimits { event_days: 7, ..ProjectLimits::default() };
    set(&bench, limits.clone()).await.unwrap();
    set(&bench, limits.clone()).await.unwrap();
    assert_eq!(bench.errors.find_limits(PROJECT).await.unwrap(), limits);
    assert_eq!(bench.errors.find_limits(OTHER_PROJECT).await.unwrap(), ProjectLimits::default());
    assert!(set(&bench, ProjectLimits { event_days: 0, ..ProjectLimits::default() }).await.is_err());
    let entries = bench.audit.0.lock().unwrap();
    let written: Vec<_> =
        entries.iter().map(|entry| (entry.action, &entry.detail["to"]["event_days"])).collect();
    assert_eq!(written, [("limits_changed", &json!(7))]);
}

async fn storage_is_counted_by_day_and_follows_deletion(db: TestDatabase) {
    let bench = Bench::new(db);
    bench.take_in_envelopes(&[event(1, now()), event(2, now()), event(2, now())]).await;
    let sums = bench.errors.list_storage().await.unwrap();
    assert_eq!(
        (sums.len(), sums[0].project, sums[0].kind, sums[0].items),
        (1, PROJECT, StoredKind::Event, 2)
    );
    let days = bench.errors.list_storage_days(PROJECT, 30).await.unwrap();
    assert_eq!((days.len(), days[0].day, days[0].bytes), (1, now().start_of_day(), sums[0].bytes));
    bench.errors.record_event(PROJECT, json!({"message": "hello"})).await.unwrap();
    assert_eq!(bench.errors.sum_storage(PROJECT).await.unwrap()[0].items, 3);
}
