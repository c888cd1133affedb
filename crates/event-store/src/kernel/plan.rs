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
    compiled: Vec<(Masks, Regions)>,
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
        let (segments, compiled) = segments
            .iter()
            .map(|&columns| (columns, Masks::compile(filters.iter().copied(), columns)))
            .filter(|(_, masks)| !masks.is_empty())
            .map(|(columns, masks)| (columns, (masks, Regions::new(buckets, columns))))
            .unzip();
        Self { segments, compiled }
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
        walk(&self.segments, order, subjects, cancel, visit)
    }

    /// Hands over the selected events of some runs of one subject until told to stop.
    #[inline]
    pub(crate) fn events(&self, subject: u32, runs: &[Run], mut take: impl FnMut(&Event<'a>) -> bool) {
        for run in runs {
            let columns = self.segments[run.segment];
            let (masks, regions) = &self.compiled[run.segment];
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
