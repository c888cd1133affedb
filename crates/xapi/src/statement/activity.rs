//! Activities, their definitions, and how definitions are brought together.

use std::collections::HashSet;

use super::check::{
    Checked, Path, extensions, iri, language_map, list, object, optional, required, string, text,
};
use crate::json::Json;

const INTERACTIONS: [&str; 10] = [
    "true-false",
    "choice",
    "fill-in",
    "long-fill-in",
    "matching",
    "performance",
    "sequencing",
    "likert",
    "numeric",
    "other",
];
const COMPONENTS: [&str; 5] = ["choices", "scale", "source", "target", "steps"];

pub(super) fn activity(json: &Json, path: &Path<'_>) -> Checked {
    object(json, path, &["objectType", "id", "definition"])?;
    if json.get("objectType").is_some_and(|kind| kind.text() != Some("Activity")) {
        return Path::Key(path, "objectType").refuse("must be Activity");
    }
    iri(required(json, path, "id")?, &Path::Key(path, "id"))?;
    optional(json, path, "definition", definition)
}

fn definition(json: &Json, path: &Path<'_>) -> Checked {
    let allowed = [
        "name",
        "description",
        "type",
        "moreInfo",
        "extensions",
        "interactionType",
        "correctResponsesPattern",
        "choices",
        "scale",
        "source",
        "target",
        "steps",
    ];
    object(json, path, &allowed)?;
    optional(json, path, "name", language_map)?;
    optional(json, path, "description", language_map)?;
    optional(json, path, "type", iri)?;
    optional(json, path, "moreInfo", iri)?;
    optional(json, path, "extensions", extensions)?;
    optional(json, path, "interactionType", |json, path| {
        let is_known = INTERACTIONS.contains(&text(json, path)?);
        if is_known { Ok(()) } else { path.refuse("is not an interaction type of the specification") }
    })?;
    optional(json, path, "correctResponsesPattern", |json, path| {
        list(json, path)?
            .iter()
            .enumerate()
            .try_for_each(|(index, item)| string(item, &Path::Item(path, index)))
    })?;
    for key in COMPONENTS {
        optional(json, path, key, components)?;
    }
    let is_interaction =
        COMPONENTS.iter().chain(&["correctResponsesPattern"]).any(|key| json.get(key).is_some());
    if is_interaction {
        required(json, path, "interactionType")?;
    }
    Ok(())
}

fn components(json: &Json, path: &Path<'_>) -> Checked {
    let mut ids = HashSet::new();
    for (index, component) in list(json, path)?.iter().enumerate() {
        let path = Path::Item(path, index);
        object(component, &path, &["id", "description"])?;
        let at = Path::Key(&path, "id");
        if !ids.insert(text(required(component, &path, "id")?, &at)?) {
            return at.refuse("is the id of another component");
        }
        optional(component, &path, "description", language_map)?;
    }
    Ok(())
}

/// Takes over what a later definition says: words of languages and extensions are added, all else is replaced. Whether
/// anything changed.
pub(crate) fn merge(known: &mut Json, news: &Json) -> bool {
    let mut has_changed = false;
    for (key, value) in news.members().unwrap_or_default() {
        let is_map = matches!(key.as_str(), "name" | "description" | "extensions");
        match known.get_mut(key) {
            Some(old) if old == value => {}
            Some(old) if is_map => {
                for (key, value) in value.members().unwrap_or_default() {
                    if old.get(key) != Some(value) {
                        old.set(key, value.clone());
                        has_changed = true;
                    }
                }
            }
            _ => {
                known.set(key, value.clone());
                has_changed = true;
            }
        }
    }
    has_changed
}

/// Calls `found` with every activity of a statement, those of its context and sub-statement included.
pub(crate) fn each<'a>(statement: &'a Json, found: &mut dyn FnMut(&'a Json)) {
    if let Some(object) = statement.get("object") {
        match object.text_of("objectType") {
            None | Some("Activity") => found(object),
            Some("SubStatement") => each(object, found),
            Some(_) => {}
        }
    }
    let activities = statement.get("context").and_then(|context| context.get("contextActivities"));
    for (_, activities) in activities.and_then(Json::members).unwrap_or_default() {
        activities.items().unwrap_or_default().iter().for_each(&mut *found);
    }
}

/// The same, to change them.
pub(crate) fn each_mut(statement: &mut Json, change: &mut dyn FnMut(&mut Json)) {
    if let Some(object) = statement.get_mut("object") {
        match object.text_of("objectType") {
            None | Some("Activity") => change(object),
            Some("SubStatement") => each_mut(object, change),
            Some(_) => {}
        }
    }
    let activities = statement.get_mut("context").and_then(|context| context.get_mut("contextActivities"));
    if let Some(Json::Object(kinds)) = activities {
        for (_, activities) in kinds {
            if let Json::List(activities) = activities {
                activities.iter_mut().for_each(&mut *change);
            }
        }
    }
}
