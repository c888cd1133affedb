//! Conditions on events, compiled against the dictionaries of a segment.
//!
//! A condition on a text is decided once per text of the dictionary, so an event costs one table look-up.

use std::sync::Arc;

use crate::columns::{Columns, Dimension, PropColumn, PropName, number};
use crate::kernel::subject_set::SubjectSet;

/// Which events count.
#[derive(Clone, Debug, PartialEq)]
pub enum Filter {
    /// Events that every one of these holds for; all events if there is none.
    And(Vec<Filter>),
    /// Events that at least one of these holds for; no event if there is none.
    Or(Vec<Filter>),
    /// Events that this does not hold for.
    Not(Box<Filter>),
    /// Events by their name, which is always set.
    Name(TextTest),
    /// Events by a text column.
    Dimension(Dimension, TextTest),
    /// Events by their value.
    Value(ValueTest),
    /// Events by a property.
    Prop(PropName, PropTest),
    /// Events of the subjects of a cohort.
    Subjects(Arc<SubjectSet>),
}

impl Filter {
    /// Every event.
    #[must_use]
    pub const fn all() -> Self {
        Self::And(Vec::new())
    }

    /// Whether it asks who the subject is.
    pub(crate) fn reads_subject(&self) -> bool {
        match self {
            Self::And(filters) | Self::Or(filters) => filters.iter().any(Self::reads_subject),
            Self::Not(filter) => filter.reads_subject(),
            Self::Subjects(_) => true,
            Self::Name(_) | Self::Dimension(..) | Self::Value(_) | Self::Prop(..) => false,
        }
    }

    /// Events of that name.
    #[must_use]
    pub fn name(name: impl Into<String>) -> Self {
        Self::Name(TextTest::Is(name.into()))
    }
}

/// A condition on a text; texts are compared byte by byte, so upper and lower case differ.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TextTest {
    /// Set, and this text.
    Is(String),
    /// Not this text; also holds where none is set.
    IsNot(String),
    /// Set, and this text occurs in it.
    Contains(String),
    /// Set, and one of these.
    In(Vec<String>),
    /// Any text is set.
    Set,
    /// No text is set.
    NotSet,
}

impl TextTest {
    /// Whether it holds for a text.
    #[must_use]
    pub fn holds(&self, text: Option<&str>) -> bool {
        match self {
            Self::Is(wanted) => text == Some(wanted),
            Self::IsNot(unwanted) => text != Some(unwanted),
            Self::Contains(part) => text.is_some_and(|text| text.contains(part)),
            Self::In(wanted) => text.is_some_and(|text| wanted.iter().any(|wanted| wanted == text)),
            Self::Set => text.is_some(),
            Self::NotSet => text.is_none(),
        }
    }
}

/// A condition on a value; the comparisons hold for no event without a value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum ValueTest {
    /// Set, and greater.
    Greater(f64),
    /// Set, and less.
    Less(f64),
    /// Set, and exactly equal.
    Equal(f64),
    /// Any value is set.
    Set,
    /// No value is set.
    NotSet,
}

impl ValueTest {
    /// Whether it holds for a value, NaN being none.
    #[must_use]
    #[expect(clippy::float_cmp, reason = "a filter on equality asks for exact equality")]
    pub fn holds(self, value: f64) -> bool {
        match self {
            Self::Greater(limit) => value > limit,
            Self::Less(limit) => value < limit,
            Self::Equal(wanted) => value == wanted,
            Self::Set => !value.is_nan(),
            Self::NotSet => value.is_nan(),
        }
    }
}

/// A condition on a property, whose value is a text that may be a number.
#[derive(Clone, Debug, PartialEq)]
pub enum PropTest {
    /// On the text.
    Text(TextTest),
    /// On the number that the text is; other texts count as no value.
    Number(ValueTest),
}

impl PropTest {
    /// Whether it holds for the text of a property.
    #[must_use]
    pub fn holds(&self, text: Option<&str>) -> bool {
        match self {
            Self::Text(test) => test.holds(text),
            Self::Number(test) => test.holds(text.and_then(number).unwrap_or(f64::NAN)),
        }
    }
}

/// What the name of an event alone says about a filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    No,
    Yes,
    Unknown,
}

impl From<bool> for Verdict {
    fn from(held: bool) -> Self {
        if held { Self::Yes } else { Self::No }
    }
}

/// A filter, compiled for one segment.
#[derive(Clone, Debug)]
pub struct Selection {
    /// By code of the name.
    verdicts: Vec<Verdict>,
    predicate: Predicate,
}

