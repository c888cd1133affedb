//! Every statement on `error_feedback`.

use std::collections::{BTreeSet, HashMap, HashSet};

use belvedere_kernel::{KeyOwner, ProjectId, SubjectId, User, Vault, VaultError};
use belvedere_storage::{Cursor, Dialect, Id, Page, Sql, StorageError, Timestamp, Tx, bulk};
use sea_orm::{ConnectionTrait, QueryResult, Value};

use super::item::NewFeedback;
use super::{FeedbackId, FeedbackStatus, FeedbackSummary, ListFeedback};
use crate::attachment::delete_of_owners_in;
use crate::event_id::{EventId, EventKey};
use crate::limits::{StorageChange, StoredKind};
use crate::{ErrorTrackingError, IssueId};

const COLUMNS: &str = "f.id, f.event_id, f.status, f.message, f.source, f.url, f.associated_event_id, \
     COALESCE(e.issue_id, f.issue_id), CASE WHEN e.id IS NULL THEN 0 ELSE 1 END, f.subject_id, \
     CASE WHEN f.contact IS NULL THEN 0 ELSE 1 END, f.assignee, f.environment, f.release, f.occurred_at, f.received_at";

const SOURCE: &str = " FROM error_feedback f LEFT JOIN error_event e ON e.project_id = f.project_id \
     AND e.event_id = f.associated_event_id";

/// Writes feedback that was not there yet; whether each was new. `subjects` are those of the people.
pub(crate) async fn store_in(
    tx: &Tx,
    vault: Option<&dyn Vault>,
    new: &[NewFeedback],
    subjects: &[Option<SubjectId>],
    now: Timestamp,
    storage: &mut StorageChange,
) -> Result<Vec<bool>, StorageError> {
    let issues = find_issues(tx, new).await?;
    let mut order: Vec<usize> = (0..new.len()).collect();
    order.sort_by_key(|index| (new[*index].project, new[*index].event_id, *index));
    order.dedup_by_key(|index| (new[*index].project, new[*index].event_id));
    let mut rows = Vec::with_capacity(order.len());
    for index in &order {
        let (feedback, subject) = (&new[*index], subjects[*index]);
        let contact = seal_contact(tx, vault, feedback, subject).await?;
        let issue = feedback.associated.and_then(|event| issues.get(&(feedback.project, event)).copied());
        let row: [Value; 18] = [
            FeedbackId::generate(now).into(),
            feedback.project.0.into(),
            feedback.event_id.to_key().into(),
            feedback.associated.map(EventId::to_key).into(),
            issue.into(),
            feedback.source.clone().into(),
            FeedbackStatus::Unresolved.to_number().into(),
            feedback.occurred_at.into(),
            feedback.received_at.into(),
            subject.map(|subject| subject.0).into(),
            feedback.environment.clone().into(),
            feedback.release.clone().into(),
            feedback.message.clone().into(),
            feedback.message.to_lowercase().into(),
            feedback.url.clone().into(),
            feedback.replay_id.clone().into(),
            contact.into(),
            feedback.payload.clone().into(),
        ];
        rows.push(row);
    }
    let head = "INSERT INTO error_feedback (id, project_id, event_id, associated_event_id, issue_id, source, status, \
                occurred_at, received_at, subject_id, environment, release, message, search_text, url, replay_id, \
                contact, payload) VALUES ";
    let tail = " ON CONFLICT (project_id, event_id) DO NOTHING RETURNING project_id, event_id";
    let mut inserted = HashSet::new();
    for row in bulk(tx, head, rows, tail).await? {
        let id: Id<EventKey> = row.try_get_by_index(1)?;
        inserted.insert((ProjectId(row.try_get_by_index(0)?), EventId::from(id)));
    }
    let mut is_new = vec![false; new.len()];
    for index in order {
        let feedback = &new[index];
        if inserted.contains(&(feedback.project, feedback.event_id)) {
            is_new[index] = true;
            let bytes = feedback.payload.len() as u64;
            storage.add(feedback.project, feedback.received_at, StoredKind::Feedback, 1, bytes);
        }
    }
    Ok(is_new)
}

