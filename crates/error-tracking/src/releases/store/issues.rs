use belvedere_kernel::ProjectId;
use belvedere_storage::{Sql, StorageError};
use sea_orm::{ConnectionTrait, QueryResult};

use crate::IssueStatus;
use crate::releases::{ReleaseIssue, ReleaseIssues, ReleaseIssuesKind};
use crate::store::level_of;

/// How many issues are listed.
const ISSUES_MAX: i64 = 50;

const COLUMNS: &str = "i.id, i.number, i.title, i.culprit, i.level, i.status, i.last_seen";

fn read_issue(row: &QueryResult) -> Result<ReleaseIssue, StorageError> {
    let status: i64 = row.try_get_by_index(5)?;
    let count = |index: usize| -> Result<u64, StorageError> {
        Ok(u64::try_from(row.try_get_by_index::<i64>(index)?).unwrap_or(0))
    };
    Ok(ReleaseIssue {
        id: row.try_get_by_index(0)?,
        number: row.try_get_by_index(1)?,
        title: row.try_get_by_index(2)?,
        culprit: row.try_get_by_index(3)?,
        level: level_of(row.try_get_by_index(4)?)?,
        status: IssueStatus::from_number(status)
            .ok_or_else(|| StorageError::corrupt(format!("status {status} of an issue")))?,
        last_seen: row.try_get_by_index(6)?,
        events: count(7)?,
        events_in_base: count(8)?,
    })
}

/// The list and the number of what `condition` (a FROM and a WHERE) finds.
async fn fetch(
    connection: &impl ConnectionTrait,
    columns: &str,
    condition: impl Fn(&mut Sql),
) -> Result<ReleaseIssues, StorageError> {
    let mut sql = Sql::new(connection, &format!("SELECT {COLUMNS}, {columns}"));
    condition(&mut sql);
    sql.push(" ORDER BY 8 DESC, i.id DESC LIMIT ").bind(ISSUES_MAX);
    let rows = sql.fetch(connection).await?;
    let items = rows.iter().map(read_issue).collect::<Result<Vec<_>, _>>()?;
    let mut total = items.len() as u64;
    if i64::try_from(items.len()) == Ok(ISSUES_MAX) {
        let mut sql = Sql::new(connection, "SELECT COUNT(*)");
        condition(&mut sql);
        if let Some(row) = sql.fetch(connection).await?.first() {
            total = u64::try_from(row.try_get_by_index::<i64>(0)?).unwrap_or(0);
        }
    }
    Ok(ReleaseIssues { items, total })
}

pub(crate) async fn list_issues(
    connection: &impl ConnectionTrait,
    project: ProjectId,
    version: &str,
    kind: ReleaseIssuesKind,
) -> Result<ReleaseIssues, StorageError> {
    let joined = |sql: &mut Sql, join: &str| {
        sql.push(&format!(
            " FROM error_issue i {join} error_issue_release r ON r.project_id = i.project_id AND r.issue_id = i.id \
             AND r.version = "
        ));
        sql.bind(version).push(" WHERE i.project_id = ").bind(project.0);
    };
    fetch(connection, "COALESCE(r.event_count, 0), CAST(0 AS bigint)", |sql| match kind {
        ReleaseIssuesKind::All => joined(sql, "JOIN"),
        ReleaseIssuesKind::New => {
            joined(sql, "LEFT JOIN");
            sql.push(" AND i.first_release = ").bind(version);
        }
        ReleaseIssuesKind::Regressed => {
            joined(sql, "LEFT JOIN");
            sql.push(" AND i.regressed_in = ").bind(version);
        }
    })
    .await
}

/// How many issues had an event in a release.
pub(crate) async fn count_issues(
    connection: &impl ConnectionTrait,
    project: ProjectId,
    version: &str,
) -> Result<u64, StorageError> {
    let mut sql = Sql::new(connection, "SELECT COUNT(*) FROM error_issue_release WHERE project_id = ");
    sql.bind(project.0).push(" AND version = ").bind(version);
    match sql.fetch(connection).await?.first() {
        Some(row) => Ok(u64::try_from(row.try_get_by_index::<i64>(0)?).unwrap_or(0)),
        None => Ok(0),
    }
}

/// Which issues of two releases.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pair {
    /// Of the other and not of the base.
    New,
    /// Of the base and not of the other.
    Gone,
    /// Of both.
    Common,
}

pub(crate) async fn list_issues_of_pair(
    connection: &impl ConnectionTrait,
    project: ProjectId,
    base: &str,
    other: &str,
    pair: Pair,
) -> Result<ReleaseIssues, StorageError> {
    let (within, beside) = if pair == Pair::Gone { (base, other) } else { (other, base) };
    let columns = match pair {
        Pair::New | Pair::Common => "w.event_count, COALESCE(b.event_count, 0)",
        // Sorted by what there is of it: in the base.
        Pair::Gone => "w.event_count, w.event_count",
    };
    let mut found = fetch(connection, columns, |sql| {
        sql.push(" FROM error_issue_release w JOIN error_issue i ON i.project_id = w.project_id AND i.id = w.issue_id ");
        sql.push(if pair == Pair::Common { "JOIN" } else { "LEFT JOIN" });
        sql.push(" error_issue_release b ON b.project_id = w.project_id AND b.issue_id = w.issue_id AND b.version = ");
        sql.bind(beside).push(" WHERE w.project_id = ").bind(project.0);
        sql.push(" AND w.version = ").bind(within);
        if pair != Pair::Common {
            sql.push(" AND b.issue_id IS NULL");
        }
    })
    .await?;
    if pair == Pair::Gone {
        found.items.iter_mut().for_each(|issue| issue.events = 0);
    }
    Ok(found)
}
