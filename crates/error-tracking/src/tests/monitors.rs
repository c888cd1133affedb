use std::sync::Arc;
use std::time::Duration;

use belvedere_kernel::{Actor, InProcessBus, ProjectId};
use belvedere_storage::database_tests;
use belvedere_storage::testing::TestDatabase;
use belvedere_storage::{Id, PageRequest, Timestamp};
use serde_json::{Value, json};

use super::fakes::{Bench, FakeGate, FakeScrubber, OTHER_PROJECT, PROJECT, at, delivery, tallies};
use crate::monitors::{
    ChangeMonitor, ChangedBy, CheckInStatus, ListCheckIns, ListMonitors, MonitorConfig, MonitorOverview,
    MonitorSwitches, Monitors, MonitorsService, RunRate, Swept,
};
use crate::{ErrorTracking, ErrorTrackingError, IssueStatus, ListIssues};

database_tests!(
    a_check_in_with_settings_makes_a_monitor_and_its_end_ends_the_run,
    a_repeated_check_in_changes_nothing,
    without_an_id_the_newest_run_is_meant,
    failures_become_one_issue_from_their_threshold_on_and_recovery_resolves_it,
    a_missed_run_is_told_once_whoever_judges_and_becomes_an_issue,
    a_run_that_takes_too_long_times_out_and_stays_so,
    runs_that_could_not_be_heard_are_unknown_and_nobodys_failure,
    what_waits_for_its_digestion_is_not_missed,
    environments_stand_apart,
    a_paused_monitor_waits_for_nothing_and_a_muted_one_makes_no_issue,
    changes_are_audited_and_other_projects_know_nothing,
    a_deleted_monitor_is_gone_with_its_runs,
    monitors_are_limited_and_unknown_ones_are_counted,
    old_runs_are_swept,
    a_longer_pause_tells_its_last_runs_only,
);

struct Watch {
    bench: Bench,
    monitors: Arc<MonitorsService>,
}

impl Watch {
    fn new(db: TestDatabase) -> Self {
        let bench = Bench::new(db);
        let monitors = Arc::new(MonitorsService::new(
            bench.db.database(),
            bench.clock.clone(),
            Arc::new(FakeGate),
            Arc::new(FakeScrubber),
            bench.audit.clone(),
            Arc::new(InProcessBus::default()),
        ));
        Self { bench, monitors }
    }

    fn set(&self, now: &str) {
        self.bench.clock.set(at(now));
    }

    /// Takes a check-in in at `now`; what it was counted as.
    async fn check_in(&self, now: &str, item: Value) -> String {
        self.set(now);
        let body = format!("{{}}\n{{\"type\":\"check_in\"}}\n{item}");
        let mut delivery = delivery("sentry.envelope", body.as_bytes());
        delivery.received_at = at(now);
        let (stored, rejected) = self.bench.take_in("sentry.envelope", vec![delivery]).await.unwrap();
        assert_eq!(rejected, []);
        let counted: Vec<String> = tallies(&stored)
            .into_iter()
            .map(|(item, outcome, reason, quantity)| format!("{item} {outcome} {reason} {quantity}"))
            .collect();
        counted.join(", ")
    }

    async fn ok(&self, now: &str, item: Value) {
        assert_eq!(self.check_in(now, item).await, "check_in stored  1");
    }

    /// Judges as the minutely job does.
    async fn judge(&self, now: &str) -> (u64, u64, u64) {
        self.set(now);
        let Swept { missed, timed_out, unknown } =
            self.monitors.judge(at(now), None, || false).await.unwrap();
        (missed, timed_out, unknown)
    }

    async fn overview(&self, slug: &str) -> MonitorOverview {
        self.monitors.find_monitor(PROJECT, slug).await.unwrap().unwrap()
    }

