//! Check-ins as clients send them.
//!
//! Source: <https://develop.sentry.dev/sdk/telemetry/check-ins/>. Durations are seconds; the id of only zeros means the
//! newest run that is in progress, or a new one.

use belvedere_kernel::ProjectId;
use belvedere_storage::{Id, Timestamp};
use serde_json::{Map, Value};

use super::crontab::Crontab;
use super::fields::{MARGIN_MINUTES_MAX, RUNTIME_MINUTES_MAX, THRESHOLD_MAX, slug_of};
use super::model::{CheckInStatus, MonitorConfig};
use super::schedule::{Schedule, Zone};

/// The most bytes of a check-in; Sentry's limit.
const BYTES_MAX: usize = 100 << 10;

/// The longest name of an environment; Sentry's limit.
const ENVIRONMENT_CHARS_MAX: usize = 64;

const RELEASE_CHARS_MAX: usize = 250;

/// The longest duration that is believed: a year.
const DURATION_MS_MAX: f64 = 366.0 * 86_400_000.0;

/// A check-in that was understood.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ReceivedCheckIn {
    pub(crate) project: ProjectId,
    pub(crate) received_at: Timestamp,
    pub(crate) slug: String,
    pub(crate) environment: String,
    /// `None`: the newest run in progress, or a new one.
    pub(crate) check_in_id: Option<[u8; 16]>,
    /// [`CheckInStatus::InProgress`], [`CheckInStatus::Ok`] or [`CheckInStatus::Error`].
    pub(crate) status: CheckInStatus,
    pub(crate) duration_ms: Option<i64>,
    pub(crate) release: Option<String>,
    pub(crate) trace_id: Option<[u8; 16]>,
    /// What the monitor is to be, if the client says so and means something.
    pub(crate) config: Option<MonitorConfig>,
}

/// Reads the payload of an item `check_in`; `None` when it names no monitor or no known status.
///
/// A `monitor_config` with an unusable schedule or time zone is left out, not the check-in: the run was made.
pub(crate) fn parse_check_in(
    project: ProjectId,
    received_at: Timestamp,
    payload: &[u8],
) -> Option<ReceivedCheckIn> {
    if payload.len() > BYTES_MAX {
        return None;
    }
    let value: Value = serde_json::from_slice(payload).ok()?;
    let item = value.as_object()?;
    let text =
        |key: &str| item.get(key).and_then(Value::as_str).map(str::trim).filter(|text| !text.is_empty());
    let status = match text("status")? {
        "in_progress" => CheckInStatus::InProgress,
        "ok" => CheckInStatus::Ok,
        "error" => CheckInStatus::Error,
        _ => return None,
    };
    let cut =
        |text: &str, chars: usize| text.chars().filter(|c| !c.is_control()).take(chars).collect::<String>();
    let duration = item.get("duration").and_then(|duration| match duration {
        Value::String(text) => text.trim().parse::<f64>().ok(),
        other => other.as_f64(),
    });
    let trace = item.get("contexts").and_then(|contexts| contexts.get("trace")?.get("trace_id")?.as_str());
    Some(ReceivedCheckIn {
        project,
        received_at,
        slug: slug_of(text("monitor_slug")?)?,
        environment: cut(text("environment").unwrap_or("production"), ENVIRONMENT_CHARS_MAX),
        check_in_id: text("check_in_id").and_then(parse_id),
        status,
        duration_ms: duration
            .map(|seconds| seconds * 1_000.0)
            .filter(|ms| (0.0..DURATION_MS_MAX).contains(ms))
            .map(
                #[expect(clippy::cast_possible_truncation, reason = "within a year of milliseconds")]
                |ms| ms.round() as i64,
            ),
        release: text("release").map(|release| cut(release, RELEASE_CHARS_MAX)),
        trace_id: trace.and_then(parse_id),
        config: item.get("monitor_config").and_then(Value::as_object).and_then(parse_config),
    })
}

/// 32 hexadecimal digits, hyphens allowed; `None` for only zeros.
fn parse_id(text: &str) -> Option<[u8; 16]> {
    let id: crate::event_id::EventId = text.parse().ok()?;
    Some(id.to_key().to_bytes()).filter(|bytes| *bytes != [0; 16])
}

