//! Numbers over time: events, subjects, and what their values add up to.

mod by_name;
mod by_time;
mod flat;
mod values;

use std::cmp::Reverse;
use std::ops::Range;

use crate::columns::{Columns, PropColumn, PropName, number};
use crate::kernel::bucket::Buckets;
use crate::kernel::filter::{Filter, ValueTest};
use crate::kernel::group::{Field, Group, Groups};
use crate::kernel::plan::{Event, Plan};
use crate::kernel::quantile::PERCENTILES;
use crate::kernel::trend::flat::FlatCounts;
use crate::kernel::trend::values::{CellValues, percentiles};
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
    /// What to answer besides the number of events.
    pub measures: Measures,
    /// The property whose numbers are the values; the values of the events if there is none.
    pub values_of: Option<PropName>,
    /// Whether to answer one series per text of a field, and how many at most.
    pub breakdown: Option<Breakdown>,
}

/// What to answer besides the number of events; each costs time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Measures {
    /// Different subjects.
    pub subjects: bool,
    /// Number, sum, least and greatest of the values.
    pub values: bool,
    /// Percentiles of the values, for which all of them are held in memory, 16 bytes each.
    pub percentiles: bool,
}

/// One series for each of the texts that have the most events in the buckets, and one for all other events.
#[derive(Clone, Debug)]
pub struct Breakdown {
    /// The field.
    pub field: Field,
    /// How many texts have a series of their own.
    pub limit: usize,
}

/// The events of one bucket; what was not asked for is 0 or none.
#[derive(Clone, Copy, Debug, PartialEq)]
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
    /// The values at [`PERCENTILES`], by nearest rank.
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
    /// Number of different subjects in all buckets together, if subjects were asked for.
    pub subjects: u64,
    /// One point per bucket.
    pub points: Vec<Point>,
}

/// Answers a [`TrendQuery`]: one series, or with a breakdown the texts by number of events, equals by text, and
/// last all others. A series of a breakdown without events is left out.
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
    /// Only events with a value count; the filter of the plan does not say it.
    with_value: bool,
    /// By segment, the property whose numbers are the values, with the number of each of its texts.
    numbers: Vec<(PropColumn, Vec<f64>)>,
}

/// A filter without the condition that there is a value, if that is one of those that must all hold.
fn without_value(filter: &Filter) -> Option<Filter> {
    let Filter::And(filters) = filter else { return None };
    let is_it = |filter: &Filter| *filter == Filter::Value(ValueTest::Set);
    let others = filters.iter().filter(|filter| !is_it(filter)).cloned();
    filters.iter().any(is_it).then(|| Filter::And(others.collect()))
}

