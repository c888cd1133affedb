//! Reading: the segments and the tail of one instant.

use std::collections::HashSet;
use std::sync::Arc;

use arrow_array::RecordBatch;
use belvedere_kernel::ProjectId;

use crate::batch::{Batch, concat};
use crate::rollup::{RollupFile, Unusable};
use crate::segment::SegmentMeta;
use crate::segment_file::SegmentFile;
use crate::store::{Inner, blocking};
use crate::view::{TailBatch, Unpacked};
use crate::{Cache, Embedded, EventStore, EventStoreError, Fields, SegmentId, Select, StoreVersion};

/// How often a snapshot is taken again because a segment was swapped before it was opened.
const ATTEMPTS: usize = 20;

/// What a part is, for caches: the same key means the same events for ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PartKey {
    /// A sealed segment.
    Segment(SegmentId),
    /// A batch of the tail.
    Batch {
        /// The project.
        project: ProjectId,
        /// The place of the batch in the project.
        sequence: i64,
        /// Changes when the batch is rewritten.
        revision: i64,
    },
}

/// A cache of what parts were decoded to, and with which columns.
pub type PartCache<T> = Cache<(PartKey, Fields), T>;

/// Events that are stored together: a sealed segment, sorted by subject, time and id, or a batch of the tail.
#[derive(Debug, Clone)]
pub struct Part {
    /// What it is.
    pub key: PartKey,
    /// How many events it has, those that were not asked for included.
    pub count: u64,
    /// The earliest of their times, in microseconds since 1970 UTC.
    pub first_micros: i64,
    /// The latest.
    pub last_micros: i64,
    source: Source,
    rollup: Option<Arc<RollupFile>>,
}

#[derive(Debug, Clone)]
enum Source {
    Segment(Arc<SegmentFile>),
    Tail(TailBatch, Arc<Unpacked>),
}

impl Part {
    /// Reads columns of all its events, from the disk or packed, so call it where blocking is allowed.
    ///
    /// # Errors
    /// [`EventStoreError::Damaged`] when the segment is not what it was.
    pub fn read(&self, fields: Fields) -> Result<Arc<Batch>, EventStoreError> {
        match &self.source {
            Source::Segment(file) => file.read(fields).map(Arc::new),
            // All columns are packed as one.
            Source::Tail(batch, unpacked) => unpacked.of(self.key, batch),
        }
    }

    /// Whether it is a segment; else it is a batch of the tail.
    #[must_use]
    pub fn is_sealed(&self) -> bool {
        matches!(self.source, Source::Segment(_))
    }

    /// Reads columns of all its events piece by piece in their order, so that long ones take little memory at once.
    ///
    /// # Errors
    /// As [`Part::read`], or what `take` returns.
    pub fn read_by_group<E: From<EventStoreError>>(
        &self,
        fields: Fields,
        mut take: impl FnMut(&Batch) -> Result<(), E>,
    ) -> Result<(), E> {
        match &self.source {
            Source::Segment(file) => (0..file.row_groups())
                .try_for_each(|group| take(&file.read_row_group(group, fields).map_err(E::from)?)),
            Source::Tail(..) => take(self.read(fields).map_err(E::from)?.as_ref()),
        }
    }

    /// What `decode` makes of those columns, from the cache or for it; `decode` says how many bytes that takes.
    ///
    /// # Errors
    /// As [`Part::read`], or what `decode` returns.
    pub fn read_cached<T, E: From<EventStoreError>>(
        &self,
        cache: &PartCache<T>,
        fields: Fields,
        decode: impl FnOnce(&Batch) -> Result<(T, usize), E>,
    ) -> Result<Arc<T>, E> {
        cache.find_or_load((self.key, fields), || decode(&*self.read(fields)?))
    }

    /// What was counted of its events when it was written, if that can be read.
    pub(crate) fn rollup(&self) -> Option<&RollupFile> {
        self.rollup.as_deref()
    }

    /// How many pieces it can be read in: the row groups of a segment.
    #[must_use]
    pub fn pieces(&self) -> usize {
        match &self.source {
            Source::Segment(file) => file.row_groups(),
            Source::Tail(..) => 1,
        }
    }

    /// Reads columns of one of its pieces.
    ///
    /// # Errors
    /// As [`Part::read`].
    pub fn read_piece(&self, piece: usize, fields: Fields) -> Result<Arc<Batch>, EventStoreError> {
        match &self.source {
            Source::Segment(file) => file.read_row_group(piece, fields).map(Arc::new),
            Source::Tail(..) => self.read(fields),
        }
    }

    /// Hands over columns of a segment's events in pieces, in their order; nothing of a batch of the tail.
    pub(crate) fn scan(
        &self,
        fields: Fields,
        take: impl FnMut(&RecordBatch) -> Option<()>,
    ) -> Result<(), EventStoreError> {
        match &self.source {
            Source::Segment(file) => file.scan(fields, take),
            Source::Tail(..) => Ok(()),
        }
    }

