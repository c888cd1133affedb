//! The protocols of Plausible and Umami, which know no ids: whoever sends from an address is one visitor of a day. No I/O.
//!
//! Sources: Plausible's documentation, "Events API reference"; Umami's documentation, "Sending stats".

use belvedere_storage::Timestamp;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::event::{
    ADDRESS_BYTES_MAX, AnalyticsEvent, Campaign, Context, EventKind, Page, WORD_BYTES_MAX, Wrong, wrong,
};
use super::read::{ReadError, Received, take_object, take_text, word};

/// The most bytes of a request, which is one event.
pub const BY_ADDRESS_BYTES_MAX: usize = 32 << 10;

/// Reads `{"n" or "name", "u" or "url", "d" or "domain", "r" or "referrer", "p", "m" or "props"}`; the domain is the key.
///
/// # Errors
/// [`ReadError`] when the body is no JSON or too large.
pub fn read_plausible(body: &[u8], received_at: Timestamp) -> Result<Received, ReadError> {
    read(body, received_at, |mut item, key| {
        let mut text = |short: &'static str, long: &'static str| match take_text(&mut item, short)? {
            Some(text) => Ok(Some(text)),
            None => take_text(&mut item, long),
        };
        *key = text("d", "domain")?;
        let name = text("n", "name")?.ok_or_else(|| wrong("name", "is missing"))?;
        let url = text("u", "url")?.ok_or_else(|| wrong("url", "is missing"))?;
        let referrer = text("r", "referrer")?;
        let mut event = new(received_at);
        if name == "pageview" {
            event.kind = EventKind::Page;
        } else {
            event.name = name;
        }
        event.context.page = page(&url, None, None, referrer.as_deref());
        event.context.campaign = campaign(&url);
        // Short forms hold the properties as a text of JSON.
        let props = ["p", "m", "props"].iter().find_map(|field| item.remove(*field));
        event.properties = match props {
            Some(Value::String(text)) => serde_json::from_str(&text).unwrap_or_default(),
            Some(Value::Object(props)) => props,
            _ => Map::new(),
        };
        Ok(event)
    })
}

/// Reads `{"type", "payload": {"website", "hostname", "url", "title", "referrer", "language", "name", "data", "id"}}`; the
/// website is the key, and an id that the product gave is a user's.
///
/// # Errors
/// As [`read_plausible`].
pub fn read_umami(body: &[u8], received_at: Timestamp) -> Result<Received, ReadError> {
    read(body, received_at, |mut item, key| {
        let kind = take_text(&mut item, "type")?.unwrap_or_else(|| "event".to_owned());
        let mut payload = take_object(&mut item, "payload")?;
        *key = take_text(&mut payload, "website")?;
        let mut event = new(received_at);
        let data = take_object(&mut payload, "data")?;
        match (kind.as_str(), take_text(&mut payload, "name")?) {
            ("identify", _) => {
                event.kind = EventKind::Identify;
                event.traits = data;
            }
            ("event", Some(name)) => {
                event.name = name;
                event.properties = data;
            }
            ("event", None) => {
                event.kind = EventKind::Page;
                event.properties = data;
            }
            _ => return Err(wrong("type", "must be event or identify")),
        }
        event.user_id = take_text(&mut payload, "id")?;
        event.is_by_address = event.user_id.is_none();
        let of = |field: &str| word(&payload, field, ADDRESS_BYTES_MAX);
        let url = of("url").unwrap_or_default();
        event.context = Context {
            page: page(&url, of("hostname").as_deref(), of("title"), of("referrer").as_deref()),
            campaign: campaign(&url),
            locale: word(&payload, "language", WORD_BYTES_MAX),
            ..Context::default()
        };
        Ok(event)
    })
}

fn read(
    body: &[u8],
    received_at: Timestamp,
    read: impl Fn(Map<String, Value>, &mut Option<String>) -> Result<AnalyticsEvent, Wrong>,
) -> Result<Received, ReadError> {
    if body.len() > BY_ADDRESS_BYTES_MAX {
        return Err(ReadError::TooLarge { bytes: body.len(), bytes_max: BY_ADDRESS_BYTES_MAX });
    }
    let item: &RawValue = serde_json::from_slice(body)?;
    let mut key = None;
    let received =
        Received::read(&[item], BY_ADDRESS_BYTES_MAX, received_at, |item| read(item, &mut key).map(Some))?;
    Ok(Received { key, ..received })
}

