//! Segments on disk: Parquet, sorted by subject, time and id.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::PathBuf;

use belvedere_kernel::ProjectId;
use belvedere_storage::{Id, Timestamp};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::metadata::SortingColumn;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::schema::types::ColumnPath;

use crate::batch::Batch;
use crate::directory::{Directory, pieces_of, sync_directory, write_whole};
use crate::filter::{IdFilter, hash_of};
use crate::rollup::RollupWriter;
use crate::{EventStoreError, TextField, encoding};

/// Marks ids of segments.
#[derive(Debug)]
pub enum SegmentKey {}

/// The id of a segment; its files are named by it.
pub type SegmentId = Id<SegmentKey>;

/// Close to what higher levels reach, at a third of their time.
const ZSTD_LEVEL: i32 = 3;

/// What the manifest says of a segment.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct SegmentMeta {
    pub(crate) id: SegmentId,
    pub(crate) week: i64,
    /// 1, or all weeks of a month.
    pub(crate) week_count: i64,
    pub(crate) first_at: Timestamp,
    pub(crate) last_at: Timestamp,
    pub(crate) count: u64,
    pub(crate) bytes: u64,
    pub(crate) checksum: u32,
    /// Sorted.
    pub(crate) names: Vec<String>,
}

/// Counts and sums up what is written.
struct Checked {
    file: BufWriter<File>,
    bytes: u64,
    checksum: crc32fast::Hasher,
}

impl Write for Checked {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        let written = self.file.write(buffer)?;
        self.bytes += written as u64;
        self.checksum.update(buffer.get(..written).unwrap_or_default());
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// Writes one segment; dropped before [`SegmentWriter::finish`], it leaves nothing.
pub(crate) struct SegmentWriter {
    directory: Directory,
    project: ProjectId,
    id: SegmentId,
    path: PathBuf,
    schema: arrow_schema::SchemaRef,
    writer: Option<ArrowWriter<Checked>>,
    hashes: Vec<u64>,
    names: BTreeSet<String>,
    span: Option<(i64, i64)>,
    rollup: Option<RollupWriter>,
}

impl SegmentWriter {
    pub(crate) fn create(
        directory: &Directory,
        project: ProjectId,
        id: SegmentId,
        row_group_rows: usize,
    ) -> Result<Self, EventStoreError> {
        directory.create(project)?;
        let path = directory.segment(project, id);
        let pieces = pieces_of(&path);
        let file = File::create(&pieces).map_err(|error| EventStoreError::file(&pieces, error))?;
        let schema = encoding::schema();
        let checked = Checked { file: BufWriter::new(file), bytes: 0, checksum: crc32fast::Hasher::new() };
        let properties = properties(row_group_rows).map_err(|error| io_error(&path, error))?;
        let writer = ArrowWriter::try_new(checked, schema.clone(), Some(properties));
        let writer = Some(writer.map_err(|error| io_error(&path, error))?);
        let (hashes, names) = (Vec::new(), BTreeSet::new());
        Ok(Self {
            directory: directory.clone(),
            project,
            id,
            path,
            schema,
            writer,
            hashes,
            names,
            span: None,
            rollup: None,
        })
    }

    /// Counts what is written from here on in a rollup too.
    pub(crate) fn with_rollup(mut self, rollup: Option<RollupWriter>) -> Self {
        self.rollup = rollup;
        self
    }

    /// Adds sorted events that come after all that were added before.
    pub(crate) fn write(&mut self, batch: &Batch) -> Result<(), EventStoreError> {
        if batch.count == 0 {
            return Ok(());
        }
        let record = encoding::to_arrow(&self.schema, batch)
            .map_err(|error| EventStoreError::Packing(error.to_string()))?;
        if let Some(writer) = &mut self.writer {
            writer.write(&record).map_err(|error| io_error(&self.path, error))?;
        }
        self.hashes.extend(batch.ids.iter().map(hash_of));
        for name in batch.texts[TextField::Name.index()].dictionary.iter().skip(1) {
            if !self.names.contains(name) {
                self.names.insert(name.clone());
            }
        }
        if let Some(rollup) = &mut self.rollup {
            rollup.write(batch)?;
        }
        let (first, last) = batch.time_span();
        let (least, most) = self.span.unwrap_or((first, last));
        self.span = Some((first.min(least), last.max(most)));
        Ok(())
    }

