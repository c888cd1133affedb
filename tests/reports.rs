//! The client for reports against the real `api`, and Belvedere reporting itself.

use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, Output};
use std::time::Duration;

use belvedere_error_tracking::client::{
    ClientConfig, ErrorClient, ErrorContext, ErrorGuard, Level, QueueConfig, RetryConfig, User, Uuid,
};
use sea_orm::ConnectionTrait;
use serde_json::Value;

use crate::api::{Api, Directory, Start, binary, free_port};

const PATIENCE: Duration = Duration::from_secs(60);

fn client(dsn: &str, queue: &Path) -> ErrorGuard {
    let mut config = ClientConfig::new(dsn, "production");
    config.queue = Some(QueueConfig::new(queue));
    config.retry = RetryConfig { first: Duration::from_millis(50), max: Duration::from_millis(200) };
    config.release = Some("lessons@4.12.0".to_owned());
    config.service = Some("lessons".to_owned());
    ErrorClient::detached(config).unwrap()
}

fn text(id: Uuid) -> String {
    id.simple().to_string()
}

fn event(api: &Api, id: &str) -> Value {
    api.eventually("the event is found", |api| {
        let (status, event) = api.get(&format!("/api/v1/events/{id}"));
        (status == 200).then_some(event)
    })
}

#[test]
fn an_error_of_the_client_is_a_grouped_issue_with_its_context() {
    let (directory, queue) = (Directory::new(), Directory::new());
    let api = Api::start(&directory.0);
    let client = client(api.text("dsn"), &queue.0);
    client.set_user(Some(User { id: "learner-7".to_owned(), ..User::default() }));
    let error = "lesson".parse::<u32>().unwrap_err();
    let context = ErrorContext::new("lessons", "open").with("mail", "ada@example.org");
    let mut ids = Vec::new();
    for _ in 0..3 {
        ids.push(text(client.capture_error(&error, &context).unwrap()));
    }
    assert!(client.flush(PATIENCE));
    let event = event(&api, &ids[0]);
    assert_eq!(event["release"], "lessons@4.12.0");
    assert_eq!(event["environment"], "production");
    assert!(event["subject"].is_i64(), "{event}");
    let payload = event["payload"].to_string();
    assert!(!payload.contains("learner-7") && !payload.contains("ada@example.org"), "{payload}");
    assert!(payload.contains("an_error_of_the_client_is_a_grouped_issue"), "the stack is in {payload}");
    let issue = api.eventually("all three are one issue", |api| {
        let issues = api.pages("/api/v1/issues?limit=10");
        (issues.len() == 1 && issues[0]["events"] == 3).then(|| issues[0].clone())
    });
    assert_eq!(issue["title"], "ParseIntError: invalid digit found in string");
}

#[test]
fn what_was_captured_while_the_server_was_away_is_stored_once() {
    let (directory, queue) = (Directory::new(), Directory::new());
    let port = free_port();
    let start = || Api::start_with(&Start { data: &directory.0, port, environment: &[], arguments: &[] });
    let api = start();
    let client = client(api.text("dsn"), &queue.0);
    let mut ids = vec![text(client.capture_message("before", Level::Error).unwrap())];
    assert!(client.flush(PATIENCE));
    api.kill();
    for number in 0..20 {
        ids.push(text(client.capture_message(format!("while away {number}"), Level::Error).unwrap()));
    }
    assert!(!client.flush(PATIENCE), "nobody is there");
    let api = start();
    api.eventually("the client has delivered", |_| client.flush(PATIENCE).then_some(()));
    ids.sort();
    api.eventually("each is stored once", |api| (api.stored_event_ids() == ids).then_some(()));
}

/// Runs the example, which is a service of its own.
fn example(dsn: &str, queue: &Path, mode: &str) -> Output {
    let mut command = Command::new(binary("examples/embed_client"));
    command.arg(dsn).arg(queue).arg(mode).output().unwrap()
}

