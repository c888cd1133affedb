//! Sealed segments column by column: each is decoded once, whatever other columns a question reads.

use std::collections::HashMap;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int32Type, TimestampMicrosecondType, UInt32Type};
use arrow_array::{Array, ArrayRef, RecordBatch};

use super::decode::{Decoded, text_field, text_weight};
use crate::columns::{Columns, Dimension, SPAN_MS_MAX, Shared, TextColumn, Values};
use crate::{EventStoreError, Fields, NO_SUBJECT, Part, TextField};

/// What is decoded and cached at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Column {
    /// Subjects, times and names.
    Base,
    Text(Dimension),
    Values,
}

impl Column {
    fn fields(self) -> Fields {
        match self {
            Self::Base => Fields::TIME.and(Fields::SUBJECT).and(Fields::text(TextField::Name)),
            Self::Text(dimension) => Fields::text(text_field(dimension)),
            Self::Values => Fields::VALUE,
        }
    }
}

/// A column of the events of subjects, and of those without one, which a sealed segment begins with.
#[derive(Debug, Clone, Default)]
pub(crate) struct Sides<T> {
    known: T,
    nobody: T,
}

/// A decoded column.
#[derive(Debug)]
pub(crate) enum Piece {
    /// [`Columns`] without texts and values, at most one of either kind.
    Base(Decoded),
    Text(Dimension, Sides<TextColumn>),
    Values(Sides<Arc<Values>>),
    /// More different texts than codes: the segment has to be decoded in several parts.
    TooMany,
}

impl Piece {
    /// About how many bytes of memory that takes.
    pub(crate) fn weight(&self) -> usize {
        match self {
            Self::Base(decoded) => decoded.weight(),
            Self::Text(_, sides) => text_weight(&sides.known) + text_weight(&sides.nobody),
            Self::Values(sides) => sides.known.weight() + sides.nobody.weight(),
            Self::TooMany => size_of::<Self>(),
        }
    }
}

/// Whether the segment's times fit [`Columns`]; every segment of a month does.
pub(crate) fn fits(part: &Part) -> bool {
    part.last_micros.div_euclid(1000) - part.first_micros.div_euclid(1000) <= SPAN_MS_MAX
        && u32::try_from(part.count).is_ok()
}

/// Decodes columns of a segment that [`fits`], one row group of them in memory at a time.
pub(crate) fn decode(part: &Part, columns: &[Column]) -> Result<Vec<Piece>, EventStoreError> {
    let rows = usize::try_from(part.count).unwrap_or(0);
    let mut builders: Vec<Builder> = columns.iter().map(|column| Builder::new(*column, part, rows)).collect();
    // Where the events of subjects begin has to be known for every column.
    let mut nobody = 0;
    let fields = columns.iter().fold(Fields::SUBJECT, |fields, column| fields.and(column.fields()));
    part.scan(fields, |record| {
        let subjects = record.column_by_name("subject")?;
        nobody += subjects.null_count();
        builders.iter_mut().try_for_each(|builder| builder.take(record))
    })?;
    Ok(builders.into_iter().map(|builder| builder.finish(nobody)).collect())
}

/// The columns of a segment together; none if a part has to be decoded another way.
pub(crate) fn assemble(pieces: &[Arc<Piece>]) -> Option<Decoded> {
    let base = pieces.iter().find_map(|piece| match piece.as_ref() {
        Piece::Base(decoded) => Some(decoded.clone()),
        _ => None,
    });
    let mut decoded = base?;
    for piece in pieces {
        match piece.as_ref() {
            Piece::Base(_) => {}
            Piece::Text(dimension, sides) => {
                let index = dimension.index();
                decoded.known.iter_mut().for_each(|columns| columns.texts[index] = sides.known.clone());
                decoded.nobody.iter_mut().for_each(|columns| columns.texts[index] = sides.nobody.clone());
            }
            Piece::Values(sides) => {
                decoded.known.iter_mut().for_each(|columns| columns.values = Arc::clone(&sides.known));
                decoded.nobody.iter_mut().for_each(|columns| columns.values = Arc::clone(&sides.nobody));
            }
            Piece::TooMany => return None,
        }
    }
    Some(decoded)
}

enum Builder {
    Base(Base),
    Text(Dimension, Codes),
    Values(Vec<f64>),
}

impl Builder {
    fn new(column: Column, part: &Part, rows: usize) -> Self {
        match column {
            Column::Base => Self::Base(Base::new(part, rows)),
            Column::Text(dimension) => Self::Text(dimension, Codes::new(rows, vec![String::new()])),
            Column::Values => Self::Values(Vec::with_capacity(rows)),
        }
    }

    /// Adds the rows of a record; none if a column is not of its type.
    fn take(&mut self, record: &RecordBatch) -> Option<()> {
        match self {
            Self::Base(base) => base.take(record),
            Self::Text(dimension, codes) => {
                codes.take(record.column_by_name(text_field(*dimension).as_str())?)
            }
            Self::Values(values) => {
                let column = record.column_by_name("value")?.as_primitive_opt::<Float64Type>()?;
                match column.null_count() {
                    0 => values.extend_from_slice(column.values()),
                    _ => values.extend(column.iter().map(|value| value.unwrap_or(f64::NAN))),
                }
                Some(())
            }
        }
    }

