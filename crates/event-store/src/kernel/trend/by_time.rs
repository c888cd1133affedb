//! Trends of values alone: read in the order of time, where each bucket is one stretch of each segment.

use super::{NO_VALUES, Trend, TrendPart, Values};
use crate::kernel::make_each;
use crate::kernel::plan::Names;
use crate::kernel::quantile::{PERCENTILES, quantiles_by_code};

/// Sums that are added up side by side, so that one addition need not wait for the one before.
const LANES: usize = 8;

/// The values of one cell, and their percentiles if they were asked for.
type Cell = (Values, Option<[f64; PERCENTILES.len()]>);

impl Trend<'_> {
    /// Whether only events with a value count, and nothing but their names, texts and times matters besides.
    pub(super) fn is_read_by_time(&self) -> bool {
        self.with_value && !self.query.measures.subjects && self.plan.is_decided_by_names()
    }

    /// Puts values in the order of time where nobody has asked for that before.
    pub(super) fn sort_by_time(&self, threads: usize) {
        make_each(self.plan.segments.len(), threads, |segment| {
            let _ = self.plan.segments[segment].values_in_time();
        });
    }

    /// All cells with their percentiles, bucket by bucket.
    pub(super) fn read_by_time(&self, threads: usize) -> (TrendPart, Vec<Option<[f64; PERCENTILES.len()]>>) {
        let (buckets, series) = (self.query.buckets.len(), self.series());
        let bounds: Vec<Vec<usize>> =
            (0..self.plan.segments.len()).map(|segment| self.bounds(segment, buckets)).collect();
        let read = make_each(buckets, threads, |bucket| self.read_bucket(bucket, &bounds));
        let mut part = self.empty_part();
        let mut percentiles = vec![None; self.cells()];
        for (bucket, cells) in read.into_iter().enumerate() {
            for (number, (values, found)) in cells.into_iter().enumerate().take(series) {
                let cell = number * buckets + bucket;
                part.events[cell] = values.count;
                if let Some(into) = part.values.get_mut(cell) {
                    *into = values;
                }
                percentiles[cell] = found;
            }
        }
        (part, percentiles)
    }

    /// Where in the values of a segment each bucket begins, and the last one ends.
    fn bounds(&self, segment: usize, buckets: usize) -> Vec<usize> {
        let times = &self.plan.segments[segment].values_in_time().times;
        self.plan.compiled(segment).regions.bounds(times, buckets)
    }

    /// The cells of a bucket, one per series.
    fn read_bucket(&self, bucket: usize, bounds: &[Vec<usize>]) -> Vec<Cell> {
        let segments = || {
            self.plan.segments.iter().enumerate().zip(bounds).map(|((segment, columns), bounds)| {
                let names = &self.plan.compiled(segment).names;
                (segment, columns, names, bounds[bucket]..bounds[bucket + 1])
            })
        };
        let keeps = self.query.measures.percentiles;
        if self.groups.is_none() && segments().all(|(_, _, names, _)| matches!(names, Names::Same(_))) {
            let whole = segments().filter(|(_, _, names, _)| !matches!(names, Names::Same(0)));
            let places = whole.map(|(_, columns, _, places)| {
                let in_time = columns.values_in_time();
                (&in_time.values[places.clone()], &in_time.codes[places])
            });
            return vec![cell(&places.collect::<Vec<_>>(), keeps)];
        }
        let mut series: Vec<(Vec<f64>, Vec<u16>)> = vec![Default::default(); self.series()];
        for (segment, columns, names, places) in segments() {
            let in_time = columns.values_in_time();
            for place in places {
                let row = in_time.rows[place] as usize;
                if names.mask(columns.names[row]) != 0 {
                    let number = self.groups.as_ref().map_or(0, |it| it.of(segment, columns, row));
                    let (values, codes) = &mut series[number as usize];
                    values.push(in_time.values[place]);
                    codes.push(in_time.codes[place]);
                }
            }
        }
        series.iter().map(|(values, codes)| cell(&[(values, codes)], keeps)).collect()
    }
}

/// The cell of values that lie in several places.
fn cell(places: &[(&[f64], &[u16])], keeps: bool) -> Cell {
    let mut all = NO_VALUES;
    places.iter().for_each(|(values, _)| all.merge(&summarize(values)));
    (all, if keeps { quantiles_by_code(places, all.max, PERCENTILES) } else { None })
}

fn summarize(values: &[f64]) -> Values {
    let mut lanes = [NO_VALUES; LANES];
    let (chunks, rest) = values.as_chunks::<LANES>();
    for chunk in chunks {
        lanes.iter_mut().zip(chunk).for_each(|(lane, value)| lane.add(*value));
    }
    lanes.iter_mut().zip(rest).for_each(|(lane, value)| lane.add(*value));
    let [mut all, others @ ..] = lanes;
    others.iter().for_each(|lane| all.merge(lane));
    all
}
