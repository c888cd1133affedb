//! The events of the steps of a funnel by subject, without those that can move nothing on.

use std::ops::Range;

use crate::kernel::bucket::Regions;
use crate::kernel::funnel::STEPS_MAX;
use crate::kernel::plan::Plan;
use crate::kernel::{Cancel, Cancelled};

/// An event as one number: milliseconds after the earliest event of all, and the steps that it can serve, one bit each.
/// Numbers are in the order of time.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Served(u64);

impl Served {
    const STEPS: u32 = STEPS_MAX as u32;

    fn new(ms: u64, mask: u32) -> Self {
        Self(ms << Self::STEPS | u64::from(mask))
    }

    /// Milliseconds after the earliest event.
    #[inline]
    pub(super) fn ms(self) -> i64 {
        (self.0 >> Self::STEPS).cast_signed()
    }

    #[inline]
    pub(super) fn mask(self) -> u32 {
        self.0 as u32 & ((1 << Self::STEPS) - 1)
    }
}

/// Whether the times of all events fit [`Served`]: those of 557 years do.
pub(super) fn fits(plan: &Plan<'_>) -> bool {
    let first = plan.segments.iter().map(|columns| columns.base_ms).min().unwrap_or(0);
    let last =
        plan.segments.iter().map(|columns| columns.base_ms + i64::from(columns.span_ms)).max().unwrap_or(0);
    last.abs_diff(first) < 1 << (u64::BITS - Served::STEPS)
}

/// The names of a segment that serve any step, with the steps.
fn serving<'p>(plan: &'p Plan<'_>, segment: usize) -> impl Iterator<Item = (u16, u32)> + 'p {
    let names = (0_u16..).take(plan.segments[segment].name_dictionary.len());
    let names = names.map(move |name| (name, plan.compiled(segment).names.mask(name)));
    names.filter(|(_, mask)| *mask != 0)
}

/// Finds the events of the names that serve steps where nobody has asked for them before.
pub(super) fn prepare(plan: &Plan<'_>, segment: usize) {
    plan.segments[segment].find_events_of_names(serving(plan, segment).map(|(name, _)| name));
}

/// Visits the subjects of a range that have an event of the first filter in region 1, each with its events of any filter
/// from the first such one on, in time order. Names decide the filters of the plan, whose times fit.
///
/// The events lie apart by name and segment, each in the order of subjects, so all are read from begin to end: those of
/// the first step, which say who is visited and from when on, then all others, and both are counted into place.
pub(super) fn each_candidate(
    plan: &Plan<'_>,
    subjects: Range<u32>,
    cancel: Cancel<'_>,
    mut visit: impl FnMut(&[Served]),
) -> Result<(), Cancelled> {
    let range = plan.clamp(subjects);
    let mut found = Found { locals: Vec::new(), events: Vec::new(), firsts: vec![u64::MAX; range.len()] };
    for is_first in [true, false] {
        for segment in 0..plan.segments.len() {
            if cancel() {
                return Err(Cancelled);
            }
            for (name, mask) in serving(plan, segment).filter(|(_, mask)| (mask & 1 == 1) == is_first) {
                found.add(plan, segment, &range, (name, mask));
            }
        }
    }
    let mut starts = vec![0_u32; range.len() + 1];
    found.locals.iter().for_each(|local| starts[*local as usize + 1] += 1);
    let mut sum = 0;
    for start in &mut starts {
        sum += *start;
        *start = sum;
    }
    let mut ends = starts.clone();
    let mut events = vec![Served::default(); found.events.len()];
    for (local, event) in found.locals.iter().zip(&found.events) {
        let end = &mut ends[*local as usize];
        events[*end as usize] = *event;
        *end += 1;
    }
    for (bounds, first) in starts.windows(2).zip(&found.firsts) {
        if *first == u64::MAX {
            continue;
        }
        let own = &mut events[bounds[0] as usize..bounds[1] as usize];
        // Few ascending runs, one after the other, which this sort merges.
        own.sort();
        visit(own);
    }
    Ok(())
}

/// Events with their subjects by their place in the range.
struct Found {
    locals: Vec<u32>,
    events: Vec<Served>,
    /// By subject, when it first does the first step; the greatest number if it does not.
    firsts: Vec<u64>,
}

impl Found {
    /// Adds the events of a name that serve these steps.
    fn add(&mut self, plan: &Plan<'_>, segment: usize, range: &Range<u32>, (name, mask): (u16, u32)) {
        // What serves the first step too may lie after an entry that is found later.
        let is_first = mask & 1 == 1;
        let (columns, regions) = (plan.segments[segment], &plan.compiled(segment).regions);
        let all = columns.events_of_name(name);
        let place = |subject: u32| all.subjects.partition_point(|&other| other < subject);
        let own = place(range.start)..place(range.end);
        let first = plan.segments.iter().map(|columns| columns.base_ms).min().unwrap_or(0);
        let base = columns.base_ms.abs_diff(first);
        let events = all.subjects[own.clone()].iter().zip(&all.times[own]);
        for (&subject, &time) in events {
            // Before the time of entries nothing counts, and after it nobody enters.
            let mask = match regions {
                Regions::One(1) => mask,
                regions => match regions.of(time) {
                    0 => continue,
                    1 => mask,
                    _ => mask & !1,
                },
            };
            let (local, ms) = ((subject - range.start) as usize, base + u64::from(time));
            let first = &mut self.firsts[local];
            if mask & 1 == 1 {
                *first = ms.min(*first);
            }
            if mask != 0 && (is_first || *first <= ms) {
                self.locals.push(local as u32);
                self.events.push(Served::new(ms, mask));
            }
        }
    }
}
