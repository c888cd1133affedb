use belvedere_kernel::{Actor, ProjectId};
use belvedere_storage::testing::TestDatabase;
use belvedere_storage::{Id, database_tests};
use serde_json::{Value, json};

use super::fakes::{Bench, OTHER_PROJECT, PROJECT, delivery, envelope, event_id, tallies};
use crate::grouping_rules::{ChangeRules, GroupingRules};
use crate::{ErrorTracking, ErrorTrackingError, ListIssues};

database_tests!(
    rules_are_kept_with_their_revision_and_audited,
    rules_decide_about_events_from_now_on,
    an_event_that_is_not_wanted_is_counted_and_not_stored,
    a_rule_takes_events_away_from_an_older_issue,
    a_preview_tells_what_would_join_and_split_and_changes_nothing,
);

fn change(project: ProjectId, rules: &str, revision: Option<i64>) -> ChangeRules {
    ChangeRules {
        actor: Actor::System("test"),
        organisation: Id::from_bytes([1; 16]),
        project,
        rules: rules.to_owned(),
        revision,
        request_id: None,
    }
}

fn event(number: u32, kind: &str, region: &str) -> Value {
    json!({
        "event_id": event_id(number), "platform": "python", "tags": {"region": region},
        "exception": [{"type": kind, "value": "gone"}],
    })
}

async fn rules_are_kept_with_their_revision_and_audited(db: TestDatabase) {
    let bench = Bench::new(db);
    let empty = bench.errors.find_rules(PROJECT).await.unwrap();
    assert_eq!((empty.rules.as_str(), empty.revision, empty.changed_at), ("", 0, None));
    let stored =
        bench.errors.change_rules(change(PROJECT, "level:info -> ignore\r\n\r\n", Some(0))).await.unwrap();
    assert_eq!((stored.rules.as_str(), stored.revision), ("level:info -> ignore", 1));
    assert_eq!(bench.errors.find_rules(PROJECT).await.unwrap(), stored);
    // Saying the same again is no change.
    bench.errors.change_rules(change(PROJECT, "level:info -> ignore", Some(1))).await.unwrap();
    let late = bench.errors.change_rules(change(PROJECT, "", Some(0))).await.unwrap_err();
    assert!(matches!(late, ErrorTrackingError::RulesChanged), "{late}");
    let wrong = bench.errors.change_rules(change(PROJECT, "level:info -> drop", None)).await.unwrap_err();
    assert!(wrong.to_string().starts_with("rules: line 1, column 15: there is no action drop"), "{wrong}");
    assert_eq!(bench.errors.find_rules(OTHER_PROJECT).await.unwrap().revision, 0);
    let entries = bench.audit.0.lock().unwrap();
    assert_eq!(entries.len(), 1);
    assert_eq!(entries[0].action, "grouping_rules_changed");
    assert_eq!(entries[0].detail, json!({"from": "", "to": "level:info -> ignore"}));
}

async fn rules_decide_about_events_from_now_on(db: TestDatabase) {
    let bench = Bench::new(db);
    let events =
        |first: u32| [event(first, "A", "eu"), event(first + 1, "B", "eu"), event(first + 2, "B", "us")];
    bench.take_in_envelopes(&events(1).map(|event| envelope(&event))).await;
    assert_eq!(bench.errors.list_issues(ListIssues::first(PROJECT)).await.unwrap().items.len(), 2);
    let rules = "error.type:? -> fingerprint: region, {{ tags.region }} title: \"Down in {{ tags.region }}\"";
    bench.errors.change_rules(change(PROJECT, rules, None)).await.unwrap();
    bench.take_in_envelopes(&events(11).map(|event| envelope(&event))).await;
    let issues = bench.errors.list_issues(ListIssues::first(PROJECT)).await.unwrap().items;
    let mut titles: Vec<(String, u64)> =
        issues.iter().map(|issue| (issue.title.clone(), issue.events)).collect();
    titles.sort();
    assert_eq!(
        titles,
        [("A: gone", 1), ("B: gone", 2), ("Down in eu", 2), ("Down in us", 1)]
            .map(|(title, events)| (title.to_owned(), events))
    );
    let id = issues.iter().find(|issue| issue.title == "Down in eu").unwrap().id;
    let issue = bench.errors.find_issue(PROJECT, id).await.unwrap().unwrap();
    assert_eq!(issue.grouping_explanation.chosen_by, format!("rule of the project: {rules}"));
    assert_eq!(issue.grouping_reason, "fingerprint of a rule of the project");
    assert_eq!(issue.grouping_values, ["fingerprint: region", "fingerprint: eu"]);
    // What happens in process follows the same rules.
    let recorded = bench.errors.record_event(PROJECT, event(21, "C", "eu")).await.unwrap();
    assert_eq!(recorded.issue, Some(id));
    let elsewhere = bench.errors.record_event(OTHER_PROJECT, event(22, "C", "eu")).await.unwrap();
    assert!(elsewhere.is_new_issue);
}