    /// The runs of `backup`, newest first.
    async fn runs(&self) -> Vec<(CheckInStatus, String, Option<u64>)> {
        let query = ListCheckIns {
            project: PROJECT,
            slug: "backup".to_owned(),
            environment: None,
            page: PageRequest::first(200),
        };
        let runs = self.monitors.list_check_ins(query).await.unwrap();
        runs.items.into_iter().map(|run| (run.status, run.started_at.to_string(), run.duration_ms)).collect()
    }

    /// The issues as status, number of events and title.
    async fn issues(&self) -> Vec<(IssueStatus, u64, String)> {
        let issues = self.bench.errors.list_issues(ListIssues::first(PROJECT)).await.unwrap();
        issues.items.into_iter().map(|issue| (issue.status, issue.events, issue.title)).collect()
    }
}

fn by(project: ProjectId) -> ChangedBy {
    ChangedBy {
        actor: Actor::User(Id::from_bytes([5; 16])),
        organisation: Id::from_bytes([6; 16]),
        project,
        request_id: None,
    }
}

/// Every day at three, half an hour at most.
fn daily() -> Value {
    json!({"schedule": {"type": "crontab", "value": "0 3 * * *"}, "checkin_margin": 5, "max_runtime": 30})
}

fn item(status: &str, id: u8) -> Value {
    json!({"monitor_slug": "backup", "status": status, "check_in_id": format!("{id:032x}"), "monitor_config": daily()})
}

async fn a_check_in_with_settings_makes_a_monitor_and_its_end_ends_the_run(db: TestDatabase) {
    let watch = Watch::new(db);
    let mut begun = item("in_progress", 1);
    begun["release"] = json!("shop@1");
    watch.ok("2026-11-23T03:00:02Z", begun).await;
    let overview = watch.overview("backup").await;
    assert_eq!(overview.monitor.config.schedule.to_string(), "0 3 * * *");
    assert_eq!(
        (overview.monitor.config.margin_minutes, overview.monitor.config.max_runtime_minutes),
        (5, 30)
    );
    let environment = &overview.environments[0];
    assert_eq!(environment.environment, "production");
    assert_eq!(environment.last_status, Some(CheckInStatus::InProgress));
    assert_eq!(environment.next_expected_at, Some(at("2026-11-24T03:00:00Z")));

    watch.ok("2026-11-23T03:12:03.5Z", item("ok", 1)).await;
    assert_eq!(watch.runs().await, [(CheckInStatus::Ok, "2026-11-23T03:00:02Z".to_owned(), Some(721_500))]);
    let environment = watch.overview("backup").await.environments.remove(0);
    assert_eq!(environment.day, RunRate { ok: 1, failed: 0 });
    assert_eq!(environment.next_expected_at, Some(at("2026-11-24T03:00:00Z")));
    assert_eq!(environment.recent[0].release.as_deref(), Some("shop@1"));
    assert_eq!(watch.issues().await, []);
    let actions: Vec<_> = watch.bench.audit.0.lock().unwrap().iter().map(|entry| entry.action).collect();
    assert_eq!(actions, ["monitor_created"]);
}

async fn a_repeated_check_in_changes_nothing(db: TestDatabase) {
    let watch = Watch::new(db);
    watch.ok("2026-11-23T03:00:00Z", item("in_progress", 1)).await;
    watch.ok("2026-11-23T03:01:00Z", item("error", 1)).await;
    for status in ["in_progress", "ok", "error"] {
        assert_eq!(
            watch.check_in("2026-11-23T03:02:00Z", item(status, 1)).await,
            "check_in dropped duplicate 1"
        );
    }
    assert_eq!(watch.runs().await, [(CheckInStatus::Error, "2026-11-23T03:00:00Z".to_owned(), Some(60_000))]);
    let environment = watch.overview("backup").await.environments.remove(0);
    assert_eq!((environment.day, environment.failures_in_row), (RunRate { ok: 0, failed: 1 }, 1));
    assert_eq!(watch.issues().await.len(), 1);
}

