//! The events of one segment in memory, subject by subject: the layout that all kernels read.
//!
//! A kernel touches few columns of many events, so every column is its own vector and is as narrow as its
//! content allows: 4 bytes for a time, 2 for a name or a text, 8 for a value that is there. A column in which no
//! event has anything takes no memory.

mod by_name;
mod props;
mod values;

use std::collections::HashMap;
use std::sync::Arc;

use thiserror::Error;

pub use by_name::{ByName, EventsOfName};
pub use props::{PropColumn, PropColumnBuilder, PropName, number};
pub use values::{Values, ValuesInTime};

/// A column that several [`Columns`] can hold at once: with other columns beside it, or none.
pub type Shared<T> = Arc<Vec<T>>;

/// The code of a text that is not set; also the place of the empty text in every dictionary of a [`TextColumn`].
pub const NOT_SET: u16 = 0;

/// Milliseconds that one [`Columns`] can span, both ends included: 49.7 days, so that a month fits.
pub const SPAN_MS_MAX: i64 = u32::MAX as i64;

/// A low-cardinality text column of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Dimension {
    /// The course that the event belongs to.
    Course,
    /// The lesson within the course.
    Lesson,
    /// The exercise within the lesson.
    Exercise,
    /// Country of the person, ISO 3166-1 alpha-2.
    Country,
    /// Family of the browser.
    Browser,
    /// Family of the operating system.
    Os,
    /// Class of the device.
    Device,
    /// Host of the referring page.
    Referrer,
    /// The `utm_source` of the visit.
    UtmSource,
    /// Plan that the person was on.
    Plan,
}

impl Dimension {
    /// Number of dimensions.
    pub const COUNT: usize = 10;

    /// Every dimension, in the order of their indices.
    pub const ALL: [Self; Self::COUNT] = [
        Self::Course,
        Self::Lesson,
        Self::Exercise,
        Self::Country,
        Self::Browser,
        Self::Os,
        Self::Device,
        Self::Referrer,
        Self::UtmSource,
        Self::Plan,
    ];

    /// Place of the dimension in [`Row::dimensions`] and [`Columns::texts`].
    #[must_use]
    pub const fn index(self) -> usize {
        self as usize
    }

    /// Name of the dimension in queries and files.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Course => "course",
            Self::Lesson => "lesson",
            Self::Exercise => "exercise",
            Self::Country => "country",
            Self::Browser => "browser",
            Self::Os => "os",
            Self::Device => "device",
            Self::Referrer => "referrer",
            Self::UtmSource => "utm_source",
            Self::Plan => "plan",
        }
    }

    /// The dimension of that name.
    #[must_use]
    pub fn find(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|dimension| dimension.as_str() == name)
    }
}

/// One event, as it goes into and comes out of [`Columns`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Row<'a> {
    /// Dense id of the subject within its project, below `u32::MAX`.
    pub subject: u32,
    /// Microseconds since 1970 UTC; [`Columns`] keeps whole milliseconds, rounded down.
    pub time_micros: i64,
    /// Name of the event.
    pub name: &'a str,
    /// Texts by [`Dimension::index`]; the empty text is not set.
    pub dimensions: [Option<&'a str>; Dimension::COUNT],
    /// Code of the client's session, given by the caller; 0 is none.
    pub session: u32,
    /// The number of the event; NaN is none.
    pub value: Option<f64>,
}

impl<'a> Row<'a> {
    /// An event with nothing but its subject, time and name.
    #[must_use]
    pub const fn new(subject: u32, time_micros: i64, name: &'a str) -> Self {
        Self { subject, time_micros, name, dimensions: [None; Dimension::COUNT], session: 0, value: None }
    }

    /// Whole milliseconds since 1970 UTC, rounded down.
    #[must_use]
    pub const fn time_ms(&self) -> i64 {
        self.time_micros.div_euclid(1000)
    }
}

