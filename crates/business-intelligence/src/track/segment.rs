//! Segment's HTTP tracking API, which RudderStack's and Jitsu's clients speak too. No I/O.
//!
//! Source: Segment's documentation, "HTTP tracking API" and "Spec: common fields".

use belvedere_storage::Timestamp;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::event::{
    ADDRESS_BYTES_MAX, AnalyticsEvent, Campaign, Context, EventKind, Page, WORD_BYTES_MAX, Wrong, corrected,
    wrong,
};
use super::read::{ReadError, Received, consent, object, take_object, take_text, take_time, time_of, word};

/// The most bytes of one event.
pub const SEGMENT_EVENT_BYTES_MAX: usize = 32 << 10;
/// The most bytes of a request.
pub const SEGMENT_BATCH_BYTES_MAX: usize = 500 << 10;

/// What a request holds, as its path says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SegmentCall {
    /// One event of a kind.
    One(EventKind),
    /// Events as `batch`, each with its `type`.
    Batch,
}

/// A batch, and what its items have in common. `integrations` are of no use here.
#[derive(Deserialize)]
struct Batch<'a> {
    #[serde(borrow, default)]
    batch: Option<Vec<&'a RawValue>>,
    #[serde(default)]
    context: Option<Value>,
    #[serde(rename = "sentAt", default)]
    sent_at: Option<Value>,
    #[serde(rename = "writeKey", default)]
    write_key: Option<String>,
}

/// The key of a single event.
#[derive(Default, Deserialize)]
struct Keyed {
    #[serde(rename = "writeKey", default)]
    write_key: Option<String>,
}

/// Reads the body of a request. Fields that are not known are passed over.
///
/// # Errors
/// [`ReadError`] when there are no events to be judged one by one.
pub fn read_segment(body: &[u8], call: SegmentCall, received_at: Timestamp) -> Result<Received, ReadError> {
    if body.len() > SEGMENT_BATCH_BYTES_MAX {
        return Err(ReadError::TooLarge { bytes: body.len(), bytes_max: SEGMENT_BATCH_BYTES_MAX });
    }
    match call {
        SegmentCall::One(kind) => {
            let item: &RawValue = serde_json::from_slice(body)?;
            // Whoever sends an event that is too large is told so too.
            let Keyed { write_key } = serde_json::from_slice(body).unwrap_or_default();
            let received = Received::read(&[item], SEGMENT_EVENT_BYTES_MAX, received_at, |mut item| {
                let sent_at = take_time(&mut item, "sentAt")?;
                read_item(item, Some(kind), &Map::new(), sent_at, received_at).map(Some)
            })?;
            Ok(Received { key: write_key, ..received })
        }
        SegmentCall::Batch => {
            let frame: Batch<'_> = serde_json::from_slice(body)?;
            let items = frame.batch.ok_or(ReadError::NoBatch)?;
            let shared = match frame.context {
                Some(Value::Object(context)) => context,
                _ => Map::new(),
            };
            let of_batch = frame.sent_at.and_then(|value| time_of("sentAt", &value).ok());
            let read = |mut item: Map<String, Value>| {
                let sent_at = take_time(&mut item, "sentAt")?.or(of_batch);
                read_item(item, None, &shared, sent_at, received_at).map(Some)
            };
            let received = Received::read(&items, SEGMENT_EVENT_BYTES_MAX, received_at, read)?;
            Ok(Received { key: frame.write_key, ..received })
        }
    }
}

