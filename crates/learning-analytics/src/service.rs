use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use belvedere_event_store::{EventStore, Fields, ProjectZones, Select};
use belvedere_kernel::{
    AuditSink, Clock, ConsentGate, Entry, HandlerError, IntakeHandler, LiveBus, Notifier, Places,
    PreparedBatch, ProjectId, Scrubber, SubjectData, SubjectId, Target, Tasks,
};
use belvedere_storage::{Cursor, Database, Id, Page, PageRequest, StorageError, Timestamp};
use jiff::tz::TimeZone;
use serde_json::json;
use tokio::sync::{Mutex, Semaphore};

use crate::at_risk::{Away, away};
use crate::comparison::{Comparison, Measure, compare, gain};
use crate::digest::{Known, keys_of};
use crate::engagement::{Engagement, WEEKS, engagement};
use crate::error_types::{self, ERROR_DAYS};
use crate::event::{LearningEvent, check_event};
use crate::history::ItemKey;
use crate::intake::{Batch, EventsHandler};
use crate::items::analyse;
use crate::log::{read_log_since, select_all};
use crate::mastery::{SkillHistory, estimate};
use crate::milestones::Rule;
use crate::model::{
    ChangeRules, ChangedBy, CourseProgress, CourseRow, CourseSummary, FlagFeedback, FlagPrecision, ItemTable,
    LearnerOfCourse, LearnerProgress, LearningNow, LessonProgress, ListLearners, ListMilestones,
    ListStatements, ListStruggling, PlaceProgress, ReachedMilestone, Rebuilt, Recommendation, SkillMastery,
    StrugglingLearner,
};
use crate::now::{self, NOW_MINUTES};
use crate::recommend::{candidates, recommend};
use crate::sheet::Place;
use crate::statistics::Sample;
use crate::store::{self, RESPONSES_MAX};
use crate::structure::{CourseStructure, check_id, check_rules};
use crate::struggling::judge;
use crate::subject::LearnerData;
use crate::tutor::{ACTS_MAX, AskTutor, Period, TutorReport, read_acts, report};
use crate::{Learning, LearningError, LearningReports, LearningSettings};

/// The most exercises that are recommended at once.
pub const RECOMMENDED_MAX: usize = 20;

/// How long what was seen is kept for others who were waiting meanwhile.
const SEEN_FOR: Duration = Duration::from_secs(60);

/// Everything that learning analytics needs from the rest of Belvedere.
#[derive(Clone)]
pub struct LearningParts {
    /// State.
    pub db: Database,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Whom events may be about.
    pub gate: Arc<dyn ConsentGate>,
    /// What takes personal data out of texts.
    pub scrubber: Arc<dyn Scrubber>,
    /// Who did what.
    pub audit: Arc<dyn AuditSink>,
    /// The log of events.
    pub events: Arc<dyn EventStore>,
    /// Who hears of what just happened.
    pub bus: Arc<dyn LiveBus>,
    /// Who is told of milestones and of those who struggle, outside Belvedere.
    pub notifier: Option<Arc<dyn Notifier>>,
    /// By whose days streaks are counted; UTC where nobody says.
    pub zones: Option<Arc<dyn ProjectZones>>,
    /// Where addresses are; none where nobody knows.
    pub places: Option<Arc<dyn Places>>,
}

pub(crate) struct Core {
    pub(crate) parts: LearningParts,
    /// What was seen at the last moment, by project.
    seen: Mutex<HashMap<ProjectId, LearningNow>>,
    /// One report on the tutor is made at a time, as each holds up to a million acts.
    pub(crate) reports: Semaphore,
}

impl Core {
    pub(crate) async fn time_zone(&self, project: ProjectId) -> Result<TimeZone, StorageError> {
        let name = match &self.parts.zones {
            Some(zones) => zones.time_zone(project).await?,
            None => None,
        };
        Ok(name.and_then(|name| TimeZone::get(&name).ok()).unwrap_or(TimeZone::UTC))
    }
}

