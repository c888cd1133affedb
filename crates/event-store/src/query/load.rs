//! From the parts of a snapshot to columns in memory.

use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use belvedere_kernel::ProjectId;

use super::QueriesError;
use super::check::Need;
use super::cut::{cut, lies_in};
use super::decode::{Decoded, Wants, decode_sorted, decode_together};
use super::props::{PropCounts, columns_of, counts_of};
use super::segment::{self, Column, Piece as Decode, assemble};
use super::work::Stop;
use crate::EventStoreError;
use crate::columns::{Columns, PropColumn, PropName};
use crate::kernel::on_threads;
use crate::rollup::{By, Section};
use crate::{Batch, Cache, Fields, Part, PartKey, SegmentId, Snapshot, Watch};

/// The most batches of the tail that are decoded as one, as a power of four.
const BLOCK_LOG4: u32 = 5;

/// Batches that were decoded as one: the project, and each batch with its revision.
pub(crate) type BlockKey = (ProjectId, Vec<(i64, i64)>);

/// Decoded parts under a cap of bytes.
#[derive(Debug)]
pub(crate) struct Caches {
    columns: Cache<(PartKey, Column), Decode>,
    segments: Cache<SegmentKey, Kept>,
    blocks: Cache<BlockKey, Decoded>,
    days: Cache<(BlockKey, By, String), Vec<Arc<Section>>>,
    props: Cache<(PropsOf, PropName), PropColumn>,
    /// Of the events from there to there, in microseconds, as far as the part has others.
    counts: Cache<(PartKey, Option<(i64, i64)>), PropCounts>,
    /// How often parts went away.
    departures: AtomicUsize,
}

/// What properties were read from.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum PropsOf {
    Segment(PartKey),
    Block(BlockKey),
}

/// What is kept of a segment.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum SegmentKey {
    /// A segment that has to be decoded in several parts.
    Columns(PartKey, Fields),
    /// A section of the rollup of that version, which is made anew while its segment stays.
    Rollup(PartKey, SegmentId, By),
    /// Its newest events.
    Newest(PartKey),
}

#[derive(Debug)]
enum Kept {
    Columns(Arc<Decoded>),
    Rollup(Arc<Section>),
    Newest(Arc<Batch>),
}

impl Caches {
    /// An eighth of the bytes each is for the tail, which is small and changes often, for what has no usual form, and for
    /// properties.
    pub(crate) fn new(bytes_max: usize) -> Self {
        let part = bytes_max / 32;
        Self {
            columns: Cache::new(bytes_max - 12 * part),
            segments: Cache::new(4 * part),
            blocks: Cache::new(3 * part),
            days: Cache::new(part),
            props: Cache::new(3 * part),
            counts: Cache::new(part),
            departures: AtomicUsize::new(0),
        }
    }

    /// A section of the rollup of a segment, if there is one.
    pub(crate) fn rollup(&self, part: &Part, by: By) -> Result<Option<Arc<Section>>, QueriesError> {
        let Some(rollup) = part.rollup().filter(|rollup| rollup.has(by)) else { return Ok(None) };
        let kept = self.segments.find_or_load(SegmentKey::Rollup(part.key, rollup.version(), by), || {
            rollup.read(by).map(|section| {
                let weight = section.weight();
                (Kept::Rollup(Arc::new(section)), weight)
            })
        });
        match kept.as_deref() {
            Ok(Kept::Rollup(section)) => Ok(Some(Arc::clone(section))),
            Ok(Kept::Columns(_) | Kept::Newest(_)) => Ok(None),
            Err(why) => {
                tracing::warn!(?part.key, ?why, "a rollup cannot be read; its segment is read instead");
                Ok(None)
            }
        }
    }

    /// The newest events of a segment.
    pub(crate) fn newest(
        &self,
        part: &Part,
        read: impl FnOnce() -> Result<Batch, QueriesError>,
    ) -> Result<Arc<Batch>, QueriesError> {
        let departures = self.departures.load(Ordering::SeqCst);
        let key = SegmentKey::Newest(part.key);
        let kept = self.segments.find_or_load(key.clone(), || {
            let newest = read()?;
            let weight = newest.weight();
            Ok::<_, QueriesError>((Kept::Newest(Arc::new(newest)), weight))
        })?;
        if self.departures.load(Ordering::SeqCst) != departures {
            // What went away meanwhile may have been put back just now.
            self.segments.remove(&key);
        }
        match &*kept {
            Kept::Newest(newest) => Ok(Arc::clone(newest)),
            Kept::Columns(_) | Kept::Rollup(_) => Err(misplaced()),
        }
    }

