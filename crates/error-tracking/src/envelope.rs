//! The framing of Sentry envelopes: one line of JSON headers, then items, each one line of JSON headers and a payload.
//!
//! Format: <https://develop.sentry.dev/sdk/foundations/transport/envelopes/>. An item with `length` has exactly so
//! many bytes; one without ends at the next line feed. Types are kept as they are: what is not known yet must be
//! answered with success. A damaged item never costs the others.

mod compose;

use std::ops::Range;

use belvedere_storage::Timestamp;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::Value;

pub use self::compose::{NewItem, compose, keep_items};
pub use crate::encoding::{DecodeError, decode_body, gunzip_at_once};
pub use crate::event_id::{EventId, ParseEventIdError};

use crate::timestamp::parse_timestamp;

/// The most items of one envelope that are looked at.
pub const ITEMS_MAX: usize = 1_000;

/// The longest line of headers, in bytes.
pub const HEADER_LINE_BYTES_MAX: usize = 64 << 10;

/// The longest item type that is kept, in bytes.
const KIND_BYTES_MAX: usize = 64;

/// What an envelope holds, and where; made without looking into the payloads.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Outline {
    /// The event that the items belong to, if the headers name a valid one.
    pub event_id: Option<EventId>,
    /// The DSN, as tunnelled envelopes carry it.
    pub dsn: Option<String>,
    /// The client's clock at sending.
    pub sent_at: Option<Timestamp>,
    /// The items in their order; at most [`ITEMS_MAX`].
    pub items: Vec<Item>,
    /// How many more items there were.
    pub items_left_out: u64,
}

/// One item of an envelope.
#[derive(Debug, Clone, PartialEq)]
pub struct Item {
    /// Its type, cut to 64 bytes; empty if its headers cannot be read.
    pub kind: String,
    /// Where its line of headers lies in the body.
    pub headers: Range<usize>,
    /// Where its payload lies in the body.
    pub payload: Range<usize>,
    /// How many things a container holds, if it says so.
    pub item_count: Option<u64>,
    /// What is wrong with its framing.
    pub problem: Option<ItemProblem>,
}

/// What can be wrong with the framing of one item.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ItemProblem {
    /// Its line of headers is not a JSON object with a type, or too long.
    Headers,
    /// It announces more bytes than there are.
    Truncated,
}

/// Why bytes are not an envelope at all.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum EnvelopeError {
    /// There is nothing.
    #[error("envelope is empty")]
    Empty,
    /// The first line is too long to be headers.
    #[error("envelope headers are longer than {HEADER_LINE_BYTES_MAX} bytes")]
    HeadersTooLong,
    /// The first line is not JSON.
    #[error("envelope headers are not a JSON object (column {column})")]
    Headers {
        /// Where reading stopped, from 1.
        column: usize,
    },
}

#[derive(Deserialize)]
struct EnvelopeHeaders {
    event_id: Option<Value>,
    dsn: Option<Value>,
    sent_at: Option<Value>,
}

#[derive(Deserialize)]
struct ItemHeaders {
    #[serde(rename = "type")]
    kind: String,
    length: Option<u64>,
    item_count: Option<Value>,
}

/// Finds the parts of an envelope.
///
/// # Errors
/// [`EnvelopeError`] only if the first line cannot be the headers of an envelope.
pub fn parse_outline(body: &[u8]) -> Result<Outline, EnvelopeError> {
    if body.is_empty() {
        return Err(EnvelopeError::Empty);
    }
    let end = line_end(body, 0);
    if end > HEADER_LINE_BYTES_MAX {
        return Err(EnvelopeError::HeadersTooLong);
    }
    let headers: EnvelopeHeaders =
        read_object(&body[..end]).map_err(|error| EnvelopeError::Headers { column: error.column() })?;
    let mut outline = Outline {
        event_id: headers.event_id.as_ref().and_then(Value::as_str).and_then(|id| id.parse().ok()),
        dsn: headers.dsn.as_ref().and_then(Value::as_str).map(str::to_owned),
        sent_at: headers.sent_at.as_ref().and_then(parse_timestamp),
        ..Outline::default()
    };
    let mut position = end + 1;
    while position < body.len() {
        let start = position;
        let end = line_end(body, start);
        position = end + 1;
        if body[start..end].iter().all(u8::is_ascii_whitespace) {
            continue;
        }
        let (item, next) = item_after(body, start..end, position.min(body.len()));
        position = next;
        if outline.items.len() < ITEMS_MAX {
            outline.items.push(item);
        } else {
            outline.items_left_out += 1;
        }
    }
    Ok(outline)
}

/// The event id that an answer should name: that of the headers, else that of the first item that is an event of
/// any kind; `None` if there is none of either.
#[must_use]
pub fn find_event_id(body: &[u8], outline: &Outline) -> Option<EventId> {
    if outline.event_id.is_some() {
        return outline.event_id;
    }
    let item = outline.items.iter().find(|item| has_event_id(&item.kind))?;
    find_event_id_of_payload(body.get(item.payload.clone())?)
}

