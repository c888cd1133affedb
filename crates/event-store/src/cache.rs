use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError};

/// Decoded things under a cap of bytes.
///
/// What is new takes the place of the least recently used ones, but only of those that were asked for less often of late:
/// a question that reads more than fits, again and again, then finds what fits, where it would otherwise throw out each
/// piece just before it comes back to it.
///
/// A key must mean the same content for ever; what a swap replaces gets another key and ages out.
pub struct Cache<K, T> {
    bytes_max: usize,
    held: Mutex<Held<K, T>>,
}

struct Held<K, T> {
    entries: HashMap<K, Entry<T>>,
    bytes: usize,
    clock: u64,
    /// How often each key was asked for of late, kept or not.
    asked: HashMap<K, u32>,
    /// Since the counts were halved.
    asks: usize,
}

/// The counts are halved when there were so many questions for each key, and for so many keys at least.
const ASKS_PER_KEY: usize = 8;
const KEYS_MIN: usize = 64;

struct Entry<T> {
    value: Arc<T>,
    bytes: usize,
    used_at: u64,
}

impl<K: Eq + Hash + Clone, T> Cache<K, T> {
    /// An empty cache that holds at most `bytes_max`, by the weights that its users state.
    #[must_use]
    pub fn new(bytes_max: usize) -> Self {
        let (entries, asked) = (HashMap::new(), HashMap::new());
        Self { bytes_max, held: Mutex::new(Held { entries, bytes: 0, clock: 0, asked, asks: 0 }) }
    }

    /// What is kept under `key`.
    pub fn find(&self, key: &K) -> Option<Arc<T>> {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.ask(key);
        held.clock += 1;
        let clock = held.clock;
        let entry = held.entries.get_mut(key)?;
        entry.used_at = clock;
        Some(Arc::clone(&entry.value))
    }

    /// Keeps a value of `bytes`, in place of others if need be; not if those were asked for as often, or if it is larger
    /// than the whole cache.
    pub fn insert(&self, key: K, value: T, bytes: usize) -> Arc<T> {
        self.insert_shared(key, Arc::new(value), bytes)
    }

    /// As [`Cache::insert`], of a value that others hold already.
    pub fn insert_shared(&self, key: K, value: Arc<T>, bytes: usize) -> Arc<T> {
        if bytes > self.bytes_max {
            return value;
        }
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        if !held.admits(&key, bytes, self.bytes_max) {
            return value;
        }
        held.clock += 1;
        let entry = Entry { value: Arc::clone(&value), bytes, used_at: held.clock };
        if let Some(former) = held.entries.insert(key.clone(), entry) {
            held.bytes -= former.bytes;
        }
        held.bytes += bytes;
        self.make_room(&mut held, &key);
        value
    }

    /// Takes note of what a value weighs now, if it is still kept.
    pub fn weigh(&self, key: &K, bytes: usize) {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(entry) = held.entries.get_mut(key) else { return };
        let before = std::mem::replace(&mut entry.bytes, bytes);
        held.bytes = held.bytes - before + bytes;
        self.make_room(&mut held, key);
    }

    /// Forgets the least recently used values but one, until the others fit.
    fn make_room(&self, held: &mut Held<K, T>, but: &K) {
        while held.bytes > self.bytes_max {
            let others = held.entries.iter().filter(|(other, _)| *other != but);
            let Some(oldest) = others.min_by_key(|(_, entry)| entry.used_at).map(|(key, _)| key.clone())
            else {
                break;
            };
            if let Some(removed) = held.entries.remove(&oldest) {
                held.bytes -= removed.bytes;
            }
        }
    }

    /// What is kept under `key`, or what `load` makes, with its weight in bytes; two callers at once may both load.
    ///
    /// # Errors
    /// Whatever `load` returns; nothing is kept then.
    pub fn find_or_load<E>(&self, key: K, load: impl FnOnce() -> Result<(T, usize), E>) -> Result<Arc<T>, E> {
        if let Some(found) = self.find(&key) {
            return Ok(found);
        }
        let (value, bytes) = load()?;
        Ok(self.insert(key, value, bytes))
    }

    /// Forgets what is kept under `key`.
    pub fn remove(&self, key: &K) {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(removed) = held.entries.remove(key) {
            held.bytes -= removed.bytes;
        }
    }