async fn without_an_id_the_newest_run_is_meant(db: TestDatabase) {
    let watch = Watch::new(db);
    watch.ok("2026-11-23T03:00:00Z", item("in_progress", 1)).await;
    watch.ok("2026-11-23T03:00:10Z", item("in_progress", 2)).await;
    watch.ok("2026-11-23T03:00:20Z", item("ok", 0)).await;
    assert_eq!(
        watch.runs().await,
        [
            (CheckInStatus::Ok, "2026-11-23T03:00:10Z".to_owned(), Some(10_000)),
            (CheckInStatus::InProgress, "2026-11-23T03:00:00Z".to_owned(), None),
        ]
    );
    // Without a run in progress at the top it is a run of its own.
    let mut own = item("ok", 0);
    own["duration"] = json!(2.5);
    watch.ok("2026-11-23T03:00:30Z", own).await;
    assert_eq!(watch.runs().await[0], (CheckInStatus::Ok, "2026-11-23T03:00:27.5Z".to_owned(), Some(2_500)));
}

async fn failures_become_one_issue_from_their_threshold_on_and_recovery_resolves_it(db: TestDatabase) {
    let watch = Watch::new(db);
    let mut config = daily();
    config["failure_issue_threshold"] = json!(2);
    config["recovery_threshold"] = json!(2);
    let run = |status: &str, id: u8| {
        let mut item = item(status, id);
        item["monitor_config"] = config.clone();
        item
    };
    watch.ok("2026-11-23T03:00:00Z", run("error", 1)).await;
    assert_eq!(watch.issues().await, []);
    watch.ok("2026-11-24T03:00:00Z", run("error", 2)).await;
    watch.ok("2026-11-25T03:00:00Z", run("error", 3)).await;
    let title = "MonitorCheckInFailure: backup failed in production".to_owned();
    assert_eq!(watch.issues().await, [(IssueStatus::Unresolved, 2, title.clone())]);
    let environment = watch.overview("backup").await.environments.remove(0);
    assert!(environment.is_failing);
    let issue = environment.issue.unwrap();

    watch.ok("2026-11-26T03:00:00Z", run("ok", 4)).await;
    assert_eq!(watch.issues().await[0].0, IssueStatus::Unresolved);
    watch.ok("2026-11-27T03:00:00Z", run("ok", 5)).await;
    assert_eq!(watch.issues().await, [(IssueStatus::Resolved, 2, title.clone())]);
    let environment = watch.overview("backup").await.environments.remove(0);
    assert_eq!((environment.is_failing, environment.issue), (false, Some(issue)));

    // The next series is the same issue, which comes back.
    watch.ok("2026-11-28T03:00:00Z", run("error", 6)).await;
    watch.ok("2026-11-29T03:00:00Z", run("error", 7)).await;
    assert_eq!(watch.issues().await, [(IssueStatus::Unresolved, 3, title)]);
    let event = watch.bench.errors.list_events(PROJECT, issue, PageRequest::first(1)).await.unwrap();
    let event = watch.bench.errors.find_event(PROJECT, &event.items[0].event_id).await.unwrap().unwrap();
    assert_eq!(event.summary.environment.as_deref(), Some("production"));
    assert_eq!(event.payload.pointer("/contexts/monitor/status"), Some(&json!("error")));
    assert_eq!(event.payload.pointer("/contexts/monitor/failures_in_row"), Some(&json!(2)));
}

