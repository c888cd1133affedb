use std::sync::Arc;

use belvedere_kernel::HandlerError;
use belvedere_storage::testing::TestDatabase;
use belvedere_storage::{StorageError, database_tests};
use sea_orm::{ConnectionTrait, Statement};
use serde_json::json;

use super::fakes::{Bench, PROJECT, act, delivery, envelope, event_id};
use crate::{ChangeIssues, ErrorTracking, IssueChange, ListIssues, Resolution, Triage};

database_tests!(
    a_batch_that_fails_at_any_statement_leaves_nothing_and_can_be_written_again,
    batches_that_overlap_are_counted_exactly_when_written_at_once,
);

/// The whole content of the slice's tables that does not depend on chance, one line a row.
async fn content(bench: &Bench) -> Vec<String> {
    let mut lines = Vec::new();
    for sql in [
        "SELECT 'issue ' || number || ' ' || title || ' ' || status || ' ' || event_count || ' ' || subject_count FROM error_issue ORDER BY number",
        "SELECT 'event ' || title || ' ' || COUNT(*) FROM error_event GROUP BY title ORDER BY title",
        "SELECT 'hash ' || COUNT(*) FROM error_issue_hash",
        "SELECT 'counter ' || last_number FROM error_issue_counter",
        "SELECT 'hour ' || i.title || ' ' || SUM(h.event_count) FROM error_issue_hour h JOIN error_issue i ON i.id = h.issue_id GROUP BY i.title ORDER BY i.title",
        "SELECT 'environment ' || i.title || ' ' || e.environment || ' ' || e.event_count FROM error_issue_environment e JOIN error_issue i ON i.id = e.issue_id ORDER BY i.title",
        "SELECT 'subjects ' || i.title || ' ' || COUNT(*) FROM error_issue_subject s JOIN error_issue i ON i.id = s.issue_id GROUP BY i.title ORDER BY i.title",
        "SELECT 'project hour ' || event_count FROM error_project_hour ORDER BY hour",
    ] {
        let statement = Statement::from_string(bench.db.read().get_database_backend(), sql);
        for row in bench.db.read().query_all_raw(statement).await.unwrap() {
            lines.push(row.try_get_by_index::<String>(0).unwrap());
        }
    }
    lines
}

fn body(number: u32, kind: &str) -> String {
    envelope(&json!({
        "event_id": event_id(number),
        "exception": [{"type": kind}],
        "environment": "test",
        "user": {"id": format!("u{}", number % 3)},
    }))
}

async fn a_batch_that_fails_at_any_statement_leaves_nothing_and_can_be_written_again(db: TestDatabase) {
    let bench = Bench::new(db);
    bench.take_in_envelopes(&[body(1, "A"), body(2, "B")]).await;
    let resolved = bench.errors.list_issues(ListIssues::first(PROJECT)).await.unwrap().items;
    let change = ChangeIssues {
        act: act(),
        issues: resolved.iter().map(|issue| issue.id).collect(),
        change: IssueChange::Resolve(Resolution::Now),
    };
    bench.triage.change_issues(change).await.unwrap();
    let before = content(&bench).await;
    assert_eq!(
        before,
        [
            "issue 1 A 1 1 1",
            "issue 2 B 1 1 1",
            "event A 1",
            "event B 1",
            "hash 2",
            "counter 2",
            "hour A 1",
            "hour B 1",
            "environment A test 1",
            "environment B test 1",
            "subjects A 1",
            "subjects B 1",
            "project hour 2",
        ]
    );

    // A known event, new ones of a known issue, and a new issue.
    let deliveries = [body(1, "A"), body(3, "A"), body(4, "A"), body(5, "C")]
        .map(|body| delivery("sentry.envelope", body.as_bytes()));
    let handlers = bench.errors.intake_handlers();
    let prepared = handlers[0].prepare(deliveries.to_vec()).await.unwrap();
    let mut failures = 0;
    loop {
        bench.db.faults().fail_after(failures);
        let result: Result<_, HandlerError> = bench.db.write(async |tx| prepared.batch.store(tx).await).await;
        if bench.db.faults().take_unused() {
            result.unwrap();
            break;
        }
        assert!(matches!(result, Err(HandlerError::Storage(StorageError::Other(_)))), "{result:?}");
        assert_eq!(content(&bench).await, before, "after a failure at statement {failures}");
        failures += 1;
    }
    assert!(failures >= 8, "only {failures} statements");
    assert_eq!(
        content(&bench).await,
        [
            "issue 1 A 0 3 2",
            "issue 2 B 1 1 1",
            "issue 3 C 0 1 1",
            "event A 3",
            "event B 1",
            "event C 1",
            "hash 3",
            "counter 3",
            "hour A 3",
            "hour B 1",
            "hour C 1",
            "environment A test 3",
            "environment B test 1",
            "environment C test 1",
            "subjects A 2",
            "subjects B 1",
            "subjects C 1",
            "project hour 5",
        ]
    );
}

async fn batches_that_overlap_are_counted_exactly_when_written_at_once(db: TestDatabase) {
    let bench = Arc::new(Bench::new(db));
    let handlers = bench.errors.intake_handlers();
    // Eight batches of 60 events out of 100, in different orders, over 7 issues.
    let mut writers = tokio::task::JoinSet::new();
    for worker in 0..8_u32 {
        let numbers = (0..60).map(|step| 1 + (worker * 13 + step * (2 * worker + 1)) % 100);
        let deliveries: Vec<_> = numbers
            .map(|number| delivery("sentry.envelope", body(number, &format!("E{}", number % 7)).as_bytes()))
            .collect();
        let prepared = handlers[0].prepare(deliveries).await.unwrap();
        let bench = Arc::clone(&bench);
        writers.spawn(async move {
            let stored: Result<_, HandlerError> =
                bench.db.write(async |tx| prepared.batch.store(tx).await).await;
            let stored = stored.unwrap();
            let tally = stored.tallies.into_iter().find(|tally| tally.outcome.as_str() == "stored");
            tally.map_or(0, |tally| tally.quantity)
        });
    }
    let said: u64 = writers.join_all().await.into_iter().sum();

    let mut distinct = std::collections::BTreeMap::new();
    for worker in 0..8_u32 {
        for step in 0..60_u32 {
            let number = 1 + (worker * 13 + step * (2 * worker + 1)) % 100;
            distinct.insert(number, number % 7);
        }
    }
    assert_eq!(said, distinct.len() as u64);
    let issues = bench.errors.list_issues(ListIssues::first(PROJECT)).await.unwrap().items;
    let mut numbers: Vec<i64> = issues.iter().map(|issue| issue.number).collect();
    numbers.sort_unstable();
    assert_eq!(numbers, [1, 2, 3, 4, 5, 6, 7]);
    for issue in &issues {
        let kind: u32 = issue.title.trim_start_matches('E').parse().unwrap();
        let of_issue: Vec<u32> =
            distinct.iter().filter(|(_, of)| **of == kind).map(|(number, _)| *number).collect();
        let people: std::collections::BTreeSet<u32> = of_issue.iter().map(|number| number % 3).collect();
        assert_eq!(issue.events, of_issue.len() as u64, "{}", issue.title);
        assert_eq!(issue.hourly[23], of_issue.len() as u64, "{}", issue.title);
        assert_eq!(issue.subjects, people.len() as u64, "{}", issue.title);
    }
}
