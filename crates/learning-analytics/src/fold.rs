//! Events that other slices append, statements above all: read as events of this slice, noted with the append to be folded,
//! and taken out when they leave.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use async_trait::async_trait;
use belvedere_event_store::{Event, EventStoreError, LearnerEvents, LearnerFold, PROPS_BYTES_MAX};
use belvedere_kernel::{ProjectId, SubjectId};
use belvedere_storage::{StorageError, Timestamp, Tx};
use jiff::tz::TimeZone;
use serde_json::{Map, Value};

use crate::event::{AHEAD_MAX, EventType, LearningEvent, Metadata, SECONDS_MAX, is_complete, to_thousandth};
use crate::history::EventKey;
use crate::intake::{day_of, skills_of};
use crate::rebuild::rebuild_without;
use crate::service::{Core, LearningService};
use crate::sheet::item_sums;
use crate::store;
use crate::structure::CourseStructure;
use crate::waiting::entries_of;

/// What the events of one transaction are completed with.
struct Fold {
    core: Arc<Core>,
    zones: BTreeMap<ProjectId, TimeZone>,
}

#[async_trait]
impl LearnerEvents for LearningService {
    async fn load(&self, projects: &[ProjectId]) -> Result<Box<dyn LearnerFold>, StorageError> {
        let mut zones = BTreeMap::new();
        for project in projects {
            zones.insert(*project, self.core.time_zone(*project).await?);
        }
        Ok(Box::new(Fold { core: Arc::clone(&self.core), zones }))
    }

    async fn withdraw_in(&self, tx: &Tx, project: ProjectId, gone: &[Event]) -> Result<(), EventStoreError> {
        let mut entries = entries_of(gone);
        if entries.is_empty() {
            return Ok(());
        }
        let keys: BTreeSet<EventKey> = entries.iter().map(|(_, entry)| entry.key).collect();
        let rules = store::lock_project(tx, project).await?;
        let structures = store::list_structures(tx, project).await?;
        let subjects: BTreeSet<SubjectId> = entries.iter().filter_map(|(subject, _)| *subject).collect();
        for subject in subjects {
            let by = (&structures, rules.as_slice());
            rebuild_without(&self.core, tx, (project, subject), &keys, by).await?;
        }
        // Of what still waits to be folded nothing has followed.
        let mut unfolded = BTreeSet::new();
        store::change_waiting(tx, project, |waiting| {
            let before = waiting.len();
            waiting.retain(|(_, entry)| !keys.contains(&entry.key) || !unfolded.insert(entry.key));
            waiting.len() < before
        })
        .await?;
        entries.retain(|(_, entry)| !unfolded.contains(&entry.key));
        store::subtract_items(tx, project, &item_sums(entries.iter().map(|(_, entry)| entry))).await?;
        Ok(())
    }
}

#[async_trait]
impl LearnerFold for Fold {
    async fn complete_in(
        &self,
        tx: &Tx,
        project: ProjectId,
        events: &mut [Event],
    ) -> Result<(), StorageError> {
        let courses = events.iter().filter_map(|event| event.course.as_deref()).collect();
        let structures = store::load_structures(tx, project, &courses).await?;
        let now = self.core.parts.clock.now();
        let zone = self.zones.get(&project).cloned().unwrap_or(TimeZone::UTC);
        for event in events {
            let structure = event.course.as_ref().and_then(|course| structures.get(course));
            if let Some(props) = complete(event, &zone, structure, now) {
                event.props = props;
            }
        }
        Ok(())
    }

    async fn fold_in(&self, tx: &Tx, project: ProjectId, new: &[&Event]) -> Result<(), StorageError> {
        self.core.wait_in(tx, project, new).await
    }
}

/// The properties of an event with its day and its skills, and numbers as the door has them; none if the door would not
/// take such an event.
fn complete(
    event: &Event,
    zone: &TimeZone,
    structure: Option<&CourseStructure>,
    now: Timestamp,
) -> Option<String> {
    let mut props: Map<String, Value> = serde_json::from_str(&event.props).ok()?;
    let ranges =
        [("score", 100.0), ("duration", SECONDS_MAX), ("position", SECONDS_MAX), ("length", SECONDS_MAX)];
    for (name, max) in ranges {
        let Some(value) = props.remove(name) else { continue };
        let number = value.as_f64().and_then(|number| to_thousandth(number, 0.0, max));
        props.extend(number.map(|number| (name.to_owned(), number.into())));
    }
    let learning = LearningEvent {
        lesson_id: event.lesson.clone(),
        exercise_id: event.exercise.clone(),
        metadata: Metadata {
            score: props.get("score").and_then(Value::as_f64),
            success: props.get("success").and_then(Value::as_bool),
            ..Metadata::default()
        },
        ..LearningEvent::new(EventType::find(&event.name)?, "", event.course.as_deref()?, event.at)
    };
    if !is_complete(&learning) || event.at > now.plus(AHEAD_MAX) {
        return None;
    }
    let skills = skills_of(&learning, structure);
    if !skills.is_empty() {
        props.insert("skills".to_owned(), skills.into());
    }
    props.insert("learning_day".to_owned(), day_of(event.at, zone).into());
    let props = Value::Object(props).to_string();
    (props.len() <= PROPS_BYTES_MAX).then_some(props)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entry::StoredParts;

    const NOW: Timestamp = Timestamp::from_micros(1_795_867_200_000_000);

    fn event(name: &str, props: &str) -> Event {
        Event {
            course: Some("c".to_owned()),
            lesson: Some("l".to_owned()),
            exercise: Some("e".to_owned()),
            props: props.to_owned(),
            ..Event::new([1; 16], NOW, name)
        }
    }

    fn completed(event: &Event) -> Option<String> {
        complete(event, &TimeZone::UTC, None, NOW)
    }

    #[test]
    fn an_event_that_the_door_would_take_gets_its_day_and_skills() {
        let attempt =
            event("exercise_attempt", r#"{"duration":2.00049,"score":101,"source":"xapi","success":true}"#);
        assert_eq!(
            completed(&attempt).unwrap(),
            r#"{"duration":2.0,"learning_day":20785,"skills":["c/l"],"source":"xapi","success":true}"#
        );
        let entry =
            StoredParts::of(&Event { props: completed(&attempt).unwrap(), ..attempt }).entry().unwrap();
        assert_eq!((entry.is_correct, entry.day, entry.skills.len()), (Some(true), 20_785, 1));
    }

    #[test]
    fn what_the_door_would_refuse_stays_as_it_is() {
        let good = event("lesson_start", "{}");
        assert!(completed(&good).is_some());
        for bad in [
            Event { course: None, ..good.clone() },
            Event { lesson: None, ..good.clone() },
            event("exercise_attempt", "{}"),
            event("page_viewed", "{}"),
            event("lesson_start", ""),
            Event { at: NOW.plus(AHEAD_MAX).plus(AHEAD_MAX), ..good.clone() },
            event("lesson_start", &format!(r#"{{"verb":"{}"}}"#, "v".repeat(PROPS_BYTES_MAX - 20))),
        ] {
            assert_eq!(completed(&bad), None, "{bad:?}");
        }
    }
}
