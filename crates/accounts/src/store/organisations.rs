use belvedere_kernel::{Organisation, ProjectId, User};
use belvedere_storage::{Id, StorageError, Tx};
use sea_orm::{
    ActiveModelTrait, ActiveValue::Set, ColumnTrait, ConnectionTrait, EntityTrait, ExprTrait,
    IntoActiveModel, PaginatorTrait, QueryFilter, QueryOrder, QuerySelect, sea_query::Expr,
};

use crate::entity::{counter, member, organisation, project};
use crate::{OrganisationInfo, Project};

pub(crate) async fn find_first(
    connection: &impl ConnectionTrait,
) -> Result<Option<OrganisationInfo>, StorageError> {
    let row = organisation::Entity::find().order_by_asc(organisation::Column::Id).one(connection).await?;
    Ok(row.map(organisation_of))
}

pub(crate) async fn find(
    connection: &impl ConnectionTrait,
    organisation: Id<Organisation>,
) -> Result<Option<OrganisationInfo>, StorageError> {
    Ok(organisation::Entity::find_by_id(organisation).one(connection).await?.map(organisation_of))
}

/// The organisations of `user` by the age of the membership.
pub(crate) async fn list_of_user(
    connection: &impl ConnectionTrait,
    user: Id<User>,
    limit: u64,
) -> Result<Vec<OrganisationInfo>, StorageError> {
    let memberships = member::Entity::find()
        .filter(member::Column::UserId.eq(user))
        .order_by_asc(member::Column::CreatedAt)
        .order_by_asc(member::Column::OrganisationId)
        .limit(limit)
        .all(connection)
        .await?;
    let ids: Vec<_> = memberships.iter().map(|membership| membership.organisation_id).collect();
    let mut rows = organisation::Entity::find()
        .filter(organisation::Column::Id.is_in(ids.iter().copied()))
        .all(connection)
        .await?;
    rows.sort_by_key(|row| ids.iter().position(|id| *id == row.id));
    Ok(rows.into_iter().map(organisation_of).collect())
}

/// Makes every other change to this organisation's members, projects, keys and tokens wait until the transaction ends,
/// so that counts and the last owner can be relied on.
pub(crate) async fn lock_in(tx: &Tx, organisation: Id<Organisation>) -> Result<(), StorageError> {
    organisation::Entity::update_many()
        .col_expr(organisation::Column::Name, Expr::col(organisation::Column::Name))
        .filter(organisation::Column::Id.eq(organisation))
        .exec(tx)
        .await?;
    Ok(())
}

pub(crate) async fn insert_in(tx: &Tx, row: organisation::Model) -> Result<OrganisationInfo, StorageError> {
    organisation::Entity::insert(row.clone().into_active_model()).exec_without_returning(tx).await?;
    Ok(organisation_of(row))
}

pub(crate) async fn is_slug_free(
    connection: &impl ConnectionTrait,
    slug: &str,
) -> Result<bool, StorageError> {
    Ok(organisation::Entity::find().filter(organisation::Column::Slug.eq(slug)).count(connection).await? == 0)
}

pub(crate) async fn update_in(tx: &Tx, info: &OrganisationInfo) -> Result<(), StorageError> {
    let row = organisation::ActiveModel {
        id: Set(info.id),
        slug: Set(info.slug.clone()),
        name: Set(info.name.clone()),
        ..Default::default()
    };
    organisation::Entity::update(row).exec(tx).await?;
    Ok(())
}

/// Holds the counter of project numbers until the transaction ends; also keeps two first starts apart.
pub(crate) async fn lock_projects_in(tx: &Tx) -> Result<(), StorageError> {
    add_to_counter_in(tx, 0).await
}

/// The next project number. The counter's row stays locked, so that a rollback leaves no gap.
pub(crate) async fn next_project_in(tx: &Tx) -> Result<ProjectId, StorageError> {
    add_to_counter_in(tx, 1).await?;
    let row = counter::Entity::find_by_id("project".to_owned()).one(tx).await?;
    row.map(|row| ProjectId(row.value))
        .ok_or_else(|| StorageError::corrupt("the counter of projects is missing"))
}

async fn add_to_counter_in(tx: &Tx, number: i64) -> Result<(), StorageError> {
    counter::Entity::update_many()
        .col_expr(counter::Column::Value, Expr::col(counter::Column::Value).add(number))
        .filter(counter::Column::Name.eq("project"))
        .exec(tx)
        .await?;
    Ok(())
}

