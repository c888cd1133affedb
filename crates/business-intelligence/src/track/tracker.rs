//! What a Rust service tracks with, in the same process: events wait in memory and are written fifty at a time, or after
//! five seconds.

use std::sync::Arc;

use async_trait::async_trait;
use belvedere_kernel::{BatchWriter, Batching, Clock, ProjectId, Tasks};

use super::event::{AnalyticsEvent, name_events};
use super::{TrackError, TrackService};

/// The most events that wait; further ones are refused, so that whoever tracks knows of it.
pub const TRACKED_MAX: usize = Batching::<Writer>::WAITING_MAX;

/// Writes into a project.
struct Writer {
    service: TrackService,
    project: ProjectId,
}

#[async_trait]
impl BatchWriter for Writer {
    type Item = AnalyticsEvent;
    type Error = TrackError;
    const ITEMS: &'static str = "product events";

    async fn write(&self, batch: Vec<AnalyticsEvent>) -> Result<(), TrackError> {
        self.service.record_events(self.project, batch).await.map(drop)
    }
}

/// Tracks the product events of a project.
pub struct Tracker {
    clock: Arc<dyn Clock>,
    project: ProjectId,
    service: TrackService,
    batching: Batching<Writer>,
}

impl Tracker {
    /// A tracker for a project; [`Tracker::run`] must run beside it for events to be written by themselves.
    #[must_use]
    pub fn new(service: TrackService, project: ProjectId) -> Self {
        let batching = Batching::new(Writer { service: service.clone(), project });
        Self { clock: service.clock(), project, service, batching }
    }

    /// Tracks an event; one without an id gets its own, by which it counts once.
    ///
    /// # Errors
    /// [`TrackError::Invalid`] for what the doors would refuse, [`TrackError::Full`] when [`TRACKED_MAX`] events wait; then
    /// it is not taken.
    pub fn track(&self, event: AnalyticsEvent) -> Result<(), TrackError> {
        self.service.check(0, &event)?;
        let mut event = [event];
        name_events(&mut event, self.clock.now());
        let [event] = event;
        self.batching.add(event).map_err(TrackError::Full)
    }

    /// How many events wait.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.batching.waiting()
    }

    /// Writes everything that waits, batch by batch.
    ///
    /// # Errors
    /// That of the first batch that fails; it is in front again, and nothing behind it was taken.
    pub async fn flush(&self) -> Result<(), TrackError> {
        self.batching.flush().await
    }

    /// Writes what is tracked until `tasks` are told to stop, and then the rest.
    pub async fn run(self: Arc<Self>, tasks: Tasks) {
        self.batching.run(tasks).await;
    }
}

impl std::fmt::Debug for Tracker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tracker").field("project", &self.project).finish_non_exhaustive()
    }
}
