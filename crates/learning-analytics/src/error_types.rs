//! Which errors learners meet at exercises: events `error_encountered` of the last weeks, counted by type.

use std::collections::{BTreeMap, HashMap};

use belvedere_event_store::{Batch, EventStore, Fields, Select, TextField};
use belvedere_kernel::ProjectId;
use belvedere_storage::{StorageError, Timestamp};
use serde::{Deserialize, Serialize};

use crate::LearningError;
use crate::event::EventType;
use crate::log::each_piece;

/// Of so many days errors are counted.
pub const ERROR_DAYS: u64 = 30;
/// The most types that are named of an exercise, the most frequent ones.
pub const ERROR_TYPES_MAX: usize = 5;
/// The most pairs of exercise and type that are counted; what comes with further ones is left out.
const PAIRS_MAX: usize = 100_000;

/// How often an error was met at an exercise.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ErrorType {
    /// The type that the events have; empty for none.
    pub error_type: String,
    /// Events.
    pub events: u64,
}

#[derive(Deserialize)]
struct Props {
    #[serde(rename = "learning_day")]
    _learning_day: i64,
    #[serde(default)]
    error_type: String,
}

#[derive(Default)]
struct Counts {
    by_exercise: HashMap<String, HashMap<String, u64>>,
    pairs: usize,
}

impl Counts {
    fn add(&mut self, exercise: &str, error_type: &str) {
        if !self.by_exercise.contains_key(exercise) {
            self.by_exercise.insert(exercise.to_owned(), HashMap::new());
        }
        let Some(types) = self.by_exercise.get_mut(exercise) else { return };
        match types.get_mut(error_type) {
            Some(events) => *events += 1,
            None if self.pairs < PAIRS_MAX => {
                self.pairs += 1;
                types.insert(error_type.to_owned(), 1);
            }
            None => {}
        }
    }

    fn finish(self) -> BTreeMap<String, Vec<ErrorType>> {
        let frequent = |types: HashMap<String, u64>| {
            let types = types.into_iter().map(|(error_type, events)| ErrorType { error_type, events });
            let mut types: Vec<ErrorType> = types.collect();
            types.sort_by(|one, two| {
                two.events.cmp(&one.events).then_with(|| one.error_type.cmp(&two.error_type))
            });
            types.truncate(ERROR_TYPES_MAX);
            types
        };
        self.by_exercise.into_iter().map(|(exercise, types)| (exercise, frequent(types))).collect()
    }
}

/// The errors at the exercises of a course, the most frequent ones first; those whose type nobody consents to keep have
/// none.
pub(crate) async fn read(
    events: &dyn EventStore,
    project: ProjectId,
    course: String,
    (from, until): (Timestamp, Timestamp),
) -> Result<BTreeMap<String, Vec<ErrorType>>, LearningError> {
    let name = EventType::ErrorEncountered.as_str();
    let select = Select { from, until, names: vec![name.to_owned()], ..Select::all(project) };
    let snapshot = events.snapshot(select).await?;
    let range = from.as_micros()..until.as_micros();
    let counted = tokio::task::spawn_blocking(move || {
        let is_error = |batch: &Batch, row: usize| {
            batch.name(row) == name && batch.times.get(row).is_some_and(|at| range.contains(at))
        };
        let texts = [TextField::Course, TextField::Exercise].map(Fields::text);
        let fields = texts.into_iter().fold(Fields::PROPS, Fields::and);
        let mut counts = Counts::default();
        each_piece(&snapshot, fields, is_error, |batch| {
            for row in (0..batch.count).filter(|row| is_error(batch, *row)) {
                let of_course = batch.text(TextField::Course, row) == Some(course.as_str());
                let exercise = batch.text(TextField::Exercise, row).filter(|_| of_course);
                let props = exercise.and_then(|_| serde_json::from_str::<Props>(batch.props.get(row)).ok());
                if let (Some(exercise), Some(props)) = (exercise, props) {
                    counts.add(exercise, &props.error_type);
                }
            }
        })?;
        Ok::<_, LearningError>(counts.finish())
    });
    counted.await.map_err(|error| StorageError::corrupt(error.to_string()))?
}