/// The organisation's projects by number.
pub(crate) async fn list_projects(
    connection: &impl ConnectionTrait,
    organisation: Id<Organisation>,
    limit: u64,
) -> Result<Vec<Project>, StorageError> {
    let rows = project::Entity::find()
        .filter(project::Column::OrganisationId.eq(organisation))
        .order_by_asc(project::Column::Id)
        .limit(limit)
        .all(connection)
        .await?;
    Ok(rows.into_iter().map(project_of).collect())
}

pub(crate) async fn count_projects(
    connection: &impl ConnectionTrait,
    organisation: Id<Organisation>,
) -> Result<u64, StorageError> {
    Ok(project::Entity::find()
        .filter(project::Column::OrganisationId.eq(organisation))
        .count(connection)
        .await?)
}

pub(crate) async fn find_project(
    connection: &impl ConnectionTrait,
    project: ProjectId,
    organisation: Id<Organisation>,
) -> Result<Option<Project>, StorageError> {
    let row = project::Entity::find_by_id(project.0)
        .filter(project::Column::OrganisationId.eq(organisation))
        .one(connection)
        .await?;
    Ok(row.map(project_of))
}

/// The time zone of a project, whosever it is.
pub(crate) async fn find_time_zone(
    connection: &impl ConnectionTrait,
    project: ProjectId,
) -> Result<Option<String>, StorageError> {
    let row = project::Entity::find_by_id(project.0).one(connection).await?;
    Ok(row.map(|row| row.time_zone))
}

/// Whose a project is.
pub(crate) async fn find_owner(
    connection: &impl ConnectionTrait,
    project: ProjectId,
) -> Result<Option<Id<Organisation>>, StorageError> {
    let row = project::Entity::find_by_id(project.0).one(connection).await?;
    Ok(row.map(|row| row.organisation_id))
}

/// Whether any organisation has the project.
pub(crate) async fn has_project(
    connection: &impl ConnectionTrait,
    project: ProjectId,
) -> Result<bool, StorageError> {
    Ok(project::Entity::find_by_id(project.0).count(connection).await? == 1)
}

/// Whether no project of the organisation has the slug.
pub(crate) async fn is_project_slug_free(
    connection: &impl ConnectionTrait,
    organisation: Id<Organisation>,
    slug: &str,
) -> Result<bool, StorageError> {
    let taken = project::Entity::find()
        .filter(project::Column::OrganisationId.eq(organisation))
        .filter(project::Column::Slug.eq(slug));
    Ok(taken.count(connection).await? == 0)
}

pub(crate) async fn find_project_by_slug(
    connection: &impl ConnectionTrait,
    organisation: Id<Organisation>,
    slug: &str,
) -> Result<Option<Project>, StorageError> {
    let row = project::Entity::find()
        .filter(project::Column::OrganisationId.eq(organisation))
        .filter(project::Column::Slug.eq(slug))
        .one(connection)
        .await?;
    Ok(row.map(project_of))
}

pub(crate) async fn insert_project_in(tx: &Tx, project: &Project) -> Result<(), StorageError> {
    let row = project::Model {
        id: project.id.0,
        organisation_id: project.organisation,
        slug: project.slug.clone(),
        name: project.name.clone(),
        time_zone: project.time_zone.clone(),
        is_demo: project.is_demo,
        created_at: project.created_at,
    };
    project::Entity::insert(row.into_active_model()).exec_without_returning(tx).await?;
    Ok(())
}

pub(crate) async fn update_project_in(tx: &Tx, project: &Project) -> Result<(), StorageError> {
    let row = project::ActiveModel {
        id: Set(project.id.0),
        slug: Set(project.slug.clone()),
        name: Set(project.name.clone()),
        time_zone: Set(project.time_zone.clone()),
        ..Default::default()
    };
    row.update(tx).await?;
    Ok(())
}

fn organisation_of(row: organisation::Model) -> OrganisationInfo {
    OrganisationInfo { id: row.id, slug: row.slug, name: row.name }
}

fn project_of(row: project::Model) -> Project {
    Project {
        id: ProjectId(row.id),
        organisation: row.organisation_id,
        slug: row.slug,
        name: row.name,
        time_zone: row.time_zone,
        is_demo: row.is_demo,
        created_at: row.created_at,
    }
}
