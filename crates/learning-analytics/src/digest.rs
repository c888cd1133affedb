//! The new events of a project into what is kept: load, fold, save, judge, in the transaction of the events.
//!
//! However many events there are, the number of statements grows with what they touch by 256 rows each.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use belvedere_kernel::{LiveMessage, Notice, ProjectId, SubjectId};
use belvedere_storage::{StorageError, Timestamp, Tx};
use serde_json::json;

use crate::entry::Entry;
use crate::event::EventType;
use crate::history::ItemKey;
use crate::mastery::{Counts, Items, SkillHistory};
use crate::milestones::{ActiveDays, Facts, Rule, reached};
use crate::notices::{milestone_notice, struggling_notice};
use crate::service::Core;
use crate::sheet::{PlaceKey, Sheet, item_sums};
use crate::store::{self, NewFlag, StoredMilestone};
use crate::structure::{CourseStructure, rule_word};
use crate::struggling::{Verdict, judge};

/// How many learners a live message names.
const NAMED_MAX: usize = 50;

/// The attempts of all learners at exercises and skills.
pub(crate) struct Known(pub(crate) HashMap<ItemKey, Counts>);

impl Items for Known {
    fn counts(&self, item: ItemKey) -> Counts {
        self.0.get(&item).copied().unwrap_or_default()
    }
}

/// Whatever judging some skills asks for: everything, the skills, and the exercises that are remembered.
pub(crate) fn keys_of<'a>(
    skills: impl IntoIterator<Item = (&'a str, &'a SkillHistory)>,
) -> BTreeSet<ItemKey> {
    let mut keys = BTreeSet::from([ItemKey::ALL]);
    for (skill, history) in skills {
        keys.insert(ItemKey::skill(skill));
        keys.extend(history.recent.steps().iter().map(|step| step.item));
    }
    keys
}

/// What the events of a project are folded by.
pub(crate) struct Ground {
    pub(crate) rules: Vec<Rule>,
    pub(crate) structures: BTreeMap<String, CourseStructure>,
}

impl Ground {
    /// Takes the project's row until the end of the transaction. Whoever folds does so before anything of the event store is
    /// locked, in the order of projects.
    pub(crate) async fn lock(
        tx: &Tx,
        project: ProjectId,
        courses: &BTreeSet<&str>,
    ) -> Result<Self, StorageError> {
        let rules = store::lock_project(tx, project).await?;
        Ok(Self { rules, structures: store::load_structures(tx, project, courses).await? })
    }
}

impl Core {
    /// Folds the new events of a project and tells others what became true; what those are told who look, once the
    /// transaction is committed.
    pub(crate) async fn digest_in(
        &self,
        tx: &Tx,
        project: ProjectId,
        entries: &[(Option<SubjectId>, Entry)],
        ground: &Ground,
    ) -> Result<Vec<LiveMessage>, StorageError> {
        let now = self.parts.clock.now();
        let (messages, notices) = fold(tx, project, entries, ground, now).await?;
        if let Some(notifier) = &self.parts.notifier {
            notifier.notify_in(tx, project, &notices).await?;
        }
        Ok(messages)
    }
}

/// Folds the new events of a project, and says what became true by them, to those who look and for those who are told.
async fn fold(
    tx: &Tx,
    project: ProjectId,
    entries: &[(Option<SubjectId>, Entry)],
    Ground { rules, structures }: &Ground,
    now: Timestamp,
) -> Result<(Vec<LiveMessage>, Vec<Notice>), StorageError> {
    if entries.is_empty() {
        return Ok((Vec::new(), Vec::new()));
    }
    let of_learners = || entries.iter().filter_map(|(subject, entry)| Some(((*subject)?, entry)));
    let mut sheet = Sheet::of(of_learners());
    store::load_sheet(tx, project, &mut sheet).await?;
    for (subject, entry) in of_learners() {
        sheet.fold(subject, entry);
    }
    let touched = Touched::by(of_learners());
    let mut completions = store::load_completions(tx, project, &touched.completing).await?;
    complete_courses(&mut sheet, &touched.completing, &mut completions, structures);
    store::save_sheet(tx, project, &sheet).await?;
    store::add_items(tx, project, &item_sums(entries.iter().map(|(_, entry)| entry))).await?;

    let mut messages = vec![message(project, "learning.events", json!({ "events": entries.len() }))];
    let new = reach_milestones(tx, project, (&sheet, &touched, &completions), rules, now).await?;
    messages.extend((!new.is_empty()).then(|| milestones_message(project, &new)));
    let mut notices = new.iter().map(milestone_notice).collect();
    messages.extend(flag_strugglers(tx, project, &sheet, now, &mut notices).await?);
    Ok((messages, notices))
}

fn message(project: ProjectId, topic: &str, data: serde_json::Value) -> LiveMessage {
    LiveMessage { project: Some(project), topic: topic.to_owned(), data }
}

/// For whom which milestones can have changed.
#[derive(Default)]
struct Touched {
    all: BTreeSet<SubjectId>,
    completing: BTreeSet<SubjectId>,
    /// With the earliest attempt or hint of the batch.
    solving: BTreeMap<SubjectId, i64>,
}

