use belvedere_kernel::{Actor, Organisation, ProjectId, Removal, SubjectId, User};
use belvedere_storage::{Id, PageRequest, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::IssueId;

/// Marks ids of feedback.
#[derive(Debug)]
pub enum FeedbackKey {}

/// The key of a feedback.
pub type FeedbackId = Id<FeedbackKey>;

/// Where a feedback is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum FeedbackStatus {
    /// New, or reopened.
    Unresolved,
    /// Answered, or done.
    Resolved,
    /// Nothing that anybody should read.
    Spam,
}

impl FeedbackStatus {
    /// Every status.
    pub const ALL: [Self; 3] = [Self::Unresolved, Self::Resolved, Self::Spam];

    /// The status as a word: `unresolved`, `resolved`, `spam`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unresolved => "unresolved",
            Self::Resolved => "resolved",
            Self::Spam => "spam",
        }
    }

    /// The status of a word.
    #[must_use]
    pub fn of_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == word)
    }

    pub(super) fn to_number(self) -> i64 {
        self as i64
    }

    pub(super) fn from_number(number: i64) -> Option<Self> {
        usize::try_from(number).ok().and_then(|number| Self::ALL.get(number)).copied()
    }
}

/// A feedback as a list shows it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FeedbackSummary {
    /// Its key.
    pub id: FeedbackId,
    /// The id that the SDK gave it, by which its attachments know it: 32 hexadecimal digits.
    pub event_id: String,
    /// Where it is in its life.
    pub status: FeedbackStatus,
    /// What was said, scrubbed; lines are kept.
    pub message: String,
    /// How it came: `feedback`, `user_report` or a word of the SDK.
    pub source: String,
    /// Where the person was, as their browser said; any text.
    pub url: Option<String>,
    /// The event that it is about: 32 hexadecimal digits. It may not be stored (any more, or yet).
    pub associated_event_id: Option<String>,
    /// Whether that event is stored.
    pub has_event: bool,
    /// The issue of that event, once it was seen.
    pub issue: Option<IssueId>,
    /// Who said it.
    pub subject: Option<SubjectId>,
    /// Whether a name or an e-mail address was given and kept.
    pub has_contact: bool,
    /// Who takes care of it.
    pub assignee: Option<Id<User>>,
    /// The environment.
    pub environment: Option<String>,
    /// The release.
    pub release: Option<String>,
    /// When it was said.
    pub occurred_at: Timestamp,
    /// When it was received.
    pub received_at: Timestamp,
}

/// A feedback with all that came with it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FeedbackDetail {
    /// What a list shows.
    pub summary: FeedbackSummary,
    /// The replay that shows how it came about: 32 hexadecimal digits.
    pub replay_id: Option<String>,
    /// Tags, contexts and breadcrumbs in the shape of an event, scrubbed.
    pub payload: Value,
    /// What was taken out before storage.
    pub removals: Vec<Removal>,
}

/// Which feedback is wanted.
#[derive(Debug, Clone)]
pub struct ListFeedback {
    /// The project.
    pub project: ProjectId,
    /// Only in this status.
    pub status: Option<FeedbackStatus>,
    /// Only about events of this issue.
    pub issue: Option<IssueId>,
    /// Only where the message contains this, without regard to case; at most 200 characters.
    pub text: Option<String>,
    /// Which page.
    pub page: PageRequest,
}

/// What is done to feedback.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FeedbackAct {
    /// Puts it into a status.
    SetStatus(FeedbackStatus),
    /// Gives it to somebody, or to nobody. Whether that is a member is decided by the caller.
    Assign(Option<Id<User>>),
    /// Deletes it and its attachments.
    Delete,
}

/// Who does what to which feedback.
#[derive(Debug, Clone)]
pub struct ChangeFeedback {
    /// Who acts.
    pub actor: Actor,
    /// Whose audit log it is written to.
    pub organisation: Id<Organisation>,
    /// The project.
    pub project: ProjectId,
    /// At most 200.
    pub feedback: Vec<FeedbackId>,
    /// What is done.
    pub act: FeedbackAct,
    /// The HTTP request, for the audit log.
    pub request_id: Option<String>,
}

/// How a person can be answered.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Contact {
    /// Their name.
    pub name: Option<String>,
    /// Their e-mail address, as they wrote it.
    pub email: Option<String>,
}

/// Shows which parts are present, never what they are.
impl std::fmt::Debug for Contact {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Contact(name: {}, email: {})", self.name.is_some(), self.email.is_some())
    }
}

/// Who wants to know how to answer.
#[derive(Debug, Clone)]
pub struct RevealContact {
    /// Who looks.
    pub actor: Actor,
    /// Whose audit log it is written to.
    pub organisation: Id<Organisation>,
    /// The project.
    pub project: ProjectId,
    /// The feedback.
    pub feedback: FeedbackId,
    /// The HTTP request, for the audit log.
    pub request_id: Option<String>,
}
