use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};

use async_trait::async_trait;
use belvedere_kernel::{Clock, LiveBus, ProjectId, SubjectId};
use belvedere_storage::{Database, Timestamp, Tx};

use crate::batch::Batch;
use crate::cache::Cache;
use crate::directory::Directory;
use crate::filter::IdFilter;
use crate::model::{Appended, Compacted, Erased, Limits, Retained, Sealed, Select, StoreStats};
use crate::rollup::{Edges, ProjectZones, RollupFile, RollupWriter, Stamp, Unusable};
use crate::segment::SegmentMeta;
use crate::segment_file::{SegmentFile, load_filter};
use crate::tables;
use crate::view::{Fresh, ProjectState, States};
use crate::{Event, EventStore, EventStoreError, SegmentId, Snapshot, Watch};

/// The most bytes of batches of the tail that are kept unpacked.
const UNPACKED_BYTES_MAX: usize = 64 << 20;

/// Subjects that are read at once.
const SUBJECTS_PAGE: u64 = 10_000;

/// The time zone of projects of which nobody says another.
const UTC: &str = "UTC";

/// The event store inside this process: the tail in the database, segments in a directory of its own.
///
/// Several processes can share it if they share the directory. A clone is the same store.
#[derive(Clone)]
pub struct Embedded {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) db: Database,
    pub(crate) directory: Directory,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) limits: Limits,
    /// Who hears of events that were appended.
    pub(crate) bus: OnceLock<Arc<dyn LiveBus>>,
    states: States,
    filters: Cache<SegmentId, IdFilter>,
    /// Each weighs 1.
    files: Cache<SegmentId, SegmentFile>,
    /// Each weighs 1.
    rollups: Cache<SegmentId, RollupFile>,
    zones: OnceLock<Arc<dyn ProjectZones>>,
    watchers: Mutex<Vec<Weak<dyn Watch>>>,
}

impl Embedded {
    /// The store whose segments lie in `directory`, which is made when the first one is written.
    pub fn new(db: Database, directory: impl Into<PathBuf>, clock: Arc<dyn Clock>, limits: Limits) -> Self {
        let inner = Inner {
            db,
            directory: Directory::new(directory.into()),
            clock,
            limits,
            bus: OnceLock::new(),
            states: States::new(UNPACKED_BYTES_MAX),
            filters: Cache::new(limits.filter_bytes_max),
            files: Cache::new(limits.open_files_max),
            rollups: Cache::new(limits.open_files_max),
            zones: OnceLock::new(),
            watchers: Mutex::default(),
        };
        Self { inner: Arc::new(inner) }
    }

    /// Rolls events up by the days of their projects instead of those of UTC; to be said once, before any event.
    #[must_use]
    pub fn with_zones(self, zones: Arc<dyn ProjectZones>) -> Self {
        if self.inner.zones.set(zones).is_err() {
            tracing::warn!("time zones of the event store were given twice; the first ones stay");
        }
        self
    }

    /// By whose days a project's events are rolled up.
    pub(crate) async fn time_zone(&self, project: ProjectId) -> Result<String, EventStoreError> {
        let zone = match self.inner.zones.get() {
            Some(zones) => zones.time_zone(project).await?,
            None => None,
        };
        Ok(zone.unwrap_or_else(|| UTC.to_owned()))
    }

    /// Which subject each number stands for in batches of a project; 12 bytes and more for each.
    ///
    /// # Errors
    /// A storage error.
    pub async fn list_subjects(
        &self,
        project: ProjectId,
    ) -> Result<HashMap<u32, SubjectId>, EventStoreError> {
        let (mut subjects, mut behind) = (HashMap::new(), i64::MIN);
        loop {
            let page = tables::list_subjects(self.inner.db.read(), project, behind, SUBJECTS_PAGE).await?;
            let Some((last, _)) = page.last() else { return Ok(subjects) };
            behind = last.0;
            subjects.extend(page.into_iter().map(|(subject, number)| (number, subject)));
        }
    }

