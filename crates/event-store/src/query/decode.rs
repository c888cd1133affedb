//! Batches as the columns that kernels read.

use std::collections::HashMap;
use std::sync::Arc;

use crate::columns::{Columns, ColumnsError, Dimension, PropColumn, PropName, SPAN_MS_MAX, TextColumn};
use crate::gather::places_in_order;
use crate::{Batch, NO_SUBJECT, TextField, Texts};

/// Events in memory, those without a subject apart: nothing that is about subjects reads them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Decoded {
    /// Events of subjects.
    pub(crate) known: Vec<Columns>,
    /// Events without a subject, all under one number.
    pub(crate) nobody: Vec<Columns>,
    /// Which events of the part those columns hold, in their order, those of nobody first.
    rows: Vec<Rows>,
}

impl Decoded {
    /// Columns that hold the events of a part one after the other, those of nobody first.
    pub(crate) fn in_order(known: Vec<Columns>, nobody: Vec<Columns>) -> Self {
        let mut start = 0;
        let rows = nobody.iter().chain(&known).map(|columns| {
            let rows = Rows::Range(start, start + columns.len());
            start += columns.len();
            rows
        });
        let rows = rows.collect();
        Self { known, nobody, rows }
    }

    /// The same events with properties, each column of which holds all events of the part.
    pub(crate) fn with_props(&self, props: &[(PropName, PropColumn)]) -> Self {
        let mut rows = self.rows.iter();
        let mut all = |columns: &[Columns]| -> Vec<Columns> {
            let pairs = columns.iter().zip(rows.by_ref());
            let with_props = pairs.map(|(columns, rows)| {
                props.iter().fold(columns.clone(), |columns, (name, column)| {
                    let column = match rows {
                        Rows::Range(start, end) => column.slice(*start..*end),
                        Rows::List(list) => column.pick(list.iter().map(|place| *place as usize)),
                    };
                    columns.with_prop(name.clone(), column)
                })
            });
            with_props.collect()
        };
        Self { nobody: all(&self.nobody), known: all(&self.known), rows: Vec::new() }
    }

    /// The same without the events outside of what `cut` keeps.
    pub(crate) fn cut(&self, cut: impl Fn(&Columns) -> Option<Columns>) -> Self {
        let all = |columns: &[Columns]| columns.iter().filter_map(&cut).collect();
        Self { known: all(&self.known), nobody: all(&self.nobody), rows: Vec::new() }
    }

    /// About how many bytes of memory that takes.
    pub(crate) fn weight(&self) -> usize {
        let rows = self.rows.iter().map(|rows| match rows {
            Rows::Range(..) => 0,
            Rows::List(list) => list.len() * 4,
        });
        self.known.iter().chain(&self.nobody).map(weight).sum::<usize>() + rows.sum::<usize>()
    }
}

fn weight(columns: &Columns) -> usize {
    size_of::<Columns>()
        + (columns.subjects.len() + columns.offsets.len() + columns.times.len()) * 4
        + columns.names.len() * 2
        + dictionary_weight(&columns.name_dictionary)
        + columns.texts.iter().map(text_weight).sum::<usize>()
        + columns.values.weight()
        + columns.by_name.weight()
}

/// About how many bytes of memory a column of texts takes.
pub(crate) fn text_weight(text: &TextColumn) -> usize {
    text.codes.len() * 2 + dictionary_weight(&text.dictionary)
}

fn dictionary_weight(texts: &[String]) -> usize {
    texts.iter().map(|text| text.len() + 24).sum()
}

/// Which column a dimension is read from.
pub(crate) const fn text_field(dimension: Dimension) -> TextField {
    match dimension {
        Dimension::Course => TextField::Course,
        Dimension::Lesson => TextField::Lesson,
        Dimension::Exercise => TextField::Exercise,
        Dimension::Country => TextField::Country,
        Dimension::Browser => TextField::Browser,
        Dimension::Os => TextField::Os,
        Dimension::Device => TextField::Device,
        Dimension::Referrer => TextField::Referrer,
        Dimension::UtmSource => TextField::UtmSource,
        Dimension::Plan => TextField::Plan,
    }
}

/// Decodes one batch that is sorted by subject and time.
pub(crate) fn decode_sorted(batch: &Batch, wants: Wants) -> Result<Decoded, ColumnsError> {
    let known = batch.subjects.partition_point(|subject| *subject == NO_SUBJECT);
    let count = batch.count.min(batch.subjects.len());
    Decoder { batches: &[batch], order: None, wants }.decode(known, count)
}

