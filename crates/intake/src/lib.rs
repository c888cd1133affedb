//! The way from an accepted request to the slices: durable at the door, exactly once in effect behind it.
//!
//! [`Intake`] is the door's side: a delivery is accepted when it is on disk. [`IntakeRunner`] takes batches of
//! deliveries, hands them to the [`IntakeHandler`](belvedere_kernel::IntakeHandler) of their kind and commits everything that follows from
//! them in one transaction together with the position in the queue.
//!
//! Invariants:
//! - What was accepted is digested exactly once in effect, whatever is killed whenever: results, counts, deliveries set aside and
//!   the position change together or not at all.
//! - A failing database delays digestion; it never makes it lose or skip anything.
//! - A delivery that cannot be digested is set aside with its reason and blocks nothing.
//! - Every item is counted: stored, dropped or set aside, per project and hour.
//!
//! ```
//! # use std::sync::Arc;
//! # use belvedere_intake::{Intake, IntakeConfig, IntakeParts, IntakeRunner, Shipper};
//! # use belvedere_kernel::{IntakeHandler, Tasks};
//! # use belvedere_storage::spool::Spool;
//! # fn example(parts: IntakeParts, handlers: Vec<Arc<dyn IntakeHandler>>, spool: Spool, digests: bool, tasks: &Tasks) {
//! let door = Arc::new(Intake::new(spool.clone(), parts.clone()));
//! tasks.spawn("door", Arc::clone(&door).run(tasks.clone()));
//! if digests {
//!     // One process does everything; a worker of its own passes `None` and digests what the others ship.
//!     IntakeRunner::new(parts, IntakeConfig::default(), handlers).start(Some(spool), tasks);
//! } else {
//!     tasks.spawn("shipper", Shipper::new(spool, parts, IntakeConfig::default()).run(tasks.clone()));
//! }
//! # }
//! ```

mod digest;
mod door;
mod error;
mod log;
mod model;
mod pace;
mod runner;
mod set_aside;
mod shipper;
mod source;
mod stats;
mod store;
mod tally;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use async_trait::async_trait;
use belvedere_kernel::{Clock, LiveBus, ProjectId, Vault};
use belvedere_storage::{Database, Id, Page, PageRequest, Timestamp};

pub use door::Intake;
pub use error::IntakeError;
pub use log::IntakeLogService;
pub use model::{HourTally, Outcome, Requester, SetAside};
pub use runner::{IntakeConfig, IntakeRunner};
pub use shipper::Shipper;
pub use stats::{IntakeStats, IntakeStatsSnapshot};

/// The topic that wakes workers when a batch was put into the shared database.
pub const WAKE_TOPIC: &str = "wake.intake";

/// What every part of intake works with.
#[derive(Clone)]
pub struct IntakeParts {
    /// Where results and counts go.
    pub db: Database,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Where live messages and wake-ups go.
    pub bus: Arc<dyn LiveBus>,
    /// Seals deliveries that lie in the database, as they may hold personal data.
    pub vault: Arc<dyn Vault>,
    /// Where this process counts.
    pub stats: Arc<IntakeStats>,
}

/// What a project's people can see of intake, and do about deliveries that were set aside.
#[async_trait]
pub trait IntakeLog: Send + Sync {
    /// The counts of `project` in the hours of `from..to`, in order of hour, item, outcome and reason; at most 90 days, at most 20,000 rows.
    async fn list_tallies(
        &self,
        project: ProjectId,
        from: Timestamp,
        to: Timestamp,
    ) -> Result<Vec<HourTally>, IntakeError>;

    /// The deliveries of `project` that were set aside, newest first.
    async fn list_set_aside(
        &self,
        project: ProjectId,
        page: PageRequest,
    ) -> Result<Page<SetAside>, IntakeError>;

    /// How many deliveries of `project` are set aside and not replayed.
    async fn count_set_aside(&self, project: ProjectId) -> Result<u64, IntakeError>;

    /// One delivery that was set aside.
    async fn find_set_aside(
        &self,
        project: ProjectId,
        id: Id<SetAside>,
    ) -> Result<Option<SetAside>, IntakeError>;

    /// Hands a delivery to digestion once more; does nothing if that was done before.
    async fn replay_set_aside(
        &self,
        by: Requester,
        project: ProjectId,
        id: Id<SetAside>,
    ) -> Result<(), IntakeError>;

    /// Forgets a delivery that was set aside.
    async fn discard_set_aside(
        &self,
        by: Requester,
        project: ProjectId,
        id: Id<SetAside>,
    ) -> Result<(), IntakeError>;
}
