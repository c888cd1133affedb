//! Containers of log records as Sentry's SDKs send them.
//!
//! Source: <https://develop.sentry.dev/sdk/telemetry/logs/>: `{"version": 2, "items": [{timestamp, trace_id, level,
//! severity_number, body, attributes: {key: {value, type}}}]}`.

use belvedere_kernel::{Identity, ProjectId, ScrubRules};
use belvedere_storage::Timestamp;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use super::filter::parse_trace;
use super::model::LogLevel;
use crate::timestamp::{correct, parse_timestamp};

/// The most records of one delivery that are read.
pub(crate) const RECORDS_MAX: usize = 5_000;

/// The longest body that is kept, in characters.
const BODY_CHARS_MAX: usize = 8_192;

/// The most attributes of a record that are kept.
const ATTRIBUTES_MAX: usize = 100;

const KEY_CHARS_MAX: usize = 200;

/// The longest text of an attribute that is kept, in characters.
const VALUE_CHARS_MAX: usize = 2_048;

/// The longest release, environment or logger.
const WORD_CHARS_MAX: usize = 200;

/// Attributes that say who somebody is or where they are: read for the subject, never kept.
const PERSONAL: [&str; 9] = [
    "user.",
    "enduser.",
    "client.address",
    "client.port",
    "net.peer.ip",
    "net.sock.peer.addr",
    "network.peer.address",
    "http.client_ip",
    "user_agent.original",
];

/// A record as it arrived, in the common form of all protocols.
pub(super) struct Raw {
    pub(super) at: Option<Timestamp>,
    pub(super) level: LogLevel,
    pub(super) trace: Option<[u8; 16]>,
    pub(super) body: String,
    pub(super) attributes: Map<String, Value>,
}

/// A record that was read, scrubbed and cut to its limits.
pub(crate) struct ReadRecord {
    pub(crate) at: Timestamp,
    pub(crate) sequence: u64,
    pub(crate) level: LogLevel,
    pub(crate) trace: Option<[u8; 16]>,
    pub(crate) release: Option<String>,
    pub(crate) environment: Option<String>,
    pub(crate) logger: Option<String>,
    pub(crate) identity: Identity,
    pub(crate) body: String,
    pub(crate) attributes: Map<String, Value>,
}

/// What is known of the delivery that records came in.
#[derive(Clone, Copy)]
pub(crate) struct LogArrival<'a> {
    pub(crate) project: ProjectId,
    pub(crate) received_at: Timestamp,
    pub(crate) sent_at: Option<Timestamp>,
    pub(crate) rules: &'a dyn ScrubRules,
}

/// Reads the payload of an item `log`; how many of its records were no records. `None` if it is no container.
pub(crate) fn read_container(payload: &[u8], arrival: LogArrival<'_>) -> Option<(Vec<ReadRecord>, u64)> {
    let value: Value = serde_json::from_slice(payload).ok()?;
    let Value::Object(mut container) = value else { return None };
    let items = match container.remove("items") {
        Some(Value::Array(items)) => items,
        // Before containers an item was one record.
        None if container.contains_key("body") => vec![Value::Object(container)],
        _ => return None,
    };
    let count = items.len();
    let raws: Vec<Raw> = items.into_iter().take(RECORDS_MAX).filter_map(read_item).collect();
    let lost = (count - raws.len()) as u64;
    Some((finish(raws, arrival), lost))
}

fn read_item(item: Value) -> Option<Raw> {
    let Value::Object(mut item) = item else { return None };
    let body = match item.remove("body")? {
        Value::String(body) => body,
        other => other.to_string(),
    };
    let level = item.get("level").and_then(Value::as_str).and_then(LogLevel::parse);
    let severity = item.get("severity_number").and_then(Value::as_u64).and_then(LogLevel::of_severity);
    let mut attributes = Map::new();
    if let Some(Value::Object(typed)) = item.remove("attributes") {
        for (key, value) in typed.into_iter().take(2 * ATTRIBUTES_MAX) {
            let plain = match value {
                Value::Object(mut typed) if typed.contains_key("value") => {
                    typed.remove("value").unwrap_or_default()
                }
                other => other,
            };
            attributes.insert(key, plain);
        }
    }
    if let Some(Value::String(span)) = item.remove("span_id") {
        attributes.insert("span_id".to_owned(), Value::String(span));
    }
    Some(Raw {
        at: item.get("timestamp").and_then(parse_timestamp),
        level: level.or(severity).unwrap_or_default(),
        trace: item.get("trace_id").and_then(Value::as_str).and_then(parse_trace),
        body,
        attributes,
    })
}

