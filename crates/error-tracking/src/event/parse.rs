use std::borrow::Cow;
use std::fmt::{Formatter, Result as FormatResult};

use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

use super::InvalidEvent;

/// The largest event, in bytes of JSON (the limit of Sentry's own ingestion).
pub(crate) const EVENT_BYTES_MAX: usize = 1 << 20;

/// The largest of the parts of some JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Extent {
    /// How deeply lists and objects nest, the outermost counted.
    pub(crate) depth: usize,
    /// The most entries of a list or an object.
    pub(crate) entries: usize,
    /// The longest key, in bytes.
    pub(crate) key_bytes: usize,
    /// The longest string that is no key, in bytes.
    pub(crate) string_bytes: usize,
}

/// Reads an event's JSON, with patience for two faults of real clients: halves of surrogate pairs (JavaScript cuts
/// strings between them) and bytes that are not UTF-8.
///
/// # Errors
/// [`InvalidEvent`] when even so it is not JSON, or it is too large.
pub(crate) fn parse_event(bytes: &[u8]) -> Result<Value, InvalidEvent> {
    parse_measured(bytes).map(|(event, _)| event)
}

/// The same, and how large the parts of the event are.
///
/// # Errors
/// As [`parse_event`].
pub(crate) fn parse_measured(bytes: &[u8]) -> Result<(Value, Extent), InvalidEvent> {
    if bytes.len() > EVENT_BYTES_MAX {
        return Err(InvalidEvent::TooLarge { limit: EVENT_BYTES_MAX });
    }
    // Checked at once, which is much faster than string by string, and by what is fastest for text without faults.
    let text = str::from_utf8(bytes).map_or_else(|_| String::from_utf8_lossy(bytes), Cow::Borrowed);
    let error = match measure(&text) {
        Ok(measured) => return Ok(measured),
        Err(error) => error,
    };
    let text = text.into_owned();
    measure(&without_lone_surrogates(text))
        .map_err(|_| InvalidEvent::Json { line: error.line(), column: error.column() })
}

fn measure(json: &str) -> serde_json::Result<(Value, Extent)> {
    let mut extent = Extent::default();
    let mut deserializer = serde_json::Deserializer::from_str(json);
    let value = Measure { extent: &mut extent, depth: 1 }.deserialize(&mut deserializer)?;
    deserializer.end()?;
    Ok((value, extent))
}

/// Builds a value as [`Value`] builds itself, and measures it on the way.
struct Measure<'e> {
    extent: &'e mut Extent,
    depth: usize,
}

impl Measure<'_> {
    fn inner(&mut self) -> Measure<'_> {
        Measure { extent: self.extent, depth: self.depth + 1 }
    }

    fn note_container(&mut self, entries: usize) {
        self.extent.depth = self.extent.depth.max(self.depth);
        self.extent.entries = self.extent.entries.max(entries);
    }
}

impl<'de> DeserializeSeed<'de> for Measure<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Measure<'_> {
    type Value = Value;

    fn expecting(&self, formatter: &mut Formatter<'_>) -> FormatResult {
        formatter.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, truth: bool) -> Result<Value, E> {
        Ok(Value::Bool(truth))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Value, E> {
        Ok(Value::Number(number.into()))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Value, E> {
        Ok(Value::Number(number.into()))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Value, E> {
        Ok(Number::from_f64(number).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E>(self, text: &str) -> Result<Value, E> {
        self.extent.string_bytes = self.extent.string_bytes.max(text.len());
        Ok(Value::String(text.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut entries: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(entry) = entries.next_element_seed(self.inner())? {
            list.push(entry);
        }
        self.note_container(list.len());
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut entries: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some(key) = entries.next_key::<String>()? {
            self.extent.key_bytes = self.extent.key_bytes.max(key.len());
            object.insert(key, entries.next_value_seed(self.inner())?);
        }
        self.note_container(object.len());
        Ok(Value::Object(object))
    }
}

/// Replaces `\uD800`..`\uDFFF` escapes that are not part of a pair by `\uFFFD`, which is as long.
fn without_lone_surrogates(text: String) -> String {
    let mut bytes = text.into_bytes();
    let mut at = 0;
    while let Some(offset) = memchr::memchr(b'\\', &bytes[at..]) {
        let start = at + offset;
        at = start + 2;
        match surrogate_at(&bytes, start) {
            Some(0xD800..=0xDBFF) if matches!(surrogate_at(&bytes, start + 6), Some(0xDC00..=0xDFFF)) => {
                at = start + 12;
            }
            Some(0xD800..=0xDFFF) => {
                bytes[start + 2..start + 6].copy_from_slice(b"FFFD");
                at = start + 6;
            }
            _ => {}
        }
        if at >= bytes.len() {
            break;
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The code of a `\uXXXX` escape that begins at `start`.
fn surrogate_at(bytes: &[u8], start: usize) -> Option<u32> {
    let escape = bytes.get(start..start + 6)?;
    let digits = escape.strip_prefix(b"\\u")?;
    u32::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn halves_of_surrogate_pairs_and_bytes_outside_utf_8_are_replaced() {
        assert_eq!(
            parse_event(br#"{"a":"x\ud83d","b":"\ud83d\ude00","c":"\\ud83d"}"#).unwrap(),
            json!({
                "a": "x\u{fffd}", "b": "😀", "c": "\\ud83d"
            })
        );
        assert_eq!(parse_event(b"{\"a\":\"\xff\"}").unwrap(), json!({"a": "\u{fffd}"}));
    }

    #[test]
    fn the_largest_of_all_parts_are_measured() {
        let (_, extent) = parse_measured(br#"{"a":["xy",{"keys":"\u00e4b"}],"b":[[1,2,3,-4],{}]}"#).unwrap();
        assert_eq!(extent, Extent { depth: 3, entries: 4, key_bytes: 4, string_bytes: 3 });
        assert_eq!(parse_measured(b"7").unwrap().1, Extent::default());
    }

    #[test]
    fn what_is_not_json_says_where() {
        assert_eq!(parse_event(b"{\"a\":\n nope}"), Err(InvalidEvent::Json { line: 2, column: 3 }));
        let deep = [vec![b'['; 200], vec![b']'; 200]].concat();
        assert_eq!(parse_event(&deep), Err(InvalidEvent::Json { line: 1, column: 128 }));
        assert_eq!(parse_event(&vec![b' '; (1 << 20) + 1]), Err(InvalidEvent::TooLarge { limit: 1 << 20 }));
    }

    fn json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<u64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            ".{0,6}".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 40, 6, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
                proptest::collection::btree_map(".{0,4}", inner, 0..6)
                    .prop_map(|object| Value::Object(object.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn what_is_measured_is_what_serde_json_reads(value in json()) {
            let text = value.to_string();
            prop_assert_eq!(parse_event(text.as_bytes()).unwrap(), serde_json::from_str::<Value>(&text).unwrap());
        }

        #[test]
        fn any_bytes_get_an_answer(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = parse_event(&bytes);
        }

        #[test]
        fn any_escapes_get_an_answer(text in r#"("|\\|u|d|D|8|3|c|0|\{|\}){0,40}"#) {
            let _ = parse_event(format!("\"{text}\"").as_bytes());
        }
    }
}
