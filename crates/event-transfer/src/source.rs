//! The rows of a file, one after the other, from any of them on.

use std::fs::File;
use std::io::{BufRead, BufReader, Seek, SeekFrom};
use std::path::Path;

use serde_json::Value;

use crate::csv::{RECORD_BYTES_MAX, Record, cells, read_record, unguard};
use crate::parquet_rows::ParquetRows;
use crate::row::Fields;
use crate::{Format, TransferError};

/// Where a row lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
pub(crate) struct Place {
    /// Rows before it.
    pub(crate) rows: u64,
    /// Lines before it; those of a Parquet file are its rows.
    pub(crate) lines: u64,
    /// Bytes before it; nothing in a Parquet file.
    pub(crate) bytes: u64,
}

/// A row of a file.
pub(crate) struct Row {
    /// The number of its line, or in a Parquet file of itself, counted from 1.
    pub(crate) line: u64,
    /// Itself as text.
    pub(crate) content: Vec<u8>,
    /// Its fields, or why it has none.
    pub(crate) fields: Result<Fields, String>,
}

pub(crate) struct Source {
    /// Where the next row lies.
    pub(crate) place: Place,
    rows: Rows,
}

enum Rows {
    Lines(BufReader<File>),
    Cells(BufReader<File>, Vec<String>),
    Parquet(ParquetRows),
}

impl Source {
    /// Opens a file at a place where a row begins; at the start for [`Place::default`].
    pub(crate) fn open(path: &Path, format: Format, place: Place) -> Result<Self, TransferError> {
        let failed = |error| TransferError::file(path, error);
        let file = File::open(path).map_err(failed)?;
        if format == Format::Parquet {
            let rows =
                ParquetRows::open(file, place.rows).map_err(|why| TransferError::unreadable(path, why))?;
            return Ok(Self { place, rows: Rows::Parquet(rows) });
        }
        let mut reader = BufReader::with_capacity(1 << 20, file);
        let mut place = place;
        let rows = if format == Format::Csv {
            let head = read_record(&mut reader).map_err(failed)?;
            let names = header(&head).map_err(|why| TransferError::unreadable(path, why))?;
            if place == Place::default() {
                place = Place { rows: 0, lines: head.lines, bytes: head.text.len() as u64 };
            }
            reader.seek(SeekFrom::Start(place.bytes)).map_err(failed)?;
            Rows::Cells(reader, names)
        } else {
            reader.seek(SeekFrom::Start(place.bytes)).map_err(failed)?;
            Rows::Lines(reader)
        };
        Ok(Self { place, rows })
    }

    /// The next row; none at the end.
    pub(crate) fn next(&mut self, path: &Path) -> Result<Option<Row>, TransferError> {
        let failed = |error| TransferError::file(path, error);
        let line = self.place.lines + 1;
        let row = match &mut self.rows {
            Rows::Parquet(rows) => {
                let Some(fields) = rows.next().map_err(|why| TransferError::unreadable(path, why))? else {
                    return Ok(None);
                };
                self.place.lines += 1;
                let content = Value::Object(fields.clone()).to_string().into_bytes();
                Row { line, content, fields: Ok(fields) }
            }
            Rows::Lines(reader) => {
                let mut text = Vec::new();
                let count = reader.read_until(b'\n', &mut text).map_err(failed)?;
                if count == 0 {
                    return Ok(None);
                }
                self.place.bytes += count as u64;
                self.place.lines += 1;
                let fields = json_fields(&text);
                Row { line, content: text, fields }
            }
            Rows::Cells(reader, names) => {
                let record = read_record(reader).map_err(failed)?;
                if record.text.is_empty() {
                    return Ok(None);
                }
                self.place.bytes += record.text.len() as u64;
                self.place.lines += record.lines;
                let fields = cell_fields(&record.text, names);
                Row { line, content: record.text, fields }
            }
        };
        self.place.rows += 1;
        Ok(Some(row))
    }
}

fn header(record: &Record) -> Result<Vec<String>, String> {
    let text = std::str::from_utf8(&record.text).map_err(|_| "its first line is not UTF-8")?;
    let names = cells(text.strip_prefix('\u{feff}').unwrap_or(text))?;
    if !names.iter().any(|name| name == "time") {
        return Err("its first line does not name a column time".to_owned());
    }
    Ok(names)
}

fn json_fields(line: &[u8]) -> Result<Fields, String> {
    if line.len() > RECORD_BYTES_MAX {
        return Err(format!("has {} bytes, at most {RECORD_BYTES_MAX} are taken", line.len()));
    }
    match serde_json::from_slice(line) {
        Ok(Value::Object(fields)) => Ok(fields),
        Ok(_) => Err("is not a JSON object".to_owned()),
        Err(error) => Err(format!("is not JSON: {error}")),
    }
}

fn cell_fields(record: &[u8], names: &[String]) -> Result<Fields, String> {
    if record.len() > RECORD_BYTES_MAX {
        return Err(format!("has {} bytes, at most {RECORD_BYTES_MAX} are taken", record.len()));
    }
    let text = std::str::from_utf8(record).map_err(|_| "is not UTF-8")?;
    let cells = cells(text)?;
    if cells.len() != names.len() {
        return Err(format!("has {} cells, and there are {} columns", cells.len(), names.len()));
    }
    let pairs = names.iter().zip(cells).filter(|(_, cell)| !cell.is_empty());
    Ok(pairs.map(|(name, cell)| (name.clone(), Value::String(unguard(&cell).to_owned()))).collect())
}
