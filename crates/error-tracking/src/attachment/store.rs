//! Every statement on `error_attachment` and its pieces.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use belvedere_kernel::ProjectId;
use belvedere_storage::{Id, Sql, StorageError, Timestamp, Tx, bulk};
use sea_orm::{ConnectionTrait, QueryResult, Value};

use super::item::NewAttachment;
use super::{ATTACHMENTS_MAX, AttachmentFormat, AttachmentId, AttachmentInfo};
use crate::event_id::{EventId, EventKey};
use crate::limits::{StorageChange, StoredKind, used_bytes};

/// How many events one look-up asks for.
const EVENTS_PER_LOOKUP: usize = 256;

/// That the file's event or feedback is stored.
const HAS_OWNER: &str = "(EXISTS (SELECT 1 FROM error_event e WHERE e.project_id = a.project_id AND e.event_id = a.event_id) \
     OR EXISTS (SELECT 1 FROM error_feedback f WHERE f.project_id = a.project_id AND f.event_id = a.event_id))";

const COLUMNS: &str = "a.id, a.event_id, a.name, a.content_type, a.kind, a.format, a.size_bytes, a.sha256, \
     a.is_scrubbed, a.received_at, a.is_compressed";

/// A file's row.
pub(super) struct AttachmentRow {
    pub(super) info: AttachmentInfo,
    pub(super) is_compressed: bool,
}

/// Writes files that were not there yet, within the limits of their event and project. For each, in their order, the
/// reason why it was not written: `duplicate`, `too_many_items`, `quota`.
///
/// Two workers at once can go over a limit by what one batch holds.
pub(crate) async fn store_in(
    tx: &Tx,
    new: &[NewAttachment],
    bytes_max: impl Fn(ProjectId) -> u64,
    now: Timestamp,
    storage: &mut StorageChange,
) -> Result<Vec<Result<(), &'static str>>, StorageError> {
    let mut present = find_present(tx, new).await?;
    let mut used: HashMap<ProjectId, u64> = HashMap::new();
    let mut outcomes = Vec::with_capacity(new.len());
    let mut accepted = Vec::new();
    for file in new {
        let stored = file.stored.len() as u64;
        let used = match used.entry(file.project) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(new) => new.insert(used_bytes(tx, file.project, StoredKind::Attachment).await?),
        };
        let of_event = present.entry((file.project, file.event_id)).or_default();
        let key = (file.name.clone(), file.sha256.to_vec());
        if of_event.contains(&key) {
            outcomes.push(Err("duplicate"));
        } else if of_event.len() >= ATTACHMENTS_MAX {
            outcomes.push(Err("too_many_items"));
        } else if used.saturating_add(stored) > bytes_max(file.project) {
            outcomes.push(Err("quota"));
        } else {
            of_event.insert(key);
            *used += stored;
            storage.add(file.project, file.received_at, StoredKind::Attachment, 1, stored);
            accepted.push((AttachmentId::generate(now), file));
            outcomes.push(Ok(()));
        }
    }
    insert(tx, &accepted).await?;
    Ok(outcomes)
}

type Present = BTreeMap<(ProjectId, EventId), HashSet<(String, Vec<u8>)>>;

/// Names and hashes of the files that the events have already.
async fn find_present(tx: &Tx, new: &[NewAttachment]) -> Result<Present, StorageError> {
    let owners: BTreeSet<(ProjectId, EventId)> =
        new.iter().map(|file| (file.project, file.event_id)).collect();
    let owners: Vec<_> = owners.into_iter().collect();
    let mut present = Present::new();
    for of_one in owners.chunk_by(|left, right| left.0 == right.0) {
        let Some((project, _)) = of_one.first().copied() else { continue };
        let ids: Vec<Id<EventKey>> = of_one.iter().map(|(_, event)| event.to_key()).collect();
        let mut sql = Sql::new(tx, "SELECT event_id, name, sha256 FROM error_attachment WHERE project_id = ");
        sql.bind(project.0).push(" AND event_id");
        for row in sql.fetch_in(tx, &ids).await? {
            let event: Id<EventKey> = row.try_get_by_index(0)?;
            let key = (row.try_get_by_index(1)?, row.try_get_by_index(2)?);
            present.entry((project, EventId::from(event))).or_default().insert(key);
        }
    }
    Ok(present)
}

