use std::sync::Arc;

use belvedere_kernel::{Clock, LiveBus, LiveMessage};
use belvedere_storage::{Cursor, Database, Id, Page, PageRequest, StorageError, Timestamp, Tx};
use serde_json::Value;

use crate::model::{DeadJob, Job, JobCounts, NewJob, PAYLOAD_BYTES_MAX, ScheduleState};
use crate::{JobsError, WAKE_TOPIC, store};

/// Where jobs are enqueued, and where those that failed are looked after; clones share it.
#[derive(Clone)]
pub struct JobQueue {
    pub(crate) db: Database,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) bus: Arc<dyn LiveBus>,
}

impl JobQueue {
    /// The queue in `db`.
    #[must_use]
    pub fn new(db: Database, clock: Arc<dyn Clock>, bus: Arc<dyn LiveBus>) -> Self {
        Self { db, clock, bus }
    }

    /// Adds a job in the caller's transaction and wakes the runners once that is committed; returns the job's id, or that of the one
    /// that already waits under the same key.
    ///
    /// # Errors
    /// [`JobsError::PayloadTooLarge`], or the storage error of the insertion.
    pub async fn enqueue_in(&self, tx: &Tx, job: NewJob) -> Result<Id<Job>, JobsError> {
        let payload = job.payload.to_string();
        if payload.len() > PAYLOAD_BYTES_MAX {
            let len = payload.len();
            return Err(JobsError::PayloadTooLarge { kind: job.kind, len, max: PAYLOAD_BYTES_MAX });
        }
        let now = self.clock.now();
        let row = store::JobRow {
            id: Id::generate(now),
            kind: &job.kind,
            payload: &payload,
            key: job.key.as_deref(),
            run_at: job.run_at.unwrap_or(now),
            attempts_max: job.attempts_max.max(1),
            now,
        };
        let id = store::insert_job(tx, row).await?;
        let bus = Arc::clone(&self.bus);
        tx.after_commit(move || bus.publish(wake_message()));
        Ok(id)
    }

    /// Jobs that failed for the last time, newest first.
    ///
    /// # Errors
    /// [`JobsError::InvalidCursor`] or a storage error.
    pub async fn list_dead(&self, page: PageRequest) -> Result<Page<DeadJob>, JobsError> {
        let after = page
            .after
            .as_ref()
            .map(|cursor| parse_cursor(cursor).ok_or(JobsError::InvalidCursor))
            .transpose()?;
        let rows = store::list_dead(self.db.read(), after, page.limit() + 1).await?;
        Ok(Page::from_rows(rows, page.limit(), |job| Cursor::of(&[&job.dead_at.as_micros(), &job.id])))
    }

    /// Lets a dead job start over with all its attempts, in the caller's transaction.
    ///
    /// # Errors
    /// [`JobsError::NotFound`] or a storage error.
    pub async fn requeue_in(&self, tx: &Tx, id: Id<Job>) -> Result<(), JobsError> {
        if !store::revive(tx, id, self.clock.now()).await? {
            return Err(JobsError::NotFound);
        }
        let bus = Arc::clone(&self.bus);
        tx.after_commit(move || bus.publish(wake_message()));
        Ok(())
    }

    /// Forgets a dead job, in the caller's transaction.
    ///
    /// # Errors
    /// [`JobsError::NotFound`] or a storage error.
    pub async fn discard_in(&self, tx: &Tx, id: Id<Job>) -> Result<(), JobsError> {
        if store::delete_dead(tx, id).await? { Ok(()) } else { Err(JobsError::NotFound) }
    }

    /// How many jobs wait, run and are dead.
    ///
    /// # Errors
    /// A storage error.
    pub async fn count_jobs(&self) -> Result<JobCounts, StorageError> {
        store::count_jobs(self.db.read(), self.clock.now()).await
    }

    /// Where each schedule stands, by name; at most 1,000.
    ///
    /// # Errors
    /// A storage error.
    pub async fn list_schedules(&self) -> Result<Vec<ScheduleState>, StorageError> {
        store::list_schedules(self.db.read()).await
    }
}

fn wake_message() -> LiveMessage {
    LiveMessage { project: None, topic: WAKE_TOPIC.to_owned(), data: Value::Null }
}

fn parse_cursor(cursor: &Cursor) -> Option<(Timestamp, Id<Job>)> {
    let [dead_at, id] = cursor.parts()?;
    Some((Timestamp::from_micros(dead_at.parse().ok()?), id.parse().ok()?))
}
