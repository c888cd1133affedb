//! The attempts of one subject at a funnel.

/// For each step the attempt with the latest first event that reached it, while the events go by in time order.
///
/// Only the latest is kept because whatever a later event does for an attempt, it does for a later one too, whose
/// window ends later. Events of one millisecond are held back until all are known, and then distributed over the
/// steps, since the same events may serve more steps in one way than in another.
pub(crate) struct Chains {
    steps: usize,
    window_ms: i64,
    /// Row `k` holds the times of the `k + 1` events of the attempt that reached step `k`, if `k < open`.
    times: Vec<i64>,
    /// Steps that any attempt reached.
    open: usize,
    /// Times of the attempt that first reached the furthest step.
    furthest: Vec<i64>,
    /// Events held back, as masks of the steps that they can serve, and their time.
    held: Vec<u32>,
    held_ms: i64,
}

impl Chains {
    /// Attempts at so many steps within a window.
    pub(crate) fn new(steps: usize, window_ms: i64) -> Self {
        let times = vec![0; steps * steps];
        Self { steps, window_ms, times, open: 0, furthest: Vec::new(), held: Vec::new(), held_ms: 0 }
    }

    /// Begins with the next subject.
    pub(crate) fn clear(&mut self) {
        self.open = 0;
        self.furthest.clear();
        self.held.clear();
    }

    /// Whether the last step is reached, so that no further event matters.
    pub(crate) fn is_done(&self) -> bool {
        self.furthest.len() == self.steps
    }

    /// Takes the next event in time order, given as the steps that it can serve.
    #[inline]
    pub(crate) fn take(&mut self, time_ms: i64, mask: u32) {
        if time_ms != self.held_ms {
            self.release();
            self.held_ms = time_ms;
        }
        self.held.push(mask);
    }

    /// Counts what was taken so far: no more events of the same time come.
    pub(crate) fn settle(&mut self) {
        self.release();
    }

    /// The steps that an event must serve to move anything on, one bit each.
    #[inline]
    pub(crate) fn wanted(&self) -> u32 {
        (2 << self.open) - 1
    }

    /// The times of the steps up to the furthest that was reached; empty if not even the first was.
    pub(crate) fn finish(&mut self) -> &[i64] {
        self.release();
        &self.furthest
    }

    fn release(&mut self) {
        match self.held.as_slice() {
            [] => return,
            &[mask] => self.release_one(mask),
            _ => self.release_many(),
        }
        self.held.clear();
    }

    /// From the last step to the first, so that the event moves no attempt on twice.
    fn release_one(&mut self, mask: u32) {
        let mut end = self.open;
        for step in (0..self.steps.min(self.open + 1)).rev().filter(|step| mask >> step & 1 == 1) {
            if self.is_open(step) {
                self.advance(step, step);
                end = end.max(step + 1);
            }
        }
        self.open = end;
    }

    fn release_many(&mut self) {
        let mut masks = std::mem::take(&mut self.held);
        masks.sort_unstable();
        // More events of a kind than there are steps cannot be used.
        let (mut kept, mut copies, mut before) = (Vec::new(), 0, 0);
        for &mask in &masks {
            copies = if mask == before { copies + 1 } else { 1 };
            before = mask;
            if copies <= self.steps {
                kept.push(mask);
            }
        }
        let ends: Vec<usize> = (0..self.steps).map(|from| served_until(&kept, from, self.steps)).collect();
        let mut end = self.open;
        for step in (0..self.steps).rev() {
            // The latest attempt that can get here, and if it can in several ways, that with the most steps behind it.
            let can = (0..=step).filter(|&from| ends[from] > step && self.is_open(from));
            if let Some(from) = can.max_by_key(|&from| self.entry_ms(from)) {
                self.advance(from, step);
                end = end.max(step + 1);
            }
        }
        self.open = end;
        self.held = masks;
    }

    /// Whether an attempt that stands before this step can go on now.
    fn is_open(&self, step: usize) -> bool {
        step <= self.open && self.held_ms - self.entry_ms(step) <= self.window_ms
    }

    /// When the attempt that stands before this step began; before the first, one begins now.
    fn entry_ms(&self, step: usize) -> i64 {
        step.checked_sub(1).map_or(self.held_ms, |before| self.times[before * self.steps])
    }

    /// Takes the attempt that stands before step `from` over all steps up to `to`, now.
    ///
    /// Reads only rows before `from`, which later calls for the same moment change: they go from the last to the first.
    fn advance(&mut self, from: usize, to: usize) {
        let (row, steps) = (to * self.steps, self.steps);
        let entry_ms = self.entry_ms(from);
        // An attempt that began no earlier and got here sooner stays.
        if to < self.open && self.times[row] >= entry_ms {
            return;
        }
        if from > 0 {
            let before = (from - 1) * steps;
            self.times.copy_within(before..before + from, row);
        }
        self.times[row + from..=row + to].fill(self.held_ms);
        if to >= self.furthest.len() {
            self.furthest.clear();
            self.furthest.extend_from_slice(&self.times[row..=row + to]);
        }
    }
}

/// The end of the longest row of steps beginning with `from` that different events can serve.
///
/// A bipartite matching that grows step by step (Kuhn, 1955): once a step finds no event, no longer row can.
fn served_until(masks: &[u32], from: usize, steps: usize) -> usize {
    let mut served = vec![None; masks.len()];
    (from..steps)
        .find(|&step| !serve(masks, step, &mut served, &mut vec![false; masks.len()]))
        .unwrap_or(steps)
}

/// Finds an event for a step, moving others to other events where needed.
fn serve(masks: &[u32], step: usize, served: &mut [Option<usize>], tried: &mut [bool]) -> bool {
    for event in 0..masks.len() {
        if masks[event] >> step & 1 == 0 || std::mem::replace(&mut tried[event], true) {
            continue;
        }
        if served[event].is_none_or(|other| serve(masks, other, served, tried)) {
            served[event] = Some(step);
            return true;
        }
    }
    false
}
