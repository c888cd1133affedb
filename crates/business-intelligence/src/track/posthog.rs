//! PostHog's capture API. No I/O.
//!
//! Source: PostHog's documentation, "capture API", and what its clients send. Properties whose names begin with `$` are the
//! clients' own; those that mean something here are read, some are kept as properties, and the others, among them the
//! device's id, are left out.

use belvedere_storage::Timestamp;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::event::{
    ADDRESS_BYTES_MAX, AnalyticsEvent, Campaign, Context, EventKind, Page, WORD_BYTES_MAX, Wrong, corrected,
    wrong,
};
use super::read::{ReadError, Received, take_object, take_text, take_time, time_of, word};

/// The most bytes of one event.
pub const POSTHOG_EVENT_BYTES_MAX: usize = 1 << 20;
/// The most bytes of a request.
pub const POSTHOG_BATCH_BYTES_MAX: usize = 20 << 20;

/// Beginnings of the clients' own properties that are kept.
const KEPT: [&str; 9] = [
    "$feature",
    "$event_type",
    "$el_text",
    "$web_vitals_",
    "$ai_",
    "$exception_type",
    "$exception_message",
    "$prev_pageview_",
    "$groups",
];

/// What a request has in common, if it is an object.
#[derive(Default, Deserialize)]
struct Frame<'a> {
    #[serde(borrow, default)]
    batch: Option<Vec<&'a RawValue>>,
    #[serde(default)]
    api_key: Option<String>,
    #[serde(default)]
    token: Option<String>,
    #[serde(default)]
    sent_at: Option<Value>,
    #[serde(rename = "sentAt", default)]
    sent_at_camel: Option<Value>,
}

/// Reads the body of a request: an event, an array of them, or an object with them as `batch`.
///
/// # Errors
/// [`ReadError`] when there are no events to be judged one by one.
pub fn read_posthog(body: &[u8], received_at: Timestamp) -> Result<Received, ReadError> {
    if body.len() > POSTHOG_BATCH_BYTES_MAX {
        return Err(ReadError::TooLarge { bytes: body.len(), bytes_max: POSTHOG_BATCH_BYTES_MAX });
    }
    let (items, frame) = if body.trim_ascii_start().first() == Some(&b'[') {
        (serde_json::from_slice(body)?, Frame::default())
    } else {
        let mut frame: Frame<'_> = serde_json::from_slice(body)?;
        match frame.batch.take() {
            Some(items) => (items, frame),
            None => (vec![serde_json::from_slice(body)?], frame),
        }
    };
    if items.is_empty() {
        return Err(ReadError::NoBatch);
    }
    let sent_at = frame.sent_at.or(frame.sent_at_camel);
    let sent_at = sent_at.and_then(|value| time_of("sent_at", &value).ok());
    let mut of_item = None;
    let received = Received::read(&items, POSTHOG_EVENT_BYTES_MAX, received_at, |mut item| {
        let mut properties = take_object(&mut item, "properties")?;
        for map in [&mut item, &mut properties] {
            for field in ["api_key", "token"] {
                let key = take_text(map, field).ok().flatten();
                of_item = of_item.take().or(key);
            }
        }
        read_item(item, properties, sent_at, received_at).map(Some)
    })?;
    Ok(Received { key: frame.api_key.or(frame.token).or(of_item), ..received })
}

