//! Insights, boards and their links.

use std::collections::BTreeMap;

use belvedere_kernel::{ProjectId, User};
use belvedere_storage::{Id, Sql, StorageError, Timestamp, Tx, execute_sql, query_sql};
use sea_orm::{ConnectionTrait, QueryResult};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::get;
use crate::insight::{
    BOARDS_MAX, Board, BoardId, INSIGHTS_MAX, Insight, InsightId, LINKS_MAX, Link, LinkId, TILES_MAX, Tile,
    TileWidth,
};

/// What is kept as JSON.
pub(crate) fn read_json<T: DeserializeOwned>(text: &str, what: &str) -> Result<T, StorageError> {
    serde_json::from_str(text).map_err(|error| StorageError::corrupt(format!("{what}: {error}")))
}

pub(crate) fn write_json<T: Serialize>(value: &T) -> Result<String, StorageError> {
    serde_json::to_string(value).map_err(|error| StorageError::corrupt(error.to_string()))
}

/// The keys and names of all rows of a project in `table`, which has a limit.
pub(crate) async fn list_names(
    tx: &Tx,
    project: ProjectId,
    table: &'static str,
) -> Result<Vec<(Id<()>, String)>, StorageError> {
    let sql = format!("SELECT id, name FROM {table} WHERE project_id = $1");
    let rows = query_sql(tx, &sql, [project.0.into()]).await?;
    rows.iter().map(|row| Ok((get(row, 0)?, get(row, 1)?))).collect()
}

/// Deletes a row of `table`; whether there was one.
pub(crate) async fn delete_row(
    tx: &Tx,
    project: ProjectId,
    table: &'static str,
    id: Id<()>,
) -> Result<bool, StorageError> {
    let sql = format!("DELETE FROM {table} WHERE project_id = $1 AND id = $2");
    Ok(execute_sql(tx, &sql, [project.0.into(), id.into()]).await? == 1)
}

const INSIGHT: &str = "SELECT id, name, question, created_by, created_at, changed_at FROM bi_insight";

fn insight(row: &QueryResult) -> Result<Insight, StorageError> {
    let question: String = get(row, 2)?;
    Ok(Insight {
        id: get(row, 0)?,
        name: get(row, 1)?,
        question: read_json(&question, "the question of an insight")?,
        created_by: get(row, 3)?,
        created_at: get(row, 4)?,
        changed_at: get(row, 5)?,
    })
}

/// The insights of a project by name.
pub(crate) async fn list_insights(
    connection: &impl ConnectionTrait,
    project: ProjectId,
) -> Result<Vec<Insight>, StorageError> {
    let mut sql = Sql::new(connection, INSIGHT);
    sql.push(" WHERE project_id = ").bind(project.0);
    sql.push(" ORDER BY name, id LIMIT ").bind(INSIGHTS_MAX as i64);
    sql.fetch(connection).await?.iter().map(insight).collect()
}

pub(crate) async fn find_insight(
    connection: &impl ConnectionTrait,
    project: ProjectId,
    id: InsightId,
) -> Result<Option<Insight>, StorageError> {
    let sql = format!("{INSIGHT} WHERE project_id = $1 AND id = $2");
    let rows = query_sql(connection, &sql, [project.0.into(), id.into()]).await?;
    rows.first().map(insight).transpose()
}

pub(crate) async fn insert_insight(
    tx: &Tx,
    project: ProjectId,
    insight: &Insight,
) -> Result<(), StorageError> {
    let sql = "INSERT INTO bi_insight (id, project_id, name, question, created_by, created_at, changed_at) \
               VALUES ($1, $2, $3, $4, $5, $6, $6)";
    let values = [
        insight.id.into(),
        project.0.into(),
        insight.name.as_str().into(),
        write_json(&insight.question)?.into(),
        insight.created_by.into(),
        insight.created_at.into(),
    ];
    execute_sql(tx, sql, values).await.map(drop)
}

pub(crate) async fn update_insight(
    tx: &Tx,
    project: ProjectId,
    insight: &Insight,
) -> Result<(), StorageError> {
    let sql =
        "UPDATE bi_insight SET name = $3, question = $4, changed_at = $5 WHERE project_id = $1 AND id = $2";
    let values = [
        project.0.into(),
        insight.id.into(),
        insight.name.as_str().into(),
        write_json(&insight.question)?.into(),
        insight.changed_at.into(),
    ];
    execute_sql(tx, sql, values).await.map(drop)
}

/// The boards of a project by name, or one of them, with their tiles in order.
pub(crate) async fn list_boards(
    connection: &impl ConnectionTrait,
    project: ProjectId,
    only: Option<BoardId>,
) -> Result<Vec<Board>, StorageError> {
    let head = "SELECT id, name, created_by, created_at, changed_at FROM bi_board WHERE project_id = ";
    let mut sql = Sql::new(connection, head);
    sql.bind(project.0);
    if let Some(only) = only {
        sql.push(" AND id = ").bind(only);
    }
    sql.push(" ORDER BY name, id LIMIT ").bind(BOARDS_MAX as i64);
    let mut boards = Vec::new();
    for row in sql.fetch(connection).await? {
        boards.push(Board {
            id: get(&row, 0)?,
            name: get(&row, 1)?,
            tiles: Vec::new(),
            created_by: get(&row, 2)?,
            created_at: get(&row, 3)?,
            changed_at: get(&row, 4)?,
        });
    }
    if boards.is_empty() {
        return Ok(boards);
    }
    let head = "SELECT tile.board_id, tile.insight_id, tile.width FROM bi_tile tile \
                JOIN bi_board board ON board.id = tile.board_id WHERE board.project_id = ";
    let mut sql = Sql::new(connection, head);
    sql.bind(project.0);
    if let Some(only) = only {
        sql.push(" AND board.id = ").bind(only);
    }
    sql.push(" ORDER BY tile.board_id, tile.position LIMIT ").bind((BOARDS_MAX * TILES_MAX) as i64);
    let mut tiles: BTreeMap<BoardId, Vec<Tile>> = BTreeMap::new();
    for row in sql.fetch(connection).await? {
        let width: String = get(&row, 2)?;
        let width = TileWidth::find(&width).ok_or_else(|| StorageError::corrupt("width of a tile"))?;
        tiles.entry(get(&row, 0)?).or_default().push(Tile { insight: get(&row, 1)?, width });
    }
    for board in &mut boards {
        board.tiles = tiles.remove(&board.id).unwrap_or_default();
    }
    Ok(boards)
}

