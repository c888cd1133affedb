//! The subjects that have an event of the first step: the only ones whose events are looked at one by one.

use std::ops::Range;

use crate::kernel::plan::{Names, Plan};
use crate::kernel::walk::Run;
use crate::kernel::{Cancel, Cancelled};

/// Subjects between two looks at the cancel check.
const SUBJECTS_PER_CHECK: usize = 1_024;

/// Visits the subjects of a range that have an event of the first filter in region 1, with all their events segment by
/// segment. Names decide the filters of the plan.
pub(super) fn each_candidate(
    plan: &Plan<'_>,
    subjects: Range<u32>,
    cancel: Cancel<'_>,
    mut visit: impl FnMut(&mut Vec<Run>),
) -> Result<(), Cancelled> {
    let range = plan.clamp(subjects);
    let mut is_candidate = vec![false; range.len()];
    let mut rows = Vec::with_capacity(plan.segments.len());
    for segment in 0..plan.segments.len() {
        if cancel() {
            return Err(Cancelled);
        }
        mark(plan, segment, &range, &mut is_candidate);
        rows.push(rows_by_subject(plan, segment, &range));
    }
    let mut runs = Vec::with_capacity(rows.len());
    let candidates = is_candidate.iter().enumerate().filter(|(_, is_candidate)| **is_candidate);
    for (count, (local, _)) in candidates.enumerate() {
        if count % SUBJECTS_PER_CHECK == 0 && cancel() {
            return Err(Cancelled);
        }
        runs.clear();
        for (segment, rows) in rows.iter().enumerate() {
            let (start, end) = (rows[local] as usize, rows[local + 1] as usize);
            if start < end {
                runs.push(Run { segment, rows: start..end });
            }
        }
        visit(&mut runs);
    }
    Ok(())
}

/// Marks who has an event of the first step in a segment.
fn mark(plan: &Plan<'_>, segment: usize, range: &Range<u32>, is_candidate: &mut [bool]) {
    let (columns, compiled) = (plan.segments[segment], plan.compiled(segment));
    let place = |subject: u32| columns.subjects.partition_point(|&other| other < subject);
    let (mut at, end) = (place(range.start), place(range.end));
    let start = columns.offsets[at] as usize;
    let rows = start..columns.offsets[end] as usize;
    let mut take = |row: usize| {
        if compiled.regions.of(columns.times[row]) == 1 {
            while columns.offsets[at + 1] as usize <= row {
                at += 1;
            }
            is_candidate[(columns.subjects[at] - range.start) as usize] = true;
        }
    };
    match &compiled.names {
        Names::Decide(table) => {
            let is_first: Vec<bool> = table.iter().map(|mask| mask & 1 == 1).collect();
            if is_first.contains(&true) {
                for (row, &name) in rows.clone().zip(&columns.names[rows]) {
                    if is_first[usize::from(name)] {
                        take(row);
                    }
                }
            }
        }
        Names::Same(mask) if mask & 1 == 1 => rows.for_each(take),
        Names::Same(_) | Names::Open => {}
    }
}

/// First row in a segment of each subject of a range, whether it is there or not, and one more at the end.
fn rows_by_subject(plan: &Plan<'_>, segment: usize, range: &Range<u32>) -> Vec<u32> {
    let columns = plan.segments[segment];
    let mut rows = Vec::with_capacity(range.len() + 1);
    let first = columns.subjects.partition_point(|&other| other < range.start);
    let present = columns.subjects.iter().zip(columns.offsets.iter()).skip(first);
    for (&subject, &row) in present.take_while(|(subject, _)| **subject < range.end) {
        rows.resize((subject - range.start) as usize + 1, row);
    }
    let end = columns.subjects.partition_point(|&other| other < range.end);
    rows.resize(range.len() + 1, columns.offsets[end]);
    rows
}
