use std::sync::Arc;

use async_trait::async_trait;
use belvedere_event_store::EventStore;
use belvedere_jobs::JobQueue;
use belvedere_kernel::{
    AuditSink, Clock, ConsentGate, IntakeHandler, LiveBus, Membership, Notifier, ProjectId, Scrubber, Vault,
};
use belvedere_storage::{Database, Page, PageRequest, Timestamp};
use serde_json::Value;

use crate::digest::{Digester, unpack};
use crate::event::{Arrival, describe};
use crate::event_id::EventId;
use crate::grouping_rules::GroupingBook;
use crate::intake::{EnvelopeHandler, Reader, StoreHandler, live_messages, notify_in};
use crate::limits::{LimitsBook, StorageChange};
use crate::logs::LogsHandler;
use crate::search::search_by_list;
use crate::source_maps::{Maps, SourceMapLimits, SourceMapService};
use crate::store;
use crate::triage::{find_owners, load_owner_rules};
use crate::{
    ErrorTracking, ErrorTrackingError, Event, EventSummary, HourCount, IssueDetail, IssueId, IssueStatus,
    IssueSummary, ListIssues, Recorded, TriageService,
};

/// The longest text to look for, in characters.
const TEXT_CHARS_MAX: usize = 200;

/// The most hours of a chart: 90 days.
const HOURS_MAX: i64 = 24 * 90;

/// Error tracking on a database.
pub struct ErrorTrackingService {
    pub(crate) db: Database,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) gate: Arc<dyn ConsentGate>,
    pub(crate) scrubber: Arc<dyn Scrubber>,
    pub(crate) audit: Arc<dyn AuditSink>,
    bus: Option<Arc<dyn LiveBus>>,
    pub(crate) vault: Option<Arc<dyn Vault>>,
    event_store: Option<Arc<dyn EventStore>>,
    notifier: Option<Arc<dyn Notifier>>,
    pub(crate) limits: Arc<LimitsBook>,
    maps: Arc<Maps>,
    map_limits: SourceMapLimits,
    pub(crate) grouping: Arc<GroupingBook>,
}

impl ErrorTrackingService {
    /// The service over a migrated database.
    #[must_use]
    pub fn new(
        db: Database,
        clock: Arc<dyn Clock>,
        gate: Arc<dyn ConsentGate>,
        scrubber: Arc<dyn Scrubber>,
        audit: Arc<dyn AuditSink>,
    ) -> Self {
        let map_limits = SourceMapLimits::default();
        let maps = Arc::new(Maps::new(db.clone(), map_limits.memory_bytes_max));
        let (limits, grouping) = (Arc::default(), Arc::default());
        Self {
            db,
            clock,
            gate,
            scrubber,
            audit,
            bus: None,
            vault: None,
            event_store: None,
            notifier: None,
            limits,
            maps,
            map_limits,
            grouping,
        }
    }

    /// The same service with other limits for source maps; before [`Self::source_maps`] is called.
    #[must_use]
    pub fn with_source_map_limits(self, limits: SourceMapLimits) -> Self {
        let maps = Arc::new(Maps::new(self.db.clone(), limits.memory_bytes_max));
        Self { maps, map_limits: limits, ..self }
    }

    /// Source maps over the same database, with the maps that this service holds in memory.
    #[must_use]
    pub fn source_maps(&self, jobs: JobQueue) -> SourceMapService {
        SourceMapService::new(
            self.db.clone(),
            Arc::clone(&self.clock),
            Arc::clone(&self.audit),
            Arc::clone(&self.scrubber),
            jobs,
            Arc::clone(&self.maps),
            self.map_limits,
        )
        .with_grouping(Arc::clone(&self.grouping))
    }

    /// The same service, which also announces events that are recorded in process. (What arrives through the intake
    /// is announced there.)
    #[must_use]
    pub fn with_bus(self, bus: Arc<dyn LiveBus>) -> Self {
        Self { bus: Some(bus), ..self }
    }

