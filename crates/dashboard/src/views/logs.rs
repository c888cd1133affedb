//! Log records as rows, and their counts as a chart.

use belvedere_error_tracking::logs::{LogCounts, LogLevel, LogRecord};
use belvedere_kernel::ProjectId;
use belvedere_storage::Timestamp;
use serde_json::Value;

use crate::charts::{Bar, BarChart, Caption};
use crate::form::address;
use crate::views::monitors::Snippet;
use crate::wording::{day, hour, shorten};

/// The longest body in a row; the whole is in its details.
const BODY_CHARS: usize = 300;

/// The most bars of a chart: beyond, hours are put together as days.
const HOURS_MAX: usize = 48;

/// A record in the list.
pub(crate) struct LogRow {
    pub(crate) id: String,
    pub(crate) at: Timestamp,
    pub(crate) clock: String,
    pub(crate) level: &'static str,
    pub(crate) tone: &'static str,
    /// The first line.
    pub(crate) line: String,
    pub(crate) body: String,
    pub(crate) origin: String,
    /// Name and value, and the address of a search for them.
    pub(crate) fields: Vec<(String, String, String)>,
    pub(crate) trace_href: Option<String>,
    pub(crate) trace_id: Option<String>,
}

impl LogRow {
    pub(crate) fn new(project: ProjectId, record: &LogRecord) -> Self {
        let time = record.at.to_datetime();
        let search = |key: &str, value: &str| {
            let quoted = if value.contains(char::is_whitespace) {
                format!("{key}:\"{value}\"")
            } else {
                format!("{key}:{value}")
            };
            address(&format!("/projects/{project}/logs"), &[("q", &quoted)])
        };
        let named =
            [("release", &record.release), ("environment", &record.environment), ("logger", &record.logger)];
        let mut fields: Vec<(String, String, String)> = named
            .into_iter()
            .filter_map(|(key, value)| {
                value.as_ref().map(|value| (key.to_owned(), value.clone(), search(key, value)))
            })
            .collect();
        if let Some(subject) = record.subject {
            fields.push(("subject".to_owned(), subject.to_string(), String::new()));
        }
        fields.extend(record.attributes.iter().map(|(key, value)| {
            let text = match value {
                Value::String(text) => text.clone(),
                other => other.to_string(),
            };
            let href = search(key, &text);
            (key.clone(), text, href)
        }));
        let origin = record.logger.as_deref().or(record.environment.as_deref()).unwrap_or_default();
        Self {
            id: format!("{}-{}", record.at.as_micros(), record.sequence),
            at: record.at,
            clock: format!(
                "{} {:02}:{:02}:{:02}.{:03}",
                day(record.at),
                time.hour(),
                time.minute(),
                time.second(),
                time.millisecond()
            ),
            level: record.level.as_str(),
            tone: match record.level {
                LogLevel::Fatal | LogLevel::Error => "bad",
                LogLevel::Warn => "warn",
                LogLevel::Info => "on",
                LogLevel::Trace | LogLevel::Debug => "",
            },
            line: shorten(record.body.lines().next().unwrap_or_default(), BODY_CHARS),
            body: record.body.clone(),
            origin: shorten(origin, 60),
            fields,
            trace_href: record.trace_id.as_ref().map(|trace| {
                address(
                    &format!("/projects/{project}/issues"),
                    &[("status", "all"), ("q", &format!("trace:{trace}"))],
                )
            }),
            trace_id: record.trace_id.clone(),
        }
    }
}

