//! What is read for people. Every list has a limit.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use belvedere_kernel::{ProjectId, SubjectId};
use belvedere_storage::{Cursor, Page, PageRequest, StorageError, Timestamp, query_sql};
use sea_orm::{ConnectionTrait, QueryResult, Value};

use super::sql::{count, get, query_in, state, whole};
use crate::history::ItemKey;
use crate::items::Response;
use crate::mastery::{Counts, SkillHistory};
use crate::milestones::ActiveDays;
use crate::model::{CourseRow, FlagFeedback, FlagPrecision, LessonSummary, ListLearners, ReachedMilestone};
use crate::sheet::{ItemKind, Learner, Place};

/// The most answers of an item table.
pub(crate) const RESPONSES_MAX: u64 = 200_000;
/// The most exercises of a course that are looked at.
const ITEMS_MAX: u64 = 5_000;
/// The most places of a learner.
const PLACES_MAX: u64 = 20_000;
/// The most skills of a learner.
const SKILLS_MAX: u64 = 1_000;
/// The most lessons of a course.
const LESSONS_MAX: u64 = 500;
/// Whoever has done nothing for so long has stopped.
const STOPPED_AFTER_MICROS: i64 = 14 * 86_400 * 1_000_000;

fn instant(row: &QueryResult, index: usize) -> Result<Option<Timestamp>, StorageError> {
    get::<Option<i64>>(row, index).map(|micros| micros.map(Timestamp::from_micros))
}

fn rows_of(page: &PageRequest) -> Value {
    whole(page.limit() as u64 + 1)
}

pub(crate) async fn read_learner(
    connection: &impl ConnectionTrait,
    project: ProjectId,
    subject: SubjectId,
) -> Result<Option<Learner>, StorageError> {
    let sql = "SELECT state FROM learning_learner WHERE project_id = $1 AND subject_id = $2";
    let rows = query_sql(connection, sql, [project.0.into(), subject.0.into()]).await?;
    rows.first().map(|row| state(row, 0)).transpose()
}

/// Courses and lessons of a learner, by id; a course comes before its lessons.
pub(crate) async fn read_places(
    connection: &impl ConnectionTrait,
    project: ProjectId,
    subject: SubjectId,
) -> Result<Vec<(String, String, Place)>, StorageError> {
    let sql = "SELECT course, lesson, state FROM learning_progress WHERE project_id = $1 AND subject_id = $2 \
               ORDER BY course, lesson LIMIT $3";
    let values = [project.0.into(), subject.0.into(), whole(PLACES_MAX)];
    let rows = query_sql(connection, sql, values).await?;
    rows.iter().map(|row| Ok((get(row, 0)?, get(row, 1)?, state(row, 2)?))).collect()
}

pub(crate) async fn list_learners(
    connection: &impl ConnectionTrait,
    query: &ListLearners,
) -> Result<Page<(SubjectId, Place)>, StorageError> {
    let after = query.page.after.as_ref().and_then(|cursor| cursor.as_str().parse::<i64>().ok());
    let sql = "SELECT subject_id, state FROM learning_progress \
               WHERE project_id = $1 AND course = $2 AND lesson = '' AND subject_id > $3 \
               ORDER BY subject_id LIMIT $4";
    let values = [
        query.project.0.into(),
        query.course.as_str().into(),
        after.unwrap_or(i64::MIN).into(),
        rows_of(&query.page),
    ];
    let rows = query_sql(connection, sql, values).await?;
    let learners: Result<Vec<(SubjectId, Place)>, StorageError> =
        rows.iter().map(|row| Ok((SubjectId(get(row, 0)?), state(row, 1)?))).collect();
    Ok(Page::from_rows(learners?, query.page.limit(), |(subject, _)| Cursor::of(&[subject])))
}

