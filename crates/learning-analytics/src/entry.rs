//! An event as the event store keeps it, and what is folded of it: both the arrival and a rebuild read the stored form,
//! so that they cannot differ. No I/O.

use belvedere_event_store::{Event, TEXT_BYTES_MAX};
use belvedere_kernel::Admitted;
use serde::{Deserialize, Serialize};

use crate::event::{EventType, LearningEvent};
use crate::history::{EventKey, ItemKey, Step};
use crate::progress::Mark;

/// From this score on an attempt without a word on its success is right.
pub const RIGHT_FROM: f64 = 50.0;

/// What an event of this slice has as properties in the event store. Numbers have at most three decimals, costs
/// six.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
struct Props {
    /// The day in the project's time zone when the event arrived, numbered since 1970-01-01. Only events of this slice
    /// have one.
    learning_day: i64,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    skills: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    duration: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    success: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    score: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    attempts: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    difficulty: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    error_type: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    hint_type: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    code_submitted: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    time_to_complete: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    rating: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    resolved: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    position: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    length: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    conversation: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    latency: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    cost: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    answer_leaked: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    abusive: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    handed_over: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    withheld: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    withhold_share: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    region: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    timezone: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    user_agent: Option<String>,
}

/// The event that is stored, as far as the learner consents.
///
/// Without consent to analytics the subject is one of a day, and there is neither session nor user agent nor the
/// client's own id; without consent to details only duration, success and score are left of the metadata, and whether a
/// draw withheld help, without which it would be taken for help; without consent to location there is none.
pub(crate) fn to_stored(
    event: &LearningEvent,
    admitted: Admitted,
    day: i64,
    skills: Vec<String>,
) -> Option<Event> {
    let metadata = &event.metadata;
    let mut props = Props {
        learning_day: day,
        skills,
        duration: metadata.duration,
        success: metadata.success,
        score: metadata.score,
        withheld: metadata.withheld,
        withhold_share: metadata.withhold_share,
        ..Props::default()
    };
    if admitted.detailed {
        props.attempts = metadata.attempts;
        props.difficulty.clone_from(&metadata.difficulty);
        props.error_type.clone_from(&metadata.error_type);
        props.hint_type.clone_from(&metadata.hint_type);
        props.code_submitted.clone_from(&metadata.code_submitted);
        props.time_to_complete = metadata.time_to_complete;
        props.rating = metadata.rating;
        props.resolved = metadata.resolved;
        props.position = metadata.position;
        props.length = metadata.length;
        props.conversation = metadata.conversation.clone().filter(|_| admitted.analytics);
        props.latency = metadata.latency;
        props.cost = metadata.cost;
        props.answer_leaked = metadata.answer_leaked;
        props.abusive = metadata.abusive;
        props.handed_over = metadata.handed_over;
    }
    if admitted.analytics {
        props.user_agent.clone_from(&event.user_agent);
    }
    let location = event.location.as_ref().filter(|_| admitted.location && admitted.analytics);
    if let Some(location) = location {
        props.region.clone_from(&location.region);
        props.timezone.clone_from(&location.timezone);
    }
    let key = if admitted.analytics {
        EventKey::of(&event.id)
    } else {
        EventKey::hashed(&["learning.anonymous", &event.id])
    };
    let stored = Event {
        subject: admitted.subject,
        session: event.session_id.clone().filter(|_| admitted.analytics),
        course: Some(event.course_id.clone()),
        lesson: event.lesson_id.clone(),
        exercise: event.exercise_id.clone(),
        value: metadata.score,
        country: location.and_then(|it| it.country.as_deref()).map(cut),
        props: serde_json::to_string(&props).ok()?,
        ..Event::new(key.0.to_be_bytes(), event.timestamp, event.event_type.as_str())
    };
    stored.check(0).is_ok().then_some(stored)
}

fn cut(text: &str) -> String {
    text[..text.floor_char_boundary(TEXT_BYTES_MAX)].to_owned()
}

/// Whether an attempt was right.
pub(crate) fn is_right(success: Option<bool>, score: Option<f64>) -> bool {
    success.or(score.map(|score| score >= RIGHT_FROM)).unwrap_or(false)
}

/// What is folded of an event.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Entry {
    pub(crate) kind: EventType,
    pub(crate) key: EventKey,
    pub(crate) at_micros: i64,
    pub(crate) day: i64,
    pub(crate) course: String,
    /// Empty for none.
    pub(crate) lesson: String,
    /// Empty for none.
    pub(crate) exercise: String,
    pub(crate) skills: Vec<String>,
    /// For an attempt, whether it was right.
    pub(crate) is_correct: Option<bool>,
    /// Points, 0 to 100.
    pub(crate) score: Option<f64>,
    done: Option<f64>,
    duration: Option<f64>,
    seconds: Option<f64>,
}

/// The columns of a stored event that an entry is made of.
pub(crate) struct StoredParts<'a> {
    pub(crate) id: [u8; 16],
    pub(crate) at_micros: i64,
    pub(crate) name: &'a str,
    pub(crate) course: Option<&'a str>,
    pub(crate) lesson: Option<&'a str>,
    pub(crate) exercise: Option<&'a str>,
    pub(crate) props: &'a str,
}

impl<'a> StoredParts<'a> {
    pub(crate) fn of(event: &'a Event) -> Self {
        Self {
            id: event.id,
            at_micros: event.at.as_micros(),
            name: &event.name,
            course: event.course.as_deref(),
            lesson: event.lesson.as_deref(),
            exercise: event.exercise.as_deref(),
            props: &event.props,
        }
    }

