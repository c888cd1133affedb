use sea_orm::{ConnectionTrait, QueryResult, Statement, Value};

use crate::StorageError;

/// Runs one statement written by hand, with `$1`, `$2`, .. for its values; how many rows it changed.
///
/// # Errors
/// The storage error of the statement.
pub async fn execute_sql(
    connection: &impl ConnectionTrait,
    sql: &str,
    values: impl IntoIterator<Item = Value>,
) -> Result<u64, StorageError> {
    let statement = Statement::from_sql_and_values(connection.get_database_backend(), sql, values);
    Ok(connection.execute_raw(statement).await?.rows_affected())
}

/// Runs one query written by hand, with `$1`, `$2`, .. for its values; all its rows, so the query needs a limit.
///
/// # Errors
/// The storage error of the query.
pub async fn query_sql(
    connection: &impl ConnectionTrait,
    sql: &str,
    values: impl IntoIterator<Item = Value>,
) -> Result<Vec<QueryResult>, StorageError> {
    let statement = Statement::from_sql_and_values(connection.get_database_backend(), sql, values);
    Ok(connection.query_all_raw(statement).await?)
}
