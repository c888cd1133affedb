use std::cmp::Ordering;
use std::collections::{BTreeMap, HashMap};

use belvedere_kernel::{Actor, ProjectId, SubjectId};
use belvedere_storage::{Sql, StorageError, Timestamp, Tx, bulk};
use sea_orm::{ConnectionTrait, QueryResult, Value};
use serde_json::json;

use super::{NewActivity, insert_activities};
use crate::digest::DigestedEvent;
use crate::release_order::compare_releases;
use crate::triage::{ActivityKind, Condition, Counted, Substatus, Watch};
use crate::{IssueId, IssueStatus};

/// How many issues wake by the clock in one transaction.
const DUE_MAX: i64 = 200;

/// The part of Belvedere that acts when issues wake.
const ACTOR: Actor = Actor::System("error-tracking");

/// An issue that got new events while it was not unresolved, as it is after they were counted.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Asleep {
    pub(crate) project: ProjectId,
    pub(crate) id: IssueId,
    pub(crate) status: IssueStatus,
    pub(crate) condition: Option<Condition>,
    pub(crate) until: Option<Timestamp>,
    pub(crate) events: u64,
    pub(crate) subjects: u64,
}

impl Asleep {
    /// From a row that begins with `id, project_id, status, condition, until_at, event_count, subject_count`; `None`
    /// for an unresolved issue.
    pub(crate) fn from_row(row: &QueryResult) -> Result<Option<Self>, StorageError> {
        let status = status_of(row.try_get_by_index(2)?)?;
        if status == IssueStatus::Unresolved {
            return Ok(None);
        }
        let count = |index: usize| -> Result<u64, StorageError> {
            Ok(u64::try_from(row.try_get_by_index::<i64>(index)?).unwrap_or(0))
        };
        Ok(Some(Self {
            id: row.try_get_by_index(0)?,
            project: ProjectId(row.try_get_by_index(1)?),
            status,
            condition: parse_condition(row.try_get_by_index(3)?)?,
            until: row.try_get_by_index(4)?,
            events: count(5)?,
            subjects: count(6)?,
        }))
    }
}

pub(super) fn status_of(number: i64) -> Result<IssueStatus, StorageError> {
    IssueStatus::from_number(number)
        .ok_or_else(|| StorageError::corrupt(format!("status {number} of an issue")))
}

pub(crate) fn parse_condition(text: Option<String>) -> Result<Option<Condition>, StorageError> {
    let parsed = text.map(|text| serde_json::from_str(&text)).transpose();
    parsed.map_err(|error| StorageError::corrupt(format!("condition of an issue: {error}")))
}

/// An issue that became unresolved, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Reopened {
    pub(crate) project: ProjectId,
    pub(crate) id: IssueId,
    pub(crate) substatus: Substatus,
}

/// A new event of an issue, with its subject.
type Arrived<'a> = (&'a DigestedEvent, Option<SubjectId>);

/// Wakes those of the issues whose new events, given in the order of acceptance, fulfil what they wait for, each with
/// an entry on its timeline.
pub(crate) async fn wake_in(
    tx: &Tx,
    asleep: &[Asleep],
    arrived: &HashMap<IssueId, Vec<Arrived<'_>>>,
    now: Timestamp,
) -> Result<Vec<Reopened>, StorageError> {
    if asleep.is_empty() {
        return Ok(Vec::new());
    }
    let first_seen = find_releases(tx, asleep, arrived).await?;
    let mut watches = find_watches(tx, asleep).await?;
    let mut woken = Vec::new();
    for issue in asleep {
        let events = arrived.get(&issue.id).map(Vec::as_slice).unwrap_or_default();
        let index = match &issue.condition {
            _ if issue.until.is_some_and(|until| until <= now) => (!events.is_empty()).then_some(0),
            None => (issue.status == IssueStatus::Resolved && !events.is_empty()).then_some(0),
            Some(Condition::AfterRelease { version, first_seen: anchor }) => {
                events.iter().position(|(event, _)| {
                    event.release.as_deref().is_some_and(|release| {
                        let seen = first_seen.get(&(issue.project, release)).copied().unwrap_or(now);
                        release != version
                            && compare_releases((release, seen), (version, *anchor)) == Ordering::Greater
                    })
                })
            }
            Some(Condition::Total { counted, at_least, .. }) => {
                reached(issue, *counted, *at_least, events.len())
            }
            Some(Condition::Within { .. }) => watches.get_mut(&issue.id).and_then(|watch| {
                events.iter().position(|(event, subject)| {
                    watch.add(minute_of(event.received_at), subject.map(|subject| subject.0))
                })
            }),
        };
        if let Some((event, _)) = index.and_then(|index| events.get(index)) {
            woken.push((issue, *event));
        }
    }
    write_watches(tx, asleep, &watches, &woken).await?;
    reopen(tx, &woken, now).await
}

