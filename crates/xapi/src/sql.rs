//! Statements of the database in few shapes, so that its caches of prepared ones serve.

use std::fmt::Write as _;

use belvedere_storage::{StorageError, execute_sql, query_sql};
use sea_orm::{ConnectionTrait, QueryResult, Value};

/// Rows of one statement: the sizes that are used.
const ROWS: [usize; 5] = [256, 64, 16, 4, 1];

/// Values of one IN list: the sizes that are used.
const VALUES: [usize; 4] = [1, 8, 64, 512];

/// Inserts rows of `columns` values each: `head` ends before VALUES, `tail` says what to do on a conflict.
pub(crate) async fn insert_rows(
    connection: &impl ConnectionTrait,
    head: &str,
    tail: &str,
    columns: usize,
    values: Vec<Value>,
) -> Result<(), StorageError> {
    let mut left = values.len() / columns.max(1);
    let mut values = values.into_iter();
    while left > 0 {
        let rows = ROWS.into_iter().find(|rows| *rows <= left).unwrap_or(1);
        let mut sql = format!("{head} VALUES ");
        for row in 0..rows {
            sql.push_str(if row == 0 { "(" } else { ",(" });
            for column in 1..=columns {
                let _ = write!(sql, "{}${}", if column == 1 { "" } else { "," }, row * columns + column);
            }
            sql.push(')');
        }
        sql.push_str(tail);
        execute_sql(connection, &sql, values.by_ref().take(rows * columns).collect::<Vec<_>>()).await?;
        left -= rows;
    }
    Ok(())
}

/// The rows of `{head} IN (..){tail}` for any number of `values`; `$1`, `$2`, .. of `head` are `first`.
pub(crate) async fn query_in(
    connection: &impl ConnectionTrait,
    head: &str,
    tail: &str,
    first: &[Value],
    values: Vec<Value>,
) -> Result<Vec<QueryResult>, StorageError> {
    let mut rows = Vec::new();
    for chunk in values.chunks(VALUES[VALUES.len() - 1]) {
        let size = VALUES.into_iter().find(|size| chunk.len() <= *size).unwrap_or(chunk.len());
        let mut sql = format!("{head} IN (");
        for index in 1..=size {
            let _ = write!(sql, "{}${}", if index == 1 { "" } else { "," }, first.len() + index);
        }
        let _ = write!(sql, "){tail}");
        let filling = chunk.last().into_iter().cycle().take(size - chunk.len());
        let bound: Vec<Value> = first.iter().chain(chunk).chain(filling).cloned().collect();
        rows.extend(query_sql(connection, &sql, bound).await?);
    }
    Ok(rows)
}

/// The same for a statement that changes rows; how many it changed.
pub(crate) async fn execute_in(
    connection: &impl ConnectionTrait,
    head: &str,
    first: &[Value],
    values: Vec<Value>,
) -> Result<u64, StorageError> {
    let mut changed = 0;
    for chunk in values.chunks(VALUES[VALUES.len() - 1]) {
        let size = VALUES.into_iter().find(|size| chunk.len() <= *size).unwrap_or(chunk.len());
        let places: Vec<String> = (1..=size).map(|index| format!("${}", first.len() + index)).collect();
        let sql = format!("{head} IN ({})", places.join(","));
        let filling = chunk.last().into_iter().cycle().take(size - chunk.len());
        let bound: Vec<Value> = first.iter().chain(chunk).chain(filling).cloned().collect();
        changed += execute_sql(connection, &sql, bound).await?;
    }
    Ok(changed)
}

/// 16 bytes of a column.
pub(crate) fn bytes16(bytes: Vec<u8>, column: &str) -> Result<[u8; 16], StorageError> {
    bytes.try_into().map_err(|_| StorageError::corrupt(format!("{column} has not 16 bytes")))
}

/// Appends a number in groups of seven bits, the lowest first.
pub(crate) fn put_varint(mut number: u64, out: &mut Vec<u8>) {
    while number >= 0x80 {
        out.push((number & 0x7f) as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

/// The numbers that [`put_varint`] wrote.
pub(crate) fn varints(bytes: &[u8]) -> Option<Vec<u64>> {
    let (mut numbers, mut number, mut shift) = (Vec::new(), 0_u64, 0);
    for byte in bytes {
        number |= u64::from(byte & 0x7f).checked_shl(shift)?;
        if byte & 0x80 == 0 {
            numbers.push(number);
            (number, shift) = (0, 0);
        } else {
            shift += 7;
            if shift > 63 {
                return None;
            }
        }
    }
    (shift == 0).then_some(numbers)
}
