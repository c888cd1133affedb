//! Walks the events of subjects through all segments.

use std::ops::Range;

use crate::columns::Columns;
use crate::kernel::{Cancel, Cancelled};

/// Events between two looks at the cancel check.
const EVENTS_PER_CHECK: usize = 8_192;

/// Consecutive rows of one subject in one segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Run {
    /// Place of the segment in the list.
    pub(crate) segment: usize,
    /// Rows of the segment, never empty.
    pub(crate) rows: Range<usize>,
}

/// In which order events come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    /// Segment by segment in long runs of many subjects, for kernels that do not look at the subject at all.
    Flat,
    /// Segment by segment, which is kind to memory, for kernels that carry an array by subject to which the order of
    /// events means nothing.
    BySegment,
    /// All events of a subject at once, segment by segment.
    Together,
    /// All events of a subject at once, in time order.
    TogetherInTime,
}

/// Visits the subjects of a range that have events; the first argument is the id less the start of [`clamp`].
pub(crate) fn walk(
    segments: &[&Columns],
    order: Order,
    subjects: Range<u32>,
    cancel: Cancel<'_>,
    mut visit: impl FnMut(u32, &[Run]),
) -> Result<(), Cancelled> {
    let range = clamp(segments, subjects);
    let mut check = Check { cancel, left: 0 };
    if order == Order::Flat {
        return walk_flat(segments, &range, &mut check, visit);
    }
    let groups: Vec<Vec<usize>> = match order {
        Order::Flat | Order::BySegment => (0..segments.len()).map(|segment| vec![segment]).collect(),
        Order::Together | Order::TogetherInTime => vec![(0..segments.len()).collect()],
    };
    for group in groups {
        match group.as_slice() {
            &[segment] => walk_one(segments[segment], segment, &range, &mut check, &mut visit)?,
            group => walk_many(segments, group, order != Order::Together, &range, &mut check, &mut visit)?,
        }
    }
    check.after(0)
}

/// The part of a range of subjects in which any segment has one; state by subject is as long as this.
pub(crate) fn clamp(segments: &[&Columns], subjects: Range<u32>) -> Range<u32> {
    let first = segments.iter().filter_map(|it| it.subjects.first()).min().copied().unwrap_or(0);
    let end = segments.iter().filter_map(|it| it.subjects.last()).max().map_or(0, |&last| last + 1);
    let start = subjects.start.max(first);
    start..subjects.end.min(end).max(start)
}

/// Counts events between two looks at the cancel check.
struct Check<'a> {
    cancel: Cancel<'a>,
    left: usize,
}

impl Check<'_> {
    #[inline]
    fn after(&mut self, events: usize) -> Result<(), Cancelled> {
        if let Some(left) = self.left.checked_sub(events + 1) {
            self.left = left;
            return Ok(());
        }
        self.left = EVENTS_PER_CHECK;
        if (self.cancel)() { Err(Cancelled) } else { Ok(()) }
    }
}

fn walk_flat(
    segments: &[&Columns],
    range: &Range<u32>,
    check: &mut Check<'_>,
    mut visit: impl FnMut(u32, &[Run]),
) -> Result<(), Cancelled> {
    for (segment, columns) in segments.iter().enumerate() {
        let row_of = |subject: u32| {
            let at = columns.subjects.partition_point(|&other| other < subject);
            columns.offsets.get(at).copied().unwrap_or(0) as usize
        };
        let rows = row_of(range.start)..row_of(range.end);
        for start in rows.clone().step_by(EVENTS_PER_CHECK) {
            let rows = start..rows.end.min(start + EVENTS_PER_CHECK);
            check.after(rows.len())?;
            visit(0, &[Run { segment, rows }]);
        }
    }
    check.after(0)
}

fn walk_one(
    columns: &Columns,
    segment: usize,
    range: &Range<u32>,
    check: &mut Check<'_>,
    visit: &mut impl FnMut(u32, &[Run]),
) -> Result<(), Cancelled> {
    let first = columns.subjects.partition_point(|&subject| subject < range.start);
    let mut rows_start = columns.offsets.get(first).copied().unwrap_or(0) as usize;
    for (&subject, &end) in columns.subjects.iter().zip(columns.offsets.iter().skip(1)).skip(first) {
        if subject >= range.end {
            break;
        }
        let rows = rows_start..end as usize;
        rows_start = rows.end;
        check.after(rows.len())?;
        visit(subject - range.start, &[Run { segment, rows }]);
    }
    Ok(())
}

