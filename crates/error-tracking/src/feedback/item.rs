use belvedere_kernel::{Identity, ProjectId, ScrubRules};
use belvedere_storage::Timestamp;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use super::{Contact, MESSAGE_CHARS_MAX};
use crate::digest::pack;
use crate::event::{Arrival, InvalidEvent, clean, normalise};
use crate::event_id::EventId;

/// The longest name or e-mail address, in characters (RFC 5321, 4.5.3.1: 254 for an address).
const CONTACT_CHARS_MAX: usize = 254;

/// The longest address of a page, in characters.
const URL_CHARS_MAX: usize = 2_048;

/// The longest source, in characters.
const SOURCE_CHARS_MAX: usize = 40;

/// A feedback ready to be written, but for its person.
#[derive(Debug, Clone)]
pub(crate) struct NewFeedback {
    pub(crate) project: ProjectId,
    pub(crate) event_id: EventId,
    pub(super) associated: Option<EventId>,
    pub(super) source: String,
    is_report: bool,
    pub(super) occurred_at: Timestamp,
    pub(super) received_at: Timestamp,
    pub(super) environment: Option<String>,
    pub(super) release: Option<String>,
    pub(crate) identity: Identity,
    pub(super) message: String,
    pub(super) url: Option<String>,
    pub(super) replay_id: Option<String>,
    pub(super) contact: Option<Contact>,
    pub(super) payload: Vec<u8>,
}

impl NewFeedback {
    /// The type of the item that it came in.
    pub(crate) fn item(&self) -> &'static str {
        if self.is_report { "user_report" } else { "feedback" }
    }
}

/// Reads a feedback item: an event whose `contexts.feedback` says what it is about.
///
/// Source: <https://develop.sentry.dev/sdk/telemetry/feedbacks/>.
///
/// # Errors
/// [`InvalidEvent`] if it is no event, or nothing was said.
pub(crate) fn read_feedback(
    project: ProjectId,
    event: Value,
    arrival: &Arrival<'_>,
    rules: &dyn ScrubRules,
    keeps_contacts: bool,
) -> Result<NewFeedback, InvalidEvent> {
    let Value::Object(mut event) = event else { return Err(InvalidEvent::NotAnObject) };
    let told = match event.get_mut("contexts").and_then(|contexts| contexts.get_mut("feedback")) {
        Some(Value::Object(told)) => std::mem::take(told),
        _ => Map::new(),
    };
    let text =
        |key: &str| told.get(key).and_then(Value::as_str).map(str::trim).filter(|text| !text.is_empty());
    let message = text("message").ok_or(InvalidEvent::NothingSaid)?;
    let line = |key: &str, chars| text(key).map(|text| clean(text, chars)).filter(|text| !text.is_empty());
    let contact =
        Contact { name: line("name", CONTACT_CHARS_MAX), email: line("contact_email", CONTACT_CHARS_MAX) };
    introduce(&mut event, &contact);
    // Message and address go where an event has them, to be trimmed and scrubbed there.
    event.remove("message");
    event.insert("logentry".to_owned(), json!({ "formatted": message }));
    if let Some(Value::Object(contexts)) = event.get_mut("contexts") {
        contexts.insert("feedback".to_owned(), json!({ "url": text("url") }));
    }
    let mut normalised = normalise(Value::Object(event), arrival)?;
    normalised.removals.extend(rules.scrub(project, &mut normalised.payload));
    let found = |pointer: &str| normalised.payload.pointer(pointer).and_then(Value::as_str);
    let message = found("/logentry/formatted").map(lines).unwrap_or_default();
    let url = found("/contexts/feedback/url").or_else(|| found("/request/url"));
    let url = url.map(|url| clean(url, URL_CHARS_MAX)).filter(|url| !url.is_empty());
    let payload = pack(normalised.time_was_clamped, &normalised.removals, &normalised.payload)?;
    Ok(NewFeedback {
        project,
        event_id: normalised.event_id,
        associated: text("associated_event_id").and_then(|id| id.parse().ok()),
        source: line("source", SOURCE_CHARS_MAX).unwrap_or_else(|| "feedback".to_owned()),
        is_report: false,
        occurred_at: normalised.occurred_at,
        received_at: arrival.received_at,
        environment: normalised.environment,
        release: normalised.release,
        identity: normalised.identity,
        message,
        url,
        replay_id: text("replay_id").and_then(|id| id.parse::<EventId>().ok()).map(|id| id.to_string()),
        contact: Some(contact)
            .filter(|contact| keeps_contacts && (contact.name.is_some() || contact.email.is_some())),
        payload,
    })
}

/// Reads a user report: `{"event_id": .., "name": .., "email": .., "comments": ..}`. The same report is the same
/// feedback, however often it is sent.
///
/// # Errors
/// [`InvalidEvent`] if it is no object, names no event, or says nothing.
pub(crate) fn read_user_report(
    project: ProjectId,
    report: &Value,
    arrival: &Arrival<'_>,
    rules: &dyn ScrubRules,
    keeps_contacts: bool,
) -> Result<NewFeedback, InvalidEvent> {
    let text = |key: &str| report.get(key).and_then(Value::as_str);
    let about = match text("event_id") {
        Some(id) => id.parse::<EventId>().map_err(|_| InvalidEvent::EventId)?,
        None => arrival.event_id.ok_or(InvalidEvent::EventId)?,
    };
    let identifying = json!([project.0, about.to_string(), text("name"), text("email"), text("comments")]);
    let mut own = [0_u8; 16];
    own.copy_from_slice(&Sha256::digest(identifying.to_string())[..16]);
    let event = json!({
        "contexts": {"feedback": {
            "message": text("comments"),
            "name": text("name"),
            "contact_email": text("email"),
            "associated_event_id": about.to_string(),
        }},
        "platform": "other",
    });
    let arrival = Arrival { event_id: Some(EventId::from_bytes(own)), ..arrival.clone() };
    let feedback = read_feedback(project, event, &arrival, rules, keeps_contacts)?;
    Ok(NewFeedback { source: "user_report".to_owned(), is_report: true, ..feedback })
}