impl Selection {
    /// Compiles a filter for a segment.
    #[must_use]
    pub fn compile(filter: &Filter, columns: &Columns) -> Self {
        let predicate = Predicate::compile(filter, columns);
        let verdicts = (0..columns.name_dictionary.len()).map(|name| predicate.verdict(name)).collect();
        Self { verdicts, predicate }
    }

    /// Whether an event of that segment is selected, given its subject and row.
    #[inline]
    #[must_use]
    pub fn holds(&self, columns: &Columns, subject: u32, row: usize) -> bool {
        match self.verdicts[usize::from(columns.names[row])] {
            Verdict::No => false,
            Verdict::Yes => true,
            Verdict::Unknown => self.predicate.holds(columns, subject, row),
        }
    }

    /// Whether no event of that segment can be selected.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.verdicts.iter().all(|&verdict| verdict == Verdict::No)
    }
}

#[derive(Clone, Debug)]
enum Predicate {
    And(Vec<Predicate>),
    Or(Vec<Predicate>),
    Not(Box<Predicate>),
    /// Whether it holds, by code of the name.
    Name(Vec<bool>),
    /// Whether it holds, by code of the text; never empty.
    Text(Dimension, Vec<bool>),
    Value(ValueTest),
    /// Whether it holds, by code of the text; never empty.
    Prop(PropColumn, Vec<bool>),
    Subjects(Arc<SubjectSet>),
    Constant(bool),
}

impl Predicate {
    fn compile(filter: &Filter, columns: &Columns) -> Self {
        let compile_all = |filters: &[Filter]| filters.iter().map(|it| Self::compile(it, columns)).collect();
        match filter {
            Filter::And(filters) => Self::And(compile_all(filters)),
            Filter::Or(filters) => Self::Or(compile_all(filters)),
            Filter::Not(filter) => Self::Not(Box::new(Self::compile(filter, columns))),
            Filter::Name(test) => {
                Self::Name(columns.name_dictionary.iter().map(|name| test.holds(Some(name))).collect())
            }
            Filter::Dimension(dimension, test) => {
                let text = columns.text(*dimension);
                let set = text.dictionary.iter().skip(1).map(|text| test.holds(Some(text)));
                let table: Vec<bool> = std::iter::once(test.holds(None)).chain(set).collect();
                if text.codes.is_empty() { Self::Constant(table[0]) } else { Self::Text(*dimension, table) }
            }
            Filter::Value(test) if columns.values.is_empty() => Self::Constant(test.holds(f64::NAN)),
            Filter::Value(test) => Self::Value(*test),
            Filter::Prop(name, test) => match columns.prop(name) {
                Some(column) if !column.is_empty() => {
                    let set = column.dictionary().iter().skip(1).map(|text| test.holds(Some(text)));
                    Self::Prop(column.clone(), std::iter::once(test.holds(None)).chain(set).collect())
                }
                _ => Self::Constant(test.holds(None)),
            },
            Filter::Subjects(set) => Self::Subjects(Arc::clone(set)),
        }
    }

    fn verdict(&self, name: usize) -> Verdict {
        // A list is decided by its first deciding part, or by all of them together.
        let decide = |parts: &[Self], deciding: Verdict, otherwise: Verdict| {
            let mut verdict = otherwise;
            for part in parts {
                match part.verdict(name) {
                    it if it == deciding => return deciding,
                    Verdict::Unknown => verdict = Verdict::Unknown,
                    _ => {}
                }
            }
            verdict
        };
        match self {
            Self::And(parts) => decide(parts, Verdict::No, Verdict::Yes),
            Self::Or(parts) => decide(parts, Verdict::Yes, Verdict::No),
            Self::Not(part) => match part.verdict(name) {
                Verdict::No => Verdict::Yes,
                Verdict::Yes => Verdict::No,
                Verdict::Unknown => Verdict::Unknown,
            },
            Self::Name(table) => table[name].into(),
            Self::Constant(held) => (*held).into(),
            Self::Text(_, table) | Self::Prop(_, table) if table.iter().all(|&held| held == table[0]) => {
                table[0].into()
            }
            Self::Text(..) | Self::Prop(..) | Self::Value(_) | Self::Subjects(_) => Verdict::Unknown,
        }
    }

