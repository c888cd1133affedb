//! The tags of an event: what can be told from the event itself, and what its SDK set. No I/O.
//!
//! Taken from the scrubbed event in the stored shape. Nothing that names a person is a tag: whether an event has a
//! subject is told by `has_user`, and keys under which SDKs put people are left out.

use std::borrow::Cow;

use serde_json::{Map, Value};

use crate::event::clean;

/// The most tags of one event; what the event tells itself goes first.
pub(crate) const TAGS_MAX: usize = 100;

/// The longest key, in characters; a tag with a longer one is left out.
pub(crate) const KEY_CHARS_MAX: usize = 32;

/// The longest value, in characters; a longer one is cut.
pub(crate) const VALUE_CHARS_MAX: usize = 200;

/// Keys under which SDKs and applications put people.
const PEOPLE: [&str; 8] =
    ["user", "username", "email", "e-mail", "ip", "ip_address", "client_ip", "session_id"];

/// A key and a value of an event.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Tag {
    pub(crate) key: Cow<'static, str>,
    /// Never empty.
    pub(crate) value: String,
}

/// The tags of `event`, each key once, at most [`TAGS_MAX`].
pub(crate) fn tags_of(event: &Value, has_user: bool) -> Vec<Tag> {
    let Some(event) = event.as_object() else { return Vec::new() };
    let mut tags = Vec::with_capacity(32);
    let mut tell = |key: &'static str, value: Option<&str>| {
        let value = clean(value.unwrap_or_default(), VALUE_CHARS_MAX);
        if !value.is_empty() {
            tags.push(Tag { key: Cow::Borrowed(key), value });
        }
    };
    for key in ["environment", "release", "dist", "level", "platform", "logger", "server_name", "transaction"]
    {
        tell(key, text(event, key));
    }
    let main = event.get("exception").and_then(|_| main_exception_of(event));
    let mechanism = main.and_then(|main| main.get("mechanism")?.as_object());
    tell("error.type", main.and_then(|main| text(main, "type")));
    tell("mechanism", mechanism.and_then(|mechanism| text(mechanism, "type")));
    let handled = mechanism.and_then(|mechanism| mechanism.get("handled")?.as_bool());
    tell("handled", handled.map(yes_or_no));
    tell("has_user", Some(yes_or_no(has_user)));
    tell("sdk", event.get("sdk").and_then(|sdk| text(sdk.as_object()?, "name")));
    tell("url.host", event.get("request").and_then(|request| host(text(request.as_object()?, "url")?)));
    for (key, name_key) in [("browser", "browser.name"), ("os", "os.name"), ("runtime", "runtime.name")] {
        let Some(context) = context(event, key) else { continue };
        let name = text(context, "name");
        tell(name_key, name);
        match (name, text(context, "version")) {
            (Some(name), Some(version)) => tell(key, Some(&format!("{name} {version}"))),
            (name, _) => tell(key, name),
        }
    }
    let device = context(event, "device");
    tell("device", device.and_then(|device| text(device, "model").or_else(|| text(device, "family"))));
    tell("device.family", device.and_then(|device| text(device, "family")));
    add_own(event, &mut tags);
    tags
}

/// What the SDK or the application set, unless the event tells it itself.
fn add_own(event: &Map<String, Value>, tags: &mut Vec<Tag>) {
    let pairs = event.get("tags").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    for pair in pairs {
        let Some([Value::String(key), Value::String(value)]) = pair.as_array().map(Vec::as_slice) else {
            continue;
        };
        if tags.len() == TAGS_MAX {
            break;
        }
        let value = clean(value, VALUE_CHARS_MAX);
        if is_key(key) && !value.is_empty() && !names_people(key) && tags.iter().all(|tag| tag.key != *key) {
            tags.push(Tag { key: Cow::Owned(key.clone()), value });
        }
    }
}

/// Whether a tag can have this key: letters, digits and `_.:-` of ASCII, at most [`KEY_CHARS_MAX`].
pub(crate) fn is_key(key: &str) -> bool {
    (1..=KEY_CHARS_MAX).contains(&key.len())
        && key.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.:-".contains(&byte))
}

fn names_people(key: &str) -> bool {
    let key = key.to_ascii_lowercase();
    PEOPLE.contains(&key.as_str()) || key.starts_with("user.") || key.starts_with("user:")
}

/// The trace in which the event happened.
pub(crate) fn trace_of(event: &Value) -> Option<[u8; 16]> {
    parse_trace(event.get("contexts")?.get("trace")?.get("trace_id")?.as_str()?)
}

/// 32 hexadecimal digits, hyphens allowed, that are not all zero.
pub(crate) fn parse_trace(text: &str) -> Option<[u8; 16]> {
    let digits: String = text.chars().filter(|character| *character != '-').collect();
    let is_trace = digits.len() == 32 && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    let number = is_trace.then(|| u128::from_str_radix(&digits, 16).ok()).flatten()?;
    (number != 0).then(|| number.to_be_bytes())
}

/// Tags as they are kept with an event: `key=value`, one a line.
pub(crate) fn pack_tags(tags: &[Tag]) -> String {
    let mut packed = String::with_capacity(tags.iter().map(|tag| tag.key.len() + tag.value.len() + 2).sum());
    for tag in tags {
        packed.push_str(&tag.key);
        packed.push('=');
        packed.push_str(&tag.value);
        packed.push('\n');
    }
    packed
}

