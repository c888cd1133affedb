//! What arrives through the durable door: envelopes, and the single events of old clients.

mod batch;
mod read;
mod tally;

use std::sync::Arc;

use async_trait::async_trait;
use belvedere_event_store::EventStore;
use belvedere_kernel::{
    AuditSink, Clock, ConsentGate, Delivery, HandlerError, IntakeHandler, Notifier, Prepared, ProjectId,
    Rejected, Scrubber, Vault,
};
use belvedere_storage::Database;

pub(crate) use batch::{live_messages, notify_in};

use batch::EventBatch;
use read::{DeliveryKind, read_deliveries};
pub(crate) use tally::UnknownTypes;

use crate::grouping_rules::GroupingBook;
use crate::limits::LimitsBook;
use crate::logs::LogBatch;
use crate::source_maps::Maps;
use crate::triage::{find_owners, load_owner_rules};

/// From so many deliveries on it pays to divide them among threads.
const DIVIDED_MIN: usize = 32;

/// What both handlers share.
pub(crate) struct Reader {
    pub(crate) db: Database,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) gate: Arc<dyn ConsentGate>,
    pub(crate) scrubber: Arc<dyn Scrubber>,
    pub(crate) audit: Arc<dyn AuditSink>,
    pub(crate) vault: Option<Arc<dyn Vault>>,
    pub(crate) event_store: Option<Arc<dyn EventStore>>,
    pub(crate) notifier: Option<Arc<dyn Notifier>>,
    pub(crate) limits: Arc<LimitsBook>,
    pub(crate) maps: Arc<Maps>,
    pub(crate) unknown_types: Arc<UnknownTypes>,
    pub(crate) grouping: Arc<GroupingBook>,
}

impl Reader {
    /// Decodes, scrubs and groups on as many threads as there are processors; keeps the order of acceptance.
    async fn prepare(&self, deliveries: Vec<Delivery>, kind: DeliveryKind) -> Result<Prepared, HandlerError> {
        let mut projects: Vec<ProjectId> = deliveries.iter().map(|delivery| delivery.project).collect();
        projects.sort_unstable();
        projects.dedup();
        let rules = self.scrubber.load(&projects).await?;
        let grouping = Arc::new(self.grouping.load(self.db.read(), &projects, self.clock.now()).await?);
        let limits = Arc::new(self.limits.load(self.db.read(), &projects, self.clock.now()).await?);
        let owner_rules = load_owner_rules(&self.db, &projects).await?;
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        let portion = deliveries.len().div_ceil(threads).max(DIVIDED_MIN);

        let maps = Arc::new(self.maps.batch());
        let mut tasks = Vec::new();
        let mut deliveries = deliveries.into_iter();
        while deliveries.len() > 0 {
            let part: Vec<Delivery> = deliveries.by_ref().take(portion).collect();
            let (rules, unknown_types) = (Arc::clone(&rules), Arc::clone(&self.unknown_types));
            let (limits, maps, grouping) = (Arc::clone(&limits), Arc::clone(&maps), Arc::clone(&grouping));
            tasks.push(tokio::task::spawn_blocking(move || {
                read_deliveries(&part, kind, &*rules, &grouping, &limits, &maps, &unknown_types)
            }));
        }
        let known_hashes = Arc::clone(&grouping.known_hashes);
        let mut batch = EventBatch::new(self, Arc::clone(&limits), rules, known_hashes);
        let (mut rejected, mut logs) = (Vec::new(), Vec::new());
        for (index, task) in tasks.into_iter().enumerate() {
            let read = task.await.map_err(|error| HandlerError::Internal(error.to_string()))?;
            let read = read.map_err(|error| HandlerError::Internal(error.to_string()))?;
            rejected.extend(
                read.rejected
                    .into_iter()
                    .map(|(at, reason)| Rejected { index: index * portion + at, reason }),
            );
            batch.events.extend(read.events);
            batch.attachments.extend(read.attachments);
            batch.feedback.extend(read.feedback);
            batch.sessions.extend(read.sessions);
            batch.session_counts.extend(read.session_counts);
            batch.check_ins.extend(read.check_ins);
            logs.extend(read.logs);
            batch.tallies.extend(read.tallies);
        }
        if !owner_rules.is_empty() {
            let mut events = std::mem::take(&mut batch.events);
            let task = tokio::task::spawn_blocking(move || {
                find_owners(&owner_rules, &mut events);
                events
            });
            batch.events = task.await.map_err(|error| HandlerError::Internal(error.to_string()))?;
        }
        if !logs.is_empty() {
            let packed = tokio::task::spawn_blocking(move || LogBatch::pack(logs)).await;
            let packed = packed.map_err(|error| HandlerError::Internal(error.to_string()))?;
            batch.logs = packed.map_err(|error| HandlerError::Internal(error.to_string()))?;
        }
        match maps.take_failure() {
            Some(error) => Err(HandlerError::Storage(error)),
            None => Ok(Prepared { batch: Box::new(batch), rejected }),
        }
    }
}

/// Reads envelopes.
pub(crate) struct EnvelopeHandler(pub(crate) Arc<Reader>);

/// Reads the bodies of `/api/{project}/store/`: one event, as JSON or as base64 of it or of its zlib stream.
pub(crate) struct StoreHandler(pub(crate) Arc<Reader>);

#[async_trait]
impl IntakeHandler for EnvelopeHandler {
    fn kind(&self) -> &'static str {
        "sentry.envelope"
    }

    async fn prepare(&self, deliveries: Vec<Delivery>) -> Result<Prepared, HandlerError> {
        self.0.prepare(deliveries, DeliveryKind::Envelope).await
    }
}

#[async_trait]
impl IntakeHandler for StoreHandler {
    fn kind(&self) -> &'static str {
        "sentry.store"
    }

    async fn prepare(&self, deliveries: Vec<Delivery>) -> Result<Prepared, HandlerError> {
        self.0.prepare(deliveries, DeliveryKind::Store).await
    }
}
