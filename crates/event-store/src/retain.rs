//! Retention by dropping whole months, and the sweep of files that nobody names.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use belvedere_kernel::ProjectId;
use belvedere_storage::Timestamp;

use crate::segment::SegmentMeta;
use crate::store::blocking;
use crate::swap::Swap;
use crate::tables;
use crate::week::{month_of, start_of};
use crate::{Embedded, EventStoreError, Retained};

/// Drops the segments of months that ended at or before a limit.
pub(crate) async fn retain(
    store: &Embedded,
    project: ProjectId,
    before: Timestamp,
) -> Result<Retained, EventStoreError> {
    let state = store.state(project);
    let _alone = state.swapping.lock().await;
    store.refresh(project).await?;
    let (generation, segments) = {
        let view = state.view();
        (view.row.generation, Arc::clone(&view.segments))
    };
    let mut ends: BTreeMap<i64, Timestamp> = BTreeMap::new();
    let mut is_over = |segment: &&SegmentMeta| {
        *ends.entry(segment.week).or_insert_with(|| start_of(month_of(segment.week).end)) <= before
    };
    let dropped: Vec<&SegmentMeta> = segments.iter().filter(|segment| is_over(segment)).collect();
    if dropped.is_empty() {
        return Ok(Retained::default());
    }
    let remove = dropped.iter().map(|segment| segment.id).collect();
    Swap { generation, add: Vec::new(), remove, sealed: None }.make(store, project).await?;
    Ok(Retained { events: dropped.iter().map(|segment| segment.count).sum(), segments: dropped.len() as u64 })
}

impl Embedded {
    /// Removes files that no manifest names and that began to be written longer than `margin` ago; how many.
    ///
    /// The margin must be longer than the longest time from the first byte of a segment to the end of its transaction;
    /// an hour is ample.
    ///
    /// # Errors
    /// [`EventStoreError::File`] when the directory cannot be listed, or a storage error.
    pub async fn sweep_orphans(&self, project: ProjectId, margin: Duration) -> Result<u64, EventStoreError> {
        let limit = self.inner.clock.now().minus(margin);
        let inner = Arc::clone(&self.inner);
        // The directory before the manifest: a file that is named meanwhile is not taken for an orphan.
        let files = blocking(move || inner.directory.list_before(project, limit)).await?;
        if files.is_empty() {
            return Ok(0);
        }
        let (_, segments) = tables::list_segments(self.inner.db.read(), project).await?;
        let named: HashSet<_> = segments.iter().map(|segment| segment.id).collect();
        blocking(move || {
            let mut removed = 0;
            for (segment, path) in files {
                let is_piece = path.extension().is_some_and(|extension| extension == "part");
                if is_piece || !named.contains(&segment) {
                    match std::fs::remove_file(&path) {
                        Ok(()) => removed += 1,
                        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                        Err(error) => return Err(EventStoreError::file(&path, error)),
                    }
                }
            }
            Ok(removed)
        })
        .await
    }
}
