//! Whether two statements are the same.
//!
//! What a store sets or may change does not count: id, stored, authority, version, definitions of activities and
//! displays of verbs; nor do the order of keys and of group members, defaults that are left out, how a number or an
//! instant is written, or what a duration says beyond hundredths of a second.

use super::{activity, people};
use crate::Version;
use crate::json::{Json, write_text};
use crate::value;

/// A text that is equal for equal statements.
pub(crate) fn canonical(statement: &Json) -> String {
    text_of(&compared(statement))
}

/// What counts of a statement.
pub(crate) fn compared(statement: &Json) -> Json {
    let mut copy = statement.clone();
    for key in ["id", "stored", "authority", "version"] {
        copy.remove(key);
    }
    activity::each_mut(&mut copy, &mut |activity| {
        activity.remove("definition");
        activity.remove("objectType");
    });
    people::each_mut(&mut copy, &mut plain_person);
    plain(&mut copy);
    if let Some(sub) =
        copy.get_mut("object").filter(|object| object.text_of("objectType") == Some("SubStatement"))
    {
        plain(sub);
    }
    copy
}

/// Its text.
pub(crate) fn text_of(compared: &Json) -> String {
    let mut text = String::new();
    sorted(compared, &mut text);
    text
}

fn plain(statement: &mut Json) {
    if let Some(verb) = statement.get_mut("verb") {
        verb.remove("display");
    }
    if let Some(result) = statement.get_mut("result")
        && let Some(duration) = result.text_of("duration").map(value::duration_in_hundredths)
    {
        result.set("duration", Json::Text(duration));
    }
    let at = statement.text_of("timestamp").and_then(|text| value::timestamp(text, Version::One));
    if let Some(at) = at {
        statement.set("timestamp", Json::Number(at.as_micros().to_string().into()));
    }
}

fn plain_person(person: &mut Json) {
    if person.text_of("objectType") == Some("Agent") {
        person.remove("objectType");
    }
    if let Some(Json::List(members)) = person.get_mut("member") {
        members.iter_mut().for_each(plain_person);
        members.sort_by_cached_key(|member| {
            let mut text = String::new();
            sorted(member, &mut text);
            text
        });
    }
}

/// Writes with keys in order and numbers in one form.
pub(crate) fn sorted(json: &Json, out: &mut String) {
    match json {
        Json::Number(digits) => match digits.parse::<f64>() {
            // Integers beyond the precision of a float are compared by their digits.
            Ok(number) if number.is_finite() && (number.fract() != 0.0 || number.abs() < 9e15) => {
                out.push_str(&format!("{number:?}"));
            }
            _ => out.push_str(digits),
        },
        Json::List(items) => {
            out.push('[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                sorted(item, out);
            }
            out.push(']');
        }
        Json::Object(members) => {
            let mut members: Vec<&(String, Json)> = members.iter().collect();
            members.sort_by(|(one, _), (other, _)| one.cmp(other));
            out.push('{');
            for (index, (key, value)) in members.into_iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                write_text(key, out);
                out.push(':');
                sorted(value, out);
            }
            out.push('}');
        }
        plain => plain.write(out),
    }
}
