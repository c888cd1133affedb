//! The rules of statements and sub-statements, and the tools with which all rules are written.

use std::fmt::Write as _;

use super::{VOIDED, activity, actor, attachment, context};
use crate::Version;
use crate::json::Json;
use crate::value;

/// A rule that a statement breaks, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}: {why}", if .pointer.is_empty() { "statement" } else { .pointer.as_str() })]
pub struct Invalid {
    /// The place as a JSON pointer (RFC 6901).
    pub pointer: String,
    /// What is wrong there; never repeats the value.
    pub why: String,
}

/// A place in a JSON value, which costs nothing until it is told.
#[derive(Debug, Clone, Copy)]
pub enum Path<'a> {
    /// The whole.
    Root,
    /// A member of the object at a place.
    Key(&'a Path<'a>, &'a str),
    /// An item of the array at a place.
    Item(&'a Path<'a>, usize),
}

impl Path<'_> {
    /// The rule that is broken here.
    ///
    /// # Errors
    /// Always.
    pub fn refuse<T>(&self, why: impl Into<String>) -> Result<T, Invalid> {
        let mut pointer = String::new();
        self.write(&mut pointer);
        Err(Invalid { pointer, why: why.into() })
    }

    fn write(&self, out: &mut String) {
        match self {
            Self::Root => {}
            Self::Key(parent, key) => {
                parent.write(out);
                out.push('/');
                // A key can be as long as a body; an error is for people.
                let end = key.floor_char_boundary(100);
                out.push_str(&key[..end].replace('~', "~0").replace('/', "~1"));
            }
            Self::Item(parent, index) => {
                parent.write(out);
                let _ = write!(out, "/{index}");
            }
        }
    }
}

pub(super) type Checked = Result<(), Invalid>;

/// The members of an object that has none but `allowed` keys, and none that is null.
pub(super) fn object<'a>(
    json: &'a Json,
    path: &Path<'_>,
    allowed: &[&str],
) -> Result<&'a [(String, Json)], Invalid> {
    let Some(members) = json.members() else { return path.refuse("must be an object") };
    for (key, value) in members {
        let at = Path::Key(path, key);
        if !allowed.contains(&key.as_str()) {
            return at.refuse("there is no such property here");
        }
        if *value == Json::Null {
            return at.refuse("must not be null");
        }
    }
    Ok(members)
}

pub(super) fn required<'a>(json: &'a Json, path: &Path<'_>, key: &str) -> Result<&'a Json, Invalid> {
    match json.get(key) {
        Some(value) => Ok(value),
        None => Path::Key(path, key).refuse("is required"),
    }
}

