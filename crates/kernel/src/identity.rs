use std::fmt;
use std::str::FromStr;

use belvedere_storage::Id;
use serde::{Deserialize, Serialize};

/// Marks ids of organisations.
#[derive(Debug)]
pub enum Organisation {}

/// Marks ids of people who can sign in.
#[derive(Debug)]
pub enum User {}

/// Marks ids of API tokens.
#[derive(Debug)]
pub enum ApiToken {}

/// Marks ids of ingest keys.
#[derive(Debug)]
pub enum IngestKey {}

/// Marks ids of keys of the xAPI record store.
#[derive(Debug)]
pub enum XapiKey {}

/// The number of a project, as it stands in a DSN: positive, at most 2^31 - 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ProjectId(pub i64);

impl fmt::Display for ProjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for ProjectId {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse::<u32>().map(|number| Self(i64::from(number)))
    }
}

/// A person whom a project observes, as a dense number per project that says nothing about who it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SubjectId(pub i64);

impl fmt::Display for SubjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Who does something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Actor {
    /// A signed-in person.
    User(Id<User>),
    /// A program with an API token.
    Token(Id<ApiToken>),
    /// Somebody who has not proved who they are.
    Anonymous,
    /// Belvedere itself, named by the part that acts.
    System(&'static str),
}

impl Actor {
    /// The kind of actor as a word: `user`, `token`, `anonymous`, `system`.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::User(_) => "user",
            Self::Token(_) => "token",
            Self::Anonymous => "anonymous",
            Self::System(_) => "system",
        }
    }

    /// The actor's id as text, where it has one.
    #[must_use]
    pub fn id(&self) -> Option<String> {
        match self {
            Self::User(id) => Some(id.to_string()),
            Self::Token(id) => Some(id.to_string()),
            Self::Anonymous => None,
            Self::System(part) => Some((*part).to_owned()),
        }
    }
}
