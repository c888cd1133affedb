use belvedere_kernel::ProjectId;
use belvedere_storage::{Dialect, Sql, StorageError, Tx};
use sea_orm::{FromQueryResult, Value};

use super::moves::set_feedback;
use super::parse_condition;
use super::tables::{COUNT_TABLES, CountTable};
use super::tags::count_common_tags;
use super::trend::recount_trend;
use crate::entity::issue;
use crate::store::text::join_texts;
use crate::{IssueId, IssueStatus};

/// The whole rows of those of the issues that are of the project, locked in the order of their ids.
pub(crate) async fn find_rows_in(
    tx: &Tx,
    project: ProjectId,
    issues: &[IssueId],
) -> Result<Vec<issue::Model>, StorageError> {
    let mut sql = Sql::new(tx, "SELECT * FROM error_issue WHERE project_id = ");
    sql.bind(project.0).push(" AND id IN ").bind_set(issues).push(" ORDER BY id");
    if Dialect::of(tx) == Dialect::Postgres {
        sql.push(" FOR UPDATE");
    }
    let mut rows = Vec::with_capacity(issues.len());
    for row in sql.fetch(tx).await? {
        rows.push(issue::Model::from_query_result(&row, "")?);
    }
    Ok(rows)
}

/// Adds everything that is counted of `sources` to `target` and deletes them; their events are left where they are.
pub(crate) async fn absorb_in(
    tx: &Tx,
    target: &issue::Model,
    sources: &[issue::Model],
) -> Result<(), StorageError> {
    let ids: Vec<IssueId> = sources.iter().map(|source| source.id).collect();
    let project = target.project_id;
    let all: Vec<IssueId> = ids.iter().copied().chain([target.id]).collect();
    count_common_tags(tx, ProjectId(project), &all).await?;
    for table in &COUNT_TABLES {
        add_table(tx, table, project, &ids, target.id).await?;
    }
    recount_trend(tx, ProjectId(project), target.id).await?;
    set_feedback(tx, ProjectId(project), &ids, Some(target.id)).await?;
    let numbers: Vec<i64> = sources.iter().map(|source| source.number).collect();
    join_texts(tx, ProjectId(project), target.number, &numbers).await?;
    let mut sql = Sql::new(tx, "SELECT COUNT(*) FROM error_issue_subject WHERE project_id = ");
    sql.bind(project).push(" AND issue_id = ").bind(target.id);
    let rows = sql.fetch(tx).await?;
    let subject_count: i64 = rows.first().map(|row| row.try_get_by_index(0)).transpose()?.unwrap_or(0);
    for text in ["UPDATE error_issue_hash SET issue_id = ", "UPDATE error_activity SET issue_id = "] {
        let mut sql = Sql::new(tx, text);
        sql.bind(target.id)
            .push(" WHERE project_id = ")
            .bind(project)
            .push(" AND issue_id IN ")
            .bind_set(&ids);
        sql.run(tx).await?;
    }
    for text in
        ["DELETE FROM error_issue_watch WHERE project_id = ", "DELETE FROM error_issue WHERE project_id = "]
    {
        let column = if text.contains("watch") { " AND issue_id IN " } else { " AND id IN " };
        let mut sql = Sql::new(tx, text);
        sql.bind(project).push(column).bind_set(&ids);
        sql.run(tx).await?;
    }
    update_target(tx, target, sources, subject_count).await
}

async fn add_table(
    tx: &Tx,
    table: &CountTable,
    project: i64,
    sources: &[IssueId],
    target: IssueId,
) -> Result<(), StorageError> {
    let name = table.name;
    let keys = table.keys.join(", ");
    let values = table.values.iter().map(|(column, _)| *column);
    let columns: Vec<&str> = table.keys.iter().copied().chain(values).collect();
    let sums: Vec<String> =
        table.values.iter().map(|(column, join)| format!(", {}", join.of_group(column))).collect();
    let text =
        format!("INSERT INTO {name} (project_id, issue_id, {}) SELECT project_id, ", columns.join(", "));
    let mut sql = Sql::new(tx, &text);
    sql.bind(target).push(&format!(", {keys}{} FROM {name} WHERE project_id = ", sums.concat()));
    sql.bind(project).push(" AND issue_id IN ").bind_set(sources);
    sql.push(&format!(" GROUP BY project_id, {keys} ON CONFLICT (project_id, issue_id, {keys}) DO "));
    let added: Vec<String> =
        table.values.iter().map(|(column, join)| join.of_conflict(name, column)).collect();
    if added.is_empty() {
        sql.push("NOTHING");
    } else {
        sql.push(&format!("UPDATE SET {}", added.join(", ")));
    }
    sql.run(tx).await?;
    let mut sql = Sql::new(tx, &format!("DELETE FROM {name} WHERE project_id = "));
    sql.bind(project).push(" AND issue_id IN ").bind_set(sources);
    sql.run(tx).await
}

/// The row of the issue after others became part of it: unresolved if one of them was.
async fn update_target(
    tx: &Tx,
    target: &issue::Model,
    sources: &[issue::Model],
    subject_count: i64,
) -> Result<(), StorageError> {
    let all = || std::iter::once(target).chain(sources);
    let first = all().min_by_key(|issue| (issue.first_seen, issue.id)).unwrap_or(target);
    let last = all().max_by_key(|issue| (issue.last_seen, issue.id)).unwrap_or(target);
    let events: i64 = all().map(|issue| issue.event_count).sum();
    let level = all().map(|issue| issue.level).max().unwrap_or(target.level);
    let unresolved = IssueStatus::Unresolved.to_number();
    let waking = all().find(|issue| issue.status == unresolved).filter(|_| target.status != unresolved);
    let assigned_to = target.assigned_to.or_else(|| sources.iter().find_map(|source| source.assigned_to));
    let mut sql = Sql::new(tx, "UPDATE error_issue SET event_count = ");
    sql.bind(events);
    let columns: [(&str, Value); 11] = [
        ("subject_count", subject_count.into()),
        ("level", level.into()),
        ("first_seen", first.first_seen.into()),
        ("first_release", first.first_release.clone().into()),
        ("last_seen", last.last_seen.into()),
        ("last_release", last.last_release.clone().into()),
        ("latest_event_id", last.latest_event_id.into()),
        ("platform", last.platform.clone().into()),
        ("assigned_to", assigned_to.into()),
        ("status", waking.map_or(target.status, |_| unresolved).into()),
        ("substatus", waking.map_or(target.substatus, |issue| issue.substatus).into()),
    ];
    for (column, value) in columns {
        sql.push(&format!(", {column} = ")).bind(value);
    }
    if waking.is_some() {
        sql.push(", condition = NULL, until_at = NULL");
    } else if let Some(condition) = parse_condition(target.condition.clone())? {
        // It goes on waiting for as many more.
        let more_events = events.saturating_sub(target.event_count);
        let more_subjects = subject_count.saturating_sub(target.subject_count);
        let condition = condition.after_growth(more_events, more_subjects);
        let text =
            serde_json::to_string(&condition).map_err(|error| StorageError::corrupt(error.to_string()))?;
        sql.push(", condition = ").bind(text);
    }
    sql.push(" WHERE project_id = ").bind(target.project_id).push(" AND id = ").bind(target.id);
    sql.run(tx).await
}
