use std::collections::HashMap;

use belvedere_kernel::ProjectId;
use belvedere_storage::{Cursor, Id, Page, Sql, StorageError, Timestamp, bulk};
use sea_orm::{ConnectionTrait, QueryResult, Value};

use crate::source_maps::DebugId;
use crate::source_maps::archive::BundledFile;
use crate::source_maps::debug_id::DebugKey;
use crate::source_maps::model::{
    AssemblyRequest, Bundle, BundleFile, BundleId, FileId, FileKind, ListBundles, SourceMapStorage,
};
use crate::source_maps::release_key::{ReleaseKey, release_key};

/// Where a bundle is in its life.
const BEING_MADE: i64 = 0;
const READY: i64 = 1;
const REMOVED: i64 = 2;

/// Bundles with the same debug id or address that are looked at; the newest count.
const CANDIDATES_MAX: i64 = 1_000;

/// Debug ids that a list shows of one bundle.
const DEBUG_IDS_SHOWN: usize = 3;

/// Files that a bundle's page shows.
const FILES_SHOWN: i64 = 500;

/// A file that may resolve frames.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FileRow {
    pub(crate) id: FileId,
    pub(crate) bundle: BundleId,
    pub(crate) kind: FileKind,
    pub(crate) debug_id: Option<DebugId>,
    pub(crate) url: String,
    pub(crate) map_reference: Option<String>,
    pub(crate) dist: Option<String>,
    pub(crate) size: u64,
}

const FILE_COLUMNS: &str = "SELECT f.id, f.bundle_id, f.kind, f.debug_id, f.url, f.map_reference, b.dist, f.size \
                            FROM error_artifact_file f JOIN error_artifact_bundle b ON b.id = f.bundle_id \
                            WHERE b.state = 1 AND f.project_id = ";

fn file_of(row: &QueryResult) -> Result<FileRow, StorageError> {
    let debug_id: Option<Id<DebugKey>> = row.try_get_by_index(3)?;
    let size: i64 = row.try_get_by_index(7)?;
    Ok(FileRow {
        id: row.try_get_by_index(0)?,
        bundle: row.try_get_by_index(1)?,
        kind: FileKind::from_number(row.try_get_by_index(2)?)?,
        debug_id: debug_id.map(DebugId::from),
        url: row.try_get_by_index(4)?,
        map_reference: row.try_get_by_index(5)?,
        dist: row.try_get_by_index(6)?,
        size: u64::try_from(size).unwrap_or(0),
    })
}

/// Scripts and maps with one of the debug ids, those of the newest bundle first.
pub(crate) async fn find_files_by_debug_id(
    connection: &impl ConnectionTrait,
    project: ProjectId,
    debug_ids: &[DebugId],
) -> Result<Vec<FileRow>, StorageError> {
    let mut files = Vec::new();
    for part in debug_ids.chunks(64) {
        let keys: Vec<Id<DebugKey>> = part.iter().map(|id| id.to_key()).collect();
        let mut sql = Sql::new(connection, FILE_COLUMNS);
        sql.bind(project.0).push(" AND f.debug_id IN ").bind_set(&keys);
        sql.push(" ORDER BY b.uploaded_at DESC, b.id DESC LIMIT ").bind(CANDIDATES_MAX);
        for row in sql.fetch(connection).await? {
            files.push(file_of(&row)?);
        }
    }
    Ok(files)
}

/// Files of a release under one of the addresses, those of the newest bundle first.
pub(crate) async fn find_files_by_url(
    connection: &impl ConnectionTrait,
    project: ProjectId,
    release: Id<ReleaseKey>,
    urls: &[String],
) -> Result<Vec<FileRow>, StorageError> {
    let mut files = Vec::new();
    for part in urls.chunks(64) {
        let mut sql = Sql::new(connection, FILE_COLUMNS);
        sql.bind(project.0).push(" AND f.release_key = ").bind(release).push(" AND f.url IN ").bind_set(part);
        sql.push(" ORDER BY b.uploaded_at DESC, b.id DESC LIMIT ").bind(CANDIDATES_MAX);
        for row in sql.fetch(connection).await? {
            files.push(file_of(&row)?);
        }
    }
    Ok(files)
}

