use std::time::Duration;

use belvedere_kernel::NoticeKind;
use belvedere_storage::database_tests;
use belvedere_storage::testing::TestDatabase;

use super::*;
use crate::tests::fakes::{OTHER_PROJECT, anna, now, tom};
use crate::{ActivityKind, ChangeComment, Condition, Counted, Ignoring, NewComment, Resolution};

database_tests!(
    a_resolved_issue_that_comes_back_is_a_regression_once,
    only_a_later_release_brings_back_what_was_resolved_in_one,
    releases_without_a_version_follow_the_time_first_seen,
    the_next_release_is_later_than_the_newest_of_the_project,
    ignored_issues_wake_with_exactly_the_last_event_they_wait_for,
    ignored_issues_wake_with_the_last_subject_they_wait_for,
    events_within_minutes_wake_across_batches,
    subjects_within_minutes_wake_and_old_ones_do_not_count,
    an_issue_ignored_until_a_time_wakes_by_the_clock_or_by_an_event,
    an_archived_issue_escalates_when_it_is_far_more_frequent,
    issues_are_assigned_to_members_only,
    other_projects_issues_are_never_changed,
    comments_are_scrubbed_and_belong_to_their_authors,
    changes_that_make_no_sense_are_refused,
    a_regression_that_fails_at_any_statement_leaves_nothing,
);

async fn a_resolved_issue_that_comes_back_is_a_regression_once(db: TestDatabase) {
    let bench = Bench::new(db);
    send(&bench, &[event(1, "A", "shop@1.0.0", "x")]).await;
    let id = id_of(&bench, "A").await;
    assert_eq!(change(&bench, &[id], IssueChange::Resolve(Resolution::Now)).await, 1);
    assert_eq!(change(&bench, &[id], IssueChange::Resolve(Resolution::Now)).await, 0);
    assert_eq!(state(&bench, id).await, "resolved ongoing");
    let [first] = &bench.notices.take()[..] else { panic!("one notice of one new issue") };
    assert_eq!((first.kind, &first.data["issue"]), (NoticeKind::IssueNew, &json!(id)));

    send(&bench, &[event(2, "A", "shop@1.0.1", "x"), event(3, "A", "shop@1.0.2", "x")]).await;
    send(&bench, &[event(4, "A", "shop@1.0.3", "x")]).await;
    assert_eq!(state(&bench, id).await, "unresolved regressed");
    let [back] = &bench.notices.take()[..] else { panic!("one notice of one regression") };
    assert_eq!(
        (back.kind, &back.data["issue"], &back.subject),
        (NoticeKind::IssueRegressed, &json!(id), &None)
    );
    assert_ne!(back.key, first.key);
    let kinds = kinds(&bench, id).await;
    assert_eq!(kinds.iter().filter(|kind| **kind == "regression").count(), 1, "{kinds:?}");
    assert_eq!(kinds.iter().filter(|kind| **kind == "release").count(), 3, "{kinds:?}");
    assert_eq!(kinds.last(), Some(&"first_seen"));
    let page = bench.triage.list_activity(PROJECT, id, PageRequest::first(100)).await.unwrap();
    let regression = page.items.iter().find(|entry| entry.kind == ActivityKind::Regression).unwrap();
    assert_eq!(regression.detail["event_id"], event_id(2));
    assert_eq!(regression.detail["release"], "shop@1.0.1");
    let detail = find(&bench, id).await;
    assert_eq!(detail.triaged.regressed_in.as_deref(), Some("shop@1.0.1"));
    assert_eq!(detail.triaged.release_before_regression.as_deref(), Some("shop@1.0.0"));
    let counts = bench.triage.count_by_status(PROJECT).await.unwrap();
    assert_eq!((counts.unresolved, counts.regressed, counts.resolved), (1, 1, 0));

    let page = bench.triage.list_activity(PROJECT, id, PageRequest::first(1)).await.unwrap();
    assert_eq!((page.items.len(), page.next.is_some()), (1, true));
    let second = bench.triage.list_activity(PROJECT, id, PageRequest::new(1, page.next)).await.unwrap();
    assert_ne!(second.items[0].id, page.items[0].id);
}

