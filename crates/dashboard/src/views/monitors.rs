//! Monitored jobs as rows, strips and forms.

use belvedere_error_tracking::monitors::{
    CheckInStatus, Monitor, MonitorEnvironment, MonitorOverview, RunRate, RunSummary,
};
use belvedere_kernel::ProjectId;
use belvedere_storage::Timestamp;

use crate::charts::{Bar, BarChart, Caption, Mark, Svg, strip};
use crate::form::{Pairs, address};
use crate::views::issues::issue_href;
use crate::wording::{Ago, At, clock, counted, day};

/// A monitor in one environment.
pub(crate) struct MonitorRow {
    pub(crate) id: String,
    pub(crate) version: String,
    pub(crate) href: String,
    pub(crate) name: String,
    pub(crate) schedule: String,
    pub(crate) environment: String,
    pub(crate) word: &'static str,
    /// The tag's class.
    pub(crate) tone: &'static str,
    pub(crate) strip: Svg,
    pub(crate) day: String,
    pub(crate) month: String,
    pub(crate) last: Option<Ago>,
    pub(crate) next: Option<At>,
    pub(crate) issue_href: Option<String>,
    pub(crate) failures: String,
}

impl MonitorRow {
    /// A row for each environment; one without, if the job has never checked in.
    pub(crate) fn all(project: ProjectId, overview: &MonitorOverview, now: Timestamp) -> Vec<Self> {
        let monitor = &overview.monitor;
        if overview.environments.is_empty() {
            return vec![Self::new(project, monitor, None, now)];
        }
        let environments = overview.environments.iter();
        environments.map(|environment| Self::new(project, monitor, Some(environment), now)).collect()
    }

    fn new(project: ProjectId, monitor: &Monitor, of: Option<&MonitorEnvironment>, now: Timestamp) -> Self {
        let (word, tone) = standing(monitor, of);
        let recent = of.map(|of| of.recent.as_slice()).unwrap_or_default();
        let zone = if monitor.config.time_zone == "UTC" { "" } else { monitor.config.time_zone.as_str() };
        Self {
            id: format!("{}-{}", monitor.slug, of.map(|of| of.environment.as_str()).unwrap_or_default()),
            version: recent
                .last()
                .map(|run| format!("{}{}", run.check_in_id, run.status.as_str()))
                .unwrap_or_default(),
            href: format!("/projects/{project}/crons/{}", monitor.slug),
            name: monitor.name.clone(),
            schedule: format!("{} {zone}", monitor.config.schedule).trim_end().to_owned(),
            environment: of.map(|of| of.environment.clone()).unwrap_or_default(),
            word,
            tone,
            strip: run_strip(recent),
            day: rate(of.map(|of| of.day).unwrap_or_default()),
            month: rate(of.map(|of| of.month).unwrap_or_default()),
            last: of.and_then(|of| of.last_run_at).map(|at| Ago { at, now }),
            next: of.and_then(|of| of.next_expected_at).filter(|_| !monitor.is_paused).map(At),
            issue_href: of.and_then(|of| of.issue).map(|issue| issue_href(project, &issue.to_string())),
            failures: match of.map_or(0, |of| of.failures_in_row) {
                0 => String::new(),
                many => format!("{} in a row", counted(many as usize, "failure", "failures")),
            },
        }
    }
}

fn standing(monitor: &Monitor, of: Option<&MonitorEnvironment>) -> (&'static str, &'static str) {
    let Some(of) = of else { return ("waits for its first check-in", "") };
    if monitor.is_paused {
        return ("paused", "");
    }
    match of.last_status {
        Some(CheckInStatus::InProgress) if of.is_failing => ("failing, running", "bad"),
        Some(CheckInStatus::InProgress) => ("running", "on"),
        Some(status) if status.is_failure() => (status.as_str(), "bad"),
        _ if of.is_failing => ("recovering", "warn"),
        Some(CheckInStatus::Unknown) => ("unknown", "warn"),
        _ => ("ok", "on"),
    }
}

/// `99.8 %` of the runs, with how many; a dash without runs.
fn rate(rate: RunRate) -> String {
    match rate.per_mille() {
        None => "\u{2013}".to_owned(),
        Some(1_000) => "100 %".to_owned(),
        Some(share) => format!("{}.{} %", share / 10, share % 10),
    }
}

fn run_strip(runs: &[RunSummary]) -> Svg {
    let marks: Vec<Mark> = runs
        .iter()
        .map(|run| Mark {
            class: status_class(run.status),
            title: format!("{} {}: {}", day(run.started_at), clock(run.started_at), status_word(run.status)),
        })
        .collect();
    let failed = runs.iter().filter(|run| run.status.is_failure()).count();
    strip(&marks, &format!("The newest {}, {failed} of them failed", counted(runs.len(), "run", "runs")))
}

