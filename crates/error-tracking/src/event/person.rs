use std::net::IpAddr;

use belvedere_kernel::{Identity, Removal};
use memchr::memmem::Finder;
use serde_json::{Map, Number, Value};

use super::browser;
use super::limits::{clean, note};

/// The rule under which the person's identifiers are listed among the removals.
pub(super) const RULE: &str = "identity";

/// What stands where an identifier stood.
pub(super) const REPLACEMENT: &str = "[user]";

/// The longest identifier, in characters.
const IDENTIFIER_CHARS_MAX: usize = 256;

/// Headers that carry the address of the sender.
const ADDRESS_HEADERS: [&str; 7] = [
    "x-forwarded-for",
    "x-real-ip",
    "forwarded",
    "cf-connecting-ip",
    "true-client-ip",
    "x-client-ip",
    "fly-client-ip",
];

/// Variables of the CGI environment that carry the address of the sender.
const ADDRESS_VARIABLES: [&str; 3] = ["REMOTE_ADDR", "HTTP_X_FORWARDED_FOR", "HTTP_X_REAL_IP"];

/// The values that were taken out of an event.
#[derive(Debug, Default)]
pub(super) struct Taken(Vec<Value>);

impl Taken {
    /// How often `text` stands in what was taken out.
    fn count(&self, text: &str) -> usize {
        fn count_in(value: &Value, text: &str) -> usize {
            match value {
                Value::String(told) => memchr::memmem::find_iter(told.as_bytes(), text.as_bytes()).count(),
                Value::Number(number) => usize::from(number.to_string() == text),
                Value::Array(list) => list.iter().map(|entry| count_in(entry, text)).sum(),
                Value::Object(object) => object.values().map(|entry| count_in(entry, text)).sum(),
                _ => 0,
            }
        }
        self.0.iter().map(|value| count_in(value, text)).sum()
    }
}

/// Takes `user` out of the event and says who that is.
///
/// An address is the one that the client tells, the sender's where it says `{{auto}}`, and the sender's as well where
/// the SDK wants it inferred: by its setting, or, without one, on the platforms whose SDKs run on people's devices.
/// (Sentry's rules for `user.ip_address`.)
pub(super) fn take_identity(
    event: &mut Map<String, Value>,
    platform: &str,
    remote_ip: Option<&str>,
    taken: &mut Taken,
    removals: &mut Vec<Removal>,
) -> Identity {
    let user = match event.remove("user") {
        Some(Value::Object(user)) => user,
        _ => Map::new(),
    };
    if user.values().any(|value| !value.is_null()) {
        note(removals, || "/user".to_owned(), RULE);
    }
    let told = |key: &str| user.get(key).and_then(identifier);
    let ip_address = match told("ip_address") {
        Some(text) if text == "{{auto}}" => remote_ip.map(str::to_owned),
        Some(text) => address(&text),
        None if infers_address(event, platform) => remote_ip.map(str::to_owned),
        None => environment_address(event),
    };
    let identity = Identity {
        id: told("id"),
        username: told("username"),
        email: told("email"),
        ip_address,
        name: told("name"),
        ..Identity::default()
    };
    taken.0.extend(user.into_iter().map(|(_, value)| value));
    identity
}

fn identifier(value: &Value) -> Option<String> {
    let text = match value {
        Value::String(text) => clean(text, IDENTIFIER_CHARS_MAX),
        Value::Number(number) => number.to_string(),
        _ => return None,
    };
    // A client that scrubs writes these; they would make everybody one person.
    let says_nothing =
        matches!(text.as_str(), "" | "[Filtered]" | "[filtered]" | "null" | "undefined" | "None");
    (!says_nothing).then_some(text)
}

fn address(text: &str) -> Option<String> {
    text.parse::<IpAddr>().ok().map(|address| address.to_canonical().to_string())
}

fn infers_address(event: &Map<String, Value>, platform: &str) -> bool {
    let settings = event.get("sdk").and_then(|sdk| sdk.get("settings"));
    match settings.and_then(|settings| settings.get("infer_ip")).and_then(Value::as_str) {
        Some("auto") => true,
        Some(_) => false,
        None => matches!(platform, "javascript" | "cocoa" | "objc"),
    }
}

