//! What arrives through the durable door: the events that the door has checked, as a JSON array.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use async_trait::async_trait;
use belvedere_event_store::Event;
use belvedere_kernel::{
    Admitted, Delivery, HandlerError, Identity, IntakeHandler, ItemOutcome, Prepared, PreparedBatch,
    ProjectId, RawPerson, Rejected, ScrubRules, Stored, Tally, browser_address,
};
use belvedere_storage::{StorageError, Timestamp, Tx};
use jiff::tz::TimeZone;
use serde_json::{Map, Value};

use crate::digest::Ground;
use crate::entry::{Entry, StoredParts, to_stored};
use crate::event::{EventType, LearningEvent, Location, Metadata};
use crate::service::Core;
use crate::structure::CourseStructure;

/// What deliveries of learning events are called.
pub const DELIVERY_KIND: &str = "learning.events";

/// What an event is counted as.
pub const ITEM: &str = "learning_event";

/// Reads deliveries of learning events.
pub(crate) struct EventsHandler(pub(crate) Arc<Core>);

#[async_trait]
impl IntakeHandler for EventsHandler {
    fn kind(&self) -> &'static str {
        DELIVERY_KIND
    }

    async fn prepare(&self, deliveries: Vec<Delivery>) -> Result<Prepared, HandlerError> {
        let (mut events, mut rejected) = (Vec::new(), Vec::new());
        for (index, delivery) in deliveries.iter().enumerate() {
            match serde_json::from_slice::<Vec<LearningEvent>>(&delivery.body) {
                Ok(read) => {
                    let location = self.location_of(delivery);
                    events.extend(read.into_iter().map(|mut event| {
                        event.location = event.location.or_else(|| location.clone());
                        (delivery.project, event)
                    }));
                }
                Err(error) => rejected.push(Rejected { index, reason: format!("learning events: {error}") }),
            }
        }
        let batch = Batch::prepare(Arc::clone(&self.0), events).await?;
        Ok(Prepared { batch: Box::new(batch), rejected })
    }
}

impl EventsHandler {
    /// Where the browser that sent a delivery is; kept of its events as far as their learners consent.
    fn location_of(&self, delivery: &Delivery) -> Option<Location> {
        let places = self.0.parts.places.as_ref()?;
        let address = browser_address(delivery.user_agent.as_deref(), delivery.remote_ip.as_deref())?;
        let place = places.find(address)?;
        Some(Location { country: Some(place.country), region: place.region, timezone: None })
    }
}

/// Events of some projects, scrubbed.
pub(crate) struct Batch {
    core: Arc<Core>,
    projects: BTreeMap<ProjectId, OfProject>,
}

struct OfProject {
    zone: TimeZone,
    events: Vec<LearningEvent>,
}

impl Batch {
    /// Scrubs events and finds out whose days they are in.
    pub(crate) async fn prepare(
        core: Arc<Core>,
        events: Vec<(ProjectId, LearningEvent)>,
    ) -> Result<Self, StorageError> {
        let mut projects: BTreeMap<ProjectId, OfProject> = BTreeMap::new();
        let ids: BTreeSet<ProjectId> = events.iter().map(|(project, _)| *project).collect();
        let ids: Vec<ProjectId> = ids.into_iter().collect();
        let rules = core.parts.scrubber.load(&ids).await?;
        for project in ids {
            let zone = core.time_zone(project).await?;
            projects.insert(project, OfProject { zone, events: Vec::new() });
        }
        for (project, mut event) in events {
            scrub(project, &mut event.metadata, &*rules);
            if let Some(of_project) = projects.get_mut(&project) {
                of_project.events.push(event);
            }
        }
        Ok(Self { core, projects })
    }

    /// Whom each event is about, in the order of projects and events.
    async fn admit(&self, tx: &Tx) -> Result<Vec<Admitted>, StorageError> {
        let (mut people, mut places) = (Vec::new(), Vec::new());
        let mut seen: HashMap<(ProjectId, &str), usize> = HashMap::new();
        for (project, of_project) in &self.projects {
            for event in &of_project.events {
                let place = *seen.entry((*project, &event.user_id)).or_insert_with(|| {
                    let identity = Identity { id: Some(event.user_id.clone()), ..Identity::default() };
                    people.push(RawPerson::new(*project, identity));
                    people.len() - 1
                });
                places.push(place);
            }
        }
        if people.is_empty() {
            return Ok(Vec::new());
        }
        let admitted = self.core.parts.gate.admit(tx, &people).await?;
        let nobody = Admitted { subject: None, analytics: false, detailed: false, location: false };
        Ok(places.into_iter().map(|place| admitted.get(place).copied().unwrap_or(nobody)).collect())
    }

