use belvedere_storage::testing::TestDatabase;
use belvedere_storage::{Dialect, database_tests};

use super::*;
use crate::tests::fakes::OTHER_PROJECT;
use crate::{Counted, Ignoring, LiftDiscard, MergeIssues, NewComment, Resolution, UnmergeIssue};

database_tests!(
    merged_issues_keep_every_count_exact,
    many_events_are_moved_by_the_job,
    a_part_of_an_issue_becomes_one_again_with_exact_counts,
    deleted_issues_leave_nothing_and_their_hashes_make_new_ones,
    discarded_events_are_counted_until_the_discard_is_lifted,
    merges_splits_and_deletions_that_fail_at_any_statement_leave_nothing,
    issues_of_other_projects_are_neither_merged_nor_split,
);

async fn merge(bench: &Bench, issues: &[IssueId]) -> Result<IssueId, ErrorTrackingError> {
    bench.triage.merge_issues(MergeIssues { act: act(), issues: issues.to_vec() }).await
}

async fn split(bench: &Bench, issue: IssueId, hashes: &[String]) -> Result<IssueId, ErrorTrackingError> {
    bench.triage.unmerge_issue(UnmergeIssue { act: act(), issue, hashes: hashes.to_vec() }).await
}

/// Six events of A, three each of B and C, of five people, three releases and two environments.
async fn three_kinds(bench: &Bench) -> [IssueId; 3] {
    let mut events = Vec::new();
    for number in 1..=12 {
        let kind = ["A", "A", "B", "C"][number as usize % 4];
        let mut event = event(number, kind, &format!("shop@1.0.{}", number % 3), &format!("u{}", number % 5));
        event["environment"] = ["production", "staging"][number as usize % 2].into();
        event["timestamp"] = format!("2026-11-23T{:02}:{:02}:00Z", 8 + number % 4, number).into();
        events.push(event);
    }
    send(bench, &events).await;
    [id_of(bench, "A").await, id_of(bench, "B").await, id_of(bench, "C").await]
}

async fn merged_issues_keep_every_count_exact(db: TestDatabase) {
    let bench = Bench::new(db);
    let [a, b, c] = three_kinds(&bench).await;
    compare_counts(&bench).await;
    let three_more = Ignoring::More { counted: Counted::Events, count: 3, minutes: None };
    change(&bench, &[a], IssueChange::Ignore(three_more)).await;
    change(&bench, &[b, c], IssueChange::Resolve(Resolution::Now)).await;
    bench.triage.comment(NewComment { act: act(), issue: b, text: "of B".to_owned() }).await.unwrap();

    assert_eq!(merge(&bench, &[b, a, c]).await.unwrap(), a);
    compare_counts(&bench).await;
    let merged = find(&bench, a).await;
    assert_eq!((merged.summary.events, merged.summary.subjects), (12, 5));
    assert_eq!(merged.summary.first_seen.to_string(), "2026-11-23T08:04:00Z");
    assert_eq!(bench.errors.find_issue(PROJECT, b).await.unwrap(), None);
    let mut kinds = kinds(&bench, a).await;
    kinds.sort_unstable();
    assert_eq!(kinds, ["comment", "first_seen", "merge", "status", "status", "status"]);
    let of_event = bench.errors.find_event(PROJECT, &event_id(3)).await.unwrap().unwrap();
    assert_eq!(of_event.issue, a);

    // It goes on waiting for three more, whichever part they are of.
    send(&bench, &[event(20, "B", "", "u1"), event(21, "C", "", "u1")]).await;
    assert_eq!(state(&bench, a).await, "ignored ongoing");
    send(&bench, &[event(22, "A", "", "u9")]).await;
    assert_eq!(state(&bench, a).await, "unresolved ongoing");
    assert_eq!(bench.errors.list_issues(ListIssues::first(PROJECT)).await.unwrap().items.len(), 1);
    compare_counts(&bench).await;
    let actions: Vec<_> = bench.audit.0.lock().unwrap().iter().map(|entry| entry.action).collect();
    assert_eq!(actions[actions.len() - 2..], ["issue_merged", "issue_merged"]);
}

