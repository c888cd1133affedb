//! Events get another payload and, where their grouping changed, another issue, with every count.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use belvedere_kernel::{ProjectId, SubjectId};
use belvedere_storage::{Id, StorageError, Timestamp, Tx};
use sea_orm::{ConnectionTrait, Value};

use crate::IssueId;
use crate::event_id::{EventId, EventKey};
use crate::source_maps::late::Rewritten;
use crate::store::{Sql, bulk, find_issues_of_hashes, hour_of, is_discard, seize_project, take_numbers};

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

/// What counts of a stored event.
struct Counted<'a> {
    rewritten: &'a Rewritten,
    issue: IssueId,
    occurred_at: Timestamp,
    subject: Option<SubjectId>,
    release: Option<String>,
    environment: String,
    level: i64,
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
    let counted = read_counted(tx, project, &changed).await?;
    let targets = find_targets(tx, project, &counted, now).await?;
    let mut moves: BTreeMap<(IssueId, IssueId), Vec<&Counted<'_>>> = BTreeMap::new();
    let mut rows = Vec::with_capacity(counted.len());
    for event in &counted {
        // Where the hash is discarded, what is there stays where it is.
        let target = targets.get(&event.rewritten.event.grouping.hash).copied();
        let target = target.filter(|target| !is_discard(*target)).unwrap_or(event.issue);
        if target != event.issue {
            moves.entry((event.issue, target)).or_default().push(event);
        }
        let row: [Value; 5] = [
            event.rewritten.event_id.to_key().into(),
            target.into(),
            event.rewritten.event.title.clone().into(),
            event.rewritten.event.payload.clone().into(),
            Id::<()>::from_bytes(event.rewritten.event.grouping.hash).into(),
        ];
        rows.push(row);
    }
    let rewritten = rows.len() as u64;
    let tail =
        format!(") AS v WHERE error_event.project_id = {} AND error_event.event_id = v.column1", project.0);
    let head = "UPDATE error_event SET issue_id = v.column2, title = v.column3, payload = v.column4, hash = v.column5 \
         FROM (VALUES ";
    bulk(tx, head, rows, &tail).await?;
    let mut moved = 0;
    for ((from, to), events) in &moves {
        moved += events.len() as u64;
        move_counts(tx, project, *from, *to, events).await?;
    }
    let last_moves: BTreeMap<IssueId, IssueId> = moves.keys().copied().collect();
    for (from, to) in last_moves {
        settle_left_issue(tx, project, from, to).await?;
    }
    Ok(Rewriting { rewritten, moved })
}

async fn read_counted<'a>(
    tx: &Tx,
    project: ProjectId,
    events: &[&'a Rewritten],
) -> Result<Vec<Counted<'a>>, StorageError> {
    let by_id: HashMap<EventId, &Rewritten> = events.iter().map(|event| (event.event_id, *event)).collect();
    let keys: Vec<Id<EventKey>> = events.iter().map(|event| event.event_id.to_key()).collect();
    let mut sql = Sql::new(
        tx,
        "SELECT event_id, issue_id, occurred_at, subject_id, release, environment, level FROM error_event \
         WHERE project_id = ",
    );
    sql.bind(project.0).push(" AND event_id IN ").bind_set(&keys).push(" ORDER BY occurred_at, id");
    let mut counted = Vec::new();
    for row in sql.fetch(tx).await? {
        let id: Id<EventKey> = row.try_get_by_index(0)?;
        let Some(rewritten) = by_id.get(&EventId::from(id)).copied() else { continue };
        let subject: Option<i64> = row.try_get_by_index(3)?;
        let environment: Option<String> = row.try_get_by_index(5)?;
        counted.push(Counted {
            rewritten,
            issue: row.try_get_by_index(1)?,
            occurred_at: row.try_get_by_index(2)?,
            subject: subject.map(SubjectId),
            release: row.try_get_by_index(4)?,
            environment: environment.unwrap_or_default(),
            level: row.try_get_by_index(6)?,
        });
    }
    Ok(counted)
}

