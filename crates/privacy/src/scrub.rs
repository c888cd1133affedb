//! What must not be stored is taken out of a payload: one walk over the JSON, by key and by look.
//!
//! The payload is an event as Sentry's SDKs send it (develop.sentry.dev, "event payloads"), or any other JSON. What
//! makes a stack trace readable and findable (file, function, module, release, versions, ids, times) stays.

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::Arc;

use belvedere_kernel::{ProjectId, Removal, ScrubRules};
use serde_json::{Map, Value};

use crate::key_rules::{KeyClass, KeyRules, Secret};
use crate::text::{self, FILTERED, Looks, is_card_number};

/// Values nested deeper are removed whole.
const DEPTH_MAX: usize = 128;

/// The most removals that are listed; more are still done.
const REMOVALS_MAX: usize = 1_000;

/// The rules of some projects, and the built-in ones for all others.
pub(crate) struct Rules {
    projects: HashMap<ProjectId, Arc<KeyRules>>,
}

impl Rules {
    pub(crate) fn new(projects: HashMap<ProjectId, Arc<KeyRules>>) -> Self {
        Self { projects }
    }
}

impl ScrubRules for Rules {
    fn scrub(&self, project: ProjectId, payload: &mut Value) -> Vec<Removal> {
        match self.projects.get(&project) {
            Some(keys) => scrub(keys, payload),
            None => scrub(&KeyRules::built_in(), payload),
        }
    }
}

/// Scrubs one payload.
pub(crate) fn scrub(keys: &KeyRules, payload: &mut Value) -> Vec<Removal> {
    let mut walk = Walk { keys, removals: Vec::new() };
    let root = Path { parent: None, step: Step::Root };
    walk.value(payload, Place::Event, Looks::TEXT, &root, 0);
    walk.removals
}

/// Where in an event the walk is, as far as it matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// The event itself.
    Event,
    /// Within `exception`, `threads` or `stacktrace`, outside of frames.
    Stack,
    /// A frame.
    Frame,
    /// Anywhere else.
    Other,
}

/// The way to a value; put into words only when something is removed.
struct Path<'a> {
    parent: Option<&'a Path<'a>>,
    step: Step<'a>,
}

enum Step<'a> {
    Root,
    Key(&'a str),
    Index(usize),
}

impl<'a> Path<'a> {
    fn then(&'a self, step: Step<'a>) -> Path<'a> {
        Path { parent: Some(self), step }
    }

    /// The path as a JSON pointer (RFC 6901).
    fn pointer(&self) -> String {
        let mut pointer = self.parent.map(Path::pointer).unwrap_or_default();
        match self.step {
            Step::Root => {}
            Step::Key(key) => {
                pointer.push('/');
                pointer.push_str(&key.replace('~', "~0").replace('/', "~1"));
            }
            Step::Index(index) => {
                pointer.push('/');
                pointer.push_str(&index.to_string());
            }
        }
        pointer
    }
}

/// What stands in place of a number that was a payment card's.
const CARD: &str = "[card]";

struct Walk<'k> {
    keys: &'k KeyRules,
    removals: Vec<Removal>,
}

impl<'k> Walk<'k> {
    fn value(&mut self, value: &mut Value, place: Place, looks: Looks, path: &Path<'_>, depth: usize) {
        match value {
            Value::Null | Value::Bool(_) => {}
            Value::String(text) => self.text(text, looks, path),
            Value::Number(number) => {
                if number.as_u64().is_some_and(is_card_number) {
                    *value = Value::String(CARD.to_owned());
                    self.removed(path, "credit_card");
                }
            }
            Value::Array(_) | Value::Object(_) if depth >= DEPTH_MAX => {
                *value = Value::String(FILTERED.to_owned());
                self.removed(path, "depth");
            }
            Value::Array(items) => {
                for (index, item) in items.iter_mut().enumerate() {
                    let path = path.then(Step::Index(index));
                    let is_done = item.as_array_mut().is_some_and(|pair| self.is_secret_pair(pair, &path));
                    if !is_done {
                        self.value(item, place, looks, &path, depth + 1);
                    }
                }
            }
            Value::Object(fields) => self.object(fields, place, path, depth),
        }
    }

