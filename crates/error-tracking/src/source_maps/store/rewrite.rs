//! Events get another payload and, where their grouping changed, another issue, with every count.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use belvedere_kernel::ProjectId;
use belvedere_storage::{Id, Sql, StorageError, Timestamp, Tx, bulk};
use sea_orm::{ConnectionTrait, Value};

use crate::IssueId;
use crate::event_id::{EventId, EventKey};
use crate::source_maps::late::Rewritten;
use crate::store::{
    Move, SplitOff, absorb_in, add_names, find_issues_of_hashes, find_rows_in, insert_moves, insert_split_in,
    is_discard, seize_project, step_in,
};

/// What rewriting some events amounted to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Rewriting {
    pub(crate) rewritten: u64,
    pub(crate) moved: u64,
}

/// The packed payloads of those of `events` that are stored.
pub(crate) async fn read_payloads(
    connection: &impl ConnectionTrait,
    project: ProjectId,
    events: &[EventId],
) -> Result<Vec<(EventId, Vec<u8>)>, StorageError> {
    let keys: Vec<Id<EventKey>> = events.iter().map(|event| event.to_key()).collect();
    let mut sql = Sql::new(connection, "SELECT event_id, payload FROM error_event WHERE project_id = ");
    sql.bind(project.0).push(" AND event_id IN ").bind_set(&keys);
    let mut payloads = Vec::new();
    for row in sql.fetch(connection).await? {
        let id: Id<EventKey> = row.try_get_by_index(0)?;
        payloads.push((id.into(), row.try_get_by_index(1)?));
    }
    Ok(payloads)
}

/// Remembers what rewritten events still lack.
pub(crate) async fn remember_unmapped(
    tx: &Tx,
    project: ProjectId,
    events: &[Rewritten],
    now: Timestamp,
) -> Result<(), StorageError> {
    let mut rows = Vec::new();
    for rewritten in events {
        rows.extend(rewritten.event.unmapped.iter().map(|key| {
            let row: [Value; 4] =
                [project.0.into(), (*key).into(), rewritten.event_id.to_key().into(), now.into()];
            row
        }));
    }
    let head = "INSERT INTO error_unmapped (project_id, map_key, event_id, received_at) VALUES ";
    bulk(tx, head, rows, " ON CONFLICT (project_id, map_key, event_id) DO NOTHING").await.map(drop)
}

/// An event as it is stored, beside what it will be.
struct Stored<'a> {
    rewritten: &'a Rewritten,
    issue: IssueId,
}

impl Stored<'_> {
    fn hash(&self) -> [u8; 16] {
        self.rewritten.event.grouping.hash
    }
}

/// Writes new payloads, and moves events to the issues of their new hashes: to the one that has the hash; else the
/// issue that they are in takes the hash on, if it goes by no more than one so far; else a new issue is made. An issue
/// that has no event left goes up in the one that its last events went to.
pub(crate) async fn rewrite_events_in(
    tx: &Tx,
    project: ProjectId,
    events: &[Rewritten],
    now: Timestamp,
) -> Result<Rewriting, StorageError> {
    let changed: Vec<&Rewritten> = events.iter().filter(|rewritten| rewritten.event.is_changed).collect();
    if changed.is_empty() {
        return Ok(Rewriting::default());
    }
    seize_project(tx, project).await?;
    let stored = read_stored(tx, project, &changed).await?;
    write_events(tx, project, &stored).await?;
    let targets = find_targets(tx, project, &stored, now).await?;
    let mut moves: BTreeMap<(IssueId, IssueId), BTreeSet<[u8; 16]>> = BTreeMap::new();
    let mut moved = 0;
    for event in &stored {
        let target = targets.get(&event.hash()).copied().filter(|target| !is_discard(*target));
        if let Some(target) = target.filter(|target| *target != event.issue) {
            moved += 1;
            moves.entry((event.issue, target)).or_default().insert(event.hash());
        }
    }
    for ((from, to), hashes) in &moves {
        let hashes = hashes.iter().copied().collect();
        let of = Move { id: Id::generate(now), project, from: *from, to: Some(*to), hashes };
        insert_moves(tx, std::slice::from_ref(&of)).await?;
        while !step_in(tx, &of).await? {}
    }
    let heirs: BTreeMap<IssueId, IssueId> = moves.keys().copied().collect();
    for (left, heir) in heirs {
        absorb_if_empty(tx, project, left, heir).await?;
    }
    Ok(Rewriting { rewritten: stored.len() as u64, moved })
}

/// The events in order of time.
async fn read_stored<'a>(
    tx: &Tx,
    project: ProjectId,
    events: &[&'a Rewritten],
) -> Result<Vec<Stored<'a>>, StorageError> {
    let by_id: HashMap<EventId, &Rewritten> = events.iter().map(|event| (event.event_id, *event)).collect();
    let keys: Vec<Id<EventKey>> = events.iter().map(|event| event.event_id.to_key()).collect();
    let mut sql = Sql::new(tx, "SELECT event_id, issue_id FROM error_event WHERE project_id = ");
    sql.bind(project.0).push(" AND event_id IN ").bind_set(&keys).push(" ORDER BY occurred_at, id");
    let mut stored = Vec::new();
    for row in sql.fetch(tx).await? {
        let id: Id<EventKey> = row.try_get_by_index(0)?;
        if let Some(rewritten) = by_id.get(&EventId::from(id)) {
            stored.push(Stored { rewritten, issue: row.try_get_by_index(1)? });
        }
    }
    Ok(stored)
}

