use std::time::Duration;

use belvedere_event_store::TIME_MIN;
use belvedere_storage::Timestamp;
use serde::Serialize;
use serde_json::{Map, Value};

use super::{
    CODE_BYTES_MAX, EVENTS_MAX, EventType, ID_BYTES_MAX, LearningEvent, Location, Metadata, SKILL_BYTES_MAX,
    SKILLS_MAX,
};

/// The most bytes of a word of metadata or location.
const WORD_BYTES_MAX: usize = 200;
/// The most bytes of a user agent; longer ones are cut.
const AGENT_BYTES_MAX: usize = 500;
/// The longest duration, in seconds.
pub(crate) const SECONDS_MAX: f64 = 7.0 * 86_400.0;
/// The longest time that an answer of the tutor takes, in seconds.
const LATENCY_MAX: f64 = 86_400.0;
/// The most that an answer of the tutor costs.
const COST_MAX: f64 = 1_000_000.0;
/// The most attempts that a client may have counted.
const ATTEMPTS_MAX: u64 = 1_000_000;
/// A clock may be wrong by a day.
pub(crate) const AHEAD_MAX: Duration = Duration::from_secs(86_400);

/// Why nothing of a request can be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// The body is no JSON.
    #[error("the body is not JSON: {0}")]
    NotJson(String),
    /// The body is neither an event, an array of events, nor an object with them as `events`.
    #[error("the body must be an event, an array of events, or {{\"events\": [..]}}")]
    NoEvents,
    /// There are more events than are taken at once.
    #[error("there are {0} events, at most {EVENTS_MAX} are taken at once")]
    TooMany(usize),
}

/// An event that is left out, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Refused {
    /// Its place in the request, from 0.
    pub index: usize,
    /// The field at fault, such as `metadata.score`; empty if the whole is no object.
    pub field: String,
    /// What is wrong with it, without its value.
    pub reason: String,
}

/// What a request brings.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Received {
    /// Events that are taken; an id is empty where the client gave none.
    pub events: Vec<LearningEvent>,
    /// Events that are left out.
    pub refused: Vec<Refused>,
}

/// Reads the body of a request: an event, an array of them, or an object with them as `events`. Fields that are not
/// known are passed over.
///
/// # Errors
/// [`ReadError`] when there are no events to be judged one by one.
pub fn read_events(body: &[u8], now: Timestamp) -> Result<Received, ReadError> {
    let value: Value = serde_json::from_slice(body).map_err(|error| ReadError::NotJson(error.to_string()))?;
    let events = match value {
        Value::Array(events) => events,
        Value::Object(mut object) => match object.remove("events") {
            Some(Value::Array(events)) => events,
            Some(_) => return Err(ReadError::NoEvents),
            None => vec![Value::Object(object)],
        },
        _ => return Err(ReadError::NoEvents),
    };
    if events.is_empty() {
        return Err(ReadError::NoEvents);
    }
    if events.len() > EVENTS_MAX {
        return Err(ReadError::TooMany(events.len()));
    }
    let mut received = Received::default();
    for (index, event) in events.iter().enumerate() {
        match read_event(event, now) {
            Ok(event) => received.events.push(event),
            Err(Wrong { field, reason }) => received.refused.push(Refused { index, field, reason }),
        }
    }
    Ok(received)
}

/// Whether an event that was made by a program is one that the door would take; as the door would write it.
///
/// # Errors
/// The field and what is wrong with it.
pub(crate) fn check_event(event: &LearningEvent, now: Timestamp) -> Result<LearningEvent, String> {
    let value = serde_json::to_value(event).map_err(|error| error.to_string())?;
    read_event(&value, now).map_err(|Wrong { field, reason }| format!("{field} {reason}"))
}

/// What is wrong with a field.
struct Wrong {
    field: String,
    reason: String,
}

fn wrong(field: impl Into<String>, reason: impl Into<String>) -> Wrong {
    Wrong { field: field.into(), reason: reason.into() }
}