/// Name and e-mail address sealed for their owner; nothing without a vault, without a subject, or when the subject's
/// key was destroyed.
async fn seal_contact(
    tx: &Tx,
    vault: Option<&dyn Vault>,
    feedback: &NewFeedback,
    subject: Option<SubjectId>,
) -> Result<Option<Vec<u8>>, StorageError> {
    let (Some(vault), Some(contact), Some(subject)) = (vault, &feedback.contact, subject) else {
        return Ok(None);
    };
    let plain = serde_json::to_vec(contact).map_err(|error| StorageError::corrupt(error.to_string()))?;
    match vault.seal_in(tx, KeyOwner::Subject(feedback.project, subject), &plain).await {
        Ok(sealed) => Ok(Some(sealed)),
        Err(VaultError::Destroyed) => Ok(None),
        Err(VaultError::Storage(error)) => Err(error),
        Err(error) => Err(StorageError::corrupt(error.to_string())),
    }
}

/// The issues of the events that are spoken about, as far as they are stored.
async fn find_issues(
    tx: &Tx,
    new: &[NewFeedback],
) -> Result<HashMap<(ProjectId, EventId), IssueId>, StorageError> {
    let about: BTreeSet<(ProjectId, EventId)> =
        new.iter().filter_map(|feedback| Some((feedback.project, feedback.associated?))).collect();
    let about: Vec<_> = about.into_iter().collect();
    let mut issues = HashMap::new();
    for of_one in about.chunk_by(|left, right| left.0 == right.0) {
        let Some((project, _)) = of_one.first().copied() else { continue };
        let ids: Vec<Id<EventKey>> = of_one.iter().map(|(_, event)| event.to_key()).collect();
        let mut sql = Sql::new(tx, "SELECT event_id, issue_id FROM error_event WHERE project_id = ");
        sql.bind(project.0).push(" AND event_id");
        for row in sql.fetch_in(tx, &ids).await? {
            let event: Id<EventKey> = row.try_get_by_index(0)?;
            issues.insert((project, EventId::from(event)), row.try_get_by_index(1)?);
        }
    }
    Ok(issues)
}

/// Notes the issues of at most `limit` reports whose events came after them; how many there were.
pub(crate) async fn associate_in(tx: &Tx, limit: i64) -> Result<u64, StorageError> {
    let mut sql = Sql::new(
        tx,
        "SELECT f.id, e.issue_id FROM error_feedback f JOIN error_event e ON e.project_id = f.project_id \
         AND e.event_id = f.associated_event_id WHERE f.issue_id IS NULL AND f.associated_event_id IS NOT NULL \
         ORDER BY f.id LIMIT ",
    );
    sql.bind(limit);
    let rows = sql.fetch(tx).await?;
    for row in &rows {
        let (id, issue): (FeedbackId, IssueId) = (row.try_get_by_index(0)?, row.try_get_by_index(1)?);
        let mut sql = Sql::new(tx, "UPDATE error_feedback SET issue_id = ");
        sql.bind(issue).push(" WHERE id = ").bind(id);
        sql.run(tx).await?;
    }
    Ok(rows.len() as u64)
}

fn read_summary(row: &QueryResult) -> Result<FeedbackSummary, StorageError> {
    let event: Id<EventKey> = row.try_get_by_index(1)?;
    let status: i64 = row.try_get_by_index(2)?;
    let associated: Option<Id<EventKey>> = row.try_get_by_index(6)?;
    let has_event: i64 = i64::from(row.try_get_by_index::<i32>(8)?);
    let has_contact: i64 = i64::from(row.try_get_by_index::<i32>(10)?);
    Ok(FeedbackSummary {
        id: row.try_get_by_index(0)?,
        event_id: EventId::from(event).to_string(),
        status: FeedbackStatus::from_number(status)
            .ok_or_else(|| StorageError::corrupt(format!("status {status} of a feedback")))?,
        message: row.try_get_by_index(3)?,
        source: row.try_get_by_index(4)?,
        url: row.try_get_by_index(5)?,
        associated_event_id: associated.map(|event| EventId::from(event).to_string()),
        issue: row.try_get_by_index(7)?,
        has_event: has_event == 1,
        subject: row.try_get_by_index::<Option<i64>>(9)?.map(SubjectId),
        has_contact: has_contact == 1,
        assignee: row.try_get_by_index::<Option<Id<User>>>(11)?,
        environment: row.try_get_by_index(12)?,
        release: row.try_get_by_index(13)?,
        occurred_at: row.try_get_by_index(14)?,
        received_at: row.try_get_by_index(15)?,
    })
}

