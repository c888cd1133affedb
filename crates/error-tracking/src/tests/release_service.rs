//! Releases through their trait.

use std::time::Duration;

use belvedere_kernel::{Actor, SubjectId};
use belvedere_storage::testing::TestDatabase;
use belvedere_storage::{Id, PageRequest, database_tests};
use serde_json::{Value, json};

use super::fakes::{Bench, OTHER_PROJECT, PROJECT, at, envelope, event_id, now};
use crate::{
    Acting, ErrorTrackingError, Health, HealthQuery, HealthStep, ListReleases, NewCommit, NewDeploy,
    ReleaseChange, ReleaseIssuesKind, ReleaseSort, Releases,
};

database_tests!(
    a_release_fares_as_its_sessions_events_and_issues_say,
    pages_of_releases_follow_each_other_and_filters_hold,
    saving_a_release_makes_or_changes_it_and_writes_it_down_once,
    deploys_and_commits_belong_to_a_release_that_exists,
    a_deleted_release_leaves_nothing_but_its_events,
    numbers_over_time_have_no_gaps,
    two_releases_are_compared_by_their_issues_and_sessions,
    another_project_sees_nothing,
);

fn acting() -> Acting {
    Acting {
        actor: Actor::System("test"),
        organisation: Id::from_bytes([1; 16]),
        project: PROJECT,
        request_id: None,
    }
}

fn event(number: u32, release: &str, kind: &str) -> String {
    envelope(&json!({"event_id": event_id(number), "exception": [{"type": kind}], "release": release,
        "environment": "production", "timestamp": "2026-11-23T12:10:00Z"}))
}

fn session(sid: u32, release: &str, change: Value) -> String {
    let mut update = json!({"sid": format!("{sid:032x}"), "started": "2026-11-23T12:10:00Z", "status": "ok",
        "attrs": {"release": release, "environment": "production"}});
    for (key, value) in change.as_object().unwrap() {
        update[key] = value.clone();
    }
    format!("{{}}\n{{\"type\":\"session\"}}\n{update}")
}

fn list() -> ListReleases {
    ListReleases {
        project: PROJECT,
        text: None,
        environment: None,
        sort: ReleaseSort::FirstSeen,
        page: PageRequest::first(50),
    }
}

/// Two releases: of the first 4 sessions of 3 people, 2 events of 2 issues; of the second 1 session and 3 events.
async fn two_releases(db: TestDatabase) -> Bench {
    let bench = Bench::new(db);
    bench.take_in_envelopes(&[event(1, "shop@1.0.0", "A"), event(2, "shop@1.0.0", "B")]).await;
    bench
        .take_in_envelopes(&[
            session(1, "shop@1.0.0", json!({"did": "anna"})),
            session(
                2,
                "shop@1.0.0",
                json!({"did": "anna", "status": "crashed", "started": "2026-11-23T11:50:00Z"}),
            ),
            session(3, "shop@1.0.0", json!({"did": "bert", "errors": 2})),
            session(
                4,
                "shop@1.0.0",
                json!({"did": "carl", "status": "unhandled", "started": "2026-11-22T11:50:00Z"}),
            ),
            session(
                5,
                "shop@2.0.0",
                json!({"did": "anna", "attrs": {"release": "shop@2.0.0", "environment": "staging"}}),
            ),
            event(3, "shop@2.0.0", "B"),
            event(4, "shop@2.0.0", "C"),
            event(5, "shop@2.0.0", "C"),
        ])
        .await;
    bench
}

async fn a_release_fares_as_its_sessions_events_and_issues_say(db: TestDatabase) {
    let bench = two_releases(db).await;
    let found = bench.errors.find_release(PROJECT, "shop@1.0.0").await.unwrap().unwrap();
    assert_eq!((found.events, found.new_issues), (2, 2));
    let expected = Health {
        sessions: 3,
        healthy: 1,
        errored: 1,
        crashed: 1,
        users: 2,
        users_crashed: 1,
        ..Health::default()
    };
    assert_eq!(found.health, expected);
    assert_eq!((found.health.crash_free_sessions(), found.health.crash_free_users()), (2, 1));
    let before = Health { sessions: 1, unhandled: 1, users: 1, users_crashed: 1, ..Health::default() };
    assert_eq!(found.health_before, before);
    assert_eq!((found.sessions_of_all, found.users_of_all), (4, 2));
    assert_eq!((found.hourly.len(), &found.hourly[22..]), (24, [1, 2].as_slice()));
    assert_eq!(found.release.first_seen, at("2026-11-22T11:50:00Z"));
    assert_eq!(found.release.first_event_at, Some(at("2026-11-23T12:10:00Z")));
    let second = bench.errors.find_release(PROJECT, "shop@2.0.0").await.unwrap().unwrap();
    assert_eq!((second.events, second.new_issues, second.health.sessions), (3, 1, 1));
}

