use belvedere_storage::testing::TestDatabase;
use belvedere_storage::{PageRequest, database_tests};
use serde_json::{Value, json};

use super::fakes::{Bench, OTHER_PROJECT, PROJECT, act, at, envelope, event_id, now};
use crate::search::{
    CountsCover, IssuesFound, Matching, Query, QueryContext, Search, SearchEvents, SearchIssues, parse_query,
};
use crate::{
    ChangeIssues, ErrorTracking, ErrorTrackingError, IssueChange, IssueId, IssueSort, ListIssues,
    MergeIssues, Resolution, Triage,
};

database_tests!(
    every_kind_of_term_finds_its_issues,
    negation_and_lists_and_globs_narrow_and_widen,
    words_are_found_alike_on_both_databases,
    what_later_events_say_is_found_too,
    counts_follow_a_tag_an_environment_and_a_time,
    what_rises_comes_first,
    every_order_pages_without_repeating_or_leaving_out,
    a_part_of_the_events_orders_issues_whatever_the_whole,
    matching_issues_are_counted,
    tags_of_an_issue_are_distributed_exactly,
    a_tag_of_all_events_is_counted_when_one_lacks_it,
    tags_of_all_events_become_counts_when_issues_are_merged,
    a_flood_of_values_is_counted_as_others,
    a_project_knows_its_keys_and_values,
    events_of_an_issue_are_searched_by_their_tags,
    issues_of_another_project_are_never_found,
    issues_that_look_alike_are_found_with_the_reason,
    a_deleted_issue_leaves_nothing_behind,
);

fn event(number: u32, kind: &str, value: &str) -> Value {
    json!({"event_id": event_id(number), "platform": "python", "exception": [{"type": kind, "value": value}]})
}

fn with(mut event: Value, key: &str, value: impl Into<Value>) -> Value {
    event[key] = value.into();
    event
}

async fn record(bench: &Bench, event: Value) -> IssueId {
    bench.errors.record_event(PROJECT, event).await.unwrap().issue.unwrap()
}

fn query(text: &str) -> Query {
    let context = QueryContext { now: now(), ..QueryContext::default() };
    parse_query(text, &context).unwrap()
}

fn search(text: &str) -> SearchIssues {
    SearchIssues {
        project: PROJECT,
        query: query(text),
        environment: None,
        since: None,
        sort: IssueSort::FirstSeen,
        page: PageRequest::first(50),
    }
}

/// The types of exceptions of the issues found, in the order of the list.
fn kinds(found: &IssuesFound) -> Vec<&str> {
    found.page.items.iter().map(|issue| issue.title.split(':').next().unwrap()).collect()
}

async fn find(bench: &Bench, text: &str) -> Vec<String> {
    let found = bench.search.search_issues(search(text)).await.unwrap();
    let mut kinds: Vec<String> = kinds(&found).into_iter().map(str::to_owned).collect();
    kinds.sort();
    kinds
}

/// Three issues that differ in everything that can be asked for.
fn merge(issues: [IssueId; 2]) -> MergeIssues {
    MergeIssues { act: act(), issues: issues.to_vec() }
}

async fn three(bench: &Bench) {
    let trace = json!({"trace": {"trace_id": "0af7651916cd43dd8448eb211c80319c"}});
    let a = event(1, "Alpha", "card was declined");
    let a = with(with(a, "release", "shop@2.1"), "environment", "production");
    let a = with(with(a, "tags", json!({"plan": "pro"})), "contexts", trace);
    let a = with(with(a, "user", json!({"id": "ann"})), "timestamp", "2026-11-23T12:30:00Z");
    record(bench, a).await;
    let b = with(event(2, "Beta", "card expired"), "release", "shop@2.2");
    let b = with(with(b, "environment", "staging"), "tags", json!({"plan": "free"}));
    let b = with(with(b, "level", "warning"), "timestamp", "2026-11-20T10:00:00Z");
    record(bench, b.clone()).await;
    record(bench, with(b, "event_id", event_id(3))).await;
    let c = with(event(4, "Gamma", "disk full"), "level", "fatal");
    let c = with(with(c, "timestamp", "2026-11-01T00:00:00Z"), "server_name", "web-3");
    let c = record(bench, with(c, "sdk", json!({"name": "sentry.rust"}))).await;
    let change = IssueChange::Resolve(Resolution::Now);
    bench.triage.change_issues(ChangeIssues { act: act(), issues: vec![c], change }).await.unwrap();
}