/// The reverse of [`pack_tags`].
pub(crate) fn unpack_tags(packed: &str) -> impl Iterator<Item = (&str, &str)> {
    packed.lines().filter_map(|line| line.split_once('='))
}

fn main_exception_of(event: &Map<String, Value>) -> Option<&Map<String, Value>> {
    event.get("exception")?.get("values")?.as_array()?.last()?.as_object()
}

fn context<'a>(event: &'a Map<String, Value>, name: &str) -> Option<&'a Map<String, Value>> {
    event.get("contexts")?.get(name)?.as_object()
}

fn text<'a>(holder: &'a Map<String, Value>, key: &str) -> Option<&'a str> {
    holder.get(key)?.as_str()
}

fn yes_or_no(is_so: bool) -> &'static str {
    if is_so { "yes" } else { "no" }
}

/// The host of a URL, without user, port and path.
fn host(url: &str) -> Option<&str> {
    let (_, rest) = url.split_once("://")?;
    let authority = rest.split(['/', '?', '#']).next()?;
    let host = authority.rsplit('@').next()?;
    Some(if host.starts_with('[') { host } else { host.split(':').next()? })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pairs(event: &Value, has_user: bool) -> Vec<(String, String)> {
        tags_of(event, has_user).into_iter().map(|tag| (tag.key.into_owned(), tag.value)).collect()
    }

    #[test]
    fn an_event_tells_its_tags_itself_and_its_sdk_adds_others() {
        let event = json!({
            "environment": "production", "release": "shop@2", "level": "error", "platform": "python",
            "server_name": "web-3", "transaction": "/checkout",
            "exception": {"values": [{"type": "Cause"}, {"type": "KeyError", "mechanism": {"type": "flask", "handled": false}}]},
            "sdk": {"name": "sentry.python"},
            "request": {"url": "https://ann:pw@shop.example:8443/pay?x=1"},
            "contexts": {"browser": {"name": "Firefox", "version": "141.0"}, "os": {"name": "Linux"},
                "device": {"family": "Pixel", "model": "Pixel 9"}, "runtime": {"name": "CPython", "version": "3.13"}},
            "tags": [["plan", "pro"], ["level", "odd"], ["empty", " "], ["bad key", "x"], ["user.email", "a@b.example"], ["Email", "a@b.example"]],
        });
        let told = pairs(&event, true);
        let told: Vec<(&str, &str)> =
            told.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
        assert_eq!(
            told,
            [
                ("environment", "production"),
                ("release", "shop@2"),
                ("level", "error"),
                ("platform", "python"),
                ("server_name", "web-3"),
                ("transaction", "/checkout"),
                ("error.type", "KeyError"),
                ("mechanism", "flask"),
                ("handled", "no"),
                ("has_user", "yes"),
                ("sdk", "sentry.python"),
                ("url.host", "shop.example"),
                ("browser.name", "Firefox"),
                ("browser", "Firefox 141.0"),
                ("os.name", "Linux"),
                ("os", "Linux"),
                ("runtime.name", "CPython"),
                ("runtime", "CPython 3.13"),
                ("device", "Pixel 9"),
                ("device.family", "Pixel"),
                ("plan", "pro"),
            ]
        );
    }

    #[test]
    fn a_flood_of_tags_is_cut() {
        let many: Vec<Value> = (0..5_000).map(|number| json!([format!("k{number}"), "v"])).collect();
        assert_eq!(tags_of(&json!({"level": "error", "tags": many}), false).len(), 100);
        let long = json!({"tags": [["k".repeat(33), "v"], ["k".repeat(32), "x".repeat(1_000)]]});
        let tags = tags_of(&long, false);
        assert_eq!(tags.len(), 2, "{tags:?}");
        assert_eq!((tags[1].key.len(), tags[1].value.chars().count()), (32, 200));
    }

    #[test]
    fn odd_shapes_are_no_tags() {
        assert_eq!(pairs(&json!("text"), false), []);
        let odd =
            json!({"tags": {"a": "b"}, "contexts": 7, "exception": [], "request": {"url": 1}, "sdk": "x"});
        assert_eq!(pairs(&odd, false), [("has_user".to_owned(), "no".to_owned())]);
    }

    #[test]
    fn traces_are_thirty_two_digits() {
        let of = |id: &str| trace_of(&json!({"contexts": {"trace": {"trace_id": id}}}));
        assert_eq!(of("0af7651916cd43dd8448eb211c80319c").unwrap()[..3], [0x0a, 0xf7, 0x65]);
        assert_eq!(of("0AF76519-16cd-43dd-8448-eb211c80319c").unwrap()[..3], [0x0a, 0xf7, 0x65]);
        for odd in ["", "0af7", "00000000000000000000000000000000", "+af7651916cd43dd8448eb211c80319c"] {
            assert_eq!(of(odd), None, "{odd}");
        }
    }

    #[test]
    fn packing_keeps_tags_as_they_are() {
        let tags = tags_of(&json!({"tags": [["a:b", "1=2"], ["c", "x\ny"]]}), false);
        let packed = pack_tags(&tags);
        assert_eq!(packed, "has_user=no\na:b=1=2\nc=x y\n");
        let unpacked: Vec<_> = unpack_tags(&packed).collect();
        assert_eq!(unpacked, [("has_user", "no"), ("a:b", "1=2"), ("c", "x y")]);
    }
}
