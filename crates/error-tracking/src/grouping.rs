//! Which events are the same issue.
//!
//! Pure: the same event in the stored shape always gets the same hash. A change of any rule here or in what it calls
//! makes a new `Version`; the one before stays callable, so that issues of its time keep collecting their events
//! (see [`Grouping::older_hash`]).
//!
//! In this order, the first that has something to say decides (rules as users of Sentry's strategy `newstyle:2023-01-11`
//! expect them):
//! 1. The fingerprint of a rule of the project, else that of the client; in both `{{ default }}` stands for the rules
//!    below.
//! 2. The exceptions with their causes: type and frames of each. Only frames of the application count if any exception
//!    has such; else all frames. The message counts only for an exception without frames, after its varying parts are
//!    taken out. An exception without a type is a captured message, and its message is all that counts. Of the members
//!    of an exception group one of each type counts. Where no exception has frames, those of the crashed thread do.
//! 3. The stack trace of the crashed or the only thread. 4. The stack trace of the event. 5. The report of a browser.
//!    6. The message.
//!
//! Never: line and column numbers, addresses, directories, the host that a script came from, the depth of a recursion,
//! names that a compiler or a program made up, and what aborts or throws on behalf of the code that failed.

mod exceptions;
mod fingerprint;
mod frame;
mod known;
mod machinery;
mod name;
mod native;
mod trace;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use crate::event::clean;
use crate::grouping_rules::Ruling;
use crate::parameterize::parameterize;
use crate::security::grouping_values;
pub(crate) use fingerprint::tag_of;
pub(crate) use known::KnownHashes;
pub(crate) use trace::IN_GROUPING;
use trace::{LeftOut, Trace};

/// The version of the rules in force, kept with every issue.
pub const GROUPING_VERSION: u16 = Version::Two as u16;

/// The most values that are kept for the reader; all of them are hashed.
const VALUES_MAX: usize = 100;

/// The longest value that is kept for the reader, in characters.
const VALUE_CHARS_MAX: usize = 300;

/// A version of the rules. Where the code does not mention a version, all do the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Version {
    /// That of the first release.
    One = 1,
    /// Mutual recursion, machinery of aborts, crashed threads, trees of exception groups, more platforms, reports of
    /// browsers.
    Two = 2,
}

/// What makes an event part of an issue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grouping {
    /// The first 16 bytes of a SHA-256 over the version and the values.
    pub hash: [u8; 16],
    /// The version of the rules.
    pub version: u16,
    /// The hash under the version before, by which an issue of that time is found; `None` where nobody asked for it.
    pub older_hash: Option<[u8; 16]>,
    /// In words, what the values are.
    pub reason: String,
    /// The values that were hashed, one a line; at most 100.
    pub values: Vec<String>,
    /// How they were chosen.
    pub explanation: Explanation,
}

/// Why an event was grouped by these values and no others.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Explanation {
    /// What chose the values: the client's fingerprint, a rule of the project with its text, or a built-in rule.
    pub chosen_by: String,
    /// Whose frames count; nothing where none do.
    pub variant: Option<Variant>,
    /// What was left out, such as `12 system frames`.
    pub left_out: Vec<String>,
    /// The rules of the project that changed frames, with their texts.
    pub frame_rules: Vec<String>,
}

impl Explanation {
    /// The explanation as it is stored.
    pub(crate) fn to_json(&self) -> String {
        // Serialising words and lists of words cannot fail.
        serde_json::to_string(self).unwrap_or_default()
    }
}

/// Whose frames make the group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Variant {
    /// Those of the application.
    Application,
    /// All, as none is the application's.
    System,
}

impl Variant {
    /// The variant as a word: `application`, `system`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Application => "application",
            Self::System => "system",
        }
    }
}

/// What one rule has to say about an event.
struct Basis {
    /// The built-in rule's name.
    rule: &'static str,
    reason: String,
    values: Vec<String>,
    variant: Option<Variant>,
    left_out: LeftOut,
}

impl Basis {
    fn new(rule: &'static str, reason: impl Into<String>, values: Vec<String>) -> Self {
        Self { rule, reason: reason.into(), values, variant: None, left_out: LeftOut::default() }
    }
}

/// Groups an event in the stored shape by the current version of the rules and by what the project's own said of it.
#[must_use]
pub(crate) fn group(event: &Value, ruling: &Ruling) -> Grouping {
    let fingerprint = match &ruling.fingerprint {
        Some(chosen) => chosen.parts.iter().map(String::as_str).collect(),
        None => fingerprint_of_client(event),
    };
    let basis = basis_of(event, &fingerprint, Version::Two);
    let chosen_by = match (&ruling.fingerprint, basis.rule) {
        (Some(chosen), _) => format!("rule of the project: {}", chosen.rule),
        (None, "") => "fingerprint that the client sent".to_owned(),
        (None, rule) => format!("built-in rule: {rule}"),
    };
    let reason = match &ruling.fingerprint {
        Some(_) => basis.reason.replace("of the client", "of a rule of the project"),
        None => basis.reason,
    };
    let values = basis.values.iter().take(VALUES_MAX).map(|value| clean(value, VALUE_CHARS_MAX)).collect();
    Grouping {
        hash: hash_of(&basis.values, Version::Two),
        version: GROUPING_VERSION,
        older_hash: None,
        reason,
        values,
        explanation: Explanation {
            chosen_by,
            variant: basis.variant,
            left_out: basis.left_out.into_words(),
            frame_rules: ruling.frame_rules.clone(),
        },
    }
}

