use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use base64::Engine;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use belvedere_kernel::{Delivery, ItemOutcome, ProjectId, ScrubRules};
use serde::Deserialize;
use serde_json::Value;

use super::tally::{Tallies, UnknownTypes, name_category, name_discard, name_unprocessed};
use crate::attachment::{ATTACHMENTS_MAX, AttachmentOrigin, AttachmentReader, NewAttachment};
use crate::digest::{DigestedEvent, Digester};
use crate::encoding::decode_body;
use crate::envelope::{Item, Outline, find_event_id, parse_outline};
use crate::event::{Arrival, InvalidEvent, parse_event, parse_measured};
use crate::feedback::{NewFeedback, read_feedback, read_user_report};
use crate::grouping_rules::GroupingContext;
use crate::limits::ProjectLimits;
use crate::logs::{LogArrival, RECORDS_MAX, ReadRecord, read_container};
use crate::monitors::{ReceivedCheckIn, parse_check_in};
use crate::security::{ReportContext, read_reports};
use crate::sessions::{SESSIONS_MAX, SessionCounts, SessionUpdate, parse_session, parse_sessions};
use crate::source_maps::BatchMaps;

/// The most bytes that a delivery may decode to: an envelope with its attachments, as Sentry accepts it. The door has
/// refused larger ones already.
const DECODED_BYTES_MAX: usize = 100 << 20;

/// The most events of one envelope that are read. It should have one; a thousand small ones compress to next to nothing,
/// and a batch of such envelopes would fill the memory and hold the only writer of SQLite for minutes.
const EVENTS_MAX: u64 = 10;

/// The most attachments and feedback of one envelope that are read, together.
const ATTACHED_MAX: usize = 2 * ATTACHMENTS_MAX;

/// The most check-ins of one envelope that are read. Clients send one.
const CHECK_INS_MAX: usize = 100;

/// The most entries of a client report that are read.
const DISCARDS_MAX: usize = 100;

/// The most items that one entry of a client report may count.
const QUANTITY_MAX: u64 = 1_000_000_000;

/// Which of the two ways a delivery came.
#[derive(Debug, Clone, Copy)]
pub(super) enum DeliveryKind {
    Envelope,
    Store,
}

/// What was in some deliveries.
#[derive(Default)]
pub(super) struct Read {
    pub(super) events: Vec<DigestedEvent>,
    pub(super) attachments: Vec<NewAttachment>,
    pub(super) feedback: Vec<NewFeedback>,
    pub(super) sessions: Vec<SessionUpdate>,
    pub(super) session_counts: Vec<SessionCounts>,
    pub(super) check_ins: Vec<ReceivedCheckIn>,
    pub(super) logs: Vec<(ProjectId, ReadRecord)>,
    pub(super) tallies: Tallies,
    /// Which deliveries cannot be read, and why.
    pub(super) rejected: Vec<(usize, String)>,
}

/// Reads deliveries one after the other.
///
/// # Errors
/// Only when the memory for compression is lacking.
pub(super) fn read_deliveries(
    deliveries: &[Delivery],
    kind: DeliveryKind,
    rules: &dyn ScrubRules,
    grouping: &GroupingContext,
    limits: &HashMap<ProjectId, Arc<ProjectLimits>>,
    maps: &BatchMaps,
    unknown_types: &UnknownTypes,
) -> std::io::Result<Read> {
    let digester = Digester::try_new(rules, grouping)?.with_maps(maps);
    let mut reader = DeliveryReader { digester, rules, limits, unknown_types, read: Read::default() };
    for (index, delivery) in deliveries.iter().enumerate() {
        let result = match kind {
            DeliveryKind::Envelope => reader.read_envelope(delivery),
            DeliveryKind::Store => reader.read_store(delivery),
        };
        if let Err(reason) = result {
            reader.read.rejected.push((index, reason));
        }
    }
    Ok(reader.read)
}

struct DeliveryReader<'a> {
    digester: Digester<'a>,
    rules: &'a dyn ScrubRules,
    limits: &'a HashMap<ProjectId, Arc<ProjectLimits>>,
    unknown_types: &'a UnknownTypes,
    read: Read,
}

