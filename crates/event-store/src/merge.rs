//! Segments merged into one, or one rewritten without some events, a row group of each in memory at a time.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashSet};
use std::sync::Arc;

use belvedere_kernel::ProjectId;

use crate::batch::{Batch, BatchBuilder, Recoding};
use crate::segment::{SegmentMeta, SegmentWriter};
use crate::segment_file::SegmentFile;
use crate::store::Inner;
use crate::{EventStoreError, Fields, SegmentId};

/// Where the reading of a segment is.
struct Source {
    file: Arc<SegmentFile>,
    next_group: usize,
    batch: Batch,
    row: usize,
    codes: Recoding,
}

impl Source {
    /// Moves to the first row that there is; whether there is one.
    fn settle(&mut self) -> Result<bool, EventStoreError> {
        while self.row >= self.batch.count {
            if self.next_group >= self.file.row_groups() {
                return Ok(false);
            }
            self.batch = self.file.read_row_group(self.next_group, Fields::ALL)?;
            self.next_group += 1;
            self.row = 0;
            self.codes = Recoding::default();
        }
        Ok(true)
    }
}

/// Events that are left out.
#[derive(Clone, Copy)]
pub(crate) enum Without<'a> {
    Nothing,
    Subject(u32),
    Events(&'a HashSet<[u8; 16]>),
}

impl Without<'_> {
    /// By what segments are sorted by.
    fn has(self, (subject, _, id): &(u32, i64, [u8; 16])) -> bool {
        match self {
            Self::Nothing => false,
            Self::Subject(without) => without == *subject,
            Self::Events(ids) => ids.contains(id),
        }
    }
}

/// Writes the events of segments, except some, into one of the weeks from `week` on; none if none are left.
pub(crate) fn merge(
    inner: &Inner,
    project: ProjectId,
    segments: &[SegmentMeta],
    without: Without<'_>,
    zone: &str,
    (week, week_count): (i64, i64),
) -> Result<Option<SegmentMeta>, EventStoreError> {
    let mut sources = Vec::with_capacity(segments.len());
    for meta in segments {
        let file = inner.open(project, meta)?;
        // What is damaged must not be sealed again under a checksum that fits.
        file.verify(&inner.directory.segment(project, meta.id), meta)?;
        let (batch, codes) = (Batch::default(), Recoding::default());
        sources.push(Source { file, next_group: 0, batch, row: 0, codes });
    }
    let mut heap = BinaryHeap::with_capacity(sources.len());
    for (index, source) in sources.iter_mut().enumerate() {
        if source.settle()? {
            heap.push(Reverse((source.batch.sort_key(source.row), index)));
        }
    }
    let id = SegmentId::generate(inner.clock.now());
    let group_rows = inner.limits.row_group_rows.max(1);
    let writer = SegmentWriter::create(&inner.directory, project, id, group_rows)?;
    let rollup = inner.new_rollup(project, id, zone, (week, week_count))?;
    let mut writer = writer.with_rollup(rollup);
    let mut builder = BatchBuilder::new(Fields::ALL);
    let mut written = 0;
    while let Some(Reverse((key, index))) = heap.pop() {
        let Some(source) = sources.get_mut(index) else { continue };
        if !without.has(&key) {
            builder.push_row(&source.batch, source.row, &mut source.codes);
        }
        source.row += 1;
        if source.settle()? {
            heap.push(Reverse((source.batch.sort_key(source.row), index)));
        }
        if builder.len() >= group_rows {
            written += builder.len();
            writer.write(&std::mem::replace(&mut builder, BatchBuilder::new(Fields::ALL)).finish())?;
            sources.iter_mut().for_each(|source| source.codes = Recoding::default());
        }
    }
    written += builder.len();
    if written == 0 {
        return Ok(None);
    }
    writer.write(&builder.finish())?;
    writer.finish(week, week_count).map(Some)
}
