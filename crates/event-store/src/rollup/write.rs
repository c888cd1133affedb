//! Writing the rollup of a segment while its events go by.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use belvedere_storage::Timestamp;

use super::bytes::{put_u16, put_u32, put_u64};
use super::file::{MAGIC, NO_DIMENSION, compress};
use super::{Block, RollupLimits, SectionBuilder};
use crate::batch::Batch;
use crate::directory::pieces_of;
use crate::query::calendar::Calendar;
use crate::query::{QueriesError, Unit};
use crate::segment::SegmentMeta;
use crate::week::start_of;
use crate::{EventStoreError, SegmentId, TextField};

/// Where the days of some weeks begin in a time zone, and where the last one ends, in microseconds since 1970 UTC.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Edges(pub(crate) Vec<i64>);

impl Edges {
    /// The days that hold all events of the weeks.
    pub(crate) fn of_weeks(zone: &str, week: i64, week_count: i64) -> Result<Self, QueriesError> {
        Self::of_days(zone, start_of(week), start_of(week + week_count))
    }

    /// The days that `from..until` touches.
    pub(crate) fn of_days(zone: &str, from: Timestamp, until: Timestamp) -> Result<Self, QueriesError> {
        let days = Calendar::find(zone)?.whole(Unit::Day, from, until, 0)?;
        Ok(Self(days.starts_micros().to_vec()))
    }

    /// How many days there are.
    pub(crate) fn len(&self) -> usize {
        self.0.len().saturating_sub(1)
    }

    /// The day of an instant.
    pub(crate) fn find(&self, micros: i64) -> Option<usize> {
        let after = self.0.partition_point(|edge| *edge <= micros);
        after.checked_sub(1).filter(|day| *day < self.len())
    }
}

/// Where something lies in the file.
#[derive(Debug, Clone, Copy)]
struct Stored {
    at: u64,
    bytes: u32,
    raw_bytes: u32,
    checksum: u32,
}

impl Stored {
    fn put(&self, bytes: &mut Vec<u8>) {
        put_u64(bytes, self.at);
        [self.bytes, self.raw_bytes, self.checksum].into_iter().for_each(|number| put_u32(bytes, number));
    }
}

struct Growing {
    builder: SectionBuilder,
    blocks: Vec<(u16, Stored)>,
}

/// Writes one rollup; dropped before [`RollupWriter::finish`], it leaves nothing.
pub(crate) struct RollupWriter {
    path: PathBuf,
    pieces: PathBuf,
    file: Option<BufWriter<File>>,
    at: u64,
    edges: Edges,
    /// An event lies in no day: then there is no rollup.
    is_void: bool,
    sections: Vec<Growing>,
}

impl RollupWriter {
    /// To be found at `path`, and until it is whole in a file that is named like `pieces`.
    pub(crate) fn create(
        path: PathBuf,
        pieces: &Path,
        edges: Edges,
        limits: &RollupLimits,
    ) -> Result<Self, EventStoreError> {
        let pieces = pieces_of(pieces);
        let file = File::create(&pieces).map_err(|error| EventStoreError::file(&pieces, error))?;
        let sections = limits.sections().into_iter().map(|by| Growing {
            builder: SectionBuilder::new(by, edges.len(), limits.cells_max, true),
            blocks: Vec::new(),
        });
        let sections = sections.collect();
        Ok(Self { path, pieces, file: Some(BufWriter::new(file)), at: 0, edges, is_void: false, sections })
    }