    fn object(&mut self, fields: &mut Map<String, Value>, place: Place, path: &Path<'_>, depth: usize) {
        self.rename_keys(fields, path);
        let described = described_secret(self.keys, fields);
        for (key, value) in fields.iter_mut() {
            let path = path.then(Step::Key(key));
            let (place, looks) = match field_of(place, key, value) {
                Field::Keep => continue,
                Field::Looks(looks) => {
                    self.value(value, Place::Other, looks, &path, depth + 1);
                    continue;
                }
                Field::Place(place) => (place, Looks::TEXT),
            };
            let class = match described {
                Some(secret) if key == "value" => KeyClass::Secret(secret),
                _ => self.keys.classify(key.as_bytes()),
            };
            match class {
                KeyClass::Secret(secret) if is_secret(secret, value) => self.filter(value, secret, &path),
                KeyClass::Safe if !value.is_array() && !value.is_object() => {}
                KeyClass::Id if is_hexadecimal(value) => {}
                KeyClass::Version => self.value(value, place, Looks::VERSION, &path, depth + 1),
                _ => self.value(value, place, looks, &path, depth + 1),
            }
        }
    }

    /// Keys that are personal data themselves, as in `{"ada@example.com": 3}`.
    fn rename_keys(&mut self, fields: &mut Map<String, Value>, path: &Path<'_>) {
        let mut renamed = Vec::new();
        for key in fields.keys().filter(|key| may_be_personal(key)) {
            let mut rules = Vec::new();
            if let Some(new) = text::scrub(key, Looks::KEY, self.keys, |rule| rules.push(rule.to_owned())) {
                renamed.push((key.clone(), new, rules));
            }
        }
        for (key, new, rules) in renamed {
            let Some(value) = fields.remove(&key) else { continue };
            let mut name = new.clone();
            let mut number = 2;
            while fields.contains_key(&name) {
                name = format!("{new} {number}");
                number += 1;
            }
            for rule in rules {
                self.removed(&path.then(Step::Key(&name)), &rule);
            }
            fields.insert(name, value);
        }
    }

    /// Whether `pair` is a key and a secret, as in `[["Cookie", ".."]]`, which is then removed.
    fn is_secret_pair(&mut self, pair: &mut [Value], path: &Path<'_>) -> bool {
        let [Value::String(key), value] = pair else { return false };
        let KeyClass::Secret(secret) = self.keys.classify(key.as_bytes()) else { return false };
        let is_secret = is_secret(secret, value);
        if is_secret {
            self.filter(value, secret, &path.then(Step::Index(1)));
        }
        is_secret
    }

    fn filter(&mut self, value: &mut Value, secret: Secret<'k>, path: &Path<'_>) {
        if value.as_str() != Some(FILTERED) {
            *value = Value::String(FILTERED.to_owned());
            self.removed(path, secret.rule);
        }
    }

    fn text(&mut self, text: &mut String, looks: Looks, path: &Path<'_>) {
        let mut rules: Vec<String> = Vec::new();
        let scrubbed = text::scrub(text, looks, self.keys, |rule| {
            if !rules.iter().any(|known| known == rule) {
                rules.push(rule.to_owned());
            }
        });
        if let Some(scrubbed) = scrubbed {
            *text = scrubbed;
            for rule in rules {
                self.removed(path, &rule);
            }
        }
    }

    fn removed(&mut self, path: &Path<'_>, rule: &str) {
        if self.removals.len() < REMOVALS_MAX {
            self.removals.push(Removal { path: path.pointer(), rule: rule.to_owned() });
        }
    }
}

/// What is to be done with a field by its place alone.
enum Field {
    /// It stays as it is.
    Keep,
    /// Only this is looked for in it.
    Looks(Looks),
    /// It is treated by its key; what is in it is in this place.
    Place(Place),
}