/// Learning analytics on a database and an event store. A clone is the same service.
#[derive(Clone)]
pub struct LearningService {
    pub(crate) core: Arc<Core>,
}

impl LearningService {
    /// The service over a migrated database.
    #[must_use]
    pub fn new(parts: LearningParts) -> Self {
        let core = Core { parts, seen: Mutex::default(), reports: Semaphore::new(1) };
        Self { core: Arc::new(core) }
    }

    /// The reader of what the door accepts.
    #[must_use]
    pub fn intake_handler(&self) -> Arc<dyn IntakeHandler> {
        Arc::new(EventsHandler(Arc::clone(&self.core)))
    }

    /// Folds the events that other slices append, until `tasks` are told to stop.
    pub async fn run(self: Arc<Self>, tasks: Tasks) {
        self.core.fold_on(&tasks).await;
    }

    /// Folds the events that other slices have appended and that still wait.
    ///
    /// # Errors
    /// A storage error that passes; then some of them wait still.
    pub async fn fold_waiting(&self) -> Result<(), LearningError> {
        Ok(self.core.fold_waiting().await?)
    }

    /// What is kept of learners.
    #[must_use]
    pub fn subject_data(&self) -> Arc<dyn SubjectData> {
        Arc::new(LearnerData(Arc::clone(&self.core)))
    }

    /// The time.
    #[must_use]
    pub fn clock(&self) -> Arc<dyn Clock> {
        Arc::clone(&self.core.parts.clock)
    }

    /// Stores events at once, in a transaction of its own; how many of them are new. An event without an id gets one.
    ///
    /// # Errors
    /// [`LearningError::Invalid`] for what the door would refuse, or a storage error; then none was stored.
    pub async fn record_events(
        &self,
        project: ProjectId,
        events: Vec<LearningEvent>,
    ) -> Result<u64, LearningError> {
        let now = self.core.parts.clock.now();
        let checked = events.iter().map(|event| check_event(event, now)).collect::<Result<Vec<_>, _>>();
        let mut events = checked.map_err(|why| LearningError::invalid("events", why))?;
        name_events(&mut events, now);
        let events = events.into_iter().map(|event| (project, event)).collect();
        let batch = Batch::prepare(Arc::clone(&self.core), events).await?;
        let stored =
            self.core.parts.db.write(async |tx| batch.store(tx).await.map_err(unwrap_storage)).await?;
        for message in stored.messages {
            self.core.parts.bus.publish(message);
        }
        let new = stored.tallies.iter().filter(|tally| tally.reason.is_empty());
        Ok(new.map(|tally| tally.quantity).sum())
    }

    /// Makes what is kept of a learner anew from the log of events, if it is not what follows from it. Flags, and when
    /// milestones were told, stay.
    ///
    /// # Errors
    /// A storage error; then nothing was changed.
    pub async fn rebuild_learner(
        &self,
        project: ProjectId,
        subject: SubjectId,
    ) -> Result<Rebuilt, LearningError> {
        crate::rebuild::rebuild(&self.core, project, subject).await
    }

    async fn known(&self, project: ProjectId, keys: &BTreeSet<ItemKey>) -> Result<Known, LearningError> {
        Ok(Known(store::load_counts(self.core.parts.db.read(), project, keys).await?))
    }

    async fn look_now(&self, project: ProjectId, now: Timestamp) -> Result<LearningNow, LearningError> {
        let events = &self.core.parts.events;
        let from = now.minus(Duration::from_secs(60 * NOW_MINUTES as u64));
        let all = select_all(project);
        let select = Select { from, until: now, fields: all.fields.and(Fields::SUBJECT), ..all };
        let moment = now::look(&events.load(select).await?, now.as_micros());
        let numbers: Vec<u32> = moment.latest.iter().filter_map(|it| it.subject).collect();
        let subjects = events.find_subjects(project, &numbers).await?;
        Ok(LearningNow {
            until: now,
            by_minute: moment.by_minute.to_vec(),
            present: moment.present,
            learners: moment.learners,
            attempts: moment.attempts,
            successes: moment.right,
            places: moment.places,
            latest: moment.latest.into_iter().map(|it| it.of(&subjects)).collect(),
        })
    }