/// Decodes batches in any order as one.
pub(crate) fn decode_together(batches: &[&Batch], wants: Wants) -> Result<Decoded, ColumnsError> {
    let order = places_in_order(batches);
    let subject = |(batch, row): &(u32, u32)| {
        batches.get(*batch as usize).and_then(|batch| batch.subjects.get(*row as usize)).copied()
    };
    let known = order.partition_point(|place| subject(place).unwrap_or(NO_SUBJECT) == NO_SUBJECT);
    let count = order.len();
    Decoder { batches, order: Some(order), wants }.decode(known, count)
}

/// Which columns, besides subject, time and name.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Wants {
    /// By [`Dimension::index`].
    pub(crate) dimensions: [bool; Dimension::COUNT],
    pub(crate) values: bool,
}

impl Wants {
    /// Every column.
    pub(crate) const ALL: Self = Self { dimensions: [true; Dimension::COUNT], values: true };
}

/// Rows of a part in the order of columns, by their places in the order of a segment.
#[derive(Debug, Clone)]
enum Rows {
    /// From here to before there.
    Range(usize, usize),
    List(Vec<u32>),
}

impl Rows {
    fn len(&self) -> usize {
        match self {
            Self::Range(start, end) => end.saturating_sub(*start),
            Self::List(list) => list.len(),
        }
    }

    fn each(&self, mut take: impl FnMut(usize)) {
        match self {
            Self::Range(start, end) => (*start..*end).for_each(take),
            Self::List(list) => list.iter().for_each(|place| take(*place as usize)),
        }
    }
}

struct Decoder<'a> {
    batches: &'a [&'a Batch],
    /// Batch and row by place; without it the rows of the only batch are in order.
    order: Option<Vec<(u32, u32)>>,
    wants: Wants,
}

