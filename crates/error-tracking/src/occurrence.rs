//! Errors as events beside everything else that a person does, so that a crash can be asked for together with a lesson.
//! No I/O.

use belvedere_event_store::{Event, TEXT_BYTES_MAX};
use belvedere_kernel::SubjectId;
use serde::Serialize;

use crate::IssueId;
use crate::digest::DigestedEvent;

/// What the occurrence of an error is called.
pub const ERROR_EVENT: &str = "error";

/// What an occurrence says beside the columns of the event store.
#[derive(Serialize)]
struct Properties<'a> {
    issue: IssueId,
    level: &'a str,
    platform: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    release: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    environment: Option<&'a str>,
    #[serde(rename = "error.type", skip_serializing_if = "Option::is_none")]
    error_type: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    handled: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mechanism: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sdk: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    transaction: Option<&'a str>,
    #[serde(rename = "url.host", skip_serializing_if = "Option::is_none")]
    url_host: Option<&'a str>,
}

/// The occurrence of an error of an issue; none if the event is of a time that the store does not know.
///
/// Its properties are `issue`, `level`, `platform`, `release`, `environment` and those tags of the event that say what
/// broke where. The issue is that of the arrival: events of issues that are merged or split later keep the older one.
pub(crate) fn occurrence_of(
    event: &DigestedEvent,
    issue: IssueId,
    subject: Option<SubjectId>,
) -> Option<Event> {
    let tag = |key: &str| event.tags.iter().find(|tag| tag.key == key).map(|tag| tag.value.as_str());
    let props = Properties {
        issue,
        level: event.level.as_str(),
        platform: &event.platform,
        release: event.release.as_deref(),
        environment: event.environment.as_deref(),
        error_type: tag("error.type"),
        handled: tag("handled"),
        mechanism: tag("mechanism"),
        sdk: tag("sdk"),
        transaction: tag("transaction"),
        url_host: tag("url.host"),
    };
    let column =
        |key: &str| tag(key).map(|value| value[..value.floor_char_boundary(TEXT_BYTES_MAX)].to_owned());
    let occurrence = Event {
        subject,
        browser: column("browser.name"),
        os: column("os.name"),
        device: column("device.family"),
        course: column("course"),
        lesson: column("lesson"),
        exercise: column("exercise"),
        plan: column("plan"),
        props: serde_json::to_string(&props).ok()?,
        ..Event::new(event.event_id.to_key().to_bytes(), event.occurred_at, ERROR_EVENT)
    };
    occurrence.check(0).is_ok().then_some(occurrence)
}
