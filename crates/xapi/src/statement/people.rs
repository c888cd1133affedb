//! Where people stand in a statement, and the text of a statement without them.
//!
//! What identifies people is kept apart, sealed under their own keys. In the stored text marks stand for them, made of
//! control characters, which JSON has nowhere outside of escapes: `0x01 N 0x01` is the whole agent number N, and
//! `0x02 N 0x02 [..] 0x03` the identified group number N with these members.

use super::actor::{Ifi, ifi_of};
use crate::json::{Json, write_text};

/// An agent or identified group as a statement words it; members of groups are people of their own.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Person {
    pub(crate) ifi: Ifi,
    pub(crate) is_group: bool,
    /// The JSON object, without members.
    pub(crate) text: String,
}

/// The text of a statement with marks for people.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Template {
    pub(crate) text: String,
    /// Those that the marks stand for; each once.
    pub(crate) people: Vec<Person>,
}

const AGENT: char = '\u{1}';
const GROUP: char = '\u{2}';
const END: char = '\u{3}';

/// The template of a statement that follows the rules.
pub(crate) fn template(statement: &Json) -> Template {
    let mut template = Template::default();
    template.statement(statement);
    template
}

impl Template {
    fn members(&mut self, json: &Json, mut write: impl FnMut(&mut Self, &str, &Json)) {
        self.text.push('{');
        for (index, (key, value)) in json.members().unwrap_or_default().iter().enumerate() {
            if index > 0 {
                self.text.push(',');
            }
            write_text(key, &mut self.text);
            self.text.push(':');
            write(self, key, value);
        }
        self.text.push('}');
    }

    fn items(&mut self, json: &Json, mut write: impl FnMut(&mut Self, &Json)) {
        self.text.push('[');
        for (index, item) in json.items().unwrap_or_default().iter().enumerate() {
            if index > 0 {
                self.text.push(',');
            }
            write(self, item);
        }
        self.text.push(']');
    }

    fn statement(&mut self, json: &Json) {
        self.members(json, |template, key, value| match (key, value.text_of("objectType")) {
            ("actor", _) | ("object", Some("Agent" | "Group")) => template.person(value),
            ("object", Some("SubStatement")) => template.statement(value),
            ("context", _) => template.context(value),
            _ => value.write(&mut template.text),
        });
    }

    fn context(&mut self, json: &Json) {
        self.members(json, |template, key, value| match key {
            "instructor" | "team" => template.person(value),
            "contextAgents" | "contextGroups" => template.items(value, |template, item| {
                template.members(item, |template, key, value| match key {
                    "agent" | "group" => template.person(value),
                    _ => value.write(&mut template.text),
                });
            }),
            _ => value.write(&mut template.text),
        });
    }

    fn person(&mut self, json: &Json) {
        let is_group = json.text_of("objectType") == Some("Group");
        let Some(ifi) = ifi_of(json) else {
            return self.members(json, |template, key, value| match key {
                "member" => template.items(value, Self::person),
                _ => value.write(&mut template.text),
            });
        };
        let members = json.get("member");
        let mut bare = json.clone();
        bare.remove("member");
        let person = Person { ifi, is_group, text: bare.to_string() };
        let number = self.people.iter().position(|known| *known == person).unwrap_or_else(|| {
            self.people.push(person);
            self.people.len() - 1
        });
        let mark = if members.is_some() { GROUP } else { AGENT };
        self.text.push(mark);
        self.text.push_str(&number.to_string());
        self.text.push(mark);
        if let Some(members) = members {
            self.items(members, Self::person);
            self.text.push(END);
        }
    }
}

/// The text of a statement again; `person` gives the JSON object of each number. None where a mark is damaged or its
/// number unknown.
pub(crate) fn restore<'a>(template: &str, person: impl Fn(usize) -> Option<&'a str>) -> Option<String> {
    let mut text = String::with_capacity(template.len() + 256);
    let mut rest = template;
    while let Some(at) = memchr::memchr3(1, 2, 3, rest.as_bytes()) {
        text.push_str(&rest[..at]);
        let mark = rest[at..].chars().next()?;
        rest = &rest[at + 1..];
        if mark == END {
            text.push('}');
            continue;
        }
        let (number, behind) = rest.split_once(mark)?;
        rest = behind;
        let object = person(number.parse().ok()?)?;
        if mark == AGENT {
            text.push_str(object);
        } else {
            text.push_str(object.strip_suffix('}')?);
            text.push_str(",\"member\":");
        }
    }
    text.push_str(rest);
    Some(text)
}

/// Calls `found` with every agent and group of a statement, its authority not included.
pub(crate) fn each_mut(statement: &mut Json, found: &mut dyn FnMut(&mut Json)) {
    if let Some(actor) = statement.get_mut("actor") {
        found(actor);
    }
    if let Some(object) = statement.get_mut("object") {
        match object.text_of("objectType") {
            Some("Agent" | "Group") => found(object),
            Some("SubStatement") => each_mut(object, found),
            _ => {}
        }
    }
    let Some(context) = statement.get_mut("context") else { return };
    for key in ["instructor", "team"] {
        if let Some(person) = context.get_mut(key) {
            found(person);
        }
    }
    for (list, key) in [("contextAgents", "agent"), ("contextGroups", "group")] {
        if let Some(Json::List(entries)) = context.get_mut(list) {
            entries.iter_mut().filter_map(|entry| entry.get_mut(key)).for_each(&mut *found);
        }
    }
}
