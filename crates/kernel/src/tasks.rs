use std::future::Future;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// The background loops of a process: started by name, told to stop together, awaited to their end.
#[derive(Debug, Clone, Default)]
pub struct Tasks {
    tracker: TaskTracker,
    stop: CancellationToken,
}

impl Tasks {
    /// Starts `task`, which is expected to end soon after [`Tasks::stopped`].
    #[expect(
        clippy::disallowed_methods,
        reason = "the one place where background work starts, so that it can be awaited"
    )]
    pub fn spawn(&self, name: &'static str, task: impl Future<Output = ()> + Send + 'static) {
        drop(self.tracker.spawn(async move {
            // A nested spawn, so that a panic is reported here instead of vanishing with the task.
            match tokio::spawn(task).await {
                Ok(()) => tracing::debug!(task = name, "ended"),
                Err(error) => tracing::error!(task = name, %error, "background task failed"),
            }
        }));
    }

    /// Resolves when the process was told to stop.
    pub async fn stopped(&self) {
        self.stop.cancelled().await;
    }

    /// Whether the process was told to stop.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        self.stop.is_cancelled()
    }

    /// Tells every task to stop.
    pub fn stop(&self) {
        self.stop.cancel();
    }

    /// Resolves when the process was told to stop and every task has ended.
    pub async fn ended(&self) {
        self.stop.cancelled().await;
        self.tracker.close();
        self.tracker.wait().await;
    }
}
