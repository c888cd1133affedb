//! Counters of requests, and all of Belvedere's numbers in Prometheus' text format (version 0.0.4).

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use belvedere_error_tracking::limits::StorageSum;
use belvedere_intake::IntakeStatsSnapshot;
use belvedere_storage::spool::SpoolDepth;
use http::StatusCode;

/// Upper bounds of the duration histogram, in microseconds.
const BUCKETS: [u64; 10] =
    [1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 500_000, 2_000_000, 10_000_000];

/// Routes are a fixed set; the limit only guards against a mistake that turns paths into routes.
const ROUTES_MAX: usize = 500;

/// The name under which requests are counted that no route matched.
const UNMATCHED: &str = "unmatched";

/// Why the ingest door refused a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refused {
    Unauthenticated,
    UnknownKey,
    WrongProject,
    Origin,
    RateLimited,
    TooLarge,
    Invalid,
    Timeout,
    Unavailable,
    SwitchedOff,
    Failed,
}

impl Refused {
    const ALL: [Self; 11] = [
        Self::Unauthenticated,
        Self::UnknownKey,
        Self::WrongProject,
        Self::Origin,
        Self::RateLimited,
        Self::TooLarge,
        Self::Invalid,
        Self::Timeout,
        Self::Unavailable,
        Self::SwitchedOff,
        Self::Failed,
    ];

    /// The reason as a word, for metrics and tallies.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Unauthenticated => "unauthenticated",
            Self::UnknownKey => "unknown_key",
            Self::WrongProject => "wrong_project",
            Self::Origin => "origin",
            Self::RateLimited => "rate_limited",
            Self::TooLarge => "too_large",
            Self::Invalid => "invalid",
            Self::Timeout => "timeout",
            Self::Unavailable => "unavailable",
            Self::SwitchedOff => "switched_off",
            Self::Failed => "failed",
        }
    }
}

/// What was counted of one route.
#[derive(Default)]
struct RouteCounts {
    /// By status class: 1xx to 5xx.
    answers: [AtomicU64; 5],
    /// By bucket, the last for what is slower than all.
    durations: [AtomicU64; BUCKETS.len() + 1],
    micros: AtomicU64,
}

/// The counters of this process since its start.
#[derive(Default)]
pub(crate) struct Metrics {
    routes: RwLock<BTreeMap<String, Arc<RouteCounts>>>,
    refused: [AtomicU64; Refused::ALL.len()],
}

impl Metrics {
    /// Counts an answer of `route` (a template, never a path).
    pub(crate) fn count_answer(&self, route: Option<&str>, status: StatusCode, took: Duration) {
        let counts = self.route(route.unwrap_or(UNMATCHED));
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let class = usize::from(status.as_u16() / 100).clamp(1, 5) - 1;
        counts.answers[class].fetch_add(1, Ordering::Relaxed);
        let bucket = BUCKETS.iter().position(|bound| micros <= *bound).unwrap_or(BUCKETS.len());
        counts.durations[bucket].fetch_add(1, Ordering::Relaxed);
        counts.micros.fetch_add(micros, Ordering::Relaxed);
    }

    /// Counts a request that the ingest door refused.
    pub(crate) fn count_refused(&self, reason: Refused) {
        self.refused[reason as usize].fetch_add(1, Ordering::Relaxed);
    }

    fn route(&self, name: &str) -> Arc<RouteCounts> {
        let (name, full) = {
            let routes = self.routes.read().unwrap_or_else(PoisonError::into_inner);
            if let Some(counts) = routes.get(name) {
                return Arc::clone(counts);
            }
            let full = routes.len() >= ROUTES_MAX;
            (if full { UNMATCHED } else { name }, full)
        };
        debug_assert!(!full, "more routes than there can be");
        let mut routes = self.routes.write().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(routes.entry(name.to_owned()).or_default())
    }

