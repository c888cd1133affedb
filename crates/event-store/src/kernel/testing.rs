//! Generated events for the tests of kernels: few values, so that ties and repetitions are common.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::columns::{Columns, Dimension, PropColumnBuilder, PropName, Row};
use crate::kernel::filter::{Filter, PropTest, TextTest, ValueTest};
use crate::kernel::group::Field;
use crate::kernel::{Kernel, Partial, run};

pub(crate) const NAMES: [&str; 5] = ["view", "start", "answer", "complete", "pay"];
pub(crate) const COURSES: [Option<&str>; 4] = [None, Some("algebra"), Some("biology"), Some("chemistry")];

/// SplitMix64 (Steele, Lea and Flood, 2014).
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = self.0;
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        word ^ (word >> 31)
    }

    /// A number from `low` to below `high`.
    pub(crate) fn range<T: TryFrom<i64>>(&mut self, low: i64, high: i64) -> T {
        let number = low + (self.next() % (high - low) as u64) as i64;
        T::try_from(number).ok().unwrap()
    }

    pub(crate) fn pick<T: Clone>(&mut self, from: &[T]) -> T {
        from[self.range::<usize>(0, from.len() as i64)].clone()
    }

    /// A filter at most so many levels deep.
    pub(crate) fn filter(&mut self, depth: u32) -> Filter {
        let leaf = if depth == 0 { 5 } else { 8 };
        match self.range(0, leaf) {
            0 => Filter::Name(self.text_test(&NAMES)),
            1 => Filter::Dimension(Dimension::Course, self.text_test(&["algebra", "biology", "none"])),
            2 => Filter::Value(self.value_test()),
            3 => Filter::Subjects(Arc::new((0..10).filter(|_| self.range::<u8>(0, 2) == 1).collect())),
            4 => {
                let test = match self.range(0, 2) {
                    0 => PropTest::Text(self.text_test(&["1", "big", "none"])),
                    _ => PropTest::Number(self.value_test()),
                };
                Filter::Prop(self.pick(&[size(), unknown_prop()]), test)
            }
            5 => Filter::And((0..self.range(0, 3)).map(|_| self.filter(depth - 1)).collect()),
            6 => Filter::Or((0..self.range(0, 4)).map(|_| self.filter(depth - 1)).collect()),
            _ => Filter::Not(Box::new(self.filter(depth - 1))),
        }
    }

    fn value_test(&mut self) -> ValueTest {
        match self.range(0, 5) {
            0 => ValueTest::Greater(1.0),
            1 => ValueTest::Less(0.5),
            2 => ValueTest::Equal(1.5),
            3 => ValueTest::Set,
            _ => ValueTest::NotSet,
        }
    }

    fn text_test(&mut self, texts: &[&str]) -> TextTest {
        match self.range(0, 6) {
            0 => TextTest::Is(self.pick(texts).into()),
            1 => TextTest::IsNot(self.pick(texts).into()),
            2 => TextTest::Contains(self.pick(&["a", "e", "w", ""]).into()),
            3 => TextTest::In(vec![self.pick(texts).into(), self.pick(texts).into()]),
            4 => TextTest::Set,
            _ => TextTest::NotSet,
        }
    }

    /// A filter that selects a good part of the events.
    pub(crate) fn loose_filter(&mut self) -> Filter {
        if self.range::<u8>(0, 3) == 0 {
            Filter::all()
        } else {
            Filter::Or(vec![Filter::name(self.pick(&NAMES)), self.filter(1)])
        }
    }
}

/// The property that every generated event has or has not, as [`size_of`] says.
pub(crate) fn size() -> PropName {
    PropName::try_new("size").unwrap()
}

/// A property that no generated event has.
fn unknown_prop() -> PropName {
    PropName::try_new("unknown").unwrap()
}

