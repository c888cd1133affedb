//! How often a key may send.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use belvedere_storage::{Id, Timestamp};

/// Keys that are remembered; one that was forgotten may send a burst anew.
const KEYS_MAX: usize = 10_000;

const MINUTE_MICROS: i64 = 60_000_000;

/// For each key with a limit, when it will have its whole burst again.
///
/// A token bucket in the form of the generic cell rate algorithm (ITU-T I.371, annex A): a minute's worth may come at
/// once, after that requests pass evenly spaced. Counts of this process alone.
pub(crate) struct RateLimits<Key>(Mutex<HashMap<Id<Key>, Timestamp>>);

impl<Key> Default for RateLimits<Key> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<Key> RateLimits<Key> {
    /// Lets a request pass, or says in how many seconds (at least 1) the next one will.
    pub(crate) fn admit(&self, key: Id<Key>, per_minute: u32, now: Timestamp) -> Result<(), u64> {
        let interval = MINUTE_MICROS / i64::from(per_minute.max(1));
        let mut full_at = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if full_at.len() >= KEYS_MAX && !full_at.contains_key(&key) {
            full_at.retain(|_, at| *at > now);
            if full_at.len() >= KEYS_MAX {
                full_at.clear();
            }
        }
        let at = full_at.entry(key).or_insert(now);
        let debt = (*at).max(now).as_micros() - now.as_micros() + interval;
        if debt > MINUTE_MICROS {
            let micros = debt - MINUTE_MICROS;
            return Err(u64::try_from(micros.saturating_add(999_999) / 1_000_000).unwrap_or(1).max(1));
        }
        *at = Timestamp::from_micros(now.as_micros() + debt);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_minutes_worth_passes_at_once_and_then_one_by_one() {
        let limits = RateLimits::<()>::default();
        let (key, other) = (Id::from_bytes([1; 16]), Id::from_bytes([2; 16]));
        let start = Timestamp::from_micros(1_795_435_445_000_000);
        assert_eq!([1, 2].map(|_| limits.admit(key, 2, start)), [Ok(()), Ok(())]);
        assert_eq!(limits.admit(key, 2, start), Err(30));
        assert_eq!(limits.admit(other, 2, start), Ok(()));
        assert_eq!(limits.admit(key, 2, start.plus(Duration::from_millis(29_500))), Err(1));
        assert_eq!(limits.admit(key, 2, start.plus(Duration::from_secs(30))), Ok(()));
        assert_eq!(limits.admit(key, 2, start.plus(Duration::from_secs(30))), Err(30));
        let later = start.plus(Duration::from_secs(600));
        assert_eq!([1, 2, 3].map(|_| limits.admit(key, 2, later)), [Ok(()), Ok(()), Err(30)]);
    }

    #[test]
    fn a_clock_that_goes_back_does_not_lock_a_key_out_for_longer_than_its_debt() {
        let limits = RateLimits::<()>::default();
        let key = Id::from_bytes([1; 16]);
        let start = Timestamp::from_micros(1_795_435_445_000_000);
        assert_eq!(limits.admit(key, 60, start), Ok(()));
        assert_eq!(limits.admit(key, 60, start.minus(Duration::from_secs(10))), Ok(()));
    }

    #[test]
    fn memory_is_bounded_by_the_number_of_keys() {
        let limits = RateLimits::<()>::default();
        let now = Timestamp::from_micros(1);
        for number in 0..20_001_u128 {
            assert_eq!(limits.admit(Id::from_bytes(number.to_be_bytes()), 1, now), Ok(()));
        }
        assert!(limits.0.lock().unwrap().len() <= KEYS_MAX);
    }
}