async fn every_kind_of_term_finds_its_issues(db: TestDatabase) {
    let bench = Bench::new(db);
    three(&bench).await;
    for (text, expected) in [
        ("", vec!["Alpha", "Beta", "Gamma"]),
        ("is:unresolved", vec!["Alpha", "Beta"]),
        ("is:resolved", vec!["Gamma"]),
        ("is:new", vec!["Alpha", "Beta"]),
        ("level:warning", vec!["Beta"]),
        ("level:>=error", vec!["Alpha", "Gamma"]),
        ("release:shop@2.1", vec!["Alpha"]),
        ("environment:staging", vec!["Beta"]),
        ("first_seen:-24h", vec!["Alpha"]),
        ("first_seen:+7d", vec!["Gamma"]),
        ("last_seen:2026-11-20", vec!["Beta"]),
        ("times_seen:>1", vec!["Beta"]),
        ("subjects:>=1", vec!["Alpha"]),
        ("trace:0af7651916cd43dd8448eb211c80319c", vec!["Alpha"]),
        ("event:00000000000000000000000000000003", vec!["Beta"]),
        ("title:gamma", vec!["Gamma"]),
        ("message:\"disk full\"", vec!["Gamma"]),
        ("culprit:gamma", vec![]),
        ("type:Beta", vec!["Beta"]),
        ("platform:python", vec!["Alpha", "Beta", "Gamma"]),
        ("sdk:sentry.rust", vec!["Gamma"]),
        ("has:server_name", vec!["Gamma"]),
        ("has:user", vec!["Alpha"]),
        ("plan:pro", vec!["Alpha"]),
        ("tags[plan]:free", vec!["Beta"]),
        ("plan:gold", vec![]),
        ("never_seen:x", vec![]),
        ("card", vec!["Alpha", "Beta"]),
        ("card plan:pro is:unresolved level:error", vec!["Alpha"]),
    ] {
        assert_eq!(find(&bench, text).await, expected, "{text}");
    }
}

async fn negation_and_lists_and_globs_narrow_and_widen(db: TestDatabase) {
    let bench = Bench::new(db);
    three(&bench).await;
    for (text, expected) in [
        ("!is:resolved", vec!["Alpha", "Beta"]),
        ("!plan:pro", vec!["Beta", "Gamma"]),
        ("-has:plan", vec!["Gamma"]),
        ("!card", vec!["Gamma"]),
        ("!trace:0af7651916cd43dd8448eb211c80319c", vec!["Beta", "Gamma"]),
        ("plan:[pro,free]", vec!["Alpha", "Beta"]),
        ("level:[warning,fatal]", vec!["Beta", "Gamma"]),
        ("release:shop@2.*", vec!["Alpha", "Beta"]),
        ("release:*.2", vec!["Beta"]),
        ("release:shop@2.?", vec![]),
        ("!release:*", vec!["Gamma"]),
        ("sdk:sentry.*", vec!["Gamma"]),
        // Values are compared letter by letter.
        ("plan:PRO", vec![]),
        ("release:SHOP*", vec![]),
    ] {
        assert_eq!(find(&bench, text).await, expected, "{text}");
    }
}

async fn words_are_found_alike_on_both_databases(db: TestDatabase) {
    let bench = Bench::new(db);
    let event = |number, kind, value: &str| with(event(number, kind, value), "transaction", "/users/pay");
    record(&bench, event(1, "PaymentDeclinedError", "order 4711: can't reach https://bank.example/v2")).await;
    record(&bench, event(2, "ÄrgerÜber", "größe_XL is 1.5e10 or 100%")).await;
    for (text, expected) in [
        ("paymentdeclined", vec!["PaymentDeclinedError"]),
        ("declined", vec!["PaymentDeclinedError"]),
        ("DECL", vec!["PaymentDeclinedError"]),
        ("eclined", vec![]),
        ("4711", vec!["PaymentDeclinedError"]),
        ("\"can't reach\"", vec!["PaymentDeclinedError"]),
        ("\"reach can\"", vec![]),
        ("bank.example/v2", vec!["PaymentDeclinedError"]),
        ("ärger", vec!["ÄrgerÜber"]),
        ("ÜBER", vec!["ÄrgerÜber"]),
        ("arger", vec![]),
        ("größe xl", vec!["ÄrgerÜber"]),
        ("1.5e10", vec!["ÄrgerÜber"]),
        ("100%", vec!["ÄrgerÜber"]),
        ("/users/pay", vec!["PaymentDeclinedError", "ÄrgerÜber"]),
        ("declined ärger", vec![]),
        ("title:[declined,ärger]", vec!["PaymentDeclinedError", "ÄrgerÜber"]),
        ("title:users", vec![]),
    ] {
        assert_eq!(find(&bench, text).await, expected, "{text}");
    }
}

