//! Columnar events: durable, erasable, and answered by single passes over sorted columns.

pub mod columns;
pub mod kernel;
pub mod query;

mod batch;
mod cache;
mod compact;
mod directory;
mod encoding;
mod erase;
mod error;
mod event;
mod fields;
mod filter;
mod gather;
mod learners;
mod merge;
mod model;
mod read;
mod retain;
mod rollup;
mod seal;
mod segment;
mod segment_file;
mod store;
mod swap;
mod tables;
mod tail;
#[cfg(test)]
mod tests;
mod view;
mod week;
mod withdraw;

use std::collections::HashMap;
use std::sync::{Arc, Weak};

use async_trait::async_trait;
use belvedere_kernel::{ProjectId, SubjectId};
use belvedere_storage::{Timestamp, Tx};

pub use batch::{Batch, NO_SUBJECT, Strings, Texts};
pub use cache::Cache;
pub use erase::PreparedErasure;
pub use error::EventStoreError;
pub use event::{
    APPEND_EVENTS_MAX, Event, NAME_BYTES_MAX, PROPS_BYTES_MAX, TEXT_BYTES_MAX, TIME_END, TIME_MIN,
};
pub use fields::{Fields, TextField};
pub use learners::{LearnerEvents, LearnerFold};
pub use model::{Appended, Compacted, Erased, Limits, Retained, Sealed, Select, StoreStats, StoreVersion};
pub use read::{Part, PartCache, PartKey, Snapshot};
pub use rollup::{ProjectZones, RollupCheck, RollupChecks, RollupDifference, RollupLimits};
pub use segment::{SegmentId, SegmentKey};
pub use store::Embedded;

/// Who keeps what parts were decoded to.
pub trait Watch: Send + Sync {
    /// Segments of a project were replaced, dropped or erased from, or batches of its tail were: the decoded ones are of
    /// no more use, and may have what nobody is to have any more.
    fn gone(&self, project: ProjectId, segments: &[SegmentId]);
}

/// Where slices put events and read them.
///
/// An event is found from the commit of its transaction on, and its id counts once for as long as it is kept.
/// Maintenance (seal, compact, retain) is for a job that calls it now and then; it changes no answer.
#[async_trait]
pub trait EventStore: Send + Sync {
    /// Adds events of one project in the caller's transaction, in one piece; those whose id is known are left out.
    ///
    /// Appends of one project wait for each other until the end of their transactions: a transaction that adds to
    /// several projects does so in the order of their ids, or two of them can block each other.
    ///
    /// # Errors
    /// [`EventStoreError::Invalid`] names the first event and field beyond a limit, [`EventStoreError::TailFull`] asks
    /// for sealing; in both cases nothing was added.
    async fn append_in(
        &self,
        tx: &Tx,
        project: ProjectId,
        events: &[Event],
    ) -> Result<Appended, EventStoreError>;

    /// Exactly the events that are asked for, in batches that have at least the columns that are asked for.
    ///
    /// # Errors
    /// [`EventStoreError::Damaged`] when a segment is not what it was, or a storage error.
    async fn load(&self, select: Select) -> Result<Vec<Arc<Batch>>, EventStoreError>;

    /// The parts that have the events of a time range and names, to be decoded and cached by the caller; `subject` and
    /// `fields` are not looked at, and parts have other events besides.
    ///
    /// # Errors
    /// As [`EventStore::load`].
    async fn snapshot(&self, select: Select) -> Result<Snapshot, EventStoreError>;

    /// The number that stands for a subject in batches; none if it has no event.
    ///
    /// # Errors
    /// A storage error.
    async fn find_subject(
        &self,
        project: ProjectId,
        subject: SubjectId,
    ) -> Result<Option<u32>, EventStoreError>;

    /// The subjects that numbers in batches stand for; a number without one, such as that of an erased subject, is left
    /// out.
    ///
    /// # Errors
    /// A storage error.
    async fn find_subjects(
        &self,
        project: ProjectId,
        numbers: &[u32],
    ) -> Result<HashMap<u32, SubjectId>, EventStoreError>;

    /// Moves the tail of a project to where it is read faster and takes less.
    ///
    /// # Errors
    /// [`EventStoreError::Changed`] when another process was faster; what was sealed before it stays sealed.
    async fn seal(&self, project: ProjectId) -> Result<Sealed, EventStoreError>;

    /// Merges what was sealed in pieces.
    ///
    /// # Errors
    /// As [`EventStore::seal`], and [`EventStoreError::Damaged`] when a piece is not what it was.
    async fn compact(&self, project: ProjectId) -> Result<Compacted, EventStoreError>;

    /// Removes every event of a subject; what it does later counts as somebody else's.
    ///
    /// # Errors
    /// As [`EventStore::compact`]; then nothing was erased.
    async fn erase_subject(&self, project: ProjectId, subject: SubjectId) -> Result<Erased, EventStoreError>;

    /// Drops sealed events of whole months that ended at or before a limit. A month is that of the Thursday of each of
    /// its weeks, in UTC.
    ///
    /// # Errors
    /// As [`EventStore::seal`].
    async fn retain(&self, project: ProjectId, before: Timestamp) -> Result<Retained, EventStoreError>;

    /// What a project has.
    ///
    /// # Errors
    /// A storage error.
    async fn stats(&self, project: ProjectId) -> Result<StoreStats, EventStoreError>;

    /// Tells a watcher from now on what goes away, for as long as it lives.
    fn watch(&self, watcher: Weak<dyn Watch>);

    /// Projects that have had events.
    ///
    /// # Errors
    /// A storage error.
    async fn list_projects(&self) -> Result<Vec<ProjectId>, EventStoreError>;
}