impl<'a> Trend<'a> {
    /// Plans a query for some segments; a breakdown into fewer series than texts reads the events once to rank them.
    pub fn try_new(
        query: &'a TrendQuery,
        segments: &[&'a Columns],
        threads: usize,
        cancel: Cancel<'_>,
    ) -> Result<Self, QueryError> {
        // What is the value of a property says nothing about that of the event.
        let stripped = without_value(&query.filter).filter(|_| query.values_of.is_none());
        let plan = Plan::new(&[stripped.as_ref().unwrap_or(&query.filter)], &query.buckets, segments);
        let with_value = stripped.is_some();
        let mut groups = query.breakdown.as_ref().map(|it| Groups::new(it.field.clone(), &plan.segments));
        if let (Some(groups), Some(Breakdown { field, limit })) = (&mut groups, &query.breakdown)
            && groups.len() > limit + usize::from(*field == Field::Name)
        {
            let starts = query.buckets.starts_micros();
            let whole = TrendQuery {
                buckets: Buckets::try_new(vec![starts[0], starts[starts.len() - 1]])?,
                measures: Measures::default(),
                ..query.clone()
            };
            let plan = Plan::new(&[stripped.as_ref().unwrap_or(&whole.filter)], &whole.buckets, segments);
            let (groups_now, numbers) = (Some(groups.clone()), Vec::new());
            let ranking = Trend { query: &whole, plan, groups: groups_now, with_value, numbers };
            let ranked = run(&ranking, threads, cancel)?;
            let kept: Vec<_> = ranked.into_iter().take(*limit).map(|series| series.group).collect();
            groups.keep(&kept);
        }
        let numbers =
            query.values_of.as_ref().map(|name| plan.segments.iter().map(|it| numbers(it, name)).collect());
        let trend = Self { query, plan, groups, with_value, numbers: numbers.unwrap_or_default() };
        ensure_within("number of points", trend.series() * query.buckets.len(), 1, POINTS_MAX as u64)?;
        Ok(trend)
    }

    /// The value of an event, NaN for none.
    #[inline]
    fn value(&self, event: &Event<'_>) -> f64 {
        match self.numbers.get(event.segment) {
            None => event.columns.value(event.row),
            Some((column, numbers)) => {
                numbers.get(column.code(event.row) as usize).copied().unwrap_or(f64::NAN)
            }
        }
    }

    fn series(&self) -> usize {
        self.groups.as_ref().map_or(1, Groups::len)
    }

    fn cells(&self) -> usize {
        self.series() * self.query.buckets.len()
    }

    /// Nothing is read yet.
    fn empty_part(&self) -> TrendPart {
        let (cells, measures) = (self.cells(), self.query.measures);
        let asked = |asked: bool| if asked { cells } else { 0 };
        TrendPart {
            events: vec![0; cells],
            subjects: vec![0; asked(measures.subjects)],
            values: vec![NO_VALUES; asked(measures.values)],
            series_subjects: vec![0; self.series()],
            kept: Vec::new(),
        }
    }
}

/// A property with the number of each of its texts, NaN for none.
fn numbers(columns: &Columns, name: &PropName) -> (PropColumn, Vec<f64>) {
    let column = columns.prop(name).cloned().unwrap_or_else(PropColumn::unset);
    let numbers = column.dictionary().iter().map(|text| number(text).unwrap_or(f64::NAN)).collect();
    (column, numbers)
}

#[derive(Clone, Copy, Debug)]
struct Values {
    count: u64,
    sum: f64,
    min: f64,
    max: f64,
}

impl Values {
    #[inline]
    fn add(&mut self, value: f64) {
        self.count += 1;
        self.sum += value;
        self.min = self.min.min(value);
        self.max = self.max.max(value);
    }

    fn merge(&mut self, later: &Self) {
        self.count += later.count;
        self.sum += later.sum;
        self.min = self.min.min(later.min);
        self.max = self.max.max(later.max);
    }
}

const NO_VALUES: Values = Values { count: 0, sum: 0.0, min: f64::INFINITY, max: f64::NEG_INFINITY };

/// What was read for a [`Trend`] from some subjects, by cell: series and bucket.
#[derive(Clone, Debug)]
pub struct TrendPart {
    events: Vec<u64>,
    /// Empty if nobody asked.
    subjects: Vec<u64>,
    /// Empty if nobody asked.
    values: Vec<Values>,
    /// Different subjects by series.
    series_subjects: Vec<u64>,
    /// Values for percentiles, one item for each part that was merged.
    kept: Vec<CellValues>,
}

impl Partial for TrendPart {
    fn merge(&mut self, later: Self) {
        let events = self.events.iter_mut().zip(later.events);
        let subjects = self.subjects.iter_mut().zip(later.subjects);
        let series_subjects = self.series_subjects.iter_mut().zip(later.series_subjects);
        for (into, from) in events.chain(subjects).chain(series_subjects) {
            *into += from;
        }
        for (into, from) in self.values.iter_mut().zip(later.values) {
            into.merge(&from);
        }
        self.kept.extend(later.kept);
    }
}

impl Kernel for Trend<'_> {
    type Partial = TrendPart;
    type Answer = Vec<Series>;

    /// None where subjects do not matter: what is read by time is read at the end.
    fn segments(&self) -> &[&Columns] {
        if self.is_read_by_time() || self.is_counted_by_name() { &[] } else { &self.plan.segments }
    }

    fn prepare(&self, threads: usize) {
        if self.is_read_by_time() {
            self.sort_by_time(threads);
        } else if self.is_counted_by_name() {
            self.sort_names(threads);
        }
    }