async fn pages_of_releases_follow_each_other_and_filters_hold(db: TestDatabase) {
    let bench = Bench::new(db);
    for number in 1..=5 {
        bench.clock.set(now().plus(Duration::from_secs(number)));
        let version = format!("web~{number}%_é");
        bench.errors.save_release(&acting(), &version, ReleaseChange::default()).await.unwrap();
    }
    let mut seen = Vec::new();
    let mut query = ListReleases { page: PageRequest::first(2), ..list() };
    loop {
        let page = bench.errors.list_releases(query.clone()).await.unwrap();
        seen.extend(page.items.into_iter().map(|summary| summary.release.version));
        let Some(next) = page.next else { break };
        query.page = PageRequest::new(2, Some(next));
    }
    assert_eq!(seen, [5, 4, 3, 2, 1].map(|number| format!("web~{number}%_é")));
    let foreign = ListReleases { sort: ReleaseSort::LastSeen, ..query };
    let refused = bench.errors.list_releases(foreign).await;
    assert!(matches!(refused, Err(ErrorTrackingError::InvalidQuery(_))), "{refused:?}");
    bench.take_in_envelopes(&[event(1, "Shop@1.0.0", "A")]).await;
    let versions = async |query: ListReleases| {
        let page = bench.errors.list_releases(query).await.unwrap();
        page.items.into_iter().map(|summary| summary.release.version).collect::<Vec<_>>()
    };
    assert_eq!(versions(ListReleases { text: Some("shop".to_owned()), ..list() }).await, ["Shop@1.0.0"]);
    assert_eq!(versions(ListReleases { text: Some("1%_".to_owned()), ..list() }).await, ["web~1%_é"]);
    assert_eq!(
        versions(ListReleases { environment: Some("production".to_owned()), ..list() }).await,
        ["Shop@1.0.0"]
    );
    assert_eq!(
        versions(ListReleases { environment: Some("a\0".to_owned()), ..list() }).await,
        Vec::<String>::new()
    );
    assert_eq!(versions(ListReleases { sort: ReleaseSort::LastSeen, ..list() }).await.len(), 6);
}

async fn saving_a_release_makes_or_changes_it_and_writes_it_down_once(db: TestDatabase) {
    let bench = Bench::new(db);
    let change = ReleaseChange {
        url: Some("https://example.org/1".to_owned()),
        reference: Some("main".to_owned()),
        ..ReleaseChange::default()
    };
    let saved = bench.errors.save_release(&acting(), " shop@1.0.0 ", change.clone()).await.unwrap();
    assert!(saved.is_new);
    assert_eq!(saved.release.version, "shop@1.0.0");
    // The same once more changes nothing, and finishing it keeps what is known.
    let again = bench.errors.save_release(&acting(), "shop@1.0.0", change).await.unwrap();
    assert_eq!((again.is_new, &again.release), (false, &saved.release));
    let finished = ReleaseChange { released_at: Some(now()), ..ReleaseChange::default() };
    let finished = bench.errors.save_release(&acting(), "shop@1.0.0", finished).await.unwrap().release;
    assert_eq!((finished.released_at, finished.reference.as_deref()), (Some(now()), Some("main")));
    let actions: Vec<&str> = bench.audit.0.lock().unwrap().iter().map(|entry| entry.action).collect();
    assert_eq!(actions, ["release_created", "release_updated"]);
    let refused = bench.errors.save_release(&acting(), "latest", ReleaseChange::default()).await;
    assert!(matches!(refused, Err(ErrorTrackingError::Invalid { field: "version", .. })), "{refused:?}");
}