async fn what_later_events_say_is_found_too(db: TestDatabase) {
    let bench = Bench::new(db);
    let frames = json!({"frames": [{"filename": "pay.py", "function": "pay", "in_app": true}]});
    let say = |number: u32, value: &str| {
        let mut event = event(number, "Failed", value);
        event["exception"][0]["stacktrace"] = frames.clone();
        event
    };
    let issue = record(&bench, say(1, "card declined")).await;
    assert_eq!(record(&bench, say(2, "bank unreachable")).await, issue);
    assert_eq!(find(&bench, "unreachable").await, ["Failed"]);
    assert_eq!(find(&bench, "message:\"bank unreach\"").await, ["Failed"]);
    // The 20th way of saying it is the last that is added, and one was said before these.
    for (number, word) in
        (3..).zip(["one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"])
    {
        record(&bench, say(number, word)).await;
        record(&bench, say(100 + number, &format!("again{word}"))).await;
    }
    assert_eq!(find(&bench, "nine").await, ["Failed"]);
    assert_eq!(find(&bench, "againnine").await, ["Failed"]);
    assert_eq!(find(&bench, "againten").await, Vec::<String>::new());
}

async fn counts_follow_a_tag_an_environment_and_a_time(db: TestDatabase) {
    let bench = Bench::new(db);
    let at = |number, kind, time: &str, plan: &str, environment: &str| {
        let event = with(with(event(number, kind, "x"), "timestamp", time), "environment", environment);
        with(event, "tags", json!({"plan": plan}))
    };
    for event in [
        at(1, "Alpha", "2026-11-23T12:10:00Z", "pro", "production"),
        at(2, "Alpha", "2026-11-23T11:59:00Z", "free", "production"),
        at(3, "Alpha", "2026-11-22T12:00:00Z", "free", "staging"),
        at(9, "Alpha", "2026-11-18T12:00:00Z", "none", "production"),
        at(4, "Beta", "2026-11-23T12:20:00Z", "free", "staging"),
        at(5, "Beta", "2026-11-23T12:21:00Z", "free", "staging"),
        at(6, "Gamma", "2026-11-20T12:00:00Z", "pro", "production"),
        at(7, "Gamma", "2026-11-20T12:00:00Z", "pro", "production"),
        at(8, "Beta", "2026-11-19T12:21:00Z", "free", "staging"),
    ] {
        record(&bench, event).await;
    }
    let counts = async |search: SearchIssues| {
        let found =
            bench.search.search_issues(SearchIssues { sort: IssueSort::Events, ..search }).await.unwrap();
        let counts: Vec<_> = kinds(&found)
            .into_iter()
            .map(str::to_owned)
            .zip(found.page.items.iter().map(|it| it.events))
            .collect();
        (counts, found.counts)
    };
    let named = |pairs: &[(&str, u64)]| {
        pairs.iter().map(|(kind, events)| ((*kind).to_owned(), *events)).collect::<Vec<_>>()
    };
    let tag = |key: &str, value: &str| CountsCover::Tag { key: key.to_owned(), value: value.to_owned() };

    let (all, cover) = counts(search("")).await;
    assert_eq!((all, cover), (named(&[("Alpha", 4), ("Beta", 3), ("Gamma", 2)]), CountsCover::AllEvents));
    let (free, cover) = counts(search("plan:free")).await;
    assert_eq!((free, cover), (named(&[("Beta", 3), ("Alpha", 2)]), tag("plan", "free")));
    let (pro, _) = counts(search("plan:pro !plan:x")).await;
    assert_eq!(pro, named(&[("Gamma", 2), ("Alpha", 1)]));
    // Two tags at once: how many events have both is not known.
    let (both, cover) = counts(search("plan:free platform:python")).await;
    assert_eq!((both, cover), (named(&[("Alpha", 4), ("Beta", 3)]), CountsCover::AllEvents));

    let staging = SearchIssues { environment: Some("staging".to_owned()), ..search("plan:free") };
    let (found, cover) = counts(staging).await;
    assert_eq!((found, cover), (named(&[("Beta", 3), ("Alpha", 1)]), tag("environment", "staging")));

    let since = Some(super::fakes::at("2026-11-23T12:05:00Z"));
    let (found, cover) = counts(SearchIssues { since, ..search("") }).await;
    let from = super::fakes::at("2026-11-23T12:00:00Z");
    assert_eq!(found, named(&[("Beta", 2), ("Alpha", 1)]));
    assert_eq!(cover, CountsCover::Since { from, environment: None });
    let production = Some("production".to_owned());
    let (found, _) = counts(SearchIssues { since, environment: production, ..search("") }).await;
    assert_eq!(found, named(&[("Alpha", 1)]));

    let long_ago = SearchIssues { since: Some(super::fakes::at("2026-01-01T00:00:00Z")), ..search("") };
    let refused = bench.search.search_issues(long_ago).await;
    assert!(matches!(refused, Err(ErrorTrackingError::InvalidQuery(_))));
}

