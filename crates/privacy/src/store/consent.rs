use belvedere_kernel::{ConsentPurpose, ProjectId, SubjectId};
use belvedere_storage::{Sql, StorageError, Timestamp, Tx, bulk, execute_sql, query_sql};
use sea_orm::{ConnectionTrait, QueryResult};

use crate::consent::{Consent, State};

/// Entries of a page.
pub(crate) const PAGE: usize = 500;

fn consent(row: &QueryResult) -> Result<Consent, StorageError> {
    let (purpose, state): (String, String) = (row.try_get_by_index(1)?, row.try_get_by_index(3)?);
    Ok(Consent {
        subject: SubjectId(row.try_get_by_index(0)?),
        purpose: ConsentPurpose::find(&purpose)
            .ok_or_else(|| StorageError::corrupt("privacy_consent.purpose"))?,
        at: row.try_get_by_index(2)?,
        state: State::find(&state).ok_or_else(|| StorageError::corrupt("privacy_consent.state"))?,
        source: row.try_get_by_index(4)?,
    })
}

/// Those of `projects` in which somebody said something.
pub(crate) async fn list_projects(
    connection: &impl ConnectionTrait,
    projects: &[ProjectId],
) -> Result<Vec<ProjectId>, StorageError> {
    let sql = Sql::new(connection, "SELECT DISTINCT project_id FROM privacy_consent WHERE project_id");
    let ids: Vec<i64> = projects.iter().map(|project| project.0).collect();
    let rows = sql.fetch_in(connection, &ids).await?;
    rows.iter().map(|row| Ok(ProjectId(row.try_get_by_index(0)?))).collect()
}

/// The last word of each of `subjects` about each purpose.
pub(crate) async fn list_last(
    connection: &impl ConnectionTrait,
    project: ProjectId,
    subjects: &[SubjectId],
) -> Result<Vec<Consent>, StorageError> {
    let mut sql = Sql::new(
        connection,
        "SELECT c.subject_id, c.purpose, c.at, c.state, c.source FROM privacy_consent c WHERE c.at = \
         (SELECT MAX(l.at) FROM privacy_consent l WHERE l.project_id = c.project_id \
         AND l.subject_id = c.subject_id AND l.purpose = c.purpose) AND c.project_id = ",
    );
    sql.bind(project.0).push(" AND c.subject_id");
    let ids: Vec<i64> = subjects.iter().map(|subject| subject.0).collect();
    sql.fetch_in(connection, &ids).await?.iter().map(consent).collect()
}

pub(crate) async fn insert(
    tx: &Tx,
    project: ProjectId,
    consents: &[Consent],
    now: Timestamp,
) -> Result<(), StorageError> {
    let rows = consents.iter().map(|it| {
        [
            project.0.into(),
            it.subject.0.into(),
            it.purpose.as_str().into(),
            it.at.into(),
            it.state.as_str().into(),
            it.source.as_str().into(),
            now.into(),
        ]
    });
    let head = "INSERT INTO privacy_consent (project_id, subject_id, purpose, at, state, source, recorded_at) VALUES ";
    bulk(tx, head, rows.collect(), "").await.map(drop)
}

/// What a subject said and when that was recorded, the oldest first, behind an entry of that instant and purpose.
pub(crate) async fn list(
    connection: &impl ConnectionTrait,
    project: ProjectId,
    subject: SubjectId,
    (after, purpose): (i64, &str),
) -> Result<Vec<(Consent, Timestamp)>, StorageError> {
    let sql = "SELECT subject_id, purpose, at, state, source, recorded_at FROM privacy_consent \
               WHERE project_id = $1 AND subject_id = $2 AND (at > $3 OR (at = $3 AND purpose > $4)) \
               ORDER BY at, purpose LIMIT 500";
    let values = [project.0.into(), subject.0.into(), after.into(), purpose.into()];
    let rows = query_sql(connection, sql, values).await?;
    rows.iter().map(|row| Ok((consent(row)?, row.try_get_by_index(5)?))).collect()
}

pub(crate) async fn count(
    connection: &impl ConnectionTrait,
    project: ProjectId,
    subject: SubjectId,
) -> Result<u64, StorageError> {
    let sql = "SELECT COUNT(*) FROM privacy_consent WHERE project_id = $1 AND subject_id = $2";
    let rows = query_sql(connection, sql, [project.0.into(), subject.0.into()]).await?;
    let count: i64 = rows.first().map_or(Ok(0), |row| row.try_get_by_index(0))?;
    Ok(u64::try_from(count).unwrap_or(0))
}

pub(crate) async fn delete(tx: &Tx, project: ProjectId, subject: SubjectId) -> Result<u64, StorageError> {
    let sql = "DELETE FROM privacy_consent WHERE project_id = $1 AND subject_id = $2";
    execute_sql(tx, sql, [project.0.into(), subject.0.into()]).await
}
