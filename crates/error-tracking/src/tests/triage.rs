//! The life of an issue, on both databases.

mod owners;
mod regroup;
mod states;

use std::collections::BTreeMap;
use std::time::Duration;

use belvedere_kernel::{HandlerError, LiveBus as _, LiveMessage};
use belvedere_storage::{PageRequest, StorageError};
use sea_orm::{ConnectionTrait, Statement};
use serde_json::{Value, json};

use super::fakes::{Bench, PROJECT, act, delivery, envelope, event_id, tallies};
use crate::tags::unpack_tags;
use crate::{
    ChangeIssues, ErrorTracking, ErrorTrackingError, IssueChange, IssueDetail, IssueId, ListIssues, Triage,
};

/// Passes between two acts, so that timelines tell their order.
const MOMENT: Duration = Duration::from_millis(1);

/// An event of a kind, from a release and a user.
fn event(number: u32, kind: &str, release: &str, user: &str) -> Value {
    let mut event = json!({
        "event_id": event_id(number),
        "platform": "python",
        "exception": [{"type": kind, "value": "it broke"}],
        "environment": "test",
        "tags": {"course": format!("rust-{}", number % 2)},
    });
    if !release.is_empty() {
        event["release"] = release.into();
    }
    if !user.is_empty() {
        event["user"] = json!({ "id": user });
    }
    event
}

/// Takes the events in as one batch.
async fn send(bench: &Bench, events: &[Value]) {
    bench.clock.advance(MOMENT);
    let now = belvedere_kernel::Clock::now(&*bench.clock);
    let deliveries = events.iter().map(|event| belvedere_kernel::Delivery {
        received_at: now,
        ..delivery("sentry.envelope", envelope(event).as_bytes())
    });
    bench.take_in("sentry.envelope", deliveries.collect()).await.unwrap();
}

/// The id of the only issue whose title begins with `kind`.
async fn id_of(bench: &Bench, kind: &str) -> IssueId {
    let issues = bench.errors.list_issues(ListIssues::first(PROJECT)).await.unwrap().items;
    let found: Vec<_> = issues.iter().filter(|issue| issue.title.starts_with(kind)).collect();
    assert_eq!(found.len(), 1, "{kind} in {issues:?}");
    found[0].id
}

async fn find(bench: &Bench, id: IssueId) -> IssueDetail {
    bench.errors.find_issue(PROJECT, id).await.unwrap().unwrap()
}

async fn change(bench: &Bench, issues: &[IssueId], change: IssueChange) -> u64 {
    bench.clock.advance(MOMENT);
    let change = ChangeIssues { act: act(), issues: issues.to_vec(), change };
    bench.triage.change_issues(change).await.unwrap()
}

/// The state of an issue in words.
async fn state(bench: &Bench, id: IssueId) -> String {
    let issue = find(bench, id).await;
    format!("{} {}", issue.summary.status.as_str(), issue.summary.substatus.as_str())
}

/// The kinds of the entries of an issue's timeline, the newest first.
async fn kinds(bench: &Bench, id: IssueId) -> Vec<&'static str> {
    let page = bench.triage.list_activity(PROJECT, id, PageRequest::first(100)).await.unwrap();
    page.items.iter().map(|entry| entry.kind.as_str()).collect()
}

fn refusal<T: std::fmt::Debug>(result: Result<T, ErrorTrackingError>) -> String {
    result.unwrap_err().to_string()
}

/// The topics of the live messages so far.
fn heard(messages: &mut tokio::sync::broadcast::Receiver<LiveMessage>) -> Vec<String> {
    std::iter::from_fn(|| messages.try_recv().ok()).map(|message| message.topic).collect()
}

async fn texts(bench: &Bench, sql: &str) -> Vec<String> {
    let statement = Statement::from_string(bench.db.read().get_database_backend(), sql);
    let rows = bench.db.read().query_all_raw(statement).await.unwrap();
    rows.iter().map(|row| row.try_get_by_index::<String>(0).unwrap()).collect()
}

/// How many rows a table has.
async fn count(bench: &Bench, table: &str) -> u64 {
    texts(bench, &format!("SELECT CAST(COUNT(*) AS text) FROM {table}")).await[0].parse().unwrap()
}