async fn what_rises_comes_first(db: TestDatabase) {
    let bench = Bench::new(db);
    let mut number = 0;
    for (kind, last, before) in [("Falling", 1, 4), ("Rising", 3, 0), ("Steady", 2, 2), ("Growing", 3, 1)] {
        let times = [("2026-11-23T11:00:00Z", last), ("2026-11-22T09:00:00Z", before)];
        for (time, count) in times {
            for _ in 0..count {
                number += 1;
                record(&bench, with(event(number, kind, "x"), "timestamp", time)).await;
            }
        }
    }
    for time in ["2026-11-10T09:00:00Z", "2026-11-10T08:00:00Z"] {
        number += 1;
        record(&bench, with(event(number, "Old", "x"), "timestamp", time)).await;
    }
    let trend = SearchIssues { sort: IssueSort::Trend, ..search("") };
    let found = bench.search.search_issues(trend.clone()).await.unwrap();
    assert_eq!(kinds(&found), ["Rising", "Growing", "Steady", "Falling", "Old"]);
    let first = SearchIssues { page: PageRequest::first(2), ..trend.clone() };
    let first = bench.search.search_issues(first).await.unwrap();
    let rest = SearchIssues { page: PageRequest::new(50, first.page.next), ..trend.clone() };
    assert_eq!(kinds(&bench.search.search_issues(rest).await.unwrap()), ["Steady", "Falling", "Old"]);

    // Two that become one rise as if they had always been one.
    for _ in 0..3 {
        number += 1;
        record(&bench, with(event(number, "Old", "x"), "timestamp", "2026-11-23T11:00:00Z")).await;
    }
    let before = bench.search.search_issues(trend.clone()).await.unwrap();
    assert_eq!(kinds(&before), ["Rising", "Growing", "Old", "Steady", "Falling"]);
    let id =
        |kind: &str| before.page.items[kinds(&before).iter().position(|known| *known == kind).unwrap()].id;
    bench.triage.merge_issues(merge([id("Falling"), id("Rising")])).await.unwrap();
    let merged = bench.search.search_issues(trend).await.unwrap();
    assert_eq!(kinds(&merged), ["Falling", "Growing", "Old", "Steady"]);
}

async fn every_order_pages_without_repeating_or_leaving_out(db: TestDatabase) {
    let bench = Bench::new(db);
    for number in 1..=7 {
        let event = with(event(number, &format!("E{number}"), "x"), "tags", json!({"plan": "pro"}));
        record(&bench, event).await;
    }
    let since = Some(at("2026-11-23T00:00:00Z"));
    for sort in IssueSort::ALL {
        for (text, since) in [("", None), ("plan:pro", None), ("x", since)] {
            let mut seen = Vec::new();
            let mut after = None;
            loop {
                let page = PageRequest::new(2, after);
                let found = bench
                    .search
                    .search_issues(SearchIssues { sort, since, page, ..search(text) })
                    .await
                    .unwrap();
                seen.extend(found.page.items.iter().map(|issue| issue.number));
                assert_eq!(found.matching.count, 7);
                after = found.page.next;
                if after.is_none() {
                    break;
                }
            }
            seen.sort_unstable();
            assert_eq!(seen, [1, 2, 3, 4, 5, 6, 7], "{sort:?} {text}");
        }
    }
    let first = SearchIssues { page: PageRequest::first(2), ..search("") };
    let foreign = bench.search.search_issues(first).await.unwrap().page.next;
    let other = SearchIssues { sort: IssueSort::Trend, page: PageRequest::new(2, foreign), ..search("") };
    assert!(matches!(bench.search.search_issues(other).await, Err(ErrorTrackingError::InvalidQuery(_))));
}

