//! Numbers over time: events, subjects, and what their values add up to.

use std::ops::Range;

use crate::columns::Columns;
use crate::kernel::bucket::Buckets;
use crate::kernel::filter::Filter;
use crate::kernel::group::{Field, Group, Groups};
use crate::kernel::plan::Plan;
use crate::kernel::quantile::{PERCENTILES, quantiles};
use crate::kernel::top::{Rank, TopQuery, top};
use crate::kernel::walk::Order;
use crate::kernel::{Cancel, Cancelled, Kernel, Partial, QueryError, ensure_within, run};

/// Points that an answer can have, over all its series.
pub const POINTS_MAX: usize = 1 << 20;

/// How many events, of how many subjects, with which values, in each bucket?
#[derive(Clone, Debug)]
pub struct TrendQuery {
    /// Events that count.
    pub filter: Filter,
    /// The stretches of time.
    pub buckets: Buckets,
    /// Whether to answer percentiles, for which all values are held in memory.
    pub percentiles: bool,
    /// Whether to answer one series per text of a field, and how many at most.
    pub breakdown: Option<Breakdown>,
}

/// One series for each of the texts that have the most events in the buckets, and one for all other events.
#[derive(Clone, Copy, Debug)]
pub struct Breakdown {
    /// The field.
    pub field: Field,
    /// How many texts have a series of their own.
    pub limit: usize,
}

/// The events of one bucket.
#[derive(Clone, Debug, PartialEq)]
pub struct Point {
    /// Number of events.
    pub events: u64,
    /// Number of different subjects.
    pub subjects: u64,
    /// Number of events that have a value.
    pub values: u64,
    /// Sum of the values, 0 without any.
    pub sum: f64,
    /// The least value.
    pub min: Option<f64>,
    /// The greatest value.
    pub max: Option<f64>,
    /// The values at [`PERCENTILES`], by nearest rank; none if they were not asked for.
    pub percentiles: Option<[f64; PERCENTILES.len()]>,
}

impl Point {
    /// The average value; none without values.
    #[must_use]
    pub fn average(&self) -> Option<f64> {
        (self.values > 0).then(|| self.sum / self.values as f64)
    }
}

/// The points of one line.
#[derive(Clone, Debug, PartialEq)]
pub struct Series {
    /// Which events the series is about; [`Group::All`] without breakdown.
    pub group: Group,
    /// Number of events in all buckets.
    pub events: u64,
    /// Number of different subjects in all buckets together.
    pub subjects: u64,
    /// One point per bucket.
    pub points: Vec<Point>,
}

/// Answers a [`TrendQuery`]: one series, or with a breakdown the ranked texts and last all others, if there are any.
pub fn trend(
    query: &TrendQuery,
    segments: &[&Columns],
    threads: usize,
    cancel: Cancel<'_>,
) -> Result<Vec<Series>, QueryError> {
    Ok(run(&Trend::try_new(query, segments, threads, cancel)?, threads, cancel)?)
}

/// A planned [`TrendQuery`].
pub struct Trend<'a> {
    query: &'a TrendQuery,
    plan: Plan<'a>,
    groups: Option<Groups>,
}