/// Every count of every issue of the project, beside the same count made of its events.
async fn compare_counts(bench: &Bench) {
    let lines = async |sql: &str| texts(bench, sql).await;
    for (counted, events) in [
        (
            "SELECT number || ' ' || event_count || ' ' || subject_count || ' ' || first_seen || ' ' || last_seen FROM error_issue ORDER BY number",
            "SELECT i.number || ' ' || COUNT(*) || ' ' || COUNT(DISTINCT e.subject_id) || ' ' || MIN(e.occurred_at) || ' ' || MAX(e.occurred_at) FROM error_event e JOIN error_issue i ON i.id = e.issue_id GROUP BY i.number ORDER BY i.number",
        ),
        (
            "SELECT i.number || ' ' || h.hour || ' ' || h.environment || ' ' || h.event_count FROM error_issue_hour h JOIN error_issue i ON i.id = h.issue_id ORDER BY 1",
            "SELECT i.number || ' ' || (e.occurred_at / 3600000000) || ' ' || COALESCE(e.environment, '') || ' ' || COUNT(*) FROM error_event e JOIN error_issue i ON i.id = e.issue_id GROUP BY i.number, e.occurred_at / 3600000000, e.environment ORDER BY 1",
        ),
        (
            "SELECT i.number || ' ' || c.environment || ' ' || c.event_count FROM error_issue_environment c JOIN error_issue i ON i.id = c.issue_id ORDER BY 1",
            "SELECT i.number || ' ' || e.environment || ' ' || COUNT(*) FROM error_event e JOIN error_issue i ON i.id = e.issue_id GROUP BY i.number, e.environment ORDER BY 1",
        ),
        (
            "SELECT i.number || ' ' || c.version || ' ' || c.event_count FROM error_issue_release c JOIN error_issue i ON i.id = c.issue_id ORDER BY 1",
            "SELECT i.number || ' ' || e.release || ' ' || COUNT(*) FROM error_event e JOIN error_issue i ON i.id = e.issue_id WHERE e.release IS NOT NULL GROUP BY i.number, e.release ORDER BY 1",
        ),
        (
            "SELECT i.number || ' ' || c.subject_id FROM error_issue_subject c JOIN error_issue i ON i.id = c.issue_id ORDER BY 1",
            "SELECT DISTINCT i.number || ' ' || e.subject_id FROM error_event e JOIN error_issue i ON i.id = e.issue_id WHERE e.subject_id IS NOT NULL ORDER BY 1",
        ),
    ] {
        assert_eq!(lines(counted).await, lines(events).await, "{counted}");
    }
    let mut of_events: BTreeMap<String, u64> = BTreeMap::new();
    let tagged =
        "SELECT i.number || ' ' || e.tags FROM error_event e JOIN error_issue i ON i.id = e.issue_id";
    for line in lines(tagged).await {
        let (number, tags) = line.split_once(' ').unwrap();
        for (key, value) in unpack_tags(tags) {
            *of_events.entry(format!("{number} {key}={value}")).or_default() += 1;
        }
    }
    let mut of_events: Vec<String> =
        of_events.iter().map(|(tag, events)| format!("{tag} {events}")).collect();
    of_events.sort_unstable();
    let counted = "SELECT i.number || ' ' || t.key || '=' || t.value || ' ' || COALESCE(c.event_count, i.event_count) \
                   FROM error_issue_tag c JOIN error_tag t ON t.id = c.tag_id JOIN error_issue i ON i.id = c.issue_id";
    let mut counted = lines(counted).await;
    counted.sort_unstable();
    assert_eq!(counted, of_events, "tags");
    // Nothing is left of issues that are gone.
    for table in [
        "error_issue_hour",
        "error_issue_subject",
        "error_issue_environment",
        "error_issue_release",
        "error_issue_tag",
        "error_issue_watch",
        "error_activity",
        "error_event",
    ] {
        let orphans = format!(
            "SELECT CAST(COUNT(*) AS text) FROM {table} t WHERE NOT EXISTS (SELECT 1 FROM error_issue i WHERE i.id = t.issue_id)"
        );
        assert_eq!(lines(&orphans).await, ["0"], "{table}");
    }
}

/// What a failed statement leads to.
fn is_storage_failure(error: &ErrorTrackingError) -> bool {
    matches!(error, ErrorTrackingError::Storage(StorageError::Other(_)))
}