async fn a_part_of_the_events_orders_issues_whatever_the_whole(db: TestDatabase) {
    let bench = Bench::new(db);
    let mut number = 0;
    // How many events each has, and how many of them are in staging, of the plan and of late.
    let issues = [("A", 9, 1), ("B", 8, 5), ("C", 7, 0), ("D", 6, 6), ("E", 5, 2), ("F", 4, 4), ("G", 3, 3)];
    for (kind, all, part) in issues {
        for index in 0..all {
            number += 1;
            let (plan, environment, time) = match index < part {
                true => ("pro", "staging", "2026-11-23T11:00:00Z"),
                false => ("free", "production", "2026-11-20T11:00:00Z"),
            };
            let event = with(event(number, kind, "x"), "tags", json!({ "plan": plan }));
            record(&bench, with(with(event, "environment", environment), "timestamp", time)).await;
        }
    }
    let environment = Some("staging".to_owned());
    let since = Some(at("2026-11-23T00:00:00Z"));
    let by_tag = SearchIssues { sort: IssueSort::Events, ..search("plan:pro") };
    for wanted in [
        by_tag.clone(),
        SearchIssues { environment: environment.clone(), ..by_tag.clone() },
        SearchIssues { environment: environment.clone(), query: query(""), ..by_tag.clone() },
        SearchIssues { query: query("environment:staging"), ..by_tag.clone() },
        SearchIssues { query: query(""), since, ..by_tag.clone() },
        SearchIssues { query: query("plan:[pro,gold]"), since, environment, ..by_tag },
    ] {
        for limit in 1..=7 {
            let (mut seen, mut after) = (Vec::new(), None);
            loop {
                let page = PageRequest::new(limit, after);
                let found =
                    bench.search.search_issues(SearchIssues { page, ..wanted.clone() }).await.unwrap();
                let items = found.page.items.iter();
                seen.extend(items.map(|issue| (issue.title[..1].to_owned(), issue.events)));
                after = found.page.next;
                if after.is_none() {
                    break;
                }
            }
            let seen: Vec<_> = seen.iter().map(|(title, events)| (title.as_str(), *events)).collect();
            let expected = [("D", 6), ("B", 5), ("F", 4), ("G", 3), ("E", 2), ("A", 1)];
            assert_eq!(seen, expected, "{limit} of {wanted:?}");
        }
    }
}

async fn matching_issues_are_counted(db: TestDatabase) {
    let bench = Bench::new(db);
    three(&bench).await;
    for (text, count) in [("", 3), ("card", 2), ("!plan:pro", 2), ("plan:gold", 0)] {
        let found = bench.search.search_issues(search(text)).await.unwrap();
        assert_eq!(found.matching, Matching { count, is_exact: true }, "{text}");
    }
}

async fn tags_of_an_issue_are_distributed_exactly(db: TestDatabase) {
    let bench = Bench::new(db);
    let mut bodies = Vec::new();
    for number in 1..=10 {
        let plan = if number <= 7 { "pro" } else { "free" };
        let event = with(event(number, "Alpha", "x"), "tags", json!({"plan": plan}));
        let event = if number == 10 { event } else { with(event, "release", format!("shop@{}", number % 3)) };
        bodies.push(envelope(&with(event, "timestamp", format!("2026-11-23T12:{number:02}:00Z"))));
    }
    // In two batches, and one delivery twice: it counts once.
    bench.take_in_envelopes(&bodies[..4]).await;
    bench.take_in_envelopes(&bodies[3..]).await;
    let issue = bench.errors.list_issues(ListIssues::first(PROJECT)).await.unwrap().items[0].id;
    let tags = bench.search.summarise_tags(PROJECT, issue).await.unwrap();
    let plan = tags.iter().find(|tag| tag.key == "plan").unwrap();
    let values: Vec<_> = plan.values.iter().map(|value| (value.value.as_str(), value.events)).collect();
    assert_eq!((plan.events, values, plan.others), (10, vec![("pro", 7), ("free", 3)], 0));
    assert_eq!(plan.values[0].first_seen, at("2026-11-23T12:01:00Z"));
    assert_eq!(plan.values[0].last_seen, at("2026-11-23T12:07:00Z"));
    let release = bench.search.find_tag(PROJECT, issue, "release").await.unwrap().unwrap();
    assert_eq!((release.events, release.values_known, release.others), (9, 3, 0));
    let values: Vec<_> = release.values.iter().map(|value| (value.value.as_str(), value.events)).collect();
    assert_eq!(values, [("shop@0", 3), ("shop@1", 3), ("shop@2", 3)]);
    assert_eq!(bench.search.find_tag(PROJECT, issue, "nothing").await.unwrap(), None);
    assert_eq!(bench.search.find_tag(OTHER_PROJECT, issue, "plan").await.unwrap(), None);
    assert_eq!(bench.search.summarise_tags(OTHER_PROJECT, issue).await.unwrap(), []);
}

