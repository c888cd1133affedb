//! Statements in few shapes, so that the databases' caches of prepared ones serve.

use std::fmt::Write as _;

use belvedere_kernel::ProjectId;
use belvedere_storage::{StorageError, query_sql};
use sea_orm::{ConnectionTrait, QueryResult, TryGetable, Value};

/// Tuples of one statement: the sizes that are used.
const ROWS: [usize; 8] = [256, 64, 32, 16, 8, 4, 2, 1];

/// The rows of `{head} IN (VALUES ..){tail}` for any number of `values`, `columns` of them in each tuple; `$1`, `$2`, ..
/// of `head` are `first`. `tail` has no values of its own, and what it orders or limits it does within 256 tuples.
pub(super) async fn query_in(
    connection: &impl ConnectionTrait,
    (head, tail): (&str, &str),
    first: &[Value],
    columns: usize,
    values: &[Value],
) -> Result<Vec<QueryResult>, StorageError> {
    let text = |tuples: &str| format!("{head} IN (VALUES {tuples}){tail}");
    query_tuples(connection, text, first, columns, values).await
}

/// `columns` of the rows of a project in `table` whose `keys` are one of the tuples of `values`; a row may come again.
///
/// A join, because SQLite answers `(a, b) IN (..)` by reading the whole project.
pub(super) async fn query_keyed(
    connection: &impl ConnectionTrait,
    (columns, table): (&str, &str),
    project: ProjectId,
    keys: &[&str],
    values: &[Value],
) -> Result<Vec<QueryResult>, StorageError> {
    let mut on = String::new();
    for (index, key) in keys.iter().enumerate() {
        let _ = write!(on, " AND kept.{key} = wanted.column{}", index + 1);
    }
    let text = |tuples: &str| {
        format!(
            "SELECT {columns} FROM (VALUES {tuples}) AS wanted CROSS JOIN {table} AS kept \
             WHERE kept.project_id = $1{on}"
        )
    };
    query_tuples(connection, text, &[project.0.into()], keys.len(), values).await
}

async fn query_tuples(
    connection: &impl ConnectionTrait,
    text: impl Fn(&str) -> String,
    first: &[Value],
    columns: usize,
    values: &[Value],
) -> Result<Vec<QueryResult>, StorageError> {
    let mut rows = Vec::new();
    for chunk in values.chunks(ROWS[0] * columns.max(1)) {
        let count = chunk.len() / columns.max(1);
        let size = ROWS.into_iter().rev().find(|size| count <= *size).unwrap_or(count);
        let sql = text(&tuples(size, columns, first.len()));
        // Filled up with the last tuple again.
        let last = &chunk[chunk.len().saturating_sub(columns)..];
        let filling = last.iter().cycle().take((size - count) * columns);
        let bound: Vec<Value> = first.iter().chain(chunk).chain(filling).cloned().collect();
        rows.extend(query_sql(connection, &sql, bound).await?);
    }
    Ok(rows)
}

/// `($1,$2),($3,$4)`, counted from behind `offset`.
fn tuples(rows: usize, columns: usize, offset: usize) -> String {
    let mut text = String::with_capacity(rows * columns * 5);
    for row in 0..rows {
        text.push_str(if row == 0 { "(" } else { ",(" });
        for column in 1..=columns {
            let _ =
                write!(text, "{}${}", if column == 1 { "" } else { "," }, offset + row * columns + column);
        }
        text.push(')');
    }
    text
}

/// A column of a row.
pub(super) fn get<T: TryGetable>(row: &QueryResult, index: usize) -> Result<T, StorageError> {
    row.try_get_by_index(index).map_err(StorageError::from)
}

/// A state of a row.
pub(super) fn state<T: serde::de::DeserializeOwned>(
    row: &QueryResult,
    index: usize,
) -> Result<T, StorageError> {
    let text: String = get(row, index)?;
    serde_json::from_str(&text).map_err(|error| StorageError::corrupt(format!("a learner's state: {error}")))
}

/// A state as it is written.
pub(super) fn text<T: serde::Serialize>(state: &T) -> Result<Value, StorageError> {
    let text = serde_json::to_string(state);
    text.map(Value::from).map_err(|error| StorageError::corrupt(format!("a learner's state: {error}")))
}

/// A number that is never negative.
pub(super) fn count(row: &QueryResult, index: usize) -> Result<u64, StorageError> {
    get::<i64>(row, index).map(|number| u64::try_from(number).unwrap_or(0))
}

/// A count as the database takes it.
pub(super) fn whole(number: u64) -> Value {
    i64::try_from(number).unwrap_or(i64::MAX).into()
}
