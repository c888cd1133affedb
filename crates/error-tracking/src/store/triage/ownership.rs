use std::collections::HashMap;

use belvedere_kernel::{Actor, ProjectId};
use belvedere_storage::{Sql, StorageError, Timestamp, Tx, bulk};
use sea_orm::{ConnectionTrait, Value};
use serde_json::json;

use super::{NewActivity, insert_activities};
use crate::IssueId;
use crate::triage::{ActivityKind, Owner, Ownership};

/// The rules of those of the projects that have any.
pub(crate) async fn find_ownership(
    connection: &impl ConnectionTrait,
    projects: &[ProjectId],
) -> Result<HashMap<ProjectId, Ownership>, StorageError> {
    let mut found = HashMap::new();
    let numbers: Vec<i64> = projects.iter().map(|project| project.0).collect();
    let sql = Sql::new(connection, "SELECT project_id, rules, assigns FROM error_ownership WHERE project_id");
    for row in sql.fetch_in(connection, &numbers).await? {
        let ownership = Ownership { rules: row.try_get_by_index(1)?, assigns: row.try_get_by_index(2)? };
        found.insert(ProjectId(row.try_get_by_index(0)?), ownership);
    }
    Ok(found)
}

pub(crate) async fn set_ownership_in(
    tx: &Tx,
    project: ProjectId,
    ownership: &Ownership,
    now: Timestamp,
) -> Result<(), StorageError> {
    let mut sql =
        Sql::new(tx, "INSERT INTO error_ownership (project_id, rules, assigns, updated_at) VALUES (");
    sql.bind(project.0).push(", ").bind(ownership.rules.as_str()).push(", ").bind(ownership.assigns);
    sql.push(", ").bind(now).push(
        ") ON CONFLICT (project_id) DO UPDATE SET rules = excluded.rules, assigns = excluded.assigns, \
         updated_at = excluded.updated_at",
    );
    sql.run(tx).await
}

/// Suggests the owners of new issues, or assigns the issues to them, with the rule on the timeline.
pub(crate) async fn own_in(
    tx: &Tx,
    owned: &[(ProjectId, IssueId, &Owner)],
    now: Timestamp,
) -> Result<(), StorageError> {
    let mut rows: Vec<[Value; 3]> = Vec::with_capacity(owned.len());
    let mut entries = Vec::with_capacity(owned.len());
    for (project, issue, owner) in owned {
        let assigned = Some(owner.user).filter(|_| owner.assigns);
        rows.push([(*issue).into(), owner.user.into(), assigned.into()]);
        let actor = Actor::System("error-tracking");
        let detail = json!({ "user": owner.user, "rule": owner.rule, "is_suggestion": !owner.assigns });
        let entry = NewActivity::new(*project, *issue, ActivityKind::Assignment, actor);
        entries.push(NewActivity { detail, ..entry });
    }
    let head = "UPDATE error_issue SET suggested_owner = v.column2, assigned_to = v.column3 FROM (VALUES ";
    bulk(tx, head, rows, ") AS v WHERE error_issue.id = v.column1").await?;
    insert_activities(tx, entries, now).await.map(drop)
}