    /// Columns of the events of one subject, and of some others beside them in a segment.
    fn read_near(&self, fields: Fields, subject: Option<u32>) -> Result<Arc<Batch>, EventStoreError> {
        match (&self.source, subject) {
            (Source::Segment(file), Some(subject)) => {
                let groups = file.row_groups_of(subject);
                let groups = groups.into_iter().map(|group| file.read_row_group(group, fields));
                let groups = groups.collect::<Result<Vec<_>, _>>()?;
                Ok(Arc::new(concat(fields, &groups)))
            }
            _ => self.read(fields),
        }
    }
}

/// The parts of a project as of one instant, without those that have none of the events that were asked for.
///
/// It stays readable whatever is swapped or erased after it was taken; drop it soon.
#[derive(Debug, Clone, Default)]
pub struct Snapshot {
    /// Segments by week, then batches of the tail in the order in which they came.
    pub parts: Vec<Part>,
    /// How far the project was.
    pub version: StoreVersion,
}

fn find_rollup(inner: &Inner, project: ProjectId, meta: &SegmentMeta) -> Option<Arc<RollupFile>> {
    if !inner.limits.rollups.is_on {
        return None;
    }
    match inner.rollup(project, meta) {
        Ok(rollup) => Some(rollup),
        Err(Unusable::Missing) => None,
        Err(Unusable::Damaged(what)) => {
            tracing::warn!(segment = %meta.id, what, "a rollup is damaged; its segment is read instead");
            None
        }
    }
}

/// Takes a snapshot, its segments opened.
pub(crate) async fn snapshot(store: &Embedded, select: &Select) -> Result<Snapshot, EventStoreError> {
    let project = select.project;
    let mut failure = None;
    for _ in 0..ATTEMPTS {
        let state = store.refresh(project).await?;
        let names: HashSet<&str> = select.names.iter().map(String::as_str).collect();
        let (first, end) = (select.from.as_micros(), select.until.as_micros());
        let (segments, tail, version) = {
            let view = state.view();
            let segments = view.segments.iter().filter(|segment| {
                segment.last_at >= select.from
                    && segment.first_at < select.until
                    && (names.is_empty() || segment.names.iter().any(|name| names.contains(name.as_str())))
            });
            let segments: Vec<SegmentMeta> = segments.cloned().collect();
            let tail = view.batches.values().filter(|tail| {
                tail.span.1 >= first
                    && tail.span.0 < end
                    && (names.is_empty() || tail.names.iter().any(|name| names.contains(name.as_str())))
            });
            let tail = tail.map(|tail| Part {
                key: PartKey::Batch { project, sequence: tail.sequence, revision: tail.revision },
                count: tail.count as u64,
                first_micros: tail.span.0,
                last_micros: tail.span.1,
                source: Source::Tail(tail.clone(), Arc::clone(&state.unpacked)),
                rollup: None,
            });
            let (generation, last_sequence) = (view.row.generation, view.row.last_sequence);
            (segments, tail.collect::<Vec<_>>(), StoreVersion { generation, last_sequence })
        };
        let inner = Arc::clone(&store.inner);
        let opened = blocking(move || {
            let parts = segments.iter().map(|meta| {
                Ok(Part {
                    key: PartKey::Segment(meta.id),
                    count: meta.count,
                    first_micros: meta.first_at.as_micros(),
                    last_micros: meta.last_at.as_micros(),
                    source: Source::Segment(inner.open(project, meta)?),
                    rollup: find_rollup(&inner, project, meta),
                })
            });
            parts.collect::<Result<Vec<_>, EventStoreError>>()
        });
        match opened.await {
            Ok(mut parts) => {
                parts.extend(tail);
                return Ok(Snapshot { parts, version });
            }
            // A swap that was committed since the view was read removes files; the next view does not name them.
            Err(error) if error.is_not_found() => failure = Some(error),
            Err(error) => return Err(error),
        }
    }
    Err(failure.unwrap_or(EventStoreError::Changed(project)))
}

/// Reads exactly the events that are asked for.
pub(crate) async fn load(store: &Embedded, select: Select) -> Result<Vec<Arc<Batch>>, EventStoreError> {
    let subject = match select.subject {
        Some(subject) => match store.find_subject(select.project, subject).await? {
            Some(number) => Some(number),
            None => return Ok(Vec::new()),
        },
        None => None,
    };
    let snapshot = snapshot(store, &select).await?;
    blocking(move || {
        let name = Fields::text(crate::TextField::Name);
        let fields = select.fields.and(Fields::TIME).and(Fields::SUBJECT).and(name);
        let names: HashSet<&str> = select.names.iter().map(String::as_str).collect();
        let mut batches = Vec::new();
        for part in &snapshot.parts {
            let batch = part.read_near(fields, subject)?;
            let is_wanted =
                |batch: &Batch, row: usize| {
                    batch.times.get(row).is_some_and(|time| {
                        (select.from.as_micros()..select.until.as_micros()).contains(time)
                    }) && (names.is_empty() || names.contains(batch.name(row)))
                        && subject.is_none_or(|subject| batch.subjects.get(row) == Some(&subject))
                };
            let wanted = (0..batch.count).filter(|row| is_wanted(&batch, *row)).count();
            match wanted {
                0 => {}
                wanted if wanted == batch.count => batches.push(batch),
                _ => batches.push(Arc::new(batch.filter(is_wanted))),
            }
        }
        Ok(batches)
    })
    .await
}