/// The hash of an event under the version before the current one.
pub(crate) fn older_hash(event: &Value) -> [u8; 16] {
    hash_of(&basis_of(event, &fingerprint_of_client(event), Version::One).values, Version::One)
}

/// Puts the event's values into the variables of a text.
pub(crate) fn resolve(text: &str, event: &Value) -> String {
    fingerprint::resolve(text, event, Version::Two)
}

fn fingerprint_of_client(event: &Value) -> Vec<&str> {
    let parts = event.get("fingerprint").and_then(Value::as_array);
    parts.into_iter().flatten().filter_map(Value::as_str).collect()
}

/// The version that [`older_hash`] belongs to.
pub(crate) const OLDER_VERSION: u16 = Version::One as u16;

fn hash_of(values: &[String], version: Version) -> [u8; 16] {
    let mut hasher = Sha256::new();
    hasher.update((version as u16).to_le_bytes());
    for value in values {
        hasher.update((value.len() as u64).to_le_bytes());
        hasher.update(value);
    }
    let mut hash = [0; 16];
    hash.copy_from_slice(&hasher.finalize()[..16]);
    hash
}

/// The values of a fingerprint; those of the default rules if it has no part of its own.
fn basis_of(event: &Value, fingerprint: &[&str], version: Version) -> Basis {
    let is_default = |part: &str| matches!(part.trim(), "{{ default }}" | "{{default}}");
    if fingerprint.iter().all(|part| is_default(part)) {
        return default_basis(event, version);
    }
    let mut basis = Basis::new("", "fingerprint of the client", Vec::new());
    for part in fingerprint {
        if is_default(part) {
            let default = default_basis(event, version);
            "fingerprint of the client together with the default rules".clone_into(&mut basis.reason);
            basis.values.extend(default.values);
            basis.variant = default.variant;
            basis.left_out = default.left_out;
        } else {
            basis.values.push(format!("fingerprint: {}", fingerprint::resolve(part, event, version)));
        }
    }
    basis
}

fn default_basis(event: &Value, version: Version) -> Basis {
    exceptions::by_exceptions(event, version)
        .or_else(|| by_thread(event, version))
        .or_else(|| by_stacktrace(event.as_object()?, event, "stack trace", version))
        .or_else(|| by_report(event, version))
        .or_else(|| by_message(event, version))
        .unwrap_or_else(|| by_what_there_is(event))
}

/// The stack trace of the thread that crashed, or of the only one.
fn by_thread(event: &Value, version: Version) -> Option<Basis> {
    if version >= Version::Two
        && let Some(crashed) = crashed_thread(event)
        && let Some(basis) = by_stacktrace(crashed, event, "stack trace of the crashed thread", version)
    {
        return Some(basis);
    }
    let mut threads = values_of(event, "threads");
    let only = threads.next()?.as_object()?;
    if threads.next().is_some() {
        return None;
    }
    // A message that was captured with a stack trace is still a message.
    if event.get("exception").is_none()
        && let Some(by_message) = by_message(event, version)
    {
        return Some(by_message);
    }
    by_stacktrace(only, event, "stack trace of the only thread", version)
}

/// The thread that crashed, if it is one.
fn crashed_thread(event: &Value) -> Option<&Map<String, Value>> {
    let mut crashed = values_of(event, "threads")
        .filter_map(Value::as_object)
        .filter(|thread| thread.get("crashed").and_then(Value::as_bool) == Some(true));
    let first = crashed.next()?;
    crashed.next().is_none().then_some(first)
}

fn by_stacktrace(holder: &Map<String, Value>, event: &Value, what: &str, version: Version) -> Option<Basis> {
    let trace = Trace::of(holder, event, version);
    let variant = if trace.application.is_empty() { Variant::System } else { Variant::Application };
    let left_out = trace.left_out(variant);
    let (reason, values) = match variant {
        Variant::System => (what.to_owned(), trace.all),
        Variant::Application => (format!("{what}, frames of the application"), trace.application),
    };
    (!values.is_empty()).then(|| Basis {
        variant: Some(variant),
        left_out,
        ..Basis::new("stack trace", reason, values)
    })
}

/// What a browser reported about a policy of the page.
fn by_report(event: &Value, version: Version) -> Option<Basis> {
    if version < Version::Two {
        return None;
    }
    let (reason, values) = grouping_values(event)?;
    Some(Basis::new("report of a browser", reason, values))
}

fn by_message(event: &Value, version: Version) -> Option<Basis> {
    let logentry = event.get("logentry")?.as_object()?;
    // A template has its varying parts taken out already, except for those that were pasted into it.
    let message = text(logentry, "message").or_else(|| text(logentry, "formatted"))?;
    let values = vec![format!("message: {}", parameterize(message, version))];
    Some(Basis::new("message without its varying parts", "message", values))
}

fn by_what_there_is(event: &Value) -> Basis {
    let told = |key: &str| event.get(key).and_then(Value::as_str).map(|value| format!("{key}: {value}"));
    let values = ["transaction", "logger", "platform"].into_iter().filter_map(told).collect();
    Basis::new("where an event without content came from", "nothing but where the event came from", values)
}

fn values_of<'a>(event: &'a Value, key: &str) -> impl Iterator<Item = &'a Value> {
    event.get(key).and_then(|list| list.get("values")).and_then(Value::as_array).into_iter().flatten()
}

fn text<'a>(holder: &'a Map<String, Value>, key: &str) -> Option<&'a str> {
    holder.get(key)?.as_str().map(str::trim).filter(|text| !text.is_empty())
}

#[cfg(test)]
mod partition;
#[cfg(test)]
mod tests;
