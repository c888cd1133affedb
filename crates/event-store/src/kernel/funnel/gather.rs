//! The events of the steps of a funnel by subject, without the subjects that have none of the first step.

use std::ops::Range;

use crate::kernel::plan::{Names, Plan};
use crate::kernel::{Cancel, Cancelled};

/// An event that can serve steps.
#[derive(Clone, Copy, Default)]
pub(super) struct Served {
    /// Milliseconds since 1970 UTC.
    pub(super) time_ms: i64,
    /// The steps, one bit each; the first only within the time of entries.
    pub(super) mask: u32,
}

/// An event that can serve steps, with its subject by its place in the range.
struct Found {
    event: Served,
    local: u32,
}

/// Visits the subjects of a range that have an event of the first filter in region 1, each with its events of any filter
/// from there on, in time order. Names decide the filters of the plan.
///
/// The events of all segments are found first and then counted and put into place, so that each column is read once from
/// its begin to its end, and what is written fits the second-level cache.
pub(super) fn each_candidate(
    plan: &Plan<'_>,
    subjects: Range<u32>,
    cancel: Cancel<'_>,
    mut visit: impl FnMut(&[Served]),
) -> Result<(), Cancelled> {
    let range = plan.clamp(subjects);
    let (mut found, mut rows) = (Vec::new(), Vec::new());
    for segment in 0..plan.segments.len() {
        if cancel() {
            return Err(Cancelled);
        }
        find(plan, segment, &range, &mut rows, &mut found);
    }
    let mut is_candidate = vec![false; range.len()];
    for found in &found {
        is_candidate[found.local as usize] |= found.event.mask & 1 == 1;
    }
    let mut starts = vec![0_u32; range.len() + 1];
    for found in &found {
        starts[found.local as usize + 1] += u32::from(is_candidate[found.local as usize]);
    }
    let mut sum = 0;
    for start in &mut starts {
        sum += *start;
        *start = sum;
    }
    let mut events = vec![Served::default(); sum as usize];
    let mut ends = starts.clone();
    for found in &found {
        if is_candidate[found.local as usize] {
            let end = &mut ends[found.local as usize];
            events[*end as usize] = found.event;
            *end += 1;
        }
    }
    for bounds in starts.windows(2) {
        let own = &mut events[bounds[0] as usize..bounds[1] as usize];
        if own.is_empty() {
            continue;
        }
        if !plan.is_in_time() && !own.is_sorted_by_key(|event| event.time_ms) {
            own.sort_unstable_by_key(|event| event.time_ms);
        }
        visit(own);
    }
    Ok(())
}

/// Finds the events of a segment that can serve steps.
fn find(plan: &Plan<'_>, segment: usize, range: &Range<u32>, rows: &mut Vec<u32>, found: &mut Vec<Found>) {
    let (columns, compiled) = (plan.segments[segment], plan.compiled(segment));
    let place = |subject: u32| columns.subjects.partition_point(|&other| other < subject);
    let (mut at, end) = (place(range.start), place(range.end));
    let (start, end) = (columns.offsets[at], columns.offsets[end]);
    let names = &columns.names[start as usize..end as usize];
    rows.resize(names.len(), 0);
    let mut count = 0;
    match &compiled.names {
        Names::Decide(masks) => {
            let serves: Vec<bool> = masks.iter().map(|mask| *mask != 0).collect();
            for (row, &name) in (start..end).zip(names) {
                rows[count] = row;
                count += usize::from(serves[usize::from(name)]);
            }
        }
        Names::Same(mask) if *mask != 0 => {
            rows.iter_mut().zip(start..end).for_each(|(into, row)| *into = row);
            count = rows.len();
        }
        Names::Same(_) | Names::Open => {}
    }
    found.reserve(count);
    for &row in &rows[..count] {
        let place = row as usize;
        let time = columns.times[place];
        let region = compiled.regions.of(time);
        // Before the time of entries nothing counts, and after it nobody enters.
        let mask = compiled.names.mask(columns.names[place]) & !u32::from(region != 1);
        if region == 0 || mask == 0 {
            continue;
        }
        while columns.offsets[at + 1] <= row {
            at += 1;
        }
        let event = Served { time_ms: columns.base_ms + i64::from(time), mask };
        found.push(Found { event, local: columns.subjects[at] - range.start });
    }
}
