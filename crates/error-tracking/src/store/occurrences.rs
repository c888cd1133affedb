use std::collections::BTreeMap;

use belvedere_event_store::{Event, EventStore};
use belvedere_kernel::{ProjectId, SubjectId};
use belvedere_storage::{StorageError, Tx};

use super::Written;
use crate::digest::DigestedEvent;
use crate::occurrence::occurrence_of;

/// Adds the new events of a batch to the event store, as the last thing that its transaction locks.
pub(crate) async fn add_occurrences_in(
    tx: &Tx,
    store: Option<&dyn EventStore>,
    events: &[DigestedEvent],
    subjects: &[Option<SubjectId>],
    written: &Written,
) -> Result<(), StorageError> {
    let Some(store) = store else { return Ok(()) };
    let mut of_projects: BTreeMap<ProjectId, Vec<Event>> = BTreeMap::new();
    for ((event, subject), issue) in events.iter().zip(subjects).zip(&written.issues_of) {
        if let Some(occurrence) = issue.and_then(|issue| occurrence_of(event, issue, *subject)) {
            of_projects.entry(event.project).or_default().push(occurrence);
        }
    }
    for (project, occurrences) in of_projects {
        store.append_in(tx, project, &occurrences).await?;
    }
    Ok(())
}
