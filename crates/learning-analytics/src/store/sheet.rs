//! What is kept of learners: loaded for a batch, saved after it.

use belvedere_kernel::{ProjectId, SubjectId};
use belvedere_storage::{StorageError, Timestamp, Tx, bulk, execute_sql, query_sql};
use sea_orm::{ConnectionTrait, Value};

use super::facts::replace_milestones;
use super::sql::{count, get, query_in, query_keyed, state, text, whole};
use super::tables::{OF_SUBJECTS, STATES};
use crate::rebuild::Kept;
use crate::sheet::Sheet;

/// Fills the sheet with what is stored of everything that stands in it.
pub(crate) async fn load_sheet(
    connection: &impl ConnectionTrait,
    project: ProjectId,
    sheet: &mut Sheet,
) -> Result<(), StorageError> {
    let first = [Value::from(project.0)];
    let sql = ("SELECT subject_id, state FROM learning_learner WHERE project_id = $1 AND subject_id", "");
    let values: Vec<Value> = sheet.learners.keys().map(|subject| subject.0.into()).collect();
    for row in query_in(connection, sql, &first, 1, &values).await? {
        sheet.learners.insert(SubjectId(get(&row, 0)?), state(&row, 1)?);
    }
    let (columns, keys) = ("subject_id, course, lesson, state", ["course", "lesson", "subject_id"]);
    let values = sheet.places.keys().flat_map(|(subject, (course, lesson))| {
        [Value::from(course.as_str()), lesson.as_str().into(), subject.0.into()]
    });
    let values: Vec<Value> = values.collect();
    for row in query_keyed(connection, (columns, "learning_progress"), project, &keys, &values).await? {
        sheet.places.insert((SubjectId(get(&row, 0)?), (get(&row, 1)?, get(&row, 2)?)), state(&row, 3)?);
    }
    let (columns, keys) = ("subject_id, course, exercise, state", ["course", "exercise", "subject_id"]);
    let values = sheet.tried.keys().flat_map(|(subject, (course, exercise))| {
        [Value::from(course.as_str()), exercise.as_str().into(), subject.0.into()]
    });
    let values: Vec<Value> = values.collect();
    for row in query_keyed(connection, (columns, "learning_exercise"), project, &keys, &values).await? {
        sheet.tried.insert((SubjectId(get(&row, 0)?), (get(&row, 1)?, get(&row, 2)?)), state(&row, 3)?);
    }
    let (columns, keys) = ("subject_id, skill, state", ["subject_id", "skill"]);
    let values = sheet.skills.keys();
    let values = values.flat_map(|(subject, skill)| [Value::from(subject.0), skill.as_str().into()]);
    let values: Vec<Value> = values.collect();
    for row in query_keyed(connection, (columns, "learning_skill"), project, &keys, &values).await? {
        sheet.skills.insert((SubjectId(get(&row, 0)?), get(&row, 1)?), state(&row, 2)?);
    }
    Ok(())
}

/// Everything that is kept of one learner.
pub(crate) async fn read_sheet(
    connection: &impl ConnectionTrait,
    project: ProjectId,
    subject: SubjectId,
) -> Result<Sheet, StorageError> {
    let mut sheet = Sheet::default();
    let of = [Value::from(project.0), subject.0.into()];
    let sql = "SELECT state FROM learning_learner WHERE project_id = $1 AND subject_id = $2";
    for row in query_sql(connection, sql, of.clone()).await? {
        sheet.learners.insert(subject, state(&row, 0)?);
    }
    let sql = "SELECT course, lesson, state FROM learning_progress WHERE project_id = $1 AND subject_id = $2";
    for row in query_sql(connection, sql, of.clone()).await? {
        sheet.places.insert((subject, (get(&row, 0)?, get(&row, 1)?)), state(&row, 2)?);
    }
    let sql =
        "SELECT course, exercise, state FROM learning_exercise WHERE project_id = $1 AND subject_id = $2";
    for row in query_sql(connection, sql, of.clone()).await? {
        sheet.tried.insert((subject, (get(&row, 0)?, get(&row, 1)?)), state(&row, 2)?);
    }
    let sql = "SELECT skill, state FROM learning_skill WHERE project_id = $1 AND subject_id = $2";
    for row in query_sql(connection, sql, of).await? {
        sheet.skills.insert((subject, get(&row, 0)?), state(&row, 1)?);
    }
    Ok(sheet)
}

