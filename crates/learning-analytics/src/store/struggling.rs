//! Who struggles, as numbers.

use belvedere_kernel::{ProjectId, StrugglingNumbers, SubjectId};
use belvedere_storage::{StorageError, query_sql};
use sea_orm::{ConnectionTrait, Value};

use super::sql::{count, get, query_in, whole};
use crate::suppress::GROUP_MIN;

/// The most skills that are named.
const AREAS_MAX: u64 = 10;
/// The most learners that are named.
const STRUGGLING_MAX: u64 = 20;

/// Who struggles at this moment, by their flags that are not cleared.
pub(crate) async fn count_struggling(
    connection: &impl ConnectionTrait,
    project: ProjectId,
) -> Result<StrugglingNumbers, StorageError> {
    let sql =
        "SELECT COUNT(DISTINCT subject_id) FROM learning_flag WHERE project_id = $1 AND cleared_at IS NULL";
    let rows = query_sql(connection, sql, [project.0.into()]).await?;
    let learners = rows.first().map_or(Ok(0), |row| count(row, 0))?;
    let sql = "SELECT skill, COUNT(DISTINCT subject_id) AS learners FROM learning_flag \
               WHERE project_id = $1 AND cleared_at IS NULL GROUP BY skill \
               HAVING COUNT(DISTINCT subject_id) >= $2 ORDER BY learners DESC, skill LIMIT $3";
    let values = [project.0.into(), whole(GROUP_MIN), whole(AREAS_MAX)];
    let rows = query_sql(connection, sql, values).await?;
    let areas =
        rows.iter().map(|row| Ok((get(row, 0)?, count(row, 1)?))).collect::<Result<_, StorageError>>()?;
    let sql = "SELECT subject_id, MAX(flagged_at) AS flagged FROM learning_flag \
               WHERE project_id = $1 AND cleared_at IS NULL GROUP BY subject_id \
               ORDER BY flagged DESC, subject_id DESC LIMIT $2";
    let rows = query_sql(connection, sql, [project.0.into(), whole(STRUGGLING_MAX)]).await?;
    let mut latest: Vec<(SubjectId, Vec<String>)> = Vec::with_capacity(rows.len());
    for row in &rows {
        latest.push((SubjectId(get(row, 0)?), Vec::new()));
    }
    let sql = (
        "SELECT subject_id, skill FROM learning_flag WHERE project_id = $1 AND cleared_at IS NULL AND subject_id",
        " ORDER BY skill",
    );
    let keys: Vec<Value> = latest.iter().map(|(subject, _)| subject.0.into()).collect();
    for row in query_in(connection, sql, &[project.0.into()], 1, &keys).await? {
        let subject = SubjectId(get(&row, 0)?);
        if let Some((_, skills)) = latest.iter_mut().find(|(known, _)| *known == subject) {
            skills.push(get(&row, 1)?);
        }
    }
    Ok(StrugglingNumbers { learners, areas, latest })
}
