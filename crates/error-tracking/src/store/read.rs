use std::collections::HashMap;

use belvedere_kernel::{ProjectId, SubjectId, User};
use belvedere_storage::{Cursor, Id, Page, PageRequest, Sql, StorageError, Timestamp};
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, FromQueryResult, PaginatorTrait, QueryFilter};

use super::triage::{find_destination, parse_condition, release_before};
use super::write::{hour_of, level_of};
use crate::entity::{event, issue};
use crate::event_id::{EventId, EventKey};
use crate::{
    ErrorTrackingError, EventSummary, HourCount, IssueDetail, IssueId, IssueStatus, IssueSummary,
    StatusCounts, Substatus, Triaged,
};

/// How many environments are listed.
const ENVIRONMENTS_MAX: i64 = 100;

/// The columns of an issue that a list shows.
#[derive(FromQueryResult)]
pub(super) struct IssueRow {
    id: IssueId,
    number: i64,
    title: String,
    culprit: String,
    level: i64,
    status: i64,
    substatus: i64,
    assigned_to: Option<Id<User>>,
    platform: String,
    events: i64,
    subject_count: i64,
    first_seen: Timestamp,
    last_seen: Timestamp,
}

impl IssueRow {
    pub(super) fn into_summary(self) -> Result<IssueSummary, StorageError> {
        let status = IssueStatus::from_number(self.status);
        Ok(IssueSummary {
            id: self.id,
            number: self.number,
            title: self.title,
            culprit: self.culprit,
            level: level_of(self.level)?,
            status: status
                .ok_or_else(|| StorageError::corrupt(format!("status {} of an issue", self.status)))?,
            substatus: Substatus::from_number(self.substatus).unwrap_or_default(),
            assigned_to: self.assigned_to,
            platform: self.platform,
            events: u64::try_from(self.events).unwrap_or(0),
            subjects: u64::try_from(self.subject_count).unwrap_or(0),
            first_seen: self.first_seen,
            last_seen: self.last_seen,
            hourly: Vec::new(),
        })
    }
}

impl From<&issue::Model> for IssueRow {
    fn from(model: &issue::Model) -> Self {
        Self {
            id: model.id,
            number: model.number,
            title: model.title.clone(),
            culprit: model.culprit.clone(),
            level: model.level,
            status: model.status,
            substatus: model.substatus,
            assigned_to: model.assigned_to,
            platform: model.platform.clone(),
            events: model.event_count,
            subject_count: model.subject_count,
            first_seen: model.first_seen,
            last_seen: model.last_seen,
        }
    }
}

pub(super) fn limit_of(page: &PageRequest) -> i64 {
    i64::try_from(page.limit()).unwrap_or(1)
}

pub(super) fn foreign_cursor() -> ErrorTrackingError {
    ErrorTrackingError::InvalidQuery("the cursor does not belong to this list".to_owned())
}

pub(super) fn parse_issue_cursor(
    cursor: &Cursor,
    sort_word: &str,
) -> Result<(i64, IssueId), ErrorTrackingError> {
    let [word, key, id]: [&str; 3] = cursor.parts().ok_or_else(foreign_cursor)?;
    if word != sort_word {
        return Err(foreign_cursor());
    }
    Ok((key.parse().map_err(|_| foreign_cursor())?, id.parse().map_err(|_| foreign_cursor())?))
}

/// Counts of the last 24 hours for the issues of a page, in one query.
pub(super) async fn fill_hours(
    connection: &impl ConnectionTrait,
    project: ProjectId,
    summaries: &mut [IssueSummary],
    environment: Option<&str>,
    now: Timestamp,
) -> Result<(), StorageError> {
    if summaries.is_empty() {
        return Ok(());
    }
    let first_hour = hour_of(now) - 23;
    let ids: Vec<IssueId> = summaries.iter().map(|summary| summary.id).collect();
    let mut counted: HashMap<IssueId, Vec<u64>> = HashMap::new();
    for (id, hour, events) in hours_of(connection, project, &ids, first_hour, environment).await? {
        add_to(counted.entry(id).or_insert_with(|| vec![0; 24]), hour - first_hour, events);
    }
    for summary in summaries {
        summary.hourly = counted.remove(&summary.id).unwrap_or_else(|| vec![0; 24]);
    }
    Ok(())
}

