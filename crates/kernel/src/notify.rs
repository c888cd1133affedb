use std::fmt;
use std::str::FromStr;

use async_trait::async_trait;
use belvedere_storage::{StorageError, Tx};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::sync::broadcast;

use crate::{ProjectId, SubjectId};

/// How many live messages a slow subscriber may fall behind before it misses some.
const BACKLOG_MAX: usize = 1_024;

/// Something that just happened, for those who look at this moment. May be lost: the database is the truth.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LiveMessage {
    /// The project concerned; `None` for messages between parts of Belvedere.
    pub project: Option<ProjectId>,
    /// What happened: `issue.event`, `wake.jobs`, `wake.intake`, `settings.changed`, ..
    pub topic: String,
    /// A small JSON value; ids and numbers, never personal data.
    pub data: Value,
}

impl LiveMessage {
    /// The topic of what a bus tells its own process when messages of others may have been missed.
    pub const MISSED: &str = "bus.missed";

    /// Messages of others may have been missed: look again at whatever they would have told of.
    #[must_use]
    pub fn missed() -> Self {
        Self { project: None, topic: Self::MISSED.to_owned(), data: Value::Null }
    }
}

/// Resolves with the next message of `topic`, or when messages were missed that may have been of it.
pub async fn woken(messages: &mut broadcast::Receiver<LiveMessage>, topic: &str) {
    loop {
        match messages.recv().await {
            Ok(message) if message.topic == topic || message.topic == LiveMessage::MISSED => return,
            Ok(_) => {}
            Err(broadcast::error::RecvError::Lagged(_)) => return,
            Err(broadcast::error::RecvError::Closed) => std::future::pending().await,
        }
    }
}

/// Live messages to every process of this installation.
pub trait LiveBus: Send + Sync {
    /// Sends `message` to all present subscribers, in this process at once; never blocks, never fails.
    fn publish(&self, message: LiveMessage);

    /// Every message from now on; a receiver that lags more than 1,024 messages is told how many it missed.
    fn subscribe(&self) -> broadcast::Receiver<LiveMessage>;
}

/// A bus within one process.
#[derive(Debug, Clone)]
pub struct InProcessBus(broadcast::Sender<LiveMessage>);

impl Default for InProcessBus {
    fn default() -> Self {
        Self(broadcast::channel(BACKLOG_MAX).0)
    }
}

impl LiveBus for InProcessBus {
    fn publish(&self, message: LiveMessage) {
        // An error only says that nobody listens.
        let _ = self.0.send(message);
    }

    fn subscribe(&self) -> broadcast::Receiver<LiveMessage> {
        self.0.subscribe()
    }
}

/// What others can ask to be told of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum NoticeKind {
    /// A learner reached a milestone.
    MilestoneReached,
    /// A learner began to struggle with a skill.
    LearnerStruggling,
    /// An error happened that was not known.
    IssueNew,
    /// A resolved issue happened again.
    IssueRegressed,
}

impl NoticeKind {
    /// All of them.
    pub const ALL: [Self; 4] =
        [Self::MilestoneReached, Self::LearnerStruggling, Self::IssueNew, Self::IssueRegressed];

    /// The kind as others know it, such as `learning.milestone`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::MilestoneReached => "learning.milestone",
            Self::LearnerStruggling => "learning.struggling",
            Self::IssueNew => "issue.new",
            Self::IssueRegressed => "issue.regressed",
        }
    }
}

impl fmt::Display for NoticeKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Text that is no kind of notice.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is no notice of this kind")]
pub struct ParseNoticeKindError;

impl FromStr for NoticeKind {
    type Err = ParseNoticeKindError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text).ok_or(ParseNoticeKindError)
    }
}

/// Something that became true in a project and that others, outside Belvedere, may want to be told of.
#[derive(Debug, Clone, PartialEq)]
pub struct Notice {
    /// What it is.
    pub kind: NoticeKind,
    /// What makes it this one: others are told once of each kind and key of a project.
    pub key: String,
    /// Whom it is about; erasing them takes it back as far as it is kept.
    pub subject: Option<SubjectId>,
    /// A JSON object of at most 64 KiB; ids and numbers, never personal data.
    pub data: Value,
}

/// Tells others what became true, once the transaction that makes it true is committed.
#[async_trait]
pub trait Notifier: Send + Sync {
    /// Writes down, in the caller's transaction, who is to be told of `notices`; the telling follows the commit.
    ///
    /// # Errors
    /// The storage error of the writing; then the transaction must be given up.
    async fn notify_in(&self, tx: &Tx, project: ProjectId, notices: &[Notice]) -> Result<(), StorageError>;
}
