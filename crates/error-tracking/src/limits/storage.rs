use std::collections::BTreeMap;

use belvedere_kernel::ProjectId;
use belvedere_storage::{Sql, StorageError, Timestamp, Tx, bulk};
use sea_orm::ConnectionTrait;

use super::StoredKind;

pub(super) const DAY_SECONDS: i64 = 86_400;

/// What a transaction adds to and takes from the storage that is counted; written at its end, in the order of the
/// rows' keys.
#[derive(Debug, Default)]
pub(crate) struct StorageChange(BTreeMap<(ProjectId, i64, i64), (i64, i64)>);

impl StorageChange {
    /// Counts `items` of `bytes` together, received at that time.
    pub(crate) fn add(
        &mut self,
        project: ProjectId,
        received_at: Timestamp,
        kind: StoredKind,
        items: u64,
        bytes: u64,
    ) {
        self.change(project, received_at, kind, signed(items), signed(bytes));
    }

    /// The reverse.
    pub(crate) fn remove(
        &mut self,
        project: ProjectId,
        received_at: Timestamp,
        kind: StoredKind,
        items: u64,
        bytes: u64,
    ) {
        self.change(project, received_at, kind, -signed(items), -signed(bytes));
    }

    fn change(
        &mut self,
        project: ProjectId,
        received_at: Timestamp,
        kind: StoredKind,
        items: i64,
        bytes: i64,
    ) {
        let day = received_at.as_seconds().div_euclid(DAY_SECONDS);
        let row = self.0.entry((project, day, kind.to_number())).or_default();
        row.0 += items;
        row.1 += bytes;
    }

    /// Writes it.
    pub(crate) async fn store_in(self, tx: &Tx) -> Result<(), StorageError> {
        let rows = self
            .0
            .into_iter()
            .map(|((project, day, kind), (items, bytes))| {
                [project.0.into(), day.into(), kind.into(), items.into(), bytes.into()]
            })
            .collect();
        let head = "INSERT INTO error_storage_day (project_id, day, kind, items, bytes) VALUES ";
        let tail = " ON CONFLICT (project_id, day, kind) DO UPDATE SET items = error_storage_day.items + excluded.items, \
                    bytes = error_storage_day.bytes + excluded.bytes";
        bulk(tx, head, rows, tail).await.map(drop)
    }
}

fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// How many bytes of one kind a project has stored.
pub(crate) async fn used_bytes(
    connection: &impl ConnectionTrait,
    project: ProjectId,
    kind: StoredKind,
) -> Result<u64, StorageError> {
    let mut sql = Sql::new(
        connection,
        "SELECT CAST(COALESCE(SUM(bytes), 0) AS BIGINT) FROM error_storage_day WHERE project_id = ",
    );
    sql.bind(project.0).push(" AND kind = ").bind(kind.to_number());
    let rows = sql.fetch(connection).await?;
    let bytes: i64 = rows.first().map_or(Ok(0), |row| row.try_get_by_index(0))?;
    Ok(u64::try_from(bytes).unwrap_or(0))
}
