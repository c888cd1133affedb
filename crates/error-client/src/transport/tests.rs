use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};

use crate::testing::{Answer, Directory, PATIENCE, Server, config, dsn, eventually, free_port};
use crate::{ClientConfig, Destination, ErrorClient, Level, QueueConfig};

fn messages(server: &Server) -> Vec<String> {
    server.events().iter().map(|event| event["message"].as_str().unwrap().to_owned()).collect()
}

fn send(client: &ErrorClient, message: &str) {
    assert!(client.capture_message(message, Level::Error).is_some());
}

#[test]
fn an_envelope_is_sent_as_servers_expect_it() {
    let server = Server::start([]);
    let client = ErrorClient::detached(config(server.dsn(), None)).unwrap();
    send(&client, &"long ".repeat(1_000));
    assert!(client.flush(PATIENCE));
    let request = server.received().pop().unwrap();
    assert_eq!(request.path, "/api/1/envelope/");
    assert_eq!(request.headers["content-encoding"], "gzip");
    let auth = &request.headers["x-sentry-auth"];
    assert!(auth.contains("sentry_key=0123456789abcdef0123456789abcdef"), "{auth}");
    let head: Value = serde_json::from_str(request.body.lines().next().unwrap()).unwrap();
    assert_eq!(head["event_id"].as_str().unwrap().replace('-', ""), request.items("event")[0]["event_id"]);
}

#[test]
fn what_fails_for_a_while_is_delivered_once() {
    let directory = Directory::new();
    let failures = [
        Answer::Close,
        Answer::Status(500, vec![]),
        Answer::Status(502, vec![]),
        Answer::Status(503, vec![("retry-after", "0")]),
        Answer::Status(404, vec![]),
        Answer::Status(403, vec![]),
    ];
    let server = Server::start(failures.clone());
    let client = ErrorClient::detached(config(server.dsn(), Some(&directory))).unwrap();
    for number in 0..3 {
        send(&client, &format!("message {number}"));
    }
    eventually("the queue is empty", || (server.received().len() == failures.len() + 3).then_some(()));
    assert!(client.flush(PATIENCE));
    let mut delivered = messages(&server).split_off(failures.len());
    delivered.sort();
    assert_eq!(delivered, ["message 0", "message 1", "message 2"]);
    drop(client);
    assert_eq!(directory.segments(), 0);
}

#[test]
fn a_server_that_does_not_answer_in_time_is_asked_again() {
    let server = Server::start([Answer::Slow(Duration::from_secs(120))]);
    let config = ClientConfig { timeout: Duration::from_millis(200), ..config(server.dsn(), None) };
    let client = ErrorClient::detached(config).unwrap();
    send(&client, "patience");
    eventually("it was sent twice", || (server.received().len() == 2).then_some(()));
    assert!(client.flush(PATIENCE));
}

#[test]
fn what_the_server_refuses_is_given_up_and_counted() {
    let directory = Directory::new();
    let server = Server::start([Answer::Status(413, vec![]), Answer::Status(400, vec![])]);
    let client = ErrorClient::detached(config(server.dsn(), Some(&directory))).unwrap();
    send(&client, "too large");
    send(&client, "not understood");
    eventually("both were refused", || (server.received().len() == 2).then_some(()));
    send(&client, "fine");
    assert!(client.flush(PATIENCE));
    let received = server.received();
    assert_eq!(received.len(), 3);
    let reports: Vec<Value> = received.iter().flat_map(|request| request.items("client_report")).collect();
    let lost: u64 = reports
        .iter()
        .flat_map(|report| report["discarded_events"].as_array().unwrap())
        .filter(|it| it["reason"] == "send_error" && it["category"] == "error")
        .map(|it| it["quantity"].as_u64().unwrap())
        .sum();
    // The second may be counted only after the last report was taken.
    assert!((1..=2).contains(&lost), "{reports:?}");
}