fn parse_config(config: &Map<String, Value>) -> Option<MonitorConfig> {
    let schedule = config.get("schedule")?;
    let value = schedule.get("value")?;
    let schedule = match schedule.get("type")?.as_str()? {
        "crontab" => Schedule::Crontab(Crontab::parse(value.as_str()?).ok()?),
        "interval" => {
            let every = value.as_u64().or_else(|| value.as_str()?.parse().ok())?;
            Schedule::interval(u32::try_from(every).ok()?, schedule.get("unit")?.as_str()?).ok()?
        }
        _ => return None,
    };
    let usual = MonitorConfig::new(schedule);
    // null, zero and missing mean the usual; too much means the most.
    let number = |key: &str, usual: u32, most: u32| {
        let told =
            config.get(key).and_then(|value| value.as_u64().or_else(|| value.as_str()?.trim().parse().ok()));
        told.filter(|told| *told > 0).map_or(usual, |told| u32::try_from(told).unwrap_or(most).min(most))
    };
    let time_zone = match config.get("timezone").and_then(Value::as_str).map(str::trim) {
        None | Some("") => usual.time_zone.clone(),
        Some(name) if Zone::find(name).is_some() => name.to_owned(),
        Some(_) => return None,
    };
    Some(MonitorConfig {
        margin_minutes: number("checkin_margin", usual.margin_minutes, MARGIN_MINUTES_MAX),
        max_runtime_minutes: number("max_runtime", usual.max_runtime_minutes, RUNTIME_MINUTES_MAX),
        failure_threshold: number("failure_issue_threshold", usual.failure_threshold, THRESHOLD_MAX),
        recovery_threshold: number("recovery_threshold", usual.recovery_threshold, THRESHOLD_MAX),
        time_zone,
        schedule: usual.schedule,
    })
}

/// The id of a run that never reported, made of what it is, so that it is the same whoever finds it missing.
pub(super) fn id_of_missed(environment: Id<()>, expected_at: Timestamp) -> [u8; 16] {
    let mut id = environment.to_bytes();
    let micros = expected_at.as_micros().to_be_bytes();
    for (byte, micros) in id.iter_mut().skip(8).zip(micros) {
        *byte ^= micros;
    }
    id
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(payload: &str) -> Option<ReceivedCheckIn> {
        parse_check_in(ProjectId(1), "2026-11-25T03:00:00Z".parse().unwrap(), payload.as_bytes())
    }

    #[test]
    fn the_check_in_of_a_real_client_is_read() {
        let read = parse(
            r#"{"check_in_id":"fd03f5564b504d7ba920d9f79550dc81","monitor_slug":"basket-cleanup","status":"in_progress",
                "release":"storefront-api@7.2.0","environment":"staging","monitor_config":{"schedule":{"type":"interval",
                "value":15,"unit":"minute"},"checkin_margin":2,"max_runtime":5,"timezone":"Europe/Amsterdam",
                "failure_issue_threshold":3},"contexts":{"trace":{"trace_id":"b53dd3573098408eb5044d8ef0b2cb77"}}}"#,
        )
        .unwrap();
        assert_eq!((read.slug.as_str(), read.environment.as_str()), ("basket-cleanup", "staging"));
        assert_eq!(read.check_in_id.map(|id| id[0]), Some(0xfd));
        assert_eq!(read.trace_id.map(|id| id[15]), Some(0x77));
        assert_eq!(read.status, CheckInStatus::InProgress);
        let config = read.config.unwrap();
        assert_eq!(config.schedule.to_string(), "every 15 minutes");
        assert_eq!((config.margin_minutes, config.max_runtime_minutes), (2, 5));
        assert_eq!((config.failure_threshold, config.recovery_threshold), (3, 1));
        assert_eq!(config.time_zone, "Europe/Amsterdam");
    }

    #[test]
    fn what_is_missing_is_the_usual_and_what_is_wrong_is_left_out() {
        let read = parse(r#"{"monitor_slug":"Backup Job","status":"ok","duration":3.2504,"check_in_id":"00000000000000000000000000000000"}"#).unwrap();
        assert_eq!((read.slug.as_str(), read.environment.as_str()), ("backup-job", "production"));
        assert_eq!((read.check_in_id, read.duration_ms, read.config), (None, Some(3_250), None));
        for config in [
            r#"{"schedule":{"type":"crontab","value":"61 * * * *"}}"#,
            r#"{"schedule":{"type":"crontab","value":"@daily"},"timezone":"Mars/Olympus"}"#,
            r#"{"schedule":{"type":"moon"}}"#,
        ] {
            let read = parse(&format!(
                r#"{{"monitor_slug":"a","status":"error","duration":-1,"monitor_config":{config}}}"#
            ))
            .unwrap();
            assert_eq!(
                (read.config, read.duration_ms, read.status),
                (None, None, CheckInStatus::Error),
                "{config}"
            );
        }
        let null = r#"{"monitor_slug":"a","status":"ok","duration":null,"monitor_config":{"schedule":{"type":"crontab","value":"@daily"},"max_runtime":null,"checkin_margin":99999}}"#;
        let config = parse(null).unwrap().config.unwrap();
        assert_eq!((config.max_runtime_minutes, config.margin_minutes), (30, 1_440));
    }

    #[test]
    fn without_monitor_or_known_status_it_is_no_check_in() {
        for payload in [
            "",
            "[]",
            r#"{"status":"ok"}"#,
            r#"{"monitor_slug":"a"}"#,
            r#"{"monitor_slug":"a","status":"missed"}"#,
            r#"{"monitor_slug":"///","status":"ok"}"#,
        ] {
            assert_eq!(parse(payload), None, "{payload}");
        }
        let large = format!(r#"{{"monitor_slug":"a","status":"ok","x":"{}"}}"#, "x".repeat(BYTES_MAX));
        assert_eq!(parse(&large), None);
    }
}