async fn deploys_and_commits_belong_to_a_release_that_exists(db: TestDatabase) {
    let bench = Bench::new(db);
    let deploy =
        |environment: &str| NewDeploy { environment: environment.to_owned(), ..NewDeploy::default() };
    assert_eq!(bench.errors.add_deploy(&acting(), "none", deploy("production")).await.unwrap(), None);
    assert!(!bench.errors.set_commits(&acting(), "none", Vec::new()).await.unwrap());
    assert_eq!(bench.audit.0.lock().unwrap().len(), 0);

    bench.errors.save_release(&acting(), "shop@1.0.0", ReleaseChange::default()).await.unwrap();
    for (second, environment) in [(1, "staging"), (2, "production"), (3, "production")] {
        bench.clock.set(now().plus(Duration::from_secs(second)));
        bench.errors.add_deploy(&acting(), "shop@1.0.0", deploy(environment)).await.unwrap().unwrap();
    }
    let all = bench.errors.list_deploys(PROJECT, Some("shop@1.0.0")).await.unwrap();
    assert_eq!(
        all.iter().map(|deploy| deploy.environment.as_str()).collect::<Vec<_>>(),
        ["production", "production", "staging"]
    );
    assert_eq!(all[0].finished_at, now().plus(Duration::from_secs(3)));
    let shown = bench.errors.find_release(PROJECT, "shop@1.0.0").await.unwrap().unwrap().deploys;
    assert_eq!(
        shown.iter().map(|deploy| deploy.environment.as_str()).collect::<Vec<_>>(),
        ["production", "staging"]
    );

    let commit = |revision: &str, email: &str| NewCommit {
        revision: revision.to_owned(),
        message: Some("Fix the till\n\nLonger".to_owned()),
        author_email: Some(email.to_owned()),
        ..NewCommit::default()
    };
    let told = vec![
        commit("c2", "m@example.org"),
        commit("c1", "n@example.org"),
        NewCommit { revision: "c0".to_owned(), ..NewCommit::default() },
    ];
    assert!(bench.errors.set_commits(&acting(), "shop@1.0.0", told.clone()).await.unwrap());
    assert!(bench.errors.set_commits(&acting(), "shop@1.0.0", told).await.unwrap());
    let commits = bench.errors.list_commits(PROJECT, "shop@1.0.0").await.unwrap();
    let plain: Vec<_> =
        commits.iter().map(|commit| (commit.revision.as_str(), commit.message.as_deref())).collect();
    assert_eq!(plain, [("c2", Some("Fix the till")), ("c1", Some("Fix the till")), ("c0", None)]);
    let [Some(SubjectId(first)), Some(SubjectId(second)), None] =
        [commits[0].author, commits[1].author, commits[2].author]
    else {
        panic!("{commits:?}");
    };
    assert_ne!(first, second);
}

async fn a_deleted_release_leaves_nothing_but_its_events(db: TestDatabase) {
    let bench = two_releases(db).await;
    assert!(bench.errors.delete_release(&acting(), "shop@1.0.0").await.unwrap());
    assert!(!bench.errors.delete_release(&acting(), "shop@1.0.0").await.unwrap());
    for table in ["error_release", "error_release_hour", "error_release_user", "error_issue_release"] {
        let versions = format!("SELECT DISTINCT version FROM {table}");
        assert_eq!(super::releases::rows(&bench, &versions).await, ["shop@2.0.0"], "{table}");
    }
    use crate::ErrorTracking;
    let event = bench.errors.find_event(PROJECT, &event_id(1)).await.unwrap().unwrap();
    assert_eq!(event.summary.release.as_deref(), Some("shop@1.0.0"));
}

async fn numbers_over_time_have_no_gaps(db: TestDatabase) {
    let bench = two_releases(db).await;
    let query = HealthQuery {
        project: PROJECT,
        version: Some("shop@1.0.0".to_owned()),
        environment: None,
        from: now().minus(Duration::from_secs(3 * 3_600)),
        to: now(),
        step: HealthStep::Hour,
    };
    let hourly = bench.errors.release_health(query.clone()).await.unwrap();
    let plain: Vec<_> = hourly
        .points
        .iter()
        .map(|point| (point.events, point.health.sessions, point.health.users, point.sessions_of_all))
        .collect();
    assert_eq!(plain, [(0, 0, 0, 0), (0, 0, 0, 0), (0, 1, 1, 1), (2, 2, 2, 3)]);
    assert_eq!(hourly.points[3].at, at("2026-11-23T12:00:00Z"));
    assert_eq!(
        (hourly.total.sessions, hourly.total.users, hourly.events, hourly.sessions_of_all),
        (3, 2, 2, 4)
    );

    let daily = HealthQuery {
        step: HealthStep::Day,
        from: now().minus(Duration::from_secs(2 * 86_400)),
        ..query.clone()
    };
    let daily = bench.errors.release_health(daily).await.unwrap();
    let plain: Vec<_> = daily
        .points
        .iter()
        .map(|point| (point.health.sessions, point.health.users, point.health.users_crashed))
        .collect();
    assert_eq!(plain, [(0, 0, 0), (1, 1, 1), (3, 2, 1)]);
    assert_eq!((daily.total.users, daily.total.users_crashed), (3, 2));

    let all = bench.errors.release_health(HealthQuery { version: None, ..query.clone() }).await.unwrap();
    assert_eq!(
        (all.points[3].health.sessions, all.points[3].health.users, all.points[3].sessions_of_all),
        (3, 2, 3)
    );
    let staging = HealthQuery { version: None, environment: Some("staging".to_owned()), ..query.clone() };
    assert_eq!(bench.errors.release_health(staging).await.unwrap().total.sessions, 1);
    let long = HealthQuery { from: now().minus(Duration::from_secs(30 * 86_400)), ..query };
    assert!(matches!(bench.errors.release_health(long).await, Err(ErrorTrackingError::InvalidQuery(_))));
}

