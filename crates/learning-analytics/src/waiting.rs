//! Events that other slices append are noted with the append, and folded after it, those of many appends at once: whoever
//! waits for an answer waits for what is written of the events, not for what follows from them. Where many write, this has
//! a part of the time only.

use std::sync::Arc;
use std::time::Duration;

use belvedere_event_store::Event;
use belvedere_kernel::{LiveMessage, ProjectId, SubjectId, Tasks, error_chain, woken};
use belvedere_storage::{Id, StorageError, Tx};
use serde_json::Value;
use tokio::time::Instant;

use crate::digest::Ground;
use crate::entry::{Entry, StoredParts};
use crate::service::Core;
use crate::store::{self, Waiting};

/// The topic that wakes whoever folds.
const WAKE_TOPIC: &str = "wake.learning";

/// About how many events are folded in one transaction: others write in between, and what is kept on one page of the
/// database is written once for all of them.
const EVENTS: usize = 2_048;

/// How much longer than it wrote whoever folds then lets others write, if they want to.
const OTHERS: u32 = 3;

/// The least time between two rounds: where appends come one after the other, those that came meanwhile are folded
/// together, and the first after a pause waits for nothing.
const GATHER: Duration = Duration::from_millis(500);

/// How often to look when nobody wakes.
const POLL: Duration = Duration::from_secs(1);

/// How long something waits that could not be folded; twice as long each time.
const POSTPONED_MIN: Duration = Duration::from_secs(10);
const POSTPONED_MAX: Duration = Duration::from_secs(3_600);

/// What is folded of events, with whom they are about.
pub(crate) fn entries_of<'a>(events: impl IntoIterator<Item = &'a Event>) -> Vec<(Option<SubjectId>, Entry)> {
    let entries = events.into_iter();
    entries.filter_map(|event| Some((event.subject, StoredParts::of(event).entry()?))).collect()
}

impl Core {
    /// Notes new events in the transaction that appends them.
    pub(crate) async fn wait_in(
        &self,
        tx: &Tx,
        project: ProjectId,
        new: &[&Event],
    ) -> Result<(), StorageError> {
        let entries = entries_of(new.iter().copied());
        if entries.is_empty() {
            return Ok(());
        }
        store::insert_waiting(tx, project, &entries, self.parts.clock.now()).await?;
        let bus = Arc::clone(&self.parts.bus);
        tx.after_commit(move || {
            bus.publish(LiveMessage { project: None, topic: WAKE_TOPIC.to_owned(), data: Value::Null });
        });
        Ok(())
    }

    /// Folds what waits, round by round, until `tasks` are told to stop.
    pub(crate) async fn fold_on(&self, tasks: &Tasks) {
        let mut messages = self.parts.bus.subscribe();
        let mut is_failing = false;
        while !tasks.is_stopped() {
            let begun = Instant::now();
            let folded = self.fold_some().await;
            let is_more = matches!(folded, Ok(false));
            if is_failing != folded.is_err() {
                is_failing = folded.is_err();
                match folded {
                    Err(error) => tracing::warn!(
                        error = error_chain(&error),
                        "learners cannot be kept, their events wait"
                    ),
                    Ok(_) => tracing::info!("learners are kept again"),
                }
            }
            if is_more {
                continue;
            }
            tokio::select! {
                () = tasks.stopped() => return,
                () = woken(&mut messages, WAKE_TOPIC), if !is_failing => {}
                () = tokio::time::sleep(POLL) => {}
            }
            tokio::select! {
                () = tasks.stopped() => return,
                () = tokio::time::sleep_until(begun + GATHER) => {}
            }
        }
    }

    /// Folds everything that waits and is due; what comes meanwhile waits for the next time, unless there is much.
    pub(crate) async fn fold_waiting(&self) -> Result<(), StorageError> {
        while !self.fold_some().await? {}
        Ok(())
    }

    /// Folds of each project what waits and is due, at most as much as one transaction takes; whether that was all.
    async fn fold_some(&self) -> Result<bool, StorageError> {
        let projects = store::list_waiting_projects(self.parts.db.read(), self.parts.clock.now()).await?;
        let mut is_all = projects.len() < store::PROJECTS_MAX;
        for project in projects {
            let begun = Instant::now();
            is_all &= self.fold_project(project).await?;
            self.parts.db.stand_back(begun.elapsed().saturating_mul(OTHERS)).await;
        }
        Ok(is_all)
    }

    /// Folds what is due of a project; whether that was all. Where something cannot be folded, half as much is tried, and
    /// what cannot be folded by itself is put off.
    async fn fold_project(&self, project: ProjectId) -> Result<bool, StorageError> {
        let mut events = EVENTS;
        while events > 1 {
            match self.fold_due(project, events).await {
                Err(error) if !error.is_transient() => events /= 2,
                folded => return Ok(folded? < events),
            }
        }
        self.fold_first(project).await?;
        Ok(false)
    }

    /// Folds what is due of a project, about as many events; how many there were.
    async fn fold_due(&self, project: ProjectId, events: usize) -> Result<usize, StorageError> {
        let work = async |tx: &Tx| {
            // From here on nobody else folds anything of the project.
            let rules = store::lock_project(tx, project).await?;
            let due = store::list_due(tx, project, self.parts.clock.now(), events).await?;
            let ids: Vec<Id<Waiting>> = due.iter().map(|waiting| waiting.id).collect();
            store::delete_waiting(tx, project, &ids).await?;
            let entries: Vec<_> = due.into_iter().flat_map(|waiting| waiting.entries).collect();
            let courses = entries.iter().map(|(_, entry)| entry.course.as_str()).collect();
            let structures = store::load_structures(tx, project, &courses).await?;
            let messages = self.digest_in(tx, project, &entries, &Ground { rules, structures }).await?;
            let bus = Arc::clone(&self.parts.bus);
            tx.after_commit(move || messages.into_iter().for_each(|message| bus.publish(message)));
            Ok(entries.len())
        };
        self.parts.db.write(work).await
    }

    /// Folds the oldest row by itself; one that cannot be folded waits.
    async fn fold_first(&self, project: ProjectId) -> Result<(), StorageError> {
        let (db, now) = (&self.parts.db, self.parts.clock.now());
        let Some(first) = store::list_due(db.read(), project, now, 1).await?.pop() else { return Ok(()) };
        let error = match self.fold_due(project, 1).await {
            Err(error) if !error.is_transient() => error,
            folded => return folded.map(drop),
        };
        let tries = store::count_tries(db.read(), project, first.id).await?;
        let pause = POSTPONED_MIN.saturating_mul(1 << tries.min(16)).min(POSTPONED_MAX);
        tracing::error!(
            %project, append = %first.id, events = first.entries.len(), error = error_chain(&error),
            "events of learners cannot be folded, they wait"
        );
        db.write(async |tx| store::postpone_waiting(tx, project, first.id, now.plus(pause)).await).await
    }
}