async fn only_a_later_release_brings_back_what_was_resolved_in_one(db: TestDatabase) {
    let bench = Bench::new(db);
    send(&bench, &[event(1, "A", "shop@2.0.0", "x")]).await;
    let id = id_of(&bench, "A").await;
    change(&bench, &[id], IssueChange::Resolve(Resolution::InRelease(None))).await;
    let condition = find(&bench, id).await.triaged.condition.unwrap();
    assert!(matches!(&condition, Condition::AfterRelease { version, .. } if version == "shop@2.0.0"));

    // The same release, older ones however late they are seen, a pre-release, and none at all.
    for (number, release) in [(2, "shop@2.0.0"), (3, "shop@1.9.9"), (4, "shop@2.0.0-rc.1"), (5, "")] {
        send(&bench, &[event(number, "A", release, "x")]).await;
        assert_eq!(state(&bench, id).await, "resolved ongoing", "{release}");
    }
    assert_eq!(find(&bench, id).await.summary.events, 5);
    send(&bench, &[event(6, "A", "shop@1.0.0", "x"), event(7, "A", "shop@2.0.1", "x")]).await;
    assert_eq!(state(&bench, id).await, "unresolved regressed");
    let detail = find(&bench, id).await;
    assert_eq!(
        (detail.triaged.regressed_in.as_deref(), detail.triaged.condition),
        (Some("shop@2.0.1"), None)
    );
}

async fn releases_without_a_version_follow_the_time_first_seen(db: TestDatabase) {
    let bench = Bench::new(db);
    send(&bench, &[event(1, "A", "8fea2d6", "x")]).await;
    bench.clock.advance(Duration::from_secs(60));
    send(&bench, &[event(2, "B", "01aa52c", "x")]).await;
    let id = id_of(&bench, "A").await;
    let in_second = Resolution::InRelease(Some("01aa52c".to_owned()));
    change(&bench, &[id], IssueChange::Resolve(in_second)).await;
    bench.clock.advance(Duration::from_secs(60));
    send(&bench, &[event(3, "A", "8fea2d6", "x"), event(4, "A", "01aa52c", "x")]).await;
    assert_eq!(state(&bench, id).await, "resolved ongoing");
    send(&bench, &[event(5, "A", "77c0ffe", "x")]).await;
    assert_eq!(state(&bench, id).await, "unresolved regressed");
}

async fn the_next_release_is_later_than_the_newest_of_the_project(db: TestDatabase) {
    let bench = Bench::new(db);
    send(&bench, &[event(1, "A", "", "x")]).await;
    let id = id_of(&bench, "A").await;
    let next = IssueChange::Resolve(Resolution::InNextRelease);
    let refused = ChangeIssues { act: act(), issues: vec![id], change: next.clone() };
    assert_eq!(
        refusal(bench.triage.change_issues(refused).await),
        "release: the project has none yet; its events name none"
    );
    send(&bench, &[event(2, "A", "shop@1.0.0", "x"), event(3, "B", "shop@1.2.0", "x")]).await;
    change(&bench, &[id], next).await;
    send(&bench, &[event(4, "A", "shop@1.1.0", "x"), event(5, "A", "shop@1.2.0", "x")]).await;
    assert_eq!(state(&bench, id).await, "resolved ongoing");
    send(&bench, &[event(6, "A", "shop@1.2.1", "x")]).await;
    assert_eq!(state(&bench, id).await, "unresolved regressed");
}

fn more(counted: Counted, count: u64, minutes: Option<u32>) -> IssueChange {
    IssueChange::Ignore(Ignoring::More { counted, count, minutes })
}

async fn ignored_issues_wake_with_exactly_the_last_event_they_wait_for(db: TestDatabase) {
    let bench = Bench::new(db);
    send(&bench, &[event(1, "A", "", "x"), event(2, "B", "", "x")]).await;
    let (a, b) = (id_of(&bench, "A").await, id_of(&bench, "B").await);
    change(&bench, &[a], more(Counted::Events, 5, None)).await;
    change(&bench, &[b], IssueChange::Ignore(Ignoring::ForEver)).await;
    // Two, a repetition of one of them, and two more: four in all.
    send(&bench, &[event(3, "A", "", "x"), event(4, "A", "", "x"), event(3, "A", "", "x")]).await;
    send(&bench, &[event(4, "A", "", "x"), event(5, "A", "", "x"), event(6, "A", "", "x")]).await;
    assert_eq!(state(&bench, a).await, "ignored ongoing");
    send(&bench, &[event(7, "A", "", "x"), event(8, "A", "", "x"), event(9, "B", "", "x")]).await;
    assert_eq!(state(&bench, a).await, "unresolved ongoing");
    assert_eq!(state(&bench, b).await, "ignored ongoing");
    let page = bench.triage.list_activity(PROJECT, a, PageRequest::first(1)).await.unwrap();
    assert_eq!(page.items[0].kind, ActivityKind::Woken);
    assert_eq!(page.items[0].detail["event_id"], event_id(7));
}

