use belvedere_kernel::{Organisation, User};
use belvedere_storage::{Id, Page, PageRequest, StorageError, Timestamp, Tx};
use sea_orm::{
    ActiveValue::Set, ColumnTrait, ConnectionTrait, EntityTrait, IntoActiveModel, PaginatorTrait,
    QueryFilter, QueryOrder, QuerySelect,
};

use super::{after, page_by_id, role, rows_wanted};
use crate::entity::{member, user};
use crate::{AccountsError, Role};

pub(crate) async fn find_user(
    connection: &impl ConnectionTrait,
    user: Id<User>,
) -> Result<Option<user::Model>, StorageError> {
    Ok(user::Entity::find_by_id(user).one(connection).await?)
}

pub(crate) async fn find_user_by_email(
    connection: &impl ConnectionTrait,
    email_lookup: &[u8],
) -> Result<Option<user::Model>, StorageError> {
    Ok(user::Entity::find().filter(user::Column::EmailLookup.eq(email_lookup)).one(connection).await?)
}

pub(crate) async fn insert_user_in(tx: &Tx, row: user::Model) -> Result<(), StorageError> {
    user::Entity::insert(row.into_active_model()).exec_without_returning(tx).await?;
    Ok(())
}

pub(crate) async fn set_password_hash_in(tx: &Tx, user: Id<User>, hash: String) -> Result<(), StorageError> {
    let row = user::ActiveModel { id: Set(user), password_hash: Set(Some(hash)), ..Default::default() };
    user::Entity::update(row).exec(tx).await?;
    Ok(())
}

pub(crate) async fn set_name_in(tx: &Tx, user: Id<User>, sealed: Vec<u8>) -> Result<(), StorageError> {
    let row = user::ActiveModel { id: Set(user), name_sealed: Set(sealed), ..Default::default() };
    user::Entity::update(row).exec(tx).await?;
    Ok(())
}

pub(crate) async fn set_email_in(
    tx: &Tx,
    user: Id<User>,
    lookup: Vec<u8>,
    sealed: Vec<u8>,
) -> Result<(), StorageError> {
    let row = user::ActiveModel {
        id: Set(user),
        email_lookup: Set(Some(lookup)),
        email_sealed: Set(Some(sealed)),
        ..Default::default()
    };
    user::Entity::update(row).exec(tx).await?;
    Ok(())
}

/// The user's role in the organisation, if they are a member.
pub(crate) async fn find_role(
    connection: &impl ConnectionTrait,
    organisation: Id<Organisation>,
    user: Id<User>,
) -> Result<Option<Role>, StorageError> {
    let row = member::Entity::find_by_id((organisation, user)).one(connection).await?;
    row.map(|row| role(&row.role)).transpose()
}

/// The organisation that the user joined first.
pub(crate) async fn find_first_organisation(
    connection: &impl ConnectionTrait,
    user: Id<User>,
) -> Result<Option<Id<Organisation>>, StorageError> {
    let row = member::Entity::find()
        .filter(member::Column::UserId.eq(user))
        .order_by_asc(member::Column::CreatedAt)
        .order_by_asc(member::Column::OrganisationId)
        .one(connection)
        .await?;
    Ok(row.map(|row| row.organisation_id))
}

/// The oldest account among the organisation's owners.
pub(crate) async fn find_first_owner(
    connection: &impl ConnectionTrait,
    organisation: Id<Organisation>,
) -> Result<Option<Id<User>>, StorageError> {
    let row = owners_of(organisation).order_by_asc(member::Column::UserId).one(connection).await?;
    Ok(row.map(|row| row.user_id))
}

pub(crate) async fn count_owners(
    connection: &impl ConnectionTrait,
    organisation: Id<Organisation>,
) -> Result<u64, StorageError> {
    Ok(owners_of(organisation).count(connection).await?)
}

fn owners_of(organisation: Id<Organisation>) -> sea_orm::Select<member::Entity> {
    member::Entity::find()
        .filter(member::Column::OrganisationId.eq(organisation))
        .filter(member::Column::Role.eq(Role::Owner.as_str()))
}

pub(crate) async fn count_members(
    connection: &impl ConnectionTrait,
    organisation: Id<Organisation>,
) -> Result<u64, StorageError> {
    Ok(member::Entity::find()
        .filter(member::Column::OrganisationId.eq(organisation))
        .count(connection)
        .await?)
}

/// Members and their roles, by the users' ids.
pub(crate) async fn list_members(
    connection: &impl ConnectionTrait,
    organisation: Id<Organisation>,
    page: &PageRequest,
) -> Result<Page<(user::Model, Role)>, AccountsError> {
    let mut query = member::Entity::find().filter(member::Column::OrganisationId.eq(organisation));
    if let Some(after) = after::<User>(page)? {
        query = query.filter(member::Column::UserId.gt(after));
    }
    let rows = query.order_by_asc(member::Column::UserId).limit(rows_wanted(page)).all(connection).await;
    let members = page_by_id(rows.map_err(StorageError::from)?, page, |row| row.user_id);
    let users = user::Entity::find()
        .filter(user::Column::Id.is_in(members.items.iter().map(|row| row.user_id)))
        .order_by_asc(user::Column::Id)
        .all(connection)
        .await
        .map_err(StorageError::from)?;
    let mut items = Vec::with_capacity(members.items.len());
    for member in &members.items {
        // A foreign key lets no member be without a user.
        if let Ok(place) = users.binary_search_by_key(&member.user_id, |user| user.id) {
            items.push((users[place].clone(), role(&member.role)?));
        }
    }
    Ok(Page { items, next: members.next })
}

pub(crate) async fn insert_member_in(
    tx: &Tx,
    organisation: Id<Organisation>,
    user: Id<User>,
    role: Role,
    now: Timestamp,
) -> Result<(), StorageError> {
    let row = member::Model {
        organisation_id: organisation,
        user_id: user,
        role: role.as_str().to_owned(),
        created_at: now,
    };
    member::Entity::insert(row.into_active_model()).exec_without_returning(tx).await?;
    Ok(())
}

pub(crate) async fn set_role_in(
    tx: &Tx,
    organisation: Id<Organisation>,
    user: Id<User>,
    role: Role,
) -> Result<(), StorageError> {
    let row = member::ActiveModel {
        organisation_id: Set(organisation),
        user_id: Set(user),
        role: Set(role.as_str().to_owned()),
        ..Default::default()
    };
    member::Entity::update(row).exec(tx).await?;
    Ok(())
}

pub(crate) async fn delete_member_in(
    tx: &Tx,
    organisation: Id<Organisation>,
    user: Id<User>,
) -> Result<(), StorageError> {
    member::Entity::delete_by_id((organisation, user)).exec(tx).await?;
    Ok(())
}
