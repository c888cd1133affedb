//! What happens at this moment: the events of the last half hour by minute, and where learners are. No I/O.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use belvedere_event_store::{Batch, NO_SUBJECT};
use belvedere_kernel::SubjectId;
use belvedere_storage::Timestamp;

use crate::event::EventType;
use crate::log::parts_of;
use crate::model::{BusyPlace, LatestEvent};

/// How many minutes back "now" reaches.
pub const NOW_MINUTES: usize = 30;

/// A learner is present who did something in so many minutes.
pub const PRESENT_MINUTES: usize = 5;

/// The most places and the most events that are named.
pub(crate) const NAMED_MAX: usize = 30;

const MINUTE_MICROS: i64 = 60_000_000;

/// An event that just happened.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Latest {
    pub(crate) id: [u8; 16],
    pub(crate) at_micros: i64,
    /// The number of the learner among events.
    pub(crate) subject: Option<u32>,
    pub(crate) kind: EventType,
    pub(crate) course: String,
    pub(crate) lesson: String,
    pub(crate) exercise: String,
    pub(crate) is_correct: Option<bool>,
}

impl Latest {
    /// The same for others, with whose number it is.
    pub(crate) fn of(self, subjects: &HashMap<u32, SubjectId>) -> LatestEvent {
        LatestEvent {
            key: self.id.iter().take(8).map(|byte| format!("{byte:02x}")).collect(),
            at: Timestamp::from_micros(self.at_micros),
            subject: self.subject.and_then(|number| subjects.get(&number).copied()),
            event_type: self.kind.as_str(),
            course: self.course,
            lesson: self.lesson,
            exercise: self.exercise,
            is_correct: self.is_correct,
        }
    }
}

/// What was seen in the minutes before an instant.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Moment {
    /// Oldest first.
    pub(crate) by_minute: [u64; NOW_MINUTES],
    pub(crate) present: u64,
    pub(crate) learners: u64,
    pub(crate) attempts: u64,
    pub(crate) right: u64,
    /// Most learners first.
    pub(crate) places: Vec<BusyPlace>,
    /// Newest first.
    pub(crate) latest: Vec<Latest>,
}

/// What events say of the [`NOW_MINUTES`] before `until_micros`; those outside are left out.
pub(crate) fn look(batches: &[Arc<Batch>], until_micros: i64) -> Moment {
    let mut moment = Moment::default();
    let (mut learners, mut present) = (BTreeSet::new(), BTreeSet::new());
    let mut places: BTreeMap<(&str, &str), (BTreeSet<u32>, u64)> = BTreeMap::new();
    for (batch, row) in batches.iter().flat_map(|batch| (0..batch.count).map(move |row| (batch, row))) {
        let Some(parts) = parts_of(batch, row) else { continue };
        let minutes_ago = (until_micros - 1 - parts.at_micros).div_euclid(MINUTE_MICROS);
        let Some(minutes_ago) = usize::try_from(minutes_ago).ok().filter(|ago| *ago < NOW_MINUTES) else {
            continue;
        };
        let Some(entry) = parts.entry() else { continue };
        moment.by_minute[NOW_MINUTES - 1 - minutes_ago] += 1;
        let subject = batch.subjects.get(row).copied().filter(|subject| *subject != NO_SUBJECT);
        let place = (parts.course.unwrap_or_default(), parts.lesson.unwrap_or_default());
        let (there, events) = places.entry(place).or_default();
        *events += 1;
        if let Some(subject) = subject {
            learners.insert(subject);
            there.insert(subject);
            if minutes_ago < PRESENT_MINUTES {
                present.insert(subject);
            }
        }
        moment.attempts += u64::from(entry.is_correct.is_some());
        moment.right += u64::from(entry.is_correct == Some(true));
        let latest = Latest {
            id: parts.id,
            at_micros: parts.at_micros,
            subject,
            kind: entry.kind,
            course: entry.course,
            lesson: entry.lesson,
            exercise: entry.exercise,
            is_correct: entry.is_correct,
        };
        keep(&mut moment.latest, latest);
    }
    (moment.learners, moment.present) = (learners.len() as u64, present.len() as u64);
    moment.places = busiest(places);
    moment
}

/// Keeps the newest [`NAMED_MAX`], newest first; of the same time the greater id.
fn keep(latest: &mut Vec<Latest>, event: Latest) {
    let key = |it: &Latest| std::cmp::Reverse((it.at_micros, it.id));
    let place = latest.partition_point(|it| key(it) < key(&event));
    if place < NAMED_MAX {
        latest.insert(place, event);
        latest.truncate(NAMED_MAX);
    }
}

fn busiest(places: BTreeMap<(&str, &str), (BTreeSet<u32>, u64)>) -> Vec<BusyPlace> {
    let mut busy: Vec<BusyPlace> = places
        .into_iter()
        .map(|((course, lesson), (there, events))| BusyPlace {
            course: course.to_owned(),
            lesson: lesson.to_owned(),
            learners: there.len() as u64,
            events,
        })
        .collect();
    busy.sort_by_key(|it| std::cmp::Reverse((it.learners, it.events)));
    busy.truncate(NAMED_MAX);
    busy
}