/// Adds `events` to the bucket; what lies beyond (a little ahead of our clock) belongs to the last one.
fn add_to(buckets: &mut [u64], bucket: i64, events: u64) {
    let last = buckets.len().saturating_sub(1);
    let bucket = usize::try_from(bucket).unwrap_or(0).min(last);
    if let Some(count) = buckets.get_mut(bucket) {
        *count += events;
    }
}

async fn hours_of(
    connection: &impl ConnectionTrait,
    project: ProjectId,
    issues: &[IssueId],
    first_hour: i64,
    environment: Option<&str>,
) -> Result<Vec<(IssueId, i64, u64)>, StorageError> {
    let mut sql = Sql::new(
        connection,
        "SELECT issue_id, hour, CAST(SUM(event_count) AS bigint) FROM error_issue_hour WHERE project_id = ",
    );
    sql.bind(project.0).push(" AND issue_id IN ").bind_set(issues).push(" AND hour >= ").bind(first_hour);
    if let Some(environment) = environment {
        sql.push(" AND environment = ").bind(environment);
    }
    sql.push(" GROUP BY issue_id, hour");
    let mut hours = Vec::new();
    for row in sql.fetch(connection).await? {
        let events: i64 = row.try_get_by_index(2)?;
        hours.push((row.try_get_by_index(0)?, row.try_get_by_index(1)?, u64::try_from(events).unwrap_or(0)));
    }
    Ok(hours)
}

pub(crate) async fn count_issues(
    connection: &impl ConnectionTrait,
    project: ProjectId,
    status: IssueStatus,
) -> Result<u64, StorageError> {
    let issues = issue::Entity::find()
        .filter(issue::Column::ProjectId.eq(project.0))
        .filter(issue::Column::Status.eq(status.to_number()));
    Ok(issues.count(connection).await?)
}

pub(crate) async fn count_by_status(
    connection: &impl ConnectionTrait,
    project: ProjectId,
) -> Result<StatusCounts, StorageError> {
    let mut sql =
        Sql::new(connection, "SELECT status, substatus, COUNT(*) FROM error_issue WHERE project_id = ");
    sql.bind(project.0).push(" GROUP BY status, substatus");
    let mut counts = StatusCounts::default();
    for row in sql.fetch(connection).await? {
        let (status, substatus, count): (i64, i64, i64) =
            (row.try_get_by_index(0)?, row.try_get_by_index(1)?, row.try_get_by_index(2)?);
        let status = IssueStatus::from_number(status)
            .ok_or_else(|| StorageError::corrupt(format!("status {status} of an issue")))?;
        let substatus = Substatus::from_number(substatus).unwrap_or_default();
        counts.add(status, substatus, u64::try_from(count).unwrap_or(0));
    }
    Ok(counts)
}

pub(crate) async fn find_issue(
    connection: &impl ConnectionTrait,
    project: ProjectId,
    id: IssueId,
    now: Timestamp,
) -> Result<Option<IssueDetail>, StorageError> {
    let of_project = issue::Entity::find_by_id(id).filter(issue::Column::ProjectId.eq(project.0));
    let Some(model) = of_project.one(connection).await? else { return Ok(None) };
    let mut summary = IssueRow::from(&model).into_summary()?;
    let this_hour = hour_of(now);
    let first_day = this_hour.div_euclid(24) - 13;
    summary.hourly = vec![0; 24];
    let mut daily = vec![0; 14];
    for (_, hour, events) in hours_of(connection, project, &[id], first_day * 24, None).await? {
        add_to(&mut daily, hour.div_euclid(24) - first_day, events);
        if hour >= this_hour - 23 {
            add_to(&mut summary.hourly, hour - (this_hour - 23), events);
        }
    }
    let triaged = Triaged {
        condition: parse_condition(model.condition)?,
        until: model.until_at,
        suggested_owner: model.suggested_owner,
        release_before_first: release_before(connection, project, model.first_release.as_deref()).await?,
        release_before_regression: release_before(connection, project, model.regressed_in.as_deref()).await?,
        regressed_in: model.regressed_in,
    };
    Ok(Some(IssueDetail {
        summary,
        daily,
        first_release: model.first_release,
        last_release: model.last_release,
        grouping_version: u16::try_from(model.grouping_version).unwrap_or(0),
        grouping_reason: model.grouping_reason,
        grouping_values: model.grouping_values.lines().map(str::to_owned).collect(),
        grouping_explanation: serde_json::from_str(&model.grouping_explanation).unwrap_or_default(),
        latest_event: Some(EventId::from(model.latest_event_id).to_string()),
        triaged,
    }))
}