/// The text of [`size`] follows from the time and the name.
pub(crate) fn size_of(row: &Row<'_>) -> Option<&'static str> {
    let texts = [None, Some("0.25"), Some("1.5"), Some("10"), Some("big")];
    texts[(row.time_ms().div_euclid(10).rem_euclid(3) as usize + row.name.len()) % texts.len()]
}

/// The text of a field.
pub(crate) fn text_of(field: &Field, row: &Row<'static>) -> Option<&'static str> {
    match field {
        Field::Name => Some(row.name),
        Field::Dimension(dimension) => row.dimensions[dimension.index()],
        Field::Prop(name) => size_of(row).filter(|_| *name == size()),
    }
}

/// Whether a filter holds for a row, decided without any compiling.
pub(crate) fn holds(filter: &Filter, row: &Row<'_>) -> bool {
    match filter {
        Filter::And(filters) => filters.iter().all(|filter| holds(filter, row)),
        Filter::Or(filters) => filters.iter().any(|filter| holds(filter, row)),
        Filter::Not(filter) => !holds(filter, row),
        Filter::Name(test) => test.holds(Some(row.name)),
        Filter::Dimension(dimension, test) => test.holds(row.dimensions[dimension.index()]),
        Filter::Value(test) => test.holds(row.value.unwrap_or(f64::NAN)),
        Filter::Prop(name, test) => test.holds(size_of(row).filter(|_| *name == size())),
        Filter::Subjects(set) => set.contains(row.subject),
    }
}

/// The events of a project, cut into segments, and the starts of some buckets.
pub(crate) struct Case {
    /// The rows of each segment, in the order in which they came.
    rows: Vec<Vec<Row<'static>>>,
    columns: Vec<Columns>,
    /// Starts of buckets of uneven length, and the end of the last, in microseconds.
    pub(crate) starts_micros: Vec<i64>,
}

impl Case {
    /// Up to 60 events of up to 8 subjects in about 2 seconds.
    pub(crate) fn generate(random: &mut Random) -> Self {
        let count = random.range(0, 60);
        // A coarse clock makes many ties.
        let tick = random.pick(&[1, 10, 100]);
        let mut rows: Vec<Row<'static>> = (0..count)
            .map(|_| {
                let micros = random.range::<i64>(-200 / tick, 2_000 / tick) * tick * 1_000
                    + random.range::<i64>(0, 1_000);
                let mut row = Row::new(random.range(1, 9), micros, random.pick(&NAMES));
                row.dimensions[Dimension::Course.index()] = random.pick(&COURSES);
                row.dimensions[Dimension::Plan.index()] = random.pick(&[None, Some("free"), Some("paid")]);
                row.value = random.pick(&[None, Some(0.25), Some(1.0), Some(1.5), Some(-2.0), Some(8.0)]);
                row
            })
            .collect();
        let segments = random.range::<usize>(1, 5);
        let mut cut = vec![Vec::new(); segments];
        if random.range::<u8>(0, 2) == 0 {
            rows.sort_by_key(|row| row.time_micros);
            let mut ends: Vec<usize> = (1..segments).map(|_| random.range(0, count + 1)).collect();
            ends.sort_unstable();
            for (at, row) in rows.into_iter().enumerate() {
                cut[ends.partition_point(|&end| end <= at)].push(row);
            }
        } else {
            for row in rows {
                cut[random.range::<usize>(0, segments as i64)].push(row);
            }
        }
        let erased: BTreeSet<u32> = (0..random.range(0, 4)).map(|_| random.range(1, 20)).collect();
        let erased: Vec<u32> = erased.into_iter().collect();
        let columns = cut
            .iter()
            .map(|rows| Columns::from_rows(rows.iter().copied()).unwrap().without_subjects(&erased).unwrap())
            .inspect(|columns| columns.check().unwrap())
            .map(with_size)
            .collect();
        for rows in &mut cut {
            rows.retain(|row| !erased.contains(&row.subject));
        }
        Self { rows: cut, columns, starts_micros: starts(random) }
    }

    pub(crate) fn segments(&self) -> Vec<&Columns> {
        self.columns.iter().collect()
    }

    /// All rows by (subject, millisecond), ties by segment and then as they came.
    pub(crate) fn rows_in_order(&self) -> Vec<Row<'static>> {
        let mut rows: Vec<_> = self.rows.iter().flatten().copied().collect();
        rows.sort_by_key(|row| (row.subject, row.time_ms()));
        rows
    }

    /// The rows of each subject that has any, in order.
    pub(crate) fn rows_by_subject(&self) -> Vec<Vec<Row<'static>>> {
        self.rows_in_order().chunk_by(|a, b| a.subject == b.subject).map(<[_]>::to_vec).collect()
    }

    /// Number of the bucket that holds a row.
    pub(crate) fn bucket(&self, row: &Row<'_>) -> Option<usize> {
        let micros = row.time_ms() * 1000;
        (0..self.starts_micros.len() - 1)
            .find(|&bucket| self.starts_micros[bucket] <= micros && micros < self.starts_micros[bucket + 1])
    }

    pub(crate) fn buckets(&self) -> usize {
        self.starts_micros.len() - 1
    }
}

fn with_size(columns: Columns) -> Columns {
    let mut sizes = PropColumnBuilder::default();
    columns.rows().for_each(|row| sizes.push(size_of(&row)));
    columns.with_prop(size(), sizes.finish())
}

/// Buckets of one length, but for some that are shorter or longer, as the days on which clocks change.
fn starts(random: &mut Random) -> Vec<i64> {
    let usual = random.pick(&[50_000, 200_000, 500_500]);
    let mut starts = vec![random.range::<i64>(-300, 300) * 1_000];
    for _ in 0..random.range::<usize>(1, 9) {
        let length = usual + random.pick(&[0, 0, 0, -20_000, 20_000, 1]);
        starts.push(starts[starts.len() - 1] + length);
    }
    starts
}

/// Answers by parts cut at random, or by threads.
pub(crate) fn answer<K: Kernel>(random: &mut Random, kernel: &K) -> K::Answer {
    if random.range::<u8>(0, 20) == 0 {
        return run(kernel, 2, &|| false).unwrap();
    }
    let mut cuts: Vec<u32> = (0..random.range(0, 4)).map(|_| random.range(0, 10)).collect();
    cuts.extend([0, u32::MAX]);
    cuts.sort_unstable();
    let mut parts = cuts.windows(2).map(|cut| kernel.part(cut[0]..cut[1], &|| false).unwrap());
    let mut merged = parts.next().unwrap();
    for part in parts {
        merged.merge(part);
    }
    kernel.finish(merged, random.range(1, 3))
}
