use std::time::Duration;

use belvedere_storage::testing::TestDatabase;
use belvedere_storage::{Cursor, Id, PageRequest, database_tests};
use serde_json::{Value, json};

use super::fakes::{Bench, OTHER_PROJECT, PROJECT, act, at, event_id, now};
use crate::{
    ChangeIssues, ErrorTracking, ErrorTrackingError, HourCount, Ignoring, IssueChange, IssueId, IssueSort,
    IssueStatus, Level, ListIssues, Resolution, Triage,
};

database_tests!(
    an_event_becomes_an_issue_and_can_be_opened,
    events_of_one_issue_are_counted_exactly,
    an_event_id_counts_once_per_project,
    resolved_issue_reopens_on_new_event,
    changes_of_status_are_audited_once_each,
    another_projects_ids_find_nothing,
    issues_are_sorted_filtered_and_paged,
    a_page_of_equal_keys_repeats_and_leaves_out_nothing,
    text_is_found_without_regard_to_case_and_wildcards_are_letters,
    an_environment_filters_issues_and_their_counts,
    events_have_neighbours_and_pages,
    hours_are_counted_for_project_and_issue,
    questions_that_make_no_sense_are_refused,
);

fn event(number: u32, kind: &str) -> Value {
    json!({"event_id": event_id(number), "platform": "python", "exception": [{"type": kind, "value": "it broke"}]})
}

async fn record(bench: &Bench, event: Value) -> IssueId {
    bench.errors.record_event(PROJECT, event).await.unwrap().issue.unwrap()
}

fn with(mut event: Value, key: &str, value: impl Into<Value>) -> Value {
    event[key] = value.into();
    event
}

async fn titles(bench: &Bench, query: ListIssues) -> Vec<String> {
    bench.errors.list_issues(query).await.unwrap().items.into_iter().map(|issue| issue.title).collect()
}

async fn an_event_becomes_an_issue_and_can_be_opened(db: TestDatabase) {
    let bench = Bench::new(db);
    let recorded = bench
        .errors
        .record_event(
            PROJECT,
            json!({
                "event_id": "3A60E31A-B547-4D65-AAF8-6EEDEFE7D501",
                "timestamp": "2026-11-23T12:30:00Z",
                "platform": "python",
                "level": "fatal",
                "release": "shop@2.14.0",
                "environment": "production",
                "sdk": {"name": "sentry.python.flask", "version": "2.75.0"},
                "user": {"id": "20117"},
                "extra": {"password": "hunter2"},
                "exception": {"values": [{"type": "KeyError", "value": "'status'", "mechanism": {"handled": false},
                    "stacktrace": {"frames": [{"filename": "shop/gateway.py", "function": "decode", "in_app": true}]}}]},
            }),
        )
        .await
        .unwrap();
    assert_eq!(recorded.event_id, "3a60e31ab5474d65aaf86eedefe7d501");
    assert!(recorded.is_new_issue);
    let id = recorded.issue.unwrap();

    let issue = bench.errors.find_issue(PROJECT, id).await.unwrap().unwrap();
    assert_eq!((issue.summary.number, issue.summary.title.as_str()), (1, "KeyError: 'status'"));
    assert_eq!(issue.summary.culprit, "shop/gateway.py in decode");
    assert_eq!((issue.summary.level, issue.summary.status), (Level::Fatal, IssueStatus::Unresolved));
    assert_eq!((issue.summary.events, issue.summary.subjects), (1, 1));
    assert_eq!(issue.summary.first_seen, at("2026-11-23T12:30:00Z"));
    assert_eq!(issue.first_release.as_deref(), Some("shop@2.14.0"));
    assert_eq!(issue.grouping_reason, "type and frames of the application of the exception");
    assert_eq!(issue.grouping_values, ["type: KeyError", "frame: gateway.py | decode"]);
    assert_eq!(issue.latest_event.as_deref(), Some("3a60e31ab5474d65aaf86eedefe7d501"));
    assert_eq!((issue.summary.hourly[23], issue.daily[13]), (1, 1));

    let event =
        bench.errors.find_event(PROJECT, "3a60e31a-b547-4d65-aaf8-6eedefe7d501").await.unwrap().unwrap();
    assert_eq!((event.issue, event.summary.level), (id, Level::Fatal));
    assert_eq!(event.summary.environment.as_deref(), Some("production"));
    assert!(event.summary.subject.is_some());
    assert_eq!(event.sdk.as_deref(), Some("sentry.python.flask/2.75.0"));
    assert_eq!((event.handled, event.time_was_clamped), (Some(false), false));
    let rules: Vec<_> = event.removals.iter().map(|removal| (&*removal.path, &*removal.rule)).collect();
    assert_eq!(rules, [("/user", "identity"), ("/extra/password", "password")]);
    assert_eq!(event.payload["extra"], json!({"password": "[removed]"}));
    assert_eq!(event.payload.get("user"), None);
}