/// Records per hour, or per day in a longer span, from `from` to now.
pub(crate) fn histogram(counts: &LogCounts, from: Timestamp, now: Timestamp) -> BarChart {
    let hours = usize::try_from(now.since(from).as_secs() / 3_600).unwrap_or(0) + 1;
    let is_daily = hours > HOURS_MAX;
    let (length, first) =
        if is_daily { (86_400, from.start_of_day()) } else { (3_600, from.start_of_hour()) };
    let places = usize::try_from(now.since(first).as_secs() / length).unwrap_or(0) + 1;
    let mut sums = vec![0_u64; places.max(1)];
    for count in counts.hours.iter().filter(|count| count.hour >= first) {
        let place = usize::try_from(count.hour.since(first).as_secs() / length).unwrap_or(usize::MAX);
        // What a clock ahead of ours wrote belongs to the present.
        let place = place.min(sums.len() - 1);
        sums[place] += count.levels.iter().sum::<u64>();
    }
    let label = |index: usize| {
        let at = Timestamp::from_micros(
            first.as_micros() + i64::try_from(index as u64 * length).unwrap_or(0) * 1_000_000,
        );
        if is_daily { day(at) } else { format!("{} {}", day(at), hour(at)) }
    };
    let bars =
        sums.iter().enumerate().map(|(index, quantity)| Bar { label: label(index), quantity: *quantity });
    let (about, column) =
        if is_daily { ("Records per day", "Day (UTC)") } else { ("Records per hour", "Hour (UTC)") };
    BarChart::new(bars.collect(), &Caption { about, unit: "records", column, is_small: true })
}

/// How programs send logs.
pub(crate) fn log_snippets(dsn: &str) -> Vec<Snippet> {
    let snippet = |language, id, code: String| Snippet { language, id, code };
    vec![
        snippet(
            "Python",
            "snippet-log-python",
            format!(
                "# pip install \"sentry-sdk>=2.35\"\nimport sentry_sdk\n\nsentry_sdk.init(dsn=\"{dsn}\", enable_logs=True)\n\nsentry_sdk.logger.warning(\"checkout is slow\", attributes={{\"seconds\": 4.5}})"
            ),
        ),
        snippet(
            "Node.js",
            "snippet-log-node",
            format!(
                "const Sentry = require(\"@sentry/node\");\n\nSentry.init({{ dsn: \"{dsn}\", enableLogs: true }});\n\nSentry.logger.warn(\"checkout is slow\", {{ seconds: 4.5 }});"
            ),
        ),
        snippet(
            "OpenTelemetry",
            "snippet-log-otel",
            format!(
                "OTEL_EXPORTER_OTLP_LOGS_PROTOCOL=http/json\nOTEL_EXPORTER_OTLP_LOGS_ENDPOINT={}\nOTEL_EXPORTER_OTLP_LOGS_HEADERS=\"x-sentry-auth=Sentry sentry_key={}\"",
                otlp_endpoint(dsn),
                key_of(dsn)
            ),
        ),
    ]
}

fn key_of(dsn: &str) -> &str {
    dsn.split_once("://").and_then(|(_, rest)| rest.split_once('@')).map_or("", |(key, _)| key)
}

fn otlp_endpoint(dsn: &str) -> String {
    let parts = dsn.split_once("://").and_then(|(scheme, rest)| {
        let (_, rest) = rest.split_once('@')?;
        let (host, project) = rest.rsplit_once('/')?;
        Some(format!("{scheme}://{host}/api/{project}/integration/otlp/v1/logs"))
    });
    parts.unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use belvedere_error_tracking::logs::LogHour;

    use super::*;
    use crate::views::overview::hours_start;

    #[test]
    fn hours_are_filled_and_long_spans_are_days() {
        let now: Timestamp = "2026-11-23T10:20:00Z".parse().unwrap();
        let hour = |hour: &str, warn| LogHour { hour: hour.parse().unwrap(), levels: [0, 0, 1, warn, 0, 0] };
        let counts = LogCounts {
            hours: vec![
                hour("2026-11-22T09:00:00Z", 4),
                hour("2026-11-23T08:00:00Z", 1),
                hour("2026-11-23T11:00:00Z", 2),
            ],
            counted_to: None,
        };
        let chart = histogram(&counts, hours_start(now, 3), now).to_string();
        assert!(chart.contains("Records per hour: 5 records in all, at most 3"), "{chart}");
        let chart = histogram(&counts, hours_start(now, 168), now).to_string();
        assert!(chart.contains("Records per day: 10 records in all, at most 5"), "{chart}");
    }

    #[test]
    fn the_address_of_an_exporter_has_no_key_in_it() {
        assert_eq!(
            otlp_endpoint("https://k1@bv.example/7"),
            "https://bv.example/api/7/integration/otlp/v1/logs"
        );
        assert_eq!(key_of("https://k1@bv.example/7"), "k1");
    }
}
