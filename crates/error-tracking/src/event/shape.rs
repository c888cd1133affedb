use belvedere_storage::Timestamp;
use serde_json::{Map, Value};

use super::limits::clean;
use crate::Level;
use crate::timestamp::parse_timestamp;

/// Names that clients before 2018 give to attributes.
const OLD_NAMES: [(&str, &str); 9] = [
    ("sentry.interfaces.Exception", "exception"),
    ("sentry.interfaces.Message", "logentry"),
    ("sentry.interfaces.Stacktrace", "stacktrace"),
    ("sentry.interfaces.Http", "request"),
    ("sentry.interfaces.User", "user"),
    ("sentry.interfaces.Breadcrumbs", "breadcrumbs"),
    ("sentry.interfaces.Contexts", "contexts"),
    ("sentry.interfaces.Csp", "csp"),
    ("sentry.interfaces.Template", "template"),
];

/// Attributes that are objects or nothing.
const OBJECTS: [&str; 6] = ["contexts", "extra", "modules", "sdk", "request", "debug_meta"];

/// Attributes that are short texts or nothing, with the most characters.
const TEXTS: [(&str, usize); 7] = [
    ("release", 250),
    ("dist", 64),
    ("environment", 64),
    ("server_name", 200),
    ("transaction", 200),
    ("logger", 64),
    ("culprit", 200),
];

/// How much of a template is filled, in bytes: as much as is kept of a message.
const TEMPLATE_BYTES_MAX: usize = 8 << 10;

/// Brings the attributes into the stored shape and drops those that cannot be.
pub(super) fn unify(event: &mut Map<String, Value>) {
    for (old, new) in OLD_NAMES {
        if let Some(value) = event.remove(old) {
            event.entry(new).or_insert(value);
        }
    }
    // Notes of the client's own trimming, and numbers of the project that mean nothing here.
    for key in ["_meta", "project", "key_id", "errors"] {
        event.remove(key);
    }
    for key in OBJECTS {
        if event.get(key).is_some_and(|value| !value.is_object()) {
            event.remove(key);
        }
    }
    for (key, chars_max) in TEXTS {
        let text =
            event.remove(key).and_then(|value| scalar_text(&value)).map(|text| clean(&text, chars_max));
        if let Some(text) = text.filter(|text| !text.is_empty()) {
            event.insert(key.to_owned(), text.into());
        }
    }
    for key in ["exception", "threads", "breadcrumbs"] {
        unify_values(event, key);
    }
    unify_stacktraces(event);
    unify_message(event);
    unify_pairs(event, "tags", 200);
    if let Some(Value::Object(request)) = event.get_mut("request") {
        unify_pairs(request, "headers", 4_096);
    }
    match event.remove("fingerprint") {
        Some(Value::Array(parts)) => {
            let parts: Vec<Value> = parts
                .iter()
                .filter_map(scalar_text)
                .take(100)
                .map(|text| clean(&text, 1_000).into())
                .collect();
            event.insert("fingerprint".to_owned(), parts.into());
        }
        Some(Value::String(part)) => {
            event.insert("fingerprint".to_owned(), vec![clean(&part, 1_000)].into());
        }
        _ => {}
    }
}

/// `{"values": [..]}`, `[..]` and a lone object all become the first, and go if nothing is in them.
fn unify_values(event: &mut Map<String, Value>, key: &str) {
    let values = match event.remove(key) {
        Some(Value::Object(mut object)) => match object.remove("values") {
            Some(Value::Array(values)) => values,
            Some(_) => return,
            None => vec![Value::Object(object)],
        },
        Some(Value::Array(values)) => values,
        _ => return,
    };
    let values: Vec<Value> = values
        .into_iter()
        .filter(|value| value.as_object().is_some_and(|object| !object.is_empty()))
        .collect();
    if !values.is_empty() {
        // Moved, not through `json!`, which would copy all of it.
        event.insert(key.to_owned(), Map::from_iter([("values".to_owned(), values.into())]).into());
    }
}