async fn a_missed_run_is_told_once_whoever_judges_and_becomes_an_issue(db: TestDatabase) {
    let watch = Watch::new(db);
    watch.ok("2026-11-23T03:00:00Z", item("ok", 1)).await;
    assert_eq!(watch.judge("2026-11-24T03:03:30Z").await, (0, 0, 0));
    // The margin is five minutes.
    assert_eq!(watch.judge("2026-11-24T03:04:30Z").await, (0, 0, 0));
    watch.set("2026-11-24T03:05:30Z");
    let (one, other) = tokio::join!(
        watch.monitors.judge(at("2026-11-24T03:05:30Z"), None, || false),
        watch.monitors.judge(at("2026-11-24T03:05:30Z"), None, || false),
    );
    assert_eq!(one.unwrap().missed + other.unwrap().missed, 1);
    assert_eq!(watch.judge("2026-11-24T03:06:30Z").await, (0, 0, 0));
    assert_eq!(watch.runs().await[0], (CheckInStatus::Missed, "2026-11-24T03:00:00Z".to_owned(), None));
    let title = "MonitorCheckInFailure: backup did not run in production".to_owned();
    assert_eq!(watch.issues().await, [(IssueStatus::Unresolved, 1, title.clone())]);
    let environment = watch.overview("backup").await.environments.remove(0);
    assert_eq!(environment.next_expected_at, Some(at("2026-11-25T03:00:00Z")));
    // Late is better than never: a run of its own, which ends the issue.
    watch.ok("2026-11-24T03:07:00Z", item("ok", 2)).await;
    assert_eq!(watch.issues().await, [(IssueStatus::Resolved, 1, title)]);
    assert_eq!(watch.runs().await.len(), 3);
}

async fn a_run_that_takes_too_long_times_out_and_stays_so(db: TestDatabase) {
    let watch = Watch::new(db);
    watch.judge("2026-11-23T02:59:30Z").await;
    watch.ok("2026-11-23T03:00:00Z", item("in_progress", 1)).await;
    for minute in 0..30 {
        assert_eq!(watch.judge(&format!("2026-11-23T03:{minute:02}:59Z")).await, (0, 0, 0));
    }
    assert_eq!(watch.judge("2026-11-23T03:30:30Z").await, (0, 1, 0));
    assert_eq!(watch.judge("2026-11-23T03:31:30Z").await, (0, 0, 0));
    assert_eq!(watch.check_in("2026-11-23T03:32:00Z", item("ok", 1)).await, "check_in dropped duplicate 1");
    assert_eq!(watch.runs().await, [(CheckInStatus::Timeout, "2026-11-23T03:00:00Z".to_owned(), None)]);
    let title = "MonitorCheckInFailure: backup did not end in time in production".to_owned();
    assert_eq!(watch.issues().await, [(IssueStatus::Unresolved, 1, title)]);
    // A job that says again that it runs gets its time anew.
    watch.ok("2026-11-23T04:00:00Z", item("in_progress", 2)).await;
    watch.ok("2026-11-23T04:20:00Z", item("in_progress", 2)).await;
    let due = watch.monitors.judge(at("2026-11-23T04:49:59Z"), None, || false).await.unwrap();
    assert_eq!(due, Swept::default());
}

async fn runs_that_could_not_be_heard_are_unknown_and_nobodys_failure(db: TestDatabase) {
    let watch = Watch::new(db);
    watch.judge("2026-11-24T02:30:00Z").await;
    watch.ok("2026-11-24T02:30:10Z", item("in_progress", 1)).await;
    // Away from 02:30 to 03:20: the run at three and the end of the one in progress could not be heard.
    assert_eq!(watch.judge("2026-11-24T03:20:00Z").await, (0, 0, 2));
    let statuses: Vec<_> = watch.runs().await.into_iter().map(|run| run.0).collect();
    assert_eq!(statuses, [CheckInStatus::Unknown, CheckInStatus::Unknown]);
    assert_eq!(watch.issues().await, []);
    let environment = watch.overview("backup").await.environments.remove(0);
    assert_eq!((environment.failures_in_row, environment.day), (0, RunRate::default()));

    // A short restart, seen by the door that opened after the last judging; the deadline is judged later.
    for minute in 20..60 {
        watch.judge(&format!("2026-11-25T02:{minute:02}:00Z")).await;
    }
    watch.judge("2026-11-25T03:00:30Z").await;
    watch.set("2026-11-25T03:01:30Z");
    let door = Some(at("2026-11-25T03:01:20Z"));
    assert_eq!(
        watch.monitors.judge(at("2026-11-25T03:01:30Z"), door, || false).await.unwrap(),
        Swept::default()
    );
    for minute in 2..5 {
        watch.set(&format!("2026-11-25T03:0{minute}:30Z"));
        watch.monitors.judge(at(&format!("2026-11-25T03:0{minute}:30Z")), door, || false).await.unwrap();
    }
    watch.set("2026-11-25T03:05:30Z");
    let swept = watch.monitors.judge(at("2026-11-25T03:05:30Z"), door, || false).await.unwrap();
    assert_eq!(swept, Swept { missed: 0, timed_out: 0, unknown: 1 });
    assert_eq!(watch.issues().await, []);
}

