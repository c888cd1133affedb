//! Statements as events of the product, so that funnels and retention span learning and everything else. No I/O.

use belvedere_event_store::{Event, TEXT_BYTES_MAX, TIME_END, TIME_MIN};
use belvedere_kernel::{Admitted, SubjectId};
use belvedere_storage::Timestamp;
use serde_json::{Map, Value};

use crate::Version;
use crate::json::Json;
use crate::value;

/// What extensions of the xAPI video profile begin with (<https://w3id.org/xapi/video>).
const VIDEO: &str = "https://w3id.org/xapi/video/extensions/";

/// What a statement is as an event, before it is known whom it is about and what they consent to.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Draft {
    name: &'static str,
    at: Option<Timestamp>,
    session: Option<String>,
    course: Option<String>,
    lesson: Option<String>,
    exercise: Option<String>,
    /// Points, 0 to 100; without a scale the raw score.
    value: Option<f64>,
    /// Duration and outcome, in the words of learning events.
    outcome: Map<String, Value>,
    /// All else.
    details: Map<String, Value>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Level {
    Course,
    Lesson,
    Exercise,
    Video,
}

/// What an activity is, by its type's last word.
fn level_of(activity: &Json) -> Option<Level> {
    let kind = activity.get("definition")?.text_of("type")?;
    Some(match last_word(kind) {
        "course" | "curriculum" => Level::Course,
        "lesson" | "module" | "unit" | "block" | "au" | "slide" | "page" => Level::Lesson,
        "cmi.interaction" | "question" | "interaction" | "assessment" | "exercise" | "quiz" | "objective" => {
            Level::Exercise
        }
        "video" | "media" | "audio" => Level::Video,
        _ => return None,
    })
}

fn last_word(iri: &str) -> &str {
    iri.trim_end_matches('/').rsplit(['/', '#']).next().unwrap_or_default()
}

/// The event's name; none for verbs that say nothing of a learner's way.
fn name_of(verb: &str, level: Option<Level>) -> Option<&'static str> {
    Some(match (last_word(verb), level) {
        ("registered" | "enrolled" | "enroled" | "enrolled-onto-learning-plan", _) => "course_enrol",
        ("completed" | "passed" | "satisfied" | "mastered", Some(Level::Course)) => "course_complete",
        ("answered" | "attempted", _) => "exercise_attempt",
        ("completed" | "passed" | "failed" | "scored", Some(Level::Exercise)) => "exercise_attempt",
        ("failed", _) => "exercise_attempt",
        ("played" | "paused" | "seeked" | "progressed" | "watched" | "completed", Some(Level::Video)) => {
            "video_progress"
        }
        ("played" | "paused" | "seeked" | "watched", _) => "video_progress",
        ("completed" | "passed" | "satisfied" | "mastered", _) => "lesson_complete",
        ("experienced" | "initialized" | "launched" | "resumed" | "opened" | "viewed", _) => "lesson_start",
        ("asked", _) => "tutor_message",
        ("hinted" | "requested-hint" | "used-hint", _) => "hint_used",
        ("encountered-error", _) => "error_encountered",
        ("gave-tutor-feedback", _) => "tutor_feedback",
        _ => return None,
    })
}

/// What the verb alone says of the outcome.
fn success_by_verb(verb: &str) -> Option<bool> {
    match last_word(verb) {
        "passed" | "mastered" | "satisfied" => Some(true),
        "failed" => Some(false),
        _ => None,
    }
}

fn number_of(object: &Json, key: &str) -> Option<f64> {
    object.get(key).and_then(Json::number).filter(|number| number.is_finite())
}

/// A score in points from 0 to 100; none where nothing says how much there was to reach.
fn points_of(number: &impl Fn(&str) -> Option<f64>) -> Option<f64> {
    let raw = || {
        let (raw, min, max) = (number("raw")?, number("min").unwrap_or(0.0), number("max")?);
        (max > min).then(|| (raw - min) / (max - min))
    };
    number("scaled").or_else(raw).map(|part| (part * 100.0).clamp(0.0, 100.0))
}

