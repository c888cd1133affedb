//! What the demonstration's learners do: invented learners in two courses, some of whom stop and some of whom struggle.

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use super::Random;
use crate::bench::rfc3339;
use crate::client::Client;

/// Events in one request; half of what the door takes.
const EVENTS_PER_REQUEST: usize = 500;
/// The courses: id, title, lessons.
const COURSES: [(&str, &str, u64); 2] =
    [("rust-101", "First steps in Rust", 6), ("sql-basics", "SQL from nothing", 5)];
const EXERCISES_OF_LESSON: u64 = 3;
const SKILLS: [&str; 3] = ["reading code", "loops", "joins and types"];
const ERRORS: [&str; 3] = ["syntax error", "type mismatch", "wrong result"];
const LEARNERS: u64 = 200;
/// How many more are here now.
const HERE: u64 = 14;
const DAY: u64 = 86_400;
/// The tests before and after a course.
const TESTS: (&str, &str) = ("before", "after");
/// How many days ago the versions of the courses began.
const VERSIONS: [(&str, u64); 2] = [("1", 77), ("2", 49)];

/// Where learning events of the demonstration go.
pub(super) struct Door<'a> {
    pub(super) client: &'a mut Client,
    /// The project's number.
    pub(super) project: &'a str,
    /// The header lines that name the key.
    pub(super) headers: &'a str,
    /// A token that may change the project.
    pub(super) token: &'a str,
    /// The time, in seconds since 1970.
    pub(super) now: u64,
}

/// Declares the courses and sends what learners did in the last eleven weeks; how many events that is.
pub(super) fn send(door: &mut Door<'_>, random: &mut Random) -> Result<usize> {
    for (course, title, lessons) in COURSES {
        let lessons: Vec<Value> = (1..=lessons).map(|lesson| plan(lesson, lessons)).collect();
        let path = format!("/api/v1/learning/courses/{course}/structure?project={}", door.project);
        let headers = format!("authorization: Bearer {}\r\ncontent-type: application/json\r\n", door.token);
        let versions =
            VERSIONS.map(|(name, days)| json!({ "version": name, "since": rfc3339(door.now - days * DAY) }));
        let body = json!({
            "title": title, "lessons": lessons, "pretest": TESTS.0, "posttest": TESTS.1, "versions": versions,
        });
        let body = body.to_string();
        let response = door.client.send("PUT", &path, &headers, body.as_bytes())?;
        if response.status != 204 {
            bail!("PUT {path}: {} {}", response.status, String::from_utf8_lossy(&response.body));
        }
    }
    let mut events = Vec::new();
    for learner in 0..LEARNERS {
        let (course, lessons) = course_of(learner);
        take_course(&mut events, random, (learner, course, lessons), door.now);
    }
    for learner in LEARNERS..LEARNERS + HERE {
        be_here(&mut events, random, learner, door.now);
    }
    let path = format!("/api/{}/learning/events", door.project);
    for part in events.chunks(EVENTS_PER_REQUEST) {
        let body = json!({ "events": part }).to_string();
        let response = door.client.send("POST", &path, door.headers, body.as_bytes())?;
        let answer: Value = serde_json::from_slice(&response.body).context("the door's answer is no JSON")?;
        if response.status != 200 || answer["errors"] != json!([]) {
            bail!("status {}: {answer}", response.status);
        }
    }
    Ok(events.len())
}

/// The course of a learner, and how many lessons it has.
fn course_of(learner: u64) -> (&'static str, u64) {
    let (course, _, lessons) = COURSES[usize::from(learner.is_multiple_of(3))];
    (course, lessons)
}

fn plan(lesson: u64, lessons: u64) -> Value {
    let exercises: Vec<Value> = (1..=EXERCISES_OF_LESSON)
        .map(|number| {
            let skill = SKILLS[usize::try_from((lesson + number) % 3).unwrap_or(0)];
            json!({ "id": format!("{lesson}.{number}"), "title": format!("Exercise {number}"), "skills": [skill] })
        })
        .collect();
    json!({
        "id": lesson.to_string(), "title": format!("Lesson {lesson}"), "is_optional": lesson == lessons,
        "exercises": exercises,
    })
}

/// A message to the tutor, with what the product says of the answer.
fn message(random: &mut Random, error: &str, conversation: &str) -> Value {
    let (tenths, parts) = (8 + random.below(60), 4 + random.below(30));
    json!({ "metadata": {
        "conversation": conversation, "error_type": error, "latency": tenths as f64 / 10.0,
        "cost": parts as f64 / 10_000.0, "answer_leaked": random.below(40) == 0, "abusive": random.below(90) == 0,
        "handed_over": random.below(25) == 0, "withhold_share": 0.3,
    } })
}

