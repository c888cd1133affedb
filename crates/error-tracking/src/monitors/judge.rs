//! What one more run means for a monitor: pure counting of failures and successes in a row.

use belvedere_storage::Timestamp;

use super::model::{CheckInStatus, MonitorConfig};
use super::schedule::Schedule;

/// How much before its time a run may begin and still be the run of that time: clocks differ.
const EARLY_MAX_SECONDS: u64 = 30;

/// How a monitor stands in an environment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Standing {
    pub(super) is_failing: bool,
    pub(super) failures_in_row: i64,
    pub(super) successes_in_row: i64,
}

/// What follows from the end of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Consequence {
    Nothing,
    /// An event of the issue.
    Report,
    /// The issue is over.
    Recover,
}

impl Standing {
    /// Counts a run that ended with `status`.
    pub(super) fn count(&mut self, status: CheckInStatus, config: &MonitorConfig) -> Consequence {
        if status == CheckInStatus::Ok {
            self.failures_in_row = 0;
            self.successes_in_row = self.successes_in_row.saturating_add(1);
            if self.is_failing && self.successes_in_row >= i64::from(config.recovery_threshold) {
                self.is_failing = false;
                return Consequence::Recover;
            }
        } else if status.is_failure() {
            self.successes_in_row = 0;
            self.failures_in_row = self.failures_in_row.saturating_add(1);
            if self.is_failing || self.failures_in_row >= i64::from(config.failure_threshold) {
                self.is_failing = true;
                return Consequence::Report;
            }
        }
        Consequence::Nothing
    }
}

/// When the run after one that began at `began_at` is due, if `expected_at` was waited for.
pub(super) fn next_expected(
    config: &MonitorConfig,
    began_at: Timestamp,
    expected_at: Option<Timestamp>,
) -> Option<Timestamp> {
    let from = match expected_at {
        Some(expected) if expected > began_at && is_early_for(config, began_at, expected) => expected,
        _ => began_at,
    };
    config.schedule.next_after(from, &config.zone())
}

/// Whether a run that began at `began_at` is the one that was due at `expected_at`, a little later.
pub(super) fn is_early_for(config: &MonitorConfig, began_at: Timestamp, expected_at: Timestamp) -> bool {
    // An interval counts from the run itself, whenever that is.
    matches!(config.schedule, Schedule::Crontab(_))
        && expected_at.since(began_at).as_secs() <= EARLY_MAX_SECONDS
}

/// Until when a run that is due at `expected_at` may begin.
pub(super) fn due_until(config: &MonitorConfig, expected_at: Timestamp) -> Timestamp {
    expected_at.plus(minutes(config.margin_minutes))
}

/// Until when a run that began at `began_at` may take.
pub(super) fn runs_until(config: &MonitorConfig, began_at: Timestamp) -> Timestamp {
    began_at.plus(minutes(config.max_runtime_minutes))
}

fn minutes(minutes: u32) -> std::time::Duration {
    std::time::Duration::from_secs(u64::from(minutes) * 60)
}

#[cfg(test)]
mod tests {
    use super::*;
    use CheckInStatus::{Error, InProgress, Missed, Ok, Timeout, Unknown};
    use Consequence::{Nothing, Recover, Report};

    fn config(failure: u32, recovery: u32) -> MonitorConfig {
        let usual = MonitorConfig::new("0 * * * *".parse().unwrap());
        MonitorConfig { failure_threshold: failure, recovery_threshold: recovery, ..usual }
    }

    fn consequences(config: &MonitorConfig, runs: &[CheckInStatus]) -> Vec<Consequence> {
        let mut standing = Standing::default();
        runs.iter().map(|status| standing.count(*status, config)).collect()
    }

    #[test]
    fn an_issue_begins_and_ends_at_its_thresholds() {
        assert_eq!(consequences(&config(1, 1), &[Error, Missed, Ok, Ok]), [Report, Report, Recover, Nothing]);
        assert_eq!(
            consequences(
                &config(3, 2),
                &[Missed, Error, Ok, Missed, Timeout, Error, Error, Ok, Error, Ok, Ok]
            ),
            [Nothing, Nothing, Nothing, Nothing, Nothing, Report, Report, Nothing, Report, Nothing, Recover]
        );
    }

    #[test]
    fn what_is_unknown_or_goes_on_changes_nothing() {
        assert_eq!(
            consequences(&config(2, 1), &[Error, Unknown, InProgress, Error]),
            [Nothing, Nothing, Nothing, Report]
        );
    }

    #[test]
    fn a_run_that_is_a_little_early_is_that_of_the_next_time() {
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let hourly = config(1, 1);
        let next =
            |began, expected| next_expected(&hourly, at(began), Some(at(expected))).unwrap().to_string();
        assert_eq!(next("2026-11-25T01:59:40Z", "2026-11-25T02:00:00Z"), "2026-11-25T03:00:00Z");
        assert_eq!(next("2026-11-25T01:59:20Z", "2026-11-25T02:00:00Z"), "2026-11-25T02:00:00Z");
        assert_eq!(next("2026-11-25T02:00:05Z", "2026-11-25T02:00:00Z"), "2026-11-25T03:00:00Z");
        let interval = MonitorConfig::new("15 minute".parse().unwrap());
        let next = next_expected(&interval, at("2026-11-25T01:59:40Z"), Some(at("2026-11-25T02:00:00Z")));
        assert_eq!(next.unwrap().to_string(), "2026-11-25T02:14:40Z");
    }
}