/// Courses with a learner, by id; titles are filled in by the caller.
pub(crate) async fn list_courses(
    connection: &impl ConnectionTrait,
    project: ProjectId,
    now: Timestamp,
    page: &PageRequest,
) -> Result<Page<CourseRow>, StorageError> {
    let sql = "SELECT course, COUNT(*), COUNT(begun_at), COUNT(started_at), COUNT(completed_at), \
               COUNT(CASE WHEN last_at >= $4 THEN 1 END) FROM learning_progress \
               WHERE project_id = $1 AND lesson = '' AND course > $2 GROUP BY course ORDER BY course LIMIT $3";
    let after = page.after.as_ref().map_or("", Cursor::as_str);
    let since = now.as_micros() - STOPPED_AFTER_MICROS;
    let values = [project.0.into(), after.into(), rows_of(page), since.into()];
    let rows = query_sql(connection, sql, values).await?;
    let courses = rows.iter().map(|row| {
        Ok(CourseRow {
            course: get(row, 0)?,
            title: String::new(),
            learners: count(row, 1)?,
            enrolled: count(row, 2)?,
            started: count(row, 3)?,
            completed: count(row, 4)?,
            active: count(row, 5)?,
            median_seconds: None,
        })
    });
    let courses = courses.collect::<Result<Vec<_>, StorageError>>()?;
    let mut page = Page::from_rows(courses, page.limit(), |it| Cursor::from(it.course.clone()));
    let Some(last) = page.items.last().map(|row| row.course.clone()) else { return Ok(page) };
    let sql = "SELECT course, active_ms FROM (SELECT course, active_ms, \
               ROW_NUMBER() OVER (PARTITION BY course ORDER BY active_ms) AS place, \
               COUNT(*) OVER (PARTITION BY course) AS learners FROM learning_progress \
               WHERE project_id = $1 AND lesson = '' AND completed_at IS NOT NULL AND course > $2 AND course <= $3) \
               AS timed WHERE place = (learners + 1) / 2";
    for row in query_sql(connection, sql, [project.0.into(), after.into(), last.into()]).await? {
        let course: String = get(&row, 0)?;
        if let Some(found) = page.items.iter_mut().find(|it| it.course == course) {
            found.median_seconds = Some(seconds(&row, 1)?);
        }
    }
    Ok(page)
}

/// Learners of a course, those who enrolled, started and completed it, and the median time of the last.
pub(crate) async fn read_course(
    connection: &impl ConnectionTrait,
    project: ProjectId,
    course: &str,
) -> Result<([u64; 4], Option<f64>), StorageError> {
    let sql = "SELECT COUNT(*), COUNT(begun_at), COUNT(started_at), COUNT(completed_at) FROM learning_progress \
               WHERE project_id = $1 AND course = $2 AND lesson = ''";
    let rows = query_sql(connection, sql, [project.0.into(), course.into()]).await?;
    let Some(row) = rows.first() else { return Ok(([0; 4], None)) };
    let counts = [count(row, 0)?, count(row, 1)?, count(row, 2)?, count(row, 3)?];
    let Some(middle) = counts[3].checked_sub(1).map(|last| last / 2) else { return Ok((counts, None)) };
    let sql = "SELECT active_ms FROM learning_progress \
               WHERE project_id = $1 AND course = $2 AND lesson = '' AND completed_at IS NOT NULL \
               ORDER BY active_ms LIMIT 1 OFFSET $3";
    let rows = query_sql(connection, sql, [project.0.into(), course.into(), whole(middle)]).await?;
    Ok((counts, rows.first().map(|row| seconds(row, 0)).transpose()?))
}

fn seconds(row: &QueryResult, index: usize) -> Result<f64, StorageError> {
    count(row, index).map(|milliseconds| milliseconds as f64 / 1_000.0)
}

/// The lessons of a course that somebody has been in, by id.
pub(crate) async fn read_lessons(
    connection: &impl ConnectionTrait,
    project: ProjectId,
    course: &str,
    now: Timestamp,
) -> Result<BTreeMap<String, LessonSummary>, StorageError> {
    let of = [Value::from(project.0), course.into()];
    let mut lessons: BTreeMap<String, LessonSummary> = BTreeMap::new();
    let sql = "SELECT lesson, COUNT(*), COUNT(completed_at) FROM learning_progress \
               WHERE project_id = $1 AND course = $2 AND lesson <> '' GROUP BY lesson ORDER BY lesson LIMIT $3";
    let limited = of.iter().cloned().chain([whole(LESSONS_MAX)]);
    for row in query_sql(connection, sql, limited).await? {
        let (lesson, started, completed): (String, _, _) = (get(&row, 0)?, count(&row, 1)?, count(&row, 2)?);
        let drop_off = (started > 0).then(|| 1.0 - completed as f64 / started as f64);
        let summary = LessonSummary {
            lesson: lesson.clone(),
            started,
            completed,
            drop_off,
            ..LessonSummary::default()
        };
        lessons.insert(lesson, summary);
    }
    let sql = "SELECT lesson, active_ms FROM (SELECT lesson, active_ms, \
               ROW_NUMBER() OVER (PARTITION BY lesson ORDER BY active_ms) AS place, \
               COUNT(*) OVER (PARTITION BY lesson) AS learners FROM learning_progress \
               WHERE project_id = $1 AND course = $2 AND lesson <> '' AND completed_at IS NOT NULL) AS timed \
               WHERE place = (learners + 1) / 2";
    for row in query_sql(connection, sql, of.clone()).await? {
        if let Some(lesson) = lessons.get_mut(&get::<String>(&row, 0)?) {
            lesson.median_seconds = Some(seconds(&row, 1)?);
        }
    }
    let sql = "SELECT latest.lesson, COUNT(*) FROM (SELECT subject_id, lesson, \
               ROW_NUMBER() OVER (PARTITION BY subject_id ORDER BY last_at DESC, lesson) AS place \
               FROM learning_progress WHERE project_id = $1 AND course = $2 AND lesson <> '') AS latest \
               JOIN learning_progress AS whole ON whole.project_id = $1 AND whole.course = $2 AND whole.lesson = '' \
               AND whole.subject_id = latest.subject_id \
               WHERE latest.place = 1 AND whole.completed_at IS NULL AND whole.last_at < $3 GROUP BY latest.lesson";
    let until = (now.as_micros() - STOPPED_AFTER_MICROS).into();
    for row in query_sql(connection, sql, of.into_iter().chain([until])).await? {
        if let Some(lesson) = lessons.get_mut(&get::<String>(&row, 0)?) {
            lesson.stopped_here = count(&row, 1)?;
        }
    }
    Ok(lessons)
}

