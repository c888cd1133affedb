//! Reading an event's JSON, which anybody may have written: any shape is shown or passed over, none fails.

use std::collections::HashMap;

use belvedere_kernel::Removal;
use serde_json::Value;

use crate::wording::{counted, shorten};

const TEXT_CHARS_MAX: usize = 2_000;
const BLOCK_CHARS_MAX: usize = 8_000;
const FIELDS_MAX: usize = 100;

/// The places in a payload from which something was removed, and by which rule.
#[derive(Debug, Default)]
pub(crate) struct Marks<'a>(HashMap<&'a str, &'a str>);

impl<'a> Marks<'a> {
    pub(crate) fn new(removals: &'a [Removal]) -> Self {
        Self(removals.iter().map(|removal| (removal.path.as_str(), removal.rule.as_str())).collect())
    }

    fn at(&self, path: &str) -> Option<String> {
        if self.0.is_empty() {
            return None;
        }
        if let Some(rule) = self.0.get(path) {
            return Some(format!("removed: {rule}"));
        }
        let below = self.0.keys().filter(|mark| is_below(mark, path)).count();
        (below > 0).then(|| format!("{} removed", counted(below, "value", "values")))
    }
}

fn is_below(mark: &str, path: &str) -> bool {
    mark.strip_prefix(path).is_some_and(|rest| rest.starts_with('/'))
}

/// A value of the payload with the JSON pointer (RFC 6901) that leads to it.
#[derive(Clone)]
pub(crate) struct Node<'a> {
    value: &'a Value,
    path: String,
    marks: &'a Marks<'a>,
}

/// A name and a value as a page shows them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Field {
    pub(crate) key: String,
    /// The value as text; empty if all of it was removed.
    pub(crate) text: String,
    /// Whether the text keeps its lines and indentation.
    pub(crate) is_block: bool,
    /// The text as an address that may be followed: `http` and `https` only.
    pub(crate) href: Option<String>,
    /// What was taken out before the event was stored.
    pub(crate) removed: Option<String>,
}

impl Field {
    /// A field that does not come out of the payload.
    pub(crate) fn plain(key: &str, text: impl Into<String>) -> Self {
        Self { key: key.to_owned(), text: text.into(), ..Self::default() }
    }
}

impl<'a> Node<'a> {
    pub(crate) fn root(value: &'a Value, marks: &'a Marks<'a>) -> Self {
        Self { value, path: String::new(), marks }
    }

    fn child(&self, value: &'a Value, step: &str) -> Self {
        let step = step.replace('~', "~0").replace('/', "~1");
        Self { value, path: format!("{}/{step}", self.path), marks: self.marks }
    }

    /// The attribute `key` of an object, unless it is null.
    pub(crate) fn get(&self, key: &str) -> Option<Self> {
        self.value.get(key).filter(|value| !value.is_null()).map(|value| self.child(value, key))
    }

    /// The elements of an array, or of its `values`: Sentry's SDKs send lists in both forms.
    pub(crate) fn list(&self) -> Vec<Self> {
        if let Some(values) = self.get("values") {
            return values.list();
        }
        match self.value {
            Value::Array(items) => {
                items.iter().enumerate().map(|(index, item)| self.child(item, &index.to_string())).collect()
            }
            Value::Object(_) => vec![self.clone()],
            _ => Vec::new(),
        }
    }

    /// The value as one line of text, if it is a string, a number or a boolean and not empty.
    pub(crate) fn text(&self) -> Option<String> {
        match self.value {
            Value::String(text) if !text.is_empty() => Some(shorten(text, TEXT_CHARS_MAX)),
            Value::Number(number) => Some(number.to_string()),
            Value::Bool(flag) => Some(if *flag { "yes" } else { "no" }.to_owned()),
            _ => None,
        }
    }

    /// The text of the attribute `key`.
    pub(crate) fn text_of(&self, key: &str) -> Option<String> {
        self.get(key).and_then(|value| value.text())
    }

    pub(crate) fn as_u64(&self) -> Option<u64> {
        self.value.as_u64()
    }

    pub(crate) fn as_f64(&self) -> Option<f64> {
        self.value.as_f64()
    }

    pub(crate) fn as_bool(&self) -> Option<bool> {
        self.value.as_bool()
    }

    pub(crate) fn is_object(&self) -> bool {
        self.value.is_object()
    }

    /// Lines of source: the strings of an array, cut to `chars` characters each.
    pub(crate) fn lines(&self, chars: usize) -> Vec<String> {
        let Value::Array(items) = self.value else { return Vec::new() };
        items.iter().map(|item| shorten(item.as_str().unwrap_or_default(), chars)).collect()
    }

    /// The value under a name, for a list of names and values.
    pub(crate) fn field(&self, key: &str) -> Field {
        let removed = self.marks.at(&self.path);
        let key = shorten(key, 200);
        let (text, is_block) = match self.value {
            Value::Null => (String::new(), false),
            Value::String(text) => (shorten(text, TEXT_CHARS_MAX), text.contains('\n')),
            Value::Array(items) if items.is_empty() => ("[]".to_owned(), false),
            Value::Object(entries) if entries.is_empty() => ("{}".to_owned(), false),
            Value::Array(items) if is_short(items) => (self.value.to_string(), false),
            Value::Array(_) | Value::Object(_) => {
                let pretty = serde_json::to_string_pretty(self.value).unwrap_or_default();
                (shorten(&pretty, BLOCK_CHARS_MAX), true)
            }
            scalar => (scalar.to_string(), false),
        };
        let text = if removed.is_some() && is_placeholder(&text) { String::new() } else { text };
        Field { key, href: followable(&text), text, is_block, removed }
    }

