//! What must not leave the process: e-mail addresses, credentials, cookies.

use sentry::protocol::{Context, Event, Transaction, Value};

/// What stands for an e-mail address.
const EMAIL: &str = "[email]";
/// What stands for anything else that was taken out.
const FILTERED: &str = "[filtered]";
/// Nesting below which extra data is replaced as a whole.
const DEPTH_MAX: usize = 32;
/// Names, or parts of names, of fields and headers whose values are secrets; compared in lower case without `-` and `_`.
const SECRET_NAMES: [&str; 12] = [
    "authorization",
    "cookie",
    "password",
    "passwd",
    "secret",
    "token",
    "apikey",
    "privatekey",
    "csrf",
    "xsrf",
    "credential",
    "sessionid",
];

/// Scrubs an event in place.
pub(crate) fn scrub_event(event: &mut Event<'static>, is_production: bool) {
    if is_production && let Some(user) = &mut event.user {
        user.email = None;
        user.username = user.username.take().filter(|name| !name.contains('@'));
    }
    scrub_option(&mut event.message);
    if let Some(entry) = &mut event.logentry {
        scrub_text(&mut entry.message);
        entry.params.iter_mut().for_each(|value| scrub_value(value, DEPTH_MAX));
    }
    for exception in &mut event.exception.values {
        scrub_option(&mut exception.value);
    }
    for breadcrumb in &mut event.breadcrumbs.values {
        scrub_option(&mut breadcrumb.message);
        scrub_fields(&mut breadcrumb.data, DEPTH_MAX);
    }
    scrub_fields(&mut event.extra, DEPTH_MAX);
    scrub_contexts(&mut event.contexts);
    for (name, value) in &mut event.tags {
        scrub_named(name, value);
    }
    if let Some(request) = &mut event.request {
        scrub_request(request);
    }
}

/// Scrubs a transaction's request; names of spans are templates.
pub(crate) fn scrub_transaction(transaction: &mut Transaction<'static>, is_production: bool) {
    if is_production && let Some(user) = &mut transaction.user {
        user.email = None;
    }
    if let Some(request) = &mut transaction.request {
        scrub_request(request);
    }
    scrub_fields(&mut transaction.extra, DEPTH_MAX);
}

fn scrub_request(request: &mut sentry::protocol::Request) {
    for (name, value) in &mut request.headers {
        scrub_named(name, value);
    }
    request.cookies = None;
    scrub_option(&mut request.data);
    if let Some(query) = &mut request.query_string {
        let pairs = query.split('&').map(|pair| match pair.split_once('=') {
            Some((name, _)) if is_secret(name) => format!("{name}={FILTERED}"),
            _ => pair.to_owned(),
        });
        *query = pairs.collect::<Vec<_>>().join("&");
        scrub_text(query);
    }
}

fn scrub_contexts(contexts: &mut sentry::protocol::Map<String, Context>) {
    for context in contexts.values_mut() {
        if let Context::Other(fields) = context {
            scrub_fields(fields, DEPTH_MAX);
        }
    }
}

fn scrub_fields<'a>(fields: impl IntoIterator<Item = (&'a String, &'a mut Value)>, depth: usize) {
    for (name, value) in fields {
        if is_secret(name) && !value.is_null() {
            *value = Value::from(FILTERED);
        } else {
            scrub_value(value, depth);
        }
    }
}

fn scrub_value(value: &mut Value, depth: usize) {
    match value {
        Value::String(text) => scrub_text(text),
        Value::Array(_) | Value::Object(_) if depth == 0 => *value = Value::from(FILTERED),
        Value::Array(items) => items.iter_mut().for_each(|item| scrub_value(item, depth - 1)),
        Value::Object(fields) => scrub_fields(fields, depth - 1),
        _ => {}
    }
}

fn scrub_named(name: &str, value: &mut String) {
    if is_secret(name) {
        FILTERED.clone_into(value);
    } else {
        scrub_text(value);
    }
}

fn scrub_option(text: &mut Option<String>) {
    if let Some(text) = text {
        scrub_text(text);
    }
}

fn is_secret(name: &str) -> bool {
    let name: String =
        name.chars().filter(|it| !matches!(it, '-' | '_')).map(|it| it.to_ascii_lowercase()).collect();
    SECRET_NAMES.iter().any(|secret| name.contains(secret))
}

/// Replaces e-mail addresses and what follows `Bearer` or `Basic`.
pub(crate) fn scrub_text(text: &mut String) {
    if text.contains('@')
        && let Some(scrubbed) = without_addresses(text)
    {
        *text = scrubbed;
    }
    for scheme in ["Bearer ", "Basic "] {
        let mut from = 0;
        while let Some(at) = text[from..].find(scheme).map(|at| from + at + scheme.len()) {
            let credentials =
                text[at..].find(|it: char| it.is_whitespace() || matches!(it, '"' | '\'' | ','));
            let end = credentials.map_or(text.len(), |length| at + length);
            if end - at >= 8 {
                text.replace_range(at..end, FILTERED);
            }
            from = at;
        }
    }
}

