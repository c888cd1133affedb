use belvedere_kernel::ProjectId;
use belvedere_storage::{Id, Sql, StorageError, Timestamp, bulk};
use sea_orm::ConnectionTrait;

use crate::digest::DigestedEvent;
use crate::event_id::{EventId, EventKey};

/// Remembers which maps events lacked; `is_stored` says of each whether it is a new one.
pub(crate) async fn insert_unmapped(
    tx: &impl ConnectionTrait,
    events: &[DigestedEvent],
    is_stored: impl Fn(usize) -> bool,
) -> Result<(), StorageError> {
    let mut rows = Vec::new();
    for (index, event) in events.iter().enumerate() {
        if !event.unmapped.is_empty() && is_stored(index) {
            rows.extend(event.unmapped.iter().map(|key| {
                let row: [sea_orm::Value; 4] = [
                    event.project.0.into(),
                    (*key).into(),
                    event.event_id.to_key().into(),
                    event.received_at.into(),
                ];
                row
            }));
        }
    }
    let head = "INSERT INTO error_unmapped (project_id, map_key, event_id, received_at) VALUES ";
    bulk(tx, head, rows, " ON CONFLICT (project_id, map_key, event_id) DO NOTHING").await.map(drop)
}

/// Events received since `since` that lacked a map under one of `keys`, the newest first.
pub(crate) async fn find_late(
    connection: &impl ConnectionTrait,
    project: ProjectId,
    keys: &[Id<()>],
    since: Timestamp,
    max: u64,
) -> Result<Vec<EventId>, StorageError> {
    let mut found: Vec<(Timestamp, Id<EventKey>)> = Vec::new();
    let max = i64::try_from(max).unwrap_or(i64::MAX);
    for part in keys.chunks(64) {
        let mut sql =
            Sql::new(connection, "SELECT received_at, event_id FROM error_unmapped WHERE project_id = ");
        sql.bind(project.0).push(" AND map_key IN ").bind_set(part).push(" AND received_at >= ").bind(since);
        sql.push(" ORDER BY received_at DESC, event_id LIMIT ").bind(max);
        for row in sql.fetch(connection).await? {
            found.push((row.try_get_by_index(0)?, row.try_get_by_index(1)?));
        }
    }
    found.sort_unstable_by(|left, right| right.cmp(left));
    let mut seen = std::collections::HashSet::new();
    found.retain(|(_, id)| seen.insert(*id));
    found.truncate(usize::try_from(max).unwrap_or(usize::MAX));
    Ok(found.into_iter().map(|(_, id)| id.into()).collect())
}

/// Forgets what was missing for these events.
pub(crate) async fn delete_unmapped(
    tx: &impl ConnectionTrait,
    project: ProjectId,
    keys: &[Id<()>],
    events: &[EventId],
) -> Result<(), StorageError> {
    if events.is_empty() {
        return Ok(());
    }
    let ids: Vec<Id<EventKey>> = events.iter().map(|event| event.to_key()).collect();
    for part in keys.chunks(64) {
        let mut sql = Sql::new(tx, "DELETE FROM error_unmapped WHERE project_id = ");
        sql.bind(project.0).push(" AND map_key IN ").bind_set(part).push(" AND event_id IN ").bind_set(&ids);
        sql.run(tx).await?;
    }
    Ok(())
}

/// Forgets what events from before `before` lacked, at most `max` rows; how many.
pub(crate) async fn delete_old_unmapped(
    tx: &impl ConnectionTrait,
    before: Timestamp,
    max: i64,
) -> Result<u64, StorageError> {
    let mut sql = Sql::new(
        tx,
        "DELETE FROM error_unmapped WHERE (project_id, map_key, event_id) IN (SELECT project_id, map_key, event_id \
         FROM error_unmapped WHERE received_at < ",
    );
    sql.bind(before).push(" LIMIT ").bind(max).push(")");
    sql.execute(tx).await
}
