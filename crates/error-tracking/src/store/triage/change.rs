use std::collections::HashMap;

use belvedere_kernel::{ProjectId, User};
use belvedere_storage::{Dialect, Id, Sql, StorageError, Timestamp, Tx, bulk};
use sea_orm::{ConnectionTrait, Value};

use super::wake::{parse_condition, status_of};
use crate::release_order::{SemanticRelease, sort_releases};
use crate::store::KEYS_MAX;
use crate::triage::{Condition, Substatus};
use crate::{IssueId, IssueStatus};

/// How many of the releases last seen first are looked at for the newest one.
const RELEASES_MAX: i64 = 200;

/// Where an issue is in its life, and what wakes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct IssueState {
    pub(crate) status: IssueStatus,
    pub(crate) substatus: Substatus,
    pub(crate) condition: Option<Condition>,
    pub(crate) until: Option<Timestamp>,
}

/// An issue before a change.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Former {
    pub(crate) id: IssueId,
    pub(crate) number: i64,
    pub(crate) title: String,
    pub(crate) culprit: String,
    pub(crate) state: IssueState,
    pub(crate) events: u64,
    pub(crate) subjects: u64,
    pub(crate) last_release: Option<String>,
    pub(crate) assigned_to: Option<Id<User>>,
}

/// Those of the issues that are of the project, locked in the order of their ids.
pub(crate) async fn find_states_in(
    tx: &Tx,
    project: ProjectId,
    issues: &[IssueId],
) -> Result<Vec<Former>, StorageError> {
    let mut ids = issues.to_vec();
    ids.sort_unstable();
    ids.dedup();
    let mut found = Vec::with_capacity(ids.len());
    for chunk in ids.chunks(KEYS_MAX) {
        let mut sql = Sql::new(
            tx,
            "SELECT id, number, title, culprit, status, substatus, condition, until_at, event_count, subject_count, \
             last_release, assigned_to FROM error_issue WHERE project_id = ",
        );
        sql.bind(project.0).push(" AND id IN ").bind_set(chunk).push(" ORDER BY id");
        if Dialect::of(tx) == Dialect::Postgres {
            sql.push(" FOR UPDATE");
        }
        for row in sql.fetch(tx).await? {
            let substatus: i64 = row.try_get_by_index(5)?;
            let (events, subjects): (i64, i64) = (row.try_get_by_index(8)?, row.try_get_by_index(9)?);
            found.push(Former {
                id: row.try_get_by_index(0)?,
                number: row.try_get_by_index(1)?,
                title: row.try_get_by_index(2)?,
                culprit: row.try_get_by_index(3)?,
                state: IssueState {
                    status: status_of(row.try_get_by_index(4)?)?,
                    substatus: Substatus::from_number(substatus).unwrap_or_default(),
                    condition: parse_condition(row.try_get_by_index(6)?)?,
                    until: row.try_get_by_index(7)?,
                },
                events: u64::try_from(events).unwrap_or(0),
                subjects: u64::try_from(subjects).unwrap_or(0),
                last_release: row.try_get_by_index(10)?,
                assigned_to: row.try_get_by_index(11)?,
            });
        }
    }
    Ok(found)
}

/// Puts issues, which must be locked, into their states; what they had been watched for is forgotten.
pub(crate) async fn set_states_in(
    tx: &Tx,
    project: ProjectId,
    states: &[(IssueId, IssueState)],
) -> Result<(), StorageError> {
    let mut rows: Vec<[Value; 5]> = Vec::with_capacity(states.len());
    for (id, state) in states {
        let condition = state.condition.as_ref().map(serde_json::to_string).transpose();
        let condition = condition.map_err(|error| StorageError::corrupt(error.to_string()))?;
        rows.push([
            (*id).into(),
            state.status.to_number().into(),
            state.substatus.to_number().into(),
            condition.into(),
            state.until.into(),
        ]);
    }
    let head = "UPDATE error_issue SET status = v.column2, substatus = v.column3, condition = v.column4, \
                until_at = v.column5 FROM (VALUES ";
    bulk(tx, head, rows, ") AS v WHERE error_issue.id = v.column1").await?;
    let ids: Vec<IssueId> = states.iter().map(|(id, _)| *id).collect();
    let mut sql = Sql::new(tx, "DELETE FROM error_issue_watch WHERE project_id = ");
    sql.bind(project.0).push(" AND issue_id");
    sql.execute_in(tx, &ids).await.map(drop)
}

/// Assigns issues, which must be locked.
pub(crate) async fn assign_in(
    tx: &Tx,
    project: ProjectId,
    issues: &[IssueId],
    to: Option<Id<User>>,
) -> Result<(), StorageError> {
    let mut sql = Sql::new(tx, "UPDATE error_issue SET assigned_to = ");
    sql.bind(to).push(" WHERE project_id = ").bind(project.0).push(" AND id");
    sql.execute_in(tx, issues).await.map(drop)
}

/// The number of events in the busiest hour of each of the issues from `first_hour` on.
pub(crate) async fn busiest_hours(
    connection: &impl ConnectionTrait,
    project: ProjectId,
    issues: &[IssueId],
    first_hour: i64,
) -> Result<HashMap<IssueId, u64>, StorageError> {
    let mut busiest = HashMap::new();
    for chunk in issues.chunks(KEYS_MAX) {
        let mut sql = Sql::new(
            connection,
            "SELECT issue_id, MAX(events) FROM (SELECT issue_id, hour, CAST(SUM(event_count) AS bigint) AS events \
             FROM error_issue_hour WHERE project_id = ",
        );
        sql.bind(project.0).push(" AND issue_id IN ").bind_set(chunk).push(" AND hour >= ").bind(first_hour);
        sql.push(" GROUP BY issue_id, hour) AS of_hour GROUP BY issue_id");
        for row in sql.fetch(connection).await? {
            let events: i64 = row.try_get_by_index(1)?;
            busiest.insert(row.try_get_by_index(0)?, u64::try_from(events).unwrap_or(0));
        }
    }
    Ok(busiest)
}

/// The releases of the project that were first seen last, with that time, at most 200.
pub(crate) async fn newest_releases(
    connection: &impl ConnectionTrait,
    project: ProjectId,
) -> Result<Vec<(String, Timestamp)>, StorageError> {
    let mut sql = Sql::new(connection, "SELECT version, first_seen FROM error_release WHERE project_id = ");
    sql.bind(project.0).push(" ORDER BY first_seen DESC LIMIT ").bind(RELEASES_MAX);
    let mut releases = Vec::new();
    for row in sql.fetch(connection).await? {
        releases.push((row.try_get_by_index(0)?, row.try_get_by_index(1)?));
    }
    Ok(releases)
}

/// The release before `version` in the order of releases, among the 200 that were first seen last.
pub(crate) async fn release_before(
    connection: &impl ConnectionTrait,
    project: ProjectId,
    version: Option<&str>,
) -> Result<Option<String>, StorageError> {
    let Some(version) = version else { return Ok(None) };
    let mut releases = newest_releases(connection, project).await?;
    sort_releases(&mut releases, |(version, first_seen)| (version, *first_seen));
    // A release of another package is none before it.
    let package = SemanticRelease::parse(version).map(|release| release.package);
    let mut later = releases.into_iter().skip_while(|(other, _)| other != version).skip(1);
    let is_alike = |other: &str| SemanticRelease::parse(other).map(|release| release.package) == package;
    Ok(later.find(|(other, _)| is_alike(other)).map(|(version, _)| version))
}