async fn events_of_one_issue_are_counted_exactly(db: TestDatabase) {
    let bench = Bench::new(db);
    let first = with(event(1, "A"), "user", json!({"id": "anna"}));
    let issue = record(&bench, with(with(first, "release", "2"), "timestamp", "2026-11-23T12:00:00Z")).await;
    let older = with(event(2, "A"), "user", json!({"id": "anna"}));
    let older = with(with(older, "release", "1"), "timestamp", "2026-11-21T12:00:00Z");
    assert_eq!(record(&bench, with(older, "level", "warning")).await, issue);
    let newer = with(event(3, "A"), "user", json!({"id": "bert"}));
    let newer = with(with(newer, "release", "3"), "platform", "node");
    assert_eq!(record(&bench, with(newer, "level", "fatal")).await, issue);

    let detail = bench.errors.find_issue(PROJECT, issue).await.unwrap().unwrap();
    assert_eq!((detail.summary.events, detail.summary.subjects, detail.summary.level), (3, 2, Level::Fatal));
    assert_eq!(detail.summary.first_seen, at("2026-11-21T12:00:00Z"));
    assert_eq!((detail.summary.last_seen, detail.summary.platform.as_str()), (now(), "node"));
    assert_eq!((detail.first_release.as_deref(), detail.last_release.as_deref()), (Some("1"), Some("3")));
    assert_eq!(detail.latest_event, Some(event_id(3)));
    assert_eq!(detail.daily, [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 2]);
    assert_eq!(bench.errors.count_issues(PROJECT, IssueStatus::Unresolved).await.unwrap(), 1);
}

async fn an_event_id_counts_once_per_project(db: TestDatabase) {
    let bench = Bench::new(db);
    let issue = record(&bench, event(1, "A")).await;
    let again = bench.errors.record_event(PROJECT, event(1, "A")).await.unwrap();
    assert_eq!((again.issue, again.is_new_issue), (None, false));
    // The same id with other content makes no issue either.
    let other = bench.errors.record_event(PROJECT, event(1, "B")).await.unwrap();
    assert_eq!((other.issue, other.is_new_issue), (None, false));
    assert_eq!(titles(&bench, ListIssues::first(PROJECT)).await, ["A: it broke"]);
    assert_eq!(bench.errors.find_issue(PROJECT, issue).await.unwrap().unwrap().summary.events, 1);

    let elsewhere = bench.errors.record_event(OTHER_PROJECT, event(1, "A")).await.unwrap();
    assert!(elsewhere.is_new_issue && elsewhere.issue != Some(issue));
    let page = bench.errors.list_issues(ListIssues::first(OTHER_PROJECT)).await.unwrap();
    assert_eq!((page.items.len(), page.items[0].number, page.items[0].events), (1, 1, 1));
}

fn change(issues: Vec<IssueId>, status: IssueStatus) -> ChangeIssues {
    let change = match status {
        IssueStatus::Unresolved => IssueChange::Reopen,
        IssueStatus::Resolved => IssueChange::Resolve(Resolution::Now),
        IssueStatus::Ignored => IssueChange::Ignore(Ignoring::ForEver),
        IssueStatus::Archived => IssueChange::Archive,
    };
    ChangeIssues { act: act(), issues, change }
}