fn new(received_at: Timestamp) -> AnalyticsEvent {
    AnalyticsEvent { is_by_address: true, ..AnalyticsEvent::new(EventKind::Track, received_at) }
}

fn page(url: &str, host: Option<&str>, title: Option<String>, referrer: Option<&str>) -> Page {
    let url = match host {
        Some(host) if !url.contains("://") => format!("https://{host}{url}"),
        _ => url.to_owned(),
    };
    let some = |text: &str| Some(super::event::cut(text, ADDRESS_BYTES_MAX)).filter(|text| !text.is_empty());
    Page {
        path: some(super::address::path_of(&url)),
        url: some(&url),
        title,
        referrer: referrer.and_then(some),
    }
}

/// The campaign that stands in the query of an address, as it stands there.
fn campaign(url: &str) -> Campaign {
    let query = url.split('#').next().and_then(|url| url.split_once('?')).map_or("", |(_, query)| query);
    let of = |name: &str| {
        let value = query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))?;
        Some(super::event::cut(value, WORD_BYTES_MAX)).filter(|value| !value.is_empty())
    };
    Campaign {
        source: of("utm_source"),
        medium: of("utm_medium"),
        name: of("utm_campaign"),
        term: of("utm_term"),
        content: of("utm_content"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// 2026-11-28T12:00:00Z
    const NOW: Timestamp = Timestamp::from_micros(1_795_867_200_000_000);

    #[test]
    fn plausibles_short_and_long_forms_are_read() {
        for body in [
            json!({"n": "Signup", "u": "https://shop.example/a?utm_source=news", "d": "k", "r": "https://search.example/",
                "p": "{\"plan\":\"pro\"}", "w": 1024, "h": 0}),
            json!({"name": "Signup", "url": "https://shop.example/a?utm_source=news", "domain": "k",
                "referrer": "https://search.example/", "props": {"plan": "pro"}}),
        ] {
            let received = read_plausible(body.to_string().as_bytes(), NOW).unwrap();
            assert_eq!((received.key.as_deref(), received.refused), (Some("k"), vec![]));
            let event = &received.events[0];
            assert_eq!((event.name.as_str(), event.is_by_address), ("Signup", true));
            assert_eq!(event.context.page.path.as_deref(), Some("/a"));
            assert_eq!(event.context.page.referrer.as_deref(), Some("https://search.example/"));
            assert_eq!(event.context.campaign.source.as_deref(), Some("news"));
            assert_eq!(Value::Object(event.properties.clone()), json!({"plan": "pro"}));
        }
        let view = json!({"n": "pageview", "u": "https://shop.example/", "d": "k"}).to_string();
        assert_eq!(read_plausible(view.as_bytes(), NOW).unwrap().events[0].kind, EventKind::Page);
        let received = read_plausible(b"{\"n\":\"pageview\",\"d\":\"k\"}", NOW).unwrap();
        let wrong = &received.refused[0];
        assert_eq!(
            (wrong.field, wrong.reason.as_str(), received.key.as_deref()),
            ("url", "is missing", Some("k"))
        );
    }

    #[test]
    fn umamis_views_events_and_identities_are_read() {
        let one = |kind: &str, payload: Value| {
            let body = json!({"type": kind, "payload": payload}).to_string();
            let received = read_umami(body.as_bytes(), NOW).unwrap();
            assert_eq!((received.key.as_deref(), received.refused), (Some("k"), vec![]));
            received.events[0].clone()
        };
        let view = one(
            "event",
            json!({"website": "k", "hostname": "shop.example", "url": "/a?utm_medium=mail", "title": "A", "language": "de"}),
        );
        assert_eq!((view.kind, view.is_by_address), (EventKind::Page, true));
        assert_eq!(view.context.page.url.as_deref(), Some("https://shop.example/a?utm_medium=mail"));
        assert_eq!(view.context.campaign.medium.as_deref(), Some("mail"));
        let event = one(
            "event",
            json!({"website": "k", "url": "/a", "name": "Signup", "data": {"plan": "pro"}, "id": "ada"}),
        );
        assert_eq!((event.name.as_str(), event.user_id.as_deref()), ("Signup", Some("ada")));
        assert!(!event.is_by_address);
        let identify = one("identify", json!({"website": "k", "id": "ada", "data": {"plan": "pro"}}));
        assert_eq!((identify.kind, identify.traits.len()), (EventKind::Identify, 1));
    }
}
