//! Errors as events beside everything else that a person does, so that a crash can be asked for together with a lesson.
//! No I/O.

use belvedere_event_store::{Event, TEXT_BYTES_MAX};
use belvedere_kernel::SubjectId;
use serde_json::{Map, Value};

use crate::IssueId;
use crate::digest::DigestedEvent;

/// What the occurrence of an error is called.
pub const ERROR_EVENT: &str = "error";

/// The tags that are properties of an occurrence, under the same names.
const PROPERTIES: [&str; 6] = ["error.type", "handled", "mechanism", "sdk", "transaction", "url.host"];

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
    let mut props = Map::new();
    props.insert("issue".to_owned(), issue.to_string().into());
    props.insert("level".to_owned(), event.level.as_str().into());
    let told = [
        ("platform", Some(event.platform.as_str())),
        ("release", event.release.as_deref()),
        ("environment", event.environment.as_deref()),
    ];
    for (name, value) in told.into_iter().chain(PROPERTIES.map(|key| (key, tag(key)))) {
        if let Some(value) = value {
            props.insert(name.to_owned(), value.into());
        }
    }
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
        props: Value::Object(props).to_string(),
        ..Event::new(event.event_id.to_key().to_bytes(), event.occurred_at, ERROR_EVENT)
    };
    occurrence.check(0).is_ok().then_some(occurrence)
}
