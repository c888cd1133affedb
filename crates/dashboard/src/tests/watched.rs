//! Made-up monitors and logs.

use async_trait::async_trait;
use belvedere_error_tracking::ErrorTrackingError;
use belvedere_error_tracking::logs::{
    LogCounts, LogHour, LogLevel, LogPage, LogRecord, LogSettings, Logs, SearchLogs,
};
use belvedere_error_tracking::monitors::{
    ChangeMonitor, ChangedBy, CheckInStatus, ListCheckIns, ListMonitors, Monitor, MonitorConfig,
    MonitorEnvironment, MonitorOverview, MonitorSwitches, Monitors, RunRate, RunSummary,
};
use belvedere_kernel::{ProjectId, SubjectId};
use belvedere_storage::{Cursor, Id, Page};
use serde_json::{Value, json};

use super::{Fake, PROJECT, issue_id};

/// Markup that must stay text.
pub(crate) const HOSTILE: &str = "\"><script>alert(1)</script>";

const SLUG: &str = "nightly-backup";

impl Fake {
    fn monitor(&self) -> Monitor {
        let config = MonitorConfig::new("0 3 * * *".parse().unwrap());
        Monitor {
            id: Id::from_bytes([9; 16]),
            project: ProjectId(PROJECT),
            slug: SLUG.to_owned(),
            name: format!("Nightly backup {HOSTILE}"),
            config: MonitorConfig { time_zone: "Europe/Berlin".to_owned(), ..config },
            is_paused: false,
            is_muted: true,
            created_at: self.ago(86_400 * 30),
        }
    }

    fn runs(&self) -> Vec<RunSummary> {
        let statuses = [CheckInStatus::Ok, CheckInStatus::Missed, CheckInStatus::Error, CheckInStatus::Ok];
        (0..30_u64)
            .map(|day| RunSummary {
                check_in_id: format!("{day:032x}"),
                environment: format!("production {HOSTILE}"),
                status: statuses[usize::try_from(day * day % 4).unwrap()],
                started_at: self.ago(86_400 * (30 - day)),
                expected_at: Some(self.ago(86_400 * (30 - day) + 2)),
                duration_ms: Some(61_000 + day * 1_700),
                release: Some(format!("shop@4 {HOSTILE}")),
                trace_id: Some("4bf92f3577b34da6a3ce929d0e0e4736".to_owned()),
            })
            .collect()
    }

    fn overview(&self) -> MonitorOverview {
        let environment = MonitorEnvironment {
            environment: format!("production {HOSTILE}"),
            is_failing: true,
            failures_in_row: 2,
            last_status: Some(CheckInStatus::Error),
            last_run_at: Some(self.ago(3_600)),
            next_expected_at: Some(self.clock.now()),
            issue: Some(issue_id(1)),
            recent: self.runs(),
            day: RunRate { ok: 0, failed: 1 },
            month: RunRate { ok: 27, failed: 3 },
        };
        MonitorOverview { monitor: self.monitor(), environments: vec![environment] }
    }
}

#[async_trait]
impl Monitors for Fake {
    async fn list_monitors(&self, query: ListMonitors) -> Result<Page<MonitorOverview>, ErrorTrackingError> {
        let is_ours = query.project == ProjectId(PROJECT);
        Ok(Page { items: if is_ours { vec![self.overview()] } else { Vec::new() }, next: None })
    }

    async fn find_monitor(
        &self,
        project: ProjectId,
        slug: &str,
    ) -> Result<Option<MonitorOverview>, ErrorTrackingError> {
        Ok((project == ProjectId(PROJECT) && slug == SLUG).then(|| self.overview()))
    }

    async fn create_monitor(&self, _: ChangedBy, new: ChangeMonitor) -> Result<Monitor, ErrorTrackingError> {
        if new.slug == "taken" {
            return Err(ErrorTrackingError::InvalidQuery(
                "slug: there is a monitor taken already".to_owned(),
            ));
        }
        self.note(format!("create_monitor {} {} {}", new.slug, new.config.schedule, new.config.time_zone));
        Ok(Monitor { slug: new.slug, name: new.name, config: new.config, ..self.monitor() })
    }

    async fn update_monitor(
        &self,
        _: ChangedBy,
        slug: &str,
        change: ChangeMonitor,
    ) -> Result<Monitor, ErrorTrackingError> {
        self.note(format!("update_monitor {slug} {}", change.config.schedule));
        Ok(self.monitor())
    }

    async fn switch_monitor(
        &self,
        _: ChangedBy,
        slug: &str,
        switches: MonitorSwitches,
    ) -> Result<Monitor, ErrorTrackingError> {
        self.note(format!("switch_monitor {slug} {:?} {:?}", switches.is_paused, switches.is_muted));
        Ok(self.monitor())
    }

    async fn delete_monitor(&self, _: ChangedBy, slug: &str) -> Result<(), ErrorTrackingError> {
        self.note(format!("delete_monitor {slug}"));
        Ok(())
    }

    async fn list_check_ins(&self, query: ListCheckIns) -> Result<Page<RunSummary>, ErrorTrackingError> {
        let is_ours = query.project == ProjectId(PROJECT);
        let items = if is_ours { self.runs().into_iter().rev().collect() } else { Vec::new() };
        Ok(Page { items, next: Some(Cursor::of(&[&1, &2])) })
    }
}

#[async_trait]
impl Logs for Fake {
    async fn search_logs(&self, query: SearchLogs) -> Result<LogPage, ErrorTrackingError> {
        let Value::Object(attributes) = json!({"seconds": 4.5, "voucher": format!("SPRING10 {HOSTILE}")})
        else {
            unreachable!("an object was written")
        };
        let record = |number: u64| LogRecord {
            at: self.ago(60 * number),
            sequence: number,
            level: LogLevel::ALL[usize::try_from(number % 6).unwrap()],
            body: format!("payment {number} declined {HOSTILE}\nby its issuer"),
            trace_id: Some("4bf92f3577b34da6a3ce929d0e0e4736".to_owned()),
            release: Some("shop@4.12.3".to_owned()),
            environment: Some("production".to_owned()),
            logger: Some(format!("shop.orders {HOSTILE}")),
            subject: Some(SubjectId(318)),
            attributes: attributes.clone(),
        };
        let is_ours = query.project == ProjectId(PROJECT);
        Ok(LogPage {
            records: if is_ours { (0..12).map(record).collect() } else { Vec::new() },
            next: is_ours.then(|| Cursor::of(&[&1, &2])),
            searched_to: None,
        })
    }

    async fn count_logs(&self, query: SearchLogs) -> Result<LogCounts, ErrorTrackingError> {
        let hour = |hours: u64| LogHour {
            hour: self.ago(3_600 * hours).start_of_hour(),
            levels: [0, 3, 120 + hours * 7 % 40, 9, 2, 0],
        };
        let is_ours = query.project == ProjectId(PROJECT);
        Ok(LogCounts {
            hours: if is_ours { (0..24).rev().map(hour).collect() } else { Vec::new() },
            counted_to: None,
        })
    }

    async fn find_log_settings(&self, project: ProjectId) -> Result<LogSettings, ErrorTrackingError> {
        let records = if project == ProjectId(PROJECT) { 3_620 } else { 0 };
        Ok(LogSettings { days: 30, bytes_max: 1 << 30, bytes: records * 61, records })
    }

    async fn change_log_settings(
        &self,
        _: ChangedBy,
        days: u32,
        bytes_max: u64,
    ) -> Result<(), ErrorTrackingError> {
        self.note(format!("change_log_settings {days} {bytes_max}"));
        Ok(())
    }
}
