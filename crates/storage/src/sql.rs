use sea_orm::{ConnectionTrait, DbBackend, QueryResult, Statement, Value};

use crate::bulk::rows_per_statement;
use crate::{Dialect, StorageError};

/// How many rows or values one statement has: few different texts, so that each is prepared once and the prepared
/// statements stay few and small; close together, because what a statement costs by itself is what several rows cost.
const ROWS: [usize; 8] = [256, 64, 32, 16, 8, 4, 2, 1];

/// Runs one statement written by hand, with `$1`, `$2`, .. for its values; how many rows it changed.
///
/// # Errors
/// The storage error of the statement.
pub async fn execute_sql(
    connection: &impl ConnectionTrait,
    sql: &str,
    values: impl IntoIterator<Item = Value>,
) -> Result<u64, StorageError> {
    Ok(connection.execute_raw(numbered(connection, sql, values)).await?.rows_affected())
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
    Ok(connection.query_all_raw(numbered(connection, sql, values)).await?)
}

/// A statement with `$1`, `$2`, .. for its values. To SQLite those are names, of which each that is bound is looked for among
/// all: there they become `?`, and the values stand in the order in which they are asked for.
fn numbered(
    connection: &impl ConnectionTrait,
    sql: &str,
    values: impl IntoIterator<Item = Value>,
) -> Statement {
    let backend = connection.get_database_backend();
    if backend != DbBackend::Sqlite {
        return Statement::from_sql_and_values(backend, sql, values);
    }
    let (text, order) = positional(sql);
    let values: Vec<Value> = values.into_iter().collect();
    if order.iter().copied().eq(0..values.len()) {
        return Statement::from_sql_and_values(backend, text, values);
    }
    let in_order = order.iter().map(|at| values.get(*at).cloned()).collect::<Option<Vec<Value>>>();
    match in_order {
        Some(values) => Statement::from_sql_and_values(backend, text, values),
        // A value is missing: the driver says which.
        None => Statement::from_sql_and_values(backend, sql, values),
    }
}

/// The text with `?` for each `$n`, and which values those are, counted from 0. A `$` before anything but a digit, as in a path
/// into JSON, stays.
fn positional(sql: &str) -> (String, Vec<usize>) {
    let (mut text, mut order) = (String::with_capacity(sql.len()), Vec::new());
    let mut parts = sql.split('$');
    text.push_str(parts.next().unwrap_or_default());
    for part in parts {
        let digits = part.bytes().take_while(u8::is_ascii_digit).count();
        match part[..digits].parse::<usize>().ok().and_then(|number| number.checked_sub(1)) {
            Some(at) => {
                order.push(at);
                text.push('?');
                text.push_str(&part[digits..]);
            }
            None => {
                text.push('$');
                text.push_str(part);
            }
        }
    }
    (text, order)
}

/// A statement under construction, with its values beside it.
///
/// Placeholders are `$1`, `$2`, .. on PostgreSQL and `?` on SQLite, to which `$1` is a name that is looked up.
#[derive(Debug, Clone)]
pub struct Sql {
    dialect: Dialect,
    text: String,
    values: Vec<Value>,
}

impl Sql {
    /// A statement for `connection` that begins with `text`.
    pub fn new(connection: &impl ConnectionTrait, text: &str) -> Self {
        Self { dialect: Dialect::of(connection), text: text.to_owned(), values: Vec::new() }
    }

    /// Which database it is written for.
    #[must_use]
    pub fn dialect(&self) -> Dialect {
        self.dialect
    }

    /// Appends text.
    pub fn push(&mut self, text: &str) -> &mut Self {
        self.text.push_str(text);
        self
    }

    /// Appends a placeholder for `value`.
    pub fn bind(&mut self, value: impl Into<Value>) -> &mut Self {
        self.values.push(value.into());
        match self.dialect {
            Dialect::Sqlite => self.text.push('?'),
            Dialect::Postgres => {
                self.text.push('$');
                self.text.push_str(&self.values.len().to_string());
            }
        }
        self
    }

    /// Appends `(?, ?, ..)`.
    pub fn bind_row<V: Into<Value>>(&mut self, values: impl IntoIterator<Item = V>) -> &mut Self {
        self.text.push('(');
        for (index, value) in values.into_iter().enumerate() {
            if index > 0 {
                self.text.push(',');
            }
            self.bind(value);
        }
        self.text.push(')');
        self
    }

    /// Appends `(?, ?, ..)` for an IN, filled up with the last value to one of a few lengths.
    pub fn bind_set<V: Into<Value> + Clone>(&mut self, values: &[V]) -> &mut Self {
        let length = ROWS.into_iter().rev().find(|rows| *rows >= values.len()).unwrap_or(values.len());
        let fill = values.last().into_iter().cycle().take(length.saturating_sub(values.len()));
        self.bind_row(values.iter().chain(fill).cloned())
    }