/// The event id inside an event's JSON, read without keeping the rest.
#[must_use]
pub fn find_event_id_of_payload(payload: &[u8]) -> Option<EventId> {
    #[derive(Deserialize)]
    struct OnlyId {
        event_id: Option<Value>,
    }
    let only: OnlyId = serde_json::from_slice(payload).ok()?;
    only.event_id?.as_str()?.parse().ok()
}

/// Whether items of this type are events, which must have an id.
#[must_use]
pub fn has_event_id(kind: &str) -> bool {
    matches!(kind, "event" | "transaction" | "feedback" | "security")
}

/// Reads the headers at `place` and finds the payload that begins at `start`; also where the next line begins.
fn item_after(body: &[u8], place: Range<usize>, start: usize) -> (Item, usize) {
    let line = &body[place.clone()];
    let headers =
        if line.len() > HEADER_LINE_BYTES_MAX { None } else { read_object::<ItemHeaders>(line).ok() };
    let Some(headers) = headers else {
        // Where the payload ends is unknown: assume the next line feed, as for most items.
        let end = line_end(body, start);
        let item = Item {
            kind: String::new(),
            headers: place,
            payload: start..end,
            item_count: None,
            problem: Some(ItemProblem::Headers),
        };
        return (item, end + 1);
    };
    let (end, problem) = match headers.length {
        None => (line_end(body, start), None),
        Some(length) => match usize::try_from(length).ok().and_then(|length| start.checked_add(length)) {
            Some(end) if end < body.len() && body[end] != b'\n' => {
                // Some clients count characters instead of bytes. The payload goes on to the end of its line.
                (line_end(body, end), None)
            }
            Some(end) if end <= body.len() => (end, None),
            _ => (body.len(), Some(ItemProblem::Truncated)),
        },
    };
    let mut kind = headers.kind;
    kind.truncate(kind.floor_char_boundary(KIND_BYTES_MAX));
    let item_count = headers.item_count.as_ref().and_then(Value::as_u64);
    (Item { kind, headers: place, payload: start..end, item_count, problem }, end + 1)
}

/// Where the line that begins at `start` ends: its line feed, or the end of the body.
fn line_end(body: &[u8], start: usize) -> usize {
    memchr::memchr(b'\n', &body[start..]).map_or(body.len(), |offset| start + offset)
}