    /// The sections of a block of the tail by the days of a time zone.
    pub(crate) fn days(
        &self,
        key: &BlockKey,
        (by, zone): (By, &str),
        count: impl FnOnce() -> Result<Vec<Arc<Section>>, QueriesError>,
    ) -> Result<Vec<Arc<Section>>, QueriesError> {
        let kept = self.days.find_or_load((key.clone(), by, zone.to_owned()), || {
            let sections = count()?;
            let weight = sections.iter().map(|section| section.weight()).sum();
            Ok::<_, QueriesError>((sections, weight))
        })?;
        Ok(kept.to_vec())
    }

    /// The counts of the properties of a part in a stretch of microseconds.
    pub(crate) fn counts(
        &self,
        part: &Part,
        time: &Range<i64>,
        stop: &Stop,
    ) -> Result<Arc<PropCounts>, QueriesError> {
        let is_whole = time.start <= part.first_micros && part.last_micros < time.end;
        let within = Some((time.start, time.end)).filter(|_| !is_whole);
        self.counts.find_or_load((part.key, within), || {
            let counts = counts_of(part, time, stop)?;
            let weight = counts.iter().map(|(name, ..)| name.len() + 2 * PropName::BYTES_MAX).sum();
            Ok((counts, weight))
        })
    }

    /// The columns of properties of a part or block, those that are not kept read together.
    fn props(
        &self,
        of: &PropsOf,
        parts: &[Part],
        names: &[PropName],
        stop: &Stop,
    ) -> Result<Vec<(PropName, PropColumn)>, QueriesError> {
        let (mut found, mut missing) = (Vec::new(), Vec::new());
        for name in names {
            match self.props.find(&(of.clone(), name.clone())) {
                Some(column) => found.push((name.clone(), column.as_ref().clone())),
                None => missing.push(name.clone()),
            }
        }
        if !missing.is_empty() {
            let columns = columns_of(parts, &missing, stop)?;
            for (name, column) in missing.into_iter().zip(columns) {
                let weight = column.weight();
                self.props.insert((of.clone(), name.clone()), column.clone(), weight);
                found.push((name, column));
            }
        }
        Ok(found)
    }

    /// How many bytes are kept.
    #[cfg(test)]
    pub(crate) fn bytes(&self) -> usize {
        let of_parts = self.columns.bytes() + self.segments.bytes() + self.blocks.bytes();
        of_parts + self.days.bytes() + self.props.bytes() + self.counts.bytes()
    }

    /// How many columns of segments are kept.
    #[cfg(test)]
    pub(crate) fn columns(&self) -> usize {
        self.columns.len()
    }

    fn forget(&self, project: ProjectId, is_gone: impl Fn(&PartKey) -> bool) {
        self.columns.remove_where(|(key, _)| is_gone(key));
        self.segments.remove_where(|key| match key {
            SegmentKey::Columns(part, _) | SegmentKey::Rollup(part, ..) | SegmentKey::Newest(part) => {
                is_gone(part)
            }
        });
        self.blocks.remove_where(|(of, ..)| *of == project);
        self.days.remove_where(|((of, ..), ..)| *of == project);
        self.props.remove_where(|(of, _)| match of {
            PropsOf::Segment(part) => is_gone(part),
            PropsOf::Block((of, ..)) => *of == project,
        });
        self.counts.remove_where(|(part, _)| match part {
            PartKey::Batch { project: of, .. } => *of == project,
            PartKey::Segment(_) => is_gone(part),
        });
    }
}

/// One key stands for something else than was put there.
fn misplaced() -> QueriesError {
    EventStoreError::Internal("something else is kept of a segment".to_owned()).into()
}

impl Watch for Caches {
    fn gone(&self, project: ProjectId, segments: &[SegmentId]) {
        self.departures.fetch_add(1, Ordering::SeqCst);
        self.forget(project, |key| matches!(key, PartKey::Segment(id) if segments.contains(id)));
    }
}

/// The columns that answer a question, in the order of the snapshot.
#[derive(Debug, Default)]
pub(crate) struct Loaded(Vec<Arc<Decoded>>);

impl Loaded {
    /// Events of subjects.
    pub(crate) fn known(&self) -> Vec<&Columns> {
        self.0.iter().flat_map(|decoded| &decoded.known).collect()
    }

    /// Events without a subject.
    pub(crate) fn nobody(&self) -> Vec<&Columns> {
        self.0.iter().flat_map(|decoded| &decoded.nobody).collect()
    }

    /// All events.
    pub(crate) fn all(&self) -> Vec<&Columns> {
        self.0.iter().flat_map(|decoded| decoded.known.iter().chain(&decoded.nobody)).collect()
    }

    /// Whether an event has the property, or one of those that lie beside them.
    pub(crate) fn has_prop(&self, name: &PropName) -> bool {
        self.all().iter().any(|columns| columns.prop(name).is_some_and(|column| !column.is_empty()))
    }