    async fn store_project(
        &self,
        tx: &Tx,
        project: ProjectId,
        of_project: &OfProject,
        (admitted, ground): (&[Admitted], &Ground),
    ) -> Result<Stored, StorageError> {
        let (mut stored, mut entries) = (Vec::new(), Vec::new());
        for (event, admitted) in of_project.events.iter().zip(admitted) {
            let day = day_of(event.timestamp, &of_project.zone);
            let skills = skills_of(event, ground.structures.get(&event.course_id));
            let drafted = to_stored(event, *admitted, day, skills);
            if let Some((draft, entry)) =
                drafted.and_then(|it| StoredParts::of(&it).entry().map(|entry| (it, entry)))
            {
                stored.push(draft);
                entries.push(entry);
            }
        }
        let invalid = (of_project.events.len() - stored.len()) as u64;
        let appended = self.core.parts.events.append_in(tx, project, &stored).await?;
        let new = stored.iter().zip(entries).zip(&appended.is_new).filter(|(_, is_new)| **is_new);
        let new: Vec<_> =
            new.map(|((event, entry), _): ((&Event, Entry), _)| (event.subject, entry)).collect();
        let messages = self.core.digest_in(tx, project, &new, ground).await?;
        let tally =
            |outcome, reason, quantity| Tally { project, item: ITEM.to_owned(), outcome, reason, quantity };
        let tallies = [
            tally(ItemOutcome::Stored, "", appended.stored),
            tally(ItemOutcome::Dropped, "duplicate", appended.duplicates),
            tally(ItemOutcome::Dropped, "invalid", invalid),
        ];
        let tallies = tallies.into_iter().filter(|tally| tally.quantity > 0).collect();
        Ok(Stored { tallies, messages })
    }
}

#[async_trait]
impl PreparedBatch for Batch {
    async fn store(&self, tx: &Tx) -> Result<Stored, HandlerError> {
        let admitted = self.admit(tx).await?;
        let mut rest = admitted.as_slice();
        let mut all = Stored::default();
        // In the order of projects, and all that is folded before all that is appended: others lock in this order too.
        let mut grounds = Vec::with_capacity(self.projects.len());
        for (project, of_project) in &self.projects {
            let courses = of_project.events.iter().map(|event| event.course_id.as_str()).collect();
            grounds.push(Ground::lock(tx, *project, &courses).await?);
        }
        for ((project, of_project), ground) in self.projects.iter().zip(&grounds) {
            let (own, others) = rest.split_at(of_project.events.len().min(rest.len()));
            rest = others;
            let stored = self.store_project(tx, *project, of_project, (own, ground)).await?;
            all.tallies.extend(stored.tallies);
            all.messages.extend(stored.messages);
        }
        Ok(all)
    }
}

/// Takes personal data out of the texts of an event.
fn scrub(project: ProjectId, metadata: &mut Metadata, rules: &dyn ScrubRules) {
    let texts = |metadata: &mut Metadata, change: &mut dyn FnMut(&str, &mut Option<String>)| {
        change("difficulty", &mut metadata.difficulty);
        change("error_type", &mut metadata.error_type);
        change("hint_type", &mut metadata.hint_type);
        change("code_submitted", &mut metadata.code_submitted);
    };
    let mut object = Map::new();
    texts(metadata, &mut |name, text| {
        object.extend(text.take().map(|text| (name.to_owned(), Value::String(text))));
    });
    if object.is_empty() {
        return;
    }
    let mut value = Value::Object(object);
    let _ = rules.scrub(project, &mut value);
    texts(metadata, &mut |name, text| {
        *text = value.get(name).and_then(Value::as_str).map(str::to_owned);
    });
}

/// The day of an instant in a time zone, numbered since 1970-01-01.
pub(crate) fn day_of(at: Timestamp, zone: &TimeZone) -> i64 {
    let micros = at.as_micros();
    let offset = jiff::Timestamp::from_microsecond(micros).map_or(0, |at| zone.to_offset(at).seconds());
    (micros.div_euclid(1_000_000) + i64::from(offset)).div_euclid(86_400)
}

/// What an attempt, a hint, an error or a message to the tutor is about: what it says, else what the course's structure says of its exercise,
/// else its lesson, else its course.
pub(crate) fn skills_of(event: &LearningEvent, structure: Option<&CourseStructure>) -> Vec<String> {
    if !matches!(
        event.event_type,
        EventType::ExerciseAttempt
            | EventType::HintUsed
            | EventType::ErrorEncountered
            | EventType::TutorMessage
    ) {
        return Vec::new();
    }
    if !event.skills.is_empty() {
        return event.skills.clone();
    }
    let exercise = event.exercise_id.as_deref();
    let declared =
        exercise.zip(structure).map_or(&[][..], |(exercise, structure)| structure.skills_of(exercise));
    if !declared.is_empty() {
        let mut skills = declared.to_vec();
        skills.sort_unstable();
        skills.dedup();
        return skills;
    }
    match &event.lesson_id {
        Some(lesson) => vec![format!("{}/{lesson}", event.course_id)],
        None => vec![event.course_id.clone()],
    }
}
