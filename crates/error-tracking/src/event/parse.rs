use std::borrow::Cow;

use serde_json::Value;

use super::InvalidEvent;

/// The largest event, in bytes of JSON (the limit of Sentry's own ingestion).
pub(crate) const EVENT_BYTES_MAX: usize = 1 << 20;

/// Reads an event's JSON, with patience for two faults of real clients: halves of surrogate pairs (JavaScript cuts
/// strings between them) and bytes that are not UTF-8.
///
/// # Errors
/// [`InvalidEvent`] when even so it is not JSON, or it is too large.
pub(crate) fn parse_event(bytes: &[u8]) -> Result<Value, InvalidEvent> {
    if bytes.len() > EVENT_BYTES_MAX {
        return Err(InvalidEvent::TooLarge { limit: EVENT_BYTES_MAX });
    }
    // Checked at once, which is much faster than string by string, and by what is fastest for text without faults.
    let text = str::from_utf8(bytes).map_or_else(|_| String::from_utf8_lossy(bytes), Cow::Borrowed);
    let error = match serde_json::from_str(&text) {
        Ok(value) => return Ok(value),
        Err(error) => error,
    };
    let text = text.into_owned();
    serde_json::from_str(&without_lone_surrogates(text))
        .map_err(|_| InvalidEvent::Json { line: error.line(), column: error.column() })
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
    fn what_is_not_json_says_where() {
        assert_eq!(parse_event(b"{\"a\":\n nope}"), Err(InvalidEvent::Json { line: 2, column: 3 }));
        let deep = [vec![b'['; 200], vec![b']'; 200]].concat();
        assert_eq!(parse_event(&deep), Err(InvalidEvent::Json { line: 1, column: 128 }));
        assert_eq!(parse_event(&vec![b' '; (1 << 20) + 1]), Err(InvalidEvent::TooLarge { limit: 1 << 20 }));
    }

    proptest! {
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
