//! When learners were in a course.

use std::collections::{BTreeMap, BTreeSet};

use belvedere_kernel::ProjectId;
use belvedere_storage::{StorageError, query_sql};
use sea_orm::{ConnectionTrait, Value};

use super::sql::{get, state, whole};
use crate::at_risk::{LEARNERS_READ_MAX, LESSONS_READ_MAX, Presence};
use crate::sheet::Place;

/// How many rows are read at once.
const ROWS_READ: usize = 5_000;

/// The learners of a course by number, at most [`LEARNERS_READ_MAX`], with the completions of some of its lessons, at most
/// [`LESSONS_READ_MAX`].
pub(crate) async fn read_presence(
    connection: &impl ConnectionTrait,
    project: ProjectId,
    course: &str,
    required: &BTreeSet<&str>,
) -> Result<Vec<Presence>, StorageError> {
    let mut learners: BTreeMap<i64, Presence> = BTreeMap::new();
    let sql = "SELECT subject_id, completed_at, state FROM learning_progress \
               WHERE project_id = $1 AND course = $2 AND lesson = '' AND subject_id > $3 ORDER BY subject_id LIMIT $4";
    let mut after = i64::MIN;
    loop {
        let values = [project.0.into(), course.into(), after.into(), whole(ROWS_READ as u64)];
        let rows = query_sql(connection, sql, values).await?;
        for row in &rows {
            after = get(row, 0)?;
            let place: Place = state(row, 2)?;
            let visits = place.progress.visits().to_vec();
            let presence = Presence {
                learner: after,
                completed_micros: get(row, 1)?,
                visits,
                lessons_micros: Vec::new(),
            };
            learners.insert(after, presence);
        }
        if rows.len() < ROWS_READ || learners.len() >= LEARNERS_READ_MAX {
            break;
        }
    }
    if required.is_empty() {
        return Ok(learners.into_values().collect());
    }
    let sql = "SELECT lesson, subject_id, completed_at FROM learning_progress WHERE project_id = $1 AND course = $2 \
               AND (lesson, subject_id) > ($3, $4) AND completed_at IS NOT NULL ORDER BY lesson, subject_id LIMIT $5";
    // The course itself has no lesson, and comes before all of them.
    let (mut after, mut read) = ((String::new(), i64::MAX), 0);
    loop {
        let values: [Value; 5] = [
            project.0.into(),
            course.into(),
            after.0.as_str().into(),
            after.1.into(),
            whole(ROWS_READ as u64),
        ];
        let rows = query_sql(connection, sql, values).await?;
        for row in &rows {
            after = (get(row, 0)?, get(row, 1)?);
            if required.contains(after.0.as_str())
                && let Some(learner) = learners.get_mut(&after.1)
            {
                learner.lessons_micros.push(get(row, 2)?);
            }
        }
        read += rows.len();
        if rows.len() < ROWS_READ || read >= LESSONS_READ_MAX {
            return Ok(learners.into_values().collect());
        }
    }
}
