//! Trends of numbers of events that are told apart by their names alone: read in the order of time, where the events of a
//! name in a bucket are one stretch of a segment.

use super::{Trend, TrendPart};
use crate::kernel::group::Field;
use crate::kernel::make_each;
use crate::kernel::trend::Measures;

impl Trend<'_> {
    /// Whether nothing but names and times matters, and only events are counted.
    pub(super) fn is_counted_by_name(&self) -> bool {
        self.query.measures == Measures::default()
            && !self.with_value
            && self.plan.is_decided_by_names()
            && self.groups.as_ref().is_none_or(|groups| *groups.field() == Field::Name)
    }

    /// Puts times in order where nobody has asked for that before.
    pub(super) fn sort_names(&self, threads: usize) {
        make_each(self.plan.segments.len(), threads, |segment| {
            let columns = self.plan.segments[segment];
            (!columns.is_empty()).then(|| columns.times_of_name(0).len())
        });
    }

    /// All cells.
    pub(super) fn count_by_name(&self) -> TrendPart {
        let (buckets, mut part) = (self.query.buckets.len(), self.empty_part());
        for (segment, columns) in self.plan.segments.iter().enumerate() {
            let compiled = self.plan.compiled(segment);
            for name in 0..columns.name_dictionary.len() {
                if compiled.names.mask(name as u16) == 0 {
                    continue;
                }
                let series = self.groups.as_ref().map_or(0, |it| it.numbers(segment)[name] as usize);
                let cells = &mut part.events[series * buckets..(series + 1) * buckets];
                let times = columns.times_of_name(name as u16);
                if times.len() < buckets {
                    let places =
                        times.iter().map(|&time| (compiled.regions.of(time) as usize).wrapping_sub(1));
                    places.filter(|place| *place < buckets).for_each(|place| cells[place] += 1);
                } else {
                    let bounds = compiled.regions.bounds(times, buckets);
                    let counts = bounds.windows(2).map(|bounds| (bounds[1] - bounds[0]) as u64);
                    cells.iter_mut().zip(counts).for_each(|(cell, count)| *cell += count);
                }
            }
        }
        part
    }
}