    async fn record(
        &self,
        tx: &belvedere_storage::Tx,
        project: ProjectId,
        by: &ChangedBy,
        (action, target, detail): (&'static str, Target, serde_json::Value),
    ) -> Result<(), StorageError> {
        let entry = Entry {
            project: Some(project),
            target: Some(target),
            request_id: by.request_id.clone(),
            detail,
            ..Entry::new(by.actor, action)
        };
        self.core.parts.audit.record(tx, entry).await
    }
}

impl std::fmt::Debug for LearningService {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("LearningService")
    }
}

/// Gives an id to events that have none.
pub fn name_events(events: &mut [LearningEvent], now: Timestamp) {
    for event in events.iter_mut().filter(|event| event.id.is_empty()) {
        event.id = Id::<LearningEvent>::generate(now).to_string();
    }
}

fn unwrap_storage(error: HandlerError) -> StorageError {
    match error {
        HandlerError::Storage(error) => error,
        error => StorageError::corrupt(error.to_string()),
    }
}

fn instant(micros: Option<i64>) -> Option<Timestamp> {
    micros.map(Timestamp::from_micros)
}

fn place_progress(place: &Place, completion: Option<f64>) -> PlaceProgress {
    let progress = &place.progress;
    PlaceProgress {
        started_at: instant(place.started_micros),
        completed_at: instant(place.completed_micros()),
        last_at: instant(progress.last_at_micros),
        completion,
        active_seconds: progress.active_seconds(),
        stated_seconds: progress.stated_ms as f64 / 1_000.0,
        attempts: progress.attempts,
        successes: progress.successes,
        hints: progress.hints,
        best_score: progress.best_points,
        last_score: progress.last_score.map(|score| score.points),
    }
}

/// How much of a course is done, by the lessons that were completed.
fn completion_of(
    place: &Place,
    structure: Option<&CourseStructure>,
    completed: &BTreeSet<&str>,
) -> Option<f64> {
    if place.completed_micros().is_some() {
        return Some(1.0);
    }
    let required: Vec<&str> = structure?.required().collect();
    let done = required.iter().filter(|lesson| completed.contains(*lesson)).count();
    (!required.is_empty()).then(|| done as f64 / required.len() as f64)
}

fn courses_of(
    places: &[(String, String, Place)],
    structures: &BTreeMap<String, CourseStructure>,
) -> Vec<CourseProgress> {
    let mut courses = Vec::new();
    for of_course in places.chunk_by(|left, right| left.0 == right.0) {
        let Some((course, _, whole)) = of_course.first().filter(|(_, lesson, _)| lesson.is_empty()) else {
            continue;
        };
        let structure = structures.get(course);
        let title_of = |lesson: &str| {
            let lesson = structure.and_then(|it| it.lessons.iter().find(|plan| plan.id == lesson));
            lesson.map(|plan| plan.title.clone()).unwrap_or_default()
        };
        let lessons = &of_course[1..];
        let completed = lessons.iter().filter(|(_, _, place)| place.progress.is_complete());
        let completed: BTreeSet<&str> = completed.map(|(_, lesson, _)| lesson.as_str()).collect();
        courses.push(CourseProgress {
            course: course.clone(),
            title: structure.map(|it| it.title.clone()).unwrap_or_default(),
            enrolled_at: instant(whole.progress.begun_at_micros),
            progress: place_progress(whole, completion_of(whole, structure, &completed)),
            engagement: Engagement::default(),
            lessons: lessons
                .iter()
                .map(|(_, lesson, place)| LessonProgress {
                    lesson: lesson.clone(),
                    title: title_of(lesson),
                    progress: place_progress(place, Some(place.progress.completion())),
                })
                .collect(),
        });
    }
    courses
}