    /// None if it is no event of this slice.
    pub(crate) fn entry(&self) -> Option<Entry> {
        let kind = EventType::find(self.name)?;
        let props: Props = serde_json::from_str(self.props).ok()?;
        let is_attempt = kind == EventType::ExerciseAttempt;
        let done = match (kind, props.position, props.length) {
            (EventType::VideoProgress, Some(position), Some(length)) if length > 0.0 => {
                Some((position / length * 1_000.0).round().min(1_000.0) / 1_000.0)
            }
            _ => None,
        };
        Some(Entry {
            kind,
            key: EventKey(u128::from_be_bytes(self.id)),
            at_micros: self.at_micros,
            day: props.learning_day,
            course: self.course.unwrap_or_default().to_owned(),
            lesson: self.lesson.unwrap_or_default().to_owned(),
            exercise: self.exercise.unwrap_or_default().to_owned(),
            skills: props.skills,
            is_correct: is_attempt.then(|| is_right(props.success, props.score)),
            score: props.score,
            done,
            duration: props.duration,
            seconds: props.duration.or(props.time_to_complete),
        })
    }
}

impl Entry {
    /// At which exercise it happened; the lesson or the course stands in where there is none.
    pub(crate) fn item(&self) -> ItemKey {
        ItemKey::exercise(&self.course, &self.exercise)
    }

    pub(crate) fn step(&self) -> Step {
        Step {
            at_micros: self.at_micros,
            event: self.key,
            item: self.item(),
            is_correct: self.is_correct == Some(true),
            seconds: self.seconds.filter(|_| self.is_correct.is_some()),
        }
    }

    /// What it says of the course.
    pub(crate) fn mark_of_course(&self) -> Mark {
        Mark {
            begins: self.kind == EventType::CourseEnrol,
            completes: self.kind == EventType::CourseComplete,
            score: self.score.filter(|_| self.kind == EventType::CourseComplete),
            done: None,
            ..self.mark()
        }
    }

    /// What it says of its lesson.
    pub(crate) fn mark_of_lesson(&self) -> Mark {
        Mark {
            begins: self.kind == EventType::LessonStart,
            completes: self.kind == EventType::LessonComplete,
            ..self.mark()
        }
    }

    fn mark(&self) -> Mark {
        Mark {
            at_micros: self.at_micros,
            event: self.key,
            begins: false,
            completes: false,
            attempt: self.is_correct,
            is_hint: self.kind == EventType::HintUsed,
            score: self.score,
            done: self.done,
            stated_seconds: self.duration,
        }
    }
}

#[cfg(test)]
mod tests {
    use belvedere_kernel::SubjectId;
    use belvedere_storage::Timestamp;

    use super::*;
    use crate::event::{Location, Metadata};

    fn event() -> LearningEvent {
        LearningEvent {
            id: "a1".to_owned(),
            session_id: Some("s1".to_owned()),
            exercise_id: Some("loops-1".to_owned()),
            metadata: Metadata {
                duration: Some(12.5),
                score: Some(50.0),
                code_submitted: Some("fn main() {}".to_owned()),
                attempts: Some(3),
                conversation: Some("c1".to_owned()),
                latency: Some(1.5),
                cost: Some(0.0021),
                withheld: Some(false),
                ..Metadata::default()
            },
            user_agent: Some("Firefox".to_owned()),
            location: Some(Location {
                country: Some("AT".to_owned()),
                region: Some("Tyrol".to_owned()),
                timezone: None,
            }),
            ..LearningEvent::new(
                EventType::ExerciseAttempt,
                "ada",
                "rust",
                Timestamp::from_micros(1_795_867_200_000_000),
            )
        }
    }

    fn admitted(analytics: bool, detailed: bool, location: bool) -> Admitted {
        Admitted { subject: Some(SubjectId(4)), analytics, detailed, location }
    }

    fn stored(admitted: Admitted) -> Event {
        to_stored(&event(), admitted, 20_785, vec!["loops".to_owned()]).unwrap()
    }

    #[test]
    fn consent_decides_what_is_stored() {
        let all = stored(admitted(true, true, true));
        assert_eq!((all.session.as_deref(), all.country.as_deref()), (Some("s1"), Some("AT")));
        for word in ["fn main", "Firefox", "Tyrol", "\"attempts\":3", "\"c1\"", "\"cost\":0.0021"] {
            assert!(all.props.contains(word), "{word}");
        }
        let little = stored(admitted(true, false, false));
        assert_eq!(
            little.props,
            r#"{"learning_day":20785,"skills":["loops"],"duration":12.5,"score":50.0,"withheld":false,"user_agent":"Firefox"}"#
        );
        assert_eq!((little.country, little.id), (None, all.id));
        let nothing = stored(admitted(false, false, false));
        assert_eq!((nothing.session.clone(), nothing.country.clone()), (None, None));
        assert_ne!(nothing.id, all.id);
        assert!(!nothing.props.contains("Firefox"));
        // Whoever refuses analytics has no place either, and nothing that links one message to another.
        let unlinked = stored(admitted(false, true, true));
        assert_eq!(unlinked.country, None);
        assert!(!unlinked.props.contains("c1") && unlinked.props.contains("latency"), "{}", unlinked.props);
    }

    #[test]
    fn the_entry_of_a_stored_event_has_what_is_counted() {
        let stored = stored(admitted(true, false, false));
        let entry = StoredParts::of(&stored).entry().unwrap();
        assert_eq!((entry.is_correct, entry.day, entry.seconds), (Some(true), 20_785, Some(12.5)));
        assert_eq!(entry.item(), ItemKey::exercise("rust", "loops-1"));
        // Another slice's event of the same name has no day.
        let other = Event { props: r#"{"source":"xapi"}"#.to_owned(), ..stored };
        assert_eq!(StoredParts::of(&other).entry(), None);
    }
}