pub(super) async fn list(
    connection: &impl ConnectionTrait,
    query: &ListFeedback,
) -> Result<Page<FeedbackSummary>, ErrorTrackingError> {
    let mut sql = Sql::new(connection, &format!("SELECT {COLUMNS}{SOURCE} WHERE f.project_id = "));
    sql.bind(query.project.0);
    if let Some(status) = query.status {
        sql.push(" AND f.status = ").bind(status.to_number());
    }
    if let Some(issue) = query.issue {
        // Those whose event came later are few: the sweep notes their issue.
        sql.push(" AND (f.issue_id = ")
            .bind(issue)
            .push(" OR (f.issue_id IS NULL AND f.associated_event_id IS NOT NULL AND e.issue_id = ")
            .bind(issue)
            .push("))");
    }
    if let Some(text) = &query.text {
        let escaped = text.to_lowercase().replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_");
        sql.push(" AND f.search_text LIKE ").bind(format!("%{escaped}%")).push(" ESCAPE '\\'");
    }
    if let Some(after) = &query.page.after {
        let place: Option<FeedbackId> = after.parts::<1>().and_then(|[id]| id.parse().ok());
        let place = place
            .ok_or_else(|| ErrorTrackingError::InvalidQuery("cursor: is none of this list".to_owned()))?;
        sql.push(" AND f.id < ").bind(place);
    }
    let limit = query.page.limit();
    sql.push(" ORDER BY f.id DESC LIMIT ").bind(i64::try_from(limit + 1).unwrap_or(i64::MAX));
    let rows: Result<Vec<_>, _> = sql.fetch(connection).await?.iter().map(read_summary).collect();
    Ok(Page::from_rows(rows?, limit, |row| Cursor::of(&[&row.id])))
}

pub(super) async fn count(
    connection: &impl ConnectionTrait,
    project: ProjectId,
    status: FeedbackStatus,
) -> Result<u64, StorageError> {
    let mut sql = Sql::new(connection, "SELECT COUNT(*) FROM error_feedback WHERE project_id = ");
    sql.bind(project.0).push(" AND status = ").bind(status.to_number());
    let rows = sql.fetch(connection).await?;
    let count: i64 = rows.first().map_or(Ok(0), |row| row.try_get_by_index(0))?;
    Ok(u64::try_from(count).unwrap_or(0))
}

/// A feedback with its replay and its packed payload.
pub(super) async fn find(
    connection: &impl ConnectionTrait,
    project: ProjectId,
    id: FeedbackId,
) -> Result<Option<(FeedbackSummary, Option<String>, Vec<u8>)>, StorageError> {
    let sql = format!("SELECT {COLUMNS}, f.replay_id, f.payload{SOURCE} WHERE f.project_id = ");
    let mut sql = Sql::new(connection, &sql);
    sql.bind(project.0).push(" AND f.id = ").bind(id);
    let rows = sql.fetch(connection).await?;
    let Some(row) = rows.first() else { return Ok(None) };
    Ok(Some((read_summary(row)?, row.try_get_by_index(16)?, row.try_get_by_index(17)?)))
}

/// What is sealed of a feedback's person, and the person; the outer nothing if there is no such feedback.
pub(super) async fn find_contact(
    connection: &impl ConnectionTrait,
    project: ProjectId,
    id: FeedbackId,
) -> Result<Option<Option<(SubjectId, Vec<u8>)>>, StorageError> {
    let mut sql = Sql::new(connection, "SELECT subject_id, contact FROM error_feedback WHERE project_id = ");
    sql.bind(project.0).push(" AND id = ").bind(id);
    let rows = sql.fetch(connection).await?;
    let Some(row) = rows.first() else { return Ok(None) };
    let subject: Option<i64> = row.try_get_by_index(0)?;
    let contact: Option<Vec<u8>> = row.try_get_by_index(1)?;
    Ok(Some(subject.map(SubjectId).zip(contact)))
}

/// A feedback that is about to change.
pub(super) struct FeedbackRow {
    pub(super) id: FeedbackId,
    pub(super) event_id: EventId,
    pub(super) status: FeedbackStatus,
    pub(super) assignee: Option<Id<User>>,
    pub(super) received_at: Timestamp,
    pub(super) payload_bytes: u64,
}

