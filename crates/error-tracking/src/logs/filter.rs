//! Which records a search means.

use memchr::memchr2_iter;
use serde_json::Value;

use super::block::{Attributes, Head};
use super::model::LogLevel;
use super::trigram::Needed;

/// The longest search, in characters.
const CHARS_MAX: usize = 500;

/// The most parts of a search.
const PARTS_MAX: usize = 20;

/// What records must have; everything that is set.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LogFilter {
    /// Texts that the body contains, without regard to the case of ASCII letters.
    pub texts: Vec<String>,
    /// At least this level.
    pub level: Option<LogLevel>,
    /// The trace, 16 bytes.
    pub trace: Option<[u8; 16]>,
    /// Exactly this release.
    pub release: Option<String>,
    /// Exactly this environment.
    pub environment: Option<String>,
    /// Exactly this logger.
    pub logger: Option<String>,
    /// Attributes by key and value as text.
    pub attributes: Vec<(String, String)>,
}

impl LogFilter {
    /// Reads a search: words and `"quoted texts"`, all of which the body must contain, and `level:warn` (that level or
    /// worse), `trace:`, `release:`, `environment:`, `logger:` and `attribute:value`, whose values may be quoted.
    ///
    /// # Errors
    /// What cannot be understood.
    pub fn parse(search: &str) -> Result<Self, String> {
        if search.chars().count() > CHARS_MAX {
            return Err(format!("the search is longer than {CHARS_MAX} characters"));
        }
        let mut filter = Self::default();
        let parts = split(search);
        if parts.len() > PARTS_MAX {
            return Err(format!("the search has more than {PARTS_MAX} parts"));
        }
        for (key, value) in parts {
            match key.as_deref() {
                None => filter.texts.push(value),
                Some("level" | "severity") => {
                    let known = LogLevel::parse(&value);
                    let why = || format!("level: {value} is none of trace, debug, info, warn, error, fatal");
                    filter.level = Some(known.ok_or_else(why)?);
                }
                Some("trace" | "trace_id") => {
                    let trace = parse_trace(&value);
                    filter.trace =
                        Some(trace.ok_or_else(|| "trace: must have 32 hexadecimal digits".to_owned())?);
                }
                Some("release") => filter.release = Some(value),
                Some("environment") => filter.environment = Some(value),
                Some("logger") => filter.logger = Some(value),
                Some(key) => filter.attributes.push((key.to_owned(), value)),
            }
        }
        Ok(filter)
    }

    /// Whether it asks for nothing but a level, which the counts per hour can answer.
    pub(super) fn is_level_only(&self) -> bool {
        *self == Self { level: self.level, ..Self::default() }
    }

    pub(super) fn needed(&self) -> Needed {
        let mut needed = Needed::default();
        self.texts.iter().for_each(|text| needed.add_text(text));
        if let Some(trace) = &self.trace {
            needed.add_trace(trace);
        }
        needed
    }

    /// Whether a record matches, as far as its head tells.
    pub(super) fn matches(&self, head: &Head, record: usize) -> bool {
        let is = |wanted: &Option<String>, has: Option<&str>| wanted.is_none() || wanted.as_deref() == has;
        self.level.is_none_or(|level| head.level(record) >= level)
            && (self.trace.is_none() || self.trace.as_ref() == head.trace(record))
            && is(&self.release, head.release(record))
            && is(&self.environment, head.environment(record))
            && is(&self.logger, head.logger(record))
            && self.texts.iter().all(|text| contains(head.body(record), text))
    }

    /// Whether the attributes of a record match.
    pub(super) fn matches_attributes(&self, attributes: &Attributes, record: usize) -> bool {
        if self.attributes.is_empty() {
            return true;
        }
        let text = attributes.get(record);
        // Most records do not even name the keys.
        if !self.attributes.iter().all(|(key, _)| contains(text, key)) {
            return false;
        }
        let Ok(Value::Object(map)) = serde_json::from_str::<Value>(text) else { return false };
        self.attributes.iter().all(|(key, wanted)| {
            map.get(key).is_some_and(|value| match value {
                Value::String(text) => text == wanted,
                other => {
                    let text = other.to_string();
                    text == *wanted
                }
            })
        })
    }
}

/// 16 bytes of 32 hexadecimal digits, hyphens allowed.
pub(super) fn parse_trace(text: &str) -> Option<[u8; 16]> {
    let id: crate::event_id::EventId = text.trim().parse().ok()?;
    Some(id.to_key().to_bytes()).filter(|bytes| *bytes != [0; 16])
}

