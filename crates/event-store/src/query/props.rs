//! Reading properties out of the JSON of events: only those that are asked for, and only where they may be.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;
use std::ops::Range;

use memchr::memmem::Finder;
use serde::Deserialize;
use serde::de::{IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::QueriesError;
use super::decode::text_field;
use super::work::Stop;
use crate::columns::{Dimension, PropColumn, PropColumnBuilder, PropName};
use crate::gather::places_in_order;
use crate::{Batch, Fields, Part, TEXT_BYTES_MAX};

/// How deeply objects are looked into; what is deeper counts as a text.
pub(crate) const DEPTH_MAX: usize = 4;

/// The most different texts of a property in one part, so that their memory is bounded.
const DISTINCT_MAX: usize = 1 << 20;

/// The most pairs of name and property that are counted in one part; what comes first counts.
const COUNTS_MAX: usize = 10_000;

/// Finds properties in the JSON of events.
pub(crate) struct Extractor<'a> {
    names: &'a [PropName],
    /// The last key of each name, which is in the JSON if the property is, unless it is escaped there.
    keys: Vec<Finder<'a>>,
}

impl<'a> Extractor<'a> {
    pub(crate) fn new(names: &'a [PropName]) -> Self {
        let last = |name: &'a PropName| name.as_str().rsplit('.').next().unwrap_or_default();
        Self { names, keys: names.iter().map(|name| Finder::new(last(name))).collect() }
    }

    /// Puts the text of each property in its place, none where it is not set.
    pub(crate) fn read(&self, json: &str, found: &mut [Option<String>]) {
        found.fill(None);
        let bytes = json.as_bytes();
        let may_have = !bytes.is_empty()
            && (self.keys.iter().any(|key| key.find(bytes).is_some()) || bytes.contains(&b'\\'));
        if may_have {
            let mut take = |path: &str, raw: &RawValue| {
                let mut places = self.names.iter().zip(&mut *found);
                if let Some((_, place)) = places.find(|(name, _)| name.as_str() == path) {
                    *place = text_of(raw);
                }
            };
            let wanted = |path: &str| self.names.iter().any(|name| leads_to(path, name.as_str()));
            walk(json, "", DEPTH_MAX, &wanted, &mut take);
        }
    }
}

/// Whether a path is that of a property, or of an object that it lies in.
fn leads_to(path: &str, name: &str) -> bool {
    name.strip_prefix(path).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

/// The text of a value: of at most [`TEXT_BYTES_MAX`] bytes, what is beyond cut off; none for null and for nothing.
fn text_of(raw: &RawValue) -> Option<String> {
    let json = raw.get();
    let text: Cow<'_, str> = match json.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) {
        Some(text) if !text.contains('\\') => text.into(),
        Some(_) => serde_json::from_str::<String>(json).ok()?.into(),
        None => json.into(),
    };
    let is_set = !text.is_empty() && json != "null";
    is_set.then(|| text[..text.floor_char_boundary(TEXT_BYTES_MAX)].to_owned())
}

/// Hands over the values of an object and of the objects in it, each with the keys that lead to it, as far as they are
/// wanted. What is no JSON object has none.
fn walk(
    json: &str,
    prefix: &str,
    depth: usize,
    wanted: &dyn Fn(&str) -> bool,
    take: &mut dyn FnMut(&str, &RawValue),
) {
    let walker = Walker { prefix, depth, wanted, take };
    let mut deserializer = serde_json::Deserializer::from_str(json);
    // What was found before an error counts: events are checked when they come in, so there is none.
    let _ = serde::Deserializer::deserialize_map(&mut deserializer, walker);
}

struct Walker<'w> {
    prefix: &'w str,
    depth: usize,
    wanted: &'w dyn Fn(&str) -> bool,
    take: &'w mut dyn FnMut(&str, &RawValue),
}

#[derive(Deserialize)]
struct Key<'a>(#[serde(borrow)] Cow<'a, str>);

impl<'de> Visitor<'de> for Walker<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(Key(key)) = map.next_key::<Key<'_>>()? {
            let path: Cow<'_, str> =
                if self.prefix.is_empty() { key } else { format!("{}.{key}", self.prefix).into() };
            if !(self.wanted)(&path) {
                map.next_value::<IgnoredAny>()?;
                continue;
            }
            let raw = map.next_value::<&RawValue>()?;
            if self.depth > 1 && raw.get().starts_with('{') {
                walk(raw.get(), &path, self.depth - 1, self.wanted, &mut *self.take);
            } else {
                (self.take)(&path, raw);
            }
        }
        Ok(())
    }
}