#[test]
fn a_killed_service_leaves_its_errors_to_its_next_start() {
    let (directory, queue) = (Directory::new(), Directory::new());
    let port = free_port();
    let start = || Api::start_with(&Start { data: &directory.0, port, environment: &[], arguments: &[] });
    let api = start();
    let dsn = api.text("dsn").to_owned();
    api.kill();
    let mut ids = Vec::new();
    for (mode, signal) in [("--abort", Some(6)), ("--end", None), ("--abort", Some(6))] {
        // Several at a time, in the same directory.
        let outputs: Vec<Output> = std::thread::scope(|scope| {
            let running = [(); 3].map(|()| scope.spawn(|| example(&dsn, &queue.0, mode)));
            running.into_iter().map(|it| it.join().unwrap()).collect()
        });
        for output in outputs {
            assert_eq!(output.status.signal(), signal, "{}", String::from_utf8_lossy(&output.stderr));
            ids.extend(String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned));
        }
    }
    assert_eq!(ids.len(), 18);
    let api = start();
    let output = example(&dsn, &queue.0, "--deliver");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    ids.sort();
    api.eventually("each is stored once", |api| (api.stored_event_ids() == ids).then_some(()));
    let left: Vec<_> = std::fs::read_dir(&queue.0).unwrap().collect();
    assert!(left.is_empty(), "{left:?}");
}

/// Makes the API fail: renames a table that only the page about the pipeline reads, and back again.
fn fail_requests(api: &Api, data: &Path, count: usize) {
    let url = format!("sqlite://{}?mode=rw", data.join("belvedere.db").display());
    let rename = |from: &str, to: &str| {
        let sql = format!("ALTER TABLE {from} RENAME TO {to}");
        belvedere_storage::testing::run(async {
            let db = sea_orm::Database::connect(&url).await.unwrap();
            db.execute_unprepared(&sql).await.unwrap();
            db.close().await.unwrap();
        });
    };
    rename("intake_set_aside", "elsewhere");
    for _ in 0..count {
        assert_eq!(api.get("/api/v1/pipeline?project=1").0, 500);
    }
    rename("elsewhere", "intake_set_aside");
}

#[test]
fn belvederes_own_errors_go_into_a_project_of_their_own_and_cause_no_further_ones() {
    let directory = Directory::new();
    let api = Api::start(&directory.0);
    assert_eq!(api.pages("/api/v1/projects?").len(), 1, "nothing is made before there is an error");
    fail_requests(&api, &directory.0, 3);
    let own = "/api/v1/issues?project=belvedere-itself&limit=10";
    let issue = api.eventually("the errors are an issue of their own", |api| {
        let issues = if api.get(own).0 == 200 { api.pages(own) } else { Vec::new() };
        (issues.len() == 1 && issues[0]["events"] == 3).then(|| issues[0].clone())
    });
    let title = issue["title"].as_str().unwrap();
    assert!(title.starts_with("request failed: database refused the statement"), "{title}");
    let projects = api.pages("/api/v1/projects?");
    let slugs: Vec<_> = projects.iter().map(|project| project["slug"].as_str().unwrap()).collect();
    assert_eq!(slugs, ["my-project", "belvedere-itself"]);
    assert_eq!(
        api.pages("/api/v1/issues?limit=10"),
        Vec::<Value>::new(),
        "the first project is still the default"
    );

    fail_requests(&api, &directory.0, 20);
    assert!(api.interrupt().success());
    let api = Api::start(&directory.0);
    api.eventually("ten a minute are reported", |api| {
        let events = api.pages(own).iter().map(|issue| issue["events"].as_u64().unwrap()).sum::<u64>();
        // Twenty if the minute changed in between.
        (10..=20).contains(&events).then_some(())
    });
}

#[test]
fn belvedere_can_report_to_another_server_and_waits_for_it() {
    let (watched, watching) = (Directory::new(), Directory::new());
    let port = free_port();
    let start = || Api::start_with(&Start { data: &watching.0, port, environment: &[], arguments: &[] });
    let api = start();
    let dsn = api.text("dsn").to_owned();
    api.kill();
    let environment =
        [("BELVEDERE_SELF_REPORT_DSN", dsn.as_str()), ("BELVEDERE_SELF_REPORT_ENVIRONMENT", "staging")];
    let service = Api::start_with(&Start {
        data: &watched.0,
        port: free_port(),
        environment: &environment,
        arguments: &[],
    });
    fail_requests(&service, &watched.0, 1);
    service.kill();
    let api = start();
    let service = Api::start_with(&Start {
        data: &watched.0,
        port: free_port(),
        environment: &environment,
        arguments: &[],
    });
    let issue = api.eventually("the error of the killed process arrives", |api| {
        api.pages("/api/v1/issues?limit=10").pop()
    });
    assert!(issue["title"].as_str().unwrap().starts_with("request failed: "), "{issue}");
    assert_eq!(service.pages("/api/v1/projects?").len(), 1);
}