    /// Whether there are events of that name, or were among those that lie beside them.
    pub(crate) fn has_name(&self, name: &str) -> bool {
        self.all().iter().any(|columns| columns.name_dictionary.iter().any(|known| known == name))
    }
}

/// What is decoded at once.
pub(crate) enum Piece {
    Segment(Part),
    Block(BlockKey, Vec<Part>),
}

impl Piece {
    /// Its number of events, and the times of the first and the last one in microseconds since 1970 UTC.
    pub(crate) fn extent(&self) -> (u64, i64, i64) {
        let parts = match self {
            Self::Segment(part) => std::slice::from_ref(part),
            Self::Block(_, parts) => parts.as_slice(),
        };
        let first = parts.iter().map(|part| part.first_micros).min().unwrap_or(0);
        let last = parts.iter().map(|part| part.last_micros).max().unwrap_or(0);
        (parts.iter().map(|part| part.count).sum(), first, last)
    }
}

/// Decodes what a snapshot has, on several threads, as far as it is not in the caches.
pub(crate) fn load(
    snapshot: Snapshot,
    need: &Need,
    caches: &Caches,
    threads: usize,
    stop: &Stop,
) -> Result<Loaded, QueriesError> {
    let pieces = pieces(snapshot, need.project);
    let decoded = decode_all(&pieces.iter().collect::<Vec<_>>(), need, caches, threads, stop)?;
    let ms = need.keep.start.div_euclid(1000)..need.keep.end.div_euclid(1000);
    Ok(Loaded(decoded.into_iter().map(|decoded| within(decoded, &ms)).collect()))
}

/// Decodes pieces on several threads, as far as they are not in the caches.
pub(crate) fn decode_all(
    pieces: &[&Piece],
    need: &Need,
    caches: &Caches,
    threads: usize,
    stop: &Stop,
) -> Result<Vec<Arc<Decoded>>, QueriesError> {
    let fields = need.fields();
    let departures = caches.departures.load(Ordering::SeqCst);
    let decoded: Mutex<Vec<Option<Arc<Decoded>>>> = Mutex::new(vec![None; pieces.len()]);
    let next = AtomicUsize::new(0);
    let read = || -> Result<(), QueriesError> {
        loop {
            let at = next.fetch_add(1, Ordering::Relaxed);
            let Some(piece) = pieces.get(at) else { return Ok(()) };
            stop.check()?;
            let found = with_props(decode(piece, need, fields, caches)?, piece, need, caches, stop)?;
            if let Some(place) = decoded.lock().unwrap_or_else(PoisonError::into_inner).get_mut(at) {
                *place = Some(found);
            }
        }
    };
    let missing = pieces.iter().filter(|piece| !is_cached(piece, need, caches)).count();
    on_threads(threads.min(missing), read).into_iter().collect::<Result<(), _>>()?;
    if caches.departures.load(Ordering::SeqCst) != departures {
        // What went away meanwhile may have been put back just now.
        let read: Vec<PartKey> = pieces.iter().filter_map(|piece| piece.segment()).collect();
        caches.forget(need.project, |key| read.contains(key));
    }
    Ok(decoded.into_inner().unwrap_or_else(PoisonError::into_inner).into_iter().flatten().collect())
}

impl Piece {
    fn segment(&self) -> Option<PartKey> {
        match self {
            Self::Segment(part) => Some(part.key),
            Self::Block(..) => None,
        }
    }
}

pub(crate) fn pieces(snapshot: Snapshot, project: ProjectId) -> Vec<Piece> {
    let (mut pieces, mut tail) = (Vec::new(), Vec::new());
    for part in snapshot.parts {
        match part.key {
            PartKey::Segment(_) => pieces.push(Piece::Segment(part)),
            PartKey::Batch { sequence, revision, .. } => tail.push(((sequence, revision), part)),
        }
    }
    tail.sort_by_key(|(key, _)| *key);
    let last = tail.last().map_or(0, |((sequence, _), _)| *sequence);
    let mut tail = tail.into_iter().peekable();
    while let Some(((sequence, _), _)) = tail.peek() {
        let end = block_end(*sequence, last);
        let (mut keys, mut parts) = (Vec::new(), Vec::new());
        while let Some((key, part)) = tail.next_if(|((sequence, _), _)| *sequence < end) {
            keys.push(key);
            parts.push(part);
        }
        pieces.push(Piece::Block((project, keys), parts));
    }
    pieces
}

/// Before which sequence a block that begins at one ends: the largest aligned block that is complete.
///
/// A new batch then changes few and small blocks, and kernels read few columns however many batches there are. A batch is
/// decoded once for each size of block, four times as large as the one before, until it is sealed.
fn block_end(sequence: i64, last: i64) -> i64 {
    let ends = (0..=BLOCK_LOG4).rev().map(|log4| ((sequence >> (2 * log4)) + 1) << (2 * log4));
    ends.into_iter().find(|end| *end <= last + 1).unwrap_or(sequence + 1)
}