fn read_item(
    mut item: Map<String, Value>,
    mut properties: Map<String, Value>,
    sent_at: Option<Timestamp>,
    received_at: Timestamp,
) -> Result<AnalyticsEvent, Wrong> {
    let name = take_text(&mut item, "event")?.ok_or_else(|| wrong("event", "is missing"))?;
    let distinct_id = match take_text(&mut item, "distinct_id")? {
        Some(id) => Some(id),
        None => take_text(&mut properties, "distinct_id")?,
    };
    let inner_id = take_text(&mut properties, "distinct_id")?;
    let distinct_id = distinct_id.or(inner_id.clone()).ok_or_else(|| wrong("distinct_id", "is missing"))?;
    let message_id = match take_text(&mut item, "uuid")? {
        Some(id) => id,
        None => take_text(&mut properties, "$insert_id")?.unwrap_or_default(),
    };
    let timestamp = match take_time(&mut item, "timestamp")? {
        Some(at) => corrected(received_at, sent_at, at),
        // How many milliseconds ago it was, by the client's clock.
        None => match item.get("offset").and_then(Value::as_u64) {
            Some(offset) => received_at.minus(std::time::Duration::from_millis(offset.min(1 << 42))),
            None => received_at,
        },
    };
    let is_anonymous = is_anonymous(&distinct_id, &properties);
    let is_server = is_server(&properties);
    let mut event = AnalyticsEvent {
        message_id,
        context: take_context(&mut properties, is_server),
        session_id: word(&properties, "$session_id", 200),
        ..AnalyticsEvent::new(EventKind::Track, timestamp)
    };
    if is_anonymous {
        event.anonymous_id = Some(distinct_id);
    } else {
        event.user_id = Some(distinct_id);
    }
    match name.as_str() {
        "$identify" | "$set" => {
            event.kind = EventKind::Identify;
            event.traits = take_traits(&mut item, &mut properties)?;
            if name == "$identify" {
                // Whoever is identified has a user id, whatever else the client says of it.
                event.user_id = event.user_id.or(event.anonymous_id);
                event.anonymous_id = take_text(&mut properties, "$anon_distinct_id")?;
            }
        }
        "$create_alias" => {
            event.kind = EventKind::Alias;
            event.previous_id = inner_id.or(event.user_id).or(event.anonymous_id.take());
            event.user_id = take_text(&mut properties, "alias")?;
        }
        "$groupidentify" => {
            event.kind = EventKind::Group;
            event.group_id = take_text(&mut properties, "$group_key")?;
            if is_server {
                // The client makes up an id where it was given none.
                (event.user_id, event.anonymous_id) = (None, None);
            }
            event.traits = take_object(&mut properties, "$group_set")?;
            let kind = take_text(&mut properties, "$group_type")?;
            properties.extend(kind.map(|kind| ("group_type".to_owned(), kind.into())));
        }
        "$pageview" => event.kind = EventKind::Page,
        "$screen" => {
            event.kind = EventKind::Screen;
            event.name = word(&properties, "$screen_name", WORD_BYTES_MAX).unwrap_or_default();
        }
        _ => event.name = name,
    }
    properties.retain(|name, _| !name.starts_with('$') || KEPT.iter().any(|kept| name.starts_with(kept)));
    event.properties = properties;
    Ok(event)
}

/// Whether an id was made by the client for somebody who has not signed in: it is the device's own, or the client says
/// that it makes no person of it.
fn is_anonymous(distinct_id: &str, properties: &Map<String, Value>) -> bool {
    let says = |name: &str, value: bool| properties.get(name).and_then(Value::as_bool) == Some(value);
    let has_user = properties.get("$user_id").is_some_and(|id| id.as_str().is_some_and(|id| !id.is_empty()));
    let is_devices = properties.get("$device_id").and_then(Value::as_str) == Some(distinct_id);
    !has_user
        && !says("$is_identified", true)
        && (is_devices || says("$is_identified", false) || says("$process_person_profile", false))
}

/// Whether a program sends, whose operating system is nobody's.
fn is_server(properties: &Map<String, Value>) -> bool {
    properties.get("$is_server").and_then(Value::as_bool) == Some(true)
        || properties.contains_key("$python_version")
}

/// What is said of the user: what is set once, and over it what is set.
fn take_traits(
    item: &mut Map<String, Value>,
    properties: &mut Map<String, Value>,
) -> Result<Map<String, Value>, Wrong> {
    let mut traits = Map::new();
    for field in ["$set_once", "$set"] {
        traits.extend(take_object(properties, field)?);
        traits.extend(take_object(item, field)?);
    }
    Ok(traits)
}

