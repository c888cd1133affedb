//! Subjects of each text as sets of bits, so that events can be read segment by segment.

use std::ops::Range;

use super::{COUNTS, Counts, GOAL};
use crate::kernel::bit_counts::BitCounts;
use crate::kernel::bucket::Regions;
use crate::kernel::group::{Field, Groups};
use crate::kernel::plan::{Names, Plan};
use crate::kernel::walk::{Order, Run};
use crate::kernel::{Cancel, Cancelled};

/// Words of the sets that are filled at once: what stays in the second-level cache.
const WORDS: usize = 32 << 10;
/// Beyond so many texts a subject has more words than events.
const TEXTS_MAX: usize = 4_096;

/// Counts of events by text, in a place of a size that is known, so that a masked code needs no check.
type Events = [u32; TEXTS_MAX];

/// Bit `n` of a subject's words: whether it has an event with text `n`.
struct Sets {
    each: usize,
    counted: Vec<u64>,
    reached: Vec<u64>,
    has_reached: bool,
    events: Box<Events>,
}

/// The counts of the texts over a range of subjects; none if names do not decide the filters, or texts are too many.
pub(super) fn count(
    plan: &Plan<'_>,
    groups: &Groups,
    subjects: Range<u32>,
    cancel: Cancel<'_>,
) -> Result<Option<Vec<Counts>>, Cancelled> {
    if !plan.is_decided_by_names() || groups.len() > TEXTS_MAX || matches!(groups.field(), Field::Prop(_)) {
        return Ok(None);
    }
    let range = plan.clamp(subjects);
    let each = groups.len().div_ceil(64);
    let step = (WORDS / each).clamp(1, range.len().max(1));
    let mut counts = vec![Counts::default(); groups.len()];
    let (counted, reached) = (vec![0; step * each], vec![0; step * each]);
    let mut sets = Sets { each, counted, reached, has_reached: false, events: Box::new([0; TEXTS_MAX]) };
    for start in range.clone().step_by(step) {
        let end = range.end.min(start.saturating_add(step as u32));
        let base = plan.clamp(start..end).start;
        plan.walk(Order::BySegment, start..end, cancel, |local, runs| {
            let place = (base + local - start) as usize * each;
            runs.iter().for_each(|run| sets.add(plan, groups, run, place));
        })?;
        sets.count(&mut counts);
    }
    for (counts, events) in counts.iter_mut().zip(sets.events.iter()) {
        counts.events = u64::from(*events);
    }
    Ok(Some(counts))
}

impl Sets {
    #[inline]
    fn add(&mut self, plan: &Plan<'_>, groups: &Groups, run: &Run, place: usize) {
        let (columns, rows) = (plan.segments[run.segment], run.rows.clone());
        let (compiled, numbers) = (plan.compiled(run.segment), groups.numbers(run.segment));
        let (names, times) = (&columns.names[rows.clone()], &columns.times[rows.clone()]);
        let codes = match groups.field() {
            Field::Name => names,
            Field::Dimension(dimension) => columns.text(*dimension).codes.get(rows).unwrap_or_default(),
            // Properties have wider codes, and are counted elsewhere.
            Field::Prop(_) => &[],
        };
        let own = place..place + self.each;
        let (counted, reached) = (&mut self.counted[own.clone()], &mut self.reached[own]);
        let (events, has_reached) = (&mut self.events, &mut self.has_reached);
        let mut add = |mask: u32, code: u16| {
            let number = numbers[usize::from(code)] as usize;
            let (word, bit) = (number / 64, 1_u64 << (number % 64));
            if mask & COUNTS != 0 {
                events[number % TEXTS_MAX] += 1;
                counted[word] |= bit;
            }
            if mask & GOAL != 0 {
                reached[word] |= bit;
                *has_reached = true;
            }
        };
        if codes.is_empty() || !matches!(compiled.regions, Regions::One(1)) {
            for (at, (&name, &time)) in names.iter().zip(times).enumerate() {
                if compiled.regions.of(time) == 1 {
                    add(compiled.names.mask(name), codes.get(at).copied().unwrap_or(0));
                }
            }
            return;
        }
        match &compiled.names {
            Names::Same(mask) => codes.iter().for_each(|&code| add(*mask, code)),
            Names::Decide(table) => {
                for (&name, &code) in names.iter().zip(codes) {
                    add(table[usize::from(name)], code);
                }
            }
            Names::Open => {}
        }
    }

    /// Counts the subjects of each text, and those that are in both of its sets, and empties the sets.
    fn count(&mut self, counts: &mut [Counts]) {
        let mut subjects = vec![BitCounts::new(); self.each];
        for words in self.counted.chunks_exact(self.each) {
            for (subjects, word) in subjects.iter_mut().zip(words).filter(|(_, word)| **word != 0) {
                subjects.add(*word);
            }
        }
        let found = subjects.into_iter().flat_map(BitCounts::finish);
        counts.iter_mut().zip(found).for_each(|(counts, found)| counts.subjects += found);
        if self.has_reached {
            for (place, (counted, reached)) in self.counted.iter().zip(&self.reached).enumerate() {
                // Few subjects reach a goal.
                let mut both = counted & reached;
                while both != 0 {
                    let number = place % self.each * 64 + both.trailing_zeros() as usize;
                    counts[number].goal_subjects += 1;
                    both &= both - 1;
                }
            }
            self.reached.fill(0);
            self.has_reached = false;
        }
        self.counted.fill(0);
    }
}