async fn a_tag_of_all_events_is_counted_when_one_lacks_it(db: TestDatabase) {
    let bench = Bench::new(db);
    let body = |number: u32, plan: Option<&str>| {
        let tags = plan.map_or(json!({}), |plan| json!({ "plan": plan }));
        let event = with(event(number, "Alpha", "x"), "tags", tags);
        envelope(&with(event, "timestamp", format!("2026-11-23T10:{number:02}:00Z")))
    };
    let read = async |issue: IssueId| {
        let plan = bench.search.find_tag(PROJECT, issue, "plan").await.unwrap().unwrap();
        let minute = |at: belvedere_storage::Timestamp| at.to_string()[14..16].parse::<u32>().unwrap();
        let value = |value: &crate::search::TagValue| {
            (value.value.clone(), value.events, minute(value.first_seen), minute(value.last_seen))
        };
        assert_eq!(
            bench.search.summarise_tags(PROJECT, issue).await.unwrap().iter().find(|tag| tag.key == "plan"),
            Some(&plan)
        );
        (plan.events, plan.values.iter().map(value).collect::<Vec<_>>())
    };
    let pro = |events: u64, first: u32, last: u32| ("pro".to_owned(), events, first, last);

    bench.take_in_envelopes(&[body(20, Some("pro")), body(21, Some("pro"))]).await;
    let issue = bench.errors.list_issues(ListIssues::first(PROJECT)).await.unwrap().items[0].id;
    assert_eq!(read(issue).await, (2, vec![pro(2, 20, 21)]));
    bench.take_in_envelopes(&[body(22, Some("pro")), body(10, Some("pro"))]).await;
    assert_eq!(read(issue).await, (4, vec![pro(4, 10, 22)]));
    // One that lacks it, in a batch with one that has it.
    bench.take_in_envelopes(&[body(30, None), body(23, Some("pro")), body(5, None)]).await;
    assert_eq!(read(issue).await, (5, vec![pro(5, 10, 23)]));
    let free = ("free".to_owned(), 1, 31, 31);
    bench.take_in_envelopes(&[body(31, Some("free"))]).await;
    assert_eq!(read(issue).await, (6, vec![pro(5, 10, 23), free.clone()]));
    bench.take_in_envelopes(&[body(32, Some("pro"))]).await;
    assert_eq!(read(issue).await, (7, vec![pro(6, 10, 32), free]));
    // A list counts as the issue does, and so does the project.
    for (text, events) in [("plan:pro", 6), ("plan:free", 1), ("has:plan", 9), ("error.type:Alpha", 9)] {
        let found = bench.search.search_issues(search(text)).await.unwrap();
        assert_eq!(found.page.items[0].events, events, "{text}");
    }
    assert_eq!(bench.search.search_issues(search("!has:plan")).await.unwrap().page.items, []);
    let values = bench.search.list_tag_values(PROJECT, "plan", "").await.unwrap();
    let values: Vec<_> = values.iter().map(|value| (value.value.as_str(), value.events)).collect();
    assert_eq!(values, [("pro", 6), ("free", 1)]);
}

async fn tags_of_all_events_become_counts_when_issues_are_merged(db: TestDatabase) {
    let bench = Bench::new(db);
    let tagged = |number: u32, kind: &str, tags: Value| with(event(number, kind, "x"), "tags", tags);
    record(&bench, tagged(1, "Alpha", json!({"plan": "pro", "team": "a"}))).await;
    let alpha = record(&bench, tagged(2, "Alpha", json!({"plan": "pro", "team": "a"}))).await;
    let beta = record(&bench, tagged(3, "Beta", json!({"plan": "pro"}))).await;
    bench.triage.merge_issues(merge([alpha, beta])).await.unwrap();
    record(&bench, tagged(4, "Beta", json!({"plan": "free", "team": "b"}))).await;
    for (key, expected) in [
        ("plan", vec![("pro", 3), ("free", 1)]),
        ("team", vec![("a", 2), ("b", 1)]),
        ("error.type", vec![("Alpha", 2), ("Beta", 2)]),
        ("level", vec![("error", 4)]),
    ] {
        let tag = bench.search.find_tag(PROJECT, alpha, key).await.unwrap().unwrap();
        let values: Vec<_> = tag.values.iter().map(|value| (value.value.as_str(), value.events)).collect();
        assert_eq!((values, tag.others), (expected, 0), "{key}");
    }
}

