use std::fs::File;
use std::io::{self, BufReader, Read};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use arrow_array::RecordBatch;
use belvedere_kernel::ProjectId;
use bytes::Bytes;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder,
};
use parquet::errors::ParquetError;
use parquet::file::reader::{ChunkReader, Length};
use parquet::file::statistics::Statistics;

use crate::batch::{Batch, concat};
use crate::directory::{Directory, write_whole};
use crate::filter::{IdFilter, hash_of};
use crate::segment::SegmentMeta;
use crate::{EventStoreError, Fields, NO_SUBJECT, SegmentId, encoding};

/// Events that are decoded at once where columns are read in pieces.
const SCAN_ROWS: usize = 64 << 10;

/// An open segment, which stays readable when its file is removed meanwhile.
#[derive(Debug)]
pub(crate) struct SegmentFile {
    id: SegmentId,
    source: Positional,
    metadata: ArrowReaderMetadata,
}

impl SegmentFile {
    /// Opens a segment and reads its footer.
    pub(crate) fn open(
        directory: &Directory,
        project: ProjectId,
        meta: &SegmentMeta,
    ) -> Result<Self, EventStoreError> {
        let path = directory.segment(project, meta.id);
        let failed = |error| EventStoreError::file(&path, error);
        let file = File::open(&path).map_err(failed)?;
        let length = file.metadata().map_err(failed)?.len();
        let damaged = |what: String| EventStoreError::Damaged { segment: meta.id, what };
        if length != meta.bytes {
            return Err(damaged(format!("has {length} bytes instead of {}", meta.bytes)));
        }
        let source = Positional { file: Arc::new(file), length };
        let metadata = ArrowReaderMetadata::load(&source, ArrowReaderOptions::new())
            .map_err(|error| damaged(error.to_string()))?;
        let rows = metadata.metadata().file_metadata().num_rows();
        if u64::try_from(rows).ok() != Some(meta.count) {
            return Err(damaged(format!("has {rows} events instead of {}", meta.count)));
        }
        Ok(Self { id: meta.id, source, metadata })
    }

    /// Reads the whole file and compares it with the manifest: before it is the source of another one.
    pub(crate) fn verify(&self, path: &Path, meta: &SegmentMeta) -> Result<(), EventStoreError> {
        let mut reader = PositionalRead { file: Arc::clone(&self.source.file), at: 0 };
        let (mut hasher, mut buffer) = (crc32fast::Hasher::new(), vec![0; 256 << 10]);
        loop {
            match reader.read(&mut buffer).map_err(|error| EventStoreError::file(path, error))? {
                0 => break,
                count => hasher.update(buffer.get(..count).unwrap_or_default()),
            }
        }
        let checksum = hasher.finalize();
        if checksum != meta.checksum {
            return Err(self.damaged(format!("checksum {checksum:08x} instead of {:08x}", meta.checksum)));
        }
        Ok(())
    }

    fn damaged(&self, what: String) -> EventStoreError {
        EventStoreError::Damaged { segment: self.id, what }
    }

    pub(crate) fn row_groups(&self) -> usize {
        self.metadata.metadata().num_row_groups()
    }

    /// The events of one row group.
    pub(crate) fn read_row_group(&self, index: usize, fields: Fields) -> Result<Batch, EventStoreError> {
        let damaged = |error: &dyn std::fmt::Display| self.damaged(error.to_string());
        let rows = self.metadata.metadata().row_group(index).num_rows();
        let builder =
            ParquetRecordBatchReaderBuilder::new_with_metadata(self.source.clone(), self.metadata.clone());
        let mask = ProjectionMask::columns(builder.parquet_schema(), fields.names());
        let reader = builder
            .with_projection(mask)
            .with_row_groups(vec![index])
            .with_batch_size(usize::try_from(rows).unwrap_or(usize::MAX).max(1))
            .build()
            .map_err(|error| damaged(&error))?;
        let mut batches = Vec::new();
        for record in reader {
            let record = record.map_err(|error| damaged(&error))?;
            let batch = encoding::from_arrow(&record, fields);
            batches.push(batch.ok_or_else(|| self.damaged("a column is of another type".to_owned()))?);
        }
        if batches.len() == 1 { Ok(batches.remove(0)) } else { Ok(concat(fields, &batches)) }
    }