/// The columns of properties of a part, or of batches of the tail together, in the order of a segment.
pub(crate) fn columns_of(
    parts: &[Part],
    names: &[PropName],
    stop: &Stop,
) -> Result<Vec<PropColumn>, QueriesError> {
    let extractor = Extractor::new(names);
    let mut builders: Vec<PropColumnBuilder> = names.iter().map(|_| PropColumnBuilder::default()).collect();
    let mut found = vec![None; names.len()];
    let mut add = |json: &str| {
        extractor.read(json, &mut found);
        builders.iter_mut().zip(&found).for_each(|(builder, text)| builder.push(text.as_deref()));
        let full = builders.iter().zip(names).find(|(builder, _)| builder.distinct() > DISTINCT_MAX);
        full.map_or(Ok(()), |(_, name)| {
            let why = format!("has more than {DISTINCT_MAX} different values: {:?}", name.as_str());
            Err(QueriesError::invalid("property", why))
        })
    };
    match parts {
        [part] if part.is_sealed() => part.read_by_group(Fields::PROPS, |batch| {
            stop.check()?;
            (0..batch.count).try_for_each(|row| add(batch.props.get(row)))
        })?,
        parts => {
            let batches = parts.iter().map(|part| part.read(Fields::ALL)).collect::<Result<Vec<_>, _>>()?;
            let batches: Vec<&Batch> = batches.iter().map(AsRef::as_ref).collect();
            for (at, (batch, row)) in places_in_order(&batches).into_iter().enumerate() {
                if at % 8_192 == 0 {
                    stop.check()?;
                }
                let batch = batches.get(batch as usize);
                add(batch.map_or("", |batch| batch.props.get(row as usize)))?;
            }
        }
    }
    Ok(builders.into_iter().map(PropColumnBuilder::finish).collect())
}

/// What an event can have.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Property {
    /// A column of its own.
    Column(&'static str),
    /// A part of the JSON.
    Prop(PropName),
}

/// How many events of each name have each property: (name, property, events).
pub(crate) type PropCounts = Vec<(String, Property, u64)>;

/// Counts the properties of the events of a part in a stretch of microseconds, objects under the properties in them.
pub(crate) fn counts_of(part: &Part, time: &Range<i64>, stop: &Stop) -> Result<PropCounts, QueriesError> {
    let mut counts: HashMap<String, HashMap<Property, u64>> = HashMap::new();
    let mut pairs = 0;
    part.read_by_group(Fields::ALL, |batch| {
        stop.check()?;
        for row in (0..batch.count).filter(|row| batch.times.get(*row).is_some_and(|it| time.contains(it))) {
            if !counts.contains_key(batch.name(row)) {
                counts.insert(batch.name(row).to_owned(), HashMap::new());
            }
            let Some(own) = counts.get_mut(batch.name(row)) else { continue };
            let mut add = |property: Property| match own.get_mut(&property) {
                Some(count) => *count += 1,
                None if pairs < COUNTS_MAX => {
                    pairs += 1;
                    own.insert(property, 1);
                }
                None => {}
            };
            for dimension in Dimension::ALL {
                if batch.text(text_field(dimension), row).is_some() {
                    add(Property::Column(dimension.as_str()));
                }
            }
            if batch.values.get(row).is_some_and(|value| !value.is_nan()) {
                add(Property::Column("value"));
            }
            walk(batch.props.get(row), "", DEPTH_MAX, &|_| true, &mut |path, raw| {
                let is_set = !matches!(raw.get(), "null" | "\"\"");
                if let Some(name) = PropName::try_new(path).filter(|_| is_set) {
                    add(Property::Prop(name));
                }
            });
        }
        Ok::<_, QueriesError>(())
    })?;
    let flat = counts.into_iter().flat_map(|(name, own)| {
        own.into_iter().map(move |(property, events)| (name.clone(), property, events))
    });
    Ok(flat.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str, names: &[&str]) -> Vec<Option<String>> {
        let names: Vec<PropName> = names.iter().map(|name| PropName::try_new(name).unwrap()).collect();
        let mut found = vec![Some("left over".to_owned()); names.len()];
        Extractor::new(&names).read(json, &mut found);
        found
    }

    #[test]
    fn properties_are_found_as_they_are_written_and_in_objects() {
        let json =
            r#"{"a": "x", "b": 5.0, "c": true, "d": null, "e": "", "f": {"g": {"h": "deep"}, "i": [1, 2]}}"#;
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(read(json, &["a", "b", "c"]), [some("x"), some("5.0"), some("true")]);
        assert_eq!(read(json, &["d", "e", "z"]), [None, None, None]);
        assert_eq!(read(json, &["f.g.h", "f.i", "f"]), [some("deep"), some("[1, 2]"), None]);
        assert_eq!(read("", &["a"]), [None]);
        assert_eq!(read("not JSON but a", &["a"]), [None]);
    }

    #[test]
    fn escaped_keys_and_values_are_read_as_what_they_mean() {
        assert_eq!(read(r#"{"\u0061":"q\"r"}"#, &["a"]), [Some("q\"r".to_owned())]);
        let long = format!(r#"{{"a":"{}é"}}"#, "x".repeat(199));
        assert_eq!(read(&long, &["a"]), [Some("x".repeat(199))]);
    }

    #[test]
    fn the_last_of_two_equal_keys_counts() {
        assert_eq!(read(r#"{"a":1,"a":2}"#, &["a"]), [Some("2".to_owned())]);
    }

    #[test]
    fn objects_too_deep_are_texts() {
        let json = r#"{"a":{"b":{"c":{"d":{"e":1}}}}}"#;
        assert_eq!(read(json, &["a.b.c.d"]), [Some(r#"{"e":1}"#.to_owned())]);
    }
}
