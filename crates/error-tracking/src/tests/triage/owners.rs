use belvedere_storage::database_tests;
use belvedere_storage::testing::TestDatabase;

use super::*;
use crate::tests::fakes::{OTHER_PROJECT, anna, tom};
use crate::{ActivityKind, Ownership, SetOwnership};

database_tests!(
    new_issues_go_to_their_owners_and_the_timeline_names_the_rule,
    rules_are_kept_with_ids_and_what_is_wrong_is_said,
);

async fn set(bench: &Bench, rules: &str, assigns: bool) -> Result<Ownership, ErrorTrackingError> {
    bench.triage.set_ownership(SetOwnership { act: act(), rules: rules.to_owned(), assigns }).await
}

async fn new_issues_go_to_their_owners_and_the_timeline_names_the_rule(db: TestDatabase) {
    let bench = Bench::new(db);
    send(&bench, &[event(1, "Old", "", "x")]).await;
    set(&bench, "tags.course:rust-* anna@example.com\ntags.course:rust-1 tom@example.com", true)
        .await
        .unwrap();
    let batch = [(2, "A"), (3, "B"), (5, "A"), (7, "Old")].map(|(number, kind)| event(number, kind, "", "x"));
    send(&bench, &batch).await;
    let (a, b, old) = (id_of(&bench, "A").await, id_of(&bench, "B").await, id_of(&bench, "Old").await);
    assert_eq!(find(&bench, a).await.summary.assigned_to, Some(anna()));
    assert_eq!(find(&bench, b).await.summary.assigned_to, Some(tom()));
    assert_eq!(find(&bench, old).await.summary.assigned_to, None);
    let page = bench.triage.list_activity(PROJECT, b, PageRequest::first(9)).await.unwrap();
    assert_eq!((page.items[0].kind, page.items[0].actor_kind.as_str()), (ActivityKind::Assignment, "system"));
    assert_eq!(
        page.items[0].detail,
        json!({"user": tom(), "rule": "tags.course:rust-1", "is_suggestion": false})
    );

    set(&bench, "tags.course:* anna@example.com", false).await.unwrap();
    let recorded = bench.errors.record_event(PROJECT, event(8, "C", "", "x")).await.unwrap();
    let suggested = find(&bench, recorded.issue.unwrap()).await;
    assert_eq!((suggested.summary.assigned_to, suggested.triaged.suggested_owner), (None, Some(anna())));
    // Rules are those of one project.
    let elsewhere = bench.errors.record_event(OTHER_PROJECT, event(9, "C", "", "x")).await.unwrap();
    let elsewhere = bench.errors.find_issue(OTHER_PROJECT, elsewhere.issue.unwrap()).await.unwrap().unwrap();
    assert_eq!(elsewhere.triaged.suggested_owner, None);
}

async fn rules_are_kept_with_ids_and_what_is_wrong_is_said(db: TestDatabase) {
    let bench = Bench::new(db);
    assert_eq!(bench.triage.find_ownership(PROJECT).await.unwrap(), Ownership::default());
    let text = format!("# lessons\n\npath:src/** anna@example.com\nurl:*/pay/* {}\n", tom());
    let stored = set(&bench, &text, true).await.unwrap();
    assert_eq!(stored.rules, format!("# lessons\n\npath:src/** {}\nurl:*/pay/* {}", anna(), tom()));
    assert_eq!(bench.triage.find_ownership(PROJECT).await.unwrap(), stored);
    assert_eq!(bench.triage.find_ownership(OTHER_PROJECT).await.unwrap(), Ownership::default());

    assert_eq!(
        refusal(set(&bench, "path:a anna@example.com\n  path:b nobody@example.com", true).await),
        "rules: line 2, column 10: nobody of the organisation has this address"
    );
    assert_eq!(
        refusal(set(&bench, "path:a", true).await),
        "rules: line 1, column 7: after the pattern comes a blank and the owner's e-mail address"
    );
    assert_eq!(
        refusal(set(&bench, "# the password is s3cret", true).await),
        "rules: beside the owners they hold personal data (password)"
    );
    assert_eq!(bench.triage.find_ownership(PROJECT).await.unwrap(), stored);
    let actions: Vec<_> = bench.audit.0.lock().unwrap().iter().map(|entry| entry.action).collect();
    assert_eq!(actions, ["ownership_changed"]);
}