fn field_of(place: Place, key: &str, value: &Value) -> Field {
    let is_scalar = !value.is_array() && !value.is_object();
    match (place, key) {
        (Place::Other, _) => Field::Place(Place::Other),
        (Place::Event, "debug_meta" | "sdk") => Field::Keep,
        (Place::Event, "modules") if is_list_of_versions(value) => Field::Keep,
        (
            Place::Event,
            "dist" | "environment" | "event_id" | "level" | "platform" | "received" | "release"
            | "start_timestamp" | "timestamp" | "type" | "version",
        ) if is_scalar => Field::Keep,
        (Place::Event, "exception" | "threads" | "stacktrace") => Field::Place(Place::Stack),
        (Place::Event, _) => Field::Place(Place::Other),
        (Place::Stack, "module") if is_scalar => Field::Keep,
        // The name of a class, or what a program has put in its place; it becomes the title.
        (Place::Stack, "type") if is_scalar => Field::Looks(Looks::CODE),
        (Place::Stack, "frames") => Field::Place(Place::Frame),
        (Place::Stack, "values" | "stacktrace" | "raw_stacktrace") => Field::Place(Place::Stack),
        (Place::Stack, _) => Field::Place(Place::Other),
        (
            Place::Frame,
            "addr_mode" | "colno" | "function" | "image_addr" | "in_app" | "instruction_addr" | "lang"
            | "lineno" | "module" | "package" | "platform" | "raw_function" | "symbol" | "symbol_addr",
        ) if is_scalar => Field::Keep,
        (Place::Frame, "abs_path" | "filename") => Field::Looks(Looks::LOCATION),
        (Place::Frame, "context_line" | "post_context" | "pre_context") => Field::Looks(Looks::CODE),
        (Place::Frame, _) => Field::Place(Place::Other),
    }
}

fn is_list_of_versions(value: &Value) -> bool {
    value.as_object().is_some_and(|modules| {
        modules.values().all(|version| version.as_str().is_none_or(|version| version.len() <= 64))
    })
}

/// Whether `value` is what the key says, rather than nothing, or something with another meaning.
fn is_secret(secret: Secret<'_>, value: &Value) -> bool {
    let says_something = match value {
        Value::Null | Value::Bool(_) => false,
        Value::Number(_) => true,
        // A number that was a card's has been replaced already.
        Value::String(text) => !text.is_empty() && text != CARD,
        Value::Array(items) => !items.is_empty(),
        // `_meta` tells of each field, under the empty key, what an SDK removed from it.
        Value::Object(fields) => fields.keys().any(|key| !key.is_empty()),
    };
    let is_path = value.as_str().is_some_and(|text| text.starts_with('/') || text.get(1..3) == Some(":\\"));
    says_something && (value.is_string() || !secret.only_text) && !(secret.not_paths && is_path)
}

/// The secret that `{"name": "Authorization", "value": ".."}` or `{"key": .., "value": ..}` describes.
fn described_secret<'k>(keys: &'k KeyRules, fields: &Map<String, Value>) -> Option<Secret<'k>> {
    if fields.len() > 8 || !fields.contains_key("value") {
        return None;
    }
    let name = fields.get("name").or_else(|| fields.get("key"))?.as_str()?;
    match keys.classify(name.as_bytes()) {
        KeyClass::Secret(secret) => Some(secret),
        _ => None,
    }
}

/// A cheap look at a key: most have none of the signs of personal data.
fn may_be_personal(key: &str) -> bool {
    key.len() >= 6
        && key
            .bytes()
            .any(|byte| byte.is_ascii_digit() || matches!(byte, b'@' | b':' | b'-' | b' ' | b'%' | b'J'))
}

/// Ids of traces and events: at most 40 hexadecimal digits and hyphens.
fn is_hexadecimal(value: &Value) -> bool {
    value
        .as_str()
        .is_some_and(|id| id.len() <= 40 && id.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-'))
}
