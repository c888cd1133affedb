use sea_orm::{ConnAcquireErr, DbErr, RuntimeErr, SqlErr, SqlxError};

/// What went wrong in the database, in classes that a caller can act on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StorageError {
    /// A unique or foreign key was violated: the write contradicts what is stored.
    #[error("write conflicts with stored data")]
    Conflict(#[source] DbErr),
    /// Another writer was in the way (lock timeout, serialisation failure, deadlock): trying again can succeed.
    #[error("database is busy")]
    Busy(#[source] DbErr),
    /// The database cannot be reached or cannot write at the moment (connection lost, pool empty, disk full).
    #[error("database is unavailable")]
    Unavailable(#[source] DbErr),
    /// What was read cannot be what was written.
    #[error("stored data is corrupt: {0}")]
    Corrupt(String),
    /// Anything else: a bug in a query, or a value that the database refuses.
    #[error("database refused the statement")]
    Other(#[source] DbErr),
}

impl StorageError {
    /// Whether the same call can succeed later without any change to its input.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Busy(_) | Self::Unavailable(_))
    }

    /// Shorthand for [`StorageError::Corrupt`].
    pub fn corrupt(what: impl Into<String>) -> Self {
        Self::Corrupt(what.into())
    }
}

impl From<DbErr> for StorageError {
    fn from(error: DbErr) -> Self {
        if let Some(SqlErr::UniqueConstraintViolation(_) | SqlErr::ForeignKeyConstraintViolation(_)) =
            error.sql_err()
        {
            return Self::Conflict(error);
        }
        match &error {
            DbErr::ConnectionAcquire(ConnAcquireErr::Timeout | ConnAcquireErr::ConnectionClosed)
            | DbErr::Conn(_) => Self::Unavailable(error),
            DbErr::Exec(RuntimeErr::SqlxError(inner)) | DbErr::Query(RuntimeErr::SqlxError(inner)) => {
                match class_of(inner) {
                    Class::Busy => Self::Busy(error),
                    Class::Unavailable => Self::Unavailable(error),
                    Class::Corrupt => Self::Corrupt(error.to_string()),
                    Class::Other => Self::Other(error),
                }
            }
            DbErr::Type(what) | DbErr::Json(what) => Self::Corrupt(what.clone()),
            _ => Self::Other(error),
        }
    }
}

enum Class {
    Busy,
    Unavailable,
    Corrupt,
    Other,
}

fn class_of(error: &SqlxError) -> Class {
    match error {
        SqlxError::Io(_)
        | SqlxError::Tls(_)
        | SqlxError::PoolTimedOut
        | SqlxError::PoolClosed
        | SqlxError::WorkerCrashed
        | SqlxError::BeginFailed
        | SqlxError::Protocol(_) => Class::Unavailable,
        SqlxError::Database(database) => class_of_code(database.code().as_deref().unwrap_or_default()),
        SqlxError::ColumnDecode { .. } | SqlxError::Decode(_) => Class::Corrupt,
        _ => Class::Other,
    }
}

/// Classes of PostgreSQL's SQLSTATE (appendix A of its manual) and SQLite's result codes (sqlite.org/rescode.html).
/// SQLite's extended codes keep the primary code in their low byte.
fn class_of_code(code: &str) -> Class {
    if code.len() == 5 {
        return match code {
            // 57014: cancelled by an operator or a statement timeout, which a wait for a lock runs into.
            "40001" | "40P01" | "55P03" | "57014" => Class::Busy,
            // 25006: a standby after a failover; 25P03, 25P04: the server ended the session for its slowness.
            "25006" | "25P03" | "25P04" => Class::Unavailable,
            "XX001" | "XX002" => Class::Corrupt,
            _ if code.starts_with("08")
                || code.starts_with("53")
                || code.starts_with("57P")
                || code.starts_with("58") =>
            {
                Class::Unavailable
            }
            _ => Class::Other,
        };
    }
    match code.parse::<u32>().map(|code| code & 0xff) {
        Ok(5 | 6 | 15) => Class::Busy,
        Ok(7 | 8 | 10 | 13 | 14) => Class::Unavailable,
        Ok(11 | 26) => Class::Corrupt,
        _ => Class::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_passes_by_itself_is_transient_and_nothing_else() {
        let is_transient = |code: &str| matches!(class_of_code(code), Class::Busy | Class::Unavailable);
        for code in ["40001", "40P01", "55P03", "57014", "57P01", "08006", "53300", "25006", "25P03", "25P04"]
        {
            assert!(is_transient(code), "SQLSTATE {code}");
        }
        for code in ["5", "261", "6", "13", "1032", "15"] {
            assert!(is_transient(code), "SQLite's code {code}");
        }
        for code in ["22021", "42P01", "25P02", "XX001", "1", "11", "18", ""] {
            assert!(!is_transient(code), "{code:?}");
        }
    }
}
