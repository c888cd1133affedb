//! When a failed delivery is tried again.

use std::time::{Duration, Instant};

/// The pauses between tries while the server cannot be reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryConfig {
    /// The first pause; each further one is twice as long, give or take a quarter.
    pub first: Duration,
    /// The longest pause.
    pub max: Duration,
}

impl Default for RetryConfig {
    /// From one second to five minutes.
    fn default() -> Self {
        Self { first: Duration::from_secs(1), max: Duration::from_secs(300) }
    }
}

/// Failures in a row and the pause that they earned.
#[derive(Debug, Default)]
pub(super) struct Pace {
    failures: u32,
    until: Option<Instant>,
}

impl Pace {
    pub(super) fn succeeded(&mut self) {
        *self = Self::default();
    }

    /// Notes a failure at `now`. `jitter` is a random number; `asked` is the pause that the server asked for.
    pub(super) fn failed(&mut self, retry: &RetryConfig, asked: Option<Duration>, jitter: u8, now: Instant) {
        let doubled = retry.first.saturating_mul(1 << self.failures.min(24)).min(retry.max);
        // Three quarters to five quarters, so that many clients do not come back at once.
        let spread = doubled.mul_f64(0.75 + 0.5 * f64::from(jitter) / 255.0);
        let pause = asked.unwrap_or_default().max(spread.min(retry.max));
        self.failures = self.failures.saturating_add(1);
        self.until = Some(now + pause);
    }

    /// How many deliveries failed in a row.
    pub(super) fn failures(&self) -> u32 {
        self.failures
    }

    /// The pause that is left at `now`.
    pub(super) fn pause(&self, now: Instant) -> Option<Duration> {
        self.until.map(|until| until.saturating_duration_since(now)).filter(|pause| !pause.is_zero())
    }

    /// Ends the pause at once, as somebody waits for the outcome.
    pub(super) fn hurry(&mut self) {
        self.until = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn retry() -> RetryConfig {
        RetryConfig { first: Duration::from_secs(1), max: Duration::from_secs(60) }
    }

    #[test]
    fn pauses_double_up_to_the_longest_and_a_success_starts_over() {
        let (mut pace, now) = (Pace::default(), Instant::now());
        let mut seconds = Vec::new();
        for _ in 0..9 {
            pace.failed(&retry(), None, 128, now);
            seconds.push(pace.pause(now).unwrap().as_secs_f64().round());
        }
        assert_eq!(seconds, [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0, 60.0]);
        assert_eq!(pace.failures(), 9);
        pace.succeeded();
        assert_eq!(pace.pause(now), None);
    }

    #[test]
    fn jitter_spreads_by_a_quarter_to_each_side() {
        let now = Instant::now();
        let pause = |jitter| {
            let mut pace = Pace::default();
            pace.failed(&retry(), None, jitter, now);
            pace.pause(now).unwrap()
        };
        assert_eq!(pause(0), Duration::from_millis(750));
        assert_eq!(pause(255), Duration::from_millis(1_250));
    }

    #[test]
    fn the_server_can_ask_for_more_patience() {
        let (mut pace, now) = (Pace::default(), Instant::now());
        pace.failed(&retry(), Some(Duration::from_secs(120)), 0, now);
        assert_eq!(pace.pause(now), Some(Duration::from_secs(120)));
        assert_eq!(pace.pause(now + Duration::from_secs(120)), None);
        pace.failed(&retry(), None, 0, now);
        pace.hurry();
        assert_eq!(pace.pause(now), None);
    }
}
