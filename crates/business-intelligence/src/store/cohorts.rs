//! Cohorts.

use belvedere_kernel::ProjectId;
use belvedere_storage::{Sql, StorageError, Timestamp, Tx, execute_sql, query_sql};
use sea_orm::{ConnectionTrait, QueryResult};

use belvedere_event_store::kernel::subject_set::SubjectSet;

use super::get;
use super::insights::{read_json, write_json};
use crate::insight::{COHORTS_MAX, Cohort, CohortId, decode, encode};

const COHORT: &str = "SELECT id, name, rule, members IS NOT NULL, size, counted_at, created_by, created_at, changed_at \
                      FROM bi_cohort";

fn cohort(row: &QueryResult) -> Result<Cohort, StorageError> {
    let (rule, size): (String, i64) = (get(row, 2)?, get(row, 4)?);
    Ok(Cohort {
        id: get(row, 0)?,
        name: get(row, 1)?,
        rule: read_json(&rule, "the rule of a cohort")?,
        is_static: get(row, 3)?,
        size: u64::try_from(size).unwrap_or(0),
        counted_at: get(row, 5)?,
        created_by: get(row, 6)?,
        created_at: get(row, 7)?,
        changed_at: get(row, 8)?,
    })
}

fn number(size: u64) -> i64 {
    i64::try_from(size).unwrap_or(i64::MAX)
}

/// The cohorts of a project by name, or one of them.
pub(crate) async fn list_cohorts(
    connection: &impl ConnectionTrait,
    project: ProjectId,
    only: Option<CohortId>,
) -> Result<Vec<Cohort>, StorageError> {
    let mut sql = Sql::new(connection, COHORT);
    sql.push(" WHERE project_id = ").bind(project.0);
    if let Some(only) = only {
        sql.push(" AND id = ").bind(only);
    }
    sql.push(" ORDER BY name, id LIMIT ").bind(COHORTS_MAX as i64);
    sql.fetch(connection).await?.iter().map(cohort).collect()
}

/// Writes a new cohort, and who is in it if it is static.
pub(crate) async fn insert_cohort(
    tx: &Tx,
    project: ProjectId,
    cohort: &Cohort,
    members: Option<&SubjectSet>,
) -> Result<(), StorageError> {
    let sql = "INSERT INTO bi_cohort (id, project_id, name, rule, members, size, counted_at, created_by, created_at, \
               changed_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $9)";
    let values = [
        cohort.id.into(),
        project.0.into(),
        cohort.name.as_str().into(),
        write_json(&cohort.rule)?.into(),
        members.map(encode).into(),
        number(cohort.size).into(),
        cohort.counted_at.into(),
        cohort.created_by.into(),
        cohort.created_at.into(),
    ];
    execute_sql(tx, sql, values).await.map(drop)
}

/// Writes what is declared of a cohort, and its size.
pub(crate) async fn update_cohort(tx: &Tx, project: ProjectId, cohort: &Cohort) -> Result<(), StorageError> {
    let sql = "UPDATE bi_cohort SET name = $3, rule = $4, size = $5, counted_at = $6, changed_at = $7 \
               WHERE project_id = $1 AND id = $2";
    let values = [
        project.0.into(),
        cohort.id.into(),
        cohort.name.as_str().into(),
        write_json(&cohort.rule)?.into(),
        number(cohort.size).into(),
        cohort.counted_at.into(),
        cohort.changed_at.into(),
    ];
    execute_sql(tx, sql, values).await.map(drop)
}

/// Writes down how many a count found, unless a later one did.
pub(crate) async fn update_size(
    tx: &Tx,
    project: ProjectId,
    id: CohortId,
    size: u64,
    at: Timestamp,
) -> Result<(), StorageError> {
    let sql = "UPDATE bi_cohort SET size = $3, counted_at = $4 \
               WHERE project_id = $1 AND id = $2 AND counted_at <= $4";
    execute_sql(tx, sql, [project.0.into(), id.into(), number(size).into(), at.into()]).await.map(drop)
}

/// The static cohorts of a project and their names.
pub(crate) async fn list_static(
    connection: &impl ConnectionTrait,
    project: ProjectId,
) -> Result<Vec<(CohortId, String)>, StorageError> {
    let sql =
        "SELECT id, name FROM bi_cohort WHERE project_id = $1 AND members IS NOT NULL ORDER BY id LIMIT $2";
    let rows = query_sql(connection, sql, [project.0.into(), (COHORTS_MAX as i64).into()]).await?;
    rows.iter().map(|row| Ok((get(row, 0)?, get(row, 1)?))).collect()
}

/// Who is in a static cohort; none for any other.
pub(crate) async fn find_members(
    connection: &impl ConnectionTrait,
    project: ProjectId,
    id: CohortId,
) -> Result<Option<SubjectSet>, StorageError> {
    let sql = "SELECT members FROM bi_cohort WHERE project_id = $1 AND id = $2 AND members IS NOT NULL";
    let rows = query_sql(connection, sql, [project.0.into(), id.into()]).await?;
    let Some(row) = rows.first() else { return Ok(None) };
    let bytes: Vec<u8> = get(row, 0)?;
    decode(&bytes).map(Some).ok_or_else(|| StorageError::corrupt("the people of a cohort are no set"))
}

/// Writes who is left in a static cohort.
pub(crate) async fn update_members(
    tx: &Tx,
    project: ProjectId,
    id: CohortId,
    members: &SubjectSet,
) -> Result<(), StorageError> {
    let sql = "UPDATE bi_cohort SET members = $3, size = $4 WHERE project_id = $1 AND id = $2";
    let values = [project.0.into(), id.into(), encode(members).into(), number(members.len()).into()];
    execute_sql(tx, sql, values).await.map(drop)
}
