//! What is kept of learners, and how an event changes it. No I/O.
//!
//! Every part is a count, an extreme, a set or a bounded list in the order of events, so the order of arrival has no part
//! in it; whoever folds knows which events are new.

use std::collections::{BTreeMap, BTreeSet};

use belvedere_kernel::SubjectId;
use serde::{Deserialize, Serialize};

use crate::entry::Entry;
use crate::event::EventType;
use crate::history::{EventKey, ItemKey, Step};
use crate::mastery::{Counts, LearnerHistory, SkillHistory};
use crate::milestones::ActiveDays;
use crate::progress::Progress;

/// A learner over all courses.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Learner {
    pub(crate) events: u64,
    pub(crate) first_at_micros: Option<i64>,
    pub(crate) last_at_micros: Option<i64>,
    pub(crate) days: ActiveDays,
    pub(crate) history: LearnerHistory,
}

/// A learner in a course or a lesson.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Place {
    pub(crate) progress: Progress,
    /// The first event that is more than enrolling.
    pub(crate) started_micros: Option<i64>,
    /// When the last of the declared lessons was completed; of courses alone.
    pub(crate) lessons_done_micros: Option<i64>,
}

impl Place {
    /// When it was completed: by an event, or by all of its lessons.
    pub(crate) fn completed_micros(&self) -> Option<i64> {
        earliest(self.progress.completed_at_micros, self.lessons_done_micros)
    }
}

/// A learner at an exercise.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Tried {
    pub(crate) attempts: u64,
    pub(crate) first: Option<Step>,
    /// The points of the first attempt.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) first_points: Option<f64>,
    pub(crate) first_right: Option<(i64, EventKey)>,
    pub(crate) first_hint: Option<(i64, EventKey)>,
    pub(crate) last_at_micros: Option<i64>,
}

impl Tried {
    /// When it was solved without a hint before.
    pub(crate) fn unhinted_micros(&self) -> Option<i64> {
        let (at, _) = self.first_right?;
        self.first_hint.is_none_or(|(hint, _)| hint > at).then_some(at)
    }

    fn add(&mut self, entry: &Entry) {
        let order = (entry.at_micros, entry.key);
        let first = |known: Option<(i64, EventKey)>| Some(known.map_or(order, |it| it.min(order)));
        self.last_at_micros = self.last_at_micros.max(Some(entry.at_micros));
        if entry.kind == EventType::HintUsed {
            self.first_hint = first(self.first_hint);
        }
        if let Some(is_correct) = entry.is_correct {
            self.attempts += 1;
            if self.first.is_none_or(|step| order < step.order()) {
                self.first = Some(entry.step());
                self.first_points = entry.score;
            }
            if is_correct {
                self.first_right = first(self.first_right);
            }
        }
    }
}

/// What all learners together did at an exercise, at a skill, or at all.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct ItemSum {
    pub(crate) kind: ItemKind,
    /// Of an exercise.
    pub(crate) course: String,
    /// Of an exercise or a skill.
    pub(crate) name: String,
    /// Of an exercise.
    pub(crate) skills: Vec<String>,
    pub(crate) counts: Counts,
    pub(crate) hints: u64,
}

/// What an item is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum ItemKind {
    #[default]
    All,
    Exercise,
    Skill,
}

impl ItemKind {
    pub(crate) fn to_number(self) -> i64 {
        self as i64
    }
}

/// The course and the lesson of a place; the lesson is empty for the course itself.
pub(crate) type PlaceKey = (String, String);

/// Everything that some events change.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Sheet {
    pub(crate) learners: BTreeMap<SubjectId, Learner>,
    pub(crate) places: BTreeMap<(SubjectId, PlaceKey), Place>,
    pub(crate) tried: BTreeMap<(SubjectId, (String, String)), Tried>,
    pub(crate) skills: BTreeMap<(SubjectId, String), SkillHistory>,
}