/// The address that a web framework saw, unless that is a machine of the own network, such as a proxy.
fn environment_address(event: &Map<String, Value>) -> Option<String> {
    let told = event.get("request")?.get("env")?.get("REMOTE_ADDR")?.as_str()?;
    let is_public = match told.trim().parse::<IpAddr>().ok()?.to_canonical() {
        IpAddr::V4(v4) => !(v4.is_private() || v4.is_loopback() || v4.is_link_local() || v4.is_unspecified()),
        IpAddr::V6(v6) => {
            !(v6.is_loopback() || v6.is_unique_local() || v6.is_unicast_link_local() || v6.is_unspecified())
        }
    };
    if is_public { address(told.trim()) } else { None }
}

/// Takes the sender's addresses and the user agent out of the request, and keeps of the latter the names and main
/// versions of browser and operating system, unless the SDK has told them.
pub(super) fn take_client_traces(
    event: &mut Map<String, Value>,
    taken: &mut Taken,
    removals: &mut Vec<Removal>,
) {
    let mut user_agent = None;
    if let Some(Value::Object(request)) = event.get_mut("request") {
        if let Some(Value::Array(headers)) = request.get_mut("headers") {
            headers.retain(|pair| {
                let Some(name) = pair.get(0).and_then(Value::as_str) else { return false };
                let rule = if name.eq_ignore_ascii_case("user-agent") {
                    user_agent = pair.get(1).and_then(Value::as_str).map(str::to_owned);
                    "user_agent"
                } else if ADDRESS_HEADERS.iter().any(|header| name.eq_ignore_ascii_case(header)) {
                    "ip"
                } else {
                    return true;
                };
                note(
                    removals,
                    || format!("/request/headers/{}", name.replace('~', "~0").replace('/', "~1")),
                    rule,
                );
                false
            });
        }
        if let Some(Value::Object(environment)) = request.get_mut("env") {
            for name in ADDRESS_VARIABLES {
                if let Some(value) = environment.remove(name) {
                    taken.0.push(value);
                    note(removals, || format!("/request/env/{name}"), "ip");
                }
            }
            if let Some(value) = environment.remove("HTTP_USER_AGENT") {
                user_agent = user_agent.or(value.as_str().map(str::to_owned));
                note(removals, || "/request/env/HTTP_USER_AGENT".to_owned(), "user_agent");
            }
        }
    }
    if let Some(user_agent) = user_agent {
        let Value::Object(contexts) = event.entry("contexts").or_insert_with(|| Map::new().into()) else {
            return;
        };
        let seen = browser::recognise(&user_agent);
        for (key, seen) in [("browser", seen.browser), ("client_os", seen.system)] {
            // The operating system of a server program is its own; the visitor's stands beside it.
            let key = if key == "client_os" && !contexts.contains_key("os") { "os" } else { key };
            if let Some((name, version)) = seen
                && !contexts.contains_key(key)
            {
                let mut context = Map::new();
                context.insert("name".to_owned(), name.into());
                if let Some(version) = version {
                    context.insert("version".to_owned(), version.into());
                }
                contexts.insert(key.to_owned(), context.into());
            }
        }
    }
}

/// The person's identifiers, to be found wherever else the event repeats them.
///
/// Identifiers of five bytes or more that are not mere letters are found within text where they stand as words;
/// others only where they are all of a string, or `admin` would vanish from every sentence.
#[derive(Debug, Default)]
pub(super) struct Needles {
    words: Vec<Finder<'static>>,
    wholes: Vec<String>,
}

impl Needles {
    /// `raw` is the event as it was received, where that is at hand, and `taken` what is out of it already: most
    /// events name their person nowhere else, and need not be searched string by string.
    pub(super) fn new(identity: &Identity, raw: Option<&[u8]>, taken: &Taken) -> Self {
        let mut needles = Self::default();
        let values =
            [&identity.id, &identity.username, &identity.email, &identity.ip_address, &identity.name];
        for value in values.into_iter().flatten() {
            if value.len() < 4 || raw.is_some_and(|raw| !occurs_beside(raw, taken, value)) {
                continue;
            }
            if value.len() >= 5 && value.bytes().any(|byte| !byte.is_ascii_alphabetic() && byte < 0x80) {
                needles.words.push(Finder::new(value.as_bytes()).into_owned());
            } else {
                needles.wholes.push(value.clone());
            }
        }
        // The longer first, or a name within an address would leave half of it.
        needles.words.sort_by_key(|finder| std::cmp::Reverse(finder.needle().len()));
        needles
    }

    /// Whether there is nothing to look for.
    pub(super) fn is_empty(&self) -> bool {
        self.words.is_empty() && self.wholes.is_empty()
    }

    /// Whether there are identifiers that are found as words.
    pub(super) fn has_words(&self) -> bool {
        !self.words.is_empty()
    }