    /// Hands over the columns in records of at most [`SCAN_ROWS`], in the order of the segment; `take` says none where
    /// a column is not of its type.
    pub(crate) fn scan(
        &self,
        fields: Fields,
        mut take: impl FnMut(&RecordBatch) -> Option<()>,
    ) -> Result<(), EventStoreError> {
        let damaged = |error: &dyn std::fmt::Display| self.damaged(error.to_string());
        let builder =
            ParquetRecordBatchReaderBuilder::new_with_metadata(self.source.clone(), self.metadata.clone());
        let mask = ProjectionMask::columns(builder.parquet_schema(), fields.names());
        let reader = builder.with_projection(mask).with_batch_size(SCAN_ROWS).build();
        for record in reader.map_err(|error| damaged(&error))? {
            let record = record.map_err(|error| damaged(&error))?;
            take(&record).ok_or_else(|| self.damaged("a column is of another type".to_owned()))?;
        }
        Ok(())
    }

    /// All events, in the order of the segment.
    pub(crate) fn read(&self, fields: Fields) -> Result<Batch, EventStoreError> {
        let groups = (0..self.row_groups()).map(|index| self.read_row_group(index, fields));
        let mut groups = groups.collect::<Result<Vec<_>, _>>()?;
        if groups.len() == 1 { Ok(groups.remove(0)) } else { Ok(concat(fields, &groups)) }
    }

    /// Row groups that may have a subject, by their statistics.
    pub(crate) fn row_groups_of(&self, subject: u32) -> Vec<usize> {
        let column = self.metadata.parquet_schema().columns().iter().position(|it| it.name() == "subject");
        let may_have = |index: &usize| {
            let group = self.metadata.metadata().row_group(*index);
            match column.and_then(|column| group.column(column).statistics()) {
                Some(Statistics::Int32(statistics)) if subject != NO_SUBJECT => {
                    // Unsigned numbers are kept in signed ones of the same bits.
                    let bound = |bound: Option<&i32>| bound.map(|bound| bound.cast_unsigned());
                    match (bound(statistics.min_opt()), bound(statistics.max_opt())) {
                        (Some(least), Some(most)) => least <= subject && subject <= most,
                        _ => true,
                    }
                }
                _ => true,
            }
        };
        (0..self.row_groups()).filter(may_have).collect()
    }

    /// Whether the subject has an event in the segment.
    pub(crate) fn has_subject(&self, subject: u32) -> Result<bool, EventStoreError> {
        for index in self.row_groups_of(subject) {
            if self.read_row_group(index, Fields::SUBJECT)?.subjects.contains(&subject) {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// The filter of a segment's ids, from its file, or made anew if that is missing or damaged.
pub(crate) fn load_filter(
    directory: &Directory,
    project: ProjectId,
    meta: &SegmentMeta,
    open: impl FnOnce() -> Result<Arc<SegmentFile>, EventStoreError>,
) -> Result<IdFilter, EventStoreError> {
    let path = directory.filter(project, meta.id);
    if let Some(filter) = std::fs::read(&path).ok().and_then(|bytes| IdFilter::from_bytes(&bytes, meta.count))
    {
        return Ok(filter);
    }
    let ids = open()?.read(Fields::ID)?.ids;
    let filter = IdFilter::new(ids.iter().map(hash_of).collect());
    if let Err(error) = write_whole(&path, &filter.to_bytes()) {
        tracing::warn!(%error, "filter of a segment was made anew but cannot be kept");
    }
    Ok(filter)
}

/// A file that many read at once, each at their own place.
#[derive(Debug, Clone)]
struct Positional {
    file: Arc<File>,
    length: u64,
}

struct PositionalRead {
    file: Arc<File>,
    at: u64,
}

impl Read for PositionalRead {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read_at(buffer, self.at)?;
        self.at += count as u64;
        Ok(count)
    }
}

impl Length for Positional {
    fn len(&self) -> u64 {
        self.length
    }
}

impl ChunkReader for Positional {
    type T = BufReader<PositionalRead>;

    fn get_read(&self, start: u64) -> Result<Self::T, ParquetError> {
        Ok(BufReader::new(PositionalRead { file: Arc::clone(&self.file), at: start }))
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes, ParquetError> {
        // A length from a damaged footer must not decide how much memory is taken.
        if start.saturating_add(length as u64) > self.length {
            return Err(ParquetError::EOF("beyond the end of the file".to_owned()));
        }
        let mut buffer = vec![0; length];
        self.file.read_exact_at(&mut buffer, start)?;
        Ok(buffer.into())
    }
}
