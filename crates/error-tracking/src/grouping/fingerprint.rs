use serde_json::{Map, Value};

use super::{Version, text};
use crate::event::main_exception;

/// Puts the event's values into the variables of a fingerprint.
pub(crate) fn resolve(part: &str, event: &Value, version: Version) -> String {
    let mut resolved = String::with_capacity(part.len());
    let mut rest = part;
    while let Some((before, after)) = rest.split_once("{{") {
        let Some((name, after)) = after.split_once("}}") else { break };
        resolved.push_str(before);
        resolved.push_str(&variable(name.trim(), event, version));
        rest = after;
    }
    resolved.push_str(rest);
    resolved
}

fn variable(name: &str, event: &Value, version: Version) -> String {
    let main = main_exception(event);
    let of_main = |key: &str| main.and_then(|main| text(main, key));
    let of_event = |key: &str| event.get(key).and_then(Value::as_str);
    let of_frame = |key: &str| culprit_frame(event, main, version)?.get(key)?.as_str();
    let value = match name {
        "type" | "error.type" => of_main("type"),
        "value" | "error.value" => of_main("value"),
        "function" | "stack.function" => of_frame("function"),
        "module" | "stack.module" => of_frame("module"),
        "package" | "stack.package" => of_frame("package"),
        "stack.abs_path" | "path" | "stack.path" if version >= Version::Two => {
            of_frame("abs_path").or_else(|| of_frame("filename"))
        }
        "stack.filename" | "filename" if version >= Version::Two => of_frame("filename"),
        "mechanism" | "error.mechanism" if version >= Version::Two => {
            main.and_then(|main| main.get("mechanism")?.get("type")?.as_str())
        }
        "sdk" | "sdk.name" if version >= Version::Two => {
            event.get("sdk").and_then(|sdk| sdk.get("name")?.as_str())
        }
        "dist" | "server_name" if version >= Version::Two => of_event(name),
        "message" => event
            .get("logentry")
            .and_then(|entry| entry.get("formatted")?.as_str())
            .or_else(|| of_main("value")),
        "transaction" | "level" | "logger" | "release" | "environment" | "platform" => of_event(name),
        _ => match name.strip_prefix("tags.") {
            Some(tag) => tag_of(event, tag),
            None => return format!("{{{{ {name} }}}}"),
        },
    };
    value.map_or_else(|| format!("<no {name}>"), str::to_owned)
}

/// The value of a tag in the stored shape.
pub(crate) fn tag_of<'a>(event: &'a Value, tag: &str) -> Option<&'a str> {
    let tags = event.get("tags")?.as_array()?;
    tags.iter().find(|pair| pair.get(0).and_then(Value::as_str) == Some(tag))?.get(1)?.as_str()
}

/// The innermost frame of the application, else the innermost of all.
fn culprit_frame<'a>(
    event: &'a Value,
    main: Option<&'a Map<String, Value>>,
    version: Version,
) -> Option<&'a Value> {
    let frames_of = |holder: &'a Map<String, Value>| holder.get("stacktrace")?.get("frames")?.as_array();
    let frames = main.and_then(frames_of);
    let frames = match frames {
        None if version >= Version::Two => {
            super::crashed_thread(event).and_then(frames_of).or_else(|| event.as_object().and_then(frames_of))
        }
        found => found,
    }?;
    let in_app = frames.iter().rev().find(|frame| frame.get("in_app").and_then(Value::as_bool) == Some(true));
    in_app.or(frames.last())
}