impl Sheet {
    /// The sheet with an empty place for everything that some entries change.
    pub(crate) fn of<'a>(entries: impl IntoIterator<Item = (SubjectId, &'a Entry)>) -> Self {
        let mut sheet = Self::default();
        for (subject, entry) in entries {
            sheet.learners.entry(subject).or_default();
            for key in place_keys(entry) {
                sheet.places.entry((subject, key)).or_default();
            }
            if is_at_exercise(entry) {
                let key = (entry.course.clone(), entry.exercise.clone());
                sheet.tried.entry((subject, key)).or_default();
            }
            if is_of_skills(entry) {
                for skill in &entry.skills {
                    sheet.skills.entry((subject, skill.clone())).or_default();
                }
            }
        }
        sheet
    }

    /// Takes an event in; each once.
    pub(crate) fn fold(&mut self, subject: SubjectId, entry: &Entry) {
        let at = Some(entry.at_micros);
        let learner = self.learners.entry(subject).or_default();
        learner.events += 1;
        learner.first_at_micros = earliest(learner.first_at_micros, at);
        learner.last_at_micros = learner.last_at_micros.max(at);
        learner.days.add(entry.day, entry.at_micros);
        let step = entry.step();
        if entry.is_correct.is_some() {
            learner.history.add(step);
        }
        for key in place_keys(entry) {
            let mark = if key.1.is_empty() { entry.mark_of_course() } else { entry.mark_of_lesson() };
            let place = self.places.entry((subject, key)).or_default();
            place.progress.fold(&mark);
            if entry.kind != EventType::CourseEnrol {
                place.started_micros = earliest(place.started_micros, at);
            }
        }
        if is_at_exercise(entry) {
            let key = (entry.course.clone(), entry.exercise.clone());
            self.tried.entry((subject, key)).or_default().add(entry);
        }
        if is_of_skills(entry) {
            for skill in &entry.skills {
                let history = self.skills.entry((subject, skill.clone())).or_default();
                match entry.kind {
                    EventType::HintUsed => history.add_hint(step),
                    EventType::ErrorEncountered => history.add_error(step),
                    _ => history.add_attempt(step),
                }
            }
        }
    }
}

/// What some entries add to the sums of their exercises and skills, by key.
pub(crate) fn item_sums<'a>(entries: impl IntoIterator<Item = &'a Entry>) -> BTreeMap<ItemKey, ItemSum> {
    let mut sums: BTreeMap<ItemKey, ItemSum> = BTreeMap::new();
    for entry in entries.into_iter().filter(|entry| is_at_exercise(entry)) {
        let exercise = ItemSum {
            kind: ItemKind::Exercise,
            course: entry.course.clone(),
            name: entry.exercise.clone(),
            skills: entry.skills.clone(),
            ..ItemSum::default()
        };
        let skills = entry.skills.iter().map(|skill| {
            let sum = ItemSum { kind: ItemKind::Skill, name: skill.clone(), ..ItemSum::default() };
            (ItemKey::skill(skill), sum)
        });
        let all = [(ItemKey::ALL, ItemSum::default()), (entry.item(), exercise)];
        for (key, sum) in all.into_iter().chain(skills) {
            let sum = sums.entry(key).or_insert(sum);
            match entry.is_correct {
                Some(is_correct) => sum.counts.add(is_correct),
                None => sum.hints += 1,
            }
        }
    }
    sums
}

/// The course, and the lesson if there is one.
fn place_keys(entry: &Entry) -> BTreeSet<PlaceKey> {
    [(entry.course.clone(), String::new()), (entry.course.clone(), entry.lesson.clone())].into()
}

/// An attempt or a hint at an exercise.
fn is_at_exercise(entry: &Entry) -> bool {
    !entry.exercise.is_empty() && (entry.is_correct.is_some() || entry.kind == EventType::HintUsed)
}

/// Something that tells of skills.
fn is_of_skills(entry: &Entry) -> bool {
    entry.is_correct.is_some() || matches!(entry.kind, EventType::HintUsed | EventType::ErrorEncountered)
}

pub(crate) fn earliest(left: Option<i64>, right: Option<i64>) -> Option<i64> {
    match (left, right) {
        (Some(left), Some(right)) => Some(left.min(right)),
        (left, right) => left.or(right),
    }
}
