use belvedere_kernel::{Actor, ProjectId};
use belvedere_storage::{Cursor, Dialect, Id, Page, PageRequest, Sql, StorageError, Timestamp, Tx, bulk};
use sea_orm::{ConnectionTrait, QueryResult};
use serde_json::Value;

use crate::triage::{Activity, ActivityKey, ActivityKind};
use crate::{ErrorTrackingError, IssueId};

/// An entry for a timeline.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct NewActivity {
    pub(crate) project: ProjectId,
    pub(crate) issue: IssueId,
    pub(crate) kind: ActivityKind,
    pub(crate) actor: Actor,
    pub(crate) detail: Value,
    pub(crate) comment: Option<String>,
}

impl NewActivity {
    pub(crate) fn new(project: ProjectId, issue: IssueId, kind: ActivityKind, actor: Actor) -> Self {
        Self { project, issue, kind, actor, detail: Value::Null, comment: None }
    }
}

/// Writes the entries; their ids, in their order.
pub(crate) async fn insert_activities(
    tx: &Tx,
    entries: Vec<NewActivity>,
    now: Timestamp,
) -> Result<Vec<Id<ActivityKey>>, StorageError> {
    let mut ids = Vec::with_capacity(entries.len());
    let rows = entries
        .into_iter()
        .map(|entry| {
            let id: Id<ActivityKey> = Id::generate(now);
            ids.push(id);
            let row: [sea_orm::Value; 9] = [
                entry.project.0.into(),
                entry.issue.into(),
                id.into(),
                now.into(),
                entry.kind.as_str().into(),
                entry.actor.kind().into(),
                entry.actor.id().into(),
                entry.detail.to_string().into(),
                entry.comment.into(),
            ];
            row
        })
        .collect();
    let head = "INSERT INTO error_activity (project_id, issue_id, id, at, kind, actor_kind, actor_id, detail, comment) \
                VALUES ";
    bulk(tx, head, rows, "").await?;
    Ok(ids)
}

/// A page of an issue's timeline, the newest entries first.
pub(crate) async fn list_activities(
    connection: &impl ConnectionTrait,
    project: ProjectId,
    issue: IssueId,
    page: &PageRequest,
) -> Result<Page<Activity>, ErrorTrackingError> {
    let mut sql = Sql::new(connection, COLUMNS);
    sql.bind(project.0).push(" AND issue_id = ").bind(issue);
    if let Some(after) = &page.after {
        let id: Option<Id<ActivityKey>> = after.parts().and_then(|[id]| id.parse().ok());
        let foreign =
            || ErrorTrackingError::InvalidQuery("the cursor does not belong to this list".to_owned());
        sql.push(" AND id < ").bind(id.ok_or_else(foreign)?);
    }
    let limit = i64::try_from(page.limit() + 1).unwrap_or(1);
    sql.push(" ORDER BY id DESC LIMIT ").bind(limit);
    let mut entries = Vec::new();
    for row in sql.fetch(connection).await? {
        entries.push(activity_of(&row)?);
    }
    Ok(Page::from_rows(entries, page.limit(), |last| {
        Cursor::of(&[&last.id.map(|id| id.to_string()).unwrap_or_default()])
    }))
}

const COLUMNS: &str = "SELECT id, at, kind, actor_kind, actor_id, detail, comment, edited_at FROM error_activity \
                       WHERE project_id = ";

fn activity_of(row: &QueryResult) -> Result<Activity, StorageError> {
    let kind: String = row.try_get_by_index(2)?;
    let detail: String = row.try_get_by_index(5)?;
    Ok(Activity {
        id: Some(row.try_get_by_index(0)?),
        at: row.try_get_by_index(1)?,
        kind: kind.parse().map_err(|()| StorageError::corrupt(format!("kind {kind} of an activity")))?,
        actor_kind: row.try_get_by_index(3)?,
        actor_id: row.try_get_by_index(4)?,
        detail: serde_json::from_str(&detail)
            .map_err(|error| StorageError::corrupt(format!("detail of an activity: {error}")))?,
        comment: row.try_get_by_index(6)?,
        edited_at: row.try_get_by_index(7)?,
    })
}

/// One comment, locked.
pub(crate) async fn find_comment_in(
    tx: &Tx,
    project: ProjectId,
    issue: IssueId,
    comment: Id<ActivityKey>,
) -> Result<Option<Activity>, StorageError> {
    let mut sql = Sql::new(tx, COLUMNS);
    sql.bind(project.0).push(" AND issue_id = ").bind(issue).push(" AND id = ").bind(comment);
    sql.push(" AND kind = ").bind(ActivityKind::Comment.as_str());
    if Dialect::of(tx) == Dialect::Postgres {
        sql.push(" FOR UPDATE");
    }
    sql.fetch(tx).await?.first().map(activity_of).transpose()
}

/// Changes the text of a comment, or deletes it.
pub(crate) async fn change_comment_in(
    tx: &Tx,
    project: ProjectId,
    (issue, comment): (IssueId, Id<ActivityKey>),
    text: Option<&str>,
    now: Timestamp,
) -> Result<(), StorageError> {
    let mut sql = match text {
        Some(text) => {
            let mut sql = Sql::new(tx, "UPDATE error_activity SET comment = ");
            sql.bind(text).push(", edited_at = ").bind(now).push(" WHERE project_id = ");
            sql
        }
        None => Sql::new(tx, "DELETE FROM error_activity WHERE project_id = "),
    };
    sql.bind(project.0).push(" AND issue_id = ").bind(issue).push(" AND id = ").bind(comment);
    sql.run(tx).await
}

pub(crate) async fn count_comments(
    connection: &impl ConnectionTrait,
    project: ProjectId,
    issue: IssueId,
) -> Result<i64, StorageError> {
    let mut sql = Sql::new(connection, "SELECT COUNT(*) FROM error_activity WHERE project_id = ");
    sql.bind(project.0).push(" AND issue_id = ").bind(issue);
    sql.push(" AND kind = ").bind(ActivityKind::Comment.as_str());
    let rows = sql.fetch(connection).await?;
    Ok(rows.first().map(|row| row.try_get_by_index(0)).transpose()?.unwrap_or(0))
}