async fn resolved_issue_reopens_on_new_event(db: TestDatabase) {
    let bench = Bench::new(db);
    let (resolved, ignored) = (record(&bench, event(1, "A")).await, record(&bench, event(2, "B")).await);
    bench.triage.change_issues(change(vec![resolved], IssueStatus::Resolved)).await.unwrap();
    bench.triage.change_issues(change(vec![ignored], IssueStatus::Ignored)).await.unwrap();
    // A repetition is not a new event.
    bench.errors.record_event(PROJECT, event(1, "A")).await.unwrap();
    assert_eq!(bench.errors.count_issues(PROJECT, IssueStatus::Resolved).await.unwrap(), 1);

    record(&bench, event(3, "A")).await;
    record(&bench, event(4, "B")).await;
    let status = async |id| bench.errors.find_issue(PROJECT, id).await.unwrap().unwrap().summary.status;
    assert_eq!(
        (status(resolved).await, status(ignored).await),
        (IssueStatus::Unresolved, IssueStatus::Ignored)
    );
}

async fn changes_of_status_are_audited_once_each(db: TestDatabase) {
    let bench = Bench::new(db);
    let (first, second) = (record(&bench, event(1, "A")).await, record(&bench, event(2, "B")).await);
    let unknown = Id::from_bytes([1; 16]);
    let both = change(vec![first, second, unknown], IssueStatus::Resolved);
    assert_eq!(bench.triage.change_issues(both.clone()).await.unwrap(), 2);
    assert_eq!(bench.triage.change_issues(both).await.unwrap(), 0);
    assert_eq!(bench.triage.change_issues(change(vec![], IssueStatus::Ignored)).await.unwrap(), 0);
    let mut foreign = change(vec![first], IssueStatus::Ignored);
    foreign.act.project = OTHER_PROJECT;
    assert_eq!(bench.triage.change_issues(foreign).await.unwrap(), 0);

    let entries = bench.audit.0.lock().unwrap();
    let mut seen: Vec<_> = entries.iter().map(|entry| entry.target.as_ref().unwrap().id.clone()).collect();
    seen.sort();
    let mut expected = [first.to_string(), second.to_string()];
    expected.sort();
    assert_eq!(seen, expected);
    assert_eq!((entries[0].action, entries[0].project), ("issue_status_changed", Some(PROJECT)));
    assert_eq!(entries[0].detail, json!({"from": "unresolved", "to": "resolved"}));
}

async fn another_projects_ids_find_nothing(db: TestDatabase) {
    let bench = Bench::new(db);
    let issue = record(&bench, event(1, "A")).await;
    assert_eq!(bench.errors.find_issue(OTHER_PROJECT, issue).await.unwrap(), None);
    assert_eq!(bench.errors.find_event(OTHER_PROJECT, &event_id(1)).await.unwrap(), None);
    assert_eq!(bench.errors.find_event(PROJECT, "not an id").await.unwrap(), None);
    let events = bench.errors.list_events(OTHER_PROJECT, issue, PageRequest::first(10)).await.unwrap();
    assert_eq!((events.items.len(), events.next), (0, None));
}

async fn issues_are_sorted_filtered_and_paged(db: TestDatabase) {
    let bench = Bench::new(db);
    // A is oldest and most frequent, B has most subjects, C is newest.
    for (number, kind, user) in
        [(1, "A", "x"), (2, "A", "x"), (3, "A", "x"), (4, "B", "x"), (5, "B", "y"), (6, "C", "x")]
    {
        let at = now().minus(Duration::from_secs(600 - u64::from(number)));
        record(
            &bench,
            with(with(event(number, kind), "user", json!({"id": user})), "timestamp", at.to_string()),
        )
        .await;
    }
    let sorted = async |sort| titles(&bench, ListIssues { sort, ..ListIssues::first(PROJECT) }).await;
    let [a, b, c] = ["A: it broke", "B: it broke", "C: it broke"];
    assert_eq!(sorted(IssueSort::LastSeen).await, [c, b, a]);
    assert_eq!(sorted(IssueSort::FirstSeen).await, [c, b, a]);
    assert_eq!(sorted(IssueSort::Events).await, [a, b, c]);
    assert_eq!(sorted(IssueSort::Subjects).await[0], b);

    let one =
        |sort, after| ListIssues { sort, page: PageRequest::new(1, after), ..ListIssues::first(PROJECT) };
    let first = bench.errors.list_issues(one(IssueSort::Events, None)).await.unwrap();
    let second = bench.errors.list_issues(one(IssueSort::Events, first.next.clone())).await.unwrap();
    assert_eq!((second.items[0].title.as_str(), second.items[0].events), (b, 2));
    let third = bench.errors.list_issues(one(IssueSort::Events, second.next)).await.unwrap();
    assert_eq!((third.items[0].title.as_str(), third.next), (c, None));
    let foreign = bench.errors.list_issues(one(IssueSort::LastSeen, first.next)).await;
    assert!(matches!(foreign, Err(ErrorTrackingError::InvalidQuery(_))));

    let newest = bench.errors.list_issues(one(IssueSort::LastSeen, None)).await.unwrap().items[0].id;
    bench.triage.change_issues(change(vec![newest], IssueStatus::Resolved)).await.unwrap();
    let status = |status| ListIssues { status: Some(status), ..ListIssues::first(PROJECT) };
    assert_eq!(titles(&bench, status(IssueStatus::Unresolved)).await, [b, a]);
    assert_eq!(titles(&bench, status(IssueStatus::Resolved)).await, [c]);
}

