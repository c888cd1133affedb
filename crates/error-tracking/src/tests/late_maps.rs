//! Events that came before their maps.

use std::collections::HashSet;

use belvedere_storage::database_tests;
use belvedere_storage::testing::TestDatabase;
use serde_json::{Value, json};

use super::fakes::{OTHER_PROJECT, PROJECT, at, event_id};
use super::source_maps::{Maps, fixture, frames, payloads, real_event, rows};
use crate::source_maps::archive::tests::bundle;
use crate::{AssemblyState, ErrorTracking, IssueSummary, ListIssues, Remapped, SourceMapLimits, SourceMaps};

database_tests!(
    an_upload_after_the_event_shows_its_source_and_groups_it_with_later_ones,
    an_event_joins_the_issue_of_those_that_came_after_the_upload,
    counts_are_exact_on_both_issues_when_events_part,
    only_events_that_lacked_the_map_are_looked_at,
    an_upload_is_worked_through_again_without_harm,
);

impl Maps {
    /// Looks at events again for every bundle that was uploaded.
    async fn remap(&self) -> Remapped {
        let mut sum = Remapped::default();
        for job in self.jobs().await {
            let project = serde_json::from_value(job["project"].clone()).unwrap();
            let bundle = job["bundle"].as_str().unwrap().parse().unwrap();
            let done = self.maps.remap(project, bundle).await.unwrap();
            sum.looked_at += done.looked_at;
            sum.rewritten += done.rewritten;
            sum.moved += done.moved;
        }
        sum
    }

    /// The jobs of uploads, one for each bundle: the other one is the same again a minute later.
    async fn jobs(&self) -> Vec<Value> {
        let mut jobs = payloads(&self.bench.db, "source_maps.remap").await;
        let (all, mut bundles) = (jobs.len(), HashSet::new());
        jobs.retain(|job| bundles.insert(job["bundle"].to_string()));
        assert_eq!(all, 2 * jobs.len());
        jobs
    }

    async fn issues(&self) -> Vec<IssueSummary> {
        self.bench.errors.list_issues(ListIssues::first(PROJECT)).await.unwrap().items
    }

    async fn stored(&self, id: &str) -> (String, Value) {
        let event = self.bench.errors.find_event(PROJECT, id).await.unwrap().unwrap();
        (event.issue.to_string(), event.payload)
    }
}

fn real(number: u32, user: &str, environment: &str) -> Value {
    let mut event = real_event();
    event["event_id"] = json!(event_id(number));
    event["user"] = json!({ "id": user });
    event["environment"] = json!(environment);
    event
}

async fn an_upload_after_the_event_shows_its_source_and_groups_it_with_later_ones(db: TestDatabase) {
    let maps = Maps::new(db, SourceMapLimits::default());
    maps.take_in(PROJECT, &real(1, "a", "production")).await;
    let before = maps.issues().await;
    assert_eq!(before[0].culprit, "/srv/shop/dist/app.js in p");
    let made = maps.upload(&[PROJECT], Some("shop@1.0.0"), &fixture("bundle.sysb")).await;
    assert_eq!(made.state, AssemblyState::Ok);
    assert_eq!(maps.remap().await, Remapped { looked_at: 1, rewritten: 1, moved: 0 });
    let (issue, payload) = maps.stored(&event_id(1)).await;
    assert_eq!(
        frames(&payload)[9],
        "applyDiscount src/pricing.ts:8:37 | const percent = article.discount!.percent;"
    );
    // The same issue under its new name, and the next event joins it.
    maps.take_in(PROJECT, &real(2, "b", "production")).await;
    let after = maps.issues().await;
    let [only] = after.as_slice() else { panic!("{after:?}") };
    assert_eq!((only.id, only.id.to_string()), (before[0].id, issue));
    assert_eq!(
        (only.culprit.as_str(), only.events, only.subjects),
        ("src/pricing.ts in applyDiscount", 2, 2)
    );
    let found = ListIssues { text: Some("applydiscount".to_owned()), ..ListIssues::first(PROJECT) };
    assert_eq!(maps.bench.errors.list_issues(found).await.unwrap().items.len(), 1);
}