    /// Names and values of an object, of `[name, value]` pairs or of `{key, value}` objects; at most 100.
    pub(crate) fn fields(&self) -> Vec<Field> {
        let mut fields: Vec<Field> = match self.value {
            Value::Object(entries) => entries
                .iter()
                .filter(|(_, value)| !value.is_null())
                .take(FIELDS_MAX)
                .map(|(key, value)| self.child(value, key).field(key))
                .collect(),
            Value::Array(items) => {
                let pairs = items.iter().enumerate().take(FIELDS_MAX);
                pairs.filter_map(|(index, item)| self.child(item, &index.to_string()).pair()).collect()
            }
            Value::String(_) => vec![self.field("")],
            _ => Vec::new(),
        };
        let left_out = match self.value {
            Value::Object(entries) => entries.len().saturating_sub(FIELDS_MAX),
            Value::Array(items) => items.len().saturating_sub(FIELDS_MAX),
            _ => 0,
        };
        if left_out > 0 {
            fields.push(Field::plain("\u{2026}", format!("{left_out} more in the raw JSON")));
        }
        fields
    }

    fn pair(&self) -> Option<Field> {
        match self.value {
            Value::Array(pair) => {
                let (key, value) = (pair.first()?.as_str()?, pair.get(1)?);
                Some(self.child(value, "1").field(key))
            }
            Value::Object(_) => {
                let key = self.text_of("key").or_else(|| self.text_of("name"))?;
                Some(self.get("value")?.field(&key))
            }
            _ => None,
        }
    }
}

/// Whether an array reads better on one line.
fn is_short(items: &[Value]) -> bool {
    let chars = |item: &Value| match item {
        Value::String(text) => text.len() + 4,
        Value::Array(_) | Value::Object(_) => usize::MAX,
        _ => 8,
    };
    items.iter().fold(0_usize, |sum, item| sum.saturating_add(chars(item))) <= 60
}

/// Whether nothing but a scrubber's mark is left of a text: `[Filtered]`, `[credit_card]`, `***`.
fn is_placeholder(text: &str) -> bool {
    let bracketed = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    bracketed.is_some_and(|inside| !inside.contains(['[', ']', ' '])) || text.chars().all(|c| c == '*')
}

/// `text` if it is an address that a browser may be sent to: never `javascript:`, `data:` or anything relative.
pub(crate) fn followable(text: &str) -> Option<String> {
    let rest = ["https://", "http://"].iter().find_map(|scheme| {
        let head = text.get(..scheme.len())?;
        head.eq_ignore_ascii_case(scheme).then(|| &text[scheme.len()..])
    })?;
    let is_address = !rest.is_empty()
        && !rest.starts_with('/')
        && !text.contains(|c: char| c.is_whitespace() || c.is_control());
    is_address.then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_web_addresses_are_followable() {
        assert_eq!(followable("https://shop.example/a?b=c").as_deref(), Some("https://shop.example/a?b=c"));
        assert_eq!(followable("HTTP://shop.example").as_deref(), Some("HTTP://shop.example"));
        for text in [
            "javascript:alert(1)",
            "data:text/html,x",
            "//evil.example",
            "https://",
            "http:///x",
            "/path",
            "https://a b",
            "",
        ] {
            assert_eq!(followable(text), None, "{text}");
        }
    }

    #[test]
    fn names_and_values_are_read_in_all_three_forms() {
        let marks = Marks::default();
        for value in [
            json!({"browser": "Firefox 143", "n": 3}),
            json!([["browser", "Firefox 143"], ["n", 3], "odd", [1, 2]]),
            json!([{"key": "browser", "value": "Firefox 143"}, {"key": "n", "value": 3}, {"other": 1}]),
        ] {
            let fields = Node::root(&value, &marks).fields();
            assert_eq!(fields, [Field::plain("browser", "Firefox 143"), Field::plain("n", "3")]);
        }
    }

    #[test]
    fn removals_are_marked_at_their_place_and_counted_above_it() {
        let removals = [
            Removal { path: "/extra/login/password".to_owned(), rule: "password".to_owned() },
            Removal { path: "/extra/login/a~1b".to_owned(), rule: "email".to_owned() },
            Removal { path: "/extra/card".to_owned(), rule: "credit_card".to_owned() },
        ];
        let marks = Marks::new(&removals);
        let payload = json!({"extra": {"login": {"password": "[Filtered]", "a/b": "mail to [email] failed"}, "card": null, "login2": 1}});
        let extra = Node::root(&payload, &marks).get("extra").unwrap();
        let login = extra.get("login").unwrap();
        assert_eq!(extra.fields()[0].removed.as_deref(), Some("2 values removed"));
        assert_eq!(extra.fields()[1].removed, None);
        let inner = login.fields();
        let password = inner.iter().find(|field| field.key == "password").unwrap();
        assert_eq!((password.text.as_str(), password.removed.as_deref()), ("", Some("removed: password")));
        let mail = inner.iter().find(|field| field.key == "a/b").unwrap();
        assert_eq!(
            (mail.text.as_str(), mail.removed.as_deref()),
            ("mail to [email] failed", Some("removed: email"))
        );
    }

    #[test]
    fn long_lists_and_texts_are_cut_and_say_so() {
        let marks = Marks::default();
        let many: serde_json::Map<String, Value> = (0..150).map(|n| (format!("k{n:03}"), json!(n))).collect();
        let value = Value::Object(many);
        let fields = Node::root(&value, &marks).fields();
        assert_eq!(fields.len(), 101);
        assert_eq!(fields[100].text, "50 more in the raw JSON");
        let text = json!("x".repeat(5_000));
        assert_eq!(Node::root(&text, &marks).text().unwrap().chars().count(), 2_001);
    }
}