    /// The same store, which tells of appended events: `event.appended` with their number, once they are committed.
    #[must_use]
    pub fn with_bus(self, bus: Arc<dyn LiveBus>) -> Self {
        // A second bus is not heard of: a store belongs to one process, which has one.
        let _ = self.inner.bus.set(bus);
        self
    }

    pub(crate) fn state(&self, project: ProjectId) -> Arc<ProjectState> {
        self.inner.states.of(project)
    }

    /// Brings the view of a project up to date with what is committed.
    pub(crate) async fn refresh(&self, project: ProjectId) -> Result<Arc<ProjectState>, EventStoreError> {
        let state = self.state(project);
        let fresh = state.read(self.inner.db.read(), project, None).await?;
        self.inner.apply(project, &state, &fresh);
        Ok(state)
    }
}

impl Inner {
    pub(crate) fn open(
        &self,
        project: ProjectId,
        meta: &SegmentMeta,
    ) -> Result<Arc<SegmentFile>, EventStoreError> {
        self.files.find_or_load(meta.id, || Ok((SegmentFile::open(&self.directory, project, meta)?, 1)))
    }

    /// The days by which the events of some weeks are rolled up; none where nothing is.
    pub(crate) fn edges(&self, zone: &str, week: i64, week_count: i64) -> Option<Edges> {
        if !self.limits.rollups.is_on {
            return None;
        }
        let edges = Edges::of_weeks(zone, week, week_count);
        edges.or_else(|_| Edges::of_weeks(UTC, week, week_count)).ok()
    }

    /// Begins the rollup of a segment.
    pub(crate) fn new_rollup(
        &self,
        project: ProjectId,
        id: SegmentId,
        zone: &str,
        (week, week_count): (i64, i64),
    ) -> Result<Option<RollupWriter>, EventStoreError> {
        let path = self.directory.rollup(project, id);
        let edges = self.edges(zone, week, week_count);
        edges.map(|edges| RollupWriter::create(path.clone(), &path, edges, &self.limits.rollups)).transpose()
    }

    /// The rollup of a segment as it lies there now.
    pub(crate) fn rollup(&self, project: ProjectId, meta: &SegmentMeta) -> Result<Arc<RollupFile>, Unusable> {
        let path = self.directory.rollup(project, meta.id);
        if let Some(known) = self.rollups.find(&meta.id) {
            match std::fs::metadata(&path) {
                Ok(metadata) if Stamp::of(&metadata) == known.stamp() => return Ok(known),
                _ => self.rollups.remove(&meta.id),
            }
        }
        Ok(self.rollups.insert(meta.id, RollupFile::open(&path, meta)?, 1))
    }

    /// Looks for the rollup of a segment anew the next time.
    pub(crate) fn forget_rollup(&self, segment: SegmentId) {
        self.rollups.remove(&segment);
    }

    pub(crate) fn filter(
        &self,
        project: ProjectId,
        meta: &SegmentMeta,
    ) -> Result<Arc<IdFilter>, EventStoreError> {
        self.filters.find_or_load(meta.id, || {
            let filter = load_filter(&self.directory, project, meta, || self.open(project, meta))?;
            let weight = filter.weight();
            Ok((filter, weight))
        })
    }

    /// Takes over what is newer than the view of a project, and tells the watchers what went away by it.
    pub(crate) fn apply(&self, project: ProjectId, state: &ProjectState, fresh: &Fresh) {
        let gone = state.apply(fresh);
        if let Some(gone) = gone {
            self.tell(project, &gone);
        }
    }

    /// Tells the watchers what went away.
    pub(crate) fn tell(&self, project: ProjectId, gone: &[SegmentId]) {
        let mut watchers = self.watchers.lock().unwrap_or_else(PoisonError::into_inner);
        watchers.retain(|watcher| watcher.upgrade().inspect(|it| it.gone(project, gone)).is_some());
    }