fn unify_stacktraces(event: &mut Map<String, Value>) {
    let mut top = event.remove("stacktrace");
    // Old clients put the only exception's stack trace beside it.
    if let Some(Value::Array(exceptions)) = event.get_mut("exception").and_then(|list| list.get_mut("values"))
    {
        if let [Value::Object(only)] = exceptions.as_mut_slice()
            && !only.get("stacktrace").is_some_and(Value::is_object)
            && let Some(stacktrace) = top.take()
        {
            only.insert("stacktrace".to_owned(), stacktrace);
        }
        for exception in exceptions {
            let Value::Object(exception) = exception else { continue };
            unify_frames(exception);
            for key in ["type", "value", "module"] {
                let Some(value) = exception.remove(key) else { continue };
                let text = match value {
                    Value::Null => continue,
                    Value::String(text) => text,
                    other => other.to_string(),
                };
                if !text.is_empty() {
                    exception.insert(key.to_owned(), text.into());
                }
            }
        }
    }
    if let Some(Value::Array(threads)) = event.get_mut("threads").and_then(|list| list.get_mut("values")) {
        for thread in threads {
            let Value::Object(thread) = thread else { continue };
            unify_frames(thread);
        }
    }
    // What held nothing but an empty stack trace holds nothing now.
    for key in ["exception", "threads"] {
        if let Some(Value::Array(values)) = event.get_mut(key).and_then(|list| list.get_mut("values")) {
            values.retain(|value| value.as_object().is_some_and(|object| !object.is_empty()));
            if values.is_empty() {
                event.remove(key);
            }
        }
    }
    if let Some(stacktrace) = top {
        event.insert("stacktrace".to_owned(), stacktrace);
        unify_frames(event);
    }
}

/// Keeps `stacktrace` only if it has frames, and only frames that are objects.
fn unify_frames(holder: &mut Map<String, Value>) {
    let Some(stacktrace) = holder.get_mut("stacktrace") else { return };
    let frames = stacktrace.get_mut("frames").and_then(Value::as_array_mut);
    let has_frames = frames.is_some_and(|frames| {
        frames.retain(|frame| frame.as_object().is_some_and(|frame| !frame.is_empty()));
        !frames.is_empty()
    });
    if !has_frames {
        holder.remove("stacktrace");
    }
}

/// Every way of giving a message becomes `logentry` with `formatted`.
fn unify_message(event: &mut Map<String, Value>) {
    let mut logentry = match event.remove("logentry") {
        Some(Value::Object(logentry)) => logentry,
        Some(Value::String(text)) => Map::from_iter([("formatted".to_owned(), text.into())]),
        _ => Map::new(),
    };
    match event.remove("message") {
        Some(Value::String(text)) if !text.is_empty() && !logentry.contains_key("formatted") => {
            // Beside a template, the attribute holds the template or the whole; the longer says more.
            let template = logentry.get("message").and_then(Value::as_str).unwrap_or_default();
            if template.is_empty() || (template != text && !text.contains('%')) {
                logentry.insert("formatted".to_owned(), text.into());
            }
        }
        Some(Value::Object(interface)) => {
            for (key, value) in interface {
                logentry.entry(key).or_insert(value);
            }
        }
        _ => {}
    }
    for key in ["formatted", "message"] {
        let text =
            logentry.remove(key).and_then(|value| scalar_text(&value)).filter(|text| !text.trim().is_empty());
        if let Some(text) = text {
            logentry.insert(key.to_owned(), text.into());
        }
    }
    if !logentry.contains_key("formatted") {
        let Some(template) = logentry.get("message").and_then(Value::as_str) else { return };
        let template = &template[..template.floor_char_boundary(TEMPLATE_BYTES_MAX)];
        let formatted = fill_template(template, logentry.get("params"));
        logentry.insert("formatted".to_owned(), formatted.into());
    }
    if logentry.get("message") == logentry.get("formatted") && !logentry.contains_key("params") {
        logentry.remove("message");
    }
    event.insert("logentry".to_owned(), logentry.into());
}

/// Puts `params` into the places of `template`: `%s` and its like and `{}` one after the other, `%(name)s` by name.
fn fill_template(template: &str, params: Option<&Value>) -> String {
    let list = match params {
        Some(Value::Array(list)) => list.as_slice(),
        _ => &[],
    };
    let named = params.and_then(Value::as_object);
    let mut next = list.iter();
    let mut filled = String::with_capacity(template.len() + 32);
    let mut rest = template;
    while let Some(at) = rest.find(['%', '{']) {
        let (before, place) = rest.split_at(at);
        filled.push_str(before);
        let (length, value) = if place.starts_with("%%") {
            (2, Some("%".to_owned()))
        } else if place.starts_with("{}") {
            (2, next.next().map(param_text))
        } else if let Some((name, after)) = place.strip_prefix("%(").and_then(|place| place.split_once(')'))
            && after.starts_with(|letter: char| letter.is_ascii_alphabetic())
        {
            (name.len() + 4, named.and_then(|named| named.get(name)).map(param_text))
        } else if matches!(
            place.as_bytes(),
            [b'%', b's' | b'd' | b'i' | b'r' | b'f' | b'o' | b'x' | b'O' | b'j', ..]
        ) {
            (2, next.next().map(param_text))
        } else {
            (1, None)
        };
        match value {
            Some(value) => filled.push_str(&value),
            None => filled.push_str(&place[..length]),
        }
        rest = &place[length..];
    }
    filled.push_str(rest);
    filled
}

