//! What a project decided about revenue, and what there is to know of it before it is asked.

use std::collections::BTreeSet;

use belvedere_kernel::ProjectId;
use belvedere_storage::{StorageError, Timestamp, Tx, execute_sql, query_sql};
use sea_orm::{ConnectionTrait, QueryResult};

use super::get;
use crate::revenue::currency::Currency;
use crate::revenue::ledger::LedgerRules;

/// The rules of the ledger, and the currencies of what is known.
#[derive(Debug, Clone, Default)]
pub(crate) struct Settings {
    pub(crate) rules: LedgerRules,
    pub(crate) currencies: BTreeSet<Currency>,
    /// Numbers about revenue between the same instants are the same for as long as this is.
    pub(crate) version: i64,
}

fn settings_of(row: Option<&QueryResult>) -> Result<Settings, StorageError> {
    let Some(row) = row else { return Ok(Settings::default()) };
    let rules = match get::<Option<String>>(row, 0)? {
        Some(text) => serde_json::from_str(&text)
            .map_err(|error| StorageError::corrupt(format!("rules of a ledger: {error}")))?,
        None => LedgerRules::default(),
    };
    let currencies: String = get(row, 1)?;
    let currencies = currencies.split(',').filter_map(Currency::find).collect();
    Ok(Settings { rules, currencies, version: get(row, 2)? })
}

/// Takes the project's row until the end of the transaction, so that nobody else changes what is known of revenue; it is
/// of another version after that.
pub(crate) async fn lock_project(tx: &Tx, project: ProjectId) -> Result<Settings, StorageError> {
    let sql = "INSERT INTO bi_project (project_id, currencies, version) VALUES ($1, '', 1) \
               ON CONFLICT (project_id) DO UPDATE SET version = bi_project.version + 1 \
               RETURNING rules, currencies, version";
    settings_of(query_sql(tx, sql, [project.0.into()]).await?.first())
}

pub(crate) async fn find_settings(
    connection: &impl ConnectionTrait,
    project: ProjectId,
) -> Result<Settings, StorageError> {
    let sql = "SELECT rules, currencies, version FROM bi_project WHERE project_id = $1";
    settings_of(query_sql(connection, sql, [project.0.into()]).await?.first())
}

pub(crate) async fn save_rules(tx: &Tx, project: ProjectId, rules: &LedgerRules) -> Result<(), StorageError> {
    let text = serde_json::to_string(rules).map_err(|error| StorageError::corrupt(error.to_string()))?;
    let sql = "UPDATE bi_project SET rules = $2 WHERE project_id = $1";
    execute_sql(tx, sql, [project.0.into(), text.into()]).await.map(drop)
}

/// Takes note of currencies.
pub(crate) async fn add_currencies(
    tx: &Tx,
    project: ProjectId,
    known: &BTreeSet<Currency>,
    new: &BTreeSet<Currency>,
) -> Result<(), StorageError> {
    if new.is_subset(known) {
        return Ok(());
    }
    let all: Vec<&str> = known.union(new).map(Currency::as_str).collect();
    let sql = "UPDATE bi_project SET currencies = $2 WHERE project_id = $1";
    execute_sql(tx, sql, [project.0.into(), all.join(",").into()]).await.map(drop)
}

/// Takes note that somebody looks at a project's numbers.
pub(crate) async fn note_look(tx: &Tx, project: ProjectId, now: Timestamp) -> Result<(), StorageError> {
    let sql = "INSERT INTO bi_project (project_id, currencies, looked_at) VALUES ($1, '', $2) \
               ON CONFLICT (project_id) DO UPDATE SET looked_at = excluded.looked_at";
    execute_sql(tx, sql, [project.0.into(), now.into()]).await.map(drop)
}

/// The projects that were looked at since an instant, the last one first.
pub(crate) async fn list_looked_at(
    connection: &impl ConnectionTrait,
    since: Timestamp,
    limit: u64,
) -> Result<Vec<ProjectId>, StorageError> {
    let sql = "SELECT project_id FROM bi_project WHERE looked_at >= $1 ORDER BY looked_at DESC, project_id LIMIT $2";
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let rows = query_sql(connection, sql, [since.into(), limit.into()]).await?;
    rows.iter().map(|row| get(row, 0).map(ProjectId)).collect()
}