async fn what_waits_for_its_digestion_is_not_missed(db: TestDatabase) {
    let watch = Watch::new(db);
    watch.ok("2026-11-23T03:00:00Z", item("ok", 1)).await;
    for minute in 4..9 {
        let now = format!("2026-11-24T03:0{minute}:30Z");
        watch.set(&now);
        // Everything accepted until 03:04 is digested, later things wait.
        let swept = watch.monitors.judge(at("2026-11-24T03:04:00Z"), None, || false).await.unwrap();
        assert_eq!(swept, Swept::default());
    }
    let mut waited = item("ok", 2);
    waited["duration"] = json!(1);
    watch.ok("2026-11-24T03:00:04Z", waited).await;
    assert_eq!(watch.judge("2026-11-24T03:09:30Z").await, (0, 0, 0));
    assert_eq!(watch.issues().await, []);
}

async fn environments_stand_apart(db: TestDatabase) {
    let watch = Watch::new(db);
    let run = |environment: &str, status: &str, id| {
        let mut item = item(status, id);
        item["environment"] = json!(environment);
        item
    };
    watch.ok("2026-11-23T03:00:00Z", run("staging", "error", 1)).await;
    watch.ok("2026-11-23T03:00:00Z", run("production", "ok", 2)).await;
    watch.ok("2026-11-23T03:10:00Z", run("production", "error", 3)).await;
    let overview = watch.overview("backup").await;
    let standing: Vec<_> = overview
        .environments
        .iter()
        .map(|environment| (environment.environment.as_str(), environment.is_failing, environment.day))
        .collect();
    assert_eq!(
        standing,
        [("production", true, RunRate { ok: 1, failed: 1 }), ("staging", true, RunRate { ok: 0, failed: 1 })]
    );
    assert_ne!(overview.environments[0].issue, overview.environments[1].issue);
    assert_eq!(watch.issues().await.len(), 2);
    let list = |environment: Option<&str>| {
        let query = ListMonitors {
            project: PROJECT,
            environment: environment.map(str::to_owned),
            page: PageRequest::first(50),
        };
        watch.monitors.list_monitors(query)
    };
    assert_eq!(list(Some("staging")).await.unwrap().items[0].environments.len(), 1);
    assert_eq!(list(Some("test")).await.unwrap().items, []);
    assert_eq!(list(None).await.unwrap().items.len(), 1);
    let mut many = item("ok", 99);
    for number in 0..18 {
        many["environment"] = json!(format!("review-{number}"));
        many["check_in_id"] = json!(format!("{:032x}", 500 + number));
        watch.ok("2026-11-23T03:20:00Z", many.clone()).await;
    }
    many["environment"] = json!("one-too-many");
    many["check_in_id"] = json!(format!("{:032x}", 900));
    let counted = watch.check_in("2026-11-23T03:20:00Z", many).await;
    assert_eq!(counted, "check_in dropped too_many_environments 1");
}