async fn write_events(tx: &Tx, project: ProjectId, events: &[Stored<'_>]) -> Result<(), StorageError> {
    let rows = events
        .iter()
        .map(|event| {
            let row: [Value; 4] = [
                event.rewritten.event_id.to_key().into(),
                event.rewritten.event.title.clone().into(),
                Id::<()>::from_bytes(event.hash()).into(),
                event.rewritten.event.payload.clone().into(),
            ];
            row
        })
        .collect();
    let head =
        "UPDATE error_event SET title = v.column2, hash = v.column3, payload = v.column4 FROM (VALUES ";
    let tail =
        format!(") AS v WHERE error_event.project_id = {} AND error_event.event_id = v.column1", project.0);
    bulk(tx, head, rows, &tail).await.map(drop)
}

/// The issue of each new hash; makes and renames issues where needed.
async fn find_targets(
    tx: &Tx,
    project: ProjectId,
    stored: &[Stored<'_>],
    now: Timestamp,
) -> Result<HashMap<[u8; 16], IssueId>, StorageError> {
    let version = |event: &Stored<'_>| event.rewritten.event.grouping.version;
    let keys: BTreeSet<_> = stored.iter().map(|event| (project, version(event), event.hash())).collect();
    let known = find_issues_of_hashes(tx, &keys.into_iter().collect::<Vec<_>>()).await?;
    let mut targets: HashMap<[u8; 16], IssueId> =
        known.into_iter().map(|((_, _, hash), issue)| (hash, issue)).collect();
    // The newest event of a hash speaks for it.
    for event in stored.iter().rev() {
        let hash = event.hash();
        if targets.contains_key(&hash) {
            continue;
        }
        let issue = if count_hashes(tx, project, event.issue).await? <= 1 {
            rename_issue(tx, project, event).await?;
            event.issue
        } else {
            let Some(issue) = split_off(tx, project, event, now).await? else { continue };
            issue
        };
        let version = i64::from(version(event));
        let row = [project.0.into(), version.into(), Id::<()>::from_bytes(hash).into(), issue.into()];
        let head = "INSERT INTO error_issue_hash (project_id, version, hash, issue_id) VALUES ";
        bulk(tx, head, vec![row], "").await?;
        targets.insert(hash, issue);
    }
    Ok(targets)
}

async fn count_hashes(tx: &Tx, project: ProjectId, issue: IssueId) -> Result<i64, StorageError> {
    let mut sql = Sql::new(tx, "SELECT COUNT(*) FROM error_issue_hash WHERE project_id = ");
    sql.bind(project.0).push(" AND issue_id = ").bind(issue);
    let rows = sql.fetch(tx).await?;
    Ok(rows.first().map_or(Ok(0), |row| row.try_get_by_index(0))?)
}

/// An issue is called by what the maps say from now on.
async fn rename_issue(tx: &Tx, project: ProjectId, event: &Stored<'_>) -> Result<(), StorageError> {
    let new = &event.rewritten.event;
    let mut sql = Sql::new(tx, "UPDATE error_issue SET title = ");
    sql.bind(new.title.clone()).push(", culprit = ").bind(new.culprit.clone());
    sql.push(", grouping_version = ").bind(i64::from(new.grouping.version));
    sql.push(", grouping_reason = ").bind(new.grouping.reason.clone());
    sql.push(", grouping_values = ").bind(new.grouping.values.join("\n"));
    sql.push(", grouping_explanation = ").bind(new.grouping.explanation.to_json());
    sql.push(" WHERE project_id = ").bind(project.0).push(" AND id = ").bind(event.issue);
    sql.push(" RETURNING number");
    let rows = sql.fetch(tx).await?;
    let Some(row) = rows.first() else { return Ok(()) };
    add_names(tx, project, row.try_get_by_index(0)?, [&new.title, &new.culprit]).await
}

/// Makes an issue without events yet; `None` if the one that its events are in is gone.
async fn split_off(
    tx: &Tx,
    project: ProjectId,
    event: &Stored<'_>,
    now: Timestamp,
) -> Result<Option<IssueId>, StorageError> {
    let rows = find_rows_in(tx, project, &[event.issue]).await?;
    let Some(of) = rows.first() else { return Ok(None) };
    let new = &event.rewritten.event;
    let issue = SplitOff {
        id: Id::generate(now),
        latest: event.rewritten.event_id.to_key(),
        title: new.title.clone(),
        culprit: new.culprit.clone(),
        grouping: new.grouping.clone(),
        hashes: vec![event.hash()],
    };
    insert_split_in(tx, of, &issue).await?;
    Ok(Some(issue.id))
}

/// An issue without events goes up in `heir`, with its hashes, so that events like its own find their way.
async fn absorb_if_empty(
    tx: &Tx,
    project: ProjectId,
    left: IssueId,
    heir: IssueId,
) -> Result<(), StorageError> {
    let mut sql = Sql::new(tx, "SELECT 1 FROM error_event WHERE project_id = ");
    sql.bind(project.0).push(" AND issue_id = ").bind(left).push(" LIMIT 1");
    if !sql.fetch(tx).await?.is_empty() {
        return Ok(());
    }
    let rows = find_rows_in(tx, project, &[left, heir]).await?;
    let target = rows.iter().find(|row| row.id == heir);
    let source = rows.iter().find(|row| row.id == left);
    match (target, source) {
        (Some(target), Some(source)) => absorb_in(tx, target, std::slice::from_ref(source)).await,
        _ => Ok(()),
    }
}