async fn an_event_that_is_not_wanted_is_counted_and_not_stored(db: TestDatabase) {
    let bench = Bench::new(db);
    bench.errors.change_rules(change(PROJECT, "error.type:Noise -> ignore", None)).await.unwrap();
    let (stored, rejected) = bench
        .take_in_envelopes(&[envelope(&event(1, "Noise", "eu")), envelope(&event(2, "Fault", "eu"))])
        .await;
    assert_eq!(rejected, []);
    assert_eq!(tallies(&stored), [("event", "dropped", "ignored_by_rule", 1), ("event", "stored", "", 1)]);
    let body = event(3, "Noise", "eu").to_string();
    let (stored, rejected) =
        bench.take_in("sentry.store", vec![delivery("sentry.store", body.as_bytes())]).await.unwrap();
    assert_eq!(rejected, []);
    assert_eq!(tallies(&stored), [("event", "dropped", "ignored_by_rule", 1)]);
}

async fn a_rule_takes_events_away_from_an_older_issue(db: TestDatabase) {
    let bench = Bench::new(db);
    let framed = |number: u32, helper: &str| {
        json!({"event_id": event_id(number), "platform": "python", "exception": [{"type": "E", "stacktrace": {"frames": [
            {"module": "shop", "function": "pay", "in_app": true},
            {"module": "shop.log", "function": helper, "in_app": true},
        ]}}]})
    };
    bench.errors.change_rules(change(PROJECT, "function:log_* -> -group", None)).await.unwrap();
    bench.take_in_envelopes(&[envelope(&framed(1, "log_a")), envelope(&framed(2, "log_b"))]).await;
    let issues = bench.errors.list_issues(ListIssues::first(PROJECT)).await.unwrap().items;
    assert_eq!(issues.len(), 1);
    let issue = bench.errors.find_issue(PROJECT, issues[0].id).await.unwrap().unwrap();
    assert_eq!(issue.grouping_values, ["type: E", "frame: shop | pay"]);
    assert_eq!(issue.grouping_explanation.left_out, ["1 frame by a rule of the project"]);
    assert_eq!(issue.grouping_explanation.frame_rules, ["function:log_* -> -group"]);
}

async fn a_preview_tells_what_would_join_and_split_and_changes_nothing(db: TestDatabase) {
    let bench = Bench::new(db);
    let events = [
        event(1, "A", "eu"),
        event(2, "B", "eu"),
        event(3, "C", "eu"),
        event(4, "C", "us"),
        event(5, "Noise", "eu"),
    ];
    bench.take_in_envelopes(&events.map(|event| envelope(&event))).await;
    bench.take_in_envelopes(&[envelope(&event(6, "D", "eu"))]).await;
    let before = bench.errors.list_issues(ListIssues::first(PROJECT)).await.unwrap().items;
    let rules = "error.type:A -> fingerprint: ab\nerror.type:B -> fingerprint: ab\n\
                 error.type:C -> fingerprint: {{ default }}, {{ tags.region }}\nerror.type:Noise -> ignore";
    let preview = bench.errors.preview_rules(PROJECT, rules).await.unwrap();
    assert_eq!(
        (preview.events, preview.issues_before, preview.issues_after, preview.ignored, preview.moved),
        (6, 5, 4, 1, 4)
    );
    assert_eq!(preview.joins.len(), 1);
    let names = |parts: &[crate::grouping_rules::PreviewPart]| {
        parts.iter().map(|part| (part.title.clone(), part.events)).collect::<Vec<_>>()
    };
    assert_eq!(names(&preview.joins[0].parts), [("A: gone".to_owned(), 1), ("B: gone".to_owned(), 1)]);
    assert_eq!(preview.splits.len(), 1);
    assert_eq!(preview.splits[0].title, "C: gone");
    assert_eq!(preview.splits[0].parts.len(), 2);
    assert_eq!(names(&preview.ignored_events), [("Noise: gone".to_owned(), 1)]);
    let none = bench.errors.preview_rules(OTHER_PROJECT, rules).await.unwrap();
    assert_eq!(none.events, 0);
    assert_eq!(bench.errors.list_issues(ListIssues::first(PROJECT)).await.unwrap().items, before);
    // The rules that hold change nothing.
    let same = bench.errors.preview_rules(PROJECT, "").await.unwrap();
    assert_eq!((same.moved, same.issues_before, same.issues_after), (0, 5, 5));
}