#[async_trait]
impl Learning for LearningService {
    async fn find_learner(
        &self,
        project: ProjectId,
        subject: SubjectId,
    ) -> Result<Option<LearnerProgress>, LearningError> {
        let db = self.core.parts.db.read();
        let Some(learner) = store::read_learner(db, project, subject).await? else { return Ok(None) };
        let places = store::read_places(db, project, subject).await?;
        let ids: BTreeSet<&str> = places.iter().map(|(course, _, _)| course.as_str()).collect();
        let structures = store::load_structures(db, project, &ids).await?;
        let mut courses = courses_of(&places, &structures);
        let since = self.core.parts.clock.now().minus(Duration::from_secs(WEEKS.unsigned_abs() * 7 * 86_400));
        let entries = read_log_since(&*self.core.parts.events, project, subject, since).await?;
        for course in &mut courses {
            let own = entries.iter().filter(|entry| entry.course == course.course);
            course.engagement =
                engagement(&own.map(|entry| (entry.at_micros, entry.day)).collect::<Vec<_>>());
        }
        Ok(Some(LearnerProgress {
            subject,
            events: learner.events,
            first_at: instant(learner.first_at_micros),
            last_at: instant(learner.last_at_micros),
            active_days: learner.days.days().count() as u64,
            streak_days: learner.days.in_row(),
            attempts: learner.history.counts.attempts,
            successes: learner.history.counts.correct,
            courses,
        }))
    }

    async fn list_learners(&self, query: ListLearners) -> Result<Page<LearnerOfCourse>, LearningError> {
        let db = self.core.parts.db.read();
        let page = store::list_learners(db, &query).await?;
        let structure = store::find_structure(db, query.project, &query.course).await?;
        let subjects = page.items.iter().map(|(subject, _)| *subject).collect();
        let completions = match structure {
            Some(_) => store::load_completions(db, query.project, &subjects).await?,
            None => BTreeMap::new(),
        };
        let items = page.items.into_iter().map(|(subject, place)| {
            let own =
                completions.keys().filter(|(of, (course, _))| *of == subject && *course == query.course);
            let completed: BTreeSet<&str> = own.map(|(_, (_, lesson))| lesson.as_str()).collect();
            LearnerOfCourse {
                subject,
                enrolled_at: instant(place.progress.begun_at_micros),
                progress: place_progress(&place, completion_of(&place, structure.as_ref(), &completed)),
            }
        });
        Ok(Page { items: items.collect(), next: page.next })
    }

    async fn list_courses(
        &self,
        project: ProjectId,
        page: PageRequest,
    ) -> Result<Page<CourseRow>, LearningError> {
        let db = self.core.parts.db.read();
        let mut page = store::list_courses(db, project, self.core.parts.clock.now(), &page).await?;
        let ids: BTreeSet<&str> = page.items.iter().map(|row| row.course.as_str()).collect();
        let structures = store::load_structures(db, project, &ids).await?;
        for row in &mut page.items {
            row.title = structures.get(&row.course).map(|it| it.title.clone()).unwrap_or_default();
        }
        Ok(page)
    }

