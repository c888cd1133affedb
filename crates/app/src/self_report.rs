//! Belvedere's own panics and errors, reported like those of any other service.
//!
//! They go into a project of this installation, which is made with the first of them, or to the configured DSN; in both
//! cases over HTTP, so that one way serves every role and every machine. What is undelivered waits in the data
//! directory.
//!
//! A report must not cause the next one. Reports into this installation leave out what the door and the digest log, as
//! it may be about a report; the client's own lines are never reported; and there are at most ten a minute of a kind.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use belvedere_accounts::AccountsService;
use belvedere_error_client::{ClientConfig, Destination, ErrorClient, ErrorGuard, Event, QueueConfig};
use belvedere_kernel::error_chain;
use tokio::runtime::Handle;

use crate::{Config, Role};

/// Reports of one kind a minute.
const PER_MINUTE_MAX: u32 = 10;
/// What the queue of undelivered reports may hold.
const QUEUE_BYTES_MAX: u64 = 8 << 20;
const QUEUE_RECORDS_MAX: usize = 1_000;
/// How long an ending process waits for the delivery of its reports.
const FLUSH: Duration = Duration::from_secs(1);
/// What a report passes on its way: targets of log lines and beginnings of functions.
const OWN_WAY: [&str; 5] = [
    "belvedere_intake",
    "belvedere_error_tracking",
    "belvedere_privacy",
    "belvedere_storage",
    "belvedere_http::ingest",
];

/// Starts reporting, unless it is switched off.
pub(crate) fn start(config: &Config, role: Role, accounts: &Arc<AccountsService>) -> Option<ErrorGuard> {
    let section = &config.self_report;
    let goes_elsewhere = !section.dsn.is_empty();
    if !section.enabled || (!goes_elsewhere && !config.features.error_tracking) {
        return None;
    }
    let destination = if goes_elsewhere {
        Destination::Dsn(section.dsn.clone())
    } else {
        own_destination(config.public_url(), Arc::clone(accounts))
    };
    let client = ClientConfig {
        release: Some(format!("belvedere@{}", env!("CARGO_PKG_VERSION"))),
        service: Some(service(role).to_owned()),
        in_app: vec!["belvedere_", "api::", "worker::", "scheduler::"],
        per_minute_max: Some(PER_MINUTE_MAX),
        traces_sample_rate: Some(0.0),
        queue: Some(QueueConfig {
            bytes_max: QUEUE_BYTES_MAX,
            records_max: QUEUE_RECORDS_MAX,
            ..QueueConfig::new(config.data.directory.join("reports"))
        }),
        event_filter: Some(Arc::new(move |event| {
            (goes_elsewhere || !is_of_own_way(&event)).then(|| with_cause(event))
        })),
        shutdown_timeout: Duration::ZERO,
        ..ClientConfig::with_destination(destination, &section.environment)
    };
    match ErrorClient::init(client) {
        Ok(guard) => Some(guard),
        Err(error) => {
            tracing::warn!(error = error_chain(&error), "errors of this process are not reported");
            None
        }
    }
}

/// Waits for deliveries, but not for long.
pub(crate) async fn flush(reports: &ErrorGuard) {
    let client = reports.client();
    let flushed = tokio::task::spawn_blocking(move || client.flush(FLUSH)).await;
    tracing::debug!(flushed = flushed.unwrap_or(false), "reports of this process");
}

fn service(role: Role) -> &'static str {
    match role {
        Role::All | Role::Api => "api",
        Role::Worker => "worker",
        Role::Scheduler => "scheduler",
    }
}

/// The DSN of the project for Belvedere's own errors, found or made when there is something to report.
fn own_destination(public_url: String, accounts: Arc<AccountsService>) -> Destination {
    let (runtime, known) = (Handle::current(), OnceLock::new());
    Destination::Later(Arc::new(move || {
        if let Some(dsn) = known.get() {
            return Ok(String::clone(dsn));
        }
        match runtime.block_on(accounts.own_project()) {
            Ok(Some((project, key))) => Ok(known
                .get_or_init(|| crate::first_steps::dsn(&public_url, &key.public_key, project.id.0))
                .clone()),
            Ok(None) => Err("there is no project for Belvedere's own errors".to_owned()),
            Err(error) => Err(error_chain(&error)),
        }
    }))
}

