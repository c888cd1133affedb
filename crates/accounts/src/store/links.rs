use belvedere_kernel::{Organisation, User};
use belvedere_storage::{Id, Page, PageRequest, StorageError, Timestamp, Tx};
use sea_orm::{
    ColumnTrait, ConnectionTrait, EntityTrait, IntoActiveModel, PaginatorTrait, QueryFilter, QueryOrder,
    QuerySelect, QueryTrait,
};

use super::{after, page_by_id, rows_wanted};
use crate::entity::link;
use crate::{AccountsError, InviteInfo};

/// What a link does.
pub(crate) const SIGN_IN: &str = "sign_in";
pub(crate) const INVITE: &str = "invite";

/// How many expired links one sweep removes.
const SWEEP_MAX: u64 = 100;

/// The link, if it has not expired.
pub(crate) async fn find_by_hash(
    connection: &impl ConnectionTrait,
    purpose: &str,
    secret_hash: &[u8],
    now: Timestamp,
) -> Result<Option<link::Model>, StorageError> {
    let row = link::Entity::find()
        .filter(link::Column::SecretHash.eq(secret_hash))
        .filter(link::Column::Purpose.eq(purpose))
        .filter(link::Column::ExpiresAt.gt(now))
        .one(connection)
        .await?;
    Ok(row)
}

/// Inserts the link and removes some that have expired.
pub(crate) async fn insert_in(tx: &Tx, row: link::Model) -> Result<(), StorageError> {
    let expired = link::Entity::find()
        .select_only()
        .column(link::Column::Id)
        .filter(link::Column::ExpiresAt.lte(row.created_at))
        .order_by_asc(link::Column::ExpiresAt)
        .limit(SWEEP_MAX)
        .into_query();
    link::Entity::delete_many().filter(link::Column::Id.in_subquery(expired)).exec(tx).await?;
    link::Entity::insert(row.into_active_model()).exec_without_returning(tx).await?;
    Ok(())
}

/// Uses the link up; `false` if somebody else has done so before.
pub(crate) async fn take_in(tx: &Tx, link: Id<InviteInfo>) -> Result<bool, StorageError> {
    Ok(link::Entity::delete_by_id(link).exec(tx).await?.rows_affected == 1)
}

pub(crate) async fn find_invite(
    connection: &impl ConnectionTrait,
    invite: Id<InviteInfo>,
    organisation: Id<Organisation>,
) -> Result<Option<link::Model>, StorageError> {
    let row = link::Entity::find_by_id(invite)
        .filter(link::Column::Purpose.eq(INVITE))
        .filter(link::Column::OrganisationId.eq(organisation))
        .one(connection)
        .await?;
    Ok(row)
}

pub(crate) async fn list_invites(
    connection: &impl ConnectionTrait,
    organisation: Id<Organisation>,
    page: &PageRequest,
    now: Timestamp,
) -> Result<Page<link::Model>, AccountsError> {
    let mut query = pending(organisation, now);
    if let Some(after) = after::<InviteInfo>(page)? {
        query = query.filter(link::Column::Id.lt(after));
    }
    let rows = query.order_by_desc(link::Column::Id).limit(rows_wanted(page)).all(connection).await;
    Ok(page_by_id(rows.map_err(StorageError::from)?, page, |row| row.id))
}

pub(crate) async fn count_invites(
    connection: &impl ConnectionTrait,
    organisation: Id<Organisation>,
    now: Timestamp,
) -> Result<u64, StorageError> {
    Ok(pending(organisation, now).count(connection).await?)
}

fn pending(organisation: Id<Organisation>, now: Timestamp) -> sea_orm::Select<link::Entity> {
    link::Entity::find()
        .filter(link::Column::Purpose.eq(INVITE))
        .filter(link::Column::OrganisationId.eq(organisation))
        .filter(link::Column::ExpiresAt.gt(now))
}

/// Deletes what was to bring this e-mail address into the organisation.
pub(crate) async fn delete_invites_to_in(
    tx: &Tx,
    organisation: Id<Organisation>,
    email_lookup: &[u8],
) -> Result<(), StorageError> {
    link::Entity::delete_many()
        .filter(link::Column::OrganisationId.eq(organisation))
        .filter(link::Column::EmailLookup.eq(email_lookup))
        .exec(tx)
        .await?;
    Ok(())
}

/// Deletes the invitations that `user` made for the organisation.
pub(crate) async fn delete_invites_by_in(
    tx: &Tx,
    organisation: Id<Organisation>,
    user: Id<User>,
) -> Result<(), StorageError> {
    link::Entity::delete_many()
        .filter(link::Column::OrganisationId.eq(organisation))
        .filter(link::Column::CreatedBy.eq(user))
        .exec(tx)
        .await?;
    Ok(())
}

/// Deletes the user's unused sign-in links.
pub(crate) async fn delete_sign_in_links_in(tx: &Tx, user: Id<User>) -> Result<(), StorageError> {
    link::Entity::delete_many()
        .filter(link::Column::Purpose.eq(SIGN_IN))
        .filter(link::Column::UserId.eq(user))
        .exec(tx)
        .await?;
    Ok(())
}