/// The issue of each new hash; makes and renames issues where needed.
async fn find_targets(
    tx: &Tx,
    project: ProjectId,
    counted: &[Counted<'_>],
    now: Timestamp,
) -> Result<HashMap<[u8; 16], IssueId>, StorageError> {
    let keys: BTreeSet<_> = counted
        .iter()
        .map(|event| (project, event.rewritten.event.grouping.version, event.rewritten.event.grouping.hash))
        .collect();
    let known = find_issues_of_hashes(tx, &keys.into_iter().collect::<Vec<_>>()).await?;
    let mut targets: HashMap<[u8; 16], IssueId> =
        known.into_iter().map(|((_, _, hash), issue)| (hash, issue)).collect();
    // The newest event of a hash speaks for it.
    for event in counted.iter().rev() {
        let hash = event.rewritten.event.grouping.hash;
        if targets.contains_key(&hash) {
            continue;
        }
        let issue = if count_hashes(tx, project, event.issue).await? <= 1 {
            rename_issue(tx, project, event.issue, event).await?;
            event.issue
        } else {
            insert_issue(tx, project, event, now).await?
        };
        let version = i64::from(event.rewritten.event.grouping.version);
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
async fn rename_issue(
    tx: &Tx,
    project: ProjectId,
    issue: IssueId,
    event: &Counted<'_>,
) -> Result<(), StorageError> {
    let new = &event.rewritten.event;
    let mut sql = Sql::new(tx, "UPDATE error_issue SET title = ");
    sql.bind(new.title.clone()).push(", culprit = ").bind(new.culprit.clone());
    sql.push(", search_text = ").bind(new.search_text());
    sql.push(", grouping_version = ").bind(i64::from(new.grouping.version));
    sql.push(", grouping_reason = ").bind(new.grouping.reason.clone());
    sql.push(", grouping_values = ").bind(new.grouping.values.join("\n"));
    sql.push(", grouping_explanation = ").bind(new.grouping.explanation.to_json());
    sql.push(" WHERE project_id = ").bind(project.0).push(" AND id = ").bind(issue);
    sql.run(tx).await
}

/// Makes an issue without events yet, in the state of the one that its events come from.
async fn insert_issue(
    tx: &Tx,
    project: ProjectId,
    event: &Counted<'_>,
    now: Timestamp,
) -> Result<IssueId, StorageError> {
    let id: IssueId = Id::generate(now);
    let numbers = take_numbers(tx, vec![(project, 1)]).await?;
    let number = numbers.get(&project).copied().unwrap_or(1);
    let new = &event.rewritten.event;
    let mut sql = Sql::new(
        tx,
        "INSERT INTO error_issue (id, project_id, number, status, level, event_count, subject_count, first_seen, \
         last_seen, latest_event_id, title, culprit, search_text, platform, first_release, last_release, \
         grouping_version, grouping_reason, grouping_values, grouping_explanation) SELECT ",
    );
    sql.bind(id).push(", project_id, ").bind(number).push(", status, ").bind(event.level);
    sql.push(", 0, 0, ").bind(event.occurred_at).push(", ").bind(event.occurred_at).push(", ");
    sql.bind(event.rewritten.event_id.to_key()).push(", ").bind(new.title.clone()).push(", ");
    sql.bind(new.culprit.clone()).push(", ").bind(new.search_text()).push(", platform, ");
    sql.bind(event.release.clone()).push(", ").bind(event.release.clone()).push(", ");
    sql.bind(i64::from(new.grouping.version)).push(", ").bind(new.grouping.reason.clone()).push(", ");
    sql.bind(new.grouping.values.join("\n")).push(", ").bind(new.grouping.explanation.to_json());
    sql.push(" FROM error_issue WHERE project_id = ").bind(project.0);
    sql.push(" AND id = ").bind(event.issue);
    sql.run(tx).await?;
    Ok(id)
}

/// Takes what `events` amount to from one issue to another.
async fn move_counts(
    tx: &Tx,
    project: ProjectId,
    from: IssueId,
    to: IssueId,
    events: &[&Counted<'_>],
) -> Result<(), StorageError> {
    let mut hours: BTreeMap<(i64, &str), i64> = BTreeMap::new();
    let mut environments: BTreeMap<&str, i64> = BTreeMap::new();
    for event in events {
        *hours.entry((hour_of(event.occurred_at), &event.environment)).or_default() += 1;
        if !event.environment.is_empty() {
            *environments.entry(&event.environment).or_default() += 1;
        }
    }
    for (issue, sign) in [(from, -1), (to, 1)] {
        let rows = hours
            .iter()
            .map(|((hour, environment), count)| {
                [project.0.into(), issue.into(), (*hour).into(), (*environment).into(), (sign * count).into()]
            })
            .collect();
        let head =
            "INSERT INTO error_issue_hour (project_id, issue_id, hour, environment, event_count) VALUES ";
        let tail = " ON CONFLICT (project_id, issue_id, hour, environment) DO UPDATE SET \
                    event_count = error_issue_hour.event_count + excluded.event_count";
        bulk(tx, head, rows, tail).await?;
        let rows = environments
            .iter()
            .map(|(environment, count)| {
                [project.0.into(), (*environment).into(), issue.into(), (sign * count).into()]
            })
            .collect();
        let head =
            "INSERT INTO error_issue_environment (project_id, environment, issue_id, event_count) VALUES ";
        let tail = " ON CONFLICT (project_id, environment, issue_id) DO UPDATE SET \
                    event_count = error_issue_environment.event_count + excluded.event_count";
        bulk(tx, head, rows, tail).await?;
    }
    for table in ["error_issue_hour", "error_issue_environment"] {
        let mut sql = Sql::new(tx, &format!("DELETE FROM {table} WHERE project_id = "));
        sql.bind(project.0).push(" AND issue_id = ").bind(from).push(" AND event_count <= 0");
        sql.run(tx).await?;
    }
    move_subjects(tx, project, from, to, events).await?;
    let count = i64::try_from(events.len()).unwrap_or(i64::MAX);
    let mut sql = Sql::new(tx, "UPDATE error_issue SET event_count = event_count - ");
    sql.bind(count).push(" WHERE project_id = ").bind(project.0).push(" AND id = ").bind(from);
    sql.run(tx).await?;
    add_to_issue(tx, project, to, count, events).await
}

async fn move_subjects(
    tx: &Tx,
    project: ProjectId,
    from: IssueId,
    to: IssueId,
    events: &[&Counted<'_>],
) -> Result<(), StorageError> {
    let subjects: BTreeSet<i64> =
        events.iter().filter_map(|event| event.subject.map(|subject| subject.0)).collect();
    if subjects.is_empty() {
        return Ok(());
    }
    let subjects: Vec<i64> = subjects.into_iter().collect();
    let rows = subjects.iter().map(|subject| [project.0.into(), to.into(), (*subject).into()]).collect();
    let head = "INSERT INTO error_issue_subject (project_id, issue_id, subject_id) VALUES ";
    bulk(tx, head, rows, " ON CONFLICT (project_id, issue_id, subject_id) DO NOTHING").await?;
    let mut sql = Sql::new(tx, "DELETE FROM error_issue_subject WHERE project_id = ");
    sql.bind(project.0).push(" AND issue_id = ").bind(from).push(" AND subject_id IN ").bind_set(&subjects);
    sql.push(" AND subject_id NOT IN (SELECT subject_id FROM error_event WHERE project_id = ")
        .bind(project.0);
    sql.push(" AND issue_id = ").bind(from).push(" AND subject_id IS NOT NULL)");
    sql.run(tx).await?;
    for issue in [from, to] {
        count_subjects(tx, project, issue).await?;
    }
    Ok(())
}

async fn count_subjects(tx: &Tx, project: ProjectId, issue: IssueId) -> Result<(), StorageError> {
    let mut sql = Sql::new(
        tx,
        "UPDATE error_issue SET subject_count = (SELECT COUNT(*) FROM error_issue_subject s \
         WHERE s.project_id = error_issue.project_id AND s.issue_id = error_issue.id) WHERE project_id = ",
    );
    sql.bind(project.0).push(" AND id = ").bind(issue);
    sql.run(tx).await
}

async fn add_to_issue(
    tx: &Tx,
    project: ProjectId,
    issue: IssueId,
    count: i64,
    events: &[&Counted<'_>],
) -> Result<(), StorageError> {
    // They are in order of time.
    let (Some(earliest), Some(latest)) = (events.first(), events.last()) else { return Ok(()) };
    let level = events.iter().map(|event| event.level).max().unwrap_or(0);
    let row: [Value; 8] = [
        issue.into(),
        count.into(),
        earliest.occurred_at.into(),
        latest.occurred_at.into(),
        level.into(),
        latest.rewritten.event_id.to_key().into(),
        earliest.release.clone().into(),
        latest.release.clone().into(),
    ];
    let head = "UPDATE error_issue SET event_count = event_count + v.column2, \
                first_seen = CASE WHEN v.column3 < first_seen THEN v.column3 ELSE first_seen END, \
                first_release = CASE WHEN v.column3 < first_seen THEN v.column7 ELSE first_release END, \
                last_seen = CASE WHEN v.column4 > last_seen THEN v.column4 ELSE last_seen END, \
                latest_event_id = CASE WHEN v.column4 > last_seen THEN v.column6 ELSE latest_event_id END, \
                last_release = CASE WHEN v.column4 > last_seen THEN v.column8 ELSE last_release END, \
                level = CASE WHEN v.column5 > level THEN v.column5 ELSE level END FROM (VALUES ";
    let tail = format!(") AS v WHERE error_issue.project_id = {} AND error_issue.id = v.column1", project.0);
    bulk(tx, head, vec![row], &tail).await.map(drop)
}

/// Brings an issue that lost events in line with those that are left, or ends it.
async fn settle_left_issue(
    tx: &Tx,
    project: ProjectId,
    left: IssueId,
    heir: IssueId,
) -> Result<(), StorageError> {
    let ends = ["", " DESC"].map(|order| {
        let mut sql =
            Sql::new(tx, "SELECT occurred_at, event_id, release FROM error_event WHERE project_id = ");
        sql.bind(project.0).push(" AND issue_id = ").bind(left);
        sql.push(&format!(" ORDER BY occurred_at{order}, id{order} LIMIT 1"));
        sql
    });
    let [first, last] = ends;
    let (first, last) = (first.fetch(tx).await?, last.fetch(tx).await?);
    let (Some(first), Some(last)) = (first.first(), last.first()) else {
        return absorb_issue(tx, project, left, heir).await;
    };
    let (first_seen, last_seen): (Timestamp, Timestamp) =
        (first.try_get_by_index(0)?, last.try_get_by_index(0)?);
    let latest: Id<EventKey> = last.try_get_by_index(1)?;
    let (first_release, last_release): (Option<String>, Option<String>) =
        (first.try_get_by_index(2)?, last.try_get_by_index(2)?);
    let mut sql = Sql::new(tx, "UPDATE error_issue SET last_seen = ");
    sql.bind(last_seen)
        .push(", latest_event_id = ")
        .bind(latest)
        .push(", last_release = ")
        .bind(last_release);
    sql.push(", first_seen = ").bind(first_seen).push(", first_release = ").bind(first_release);
    sql.push(", level = (SELECT MAX(e.level) FROM error_event e WHERE e.project_id = error_issue.project_id");
    sql.push(" AND e.issue_id = error_issue.id) WHERE project_id = ")
        .bind(project.0)
        .push(" AND id = ")
        .bind(left);
    sql.run(tx).await
}

/// Everything that is left of an issue without stored events goes over to `heir`: its hashes, so that events like its
/// own find their way, and the counts of events that are not stored any more.
async fn absorb_issue(tx: &Tx, project: ProjectId, left: IssueId, heir: IssueId) -> Result<(), StorageError> {
    let of_left = |sql: &mut Sql| {
        sql.push(" WHERE project_id = ").bind(project.0).push(" AND issue_id = ").bind(left);
    };
    for (table, columns, conflict) in [
        (
            "error_issue_hour",
            ["project_id, ", "hour, environment, event_count"],
            "(project_id, issue_id, hour, environment) DO UPDATE SET event_count = error_issue_hour.event_count \
             + excluded.event_count",
        ),
        (
            "error_issue_environment",
            ["project_id, ", "environment, event_count"],
            "(project_id, environment, issue_id) DO UPDATE SET event_count = error_issue_environment.event_count \
             + excluded.event_count",
        ),
        (
            "error_issue_subject",
            ["project_id, ", "subject_id"],
            "(project_id, issue_id, subject_id) DO NOTHING",
        ),
    ] {
        let [project_column, rest] = columns;
        let head = format!("INSERT INTO {table} ({project_column}issue_id, {rest}) SELECT {project_column}");
        let mut sql = Sql::new(tx, &head);
        sql.bind(heir).push(&format!(", {rest} FROM {table}"));
        of_left(&mut sql);
        sql.push(" ON CONFLICT ").push(conflict);
        sql.run(tx).await?;
        let mut sql = Sql::new(tx, &format!("DELETE FROM {table}"));
        of_left(&mut sql);
        sql.run(tx).await?;
    }
    for text in ["UPDATE error_issue_hash SET issue_id = ", "UPDATE error_activity SET issue_id = "] {
        let mut sql = Sql::new(tx, text);
        sql.bind(heir);
        of_left(&mut sql);
        sql.run(tx).await?;
    }
    let mut sql = Sql::new(
        tx,
        "UPDATE error_issue SET event_count = event_count + (SELECT l.event_count FROM error_issue l WHERE l.id = ",
    );
    sql.bind(left).push(") WHERE project_id = ").bind(project.0).push(" AND id = ").bind(heir);
    sql.run(tx).await?;
    count_subjects(tx, project, heir).await?;
    let mut sql = Sql::new(tx, "DELETE FROM error_issue WHERE project_id = ");
    sql.bind(project.0).push(" AND id = ").bind(left);
    sql.run(tx).await
}
