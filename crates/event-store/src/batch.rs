//! Events in memory, column by column, as the tail and the segments hold them.

use std::collections::HashMap;

use crate::{Event, Fields, TextField};

/// The number of an event that has no subject; subjects count from 1.
pub const NO_SUBJECT: u32 = 0;

/// A column of texts: a code per event, and the text of each code.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Texts {
    /// One code per event, 0 for none; empty when no event has a text.
    pub codes: Vec<u32>,
    /// The text of each code; the first one is empty. A text can stand there twice.
    pub dictionary: Vec<String>,
}

impl Texts {
    /// The text of the event in that row.
    #[must_use]
    pub fn get(&self, row: usize) -> Option<&str> {
        let code = self.codes.get(row).copied().filter(|code| *code != 0)?;
        self.dictionary.get(code as usize).map(String::as_str)
    }

    fn put(&mut self, row: usize, code: u32) {
        if code != 0 || !self.codes.is_empty() {
            self.codes.resize(row, 0);
            self.codes.push(code);
        }
    }
}

/// Texts of any length, one per event; empty for none.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Strings {
    bytes: String,
    ends: Vec<usize>,
}

impl Strings {
    /// The text of the event in that row, empty for none.
    #[must_use]
    pub fn get(&self, row: usize) -> &str {
        let end = |row: usize| self.ends.get(row).copied().unwrap_or(self.bytes.len());
        let start = row.checked_sub(1).map_or(0, end);
        self.bytes.get(start..end(row)).unwrap_or_default()
    }

    pub(crate) fn push(&mut self, text: &str) {
        self.bytes.push_str(text);
        self.ends.push(self.bytes.len());
    }
}

/// Events, column by column; columns that were not asked for are empty.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Batch {
    /// How many events.
    pub count: usize,
    /// Which columns are there.
    pub fields: Fields,
    /// 16 bytes each.
    pub ids: Vec<[u8; 16]>,
    /// Microseconds since 1970 UTC.
    pub times: Vec<i64>,
    /// Dense numbers of subjects within the project, [`NO_SUBJECT`] for none.
    pub subjects: Vec<u32>,
    /// NaN for none.
    pub values: Vec<f64>,
    /// By [`TextField::index`].
    pub texts: [Texts; TextField::COUNT],
    /// JSON objects, or empty.
    pub props: Strings,
}

impl Batch {
    /// The text of an event.
    #[must_use]
    pub fn text(&self, field: TextField, row: usize) -> Option<&str> {
        self.texts[field.index()].get(row)
    }

    /// The name of an event; empty if names were not asked for.
    #[must_use]
    pub fn name(&self, row: usize) -> &str {
        self.text(TextField::Name, row).unwrap_or_default()
    }

    /// About how many bytes of memory the batch takes.
    #[must_use]
    pub fn weight(&self) -> usize {
        let texts = self.texts.iter().map(|texts| {
            texts.codes.len() * 4 + texts.dictionary.iter().map(|text| text.len() + 24).sum::<usize>()
        });
        size_of::<Self>()
            + self.ids.len() * 16
            + self.times.len() * 8
            + self.subjects.len() * 4
            + self.values.len() * 8
            + texts.sum::<usize>()
            + self.props.bytes.len()
            + self.props.ends.len() * 8
    }

    /// What segments are sorted by.
    pub(crate) fn sort_key(&self, row: usize) -> (u32, i64, [u8; 16]) {
        (
            self.subjects.get(row).copied().unwrap_or(NO_SUBJECT),
            self.times.get(row).copied().unwrap_or(0),
            self.ids.get(row).copied().unwrap_or_default(),
        )
    }

    /// The rows that `keep` wants, in their order.
    pub(crate) fn filter(&self, keep: impl Fn(&Self, usize) -> bool) -> Self {
        let mut builder = BatchBuilder::new(self.fields);
        let mut codes = Recoding::default();
        for row in (0..self.count).filter(|row| keep(self, *row)) {
            builder.push_row(self, row, &mut codes);
        }
        builder.finish()
    }

