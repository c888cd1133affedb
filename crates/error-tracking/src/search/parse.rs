//! From the text of a query to [`Query`]: pure, with errors that say where and what was expected.
//!
//! ```text
//! query   = term*                          all must hold
//! term    = ["!" | "-"] (filter | text)
//! filter  = key ":" value
//! value   = word | quoted | "[" value ("," value)* "]", with > >= < <= before numbers, times and levels
//! text    = word | quoted                  a quoted text must occur as it is, words on their own
//! ```

use belvedere_storage::Timestamp;

use super::query::{Assignee, Column, Field, Filter, IsWord, Pattern, Query, QueryContext, Term};
use super::value::{parse_count, parse_time};
use super::words::phrase_of;
use crate::event_id::EventId;
use crate::tags::{is_key, parse_trace};
use crate::{ErrorTrackingError, IssueStatus, Level};

/// The longest query, in characters.
pub(crate) const QUERY_CHARS_MAX: usize = 1_000;

/// The most terms of a query.
const TERMS_MAX: usize = 20;

/// The most values of a list.
const VALUES_MAX: usize = 20;

/// Why a text is not a query: where, and what is wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("query, character {position}: {problem}")]
pub struct QueryError {
    /// In characters, from 1.
    pub position: usize,
    /// What was expected there.
    pub problem: String,
}

impl From<QueryError> for ErrorTrackingError {
    fn from(error: QueryError) -> Self {
        Self::InvalidQuery(error.to_string())
    }
}

/// Reads a query.
///
/// # Errors
/// [`QueryError`] for the first thing that cannot be understood.
pub fn parse_query(text: &str, context: &QueryContext) -> Result<Query, QueryError> {
    let characters: Vec<char> = text.chars().collect();
    if characters.len() > QUERY_CHARS_MAX {
        return Err(at(QUERY_CHARS_MAX, format!("a query has at most {QUERY_CHARS_MAX} characters")));
    }
    // Databases have no text with NUL, and no event has a tag or a title with another control character.
    if let Some(index) = characters.iter().position(|c| c.is_control() && !c.is_whitespace()) {
        return Err(at(index, "a query has no control characters"));
    }
    let mut reader = Reader { characters: &characters, at: 0 };
    let mut terms = Vec::new();
    while reader.skip_spaces() {
        if terms.len() == TERMS_MAX {
            return Err(at(reader.at, format!("a query has at most {TERMS_MAX} terms")));
        }
        terms.push(read_term(&mut reader, context)?);
    }
    Ok(Query { terms })
}

pub(super) fn at(index: usize, problem: impl Into<String>) -> QueryError {
    QueryError { position: index + 1, problem: problem.into() }
}

/// A value with where it stands and what it had in front.
#[derive(Debug, Clone)]
pub(super) struct Word {
    pub(super) at: usize,
    pub(super) text: String,
    /// The text divided at its stars; one part without any.
    pub(super) parts: Vec<String>,
    pub(super) comparison: Comparison,
}

/// How a value is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Comparison {
    Equal,
    Above,
    AtLeast,
    Below,
    AtMost,
}

/// What stands before a colon.
struct Key {
    at: usize,
    name: String,
    /// Whether it was written `tags[key]`, and has no meaning of its own.
    is_tag: bool,
}

struct Reader<'a> {
    characters: &'a [char],
    at: usize,
}