    /// Makes the segment durable under its name, its filter and its rollup before it.
    pub(crate) fn finish(mut self, week: i64, week_count: i64) -> Result<SegmentMeta, EventStoreError> {
        let path = self.path.clone();
        let Some(writer) = self.writer.take() else {
            return Err(EventStoreError::Internal("segment was finished twice".to_owned()));
        };
        let checked = writer.into_inner().map_err(|error| io_error(&path, error))?;
        let (bytes, checksum) = (checked.bytes, checked.checksum.finalize());
        let file =
            checked.file.into_inner().map_err(|error| EventStoreError::file(&path, error.into_error()))?;
        file.sync_all().map_err(|error| EventStoreError::file(&path, error))?;
        let count = self.hashes.len() as u64;
        let filter = IdFilter::new(std::mem::take(&mut self.hashes));
        write_whole(&self.directory.filter(self.project, self.id), &filter.to_bytes())?;
        let (first, last) = self.span.unwrap_or_default();
        let meta = SegmentMeta {
            id: self.id,
            week,
            week_count,
            first_at: Timestamp::from_micros(first),
            last_at: Timestamp::from_micros(last),
            count,
            bytes,
            checksum,
            names: std::mem::take(&mut self.names).into_iter().collect(),
        };
        if let Some(rollup) = self.rollup.take() {
            rollup.finish(self.id, &meta)?;
        }
        std::fs::rename(pieces_of(&path), &path).map_err(|error| EventStoreError::file(&path, error))?;
        if let Some(parent) = path.parent() {
            sync_directory(parent)?;
        }
        Ok(meta)
    }
}

impl Drop for SegmentWriter {
    fn drop(&mut self) {
        if self.writer.is_some() {
            let _ = std::fs::remove_file(pieces_of(&self.path));
        }
    }
}

fn io_error(path: &std::path::Path, error: ParquetError) -> EventStoreError {
    EventStoreError::file(path, io::Error::other(error))
}

fn properties(row_group_rows: usize) -> Result<WriterProperties, ParquetError> {
    let sorted = |column_idx| SortingColumn { column_idx, descending: false, nulls_first: true };
    let column = |name: &str| ColumnPath::from(name);
    Ok(WriterProperties::builder()
        .set_created_by("belvedere".to_owned())
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(ZSTD_LEVEL)?))
        .set_max_row_group_row_count(Some(row_group_rows))
        // By subject, time and id: the columns 2, 1 and 0.
        .set_sorting_columns(Some(vec![sorted(2), sorted(1), sorted(0)]))
        .set_statistics_enabled(EnabledStatistics::Chunk)
        // A text that is mostly different, as a session is, still pays in the dictionary while it repeats at all.
        .set_dictionary_page_size_limit(8 << 20)
        // Ids do not repeat and cannot be compressed.
        .set_column_dictionary_enabled(column("id"), false)
        .set_column_compression(column("id"), Compression::UNCOMPRESSED)
        .set_column_statistics_enabled(column("id"), EnabledStatistics::None)
        .set_column_dictionary_enabled(column("time"), false)
        .set_column_encoding(column("time"), Encoding::DELTA_BINARY_PACKED)
        .set_column_dictionary_enabled(column("subject"), false)
        .set_column_encoding(column("subject"), Encoding::DELTA_BINARY_PACKED)
        .set_column_dictionary_enabled(column("props"), false)
        .set_column_statistics_enabled(column("props"), EnabledStatistics::None)
        .build())
}
