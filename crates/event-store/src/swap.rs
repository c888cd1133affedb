//! The one transaction in which segments take the place of others or of batches.

use std::sync::Arc;

use belvedere_kernel::ProjectId;
use belvedere_storage::{StorageError, Tx};

use crate::segment::SegmentMeta;
use crate::store::Inner;
use crate::tables::{self, ProjectRow};
use crate::{Embedded, EventStoreError, SegmentId};

/// What changes at once. All files of `add` are durable under their names before.
#[derive(Debug, Default)]
pub(crate) struct Swap {
    /// The generation that the change was computed from.
    pub(crate) generation: i64,
    pub(crate) add: Vec<SegmentMeta>,
    pub(crate) remove: Vec<SegmentId>,
    /// Batches up to this sequence are deleted, of so many events.
    pub(crate) sealed: Option<(i64, u64)>,
}

impl Swap {
    /// Makes the change; the new row of the project, still locked. If somebody else was faster, the files are removed
    /// again: nothing names them, and never will. After any other failure they stay for the sweep, because the
    /// transaction may have been committed without our hearing of it.
    pub(crate) async fn make_in(
        &self,
        inner: &Arc<Inner>,
        tx: &Tx,
        project: ProjectId,
    ) -> Result<ProjectRow, EventStoreError> {
        let mut row = tables::lock_project(tx, project).await?;
        // The generation only rises, so what is refused once stays refused.
        if row.generation != self.generation {
            self.forget_files(inner, project);
            return Err(EventStoreError::Changed(project));
        }
        for segment in &self.remove {
            if !tables::delete_segment(tx, project, *segment).await? {
                return Err(StorageError::corrupt(format!("manifest of segment {segment} is gone")).into());
            }
        }
        for segment in &self.add {
            tables::insert_segment(tx, project, segment).await?;
        }
        row.generation += 1;
        if let Some((sequence, count)) = self.sealed {
            tables::delete_batches_to(tx, project, sequence).await?;
            row.sealed_to = sequence;
            row.tail_count -= i64::try_from(count).unwrap_or(0);
        }
        tables::update_project(tx, project, row).await?;
        let (inner, removed) = (Arc::clone(inner), self.remove.clone());
        tx.after_commit(move || inner.discard(project, &removed));
        Ok(row)
    }

    /// Makes the change in a transaction of its own; no subject may lose its number by it.
    pub(crate) async fn make(&self, store: &Embedded, project: ProjectId) -> Result<(), EventStoreError> {
        let (inner, state) = (&store.inner, store.state(project));
        let swap = async |tx: &Tx| {
            let row = self.make_in(inner, tx, project).await?;
            let (state, before) = (Arc::clone(&state), self.generation);
            tx.after_commit(move || state.keep_numbers(before, row.generation));
            Ok(())
        };
        inner.db.write(swap).await
    }

    /// Removes what was written for a change that was not made.
    pub(crate) fn forget_files(&self, inner: &Inner, project: ProjectId) {
        let added: Vec<SegmentId> = self.add.iter().map(|segment| segment.id).collect();
        inner.discard(project, &added);
    }
}
