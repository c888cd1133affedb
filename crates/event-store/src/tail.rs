//! The tail: the events of one call and project are one row, and each id counts once.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use belvedere_kernel::{LiveMessage, ProjectId, SubjectId};
use belvedere_storage::Tx;

use crate::batch::{Batch, BatchBuilder};
use crate::event::APPEND_EVENTS_MAX;
use crate::filter::hash_of;
use crate::segment::SegmentMeta;
use crate::store::{Inner, blocking};
use crate::tables::{self, ProjectRow};
use crate::view::{Fresh, ProjectState, TailBatch};
use crate::{Appended, Embedded, Event, EventStoreError, Fields, NO_SUBJECT, encoding};

/// The most events that are packed at once rather than beside the asynchronous work, which costs more than packing them.
const PACKED_HERE_MAX: u64 = 64;

pub(crate) async fn append_in(
    store: &Embedded,
    tx: &Tx,
    project: ProjectId,
    events: &[Event],
) -> Result<Appended, EventStoreError> {
    if events.len() > APPEND_EVENTS_MAX {
        let why = format!("are {}, at most {APPEND_EVENTS_MAX} are taken at once", events.len());
        return Err(EventStoreError::Invalid { index: APPEND_EVENTS_MAX, field: "events", why });
    }
    events.iter().enumerate().try_for_each(|(index, event)| event.check(index))?;
    if events.is_empty() {
        return Ok(Appended::default());
    }
    // The lock makes appends of a project one after the other, so that no id comes in twice at once.
    let mut row = tables::lock_project(tx, project).await?;
    if row.tail_count.unsigned_abs() + events.len() as u64 > store.inner.limits.tail_events_max {
        return Err(EventStoreError::TailFull(project));
    }
    let state = store.state(project);
    let mut fresh = state.read(tx, project, Some(row)).await?;
    let is_new = new_events(&store.inner, project, &state, &mut fresh, events).await?;
    let new: Vec<&Event> =
        events.iter().zip(&is_new).filter(|(_, is_new)| **is_new).map(|(it, _)| it).collect();
    let stored = new.len() as u64;
    let appended = Appended { stored, duplicates: events.len() as u64 - stored, is_new };
    if new.is_empty() {
        return Ok(appended);
    }
    let (numbers, learnt) = number_subjects(tx, project, &state, &new, &mut row).await?;
    let mut builder = BatchBuilder::new(Fields::ALL);
    for event in new {
        let subject = event.subject.and_then(|subject| numbers.get(&subject).copied());
        builder.push(event, subject.unwrap_or(NO_SUBJECT));
    }
    let batch = builder.finish();
    let pack = move || encoding::pack(&batch).map(|payload| (batch, payload));
    let (batch, payload) = if stored > PACKED_HERE_MAX { blocking(pack).await? } else { pack()? };
    row.last_sequence += 1;
    row.tail_count += i64::try_from(batch.count).unwrap_or(i64::MAX);
    let tail = TailBatch::new(row.last_sequence, 0, &batch, &payload);
    tables::insert_batch(tx, project, row.last_sequence, &batch, payload).await?;
    tables::update_project(tx, project, row).await?;
    fresh.row = row;
    fresh.batches.push(tail);
    let (inner, bus) = (Arc::clone(&store.inner), store.inner.bus.get().cloned());
    tx.after_commit(move || {
        inner.apply(project, &state, &fresh);
        state.remember_numbers(row.generation, &learnt);
        if let Some(bus) = bus {
            let data = serde_json::json!({ "events": stored });
            bus.publish(LiveMessage { project: Some(project), topic: "event.appended".to_owned(), data });
        }
    });
    Ok(appended)
}

/// For each event, whether its id is neither that of one before it nor in the store.
async fn new_events(
    inner: &Arc<Inner>,
    project: ProjectId,
    state: &ProjectState,
    fresh: &mut Fresh,
    events: &[Event],
) -> Result<Vec<bool>, EventStoreError> {
    let mut seen = HashSet::with_capacity(events.len());
    let ids: Vec<[u8; 16]> = events.iter().map(|event| event.id).filter(|id| seen.insert(*id)).collect();
    let mut known = state.known_ids(fresh, &ids).await?;
    let segments = Arc::clone(fresh.segments.as_ref().unwrap_or(&state.view().segments));
    let unknown: Vec<[u8; 16]> = ids.into_iter().filter(|id| !known.contains(id)).collect();
    if !unknown.is_empty() && !segments.is_empty() {
        let inner = Arc::clone(inner);
        known.extend(blocking(move || sealed_ids(&inner, project, &segments, &unknown)).await?);
    }
    // The first of each id takes it, later ones find it known.
    Ok(events.iter().map(|event| known.insert(event.id)).collect())
}