    /// The different names, sorted.
    pub(crate) fn names(&self) -> Vec<String> {
        let mut names: Vec<String> =
            self.texts[TextField::Name.index()].dictionary.iter().skip(1).cloned().collect();
        names.sort_unstable();
        names.dedup();
        names
    }

    /// Earliest and latest time; zeros if there is no event.
    pub(crate) fn time_span(&self) -> (i64, i64) {
        (self.times.iter().min().copied().unwrap_or(0), self.times.iter().max().copied().unwrap_or(0))
    }
}

/// What the codes of one source batch are in the batch being built; 0 for not known yet.
#[derive(Debug, Default)]
pub(crate) struct Recoding([Vec<u32>; TextField::COUNT]);

/// Puts events together to a [`Batch`], with each text once in its dictionary.
#[derive(Debug)]
pub(crate) struct BatchBuilder {
    batch: Batch,
    codes: [HashMap<String, u32>; TextField::COUNT],
}

impl BatchBuilder {
    pub(crate) fn new(fields: Fields) -> Self {
        let mut batch = Batch { fields, ..Batch::default() };
        for texts in &mut batch.texts {
            texts.dictionary.push(String::new());
        }
        Self { batch, codes: Default::default() }
    }

    pub(crate) fn len(&self) -> usize {
        self.batch.count
    }

    /// Adds an event with the dense number of its subject.
    pub(crate) fn push(&mut self, event: &Event, subject: u32) {
        self.batch.ids.push(event.id);
        self.batch.times.push(event.at.as_micros());
        self.batch.subjects.push(subject);
        self.batch.values.push(event.value.unwrap_or(f64::NAN));
        self.batch.props.push(&event.props);
        let texts = std::iter::once(Some(event.name.as_str())).chain(event.texts().map(|(_, text)| text));
        for (index, text) in texts.enumerate() {
            let code = self.code(index, text.unwrap_or_default());
            self.batch.texts[index].put(self.batch.count, code);
        }
        self.batch.count += 1;
    }

    /// Adds a row of another batch that has the same fields; `codes` belongs to that batch and this builder.
    pub(crate) fn push_row(&mut self, source: &Batch, row: usize, codes: &mut Recoding) {
        self.batch.ids.extend(source.ids.get(row));
        self.batch.times.extend(source.times.get(row));
        self.batch.subjects.extend(source.subjects.get(row));
        self.batch.values.extend(source.values.get(row));
        if self.batch.fields.contains(Fields::PROPS) {
            self.batch.props.push(source.props.get(row));
        }
        for (index, texts) in source.texts.iter().enumerate() {
            let code = texts.codes.get(row).map_or(0, |code| *code as usize);
            let known = &mut codes.0[index];
            if known.len() <= code {
                known.resize(texts.dictionary.len().max(code + 1), 0);
            }
            if code != 0 && known[code] == 0 {
                known[code] = self.code(index, texts.dictionary.get(code).map_or("", String::as_str));
            }
            self.batch.texts[index].put(self.batch.count, known[code]);
        }
        self.batch.count += 1;
    }

    fn code(&mut self, index: usize, text: &str) -> u32 {
        if text.is_empty() {
            return 0;
        }
        if let Some(code) = self.codes[index].get(text) {
            return *code;
        }
        let dictionary = &mut self.batch.texts[index].dictionary;
        let code = u32::try_from(dictionary.len()).unwrap_or(0);
        dictionary.push(text.to_owned());
        self.codes[index].insert(text.to_owned(), code);
        code
    }

    pub(crate) fn finish(self) -> Batch {
        let mut batch = self.batch;
        for texts in batch.texts.iter_mut().filter(|texts| !texts.codes.is_empty()) {
            texts.codes.resize(batch.count, 0);
        }
        batch
    }
}

/// Batches with the same fields, one after the other.
pub(crate) fn concat<'a>(fields: Fields, batches: impl IntoIterator<Item = &'a Batch>) -> Batch {
    let mut builder = BatchBuilder::new(fields);
    for batch in batches {
        let mut codes = Recoding::default();
        (0..batch.count).for_each(|row| builder.push_row(batch, row, &mut codes));
    }
    builder.finish()
}
