//! From the store into a file.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_array::builder::StringDictionaryBuilder;
use arrow_array::types::Int32Type;
use arrow_array::{
    ArrayRef, FixedSizeBinaryArray, Float64Array, Int64Array, RecordBatch, StringArray,
    TimestampMicrosecondArray,
};
use arrow_schema::{ArrowError, DataType, Field, Schema, SchemaRef, TimeUnit};
use belvedere_event_store::{Batch, Embedded, EventStore, Fields, Select, TextField};
use belvedere_kernel::{ProjectId, SubjectId};
use belvedere_storage::Timestamp;
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;
use serde_json::{Map, Value, json};

use crate::csv::{guard, push_cell};
use crate::id;
use crate::{Format, TransferError};

/// What to export, and where to.
pub struct Export<'a> {
    /// The file, which is there when it is whole.
    pub path: &'a Path,
    /// How it is written.
    pub format: Format,
    /// The project whose events are exported.
    pub project: ProjectId,
    /// Events from here on.
    pub from: Timestamp,
    /// Events before this.
    pub until: Timestamp,
    /// The store.
    pub store: &'a Embedded,
}

/// What an export wrote.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Exported {
    /// Events.
    pub events: u64,
}

/// Exports the events of one instant; tells after each part how many there are.
///
/// # Errors
/// A file that cannot be written, or the store's error; then there is no file.
pub async fn export(wanted: &Export<'_>, mut tell: impl FnMut(Exported)) -> Result<Exported, TransferError> {
    let select = Select { from: wanted.from, until: wanted.until, ..Select::all(wanted.project) };
    let snapshot = wanted.store.snapshot(select).await?;
    let subjects = wanted.store.list_subjects(wanted.project).await?;
    let mut name = wanted.path.as_os_str().to_owned();
    name.push(".part");
    let pieces = PathBuf::from(name);
    let mut writer = Writer::create(&pieces, wanted.format)?;
    let mut exported = Exported::default();
    let span = wanted.from.as_micros()..wanted.until.as_micros();
    for part in &snapshot.parts {
        for piece in 0..part.pieces() {
            let batch = part.read_piece(piece, Fields::ALL)?;
            let rows =
                (0..batch.count).filter(|row| batch.times.get(*row).is_some_and(|time| span.contains(time)));
            let rows: Vec<usize> = rows.collect();
            exported.events += rows.len() as u64;
            writer.write(&batch, &rows, &subjects)?;
            tell(exported);
        }
    }
    writer.finish()?;
    std::fs::rename(&pieces, wanted.path).map_err(|error| TransferError::file(wanted.path, error))?;
    Ok(exported)
}

struct Writer {
    path: PathBuf,
    kind: Kind,
}

enum Kind {
    Ndjson(BufWriter<File>),
    Csv(BufWriter<File>),
    Parquet(Box<ArrowWriter<File>>, SchemaRef),
}

/// The columns of text, in the order of files.
fn texts() -> impl Iterator<Item = TextField> {
    TextField::ALL.into_iter()
}

impl Writer {
    fn create(path: &Path, format: Format) -> Result<Self, TransferError> {
        let file = File::create(path).map_err(|error| TransferError::file(path, error))?;
        let kind = match format {
            Format::Ndjson => Kind::Ndjson(BufWriter::new(file)),
            Format::Csv => {
                let mut writer = BufWriter::new(file);
                let names: Vec<&str> = texts().map(TextField::as_str).collect();
                writeln!(writer, "id,time,subject,{},value,props\r", names.join(","))
                    .map_err(|error| TransferError::file(path, error))?;
                Kind::Csv(writer)
            }
            Format::Parquet => {
                let schema = schema();
                let level = ZstdLevel::default();
                let properties =
                    WriterProperties::builder().set_compression(Compression::ZSTD(level)).build();
                let writer = ArrowWriter::try_new(file, Arc::clone(&schema), Some(properties));
                let writer = writer.map_err(|error| TransferError::unreadable(path, error))?;
                Kind::Parquet(Box::new(writer), schema)
            }
        };
        Ok(Self { path: path.to_owned(), kind })
    }

    fn write(
        &mut self,
        batch: &Batch,
        rows: &[usize],
        subjects: &HashMap<u32, SubjectId>,
    ) -> Result<(), TransferError> {
        let failed = |error| TransferError::file(&self.path, error);
        let of = |row: usize| batch.subjects.get(row).and_then(|number| subjects.get(number)).map(|it| it.0);
        match &mut self.kind {
            Kind::Ndjson(writer) => {
                for &row in rows {
                    writeln!(writer, "{}", object(batch, row, of(row))).map_err(failed)?;
                }
            }
            Kind::Csv(writer) => {
                for &row in rows {
                    writer.write_all(line(batch, row, of(row)).as_bytes()).map_err(failed)?;
                }
            }
            Kind::Parquet(writer, schema) => {
                let subjects = rows.iter().map(|row| of(*row)).collect();
                let record = record(schema, batch, rows, subjects);
                let record = record.map_err(|error| TransferError::unreadable(&self.path, error))?;
                writer.write(&record).map_err(|error| TransferError::unreadable(&self.path, error))?;
            }
        }
        Ok(())
    }