async fn two_releases_are_compared_by_their_issues_and_sessions(db: TestDatabase) {
    let bench = two_releases(db).await;
    let compared =
        bench.errors.compare_releases(PROJECT, "shop@1.0.0", "shop@2.0.0", None).await.unwrap().unwrap();
    let plain = |issues: &crate::ReleaseIssues| {
        assert_eq!(issues.total as usize, issues.items.len());
        issues
            .items
            .iter()
            .map(|issue| (issue.title.clone(), issue.events, issue.events_in_base))
            .collect::<Vec<_>>()
    };
    assert_eq!(plain(&compared.new), [("C".to_owned(), 2, 0)]);
    assert_eq!(plain(&compared.gone), [("A".to_owned(), 0, 1)]);
    assert_eq!(plain(&compared.common), [("B".to_owned(), 1, 1)]);
    assert_eq!((compared.base.health.sessions, compared.other.health.sessions), (4, 1));
    assert_eq!((compared.base.health.users, compared.base.health.users_crashed), (3, 2));
    assert_eq!((compared.base.events, compared.other.events, compared.other.issues), (2, 3, 2));
    assert_eq!(compared.base.sessions_of_all, 5);
    assert_eq!(bench.errors.compare_releases(PROJECT, "shop@1.0.0", "none", None).await.unwrap(), None);

    let issues =
        bench.errors.list_release_issues(PROJECT, "shop@2.0.0", ReleaseIssuesKind::All).await.unwrap();
    assert_eq!(plain(&issues), [("C".to_owned(), 2, 0), ("B".to_owned(), 1, 0)]);
    let issues =
        bench.errors.list_release_issues(PROJECT, "shop@2.0.0", ReleaseIssuesKind::New).await.unwrap();
    assert_eq!(plain(&issues), [("C".to_owned(), 2, 0)]);
}

async fn another_project_sees_nothing(db: TestDatabase) {
    let bench = two_releases(db).await;
    bench
        .errors
        .add_deploy(
            &acting(),
            "shop@1.0.0",
            NewDeploy { environment: "p".to_owned(), ..NewDeploy::default() },
        )
        .await
        .unwrap();
    let stranger = Acting { project: OTHER_PROJECT, ..acting() };
    let errors = &bench.errors;
    assert_eq!(errors.find_release(OTHER_PROJECT, "shop@1.0.0").await.unwrap(), None);
    assert_eq!(
        errors.list_releases(ListReleases { project: OTHER_PROJECT, ..list() }).await.unwrap().items,
        []
    );
    assert_eq!(errors.list_deploys(OTHER_PROJECT, None).await.unwrap(), []);
    assert_eq!(errors.list_deploys(OTHER_PROJECT, Some("shop@1.0.0")).await.unwrap(), []);
    assert!(!errors.delete_release(&stranger, "shop@1.0.0").await.unwrap());
    assert!(!errors.set_commits(&stranger, "shop@1.0.0", Vec::new()).await.unwrap());
    assert_eq!(errors.compare_releases(OTHER_PROJECT, "shop@1.0.0", "shop@2.0.0", None).await.unwrap(), None);
    let issues =
        errors.list_release_issues(OTHER_PROJECT, "shop@1.0.0", ReleaseIssuesKind::All).await.unwrap();
    assert_eq!(issues.total, 0);
    assert!(errors.find_release(PROJECT, "shop@1.0.0").await.unwrap().is_some());
}
