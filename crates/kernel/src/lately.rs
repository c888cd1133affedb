use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use belvedere_storage::Timestamp;

/// What was read lately, by its key, and is taken for true for a while; shared between threads.
///
/// At most `entries_max` are kept: one more, and all others are forgotten.
#[derive(Debug)]
pub struct Lately<K, V> {
    fresh: Duration,
    entries_max: usize,
    entries: Mutex<HashMap<K, (Timestamp, V)>>,
}

impl<K: Eq + Hash, V: Clone> Lately<K, V> {
    /// Nothing yet; what is read is true for `fresh`.
    #[must_use]
    pub fn new(fresh: Duration, entries_max: usize) -> Self {
        Self { fresh, entries_max, entries: Mutex::default() }
    }

    /// What was read of `key`, unless that is too long ago.
    pub fn find(&self, key: &K, now: Timestamp) -> Option<V> {
        let entries = self.lock();
        let (read_at, value) = entries.get(key)?;
        (now >= *read_at && now < read_at.plus(self.fresh)).then(|| value.clone())
    }

    /// Keeps what was read at `now`.
    pub fn keep(&self, key: K, now: Timestamp, value: V) {
        let mut entries = self.lock();
        if entries.len() >= self.entries_max {
            entries.clear();
        }
        entries.insert(key, (now, value));
    }

    /// Forgets what is not true any more.
    pub fn forget(&self, key: &K) {
        self.lock().remove(key);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<K, (Timestamp, V)>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_read_is_true_for_a_while_and_never_before() {
        let at = |seconds: i64| Timestamp::from_micros(seconds * 1_000_000);
        let lately = Lately::new(Duration::from_secs(5), 2);
        lately.keep("a", at(10), 1);
        let found = |key, seconds| lately.find(&key, at(seconds));
        assert_eq!([9, 10, 14, 15].map(|seconds| found("a", seconds)), [None, Some(1), Some(1), None]);
        lately.keep("b", at(10), 2);
        lately.forget(&"a");
        assert_eq!((found("a", 10), found("b", 10)), (None, Some(2)));
        lately.keep("c", at(10), 3);
        lately.keep("d", at(10), 4);
        assert_eq!((found("b", 10), found("c", 10), found("d", 10)), (None, None, Some(4)));
    }
}
