//! Rows of issues and events.

use belvedere_error_tracking::{IssueStatus, IssueSummary, Level, Substatus};
use belvedere_kernel::ProjectId;
use belvedere_storage::Timestamp;

use crate::charts::{Svg, sparkline};
use crate::wording::{Ago, Count};

/// A row of the list of issues.
#[derive(Debug)]
pub(crate) struct IssueRow {
    pub(crate) id: String,
    /// Changes whenever the row does, for the script that marks rows that just changed.
    pub(crate) version: String,
    pub(crate) href: String,
    pub(crate) number: i64,
    /// The part of the title that names a type; empty for messages.
    pub(crate) kind: String,
    pub(crate) title: String,
    pub(crate) culprit: String,
    pub(crate) level: &'static str,
    /// Whether the level is worth a word: everything but the usual `error`.
    pub(crate) names_level: bool,
    pub(crate) status: &'static str,
    pub(crate) platform: String,
    pub(crate) events: Count,
    pub(crate) subjects: Count,
    pub(crate) first_seen: Ago,
    pub(crate) last_seen: Ago,
    pub(crate) trend: Svg,
    /// `regressed` or `escalating`; empty for the usual.
    pub(crate) substatus: &'static str,
    /// The name of who is to look at it, where names are shown.
    pub(crate) assignee: String,
    /// Whether it has a box to pick it for a change of many.
    pub(crate) is_pickable: bool,
}

impl IssueRow {
    pub(crate) fn new(project: ProjectId, issue: &IssueSummary, now: Timestamp) -> Self {
        let (kind, title) = split_title(&issue.title);
        Self {
            id: issue.id.to_string(),
            version: format!(
                "{}-{}-{}-{}",
                issue.events,
                issue.subjects,
                status_word(issue.status),
                issue.assigned_to.map(|user| user.to_string()).unwrap_or_default()
            ),
            href: issue_href(project, &issue.id.to_string()),
            number: issue.number,
            kind: kind.to_owned(),
            title: title.to_owned(),
            culprit: issue.culprit.clone(),
            level: level_word(issue.level),
            names_level: issue.level != Level::Error,
            status: status_word(issue.status),
            platform: issue.platform.clone(),
            events: Count(issue.events),
            subjects: Count(issue.subjects),
            first_seen: Ago { at: issue.first_seen, now },
            last_seen: Ago { at: issue.last_seen, now },
            trend: sparkline(&issue.hourly),
            substatus: match (issue.status, issue.substatus) {
                (IssueStatus::Unresolved, Substatus::Regressed | Substatus::Escalating) => {
                    issue.substatus.as_str()
                }
                _ => "",
            },
            assignee: String::new(),
            is_pickable: false,
        }
    }
}

pub(crate) fn issue_href(project: ProjectId, issue: &str) -> String {
    format!("/projects/{project}/issues/{issue}")
}

/// `event_id` is ours: 32 hexadecimal digits.
pub(crate) fn event_href(project: ProjectId, event_id: &str) -> String {
    format!("/projects/{project}/events/{event_id}")
}

pub(crate) fn level_word(level: Level) -> &'static str {
    match level {
        Level::Debug => "debug",
        Level::Info => "info",
        Level::Warning => "warning",
        Level::Error => "error",
        Level::Fatal => "fatal",
    }
}

pub(crate) fn status_word(status: IssueStatus) -> &'static str {
    match status {
        IssueStatus::Unresolved => "unresolved",
        IssueStatus::Resolved => "resolved",
        IssueStatus::Ignored => "ignored",
        IssueStatus::Archived => "archived",
    }
}

/// `TypeError: x is undefined` as its type and the rest; a sentence with a colon is not a type.
pub(crate) fn split_title(title: &str) -> (&str, &str) {
    match title.split_once(": ") {
        Some((kind, rest)) if is_type_name(kind) => (kind, rest),
        None if is_type_name(title) => (title, ""),
        _ => ("", title),
    }
}

fn is_type_name(text: &str) -> bool {
    let is_name_char =
        |c: char| c.is_alphanumeric() || matches!(c, '_' | '.' | ':' | '$' | '<' | '>' | '\\' | '/');
    text.len() <= 120
        && text.starts_with(|c: char| c.is_alphabetic() || c == '_')
        && text.chars().all(is_name_char)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn titles_are_split_after_a_type_name_only() {
        assert_eq!(split_title("TypeError: x is undefined"), ("TypeError", "x is undefined"));
        assert_eq!(split_title("java.lang.Error: a: b"), ("java.lang.Error", "a: b"));
        assert_eq!(split_title("KeyError"), ("KeyError", ""));
        assert_eq!(split_title("could not load: 3 files"), ("", "could not load: 3 files"));
        assert_eq!(split_title("404: not found"), ("", "404: not found"));
        assert_eq!(split_title(""), ("", ""));
    }
}