    /// Forgets segments that no manifest names any more, and removes their files.
    pub(crate) fn discard(&self, project: ProjectId, segments: &[SegmentId]) {
        self.tell(project, segments);
        for segment in segments {
            self.files.remove(segment);
            self.filters.remove(segment);
            self.rollups.remove(segment);
            self.directory.remove(project, *segment);
        }
    }
}

impl std::fmt::Debug for Embedded {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Embedded").field("directory", &self.inner.directory).finish_non_exhaustive()
    }
}

/// Runs what computes long or waits for a disk beside the asynchronous work.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, EventStoreError> + Send + 'static,
) -> Result<T, EventStoreError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(error) => Err(EventStoreError::Internal(error.to_string())),
    }
}

/// How far maintenance stands back when the processors are busy, in the steps of `nice`: it gets about a tenth of what
/// a question gets.
#[cfg(target_os = "linux")]
const UPKEEP_NICENESS: i32 = 10;

/// Runs maintenance on a thread of its own, which stands back for questions and appends.
pub(crate) async fn upkeep<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, EventStoreError> + Send + 'static,
) -> Result<T, EventStoreError> {
    let (sender, done) = tokio::sync::oneshot::channel();
    let work = move || {
        // Of this thread alone, which no other work is given to: a thread cannot take its niceness back.
        #[cfg(target_os = "linux")]
        if let Err(error) = rustix::process::setpriority_process(None, UPKEEP_NICENESS) {
            tracing::debug!(%error, "maintenance runs at the priority of questions");
        }
        // Nobody waits any more when the caller is gone.
        let _ = sender.send(work());
    };
    let spawned = std::thread::Builder::new().name("event-upkeep".to_owned()).spawn(work);
    spawned.map_err(|error| EventStoreError::Internal(error.to_string()))?;
    done.await.map_err(|_| EventStoreError::Internal("maintenance of events panicked".to_owned()))?
}

#[async_trait]
impl EventStore for Embedded {
    async fn append_in(
        &self,
        tx: &Tx,
        project: ProjectId,
        events: &[Event],
    ) -> Result<Appended, EventStoreError> {
        crate::tail::append_in(self, tx, project, events).await
    }

    async fn load(&self, select: Select) -> Result<Vec<Arc<Batch>>, EventStoreError> {
        crate::read::load(self, select).await
    }

    async fn snapshot(&self, select: Select) -> Result<Snapshot, EventStoreError> {
        crate::read::snapshot(self, &select).await
    }

    async fn find_subject(
        &self,
        project: ProjectId,
        subject: SubjectId,
    ) -> Result<Option<u32>, EventStoreError> {
        let found = tables::find_subjects(self.inner.db.read(), project, &[subject]).await?;
        Ok(found.get(&subject).copied())
    }

    async fn find_subjects(
        &self,
        project: ProjectId,
        numbers: &[u32],
    ) -> Result<HashMap<u32, SubjectId>, EventStoreError> {
        Ok(tables::find_numbers(self.inner.db.read(), project, numbers).await?)
    }

    async fn seal(&self, project: ProjectId) -> Result<Sealed, EventStoreError> {
        crate::seal::seal(self, project).await
    }

    async fn compact(&self, project: ProjectId) -> Result<Compacted, EventStoreError> {
        crate::compact::compact(self, project).await
    }

    async fn erase_subject(&self, project: ProjectId, subject: SubjectId) -> Result<Erased, EventStoreError> {
        crate::erase::erase_subject(self, project, subject).await
    }

    async fn retain(&self, project: ProjectId, before: Timestamp) -> Result<Retained, EventStoreError> {
        crate::retain::retain(self, project, before).await
    }

    async fn stats(&self, project: ProjectId) -> Result<StoreStats, EventStoreError> {
        Ok(tables::stats(self.inner.db.read(), project).await?)
    }

    fn watch(&self, watcher: Weak<dyn Watch>) {
        self.inner.watchers.lock().unwrap_or_else(PoisonError::into_inner).push(watcher);
    }

    async fn list_projects(&self) -> Result<Vec<ProjectId>, EventStoreError> {
        Ok(tables::list_projects(self.inner.db.read()).await?)
    }
}