    fn holds(&self, columns: &Columns, subject: u32, row: usize) -> bool {
        match self {
            Self::And(parts) => parts.iter().all(|part| part.holds(columns, subject, row)),
            Self::Or(parts) => parts.iter().any(|part| part.holds(columns, subject, row)),
            Self::Not(part) => !part.holds(columns, subject, row),
            Self::Name(table) => table[usize::from(columns.names[row])],
            Self::Text(dimension, table) => table[usize::from(columns.texts[dimension.index()].codes[row])],
            Self::Value(test) => test.holds(columns.values.get(row)),
            Self::Prop(column, table) => table[column.code(row) as usize],
            Self::Subjects(set) => set.contains(subject),
            Self::Constant(held) => *held,
        }
    }
}

/// Up to 32 filters, compiled for one segment so that an event that none can select costs one look-up.
#[derive(Clone, Debug)]
pub(crate) struct Masks {
    /// By code of the name: the filters that select every such event, and those that must look further.
    by_name: Vec<(u32, u32)>,
    selections: Vec<Selection>,
}

impl Masks {
    pub(crate) fn compile<'f>(filters: impl IntoIterator<Item = &'f Filter>, columns: &Columns) -> Self {
        let selections: Vec<_> = filters.into_iter().map(|it| Selection::compile(it, columns)).collect();
        let mask_of = |name: usize, wanted: Verdict| {
            let bits =
                selections.iter().enumerate().map(|(bit, it)| u32::from(it.verdicts[name] == wanted) << bit);
            bits.fold(0, |mask, bit| mask | bit)
        };
        let by_name = (0..columns.name_dictionary.len())
            .map(|name| (mask_of(name, Verdict::Yes), mask_of(name, Verdict::Unknown)))
            .collect();
        Self { by_name, selections }
    }

    /// The filters that select an event, one bit each, given its row and the code of its name.
    #[inline]
    pub(crate) fn of(&self, columns: &Columns, subject: u32, row: usize, name: u16) -> u32 {
        let (held, unknown) = self.by_name[usize::from(name)];
        if unknown == 0 { held } else { self.look_further(columns, subject, row, held, unknown) }
    }

    fn look_further(&self, columns: &Columns, subject: u32, row: usize, held: u32, unknown: u32) -> u32 {
        let (mut held, mut unknown) = (held, unknown);
        while unknown != 0 {
            let bit = unknown.trailing_zeros();
            unknown &= unknown - 1;
            held |= u32::from(self.selections[bit as usize].predicate.holds(columns, subject, row)) << bit;
        }
        held
    }

    /// The filters that select an event, by code of its name, if the name decides that alone.
    pub(crate) fn by_name(&self) -> Option<Vec<u32>> {
        self.by_name.iter().map(|&(held, unknown)| (unknown == 0).then_some(held)).collect()
    }

    /// Whether none of the filters can select an event of the segment.
    pub(crate) fn is_empty(&self) -> bool {
        self.by_name.iter().all(|&(held, unknown)| held | unknown == 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::testing::{Case, Random, holds};

    #[test]
    fn a_compiled_filter_selects_what_a_plain_look_at_the_row_selects() {
        let mut random = Random::new(2);
        for _ in 0..3_000 {
            let case = Case::generate(&mut random);
            let filters: Vec<Filter> = (0..3).map(|_| random.filter(3)).collect();
            for columns in case.segments() {
                let masks = Masks::compile(&filters, columns);
                let mut selected = 0;
                for (at, row) in columns.rows().enumerate() {
                    for (bit, filter) in filters.iter().enumerate() {
                        let expected = holds(filter, &row);
                        selected += u32::from(expected);
                        let selection = Selection::compile(filter, columns);
                        assert_eq!(selection.holds(columns, row.subject, at), expected, "{filter:?} {row:?}");
                        assert_eq!(
                            masks.of(columns, row.subject, at, columns.names[at]) >> bit & 1 == 1,
                            expected
                        );
                    }
                }
                assert!(selected == 0 || !masks.is_empty());
            }
        }
    }

    #[test]
    fn a_text_that_is_not_set_is_not_another_text_and_holds_no_comparison() {
        assert!(TextTest::IsNot("a".into()).holds(None));
        assert!(!TextTest::Contains(String::new()).holds(None));
        assert!(TextTest::Contains("b".into()).holds(Some("abc")));
        assert!(!TextTest::In(vec!["A".into()]).holds(Some("a")));
        assert!(!ValueTest::Less(9.0).holds(f64::NAN) && ValueTest::NotSet.holds(f64::NAN));
    }
}
