//! The attempts of one subject at steps that come one after the other.

use std::ops::Range;

use crate::kernel::funnel::gather::Served;

/// Where no attempt stands.
const NOBODY: i64 = i64::MIN;

/// For each step the attempt with the latest first event that reached it, while the events go by in time order.
///
/// Only the latest is kept because whatever a later event does for an attempt, it does for a later one too, whose
/// window ends later. Events of one millisecond are held back until all are known, and then distributed over the
/// steps, since the same events may serve more steps in one way than in another.
///
/// An excluded event ends all attempts that stand between its steps alike, so that the latest stays the best. Only
/// those go on that reach the step after which it is excluded at the same moment.
pub(crate) struct Chains {
    steps: usize,
    window_ms: i64,
    /// For each exclusion the rows of attempts that it ends.
    exclusions: Vec<Range<usize>>,
    /// Row `k` holds the times of the `k + 1` events of the attempt that reached step `k`, if `k < open`; it begins
    /// with [`NOBODY`] if that was ended.
    times: Vec<i64>,
    /// Steps that any attempt reached.
    open: usize,
    /// Times of the attempt that first reached the furthest step.
    furthest: Vec<i64>,
    /// Events held back, as masks of the steps that they can serve, and their time.
    held: Vec<u32>,
    held_ms: i64,
    /// The exclusions of that time, one bit each.
    excluded: u32,
}

impl Chains {
    /// Attempts at so many steps within a window, with exclusions from step to step.
    pub(crate) fn new(steps: usize, window_ms: i64, exclusions: Vec<Range<usize>>) -> Self {
        Self {
            steps,
            window_ms,
            exclusions,
            times: vec![0; steps * steps],
            open: 0,
            furthest: Vec::new(),
            held: Vec::new(),
            held_ms: 0,
            excluded: 0,
        }
    }

    /// Begins with the next subject.
    pub(crate) fn clear(&mut self) {
        self.open = 0;
        self.furthest.clear();
        self.held.clear();
        self.excluded = 0;
    }

    /// Takes the next event in time order, given as the steps that it can serve and the exclusions that it is of.
    #[inline]
    pub(crate) fn take(&mut self, time_ms: i64, mask: u32, excluded: u32) {
        if time_ms != self.held_ms {
            self.release();
            self.held_ms = time_ms;
        }
        self.excluded |= excluded;
        if mask != 0 {
            self.held.push(mask);
        }
    }

    /// Takes all events of a subject, given in time order, without exclusions.
    pub(super) fn follow(&mut self, events: &[Served]) {
        for at_once in events.chunk_by(|a, b| a.ms() == b.ms()) {
            match at_once {
                // What moves nothing on is passed over: before the first step is reached all but it, then all but the
                // first two, and so on.
                [event] if event.mask() & self.wanted() == 0 => continue,
                [event] => {
                    self.held_ms = event.ms();
                    self.release_one(event.mask());
                }
                many => {
                    many.iter().for_each(|event| self.take(event.ms(), event.mask(), 0));
                    self.settle();
                }
            }
            if self.is_done() {
                return;
            }
        }
    }

    /// Counts what was taken so far: no more events of the same time come.
    pub(crate) fn settle(&mut self) {
        self.release();
    }

    /// Whether the last step is reached, so that no further event matters.
    pub(crate) fn is_done(&self) -> bool {
        self.furthest.len() == self.steps
    }

    /// The steps that an event must serve to move anything on, one bit each.
    #[inline]
    fn wanted(&self) -> u32 {
        (2 << self.open) - 1
    }

    /// The times of the steps up to the furthest that was reached; empty if not even the first was.
    pub(crate) fn furthest(&self) -> &[i64] {
        &self.furthest
    }

    #[inline]
    fn release(&mut self) {
        match self.held.as_slice() {
            [] if self.excluded == 0 => return,
            &[mask] if self.excluded == 0 => self.release_one(mask),
            _ => self.release_many(),
        }
        self.held.clear();
        self.excluded = 0;
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
            let ended = self.ended_unless_from(step);
            // The latest attempt that can get here, and if it can in several ways, that with the most steps behind it.
            let open: Vec<usize> =
                (0..=step).filter(|&from| ends[from] > step && self.is_open(from)).collect();
            let can = open.into_iter();
            let latest = can.clone().max_by_key(|&from| self.entry_ms(from));
            if let Some(from) = latest {
                end = end.max(step + 1);
                match ended {
                    None => self.advance(from, step),
                    Some(_) => self.note(from, step),
                }
            }
            if let Some(limit) = ended {
                self.times[step * self.steps] = NOBODY;
                if let Some(from) = can.filter(|&from| from <= limit).max_by_key(|&from| self.entry_ms(from))
                {
                    self.stand(from, step);
                }
            }
        }
        self.open = end;
        self.held = masks;
    }

    /// The greatest step from which on an attempt at this step must be served now in order not to be ended by what is
    /// excluded now; none if nothing is excluded here.
    fn ended_unless_from(&self, step: usize) -> Option<usize> {
        let exclusions = self.exclusions.iter().enumerate();
        let now = exclusions.filter(|(at, rows)| self.excluded >> at & 1 == 1 && rows.contains(&step));
        now.map(|(_, rows)| rows.start).min()
    }

    /// Whether an attempt that stands before this step can go on now.
    fn is_open(&self, step: usize) -> bool {
        let entry_ms = self.entry_ms(step);
        step <= self.open && entry_ms != NOBODY && self.held_ms - entry_ms <= self.window_ms
    }

    /// When the attempt that stands before this step began; before the first, one begins now.
    fn entry_ms(&self, step: usize) -> i64 {
        step.checked_sub(1).map_or(self.held_ms, |before| self.times[before * self.steps])
    }

    /// Takes the attempt that stands before step `from` over all steps up to `to`, now.
    ///
    /// Reads only rows before `from`, which later calls for the same moment change: they go from the last to the first.
    fn advance(&mut self, from: usize, to: usize) {
        let (row, entry_ms) = (to * self.steps, self.entry_ms(from));
        // An attempt that began no earlier and got here sooner stays.
        if to < self.open && self.times[row] >= entry_ms {
            return;
        }
        self.note(from, to);
        self.stand(from, to);
    }

    /// Puts that attempt into the row of step `to`.
    fn stand(&mut self, from: usize, to: usize) {
        let (row, steps) = (to * self.steps, self.steps);
        if from > 0 {
            let before = (from - 1) * steps;
            self.times.copy_within(before..before + from, row);
        }
        self.times[row + from..=row + to].fill(self.held_ms);
    }

    /// Notes that attempt if none has reached as much.
    fn note(&mut self, from: usize, to: usize) {
        if to >= self.furthest.len() {
            let before = from.checked_sub(1).map_or(0, |before| before * self.steps);
            self.furthest.clear();
            self.furthest.extend_from_slice(&self.times[before..before + from]);
            self.furthest.resize(to + 1, self.held_ms);
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