pub(crate) async fn insert_board(tx: &Tx, project: ProjectId, board: &Board) -> Result<(), StorageError> {
    let sql = "INSERT INTO bi_board (id, project_id, name, created_by, created_at, changed_at) \
               VALUES ($1, $2, $3, $4, $5, $5)";
    let values = [
        board.id.into(),
        project.0.into(),
        board.name.as_str().into(),
        board.created_by.into(),
        board.created_at.into(),
    ];
    execute_sql(tx, sql, values).await?;
    insert_tiles(tx, board).await
}

async fn insert_tiles(tx: &Tx, board: &Board) -> Result<(), StorageError> {
    for (tile, position) in board.tiles.iter().zip(0_i64..) {
        let sql = "INSERT INTO bi_tile (board_id, insight_id, position, width) VALUES ($1, $2, $3, $4)";
        let values = [board.id.into(), tile.insight.into(), position.into(), tile.width.as_str().into()];
        execute_sql(tx, sql, values).await?;
    }
    Ok(())
}

/// Writes the name and all tiles of a board.
pub(crate) async fn update_board(tx: &Tx, project: ProjectId, board: &Board) -> Result<(), StorageError> {
    let sql = "UPDATE bi_board SET name = $3, changed_at = $4 WHERE project_id = $1 AND id = $2";
    let (name, changed_at) = (board.name.as_str().into(), board.changed_at.into());
    execute_sql(tx, sql, [project.0.into(), board.id.into(), name, changed_at]).await?;
    execute_sql(tx, "DELETE FROM bi_tile WHERE board_id = $1", [board.id.into()]).await?;
    insert_tiles(tx, board).await
}

/// The links to a board, the oldest first.
pub(crate) async fn list_links(
    connection: &impl ConnectionTrait,
    project: ProjectId,
    board: BoardId,
) -> Result<Vec<Link>, StorageError> {
    let sql = "SELECT id, created_by, created_at, expires_at FROM bi_board_link \
               WHERE project_id = $1 AND board_id = $2 ORDER BY id LIMIT $3";
    let limit = LINKS_MAX as i64;
    let rows = query_sql(connection, sql, [project.0.into(), board.into(), limit.into()]).await?;
    let link = |row: &QueryResult| {
        let (id, created_by): (LinkId, Option<Id<User>>) = (get(row, 0)?, get(row, 1)?);
        Ok(Link { id, created_by, created_at: get(row, 2)?, expires_at: get(row, 3)? })
    };
    rows.iter().map(link).collect()
}

pub(crate) async fn insert_link(
    tx: &Tx,
    project: ProjectId,
    board: BoardId,
    link: &Link,
    secret_hash: &[u8],
) -> Result<(), StorageError> {
    let sql = "INSERT INTO bi_board_link (id, board_id, project_id, secret_hash, created_by, created_at, expires_at) \
               VALUES ($1, $2, $3, $4, $5, $6, $7)";
    let values = [
        link.id.into(),
        board.into(),
        project.0.into(),
        secret_hash.to_vec().into(),
        link.created_by.into(),
        link.created_at.into(),
        link.expires_at.into(),
    ];
    execute_sql(tx, sql, values).await.map(drop)
}

/// Deletes a link to a board; whether there was one.
pub(crate) async fn delete_link(
    tx: &Tx,
    project: ProjectId,
    board: BoardId,
    link: LinkId,
) -> Result<bool, StorageError> {
    let sql = "DELETE FROM bi_board_link WHERE project_id = $1 AND board_id = $2 AND id = $3";
    Ok(execute_sql(tx, sql, [project.0.into(), board.into(), link.into()]).await? == 1)
}

/// What a link leads to, whoever asks: this is the one statement that names no project, as a visitor with a link knows
/// none.
pub(crate) struct LinkRow {
    pub(crate) project: ProjectId,
    pub(crate) board: BoardId,
    pub(crate) secret_hash: Vec<u8>,
    pub(crate) expires_at: Option<Timestamp>,
}

pub(crate) async fn find_link(
    connection: &impl ConnectionTrait,
    link: LinkId,
) -> Result<Option<LinkRow>, StorageError> {
    let sql = "SELECT project_id, board_id, secret_hash, expires_at FROM bi_board_link WHERE id = $1";
    let rows = query_sql(connection, sql, [link.into()]).await?;
    let row = |row: &QueryResult| {
        Ok(LinkRow {
            project: ProjectId(get(row, 0)?),
            board: get(row, 1)?,
            secret_hash: get(row, 2)?,
            expires_at: get(row, 3)?,
        })
    };
    rows.first().map(row).transpose()
}
