use belvedere_kernel::ProjectId;
use belvedere_storage::{Dialect, Sql, StorageError, Tx};

/// Tells our locks of projects from others in PostgreSQL's space of two numbers.
const LOCK_CLASS: i32 = 0x6973;

/// Holds off merges, splits and deletions of issues in `projects`, which must be sorted, until the transaction ends:
/// what a hash leads to stays as it is read. Before all other locks. (SQLite has one writer.)
pub(crate) async fn guard_projects(tx: &Tx, projects: &[ProjectId]) -> Result<(), StorageError> {
    if Dialect::of(tx) == Dialect::Postgres {
        for project in projects {
            let mut sql = Sql::new(tx, "SELECT pg_advisory_xact_lock_shared(");
            sql.bind(LOCK_CLASS).push(", ").bind(number_of(*project)).push(")::text");
            sql.fetch(tx).await?;
        }
    }
    Ok(())
}

/// Waits until nobody writes events of `project`, and holds them off until the transaction ends. Before all other
/// locks.
pub(crate) async fn seize_project(tx: &Tx, project: ProjectId) -> Result<(), StorageError> {
    if Dialect::of(tx) == Dialect::Postgres {
        let mut sql = Sql::new(tx, "SELECT pg_advisory_xact_lock(");
        sql.bind(LOCK_CLASS).push(", ").bind(number_of(project)).push(")::text");
        sql.fetch(tx).await?;
    }
    Ok(())
}

/// Numbers of projects are at most 2^31 - 1.
fn number_of(project: ProjectId) -> i32 {
    i32::try_from(project.0).unwrap_or(i32::MAX)
}