impl Reader<'_> {
    fn peek(&self) -> Option<char> {
        self.characters.get(self.at).copied()
    }

    fn takes(&mut self, wanted: char) -> bool {
        let is_there = self.peek() == Some(wanted);
        self.at += usize::from(is_there);
        is_there
    }

    /// Whether something follows.
    fn skip_spaces(&mut self) -> bool {
        while self.peek().is_some_and(char::is_whitespace) {
            self.at += 1;
        }
        self.peek().is_some()
    }

    /// A key and its colon, if that is what comes; `Err` for a `tags[..]` that is none.
    fn read_key(&mut self) -> Result<Option<Key>, QueryError> {
        let start = self.at;
        let rest: String = self.characters[start..].iter().collect();
        if let Some(inner) = rest.strip_prefix("tags[") {
            let Some((key, _)) = inner.split_once("]:").filter(|(key, _)| is_key(key)) else {
                return Err(at(start, "expected tags[key]:value with a key of letters, digits and _.-"));
            };
            self.at += "tags[]:".len() + key.chars().count();
            return Ok(Some(Key { at: start, name: key.to_owned(), is_tag: true }));
        }
        let is_key_character = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
        let key: String = self.characters[start..].iter().take_while(|c| is_key_character(c)).collect();
        let after = start + key.len();
        let next = |offset: usize| self.characters.get(after + offset).copied();
        // `https://..`, `importer::read` and `C:\path` are text.
        let is_text = match (next(1), next(2)) {
            (Some(':'), _) | (Some('/'), Some('/')) => true,
            (Some('\\'), after) => !matches!(after, Some('"' | '\\' | '*')),
            _ => false,
        };
        let is_filter = !key.is_empty() && next(0) == Some(':') && !is_text;
        let is_filter = is_filter && (next(1).is_some_and(|c| !c.is_whitespace()) || is_known_key(&key));
        if !is_filter {
            return Ok(None);
        }
        self.at = after + 1;
        Ok(Some(Key { at: start, name: key, is_tag: false }))
    }

    fn read_values(&mut self, key: &str) -> Result<Vec<Word>, QueryError> {
        if !self.takes('[') {
            return Ok(vec![self.read_value(key, false)?]);
        }
        let mut values = Vec::new();
        loop {
            self.skip_spaces();
            if values.len() == VALUES_MAX {
                return Err(at(self.at, format!("a list has at most {VALUES_MAX} values")));
            }
            values.push(self.read_value(key, true)?);
            self.skip_spaces();
            if self.takes(']') {
                return Ok(values);
            }
            if !self.takes(',') {
                return Err(at(self.at, "expected , or ] in the list"));
            }
        }
    }

    fn read_value(&mut self, key: &str, in_list: bool) -> Result<Word, QueryError> {
        let comparison = self.read_comparison();
        let start = self.at;
        let mut parts = vec![String::new()];
        let is_quoted = self.takes('"');
        loop {
            match self.peek() {
                None if is_quoted => return Err(at(start, "expected a closing \" for this one")),
                Some('"') if is_quoted => break,
                None => break,
                Some(c) if !is_quoted && (c.is_whitespace() || (in_list && matches!(c, ',' | ']'))) => break,
                Some('*') => parts.push(String::new()),
                Some('\\') if matches!(self.characters.get(self.at + 1), Some('"' | '\\' | '*')) => {
                    self.at += 1;
                    push(&mut parts, self.characters[self.at]);
                }
                Some(other) => push(&mut parts, other),
            }
            self.at += 1;
        }
        self.at += usize::from(is_quoted);
        if is_quoted && !in_list && self.peek().is_some_and(|c| !c.is_whitespace()) {
            return Err(at(self.at, "expected a space after the closing \""));
        }
        let text = parts.join("*");
        if text.trim().is_empty() {
            let what = if key.is_empty() { "text".to_owned() } else { format!("a value for {key}:") };
            return Err(at(start, format!("expected {what}")));
        }
        Ok(Word { at: start, text, parts, comparison })
    }

    fn read_comparison(&mut self) -> Comparison {
        let orders =
            [('>', Comparison::Above, Comparison::AtLeast), ('<', Comparison::Below, Comparison::AtMost)];
        for (sign, strict, weak) in orders {
            if self.takes(sign) {
                return if self.takes('=') { weak } else { strict };
            }
        }
        Comparison::Equal
    }
}

fn push(parts: &mut [String], character: char) {
    if let Some(part) = parts.last_mut() {
        part.push(character);
    }
}

