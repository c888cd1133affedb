//! Counting events that are told apart by name, text and time alone: two look-ups and an addition for each.

use crate::kernel::group::{Field, Groups};
use crate::kernel::plan::{Names, Plan};
use crate::kernel::walk::Run;

/// Counts by series and region, and one row at the end for events that do not count.
pub(super) struct FlatCounts {
    counts: Vec<u32>,
    /// Regions of the buckets: one before the first, one after the last.
    regions: usize,
    /// By segment: where the rows of its names, or of its texts, begin.
    rows: Vec<Rows>,
}

enum Rows {
    One,
    ByName(Vec<u32>),
    /// By text, where the name does not matter.
    ByText(crate::columns::Dimension, Vec<u32>),
    /// By text, for the names that count.
    Both(crate::columns::Dimension, Vec<u32>, Vec<bool>),
}

impl FlatCounts {
    /// None if an event has to be looked at more closely.
    pub(super) fn new(
        plan: &Plan<'_>,
        groups: Option<&Groups>,
        series: usize,
        buckets: usize,
    ) -> Option<Self> {
        let regions = buckets + 2;
        let nowhere = u32::try_from(series * regions).ok()?;
        let row = |number: &u32| number * regions as u32;
        let rows = (0..plan.segments.len()).map(|segment| {
            let counts: Option<Vec<bool>> = match &plan.compiled(segment).names {
                Names::Open => return None,
                Names::Same(_) => None,
                Names::Decide(table) => Some(table.iter().map(|mask| *mask != 0).collect()),
            };
            let texts = groups
                .map(|it| (it.field().clone(), it.numbers(segment).iter().map(row).collect::<Vec<u32>>()));
            Some(match (texts, counts) {
                (Some((Field::Prop(_), _)), _) => return None,
                (None, None) => Rows::One,
                (None, Some(counts)) => {
                    Rows::ByName(counts.iter().map(|counts| if *counts { 0 } else { nowhere }).collect())
                }
                (Some((Field::Name, rows)), None) => Rows::ByName(rows),
                (Some((Field::Name, rows)), Some(counts)) => {
                    let rows = rows.iter().zip(&counts);
                    Rows::ByName(rows.map(|(row, counts)| if *counts { *row } else { nowhere }).collect())
                }
                (Some((Field::Dimension(dimension), rows)), None) => Rows::ByText(dimension, rows),
                (Some((Field::Dimension(dimension), rows)), Some(counts)) => {
                    Rows::Both(dimension, rows, counts)
                }
            })
        });
        let rows = rows.collect::<Option<Vec<_>>>()?;
        Some(Self { counts: vec![0; (series + 1) * regions], regions, rows })
    }

    /// Counts the events of a run.
    pub(super) fn add(&mut self, plan: &Plan<'_>, run: &Run) {
        let columns = plan.segments[run.segment];
        let regions = &plan.compiled(run.segment).regions;
        let counts = self.counts.as_mut_slice();
        let times = columns.times[run.rows.clone()].iter().copied();
        let names = columns.names[run.rows.clone()].iter().copied();
        let codes = |dimension| columns.text(dimension).codes.get(run.rows.clone());
        let mut count = |row: u32, region: u32| counts[(row + region) as usize] += 1;
        match &self.rows[run.segment] {
            Rows::One => regions.each(times.map(|time| (0, time)), count),
            Rows::ByName(rows) => {
                regions.each(names.zip(times), |name, region| count(rows[usize::from(name)], region));
            }
            Rows::ByText(dimension, rows) => match codes(*dimension) {
                Some(codes) => {
                    let codes = codes.iter().copied();
                    regions.each(codes.zip(times), |code, region| count(rows[usize::from(code)], region));
                }
                None => regions.each(times.map(|time| (rows[0], time)), count),
            },
            Rows::Both(dimension, rows, counting) => {
                let text = columns.text(*dimension);
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
        let series = self.counts.len() / regions - 1;
        let rows = self.counts.chunks_exact(regions).take(series);
        rows.flat_map(|row| row[1..regions - 1].iter().map(|count| u64::from(*count))).collect()
    }
}
