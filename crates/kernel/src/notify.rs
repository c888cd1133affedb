use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::sync::broadcast;

use crate::ProjectId;

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