/// Keys with a meaning of their own, for help and suggestions.
pub const KEYS: [(&str, &str); 23] = [
    (
        "is",
        "unresolved, resolved, ignored, archived, regressed, escalating, assigned, unassigned, or new (first seen within 7 days)",
    ),
    ("level", "worst level: error, [error,fatal], >=warning"),
    ("assigned", "me, none, or a member's name or e-mail address"),
    ("release", "a release with an event: shop@2.14.0, shop@2.*"),
    ("environment", "an environment with an event: production"),
    ("first_seen", "-24h (since then), +7d (before), >2026-11-20, 2026-11-20"),
    ("last_seen", "as first_seen"),
    ("times_seen", "all events: >100, <=5"),
    ("subjects", "people affected: >=5"),
    ("users", "the same as subjects"),
    ("trace", "a trace with an event: 32 hexadecimal digits"),
    ("event", "the issue of an event: its id"),
    ("title", "words of the title"),
    ("culprit", "words of the place"),
    ("message", "words of messages and values of exceptions"),
    ("type", "type of an exception: KeyError, *Timeout"),
    ("platform", "python, javascript, .."),
    ("sdk", "name of the SDK: sentry.python*"),
    ("handled", "yes or no: whether the program caught it"),
    ("has", "has the tag at all: has:server_name"),
    ("transaction", "as any other key: a tag, /checkout*"),
    ("url.host", "host of the request's address"),
    ("browser.name", "Firefox, Chrome, ..; also os.name, runtime.name, device"),
];

fn is_known_key(key: &str) -> bool {
    KEYS.iter().any(|(known, _)| *known == key)
}

fn read_term(reader: &mut Reader<'_>, context: &QueryContext) -> Result<Term, QueryError> {
    let is_negated = match reader.peek() {
        Some('!' | '-') => {
            reader.at += 1;
            true
        }
        _ => false,
    };
    let Some(key) = reader.read_key()? else {
        let word = reader.read_value("", false)?;
        return Ok(Term { is_negated, filter: text(Field::Anywhere, &[word])? });
    };
    let values = reader.read_values(&key.name)?;
    let filter = match key.name.as_str() {
        name if key.is_tag => tag(name, key.at, &values)?,
        "is" => is(&values)?,
        "level" => level(&values)?,
        "assigned" => assigned(&values, context)?,
        "first_seen" => time(Column::FirstSeen, &values, context.now)?,
        "last_seen" => time(Column::LastSeen, &values, context.now)?,
        "times_seen" => count(Column::Events, &values)?,
        "subjects" | "users" => count(Column::Subjects, &values)?,
        "trace" => Filter::Trace(each(&values, "32 hexadecimal digits of a trace", parse_trace)?),
        "event" => Filter::Event(each(&values, "the id of an event, 32 hexadecimal digits", |text| {
            text.parse::<EventId>().ok()
        })?),
        "title" => text(Field::Title, &values)?,
        "culprit" => text(Field::Culprit, &values)?,
        "message" => text(Field::Message, &values)?,
        "has" => has(&values)?,
        "handled" => tag("handled", key.at, &values.into_iter().map(as_yes_or_no).collect::<Vec<_>>())?,
        "type" => tag("error.type", key.at, &values)?,
        other => tag(other, key.at, &values)?,
    };
    Ok(Term { is_negated, filter })
}

fn each<T>(values: &[Word], what: &str, parse: impl Fn(&str) -> Option<T>) -> Result<Vec<T>, QueryError> {
    let one = |word: &Word| {
        let found = (word.comparison == Comparison::Equal).then(|| parse(&word.text)).flatten();
        found.ok_or_else(|| at(word.at, format!("expected {what}")))
    };
    values.iter().map(one).collect()
}

fn only<'a>(values: &'a [Word], key: &str) -> Result<&'a Word, QueryError> {
    match values {
        [one] => Ok(one),
        _ => Err(at(values.first().map_or(0, |word| word.at), format!("{key} takes one value, not a list"))),
    }
}

fn is(values: &[Word]) -> Result<Filter, QueryError> {
    let word = only(values, "is:")?;
    let statuses = IssueStatus::ALL.map(IssueStatus::as_str).join(", ");
    let found = each(
        std::slice::from_ref(word),
        &format!("one of {statuses}, ongoing, regressed, escalating, assigned, unassigned, new"),
        IsWord::parse,
    )?;
    Ok(Filter::Is(found[0]))
}