/// Scrubs records, all at once, and takes apart what has a column of its own.
pub(super) fn finish(raws: Vec<Raw>, arrival: LogArrival<'_>) -> Vec<ReadRecord> {
    let mut heads = Vec::with_capacity(raws.len());
    let mut texts = Vec::with_capacity(raws.len());
    for mut raw in raws {
        let identity = take_identity(&mut raw.attributes);
        raw.attributes.retain(|key, _| !PERSONAL.iter().any(|personal| key.starts_with(personal)));
        heads.push((raw.at, raw.level, raw.trace, identity));
        texts.push(Value::Array(vec![Value::String(raw.body), Value::Object(raw.attributes)]));
    }
    let mut scrubbed = Value::Object(Map::from_iter([("logs".to_owned(), Value::Array(texts))]));
    arrival.rules.scrub(arrival.project, &mut scrubbed);
    let texts = match scrubbed.get_mut("logs") {
        Some(Value::Array(texts)) => std::mem::take(texts),
        _ => Vec::new(),
    };
    let records = heads.into_iter().zip(texts).enumerate();
    records
        .map(|(index, ((at, level, trace, identity), text))| {
            let (body, mut attributes) = parts_of(text);
            let take = |attributes: &mut Map<String, Value>, key: &str| match attributes.remove(key) {
                Some(Value::String(word)) if !word.is_empty() => Some(cut(&word, WORD_CHARS_MAX)),
                _ => None,
            };
            let release =
                take(&mut attributes, "sentry.release").or_else(|| take(&mut attributes, "service.version"));
            let environment = take(&mut attributes, "sentry.environment")
                .or_else(|| take(&mut attributes, "deployment.environment.name"))
                .or_else(|| take(&mut attributes, "deployment.environment"));
            let logger =
                take(&mut attributes, "logger.name").or_else(|| take(&mut attributes, "otel.scope.name"));
            let told = attributes.remove("sentry.timestamp.sequence").and_then(|value| value.as_u64());
            let at = correct(at, arrival.sent_at, arrival.received_at).at;
            let body = cut(&body, BODY_CHARS_MAX);
            let place = told.unwrap_or(0).min(0xffff) << 48 | (index as u64 & 0xffff) << 32;
            ReadRecord {
                at,
                sequence: place | fingerprint(&body, trace.as_ref(), arrival.received_at),
                level,
                trace,
                release,
                environment,
                logger,
                identity,
                body,
                attributes: within_limits(attributes),
            }
        })
        .collect()
}

fn parts_of(text: Value) -> (String, Map<String, Value>) {
    let Value::Array(parts) = text else { return (String::new(), Map::new()) };
    let mut parts = parts.into_iter();
    let body = match parts.next() {
        Some(Value::String(body)) => body,
        Some(other) => other.to_string(),
        None => String::new(),
    };
    match parts.next() {
        Some(Value::Object(attributes)) => (body, attributes),
        _ => (body, Map::new()),
    }
}

/// Who it is about, as far as the attributes tell.
fn take_identity(attributes: &mut Map<String, Value>) -> Identity {
    let mut take = |key: &str| match attributes.remove(key) {
        Some(Value::String(text)) => Some(cut(text.trim(), WORD_CHARS_MAX)).filter(|text| !text.is_empty()),
        Some(Value::Number(number)) => Some(number.to_string()),
        _ => None,
    };
    let name = take("user.full_name");
    Identity {
        id: take("user.id").or_else(|| take("enduser.id")),
        username: take("user.name"),
        email: take("user.email"),
        ip_address: take("user.ip_address"),
        name,
        ..Identity::default()
    }
}

fn within_limits(attributes: Map<String, Value>) -> Map<String, Value> {
    let short = |value| match value {
        Value::String(text) => Value::String(cut(&text, VALUE_CHARS_MAX)),
        Value::Array(_) | Value::Object(_) => Value::String(cut(&value_text(&value), VALUE_CHARS_MAX)),
        scalar => scalar,
    };
    let pairs = attributes.into_iter().take(ATTRIBUTES_MAX);
    pairs.map(|(key, value)| (cut(&key, KEY_CHARS_MAX), short(value))).collect()
}

