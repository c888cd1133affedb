use std::collections::BTreeSet;

use async_trait::async_trait;
use belvedere_kernel::ProjectId;
use belvedere_storage::{StorageError, Timestamp, Tx};
use serde_json::{Value, json};
use subtle::ConstantTimeEq;

use super::insights::{check_name, check_room, user};
use super::model::{
    Board, BoardChange, BoardId, InsightId, Link, LinkId, LinkSecret, SharedBoard, Tile, hash,
};
use super::{Boards, Insights};
use crate::store::{self, insights as rows};
use crate::{BusinessError, BusinessService, ChangedBy};

/// The most boards of a project.
pub const BOARDS_MAX: usize = 50;

/// The most tiles of a board.
pub const TILES_MAX: usize = 24;

/// The most links to a board.
pub const LINKS_MAX: usize = 10;

fn detail(board: &Board) -> Value {
    let tiles = board.tiles.iter().map(|tile| tile.insight.to_string()).collect::<Vec<_>>();
    json!({ "name": board.name, "insights": tiles })
}

async fn find_in(tx: &Tx, project: ProjectId, id: BoardId) -> Result<Board, BusinessError> {
    let found = rows::list_boards(tx, project, Some(id)).await?.pop();
    found.ok_or(BusinessError::NotFound("dashboard"))
}

/// Refuses tiles of insights that are not the project's, too many of them, and an insight that is there twice.
async fn check_tiles(tx: &Tx, project: ProjectId, tiles: &[Tile]) -> Result<(), BusinessError> {
    if tiles.len() > TILES_MAX {
        return Err(BusinessError::invalid("tiles", format!("must be at most {TILES_MAX}")));
    }
    let known = rows::list_names(tx, project, "bi_insight").await?;
    let known: BTreeSet<InsightId> = known.into_iter().map(|(id, _)| id.cast()).collect();
    let mut seen = BTreeSet::new();
    for (tile, number) in tiles.iter().zip(1..) {
        if !known.contains(&tile.insight) {
            return Err(BusinessError::invalid("tiles", format!("number {number} is no insight here")));
        }
        if !seen.insert(tile.insight) {
            let why = format!("number {number} is an insight that is there already");
            return Err(BusinessError::invalid("tiles", why));
        }
    }
    Ok(())
}

impl BusinessService {
    /// Writes a board that was changed.
    async fn update_board(
        &self,
        tx: &Tx,
        project: ProjectId,
        by: &ChangedBy,
        board: Board,
    ) -> Result<Board, BusinessError> {
        let board = Board { changed_at: self.parts.clock.now(), ..board };
        rows::update_board(tx, project, &board).await?;
        self.record_board(tx, project, by, ("dashboard_changed", board.id), detail(&board)).await?;
        Ok(board)
    }

    async fn record_board(
        &self,
        tx: &Tx,
        project: ProjectId,
        by: &ChangedBy,
        (action, id): (&'static str, BoardId),
        detail: Value,
    ) -> Result<(), StorageError> {
        self.record_act(tx, project, by, (action, "dashboard", id.to_string()), detail).await
    }
}

#[async_trait]
impl Boards for BusinessService {
    async fn list_boards(&self, project: ProjectId) -> Result<Vec<Board>, BusinessError> {
        Ok(rows::list_boards(self.parts.db.read(), project, None).await?)
    }

    async fn find_board(&self, project: ProjectId, id: BoardId) -> Result<Board, BusinessError> {
        let found = rows::list_boards(self.parts.db.read(), project, Some(id)).await?.pop();
        found.ok_or(BusinessError::NotFound("dashboard"))
    }

    async fn create_board(
        &self,
        project: ProjectId,
        name: &str,
        tiles: Vec<Tile>,
        by: &ChangedBy,
    ) -> Result<Board, BusinessError> {
        let name = check_name(name)?;
        self.check_text(project, "name", json!({ "name": name })).await?;
        let now = self.parts.clock.now();
        let id = BoardId::generate(now);
        let board = Board { id, name, tiles, created_by: user(by), created_at: now, changed_at: now };
        self.parts
            .db
            .write(async |tx| {
                store::lock_project(tx, project).await?;
                check_room(tx, project, ("bi_board", BOARDS_MAX), &board.name, None).await?;
                check_tiles(tx, project, &board.tiles).await?;
                rows::insert_board(tx, project, &board).await?;
                self.record_board(tx, project, by, ("dashboard_created", id), detail(&board)).await?;
                Ok::<_, BusinessError>(())
            })
            .await?;
        Ok(board)
    }

