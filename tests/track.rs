//! Product events against the real `api` on a socket.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::api::{Api, Directory, agent};

fn post(api: &Api, batch: &Value) -> (u16, Value) {
    let body = json!({"writeKey": api.text("write_key"), "batch": batch}).to_string();
    let request = agent().post(format!("{}/v1/batch", api.address())).header("content-type", "text/plain");
    let mut response = request.send(body).unwrap();
    let text = response.body_mut().read_to_string().unwrap();
    (response.status().as_u16(), serde_json::from_str(&text).unwrap())
}

/// Name and number of the events that the API knows, once there are as many as expected.
fn wait_for(api: &Api, events: u64) -> Vec<(String, u64)> {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let (status, names) = api.get("/api/v1/events/names");
        let count =
            |name: &Value| (name["name"].as_str().unwrap().to_owned(), name["events"].as_u64().unwrap());
        let mut seen: Vec<_> = names["items"].as_array().into_iter().flatten().map(count).collect();
        if status == 200 && seen.iter().map(|(_, events)| events).sum::<u64>() >= events {
            seen.sort();
            return seen;
        }
        assert!(Instant::now() < deadline, "{status}: {names}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn events_are_asked_for_by_name_and_count_once_even_if_the_server_is_killed() {
    let directory = Directory::new();
    let api = Api::start(&directory.0);
    assert_eq!(api.text("write_key"), api.key_and_project().0);
    let of = |user: u32| {
        [
            json!({"type": "page", "messageId": format!("p{user}"), "anonymousId": format!("visitor-{user}")}),
            json!({"type": "track", "messageId": format!("t{user}"), "userId": format!("user-{user}"), "event": "Signed Up"}),
        ]
    };
    let first: Value = (0..50).flat_map(of).collect();
    assert_eq!(post(&api, &first), (200, json!({"success": true})));
    api.kill();

    let api = Api::start(&directory.0);
    wait_for(&api, 100);
    let more: Value = (0..60).flat_map(of).collect();
    assert_eq!(post(&api, &more).0, 200);
    let seen = wait_for(&api, 120);
    assert_eq!(seen, [("Signed Up".to_owned(), 60), ("page_view".to_owned(), 60)]);
    assert!(api.interrupt().success());
}
