use belvedere_storage::{Dialect, StorageError};
use sea_orm::{ConnectionTrait, DbBackend, QueryResult, Statement, Value};

/// How many rows one statement of a bulk write has: few different texts, so that each is prepared once and the
/// prepared statements stay few and small.
const ROWS: [usize; 5] = [256, 64, 16, 4, 1];

/// A statement under construction, with its values beside it.
#[derive(Debug)]
pub(crate) struct Sql {
    dialect: Dialect,
    text: String,
    values: Vec<Value>,
}

impl Sql {
    pub(crate) fn new(connection: &impl ConnectionTrait, text: &str) -> Self {
        Self { dialect: Dialect::of(connection), text: text.to_owned(), values: Vec::new() }
    }

    pub(crate) fn dialect(&self) -> Dialect {
        self.dialect
    }

    pub(crate) fn push(&mut self, text: &str) -> &mut Self {
        self.text.push_str(text);
        self
    }

    /// A placeholder for `value`.
    pub(crate) fn bind(&mut self, value: impl Into<Value>) -> &mut Self {
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

    /// `(?, ?, ..)`.
    pub(crate) fn bind_row<V: Into<Value>>(&mut self, values: impl IntoIterator<Item = V>) -> &mut Self {
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

    /// `(?, ?, ..)` for an IN, filled up with the last value to one of a few lengths.
    pub(crate) fn bind_set<V: Into<Value> + Clone>(&mut self, values: &[V]) -> &mut Self {
        let length = ROWS.into_iter().rev().find(|rows| *rows >= values.len()).unwrap_or(values.len());
        let fill = values.last().into_iter().cycle().take(length.saturating_sub(values.len()));
        self.bind_row(values.iter().chain(fill).cloned())
    }

    pub(crate) fn into_statement(self) -> Statement {
        let backend = match self.dialect {
            Dialect::Sqlite => DbBackend::Sqlite,
            Dialect::Postgres => DbBackend::Postgres,
        };
        Statement::from_sql_and_values(backend, self.text, self.values)
    }

    pub(crate) async fn fetch(
        self,
        connection: &impl ConnectionTrait,
    ) -> Result<Vec<QueryResult>, StorageError> {
        Ok(connection.query_all_raw(self.into_statement()).await?)
    }

    pub(crate) async fn run(self, connection: &impl ConnectionTrait) -> Result<(), StorageError> {
        connection.execute_raw(self.into_statement()).await?;
        Ok(())
    }
}

/// Runs `head VALUES-rows tail` for all rows, in their order, in as few statements as is good; what they return.
pub(crate) async fn bulk<const COLUMNS: usize>(
    connection: &impl ConnectionTrait,
    head: &str,
    rows: Vec<[Value; COLUMNS]>,
    tail: &str,
) -> Result<Vec<QueryResult>, StorageError> {
    let returns = tail.contains("RETURNING") || head.starts_with("SELECT");
    let mut returned = Vec::new();
    let mut rows = rows.into_iter();
    while rows.len() > 0 {
        let count = ROWS.into_iter().find(|count| *count <= rows.len()).unwrap_or(1);
        let mut sql = Sql::new(connection, head);
        sql.text.reserve(count * COLUMNS * 4 + tail.len());
        sql.values.reserve(count * COLUMNS);
        for (index, row) in rows.by_ref().take(count).enumerate() {
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
