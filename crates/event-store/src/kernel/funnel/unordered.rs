//! Attempts of one subject whose steps come in any order.

use std::collections::VecDeque;

use crate::kernel::funnel::matching::Matching;

/// How many different steps a subject's events served within a window, while they go by in time order.
///
/// Sets of events that can serve different steps, all at once, are the independent sets of a matroid (Edmonds and
/// Fulkerson, 1965). So the latest event that `k` steps can begin with is the `k`th latest of the independent set that
/// is greedily the latest, which is kept: a new event comes in, and if they are dependent then, the earliest one goes
/// without which they are not. Any earlier event of a step can begin those `k` steps too.
pub(crate) struct Unordered {
    steps: usize,
    window_ms: i64,
    /// The independent set, by time: when, and which steps it can serve.
    latest: Vec<(i64, u32)>,
    /// The events of one window.
    events: VecDeque<(i64, u32)>,
    /// The last event within the time of entries.
    entry_ms: Option<i64>,
    /// When the attempt with the most steps began, and when each number of steps was reached.
    best_entry_ms: i64,
    best: Vec<i64>,
}

impl Unordered {
    pub(crate) fn new(steps: usize, window_ms: i64) -> Self {
        Self {
            steps,
            window_ms,
            latest: Vec::new(),
            events: VecDeque::new(),
            entry_ms: None,
            best_entry_ms: 0,
            best: Vec::new(),
        }
    }

    pub(crate) fn clear(&mut self) {
        self.latest.clear();
        self.events.clear();
        self.best.clear();
        self.entry_ms = None;
    }

    /// The times at which 1, 2, .. steps were reached.
    pub(crate) fn times(&self) -> &[i64] {
        &self.best
    }

    /// Takes the next event of a step; those before the time of entries are left out.
    pub(crate) fn take(&mut self, time_ms: i64, mask: u32, is_entry: bool) {
        if is_entry {
            self.entry_ms = Some(time_ms);
        }
        let Some(last_entry_ms) = self.entry_ms else { return };
        while self.events.front().is_some_and(|(ms, _)| time_ms - ms > self.window_ms) {
            self.events.pop_front();
        }
        self.events.push_back((time_ms, mask));
        self.keep_latest(time_ms, mask);
        let is_last_moment = self.best.last() == Some(&time_ms);
        let least = if is_last_moment { self.best.len() } else { self.best.len() + 1 };
        for count in (least.max(1)..=self.latest.len()).rev() {
            let entry_ms = self.latest[self.latest.len() - count].0.min(last_entry_ms);
            let is_later = count > self.best.len() || entry_ms > self.best_entry_ms;
            if time_ms - entry_ms <= self.window_ms && is_later {
                self.begin_at(entry_ms);
                break;
            }
        }
    }

    fn keep_latest(&mut self, time_ms: i64, mask: u32) {
        // Two events that can only serve the same step are the shortest way to be dependent.
        let same = self.latest.iter().position(|(_, other)| *other == mask);
        if let (true, Some(same)) = (mask.is_power_of_two(), same) {
            self.latest.remove(same);
            self.latest.push((time_ms, mask));
            return;
        }
        self.latest.push((time_ms, mask));
        let is_independent = |left_out: usize| {
            let mut matching = Matching::new(self.steps);
            let mut others = self.latest.iter().enumerate().filter(|(at, _)| *at != left_out);
            others.all(|(_, (_, mask))| matching.add(*mask))
        };
        if !is_independent(usize::MAX)
            && let Some(earliest) = (0..self.latest.len()).find(|at| is_independent(*at))
        {
            self.latest.remove(earliest);
        }
    }

    /// Takes over the attempt that begins there.
    fn begin_at(&mut self, entry_ms: i64) {
        self.best_entry_ms = entry_ms;
        self.best.clear();
        let mut matching = Matching::new(self.steps);
        for (time_ms, mask) in self.events.iter().filter(|(ms, _)| *ms >= entry_ms) {
            if matching.add(*mask) {
                self.best.push(*time_ms);
            }
        }
    }
}
