//! A query as it is understood: terms that must all hold. Made by [`super::parse`].

use belvedere_kernel::User;
use belvedere_storage::{Id, Timestamp};

use super::words::Phrase;
use crate::event_id::EventId;
use crate::{IssueStatus, Level, Substatus};

/// What an issue must be like: all the terms hold.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Query {
    pub(crate) terms: Vec<Term>,
}

impl Query {
    /// Whether it asks for nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.terms.is_empty()
    }

    /// The same query, for issues in this state only.
    #[must_use]
    pub fn with_status(mut self, status: IssueStatus) -> Self {
        self.terms.push(Term { is_negated: false, filter: Filter::Is(IsWord::Status(status)) });
        self
    }

    /// The same query, for unresolved issues that came to be so in this way only.
    #[must_use]
    pub fn with_substatus(mut self, substatus: Substatus) -> Self {
        self.terms.push(Term { is_negated: false, filter: Filter::Is(IsWord::Substatus(substatus)) });
        self
    }

    /// The same query, for issues that this member is to look at only.
    #[must_use]
    pub fn with_assignee(mut self, user: Id<User>) -> Self {
        self.terms.push(Term { is_negated: false, filter: Filter::Assigned(vec![Assignee::User(user)]) });
        self
    }

    /// Whether it says itself in which state issues must be, so that no default is wanted.
    #[must_use]
    pub fn names_status(&self) -> bool {
        self.terms.iter().any(|term| matches!(term.filter, Filter::Is(word) if word.is_status()))
    }
}

/// A filter, or its opposite.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Term {
    pub(crate) is_negated: bool,
    pub(crate) filter: Filter,
}

/// One thing that an issue can be asked.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Filter {
    /// A state.
    Is(IsWord),
    /// The worst level is one of these.
    Level(Vec<Level>),
    /// Somebody of these has it.
    Assigned(Vec<Assignee>),
    /// The column lies within.
    Between(Column, i64, i64),
    /// It has an event of one of these traces.
    Trace(Vec<[u8; 16]>),
    /// It has one of these events.
    Event(Vec<EventId>),
    /// One of these phrases occurs in the field.
    Text(Field, Vec<Phrase>),
    /// It has an event with this key and one of these values.
    Tag(String, Vec<Pattern>),
    /// It has an event with this key.
    Has(String),
}

/// A word after `is:`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum IsWord {
    Status(IssueStatus),
    /// Unresolved, and so in this way.
    Substatus(Substatus),
    /// Somebody is to look at it.
    Assigned,
    Unassigned,
    New,
}

impl IsWord {
    /// The word's meaning.
    pub(crate) fn parse(word: &str) -> Option<Self> {
        let substatus = || Substatus::ALL.into_iter().find(|substatus| substatus.as_str() == word);
        match word {
            "new" => Some(Self::New),
            "assigned" => Some(Self::Assigned),
            "unassigned" => Some(Self::Unassigned),
            _ => word.parse().ok().map(Self::Status).or_else(|| substatus().map(Self::Substatus)),
        }
    }

    pub(crate) fn is_status(self) -> bool {
        matches!(self, Self::Status(_) | Self::Substatus(_))
    }
}

/// To whom an issue may be assigned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Assignee {
    Nobody,
    User(Id<User>),
}

/// A number of an issue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Column {
    FirstSeen,
    LastSeen,
    Events,
    Subjects,
}

/// Where text is looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Field {
    /// Title, place, messages, types of exceptions and transaction.
    Anywhere,
    Title,
    Culprit,
    Message,
}

/// A value, or a glob in which `*` stands for any text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Pattern {
    Exact(String),
    /// What stands between the stars; at least two parts.
    Glob(Vec<String>),
}

impl Pattern {
    /// Whether `value` is what is looked for.
    pub(crate) fn matches(&self, value: &str) -> bool {
        match self {
            Self::Exact(exact) => exact == value,
            Self::Glob(parts) => matches_glob(parts, value),
        }
    }
}

fn matches_glob(parts: &[String], value: &str) -> bool {
    let [first, middle @ .., last] = parts else { return false };
    let Some(mut rest) = value.strip_prefix(first.as_str()) else { return false };
    for part in middle {
        match rest.find(part.as_str()) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    rest.len() >= last.len() && rest.ends_with(last.as_str())
}

/// What a query is read against.
#[derive(Debug, Clone, Default)]
pub struct QueryContext {
    /// The time that `-24h` counts from.
    pub now: Timestamp,
    /// Who `assigned:me` is; `None` where nobody is signed in.
    pub me: Option<Id<User>>,
    /// The members by the names and e-mail addresses that `assigned:` may name, in lower case.
    pub people: Vec<(String, Id<User>)>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn globs_match_whole_values() {
        let glob = |parts: &[&str]| Pattern::Glob(parts.iter().map(|part| (*part).to_owned()).collect());
        assert!(glob(&["shop@2.", ""]).matches("shop@2.14"));
        assert!(!glob(&["shop@2.", ""]).matches("web-shop@2.14"));
        assert!(glob(&["", ".py"]).matches("a.py") && !glob(&["", ".py"]).matches("a.pyc"));
        assert!(glob(&["a", "b", "c"]).matches("a-b-c") && !glob(&["a", "b", "c"]).matches("a-c"));
        // A letter is not used twice.
        assert!(!glob(&["ab", "ba"]).matches("aba"));
        assert!(glob(&["", ""]).matches(""));
    }
}
