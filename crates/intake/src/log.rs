use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use belvedere_kernel::{AuditSink, Entry, KeyOwner, ProjectId, Target};
use belvedere_storage::{Cursor, Id, Page, PageRequest, StorageError, Timestamp, Tx};

use crate::model::{HourTally, Requester, SetAside};
use crate::shipper::wake_message;
use crate::source::pack;
use crate::{IntakeError, IntakeLog, IntakeParts, store};

/// How far back counts may be asked for, and how long they and deliveries set aside are kept.
const KEPT_FOR: Duration = Duration::from_secs(90 * 86_400);
const TALLIES_MAX: usize = 20_000;
/// Rows that one transaction of a sweep removes.
const SWEEP_ROWS_MAX: u64 = 1_000;

/// [`IntakeLog`] over the database.
pub struct IntakeLogService {
    parts: IntakeParts,
    audit: Arc<dyn AuditSink>,
}

impl IntakeLogService {
    /// A log of what intake does; changes are written to `audit`.
    #[must_use]
    pub fn new(parts: IntakeParts, audit: Arc<dyn AuditSink>) -> Self {
        Self { parts, audit }
    }

    /// Removes counts and deliveries set aside that are older than 90 days, a thousand at a time until none is left or
    /// `is_stopped` says so; returns how many. For a daily job.
    ///
    /// # Errors
    /// The storage error of the first transaction that fails; those before it stay done.
    pub async fn sweep(&self, is_stopped: impl Fn() -> bool + Send) -> Result<u64, StorageError> {
        let before = self.parts.clock.now().minus(KEPT_FOR);
        let mut removed = 0;
        while !is_stopped() {
            let work = async |tx: &Tx| {
                let tallies = store::delete_tallies(tx, before.start_of_hour(), SWEEP_ROWS_MAX).await?;
                Ok(tallies + store::delete_old_set_aside(tx, before, SWEEP_ROWS_MAX).await?)
            };
            let rows = self.parts.db.write::<_, StorageError, _>(work).await?;
            removed += rows;
            if rows == 0 {
                break;
            }
        }
        Ok(removed)
    }

    /// When the oldest deliveries were handed over that no worker has digested yet; `None` if none wait. Those that
    /// still lie in the spool of a door are not among them.
    ///
    /// # Errors
    /// The storage error of the look-up.
    pub async fn oldest_waiting(&self) -> Result<Option<Timestamp>, StorageError> {
        store::oldest_waiting(self.parts.db.read()).await
    }

    async fn record_in(
        &self,
        tx: &Tx,
        by: &Requester,
        action: &'static str,
        project: ProjectId,
        id: Id<SetAside>,
    ) -> Result<(), IntakeError> {
        let entry = Entry {
            organisation: by.organisation,
            project: Some(project),
            target: Some(Target { kind: "set_aside_delivery", id: id.to_string() }),
            request_id: by.request_id.clone(),
            ..Entry::new(by.actor, action)
        };
        Ok(self.audit.record(tx, entry).await?)
    }
}

#[async_trait]
impl IntakeLog for IntakeLogService {
    async fn list_tallies(
        &self,
        project: ProjectId,
        from: Timestamp,
        to: Timestamp,
    ) -> Result<Vec<HourTally>, IntakeError> {
        if to.since(from) > KEPT_FOR {
            return Err(IntakeError::InvalidQuery("counts can be asked for 90 days at most".to_owned()));
        }
        Ok(store::list_tallies(self.parts.db.read(), project, (from.start_of_hour(), to), TALLIES_MAX)
            .await?)
    }

    async fn list_set_aside(
        &self,
        project: ProjectId,
        page: PageRequest,
    ) -> Result<Page<SetAside>, IntakeError> {
        let before = match &page.after {
            None => Id::from_bytes([0xff; 16]),
            Some(cursor) => {
                let id = cursor.parts().and_then(|[id]: [&str; 1]| id.parse().ok());
                id.ok_or_else(|| IntakeError::InvalidQuery("not a place in this list".to_owned()))?
            }
        };
        let rows = store::list_set_aside(self.parts.db.read(), project, before, page.limit() + 1).await?;
        Ok(Page::from_rows(rows, page.limit(), |row| Cursor::of(&[&row.id])))
    }

    async fn count_set_aside(&self, project: ProjectId) -> Result<u64, IntakeError> {
        Ok(store::count_set_aside(self.parts.db.read(), project).await?)
    }

    async fn find_set_aside(
        &self,
        project: ProjectId,
        id: Id<SetAside>,
    ) -> Result<Option<SetAside>, IntakeError> {
        Ok(store::find_set_aside(self.parts.db.read(), project, id).await?)
    }

    async fn replay_set_aside(
        &self,
        by: Requester,
        project: ProjectId,
        id: Id<SetAside>,
    ) -> Result<(), IntakeError> {
        let Some(sealed) = store::find_sealed(self.parts.db.read(), project, id).await? else {
            let known = store::find_set_aside(self.parts.db.read(), project, id).await?;
            return known.map(drop).ok_or(IntakeError::NotFound);
        };
        let bytes = self.parts.vault.open(KeyOwner::System, &sealed).await?;
        let packed = pack([bytes.as_slice()].into_iter());
        let work = async |tx: &Tx| {
            let now = self.parts.clock.now();
            if !store::mark_replayed(tx, project, id, now).await? {
                return Ok(());
            }
            // Through the shared database and not a spool, because only so the mark and the delivery are one transaction.
            let sealed = self.parts.vault.seal_in(tx, KeyOwner::System, &packed).await?;
            store::insert_batch(tx, Id::generate(now), id.to_bytes(), 0, 1, sealed, now).await?;
            self.record_in(tx, &by, "set_aside_delivery_replayed", project, id).await?;
            let bus = Arc::clone(&self.parts.bus);
            tx.after_commit(move || bus.publish(wake_message()));
            Ok(())
        };
        self.parts.db.write::<_, IntakeError, _>(work).await
    }

    async fn discard_set_aside(
        &self,
        by: Requester,
        project: ProjectId,
        id: Id<SetAside>,
    ) -> Result<(), IntakeError> {
        let work = async |tx: &Tx| {
            if !store::delete_set_aside(tx, project, id).await? {
                return Err(IntakeError::NotFound);
            }
            self.record_in(tx, &by, "set_aside_delivery_discarded", project, id).await
        };
        self.parts.db.write(work).await
    }
}