fn level(values: &[Word]) -> Result<Filter, QueryError> {
    let parse = |word: &Word| {
        let level = Level::ALL.into_iter().find(|level| level.as_str() == word.text);
        level.ok_or_else(|| at(word.at, "expected one of debug, info, warning, error, fatal"))
    };
    if let [word] = values
        && word.comparison != Comparison::Equal
    {
        let bound = parse(word)?;
        let holds = |level: &Level| match word.comparison {
            Comparison::Equal => *level == bound,
            Comparison::Above => *level > bound,
            Comparison::AtLeast => *level >= bound,
            Comparison::Below => *level < bound,
            Comparison::AtMost => *level <= bound,
        };
        return Ok(Filter::Level(Level::ALL.into_iter().filter(holds).collect()));
    }
    Ok(Filter::Level(values.iter().map(parse).collect::<Result<_, _>>()?))
}

fn assigned(values: &[Word], context: &QueryContext) -> Result<Filter, QueryError> {
    let parse = |word: &Word| match word.text.as_str() {
        "none" => Ok(Assignee::Nobody),
        "me" => context
            .me
            .map(Assignee::User)
            .ok_or_else(|| at(word.at, "nobody is signed in here: name a member instead of me")),
        name => {
            let by_name = context.people.iter().find(|(known, _)| *known == name.to_lowercase());
            let user = by_name.map(|(_, id)| *id).or_else(|| name.parse().ok());
            user.map(Assignee::User)
                .ok_or_else(|| at(word.at, "expected me, none, or a member's name or e-mail address"))
        }
    };
    Ok(Filter::Assigned(values.iter().map(parse).collect::<Result<_, _>>()?))
}

fn time(column: Column, values: &[Word], now: Timestamp) -> Result<Filter, QueryError> {
    let (from, to) = parse_time(only(values, "a time")?, now)?;
    Ok(Filter::Between(column, from, to))
}

fn count(column: Column, values: &[Word]) -> Result<Filter, QueryError> {
    let (from, to) = parse_count(only(values, "a number")?)?;
    Ok(Filter::Between(column, from, to))
}

fn text(field: Field, values: &[Word]) -> Result<Filter, QueryError> {
    let phrase = |word: &Word| {
        phrase_of(&word.text).ok_or_else(|| at(word.at, "expected a letter or a digit to look for"))
    };
    Ok(Filter::Text(field, values.iter().map(phrase).collect::<Result<_, _>>()?))
}

fn has(values: &[Word]) -> Result<Filter, QueryError> {
    let word = only(values, "has:")?;
    let key = match word.text.as_str() {
        "type" => "error.type",
        "user" | "users" | "subjects" => {
            return Ok(Filter::Tag("has_user".to_owned(), vec![Pattern::Exact("yes".to_owned())]));
        }
        key => key,
    };
    if !is_key(key) {
        return Err(at(word.at, "expected the key of a tag: letters, digits and _.-"));
    }
    Ok(Filter::Has(key.to_owned()))
}

fn tag(key: &str, start: usize, values: &[Word]) -> Result<Filter, QueryError> {
    if !is_key(key) {
        return Err(at(start, "expected a key of at most 32 letters, digits and _.-"));
    }
    let pattern = |word: &Word| {
        if word.comparison != Comparison::Equal {
            return Err(at(word.at, format!("{key} is a tag: it is compared as text, without < and >")));
        }
        Ok(match word.parts.as_slice() {
            [only] => Pattern::Exact(only.clone()),
            parts => Pattern::Glob(parts.to_vec()),
        })
    };
    Ok(Filter::Tag(key.to_owned(), values.iter().map(pattern).collect::<Result<_, _>>()?))
}

/// `handled` is kept as yes and no; other SDKs' users write true and false.
fn as_yes_or_no(mut word: Word) -> Word {
    let text = match word.text.as_str() {
        "true" | "1" => "yes",
        "false" | "0" => "no",
        _ => return word,
    };
    text.clone_into(&mut word.text);
    word.parts = vec![text.to_owned()];
    word
}

#[cfg(test)]
mod tests;
