//! Events of the log as xAPI statements (IEEE 9274.1.1), made when somebody reads them: nothing is stored of it. No I/O.

use belvedere_kernel::{ProjectId, SubjectId};
use belvedere_storage::Timestamp;
use serde_json::{Map, Value, json};

use crate::entry::StoredParts;
use crate::event::EventType;

const ADL_VERBS: &str = "http://adlnet.gov/expapi/verbs";
const ADL_ACTIVITIES: &str = "http://adlnet.gov/expapi/activities";
const VIDEO: &str = "https://w3id.org/xapi/video";

/// Where the activities and accounts of a project are at home.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatementHome {
    /// The address of this installation, without a slash at the end.
    pub url: String,
    /// The project.
    pub project: ProjectId,
}

impl StatementHome {
    /// The id of a course, or of something in it; one that is an IRI already stays.
    fn activity(&self, course: &str, within: Option<(&str, &str)>) -> String {
        let own = within.map_or(course, |(_, id)| id);
        if own.contains("://") {
            return own.to_owned();
        }
        let mut iri = format!("{}/projects/{}/courses/", self.url, self.project);
        encode(course, &mut iri);
        if let Some((place, id)) = within {
            iri.push('/');
            iri.push_str(place);
            iri.push('/');
            encode(id, &mut iri);
        }
        iri
    }

    fn own(&self, path: &str) -> String {
        format!("{}/xapi/{path}", self.url)
    }
}

/// Percent-encodes everything but unreserved characters (RFC 3986, 2.3).
fn encode(text: &str, out: &mut String) {
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push('%');
            for digit in [byte >> 4, byte & 15] {
                out.push(char::from_digit(u32::from(digit), 16).unwrap_or('0').to_ascii_uppercase());
            }
        }
    }
}

fn verb_of(kind: EventType, home: &StatementHome) -> (String, &'static str) {
    let adl = |word: &'static str| (format!("{ADL_VERBS}/{word}"), word);
    match kind {
        EventType::LessonStart => adl("initialized"),
        EventType::LessonComplete | EventType::CourseComplete => adl("completed"),
        EventType::ExerciseAttempt => adl("answered"),
        EventType::CourseEnrol => adl("registered"),
        EventType::VideoProgress => adl("progressed"),
        EventType::TutorMessage => adl("asked"),
        EventType::HintUsed => (home.own("verbs/used-hint"), "used a hint"),
        EventType::ErrorEncountered => (home.own("verbs/encountered-error"), "encountered an error"),
        EventType::TutorFeedback => (home.own("verbs/gave-tutor-feedback"), "gave feedback to the tutor"),
    }
}

/// The statement that an event of this slice is; its id is that of the event, so that it counts once wherever it is told
/// again. The actor is the learner's number.
pub(crate) fn statement_of(
    event: &StoredParts<'_>,
    (subject, session): (SubjectId, Option<&str>),
    home: &StatementHome,
) -> Option<Value> {
    let entry = event.entry()?;
    let props: Map<String, Value> = serde_json::from_str(event.props).ok()?;
    let (verb, display) = verb_of(entry.kind, home);
    let is_video = entry.kind == EventType::VideoProgress;
    let is_of_course = matches!(entry.kind, EventType::CourseEnrol | EventType::CourseComplete);
    let typed = |id: String, kind: &str| json!({ "id": id, "definition": { "type": kind } });
    let course = || typed(home.activity(&entry.course, None), &format!("{ADL_ACTIVITIES}/course"));
    let lesson = |kind: &str| typed(home.activity(&entry.course, Some(("lessons", &entry.lesson))), kind);
    let lesson_kind = format!("{ADL_ACTIVITIES}/lesson");
    let mut around = Map::new();
    let object = if is_of_course || entry.lesson.is_empty() && (entry.exercise.is_empty() || is_video) {
        course()
    } else {
        around.insert("grouping".to_owned(), json!([course()]));
        if is_video {
            lesson(&format!("{VIDEO}/activity-type/video"))
        } else if entry.exercise.is_empty()
            || matches!(entry.kind, EventType::LessonStart | EventType::LessonComplete)
        {
            lesson(&lesson_kind)
        } else {
            if !entry.lesson.is_empty() {
                around.insert("parent".to_owned(), json!([lesson(&lesson_kind)]));
            }
            let exercise = home.activity(&entry.course, Some(("exercises", &entry.exercise)));
            typed(exercise, &format!("{ADL_ACTIVITIES}/question"))
        }
    };
    let mut statement = json!({
        "id": uuid(event.id),
        "actor": { "objectType": "Agent", "account": { "homePage": home.url, "name": format!("learner-{subject}") } },
        "verb": { "id": verb, "display": { "en": display } },
        "object": object,
        "timestamp": Timestamp::from_micros(event.at_micros),
    });
    let mut set = |key: &str, map: Map<String, Value>| {
        if !map.is_empty() {
            statement[key] = map.into();
        }
    };
    set("result", result_of(&props));
    let mut context = Map::new();
    let mut extensions = Map::new();
    extensions.extend(session.map(|session| (home.own("extensions/session"), session.into())));
    extensions
        .extend(props.get("length").map(|length| (format!("{VIDEO}/extensions/length"), length.clone())));
    for (key, map) in [("contextActivities", around), ("extensions", extensions)] {
        if !map.is_empty() {
            context.insert(key.to_owned(), map.into());
        }
    }
    set("context", context);
    Some(statement)
}

