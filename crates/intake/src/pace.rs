use std::time::Duration;

use belvedere_kernel::Tasks;

use crate::{IntakeConfig, IntakeParts};

/// Failures in a row from which a loop counts as stalled; fewer are the ordinary friction of a shared database.
const STALLED_FROM: u32 = 3;

/// How a loop behaves while something fails: ever longer pauses, and one log line when it begins and one when it ends.
pub(crate) struct Pace<'a> {
    name: &'static str,
    parts: &'a IntakeParts,
    config: &'a IntakeConfig,
    failures: u32,
}

impl<'a> Pace<'a> {
    pub(crate) fn new(name: &'static str, parts: &'a IntakeParts, config: &'a IntakeConfig) -> Self {
        Self { name, parts, config, failures: 0 }
    }

    pub(crate) fn succeeded(&mut self) {
        if self.failures >= STALLED_FROM {
            self.parts.stats.set_stalled(false);
            tracing::info!(of = self.name, failures = self.failures, "intake goes on");
        }
        self.failures = 0;
    }

    pub(crate) fn failed(&mut self, error: &str) {
        self.failures = self.failures.saturating_add(1);
        self.parts.stats.count_retry();
        if self.failures == STALLED_FROM {
            self.parts.stats.set_stalled(true);
            tracing::warn!(
                of = self.name,
                error,
                "intake is stalled; it goes on trying, and what was accepted is kept"
            );
        } else {
            tracing::debug!(of = self.name, error, failures = self.failures, "intake failed, trying again");
        }
    }

    /// Waits before the next attempt; returns whether there is to be one.
    pub(crate) async fn pause(&self, tasks: &Tasks) -> bool {
        let doubled = self.config.backoff_min.saturating_mul(1 << self.failures.saturating_sub(1).min(16));
        self.pause_for(doubled.min(self.config.backoff_max), tasks).await
    }

    /// Waits for a random time between half of `pause` and `pause`; returns whether to go on after it.
    pub(crate) async fn pause_for(&self, pause: Duration, tasks: &Tasks) -> bool {
        let unit = getrandom::u32().map_or(1.0, |random| f64::from(random) / f64::from(u32::MAX));
        tokio::select! {
            () = tasks.stopped() => false,
            () = tokio::time::sleep(pause.mul_f64(0.5 + unit / 2.0)) => true,
        }
    }
}

impl Drop for Pace<'_> {
    fn drop(&mut self) {
        if self.failures >= STALLED_FROM {
            self.parts.stats.set_stalled(false);
        }
    }
}