/// Why events do not fit one [`Columns`]; the caller cuts them into more segments.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ColumnsError {
    /// First and last event are further apart than [`SPAN_MS_MAX`].
    #[error("events span {span_ms} ms")]
    SpanTooLong {
        /// Milliseconds between the first and the last event.
        span_ms: i64,
    },
    /// More than 65,536 different names, or 65,535 different texts of a dimension.
    #[error("too many different values of {column}")]
    DictionaryFull {
        /// `name`, or the name of the dimension.
        column: &'static str,
    },
    /// More than `u32::MAX` events.
    #[error("too many events")]
    TooManyEvents,
    /// The subject `u32::MAX`, which stands for none.
    #[error("subject id is out of range")]
    SubjectOutOfRange,
    /// Columns that were put together elsewhere contradict each other.
    #[error("columns contradict each other: {0}")]
    Inconsistent(&'static str),
}

/// A dictionary-coded text column.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TextColumn {
    /// One code per event, or nothing at all if no event has a text; [`NOT_SET`] where there is none.
    pub codes: Shared<u16>,
    /// Text of each code; the first is empty and stands for [`NOT_SET`].
    pub dictionary: Shared<String>,
}

impl TextColumn {
    /// Code of the event in that row.
    #[must_use]
    pub fn code(&self, row: usize) -> u16 {
        self.codes.get(row).copied().unwrap_or(NOT_SET)
    }

    /// Text of the event in that row.
    #[must_use]
    pub fn text(&self, row: usize) -> Option<&str> {
        match self.code(row) {
            NOT_SET => None,
            code => self.dictionary.get(usize::from(code)).map(String::as_str),
        }
    }
}

/// The events of one project's segment, ordered by (subject, time), ties in the order in which they came.
///
/// Times are whole milliseconds in 32 bits after `base_ms`: half the memory traffic of 64 bits, exact to the
/// millisecond, and a segment of a month still fits ([`SPAN_MS_MAX`]).
///
/// The fields are public so that a decoder can fill them; [`Columns::check`] tells whether they fit together.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Columns {
    /// The subjects that have events, ascending, each once.
    pub subjects: Shared<u32>,
    /// First row of each subject, and the number of rows at the end: one longer than `subjects`.
    pub offsets: Shared<u32>,
    /// Milliseconds since 1970 UTC of the earliest event.
    pub base_ms: i64,
    /// The greatest of `times`.
    pub span_ms: u32,
    /// Milliseconds after `base_ms`, one per event, ascending within a subject.
    pub times: Shared<u32>,
    /// Codes of the names, one per event.
    pub names: Shared<u16>,
    /// Name of each code.
    pub name_dictionary: Shared<String>,
    /// The text columns by [`Dimension::index`].
    pub texts: [TextColumn; Dimension::COUNT],
    /// Codes of the clients' sessions, one per event, 0 for none; nothing at all if no event has one.
    pub sessions: Shared<u32>,
    /// Values, one per event; nothing at all if no event has one.
    pub values: Arc<Values>,
    /// The properties that were asked for, with one text per event each.
    pub props: Vec<(PropName, PropColumn)>,
    /// The events of names that were asked for by themselves.
    pub by_name: Arc<ByName>,
}

impl Columns {
    /// The same events with a property.
    #[must_use]
    pub fn with_prop(mut self, name: PropName, column: PropColumn) -> Self {
        self.props.push((name, column));
        self
    }

    /// The column of a property; none if it was not asked for.
    #[must_use]
    pub fn prop(&self, name: &PropName) -> Option<&PropColumn> {
        self.props.iter().find(|(known, _)| known == name).map(|(_, column)| column)
    }