    fn part(&self, subjects: Range<u32>, cancel: Cancel<'_>) -> Result<TrendPart, Cancelled> {
        let (start, buckets) = (self.plan.clamp(subjects.clone()).start, self.query.buckets.len());
        let (cells, measures) = (self.cells(), self.query.measures);
        let mut part = self.empty_part();
        if self.is_read_by_time() || self.is_counted_by_name() {
            return Ok(part);
        }
        // The last subject that was seen in each cell, and in each series.
        let (mut last, mut series_last) =
            (vec![u32::MAX; part.subjects.len()], vec![u32::MAX; self.series()]);
        let mut kept = Vec::new();
        if measures == Measures::default()
            && !self.with_value
            && let Some(mut counts) =
                FlatCounts::new(&self.plan, self.groups.as_ref(), self.series(), buckets)
        {
            self.plan.walk(Order::Flat, subjects, cancel, |_, runs| {
                runs.iter().for_each(|run| counts.add(&self.plan, run));
            })?;
            part.events = counts.finish();
            return Ok(part);
        }
        let flat = !measures.subjects && !self.query.filter.reads_subject();
        let order = if flat { Order::Flat } else { Order::Together };
        self.plan.walk(order, subjects, cancel, |local, runs| {
            let subject = start + local;
            self.plan.events(subject, runs, |event| {
                let bucket = (event.region as usize).wrapping_sub(1);
                if bucket >= buckets || self.with_value && event.columns.value(event.row).is_nan() {
                    return true;
                }
                let series = self
                    .groups
                    .as_ref()
                    .map_or(0, |it| it.of(event.segment, event.columns, event.row) as usize);
                let cell = series * buckets + bucket;
                part.events[cell] += 1;
                if measures.subjects && std::mem::replace(&mut last[cell], subject) != subject {
                    part.subjects[cell] += 1;
                    let again = std::mem::replace(&mut series_last[series], subject) == subject;
                    part.series_subjects[series] += u64::from(!again);
                }
                if measures.values || measures.percentiles {
                    let value = self.value(event);
                    if value.is_nan() {
                        return true;
                    }
                    if let Some(values) = part.values.get_mut(cell) {
                        values.add(value);
                    }
                    if measures.percentiles {
                        kept.push((cell as u32, value));
                    }
                }
                true
            });
        })?;
        if measures.percentiles {
            part.kept.push(CellValues::new(cells, &kept));
        }
        Ok(part)
    }

