//! What learners did in a course, as far as courses are compared.

use std::collections::{BTreeMap, HashMap};

use belvedere_kernel::ProjectId;
use belvedere_storage::{StorageError, query_sql};
use sea_orm::{ConnectionTrait, Value};

use super::sql::{count, get, state, whole};
use crate::comparison::{LEARNERS_MAX, Participant, Scored};
use crate::sheet::{Tried, earliest};

/// The most first attempts that are looked at.
const FIRSTS_MAX: usize = 1_000_000;
/// How many of them are read at once.
const FIRSTS_READ: usize = 20_000;

fn scored(tried: &Tried) -> Option<Scored> {
    Some((tried.first?.at_micros, tried.first_points?))
}

/// The learners of a course by number, and whether there are more than are looked at. `tests` are the exercises before and
/// after the course.
pub(crate) async fn read_participants(
    connection: &impl ConnectionTrait,
    project: ProjectId,
    course: &str,
    tests: Option<(&str, &str)>,
) -> Result<(Vec<Participant>, bool), StorageError> {
    let sql = "SELECT subject_id, begun_at, started_at, completed_at, active_ms FROM learning_progress \
               WHERE project_id = $1 AND course = $2 AND lesson = '' ORDER BY subject_id LIMIT $3";
    let values = [project.0.into(), course.into(), whole(LEARNERS_MAX as u64 + 1)];
    let rows = query_sql(connection, sql, values).await?;
    let mut is_cut = rows.len() > LEARNERS_MAX;
    let mut learners = Vec::new();
    for row in rows.iter().take(LEARNERS_MAX) {
        let started_micros = get(row, 2)?;
        learners.push(Participant {
            learner: get(row, 0)?,
            // Every event enrols or starts.
            first_micros: earliest(get(row, 1)?, started_micros).unwrap_or_default(),
            started_micros,
            completed_micros: get(row, 3)?,
            active_seconds: count(row, 4)? as f64 / 1_000.0,
            ..Participant::default()
        });
    }
    let places: HashMap<i64, usize> =
        learners.iter().enumerate().map(|(place, it)| (it.learner, place)).collect();
    let sql = "SELECT exercise, subject_id, state FROM learning_exercise WHERE project_id = $1 AND course = $2 \
               AND (exercise, subject_id) > ($3, $4) ORDER BY exercise, subject_id LIMIT $5";
    let (mut after, mut read) = ((String::new(), i64::MIN), 0);
    loop {
        let values: [Value; 5] = [
            project.0.into(),
            course.into(),
            after.0.as_str().into(),
            after.1.into(),
            whole(FIRSTS_READ as u64),
        ];
        let rows = query_sql(connection, sql, values).await?;
        for row in &rows {
            after = (get(row, 0)?, get(row, 1)?);
            let Some(learner) = places.get(&after.1).and_then(|place| learners.get_mut(*place)) else {
                continue;
            };
            let tried: Tried = state(row, 2)?;
            learner.firsts.extend(tried.first.map(|step| (step.at_micros, step.is_correct)));
            if tests.is_some_and(|(pretest, _)| pretest == after.0) {
                learner.pretest = scored(&tried);
            }
            if tests.is_some_and(|(_, posttest)| posttest == after.0) {
                learner.posttest = scored(&tried);
            }
        }
        read += rows.len();
        if rows.len() < FIRSTS_READ {
            return Ok((learners, is_cut));
        }
        if read >= FIRSTS_MAX {
            is_cut = true;
            return Ok((learners, is_cut));
        }
    }
}

/// The scores of the learners who took a test of a course: before it and after it.
pub(crate) async fn read_tests(
    connection: &impl ConnectionTrait,
    project: ProjectId,
    course: &str,
    (pretest, posttest): (&str, &str),
) -> Result<Vec<(Option<Scored>, Option<Scored>)>, StorageError> {
    let sql = "SELECT subject_id, exercise, state FROM learning_exercise \
               WHERE project_id = $1 AND course = $2 AND exercise IN ($3, $4) ORDER BY subject_id LIMIT $5";
    let most = whole(2 * LEARNERS_MAX as u64);
    let values = [project.0.into(), course.into(), pretest.into(), posttest.into(), most];
    let mut tests: BTreeMap<i64, (Option<Scored>, Option<Scored>)> = BTreeMap::new();
    for row in query_sql(connection, sql, values).await? {
        let (exercise, tried): (String, Tried) = (get(&row, 1)?, state(&row, 2)?);
        let of_learner = tests.entry(get(&row, 0)?).or_default();
        let test = if exercise == pretest { &mut of_learner.0 } else { &mut of_learner.1 };
        *test = scored(&tried);
    }
    Ok(tests.into_values().collect())
}
