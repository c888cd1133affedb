//! The forms in which statements are given: exact, ids, canonical.

use std::collections::HashMap;

use super::{activity, people};
use crate::json::Json;

/// How much of a statement is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Format {
    /// As it was received.
    #[default]
    Exact,
    /// Only what identifies agents, activities, verbs and groups.
    Ids,
    /// Activities as the store knows them, and one language of each language map.
    Canonical,
}

impl Format {
    /// The format of the parameter's value.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "exact" => Some(Self::Exact),
            "ids" => Some(Self::Ids),
            "canonical" => Some(Self::Canonical),
            _ => None,
        }
    }
}

/// Languages in the order in which somebody wants them (RFC 9110, Accept-Language), in lower case.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Languages(Vec<String>);

/// The most languages that are looked at.
const LANGUAGES_MAX: usize = 32;

impl Languages {
    pub(crate) fn parse(header: &str) -> Self {
        let mut wanted: Vec<(String, u32)> = header
            .split(',')
            .take(LANGUAGES_MAX)
            .filter_map(|part| {
                let (tag, rest) = part.split_once(';').unwrap_or((part, ""));
                let quality = match rest.trim().strip_prefix("q=") {
                    Some(quality) => {
                        quality.trim().parse::<f64>().ok().filter(|it| (0.0..=1.0).contains(it))?
                    }
                    None => 1.0,
                };
                #[expect(
                    clippy::cast_possible_truncation,
                    clippy::cast_sign_loss,
                    reason = "from 0 to 1,000"
                )]
                let quality = (quality * 1_000.0) as u32;
                let tag = tag.trim().to_ascii_lowercase();
                (quality > 0 && !tag.is_empty()).then_some((tag, quality))
            })
            .collect();
        // Stable: of equal wishes the first one counts.
        wanted.sort_by_key(|(_, quality)| std::cmp::Reverse(*quality));
        Self(wanted.into_iter().map(|(tag, _)| tag).collect())
    }

    /// The member that is wanted most: of the language, of its more general or more special forms (RFC 4647, look-up),
    /// else the first.
    fn pick<'a>(&self, map: &'a [(String, Json)]) -> Option<&'a (String, Json)> {
        for wanted in self.0.iter().filter(|wanted| *wanted != "*") {
            let exact = map.iter().find(|(tag, _)| tag.eq_ignore_ascii_case(wanted));
            let special = || {
                map.iter().find(|(tag, _)| {
                    let tag = tag.to_ascii_lowercase();
                    tag.strip_prefix(wanted.as_str()).is_some_and(|rest| rest.starts_with('-'))
                })
            };
            let general = || {
                let mut shorter = wanted.as_str();
                while let Some((head, _)) = shorter.rsplit_once('-') {
                    if let Some(found) = map.iter().find(|(tag, _)| tag.eq_ignore_ascii_case(head)) {
                        return Some(found);
                    }
                    shorter = head;
                }
                None
            };
            if let Some(found) = exact.or_else(special).or_else(general) {
                return Some(found);
            }
        }
        map.first()
    }

    fn keep_one(&self, holder: &mut Json, key: &str) {
        let Some(map) = holder.get(key).and_then(Json::members) else { return };
        if map.len() > 1
            && let Some(one) = self.pick(map).cloned()
        {
            holder.set(key, Json::Object(vec![one]));
        }
    }
}

/// Leaves only identifiers.
pub(crate) fn to_ids(statement: &mut Json) {
    activity::each_mut(statement, &mut |activity| {
        activity.remove("definition");
        // An object without a type is an activity.
        activity.remove("objectType");
    });
    people::each_mut(statement, &mut bare_person);
    if let Some(authority) = statement.get_mut("authority") {
        bare_person(authority);
    }
    each_verb(statement, &mut |verb| {
        verb.remove("display");
    });
}

fn bare_person(person: &mut Json) {
    person.remove("name");
    if super::ifi_of(person).is_some() {
        person.remove("member");
    } else if let Some(Json::List(members)) = person.get_mut("member") {
        members.iter_mut().for_each(bare_person);
    }
}