/// Reads a JSON object; serde would take an array for a struct as well.
fn read_object<'a, T: Deserialize<'a>>(line: &'a [u8]) -> Result<T, serde_json::Error> {
    if line.trim_ascii_start().first() != Some(&b'{') {
        let error = serde_json::from_slice::<IgnoredAny>(line).err();
        return Err(error.unwrap_or_else(|| serde::de::Error::custom("not an object")));
    }
    serde_json::from_slice(line)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parts(body: &str) -> Vec<(String, String)> {
        let outline = parse_outline(body.as_bytes()).unwrap();
        outline.items.iter().map(|item| (item.kind.clone(), body[item.payload.clone()].to_owned())).collect()
    }

    fn part(kind: &str, payload: &str) -> (String, String) {
        (kind.to_owned(), payload.to_owned())
    }

    #[test]
    fn headers_may_be_empty_and_ids_may_have_hyphens() {
        assert_eq!(parse_outline(b"{}\n").unwrap(), Outline::default());
        let outline = parse_outline(
            br#"{"event_id":"3a60e31a-b547-4d65-aaf8-6eedefe7d501","dsn":"http://k@h/1","sent_at":"2026-11-23T12:26:37.781Z","trace":{"a":[1]}}"#,
        )
        .unwrap();
        assert_eq!(outline.event_id.unwrap().to_string(), "3a60e31ab5474d65aaf86eedefe7d501");
        assert_eq!(outline.dsn.as_deref(), Some("http://k@h/1"));
        assert_eq!(outline.sent_at.unwrap().to_string(), "2026-11-23T12:26:37.781Z");
    }

    #[test]
    fn payloads_end_where_their_length_says_or_at_the_line_feed() {
        let body = "{}\n{\"type\":\"attachment\",\"length\":7}\na\nb\n\nc\n\n\n\n{\"type\":\"event\"}\n{\"x\":1}\n{\"type\":\"session\"}\n{}";
        assert_eq!(
            parts(body),
            [part("attachment", "a\nb\n\nc\n"), part("event", "{\"x\":1}"), part("session", "{}")]
        );
    }

    #[test]
    fn empty_payloads_and_a_missing_final_line_feed_are_legal() {
        assert_eq!(
            parts("{}\n{\"type\":\"a\",\"length\":0}\n\n{\"type\":\"b\"}\n\n{\"type\":\"c\"}"),
            [part("a", ""), part("b", ""), part("c", "")]
        );
    }

    #[test]
    fn a_damaged_item_does_not_cost_the_others() {
        let body = b"{}\n{\"type\":7}\npayload\n{\"type\":\"event\"}\n{}\n{\"type\":\"attachment\",\"length\":99}\nshort";
        let outline = parse_outline(body).unwrap();
        let seen: Vec<_> = outline.items.iter().map(|item| (item.kind.as_str(), item.problem)).collect();
        assert_eq!(
            seen,
            [("", Some(ItemProblem::Headers)), ("event", None), ("attachment", Some(ItemProblem::Truncated))]
        );
    }

    #[test]
    fn a_length_that_ends_within_a_line_is_extended_to_its_end() {
        assert_eq!(
            parts("{}\n{\"type\":\"event\",\"length\":3}\n{\"ä\":1}\n{\"type\":\"b\"}\n1"),
            [part("event", "{\"ä\":1}"), part("b", "1")]
        );
    }

    #[test]
    fn what_is_no_envelope_says_where() {
        assert_eq!(parse_outline(b""), Err(EnvelopeError::Empty));
        assert_eq!(parse_outline(b"[]\n"), Err(EnvelopeError::Headers { column: 0 }));
        assert_eq!(parse_outline(b"{\"a\":\n"), Err(EnvelopeError::Headers { column: 5 }));
        let long = format!("{{\"a\":\"{}\"}}", "x".repeat(HEADER_LINE_BYTES_MAX));
        assert_eq!(parse_outline(long.as_bytes()), Err(EnvelopeError::HeadersTooLong));
    }

    #[test]
    fn items_beyond_the_limit_are_counted_only() {
        let body = format!("{{}}\n{}", "{\"type\":\"session\"}\n{}\n".repeat(1_003));
        let outline = parse_outline(body.as_bytes()).unwrap();
        assert_eq!((outline.items.len(), outline.items_left_out), (1_000, 3));
    }

    #[test]
    fn an_event_id_is_found_in_the_payload_when_the_headers_have_none() {
        let body =
            b"{}\n{\"type\":\"event\"}\n{\"a\":[{}],\"event_id\":\"3a60e31ab5474d65aaf86eedefe7d501\"}";
        let outline = parse_outline(body).unwrap();
        let id = find_event_id(body, &outline).unwrap();
        assert_eq!(id.to_string(), "3a60e31ab5474d65aaf86eedefe7d501");
        let session = b"{}\n{\"type\":\"session\"}\n{}";
        assert_eq!(find_event_id(session, &parse_outline(session).unwrap()), None);
    }

    /// Bytes that look enough like envelopes to get past the first line.
    fn envelope_like() -> impl Strategy<Value = Vec<u8>> {
        let piece = prop_oneof![
            Just(b"{}".to_vec()),
            Just(b"\n".to_vec()),
            Just(b"{\"type\":\"event\"}".to_vec()),
            (0..40_u64).prop_map(|length| format!("{{\"type\":\"a\",\"length\":{length}}}").into_bytes()),
            Just(format!("{{\"type\":\"b\",\"length\":{}}}", u64::MAX).into_bytes()),
            proptest::collection::vec(any::<u8>(), 0..20),
        ];
        proptest::collection::vec(piece, 0..30)
            .prop_map(|pieces| [b"{}\n".to_vec(), pieces.concat()].concat())
    }

    proptest! {
        #[test]
        fn any_bytes_get_an_answer(body in proptest::collection::vec(any::<u8>(), 0..500)) {
            if let Ok(outline) = parse_outline(&body) {
                prop_assert!(find_event_id(&body, &outline).is_none());
            }
        }

        #[test]
        fn items_lie_within_the_body_in_order_and_apart(body in envelope_like()) {
            let outline = parse_outline(&body).unwrap();
            let mut end = 0;
            for item in &outline.items {
                prop_assert!(item.payload.start >= end && item.payload.end >= item.payload.start);
                prop_assert!(item.payload.end <= body.len() && item.kind.len() <= 64);
                end = item.payload.end;
            }
            let _ = find_event_id(&body, &outline);
        }

        #[test]
        fn framed_items_come_back_as_they_were(
            payloads in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..60), 0..20),
        ) {
            let mut body = b"{}\n".to_vec();
            for payload in &payloads {
                body.extend(format!("{{\"type\":\"attachment\",\"length\":{}}}\n", payload.len()).into_bytes());
                body.extend(payload);
                body.push(b'\n');
            }
            let outline = parse_outline(&body).unwrap();
            let found: Vec<_> = outline.items.iter().map(|item| body[item.payload.clone()].to_vec()).collect();
            prop_assert_eq!(found, payloads);
        }
    }
}