    async fn find_course(
        &self,
        project: ProjectId,
        course: &str,
    ) -> Result<Option<CourseSummary>, LearningError> {
        let db = self.core.parts.db.read();
        let structure = store::find_structure(db, project, course).await?;
        let ([learners, enrolled, started, completed], median_seconds) =
            store::read_course(db, project, course).await?;
        if learners == 0 && structure.is_none() {
            return Ok(None);
        }
        let mut seen = store::read_lessons(db, project, course, self.core.parts.clock.now()).await?;
        let mut lessons = Vec::new();
        for plan in structure.iter().flat_map(|it| &it.lessons) {
            let mut lesson = seen.remove(&plan.id).unwrap_or_default();
            lesson.lesson.clone_from(&plan.id);
            lesson.title.clone_from(&plan.title);
            lessons.push(lesson);
        }
        lessons.extend(seen.into_values());
        let tests = match structure.as_ref().and_then(CourseStructure::tests) {
            Some(tests) => store::read_tests(db, project, course, tests).await?,
            None => Vec::new(),
        };
        let gains = tests.into_iter().filter_map(|(pre, post)| gain(pre, post)).collect();
        Ok(Some(CourseSummary {
            course: course.to_owned(),
            title: structure.map(|it| it.title).unwrap_or_default(),
            learners,
            enrolled,
            started,
            completed,
            completion_rate: (started > 0).then(|| completed.min(started) as f64 / started as f64),
            median_seconds,
            gain: Sample::of(gains).as_ref().and_then(Measure::of),
            lessons,
        }))
    }

    async fn list_items(&self, project: ProjectId, course: &str) -> Result<ItemTable, LearningError> {
        let mut responses = store::list_responses(self.core.parts.db.read(), project, course).await?;
        let is_cut = responses.len() as u64 > RESPONSES_MAX;
        responses.truncate(usize::try_from(RESPONSES_MAX).unwrap_or(usize::MAX));
        let items = tokio::task::spawn_blocking(move || analyse(&responses)).await;
        let mut items = items.map_err(|error| StorageError::corrupt(error.to_string()))?;
        let now = self.core.parts.clock.now();
        let range = (now.minus(Duration::from_secs(ERROR_DAYS * 86_400)), now);
        let events = &*self.core.parts.events;
        let mut errors = error_types::read(events, project, course.to_owned(), range).await?;
        let stopped = store::count_stopped(self.core.parts.db.read(), project, course, now).await?;
        for item in &mut items {
            item.stopped_here = stopped.get(&item.exercise).copied().unwrap_or(0);
            item.error_types = errors.remove(&item.exercise).unwrap_or_default();
        }
        Ok(ItemTable { items, is_cut })
    }

    async fn list_mastery(
        &self,
        project: ProjectId,
        subject: SubjectId,
    ) -> Result<Vec<SkillMastery>, LearningError> {
        let (learner, skills) = store::list_skills_of(self.core.parts.db.read(), project, subject).await?;
        let mut keys = keys_of(skills.iter().map(|(skill, history)| (skill.as_str(), history)));
        keys.extend(learner.history.recent.steps().iter().map(|step| step.item));
        let known = self.known(project, &keys).await?;
        let mastery = skills.into_iter().map(|(skill, history)| {
            let key = ItemKey::skill(&skill);
            SkillMastery {
                estimate: estimate(&known, &learner.history, &[(key, &history)], key),
                attempts: history.counts.attempts,
                successes: history.counts.correct,
                struggle: judge(&known, &history, &learner.days),
                skill,
            }
        });
        Ok(mastery.collect())
    }

    async fn recommend(
        &self,
        project: ProjectId,
        subject: SubjectId,
        course: &str,
        limit: usize,
    ) -> Result<Vec<Recommendation>, LearningError> {
        let db = self.core.parts.db.read();
        let structure = store::find_structure(db, project, course).await?;
        let items = store::list_course_items(db, project, course).await?;
        let tried = store::list_tried(db, project, subject, course).await?;
        let (learner, skills) = store::list_skills_of(db, project, subject).await?;
        let mut keys = keys_of(skills.iter().map(|(skill, history)| (skill.as_str(), history)));
        keys.extend(learner.history.recent.steps().iter().map(|step| step.item));
        let solved = tried.into_iter().filter(|(_, is_solved)| *is_solved).map(|(exercise, _)| exercise);
        let by_all =
            items.iter().map(|(exercise, skills, _, _)| (exercise.clone(), skills.clone())).collect();
        let found = candidates(structure.as_ref(), by_all, &solved.collect());
        for skill in found.iter().flat_map(|it| &it.skills) {
            keys.insert(ItemKey::skill(skill));
        }
        let mut known = self.known(project, &keys).await?;
        known.0.extend(items.into_iter().map(|(_, _, key, counts)| (key, counts)));
        let limit = limit.clamp(1, RECOMMENDED_MAX);
        Ok(recommend(&known, (&learner.history, &skills), course, found, limit))
    }