impl Touched {
    fn by<'a>(entries: impl Iterator<Item = (SubjectId, &'a Entry)>) -> Self {
        let mut touched = Self::default();
        for (subject, entry) in entries {
            touched.all.insert(subject);
            match entry.kind {
                EventType::LessonComplete | EventType::CourseComplete => {
                    touched.completing.insert(subject);
                }
                EventType::ExerciseAttempt | EventType::HintUsed => {
                    let first = touched.solving.entry(subject).or_insert(entry.at_micros);
                    *first = entry.at_micros.min(*first);
                }
                _ => {}
            }
        }
        touched
    }
}

/// Completes courses whose required lessons are all complete; `completions` then has what is true after the batch.
pub(crate) fn complete_courses(
    sheet: &mut Sheet,
    completing: &BTreeSet<SubjectId>,
    completions: &mut BTreeMap<(SubjectId, PlaceKey), i64>,
    structures: &BTreeMap<String, CourseStructure>,
) {
    for (key, place) in &sheet.places {
        if let Some(at) = place.progress.completed_at_micros {
            completions.insert(key.clone(), at);
        }
    }
    for ((subject, (course, lesson)), place) in &mut sheet.places {
        if !lesson.is_empty() || !completing.contains(subject) {
            continue;
        }
        let Some(structure) = structures.get(course) else { continue };
        let completed_at =
            |lesson: &str| completions.get(&(*subject, (course.clone(), lesson.to_owned()))).copied();
        let times: Option<Vec<i64>> = structure.required().map(completed_at).collect();
        place.lessons_done_micros = times.and_then(|times| times.into_iter().max());
        if let Some(at) = place.completed_micros() {
            completions.insert((*subject, (course.clone(), String::new())), at);
        }
    }
}

/// What a learner has completed, as milestones ask for it.
fn facts_of(
    sheet: &Sheet,
    subject: SubjectId,
    completions: &BTreeMap<(SubjectId, PlaceKey), i64>,
    unhinted_micros: Vec<i64>,
) -> Facts {
    let first = (subject, (String::new(), String::new()));
    let own = completions.range(first..).take_while(|((of, _), _)| *of == subject);
    let (mut first_lesson_micros, mut courses) = (None, Vec::new());
    for ((_, (course, lesson)), at) in own {
        if lesson.is_empty() {
            courses.push((course.clone(), *at));
        } else {
            first_lesson_micros = crate::sheet::earliest(first_lesson_micros, Some(*at));
        }
    }
    let days = sheet.learners.get(&subject).map(|learner| learner.days.clone()).unwrap_or_default();
    Facts { first_lesson_micros, days, unhinted_micros, courses }
}

/// All milestones that follow from what is known of one learner.
pub(crate) fn milestones_of(
    sheet: &Sheet,
    subject: SubjectId,
    completions: &BTreeMap<(SubjectId, PlaceKey), i64>,
    unhinted_micros: Vec<i64>,
    rules: &[Rule],
) -> Vec<StoredMilestone> {
    let facts = facts_of(sheet, subject, completions, unhinted_micros);
    let reached = reached(rules, &facts).into_iter().map(|milestone| StoredMilestone {
        subject,
        rule: rule_word(milestone.rule),
        course: milestone.course,
        reached_micros: Some(milestone.reached_micros),
    });
    reached.collect()
}

