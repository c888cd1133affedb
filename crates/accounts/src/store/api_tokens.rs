use std::str::FromStr;

use belvedere_kernel::{ApiToken, Organisation, User};
use belvedere_storage::{Id, Page, PageRequest, StorageError, Timestamp, Tx};
use sea_orm::{
    ColumnTrait, Condition, ConnectionTrait, EntityTrait, IntoActiveModel, PaginatorTrait, QueryFilter,
    QueryOrder, QuerySelect,
    sea_query::{Expr, SimpleExpr},
};

use super::{after, page_by_id, rows_wanted};
use crate::entity::api_token;
use crate::{AccountsError, ApiTokenInfo, Scope};

pub(crate) async fn find_by_hash(
    connection: &impl ConnectionTrait,
    secret_hash: &[u8],
) -> Result<Option<api_token::Model>, StorageError> {
    Ok(api_token::Entity::find()
        .filter(api_token::Column::SecretHash.eq(secret_hash))
        .one(connection)
        .await?)
}

pub(crate) async fn find(
    connection: &impl ConnectionTrait,
    token: Id<ApiToken>,
    organisation: Id<Organisation>,
) -> Result<Option<ApiTokenInfo>, StorageError> {
    let row = api_token::Entity::find_by_id(token)
        .filter(api_token::Column::OrganisationId.eq(organisation))
        .one(connection)
        .await?;
    row.map(token_of).transpose()
}

pub(crate) async fn list(
    connection: &impl ConnectionTrait,
    organisation: Id<Organisation>,
    page: &PageRequest,
) -> Result<Page<ApiTokenInfo>, AccountsError> {
    let mut query = api_token::Entity::find().filter(api_token::Column::OrganisationId.eq(organisation));
    if let Some(after) = after::<ApiToken>(page)? {
        query = query.filter(api_token::Column::Id.lt(after));
    }
    let rows = query.order_by_desc(api_token::Column::Id).limit(rows_wanted(page)).all(connection).await;
    let tokens =
        rows.map_err(StorageError::from)?.into_iter().map(token_of).collect::<Result<Vec<_>, _>>()?;
    Ok(page_by_id(tokens, page, |token| token.id))
}

pub(crate) async fn count_working(
    connection: &impl ConnectionTrait,
    organisation: Id<Organisation>,
    now: Timestamp,
) -> Result<u64, StorageError> {
    let unexpired = Condition::any()
        .add(api_token::Column::ExpiresAt.is_null())
        .add(api_token::Column::ExpiresAt.gt(now));
    let working = api_token::Entity::find()
        .filter(api_token::Column::OrganisationId.eq(organisation))
        .filter(api_token::Column::RevokedAt.is_null())
        .filter(unexpired);
    Ok(working.count(connection).await?)
}

pub(crate) async fn insert_in(tx: &Tx, row: api_token::Model) -> Result<ApiTokenInfo, StorageError> {
    api_token::Entity::insert(row.clone().into_active_model()).exec_without_returning(tx).await?;
    token_of(row)
}

pub(crate) async fn revoke_in(tx: &Tx, token: Id<ApiToken>, now: Timestamp) -> Result<(), StorageError> {
    api_token::Entity::update_many()
        .col_expr(api_token::Column::RevokedAt, instant(now))
        .filter(api_token::Column::Id.eq(token))
        .filter(api_token::Column::RevokedAt.is_null())
        .exec(tx)
        .await?;
    Ok(())
}

/// Revokes what `user` made in the organisation; how many tokens that were.
pub(crate) async fn revoke_made_by_in(
    tx: &Tx,
    organisation: Id<Organisation>,
    user: Id<User>,
    now: Timestamp,
) -> Result<u64, StorageError> {
    let done = api_token::Entity::update_many()
        .col_expr(api_token::Column::RevokedAt, instant(now))
        .filter(api_token::Column::OrganisationId.eq(organisation))
        .filter(api_token::Column::CreatedBy.eq(user))
        .filter(api_token::Column::RevokedAt.is_null())
        .exec(tx)
        .await?;
    Ok(done.rows_affected)
}

/// Notes a use, unless one was noted since `before`.
pub(crate) async fn touch_in(
    tx: &Tx,
    token: Id<ApiToken>,
    now: Timestamp,
    before: Timestamp,
) -> Result<(), StorageError> {
    let long_ago = Condition::any()
        .add(api_token::Column::LastUsedAt.is_null())
        .add(api_token::Column::LastUsedAt.lte(before));
    api_token::Entity::update_many()
        .col_expr(api_token::Column::LastUsedAt, instant(now))
        .filter(api_token::Column::Id.eq(token))
        .filter(long_ago)
        .exec(tx)
        .await?;
    Ok(())
}

fn instant(at: Timestamp) -> SimpleExpr {
    Expr::value(at)
}

pub(crate) fn scopes_to_text(scopes: &[Scope]) -> String {
    scopes.iter().map(|scope| scope.as_str()).collect::<Vec<_>>().join(" ")
}

pub(crate) fn scopes_of(row: &api_token::Model) -> Result<Vec<Scope>, StorageError> {
    let scopes = row.scopes.split(' ').map(Scope::from_str).collect::<Result<Vec<_>, _>>();
    scopes.map_err(|_| StorageError::corrupt(format!("API token {} has unknown scopes", row.id)))
}

fn token_of(row: api_token::Model) -> Result<ApiTokenInfo, StorageError> {
    Ok(ApiTokenInfo {
        scopes: scopes_of(&row)?,
        id: row.id,
        label: row.label,
        prefix: row.prefix,
        created_at: row.created_at,
        last_used_at: row.last_used_at,
        expires_at: row.expires_at,
        revoked_at: row.revoked_at,
    })
}