    async fn list_struggling(&self, query: ListStruggling) -> Result<Page<StrugglingLearner>, LearningError> {
        let db = self.core.parts.db.read();
        let page = store::list_flags(db, query.project, query.with_cleared, &query.page).await?;
        let histories: Vec<(&str, &SkillHistory)> =
            page.items.iter().map(|flag| (flag.skill.as_str(), &flag.history)).collect();
        let known = self.known(query.project, &keys_of(histories)).await?;
        let items = page.items.into_iter().map(|flag| StrugglingLearner {
            subject: flag.subject,
            flagged_at: flag.flagged_at,
            onset_at: flag.onset_at,
            cleared_at: flag.cleared_at,
            feedback: flag.feedback,
            struggle: judge(&known, &flag.history, &flag.days),
            skill: flag.skill,
        });
        Ok(Page { items: items.collect(), next: page.next })
    }

    async fn find_precision(&self, project: ProjectId) -> Result<FlagPrecision, LearningError> {
        Ok(store::count_feedback(self.core.parts.db.read(), project).await?)
    }

    async fn list_milestones(&self, query: ListMilestones) -> Result<Page<ReachedMilestone>, LearningError> {
        let db = self.core.parts.db.read();
        Ok(store::list_milestones(db, query.project, query.subject, &query.page).await?)
    }
}

#[async_trait]
impl LearningReports for LearningService {
    async fn count_waiting(&self) -> Result<u64, LearningError> {
        Ok(store::count_waiting(self.core.parts.db.read()).await?)
    }

    async fn find_now(&self, project: ProjectId) -> Result<LearningNow, LearningError> {
        let asked = self.core.parts.clock.now();
        let mut seen = self.core.seen.lock().await;
        // Many pages ask at once after every event: those that waited share a look that began after they had asked.
        if let Some(shared) = seen.get(&project).filter(|it| it.until > asked) {
            return Ok(shared.clone());
        }
        let now = self.core.parts.clock.now();
        let looked = self.look_now(project, now).await?;
        seen.retain(|_, it| now.since(it.until) < SEEN_FOR);
        seen.insert(project, looked.clone());
        Ok(looked)
    }

    async fn list_statements(&self, query: ListStatements) -> Result<Page<serde_json::Value>, LearningError> {
        crate::told::list(&self.core, query).await
    }

    async fn report_tutor(&self, question: AskTutor) -> Result<TutorReport, LearningError> {
        question.check()?;
        let core = &self.core;
        let _alone = core.reports.acquire().await;
        let now = core.parts.clock.now();
        let acts = read_acts(&*core.parts.events, question.project, question.range(now), ACTS_MAX).await?;
        let report = tokio::task::spawn_blocking(move || report(&acts, &Period::of(&question, now))).await;
        Ok(report.map_err(|error| StorageError::corrupt(error.to_string()))?)
    }

    async fn list_away(&self, query: ListLearners) -> Result<Page<Away>, LearningError> {
        let db = self.core.parts.db.read();
        let structure = store::find_structure(db, query.project, &query.course).await?;
        let required: BTreeSet<&str> = structure.iter().flat_map(CourseStructure::required).collect();
        let learners = store::read_presence(db, query.project, &query.course, &required).await?;
        let (lessons, now) = (required.len(), self.core.parts.clock.now().as_micros());
        let away = tokio::task::spawn_blocking(move || away(&learners, lessons, now)).await;
        let away = away.map_err(|error| StorageError::corrupt(error.to_string()))?;
        let after = query.page.after.as_ref().and_then(|cursor| cursor.as_str().parse::<usize>().ok());
        let (from, limit) = (after.unwrap_or(0), query.page.limit());
        let rest: Vec<Away> = away.into_iter().skip(from).take(limit + 1).collect();
        Ok(Page::from_rows(rest, limit, |_| Cursor::of(&[&from.saturating_add(limit)])))
    }

