use sea_orm::sea_query::OnConflict;
use sea_orm::{ActiveModelTrait, ConnectionTrait, EntityTrait, Iterable};

use crate::{Dialect, StorageError};

/// How many rows of `columns` values fit one statement; at most 1,000, so that a statement stays a small message.
pub(crate) fn rows_per_statement(dialect: Dialect, columns: usize) -> usize {
    (dialect.binds_max() / columns.max(1)).clamp(1, 1_000)
}

/// Inserts any number of rows in as few statements as the bind limit allows.
///
/// Every row must set the same columns: a column that one row sets and another leaves unset becomes NULL.
///
/// # Errors
/// [`StorageError::Conflict`] on a violated key unless `on_conflict` says what to do.
pub async fn insert_all<A>(
    connection: &impl ConnectionTrait,
    rows: Vec<A>,
    on_conflict: Option<OnConflict>,
) -> Result<(), StorageError>
where
    A: ActiveModelTrait + Send,
{
    let columns = <A::Entity as EntityTrait>::Column::iter().count();
    let chunk = rows_per_statement(Dialect::of(connection), columns);
    let mut rows = rows.into_iter().peekable();
    while rows.peek().is_some() {
        let mut insert = A::Entity::insert_many(rows.by_ref().take(chunk).collect::<Vec<_>>());
        if let Some(on_conflict) = &on_conflict {
            insert = insert.on_conflict(on_conflict.clone());
        }
        insert.exec_without_returning(connection).await?;
    }
    Ok(())
}
