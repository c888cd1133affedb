//! The file of a rollup: compressed blocks and heads of sections one after the other, then where they lie.
//!
//! It ends with the length of that index, its length unpacked, its CRC-32 and `BVR1`; what the index names has its own
//! checksums. Numbers are little-endian.

use std::fs::File;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;

use super::bytes::Reader;
use super::write::Edges;
use super::{Block, By, Head, Section};
use crate::columns::Dimension;
use crate::segment::SegmentMeta;
use crate::{EventStoreError, SegmentId};

pub(crate) const MAGIC: &[u8; 4] = b"BVR1";

/// Stands in the index for a section of names alone.
pub(crate) const NO_DIMENSION: u8 = u8::MAX;

/// Fast to unpack, and what is left to compress is little.
const ZSTD_LEVEL: i32 = 1;

/// The most bytes that one piece may unpack to: 65,536 subjects in as many cells as there can be take less.
const PIECE_BYTES_MAX: u32 = 1 << 30;

const END_BYTES: u64 = 16;

pub(crate) fn compress(raw: &[u8]) -> Result<Vec<u8>, EventStoreError> {
    zstd::bulk::compress(raw, ZSTD_LEVEL).map_err(|error| EventStoreError::Packing(error.to_string()))
}

/// Why a rollup cannot be read.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Unusable {
    /// There is none.
    Missing,
    /// It is not what was written, or not that of the segment.
    Damaged(String),
}

/// Which file lies under a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stamp {
    inode: u64,
    bytes: u64,
    modified: (i64, i64),
}

impl Stamp {
    pub(crate) fn of(metadata: &std::fs::Metadata) -> Self {
        let modified = (metadata.mtime(), metadata.mtime_nsec());
        Self { inode: metadata.ino(), bytes: metadata.len(), modified }
    }
}

#[derive(Debug, Clone, Copy)]
struct Stored {
    at: u64,
    bytes: u32,
    raw_bytes: u32,
    checksum: u32,
}

impl Stored {
    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let (at, bytes) = (reader.u64()?, reader.u32()?);
        Some(Self { at, bytes, raw_bytes: reader.u32()?, checksum: reader.u32()? })
    }
}

#[derive(Debug)]
struct Place {
    by: By,
    head: Stored,
    blocks: Vec<(u16, Stored)>,
}

/// An open rollup, which stays readable when its file is removed meanwhile.
#[derive(Debug)]
pub(crate) struct RollupFile {
    file: File,
    stamp: Stamp,
    /// Another one whenever it is written anew.
    version: SegmentId,
    edges: Edges,
    places: Vec<Place>,
}