    /// Puts rows, in any order, into columns.
    pub fn from_rows<'a>(rows: impl IntoIterator<Item = Row<'a>>) -> Result<Self, ColumnsError> {
        let mut builder = Builder::default();
        for row in rows {
            builder.push(&row)?;
        }
        builder.finish()
    }

    /// Number of events.
    #[must_use]
    pub fn len(&self) -> usize {
        self.times.len()
    }

    /// Whether there is no event.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.times.is_empty()
    }

    /// The text column of a dimension.
    #[must_use]
    pub fn text(&self, dimension: Dimension) -> &TextColumn {
        &self.texts[dimension.index()]
    }

    /// Milliseconds since 1970 UTC of the event in that row.
    #[must_use]
    pub fn time_ms(&self, row: usize) -> i64 {
        self.base_ms + i64::from(self.times[row])
    }

    /// Value of the event in that row, NaN for none.
    #[must_use]
    pub fn value(&self, row: usize) -> f64 {
        self.values.get(row)
    }

    /// The events that have a value in the order of time; sorted when they are asked for first, and kept.
    #[must_use]
    pub fn values_in_time(&self) -> &ValuesInTime {
        self.values.in_time(&self.times)
    }

    /// The events in their order, their times in whole milliseconds.
    pub fn rows(&self) -> impl Iterator<Item = Row<'_>> {
        self.subjects.iter().zip(self.offsets.windows(2)).flat_map(move |(&subject, bounds)| {
            (bounds[0] as usize..bounds[1] as usize).map(move |row| self.row(subject, row))
        })
    }

    /// The same columns without the events of some subjects, which are given ascending, and without properties.
    pub fn without_subjects(&self, erased: &[u32]) -> Result<Self, ColumnsError> {
        Self::from_rows(self.rows().filter(|row| erased.binary_search(&row.subject).is_err()))
    }

    /// Whether the columns fit together, so that no kernel reads beyond an end or takes events out of order.
    pub fn check(&self) -> Result<(), ColumnsError> {
        let ensure = |held: bool, what| if held { Ok(()) } else { Err(ColumnsError::Inconsistent(what)) };
        let count = self.times.len();
        let optional = |length: usize| length == 0 || length == count;
        ensure(self.subjects.is_sorted_by(|a, b| a < b), "subjects do not ascend")?;
        ensure(self.subjects.last() != Some(&u32::MAX), "subject id is out of range")?;
        ensure(self.offsets.len() == self.subjects.len() + 1, "offsets are not one more than subjects")?;
        ensure(self.offsets.is_sorted_by(|a, b| a < b), "a subject has no event")?;
        ensure(self.offsets.first() == Some(&0), "offsets do not start at 0")?;
        ensure(
            self.offsets.last().copied().map(|end| end as usize) == Some(count),
            "offsets do not end at the end",
        )?;
        ensure(self.times.iter().max().copied().unwrap_or(0) == self.span_ms, "span is not the last time")?;
        ensure(self.times.iter().min().copied().unwrap_or(0) == 0, "base is not the first time")?;
        for bounds in self.offsets.windows(2) {
            ensure(
                self.times[bounds[0] as usize..bounds[1] as usize].is_sorted(),
                "times of a subject do not ascend",
            )?;
        }
        ensure(self.names.len() == count, "names are not one per event")?;
        let known = |codes: &[u16], dictionary: &[String]| {
            codes.iter().all(|&code| usize::from(code) < dictionary.len())
        };
        ensure(known(&self.names, &self.name_dictionary), "a name is not in the dictionary")?;
        for text in &self.texts {
            ensure(optional(text.codes.len()), "a text column is not one per event")?;
            ensure(known(&text.codes, &text.dictionary), "a text is not in the dictionary")?;
            ensure(
                text.dictionary.first().is_none_or(String::is_empty),
                "a dictionary does not start with the empty text",
            )?;
        }
        ensure(optional(self.sessions.len()), "sessions are not one per event")?;
        ensure(optional(self.values.len()), "values are not one per event")
    }

    fn row(&self, subject: u32, row: usize) -> Row<'_> {
        Row {
            subject,
            time_micros: self.time_ms(row).saturating_mul(1000),
            name: self.name_dictionary.get(usize::from(self.names[row])).map_or("", String::as_str),
            dimensions: Dimension::ALL.map(|dimension| self.text(dimension).text(row)),
            session: self.sessions.get(row).copied().unwrap_or(0),
            value: Some(self.value(row)).filter(|value| !value.is_nan()),
        }
    }
}

/// A dictionary that is being filled.
struct Dictionary {
    column: &'static str,
    codes: HashMap<String, u16>,
    texts: Vec<String>,
}

