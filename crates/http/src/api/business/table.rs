//! Answers as JSON or as a CSV file.

use axum::Json;
use axum::response::{IntoResponse, Response};
use http::HeaderValue;
use http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use serde::Serialize;

use crate::problem::Problem;

/// What an answer comes as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    Json,
    Csv,
}

impl Format {
    pub(super) fn find(word: Option<&str>) -> Result<Self, Problem> {
        match word {
            None | Some("json") => Ok(Self::Json),
            Some("csv") => Ok(Self::Csv),
            Some(_) => Err(Problem::invalid("format", "must be json or csv")),
        }
    }

    /// The answer, or the table as a file of that name.
    pub(super) fn answer<T: Serialize>(self, answer: &T, table: &Table, name: &str) -> Response {
        if self == Self::Json {
            return Json(answer).into_response();
        }
        let mut response = table.0.clone().into_response();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/csv; charset=utf-8; header=present"));
        if let Ok(value) = HeaderValue::from_str(&format!("attachment; filename=\"{name}.csv\"")) {
            headers.insert(CONTENT_DISPOSITION, value);
        }
        response
    }
}

/// A cell of a table.
pub(super) enum Cell {
    /// A text, which a spreadsheet must not take for a formula.
    Text(String),
    /// A number of ours, empty where there is none.
    Number(String),
}

impl From<&str> for Cell {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<i64> for Cell {
    fn from(number: i64) -> Self {
        Self::Number(number.to_string())
    }
}

impl From<f64> for Cell {
    fn from(number: f64) -> Self {
        Self::Number(number.to_string())
    }
}

impl<T: Into<Self>> From<Option<T>> for Cell {
    fn from(cell: Option<T>) -> Self {
        cell.map_or_else(|| Self::Number(String::new()), Into::into)
    }
}

/// Lines of CSV (RFC 4180).
pub(super) struct Table(String);

impl Table {
    pub(super) fn new(header: &[&str]) -> Self {
        let mut table = Self(String::new());
        table.row(header.iter().map(|name| Cell::from(*name)));
        table
    }

    pub(super) fn row(&mut self, cells: impl IntoIterator<Item = Cell>) {
        for (place, cell) in cells.into_iter().enumerate() {
            if place > 0 {
                self.0.push(',');
            }
            match cell {
                Cell::Number(number) => self.0.push_str(&number),
                Cell::Text(text) => self.0.push_str(&quoted(&text)),
            }
        }
        self.0.push_str("\r\n");
    }
}

/// A text as a cell: with an apostrophe before what a spreadsheet would take for a formula, in quotes where it must be.
fn quoted(text: &str) -> String {
    let is_formula = text.starts_with(['=', '+', '-', '@', '\t', '\r']);
    let text = if is_formula { format!("'{text}") } else { text.to_owned() };
    if text.contains(['"', ',', '\r', '\n']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_is_a_formula_and_numbers_stay_numbers() {
        let mut table = Table::new(&["plan", "mrr_minor"]);
        for plan in ["=1+1", "+1", "-1", "@sum", "\tx", "\rx", "pro, \"big\"", "basic"] {
            table.row([plan.into(), (-5_i64).into()]);
        }
        table.row(["".into(), None::<f64>.into()]);
        assert_eq!(
            table.0,
            "plan,mrr_minor\r\n'=1+1,-5\r\n'+1,-5\r\n'-1,-5\r\n'@sum,-5\r\n'\tx,-5\r\n\"'\rx\",-5\r\n\
             \"pro, \"\"big\"\"\",-5\r\nbasic,-5\r\n,\r\n"
        );
    }
}
