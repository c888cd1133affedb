//! What a process knows of a project: its segments and the batches of its tail, as of one instant.
//!
//! The row of the project says how old that is: `generation` rises with every change of segments and every rewriting of
//! batches, `last_sequence` with every appended batch. Both are read in the statement that reads the rest, so a view is
//! never half of one instant and half of another.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use belvedere_kernel::{ProjectId, SubjectId};
use sea_orm::ConnectionTrait;

use crate::batch::Batch;
use crate::cache::Cache;
use crate::read::PartKey;
use crate::segment::SegmentMeta;
use crate::store::blocking;
use crate::tables::{self, ProjectRow, StoredBatch};
use crate::{EventStoreError, SegmentId, encoding};

/// How often a view is read again because it changed while it was read.
const ATTEMPTS: usize = 20;

/// A batch of the tail, packed: a tenth of what it takes decoded, and most are sealed before anybody asks for them.
#[derive(Debug, Clone)]
pub(crate) struct TailBatch {
    pub(crate) sequence: i64,
    pub(crate) revision: i64,
    pub(crate) count: usize,
    /// The different names, sorted.
    pub(crate) names: Arc<[String]>,
    /// Earliest and latest time.
    pub(crate) span: (i64, i64),
    /// None as long as nobody had to know them.
    ids: Option<Arc<[[u8; 16]]>>,
    payload: Arc<[u8]>,
}

impl TailBatch {
    /// `payload` is the batch, packed.
    pub(crate) fn new(sequence: i64, revision: i64, batch: &Batch, payload: &[u8]) -> Self {
        Self {
            sequence,
            revision,
            count: batch.count,
            names: batch.names().into(),
            span: batch.time_span(),
            ids: Some(batch.ids.as_slice().into()),
            payload: payload.into(),
        }
    }

    fn stored(batch: StoredBatch) -> Self {
        Self {
            sequence: batch.sequence,
            revision: batch.revision,
            count: usize::try_from(batch.count).unwrap_or(usize::MAX),
            names: batch.names.into(),
            span: batch.span,
            ids: None,
            payload: batch.payload.into(),
        }
    }

    /// # Errors
    /// [`EventStoreError::Packing`] when it is not what was packed.
    pub(crate) fn unpack(&self) -> Result<Batch, EventStoreError> {
        encoding::unpack(&self.payload)
    }
}

/// Batches of the tail as they were unpacked last, so that a question after another one unpacks only what is new.
#[derive(Debug)]
pub(crate) struct Unpacked {
    batches: Cache<PartKey, Batch>,
    /// How often batches went away.
    departures: AtomicUsize,
}

impl Unpacked {
    /// A batch that is kept, or unpacked now and kept from now on.
    pub(crate) fn of(&self, key: PartKey, tail: &TailBatch) -> Result<Arc<Batch>, EventStoreError> {
        let departures = self.departures.load(Ordering::SeqCst);
        let batch = self.batches.find_or_load(key, || {
            let batch = tail.unpack()?;
            let weight = batch.weight();
            Ok::<_, EventStoreError>((batch, weight))
        })?;
        if self.departures.load(Ordering::SeqCst) != departures {
            // It may have gone away meanwhile.
            self.batches.remove(&key);
        }
        Ok(batch)
    }

    /// Lets batches of a project go, but for those that it still has.
    fn forget(&self, project: ProjectId, has: impl Fn(i64, i64) -> bool) {
        self.departures.fetch_add(1, Ordering::SeqCst);
        self.batches.remove_where(|key| match key {
            PartKey::Batch { project: of, sequence, revision } if *of == project => {
                !has(*sequence, *revision)
            }
            _ => false,
        });
    }
}

/// What is known of a project.
#[derive(Debug)]
pub(crate) struct View {
    pub(crate) row: ProjectRow,
    pub(crate) segments: Arc<Vec<SegmentMeta>>,
    pub(crate) batches: BTreeMap<i64, TailBatch>,
    /// Those of the batches whose ids are known.
    ids: HashSet<[u8; 16]>,
}

/// What was read to bring a view up to date; harmless to apply late or never.
#[derive(Debug)]
pub(crate) struct Fresh {
    pub(crate) row: ProjectRow,
    /// None: those of the view, whose generation is the same.
    pub(crate) segments: Option<Arc<Vec<SegmentMeta>>>,
    /// All batches if segments are there, else those behind the view's last one.
    pub(crate) batches: Vec<TailBatch>,
}

impl View {
    /// A view that is older than anything that can be read.
    pub(crate) fn unread() -> Self {
        Self {
            row: ProjectRow { generation: -1, ..ProjectRow::NEW },
            segments: Arc::default(),
            batches: BTreeMap::new(),
            ids: HashSet::new(),
        }
    }

