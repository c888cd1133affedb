use belvedere_kernel::ProjectId;
use belvedere_storage::{Cursor, Id, Page, PageRequest, Sql, StorageError, Timestamp, Tx, bulk};
use sea_orm::{ConnectionTrait, Value};

use super::Former;
use crate::store::write::discard_id;
use crate::triage::{Discard, DiscardKey};
use crate::{ErrorTrackingError, IssueId};

/// Takes the rows of the issues, which must be locked, away, so that nothing shows them any more. Their hashes lead
/// nowhere from now on, or to discards.
pub(crate) async fn remove_in(
    tx: &Tx,
    project: ProjectId,
    issues: &[Former],
    discards: bool,
    now: Timestamp,
) -> Result<(), StorageError> {
    let ids: Vec<IssueId> = issues.iter().map(|issue| issue.id).collect();
    if discards {
        let pairs = ids.iter().map(|id| [(*id).into(), discard_id(*id).into(), project.0.into()]).collect();
        let head = "UPDATE error_issue_hash SET issue_id = v.column2 FROM (VALUES ";
        let tail =
            ") AS v WHERE error_issue_hash.project_id = v.column3 AND error_issue_hash.issue_id = v.column1";
        bulk(tx, head, pairs, tail).await?;
        let mut rows: Vec<[Value; 5]> = Vec::with_capacity(issues.len());
        for issue in issues {
            rows.push([
                project.0.into(),
                discard_id(issue.id).into(),
                issue.title.clone().into(),
                issue.culprit.clone().into(),
                now.into(),
            ]);
        }
        let head = "INSERT INTO error_discard (project_id, id, title, culprit, created_at) VALUES ";
        bulk(tx, head, rows, "").await?;
    } else {
        let mut sql = Sql::new(tx, "DELETE FROM error_issue_hash WHERE project_id = ");
        sql.bind(project.0).push(" AND issue_id IN ").bind_set(&ids);
        sql.run(tx).await?;
    }
    let mut sql = Sql::new(tx, "DELETE FROM error_issue WHERE project_id = ");
    sql.bind(project.0).push(" AND id IN ").bind_set(&ids);
    sql.run(tx).await
}

pub(crate) async fn list_discards(
    connection: &impl ConnectionTrait,
    project: ProjectId,
    page: &PageRequest,
) -> Result<Page<Discard>, ErrorTrackingError> {
    let mut sql =
        Sql::new(connection, "SELECT id, title, culprit, created_at FROM error_discard WHERE project_id = ");
    sql.bind(project.0);
    if let Some(after) = &page.after {
        let id: Option<Id<DiscardKey>> = after.parts().and_then(|[id]| id.parse().ok());
        let foreign =
            || ErrorTrackingError::InvalidQuery("the cursor does not belong to this list".to_owned());
        sql.push(" AND id < ").bind(id.ok_or_else(foreign)?);
    }
    let limit = i64::try_from(page.limit() + 1).unwrap_or(1);
    sql.push(" ORDER BY id DESC LIMIT ").bind(limit);
    let mut rows = Vec::new();
    for row in sql.fetch(connection).await? {
        rows.push(Discard {
            id: row.try_get_by_index(0).map_err(StorageError::from)?,
            title: row.try_get_by_index(1).map_err(StorageError::from)?,
            culprit: row.try_get_by_index(2).map_err(StorageError::from)?,
            created_at: row.try_get_by_index(3).map_err(StorageError::from)?,
        });
    }
    Ok(Page::from_rows(rows, page.limit(), |last| Cursor::of(&[&last.id])))
}

/// Lets the hashes of a discard lead nowhere again; whether there was such a discard.
pub(crate) async fn lift_in(
    tx: &Tx,
    project: ProjectId,
    discard: Id<DiscardKey>,
) -> Result<bool, StorageError> {
    let mut sql = Sql::new(tx, "DELETE FROM error_discard WHERE project_id = ");
    sql.bind(project.0).push(" AND id = ").bind(discard).push(" RETURNING id");
    if sql.fetch(tx).await?.is_empty() {
        return Ok(false);
    }
    let mut sql = Sql::new(tx, "DELETE FROM error_issue_hash WHERE project_id = ");
    sql.bind(project.0).push(" AND issue_id = ").bind(discard);
    sql.run(tx).await?;
    Ok(true)
}