async fn ignored_issues_wake_with_the_last_subject_they_wait_for(db: TestDatabase) {
    let bench = Bench::new(db);
    send(&bench, &[event(1, "A", "", "u1"), event(2, "A", "", "u2")]).await;
    let id = id_of(&bench, "A").await;
    change(&bench, &[id], more(Counted::Subjects, 2, None)).await;
    send(&bench, &[event(3, "A", "", "u1"), event(4, "A", "", "u3"), event(5, "A", "", "u3")]).await;
    assert_eq!(state(&bench, id).await, "ignored ongoing");
    send(&bench, &[event(6, "A", "", "u4")]).await;
    assert_eq!(state(&bench, id).await, "unresolved ongoing");
}

async fn events_within_minutes_wake_across_batches(db: TestDatabase) {
    let bench = Bench::new(db);
    send(&bench, &[event(1, "A", "", "x")]).await;
    let id = id_of(&bench, "A").await;
    change(&bench, &[id], more(Counted::Events, 3, Some(10))).await;
    // One every six minutes never makes three in ten.
    for number in 2..8 {
        bench.clock.advance(Duration::from_secs(360));
        send(&bench, &[event(number, "A", "", "x")]).await;
        assert_eq!(state(&bench, id).await, "ignored ongoing", "{number}");
    }
    bench.clock.advance(Duration::from_secs(120));
    send(&bench, &[event(20, "A", "", "x")]).await;
    assert_eq!(state(&bench, id).await, "unresolved ongoing");
    // What was kept for it is gone.
    assert_eq!(count(&bench, "error_issue_watch").await, 0);
}

async fn subjects_within_minutes_wake_and_old_ones_do_not_count(db: TestDatabase) {
    let bench = Bench::new(db);
    send(&bench, &[event(1, "A", "", "u1")]).await;
    let id = id_of(&bench, "A").await;
    change(&bench, &[id], more(Counted::Subjects, 2, Some(5))).await;
    send(&bench, &[event(2, "A", "", "u1"), event(3, "A", "", "u1")]).await;
    bench.clock.advance(Duration::from_secs(600));
    send(&bench, &[event(4, "A", "", "u2"), event(5, "A", "", "")]).await;
    assert_eq!(state(&bench, id).await, "ignored ongoing");
    bench.clock.advance(Duration::from_secs(240));
    send(&bench, &[event(6, "A", "", "u1")]).await;
    assert_eq!(state(&bench, id).await, "unresolved ongoing");
}

async fn an_issue_ignored_until_a_time_wakes_by_the_clock_or_by_an_event(db: TestDatabase) {
    let bench = Bench::new(db);
    send(&bench, &[event(1, "A", "", "x"), event(2, "B", "", "x")]).await;
    let (a, b) = (id_of(&bench, "A").await, id_of(&bench, "B").await);
    let until = now().plus(Duration::from_secs(3_600));
    change(&bench, &[a, b], IssueChange::Ignore(Ignoring::Until(until))).await;
    bench.clock.advance(Duration::from_secs(3_599));
    send(&bench, &[event(3, "A", "", "x")]).await;
    assert_eq!(bench.triage.wake_due().await.unwrap(), 0);
    assert_eq!(state(&bench, a).await, "ignored ongoing");

    bench.clock.advance(Duration::from_secs(1));
    send(&bench, &[event(4, "A", "", "x")]).await;
    assert_eq!(state(&bench, a).await, "unresolved ongoing");
    assert_eq!(bench.triage.wake_due().await.unwrap(), 1);
    assert_eq!(state(&bench, b).await, "unresolved ongoing");
    assert_eq!(bench.triage.wake_due().await.unwrap(), 0);
    assert_eq!(kinds(&bench, b).await, ["woken", "status", "first_seen"]);
}

async fn an_archived_issue_escalates_when_it_is_far_more_frequent(db: TestDatabase) {
    let bench = Bench::new(db);
    // Three in the busiest hour: fifteen within an hour are far more.
    send(&bench, &[event(1, "A", "", "x"), event(2, "A", "", "x"), event(3, "A", "", "x")]).await;
    let id = id_of(&bench, "A").await;
    bench.clock.advance(Duration::from_secs(7_200));
    assert_eq!(change(&bench, &[id], IssueChange::Archive).await, 1);
    assert_eq!(change(&bench, &[id], IssueChange::Archive).await, 0);
    let batch: Vec<Value> = (10..24).map(|number| event(number, "A", "", "x")).collect();
    send(&bench, &batch).await;
    assert_eq!(state(&bench, id).await, "archived ongoing");
    send(&bench, &[event(30, "A", "", "x")]).await;
    assert_eq!(state(&bench, id).await, "unresolved escalating");
    assert_eq!(kinds(&bench, id).await, ["escalation", "status", "first_seen"]);
}