/// Writes everything that stands in the sheet.
pub(crate) async fn save_sheet(tx: &Tx, project: ProjectId, sheet: &Sheet) -> Result<(), StorageError> {
    let mut rows = Vec::new();
    for (subject, learner) in &sheet.learners {
        let last_at = learner.last_at_micros.unwrap_or(0);
        rows.push([project.0.into(), subject.0.into(), last_at.into(), text(learner)?]);
    }
    let head = "INSERT INTO learning_learner (project_id, subject_id, last_at, state) VALUES ";
    let tail = " ON CONFLICT (project_id, subject_id) DO UPDATE SET last_at = excluded.last_at, state = excluded.state";
    bulk(tx, head, rows, tail).await?;

    let mut rows = Vec::new();
    for ((subject, (course, lesson)), place) in &sheet.places {
        let progress = &place.progress;
        rows.push([
            project.0.into(),
            course.as_str().into(),
            lesson.as_str().into(),
            subject.0.into(),
            progress.begun_at_micros.into(),
            place.started_micros.into(),
            place.completed_micros().into(),
            progress.last_at_micros.unwrap_or(0).into(),
            whole((progress.active_seconds() * 1_000.0).round() as u64),
            text(place)?,
        ]);
    }
    let head = "INSERT INTO learning_progress (project_id, course, lesson, subject_id, begun_at, started_at, \
                completed_at, last_at, active_ms, state) VALUES ";
    let tail = " ON CONFLICT (project_id, course, lesson, subject_id) DO UPDATE SET begun_at = excluded.begun_at, \
                started_at = excluded.started_at, completed_at = excluded.completed_at, last_at = excluded.last_at, \
                active_ms = excluded.active_ms, state = excluded.state";
    bulk(tx, head, rows, tail).await?;

    let mut rows = Vec::new();
    for ((subject, (course, exercise)), tried) in &sheet.tried {
        let milliseconds = |seconds: f64| (seconds * 1_000.0).round() as i64;
        rows.push([
            project.0.into(),
            course.as_str().into(),
            exercise.as_str().into(),
            subject.0.into(),
            whole(tried.attempts),
            tried.first.map(|step| step.is_correct).into(),
            tried.first.and_then(|step| step.seconds).map(milliseconds).into(),
            tried.first_right.map(|(at, _)| at).into(),
            tried.unhinted_micros().into(),
            tried.first_hint.map(|(at, _)| at).into(),
            tried.last_at_micros.unwrap_or(0).into(),
            text(tried)?,
        ]);
    }
    let head = "INSERT INTO learning_exercise (project_id, course, exercise, subject_id, attempts, is_first_correct, \
                first_ms, solved_at, unhinted_at, hinted_at, last_at, state) VALUES ";
    let tail = " ON CONFLICT (project_id, course, exercise, subject_id) DO UPDATE SET attempts = excluded.attempts, \
                is_first_correct = excluded.is_first_correct, first_ms = excluded.first_ms, \
                solved_at = excluded.solved_at, unhinted_at = excluded.unhinted_at, hinted_at = excluded.hinted_at, \
                last_at = excluded.last_at, state = excluded.state";
    bulk(tx, head, rows, tail).await?;

    let mut rows = Vec::new();
    for ((subject, skill), history) in &sheet.skills {
        rows.push([project.0.into(), subject.0.into(), skill.as_str().into(), text(history)?]);
    }
    let head = "INSERT INTO learning_skill (project_id, subject_id, skill, state) VALUES ";
    let tail = " ON CONFLICT (project_id, subject_id, skill) DO UPDATE SET state = excluded.state";
    bulk(tx, head, rows, tail).await.map(drop)
}

/// Writes what is kept of a learner anew; what was said of them stays: when milestones were told, and flags.
pub(crate) async fn replace_subject(
    tx: &Tx,
    project: ProjectId,
    subject: SubjectId,
    kept: &Kept,
    now: Timestamp,
) -> Result<(), StorageError> {
    for table in STATES {
        let sql = format!("DELETE FROM {table} WHERE project_id = $1 AND subject_id = $2");
        execute_sql(tx, &sql, [project.0.into(), subject.0.into()]).await?;
    }
    save_sheet(tx, project, &kept.sheet).await?;
    let sql = "UPDATE learning_milestone SET reached_at = NULL WHERE project_id = $1 AND subject_id = $2";
    execute_sql(tx, sql, [project.0.into(), subject.0.into()]).await?;
    replace_milestones(tx, project, &kept.milestones, now).await
}

/// How many rows there are of a learner.
pub(crate) async fn count_subject(
    connection: &impl ConnectionTrait,
    project: ProjectId,
    subject: SubjectId,
) -> Result<u64, StorageError> {
    let counts: Vec<String> = OF_SUBJECTS
        .iter()
        .map(|table| format!("(SELECT COUNT(*) FROM {table} WHERE project_id = $1 AND subject_id = $2)"))
        .collect();
    let sql = format!("SELECT {}", counts.join(" + "));
    let rows = query_sql(connection, &sql, [project.0.into(), subject.0.into()]).await?;
    rows.first().map(|row| count(row, 0)).transpose().map(Option::unwrap_or_default)
}

/// Removes every row of a learner; the sums of exercises and skills stay, in which nobody can be told from another.
pub(crate) async fn erase_subject(
    tx: &Tx,
    project: ProjectId,
    subject: SubjectId,
) -> Result<u64, StorageError> {
    let mut rows = 0;
    for table in OF_SUBJECTS {
        let sql = format!("DELETE FROM {table} WHERE project_id = $1 AND subject_id = $2");
        rows += execute_sql(tx, &sql, [project.0.into(), subject.0.into()]).await?;
    }
    Ok(rows)
}