fn read_item(
    mut item: Map<String, Value>,
    kind: Option<EventKind>,
    shared: &Map<String, Value>,
    sent_at: Option<Timestamp>,
    received_at: Timestamp,
) -> Result<AnalyticsEvent, Wrong> {
    let kind = match kind {
        Some(kind) => kind,
        None => take_text(&mut item, "type")?
            .as_deref()
            .and_then(EventKind::find)
            .ok_or_else(|| wrong("type", "must be one of track, identify, page, screen, group, alias"))?,
    };
    let original = take_time(&mut item, "originalTimestamp")?;
    let original = original.or(take_time(&mut item, "timestamp")?);
    let mut context = shared.clone();
    context.extend(take_object(&mut item, "context")?);
    let name = take_text(&mut item, if kind == EventKind::Track { "event" } else { "name" })?;
    let mut event = AnalyticsEvent {
        name: name.unwrap_or_default(),
        message_id: take_text(&mut item, "messageId")?.unwrap_or_default(),
        user_id: take_text(&mut item, "userId")?,
        anonymous_id: take_text(&mut item, "anonymousId")?,
        group_id: take_text(&mut item, "groupId")?,
        previous_id: take_text(&mut item, "previousId")?,
        properties: take_object(&mut item, "properties")?,
        traits: take_object(&mut item, "traits")?,
        ..AnalyticsEvent::new(kind, original.map_or(received_at, |at| corrected(received_at, sent_at, at)))
    };
    if kind == EventKind::Group && event.user_id.is_none() && event.anonymous_id.is_none() {
        return Err(wrong("userId", "is missing, and so is anonymousId"));
    }
    event.context = read_context(&context);
    event.group_id = event.group_id.or_else(|| word(&context, "groupId", WORD_BYTES_MAX));
    event.session_id = ["sessionId", "session_id"].iter().find_map(|it| word(&context, it, 200));
    if kind != EventKind::Identify && kind != EventKind::Group {
        // What is said of the user beside other calls: of it the plan is looked at.
        event.traits = object(&context, "traits").cloned().unwrap_or_default();
    }
    if matches!(kind, EventKind::Page | EventKind::Screen) {
        of_page(&mut event);
    }
    Ok(event)
}

/// A page's own properties say what the context says of it.
fn of_page(event: &mut AnalyticsEvent) {
    let properties = &mut event.properties;
    let page = &mut event.context.page;
    for (field, place) in [
        ("url", &mut page.url),
        ("path", &mut page.path),
        ("title", &mut page.title),
        ("referrer", &mut page.referrer),
    ] {
        let said = word(properties, field, ADDRESS_BYTES_MAX);
        properties.remove(field);
        *place = said.or(place.take());
    }
    properties.remove("search");
    if event.name.is_empty() {
        event.name = word(properties, "name", WORD_BYTES_MAX).unwrap_or_default();
    }
    properties.remove("name");
}

