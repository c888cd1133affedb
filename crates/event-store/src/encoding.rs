//! Batches as Arrow's record batches, which Parquet is written from and read to, and as small blobs for the tail.

use std::io::Cursor;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int32Type, TimestampMicrosecondType, UInt32Type};
use arrow_array::{
    Array, ArrayRef, DictionaryArray, FixedSizeBinaryArray, Float64Array, Int32Array, RecordBatch,
    StringArray, TimestampMicrosecondArray, UInt32Array,
};
use arrow_ipc::reader::StreamReader;
use arrow_ipc::writer::StreamWriter;
use arrow_schema::{ArrowError, DataType, Field, Schema, SchemaRef, TimeUnit};

use crate::batch::{Batch, Texts};
use crate::{EventStoreError, Fields, NO_SUBJECT, TextField};

/// Fast; a batch of the tail lives for minutes.
const BLOB_ZSTD_LEVEL: i32 = 1;

/// The most bytes that a blob of the tail may unpack to: the most events of a call at their longest would not fit, but
/// are split by whoever hands them in long before.
pub(crate) const BLOB_BYTES_MAX: usize = 256 << 20;

/// Columns in the order in which they stand in files.
pub(crate) fn schema() -> SchemaRef {
    let text = |field: TextField| {
        let kind = DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8));
        Field::new(field.as_str(), kind, field != TextField::Name)
    };
    let mut fields = vec![
        Field::new("id", DataType::FixedSizeBinary(16), false),
        Field::new("time", DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())), false),
        Field::new("subject", DataType::UInt32, true),
    ];
    fields.extend(TextField::ALL.map(text));
    fields.push(Field::new("value", DataType::Float64, true));
    fields.push(Field::new("props", DataType::Utf8, true));
    Arc::new(Schema::new(fields))
}

/// All columns of a complete batch.
pub(crate) fn to_arrow(schema: &SchemaRef, batch: &Batch) -> Result<RecordBatch, ArrowError> {
    let ids = FixedSizeBinaryArray::try_from_iter(batch.ids.iter());
    let ids = if batch.count == 0 { FixedSizeBinaryArray::new_null(16, 0) } else { ids? };
    let subjects = batch.subjects.iter().map(|subject| Some(*subject).filter(|it| *it != NO_SUBJECT));
    let mut columns: Vec<ArrayRef> = vec![
        Arc::new(ids),
        Arc::new(
            TimestampMicrosecondArray::from_iter_values(batch.times.iter().copied()).with_timezone("UTC"),
        ),
        Arc::new(UInt32Array::from_iter(subjects)),
    ];
    for texts in &batch.texts {
        columns.push(text_array(texts, batch.count)?);
    }
    let values = batch.values.iter().map(|value| Some(*value).filter(|value| !value.is_nan()));
    columns.push(Arc::new(Float64Array::from_iter(values)));
    let props = (0..batch.count).map(|row| Some(batch.props.get(row)).filter(|props| !props.is_empty()));
    columns.push(Arc::new(StringArray::from_iter(props)));
    RecordBatch::try_new(Arc::clone(schema), columns)
}

fn text_array(texts: &Texts, count: usize) -> Result<ArrayRef, ArrowError> {
    let keys: Int32Array = if texts.codes.is_empty() {
        Int32Array::new_null(count)
    } else {
        texts.codes.iter().map(|code| code.checked_sub(1).and_then(|code| i32::try_from(code).ok())).collect()
    };
    let values = StringArray::from_iter_values(texts.dictionary.iter().skip(1));
    Ok(Arc::new(DictionaryArray::<Int32Type>::try_new(keys, Arc::new(values))?))
}