    /// The same service, which keeps the names and e-mail addresses that people give with their feedback, sealed.
    /// Without a vault they are not kept.
    #[must_use]
    pub fn with_vault(self, vault: Arc<dyn Vault>) -> Self {
        Self { vault: Some(vault), ..self }
    }

    /// The same service, which adds every event to the event store as well.
    #[must_use]
    pub fn with_event_store(self, store: Arc<dyn EventStore>) -> Self {
        Self { event_store: Some(store), ..self }
    }

    /// The same service, which tells others of issues that are new or came back.
    #[must_use]
    pub fn with_notifier(self, notifier: Arc<dyn Notifier>) -> Self {
        Self { notifier: Some(notifier), ..self }
    }

    /// What people do with issues, on the same database.
    #[must_use]
    pub fn triage(&self, members: Arc<dyn Membership>, jobs: JobQueue) -> TriageService {
        TriageService {
            db: self.db.clone(),
            clock: Arc::clone(&self.clock),
            audit: Arc::clone(&self.audit),
            scrubber: Arc::clone(&self.scrubber),
            bus: self.bus.clone(),
            members,
            jobs,
        }
    }

    /// The readers of what Sentry SDKs deliver: `sentry.envelope` and `sentry.store`.
    #[must_use]
    pub fn intake_handlers(&self) -> Vec<Arc<dyn IntakeHandler>> {
        let reader = Arc::new(Reader {
            db: self.db.clone(),
            clock: Arc::clone(&self.clock),
            gate: Arc::clone(&self.gate),
            scrubber: Arc::clone(&self.scrubber),
            audit: Arc::clone(&self.audit),
            vault: self.vault.clone(),
            event_store: self.event_store.clone(),
            notifier: self.notifier.clone(),
            limits: Arc::clone(&self.limits),
            maps: Arc::clone(&self.maps),
            unknown_types: Arc::default(),
            grouping: Arc::clone(&self.grouping),
        });
        let logs = LogsHandler {
            clock: Arc::clone(&self.clock),
            gate: Arc::clone(&self.gate),
            scrubber: Arc::clone(&self.scrubber),
        };
        vec![Arc::new(EnvelopeHandler(Arc::clone(&reader))), Arc::new(StoreHandler(reader)), Arc::new(logs)]
    }
}

impl std::fmt::Debug for ErrorTrackingService {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ErrorTrackingService({:?})", self.db)
    }
}

#[async_trait]
impl ErrorTracking for ErrorTrackingService {
    async fn record_event(&self, project: ProjectId, payload: Value) -> Result<Recorded, ErrorTrackingError> {
        let now = self.clock.now();
        let rules = self.scrubber.load(&[project]).await?;
        let grouping = self.grouping.load(self.db.read(), &[project], now).await?;
        let maps = self.maps.batch();
        let owner_rules = load_owner_rules(&self.db, &[project]).await?;
        let digested = tokio::task::spawn_blocking(move || {
            let mut digester = Digester::try_new(&*rules, &grouping)
                .map_err(|error| ErrorTrackingError::Internal(error.to_string()))?
                .with_maps(&maps);
            let arrival = Arrival { received_at: now, ..Arrival::default() };
            let digested = digester.digest(project, payload, &arrival);
            let event = match maps.take_failure() {
                Some(error) => return Err(ErrorTrackingError::Storage(error)),
                None => digested.map_err(|error| ErrorTrackingError::InvalidEvent(error.to_string()))?,
            };
            let mut events = [event];
            find_owners(&owner_rules, &mut events);
            Ok::<_, ErrorTrackingError>(events)
        });
        let events = digested.await.map_err(|error| ErrorTrackingError::Internal(error.to_string()))??;
        self.db
            .write(async |tx| {
                let people = events.iter().map(|event| (event.project, &event.identity));
                let subjects = store::admit_in(tx, &*self.gate, people).await?;
                let written = store::store_events_in(tx, &events, &subjects, now).await?;
                let mut storage = StorageChange::default();
                written.add_storage(&events, &mut storage);
                storage.store_in(tx).await?;
                let event_store = self.event_store.as_deref();
                store::add_occurrences_in(tx, event_store, &events, &subjects, &written).await?;
                notify_in(tx, self.notifier.as_deref(), &written.touched).await?;
                if let Some(bus) = self.bus.clone() {
                    let messages = live_messages(&written.touched, &[project]);
                    tx.after_commit(move || messages.into_iter().for_each(|message| bus.publish(message)));
                }
                Ok(Recorded {
                    event_id: events[0].event_id.to_string(),
                    issue: written.issues_of.first().copied().flatten(),
                    is_new_issue: written.touched.iter().any(|issue| issue.is_new),
                })
            })
            .await
    }

