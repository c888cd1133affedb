//! Learning events against the real `api` on a socket.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::api::{Api, Directory, agent};

fn post(api: &Api, events: &Value) -> (u16, Value) {
    let (key, project) = api.key_and_project();
    let request = agent()
        .post(format!("{}/api/{project}/learning/events?sentry_key={key}", api.address()))
        .header("content-type", "application/json");
    let mut response = request.send(events.to_string()).unwrap();
    let text = response.body_mut().read_to_string().unwrap();
    (response.status().as_u16(), serde_json::from_str(&text).unwrap())
}

/// Waits until the API says of the course what is expected.
fn wait_for(api: &Api, is_there: impl Fn(&Value) -> bool) -> Value {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let (status, course) = api.get("/api/v1/learning/courses/rust");
        if status == 200 && is_there(&course) {
            return course;
        }
        assert!(Instant::now() < deadline, "{status}: {course}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn events() -> Value {
    let of = |learner: usize, kind: &str| {
        json!({
            "id": format!("{kind}-{learner}"), "event_type": kind, "user_id": format!("learner-{learner}"),
            "course_id": "rust", "lesson_id": "loops", "exercise_id": "loops-1", "metadata": {"success": learner > 0},
        })
    };
    let kinds = ["course_enrol", "lesson_start", "exercise_attempt", "lesson_complete"];
    (0..3).flat_map(|learner| kinds.map(|kind| of(learner, kind))).collect()
}

#[test]
fn events_count_once_even_if_the_server_is_killed_and_they_are_sent_again() {
    let directory = Directory::new();
    let api = Api::start(&directory.0);
    let (status, answer) = post(&api, &events());
    assert_eq!((status, answer), (200, json!({"accepted": 12, "errors": []})));
    api.kill();

    let api = Api::start(&directory.0);
    wait_for(&api, |course| course["learners"] == 3);
    let more = json!({"event_type": "course_enrol", "user_id": "learner-3", "course_id": "rust"});
    let again: Value = events().as_array().unwrap().iter().cloned().chain([more]).collect();
    assert_eq!(post(&api, &again).0, 200);
    let course = wait_for(&api, |course| course["learners"] == 4);
    assert_eq!((&course["enrolled"], &course["lessons"][0]["completed"]), (&json!(4), &json!(3)));
    let (_, items) = api.get("/api/v1/learning/courses/rust/items");
    assert_eq!((&items["items"][0]["learners"], &items["items"][0]["attempts"]), (&json!(3), &json!(3)));
    assert!(api.interrupt().success());
}