async fn many_events_are_moved_by_the_job(db: TestDatabase) {
    let bench = Bench::new(db);
    let of_a = (1..=1_300).map(|number| event(number, "A", "", &format!("u{}", number % 7)));
    let events: Vec<Value> = of_a.chain((2_000..3_500).map(|number| event(number, "B", "", "u1"))).collect();
    for part in events.chunks(400) {
        send(&bench, part).await;
    }
    let (a, b) = (id_of(&bench, "A").await, id_of(&bench, "B").await);
    assert_eq!(merge(&bench, &[a, b]).await.unwrap(), b);
    let merged = find(&bench, b).await;
    assert_eq!((merged.summary.events, merged.summary.subjects), (2_800, 7));
    // Some of its events are still on their way; each is found under its new issue.
    for number in [1, 1_300] {
        let event = bench.errors.find_event(PROJECT, &event_id(number)).await.unwrap().unwrap();
        assert_eq!(event.issue, b);
    }
    let hashes = bench.triage.list_hashes(PROJECT, b).await.unwrap();
    assert_eq!(
        refusal(split(&bench, b, &[hashes[0].hash.clone()]).await),
        "events of this issue are being moved at the moment; try again in a minute"
    );
    assert!(bench.triage.move_events(|| false).await.unwrap() >= 1);
    compare_counts(&bench).await;
    assert_eq!(bench.triage.move_events(|| false).await.unwrap(), 0);

    // And back: the part is moved in batches too, each with its counts.
    let sql = "SELECT DISTINCT CAST(hash AS text) FROM error_event WHERE title LIKE 'A%'";
    let hash = match bench.db.dialect() {
        Dialect::Sqlite => texts(&bench, &sql.replace("CAST(hash AS text)", "hex(hash)")).await,
        Dialect::Postgres => texts(&bench, sql).await,
    };
    let new = split(&bench, b, &[hash[0].replace('-', "")]).await.unwrap();
    let events = async || (find(&bench, new).await.summary.events, find(&bench, b).await.summary.events);
    assert_eq!(events().await, (1_000, 1_800));
    bench.triage.move_events(|| false).await.unwrap();
    assert_eq!(events().await, (1_300, 1_500));
    assert_eq!((find(&bench, new).await.summary.subjects, find(&bench, b).await.summary.subjects), (7, 1));
    compare_counts(&bench).await;

    change(&bench, &[b], IssueChange::Delete { discards: false }).await;
    assert_eq!(bench.errors.find_event(PROJECT, &event_id(3_499)).await.unwrap(), None);
    assert!(count(&bench, "error_event").await > 1_300);
    bench.triage.move_events(|| false).await.unwrap();
    assert_eq!(count(&bench, "error_event").await, 1_300);
    compare_counts(&bench).await;
}

