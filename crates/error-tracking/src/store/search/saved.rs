use belvedere_kernel::{ProjectId, User};
use belvedere_storage::{Dialect, Id, Sql, StorageError, Timestamp, Tx};
use sea_orm::{ConnectionTrait, QueryResult};

use crate::search::{SavedSearch, SavedSearchId, SearchOwner};

const COLUMNS: &str = "SELECT id, owner, name, query, sort, is_default, created_at FROM error_saved_search";

fn read(row: &QueryResult) -> Result<SavedSearch, StorageError> {
    let owner: Option<Id<User>> = row.try_get_by_index(1)?;
    let sort: String = row.try_get_by_index(4)?;
    Ok(SavedSearch {
        id: row.try_get_by_index(0)?,
        owner: owner.map_or(SearchOwner::Shared, SearchOwner::Personal),
        name: row.try_get_by_index(2)?,
        query: row.try_get_by_index(3)?,
        sort: sort.parse().map_err(|_| StorageError::corrupt(format!("order {sort} of a saved search")))?,
        is_default: row.try_get_by_index(5)?,
        created_at: row.try_get_by_index(6)?,
    })
}

fn push_owner(sql: &mut Sql, owner: SearchOwner) {
    match owner {
        SearchOwner::Shared => sql.push(" AND owner IS NULL"),
        SearchOwner::Personal(user) => sql.push(" AND owner = ").bind(user),
    };
}

fn owner_column(owner: SearchOwner) -> Option<Id<User>> {
    match owner {
        SearchOwner::Shared => None,
        SearchOwner::Personal(user) => Some(user),
    }
}

pub(crate) async fn list_saved(
    connection: &impl ConnectionTrait,
    project: ProjectId,
    user: Option<Id<User>>,
    limit: i64,
) -> Result<Vec<SavedSearch>, StorageError> {
    let mut sql = Sql::new(connection, COLUMNS);
    sql.push(" WHERE project_id = ").bind(project.0).push(" AND (owner IS NULL");
    if let Some(user) = user {
        sql.push(" OR owner = ").bind(user);
    }
    sql.push(") ORDER BY name, id LIMIT ").bind(limit);
    sql.fetch(connection).await?.iter().map(read).collect()
}

/// How many searches the owner has, and whether one of them, other than `except`, has the name.
pub(crate) async fn count_saved_in(
    tx: &Tx,
    project: ProjectId,
    owner: SearchOwner,
    name: &str,
    except: Option<SavedSearchId>,
) -> Result<(i64, bool), StorageError> {
    let mut sql = Sql::new(tx, "SELECT id, name FROM error_saved_search WHERE project_id = ");
    sql.bind(project.0);
    push_owner(&mut sql, owner);
    let (mut count, mut is_taken) = (0, false);
    for row in sql.fetch(tx).await? {
        let (id, known): (SavedSearchId, String) = (row.try_get_by_index(0)?, row.try_get_by_index(1)?);
        count += 1;
        is_taken |= known == name && Some(id) != except;
    }
    Ok((count, is_taken))
}

pub(crate) async fn find_saved_in(
    tx: &Tx,
    project: ProjectId,
    id: SavedSearchId,
) -> Result<Option<SavedSearch>, StorageError> {
    let mut sql = Sql::new(tx, COLUMNS);
    sql.push(" WHERE project_id = ").bind(project.0).push(" AND id = ").bind(id);
    if Dialect::of(tx) == Dialect::Postgres {
        sql.push(" FOR UPDATE");
    }
    sql.fetch(tx).await?.first().map(read).transpose()
}

/// Makes none of the owner's searches the one that the list opens with.
pub(crate) async fn clear_default_in(
    tx: &Tx,
    project: ProjectId,
    owner: SearchOwner,
) -> Result<(), StorageError> {
    let mut sql = Sql::new(tx, "UPDATE error_saved_search SET is_default = ");
    sql.bind(false).push(" WHERE project_id = ").bind(project.0).push(" AND is_default = ").bind(true);
    push_owner(&mut sql, owner);
    sql.run(tx).await
}

pub(crate) async fn insert_saved_in(
    tx: &Tx,
    project: ProjectId,
    search: &SavedSearch,
) -> Result<(), StorageError> {
    let mut sql = Sql::new(
        tx,
        "INSERT INTO error_saved_search (id, project_id, owner, name, query, sort, is_default, created_at, changed_at) \
         VALUES (",
    );
    sql.bind(search.id).push(", ").bind(project.0).push(", ").bind(owner_column(search.owner));
    sql.push(", ").bind(search.name.as_str()).push(", ").bind(search.query.as_str());
    sql.push(", ").bind(search.sort.as_str()).push(", ").bind(search.is_default);
    sql.push(", ").bind(search.created_at).push(", ").bind(search.created_at).push(")");
    sql.run(tx).await
}

pub(crate) async fn update_saved_in(
    tx: &Tx,
    project: ProjectId,
    search: &SavedSearch,
    now: Timestamp,
) -> Result<(), StorageError> {
    let mut sql = Sql::new(tx, "UPDATE error_saved_search SET name = ");
    sql.bind(search.name.as_str()).push(", query = ").bind(search.query.as_str());
    sql.push(", sort = ").bind(search.sort.as_str()).push(", is_default = ").bind(search.is_default);
    sql.push(", changed_at = ").bind(now).push(" WHERE project_id = ").bind(project.0);
    sql.push(" AND id = ").bind(search.id);
    sql.run(tx).await
}

pub(crate) async fn delete_saved_in(
    tx: &Tx,
    project: ProjectId,
    id: SavedSearchId,
) -> Result<(), StorageError> {
    let mut sql = Sql::new(tx, "DELETE FROM error_saved_search WHERE project_id = ");
    sql.bind(project.0).push(" AND id = ").bind(id);
    sql.run(tx).await
}