/// Writes the milestones that the batch changes; those that nobody was told of yet.
async fn reach_milestones(
    tx: &Tx,
    project: ProjectId,
    (sheet, touched, completions): (&Sheet, &Touched, &BTreeMap<(SubjectId, PlaceKey), i64>),
    rules: &[Rule],
    now: Timestamp,
) -> Result<Vec<StoredMilestone>, StorageError> {
    let mut known: BTreeMap<(SubjectId, String, String), Option<i64>> = BTreeMap::new();
    for it in store::load_milestones(tx, project, &touched.all).await? {
        known.insert((it.subject, it.rule, it.course), it.reached_micros);
    }
    let unhinted_rules = rules.iter().filter_map(|rule| match rule {
        Rule::ExercisesWithoutHint { exercises } => Some((*exercises, rule_word(*rule))),
        _ => None,
    });
    let (exercises, words): (BTreeSet<u32>, Vec<String>) = unhinted_rules.unzip();
    let (least, most) = (exercises.first().copied(), exercises.last().copied());
    // What comes after a milestone cannot move it: which exercises were solved until then, and before which hint, is past.
    let is_settled = |subject: SubjectId, first: i64| {
        let reached = |word: &String| known.get(&(subject, word.clone(), String::new())).copied().flatten();
        words.iter().all(|word| reached(word).is_some_and(|at| at < first))
    };
    let solving = touched.solving.iter().filter(|(subject, first)| !is_settled(**subject, **first));
    let solving: BTreeSet<SubjectId> = solving.map(|(subject, _)| *subject).collect();
    // Whoever was right less often has not solved as many, and had not before.
    let is_told: BTreeSet<SubjectId> = known.keys().map(|(subject, _, _)| *subject).collect();
    let right = |subject: &SubjectId| sheet.learners.get(subject).map_or(0, |it| it.history.counts.correct);
    let can_have = |subject: &&SubjectId| {
        is_told.contains(subject) || least.is_some_and(|least| right(subject) >= u64::from(least))
    };
    let asked: BTreeSet<SubjectId> = solving.iter().filter(can_have).copied().collect();
    let mut unhinted = match most {
        Some(most) => store::load_unhinted(tx, project, &asked, most).await?,
        None => BTreeMap::new(),
    };
    let (mut changed, mut new) = (Vec::new(), Vec::new());
    for subject in &touched.all {
        // Only rules whose facts were loaded.
        let is_decided = |rule: &&Rule| match rule {
            Rule::StreakDays { .. } => true,
            Rule::FirstLesson | Rule::CourseComplete => touched.completing.contains(subject),
            Rule::ExercisesWithoutHint { .. } => solving.contains(subject),
        };
        let decided: Vec<Rule> = rules.iter().filter(is_decided).copied().collect();
        let words: BTreeSet<String> = decided.iter().map(|rule| rule_word(*rule)).collect();
        let solved = unhinted.remove(subject).unwrap_or_default();
        let now_reached = milestones_of(sheet, *subject, completions, solved, &decided);
        let mut is_kept = BTreeSet::new();
        for milestone in now_reached {
            let key = (*subject, milestone.rule.clone(), milestone.course.clone());
            match known.get(&key) {
                None => new.push(milestone.clone()),
                Some(at) if *at != milestone.reached_micros => {}
                Some(_) => {
                    is_kept.insert(key);
                    continue;
                }
            }
            is_kept.insert(key);
            changed.push(milestone);
        }
        let first = (*subject, String::new(), String::new());
        let own = known.range(first..).take_while(|((of, _, _), _)| of == subject);
        for (key, at) in own {
            if at.is_some() && words.contains(&key.1) && !is_kept.contains(key) {
                let (rule, course) = (key.1.clone(), key.2.clone());
                changed.push(StoredMilestone { subject: *subject, rule, course, reached_micros: None });
            }
        }
    }
    store::replace_milestones(tx, project, &changed, now).await?;
    Ok(new)
}

fn milestones_message(project: ProjectId, new: &[StoredMilestone]) -> LiveMessage {
    let named: Vec<_> = new
        .iter()
        .take(NAMED_MAX)
        .map(|it| {
            let reached_at = it.reached_micros.map(Timestamp::from_micros);
            json!({ "subject": it.subject, "rule": it.rule, "course": it.course, "reached_at": reached_at })
        })
        .collect();
    message(project, "learning.milestones", json!({ "milestones": named, "count": new.len() }))
}

/// Flags learners who begin to struggle with a skill, and clears the flags of those who do fine again.
///
/// A verdict depends on what all learners have done so far, so a flag says what was true when it was set.
async fn flag_strugglers(
    tx: &Tx,
    project: ProjectId,
    sheet: &Sheet,
    now: Timestamp,
    notices: &mut Vec<Notice>,
) -> Result<Option<LiveMessage>, StorageError> {
    if sheet.skills.is_empty() {
        return Ok(None);
    }
    let keys = keys_of(sheet.skills.iter().map(|((_, skill), history)| (skill.as_str(), history)));
    let known = Known(store::load_counts(tx, project, &keys).await?);
    let subjects: BTreeSet<SubjectId> = sheet.skills.keys().map(|(subject, _)| *subject).collect();
    let open = store::load_open_flags(tx, project, &subjects).await?;
    let (mut flags, mut cleared, mut named) = (Vec::new(), Vec::new(), Vec::new());
    let never = ActiveDays::default();
    for (key, history) in &sheet.skills {
        let days = sheet.learners.get(&key.0).map_or(&never, |learner| &learner.days);
        let struggle = judge(&known, history, days);
        match struggle.verdict {
            Verdict::Struggling if !open.contains(key) => {
                let (subject, skill) = key.clone();
                let onset_micros = struggle.onset_micros.unwrap_or(now.as_micros());
                if named.len() < NAMED_MAX {
                    let reason = struggle.factors.first().map(|factor| factor.reason.as_str());
                    let onset_at = Timestamp::from_micros(onset_micros);
                    named.push(json!({
                        "subject": subject, "skill": skill, "onset_at": onset_at, "score": struggle.score,
                        "reason": reason,
                    }));
                }
                let flag = NewFlag { subject, skill, onset_micros };
                notices.push(struggling_notice(&flag, &struggle, now));
                flags.push(flag);
            }
            Verdict::Fine if open.contains(key) => cleared.push(key.clone()),
            _ => {}
        }
    }
    store::insert_flags(tx, project, &flags, now).await?;
    store::clear_flags(tx, project, &cleared, now).await?;
    let data = json!({ "learners": named, "count": flags.len() });
    Ok((!flags.is_empty()).then(|| message(project, "learning.struggling", data)))
}