async fn a_part_of_an_issue_becomes_one_again_with_exact_counts(db: TestDatabase) {
    let bench = Bench::new(db);
    let [a, b, _] = three_kinds(&bench).await;
    let (before_a, before_b) = (find(&bench, a).await, find(&bench, b).await);
    assert_eq!(merge(&bench, &[a, b]).await.unwrap(), a);
    let hashes = bench.triage.list_hashes(PROJECT, a).await.unwrap();
    assert_eq!(hashes.len(), 2);
    assert_eq!((hashes[0].recent_events, hashes[0].title.as_deref()), (6, Some("A: it broke")));
    let all: Vec<String> = hashes.iter().map(|hash| hash.hash.clone()).collect();
    assert_eq!(refusal(split(&bench, a, &all).await), "hashes: at least one must stay with the issue");
    assert_eq!(
        refusal(split(&bench, a, &["nonsense".to_owned()]).await),
        "hashes: must be 1 to 200 times 32 hexadecimal digits"
    );
    assert_eq!(
        refusal(split(&bench, a, &["0".repeat(32)]).await),
        "hashes: no stored event of this issue was grouped by them"
    );

    let new = split(&bench, a, &all[1..]).await.unwrap();
    compare_counts(&bench).await;
    let (after_a, after_b) = (find(&bench, a).await, find(&bench, new).await);
    let seen = |issue: &IssueDetail| {
        let summary = &issue.summary;
        let counts = (summary.events, summary.subjects, summary.level, issue.daily.clone());
        let times = (summary.first_seen, summary.last_seen, issue.latest_event.clone());
        let releases = (issue.first_release.clone(), issue.last_release.clone());
        (summary.title.clone(), counts, times, releases)
    };
    assert_eq!(seen(&after_a), seen(&before_a));
    assert_eq!(seen(&after_b), seen(&before_b));
    assert_eq!((after_b.summary.number, after_b.grouping_values), (4, before_b.grouping_values));
    assert_eq!(after_b.grouping_explanation, before_b.grouping_explanation);
    assert_ne!(after_b.grouping_explanation, crate::grouping::Explanation::default());
    assert_eq!(kinds(&bench, new).await, ["unmerge", "first_seen"]);
    send(&bench, &[event(30, "B", "", "u1")]).await;
    assert_eq!(find(&bench, new).await.summary.events, 4);
    compare_counts(&bench).await;
}

async fn deleted_issues_leave_nothing_and_their_hashes_make_new_ones(db: TestDatabase) {
    let bench = Bench::new(db);
    let [a, b, c] = three_kinds(&bench).await;
    bench.triage.comment(NewComment { act: act(), issue: a, text: "gone soon".to_owned() }).await.unwrap();
    assert_eq!(change(&bench, &[a, b], IssueChange::Delete { discards: false }).await, 2);
    assert_eq!(change(&bench, &[a], IssueChange::Delete { discards: false }).await, 0);
    assert_eq!(bench.errors.find_issue(PROJECT, a).await.unwrap(), None);
    assert_eq!(bench.errors.find_event(PROJECT, &event_id(1)).await.unwrap(), None);
    bench.triage.move_events(|| false).await.unwrap();
    compare_counts(&bench).await;
    assert_eq!(find(&bench, c).await.summary.events, 3);
    send(&bench, &[event(40, "A", "", "x")]).await;
    let again = id_of(&bench, "A").await;
    assert_ne!(again, a);
    assert_eq!((find(&bench, again).await.summary.number, find(&bench, again).await.summary.events), (4, 1));
    let entries = bench.audit.0.lock().unwrap();
    let deleted: Vec<_> = entries.iter().filter(|entry| entry.action == "issue_deleted").collect();
    assert_eq!((deleted.len(), deleted[0].detail["discards"].clone()), (2, false.into()));
}

async fn discarded_events_are_counted_until_the_discard_is_lifted(db: TestDatabase) {
    let bench = Bench::new(db);
    send(&bench, &[event(1, "A", "", "x")]).await;
    let id = id_of(&bench, "A").await;
    change(&bench, &[id], IssueChange::Delete { discards: true }).await;
    let bodies = [event(2, "A", "", "x"), event(3, "A", "", "x"), event(4, "B", "", "x")];
    let (stored, _) = bench.take_in_envelopes(&bodies.map(|event| envelope(&event))).await;
    let counted = tallies(&stored);
    assert!(counted.contains(&("event", "dropped", "discarded", 2)), "{counted:?}");
    assert!(counted.contains(&("event", "stored", "", 1)), "{counted:?}");
    let recorded = bench.errors.record_event(PROJECT, event(5, "A", "", "x")).await.unwrap();
    assert_eq!((recorded.issue, recorded.is_new_issue), (None, false));
    assert_eq!(bench.errors.list_issues(ListIssues::first(PROJECT)).await.unwrap().items.len(), 1);

    let discards = bench.triage.list_discards(PROJECT, PageRequest::first(10)).await.unwrap().items;
    assert_eq!((discards.len(), discards[0].title.as_str()), (1, "A: it broke"));
    assert_eq!(bench.triage.list_discards(OTHER_PROJECT, PageRequest::first(10)).await.unwrap().items, []);
    let mut lift = LiftDiscard { act: act(), discard: discards[0].id };
    lift.act.project = OTHER_PROJECT;
    assert_eq!(refusal(bench.triage.lift_discard(lift.clone()).await), "there is no such discard here");
    lift.act.project = PROJECT;
    bench.triage.lift_discard(lift).await.unwrap();
    send(&bench, &[event(6, "A", "", "x")]).await;
    assert_eq!(find(&bench, id_of(&bench, "A").await).await.summary.events, 1);
    compare_counts(&bench).await;
}