    fn finish(&self, partial: TrendPart, threads: usize) -> Vec<Series> {
        let (partial, percentiles) = if self.is_read_by_time() {
            self.read_by_time(threads)
        } else if self.is_counted_by_name() {
            (self.count_by_name(), vec![None; self.cells()])
        } else {
            let percentiles = percentiles(&partial.kept, self.cells(), threads);
            (partial, percentiles)
        };
        let point = |cell: usize| {
            let values = partial.values.get(cell).copied().unwrap_or(NO_VALUES);
            Point {
                events: partial.events[cell],
                subjects: partial.subjects.get(cell).copied().unwrap_or(0),
                values: values.count,
                sum: values.sum,
                min: (values.count > 0).then_some(values.min),
                max: (values.count > 0).then_some(values.max),
                percentiles: percentiles[cell],
            }
        };
        let buckets = self.query.buckets.len();
        let series = |number: usize| {
            let points: Vec<_> = (number * buckets..(number + 1) * buckets).map(point).collect();
            Series {
                group: self.groups.as_ref().map_or(Group::All, |groups| groups.group(number)),
                events: points.iter().map(|point| point.events).sum(),
                subjects: partial.series_subjects[number],
                points,
            }
        };
        let mut all: Vec<_> =
            (0..self.series()).map(series).filter(|it| it.events > 0 || it.group == Group::All).collect();
        let rank = |it: &Series| (it.group == Group::Other, Reverse(it.events));
        all.sort_by(|a, b| (rank(a), &a.group).cmp(&(rank(b), &b.group)));
        all
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;
    use crate::columns::{Dimension, Row};
    use crate::kernel::testing::{Case, Random, answer, holds, size, text_of};

    fn twin_series(case: &Case, query: &TrendQuery, group: Group, rows: &[Row<'static>]) -> Series {
        let measures = query.measures;
        let value_of = |row: &Row<'static>| match &query.values_of {
            None => row.value,
            Some(name) => text_of(&Field::Prop(name.clone()), row).and_then(|text| text.parse().ok()),
        };
        let points = (0..case.buckets()).map(|bucket| {
            let held: Vec<_> = rows.iter().filter(|row| case.bucket(row) == Some(bucket)).collect();
            let mut values: Vec<f64> = held.iter().filter_map(|row| value_of(row)).collect();
            values.sort_by(f64::total_cmp);
            let at = |percent: usize| values[(values.len() * percent).div_ceil(100) - 1];
            let subjects = held.iter().map(|row| row.subject).collect::<BTreeSet<_>>().len() as u64;
            let summed: &[f64] = if measures.values { &values } else { &[] };
            Point {
                events: held.len() as u64,
                subjects: if measures.subjects { subjects } else { 0 },
                values: summed.len() as u64,
                sum: summed.iter().sum::<f64>() + 0.0,
                min: summed.first().copied(),
                max: summed.last().copied(),
                percentiles: (measures.percentiles && !values.is_empty())
                    .then(|| [50, 75, 90, 95, 99].map(at)),
            }
        });
        let subjects = rows.iter().map(|row| row.subject).collect::<BTreeSet<_>>().len() as u64;
        Series {
            group,
            events: rows.len() as u64,
            subjects: if measures.subjects { subjects } else { 0 },
            points: points.collect(),
        }
    }

    fn twin(case: &Case, query: &TrendQuery) -> Vec<Series> {
        let rows = case.rows_in_order();
        let counted = |row: &&Row<'_>| holds(&query.filter, row) && case.bucket(row).is_some();
        let rows: Vec<_> = rows.iter().filter(counted).copied().collect();
        let Some(breakdown) = &query.breakdown else {
            return vec![twin_series(case, query, Group::All, &rows)];
        };
        let mut by_text: BTreeMap<Option<&str>, Vec<Row<'static>>> = BTreeMap::new();
        for row in rows {
            let text = text_of(&breakdown.field, &row);
            by_text.entry(text).or_default().push(row);
        }
        let mut groups: Vec<_> = by_text.into_iter().collect();
        groups.sort_by_key(|(_, rows)| std::cmp::Reverse(rows.len()));
        let other: Vec<_> = groups.iter().skip(breakdown.limit).flat_map(|it| it.1.clone()).collect();
        groups.truncate(breakdown.limit);
        let named = |text: Option<&str>| text.map_or(Group::NotSet, |text| Group::Text(text.into()));
        let mut series: Vec<_> =
            groups.iter().map(|(text, rows)| twin_series(case, query, named(*text), rows)).collect();
        if !other.is_empty() {
            series.push(twin_series(case, query, Group::Other, &other));
        }
        series
    }

    #[test]
    fn points_are_those_of_a_plain_count() {
        let mut random = Random::new(9);
        for _ in 0..2_500 {
            let case = Case::generate(&mut random);
            let fields = [
                Field::Name,
                Field::Dimension(Dimension::Course),
                Field::Dimension(Dimension::Os),
                Field::Prop(size()),
            ];
            let breakdown = Breakdown { field: random.pick(&fields), limit: random.range(0, 7) };
            let mut filter = random.loose_filter();
            if random.pick(&[true, false]) {
                filter = Filter::And(vec![filter, Filter::Value(ValueTest::Set)]);
            }
            let query = TrendQuery {
                filter,
                buckets: Buckets::try_new(case.starts_micros.clone()).unwrap(),
                measures: Measures {
                    subjects: random.pick(&[true, false]),
                    values: random.pick(&[true, false]),
                    percentiles: random.pick(&[true, false]),
                },
                values_of: random.pick(&[None, None, Some(size())]),
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
        let query = TrendQuery {
            filter: Filter::all(),
            buckets,
            measures: Measures::default(),
            values_of: None,
            breakdown,
        };
        assert!(matches!(trend(&query, &[&columns], 1, &|| false), Err(QueryError::OutOfRange { .. })));
    }
}