impl Dictionary {
    fn new(column: &'static str) -> Self {
        Self { column, codes: HashMap::new(), texts: Vec::new() }
    }

    fn code(&mut self, text: &str) -> Result<u16, ColumnsError> {
        if let Some(&code) = self.codes.get(text) {
            return Ok(code);
        }
        let code = u16::try_from(self.texts.len())
            .map_err(|_| ColumnsError::DictionaryFull { column: self.column })?;
        self.codes.insert(text.to_owned(), code);
        self.texts.push(text.to_owned());
        Ok(code)
    }
}

/// Rows that are being coded, in the order in which they come.
struct Builder {
    subjects: Vec<u32>,
    times_ms: Vec<i64>,
    names: Vec<u16>,
    name_dictionary: Dictionary,
    texts: Vec<(Vec<u16>, Dictionary)>,
    sessions: Vec<u32>,
    values: Vec<f64>,
}

impl Default for Builder {
    fn default() -> Self {
        Self {
            subjects: Vec::new(),
            times_ms: Vec::new(),
            names: Vec::new(),
            name_dictionary: Dictionary::new("name"),
            texts: Dimension::ALL.map(|it| (Vec::new(), Dictionary::new(it.as_str()))).into(),
            sessions: Vec::new(),
            values: Vec::new(),
        }
    }
}

impl Builder {
    fn push(&mut self, row: &Row<'_>) -> Result<(), ColumnsError> {
        if row.subject == u32::MAX {
            return Err(ColumnsError::SubjectOutOfRange);
        }
        let before = self.subjects.len();
        self.subjects.push(row.subject);
        self.times_ms.push(row.time_ms());
        self.names.push(self.name_dictionary.code(row.name)?);
        for ((codes, dictionary), text) in self.texts.iter_mut().zip(row.dimensions) {
            let text = text.unwrap_or("");
            if text.is_empty() {
                push_sparse(codes, before, NOT_SET, NOT_SET);
            } else {
                if dictionary.texts.is_empty() {
                    dictionary.code("")?;
                }
                push_sparse(codes, before, dictionary.code(text)?, NOT_SET);
            }
        }
        push_sparse(&mut self.sessions, before, row.session, 0);
        let value = row.value.unwrap_or(f64::NAN);
        if !(value.is_nan() && self.values.is_empty()) {
            self.values.resize(before, f64::NAN);
            self.values.push(value);
        }
        Ok(())
    }

    fn finish(self) -> Result<Columns, ColumnsError> {
        let count = self.subjects.len();
        u32::try_from(count).map_err(|_| ColumnsError::TooManyEvents)?;
        let base_ms = self.times_ms.iter().min().copied().unwrap_or(0);
        let last_ms = self.times_ms.iter().max().copied().unwrap_or(0);
        let span_ms = last_ms.saturating_sub(base_ms);
        let span = u32::try_from(span_ms).map_err(|_| ColumnsError::SpanTooLong { span_ms })?;
        let mut order: Vec<(u32, u32, u32)> = (0_u32..)
            .zip(self.subjects.iter().zip(&self.times_ms))
            .map(|(row, (&subject, &ms))| (subject, u32::try_from(ms - base_ms).unwrap_or(span), row))
            .collect();
        order.sort_unstable();

        let mut columns = Columns { base_ms, span_ms: span, ..Columns::default() };
        let (mut subjects, mut offsets) = (Vec::new(), Vec::new());
        for (at, &(subject, _, _)) in (0_u32..).zip(&order) {
            if subjects.last() != Some(&subject) {
                subjects.push(subject);
                offsets.push(at);
            }
        }
        offsets.push(order.len() as u32);
        (columns.subjects, columns.offsets) = (subjects.into(), offsets.into());
        columns.times = order.iter().map(|&(_, time, _)| time).collect::<Vec<_>>().into();
        columns.names = gather(&self.names, &order);
        columns.name_dictionary = self.name_dictionary.texts.into();
        for (column, (codes, dictionary)) in columns.texts.iter_mut().zip(self.texts) {
            *column = TextColumn { codes: gather(&codes, &order), dictionary: dictionary.texts.into() };
        }
        columns.sessions = gather(&self.sessions, &order);
        columns.values = Arc::new(gather_vec(&self.values, &order).into());
        Ok(columns)
    }
}