impl DeliveryReader<'_> {
    fn read_envelope(&mut self, delivery: &Delivery) -> Result<(), String> {
        let body = decode_body(delivery.encoding.as_deref(), &delivery.body, DECODED_BYTES_MAX)
            .map_err(|error| error.to_string())?;
        let outline = parse_outline(&body).map_err(|error| error.to_string())?;
        let (mut events, mut others, mut sessions, mut check_ins, mut logs) = (0, 0, 0, 0, 0);
        for item in &outline.items {
            let payload = body.get(item.payload.clone()).unwrap_or_default();
            let project = delivery.project;
            if item.problem.is_some() {
                let name = match item.kind.as_str() {
                    known @ ("event" | "session" | "sessions") => known.to_owned(),
                    _ => self.name_damaged(item),
                };
                self.read.tallies.add(project, &name, ItemOutcome::Dropped, "invalid", 1);
                continue;
            }
            match item.kind.as_str() {
                "event" if events == EVENTS_MAX => {
                    self.read.tallies.add(project, "event", ItemOutcome::Dropped, "too_many_items", 1);
                }
                "event" => {
                    // The id in the headers is that of the one event an envelope should have.
                    let arrival = arrival_of(delivery, Some(&outline), events == 0, payload);
                    events += 1;
                    self.read_event(project, payload, &arrival);
                }
                kind @ ("session" | "sessions") if sessions == SESSIONS_MAX => {
                    self.read.tallies.add(project, kind, ItemOutcome::Dropped, "too_many_items", 1);
                }
                kind @ ("session" | "sessions") => {
                    sessions += 1;
                    let arrival = arrival_of(delivery, Some(&outline), false, payload);
                    self.read_sessions(project, kind, payload, &arrival);
                }
                "client_report" => self.read_client_report(project, payload),
                "log" => self.read_logs(delivery, &outline, payload, &mut logs),
                "check_in" if check_ins == CHECK_INS_MAX => {
                    self.read.tallies.add(project, "check_in", ItemOutcome::Dropped, "too_many_items", 1);
                }
                "check_in" => {
                    check_ins += 1;
                    match parse_check_in(project, delivery.received_at, payload) {
                        Some(check_in) => self.read.check_ins.push(check_in),
                        None => {
                            self.read.tallies.add(project, "check_in", ItemOutcome::Dropped, "invalid", 1)
                        }
                    }
                }
                kind @ ("attachment" | "feedback" | "user_report") if others == ATTACHED_MAX => {
                    self.read.tallies.add(project, kind, ItemOutcome::Dropped, "too_many_items", 1);
                }
                "attachment" => {
                    others += 1;
                    self.read_attachment(delivery, &body, &outline, item);
                }
                kind @ ("feedback" | "user_report") => {
                    others += 1;
                    let arrival =
                        arrival_of(delivery, Some(&outline), kind == "user_report" || others == 1, payload);
                    self.read_feedback(project, kind == "user_report", payload, &arrival);
                }
                "raw_security" if others == ATTACHED_MAX => {
                    self.read.tallies.add(project, "raw_security", ItemOutcome::Dropped, "too_many_items", 1);
                }
                "raw_security" => {
                    others += 1;
                    let headers = body.get(item.headers.clone()).unwrap_or_default();
                    self.read_security(delivery, headers, payload);
                }
                kind => {
                    let (name, reason) = name_unprocessed(kind, self.unknown_types);
                    self.read.tallies.add(project, &name, ItemOutcome::Dropped, reason, 1);
                }
            }
        }
        if outline.items_left_out > 0 {
            let left_out = outline.items_left_out;
            self.read.tallies.add(
                delivery.project,
                "other",
                ItemOutcome::Dropped,
                "too_many_items",
                left_out,
            );
        }
        Ok(())
    }

    fn name_damaged(&self, item: &Item) -> String {
        match item.kind.as_str() {
            "" => "other".to_owned(),
            known @ ("attachment" | "feedback" | "user_report" | "check_in" | "log" | "raw_security") => {
                known.to_owned()
            }
            kind => name_unprocessed(kind, self.unknown_types).0,
        }
    }

    fn limits_of(&self, project: ProjectId) -> Arc<ProjectLimits> {
        self.limits.get(&project).cloned().unwrap_or_default()
    }

    fn read_attachment(&mut self, delivery: &Delivery, body: &[u8], outline: &Outline, item: &Item) {
        let project = delivery.project;
        let assigned = || delivery.assigned_id.as_deref().and_then(|id| id.parse().ok());
        let origin = AttachmentOrigin {
            project,
            event_id: find_event_id(body, outline).or_else(assigned),
            received_at: delivery.received_at,
            scrubs: self.limits_of(project).scrubs_attachments,
        };
        let part = |place: &Range<usize>| body.get(place.clone()).unwrap_or_default();
        let reader = AttachmentReader::new(self.rules);
        match reader.read(part(&item.headers), part(&item.payload), &origin) {
            Ok(attachment) => self.read.attachments.push(attachment),
            Err(reason) => self.read.tallies.add(project, "attachment", ItemOutcome::Dropped, reason, 1),
        }
    }

    fn read_feedback(&mut self, project: ProjectId, is_report: bool, payload: &[u8], arrival: &Arrival<'_>) {
        let keeps_contacts = self.limits_of(project).keeps_contacts;
        let read = parse_event(payload).and_then(|value| {
            if is_report {
                read_user_report(project, &value, arrival, self.rules, keeps_contacts)
            } else {
                read_feedback(project, value, arrival, self.rules, keeps_contacts)
            }
        });
        match read {
            Ok(feedback) => self.read.feedback.push(feedback),
            Err(error) => {
                tracing::debug!(%project, %error, "feedback dropped");
                let item = if is_report { "user_report" } else { "feedback" };
                self.read.tallies.add(project, item, ItemOutcome::Dropped, "invalid", 1);
            }
        }
    }

    /// One bad event is counted and costs nothing else.
    fn read_event(&mut self, project: ProjectId, payload: &[u8], arrival: &Arrival<'_>) {
        match parse_measured(payload) {
            Ok((event, extent)) => {
                self.digest_event(project, event, &Arrival { extent: Some(extent), ..arrival.clone() });
            }
            Err(error) => self.drop_event(project, &error),
        }
    }

    fn digest_event(&mut self, project: ProjectId, event: Value, arrival: &Arrival<'_>) {
        match self.digester.digest(project, event, arrival) {
            Ok(event) => self.read.events.push(event),
            Err(error) => self.drop_event(project, &error),
        }
    }

    fn drop_event(&mut self, project: ProjectId, error: &InvalidEvent) {
        tracing::debug!(%project, %error, "event dropped");
        self.read.tallies.add(project, "event", ItemOutcome::Dropped, error.reason(), 1);
    }

    /// Reports of a browser: each becomes an event, and the item is counted as such.
    fn read_security(&mut self, delivery: &Delivery, headers: &[u8], payload: &[u8]) {
        let project = delivery.project;
        let headers: SecurityHeaders = serde_json::from_slice(headers).unwrap_or_default();
        let context = ReportContext {
            release: headers.sentry_release,
            environment: headers.sentry_environment,
            user_agent: delivery.user_agent.clone(),
        };
        let mut count = |outcome, reason, quantity| {
            if quantity > 0 {
                self.read.tallies.add(project, "raw_security", outcome, reason, quantity);
            }
        };
        let Some(reports) = read_reports(payload, &context) else {
            return count(ItemOutcome::Dropped, "invalid", 1);
        };
        count(ItemOutcome::Dropped, "browser_extension", reports.of_extensions);
        count(ItemOutcome::Dropped, "not_yet_supported", reports.of_other_kinds);
        count(ItemOutcome::Dropped, "too_many_items", reports.left_out);
        count(ItemOutcome::Stored, "", reports.events.len() as u64);
        for event in reports.events {
            // The raw text is at hand for the whole body only, and it names what occurs in any of its reports.
            let arrival = Arrival {
                received_at: delivery.received_at,
                remote_ip: delivery.remote_ip.as_deref(),
                raw: Some(payload),
                ..Arrival::default()
            };
            self.digest_event(project, event, &arrival);
        }
    }

    fn read_sessions(&mut self, project: ProjectId, kind: &str, payload: &[u8], arrival: &Arrival<'_>) {
        let read = if kind == "session" {
            parse_session(project, payload, arrival).map(|update| self.read.sessions.push(update))
        } else {
            parse_sessions(project, payload, arrival).map(|counts| self.read.session_counts.extend(counts))
        };
        match read {
            Ok(()) => self.read.tallies.add(project, kind, ItemOutcome::Stored, "", 1),
            Err(unusable) => {
                self.read.tallies.add(project, kind, ItemOutcome::Dropped, unusable.as_str(), 1);
            }
        }
    }

    /// Reads a container; `read` is how many records of the delivery were read before.
    fn read_logs(&mut self, delivery: &Delivery, outline: &Outline, payload: &[u8], read: &mut usize) {
        let project = delivery.project;
        let arrival = LogArrival {
            project,
            received_at: delivery.received_at,
            sent_at: outline.sent_at,
            rules: self.rules,
        };
        let Some((records, lost)) = read_container(payload, arrival) else {
            return self.read.tallies.add(project, "log", ItemOutcome::Dropped, "invalid", 1);
        };
        let room = RECORDS_MAX.saturating_sub(*read);
        let surplus = records.len().saturating_sub(room) as u64;
        *read += records.len().min(room);
        self.read.logs.extend(records.into_iter().take(room).map(|record| (project, record)));
        for (reason, count) in [("invalid", lost), ("too_many_items", surplus)] {
            if count > 0 {
                self.read.tallies.add(project, "log", ItemOutcome::Dropped, reason, count);
            }
        }
    }

    fn read_client_report(&mut self, project: ProjectId, payload: &[u8]) {
        let Ok(report) = serde_json::from_slice::<ClientReport>(payload) else {
            self.read.tallies.add(project, "client_report", ItemOutcome::Dropped, "invalid", 1);
            return;
        };
        self.read.tallies.add(project, "client_report", ItemOutcome::Stored, "", 1);
        let entries = [report.discarded_events, report.rate_limited_events, report.filtered_events];
        for entry in entries.into_iter().flatten().take(DISCARDS_MAX) {
            let (name, reason) = (name_category(&entry.category), name_discard(&entry.reason));
            let quantity = entry.quantity.min(QUANTITY_MAX);
            if quantity > 0 {
                self.read.tallies.add(project, &name, ItemOutcome::Dropped, reason, quantity);
            }
        }
    }

    fn read_store(&mut self, delivery: &Delivery) -> Result<(), String> {
        let body = decode_body(delivery.encoding.as_deref(), &delivery.body, DECODED_BYTES_MAX)
            .map_err(|error| error.to_string())?;
        let unwrapped =
            if body.trim_ascii_start().first() == Some(&b'{') { None } else { Some(unwrap_base64(&body)?) };
        let payload = unwrapped.as_deref().unwrap_or(&body);
        let arrival = arrival_of(delivery, None, false, payload);
        let event =
            parse_event(payload).and_then(|event| self.digester.digest(delivery.project, event, &arrival));
        match event {
            Ok(event) => self.read.events.push(event),
            Err(error @ InvalidEvent::IgnoredByRule(_)) => {
                self.read.tallies.add(delivery.project, "event", ItemOutcome::Dropped, error.reason(), 1);
            }
            Err(error) => return Err(error.to_string()),
        }
        Ok(())
    }
}