/// Which of the new events made the number full.
fn reached(issue: &Asleep, counted: Counted, at_least: u64, new: usize) -> Option<usize> {
    let (count, missing) = match counted {
        Counted::Events => (issue.events, issue.events.saturating_sub(at_least)),
        // Which event brought which subject is not known here: the last one stands for them.
        Counted::Subjects => (issue.subjects, 0),
    };
    let back = usize::try_from(missing).unwrap_or(usize::MAX);
    (count >= at_least).then(|| new.saturating_sub(1).saturating_sub(back))
}

fn minute_of(at: Timestamp) -> i64 {
    at.as_seconds().div_euclid(60)
}

/// When the releases that matter to the conditions were first seen, as far as is known.
async fn find_releases<'a>(
    tx: &Tx,
    asleep: &[Asleep],
    arrived: &'a HashMap<IssueId, Vec<Arrived<'a>>>,
) -> Result<HashMap<(ProjectId, &'a str), Timestamp>, StorageError> {
    let mut wanted: BTreeMap<ProjectId, BTreeMap<&str, ()>> = BTreeMap::new();
    for issue in asleep.iter().filter(|issue| matches!(issue.condition, Some(Condition::AfterRelease { .. })))
    {
        for (event, _) in arrived.get(&issue.id).into_iter().flatten() {
            if let Some(release) = event.release.as_deref() {
                wanted.entry(issue.project).or_default().insert(release, ());
            }
        }
    }
    let mut found = HashMap::new();
    for (project, versions) in wanted {
        let versions: Vec<&str> = versions.into_keys().collect();
        let mut sql = Sql::new(tx, "SELECT version, first_seen FROM error_release WHERE project_id = ");
        sql.bind(project.0).push(" AND version");
        for row in sql.fetch_in(tx, &versions).await? {
            let version: String = row.try_get_by_index(0)?;
            if let Ok(at) = versions.binary_search(&version.as_str()) {
                found.insert((project, versions[at]), row.try_get_by_index(1)?);
            }
        }
    }
    Ok(found)
}

/// What issues with a condition within minutes have received before.
async fn find_watches(tx: &Tx, asleep: &[Asleep]) -> Result<HashMap<IssueId, Watch>, StorageError> {
    let mut watches = HashMap::new();
    let mut of_project: BTreeMap<ProjectId, Vec<IssueId>> = BTreeMap::new();
    for issue in asleep {
        if let Some(Condition::Within { counted, at_least, minutes }) = issue.condition {
            watches.insert(issue.id, Watch::new(counted, at_least, minutes));
            of_project.entry(issue.project).or_default().push(issue.id);
        }
    }
    for (project, issues) in of_project {
        let text = "SELECT issue_id, key, minute, event_count FROM error_issue_watch WHERE project_id = ";
        let mut sql = Sql::new(tx, text);
        sql.bind(project.0).push(" AND issue_id");
        for row in sql.fetch_in(tx, &issues).await? {
            let id: IssueId = row.try_get_by_index(0)?;
            if let Some(watch) = watches.get_mut(&id) {
                watch.keep(row.try_get_by_index(1)?, row.try_get_by_index(2)?, row.try_get_by_index(3)?);
            }
        }
    }
    Ok(watches)
}

/// Keeps what watched issues received, and forgets what is too old to matter and what woken issues no longer need.
async fn write_watches(
    tx: &Tx,
    asleep: &[Asleep],
    watches: &HashMap<IssueId, Watch>,
    woken: &[(&Asleep, &DigestedEvent)],
) -> Result<(), StorageError> {
    let mut rows = Vec::new();
    for issue in asleep {
        let Some(watch) = watches.get(&issue.id) else { continue };
        let is_woken = woken.iter().any(|(other, _)| other.id == issue.id);
        let oldest = if is_woken { i64::MAX } else { watch.oldest_minute() };
        let mut sql = Sql::new(tx, "DELETE FROM error_issue_watch WHERE project_id = ");
        sql.bind(issue.project.0).push(" AND issue_id = ").bind(issue.id).push(" AND minute < ").bind(oldest);
        sql.run(tx).await?;
        if !is_woken {
            rows.extend(watch.changed().map(|(key, minute, events)| {
                [issue.project.0.into(), issue.id.into(), key.into(), minute.into(), events.into()]
            }));
        }
    }
    let head = "INSERT INTO error_issue_watch (project_id, issue_id, key, minute, event_count) VALUES ";
    let tail = " ON CONFLICT (project_id, issue_id, key) DO UPDATE SET \
                minute = CASE WHEN excluded.minute > error_issue_watch.minute THEN excluded.minute \
                ELSE error_issue_watch.minute END, \
                event_count = error_issue_watch.event_count + excluded.event_count";
    bulk(tx, head, rows, tail).await?;
    Ok(())
}