impl Draft {
    /// The event that a statement is; none if its verb is not mapped, or it is about no activity.
    pub(crate) fn of(statement: &Json) -> Option<Self> {
        let verb = statement.get("verb")?.text_of("id")?;
        let object = statement
            .get("object")
            .filter(|it| matches!(it.text_of("objectType"), None | Some("Activity")))?;
        let level = level_of(object);
        let name = name_of(verb, level)?;
        let context = statement.get("context");
        let around = |key: &str| {
            let activities = context.and_then(|it| it.get("contextActivities")).and_then(|it| it.get(key));
            activities.and_then(Json::items).unwrap_or_default().iter()
        };
        let (mut course, mut lesson, mut exercise) = (None, None, None);
        let level = level.unwrap_or(match name {
            "exercise_attempt" | "hint_used" => Level::Exercise,
            "course_enrol" | "course_complete" => Level::Course,
            _ => Level::Lesson,
        });
        match level {
            Level::Course => course = object.text_of("id"),
            Level::Lesson | Level::Video => lesson = object.text_of("id"),
            Level::Exercise => exercise = object.text_of("id"),
        }
        for activity in around("parent").chain(around("grouping")) {
            match level_of(activity) {
                Some(Level::Course) => course = course.or(activity.text_of("id")),
                Some(Level::Lesson) => lesson = lesson.or(activity.text_of("id")),
                _ => {}
            }
        }
        // Where types say nothing, what is around is taken from the inside to the outside.
        let untyped = |activity: &&Json| level_of(activity).is_none();
        if lesson.is_none() && level == Level::Exercise {
            lesson = around("parent").find(untyped).and_then(|it| it.text_of("id"));
        }
        if course.is_none() {
            let parent = around("parent").find(untyped).and_then(|it| it.text_of("id"));
            let parent = parent.filter(|_| level != Level::Exercise);
            course = around("grouping").find(untyped).and_then(|it| it.text_of("id")).or(parent);
        }
        // What is outermost around an exercise stands for its course where nothing says which that is.
        if course.is_none() && level == Level::Exercise {
            course = lesson.take();
        }
        let result = statement.get("result");
        let score = result.and_then(|it| it.get("score"));
        let number = |key: &str| score.and_then(|it| number_of(it, key));
        let points = points_of(&number);
        let mut outcome = Map::new();
        outcome.extend(success_by_verb(verb).map(|success| ("success".to_owned(), success.into())));
        for key in ["success", "completion"] {
            if let Some(Json::Bool(value)) = result.and_then(|it| it.get(key)) {
                outcome.insert(key.to_owned(), (*value).into());
            }
        }
        if let Some(seconds) = result.and_then(|it| it.text_of("duration")).and_then(value::duration_seconds)
        {
            outcome.insert("duration".to_owned(), seconds.into());
        }
        outcome.extend(points.map(|points| ("score".to_owned(), points.into())));
        let mut details = Map::new();
        let at_video = |of: Option<&Json>, key: &str| {
            of.and_then(|it| it.get("extensions")).and_then(|it| number_of(it, &format!("{VIDEO}{key}")))
        };
        let video = [("position", at_video(result, "time")), ("length", at_video(context, "length"))];
        details
            .extend(video.into_iter().filter_map(|(name, number)| Some((name.to_owned(), number?.into()))));
        details.insert("verb".to_owned(), verb.into());
        details.insert("source".to_owned(), "xapi".into());
        for key in ["platform", "language"] {
            if let Some(text) = context.and_then(|it| it.text_of(key)) {
                details.insert(key.to_owned(), cut(text).into());
            }
        }
        let cut = |text: Option<&str>| text.map(cut);
        Some(Self {
            name,
            at: statement.text_of("timestamp").and_then(|text| value::timestamp(text, Version::One)),
            session: cut(context.and_then(|it| it.text_of("registration"))),
            course: cut(course),
            lesson: cut(lesson),
            exercise: cut(exercise),
            value: points.or_else(|| number("raw")),
            outcome,
            details,
        })
    }