    async fn list_issues(&self, query: ListIssues) -> Result<Page<IssueSummary>, ErrorTrackingError> {
        if query.text.as_ref().is_some_and(|text| text.chars().count() > TEXT_CHARS_MAX) {
            let why = format!("the text to look for is longer than {TEXT_CHARS_MAX} characters");
            return Err(ErrorTrackingError::InvalidQuery(why));
        }
        // PostgreSQL has no text with NUL, so nothing is called so.
        if query.environment.as_ref().is_some_and(|environment| environment.contains('\0')) {
            return Ok(Page { items: Vec::new(), next: None });
        }
        search_by_list(self.db.read(), &query, self.clock.now()).await
    }

    async fn count_issues(&self, project: ProjectId, status: IssueStatus) -> Result<u64, ErrorTrackingError> {
        Ok(store::count_issues(self.db.read(), project, status).await?)
    }

    async fn find_issue(
        &self,
        project: ProjectId,
        issue: IssueId,
    ) -> Result<Option<IssueDetail>, ErrorTrackingError> {
        Ok(store::find_issue(self.db.read(), project, issue, self.clock.now()).await?)
    }

    async fn list_events(
        &self,
        project: ProjectId,
        issue: IssueId,
        page: PageRequest,
    ) -> Result<Page<EventSummary>, ErrorTrackingError> {
        store::list_events(self.db.read(), project, issue, &page).await
    }

    async fn find_event(
        &self,
        project: ProjectId,
        event_id: &str,
    ) -> Result<Option<Event>, ErrorTrackingError> {
        let Ok(id) = event_id.parse::<EventId>() else { return Ok(None) };
        let Some(found) = store::find_event(self.db.read(), project, id).await? else { return Ok(None) };
        let unpacked = unpack(&found.payload)?;
        let description = describe(&unpacked.event);
        let platform = unpacked.event.get("platform").and_then(Value::as_str).unwrap_or("other").to_owned();
        Ok(Some(Event {
            summary: found.summary,
            issue: found.issue,
            platform,
            culprit: description.culprit,
            sdk: description.sdk,
            time_was_clamped: unpacked.clamped,
            handled: description.handled,
            removals: unpacked.removals,
            previous: found.previous,
            next: found.next,
            payload: unpacked.event,
        }))
    }

    async fn list_environments(&self, project: ProjectId) -> Result<Vec<String>, ErrorTrackingError> {
        Ok(store::list_environments(self.db.read(), project).await?)
    }

    async fn count_events_by_hour(
        &self,
        project: ProjectId,
        from: Timestamp,
        to: Timestamp,
    ) -> Result<Vec<HourCount>, ErrorTrackingError> {
        if to.as_seconds().saturating_sub(from.as_seconds()) > HOURS_MAX * 3_600 {
            return Err(ErrorTrackingError::InvalidQuery(format!("more than {HOURS_MAX} hours at once")));
        }
        Ok(store::count_events_by_hour(self.db.read(), project, from, to).await?)
    }
}