/// The columns of an event that a list shows, and its place in the list.
#[derive(FromQueryResult)]
struct EventRow {
    id: i64,
    event_id: Id<EventKey>,
    occurred_at: Timestamp,
    received_at: Timestamp,
    level: i64,
    subject_id: Option<i64>,
    release: Option<String>,
    environment: Option<String>,
    title: String,
}

impl EventRow {
    fn into_summary(self) -> Result<EventSummary, StorageError> {
        Ok(EventSummary {
            event_id: EventId::from(self.event_id).to_string(),
            occurred_at: self.occurred_at,
            received_at: self.received_at,
            title: self.title,
            level: level_of(self.level)?,
            release: self.release,
            environment: self.environment,
            subject: self.subject_id.map(SubjectId),
        })
    }
}

pub(crate) async fn list_events(
    connection: &impl ConnectionTrait,
    project: ProjectId,
    issue: IssueId,
    page: &PageRequest,
) -> Result<Page<EventSummary>, ErrorTrackingError> {
    let mut sql = Sql::new(
        connection,
        "SELECT id, event_id, occurred_at, received_at, level, subject_id, release, environment, title \
         FROM error_event WHERE project_id = ",
    );
    sql.bind(project.0).push(" AND issue_id = ").bind(issue);
    if let Some(after) = &page.after {
        let [micros, id] = after.parts().ok_or_else(foreign_cursor)?;
        let micros: i64 = micros.parse().map_err(|_| foreign_cursor())?;
        let id: i64 = id.parse().map_err(|_| foreign_cursor())?;
        sql.push(" AND (occurred_at, id) < (").bind(micros).push(", ").bind(id).push(")");
    }
    sql.push(" ORDER BY occurred_at DESC, id DESC LIMIT ").bind(limit_of(page) + 1);
    let mut rows = Vec::new();
    for row in sql.fetch(connection).await? {
        rows.push(EventRow::from_query_result(&row, "").map_err(StorageError::from)?);
    }
    let page =
        Page::from_rows(rows, page.limit(), |last| Cursor::of(&[&last.occurred_at.as_micros(), &last.id]));
    let mut summaries = Vec::with_capacity(page.items.len());
    for row in page.items {
        summaries.push(row.into_summary()?);
    }
    Ok(Page { items: summaries, next: page.next })
}

/// An event with its packed payload and its neighbours in the issue.
pub(crate) struct FoundEvent {
    pub(crate) summary: EventSummary,
    pub(crate) issue: IssueId,
    pub(crate) payload: Vec<u8>,
    pub(crate) previous: Option<String>,
    pub(crate) next: Option<String>,
}

pub(crate) async fn find_event(
    connection: &impl ConnectionTrait,
    project: ProjectId,
    id: EventId,
) -> Result<Option<FoundEvent>, StorageError> {
    let found = event::Entity::find()
        .filter(event::Column::ProjectId.eq(project.0))
        .filter(event::Column::EventId.eq(id.to_key()))
        .one(connection)
        .await?;
    let Some(mut model) = found else { return Ok(None) };
    // Its issue may have become part of another one, or be gone, and the event not moved yet.
    let Some(issue) = find_issue_of_event(connection, project, model.issue_id).await? else {
        return Ok(None);
    };
    model.issue_id = issue;
    let previous = neighbour(connection, &model, "<", "DESC").await?;
    let next = neighbour(connection, &model, ">", "ASC").await?;
    let row = EventRow {
        id: model.id,
        event_id: model.event_id,
        occurred_at: model.occurred_at,
        received_at: model.received_at,
        level: model.level,
        subject_id: model.subject_id,
        release: model.release,
        environment: model.environment,
        title: model.title,
    };
    let (issue, payload) = (model.issue_id, model.payload);
    Ok(Some(FoundEvent { summary: row.into_summary()?, issue, payload, previous, next }))
}