    /// The event of the statement `id`, as far as the person consents; one that the store does not take is none.
    ///
    /// Without consent to analytics it has neither a session nor an id that leads back to the statement.
    pub(crate) fn event(self, id: [u8; 16], stored: Timestamp, admitted: Option<Admitted>) -> Option<Event> {
        let is_known = admitted.is_none_or(|it| it.analytics);
        let is_detailed = admitted.is_none_or(|it| it.detailed);
        let at = self.at.filter(|at| *at >= TIME_MIN && *at < TIME_END).unwrap_or(stored);
        let mut props = self.outcome;
        if is_detailed {
            props.extend(self.details);
        }
        let subject: Option<SubjectId> = admitted.and_then(|it| it.subject);
        let event = Event {
            subject,
            session: self.session.filter(|_| is_known),
            course: self.course,
            lesson: self.lesson,
            exercise: self.exercise,
            value: self.value,
            props: Value::Object(props).to_string(),
            ..Event::new(if is_known { id } else { value::random_uuid() }, at, self.name)
        };
        event.check(0).is_ok().then_some(event)
    }
}

fn cut(text: &str) -> String {
    text[..text.floor_char_boundary(TEXT_BYTES_MAX)].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draft(text: &str) -> Option<Draft> {
        Draft::of(&Json::parse(text.as_bytes(), 16).unwrap())
    }

    #[test]
    fn an_answer_is_an_attempt_at_an_exercise_of_a_lesson_of_a_course() {
        let draft = draft(r#"{"verb":{"id":"http://adlnet.gov/expapi/verbs/answered"},"object":{"id":"http://x/q"},"result":{"success":true,"score":{"scaled":0.5},"duration":"PT2S"},"context":{"registration":"16fd2706-8baf-433b-82eb-8c7fada847da","contextActivities":{"parent":[{"id":"http://x/lesson"}],"grouping":[{"id":"http://x/course"}]}},"timestamp":"2026-11-28T12:00:00Z"}"#).unwrap();
        let all = Admitted { subject: Some(SubjectId(7)), analytics: true, detailed: true, location: true };
        let event = draft.clone().event([1; 16], Timestamp::EPOCH, Some(all)).unwrap();
        assert_eq!((event.name.as_str(), event.id, event.value), ("exercise_attempt", [1; 16], Some(50.0)));
        assert_eq!(event.course.as_deref(), Some("http://x/course"));
        assert_eq!(event.lesson.as_deref(), Some("http://x/lesson"));
        assert_eq!(event.exercise.as_deref(), Some("http://x/q"));
        assert_eq!(event.session.as_deref(), Some("16fd2706-8baf-433b-82eb-8c7fada847da"));
        assert_eq!(
            event.props,
            r#"{"duration":2.0,"score":50.0,"source":"xapi","success":true,"verb":"http://adlnet.gov/expapi/verbs/answered"}"#
        );
        let none =
            Admitted { subject: Some(SubjectId(9)), analytics: false, detailed: false, location: false };
        let event = draft.event([1; 16], Timestamp::EPOCH, Some(none)).unwrap();
        assert!(event.session.is_none() && event.id != [1; 16]);
        assert_eq!(event.props, r#"{"duration":2.0,"score":50.0,"success":true}"#);
    }

    #[test]
    fn scores_become_points_and_verbs_outcomes() {
        let of = |verb: &str, result: &str| {
            let text = format!(
                r#"{{"verb":{{"id":"http://adlnet.gov/expapi/verbs/{verb}"}},"object":{{"id":"http://x/q"}},"result":{result}}}"#
            );
            let draft = draft(&text).unwrap();
            (draft.value, Value::Object(draft.outcome).to_string())
        };
        for (verb, result, value, outcome) in [
            ("answered", r#"{"score":{"scaled":-0.5}}"#, Some(0.0), r#"{"score":0.0}"#),
            ("answered", r#"{"score":{"raw":6,"min":2,"max":10}}"#, Some(50.0), r#"{"score":50.0}"#),
            ("answered", r#"{"score":{"raw":3,"max":4}}"#, Some(75.0), r#"{"score":75.0}"#),
            ("answered", r#"{"score":{"raw":3}}"#, Some(3.0), "{}"),
            ("answered", r#"{"score":{"raw":3,"min":4,"max":4}}"#, Some(3.0), "{}"),
            ("failed", "{}", None, r#"{"success":false}"#),
            ("passed", "{}", None, r#"{"success":true}"#),
            ("failed", r#"{"success":true}"#, None, r#"{"success":true}"#),
            ("attempted", "{}", None, "{}"),
        ] {
            assert_eq!(of(verb, result), (value, outcome.to_owned()), "{verb} {result}");
        }
    }

    #[test]
    fn a_lone_parent_of_an_exercise_is_its_course() {
        let draft = draft(r#"{"verb":{"id":"http://adlnet.gov/expapi/verbs/answered"},"object":{"id":"http://x/q"},"context":{"contextActivities":{"parent":[{"id":"http://x/quiz"}]}}}"#).unwrap();
        assert_eq!((draft.course.as_deref(), draft.lesson.as_deref()), (Some("http://x/quiz"), None));
    }

    #[test]
    fn a_video_has_its_place_where_details_may_be_kept() {
        let draft = draft(r#"{"verb":{"id":"https://w3id.org/xapi/video/verbs/paused"},"object":{"id":"http://x/v","definition":{"type":"https://w3id.org/xapi/video/activity-type/video"}},"result":{"extensions":{"https://w3id.org/xapi/video/extensions/time":30}},"context":{"extensions":{"https://w3id.org/xapi/video/extensions/length":120.5}}}"#).unwrap();
        let admitted =
            |detailed| Admitted { subject: Some(SubjectId(7)), analytics: true, detailed, location: false };
        let props = |detailed| {
            draft
                .clone()
                .event(
                    [1; 16],
                    Timestamp::EPOCH.plus(std::time::Duration::from_secs(1 << 30)),
                    Some(admitted(detailed)),
                )
                .unwrap()
                .props
        };
        assert!(props(true).contains(r#""length":120.5,"position":30.0,"#), "{}", props(true));
        assert_eq!(props(false), "{}");
    }

    #[test]
    fn verbs_and_types_decide_the_name() {
        let activity = |verb: &str, kind: &str| {
            format!(
                r#"{{"verb":{{"id":"http://adlnet.gov/expapi/verbs/{verb}"}},"object":{{"id":"http://x","definition":{{"type":"http://adlnet.gov/expapi/activities/{kind}"}}}}}}"#
            )
        };
        for (verb, kind, name) in [
            ("experienced", "lesson", Some("lesson_start")),
            ("initialized", "course", Some("lesson_start")),
            ("completed", "lesson", Some("lesson_complete")),
            ("passed", "other", Some("lesson_complete")),
            ("completed", "course", Some("course_complete")),
            ("passed", "assessment", Some("exercise_attempt")),
            ("failed", "lesson", Some("exercise_attempt")),
            ("attempted", "x", Some("exercise_attempt")),
            ("registered", "course", Some("course_enrol")),
            ("played", "video", Some("video_progress")),
            ("terminated", "lesson", None),
        ] {
            assert_eq!(draft(&activity(verb, kind)).map(|draft| draft.name), name, "{verb} {kind}");
        }
        assert_eq!(
            draft(
                r#"{"verb":{"id":"http://adlnet.gov/expapi/verbs/passed"},"object":{"objectType":"Agent","mbox":"mailto:a@b"}}"#
            ),
            None
        );
    }
}
