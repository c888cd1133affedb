//! When errors arrive in unusual numbers.

/// The hours that are looked at: a week, so that working days and weekends are both in it.
pub(super) const HOURS: usize = 168;

/// So much history there must be before anything is unusual, in hours.
const HISTORY_HOURS_MIN: usize = 24;

/// Fewer errors in an hour are no spike, whatever is usual.
const ERRORS_MIN: u64 = 1_000;

/// Past the threshold one error of so many is let in, so that what is new is still seen.
pub(super) const SAMPLED_OF: u64 = 20;

/// How many errors of one hour are let in before it is a spike; `None` without a day of history. `hourly` are the
/// errors let in during the last full hours, oldest first.
///
/// The 90th percentile of the hours since the first error, times the multiplier: up to a tenth of the hours may have
/// been spikes themselves without moving it. (Those were cut at the threshold of their time besides.)
pub(super) fn threshold(hourly: &[u64], multiplier: u32) -> Option<u64> {
    let first = hourly.iter().position(|errors| *errors > 0)?;
    let mut known = hourly[first..].to_vec();
    if known.len() < HISTORY_HOURS_MIN {
        return None;
    }
    known.sort_unstable();
    let busy = known[(known.len() * 9 / 10).min(known.len() - 1)];
    Some(busy.saturating_mul(multiplier.into()).max(ERRORS_MIN))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_unusual_before_a_day_has_been_seen() {
        let mut hourly = vec![0; HOURS];
        assert_eq!(threshold(&hourly, 10), None);
        hourly[HOURS - 23] = 5_000;
        assert_eq!(threshold(&hourly, 10), None);
        hourly[HOURS - 24] = 1;
        assert_eq!(threshold(&hourly, 10), Some(1_000));
    }

    #[test]
    fn a_tenth_of_the_hours_may_be_spikes_without_moving_the_threshold() {
        let mut hourly = vec![400; HOURS];
        assert_eq!(threshold(&hourly, 10), Some(4_000));
        for hour in hourly.iter_mut().take(16) {
            *hour = 1_000_000;
        }
        assert_eq!(threshold(&hourly, 10), Some(4_000));
        assert_eq!(threshold(&hourly, 3), Some(1_200));
    }
}
