//! Feature flags.

use belvedere_kernel::ProjectId;
use belvedere_storage::{Sql, StorageError, Tx, execute_sql};
use sea_orm::{ConnectionTrait, QueryResult};

use super::get;
use super::insights::{read_json, write_json};
use crate::feature_flag::{FLAGS_MAX, FeatureFlag};

const FLAG: &str = "SELECT flag, number, note, is_active, share_percent, conditions, payload, version, created_by, \
                    created_at, changed_at FROM bi_feature_flag";

fn flag(row: &QueryResult) -> Result<FeatureFlag, StorageError> {
    let (share_percent, conditions): (i64, String) = (get(row, 4)?, get(row, 5)?);
    Ok(FeatureFlag {
        key: get(row, 0)?,
        number: get(row, 1)?,
        note: get(row, 2)?,
        is_active: get(row, 3)?,
        share_percent: u8::try_from(share_percent).unwrap_or(0),
        conditions: read_json(&conditions, "the conditions of a feature flag")?,
        payload: get(row, 6)?,
        version: get(row, 7)?,
        created_by: get(row, 8)?,
        created_at: get(row, 9)?,
        changed_at: get(row, 10)?,
    })
}

/// The flags of a project by key, or one of them.
pub(crate) async fn list_flags(
    connection: &impl ConnectionTrait,
    project: ProjectId,
    only: Option<&str>,
) -> Result<Vec<FeatureFlag>, StorageError> {
    let mut sql = Sql::new(connection, FLAG);
    sql.push(" WHERE project_id = ").bind(project.0);
    if let Some(only) = only {
        sql.push(" AND flag = ").bind(only);
    }
    sql.push(" LIMIT ").bind(FLAGS_MAX as i64);
    let mut flags: Vec<FeatureFlag> =
        sql.fetch(connection).await?.iter().map(flag).collect::<Result<_, _>>()?;
    // Databases order texts by rules of their own.
    flags.sort_by(|a, b| a.key.cmp(&b.key));
    Ok(flags)
}

pub(crate) async fn insert_flag(tx: &Tx, project: ProjectId, flag: &FeatureFlag) -> Result<(), StorageError> {
    let sql = "INSERT INTO bi_feature_flag (project_id, flag, number, note, is_active, share_percent, conditions, \
               payload, version, created_by, created_at, changed_at) \
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $11)";
    let values = [
        project.0.into(),
        flag.key.as_str().into(),
        flag.number.into(),
        flag.note.as_str().into(),
        flag.is_active.into(),
        i64::from(flag.share_percent).into(),
        write_json(&flag.conditions)?.into(),
        flag.payload.as_deref().into(),
        flag.version.into(),
        flag.created_by.into(),
        flag.created_at.into(),
    ];
    execute_sql(tx, sql, values).await.map(drop)
}

/// Writes what can change of a flag.
pub(crate) async fn update_flag(tx: &Tx, project: ProjectId, flag: &FeatureFlag) -> Result<(), StorageError> {
    let sql = "UPDATE bi_feature_flag SET note = $3, is_active = $4, share_percent = $5, conditions = $6, payload = $7, \
               version = $8, changed_at = $9 WHERE project_id = $1 AND flag = $2";
    let values = [
        project.0.into(),
        flag.key.as_str().into(),
        flag.note.as_str().into(),
        flag.is_active.into(),
        i64::from(flag.share_percent).into(),
        write_json(&flag.conditions)?.into(),
        flag.payload.as_deref().into(),
        flag.version.into(),
        flag.changed_at.into(),
    ];
    execute_sql(tx, sql, values).await.map(drop)
}

pub(crate) async fn delete_flag(tx: &Tx, project: ProjectId, key: &str) -> Result<(), StorageError> {
    let sql = "DELETE FROM bi_feature_flag WHERE project_id = $1 AND flag = $2";
    execute_sql(tx, sql, [project.0.into(), key.into()]).await.map(drop)
}
