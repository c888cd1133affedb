//! Tables of numbers, as CSV, as JSON and as Parquet.

use std::io;
use std::sync::Arc;

use arrow_array::{ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray};
use arrow_schema::{Field, Schema};
use parquet::arrow::ArrowWriter;
use serde_json::{Value, json};

/// A cell of a table.
#[derive(Debug, Clone, PartialEq)]
pub enum Cell {
    /// A text, which a spreadsheet must not take for a formula.
    Text(String),
    /// A whole number.
    Count(i64),
    /// A number.
    Number(f64),
    /// There is none.
    Empty,
}

impl From<&str> for Cell {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Cell {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<i64> for Cell {
    fn from(number: i64) -> Self {
        Self::Count(number)
    }
}

impl From<u64> for Cell {
    fn from(number: u64) -> Self {
        Self::Count(i64::try_from(number).unwrap_or(i64::MAX))
    }
}

impl From<f64> for Cell {
    fn from(number: f64) -> Self {
        Self::Number(number)
    }
}

impl<T: Into<Self>> From<Option<T>> for Cell {
    fn from(cell: Option<T>) -> Self {
        cell.map_or(Self::Empty, Into::into)
    }
}

impl Cell {
    fn json(&self) -> Value {
        match self {
            Self::Text(text) => json!(text),
            Self::Count(number) => json!(number),
            Self::Number(number) => json!(number),
            Self::Empty => Value::Null,
        }
    }

    fn csv(&self) -> String {
        match self {
            Self::Text(text) => quoted(text),
            Self::Count(number) => number.to_string(),
            Self::Number(number) => number.to_string(),
            Self::Empty => String::new(),
        }
    }
}

/// Columns with names, and rows with a cell for each.
#[derive(Debug, Clone, PartialEq)]
pub struct Table {
    columns: Vec<String>,
    rows: Vec<Vec<Cell>>,
}

impl Table {
    /// A table without rows.
    pub fn new<T: Into<String>>(columns: impl IntoIterator<Item = T>) -> Self {
        Self { columns: columns.into_iter().map(Into::into).collect(), rows: Vec::new() }
    }

    /// Adds a row.
    pub fn row(&mut self, cells: impl IntoIterator<Item = Cell>) {
        self.rows.push(cells.into_iter().collect());
    }

    /// Lines of CSV (RFC 4180), the first with the names of the columns.
    #[must_use]
    pub fn csv(&self) -> String {
        let head = self.columns.iter().map(|name| quoted(name)).collect::<Vec<_>>().join(",");
        let mut text = head + "\r\n";
        for row in &self.rows {
            text += &row.iter().map(Cell::csv).collect::<Vec<_>>().join(",");
            text += "\r\n";
        }
        text
    }

    /// An object with the `columns` and the `rows`, a list of cells each.
    #[must_use]
    pub fn json(&self) -> Value {
        let rows = self.rows.iter().map(|row| row.iter().map(Cell::json).collect::<Vec<_>>());
        json!({ "columns": self.columns, "rows": rows.collect::<Vec<_>>() })
    }

    /// A Parquet file: a column has whole numbers or numbers if all of its cells do, else texts; what is empty is null.
    ///
    /// # Errors
    /// When the table cannot be written as one.
    pub fn parquet(&self) -> io::Result<Vec<u8>> {
        let arrays: Vec<ArrayRef> = (0..self.columns.len()).map(|place| self.array(place)).collect();
        let fields = self.columns.iter().zip(&arrays);
        let fields = fields.map(|(name, array)| Field::new(name, array.data_type().clone(), true));
        let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
        let batch = RecordBatch::try_new(Arc::clone(&schema), arrays).map_err(io::Error::other)?;
        let mut bytes = Vec::new();
        let mut writer = ArrowWriter::try_new(&mut bytes, schema, None).map_err(io::Error::other)?;
        writer.write(&batch).map_err(io::Error::other)?;
        writer.close().map_err(io::Error::other)?;
        Ok(bytes)
    }

    fn array(&self, place: usize) -> ArrayRef {
        let cells = || self.rows.iter().map(|row| row.get(place).unwrap_or(&Cell::Empty));
        let is_count = |cell: &Cell| matches!(cell, Cell::Count(_) | Cell::Empty);
        let number = |cell: &Cell| match cell {
            Cell::Count(number) => Some(*number as f64),
            Cell::Number(number) => Some(*number),
            Cell::Text(_) | Cell::Empty => None,
        };
        let text = |cell: &Cell| match cell {
            Cell::Text(text) => Some(text.clone()),
            Cell::Empty => None,
            Cell::Count(_) | Cell::Number(_) => Some(cell.csv()),
        };
        if cells().all(is_count) && cells().any(|cell| *cell != Cell::Empty) {
            let counts =
                cells().map(|cell| if let Cell::Count(number) = cell { Some(*number) } else { None });
            return Arc::new(Int64Array::from_iter(counts));
        }
        if cells().any(|cell| matches!(cell, Cell::Text(_))) || cells().all(|cell| *cell == Cell::Empty) {
            return Arc::new(StringArray::from_iter(cells().map(text)));
        }
        Arc::new(Float64Array::from_iter(cells().map(number)))
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
        let mut table = Table::new(["plan", "mrr_minor"]);
        for plan in ["=1+1", "+1", "-1", "@sum", "\tx", "\rx", "pro, \"big\"", "basic"] {
            table.row([plan.into(), (-5_i64).into()]);
        }
        table.row(["".into(), None::<f64>.into()]);
        assert_eq!(
            table.csv(),
            "plan,mrr_minor\r\n'=1+1,-5\r\n'+1,-5\r\n'-1,-5\r\n'@sum,-5\r\n'\tx,-5\r\n\"'\rx\",-5\r\n\
             \"pro, \"\"big\"\"\",-5\r\nbasic,-5\r\n,\r\n"
        );
    }

    #[test]
    fn a_parquet_file_has_columns_of_one_type() {
        use arrow_array::cast::AsArray;
        use arrow_array::types::{Float64Type, Int64Type};
        use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

        let mut table = Table::new(["plan", "people", "share"]);
        table.row(["=pro".into(), Cell::Count(3), 0.5.into()]);
        table.row([Cell::Empty, Cell::Count(4), Cell::Empty]);
        table.row(["a".into(), Cell::Empty, Cell::Count(1)]);
        let path = std::env::temp_dir().join(format!("belvedere-table-{}.parquet", std::process::id()));
        std::fs::write(&path, table.parquet().unwrap()).unwrap();
        let file = std::fs::File::open(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        let mut reader = ParquetRecordBatchReaderBuilder::try_new(file).unwrap().build().unwrap();
        let batch = reader.next().unwrap().unwrap();
        let texts: Vec<_> = batch["plan"].as_string::<i32>().iter().collect();
        assert_eq!(texts, [Some("=pro"), None, Some("a")]);
        let counts: Vec<_> = batch["people"].as_primitive::<Int64Type>().iter().collect();
        assert_eq!(counts, [Some(3), Some(4), None]);
        let shares: Vec<_> = batch["share"].as_primitive::<Float64Type>().iter().collect();
        assert_eq!(shares, [Some(0.5), None, Some(1.0)]);
    }

    #[test]
    fn json_has_numbers_and_null() {
        let mut table = Table::new(["plan", "share"]);
        table.row(["=pro".into(), 0.5.into()]);
        table.row([Cell::Count(3), Cell::Empty]);
        assert_eq!(
            table.json(),
            serde_json::json!({"columns": ["plan", "share"], "rows": [["=pro", 0.5], [3, null]]})
        );
    }
}