/// Adds to a column that stays empty until something is set in it.
fn push_sparse<T: Copy + PartialEq>(column: &mut Vec<T>, before: usize, item: T, none: T) {
    if item != none || !column.is_empty() {
        column.resize(before, none);
        column.push(item);
    }
}

fn gather<T: Copy>(column: &[T], order: &[(u32, u32, u32)]) -> Shared<T> {
    gather_vec(column, order).into()
}

fn gather_vec<T: Copy>(column: &[T], order: &[(u32, u32, u32)]) -> Vec<T> {
    let rows = if column.is_empty() { &[] } else { order };
    rows.iter().map(|&(_, _, row)| column[row as usize]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(rows: &Columns) -> Vec<(u32, i64, &str)> {
        rows.rows().map(|row| (row.subject, row.time_micros, row.name)).collect()
    }

    #[test]
    fn rows_are_ordered_by_subject_and_time_and_ties_stay_as_they_came() {
        let columns = Columns::from_rows([
            Row::new(7, 5_999, "late"),
            Row::new(2, 9_000, "c"),
            Row::new(7, 5_000, "same millisecond"),
            Row::new(7, -1, "before 1970"),
            Row::new(2, 1_000, "a"),
        ])
        .unwrap();
        columns.check().unwrap();
        assert_eq!(*columns.subjects, [2, 7]);
        assert_eq!(*columns.offsets, [0, 2, 5]);
        assert_eq!(
            named(&columns),
            [
                (2, 1_000, "a"),
                (2, 9_000, "c"),
                (7, -1_000, "before 1970"),
                (7, 5_000, "late"),
                (7, 5_000, "same millisecond")
            ]
        );
    }

    #[test]
    fn columns_that_nobody_sets_take_no_memory_and_others_come_back() {
        let mut first = Row::new(0, 0, "a");
        first.dimensions[Dimension::Plan.index()] = Some("");
        let mut second = Row::new(0, 1_000, "b");
        second.dimensions[Dimension::Course.index()] = Some("algebra");
        second.session = 9;
        second.value = Some(2.5);
        let columns = Columns::from_rows([second, first]).unwrap();
        columns.check().unwrap();
        assert!(columns.text(Dimension::Plan).codes.is_empty());
        assert_eq!(*columns.text(Dimension::Course).codes, [0, 1]);
        assert_eq!(*columns.text(Dimension::Course).dictionary, ["", "algebra"]);
        assert_eq!(columns.rows().nth(1), Some(second));
        assert_eq!(columns.rows().next().and_then(|row| row.value), None);
    }

    #[test]
    fn limits_are_refused() {
        let long = [Row::new(0, 0, "a"), Row::new(0, (SPAN_MS_MAX + 1) * 1000, "a")];
        assert_eq!(Columns::from_rows(long), Err(ColumnsError::SpanTooLong { span_ms: SPAN_MS_MAX + 1 }));
        let fits = [Row::new(0, 0, "a"), Row::new(0, SPAN_MS_MAX * 1000, "a")];
        assert_eq!(Columns::from_rows(fits).map(|it| it.span_ms), Ok(u32::MAX));
        assert_eq!(Columns::from_rows([Row::new(u32::MAX, 0, "a")]), Err(ColumnsError::SubjectOutOfRange));
        let names: Vec<String> = (0..=65_536).map(|number| number.to_string()).collect();
        let rows = names.iter().map(|name| Row::new(0, 0, name));
        assert_eq!(Columns::from_rows(rows), Err(ColumnsError::DictionaryFull { column: "name" }));
    }

    #[test]
    fn erased_subjects_are_gone() {
        let columns = Columns::from_rows((0..6).map(|subject| Row::new(subject, 0, "a"))).unwrap();
        let left = columns.without_subjects(&[0, 3, 9]).unwrap();
        left.check().unwrap();
        assert_eq!(*left.subjects, [1, 2, 4, 5]);
    }
}
