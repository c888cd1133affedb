//! Events that came before their maps: mapped, grouped and counted anew after an upload.

use belvedere_kernel::ProjectId;
use belvedere_storage::{StorageError, Timestamp};

use super::model::{BundleId, Remapped};
use super::service::{LATE_LIFE, SourceMapService};
use super::{SourceMapError, store};
use crate::digest::{Digester, Redigested};
use crate::event_id::EventId;

/// How many events one transaction rewrites.
const BATCH: usize = 100;

/// Looks at the events of one project again.
pub(super) struct Remapper<'a> {
    service: &'a SourceMapService,
    project: ProjectId,
}

/// An event as it will be.
pub(crate) struct Rewritten {
    pub(crate) event_id: EventId,
    pub(crate) event: Redigested,
}

impl<'a> Remapper<'a> {
    pub(super) fn new(service: &'a SourceMapService, project: ProjectId) -> Self {
        Self { service, project }
    }

    /// Looks at every event that lacked what `bundle` has, the newest first, at most as many as the limit says.
    pub(super) async fn run(&self, bundle: BundleId) -> Result<Remapped, SourceMapError> {
        let mut done = Remapped::default();
        let db = &self.service.db;
        let keys = store::list_keys(db.read(), self.project, bundle).await?;
        if keys.is_empty() {
            return Ok(done);
        }
        let now = self.service.clock.now();
        let since = Timestamp::from_micros(now.as_micros() - LATE_LIFE.as_micros() as i64);
        let max = self.service.limits.late_events_max;
        let events = store::find_late(db.read(), self.project, &keys, since, max).await?;
        for part in events.chunks(BATCH) {
            let looked_at = part.len() as u64;
            let rewritten = self.rewrite(part).await?;
            let outcome = db
                .write(async |tx| {
                    let outcome = store::rewrite_events_in(tx, self.project, &rewritten, now).await?;
                    // What is still missing is missed under its own keys again.
                    store::delete_unmapped(tx, self.project, &keys, part).await?;
                    store::remember_unmapped(tx, self.project, &rewritten, now).await?;
                    Ok::<_, StorageError>(outcome)
                })
                .await?;
            done.looked_at += looked_at;
            done.rewritten += outcome.rewritten;
            done.moved += outcome.moved;
        }
        Ok(done)
    }

    /// Reads events and digests them again, off the runtime's threads.
    async fn rewrite(&self, events: &[EventId]) -> Result<Vec<Rewritten>, SourceMapError> {
        let stored = store::read_payloads(self.service.db.read(), self.project, events).await?;
        let rules = self.service.scrubber.load(&[self.project]).await?;
        let maps = self.service.maps.batch();
        let now = self.service.clock.now();
        let grouping = self.service.grouping.load(self.service.db.read(), &[self.project], now).await?;
        let project = self.project;
        let work = tokio::task::spawn_blocking(move || {
            let mut digester = Digester::try_new(&*rules, &grouping)
                .map_err(|error| SourceMapError::Internal(error.to_string()))?
                .with_maps(&maps);
            let mut rewritten = Vec::with_capacity(stored.len());
            for (event_id, payload) in stored {
                // A payload that cannot be read any more stays as it is.
                let Ok(event) = digester.redigest(project, &payload) else { continue };
                rewritten.push(Rewritten { event_id, event });
            }
            match maps.take_failure() {
                Some(error) => Err(SourceMapError::Storage(error)),
                None => Ok(rewritten),
            }
        });
        work.await.map_err(|error| SourceMapError::Internal(error.to_string()))?
    }
}
