//! Reading the log: the events of this slice that the event store has.

use belvedere_event_store::{
    Batch, EventStore, EventStoreError, Fields, Select, Snapshot, TIME_MIN, TextField,
};
use belvedere_kernel::{ProjectId, SubjectId};
use belvedere_storage::Timestamp;

use crate::entry::{Entry, StoredParts};
use crate::event::EventType;

/// The events of a learner in the log, those of this slice.
pub(crate) async fn read_log(
    events: &dyn EventStore,
    project: ProjectId,
    subject: SubjectId,
) -> Result<Vec<Entry>, EventStoreError> {
    read_log_since(events, project, subject, TIME_MIN).await
}

/// Those from a time on.
pub(crate) async fn read_log_since(
    events: &dyn EventStore,
    project: ProjectId,
    subject: SubjectId,
    from: Timestamp,
) -> Result<Vec<Entry>, EventStoreError> {
    let batches = events.load(Select { from, ..select_log(project, subject) }).await?;
    let rows = batches.iter().flat_map(|batch| (0..batch.count).map(move |row| (batch, row)));
    Ok(rows.filter_map(|(batch, row)| parts_of(batch, row)?.entry()).collect())
}

/// What of the log is read of a learner.
pub(crate) fn select_log(project: ProjectId, subject: SubjectId) -> Select {
    Select { subject: Some(subject), ..select_all(project) }
}

/// The same of everybody.
pub(crate) fn select_all(project: ProjectId) -> Select {
    let texts = [TextField::Name, TextField::Course, TextField::Lesson, TextField::Exercise];
    let fields = texts
        .into_iter()
        .fold(Fields::ID.and(Fields::TIME).and(Fields::PROPS), |fields, text| fields.and(Fields::text(text)));
    let names = EventType::ALL.map(|kind| kind.as_str().to_owned()).to_vec();
    Select { names, fields, ..Select::all(project) }
}

/// An event of what was read.
pub(crate) fn parts_of(batch: &Batch, row: usize) -> Option<StoredParts<'_>> {
    Some(StoredParts {
        id: *batch.ids.get(row)?,
        at_micros: *batch.times.get(row)?,
        name: batch.name(row),
        course: batch.text(TextField::Course, row),
        lesson: batch.text(TextField::Lesson, row),
        exercise: batch.text(TextField::Exercise, row),
        props: batch.props.get(row),
    })
}

/// Goes through a snapshot piece by piece, so that never more than one is in memory. Pieces of which no row is wanted, by
/// time and name, are decoded no further.
pub(crate) fn each_piece(
    snapshot: &Snapshot,
    fields: Fields,
    is_wanted: impl Fn(&Batch, usize) -> bool,
    mut add: impl FnMut(&Batch),
) -> Result<(), EventStoreError> {
    let few = Fields::TIME.and(Fields::text(TextField::Name));
    for part in &snapshot.parts {
        for piece in 0..part.pieces() {
            let batch = part.read_piece(piece, few)?;
            if (0..batch.count).any(|row| is_wanted(&batch, row)) {
                let whole = if part.is_sealed() { part.read_piece(piece, fields.and(few))? } else { batch };
                add(&whole);
            }
        }
    }
    Ok(())
}
