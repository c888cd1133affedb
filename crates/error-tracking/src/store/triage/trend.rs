use belvedere_kernel::ProjectId;
use belvedere_storage::{Sql, StorageError, Tx};

use crate::IssueId;
use crate::trend::Heat;

/// Says anew how much an issue rises, from the counts of its hours.
pub(super) async fn recount_trend(tx: &Tx, project: ProjectId, issue: IssueId) -> Result<(), StorageError> {
    let text = "SELECT hour, CAST(SUM(event_count) AS bigint) FROM error_issue_hour WHERE project_id = ";
    let mut sql = Sql::new(tx, text);
    sql.bind(project.0).push(" AND issue_id = ").bind(issue).push(" GROUP BY hour");
    let mut heat = Heat::default();
    for row in sql.fetch(tx).await? {
        heat.add(row.try_get_by_index(0)?, row.try_get_by_index(1)?);
    }
    let mut sql = Sql::new(tx, "UPDATE error_issue SET heat_day = ");
    sql.bind(heat.day).push(", heat_week = ").bind(heat.week).push(", trend = ").bind(heat.trend());
    sql.push(" WHERE project_id = ").bind(project.0).push(" AND id = ").bind(issue);
    sql.run(tx).await
}