async fn a_flood_of_values_is_counted_as_others(db: TestDatabase) {
    let bench = Bench::new(db);
    let flood = |numbers: std::ops::RangeInclusive<u32>| -> Vec<String> {
        numbers
            .map(|number| {
                let tags = json!({"request": format!("r{number}"), "plan": "pro"});
                envelope(&with(event(number, "Alpha", "x"), "tags", tags))
            })
            .collect()
    };
    bench.take_in_envelopes(&flood(1..=90)).await;
    bench.take_in_envelopes(&flood(91..=250)).await;
    bench.take_in_envelopes(&flood(251..=300)).await;
    let issue = bench.errors.list_issues(ListIssues::first(PROJECT)).await.unwrap().items[0].id;
    let request = bench.search.find_tag(PROJECT, issue, "request").await.unwrap().unwrap();
    assert_eq!(
        (request.events, request.values.len(), request.values_known, request.others),
        (300, 100, 100, 200)
    );
    let plan = bench.search.find_tag(PROJECT, issue, "plan").await.unwrap().unwrap();
    assert_eq!((plan.events, plan.values[0].events, plan.others), (300, 300, 0));
    let keys = bench.search.list_tag_keys(PROJECT).await.unwrap();
    let request = keys.iter().find(|key| key.key == "request").unwrap();
    assert_eq!((request.events, request.values), (300, 100));

    // A flood of keys: an event has at most 100 tags.
    let many: serde_json::Map<String, Value> =
        (0..400).map(|number| (format!("k{number}"), "v".into())).collect();
    bench.take_in_envelopes(&[envelope(&with(event(999, "Beta", "x"), "tags", many))]).await;
    assert_eq!(
        bench
            .search
            .list_tag_keys(PROJECT)
            .await
            .unwrap()
            .iter()
            .filter(|key| key.key.starts_with('k'))
            .count(),
        96
    );
}

async fn a_project_knows_its_keys_and_values(db: TestDatabase) {
    let bench = Bench::new(db);
    three(&bench).await;
    let keys = bench.search.list_tag_keys(PROJECT).await.unwrap();
    let plan = keys.iter().find(|key| key.key == "plan").unwrap();
    assert_eq!((plan.events, plan.values), (3, 2));
    let values = async |key: &str, prefix: &str| {
        let values = bench.search.list_tag_values(PROJECT, key, prefix).await.unwrap();
        values.into_iter().map(|value| (value.value, value.events)).collect::<Vec<_>>()
    };
    assert_eq!(values("plan", "").await, [("free".to_owned(), 2), ("pro".to_owned(), 1)]);
    assert_eq!(values("plan", "p").await, [("pro".to_owned(), 1)]);
    assert_eq!(values("release", "shop@2.").await.len(), 2);
    assert_eq!(values("release", "%").await, []);
    assert_eq!(values("plan", "\0").await, []);
    assert_eq!(bench.search.list_tag_keys(OTHER_PROJECT).await.unwrap(), []);
    assert_eq!(bench.search.list_tag_values(OTHER_PROJECT, "plan", "").await.unwrap(), []);
}

async fn events_of_an_issue_are_searched_by_their_tags(db: TestDatabase) {
    let bench = Bench::new(db);
    let mut bodies = Vec::new();
    for number in 1..=1_100_u32 {
        let plan = if number.is_multiple_of(10) { "pro" } else { "free" };
        let event = with(event(number, "Alpha", "x"), "tags", json!({"plan": plan}));
        let event =
            with(event, "contexts", json!({"trace": {"trace_id": format!("{:032x}", number.div_ceil(2))}}));
        bodies.push(envelope(&with(
            event,
            "timestamp",
            format!("2026-11-23T12:00:{:02}.{number:04}Z", number / 100),
        )));
    }
    bench.take_in_envelopes(&bodies).await;
    let issue = bench.errors.list_issues(ListIssues::first(PROJECT)).await.unwrap().items[0].id;
    let wanted = |text: &str, page: PageRequest| SearchEvents {
        project: PROJECT,
        issue,
        query: query(text),
        environment: None,
        page,
    };
    let mut seen = 0;
    let mut after = None;
    loop {
        let found =
            bench.search.search_events(wanted("plan:pro", PageRequest::new(30, after))).await.unwrap();
        for event in &found.page.items {
            assert!(event.tags.contains(&("plan".to_owned(), "pro".to_owned())), "{:?}", event.tags);
        }
        seen += found.page.items.len();
        after = found.page.next;
        if after.is_none() {
            break;
        }
    }
    assert_eq!(seen, 110);
    let trace = "0000000000000000000000000000000a";
    let found =
        bench.search.search_events(wanted(&format!("trace:{trace}"), PageRequest::first(50))).await.unwrap();
    let ids: Vec<_> = found.page.items.iter().map(|event| event.summary.event_id.clone()).collect();
    assert_eq!(ids, [event_id(20), event_id(19)]);
    assert_eq!(found.page.items[0].trace.as_deref(), Some(trace));
    assert_eq!((found.looked_through, found.page.next), (1_100, None));
    let none = SearchEvents { project: OTHER_PROJECT, ..wanted("", PageRequest::first(50)) };
    assert_eq!(bench.search.search_events(none).await.unwrap().page.items, []);
}