async fn issues_are_assigned_to_members_only(db: TestDatabase) {
    let bench = Bench::new(db);
    send(&bench, &[event(1, "A", "", "x"), event(2, "B", "", "x")]).await;
    let (a, b) = (id_of(&bench, "A").await, id_of(&bench, "B").await);
    assert_eq!(change(&bench, &[a, b], IssueChange::Assign(Some(tom()))).await, 2);
    assert_eq!(change(&bench, &[a], IssueChange::Assign(Some(tom()))).await, 0);
    let stranger = IssueChange::Assign(Some(belvedere_storage::Id::from_bytes([0x77; 16])));
    let stranger = ChangeIssues { act: act(), issues: vec![a], change: stranger };
    let refused = refusal(bench.triage.change_issues(stranger).await);
    assert_eq!(refused, "assigned_to: nobody of the organisation has this id");
    bench.clock.advance(Duration::from_secs(1));
    assert_eq!(change(&bench, &[b], IssueChange::Assign(None)).await, 1);
    let of_tom = ListIssues { assigned_to: Some(tom()), ..ListIssues::first(PROJECT) };
    let listed = bench.errors.list_issues(of_tom).await.unwrap().items;
    assert_eq!(listed.iter().map(|issue| issue.id).collect::<Vec<_>>(), [a]);
    assert_eq!(find(&bench, b).await.summary.assigned_to, None);
    assert_eq!(kinds(&bench, b).await, ["assignment", "assignment", "first_seen"]);
    let actions: Vec<_> = bench.audit.0.lock().unwrap().iter().map(|entry| entry.action).collect();
    assert_eq!(actions, ["issue_assigned"; 3]);
}

async fn other_projects_issues_are_never_changed(db: TestDatabase) {
    let bench = Bench::new(db);
    send(&bench, &[event(1, "A", "shop@1.0.0", "x")]).await;
    let id = id_of(&bench, "A").await;
    bench.errors.record_event(OTHER_PROJECT, event(1, "A", "shop@1.0.0", "x")).await.unwrap();
    let before = find(&bench, id).await;
    let mut act = act();
    act.project = OTHER_PROJECT;
    for what in [
        IssueChange::Resolve(Resolution::Now),
        IssueChange::Resolve(Resolution::InRelease(Some("shop@1.0.0".to_owned()))),
        IssueChange::Resolve(Resolution::InNextRelease),
        IssueChange::Ignore(Ignoring::ForEver),
        more(Counted::Events, 1, Some(5)),
        IssueChange::Archive,
        IssueChange::Reopen,
        IssueChange::Assign(Some(anna())),
        IssueChange::Delete { discards: true },
    ] {
        let change = ChangeIssues { act: act.clone(), issues: vec![id], change: what };
        assert_eq!(bench.triage.change_issues(change).await.unwrap(), 0);
    }
    let new = NewComment { act: act.clone(), issue: id, text: "hello".to_owned() };
    assert_eq!(refusal(bench.triage.comment(new).await), "there is no such issue here");
    let listed = bench.triage.list_activity(OTHER_PROJECT, id, PageRequest::first(5)).await;
    assert_eq!(refusal(listed), "there is no such issue here");
    assert_eq!(bench.triage.list_hashes(OTHER_PROJECT, id).await.unwrap(), []);
    assert_eq!(find(&bench, id).await, before);
    assert!(bench.audit.0.lock().unwrap().is_empty());
}