    /// Takes over what is newer than the view, and says which segments went away, if segments or batches changed. Only
    /// what is committed may come here.
    pub(crate) fn apply(&mut self, fresh: &Fresh) -> Option<Vec<SegmentId>> {
        let (mine, theirs) = (&self.row, &fresh.row);
        if (theirs.generation, theirs.last_sequence) <= (mine.generation, mine.last_sequence) {
            return None;
        }
        let mut gone = None;
        if let Some(segments) = &fresh.segments {
            let before = std::mem::replace(&mut self.segments, Arc::clone(segments));
            let kept: HashSet<SegmentId> = segments.iter().map(|segment| segment.id).collect();
            gone = Some(before.iter().map(|segment| segment.id).filter(|id| !kept.contains(id)).collect());
            self.batches.clear();
            self.ids.clear();
        } else if theirs.generation != mine.generation {
            return None;
        }
        let known = if fresh.segments.is_some() { i64::MIN } else { self.row.last_sequence };
        for batch in fresh.batches.iter().filter(|batch| batch.sequence > known) {
            self.ids.extend(batch.ids.iter().flat_map(|ids| ids.iter()));
            self.batches.insert(batch.sequence, batch.clone());
        }
        self.row = fresh.row;
        gone
    }

    /// Those ids, of the ones asked for, that are in the tail as `fresh` says it is; all its ids have to be known.
    fn known_ids(&self, fresh: &Fresh, ids: &[[u8; 16]]) -> HashSet<[u8; 16]> {
        let asked: HashSet<&[u8; 16]> = ids.iter().collect();
        let new = fresh.batches.iter().flat_map(|batch| &batch.ids).flat_map(|ids| ids.iter());
        let mut known: HashSet<[u8; 16]> = new.filter(|id| asked.contains(id)).copied().collect();
        if fresh.segments.is_none() {
            known.extend(ids.iter().filter(|id| self.ids.contains(*id)));
        }
        known
    }
}

/// The most numbers of subjects that are remembered of a project: about 32 MB.
const NUMBERS_MAX: usize = 1 << 20;

/// Numbers of subjects, as of a generation: an erasure, which takes a subject its number, begins another one.
#[derive(Debug, Default)]
struct Numbers {
    generation: i64,
    by_subject: HashMap<SubjectId, u32>,
}

/// The state of a project in this process.
#[derive(Debug)]
pub(crate) struct ProjectState {
    project: ProjectId,
    view: Mutex<View>,
    pub(crate) unpacked: Arc<Unpacked>,
    numbers: Mutex<Numbers>,
    /// Held by whoever swaps segments, so that this process does not get in its own way.
    pub(crate) swapping: tokio::sync::Mutex<()>,
}

impl ProjectState {
    pub(crate) fn new(project: ProjectId, unpacked: Arc<Unpacked>) -> Self {
        Self {
            project,
            view: Mutex::new(View::unread()),
            unpacked,
            numbers: Mutex::default(),
            swapping: tokio::sync::Mutex::new(()),
        }
    }

    /// The numbers of those subjects that are remembered, as of the generation of the locked row.
    pub(crate) fn known_numbers(&self, generation: i64, subjects: &[SubjectId]) -> HashMap<SubjectId, u32> {
        let numbers = self.numbers.lock().unwrap_or_else(PoisonError::into_inner);
        if numbers.generation != generation {
            return HashMap::new();
        }
        let pair = |subject: &SubjectId| Some((*subject, *numbers.by_subject.get(subject)?));
        subjects.iter().filter_map(pair).collect()
    }

    /// Remembers numbers that were read or given in a transaction of that generation; only once it is committed.
    pub(crate) fn remember_numbers(&self, generation: i64, learnt: &[(SubjectId, u32)]) {
        let mut numbers = self.numbers.lock().unwrap_or_else(PoisonError::into_inner);
        if numbers.generation > generation {
            return;
        }
        if numbers.generation < generation || numbers.by_subject.len() + learnt.len() > NUMBERS_MAX {
            *numbers = Numbers { generation, ..Numbers::default() };
        }
        numbers.by_subject.extend(learnt.iter().take(NUMBERS_MAX).copied());
    }

    /// Numbers of one generation hold in the next one too.
    pub(crate) fn keep_numbers(&self, generation: i64, next: i64) {
        let mut numbers = self.numbers.lock().unwrap_or_else(PoisonError::into_inner);
        if numbers.generation == generation {
            numbers.generation = next;
        }
    }

    pub(crate) fn view(&self) -> MutexGuard<'_, View> {
        self.view.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes over what is newer than the view, as [`View::apply`] does; batches that the view has no more are let go.
    pub(crate) fn apply(&self, fresh: &Fresh) -> Option<Vec<SegmentId>> {
        let mut view = self.view();
        let gone = view.apply(fresh);
        if gone.is_some() {
            self.unpacked.forget(self.project, |sequence, revision| {
                view.batches.get(&sequence).is_some_and(|batch| batch.revision == revision)
            });
        }
        gone
    }