    async fn compare_cohorts(
        &self,
        project: ProjectId,
        course: &str,
    ) -> Result<Option<Comparison>, LearningError> {
        let db = self.core.parts.db.read();
        let structure = store::find_structure(db, project, course).await?;
        let tests = structure.as_ref().and_then(CourseStructure::tests);
        let (learners, is_cut) = store::read_participants(db, project, course, tests).await?;
        if learners.is_empty() && structure.is_none() {
            return Ok(None);
        }
        let (versions, now) =
            (structure.map(|it| it.versions).unwrap_or_default(), self.core.parts.clock.now());
        let compared = tokio::task::spawn_blocking(move || compare(learners, &versions, now)).await;
        let compared = compared.map_err(|error| StorageError::corrupt(error.to_string()))?;
        Ok(Some(Comparison { is_cut, ..compared }))
    }
}

#[async_trait]
impl LearningSettings for LearningService {
    async fn find_structure(
        &self,
        project: ProjectId,
        course: &str,
    ) -> Result<Option<CourseStructure>, LearningError> {
        Ok(store::find_structure(self.core.parts.db.read(), project, course).await?)
    }

    async fn set_structure(
        &self,
        project: ProjectId,
        course: &str,
        structure: CourseStructure,
        by: &ChangedBy,
    ) -> Result<(), LearningError> {
        check_id("course", course)?;
        structure.check()?;
        let now = self.core.parts.clock.now();
        self.core
            .parts
            .db
            .write(async |tx| {
                store::lock_project(tx, project).await?;
                if !store::save_structure(tx, project, (course, &structure), now).await? {
                    return Err(LearningError::invalid("course", "the project has structures of 500 others"));
                }
                let target = Target { kind: "course", id: course.to_owned() };
                let detail = json!({ "lessons": structure.lessons.len() });
                self.record(tx, project, by, ("learning_structure_changed", target, detail)).await?;
                Ok(())
            })
            .await
    }

    async fn find_rules(&self, project: ProjectId) -> Result<Vec<Rule>, LearningError> {
        Ok(store::find_rules(self.core.parts.db.read(), project).await?)
    }

    async fn set_rules(&self, change: ChangeRules, by: &ChangedBy) -> Result<(), LearningError> {
        check_rules(&change.rules)?;
        let project = change.project;
        self.core
            .parts
            .db
            .write(async |tx| {
                store::lock_project(tx, project).await?;
                store::save_rules(tx, project, &change.rules).await?;
                let target = Target { kind: "project", id: project.to_string() };
                let detail = json!({ "rules": change.rules });
                self.record(tx, project, by, ("learning_rules_changed", target, detail)).await?;
                Ok(())
            })
            .await
    }

    async fn give_feedback(
        &self,
        project: ProjectId,
        subject: SubjectId,
        skill: &str,
        feedback: FlagFeedback,
        by: &ChangedBy,
    ) -> Result<(), LearningError> {
        let now = self.core.parts.clock.now();
        self.core
            .parts
            .db
            .write(async |tx| {
                store::lock_project(tx, project).await?;
                if !store::give_feedback(tx, project, (subject, skill), feedback, now).await? {
                    return Err(LearningError::NotFound("flag"));
                }
                let target = Target { kind: "subject", id: subject.to_string() };
                let detail = json!({ "skill": skill, "feedback": feedback.as_str() });
                self.record(tx, project, by, ("learning_feedback_given", target, detail)).await?;
                Ok(())
            })
            .await
    }
}