impl<'a> Trend<'a> {
    /// Plans a query for some segments; a breakdown ranks the texts first, which reads the events once.
    pub fn try_new(
        query: &'a TrendQuery,
        segments: &[&'a Columns],
        threads: usize,
        cancel: Cancel<'_>,
    ) -> Result<Self, QueryError> {
        let plan = Plan::new(&[&query.filter], &query.buckets, segments);
        let starts = query.buckets.starts_micros();
        let groups = match query.breakdown {
            None => None,
            Some(Breakdown { field, limit }) => {
                let all = TopQuery {
                    filter: query.filter.clone(),
                    goal: None,
                    time_micros: starts[0]..starts[starts.len() - 1],
                    field,
                    rank: Rank::Events,
                    limit,
                };
                let kept: Vec<_> =
                    top(&all, &plan.segments, threads, cancel)?.into_iter().map(|it| it.group).collect();
                let mut groups = Groups::new(field, &plan.segments);
                groups.keep(&kept);
                Some(groups)
            }
        };
        let trend = Self { query, plan, groups };
        ensure_within("number of points", trend.series() * query.buckets.len(), 1, POINTS_MAX as u64)?;
        Ok(trend)
    }

    fn series(&self) -> usize {
        self.groups.as_ref().map_or(1, Groups::len)
    }
}

#[derive(Clone, Copy, Debug)]
struct Cell {
    events: u64,
    subjects: u64,
    values: u64,
    sum: f64,
    min: f64,
    max: f64,
}

const EMPTY: Cell =
    Cell { events: 0, subjects: 0, values: 0, sum: 0.0, min: f64::INFINITY, max: f64::NEG_INFINITY };

/// What was read for a [`Trend`] from some subjects.
#[derive(Clone, Debug)]
pub struct TrendPart {
    /// By series and bucket.
    cells: Vec<Cell>,
    /// Different subjects by series.
    subjects: Vec<u64>,
    /// For each part that was merged, its values by series and bucket.
    values: Vec<Vec<Vec<f64>>>,
}

impl Partial for TrendPart {
    fn merge(&mut self, later: Self) {
        for (into, from) in self.cells.iter_mut().zip(later.cells) {
            into.events += from.events;
            into.subjects += from.subjects;
            into.values += from.values;
            into.sum += from.sum;
            into.min = into.min.min(from.min);
            into.max = into.max.max(from.max);
        }
        for (into, from) in self.subjects.iter_mut().zip(later.subjects) {
            *into += from;
        }
        self.values.extend(later.values);
    }
}

impl Kernel for Trend<'_> {
    type Partial = TrendPart;
    type Answer = Vec<Series>;

    fn segments(&self) -> &[&Columns] {
        &self.plan.segments
    }

    fn part(&self, subjects: Range<u32>, cancel: Cancel<'_>) -> Result<TrendPart, Cancelled> {
        let (start, buckets) = (self.plan.clamp(subjects.clone()).start, self.query.buckets.len());
        let count = self.series() * buckets;
        let (mut cells, mut totals) = (vec![EMPTY; count], vec![0_u64; self.series()]);
        let mut values = vec![Vec::new(); if self.query.percentiles { count } else { 0 }];
        // The last subject that was seen in each cell, and in each series.
        let (mut last, mut last_total) = (vec![u32::MAX; count], vec![u32::MAX; self.series()]);
        self.plan.walk(Order::Together, subjects, cancel, |local, runs| {
            let subject = start + local;
            self.plan.events(subject, runs, |event| {
                let bucket = (event.region as usize).wrapping_sub(1);
                if bucket >= buckets {
                    return true;
                }
                let series = self
                    .groups
                    .as_ref()
                    .map_or(0, |it| it.of(event.segment, event.columns, event.row) as usize);
                let place = series * buckets + bucket;
                let cell = &mut cells[place];
                cell.events += 1;
                if last[place] != subject {
                    last[place] = subject;
                    cell.subjects += 1;
                    totals[series] += u64::from(last_total[series] != subject);
                    last_total[series] = subject;
                }
                let value = event.columns.value(event.row);
                if !value.is_nan() {
                    cell.values += 1;
                    cell.sum += value;
                    cell.min = cell.min.min(value);
                    cell.max = cell.max.max(value);
                    if let Some(values) = values.get_mut(place) {
                        values.push(value);
                    }
                }
                true
            });
        })?;
        Ok(TrendPart { cells, subjects: totals, values: vec![values] })
    }