impl Decoder<'_> {
    /// Decodes all rows, those from `known` on as events of subjects.
    fn decode(&self, known: usize, count: usize) -> Result<Decoded, ColumnsError> {
        let (mut nobody, mut of_subjects) = (Vec::new(), Vec::new());
        self.add(Rows::Range(0, known), &mut nobody)?;
        self.add(Rows::Range(known, count), &mut of_subjects)?;
        let (nobody, mut rows): (Vec<_>, Vec<_>) = nobody.into_iter().unzip();
        let (known, rows_of_subjects): (Vec<_>, Vec<_>) = of_subjects.into_iter().unzip();
        rows.extend(rows_of_subjects);
        Ok(Decoded { known, nobody, rows })
    }

    fn each(&self, rows: &Rows, mut take: impl FnMut(usize, usize)) {
        rows.each(|place| {
            let (batch, row) = self.place(place);
            take(batch, row);
        });
    }

    /// Decodes rows to as few columns as their limits allow.
    fn add(&self, rows: Rows, into: &mut Vec<(Columns, Rows)>) -> Result<(), ColumnsError> {
        if rows.len() == 0 {
            return Ok(());
        }
        let (mut first, mut last) = (i64::MAX, i64::MIN);
        self.each(&rows, |batch, row| {
            let ms = self.time_ms(batch, row);
            (first, last) = (first.min(ms), last.max(ms));
        });
        if last - first > SPAN_MS_MAX {
            let mut stretches: Vec<Vec<u32>> = Vec::new();
            rows.each(|place| {
                let (batch, row) = self.place(place);
                let at = ((self.time_ms(batch, row) - first) / (SPAN_MS_MAX + 1)) as usize;
                if stretches.len() <= at {
                    stretches.resize_with(at + 1, Vec::new);
                }
                if let Some(stretch) = stretches.get_mut(at) {
                    stretch.push(place as u32);
                }
            });
            return stretches.into_iter().try_for_each(|stretch| self.add(Rows::List(stretch), into));
        }
        match self.columns(&rows, first, last) {
            Ok(columns) => into.push((columns, rows)),
            Err(ColumnsError::DictionaryFull { .. }) if rows.len() > 1 => {
                let middle = rows.len() / 2;
                let (before, after) = match rows {
                    Rows::Range(start, end) => {
                        (Rows::Range(start, start + middle), Rows::Range(start + middle, end))
                    }
                    Rows::List(mut list) => {
                        let after = list.split_off(middle);
                        (Rows::List(list), Rows::List(after))
                    }
                };
                self.add(before, into)?;
                self.add(after, into)?;
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }

    fn columns(&self, rows: &Rows, base_ms: i64, last_ms: i64) -> Result<Columns, ColumnsError> {
        let count = u32::try_from(rows.len()).map_err(|_| ColumnsError::TooManyEvents)?;
        let span_ms = u32::try_from(last_ms - base_ms)
            .map_err(|_| ColumnsError::SpanTooLong { span_ms: last_ms - base_ms })?;
        let mut columns = Columns { base_ms, span_ms, ..Columns::default() };
        let (mut subjects, mut offsets) = (Vec::new(), Vec::new());
        let mut times: Vec<u32> = Vec::with_capacity(rows.len());
        let mut before = None;
        self.each(rows, |batch, row| {
            let subject = self.subject(batch, row);
            if before != Some(subject) {
                subjects.push(subject);
                offsets.push(times.len() as u32);
                before = Some(subject);
            }
            times.push(self.time_ms(batch, row).abs_diff(base_ms) as u32);
        });
        offsets.push(count);
        (columns.subjects, columns.offsets, columns.times) = (subjects.into(), offsets.into(), times.into());
        let found = self.texts(TextField::Name, rows, "name")?;
        // A name is always set, so its codes need no place for none.
        let mut names: Vec<u16> = found.codes.iter().map(|code| code.saturating_sub(1)).collect();
        names.resize(rows.len(), 0);
        columns.names = names.into();
        let mut dictionary: Vec<String> = found.dictionary.iter().skip(1).cloned().collect();
        if dictionary.is_empty() {
            dictionary.push(String::new());
        }
        columns.name_dictionary = dictionary.into();
        for dimension in Dimension::ALL {
            if self.wants.dimensions.get(dimension.index()) == Some(&true)
                && let Some(text) = columns.texts.get_mut(dimension.index())
            {
                *text = self.texts(text_field(dimension), rows, dimension.as_str())?;
            }
        }
        if self.wants.values {
            let mut values = Vec::with_capacity(rows.len());
            self.each(rows, |batch, row| {
                let value = self.batches.get(batch).and_then(|batch| batch.values.get(row));
                values.push(value.copied().unwrap_or(f64::NAN));
            });
            columns.values = Arc::new(values.into());
        }
        Ok(columns)
    }

    fn texts(&self, field: TextField, rows: &Rows, column: &'static str) -> Result<TextColumn, ColumnsError> {
        let sources: Vec<&Texts> =
            self.batches.iter().filter_map(|batch| batch.texts.get(field.index())).collect();
        if sources.iter().all(|texts| texts.codes.is_empty()) {
            return Ok(TextColumn::default());
        }
        // By batch and code, the code here; 0 for not known yet.
        let mut known: Vec<Vec<u16>> = sources.iter().map(|texts| vec![0; texts.dictionary.len()]).collect();
        let (mut codes, mut dictionary) = (Vec::with_capacity(rows.len()), vec![String::new()]);
        let mut by_text: HashMap<&str, u16> = HashMap::new();
        let mut is_full = false;
        self.each(rows, |batch, row| {
            let code = sources.get(batch).and_then(|texts| texts.codes.get(row)).copied().unwrap_or(0);
            let place = known.get_mut(batch).and_then(|known| known.get_mut(code as usize));
            let Some(place) = place else {
                codes.push(0);
                return;
            };
            if code != 0 && *place == 0 {
                let words = sources.get(batch).and_then(|texts| texts.dictionary.get(code as usize));
                let words = words.map_or("", String::as_str);
                *place = *by_text.entry(words).or_insert_with(|| {
                    let code = u16::try_from(dictionary.len()).unwrap_or(0);
                    is_full |= code == 0;
                    dictionary.push(words.to_owned());
                    code
                });
            }
            codes.push(*place);
        });
        if is_full {
            return Err(ColumnsError::DictionaryFull { column });
        }
        if dictionary.len() == 1 {
            return Ok(TextColumn::default());
        }
        Ok(TextColumn { codes: codes.into(), dictionary: dictionary.into() })
    }

    fn place(&self, place: usize) -> (usize, usize) {
        match &self.order {
            None => (0, place),
            Some(order) => order.get(place).map_or((0, 0), |(batch, row)| (*batch as usize, *row as usize)),
        }
    }

    fn time_ms(&self, batch: usize, row: usize) -> i64 {
        let time = self.batches.get(batch).and_then(|batch| batch.times.get(row));
        time.copied().unwrap_or(0).div_euclid(1000)
    }

    fn subject(&self, batch: usize, row: usize) -> u32 {
        let subject = self.batches.get(batch).and_then(|batch| batch.subjects.get(row));
        subject.copied().unwrap_or(NO_SUBJECT)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::BatchBuilder;
    use crate::columns::Row;
    use crate::{Event, Fields};
    use belvedere_kernel::SubjectId;
    use belvedere_storage::Timestamp;

    /// Numbers that look random and are the same in every run.
    struct Random(u64);

    impl Random {
        fn below(&mut self, end: u64) -> u64 {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            (self.0 >> 20) % end
        }
    }

    /// The event of that number: everything about it follows from the number.
    fn event(number: u64) -> Event {
        let mut id = [0; 16];
        id[8..].copy_from_slice(&number.to_be_bytes());
        let micros = 1_795_000_000_000_000 + (number * 7_919 % 100_000).cast_signed() * 12_345_678;
        let mut event = Event::new(id, Timestamp::from_micros(micros), format!("name-{}", number % 4));
        event.subject = Some(SubjectId((number % 7).cast_signed())).filter(|subject| subject.0 < 6);
        event.course = (!number.is_multiple_of(3)).then(|| format!("course-{}", number % 5));
        event.plan = number.is_multiple_of(11).then(|| "free".to_owned());
        event.value = number.is_multiple_of(2).then_some(number as f64 / 4.0);
        event
    }

    const ALL: Wants = Wants::ALL;

    fn batch(events: &[Event]) -> Batch {
        let mut builder = BatchBuilder::new(Fields::ALL);
        for event in events {
            builder.push(event, event.subject.map_or(NO_SUBJECT, |subject| subject.0 as u32 + 1));
        }
        builder.finish()
    }

    /// What the columns hold, plainly.
    fn plain(all: &[Columns]) -> Vec<String> {
        all.iter().for_each(|columns| columns.check().unwrap());
        let rows = all.iter().flat_map(|columns| columns.rows());
        let mut rows: Vec<String> = rows.map(|row| format!("{row:?}")).collect();
        rows.sort();
        rows
    }

    fn expected(events: &[Event], wanted: bool) -> Vec<String> {
        let events = events.iter().filter(|event| event.subject.is_some() == wanted);
        let mut rows: Vec<String> = events
            .map(|event| {
                let subject = event.subject.map_or(NO_SUBJECT, |subject| subject.0 as u32 + 1);
                let mut row = Row::new(subject, event.at.as_micros().div_euclid(1000) * 1000, &event.name);
                for (dimension, (_, text)) in row.dimensions.iter_mut().zip(event.texts().into_iter().skip(1))
                {
                    *dimension = text;
                }
                row.value = event.value;
                format!("{row:?}")
            })
            .collect();
        rows.sort();
        rows
    }

    #[test]
    fn batches_come_back_as_rows_one_by_one_and_together() {
        let mut random = Random(3);
        for _ in 0..200 {
            let events: Vec<Event> = (0..random.below(60)).map(|_| event(random.below(500))).collect();
            let cut = random.below(events.len() as u64 + 1) as usize;
            let (first, second) = (batch(&events[..cut]), batch(&events[cut..]));
            let together = decode_together(&[&first, &second], ALL).unwrap();
            assert_eq!(plain(&together.known), expected(&events, true));
            assert_eq!(plain(&together.nobody), expected(&events, false));
            let whole = batch(&events);
            let mut sorted = BatchBuilder::new(Fields::ALL);
            let mut codes = crate::batch::Recoding::default();
            let places = places_in_order(&[&whole]);
            places.into_iter().for_each(|(_, row)| sorted.push_row(&whole, row as usize, &mut codes));
            let one = decode_sorted(&sorted.finish(), ALL).unwrap();
            assert_eq!(plain(&one.known), expected(&events, true));
            assert_eq!(plain(&one.nobody), expected(&events, false));
            assert!(events.is_empty() || one.weight() > 0);
        }
    }

    #[test]
    fn what_does_not_fit_one_becomes_several() {
        let mut many: Vec<Event> =
            (0..80_000).map(|number| Event { lesson: Some(number.to_string()), ..event(number) }).collect();
        many[7].at = crate::TIME_MIN;
        let decoded = decode_together(&[&batch(&many)], ALL).unwrap();
        assert!(decoded.known.len() >= 3, "{}", decoded.known.len());
        assert_eq!(plain(&decoded.known), expected(&many, true));
        let few = decode_together(&[&batch(&many)], Wants::default()).unwrap();
        assert!(few.known.iter().all(|columns| columns.texts.iter().all(|text| text.codes.is_empty())));
    }
}