/// Whether `text` contains `wanted`, without regard to the case of ASCII letters.
fn contains(text: &str, wanted: &str) -> bool {
    let (text, wanted) = (text.as_bytes(), wanted.as_bytes());
    // The rarest byte of what is wanted is looked for first.
    let Some((place, byte)) = wanted.iter().copied().enumerate().min_by_key(|(_, byte)| commonness(*byte))
    else {
        return true;
    };
    memchr2_iter(byte.to_ascii_lowercase(), byte.to_ascii_uppercase(), text).any(|at| {
        let start = at.checked_sub(place);
        let found = start.and_then(|start| text.get(start..start + wanted.len()));
        found.is_some_and(|found| found.eq_ignore_ascii_case(wanted))
    })
}

fn commonness(byte: u8) -> u8 {
    match byte.to_ascii_lowercase() {
        b' ' | b'e' | b't' | b'a' | b'o' | b'i' | b'n' | b's' | b'r' => 3,
        b'0'..=b'9' | b'l' | b'd' | b'c' | b'u' | b'm' | b'p' | b'/' | b'.' => 2,
        b'a'..=b'z' | b'_' | b'-' | b':' | b'=' => 1,
        _ => 0,
    }
}

/// The parts of a search, each with its key if it has one.
fn split(search: &str) -> Vec<(Option<String>, String)> {
    let mut parts = Vec::new();
    let mut rest = search.trim_start();
    while !rest.is_empty() {
        let (mut key, mut text) = (None, String::new());
        let mut is_quoted = false;
        let mut chars = rest.char_indices();
        let mut end = rest.len();
        for (at, c) in chars.by_ref() {
            match c {
                '"' => is_quoted = !is_quoted,
                ':' if !is_quoted && key.is_none() && is_key(&text) => key = Some(std::mem::take(&mut text)),
                c if c.is_whitespace() && !is_quoted => {
                    end = at;
                    break;
                }
                c => text.push(c),
            }
        }
        rest = rest.get(end..).unwrap_or_default().trim_start();
        match (key, text.is_empty()) {
            (None, true) => {}
            // `word:` is a text that ends with a colon.
            (Some(key), true) => parts.push((None, format!("{key}:"))),
            (key, false) => parts.push((key, text)),
        }
    }
    parts
}

fn is_key(text: &str) -> bool {
    !text.is_empty()
        && text.chars().all(|c| c.is_alphanumeric() || matches!(c, '.' | '_' | '-'))
        && !text.starts_with(|c: char| c.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_search_has_texts_fields_and_attributes() {
        let filter = LogFilter::parse(
            r#"declined "card number" level:WARN release:"shop 1" http.status:504 trace:80f65fc60f924d95b3291e97e1a13f61 at: 12:30"#,
        )
        .unwrap();
        assert_eq!(filter.texts, ["declined", "card number", "at:", "12:30"]);
        assert_eq!(filter.level, Some(LogLevel::Warn));
        assert_eq!(filter.release.as_deref(), Some("shop 1"));
        assert_eq!(filter.attributes, [("http.status".to_owned(), "504".to_owned())]);
        assert_eq!(filter.trace.map(|trace| trace[0]), Some(0x80));
        assert!(!filter.is_level_only());
        assert!(LogFilter::parse(" level:error ").unwrap().is_level_only());
        assert_eq!(LogFilter::parse("").unwrap(), LogFilter::default());
        assert_eq!(LogFilter::parse("\"open quote").unwrap().texts, ["open quote"]);
    }

    #[test]
    fn what_cannot_be_understood_is_said() {
        let error = |search: &str| LogFilter::parse(search).unwrap_err();
        assert_eq!(error("level:loud"), "level: loud is none of trace, debug, info, warn, error, fatal");
        assert_eq!(error("trace:12"), "trace: must have 32 hexadecimal digits");
        assert!(error(&"a ".repeat(21)).contains("more than 20 parts"));
        assert!(error(&"a".repeat(501)).contains("longer than 500"));
    }

    #[test]
    fn texts_are_found_without_regard_to_case() {
        assert!(contains("Payment DECLINED by issuer", "declined"));
        assert!(contains("a", "A") && contains("", "") && contains("abc", ""));
        assert!(contains("größer als", "größer") && !contains("GRÖSSER", "größer"));
        assert!(!contains("abc", "abcd") && !contains("", "a") && !contains("xab", "abx"));
        assert!(contains("eeeee timed out", "Timed"));
    }
}