impl RollupFile {
    /// Opens the rollup of a segment and reads its index.
    pub(crate) fn open(path: &Path, meta: &SegmentMeta) -> Result<Self, Unusable> {
        let file = File::open(path).map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => Unusable::Missing,
            _ => Unusable::Damaged(error.to_string()),
        })?;
        let metadata = file.metadata().map_err(|error| Unusable::Damaged(error.to_string()))?;
        let damaged = |what: &str| Unusable::Damaged(what.to_owned());
        let end_at = metadata.len().checked_sub(END_BYTES).ok_or_else(|| damaged("too short"))?;
        let mut end = [0; END_BYTES as usize];
        file.read_exact_at(&mut end, end_at).map_err(|error| Unusable::Damaged(error.to_string()))?;
        let mut reader = Reader::new(&end);
        let numbers = (reader.u32(), reader.u32(), reader.u32(), reader.take());
        let (Some(bytes), Some(raw_bytes), Some(checksum), Some(magic)) = numbers else {
            return Err(damaged("no end"));
        };
        if magic != *MAGIC {
            return Err(damaged("not a rollup"));
        }
        let at = end_at.checked_sub(u64::from(bytes)).ok_or_else(|| damaged("too short"))?;
        let index = read_stored(&file, Stored { at, bytes, raw_bytes, checksum })?;
        let (stamp, reader) = (Stamp::of(&metadata), &mut Reader::new(&index));
        let read = read_index(reader, meta).filter(|_| reader.is_at_end());
        let (version, edges, places) = read.ok_or_else(|| damaged("not that of its segment"))?;
        Ok(Self { file, stamp, version, edges, places })
    }

    pub(crate) fn stamp(&self) -> Stamp {
        self.stamp
    }

    pub(crate) fn version(&self) -> SegmentId {
        self.version
    }

    pub(crate) fn edges(&self) -> &Edges {
        &self.edges
    }

    /// The sections that there are.
    pub(crate) fn sections(&self) -> Vec<By> {
        self.places.iter().map(|place| place.by).collect()
    }

    pub(crate) fn has(&self, by: By) -> bool {
        self.places.iter().any(|place| place.by == by)
    }

    /// One section, whole.
    pub(crate) fn read(&self, by: By) -> Result<Section, Unusable> {
        let damaged = |what: &str| Unusable::Damaged(what.to_owned());
        let place = self.places.iter().find(|place| place.by == by).ok_or(Unusable::Missing)?;
        let bytes = read_stored(&self.file, place.head)?;
        let mut reader = Reader::new(&bytes);
        let head = Head::read(by, &mut reader).filter(|_| reader.is_at_end());
        let head = head.filter(|head| head.is_left_out.len() == self.edges.len());
        let head = head.ok_or_else(|| damaged("the head of a section"))?;
        let mut blocks = Vec::with_capacity(place.blocks.len());
        for (key, stored) in &place.blocks {
            let bytes = read_stored(&self.file, *stored)?;
            let block = Block::from_bytes(*key, &bytes, head.cells.len());
            blocks.push(block.ok_or_else(|| damaged("a block of subjects"))?);
        }
        if !blocks.is_sorted_by(|a, b| a.key < b.key) {
            return Err(damaged("the order of blocks"));
        }
        Ok(Section { edges: self.edges.0.clone(), head, blocks })
    }
}

fn read_stored(file: &File, stored: Stored) -> Result<Vec<u8>, Unusable> {
    let damaged = |what: String| Unusable::Damaged(what);
    let length = file.metadata().map_err(|error| damaged(error.to_string()))?.len();
    // A length from a damaged index must not decide how much memory is taken.
    if stored.at.saturating_add(u64::from(stored.bytes)) > length || stored.raw_bytes > PIECE_BYTES_MAX {
        return Err(damaged("beyond the end of the file".to_owned()));
    }
    let mut bytes = vec![0; stored.bytes as usize];
    file.read_exact_at(&mut bytes, stored.at).map_err(|error| damaged(error.to_string()))?;
    if crc32fast::hash(&bytes) != stored.checksum {
        return Err(damaged("a checksum differs".to_owned()));
    }
    let raw = zstd::bulk::decompress(&bytes, stored.raw_bytes as usize);
    raw.map_err(|error| damaged(error.to_string()))
}

fn read_index(reader: &mut Reader<'_>, meta: &SegmentMeta) -> Option<(SegmentId, Edges, Vec<Place>)> {
    let (id, checksum, count) = (SegmentId::from_bytes(reader.take()?), reader.u32()?, reader.u64()?);
    if (id, checksum, count) != (meta.id, meta.checksum, meta.count) {
        return None;
    }
    let version = SegmentId::from_bytes(reader.take()?);
    let mut edges = Vec::new();
    for _ in 0..reader.count(8)? {
        edges.push(reader.i64()?);
    }
    if edges.len() < 2 || !edges.is_sorted_by(|a, b| a < b) {
        return None;
    }
    let mut places = Vec::new();
    for _ in 0..reader.count(1)? {
        let [by] = reader.take()?;
        let by = match by {
            NO_DIMENSION => None,
            index => Some(*Dimension::ALL.get(usize::from(index))?),
        };
        let head = Stored::read(reader)?;
        let mut blocks = Vec::new();
        for _ in 0..reader.count(22)? {
            blocks.push((reader.u16()?, Stored::read(reader)?));
        }
        places.push(Place { by, head, blocks });
    }
    Some((version, Edges(edges), places))
}