    fn finish(self, nobody: usize) -> Piece {
        match self {
            Self::Base(base) => base.finish(nobody).map_or(Piece::TooMany, Piece::Base),
            Self::Text(dimension, codes) => {
                if codes.is_full {
                    return Piece::TooMany;
                }
                let dictionary: Shared<String> = codes.texts.into();
                let column = |codes: Vec<u16>| {
                    if codes.iter().all(|code| *code == 0) {
                        return TextColumn::default();
                    }
                    TextColumn { codes: codes.into(), dictionary: Arc::clone(&dictionary) }
                };
                let (nobody, known) = cut(codes.codes, nobody);
                Piece::Text(dimension, Sides { known: column(known), nobody: column(nobody) })
            }
            Self::Values(values) => {
                let set = |values: Vec<f64>| Arc::new(values.into());
                let (nobody, known) = cut(values, nobody);
                Piece::Values(Sides { known: set(known), nobody: set(nobody) })
            }
        }
    }
}

/// The first rows and the others.
fn cut<T>(mut rows: Vec<T>, first: usize) -> (Vec<T>, Vec<T>) {
    if first == 0 {
        return (Vec::new(), rows);
    }
    let others = rows.split_off(first.min(rows.len()));
    (rows, others)
}

/// Texts that are being coded.
struct Codes {
    codes: Vec<u16>,
    texts: Vec<String>,
    by_text: HashMap<String, u16>,
    is_full: bool,
}

impl Codes {
    /// The texts that have codes already stand for no text.
    fn new(rows: usize, texts: Vec<String>) -> Self {
        Self { codes: Vec::with_capacity(rows), texts, by_text: HashMap::new(), is_full: false }
    }

    fn take(&mut self, array: &ArrayRef) -> Option<()> {
        let array = array.as_dictionary_opt::<Int32Type>()?;
        let texts = array.values().as_string_opt::<i32>()?;
        let table: Vec<u16> = texts.iter().map(|text| self.code(text.unwrap_or_default())).collect();
        let keys = array.keys();
        let code = |key: i32| usize::try_from(key).ok().and_then(|key| table.get(key)).copied().unwrap_or(0);
        match keys.null_count() {
            0 => self.codes.extend(keys.values().iter().map(|key| code(*key))),
            _ => self.codes.extend(keys.iter().map(|key| key.map_or(0, code))),
        }
        Some(())
    }

    fn code(&mut self, text: &str) -> u16 {
        if let Some(code) = self.by_text.get(text) {
            return *code;
        }
        let Ok(code) = u16::try_from(self.texts.len()) else {
            self.is_full = true;
            return 0;
        };
        self.texts.push(text.to_owned());
        self.by_text.insert(text.to_owned(), code);
        code
    }
}

/// Subjects, times and names that are being decoded.
struct Base {
    /// What times are relative to until the end.
    base_ms: i64,
    subjects: Vec<u32>,
    offsets: Vec<u32>,
    times: Vec<u32>,
    names: Codes,
}

impl Base {
    fn new(part: &Part, rows: usize) -> Self {
        let base_ms = part.first_micros.div_euclid(1000);
        let (subjects, offsets) = (Vec::new(), Vec::new());
        Self {
            base_ms,
            subjects,
            offsets,
            times: Vec::with_capacity(rows),
            names: Codes::new(rows, Vec::new()),
        }
    }

    fn take(&mut self, record: &RecordBatch) -> Option<()> {
        let times = record.column_by_name("time")?.as_primitive_opt::<TimestampMicrosecondType>()?;
        let subjects = record.column_by_name("subject")?.as_primitive_opt::<UInt32Type>()?;
        let mut row = self.times.len() as u32;
        let mut last = self.subjects.last().copied();
        let mut note = |subject: u32| {
            if last != Some(subject) {
                self.subjects.push(subject);
                self.offsets.push(row);
                last = Some(subject);
            }
            row += 1;
        };
        match subjects.null_count() {
            0 => subjects.values().iter().for_each(|subject| note(*subject)),
            _ => subjects.iter().for_each(|subject| note(subject.unwrap_or(NO_SUBJECT))),
        }
        let base_micros = self.base_ms * 1000;
        let relative = |micros: &i64| (micros.wrapping_sub(base_micros).cast_unsigned() / 1000) as u32;
        self.times.extend(times.values().iter().map(relative));
        self.names.take(record.column_by_name("name")?)
    }

    /// None if there are too many names.
    fn finish(self, nobody: usize) -> Option<Decoded> {
        let Self { base_ms, subjects, mut offsets, times, names } = self;
        if names.is_full || !subjects.is_sorted_by(|a, b| a < b) {
            return None;
        }
        offsets.push(times.len() as u32);
        let dictionary: Shared<String> = names.texts.into();
        let columns = |subjects: Vec<u32>, offsets: Vec<u32>, mut times: Vec<u32>, names: Vec<u16>| {
            let least = times.iter().min().copied()?;
            if least > 0 {
                times.iter_mut().for_each(|time| *time -= least);
            }
            Some(Columns {
                subjects: subjects.into(),
                offsets: offsets.into(),
                base_ms: base_ms + i64::from(least),
                span_ms: times.iter().max().copied().unwrap_or(0),
                times: times.into(),
                names: names.into(),
                name_dictionary: Arc::clone(&dictionary),
                ..Columns::default()
            })
        };
        let first = usize::from(nobody > 0);
        let (no_subject, subjects) = cut(subjects, first);
        let (before, mut offsets) = cut(offsets, first);
        let nobody_offsets = before.into_iter().chain([nobody as u32]).collect();
        offsets.iter_mut().for_each(|offset| *offset -= nobody as u32);
        let (nobody_times, times) = cut(times, nobody);
        let (nobody_names, names) = cut(names.codes, nobody);
        Some(Decoded::in_order(
            columns(subjects, offsets, times, names).into_iter().collect(),
            columns(no_subject, nobody_offsets, nobody_times, nobody_names).into_iter().collect(),
        ))
    }
}