fn status_class(status: CheckInStatus) -> &'static str {
    match status {
        CheckInStatus::Ok => "good",
        CheckInStatus::InProgress => "bar",
        CheckInStatus::Unknown => "rest",
        CheckInStatus::Missed => "warn",
        CheckInStatus::Error | CheckInStatus::Timeout => "bad",
    }
}

fn status_word(status: CheckInStatus) -> &'static str {
    match status {
        CheckInStatus::InProgress => "in progress",
        other => other.as_str(),
    }
}

/// A run in the table of a monitor.
pub(crate) struct RunRow {
    pub(crate) started_at: At,
    pub(crate) word: &'static str,
    pub(crate) tone: &'static str,
    pub(crate) environment: String,
    pub(crate) duration: String,
    pub(crate) expected_at: Option<At>,
    pub(crate) release: Option<String>,
    pub(crate) check_in_id: String,
    pub(crate) trace_href: Option<String>,
}

impl RunRow {
    pub(crate) fn new(project: ProjectId, run: &RunSummary) -> Self {
        let tone = match run.status {
            CheckInStatus::Ok | CheckInStatus::InProgress => "on",
            CheckInStatus::Error | CheckInStatus::Timeout => "bad",
            CheckInStatus::Missed | CheckInStatus::Unknown => "warn",
        };
        let trace = run.trace_id.as_ref().map(|trace| format!("trace:{trace}"));
        Self {
            started_at: At(run.started_at),
            word: status_word(run.status),
            tone,
            environment: run.environment.clone(),
            duration: run.duration_ms.map(duration).unwrap_or_default(),
            expected_at: run.expected_at.map(At),
            release: run.release.clone(),
            check_in_id: run.check_in_id.clone(),
            trace_href: trace.map(|query| {
                address(&format!("/projects/{project}/issues"), &[("status", "all"), ("q", &query)])
            }),
        }
    }
}

/// `850 ms`, `12.3 s`, `4 min 5 s`, `2 h 10 min`.
pub(crate) fn duration(ms: u64) -> String {
    let seconds = ms / 1_000;
    match seconds {
        0 => format!("{ms} ms"),
        1..60 => format!("{seconds}.{} s", ms % 1_000 / 100),
        60..3_600 => format!("{} min {} s", seconds / 60, seconds % 60),
        _ => format!("{} h {} min", seconds / 3_600, seconds % 3_600 / 60),
    }
}

/// How long the newest runs took; `None` if nobody knows of two.
pub(crate) fn duration_chart(overview: &MonitorOverview, environment: Option<&str>) -> Option<BarChart> {
    let mut of = overview.environments.iter();
    let of = match environment {
        Some(name) => of.find(|of| of.environment == name)?,
        None => of.max_by_key(|of| of.recent.len())?,
    };
    let bars: Vec<Bar> = of
        .recent
        .iter()
        .filter_map(|run| {
            let label = format!("{} {}", day(run.started_at), clock(run.started_at));
            run.duration_ms.map(|quantity| Bar { label, quantity })
        })
        .collect();
    let about = format!("How long the newest runs in {} took", of.environment);
    let caption = Caption { about: &about, unit: "ms", column: "Run (UTC)", is_small: true };
    (bars.len() > 1).then(|| BarChart::new(bars, &caption))
}

/// The environments to choose from: name, address, whether it is chosen.
pub(crate) fn environments_of(
    overview: &MonitorOverview,
    path: &str,
    chosen: &str,
) -> Vec<(String, String, bool)> {
    let all = ("All environments".to_owned(), path.to_owned(), chosen.is_empty());
    let each = overview.environments.iter().map(|of| {
        let name = of.environment.clone();
        let href = address(path, &[("environment", &name)]);
        let is_chosen = name == chosen;
        (name, href, is_chosen)
    });
    std::iter::once(all).chain(each).collect()
}

/// The fields of the form as text.
#[derive(Default)]
pub(crate) struct FormView {
    pub(crate) slug: String,
    pub(crate) name: String,
    pub(crate) schedule: String,
    pub(crate) timezone: String,
    pub(crate) checkin_margin: String,
    pub(crate) max_runtime: String,
    pub(crate) failure_issue_threshold: String,
    pub(crate) recovery_threshold: String,
}

impl FormView {
    pub(crate) fn usual(time_zone: &str) -> Self {
        let text = str::to_owned;
        Self {
            timezone: text(time_zone),
            checkin_margin: text("1"),
            max_runtime: text("30"),
            failure_issue_threshold: text("1"),
            recovery_threshold: text("1"),
            ..Self::default()
        }
    }

