//! A learner anew from the log of events: what the event store has of them, folded from nothing.

use std::collections::{BTreeMap, BTreeSet};

use belvedere_event_store::EventStoreError;
use belvedere_kernel::{ProjectId, SubjectId};
use belvedere_storage::{StorageError, Tx};

use crate::LearningError;
use crate::digest::{complete_courses, milestones_of};
use crate::entry::Entry;
use crate::event::EventType;
use crate::history::EventKey;
use crate::log::read_log;
use crate::milestones::Rule;
use crate::model::Rebuilt;
use crate::service::Core;
use crate::sheet::{PlaceKey, Sheet};
use crate::store::{self, StoredMilestone};
use crate::structure::CourseStructure;

/// What is kept of one learner.
#[derive(Debug, PartialEq)]
pub(crate) struct Kept {
    pub(crate) sheet: Sheet,
    /// Those that were not taken back, in order.
    pub(crate) milestones: Vec<StoredMilestone>,
}

/// What follows from the events of a learner.
pub(crate) fn follow(
    subject: SubjectId,
    entries: &[Entry],
    structures: &BTreeMap<String, CourseStructure>,
    rules: &[Rule],
) -> Kept {
    let mut sheet = Sheet::default();
    for entry in entries {
        sheet.fold(subject, entry);
    }
    let mut completions: BTreeMap<(SubjectId, PlaceKey), i64> = BTreeMap::new();
    let is_completing = entries
        .iter()
        .any(|entry| matches!(entry.kind, EventType::LessonComplete | EventType::CourseComplete));
    let completing: BTreeSet<SubjectId> = is_completing.then_some(subject).into_iter().collect();
    complete_courses(&mut sheet, &completing, &mut completions, structures);
    let unhinted = sheet.tried.values().filter_map(crate::sheet::Tried::unhinted_micros).collect();
    let mut milestones = milestones_of(&sheet, subject, &completions, unhinted, rules);
    if sheet.learners.is_empty() {
        milestones.clear();
    }
    milestones.sort();
    Kept { sheet, milestones }
}

/// What is stored of a learner.
pub(crate) async fn read_kept(
    connection: &impl sea_orm::ConnectionTrait,
    project: ProjectId,
    subject: SubjectId,
) -> Result<Kept, StorageError> {
    let sheet = store::read_sheet(connection, project, subject).await?;
    let mut milestones = store::load_milestones(connection, project, &BTreeSet::from([subject])).await?;
    milestones.retain(|it| it.reached_micros.is_some());
    milestones.sort();
    Ok(Kept { sheet, milestones })
}

/// The events of a learner in the log, but for those that wait to be folded; the project is locked.
///
/// What is in the log before it is read is in the list of those that wait, or was folded, before that is read after it.
async fn read_folded(
    core: &Core,
    tx: &Tx,
    (project, subject): (ProjectId, SubjectId),
) -> Result<Vec<Entry>, EventStoreError> {
    let mut entries = read_log(&*core.parts.events, project, subject).await?;
    let waiting = store::list_waiting_of(tx, project, subject).await?;
    entries.retain(|entry| !waiting.contains(&entry.key));
    Ok(entries)
}

/// Makes what is kept of a learner anew from the log. What is kept is as it should be unless somebody changed the
/// database, or declared lessons or rules after the events.
pub(crate) async fn rebuild(
    core: &Core,
    project: ProjectId,
    subject: SubjectId,
) -> Result<Rebuilt, LearningError> {
    let structures = store::list_structures(core.parts.db.read(), project).await?;
    let now = core.parts.clock.now();
    core.parts
        .db
        .write(async |tx: &Tx| {
            // From here on nothing of the project is folded until the end.
            let rules = store::lock_project(tx, project).await?;
            let entries = read_folded(core, tx, (project, subject)).await?;
            let wanted = follow(subject, &entries, &structures, &rules);
            let kept = read_kept(tx, project, subject).await?;
            let is_changed = wanted != kept;
            if is_changed {
                store::replace_subject(tx, project, subject, &wanted, now).await?;
            }
            Ok(Rebuilt { events: entries.len() as u64, is_changed })
        })
        .await
}

/// Makes a learner anew from the log without some of its events, in the transaction in which those leave it; the project is
/// locked. Where the log does not reach back to the learner's beginning, everything stays: what follows from events that
/// are no longer kept cannot be had again.
pub(crate) async fn rebuild_without(
    core: &Core,
    tx: &Tx,
    (project, subject): (ProjectId, SubjectId),
    gone: &BTreeSet<EventKey>,
    (structures, rules): (&BTreeMap<String, CourseStructure>, &[Rule]),
) -> Result<(), EventStoreError> {
    let mut entries = read_folded(core, tx, (project, subject)).await?;
    let sheet = store::read_sheet(tx, project, subject).await?;
    let folded = sheet.learners.get(&subject).map_or(0, |learner| learner.events);
    if folded != entries.len() as u64 {
        tracing::warn!(%project, %subject, "events were withdrawn of a learner whose log is not whole");
        return Ok(());
    }
    entries.retain(|entry| !gone.contains(&entry.key));
    let wanted = follow(subject, &entries, structures, rules);
    Ok(store::replace_subject(tx, project, subject, &wanted, core.parts.clock.now()).await?)
}
