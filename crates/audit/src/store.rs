use belvedere_kernel::Organisation;
use belvedere_storage::{Id, PageRequest, StorageError, Tx, insert_all};
use sea_orm::sea_query::{Expr, ExprTrait, OnConflict, Query};
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect, QueryTrait};

use crate::EntryFilter;
use crate::entity::entry;

/// The one row of `audit_head`.
const HEAD: i64 = 1;

/// The next number of the log; until the transaction ends nobody else gets one, and if it fails nobody ever missed this.
pub(crate) async fn take_seq(tx: &Tx) -> Result<i64, StorageError> {
    let statement = Query::insert()
        .into_table("audit_head")
        .columns(["id", "entries"])
        .values_panic([HEAD.into(), 1_i64.into()])
        .on_conflict(
            OnConflict::column("id")
                .value("entries", Expr::col(("audit_head", "entries")).add(1_i64))
                .to_owned(),
        )
        .returning_col("entries")
        .to_owned();
    let row = tx.query_one(&statement).await?;
    let row = row.ok_or_else(|| StorageError::corrupt("audit_head returned no row"))?;
    Ok(row.try_get_by_index(0)?)
}

pub(crate) async fn find_head(connection: &impl ConnectionTrait) -> Result<Option<i64>, StorageError> {
    let statement = Query::select()
        .column("entries")
        .from("audit_head")
        .and_where(ExprTrait::eq(Expr::col("id"), HEAD))
        .to_owned();
    Ok(connection.query_one(&statement).await?.map(|row| row.try_get_by_index(0)).transpose()?)
}

pub(crate) async fn insert_entry(tx: &Tx, row: entry::ActiveModel) -> Result<(), StorageError> {
    insert_all(tx, vec![row], None).await
}

/// One row more than the page holds, newest first, below `before`.
pub(crate) async fn list_entries(
    connection: &impl ConnectionTrait,
    organisation: Id<Organisation>,
    filter: &EntryFilter,
    page: &PageRequest,
    before: Option<i64>,
) -> Result<Vec<entry::Model>, StorageError> {
    use entry::Column;
    let rows = entry::Entity::find()
        .filter(Column::OrganisationId.eq(organisation))
        .apply_if(filter.action.as_ref(), |query, action| query.filter(Column::Action.eq(action)))
        .apply_if(filter.actor.as_ref(), |query, actor| query.filter(Column::ActorId.eq(actor)))
        .apply_if(filter.project, |query, project| query.filter(Column::ProjectId.eq(project.0)))
        .apply_if(filter.from, |query, from| query.filter(Column::At.gte(from)))
        .apply_if(filter.to, |query, to| query.filter(Column::At.lt(to)))
        .apply_if(before, |query, before| query.filter(Column::Seq.lt(before)))
        .order_by_desc(Column::Seq)
        .limit(page.limit() as u64 + 1)
        .all(connection)
        .await?;
    Ok(rows)
}