/// Files of one bundle under one of the addresses.
pub(crate) async fn find_files_of_bundle(
    connection: &impl ConnectionTrait,
    project: ProjectId,
    bundle: BundleId,
    urls: &[String],
) -> Result<Vec<FileRow>, StorageError> {
    let mut sql = Sql::new(connection, FILE_COLUMNS);
    sql.bind(project.0).push(" AND f.bundle_id = ").bind(bundle).push(" AND f.url IN ").bind_set(urls);
    sql.push(" LIMIT ").bind(CANDIDATES_MAX);
    sql.fetch(connection).await?.iter().map(file_of).collect()
}

/// Whether anything was uploaded for the release.
pub(crate) async fn has_files_of_release(
    connection: &impl ConnectionTrait,
    project: ProjectId,
    release: Id<ReleaseKey>,
) -> Result<bool, StorageError> {
    let mut sql = Sql::new(connection, FILE_COLUMNS);
    sql.bind(project.0).push(" AND f.release_key = ").bind(release).push(" LIMIT 1");
    Ok(!sql.fetch(connection).await?.is_empty())
}

/// The stored bytes of a file, in one.
pub(crate) async fn read_file(
    connection: &impl ConnectionTrait,
    project: ProjectId,
    file: FileId,
) -> Result<Vec<u8>, StorageError> {
    let mut content: Vec<u8> = Vec::new();
    for number in 0_i64.. {
        let mut sql = Sql::new(connection, "SELECT content FROM error_artifact_piece WHERE file_id = ");
        sql.bind(file).push(" AND number = ").bind(number).push(" AND project_id = ").bind(project.0);
        let rows = sql.fetch(connection).await?;
        let Some(row) = rows.first() else { break };
        content.append(&mut row.try_get_by_index(0)?);
    }
    Ok(content)
}

/// Whether the project has this very bundle.
pub(crate) async fn has_bundle(
    connection: &impl ConnectionTrait,
    project: ProjectId,
    request: &AssemblyRequest,
) -> Result<bool, StorageError> {
    let mut sql = Sql::new(connection, "SELECT release, dist FROM error_artifact_bundle WHERE project_id = ");
    sql.bind(project.0)
        .push(" AND state = ")
        .bind(READY)
        .push(" AND checksum = ")
        .bind(request.checksum.as_str());
    sql.push(" LIMIT 200");
    for row in sql.fetch(connection).await? {
        let (release, dist): (Option<String>, Option<String>) =
            (row.try_get_by_index(0)?, row.try_get_by_index(1)?);
        let is_same = |stored: &Option<String>, wanted: &Option<String>| wanted.is_none() || stored == wanted;
        if is_same(&release, &request.release) && is_same(&dist, &request.dist) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// What a new bundle is of.
pub(crate) struct NewBundle<'a> {
    pub(crate) id: BundleId,
    pub(crate) project: ProjectId,
    pub(crate) request: &'a AssemblyRequest,
    pub(crate) release: Option<&'a str>,
    pub(crate) dist: Option<&'a str>,
    pub(crate) now: Timestamp,
}

/// Begins a bundle that nobody sees yet.
pub(crate) async fn insert_bundle(
    tx: &impl ConnectionTrait,
    new: &NewBundle<'_>,
) -> Result<(), StorageError> {
    let head = "INSERT INTO error_artifact_bundle (id, project_id, state, uploaded_at, checksum, release, dist, \
                file_count, stored_size, actor_kind, actor_id) VALUES ";
    let row: [Value; 11] = [
        new.id.into(),
        new.project.0.into(),
        BEING_MADE.into(),
        new.now.into(),
        new.request.checksum.as_str().into(),
        new.release.map(str::to_owned).into(),
        new.dist.map(str::to_owned).into(),
        0_i64.into(),
        0_i64.into(),
        new.request.actor_kind.as_str().into(),
        new.request.actor_id.clone().into(),
    ];
    bulk(tx, head, vec![row], "").await.map(drop)
}

/// A file ready to be stored.
pub(crate) struct NewFile<'a> {
    pub(crate) id: FileId,
    pub(crate) file: &'a BundledFile,
    pub(crate) size: u64,
    pub(crate) stored_size: u64,
}