async fn insert(tx: &Tx, files: &[(AttachmentId, &NewAttachment)]) -> Result<(), StorageError> {
    let number = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
    let rows = files
        .iter()
        .map(|(id, file)| {
            let row: [Value; 13] = [
                (*id).into(),
                file.project.0.into(),
                file.event_id.to_key().into(),
                file.name.clone().into(),
                file.content_type.clone().into(),
                file.kind.clone().into(),
                file.format.to_number().into(),
                number(file.size_bytes).into(),
                number(file.stored.len()).into(),
                file.sha256.to_vec().into(),
                file.is_compressed.into(),
                file.is_scrubbed.into(),
                file.received_at.into(),
            ];
            row
        })
        .collect();
    let head = "INSERT INTO error_attachment (id, project_id, event_id, name, content_type, kind, format, size_bytes, \
                stored_bytes, sha256, is_compressed, is_scrubbed, received_at) VALUES ";
    bulk(tx, head, rows, "").await?;
    for (id, file) in files {
        for (index, piece) in file.pieces().enumerate() {
            // One statement a piece, so that no message to the database is large.
            let mut sql =
                Sql::new(tx, "INSERT INTO error_attachment_piece (attachment_id, number, bytes) VALUES ");
            let row: [Value; 3] = [(*id).into(), number(index).into(), piece.to_vec().into()];
            sql.bind_row(row);
            sql.run(tx).await?;
        }
    }
    Ok(())
}

fn read_row(row: &QueryResult) -> Result<AttachmentRow, StorageError> {
    let event: Id<EventKey> = row.try_get_by_index(1)?;
    let format: i64 = row.try_get_by_index(5)?;
    let size: i64 = row.try_get_by_index(6)?;
    let sha256: Vec<u8> = row.try_get_by_index(7)?;
    let info = AttachmentInfo {
        id: row.try_get_by_index(0)?,
        event_id: EventId::from(event).to_string(),
        name: row.try_get_by_index(2)?,
        content_type: row.try_get_by_index(3)?,
        kind: row.try_get_by_index(4)?,
        format: AttachmentFormat::from_number(format)
            .ok_or_else(|| StorageError::corrupt(format!("format {format} of an attachment")))?,
        size_bytes: u64::try_from(size).unwrap_or(0),
        sha256: sha256.iter().map(|byte| format!("{byte:02x}")).collect(),
        is_scrubbed: row.try_get_by_index(8)?,
        received_at: row.try_get_by_index(9)?,
    };
    Ok(AttachmentRow { info, is_compressed: row.try_get_by_index(10)? })
}

pub(super) async fn list(
    connection: &impl ConnectionTrait,
    project: ProjectId,
    event: EventId,
) -> Result<Vec<AttachmentRow>, StorageError> {
    let mut sql =
        Sql::new(connection, &format!("SELECT {COLUMNS} FROM error_attachment a WHERE a.project_id = "));
    sql.bind(project.0)
        .push(" AND a.event_id = ")
        .bind(event.to_key())
        .push(&format!(" AND {HAS_OWNER} ORDER BY a.received_at, a.name, a.id LIMIT "))
        .bind(i64::try_from(ATTACHMENTS_MAX).unwrap_or(i64::MAX));
    sql.fetch(connection).await?.iter().map(read_row).collect()
}

pub(super) async fn find(
    connection: &impl ConnectionTrait,
    project: ProjectId,
    id: AttachmentId,
) -> Result<Option<AttachmentRow>, StorageError> {
    let mut sql =
        Sql::new(connection, &format!("SELECT {COLUMNS} FROM error_attachment a WHERE a.project_id = "));
    sql.bind(project.0).push(" AND a.id = ").bind(id).push(&format!(" AND {HAS_OWNER}"));
    sql.fetch(connection).await?.first().map(read_row).transpose()
}

