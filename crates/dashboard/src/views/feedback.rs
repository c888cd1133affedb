//! What people said, as pages show it.

use belvedere_error_tracking::feedback::FeedbackSummary;
use belvedere_kernel::ProjectId;
use belvedere_storage::Timestamp;

use crate::views::issues::{event_href, issue_href};
use crate::views::payload::followable;
use crate::wording::{Ago, shorten};

/// How much of a message a list shows, in characters.
const EXCERPT_CHARS_MAX: usize = 280;

/// A feedback in a list.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct FeedbackRow {
    pub(crate) id: String,
    pub(crate) href: String,
    pub(crate) excerpt: String,
    pub(crate) status: &'static str,
    pub(crate) source: String,
    pub(crate) url: String,
    /// The address, if it may be followed.
    pub(crate) url_href: Option<String>,
    pub(crate) subject: String,
    pub(crate) environment: String,
    /// The event that it is about, while that is stored.
    pub(crate) event_href: Option<String>,
    pub(crate) issue_href: Option<String>,
    /// Whether it is about an event that is not stored.
    pub(crate) waits_for_event: bool,
    pub(crate) occurred_at: Ago,
}

impl FeedbackRow {
    pub(crate) fn new(project: ProjectId, said: &FeedbackSummary, now: Timestamp) -> Self {
        let url = said.url.clone().unwrap_or_default();
        let event = said.associated_event_id.as_deref();
        Self {
            id: said.id.to_string(),
            href: feedback_href(project, &said.id.to_string()),
            excerpt: shorten(&said.message, EXCERPT_CHARS_MAX),
            status: said.status.as_str(),
            source: said.source.replace('_', " "),
            url_href: followable(&url),
            url: shorten(&url, 200),
            subject: said.subject.map(|subject| format!("Subject {subject}")).unwrap_or_default(),
            environment: said.environment.clone().unwrap_or_default(),
            event_href: event.filter(|_| said.has_event).map(|event| event_href(project, event)),
            issue_href: said.issue.map(|issue| issue_href(project, &issue.to_string())),
            waits_for_event: event.is_some() && !said.has_event,
            occurred_at: Ago { at: said.occurred_at, now },
        }
    }
}

pub(crate) fn feedback_href(project: ProjectId, id: &str) -> String {
    format!("/projects/{project}/feedback/{id}")
}