/// Repeats an act, failing one statement later each time, until none fails; `seen` must be the same after each failure.
async fn until_it_succeeds<T: std::fmt::Debug, S: PartialEq + std::fmt::Debug>(
    bench: &Bench,
    act: impl AsyncFn() -> Result<T, ErrorTrackingError>,
    seen: impl AsyncFn() -> S,
) -> u32 {
    let before = seen().await;
    for failures in 0.. {
        bench.db.faults().fail_after(failures);
        let result = act().await;
        if bench.db.faults().take_unused() {
            result.unwrap();
            return failures;
        }
        assert!(result.as_ref().is_err_and(is_storage_failure), "{result:?}");
        assert_eq!(seen().await, before, "after a failure at statement {failures}");
    }
    unreachable!("a statement failed for ever")
}

async fn merges_splits_and_deletions_that_fail_at_any_statement_leave_nothing(db: TestDatabase) {
    let bench = Bench::new(db);
    let [a, b, c] = three_kinds(&bench).await;
    let seen = async || {
        let issues = bench.errors.list_issues(ListIssues::first(PROJECT)).await.unwrap().items;
        let moves = (count(&bench, "error_issue_move").await, count(&bench, "error_discard").await);
        (issues, moves, count(&bench, "error_activity").await)
    };
    let failed = until_it_succeeds(&bench, async || merge(&bench, &[a, b, c]).await, seen).await;
    assert!(failed > 20, "only {failed} statements");
    compare_counts(&bench).await;

    let hash = bench.triage.list_hashes(PROJECT, a).await.unwrap().pop().unwrap().hash;
    let failed =
        until_it_succeeds(&bench, async || split(&bench, a, std::slice::from_ref(&hash)).await, seen).await;
    assert!(failed > 20, "only {failed} statements");
    compare_counts(&bench).await;

    let delete = async || {
        let change = IssueChange::Delete { discards: true };
        bench.triage.change_issues(ChangeIssues { act: act(), issues: vec![a], change }).await
    };
    let failed = until_it_succeeds(&bench, delete, seen).await;
    assert!(failed > 10, "only {failed} statements");
    bench.triage.move_events(|| false).await.unwrap();
    compare_counts(&bench).await;
}

async fn issues_of_other_projects_are_neither_merged_nor_split(db: TestDatabase) {
    let bench = Bench::new(db);
    let [a, b, _] = three_kinds(&bench).await;
    let mut foreign = MergeIssues { act: act(), issues: vec![a, b] };
    foreign.act.project = OTHER_PROJECT;
    assert_eq!(refusal(bench.triage.merge_issues(foreign).await), "there is no such issue here");
    let elsewhere = bench.errors.record_event(OTHER_PROJECT, event(90, "Z", "", "")).await.unwrap();
    assert_eq!(refusal(merge(&bench, &[a, elsewhere.issue.unwrap()]).await), "there is no such issue here");
    assert_eq!(refusal(merge(&bench, &[a, a]).await), "issues: must be 2 to 50 different ones");
    let hash = bench.triage.list_hashes(PROJECT, a).await.unwrap()[0].hash.clone();
    let mut foreign = UnmergeIssue { act: act(), issue: a, hashes: vec![hash] };
    foreign.act.project = OTHER_PROJECT;
    assert_eq!(refusal(bench.triage.unmerge_issue(foreign).await), "there is no such issue here");
    assert_eq!(find(&bench, a).await.summary.events, 6);
    assert!(bench.audit.0.lock().unwrap().is_empty());
}
