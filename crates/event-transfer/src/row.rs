//! From a row of any file to an event.

use belvedere_event_store::Event;
use belvedere_kernel::{Identity, SubjectId};
use belvedere_storage::Timestamp;
use serde_json::{Map, Value};

use crate::id;

/// A row as a file has it: names and values.
pub(crate) type Fields = Map<String, Value>;

/// An event, and whom it happened to as long as they are not known yet.
#[derive(Debug, PartialEq)]
pub(crate) struct Told {
    pub(crate) event: Event,
    /// The product's own id of a person.
    pub(crate) user: Option<Identity>,
}

/// The event of a row; `place` and `content` identify a row without an id.
pub(crate) fn read(fields: Fields, place: u64, content: &[u8]) -> Result<Told, String> {
    let mut event = Event::default();
    let (mut user, mut given, mut props, mut others) = (None, None, None, Fields::new());
    let mut has_time = false;
    for (name, value) in fields {
        if value.is_null() {
            continue;
        }
        match name.as_str() {
            "id" => given = text("id", value)?,
            "time" => {
                event.at = time(&value)?;
                has_time = true;
            }
            "name" => event.name = text("name", value)?.unwrap_or_default(),
            "subject" => event.subject = number("subject", &value, Value::as_i64)?.map(SubjectId),
            "user" => {
                let id = text("user", value)?;
                user = id.map(|id| Identity { id: Some(id), ..Identity::default() });
            }
            "value" => event.value = number("value", &value, Value::as_f64)?,
            "props" => props = object(value)?,
            _ => match place_of(&mut event, &name) {
                Some(place) => *place = text(&name, value)?,
                None => {
                    others.insert(name, value);
                }
            },
        }
    }
    if !has_time {
        return Err("time is missing".to_owned());
    }
    if event.subject.is_some() && user.is_some() {
        return Err("has both subject and user".to_owned());
    }
    others.extend(props.unwrap_or_default());
    if !others.is_empty() {
        event.props = Value::Object(others).to_string();
    }
    event.id = given.map_or_else(|| id::of_row(place, content), |given| id::given(&given));
    event.check(0).map_err(|error| {
        let error = error.to_string();
        error.strip_prefix("event 0: ").unwrap_or(&error).to_owned()
    })?;
    Ok(Told { event, user })
}

fn place_of<'a>(event: &'a mut Event, name: &str) -> Option<&'a mut Option<String>> {
    Some(match name {
        "session" => &mut event.session,
        "course" => &mut event.course,
        "lesson" => &mut event.lesson,
        "exercise" => &mut event.exercise,
        "country" => &mut event.country,
        "browser" => &mut event.browser,
        "os" => &mut event.os,
        "device" => &mut event.device,
        "referrer" => &mut event.referrer,
        "utm_source" => &mut event.utm_source,
        "plan" => &mut event.plan,
        _ => return None,
    })
}

fn text(field: &str, value: Value) -> Result<Option<String>, String> {
    match value {
        Value::String(text) => Ok(Some(text).filter(|text| !text.is_empty())),
        Value::Number(number) => Ok(Some(number.to_string())),
        _ => Err(format!("{field} is not a text")),
    }
}

/// A number, which a CSV file has as a text.
fn number<T>(field: &str, value: &Value, read: impl Fn(&Value) -> Option<T>) -> Result<Option<T>, String> {
    let wrong = || format!("{field} is not a number");
    match value {
        Value::String(text) if text.is_empty() => Ok(None),
        Value::String(text) => {
            let number = serde_json::from_str::<serde_json::Number>(text).map_err(|_| wrong())?;
            read(&Value::Number(number)).map(Some).ok_or_else(wrong)
        }
        value => read(value).map(Some).ok_or_else(wrong),
    }
}

/// RFC 3339, or whole microseconds since 1970 UTC.
fn time(value: &Value) -> Result<Timestamp, String> {
    let wrong =
        || "time is neither an instant such as 2026-11-28T12:00:00Z nor microseconds since 1970".to_owned();
    match value {
        Value::Number(number) => number.as_i64().map(Timestamp::from_micros).ok_or_else(wrong),
        Value::String(text) => match text.parse::<i64>() {
            Ok(micros) => Ok(Timestamp::from_micros(micros)),
            Err(_) => text.parse().map_err(|_| wrong()),
        },
        _ => Err(wrong()),
    }
}

/// A JSON object, or a text of one.
fn object(value: Value) -> Result<Option<Fields>, String> {
    let value = match value {
        Value::String(text) if text.is_empty() => return Ok(None),
        Value::String(text) => serde_json::from_str(&text).unwrap_or(Value::Null),
        value => value,
    };
    match value {
        Value::Object(object) => Ok(Some(object)),
        _ => Err("props is not a JSON object".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(json: &str) -> Result<Told, String> {
        read(serde_json::from_str(json).unwrap(), 1, b"row")
    }

    #[test]
    fn a_row_becomes_an_event() {
        let told =
            of(r#"{"id":"m1","time":"2026-11-28T12:00:00.5Z","name":"opened","user":"u7","course":"algebra",
            "value":"2.5","colour":"red","props":"{\"size\":3}","plan":null,"lesson":""}"#)
            .unwrap();
        assert_eq!(told.user.unwrap().id.as_deref(), Some("u7"));
        let mut expected =
            Event::new(id::given("m1"), "2026-11-28T12:00:00.5Z".parse().unwrap(), "opened".to_owned());
        expected.course = Some("algebra".to_owned());
        expected.value = Some(2.5);
        expected.props = r#"{"colour":"red","size":3}"#.to_owned();
        assert_eq!(told.event, expected);
        let micros = of(r#"{"time":1795867200000000,"name":"a","subject":"4"}"#).unwrap().event;
        assert_eq!(
            (micros.at.to_string().as_str(), micros.subject),
            ("2026-11-28T12:00:00Z", Some(SubjectId(4)))
        );
        assert_eq!(micros.id, id::of_row(1, b"row"));
    }

    #[test]
    fn what_is_wrong_is_named() {
        let why = |json: &str| of(json).unwrap_err();
        assert_eq!(why(r#"{"name":"a"}"#), "time is missing");
        assert!(why(r#"{"time":"yesterday","name":"a"}"#).starts_with("time is neither an instant"));
        assert_eq!(why(r#"{"time":1795867200000000}"#), "name is empty");
        assert_eq!(why(r#"{"time":1795867200000000,"name":"a","value":"much"}"#), "value is not a number");
        assert_eq!(
            why(r#"{"time":1795867200000000,"name":"a","props":"[1]"}"#),
            "props is not a JSON object"
        );
        assert_eq!(why(r#"{"time":1795867200000000,"name":"a","plan":[1]}"#), "plan is not a text");
        assert_eq!(
            why(r#"{"time":1795867200000000,"name":"a","subject":1,"user":"u"}"#),
            "has both subject and user"
        );
        assert!(why(r#"{"time":1,"name":"a"}"#).starts_with("time 1970-01-01T00:00:00"));
    }
}
