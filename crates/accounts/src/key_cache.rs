//! Keys in memory: what the database said at most 5 s ago, or, while it is away, what it said last.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Duration;

use belvedere_storage::Timestamp;

/// An answer older than this is not given any more, unless the database is away.
const STALE_AFTER: Duration = Duration::from_secs(5);

/// From this age on one caller asks again while the others still take the answer, so that a busy key never makes
/// callers wait together.
const REFRESH_AFTER: Duration = Duration::from_secs(4);

/// While the database is away it is asked this often.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// The most keys remembered, unknown ones included.
const KEYS_MAX: usize = 10_000;

/// What to do for a caller.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Lookup<T> {
    /// Answer this.
    Known(Option<Arc<T>>),
    /// Ask the database, then [`KeyCache::remember`] or [`KeyCache::database_is_away`].
    Ask(Ticket),
    /// The database is away, has been asked a moment ago, and nothing is known of the key.
    Away,
}

/// Permission to remember an answer, as long as nothing has been invalidated since it was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ticket {
    generation: u64,
}

#[derive(Debug)]
struct Remembered<T> {
    answer: Option<Arc<T>>,
    asked_at: Timestamp,
    is_being_refreshed: AtomicBool,
}

#[derive(Debug)]
struct State<T> {
    keys: HashMap<String, Remembered<T>>,
    /// Set while the database is away: it is not asked before.
    ask_again_at: Option<Timestamp>,
}

/// A bounded memory of answers by public key.
#[derive(Debug)]
pub(crate) struct KeyCache<T> {
    state: RwLock<State<T>>,
    generation: AtomicU64,
}

impl<T> Default for KeyCache<T> {
    fn default() -> Self {
        let state = State { keys: HashMap::new(), ask_again_at: None };
        Self { state: RwLock::new(state), generation: AtomicU64::new(0) }
    }
}

impl<T> KeyCache<T> {
    pub(crate) fn look_up(&self, public_key: &str, now: Timestamp) -> Lookup<T> {
        let state = self.read();
        let ticket = Ticket { generation: self.generation.load(Ordering::SeqCst) };
        let Some(remembered) = state.keys.get(public_key) else {
            return if state.is_away(now) { Lookup::Away } else { Lookup::Ask(ticket) };
        };
        let age = now.since(remembered.asked_at);
        // A clock that was set back makes no answer young.
        let is_from_the_future = remembered.asked_at > now;
        let known = || Lookup::Known(remembered.answer.clone());
        if age < REFRESH_AFTER && !is_from_the_future {
            return known();
        }
        if state.is_away(now) {
            // An unknown key may have been made meanwhile: better no answer than a final no.
            return if remembered.answer.is_some() { known() } else { Lookup::Away };
        }
        let is_first = !remembered.is_being_refreshed.swap(true, Ordering::SeqCst);
        if is_first || age >= STALE_AFTER || is_from_the_future { Lookup::Ask(ticket) } else { known() }
    }

    /// Keeps the database's answer, unless a key has changed since it was asked.
    pub(crate) fn remember(
        &self,
        ticket: Ticket,
        public_key: &str,
        answer: Option<T>,
        now: Timestamp,
    ) -> Option<Arc<T>> {
        let answer = answer.map(Arc::new);
        let mut state = self.write();
        state.ask_again_at = None;
        if self.generation.load(Ordering::SeqCst) == ticket.generation {
            state.make_room(now);
            let remembered = Remembered {
                answer: answer.clone(),
                asked_at: now,
                is_being_refreshed: AtomicBool::new(false),
            };
            state.keys.insert(public_key.to_owned(), remembered);
        }
        answer
    }

    /// Notes that the database did not answer; gives what was last known of the key, if it was known.
    pub(crate) fn database_is_away(&self, public_key: &str, now: Timestamp) -> Option<Arc<T>> {
        let mut state = self.write();
        state.ask_again_at = Some(now.plus(RETRY_AFTER));
        let remembered = state.keys.get(public_key)?;
        remembered.is_being_refreshed.store(false, Ordering::SeqCst);
        remembered.answer.clone()
    }

    /// Forgets what is known of a key that has changed, and what is being asked about any.
    pub(crate) fn forget(&self, public_key: &str) {
        let mut state = self.write();
        self.generation.fetch_add(1, Ordering::SeqCst);
        state.keys.remove(public_key);
    }

    fn read(&self) -> RwLockReadGuard<'_, State<T>> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, State<T>> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> State<T> {
    fn is_away(&self, now: Timestamp) -> bool {
        self.ask_again_at.is_some_and(|at| now < at && at.since(now) <= RETRY_AFTER)
    }