async fn an_event_joins_the_issue_of_those_that_came_after_the_upload(db: TestDatabase) {
    let maps = Maps::new(db, SourceMapLimits::default());
    maps.take_in(PROJECT, &real(1, "a", "production")).await;
    maps.upload(&[PROJECT], Some("shop@1.0.0"), &fixture("bundle.sysb")).await;
    // Before the job runs, another event comes and makes an issue of its own.
    maps.take_in(PROJECT, &real(2, "a", "staging")).await;
    assert_eq!(maps.issues().await.len(), 2);
    assert_eq!(maps.remap().await, Remapped { looked_at: 1, rewritten: 1, moved: 1 });
    let issues = maps.issues().await;
    let [only] = issues.as_slice() else { panic!("{issues:?}") };
    assert_eq!((only.number, only.events, only.subjects), (2, 2, 1));
    assert_eq!(maps.stored(&event_id(1)).await.0, only.id.to_string());
    for (environment, count) in [("production", 1), ("staging", 1)] {
        let query = ListIssues { environment: Some(environment.to_owned()), ..ListIssues::first(PROJECT) };
        let items = maps.bench.errors.list_issues(query).await.unwrap().items;
        assert_eq!(items.iter().map(|issue| issue.events).collect::<Vec<_>>(), [count], "{environment}");
    }
    // One that still comes without a map's help finds its way as well.
    let mut unmapped = real(3, "c", "production");
    unmapped["debug_meta"] = json!(null);
    unmapped["release"] = json!("shop@0.9.0");
    maps.take_in(PROJECT, &unmapped).await;
    let issues = maps.issues().await;
    assert_eq!((issues.len(), issues[0].events, issues[0].hourly.iter().sum::<u64>()), (1, 3, 3));
}

/// A script of one line with two functions without names, mapped to two places.
fn two_places() -> Vec<u8> {
    // Columns 0 and 20 lead to lines 1 and 3.
    let map = json!({
        "version": 3, "sources": ["../src/a.ts"], "sourcesContent": ["pay(basket)\n\nship(basket)\n"],
        "names": [], "mappings": "AAAA,oBAEA",
    });
    bundle(&[
        (
            "1",
            json!({"type": "minified_source", "url": "~/a.js", "headers": {"Sourcemap": "a.js.map"}}),
            b"p()                 s()",
        ),
        ("2", json!({"type": "source_map", "url": "~/a.js.map"}), map.to_string().as_bytes()),
    ])
}

fn place(number: u32, column: u32, user: &str, hour: &str) -> Value {
    json!({
        "event_id": event_id(number), "platform": "javascript", "release": "shop@1", "user": {"id": user},
        "environment": if column == 1 { "production" } else { "staging" },
        "timestamp": format!("2026-11-23T{hour}:00:00Z"), "level": if column == 1 { "fatal" } else { "error" },
        "exception": {"values": [{"type": "Error", "value": "x", "stacktrace": {"frames": [
            {"function": "?", "filename": "app:///a.js", "lineno": 1, "colno": column, "in_app": true},
        ]}}]},
    })
}