/// Those of the ids that are in a segment: by the filters, and where they say maybe, by the segment itself.
fn sealed_ids(
    inner: &Inner,
    project: ProjectId,
    segments: &[SegmentMeta],
    ids: &[[u8; 16]],
) -> Result<Vec<[u8; 16]>, EventStoreError> {
    // In the order of hashes, so that a filter is read from its beginning to its end, not here and there.
    let mut hashes: Vec<(u64, &[u8; 16])> = ids.iter().map(|id| (hash_of(id), id)).collect();
    hashes.sort_unstable();
    let mut found = Vec::new();
    for segment in segments {
        let filter = inner.filter(project, segment)?;
        let pairs = hashes.iter().filter(|(hash, _)| filter.may_have(*hash));
        let suspects: HashSet<&[u8; 16]> = pairs.map(|(_, id)| *id).collect();
        if suspects.is_empty() {
            continue;
        }
        let file = inner.open(project, segment)?;
        for group in 0..file.row_groups() {
            let group = file.read_row_group(group, Fields::ID)?;
            found.extend(group.ids.iter().filter(|id| suspects.contains(id)));
        }
    }
    Ok(found)
}

/// The numbers of the events' subjects, and those of them that were not remembered; a new subject gets the next one,
/// and no number is ever given again.
async fn number_subjects(
    tx: &Tx,
    project: ProjectId,
    state: &ProjectState,
    events: &[&Event],
    row: &mut ProjectRow,
) -> Result<(HashMap<SubjectId, u32>, Vec<(SubjectId, u32)>), EventStoreError> {
    let mut seen = HashSet::new();
    let subjects = events.iter().filter_map(|event| event.subject).filter(|subject| seen.insert(*subject));
    let subjects: Vec<SubjectId> = subjects.collect();
    let mut numbers = state.known_numbers(row.generation, &subjects);
    let unknown: Vec<SubjectId> =
        subjects.into_iter().filter(|subject| !numbers.contains_key(subject)).collect();
    let found = tables::find_subjects(tx, project, &unknown).await?;
    let mut new = Vec::new();
    for subject in unknown.into_iter().filter(|subject| !found.contains_key(subject)) {
        // The greatest number of all is what kernels take for none.
        let number = u32::try_from(row.next_subject).ok().filter(|number| *number < u32::MAX);
        let number = number.ok_or(EventStoreError::SubjectsExhausted(project))?;
        row.next_subject += 1;
        new.push((subject, number));
    }
    tables::insert_subjects(tx, project, &new).await?;
    new.extend(found);
    numbers.extend(new.iter().copied());
    Ok((numbers, new))
}

/// Rewrites the batches of the tail that have events to be left out, under the lock of the project's row, which counts
/// them; how many events and batches.
pub(crate) async fn rewrite_without(
    store: &Embedded,
    tx: &Tx,
    project: ProjectId,
    row: &mut ProjectRow,
    is_gone: impl Fn(&Batch, usize) -> bool,
) -> Result<(u64, u64), EventStoreError> {
    let fresh = store.state(project).read(tx, project, Some(*row)).await?;
    let (mut events, mut batches) = (0, 0);
    for tail in &fresh.batches {
        let rest = tail.unpack()?.filter(|batch, row| !is_gone(batch, row));
        let removed = tail.count - rest.count;
        if removed == 0 {
            continue;
        }
        let payload = encoding::pack(&rest)?;
        tables::rewrite_batch(tx, project, (tail.sequence, row.generation), &rest, payload).await?;
        row.tail_count -= i64::try_from(removed).unwrap_or(0);
        events += removed as u64;
        batches += 1;
    }
    if batches > 0 {
        tables::update_project(tx, project, *row).await?;
    }
    Ok((events, batches))
}