async fn a_paused_monitor_waits_for_nothing_and_a_muted_one_makes_no_issue(db: TestDatabase) {
    let watch = Watch::new(db);
    watch.ok("2026-11-23T03:00:00Z", item("ok", 1)).await;
    let switch = |is_paused, is_muted| {
        watch.monitors.switch_monitor(by(PROJECT), "backup", MonitorSwitches { is_paused, is_muted })
    };
    assert!(switch(Some(true), None).await.unwrap().is_paused);
    assert_eq!(watch.judge("2026-11-24T03:05:30Z").await, (0, 0, 0));
    watch.ok("2026-11-24T03:06:00Z", item("error", 2)).await;
    assert_eq!(watch.issues().await, []);
    assert!(!switch(Some(false), Some(true)).await.unwrap().is_paused);
    for minute in ["02:59", "03:01", "03:03"] {
        watch.judge(&format!("2026-11-25T{minute}:30Z")).await;
    }
    assert_eq!(watch.judge("2026-11-25T03:05:30Z").await, (1, 0, 0));
    assert_eq!(watch.issues().await, []);
    assert!(watch.overview("backup").await.environments[0].is_failing);
    switch(None, Some(false)).await.unwrap();
    assert_eq!(watch.judge("2026-11-25T03:06:30Z").await, (0, 0, 0));
    for minute in ["02:59", "03:01", "03:03"] {
        watch.judge(&format!("2026-11-26T{minute}:30Z")).await;
    }
    assert_eq!(watch.judge("2026-11-26T03:05:30Z").await, (1, 0, 0));
    assert_eq!(watch.issues().await.len(), 1);
    let actions: Vec<_> = watch.bench.audit.0.lock().unwrap().iter().map(|entry| entry.action).collect();
    let expected =
        ["monitor_created", "monitor_paused", "monitor_resumed", "monitor_muted", "monitor_unmuted"];
    assert_eq!(actions, expected);
}

async fn changes_are_audited_and_other_projects_know_nothing(db: TestDatabase) {
    let watch = Watch::new(db);
    let config = MonitorConfig::new("15 minute".parse().unwrap());
    let new = ChangeMonitor { slug: "sync".to_owned(), name: "Sync".to_owned(), config: config.clone() };
    watch.monitors.create_monitor(by(PROJECT), new.clone()).await.unwrap();
    let again = watch.monitors.create_monitor(by(PROJECT), new.clone()).await.unwrap_err();
    assert_eq!(again.to_string(), "slug: there is a monitor sync already");
    let change = ChangeMonitor {
        config: MonitorConfig { schedule: "*/5 * * * *".parse().unwrap(), ..config },
        ..new.clone()
    };
    watch.monitors.update_monitor(by(PROJECT), "sync", change.clone()).await.unwrap();
    // Nothing changed, nothing is written down.
    watch.monitors.update_monitor(by(PROJECT), "sync", change.clone()).await.unwrap();

    let is_missing =
        |error: ErrorTrackingError| assert_eq!(error.to_string(), "there is no such monitor here");
    assert_eq!(watch.monitors.find_monitor(OTHER_PROJECT, "sync").await.unwrap(), None);
    is_missing(watch.monitors.update_monitor(by(OTHER_PROJECT), "sync", change).await.unwrap_err());
    is_missing(watch.monitors.delete_monitor(by(OTHER_PROJECT), "sync").await.unwrap_err());
    let switches = MonitorSwitches { is_paused: Some(true), is_muted: None };
    is_missing(watch.monitors.switch_monitor(by(OTHER_PROJECT), "sync", switches).await.unwrap_err());
    for slug in ["sync", "\0"] {
        let query = ListCheckIns {
            project: OTHER_PROJECT,
            slug: slug.to_owned(),
            environment: None,
            page: PageRequest::first(1),
        };
        is_missing(watch.monitors.list_check_ins(query).await.unwrap_err());
    }
    let entries = watch.bench.audit.0.lock().unwrap();
    let told: Vec<_> = entries
        .iter()
        .map(|entry| {
            (entry.action, entry.target.as_ref().map(|target| target.id.as_str()), entry.detail.to_string())
        })
        .collect();
    assert_eq!(told.len(), 2);
    assert_eq!((told[0].0, told[1].0, told[1].1), ("monitor_created", "monitor_changed", Some("sync")));
    assert!(told[1].2.contains("every 15 minutes") && told[1].2.contains("*/5 * * * *"), "{}", told[1].2);
}

