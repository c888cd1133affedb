use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::name::type_name;
use super::trace::{LeftOut, Trace};
use super::{Basis, Variant, Version, crashed_thread, text, values_of};
use crate::parameterize::parameterize;

/// The exceptions of an event with what counts of each.
pub(super) fn by_exceptions(event: &Value, version: Version) -> Option<Basis> {
    let exceptions: Vec<&Map<String, Value>> =
        values_of(event, "exception").filter_map(Value::as_object).collect();
    let mut traces: Vec<Trace> =
        exceptions.iter().map(|exception| Trace::of(exception, event, version)).collect();
    if version >= Version::Two
        && traces.iter().all(|trace| trace.all.is_empty())
        && let Some(last) = traces.last_mut()
        && let Some(thread) = thread_of(exceptions.last()?, event)
    {
        *last = Trace::of(thread, event, version);
    }
    let variant = if traces.iter().any(|trace| !trace.application.is_empty()) {
        Variant::Application
    } else {
        Variant::System
    };
    let mut has_frames = false;
    let mut left_out = LeftOut::default();
    let mut parts = Vec::with_capacity(exceptions.len());
    for (exception, trace) in exceptions.iter().zip(traces) {
        left_out.add(&trace.left_out(variant));
        parts.push(part_of(exception, trace, variant, version, &mut has_frames));
    }
    let parts = choose_parts(&exceptions, parts, version);
    if parts.is_empty() {
        return None;
    }
    let of_what = match (has_frames, variant) {
        (true, Variant::Application) => "type and frames of the application",
        (true, Variant::System) => "type and frames",
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
    let rule = match of_what {
        "message" => "message of a captured message",
        "type and message" => "exceptions without stack trace",
        _ => "exceptions and their stack traces",
    };
    let values = parts.into_iter().flatten().collect();
    Some(Basis { variant: has_frames.then_some(variant), left_out, ..Basis::new(rule, reason, values) })
}

/// The thread that an exception without frames of its own happened in.
fn thread_of<'a>(exception: &Map<String, Value>, event: &'a Value) -> Option<&'a Map<String, Value>> {
    let id = exception.get("thread_id").filter(|id| !id.is_null());
    let named = id.and_then(|id| {
        values_of(event, "threads").filter_map(Value::as_object).find(|thread| thread.get("id") == Some(id))
    });
    named.filter(|thread| thread.contains_key("stacktrace")).or_else(|| crashed_thread(event))
}

/// What counts of one exception.
fn part_of(
    exception: &Map<String, Value>,
    trace: Trace,
    variant: Variant,
    version: Version,
    has_frames: &mut bool,
) -> Vec<String> {
    let had_frames = !trace.all.is_empty();
    let uses_application = variant == Variant::Application;
    let frames = if uses_application { trace.application } else { trace.all };
    let mut part = Vec::new();
    let kind = text(exception, "type");
    // A synthetic type (a signal, an unhandled rejection) says how it was noticed, not what happened.
    if let Some(kind) = kind.filter(|_| {
        !mechanism_says(exception, "synthetic") || (frames.is_empty() && text(exception, "value").is_none())
    }) {
        let kind = if version >= Version::Two { type_name(kind) } else { kind.to_owned() };
        part.push(format!("type: {kind}"));
    }
    if kind.is_some() && !frames.is_empty() {
        *has_frames = true;
        part.extend(frames);
    } else if let Some(value) = text(exception, "value")
        && !(uses_application && had_frames && kind.is_some())
    {
        part.push(format!("message: {}", parameterize(value, version)));
    } else if kind.is_none() {
        *has_frames |= !frames.is_empty();
        part.extend(frames);
    }
    part
}

/// The parts that count: all of a chain, and of an exception group one of each type.
fn choose_parts(
    exceptions: &[&Map<String, Value>],
    parts: Vec<Vec<String>>,
    version: Version,
) -> Vec<Vec<String>> {
    let is_group = exceptions.iter().any(|exception| mechanism_says(exception, "is_exception_group"));
    if is_group && version >= Version::Two {
        return parts_of_group(exceptions, parts);
    }
    let mut chosen: Vec<Vec<String>> = Vec::new();
    for part in parts {
        // Members of an exception group repeat each other as often as the work was divided.
        let is_repeated = is_group && chosen.contains(&part);
        if !part.is_empty() && !is_repeated {
            chosen.push(part);
        }
    }
    chosen
}

/// Where an exception stands in the tree of an exception group.
#[derive(Clone, Copy, PartialEq)]
enum Place {
    /// In no group: it came after the group, as what the group was the cause of.
    Outside,
    /// A group.
    Group,
    /// The member with this index, or one of its causes.
    Member(usize),
}

/// One member of each type with its causes, in the order of their types: neither how many failed nor which came first
/// says anything about what is wrong. The group itself counts only if its members are of several types.
fn parts_of_group(exceptions: &[&Map<String, Value>], parts: Vec<Vec<String>>) -> Vec<Vec<String>> {
    let places = places_of(exceptions);
    let mut outside = Vec::new();
    let mut groups = Vec::new();
    let mut members: BTreeMap<usize, Vec<String>> = BTreeMap::new();
    for (index, part) in parts.into_iter().enumerate() {
        match places[index] {
            Place::Outside => outside.push(part),
            Place::Group => groups.push(part),
            // The member itself stands behind its causes in the list, and so do its values.
            Place::Member(member) => members.entry(member).or_default().extend(part),
        }
    }
    let mut of_types: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for (index, part) in members {
        let kind = text(exceptions[index], "type").unwrap_or_default();
        match of_types.get_mut(kind) {
            Some(smallest) if *smallest <= part => {}
            Some(smallest) => *smallest = part,
            None => {
                of_types.insert(kind, part);
            }
        }
    }
    let mut chosen = outside;
    if of_types.len() != 1 {
        // The outermost group is the last.
        chosen.extend(groups.pop());
    }
    chosen.extend(of_types.into_values());
    chosen.retain(|part| !part.is_empty());
    chosen
}

/// Source: `mechanism.exception_id` and `parent_id`,
/// <https://develop.sentry.dev/sdk/foundations/transport/event-payloads/exception/>. Without these ids every exception
/// that is no group is a member.
fn places_of(exceptions: &[&Map<String, Value>]) -> Vec<Place> {
    let number = |exception: &Map<String, Value>, key: &str| exception.get("mechanism")?.get(key)?.as_i64();
    let of_id: BTreeMap<i64, usize> = exceptions
        .iter()
        .enumerate()
        .filter_map(|(index, exception)| Some((number(exception, "exception_id")?, index)))
        .collect();
    let is_group = |index: usize| mechanism_says(exceptions[index], "is_exception_group");
    let parent = |index: usize| {
        of_id.get(&number(exceptions[index], "parent_id")?).copied().filter(|parent| *parent != index)
    };
    let place = |index: usize| {
        if is_group(index) {
            return Place::Group;
        }
        if of_id.is_empty() {
            return Place::Member(index);
        }
        let mut at = index;
        // As many steps as there are exceptions: a client can send circles.
        for _ in 0..exceptions.len() {
            match parent(at) {
                Some(above) if is_group(above) => return Place::Member(at),
                Some(above) => at = above,
                None => break,
            }
        }
        Place::Outside
    };
    (0..exceptions.len()).map(place).collect()
}

fn mechanism_says(exception: &Map<String, Value>, key: &str) -> bool {
    exception.get("mechanism").and_then(|mechanism| mechanism.get(key)).and_then(Value::as_bool) == Some(true)
}
