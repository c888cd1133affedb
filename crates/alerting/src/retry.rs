//! When a delivery that failed is tried again.

use std::time::Duration;

/// How often a delivery is tried: the pauses between so many attempts add up to about a day.
pub(crate) const ATTEMPTS_MAX: u32 = 14;

/// The pause after the first attempt; each further one is three times as long.
const PAUSE_MIN: Duration = Duration::from_secs(5);

/// The longest pause.
const PAUSE_MAX: Duration = Duration::from_secs(4 * 3_600);

/// The pause after failed attempt number `attempt`, from 1; none after the last one.
///
/// It is spread by a quarter to each side by `unit`, a random number from 0 to 1, so that what failed together does not
/// come back together, and is at least what the receiver `asked` for.
pub(crate) fn pause(attempt: u32, unit: f64, asked: Option<Duration>) -> Option<Duration> {
    if attempt >= ATTEMPTS_MAX {
        return None;
    }
    let grown =
        PAUSE_MIN.saturating_mul(3_u32.saturating_pow(attempt.saturating_sub(1).min(20))).min(PAUSE_MAX);
    let spread = grown.mul_f64(0.75 + 0.5 * unit.clamp(0.0, 1.0));
    Some(asked.unwrap_or_default().min(PAUSE_MAX).max(spread))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_from_seconds_to_hours_and_fill_about_a_day() {
        let seconds = |attempt| pause(attempt, 0.5, None).map(|pause| pause.as_secs());
        let all: Vec<Option<u64>> = (1..=ATTEMPTS_MAX).map(seconds).collect();
        let hours = |count: usize| vec![Some(14_400); count];
        let growing = [5, 15, 45, 135, 405, 1_215, 3_645, 10_935].map(Some).to_vec();
        assert_eq!(all, [growing, hours(5), vec![None]].concat());
        let day: u64 = all.into_iter().flatten().sum();
        assert!((23 * 3_600..26 * 3_600).contains(&day), "{day}");
        assert_eq!(pause(u32::MAX, 0.5, None), None);
    }

    #[test]
    fn jitter_spreads_by_a_quarter_and_receivers_can_ask_for_more_but_not_for_ever() {
        assert_eq!(pause(1, 0.0, None), Some(Duration::from_millis(3_750)));
        assert_eq!(pause(1, 1.0, None), Some(Duration::from_millis(6_250)));
        assert_eq!(pause(1, 0.5, Some(Duration::from_secs(60))), Some(Duration::from_secs(60)));
        assert_eq!(pause(2, 0.5, Some(Duration::from_secs(1))), Some(Duration::from_secs(15)));
        assert_eq!(pause(1, 0.5, Some(Duration::from_secs(900_000))), Some(PAUSE_MAX));
    }
}
