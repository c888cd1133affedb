//! Rows of a Parquet file as fields.

use std::fs::File;

use arrow_array::cast::AsArray;
use arrow_array::types::{
    Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type, TimestampMicrosecondType,
    TimestampMillisecondType, TimestampNanosecondType, TimestampSecondType, UInt8Type, UInt16Type,
    UInt32Type, UInt64Type,
};
use arrow_array::{Array, RecordBatch};
use arrow_schema::{DataType, TimeUnit};
use parquet::arrow::arrow_reader::{ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};
use serde_json::Value;

use crate::id;
use crate::row::Fields;

/// Rows that are decoded at once.
const ROWS: usize = 8_192;

/// Reads a file row by row.
pub(crate) struct ParquetRows {
    reader: ParquetRecordBatchReader,
    batch: Option<RecordBatch>,
    row: usize,
}

impl ParquetRows {
    /// Begins behind so many rows.
    pub(crate) fn open(file: File, rows: u64) -> Result<Self, String> {
        let builder = ParquetRecordBatchReaderBuilder::try_new(file).map_err(|error| error.to_string())?;
        let schema = builder.schema();
        for field in schema.fields() {
            if !is_readable(field.data_type()) {
                return Err(format!(
                    "column {} is of type {}, which no event has",
                    field.name(),
                    field.data_type()
                ));
            }
        }
        if schema.field_with_name("time").is_err() {
            return Err("there is no column time".to_owned());
        }
        let offset = usize::try_from(rows).unwrap_or(usize::MAX);
        let reader = builder.with_batch_size(ROWS).with_offset(offset).build();
        Ok(Self { reader: reader.map_err(|error| error.to_string())?, batch: None, row: 0 })
    }

    pub(crate) fn next(&mut self) -> Result<Option<Fields>, String> {
        loop {
            if let Some(batch) = &self.batch
                && self.row < batch.num_rows()
            {
                let schema = batch.schema_ref();
                let pairs = schema.fields().iter().zip(batch.columns());
                let pairs = pairs.filter(|(_, column)| !column.is_null(self.row));
                let fields = pairs.map(|(field, column)| (field.name().clone(), value(column, self.row)));
                let fields = fields.collect();
                self.row += 1;
                return Ok(Some(fields));
            }
            match self.reader.next() {
                None => return Ok(None),
                Some(batch) => (self.batch, self.row) = (Some(batch.map_err(|error| error.to_string())?), 0),
            }
        }
    }
}

fn is_readable(kind: &DataType) -> bool {
    match kind {
        DataType::Dictionary(key, value) => **key == DataType::Int32 && **value == DataType::Utf8,
        DataType::FixedSizeBinary(size) => *size == 16,
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View | DataType::Timestamp(..) => true,
        DataType::Boolean | DataType::Float32 | DataType::Float64 => true,
        kind => kind.is_integer(),
    }
}

/// The value of a row that has one; times become microseconds, 16 bytes hexadecimal digits.
fn value(column: &dyn Array, row: usize) -> Value {
    macro_rules! number {
        ($type:ty) => {
            column.as_primitive::<$type>().value(row)
        };
    }
    match column.data_type() {
        DataType::Utf8 => column.as_string::<i32>().value(row).into(),
        DataType::LargeUtf8 => column.as_string::<i64>().value(row).into(),
        DataType::Utf8View => column.as_string_view().value(row).into(),
        DataType::Dictionary(..) => {
            let dictionary = column.as_dictionary::<Int32Type>();
            let key = usize::try_from(dictionary.keys().value(row)).unwrap_or(usize::MAX);
            let texts = dictionary.values().as_string::<i32>();
            if key < texts.len() { texts.value(key).into() } else { Value::Null }
        }
        DataType::FixedSizeBinary(_) => {
            let bytes: [u8; 16] = column.as_fixed_size_binary().value(row).try_into().unwrap_or_default();
            id::text(&bytes).into()
        }
        DataType::Timestamp(TimeUnit::Second, _) => {
            number!(TimestampSecondType).saturating_mul(1_000_000).into()
        }
        DataType::Timestamp(TimeUnit::Millisecond, _) => {
            number!(TimestampMillisecondType).saturating_mul(1_000).into()
        }
        DataType::Timestamp(TimeUnit::Microsecond, _) => number!(TimestampMicrosecondType).into(),
        DataType::Timestamp(TimeUnit::Nanosecond, _) => {
            number!(TimestampNanosecondType).div_euclid(1_000).into()
        }
        DataType::Boolean => column.as_boolean().value(row).into(),
        DataType::Float32 => f64::from(number!(Float32Type)).into(),
        DataType::Float64 => number!(Float64Type).into(),
        DataType::Int8 => number!(Int8Type).into(),
        DataType::Int16 => number!(Int16Type).into(),
        DataType::Int32 => number!(Int32Type).into(),
        DataType::Int64 => number!(Int64Type).into(),
        DataType::UInt8 => number!(UInt8Type).into(),
        DataType::UInt16 => number!(UInt16Type).into(),
        DataType::UInt32 => number!(UInt32Type).into(),
        DataType::UInt64 => number!(UInt64Type).into(),
        _ => Value::Null,
    }
}
