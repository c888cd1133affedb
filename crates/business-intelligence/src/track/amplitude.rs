//! Amplitude's HTTP API, version 2. No I/O.
//!
//! Source: Amplitude's documentation, "HTTP V2 API".

use belvedere_storage::Timestamp;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::event::{AnalyticsEvent, Context, EventKind, Page, WORD_BYTES_MAX, Wrong, corrected, wrong};
use super::read::{ReadError, Received, take_object, take_text, take_time, time_of, word};

/// The most bytes of an event and of a request.
pub const AMPLITUDE_BYTES_MAX: usize = 1 << 20;

/// What the clients call a visit that none is.
const NO_SESSION: &str = "-1";

#[derive(Deserialize)]
struct Frame<'a> {
    #[serde(default)]
    api_key: Option<String>,
    #[serde(borrow, default)]
    events: Option<Vec<&'a RawValue>>,
    #[serde(default)]
    client_upload_time: Option<Value>,
}

/// Reads the body of a request: `{"api_key", "events": [..]}`.
///
/// # Errors
/// [`ReadError`] when there are no events to be judged one by one.
pub fn read_amplitude(body: &[u8], received_at: Timestamp) -> Result<Received, ReadError> {
    if body.len() > AMPLITUDE_BYTES_MAX {
        return Err(ReadError::TooLarge { bytes: body.len(), bytes_max: AMPLITUDE_BYTES_MAX });
    }
    let frame: Frame<'_> = serde_json::from_slice(body)?;
    let items = frame.events.ok_or(ReadError::NoBatch)?;
    let sent_at = frame.client_upload_time.and_then(|value| time_of("client_upload_time", &value).ok());
    let received = Received::read(&items, AMPLITUDE_BYTES_MAX, received_at, |item| {
        read_item(item, sent_at, received_at).map(Some)
    })?;
    Ok(Received { key: frame.api_key, ..received })
}

fn read_item(
    mut item: Map<String, Value>,
    sent_at: Option<Timestamp>,
    received_at: Timestamp,
) -> Result<AnalyticsEvent, Wrong> {
    let name = take_text(&mut item, "event_type")?.ok_or_else(|| wrong("event_type", "is missing"))?;
    let original = take_time(&mut item, "time")?;
    let timestamp = original.map_or(received_at, |at| corrected(received_at, sent_at, at));
    let mut event = AnalyticsEvent {
        message_id: take_text(&mut item, "insert_id")?.unwrap_or_default(),
        user_id: take_text(&mut item, "user_id")?,
        anonymous_id: take_text(&mut item, "device_id")?,
        session_id: take_text(&mut item, "session_id")?.filter(|session| session != NO_SESSION),
        properties: take_object(&mut item, "event_properties")?,
        ..AnalyticsEvent::new(EventKind::Track, timestamp)
    };
    let traits = take_object(&mut item, "user_properties")?;
    match name.as_str() {
        "$identify" => {
            event.kind = EventKind::Identify;
            event.traits = traits_of(traits);
        }
        "$groupidentify" => {
            event.kind = EventKind::Group;
            let mut groups = take_object(&mut item, "groups")?.into_iter();
            if let Some((kind, group)) = groups.next() {
                event.group_id =
                    group.as_str().map(str::to_owned).or_else(|| group.as_i64().map(|it| it.to_string()));
                event.properties.insert("group_type".to_owned(), kind.into());
            }
            event.traits = traits_of(take_object(&mut item, "group_properties")?);
        }
        _ => event.name = name,
    }
    for (field, property) in [("price", "value"), ("revenue", "revenue"), ("quantity", "quantity")] {
        if let Some(amount) = item.remove(field).filter(Value::is_number) {
            event.properties.entry(property).or_insert(amount);
        }
    }
    event.context = read_context(&mut event.properties, &item);
    Ok(event)
}

/// `{"$set": {..}, "$setOnce": {..}, "$add": {..}}`, or the properties themselves.
fn traits_of(mut said: Map<String, Value>) -> Map<String, Value> {
    let mut traits = Map::new();
    for operation in ["$setOnce", "$set"] {
        if let Some(Value::Object(set)) = said.remove(operation) {
            traits.extend(set);
        }
    }
    traits.extend(said.into_iter().filter(|(name, _)| !name.starts_with('$')));
    traits
}

