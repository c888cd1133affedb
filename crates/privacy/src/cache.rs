use std::collections::HashMap;
use std::hash::Hash;
use std::mem;
use std::sync::{Mutex, PoisonError};

/// A bounded map of what was used lately, shared between threads.
///
/// Two generations: when the young one is full, it becomes the old one, and what the old one held is forgotten unless
/// it was asked for since. That keeps at least the `capacity / 2` entries used last, at the price of a map.
pub(crate) struct Cache<K, V> {
    generations: Mutex<Generations<K, V>>,
    generation_len_max: usize,
}

struct Generations<K, V> {
    young: HashMap<K, V>,
    old: HashMap<K, V>,
}

impl<K: Eq + Hash + Clone, V: Clone> Cache<K, V> {
    /// A cache of at most `capacity` entries.
    pub(crate) fn new(capacity: usize) -> Self {
        Self {
            generations: Mutex::new(Generations { young: HashMap::new(), old: HashMap::new() }),
            generation_len_max: (capacity / 2).max(1),
        }
    }

    pub(crate) fn get(&self, key: &K) -> Option<V> {
        self.with(|generations| {
            if let Some(value) = generations.young.get(key) {
                return Some(value.clone());
            }
            let value = generations.old.remove(key)?;
            self.put(generations, key.clone(), value.clone());
            Some(value)
        })
    }

    pub(crate) fn insert(&self, key: K, value: V) {
        self.with(|generations| {
            generations.old.remove(&key);
            self.put(generations, key, value);
        });
    }

    pub(crate) fn remove(&self, key: &K) {
        self.with(|generations| {
            generations.young.remove(key);
            generations.old.remove(key);
        });
    }

    fn put(&self, generations: &mut Generations<K, V>, key: K, value: V) {
        if generations.young.len() >= self.generation_len_max && !generations.young.contains_key(&key) {
            generations.old = mem::take(&mut generations.young);
        }
        generations.young.insert(key, value);
    }

    fn with<T>(&self, work: impl FnOnce(&mut Generations<K, V>) -> T) -> T {
        work(&mut self.generations.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_used_last_stays_and_the_rest_goes() {
        let cache = Cache::new(4);
        for number in 0..4 {
            cache.insert(number, number * 10);
        }
        assert_eq!(cache.get(&1), Some(10));
        cache.insert(4, 40);
        cache.insert(5, 50);
        let kept: Vec<i32> = (0..6).filter(|number| cache.get(number).is_some()).collect();
        assert_eq!(kept, [1, 4, 5]);
        cache.remove(&5);
        assert_eq!(cache.get(&5), None);
    }

    #[test]
    fn a_new_value_replaces_one_in_the_old_generation() {
        let cache = Cache::new(4);
        cache.insert('a', 1);
        cache.insert('b', 2);
        cache.insert('c', 3);
        cache.insert('a', 9);
        assert_eq!(cache.get(&'a'), Some(9));
    }
}