/// What learners did at the exercises of a course; at most [`RESPONSES_MAX`] and one more.
pub(crate) async fn list_responses(
    connection: &impl ConnectionTrait,
    project: ProjectId,
    course: &str,
) -> Result<Vec<Response>, StorageError> {
    let sql = "SELECT subject_id, exercise, is_first_correct, first_ms, attempts, hinted_at FROM learning_exercise \
               WHERE project_id = $1 AND course = $2 ORDER BY exercise, subject_id LIMIT $3";
    let values = [project.0.into(), course.into(), whole(RESPONSES_MAX + 1)];
    let rows = query_sql(connection, sql, values).await?;
    let responses = rows.iter().map(|row| {
        Ok(Response {
            learner: get(row, 0)?,
            exercise: get(row, 1)?,
            is_first_correct: get(row, 2)?,
            first_seconds: get::<Option<i64>>(row, 3)?.map(|milliseconds| milliseconds as f64 / 1_000.0),
            attempts: count(row, 4)?,
            was_hinted: get::<Option<i64>>(row, 5)?.is_some(),
        })
    });
    responses.collect()
}

/// At how many exercises of a course those were last who stopped: who did not complete it and have done nothing in it for
/// 14 days.
pub(crate) async fn count_stopped(
    connection: &impl ConnectionTrait,
    project: ProjectId,
    course: &str,
    now: Timestamp,
) -> Result<HashMap<String, u64>, StorageError> {
    let sql = "SELECT latest.exercise, COUNT(*) FROM (SELECT subject_id, exercise, \
               ROW_NUMBER() OVER (PARTITION BY subject_id ORDER BY last_at DESC, exercise) AS place \
               FROM learning_exercise WHERE project_id = $1 AND course = $2 AND last_at > 0) AS latest \
               JOIN learning_progress AS whole ON whole.project_id = $1 AND whole.course = $2 AND whole.lesson = '' \
               AND whole.subject_id = latest.subject_id \
               WHERE latest.place = 1 AND whole.completed_at IS NULL AND whole.last_at < $3 GROUP BY latest.exercise";
    let until = (now.as_micros() - STOPPED_AFTER_MICROS).into();
    let rows = query_sql(connection, sql, [project.0.into(), course.into(), until]).await?;
    rows.iter().map(|row| Ok((get(row, 0)?, count(row, 1)?))).collect()
}

/// The exercises of a course that somebody has tried, with what they are about.
pub(crate) async fn list_course_items(
    connection: &impl ConnectionTrait,
    project: ProjectId,
    course: &str,
) -> Result<Vec<(String, Vec<String>, ItemKey, Counts)>, StorageError> {
    let sql = "SELECT name, skills, item_key, attempts, correct FROM learning_item \
               WHERE project_id = $1 AND kind = $2 AND course = $3 ORDER BY name LIMIT $4";
    let kind = ItemKind::Exercise.to_number().into();
    let rows = query_sql(connection, sql, [project.0.into(), kind, course.into(), whole(ITEMS_MAX)]).await?;
    let items = rows.iter().map(|row| {
        let counts = Counts { attempts: count(row, 3)?, correct: count(row, 4)? };
        Ok((get(row, 0)?, state(row, 1)?, ItemKey(get(row, 2)?), counts))
    });
    items.collect()
}