    pub(crate) fn of_monitor(monitor: &Monitor) -> Self {
        let config = &monitor.config;
        Self {
            slug: monitor.slug.clone(),
            name: monitor.name.clone(),
            schedule: config.schedule.to_string(),
            timezone: config.time_zone.clone(),
            checkin_margin: config.margin_minutes.to_string(),
            max_runtime: config.max_runtime_minutes.to_string(),
            failure_issue_threshold: config.failure_threshold.to_string(),
            recovery_threshold: config.recovery_threshold.to_string(),
        }
    }

    pub(crate) fn of_form(form: &Pairs) -> Self {
        let text = |name: &str| form.text(name).to_owned();
        Self {
            slug: text("slug"),
            name: text("name"),
            schedule: text("schedule"),
            timezone: text("timezone"),
            checkin_margin: text("checkin_margin"),
            max_runtime: text("max_runtime"),
            failure_issue_threshold: text("failure_issue_threshold"),
            recovery_threshold: text("recovery_threshold"),
        }
    }
}

/// A piece of code to copy.
pub(crate) struct Snippet {
    pub(crate) language: &'static str,
    pub(crate) id: &'static str,
    pub(crate) code: String,
}

/// How a job checks in.
pub(crate) fn cron_snippets(dsn: &str, slug: &str) -> Vec<Snippet> {
    let snippet = |language, id, code: String| Snippet { language, id, code };
    let (base, key, project) = parts_of(dsn).unwrap_or_default();
    vec![
        snippet(
            "curl",
            "snippet-curl",
            format!(
                "# when the job has ended; status=error if it failed\ncurl \"{base}/api/{project}/cron/{slug}/{key}/?status=ok\"\n\n\
             # with its settings, which make the monitor\ncurl -H 'Content-Type: application/json' \\\n  -d '{{\"status\": \"ok\", \"monitor_config\": {{\"schedule\": {{\"type\": \"crontab\", \"value\": \"0 3 * * *\"}}, \"timezone\": \"Europe/Berlin\"}}}}' \\\n  \"{base}/api/{project}/cron/{slug}/{key}/\""
            ),
        ),
        snippet(
            "sentry-cli",
            "snippet-cli",
            format!(
                "SENTRY_DSN={dsn} sentry-cli monitors run \\\n  --schedule \"0 3 * * *\" --timezone Europe/Berlin {slug} -- ./backup.sh"
            ),
        ),
        snippet(
            "Python",
            "snippet-cron-python",
            format!(
                "import sentry_sdk\nfrom sentry_sdk.crons import monitor\n\nsentry_sdk.init(dsn=\"{dsn}\")\n\n@monitor(monitor_slug=\"{slug}\", monitor_config={{\n    \"schedule\": {{\"type\": \"crontab\", \"value\": \"0 3 * * *\"}},\n    \"timezone\": \"Europe/Berlin\",\n}})\ndef backup():\n    ..."
            ),
        ),
        snippet(
            "Node.js",
            "snippet-cron-node",
            format!(
                "const Sentry = require(\"@sentry/node\");\n\nSentry.init({{ dsn: \"{dsn}\" }});\n\nawait Sentry.withMonitor(\"{slug}\", backup, {{\n  schedule: {{ type: \"crontab\", value: \"0 3 * * *\" }},\n  timezone: \"Europe/Berlin\",\n}});"
            ),
        ),
    ]
}

/// Address, key and project of a DSN.
fn parts_of(dsn: &str) -> Option<(String, &str, &str)> {
    let (scheme, rest) = dsn.split_once("://")?;
    let (key, rest) = rest.split_once('@')?;
    let (host, project) = rest.rsplit_once('/')?;
    Some((format!("{scheme}://{host}"), key, project))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_and_rates_are_short() {
        let written = [0, 850, 12_345, 245_000, 7_800_000].map(duration);
        assert_eq!(written, ["0 ms", "850 ms", "12.3 s", "4 min 5 s", "2 h 10 min"]);
        assert_eq!(rate(RunRate::default()), "\u{2013}");
        assert_eq!(rate(RunRate { ok: 3, failed: 0 }), "100 %");
        assert_eq!(rate(RunRate { ok: 997, failed: 3 }), "99.7 %");
    }

    #[test]
    fn snippets_name_the_address_the_key_and_the_monitor() {
        let code: String = cron_snippets("https://k1@host.example/bv/7", "sync")
            .into_iter()
            .map(|snippet| snippet.code)
            .collect();
        assert!(code.contains("https://host.example/bv/api/7/cron/sync/k1/?status=ok"), "{code}");
        assert!(code.contains("SENTRY_DSN=https://k1@host.example/bv/7"), "{code}");
    }
}