fn each_verb(statement: &mut Json, change: &mut dyn FnMut(&mut Json)) {
    if let Some(verb) = statement.get_mut("verb") {
        change(verb);
    }
    if let Some(sub) =
        statement.get_mut("object").filter(|it| it.text_of("objectType") == Some("SubStatement"))
    {
        each_verb(sub, change);
    }
}

/// Puts what the store knows of activities in the place of what the statement says, and leaves one language.
pub(crate) fn to_canonical(statement: &mut Json, definitions: &HashMap<String, Json>, languages: &Languages) {
    activity::each_mut(statement, &mut |activity| {
        if let Some(known) = activity.text_of("id").and_then(|id| definitions.get(id)) {
            activity.set("definition", known.clone());
        }
        let Some(definition) = activity.get_mut("definition") else { return };
        for key in ["name", "description"] {
            languages.keep_one(definition, key);
        }
        for key in ["choices", "scale", "source", "target", "steps"] {
            if let Some(Json::List(components)) = definition.get_mut(key) {
                components.iter_mut().for_each(|component| languages.keep_one(component, "description"));
            }
        }
    });
    each_verb(statement, &mut |verb| languages.keep_one(verb, "display"));
    for holder in ["", "object"] {
        let place = if holder.is_empty() { Some(&mut *statement) } else { statement.get_mut(holder) };
        if let Some(Json::List(attachments)) = place.and_then(|it| it.get_mut("attachments")) {
            for attachment in attachments {
                languages.keep_one(attachment, "display");
                languages.keep_one(attachment, "description");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(text: &str) -> Json {
        Json::parse(text.as_bytes(), 16).unwrap()
    }

    #[test]
    fn the_wanted_language_is_given() {
        let map = json(r#"{"en-US":"a","de":"b","fr-CA":"c"}"#);
        for (header, expected) in [
            ("de", "b"),
            ("de-CH", "b"),
            ("en", "a"),
            ("fr;q=0.4, de;q=0.5", "b"),
            ("it", "a"),
            ("", "a"),
            ("*", "a"),
            ("de;q=0, fr", "c"),
            ("EN-us", "a"),
            ("x;q=7", "a"),
        ] {
            let (_, words) = Languages::parse(header).pick(map.members().unwrap()).unwrap();
            assert_eq!(words.text(), Some(expected), "{header}");
        }
    }

    #[test]
    fn ids_leave_only_identifiers() {
        let mut statement = json(
            r#"{"actor":{"objectType":"Group","name":"x","member":[{"name":"A","mbox":"mailto:a@b"}]},"verb":{"id":"http://v","display":{"en":"did"}},"object":{"objectType":"Activity","id":"http://a","definition":{"name":{"en":"A"}}},"context":{"team":{"objectType":"Group","name":"T","mbox":"mailto:t@b","member":[]}},"authority":{"name":"K","mbox":"mailto:k@b"}}"#,
        );
        to_ids(&mut statement);
        assert_eq!(
            statement.to_string(),
            r#"{"actor":{"objectType":"Group","member":[{"mbox":"mailto:a@b"}]},"verb":{"id":"http://v"},"object":{"id":"http://a"},"context":{"team":{"objectType":"Group","mbox":"mailto:t@b"}},"authority":{"mbox":"mailto:k@b"}}"#
        );
    }

    #[test]
    fn canonical_statements_have_the_known_definition_in_one_language() {
        let mut statement = json(
            r#"{"verb":{"id":"http://v","display":{"en":"did","de":"tat"}},"object":{"id":"http://a","definition":{"name":{"en":"old"}}}}"#,
        );
        let known = HashMap::from([(
            "http://a".to_owned(),
            json(r#"{"name":{"en":"new","de":"neu"},"type":"http://t"}"#),
        )]);
        to_canonical(&mut statement, &known, &Languages::parse("de"));
        assert_eq!(
            statement.to_string(),
            r#"{"verb":{"id":"http://v","display":{"de":"tat"}},"object":{"id":"http://a","definition":{"name":{"de":"neu"},"type":"http://t"}}}"#
        );
    }
}
