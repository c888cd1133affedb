//! Answers that are given again for as long as they are as good as new.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use belvedere_event_store::StoreVersion;
use belvedere_kernel::Clock;
use belvedere_storage::Timestamp;

/// The most answers that are kept.
const ANSWERS_MAX: usize = 64;

/// Who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pace {
    /// Somebody who waits.
    Now,
    /// Nobody: an answer that is soon too old is made anew before somebody asks, and given until the new one is there.
    Ahead,
}

/// Answers by what was asked, with a version of what they follow from. An answer that is being made is waited for, not
/// made twice.
pub(crate) struct Kept<K, V, W = StoreVersion> {
    answers: Mutex<HashMap<K, Slot<V, W>>>,
    longest: Duration,
    times_its_cost: u32,
}

type Answer<V, W> = Arc<tokio::sync::Mutex<Option<Held<V, W>>>>;

struct Slot<V, W> {
    used_at: Timestamp,
    answer: Answer<V, W>,
}

struct Held<V, W> {
    version: Option<W>,
    made_at: Timestamp,
    took: Duration,
    value: V,
}

impl<V, W: PartialEq> Held<V, W> {
    /// Whether it is as good as new for so long a time as `longest`, or so many times what it took.
    fn is_good(
        &self,
        version: Option<&W>,
        now: Timestamp,
        (longest, times_its_cost): (Duration, u32),
    ) -> bool {
        let limit = match version.is_some() && self.version.as_ref() == version {
            true => longest,
            false => longest.min(self.took.saturating_mul(times_its_cost)),
        };
        now >= self.made_at && now.since(self.made_at) < limit
    }
}

impl<K: Eq + Hash + Clone, V: Clone, W: PartialEq> Kept<K, V, W> {
    /// Gives no answer again that is older than `longest`; while events come, none that is older than so many times what
    /// it took: looking costs no more than that part of a processor, and where answers are quick they are new.
    pub(crate) fn new(longest: Duration, times_its_cost: u32) -> Self {
        Self { answers: Mutex::default(), longest, times_its_cost }
    }

    /// The answer to a question, made now or not long ago. `version` is that of what it follows from, before this call;
    /// none where nobody can say whether something came.
    pub(crate) async fn find<E>(
        &self,
        (key, pace): (&K, Pace),
        version: Option<W>,
        clock: &dyn Clock,
        make: impl Future<Output = Result<V, E>>,
    ) -> Result<V, E> {
        let answer = self.slot(key, clock.now());
        let mut held = answer.lock().await;
        let started = clock.now();
        let limits = match pace {
            Pace::Now => (self.longest, self.times_its_cost),
            Pace::Ahead => (self.longest * 3 / 4, self.times_its_cost * 3 / 4),
        };
        if let Some(held) = held.as_ref().filter(|held| held.is_good(version.as_ref(), started, limits)) {
            return Ok(held.value.clone());
        }
        let value = if pace == Pace::Ahead && held.is_some() {
            drop(held);
            let value = make.await?;
            held = answer.lock().await;
            value
        } else {
            make.await?
        };
        let took = clock.now().since(started);
        *held = Some(Held { version, made_at: started, took, value: value.clone() });
        Ok(value)
    }

    /// How many answers are kept.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.answers.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    fn slot(&self, key: &K, now: Timestamp) -> Answer<V, W> {
        let mut answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        if answers.len() >= ANSWERS_MAX && !answers.contains_key(key) {
            let oldest = answers.iter().min_by_key(|(_, slot)| slot.used_at).map(|(key, _)| key.clone());
            oldest.map(|key| answers.remove(&key));
        }
        let new = || Slot { used_at: now, answer: Answer::default() };
        let slot = answers.entry(key.clone()).or_insert_with(new);
        slot.used_at = now;
        Arc::clone(&slot.answer)
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use belvedere_event_store::{Embedded, Event, EventStore, EventStoreError, Limits, Select};
    use belvedere_kernel::{ManualClock, ProjectId};
    use belvedere_storage::testing::{TestDatabase, run};

    use super::*;

