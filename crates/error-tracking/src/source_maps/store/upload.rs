use std::collections::HashSet;

use belvedere_kernel::Organisation;
use belvedere_storage::{Id, Sql, StorageError, Timestamp, bulk};
use sea_orm::ConnectionTrait;

use crate::source_maps::model::{AssemblyRequest, AssemblyState};

/// A wish that a worker takes up.
pub(crate) struct AssemblyRow {
    pub(crate) state: AssemblyState,
    pub(crate) detail: Option<String>,
    pub(crate) request: AssemblyRequest,
    pub(crate) updated_at: Timestamp,
}

/// The bytes of all chunks of an organisation.
pub(crate) async fn count_chunk_bytes(
    connection: &impl ConnectionTrait,
    organisation: Id<Organisation>,
) -> Result<u64, StorageError> {
    let mut sql = Sql::new(
        connection,
        "SELECT CAST(COALESCE(SUM(size), 0) AS bigint) FROM error_upload_chunk WHERE organisation_id = ",
    );
    sql.bind(organisation);
    let rows = sql.fetch(connection).await?;
    let bytes: i64 = rows.first().map_or(Ok(0), |row| row.try_get_by_index(0))?;
    Ok(u64::try_from(bytes).unwrap_or(0))
}

/// Which of `checksums` are there, with their sizes in bytes.
pub(crate) async fn find_chunks(
    connection: &impl ConnectionTrait,
    organisation: Id<Organisation>,
    checksums: &[String],
) -> Result<Vec<(String, u64)>, StorageError> {
    let mut found = Vec::new();
    let mut sql =
        Sql::new(connection, "SELECT checksum, size FROM error_upload_chunk WHERE organisation_id = ");
    sql.bind(organisation).push(" AND checksum");
    for row in sql.fetch_in(connection, checksums).await? {
        let size: i64 = row.try_get_by_index(1)?;
        found.push((row.try_get_by_index(0)?, u64::try_from(size).unwrap_or(0)));
    }
    Ok(found)
}

pub(crate) async fn read_chunk(
    connection: &impl ConnectionTrait,
    organisation: Id<Organisation>,
    checksum: &str,
) -> Result<Option<Vec<u8>>, StorageError> {
    let mut sql = Sql::new(connection, "SELECT content FROM error_upload_chunk WHERE organisation_id = ");
    sql.bind(organisation).push(" AND checksum = ").bind(checksum);
    let rows = sql.fetch(connection).await?;
    Ok(rows.first().map(|row| row.try_get_by_index(0)).transpose()?)
}

/// Keeps a chunk; one that is there already begins its life anew.
pub(crate) async fn insert_chunk(
    tx: &impl ConnectionTrait,
    organisation: Id<Organisation>,
    checksum: &str,
    content: Vec<u8>,
    now: Timestamp,
) -> Result<(), StorageError> {
    let size = i64::try_from(content.len()).unwrap_or(i64::MAX);
    let head =
        "INSERT INTO error_upload_chunk (organisation_id, checksum, size, created_at, content) VALUES ";
    let tail = " ON CONFLICT (organisation_id, checksum) DO UPDATE SET created_at = excluded.created_at";
    let row = [organisation.into(), checksum.into(), size.into(), now.into(), content.into()];
    bulk(tx, head, vec![row], tail).await.map(drop)
}

/// Forgets chunks that came before `before`; at most `max`, of which how many.
pub(crate) async fn delete_chunks(
    tx: &impl ConnectionTrait,
    before: Timestamp,
    max: i64,
) -> Result<u64, StorageError> {
    let mut sql = Sql::new(
        tx,
        "DELETE FROM error_upload_chunk WHERE (organisation_id, checksum) IN (SELECT organisation_id, checksum FROM \
         error_upload_chunk WHERE created_at < ",
    );
    sql.bind(before).push(" ORDER BY created_at LIMIT ").bind(max).push(")");
    sql.execute(tx).await
}

/// Forgets wishes that were last touched before `before`.
pub(crate) async fn delete_assemblies(
    tx: &impl ConnectionTrait,
    before: Timestamp,
) -> Result<(), StorageError> {
    let mut sql = Sql::new(tx, "DELETE FROM error_upload_assembly WHERE updated_at < ");
    sql.bind(before);
    sql.run(tx).await
}

pub(crate) async fn find_assembly(
    connection: &impl ConnectionTrait,
    organisation: Id<Organisation>,
    key: &str,
) -> Result<Option<AssemblyRow>, StorageError> {
    let mut sql = Sql::new(
        connection,
        "SELECT state, detail, request, updated_at FROM error_upload_assembly WHERE organisation_id = ",
    );
    sql.bind(organisation).push(" AND request_key = ").bind(key);
    let rows = sql.fetch(connection).await?;
    let Some(row) = rows.first() else { return Ok(None) };
    let request: String = row.try_get_by_index(2)?;
    Ok(Some(AssemblyRow {
        state: AssemblyState::from_number(row.try_get_by_index(0)?)?,
        detail: row.try_get_by_index(1)?,
        request: serde_json::from_str(&request)
            .map_err(|error| StorageError::corrupt(format!("request of an assembly: {error}")))?,
        updated_at: row.try_get_by_index(3)?,
    }))
}

pub(crate) async fn upsert_assembly(
    tx: &impl ConnectionTrait,
    organisation: Id<Organisation>,
    key: &str,
    request: &AssemblyRequest,
    now: Timestamp,
) -> Result<(), StorageError> {
    let head = "INSERT INTO error_upload_assembly (organisation_id, request_key, request, state, updated_at) VALUES ";
    let tail = " ON CONFLICT (organisation_id, request_key) DO UPDATE SET request = excluded.request, \
                state = excluded.state, detail = NULL, updated_at = excluded.updated_at";
    let request = serde_json::to_string(request)
        .map_err(|error| StorageError::corrupt(format!("request of an assembly: {error}")))?;
    let state = AssemblyState::Created.to_number();
    let row = [organisation.into(), key.into(), request.into(), state.into(), now.into()];
    bulk(tx, head, vec![row], tail).await.map(drop)
}

pub(crate) async fn set_assembly_state(
    tx: &impl ConnectionTrait,
    organisation: Id<Organisation>,
    key: &str,
    state: AssemblyState,
    detail: Option<&str>,
    now: Timestamp,
) -> Result<(), StorageError> {
    let mut sql = Sql::new(tx, "UPDATE error_upload_assembly SET state = ");
    sql.bind(state.to_number())
        .push(", detail = ")
        .bind(detail.map(str::to_owned))
        .push(", updated_at = ")
        .bind(now);
    sql.push(" WHERE organisation_id = ").bind(organisation).push(" AND request_key = ").bind(key);
    sql.run(tx).await
}

/// Which of `checksums` are missing, each once, in their order.
pub(crate) fn missing_of(checksums: &[String], found: &[(String, u64)]) -> Vec<String> {
    let mut known: HashSet<&str> = found.iter().map(|(checksum, _)| checksum.as_str()).collect();
    checksums.iter().filter(|checksum| known.insert(checksum)).cloned().collect()
}