async fn counts_are_exact_on_both_issues_when_events_part(db: TestDatabase) {
    let maps = Maps::new(db, SourceMapLimits::default());
    for (number, column, user, hour) in
        [(1, 21, "a", "08"), (2, 1, "a", "09"), (3, 21, "b", "10"), (4, 1, "c", "10"), (5, 21, "a", "11")]
    {
        maps.take_in(PROJECT, &place(number, column, user, hour)).await;
    }
    let before = maps.issues().await;
    assert_eq!((before.len(), before[0].events, before[0].subjects), (1, 5, 3));
    maps.upload(&[PROJECT], Some("shop@1"), &two_places()).await;
    assert_eq!(maps.remap().await, Remapped { looked_at: 5, rewritten: 5, moved: 2 });
    let issues = maps.issues().await;
    let [shipping, paying] = issues.as_slice() else { panic!("{issues:?}") };
    let facts = |issue: &IssueSummary| {
        let hours: Vec<u64> = issue.hourly.iter().copied().filter(|count| *count > 0).collect();
        let level = issue.level.as_str();
        (issue.number, issue.events, issue.subjects, issue.first_seen, issue.last_seen, level, hours)
    };
    assert_eq!(
        facts(shipping),
        (1, 3, 2, at("2026-11-23T08:00:00Z"), at("2026-11-23T11:00:00Z"), "error", vec![1, 1, 1])
    );
    assert_eq!(
        facts(paying),
        (2, 2, 2, at("2026-11-23T09:00:00Z"), at("2026-11-23T10:00:00Z"), "fatal", vec![1, 1])
    );
    for (environment, numbers) in [("production", [2]), ("staging", [1])] {
        let query = ListIssues { environment: Some(environment.to_owned()), ..ListIssues::first(PROJECT) };
        let items = maps.bench.errors.list_issues(query).await.unwrap().items;
        assert_eq!(items.iter().map(|issue| issue.number).collect::<Vec<_>>(), numbers, "{environment}");
    }
    // The project's own numbers are as they were.
    let hours = maps
        .bench
        .errors
        .count_events_by_hour(PROJECT, at("2026-11-23T00:00:00Z"), at("2026-11-24T00:00:00Z"))
        .await
        .unwrap();
    assert_eq!(hours.iter().map(|hour| hour.events).collect::<Vec<_>>(), [1, 1, 2, 1]);
    assert_eq!(maps.issues().await.len(), 2);
    // What comes later joins the two.
    maps.take_in(PROJECT, &place(6, 1, "d", "12")).await;
    maps.take_in(PROJECT, &place(7, 21, "d", "12")).await;
    let mut events: Vec<_> = maps.issues().await.iter().map(|issue| (issue.number, issue.events)).collect();
    events.sort_unstable();
    assert_eq!(events, [(1, 4), (2, 3)]);
}

async fn only_events_that_lacked_the_map_are_looked_at(db: TestDatabase) {
    let limits = SourceMapLimits { late_events_max: 2, ..SourceMapLimits::default() };
    let maps = Maps::new(db, limits);
    maps.take_in(PROJECT, &place(1, 1, "a", "08")).await;
    maps.take_in(OTHER_PROJECT, &place(2, 1, "a", "08")).await;
    let mut other_release = place(3, 1, "a", "08");
    other_release["release"] = json!("shop@2");
    maps.take_in(PROJECT, &other_release).await;
    let mut python = place(4, 1, "a", "08");
    python["platform"] = json!("python");
    maps.take_in(PROJECT, &python).await;
    assert_eq!(rows(&maps.bench.db, "error_unmapped").await, 3);
    maps.upload(&[PROJECT], Some("shop@1"), &two_places()).await;
    assert_eq!(maps.remap().await, Remapped { looked_at: 1, rewritten: 1, moved: 0 });
    assert_eq!(rows(&maps.bench.db, "error_unmapped").await, 2, "those of the others wait for their own");
    // No more than the limit, the newest first, and nothing that is too old.
    for number in 10..14 {
        let mut event = place(number, 1, "a", "08");
        event["release"] = json!("shop@3");
        maps.take_in(PROJECT, &event).await;
    }
    maps.upload(&[PROJECT], Some("shop@3"), &two_places()).await;
    assert_eq!(maps.remap().await.looked_at, 2);
    maps.bench.clock.set(at("2026-12-02T00:00:00Z"));
    assert_eq!(maps.remap().await.looked_at, 0);
}

async fn an_upload_is_worked_through_again_without_harm(db: TestDatabase) {
    let maps = Maps::new(db, SourceMapLimits::default());
    for (number, column) in [(1, 1), (2, 21), (3, 21)] {
        maps.take_in(PROJECT, &place(number, column, "a", "08")).await;
    }
    maps.upload(&[PROJECT], Some("shop@1"), &two_places()).await;
    let mut failures = 0;
    for statements in (2..60).step_by(5) {
        maps.bench.db.faults().fail_after(statements);
        for job in maps.jobs().await {
            let project = serde_json::from_value(job["project"].clone()).unwrap();
            let bundle = job["bundle"].as_str().unwrap().parse().unwrap();
            failures += usize::from(maps.maps.remap(project, bundle).await.is_err());
        }
        let _ = maps.bench.db.faults().take_unused();
    }
    assert!(failures > 2, "{failures}");
    maps.remap().await;
    maps.remap().await;
    let mut counted: Vec<_> =
        maps.issues().await.iter().map(|issue| (issue.events, issue.subjects)).collect();
    counted.sort_unstable();
    assert_eq!(counted, [(1, 1), (2, 1)]);
    assert_eq!(rows(&maps.bench.db, "error_unmapped").await, 0);
}
