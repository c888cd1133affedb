use belvedere_kernel::{IngestKey, Organisation, ProjectId};
use belvedere_storage::{Id, Page, PageRequest, StorageError, Timestamp, Tx};
use sea_orm::{
    ActiveValue::Set, ColumnTrait, ConnectionTrait, EntityTrait, IntoActiveModel, PaginatorTrait,
    QueryFilter, QueryOrder, QuerySelect, QueryTrait,
};

use super::{after, page_by_id, rows_wanted};
use crate::entity::{ingest_key, project};
use crate::{AccountsError, IngestKeyInfo};

pub(crate) async fn find_by_public_key(
    connection: &impl ConnectionTrait,
    public_key: &str,
) -> Result<Option<IngestKeyInfo>, StorageError> {
    let row = ingest_key::Entity::find()
        .filter(ingest_key::Column::PublicKey.eq(public_key))
        .one(connection)
        .await?;
    row.map(key_of).transpose()
}

/// The key, if its project belongs to the organisation.
pub(crate) async fn find(
    connection: &impl ConnectionTrait,
    key: Id<IngestKey>,
    organisation: Id<Organisation>,
) -> Result<Option<IngestKeyInfo>, StorageError> {
    let projects = project::Entity::find()
        .select_only()
        .column(project::Column::Id)
        .filter(project::Column::OrganisationId.eq(organisation))
        .into_query();
    let row = ingest_key::Entity::find_by_id(key)
        .filter(ingest_key::Column::ProjectId.in_subquery(projects))
        .one(connection)
        .await?;
    row.map(key_of).transpose()
}

/// The project's oldest working key, or its oldest if none works.
pub(crate) async fn find_first(
    connection: &impl ConnectionTrait,
    project: ProjectId,
) -> Result<Option<IngestKeyInfo>, StorageError> {
    let keys = ingest_key::Entity::find()
        .filter(ingest_key::Column::ProjectId.eq(project.0))
        .order_by_asc(ingest_key::Column::Id);
    let working = keys.clone().filter(ingest_key::Column::RevokedAt.is_null()).one(connection).await?;
    let row = if working.is_some() { working } else { keys.one(connection).await? };
    row.map(key_of).transpose()
}

pub(crate) async fn list(
    connection: &impl ConnectionTrait,
    project: ProjectId,
    page: &PageRequest,
) -> Result<Page<IngestKeyInfo>, AccountsError> {
    let mut query = ingest_key::Entity::find().filter(ingest_key::Column::ProjectId.eq(project.0));
    if let Some(after) = after::<IngestKey>(page)? {
        query = query.filter(ingest_key::Column::Id.lt(after));
    }
    let rows = query.order_by_desc(ingest_key::Column::Id).limit(rows_wanted(page)).all(connection).await;
    let keys = rows.map_err(StorageError::from)?.into_iter().map(key_of).collect::<Result<Vec<_>, _>>()?;
    Ok(page_by_id(keys, page, |key| key.id))
}

pub(crate) async fn count_working(
    connection: &impl ConnectionTrait,
    project: ProjectId,
) -> Result<u64, StorageError> {
    let working = ingest_key::Entity::find()
        .filter(ingest_key::Column::ProjectId.eq(project.0))
        .filter(ingest_key::Column::RevokedAt.is_null());
    Ok(working.count(connection).await?)
}

pub(crate) async fn insert_in(tx: &Tx, key: &IngestKeyInfo) -> Result<(), StorageError> {
    let row = ingest_key::Model {
        id: key.id,
        project_id: key.project.0,
        public_key: key.public_key.clone(),
        label: key.label.clone(),
        rate_limit_per_minute: key.rate_limit_per_minute.map(i64::from),
        allowed_origins: origins_to_text(&key.allowed_origins),
        created_at: key.created_at,
        revoked_at: key.revoked_at,
    };
    ingest_key::Entity::insert(row.into_active_model()).exec_without_returning(tx).await?;
    Ok(())
}

pub(crate) async fn update_in(tx: &Tx, key: &IngestKeyInfo) -> Result<(), StorageError> {
    let row = ingest_key::ActiveModel {
        id: Set(key.id),
        label: Set(key.label.clone()),
        rate_limit_per_minute: Set(key.rate_limit_per_minute.map(i64::from)),
        allowed_origins: Set(origins_to_text(&key.allowed_origins)),
        ..Default::default()
    };
    ingest_key::Entity::update(row).exec(tx).await?;
    Ok(())
}

pub(crate) async fn revoke_in(tx: &Tx, key: Id<IngestKey>, now: Timestamp) -> Result<(), StorageError> {
    let row = ingest_key::ActiveModel { id: Set(key), revoked_at: Set(Some(now)), ..Default::default() };
    ingest_key::Entity::update(row).exec(tx).await?;
    Ok(())
}

fn origins_to_text(origins: &[String]) -> String {
    serde_json::Value::from(origins.to_vec()).to_string()
}

fn key_of(row: ingest_key::Model) -> Result<IngestKeyInfo, StorageError> {
    let corrupt =
        |what: &str| StorageError::corrupt(format!("ingest key {} has an unreadable {what}", row.id));
    Ok(IngestKeyInfo {
        id: row.id,
        project: ProjectId(row.project_id),
        rate_limit_per_minute: row
            .rate_limit_per_minute
            .map(u32::try_from)
            .transpose()
            .map_err(|_| corrupt("rate limit"))?,
        allowed_origins: serde_json::from_str(&row.allowed_origins)
            .map_err(|_| corrupt("list of origins"))?,
        public_key: row.public_key,
        label: row.label,
        created_at: row.created_at,
        revoked_at: row.revoked_at,
    })
}