/// The text with each `local@domain.tld` replaced; `None` if there is none.
fn without_addresses(text: &str) -> Option<String> {
    let is_local = |it: char| it.is_alphanumeric() || "._%+-'".contains(it);
    let is_domain = |it: char| it.is_alphanumeric() || matches!(it, '.' | '-');
    let mut out = String::new();
    let mut copied = 0;
    for (at, _) in text.match_indices('@') {
        if at < copied {
            continue;
        }
        let before = &text[copied..at];
        let local = before
            .rfind(|it| !is_local(it))
            .map_or(0, |end| end + before[end..].chars().next().map_or(0, char::len_utf8));
        let after = &text[at + 1..];
        let domain = &after[..after.find(|it| !is_domain(it)).unwrap_or(after.len())];
        let domain = domain.trim_end_matches(['.', '-']);
        let has_top_level = domain.rsplit_once('.').is_some_and(|(host, top)| {
            !host.is_empty() && top.len() >= 2 && top.chars().all(char::is_alphabetic)
        });
        if local == before.len() || !has_top_level {
            continue;
        }
        out.push_str(&before[..local]);
        out.push_str(EMAIL);
        copied = at + 1 + domain.len();
    }
    (copied > 0).then(|| out + &text[copied..])
}

#[cfg(test)]
mod tests {
    use sentry::User;
    use sentry::protocol::{Exception, Request};
    use serde_json::json;

    use super::*;

    fn scrubbed(text: &str) -> String {
        let mut text = text.to_owned();
        scrub_text(&mut text);
        text
    }

    #[test]
    fn addresses_and_credentials_leave_the_text_around_them() {
        for (text, expected) in [
            ("no account ada@example.org here", "no account [email] here"),
            ("<ada.l+x@mail.example.co.uk>, bob@b.de.", "<[email]>, [email]."),
            ("größe ä@exämple.de!", "größe [email]!"),
            ("user@localhost and a @ b and @home", "user@localhost and a @ b and @home"),
            ("git@github.com:o/r", "[email]:o/r"),
            ("Authorization: Bearer abc.def.ghi-123, next", "Authorization: Bearer [filtered], next"),
            ("a Basic idea", "a Basic idea"),
            ("Bearer 12345678", "Bearer [filtered]"),
            ("@@@", "@@@"),
        ] {
            assert_eq!(scrubbed(text), expected);
        }
    }

    #[test]
    fn every_part_of_an_event_is_scrubbed() {
        let mut event = Event {
            message: Some("for ada@example.org".to_owned()),
            user: Some(User {
                id: Some("7".to_owned()),
                email: Some("ada@example.org".to_owned()),
                username: Some("ada".to_owned()),
                ..User::default()
            }),
            exception: vec![Exception {
                value: Some("ada@example.org is unknown".to_owned()),
                ..Exception::default()
            }]
            .into(),
            request: Some(Request {
                headers: [("Authorization", "Basic x"), ("X-Api-Key", "k"), ("Accept", "*/*")]
                    .map(|(name, value)| (name.to_owned(), value.to_owned()))
                    .into(),
                query_string: Some("page=2&access_token=abc&mail=ada@example.org".to_owned()),
                cookies: Some("sid=1".to_owned()),
                ..Request::default()
            }),
            ..Event::default()
        };
        event.extra.insert("order".to_owned(), json!({"password": "p", "to": ["ada@example.org"], "sum": 4}));
        event.tags.insert("session_id".to_owned(), "abc".to_owned());
        scrub_event(&mut event, true);
        assert_eq!(event.message.as_deref(), Some("for [email]"));
        let user = event.user.unwrap();
        assert_eq!((user.email, user.username.as_deref()), (None, Some("ada")));
        assert_eq!(event.exception.values[0].value.as_deref(), Some("[email] is unknown"));
        let request = event.request.unwrap();
        assert_eq!(request.headers["Authorization"], "[filtered]");
        assert_eq!(request.headers["X-Api-Key"], "[filtered]");
        assert_eq!(request.headers["Accept"], "*/*");
        assert_eq!(request.query_string.as_deref(), Some("page=2&access_token=[filtered]&mail=[email]"));
        assert_eq!(request.cookies, None);
        assert_eq!(event.extra["order"], json!({"password": "[filtered]", "to": ["[email]"], "sum": 4}));
        assert_eq!(event.tags["session_id"], "[filtered]");
    }

    #[test]
    fn outside_production_the_user_keeps_the_address() {
        let user = User { email: Some("ada@example.org".to_owned()), ..User::default() };
        let mut event = Event { user: Some(user), ..Event::default() };
        scrub_event(&mut event, false);
        assert_eq!(event.user.unwrap().email.as_deref(), Some("ada@example.org"));
    }

    #[test]
    fn nesting_without_end_is_cut() {
        let mut deep = json!("ada@example.org");
        for _ in 0..100 {
            deep = json!([deep]);
        }
        scrub_value(&mut deep, DEPTH_MAX);
        let text = deep.to_string();
        assert!(text.contains(FILTERED) && !text.contains("ada"), "{text}");
    }
}