/// Whether the event is about what every report passes on its way into this installation.
fn is_of_own_way(event: &Event<'_>) -> bool {
    let is_own = |name: &str| OWN_WAY.iter().any(|own| name.trim_start_matches('<').starts_with(own));
    let mut frames = event
        .exception
        .values
        .iter()
        .filter_map(|exception| exception.stacktrace.as_ref())
        .flat_map(|stack| &stack.frames)
        .filter_map(|frame| frame.function.as_deref());
    event.logger.as_deref().is_some_and(is_own) || frames.any(is_own) || is_at_the_door(event)
}

/// Whether it is a request to the ingest door that failed.
fn is_at_the_door(event: &Event<'_>) -> bool {
    let is_door = |route: String| {
        ["/api/{project}/", "/api/store", "/tunnel"]
            .iter()
            .any(|door| route.trim_matches('"').starts_with(door))
    };
    field(event, "route").is_some_and(is_door)
}

/// Adds the error that a log line names to its message, so that different causes are different issues.
fn with_cause(mut event: Event<'static>) -> Event<'static> {
    if let (Some(message), Some(error)) = (&event.message, field(&event, "error")) {
        event.message = Some(format!("{message}: {error}"));
    }
    event
}

/// A field of the log line that the event was made from.
fn field(event: &Event<'_>, name: &str) -> Option<String> {
    let contexts = serde_json::to_value(event.contexts.get("Rust Tracing Fields")?).ok()?;
    contexts.get(name)?.as_str().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn event(json: Value) -> Event<'static> {
        serde_json::from_value(json).unwrap()
    }

    fn panic_in(function: &str) -> Value {
        let frames = json!([{"function": "tokio::runtime::task"}, {"function": function}, {"function": "core::panic"}]);
        json!({"exception": {"values": [{"type": "panic", "value": "x", "stacktrace": {"frames": frames}}]}})
    }

    #[test]
    fn a_log_line_is_titled_by_its_message_and_its_error() {
        let fields = json!({"type": "unknown", "error": "disk is full"});
        let json = json!({"message": "request failed", "contexts": {"Rust Tracing Fields": fields}});
        assert_eq!(with_cause(event(json)).message.as_deref(), Some("request failed: disk is full"));
        let plain = with_cause(event(json!({"message": "ended"})));
        assert_eq!(plain.message.as_deref(), Some("ended"));
    }

    #[test]
    fn what_a_report_itself_may_have_caused_is_left_to_the_log() {
        let route = |route: &str| json!({"logger": "belvedere_http::observe", "contexts": {"Rust Tracing Fields": {"type": "unknown", "route": route}}});
        for (json, expected) in [
            (json!({"logger": "belvedere_intake::runner", "message": "a delivery is set aside"}), true),
            (json!({"logger": "belvedere_storage::spool::writer"}), true),
            (json!({"logger": "belvedere_jobs::runner", "message": "a job is dead"}), false),
            (json!({"logger": "belvedere_dashboard::respond"}), false),
            (route("/api/{project}/envelope/"), true),
            (route("\"/api/{project}/envelope/\""), true),
            (route("/tunnel"), true),
            (route("/api/v1/issues"), false),
            (panic_in("belvedere_error_tracking::digest::prepare"), true),
            (panic_in("<belvedere_intake::runner::IntakeRunner>::run"), true),
            (panic_in("belvedere_dashboard::pages::issues::show"), false),
            (json!({"message": "anything else"}), false),
        ] {
            assert_eq!(is_of_own_way(&event(json.clone())), expected, "{json}");
        }
    }
}