fn read_context(properties: &mut Map<String, Value>, item: &Map<String, Value>) -> Context {
    let of = |field: &str| word(item, field, WORD_BYTES_MAX);
    let mut page = |field: &str| {
        let text = word(properties, field, super::event::ADDRESS_BYTES_MAX);
        properties.remove(field);
        text
    };
    Context {
        ip: of("ip").filter(|ip| ip != "$remote"),
        user_agent: of("user_agent"),
        os: of("os_name").filter(|_| of("platform").as_deref() != Some("Node.js")),
        country: of("country"),
        page: Page {
            url: page("[Amplitude] Page URL").or_else(|| page("[Amplitude] Page Location")),
            path: page("[Amplitude] Page Path"),
            title: page("[Amplitude] Page Title"),
            referrer: None,
        },
        locale: of("language"),
        library: of("library"),
        ..Context::default()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// 2026-11-28T12:00:00Z
    const NOW: Timestamp = Timestamp::from_micros(1_795_867_200_000_000);

    fn read(events: Value) -> Received {
        let body = json!({"api_key": "k", "events": events}).to_string();
        read_amplitude(body.as_bytes(), NOW).unwrap()
    }

    #[test]
    fn events_identities_and_groups_are_read() {
        let received = read(json!([
            {"event_type": "Order Completed", "user_id": "ada", "device_id": "v1", "time": 1_795_867_195_000_i64,
                "insert_id": "i1", "session_id": 1_795_867_000_000_i64, "revenue": 19.5, "language": "de",
                "event_properties": {"currency": "EUR", "[Amplitude] Page Path": "/pay"}, "library": "amplitude-ts/2"},
            {"event_type": "$identify", "user_id": "ada", "device_id": "v1",
                "user_properties": {"$set": {"plan": "pro"}, "$setOnce": {"plan": "free", "first": 1}, "$add": {"n": 1}}},
            {"event_type": "$groupidentify", "device_id": "v1", "groups": {"company": "acme"},
                "group_properties": {"$set": {"seats": 4}}},
            {"event_type": "Opened", "device_id": "v1", "session_id": -1},
        ]));
        assert_eq!((received.key.as_deref(), &received.refused[..]), (Some("k"), &[][..]));
        let [order, identify, group, opened] = &received.events[..] else { panic!("four events") };
        assert_eq!(order.timestamp.to_string(), "2026-11-28T11:59:55Z");
        assert_eq!(order.session_id.as_deref(), Some("1795867000000"));
        assert_eq!(Value::Object(order.properties.clone()), json!({"currency": "EUR", "revenue": 19.5}));
        assert_eq!(order.context.page.path.as_deref(), Some("/pay"));
        assert_eq!(order.context.library.as_deref(), Some("amplitude-ts/2"));
        assert_eq!((order.user_id.as_deref(), order.anonymous_id.as_deref()), (Some("ada"), Some("v1")));
        assert_eq!(Value::Object(identify.traits.clone()), json!({"plan": "pro", "first": 1}));
        assert_eq!(identify.kind, EventKind::Identify);
        assert_eq!((group.kind, group.group_id.as_deref()), (EventKind::Group, Some("acme")));
        assert_eq!(Value::Object(group.traits.clone()), json!({"seats": 4}));
        assert_eq!((opened.session_id.as_deref(), opened.user_id.as_deref()), (None, None));
    }

    #[test]
    fn what_is_wrong_is_named_and_costs_nothing_else() {
        let received = read(json!([
            {"event_type": "A", "user_id": "ada"}, {"user_id": "ada"}, {"event_type": "A"},
            {"event_type": "A", "user_id": "ada", "time": "soon"},
        ]));
        assert_eq!(received.events.len(), 1);
        let refused: Vec<String> =
            received.refused.iter().map(|it| format!("{} {} {}", it.index, it.field, it.reason)).collect();
        assert_eq!(
            refused,
            [
                "1 event_type is missing",
                "2 userId is missing, and so is anonymousId",
                "3 time must be an instant such as 2026-11-28T12:00:00Z",
            ]
        );
        assert_eq!(read_amplitude(b"{}", NOW), Err(ReadError::NoBatch));
    }
}