    fn finish(&self, partial: TrendPart) -> Vec<Series> {
        let mut all = Vec::new();
        let point = |(place, cell): (usize, &Cell)| {
            all.clear();
            all.extend(partial.values.iter().filter_map(|values| values.get(place)).flatten());
            let any = cell.values > 0;
            Point {
                events: cell.events,
                subjects: cell.subjects,
                values: cell.values,
                sum: cell.sum,
                min: any.then_some(cell.min),
                max: any.then_some(cell.max),
                percentiles: quantiles(&mut all, PERCENTILES),
            }
        };
        let points: Vec<Point> = partial.cells.iter().enumerate().map(point).collect();
        let series = points.chunks_exact(self.query.buckets.len()).zip(partial.subjects).enumerate();
        let series = series.map(|(number, (points, subjects))| Series {
            group: self.groups.as_ref().map_or(Group::All, |groups| groups.group(number)),
            events: points.iter().map(|point| point.events).sum(),
            subjects,
            points: points.to_vec(),
        });
        series.filter(|series| series.events > 0 || series.group != Group::Other).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;
    use crate::columns::{Dimension, Row};
    use crate::kernel::testing::{Case, Random, answer, holds};

    fn twin_series(case: &Case, group: Group, rows: &[Row<'_>]) -> Series {
        let points = (0..case.buckets()).map(|bucket| {
            let held: Vec<_> = rows.iter().filter(|row| case.bucket(row) == Some(bucket)).collect();
            let mut values: Vec<f64> = held.iter().filter_map(|row| row.value).collect();
            values.sort_by(f64::total_cmp);
            let at = |percent: usize| values[(values.len() * percent).div_ceil(100) - 1];
            Point {
                events: held.len() as u64,
                subjects: held.iter().map(|row| row.subject).collect::<BTreeSet<_>>().len() as u64,
                values: values.len() as u64,
                sum: values.iter().sum::<f64>() + 0.0,
                min: values.first().copied(),
                max: values.last().copied(),
                percentiles: (!values.is_empty()).then(|| [50, 75, 90, 95, 99].map(at)),
            }
        });
        Series {
            group,
            events: rows.len() as u64,
            subjects: rows.iter().map(|row| row.subject).collect::<BTreeSet<_>>().len() as u64,
            points: points.collect(),
        }
    }

    fn twin(case: &Case, query: &TrendQuery) -> Vec<Series> {
        let rows = case.rows_in_order();
        let counted = |row: &&Row<'_>| holds(&query.filter, row) && case.bucket(row).is_some();
        let rows: Vec<_> = rows.iter().filter(counted).copied().collect();
        let Some(breakdown) = query.breakdown else { return vec![twin_series(case, Group::All, &rows)] };
        let mut by_text: BTreeMap<Option<&str>, Vec<Row<'_>>> = BTreeMap::new();
        for row in rows {
            let text = match breakdown.field {
                Field::Name => Some(row.name),
                Field::Dimension(dimension) => row.dimensions[dimension.index()],
            };
            by_text.entry(text).or_default().push(row);
        }
        let mut groups: Vec<_> = by_text.into_iter().collect();
        groups.sort_by_key(|(_, rows)| std::cmp::Reverse(rows.len()));
        let other: Vec<_> = groups.iter().skip(breakdown.limit).flat_map(|it| it.1.clone()).collect();
        groups.truncate(breakdown.limit);
        let named = |text: Option<&str>| text.map_or(Group::NotSet, |text| Group::Text(text.into()));
        let mut series: Vec<_> =
            groups.iter().map(|(text, rows)| twin_series(case, named(*text), rows)).collect();
        if !other.is_empty() {
            series.push(twin_series(case, Group::Other, &other));
        }
        series
    }

    #[test]
    fn points_are_those_of_a_plain_count() {
        let mut random = Random::new(9);
        for _ in 0..2_500 {
            let case = Case::generate(&mut random);
            let fields = [Field::Name, Field::Dimension(Dimension::Course), Field::Dimension(Dimension::Os)];
            let breakdown = Breakdown { field: random.pick(&fields), limit: random.range(0, 4) };
            let query = TrendQuery {
                filter: random.loose_filter(),
                buckets: Buckets::try_new(case.starts_micros.clone()).unwrap(),
                percentiles: true,
                breakdown: random.pick(&[Some(breakdown), None]),
            };
            let segments = case.segments();
            let kernel = Trend::try_new(&query, &segments, 1, &|| false).unwrap();
            assert_eq!(answer(&mut random, &kernel), twin(&case, &query), "{query:?}");
        }
    }

    #[test]
    fn an_answer_with_too_many_points_is_refused() {
        let rows = (0..40).map(|name: i32| name.to_string()).collect::<Vec<_>>();
        let columns = Columns::from_rows(rows.iter().map(|name| Row::new(0, 0, name))).unwrap();
        let buckets = Buckets::try_new((-5..50_000).collect()).unwrap();
        let breakdown = Some(Breakdown { field: Field::Name, limit: 40 });
        let query = TrendQuery { filter: Filter::all(), buckets, percentiles: false, breakdown };
        assert!(matches!(trend(&query, &[&columns], 1, &|| false), Err(QueryError::OutOfRange { .. })));
    }
}
