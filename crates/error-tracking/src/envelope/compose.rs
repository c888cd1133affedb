use serde_json::Value;

use super::{EventId, Item, Outline};

/// An item of an envelope that is being written.
#[derive(Debug, Clone, PartialEq)]
pub struct NewItem<'a> {
    /// Its headers beside the length, `type` among them: an object.
    pub headers: Value,
    /// Its payload, as it is.
    pub payload: &'a [u8],
}

/// Writes an envelope, for what arrives in another form.
#[must_use]
pub fn compose(event_id: EventId, items: Vec<NewItem<'_>>) -> Vec<u8> {
    let payloads: usize = items.iter().map(|item| item.payload.len() + 512).sum();
    let mut body = Vec::with_capacity(payloads);
    body.extend_from_slice(format!("{{\"event_id\":\"{event_id}\"}}\n").as_bytes());
    for mut item in items {
        if let Value::Object(headers) = &mut item.headers {
            headers.insert("length".to_owned(), item.payload.len().into());
        }
        body.extend_from_slice(item.headers.to_string().as_bytes());
        body.push(b'\n');
        body.extend_from_slice(item.payload);
        body.push(b'\n');
    }
    body
}

/// The same envelope with only those items that `keeps` says; `outline` is that of `body`. Items beyond the most of
/// an outline are gone.
#[must_use]
pub fn keep_items(body: &[u8], outline: &Outline, keeps: impl Fn(&Item) -> bool) -> Vec<u8> {
    let head = memchr::memchr(b'\n', body).unwrap_or(body.len());
    let mut kept = Vec::with_capacity(body.len());
    kept.extend_from_slice(&body[..head]);
    kept.push(b'\n');
    for item in outline.items.iter().filter(|item| keeps(item)) {
        for part in [&item.headers, &item.payload] {
            kept.extend_from_slice(body.get(part.clone()).unwrap_or_default());
            kept.push(b'\n');
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::envelope::parse_outline;

    fn parts(body: &[u8]) -> Vec<(String, &[u8])> {
        let outline = parse_outline(body).unwrap();
        outline.items.iter().map(|item| (item.kind.clone(), &body[item.payload.clone()])).collect()
    }

    #[test]
    fn what_is_composed_is_read_as_it_was_meant() {
        let event_id: EventId = "3a60e31ab5474d65aaf86eedefe7d501".parse().unwrap();
        let items = vec![
            NewItem { headers: json!({"type": "attachment", "filename": "a\nb"}), payload: b"line\nline\n" },
            NewItem { headers: json!({"type": "user_report"}), payload: b"{}" },
        ];
        let body = compose(event_id, items);
        assert_eq!(parse_outline(&body).unwrap().event_id, Some(event_id));
        assert_eq!(
            parts(&body),
            [("attachment".to_owned(), &b"line\nline\n"[..]), ("user_report".to_owned(), b"{}")]
        );
    }

    #[test]
    fn dropped_items_leave_the_others_as_they_were() {
        let body = "{\"event_id\":\"3a60e31ab5474d65aaf86eedefe7d501\",\"sent_at\":\"2026-11-23T12:26:37.781Z\"}\n\
                    {\"type\":\"event\"}\n{\"x\":1}\n\n{\"type\":\"attachment\",\"length\":3}\na\nb\n\
                    {\"type\":\"check_in\",\"length\":1}\n{\"ä\":1}\n{\"type\":\"session\"}\n{}";
        let outline = parse_outline(body.as_bytes()).unwrap();
        let kept = keep_items(body.as_bytes(), &outline, |item| item.kind != "event");
        let again = parse_outline(&kept).unwrap();
        assert_eq!((again.event_id, again.sent_at), (outline.event_id, outline.sent_at));
        assert_eq!(
            parts(&kept),
            [
                ("attachment".to_owned(), &b"a\nb"[..]),
                ("check_in".to_owned(), "{\"ä\":1}".as_bytes()),
                ("session".to_owned(), b"{}")
            ]
        );
    }
}