/// An object of the event, with the name by which its fields are called.
struct Fields<'a> {
    map: &'a Map<String, Value>,
    prefix: &'static str,
}

impl Fields<'_> {
    fn wrong(&self, field: &str, reason: impl Into<String>) -> Wrong {
        wrong(format!("{}{field}", self.prefix), reason)
    }

    fn value(&self, field: &str) -> Option<&Value> {
        self.map.get(field).filter(|value| !value.is_null())
    }

    /// A text without control characters; none if it is empty. Numbers are taken for texts, as many ids are numbers.
    fn text(&self, field: &str, bytes_max: usize) -> Result<Option<String>, Wrong> {
        let text = match self.value(field) {
            None => return Ok(None),
            Some(Value::String(text)) => text.clone(),
            Some(Value::Number(number)) => number.to_string(),
            Some(_) => return Err(self.wrong(field, "must be a text")),
        };
        if text.len() > bytes_max {
            return Err(
                self.wrong(field, format!("has {} bytes, at most {bytes_max} are allowed", text.len()))
            );
        }
        if text.chars().any(char::is_control) {
            return Err(self.wrong(field, "has control characters"));
        }
        Ok(Some(text).filter(|text| !text.is_empty()))
    }

    fn required(&self, field: &str) -> Result<String, Wrong> {
        self.text(field, ID_BYTES_MAX)?.ok_or_else(|| self.wrong(field, "is missing"))
    }

    /// A number in a range, to the thousandth: it is the same after being written and read.
    fn number(&self, field: &str, min: f64, max: f64) -> Result<Option<f64>, Wrong> {
        self.rounded(field, (min, max), 1_000.0)
    }

    /// A number in a range, to one part of `parts`.
    fn rounded(&self, field: &str, (min, max): (f64, f64), parts: f64) -> Result<Option<f64>, Wrong> {
        let Some(value) = self.value(field) else { return Ok(None) };
        let number = value.as_f64().ok_or_else(|| self.wrong(field, "must be a number"))?;
        let why = || self.wrong(field, format!("must be from {min} to {max}"));
        to_part(number, (min, max), parts).ok_or_else(why).map(Some)
    }

    fn flag(&self, field: &str) -> Result<Option<bool>, Wrong> {
        let Some(value) = self.value(field) else { return Ok(None) };
        value.as_bool().map(Some).ok_or_else(|| self.wrong(field, "must be true or false"))
    }

    /// The object of a field; none where it is not there.
    fn object(&self, field: &str, prefix: &'static str) -> Result<Option<Fields<'_>>, Wrong> {
        match self.value(field) {
            None => Ok(None),
            Some(Value::Object(map)) => Ok(Some(Fields { map, prefix })),
            Some(_) => Err(self.wrong(field, "must be an object")),
        }
    }
}

fn read_event(value: &Value, now: Timestamp) -> Result<LearningEvent, Wrong> {
    let map = value.as_object().ok_or_else(|| wrong("", "is not an object"))?;
    let fields = Fields { map, prefix: "" };
    let word = fields.required("event_type")?;
    let event_type = EventType::find(&word).ok_or_else(|| {
        let known: Vec<&str> = EventType::ALL.iter().map(|kind| kind.as_str()).collect();
        wrong("event_type", format!("must be one of {}", known.join(", ")))
    })?;
    let mut event = LearningEvent {
        id: fields.text("id", ID_BYTES_MAX)?.unwrap_or_default(),
        session_id: fields.text("session_id", ID_BYTES_MAX)?,
        lesson_id: fields.text("lesson_id", ID_BYTES_MAX)?,
        exercise_id: fields.text("exercise_id", ID_BYTES_MAX)?,
        skills: read_skills(&fields)?,
        timestamp: read_time(&fields, now)?,
        ..LearningEvent::new(event_type, &fields.required("user_id")?, &fields.required("course_id")?, now)
    };
    if let Some(metadata) = fields.object("metadata", "metadata.")? {
        event.metadata = read_metadata(&metadata)?;
    }
    if let Some(location) = fields.object("location", "location.")? {
        event.location = Some(Location {
            country: location.text("country", WORD_BYTES_MAX)?,
            region: location.text("region", WORD_BYTES_MAX)?,
            timezone: location.text("timezone", WORD_BYTES_MAX)?,
        });
    }
    event.user_agent = match fields.value("user_agent") {
        None => None,
        Some(Value::String(agent)) => Some(agent[..agent.floor_char_boundary(AGENT_BYTES_MAX)].to_owned()),
        Some(_) => return Err(wrong("user_agent", "must be a text")),
    };
    check_needs(&event)?;
    Ok(event)
}