/// A file's bytes as they are stored, of which there are at most a little more than the largest file has.
pub(super) async fn read_pieces(
    connection: &impl ConnectionTrait,
    id: AttachmentId,
) -> Result<Vec<u8>, StorageError> {
    let mut bytes = Vec::new();
    for number in 0.. {
        let mut sql = Sql::new(connection, "SELECT bytes FROM error_attachment_piece WHERE attachment_id = ");
        sql.bind(id).push(" AND number = ").bind(number as i64);
        let rows = sql.fetch(connection).await?;
        let Some(row) = rows.first() else { break };
        bytes.extend(row.try_get_by_index::<Vec<u8>>(0)?);
    }
    Ok(bytes)
}

/// Deletes a file; its name if there was one.
pub(super) async fn delete_in(
    tx: &Tx,
    project: ProjectId,
    id: AttachmentId,
    storage: &mut StorageChange,
) -> Result<bool, StorageError> {
    let mut sql =
        Sql::new(tx, "SELECT id, project_id, received_at, stored_bytes FROM error_attachment WHERE id = ");
    sql.bind(id).push(" AND project_id = ").bind(project.0);
    let found = sql.fetch(tx).await?;
    delete_rows_in(tx, &found, storage).await?;
    Ok(!found.is_empty())
}

/// Deletes the files of these events or feedbacks of a project.
pub(crate) async fn delete_of_owners_in(
    tx: &Tx,
    project: ProjectId,
    owners: &[EventId],
    storage: &mut StorageChange,
) -> Result<(), StorageError> {
    for chunk in owners.chunks(EVENTS_PER_LOOKUP) {
        let ids: Vec<Id<EventKey>> = chunk.iter().map(|event| event.to_key()).collect();
        let mut sql = Sql::new(
            tx,
            "SELECT id, project_id, received_at, stored_bytes FROM error_attachment WHERE project_id = ",
        );
        sql.bind(project.0).push(" AND event_id IN ").bind_set(&ids);
        let found = sql.fetch(tx).await?;
        delete_rows_in(tx, &found, storage).await?;
    }
    Ok(())
}

/// Deletes at most `limit` files, received before `before`, that belong to nothing; the place after the last one, or
/// nothing at the end. `after` is such a place.
pub(crate) async fn sweep_orphans_in(
    tx: &Tx,
    before: Timestamp,
    after: Option<(Timestamp, AttachmentId)>,
    limit: usize,
    storage: &mut StorageChange,
) -> Result<(usize, Option<(Timestamp, AttachmentId)>), StorageError> {
    let mut sql = Sql::new(
        tx,
        "SELECT a.id, a.project_id, a.received_at, a.stored_bytes FROM error_attachment a WHERE a.received_at < ",
    );
    sql.bind(before);
    if let Some((received_at, id)) = after {
        sql.push(" AND (a.received_at, a.id) > (").bind(received_at).push(", ").bind(id).push(")");
    }
    sql.push(&format!(" AND NOT {HAS_OWNER} ORDER BY a.received_at, a.id LIMIT "))
        .bind(i64::try_from(limit).unwrap_or(i64::MAX));
    let found = sql.fetch(tx).await?;
    let last = match found.last() {
        Some(row) if found.len() == limit => Some((row.try_get_by_index(2)?, row.try_get_by_index(0)?)),
        _ => None,
    };
    delete_rows_in(tx, &found, storage).await?;
    Ok((found.len(), last))
}

/// `rows` are id, project, time of receipt and stored bytes.
async fn delete_rows_in(
    tx: &Tx,
    rows: &[QueryResult],
    storage: &mut StorageChange,
) -> Result<(), StorageError> {
    let mut ids: Vec<AttachmentId> = Vec::with_capacity(rows.len());
    for row in rows {
        let stored: i64 = row.try_get_by_index(3)?;
        storage.remove(
            ProjectId(row.try_get_by_index(1)?),
            row.try_get_by_index(2)?,
            StoredKind::Attachment,
            1,
            u64::try_from(stored).unwrap_or(0),
        );
        ids.push(row.try_get_by_index(0)?);
    }
    ids.sort_unstable();
    for (table, column) in [("error_attachment_piece", "attachment_id"), ("error_attachment", "id")] {
        Sql::new(tx, &format!("DELETE FROM {table} WHERE {column}")).execute_in(tx, &ids).await?;
    }
    Ok(())
}