fn value_text(value: &Value) -> String {
    value.to_string()
}

/// `text` without NUL, cut to so many characters, with an ellipsis if something was cut.
fn cut(text: &str, chars: usize) -> String {
    let mut cut: String = match text.char_indices().nth(chars) {
        Some((end, _)) => format!("{}\u{2026}", &text[..end]),
        None => text.to_owned(),
    };
    cut.retain(|c| c != '\0');
    cut
}

/// 32 bits that tell records apart which have time and place in common.
fn fingerprint(body: &str, trace: Option<&[u8; 16]>, received_at: Timestamp) -> u64 {
    let mut hash = Sha256::new();
    hash.update(received_at.as_micros().to_le_bytes());
    hash.update(trace.unwrap_or(&[0; 16]));
    hash.update(body.as_bytes());
    hash.finalize().iter().take(4).fold(0, |number, byte| number << 8 | u64::from(*byte))
}

#[cfg(test)]
mod tests {
    use belvedere_kernel::Removal;

    use super::*;

    /// Removes the attribute `token`.
    struct Rules;

    impl ScrubRules for Rules {
        fn scrub(&self, _: ProjectId, payload: &mut Value) -> Vec<Removal> {
            for log in payload["logs"].as_array_mut().unwrap() {
                if let Some(token) = log[1].get_mut("token") {
                    *token = "[removed]".into();
                }
            }
            Vec::new()
        }
    }

    fn read(payload: &str) -> Option<(Vec<ReadRecord>, u64)> {
        let received_at = "2026-11-23T12:30:00Z".parse().unwrap();
        let arrival = LogArrival { project: ProjectId(1), received_at, sent_at: None, rules: &Rules };
        read_container(payload.as_bytes(), arrival)
    }

    #[test]
    fn the_container_of_a_real_client_is_read() {
        let body = std::fs::read_to_string("../../tests/fixtures/sentry/browser_log.body").unwrap();
        let (records, lost) = read(body.lines().nth(2).unwrap()).unwrap();
        assert_eq!((records.len(), lost), (1, 0));
        let record = &records[0];
        assert_eq!((record.body.as_str(), record.level), ("checkout is slow", LogLevel::Warn));
        assert_eq!(record.at.to_string(), "2026-11-23T12:26:55.1789Z");
        assert_eq!(record.identity.id.as_deref(), Some("20117"));
        assert_eq!(
            (record.release.as_deref(), record.environment.as_deref()),
            (Some("storefront@4.1.0"), Some("production"))
        );
        let keys: Vec<_> = record.attributes.keys().map(String::as_str).collect();
        assert_eq!(keys, ["seconds", "sentry.sdk.name", "sentry.sdk.version"]);
        assert_eq!(record.trace.map(|trace| trace[0]), Some(0xa1));
    }

    #[test]
    fn records_are_scrubbed_and_cut_and_people_taken_out() {
        let long = "x".repeat(9_000);
        let payload = format!(
            r#"{{"items":[{{"body":"{long}","level":"CRITICAL","attributes":{{"token":"s3cret","client.address":"198.51.100.7",
            "user.email":"joan@example.com","list":[1,2],"plain":"yes","logger.name":"shop"}}}},7,{{"level":"info"}},
            {{"body":{{"a":1}},"severity_number":17}}]}}"#
        );
        let (records, lost) = read(&payload).unwrap();
        assert_eq!((records.len(), lost), (2, 2));
        assert_eq!(records[0].level, LogLevel::Fatal);
        assert_eq!(records[0].body.chars().count(), 8_193);
        assert_eq!(records[0].logger.as_deref(), Some("shop"));
        let attributes = Value::Object(records[0].attributes.clone()).to_string();
        assert_eq!(attributes, r#"{"list":"[1,2]","plain":"yes","token":"[removed]"}"#);
        assert_eq!((records[1].body.as_str(), records[1].level), (r#"{"a":1}"#, LogLevel::Error));
        assert_eq!(records[1].at.to_string(), "2026-11-23T12:30:00Z");
        assert!(records[0].sequence < records[1].sequence);
        assert!(read("[]").is_none() && read("{}").is_none() && read("x").is_none());
    }
}