/// Makes the issues unresolved, each because of its event.
async fn reopen(
    tx: &Tx,
    woken: &[(&Asleep, &DigestedEvent)],
    now: Timestamp,
) -> Result<Vec<Reopened>, StorageError> {
    let mut reopened = Vec::with_capacity(woken.len());
    let mut rows: Vec<[Value; 3]> = Vec::with_capacity(woken.len());
    let mut entries = Vec::with_capacity(woken.len());
    for (issue, event) in woken {
        let (kind, substatus) = match issue.status {
            IssueStatus::Resolved => (ActivityKind::Regression, Substatus::Regressed),
            IssueStatus::Archived => (ActivityKind::Escalation, Substatus::Escalating),
            _ => (ActivityKind::Woken, Substatus::Ongoing),
        };
        let release = event.release.clone().filter(|_| substatus == Substatus::Regressed);
        rows.push([issue.id.into(), substatus.to_number().into(), release.into()]);
        let detail = json!({
            "event_id": event.event_id.to_string(),
            "release": event.release,
            "condition": issue.condition,
            "until": issue.until,
        });
        entries.push(NewActivity { detail, ..NewActivity::new(issue.project, issue.id, kind, ACTOR) });
        reopened.push(Reopened { project: issue.project, id: issue.id, substatus });
    }
    let head = "UPDATE error_issue SET status = 0, substatus = v.column2, condition = NULL, until_at = NULL, \
                regressed_in = CASE WHEN v.column2 = 1 THEN v.column3 ELSE regressed_in END FROM (VALUES ";
    bulk(tx, head, rows, ") AS v WHERE error_issue.id = v.column1").await?;
    insert_activities(tx, entries, now).await?;
    Ok(reopened)
}

/// Wakes issues of all projects whose time has come, at most 200; which these are.
pub(crate) async fn wake_due_in(tx: &Tx, now: Timestamp) -> Result<Vec<Reopened>, StorageError> {
    let mut sql =
        Sql::new(tx, "SELECT id, project_id, condition, until_at FROM error_issue WHERE until_at <= ");
    sql.bind(now).push(" ORDER BY id LIMIT ").bind(DUE_MAX);
    if belvedere_storage::Dialect::of(tx) == belvedere_storage::Dialect::Postgres {
        sql.push(" FOR UPDATE");
    }
    let mut reopened = Vec::new();
    let mut rows: Vec<[Value; 1]> = Vec::new();
    let mut entries = Vec::new();
    for row in sql.fetch(tx).await? {
        let id: IssueId = row.try_get_by_index(0)?;
        let project = ProjectId(row.try_get_by_index(1)?);
        let until: Timestamp = row.try_get_by_index(3)?;
        rows.push([id.into()]);
        let detail = json!({ "until": until });
        entries.push(NewActivity { detail, ..NewActivity::new(project, id, ActivityKind::Woken, ACTOR) });
        reopened.push(Reopened { project, id, substatus: Substatus::Ongoing });
    }
    let head =
        "UPDATE error_issue SET status = 0, substatus = 0, condition = NULL, until_at = NULL FROM (VALUES ";
    bulk(tx, head, rows, ") AS v WHERE error_issue.id = v.column1").await?;
    insert_activities(tx, entries, now).await?;
    Ok(reopened)
}

/// When a release was first seen, if it is known.
pub(crate) async fn first_seen_of(
    connection: &impl ConnectionTrait,
    project: ProjectId,
    version: &str,
) -> Result<Option<Timestamp>, StorageError> {
    let mut sql = Sql::new(connection, "SELECT first_seen FROM error_release WHERE project_id = ");
    sql.bind(project.0).push(" AND version = ").bind(version);
    let rows = sql.fetch(connection).await?;
    Ok(rows.first().map(|row| row.try_get_by_index(0)).transpose()?)
}
