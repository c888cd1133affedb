//! A project's own rules of grouping: which events are one issue, whose frames count, which events are not wanted.
//!
//! A rule is a line: conditions, all of which must hold, an arrow, and what is to be done.
//!
//! ```text
//! error.type:DatabaseUnavailable tags.region:eu* -> fingerprint: database-unavailable, {{ tags.region }}
//! path:**/vendor/** -> -app
//! function:log_* -> -group
//! logger:health !level:error -> ignore
//! ```
//!
//! Rules for frames (`+app`, `-app`, `+group`, `-group`) apply in their order, the last word counting. Of the others the
//! first whose conditions hold decides. A fingerprint of a rule goes before that of the client.
//!
//! Invariants:
//! - Rules say what happens to events from now on; they never change what is stored.
//! - An event whose grouping a rule had a hand in is never led to an issue by the rules of grouping of an older version.
//! - A change holds in the process that made it at once, in others within 5 s.

mod apply;
mod book;
mod parse;
mod pattern;
mod preview;
mod service;
mod store;

use async_trait::async_trait;
use belvedere_kernel::{Actor, Organisation, ProjectId};
use belvedere_storage::{Id, Timestamp};
use serde::Serialize;

use crate::{ErrorTrackingError, IssueId};

pub(crate) use apply::{Ruling, forget_rules, resolve_title};
pub(crate) use book::{GroupingBook, GroupingContext};
use pattern::Pattern;

/// The most rules of a project.
pub const RULES_MAX: usize = 100;

/// The longest rule, in characters.
pub const LINE_CHARS_MAX: usize = 1_000;

/// All rules of a project together with their comments, in bytes.
pub const RULES_BYTES_MAX: usize = 32 << 10;

/// The most conditions of a rule.
const MATCHERS_MAX: usize = 10;

/// The most things that a rule does.
const ACTIONS_MAX: usize = 4;

/// The most values of a rule's fingerprint.
const FINGERPRINT_PARTS_MAX: usize = 20;

/// What may be asked of a project's rules of grouping.
#[async_trait]
pub trait GroupingRules: Send + Sync {
    /// The rules as they are; without any, an empty text at revision 0.
    async fn find_rules(&self, project: ProjectId) -> Result<StoredRules, ErrorTrackingError>;

    /// Replaces the rules, with an audit entry `grouping_rules_changed` that holds what was and what is.
    ///
    /// # Errors
    /// [`ErrorTrackingError::InvalidRules`] with line and column, and [`ErrorTrackingError::RulesChanged`] if
    /// somebody else has changed them since.
    async fn change_rules(&self, change: ChangeRules) -> Result<StoredRules, ErrorTrackingError>;

    /// How the newest 500 stored events of a project would be grouped by these rules; changes nothing.
    ///
    /// # Errors
    /// [`ErrorTrackingError::InvalidRules`] with line and column.
    async fn preview_rules(&self, project: ProjectId, rules: &str) -> Result<Preview, ErrorTrackingError>;
}

/// The rules of a project.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct StoredRules {
    /// One a line, with comments.
    pub rules: String,
    /// How often they were changed.
    pub revision: i64,
    /// When they were changed.
    pub changed_at: Option<Timestamp>,
}

/// New rules for a project.
#[derive(Debug, Clone, PartialEq)]
pub struct ChangeRules {
    /// Who sets them.
    pub actor: Actor,
    /// Whose audit log it is written to.
    pub organisation: Id<Organisation>,
    /// The project.
    pub project: ProjectId,
    /// What holds from now on, one rule a line.
    pub rules: String,
    /// The revision that the author saw; `None` replaces whatever is there.
    pub revision: Option<i64>,
    /// The HTTP request, for the audit log.
    pub request_id: Option<String>,
}

/// How stored events would be grouped by other rules.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Preview {
    /// How many events were looked at: the newest of the project, at most 500.
    pub events: u64,
    /// How many issues they are in.
    pub issues_before: u64,
    /// How many issues they would be in.
    pub issues_after: u64,
    /// How many of them would have been left out.
    pub ignored: u64,
    /// How many would come under another issue than they are in.
    pub moved: u64,
    /// Issues whose events would come together; at most 10.
    pub joins: Vec<PreviewGroup>,
    /// Issues whose events would come apart; at most 10.
    pub splits: Vec<PreviewGroup>,
    /// Events that would have been left out, by their titles; at most 10.
    pub ignored_events: Vec<PreviewPart>,
}

/// An issue and what would come together in it, or what would become of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PreviewGroup {
    /// The issue, or `None` for one that does not exist yet.
    pub issue: Option<IssueId>,
    /// Its title.
    pub title: String,
    /// The issues that it would be made of or fall into; at most 10.
    pub parts: Vec<PreviewPart>,
}

/// Some of the events of a preview.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PreviewPart {
    /// The issue they are in or would be in; `None` for one that does not exist yet.
    pub issue: Option<IssueId>,
    /// The title of one of them.
    pub title: String,
    /// How many they are.
    pub events: u64,
}

/// The first line that is no rule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}, column {column}: {why}")]
pub struct InvalidRules {
    /// From 1.
    pub line: usize,
    /// From 1, in characters.
    pub column: usize,
    /// What is wrong there.
    pub why: String,
}

/// The rules of a project, read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct RuleSet {
    rules: Vec<Rule>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Rule {
    /// The line.
    text: String,
    matchers: Vec<Matcher>,
    actions: Vec<Action>,
}

impl Rule {
    fn changes_frames(&self) -> bool {
        matches!(self.actions.first(), Some(Action::Frame(_)))
    }
}

/// A condition.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Matcher {
    field: Field,
    is_negated: bool,
    /// `None` asks for an empty or missing value.
    pattern: Option<Pattern>,
}

/// What a condition is about.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Field {
    Type,
    Value,
    Message,
    Level,
    Logger,
    Transaction,
    Release,
    Environment,
    Platform,
    Family,
    Tag(String),
    Path,
    Function,
    Module,
    Package,
    App,
}

impl Field {
    /// Whether it is about a frame; the family can be both.
    fn is_of_frame(&self) -> bool {
        matches!(self, Self::Path | Self::Function | Self::Module | Self::Package | Self::App | Self::Family)
    }

    fn is_path(&self) -> bool {
        matches!(self, Self::Path | Self::Package)
    }
}

/// What is done.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Action {
    Fingerprint(Vec<String>),
    Title(String),
    Frame(FrameChange),
    Ignore,
}

/// What is done to a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum FrameChange {
    InApp(bool),
    InGrouping(bool),
}