async fn a_page_of_equal_keys_repeats_and_leaves_out_nothing(db: TestDatabase) {
    let bench = Bench::new(db);
    for number in 1..=7 {
        record(&bench, event(number, &format!("E{number}"))).await;
    }
    let mut seen = Vec::new();
    let mut after = None;
    loop {
        let query = ListIssues { page: PageRequest::new(2, after), ..ListIssues::first(PROJECT) };
        let page = bench.errors.list_issues(query).await.unwrap();
        seen.extend(page.items.into_iter().map(|issue| issue.number));
        // An issue that is seen again meanwhile must not come a second time.
        record(&bench, event(100 + u32::try_from(seen.len()).unwrap(), "E7")).await;
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    seen.sort_unstable();
    assert_eq!(seen, [1, 2, 3, 4, 5, 6, 7]);
}

async fn text_is_found_without_regard_to_case_and_wildcards_are_letters(db: TestDatabase) {
    let bench = Bench::new(db);
    record(&bench, event(1, "ÄrgerError")).await;
    record(&bench, with(event(2, "B_C"), "transaction", "/Checkout/100%")).await;
    let find = async |text: &str| {
        titles(&bench, ListIssues { text: Some(text.to_owned()), ..ListIssues::first(PROJECT) }).await
    };
    assert_eq!(find("äRGER").await, ["ÄrgerError: it broke"]);
    assert_eq!(find("checkout").await, ["B_C: it broke"]);
    assert_eq!(find("100%").await, ["B_C: it broke"]);
    assert_eq!(find("b_c").await, ["B_C: it broke"]);
    assert_eq!(find("0_%").await, Vec::<String>::new());
    assert_eq!(find("r_err").await, Vec::<String>::new());
    assert_eq!(find("a\\").await, Vec::<String>::new());
    assert_eq!(find("\0").await, Vec::<String>::new());
}

async fn an_environment_filters_issues_and_their_counts(db: TestDatabase) {
    let bench = Bench::new(db);
    for (number, kind, environment) in [
        (1, "A", "production"),
        (2, "A", "staging"),
        (3, "A", "staging"),
        (4, "B", "production"),
        (5, "C", ""),
    ] {
        record(&bench, with(event(number, kind), "environment", environment)).await;
    }
    let query = |name: &str| ListIssues {
        environment: Some(name.to_owned()),
        sort: IssueSort::Events,
        ..ListIssues::first(PROJECT)
    };
    let counts = async |name: &str| {
        let page = bench.errors.list_issues(query(name)).await.unwrap();
        let counts = page.items.into_iter().map(|issue| (issue.title, issue.events, issue.hourly[23]));
        let mut counts: Vec<_> = counts.collect();
        counts.sort();
        counts
    };
    assert_eq!(counts("staging").await, [("A: it broke".to_owned(), 2, 2)]);
    assert_eq!(
        counts("production").await,
        [("A: it broke".to_owned(), 1, 1), ("B: it broke".to_owned(), 1, 1)]
    );
    assert_eq!(counts("nowhere").await, []);
    assert_eq!(bench.errors.list_environments(PROJECT).await.unwrap(), ["production", "staging"]);
    assert_eq!(bench.errors.list_environments(OTHER_PROJECT).await.unwrap(), Vec::<String>::new());
}

async fn events_have_neighbours_and_pages(db: TestDatabase) {
    let bench = Bench::new(db);
    // Two of them at the same time.
    let mut issue = None;
    for (number, minute) in [(1, 10), (2, 20), (3, 20), (4, 30)] {
        let at = format!("2026-11-23T12:{minute}:00Z");
        issue = Some(record(&bench, with(event(number, "A"), "timestamp", at)).await);
    }
    let issue = issue.unwrap();
    let first = bench.errors.list_events(PROJECT, issue, PageRequest::first(3)).await.unwrap();
    let ids: Vec<_> = first.items.iter().map(|event| event.event_id.clone()).collect();
    assert_eq!(ids, [event_id(4), event_id(3), event_id(2)]);
    let second = bench.errors.list_events(PROJECT, issue, PageRequest::new(3, first.next)).await.unwrap();
    assert_eq!((second.items.len(), second.items[0].event_id.clone(), second.next), (1, event_id(1), None));
    let broken = PageRequest::new(3, Some(Cursor::from("x~y".to_owned())));
    assert!(matches!(
        bench.errors.list_events(PROJECT, issue, broken).await,
        Err(ErrorTrackingError::InvalidQuery(_))
    ));

    let neighbours = async |number| {
        let event = bench.errors.find_event(PROJECT, &event_id(number)).await.unwrap().unwrap();
        (event.previous, event.next)
    };
    assert_eq!(neighbours(1).await, (None, Some(event_id(2))));
    assert_eq!(neighbours(2).await, (Some(event_id(1)), Some(event_id(3))));
    assert_eq!(neighbours(3).await, (Some(event_id(2)), Some(event_id(4))));
    assert_eq!(neighbours(4).await, (Some(event_id(3)), None));
}

async fn hours_are_counted_for_project_and_issue(db: TestDatabase) {
    let bench = Bench::new(db);
    for (number, kind, at) in [
        (1, "A", "2026-11-23T10:00:00Z"),
        (2, "A", "2026-11-23T10:59:59Z"),
        (3, "B", "2026-11-23T10:30:00Z"),
        (4, "A", "2026-11-22T12:00:00Z"),
    ] {
        record(&bench, with(event(number, kind), "timestamp", at)).await;
    }
    let hours = async |from, to| bench.errors.count_events_by_hour(PROJECT, at(from), at(to)).await.unwrap();
    assert_eq!(
        hours("2026-11-22T12:30:00Z", "2026-11-23T11:00:00Z").await,
        [
            HourCount { hour: at("2026-11-22T12:00:00Z"), events: 1 },
            HourCount { hour: at("2026-11-23T10:00:00Z"), events: 3 },
        ]
    );
    assert_eq!(hours("2026-11-23T00:00:00Z", "2026-11-23T10:00:00Z").await, []);
    let page = bench.errors.list_issues(ListIssues::first(PROJECT)).await.unwrap();
    let a = page.items.iter().find(|issue| issue.title.starts_with('A')).unwrap();
    // From 13 o'clock of the day before: the event of 12 o'clock is out.
    assert_eq!((a.hourly.len(), a.hourly[21], a.hourly.iter().sum::<u64>()), (24, 2, 2));
    bench.clock.advance(Duration::from_secs(3_600));
    let page = bench.errors.list_issues(ListIssues::first(PROJECT)).await.unwrap();
    assert_eq!(page.items.iter().find(|issue| issue.title.starts_with('A')).unwrap().hourly[20], 2);
}

async fn questions_that_make_no_sense_are_refused(db: TestDatabase) {
    let bench = Bench::new(db);
    let refused = |result: Result<(), ErrorTrackingError>| match result {
        Err(ErrorTrackingError::InvalidQuery(why)) => why,
        other => panic!("{other:?}"),
    };
    let long = ListIssues { text: Some("x".repeat(201)), ..ListIssues::first(PROJECT) };
    assert_eq!(
        refused(bench.errors.list_issues(long).await.map(|_| ())),
        "the text to look for is longer than 200 characters"
    );
    let years = bench.errors.count_events_by_hour(PROJECT, at("2020-01-01T00:00:00Z"), now()).await;
    assert_eq!(refused(years.map(|_| ())), "more than 2160 hours at once");
    let many = change(vec![Id::from_bytes([1; 16]); 201], IssueStatus::Resolved);
    assert_eq!(refused(bench.triage.change_issues(many).await.map(|_| ())), "more than 200 issues at once");
    let not_an_event = bench.errors.record_event(PROJECT, json!([1])).await;
    assert!(matches!(not_an_event, Err(ErrorTrackingError::InvalidEvent(why)) if why == "not a JSON object"));
}
