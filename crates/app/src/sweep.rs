//! The hourly sweep of what error tracking does not keep any longer.

use std::sync::Arc;

use async_trait::async_trait;
use belvedere_error_tracking::ErrorTrackingService;
use belvedere_error_tracking::retention::{Retention, Swept};
use belvedere_jobs::{JobError, JobHandler, RunningJob};
use belvedere_kernel::Tasks;

/// The name of the schedule and of its job.
pub(crate) const JOB: &str = "errors.sweep";

/// Its handler.
pub(crate) struct SweepErrors(pub(crate) Arc<ErrorTrackingService>, pub(crate) Tasks);

#[async_trait]
impl JobHandler for SweepErrors {
    async fn run(&self, _: &RunningJob) -> Result<(), JobError> {
        let swept = self.0.sweep(&|| self.1.is_stopped()).await.map_err(JobError::Storage)?;
        if swept != Swept::default() {
            tracing::info!(?swept, "what is not kept any longer was deleted");
        }
        Ok(())
    }
}