    /// Before the memory is full, drops what is stale, then the unknown keys, then everything.
    fn make_room(&mut self, now: Timestamp) {
        if self.keys.len() < KEYS_MAX {
            return;
        }
        self.keys.retain(|_, remembered| now.since(remembered.asked_at) < STALE_AFTER);
        if self.keys.len() >= KEYS_MAX / 2 {
            self.keys.retain(|_, remembered| remembered.answer.is_some());
        }
        if self.keys.len() >= KEYS_MAX {
            self.keys.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use belvedere_kernel::ProjectId;
    use belvedere_storage::Id;

    use super::*;
    use crate::IngestKeyInfo;

    const KEY: &str = "0123456789abcdef0123456789abcdef";

    fn info() -> IngestKeyInfo {
        IngestKeyInfo {
            id: Id::from_bytes([1; 16]),
            project: ProjectId(1),
            public_key: KEY.to_owned(),
            label: "key".to_owned(),
            rate_limit_per_minute: None,
            allowed_origins: Vec::new(),
            created_at: Timestamp::EPOCH,
            revoked_at: None,
        }
    }

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_micros(millis * 1_000)
    }

    fn ask(cache: &KeyCache<IngestKeyInfo>, millis: i64) -> Ticket {
        match cache.look_up(KEY, at(millis)) {
            Lookup::Ask(ticket) => ticket,
            other => panic!("not asked at {millis}: {other:?}"),
        }
    }

    fn is_known(cache: &KeyCache<IngestKeyInfo>, millis: i64) -> bool {
        cache.look_up(KEY, at(millis)) == Lookup::Known(Some(Arc::new(info())))
    }

    #[test]
    fn an_answer_is_given_for_five_seconds_and_renewed_by_one_caller_from_the_fourth_on() {
        let cache = KeyCache::<IngestKeyInfo>::default();
        cache.remember(ask(&cache, 0), KEY, Some(info()), at(0));
        assert!(is_known(&cache, 3_999));
        let ticket = ask(&cache, 4_000);
        assert!(is_known(&cache, 4_000), "the others need not wait");
        assert!(is_known(&cache, 4_999));
        ask(&cache, 5_000);
        cache.remember(ticket, KEY, None, at(5_001));
        assert_eq!(cache.look_up(KEY, at(5_002)), Lookup::Known(None));
    }

    #[test]
    fn an_answer_that_was_asked_for_before_a_change_is_not_kept() {
        let cache = KeyCache::<IngestKeyInfo>::default();
        let ticket = ask(&cache, 0);
        cache.forget(KEY);
        cache.remember(ticket, KEY, Some(info()), at(1));
        ask(&cache, 2);
    }

    #[test]
    fn while_the_database_is_away_known_keys_go_on_and_unknown_ones_are_not_refused() {
        let cache = KeyCache::<IngestKeyInfo>::default();
        cache.remember(ask(&cache, 0), KEY, Some(info()), at(0));
        ask(&cache, 60_000);
        assert_eq!(cache.database_is_away(KEY, at(60_000)), Some(Arc::new(info())));
        assert!(is_known(&cache, 60_999));
        assert_eq!(cache.look_up("unknown", at(60_999)), Lookup::Away);
        ask(&cache, 61_000);
        cache.remember(Ticket { generation: 0 }, "unknown", None, at(61_000));
        assert_eq!(cache.database_is_away("unknown", at(70_000)), None);
        assert_eq!(cache.look_up("unknown", at(70_001)), Lookup::Away);
        let ticket = ask(&cache, 71_000);
        assert_eq!(cache.remember(ticket, KEY, Some(info()), at(71_000)), Some(Arc::new(info())));
        assert!(matches!(cache.look_up("another", at(71_001)), Lookup::Ask(_)), "the database is back");
    }

    #[test]
    fn a_clock_that_is_set_back_makes_answers_old() {
        let cache = KeyCache::<IngestKeyInfo>::default();
        cache.remember(ask(&cache, 100_000), KEY, Some(info()), at(100_000));
        ask(&cache, 50_000);
    }

    #[test]
    fn the_memory_is_bounded_and_unknown_keys_leave_first() {
        let cache = KeyCache::<IngestKeyInfo>::default();
        cache.remember(ask(&cache, 0), KEY, Some(info()), at(0));
        for number in 0..25_000 {
            cache.remember(Ticket { generation: 0 }, &number.to_string(), None, at(1));
        }
        assert!(cache.read().keys.len() <= KEYS_MAX);
        assert!(is_known(&cache, 2));
    }
}
