//! Events that are appended and wait to be folded: a row for each append, or several for a large one.

use std::collections::BTreeSet;

use belvedere_kernel::{ProjectId, SubjectId};
use belvedere_storage::{Id, Sql, StorageError, Timestamp, Tx, bulk, execute_sql, query_sql};
use sea_orm::{ConnectionTrait, QueryResult};

use super::sql::{count, get, state, text, whole};
use crate::entry::Entry;
use crate::history::EventKey;

/// The most events of a row, and rows that are read at once.
const EVENTS_MAX: usize = 256;
const PAGE: i64 = 16;

/// The most projects that are listed at once.
pub(crate) const PROJECTS_MAX: usize = 1_000;

/// Events of one append that wait.
pub(crate) struct Waiting {
    pub(crate) id: Id<Waiting>,
    /// Whom each is about, if anybody, and what is folded of it.
    pub(crate) entries: Vec<(Option<SubjectId>, Entry)>,
}

/// Notes events of an append.
pub(crate) async fn insert_waiting(
    tx: &Tx,
    project: ProjectId,
    entries: &[(Option<SubjectId>, Entry)],
    now: Timestamp,
) -> Result<(), StorageError> {
    let mut rows = Vec::new();
    for some in entries.chunks(EVENTS_MAX) {
        let id = Id::<Waiting>::generate(now);
        rows.push([project.0.into(), id.into(), text(&some)?, 0_i64.into(), 0_i64.into()]);
    }
    let head = "INSERT INTO learning_waiting (project_id, id, entries, tries, due_at) VALUES ";
    bulk(tx, head, rows, "").await.map(drop)
}

/// How many rows there are.
pub(crate) async fn count_waiting(connection: &impl ConnectionTrait) -> Result<u64, StorageError> {
    let rows = query_sql(connection, "SELECT COUNT(*) FROM learning_waiting", []).await?;
    rows.first().map_or(Ok(0), |row| count(row, 0))
}

/// The projects of which something waits that is due.
pub(crate) async fn list_waiting_projects(
    connection: &impl ConnectionTrait,
    now: Timestamp,
) -> Result<Vec<ProjectId>, StorageError> {
    let sql =
        "SELECT DISTINCT project_id FROM learning_waiting WHERE due_at <= $1 ORDER BY project_id LIMIT $2";
    let rows = query_sql(connection, sql, [now.into(), whole(PROJECTS_MAX as u64)]).await?;
    rows.iter().map(|row| Ok(ProjectId(get(row, 0)?))).collect()
}

/// What is due of a project: the oldest rows, until they have `events` or more.
pub(crate) async fn list_due(
    connection: &impl ConnectionTrait,
    project: ProjectId,
    now: Timestamp,
    events: usize,
) -> Result<Vec<Waiting>, StorageError> {
    let (mut due, mut found, mut behind) = (Vec::new(), 0, FIRST);
    loop {
        let rows = query_behind(connection, project, behind, now).await?;
        if rows.is_empty() {
            return Ok(due);
        }
        // One by one: a row that cannot be read is no reason not to fold those before it.
        for row in rows {
            let waiting = waiting_of(&row)?;
            behind = waiting.id;
            found += waiting.entries.len();
            due.push(waiting);
            if found >= events {
                return Ok(due);
            }
        }
    }
}

/// How often folding the row has failed.
pub(crate) async fn count_tries(
    connection: &impl ConnectionTrait,
    project: ProjectId,
    id: Id<Waiting>,
) -> Result<u64, StorageError> {
    let sql = "SELECT tries FROM learning_waiting WHERE project_id = $1 AND id = $2";
    let rows = query_sql(connection, sql, [project.0.into(), id.into()]).await?;
    rows.first().map_or(Ok(0), |row| count(row, 0))
}

/// Notes that folding a row failed, and when it is tried again.
pub(crate) async fn postpone_waiting(
    tx: &Tx,
    project: ProjectId,
    id: Id<Waiting>,
    due: Timestamp,
) -> Result<(), StorageError> {
    let sql = "UPDATE learning_waiting SET tries = tries + 1, due_at = $3 WHERE project_id = $1 AND id = $2";
    execute_sql(tx, sql, [project.0.into(), id.into(), due.into()]).await.map(drop)
}

pub(crate) async fn delete_waiting(
    tx: &Tx,
    project: ProjectId,
    ids: &[Id<Waiting>],
) -> Result<(), StorageError> {
    let mut sql = Sql::new(tx, "DELETE FROM learning_waiting WHERE project_id = ");
    sql.bind(project.0).push(" AND id");
    sql.execute_in(tx, ids).await.map(drop)
}

/// Before every row.
const FIRST: Id<Waiting> = Id::from_bytes([0; 16]);

/// After every time that a row may wait for.
const WHENEVER: Timestamp = Timestamp::from_micros(i64::MAX);

/// The rows of a project behind one that are due by some time; at most 16.
async fn query_behind(
    connection: &impl ConnectionTrait,
    project: ProjectId,
    behind: Id<Waiting>,
    by: Timestamp,
) -> Result<Vec<QueryResult>, StorageError> {
    let sql = "SELECT id, entries FROM learning_waiting \
               WHERE project_id = $1 AND id > $2 AND due_at <= $3 ORDER BY id LIMIT $4";
    query_sql(connection, sql, [project.0.into(), behind.into(), by.into(), PAGE.into()]).await
}

fn waiting_of(row: &QueryResult) -> Result<Waiting, StorageError> {
    Ok(Waiting { id: get(row, 0)?, entries: state(row, 1)? })
}

/// What waits of a project behind a row, due or not; at most 16 rows.
async fn list_behind(
    connection: &impl ConnectionTrait,
    project: ProjectId,
    behind: Id<Waiting>,
) -> Result<Vec<Waiting>, StorageError> {
    query_behind(connection, project, behind, WHENEVER).await?.iter().map(waiting_of).collect()
}

/// The events of a subject that wait.
pub(crate) async fn list_waiting_of(
    connection: &impl ConnectionTrait,
    project: ProjectId,
    subject: SubjectId,
) -> Result<BTreeSet<EventKey>, StorageError> {
    let (mut keys, mut behind) = (BTreeSet::new(), FIRST);
    loop {
        let page = list_behind(connection, project, behind).await?;
        let Some(last) = page.last() else { return Ok(keys) };
        behind = last.id;
        let own = page.iter().flat_map(|waiting| &waiting.entries).filter(|(of, _)| *of == Some(subject));
        keys.extend(own.map(|(_, entry)| entry.key));
    }
}

/// Goes through everything of a project that waits; `change` says whether it changed something, and rows of which nothing
/// is left go. The project is locked.
pub(crate) async fn change_waiting(
    tx: &Tx,
    project: ProjectId,
    mut change: impl FnMut(&mut Vec<(Option<SubjectId>, Entry)>) -> bool + Send,
) -> Result<(), StorageError> {
    let mut behind = FIRST;
    loop {
        let page = list_behind(tx, project, behind).await?;
        let Some(last) = page.last() else { return Ok(()) };
        behind = last.id;
        for mut waiting in page {
            if !change(&mut waiting.entries) {
                continue;
            }
            if waiting.entries.is_empty() {
                delete_waiting(tx, project, &[waiting.id]).await?;
            } else {
                let sql = "UPDATE learning_waiting SET entries = $3 WHERE project_id = $1 AND id = $2";
                execute_sql(tx, sql, [project.0.into(), waiting.id.into(), text(&waiting.entries)?]).await?;
            }
        }
    }
}