/// Says who the person is where the event does not: their identifiers are then found and taken out everywhere.
fn introduce(event: &mut Map<String, Value>, contact: &Contact) {
    let user = event.entry("user").or_insert_with(|| json!({}));
    if !user.is_object() {
        *user = json!({});
    }
    let Value::Object(user) = user else { return };
    for (key, value) in [("email", &contact.email), ("name", &contact.name)] {
        let is_told = user.get(key).and_then(Value::as_str).is_some_and(|told| !told.is_empty());
        if let (false, Some(value)) = (is_told, value) {
            user.insert(key.to_owned(), value.as_str().into());
        }
    }
}

/// Text of several lines without other control characters (PostgreSQL refuses NUL), cut to the longest message.
fn lines(text: &str) -> String {
    let shown = |c: char| if c.is_control() && c != '\n' && c != '\t' { ' ' } else { c };
    let text: String = text.replace("\r\n", "\n").chars().take(MESSAGE_CHARS_MAX).map(shown).collect();
    text.trim().to_owned()
}

#[cfg(test)]
mod tests {
    use belvedere_kernel::Removal;

    use super::*;

    struct Quiet;

    impl ScrubRules for Quiet {
        fn scrub(&self, _: ProjectId, _: &mut Value) -> Vec<Removal> {
            Vec::new()
        }
    }

    fn read(event: Value) -> Result<NewFeedback, InvalidEvent> {
        read_feedback(ProjectId(1), event, &Arrival::default(), &Quiet, true)
    }

    #[test]
    fn a_feedback_says_who_wrote_what_about_which_event() {
        let feedback = read(json!({
            "event_id": "e1290546c58d407e8384cd3d14077f36",
            "contexts": {"feedback": {
                "message": "The button does nothing.\r\nAsk Ada Byron or write to ada@example.com\u{0}",
                "name": "Ada Byron",
                "contact_email": "ada@example.com",
                "url": "javascript:alert(1)",
                "replay_id": "0173b788f3c84f97a0076fa699e31e4d",
                "associated_event_id": "3a60e31ab5474d65aaf86eedefe7d501",
            }},
            "tags": {"who": "ada@example.com"},
        }))
        .unwrap();
        assert_eq!(feedback.event_id.to_string(), "e1290546c58d407e8384cd3d14077f36");
        assert_eq!(feedback.associated.unwrap().to_string(), "3a60e31ab5474d65aaf86eedefe7d501");
        assert_eq!(feedback.replay_id.as_deref(), Some("0173b788f3c84f97a0076fa699e31e4d"));
        assert_eq!(feedback.url.as_deref(), Some("javascript:alert(1)"));
        assert_eq!(feedback.source, "feedback");
        assert!(!feedback.message.contains("ada@example.com"), "{}", feedback.message);
        assert!(feedback.message.starts_with("The button does nothing.\nAsk"), "{}", feedback.message);
        let contact =
            Contact { name: Some("Ada Byron".to_owned()), email: Some("ada@example.com".to_owned()) };
        assert_eq!(feedback.contact, Some(contact));
        assert_eq!(feedback.identity.key(), Some(("email", "ada@example.com")));
        let payload = crate::digest::unpack(&feedback.payload).unwrap().event.to_string();
        assert!(!payload.contains("ada@example.com") && !payload.contains("Ada Byron"), "{payload}");
    }

    #[test]
    fn a_report_sent_twice_is_one_and_another_is_another() {
        let report = |comments: &str| {
            let report = json!({"event_id": "3a60e31ab5474d65aaf86eedefe7d501", "name": "Ada", "email": "a@b.example", "comments": comments});
            read_user_report(ProjectId(1), &report, &Arrival::default(), &Quiet, false).unwrap()
        };
        let (first, again, other) = (report("It broke"), report("It broke"), report("It broke again"));
        assert_eq!(first.event_id, again.event_id);
        assert_ne!(first.event_id, other.event_id);
        assert_eq!((first.source.as_str(), first.contact), ("user_report", None));
        assert_eq!(first.associated.unwrap().to_string(), "3a60e31ab5474d65aaf86eedefe7d501");
    }

    #[test]
    fn what_says_nothing_is_invalid() {
        for event in [
            json!({"contexts": {"feedback": {"message": "  "}}}),
            json!({"contexts": {"feedback": 7}}),
            json!({"contexts": 7}),
            json!({}),
        ] {
            assert_eq!(read(event).unwrap_err(), InvalidEvent::NothingSaid);
        }
        let report = json!({"event_id": "x", "comments": "hello"});
        let read = read_user_report(ProjectId(1), &report, &Arrival::default(), &Quiet, true);
        assert_eq!(read.unwrap_err(), InvalidEvent::EventId);
    }
}
