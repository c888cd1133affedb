//! A webhook of the real `api` on a socket.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use serde_json::{Value, json};

use crate::api::{Api, Directory, Start, agent, free_port};

/// Answers 204 to whatever comes, and tells the `webhook-id` and the body.
fn receive() -> (String, Receiver<(String, Value)>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}/hook", listener.local_addr().unwrap());
    let (tell, told) = channel();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut reader = BufReader::new(stream.try_clone().unwrap());
            let (mut id, mut length) = (String::new(), 0);
            loop {
                let mut line = String::new();
                reader.read_line(&mut line).unwrap();
                let line = line.trim_end().to_lowercase();
                if line.is_empty() {
                    break;
                }
                match line.split_once(": ") {
                    Some(("webhook-id", value)) => id = value.to_owned(),
                    Some(("content-length", value)) => length = value.parse().unwrap(),
                    _ => {}
                }
            }
            let mut body = vec![0; length];
            reader.read_exact(&mut body).unwrap();
            stream.write_all(b"HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n").unwrap();
            if tell.send((id, serde_json::from_slice(&body).unwrap())).is_err() {
                return;
            }
        }
    });
    (address, told)
}

fn post(api: &Api, path: &str, body: &Value) -> (u16, Value) {
    let token = format!("Bearer {}", api.text("api_token"));
    let request = agent().post(format!("{}{path}", api.address())).header("authorization", token);
    let mut response = request.header("content-type", "application/json").send(body.to_string()).unwrap();
    let text = response.body_mut().read_to_string().unwrap();
    (response.status().as_u16(), serde_json::from_str(&text).unwrap())
}

#[test]
fn a_milestone_is_told_once_even_if_its_event_is_sent_again_after_a_crash() {
    let directory = Directory::new();
    let start = || Start {
        data: &directory.0,
        port: free_port(),
        environment: &[("BELVEDERE_ALERTING_PRIVATE_TARGETS", "true")],
        arguments: &[],
    };
    let (url, told) = receive();
    let api = Api::start_with(&start());
    let (key, project) = api.key_and_project();
    let new = json!({"project": project, "url": url, "kinds": ["learning.milestone"]});
    let (status, made) = post(&api, "/api/v1/webhooks", &new);
    assert_eq!(status, 201, "{made}");
    let door = format!("/api/{project}/learning/events?sentry_key={key}");
    let complete = |learner: &str| {
        json!({"id": format!("done-{learner}"), "event_type": "lesson_complete", "user_id": learner,
            "course_id": "rust", "lesson_id": "loops"})
    };
    assert_eq!(post(&api, &door, &complete("ada")).0, 200);
    let (id, body) = told.recv_timeout(Duration::from_secs(60)).unwrap();
    assert!(id.starts_with("msg_"));
    assert_eq!(
        (&body["type"], &body["data"]["rule"]),
        (&json!("learning.milestone"), &json!("first_lesson"))
    );
    let deliveries =
        format!("/api/v1/webhooks/{}/deliveries?project={project}", made["id"].as_str().unwrap());
    api.eventually("the delivery is written down", |api| {
        api.pages(&deliveries).iter().all(|it| it["state"] == "delivered").then_some(())
    });
    api.kill();

    let api = Api::start_with(&start());
    assert_eq!(post(&api, &door, &json!([complete("ada"), complete("grace")])).0, 200);
    let (_, second) = told.recv_timeout(Duration::from_secs(60)).unwrap();
    assert_ne!(second["data"]["subject"], body["data"]["subject"]);
    assert_eq!(api.pages(&deliveries).len(), 2);
    assert!(api.interrupt().success());
}