/// The issue that an event with this issue belongs to by now.
async fn find_issue_of_event(
    connection: &impl ConnectionTrait,
    project: ProjectId,
    issue: IssueId,
) -> Result<Option<IssueId>, StorageError> {
    let mut sql = Sql::new(connection, "SELECT id FROM error_issue WHERE project_id = ");
    sql.bind(project.0).push(" AND id = ").bind(issue);
    if !sql.fetch(connection).await?.is_empty() {
        return Ok(Some(issue));
    }
    find_destination(connection, project, issue).await
}

async fn neighbour(
    connection: &impl ConnectionTrait,
    of: &event::Model,
    side: &str,
    order: &str,
) -> Result<Option<String>, StorageError> {
    let mut sql = Sql::new(connection, "SELECT event_id FROM error_event WHERE project_id = ");
    sql.bind(of.project_id)
        .push(" AND issue_id = ")
        .bind(of.issue_id)
        .push(" AND (occurred_at, id) ")
        .push(side);
    sql.push(" (").bind(of.occurred_at).push(", ").bind(of.id).push(")");
    sql.push(&format!(" ORDER BY occurred_at {order}, id {order} LIMIT 1"));
    let rows = sql.fetch(connection).await?;
    let Some(row) = rows.first() else { return Ok(None) };
    let id: Id<EventKey> = row.try_get_by_index(0)?;
    Ok(Some(EventId::from(id).to_string()))
}

pub(crate) async fn count_events_by_hour(
    connection: &impl ConnectionTrait,
    project: ProjectId,
    from: Timestamp,
    to: Timestamp,
) -> Result<Vec<HourCount>, StorageError> {
    let mut sql =
        Sql::new(connection, "SELECT hour, event_count FROM error_project_hour WHERE project_id = ");
    // Every hour of which the range has a part.
    let from = hour_of(from);
    let to = hour_of(Timestamp::from_micros(to.as_micros().saturating_add(3_599_999_999)));
    sql.bind(project.0).push(" AND hour >= ").bind(from).push(" AND hour < ").bind(to).push(" ORDER BY hour");
    let mut hours = Vec::new();
    for row in sql.fetch(connection).await? {
        let (hour, events): (i64, i64) = (row.try_get_by_index(0)?, row.try_get_by_index(1)?);
        let hour = Timestamp::from_micros(hour.saturating_mul(3_600_000_000));
        hours.push(HourCount { hour, events: u64::try_from(events).unwrap_or(0) });
    }
    Ok(hours)
}

pub(crate) async fn list_environments(
    connection: &impl ConnectionTrait,
    project: ProjectId,
) -> Result<Vec<String>, StorageError> {
    // One step along the key per environment: DISTINCT would read the row of every issue.
    let next = "SELECT MIN(environment) FROM error_issue_environment WHERE project_id = ";
    let mut sql = Sql::new(connection, "WITH RECURSIVE found (environment) AS (");
    sql.push(next).bind(project.0).push(" UNION ALL SELECT (").push(next).bind(project.0);
    sql.push(" AND environment > found.environment) FROM found WHERE found.environment IS NOT NULL)");
    sql.push(" SELECT environment FROM found WHERE environment IS NOT NULL LIMIT ").bind(ENVIRONMENTS_MAX);
    let mut environments: Vec<String> = Vec::new();
    for row in sql.fetch(connection).await? {
        environments.push(row.try_get_by_index(0)?);
    }
    environments.sort_unstable();
    Ok(environments)
}
