//! What every kernel compiles before it reads: filters and buckets for each segment.

use std::ops::Range;

use crate::columns::Columns;
use crate::kernel::bucket::{Buckets, Regions};
use crate::kernel::filter::{Filter, Masks};
use crate::kernel::walk::{Order, Run, clamp, walk};
use crate::kernel::{Cancel, Cancelled};

/// The segments in which some event can be selected, with filters and buckets compiled for them.
pub(crate) struct Plan<'a> {
    pub(crate) segments: Vec<&'a Columns>,
    compiled: Vec<Compiled>,
    /// Whether every event of a segment comes before every event of the next one.
    is_in_time: bool,
}

/// Filters and buckets, compiled for one segment.
pub(crate) struct Compiled {
    masks: Masks,
    pub(crate) regions: Regions,
    pub(crate) names: Names,
}

/// What the name of an event says about filters, one bit each.
pub(crate) enum Names {
    /// Every event is selected by these.
    Same(u32),
    /// The name decides alone: by its code.
    Decide(Vec<u32>),
    /// The event has to be looked at.
    Open,
}

impl Names {
    /// The filters that select an event of that name; none where the event has to be looked at.
    #[inline]
    pub(crate) fn mask(&self, name: u16) -> u32 {
        match self {
            Self::Same(mask) => *mask,
            Self::Decide(table) => table[usize::from(name)],
            Self::Open => 0,
        }
    }

    fn new(masks: &Masks) -> Self {
        match masks.by_name() {
            None => Self::Open,
            Some(table) => match table.first() {
                Some(&first) if table.iter().all(|&mask| mask == first) => Self::Same(first),
                _ => Self::Decide(table),
            },
        }
    }
}

/// An event that at least one filter selects.
pub(crate) struct Event<'a> {
    pub(crate) segment: usize,
    pub(crate) columns: &'a Columns,
    pub(crate) row: usize,
    /// The filters that select it, one bit each.
    pub(crate) mask: u32,
    /// Where it lies in the buckets; see [`Regions`].
    pub(crate) region: u32,
}

impl Event<'_> {
    #[inline]
    pub(crate) fn time_ms(&self) -> i64 {
        self.columns.time_ms(self.row)
    }
}

impl<'a> Plan<'a> {
    /// Takes at most 32 filters.
    pub(crate) fn new(filters: &[&Filter], buckets: &Buckets, segments: &[&'a Columns]) -> Self {
        let (segments, compiled): (Vec<&Columns>, Vec<_>) = segments
            .iter()
            .map(|&columns| (columns, Masks::compile(filters.iter().copied(), columns)))
            .filter(|(_, masks)| !masks.is_empty())
            .map(|(columns, masks)| {
                let (regions, names) = (Regions::new(buckets, columns), Names::new(&masks));
                (columns, Compiled { masks, regions, names })
            })
            .unzip();
        let last_ms = |columns: &Columns| columns.base_ms + i64::from(columns.span_ms);
        let is_in_time = segments.windows(2).all(|pair| last_ms(pair[0]) < pair[1].base_ms);
        Self { segments, compiled, is_in_time }
    }

    /// What was compiled for a segment.
    #[inline]
    pub(crate) fn compiled(&self, segment: usize) -> &Compiled {
        &self.compiled[segment]
    }

    /// Whether no event has to be looked at beyond its name.
    pub(crate) fn is_decided_by_names(&self) -> bool {
        !self.compiled.iter().any(|compiled| matches!(compiled.names, Names::Open))
    }

    /// The ids that [`Plan::walk`] counts from and to.
    pub(crate) fn clamp(&self, subjects: Range<u32>) -> Range<u32> {
        clamp(&self.segments, subjects)
    }

    /// Visits subjects by their place in [`Plan::clamp`]; the events are read with [`Plan::events`].
    pub(crate) fn walk(
        &self,
        order: Order,
        subjects: Range<u32>,
        cancel: Cancel<'_>,
        visit: impl FnMut(u32, &[Run]),
    ) -> Result<(), Cancelled> {
        // What is in time needs no look at the times of each subject.
        let order = if self.is_in_time && order == Order::TogetherInTime { Order::Together } else { order };
        walk(&self.segments, order, subjects, cancel, visit)
    }

    /// Hands over the selected events of some runs of one subject until told to stop.
    #[inline]
    pub(crate) fn events(&self, subject: u32, runs: &[Run], mut take: impl FnMut(&Event<'a>) -> bool) {
        for run in runs {
            let columns = self.segments[run.segment];
            let Compiled { masks, regions, .. } = &self.compiled[run.segment];
            let events = columns.names[run.rows.clone()].iter().zip(&columns.times[run.rows.clone()]);
            for (row, (&name, &time)) in (run.rows.start..).zip(events) {
                let mask = masks.of(columns, subject, row, name);
                if mask != 0 {
                    let region = regions.of(time);
                    if !take(&Event { segment: run.segment, columns, row, mask, region }) {
                        return;
                    }
                }
            }
        }
    }
}