    /// Adds events, sorted by subject, that come after all that were added before.
    pub(crate) fn write(&mut self, batch: &Batch) -> Result<(), EventStoreError> {
        let days: Vec<Option<usize>> = batch.times.iter().map(|micros| self.edges.find(*micros)).collect();
        self.is_void |= days.iter().any(Option::is_none);
        let mut done: Vec<(usize, Block)> = Vec::new();
        for (place, Growing { builder, .. }) in self.sections.iter_mut().enumerate() {
            let names = &batch.texts[TextField::Name.index()];
            let name_codes: Vec<u16> = names.dictionary.iter().map(|name| builder.name_code(name)).collect();
            let texts = builder.by().map(|dimension| {
                let texts = &batch.texts[crate::query::text_field(dimension).index()];
                let codes: Vec<u16> = texts.dictionary.iter().map(|text| builder.text_code(text)).collect();
                (texts, codes)
            });
            for (row, (subject, day)) in batch.subjects.iter().zip(&days).enumerate() {
                let name = names.codes.get(row).and_then(|code| name_codes.get(*code as usize));
                let text = texts.as_ref().and_then(|(texts, codes)| {
                    texts.codes.get(row).and_then(|code| codes.get(*code as usize))
                });
                if let (Some(day), Some(name)) = (day, name) {
                    builder.push(*subject, *day, *name, text.copied().unwrap_or(0));
                }
            }
            done.extend(builder.take_blocks().into_iter().map(|block| (place, block)));
        }
        done.into_iter().try_for_each(|(place, block)| self.put_block(place, &block))
    }

    fn put_block(&mut self, place: usize, block: &Block) -> Result<(), EventStoreError> {
        let stored = self.put(&block.to_bytes())?;
        if let Some(section) = self.sections.get_mut(place) {
            section.blocks.push((block.key, stored));
        }
        Ok(())
    }

    fn put(&mut self, raw: &[u8]) -> Result<Stored, EventStoreError> {
        let bytes = compress(raw)?;
        if let Some(file) = &mut self.file {
            file.write_all(&bytes).map_err(|error| EventStoreError::file(&self.pieces, error))?;
        }
        let stored = Stored {
            at: self.at,
            bytes: bytes.len() as u32,
            raw_bytes: raw.len() as u32,
            checksum: crc32fast::hash(&bytes),
        };
        self.at += bytes.len() as u64;
        Ok(stored)
    }

    /// Makes the rollup of a segment durable under its name, which itself is durable once its directory is synced.
    pub(crate) fn finish(mut self, version: SegmentId, meta: &SegmentMeta) -> Result<(), EventStoreError> {
        if self.is_void {
            tracing::warn!(segment = %meta.id, "events lie outside of the weeks of their segment");
            return Ok(());
        }
        let mut index = Vec::new();
        index.extend(meta.id.to_bytes());
        put_u32(&mut index, meta.checksum);
        put_u64(&mut index, meta.count);
        index.extend(version.to_bytes());
        put_u32(&mut index, self.edges.0.len() as u32);
        self.edges.0.iter().for_each(|edge| index.extend(edge.to_le_bytes()));
        put_u32(&mut index, self.sections.len() as u32);
        for Growing { builder, mut blocks } in std::mem::take(&mut self.sections) {
            let (head, rest) = builder.finish();
            for block in &rest {
                blocks.push((block.key, self.put(&block.to_bytes())?));
            }
            let stored = self.put(&head.to_bytes())?;
            index.push(head.by.map_or(NO_DIMENSION, |dimension| dimension.index() as u8));
            stored.put(&mut index);
            put_u32(&mut index, blocks.len() as u32);
            for (key, stored) in &blocks {
                put_u16(&mut index, *key);
                stored.put(&mut index);
            }
        }
        let stored = self.put(&index)?;
        let mut end = Vec::new();
        [stored.bytes, stored.raw_bytes, stored.checksum]
            .into_iter()
            .for_each(|number| put_u32(&mut end, number));
        end.extend(MAGIC);
        let Some(mut writer) = self.file.take() else { return Ok(()) };
        let written = writer
            .write_all(&end)
            .and_then(|()| writer.flush())
            .and_then(|()| writer.get_ref().sync_all())
            .and_then(|()| std::fs::rename(&self.pieces, &self.path));
        written.map_err(|error| EventStoreError::file(&self.path, error))
    }
}

impl Drop for RollupWriter {
    fn drop(&mut self) {
        if self.file.is_some() {
            let _ = std::fs::remove_file(&self.pieces);
        }
    }
}
