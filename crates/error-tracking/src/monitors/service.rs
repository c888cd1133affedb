use std::sync::Arc;

use async_trait::async_trait;
use belvedere_kernel::{
    AuditSink, Clock, ConsentGate, Entry, LiveBus, LiveMessage, ProjectId, Scrubber, Target,
};
use belvedere_storage::{Database, Id, Page, StorageError, Tx};
use serde_json::{Value, json};

use super::fields::{checked, slug_of};
use super::intake::{MONITORS_MAX, settings, wait_for};
use super::model::{
    ChangeMonitor, ChangedBy, ListCheckIns, ListMonitors, Monitor, MonitorOverview, MonitorSwitches,
    RunSummary,
};
use super::{Monitors, store};
use crate::ErrorTrackingError;

/// The topic of live messages about monitors.
const TOPIC: &str = "monitor.runs";

/// Monitored jobs on a database.
pub struct MonitorsService {
    pub(super) db: Database,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) gate: Arc<dyn ConsentGate>,
    pub(super) scrubber: Arc<dyn Scrubber>,
    audit: Arc<dyn AuditSink>,
    pub(super) bus: Arc<dyn LiveBus>,
}

impl MonitorsService {
    /// The service over a migrated database; it announces what happens on `bus`.
    #[must_use]
    pub fn new(
        db: Database,
        clock: Arc<dyn Clock>,
        gate: Arc<dyn ConsentGate>,
        scrubber: Arc<dyn Scrubber>,
        audit: Arc<dyn AuditSink>,
        bus: Arc<dyn LiveBus>,
    ) -> Self {
        Self { db, clock, gate, scrubber, audit, bus }
    }

    pub(super) fn announce_in(&self, tx: &Tx, project: ProjectId) {
        let bus = Arc::clone(&self.bus);
        tx.after_commit(move || bus.publish(runs_message(project)));
    }

    async fn record(
        &self,
        tx: &Tx,
        by: &ChangedBy,
        action: &'static str,
        slug: &str,
        detail: Value,
    ) -> Result<(), StorageError> {
        let entry = Entry {
            organisation: Some(by.organisation),
            project: Some(by.project),
            target: Some(Target { kind: "monitor", id: slug.to_owned() }),
            request_id: by.request_id.clone(),
            detail,
            ..Entry::new(by.actor, action)
        };
        self.audit.record(tx, entry).await
    }

    /// Computes the waiting deadlines of a locked monitor anew.
    async fn wait_anew(&self, tx: &Tx, monitor: &Monitor) -> Result<(), StorageError> {
        let zone = monitor.config.zone();
        for mut environment in store::list_environments(tx, monitor.project, monitor.id).await? {
            let next = monitor.config.schedule.next_after(self.clock.now(), &zone);
            wait_for(monitor, &mut environment, next);
            store::update_environment(tx, monitor.project, &environment).await?;
        }
        Ok(())
    }
}

/// Says that runs of a project's monitors changed.
pub(crate) fn runs_message(project: ProjectId) -> LiveMessage {
    LiveMessage { project: Some(project), topic: TOPIC.to_owned(), data: json!({}) }
}

/// What is no slug names nothing, and PostgreSQL has no text with NUL.
fn is_slug(slug: &str) -> bool {
    slug_of(slug).as_deref() == Some(slug)
}

fn missing() -> ErrorTrackingError {
    ErrorTrackingError::NotFound("monitor")
}

impl std::fmt::Debug for MonitorsService {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "MonitorsService({:?})", self.db)
    }
}

#[async_trait]
impl Monitors for MonitorsService {
    async fn list_monitors(&self, query: ListMonitors) -> Result<Page<MonitorOverview>, ErrorTrackingError> {
        if query.environment.as_ref().is_some_and(|name| name.contains('\0')) {
            return Ok(Page { items: Vec::new(), next: None });
        }
        let page = store::list_monitors(self.db.read(), &query).await?;
        let environment = query.environment.as_deref();
        let items =
            store::overviews(self.db.read(), query.project, page.items, environment, self.clock.now())
                .await?;
        Ok(Page { items, next: page.next })
    }

    async fn find_monitor(
        &self,
        project: ProjectId,
        slug: &str,
    ) -> Result<Option<MonitorOverview>, ErrorTrackingError> {
        if !is_slug(slug) {
            return Ok(None);
        }
        let monitor = store::find_monitor(self.db.read(), project, slug).await?;
        let monitors = monitor.into_iter().collect();
        let found = store::overviews(self.db.read(), project, monitors, None, self.clock.now()).await?;
        Ok(found.into_iter().next())
    }

