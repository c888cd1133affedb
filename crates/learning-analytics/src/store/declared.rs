//! What people declare.

use std::collections::{BTreeMap, BTreeSet};

use belvedere_kernel::ProjectId;
use belvedere_storage::{StorageError, Timestamp, Tx, execute_sql, query_sql};
use sea_orm::{ConnectionTrait, Value};

use super::sql::{get, query_in, state, text};
use crate::milestones::Rule;
use crate::structure::{CourseStructure, usual_rules};

/// The most courses of a project that have a structure.
pub(crate) const STRUCTURES_MAX: u64 = 500;

/// Takes the project's row until the end of the transaction, so that nobody else changes what is known of learners;
/// the rules of milestones.
pub(crate) async fn lock_project(tx: &Tx, project: ProjectId) -> Result<Vec<Rule>, StorageError> {
    let sql = "INSERT INTO learning_project (project_id) VALUES ($1) \
               ON CONFLICT (project_id) DO UPDATE SET project_id = excluded.project_id RETURNING rules";
    let rows = query_sql(tx, sql, [project.0.into()]).await?;
    rules_of(rows.first())
}

fn rules_of(row: Option<&sea_orm::QueryResult>) -> Result<Vec<Rule>, StorageError> {
    let Some(row) = row else { return Ok(usual_rules()) };
    match get::<Option<String>>(row, 0)? {
        Some(_) => state(row, 0),
        None => Ok(usual_rules()),
    }
}

pub(crate) async fn find_rules(
    connection: &impl ConnectionTrait,
    project: ProjectId,
) -> Result<Vec<Rule>, StorageError> {
    let sql = "SELECT rules FROM learning_project WHERE project_id = $1";
    let rows = query_sql(connection, sql, [project.0.into()]).await?;
    rules_of(rows.first())
}

pub(crate) async fn save_rules(tx: &Tx, project: ProjectId, rules: &[Rule]) -> Result<(), StorageError> {
    let sql = "UPDATE learning_project SET rules = $2 WHERE project_id = $1";
    execute_sql(tx, sql, [project.0.into(), text(&rules)?]).await?;
    Ok(())
}

pub(crate) async fn find_structure(
    connection: &impl ConnectionTrait,
    project: ProjectId,
    course: &str,
) -> Result<Option<CourseStructure>, StorageError> {
    let sql = "SELECT structure FROM learning_course WHERE project_id = $1 AND course = $2";
    let rows = query_sql(connection, sql, [project.0.into(), course.into()]).await?;
    rows.first().map(|row| state(row, 0)).transpose()
}

/// The structures of some courses.
pub(crate) async fn load_structures(
    connection: &impl ConnectionTrait,
    project: ProjectId,
    courses: &BTreeSet<&str>,
) -> Result<BTreeMap<String, CourseStructure>, StorageError> {
    let sql = ("SELECT course, structure FROM learning_course WHERE project_id = $1 AND course", "");
    let values: Vec<Value> = courses.iter().map(|course| (*course).into()).collect();
    let rows = query_in(connection, sql, &[project.0.into()], 1, &values).await?;
    rows.iter().map(|row| Ok((get(row, 0)?, state(row, 1)?))).collect()
}

/// All structures of a project, at most [`STRUCTURES_MAX`].
pub(crate) async fn list_structures(
    connection: &impl ConnectionTrait,
    project: ProjectId,
) -> Result<BTreeMap<String, CourseStructure>, StorageError> {
    let sql = "SELECT course, structure FROM learning_course WHERE project_id = $1 ORDER BY course LIMIT $2";
    let rows = query_sql(connection, sql, [project.0.into(), super::sql::whole(STRUCTURES_MAX)]).await?;
    rows.iter().map(|row| Ok((get(row, 0)?, state(row, 1)?))).collect()
}

/// Replaces a structure; false if the project has too many.
pub(crate) async fn save_structure(
    tx: &Tx,
    project: ProjectId,
    (course, structure): (&str, &CourseStructure),
    now: Timestamp,
) -> Result<bool, StorageError> {
    let sql = "SELECT COUNT(*) FROM learning_course WHERE project_id = $1 AND course <> $2";
    let rows = query_sql(tx, sql, [project.0.into(), course.into()]).await?;
    let others = rows.first().map(|row| super::sql::count(row, 0)).transpose()?.unwrap_or(0);
    if others >= STRUCTURES_MAX {
        return Ok(false);
    }
    let sql = "INSERT INTO learning_course (project_id, course, structure, updated_at) VALUES ($1, $2, $3, $4) \
               ON CONFLICT (project_id, course) DO UPDATE SET structure = excluded.structure, updated_at = excluded.updated_at";
    execute_sql(tx, sql, [project.0.into(), course.into(), text(structure)?, now.as_micros().into()]).await?;
    Ok(true)
}
