//! What of an event is found by its words, beside title and place. No I/O.

use serde_json::Value;

use super::words::hash_of;

/// The most characters of messages, and of the rest.
const CHARS_MAX: usize = 2_000;

/// Text of an event that leads to its issue.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct EventText {
    /// The message and the values of all exceptions.
    pub(crate) message: String,
    /// The types of all exceptions, and the transaction.
    pub(crate) other: String,
    /// Of title and messages, without words that have digits.
    pub(crate) hash: i64,
}

impl EventText {
    /// The text of a scrubbed event in the stored shape.
    pub(crate) fn of(event: &Value, title: &str) -> Self {
        let (mut message, mut other) = (String::new(), String::new());
        if let Some(text) = event.get("logentry").and_then(|entry| entry.get("formatted")?.as_str()) {
            append(&mut message, text);
        }
        let exceptions = event.get("exception").and_then(|list| list.get("values")?.as_array());
        for exception in exceptions.map(Vec::as_slice).unwrap_or_default() {
            for (key, field) in [("value", &mut message), ("type", &mut other)] {
                if let Some(text) = exception.get(key).and_then(Value::as_str) {
                    append(field, text);
                }
            }
        }
        if let Some(text) = event.get("transaction").and_then(Value::as_str) {
            append(&mut other, text);
        }
        let hash = hash_of(&[title, &message]);
        Self { message, other, hash }
    }
}

fn append(field: &mut String, text: &str) {
    let room = CHARS_MAX.saturating_sub(field.len());
    if room == 0 {
        return;
    }
    if !field.is_empty() {
        field.push(' ');
    }
    field.push_str(&text[..text.floor_char_boundary(room)]);
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn messages_and_values_and_types_of_all_exceptions_are_text() {
        let event = json!({
            "transaction": "/checkout",
            "logentry": {"formatted": "gave up"},
            "exception": {"values": [{"type": "IoError", "value": "pipe closed"}, {"type": "Failed", "value": 7}]},
        });
        let text = EventText::of(&event, "Failed");
        assert_eq!(text.message, "gave up pipe closed");
        assert_eq!(text.other, "IoError Failed /checkout");
    }

    #[test]
    fn text_has_an_end() {
        let values: Vec<Value> = (0..100).map(|_| json!({"value": "ü".repeat(300)})).collect();
        let text = EventText::of(&json!({"exception": {"values": values}}), "");
        assert!(text.message.len() <= 2_001, "{}", text.message.len());
    }
}
