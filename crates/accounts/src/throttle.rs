//! How long a guesser must wait: some guesses free, then a pause that doubles with each failure.

use std::time::Duration;

use belvedere_storage::Timestamp;

/// How patient one kind of bucket is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Patience {
    /// Failures that cost no pause.
    free: u32,
    /// The longest pause.
    pause_max: Duration,
}

/// For an account. The longest pause also bounds how long a stranger can lock its owner out.
pub(crate) const ACCOUNT: Patience = Patience { free: 5, pause_max: Duration::from_mins(15) };

/// For a client address, behind which may be a whole school.
pub(crate) const ADDRESS: Patience = Patience { free: 20, pause_max: Duration::from_mins(15) };

/// Failures are forgotten this long after the last of them.
pub(crate) const MEMORY: Duration = Duration::from_hours(24);

/// How many accounts and addresses are remembered; beyond, those with the oldest failures are forgotten first.
pub(crate) const BUCKETS_MAX: u64 = 100_000;

impl Patience {
    /// The pause after the `failures`th failure: nothing for the free ones, then 1 s, 2 s, 4 s, ..
    pub(crate) fn pause(&self, failures: i64) -> Duration {
        let beyond = failures.saturating_sub(i64::from(self.free));
        if beyond <= 0 {
            return Duration::ZERO;
        }
        let doublings = u32::try_from(beyond - 1).unwrap_or(u32::MAX).min(20);
        Duration::from_secs(1 << doublings).min(self.pause_max)
    }

    /// Whether a guess at `now` must wait. An end beyond the longest pause was written before the clock was set back,
    /// and binds nobody.
    pub(crate) fn blocks(&self, blocked_until: Timestamp, now: Timestamp) -> bool {
        blocked_until > now && blocked_until.since(now) <= self.pause_max
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_after_the_free_failures_up_to_the_longest() {
        let pauses = |failures: [i64; 8]| failures.map(|failures| ACCOUNT.pause(failures).as_secs());
        assert_eq!(pauses([0, 1, 5, 6, 7, 8, 15, 16]), [0, 0, 0, 1, 2, 4, 512, 900]);
        assert_eq!(pauses([-1, 17, 100, i64::MAX, 0, 0, 0, 0]), [0, 900, 900, 900, 0, 0, 0, 0]);
        assert_eq!(ADDRESS.pause(20), Duration::ZERO);
        assert_eq!(ADDRESS.pause(21), Duration::from_secs(1));
    }

    #[test]
    fn a_pause_binds_until_its_end_unless_the_clock_was_set_back() {
        let at = |seconds: i64| Timestamp::from_micros(seconds * 1_000_000);
        assert!(ACCOUNT.blocks(at(10), at(9)));
        assert!(!ACCOUNT.blocks(at(10), at(10)));
        assert!(ACCOUNT.blocks(at(900), at(0)));
        assert!(!ACCOUNT.blocks(at(901), at(0)));
    }
}
