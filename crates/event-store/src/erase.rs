//! Erasure: every segment and batch with a subject is replaced by one without it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use belvedere_kernel::{ProjectId, SubjectId};
use belvedere_storage::Tx;

use crate::batch::Batch;
use crate::merge::{Without, merge};
use crate::store::{Inner, blocking};
use crate::swap::Swap;
use crate::tables;
use crate::tail::rewrite_without;
use crate::{Embedded, Erased, EventStoreError};

/// How often an erasure is prepared again because segments changed before it was made.
pub(crate) const ATTEMPTS: usize = 5;

/// An erasure whose segments are written, and which [`PreparedErasure::commit_in`] makes true.
///
/// Dropped without that, it leaves everything as it was.
#[derive(Debug)]
pub struct PreparedErasure {
    store: Embedded,
    project: ProjectId,
    subject: SubjectId,
    swap: Swap,
    events: u64,
    /// From then on the files may be named by a manifest.
    is_attempted: AtomicBool,
}

impl Embedded {
    /// Writes what will replace the segments that have the subject; reads and writes as much as they have.
    ///
    /// # Errors
    /// [`EventStoreError::Damaged`] when a segment cannot be rewritten because it is not what it was;
    /// [`EventStoreError::File`].
    pub async fn prepare_erasure(
        &self,
        project: ProjectId,
        subject: SubjectId,
    ) -> Result<PreparedErasure, EventStoreError> {
        let zone = self.time_zone(project).await?;
        let state = self.refresh(project).await?;
        let (generation, segments) = {
            let view = state.view();
            (view.row.generation, Arc::clone(&view.segments))
        };
        // After the segments: a subject without a number now is in none of them.
        let numbers = tables::find_subjects(self.inner.db.read(), project, &[subject]).await?;
        let swap = Swap { generation, ..Swap::default() };
        let is_attempted = AtomicBool::new(false);
        let store = self.clone();
        let mut prepared = PreparedErasure { store, project, subject, swap, events: 0, is_attempted };
        let Some(number) = numbers.get(&subject).copied() else { return Ok(prepared) };
        let inner = Arc::clone(&self.inner);
        blocking(move || {
            for meta in segments.iter() {
                if inner.open(project, meta)?.has_subject(number)? {
                    let weeks = (meta.week, meta.week_count);
                    let segments = std::slice::from_ref(meta);
                    let rest = merge(&inner, project, segments, Without::Subject(number), &zone, weeks)?;
                    prepared.events += meta.count - rest.as_ref().map_or(0, |rest| rest.count);
                    prepared.swap.remove.push(meta.id);
                    prepared.swap.add.extend(rest);
                }
            }
            Ok(prepared)
        })
        .await
    }
}

impl PreparedErasure {
    /// Erases the subject in the caller's transaction: swaps the segments, rewrites batches of the tail, forgets the
    /// subject's number. The old files are removed once that is committed.
    ///
    /// # Errors
    /// [`EventStoreError::Changed`] when segments were swapped since it was prepared: roll back, and prepare again.
    pub async fn commit_in(&self, tx: &Tx) -> Result<Erased, EventStoreError> {
        self.is_attempted.store(true, Ordering::SeqCst);
        let Self { store, project, subject, swap, .. } = self;
        let mut row = swap.make_in(&store.inner, tx, *project).await?;
        let mut erased = Erased { events: self.events, segments: swap.remove.len() as u64, batches: 0 };
        let numbers = tables::find_subjects(tx, *project, &[*subject]).await?;
        let Some(number) = numbers.get(subject).copied() else { return Ok(erased) };
        let is_gone = |batch: &Batch, row: usize| batch.subjects.get(row) == Some(&number);
        let (events, batches) = rewrite_without(store, tx, *project, &mut row, is_gone).await?;
        erased.events += events;
        erased.batches = batches;
        tables::delete_subject(tx, *project, *subject).await?;
        Ok(erased)
    }
}

impl Drop for PreparedErasure {
    fn drop(&mut self) {
        if !self.is_attempted.load(Ordering::SeqCst) {
            self.swap.forget_files(&self.store.inner, self.project);
        }
    }
}

pub(crate) async fn erase_subject(
    store: &Embedded,
    project: ProjectId,
    subject: SubjectId,
) -> Result<Erased, EventStoreError> {
    let state = store.state(project);
    let _alone = state.swapping.lock().await;
    let mut attempt = 0;
    loop {
        attempt += 1;
        let prepared = store.prepare_erasure(project, subject).await?;
        let inner: &Arc<Inner> = &store.inner;
        match inner.db.write(async |tx| prepared.commit_in(tx).await).await {
            Err(EventStoreError::Changed(_)) if attempt < ATTEMPTS => {}
            Ok(erased) => {
                // What this process holds of the tail is let go now, not with the next question.
                store.refresh(project).await?;
                return Ok(erased);
            }
            Err(error) => return Err(error),
        }
    }
}