fn arrival_of<'a>(
    delivery: &'a Delivery,
    outline: Option<&Outline>,
    is_first: bool,
    payload: &'a [u8],
) -> Arrival<'a> {
    let assigned = delivery.assigned_id.as_deref().and_then(|id| id.parse().ok());
    Arrival {
        received_at: delivery.received_at,
        sent_at: outline.and_then(|outline| outline.sent_at),
        event_id: outline.filter(|_| is_first).and_then(|outline| outline.event_id),
        assigned_id: assigned.filter(|_| is_first || outline.is_none()),
        remote_ip: delivery.remote_ip.as_deref(),
        raw: Some(payload),
        extent: None,
    }
}

/// Clients before 2018 post base64, with or without padding, of JSON or of its zlib stream.
fn unwrap_base64(body: &[u8]) -> Result<Vec<u8>, String> {
    const LENIENT: GeneralPurpose = GeneralPurpose::new(
        &base64::alphabet::STANDARD,
        GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
    );
    let compact: Vec<u8> = body.iter().copied().filter(|byte| !byte.is_ascii_whitespace()).collect();
    let decoded = LENIENT.decode(compact).map_err(|_| "body is neither JSON nor base64".to_owned())?;
    if decoded.trim_ascii_start().first() == Some(&b'{') {
        return Ok(decoded);
    }
    let inflated = decode_body(Some("deflate"), &decoded, DECODED_BYTES_MAX)
        .map_err(|error| format!("in base64: {error}"))?;
    Ok(inflated.into_owned())
}

/// What an item with reports carries over from the address that they were sent to.
#[derive(Default, Deserialize)]
#[serde(default)]
struct SecurityHeaders {
    sentry_release: Option<String>,
    sentry_environment: Option<String>,
}

#[derive(Deserialize)]
struct ClientReport {
    #[serde(default)]
    discarded_events: Vec<Discard>,
    #[serde(default)]
    rate_limited_events: Vec<Discard>,
    #[serde(default)]
    filtered_events: Vec<Discard>,
}

#[derive(Deserialize)]
struct Discard {
    #[serde(default)]
    reason: String,
    #[serde(default)]
    category: String,
    #[serde(default)]
    quantity: u64,
}