    /// Those ids, of the ones asked for, that are in the tail as `fresh` says it is.
    pub(crate) async fn known_ids(
        &self,
        fresh: &mut Fresh,
        ids: &[[u8; 16]],
    ) -> Result<HashSet<[u8; 16]>, EventStoreError> {
        let mut unread: Vec<TailBatch> = Vec::new();
        if fresh.segments.is_none() {
            unread.extend(self.view().batches.values().filter(|batch| batch.ids.is_none()).cloned());
        }
        unread.extend(fresh.batches.iter().filter(|batch| batch.ids.is_none()).cloned());
        if !unread.is_empty() {
            // Another process appended them.
            let read = move || {
                let read = unread.into_iter().map(|batch| {
                    let ids: Arc<[[u8; 16]]> = batch.unpack()?.ids.into();
                    Ok(((batch.sequence, batch.revision), ids))
                });
                read.collect::<Result<HashMap<_, _>, EventStoreError>>()
            };
            let read = blocking(read).await?;
            let mut view = self.view();
            let View { batches, ids, .. } = &mut *view;
            for batch in batches.values_mut().chain(&mut fresh.batches).filter(|batch| batch.ids.is_none()) {
                batch.ids = read.get(&(batch.sequence, batch.revision)).cloned();
            }
            let of_view =
                batches.values().filter(|batch| read.contains_key(&(batch.sequence, batch.revision)));
            ids.extend(of_view.flat_map(|batch| &batch.ids).flat_map(|ids| ids.iter()));
        }
        Ok(self.view().known_ids(fresh, ids))
    }

    /// Reads what is newer than the view, from the project's row on where the caller has just read it. What is read in a
    /// transaction may be applied once that is committed, not before.
    pub(crate) async fn read(
        &self,
        connection: &impl ConnectionTrait,
        project: ProjectId,
        mut row: Option<ProjectRow>,
    ) -> Result<Fresh, EventStoreError> {
        for _ in 0..ATTEMPTS {
            let row = match row.take() {
                Some(row) => row,
                None => tables::find_project(connection, project).await?,
            };
            let known = self.view().row;
            if known.generation == row.generation {
                if known.last_sequence >= row.last_sequence {
                    return Ok(Fresh { row: known, segments: None, batches: Vec::new() });
                }
                let (row, batches) = tables::fetch_batches(connection, project, known.last_sequence).await?;
                if row.generation == known.generation {
                    let batches = batches.into_iter().map(TailBatch::stored).collect();
                    return Ok(Fresh { row, segments: None, batches });
                }
            } else if let Some(fresh) = self.read_all(connection, project).await? {
                return Ok(fresh);
            }
        }
        Err(EventStoreError::Changed(project))
    }

    /// Everything; batches that are known already are not read again. None when it changed meanwhile.
    async fn read_all(
        &self,
        connection: &impl ConnectionTrait,
        project: ProjectId,
    ) -> Result<Option<Fresh>, EventStoreError> {
        let (start, segments) = tables::list_segments(connection, project).await?;
        let (row, keys) = tables::list_batches(connection, project).await?;
        let mut fresh = Fresh { row, segments: None, batches: Vec::new() };
        let mut missing: Option<i64> = None;
        {
            let view = self.view();
            for (sequence, revision) in keys {
                match view.batches.get(&sequence) {
                    Some(known) if known.revision == revision => fresh.batches.push(known.clone()),
                    _ => missing = missing.or(Some(sequence)),
                }
            }
        }
        if let Some(first) = missing {
            let (newer, stored) = tables::fetch_batches(connection, project, first - 1).await?;
            fresh.batches.retain(|batch| batch.sequence < first);
            fresh.batches.extend(stored.into_iter().map(TailBatch::stored));
            if newer.generation != fresh.row.generation {
                return Ok(None);
            }
            fresh.row = newer;
        }
        fresh.segments = Some(Arc::new(segments));
        Ok((fresh.row.generation == start.generation).then_some(fresh))
    }
}

/// The states of all projects that this process has met.
#[derive(Debug)]
pub(crate) struct States {
    by_project: Mutex<HashMap<ProjectId, Arc<ProjectState>>>,
    unpacked: Arc<Unpacked>,
}

impl States {
    /// Keeps at most so many bytes of unpacked batches.
    pub(crate) fn new(unpacked_bytes_max: usize) -> Self {
        let unpacked = Unpacked { batches: Cache::new(unpacked_bytes_max), departures: AtomicUsize::new(0) };
        Self { by_project: Mutex::default(), unpacked: Arc::new(unpacked) }
    }

    pub(crate) fn of(&self, project: ProjectId) -> Arc<ProjectState> {
        let mut states = self.by_project.lock().unwrap_or_else(PoisonError::into_inner);
        let new = || Arc::new(ProjectState::new(project, Arc::clone(&self.unpacked)));
        Arc::clone(states.entry(project).or_insert_with(new))
    }
}
