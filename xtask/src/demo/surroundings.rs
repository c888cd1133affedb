//! What surrounds the errors of the demonstration: the sessions they happened in, the releases they came from, log
//! lines, check-ins of scheduled work, and what people said.

use anyhow::{Result, bail};
use serde_json::{Value, json};

use super::{HOURS, RELEASES, Random, release_at};
use crate::client::Client;

/// Sessions in one envelope, as SDKs send at most.
const SESSIONS_PER_ENVELOPE: usize = 100;
/// Log lines in one container.
const LOGS_PER_ENVELOPE: usize = 100;
const SESSIONS: u64 = 3_000;
const LOGS: u64 = 600;

/// Where the demonstration's items go.
pub(super) struct Door<'a> {
    pub(super) client: &'a mut Client,
    /// `/api/{project}/envelope/`
    pub(super) path: &'a str,
    /// The header lines that name the key.
    pub(super) headers: &'a str,
    /// The time, in seconds since 1970.
    pub(super) now: u64,
}

impl Door<'_> {
    /// Sends items, each its headers and its payload, as one envelope.
    pub(super) fn send(&mut self, items: &[(Value, String)]) -> Result<()> {
        let mut body = String::from("{}\n");
        for (headers, payload) in items {
            let mut headers = headers.clone();
            headers["length"] = payload.len().into();
            body.push_str(&format!("{headers}\n{payload}\n"));
        }
        let response = self.client.send("POST", self.path, self.headers, body.as_bytes())?;
        if response.status != 200 {
            bail!("status {}: {}", response.status, String::from_utf8_lossy(&response.body));
        }
        Ok(())
    }
}

/// Sessions of the week: most end well, and the newest release crashes more often than the one before.
pub(super) fn send_sessions(door: &mut Door<'_>, random: &mut Random) -> Result<()> {
    let mut items = Vec::new();
    for number in 0..SESSIONS {
        let age = (HOURS - 1 - number * HOURS / SESSIONS) * 3_600 + random.below(3_600);
        let release = release_at(age);
        let crashes_in_thousand = if release == RELEASES[0] { 21 } else { 6 };
        let luck = random.below(1_000);
        let (status, errors) = match luck {
            luck if luck < crashes_in_thousand => ("crashed", 1),
            luck if luck < 90 => ("exited", 1 + random.below(3)),
            _ => ("exited", 0),
        };
        let started = door.now - age;
        let duration = 60 + random.below(1_800);
        let session = json!({
            "sid": format!("{:016x}{:016x}", random.next(), random.next()),
            "did": format!("learner-{}", random.below(400).min(random.below(400))),
            "init": true, "status": status, "errors": errors, "duration": duration,
            "started": started, "timestamp": (started + duration).min(door.now),
            "attrs": {"release": release, "environment": "production"},
        });
        items.push((json!({"type": "session"}), session.to_string()));
        if items.len() == SESSIONS_PER_ENVELOPE {
            door.send(&items)?;
            items.clear();
        }
    }
    door.send(&items)
}

/// Log lines of the last day.
pub(super) fn send_logs(door: &mut Door<'_>, random: &mut Random) -> Result<()> {
    const LINES: [(&str, u64, &str); 6] = [
        ("info", 9, "lesson {lesson} of rust-101 opened"),
        ("info", 9, "exercise {lesson}.{number} checked in {number} ms"),
        ("debug", 5, "progress of lesson {lesson} saved"),
        ("warn", 13, "sandbox pool is down to {lesson} free workers"),
        ("warn", 13, "tutor answered after {number} ms, more than is promised"),
        ("error", 17, "payment provider answered 503, trying again in {lesson} s"),
    ];
    let mut logs: Vec<Value> = Vec::new();
    for number in 0..LOGS {
        // Errors are rarer than the lines that say all is well.
        let line = usize::try_from(random.below(6).min(random.below(6))).unwrap_or(0);
        let (level, severity, body) = LINES[line];
        let body = body
            .replace("{lesson}", &(1 + random.below(9)).to_string())
            .replace("{number}", &(20 + random.below(900)).to_string());
        let text = |value: &str| json!({"value": value, "type": "string"});
        logs.push(json!({
            "timestamp": door.now - (LOGS - number) * 86_000 / LOGS, "level": level, "severity_number": severity,
            "trace_id": format!("{:016x}{:016x}", random.next(), random.next()), "body": body,
            "attributes": {
                "sentry.release": text(RELEASES[0]), "sentry.environment": text("production"),
                "server.address": text(random.pick(&["web-1", "web-2", "worker-2"])),
            },
        }));
        if logs.len() == LOGS_PER_ENVELOPE || number + 1 == LOGS {
            let headers = json!({
                "type": "log", "item_count": logs.len(), "content_type": "application/vnd.sentry.items.log+json",
            });
            door.send(&[(headers, json!({ "items": logs }).to_string())])?;
            logs.clear();
        }
    }
    Ok(())
}

/// Three monitors: one that is well, one that failed, one at work.
pub(super) fn send_check_ins(door: &mut Door<'_>, random: &mut Random) -> Result<()> {
    let monitors = [
        ("nightly-certificates", "ok", json!({"type": "crontab", "value": "0 3 * * *"})),
        ("weekly-digest", "error", json!({"type": "crontab", "value": "30 7 * * 1"})),
        ("sync-payments", "in_progress", json!({"type": "interval", "value": 15, "unit": "minute"})),
    ];
    for (slug, status, schedule) in monitors {
        let check_in = json!({
            "check_in_id": format!("{:016x}{:016x}", random.next(), random.next()),
            "monitor_slug": slug, "status": status, "environment": "production",
            "duration": if status == "in_progress" { Value::Null } else { (20 + random.below(200)).into() },
            "monitor_config": {"schedule": schedule, "checkin_margin": 5, "max_runtime": 30, "timezone": "UTC"},
        });
        door.send(&[(json!({"type": "check_in"}), check_in.to_string())])?;
    }
    Ok(())
}

/// What people said, beside errors that were sent before.
pub(super) fn send_feedback(door: &mut Door<'_>, random: &mut Random, events: &[String]) -> Result<()> {
    const SAID: [&str; 4] = [
        "The editor lost my answer when I pressed Check. I had to type it all again.",
        "I paid twice and still see the trial banner.",
        "The tutor stops in the middle of a sentence.",
        "Lesson 4 will not load on my phone.",
    ];
    for (said, event) in SAID.iter().zip(events) {
        let at = door.now - 1_800 - random.below(80_000);
        let id = format!("{:016x}{:016x}", random.next(), random.next());
        let feedback = json!({
            "event_id": id, "type": "feedback", "platform": "javascript", "level": "info", "timestamp": at,
            "release": RELEASES[0], "environment": "production",
            "user": {"id": format!("learner-{}", random.below(400))},
            "request": {"url": "https://learn.codeland.example/learn/rust-101/4"},
            "contexts": {"feedback": {"message": said, "associated_event_id": event}},
        });
        door.send(&[(json!({"type": "feedback"}), feedback.to_string())])?;
    }
    Ok(())
}
