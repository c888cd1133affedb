//! The questions that events answer, each one a pure function over [`crate::columns::Columns`].
//!
//! A kernel is planned once for its segments (filters and dictionaries are compiled), read in parts by ranges
//! of subjects, and finished from the merged parts. Nothing of one subject depends on another, so parts can be
//! read by several threads, and the state of a part is small and dense: an array by subject, not a hash table.
//!
//! Segments may overlap in time, and a subject may occur in any number of them. Events of a subject are taken
//! in the order of (time, place of the segment in the list, place in the segment).
//!
//! The answer does not depend on the number of threads: parts are cut by events and merged in their order, so
//! that sums of floats are added up in the same order every time.

pub mod active;
mod activity;
pub mod adoption;
mod bit_counts;
pub mod bucket;
pub mod cohort;
pub mod filter;
pub mod formula;
pub mod funnel;
pub mod group;
pub mod interval;
pub mod lifecycle;
pub mod path;
mod plan;
pub mod quantile;
pub mod retention;
pub mod session;
pub mod subject_set;
#[cfg(test)]
pub(crate) mod testing;
pub mod top;
pub mod trend;
mod walk;

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use thiserror::Error;

use crate::columns::Columns;

/// Tells whether nobody waits for the answer any more; asked by any thread, every 8,192 events or when the events
/// of the subject at hand are read.
pub type Cancel<'a> = &'a (dyn Fn() -> bool + Sync);

/// The query was cancelled before its answer was complete.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("query was cancelled")]
pub struct Cancelled;