fn is_cached(piece: &Piece, need: &Need, caches: &Caches) -> bool {
    match piece {
        Piece::Segment(part) => {
            need.columns().iter().all(|column| caches.columns.find(&(part.key, *column)).is_some())
        }
        Piece::Block(key, _) => caches.blocks.find(key).is_some(),
    }
}

pub(crate) fn decode(
    piece: &Piece,
    need: &Need,
    fields: Fields,
    caches: &Caches,
) -> Result<Arc<Decoded>, QueriesError> {
    match piece {
        Piece::Segment(part) => match decode_columns(part, need, caches)? {
            Some(decoded) => Ok(Arc::new(decoded)),
            None => {
                let key = SegmentKey::Columns(part.key, fields);
                let kept = caches.segments.find_or_load(key, || {
                    let decoded = decode_sorted(&*part.read(fields)?, need.wants)?;
                    let weight = decoded.weight();
                    Ok::<_, QueriesError>((Kept::Columns(Arc::new(decoded)), weight))
                })?;
                match &*kept {
                    Kept::Columns(decoded) => Ok(Arc::clone(decoded)),
                    Kept::Rollup(_) | Kept::Newest(_) => Err(misplaced()),
                }
            }
        },
        Piece::Block(key, parts) => caches.blocks.find_or_load(key.clone(), || {
            // All columns at once, whichever the question reads: a block is small, and soon another one takes its place.
            let batches = parts.iter().map(|part| part.read(Fields::ALL)).collect::<Result<Vec<_>, _>>()?;
            let batches: Vec<_> = batches.iter().map(AsRef::as_ref).collect();
            let decoded = decode_together(&batches, Wants::ALL)?;
            let weight = decoded.weight();
            Ok((decoded, weight))
        }),
    }
}

/// The same with the properties that are asked for.
fn with_props(
    decoded: Arc<Decoded>,
    piece: &Piece,
    need: &Need,
    caches: &Caches,
    stop: &Stop,
) -> Result<Arc<Decoded>, QueriesError> {
    if need.props.is_empty() {
        return Ok(decoded);
    }
    let names: Vec<PropName> = need.props.iter().map(|(_, name)| name.clone()).collect();
    let props = match piece {
        Piece::Segment(part) => {
            caches.props(&PropsOf::Segment(part.key), std::slice::from_ref(part), &names, stop)?
        }
        Piece::Block(key, parts) => caches.props(&PropsOf::Block(key.clone()), parts, &names, stop)?,
    };
    Ok(Arc::new(decoded.with_props(&props)))
}

/// A segment from the cache, its missing columns decoded; none if it has to be decoded in several parts.
fn decode_columns(part: &Part, need: &Need, caches: &Caches) -> Result<Option<Decoded>, QueriesError> {
    if !segment::fits(part) {
        return Ok(None);
    }
    let (mut pieces, mut missing) = (Vec::new(), Vec::new());
    for column in need.columns() {
        match caches.columns.find(&(part.key, column)) {
            Some(piece) => {
                // Questions may have added to it since it was decoded.
                caches.columns.weigh(&(part.key, column), piece.weight());
                pieces.push(piece);
            }
            None => missing.push(column),
        }
    }
    if !missing.is_empty() {
        for (column, piece) in missing.iter().zip(segment::decode(part, &missing)?) {
            let weight = piece.weight();
            pieces.push(caches.columns.insert((part.key, *column), piece, weight));
        }
    }
    Ok(assemble(&pieces))
}

/// The same without events outside a stretch of milliseconds.
fn within(decoded: Arc<Decoded>, ms: &Range<i64>) -> Arc<Decoded> {
    if decoded.known.iter().chain(&decoded.nobody).all(|columns| lies_in(columns, ms)) {
        return decoded;
    }
    Arc::new(decoded.cut(|columns| cut(columns, ms)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn blocks(first: i64, last: i64) -> Vec<(i64, i64)> {
        let mut blocks = Vec::new();
        let mut at = first;
        while at <= last {
            let end = block_end(at, last);
            blocks.push((at, end));
            at = end;
        }
        blocks
    }

    #[test]
    fn blocks_are_few_and_a_new_batch_changes_only_small_ones() {
        assert_eq!(blocks(1, 1), [(1, 2)]);
        assert_eq!(blocks(1, 3), [(1, 4)]);
        assert_eq!(blocks(1, 8), [(1, 4), (4, 8), (8, 9)]);
        assert_eq!(blocks(5, 14), [(5, 8), (8, 12), (12, 13), (13, 14), (14, 15)]);
        assert_eq!(blocks(0, 2500).len(), 8);
        let before = blocks(3, 5000);
        let after = blocks(3, 5001);
        assert_eq!(before[..before.len() - 1], after[..before.len() - 1]);
    }
}
