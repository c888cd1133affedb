use serde::{Deserialize, Serialize};

/// One page of a list, in a stable order, with the place where the next one begins.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Page<T> {
    /// The rows of this page; at most as many as the request's limit.
    pub items: Vec<T>,
    /// Where the next page begins; `None` on the last page.
    pub next: Option<Cursor>,
}

impl<T> Page<T> {
    /// Cuts `rows`, read with a limit of one more than asked for, into a page.
    #[must_use]
    pub fn from_rows(mut rows: Vec<T>, limit: usize, cursor: impl Fn(&T) -> Cursor) -> Self {
        let more = rows.len() > limit;
        rows.truncate(limit);
        let next = if more { rows.last().map(cursor) } else { None };
        Self { items: rows, next }
    }
}

/// Which page of a list is wanted: keyset paging, never an offset.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PageRequest {
    limit: u16,
    /// The cursor of the page before; `None` for the first page.
    pub after: Option<Cursor>,
}

impl PageRequest {
    /// The most rows on a page.
    pub const LIMIT_MAX: u16 = 200;

    /// A request for at most `limit` rows, cut to 1..=[`Self::LIMIT_MAX`].
    #[must_use]
    pub fn new(limit: u16, after: Option<Cursor>) -> Self {
        Self { limit: limit.clamp(1, Self::LIMIT_MAX), after }
    }

    /// The first page of `limit` rows.
    #[must_use]
    pub fn first(limit: u16) -> Self {
        Self::new(limit, None)
    }

    /// The most rows that the page may hold.
    #[must_use]
    pub fn limit(&self) -> usize {
        usize::from(self.limit)
    }
}

/// An opaque place in a list: the sort key of the last row, as text that goes unharmed through a URL.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Cursor(String);

impl Cursor {
    /// A cursor of the parts of a sort key, none of which may contain `~`.
    #[must_use]
    pub fn of(parts: &[&dyn std::fmt::Display]) -> Self {
        Self(parts.iter().map(ToString::to_string).collect::<Vec<_>>().join("~"))
    }

    /// The parts of the sort key; `None` if there are not exactly `N`.
    #[must_use]
    pub fn parts<const N: usize>(&self) -> Option<[&str; N]> {
        self.0.split('~').collect::<Vec<_>>().try_into().ok()
    }

    /// The cursor as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<String> for Cursor {
    fn from(text: String) -> Self {
        Self(text)
    }
}