/// Whether a learner has solved the exercises of a course that they have tried.
pub(crate) async fn list_tried(
    connection: &impl ConnectionTrait,
    project: ProjectId,
    subject: SubjectId,
    course: &str,
) -> Result<BTreeMap<String, bool>, StorageError> {
    let sql = "SELECT exercise, solved_at FROM learning_exercise \
               WHERE project_id = $1 AND subject_id = $2 AND course = $3 ORDER BY exercise LIMIT $4";
    let values = [project.0.into(), subject.0.into(), course.into(), whole(ITEMS_MAX)];
    let rows = query_sql(connection, sql, values).await?;
    rows.iter().map(|row| Ok((get(row, 0)?, get::<Option<i64>>(row, 1)?.is_some()))).collect()
}

/// What a learner did over all skills, at each of them by name, and on which days.
pub(crate) async fn list_skills_of(
    connection: &impl ConnectionTrait,
    project: ProjectId,
    subject: SubjectId,
) -> Result<(Learner, BTreeMap<String, SkillHistory>), StorageError> {
    let learner = read_learner(connection, project, subject).await?.unwrap_or_default();
    let sql = "SELECT skill, state FROM learning_skill WHERE project_id = $1 AND subject_id = $2 \
               ORDER BY skill LIMIT $3";
    let values = [project.0.into(), subject.0.into(), whole(SKILLS_MAX)];
    let rows = query_sql(connection, sql, values).await?;
    let skills: Result<BTreeMap<_, _>, StorageError> =
        rows.iter().map(|row| Ok((get(row, 0)?, state(row, 1)?))).collect();
    Ok((learner, skills?))
}

/// A flag with what is known of the learner and the skill now.
pub(crate) struct StoredFlag {
    pub(crate) subject: SubjectId,
    pub(crate) skill: String,
    pub(crate) flagged_at: Timestamp,
    pub(crate) onset_at: Timestamp,
    pub(crate) cleared_at: Option<Timestamp>,
    pub(crate) feedback: Option<FlagFeedback>,
    pub(crate) history: SkillHistory,
    pub(crate) days: ActiveDays,
}

/// Flags, the latest first.
pub(crate) async fn list_flags(
    connection: &impl ConnectionTrait,
    project: ProjectId,
    with_cleared: bool,
    page: &PageRequest,
) -> Result<Page<StoredFlag>, StorageError> {
    let mut values = vec![Value::from(project.0), rows_of(page)];
    let mut sql = "SELECT subject_id, skill, flagged_at, onset_at, cleared_at, feedback FROM learning_flag \
                   WHERE project_id = $1"
        .to_owned();
    if !with_cleared {
        sql.push_str(" AND cleared_at IS NULL");
    }
    if let Some((at, subject, skill)) = page.after.as_ref().and_then(place_of_flag) {
        sql.push_str(" AND (flagged_at, subject_id, skill) < ($3, $4, $5)");
        values.extend([at.into(), subject.into(), skill.into()]);
    }
    sql.push_str(" ORDER BY flagged_at DESC, subject_id DESC, skill DESC LIMIT $2");
    let rows = query_sql(connection, &sql, values).await?;
    let flags = rows.iter().map(flag_of).collect::<Result<Vec<_>, StorageError>>()?;
    let mut page = Page::from_rows(flags, page.limit(), |flag| {
        Cursor::of(&[&flag.flagged_at.as_micros(), &flag.subject, &flag.skill])
    });
    let sql = (
        "SELECT subject_id, skill, state FROM learning_skill WHERE project_id = $1 AND (subject_id, skill)",
        "",
    );
    let keys = page.items.iter().flat_map(|flag| [Value::from(flag.subject.0), flag.skill.as_str().into()]);
    let keys: Vec<Value> = keys.collect();
    let mut known: BTreeMap<(i64, String), SkillHistory> = BTreeMap::new();
    for row in query_in(connection, sql, &[project.0.into()], 2, &keys).await? {
        known.insert((get(&row, 0)?, get(&row, 1)?), state(&row, 2)?);
    }
    let sql = ("SELECT subject_id, state FROM learning_learner WHERE project_id = $1 AND subject_id", "");
    let subjects: BTreeSet<SubjectId> = page.items.iter().map(|flag| flag.subject).collect();
    let keys: Vec<Value> = subjects.iter().map(|subject| subject.0.into()).collect();
    let mut learners: BTreeMap<i64, Learner> = BTreeMap::new();
    for row in query_in(connection, sql, &[project.0.into()], 1, &keys).await? {
        learners.insert(get(&row, 0)?, state(&row, 1)?);
    }
    for flag in &mut page.items {
        flag.history = known.get(&(flag.subject.0, flag.skill.clone())).cloned().unwrap_or_default();
        flag.days = learners.get(&flag.subject.0).map(|learner| learner.days.clone()).unwrap_or_default();
    }
    Ok(page)
}

