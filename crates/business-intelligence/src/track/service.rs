use std::sync::Arc;

use belvedere_event_store::EventStore;
use belvedere_kernel::{
    Clock, ConsentGate, ConsentRecords, HandlerError, IdentityLinks, IntakeHandler, LiveBus, PersonRegister,
    Places, PreparedBatch, ProjectId, Scrubber,
};
use belvedere_storage::{Database, StorageError};

use super::TrackError;
use super::event::{AnalyticsEvent, Wrong, name_events};
use super::intake::{Batch, EventsHandler, Incoming, Sender};
use crate::BusinessService;

/// Everything that product events need from the rest of Belvedere.
#[derive(Clone)]
pub struct TrackParts {
    /// State.
    pub db: Database,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Whom events may be about.
    pub gate: Arc<dyn ConsentGate>,
    /// From anonymous to known.
    pub links: Arc<dyn IdentityLinks>,
    /// What people consent to.
    pub consents: Arc<dyn ConsentRecords>,
    /// What takes personal data out of texts.
    pub scrubber: Arc<dyn Scrubber>,
    /// Lasting customers.
    pub register: Arc<dyn PersonRegister>,
    /// Who keeps what events tell of revenue; nobody does where it is none.
    pub revenue: Option<Arc<BusinessService>>,
    /// Where events are kept.
    pub events: Arc<dyn EventStore>,
    /// Where addresses are; none where nobody knows.
    pub places: Option<Arc<dyn Places>>,
    /// Who hears of what just happened.
    pub bus: Arc<dyn LiveBus>,
}

/// Product events on a database and an event store. A clone is the same service.
#[derive(Clone)]
pub struct TrackService {
    parts: Arc<TrackParts>,
}

impl TrackService {
    /// The service over a migrated database.
    #[must_use]
    pub fn new(parts: TrackParts) -> Self {
        Self { parts: Arc::new(parts) }
    }

    /// The reader of what the doors accept.
    #[must_use]
    pub fn intake_handler(&self) -> Arc<dyn IntakeHandler> {
        Arc::new(EventsHandler(Arc::clone(&self.parts)))
    }

    /// The time.
    #[must_use]
    pub fn clock(&self) -> Arc<dyn Clock> {
        Arc::clone(&self.parts.clock)
    }

    /// Stores events at once, in a transaction of its own; how many of them are new. An event without an id gets one.
    ///
    /// # Errors
    /// [`TrackError::Invalid`] for what the doors would refuse, or a storage error; then none was stored.
    pub async fn record_events(
        &self,
        project: ProjectId,
        mut events: Vec<AnalyticsEvent>,
    ) -> Result<u64, TrackError> {
        for (index, event) in events.iter().enumerate() {
            self.check(index, event)?;
        }
        name_events(&mut events, self.parts.clock.now());
        let sender = Arc::new(Sender::default());
        let events = events.into_iter().map(|event| Incoming { project, event, sender: Arc::clone(&sender) });
        let events = events.collect();
        let batch = Batch::prepare(Arc::clone(&self.parts), events).await?;
        let stored = self.parts.db.write(async |tx| batch.store(tx).await.map_err(unwrap_storage)).await?;
        for message in stored.messages {
            self.parts.bus.publish(message);
        }
        let new = stored.tallies.iter().filter(|tally| tally.reason.is_empty());
        Ok(new.map(|tally| tally.quantity).sum())
    }

    pub(crate) fn check(&self, index: usize, event: &AnalyticsEvent) -> Result<(), TrackError> {
        let checked = event.check(self.parts.clock.now());
        checked.map_err(|Wrong { field, reason }| TrackError::Invalid { index, field, why: reason })
    }
}

impl std::fmt::Debug for TrackService {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("TrackService")
    }
}

fn unwrap_storage(error: HandlerError) -> StorageError {
    match error {
        HandlerError::Storage(error) => error,
        error => StorageError::corrupt(error.to_string()),
    }
}
