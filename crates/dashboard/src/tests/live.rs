//! The stream of live messages.

use std::time::Duration;

use belvedere_kernel::{LiveBus as _, LiveMessage, ProjectId};
use http::header::CONTENT_TYPE;
use serde_json::json;

use super::*;

fn message(project: i64, issue: &str) -> LiveMessage {
    LiveMessage {
        project: Some(ProjectId(project)),
        topic: "issue.events".to_owned(),
        data: json!({"issues": [{"id": issue, "events": 3}], "events": 1}),
    }
}

async fn open(site: &Site) -> Response<Body> {
    site.send(signed_in("GET", "/live/7").body(Body::empty()).unwrap()).await
}

async fn next(body: &mut Body) -> Option<String> {
    let frame = tokio::time::timeout(Duration::from_secs(5), body.frame()).await.unwrap()?;
    Some(String::from_utf8(frame.unwrap().into_data().unwrap().to_vec()).unwrap())
}

#[tokio::test]
async fn a_message_of_the_project_arrives_and_others_never() {
    let site = Site::new(Role::Analyst);
    let response = open(&site).await;
    assert_eq!(response.headers()[CONTENT_TYPE], "text/event-stream");
    let mut body = response.into_body();
    site.bus.publish(message(8, "other"));
    site.bus.publish(message(7, "one"));
    let text = next(&mut body).await.unwrap();
    assert!(text.contains(r#"data: {"data":{"issues":["one"]},"topics":["issue.events"]}"#), "{text}");
}

#[tokio::test]
async fn under_load_messages_are_gathered() {
    let site = Site::new(Role::Analyst);
    let mut body = open(&site).await.into_body();
    site.bus.publish(message(7, "first"));
    next(&mut body).await.unwrap();
    for number in 0..30 {
        site.bus.publish(message(7, &format!("i{}", number % 3)));
    }
    let text = next(&mut body).await.unwrap();
    assert!(text.contains(r#"{"issues":["i0","i1","i2"]}"#), "{text}");
}

#[tokio::test]
async fn streams_end_when_the_process_stops() {
    let site = Site::new(Role::Analyst);
    let mut body = open(&site).await.into_body();
    site.tasks.stop();
    assert_eq!(next(&mut body).await, None);
}

#[tokio::test]
async fn a_session_may_follow_eight_streams_and_no_more() {
    let site = Site::new(Role::Analyst);
    let mut open_streams = Vec::new();
    for _ in 0..8 {
        let response = open(&site).await;
        assert_eq!(response.status(), StatusCode::OK);
        open_streams.push(response);
    }
    assert_eq!(open(&site).await.status(), StatusCode::TOO_MANY_REQUESTS);
    open_streams.pop();
    assert_eq!(open(&site).await.status(), StatusCode::OK);
}