async fn comments_are_scrubbed_and_belong_to_their_authors(db: TestDatabase) {
    let bench = Bench::new(db);
    send(&bench, &[event(1, "A", "", "x")]).await;
    let id = id_of(&bench, "A").await;
    let mut messages = bench.bus.subscribe();
    let text = "  the password is s3cret\r\n<b>\u{0}\u{7}see</b>  ".to_owned();
    let comment = bench.triage.comment(NewComment { act: act(), issue: id, text }).await.unwrap();
    assert_eq!(comment.comment.as_deref(), Some("the password is [removed]\n<b>see</b>"));
    assert_eq!(heard(&mut messages), ["issue.changed"]);
    let comment = comment.id.unwrap();

    let altered = |text: Option<&str>| {
        let text = text.map(str::to_owned);
        ChangeComment { act: act(), issue: id, comment, text }
    };
    let mut by_tom = altered(Some("mine now"));
    by_tom.act.actor = belvedere_kernel::Actor::User(tom());
    assert_eq!(refusal(bench.triage.change_comment(by_tom).await), "there is no such comment of yours here");
    let mut elsewhere = altered(Some("mine now"));
    elsewhere.act.project = OTHER_PROJECT;
    assert_eq!(
        refusal(bench.triage.change_comment(elsewhere).await),
        "there is no such comment of yours here"
    );
    bench.triage.change_comment(altered(Some("fixed"))).await.unwrap();
    let page = bench.triage.list_activity(PROJECT, id, PageRequest::first(9)).await.unwrap();
    assert_eq!(page.items[0].comment.as_deref(), Some("fixed"));
    assert!(page.items[0].edited_at.is_some());
    bench.triage.change_comment(altered(None)).await.unwrap();
    assert_eq!(
        refusal(bench.triage.change_comment(altered(None)).await),
        "there is no such comment of yours here"
    );
    assert_eq!(kinds(&bench, id).await, ["first_seen"]);
    for text in ["", "  \n ", &"x".repeat(4_097)] {
        let new = NewComment { act: act(), issue: id, text: text.to_owned() };
        assert_eq!(refusal(bench.triage.comment(new).await), "text: must have 1 to 4096 bytes");
    }
    let actions: Vec<_> = bench.audit.0.lock().unwrap().iter().map(|entry| entry.action).collect();
    assert_eq!(actions, ["issue_commented", "issue_comment_changed", "issue_comment_deleted"]);
}

async fn changes_that_make_no_sense_are_refused(db: TestDatabase) {
    let bench = Bench::new(db);
    let refused = async |change| {
        let change = ChangeIssues { act: act(), issues: Vec::new(), change };
        refusal(bench.triage.change_issues(change).await)
    };
    assert_eq!(refused(more(Counted::Events, 0, None)).await, "events: must be from 1 to 1000000");
    assert_eq!(refused(more(Counted::Subjects, 1_001, Some(5))).await, "subjects: must be from 1 to 1000");
    assert_eq!(refused(more(Counted::Events, 5, Some(1_441))).await, "minutes: must be from 1 to 1440");
    let past = IssueChange::Ignore(Ignoring::Until(now()));
    assert_eq!(refused(past).await, "until: must lie ahead, at most ten years");
    let named = IssueChange::Resolve(Resolution::InRelease(Some("a\nb".to_owned())));
    assert_eq!(
        refused(named).await,
        "release: must have 1 to 250 characters, none of them control characters"
    );
}

async fn a_regression_that_fails_at_any_statement_leaves_nothing(db: TestDatabase) {
    let bench = Bench::new(db);
    send(&bench, &[event(1, "A", "shop@1.0.0", "x"), event(2, "B", "shop@1.0.0", "x")]).await;
    let (a, b) = (id_of(&bench, "A").await, id_of(&bench, "B").await);
    change(&bench, &[a], IssueChange::Resolve(Resolution::InRelease(None))).await;
    change(&bench, &[b], more(Counted::Events, 2, Some(60))).await;
    let seen = async || {
        (find(&bench, a).await, find(&bench, b).await, kinds(&bench, a).await, kinds(&bench, b).await)
    };
    let before = seen().await;

    let bodies = [(3, "A", "shop@1.1.0"), (4, "B", "shop@1.0.0"), (5, "B", "shop@1.0.0")];
    let deliveries = bodies.map(|(number, kind, release)| {
        delivery("sentry.envelope", envelope(&event(number, kind, release, "x")).as_bytes())
    });
    let handlers = bench.errors.intake_handlers();
    let prepared = handlers[0].prepare(deliveries.to_vec()).await.unwrap();
    let mut failures = 0;
    let stored = loop {
        bench.db.faults().fail_after(failures);
        let result: Result<_, HandlerError> = bench.db.write(async |tx| prepared.batch.store(tx).await).await;
        if bench.db.faults().take_unused() {
            break result.unwrap();
        }
        assert!(result.is_err(), "statement {failures}");
        assert_eq!(seen().await, before, "after a failure at statement {failures}");
        failures += 1;
    };
    assert!(failures > 15, "only {failures} statements");
    assert!(tallies(&stored).contains(&("event", "stored", "", 3)));
    assert_eq!(state(&bench, a).await, "unresolved regressed");
    assert_eq!(state(&bench, b).await, "unresolved ongoing");
    let named = stored.messages[0].data["issues"].as_array().unwrap();
    let mut reopened: Vec<_> = named.iter().map(|issue| issue["reopened"].as_str().unwrap()).collect();
    reopened.sort_unstable();
    assert_eq!(reopened, ["ongoing", "regressed"]);
    compare_counts(&bench).await;
}