/// Whether an event that is made of another slice's has what its type is of no use without.
pub(crate) fn is_complete(event: &LearningEvent) -> bool {
    check_needs(event).is_ok()
}

/// A number to the thousandth, if it is in a range.
pub(crate) fn to_thousandth(number: f64, min: f64, max: f64) -> Option<f64> {
    to_part(number, (min, max), 1_000.0)
}

fn to_part(number: f64, (min, max): (f64, f64), parts: f64) -> Option<f64> {
    (min..=max).contains(&number).then(|| (number * parts).round() / parts)
}

/// What a type of event is of no use without.
fn check_needs(event: &LearningEvent) -> Result<(), Wrong> {
    match event.event_type {
        EventType::LessonStart | EventType::LessonComplete if event.lesson_id.is_none() => {
            Err(wrong("lesson_id", "is missing"))
        }
        EventType::ExerciseAttempt if event.exercise_id.is_none() => Err(wrong("exercise_id", "is missing")),
        EventType::ExerciseAttempt if event.metadata.success.is_none() && event.metadata.score.is_none() => {
            Err(wrong("metadata.success", "is missing, and so is metadata.score"))
        }
        _ => Ok(()),
    }
}

fn read_skills(fields: &Fields<'_>) -> Result<Vec<String>, Wrong> {
    let texts = match fields.value("skills") {
        None => return Ok(Vec::new()),
        Some(Value::Array(texts)) => texts,
        Some(_) => return Err(wrong("skills", "must be an array of texts")),
    };
    let mut skills = Vec::new();
    for text in texts {
        let skill = text.as_str().ok_or_else(|| wrong("skills", "must be an array of texts"))?.trim();
        if skill.is_empty() || skill.len() > SKILL_BYTES_MAX || skill.chars().any(char::is_control) {
            return Err(wrong("skills", format!("each must have 1 to {SKILL_BYTES_MAX} bytes in one line")));
        }
        skills.push(skill.to_owned());
    }
    skills.sort_unstable();
    skills.dedup();
    if skills.len() > SKILLS_MAX {
        return Err(wrong("skills", format!("are {}, at most {SKILLS_MAX} are allowed", skills.len())));
    }
    Ok(skills)
}

fn read_time(fields: &Fields<'_>, now: Timestamp) -> Result<Timestamp, Wrong> {
    let at = match fields.value("timestamp") {
        None => return Ok(now),
        Some(Value::String(text)) => text
            .parse::<Timestamp>()
            .map_err(|_| wrong("timestamp", "must be an instant such as 2026-11-28T12:00:00Z"))?,
        Some(Value::Number(number)) => {
            let millis = number.as_i64().filter(|millis| millis.unsigned_abs() < 1 << 43);
            let millis = millis.ok_or_else(|| wrong("timestamp", "must be milliseconds since 1970"))?;
            Timestamp::from_micros(millis * 1_000)
        }
        Some(_) => return Err(wrong("timestamp", "must be an instant such as 2026-11-28T12:00:00Z")),
    };
    if at < TIME_MIN {
        return Err(wrong("timestamp", "is before 2000"));
    }
    if at > now.plus(AHEAD_MAX) {
        return Err(wrong("timestamp", "is more than a day ahead"));
    }
    Ok(at)
}