fn take_context(properties: &mut Map<String, Value>, is_server: bool) -> Context {
    let of = |field: &str| word(properties, field, WORD_BYTES_MAX);
    let address =
        |field: &str| word(properties, field, ADDRESS_BYTES_MAX).filter(|address| !address.starts_with('$'));
    let library = of("$lib").map(|name| match of("$lib_version") {
        Some(version) => format!("{name}/{version}"),
        None => name,
    });
    let context = Context {
        ip: of("$ip"),
        user_agent: of("$raw_user_agent").or_else(|| of("$user_agent")),
        browser: of("$browser").filter(|_| !is_server),
        os: of("$os").filter(|_| !is_server),
        device: of("$device_type").filter(|_| !is_server),
        country: of("$geoip_country_code"),
        page: Page {
            url: address("$current_url"),
            path: address("$pathname"),
            title: of("title"),
            referrer: address("$referrer"),
        },
        campaign: Campaign {
            source: of("utm_source"),
            medium: of("utm_medium"),
            name: of("utm_campaign"),
            term: of("utm_term"),
            content: of("utm_content"),
        },
        locale: of("$browser_language").or_else(|| of("$locale")),
        timezone: of("$timezone"),
        library,
        consent: super::read::consent(properties),
    };
    for name in ["title", "utm_source", "utm_medium", "utm_campaign", "utm_term", "utm_content"] {
        properties.remove(name);
    }
    context
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// 2026-11-28T12:00:00Z
    const NOW: Timestamp = Timestamp::from_micros(1_795_867_200_000_000);

    fn read(body: &Value) -> Received {
        read_posthog(body.to_string().as_bytes(), NOW).unwrap()
    }

    fn one(body: &Value) -> AnalyticsEvent {
        let received = read(body);
        assert_eq!(received.refused, []);
        received.events[0].clone()
    }

    fn ids(event: &AnalyticsEvent) -> (Option<&str>, Option<&str>) {
        (event.user_id.as_deref(), event.anonymous_id.as_deref())
    }

    #[test]
    fn a_request_is_an_event_an_array_or_a_batch_with_its_key() {
        let event = json!({"event": "A", "distinct_id": "ada"});
        for (body, key) in [
            (json!({"api_key": "k", "event": "A", "distinct_id": "ada"}), Some("k")),
            (json!({"event": "A", "properties": {"token": "k", "distinct_id": "ada"}}), Some("k")),
            (json!([{"event": "A", "properties": {"token": "k", "distinct_id": "ada"}}]), Some("k")),
            (json!({"token": "k", "batch": [event]}), Some("k")),
            (json!([event]), None),
        ] {
            let received = read(&body);
            assert_eq!(received.key.as_deref(), key, "{body}");
            assert_eq!(received.events, [AnalyticsEvent::track("ada", "A", NOW)], "{body}");
        }
    }

    #[test]
    fn a_visitor_is_told_from_a_user() {
        let of = |properties: Value| {
            let event = one(&json!({"event": "A", "distinct_id": "x", "properties": properties}));
            (event.user_id.is_some(), event.anonymous_id.is_some())
        };
        assert_eq!(of(json!({})), (true, false));
        assert_eq!(of(json!({"$device_id": "x"})), (false, true));
        assert_eq!(of(json!({"$device_id": "y"})), (true, false));
        assert_eq!(of(json!({"$device_id": "x", "$user_id": "x"})), (true, false));
        assert_eq!(of(json!({"$is_identified": false})), (false, true));
        assert_eq!(of(json!({"$process_person_profile": false})), (false, true));
        assert_eq!(of(json!({"$process_person_profile": false, "$is_identified": true})), (true, false));
    }

    #[test]
    fn special_events_are_other_calls() {
        let event = one(&json!({"event": "$identify", "distinct_id": "ada", "uuid": "u1",
            "properties": {"$anon_distinct_id": "v1", "$set": {"plan": "pro"}, "$is_identified": false},
            "$set_once": {"plan": "free", "first": true}}));
        assert_eq!((event.kind, ids(&event)), (EventKind::Identify, (Some("ada"), Some("v1"))));
        assert_eq!(Value::Object(event.traits), json!({"plan": "pro", "first": true}));
        assert_eq!(event.message_id, "u1");

        let event = one(&json!({"event": "$create_alias", "distinct_id": "v1",
            "properties": {"distinct_id": "v1", "alias": "ada"}}));
        assert_eq!(event.kind, EventKind::Alias);
        assert_eq!((event.previous_id.as_deref(), event.user_id.as_deref()), (Some("v1"), Some("ada")));

        let event = one(&json!({"event": "$groupidentify", "distinct_id": "ada",
            "properties": {"$group_type": "company", "$group_key": "acme", "$group_set": {"seats": 4}}}));
        assert_eq!((event.kind, event.group_id.as_deref()), (EventKind::Group, Some("acme")));
        assert_eq!(Value::Object(event.properties), json!({"group_type": "company"}));
        assert_eq!(Value::Object(event.traits), json!({"seats": 4}));
        let event = one(&json!({"event": "$groupidentify", "distinct_id": "made-up",
            "properties": {"$group_key": "acme", "$is_server": true, "$os": "Linux"}}));
        assert_eq!((ids(&event), event.context.os.as_deref()), ((None, None), None));

        let event =
            one(&json!({"event": "$pageview", "properties": {"distinct_id": "v1", "$device_id": "v1",
            "$current_url": "https://shop.example/a", "$pathname": "/a", "title": "A", "$referrer": "$direct",
            "utm_source": "news", "$session_id": "s1", "$lib": "web", "$lib_version": "1.449.2",
            "$raw_user_agent": "Mozilla/5.0", "variant": "b", "$feature/new": true, "$window_id": "w"}}));
        assert_eq!((event.kind, event.session_id.as_deref()), (EventKind::Page, Some("s1")));
        assert_eq!(event.context.page.path.as_deref(), Some("/a"));
        assert_eq!(event.context.page.referrer, None);
        assert_eq!(event.context.campaign.source.as_deref(), Some("news"));
        assert_eq!(event.context.library.as_deref(), Some("web/1.449.2"));
        assert_eq!(Value::Object(event.properties), json!({"variant": "b", "$feature/new": true}));

        for name in ["$pageleave", "$autocapture", "$feature_flag_called"] {
            let event = one(&json!({"event": name, "distinct_id": "ada"}));
            assert_eq!((event.kind, event.name.as_str()), (EventKind::Track, name));
        }
    }

    #[test]
    fn when_it_happened_is_told_in_three_ways() {
        let at = |body: Value| read(&body).events[0].timestamp.to_string();
        let event = |more: Value| {
            let mut event = json!({"event": "A", "distinct_id": "ada"});
            event.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            event
        };
        assert_eq!(at(event(json!({}))), "2026-11-28T12:00:00Z");
        assert_eq!(at(event(json!({"timestamp": "2026-11-28T10:00:00+00:00"}))), "2026-11-28T10:00:00Z");
        assert_eq!(at(event(json!({"offset": 2_000}))), "2026-11-28T11:59:58Z");
        let batch = json!({"sent_at": "2026-11-28T10:00:05Z", "batch": [
            event(json!({"timestamp": "2026-11-28T10:00:00Z"}))]});
        assert_eq!(at(batch), "2026-11-28T11:59:55Z");
    }

    #[test]
    fn what_is_wrong_is_named_and_costs_nothing_else() {
        let received = read(&json!({"api_key": "k", "batch": [
            {"event": "A", "distinct_id": "ada"}, {"distinct_id": "ada"}, {"event": "A"},
            {"event": "$create_alias", "distinct_id": "v1"}, {"event": "A", "distinct_id": ""},
            {"event": "$groupidentify", "distinct_id": "ada"},
        ]}));
        assert_eq!(received.events.len(), 1);
        let refused: Vec<String> =
            received.refused.iter().map(|it| format!("{} {} {}", it.index, it.field, it.reason)).collect();
        assert_eq!(
            refused,
            [
                "1 event is missing",
                "2 distinct_id is missing",
                "3 userId is missing",
                "4 distinct_id is missing",
                "5 groupId is missing",
            ]
        );
        assert_eq!(read_posthog(b"[]", NOW), Err(ReadError::NoBatch));
        assert!(matches!(read_posthog(b"nothing", NOW), Err(ReadError::NotJson(_))));
    }

    proptest::proptest! {
        #[test]
        fn no_body_makes_it_panic(body in "\\PC{0,200}") {
            let _ = read_posthog(body.as_bytes(), NOW);
        }
    }
}