pub(crate) async fn insert_file(
    tx: &impl ConnectionTrait,
    bundle: &NewBundle<'_>,
    new: &NewFile<'_>,
) -> Result<(), StorageError> {
    let head = "INSERT INTO error_artifact_file (id, project_id, bundle_id, kind, debug_id, release_key, url, \
                map_reference, size, stored_size) VALUES ";
    let row: [Value; 10] = [
        new.id.into(),
        bundle.project.0.into(),
        bundle.id.into(),
        new.file.kind.to_number().into(),
        new.file.debug_id.map(DebugId::to_key).into(),
        bundle.release.map(release_key).into(),
        new.file.url.as_str().into(),
        new.file.map_reference.clone().into(),
        i64::try_from(new.size).unwrap_or(i64::MAX).into(),
        i64::try_from(new.stored_size).unwrap_or(i64::MAX).into(),
    ];
    bulk(tx, head, vec![row], "").await.map(drop)
}

pub(crate) async fn insert_piece(
    tx: &impl ConnectionTrait,
    project: ProjectId,
    file: FileId,
    number: usize,
    content: Vec<u8>,
) -> Result<(), StorageError> {
    let head = "INSERT INTO error_artifact_piece (file_id, number, project_id, content) VALUES ";
    let number = i64::try_from(number).unwrap_or(i64::MAX);
    bulk(tx, head, vec![[file.into(), number.into(), project.0.into(), content.into()]], "").await.map(drop)
}

/// Makes a bundle visible.
pub(crate) async fn finish_bundle(
    tx: &impl ConnectionTrait,
    project: ProjectId,
    bundle: BundleId,
    now: Timestamp,
) -> Result<(), StorageError> {
    let of_files = |what: &str| {
        format!("(SELECT {what} FROM error_artifact_file WHERE bundle_id = error_artifact_bundle.id)")
    };
    let mut sql = Sql::new(tx, "UPDATE error_artifact_bundle SET state = ");
    sql.bind(READY).push(", uploaded_at = ").bind(now).push(", file_count = ").push(&of_files("COUNT(*)"));
    sql.push(", stored_size = ").push(&of_files("CAST(COALESCE(SUM(stored_size), 0) AS bigint)"));
    sql.push(" WHERE id = ").bind(bundle).push(" AND project_id = ").bind(project.0);
    sql.run(tx).await
}

/// Takes a bundle out of sight; whether it was in sight.
pub(crate) async fn hide_bundle(
    tx: &impl ConnectionTrait,
    project: ProjectId,
    bundle: BundleId,
) -> Result<bool, StorageError> {
    let mut sql = Sql::new(tx, "UPDATE error_artifact_bundle SET state = ");
    sql.bind(REMOVED).push(" WHERE id = ").bind(bundle).push(" AND project_id = ").bind(project.0);
    sql.push(" AND state = ").bind(READY);
    Ok(sql.execute(tx).await? == 1)
}

/// Takes bundles that were never finished out of the way: those of one project and checksum, or all from before
/// `before`.
pub(crate) async fn abandon_bundles(
    tx: &impl ConnectionTrait,
    of: Option<(ProjectId, &str)>,
    before: Timestamp,
) -> Result<(), StorageError> {
    let mut sql = Sql::new(tx, "UPDATE error_artifact_bundle SET state = ");
    sql.bind(REMOVED).push(" WHERE state = ").bind(BEING_MADE);
    match of {
        Some((project, checksum)) => {
            sql.push(" AND project_id = ").bind(project.0).push(" AND checksum = ").bind(checksum)
        }
        None => sql.push(" AND uploaded_at < ").bind(before),
    };
    sql.run(tx).await
}

