use sea_orm::{ConnectionTrait, DbBackend};

/// Which of the two supported databases a connection speaks to, for the few statements that differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// The embedded default: one file, one writer at a time.
    Sqlite,
    /// The server shape: many processes on one database.
    Postgres,
}

impl Dialect {
    /// The dialect of a connection or transaction.
    pub fn of(connection: &impl ConnectionTrait) -> Self {
        match connection.get_database_backend() {
            DbBackend::Sqlite => Self::Sqlite,
            _ => Self::Postgres,
        }
    }

    /// The clause that lets several workers claim different rows: SQLite needs none, it has one writer.
    #[must_use]
    pub fn skip_locked(self) -> &'static str {
        match self {
            Self::Sqlite => "",
            Self::Postgres => " FOR UPDATE SKIP LOCKED",
        }
    }

    /// The most values that one statement may bind: SQLITE_MAX_VARIABLE_NUMBER, and the 16-bit count of
    /// PostgreSQL's Bind message.
    #[must_use]
    pub fn binds_max(self) -> usize {
        match self {
            Self::Sqlite => 32_766,
            Self::Postgres => 65_535,
        }
    }
}
