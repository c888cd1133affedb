use std::sync::Arc;

use async_trait::async_trait;
use belvedere_kernel::{AuditSink, Clock, Entry, ProjectId, Target};
use belvedere_storage::{Database, Timestamp};
use serde_json::json;

use super::model::{LogCounts, LogLevel, LogPage, LogSettings, SearchLogs};
use super::{Logs, scan, store};
use crate::ErrorTrackingError;
use crate::monitors::ChangedBy;

/// The longest span of a search: a year.
const SPAN_DAYS_MAX: u64 = 366;

const BYTES_MIN: u64 = 1 << 20;
const BYTES_MAX: u64 = 1 << 40;

/// Logs on a database.
pub struct LogsService {
    pub(super) db: Database,
    pub(super) clock: Arc<dyn Clock>,
    audit: Arc<dyn AuditSink>,
}

impl LogsService {
    /// The service over a migrated database.
    #[must_use]
    pub fn new(db: Database, clock: Arc<dyn Clock>, audit: Arc<dyn AuditSink>) -> Self {
        Self { db, clock, audit }
    }
}

impl std::fmt::Debug for LogsService {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "LogsService({:?})", self.db)
    }
}

fn check(query: &SearchLogs) -> Result<(), ErrorTrackingError> {
    if query.to.since(query.from).as_secs() > SPAN_DAYS_MAX * 86_400 {
        return Err(ErrorTrackingError::InvalidQuery(format!("more than {SPAN_DAYS_MAX} days at once")));
    }
    Ok(())
}

fn is_whole_hour(at: Timestamp) -> bool {
    at.start_of_hour() == at
}

#[async_trait]
impl Logs for LogsService {
    async fn search_logs(&self, query: SearchLogs) -> Result<LogPage, ErrorTrackingError> {
        check(&query)?;
        scan::search(&self.db, &query).await
    }

    async fn count_logs(&self, query: SearchLogs) -> Result<LogCounts, ErrorTrackingError> {
        check(&query)?;
        let is_whole = is_whole_hour(query.from) && (is_whole_hour(query.to) || query.to > self.clock.now());
        if !query.filter.is_level_only() || !is_whole {
            return scan::count(&self.db, &query).await;
        }
        let hour = |at: Timestamp| at.as_seconds().div_euclid(3_600);
        let end = hour(Timestamp::from_micros(query.to.as_micros().saturating_add(3_599_999_999)));
        let least = query.filter.level.unwrap_or(LogLevel::Trace);
        let hours = store::count_hours(self.db.read(), query.project, hour(query.from)..end, least).await?;
        Ok(LogCounts { hours, counted_to: None })
    }

    async fn find_log_settings(&self, project: ProjectId) -> Result<LogSettings, ErrorTrackingError> {
        let (days, bytes_max) = store::find_settings(self.db.read(), project).await?;
        let (bytes, records) = store::sums(self.db.read(), project).await?;
        Ok(LogSettings { days, bytes_max, bytes, records })
    }

    async fn change_log_settings(
        &self,
        by: ChangedBy,
        days: u32,
        bytes_max: u64,
    ) -> Result<(), ErrorTrackingError> {
        if !(1..=365).contains(&days) {
            return Err(ErrorTrackingError::InvalidQuery("days: must be from 1 to 365".to_owned()));
        }
        if !(BYTES_MIN..=BYTES_MAX).contains(&bytes_max) {
            return Err(ErrorTrackingError::InvalidQuery(
                "bytes_max: must be from 1 MiB to 1 TiB".to_owned(),
            ));
        }
        self.db
            .write(async |tx| {
                let (from_days, from_bytes) = store::find_settings(tx, by.project).await?;
                store::set_settings(tx, by.project, days, bytes_max).await?;
                let entry = Entry {
                    organisation: Some(by.organisation),
                    project: Some(by.project),
                    target: Some(Target { kind: "project", id: by.project.to_string() }),
                    request_id: by.request_id.clone(),
                    detail: json!({
                        "from": {"days": from_days, "bytes_max": from_bytes},
                        "to": {"days": days, "bytes_max": bytes_max},
                    }),
                    ..Entry::new(by.actor, "log_retention_changed")
                };
                self.audit.record(tx, entry).await?;
                Ok(())
            })
            .await
    }
}