    /// `key` without the identifiers that are found as words; nothing if there is none. Mere words stay, or somebody
    /// called `extra` would take the structure of their events apart.
    pub(super) fn replaced_key(&self, key: &str) -> Option<String> {
        self.words.iter().fold(None, |replaced: Option<String>, finder| {
            replace_words(replaced.as_deref().unwrap_or(key), finder).or(replaced)
        })
    }

    /// Whether `number` is one of the identifiers.
    pub(super) fn is_identifier(&self, number: &Number) -> bool {
        if self.is_empty() {
            return false;
        }
        let text = number.to_string();
        self.wholes.contains(&text) || self.words.iter().any(|finder| finder.needle() == text.as_bytes())
    }

    /// Replaces every identifier in `text`; says whether there was one.
    pub(super) fn replace_in(&self, text: &mut String) -> bool {
        if self.wholes.iter().any(|whole| whole == text) {
            text.replace_range(.., REPLACEMENT);
            return true;
        }
        let mut found = false;
        for finder in &self.words {
            if let Some(replaced) = replace_words(text, finder) {
                *text = replaced;
                found = true;
            }
        }
        found
    }
}

/// `text` with every word that `finder` finds replaced; nothing if there is none.
fn replace_words(text: &str, finder: &Finder<'_>) -> Option<String> {
    let touches = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
    let mut replaced = String::new();
    let mut copied = 0;
    for start in finder.find_iter(text.as_bytes()) {
        let end = start + finder.needle().len();
        if !touches(text.as_bytes()[..start].last()) && !touches(text.as_bytes().get(end)) {
            replaced.push_str(&text[copied..start]);
            replaced.push_str(REPLACEMENT);
            copied = end;
        }
    }
    if copied == 0 {
        return None;
    }
    replaced.push_str(&text[copied..]);
    Some(replaced)
}

/// Whether `value` stands in the event oftener than in what was taken out. Text that JSON may write in several ways
/// is taken to.
fn occurs_beside(raw: &[u8], taken: &Taken, value: &str) -> bool {
    let has_escapes = |byte: u8| {
        !(0x20..0x7f).contains(&byte) || matches!(byte, b'"' | b'\\' | b'/' | b'<' | b'>' | b'&' | b'\'')
    };
    value.bytes().any(has_escapes)
        || memchr::memmem::find_iter(raw, value.as_bytes()).take(1_000).count() > taken.count(value).min(999)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn replaced(identity: &Identity, text: &str) -> String {
        let mut text = text.to_owned();
        Needles::new(identity, None, &Taken::default()).replace_in(&mut text);
        text
    }

    #[test]
    fn identifiers_are_found_as_words_only() {
        let identity = Identity {
            id: Some("20117".to_owned()),
            username: Some("m.devries".to_owned()),
            email: Some("m.devries@codeland.example".to_owned()),
            name: Some("Anna".to_owned()),
            ..Identity::default()
        };
        assert_eq!(replaced(&identity, "customer c-20117 attached"), "customer c-[user] attached");
        assert_eq!(replaced(&identity, "order 1201170 of 20117x"), "order 1201170 of 20117x");
        assert_eq!(
            replaced(&identity, "mail to m.devries@codeland.example, m.devries!"),
            "mail to [user], [user]!"
        );
        assert_eq!(replaced(&identity, "Anna"), "[user]");
        assert_eq!(replaced(&identity, "Anna's basket"), "Anna's basket");
    }

    #[test]
    fn an_identifier_next_to_other_alphabets_does_not_panic() {
        let identity = Identity { id: Some("änne-1".to_owned()), ..Identity::default() };
        assert_eq!(replaced(&identity, "ä änne-1ä"), "ä [user]ä");
    }

    #[test]
    fn placeholders_of_scrubbing_clients_identify_nobody() {
        for value in ["[Filtered]", "", "  ", "undefined"] {
            assert_eq!(identifier(&Value::String(value.to_owned())), None, "{value}");
        }
        assert_eq!(identifier(&serde_json::json!(20117)), Some("20117".to_owned()));
    }

    #[test]
    fn addresses_of_the_own_network_are_not_a_visitor() {
        let event = |address: &str| {
            let Value::Object(event) = serde_json::json!({"request": {"env": {"REMOTE_ADDR": address}}})
            else {
                panic!()
            };
            environment_address(&event)
        };
        assert_eq!(event("10.0.0.7"), None);
        assert_eq!(event("::ffff:127.0.0.1"), None);
        assert_eq!(event("203.0.113.24").as_deref(), Some("203.0.113.24"));
    }
}