/// Checks a member if it is there.
pub(super) fn optional(
    json: &Json,
    path: &Path<'_>,
    key: &str,
    rule: impl FnOnce(&Json, &Path<'_>) -> Checked,
) -> Checked {
    match json.get(key) {
        Some(value) => rule(value, &Path::Key(path, key)),
        None => Ok(()),
    }
}

pub(super) fn text<'a>(json: &'a Json, path: &Path<'_>) -> Result<&'a str, Invalid> {
    match json.text() {
        Some(text) => Ok(text),
        None => path.refuse("must be a string"),
    }
}

pub(super) fn list<'a>(json: &'a Json, path: &Path<'_>) -> Result<&'a [Json], Invalid> {
    match json.items() {
        Some(items) => Ok(items),
        None => path.refuse("must be an array"),
    }
}

pub(super) fn string(json: &Json, path: &Path<'_>) -> Checked {
    text(json, path).map(drop)
}

pub(super) fn boolean(json: &Json, path: &Path<'_>) -> Checked {
    if matches!(json, Json::Bool(_)) { Ok(()) } else { path.refuse("must be true or false") }
}

fn number(json: &Json, path: &Path<'_>) -> Result<f64, Invalid> {
    match json.number() {
        Some(number) => Ok(number),
        None => path.refuse("must be a number"),
    }
}

pub(super) fn iri(json: &Json, path: &Path<'_>) -> Checked {
    if value::is_iri(text(json, path)?) { Ok(()) } else { path.refuse("must be an absolute IRI") }
}

pub(super) fn uuid(json: &Json, path: &Path<'_>) -> Checked {
    if value::uuid(text(json, path)?).is_some() { Ok(()) } else { path.refuse("must be a UUID") }
}

pub(super) fn timestamp(version: Version) -> impl Fn(&Json, &Path<'_>) -> Checked {
    move |json, path| match value::timestamp(text(json, path)?, version) {
        Some(_) => Ok(()),
        None => path.refuse("must be a timestamp such as 2026-11-28T12:00:00Z, not with the offset -00:00"),
    }
}

pub(super) fn language_tag(json: &Json, path: &Path<'_>) -> Checked {
    if value::is_language_tag(text(json, path)?) {
        Ok(())
    } else {
        path.refuse("must be a language tag (RFC 5646)")
    }
}

pub(super) fn language_map(json: &Json, path: &Path<'_>) -> Checked {
    let Some(members) = json.members() else { return path.refuse("must be a language map") };
    if members.is_empty() {
        return path.refuse("must have a language");
    }
    for (tag, words) in members {
        let at = Path::Key(path, tag);
        if !value::is_language_tag(tag) {
            return at.refuse("the key must be a language tag (RFC 5646)");
        }
        string(words, &at)?;
    }
    Ok(())
}

/// Extensions hold anything, nulls included, under IRIs.
pub(super) fn extensions(json: &Json, path: &Path<'_>) -> Checked {
    let Some(members) = json.members() else { return path.refuse("must be an object") };
    match members.iter().find(|(key, _)| !value::is_iri(key)) {
        Some((key, _)) => Path::Key(path, key).refuse("the key of an extension must be an absolute IRI"),
        None => Ok(()),
    }
}

const STATEMENT: [&str; 11] = [
    "id",
    "actor",
    "verb",
    "object",
    "result",
    "context",
    "timestamp",
    "stored",
    "authority",
    "version",
    "attachments",
];
const SUB_STATEMENT: [&str; 8] =
    ["objectType", "actor", "verb", "object", "result", "context", "timestamp", "attachments"];

pub(super) fn statement(json: &Json, version: Version, path: &Path<'_>) -> Checked {
    object(json, path, &STATEMENT)?;
    optional(json, path, "id", uuid)?;
    said(json, version, path, false)?;
    optional(json, path, "stored", timestamp(version))?;
    optional(json, path, "authority", actor::authority)?;
    optional(json, path, "version", |json, path| match Version::parse(text(json, path)?) {
        Some(Version::One) => Ok(()),
        Some(Version::Two) if version == Version::Two => Ok(()),
        _ => path.refuse("is no version that this request can have"),
    })?;
    let is_voiding = json.get("verb").and_then(|verb| verb.text_of("id")) == Some(VOIDED);
    let object_type = json.get("object").and_then(|object| object.text_of("objectType"));
    if is_voiding && object_type != Some("StatementRef") {
        return Path::Key(path, "object").refuse("must be a StatementRef, as the verb voids");
    }
    Ok(())
}

/// What statements and sub-statements share.
fn said(json: &Json, version: Version, path: &Path<'_>, is_sub: bool) -> Checked {
    actor::actor(required(json, path, "actor")?, &Path::Key(path, "actor"))?;
    verb(required(json, path, "verb")?, &Path::Key(path, "verb"))?;
    let object = required(json, path, "object")?;
    let is_activity = object_of(object, version, &Path::Key(path, "object"), is_sub)?;
    optional(json, path, "result", result)?;
    optional(json, path, "context", |json, path| context::context(json, version, path, is_activity))?;
    optional(json, path, "timestamp", timestamp(version))?;
    optional(json, path, "attachments", attachment::attachments)
}

fn verb(json: &Json, path: &Path<'_>) -> Checked {
    object(json, path, &["id", "display"])?;
    iri(required(json, path, "id")?, &Path::Key(path, "id"))?;
    optional(json, path, "display", language_map)
}

/// Checks the object; whether it is an activity.
fn object_of(json: &Json, version: Version, path: &Path<'_>, is_sub: bool) -> Result<bool, Invalid> {
    if json.members().is_none() {
        return path.refuse("must be an object");
    }
    let kind = match json.get("objectType") {
        None => "Activity",
        Some(kind) => text(kind, &Path::Key(path, "objectType"))?,
    };
    match kind {
        "Activity" => activity::activity(json, path)?,
        "Agent" => actor::agent(json, path)?,
        "Group" => actor::group(json, path)?,
        "StatementRef" => statement_ref(json, path)?,
        "SubStatement" if is_sub => return path.refuse("a sub-statement must not have another one"),
        "SubStatement" => {
            object(json, path, &SUB_STATEMENT)?;
            said(json, version, path, true)?;
        }
        _ => {
            let why = "must be Activity, Agent, Group, StatementRef or SubStatement";
            return Path::Key(path, "objectType").refuse(why);
        }
    }
    Ok(kind == "Activity")
}

pub(super) fn statement_ref(json: &Json, path: &Path<'_>) -> Checked {
    object(json, path, &["objectType", "id"])?;
    if json.text_of("objectType") != Some("StatementRef") {
        return Path::Key(path, "objectType").refuse("must be StatementRef");
    }
    uuid(required(json, path, "id")?, &Path::Key(path, "id"))
}

fn result(json: &Json, path: &Path<'_>) -> Checked {
    object(json, path, &["score", "success", "completion", "response", "duration", "extensions"])?;
    optional(json, path, "score", score)?;
    optional(json, path, "success", boolean)?;
    optional(json, path, "completion", boolean)?;
    optional(json, path, "response", string)?;
    optional(json, path, "duration", |json, path| match value::duration_seconds(text(json, path)?) {
        Some(_) => Ok(()),
        None => path.refuse("must be a duration (ISO 8601) such as PT1H30M"),
    })?;
    optional(json, path, "extensions", extensions)
}

fn score(json: &Json, path: &Path<'_>) -> Checked {
    object(json, path, &["scaled", "raw", "min", "max"])?;
    let member = |key: &'static str| json.get(key).map(|it| number(it, &Path::Key(path, key))).transpose();
    let (scaled, raw, min, max) = (member("scaled")?, member("raw")?, member("min")?, member("max")?);
    if scaled.is_some_and(|scaled| !(-1.0..=1.0).contains(&scaled)) {
        return Path::Key(path, "scaled").refuse("must be from -1 to 1");
    }
    if let (Some(min), Some(max)) = (min, max)
        && min >= max
    {
        return Path::Key(path, "min").refuse("must be less than max");
    }
    if raw.is_some_and(|raw| min.is_some_and(|min| raw < min) || max.is_some_and(|max| raw > max)) {
        return Path::Key(path, "raw").refuse("must be from min to max");
    }
    Ok(())
}