/// Deletes pieces of bundles that are out of sight, at most `max`, and with the last pieces the bundles; whether there
/// may be more.
pub(crate) async fn delete_hidden(tx: &impl ConnectionTrait, max: i64) -> Result<bool, StorageError> {
    let mut sql = Sql::new(
        tx,
        "DELETE FROM error_artifact_piece WHERE (file_id, number) IN (SELECT p.file_id, p.number \
         FROM error_artifact_bundle b JOIN error_artifact_file f ON f.bundle_id = b.id \
         JOIN error_artifact_piece p ON p.file_id = f.id WHERE b.state = ",
    );
    sql.bind(REMOVED).push(" LIMIT ").bind(max).push(")");
    let deleted = sql.execute(tx).await?;
    if deleted > 0 {
        return Ok(true);
    }
    let mut sql = Sql::new(
        tx,
        "DELETE FROM error_artifact_file WHERE bundle_id IN (SELECT id FROM error_artifact_bundle WHERE state = ",
    );
    sql.bind(REMOVED).push(")");
    sql.run(tx).await?;
    let mut sql = Sql::new(tx, "DELETE FROM error_artifact_bundle WHERE state = ");
    sql.bind(REMOVED);
    sql.run(tx).await?;
    Ok(false)
}

/// How much a project has; bundles in the making do not count yet.
pub(crate) async fn count_storage(
    connection: &impl ConnectionTrait,
    project: ProjectId,
    bytes_max: u64,
) -> Result<SourceMapStorage, StorageError> {
    let mut sql = Sql::new(
        connection,
        "SELECT COUNT(*), CAST(COALESCE(SUM(stored_size), 0) AS bigint) FROM error_artifact_bundle WHERE project_id = ",
    );
    sql.bind(project.0).push(" AND state = ").bind(READY);
    let rows = sql.fetch(connection).await?;
    let Some(row) = rows.first() else { return Err(StorageError::corrupt("a count without a row")) };
    let (bundles, bytes): (i64, i64) = (row.try_get_by_index(0)?, row.try_get_by_index(1)?);
    let number = |value| u64::try_from(value).unwrap_or(0);
    Ok(SourceMapStorage { bundles: number(bundles), bytes: number(bytes), bytes_max })
}

const BUNDLE_COLUMNS: &str = "SELECT b.id, b.release, b.dist, b.file_count, b.stored_size, b.uploaded_at, b.actor_kind, \
                              b.actor_id FROM error_artifact_bundle b WHERE b.state = 1 AND b.project_id = ";

fn bundle_of(row: &QueryResult) -> Result<Bundle, StorageError> {
    let (files, stored): (i64, i64) = (row.try_get_by_index(3)?, row.try_get_by_index(4)?);
    Ok(Bundle {
        id: row.try_get_by_index(0)?,
        release: row.try_get_by_index(1)?,
        dist: row.try_get_by_index(2)?,
        files: u64::try_from(files).unwrap_or(0),
        stored_bytes: u64::try_from(stored).unwrap_or(0),
        uploaded_at: row.try_get_by_index(5)?,
        uploaded_by_kind: row.try_get_by_index(6)?,
        uploaded_by: row.try_get_by_index(7)?,
        debug_ids: Vec::new(),
    })
}

/// A page of bundles, the newest first; `None` if the cursor is another list's.
pub(crate) async fn list_bundles(
    connection: &impl ConnectionTrait,
    query: &ListBundles,
) -> Result<Option<Page<Bundle>>, StorageError> {
    let mut sql = Sql::new(connection, BUNDLE_COLUMNS);
    sql.bind(query.project.0);
    if let Some(text) = query.text.as_deref().map(str::trim).filter(|text| !text.is_empty()) {
        let escaped = text.replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_");
        sql.push(" AND (b.release LIKE ").bind(format!("{escaped}%")).push(" ESCAPE '\\'");
        sql.push(" OR EXISTS (SELECT 1 FROM error_artifact_file f WHERE f.bundle_id = b.id AND (f.url LIKE ");
        sql.bind(format!("%{escaped}%")).push(" ESCAPE '\\'");
        if let Ok(id) = text.parse::<DebugId>() {
            sql.push(" OR f.debug_id = ").bind(id.to_key());
        }
        sql.push(")))");
    }
    if let Some(after) = &query.page.after {
        let Some([micros, id]) = after.parts() else { return Ok(None) };
        let (Ok(micros), Ok(id)) = (micros.parse::<i64>(), id.parse::<BundleId>()) else { return Ok(None) };
        sql.push(" AND (b.uploaded_at, b.id) < (").bind(micros).push(", ").bind(id).push(")");
    }
    let limit = i64::try_from(query.page.limit()).unwrap_or(1) + 1;
    sql.push(" ORDER BY b.uploaded_at DESC, b.id DESC LIMIT ").bind(limit);
    let bundles = sql.fetch(connection).await?.iter().map(bundle_of).collect::<Result<Vec<_>, _>>()?;
    let mut page = Page::from_rows(bundles, query.page.limit(), |last| {
        Cursor::of(&[&last.uploaded_at.as_micros(), &last.id])
    });
    fill_debug_ids(connection, query.project, &mut page.items).await?;
    Ok(Some(page))
}