async fn issues_of_another_project_are_never_found(db: TestDatabase) {
    let bench = Bench::new(db);
    let ours = with(event(1, "Ours", "same words"), "tags", json!({"plan": "pro"}));
    let trace = json!({"trace": {"trace_id": "0af7651916cd43dd8448eb211c80319c"}});
    let theirs =
        with(with(event(1, "Theirs", "same words"), "tags", json!({"plan": "pro"})), "contexts", trace);
    record(&bench, ours).await;
    bench.errors.record_event(OTHER_PROJECT, theirs).await.unwrap();
    for text in [
        "",
        "words",
        "plan:pro",
        "!plan:free",
        "has:plan",
        "release:*",
        "platform:p*",
        "event:00000000000000000000000000000001",
    ] {
        assert!(!find(&bench, text).await.contains(&"Theirs".to_owned()), "{text}");
    }
    assert_eq!(find(&bench, "trace:0af7651916cd43dd8448eb211c80319c").await, Vec::<String>::new());
    let found = bench.search.search_issues(search("plan:pro")).await.unwrap();
    assert_eq!((found.page.items[0].events, found.matching.count), (1, 1));
}

async fn issues_that_look_alike_are_found_with_the_reason(db: TestDatabase) {
    let bench = Bench::new(db);
    let trace = |number: u32, kind: &str, value: &str, functions: &[&str]| {
        let frames: Vec<Value> = functions
            .iter()
            .map(|function| json!({"filename": "pay.py", "function": function, "in_app": true}))
            .collect();
        let mut event = event(number, kind, value);
        event["exception"][0]["stacktrace"] = json!({ "frames": frames });
        event
    };
    let issue = record(&bench, trace(1, "KeyError", "'status'", &["main", "pay", "charge"])).await;
    let twin = record(&bench, trace(2, "KeyError", "'status'", &["main", "pay", "refund"])).await;
    record(&bench, trace(3, "KeyError", "'other thing entirely'", &["walk", "run"])).await;
    record(&bench, trace(4, "OsError", "'status'", &["main", "pay", "charge"])).await;
    let similar = bench.search.list_similar(PROJECT, issue).await.unwrap();
    assert_eq!(similar.iter().map(|it| it.id).collect::<Vec<_>>(), [twin]);
    assert_eq!(
        similar[0].reason,
        "the same type KeyError, 2 of 4 frames in common, 4 of 4 words of the titles"
    );
    assert_eq!(bench.search.list_similar(OTHER_PROJECT, issue).await.unwrap(), []);

    let message = |number: u32, text: &str| json!({"event_id": event_id(number), "message": text});
    let one = record(&bench, message(5, "could not reach the cache, retrying")).await;
    let two = record(&bench, message(6, "could not reach the queue, retrying")).await;
    let similar = bench.search.list_similar(PROJECT, one).await.unwrap();
    assert_eq!(similar.iter().map(|it| it.id).collect::<Vec<_>>(), [two]);
}

async fn a_deleted_issue_leaves_nothing_behind(db: TestDatabase) {
    use sea_orm::{ConnectionTrait, Statement};

    let bench = Bench::new(db);
    three(&bench).await;
    let run = async |sql: &str| {
        let backend = bench.db.read().get_database_backend();
        bench.db.read().query_all_raw(Statement::from_string(backend, sql)).await.unwrap()
    };
    bench
        .db
        .write(async |tx| {
            tx.execute_unprepared("DELETE FROM error_issue WHERE project_id = 1")
                .await
                .map_err(belvedere_storage::StorageError::from)
        })
        .await
        .unwrap();
    for table in ["error_issue_text", "error_issue_tag"] {
        let rows = run(&format!("SELECT COUNT(*) FROM {table}")).await;
        assert_eq!(rows[0].try_get_by_index::<i64>(0).unwrap(), 0, "{table}");
    }
}
