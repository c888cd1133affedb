//! Properties of events, as columns of texts that were read from their JSON.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

/// The name of a property: the keys that lead to it in the JSON object of an event, joined by dots.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PropName(Arc<str>);

impl PropName {
    /// The most bytes of a name.
    pub const BYTES_MAX: usize = 100;

    /// A name of 1 to [`PropName::BYTES_MAX`] bytes without control characters; none for anything else.
    #[must_use]
    pub fn try_new(name: &str) -> Option<Self> {
        let is_name = (1..=Self::BYTES_MAX).contains(&name.len()) && !name.chars().any(char::is_control);
        is_name.then(|| Self(name.into()))
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The number that a text of a property is; none for other texts and for what is not finite.
#[must_use]
pub fn number(text: &str) -> Option<f64> {
    text.parse().ok().filter(|number: &f64| number.is_finite())
}

/// Codes as narrow as the number of texts allows.
#[derive(Debug, PartialEq)]
enum Codes {
    Narrow(Vec<u16>),
    Wide(Vec<u32>),
}

/// The texts of one property, one per event; a clone shares them.
///
/// A text of the JSON counts as it is, a number or truth value as it is written there; an empty text, null and what is
/// not there count as not set.
#[derive(Clone, Debug)]
pub struct PropColumn {
    codes: Arc<Codes>,
    /// Which of the codes are those of this column.
    rows: Range<usize>,
    dictionary: Arc<Vec<String>>,
}

impl PropColumn {
    /// The column of a property that no event has.
    #[must_use]
    pub fn unset() -> Self {
        Self::of(Vec::new(), Arc::new(vec![String::new()]))
    }

    /// The code of the event in that row; 0 where there is none.
    #[inline]
    #[must_use]
    pub fn code(&self, row: usize) -> u32 {
        match &*self.codes {
            Codes::Narrow(codes) => codes.get(self.rows.start + row).map_or(0, |code| u32::from(*code)),
            Codes::Wide(codes) => codes.get(self.rows.start + row).copied().unwrap_or(0),
        }
    }

    /// The text of the event in that row.
    #[must_use]
    pub fn text(&self, row: usize) -> Option<&str> {
        let code = Some(self.code(row)).filter(|code| *code != 0)?;
        self.dictionary.get(code as usize).map(String::as_str)
    }

    /// The text of each code; the first is empty and stands for none.
    #[must_use]
    pub fn dictionary(&self) -> &[String] {
        &self.dictionary
    }

    /// Whether no event has a text; events of other rows of the same column count.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.dictionary.len() <= 1
    }

    /// About how many bytes of memory the column takes.
    pub(crate) fn weight(&self) -> usize {
        let codes = match &*self.codes {
            Codes::Narrow(codes) => codes.len() * 2,
            Codes::Wide(codes) => codes.len() * 4,
        };
        codes + self.dictionary.iter().map(|text| text.len() + 24).sum::<usize>() + size_of::<Self>()
    }

    /// The column of some of its rows that follow one another.
    pub(crate) fn slice(&self, rows: Range<usize>) -> Self {
        Self { rows: self.rows.start + rows.start..self.rows.start + rows.end, ..self.clone() }
    }

    /// The column of some of its rows, in their order.
    pub(crate) fn pick(&self, rows: impl IntoIterator<Item = usize>) -> Self {
        let codes = rows.into_iter().map(|row| self.code(row)).collect();
        Self::of(codes, Arc::clone(&self.dictionary))
    }

    fn of(codes: Vec<u32>, dictionary: Arc<Vec<String>>) -> Self {
        let rows = 0..codes.len();
        let codes = if dictionary.len() <= 1 {
            Codes::Narrow(Vec::new())
        } else if dictionary.len() <= 1 << 16 {
            Codes::Narrow(codes.into_iter().map(|code| code as u16).collect())
        } else {
            Codes::Wide(codes)
        };
        Self { codes: Arc::new(codes), rows, dictionary }
    }
}

impl PartialEq for PropColumn {
    fn eq(&self, other: &Self) -> bool {
        self.rows.len() == other.rows.len()
            && (0..self.rows.len()).all(|row| self.text(row) == other.text(row))
    }
}

/// A column that is being filled, event by event.
#[derive(Debug)]
pub struct PropColumnBuilder {
    codes: Vec<u32>,
    known: HashMap<String, u32>,
    dictionary: Vec<String>,
}

impl Default for PropColumnBuilder {
    fn default() -> Self {
        Self { codes: Vec::new(), known: HashMap::new(), dictionary: vec![String::new()] }
    }
}

impl PropColumnBuilder {
    /// Adds the text of the next event.
    pub fn push(&mut self, text: Option<&str>) {
        let code = match text.filter(|text| !text.is_empty()) {
            None => 0,
            Some(text) => self.known.get(text).copied().unwrap_or_else(|| {
                let code = u32::try_from(self.dictionary.len()).unwrap_or(0);
                self.known.insert(text.to_owned(), code);
                self.dictionary.push(text.to_owned());
                code
            }),
        };
        self.codes.push(code);
    }

    /// How many different texts there are.
    #[must_use]
    pub fn distinct(&self) -> usize {
        self.dictionary.len() - 1
    }

    /// The column.
    #[must_use]
    pub fn finish(self) -> PropColumn {
        PropColumn::of(self.codes, Arc::new(self.dictionary))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(texts: &[&str]) -> PropColumn {
        let mut builder = PropColumnBuilder::default();
        texts.iter().for_each(|text| builder.push(Some(text)));
        builder.finish()
    }

    #[test]
    fn slices_and_picks_have_the_texts_of_their_rows() {
        let column = column(&["a", "", "b", "a", "c"]);
        let texts = |column: &PropColumn, count| -> Vec<Option<String>> {
            (0..count).map(|row| column.text(row).map(str::to_owned)).collect()
        };
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(texts(&column, 5), [some("a"), None, some("b"), some("a"), some("c")]);
        let slice = column.slice(1..4);
        assert_eq!(texts(&slice, 3), [None, some("b"), some("a")]);
        assert_eq!(slice.slice(1..3), slice.pick([1, 2]));
        assert_eq!(texts(&slice.pick([2, 0]), 2), [some("a"), None]);
        assert!(!slice.is_empty() && super::PropColumnBuilder::default().finish().is_empty());
    }

    #[test]
    fn more_texts_than_two_bytes_tell_apart_take_four() {
        let texts: Vec<String> = (0..70_000).map(|number| number.to_string()).collect();
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        let column = column(&texts);
        assert_eq!((column.text(0), column.text(69_999)), (Some("0"), Some("69999")));
        assert!(column.weight() > 70_000 * 4);
    }

    #[test]
    fn names_and_numbers_have_their_limits() {
        assert!(PropName::try_new("").is_none() && PropName::try_new("a\n").is_none());
        assert!(PropName::try_new(&"x".repeat(101)).is_none());
        assert_eq!(PropName::try_new("plan.tier").unwrap().as_str(), "plan.tier");
        assert_eq!((number("2.5"), number("1e3"), number("-4")), (Some(2.5), Some(1000.0), Some(-4.0)));
        assert_eq!((number("NaN"), number("inf"), number("5 m"), number("")), (None, None, None, None));
    }
}
