//! From the log of events to acts.

use belvedere_event_store::{Batch, EventStore, Fields, NO_SUBJECT, Select, TextField};
use belvedere_kernel::ProjectId;
use belvedere_storage::{StorageError, Timestamp};
use serde::Deserialize;

use super::act::{About, Act, Acts, Message, What};
use crate::LearningError;
use crate::entry::is_right;
use crate::event::EventType;
use crate::history::{EventKey, ItemKey};
use crate::log::each_piece;

/// The most acts of an answer; where there are more, one learner of two, four, .. is looked at.
pub const ACTS_MAX: usize = 1_000_000;
/// The most events of any kind that an answer goes through.
pub const EVENTS_LOOKED_AT_MAX: u64 = 50_000_000;
/// The most acts of a learner: the last ones.
const OF_LEARNER_MAX: usize = 10_000;
/// Beyond one learner of so many, acts are left out instead.
const ONE_OF_MAX: u64 = 1 << 20;

/// What is read of an event's properties. Only events of this slice have a `learning_day`.
#[derive(Deserialize)]
struct Props {
    #[serde(rename = "learning_day")]
    _learning_day: i64,
    #[serde(default)]
    skills: Vec<String>,
    success: Option<bool>,
    score: Option<f64>,
    error_type: Option<String>,
    rating: Option<f64>,
    resolved: Option<bool>,
    conversation: Option<String>,
    latency: Option<f64>,
    cost: Option<f64>,
    answer_leaked: Option<bool>,
    abusive: Option<bool>,
    handed_over: Option<bool>,
    withheld: Option<bool>,
    withhold_share: Option<f64>,
}

const KINDS: [EventType; 4] = [
    EventType::ExerciseAttempt,
    EventType::ErrorEncountered,
    EventType::TutorMessage,
    EventType::TutorFeedback,
];

/// The acts of a time range.
///
/// # Errors
/// [`LearningError::Invalid`] for more than [`EVENTS_LOOKED_AT_MAX`] events, or an error of the store.
pub(crate) async fn read_acts(
    events: &dyn EventStore,
    project: ProjectId,
    (from, until): (Timestamp, Timestamp),
    acts_max: usize,
) -> Result<Acts, LearningError> {
    let names = KINDS.map(|kind| kind.as_str().to_owned()).to_vec();
    let snapshot = events.snapshot(Select { from, until, names, ..Select::all(project) }).await?;
    if snapshot.parts.iter().map(|part| part.count).sum::<u64>() > EVENTS_LOOKED_AT_MAX {
        let why = format!("has more than {EVENTS_LOOKED_AT_MAX} events around it; ask for fewer days");
        return Err(LearningError::invalid("days", why));
    }
    let range = (from.as_micros(), until.as_micros());
    let read = tokio::task::spawn_blocking(move || {
        let texts = [TextField::Course, TextField::Exercise].map(Fields::text);
        let fields = texts.into_iter().fold(Fields::ID.and(Fields::PROPS).and(Fields::SUBJECT), Fields::and);
        let mut found = Found { acts: Acts { one_of: 1, ..Acts::default() }, range, acts_max };
        let is_wanted = |batch: &Batch, row: usize| kind_of(batch, row, range).is_some();
        each_piece(&snapshot, fields, is_wanted, |batch| found.add(batch))?;
        Ok::<Acts, LearningError>(found.finish())
    });
    read.await.map_err(|error| StorageError::corrupt(error.to_string()))?
}

struct Found {
    acts: Acts,
    range: (i64, i64),
    acts_max: usize,
}

/// Whether a learner is one of those that are looked at.
fn is_chosen(learner: u32, one_of: u64) -> bool {
    // The number spread over all bits (Fibonacci hashing), as learners who came together have numbers in a row.
    (u64::from(learner).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32).is_multiple_of(one_of)
}

fn kind_of(batch: &Batch, row: usize, (from, until): (i64, i64)) -> Option<EventType> {
    let at = batch.times.get(row).copied().filter(|at| (from..until).contains(at));
    at.and_then(|_| EventType::find(batch.name(row))).filter(|kind| KINDS.contains(kind))
}

impl Found {
    fn add(&mut self, batch: &Batch) {
        for row in 0..batch.count {
            let learner = batch.subjects.get(row).copied().unwrap_or(NO_SUBJECT);
            if learner == NO_SUBJECT || !is_chosen(learner, self.acts.one_of) {
                continue;
            }
            let Some(kind) = kind_of(batch, row, self.range) else { continue };
            let act = self.act(batch, row, (kind, learner));
            self.acts.acts.extend(act);
            if self.acts.acts.len() > self.acts_max && self.acts.one_of >= ONE_OF_MAX {
                self.acts.acts.pop();
            } else if self.acts.acts.len() > self.acts_max {
                self.acts.one_of *= 2;
                let one_of = self.acts.one_of;
                self.acts.acts.retain(|act| is_chosen(act.learner, one_of));
            }
        }
    }

    fn act(&mut self, batch: &Batch, row: usize, (kind, learner): (EventType, u32)) -> Option<Act> {
        let props: Props = serde_json::from_str(batch.props.get(row)).ok()?;
        let names = &mut self.acts.names;
        let course = batch.text(TextField::Course, row).unwrap_or_default();
        let exercise = batch.text(TextField::Exercise, row);
        let about = About {
            exercise: exercise.map(|exercise| ItemKey::exercise(course, exercise)),
            skills: names.set(&props.skills),
        };
        let error = names.name(props.error_type.as_deref().unwrap_or_default());
        let what = match kind {
            EventType::ExerciseAttempt => {
                What::Attempt { is_right: is_right(props.success, props.score), error }
            }
            EventType::TutorMessage => What::Message(Box::new(Message {
                conversation: props.conversation.as_deref().map(|id| EventKey::hashed(&[id])),
                error,
                latency: props.latency,
                cost: props.cost,
                is_leaked: props.answer_leaked,
                is_abusive: props.abusive,
                is_handed_over: props.handed_over,
                is_withheld: props.withheld,
                withhold_share: props.withhold_share,
            })),
            EventType::TutorFeedback => What::Feedback { rating: props.rating, is_resolved: props.resolved },
            _ => What::Error { error },
        };
        let key = EventKey(u128::from_be_bytes(*batch.ids.get(row)?));
        Some(Act { learner, at_micros: *batch.times.get(row)?, key, about, what })
    }

    fn finish(mut self) -> Acts {
        self.acts.acts.sort_unstable_by_key(Act::order);
        let of_learner = self.acts.acts.chunk_by(|left, right| left.learner == right.learner);
        if of_learner.clone().any(|own| own.len() > OF_LEARNER_MAX) {
            let last = of_learner.flat_map(|own| &own[own.len().saturating_sub(OF_LEARNER_MAX)..]);
            self.acts.acts = last.cloned().collect();
        }
        self.acts
    }
}
