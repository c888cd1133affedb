use std::collections::HashMap;

use belvedere_kernel::ProjectId;
use belvedere_storage::{Id, Sql, StorageError, Timestamp, Tx};
use sea_orm::ConnectionTrait;

use super::StoredRules;
use crate::IssueId;
use crate::grouping::GROUPING_VERSION;

pub(super) async fn find_rules(
    connection: &impl ConnectionTrait,
    projects: &[ProjectId],
) -> Result<HashMap<ProjectId, StoredRules>, StorageError> {
    let mut found = HashMap::new();
    let numbers: Vec<i64> = projects.iter().map(|project| project.0).collect();
    let text = "SELECT project_id, rules, revision, changed_at FROM error_grouping_rules WHERE project_id";
    for row in Sql::new(connection, text).fetch_in(connection, &numbers).await? {
        let rules = StoredRules {
            rules: row.try_get_by_index(1)?,
            revision: row.try_get_by_index(2)?,
            changed_at: Some(row.try_get_by_index(3)?),
        };
        found.insert(ProjectId(row.try_get_by_index(0)?), rules);
    }
    Ok(found)
}

/// Writes rules over those of revision `seen`; whether they were of that revision.
pub(super) async fn set_rules_in(
    tx: &Tx,
    project: ProjectId,
    rules: &str,
    seen: i64,
    now: Timestamp,
) -> Result<bool, StorageError> {
    let head = "INSERT INTO error_grouping_rules (project_id, rules, revision, changed_at) VALUES (";
    let mut sql = Sql::new(tx, head);
    sql.bind(project.0).push(", ").bind(rules).push(", ").bind(seen + 1).push(", ").bind(now);
    sql.push(
        ") ON CONFLICT (project_id) DO UPDATE SET rules = excluded.rules, revision = excluded.revision, \
         changed_at = excluded.changed_at WHERE error_grouping_rules.revision = excluded.revision - 1 RETURNING revision",
    );
    Ok(!sql.fetch(tx).await?.is_empty())
}

/// A stored event for a preview.
pub(super) struct PreviewedEvent {
    pub(super) id: i64,
    pub(super) issue: IssueId,
    pub(super) title: String,
    pub(super) payload: Vec<u8>,
}

/// The newest events of a project, older than the one with the number `before`.
pub(super) async fn list_newest_events(
    connection: &impl ConnectionTrait,
    project: ProjectId,
    before: Option<i64>,
    limit: i64,
) -> Result<Vec<PreviewedEvent>, StorageError> {
    let mut sql =
        Sql::new(connection, "SELECT id, issue_id, title, payload FROM error_event WHERE project_id = ");
    sql.bind(project.0);
    if let Some(before) = before {
        sql.push(" AND id < ").bind(before);
    }
    sql.push(" ORDER BY id DESC LIMIT ").bind(limit);
    let mut events = Vec::new();
    for row in sql.fetch(connection).await? {
        events.push(PreviewedEvent {
            id: row.try_get_by_index(0)?,
            issue: row.try_get_by_index(1)?,
            title: row.try_get_by_index(2)?,
            payload: row.try_get_by_index(3)?,
        });
    }
    Ok(events)
}

/// The issues that hashes of the current version lead to.
pub(super) async fn find_issues_of_hashes(
    connection: &impl ConnectionTrait,
    project: ProjectId,
    hashes: &[[u8; 16]],
) -> Result<HashMap<[u8; 16], IssueId>, StorageError> {
    let mut found = HashMap::new();
    let keys: Vec<Id<()>> = hashes.iter().map(|hash| Id::from_bytes(*hash)).collect();
    let mut sql = Sql::new(connection, "SELECT hash, issue_id FROM error_issue_hash WHERE project_id = ");
    sql.bind(project.0).push(" AND version = ").bind(i64::from(GROUPING_VERSION)).push(" AND hash");
    for row in sql.fetch_in(connection, &keys).await? {
        let hash: Id<()> = row.try_get_by_index(0)?;
        found.insert(hash.to_bytes(), row.try_get_by_index(1)?);
    }
    Ok(found)
}

/// The titles of issues.
pub(super) async fn list_titles(
    connection: &impl ConnectionTrait,
    project: ProjectId,
    issues: &[IssueId],
) -> Result<HashMap<IssueId, String>, StorageError> {
    let mut titles = HashMap::new();
    let mut sql = Sql::new(connection, "SELECT id, title FROM error_issue WHERE project_id = ");
    sql.bind(project.0).push(" AND id");
    for row in sql.fetch_in(connection, issues).await? {
        titles.insert(row.try_get_by_index(0)?, row.try_get_by_index(1)?);
    }
    Ok(titles)
}
