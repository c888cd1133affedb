//! Which events are the same issue.
//!
//! Pure: the same event in the stored shape always gets the same hash. A change of any rule here or in what it calls
//! raises [`GROUPING_VERSION`].
//!
//! In this order, the first that has something to say decides (rules as users of Sentry's strategy `newstyle:2023-01-11`
//! expect them):
//! 1. The client's fingerprint, in which `{{ default }}` stands for the rules below.
//! 2. The exceptions with their causes: type and frames of each. Only frames of the application count if any exception
//!    has such; else all frames. The message counts only for an exception without frames, after its varying parts are
//!    taken out. An exception without a type is a captured message, and its message is all that counts.
//! 3. The stack trace of the only thread. 4. The stack trace of the event. 5. The message.
//!
//! Never: line and column numbers, addresses, directories, the host that a script came from.

mod frame;

use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use crate::event::{clean, main_exception};
use crate::parameterize::parameterize;

/// The version of these rules, kept with every issue.
pub const GROUPING_VERSION: u16 = 1;

/// The most values that are kept for the reader; all of them are hashed.
const VALUES_MAX: usize = 100;

/// The longest value that is kept for the reader, in characters.
const VALUE_CHARS_MAX: usize = 300;

/// What makes an event part of an issue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grouping {
    /// The first 16 bytes of a SHA-256 over the version and the values.
    pub hash: [u8; 16],
    /// The version of the rules.
    pub version: u16,
    /// In words, which rule decided.
    pub reason: String,
    /// The values that were hashed, one a line; at most 100.
    pub values: Vec<String>,
}

struct Basis {
    reason: String,
    values: Vec<String>,
}

/// Groups an event in the stored shape.
#[must_use]
pub fn group(event: &Value) -> Grouping {
    let fingerprint: Vec<&str> = event
        .get("fingerprint")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    let is_default = |part: &str| matches!(part.trim(), "{{ default }}" | "{{default}}");
    let basis = if fingerprint.iter().all(|part| is_default(part)) {
        default_basis(event)
    } else {
        let mut values = Vec::new();
        let mut reason = "fingerprint of the client";
        for part in fingerprint {
            if is_default(part) {
                reason = "fingerprint of the client together with the default rules";
                values.extend(default_basis(event).values);
            } else {
                values.push(format!("fingerprint: {}", resolve(part, event)));
            }
        }
        Basis { reason: reason.to_owned(), values }
    };
    let mut hasher = Sha256::new();
    hasher.update(GROUPING_VERSION.to_le_bytes());
    for value in &basis.values {
        hasher.update((value.len() as u64).to_le_bytes());
        hasher.update(value);
    }
    let mut hash = [0; 16];
    hash.copy_from_slice(&hasher.finalize()[..16]);
    let values = basis.values.iter().take(VALUES_MAX).map(|value| clean(value, VALUE_CHARS_MAX)).collect();
    Grouping { hash, version: GROUPING_VERSION, reason: basis.reason, values }
}

fn default_basis(event: &Value) -> Basis {
    by_exceptions(event)
        .or_else(|| by_only_thread(event))
        .or_else(|| by_stacktrace(event.as_object()?, event, "stack trace"))
        .or_else(|| by_message(event))
        .unwrap_or_else(|| by_what_there_is(event))
}

fn by_exceptions(event: &Value) -> Option<Basis> {
    let exceptions: Vec<&Map<String, Value>> =
        values_of(event, "exception").filter_map(Value::as_object).collect();
    let traces: Vec<Trace> = exceptions.iter().map(|exception| Trace::of(exception, event)).collect();
    let uses_application = traces.iter().any(|trace| !trace.application.is_empty());
    let is_group = exceptions.iter().any(|exception| mechanism_says(exception, "is_exception_group"));
    let mut parts: Vec<Vec<String>> = Vec::new();
    let mut has_frames = false;
    for (exception, trace) in exceptions.iter().zip(traces) {
        let had_frames = !trace.all.is_empty();
        let frames = if uses_application { trace.application } else { trace.all };
        let mut part = Vec::new();
        let kind = text(exception, "type");
        // A synthetic type (a signal, an unhandled rejection) says how it was noticed, not what happened.
        if let Some(kind) = kind.filter(|_| {
            !mechanism_says(exception, "synthetic")
                || (frames.is_empty() && text(exception, "value").is_none())
        }) {
            part.push(format!("type: {kind}"));
        }
        if kind.is_some() && !frames.is_empty() {
            has_frames = true;
            part.extend(frames);
        } else if let Some(value) = text(exception, "value")
            && !(uses_application && had_frames && kind.is_some())
        {
            part.push(format!("message: {}", parameterize(value)));
        } else if kind.is_none() {
            has_frames |= !frames.is_empty();
            part.extend(frames);
        }
        // Members of an exception group repeat each other as often as the work was divided.
        let is_repeated = is_group && parts.contains(&part);
        if !part.is_empty() && !is_repeated {
            parts.push(part);
        }
    }
    if parts.is_empty() {
        return None;
    }
    let of_what = match (has_frames, uses_application) {
        (true, true) => "type and frames of the application",
        (true, false) => "type and frames",
        (false, _) if exceptions.iter().all(|exception| text(exception, "type").is_none()) => "message",
        (false, _) => "type and message",
    };
    let of_whom =
        if parts.len() == 1 { "exception".to_owned() } else { format!("each of {} exceptions", parts.len()) };
    let reason = if of_what == "message" && parts.len() == 1 {
        "message".to_owned()
    } else {
        format!("{of_what} of {}{of_whom}", if parts.len() == 1 { "the " } else { "" })
    };
    Some(Basis { reason, values: parts.into_iter().flatten().collect() })
}

