use serde_json::{Map, Value};

use super::limits::clean;
use super::{CULPRIT_CHARS_MAX, TITLE_CHARS_MAX};

/// What an event without anything to say is called, as in Sentry.
const UNLABELED: &str = "<unlabeled event>";

/// How an event is presented.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Description {
    /// `Type: value`, or the message; one line.
    pub(crate) title: String,
    /// `file in function` of the innermost frame of the application, or the transaction.
    pub(crate) culprit: String,
    /// Whether the program caught the exception itself.
    pub(crate) handled: Option<bool>,
    /// The SDK as `name/version`.
    pub(crate) sdk: Option<String>,
}

/// Derives title, culprit and the like from an event in the stored shape.
pub(crate) fn describe(event: &Value) -> Description {
    let main = main_exception(event);
    Description {
        title: title(event, main),
        culprit: culprit(event, main),
        handled: main.and_then(|main| main.get("mechanism")?.get("handled")?.as_bool()),
        sdk: sdk(event),
    }
}

/// The exception that was reported: the last one, after its causes.
pub(crate) fn main_exception(event: &Value) -> Option<&Map<String, Value>> {
    event.get("exception")?.get("values")?.as_array()?.last()?.as_object()
}

fn title(event: &Value, main: Option<&Map<String, Value>>) -> String {
    let message = event.get("logentry").and_then(|logentry| text(logentry.as_object(), "formatted"));
    let told = match (text(main, "type"), text(main, "value")) {
        (Some(kind), Some(value)) => Some(format!("{kind}: {}", first_line(value))),
        (Some(kind), None) => Some(kind.to_owned()),
        // Without a type it is a message that was captured with its stack trace.
        (None, value) => message.or(value).map(|text| first_line(text).to_owned()),
    };
    let told = told.or_else(|| {
        let frame = frames(event, main).and_then(culprit_frame)?;
        text(Some(frame), "function").map(str::to_owned)
    });
    let title = clean(told.as_deref().unwrap_or_default(), TITLE_CHARS_MAX);
    if title.is_empty() { UNLABELED.to_owned() } else { title }
}

fn first_line(text: &str) -> &str {
    text.lines().find(|line| !line.trim().is_empty()).unwrap_or_default()
}

fn culprit(event: &Value, main: Option<&Map<String, Value>>) -> String {
    let place = frames(event, main).and_then(culprit_frame).and_then(|frame| {
        let is_class_based = matches!(event.get("platform").and_then(Value::as_str), Some("java" | "csharp"));
        let module = text(Some(frame), "module");
        let file = text(Some(frame), "filename").or_else(|| text(Some(frame), "abs_path")).map(short_file);
        let file = if is_class_based { module.or(file) } else { file.or(module) };
        let function = text(Some(frame), "function").filter(|name| !matches!(*name, "?" | "<unknown>"));
        match (file, function) {
            (Some(file), Some(function)) => Some(format!("{file} in {function}")),
            (Some(only), None) | (None, Some(only)) => Some(only.to_owned()),
            (None, None) => None,
        }
    });
    let whole = event.as_object();
    let place = place.as_deref().or_else(|| text(whole, "transaction")).or_else(|| text(whole, "culprit"));
    clean(place.unwrap_or_default(), CULPRIT_CHARS_MAX)
}

/// The frames that tell where: of the main exception, else of the nearest of its causes, else of the thread that
/// crashed or is current or is alone, else of the event.
fn frames<'a>(event: &'a Value, main: Option<&'a Map<String, Value>>) -> Option<&'a [Value]> {
    let of = |holder: &'a Map<String, Value>| {
        holder.get("stacktrace")?.get("frames")?.as_array().map(Vec::as_slice)
    };
    if let Some(found) = main.and_then(of) {
        return Some(found);
    }
    let values = |key: &str| event.get(key).and_then(|list| list.get("values")).and_then(Value::as_array);
    if let Some(found) =
        values("exception").and_then(|list| list.iter().rev().find_map(|value| of(value.as_object()?)))
    {
        return Some(found);
    }
    let threads = values("threads").map(Vec::as_slice).unwrap_or_default();
    let marked =
        |key: &str| threads.iter().find(|thread| thread.get(key).and_then(Value::as_bool) == Some(true));
    let alone = if let [only] = threads { Some(only) } else { None };
    let thread = marked("crashed").or_else(|| marked("current")).or(alone);
    thread.and_then(Value::as_object).and_then(of).or_else(|| event.as_object().and_then(of))
}

fn culprit_frame(frames: &[Value]) -> Option<&Map<String, Value>> {
    let of_application =
        frames.iter().rev().find(|frame| frame.get("in_app").and_then(Value::as_bool) == Some(true));
    of_application.or(frames.last())?.as_object()
}

/// A URL without scheme, host and query: they differ between deployments and say little.
fn short_file(file: &str) -> &str {
    let path = match file.split_once("://") {
        Some((_, rest)) => rest.find('/').map_or(rest, |slash| &rest[slash..]),
        None => file,
    };
    path.split(['?', '#']).next().unwrap_or(path)
}

fn sdk(event: &Value) -> Option<String> {
    let sdk = event.get("sdk").and_then(Value::as_object);
    let name = text(sdk, "name")?;
    let version = text(sdk, "version").unwrap_or("unknown");
    Some(clean(&format!("{name}/{version}"), 128))
}

fn text<'a>(holder: Option<&'a Map<String, Value>>, key: &str) -> Option<&'a str> {
    holder?.get(key)?.as_str().map(str::trim).filter(|text| !text.is_empty())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn title_of(event: &Value) -> String {
        describe(event).title
    }

    #[test]
    fn titles_are_type_and_first_line_or_the_message() {
        let exception = |value: Value| json!({"exception": {"values": [{"type": "Cause"}, value]}});
        assert_eq!(
            title_of(&exception(json!({"type": "KeyError", "value": "'status'\nmore"}))),
            "KeyError: 'status'"
        );
        assert_eq!(title_of(&exception(json!({"type": "KeyError"}))), "KeyError");
        assert_eq!(title_of(&exception(json!({"value": "left", "mechanism": {"synthetic": true}}))), "left");
        assert_eq!(title_of(&json!({"logentry": {"formatted": "\n disk full \n"}})), "disk full");
        let crash = json!({"exception": {"values": [{"stacktrace": {"frames": [{"function": "main"}]}}]}});
        assert_eq!(title_of(&crash), "main");
        assert_eq!(title_of(&json!({})), "<unlabeled event>");
    }

    #[test]
    fn the_culprit_is_the_innermost_frame_of_the_application() {
        let event = json!({"platform": "javascript", "exception": {"values": [{"stacktrace": {"frames": [
            {"filename": "http://shop.example/assets/main.js?v=3", "function": "pay", "in_app": true},
            {"filename": "http://cdn.example/vendor.js", "function": "call", "in_app": false},
        ]}}]}});
        assert_eq!(describe(&event).culprit, "/assets/main.js in pay");
        let event = json!({"platform": "java", "threads": {"values": [{"stacktrace": {"frames": [
            {"filename": "Foo.java", "module": "com.acme.Foo", "function": "run", "in_app": false},
        ]}}]}});
        assert_eq!(describe(&event).culprit, "com.acme.Foo in run");
        assert_eq!(describe(&json!({"transaction": "/checkout"})).culprit, "/checkout");
        assert_eq!(describe(&json!({})).culprit, "");
    }
}