#[test]
fn a_limited_error_waits_and_what_matters_less_is_counted() {
    let directory = Directory::new();
    let limit = vec![("x-sentry-rate-limits", "2:error;transaction:key")];
    let server = Server::start([Answer::Status(429, limit)]);
    let client = ErrorClient::detached(config(server.dsn(), Some(&directory))).unwrap();
    send(&client, "limited");
    eventually("the limit is known", || (server.received().len() == 1).then_some(()));
    let done: Result<(), std::fmt::Error> = client.with_performance_monitoring_sync("work", None, || Ok(()));
    done.unwrap();
    assert!(!client.flush(PATIENCE), "the server wants nothing now");
    eventually("the error is delivered", || (messages(&server) == ["limited", "limited"]).then_some(()));
    send(&client, "after");
    assert!(client.flush(PATIENCE));
    assert_eq!(server.transactions(), Vec::<Value>::new());
    let received = server.received();
    let reports: Vec<_> = received.iter().flat_map(|request| request.items("client_report")).collect();
    let expected = json!([{"reason": "ratelimit_backoff", "category": "transaction", "quantity": 1}]);
    let found = reports.iter().flat_map(|report| report["discarded_events"].as_array().unwrap());
    let found: Vec<_> = found.filter(|it| it["category"] == "transaction").cloned().collect();
    assert_eq!(Value::from(found), expected);
}

#[test]
fn without_a_queue_everything_waits_in_memory() {
    let port = free_port();
    let client = ErrorClient::detached(config(dsn(port), None)).unwrap();
    for number in 0..5 {
        send(&client, &format!("message {number}"));
    }
    assert!(!client.flush(PATIENCE), "nobody listens");
    let server = Server::start_at(port);
    eventually("all arrive", || (messages(&server).len() == 5).then_some(()));
}

#[test]
fn what_is_left_at_the_end_is_delivered_by_the_next_start() {
    let directory = Directory::new();
    let port = free_port();
    let first = ErrorClient::detached(config(dsn(port), Some(&directory))).unwrap();
    send(&first, "before the restart");
    let done: Result<(), std::fmt::Error> = first.with_performance_monitoring_sync("work", None, || Ok(()));
    done.unwrap();
    drop(first);
    assert_eq!(directory.segments(), 2, "an error and a transaction wait in files");
    let server = Server::start_at(port);
    let second = ErrorClient::detached(config(dsn(port), Some(&directory))).unwrap();
    eventually("both arrive", || (server.received().len() == 2).then_some(()));
    assert!(second.flush(PATIENCE));
    assert_eq!(messages(&server), ["before the restart"]);
    assert_eq!(server.transactions().len(), 1);
    drop(second);
    assert_eq!(directory.segments(), 0);
}

#[test]
fn a_fatal_event_goes_first() {
    let directory = Directory::new();
    let server = Server::start([]);
    // The attempt that is on its way when the fatal event comes may be that of the error, so it fails as well.
    let (is_complete, asked) = (Arc::new(AtomicBool::new(false)), AtomicU32::new(0));
    let destination = {
        let (is_complete, dsn) = (Arc::clone(&is_complete), server.dsn());
        Destination::Later(Arc::new(move || {
            let is_known = is_complete.load(Ordering::SeqCst) && asked.fetch_add(1, Ordering::SeqCst) > 0;
            is_known.then(|| dsn.clone()).ok_or_else(|| "not yet".to_owned())
        }))
    };
    let client =
        ErrorClient::detached(ClientConfig { destination, ..config(server.dsn(), Some(&directory)) })
            .unwrap();
    send(&client, "an error");
    client.capture_message("the end", Level::Fatal).unwrap();
    is_complete.store(true, Ordering::SeqCst);
    eventually("both arrive", || (server.received().len() == 2).then_some(()));
    assert_eq!(messages(&server), ["the end", "an error"]);
}

#[test]
fn a_disk_that_fails_leaves_the_memory() {
    let directory = Directory::new();
    std::fs::write(&directory.0, "no directory").unwrap();
    let server = Server::start([]);
    let client = ErrorClient::detached(config(server.dsn(), Some(&directory))).unwrap();
    send(&client, "without a disk");
    assert!(client.flush(PATIENCE));
    assert_eq!(messages(&server), ["without a disk"]);
    std::fs::remove_file(&directory.0).unwrap();
}