    /// Two versions of a project.
    async fn versions() -> [StoreVersion; 2] {
        let db = TestDatabase::sqlite().await;
        let store = Embedded::new(
            db.database(),
            std::env::temp_dir(),
            Arc::new(ManualClock::new(Timestamp::from_micros(0))),
            Limits::default(),
        );
        let project = ProjectId(1);
        let version = async || store.snapshot(Select::all(project)).await.unwrap().version;
        let before = version().await;
        let event = Event::new([1; 16], "2026-11-29T10:00:00Z".parse().unwrap(), "a");
        let appended: Result<_, EventStoreError> =
            db.write(async |tx| store.append_in(tx, project, &[event]).await).await;
        appended.unwrap();
        [before, version().await]
    }

    #[test]
    fn an_answer_is_given_again_while_nothing_came_and_else_by_what_it_cost() {
        run(async {
            let [old, new] = versions().await;
            let clock = ManualClock::new("2026-11-29T10:00:00Z".parse().unwrap());
            let kept: Kept<u32, u32> = Kept::new(Duration::from_secs(60), 30);
            let find = async |version, value: u32, took: u64| {
                let make = async {
                    clock.advance(Duration::from_millis(took));
                    Ok::<_, Infallible>(value)
                };
                kept.find((&7, Pace::Now), Some(version), &clock, make).await.unwrap()
            };
            assert_eq!(find(old, 1, 100).await, 1);
            clock.advance(Duration::from_secs(59));
            assert_eq!(find(old, 2, 100).await, 1, "nothing came");
            clock.advance(Duration::from_secs(1));
            assert_eq!(find(old, 3, 100).await, 3, "a minute is over");
            clock.advance(Duration::from_millis(2_800));
            assert_eq!(find(new, 4, 100).await, 3, "it took a tenth of a second");
            clock.advance(Duration::from_millis(200));
            assert_eq!(find(new, 5, 0).await, 5);
            assert_eq!(find(old, 6, 0).await, 6, "what took no time is made anew");
            assert_eq!(find(old, 7, 0).await, 6);
        });
    }

    #[test]
    fn the_answers_used_last_are_kept() {
        run(async {
            let version = Some(StoreVersion::default());
            let clock = ManualClock::new("2026-11-29T10:00:00Z".parse().unwrap());
            let kept: Kept<usize, usize> = Kept::new(Duration::from_secs(60), 30);
            let find = async |key: usize, value: usize| {
                clock.advance(Duration::from_millis(1));
                kept.find((&key, Pace::Now), version, &clock, async { Ok::<_, Infallible>(value) })
                    .await
                    .unwrap()
            };
            for key in 0..ANSWERS_MAX {
                find(key, key).await;
            }
            assert_eq!(find(0, 100).await, 0);
            find(ANSWERS_MAX, 0).await;
            assert_eq!((find(0, 100).await, find(1, 100).await), (0, 100));
        });
    }

    #[test]
    fn an_answer_is_made_ahead_and_the_old_one_given_meanwhile() {
        run(async {
            let clock = ManualClock::new("2026-11-29T10:00:00Z".parse().unwrap());
            let kept: Kept<u32, u32, u64> = Kept::new(Duration::from_secs(60), 30);
            let find = async |pace, value: u32| {
                kept.find((&7, pace), Some(1), &clock, async { Ok::<_, Infallible>(value) }).await.unwrap()
            };
            assert_eq!(find(Pace::Ahead, 1).await, 1);
            clock.advance(Duration::from_secs(44));
            assert_eq!(find(Pace::Ahead, 2).await, 1, "it is good for a while yet");
            clock.advance(Duration::from_secs(1));
            let made_ahead = async {
                assert_eq!(find(Pace::Now, 9).await, 1, "whoever asks meanwhile does not wait");
                Ok::<_, Infallible>(2)
            };
            assert_eq!(kept.find((&7, Pace::Ahead), Some(1), &clock, made_ahead).await, Ok(2));
            clock.advance(Duration::from_secs(59));
            assert_eq!(find(Pace::Now, 9).await, 2);
        });
    }
}