fn read_metadata(fields: &Fields<'_>) -> Result<Metadata, Wrong> {
    let attempts = match fields.value("attempts") {
        None => None,
        Some(value) => {
            let attempts = value.as_u64().filter(|attempts| *attempts <= ATTEMPTS_MAX);
            let why = format!("must be a whole number up to {ATTEMPTS_MAX}");
            Some(attempts.ok_or_else(|| wrong("metadata.attempts", why))?)
        }
    };
    let code_submitted = match fields.value("code_submitted") {
        None => None,
        Some(Value::String(code)) => {
            // As it will be written: what is escaped is longer.
            let bytes = serde_json::to_string(code).map_or(usize::MAX, |text| text.len());
            if bytes > CODE_BYTES_MAX {
                let why = format!("has {bytes} bytes as JSON, at most {CODE_BYTES_MAX} are allowed");
                return Err(wrong("metadata.code_submitted", why));
            }
            Some(code.clone())
        }
        Some(_) => return Err(wrong("metadata.code_submitted", "must be a text")),
    };
    Ok(Metadata {
        duration: fields.number("duration", 0.0, SECONDS_MAX)?,
        attempts,
        score: fields.number("score", 0.0, 100.0)?,
        success: fields.flag("success")?,
        difficulty: fields.text("difficulty", WORD_BYTES_MAX)?,
        error_type: fields.text("error_type", WORD_BYTES_MAX)?,
        hint_type: fields.text("hint_type", WORD_BYTES_MAX)?,
        code_submitted,
        time_to_complete: fields.number("time_to_complete", 0.0, SECONDS_MAX)?,
        rating: fields.number("rating", 1.0, 5.0)?,
        resolved: fields.flag("resolved")?,
        position: fields.number("position", 0.0, SECONDS_MAX)?,
        length: fields.number("length", 0.0, SECONDS_MAX)?,
        conversation: fields.text("conversation", ID_BYTES_MAX)?,
        latency: fields.number("latency", 0.0, LATENCY_MAX)?,
        cost: fields.rounded("cost", (0.0, COST_MAX), 1_000_000.0)?,
        answer_leaked: fields.flag("answer_leaked")?,
        abusive: fields.flag("abusive")?,
        handed_over: fields.flag("handed_over")?,
        withheld: fields.flag("withheld")?,
        withhold_share: fields.number("withhold_share", 0.01, 0.99)?,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const NOW: Timestamp = Timestamp::from_micros(1_795_867_200_000_000);

    fn read(value: &Value) -> Received {
        read_events(value.to_string().as_bytes(), NOW).unwrap()
    }

    fn attempt() -> Value {
        json!({"id": "a1", "event_type": "exercise_attempt", "user_id": 7, "session_id": "s", "course_id": "rust",
               "exercise_id": "loops-1", "skills": ["loops", "ranges", "loops"], "timestamp": "2026-11-28T11:00:00Z",
               "metadata": {"success": true, "duration": 12.34567, "attempts": 2}, "unknown": {}})
    }

    #[test]
    fn one_event_an_array_and_an_object_of_events_are_read_alike() {
        let expected = read(&attempt());
        assert_eq!(expected.refused, []);
        let event = &expected.events[0];
        assert_eq!((event.user_id.as_str(), event.skills.len()), ("7", 2));
        assert_eq!(event.metadata.duration, Some(12.346));
        assert_eq!(read(&json!([attempt()])), expected);
        assert_eq!(read(&json!({"events": [attempt()]})), expected);
        let spooled = serde_json::to_vec(&expected.events).unwrap();
        assert_eq!(serde_json::from_slice::<Vec<LearningEvent>>(&spooled).unwrap(), expected.events);
    }

    #[test]
    fn a_message_to_the_tutor_says_what_it_cost_and_what_a_draw_decided() {
        let metadata = json!({"conversation": 12, "latency": 1.23456, "cost": 0.000_212_34, "answer_leaked": false,
            "abusive": true, "handed_over": false, "withheld": false, "withhold_share": 0.2});
        let message =
            json!({"event_type": "tutor_message", "user_id": "7", "course_id": "rust", "metadata": metadata});
        let received = read(&message);
        assert_eq!(received.refused, []);
        let expected = Metadata {
            conversation: Some("12".to_owned()),
            latency: Some(1.235),
            cost: Some(0.000_212),
            answer_leaked: Some(false),
            abusive: Some(true),
            handed_over: Some(false),
            withheld: Some(false),
            withhold_share: Some(0.2),
            ..Metadata::default()
        };
        assert_eq!(received.events[0].metadata, expected);
    }

    #[test]
    fn what_is_wrong_is_named_and_costs_nothing_else() {
        for (field, value, named, reason) in [
            ("event_type", json!("lesson"), "event_type", "must be one of lesson_start,"),
            ("user_id", json!(null), "user_id", "is missing"),
            ("course_id", json!("x".repeat(201)), "course_id", "has 201 bytes"),
            ("course_id", json!("a\u{0}b"), "course_id", "has control characters"),
            ("exercise_id", json!(""), "exercise_id", "is missing"),
            ("skills", json!("loops"), "skills", "must be an array"),
            ("metadata", json!({"score": 101}), "metadata.score", "must be from 0 to 100"),
            ("metadata", json!({"duration": "1"}), "metadata.duration", "must be a number"),
            ("metadata", json!({}), "metadata.success", "is missing"),
            ("metadata", json!({"latency": -1}), "metadata.latency", "must be from 0 to 86400"),
            ("metadata", json!({"cost": "2"}), "metadata.cost", "must be a number"),
            ("metadata", json!({"conversation": "x".repeat(201)}), "metadata.conversation", "has 201 bytes"),
            ("metadata", json!({"withheld": "no"}), "metadata.withheld", "must be true or false"),
            (
                "metadata",
                json!({"withhold_share": 1}),
                "metadata.withhold_share",
                "must be from 0.01 to 0.99",
            ),
            ("metadata", json!([]), "metadata", "must be an object"),
            ("timestamp", json!("yesterday"), "timestamp", "must be an instant"),
            ("timestamp", json!("2026-11-30T12:00:00Z"), "timestamp", "is more than a day ahead"),
            ("timestamp", json!(12), "timestamp", "is before 2000"),
            ("location", json!({"country": 1.5, "region": {}}), "location.region", "must be a text"),
        ] {
            let mut event = attempt();
            event[field] = value;
            let received = read(&json!([attempt(), event, 5]));
            assert_eq!(received.events.len(), 1, "{field}");
            let refused = &received.refused[0];
            assert_eq!((refused.index, refused.field.as_str()), (1, named), "{field}");
            assert!(refused.reason.starts_with(reason), "{field}: {}", refused.reason);
            assert_eq!(received.refused[1].reason, "is not an object");
        }
    }

    #[test]
    fn a_request_without_events_or_with_too_many_is_an_error() {
        for (body, expected) in [
            (json!(5), ReadError::NoEvents),
            (json!([]), ReadError::NoEvents),
            (json!({"events": 5}), ReadError::NoEvents),
            (Value::Array(vec![attempt(); 1_001]), ReadError::TooMany(1_001)),
        ] {
            assert_eq!(read_events(body.to_string().as_bytes(), NOW), Err(expected));
        }
        assert!(matches!(read_events(b"{", NOW), Err(ReadError::NotJson(_))));
        assert_eq!(read(&Value::Array(vec![attempt(); 1_000])).events.len(), 1_000);
    }

    #[test]
    fn an_event_without_a_time_happened_now_and_milliseconds_are_understood() {
        let mut event = attempt();
        event.as_object_mut().unwrap().remove("timestamp");
        assert_eq!(read(&event).events[0].timestamp, NOW);
        event["timestamp"] = json!(1_795_867_199_000_u64);
        assert_eq!(read(&event).events[0].timestamp, "2026-11-28T11:59:59Z".parse().unwrap());
    }
}
