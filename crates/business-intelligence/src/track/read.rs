//! What the readers of all protocols share: requests of one or many events, and the fields of JSON. No I/O.

use std::collections::BTreeMap;

use belvedere_storage::Timestamp;
use serde::Serialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::event::{AnalyticsEvent, CATEGORIES_MAX, EVENTS_MAX, Wrong, cut, wrong};

/// Why nothing of a request can be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// The body is not the JSON that it should be.
    #[error("the body is not what it should be: {0}")]
    NotJson(String),
    /// There is no array of events where one should be.
    #[error("batch: must be an array of events")]
    NoBatch,
    /// There are more events than are taken at once.
    #[error("batch: there are {0} events, at most {EVENTS_MAX} are taken at once")]
    TooMany(usize),
    /// The body is larger than a request may be.
    #[error("the body has {bytes} bytes, at most {bytes_max} are allowed")]
    TooLarge {
        /// Its size.
        bytes: usize,
        /// The limit.
        bytes_max: usize,
    },
}

impl From<serde_json::Error> for ReadError {
    fn from(error: serde_json::Error) -> Self {
        Self::NotJson(error.to_string())
    }
}

/// An event that is left out, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Refused {
    /// Its place in the request, from 0.
    pub index: usize,
    /// The field at fault as the protocol calls it; empty if it is the event as a whole.
    pub field: &'static str,
    /// What is wrong with it, without its value.
    pub reason: String,
}

/// What a request brings.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Received {
    /// The key, where it stands in the body.
    pub key: Option<String>,
    /// Events that are taken; an id is empty where the client gave none.
    pub events: Vec<AnalyticsEvent>,
    /// Events that are left out.
    pub refused: Vec<Refused>,
}

impl Received {
    /// Reads events one by one, so that one that is wrong costs nothing else.
    pub(crate) fn read(
        items: &[&RawValue],
        item_bytes_max: usize,
        received_at: Timestamp,
        mut read: impl FnMut(Map<String, Value>) -> Result<Option<AnalyticsEvent>, Wrong>,
    ) -> Result<Self, ReadError> {
        if items.len() > EVENTS_MAX {
            return Err(ReadError::TooMany(items.len()));
        }
        let mut received = Self { events: Vec::with_capacity(items.len()), ..Self::default() };
        for (index, item) in items.iter().enumerate() {
            let event = object_of(item.get(), item_bytes_max)
                .and_then(&mut read)
                .and_then(|event| event.map(|event| event.check(received_at).map(|()| event)).transpose());
            match event {
                Ok(event) => received.events.extend(event),
                Err(Wrong { field, reason }) => received.refused.push(Refused { index, field, reason }),
            }
        }
        Ok(received)
    }
}

fn object_of(text: &str, bytes_max: usize) -> Result<Map<String, Value>, Wrong> {
    if text.len() > bytes_max {
        return Err(wrong("", super::event::too_long(text.len(), bytes_max)));
    }
    match serde_json::from_str(text) {
        Ok(Value::Object(object)) => Ok(object),
        Ok(_) => Err(wrong("", "is not an object")),
        // What nests too deep passes as raw text and fails here.
        Err(_) => Err(wrong("", "is not JSON that can be read")),
    }
}

/// A text; numbers are taken for texts, as many ids are numbers. None for nothing and for an empty text.
pub(crate) fn take_text(map: &mut Map<String, Value>, field: &'static str) -> Result<Option<String>, Wrong> {
    match map.remove(field) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text).filter(|text| !text.is_empty())),
        Some(Value::Number(number)) => Ok(Some(number.to_string())),
        Some(_) => Err(wrong(field, "must be a text")),
    }
}

/// An object; an empty one where there is none.
pub(crate) fn take_object(
    map: &mut Map<String, Value>,
    field: &'static str,
) -> Result<Map<String, Value>, Wrong> {
    match map.remove(field) {
        None | Some(Value::Null) => Ok(Map::new()),
        Some(Value::Object(object)) => Ok(object),
        Some(_) => Err(wrong(field, "must be an object")),
    }
}

/// An instant, or milliseconds since 1970.
pub(crate) fn take_time(
    map: &mut Map<String, Value>,
    field: &'static str,
) -> Result<Option<Timestamp>, Wrong> {
    map.remove(field).filter(|value| !value.is_null()).map(|value| time_of(field, &value)).transpose()
}

pub(crate) fn time_of(field: &'static str, value: &Value) -> Result<Timestamp, Wrong> {
    match value {
        Value::String(text) => instant(text),
        Value::Number(number) => number
            .as_f64()
            .filter(|millis| millis.abs() < 8.64e15)
            .map(|millis| Timestamp::from_micros((millis * 1_000.0) as i64)),
        _ => None,
    }
    .ok_or_else(|| wrong(field, "must be an instant such as 2026-11-28T12:00:00Z"))
}

/// RFC 3339, also without a zone, which is then UTC, as some Python clients write it.
fn instant(text: &str) -> Option<Timestamp> {
    let text = text.trim().replace(' ', "T");
    text.parse().or_else(|_| format!("{text}Z").parse()).ok()
}

/// A word of the context: cut where it is long, none where it is no word.
pub(crate) fn word(map: &Map<String, Value>, field: &str, bytes_max: usize) -> Option<String> {
    let text = match map.get(field)? {
        Value::String(text) => text.trim(),
        Value::Number(number) => return Some(number.to_string()),
        _ => return None,
    };
    (!text.is_empty()).then(|| cut(text, bytes_max))
}

/// The object of a field, to look at.
pub(crate) fn object<'a>(map: &'a Map<String, Value>, field: &str) -> Option<&'a Map<String, Value>> {
    map.get(field)?.as_object()
}

/// Consent by category, of `{"categoryPreferences": {category: true or false}}`.
pub(crate) fn consent(context: &Map<String, Value>) -> BTreeMap<String, bool> {
    let preferences = object(context, "consent").and_then(|consent| object(consent, "categoryPreferences"));
    let preferences = preferences.into_iter().flatten().take(CATEGORIES_MAX);
    preferences.filter_map(|(category, value)| Some((cut(category, 100), value.as_bool()?))).collect()
}
