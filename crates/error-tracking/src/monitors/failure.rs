//! The event of a run that failed, in the form in which Sentry's SDKs would send it.

use std::sync::LazyLock;

use belvedere_kernel::ScrubRules;
use belvedere_storage::Timestamp;
use serde_json::{Value, json};

use super::model::{CheckInStatus, Monitor};
use super::store::{EnvironmentRow, RunRow};
use crate::digest::{DigestedEvent, Digester};
use crate::event::Arrival;
use crate::grouping_rules::GroupingContext;

/// The type under which failures of monitors appear.
const TYPE: &str = "MonitorCheckInFailure";

/// A failure has a fingerprint of its own: the rules of its project have no say in it.
static NO_RULES: LazyLock<GroupingContext> = LazyLock::new(GroupingContext::default);

/// Digests failures one after the other; the memory for that is taken with the first.
pub(super) struct Failures<'a> {
    rules: &'a dyn ScrubRules,
    now: Timestamp,
    digester: Option<Digester<'a>>,
}

impl<'a> Failures<'a> {
    pub(super) fn new(rules: &'a dyn ScrubRules, now: Timestamp) -> Self {
        Self { rules, now, digester: None }
    }

    /// The event of the run `run`; `None` when it cannot be made, which is logged: the run itself is kept.
    pub(super) fn digest(
        &mut self,
        monitor: &Monitor,
        environment: &EnvironmentRow,
        run: &RunRow,
        ended_at: Timestamp,
    ) -> Option<DigestedEvent> {
        let payload = event_of(monitor, environment, run, ended_at);
        let arrival = Arrival { received_at: self.now, ..Arrival::default() };
        let digester = match &mut self.digester {
            Some(digester) => digester,
            empty => match Digester::try_new(self.rules, &NO_RULES) {
                Ok(digester) => empty.insert(digester),
                Err(error) => {
                    tracing::error!(%error, "no memory to digest the failure of a monitor");
                    return None;
                }
            },
        };
        match digester.digest(monitor.project, payload, &arrival) {
            Ok(event) => Some(event),
            Err(error) => {
                tracing::error!(project = %monitor.project, monitor = monitor.slug, %error, "no event for a failed run");
                None
            }
        }
    }
}

fn event_of(monitor: &Monitor, environment: &EnvironmentRow, run: &RunRow, ended_at: Timestamp) -> Value {
    let name = &environment.name;
    let value = match run.status {
        CheckInStatus::Missed => format!("{} did not run in {name}", monitor.name),
        CheckInStatus::Timeout => format!("{} did not end in time in {name}", monitor.name),
        _ => format!("{} failed in {name}", monitor.name),
    };
    let mut event = json!({
        // The run's own key: written twice, it is the same event.
        "event_id": run.id.to_bytes().iter().map(|byte| format!("{byte:02x}")).collect::<String>(),
        "timestamp": ended_at.to_string(),
        "platform": "other",
        "level": "error",
        "logger": "monitors",
        "transaction": monitor.slug,
        "environment": name,
        "fingerprint": ["monitor", monitor.id.to_string(), name],
        "exception": {"values": [{"type": TYPE, "value": value, "mechanism": {"type": "monitor", "handled": true}}]},
        "tags": {
            "monitor.slug": monitor.slug,
            "monitor.id": monitor.id.to_string(),
            "monitor.status": run.status.as_str(),
        },
        "contexts": {"monitor": {
            "slug": monitor.slug,
            "status": run.status.as_str(),
            "schedule": monitor.config.schedule.to_string(),
            "timezone": monitor.config.time_zone,
            "margin_minutes": monitor.config.margin_minutes,
            "max_runtime_minutes": monitor.config.max_runtime_minutes,
            "failures_in_row": environment.standing.failures_in_row,
            "began_at": (run.status != CheckInStatus::Missed).then(|| run.started_at.to_string()),
            "expected_at": run.expected_at.map(|at| at.to_string()),
            "duration_ms": run.duration_ms,
        }},
    });
    if let Some(release) = &run.release {
        event["release"] = json!(release);
    }
    if let Some(trace) = run.trace_id {
        let trace: String = trace.to_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
        event["contexts"]["trace"] = json!({ "trace_id": trace, "span_id": &trace[..16] });
    }
    event
}
