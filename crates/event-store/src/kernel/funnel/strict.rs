//! Attempts of one subject whose steps follow each other directly.

/// Which attempts the event before belongs to, while all events of a subject go by.
///
/// An attempt of `k` steps began `k - 1` events ago, so there is at most one of each length: one bit each.
pub(crate) struct Strict {
    steps: usize,
    window_ms: i64,
    /// Bit `k` is set if the event before served step `k` of an attempt.
    active: u32,
    /// The times of the last events, by their number modulo the number of steps.
    recent: Vec<i64>,
    count: usize,
    /// Times of the attempt that first reached the furthest step.
    furthest: Vec<i64>,
}

impl Strict {
    pub(crate) fn new(steps: usize, window_ms: i64) -> Self {
        Self { steps, window_ms, active: 0, recent: vec![0; steps], count: 0, furthest: Vec::new() }
    }

    pub(crate) fn clear(&mut self) {
        (self.active, self.count) = (0, 0);
        self.furthest.clear();
    }

    /// Takes the next event, given as the steps that it can serve, if any.
    #[inline]
    pub(crate) fn take(&mut self, time_ms: i64, mask: u32) {
        let at = self.count % self.steps;
        self.recent[at] = time_ms;
        let mut can = (self.active << 1 | 1) & mask;
        self.active = 0;
        while can != 0 {
            let step = can.trailing_zeros() as usize;
            can &= can - 1;
            if time_ms - self.time_before(step) <= self.window_ms {
                self.active |= 1 << step;
                if step >= self.furthest.len() {
                    self.furthest.clear();
                    for before in (0..=step).rev() {
                        self.furthest.push(self.time_before(before));
                    }
                }
            }
        }
        self.count += 1;
    }

    /// The time of the event that many events ago.
    fn time_before(&self, events: usize) -> i64 {
        self.recent[(self.count + self.steps - events) % self.steps]
    }

    /// The times of the steps up to the furthest that was reached.
    pub(crate) fn times(&self) -> &[i64] {
        &self.furthest
    }
}