pub(crate) async fn find_bundle(
    connection: &impl ConnectionTrait,
    project: ProjectId,
    id: BundleId,
) -> Result<Option<Bundle>, StorageError> {
    let mut sql = Sql::new(connection, BUNDLE_COLUMNS);
    sql.bind(project.0).push(" AND b.id = ").bind(id);
    let mut found = sql.fetch(connection).await?.iter().map(bundle_of).collect::<Result<Vec<_>, _>>()?;
    fill_debug_ids(connection, project, &mut found).await?;
    Ok(found.pop())
}

async fn fill_debug_ids(
    connection: &impl ConnectionTrait,
    project: ProjectId,
    bundles: &mut [Bundle],
) -> Result<(), StorageError> {
    if bundles.is_empty() {
        return Ok(());
    }
    let ids: Vec<BundleId> = bundles.iter().map(|bundle| bundle.id).collect();
    let mut sql = Sql::new(
        connection,
        "SELECT bundle_id, debug_id FROM (SELECT bundle_id, debug_id, ROW_NUMBER() OVER (PARTITION BY bundle_id \
         ORDER BY debug_id) AS place FROM error_artifact_file WHERE debug_id IS NOT NULL AND kind = ",
    );
    sql.bind(FileKind::Map.to_number()).push(" AND project_id = ").bind(project.0).push(" AND bundle_id IN ");
    sql.bind_set(&ids).push(") AS numbered WHERE place <= ");
    sql.bind(i64::try_from(DEBUG_IDS_SHOWN).unwrap_or(1)).push(" ORDER BY bundle_id, place");
    let mut of: HashMap<BundleId, Vec<DebugId>> = HashMap::new();
    for row in sql.fetch(connection).await? {
        let id: Id<DebugKey> = row.try_get_by_index(1)?;
        of.entry(row.try_get_by_index(0)?).or_default().push(id.into());
    }
    for bundle in bundles {
        bundle.debug_ids = of.remove(&bundle.id).unwrap_or_default();
    }
    Ok(())
}

/// The first files of a bundle by address.
pub(crate) async fn list_files(
    connection: &impl ConnectionTrait,
    project: ProjectId,
    bundle: BundleId,
) -> Result<Vec<BundleFile>, StorageError> {
    let mut sql = Sql::new(connection, FILE_COLUMNS);
    sql.bind(project.0).push(" AND f.bundle_id = ").bind(bundle);
    sql.push(" ORDER BY f.url, f.kind, f.id LIMIT ").bind(FILES_SHOWN);
    let shown = |row: &QueryResult| {
        let file = file_of(row)?;
        let FileRow { kind, url, debug_id, map_reference, size, .. } = file;
        Ok(BundleFile { kind, url, debug_id, map_reference, bytes: size })
    };
    sql.fetch(connection).await?.iter().map(shown).collect()
}

/// The debug ids of a bundle's maps and scripts, and its release.
pub(crate) async fn list_keys(
    connection: &impl ConnectionTrait,
    project: ProjectId,
    bundle: BundleId,
) -> Result<Vec<Id<()>>, StorageError> {
    let mut keys = Vec::new();
    for column in ["debug_id", "release_key"] {
        let text = format!(
            "SELECT DISTINCT {column} FROM error_artifact_file WHERE {column} IS NOT NULL AND project_id = "
        );
        let mut sql = Sql::new(connection, &text);
        sql.bind(project.0).push(" AND bundle_id = ").bind(bundle);
        for row in sql.fetch(connection).await? {
            keys.push(row.try_get_by_index(0)?);
        }
    }
    Ok(keys)
}