fn result_of(props: &Map<String, Value>) -> Map<String, Value> {
    let number = |key: &str| props.get(key).and_then(Value::as_f64);
    let mut result = Map::new();
    result.extend(props.get("success").map(|success| ("success".to_owned(), success.clone())));
    let scaled = number("score").map(|points| json!({ "scaled": points / 100.0 }));
    result.extend(scaled.map(|score| ("score".to_owned(), score)));
    result.extend(number("duration").map(|seconds| ("duration".to_owned(), format!("PT{seconds}S").into())));
    let position = props.get("position").map(|at| json!({ format!("{VIDEO}/extensions/time"): at }));
    result.extend(position.map(|extensions| ("extensions".to_owned(), extensions)));
    result
}

/// `xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx`
fn uuid(id: [u8; 16]) -> String {
    let digits = format!("{:032x}", u128::from_be_bytes(id));
    let parts = [0..8, 8..12, 12..16, 16..20, 20..32].map(|range| digits.get(range).unwrap_or_default());
    parts.join("-")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn statement(name: &str, (lesson, exercise): (Option<&str>, Option<&str>), props: &str) -> Option<Value> {
        let home = StatementHome { url: "https://b.example".to_owned(), project: ProjectId(3) };
        let event = StoredParts {
            id: [0x41; 16],
            at_micros: 1_795_867_200_000_000,
            name,
            course: Some("rust & co"),
            lesson,
            exercise,
            props,
        };
        statement_of(&event, (SubjectId(7), Some("s1")), &home)
    }

    #[test]
    fn an_attempt_is_an_answer_to_a_question_of_a_lesson_of_a_course() {
        let props =
            r#"{"learning_day":20785,"skills":["loops"],"duration":41.5,"success":true,"score":56.7}"#;
        assert_eq!(
            statement("exercise_attempt", (Some("loops"), Some("https://x/e1")), props).unwrap(),
            json!({
                "id": "41414141-4141-4141-4141-414141414141",
                "actor": { "objectType": "Agent", "account": { "homePage": "https://b.example", "name": "learner-7" } },
                "verb": { "id": "http://adlnet.gov/expapi/verbs/answered", "display": { "en": "answered" } },
                "object": { "id": "https://x/e1", "definition": { "type": "http://adlnet.gov/expapi/activities/question" } },
                "result": { "success": true, "score": { "scaled": 56.7 / 100.0 }, "duration": "PT41.5S" },
                "context": {
                    "contextActivities": {
                        "parent": [{
                            "id": "https://b.example/projects/3/courses/rust%20%26%20co/lessons/loops",
                            "definition": { "type": "http://adlnet.gov/expapi/activities/lesson" },
                        }],
                        "grouping": [{
                            "id": "https://b.example/projects/3/courses/rust%20%26%20co",
                            "definition": { "type": "http://adlnet.gov/expapi/activities/course" },
                        }],
                    },
                    "extensions": { "https://b.example/xapi/extensions/session": "s1" },
                },
                "timestamp": "2026-11-28T12:00:00Z",
            })
        );
    }

    #[test]
    fn each_kind_is_about_what_it_happened_at() {
        let day = r#"{"learning_day":20785}"#;
        for kind in EventType::ALL {
            let told = statement(kind.as_str(), (Some("l"), Some("e")), day).unwrap();
            let kind_of_object = told["object"]["definition"]["type"].as_str().unwrap().to_owned();
            let expected = match kind {
                EventType::CourseEnrol | EventType::CourseComplete => "course",
                EventType::LessonStart | EventType::LessonComplete => "lesson",
                EventType::VideoProgress => "video",
                _ => "question",
            };
            assert!(kind_of_object.ends_with(&format!("/{expected}")), "{kind:?}: {kind_of_object}");
            let bare = statement(kind.as_str(), (None, None), day).unwrap();
            assert!(bare["object"]["id"].as_str().unwrap().ends_with("/courses/rust%20%26%20co"));
            assert!(bare["context"].get("contextActivities").is_none());
        }
        assert!(statement("page_viewed", (None, None), day).is_none());
        assert!(statement("lesson_start", (None, None), "{}").is_none());
    }
}