fn read_context(context: &Map<String, Value>) -> Context {
    let of = |part: &str, field: &str| word(object(context, part)?, field, WORD_BYTES_MAX);
    let address = |field: &str| word(object(context, "page")?, field, ADDRESS_BYTES_MAX);
    let library = of("library", "name").map(|name| match of("library", "version") {
        Some(version) => format!("{name}/{version}"),
        None => name,
    });
    Context {
        ip: word(context, "ip", WORD_BYTES_MAX),
        user_agent: word(context, "userAgent", WORD_BYTES_MAX),
        browser: None,
        os: of("os", "name"),
        device: of("device", "type"),
        country: of("location", "country"),
        page: Page {
            url: address("url"),
            path: address("path"),
            title: address("title"),
            referrer: address("referrer").or_else(|| of("referrer", "url")),
        },
        campaign: Campaign {
            source: of("campaign", "source"),
            medium: of("campaign", "medium"),
            name: of("campaign", "name"),
            term: of("campaign", "term"),
            content: of("campaign", "content"),
        },
        locale: word(context, "locale", WORD_BYTES_MAX),
        timezone: word(context, "timezone", WORD_BYTES_MAX),
        library,
        consent: consent(context),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// 2026-11-28T12:00:00Z
    const NOW: Timestamp = Timestamp::from_micros(1_795_867_200_000_000);

    fn batch(body: &Value) -> Received {
        read_segment(body.to_string().as_bytes(), SegmentCall::Batch, NOW).unwrap()
    }

    fn one(kind: EventKind, body: &Value) -> Result<AnalyticsEvent, String> {
        let received = read_segment(body.to_string().as_bytes(), SegmentCall::One(kind), NOW).unwrap();
        let refused = received.refused.first().map(|it| format!("{} {}", it.field, it.reason));
        refused.map_or_else(|| Ok(received.events[0].clone()), Err)
    }

    #[test]
    fn every_call_is_read() {
        let at = NOW;
        for (kind, body, expected) in [
            (
                EventKind::Track,
                json!({"userId": 7, "event": "Signed Up", "messageId": "m1", "properties": {"plan": "pro"}}),
                AnalyticsEvent {
                    message_id: "m1".to_owned(),
                    ..AnalyticsEvent::track("7", "Signed Up", at).with("plan", "pro")
                },
            ),
            (
                EventKind::Identify,
                json!({"userId": "ada", "anonymousId": "v1", "traits": {"plan": "pro"}, "writeKey": "k"}),
                AnalyticsEvent {
                    traits: json!({"plan": "pro"}).as_object().unwrap().clone(),
                    ..AnalyticsEvent::identify("ada", Some("v1"), at)
                },
            ),
            (
                EventKind::Group,
                json!({"userId": "ada", "groupId": "g1", "traits": {"seats": 4}}),
                AnalyticsEvent {
                    group_id: Some("g1".to_owned()),
                    user_id: Some("ada".to_owned()),
                    traits: json!({"seats": 4}).as_object().unwrap().clone(),
                    ..AnalyticsEvent::new(EventKind::Group, at)
                },
            ),
            (
                EventKind::Alias,
                json!({"previousId": "v1", "userId": "ada"}),
                AnalyticsEvent {
                    previous_id: Some("v1".to_owned()),
                    user_id: Some("ada".to_owned()),
                    ..AnalyticsEvent::new(EventKind::Alias, at)
                },
            ),
            (
                EventKind::Screen,
                json!({"anonymousId": "v1", "name": "Lesson", "context": {"sessionId": 1_700, "os": {"name": "iOS"}}}),
                AnalyticsEvent {
                    name: "Lesson".to_owned(),
                    anonymous_id: Some("v1".to_owned()),
                    session_id: Some("1700".to_owned()),
                    context: Context { os: Some("iOS".to_owned()), ..Context::default() },
                    ..AnalyticsEvent::new(EventKind::Screen, at)
                },
            ),
        ] {
            assert_eq!(one(kind, &body), Ok(expected));
        }
    }

    #[test]
    fn what_a_page_says_of_itself_counts_before_the_context() {
        let body = json!({"anonymousId": "v1", "name": "Pricing", "properties": {
                "url": "https://shop.example/pricing?utm_source=news", "path": "/pricing", "title": "Pricing",
                "search": "?utm_source=news", "referrer": "https://search.example/?q=x", "variant": "b"},
            "context": {"page": {"url": "https://shop.example/", "path": "/", "title": "Home"},
                "campaign": {"source": "news", "name": "autumn"}, "userAgent": "Mozilla/5.0", "locale": "de-AT",
                "library": {"name": "analytics.js", "version": "next-1.84.3"},
                "consent": {"categoryPreferences": {"Analytics": false, "Other": "yes"}}}});
        let event = one(EventKind::Page, &body).unwrap();
        assert_eq!(event.context.page.url.as_deref(), Some("https://shop.example/pricing?utm_source=news"));
        assert_eq!(event.context.page.title.as_deref(), Some("Pricing"));
        assert_eq!(event.context.page.referrer.as_deref(), Some("https://search.example/?q=x"));
        assert_eq!(Value::Object(event.properties.clone()), json!({"variant": "b"}));
        assert_eq!(event.context.campaign.source.as_deref(), Some("news"));
        assert_eq!(event.context.campaign.name.as_deref(), Some("autumn"));
        assert_eq!(event.context.library.as_deref(), Some("analytics.js/next-1.84.3"));
        assert_eq!((event.name.as_str(), event.stored_name()), ("Pricing", "page_view"));
        assert!(event.refuses_analytics());
    }

    #[test]
    fn a_batchs_context_and_time_hold_for_its_items() {
        let received = batch(&json!({
            "writeKey": "k1", "sentAt": "2026-11-28T11:00:10Z",
            "context": {"locale": "de", "library": {"name": "x"}}, "integrations": {"All": true},
            "batch": [
                {"type": "track", "event": "A", "userId": "ada", "timestamp": "2026-11-28T11:00:00Z",
                    "context": {"locale": "en"}},
                {"type": "identify", "userId": "ada", "timestamp": "2026-11-28T11:00:10.000Z"},
            ],
        }));
        assert_eq!((received.key.as_deref(), received.refused), (Some("k1"), vec![]));
        let [first, second] = &received.events[..] else { panic!("two events") };
        assert_eq!(first.timestamp.to_string(), "2026-11-28T11:59:50Z");
        assert_eq!(second.timestamp, NOW);
        assert_eq!(first.context.locale.as_deref(), Some("en"));
        assert_eq!(first.context.library.as_deref(), Some("x"));
        assert_eq!(second.context.locale.as_deref(), Some("de"));
    }

    #[test]
    fn what_is_wrong_is_named_by_item_and_field_and_costs_nothing_else() {
        let deep = format!("{}1{}", "[".repeat(200), "]".repeat(200));
        let good = json!({"type": "track", "event": "A", "userId": "ada"});
        let items = [
            good.to_string(),
            json!({"type": "tracked", "event": "A", "userId": "ada"}).to_string(),
            json!({"type": "track", "event": "A"}).to_string(),
            json!({"type": "track", "userId": "ada"}).to_string(),
            json!({"type": "track", "event": "A", "userId": "ada", "properties": []}).to_string(),
            json!({"type": "track", "event": "A", "userId": {"id": 1}}).to_string(),
            json!({"type": "track", "event": "A", "userId": "ada", "timestamp": "soon"}).to_string(),
            json!({"type": "track", "event": "A", "userId": "ada", "properties": {"a": "x".repeat(33_000)}})
                .to_string(),
            "7".to_owned(),
            format!(
                "{{\"type\":\"track\",\"event\":\"A\",\"userId\":\"ada\",\"properties\":{{\"a\":{deep}}}}}"
            ),
            good.to_string(),
        ];
        let body = format!("{{\"batch\":[{}]}}", items.join(","));
        let received = read_segment(body.as_bytes(), SegmentCall::Batch, NOW).unwrap();
        assert_eq!(received.events.len(), 2);
        let refused: Vec<String> =
            received.refused.iter().map(|it| format!("{} {} {}", it.index, it.field, it.reason)).collect();
        assert_eq!(
            refused,
            [
                "1 type must be one of track, identify, page, screen, group, alias",
                "2 userId is missing, and so is anonymousId",
                "3 event is missing",
                "4 properties must be an object",
                "5 userId must be a text",
                "6 timestamp must be an instant such as 2026-11-28T12:00:00Z",
                "7  has 33065 bytes, at most 32768 are allowed",
                "8  is not an object",
                "9  is not JSON that can be read",
            ]
        );
    }

    #[test]
    fn a_request_without_events_is_refused() {
        for (body, expected) in [
            ("{", "the body is not what it should be: "),
            ("[]", "batch: must be an array of events"),
            ("{}", "batch: must be an array of events"),
            ("{\"batch\": 1}", "the body is not what it should be: "),
        ] {
            let error = read_segment(body.as_bytes(), SegmentCall::Batch, NOW).unwrap_err().to_string();
            assert!(error.contains(expected), "{body}: {error}");
        }
        let large = read_segment(&vec![b' '; 512_001], SegmentCall::Batch, NOW).unwrap_err();
        assert_eq!(large.to_string(), "the body has 512001 bytes, at most 512000 are allowed");
        let many = format!("{{\"batch\":[{}1]}}", "1,".repeat(10_000));
        let many = read_segment(many.as_bytes(), SegmentCall::Batch, NOW).unwrap_err();
        assert_eq!(many, ReadError::TooMany(10_001));
    }

    proptest::proptest! {
        #[test]
        fn no_body_makes_it_panic(body in "\\PC{0,200}", kind in 0..3_u8) {
            let call = match kind {
                0 => SegmentCall::Batch,
                1 => SegmentCall::One(EventKind::Page),
                _ => SegmentCall::One(EventKind::Alias),
            };
            let _ = read_segment(body.as_bytes(), call, NOW);
        }
    }
}
