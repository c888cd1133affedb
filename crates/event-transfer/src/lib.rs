//! Events from files and to files: Parquet, CSV and NDJSON.
//!
//! A row of a file has the fields of [`belvedere_event_store::Event`]: `id`, `time`, `name`, `subject`, `session`,
//! `course`, `lesson`, `exercise`, `value`, `country`, `browser`, `os`, `device`, `referrer`, `utm_source`, `plan` and
//! `props`. Only `time` and `name` must be there. Instead of `subject`, the number that an export gives, a row can have
//! `user`, the product's own id of a person, which goes through the gate of consent and is not stored. Other fields
//! become members of `props`.
//!
//! An event counts once: its id is the row's, or a hash of the row's content and place, so that importing a file twice
//! changes nothing.

mod csv;
mod error;
mod export;
mod id;
mod import;
mod parquet_rows;
mod progress;
mod row;
mod source;
#[cfg(test)]
mod tests;

pub use error::TransferError;
pub use export::{Export, Exported, export};
pub use import::{Import, Imported, import};

use std::path::Path;

/// How events are written in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Apache Parquet, as DuckDB, Polars and Spark read it.
    Parquet,
    /// RFC 4180 with a line of names; texts that a spreadsheet would take for formulas begin with an apostrophe.
    Csv,
    /// One JSON object a line.
    Ndjson,
}

impl Format {
    /// The format that a file's name ends with.
    #[must_use]
    pub fn of(path: &Path) -> Option<Self> {
        match path.extension()?.to_str()? {
            "parquet" => Some(Self::Parquet),
            "csv" => Some(Self::Csv),
            "ndjson" | "jsonl" => Some(Self::Ndjson),
            _ => None,
        }
    }
}