/// Locks feedback in the order of the ids.
pub(super) async fn lock_in(
    tx: &Tx,
    project: ProjectId,
    ids: &[FeedbackId],
) -> Result<Vec<FeedbackRow>, StorageError> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let mut sql = Sql::new(
        tx,
        "SELECT id, event_id, status, assignee, received_at, LENGTH(payload) FROM error_feedback WHERE project_id = ",
    );
    sql.bind(project.0).push(" AND id IN ").bind_set(ids).push(" ORDER BY id");
    if Dialect::of(tx) == Dialect::Postgres {
        sql.push(" FOR UPDATE");
    }
    sql.fetch(tx).await?.iter().map(|row| read_row(tx, row)).collect()
}

fn read_row(tx: &Tx, row: &QueryResult) -> Result<FeedbackRow, StorageError> {
    let event: Id<EventKey> = row.try_get_by_index(1)?;
    let status: i64 = row.try_get_by_index(2)?;
    Ok(FeedbackRow {
        id: row.try_get_by_index(0)?,
        event_id: EventId::from(event),
        status: FeedbackStatus::from_number(status)
            .ok_or_else(|| StorageError::corrupt(format!("status {status} of a feedback")))?,
        assignee: row.try_get_by_index(3)?,
        received_at: row.try_get_by_index(4)?,
        payload_bytes: length_of(tx, row, 5)?,
    })
}

/// LENGTH() is a 64-bit number on SQLite and a 32-bit one on PostgreSQL.
pub(crate) fn length_of(tx: &Tx, row: &QueryResult, index: usize) -> Result<u64, StorageError> {
    let length = match Dialect::of(tx) {
        Dialect::Sqlite => row.try_get_by_index::<i64>(index)?,
        Dialect::Postgres => i64::from(row.try_get_by_index::<i32>(index)?),
    };
    Ok(u64::try_from(length).unwrap_or(0))
}

pub(super) async fn set_status_in(
    tx: &Tx,
    project: ProjectId,
    ids: &[FeedbackId],
    status: FeedbackStatus,
) -> Result<(), StorageError> {
    update_in(tx, project, ids, "status", status.to_number().into()).await
}

pub(super) async fn assign_in(
    tx: &Tx,
    project: ProjectId,
    ids: &[FeedbackId],
    assignee: Option<Id<User>>,
) -> Result<(), StorageError> {
    update_in(tx, project, ids, "assignee", assignee.into()).await
}

async fn update_in(
    tx: &Tx,
    project: ProjectId,
    ids: &[FeedbackId],
    column: &str,
    value: Value,
) -> Result<(), StorageError> {
    if ids.is_empty() {
        return Ok(());
    }
    let mut sql = Sql::new(tx, &format!("UPDATE error_feedback SET {column} = "));
    sql.bind(value).push(" WHERE project_id = ").bind(project.0).push(" AND id IN ").bind_set(ids);
    sql.run(tx).await
}

/// Deletes feedback and the attachments that came with it.
pub(super) async fn delete_in(
    tx: &Tx,
    project: ProjectId,
    rows: &[FeedbackRow],
    storage: &mut StorageChange,
) -> Result<(), StorageError> {
    let (ids, events): (Vec<FeedbackId>, Vec<EventId>) =
        rows.iter().map(|row| (row.id, row.event_id)).unzip();
    for row in rows {
        storage.remove(project, row.received_at, StoredKind::Feedback, 1, row.payload_bytes);
    }
    let mut sql = Sql::new(tx, "DELETE FROM error_feedback WHERE project_id = ");
    sql.bind(project.0).push(" AND id");
    sql.execute_in(tx, &ids).await?;
    delete_of_owners_in(tx, project, &events, storage).await
}

/// Deletes at most `limit` of a project's feedback that was received before `before`; how many there were.
pub(crate) async fn delete_old_in(
    tx: &Tx,
    project: ProjectId,
    before: Timestamp,
    limit: usize,
    storage: &mut StorageChange,
) -> Result<usize, StorageError> {
    let mut sql = Sql::new(
        tx,
        "SELECT id, event_id, status, assignee, received_at, LENGTH(payload) FROM error_feedback WHERE project_id = ",
    );
    sql.bind(project.0).push(" AND received_at < ").bind(before).push(" ORDER BY id LIMIT ");
    sql.bind(i64::try_from(limit).unwrap_or(i64::MAX));
    let rows: Result<Vec<FeedbackRow>, StorageError> =
        sql.fetch(tx).await?.iter().map(|row| read_row(tx, row)).collect();
    let rows = rows?;
    delete_in(tx, project, &rows, storage).await?;
    Ok(rows.len())
}