    /// All numbers as text.
    pub(crate) fn render(&self, intake: &IntakeStatsSnapshot, spool: &SpoolDepth) -> String {
        let mut text = String::with_capacity(8_192);
        self.render_requests(&mut text);
        head(
            &mut text,
            "belvedere_ingest_refused_total",
            "counter",
            "Requests that the ingest door refused.",
        );
        for reason in Refused::ALL {
            let count = self.refused[reason as usize].load(Ordering::Relaxed);
            line(
                &mut text,
                "belvedere_ingest_refused_total",
                &format!("reason=\"{}\"", reason.as_str()),
                count,
            );
        }
        for (name, help, count) in [
            ("intake_accepted", "Deliveries that are safely in the spool.", intake.accepted),
            ("intake_refused", "Deliveries that the spool did not take.", intake.refused),
            ("intake_digested", "Deliveries whose results are committed.", intake.digested),
            ("intake_batches", "Transactions in which deliveries were digested.", intake.batches),
            ("intake_retries", "Attempts at digestion that failed and were repeated.", intake.retries),
            ("intake_set_aside", "Deliveries set aside as undigestible.", intake.set_aside),
            ("intake_shipped", "Deliveries moved from the spool to the shared database.", intake.shipped),
            (
                "intake_tallies_lost",
                "Items refused at the door that could not be counted.",
                intake.tallies_lost,
            ),
        ] {
            let name = format!("belvedere_{name}_total");
            head(&mut text, &name, "counter", help);
            line(&mut text, &name, "", count);
        }
        for (name, help, value) in [
            ("intake_stalled", "1 while digestion fails and is being retried.", u64::from(intake.is_stalled)),
            ("spool_records", "Deliveries that wait in the spool.", spool.records),
            ("spool_bytes", "Bytes that wait in the spool.", spool.bytes),
            ("spool_bytes_max", "Bytes at which the spool refuses more.", spool.bytes_max),
            (
                "spool_quarantined_bytes",
                "Bytes of damaged spool records kept aside.",
                spool.quarantined_bytes,
            ),
        ] {
            let name = format!("belvedere_{name}");
            head(&mut text, &name, "gauge", help);
            line(&mut text, &name, "", value);
        }
        head(
            &mut text,
            "belvedere_intake_lag_seconds",
            "gauge",
            "Age of the newest delivery when it was digested.",
        );
        line(&mut text, "belvedere_intake_lag_seconds", "", intake.lag.as_secs_f64());
        text
    }

    fn render_requests(&self, text: &mut String) {
        let routes: Vec<_> = {
            let routes = self.routes.read().unwrap_or_else(PoisonError::into_inner);
            routes
                .iter()
                .map(|(name, counts)| (name.replace(['"', '\\', '\n'], "_"), Arc::clone(counts)))
                .collect()
        };
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        head(text, "belvedere_http_requests_total", "counter", "Answers by route and status class.");
        for (route, counts) in &routes {
            for (class, count) in counts.answers.iter().enumerate().filter(|(_, count)| load(count) > 0) {
                let labels = format!("route=\"{route}\",status=\"{}xx\"", class + 1);
                line(text, "belvedere_http_requests_total", &labels, load(count));
            }
        }
        head(
            text,
            "belvedere_http_request_seconds",
            "histogram",
            "Time from a request's head to its answer's.",
        );
        for (route, counts) in &routes {
            let mut sum = 0;
            for (count, bound) in counts.durations.iter().zip(BUCKETS) {
                sum += load(count);
                let labels = format!("route=\"{route}\",le=\"{}\"", bound as f64 / 1e6);
                line(text, "belvedere_http_request_seconds_bucket", &labels, sum);
            }
            sum += load(&counts.durations[BUCKETS.len()]);
            let labels = format!("route=\"{route}\"");
            line(text, "belvedere_http_request_seconds_bucket", &format!("{labels},le=\"+Inf\""), sum);
            line(text, "belvedere_http_request_seconds_sum", &labels, load(&counts.micros) as f64 / 1e6);
            line(text, "belvedere_http_request_seconds_count", &labels, sum);
        }
    }
}

/// What projects take on disk.
pub(crate) fn render_storage(text: &mut String, sums: &[StorageSum]) {
    for (name, help, is_bytes) in [
        ("belvedere_storage_bytes", "Bytes of stored payloads and files, compressed.", true),
        ("belvedere_storage_items", "Stored events, attachments and feedback.", false),
    ] {
        head(text, name, "gauge", help);
        for sum in sums {
            let labels = format!("project=\"{}\",kind=\"{}\"", sum.project, sum.kind.as_str());
            line(text, name, &labels, if is_bytes { sum.bytes } else { sum.items });
        }
    }
}

/// How many appends wait for what is kept of learners.
pub(crate) fn render_waiting(text: &mut String, appends: u64) {
    let name = "belvedere_learning_waiting";
    head(text, name, "gauge", "Commits of xAPI statements that are not yet in the learners' progress.");
    line(text, name, "", appends);
}

// Writing to a string cannot fail, hence the ignored results.
fn head(text: &mut String, name: &str, kind: &str, help: &str) {
    let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}");
}

fn line(text: &mut String, name: &str, labels: &str, value: impl std::fmt::Display) {
    let _ = if labels.is_empty() {
        writeln!(text, "{name} {value}")
    } else {
        writeln!(text, "{name}{{{labels}}} {value}")
    };
}