fn param_text(value: &Value) -> String {
    scalar_text(value).unwrap_or_else(|| value.to_string())
}

/// Text, number or truth value as text; nothing for the rest.
fn scalar_text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(truth) => Some(truth.to_string()),
        _ => None,
    }
}

/// An object or a list of pairs becomes a list of pairs of text; pairs without a value go.
fn unify_pairs(holder: &mut Map<String, Value>, key: &str, value_chars_max: usize) {
    let pair = |name: &str, value: &Value| {
        let value = match value {
            // A header that came more than once.
            Value::Array(several) => several.iter().filter_map(scalar_text).collect::<Vec<_>>().join(", "),
            other => scalar_text(other)?,
        };
        let name = clean(name, 200);
        (!name.is_empty()).then(|| Value::Array(vec![name.into(), clean(&value, value_chars_max).into()]))
    };
    let pairs: Vec<Value> = match holder.remove(key) {
        Some(Value::Object(object)) => object.iter().filter_map(|(name, value)| pair(name, value)).collect(),
        Some(Value::Array(list)) => list
            .iter()
            .filter_map(|entry| match entry {
                Value::Array(entry) => pair(scalar_text(entry.first()?)?.as_str(), entry.get(1)?),
                // Sentry's own answers show tags so.
                Value::Object(entry) => pair(entry.get("key")?.as_str()?, entry.get("value")?),
                _ => None,
            })
            .collect(),
        _ => return,
    };
    if !pairs.is_empty() {
        holder.insert(key.to_owned(), pairs.into());
    }
}

/// The level, in Sentry's words or Python's numbers; an event without a known one is an error.
pub(super) fn take_level(event: &mut Map<String, Value>) -> Level {
    match event.remove("level") {
        Some(Value::String(word)) => match word.trim().to_ascii_lowercase().as_str() {
            "debug" | "trace" | "verbose" => Level::Debug,
            "info" | "log" | "notice" => Level::Info,
            "warning" | "warn" => Level::Warning,
            "fatal" | "critical" | "panic" | "emergency" => Level::Fatal,
            _ => Level::Error,
        },
        Some(Value::Number(number)) => match number.as_u64() {
            Some(0..=10) => Level::Debug,
            Some(11..=20) => Level::Info,
            Some(21..=30) => Level::Warning,
            Some(50..) => Level::Fatal,
            _ => Level::Error,
        },
        _ => Level::Error,
    }
}

/// The platform as a lower-case word of at most 32 characters; `other` if there is none.
pub(super) fn take_platform(event: &mut Map<String, Value>) -> String {
    let told = event.remove("platform");
    let word = told.as_ref().and_then(Value::as_str).unwrap_or_default().trim().to_ascii_lowercase();
    let is_word = (1..=32).contains(&word.len())
        && word
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'+' | b'#'));
    if is_word { word } else { "other".to_owned() }
}

/// Says of every frame whether it belongs to the application, where the SDK did not.
pub(super) fn mark_in_app(event: &mut Map<String, Value>, platform: &str) {
    for key in ["exception", "threads"] {
        let Some(Value::Array(values)) = event.get_mut(key).and_then(|list| list.get_mut("values")) else {
            continue;
        };
        for value in values {
            if let Value::Object(holder) = value {
                mark_frames(holder, platform);
            }
        }
    }
    mark_frames(event, platform);
}