#[test]
fn a_full_queue_gives_up_the_oldest_and_says_so() {
    let directory = Directory::new();
    let port = free_port();
    let queue = QueueConfig { records_max: 10, ..QueueConfig::new(&directory.0) };
    let client =
        ErrorClient::detached(ClientConfig { queue: Some(queue), ..config(dsn(port), None) }).unwrap();
    for number in 0..15 {
        send(&client, &format!("message {number}"));
    }
    let server = Server::start_at(port);
    eventually("the queue is empty", || client.flush(PATIENCE).then_some(()));
    let expected: Vec<_> = (5..15).map(|number| format!("message {number}")).collect();
    let delivered = messages(&server);
    // One that was dropped while it was on its way may have arrived nevertheless, before the others.
    let newest = delivered.len().saturating_sub(10);
    assert!(newest <= 1, "{delivered:?}");
    assert_eq!(delivered[newest..], expected);
}

#[test]
fn an_event_that_the_server_cannot_take_does_not_stop_the_others() {
    let directory = Directory::new();
    let server = Server::start([]);
    server.fail_on("poison");
    let client = ErrorClient::detached(config(server.dsn(), Some(&directory))).unwrap();
    send(&client, "poison");
    for number in 0..10 {
        send(&client, &format!("message {number}"));
    }
    eventually("the queue is empty", || client.flush(PATIENCE).then_some(()));
    let mut delivered = messages(&server);
    delivered.retain(|message| message != "poison");
    let expected: Vec<_> = (0..10).map(|number| format!("message {number}")).collect();
    assert_eq!(delivered, expected);
    drop(client);
    assert_eq!(directory.segments(), 0, "it was given up in the end");
}

#[test]
fn reports_to_one_project_never_reach_another() {
    let directory = Directory::new();
    let port = free_port();
    let first = ErrorClient::detached(config(dsn(port), Some(&directory))).unwrap();
    send(&first, "of the first project");
    drop(first);
    let server = Server::start_at(port);
    let other = dsn(port).replace("/1", "/2");
    let second = ErrorClient::detached(config(other.clone(), Some(&directory))).unwrap();
    send(&second, "of the second project");
    assert!(second.flush(PATIENCE));
    let seen: Vec<_> = server.received().iter().map(|request| request.path.clone()).collect();
    assert_eq!(seen, ["/api/2/envelope/"]);
    let new_key = dsn(port).replace("0123", "4567");
    let third = ErrorClient::detached(config(new_key, Some(&directory))).unwrap();
    eventually("a new key of the same project delivers", || (server.received().len() == 2).then_some(()));
    assert!(third.flush(PATIENCE));
    assert_eq!(messages(&server), ["of the second project", "of the first project"]);
}

#[test]
fn a_destination_that_is_found_later_is_asked_until_it_is_known() {
    let server = Server::start([]);
    let (asked, known) = (Arc::new(AtomicU32::new(0)), Arc::new(Mutex::new(None::<String>)));
    let destination = {
        let (asked, known) = (Arc::clone(&asked), Arc::clone(&known));
        Destination::Later(Arc::new(move || {
            asked.fetch_add(1, Ordering::SeqCst);
            known.lock().unwrap().clone().ok_or_else(|| "not yet".to_owned())
        }))
    };
    let client = ErrorClient::detached(ClientConfig { destination, ..config(server.dsn(), None) }).unwrap();
    assert_eq!(asked.load(Ordering::SeqCst), 0, "nobody asks before there is something to send");
    send(&client, "waits");
    eventually("it was asked in vain", || (asked.load(Ordering::SeqCst) >= 2).then_some(()));
    assert_eq!(server.received().len(), 0);
    *known.lock().unwrap() = Some(server.dsn());
    eventually("it arrives", || (messages(&server) == ["waits"]).then_some(()));
}

#[test]
fn many_threads_lose_nothing() {
    let directory = Directory::new();
    let server = Server::start([Answer::Status(500, vec![]), Answer::Close]);
    let client = ErrorClient::detached(config(server.dsn(), Some(&directory))).unwrap();
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let client = client.client();
            scope.spawn(move || {
                for number in 0..50 {
                    send(&client, &format!("{thread} {number}"));
                }
            });
        }
    });
    eventually("all arrive", || (server.received().len() == 402).then_some(()));
    assert!(client.flush(PATIENCE));
    let mut delivered = messages(&server).split_off(2);
    delivered.sort();
    delivered.dedup();
    assert_eq!(delivered.len(), 400);
}
