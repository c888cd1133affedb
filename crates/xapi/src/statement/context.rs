//! Where and with whom a statement happened.

use super::check::{
    Checked, Path, extensions, iri, language_tag, list, object, optional, required, statement_ref, string,
    uuid,
};
use super::{activity, actor};
use crate::Version;
use crate::json::Json;

const KEYS: [&str; 11] = [
    "registration",
    "instructor",
    "team",
    "contextActivities",
    "revision",
    "platform",
    "language",
    "statement",
    "extensions",
    "contextAgents",
    "contextGroups",
];
/// How many of them 1.0.3 has: all but the last two.
const KEYS_OF_ONE: usize = 9;
const ACTIVITIES: [&str; 4] = ["parent", "grouping", "category", "other"];

pub(super) fn context(json: &Json, version: Version, path: &Path<'_>, is_activity: bool) -> Checked {
    object(json, path, if version == Version::Two { &KEYS } else { &KEYS[..KEYS_OF_ONE] })?;
    optional(json, path, "registration", uuid)?;
    optional(json, path, "instructor", actor::actor)?;
    optional(json, path, "team", actor::group)?;
    optional(json, path, "contextActivities", |json, path| {
        let kinds = object(json, path, &ACTIVITIES)?;
        if kinds.is_empty() {
            return path.refuse("must have parent, grouping, category or other");
        }
        for (key, value) in kinds {
            let path = Path::Key(path, key);
            match value {
                Json::List(items) => {
                    for (index, item) in items.iter().enumerate() {
                        activity::activity(item, &Path::Item(&path, index))?;
                    }
                }
                one => activity::activity(one, &path)?,
            }
        }
        Ok(())
    })?;
    for key in ["revision", "platform"] {
        optional(json, path, key, |json, path| {
            string(json, path)?;
            if is_activity { Ok(()) } else { path.refuse("is allowed only where the object is an activity") }
        })?;
    }
    optional(json, path, "language", language_tag)?;
    optional(json, path, "statement", statement_ref)?;
    optional(json, path, "extensions", extensions)?;
    optional(json, path, "contextAgents", |json, path| people(json, path, "contextAgent", "agent"))?;
    optional(json, path, "contextGroups", |json, path| people(json, path, "contextGroup", "group"))
}

fn people(json: &Json, path: &Path<'_>, kind: &'static str, key: &'static str) -> Checked {
    for (index, entry) in list(json, path)?.iter().enumerate() {
        let path = Path::Item(path, index);
        object(entry, &path, &["objectType", key, "relevantTypes"])?;
        if entry.text_of("objectType") != Some(kind) {
            return Path::Key(&path, "objectType").refuse(format!("must be {kind}"));
        }
        let (person, at) = (required(entry, &path, key)?, Path::Key(&path, key));
        if key == "agent" {
            actor::agent(person, &at)?
        } else {
            actor::group(person, &at)?
        }
        optional(entry, &path, "relevantTypes", |json, path| {
            let types = list(json, path)?;
            if types.is_empty() {
                return path.refuse("must not be empty");
            }
            types.iter().enumerate().try_for_each(|(index, item)| iri(item, &Path::Item(path, index)))
        })?;
    }
    Ok(())
}

/// A single activity of the context becomes an array of one.
pub(super) fn normalise(context: &mut Json) {
    let Some(Json::Object(kinds)) = context.get_mut("contextActivities") else { return };
    for (_, activities) in kinds {
        if matches!(activities, Json::Object(_)) {
            *activities = Json::List(vec![std::mem::replace(activities, Json::Null)]);
        }
    }
}
