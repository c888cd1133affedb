//! At most so many events of one kind a minute, with bounded memory.

use std::collections::HashMap;
use std::time::{Duration, Instant};

const WINDOW: Duration = Duration::from_secs(60);
/// Keys remembered at one time; beyond it new keys share one count.
const KEYS_MAX: usize = 1_000;

/// Counts by key within fixed windows of a minute.
#[derive(Debug)]
pub(crate) struct Limiter {
    per_minute: u32,
    begun: Option<Instant>,
    counts: HashMap<u64, u32>,
}

impl Limiter {
    pub(crate) fn new(per_minute: u32) -> Self {
        Self { per_minute, begun: None, counts: HashMap::new() }
    }

    /// Whether one more of `key` may pass at `now`.
    pub(crate) fn admits(&mut self, key: &str, now: Instant) -> bool {
        let is_over = self.begun.is_none_or(|begun| now.saturating_duration_since(begun) >= WINDOW);
        if is_over {
            self.begun = Some(now);
            self.counts.clear();
        }
        let mut key = u64::from(crc32fast::hash(key.as_bytes()));
        if self.counts.len() >= KEYS_MAX && !self.counts.contains_key(&key) {
            key = u64::MAX;
        }
        let count = self.counts.entry(key).or_default();
        *count = count.saturating_add(1);
        *count <= self.per_minute
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_key_has_its_own_count_and_a_minute_later_it_starts_over() {
        let (mut limiter, start) = (Limiter::new(2), Instant::now());
        let admitted = ["a", "a", "b", "a", "b", "b"].map(|key| limiter.admits(key, start));
        assert_eq!(admitted, [true, true, true, false, true, false]);
        assert!(!limiter.admits("a", start + Duration::from_secs(59)));
        assert!(limiter.admits("a", start + Duration::from_secs(60)));
    }

    #[test]
    fn keys_without_number_share_one_count() {
        let (mut limiter, start) = (Limiter::new(1), Instant::now());
        let admitted = (0..5_000).filter(|key| limiter.admits(&format!("key {key}"), start)).count();
        assert!(admitted <= KEYS_MAX + 1, "{admitted}");
        assert!(limiter.counts.len() <= KEYS_MAX + 1);
    }
}