/// Why a query has no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum QueryError {
    /// It was cancelled.
    #[error(transparent)]
    Cancelled(#[from] Cancelled),
    /// It asks for more, or less, than a kernel can hold.
    #[error("{what} must be between {min} and {max}")]
    OutOfRange {
        /// What is out of range.
        what: &'static str,
        /// The least that is allowed.
        min: u64,
        /// The most that is allowed.
        max: u64,
    },
    /// The starts of buckets do not ascend.
    #[error("bucket starts do not ascend")]
    BucketsNotAscending,
    /// Its parts contradict each other.
    #[error("{0}")]
    Contradiction(&'static str),
}

/// What was read from some subjects.
pub trait Partial: Send {
    /// Adds what was read from other subjects, which come after these.
    fn merge(&mut self, later: Self);
}

/// A question, planned for the segments that answer it.
pub trait Kernel: Sync {
    /// What is read from a range of subjects.
    type Partial: Partial;
    /// The answer over all subjects.
    type Answer;

    /// The segments that can hold something for the answer.
    fn segments(&self) -> &[&Columns];

    /// Finds what is kept beside segments for later questions too, with that many threads; what was not prepared is
    /// found when it is needed.
    fn prepare(&self, _threads: usize) {}

    /// Reads the events of a range of subjects.
    fn part(&self, subjects: Range<u32>, cancel: Cancel<'_>) -> Result<Self::Partial, Cancelled>;

    /// Turns what was read from all subjects into the answer, with that many threads where it is worth it.
    fn finish(&self, partial: Self::Partial, threads: usize) -> Self::Answer;
}

/// Events of a part: enough to forget what a part costs, few enough that threads end together.
const PART_EVENTS: u64 = 131_072;

/// Subjects of a part, so that a state of a few words per subject stays in the second-level cache.
const PART_SUBJECTS: u32 = 32_768;

/// Answers a question with that many threads, the calling one included.
pub fn run<K: Kernel>(kernel: &K, threads: usize, cancel: Cancel<'_>) -> Result<K::Answer, Cancelled> {
    kernel.prepare(threads);
    let ranges = split(kernel.segments(), PART_EVENTS, PART_SUBJECTS);
    let merger = Mutex::new(Merger { next: 0, waiting: BTreeMap::new(), merged: None });
    let (next, stopped) = (AtomicUsize::new(0), AtomicBool::new(false));
    let read = || -> Result<(), Cancelled> {
        let cancel: Cancel<'_> = &|| stopped.load(Ordering::Relaxed) || cancel();
        loop {
            let at = next.fetch_add(1, Ordering::Relaxed);
            let Some(range) = ranges.get(at) else { return Ok(()) };
            let partial =
                kernel.part(range.clone(), cancel).inspect_err(|_| stopped.store(true, Ordering::Relaxed))?;
            merger.lock().unwrap_or_else(PoisonError::into_inner).add(at, partial);
        }
    };
    on_threads(threads.min(ranges.len()), read).into_iter().collect::<Result<(), _>>()?;
    match merger.into_inner().unwrap_or_else(PoisonError::into_inner).merged {
        Some(partial) => Ok(kernel.finish(partial, threads)),
        None => Ok(kernel.finish(kernel.part(0..0, cancel)?, threads)),
    }
}

/// Makes so many items, each by itself, with that many threads, the calling one included.
pub(crate) fn make_each<T: Send>(count: usize, threads: usize, make: impl Fn(usize) -> T + Sync) -> Vec<T> {
    let next = AtomicUsize::new(0);
    let some = || -> Vec<(usize, T)> {
        let places = std::iter::repeat_with(|| next.fetch_add(1, Ordering::Relaxed));
        places.take_while(|place| *place < count).map(|place| (place, make(place))).collect()
    };
    let mut made: Vec<_> = on_threads(threads.min(count), some).into_iter().flatten().collect();
    made.sort_unstable_by_key(|(place, _)| *place);
    made.into_iter().map(|(_, item)| item).collect()
}

/// Does the same work on that many threads, the calling one included and first; what each gives.
pub(crate) fn on_threads<T: Send>(threads: usize, work: impl Fn() -> T + Sync) -> Vec<T> {
    std::thread::scope(|scope| {
        let others: Vec<_> = (1..threads).map(|_| scope.spawn(&work)).collect();
        let mut given = vec![work()];
        given.extend(others.into_iter().map(|other| match other.join() {
            Ok(given) => given,
            Err(panic) => std::panic::resume_unwind(panic),
        }));
        given
    })
}

/// Merges parts in their order, whatever the order in which they are done.
struct Merger<P> {
    next: usize,
    waiting: BTreeMap<usize, P>,
    merged: Option<P>,
}

impl<P: Partial> Merger<P> {
    fn add(&mut self, at: usize, partial: P) {
        self.waiting.insert(at, partial);
        while let Some(partial) = self.waiting.remove(&self.next) {
            self.next += 1;
            match &mut self.merged {
                Some(merged) => merged.merge(partial),
                None => self.merged = Some(partial),
            }
        }
    }
}

/// Cuts the subjects of all segments into ranges of about so many events and at most so many ids.
///
/// Together the ranges hold every subject once, in ascending order.
#[must_use]
pub fn split(segments: &[&Columns], events: u64, subjects: u32) -> Vec<Range<u32>> {
    let before = |subject: u32| -> u64 {
        let rows =
            segments.iter().map(|it| it.offsets.get(it.subjects.partition_point(|&other| other < subject)));
        rows.map(|row| u64::from(row.copied().unwrap_or(0))).sum()
    };
    let all = walk::clamp(segments, 0..u32::MAX);
    let mut ranges = Vec::new();
    let mut start = all.start;
    while start < all.end {
        // The greatest end that stays within both limits, but always at least one subject.
        let limit = before(start) + events;
        let (mut low, mut high) = (start + 1, all.end.min(start.saturating_add(subjects.max(1))));
        while low < high {
            let middle = low + (high - low).div_ceil(2);
            if before(middle) <= limit { low = middle } else { high = middle - 1 }
        }
        ranges.push(start..low);
        start = segments
            .iter()
            .filter_map(|it| it.subjects.get(it.subjects.partition_point(|&other| other < low)))
            .min()
            .copied()
            .unwrap_or(all.end);
    }
    ranges
}

/// Fails unless a number that a caller chose is within its limits.
pub(crate) fn ensure_within(what: &'static str, number: usize, min: u64, max: u64) -> Result<(), QueryError> {
    if (min..=max).contains(&(number as u64)) {
        Ok(())
    } else {
        Err(QueryError::OutOfRange { what, min, max })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::columns::Row;

    struct Count<'a>(&'a [&'a Columns]);

    impl Partial for Vec<u32> {
        fn merge(&mut self, later: Self) {
            self.extend(later);
        }
    }

    impl Kernel for Count<'_> {
        type Partial = Vec<u32>;
        type Answer = Vec<u32>;

        fn segments(&self) -> &[&Columns] {
            self.0
        }

        fn part(&self, subjects: Range<u32>, cancel: Cancel<'_>) -> Result<Vec<u32>, Cancelled> {
            let mut seen = Vec::new();
            let start = walk::clamp(self.0, subjects.clone()).start;
            walk::walk(self.0, walk::Order::Together, subjects, cancel, |local, _| seen.push(start + local))?;
            Ok(seen)
        }

        fn finish(&self, partial: Vec<u32>, _threads: usize) -> Vec<u32> {
            partial
        }
    }

    #[test]
    fn every_subject_is_read_once_in_order_by_any_number_of_threads() {
        let rows = |step: usize| (0..300_000_u32).step_by(step).map(|subject| Row::new(subject, 0, "a"));
        let (first, second) = (Columns::from_rows(rows(3)).unwrap(), Columns::from_rows(rows(5)).unwrap());
        let segments = [&first, &second];
        let expected: Vec<u32> = (0..300_000).filter(|id| id % 3 == 0 || id % 5 == 0).collect();
        for threads in 1..4 {
            assert_eq!(run(&Count(&segments), threads, &|| false), Ok(expected.clone()));
        }
        assert_eq!(run(&Count(&segments), 2, &|| true), Err(Cancelled));
        assert_eq!(run(&Count(&[]), 2, &|| false), Ok(vec![]));
    }

    #[test]
    fn ranges_skip_gaps_and_keep_their_limits() {
        let ids = [0, 1, 2, 1_000_000, 1_000_001, u32::MAX - 1];
        let columns = Columns::from_rows(ids.map(|subject| Row::new(subject, 0, "a"))).unwrap();
        let ranges = split(&[&columns], 2, 1000);
        let held: Vec<Vec<u32>> =
            ranges.iter().map(|range| ids.into_iter().filter(|id| range.contains(id)).collect()).collect();
        assert_eq!(held, [vec![0, 1], vec![2], vec![1_000_000, 1_000_001], vec![u32::MAX - 1]]);
        assert!(ranges.iter().all(|range| range.len() <= 1000));
    }
}