    /// Runs the query; all its rows, so it needs a limit.
    ///
    /// # Errors
    /// The storage error of the query.
    pub async fn fetch(self, connection: &impl ConnectionTrait) -> Result<Vec<QueryResult>, StorageError> {
        Ok(connection.query_all_raw(self.into_statement()).await?)
    }

    /// Runs the statement; how many rows it changed.
    ///
    /// # Errors
    /// The storage error of the statement.
    pub async fn execute(self, connection: &impl ConnectionTrait) -> Result<u64, StorageError> {
        Ok(connection.execute_raw(self.into_statement()).await?.rows_affected())
    }

    /// Runs the statement, whatever it changes.
    ///
    /// # Errors
    /// The storage error of the statement.
    pub async fn run(self, connection: &impl ConnectionTrait) -> Result<(), StorageError> {
        self.execute(connection).await.map(drop)
    }

    /// Runs the query with ` IN (..)` at its end for any number of values, in as few statements as is good.
    ///
    /// # Errors
    /// The storage error of the query.
    pub async fn fetch_in<V: Into<Value> + Clone>(
        &self,
        connection: &impl ConnectionTrait,
        values: &[V],
    ) -> Result<Vec<QueryResult>, StorageError> {
        let mut rows = Vec::new();
        for some in values.chunks(ROWS[0]) {
            rows.append(&mut self.among(some).fetch(connection).await?);
        }
        Ok(rows)
    }

    /// The same for a statement that changes rows; how many it changed.
    ///
    /// # Errors
    /// The storage error of the statement.
    pub async fn execute_in<V: Into<Value> + Clone>(
        &self,
        connection: &impl ConnectionTrait,
        values: &[V],
    ) -> Result<u64, StorageError> {
        let mut changed = 0;
        for some in values.chunks(ROWS[0]) {
            changed += self.among(some).execute(connection).await?;
        }
        Ok(changed)
    }

    fn among<V: Into<Value> + Clone>(&self, values: &[V]) -> Self {
        let mut sql = self.clone();
        sql.push(" IN ").bind_set(values);
        sql
    }

    fn into_statement(self) -> Statement {
        let backend = match self.dialect {
            Dialect::Sqlite => DbBackend::Sqlite,
            Dialect::Postgres => DbBackend::Postgres,
        };
        Statement::from_sql_and_values(backend, self.text, self.values)
    }
}

/// Runs `head VALUES-rows tail` for all rows, in their order, in as few statements as is good; what they return.
///
/// Where `tail` says that rows which are there change nothing, the last row stands again in place of those that are
/// missing to one of the few lengths.
///
/// # Errors
/// [`StorageError::Conflict`] on a violated key unless `tail` says what to do.
pub async fn bulk<const COLUMNS: usize>(
    connection: &impl ConnectionTrait,
    head: &str,
    rows: Vec<[Value; COLUMNS]>,
    tail: &str,
) -> Result<Vec<QueryResult>, StorageError> {
    let returns = tail.contains("RETURNING") || head.starts_with("SELECT");
    let fills = !returns && tail.ends_with("DO NOTHING");
    let rows_max = rows_per_statement(Dialect::of(connection), COLUMNS);
    let mut returned = Vec::new();
    let last = rows.last().filter(|_| fills).cloned();
    let mut rows = rows.into_iter();
    while rows.len() > 0 {
        let fits = |count: &usize| *count <= rows_max;
        let filled = ROWS.into_iter().rev().find(|count| fits(count) && fills && rows.len() <= *count);
        let whole = ROWS.into_iter().find(|count| fits(count) && *count <= rows.len());
        let count = filled.or(whole).unwrap_or(1);
        let mut sql = Sql::new(connection, head);
        sql.text.reserve(count * COLUMNS * 4 + tail.len());
        sql.values.reserve(count * COLUMNS);
        let filling = last.iter().cycle().take(count.saturating_sub(rows.len())).cloned();
        for (index, row) in rows.by_ref().take(count).chain(filling).enumerate() {
            sql.push(if index == 0 { "" } else { "," }).bind_row(row);
        }
        sql.push(tail);
        if returns {
            returned.append(&mut sql.fetch(connection).await?);
        } else {
            sql.run(connection).await?;
        }
    }
    Ok(returned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_become_places() {
        let sql = "SELECT x->>'$.a' FROM t WHERE a = $2 AND b IN ($1,$10) AND c = $2";
        let (text, order) = positional(sql);
        assert_eq!(text, "SELECT x->>'$.a' FROM t WHERE a = ? AND b IN (?,?) AND c = ?");
        assert_eq!(order, [1, 0, 9, 1]);
        assert_eq!(positional("SELECT 1"), ("SELECT 1".to_owned(), Vec::new()));
    }
}
