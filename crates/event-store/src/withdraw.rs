//! Withdrawal: single events leave, found by their ids, and with them what followed from them.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use belvedere_kernel::{ProjectId, SubjectId};
use belvedere_storage::{Timestamp, Tx};

use crate::batch::Batch;
use crate::erase::ATTEMPTS;
use crate::filter::hash_of;
use crate::merge::{Without, merge};
use crate::segment::SegmentMeta;
use crate::store::{Inner, blocking};
use crate::swap::Swap;
use crate::tail::rewrite_without;
use crate::view::TailBatch;
use crate::{Embedded, Erased, Event, EventStore, EventStoreError, Fields, LearnerEvents, TextField};

impl Embedded {
    /// Removes events by their ids, and in the same transaction what `learners` keep of them. Ids that are not there do no
    /// harm. It reads and writes as much as the segments have in which the events are.
    ///
    /// # Errors
    /// [`EventStoreError::Changed`] when other processes were faster several times, [`EventStoreError::Damaged`], or a
    /// storage error; then nothing was removed.
    pub async fn withdraw_events(
        &self,
        project: ProjectId,
        ids: &[[u8; 16]],
        learners: &dyn LearnerEvents,
    ) -> Result<Erased, EventStoreError> {
        let ids: Arc<HashSet<[u8; 16]>> = Arc::new(ids.iter().copied().collect());
        let state = self.state(project);
        let _alone = state.swapping.lock().await;
        let mut attempt = 0;
        loop {
            attempt += 1;
            let prepared = Prepared::read(self, project, &ids).await?;
            if prepared.gone.is_empty() {
                return Ok(Erased::default());
            }
            let made = self.inner.db.write(async |tx| {
                learners.withdraw_in(tx, project, &prepared.gone).await?;
                prepared.commit_in(self, tx, project, &ids).await
            });
            match made.await {
                Err(EventStoreError::Changed(_)) if attempt < ATTEMPTS => {}
                Ok(erased) => {
                    // What this process holds of the tail is let go now, not with the next question.
                    self.refresh(project).await?;
                    return Ok(erased);
                }
                Err(error) => return Err(error),
            }
        }
    }
}

/// Segments without the events, and the events.
struct Prepared {
    swap: Swap,
    gone: Vec<Event>,
}

impl Prepared {
    async fn read(
        store: &Embedded,
        project: ProjectId,
        ids: &Arc<HashSet<[u8; 16]>>,
    ) -> Result<Self, EventStoreError> {
        let zone = store.time_zone(project).await?;
        let state = store.refresh(project).await?;
        let (generation, segments, tail) = {
            let view = state.view();
            let tail: Vec<TailBatch> = view.batches.values().cloned().collect();
            (view.row.generation, Arc::clone(&view.segments), tail)
        };
        let (inner, ids) = (Arc::clone(&store.inner), Arc::clone(ids));
        let (swap, found) = blocking(move || {
            let mut swap = Swap { generation, ..Swap::default() };
            let mut found = Vec::new();
            let hashes: Vec<u64> = ids.iter().map(hash_of).collect();
            for meta in segments.iter() {
                let filter = inner.filter(project, meta)?;
                if !hashes.iter().any(|hash| filter.may_have(*hash)) {
                    continue;
                }
                let of_segment = sealed(&inner, project, meta, &ids)?;
                if !of_segment.is_empty() {
                    let (only, weeks) = (std::slice::from_ref(meta), (meta.week, meta.week_count));
                    let rest = merge(&inner, project, only, Without::Events(&ids), &zone, weeks)?;
                    swap.remove.push(meta.id);
                    swap.add.extend(rest);
                    found.extend(of_segment);
                }
            }
            for batch in &tail {
                found.push(batch.unpack()?.filter(|batch, row| is_of(&ids, batch, row)));
            }
            Ok((swap, found))
        })
        .await?;
        let numbers: HashSet<u32> = found.iter().flat_map(|batch| &batch.subjects).copied().collect();
        let numbers: Vec<u32> = numbers.into_iter().collect();
        let subjects = store.find_subjects(project, &numbers).await?;
        let rows = found.iter().flat_map(|batch| (0..batch.count).map(move |row| (batch, row)));
        let gone = rows.map(|(batch, row)| event_of(batch, row, &subjects)).collect();
        Ok(Self { swap, gone })
    }

    async fn commit_in(
        &self,
        store: &Embedded,
        tx: &Tx,
        project: ProjectId,
        ids: &HashSet<[u8; 16]>,
    ) -> Result<Erased, EventStoreError> {
        let mut row = self.swap.make_in(&store.inner, tx, project).await?;
        let is_gone = |batch: &Batch, row: usize| is_of(ids, batch, row);
        let (_, batches) = rewrite_without(store, tx, project, &mut row, is_gone).await?;
        let (state, before) = (store.state(project), self.swap.generation);
        tx.after_commit(move || state.keep_numbers(before, row.generation));
        let segments = self.swap.remove.len() as u64;
        Ok(Erased { events: self.gone.len() as u64, segments, batches })
    }
}

fn is_of(ids: &HashSet<[u8; 16]>, batch: &Batch, row: usize) -> bool {
    batch.ids.get(row).is_some_and(|id| ids.contains(id))
}

/// The events of a segment that have one of the ids; all columns are read of their row groups alone.
fn sealed(
    inner: &Inner,
    project: ProjectId,
    meta: &SegmentMeta,
    ids: &HashSet<[u8; 16]>,
) -> Result<Vec<Batch>, EventStoreError> {
    let file = inner.open(project, meta)?;
    let mut found = Vec::new();
    for group in 0..file.row_groups() {
        if file.read_row_group(group, Fields::ID)?.ids.iter().any(|id| ids.contains(id)) {
            let all = file.read_row_group(group, Fields::ALL)?;
            found.push(all.filter(|batch, row| is_of(ids, batch, row)));
        }
    }
    Ok(found)
}

fn event_of(batch: &Batch, row: usize, subjects: &HashMap<u32, SubjectId>) -> Event {
    let text = |field| batch.text(field, row).map(str::to_owned);
    Event {
        id: batch.ids.get(row).copied().unwrap_or_default(),
        at: Timestamp::from_micros(batch.times.get(row).copied().unwrap_or_default()),
        name: batch.name(row).to_owned(),
        subject: batch.subjects.get(row).and_then(|number| subjects.get(number)).copied(),
        session: text(TextField::Session),
        course: text(TextField::Course),
        lesson: text(TextField::Lesson),
        exercise: text(TextField::Exercise),
        value: batch.values.get(row).copied().filter(|value| !value.is_nan()),
        country: text(TextField::Country),
        browser: text(TextField::Browser),
        os: text(TextField::Os),
        device: text(TextField::Device),
        referrer: text(TextField::Referrer),
        utm_source: text(TextField::UtmSource),
        plan: text(TextField::Plan),
        props: batch.props.get(row).to_owned(),
    }
}