    fn finish(self) -> Result<(), TransferError> {
        let failed = |error| TransferError::file(&self.path, error);
        let file = match self.kind {
            Kind::Ndjson(writer) | Kind::Csv(writer) => {
                writer.into_inner().map_err(|error| failed(error.into_error()))?
            }
            Kind::Parquet(writer, _) => {
                writer.into_inner().map_err(|error| TransferError::unreadable(&self.path, error))?
            }
        };
        file.sync_all().map_err(failed)
    }
}

fn time(batch: &Batch, row: usize) -> Timestamp {
    Timestamp::from_micros(batch.times.get(row).copied().unwrap_or(0))
}

fn value(batch: &Batch, row: usize) -> Option<f64> {
    batch.values.get(row).copied().filter(|value| !value.is_nan())
}

fn object(batch: &Batch, row: usize, subject: Option<i64>) -> Value {
    let mut fields = Map::new();
    fields.insert("id".to_owned(), id::text(&batch.ids.get(row).copied().unwrap_or_default()).into());
    fields.insert("time".to_owned(), time(batch, row).to_string().into());
    if let Some(subject) = subject {
        fields.insert("subject".to_owned(), subject.into());
    }
    for field in texts() {
        if let Some(text) = batch.text(field, row) {
            fields.insert(field.as_str().to_owned(), text.into());
        }
    }
    if let Some(value) = value(batch, row) {
        fields.insert("value".to_owned(), json!(value));
    }
    let props = batch.props.get(row);
    if !props.is_empty() {
        let parsed = serde_json::from_str(props).unwrap_or_else(|_| Value::from(props));
        fields.insert("props".to_owned(), parsed);
    }
    Value::Object(fields)
}

/// Numbers stand as they are; every text is guarded.
fn line(batch: &Batch, row: usize, subject: Option<i64>) -> String {
    let mut line = id::text(&batch.ids.get(row).copied().unwrap_or_default());
    line.push(',');
    line.push_str(&time(batch, row).to_string());
    line.push(',');
    line.push_str(&subject.map(|subject| subject.to_string()).unwrap_or_default());
    for field in texts() {
        line.push(',');
        push_cell(&mut line, &guard(batch.text(field, row).unwrap_or_default()));
    }
    line.push(',');
    line.push_str(&value(batch, row).map(|value| value.to_string()).unwrap_or_default());
    line.push(',');
    push_cell(&mut line, &guard(batch.props.get(row)));
    line.push_str("\r\n");
    line
}

fn schema() -> SchemaRef {
    let text = || DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8));
    let mut fields = vec![
        Field::new("id", DataType::FixedSizeBinary(16), false),
        Field::new("time", DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())), false),
        Field::new("subject", DataType::Int64, true),
    ];
    fields.extend(texts().map(|field| Field::new(field.as_str(), text(), field != TextField::Name)));
    fields.push(Field::new("value", DataType::Float64, true));
    fields.push(Field::new("props", DataType::Utf8, true));
    Arc::new(Schema::new(fields))
}

fn record(
    schema: &SchemaRef,
    batch: &Batch,
    rows: &[usize],
    subjects: Vec<Option<i64>>,
) -> Result<RecordBatch, ArrowError> {
    let ids = rows.iter().map(|row| batch.ids.get(*row).copied().unwrap_or_default());
    let ids: ArrayRef = match rows.len() {
        0 => Arc::new(FixedSizeBinaryArray::new_null(16, 0)),
        _ => Arc::new(FixedSizeBinaryArray::try_from_iter(ids)?),
    };
    let times = rows.iter().map(|row| time(batch, *row).as_micros());
    let times = TimestampMicrosecondArray::from_iter_values(times).with_timezone("UTC");
    let mut columns: Vec<ArrayRef> = vec![ids, Arc::new(times), Arc::new(Int64Array::from(subjects))];
    for field in texts() {
        let mut builder = StringDictionaryBuilder::<Int32Type>::new();
        rows.iter().for_each(|row| builder.append_option(batch.text(field, *row)));
        columns.push(Arc::new(builder.finish()));
    }
    columns.push(Arc::new(rows.iter().map(|row| value(batch, *row)).collect::<Float64Array>()));
    let props = rows.iter().map(|row| Some(batch.props.get(*row)).filter(|props| !props.is_empty()));
    columns.push(Arc::new(props.collect::<StringArray>()));
    RecordBatch::try_new(Arc::clone(schema), columns)
}