    async fn create_monitor(&self, by: ChangedBy, new: ChangeMonitor) -> Result<Monitor, ErrorTrackingError> {
        let new = checked(new)?;
        let now = self.clock.now();
        let monitor = Monitor {
            id: Id::generate(now),
            project: by.project,
            slug: new.slug,
            name: new.name,
            config: new.config,
            is_paused: false,
            is_muted: false,
            created_at: now,
        };
        self.db
            .write(async |tx| {
                if store::count_monitors(tx, by.project).await? >= MONITORS_MAX {
                    let why = format!("the project has {MONITORS_MAX} monitors already");
                    return Err(ErrorTrackingError::InvalidQuery(why));
                }
                if !store::insert_monitor(tx, &monitor).await? {
                    let why = format!("slug: there is a monitor {} already", monitor.slug);
                    return Err(ErrorTrackingError::InvalidQuery(why));
                }
                self.record(tx, &by, "monitor_created", &monitor.slug, settings(&monitor.config)).await?;
                self.announce_in(tx, by.project);
                Ok(monitor)
            })
            .await
    }

    async fn update_monitor(
        &self,
        by: ChangedBy,
        slug: &str,
        change: ChangeMonitor,
    ) -> Result<Monitor, ErrorTrackingError> {
        if !is_slug(slug) {
            return Err(missing());
        }
        let change = checked(ChangeMonitor { slug: slug.to_owned(), ..change })?;
        self.db
            .write(async |tx| {
                let mut monitor = store::lock_monitor(tx, by.project, slug).await?.ok_or_else(missing)?;
                let detail = json!({
                    "from": {"name": monitor.name, "settings": settings(&monitor.config)},
                    "to": {"name": change.name, "settings": settings(&change.config)},
                });
                let is_rescheduled = monitor.config != change.config;
                if !is_rescheduled && monitor.name == change.name {
                    return Ok(monitor);
                }
                monitor.name = change.name;
                monitor.config = change.config;
                store::update_monitor(tx, &monitor).await?;
                if is_rescheduled {
                    self.wait_anew(tx, &monitor).await?;
                }
                self.record(tx, &by, "monitor_changed", slug, detail).await?;
                self.announce_in(tx, by.project);
                Ok(monitor)
            })
            .await
    }

    async fn switch_monitor(
        &self,
        by: ChangedBy,
        slug: &str,
        switches: MonitorSwitches,
    ) -> Result<Monitor, ErrorTrackingError> {
        if !is_slug(slug) {
            return Err(missing());
        }
        self.db
            .write(async |tx| {
                let mut monitor = store::lock_monitor(tx, by.project, slug).await?.ok_or_else(missing)?;
                let was = (monitor.is_paused, monitor.is_muted);
                monitor.is_paused = switches.is_paused.unwrap_or(was.0);
                monitor.is_muted = switches.is_muted.unwrap_or(was.1);
                if was == (monitor.is_paused, monitor.is_muted) {
                    return Ok(monitor);
                }
                store::update_monitor(tx, &monitor).await?;
                if was.0 != monitor.is_paused {
                    self.wait_anew(tx, &monitor).await?;
                    let action = if monitor.is_paused { "monitor_paused" } else { "monitor_resumed" };
                    self.record(tx, &by, action, slug, Value::Null).await?;
                }
                if was.1 != monitor.is_muted {
                    let action = if monitor.is_muted { "monitor_muted" } else { "monitor_unmuted" };
                    self.record(tx, &by, action, slug, Value::Null).await?;
                }
                self.announce_in(tx, by.project);
                Ok(monitor)
            })
            .await
    }

    async fn delete_monitor(&self, by: ChangedBy, slug: &str) -> Result<(), ErrorTrackingError> {
        if !is_slug(slug) {
            return Err(missing());
        }
        self.db
            .write(async |tx| {
                let monitor = store::lock_monitor(tx, by.project, slug).await?.ok_or_else(missing)?;
                store::delete_monitor(tx, by.project, monitor.id).await?;
                self.record(tx, &by, "monitor_deleted", slug, settings(&monitor.config)).await?;
                self.announce_in(tx, by.project);
                Ok(())
            })
            .await
    }

    async fn list_check_ins(&self, query: ListCheckIns) -> Result<Page<RunSummary>, ErrorTrackingError> {
        if !is_slug(&query.slug) {
            return Err(missing());
        }
        let found = store::find_environment_names(self.db.read(), query.project, &query.slug).await?;
        let (monitor, names) = found.ok_or_else(missing)?;
        store::list_check_ins(self.db.read(), &query, monitor, &names).await
    }
}
