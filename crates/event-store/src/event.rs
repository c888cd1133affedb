use belvedere_kernel::SubjectId;
use belvedere_storage::Timestamp;

use crate::EventStoreError;

/// The most bytes of a name.
pub const NAME_BYTES_MAX: usize = 200;
/// The most bytes of any other text: session, course, lesson, exercise, country, browser, os, device, referrer,
/// utm_source, plan.
pub const TEXT_BYTES_MAX: usize = 200;
/// The most bytes of `props`.
pub const PROPS_BYTES_MAX: usize = 32 << 10;
/// The most events of one call.
pub const APPEND_EVENTS_MAX: usize = 100_000;
/// No event is earlier than 2000-01-01T00:00:00 UTC.
pub const TIME_MIN: Timestamp = Timestamp::from_micros(946_684_800_000_000);
/// Every event is earlier than 2100-01-01T00:00:00 UTC.
pub const TIME_END: Timestamp = Timestamp::from_micros(4_102_444_800_000_000);

/// Something that happened, as a slice hands it in.
///
/// A text that is empty counts as absent.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Event {
    /// What makes a repetition of the same event known: a ULID, or a hash of the sender's own id.
    pub id: [u8; 16],
    /// When it happened, from [`TIME_MIN`] to before [`TIME_END`].
    pub at: Timestamp,
    /// What happened: 1 to [`NAME_BYTES_MAX`] bytes.
    pub name: String,
    /// Whom it happened to.
    pub subject: Option<SubjectId>,
    /// The visit, as the client named it.
    pub session: Option<String>,
    /// The course.
    pub course: Option<String>,
    /// The lesson of the course.
    pub lesson: Option<String>,
    /// The exercise of the lesson.
    pub exercise: Option<String>,
    /// A number that goes with the event: a score, an amount, a duration; finite.
    pub value: Option<f64>,
    /// The country.
    pub country: Option<String>,
    /// The family of the browser.
    pub browser: Option<String>,
    /// The family of the operating system.
    pub os: Option<String>,
    /// The class of the device.
    pub device: Option<String>,
    /// The host that led here.
    pub referrer: Option<String>,
    /// The `utm_source` of the visit.
    pub utm_source: Option<String>,
    /// The plan that the subject was on.
    pub plan: Option<String>,
    /// All else: the text of a JSON object of at most [`PROPS_BYTES_MAX`] bytes, or empty.
    pub props: String,
}

impl Event {
    /// An event with nothing but its id, time and name.
    pub fn new(id: [u8; 16], at: Timestamp, name: impl Into<String>) -> Self {
        Self { id, at, name: name.into(), ..Self::default() }
    }

    /// The texts besides the name, with their names, in the order of the columns.
    pub(crate) fn texts(&self) -> [(&'static str, Option<&str>); 11] {
        [
            ("session", self.session.as_deref()),
            ("course", self.course.as_deref()),
            ("lesson", self.lesson.as_deref()),
            ("exercise", self.exercise.as_deref()),
            ("country", self.country.as_deref()),
            ("browser", self.browser.as_deref()),
            ("os", self.os.as_deref()),
            ("device", self.device.as_deref()),
            ("referrer", self.referrer.as_deref()),
            ("utm_source", self.utm_source.as_deref()),
            ("plan", self.plan.as_deref()),
        ]
    }

    /// Whether the event is within all limits.
    ///
    /// # Errors
    /// [`EventStoreError::Invalid`] with the field; `index` is repeated in it.
    pub fn check(&self, index: usize) -> Result<(), EventStoreError> {
        let invalid = |field, why: String| Err(EventStoreError::Invalid { index, field, why });
        if self.name.is_empty() {
            return invalid("name", "is empty".to_owned());
        }
        if self.name.len() > NAME_BYTES_MAX {
            return invalid("name", too_long(self.name.len(), NAME_BYTES_MAX));
        }
        if self.at < TIME_MIN || self.at >= TIME_END {
            return invalid("time", format!("{} is not between {TIME_MIN} and {TIME_END}", self.at));
        }
        for (field, text) in self.texts() {
            let length = text.map_or(0, str::len);
            if length > TEXT_BYTES_MAX {
                return invalid(field, too_long(length, TEXT_BYTES_MAX));
            }
        }
        if self.value.is_some_and(|value| !value.is_finite()) {
            return invalid("value", "is not finite".to_owned());
        }
        if self.props.len() > PROPS_BYTES_MAX {
            return invalid("props", too_long(self.props.len(), PROPS_BYTES_MAX));
        }
        let is_object = self.props.is_empty()
            || self.props.trim_start().starts_with('{')
                && serde_json::from_str::<serde::de::IgnoredAny>(&self.props).is_ok();
        if !is_object {
            return invalid("props", "is not a JSON object".to_owned());
        }
        Ok(())
    }
}

fn too_long(length: usize, most: usize) -> String {
    format!("has {length} bytes, at most {most} are allowed")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(change: impl FnOnce(&mut Event)) -> String {
        let mut event = Event::new([1; 16], "2026-11-28T00:00:00Z".parse().unwrap(), "opened");
        event.check(0).unwrap();
        change(&mut event);
        event.check(3).unwrap_err().to_string()
    }

    #[test]
    fn what_is_beyond_a_limit_is_refused_by_the_name_of_its_field() {
        assert_eq!(refusal(|event| event.name.clear()), "event 3: name is empty");
        assert_eq!(
            refusal(|event| event.name = "x".repeat(201)),
            "event 3: name has 201 bytes, at most 200 are allowed"
        );
        assert_eq!(
            refusal(|event| event.utm_source = Some("x".repeat(300))),
            "event 3: utm_source has 300 bytes, at most 200 are allowed"
        );
        assert_eq!(refusal(|event| event.value = Some(f64::NAN)), "event 3: value is not finite");
        assert_eq!(refusal(|event| event.props = "[1]".to_owned()), "event 3: props is not a JSON object");
        assert_eq!(
            refusal(|event| event.props = "{\"a\":}".to_owned()),
            "event 3: props is not a JSON object"
        );
        assert_eq!(
            refusal(|event| event.props = format!("{{\"a\":\"{}\"}}", "x".repeat(32 << 10))),
            "event 3: props has 32776 bytes, at most 32768 are allowed"
        );
        assert_eq!(
            refusal(|event| event.at = Timestamp::EPOCH),
            "event 3: time 1970-01-01T00:00:00Z is not between 2000-01-01T00:00:00Z and 2100-01-01T00:00:00Z"
        );
    }
}
