//! Counting events that are told apart by a text, and by name and time: two look-ups and an addition for each.

use crate::columns::Dimension;
use crate::kernel::group::{Field, Groups};
use crate::kernel::plan::{Names, Plan};
use crate::kernel::walk::Run;

/// Counts by series and region.
pub(super) struct FlatCounts {
    counts: Vec<u32>,
    /// Regions of the buckets: one before the first, one after the last.
    regions: usize,
    dimension: Dimension,
    /// By segment: where the rows of its texts begin.
    rows: Vec<Rows>,
}

enum Rows {
    /// Where the name does not matter.
    All(Vec<u32>),
    /// For the names that count.
    Some(Vec<u32>, Vec<bool>),
}

impl FlatCounts {
    /// None if an event has to be looked at more closely.
    pub(super) fn new(
        plan: &Plan<'_>,
        groups: Option<&Groups>,
        series: usize,
        buckets: usize,
    ) -> Option<Self> {
        let groups = groups?;
        let Field::Dimension(dimension) = *groups.field() else { return None };
        let regions = buckets + 2;
        u32::try_from((series + 1) * regions).ok()?;
        let rows = (0..plan.segments.len()).map(|segment| {
            let rows = groups.numbers(segment).iter().map(|number| number * regions as u32).collect();
            match &plan.compiled(segment).names {
                Names::Open => None,
                Names::Same(_) => Some(Rows::All(rows)),
                Names::Decide(table) => Some(Rows::Some(rows, table.iter().map(|mask| *mask != 0).collect())),
            }
        });
        let rows = rows.collect::<Option<Vec<_>>>()?;
        Some(Self { counts: vec![0; series * regions], regions, dimension, rows })
    }

    /// Counts the events of a run.
    pub(super) fn add(&mut self, plan: &Plan<'_>, run: &Run) {
        let columns = plan.segments[run.segment];
        let regions = &plan.compiled(run.segment).regions;
        let counts = self.counts.as_mut_slice();
        let times = columns.times[run.rows.clone()].iter().copied();
        let text = columns.text(self.dimension);
        let mut count = |row: u32, region: u32| counts[(row + region) as usize] += 1;
        match &self.rows[run.segment] {
            Rows::All(rows) => match text.codes.get(run.rows.clone()) {
                Some(codes) => {
                    let codes = codes.iter().copied();
                    regions.each(codes.zip(times), |code, region| count(rows[usize::from(code)], region));
                }
                None => regions.each(times.map(|time| (rows[0], time)), count),
            },
            Rows::Some(rows, counting) => {
                let names = columns.names[run.rows.clone()].iter().copied();
                for (row, (name, time)) in (run.rows.start..).zip(names.zip(times)) {
                    if counting[usize::from(name)] {
                        count(rows[usize::from(text.code(row))], regions.of(time));
                    }
                }
            }
        }
    }

    /// The counts by series and bucket.
    pub(super) fn finish(self) -> Vec<u64> {
        let regions = self.regions;
        let rows = self.counts.chunks_exact(regions);
        rows.flat_map(|row| row[1..regions - 1].iter().map(|count| u64::from(*count))).collect()
    }
}