fn flag_of(row: &QueryResult) -> Result<StoredFlag, StorageError> {
    Ok(StoredFlag {
        subject: SubjectId(get(row, 0)?),
        skill: get(row, 1)?,
        flagged_at: Timestamp::from_micros(get(row, 2)?),
        onset_at: Timestamp::from_micros(get(row, 3)?),
        cleared_at: instant(row, 4)?,
        feedback: get::<Option<i64>>(row, 5)?.and_then(FlagFeedback::from_number),
        history: SkillHistory::default(),
        days: ActiveDays::default(),
    })
}

/// The flags of one learner, the latest first; at most [`SKILLS_MAX`].
pub(crate) async fn list_flags_of(
    connection: &impl ConnectionTrait,
    project: ProjectId,
    subject: SubjectId,
) -> Result<Vec<StoredFlag>, StorageError> {
    let sql = "SELECT subject_id, skill, flagged_at, onset_at, cleared_at, feedback FROM learning_flag \
               WHERE project_id = $1 AND subject_id = $2 ORDER BY flagged_at DESC, skill LIMIT $3";
    let values = [project.0.into(), subject.0.into(), whole(SKILLS_MAX)];
    query_sql(connection, sql, values).await?.iter().map(flag_of).collect()
}

fn place_of_flag(cursor: &Cursor) -> Option<(i64, i64, &str)> {
    // The skill comes last, as it may have the character between the parts.
    let mut parts = cursor.as_str().splitn(3, '~');
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?, parts.next()?))
}

pub(crate) async fn count_feedback(
    connection: &impl ConnectionTrait,
    project: ProjectId,
) -> Result<FlagPrecision, StorageError> {
    let sql = "SELECT COUNT(*), COUNT(cleared_at), COUNT(CASE WHEN feedback = 1 THEN 1 END), \
               COUNT(CASE WHEN feedback = 2 THEN 1 END) FROM learning_flag WHERE project_id = $1";
    let rows = query_sql(connection, sql, [project.0.into()]).await?;
    let Some(row) = rows.first() else { return Ok(FlagPrecision::default()) };
    let (flags, helped, not_struggling) = (count(row, 0)?, count(row, 2)?, count(row, 3)?);
    let judged = helped + not_struggling;
    let precision = (judged > 0).then(|| helped as f64 / judged as f64);
    Ok(FlagPrecision { flags, open: flags - count(row, 1)?.min(flags), helped, not_struggling, precision })
}

/// Milestones, the latest first; of one learner or of all.
pub(crate) async fn list_milestones(
    connection: &impl ConnectionTrait,
    project: ProjectId,
    subject: Option<SubjectId>,
    page: &PageRequest,
) -> Result<Page<ReachedMilestone>, StorageError> {
    let mut values = vec![Value::from(project.0), rows_of(page)];
    let mut sql = "SELECT subject_id, rule, course, reached_at FROM learning_milestone \
                   WHERE project_id = $1 AND reached_at IS NOT NULL"
        .to_owned();
    if let Some(subject) = subject {
        values.push(subject.0.into());
        sql.push_str(" AND subject_id = $3");
    }
    if let Some((at, subject, rule, course)) = page.after.as_ref().and_then(place_of_milestone) {
        let first = values.len() + 1;
        let places: Vec<String> = (first..first + 4).map(|place| format!("${place}")).collect();
        sql.push_str(&format!(" AND (reached_at, subject_id, rule, course) < ({})", places.join(", ")));
        values.extend([at.into(), subject.into(), rule.into(), course.into()]);
    }
    sql.push_str(" ORDER BY reached_at DESC, subject_id DESC, rule DESC, course DESC LIMIT $2");
    let rows = query_sql(connection, &sql, values).await?;
    let milestones = rows.iter().map(|row| {
        Ok(ReachedMilestone {
            subject: SubjectId(get(row, 0)?),
            rule: get(row, 1)?,
            course: get(row, 2)?,
            reached_at: Timestamp::from_micros(get(row, 3)?),
        })
    });
    let milestones = milestones.collect::<Result<Vec<_>, StorageError>>()?;
    Ok(Page::from_rows(milestones, page.limit(), |it| {
        Cursor::of(&[&it.reached_at.as_micros(), &it.subject, &it.rule, &it.course])
    }))
}

fn place_of_milestone(cursor: &Cursor) -> Option<(i64, i64, &str, &str)> {
    let mut parts = cursor.as_str().splitn(4, '~');
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?, parts.next()?, parts.next()?))
}