async fn a_deleted_monitor_is_gone_with_its_runs(db: TestDatabase) {
    let watch = Watch::new(db);
    watch.ok("2026-11-23T03:00:00Z", item("error", 1)).await;
    watch.monitors.delete_monitor(by(PROJECT), "backup").await.unwrap();
    assert_eq!(watch.monitors.find_monitor(PROJECT, "backup").await.unwrap(), None);
    assert_eq!(watch.issues().await.len(), 1);
    // The next check-in makes it anew, with no memory of the old one.
    watch.ok("2026-11-24T03:00:00Z", item("ok", 1)).await;
    assert_eq!(watch.runs().await.len(), 1);
    assert_eq!(watch.judge("2026-11-25T03:05:30Z").await, (1, 0, 0));
}

async fn monitors_are_limited_and_unknown_ones_are_counted(db: TestDatabase) {
    let watch = Watch::new(db);
    let unknown = json!({"monitor_slug": "ghost", "status": "ok"});
    assert_eq!(watch.check_in("2026-11-23T03:00:00Z", unknown).await, "check_in dropped unknown_monitor 1");
    assert_eq!(
        watch.check_in("2026-11-23T03:00:00Z", json!({"status": "ok"})).await,
        "check_in dropped invalid 1"
    );
    let config = MonitorConfig::new("@daily".parse().unwrap());
    for number in 0..500 {
        let new =
            ChangeMonitor { slug: format!("m-{number:03}"), name: String::new(), config: config.clone() };
        watch.monitors.create_monitor(by(PROJECT), new).await.unwrap();
    }
    let new = ChangeMonitor { slug: "surplus".to_owned(), name: String::new(), config };
    let error = watch.monitors.create_monitor(by(PROJECT), new).await.unwrap_err();
    assert_eq!(error.to_string(), "the project has 500 monitors already");
    assert_eq!(
        watch.check_in("2026-11-23T03:00:00Z", item("ok", 1)).await,
        "check_in dropped too_many_monitors 1"
    );
    let mut query = ListMonitors { project: PROJECT, environment: None, page: PageRequest::first(200) };
    let mut seen = Vec::new();
    loop {
        let page = watch.monitors.list_monitors(query.clone()).await.unwrap();
        seen.extend(page.items.into_iter().map(|overview| overview.monitor.slug));
        let Some(next) = page.next else { break };
        query.page = PageRequest::new(200, Some(next));
    }
    assert_eq!(seen.len(), 500);
    assert!(seen.is_sorted());
}

async fn old_runs_are_swept(db: TestDatabase) {
    let watch = Watch::new(db);
    watch.ok("2026-08-01T03:00:00Z", item("ok", 1)).await;
    watch.ok("2026-11-01T03:00:00Z", item("ok", 2)).await;
    watch.set("2026-11-23T12:00:00Z");
    assert_eq!(watch.monitors.sweep(|| false).await.unwrap(), 1);
    assert_eq!(watch.monitors.sweep(|| false).await.unwrap(), 0);
    assert_eq!(watch.runs().await, [(CheckInStatus::Ok, "2026-11-01T03:00:00Z".to_owned(), None)]);
}

async fn a_longer_pause_tells_its_last_runs_only(db: TestDatabase) {
    let watch = Watch::new(db);
    let start: Timestamp = at("2026-09-01T00:00:00Z");
    watch.judge("2026-09-01T00:00:00Z").await;
    let mut minutely = item("ok", 1);
    minutely["monitor_config"] = json!({"schedule": {"type": "crontab", "value": "* * * * *"}});
    watch.ok("2026-09-01T00:00:10Z", minutely).await;
    let back = start.plus(Duration::from_secs(60 * 86_400)).to_string();
    assert_eq!(watch.judge(&back).await, (0, 0, 100));
    let environment = watch.overview("backup").await.environments.remove(0);
    assert_eq!(environment.next_expected_at, Some(at("2026-10-31T00:00:00Z")));
    assert_eq!(watch.judge("2026-10-31T00:00:50Z").await, (0, 0, 0));
}