/// Where the walk stands in one of several segments.
struct Cursor<'a> {
    segment: usize,
    columns: &'a Columns,
    at: usize,
}

impl Cursor<'_> {
    /// The subject at which it stands, or `u32::MAX` at the end.
    fn head(&self) -> u32 {
        self.columns.subjects.get(self.at).copied().unwrap_or(u32::MAX)
    }
}

fn walk_many(
    segments: &[&Columns],
    group: &[usize],
    in_time: bool,
    range: &Range<u32>,
    check: &mut Check<'_>,
    visit: &mut impl FnMut(u32, &[Run]),
) -> Result<(), Cancelled> {
    let mut cursors: Vec<Cursor<'_>> = group
        .iter()
        .map(|&segment| {
            let columns = segments[segment];
            let at = columns.subjects.partition_point(|&subject| subject < range.start);
            Cursor { segment, columns, at }
        })
        .collect();
    // Beside each other, so that many segments are looked at in few steps.
    let mut heads: Vec<u32> = cursors.iter().map(Cursor::head).collect();
    let mut subject = heads.iter().min().copied().unwrap_or(u32::MAX);
    let (mut runs, mut merged) = (Vec::with_capacity(cursors.len()), Vec::new());
    while subject < range.end {
        runs.clear();
        let mut events = 0;
        for (head, cursor) in heads.iter_mut().zip(&mut cursors) {
            if *head == subject {
                let offsets = &cursor.columns.offsets;
                let rows = offsets[cursor.at] as usize..offsets[cursor.at + 1] as usize;
                events += rows.len();
                runs.push(Run { segment: cursor.segment, rows });
                cursor.at += 1;
                *head = cursor.head();
            }
        }
        let following = heads.iter().min().copied().unwrap_or(u32::MAX);
        check.after(events)?;
        if in_time && !is_in_time(segments, &runs) {
            merge_in_time(segments, &mut runs, &mut merged);
        }
        visit(subject - range.start, &runs);
        subject = following;
    }
    Ok(())
}

fn is_in_time(segments: &[&Columns], runs: &[Run]) -> bool {
    let last = |run: &Run| segments[run.segment].time_ms(run.rows.end - 1);
    runs.windows(2).all(|pair| last(&pair[0]) <= segments[pair[1].segment].time_ms(pair[1].rows.start))
}

/// Cuts runs that overlap in time into shorter ones that do not.
fn merge_in_time(segments: &[&Columns], runs: &mut Vec<Run>, events: &mut Vec<(i64, usize, usize)>) {
    events.clear();
    for run in runs.drain(..) {
        let columns = segments[run.segment];
        events.extend(run.rows.map(|row| (columns.time_ms(row), run.segment, row)));
    }
    events.sort_unstable();
    for &(_, segment, row) in events.iter() {
        match runs.last_mut() {
            Some(run) if run.segment == segment && run.rows.end == row => run.rows.end += 1,
            _ => runs.push(Run { segment, rows: row..row + 1 }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::testing::{Case, Random};

    #[test]
    fn every_order_visits_every_event_of_the_range_once_and_keeps_what_it_promises() {
        let mut random = Random::new(1);
        for _ in 0..2_000 {
            let case = Case::generate(&mut random);
            let segments = case.segments();
            let range = random.range(0, 4)..random.range(4, 9);
            let start = clamp(&segments, range.clone()).start;
            let expected = case.rows_in_order().into_iter().filter(|row| range.contains(&row.subject));
            let expected: Vec<_> = expected.map(|row| (row.subject, row.time_ms(), row.name)).collect();
            for order in [Order::Flat, Order::BySegment, Order::Together, Order::TogetherInTime] {
                let mut seen = Vec::new();
                walk(&segments, order, range.clone(), &|| false, |local, runs| {
                    for run in runs {
                        let columns = segments[run.segment];
                        seen.extend(run.rows.clone().map(|row| {
                            let name = &columns.name_dictionary[usize::from(columns.names[row])];
                            let subject = match order {
                                Order::Flat => {
                                    columns.subjects
                                        [columns.offsets.partition_point(|&it| it as usize <= row) - 1]
                                }
                                _ => start + local,
                            };
                            (subject, columns.time_ms(row), name.as_str())
                        }));
                    }
                })
                .unwrap();
                let mut expected = expected.clone();
                match order {
                    Order::TogetherInTime => {}
                    Order::Flat | Order::BySegment | Order::Together => {
                        seen.sort();
                        expected.sort();
                    }
                }
                assert_eq!(seen, expected, "{order:?}");
            }
        }
    }
}