/// The columns of `fields`, as far as the record batch has them.
pub(crate) fn from_arrow(record: &RecordBatch, fields: Fields) -> Option<Batch> {
    let mut batch = Batch { count: record.num_rows(), fields, ..Batch::default() };
    let column =
        |field: Fields, name: &str| fields.contains(field).then(|| record.column_by_name(name)).flatten();
    if let Some(ids) = column(Fields::ID, "id") {
        let ids = ids.as_fixed_size_binary_opt()?;
        batch.ids = (0..ids.len()).map(|row| ids.value(row).try_into().ok()).collect::<Option<_>>()?;
    }
    if let Some(times) = column(Fields::TIME, "time") {
        batch.times = times.as_primitive_opt::<TimestampMicrosecondType>()?.values().to_vec();
    }
    if let Some(subjects) = column(Fields::SUBJECT, "subject") {
        let subjects = subjects.as_primitive_opt::<UInt32Type>()?;
        batch.subjects = subjects.iter().map(|subject| subject.unwrap_or(NO_SUBJECT)).collect();
    }
    if let Some(values) = column(Fields::VALUE, "value") {
        let values = values.as_primitive_opt::<Float64Type>()?;
        batch.values = values.iter().map(|value| value.unwrap_or(f64::NAN)).collect();
    }
    if let Some(props) = column(Fields::PROPS, "props") {
        props.as_string_opt::<i32>()?.iter().for_each(|text| batch.props.push(text.unwrap_or_default()));
    }
    for field in TextField::ALL {
        if let Some(texts) = column(Fields::text(field), field.as_str()) {
            batch.texts[field.index()] = texts_of(texts)?;
        }
    }
    Some(batch)
}

fn texts_of(array: &ArrayRef) -> Option<Texts> {
    let array = array.as_dictionary_opt::<Int32Type>()?;
    let values = array.values().as_string_opt::<i32>()?;
    let mut dictionary = Vec::with_capacity(values.len() + 1);
    dictionary.push(String::new());
    dictionary.extend(values.iter().map(|text| text.unwrap_or_default().to_owned()));
    let keys = array.keys();
    let codes = if keys.null_count() == keys.len() {
        Vec::new()
    } else {
        keys.iter().map(|key| key.and_then(|key| u32::try_from(key).ok()).map_or(0, |key| key + 1)).collect()
    };
    Some(Texts { codes, dictionary })
}

/// A complete batch as a blob: an Arrow IPC stream, compressed as a whole.
pub(crate) fn pack(batch: &Batch) -> Result<Vec<u8>, EventStoreError> {
    let packing = |error: ArrowError| EventStoreError::Packing(error.to_string());
    let schema = schema();
    let mut writer = StreamWriter::try_new(Vec::new(), &schema).map_err(packing)?;
    writer.write(&to_arrow(&schema, batch).map_err(packing)?).map_err(packing)?;
    let bytes = writer.into_inner().map_err(packing)?;
    if bytes.len() > BLOB_BYTES_MAX {
        return Err(EventStoreError::Packing(format!("{} bytes at once are too many", bytes.len())));
    }
    zstd::bulk::compress(&bytes, BLOB_ZSTD_LEVEL).map_err(|error| EventStoreError::Packing(error.to_string()))
}

/// The batch of a blob.
pub(crate) fn unpack(blob: &[u8]) -> Result<Batch, EventStoreError> {
    let corrupt = |what: &str| EventStoreError::Packing(format!("batch of the tail: {what}"));
    let size = zstd::zstd_safe::get_frame_content_size(blob).ok().flatten().unwrap_or(0);
    let size = usize::try_from(size).ok().filter(|size| *size <= BLOB_BYTES_MAX);
    let bytes = zstd::bulk::decompress(blob, size.ok_or_else(|| corrupt("too large"))?);
    let bytes = bytes.map_err(|_| corrupt("not zstd"))?;
    let mut reader =
        StreamReader::try_new(Cursor::new(bytes), None).map_err(|error| corrupt(&error.to_string()))?;
    let record = reader.next().ok_or_else(|| corrupt("empty"))?;
    let record = record.map_err(|error| corrupt(&error.to_string()))?;
    from_arrow(&record, Fields::ALL).ok_or_else(|| corrupt("columns of another type"))
}
