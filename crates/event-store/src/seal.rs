//! Sealing: the tail becomes segments, one for each week that it has events of.

use std::collections::BTreeMap;
use std::sync::Arc;

use belvedere_kernel::ProjectId;

use crate::batch::Batch;
use crate::gather::{Place, gather, places_in_order};
use crate::segment::{SegmentMeta, SegmentWriter};
use crate::store::{Inner, upkeep};
use crate::swap::Swap;
use crate::view::TailBatch;
use crate::week::week_of;
use crate::{Embedded, EventStoreError, Fields, Sealed, SegmentId};

/// Seals what was in the tail when it began.
pub(crate) async fn seal(store: &Embedded, project: ProjectId) -> Result<Sealed, EventStoreError> {
    let zone = store.time_zone(project).await?;
    let state = store.state(project);
    let _alone = state.swapping.lock().await;
    let mut sealed = Sealed::default();
    let mut target = None;
    loop {
        store.refresh(project).await?;
        let (generation, batches, last) = {
            let view = state.view();
            let target = *target.get_or_insert(view.row.last_sequence);
            let (mut events, mut taken, mut last) = (0, Vec::new(), None);
            for (sequence, tail) in view.batches.range(..=target) {
                events += tail.count;
                if !taken.is_empty() && events > store.inner.limits.seal_events_max {
                    break;
                }
                taken.push(tail.clone());
                last = Some(*sequence);
            }
            (view.row.generation, taken, last)
        };
        let Some(last) = last else { return Ok(sealed) };
        let count: u64 = batches.iter().map(|batch| batch.count as u64).sum();
        let (inner, zone) = (Arc::clone(&store.inner), zone.clone());
        let add = upkeep(move || write_weeks(&inner, project, &zone, &batches)).await?;
        let swap = Swap { generation, add, remove: Vec::new(), sealed: Some((last, count)) };
        swap.make(store, project).await?;
        sealed.events += count;
        sealed.segments += swap.add.len() as u64;
    }
}

/// Writes the events of batches into a segment for each week.
fn write_weeks(
    inner: &Inner,
    project: ProjectId,
    zone: &str,
    batches: &[TailBatch],
) -> Result<Vec<SegmentMeta>, EventStoreError> {
    let batches = batches.iter().map(TailBatch::unpack).collect::<Result<Vec<_>, _>>()?;
    let batches: Vec<&Batch> = batches.iter().collect();
    let mut weeks: BTreeMap<i64, Vec<Place>> = BTreeMap::new();
    for (batch, row) in places_in_order(&batches) {
        let time = batches.get(batch as usize).and_then(|batch| batch.times.get(row as usize));
        weeks.entry(week_of(time.copied().unwrap_or(0))).or_default().push((batch, row));
    }
    let mut written = Vec::with_capacity(weeks.len());
    for (week, places) in weeks {
        let result = write_rows(inner, project, zone, &batches, &places, week);
        match result {
            Ok(meta) => written.push(meta),
            Err(error) => {
                let written: Vec<SegmentId> = written.iter().map(|meta: &SegmentMeta| meta.id).collect();
                inner.discard(project, &written);
                return Err(error);
            }
        }
    }
    Ok(written)
}

fn write_rows(
    inner: &Inner,
    project: ProjectId,
    zone: &str,
    batches: &[&Batch],
    places: &[Place],
    week: i64,
) -> Result<SegmentMeta, EventStoreError> {
    let id = SegmentId::generate(inner.clock.now());
    let group_rows = inner.limits.row_group_rows;
    let writer = SegmentWriter::create(&inner.directory, project, id, group_rows)?;
    let mut writer = writer.with_rollup(inner.new_rollup(project, id, zone, (week, 1))?);
    for chunk in places.chunks(group_rows.max(1)) {
        writer.write(&gather(Fields::ALL, batches, chunk))?;
    }
    writer.finish(week, 1)
}
