use std::str::FromStr;
use std::sync::Arc;

use belvedere_kernel::{Organisation, ProjectId, XapiKey};
use belvedere_storage::{Id, Page, PageRequest, StorageError, Timestamp, Tx};
use sea_orm::{
    ActiveValue::Set, ColumnTrait, ConnectionTrait, EntityTrait, IntoActiveModel, PaginatorTrait,
    QueryFilter, QueryOrder, QuerySelect,
};

use super::{after, page_by_id, rows_wanted};
use crate::entity::{project, xapi_key};
use crate::{AccountsError, XapiKeyInfo, XapiScope};

/// A key with the hash of its secret.
#[derive(Debug)]
pub(crate) struct KnownXapiKey {
    pub(crate) info: Arc<XapiKeyInfo>,
    pub(crate) secret_hash: Vec<u8>,
}

pub(crate) async fn find_by_public_key(
    connection: &impl ConnectionTrait,
    public_key: &str,
) -> Result<Option<KnownXapiKey>, StorageError> {
    let row =
        xapi_key::Entity::find().filter(xapi_key::Column::PublicKey.eq(public_key)).one(connection).await?;
    let Some(row) = row else { return Ok(None) };
    let Some(project) = project::Entity::find_by_id(row.project_id).one(connection).await? else {
        return Ok(None);
    };
    let secret_hash = row.secret_hash.clone();
    Ok(Some(KnownXapiKey { info: Arc::new(key_of(row, project.organisation_id)?), secret_hash }))
}

/// The key, if its project belongs to the organisation.
pub(crate) async fn find(
    connection: &impl ConnectionTrait,
    key: Id<XapiKey>,
    organisation: Id<Organisation>,
) -> Result<Option<XapiKeyInfo>, StorageError> {
    let Some(row) = xapi_key::Entity::find_by_id(key).one(connection).await? else { return Ok(None) };
    let of_us = project::Entity::find_by_id(row.project_id)
        .filter(project::Column::OrganisationId.eq(organisation))
        .one(connection)
        .await?;
    of_us.map(|_| key_of(row, organisation)).transpose()
}

pub(crate) async fn list(
    connection: &impl ConnectionTrait,
    project: ProjectId,
    organisation: Id<Organisation>,
    page: &PageRequest,
) -> Result<Page<XapiKeyInfo>, AccountsError> {
    let mut query = xapi_key::Entity::find().filter(xapi_key::Column::ProjectId.eq(project.0));
    if let Some(after) = after::<XapiKey>(page)? {
        query = query.filter(xapi_key::Column::Id.lt(after));
    }
    let rows = query.order_by_desc(xapi_key::Column::Id).limit(rows_wanted(page)).all(connection).await;
    let rows = rows.map_err(StorageError::from)?.into_iter();
    let keys = rows.map(|row| key_of(row, organisation)).collect::<Result<Vec<_>, _>>()?;
    Ok(page_by_id(keys, page, |key| key.id))
}

pub(crate) async fn count_working(
    connection: &impl ConnectionTrait,
    project: ProjectId,
) -> Result<u64, StorageError> {
    let working = xapi_key::Entity::find()
        .filter(xapi_key::Column::ProjectId.eq(project.0))
        .filter(xapi_key::Column::RevokedAt.is_null());
    Ok(working.count(connection).await?)
}

pub(crate) async fn insert_in(tx: &Tx, key: &XapiKeyInfo, secret_hash: Vec<u8>) -> Result<(), StorageError> {
    let row = xapi_key::Model {
        id: key.id,
        project_id: key.project.0,
        public_key: key.public_key.clone(),
        secret_hash,
        label: key.label.clone(),
        scopes: key.scopes.iter().map(|scope| scope.as_str()).collect::<Vec<_>>().join(" "),
        created_at: key.created_at,
        revoked_at: key.revoked_at,
    };
    xapi_key::Entity::insert(row.into_active_model()).exec_without_returning(tx).await?;
    Ok(())
}

pub(crate) async fn revoke_in(tx: &Tx, key: Id<XapiKey>, now: Timestamp) -> Result<(), StorageError> {
    let row = xapi_key::ActiveModel { id: Set(key), revoked_at: Set(Some(now)), ..Default::default() };
    xapi_key::Entity::update(row).exec(tx).await?;
    Ok(())
}

fn key_of(row: xapi_key::Model, organisation: Id<Organisation>) -> Result<XapiKeyInfo, StorageError> {
    let scopes = row.scopes.split(' ').map(XapiScope::from_str).collect::<Result<Vec<_>, _>>();
    let scopes =
        scopes.map_err(|_| StorageError::corrupt(format!("xAPI key {} has unknown scopes", row.id)))?;
    Ok(XapiKeyInfo {
        id: row.id,
        project: ProjectId(row.project_id),
        organisation,
        public_key: row.public_key,
        label: row.label,
        scopes,
        created_at: row.created_at,
        revoked_at: row.revoked_at,
    })
}