    async fn change_board(
        &self,
        project: ProjectId,
        id: BoardId,
        change: BoardChange,
        by: &ChangedBy,
    ) -> Result<Board, BusinessError> {
        let name = change.name.as_deref().map(check_name).transpose()?;
        self.check_text(project, "name", json!({ "name": name })).await?;
        self.parts
            .db
            .write(async |tx| {
                store::lock_project(tx, project).await?;
                let mut board = find_in(tx, project, id).await?;
                if let Some(name) = &name {
                    check_room(tx, project, ("bi_board", BOARDS_MAX), name, Some(id.cast())).await?;
                    board.name.clone_from(name);
                }
                if let Some(tiles) = &change.tiles {
                    check_tiles(tx, project, tiles).await?;
                    board.tiles.clone_from(tiles);
                }
                self.update_board(tx, project, by, board).await
            })
            .await
    }

    async fn pin_insight(
        &self,
        project: ProjectId,
        id: BoardId,
        tile: Tile,
        by: &ChangedBy,
    ) -> Result<Board, BusinessError> {
        self.parts
            .db
            .write(async |tx| {
                store::lock_project(tx, project).await?;
                let mut board = find_in(tx, project, id).await?;
                if board.tiles.iter().any(|known| known.insight == tile.insight) {
                    return Ok(board);
                }
                board.tiles.push(tile);
                check_tiles(tx, project, &board.tiles).await?;
                self.update_board(tx, project, by, board).await
            })
            .await
    }

    async fn delete_board(
        &self,
        project: ProjectId,
        id: BoardId,
        by: &ChangedBy,
    ) -> Result<(), BusinessError> {
        self.parts
            .db
            .write(async |tx| {
                store::lock_project(tx, project).await?;
                let board = find_in(tx, project, id).await?;
                rows::delete_row(tx, project, "bi_board", id.cast()).await?;
                self.record_board(tx, project, by, ("dashboard_deleted", id), detail(&board)).await?;
                Ok(())
            })
            .await
    }

    async fn list_links(&self, project: ProjectId, board: BoardId) -> Result<Vec<Link>, BusinessError> {
        self.find_board(project, board).await?;
        Ok(rows::list_links(self.parts.db.read(), project, board).await?)
    }

    async fn create_link(
        &self,
        project: ProjectId,
        board: BoardId,
        expires_at: Option<Timestamp>,
        by: &ChangedBy,
    ) -> Result<(Link, LinkSecret), BusinessError> {
        let now = self.parts.clock.now();
        if expires_at.is_some_and(|end| end <= now) {
            return Err(BusinessError::invalid("expires_at", "must be in the future"));
        }
        let link = Link { id: LinkId::generate(now), created_by: user(by), created_at: now, expires_at };
        let secret = LinkSecret::random();
        let hash = hash(secret.reveal());
        self.parts
            .db
            .write(async |tx| {
                store::lock_project(tx, project).await?;
                find_in(tx, project, board).await?;
                if rows::list_links(tx, project, board).await?.len() >= LINKS_MAX {
                    let why = format!("there are {LINKS_MAX} already; revoke one first");
                    return Err(BusinessError::invalid("links", why));
                }
                rows::insert_link(tx, project, board, &link, &hash).await?;
                let detail = json!({ "link": link.id, "expires_at": expires_at });
                self.record_board(tx, project, by, ("dashboard_link_created", board), detail).await?;
                Ok(())
            })
            .await?;
        Ok((link, secret))
    }

    async fn revoke_link(
        &self,
        project: ProjectId,
        board: BoardId,
        link: LinkId,
        by: &ChangedBy,
    ) -> Result<(), BusinessError> {
        self.parts
            .db
            .write(async |tx| {
                if !rows::delete_link(tx, project, board, link).await? {
                    return Err(BusinessError::NotFound("link"));
                }
                let detail = json!({ "link": link });
                self.record_board(tx, project, by, ("dashboard_link_revoked", board), detail).await?;
                Ok(())
            })
            .await
    }

    async fn find_shared(&self, link: LinkId, secret: &str) -> Result<Option<SharedBoard>, BusinessError> {
        let row = rows::find_link(self.parts.db.read(), link).await?;
        let wanted = row.as_ref().map_or(&[0; 32][..], |row| &row.secret_hash);
        let is_right = bool::from(hash(secret).as_slice().ct_eq(wanted));
        let now = self.parts.clock.now();
        let Some(row) = row.filter(|row| is_right && row.expires_at.is_none_or(|end| end > now)) else {
            return Ok(None);
        };
        let board = match self.find_board(row.project, row.board).await {
            Err(BusinessError::NotFound(_)) => return Ok(None),
            board => board?,
        };
        let mut insights = self.list_insights(row.project).await?;
        insights.retain(|insight| board.tiles.iter().any(|tile| tile.insight == insight.id));
        let time_zone = self.calendar(row.project).await?.name().to_owned();
        Ok(Some(SharedBoard { project: row.project, time_zone, board, insights }))
    }
}