fn mark_frames(holder: &mut Map<String, Value>, platform: &str) {
    let Some(Value::Array(frames)) = holder.get_mut("stacktrace").and_then(|trace| trace.get_mut("frames"))
    else {
        return;
    };
    for frame in frames {
        let Value::Object(frame) = frame else { continue };
        let platform = frame.get("platform").and_then(Value::as_str).unwrap_or(platform);
        let told = frame.get("in_app").and_then(Value::as_bool);
        let in_app = match told {
            // The Rust SDK takes every function for the application's whose name is not that of a known library.
            Some(true) => !(is_native(platform) && lies_outside_application(frame)),
            Some(false) => false,
            None => looks_like_application(frame, platform),
        };
        if told != Some(in_app) {
            frame.insert("in_app".to_owned(), in_app.into());
        }
    }
}

fn is_native(platform: &str) -> bool {
    matches!(platform, "native" | "rust" | "c" | "cpp")
}

/// Whether a compiled frame comes from the standard library, the C runtime, a registry or the SDK; or from nowhere.
fn lies_outside_application(frame: &Map<String, Value>) -> bool {
    let text = |key: &str| frame.get(key).and_then(Value::as_str).unwrap_or_default();
    let path = if text("abs_path").is_empty() { text("filename") } else { text("abs_path") };
    if path.is_empty() && text("module").is_empty() && text("package").is_empty() {
        return true;
    }
    path.starts_with("/rustc/")
        || path.starts_with("./csu/")
        || path.starts_with("/usr/include/")
        || ["/registry/src/", "/sentry-", "/glibc"].iter().any(|part| path.contains(part))
}

fn looks_like_application(frame: &Map<String, Value>, platform: &str) -> bool {
    let text = |key: &str| frame.get(key).and_then(Value::as_str).unwrap_or_default();
    let (file, path, module) = (text("filename"), text("abs_path"), text("module"));
    let lies_in = |part: &str| file.contains(part) || path.contains(part);
    match platform {
        "javascript" | "node" => {
            !(lies_in("node_modules/")
                || file.starts_with("node:")
                || file.contains("[native code]")
                || lies_in("-extension://"))
        }
        "python" => {
            !(lies_in("site-packages/")
                || lies_in("dist-packages/")
                || lies_in("/lib/python")
                || file.starts_with("<frozen"))
        }
        "ruby" => !(lies_in("/gems/") || lies_in("/lib/ruby/")),
        "php" => !lies_in("/vendor/"),
        "go" => {
            !(lies_in("/pkg/mod/") || lies_in("/vendor/") || lies_in("/usr/local/go/"))
                && module.contains('.')
        }
        _ => false,
    }
}

/// Moves the times of breadcrumbs by what the client's clock was off.
pub(super) fn correct_breadcrumbs(event: &mut Map<String, Value>, correction_micros: i64) {
    let Some(Value::Array(crumbs)) = event.get_mut("breadcrumbs").and_then(|list| list.get_mut("values"))
    else {
        return;
    };
    for crumb in crumbs {
        let Some(timestamp) = crumb.get_mut("timestamp") else { continue };
        if let Some(at) = parse_timestamp(timestamp) {
            let corrected = Timestamp::from_micros(at.as_micros().saturating_add(correction_micros));
            *timestamp = corrected.to_string().into();
        }
    }
}

/// A short text attribute, if it is there.
pub(super) fn text_of(event: &Map<String, Value>, key: &str, chars_max: usize) -> Option<String> {
    event.get(key).and_then(Value::as_str).map(|text| clean(text, chars_max)).filter(|text| !text.is_empty())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn templates_are_filled_in_every_dialect() {
        for (template, params, expected) in [
            ("%s of %d", json!(["basket", 3]), "basket of 3"),
            ("%(who)s did %(what)s", json!({"who": "cron", "what": "nothing"}), "cron did nothing"),
            ("{} and {}", json!(["a", "b"]), "a and b"),
            ("100%% of %s", json!([]), "100% of %s"),
            ("100 % {x} %(broken", json!(null), "100 % {x} %(broken"),
            ("%(a)", json!({"a": 1}), "%(a)"),
            ("%(a)ä", json!({"a": 1}), "%(a)ä"),
        ] {
            assert_eq!(fill_template(template, Some(&params)), expected);
        }
    }

    #[test]
    fn levels_are_words_or_the_numbers_of_python() {
        for (told, level) in [
            (json!("warn"), Level::Warning),
            (json!("CRITICAL"), Level::Fatal),
            (json!(40), Level::Error),
            (json!(20), Level::Info),
            (json!("whatever"), Level::Error),
            (json!(null), Level::Error),
        ] {
            assert_eq!(
                take_level(&mut Map::from_iter([("level".to_owned(), told.clone())])),
                level,
                "{told}"
            );
        }
    }
}