/// What a learner does in the last half hour, for the page that shows this moment.
fn be_here(events: &mut Vec<Value>, random: &mut Random, learner: u64, now: u64) {
    let (course, lessons) = course_of(learner);
    let lesson = 1 + random.below(lessons.min(3));
    let mut at = now - 60 - random.below(1_500);
    let mut attempts = 0;
    while at < now {
        let (kind, more) = match attempts {
            0 => ("lesson_start", json!({})),
            _ => {
                let exercise = format!("{lesson}.{}", 1 + attempts % EXERCISES_OF_LESSON);
                let metadata = json!({ "success": random.below(3) > 0, "duration": 30 + random.below(60) });
                ("exercise_attempt", json!({ "exercise_id": exercise, "metadata": metadata }))
            }
        };
        let mut event = json!({
            "id": format!("demo-here-{learner}-{at}"), "event_type": kind, "user_id": format!("learner-{learner}"),
            "course_id": course, "lesson_id": lesson.to_string(), "timestamp": at * 1_000,
        });
        for (key, value) in more.as_object().into_iter().flatten() {
            event[key] = value.clone();
        }
        events.push(event);
        attempts += 1;
        at += 50 + random.below(170);
    }
}

/// One learner's way through a course, lesson by lesson, as far as they come.
fn take_course(
    events: &mut Vec<Value>,
    random: &mut Random,
    (learner, course, lessons): (u64, &str, u64),
    now: u64,
) {
    // Out of ten: how often they are right, and how likely they go on.
    let (mut ability, mut patience) = (3 + random.below(7), 6 + random.below(5));
    let mut at = now - 7 * DAY - random.below(70 * DAY);
    // The second version of the courses is the better one.
    if at >= now - VERSIONS[1].1 * DAY {
        (ability, patience) = (ability + 1, patience + 1);
    }
    let tell = |at: u64, kind: &str, more: Value, events: &mut Vec<Value>| {
        let mut event = json!({
            "id": format!("demo-{learner}-{}", events.len()), "event_type": kind, "user_id": format!("learner-{learner}"),
            "session_id": format!("{learner}-{}", at / DAY), "course_id": course, "timestamp": at * 1_000,
        });
        for (key, value) in more.as_object().into_iter().flatten() {
            event[key] = value.clone();
        }
        events.push(event);
    };
    tell(at, "course_enrol", json!({}), events);
    let test = |exercise: &str, score: u64| json!({ "exercise_id": exercise, "skills": [SKILLS[0]], "metadata": { "score": score } });
    let known = 5 * ability + random.below(30);
    tell(at + 30, "exercise_attempt", test(TESTS.0, known), events);
    at += 90;
    for lesson in 1..=lessons {
        if random.below(10) >= patience || at > now {
            return;
        }
        let id = lesson.to_string();
        let begun = at;
        tell(at, "lesson_start", json!({ "lesson_id": id }), events);
        let video =
            json!({ "lesson_id": id, "metadata": { "position": 60 + random.below(240), "length": 300 } });
        tell(at + 200, "video_progress", video, events);
        at += 240;
        for number in 1..=EXERCISES_OF_LESSON {
            // The third exercise of the second lesson is harder than it should be.
            let chance = if (lesson, number) == (2, 3) { ability / 3 } else { ability };
            let exercise = format!("{lesson}.{number}");
            let mut help = 0;
            for attempts in 1..=4_u64 {
                at += 30 + random.below(150);
                let is_right = random.below(10) < chance + attempts / 2 + std::mem::take(&mut help);
                let metadata =
                    json!({ "success": is_right, "duration": 20 + random.below(100), "attempts": attempts });
                let attempt = json!({ "lesson_id": id, "exercise_id": exercise, "metadata": metadata });
                tell(at, "exercise_attempt", attempt, events);
                if is_right {
                    break;
                }
                if random.below(3) == 0 {
                    let hint = json!({ "lesson_id": id, "exercise_id": exercise, "metadata": { "hint_type": "example" } });
                    tell(at + 10, "hint_used", hint, events);
                }
                if random.below(2) == 0 {
                    let error = ERRORS[usize::try_from(lesson % 3).unwrap_or(0)];
                    let conversation = format!("{learner}-{at}");
                    let mut said = message(random, error, &conversation);
                    let is_withheld = random.below(10) < 3;
                    said["metadata"]["withheld"] = is_withheld.into();
                    said["lesson_id"] = id.clone().into();
                    said["exercise_id"] = exercise.clone().into();
                    tell(at + 15, "tutor_message", said, events);
                    if is_withheld {
                        continue;
                    }
                    // Help adds two of ten chances; with types it does nothing.
                    help = if error == "type mismatch" { 0 } else { 2 };
                    if random.below(3) == 0 {
                        let rating = json!({ "rating": 1 + help + random.below(3), "resolved": random.below(3) < help });
                        tell(
                            at + 20,
                            "tutor_feedback",
                            json!({ "lesson_id": id, "metadata": rating }),
                            events,
                        );
                    }
                }
            }
        }
        if random.below(12) == 0 {
            return;
        }
        at += 60;
        let done = json!({ "duration": at - begun, "score": 10 * ability.min(10) });
        tell(at, "lesson_complete", json!({ "lesson_id": id, "metadata": done }), events);
        at += DAY / 2 + random.below(DAY);
    }
    let gained = (100 - known) * (ability + random.below(4)) / 15;
    tell(at.min(now), "exercise_attempt", test(TESTS.1, known + gained), events);
    tell(at.min(now), "course_complete", json!({ "metadata": { "score": 10 * ability.min(10) } }), events);
}
