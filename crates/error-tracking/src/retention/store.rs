use belvedere_kernel::ProjectId;
use belvedere_storage::{Id, Sql, StorageError, Timestamp, Tx};
use sea_orm::ConnectionTrait;

use crate::IssueId;
use crate::attachment::delete_of_owners_in;
use crate::event_id::{EventId, EventKey};
use crate::feedback::length_of;
use crate::limits::{StorageChange, StoredKind};

/// Where an event stands among those of its issue.
pub(super) type Place = (Timestamp, i64);

/// What a sweep needs to know of an issue.
pub(super) struct IssueRow {
    pub(super) id: IssueId,
    pub(super) events: u64,
    pub(super) first_seen: Timestamp,
}

/// The projects that have issues, after `after`, in the order of their numbers.
pub(super) async fn list_projects(
    connection: &impl ConnectionTrait,
    after: i64,
    limit: i64,
) -> Result<Vec<ProjectId>, StorageError> {
    let mut sql = Sql::new(connection, "SELECT project_id FROM error_issue_counter WHERE project_id > ");
    sql.bind(after).push(" ORDER BY project_id LIMIT ").bind(limit);
    let rows = sql.fetch(connection).await?;
    rows.iter().map(|row| Ok(ProjectId(row.try_get_by_index(0)?))).collect()
}

/// The project of every feedback, each once: a project may have people's words and no issue.
pub(super) async fn list_projects_with_feedback(
    connection: &impl ConnectionTrait,
    limit: i64,
) -> Result<Vec<ProjectId>, StorageError> {
    let mut sql =
        Sql::new(connection, "SELECT DISTINCT project_id FROM error_feedback ORDER BY project_id LIMIT ");
    sql.bind(limit);
    let rows = sql.fetch(connection).await?;
    rows.iter().map(|row| Ok(ProjectId(row.try_get_by_index(0)?))).collect()
}

pub(super) async fn list_issues(
    connection: &impl ConnectionTrait,
    project: ProjectId,
    after: Option<IssueId>,
    limit: i64,
) -> Result<Vec<IssueRow>, StorageError> {
    let mut sql =
        Sql::new(connection, "SELECT id, event_count, first_seen FROM error_issue WHERE project_id = ");
    sql.bind(project.0);
    if let Some(after) = after {
        sql.push(" AND id > ").bind(after);
    }
    sql.push(" ORDER BY id LIMIT ").bind(limit);
    let rows = sql.fetch(connection).await?;
    rows.iter()
        .map(|row| {
            let events: i64 = row.try_get_by_index(1)?;
            Ok(IssueRow {
                id: row.try_get_by_index(0)?,
                events: u64::try_from(events).unwrap_or(0),
                first_seen: row.try_get_by_index(2)?,
            })
        })
        .collect()
}

/// The place of an issue's nth newest event, from 1; nothing if there are fewer.
pub(super) async fn find_nth_newest(
    connection: &impl ConnectionTrait,
    project: ProjectId,
    issue: IssueId,
    nth: u32,
) -> Result<Option<Place>, StorageError> {
    let mut sql = Sql::new(connection, "SELECT occurred_at, id FROM error_event WHERE project_id = ");
    sql.bind(project.0).push(" AND issue_id = ").bind(issue);
    sql.push(" ORDER BY occurred_at DESC, id DESC LIMIT 1 OFFSET ").bind(i64::from(nth) - 1);
    let rows = sql.fetch(connection).await?;
    rows.first().map(|row| Ok((row.try_get_by_index(0)?, row.try_get_by_index(1)?))).transpose()
}

/// An issue's events between two places, oldest first.
pub(super) async fn list_events_between(
    connection: &impl ConnectionTrait,
    project: ProjectId,
    issue: IssueId,
    after: Option<Place>,
    before: Place,
    limit: usize,
) -> Result<Vec<Place>, StorageError> {
    let mut sql = Sql::new(connection, "SELECT occurred_at, id FROM error_event WHERE project_id = ");
    sql.bind(project.0).push(" AND issue_id = ").bind(issue);
    if let Some((at, id)) = after {
        sql.push(" AND (occurred_at, id) > (").bind(at).push(", ").bind(id).push(")");
    }
    sql.push(" AND (occurred_at, id) < (").bind(before.0).push(", ").bind(before.1).push(")");
    sql.push(" ORDER BY occurred_at, id LIMIT ").bind(i64::try_from(limit).unwrap_or(i64::MAX));
    let rows = sql.fetch(connection).await?;
    rows.iter().map(|row| Ok((row.try_get_by_index(0)?, row.try_get_by_index(1)?))).collect()
}

/// Deletes events by the keys of their rows, with everything that belongs to them and to nothing else; how many there
/// were. Counts are kept.
pub(crate) async fn delete_events_in(
    tx: &Tx,
    project: ProjectId,
    ids: &[i64],
    storage: &mut StorageChange,
) -> Result<u64, StorageError> {
    if ids.is_empty() {
        return Ok(0);
    }
    let mut sql =
        Sql::new(tx, "SELECT event_id, received_at, LENGTH(payload) FROM error_event WHERE project_id = ");
    sql.bind(project.0).push(" AND id IN ").bind_set(ids);
    let mut events = Vec::with_capacity(ids.len());
    for row in sql.fetch(tx).await? {
        let event: Id<EventKey> = row.try_get_by_index(0)?;
        events.push(EventId::from(event));
        storage.remove(project, row.try_get_by_index(1)?, StoredKind::Event, 1, length_of(tx, &row, 2)?);
    }
    let mut sql = Sql::new(tx, "DELETE FROM error_event WHERE project_id = ");
    sql.bind(project.0).push(" AND id IN ").bind_set(ids);
    sql.run(tx).await?;
    delete_of_owners_in(tx, project, &events, storage).await?;
    Ok(events.len() as u64)
}

/// Forgets the storage of days of which nothing is left.
pub(super) async fn sweep_storage_in(tx: &Tx, project: ProjectId) -> Result<(), StorageError> {
    let mut sql = Sql::new(tx, "DELETE FROM error_storage_day WHERE items <= 0 AND project_id = ");
    sql.bind(project.0);
    sql.run(tx).await
}