fn by_only_thread(event: &Value) -> Option<Basis> {
    let mut threads = values_of(event, "threads");
    let only = threads.next()?.as_object()?;
    if threads.next().is_some() {
        return None;
    }
    // A message that was captured with a stack trace is still a message.
    if event.get("exception").is_none()
        && let Some(by_message) = by_message(event)
    {
        return Some(by_message);
    }
    by_stacktrace(only, event, "stack trace of the only thread")
}

fn by_stacktrace(holder: &Map<String, Value>, event: &Value, what: &str) -> Option<Basis> {
    let trace = Trace::of(holder, event);
    let (reason, values) = if trace.application.is_empty() {
        (what.to_owned(), trace.all)
    } else {
        (format!("{what}, frames of the application"), trace.application)
    };
    (!values.is_empty()).then_some(Basis { reason, values })
}

fn by_message(event: &Value) -> Option<Basis> {
    let logentry = event.get("logentry")?.as_object()?;
    // A template has its varying parts taken out already, except for those that were pasted into it.
    let message = text(logentry, "message").or_else(|| text(logentry, "formatted"))?;
    Some(Basis { reason: "message".to_owned(), values: vec![format!("message: {}", parameterize(message))] })
}

fn by_what_there_is(event: &Value) -> Basis {
    let told = |key: &str| event.get(key).and_then(Value::as_str).map(|value| format!("{key}: {value}"));
    let values = ["transaction", "logger", "platform"].into_iter().filter_map(told).collect();
    Basis { reason: "nothing but where the event came from".to_owned(), values }
}

/// The lines of a stack trace, outermost first, without repetitions by direct recursion.
#[derive(Default)]
struct Trace {
    application: Vec<String>,
    all: Vec<String>,
}

impl Trace {
    fn of(holder: &Map<String, Value>, event: &Value) -> Self {
        let platform = event.get("platform").and_then(Value::as_str).unwrap_or_default();
        let frames = holder.get("stacktrace").and_then(|trace| trace.get("frames")).and_then(Value::as_array);
        let mut trace = Self::default();
        for frame in frames.into_iter().flatten().filter_map(Value::as_object) {
            let Some(line) = frame::line_of(frame, platform) else { continue };
            if frame.get("in_app").and_then(Value::as_bool) == Some(true)
                && trace.application.last() != Some(&line)
            {
                trace.application.push(line.clone());
            }
            if trace.all.last() != Some(&line) {
                trace.all.push(line);
            }
        }
        trace
    }
}

/// Puts the event's values into the variables of a fingerprint.
fn resolve(part: &str, event: &Value) -> String {
    let mut resolved = String::with_capacity(part.len());
    let mut rest = part;
    while let Some((before, after)) = rest.split_once("{{") {
        let Some((name, after)) = after.split_once("}}") else { break };
        resolved.push_str(before);
        resolved.push_str(&variable(name.trim(), event));
        rest = after;
    }
    resolved.push_str(rest);
    resolved
}

fn variable(name: &str, event: &Value) -> String {
    let main = main_exception(event);
    let of_main = |key: &str| main.and_then(|main| text(main, key));
    let of_event = |key: &str| event.get(key).and_then(Value::as_str);
    let of_frame = |key: &str| {
        let frames = main?.get("stacktrace")?.get("frames")?.as_array()?;
        let in_app =
            frames.iter().rev().find(|frame| frame.get("in_app").and_then(Value::as_bool) == Some(true));
        in_app.or(frames.last())?.get(key)?.as_str()
    };
    let value = match name {
        "type" | "error.type" => of_main("type"),
        "value" | "error.value" => of_main("value"),
        "function" | "stack.function" => of_frame("function"),
        "module" | "stack.module" => of_frame("module"),
        "package" | "stack.package" => of_frame("package"),
        "message" => event
            .get("logentry")
            .and_then(|entry| entry.get("formatted")?.as_str())
            .or_else(|| of_main("value")),
        "transaction" | "level" | "logger" | "release" | "environment" | "platform" => of_event(name),
        _ => match name.strip_prefix("tags.") {
            Some(tag) => event.get("tags").and_then(Value::as_array).and_then(|tags| {
                tags.iter().find(|pair| pair.get(0).and_then(Value::as_str) == Some(tag))?.get(1)?.as_str()
            }),
            None => return format!("{{{{ {name} }}}}"),
        },
    };
    value.map_or_else(|| format!("<no {name}>"), str::to_owned)
}

fn values_of<'a>(event: &'a Value, key: &str) -> impl Iterator<Item = &'a Value> {
    event.get(key).and_then(|list| list.get("values")).and_then(Value::as_array).into_iter().flatten()
}

fn mechanism_says(exception: &Map<String, Value>, key: &str) -> bool {
    exception.get("mechanism").and_then(|mechanism| mechanism.get(key)).and_then(Value::as_bool) == Some(true)
}

fn text<'a>(holder: &'a Map<String, Value>, key: &str) -> Option<&'a str> {
    holder.get(key)?.as_str().map(str::trim).filter(|text| !text.is_empty())
}

#[cfg(test)]
mod tests;