    /// Forgets what is kept under the keys that `is_gone` says.
    pub fn remove_where(&self, is_gone: impl Fn(&K) -> bool) {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let Held { entries, bytes, .. } = &mut *held;
        entries.retain(|key, entry| {
            let stays = !is_gone(key);
            *bytes -= if stays { 0 } else { entry.bytes };
            stays
        });
    }

    /// How much is kept.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.held.lock().unwrap_or_else(PoisonError::into_inner).entries.len()
    }

    /// The sum of the weights of all that is kept.
    pub fn bytes(&self) -> usize {
        self.held.lock().unwrap_or_else(PoisonError::into_inner).bytes
    }
}

impl<K: Eq + Hash + Clone, T> Held<K, T> {
    fn ask(&mut self, key: &K) {
        match self.asked.get_mut(key) {
            Some(count) => *count = count.saturating_add(1),
            None => drop(self.asked.insert(key.clone(), 1)),
        }
        self.asks += 1;
        if self.asks > ASKS_PER_KEY * self.entries.len().max(KEYS_MIN) {
            self.asks = 0;
            self.asked.retain(|_, count| {
                *count /= 2;
                *count > 0
            });
        }
    }

    fn asked(&self, key: &K) -> u32 {
        self.asked.get(key).copied().unwrap_or(0)
    }

    /// Whether all that would have to go for a value of `bytes` was asked for less often than `key`.
    fn admits(&self, key: &K, bytes: usize, bytes_max: usize) -> bool {
        let former = self.entries.get(key).map_or(0, |entry| entry.bytes);
        let mut excess = (self.bytes - former + bytes).saturating_sub(bytes_max);
        if excess == 0 {
            return true;
        }
        let mut others: Vec<_> = self.entries.iter().filter(|(other, _)| *other != key).collect();
        others.sort_unstable_by_key(|(_, entry)| entry.used_at);
        let asked = self.asked(key);
        for (other, entry) in others {
            if self.asked(other) >= asked {
                return false;
            }
            excess = excess.saturating_sub(entry.bytes);
            if excess == 0 {
                break;
            }
        }
        true
    }
}

impl<K, T> std::fmt::Debug for Cache<K, T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cache").field("bytes_max", &self.bytes_max).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_recently_used_make_room_and_the_cap_holds() {
        let cache = Cache::new(100);
        for key in 1..=3 {
            cache.insert(key, (), 30);
        }
        assert!(cache.find(&1).is_some());
        assert!(cache.find(&4).is_none());
        cache.insert(4, (), 30);
        let kept: Vec<bool> = (1..=4).map(|key| cache.find(&key).is_some()).collect();
        assert_eq!(kept, [true, false, true, true]);
        cache.insert(5, (), 101);
        assert!(cache.find(&5).is_none() && cache.bytes() == 90);
        cache.insert(4, (), 10);
        cache.remove(&1);
        assert_eq!(cache.bytes(), 40);
        let loaded = cache.find_or_load(6, || Ok::<_, ()>(((), 60)));
        assert!(loaded.is_ok() && cache.bytes() == 100);
        assert!(cache.find_or_load(7, || Err::<((), usize), _>("away")).is_err());
        cache.weigh(&6, 30);
        for _ in 0..4 {
            assert!(cache.find(&8).is_none());
        }
        cache.insert(8, (), 60);
        cache.weigh(&6, 50);
        assert!(cache.find(&8).is_none() && cache.bytes() == 50);
        cache.weigh(&8, 90);
        cache.weigh(&6, 60);
        cache.remove_where(|key| *key < 6);
        assert!(cache.find(&6).is_some() && cache.bytes() == 60);
    }

    #[test]
    fn what_is_read_in_turn_and_does_not_fit_is_kept_in_part_until_something_else_is_asked_for() {
        let cache = Cache::new(80);
        let read = |keys: std::ops::Range<u32>| {
            let is_kept = |key: &u32| {
                let found = cache.find(key).is_some();
                if !found {
                    cache.insert(*key, (), 10);
                }
                found
            };
            keys.filter(is_kept).count()
        };
        assert_eq!(read(0..10), 0);
        for _ in 0..100 {
            assert_eq!(read(0..10), 8);
        }
        let turns = (0..1_000).position(|_| read(20..28) == 8);
        assert!(turns.is_some_and(|turns| turns < 200), "{turns:?}");
        assert!(cache.bytes() <= 80);
    }
}
