//! How whoever keeps what follows from learners' events hears of events that others append and withdraw.

use async_trait::async_trait;
use belvedere_kernel::ProjectId;
use belvedere_storage::{StorageError, Tx};

use crate::{Event, EventStoreError};

/// Keeps what follows from learners' events: progress, mastery, milestones.
#[async_trait]
pub trait LearnerEvents: Send + Sync {
    /// What the events of some projects are folded with in one transaction; read before it begins.
    ///
    /// # Errors
    /// A storage error.
    async fn load(&self, projects: &[ProjectId]) -> Result<Box<dyn LearnerFold>, StorageError>;

    /// Takes out what followed from events that leave in the same transaction, before anything of the event store is
    /// locked in it.
    ///
    /// # Errors
    /// A storage error, or why the log of a learner cannot be read.
    async fn withdraw_in(&self, tx: &Tx, project: ProjectId, gone: &[Event]) -> Result<(), EventStoreError>;
}

/// Takes part in one transaction that appends events.
#[async_trait]
pub trait LearnerFold: Send + Sync {
    /// Writes into events what they mean to a learner today: what is folded, soon and whenever it is made anew from the log,
    /// stands in the event.
    ///
    /// # Errors
    /// A storage error.
    async fn complete_in(
        &self,
        tx: &Tx,
        project: ProjectId,
        events: &mut [Event],
    ) -> Result<(), StorageError>;

    /// Has those of the completed events of a project folded, after the commit, that were new to the event store.
    ///
    /// # Errors
    /// A storage error.
    async fn fold_in(&self, tx: &Tx, project: ProjectId, new: &[&Event]) -> Result<(), StorageError>;
}
